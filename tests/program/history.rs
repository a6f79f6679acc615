//! What was said before a restart is still known: sessions, attempts, figures.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::next::{Act, Next, Stage};
use crate::server::{Server, Setup};
use crate::wait_for;

const MAIL: &str = "Subject: x\r\n\r\nbody\r\n";

/// A next server that takes nobody's mail the first time.
fn reluctant() -> Next {
    let tried = std::sync::atomic::AtomicBool::new(false);
    Next::scripted(move |moment| match moment.stage {
        Stage::Rcpt if !tried.swap(true, std::sync::atomic::Ordering::Relaxed) => {
            Act::Say("451 4.2.1 not yet\r\n".into())
        }
        _ => Act::Usual,
    })
}

/// A server whose one message was deferred once.
fn after_a_deferral(next: &Next) -> (Setup, Server) {
    let setup = Setup::new(next.address).set("queue.retry_min=1h");
    let server = setup.start();
    server.ehlo().mail("ann@example.org", &["bob@example.net"], MAIL);
    wait_for("the deferral", || {
        setup.say(&["show", "q1", "attempts"]).contains("deferred").then_some(())
    });
    (setup, server)
}

fn json_of(setup: &Setup, args: &[&str]) -> Value {
    let out = setup.say(&[&["--json"], args].concat());
    serde_json::from_str(&out).unwrap()
}

