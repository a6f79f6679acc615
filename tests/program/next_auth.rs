//! Logging in at next servers, with passwords and tokens from everywhere that they come from, and
//! never in what people can read.

use crate::certs::{Authority, Identity};
use crate::next::Next;
use crate::python::PythonNext;
use crate::server::{Server, Setup};
use crate::wait_for;

const USER: &str = "ann@example.org";
const SECRET: &str = "Pa55-w0rd,=to/forget";
/// The same, and its base64 at each place that it can have in a line, without its neighbours.
const DISGUISES: [&str; 4] = [
    SECRET,
    "UGE1NS13MHJkLD10by9mb3JnZX",
    "BhNTUtdzByZCw9dG8vZm9yZ2V0",
    "YTU1LXcwcmQsPXRvL2Zvcmdld",
];

/// A next server that wants this secret; none where there is no Python.
fn start(mechanisms: &str, secret: &str, identity: &Identity) -> Option<PythonNext> {
    PythonNext::start("next_auth.py", &[mechanisms, USER, secret], identity)
}

struct World {
    authority: Authority,
    identity: Identity,
}

impl World {
    fn new() -> World {
        let authority = Authority::new();
        let identity = authority.sign("localhost");
        World { authority, identity }
    }

    fn setup(&self, guard: &PythonNext) -> Setup {
        Setup::new(([127, 0, 0, 1], guard.port).into())
            .set("next_server.host=localhost")
            .set("next_server.tls=implicit")
            .set(&format!("next_server.ca_file={}", self.authority.file().display()))
            .set(&format!("next_server.user={USER}"))
            .set("next_server.connections=1")
            .set("queue.interval=100ms")
            .set("queue.retry_min=100ms")
            .set("queue.retry_max=200ms")
            .set("log.level=trace")
    }
}

fn send(server: &Server) {
    server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\nbody\r\n");
}

