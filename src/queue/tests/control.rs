//! What people do to the queue, and what they see of it.

use super::*;

#[test]
fn a_held_message_waits_for_its_release() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    add(&mut q, 2, at(0));
    attempt(&mut q, A, Ending::Deferred, at(0));
    assert_eq!((q.hold(1), q.hold(2), q.hold(3)), (vec![0], vec![0], vec![]));
    assert_eq!(q.counts(), Counts { messages: 2, deferred: 1, held: 2 });
    sweep(&mut q, at(HOUR));
    assert!(q.retry(1));
    q.flush(at(HOUR));
    assert_eq!(q.take(A), None);
    let view = q.message(2, at(0)).unwrap();
    assert!(view.held() && view.next_attempt().is_none());
    assert_eq!(q.release(1), [(0, Status::Pending)]);
    assert_eq!(q.release(1), []);
    assert_eq!(q.counts(), Counts { messages: 2, deferred: 1, held: 1 });
    assert_eq!(attempt(&mut q, A, Ending::Delivered, at(HOUR)), (1, 2));
    q.release(2);
    assert_eq!(attempt(&mut q, A, Ending::Delivered, at(HOUR)).0, 2);
    is_empty(&q);
}

#[test]
fn held_in_the_spool_is_held_here() {
    let mut q = queue();
    q.insert(id(1), at(0).wall, &[(0, A, Status::Held), (1, A, Status::Pending)], at(0));
    assert_eq!(q.counts().held, 1);
    let delivery = q.take(A).unwrap();
    assert_eq!(delivery.recipients, [1]);
    q.finished(delivery, &[outcome(1, Ending::Delivered)], at(0));
    assert_eq!(q.take(A), None);
    q.release(1);
    attempt(&mut q, A, Ending::Delivered, at(0));
    is_empty(&q);
}

#[test]
fn holding_what_a_session_carries() {
    for release in [false, true] {
        let mut q = queue();
        let all: Vec<_> = (0..3).map(|n| (n, A, Status::Pending)).collect();
        q.insert(id(1), at(0).wall, &all, at(0));
        let delivery = q.take(A).unwrap();
        assert_eq!(q.hold(1), [0, 1, 2]);
        assert_eq!(q.counts().held, 1);
        if release {
            assert_eq!(q.release(1).len(), 3);
        }
        q.finished(delivery, &[outcome(0, Ending::Delivered), outcome(1, Ending::Deferred)], at(0));
        let view = q.message(1, at(0)).unwrap();
        assert!(view.recipients.iter().all(|r| r.held != release));
        assert_eq!(view.recipients.len(), 2);
        assert_eq!(q.take(A).map(|d| q.finished(d, &[], at(0))).is_some(), release);
    }
}

#[test]
fn retry_and_flush_make_mail_due() {
    let mut q = queue();
    for counter in 1..=3 {
        add(&mut q, counter, at(0));
        attempt(&mut q, A, Ending::Deferred, at(0));
    }
    assert!(q.retry(2) && !q.retry(9));
    assert_eq!(attempt(&mut q, A, Ending::Delivered, at(0)), (2, 2));
    assert_eq!(q.take(A), None);
    q.failed(A, &down(), at(0));
    q.pause_server(B, at(0));
    q.flush(at(1));
    assert_eq!(q.connections_wanted(A, 0, at(1)), 1);
    assert_eq!(q.server(B, at(1)).state, ServerState::Probing);
    q.alive(A, at(1));
    assert_eq!(attempt(&mut q, A, Ending::Delivered, at(1)), (1, 2));
    assert_eq!(attempt(&mut q, A, Ending::Delivered, at(1)), (3, 2));
    is_empty(&q);
}

