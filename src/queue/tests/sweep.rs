//! What the sweep does: due times, expiry, delay notices, reports; and clocks that jump.

use super::*;

const EXPIRE: u64 = 5 * 24 * HOUR;

/// Attempts every 10 minutes until then, each deferred.
fn defer_until(q: &mut Queue, from: u64, until: u64) -> Sweep {
    let mut all = Sweep::default();
    for now in (from..until).step_by(600) {
        while let Some(delivery) = q.take(A) {
            let outcomes: Vec<_> =
                delivery.recipients.iter().map(|r| outcome(*r, Ending::Deferred)).collect();
            q.finished(delivery, &outcomes, at(now));
        }
        let some = sweep(q, at(now));
        all.failed.extend(some.failed);
        all.late.extend(some.late);
    }
    all
}

#[test]
fn sweeps_come_at_their_interval_and_at_the_start() {
    let mut q = queue();
    assert_eq!(q.next_sweep(), Time::ZERO);
    assert_eq!(q.sweep(at(0)), Sweep::default());
    assert_eq!(q.next_sweep(), at(15).time);
    add(&mut q, 1, at(0));
    attempt(&mut q, A, Ending::Failed, at(1));
    // A failure is not for the interval: its sender hears of it now.
    assert!(q.next_sweep() <= at(1).time);
    assert_eq!(q.sweep(at(1)).failed.len(), 1);
    assert_eq!(q.next_sweep(), at(15).time);
}

#[test]
fn an_interval_of_nothing_does_not_make_a_spinning_loop() {
    let mut q = Queue::new(QueueConfig { interval: secs(0), ..config() }, &servers(), 1);
    q.sweep(at(5));
    assert!(q.next_sweep() > at(5).time);
}

#[test]
fn a_failure_is_given_out_until_it_is_reported() {
    let mut q = queue();
    let all = [(0, A, Status::Pending), (1, A, Status::Pending)];
    q.insert(id(1), at(0).wall, &all, at(0));
    attempt(&mut q, A, Ending::Failed, at(0));
    assert_eq!(q.counts().messages, 1);
    let told = |sweep: &Sweep| -> Vec<u32> {
        sweep.failed.iter().flat_map(|r| r.recipients.iter().map(|r| r.recipient)).collect()
    };
    let first = sweep(&mut q, at(0));
    assert_eq!(told(&first), [0, 1]);
    let expected =
        Reported { recipient: 0, server: A, host: None, reply: Some(unknown()), expired: false };
    assert_eq!((first.failed[0].id, &first.failed[0].recipients[0]), (id(1), &expected));
    // Not while it may still be under way, but for ever after.
    assert_eq!(told(&sweep(&mut q, at(30))), [0; 0]);
    q.reported(1, &[0]);
    assert_eq!(told(&sweep(&mut q, at(60))), [1]);
    assert_eq!(told(&sweep(&mut q, at(120))), [1]);
    q.reported(1, &[1, 7]);
    assert_eq!(told(&sweep(&mut q, at(300))), [0; 0]);
    is_empty(&q);
}

/// A report that our disk did not take is due again when a server that failed would be, not a
/// minute later; and it is given out once.
#[test]
fn what_could_not_be_reported_is_given_out_again_soon() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    add(&mut q, 2, at(0));
    attempt(&mut q, A, Ending::Failed, at(0));
    attempt(&mut q, A, Ending::Deferred, at(0));
    let told = |sweep: &Sweep| -> Vec<(u64, u64)> {
        let numbers = |list: &[Report]| list.iter().map(|r| r.id.counter).sum();
        vec![(numbers(&sweep.failed), numbers(&sweep.late))]
    };
    assert_eq!(told(&sweep(&mut q, at(0))), [(1, 0)]);
    q.unreported(1, &[0], at(0));
    assert_eq!(told(&sweep(&mut q, at(14))), [(0, 0)]);
    assert_eq!(told(&sweep(&mut q, at(30))), [(1, 0)]);
    q.unreported(1, &[7], at(30));
    assert_eq!(told(&sweep(&mut q, at(60))), [(0, 0)]);
    q.reported(1, &[0]);
    // So is word of a delay.
    attempt(&mut q, A, Ending::Deferred, at(60));
    let late = 4 * HOUR;
    assert_eq!(told(&sweep(&mut q, at(late))), [(0, 2)]);
    q.unreported(2, &[0], at(late));
    q.unreported(3, &[0], at(late));
    assert_eq!(told(&sweep(&mut q, at(late + 15))), [(0, 0)], "it is about to be tried");
    attempt(&mut q, A, Ending::Deferred, at(late + 15));
    assert_eq!(told(&sweep(&mut q, at(late + 60))), [(0, 2)]);
    assert_eq!(told(&sweep(&mut q, at(late + 75))), [(0, 0)]);
}

