//! The gate: every command is asked for, and what the verdicts do.

use std::cell::RefCell;

use super::*;
use crate::base::Enhanced;

thread_local! {
    static ASKED: RefCell<Vec<String>> = const { RefCell::new(vec![]) };
}

/// Notes the question with its facts.
fn note(stage: Stage, facts: &Facts<'_>) -> Verdict {
    let from = facts.from.map(|f| f.map_or("<>", |a| a.as_str()));
    let text = format!(
        "{stage:?} {} {} {} {}",
        from.unwrap_or("-"),
        facts.rcpt.map_or("-", |a| a.as_str()),
        facts.recipients,
        facts.size
    );
    assert_eq!(
        (facts.client.to_string().as_str(), facts.helo),
        ("192.0.2.25", Some("relay.example"))
    );
    assert!(!facts.tls && facts.user.is_none());
    ASKED.with_borrow_mut(|asked| asked.push(text));
    Verdict::Accept
}

fn asked(play: Play<'_>) -> Vec<String> {
    ASKED.take();
    play.rule(note).run_with(Feed::Whole);
    ASKED.take()
}

#[test]
fn every_command_is_asked_for_with_its_facts() {
    let script = [
        ("MAIL", "250 ok"),
        ("RCPT", "250 ok"),
        ("RCPT", "550 no"),
        ("DATA", "354 go"),
        (".", "250 ok"),
        ("MAIL", "250 ok"),
        ("RCPT", "550 no"),
        ("RSET", "250 ok"),
        ("QUIT", "221 bye"),
    ];
    let mut bounce = order(&["c@x"]);
    bounce.from = None;
    let play = Play::after_ehlo("", &script).order(order(&["a@x", "b@x"])).order(bounce);
    assert_eq!(
        asked(play),
        [
            "Connect - - 0 0",
            "Helo - - 0 0",
            "Mail s@x - 0 1000",
            "Rcpt s@x a@x 0 1000",
            "Rcpt s@x b@x 1 1000",
            "Data s@x - 1 1000",
            "Dot s@x - 1 1000",
            "Mail <> - 0 1000",
            "Rcpt <> c@x 0 1000",
            "Rset - - 0 0",
            "Quit - - 0 0",
        ]
    );
}

#[test]
fn a_group_is_asked_for_whole_before_it_goes_out() {
    let script =
        [("MAIL", "250 ok"), ("RCPT", "250 ok"), ("BDAT", ""), (".", "250 ok"), ("QUIT", "")];
    let asked = asked(Play::after_ehlo("PIPELINING\nCHUNKING", &script).order(order(&["a@x"])));
    let stages: Vec<&str> = asked.iter().map(|a| a.split(' ').next().unwrap()).collect();
    assert_eq!(stages, ["Connect", "Helo", "Mail", "Rcpt", "Bdat", "Dot", "Quit"]);
    let mut session = ClientSession::new(config(), "192.0.2.25:25".parse().unwrap(), false);
    let mut did = vec![];
    dialogue::drive(&mut session, b"220 mx\r\n", Time::ZERO, &mut did);
    dialogue::drive(&mut session, b"250-mx\r\n250 PIPELINING\r\n", Time::ZERO, &mut did);
    session.begin(order(&["a@x"]), Time::ZERO);
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
        assert_eq!(session.step(b"", Time::ZERO), (0, Action::Ask(stage)));
        session.verdict(Verdict::Accept, Time::ZERO);
    }
    let group = b"MAIL FROM:<s@x>\r\nRCPT TO:<a@x>\r\nDATA\r\n".to_vec();
    assert_eq!(session.step(b"", Time::ZERO), (0, Action::Send(group)));
}

fn refuse(code: u16) -> Verdict {
    Verdict::Refuse(Reply::fixed(code, Enhanced((code / 100) as u8, 7, 1), "rule"))
}

fn ok_until(stage: Stage, wanted: Stage, verdict: Verdict) -> Verdict {
    if stage == wanted { verdict } else { Verdict::Accept }
}

