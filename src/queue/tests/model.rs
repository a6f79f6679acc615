//! The queue against a naive model: thousands of random steps, seeded.
//!
//! The model knows of each recipient where it is. After each step all that can be seen of the queue
//! must agree with it, and the queue's lists with each other; at the end everything is let go, and
//! must be delivered or reported.

use std::collections::BTreeMap;

use super::*;
use crate::queue::store::Place;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Where {
    Due,
    /// Until then.
    Waiting(Time),
    Carried,
    Held,
    /// Carried, and held when it comes back.
    CarriedHeld,
    Failed,
}

#[derive(Clone, Copy, Debug)]
struct Rcpt {
    server: ServerId,
    place: Where,
    attempts: u32,
    told_late: bool,
}

type Key = (u64, u32);

struct World {
    q: Queue,
    rng: fastrand::Rng,
    now: u64,
    next_id: u64,
    born: BTreeMap<u64, u64>,
    rcpts: BTreeMap<Key, Rcpt>,
    carried: Vec<Delivery>,
    /// Connections open to each server.
    open: [usize; 2],
    delivered: usize,
    reported: usize,
}

fn model_config() -> QueueConfig {
    QueueConfig { expire: secs(6 * HOUR), delay_notice: Some(secs(HOUR)), ..config() }
}

impl World {
    fn new(seed: u64) -> World {
        World {
            q: Queue::new(model_config(), &servers(), seed),
            rng: fastrand::Rng::with_seed(seed),
            now: 0,
            next_id: 1,
            born: BTreeMap::new(),
            rcpts: BTreeMap::new(),
            carried: Vec::new(),
            open: [0; 2],
            delivered: 0,
            reported: 0,
        }
    }

    fn at(&self) -> Now {
        at(self.now)
    }

    fn some_server(&mut self) -> ServerId {
        ServerId(self.rng.u16(0..2))
    }

    /// Mostly a message that exists.
    fn some_message(&mut self) -> u64 {
        self.rng.u64(self.next_id.saturating_sub(12)..=self.next_id)
    }

    fn of(&mut self, counter: u64) -> impl Iterator<Item = (u32, &mut Rcpt)> {
        self.rcpts.range_mut((counter, 0)..=(counter, u32::MAX)).map(|((_, r), m)| (*r, m))
    }

    fn insert(&mut self) {
        let counter = self.next_id;
        self.next_id += self.rng.u64(1..20) / 10 + 1;
        let count = if self.rng.u8(0..3) == 0 { self.rng.u32(1..12) } else { 1 };
        let statuses = [Status::Pending, Status::Delayed, Status::Held, Status::Delivered];
        let list: Vec<_> = (0..count)
            .map(|n| {
                let status =
                    if self.rng.bool() { statuses[self.rng.usize(0..4)] } else { statuses[0] };
                (n, self.some_server(), status)
            })
            .collect();
        let now = self.at();
        self.q.insert(id(counter), now.wall, &list, now);
        self.born.insert(counter, self.now);
        for (n, server, status) in list {
            let place = if status == Status::Held { Where::Held } else { Where::Due };
            let told_late = status == Status::Delayed;
            if !status.done() {
                let rcpt = Rcpt { server, place, attempts: 0, told_late };
                self.rcpts.insert((counter, n), rcpt);
            }
        }
    }

    fn take(&mut self) {
        let server = self.some_server();
        let Some(delivery) = self.q.take(server) else { return };
        assert!(!delivery.recipients.is_empty());
        for recipient in &delivery.recipients {
            let rcpt = self.rcpts.get_mut(&(delivery.id.counter, *recipient)).unwrap();
            assert_eq!((rcpt.place, rcpt.server), (Where::Due, server));
            assert_eq!(rcpt.attempts + 1, delivery.attempt);
            rcpt.place = Where::Carried;
        }
        self.carried.push(delivery);
    }

