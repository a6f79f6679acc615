//! A DNS server behind a bad line: a relay in this file loses and delays datagrams by a seed, in
//! front of a real dnsmasq. (It stands in for `tc netem`, which not every kernel has.)

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::next::Next;
use crate::server::free_address;
use crate::ways::{Dns, HELLO, setup, submit};
use crate::{PATIENCE, pause, wait_for};

/// What happens to a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Passes,
    LostThere,
    LostBack,
    /// It comes so many breaths later, perhaps behind others.
    Late(u32),
}

/// A line to a DNS server that loses so many of a hundred datagrams.
struct Line {
    address: SocketAddr,
    lost: Arc<AtomicUsize>,
    passed: Arc<AtomicUsize>,
    streams: Arc<AtomicUsize>,
}

impl Line {
    fn new(dns: SocketAddr, percent: u32, seed: u64) -> Line {
        let address = free_address();
        let (socket, listener) =
            (UdpSocket::bind(address).unwrap(), TcpListener::bind(address).unwrap());
        let counter = || Arc::new(AtomicUsize::new(0));
        let line = Line { address, lost: counter(), passed: counter(), streams: counter() };
        let (lost, passed, streams) =
            (line.lost.clone(), line.passed.clone(), line.streams.clone());
        thread::spawn(move || {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut question = [0; 4096];
            while let Ok((n, from)) = socket.recv_from(&mut question) {
                let fate = match rng.u32(..100) {
                    roll if roll >= percent => {
                        [Fate::Passes, Fate::Late(rng.u32(1..10))][usize::from(rng.bool())]
                    }
                    _ => [Fate::LostThere, Fate::LostBack][usize::from(rng.bool())],
                };
                let is_lost = matches!(fate, Fate::LostThere | Fate::LostBack);
                if is_lost { &lost } else { &passed }.fetch_add(1, Ordering::SeqCst);
                let (question, back) = (question[..n].to_vec(), socket.try_clone().unwrap());
                thread::spawn(move || carry(&question, dns, (&back, from), fate));
            }
        });
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                streams.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || join(stream, dns));
            }
        });
        line
    }
}

/// A question there and its answer back.
fn carry(question: &[u8], dns: SocketAddr, back: (&UdpSocket, SocketAddr), fate: Fate) {
    if fate == Fate::LostThere {
        return;
    }
    let there = UdpSocket::bind("127.0.0.1:0").unwrap();
    there.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = [0; 4096];
    let heard = there.send_to(question, dns).and_then(|_| there.recv(&mut answer));
    if let Fate::Late(breaths) = fate {
        (0..breaths).for_each(|_| pause());
    }
    if let (Ok(n), true) = (heard, fate != Fate::LostBack) {
        let _ = back.0.send_to(&answer[..n], back.1);
    }
}

fn join(ours: TcpStream, dns: SocketAddr) {
    let Ok(theirs) = TcpStream::connect(dns) else { return };
    let (mut a, mut b) = (ours.try_clone().unwrap(), theirs.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut a, &mut b);
        let _ = b.shutdown(Shutdown::Write);
    });
    let (mut ours, mut theirs) = (ours, theirs);
    let _ = io::copy(&mut theirs, &mut ours);
    let _ = ours.shutdown(Shutdown::Write);
}

/// Half of the datagrams are lost on one line and all of them on the other: every question is
/// answered in the end, the long answer over TCP, and nothing bounces.
#[test]
fn lost_and_late_datagrams_cost_time_and_no_mail() {
    let mut options = vec!["--host-record=good.test,127.0.0.1".to_owned()];
    options.extend((0..5).map(|n| format!("--mx-host=d{n}.test,good.test,5")));
    options.push("--mx-host=big.test,good.test,5".into());
    options.extend((0..40).map(|n| format!("--mx-host=big.test,a-long-name-of-{n}.test,50")));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let Some(dns) = Dns::start(&options) else { return };
    let (dead, bad) = (Line::new(dns.address, 100, 1), Line::new(dns.address, 50, 2));
    let next = Next::new();
    let servers = format!("dns.servers={}, {}", dead.address, bad.address);
    let setup = setup("mx", next.address, dns.address).set(&servers);
    let server = setup.start();
    let mut to: Vec<String> = (0..5).map(|n| format!("b@d{n}.test")).collect();
    to.push("b@big.test".into());
    for to in &to {
        submit(&server, &[to], HELLO);
    }
    let began = std::time::Instant::now();
    while next.count() < to.len() {
        // Five seconds a try, by resolv.conf, and it is tried again: generous, and not for ever.
        assert!(began.elapsed() < 4 * PATIENCE, "{:?}: {}", next.mails(), server.log());
        pause();
    }
    let mut came: Vec<String> = next.mails().iter().map(|mail| mail.to[0].clone()).collect();
    came.sort_unstable();
    came.dedup();
    assert_eq!(came.len(), to.len(), "{came:?}");
    let count = |n: &AtomicUsize| n.load(Ordering::SeqCst);
    assert!(count(&dead.lost) > 0 && count(&dead.passed) == 0, "the first is asked first");
    assert!(count(&bad.lost) > 0 && count(&bad.passed) > 0 && count(&bad.streams) > 0);
    assert_eq!(setup.json(&["status"])["bounced"], 0);
}

/// When nothing comes through mail waits, and goes when the line is mended.
#[test]
fn a_line_that_is_dead_defers_and_bounces_nothing() {
    let Some(dns) = Dns::start(&["--host-record=next.test,127.0.0.1"]) else { return };
    let dead = Line::new(dns.address, 100, 3);
    let next = Next::new();
    let setup = setup("next.test", next.address, dead.address);
    let server = setup.start();
    submit(&server, &["b@x.test"], HELLO);
    let timed_out = || setup.say(&["next", "list"]).contains("cannot look up next.test");
    wait_for("the end of the resolver's patience", || timed_out().then_some(()));
    assert_eq!((setup.json(&["status"])["bounced"].clone(), next.count()), (0.into(), 0));
    let whole = Line::new(dns.address, 0, 4);
    setup.say(&["config", "set", "dns.servers", &whole.address.to_string()]);
    setup.say(&["flush"]);
    next.wait(1);
}