#[test]
fn nothing_that_is_not_failed_can_be_reported_away() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    q.reported(1, &[0]);
    q.reported(2, &[0]);
    assert_eq!(attempt(&mut q, A, Ending::Delivered, at(0)).0, 1);
}

#[test]
fn many_reports_come_in_portions() {
    let mut q = queue();
    for counter in 0..300 {
        add(&mut q, counter, at(0));
        attempt(&mut q, A, Ending::Failed, at(0));
    }
    let mut calls = 0;
    let mut seen = std::collections::BTreeSet::new();
    while q.next_sweep() <= at(0).time {
        let some = q.sweep(at(0));
        assert!(some.failed.len() <= 64);
        seen.extend(some.failed.iter().map(|r| r.id.counter));
        calls += 1;
    }
    assert!(seen.len() == 300 && calls >= 5);
}

#[test]
fn a_long_queue_is_swept_in_slices() {
    let mut q = queue();
    for counter in 0..10_000 {
        add(&mut q, counter, at(0));
        attempt(&mut q, A, Ending::Deferred, at(0));
    }
    sweep(&mut q, at(0));
    let now = at(100);
    let mut due = Vec::new();
    while q.next_sweep() <= now.time {
        q.sweep(now);
        due.push(q.server(A, now).due);
    }
    assert_eq!((due.len(), due.last()), (3, Some(&10_000)));
    assert!(due[0] < 5000);
}

#[test]
fn a_deferred_message_expires_and_a_held_one_does_not() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    add(&mut q, 2, at(0));
    q.hold(2);
    let all = defer_until(&mut q, 0, EXPIRE);
    assert!(all.failed.is_empty());
    if let Some(delivery) = q.take(A) {
        q.finished(delivery, &[outcome(0, Ending::Deferred)], at(EXPIRE));
    }
    let end = sweep(&mut q, at(EXPIRE));
    assert_eq!(end.failed.len(), 1);
    assert_eq!(end.failed[0].id, id(1));
    let expected =
        Reported { recipient: 0, server: A, host: None, reply: Some(busy()), expired: true };
    assert_eq!(end.failed[0].recipients, [expected]);
    assert_eq!(q.take(A), None, "it is not tried any more");
    assert_eq!(q.counts(), Counts { messages: 2, deferred: 0, held: 1 });
    q.reported(1, &[0]);
    q.release(2);
    assert_eq!(attempt(&mut q, A, Ending::Delivered, at(EXPIRE)).0, 2);
    is_empty(&q);
}

#[test]
fn mail_for_a_dead_or_paused_server_expires_with_the_servers_fault() {
    for pause in [false, true] {
        let mut q = queue();
        add(&mut q, 1, at(0));
        attempt(&mut q, A, Ending::Deferred, at(0));
        sweep(&mut q, at(60));
        q.failed(A, &down(), at(100));
        if pause {
            q.pause_server(A, at(100));
        }
        assert_eq!(sweep(&mut q, at(EXPIRE - 1)).failed, []);
        let end = sweep(&mut q, at(EXPIRE + 20));
        let expected =
            Reported { recipient: 0, server: A, host: None, reply: Some(down()), expired: true };
        assert_eq!(end.failed[0].recipients, [expected]);
        assert_eq!(q.connections_wanted(A, 0, at(EXPIRE + 20)), 0);
        q.reported(1, &[0]);
        is_empty(&q);
    }
}

