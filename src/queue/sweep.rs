//! The sweep: once each interval all messages are looked at, in slices, so that a long queue never
//! stalls the loop. What has waited long enough becomes due; what is too old is given up; what
//! failed is given out to be reported.

use std::time::Duration;

use super::schedule::seconds;
use super::server::State;
use super::store::{Node, Part, Parts, Place};
use super::{Queue, ServerId};
use crate::base::{MessageId, Now, Reply, Time};

/// Messages looked at in one call.
const SLICE: usize = 4096;
/// Reports given out in one call: each makes the caller read a message and build another.
const REPORTS: usize = 64;

/// How long after it was given out a report is given out again, unless [`Queue::reported`] was told
/// that it is done: the cap on bounces counts by the minute.
pub const REPORT_AGAIN: Duration = Duration::from_secs(60);

/// What one call of [`Queue::sweep`] found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sweep {
    /// Recipients that failed or expired, until [`Queue::reported`] is told that their sender was.
    pub failed: Vec<Report>,
    /// Recipients that are late; given out once, unless [`Queue::unreported`] says that it was in
    /// vain.
    pub late: Vec<Report>,
    /// Messages for a next server that is gone from the configuration, and those that park because
    /// there are too many destinations: give them a new one with [`Queue::reroute`].
    pub unrouted: Vec<MessageId>,
}

/// What the sender of a message is to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The message.
    pub id: MessageId,
    /// Of which recipients.
    pub recipients: Vec<Reported>,
}

/// One recipient that failed or is late.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reported {
    /// Its index in the envelope.
    pub recipient: u32,
    /// The next server for it.
    pub server: ServerId,
    /// The last that was heard of it, or of its server; cut to 512 octets.
    pub reply: Option<Reply>,
    /// The host that said so, if it is known.
    pub host: Option<String>,
    /// It did not fail: it was given up at [`expire`](super::QueueConfig::expire).
    pub expired: bool,
}

impl Sweep {
    fn has_room(&self) -> bool {
        self.failed.len() + self.late.len() < REPORTS
    }
}

impl Queue {
    /// When [`Queue::sweep`] is to be called again; in the past when it has more to do at once.
    pub fn next_sweep(&self) -> Time {
        if self.sweeping.is_some() || !self.fresh.is_empty() { Time::ZERO } else { self.next_sweep }
    }

    /// Reports what failed since the last call, and looks at the next slice of all messages when
    /// it is time for that. Cheap before [`Queue::next_sweep`]; call it once a tick.
    ///
    /// A failed recipient that neither [`Queue::reported`] nor [`Queue::unreported`] is told of is
    /// given out again after [`REPORT_AGAIN`].
    pub fn sweep(&mut self, now: Now) -> Sweep {
        let mut sweep = Sweep::default();
        while sweep.has_room() {
            let Some(counter) = self.fresh.pop_front() else { break };
            self.look_at(counter, now, &mut sweep);
        }
        let from = match self.sweeping {
            Some(counter) => counter,
            None if now.time < self.next_sweep => return sweep,
            None => {
                let interval = self.config.interval.max(Duration::from_millis(1));
                self.next_sweep = now.time.after(interval);
                0
            }
        };
        let slice: Vec<u64> = self.index.from(from).take(SLICE).map(|(n, _)| n).collect();
        for counter in &slice {
            if !sweep.has_room() {
                self.sweeping = Some(*counter);
                return sweep;
            }
            self.look_at(*counter, now, &mut sweep);
        }
        let last = slice.last().filter(|_| slice.len() == SLICE);
        self.sweeping = last.and_then(|counter| counter.checked_add(1));
        sweep
    }

    /// These failed recipients are done: their bounce is durable, or none is due.
    pub fn reported(&mut self, counter: u64, recipients: &[u32]) {
        let mut done = recipients.to_vec();
        done.sort_unstable();
        for slot in self.slot_list(counter) {
            let Place::Failed { .. } = self.store[slot].place else { continue };
            let Some(node) = self.detach(slot) else { continue };
            let told = |recipient: u32| done.binary_search(&recipient).is_ok();
            let (gone, kept): (Vec<_>, Vec<_>) =
                node.parts.all().iter().partition(|p| told(p.recipient));
            self.release_replies(&gone);
            if !kept.is_empty() {
                self.attach(Node { parts: Parts::new(kept), ..node });
            }
        }
    }

