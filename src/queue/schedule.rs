//! The queue: what comes in, what is handed to sessions, and what comes back from them.

use std::collections::{BTreeMap, VecDeque};

use super::backoff::wait;
use super::destinations::Destinations;
use super::index::Index;
use super::replies::{Replies, Words};
use super::server::{Server, State};
use super::store::{Node, Part, Parts, Place, Store, Then};
use super::view::Counts;
use super::{QueueConfig, ServerId, ServerLimits};
use crate::base::{MessageId, Now, Reply, Status, Time, Wall};
use crate::journal::Ending;

/// A delivery that comes back so often without any outcome waits like a deferred one: whatever is
/// wrong with it, it must not be tried in a circle.
const FRUITLESS: u8 = 3;

/// What is due where. See the [module](super) for the theory.
#[derive(Debug)]
pub struct Queue {
    pub(super) config: QueueConfig,
    pub(super) servers: Vec<Server>,
    pub(super) destinations: Destinations,
    pub(super) store: Store,
    /// The first delivery of each message.
    pub(super) index: Index,
    /// The other deliveries of those that have several.
    pub(super) more: BTreeMap<u64, Vec<u32>>,
    pub(super) replies: Replies,
    pub(super) rng: fastrand::Rng,
    pub(super) counts: Counts,
    /// When the next sweep begins.
    pub(super) next_sweep: Time,
    /// The counter at which the present sweep goes on.
    pub(super) sweeping: Option<u64>,
    /// Messages with recipients that failed since the last sweep.
    pub(super) fresh: VecDeque<u64>,
}

/// Work for one session: some recipients of one message. Give it back with [`Queue::finished`] or
/// [`Queue::lost`]; until then they are nobody else's.
#[derive(PartialEq, Eq, Debug)]
#[must_use = "a delivery that is not given back is never tried again"]
pub struct Delivery {
    /// The message.
    pub id: MessageId,
    /// To which next server.
    pub server: ServerId,
    /// Indexes of recipients in the envelope.
    pub recipients: Vec<u32>,
    /// The host that it goes to, once that is known: whose words its outcomes are.
    pub host: Option<String>,
    /// The how-manieth attempt this is, from 1.
    pub attempt: u32,
    slot: u32,
}

/// How the attempt for one recipient ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Its index in the envelope.
    pub recipient: u32,
    /// How.
    pub ending: Ending,
    /// The next server's words, or ours.
    pub reply: Reply,
}

/// What recipients without an outcome are.
enum Rest<'a> {
    /// Not tried, for reasons that are not theirs.
    Untried,
    /// Cut off within the transaction.
    Lost(&'a Reply),
}

impl Queue {
    /// An empty queue for these next servers, whose ids are their positions. The seed decides all
    /// jitter. The first sweep is due at once.
    ///
    /// # Panics
    ///
    /// With more than 65,535 servers.
    pub fn new(config: QueueConfig, servers: &[(String, ServerLimits)], seed: u64) -> Queue {
        assert!(servers.len() <= usize::from(u16::MAX), "a ServerId has 16 bits");
        let server = |(name, limits): &(String, _)| Server::new(name, *limits, Time::ZERO);
        Queue {
            config,
            servers: servers.iter().map(server).collect(),
            destinations: Destinations::default(),
            store: Store::default(),
            index: Index::default(),
            more: BTreeMap::new(),
            replies: Replies::default(),
            rng: fastrand::Rng::with_seed(seed),
            counts: Counts::default(),
            next_sweep: Time::ZERO,
            sweeping: None,
            fresh: VecDeque::new(),
        }
    }

