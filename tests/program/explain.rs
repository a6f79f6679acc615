//! `explain` asked of a running server: words, and the lines of its sessions.

use crate::next::Next;
use crate::server::{Setup, program, run_to_end};

fn explain(setup: &Setup, what: &str) -> (Option<i32>, String) {
    let mut command = program();
    command.args(["ctl", "--socket", "spool/control.sock", "explain", what]);
    let out = run_to_end(command.current_dir(setup.dir.path()));
    let said = [out.stdout, out.stderr].concat();
    (out.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn words_and_lines_of_sessions() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    // The first session is that of the test's own start, which looks for the greeting.
    let mut client = server.ehlo();
    client.command("RCPT TO:<b@example.org>").expect(503);
    client.command("QUIT").expect(221);
    client.read_to_end();
    for (what, code, words) in [
        ("550 5.7.1 relaying denied", 0, "550 (reply code)"),
        ("queue", 0, "queue (term)"),
        ("annotation", 1, "is not in the book"),
        ("i2", 0, "RCPT before MAIL (RFC 5321 section 4.1.4)"),
        ("i2:3", 0, "EHLO (command)"),
        ("i2:999", 1, "counted from 1"),
        ("i999:1", 1, "session i999 is not known"),
    ] {
        let (got, said) = explain(&setup, what);
        assert!(got == Some(code) && said.contains(words), "{what}: {got:?} {said}");
    }
}
