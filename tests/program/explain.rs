//! `explain` asked of a running server: words, and the lines of its sessions.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use crate::next::Next;
use crate::server::{Server, Setup, program, run_to_end};

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

/// A connection to the control socket that has said this; the lines that come back.
fn asks(setup: &Setup, requests: &str) -> impl Iterator<Item = Value> + use<> {
    let mut stream = UnixStream::connect(setup.spool().join("control.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(requests.as_bytes()).unwrap();
    let lines = BufReader::new(stream).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap())
}

fn rcpt_first(server: &Server) {
    let mut client = server.ehlo();
    client.command("RCPT TO:<bob@example.net>").expect(503);
}

const BREACH: &str = "** RCPT before MAIL (RFC 5321 section 4.1.4)";

/// `session` numbers lines as `explain ID:LINE` counts them.
#[test]
fn lines_are_counted_alike() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    rcpt_first(&server);
    let shown = setup.say(&["session", "i2"]);
    let told = setup.say(&["--json", "session", "i2"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let lines = told["lines"].as_array().unwrap();
    assert!(lines.len() > 5 && shown.lines().count() == lines.len(), "{shown}");
    for (row, line) in shown.lines().zip(lines) {
        let (number, text) = (&line["line"], line["text"].as_str().unwrap());
        assert!(row.trim_start().starts_with(&format!("{number} ")), "{row}");
        assert!(row.ends_with(text), "{row}: {text}");
        let explained = setup.say(&["explain", &format!("i2:{number}")]);
        // Long lines are wrapped there.
        let word = text.split(' ').next().unwrap();
        assert!(explained.lines().next().unwrap().contains(word), "{explained}: {text}");
    }
}

#[test]
fn live_lines_have_notes_for_those_who_ask() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    let watch = "{\"ask\":\"watch\"}\n";
    let mut without = asks(&setup, watch);
    let on = "{\"ask\":\"run\",\"line\":\"annotate on\"}\n";
    let mut with = asks(&setup, &format!("{watch}{on}"));
    for told in [&mut without, &mut with] {
        told.find(|told| told["told"] == "snapshot").unwrap();
    }
    with.find(|told| told["told"] == "end").unwrap();
    rcpt_first(&server);
    let told = with.find(|told| told.to_string().contains("RCPT TO:")).unwrap().to_string();
    assert!(told.contains(&format!("\"note\":\"{BREACH}\"")), "{told}");
    let told = without.find(|told| told.to_string().contains("RCPT TO:")).unwrap().to_string();
    assert!(!told.contains("\"note\""), "{told}");
}

#[test]
fn followed_lines_have_notes_for_those_who_ask() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    // What one `ctl` says holds for no other.
    assert!(setup.say(&["annotate", "on"]).contains("with notes here, and to nobody else"));
    let mut plain = asks(&setup, "{\"ask\":\"run\",\"line\":\"follow where verb == rcpt\"}\n");
    let line = "follow notes=on where verb == rcpt";
    let mut told = asks(&setup, &format!("{{\"ask\":\"run\",\"line\":\"{line}\"}}\n"));
    // It listens once an event of its own connection could be told; others may come before.
    let found = loop {
        rcpt_first(&server);
        let told = told.next().unwrap();
        if !told["lines"].is_null() {
            break told["lines"].clone();
        }
    };
    assert!(found[0].as_str().unwrap().ends_with("-> RCPT TO:<bob@example.net>"), "{found}");
    assert_eq!(found[1].as_str().unwrap().trim_start(), BREACH, "{found}");
    let found = plain.find(|told| !told["lines"].is_null()).unwrap();
    assert!(!found.to_string().contains(BREACH), "{found}");
}
