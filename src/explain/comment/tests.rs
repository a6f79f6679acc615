//! Sessions with notes: what each line is, what it breaks, and that nothing makes it panic.

use super::*;

/// Hears `C:` and `S:` lines; the note of each, with its breaches behind ` ** `.
fn notes(leg: Leg, script: &[&str]) -> Vec<String> {
    let mut commentator = Commentator::new(leg);
    let one = |line: &&str| {
        let (side, text) = line.split_at(2);
        let side = if side == "C:" { Side::Client } else { Side::Server };
        let comment = commentator.hear(Sign::Said { side, tls: false }, text.as_bytes());
        let breaches = comment.breaches.iter().map(|b| format!(" ** {}", b.what));
        comment.note.clone() + &breaches.collect::<String>()
    };
    script.iter().map(one).collect()
}

/// The breaches of the last line.
fn breaks(script: &[&str]) -> String {
    let last = notes(Leg::In, script).pop().unwrap_or_default();
    last.split(" ** ").skip(1).collect::<Vec<_>>().join("; ")
}

const HELLO: [&str; 4] = ["S:220 x", "C:EHLO [192.0.2.7]", "S:250-x", "S:250 PIPELINING"];

fn after_hello(more: &[&str]) -> String {
    breaks(&[&HELLO, more].concat())
}

#[test]
fn a_good_session_has_notes_and_no_breaches() {
    let got = notes(
        Leg::In,
        &[
            "S:220 mx.example.org ESMTP",
            "C:EHLO mail.example.com",
            "S:250-mx.example.org",
            "S:250-PIPELINING",
            "S:250-ENHANCEDSTATUSCODES",
            "S:250-DSN",
            "S:250 SIZE 1000",
            "C:MAIL FROM:<ann@example.org> SIZE=5 RET=HDRS",
            "C:RCPT TO:<bob@example.net>",
            "C:DATA",
            "S:250 2.1.0 ok",
            "S:550 5.7.1 relaying denied",
            "S:354 go on",
            "C:[5 octets of content]",
            "S:250 2.0.0 queued",
            "C:QUIT",
            "S:221 2.0.0 bye",
        ],
    );
    assert!(got.iter().all(|note| !note.contains("**")), "{got:#?}");
    assert_eq!(got[0], "MailFlux is ready");
    assert_eq!(got[1], "the client names itself and asks what the server can do");
    assert!(got[3].starts_with("offers PIPELINING: The client may send several commands"));
    assert_eq!(got[7], "a message begins; its bounces would go to ann@example.org");
    assert_eq!(got[8], "one recipient: bob@example.net");
    assert!(got[11].starts_with("no, for RCPT: the same will not work later: Not allowed"));
    assert_eq!(got[13], "content: 5 octets of the message");
    assert_eq!(got[14], "the message is taken: MailFlux answers for it now");
    assert_eq!(got[16], "MailFlux closes the connection");
    assert_eq!(notes(Leg::Out, &["S:220 x"])[0], "the next server is ready");
}

#[test]
fn chunks_have_sizes() {
    let said = ["C:MAIL FROM:<a@b>", "C:BDAT 7", "C:BDAT 1212 LAST"];
    let got = notes(Leg::In, &[&HELLO[..], &said[..]].concat());
    assert!(got[5].starts_with("a piece of the message: 7 octets"), "{got:#?}");
    assert!(got[6].starts_with("the last piece of the message: 1212 octets"), "{got:#?}");
}

#[test]
fn a_session_typed_by_hand() {
    let got = notes(
        Leg::In,
        &[
            "S:220 x",
            "C:HELO x",
            "S:250 x",
            "C:MAIL FROM:<>",
            "S:250 ok",
            "C:RCPT TO:<a@b>",
            "S:250 ok",
            "C:DATA",
            "S:354 go",
            "C:Subject: x",
            "C:..",
            "C:.",
            "S:250 ok",
            "C:AUTH LOGIN",
        ],
    );
    assert_eq!(got[3], "a message from nobody: a report, which nobody may bounce");
    assert_eq!(got[9], "a line of the message, not a command");
    assert_eq!(got[10], "a line of the message; its first dot is taken away");
    assert_eq!(got[11], "the end of the message: now the server decides");
    assert_eq!(got[12], "the message is taken: MailFlux answers for it now");
    assert!(got[13].ends_with("** AUTH, but AUTH was not offered"), "{}", got[13]);
}

