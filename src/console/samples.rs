//! Items for the tests of the console.

use crate::base::{Printable, SessionId};
use crate::journal::{About, FeedItem, Kind, Level, Mark, Side, Sign};

/// 2026-11-23 18:42:26.123 UTC.
pub const AT_MS: i64 = 1_795_459_346_123;

/// An event of a session.
pub fn event(seq: u64, session: &str, text: &str) -> FeedItem {
    FeedItem {
        seq,
        at_ms: AT_MS + seq as i64 * 7,
        delay_us: seq * 1000,
        session: session.parse::<SessionId>().ok(),
        message: None,
        level: Level::Info,
        sign: Sign::Event,
        mark: Mark::Plain,
        verb: None,
        code: None,
        kind: Kind::Remark,
        text: Printable::new(text),
        about: None,
        note: None,
    }
}

/// A line of a dialogue: `C: …` or `S: …`.
pub fn said(seq: u64, session: &str, text: &str) -> FeedItem {
    let (side, text) = match text.split_at(3) {
        ("C: ", text) => (Side::Client, text),
        (_, text) => (Side::Server, text),
    };
    FeedItem {
        sign: Sign::Said { side, tls: false },
        code: text.get(..3).and_then(|code| code.parse().ok()),
        kind: Kind::Line,
        about: Some(Box::new(About {
            client: "192.0.2.7".parse().ok(),
            from: Some(Printable::new("ann@example.org")),
            rcpt: Some(Printable::new("bob@example.net")),
            ..About::default()
        })),
        ..event(seq, session, text)
    }
}