    fn give_back(&mut self, endings: &[Option<Ending>]) {
        if self.carried.is_empty() {
            return;
        }
        let delivery = self.carried.swap_remove(self.rng.usize(0..self.carried.len()));
        let (counter, now) = (delivery.id.counter, self.at());
        let is_lost = self.rng.u8(0..4) == 0;
        let (mut outcomes, mut ended) = (Vec::new(), Vec::new());
        for recipient in &delivery.recipients {
            let ending = endings[self.rng.usize(0..endings.len())];
            outcomes.extend(ending.map(|ending| outcome(*recipient, ending)));
            let ending = ending.or(is_lost.then_some(Ending::Deferred));
            ended.push(((counter, *recipient), ending));
        }
        if is_lost {
            self.q.lost(delivery, &outcomes, &down(), now);
        } else {
            self.q.finished(delivery, &outcomes, now);
        }
        for (key, ending) in ended {
            self.end(key, ending);
        }
    }

    fn end(&mut self, key: Key, ending: Option<Ending>) {
        let now = self.at();
        let view = self.q.message(key.0, now);
        let view = view.and_then(|m| m.recipients.into_iter().find(|r| r.recipient == key.1));
        // Removed meanwhile.
        let Some(rcpt) = self.rcpts.get_mut(&key) else { return assert_eq!(view, None) };
        let held = rcpt.place == Where::CarriedHeld;
        match ending {
            Some(Ending::Delivered) => {
                self.rcpts.remove(&key);
                self.delivered += 1;
                assert_eq!(view, None);
            }
            Some(Ending::Failed) => rcpt.place = Where::Failed,
            _ if held => {
                rcpt.attempts += u32::from(ending.is_some());
                rcpt.place = Where::Held;
            }
            Some(Ending::Deferred) => {
                rcpt.attempts += 1;
                rcpt.place = due_of(&self.q, key);
                let Where::Waiting(due) = rcpt.place else { panic!("deferred, so it waits") };
                let wait = due.since(now.time);
                let doubled = 15u64 << (rcpt.attempts - 1).min(10);
                assert!(wait >= secs(15) && wait <= secs(HOUR.min(doubled * 6 / 5)), "{wait:?}");
            }
            // Due at once, unless that happened too often.
            None => rcpt.place = due_of(&self.q, key),
        }
    }

    fn sweep(&mut self) {
        let now = self.at();
        let sweep = sweep(&mut self.q, now);
        for report in &sweep.late {
            for told in &report.recipients {
                let rcpt = self.rcpts.get_mut(&(report.id.counter, told.recipient)).unwrap();
                assert!(!rcpt.told_late && self.now - self.born[&report.id.counter] >= HOUR);
                rcpt.told_late = true;
            }
        }
        for report in &sweep.failed {
            for told in &report.recipients {
                let rcpt = self.rcpts.get_mut(&(report.id.counter, told.recipient)).unwrap();
                if told.expired && rcpt.place != Where::Failed {
                    assert!(self.now - self.born[&report.id.counter] >= 6 * HOUR);
                    assert!(matches!(rcpt.place, Where::Due | Where::Waiting(_)));
                    rcpt.place = Where::Failed;
                }
                assert_eq!(rcpt.place, Where::Failed);
            }
            let half: Vec<u32> = report.recipients.iter().map(|r| r.recipient).collect();
            let half = if self.rng.bool() { &half[..] } else { &half[half.len() / 2..] };
            self.q.reported(report.id.counter, half);
            self.reported += half.len();
            for recipient in half {
                self.rcpts.remove(&(report.id.counter, *recipient));
            }
        }
        for rcpt in self.rcpts.values_mut() {
            if matches!(rcpt.place, Where::Waiting(due) if due <= now.time) {
                rcpt.place = Where::Due;
            }
        }
    }

