//! Taking a command's words one by one, with errors that know their place.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::command::Recorded;
use super::verbs::Verb;
use super::words::Word;
use crate::base::{MessageId, SessionId, nearest, parse_duration};
use crate::rules::Expr;

/// Why a line is not a command, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandError {
    /// The place in characters, from 1.
    pub column: usize,
    /// What is wrong there, and what to write instead.
    pub message: String,
}

impl CommandError {
    /// An error at a column.
    pub fn new(column: usize, message: impl Into<String>) -> CommandError {
        CommandError { column, message: message.into() }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)
    }
}

type Result<T> = std::result::Result<T, CommandError>;

/// The words of a line that have not been taken yet.
pub struct Args<'a> {
    line: &'a str,
    words: &'a [Word],
    /// `where` and what follows.
    filter: Option<&'a Word>,
}

impl<'a> Args<'a> {
    /// All words of a line.
    pub fn new(line: &'a str, words: &'a [Word]) -> Args<'a> {
        match words.split_last() {
            Some((last, words)) if last.is_where() => Args { line, words, filter: Some(last) },
            _ => Args { line, words, filter: None },
        }
    }

    /// The column behind all that was taken: where something is missing.
    fn missing(&self) -> usize {
        let next = self.words.first().or(self.filter).map(|word| word.column);
        next.unwrap_or_else(|| self.line.trim_end().chars().count() + 1)
    }

    /// The verb.
    pub fn verb(&mut self) -> Result<(usize, &'a str)> {
        let missing = self.missing();
        let word = self.word().ok_or_else(|| CommandError::new(missing, "a command is missing"))?;
        Ok((word.column, &word.text))
    }

    fn word(&mut self) -> Option<&'a Word> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    /// A word that must be there; `what` names it in the error.
    pub fn need(&mut self, what: &str) -> Result<&'a Word> {
        let missing = self.missing();
        self.word().ok_or_else(|| CommandError::new(missing, format!("{what} is missing")))
    }

    /// One of these words, perhaps shortened; none when there is no more word.
    pub fn choice(&mut self, choices: &'static [&'static str]) -> Result<Option<&'static str>> {
        self.word().map(|word| pick(word, choices)).transpose()
    }

    /// One of these words, perhaps shortened.
    pub fn need_choice(&mut self, choices: &'static [&'static str]) -> Result<&'static str> {
        let missing = self.missing();
        let chosen = self.choice(choices)?;
        chosen.ok_or_else(|| {
            CommandError::new(missing, format!("one of {} is missing", choices.join(", ")))
        })
    }

    /// Takes this word if it comes next; says whether it did.
    pub fn skip(&mut self, what: &str) -> bool {
        let found = self.words.first().is_some_and(|word| word.text == what && !word.quoted);
        if found {
            self.words = &self.words[1..];
        }
        found
    }

    /// All remaining words as one text, with a blank between them.
    pub fn rest(&mut self) -> String {
        let texts: Vec<&str> = self.words.iter().map(|word| word.text.as_str()).collect();
        self.words = &[];
        texts.join(" ")
    }

    /// Whether nothing remains, no expression either.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && self.filter.is_none()
    }

    /// The id of a session.
    pub fn session(&mut self) -> Result<SessionId> {
        let word = self.need("the id of a session, such as i7,")?;
        word.text.parse().map_err(|()| {
            let message = format!("'{}' is not the id of a session, such as i7 or o3", word.text);
            CommandError::new(word.column, message)
        })
    }

    /// The counter of a message's id, `q1A` or in full.
    pub fn message(&mut self) -> Result<u64> {
        let word = self.need("the id of a message, such as q1A,")?;
        message_of(&word.text).ok_or_else(|| {
            let message = format!("'{}' is not the id of a message, such as q1A", word.text);
            CommandError::new(word.column, message)
        })
    }

    /// The id of a session or of a message.
    pub fn recorded(&mut self) -> Result<Recorded> {
        let word = self.need("the id of a session or a message, such as i7 or q1A,")?;
        let session = word.text.parse().ok().map(Recorded::Session);
        session.or_else(|| message_of(&word.text).map(Recorded::Message)).ok_or_else(|| {
            let message = format!("'{}' is not an id such as i7, o3 or q1A", word.text);
            CommandError::new(word.column, message)
        })
    }

    /// The expression after `where`.
    pub fn filter(&mut self) -> Result<Option<Expr>> {
        let Some((before, source)) = self.condition() else { return Ok(None) };
        let expr =
            Expr::parse(source).map_err(|e| CommandError::new(before + e.column, e.message))?;
        Ok(Some(expr))
    }

    /// What follows `where`, not read yet, and how many characters stand before it.
    pub fn condition(&mut self) -> Option<(usize, &'a str)> {
        let word = self.filter.take()?;
        Some((self.line[..word.end()].chars().count(), &self.line[word.end()..]))
    }

    /// A reply as it is written, `"550 5.7.1 no"` or without quotes: the words up to the first
    /// `key=value`, and where they begin; none when the next word is none of a reply.
    pub fn reply(&mut self) -> Option<(usize, String)> {
        let first = self.words.first().filter(|word| !is_pair(word))?;
        let end = self.words.iter().position(is_pair).unwrap_or(self.words.len());
        let (reply, rest) = self.words.split_at(end);
        self.words = rest;
        let texts: Vec<&str> = reply.iter().map(|word| word.text.as_str()).collect();
        Some((first.column, texts.join(" ")))
    }

    /// The words `key=value` of these keys, each at most once; they are taken, others stay.
    pub fn pairs<const N: usize>(
        &mut self,
        keys: [&'static str; N],
    ) -> Result<[Option<Pair<'a>>; N]> {
        self.take_pairs(keys, None)
    }

    /// The same, and beside them `header.NAME=value` as often as one likes.
    pub fn pairs_and_fields<const N: usize>(
        &mut self,
        keys: [&'static str; N],
    ) -> Result<([Option<Pair<'a>>; N], Fields<'a>)> {
        let mut fields = Vec::new();
        let pairs = self.take_pairs(keys, Some(&mut fields))?;
        Ok((pairs, fields))
    }

    fn take_pairs<const N: usize>(
        &mut self,
        keys: [&'static str; N],
        mut fields: Option<&mut Fields<'a>>,
    ) -> Result<[Option<Pair<'a>>; N]> {
        let mut values = [None; N];
        while let Some((word, (key, value))) =
            self.words.first().and_then(|word| Some((word, word.text.split_once('=')?)))
        {
            if let (Some(fields), Some(name)) = (&mut fields, key.strip_prefix("header.")) {
                let column = word.column + key.chars().count() + 1;
                fields.push((name, Pair { column, value }));
                self.words = &self.words[1..];
                continue;
            }
            let Some(i) = keys.iter().position(|known| *known == key) else {
                let known = keys.join("=, ");
                let message = match nearest(key, keys) {
                    Some(near) => format!("unknown '{key}='; did you mean '{near}='?"),
                    None => format!("unknown '{key}='; known are {known}="),
                };
                return Err(CommandError::new(word.column, message));
            };
            let column = word.column + key.chars().count() + 1;
            if values[i].replace(Pair { column, value }).is_some() {
                return Err(CommandError::new(word.column, format!("'{key}=' is said twice")));
            }
            self.words = &self.words[1..];
        }
        Ok(values)
    }

    /// The value of `last=`.
    pub fn last(&mut self) -> Result<Option<Duration>> {
        let [last] = self.pairs(["last"])?;
        last.map(|last| last.read("a duration such as 10m", parse_duration)).transpose()
    }

    /// Nothing may remain.
    pub fn end(&self, verb: &Verb) -> Result<()> {
        match self.words.first().or(self.filter) {
            None => Ok(()),
            Some(word) => {
                let message = format!("'{}' is too much; the form is: {}", word.text, verb.usage);
                Err(CommandError::new(word.column, message))
            }
        }
    }

    /// An error where the next word is missing.
    pub fn wanted(&self, what: &str) -> CommandError {
        CommandError::new(self.missing(), format!("{what} is missing"))
    }
}

/// Names of header fields, each with its value.
type Fields<'a> = Vec<(&'a str, Pair<'a>)>;

/// The value of a `key=value`.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    column: usize,
    value: &'a str,
}

impl<'a> Pair<'a> {
    /// As it was written.
    pub fn value(&self) -> &'a str {
        self.value
    }

    /// Where it begins.
    pub fn column(&self) -> usize {
        self.column
    }

    /// The value as `read` understands it; `what` names that in the error.
    pub fn read<T>(&self, what: &str, read: impl Fn(&str) -> Option<T>) -> Result<T> {
        read(self.value).ok_or_else(|| {
            CommandError::new(self.column, format!("'{}' is not {what}", self.value))
        })
    }

    /// The value parsed.
    pub fn parse<T: FromStr>(&self, what: &str) -> Result<T> {
        self.read(what, |value| value.parse().ok())
    }
}

/// Whether a word is `key=value`: a reply begins with digits, and its words seldom look like it.
fn is_pair(word: &Word) -> bool {
    word.text.split_once('=').is_some_and(|(key, _)| {
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    })
}

/// The counter of a message's id: `q1A`, `1a`, `6a8b3f12-00001a`.
pub fn message_of(text: &str) -> Option<u64> {
    let full = text.parse::<MessageId>().map(|id| id.counter);
    full.ok().or_else(|| MessageId::parse_short(text))
}

/// The one of several words that is meant: itself, or the only one it is the beginning of.
fn pick(word: &Word, choices: &'static [&'static str]) -> Result<&'static str> {
    one_of(&word.text, choices.iter().copied()).map_err(|several| {
        let text = &word.text;
        let message = match (several.is_empty(), nearest(text, choices)) {
            (false, _) => format!("'{text}' may be {}", several.join(" or ")),
            (true, Some(near)) => format!("unknown '{text}'; did you mean '{near}'?"),
            (true, None) => format!("unknown '{text}'; write one of {}", choices.join(", ")),
        };
        CommandError::new(word.column, message)
    })
}

/// The name that is written or shortened; else all that it might be.
pub fn one_of(
    written: &str,
    names: impl Iterator<Item = &'static str>,
) -> std::result::Result<&'static str, Vec<&'static str>> {
    let begins = names.filter(|name| !written.is_empty() && name.starts_with(written));
    let candidates: Vec<&'static str> = begins.collect();
    match candidates.iter().find(|name| **name == written).or(candidates.first()) {
        Some(name) if candidates.len() == 1 || *name == written => Ok(name),
        _ => Err(candidates),
    }
}
