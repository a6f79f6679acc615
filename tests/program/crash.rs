//! kill -9 under load, with a ledger: what was answered 250 has been delivered or bounced, or is in
//! the spool and goes on from there; nothing arrives changed, and nothing that was never whole
//! arrives at all. A crash repeats, it never loses (I10): messages that arrive twice are counted by
//! cause, and one that arrives twice without a cause is a failure.
//!
//! `MAILFLUX_KILLS` says how often the server is killed, `MAILFLUX_CLIENTS` how many clients send:
//! `scripts/torture` runs these tests for long.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crate::client::Client;
use crate::next::{Act, Mail, Moment, Next, Stage};
use crate::server::{Setup, tool};
use crate::torture::{Fault, Ledger, Mount, Source, content, hostile_client};
use crate::{pause, wait_for};

/// A number of the environment.
fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |n| n.parse().unwrap())
}

/// Sends mail without end; connects again whenever the server has gone.
fn client(number: usize, address: SocketAddr, ledger: Arc<Ledger>) -> JoinHandle<()> {
    thread::spawn(move || {
        let (mut session, mut count) = (None, 0);
        while !ledger.is_over() {
            let Some(mut client) = session.take().or_else(|| Client::connect(address).ok()) else {
                pause();
                continue;
            };
            count += 1;
            let kind = match count % 20 {
                7 => "-large",
                13 => "-refused",
                _ => "",
            };
            let name = format!("m{number}-{count}{kind}");
            if let Ok(250) = deliver(&mut client, &name) {
                ledger.acknowledge(name);
                session = Some(client);
            }
        }
    })
}

fn deliver(client: &mut Client, name: &str) -> std::io::Result<u16> {
    client.try_command("EHLO client.example.com")?;
    let stuffed = content(name).replace("\r\n.", "\r\n..");
    let to = if name.ends_with("-refused") { "refused@example.org" } else { "b@example.org" };
    Ok(client.deliver("a@example.org", &[to], stuffed.as_bytes())?.code)
}

/// Everything in the spool, to look for names in.
fn spooled(setup: &Setup) -> String {
    let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    setup.queue_files().into_iter().map(read).collect()
}

/// Which message this is about: our own by its subject, those of smtp-source by their Message-Id.
/// A bounce ends in the header of what it returns.
fn name_of(mail: &Mail) -> String {
    let text = mail.text();
    let field = |name: &str| Some(text.rsplit_once(name)?.1.split("\r\n").next()?.to_owned());
    field("Message-Id: ").or_else(|| field("Subject: ")).unwrap_or_else(|| panic!("{text}"))
}

/// What arrived, and how often for what reason.
#[derive(Default)]
struct Arrivals {
    /// Of each message: in which life of the server it came last, and whether that was answered.
    last: BTreeMap<String, (usize, bool)>,
    bounced: usize,
    after_lost_reply: usize,
    after_kill: usize,
    unexplained: Vec<String>,
}

impl Arrivals {
    /// Notes what came while the server lived its life of this number.
    fn note(&mut self, mails: &[Mail], life: usize) {
        for mail in mails {
            let name = name_of(mail);
            let bounce = mail.from.starts_with("<>");
            if !bounce && !name.contains('@') {
                assert!(mail.without_trace() == content(&name).as_bytes(), "{name} was changed");
            }
            assert!(!name.ends_with("-never"), "{name} was never whole, and arrived");
            self.bounced += usize::from(bounce);
            match self.last.insert(name.clone(), (life, mail.unanswered)) {
                None => {}
                Some((_, true)) => self.after_lost_reply += 1,
                Some((before, false)) if before < life => self.after_kill += 1,
                Some(_) => self.unexplained.push(name),
            }
        }
    }
}