    fn by_hand(&mut self) {
        let (counter, server) = (self.some_message(), self.some_server());
        let now = self.at();
        match self.rng.u8(0..10) {
            0 | 1 => {
                self.q.hold(counter);
                self.of(counter).for_each(|(_, r)| match r.place {
                    Where::Carried => r.place = Where::CarriedHeld,
                    Where::Due | Where::Waiting(_) => r.place = Where::Held,
                    _ => {}
                });
            }
            2 | 3 => {
                self.q.release(counter);
                self.of(counter).for_each(|(_, r)| match r.place {
                    Where::CarriedHeld => r.place = Where::Carried,
                    Where::Held => r.place = Where::Due,
                    _ => {}
                });
            }
            4 => {
                self.q.remove(counter);
                self.rcpts.retain(|(c, _), _| *c != counter);
            }
            5 => {
                self.q.fail(counter, &unknown());
                let spared = [Where::Carried, Where::CarriedHeld];
                self.of(counter).filter(|(_, r)| !spared.contains(&r.place)).for_each(|(_, r)| {
                    r.place = Where::Failed;
                });
            }
            6 => {
                self.q.retry(counter);
                let waits = |r: &Rcpt| matches!(r.place, Where::Waiting(_));
                self.of(counter).filter(|(_, r)| waits(r)).for_each(|(_, r)| r.place = Where::Due);
            }
            7 => {
                let routes: Vec<_> = (0..12).map(|n| (n, self.some_server())).collect();
                self.q.reroute(counter, &routes);
                let fixed = [Where::Carried, Where::CarriedHeld, Where::Failed];
                for (n, r) in self.of(counter).filter(|(_, r)| !fixed.contains(&r.place)) {
                    r.server = routes[n as usize].1;
                }
            }
            8 => match self.rng.u8(0..8) {
                0 => self.q.pause_server(server, now),
                1 | 2 => self.q.resume_server(server, now),
                3 => self.q.probe_server(server, now),
                4 => {
                    self.q.flush(now);
                    let all = self.rcpts.values_mut();
                    all.filter(|r| matches!(r.place, Where::Waiting(_))).for_each(|r| {
                        r.place = Where::Due;
                    });
                }
                _ => assert_eq!(self.q.reconfigure(model_config(), &servers(), now), [A, B]),
            },
            _ => self.insert(),
        }
    }

    fn connections(&mut self) {
        let (server, now) = (self.some_server(), self.at());
        let open = &mut self.open[usize::from(server.0)];
        let wanted = self.q.connections_wanted(server, *open, now);
        let view = self.q.server(server, now);
        if wanted > 0 {
            assert!(*open + wanted <= 8, "never more than allowed");
            assert!(*open + wanted <= view.due + view.carried, "never more than useful");
            match view.state {
                ServerState::Ready { window } => assert!(*open + wanted <= window),
                ServerState::Probing => assert!(wanted == 1 || *open + wanted <= view.carried + 1),
                other => panic!("{wanted} connections while {other:?}"),
            }
        }
        *open += wanted;
        match self.rng.u8(0..8) {
            0 => self.q.failed(server, &down(), now),
            1..=3 => self.q.alive(server, now),
            4 => *open = open.saturating_sub(1),
            _ => {}
        }
    }

    fn step(&mut self) {
        let all = [Some(Ending::Delivered), Some(Ending::Deferred), Some(Ending::Failed), None];
        match self.rng.u8(0..14) {
            0 | 1 => self.insert(),
            2..=4 => self.take(),
            5..=7 => self.give_back(&all),
            8 => self.give_back(&[None]),
            9 | 10 => self.by_hand(),
            11 | 12 => self.connections(),
            _ => {
                let most = if self.rng.u8(0..20) == 0 { 4 * HOUR } else { 120 };
                self.now += self.rng.u64(1..most);
                self.sweep();
            }
        }
    }

