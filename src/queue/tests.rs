//! The schedule, transition by transition.

mod control;
mod model;
mod sweep;
mod ways;

use std::time::Duration;

use super::*;
use crate::base::{Enhanced, MessageId, Now, Reply, Status, Time, Wall};
use crate::journal::Ending;

const A: ServerId = ServerId(0);
const B: ServerId = ServerId(1);
const HOUR: u64 = 3600;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// So many seconds after the start, which was one day after the epoch.
fn at(seconds: u64) -> Now {
    Now {
        time: Time::from_micros(seconds * 1_000_000),
        wall: Wall::from_secs(86_400 + seconds as i64),
    }
}

fn config() -> QueueConfig {
    QueueConfig {
        interval: secs(15),
        retry_min: secs(15),
        retry_max: secs(HOUR),
        expire: secs(5 * 24 * HOUR),
        delay_notice: Some(secs(4 * HOUR)),
    }
}

fn servers() -> Vec<(String, ServerLimits)> {
    let server =
        |name: &str| (name.to_string(), ServerLimits { connections: 8, ..ServerLimits::default() });
    vec![server("alpha"), server("beta")]
}

fn queue() -> Queue {
    Queue::new(config(), &servers(), 1)
}

fn id(counter: u64) -> MessageId {
    MessageId { counter, arrived: 86_400 }
}

fn add(queue: &mut Queue, counter: u64, now: Now) {
    assert!(queue.insert(id(counter), now.wall, &[(0, A, Status::Pending)], now));
}

fn busy() -> Reply {
    Reply::fixed(450, Enhanced(4, 2, 0), "mailbox busy")
}

fn unknown() -> Reply {
    Reply::fixed(550, Enhanced(5, 1, 1), "no such user")
}

fn down() -> Reply {
    Reply::fixed(451, Enhanced(4, 4, 1), "connection refused")
}

fn outcome(recipient: u32, ending: Ending) -> Outcome {
    let reply = match ending {
        Ending::Delivered => Reply::fixed(250, Enhanced(2, 0, 0), "ok"),
        Ending::Deferred => busy(),
        Ending::Failed => unknown(),
    };
    Outcome { recipient, ending, reply }
}

/// Takes the next delivery and ends it for all its recipients.
fn attempt(queue: &mut Queue, server: ServerId, ending: Ending, now: Now) -> (u64, u32) {
    let delivery = queue.take(server).expect("something is due");
    let outcomes: Vec<Outcome> = delivery.recipients.iter().map(|r| outcome(*r, ending)).collect();
    let taken = (delivery.id.counter, delivery.attempt);
    queue.finished(delivery, &outcomes, now);
    taken
}

/// Sweeps until nothing more is to be done now.
fn sweep(queue: &mut Queue, now: Now) -> Sweep {
    let mut all = Sweep::default();
    while queue.next_sweep() <= now.time {
        let some = queue.sweep(now);
        all.failed.extend(some.failed);
        all.late.extend(some.late);
        all.unrouted.extend(some.unrouted);
    }
    all
}

fn is_empty(queue: &Queue) {
    assert_eq!(queue.counts(), Counts::default());
    assert_eq!((queue.store.len(), queue.replies.len(), queue.more.len()), (0, 0, 0));
    assert!(queue.servers.iter().all(|s| s.deliveries == 0 && s.carried == 0 && s.line.len() == 0));
}

#[test]
fn new_mail_is_due_at_once_in_order() {
    let mut q = queue();
    for counter in [5, 3, 9] {
        add(&mut q, counter, at(0));
    }
    assert_eq!(q.counts().messages, 3);
    for counter in [5, 3, 9] {
        assert_eq!(attempt(&mut q, A, Ending::Delivered, at(0)), (counter, 1));
    }
    assert_eq!(q.take(A), None);
    is_empty(&q);
}

#[test]
fn a_message_is_taken_in_once_and_done_recipients_never() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    assert!(!q.insert(id(1), at(0).wall, &[(0, A, Status::Pending)], at(0)));
    let done = [(0, A, Status::Delivered), (1, A, Status::Failed)];
    assert!(!q.insert(id(2), at(0).wall, &done, at(0)));
    assert_eq!(q.counts().messages, 1);
}

#[test]
fn recipients_are_grouped_by_server() {
    let mut q = queue();
    let open = Status::Pending;
    let all = [(0, B, open), (1, A, open), (2, B, Status::Delayed), (3, B, Status::Delivered)];
    assert!(q.insert(id(1), at(0).wall, &all, at(0)));
    let to_a = q.take(A).unwrap();
    let to_b = q.take(B).unwrap();
    assert_eq!((&to_a.recipients[..], &to_b.recipients[..]), (&[1][..], &[0, 2][..]));
    assert_eq!((q.take(A), q.take(B)), (None, None));
    assert_eq!(q.counts().messages, 1);
    q.finished(to_a, &[outcome(1, Ending::Delivered)], at(1));
    assert_eq!(q.counts().messages, 1);
    q.finished(to_b, &[outcome(2, Ending::Delivered), outcome(0, Ending::Delivered)], at(1));
    is_empty(&q);
}

