//! Starting and ending: exit codes, messages that say what, where and what to do, and signals.

use std::process::Output;

use crate::next::Next;
use crate::server::{Setup, free_address, program};

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
    let other = setup.command().args(["-l", &free_address().to_string()]).output().unwrap();
    let said = ended(&other, 73);
    assert!(said.contains("spool"), "{said}");
    assert!(said.contains(&server.pid().to_string()), "by whom? {said}");
    server.ehlo().command("NOOP").expect(250);
}

#[test]
fn spool_that_cannot_be_made() {
    let setup = Setup::new(free_address());
    std::fs::write(setup.dir.path().join("file"), "").unwrap();
    let output = setup.set("server.spool=file/spool").run();
    assert!(ended(&output, 73).contains("file/spool"));
}

#[test]
fn address_in_use() {
    let setup = Setup::new(free_address());
    let _taken = std::net::TcpListener::bind(setup.address).unwrap();
    let said = ended(&setup.run(), 73);
    assert!(said.contains(&format!("cannot listen on {}", setup.address)), "{said}");
}

#[test]
fn wrong_command_lines() {
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::write(dir.path().join("mailflux.ini"), "").unwrap();
    let run = |args: &[&str]| program().args(args).current_dir(dir.path()).output().unwrap();
    ended(&run(&["--no-such-option"]), 64);
    ended(&run(&["--headless", "no-such-command"]), 64);
    // No next server at all.
    assert!(ended(&run(&["--headless"]), 78).contains("next"));
    for wrong in [
        &["-s", "server.no_such=1"][..],
        &["-s", "nonsense"],
        &["-s", "queue.interval=soon"],
        &["-l", "nowhere"],
    ] {
        let line = [&["--headless", "-n", "127.0.0.1:1"], wrong].concat();
        ended(&run(&line), 78);
    }
    ended(&run(&["--headless", "-n", "host:99999"]), 78);
    ended(&run(&["-c", "missing.ini", "--headless"]), 78);
}

#[test]
fn all_errors_of_a_file_in_one_run() {
    let dir = tempfile::TempDir::new().unwrap();
    let ini = "[next_server]\nhost = 127.0.0.1\nprot = 25\n\n[queue]\ninterval = soon\n";
    std::fs::write(dir.path().join("mailflux.ini"), ini).unwrap();
    let run = |args: &[&str]| program().args(args).current_dir(dir.path()).output().unwrap();
    for args in [&["--headless"][..], &["--check-config"]] {
        let said = ended(&run(args), 78);
        let expected = "mailflux.ini:3: unknown key 'prot' in [next_server]; did you mean 'port'?";
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("mailflux.ini:6: "), "{said}");
    }
}

#[test]
fn check_config_says_where_a_value_came_from() {
    let dir = tempfile::TempDir::new().unwrap();
    let ini = "[server]\nhostname = mx.example.org\n[next_server]\nhost = 192.0.2.1\n";
    std::fs::write(dir.path().join("mailflux.ini"), ini).unwrap();
    let mut command = program();
    command.args(["--check-config", "-s", "queue.interval=7s"]).current_dir(dir.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for (setting, value, place) in [
        ("server.hostname", "mx.example.org", "mailflux.ini"),
        ("queue.interval", "7s", "--set"),
        ("server.max_recipients", "1000", "default"),
    ] {
        let line = said.lines().find(|line| line.contains(setting)).expect(setting);
        assert!(line.contains(value) && line.contains(place), "{line}");
    }
}

#[test]
fn version_and_help() {
    for (option, word) in [("-V", env!("CARGO_PKG_VERSION")), ("-h", "--listen")] {
        let output = program().arg(option).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&output.stdout).contains(word), "{output:?}");
    }
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