    /// These could not be reported, for reasons that are not theirs: they are given out again,
    /// those that failed after `retry_min`, those that are late by the next sweep.
    pub fn unreported(&mut self, counter: u64, recipients: &[u32], now: Now) {
        let due = now.time.after(self.config.retry_min).into();
        for slot in self.slot_list(counter) {
            let node = &mut self.store[slot];
            let is_meant = |part: &Part| recipients.contains(&part.recipient);
            if let Place::Failed { expired, .. } = node.place {
                if node.parts.all().iter().any(is_meant) {
                    node.place = Place::Failed { expired, due };
                }
            } else {
                let late = node.parts.all_mut().iter_mut().filter(|part| is_meant(part));
                late.for_each(|part| part.delayed = false);
            }
        }
    }

    fn look_at(&mut self, counter: u64, now: Now, sweep: &mut Sweep) {
        let Some(first) = self.index.get(counter) else { return };
        let (id, birth) = (self.store[first].id(), self.store[first].birth);
        let age = seconds(now.time).saturating_sub(i64::from(birth));
        let age = Duration::from_secs(u64::try_from(age).unwrap_or(0));
        let late = self.config.delay_notice.is_some_and(|notice| age >= notice);
        let mut of_failed = Vec::new();
        let mut of_late = Vec::new();
        let mut unrouted = false;
        let mut look = |queue: &mut Queue, slot: u32| {
            queue.advance(slot, age >= queue.config.expire, late, now, &mut of_late);
            queue.report_failed(slot, now, &mut of_failed);
            let node = &queue.store[slot];
            let server = &queue.servers[usize::from(node.server.0)];
            unrouted |= (server.state == State::Gone || server.limits.direct)
                && !matches!(node.place, Place::Failed { .. });
        };
        look(self, first);
        if self.more.contains_key(&counter) {
            for slot in self.slot_list(counter).into_iter().filter(|slot| *slot != first) {
                look(self, slot);
            }
        }
        for (list, recipients) in [(&mut sweep.failed, of_failed), (&mut sweep.late, of_late)] {
            if !recipients.is_empty() {
                list.push(Report { id, recipients });
            }
        }
        if unrouted {
            sweep.unrouted.push(id);
        }
    }

    /// Moves one delivery to where its time has brought it.
    fn advance(&mut self, slot: u32, old: bool, late: bool, now: Now, told: &mut Vec<Reported>) {
        let node = &self.store[slot];
        let server = &self.servers[usize::from(node.server.0)];
        let (is_due, is_ready) = match node.place {
            Place::Waiting { due } => (Time::from(due) <= now.time, false),
            // It is about to be tried: that decides.
            Place::Ready { .. } if matches!(server.state, State::Open { .. }) => return,
            Place::Ready { .. } => (false, true),
            Place::Carried { .. } | Place::Held | Place::Failed { .. } => return,
        };
        if old {
            self.expire(slot, is_ready);
            return;
        }
        if late {
            self.tell_late(slot, told);
        }
        if is_due {
            self.make_ready(slot);
        }
    }

    fn expire(&mut self, slot: u32, is_ready: bool) {
        self.counted(self.store[slot].counter, |queue| {
            if is_ready {
                // It waited for its server, so the last word is what ails that.
                queue.make_unready(slot);
                let server = queue.store[slot].server;
                let fault = queue.servers[usize::from(server.0)].fault.clone();
                fault.iter().for_each(|fault| queue.tell_all(slot, fault));
            }
            queue.make_failed(slot, true);
        });
    }

    fn tell_late(&mut self, slot: u32, told: &mut Vec<Reported>) {
        for at in 0..self.store[slot].parts.all().len() {
            let node = &self.store[slot];
            let part = node.parts.all()[at];
            if !part.delayed {
                told.push(self.report_of(node, &part, false));
                self.store[slot].parts.all_mut()[at].delayed = true;
            }
        }
    }

    fn report_of(&self, node: &Node, part: &Part, expired: bool) -> Reported {
        let words = self.last_words(node, part);
        Reported {
            recipient: part.recipient,
            server: node.server,
            reply: words.map(|words| words.reply.clone()),
            host: words.and_then(|words| words.host.clone()),
            expired,
        }
    }

    fn report_failed(&mut self, slot: u32, now: Now, told: &mut Vec<Reported>) {
        let node = &self.store[slot];
        let Place::Failed { expired, due } = node.place else { return };
        if Time::from(due) > now.time {
            return;
        }
        told.extend(node.parts.all().iter().map(|part| self.report_of(node, part, expired)));
        let due = now.time.after(REPORT_AGAIN).into();
        self.store[slot].place = Place::Failed { expired, due };
    }
}
