//! Whose fault it is: refusals, losses and silence at each stage.

use super::dialogue::{drive, ready};
use super::*;

const OK: [(&str, &str); 5] = [
    ("MAIL", "250 ok"),
    ("RCPT", "250 ok"),
    ("RCPT", "250 ok"),
    ("DATA", "354 go"),
    (".", "250 ok"),
];

/// The usual dialogue for two recipients, but with this answer at this place and this after it.
fn with<'a>(at: usize, answer: &'a str, then: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut script = OK[..=at].to_vec();
    script[at].1 = answer;
    script.extend(then);
    script
}

fn two(extensions: &str, script: &[(&str, &str)]) -> Report {
    Play::after_ehlo(extensions, script).order(order(&["a@x", "b@x"])).run()
}

fn lost(in_transaction: bool, idle: bool) -> Fault {
    Fault::Lost { in_transaction, idle, why: "end of stream".into() }
}

#[test]
fn a_refused_mail_is_everybodys() {
    let quit = [("QUIT", "221 bye")];
    let failed = ["10 failed 550 5.7.1 not you", "11 failed 550 5.7.1 not you", "done"];
    assert_eq!(two("", &with(0, "550 5.7.1 not you", &quit)).told(), failed);
    let deferred = ["10 deferred 450 later", "11 deferred 450 later", "done"];
    assert_eq!(two("", &with(0, "450 later", &quit)).told(), deferred);
    // Pipelined: what the server thinks of the rest is an echo, whatever it is.
    for echo in ["503 no", "530 no", "250 ok", "450 no"] {
        let script = with(
            0,
            "550 5.7.1 not you",
            &[("RCPT", echo), ("RCPT", echo), ("DATA", "503 no"), ("QUIT", "221 bye")],
        );
        let report = two("PIPELINING", &script);
        assert_eq!((report.told(), report.fault()), (failed.to_vec(), &Fault::None));
    }
}

#[test]
fn each_recipient_has_an_outcome_of_its_own() {
    let script = [
        ("MAIL", "250 ok"),
        ("RCPT", "450 4.2.0 later"),
        ("RCPT", "250 ok"),
        ("RCPT", "550-5.1.1 no\n550 5.1.1 body"),
        ("DATA", "354 go"),
        (".", "250 ok"),
        ("QUIT", "221 bye"),
    ];
    for extensions in ["", "PIPELINING"] {
        let play = Play::after_ehlo(extensions, &script).order(order(&["a@x", "b@x", "c@x"]));
        let told = [
            "10 deferred 450 4.2.0 later",
            "12 failed 550 5.1.1 no / body",
            "11 delivered 250 ok",
            "done",
        ];
        assert_eq!(play.run().told(), told);
    }
}

#[test]
fn all_recipients_refused_then_rset_and_on_with_the_next() {
    let next = [("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go"), (".", "250 ok")];
    for (extensions, data) in [
        ("", vec![]),
        ("CHUNKING", vec![]),
        ("PIPELINING", vec![("DATA", "554 no valid recipients")]),
    ] {
        let mut script = vec![("MAIL", "250 ok"), ("RCPT", "550 no"), ("RCPT", "450 later")];
        script.extend(data);
        script.push(("RSET", "250 ok"));
        script.extend(if extensions == "CHUNKING" { &next[..1] } else { &next[..] });
        if extensions == "CHUNKING" {
            script.extend([("RCPT", "250 ok"), ("BDAT", ""), (".", "250 ok")]);
        }
        script.push(("QUIT", "221 bye"));
        let play = Play::after_ehlo(extensions, &script);
        let report = play.order(order(&["a@x", "b@x"])).order(order(&["c@x"])).run();
        assert_eq!(report.told[0], ["10 failed 550 no", "11 deferred 450 later", "done"]);
        assert_eq!(report.told[1], ["10 delivered 250 ok", "done"]);
    }
}

