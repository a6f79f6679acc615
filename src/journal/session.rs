//! What the journal remembers of each session, and of each message that just came.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::dialogue::{Dialogue, Verb};
use super::feed::About;
use super::transcript::Chain;
use super::{Context, Side, What};
use crate::base::{Leg, MessageId, Now, Printable, SessionId, Time, Wall};

/// The record of a session, live or ended.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// The other end; none when the journal missed the beginning.
    pub peer: Option<SocketAddr>,
    /// Outbound: the next server's name.
    pub next: Option<Box<str>>,
    /// When it began.
    pub opened: Wall,
    /// When it ended, and why.
    pub closed: Option<(Wall, Box<str>)>,
    /// Lines of its transcript, forgotten ones included.
    pub lines: u64,
    /// Transactions: MAIL commands that got 2xx.
    pub transactions: u64,
    /// Octets of message content.
    pub octets: u64,
    /// The end of its transcript.
    pub(super) chain: Chain,
}

/// A session that goes on.
#[derive(Debug)]
pub(super) struct Live {
    pub record: SessionRecord,
    pub dialogue: Dialogue,
    /// When its last line was.
    last: Time,
    /// Refusals so far.
    refusals: u32,
    /// What its lines said, while somebody listens.
    about: Option<Box<Said>>,
}

/// What a session's lines said of it, for the feed.
#[derive(Default, Debug)]
struct Said {
    helo: Option<Printable>,
    from: Option<Printable>,
    rcpt: Option<Printable>,
    tls: bool,
}

impl Live {
    fn new(now: Now) -> Live {
        let record = SessionRecord {
            peer: None,
            next: None,
            opened: now.wall,
            closed: None,
            lines: 0,
            transactions: 0,
            octets: 0,
            chain: Chain::default(),
        };
        Live { record, dialogue: Dialogue::new(now.time), last: now.time, refusals: 0, about: None }
    }

    /// Something was refused: for the how manieth time.
    pub fn refused(&mut self) -> u32 {
        self.refusals = self.refusals.saturating_add(1);
        self.refusals
    }

    /// How long ago the last line was; this is the last one now.
    pub fn elapsed(&mut self, now: Time) -> Duration {
        let elapsed = now.since(self.last);
        self.last = now;
        elapsed
    }

    /// Learns whom the session speaks of, from its lines.
    pub fn learn_about(&mut self, what: &What<'_>, context: &Context) {
        let What::Line { side, tls, text, .. } = *what else { return };
        let about = self.about.get_or_insert_default();
        about.tls = tls;
        match (side, context.verb) {
            (Side::Client, Some(Verb::Ehlo | Verb::Helo)) => {
                let name = text.get(5..).unwrap_or_default().trim_ascii();
                about.helo = Some(Printable::bounded(name, 255));
            }
            (Side::Client, Some(Verb::Rset)) => (about.from, about.rcpt) = (None, None),
            (Side::Client, Some(Verb::Mail)) => (about.from, about.rcpt) = (path(text), None),
            (Side::Client, Some(Verb::Rcpt)) => about.rcpt = path(text),
            _ => {}
        }
    }

    /// Learns from an event that is not a line.
    pub fn learn(&mut self, what: &What<'_>, now: Time) {
        match *what {
            What::Opened { peer, next } => {
                self.record.peer = Some(peer);
                self.record.next = next.map(Box::from);
            }
            What::Content { octets, .. } => {
                self.record.octets += octets;
                self.dialogue.content(now);
            }
            _ => {}
        }
    }
}

/// What stands in the angle brackets of a MAIL or RCPT command.
fn path(command: &[u8]) -> Option<Printable> {
    let start = command.iter().position(|b| *b == b'<')? + 1;
    let length = command[start..].iter().rposition(|b| *b == b'>')?;
    Some(Printable::bounded(&command[start..start + length], 512))
}

/// All sessions that the journal knows.
#[derive(Debug)]
pub struct Sessions {
    /// Boxed, since the room that a table keeps free is as large as its entries.
    live: HashMap<SessionId, Box<Live>>,
    /// Oldest first.
    ended: VecDeque<(SessionId, SessionRecord)>,
    keep: usize,
}

impl Sessions {
    /// Remembers the last `keep` ended sessions.
    pub(super) fn new(keep: usize) -> Sessions {
        Sessions { live: HashMap::new(), ended: VecDeque::new(), keep }
    }

    /// A session begins.
    pub(super) fn open(&mut self, id: SessionId, now: Now) {
        self.live.insert(id, Box::new(Live::new(now)));
    }

    /// A session that goes on.
    pub(super) fn live_mut(&mut self, id: SessionId) -> Option<&mut Live> {
        self.live.get_mut(&id).map(Box::as_mut)
    }

    /// A session that ended a moment ago: a message may become durable, or an attempt be
    /// accounted for, when the peer is already gone. Such words must not bring it back to life.
    pub(super) fn ended_mut(&mut self, id: SessionId) -> Option<&mut SessionRecord> {
        const A_MOMENT: usize = 256;
        let last = self.ended.iter_mut().rev().take(A_MOMENT);
        last.into_iter().find(|(ended, _)| *ended == id).map(|(_, record)| record)
    }

