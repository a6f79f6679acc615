//! Bad servers: garbage, floods, replies too early, too many, too long, too slow.

use super::dialogue::{drive, ready};
use super::*;
use crate::base::ReplyParser;

const OK: [(&str, &str); 5] = [
    ("MAIL", "250 ok"),
    ("RCPT", "250 ok"),
    ("RCPT", "250 ok"),
    ("DATA", "354 go"),
    (".", "250 ok"),
];

const FEEDS: [Feed; 6] =
    [Feed::Whole, Feed::Octets, Feed::Random(1), Feed::Random(2), Feed::Random(3), Feed::Random(4)];

/// The usual dialogue for two recipients, but with this answer at this place.
fn play<'a>(extensions: &str, at: usize, answer: &'a str) -> Play<'a> {
    let mut script = OK[..=at].to_vec();
    script[at].1 = answer;
    Play::after_ehlo(extensions, &script).order(order(&["a@x", "b@x"]))
}

fn is_protocol(report: &Report) -> bool {
    matches!(report.fault(), Fault::Protocol { in_transaction: true, .. })
}

/// Nobody has it; who was not refused before is deferred with a word about the protocol.
fn assert_nonsense(report: &Report, at: usize) {
    assert!(is_protocol(report), "{at}: {report:?}");
    assert_eq!(report.told().len(), 3, "{report:?}");
    for told in &report.told()[..2] {
        assert!(told.contains("deferred 451 4.5.0 the server broke the protocol"), "{told}");
        assert_eq!(told.ends_with("(uncertain)"), at == 4, "{told}");
    }
    assert_eq!(report.odd.len(), 1);
}

#[test]
fn senseless_answers_at_each_stage() {
    let long = "2".repeat(ReplyParser::MAX_LINE + 2);
    let endless = "250-x\n".repeat(ReplyParser::MAX_LINES + 1);
    let nonsense = [
        "hello",
        "",
        "2500 ok",
        "250ok",
        "25 ok",
        "\u{0}\u{1}250 ok",
        " 250 ok",
        "150 ok",
        "650 ok",
        "+OK ready",
        "HTTP/1.1 200 OK",
        "250-ok\n550 no",
        "250-ok\n354 go",
        "250-ok\nbye",
        "250-ok\n\n250 ok",
        "350 more",
        &long,
        &endless,
    ];
    for at in 0..5 {
        for answer in nonsense.iter().filter(|a| !a.is_empty()) {
            assert_nonsense(&play("", at, answer).run(), at);
        }
        // Pipelined, the machine hears the nonsense while other replies are due.
        for answer in nonsense.iter().filter(|a| !a.is_empty()) {
            assert_nonsense(&play("PIPELINING", at, answer).run(), at);
        }
    }
}

#[test]
fn the_right_answer_at_the_wrong_stage() {
    for at in [0, 1, 2, 4] {
        assert_nonsense(&play("", at, "354 go").run(), at);
    }
    for answer in ["250 ok", "221 bye", "200 ok"] {
        assert_nonsense(&play("", 3, answer).run(), 3);
        assert_nonsense(&play("PIPELINING", 3, answer).run(), 3);
    }
}

#[test]
fn nonsense_before_the_session_is_ready() {
    for script in [
        vec![("connect", "354 go")],
        vec![("connect", "hello")],
        vec![("connect", "220-mx\n250 mx")],
        vec![("connect", "220 mx"), ("EHLO", "354 go")],
        vec![("connect", "220 mx"), ("EHLO", "250-mx\n550 mx")],
        vec![("connect", "220 mx"), ("EHLO", "502 no"), ("HELO", "300 go")],
    ] {
        let report = Play::new(&script).run();
        assert!(!report.ready);
        assert!(matches!(report.fault(), Fault::Protocol { in_transaction: false, .. }));
    }
}

#[test]
fn an_endless_list_of_extensions_is_cut() {
    let mut script = vec![("connect", "220 mx"), ("EHLO", "")];
    let many: Vec<String> = (0..10_000).map(|n| format!("250-X{n}")).collect();
    let many = many.join("\n");
    script[1].1 = &many;
    let report = Play::new(&script).run_with(Feed::Whole);
    assert!(!report.ready && matches!(report.fault(), Fault::Protocol { .. }));
    // As many as are taken do no harm.
    let many: Vec<String> =
        (0..ReplyParser::MAX_LINES - 2).map(|n| format!("X{n} {}", "y".repeat(200))).collect();
    let report = Play::after_ehlo(&format!("{}\nPIPELINING", many.join("\n")), &[]).run();
    assert!(report.ready);
}

