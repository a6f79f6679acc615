//! What a message costs in the queue: measured on the process, which is why this test has one for
//! itself.

#![cfg(target_os = "linux")]

use std::time::Duration;

use mailflux::base::{MessageId, Now, Reply, Status, Wall};
use mailflux::journal::Ending;
use mailflux::queue::{Outcome, Queue, QueueConfig, ServerId, ServerLimits};

/// Octets of memory that the process has in use.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

#[test]
fn a_waiting_message_costs_about_56_octets_which_are_used_again() {
    const MESSAGES: u64 = 400_000;
    let hour = Duration::from_secs(3600);
    let config = QueueConfig {
        interval: hour,
        retry_min: hour,
        retry_max: hour,
        expire: hour,
        delay_notice: None,
    };
    let servers =
        [("next".to_string(), ServerLimits { connections: 8, ..ServerLimits::default() })];
    let mut queue = Queue::new(config, &servers, 1);
    let now = Now::default();
    let busy = Reply::made(450, None, "mailbox busy");
    let before = resident();
    for round in 0..5 {
        let counters = round * MESSAGES..(round + 1) * MESSAGES;
        for counter in counters.clone() {
            let id = MessageId { counter, arrived: 0 };
            queue.insert(id, Wall::from_secs(0), &[(0, ServerId(0), Status::Pending)], now);
            let delivery = queue.take(ServerId(0)).unwrap();
            let outcome = Outcome { recipient: 0, ending: Ending::Deferred, reply: busy.clone() };
            queue.finished(delivery, &[outcome], now);
        }
        assert_eq!(queue.counts().deferred as u64, MESSAGES);
        let each = (resident() - before) / MESSAGES as usize;
        assert!((48..66).contains(&each), "{each} octets a message in round {round}");
        counters.for_each(|counter| assert!(queue.remove(counter)));
    }
}