#[test]
fn what_is_under_way_or_about_to_be_does_not_expire() {
    let mut q = queue();
    // It lay in the spool for a year while the server was off.
    let now = Now { time: Time::ZERO, wall: Wall::from_secs(365 * 86_400) };
    for counter in [1, 2] {
        q.insert(id(counter), Wall::from_secs(0), &[(0, A, Status::Pending)], now);
    }
    let delivery = q.take(A).unwrap();
    assert_eq!(q.sweep(now), Sweep::default());
    q.finished(delivery, &[outcome(0, Ending::Deferred)], now);
    attempt(&mut q, A, Ending::Delivered, now);
    assert_eq!(sweep(&mut q, at(15)).failed.len(), 1);
}

#[test]
fn the_sender_is_told_once_of_a_delay() {
    let mut q = queue();
    let all = [
        (0, A, Status::Pending),
        (1, A, Status::Delayed),
        (2, A, Status::Held),
        (3, A, Status::Pending),
    ];
    q.insert(id(1), at(0).wall, &all, at(0));
    add(&mut q, 2, at(0));
    let before = defer_until(&mut q, 0, 4 * HOUR - 600);
    assert!(before.late.is_empty());
    let after = defer_until(&mut q, 4 * HOUR, 12 * HOUR);
    let mut told: Vec<(u64, u32)> = Vec::new();
    for report in &after.late {
        told.extend(report.recipients.iter().map(|r| (report.id.counter, r.recipient)));
        assert!(report.recipients.iter().all(|r| r.reply == Some(busy()) && !r.expired));
    }
    told.sort_unstable();
    assert_eq!(told, [(1, 0), (1, 3), (2, 0)]);
    // What is released says what it was told.
    assert_eq!(q.release(1), [(2, Status::Pending)]);
    q.hold(1);
    let mut released = q.release(1);
    released.sort_unstable_by_key(|r| r.0);
    let (delayed, pending) = (Status::Delayed, Status::Pending);
    assert_eq!(released, [(0, delayed), (1, delayed), (2, pending), (3, delayed)]);
}

#[test]
fn delays_for_a_dead_server_are_told_with_its_fault_and_never_when_off() {
    let dead = |delay_notice| {
        let mut q = Queue::new(QueueConfig { delay_notice, ..config() }, &servers(), 1);
        add(&mut q, 1, at(0));
        q.failed(A, &down(), at(0));
        sweep(&mut q, at(5 * HOUR)).late
    };
    let told = dead(config().delay_notice);
    let expected =
        Reported { recipient: 0, server: A, host: None, reply: Some(down()), expired: false };
    assert_eq!(told, [Report { id: id(1), recipients: vec![expected] }]);
    assert_eq!(dead(None), []);
}

#[test]
fn a_jump_of_the_wall_clock_does_no_harm() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    attempt(&mut q, A, Ending::Deferred, at(0));
    let ten_years = 10 * 365 * 86_400;
    for jump in [ten_years, -ten_years] {
        let mut now = at(10);
        now.wall = Wall::from_secs(now.wall.as_secs() + jump);
        assert_eq!(sweep(&mut q, now), Sweep::default());
        assert_eq!(q.take(A), None);
    }
    // A message from the future is new; one from long ago, or with a senseless date, is old.
    let now = at(60);
    for (counter, arrived) in [(2, ten_years * 9), (3, i64::MIN / 1_000_000), (4, 0)] {
        q.insert(id(counter), Wall::from_secs(arrived), &[(0, B, Status::Pending)], now);
    }
    for _ in 0..3 {
        attempt(&mut q, B, Ending::Deferred, now);
    }
    let told = sweep(&mut q, now);
    assert_eq!(told.failed.iter().map(|r| r.id.counter).collect::<Vec<_>>(), [3]);
    assert_eq!(told.late.iter().map(|r| r.id.counter).collect::<Vec<_>>(), [4]);
}