#[test]
fn long_replies_are_taken_and_kept_short() {
    let long = format!("550-5.1.1 {}\n550 5.1.1 end", "x".repeat(8 * 1024));
    let mut session = ready(Time::ZERO);
    session.begin(order(&["a@x"]), Time::ZERO);
    drive(&mut session, b"", Time::ZERO, &mut vec![]);
    let wire = format!("{long}\n").replace('\n', "\r\n");
    let (n, heard) = session.step(wire.as_bytes(), Time::ZERO);
    assert!(matches!(heard, Action::Heard(r, Mark::Plain) if r.text.len() == 8 * 1024 + 4));
    let (_, outcome) = session.step(&wire.as_bytes()[n..], Time::ZERO);
    let Action::Outcome { reply, ending: Ending::Failed, .. } = outcome else { panic!() };
    assert_eq!((reply.text.len(), reply.code), (MAX_REPLY_TEXT, 550));
}

#[test]
fn a_drip_server_gains_no_time() {
    for stage in 0..5 {
        let mut session = ready(Time::ZERO);
        let mut now = Time::ZERO;
        session.begin(order(&["a@x"]), now);
        drive(&mut session, b"", now, &mut vec![]);
        for i in 0..stage {
            let line = ["250 ok\r\n", "250 ok\r\n", "354 go\r\n", ""][i];
            drive(&mut session, line.as_bytes(), now, &mut vec![]);
            if i == 3 {
                session.transmitted(now);
                drive(&mut session, b"", now, &mut vec![]);
            }
        }
        let deadline = session.deadline();
        // Whole lines of an unfinished reply, and octets of an unfinished line.
        for drip in ["250-a\r\n", "250-b\r\n", "2", "25", "250"] {
            now = now.after(Duration::from_secs(20));
            drive(&mut session, drip.as_bytes(), now, &mut vec![]);
            assert_eq!(session.deadline(), deadline, "{stage} {}", session.state_name());
        }
        session.timeout(deadline);
        let mut did = vec![];
        drive(&mut session, b"250 ok", deadline, &mut did);
        assert_eq!(did.last().unwrap(), "close");
    }
}

