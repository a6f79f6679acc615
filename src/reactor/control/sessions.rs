//! `sessions` and `session`: who is connected, and what was said.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::Answer;
use crate::base::{Leg, Printable, SessionId, show_duration};
use crate::control::{HeldLine, SessionLine, SessionView};
use crate::journal::{Conversation, EndedSession, Line, Report, Sign, ladder, render};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::reactor::slots::Slot;
use crate::spool::Disk;

/// Rows of `sessions` for people; programs get all.
const ROWS: usize = 500;

impl<N: Net, D: Disk> Reactor<N, D> {
    /// A live session for a list; none for a slot that is no session.
    pub(super) fn session_line(&self, slot: &Slot<N, D::File>) -> Option<SessionLine> {
        let (id, peer, state) = match slot {
            Slot::Inbound(c) if self.core.tells_of(c.role) => {
                (c.id, c.peer, c.session.state_name())
            }
            Slot::Outbound(c) => (c.id, c.peer, c.state_name()),
            _ => return None,
        };
        let record = self.core.journal.sessions().get(id);
        let age = record.map_or(Duration::ZERO, |r| self.now.wall.since(r.opened));
        let path = |address: Option<&str>| Printable::new(format!("<{}>", address.unwrap_or("")));
        let mut line = SessionLine {
            id: id.to_string(),
            leg: Printable::new(leg_name(id.leg)),
            peer: peer.to_string(),
            state: Printable::new(state),
            held: None,
            age_s: age.as_secs(),
            tls: false,
            user: None,
            from: None,
            to: None,
            rcpts: 0,
            bytes: record.map_or(0, |r| r.octets),
            last: Printable::new(self.core.journal.last_command(id).unwrap_or_default()),
        };
        line.held = super::debug::held_of(slot).map(|(_, held)| HeldLine {
            stage: Printable::new(held.stage.name()),
            by: Printable::new(&*held.by),
            about: held.about.clone(),
            left_s: held.until.since(self.now.time).as_secs(),
            peer_waits_s: held.patience.as_secs(),
        });
        match slot {
            Slot::Inbound(c) => {
                let facts = c.session.facts();
                line.tls = facts.tls;
                line.user = facts.user.map(Printable::new);
                line.from = facts.from.map(|from| path(from.map(|a| a.as_str())));
                line.to = c.session.last_recipient().map(|to| path(Some(to.as_str())));
                line.rcpts = facts.recipients as u64;
                line.bytes = line.bytes.max(c.session.bytes());
            }
            Slot::Outbound(c) => {
                if let Some(order) = c.session.transaction() {
                    line.from = Some(path(order.from.as_ref().map(|a| a.as_str())));
                    let to = order.recipients.last();
                    line.to = to.map(|(_, to)| path(Some(to.address.as_str())));
                    line.rcpts = order.recipients.len() as u64;
                }
            }
            _ => {}
        }
        Some(line)
    }

    /// `sessions [last=T]`
    pub(super) fn sessions(&mut self, last: Option<Duration>) -> Answer {
        let Some(last) = last else { return self.sessions_report(&[]).into() };
        let from = self.now.wall.before(last);
        if self.core.history.is_on() {
            return Answer::Job(self.recall_since(from));
        }
        let ended = self.core.journal.sessions().ended();
        let ended = ended.filter_map(|(id, record)| EndedSession::of(id, record));
        let ended: Vec<EndedSession> = ended.take_while(|ended| ended.closed >= from).collect();
        self.sessions_report(&ended).into()
    }

    /// The live ones, and these.
    pub(super) fn sessions_report(&mut self, ended: &[EndedSession]) -> Report {
        let mut live: Vec<SessionLine> =
            self.slots.iter().filter_map(|slot| self.session_line(slot)).collect();
        // Oldest first, as their numbers tell.
        live.sort_by_key(|line| line.id[1..].parse::<u64>().unwrap_or(0));
        let mut lines =
            vec![row(&["ID", "PEER", "STATE", "AGE", "TLS", "USER", "FROM", "RCPTS", "BYTES"])];
        let mut rows: Vec<Value> = Vec::with_capacity(live.len());
        for line in &live {
            lines.push(live_row(line));
            rows.push(live_json(line));
        }
        let room = (ROWS + 1).saturating_sub(lines.len());
        lines.extend(ended.iter().take(room).map(ended_row));
        rows.extend(ended.iter().map(ended_json));
        if rows.len() > ROWS {
            lines.truncate(ROWS + 1);
            lines.push(format!("… and {} more (--json has all)", rows.len() - ROWS));
        }
        if lines.len() == 1 {
            lines = vec!["no sessions".into()];
        }
        Report { json: json!({ "sessions": rows }), lines }
    }
}

/// `session ID [ladder|raw|hex]`; `carried` are the parts of others that carried its messages.
pub(super) fn session_report(
    own: &Conversation,
    carried: &[Conversation],
    view: SessionView,
) -> Report {
    let (id, lines) = (own.id, own.transcript());
    let json = json!({
        "session": id.to_string(),
        "complete": own.complete,
        "lines": (1..).zip(&lines).map(line_json).collect::<Vec<_>>(),
    });
    let mut text = match view {
        SessionView::Lines => (1..).zip(&lines).map(|line| shown(id, line)).collect(),
        SessionView::Ladder => ladder(own, carried),
        SessionView::Raw => raw(&lines),
        SessionView::Hex => hex(&lines),
    };
    if !own.complete {
        text.insert(0, "(older lines have made room for newer ones)".into());
    }
    Report { json, lines: text }
}

