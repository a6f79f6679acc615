//! What expressions speak of: the names, and the values that are known when one is asked.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use crate::base::{Address, MessageId, Recipient, SessionId};

/// A field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Field {
    /// The client's address.
    Client,
    /// The EHLO or HELO argument.
    Helo,
    /// The sender; empty for `<>`.
    From,
    /// The recipient in question, or all of a message.
    Rcpt,
    /// Octets of the message.
    Size,
    /// The Subject field of the header.
    Subject,
    /// A field of the header, by its name.
    Header(Box<str>),
    /// The command.
    Verb,
    /// The code of the reply.
    Reply,
    /// How long the reply took.
    Delay,
    /// Whether the session is inside TLS.
    Tls,
    /// As whom the client authenticated.
    User,
    /// The session's id.
    Session,
    /// The message's id in its short form.
    Id,
    /// The next server's name.
    Next,
}

/// What can be done with a field's values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// Compared as text, matched by regular expressions.
    Text,
    /// An address: equal, or in networks.
    Ip,
    /// A number, compared.
    Number,
    /// Octets, compared.
    Size,
    /// A duration, compared.
    Duration,
    /// True or false.
    Flag,
}

impl Type {
    /// In words, with an article.
    pub const fn name(self) -> &'static str {
        match self {
            Type::Text => "a text",
            Type::Ip => "an IP address",
            Type::Number => "a number",
            Type::Size => "a size",
            Type::Duration => "a duration",
            Type::Flag => "true or false",
        }
    }
}

/// All names, for help, completion and the nearest one; `header.` stands for all of its kind.
pub const FIELD_NAMES: [&str; 15] = [
    "client", "from", "rcpt", "size", "subject", "header.", "verb", "reply", "delay", "tls",
    "user", "session", "next", "helo", "id",
];

impl Field {
    /// The field with this name.
    pub fn parse(name: &str) -> Option<Field> {
        Some(match name {
            "client" => Field::Client,
            "helo" => Field::Helo,
            "from" => Field::From,
            "rcpt" => Field::Rcpt,
            "size" => Field::Size,
            "subject" => Field::Subject,
            "verb" => Field::Verb,
            "reply" => Field::Reply,
            "delay" => Field::Delay,
            "tls" => Field::Tls,
            "user" => Field::User,
            "session" => Field::Session,
            "id" => Field::Id,
            "next" => Field::Next,
            _ => {
                // RFC 5322 section 3.6.8: printable ASCII without the colon.
                let header = name.strip_prefix("header.")?;
                let valid = header.bytes().all(|b| (b'!'..=b'~').contains(&b) && b != b':');
                return (valid && !header.is_empty()).then(|| Field::Header(header.into()));
            }
        })
    }

    /// What can be done with it.
    pub fn kind(&self) -> Type {
        match self {
            Field::Client => Type::Ip,
            Field::Size => Type::Size,
            Field::Reply => Type::Number,
            Field::Delay => Type::Duration,
            Field::Tls => Type::Flag,
            _ => Type::Text,
        }
    }
}

/// Fields of one name in a header that are looked at: a hostile header has thousands.
const MAX_VALUES: usize = 16;

/// Recipients that are known.
#[derive(Clone, Copy, Default, Debug)]
pub enum Rcpts<'a> {
    /// None.
    #[default]
    None,
    /// The one in question.
    One(&'a Address),
    /// All of a message.
    All(&'a [Recipient]),
}

/// The values that are known when an expression is asked. What is not known is none or empty.
#[derive(Clone, Copy, Default, Debug)]
pub struct Fields<'a> {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The EHLO or HELO argument.
    pub helo: Option<&'a str>,
    /// The sender; empty for `<>`.
    pub from: Option<&'a str>,
    /// Recipients.
    pub rcpt: Rcpts<'a>,
    /// Octets of the message.
    pub size: Option<u64>,
    /// The header as it came; empty before it has been read.
    pub header: &'a [u8],
    /// The command.
    pub verb: Option<&'a str>,
    /// The code of the reply.
    pub reply: Option<u16>,
    /// How long the reply took.
    pub delay: Option<Duration>,
    /// Inside TLS.
    pub tls: Option<bool>,
    /// As whom the client authenticated.
    pub user: Option<&'a str>,
    /// The session.
    pub session: Option<SessionId>,
    /// The message.
    pub id: Option<MessageId>,
    /// The next server's name.
    pub next: Option<&'a str>,
}

