//! Which server takes a message: failover, shares, rates, and destinations of direct delivery.

use super::*;
use crate::queue::MAX_DESTINATIONS;
use crate::queue::routes::Group;

fn route(groups: &[&[(ServerId, u32)]]) -> Vec<Group> {
    groups.iter().map(|group| Group(group.to_vec())).collect()
}

#[test]
fn the_first_that_takes_mail_and_one_message_as_the_probe() {
    let mut q = queue();
    let way = route(&[&[(A, 1)], &[(B, 1)]]);
    assert_eq!(q.choose(&way, "x.test", at(0)), Some(A));
    q.failed(A, &down(), at(0));
    assert_eq!(q.choose(&way, "x.test", at(1)), Some(B));
    // Its wait is over: one message is the probe, the others go on as before.
    let later = at(HOUR);
    assert_eq!(q.choose(&way, "x.test", later), Some(A));
    add(&mut q, 1, later);
    assert_eq!(q.choose(&way, "x.test", later), Some(B));
    let probe = q.take(A).unwrap();
    assert_eq!(q.choose(&way, "x.test", later), Some(B));
    q.alive(A, later);
    assert_eq!(q.choose(&way, "x.test", later), Some(A));
    q.finished(probe, &[outcome(0, Ending::Delivered)], later);
    is_empty(&q);
}

#[test]
fn when_none_takes_mail_it_waits_for_the_one_that_may_be_probed_first() {
    let mut q = queue();
    let way = route(&[&[(A, 1)], &[(B, 1)]]);
    q.failed(B, &down(), at(0));
    q.failed(A, &down(), at(5));
    assert_eq!(q.choose(&way, "x.test", at(6)), Some(B));
    q.pause_server(B, at(6));
    assert_eq!(q.choose(&way, "x.test", at(6)), Some(A));
    assert_eq!(q.choose(&[], "x.test", at(6)), None);
    assert_eq!(q.choose(&route(&[&[(B, 1)]]), "x.test", at(6)), Some(B), "there is no other way");
}

#[test]
fn shares_go_by_weight() {
    let mut q = queue();
    let way = route(&[&[(A, 3), (B, 1)]]);
    let to_a = (0..4000).filter(|_| q.choose(&way, "x.test", at(0)) == Some(A)).count();
    assert!((2800..3200).contains(&to_a), "{to_a}");
    q.failed(A, &down(), at(0));
    assert!((0..100).all(|_| q.choose(&way, "x.test", at(0)) == Some(B)));
}

fn with(limits: ServerLimits) -> Queue {
    Queue::new(config(), &[("alpha".to_string(), limits)], 1)
}

#[test]
fn a_rate_gives_one_at_a_time_and_opens_no_connection_for_nothing() {
    let rate = Some("1/s".parse().unwrap());
    let mut q = with(ServerLimits { connections: 8, rate, direct: false });
    (1..=3).for_each(|n| add(&mut q, n, at(10)));
    for now in [10, 11, 12] {
        assert_eq!(q.connections_wanted(A, 0, at(now)), 1);
        let delivery = q.take_at_rate(A, at(now)).unwrap();
        assert_eq!(q.take_at_rate(A, at(now)), None);
        assert_eq!(q.connections_wanted(A, 0, at(now)), 0);
        let next = if now == 12 { Time::NEVER } else { at(now + 1).time };
        assert_eq!(q.next_probe(at(now)), next);
        q.finished(delivery, &[outcome(0, Ending::Delivered)], at(now));
    }
    is_empty(&q);
}

#[test]
fn each_domain_has_a_fate_of_its_own() {
    let mut q = with(ServerLimits { connections: 2, rate: None, direct: true });
    let one = q.destination(A, "One.test", at(0));
    let two = q.destination(A, "two.test", at(0));
    assert_eq!(q.destination(A, "one.TEST", at(0)), one);
    assert_eq!((q.settings_of(one), q.settings_of(A)), (A, A));
    assert_eq!((q.domain_of(two), q.domain_of(A)), (Some("two.test"), None));
    for (counter, server) in [(1, one), (2, two)] {
        q.insert(id(counter), at(0).wall, &[(0, server, Status::Pending)], at(0));
    }
    q.failed(one, &down(), at(0));
    assert_eq!(q.connections_wanted(one, 0, at(1)), 0);
    assert_eq!(q.connections_wanted(two, 0, at(1)), 1);
    assert_eq!(attempt(&mut q, two, Ending::Delivered, at(1)), (2, 1));
    let names: Vec<&str> = q.servers(at(1)).map(|s| s.name).collect();
    assert_eq!(names, ["alpha", "alpha/one.test"], "those that are quiet are not shown");
}

const DIRECT: ServerLimits = ServerLimits { connections: 2, rate: None, direct: true };
const HOST: ServerLimits = ServerLimits { direct: false, ..DIRECT };