/// `in` or `out`.
pub(super) fn leg_name(leg: Leg) -> &'static str {
    match leg {
        Leg::In => "in",
        Leg::Out => "out",
    }
}

fn row(columns: &[&str; 9]) -> String {
    let [id, peer, state, age, tls, user, from, rcpts, bytes] = columns;
    let line = format!(
        "{id:<6} {peer:<21} {state:<8} {age:>7} {tls:<3} {user:<8} {rcpts:>5} {bytes:>9} {from}"
    );
    line.trim_end().to_owned()
}

fn live_row(line: &SessionLine) -> String {
    let age = show_duration(Duration::from_secs(line.age_s));
    let tls = if line.tls { "yes" } else { "no" };
    let user = line.user.as_ref().map_or("-", Printable::as_str);
    let way = match (&line.from, &line.to) {
        (Some(from), Some(to)) => format!("{from} → {to}"),
        (Some(from), None) => from.to_string(),
        _ => String::new(),
    };
    let (rcpts, bytes) = (line.rcpts.to_string(), line.bytes.to_string());
    let state = if line.held.is_some() { "||| held" } else { line.state.as_str() };
    row(&[&line.id, &line.peer, state, &age, tls, user, &way, &rcpts, &bytes])
}

fn live_json(line: &SessionLine) -> Value {
    let bare = |path: &Option<Printable>| {
        let path = path.as_ref().map(Printable::as_str);
        path.map(|p| p.trim_start_matches('<').trim_end_matches('>').to_owned())
    };
    json!({
        "id": line.id, "leg": line.leg, "peer": line.peer, "state": line.state,
        "held": line.held.is_some(), "hold": line.held, "age_s": line.age_s, "tls": line.tls,
        "user": line.user, "from": bare(&line.from), "rcpts": line.rcpts, "bytes": line.bytes,
        "last": line.last,
    })
}

fn ended_row(ended: &EndedSession) -> String {
    let peer = ended.peer.map_or("-".into(), |peer| peer.to_string());
    let lasted = |opened| show_duration(whole_seconds(ended.closed.since(opened)));
    let lasted = ended.opened.map_or("?".to_owned(), lasted);
    let why = format!("ended {}: {}", ended.closed.clock(), Printable::new(&ended.why));
    let bytes = ended.octets.to_string();
    row(&[&ended.id.to_string(), &peer, "ended", &lasted, "", "", &why, "", &bytes])
}

fn ended_json(ended: &EndedSession) -> Value {
    let age = ended.opened.map(|opened| ended.closed.since(opened).as_secs());
    json!({
        "id": ended.id.to_string(), "leg": leg_name(ended.id.leg),
        "peer": ended.peer.map(|peer| peer.to_string()), "state": "ended", "held": false,
        "age_s": age, "tls": false, "user": null, "from": null, "rcpts": 0,
        "bytes": ended.octets, "ended": ended.closed.as_micros().div_euclid(1_000_000),
        "why": Printable::new(&ended.why), "transactions": ended.transactions,
    })
}

/// Cut to seconds, so that people see `2m05s` and no fractions.
pub(super) fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

/// A line behind its number, as `explain ID:LINE` counts them.
fn shown(id: SessionId, (number, line): (usize, &Line<'_>)) -> String {
    let text = Printable::new(line.text);
    let line = render::line(line.at, line.delay, Some(id), line.sign, line.mark, &text);
    format!("{number:>3} {line}")
}

fn line_json((number, line): (usize, &Line<'_>)) -> Value {
    json!({
        "line": number,
        "at_ms": line.at.as_micros().div_euclid(1000),
        "delay_us": u64::try_from(line.delay.as_micros()).unwrap_or(u64::MAX),
        "sign": line.sign, "mark": line.mark, "text": Printable::new(line.text), "cut": line.cut,
    })
}

/// What was said and nothing else.
fn raw(lines: &[Line<'_>]) -> Vec<String> {
    let said = lines.iter().filter(|line| matches!(line.sign, Sign::Said { .. }));
    said.map(|line| Printable::new(line.text).into_string()).collect()
}

/// Sixteen octets a row, as octets and as text.
fn hex(lines: &[Line<'_>]) -> Vec<String> {
    let mut out = Vec::new();
    for line in lines.iter().filter(|line| matches!(line.sign, Sign::Said { .. })) {
        for (at, octets) in line.text.chunks(16).enumerate() {
            let mut row = format!("{:>3} {:04x} ", line.sign.as_str(), at * 16);
            for octet in octets {
                let _ = write!(row, " {octet:02x}");
            }
            row.push_str(&"   ".repeat(16 - octets.len()));
            let visible =
                octets.iter().map(|b| if (b' '..=b'~').contains(b) { *b as char } else { '.' });
            row.push_str("  ");
            row.extend(visible);
            out.push(row);
        }
    }
    out
}