#[test]
fn an_additional_reply_is_never_taken_for_an_answer() {
    for extensions in ["", "PIPELINING"] {
        for feed in FEEDS {
            for extra in ["250 ok", "354 go", "550 no", "450 no", "220 mx"] {
                for at in 0..4 {
                    // The server answers by rote, whatever it is told.
                    let mut script = OK.map(|(_, answer)| ("", answer));
                    let doubled = format!("{}\n{extra}", script[at].1);
                    script[at].1 = &doubled;
                    let play = Play::after_ehlo(extensions, &script);
                    let report = play.order(order(&["a@x", "b@x"])).run_with(feed);
                    let told = report.told();
                    assert!(
                        !told.iter().any(|t| t.contains("delivered")),
                        "{at} {extra} {report:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_additional_reply_is_noticed_before_the_next_command() {
    for (at, (_, answer)) in OK[..3].iter().enumerate() {
        let doubled = format!("{answer}\n250 again");
        let report = play("", at, &doubled).run_with(Feed::Whole);
        assert_nonsense(&report, at);
        assert_eq!(report.odd, ["250 again"]);
        assert_eq!(report.said.len(), at + 2);
    }
    // Part of one is enough for the machine to wait.
    let mut session = ready(Time::ZERO);
    session.begin(order(&["a@x"]), Time::ZERO);
    let mut did = vec![];
    drive(&mut session, b"250 unasked", Time::ZERO, &mut did);
    assert!(did.is_empty() && session.deadline() != Time::NEVER);
    drive(&mut session, b"250 unasked\r\n", Time::ZERO, &mut did);
    assert_eq!(did, ["10", "done", "close"]);
    // A reply after the last is too late to change anything, but the session is over.
    let report = play("", 4, "250 ok\n550 no").run();
    assert_eq!(report.told(), ["10 delivered 250 ok", "11 delivered 250 ok", "done"]);
    assert!(matches!(report.fault(), Fault::Lost { idle: true, .. }));
}

#[test]
fn an_early_success_is_no_success() {
    for early in ["250 ok", "200 ok", "354 go"] {
        for extensions in ["", "PIPELINING"] {
            let script = [&OK[..4], &[("content", early)]].concat();
            let play = Play::after_ehlo(extensions, &script).order(order(&["a@x", "b@x"]));
            assert_nonsense(&play.run(), 3);
        }
        let script = [&OK[..3], &[("BDAT", ""), ("content", early)]].concat();
        let play = Play::after_ehlo("CHUNKING", &script).order(order(&["a@x", "b@x"]));
        assert_nonsense(&play.run(), 3);
        let script = [&OK[..3], &[("BDAT", early)]].concat();
        let play = Play::after_ehlo("CHUNKING", &script).order(order(&["a@x", "b@x"]));
        assert_nonsense(&play.run(), 3);
    }
}

#[test]
fn an_early_refusal_counts_and_nothing_more_is_sent() {
    for (early, word) in [("552 5.3.4 too big", "failed"), ("451 4.3.0 later", "deferred")] {
        for (extensions, command) in [("", ("DATA", "354 go")), ("CHUNKING", ("BDAT", ""))] {
            let script = [&OK[..3], &[command, ("content", early)]].concat();
            let play = Play::after_ehlo(extensions, &script).order(order(&["a@x", "b@x"]));
            let report = play.run();
            assert_eq!(
                report.told(),
                [format!("10 {word} {early}"), format!("11 {word} {early}"), "done".into()]
            );
            assert_eq!(report.fault(), &Fault::None);
            assert!(report.said.last().unwrap().starts_with(command.0));
        }
    }
    let early = |reply| {
        let script = [&OK[..4], &[("content", reply)]].concat();
        Play::after_ehlo("", &script).order(order(&["a@x", "b@x"])).run()
    };
    let report = early("421 4.3.2 bye");
    assert_eq!(report.told()[0], "10 deferred 421 4.3.2 bye");
    assert!(matches!(report.fault(), Fault::Unavailable { in_transaction: true, .. }));
    let report = early("530 auth");
    assert_eq!(report.told()[0], "10 untried");
    assert!(matches!(report.fault(), Fault::Server(_)));
}

#[test]
fn a_reply_that_began_too_early_is_no_answer() {
    let bdat = |begun: &str, rest: &str| {
        let mut session = ready_with(b"250-mx\r\n250 CHUNKING\r\n");
        session.begin(order(&["a@x"]), Time::ZERO);
        for line in ["", "250 ok\r\n", "250 ok\r\n"] {
            drive(&mut session, line.as_bytes(), Time::ZERO, &mut vec![]);
        }
        let (n, action) = session.step(begun.as_bytes(), Time::ZERO);
        assert_eq!(action, Action::Read);
        session.transmitted(Time::ZERO);
        let input = format!("{}{rest}", &begun[n..]);
        let (_, heard) = session.step(input.as_bytes(), Time::ZERO);
        let (_, outcome) = session.step(b"", Time::ZERO);
        assert_eq!(session.step(b"", Time::ZERO).1, Action::Done);
        // In step only if the whole answer came in time.
        assert_eq!(session.is_idle(), begun.is_empty());
        (heard, outcome)
    };
    for (begun, rest) in [("2", "50 ok\r\n"), ("250-a\r\n", "250 ok\r\n"), ("250 ok\r", "\n")] {
        let (heard, outcome) = bdat(begun, rest);
        assert!(matches!(heard, Action::Heard(_, Mark::Unexpected)));
        let Action::Outcome { ending, uncertain, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!((ending, uncertain), (Ending::Deferred, true));
    }
    let (_, outcome) = bdat("5", "50 no\r\n");
    assert!(matches!(outcome, Action::Outcome { ending: Ending::Failed, uncertain: false, .. }));
    let (_, outcome) = bdat("", "250 ok\r\n");
    assert!(matches!(outcome, Action::Outcome { ending: Ending::Delivered, .. }));
}

#[test]
fn the_dot_waits_for_a_reply_that_has_begun() {
    let mut session = ready(Time::ZERO);
    session.begin(order(&["a@x"]), Time::ZERO);
    for line in ["", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"] {
        drive(&mut session, line.as_bytes(), Time::ZERO, &mut vec![]);
    }
    session.transmitted(Time::ZERO);
    let mut did = vec![];
    drive(&mut session, b"250 o", Time::ZERO, &mut did);
    assert!(did.is_empty());
    drive(&mut session, b"250 ok\r\n", Time::ZERO, &mut did);
    // The dot was never sent: it is certain that the server does not have the message.
    assert_eq!(did, ["10", "done", "close"]);
}

#[test]
fn garbage_is_narrated_and_bounded() {
    let mut session = ready(Time::ZERO);
    session.begin(order(&["a@x"]), Time::ZERO);
    drive(&mut session, b"", Time::ZERO, &mut vec![]);
    let garbage = [vec![b'\x1b'; 3000], b"\r\nmore\r\n".to_vec()].concat();
    let (n, action) = session.step(&garbage, Time::ZERO);
    assert_eq!((n, action), (garbage.len(), Action::Garbage(vec![b'\x1b'; 512])));
}

/// A session that is idle after this reply to EHLO.
fn ready_with(ehlo: &[u8]) -> ClientSession {
    let mut session = ClientSession::new(config(), "192.0.2.25:25".parse().unwrap(), false);
    drive(&mut session, b"220 mx\r\n", Time::ZERO, &mut vec![]);
    drive(&mut session, ehlo, Time::ZERO, &mut vec![]);
    assert!(session.is_idle());
    session
}
