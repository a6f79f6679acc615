//! What consoles are shown: the feed, and snapshots of how things stand.

use std::time::Duration;

use serde_json::json;

use super::Asker;
use crate::base::{Leg, Now, Printable, Time};
use crate::control::{Hello, SessionLine, Snapshot, Told};
use crate::journal::{Counter, FeedItem, Journal, Measure, Report, Verb, Window};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::reactor::slots::Slot;
use crate::reactor::tick::Life;
use crate::spool::Disk;

/// Between two portions of the feed: often enough for the eye, seldom enough for full load.
const FEED_EVERY: Duration = Duration::from_millis(50);
/// Between two looks of a tutor.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Between two snapshots.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(500);
/// Items told at once.
const PORTION: usize = 512;
/// Sessions in a snapshot.
const SESSIONS: usize = 32;

/// A place in the feed.
pub(super) struct Reader {
    /// The number of the next event to be told.
    pub seq: u64,
    /// When to tell again.
    pub next: Time,
}

impl Reader {
    /// From the number on.
    pub fn new(seq: u64) -> Reader {
        Reader { seq, next: Time::ZERO }
    }

    /// Goes by all items, for who looks elsewhere for what they are.
    pub fn pass(&mut self, newest: u64, now: Now) {
        (self.seq, self.next) = (newest, now.time.after(LOOK_EVERY));
    }

    /// The items since the last time, with notes or without, and how many more there were: they
    /// were too many, or their reader too slow. None when it is not yet time or there is nothing
    /// new.
    pub fn read(
        &mut self,
        journal: &mut Journal,
        notes: bool,
        now: Now,
    ) -> Option<(Vec<FeedItem>, u64)> {
        let newest = journal.next_seq();
        if now.time < self.next || self.seq >= newest {
            return None;
        }
        let mut items: Vec<FeedItem> =
            journal.feed().since(self.seq).take(PORTION).cloned().collect();
        if !notes {
            items.iter_mut().for_each(|item| item.note = None);
        }
        // A full portion has more behind it.
        let end = match items.last() {
            Some(last) if items.len() == PORTION => last.seq + 1,
            _ => newest,
        };
        let dropped = end - self.seq - items.len() as u64;
        self.seq = end;
        self.next = if end < newest { now.time } else { now.time.after(FEED_EVERY) };
        Some((items, dropped))
    }
}

/// A console that watches.
pub struct Watching {
    pub(super) reader: Reader,
    pub(super) next_snapshot: Time,
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// A console begins to watch; a second wish changes nothing.
    pub(super) fn watch(&mut self, asker: &mut Asker, backlog: usize) {
        if asker.watching.is_some() {
            return;
        }
        asker.told.push_back(Told::Hello(self.hello()));
        let feed = self.core.journal.feed();
        let from = feed.subscribe();
        let from = feed.back(from, backlog);
        asker.watching = Some(Watching { reader: Reader::new(from), next_snapshot: Time::ZERO });
    }

    fn hello(&self) -> Hello {
        let config = &self.core.config;
        Hello {
            version: env!("CARGO_PKG_VERSION").into(),
            hostname: Printable::new(&config.server.hostname),
            pid: std::process::id(),
            settings: config.rows().into_iter().map(|row| Printable::new(row.name)).collect(),
            next_servers: config.next_servers.iter().map(|s| Printable::new(&s.name)).collect(),
        }
    }

    /// `annotate on|off`. Each asker has notes of its own: a console for as long as it is there,
    /// other connections to the control socket for what they follow.
    pub(super) fn annotate(&mut self, on: bool, asker: &mut Asker) -> Report {
        self.give_notes(asker, on);
        let how = if on { "with notes" } else { "without notes" };
        let mut lines = vec![format!("lines are shown {how} here, and to nobody else")];
        if on && !asker.is_watching() {
            lines.push("'ctl' is over now: 'ctl follow notes=on' follows with notes".to_owned());
        }
        Report { json: json!({ "annotate": on }), lines }
    }