#[test]
fn a_domain_that_cannot_be_reached_goes_on_to_the_next_server_and_others_do_not() {
    let mut q =
        Queue::new(config(), &[("direct".to_string(), DIRECT), ("relay".to_string(), HOST)], 1);
    let way = route(&[&[(A, 1)], &[(B, 1)]]);
    assert_eq!(q.choose(&way, "one.test", at(0)), Some(A), "nothing is known of it");
    let one = q.destination(A, "one.test", at(0));
    q.failed(one, &down(), at(0));
    assert_eq!(q.choose(&way, "ONE.test", at(1)), Some(B));
    assert_eq!(q.choose(&way, "two.test", at(1)), Some(A));
    assert_eq!(q.choose(&route(&[&[(A, 1)]]), "one.test", at(1)), Some(A), "no other way");
    assert_eq!(q.choose(&way, "one.test", at(HOUR)), Some(A), "the probe");
    q.pause_server(B, at(1));
    assert_eq!(q.choose(&way, "one.test", at(1)), Some(A), "it may be probed first");
}

#[test]
fn who_pauses_a_direct_server_pauses_its_destinations() {
    let mut q = with(DIRECT);
    let one = q.destination(A, "one.test", at(0));
    q.insert(id(1), at(0).wall, &[(0, one, Status::Pending)], at(0));
    q.pause_server(A, at(1));
    let two = q.destination(A, "two.test", at(1));
    q.insert(id(2), at(0).wall, &[(0, two, Status::Pending)], at(1));
    let wanted = |q: &Queue, now| [one, two].map(|id| q.connections_wanted(id, 0, at(now)));
    assert_eq!((q.take(one), q.take(two), wanted(&q, 1)), (None, None, [0, 0]));
    // A change of the configuration resumes nothing.
    q.reconfigure(config(), &[("alpha".to_string(), DIRECT)], at(2));
    assert_eq!(wanted(&q, 2), [0, 0]);
    q.resume_server(A, at(3));
    assert_eq!(wanted(&q, 3), [1, 1]);
    // One destination can be paused alone, and a flush is for all.
    q.pause_server(one, at(4));
    assert_eq!(wanted(&q, 4), [0, 1]);
    q.pause_server(A, at(5));
    q.flush(at(6));
    assert_eq!(wanted(&q, 6), [1, 1]);
    let three = q.destination(A, "three.test", at(6));
    q.insert(id(3), at(6).wall, &[(0, three, Status::Pending)], at(6));
    assert_eq!(q.connections_wanted(three, 0, at(6)), 1);
}

#[test]
fn destinations_are_bounded_and_used_again() {
    let mut q = with(ServerLimits { connections: 2, rate: None, direct: true });
    let mut ids = Vec::new();
    for n in 0..MAX_DESTINATIONS {
        let server = q.destination(A, &format!("d{n}.test"), at(0));
        assert_ne!(server, A);
        q.insert(id(n as u64), at(0).wall, &[(0, server, Status::Pending)], at(0));
        ids.push(server);
    }
    // One too many: it parks, no connection is opened for it, and each sweep gives it out.
    assert_eq!(q.destination(A, "more.test", at(0)), A);
    q.insert(id(9999), at(0).wall, &[(0, A, Status::Pending)], at(0));
    assert_eq!(q.connections_wanted(A, 0, at(0)), 0);
    assert_eq!(sweep(&mut q, at(20)).unrouted, [id(9999)]);
    // A session still speaks with the first: only when it is gone may another have its number.
    q.session_began(ids[0]);
    attempt(&mut q, ids[0], Ending::Delivered, at(20));
    assert_eq!(q.destination(A, "more.test", at(20)), A);
    q.session_ended(ids[0]);
    assert_eq!(q.destination(A, "more.test", at(20)), ids[0]);
    assert_eq!(q.domain_of(ids[0]), Some("more.test"));
    q.reroute(9999, &[(0, ids[0])]);
    assert_eq!(attempt(&mut q, ids[0], Ending::Delivered, at(20)), (9999, 1));
}

#[test]
fn destinations_follow_their_server_through_changes() {
    let direct = ServerLimits { connections: 2, rate: None, direct: true };
    let mut q = with(direct);
    let one = q.destination(A, "one.test", at(0));
    q.insert(id(1), at(0).wall, &[(0, one, Status::Pending)], at(0));
    let more = ServerLimits { connections: 5, ..direct };
    let both = [("new".to_string(), direct), ("alpha".to_string(), more)];
    let ids = q.reconfigure(config(), &both, at(1));
    assert_eq!(ids[1], A);
    assert_ne!(ids[0], one, "its number is taken");
    assert_eq!(q.connections_wanted(one, 0, at(1)), 1);
    // Not direct any more: its mail is given out to find another way.
    let host = [("alpha".to_string(), ServerLimits { direct: false, ..direct })];
    q.reconfigure(config(), &host, at(2));
    assert_eq!(sweep(&mut q, at(2)).unrouted, [id(1)]);
    q.reroute(1, &[(0, A)]);
    assert_eq!(attempt(&mut q, A, Ending::Delivered, at(2)), (1, 1));
    is_empty(&q);
}
