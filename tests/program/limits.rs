//! Every limit of the server, met from outside: what the client is told, and that others go on.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::client::Client;
use crate::next::{Act, Next, Stage};
use crate::server::{Server, Setup, free_address, tool};
use crate::wait_for;

/// A server whose next server does not answer, for what is decided before forwarding.
fn alone() -> Setup {
    Setup::new(free_address())
}

#[test]
fn spool_is_private_and_its_messages_can_be_read() {
    let setup = alone();
    let server = setup.start();
    server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\nbody\r\n");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&setup.spool()) & 0o777, 0o700);
    let files = setup.queue_files();
    assert_eq!(files.len(), 1);
    assert_eq!(mode(&files[0]) & 0o777, 0o600);
    let text = std::fs::read_to_string(&files[0]).unwrap();
    for part in ["From: <ann@example.org>", "<bob@example.net>", "Subject: x\r\n\r\nbody\r\n"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn large_messages_are_swallowed_and_refused() {
    let next = Next::new();
    let setup = Setup::new(next.address).set("server.max_message_size=100K");
    let server = setup.start();
    let mut client = server.ehlo();
    client.command("MAIL FROM:<a@example.org> SIZE=200000").expect(552).says("552 5.3.4");
    let line = "x".repeat(998) + "\r\n";
    let large = line.repeat(200);
    let reply = client.deliver("a@example.org", &["b@example.org"], large.as_bytes()).unwrap();
    reply.expect(552).says("552 5.3.4");
    // The session is usable, and only the small one arrives.
    client.mail("a@example.org", &["b@example.org"], "Subject: small\r\n\r\n");
    let mails = next.wait(1);
    assert!(mails[0].text().contains("Subject: small"));
    assert_eq!(next.count(), 1);
}

#[test]
fn messages_larger_than_memory_buffers_arrive_whole() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    let mut client = server.ehlo();
    let mut large = String::from("Subject: large\r\n\r\n");
    for i in 0..80_000 {
        large += &format!("line {i} of a message that is far larger than any buffer\r\n");
    }
    client.mail("a@example.org", &["b@example.org"], &large);
    let mails = next.wait(1);
    assert!(mails[0].without_trace() == large.as_bytes(), "the message was changed");
}

#[test]
fn too_many_recipients() {
    let next = Next::new();
    let setup = Setup::new(next.address).set("server.max_recipients=3");
    let server = setup.start();
    let mut client = server.ehlo();
    client.command("MAIL FROM:<a@example.org>").expect(250);
    for i in 0..3 {
        client.command(&format!("RCPT TO:<b{i}@example.org>")).expect(250);
    }
    client.command("RCPT TO:<b4@example.org>").expect(452).says("452 4.5.3");
    client.command("DATA").expect(354);
    client.send("Subject: x\r\n\r\n.\r\n").unwrap();
    client.reply().unwrap().expect(250);
    assert_eq!(next.wait(1)[0].to.len(), 3);
}

#[test]
fn a_flood_of_refusals_does_not_fill_the_log() {
    let setup = alone().set("server.max_recipients=1");
    let server = setup.start();
    let mut client = server.ehlo();
    client.command("MAIL FROM:<a@example.org>").expect(250);
    client.command("RCPT TO:<b@example.net>").expect(250);
    for _ in 0..130 {
        client.command("RCPT TO:<c@example.net>").expect(452);
    }
    client.command("QUIT").expect(221);
    let count = |log: &str, what: &str| log.lines().filter(|line| line.contains(what)).count();
    // Another session is heard, and after all of that.
    let mut other = server.ehlo();
    other.command("MAIL FROM:<a@example.org>").expect(250);
    other.command("RCPT TO:<b@example.net>").expect(250);
    other.command("RCPT TO:<last@example.net>").expect(452);
    wait_for("the last refusal in the log", || {
        (count(&server.log(), "last@example.net") > 0).then_some(())
    });
    let log = server.log();
    assert_eq!(count(&log, "<c@example.net>"), 100, "{log}");
    assert_eq!(count(&log, "other refusals are not logged"), 1, "{log}");
}

#[test]
fn too_many_connections() {
    let setup = alone().set("server.max_connections=3");
    let server = setup.start();
    let mut clients = Vec::new();
    // The connection that looked whether the server is up may not be gone yet.
    wait_for("three connections", || {
        clients.extend(Client::connect(setup.address).ok());
        (clients.len() == 3).then_some(())
    });
    let mut refused = Client::silent(setup.address).unwrap();
    refused.reply().unwrap().expect(421);
    assert_eq!(refused.read_to_end(), b"");
    clients[0].command("NOOP").expect(250);
    clients.pop().unwrap().command("QUIT").expect(221);
    wait_for("a place", || Client::connect(setup.address).ok());
    drop(server);
}

#[test]
fn too_many_connections_of_one_client() {
    let setup = alone().set("server.max_connections_per_client=2");
    let server = setup.start();
    let mut clients = Vec::new();
    wait_for("two connections", || {
        clients.extend(Client::connect(setup.address).ok());
        (clients.len() == 2).then_some(())
    });
    let mut refused = Client::silent(setup.address).unwrap();
    refused.reply().unwrap().expect(421);
    assert_eq!(refused.read_to_end(), b"");
    clients[0].command("NOOP").expect(250);
    drop(server);
}

/// With few descriptors the server takes as many clients as it can, and the others when there is
/// room again: no client is forgotten because its edge was lost.
#[test]
fn few_descriptors() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let mut command = Command::new("sh");
    let ours = setup.command();
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(ours.get_program());
    command.args(ours.get_args()).current_dir(setup.dir.path());
    let server = setup.start_as(command);
    let mut clients: Vec<Client> =
        (0..100).map(|_| Client::silent(setup.address).unwrap()).collect();
    // Those that got in leave; then all others are served, each with a message.
    let mut last = clients.pop().unwrap();
    for mut client in clients.drain(..50) {
        drop(client.send("QUIT\r\n"));
        drop(client);
    }
    for client in &mut clients {
        // Either greeted now, or told that it is too much.
        let reply = client.reply().unwrap();
        assert!([220, 421].contains(&reply.code), "{reply:?}");
    }
    drop(clients);
    let reply = last.reply().unwrap();
    assert!([220, 421].contains(&reply.code), "{reply:?}");
    drop(last);
    wait_for("a message through", || {
        let mut client = Client::connect(setup.address).ok()?;
        client.try_command("EHLO x").ok()?;
        let content = b"Subject: x\r\n\r\n";
        let reply = client.deliver("a@example.org", &["b@example.org"], content).ok()?;
        (reply.code == 250).then_some(())
    });
    next.wait(1);
    drop(server);
}