    /// Gives notes to an asker, or no more.
    pub(super) fn give_notes(&mut self, asker: &mut Asker, on: bool) {
        match (asker.annotates, on) {
            (false, true) => self.core.notes.subscribe(),
            (true, false) => self.core.notes.unsubscribe(),
            _ => {}
        }
        asker.annotates = on;
    }

    /// Tells an asker what happened, and how things stand, when it is time for that.
    pub fn tell_news(&mut self, asker: &mut Asker) {
        let (now, notes) = (self.now, asker.annotates);
        let Some(watching) = &mut asker.watching else { return };
        if let Some((items, dropped)) = watching.reader.read(&mut self.core.journal, notes, now) {
            asker.told.push_back(Told::Feed { items, dropped });
        }
        if now.time >= watching.next_snapshot {
            watching.next_snapshot = now.time.after(SNAPSHOT_EVERY);
            let snapshot = self.snapshot();
            asker.told.push_back(Told::Snapshot(Box::new(snapshot)));
        }
    }

    /// How things stand.
    fn snapshot(&mut self) -> Snapshot {
        let (now, counts) = (self.now, self.core.queue.counts());
        let (inbound, outbound) = self.sessions_now();
        let sessions = self.session_lines(SESSIONS);
        let stats = self.core.journal.stats(now);
        let count = |counter| stats.counter(counter, Window::Start);
        let longest = |measure| ms(stats.percentiles(measure, Window::Start).max);
        let committed = Measure::Reply(Leg::In, Verb::Dot);
        Snapshot {
            at_ms: now.wall.as_micros().div_euclid(1000),
            uptime_s: now.time.as_micros() / 1_000_000,
            inbound,
            outbound,
            held_sessions: self.core.debug.held as u64,
            queue: counts.messages as u64,
            deferred: counts.deferred as u64,
            held: counts.held as u64,
            accepted: count(Counter::Accepted),
            delivered: count(Counter::Delivered),
            bounced: count(Counter::Bounced),
            rejected: count(Counter::Rejected),
            replies_4xx: count(Counter::Replies4xx),
            replies_5xx: count(Counter::Replies5xx),
            p95_ms: ms(stats.percentiles(committed, Window::Minute).p95),
            last_tick_ms: stats.last_tick().as_secs_f64() * 1000.0,
            max_tick_ms: longest(Measure::Tick),
            max_sync_ms: longest(Measure::Sync),
            draining: self.life != Life::Running,
            faults: self.core.debug.faults.len() as u64,
            sessions,
        }
    }

    /// Sessions on both legs; not those of a sink beside a relay, which are told of nowhere.
    pub(super) fn sessions_now(&self) -> (u64, u64) {
        let outbound = self.next.open.iter().map(Vec::len).sum::<usize>();
        ((self.inbound - self.untold) as u64, outbound as u64)
    }

    /// Some of the live sessions, those that did something last first.
    fn session_lines(&mut self, limit: usize) -> Vec<SessionLine> {
        let mut recent = self.core.journal.sessions().most_recent(limit);
        recent.sort_by_key(|(_, last)| std::cmp::Reverse(*last));
        let mut wanted: Vec<_> = recent.into_iter().map(|(id, _)| id).collect();
        // Those that are held wait for somebody: they come before all others.
        if self.core.debug.held > 0 {
            let mut held: Vec<_> = self.slots.iter().filter_map(super::debug::held_of).collect();
            held.sort_by_key(|(_, held)| held.since);
            let held: Vec<_> = held.into_iter().map(|(id, _)| id).collect();
            wanted.retain(|id| !held.contains(id));
            wanted.splice(0..0, held);
            wanted.truncate(limit);
        }
        let mut lines: Vec<(usize, SessionLine)> = Vec::with_capacity(wanted.len());
        for slot in self.slots.iter() {
            let id = match slot {
                Slot::Inbound(c) => c.id,
                Slot::Outbound(c) => c.id,
                _ => continue,
            };
            if let Some(place) = wanted.iter().position(|w| *w == id) {
                if let Some(line) = self.session_line(slot) {
                    lines.push((place, line));
                }
            }
        }
        lines.sort_by_key(|(place, _)| *place);
        lines.into_iter().map(|(_, line)| line).collect()
    }
}

/// Microseconds as milliseconds.
pub(super) fn ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}
