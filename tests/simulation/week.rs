//! A next server that is down for a week, in a simulated world: with a few thousand messages in an
//! ordinary run, and with as many as `MAILFLUX_WEEK` says.

use std::time::Duration;

use crate::net::SimNet;
use crate::peers::{Chunks, Fate, Ledger, Server};
use crate::{HERE, World, beginning, names, start_with};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// Messages of one client.
const EACH: u64 = 100;
/// Seconds that a tick with nothing to do takes.
const STRIDE: u64 = 20;

fn messages() -> u64 {
    let asked = std::env::var("MAILFLUX_WEEK").map(|asked| asked.parse().unwrap());
    asked.unwrap_or(1000)
}

/// KiB of memory that the process has in use; nothing where no system tells it so.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.map_or(0, |line| line.split_whitespace().nth(1).unwrap().parse().unwrap())
}

struct Week {
    world: World,
    ledger: Ledger,
    servers: Vec<Server>,
    /// The most connections to the next server that were open at once.
    most: usize,
    ticks: u64,
    _root: tempfile::TempDir,
}

impl Week {
    /// All messages are accepted, and the next server refuses connections.
    fn begin(settings: &[(&str, &str)]) -> Week {
        let root = tempfile::tempdir().unwrap();
        let mut net = SimNet::new(1, beginning());
        (net.generous, net.refuse) = (true, 100);
        net.stride = Duration::from_millis(20);
        let world = start_with(root.path(), net, settings);
        let (ledger, servers) = (Ledger::default(), vec![]);
        let mut week = Week { world, ledger, servers, most: 0, ticks: 0, _root: root };
        for first in (0..messages()).step_by(EACH as usize) {
            week.submit(first);
        }
        week
    }

    fn submit(&mut self, first: u64) {
        let conn = self.world.net_mut().open(HERE.parse().unwrap()).unwrap();
        let mut script = b"EHLO c.test\r\n".to_vec();
        for n in first..first + EACH {
            let recipient = format!("r0-{n}@y.test");
            let content = format!("Subject: number {n}\r\n\r\nbody\r\n");
            let size = content.len();
            script.extend(format!("MAIL FROM:<s{n}@x.test>\r\nRCPT TO:<{recipient}>\r\n").bytes());
            script.extend(format!("BDAT {size} LAST\r\n{content}").bytes());
            let recipients = [recipient].into();
            self.ledger.fates.insert(n, Fate { recipients, acknowledged: true, ..Fate::default() });
        }
        script.extend(b"QUIT\r\n");
        self.world.net_mut().send(conn, &script);
        let mut heard = Vec::new();
        while !heard.ends_with(b"221 2.0.0 Bye\r\n") {
            self.tick();
            heard.extend(self.world.net_mut().receive(conn));
        }
        let replies = String::from_utf8(heard).unwrap();
        assert_eq!(replies.matches("\r\n250 2.0.0 ").count() as u64, EACH, "{replies}");
    }

    fn tick(&mut self) {
        let net = self.world.net_mut();
        names::answer(net, 0);
        let dialled = std::mem::take(&mut net.dialled).into_iter();
        self.servers.extend(dialled.map(|conn| Server::new(conn, 0, Chunks::None)));
        self.most = self.most.max(self.servers.len());
        self.servers.retain_mut(|server| !server.act(net, &mut self.ledger));
        self.world.tick().unwrap();
        self.ticks += 1;
        let timers = 4 * (self.world.connections() + 60);
        assert!(self.world.timers() <= timers, "timers pile up");
    }

    /// So much time passes.
    fn pass(&mut self, seconds: u64) {
        self.world.net_mut().stride = Duration::from_secs(STRIDE);
        let until = self.world.now().time.after(Duration::from_secs(seconds));
        while self.world.now().time < until {
            self.tick();
        }
    }

    fn queue(&mut self) -> u64 {
        self.world.obey("status").unwrap()["queue"].as_u64().unwrap()
    }

    /// The next server is back, and takes all that waits.
    fn back(&mut self) {
        let net = self.world.net_mut();
        (net.refuse, net.stride) = (0, Duration::from_secs(STRIDE));
        let (waiting, before) = (self.queue(), self.world.now().time);
        // The first connection is a probe.
        while !self.servers.iter().any(|server| server.welcomed) {
            self.tick();
            assert!(self.most <= 1, "{} connections before one had proved good", self.most);
        }
        let came = self.world.now().time.since(before);
        assert!(came <= Duration::from_secs(HOUR + 2 * STRIDE), "tried after {came:?} only");
        while self.queue() > 0 {
            self.tick();
        }
        let took = self.world.now().time.since(before).saturating_sub(came);
        println!("{waiting} were taken in {took:?}, {} connections at once", self.most);
        assert_eq!(self.most, 3, "next_server.connections");
    }
}

/// Mail that may wait longer than a week arrives when it is over, once; each sender heard of the
/// delay once; and the server was tried an hour apart, by one connection, however many waited.
#[test]
fn a_week_without_a_next_server_is_waited_out() {
    let mut week = Week::begin(&[("queue.expire", "8d")]);
    let memory = resident();
    week.pass(7 * DAY);
    let grown = resident().saturating_sub(memory);
    let tries = week.world.net_mut().connects;
    println!("a week: {} ticks, {tries} tries, {grown} KiB more", week.ticks);
    // From 15 s doubled to an hour, then each hour.
    assert!((24 * 7..24 * 7 + 40).contains(&tries), "{tries} tries");
    assert_eq!(week.queue(), 2 * messages(), "the messages and a notice of each");
    assert!(grown < 64 * 1024 + messages(), "{grown} KiB");

    week.back();
    for (n, fate) in &week.ledger.fates {
        assert_eq!(fate.delivered.values().collect::<Vec<_>>(), [&1], "number {n}");
        assert_eq!((fate.delayed, fate.bounced.len()), (1, 0), "number {n}");
    }
}

/// Mail that may wait for five days comes back to its sender, once, when the week is over.
#[test]
fn a_week_without_a_next_server_is_too_long_for_some() {
    let mut week = Week::begin(&[("queue.delay_notice", "0")]);
    week.pass(7 * DAY);
    let tries = week.world.net_mut().connects;
    assert!((24 * 7..24 * 7 + 40).contains(&tries), "{tries} tries");
    assert_eq!(week.queue(), messages(), "a bounce for each");

    week.back();
    for (n, fate) in &week.ledger.fates {
        assert!(fate.delivered.is_empty(), "number {n}");
        let bounces: Vec<usize> = fate.bounced.values().map(|ids| ids.len()).collect();
        assert_eq!(bounces, [1], "number {n}");
    }
}