fn kill_under_load(next: &Next, setup: &Setup, faults: &[Fault]) {
    let (kills, clients) = (number("MAILFLUX_KILLS", 15), number("MAILFLUX_CLIENTS", 6));
    let ledger = Arc::new(Ledger::default());
    let mut threads: Vec<_> =
        (0..clients).map(|n| client(n, setup.address, Arc::clone(&ledger))).collect();
    let hostile = (0..4).map(|n| hostile_client(n, setup.address, Arc::clone(&ledger)));
    threads.extend(hostile);
    let mut random = fastrand::Rng::new();
    let mut arrivals = Arrivals::default();
    let mut by_source = 0;
    for kill in 0..kills {
        let server = faults[kill % faults.len()].start(setup);
        let sources: Vec<_> = (0..2).filter_map(|_| Source::start(setup.address)).collect();
        let target = ledger.len() + random.usize(1..80);
        // In a full or broken world little may be accepted: then the time is up some day.
        let mut looks = 0;
        wait_for("acknowledged mail", || {
            looks += 1;
            (ledger.len() >= target || looks > 200).then_some(())
        });
        server.kill();
        // The promise, word by word: everything that was answered 250 is there.
        let acknowledged = ledger.snapshot();
        by_source += sources.into_iter().map(Source::acknowledged).sum::<usize>();
        next.settle();
        arrivals.note(&next.collect(), kill);
        let spool = spooled(setup);
        let lost: Vec<_> = acknowledged
            .iter()
            .filter(|name| !arrivals.last.contains_key(*name))
            .filter(|name| !spool.contains(&format!("Subject: {name}\r\n")))
            .collect();
        assert!(lost.is_empty(), "lost at kill {kill}: {lost:?}");
    }
    ledger.end();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let acknowledged = ledger.snapshot();
    let server = setup.start();
    drain(next, setup, &acknowledged, &mut arrivals, kills);
    drop(server);
    let from_source = arrivals.last.keys().filter(|name| name.contains('@')).count();
    assert!(from_source >= by_source, "{by_source} of smtp-source, {from_source} arrived");
    let corrupt = std::fs::read_dir(setup.spool().join("corrupt")).map_or(0, Iterator::count);
    println!(
        "ledger: {kills} kills, {} acknowledged (and {by_source} of smtp-source), {} arrived, of \
        them {} bounced, 0 lost; more than once {}: {} after a lost final reply, {} after a kill, \
        {} unexplained; {corrupt} torn files",
        acknowledged.len(),
        arrivals.last.len(),
        arrivals.bounced,
        arrivals.after_lost_reply + arrivals.after_kill + arrivals.unexplained.len(),
        arrivals.after_lost_reply,
        arrivals.after_kill,
        arrivals.unexplained.len(),
    );
    assert!(arrivals.unexplained.is_empty(), "twice for no reason: {:?}", arrivals.unexplained);
}

/// Waits until everything has arrived and the spool is empty.
fn drain(
    next: &Next,
    setup: &Setup,
    acknowledged: &BTreeSet<String>,
    arrivals: &mut Arrivals,
    life: usize,
) {
    loop {
        arrivals.note(&next.collect(), life);
        if acknowledged.iter().all(|name| arrivals.last.contains_key(name)) {
            break;
        }
        // However many are left: the next one comes before patience ends.
        next.wait(1);
    }
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
    arrivals.note(&next.collect(), life);
}

#[test]
fn nothing_is_lost() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    kill_under_load(&next, &setup, &[Fault::None]);
}

fn eager(next: &Next) -> Setup {
    Setup::new(next.address)
        .set("server.max_message_size=1M")
        .set("queue.interval=1s")
        .set("queue.retry_min=1s")
        .set("queue.retry_max=1s")
}

/// The same with a next server that defers, refuses, breaks off, lies and falls silent in the
/// middle.
#[test]
fn nothing_is_lost_with_a_hostile_next_server() {
    let next = Next::scripted(hostile);
    kill_under_load(&next, &eager(&next), &[Fault::None]);
}

/// The same, and the system fails, too: flushes, writes and removals with EIO, and descriptors are
/// few.
#[cfg(target_os = "linux")]
#[test]
fn nothing_is_lost_when_the_system_fails() {
    let Some(_) = tool("strace") else { return };
    let next = Next::scripted(hostile);
    kill_under_load(&next, &eager(&next), &[Fault::Io, Fault::FewDescriptors, Fault::None]);
}

