//! Making a filter of words: those of a command, or those of a section of the file. What is wrong
//! is said with the word that it stands in, and in a condition with the column.

use super::super::expr::{Expr, Field};
use super::{Action, Filter, Level, Per};
use crate::base::{Address, Enhanced, Reply, nearest};

/// The words of all actions.
pub const ACTIONS: [&str; 8] =
    ["accept", "reject", "hold", "discard", "tag", "redirect", "route", "limit"];

/// The keys beside action and condition, in the order of [`Part`].
pub const KEYS: [&str; 7] = ["reply", "to", "via", "header", "rate", "per", "stage"];

/// Octets of a reply's text: its line must not pass 512 (RFC 5321 section 4.5.3.1.5).
const MAX_REPLY: usize = 480;
/// Octets of a field's line (RFC 5322 section 2.1.1 wants less than 998).
const MAX_FIELD: usize = 900;
/// Next servers of one route.
const MAX_VIA: usize = 16;

/// Fields that a tag must not add: those that a message has once (RFC 5322 section 3.6), and those
/// that say which way it went.
const NO_TAGS: [&str; 14] = [
    "date",
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "message-id",
    "in-reply-to",
    "references",
    "subject",
    "received",
    "return-path",
    "mime-version",
];

/// A filter in words. What is none was not said.
#[derive(Clone, Copy, Default, Debug)]
pub struct Draft<'a> {
    /// One of [`ACTIONS`].
    pub action: &'a str,
    /// `where`.
    pub condition: Option<&'a str>,
    /// What a refusal says: `550 5.7.1 not here`.
    pub reply: Option<&'a str>,
    /// To whom a redirection leads.
    pub to: Option<&'a str>,
    /// The next servers of a route.
    pub via: Option<&'a str>,
    /// The field of a tag.
    pub header: Option<&'a str>,
    /// The rate of a limit.
    pub rate: Option<&'a str>,
    /// Whose mail it counts together.
    pub per: Option<&'a str>,
    /// The level to wait for.
    pub stage: Option<&'a str>,
}

/// Where in a draft something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The action.
    Action,
    /// The condition.
    Where,
    /// One of [`KEYS`], by its number.
    Key(usize),
}

impl Part {
    /// The next servers of a route.
    pub const VIA: Part = VIA;

    /// As it is written in the file.
    pub const fn key(self) -> &'static str {
        match self {
            Part::Action => "action",
            Part::Where => "where",
            Part::Key(n) => KEYS[n],
        }
    }
}

/// Why words are not a filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterError {
    /// Where.
    pub part: Part,
    /// Where in it, in characters from 1; of a condition only.
    pub column: Option<usize>,
    /// What is wrong, and what to write instead.
    pub message: String,
}

const REPLY: Part = Part::Key(0);
const TO: Part = Part::Key(1);
const VIA: Part = Part::Key(2);
const HEADER: Part = Part::Key(3);
const RATE: Part = Part::Key(4);
const PER: Part = Part::Key(5);
const STAGE: Part = Part::Key(6);

fn wrong<T>(part: Part, message: impl Into<String>) -> Result<T, FilterError> {
    Err(FilterError { part, column: None, message: message.into() })
}

impl Draft<'_> {
    /// The filter with this name. Whether the next servers of a route exist is not asked here.
    pub fn make(&self, name: &str) -> Result<Filter, FilterError> {
        let action = self.action()?;
        self.only_what_belongs(&action)?;
        let condition = self.condition()?;
        let asked = |level: Level| {
            condition.as_ref().is_some_and(|e| e.asks(|f| Level::of(f) == Some(level)))
        };
        let least = match action {
            Action::Limit(..) => Level::Mail,
            _ => Level::Connect,
        };
        let known = Level::ALL.into_iter().rev().find(|level| asked(*level)).unwrap_or(least);
        let from = match self.stage {
            None => least,
            Some(stage) => pinned(stage, known.max(least))?,
        };
        Ok(Filter { name: name.to_owned(), action, condition, from })
    }

    fn action(&self) -> Result<Action, FilterError> {
        let need = |value: Option<&'_ str>, part: Part, example: &str| match value {
            Some(value) => Ok(value.to_owned()),
            None => {
                let (action, key) = (self.action, part.key());
                wrong(Part::Action, format!("{action} needs {key}, such as {key}={example}"))
            }
        };
        Ok(match self.action {
            "accept" => Action::Accept,
            "reject" => Action::Reject(match self.reply {
                Some(text) => reply(text)?,
                None => Reply::fixed(550, Enhanced(5, 7, 1), "Refused by a rule of this server"),
            }),
            "hold" => Action::Hold,
            "discard" => Action::Discard,
            "tag" => {
                let text = need(self.header, HEADER, "\"X-Note: yes\"")?;
                Action::Tag(field(&text)?.into())
            }
            "redirect" => {
                let text = need(self.to, TO, "ann@example.org")?;
                match Address::parse(&text) {
                    Ok(to) if to.domain().is_some() => Action::Redirect(to),
                    _ => wrong(TO, format!("'{text}' is not an address such as ann@example.org"))?,
                }
            }
            "route" => Action::Route(via(&need(self.via, VIA, "NAME")?)?),
            "limit" => {
                let text = need(self.rate, RATE, "60/m")?;
                let Ok(rate) = text.parse() else {
                    return wrong(
                        RATE,
                        format!("'{text}' is not a rate; write it like 60/m or 5/s"),
                    );
                };
                let reply = match self.reply {
                    Some(text) => reply(text)?,
                    None => Reply::fixed(450, Enhanced(4, 7, 1), "Too much mail, try again later"),
                };
                Action::Limit(rate, per(self.per)?, reply)
            }
            other => {
                let hint = match nearest(other, ACTIONS) {
                    Some(near) => format!("did you mean '{near}'?"),
                    None => format!("write one of {}", ACTIONS.join(", ")),
                };
                return wrong(Part::Action, format!("unknown action '{other}'; {hint}"));
            }
        })
    }

    /// A word that means nothing for this action is a misunderstanding.
    fn only_what_belongs(&self, action: &Action) -> Result<(), FilterError> {
        let given = [self.reply, self.to, self.via, self.header, self.rate, self.per];
        let takes: &[Part] = match action {
            Action::Reject(_) => &[REPLY],
            Action::Redirect(_) => &[TO],
            Action::Route(_) => &[VIA],
            Action::Tag(_) => &[HEADER],
            Action::Limit(..) => &[REPLY, RATE, PER],
            Action::Accept | Action::Hold | Action::Discard => &[],
        };
        for (n, _) in given.iter().enumerate().filter(|(_, value)| value.is_some()) {
            let part = Part::Key(n);
            if !takes.contains(&part) {
                let (key, action) = (part.key(), action.name());
                return wrong(part, format!("{key} means nothing for '{action}'"));
            }
        }
        Ok(())
    }

    fn condition(&self) -> Result<Option<Expr>, FilterError> {
        let Some(source) = self.condition else { return Ok(None) };
        let at = |column, message| FilterError { part: Part::Where, column: Some(column), message };
        let expr = Expr::parse(source).map_err(|e| at(e.column, e.message))?;
        let foreign = |field: &Field| Level::of(field).is_none();
        if expr.asks(foreign) {
            let (column, name) = Expr::place_of(source, foreign).unwrap_or((1, "this"));
            let message = format!(
                "a filter cannot ask for '{name}'; it can for client, helo, from, rcpt, size, \
                 subject, header.NAME, tls and user"
            );
            return Err(at(column, message));
        }
        Ok(Some(expr))
    }
}