#[test]
fn removing_in_every_place() {
    let mut q = queue();
    let all = [
        (0, A, Status::Pending),
        (1, B, Status::Pending),
        (2, A, Status::Held),
        (3, ServerId(2), Status::Pending),
        (4, ServerId(3), Status::Pending),
    ];
    let mut names = servers();
    names.extend(
        ["gamma", "delta"]
            .map(|n| (n.into(), ServerLimits { connections: 1, ..ServerLimits::default() })),
    );
    q.reconfigure(config(), &names, at(0));
    q.insert(id(1), at(0).wall, &all, at(0));
    attempt(&mut q, B, Ending::Deferred, at(0));
    attempt(&mut q, ServerId(2), Ending::Failed, at(0));
    let carried = q.take(ServerId(3)).unwrap();
    assert!(q.remove(1) && !q.remove(1));
    assert_eq!((q.counts(), q.message(1, at(0))), (Counts::default(), None));
    assert_eq!(q.take(A), None);
    assert_eq!(sweep(&mut q, at(100)), Sweep::default());
    // The counter could even come back meanwhile.
    add(&mut q, 1, at(100));
    q.finished(carried, &[outcome(4, Ending::Deferred)], at(100));
    assert_eq!(attempt(&mut q, A, Ending::Delivered, at(100)), (1, 1));
    is_empty(&q);
}

#[test]
fn failing_by_hand_spares_what_is_under_way() {
    let mut q = queue();
    let all = [(0, A, Status::Pending), (1, B, Status::Held), (2, B, Status::Pending)];
    q.insert(id(1), at(0).wall, &all, at(0));
    let carried = q.take(A).unwrap();
    let why = Reply::fixed(554, Enhanced(5, 7, 1), "the postmaster gave it up");
    sweep(&mut q, at(0));
    assert_eq!((q.fail(1, &why), q.fail(1, &why), q.fail(9, &why)), (2, 0, 0));
    assert_eq!((q.take(B), q.counts().held, q.hold(1)), (None, 0, vec![0]));
    q.release(1);
    let told = sweep(&mut q, at(0)).failed;
    let words: Vec<_> =
        told[0].recipients.iter().map(|r| (r.recipient, r.reply.clone().unwrap())).collect();
    assert_eq!((told.len(), words), (1, vec![(1, why.clone()), (2, why)]));
    q.reported(1, &[1, 2]);
    q.finished(carried, &[outcome(0, Ending::Delivered)], at(0));
    is_empty(&q);
}

#[test]
fn a_paused_server_gets_nothing_until_it_is_resumed() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    q.pause_server(A, at(0));
    assert_eq!((q.take(A), q.connections_wanted(A, 0, at(0))), (None, 0));
    q.alive(A, at(1));
    q.failed(A, &down(), at(1));
    let view = q.server(A, at(1));
    assert_eq!((view.state, view.since, view.due), (ServerState::Paused, at(0).time, 1));
    assert_eq!(q.message(1, at(1)).unwrap().next_attempt(), None);
    q.resume_server(A, at(2));
    assert_eq!(q.connections_wanted(A, 0, at(2)), 1);
    assert_eq!(attempt(&mut q, A, Ending::Delivered, at(2)).0, 1);
}

#[test]
fn rerouting_keeps_the_schedule() {
    let mut q = queue();
    let all: Vec<_> = (0..4).map(|n| (n, A, Status::Pending)).collect();
    q.insert(id(1), at(0).wall, &all, at(0));
    attempt(&mut q, A, Ending::Deferred, at(0));
    let due = q.message(1, at(0)).unwrap().next_attempt();
    q.reroute(1, &[(1, B), (3, B), (0, A), (9, B)]);
    let view = q.message(1, at(0)).unwrap();
    let servers: Vec<_> = view.recipients.iter().map(|r| r.server).collect();
    assert_eq!(servers, [A, B, A, B]);
    assert!(view.recipients.iter().all(|r| r.next == due && r.attempts == 1));
    assert_eq!(q.counts(), Counts { messages: 1, deferred: 1, held: 0 });
    q.hold(1);
    q.reroute(1, &[(0, B)]);
    q.release(1);
    q.reroute(1, &[(2, B)]);
    assert_eq!(q.take(A), None);
    let mut to_b: Vec<u32> = Vec::new();
    while let Some(delivery) = q.take(B) {
        let outcomes: Vec<_> =
            delivery.recipients.iter().map(|r| outcome(*r, Ending::Delivered)).collect();
        to_b.extend(&delivery.recipients);
        q.finished(delivery, &outcomes, at(0));
    }
    to_b.sort_unstable();
    assert_eq!(to_b, [0, 1, 2, 3]);
    is_empty(&q);
}

