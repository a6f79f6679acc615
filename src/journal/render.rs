//! The notation of a transcript, written once for log, feed and console.
//!
//! ```text
//! 18:42:26.123   +0.004 i7     -> EHLO mail.example.com
//! 18:42:26.123   +0.000 i7     <- 250-mx.example.net
//! 18:42:26.201   +0.078 i7     <~ ** 500 what
//! 18:42:26.201   +0.000 i7    === closed: peer went away
//! ```
//!
//! Time to the millisecond, delay since the line before it in that session, session, sign (`->`
//! client to server, `<-` server to client, `~>` and `<~` inside TLS, `===` an event), mark (`**`
//! unexpected, `!!!` injected, `|||` held) and text.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Ending, Mark, Side, Sign, What};
use crate::base::{Address, MessageId, Printable, Reply, SessionId, Wall};

/// Octets of a reply's text that an event's line shows.
const MAX_REPLY: usize = 512;

impl Sign {
    /// The three or two characters of the notation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Sign::Said { side: Side::Client, tls: false } => "->",
            Sign::Said { side: Side::Server, tls: false } => "<-",
            Sign::Said { side: Side::Client, tls: true } => "~>",
            Sign::Said { side: Side::Server, tls: true } => "<~",
            Sign::Event => "===",
        }
    }
}

impl TryFrom<&str> for Sign {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Sign, &'static str> {
        let (side, tls) = match text {
            "->" => (Side::Client, false),
            "<-" => (Side::Server, false),
            "~>" => (Side::Client, true),
            "<~" => (Side::Server, true),
            "===" => return Ok(Sign::Event),
            _ => return Err("not a sign of the notation"),
        };
        Ok(Sign::Said { side, tls })
    }
}

impl Serialize for Sign {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Sign {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Sign, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        Sign::try_from(&*text).map_err(serde::de::Error::custom)
    }
}

impl Mark {
    /// What stands before the text, with its blank.
    pub const fn prefix(self) -> &'static str {
        match self {
            Mark::Plain => "",
            Mark::Unexpected => "** ",
            Mark::Injected => "!!! ",
            Mark::Held => "||| ",
        }
    }
}

/// One line of the notation, without an end of line.
pub fn line(
    at: Wall,
    delay: Duration,
    session: Option<SessionId>,
    sign: Sign,
    mark: Mark,
    text: &Printable,
) -> String {
    let mut out = at.clock();
    out.push(' ');
    after_time(&mut out, delay, session, sign, mark, text);
    out
}

/// The line of the notation without its time.
pub fn after_time(
    out: &mut String,
    delay: Duration,
    session: Option<SessionId>,
    sign: Sign,
    mark: Mark,
    text: &Printable,
) {
    let _ = write!(out, "{:>8} ", Delay(delay).to_string());
    let session = session.map_or("-".into(), |session| session.to_string());
    let _ = write!(out, "{session:<5} ");
    let _ = write!(out, "{:>3} {}{text}", sign.as_str(), mark.prefix());
}

/// A delay as `+0.004`: seconds to the millisecond, from a hundred seconds on `+2m05s`, from a
/// hundred minutes on `+2h05m`.
pub struct Delay(
    /// How long.
    pub Duration,
);

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        match secs {
            0..100 => write!(f, "+{secs}.{:03}", self.0.subsec_millis()),
            100..6000 => write!(f, "+{}m{:02}s", secs / 60, secs % 60),
            _ => write!(f, "+{}h{:02}m", secs / 3600, secs / 60 % 60),
        }
    }
}

/// The text of an event, safe to show: for a line the line itself, else a short sentence.
pub fn text(what: &What<'_>) -> Printable {
    match what {
        What::Line { text, .. } => Printable::new(text),
        what => Printable::new(octets(what)),
    }
}

/// The text of an event as octets.
pub fn octets(what: &What<'_>) -> Vec<u8> {
    match what {
        What::Line { text, .. } => text.to_vec(),
        What::Content { octets, .. } => format!("[{octets} octets of content]").into(),
        What::Opened { peer, next: None } => format!("connected from {peer}").into(),
        What::Opened { peer, next: Some(next) } => format!("connected to {next} ({peer})").into(),
        What::Remark(text) | What::Held(text) | What::Injected(text) => text.as_bytes().to_vec(),
        What::Closed { why } => format!("closed: {why}").into(),
        What::Accepted { from, recipients, size } => {
            format!("accepted from={} nrcpts={recipients} size={size}", path(*from)).into()
        }
        What::Refused { reply } => with_reply("refused:", reply),
        What::Attempt { recipients, size } => {
            format!("attempt nrcpts={recipients} size={size}").into()
        }
        What::Outcome { recipient, ending, reply, next, at } => {
            let start = format!("{} to={}", ending.name(), path(Some(recipient)));
            // The reply is what people look for, and where a line is short it must be on it.
            let mut end = format!(" (next={next}");
            if let Some((host, peer)) = at {
                let ip = peer.ip().to_string();
                // One that was configured by its address has no other name.
                let host = if *host == ip { "" } else { host };
                end += &format!(" host={host}[{ip}]:{}", peer.port());
            }
            [&with_reply(&start, reply)[..], end.as_bytes(), b")"].concat()
        }
        What::Bounced { bounce, recipients } => {
            let s = if *recipients == 1 { "" } else { "s" };
            format!("sender told by {} about {recipients} recipient{s}", bounce.short()).into()
        }
        What::Retired => b"done".to_vec(),
        What::NextServer { name, state, .. } => format!("{name}: {state}").into(),
        What::Server { text, .. } => text.as_bytes().to_vec(),
    }
}