/// The same on a disk that is full again and again.
#[cfg(target_os = "linux")]
#[test]
fn nothing_is_lost_on_a_full_disk() {
    let next = Next::scripted(hostile);
    let setup = eager(&next).set("insight.history=0");
    let Some(_mount) = Mount::small(&setup.spool()) else { return };
    kill_under_load(&next, &setup, &[Fault::None]);
}

/// RCPTs that the hostile next server has heard.
static RCPTS: AtomicUsize = AtomicUsize::new(0);

/// Something of everything that is a next server's or the network's passing fault.
fn hostile(moment: &Moment) -> Act {
    // Where it strikes depends on how far it got, so that nothing is struck for ever.
    let turn = moment.transactions + moment.connection;
    match moment.stage {
        Stage::Connect if moment.connection % 9 == 4 => Act::SayAndClose("421 Busy\r\n".into()),
        Stage::Rcpt if moment.line.contains("<refused@") => Act::Say("550 5.1.1 No\r\n".into()),
        // A deferred recipient is no transaction, and on a kept connection would be met for ever.
        Stage::Rcpt if RCPTS.fetch_add(1, Ordering::Relaxed) % 11 == 3 => {
            Act::Say("451 4.7.1 Greylisted\r\n".into())
        }
        Stage::Data if turn % 13 == 5 => Act::Reset,
        Stage::Dot => match turn % 30 {
            1 => Act::TakeAndClose,
            6 => Act::Close,
            11 => Act::SayAndClose("250 cut".into()),
            16 => Act::Say("452-4.2.2 Not\r\n452 4.2.2 now\r\n".into()),
            21 => Act::Drip("250-2.0.0 Very\r\n250 2.0.0 slowly\r\n".into()),
            26 => Act::SayAndClose("250-2.0.0 unfinished\r\n".into()),
            _ => Act::Usual,
        },
        _ => Act::Usual,
    }
}

/// Killed at each flush: whoever asked for news of success gets them once from a server without
/// DSN, and the message is not lost for the sake of its notice.
#[cfg(target_os = "linux")]
#[test]
fn notices_of_success_survive_a_kill_at_each_flush() {
    let Some(strace) = tool("strace") else { return };
    let mut met = 0;
    for flush in 2..7 {
        let next = Next::scripted(|moment| match moment.stage {
            Stage::Helo => Act::Say("250 next.example.net\r\n".into()),
            _ => Act::Usual,
        });
        let setup = Setup::new(next.address).set("queue.interval=100ms");
        let ours = setup.command();
        let mut command = Command::new(&strace);
        command.args(["-D", "-f", "-o", "trace", "-e", "trace=fdatasync", "-e"]);
        command.arg(format!("inject=fdatasync:signal=KILL:when={flush}"));
        command.arg(ours.get_program()).args(ours.get_args()).current_dir(setup.dir.path());
        let server = setup.start_as(command);
        let mut client = server.ehlo();
        let accepted = (|| {
            client.try_command("MAIL FROM:<a@example.org>").ok()?;
            client.try_command("RCPT TO:<b@example.org> NOTIFY=SUCCESS").ok()?;
            client.try_command("RCPT TO:<c@example.org> NOTIFY=SUCCESS").ok()?;
            client.try_command("DATA").ok()?;
            client.try_command("Subject: x\r\n\r\n.").ok().filter(|reply| reply.code == 250)
        })();
        wait_for("the notice or the end of the server", || {
            (next.count() >= 2 || client.try_command("NOOP").is_err()).then_some(())
        });
        drop(server);
        let _server = setup.start();
        wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
        let notices = next.mails().iter().filter(|mail| mail.from.starts_with("<>")).count();
        let mails = next.count() - notices;
        assert!(accepted.is_none() || (mails >= 1 && notices == 1), "{flush}: {:?}", next.mails());
        met += usize::from(accepted.is_some());
    }
    assert!(met > 1, "the server was never killed late enough");
}