impl Fields<'_> {
    /// The value of a field that is a number: sizes in octets, durations in microseconds.
    pub fn number(&self, field: &Field) -> Option<u64> {
        match field {
            Field::Size => self.size,
            Field::Reply => self.reply.map(u64::from),
            Field::Delay => {
                self.delay.map(|delay| u64::try_from(delay.as_micros()).unwrap_or(u64::MAX))
            }
            _ => None,
        }
    }

    /// Whether one of the values of a field that is text passes a test. Nothing is allocated,
    /// except for header fields that are folded or not UTF-8, and for ids.
    pub fn any_text(&self, field: &Field, test: impl Fn(&str) -> bool) -> bool {
        match field {
            Field::Helo => self.helo.is_some_and(test),
            Field::From => self.from.is_some_and(test),
            Field::Verb => self.verb.is_some_and(test),
            Field::User => self.user.is_some_and(test),
            Field::Next => self.next.is_some_and(test),
            Field::Session => self.session.is_some_and(|id| test(&id.to_string())),
            Field::Id => self.id.is_some_and(|id| test(&id.short())),
            Field::Rcpt => match self.rcpt {
                Rcpts::None => false,
                Rcpts::One(address) => test(address.as_str()),
                Rcpts::All(all) => all.iter().any(|rcpt| test(rcpt.address.as_str())),
            },
            Field::Subject => self.any_value("subject", test),
            Field::Header(name) => self.any_value(name, test),
            Field::Client | Field::Size | Field::Reply | Field::Delay | Field::Tls => false,
        }
    }

    fn any_value(&self, name: &str, test: impl Fn(&str) -> bool) -> bool {
        values(self.header, name).take(MAX_VALUES).any(|value| test(&value))
    }
}

/// The values of the header fields with this name: unfolded (RFC 5322 section 2.2.3), without the
/// blanks around them; octets that are not UTF-8 are replaced. Encoded words stay as they are.
fn values<'a>(header: &'a [u8], name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    let mut rest = header;
    std::iter::from_fn(move || {
        while !rest.is_empty() && !rest.starts_with(b"\r\n") {
            let field;
            (field, rest) = rest.split_at(field_length(rest));
            let Some((start, value)) = field.split_at_checked(name.len()) else { continue };
            // Blanks before the colon are obsolete, but programs take them (section 4.5.8).
            let value = value.trim_ascii_start();
            if start.eq_ignore_ascii_case(name.as_bytes()) && value.first() == Some(&b':') {
                return Some(unfolded(&value[1..]));
            }
        }
        None
    })
}

/// The length of the field at the start: up to the first line end that no blank follows.
fn field_length(text: &[u8]) -> usize {
    let ends = memchr::memchr_iter(b'\n', text).map(|at| at + 1);
    let mut last = ends.filter(|end| !matches!(text.get(*end), Some(b' ' | b'\t')));
    last.next().unwrap_or(text.len())
}

fn unfolded(value: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(value.trim_ascii());
    if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], "").into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_field_of_its_own() {
        let mut seen: Vec<Field> = Vec::new();
        for name in FIELD_NAMES {
            let name = if name == "header." { "header.X-Spam" } else { name };
            let field = Field::parse(name).unwrap();
            assert!(!seen.contains(&field));
            seen.push(field);
        }
        for not in ["", "header", "header.", "header.a:b", "header.ä", "Client", "rcpts"] {
            assert_eq!(Field::parse(not), None, "{not}");
        }
    }

    #[test]
    fn header_values() {
        let header = b"Subject: one\r\n two\r\n\tthree\r\nX-A:a\r\nx-a : \xff\r\nX-AB: no\r\n\
                       junk\r\nX-A:\r\n\r\nX-A: body\r\n";
        let all = |name: &'static str| values(header, name).collect::<Vec<_>>();
        assert_eq!(all("SUBJECT"), ["one two\tthree"]);
        assert_eq!(all("x-a"), ["a", "\u{fffd}", ""]);
        assert_eq!(all("X"), [""; 0]);
        assert_eq!(values(b"", "x").count(), 0);
        assert_eq!(values(b"x:no end", "x").collect::<Vec<_>>(), ["no end"]);
        assert_eq!(values(b"x", "xyz").count(), 0);
    }
}