#[test]
fn rerouted_recipients_stay_together() {
    let mut q = queue();
    let all: Vec<_> = (0..5).map(|n| (n, A, Status::Pending)).collect();
    q.insert(id(1), at(0).wall, &all, at(0));
    q.reroute(1, &[(3, B), (1, B)]);
    let (to_a, to_b) = (q.take(A).unwrap(), q.take(B).unwrap());
    assert_eq!((&to_a.recipients[..], &to_b.recipients[..]), (&[0, 2, 4][..], &[1, 3][..]));
    for delivery in [to_a, to_b] {
        q.finished(delivery, &[], at(0));
    }
}

#[test]
fn rerouting_leaves_alone_what_is_carried_or_failed() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    add(&mut q, 2, at(0));
    attempt(&mut q, A, Ending::Failed, at(0));
    let delivery = q.take(A).unwrap();
    q.reroute(1, &[(0, B)]);
    q.reroute(2, &[(0, B)]);
    assert_eq!(q.take(B), None);
    q.finished(delivery, &[], at(0));
    q.reroute(2, &[(0, B)]);
    assert_eq!(attempt(&mut q, B, Ending::Delivered, at(0)).0, 2);
    q.reported(1, &[0]);
    is_empty(&q);
}

#[test]
fn servers_keep_their_state_by_name() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    q.insert(id(2), at(0).wall, &[(0, B, Status::Pending)], at(0));
    q.failed(A, &down(), at(0));
    let limits = |connections| ServerLimits { connections, ..ServerLimits::default() };
    let new = [("gamma".to_string(), limits(3)), ("alpha".to_string(), limits(5))];
    let ids = q.reconfigure(config(), &new, at(1));
    assert_eq!(ids, [ServerId(2), A]);
    assert!(matches!(q.server(A, at(1)).state, ServerState::BackingOff { .. }));
    // Beta is gone: its mail is given out to be rerouted, and not tried.
    assert_eq!((q.take(B), q.connections_wanted(B, 0, at(1))), (None, 0));
    assert_eq!(q.servers(at(1)).count(), 3);
    add(&mut q, 3, at(1));
    attempt(&mut q, A, Ending::Failed, at(1));
    attempt(&mut q, A, Ending::Failed, at(1));
    assert_eq!(sweep(&mut q, at(1)).failed.len(), 2);
    let no_alpha = [("gamma".to_string(), limits(3))];
    q.reconfigure(config(), &no_alpha, at(1));
    assert!(q.next_sweep() <= at(1).time, "the mail of those that are gone is looked for at once");
    assert_eq!(sweep(&mut q, at(1)).unrouted, [id(2)]);
    q.pause_server(B, at(1));
    q.resume_server(B, at(1));
    q.flush(at(1));
    q.alive(B, at(1));
    q.failed(B, &down(), at(1));
    assert_eq!(q.server(B, at(1)).state, ServerState::Gone);
    q.reroute(2, &[(0, ids[0])]);
    assert_eq!(sweep(&mut q, at(20)).unrouted, []);
    assert_eq!(
        q.servers(at(1)).map(|s| s.name.to_string()).collect::<Vec<_>>(),
        ["alpha", "gamma"]
    );
    assert_eq!(attempt(&mut q, ServerId(2), Ending::Delivered, at(20)).0, 2);
    // Back again, as new.
    assert_eq!(q.reconfigure(config(), &servers(), at(30)), [A, B]);
    assert_eq!(q.server(B, at(30)).state, ServerState::Ready { window: 1 });
}

