//! The log as a subscriber: which events become records, how loud, and in what words.
//!
//! A record is a whole line that the journal has written, as text or as JSON (the feed's item), so
//! that times come from the loop's clock and nothing but [`Printable`] gets there. [`write_record`]
//! is what the logger's formatter calls: it adds only the end of line, and a guise for records of
//! foreign crates.

use std::fmt::Write as _;
use std::io;

use serde::Serialize;

use super::feed::{FeedItem, level_of};
use super::{Ending, Event, Level, Sign, What, render};
use crate::base::{Leg, LogFormat, Printable, Wall};

/// The targets of the journal, as `log.level` names them.
pub const TARGETS: [&str; 6] = ["smtp", "next_server", "queue", "server", "tls", "dns"];

/// The target of an event.
pub fn target(event: &Event<'_>) -> &'static str {
    match event.what {
        What::Server { .. } => "server",
        What::NextServer { .. } | What::Attempt { .. } | What::Outcome { .. } => "next_server",
        What::Bounced { .. } | What::Retired => "queue",
        What::Accepted { .. } | What::Refused { .. } => "smtp",
        _ => match event.session.map(|session| session.leg) {
            Some(Leg::In) => "smtp",
            Some(Leg::Out) => "next_server",
            None => "server",
        },
    }
}

/// How loud an event is in the log: dialogue is traced, connections are for debugging.
pub fn level(what: &What<'_>) -> log::Level {
    match what {
        What::Line { .. } | What::Content { .. } => log::Level::Trace,
        What::Opened { .. } | What::Closed { .. } | What::Attempt { .. } | What::Retired => {
            log::Level::Debug
        }
        What::Outcome { ending: Ending::Failed, .. } => log::Level::Warn,
        what => match level_of(what) {
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        },
    }
}

/// The JSON form of a record.
#[derive(Serialize)]
struct JsonRecord<'a> {
    target: &'a str,
    #[serde(flatten)]
    item: &'a FeedItem,
}

/// The whole line of a record. Lines of dialogue are in the notation of a transcript, all else as
/// `i7 q1A` and words.
pub fn line(format: LogFormat, level: log::Level, target: &str, item: &FeedItem) -> String {
    if format == LogFormat::Json {
        return serde_json::to_string(&JsonRecord { target, item }).unwrap_or_default();
    }
    let at = Wall::from_micros(item.at_ms.saturating_mul(1000));
    let mut out = format!("{}T{}Z {level:<5} {target} ", at.date(), at.clock());
    if let Sign::Said { .. } = item.sign {
        let delay = std::time::Duration::from_micros(item.delay_us);
        render::after_time(&mut out, delay, item.session, item.sign, item.mark, &item.text);
        return out;
    }
    if let Some(session) = item.session {
        let _ = write!(out, "{session} ");
    }
    if let Some(message) = item.message {
        let _ = write!(out, "{} ", message.short());
    }
    out.push_str(item.mark.prefix());
    out.push_str(item.text.as_str());
    out
}

/// Writes a record of the `log` crate with its end of line: those of the journal as they are,
/// those of other crates made safe.
pub fn write_record(
    format: LogFormat,
    record: &log::Record<'_>,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let (level, target) = (record.level(), record.target());
    if TARGETS.contains(&target) {
        return writeln!(out, "{}", record.args());
    }
    let (target, text) = (Printable::new(target), Printable::new(record.args().to_string()));
    match format {
        LogFormat::Text => writeln!(out, "{level:<5} {target} {text}"),
        LogFormat::Json => {
            let level = level.as_str().to_ascii_lowercase();
            let value = serde_json::json!({ "level": level, "target": target, "text": text });
            writeln!(out, "{value}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Address, MessageId, Now, Time};
    use crate::journal::{Mark, Side};

    fn event(what: What<'_>) -> Event<'_> {
        let wall = Wall::from_micros(1_787_510_546_123_456);
        Event {
            now: Now { time: Time::ZERO, wall },
            session: "i7".parse().ok(),
            message: Some(MessageId { arrived: 1, counter: 26 }),
            what,
        }
    }

    fn written(format: LogFormat, event: &Event<'_>) -> String {
        let item = FeedItem::new(3, std::time::Duration::from_millis(4), (None, None), event);
        line(format, level(&event.what), target(event), &item)
    }

    #[test]
    fn an_accepted_message_is_one_line() {
        let from = Address::parse("a@b").unwrap();
        let event = event(What::Accepted { from: Some(&from), recipients: 1, size: 9 });
        assert_eq!(
            written(LogFormat::Text, &event),
            "2026-08-23T18:42:26.123Z INFO  smtp i7 q1A accepted from=<a@b> nrcpts=1 size=9"
        );
        let json: serde_json::Value =
            serde_json::from_str(&written(LogFormat::Json, &event)).unwrap();
        let want = serde_json::json!({
            "target": "smtp", "seq": 3, "at_ms": 1_787_510_546_123_i64, "delay_us": 4000,
            "session": "i7", "message": "00000001-00001a", "level": "info", "sign": "===",
            "what": "accepted", "from": "a@b", "nrcpts": 1, "size": 9,
            "text": "accepted from=<a@b> nrcpts=1 size=9",
        });
        assert_eq!(json, want);
    }

    #[test]
    fn dialogue_is_in_the_notation() {
        let (side, mark) = (Side::Server, Mark::Unexpected);
        let mut event = event(What::Line { side, tls: true, text: b"500 \xff\n", mark });
        event.message = None;
        assert_eq!(
            written(LogFormat::Text, &event),
            "2026-08-23T18:42:26.123Z TRACE smtp   +0.004 i7     <~ ** 500 \\xff\\x0a"
        );
    }

    #[test]
    fn records_of_others_are_made_safe() {
        let write = |format, target: &str, text: &str| {
            let mut out = Vec::new();
            let mut record = log::Record::builder();
            write_record(
                format,
                &record.target(target).args(format_args!("{text}")).build(),
                &mut out,
            )
            .unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(write(LogFormat::Text, "mio", "a\nb"), "INFO  mio a\\x0ab\n");
        assert_eq!(write(LogFormat::Text, "smtp", "a line"), "a line\n");
        let json = "{\"level\":\"info\",\"target\":\"mio\",\"text\":\"a\\\\x0ab\"}\n";
        assert_eq!(write(LogFormat::Json, "mio", "a\nb"), json);
    }
}