#[test]
fn a_deferred_recipient_waits_longer_each_time() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    let mut now = 0;
    let mut last = 0;
    for n in 1..=12 {
        assert_eq!(attempt(&mut q, A, Ending::Deferred, at(now)), (1, n));
        assert_eq!(q.counts(), Counts { messages: 1, deferred: 1, held: 0 });
        let start = now;
        let next = q.message(1, at(now)).unwrap().next_attempt().unwrap();
        while q.take(A).map(|d| q.finished(d, &[], at(now))).is_none() {
            now += 1;
            sweep(&mut q, at(now));
            assert!(now - start <= HOUR + 15, "tried again at last");
        }
        assert!(at(now).time >= next, "not before its time");
        assert!(at(now).time.since(next) <= secs(16), "at the next sweep");
        let wait = next.since(at(start).time);
        assert!(wait >= secs(15) && wait <= secs(HOUR));
        assert!(wait.as_secs() * 2 >= last, "roughly doubling");
        last = wait.as_secs();
    }
    assert!(last > 2800);
}

#[test]
fn a_mixed_end_splits_the_delivery() {
    let mut q = queue();
    let all: Vec<_> = (0..5).map(|n| (n, A, Status::Pending)).collect();
    q.insert(id(1), at(0).wall, &all, at(0));
    let delivery = q.take(A).unwrap();
    let outcomes = [
        outcome(0, Ending::Delivered),
        outcome(1, Ending::Deferred),
        outcome(2, Ending::Failed),
        outcome(4, Ending::Deferred),
    ];
    q.finished(delivery, &outcomes, at(1));
    let view = q.message(1, at(1)).unwrap();
    let states: Vec<_> =
        view.recipients.iter().map(|r| (r.recipient, r.state, r.attempts)).collect();
    assert_eq!(
        states,
        [
            (1, RecipientState::Deferred, 1),
            (2, RecipientState::Failed, 0),
            (3, RecipientState::Pending, 0),
            (4, RecipientState::Deferred, 1)
        ]
    );
    assert_eq!(view.recipients[0].last_reply, Some(&busy()));
    assert_eq!(view.recipients[1].last_reply, Some(&unknown()));
    assert_eq!(view.recipients[2].last_reply, None);
    // The untried one is due at once, the others wait together.
    let delivery = q.take(A).unwrap();
    assert_eq!((&delivery.recipients[..], delivery.attempt), (&[3][..], 1));
    q.finished(delivery, &[outcome(3, Ending::Delivered)], at(1));
    assert_eq!(q.take(A), None);
    sweep(&mut q, at(60));
    let delivery = q.take(A).unwrap();
    assert_eq!((&delivery.recipients[..], delivery.attempt), (&[1, 4][..], 2));
    q.finished(delivery, &[outcome(1, Ending::Delivered), outcome(4, Ending::Delivered)], at(60));
    q.reported(1, &[2]);
    is_empty(&q);
}

#[test]
fn the_later_of_two_outcomes_counts_and_foreign_ones_are_ignored() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    let delivery = q.take(A).unwrap();
    let outcomes =
        [outcome(0, Ending::Deferred), outcome(7, Ending::Failed), outcome(0, Ending::Delivered)];
    q.finished(delivery, &outcomes, at(0));
    is_empty(&q);
}

#[test]
fn what_was_not_tried_goes_first_but_not_in_a_circle() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    add(&mut q, 2, at(0));
    for _ in 0..3 {
        let delivery = q.take(A).unwrap();
        assert_eq!((delivery.id.counter, delivery.attempt), (1, 1));
        q.finished(delivery, &[], at(0));
    }
    assert_eq!(attempt(&mut q, A, Ending::Delivered, at(0)).0, 2);
    assert_eq!(q.take(A), None);
    assert_eq!(q.counts().deferred, 0);
    sweep(&mut q, at(60));
    assert_eq!(attempt(&mut q, A, Ending::Delivered, at(60)), (1, 1));
    is_empty(&q);
}

#[test]
fn a_thousand_recipients_split_at_a_limit_all_get_there() {
    let mut q = queue();
    let all: Vec<_> = (0..1000).map(|n| (n, A, Status::Pending)).collect();
    q.insert(id(1), at(0).wall, &all, at(0));
    let mut sent = 0;
    while let Some(delivery) = q.take(A) {
        let some = delivery.recipients.iter().take(7);
        let outcomes: Vec<_> = some.map(|r| outcome(*r, Ending::Delivered)).collect();
        sent += outcomes.len();
        q.finished(delivery, &outcomes, at(0));
    }
    assert_eq!(sent, 1000);
    is_empty(&q);
}

