//! Students: one who does as told, one who errs, one who hangs up. The server of these sessions is
//! the real machine's table of replies, spoken by a script; that each step can be done against the
//! real server is tested with the built program.

use super::*;

fn said(side: Side) -> Sign {
    Sign::Said { side, tls: false }
}

/// Hears `C:` and `S:` lines; all that the tutor says.
fn hear(tutor: &mut Tutor, script: &[&str]) -> Vec<String> {
    let mut words = tutor.connected();
    for line in script {
        let (side, text) = line.split_at(2);
        let side = if side == "C:" { Side::Client } else { Side::Server };
        words.extend(tutor.hear(said(side), text.as_bytes()));
    }
    words
}

#[test]
fn a_lesson_done_as_told() {
    let mut tutor = Tutor::default();
    assert!(tutor.welcome().join("\n").contains("Lesson 1 of 4"));
    assert!(tutor.watch("127.0.0.1 2525").join("\n").contains("telnet 127.0.0.1 2525"));
    let words = hear(
        &mut tutor,
        &[
            "S:220 x",
            "C:EHLO student.example",
            "S:250-x",
            "S:250 CHUNKING",
            "C:MAIL FROM:<ann@example.org>",
            "S:250 2.1.0 ok",
            "C:RCPT TO:<bob@example.net>",
            "S:250 2.1.5 ok",
            "C:DATA",
            "S:354 go",
            "C:[30 octets of content]",
            "S:250 2.0.0 queued",
            "C:QUIT",
            "S:221 2.0.0 bye",
        ],
    );
    let text = words.join("\n");
    assert!(text.contains("    EHLO student.example\n"), "{text}");
    assert!(text.contains("This is the 250 that counts."), "{text}");
    assert!(text.contains("Lesson 2 of 4: What can go wrong"), "{text}");
    assert!(!text.contains("**"), "{text}");
    assert!(!tutor.is_answered(), "the end is to come");
    assert_eq!(tutor.closed(), [""; 0]);
}

#[test]
fn a_slip_is_explained_and_the_step_said_again() {
    let mut tutor = Tutor::default();
    let script = ["S:220 x", "C:EHLO x", "S:250 x", "C:RCPT TO:<a@b>", "S:503 5.5.1 no"];
    let words = hear(&mut tutor, &script);
    let tail = words[words.len() - 6..].join("\n");
    assert!(tail.contains("** RCPT before MAIL (RFC 5321 section 4.1.4)"), "{tail}");
    assert!(tail.contains("no, for RCPT: the same will not work later"), "{tail}");
    assert!(tail.ends_with("    MAIL FROM:<ann@example.org>"), "{tail}");
}

#[test]
fn who_hangs_up_begins_the_lesson_anew() {
    let mut tutor = Tutor::default();
    hear(&mut tutor, &["S:220 x", "C:EHLO x", "S:250 x"]);
    assert!(tutor.closed().join("\n").contains("Connect again"));
    assert!(tutor.hint().join("\n").contains("Connect now."));
}

#[test]
fn lessons_can_be_chosen_and_skipped() {
    assert_eq!(Tutor::titles().count(), 4);
    assert!(Tutor::at_lesson(0).is_none() && Tutor::at_lesson(5).is_none());
    let mut tutor = Tutor::at_lesson(4).unwrap();
    assert!(tutor.welcome().join("\n").contains("Without the dot"));
    assert!(tutor.go_to(2).join("\n").contains("Lesson 2 of 4"));
    assert_eq!(tutor.go_to(9), ["There are lessons 1 to 4."]);
    assert!(tutor.go_to(4).join("\n").contains("Without the dot"));
    assert!(tutor.skip().join("\n").contains("You have done all lessons."));
    assert!(tutor.is_done() && tutor.hint() == ["All lessons are done."]);
    assert_eq!(tutor.skip(), ["You have done all lessons."]);
    hear(&mut tutor, &["S:220 x", "C:NOOP", "S:250 ok"]);
}

