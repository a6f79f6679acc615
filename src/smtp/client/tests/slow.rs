//! Servers that are slow on purpose: lively enough for every single time-out, and never done.

use super::dialogue::{drive, ready};
use super::*;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Each reply takes its time, but comes.
#[test]
fn a_server_that_takes_its_time_with_each_recipient_gets_those_it_took() {
    let to: Vec<String> = (0..40).map(|n| format!("r{n}@x")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let mut session = ready(Time::ZERO);
    session.begin(order(&to), Time::ZERO);
    let (mut now, mut did) = (Time::ZERO, vec![]);
    drive(&mut session, b"", now, &mut did);
    while !did.iter().any(|line| line == "DATA") {
        now = now.after(seconds(240));
        assert!(now < session.deadline(), "{did:?}");
        drive(&mut session, b"250 ok\r\n", now, &mut did);
    }
    // Half an hour is over, seven recipients were taken.
    assert_eq!(now, Time::ZERO.after(seconds(8 * 240)));
    assert_eq!(did.iter().filter(|line| line.starts_with("RCPT")).count(), 7);
    drive(&mut session, b"354 go\r\n", now, &mut did);
    session.transmitted(now);
    drive(&mut session, b"", now, &mut did);
    drive(&mut session, b"250 ok\r\n", now, &mut did);
    assert_eq!(did.iter().filter(|line| line.starts_with("untried")).count(), 33, "{did:?}");
    assert!(did.contains(&"done".into()));
}

/// Pipelined, all recipients are out at once, and the server answers one each four minutes.
#[test]
fn commands_do_not_take_longer_than_a_transaction_may() {
    let limits = Timeouts::default();
    let to: Vec<String> = (0..40).map(|n| format!("r{n}@x")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let mut session = ready(Time::ZERO);
    session.extensions.pipelining = true;
    session.begin(order(&to), Time::ZERO);
    let (mut now, mut did) = (Time::ZERO, vec![]);
    drive(&mut session, b"", now, &mut did);
    while now.after(seconds(240)) < session.deadline() {
        now = now.after(seconds(240));
        drive(&mut session, b"250 ok\r\n", now, &mut did);
        assert!(now < Time::ZERO.after(limits.transaction));
    }
    assert_eq!(session.deadline(), Time::ZERO.after(limits.transaction));
    session.timeout(session.deadline());
    did.clear();
    drive(&mut session, b"", now, &mut did);
    assert!(did.iter().filter(|line| line.starts_with("untried")).count() == 40);
    assert_eq!(did.last().unwrap(), "close");
}

/// A server that takes an octet now and then.
#[test]
fn content_does_not_take_longer_than_its_size_explains() {
    let limits = Timeouts::default();
    for size in [0, 1000, 50_000_000] {
        let mut session = ready(Time::ZERO);
        session.begin(Transaction { size, ..order(&["a@x"]) }, Time::ZERO);
        let (mut now, mut did) = (Time::ZERO, vec![]);
        for line in ["", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"] {
            drive(&mut session, line.as_bytes(), now, &mut did);
        }
        let end = now.after(limits.transaction).after(seconds(size / limits.rate));
        while now < session.deadline() {
            assert!(session.deadline() <= end);
            now = now.after(limits.block / 2).min(session.deadline());
            session.progress(now);
        }
        assert_eq!(now, end);
        // Had all of it been taken just now, its answer would still have its whole time; but what
        // is in our queue is not dripped away for ever, either.
        session.transmitted(now);
        drive(&mut session, b"", now, &mut did);
        let end = end.after(limits.dot);
        assert_eq!(session.deadline(), end);
        session.progress(now.after(seconds(1)));
        assert_eq!(session.deadline(), end);
    }
}

/// Time at the gate is ours.
#[test]
fn a_transaction_that_was_held_is_not_late() {
    let mut session = ready(Time::ZERO);
    session.begin(order(&["a@x"]), Time::ZERO);
    let mut now = Time::ZERO;
    for line in ["", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"] {
        let mut input = line.as_bytes();
        loop {
            let (n, action) = session.step(input, now);
            input = &input[n..];
            match action {
                Action::Read => break,
                Action::Ask(_) => {
                    now = now.after(seconds(7200));
                    session.verdict(Verdict::Accept, now);
                    assert!(now < session.deadline());
                }
                Action::Transmit(_) => session.transmitted(now),
                _ => {}
            }
        }
        assert!(now < session.deadline(), "{line}");
    }
    assert_eq!(session.state_name(), "final");
}
