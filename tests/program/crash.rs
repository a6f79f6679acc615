//! kill -9 under load, with a ledger: what was answered 250 has been delivered, or is in the spool
//! and is delivered later; nothing arrives changed. Messages that arrive twice are counted: a crash
//! repeats, it never loses (I10).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::client::Client;
use crate::next::{Act, Mail, Moment, Next, Stage};
use crate::server::Setup;
use crate::{pause, wait_for};

const KILLS: usize = 15;
const CLIENTS: usize = 6;

/// What the server has promised.
#[derive(Default)]
struct Ledger {
    acknowledged: Mutex<BTreeSet<String>>,
    over: AtomicBool,
}

impl Ledger {
    fn snapshot(&self) -> BTreeSet<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    fn len(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }
}

/// The content of a message follows from its name, so that a change in it shows.
fn content(name: &str) -> String {
    let line = format!(".{name}\r\n");
    // Each twentieth is larger than what the spool keeps in memory.
    let lines = if name.ends_with("7-large") { 20_000 } else { 20 };
    format!("Subject: {name}\r\n\r\n{}", line.repeat(lines))
}

fn name_of(mail: &Mail) -> String {
    let text = mail.without_trace();
    let end = text.iter().position(|b| *b == b'\r').unwrap();
    String::from_utf8_lossy(&text[..end]).trim_start_matches("Subject: ").to_owned()
}

/// Sends mail without end; connects again whenever the server has gone.
fn client(number: usize, address: SocketAddr, ledger: Arc<Ledger>) -> JoinHandle<()> {
    thread::spawn(move || {
        let (mut session, mut count) = (None, 0);
        while !ledger.over.load(Ordering::SeqCst) {
            let Some(mut client) = session.take().or_else(|| Client::connect(address).ok()) else {
                pause();
                continue;
            };
            count += 1;
            let large = if count % 20 == 7 { "-large" } else { "" };
            let name = format!("m{number}-{count}{large}");
            if let Ok(250) = deliver(&mut client, &name) {
                ledger.acknowledged.lock().unwrap().insert(name);
                session = Some(client);
            }
        }
    })
}

fn deliver(client: &mut Client, name: &str) -> std::io::Result<u16> {
    client.try_command("EHLO client.example.com")?;
    let stuffed = content(name).replace("\r\n.", "\r\n..");
    Ok(client.deliver("a@example.org", &["b@example.org"], stuffed.as_bytes())?.code)
}

/// Everything in the spool, to look for names in.
fn spooled(setup: &Setup) -> String {
    let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    setup.queue_files().into_iter().map(read).collect()
}

fn kill_under_load(next: &Next, setup: &Setup) {
    let ledger = Arc::new(Ledger::default());
    let clients: Vec<_> =
        (0..CLIENTS).map(|n| client(n, setup.address, Arc::clone(&ledger))).collect();
    let mut random = fastrand::Rng::new();
    for kill in 0..KILLS {
        let server = setup.start();
        let target = ledger.len() + random.usize(1..80);
        wait_for("acknowledged mail", || (ledger.len() >= target).then_some(()));
        server.kill();
        // The promise, word by word: everything that was answered 250 is there.
        let acknowledged = ledger.snapshot();
        let delivered: BTreeSet<String> = next.mails().iter().map(name_of).collect();
        let spool = spooled(setup);
        let lost: Vec<_> = acknowledged
            .difference(&delivered)
            .filter(|name| !spool.contains(&format!("Subject: {name}\r\n")))
            .collect();
        assert!(lost.is_empty(), "lost at kill {kill}: {lost:?}");
    }
    ledger.over.store(true, Ordering::SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
    let acknowledged = ledger.snapshot();
    let _server = setup.start();
    let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen = 0;
    while !acknowledged.iter().all(|name| arrived.contains_key(name)) {
        // However many are left: the next one comes before patience ends.
        let mails = next.wait(seen + 1);
        for mail in &mails[seen..] {
            let name = name_of(mail);
            assert!(mail.without_trace() == content(&name).as_bytes(), "{name} was changed");
            *arrived.entry(name).or_default() += 1;
        }
        seen = mails.len();
    }
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
    let corrupt = std::fs::read_dir(setup.spool().join("corrupt")).map_or(0, Iterator::count);
    let twice: usize = arrived.values().map(|n| n - 1).sum();
    println!(
        "{} acknowledged, {} arrived, {twice} of them more than once, {corrupt} torn files",
        acknowledged.len(),
        arrived.len()
    );
}

#[test]
fn nothing_is_lost() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    kill_under_load(&next, &setup);
}

/// The same with a next server that defers, breaks off, lies and falls silent in the middle.
#[test]
fn nothing_is_lost_with_a_hostile_next_server() {
    let next = Next::scripted(hostile);
    let setup = Setup::new(next.address)
        .set("queue.interval=1s")
        .set("queue.retry_min=1s")
        .set("queue.retry_max=1s");
    kill_under_load(&next, &setup);
}

/// RCPTs that the hostile next server has heard.
static RCPTS: AtomicUsize = AtomicUsize::new(0);

/// Something of everything that is a next server's or the network's passing fault.
fn hostile(moment: &Moment) -> Act {
    // Where it strikes depends on how far it got, so that nothing is struck for ever.
    let turn = moment.transactions + moment.connection;
    match moment.stage {
        Stage::Connect if moment.connection % 9 == 4 => Act::SayAndClose("421 Busy\r\n".into()),
        // A refused recipient is no transaction, and on a kept connection would be met for ever.
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
    let Some(strace) = crate::server::tool("strace") else { return };
    let mut met = 0;
    for flush in 2..7 {
        let next = Next::scripted(|moment| match moment.stage {
            Stage::Helo => Act::Say("250 next.example.net\r\n".into()),
            _ => Act::Usual,
        });
        let setup = Setup::new(next.address).set("queue.interval=100ms");
        let ours = setup.command();
        let mut command = std::process::Command::new(&strace);
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