#[test]
fn commands_at_the_wrong_time() {
    for (more, want) in [
        (&["C:RCPT TO:<a@b>"][..], "RCPT before MAIL"),
        (&["C:DATA"], "DATA before MAIL"),
        (&["C:MAIL FROM:<>", "S:250 ok", "C:MAIL FROM:<>"], "MAIL in an open transaction"),
        (&["C:MAIL FROM:<>", "S:250 ok", "C:DATA"], "DATA without a recipient that was taken"),
        (&["C:MAIL FROM:<>", "S:550 no", "C:RCPT TO:<a@b>"], "RCPT before MAIL"),
        (&["C:MAIL FROM:<>", "C:RCPT TO:<a@b>", "C:DATA"], ""),
        (&["C:MAIL FROM:<>", "S:250 ok", "C:RSET", "S:250 ok", "C:MAIL FROM:<>"], ""),
        (&["C:NOOP", "C:NOOP"], "does not wait for the reply to NOOP"),
        (&["C:STARTTLS"], "STARTTLS, but STARTTLS was not offered"),
        (&["C:BDAT 5"], "BDAT before MAIL; BDAT, but CHUNKING was not offered"),
        (&["C:MAIL FROM:<> SIZE=1"], "SIZE, but SIZE was not offered"),
        (&["C:MAIL FROM:<> ret=full"], "RET, but DSN was not offered"),
    ] {
        assert_eq!(after_hello(more), want, "{more:?}");
    }
    assert_eq!(breaks(&["C:EHLO x"]), "said before the server's greeting");
    // The first step that is missing counts.
    for verb in ["MAIL FROM:<>", "RCPT TO:<a@b>", "DATA"] {
        let want = format!("{} before EHLO or HELO", &verb[..4]);
        assert_eq!(breaks(&["S:220 x", &format!("C:{verb}")]), want);
    }
    let plain = ["S:220 x", "C:HELO x", "S:250 x", "C:NOOP", "C:NOOP"];
    assert_eq!(breaks(&plain), "does not wait for the reply, and PIPELINING was not offered");
}

#[test]
fn commands_that_are_malformed() {
    let long = format!("C:NOOP {}", "x".repeat(510));
    for (line, want) in [
        ("C:MAIL FROM: <a@b>", "a blank before the address"),
        ("C:MAIL FROM:a@b", "an address without < and >"),
        ("C:MAIL <a@b>", "MAIL is followed by FROM:<address>"),
        ("C:QUIT now", "QUIT takes no argument"),
        ("C:EHLO a_b", "EHLO without a domain or an address literal"),
        ("C:HALO x", "not a command"),
        ("C:NO\nOP", "a bare CR or LF in a command: lines end with both together; not a command"),
        ("C:NOOP \x07", "a control character in a command"),
        ("C:NOOP \u{fc}", "octets beyond ASCII, without SMTPUTF8"),
        (&long, "a command line of 517 octets; 512 are allowed"),
    ] {
        assert_eq!(after_hello(&[line]), want, "{line:?}");
    }
}

#[test]
fn replies_that_are_wrong() {
    let long = format!("S:250 {}", "x".repeat(510));
    for (more, want) in [
        (&["S:250 ok"][..], "a reply to nothing: no command waits"),
        (&["S:421 4.3.2 bye"], ""),
        (&["C:NOOP", "S:hello"], "not a reply"),
        (&["C:NOOP", "S:250+x"], "not a reply"),
        (&["C:NOOP", "S:250-x", "S:251 y"], "the lines of a reply have one code"),
        (&["C:NOOP", "S:650 x"], "650 is no reply code: the first digit is 2 to 5"),
        (&["C:NOOP", "S:354 x"], "354 is no answer to NOOP"),
        (
            &["C:MAIL FROM:<>", "S:250 ok", "C:RCPT TO:<a@b>", "S:250 5.0.0 x"],
            "250 and 5.0.0 contradict each other",
        ),
        (&["C:NOOP", &long], "a reply line of 516 octets; 512 are allowed"),
        (&["C:NOOP", "S:250 a\rb"], "a bare CR or LF in a reply: lines end with both together"),
    ] {
        assert_eq!(after_hello(more), want, "{more:?}");
    }
    let enhanced =
        ["S:220 x", "C:EHLO x", "S:250-x", "S:250 ENHANCEDSTATUSCODES", "C:NOOP", "S:250"];
    assert_eq!(
        breaks(&enhanced),
        "no enhanced status code, though ENHANCEDSTATUSCODES was offered"
    );
    assert_eq!(breaks(&["S:250 hello"]), "250 is no answer to a connection");
}