    /// Everything that can be seen agrees with the model, and all lists with each other.
    fn check(&self) {
        let mut seen = BTreeMap::new();
        for message in self.q.messages(0, self.at()) {
            assert_eq!(Some(message.id), self.q.id_of(message.id.counter));
            for r in message.recipients {
                assert!(seen.insert((message.id.counter, r.recipient), r).is_none(), "twice");
            }
        }
        assert!(seen.keys().eq(self.rcpts.keys()));
        for (key, rcpt) in &self.rcpts {
            let view = &seen[key];
            assert_eq!((view.server, view.attempts), (rcpt.server, rcpt.attempts));
            let held = matches!(rcpt.place, Where::Held | Where::CarriedHeld);
            let carried = matches!(rcpt.place, Where::Carried | Where::CarriedHeld);
            assert_eq!((view.held, view.carried), (held, carried), "{key:?} {rcpt:?}");
            assert_eq!(view.state == RecipientState::Failed, rcpt.place == Where::Failed);
        }
        let count = |yes: &dyn Fn(&Rcpt) -> bool| {
            let mut list: Vec<u64> =
                self.rcpts.iter().filter(|(_, r)| yes(r)).map(|(k, _)| k.0).collect();
            list.dedup();
            list.len()
        };
        let expected = Counts {
            messages: count(&|_| true),
            deferred: count(&|r| r.attempts > 0 && r.place != Where::Failed),
            held: count(&|r| matches!(r.place, Where::Held | Where::CarriedHeld)),
        };
        assert_eq!(self.q.counts(), expected);
        self.check_lines();
    }

    fn check_lines(&self) {
        for (at, server) in self.q.servers.iter().enumerate() {
            let mut due = 0;
            let mut next = server.line.head();
            let mut before = None;
            while let Some(slot) = next {
                let node = &self.q.store[slot];
                let Place::Ready { prev, next: after, .. } = node.place else { panic!() };
                assert_eq!((usize::from(node.server.0), prev), (at, before.unwrap_or(u32::MAX)));
                (before, next) = (Some(slot), (after != u32::MAX).then_some(after));
                due += 1;
            }
            assert_eq!(due, server.line.len());
            let carried = self.carried.iter().filter(|d| usize::from(d.server.0) == at).count();
            assert_eq!(carried, server.carried);
        }
        let deliveries: usize = self.q.servers.iter().map(|s| s.deliveries).sum();
        assert_eq!(deliveries, self.q.store.len());
    }

    /// Everything is let go and every server takes everything: nothing may remain.
    fn drain(&mut self) {
        for counter in 0..self.next_id {
            self.q.release(counter);
            self.of(counter).for_each(|(_, r)| match r.place {
                Where::CarriedHeld => r.place = Where::Carried,
                Where::Held => r.place = Where::Due,
                _ => {}
            });
        }
        for server in [A, B] {
            self.q.resume_server(server, self.at());
        }
        for _ in 0..400 {
            while !self.carried.is_empty() {
                self.give_back(&[Some(Ending::Delivered)]);
            }
            for server in [A, B] {
                let view = self.q.server(server, self.at());
                let (due, rests) = (view.due, matches!(view.state, ServerState::BackingOff { .. }));
                let wanted = self.q.connections_wanted(server, 0, self.at());
                assert_eq!(wanted == 0, due + view.carried == 0 || rests);
                (0..2 * due).for_each(|_| self.take());
            }
            self.now += 60;
            self.sweep();
            self.check();
        }
        assert!(self.rcpts.is_empty(), "{:?}", self.rcpts);
        is_empty(&self.q);
    }
}

/// Where a recipient that is not carried is, as far as time goes.
fn due_of(q: &Queue, key: Key) -> Where {
    let waits = q.slots(key.0).find_map(|slot| {
        let node = &q.store[slot];
        let is_here = node.parts.all().iter().any(|p| p.recipient == key.1);
        match node.place {
            Place::Waiting { due } if is_here => Some(Where::Waiting(due.into())),
            _ => None,
        }
    });
    waits.unwrap_or(Where::Due)
}

#[test]
fn random_steps_agree_with_the_model() {
    let (mut delivered, mut reported) = (0, 0);
    for seed in 0..24 {
        let mut world = World::new(seed);
        for step in 0..1500 {
            world.step();
            if step % 3 == 0 {
                world.check();
            }
        }
        world.drain();
        delivered += world.delivered;
        reported += world.reported;
    }
    assert!(delivered > 3000 && reported > 300, "the walk goes nowhere: {delivered} {reported}");
}