#[test]
fn too_many_errors() {
    let setup = alone().set("server.max_errors=3");
    let server = setup.start();
    let mut client = server.connect();
    client.command("NONSENSE").expect(500);
    client.command("NONSENSE").expect(500);
    let reply = client.command("NONSENSE");
    let reply = if reply.code == 421 { reply } else { client.reply().unwrap() };
    reply.expect(421);
    assert_eq!(client.read_to_end(), b"");
}

#[test]
fn silent_clients() {
    let setup = alone().set("server.timeout=1s");
    let server = setup.start();
    let mut client = server.connect();
    client.reply().unwrap().expect(421).says("421 4.4.2");
    assert_eq!(client.read_to_end(), b"");
    // A line that never ends is silence, too, however busy it is.
    let mut client = server.connect();
    wait_for("the end of an endless line", || {
        let gone = client.send("x").is_err();
        gone.then_some(())
    });
}

#[test]
fn strangers_may_not_relay() {
    let next = Next::new();
    let setup = Setup::new(next.address)
        .set("server.relay_from=192.0.2.0/24")
        .set("server.relay_to=example.net, .example.com");
    let server = setup.start();
    let mut client = server.ehlo();
    client.command("MAIL FROM:<a@example.org>").expect(250);
    let reply = client.command("RCPT TO:<b@example.org>");
    assert!(reply.code == 550 || reply.code == 554, "{reply:?}");
    assert!(reply.text[4..].starts_with("5.7.1"), "{reply:?}");
    client.command("RCPT TO:<b@example.com>").expect(reply.code);
    for good in ["b@example.net", "b@EXAMPLE.NET", "b@x.example.com"] {
        client.command(&format!("RCPT TO:<{good}>")).expect(250);
    }
    client.command("DATA").expect(354);
    client.send("Subject: x\r\n\r\n.\r\n").unwrap();
    client.reply().unwrap().expect(250);
    assert_eq!(next.wait(1)[0].to.len(), 3);
}

