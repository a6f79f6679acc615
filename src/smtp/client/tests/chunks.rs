//! Servers that offer CHUNKING and do not know BDAT.

use super::*;
use crate::base::Enhanced;

const UNKNOWN: [&str; 6] = [
    "500 5.5.1 what?",
    "501 5.5.4 syntax",
    "502 5.5.1 not implemented",
    "503 5.5.1 RCPT first",
    "504 5.5.4 no LAST",
    "555 5.5.4 no parameters",
];

fn two(script: &[(&str, &str)]) -> Report {
    let ok = [("MAIL", "250 ok"), ("RCPT", "250 ok"), ("RCPT", "550 5.1.1 no")];
    let script = [&ok, script].concat();
    Play::after_ehlo("CHUNKING\nPIPELINING", &script).order(order(&["a@x", "b@x"])).run()
}

#[test]
fn who_does_not_know_bdat_has_judged_nothing() {
    for answer in UNKNOWN {
        for script in [
            // To the command, to the content read as content, to the content read as commands.
            vec![("BDAT", answer)],
            vec![("BDAT", ""), ("content", answer)],
            vec![("BDAT", ""), (".", answer)],
        ] {
            let report = two(&script);
            assert_eq!(report.told(), ["11 failed 550 5.1.1 no", "10 untried", "done"]);
            let Fault::Bdat(reply) = report.fault() else { panic!("{report:?}") };
            assert_eq!(shown(reply), answer);
            assert!(!report.fault().in_transaction());
            assert!(report.said.last().unwrap().starts_with("BDAT"), "not a word more");
        }
    }
}

#[test]
fn other_refusals_judge_the_content() {
    let after = [("RSET", "250 ok"), ("QUIT", "221 bye")];
    for (answer, word) in [
        ("550 5.7.1 spam", "failed"),
        ("552 5.3.4 too big", "failed"),
        ("554 5.6.0 no", "failed"),
        ("556 5.5.0 no", "failed"),
        ("451 4.3.0 later", "deferred"),
    ] {
        let mut script = vec![("BDAT", ""), (".", answer)];
        script.extend(after);
        let report = two(&script);
        assert_eq!(report.told()[1], format!("10 {word} {answer}"));
        assert_eq!(report.fault(), &Fault::None);
    }
}

#[test]
fn after_data_the_same_words_count() {
    for answer in UNKNOWN {
        let script = [("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go"), (".", answer)];
        let report = Play::after_ehlo("", &script).order(order(&["a@x"])).run();
        assert_eq!(report.told(), [format!("10 failed {answer}"), "done".into()]);
    }
}

#[test]
fn who_is_known_not_to_take_chunks_is_sent_none() {
    let mut session = ClientSession::new(config(), "192.0.2.25:25".parse().unwrap(), false);
    session.hide(Hidden::CHUNKING);
    let ehlo = b"250-mx\r\n250-CHUNKING\r\n250 DSN\r\n";
    for line in [&b"220 mx\r\n"[..], &ehlo[..]] {
        dialogue::drive(&mut session, line, Time::ZERO, &mut vec![]);
    }
    assert!(!session.extensions().chunking && session.extensions().dsn);
}

#[test]
fn the_gate_speaks_for_the_server() {
    let rule: Rule = |stage, _| match stage {
        Stage::Bdat => Verdict::Refuse(Reply::fixed(502, Enhanced(5, 5, 1), "rule")),
        _ => Verdict::Accept,
    };
    let script = [("MAIL", "250 ok"), ("RCPT", "250 ok")];
    let play = Play::after_ehlo("CHUNKING", &script).order(order(&["a@x"]));
    let report = play.rule(rule).run();
    assert_eq!(report.told(), ["10 untried", "done"]);
    assert!(matches!(report.fault(), Fault::Bdat(_)));
    assert!(!report.said.iter().any(|said| said.starts_with("BDAT")));
}