#[test]
fn an_empty_message_goes_to_nobody() {
    // RFC 2920 section 3.1 would have us send a lone dot; we close.
    let script =
        [("MAIL", "250 ok"), ("RCPT", "550 no"), ("RCPT", "550 no"), ("DATA", "354 go"), ("!", "")];
    let report = two("PIPELINING", &script);
    assert_eq!(report.told(), ["10 failed 550 no", "11 failed 550 no", "done"]);
    assert_eq!(report.fault(), &Fault::None);
    let script = with(0, "450 no", &[("RCPT", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go")]);
    let report = two("PIPELINING", &script);
    assert_eq!(report.told(), ["10 deferred 450 no", "11 deferred 450 no", "done"]);
    assert_eq!(report.fault(), &Fault::None);
}

#[test]
fn refused_data_is_shared_by_the_accepted() {
    for (reply, word) in [("451 4.3.0 later", "deferred"), ("554 5.6.0 never", "failed")] {
        let script = [
            ("MAIL", "250 ok"),
            ("RCPT", "250 ok"),
            ("RCPT", "550 no"),
            ("DATA", reply),
            ("RSET", "250 ok"),
            ("QUIT", "221 bye"),
        ];
        for extensions in ["", "PIPELINING"] {
            let report = two(extensions, &script);
            assert_eq!(report.told()[1], format!("10 {word} {reply}"));
            assert_eq!(report.fault(), &Fault::None);
        }
    }
}

#[test]
fn the_reply_to_the_dot_is_shared_and_needs_no_rset() {
    for (reply, word) in [("451 4.3.0 later", "deferred"), ("554 5.6.0 never", "failed")] {
        let report = two("", &with(4, reply, &[("QUIT", "221 bye")]));
        assert_eq!(
            report.told(),
            [format!("10 {word} {reply}"), format!("11 {word} {reply}"), "done".into()]
        );
    }
}

#[test]
fn a_server_that_refuses_us_is_to_blame_and_no_message() {
    for reply in ["450 later", "554 go away", "530 auth first"] {
        let report = Play::new(&[("connect", reply), ("QUIT", "221 bye")]).run();
        assert!(!report.ready && report.said == ["QUIT"]);
        assert!(matches!(report.fault(), Fault::Server(r) if shown(r) == reply), "{report:?}");
    }
    for script in [
        vec![("connect", "220 mx"), ("EHLO", "450 later"), ("QUIT", "221 bye")],
        vec![("connect", "220 mx"), ("EHLO", "500 no"), ("HELO", "500 no"), ("QUIT", "221 bye")],
        vec![("connect", "220 mx"), ("EHLO", "500 no"), ("HELO", "450 no"), ("QUIT", "221 bye")],
        vec![("connect", "220 mx"), ("EHLO", "530 no"), ("QUIT", "221 bye")],
    ] {
        let report = Play::new(&script).order(order(&["a@x"])).run();
        assert!(!report.ready && report.said.last().unwrap() == "QUIT");
        assert!(matches!(report.fault(), Fault::Server(_)) && report.told.is_empty());
    }
}

#[test]
fn auth_codes_at_any_stage_pause_the_server() {
    for reply in ["530 5.7.0 x", "534 x", "535 x", "538 x"] {
        for extensions in ["", "PIPELINING"] {
            for at in 0..5 {
                let echoes: Vec<_> = (at + 1..4).map(|i| (OK[i].0, "503 no")).collect();
                let echoes = if extensions.is_empty() { vec![] } else { echoes };
                let report = two(extensions, &with(at, reply, &echoes));
                assert_eq!(report.told(), ["10 untried", "11 untried", "done"], "{at}");
                assert!(matches!(report.fault(), Fault::Server(r) if shown(r) == reply));
                // QUIT is polite when no other reply is due and no content is under way.
                let polite = report.said.last().unwrap() == "QUIT";
                assert_eq!(polite, if extensions.is_empty() { at < 4 } else { at == 3 });
            }
        }
    }
    // What was refused before keeps its outcome.
    let script = [("MAIL", "250 ok"), ("RCPT", "550 no"), ("RCPT", "530 auth"), ("QUIT", "221 x")];
    assert_eq!(two("", &script).told(), ["10 failed 550 no", "11 untried", "done"]);
}

#[test]
fn going_away_with_421() {
    for at in 0..5 {
        for extensions in ["", "PIPELINING"] {
            let report = two(extensions, &with(at, "421 4.3.2 bye<eof>", &[]));
            let told = match at {
                4 => ["10 deferred 421 4.3.2 bye", "11 deferred 421 4.3.2 bye", "done"],
                _ => ["10 untried", "11 untried", "done"],
            };
            assert_eq!(report.told(), told, "{at}");
            let Fault::Unavailable { reply, in_transaction: true } = report.fault() else {
                panic!("{at} {report:?}")
            };
            assert_eq!(shown(reply), "421 4.3.2 bye");
        }
    }
    for script in [
        vec![("connect", "421 bye")],
        vec![("connect", "220 mx"), ("EHLO", "421 bye")],
        vec![("connect", "220 mx"), ("EHLO", "502 no"), ("HELO", "421 bye")],
    ] {
        let report = Play::new(&script).run();
        assert!(matches!(report.fault(), Fault::Unavailable { in_transaction: false, .. }));
    }
    // MAIL was refused before: that stands, and nobody was harmed.
    let script = with(0, "550 no", &[("RCPT", "421 bye")]);
    let report = two("PIPELINING", &script);
    assert_eq!(report.told(), ["10 failed 550 no", "11 failed 550 no", "done"]);
    assert!(!report.fault().in_transaction());
}

#[test]
fn a_loss_at_each_stage() {
    for (script, answered) in [
        (vec![("connect", "<cut><eof>")], false),
        (vec![("connect", "220 mx<eof>")], false),
        (vec![("connect", "220 mx"), ("EHLO", "250-mx<eof>")], false),
        (vec![("connect", "220 mx"), ("EHLO", "250 mx<eof>")], true),
    ] {
        let report = Play::new(&script).run();
        assert_eq!((report.ready, report.fault()), (answered, &lost(false, false)));
    }
    for at in 0..4 {
        for extensions in ["", "PIPELINING"] {
            for answer in ["<cut><eof>", "250 ok<cut><eof>", "250-ok<eof>", "354 x<cut><eof>"] {
                let report = two(extensions, &with(at, answer, &[]));
                assert_eq!(report.told(), ["10 untried", "11 untried", "done"], "{at} {answer}");
                assert_eq!(report.fault(), &lost(true, false));
            }
        }
    }
    let report = two("", &with(3, "354 go<eof>", &[]));
    assert_eq!(
        report.told()[..],
        [
            "10 deferred 451 4.4.2 connection lost: end of stream (uncertain)",
            "11 deferred 451 4.4.2 connection lost: end of stream (uncertain)",
            "done"
        ][..]
    );
}

#[test]
fn refused_recipients_keep_their_outcome_when_the_connection_breaks() {
    let script = [("MAIL", "250 ok"), ("RCPT", "550 no"), ("RCPT", "<cut><eof>")];
    assert_eq!(two("", &script).told(), ["10 failed 550 no", "11 untried", "done"]);
    let script = with(0, "550 no<eof>", &[]);
    let report = two("PIPELINING", &script);
    assert_eq!(report.told(), ["10 failed 550 no", "11 failed 550 no", "done"]);
    assert!(!report.fault().in_transaction());
}

#[test]
fn what_is_decided_stays_decided() {
    // The beginning of an additional reply holds the machine up, and then the connection breaks.
    let refused = with(3, "554 no\n2<cut><eof>", &[]);
    let nobody = vec![("MAIL", "250 ok"), ("RCPT", "554 no"), ("RCPT", "554 no\n2<cut><eof>")];
    for script in [refused, nobody] {
        for feed in [Feed::Whole, Feed::Octets] {
            let play = Play::after_ehlo("", &script).order(order(&["a@x", "b@x"]));
            let report = play.run_with(feed);
            assert_eq!(report.told(), ["10 failed 554 no", "11 failed 554 no", "done"]);
            assert_eq!(report.fault(), &lost(false, true));
        }
    }
}

#[test]
fn the_end_of_the_connection_while_outcomes_are_told() {
    for (line, told, server) in [
        ("550 no\r\n", vec!["10", "done", "close"], false),
        ("530 no\r\n", vec!["untried 10", "done", "close"], true),
    ] {
        let mut session = ready(Time::ZERO);
        session.begin(order(&["a@x"]), Time::ZERO);
        drive(&mut session, b"", Time::ZERO, &mut vec![]);
        assert_eq!(session.step(line.as_bytes(), Time::ZERO).0, line.len());
        if !server {
            // Let it begin to tell.
            assert!(matches!(session.step(b"", Time::ZERO).1, Action::Outcome { .. }));
        }
        session.eof("reset");
        let mut did = vec![];
        drive(&mut session, b"", Time::ZERO, &mut did);
        let skip = usize::from(!server);
        assert_eq!(did, told[skip..], "no QUIT to nobody");
    }
}

#[test]
fn lost_after_the_end_of_the_content_is_uncertain() {
    let why = "deferred 451 4.4.2 connection lost: end of stream (uncertain)";
    let told = [format!("10 {why}"), format!("11 {why}"), "done".into()];
    for answer in ["<cut><eof>", "250 ok<cut><eof>", "250-ok<eof>", "2<cut><eof>"] {
        let report = two("", &with(4, answer, &[]));
        assert_eq!(
            (report.told(), report.fault()),
            (told.iter().map(|t| &t[..]).collect(), &lost(true, false))
        );
        let mut script = with(2, "250 ok", &[("BDAT", ""), (".", answer)]);
        script[2].1 = "250 ok";
        let report = two("CHUNKING", &script);
        assert_eq!(
            (report.told(), report.fault()),
            (told.iter().map(|t| &t[..]).collect(), &lost(true, false))
        );
    }
}

#[test]
fn delivered_is_delivered_even_when_the_connection_breaks_right_then() {
    let report = two("", &with(4, "250 ok<eof>", &[]));
    assert_eq!(report.told(), ["10 delivered 250 ok", "11 delivered 250 ok", "done"]);
    assert_eq!(report.fault(), &lost(false, true));
}

#[test]
fn lost_in_the_middle_of_the_content_is_certain() {
    let mut session = ready(Time::ZERO);
    session.begin(order(&["a@x"]), Time::ZERO);
    let mut did = vec![];
    for line in ["", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"] {
        drive(&mut session, line.as_bytes(), Time::ZERO, &mut did);
    }
    assert_eq!(did.last().unwrap(), "transmit");
    session.eof("reset");
    did.clear();
    drive(&mut session, b"", Time::ZERO, &mut did);
    assert_eq!(did, ["untried 10", "done", "close"]);
}

#[test]
fn a_reused_connection_that_turns_out_dead_is_nobodys_fault() {
    let reused = |end: &str, extensions: &str| {
        let mut script = OK.to_vec();
        script.push(("MAIL", end));
        Play::after_ehlo(extensions, &script)
            .order(order(&["a@x", "b@x"]))
            .order(order(&["c@x", "d@x"]))
            .run()
    };
    for extensions in ["", "PIPELINING"] {
        for end in ["<cut><eof>", "421 4.4.2 idle for too long<eof>", "25<cut><eof>"] {
            let report = reused(end, extensions);
            assert_eq!(report.told[1], ["10 untried", "11 untried", "done"]);
            let Fault::Lost { in_transaction: false, idle: true, .. } = report.fault() else {
                panic!("{end}: {report:?}")
            };
        }
        // One reply, and it is a loss like any other.
        let report = reused("250 ok<eof>", extensions);
        assert!(report.fault().in_transaction(), "{report:?}");
    }
}

#[test]
fn an_idle_session_ends_quietly() {
    let used = || {
        let mut session = ready(Time::ZERO);
        session.begin(order(&["a@x"]), Time::ZERO);
        let mut did = vec![];
        for line in ["", "550 no\r\n"] {
            drive(&mut session, line.as_bytes(), Time::ZERO, &mut did);
        }
        assert!(session.is_idle() && session.deadline() == Time::NEVER);
        session
    };
    let end = |mut session: ClientSession, input: &[u8]| {
        let mut rest = input;
        loop {
            match session.step(rest, Time::ZERO) {
                (0, Action::Read) => session.eof("end of stream"),
                (_, Action::Close(fault)) => return fault,
                (n, _) => rest = &rest[n..],
            }
        }
    };
    assert_eq!(end(used(), b""), lost(false, true));
    for said in [&b"421 bye\r\n"[..], b"250 what\r\n", b"550-\r\n550 x\r\n", b"garbage\r\n"] {
        assert!(matches!(end(used(), said), Fault::Lost { idle: true, in_transaction: false, .. }));
    }
    // A session that has not done any work says something about the server.
    assert_eq!(end(ready(Time::ZERO), b""), lost(false, false));
    let fault = end(ready(Time::ZERO), b"421 bye\r\n");
    assert!(matches!(fault, Fault::Unavailable { in_transaction: false, .. }));
    let fault = end(ready(Time::ZERO), b"250 what\r\n");
    assert!(matches!(fault, Fault::Protocol { in_transaction: false, .. }));
}

#[test]
fn silence_at_each_stage() {
    assert_eq!(Play::new(&[("connect", "")]).run().fault(), &Fault::Timeout(Stage::Connect));
    let helo = Play::new(&[("connect", "220 mx"), ("EHLO", "250-mx\n250-SI<cut>")]).run();
    assert_eq!(helo.fault(), &Fault::Timeout(Stage::Helo));
    let stages = [Stage::Mail, Stage::Rcpt, Stage::Rcpt, Stage::Data, Stage::Dot];
    for (at, stage) in stages.into_iter().enumerate() {
        for extensions in ["", "PIPELINING"] {
            let report = two(extensions, &with(at, "25<cut>", &[]));
            assert_eq!(report.fault(), &Fault::Timeout(stage));
            assert!(report.fault().in_transaction());
            let silent = "deferred 451 4.4.2 the server was silent for too long \
                          after the end of the message (uncertain)";
            match at {
                4 => {
                    assert_eq!(report.told()[..2], [format!("10 {silent}"), format!("11 {silent}")])
                }
                _ => assert_eq!(report.told(), ["10 untried", "11 untried", "done"]),
            }
        }
    }
    let script = [&OK[..3], &[("BDAT", ""), (".", "")]].concat();
    assert_eq!(two("CHUNKING", &script).fault(), &Fault::Timeout(Stage::Bdat));
    let script = [("MAIL", "250 ok"), ("RCPT", "550 no"), ("RCPT", "550 no"), ("RSET", "")];
    let report = two("", &script);
    assert_eq!(report.fault(), &Fault::Timeout(Stage::Rset));
    assert!(!report.fault().in_transaction() && report.told().len() == 3);
}

#[test]
fn each_stage_has_its_time() {
    let t = Timeouts::default();
    let mut now = Time::ZERO;
    let mut session = ClientSession::new(config(), "192.0.2.25:25".parse().unwrap(), false);
    let mut did = vec![];
    let mut awaits = |session: &mut ClientSession, input: &str, wait: Duration| {
        now = now.after(Duration::from_secs(7));
        drive(session, input.as_bytes(), now, &mut did);
        assert_eq!(session.deadline(), now.after(wait), "{input} {}", session.state_name());
        now
    };
    awaits(&mut session, "", t.greeting);
    awaits(&mut session, "220 mx\r\n", t.hello);
    awaits(&mut session, "500 mx\r\n", t.hello);
    let mut did = vec![];
    drive(&mut session, b"250 mx\r\n", Time::ZERO, &mut did);
    session.begin(order(&["a@x"]), Time::ZERO);
    let mut did = vec![];
    let mut now = Time::ZERO;
    let mut awaits = |session: &mut ClientSession, input: &str, wait: Duration| {
        now = now.after(Duration::from_secs(7));
        drive(session, input.as_bytes(), now, &mut did);
        assert_eq!(session.deadline(), now.after(wait), "{input} {}", session.state_name());
        // Early is not late.
        session.timeout(now);
        now
    };
    awaits(&mut session, "", t.mail);
    // Only content counts as progress.
    let deadline = session.deadline();
    session.progress(deadline);
    assert_eq!(session.deadline(), deadline);
    awaits(&mut session, "250 ok\r\n", t.rcpt);
    awaits(&mut session, "250 ok\r\n", t.data);
    let now = awaits(&mut session, "354 go\r\n", t.block);
    // Content that is taken renews the deadline; content that is not does not.
    let later = now.after(Duration::from_secs(60));
    session.progress(later);
    assert_eq!(session.deadline(), later.after(t.block));
    session.transmitted(later);
    drive(&mut session, b"", later, &mut vec![]);
    assert_eq!(session.deadline(), later.after(t.dot));
    session.progress(later.after(Duration::from_secs(1)));
    assert_eq!(session.deadline(), later.after(Duration::from_secs(1)).after(t.dot));
    drive(&mut session, b"250 ok\r\n", later, &mut vec![]);
    assert_eq!((session.deadline(), session.is_idle()), (Time::NEVER, true));
    session.progress(later);
    assert_eq!(session.deadline(), Time::NEVER);
    session.quit(later);
    drive(&mut session, b"", later, &mut vec![]);
    assert_eq!(session.deadline(), later.after(t.quit));
    session.timeout(later.after(t.quit));
    assert_eq!(session.step(b"", later), (0, Action::Close(Fault::None)));
}

#[test]
fn content_that_nobody_takes_ends_in_a_time_out() {
    let mut session = ready(Time::ZERO);
    session.begin(order(&["a@x"]), Time::ZERO);
    let mut did = vec![];
    for line in ["", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"] {
        drive(&mut session, line.as_bytes(), Time::ZERO, &mut did);
    }
    session.timeout(session.deadline());
    let (_, action) = session.step(b"", Time::ZERO);
    assert_eq!(action, Action::Untried(10));
    assert_eq!(session.step(b"", Time::ZERO).1, Action::Done);
    assert_eq!(session.step(b"", Time::ZERO).1, Action::Close(Fault::Timeout(Stage::Body)));
}

#[test]
fn content_that_cannot_be_read_is_given_up() {
    let lost = Reply::bare(451, "spool");
    let at = |lines: &[&str], transmitted: bool| {
        let mut session = ready(Time::ZERO);
        session.begin(order(&["a@x"]), Time::ZERO);
        for line in lines {
            drive(&mut session, line.as_bytes(), Time::ZERO, &mut vec![]);
        }
        if transmitted {
            session.transmitted(Time::ZERO);
            drive(&mut session, b"", Time::ZERO, &mut vec![]);
        }
        session.abort(&lost);
        let (_, outcome) = session.step(b"", Time::ZERO);
        assert_eq!(session.step(b"", Time::ZERO).1, Action::Done);
        assert_eq!(session.step(b"", Time::ZERO).1, Action::Close(Fault::None));
        outcome
    };
    let expected = |uncertain| Action::Outcome {
        recipient: 10,
        ending: Ending::Deferred,
        reply: lost.clone(),
        uncertain,
        relayed_without_dsn: false,
    };
    let lines = ["", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"];
    for n in 0..=4 {
        assert_eq!(at(&lines[..n], false), expected(false), "{n}");
    }
    assert_eq!(at(&lines, true), expected(true));
    // Without a transaction there is nothing to give up.
    let mut session = ready(Time::ZERO);
    session.abort(&lost);
    assert!(session.is_idle());
}

#[test]
fn faults_can_be_shown() {
    let fault = Fault::Timeout(Stage::Mail);
    assert_eq!(
        shown(&fault.reply().unwrap()),
        "451 4.4.2 the server was silent for too long after MAIL"
    );
    assert_eq!(Fault::None.reply(), None);
    assert_eq!(Fault::Server(Reply::bare(554, "no")).reply(), Some(Reply::bare(554, "no")));
    let fault = Fault::Protocol { why: "x".into(), in_transaction: true };
    assert_eq!(shown(&fault.reply().unwrap()), "451 4.5.0 the server broke the protocol: x");
}