#[test]
fn other_protocols_are_shown_out() {
    let server = alone().start();
    for hello in
        [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"]
    {
        let mut client = server.connect();
        client.send(hello).unwrap();
        client.read_to_end();
    }
    server.ehlo().command("NOOP").expect(250);
}

/// A client that says much and reads nothing is not read from either, and others are served.
#[test]
fn client_that_never_reads() {
    let server = alone().start();
    let mut client = server.connect();
    client.write_timeout(std::time::Duration::from_secs(2));
    let noops = "NOOP\r\n".repeat(10_000);
    let blocked = (0..2000).any(|_| client.send(&noops).is_err());
    assert!(blocked, "the server took 120 MB of commands that it could not answer");
    server.ehlo().command("NOOP").expect(250);
    #[cfg(target_os = "linux")]
    assert!(memory(&server) < 64 << 20, "{} octets", memory(&server));
}

/// One that ends its side before it reads anything gets every reply all the same, of which far more
/// are due than sockets and server keep.
#[test]
fn client_that_reads_last() {
    const COMMANDS: usize = 20_000;
    let server = alone().start();
    let mut client = server.connect();
    client.send("HELP\r\n".repeat(COMMANDS) + "QUIT\r\n").unwrap();
    client.half_close();
    let replies = String::from_utf8(client.read_to_end()).unwrap();
    assert_eq!(replies.matches("\r\n214 ").count(), COMMANDS);
    assert!(replies.ends_with("\r\n221 2.0.0 Bye\r\n"));
}

/// Octets of memory of its own that a server has in use.
#[cfg(target_os = "linux")]
fn memory(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// I7: an idle connection owns no buffers.
#[cfg(target_os = "linux")]
#[test]
fn idle_connections_cost_little() {
    let server = alone().start();
    let greeted = |n: usize| (0..n).map(|_| server.ehlo()).collect::<Vec<Client>>();
    let first = greeted(50);
    let before = memory(&server);
    let more = greeted(500);
    let each = memory(&server).saturating_sub(before) / more.len();
    assert!(each < 4096, "{each} octets for each idle connection");
    drop(first);
}

/// The disk is full: 452, and the server goes on; when there is room again, so does mail.
#[cfg(target_os = "linux")]
#[test]
fn full_disk() {
    let Some(unshare) = tool("unshare") else { return };
    let namespace = ["--user", "--map-root-user", "--mount"];
    let mut may = Command::new(&unshare);
    may.args(namespace).args(["mount", "-t", "tmpfs", "small", "/mnt"]);
    if !may.output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no right to mount a small file system");
        return;
    }
    let open = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let theirs = std::sync::Arc::clone(&open);
    let next = Next::scripted(move |moment| {
        let busy = !theirs.load(std::sync::atomic::Ordering::SeqCst);
        match moment.stage {
            Stage::Connect if busy => Act::SayAndClose("421 4.3.2 Busy\r\n".into()),
            _ => Act::Usual,
        }
    });
    let setup = Setup::new(next.address)
        .set("queue.retry_min=1s")
        .set("queue.retry_max=1s")
        .set("queue.interval=1s");
    let ours = setup.command();
    std::fs::create_dir(setup.spool()).unwrap();
    let mount = "mount -t tmpfs -o size=2m,mode=700 small spool && exec \"$0\" \"$@\"";
    let mut command = Command::new(unshare);
    command.args(namespace).args(["sh", "-c", mount]).arg(ours.get_program());
    command.args(ours.get_args()).current_dir(setup.dir.path());
    let server = setup.start_as(command);
    let content = "Subject: x\r\n\r\n".to_owned() + &("y".repeat(70) + "\r\n").repeat(1000);
    let mut client = server.ehlo();
    let mut accepted = 0;
    let refusal = loop {
        let reply =
            client.deliver("a@example.org", &["b@example.org"], content.as_bytes()).unwrap();
        if reply.code != 250 {
            break reply;
        }
        accepted += 1;
        assert!(accepted < 100, "the disk is never full");
    };
    refusal.expect(452).says("452 4.3.1");
    assert!(accepted > 3, "full after {accepted} messages of 72 KB on 2 MB");
    // The session, and new ones, go on.
    client.command("NOOP").expect(250);
    server.ehlo().command("NOOP").expect(250);
    open.store(true, std::sync::atomic::Ordering::SeqCst);
    let mails = next.wait(accepted);
    assert!(mails.iter().all(|mail| mail.without_trace() == content.as_bytes()));
    wait_for("room on the disk", || {
        let reply = client.deliver("a@example.org", &["c@example.org"], content.as_bytes());
        (reply.unwrap().code == 250).then_some(())
    });
    next.wait(accepted + 1);
}

/// A flush that fails: the message is refused, the next one is served.
#[cfg(target_os = "linux")]
#[test]
fn failing_flush() {
    let Some(strace) = tool("strace") else { return };
    let next = Next::new();
    let setup = Setup::new(next.address);
    let ours = setup.command();
    let mut command = Command::new(strace);
    // -D: the process that is started, and killed at the end, is the server and not strace.
    command.args(["-D", "-f", "-o", "trace", "-e", "trace=fdatasync"]);
    // Every second flush fails, so that each kind of flush is met sooner or later.
    command.args(["-e", "inject=fdatasync:error=EIO:when=1+2"]);
    command.arg(ours.get_program()).args(ours.get_args()).current_dir(setup.dir.path());
    let server = setup.start_as(command);
    let mut client = server.ehlo();
    let mut codes = Vec::new();
    let mut accepted = 0;
    wait_for("a refusal and then a success", || {
        let reply = client.deliver("a@example.org", &["b@example.org"], b"Subject: x\r\n\r\n");
        let code = reply.unwrap().code;
        accepted += usize::from(code == 250);
        codes.push(code);
        let refused = codes.iter().position(|code| *code == 451);
        (refused.is_some_and(|at| codes[at..].contains(&250))).then_some(())
    });
    assert!(codes.iter().all(|code| [250, 451].contains(code)), "{codes:?}");
    // What was refused is not delivered, what was accepted is.
    next.wait(accepted);
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
    assert_eq!(next.count(), accepted, "a refused message was delivered: {codes:?}");
}