#[test]
fn the_window_opens_by_doubling_and_never_beyond_the_work() {
    let mut q = queue();
    assert_eq!(q.connections_wanted(A, 0, at(0)), 0);
    for counter in 0..20 {
        add(&mut q, counter, at(0));
    }
    assert_eq!(q.connections_wanted(A, 0, at(0)), 1);
    assert_eq!(q.connections_wanted(A, 1, at(0)), 0);
    let mut open = 1;
    for window in [2, 4, 8, 8] {
        q.alive(A, at(0));
        assert_eq!(open + q.connections_wanted(A, open, at(0)), window);
        open = window;
    }
    assert_eq!(q.connections_wanted(A, 30, at(0)), 0);
    let carried: Vec<_> = (0..17).map(|_| q.take(A).unwrap()).collect();
    assert_eq!(q.connections_wanted(A, 8, at(0)), 0);
    carried.into_iter().for_each(|d| {
        let done = outcome(0, Ending::Delivered);
        q.finished(d, &[done], at(0));
    });
    // Three are left: three connections do, and one idle connection is as good as a new one.
    assert_eq!(q.connections_wanted(A, 0, at(0)), 3);
    assert_eq!(q.connections_wanted(A, 1, at(0)), 2);
    let delivery = q.take(A).unwrap();
    assert_eq!(q.connections_wanted(A, 1, at(0)), 2);
    assert_eq!(q.connections_wanted(A, 3, at(0)), 0);
    q.finished(delivery, &[], at(0));
}

#[test]
fn a_dead_server_is_probed_by_one_connection() {
    let mut q = queue();
    for counter in 0..100 {
        add(&mut q, counter, at(0));
    }
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..12 {
        assert_eq!(q.connections_wanted(A, 0, at(now)), 1);
        q.failed(A, &down(), at(now));
        let until = q.next_probe(at(now));
        let wait = until.since(at(now).time).as_secs();
        waits.push(wait);
        assert_eq!(q.connections_wanted(A, 0, at(now + wait - 1)), 0);
        now += wait + 1;
        assert_eq!(q.connections_wanted(A, 0, at(now)), 1);
        assert_eq!(q.connections_wanted(A, 1, at(now)), 0);
        assert_eq!(q.next_probe(at(now)), Time::NEVER);
    }
    assert!(waits.windows(2).all(|w| w[1] * 2 >= w[0]), "{waits:?}");
    assert!(
        waits[0] >= 15 && waits[0] <= 18 && waits[11] >= 2880 && waits[11] <= HOUR,
        "{waits:?}"
    );
    // Nobody was deferred, and everybody can see why it waits.
    assert_eq!(q.counts().deferred, 0);
    let view = q.message(7, at(now)).unwrap();
    assert_eq!(view.recipients[0].last_reply, Some(&down()));
    assert_eq!(view.recipients[0].attempts, 0);
    // It returns: no stampede.
    q.alive(A, at(now));
    assert_eq!(q.connections_wanted(A, 1, at(now)), 1);
    assert_eq!(q.message(7, at(now)).unwrap().recipients[0].last_reply, None);
    q.alive(A, at(now));
    assert_eq!(q.connections_wanted(A, 2, at(now)), 2);
}

#[test]
fn one_outage_seen_by_many_connections_counts_once() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    for _ in 0..8 {
        q.failed(A, &down(), at(0));
    }
    assert!(q.next_probe(at(0)) <= at(18).time);
}

#[test]
fn a_greeting_alone_does_not_shorten_the_next_wait() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    let wait = |q: &mut Queue, now: u64| {
        q.failed(A, &down(), at(now));
        q.next_probe(at(now)).since(at(now).time).as_secs()
    };
    assert!(wait(&mut q, 0) <= 18);
    q.alive(A, at(100));
    assert!(wait(&mut q, 100) >= 24);
    q.alive(A, at(200));
    assert!(wait(&mut q, 200) >= 48);
    q.alive(A, at(400));
    attempt(&mut q, A, Ending::Failed, at(400));
    add(&mut q, 2, at(400));
    assert!(wait(&mut q, 400) <= 18);
}