    /// A message that is in the spool: those of its recipients that are not done are due at once,
    /// or held. Gives false, and changes nothing, when the message is already here or when nothing
    /// is to be done for it.
    pub fn insert(
        &mut self,
        id: MessageId,
        arrived: Wall,
        recipients: &[(u32, ServerId, Status)],
        now: Now,
    ) -> bool {
        if self.index.get(id.counter).is_some() {
            return false;
        }
        let mut open: Vec<(ServerId, bool, Part)> = Vec::with_capacity(recipients.len());
        for (recipient, server, status) in recipients {
            let delayed = *status == Status::Delayed;
            let part = Part { recipient: *recipient, reply: None, delayed };
            if !status.done() {
                open.push((*server, *status == Status::Held, part));
            }
        }
        open.sort_by_key(|(server, held, _)| (*server, *held));
        let age = i64::try_from(now.wall.since(arrived).as_secs()).unwrap_or(i64::MAX);
        let birth = seconds(now.time).saturating_sub(age).max(i64::from(i32::MIN)) as i32;
        self.counted(id.counter, |queue| {
            for group in open.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
                let (server, held, _) = group[0];
                let node = Node {
                    counter: id.counter,
                    label: id.arrived,
                    birth,
                    parts: Parts::new(group.iter().map(|g| g.2).collect()),
                    place: Place::Held,
                    server,
                    attempts: 0,
                };
                let slot = queue.attach(node);
                if !held {
                    queue.make_ready(slot);
                }
            }
        });
        !open.is_empty()
    }

    /// The next work for a session with this server, which then has it. None when nothing is due,
    /// or when the server was paused by hand: then the session may end.
    pub fn take(&mut self, server: ServerId) -> Option<Delivery> {
        let state = &mut self.servers[usize::from(server.0)];
        let slot = if state.gives() { state.line.head()? } else { return None };
        let Place::Ready { fruitless, .. } = self.store[slot].place else { return None };
        state.line.remove(&mut self.store, slot);
        state.carried += 1;
        let node = &mut self.store[slot];
        node.place = Place::Carried { then: Then::Schedule, fruitless };
        Some(Delivery {
            id: node.id(),
            server,
            recipients: node.parts.all().iter().map(|p| p.recipient).collect(),
            host: None,
            attempt: u32::from(node.attempts) + 1,
            slot,
        })
    }

    /// The same at the server's rate: none also when the next message may not go yet.
    pub fn take_at_rate(&mut self, server: ServerId, now: Now) -> Option<Delivery> {
        let state = &self.servers[usize::from(server.0)];
        let rate = state.limits.rate;
        if state.bucket.opens(rate) > now.time {
            return None;
        }
        let delivery = self.take(server)?;
        self.servers[usize::from(server.0)].bucket.spend(rate, now.time);
        Some(delivery)
    }

    /// How many connections to open to this server beside the `open` ones, which count from the
    /// first SYN to the end. Never more than there is work for that no open connection does.
    pub fn connections_wanted(&self, server: ServerId, open: usize, now: Now) -> usize {
        self.servers[usize::from(server.0)].wanted(open, now.time)
    }

    /// A new connection to the server said EHLO (or HELO) with success: it lives.
    pub fn alive(&mut self, server: ServerId, now: Now) {
        self.servers[usize::from(server.0)].alive(now.time);
    }

    /// The server could not be reached, or said itself that it cannot or does not want to serve us
    /// (any refusal of greeting, EHLO, STARTTLS or AUTH; 421; 530 and its kin anywhere). `why` is
    /// its words, or ours. What a session carried is to be given back with [`Queue::finished`].
    pub fn failed(&mut self, server: ServerId, why: &Reply, now: Now) {
        self.failed_at(server, None, why, now);
    }

    /// The same, when it is known which of its hosts said so.
    pub fn failed_at(&mut self, server: ServerId, host: Option<&str>, why: &Reply, now: Now) {
        let server = &mut self.servers[usize::from(server.0)];
        server.failed(Words::new(why, host), &self.config, &mut self.rng, now.time);
    }

    /// A transaction came to its end; recipients without an outcome were not tried and are due
    /// again at once, before others. With no outcome at all it is as if it had never been taken.
    /// Failed recipients are given out by the next [`Queue::sweep`], which is due at once then.
    pub fn finished(&mut self, delivery: Delivery, outcomes: &[Outcome], now: Now) {
        if !outcomes.is_empty() {
            self.servers[usize::from(delivery.server.0)].worked();
        }
        self.settle(&delivery, outcomes, &Rest::Untried, now);
    }

    /// The connection was lost within the transaction. Recipients without an outcome are deferred
    /// as by a 4xx, with `why`. The third different message in a row is the server's own failure:
    /// then it is true.
    pub fn lost(
        &mut self,
        delivery: Delivery,
        outcomes: &[Outcome],
        why: &Reply,
        now: Now,
    ) -> bool {
        self.settle(&delivery, outcomes, &Rest::Lost(why), now);
        let server = &mut self.servers[usize::from(delivery.server.0)];
        let is_its_own = server.lost(delivery.id.counter);
        if is_its_own {
            let why = Words::new(why, delivery.host.as_deref());
            server.failed(why, &self.config, &mut self.rng, now.time);
        }
        is_its_own
    }

    /// The earliest time at which a server that backs off may be probed, or one with a rate be
    /// given more, for the sake of work that waits; [`Time::NEVER`] when there is none, and never
    /// in the past.
    pub fn next_probe(&self, now: Now) -> Time {
        let busy = self.servers.iter().filter(|s| s.line.len() > 0 && !s.limits.direct);
        let until = busy.filter_map(|s| {
            let opens = s.bucket.opens(s.limits.rate);
            match s.state {
                State::BackingOff { until } => Some(until.max(opens)),
                State::Open { .. } => Some(opens),
                State::Paused | State::Gone => None,
            }
        });
        until.filter(|time| *time > now.time).min().unwrap_or(Time::NEVER)
    }

    fn settle(&mut self, delivery: &Delivery, outcomes: &[Outcome], rest: &Rest<'_>, now: Now) {
        let Place::Carried { then, fruitless } = self.store[delivery.slot].place else {
            unreachable!("a delivery is given back once");
        };
        self.servers[usize::from(delivery.server.0)].carried -= 1;
        if then == Then::Forget {
            self.forget(delivery.slot);
            return;
        }
        self.counted(delivery.id.counter, |queue| {
            let Some(node) = queue.detach(delivery.slot) else { return };
            let host = delivery.host.as_deref();
            let (deferred, failed, untried) =
                queue.sort_out(node.parts.all(), outcomes, rest, host);
            let part_of = |parts: Vec<Part>, attempts: u16| Node {
                parts: Parts::new(parts),
                place: Place::Held,
                attempts,
                ..node
            };
            if !failed.is_empty() {
                let slot = queue.attach(part_of(failed, node.attempts));
                queue.make_failed(slot, false);
                queue.fresh.push_back(node.counter);
            }
            if !deferred.is_empty() {
                let slot = queue.attach(part_of(deferred, node.attempts.saturating_add(1)));
                if then == Then::Schedule {
                    queue.make_wait(slot, u32::from(node.attempts), now);
                }
            }
            if !untried.is_empty() {
                let slot = queue.attach(part_of(untried, node.attempts));
                let fruitless = if outcomes.is_empty() { fruitless + 1 } else { 0 };
                if then == Then::Schedule && fruitless >= FRUITLESS {
                    queue.make_wait(slot, 0, now);
                } else if then == Then::Schedule {
                    let line = &mut queue.servers[usize::from(node.server.0)].line;
                    line.push_front(&mut queue.store, slot, fruitless);
                }
            }
        });
    }

    /// Sorts recipients by how they ended, and notes what they were told: deferred, failed, and
    /// untried ones. Of two outcomes for one recipient the later counts.
    fn sort_out(
        &mut self,
        parts: &[Part],
        outcomes: &[Outcome],
        rest: &Rest<'_>,
        host: Option<&str>,
    ) -> (Vec<Part>, Vec<Part>, Vec<Part>) {
        let (mut deferred, mut failed, mut untried) = (vec![], vec![], vec![]);
        let mut sorted: Vec<&Outcome> = outcomes.iter().collect();
        sorted.sort_by_key(|o| o.recipient);
        for part in parts {
            let after = sorted.partition_point(|o| o.recipient <= part.recipient);
            let outcome = after.checked_sub(1).map(|at| sorted[at]);
            let outcome = outcome.filter(|o| o.recipient == part.recipient);
            let (ending, reply) = match (outcome, rest) {
                (Some(outcome), _) => (outcome.ending, &outcome.reply),
                (None, Rest::Lost(why)) => (Ending::Deferred, *why),
                (None, Rest::Untried) => {
                    untried.push(*part);
                    continue;
                }
            };
            if let Some(old) = part.reply {
                self.replies.release(old);
            }
            let list = match ending {
                Ending::Delivered => continue,
                Ending::Deferred => &mut deferred,
                Ending::Failed => &mut failed,
            };
            list.push(Part { reply: Some(self.replies.keep(reply, host)), ..*part });
        }
        (deferred, failed, untried)
    }

    /// Adds a delivery to its message; the caller puts it into its place.
    pub(super) fn attach(&mut self, node: Node) -> u32 {
        let counter = node.counter;
        self.servers[usize::from(node.server.0)].deliveries += 1;
        let slot = self.store.insert(node);
        if let Some(first) = self.index.set(counter, slot) {
            self.more.entry(counter).or_default().push(first);
        }
        slot
    }

    /// Takes a delivery, which must not be Ready, out of its message. Its replies are the caller's.
    pub(super) fn detach(&mut self, slot: u32) -> Option<Node> {
        let node = self.store.remove(slot)?;
        let counter = node.counter;
        self.servers[usize::from(node.server.0)].deliveries -= 1;
        let is_first = self.index.get(counter) == Some(slot);
        let mut heir = None;
        if let Some(others) = self.more.get_mut(&counter) {
            if is_first {
                heir = others.pop();
            } else {
                others.retain(|other| *other != slot);
            }
            if others.is_empty() {
                self.more.remove(&counter);
            }
        }
        match heir {
            Some(heir) => {
                self.index.set(counter, heir);
            }
            None if is_first => self.index.remove(counter),
            None => {}
        }
        Some(node)
    }

    /// Removes a delivery that is in no list and not in its message any more.
    fn forget(&mut self, slot: u32) {
        if let Some(node) = self.store.remove(slot) {
            self.servers[usize::from(node.server.0)].deliveries -= 1;
            self.release_replies(node.parts.all());
        }
    }

    pub(super) fn release_replies(&mut self, parts: &[Part]) {
        for reply in parts.iter().filter_map(|p| p.reply) {
            self.replies.release(reply);
        }
    }

    /// Makes this the last that all recipients of a delivery were told.
    pub(super) fn tell_all(&mut self, slot: u32, words: &Words) {
        for part in self.store[slot].parts.all_mut() {
            let old = part.reply.replace(self.replies.keep(&words.reply, words.host.as_deref()));
            old.into_iter().for_each(|reply| self.replies.release(reply));
        }
    }

    /// Puts a delivery that is in no line at the end of its server's.
    pub(super) fn make_ready(&mut self, slot: u32) {
        let server = self.store[slot].server;
        self.servers[usize::from(server.0)].line.push_back(&mut self.store, slot, 0);
    }

    /// Takes a delivery out of its server's line; Held until the caller says more.
    pub(super) fn make_unready(&mut self, slot: u32) {
        let server = self.store[slot].server;
        self.servers[usize::from(server.0)].line.remove(&mut self.store, slot);
        self.store[slot].place = Place::Held;
    }

    fn make_wait(&mut self, slot: u32, failures_before: u32, now: Now) {
        let due = now.time.after(wait(&self.config, failures_before, &mut self.rng));
        self.store[slot].place = Place::Waiting { due: due.into() };
    }

    /// Puts a delivery that is in no line where it waits to be reported.
    pub(super) fn make_failed(&mut self, slot: u32, expired: bool) {
        self.store[slot].place = Place::Failed { expired, due: Time::ZERO.into() };
    }

    /// The deliveries of a message.
    pub(super) fn slots(&self, counter: u64) -> impl Iterator<Item = u32> + '_ {
        let others = self.more.get(&counter).into_iter().flatten().copied();
        self.index.get(counter).into_iter().chain(others)
    }

    /// The same, to be gone through while the queue changes.
    pub(super) fn slot_list(&self, counter: u64) -> Vec<u32> {
        self.slots(counter).collect()
    }

    /// Changes a message, and keeps the counts in step.
    pub(super) fn counted<R>(&mut self, counter: u64, change: impl FnOnce(&mut Queue) -> R) -> R {
        let before = self.count(counter);
        let result = change(self);
        let after = self.count(counter);
        self.counts.deferred = self.counts.deferred + usize::from(after.0) - usize::from(before.0);
        self.counts.held = self.counts.held + usize::from(after.1) - usize::from(before.1);
        result
    }

    /// Whether a message counts as deferred, and as held.
    fn count(&self, counter: u64) -> (bool, bool) {
        let (mut deferred, mut held) = (false, false);
        for slot in self.slots(counter) {
            let node = &self.store[slot];
            held |= node.is_held();
            deferred |= node.attempts > 0 && !matches!(node.place, Place::Failed { .. });
        }
        (deferred, held)
    }
}

/// Whole seconds since the start.
pub(super) fn seconds(time: Time) -> i64 {
    (time.as_micros() / 1_000_000) as i64
}