/// A refusal as people write it. What it lacks is filled in, what the wire cannot carry refused.
fn reply(text: &str) -> Result<Reply, FilterError> {
    let hint = "write it like 550 5.7.1 not here, with a code from 400 to 559";
    if text.len() > MAX_REPLY || !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return wrong(REPLY, format!("a reply is one line of at most {MAX_REPLY} ASCII letters"));
    }
    let Some(mut reply) = Reply::parse_text(text).filter(|r| r.class() >= 4) else {
        return wrong(REPLY, format!("'{text}' is not a refusal; {hint}"));
    };
    // RFC 3463 section 3.8: delivery not authorised.
    reply.enhanced = reply.enhanced.or(Some(Enhanced(reply.class() as u8, 7, 1)));
    if reply.text.is_empty() {
        reply.text = b"Refused by a rule of this server".into();
    }
    Ok(reply)
}

/// A field of a header, in the one form in which nothing can be hidden.
fn field(text: &str) -> Result<String, FilterError> {
    let says = |message: String| wrong(HEADER, message);
    let Some((name, value)) = text.split_once(':') else {
        return says(format!("'{text}' is not a header field; write it like X-Note: yes"));
    };
    // RFC 5322 section 2.2: printable ASCII; and no line end, or more than a field would be added.
    let is_name = !name.is_empty() && name.bytes().all(|b| (b'!'..=b'~').contains(&b));
    if !is_name || !value.bytes().all(|b| (b' '..=b'~').contains(&b) || b == b'\t') {
        return says("a header field is printable ASCII, without blanks in its name".into());
    }
    if text.len() > MAX_FIELD {
        return says(format!("a header field has at most {MAX_FIELD} octets here"));
    }
    let lower = name.to_ascii_lowercase();
    if NO_TAGS.contains(&lower.as_str()) || lower.starts_with("content-") {
        return says(format!("'{name}' is not for a tag: a message has it once, or of itself"));
    }
    Ok(format!("{name}: {}", value.trim()))
}

/// Names of next servers, with commas between them.
fn via(text: &str) -> Result<Box<[String]>, FilterError> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_name = |name: &String| !name.is_empty() && name.len() <= 64 && name.bytes().all(word);
    if !names.iter().all(is_name) || names.len() > MAX_VIA {
        return wrong(VIA, format!("'{text}' is not a list of next servers such as a,b"));
    }
    Ok(names.into())
}

fn per(text: Option<&str>) -> Result<Per, FilterError> {
    match text {
        None | Some("client") => Ok(Per::Client),
        Some("sender") => Ok(Per::Sender),
        Some("user") => Ok(Per::User),
        Some(text) => wrong(PER, format!("'{text}' is none of client, sender, user")),
    }
}

/// A filter may wait for more than it asks for, not for less.
fn pinned(stage: &str, known: Level) -> Result<Level, FilterError> {
    match Level::ALL.into_iter().find(|level| level.name() == stage) {
        Some(level) if level >= known => Ok(level),
        Some(_) => {
            let known = known.name();
            wrong(STAGE, format!("what this filter asks for is known from {known} on, not before"))
        }
        None => {
            let names = Level::ALL.map(Level::name).join(", ");
            wrong(STAGE, format!("'{stage}' is no stage of filters; write one of {names}"))
        }
    }
}