#[test]
fn small_letters_are_for_the_tutor() {
    let mut tutor = Tutor::default();
    assert_eq!(tutor.typed("", false), Typed::Connect);
    assert_eq!(tutor.typed("", true), Typed::Line);
    for line in ["QUIT", "EHLO x", "mail from:<a@b>", "HELP", "hint me", ".", "Hint"] {
        assert_eq!(tutor.typed(line, true), Typed::Line, "{line}");
    }
    assert_eq!(tutor.typed(" quit ", true), Typed::Leave);
    assert_eq!(tutor.typed("watch i7", true), Typed::Watch("i7".into()));
    assert_eq!(tutor.typed("explain 503", true), Typed::Command);
    for (line, words) in [
        ("hint", "Connect now."),
        ("lesson 3", "Envelope"),
        ("lesson x", "1 to 4"),
        ("help", "watch [ID]"),
    ] {
        let Typed::Words(said) = tutor.typed(line, true) else { panic!("{line}") };
        assert!(said.join(" ").contains(words), "{line}: {said:?}");
    }
    // In a message there are no words for the tutor.
    let script = ["S:220 x", "C:EHLO x", "S:250 x", "C:MAIL FROM:<a@b>", "S:250 ok"];
    hear(&mut tutor, &script);
    assert!(tutor.is_answered() && !tutor.takes_content());
    for line in ["C:RCPT TO:<c@d>", "S:250 ok", "C:DATA"] {
        let (side, text) = line.split_at(2);
        let side = if side == "C:" { Side::Client } else { Side::Server };
        tutor.hear(said(side), text.as_bytes());
    }
    assert!(!tutor.is_answered());
    tutor.hear(said(Side::Server), b"354 go");
    assert!(tutor.takes_content());
    assert_eq!(tutor.typed("quit", true), Typed::Line);
    assert_eq!(tutor.typed("quit", false), Typed::Leave);
}

/// RFC 3207 section 4.2: after the handshake all begins anew, and the offers differ.
#[test]
fn the_second_ehlo_is_compared_with_the_first() {
    let mut tutor = Tutor::default();
    let clear = ["S:220 x", "C:EHLO x", "S:250-x", "S:250-SIZE 9", "S:250 STARTTLS"];
    hear(&mut tutor, &clear);
    let line = |side, tls| Sign::Said { side, tls };
    tutor.hear(line(Side::Client, false), b"STARTTLS");
    tutor.hear(line(Side::Server, false), b"220 2.0.0 go");
    assert!(!tutor.is_answered());
    let shaken = tutor.hear(Sign::Event, b"TLS 1.3, TLS13_AES_256_GCM_SHA384").join(" ");
    assert!(shaken.contains("shaken hands: TLS 1.3, TLS13_AES"), "{shaken}");
    assert!(shaken.contains("say EHLO again") && tutor.is_answered(), "{shaken}");
    tutor.hear(line(Side::Client, true), b"EHLO x");
    tutor.hear(line(Side::Server, true), b"250-x");
    tutor.hear(line(Side::Server, true), b"250-SIZE 9");
    let said = tutor.hear(line(Side::Server, true), b"250 AUTH PLAIN SCRAM-SHA-256").join(" ");
    assert!(said.contains("gone is STARTTLS; new is AUTH PLAIN SCRAM-SHA-256."), "{said}");
    // Once.
    tutor.hear(line(Side::Client, true), b"EHLO x");
    let said = tutor.hear(line(Side::Server, true), b"250 x").join(" ");
    assert!(!said.contains("different"), "{said}");
}

#[test]
fn anything_may_be_said() {
    let mut tutor = Tutor::default();
    let mut random = fastrand::Rng::with_seed(3);
    let pieces = ["220 x", "250 x", "EHLO \x1b[2J", "\u{202e}", "QUIT", "221", "354", "DATA", "."];
    for _ in 0..5000 {
        let text = pieces[random.usize(..pieces.len())];
        let side = if random.bool() { Side::Client } else { Side::Server };
        for line in tutor.hear(said(side), text.as_bytes()) {
            assert_eq!(Printable::from_shown(&*line).as_str(), line);
            assert!(line.chars().count() <= 200);
        }
    }
}
