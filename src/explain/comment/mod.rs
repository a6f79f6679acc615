//! Notes on a session as it goes: what each line is in its place, and what of it breaks a rule.
//!
//! The commentator hears what a transcript holds and nothing else, so it can follow a live session,
//! one that ended, or one that a student types. It knows as much of the session as both sides can
//! know: how far the greeting is, what EHLO offered, what transaction is open, which commands wait
//! for their replies.
//!
//! | heard | becomes |
//! | --- | --- |
//! | 220 to the connection | greeted |
//! | 250 to EHLO or HELO | introduced; the offers of EHLO are noted; no transaction |
//! | MAIL, 250 | transaction |
//! | RCPT, 250 | transaction with one recipient more |
//! | reply to the final dot, to a last BDAT, 250 to RSET | no transaction |
//! | 220 to STARTTLS | greeted, inside TLS, no offers |
//!
//! When a transcript begins in the middle, the commentator takes what it hears for granted until
//! it has heard a greeting: nobody is blamed for what was said before.

mod answer;
mod command;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::book::{Entry, Kind, entry};
use super::report::{entry_json, entry_lines, wrap};
use crate::base::{Leg, Printable, Report};
use crate::journal::{Side, Sign, Verb};

/// Commands that may wait for their replies; more are not counted.
const MAX_WAITING: usize = 4096;
/// Octets of a line that a report shows.
const MAX_SHOWN: usize = 400;

/// A rule that a line breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Breach {
    /// What is wrong; safe to show.
    pub what: String,
    /// Whose rule it is.
    pub rfc: &'static str,
}

/// What there is to say about a line.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Comment {
    /// What the line is, in its place, in a few words; safe to show.
    pub note: String,
    /// What it breaks.
    pub breaches: Vec<Breach>,
    /// What to read about it.
    pub entries: Vec<&'static Entry>,
    /// The last line of a reply: the command that it answers, in upper case (`connect` for the
    /// greeting, `.` for the end of content), and the code.
    pub answered: Option<(String, u16)>,
}

impl Comment {
    /// The short note beside a live line: a breach with its mark, else what the line is.
    pub fn annotation(&self) -> String {
        match &self.breaches[..] {
            [] => self.note.clone(),
            [breach, ..] => format!("** {} ({})", breach.what, breach.rfc),
        }
    }

    /// `explain i7:11`: the line with all that there is to say.
    pub fn report(&self, sign: Sign, text: &[u8]) -> Report {
        let shown = Printable::bounded(text, MAX_SHOWN);
        let mut lines = Vec::new();
        wrap(&mut lines, &format!("{} ", sign.as_str()), shown.as_str());
        wrap(&mut lines, "  ", &self.note);
        for breach in &self.breaches {
            wrap(&mut lines, "  ** ", &format!("{} ({})", breach.what, breach.rfc));
        }
        if !self.entries.is_empty() {
            lines.push(String::new());
            lines.extend(entry_lines(&self.entries));
        }
        let breaches = self.breaches.iter().map(|b| json!({ "what": b.what, "rfc": b.rfc }));
        let json = json!({
            "sign": sign.as_str(), "text": shown, "note": self.note,
            "breaches": breaches.collect::<Vec<Value>>(),
            "entries": self.entries.iter().map(|entry| entry_json(entry)).collect::<Vec<Value>>(),
        });
        Report { json, lines }
    }

    fn breaks(&mut self, what: impl Into<String>, rfc: &'static str) {
        self.breaches.push(Breach { what: what.into(), rfc });
    }

    fn read(&mut self, kind: Kind, name: &str) {
        let found = entry(kind, name).filter(|entry| !self.entries.contains(entry));
        self.entries.extend(found);
    }
}

/// How far the session is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Phase {
    /// The beginning was not heard.
    Unknown,
    /// Nothing was said yet.
    Silent,
    /// The server has greeted.
    Greeted,
    /// HELO or EHLO was answered.
    Introduced,
    /// QUIT was answered, or the server has said that it closes.
    Over,
}

/// The transaction that is open, by what was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Transaction {
    None,
    /// MAIL was taken, and so many recipients.
    Open(usize),
    /// 354 was said: content comes.
    Content,
}

/// A command that waits for its reply.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Asked {
    verb: Verb,
    /// In upper case, as far as it is a word.
    word: String,
    /// BDAT with LAST.
    last: bool,
}

/// Follows a session.
#[derive(Clone, Debug)]
pub struct Commentator {
    leg: Leg,
    phase: Phase,
    /// Keywords of the answer to EHLO, in upper case.
    offers: Vec<String>,
    transaction: Transaction,
    waiting: VecDeque<Asked>,
    /// The code of a reply whose last line has not come.
    unfinished: Option<u16>,
    tls: bool,
    /// A challenge of AUTH was the last that the server said.
    challenged: bool,
}

impl Commentator {
    /// For a session whose beginning is heard.
    pub fn new(leg: Leg) -> Commentator {
        let connect = Asked { verb: Verb::Connect, word: "connect".into(), last: false };
        Commentator {
            leg,
            phase: Phase::Silent,
            offers: Vec::new(),
            transaction: Transaction::None,
            waiting: VecDeque::from([connect]),
            unfinished: None,
            tls: false,
            challenged: false,
        }
    }

    /// For a session whose beginning is forgotten.
    pub fn in_the_middle(leg: Leg) -> Commentator {
        let new = Commentator::new(leg);
        Commentator { phase: Phase::Unknown, waiting: VecDeque::new(), ..new }
    }

    /// A line passed: what it is, and what it breaks.
    pub fn hear(&mut self, sign: Sign, text: &[u8]) -> Comment {
        match sign {
            Sign::Said { side, tls } => {
                self.tls |= tls;
                match side {
                    Side::Client => self.client(text),
                    Side::Server => self.server(text),
                }
            }
            Sign::Event => event(text),
        }
    }

    /// Whether the answer to EHLO has offered this.
    fn offered(&self, keyword: &str) -> bool {
        self.phase == Phase::Unknown || self.offers.iter().any(|offer| offer == keyword)
    }

    /// Us, on the one leg or the other.
    fn name_of(&self, side: Side) -> &'static str {
        match (self.leg, side) {
            (Leg::In, Side::Client) => "the client",
            (Leg::In, Side::Server) | (Leg::Out, Side::Client) => "MailFlux",
            (Leg::Out, Side::Server) => "the next server",
        }
    }

    fn start_over(&mut self, phase: Phase) {
        self.phase = phase;
        self.transaction = Transaction::None;
        self.offers.clear();
    }
}

/// An event: the entry of a fault or state that its text names, if it does.
fn event(text: &[u8]) -> Comment {
    if let Some(comment) = command::content_passed(text) {
        return comment;
    }
    let mut comment =
        Comment { note: "an event, nothing on the wire".into(), ..Comment::default() };
    comment.read(Kind::Notation, "===");
    let text = String::from_utf8_lossy(text);
    if let Some(found) = super::lookup::phrase(&text) {
        comment.entries.extend(found);
    }
    comment
}

/// Line ends inside a line, and other control characters: neither side may send them.
fn check_octets(comment: &mut Comment, text: &[u8], of: &str) {
    if memchr::memchr2(b'\r', b'\n', text).is_some() {
        let what = format!("a bare CR or LF in a {of}: lines end with both together");
        comment.breaks(what, "RFC 5321 section 2.3.8");
    } else if text.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
        comment.breaks(format!("a control character in a {of}"), "RFC 5321 section 4.1.2");
    }
}