const GOOD: [(&str, &str); 5] = [
    ("MAIL", "250 ok"),
    ("RCPT", "250 ok"),
    ("RCPT", "250 ok"),
    ("DATA", "354 go"),
    (".", "250 ok"),
];

#[test]
fn a_refused_mail_is_everybodys_and_never_sent() {
    let report = Play::after_ehlo("", &[("QUIT", "221 bye")])
        .order(order(&["a@x", "b@x"]))
        .rule(|stage, _| ok_until(stage, Stage::Mail, refuse(550)))
        .run();
    assert_eq!(report.told(), ["10 failed 550 5.7.1 rule", "11 failed 550 5.7.1 rule", "done"]);
    assert_eq!(report.said, ["EHLO relay.example", "QUIT"]);
}

#[test]
fn a_refused_recipient_is_not_sent() {
    for extensions in ["", "PIPELINING", "CHUNKING"] {
        let mut script = vec![("MAIL", "250 ok"), ("RCPT TO:<b@x>", "250 ok")];
        script.push(if extensions == "CHUNKING" { ("BDAT", "") } else { ("DATA", "354 go") });
        script.extend([(".", "250 ok"), ("QUIT", "221 bye")]);
        let report = Play::after_ehlo(extensions, &script)
            .order(order(&["a@x", "b@x"]))
            .rule(|_, facts| match facts.rcpt {
                Some(a) if a.as_str() == "a@x" => refuse(451),
                _ => Verdict::Accept,
            })
            .run();
        assert_eq!(report.told(), ["10 deferred 451 4.7.1 rule", "11 delivered 250 ok", "done"]);
    }
}

#[test]
fn when_all_recipients_are_refused_a_group_is_not_sent_at_all() {
    let rule: Rule = |stage, _| ok_until(stage, Stage::Rcpt, refuse(550));
    let told = ["10 failed 550 5.7.1 rule", "11 failed 550 5.7.1 rule", "done"];
    let report = Play::after_ehlo("PIPELINING", &[("QUIT", "221 bye")])
        .order(order(&["a@x", "b@x"]))
        .rule(rule)
        .run();
    assert_eq!((report.told(), report.said.len()), (told.to_vec(), 2));
    let script = [("MAIL", "250 ok"), ("RSET", "250 ok"), ("QUIT", "221 bye")];
    let report = Play::after_ehlo("", &script).order(order(&["a@x", "b@x"])).rule(rule).run();
    assert_eq!((report.told(), report.said.len()), (told.to_vec(), 4));
}

#[test]
fn refused_data_concerns_the_accepted_recipients() {
    let script = [
        ("MAIL", "250 ok"),
        ("RCPT", "250 ok"),
        ("RCPT", "550 no"),
        ("RSET", "250 ok"),
        ("QUIT", "221 bye"),
    ];
    for (extensions, stage) in [
        ("", Stage::Data),
        ("PIPELINING", Stage::Data),
        ("CHUNKING", Stage::Bdat),
        ("CHUNKING", Stage::Dot),
        ("CHUNKING\nPIPELINING", Stage::Dot),
    ] {
        let rule: Rule = match stage {
            Stage::Data => |s, _| ok_until(s, Stage::Data, refuse(451)),
            Stage::Bdat => |s, _| ok_until(s, Stage::Bdat, refuse(451)),
            _ => |s, _| ok_until(s, Stage::Dot, refuse(451)),
        };
        let report =
            Play::after_ehlo(extensions, &script).order(order(&["a@x", "b@x"])).rule(rule).run();
        assert_eq!(report.told(), ["11 failed 550 no", "10 deferred 451 4.7.1 rule", "done"]);
        assert!(!report.said.iter().any(|s| s.contains("DATA") || s.contains("BDAT")));
    }
}

#[test]
fn refused_data_and_a_loss_before_the_recipients_are_answered() {
    let script = [("MAIL", "250 ok"), ("RCPT", "250 ok"), ("RCPT", "<cut><eof>")];
    let report = Play::after_ehlo("PIPELINING", &script)
        .order(order(&["a@x", "b@x"]))
        .rule(|s, _| ok_until(s, Stage::Data, refuse(451)))
        .run();
    assert_eq!(report.told(), ["10 deferred 451 4.7.1 rule", "11 untried", "done"]);
    assert!(report.fault().in_transaction());
}