#[test]
fn new_settings_count_at_once() {
    let mut q = queue();
    sweep(&mut q, at(0));
    let (interval, retry_min) = (secs(100), secs(1000));
    q.reconfigure(QueueConfig { interval, retry_min, ..config() }, &servers(), at(1));
    sweep(&mut q, at(1));
    assert_eq!(q.next_sweep(), at(101).time);
    add(&mut q, 1, at(1));
    attempt(&mut q, A, Ending::Deferred, at(1));
    assert!(q.message(1, at(1)).unwrap().next_attempt() >= Some(at(1001).time));
}

#[test]
fn numbers_of_servers_are_used_again_after_a_rest() {
    let mut q = queue();
    let one = |name: &str| {
        [(name.to_string(), ServerLimits { connections: 1, ..ServerLimits::default() })]
    };
    assert_eq!(q.reconfigure(config(), &one("c"), at(0)), [ServerId(2)]);
    q.insert(id(1), at(0).wall, &[(0, ServerId(2), Status::Pending)], at(0));
    assert_eq!(q.reconfigure(config(), &one("d"), at(10)), [ServerId(3)]);
    assert_eq!(q.reconfigure(config(), &one("e"), at(HOUR)), [A]);
    assert_eq!(q.reconfigure(config(), &one("f"), at(HOUR + 11)), [B]);
    // c has mail: its number is not free.
    assert_eq!(q.reconfigure(config(), &one("g"), at(2 * HOUR)), [ServerId(3)]);
}

#[test]
fn a_smaller_limit_counts_at_once() {
    let mut q = queue();
    (0..10).for_each(|counter| add(&mut q, counter, at(0)));
    (0..4).for_each(|_| q.alive(A, at(0)));
    assert_eq!(q.connections_wanted(A, 0, at(0)), 8);
    let name = |connections| {
        [("alpha".to_string(), ServerLimits { connections, ..ServerLimits::default() })]
    };
    for (limit, wanted) in [(3, 3), (0, 1), (8, 8)] {
        q.reconfigure(config(), &name(limit), at(0));
        assert_eq!(q.connections_wanted(A, 0, at(0)), wanted);
    }
}

#[test]
fn messages_are_listed_by_age_from_any_point() {
    let mut q = queue();
    for counter in [9, 2, 30, 4] {
        add(&mut q, counter, at(0));
    }
    let list = |from| -> Vec<u64> { q.messages(from, at(0)).map(|m| m.id.counter).collect() };
    assert_eq!(list(0), [2, 4, 9, 30]);
    assert_eq!(list(5), [9, 30]);
    assert_eq!(list(31), [0; 0]);
    assert_eq!(q.id_of(9), Some(id(9)));
    let view = q.message(9, at(3)).unwrap();
    assert_eq!(view.next_attempt(), Some(at(3).time));
}

#[test]
fn what_waits_for_time_and_server_waits_for_the_later() {
    let mut q = queue();
    add(&mut q, 1, at(0));
    attempt(&mut q, A, Ending::Deferred, at(0));
    q.failed(A, &down(), at(1000));
    let ServerState::BackingOff { until } = q.server(A, at(1000)).state else { panic!() };
    assert_eq!(q.message(1, at(1000)).unwrap().next_attempt(), Some(until));
    // What waits for its own time shows its own reply.
    assert_eq!(q.message(1, at(1000)).unwrap().recipients[0].last_reply, Some(&busy()));
    sweep(&mut q, at(1000));
    assert_eq!(q.message(1, at(1000)).unwrap().recipients[0].last_reply, Some(&down()));
    // The probe may go: that is now, not when it might first have gone.
    assert_eq!(q.message(1, at(5000)).unwrap().next_attempt(), Some(at(5000).time));
}
