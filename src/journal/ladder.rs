//! A session as a ladder: client, MailFlux and next server side by side, with the delays.
//!
//! ```text
//!   18:42:26.123   +0.004  client ──▶ MAIL FROM:<a@b>
//!   18:42:26.124   +0.001  client ◀── 250 2.1.0 OK
//!   18:42:26.130   +0.006             q1A accepted …
//!   18:42:26.131   +0.001                       MAIL FROM:<a@b> ──▶ next server
//! ```
//!
//! The rungs of the next server's side are those of the sessions that carried a message of this
//! one: the part of their transcript that ends with the message's outcome.

use std::time::Duration;

use super::{Journal, Line, Side, Sign, render::Delay};
use crate::base::{Leg, Printable, SessionId};

/// Ended sessions with next servers that are looked through.
const LOOK_BACK: usize = 512;

/// The rungs of a session, and of what its messages became.
pub fn ladder(journal: &Journal, id: SessionId) -> Vec<String> {
    let Some((own, _)) = journal.transcript(id) else { return Vec::new() };
    let mut rungs: Vec<(Leg, Line<'_>)> = own.iter().map(|line| (id.leg, *line)).collect();
    if id.leg == Leg::In {
        for message in accepted(&own) {
            for line in carried(journal, &message) {
                rungs.push((Leg::Out, line));
            }
        }
    }
    rungs.sort_by_key(|(_, line)| line.at);
    let mut before = rungs.first().map(|(_, line)| line.at);
    let mut out = Vec::with_capacity(rungs.len());
    for (leg, line) in rungs {
        let delay = before.map_or(Duration::ZERO, |before| line.at.since(before));
        before = Some(line.at);
        let text = Printable::bounded(line.text, 200);
        let rung = match (leg, line.sign) {
            (Leg::In, Sign::Said { side: Side::Client, .. }) => format!("client ──▶ {text}"),
            (Leg::In, Sign::Said { .. }) => format!("client ◀── {text}"),
            (Leg::Out, Sign::Said { side: Side::Client, .. }) => {
                format!("{:24}{text} ──▶ next server", "")
            }
            (Leg::Out, Sign::Said { .. }) => format!("{:24}{text} ◀── next server", ""),
            (Leg::In, Sign::Event) => format!("{:11}{text}", ""),
            (Leg::Out, Sign::Event) => format!("{:24}{text}", ""),
        };
        let delay = Delay(delay).to_string();
        out.push(format!("{} {delay:>8}  {}{rung}", line.at.clock(), line.mark.prefix()));
    }
    out
}

/// Short ids of the messages that a session brought.
fn accepted(lines: &[Line<'_>]) -> Vec<String> {
    let events = lines.iter().filter(|line| line.sign == Sign::Event);
    let ids = events.filter_map(|line| {
        let text = std::str::from_utf8(line.text).ok()?;
        let (id, rest) = text.split_once(' ')?;
        (id.starts_with('q') && rest.starts_with("accepted")).then(|| id.to_owned())
    });
    ids.collect()
}

/// What sessions with next servers said about a message: for each of them the lines from the end
/// of the message before up to the last word about this one.
pub fn carried<'a>(journal: &'a Journal, message: &str) -> Vec<Line<'a>> {
    let sessions = journal.sessions();
    let ended = sessions.ended().map(|(id, _)| id).filter(|id| id.leg == Leg::Out);
    let all: Vec<SessionId> = ended.take(LOOK_BACK).chain(sessions.live_ids(Leg::Out)).collect();
    let mut found = Vec::new();
    for id in all {
        let Some((lines, _)) = journal.transcript(id) else { continue };
        let mut start = 0;
        let mut i = 0;
        while i < lines.len() {
            match about(&lines[i]) {
                Some(id) if id == message => {
                    let mut end = i + 1;
                    while lines.get(end).and_then(about).is_some_and(|id| id == message) {
                        end += 1;
                    }
                    found.extend_from_slice(&lines[start..end]);
                    (start, i) = (end, end);
                }
                Some(_) => {
                    start = i + 1;
                    i += 1;
                }
                None => i += 1,
            }
        }
    }
    found.sort_by_key(|line| line.at);
    found
}

/// The message that an event is about.
fn about<'a>(line: &Line<'a>) -> Option<&'a str> {
    if line.sign != Sign::Event {
        return None;
    }
    let end = line.text.iter().position(|b| *b == b' ').unwrap_or(line.text.len());
    let id = std::str::from_utf8(&line.text[..end]).ok()?;
    let digits = id.strip_prefix('q')?;
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}