#[test]
fn a_refusal_at_the_dot_closes_since_content_cannot_be_taken_back() {
    let report = Play::after_ehlo("", &GOOD[..4])
        .order(order(&["a@x", "b@x"]))
        .rule(|stage, _| ok_until(stage, Stage::Dot, refuse(550)))
        .run();
    assert_eq!(report.told(), ["10 failed 550 5.7.1 rule", "11 failed 550 5.7.1 rule", "done"]);
    assert_eq!(report.fault(), &Fault::None);
    assert_eq!(report.said.last().unwrap(), "DATA");
}

#[test]
fn a_success_that_no_server_gave_is_no_success() {
    for verdict in [refuse(250), refuse(354), Verdict::Discard] {
        let rule: Rule = match verdict {
            Verdict::Discard => |_, _| Verdict::Discard,
            Verdict::Refuse(r) if r.code == 250 => |_, _| refuse(250),
            _ => |_, _| refuse(354),
        };
        let script = [&GOOD[..4], &[(".", "554 no"), ("QUIT", "221 bye")]].concat();
        let report = Play::after_ehlo("", &script).order(order(&["a@x", "b@x"])).rule(rule).run();
        assert_eq!(report.told(), ["10 failed 554 no", "11 failed 554 no", "done"]);
    }
}

#[test]
fn refusals_that_speak_of_the_server() {
    type Case = (Rule, &'static [&'static str]);
    let cases: [Case; 5] = [
        (|s, _| ok_until(s, Stage::Connect, refuse(450)), &[]),
        (|s, _| ok_until(s, Stage::Helo, refuse(550)), &["QUIT"]),
        (|s, _| ok_until(s, Stage::Helo, refuse(450)), &["QUIT"]),
        (|s, _| ok_until(s, Stage::Mail, refuse(530)), &["EHLO relay.example", "QUIT"]),
        (
            |s, _| ok_until(s, Stage::Rcpt, refuse(535)),
            &["EHLO relay.example", "MAIL FROM:<s@x>", "QUIT"],
        ),
    ];
    for (rule, said) in cases {
        let ehlo = [("connect", "220 mx"), ("EHLO", "250 mx"), ("MAIL", "250 ok")];
        let script = if said.len() < 2 { &ehlo[..1] } else { &ehlo[..] };
        let script = if said.len() == 2 { &ehlo[..2] } else { script };
        let report = Play::new(script).order(order(&["a@x", "b@x"])).rule(rule).run();
        assert_eq!(report.said, said);
        assert!(matches!(report.fault(), Fault::Server(r) if r.code >= 450), "{report:?}");
        assert!(report.told.iter().flatten().all(|t| t.ends_with("untried") || t == "done"));
    }
}

#[test]
fn a_421_at_the_gate_ends_the_connection() {
    let rule: Rule = |s, _| ok_until(s, Stage::Data, refuse(421));
    let report = Play::after_ehlo("", &GOOD[..3]).order(order(&["a@x", "b@x"])).rule(rule).run();
    assert_eq!(report.told(), ["10 untried", "11 untried", "done"]);
    assert!(matches!(report.fault(), Fault::Unavailable { in_transaction: true, .. }));
    let rule: Rule = |s, _| ok_until(s, Stage::Dot, refuse(421));
    let report = Play::after_ehlo("", &GOOD[..4]).order(order(&["a@x", "b@x"])).rule(rule).run();
    assert_eq!(report.told(), ["10 deferred 421 4.7.1 rule", "11 deferred 421 4.7.1 rule", "done"]);
}

