//! Words of a command line.
//!
//! Blanks separate words; what stands in double quotes belongs to one word, as in
//! `reply="451 try later"`, and only `\"` is an escape there. After the word `where` all that
//! remains is one expression, which has its own grammar and is not cut.

use super::parse::CommandError;

/// Octets of a command line.
pub const MAX_LINE: usize = 8192;

/// A word and where it begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// In characters, from 1.
    pub column: usize,
    /// In octets, from 0.
    pub at: usize,
    /// Without quotes.
    pub text: String,
    /// It had quotes: a keyword would not.
    pub quoted: bool,
}

/// Cuts a line into words. The word `where` is the last one: the rest of the line is not words.
pub fn split(line: &str) -> Result<Vec<Word>, CommandError> {
    if line.len() > MAX_LINE {
        return Err(CommandError::new(1, format!("longer than {MAX_LINE} octets")));
    }
    let mut words: Vec<Word> = Vec::new();
    let mut open: Option<Word> = None;
    // Where the quotes that are open began.
    let mut quotes = None;
    let mut chars = line.char_indices().enumerate().peekable();
    while let Some((i, (at, c))) = chars.next() {
        let column = i + 1;
        if quotes.is_none() && c.is_whitespace() {
            words.extend(open.take());
            if words.last().is_some_and(Word::is_where) {
                return Ok(words);
            }
            continue;
        }
        let word =
            open.get_or_insert_with(|| Word { column, at, text: String::new(), quoted: false });
        match c {
            '"' => {
                word.quoted = true;
                quotes = if quotes.is_none() { Some(column) } else { None };
            }
            '\\' if quotes.is_some() && chars.next_if(|(_, (_, c))| *c == '"').is_some() => {
                word.text.push('"');
            }
            c => word.text.push(c),
        }
    }
    if let Some(column) = quotes {
        return Err(CommandError::new(column, "these quotes are never closed"));
    }
    words.extend(open);
    Ok(words)
}

impl Word {
    /// Whether it is the keyword `where`.
    pub fn is_where(&self) -> bool {
        self.text == "where" && !self.quoted
    }

    /// The octets of the line that it takes, if it has no quotes.
    pub fn end(&self) -> usize {
        self.at + self.text.len()
    }
}

/// Whether a command line names this file: as a word, or as the value of a `key=value`.
pub fn has_word(line: &str, word: &str) -> bool {
    let is_it = |known: &Word| {
        let value = known.text.split_once('=').map(|(_, value)| value);
        known.text == word || value == Some(word)
    };
    split(line).is_ok_and(|words| words.iter().any(is_it))
}

/// The line that says what a shell's arguments say. An argument that holds blanks (or is empty) is
/// one word; after `where` the arguments are the expression as they are.
pub fn line_of_args<S: AsRef<str>>(args: &[S]) -> String {
    let mut line = String::new();
    let mut expression = false;
    for (i, arg) in args.iter().map(AsRef::as_ref).enumerate() {
        if i > 0 {
            line.push(' ');
        }
        let plain = !arg.is_empty() && !arg.contains(|c: char| c.is_whitespace() || c == '"');
        if expression || plain {
            line.push_str(arg);
        } else {
            line.push('"');
            line.push_str(&arg.replace('"', "\\\""));
            line.push('"');
        }
        expression |= arg == "where";
    }
    line
}