fn segments(setup: &Setup) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(setup.spool().join("history")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn attempts_and_sessions_of_before_a_restart_are_known() {
    let next = reluctant();
    let (setup, mut server) = after_a_deferral(&next);
    server.signal("TERM");
    server.wait();
    let files = segments(&setup);
    assert_eq!(files.len(), 1);
    assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
    let folder = fs::metadata(setup.spool().join("history")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);

    let server = setup.start();
    let said = setup.say(&["show", "q1", "attempts"]);
    for words in [
        "i2     -> MAIL FROM:<ann@example.org>",
        "i2    === q1 accepted",
        "o1     <- 451 4.2.1 not yet",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let attempts = json_of(&setup, &["show", "q1", "attempts"]);
    let out = &attempts["attempts"][1];
    assert_eq!((&out["next"], &out["leg"]), (&json!("default"), &json!("out")));
    assert_eq!(out["peer"], next.address.to_string());
    assert!(out["outcomes"][0].as_str().unwrap().contains("deferred to=<bob@example.net>"));

    // The same message, once more: it is gone from the queue then, and known all the same.
    wait_for("the delivery", || {
        let said = setup.say(&["show", "q1", "attempts"]);
        (said.contains("q1 deferred") && said.contains("q1 delivered")).then_some(())
    });
    wait_for("the end of the message", || {
        setup.say(&["queue"]).contains("no messages").then_some(())
    });
    assert!(setup.say(&["show", "q1", "attempts"]).contains("q1 delivered"));

    // Numbers of sessions are not used again.
    let listed = json_of(&setup, &["sessions", "last=1h"]);
    let mut ids: Vec<&str> = listed["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["id"].as_str().unwrap())
        .collect();
    assert!(ids.contains(&"i2") && ids.contains(&"o1"), "{ids:?}");
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "{ids:?}");
    assert!(setup.say(&["session", "i2"]).contains("-> MAIL FROM:<ann@example.org>"));
    let ladder = setup.say(&["session", "i2", "ladder"]);
    assert!(ladder.contains("──▶ next  RCPT TO:<bob@example.net>"), "{ladder}");
    assert!(setup.say(&["explain", "i2:3"]).contains("EHLO"));
    setup.say(&["export", "i2", "text", "i2.txt"]);
    drop(server);
}

/// Who follows a message hears first what was said before, its own acceptance included.
#[test]
fn following_a_message_begins_with_what_was_said() {
    let next = reluctant();
    let (setup, _server) = after_a_deferral(&next);
    let stream = std::os::unix::net::UnixStream::connect(setup.spool().join("control.sock"));
    let stream = stream.unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    std::io::Write::write_all(&mut &stream, b"{\"ask\":\"run\",\"line\":\"follow q1\"}\n").unwrap();
    let mut told = std::io::BufRead::lines(std::io::BufReader::new(&stream));
    let mut heard = String::new();
    while !heard.contains("q1 deferred") {
        heard.push_str(&told.next().unwrap().unwrap());
    }
    for words in ["i2     -> MAIL FROM:<ann@example.org>", "q1 accepted", "<- 451 4.2.1 not yet"] {
        assert!(heard.contains(words), "{words}: {heard}");
    }
    setup.say(&["retry", "q1"]);
    while !heard.contains("q1 delivered") {
        heard.push_str(&told.next().unwrap().unwrap());
    }
}

#[test]
fn figures_of_before_a_restart_are_known() {
    let next = reluctant();
    let (setup, mut server) = after_a_deferral(&next);
    server.signal("TERM");
    server.wait();
    let _server = setup.start();
    let row = |what: &str| json_of(&setup, &["analyse", what, "last=1h"])["rows"][0].clone();
    assert_eq!(row("senders")["name"], "ann@example.org");
    assert_eq!(row("clients")["messages"], 1);
    assert_eq!(row("pairs")["name"], "ann@example.org → bob@example.net");
    assert_eq!(row("busiest")["accepted"], 1);
    let recipient = row("recipients");
    assert!(recipient["deferred"].as_u64().unwrap() >= 1, "{recipient}");
    let latency = json_of(&setup, &["analyse", "latency", "last=1h"]);
    assert!(latency["next"]["default"]["rcpt"]["count"].as_u64().unwrap() >= 1, "{latency}");
    assert!(latency["stages"]["commit"]["p95"].as_f64().unwrap() > 0.0);
    let codes = json_of(&setup, &["analyse", "codes", "last=1h"]);
    assert_eq!(codes["next"][0]["name"], "451 4.2.1 not yet");
    let retries = json_of(&setup, &["analyse", "retries"]);
    assert_eq!(retries["deferred"][0]["name"], "default 451 4.2.1 not yet");
    assert_eq!(json_of(&setup, &["analyse", "tls", "last=1h"])["in"]["tls"], 0);
    assert_eq!(json_of(&setup, &["analyse", "sizes", "last=1h"])["count"], 1);
}

#[test]
fn nothing_is_kept_when_it_is_off() {
    let next = Next::new();
    let setup = Setup::new(next.address).set("insight.history=0");
    let server = setup.start();
    server.ehlo().mail("ann@example.org", &["bob@example.net"], MAIL);
    next.wait(1);
    wait_for("the delivery", || {
        setup.say(&["show", "q1", "attempts"]).contains("delivered").then_some(())
    });
    assert!(setup.say(&["sessions", "last=1h"]).contains("i2"));
    assert!(setup.say(&["analyse", "senders", "last=1h"]).contains("ann@example.org"));
    assert!(setup.say(&["analyse", "pairs"]).contains("ann@example.org → bob@example.net"));
    assert!(segments(&setup).is_empty());
    // While it runs it can be turned on, and off again.
    setup.say(&["config", "set", "insight.history", "1h, 8M"]);
    server.ehlo().command("QUIT");
    setup.say(&["sessions", "last=1m"]);
    assert_eq!(segments(&setup).len(), 1);
    setup.say(&["config", "set", "insight.history", "0"]);
    assert!(segments(&setup).is_empty());
    let (code, _, err) = setup.ctl(&["config", "set", "insight.history", "lots"]);
    assert!(code == 1 && err.contains("write it like 1d, 256M"), "{err}");
}

/// kill -9, and what is torn at the end of the file: the rest is there.
#[test]
fn a_torn_end_is_left_out() {
    let next = reluctant();
    let (setup, server) = after_a_deferral(&next);
    // A reader has all written.
    setup.say(&["sessions", "last=1m"]);
    server.kill();
    let file = segments(&setup).remove(0);
    let mut octets = fs::read(&file).unwrap();
    octets.extend_from_slice(b"MFB1\xff\xff\x00\x00torn");
    fs::write(&file, octets).unwrap();
    let server = setup.start();
    assert!(setup.say(&["show", "q1", "attempts"]).contains("451 4.2.1 not yet"));
    let listed = json_of(&setup, &["sessions", "last=1h"]);
    assert!(listed["sessions"].as_array().unwrap().iter().any(|s| s["id"] == "i2"));
    drop(server);
}

#[test]
fn a_message_is_sent_to_another_server_and_stays() {
    let (next, other) = (reluctant(), Next::new());
    let (setup, _server) = after_a_deferral(&next);
    let via = format!("via={}", other.address);
    let said = setup.say(&["resend", "q1", &via]);
    assert!(said.contains("copy of q1 for <bob@example.net>: delivered 250"), "{said}");
    assert!(said.contains("-> RCPT TO:<bob@example.net>"), "{said}");
    let mail = other.wait(1).remove(0);
    assert!(mail.text().ends_with(MAIL), "{}", mail.text());
    // The queue knows nothing of it.
    let queue = json_of(&setup, &["queue"]);
    assert_eq!(queue["messages"][0]["recipients"][0]["attempts"], 1);
    assert_eq!(json_of(&setup, &["status"])["delivered"], 0);
    assert!(!setup.say(&["next", "list"]).contains(&other.address.to_string()));
    let nobody = crate::server::free_address();
    let (code, out, err) = setup.ctl(&["resend", "q1", &format!("via={nobody}")]);
    assert!(code == 1 && out.contains("nothing was sent: cannot connect"), "{out}{err}");
    for (wrong, words) in [
        (["resend", "q9", &via], "no message q9"),
        (["resend", "q1", "via=nowhere"], "column 15: 'nowhere' is not HOST:PORT"),
        (["resend", "q1", "to=x:1"], "unknown 'to='"),
    ] {
        let (code, _, err) = setup.ctl(&wrong);
        assert!(code == 1 && err.contains(words), "{wrong:?}: {err}");
    }
}

/// An export of a message has the client's session, and with the next server the part about it.
#[test]
fn a_session_of_several_is_chosen_for_a_replay() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    server.ehlo().mail("ann@example.org", &["bob@example.net"], MAIL);
    assert_eq!(next.wait(1).len(), 1);
    wait_for("its end", || setup.say(&["queue"]).contains("no messages").then_some(()));
    setup.say(&["export", "q1", "text", "q1.txt"]);
    let to = next.address.to_string();
    let usual = setup.say(&["replay", "q1.txt", "to", &to]);
    let words = "note: it holds 2 sessions: 1 i2, 2 o1; number 1 is played, session= chooses";
    assert!(usual.contains(words), "{usual}");
    for chosen in ["session=o1", "session=2"] {
        let said = setup.say(&["replay", "q1.txt", "to", &to, chosen]);
        assert!(!said.contains("it holds") && said.contains("; 0 differ"), "{said}");
    }
    assert_eq!(next.wait(4).len(), 4);
    for (chosen, why) in [
        ("session=o7", "there is no session o7 in it; it holds 2 sessions: 1 i2, 2 o1"),
        ("session=3", "there is no session number 3 in it"),
        ("session=q1", "column 39: 'q1' is not the id of a session"),
        ("session=0", "'0' is not the id of a session, such as i7, nor its number in the file"),
    ] {
        let (code, _, told) = setup.ctl(&["replay", "q1.txt", "to", "127.0.0.1:25", chosen]);
        assert!(code == 1 && told.contains(why), "{chosen}: {told}");
    }
}

/// What a copy needs a second connection for, the same command does: content again by DATA where
/// BDAT is offered and not known, recipients that do not fit into one transaction, and TLS that is
/// offered and broken.
#[test]
fn a_copy_takes_as_many_connections_as_it_needs() {
    let setup = Setup::new(crate::server::free_address()).set("queue.retry_min=1h");
    let server = setup.start();
    server.ehlo().mail("ann@example.org", &["a@x.test", "b@x.test", "c@x.test"], MAIL);
    for (ehlo, connections, messages) in [
        ("250-next\r\n250 CHUNKING\r\n", 2, 1),
        ("250-next\r\n250-CHUNKING\r\n250 LIMITS RCPTMAX=2\r\n", 3, 2),
        ("250-next\r\n250 STARTTLS\r\n", 2, 1),
    ] {
        let next = Next::scripted(move |moment| match (moment.stage, moment.line) {
            (Stage::Helo, _) => Act::Say(ehlo.into()),
            (_, "STARTTLS") => Act::Close,
            _ => Act::Usual,
        });
        let said = setup.say(&["resend", "q1", &format!("via={}", next.address)]);
        for who in ["a", "b", "c"] {
            let outcome = format!("copy of q1 for <{who}@x.test>: delivered 250");
            assert_eq!(said.matches(&outcome).count(), 1, "{said}");
        }
        assert_eq!((next.wait(messages).len(), next.connections()), (messages, connections));
    }
    // It does not go on for ever, and says who had no turn.
    let next = Next::scripted(|moment| match (moment.stage, moment.line) {
        (Stage::Rcpt, line) if !line.contains("a@") => Act::Say("421 4.3.2 gone\r\n".into()),
        _ => Act::Usual,
    });
    let (code, out, _) = setup.ctl(&["resend", "q1", &format!("via={}", next.address)]);
    assert!(code == 1 && out.contains("nothing was sent: "), "{out}");
}

/// The export holds the content of a message that is still in the spool.
#[test]
fn a_replay_says_the_same_content() {
    let next = Next::new();
    let setup = Setup::new(crate::server::free_address()).set("queue.retry_min=1h");
    let server = setup.start();
    server.ehlo().mail("ann@example.org", &["bob@example.net"], MAIL);
    for (of, file) in [("i2", "session.json"), ("q1", "message.json")] {
        setup.say(&["export", of, "json", file]);
        let said = setup.say(&["replay", file, "to", &next.address.to_string()]);
        assert!(said.contains("; 0 differ") && !said.contains("note:"), "{said}");
    }
    for mail in next.wait(2) {
        assert_eq!(mail.text(), MAIL);
    }
}

#[test]
fn a_session_is_replayed_and_what_differs_is_shown() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    let mut client = server.ehlo();
    client.mail("ann@example.org", &["bob@example.net"], MAIL);
    client.command("QUIT").expect(221);
    setup.say(&["export", "i2", "text", "i2.txt"]);
    setup.say(&["export", "i2", "json", "i2.json"]);
    // To itself: only the banner's end and the ids differ, in no code.
    let own = setup.address.to_string();
    let said = setup.say(&["replay", "i2.txt", "to", &own]);
    assert!(said.contains("7 of 7 replies were heard again; 0 differ"), "{said}");
    assert!(said.contains("note: content is not recorded"), "{said}");
    let said = setup.say(&["replay", "i2.json", "to", &own, "pace=recorded"]);
    assert!(said.contains("; 0 differ"), "{said}");
    let (code, out, _) = setup.ctl(&["replay", "i2.json", "to", &own, "compare=bytes"]);
    assert!(code == 1 && out.contains("recorded  250 2.0.0 Ok: queued as"), "{out}");
    assert_eq!(next.wait(4).len(), 4);

    let strict = Next::scripted(|moment| match moment.stage {
        Stage::Rcpt => Act::Say("550 5.1.1 nobody\r\n".into()),
        _ => Act::Usual,
    });
    let (code, out, err) = setup.ctl(&["replay", "i2.txt", "to", &strict.address.to_string()]);
    assert_eq!(code, 1, "{out}{err}");
    for words in ["RCPT TO:<bob@example.net>", "recorded  250 2.1.5", "now       550 5.1.1 nobody"]
    {
        assert!(out.contains(words), "{words}: {out}");
    }
    let nobody = crate::server::free_address().to_string();
    let replay = |file: &str, to: &str| setup.ctl(&["replay", file, "to", to]);
    assert!(replay("i2.txt", &nobody).2.contains("cannot connect to"));
    assert!(replay("none.txt", &own).2.contains("cannot read none.txt"));
    fs::write(setup.dir.path().join("odd.txt"), "hello\n").unwrap();
    assert!(replay("odd.txt", &own).2.contains("line 1 is not of a transcript"));
    assert!(replay("i2.txt", "here").2.contains("'here' is not HOST:PORT"));
}