    /// The session is over.
    pub(super) fn close(&mut self, id: Option<SessionId>, why: &str, now: Now) {
        let Some((id, live)) = id.and_then(|id| self.live.remove_entry(&id)) else { return };
        if self.ended.len() >= self.keep {
            self.ended.pop_front();
        }
        if self.keep > 0 {
            let closed = Some((now.wall, Box::from(why)));
            self.ended.push_back((id, SessionRecord { closed, ..live.record }));
        }
    }

    /// The record of a session, live or ended not long ago.
    pub fn get(&self, id: SessionId) -> Option<&SessionRecord> {
        let live = self.live.get(&id).map(|live| &live.record);
        live.or_else(|| self.ended().find(|(ended, _)| *ended == id).map(|(_, record)| record))
    }

    /// What is known of a live session, for an item of the feed.
    pub(super) fn about(&self, id: SessionId) -> Option<About> {
        let live = self.live.get(&id)?;
        let said = live.about.as_deref();
        let peer = live.record.peer.map(|peer| peer.ip().to_canonical());
        Some(About {
            client: peer.filter(|_| id.leg == Leg::In),
            next: live.record.next.as_deref().map(Printable::new),
            helo: said.and_then(|said| said.helo.clone()),
            from: said.and_then(|said| said.from.clone()),
            rcpt: said.and_then(|said| said.rcpt.clone()),
            user: None,
            tls: said.is_some_and(|said| said.tls),
        })
    }

    /// The ended ones, the last to end first.
    pub fn ended(&self) -> impl Iterator<Item = (SessionId, &SessionRecord)> {
        self.ended.iter().rev().map(|(id, record)| (*id, record))
    }

    /// The live sessions of one leg.
    pub fn live_ids(&self, leg: Leg) -> impl Iterator<Item = SessionId> {
        self.live.keys().copied().filter(move |id| id.leg == leg)
    }

    /// Live sessions with the time of their last line: of up to `limit` of them that had one last.
    pub fn most_recent(&self, limit: usize) -> Vec<(SessionId, Time)> {
        let mut all: Vec<_> = self.live.iter().map(|(id, live)| (*id, live.last)).collect();
        if all.len() > limit && limit > 0 {
            all.select_nth_unstable_by_key(limit - 1, |(id, last)| (Reverse(*last), *id));
        }
        all.truncate(limit);
        all
    }

    /// How many go on.
    pub fn live(&self) -> usize {
        self.live.len()
    }
}

/// When the last messages came: a table that newer ones overwrite, so that how long a message
/// waited is known to the microsecond for most and to the second for all.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// The mark of the id, and microseconds, at the place that its counter says. All zero in the
    /// beginning, which takes no memory before it is written.
    table: Vec<(u64, u64)>,
}

const ARRIVALS: usize = 1 << 14;

impl Default for Arrivals {
    fn default() -> Arrivals {
        Arrivals { table: vec![(0, 0); ARRIVALS] }
    }
}

/// What tells a message from the others at its place; not zero, but for one in 2⁶⁴.
fn mark(id: MessageId) -> u64 {
    id.counter.wrapping_add(1)
}

impl Arrivals {
    fn place(id: MessageId) -> usize {
        (id.counter % ARRIVALS as u64) as usize
    }

    /// A message came.
    pub fn insert(&mut self, id: MessageId, now: Time) {
        self.table[Arrivals::place(id)] = (mark(id), now.as_micros());
    }

    /// How long ago a message came.
    pub fn age(&self, id: MessageId, now: Now) -> Duration {
        match self.table[Arrivals::place(id)] {
            (found, arrived) if found == mark(id) => now.time.since(Time::from_micros(arrived)),
            _ => now.wall.since(Wall::from_secs(id.arrived.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_exact_while_they_last_and_to_the_second_after() {
        let now = |ms: u64| Now {
            time: Time::from_micros(ms * 1000),
            wall: Wall::from_micros(ms as i64 * 1000 + 50_000_000),
        };
        let id = |counter| MessageId { counter, arrived: 50 };
        let mut arrivals = Arrivals::default();
        arrivals.insert(id(7), now(900).time);
        assert_eq!(arrivals.age(id(7), now(1001)).as_millis(), 101);
        arrivals.insert(id(7 + ARRIVALS as u64), now(1000).time);
        assert_eq!(arrivals.age(id(7), now(1001)).as_millis(), 1001);
        assert_eq!(arrivals.age(id(8), now(1001)).as_millis(), 1001);
    }

    #[test]
    fn only_the_last_sessions_are_remembered() {
        let mut sessions = Sessions::new(3);
        let id = |n: u64| format!("i{n}").parse::<SessionId>().unwrap();
        for n in 1..=5 {
            sessions.open(id(n), Now::default());
        }
        assert_eq!(sessions.live(), 5);
        for n in 1..=4 {
            sessions.close(Some(id(n)), "quit", Now::default());
        }
        sessions.close(Some(id(1)), "again", Now::default());
        sessions.close(None, "nobody", Now::default());
        assert!(sessions.get(id(1)).is_none() && sessions.live() == 1);
        assert!(sessions.get(id(5)).unwrap().closed.is_none());
        assert_eq!(&*sessions.get(id(4)).unwrap().closed.as_ref().unwrap().1, "quit");
        let ended: Vec<_> = sessions.ended().map(|(id, _)| id.number).collect();
        assert_eq!(ended, [4, 3, 2]);
    }
}
