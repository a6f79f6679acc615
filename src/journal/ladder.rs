//! A session as a ladder: client, MailFlux and next server side by side, with the delays.
//!
//! ```text
//!   18:42:26.123   +0.004  client ──▶ MAIL FROM:<a@b>
//!   18:42:26.124   +0.001  client ◀── 250 2.1.0 OK
//!   18:42:26.130   +0.006             q1A accepted …
//!   18:42:26.131   +0.001               ──▶ next  MAIL FROM:<a@b>
//!   18:42:26.132   +0.001               ◀── next  250 2.1.0 OK
//! ```
//!
//! MailFlux stands in the middle, where its events are; all arrows of a side are in one column.
//! The rungs of the next server's side are those of the sessions that carried a message of this
//! one: the part of their transcript that ends with the message's outcome.

use std::time::Duration;

use super::{Conversation, Line, Side, Sign, render::Delay};
use crate::base::{Leg, Printable};

/// The rungs of a session, and of the parts of others that carried its messages.
pub fn ladder(own: &Conversation, carried: &[Conversation]) -> Vec<String> {
    let mut rungs: Vec<(Leg, Line<'_>)> = Vec::new();
    for part in std::iter::once(own).chain(carried) {
        rungs.extend(part.lines.iter().map(|line| (part.id.leg, line.line())));
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
                format!("{:13}──▶ next  {text}", "")
            }
            (Leg::Out, Sign::Said { .. }) => format!("{:13}◀── next  {text}", ""),
            (Leg::In, Sign::Event) => format!("{:11}{text}", ""),
            (Leg::Out, Sign::Event) => format!("{:13}{text}", ""),
        };
        let delay = Delay(delay).to_string();
        out.push(format!("{} {delay:>8}  {}{rung}", line.at.clock(), line.mark.prefix()));
    }
    out
}
