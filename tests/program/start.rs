//! Starting, ending and starting again: what stands in the way, signals, and what is left.

use std::process::Output;

use crate::next::Next;
use crate::server::{Setup, free_address, program, run_to_end};

/// The exit code, and what it said on stderr.
#[track_caller]
fn ended(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.trim().is_empty(), "it ended without a word");
    said
}

#[test]
fn second_instance_on_one_spool() {
    let setup = Setup::new(free_address());
    let server = setup.start();
    // Another port: it is the spool that is taken.
    let other = run_to_end(setup.command().args(["-l", &free_address().to_string()]));
    let said = ended(&other, 73);
    assert!(said.contains("spool"), "{said}");
    assert!(said.contains(&server.pid().to_string()), "by whom? {said}");
    server.ehlo().command("NOOP").expect(250);
}

#[test]
fn spool_that_cannot_be_made() {
    let setup = Setup::new(free_address());
    std::fs::write(setup.dir.path().join("file"), "").unwrap();
    let mut command = program();
    command.args(["--headless", "-n", "127.0.0.1:1", "-d", "file/spool"]);
    let output = run_to_end(command.current_dir(setup.dir.path()));
    assert!(ended(&output, 73).contains("file/spool"));
}

/// TERM lets an open transaction finish; what was accepted before is forwarded or kept.
#[test]
fn term_ends_gently() {
    for signal in ["TERM", "INT"] {
        let next = Next::new();
        let setup = Setup::new(next.address);
        let mut server = setup.start();
        let (mut idle, mut busy) = (server.ehlo(), server.ehlo());
        busy.command("MAIL FROM:<a@example.org>").expect(250);
        busy.command("RCPT TO:<b@example.org>").expect(250);
        busy.command("DATA").expect(354);
        server.signal(signal);
        // An idle session is told at once, so the signal has arrived.
        idle.reply().unwrap().expect(421);
        assert_eq!(idle.read_to_end(), b"");
        busy.send("Subject: x\r\n\r\nbody\r\n.\r\n").unwrap();
        busy.reply().unwrap().expect(250);
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        // Delivered before the end, or after the next start.
        let _server = setup.start();
        next.wait(1);
    }
}

/// A second signal ends at once.
#[test]
fn second_term_ends_at_once() {
    let setup = Setup::new(free_address());
    let mut server = setup.start();
    let (mut idle, mut busy) = (server.ehlo(), server.ehlo());
    busy.command("MAIL FROM:<a@example.org>").expect(250);
    server.signal("TERM");
    idle.reply().unwrap().expect(421);
    let start = std::time::Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert!(start.elapsed().as_secs() < 9, "it waited for the open transaction");
}

#[test]
fn hup_does_not_end_it() {
    let setup = Setup::new(free_address());
    let server = setup.start();
    let mut client = server.ehlo();
    server.signal("HUP");
    client.command("NOOP").expect(250);
    server.ehlo().command("NOOP").expect(250);
}

/// What was left by a kill is tried at the next start, at once.
#[test]
fn spool_is_forwarded_after_a_restart() {
    let address = free_address();
    let setup = Setup::new(address);
    let server = setup.start();
    let mut client = server.ehlo();
    for i in 0..5 {
        client.mail("a@example.org", &["b@example.org"], &format!("Subject: {i}\r\n\r\n"));
    }
    server.kill();
    let next = Next::at(address, |_| crate::next::Act::Usual);
    let _server = setup.start();
    let mails = next.wait(5);
    for i in 0..5 {
        assert!(mails.iter().any(|m| m.text().contains(&format!("Subject: {i}\r\n"))));
    }
}