/// Nothing that people can read has the secret in it.
#[track_caller]
fn is_kept_secret(setup: &Setup, server: &Server) {
    let mut texts = vec![("log", server.log())];
    for words in [
        &["session", "o1"][..],
        &["session", "o1", "raw"],
        &["session", "o1", "hex"],
        &["config", "get"],
        &["config", "get", "next_server.password"],
        &["config", "diff"],
        &["next", "list"],
        &["sessions", "last=10m"],
        &["export", "o1", "json", "-"],
        &["queue"],
    ] {
        let (_, out, err) = setup.ctl(words);
        texts.push((words[0], out + &err));
    }
    if cfg!(target_os = "linux") {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "a core would have it: {core}");
    }
    for entry in walk(&setup.spool()) {
        texts.push(("spool", String::from_utf8_lossy(&std::fs::read(entry).unwrap()).into_owned()));
    }
    for (what, text) in texts {
        for disguise in DISGUISES {
            assert!(!text.contains(disguise), "{what} has {disguise}: {text}");
        }
    }
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(walk(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

#[test]
fn every_mechanism_and_the_strongest_by_itself() {
    let world = World::new();
    for (offered, choice, taken) in [
        ("PLAIN", "auto", "PLAIN"),
        ("LOGIN", "auto", "LOGIN"),
        ("XOAUTH2", "xoauth2", "XOAUTH2"),
        ("OAUTHBEARER,XOAUTH2", "oauthbearer", "OAUTHBEARER"),
        ("PLAIN,LOGIN,XOAUTH2,SCRAM-SHA-256,GSSAPI", "auto", "SCRAM-SHA-256"),
    ] {
        let Some(guard) = start(offered, SECRET, &world.identity) else { return };
        let setup = world
            .setup(&guard)
            .set(&format!("next_server.password={SECRET}"))
            .set(&format!("next_server.auth={choice}"));
        let server = setup.start();
        send(&server);
        guard.wait("mail", 1);
        assert_eq!(guard.said(&format!("auth {taken} ok")).len(), 1, "{}", server.log());
        is_kept_secret(&setup, &server);
    }
}

#[test]
fn a_wrong_password_pauses_the_server_and_nothing_bounces() {
    let world = World::new();
    for (offered, choice, words) in [
        ("PLAIN", "auto", "535 5.7.8 Not with that"),
        ("XOAUTH2", "xoauth2", "invalid"),
        ("GSSAPI,CRAM-MD5", "auto", "GSSAPI CRAM-MD5"),
    ] {
        let Some(guard) = start(offered, "another", &world.identity) else { return };
        let setup = world
            .setup(&guard)
            .set(&format!("next_server.password={SECRET}"))
            .set(&format!("next_server.auth={choice}"))
            .set("queue.retry_min=1m")
            .set("queue.retry_max=1m");
        let server = setup.start();
        send(&server);
        let list = || setup.say(&["next", "list"]);
        wait_for("the server is left alone", || list().contains("backing").then_some(()));
        if words != "invalid" {
            assert!(list().contains(words), "{}", list());
        }
        assert_eq!((setup.queue_files().len(), guard.said("mail").len()), (1, 0));
        is_kept_secret(&setup, &server);
    }
}

/// A program that runs this, as the leader of its group.
fn command(setup: &Setup, script: &str) -> String {
    let file = setup.dir.path().join("secret.sh");
    std::fs::write(&file, script).unwrap();
    format!("next_server.password_command=exec sh {}", file.display())
}

/// Of what a command prints the first line is the secret, as of a file.
#[test]
fn only_the_first_line_is_the_secret() {
    let world = World::new();
    for ends in ["\\n", "\\r\\n", "\\nuser: ann\\n\\nmore\\n", ""] {
        let Some(guard) = start("PLAIN", SECRET, &world.identity) else { return };
        let setup = world.setup(&guard);
        let line = command(&setup, &format!("printf '{SECRET}{ends}'\n"));
        let setup = setup.set(&line);
        let server = setup.start();
        send(&server);
        guard.wait("mail", 1);
        assert_eq!(guard.said("auth PLAIN ok").len(), 1, "{ends:?}: {}", server.log());
    }
}

#[test]
fn a_token_that_is_refused_is_fetched_again() {
    let world = World::new();
    let Some(guard) = start("XOAUTH2", SECRET, &world.identity) else { return };
    let setup = world.setup(&guard).set("next_server.auth=xoauth2");
    let script = format!("if test -e used; then echo '{SECRET}'; else echo stale; fi; touch used");
    let line = command(&setup, &format!("cd '{}'\n{script}\n", setup.dir.path().display()));
    let setup = setup.set(&line);
    let server = setup.start();
    send(&server);
    guard.wait("mail", 1);
    let outcomes = (guard.said("auth XOAUTH2 no").len(), guard.said("auth XOAUTH2 ok").len());
    assert_eq!(outcomes, (1, 1), "{}", server.log());
    is_kept_secret(&setup, &server);
}

/// RFC 5802 section 6: who could bind to the channel, and is not offered that, says so; who cannot
/// does not pretend. In TLS 1.2 there is nothing that we bind to, whatever the server offers.
#[test]
fn the_flag_says_whether_a_binding_was_possible() {
    let world = World::new();
    for (offered, flag) in [
        ("SCRAM-SHA-256,PLAIN", "flag y"),
        ("TLS1.2:SCRAM-SHA-256,PLAIN", "flag n"),
        ("TLS1.2:SCRAM-SHA-256-PLUS,SCRAM-SHA-256", "flag n"),
    ] {
        let Some(guard) = start(offered, SECRET, &world.identity) else { return };
        let setup = world.setup(&guard).set(&format!("next_server.password={SECRET}"));
        let server = setup.start();
        send(&server);
        guard.wait("mail", 1);
        assert_eq!(guard.said("flag"), [flag], "{offered}: {}", server.log());
        assert_eq!(guard.said("auth SCRAM-SHA-256 ok").len(), 1);
    }
}

/// A command that never ends costs nobody else anything, and does not outlive the server.
#[test]
fn a_command_that_hangs_stops_nobody_and_goes_with_the_server() {
    let world = World::new();
    let Some(guard) = start("PLAIN", SECRET, &world.identity) else { return };
    let other = Next::new();
    let setup = world
        .setup(&guard)
        .set("next_server.other.host=127.0.0.1")
        .set(&format!("next_server.other.port={}", other.address.port()))
        .set("routes.other.test=other");
    let began = setup.dir.path().join("began");
    // A child of its own, which is to go, too.
    let script = format!("echo $$ >'{}'\nsleep 100000\necho\n", began.display());
    let line = command(&setup, &script);
    let setup = setup.set(&line);
    let mut server = setup.start();
    send(&server);
    let pid = wait_for("the command", || {
        let pid = std::fs::read_to_string(&began).ok()?;
        pid.trim().parse::<u32>().ok()
    });
    for n in 1..=20 {
        let mail = "Subject: x\r\n\r\nbody\r\n";
        server.ehlo().mail("ann@example.org", &["bob@other.test"], mail);
        other.wait(n);
    }
    assert_eq!(setup.json(&["status"])["queue"], 1);
    assert!(guard.said("auth").is_empty());
    server.signal("TERM");
    server.wait();
    if cfg!(target_os = "linux") {
        let is_there = |pid: u32| std::path::Path::new("/proc").join(pid.to_string()).exists();
        wait_for("the end of the command", || (!is_there(pid)).then_some(()));
        wait_for("the end of its child", || group(pid).is_empty().then_some(()));
    }
}

/// The processes of this group.
fn group(leader: u32) -> Vec<String> {
    let stats = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let of_group = |stat: &String| {
        let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        behind.split_whitespace().nth(2) == Some(&leader.to_string())
    };
    stats.filter(of_group).collect()
}

#[test]
fn a_command_that_fails_is_told_of_and_leaves_no_zombie() {
    let world = World::new();
    let Some(guard) = start("PLAIN", SECRET, &world.identity) else { return };
    for (script, words) in [
        ("echo secret; exit 3\n", "it fails with exit status 3"),
        ("nowhere-to-be-found\n", "the shell does not find it (exit status 127)"),
        ("kill -9 $$\n", "it was ended by a signal: 9"),
        ("exit 0\n", "it prints nothing"),
        ("echo; echo secret\n", "the first line of what it prints is empty"),
        // Killed with what it started, the other end of the pipe.
        ("yes | cat\n", "it prints more than 64 KiB"),
    ] {
        let words = &format!("password_command gives no password: {words}");
        let setup = world.setup(&guard);
        let began = setup.dir.path().join("began");
        let line = command(&setup, &format!("echo $$ >'{}'\n{script}", began.display()));
        let setup = setup.set(&line);
        let server = setup.start();
        send(&server);
        wait_for(words, || setup.say(&["next", "list"]).contains(words).then_some(()));
        assert!(setup.say(&["queue"]).contains(words));
        assert_eq!((setup.queue_files().len(), guard.said("mail").len()), (1, 0));
        if cfg!(target_os = "linux") {
            setup.say(&["next", "pause", "default"]);
            wait_for("no child of the server", || children(server.pid()).is_empty().then_some(()));
            let leader = std::fs::read_to_string(&began).unwrap().trim().parse().unwrap();
            wait_for("nothing that it started", || group(leader).is_empty().then_some(()));
        }
    }
}

/// The processes that this one has to reap, or is still to kill.
fn children(parent: u32) -> Vec<String> {
    let stats = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let of_parent = |stat: &String| {
        let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        behind.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    stats.filter(of_parent).collect()
}