/// The text of an event behind the short id of its message, as octets.
pub fn about(message: Option<MessageId>, what: &What<'_>) -> Vec<u8> {
    let mut out = message.map_or(String::new(), |id| format!("{} ", id.short())).into_bytes();
    out.extend_from_slice(&octets(what));
    out
}

/// An address as a path: `<a@b>`, none `<>`.
fn path(address: Option<&Address>) -> String {
    format!("<{}>", address.map_or("", Address::as_str))
}

fn with_reply(start: &str, reply: &Reply) -> Vec<u8> {
    let mut out = format!("{start} ").into_bytes();
    out.extend_from_slice(&reply_line(reply));
    out
}

/// A reply on one line, as people quote it: `550 5.1.1 no such user`. Its lines are joined by
/// ` / `; cut after 512 octets.
pub fn reply_line(reply: &Reply) -> Vec<u8> {
    let mut out = reply.code.to_string().into_bytes();
    if let Some(enhanced) = reply.enhanced {
        out.extend_from_slice(format!(" {enhanced}").as_bytes());
    }
    for (i, line) in reply.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        out.extend_from_slice(if i == 0 { b" " } else { b" / " });
        out.extend_from_slice(line);
        if out.len() > MAX_REPLY {
            out.truncate(MAX_REPLY);
            break;
        }
    }
    out
}

impl Ending {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Ending::Delivered => "delivered",
            Ending::Deferred => "deferred",
            Ending::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Enhanced;

    #[test]
    fn the_notation() {
        let at = Wall::from_micros(1_787_510_546_123_456);
        let i7 = "i7".parse().ok();
        let show = |delay, session, sign, mark| {
            line(at, Duration::from_micros(delay), session, sign, mark, &Printable::new("x\r"))
        };
        let client = Sign::Said { side: Side::Client, tls: false };
        assert_eq!(show(4999, i7, client, Mark::Plain), "18:42:26.123   +0.004 i7     -> x\\x0d");
        let server = Sign::Said { side: Side::Server, tls: true };
        assert_eq!(
            show(123_400_000, i7, server, Mark::Unexpected),
            "18:42:26.123   +2m03s i7     <~ ** x\\x0d"
        );
        assert_eq!(
            show(7_500_000_000, None, Sign::Event, Mark::Injected),
            "18:42:26.123   +2h05m -     === !!! x\\x0d"
        );
    }

    #[test]
    fn signs_read_back() {
        for sign in ["->", "<-", "~>", "<~", "==="] {
            assert_eq!(Sign::try_from(sign).unwrap().as_str(), sign);
        }
        assert!(Sign::try_from("=>").is_err());
    }

    #[test]
    fn every_event_has_its_words() {
        let a = Address::parse("a@b").unwrap();
        let reply = Reply::made(550, Some(Enhanced(5, 1, 1)), "no\x1b\nsuch user");
        let id = MessageId { arrived: 1, counter: 26 };
        let peer = "192.0.2.7:25".parse().unwrap();
        let level = super::super::Level::Warn;
        for (what, want) in [
            (What::Opened { peer, next: None }, "connected from 192.0.2.7:25"),
            (What::Opened { peer, next: Some("mx") }, "connected to mx (192.0.2.7:25)"),
            (What::Content { side: Side::Client, octets: 5 }, "[5 octets of content]"),
            (What::Remark("slow"), "slow"),
            (What::Held("held at rcpt"), "held at rcpt"),
            (What::Injected("x1: 451 later"), "x1: 451 later"),
            (What::Closed { why: "quit" }, "closed: quit"),
            (
                What::Accepted { from: Some(&a), recipients: 1, size: 9 },
                "accepted from=<a@b> nrcpts=1 size=9",
            ),
            (
                What::Accepted { from: None, recipients: 2, size: 9 },
                "accepted from=<> nrcpts=2 size=9",
            ),
            (What::Attempt { recipients: 2, size: 9 }, "attempt nrcpts=2 size=9"),
            (What::Refused { reply: &reply }, "refused: 550 5.1.1 no  / such user"),
            (
                What::Outcome {
                    recipient: &a,
                    ending: Ending::Failed,
                    reply: &reply,
                    next: "mx",
                    at: Some(("mx1", peer)),
                },
                "failed to=<a@b> 550 5.1.1 no  / such user (next=mx host=mx1[192.0.2.7]:25)",
            ),
            (
                What::Outcome {
                    recipient: &a,
                    ending: Ending::Failed,
                    reply: &reply,
                    next: "mx",
                    at: Some(("192.0.2.7", peer)),
                },
                "failed to=<a@b> 550 5.1.1 no  / such user (next=mx host=[192.0.2.7]:25)",
            ),
            (What::Bounced { bounce: id, recipients: 1 }, "sender told by q1A about 1 recipient"),
            (What::Retired, "done"),
            (What::NextServer { name: "mx", state: "ready", level }, "mx: ready"),
            (What::Server { level, text: "a\nb" }, "a\\x0ab"),
        ] {
            assert_eq!(text(&what).as_str(), want);
        }
    }

    #[test]
    fn a_long_reply_is_cut() {
        let reply = Reply::made(450, None, "many words\n".repeat(100));
        assert!(reply_line(&reply).len() <= MAX_REPLY);
        assert_eq!(reply_line(&Reply::bare(250, "")), b"250");
    }
}