#[test]
fn living_connections_work_on_while_no_new_one_is_opened() {
    let mut q = queue();
    for counter in 0..10 {
        add(&mut q, counter, at(0));
    }
    q.alive(A, at(0));
    let carried = [q.take(A).unwrap(), q.take(A).unwrap()];
    q.failed(A, &down(), at(0));
    assert_eq!(q.connections_wanted(A, 2, at(0)), 0);
    for delivery in carried {
        let done = [outcome(0, Ending::Delivered)];
        q.finished(delivery, &done, at(0));
    }
    assert_eq!(attempt(&mut q, A, Ending::Delivered, at(0)).0, 2);
    // Later one more is tried beside the two, which have work.
    let carried = [q.take(A).unwrap(), q.take(A).unwrap()];
    assert_eq!(q.connections_wanted(A, 2, at(30)), 1);
    assert_eq!(q.connections_wanted(A, 3, at(30)), 0);
    q.alive(A, at(30));
    assert!(matches!(q.server(A, at(30)).state, ServerState::Ready { window: 3 }));
    carried.into_iter().for_each(|d| q.finished(d, &[], at(30)));
}

#[test]
fn a_loss_defers_its_message_and_three_in_a_row_stop_the_server() {
    let mut q = queue();
    for counter in 0..10 {
        add(&mut q, counter, at(0));
    }
    q.alive(A, at(0));
    let lose = |q: &mut Queue| {
        let delivery = q.take(A).unwrap();
        let counter = delivery.id.counter;
        (counter, q.lost(delivery, &[], &down(), at(0)))
    };
    assert_eq!((lose(&mut q), lose(&mut q)), ((0, false), (1, false)));
    assert!(q.connections_wanted(A, 0, at(0)) > 0);
    let view = q.message(0, at(0)).unwrap();
    assert_eq!((view.recipients[0].attempts, view.recipients[0].last_reply), (1, Some(&down())));
    // A transaction that ends forgives.
    attempt(&mut q, A, Ending::Deferred, at(0));
    assert_eq!((lose(&mut q), lose(&mut q)), ((3, false), (4, false)));
    assert!(q.connections_wanted(A, 0, at(0)) > 0);
    assert_eq!(lose(&mut q), (5, true));
    assert_eq!(q.connections_wanted(A, 0, at(0)), 0);
    assert!(matches!(q.server(A, at(0)).state, ServerState::BackingOff { .. }));
    assert_eq!(q.counts(), Counts { messages: 10, deferred: 6, held: 0 });
}

#[test]
fn one_poisonous_message_never_stops_the_server() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    for n in 0..20 {
        let delivery = q.take(A).unwrap();
        assert_eq!(delivery.attempt, n + 1);
        q.lost(delivery, &[], &down(), at(0));
        q.retry(1);
        assert_eq!(q.connections_wanted(A, 0, at(0)), 1);
    }
}

#[test]
fn outcomes_before_a_loss_stand() {
    let mut q = queue();
    let all: Vec<_> = (0..3).map(|n| (n, A, Status::Pending)).collect();
    q.insert(id(1), at(0).wall, &all, at(0));
    let delivery = q.take(A).unwrap();
    q.lost(delivery, &[outcome(0, Ending::Failed)], &down(), at(0));
    let view = q.message(1, at(0)).unwrap();
    let states: Vec<_> = view.recipients.iter().map(|r| (r.state, r.last_reply.unwrap())).collect();
    assert_eq!(
        states,
        [
            (RecipientState::Failed, &unknown()),
            (RecipientState::Deferred, &down()),
            (RecipientState::Deferred, &down())
        ]
    );
}

#[test]
fn only_what_came_to_an_end_forgives_losses() {
    let paused = |between: &dyn Fn(&mut Queue)| {
        let mut q = queue();
        (0..6).for_each(|counter| add(&mut q, counter, at(0)));
        for n in 0..3 {
            if n == 2 {
                between(&mut q);
            }
            let delivery = q.take(A).unwrap();
            q.lost(delivery, &[], &down(), at(100));
        }
        matches!(q.server(A, at(100)).state, ServerState::BackingOff { .. })
    };
    assert!(paused(&|_| {}));
    // Given back as it was taken, by a session that found its connection dead.
    assert!(paused(&|q| {
        let delivery = q.take(A).unwrap();
        q.finished(delivery, &[], at(0));
    }));
    assert!(!paused(&|q| {
        attempt(q, A, Ending::Failed, at(0));
    }));
    // A failure of the server starts the count again.
    assert!(!paused(&|q| {
        q.failed(A, &down(), at(0));
        q.alive(A, at(50));
    }));
}

#[test]
fn nobody_is_probed_for_nothing() {
    let mut q = queue();
    q.failed(A, &down(), at(0));
    assert_eq!(q.next_probe(at(0)), Time::NEVER);
    assert_eq!(q.connections_wanted(A, 0, at(HOUR)), 0);
    add(&mut q, 1, at(1));
    assert!(q.next_probe(at(1)) < Time::NEVER);
}

#[test]
fn the_words_of_a_fault_are_bounded() {
    let mut q = queue();
    q.failed(A, &Reply::made(421, None, "x".repeat(60_000)), at(0));
    assert_eq!(q.server(A, at(0)).fault.unwrap().text.len(), 512);
}