#[test]
fn drop_is_a_loss() {
    for (stage, script) in [
        (Stage::Mail, &GOOD[..0]),
        (Stage::Rcpt, &GOOD[..1]),
        (Stage::Data, &GOOD[..3]),
        (Stage::Dot, &GOOD[..4]),
    ] {
        let rule: Rule = match stage {
            Stage::Mail => |s, _| ok_until(s, Stage::Mail, Verdict::Drop),
            Stage::Rcpt => |s, _| ok_until(s, Stage::Rcpt, Verdict::Drop),
            Stage::Data => |s, _| ok_until(s, Stage::Data, Verdict::Drop),
            _ => |s, _| ok_until(s, Stage::Dot, Verdict::Drop),
        };
        let report = Play::after_ehlo("", script).order(order(&["a@x", "b@x"])).rule(rule).run();
        assert_eq!(report.told(), ["10 untried", "11 untried", "done"], "{stage:?}");
        let why = "dropped at the gate".to_string();
        assert_eq!(report.fault(), &Fault::Lost { in_transaction: true, idle: false, why });
    }
    for (stage, ready) in [(Stage::Connect, false), (Stage::Helo, false), (Stage::Quit, true)] {
        let rule: Rule = match stage {
            Stage::Connect => |s, _| ok_until(s, Stage::Connect, Verdict::Drop),
            Stage::Helo => |s, _| ok_until(s, Stage::Helo, Verdict::Drop),
            _ => |s, _| ok_until(s, Stage::Quit, Verdict::Drop),
        };
        let report = Play::after_ehlo("", &[]).rule(rule).run();
        assert_eq!((report.ready, report.fault() == &Fault::None), (ready, ready), "{stage:?}");
    }
}

#[test]
fn a_refused_rset_or_quit_closes() {
    let script = [("MAIL", "250 ok"), ("RCPT", "550 no")];
    let report = Play::after_ehlo("", &script)
        .order(order(&["a@x"]))
        .rule(|s, _| ok_until(s, Stage::Rset, refuse(550)))
        .run();
    assert_eq!((report.told(), report.fault()), (vec!["10 failed 550 no", "done"], &Fault::None));
    assert_eq!(report.said.len(), 3);
    let report = Play::after_ehlo("", &[]).rule(|s, _| ok_until(s, Stage::Quit, refuse(450))).run();
    assert_eq!((report.said.len(), report.fault()), (1, &Fault::None));
}

#[test]
fn the_end_of_the_connection_is_noticed_at_the_gate_too() {
    for verdict in [None, Some(Verdict::Accept), Some(refuse(550))] {
        let mut session = dialogue::ready(Time::ZERO);
        session.begin(order(&["a@x"]), Time::ZERO);
        assert_eq!(session.step(b"", Time::ZERO), (0, Action::Ask(Stage::Mail)));
        session.eof("reset");
        assert!(!session.is_waiting() && session.deadline() == Time::NEVER);
        // A verdict that comes too late changes nothing.
        if let Some(verdict) = verdict {
            session.verdict(verdict, Time::ZERO);
        }
        let mut did = vec![];
        dialogue::drive(&mut session, b"", Time::ZERO, &mut did);
        assert_eq!(did, ["untried 10", "done", "close"]);
    }
}

#[test]
fn what_waits_in_a_batch_has_not_been_sent_and_cannot_be_answered() {
    let mut session = ClientSession::new(config(), "192.0.2.25:25".parse().unwrap(), false);
    dialogue::drive(&mut session, b"220 mx\r\n", Time::ZERO, &mut vec![]);
    dialogue::drive(&mut session, b"250-mx\r\n250 PIPELINING\r\n", Time::ZERO, &mut vec![]);
    session.begin(order(&["a@x", "b@x"]), Time::ZERO);
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Rcpt] {
        assert_eq!(session.step(b"", Time::ZERO), (0, Action::Ask(stage)));
        session.verdict(Verdict::Accept, Time::ZERO);
    }
    let (_, heard) = session.step(b"250 ok\r\n", Time::ZERO);
    assert!(matches!(heard, Action::Heard(_, Mark::Unexpected)));
    let mut did = vec![];
    dialogue::drive(&mut session, b"", Time::ZERO, &mut did);
    assert_eq!(did, ["10", "11", "done", "close"]);
}