#[test]
fn after_starttls_all_begins_anew() {
    let script = ["S:220 x", "C:EHLO x", "S:250-x", "S:250 STARTTLS", "C:STARTTLS", "S:220 go"];
    assert_eq!(breaks(&[&script[..], &["C:MAIL FROM:<>"]].concat()), "MAIL before EHLO or HELO");
    let mut commentator = Commentator::new(Leg::In);
    let tls = Sign::Said { side: Side::Client, tls: true };
    commentator.hear(Sign::Said { side: Side::Server, tls: true }, b"220 x");
    let comment = commentator.hear(tls, b"STARTTLS");
    assert!(comment.breaches.iter().any(|b| b.what == "STARTTLS inside TLS"));
}

#[test]
fn secrets_are_not_commented() {
    let script = [
        "S:220 x",
        "C:EHLO x",
        "S:250-x",
        "S:250 AUTH LOGIN",
        "C:AUTH LOGIN",
        "S:334 x",
        "C:cGFzcw==",
        "S:235 2.7.0 ok",
    ];
    let notes = notes(Leg::In, &script);
    assert_eq!(notes[6], "the answer to the challenge; what it says is a secret");
    assert_eq!(notes[7], "name and proof are right");
}

#[test]
fn nobody_is_blamed_for_what_was_not_heard() {
    let mut commentator = Commentator::in_the_middle(Leg::In);
    for (side, text) in [
        (Side::Server, "250 ok"),
        (Side::Client, "RCPT TO:<a@b> NOTIFY=NEVER"),
        (Side::Client, "DATA"),
        (Side::Server, "250 ok"),
        (Side::Server, "354 go"),
    ] {
        let comment = commentator.hear(Sign::Said { side, tls: false }, text.as_bytes());
        assert_eq!(comment.breaches, [], "{text}");
    }
}

#[test]
fn events_name_their_faults() {
    let mut commentator = Commentator::new(Leg::Out);
    let comment = commentator.hear(Sign::Event, b"closed: connection refused");
    let keys: Vec<_> = comment.entries.iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["===", "connection refused"]);
}

#[test]
fn a_line_explained() {
    let mut commentator = Commentator::new(Leg::In);
    let sign = Sign::Said { side: Side::Client, tls: false };
    let text = b"EHLO a\x1b_b";
    let comment = commentator.hear(sign, text);
    let report = comment.report(sign, text);
    assert_eq!(report.lines[0], "-> EHLO a\\x1b_b");
    assert!(report.lines[2].starts_with("  ** a control character in a command"));
    assert!(report.lines.contains(&"EHLO (command)".to_owned()));
    assert_eq!(report.json["breaches"][1]["what"], "said before the server's greeting");
    assert!(comment.annotation().starts_with("** a control character"));
}

#[test]
fn any_lines_may_come_in_any_order() {
    const PIECES: [&str; 24] = [
        "EHLO x",
        "MAIL FROM:<a@b>",
        "RCPT TO:<",
        "DATA",
        ".",
        "BDAT 5 LAST",
        "AUTH",
        "STARTTLS",
        "220 x",
        "250-x",
        "250 x",
        "354",
        "334",
        "421 4.0.0",
        "550 5.1",
        "[5 octets of content]",
        "",
        "\0",
        "\u{fc}>",
        "\u{202e}",
        "999",
        "25",
        "250\n",
        "QUIT",
    ];
    let mut random = fastrand::Rng::with_seed(8);
    for _ in 0..2000 {
        let mut commentator = Commentator::new(Leg::In);
        for _ in 0..random.usize(..20) {
            let text = PIECES[random.usize(..PIECES.len())];
            let side = if random.bool() { Side::Client } else { Side::Server };
            let sign =
                if random.u8(..) < 10 { Sign::Event } else { Sign::Said { side, tls: false } };
            let comment = commentator.hear(sign, text.as_bytes());
            for text in [comment.note.clone(), comment.annotation()] {
                assert_eq!(Printable::from_shown(&*text).as_str(), text);
                assert!(text.len() < 600, "{text}");
            }
            let _ = comment.report(sign, text.as_bytes());
        }
    }
}

#[test]
fn what_waits_is_bounded() {
    let mut commentator = Commentator::new(Leg::In);
    for _ in 0..100_000 {
        commentator.hear(Sign::Said { side: Side::Client, tls: false }, b"NOOP");
    }
    assert!(commentator.waiting.len() <= MAX_WAITING);
}
