//! STARTTLS: where it is said, what is forgotten, what is never believed.

use super::*;

/// A server that offers these beside STARTTLS before TLS, and those after it.
fn script<'a>(starttls: &'a str, then: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let ehlo = "250-mx\n250-PIPELINING\n250-SIZE 10\n250 STARTTLS";
    let mut all = vec![("connect", "220 mx"), ("EHLO", ehlo), ("STARTTLS", starttls)];
    all.extend(then);
    all
}

const MAIL: [(&str, &str); 5] = [
    ("MAIL", "250 ok"),
    ("RCPT", "250 ok"),
    ("DATA", "354 go"),
    (".", "250 ok"),
    ("QUIT", "221 bye"),
];

fn tls_fault(required: bool, report: &Report) -> &str {
    match report.fault() {
        Fault::Tls { why, required: r } if *r == required => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_is_forgotten_and_asked_for_again() {
    let mut then = vec![("(tls)", ""), ("EHLO", "250-mx\n250 SIZE 2000")];
    then.extend(MAIL);
    for policy in [StartTls::Offered, StartTls::Required] {
        let play = Play::new(&script("220 go", &then)).starttls(policy).order(order(&["a@y"]));
        let report = play.run();
        // 1000 octets, of which the server takes 10 only in the clear, and nothing is pipelined.
        let said = [
            "EHLO relay.example",
            "STARTTLS",
            "(tls)",
            "EHLO relay.example",
            "MAIL FROM:<s@x> SIZE=1000",
            "RCPT TO:<a@y>",
            "DATA",
            "QUIT",
        ];
        assert_eq!(report.said, said, "{policy:?}");
        assert_eq!(report.told(), ["10 delivered 250 ok", "done"]);
        assert_eq!(report.fault(), &Fault::None);
    }
}

#[test]
fn where_it_is_not_offered_or_not_wanted() {
    let plain = [("connect", "220 mx"), ("EHLO", "250 mx"), ("QUIT", "221 bye")];
    let offering = [("connect", "220 mx"), ("EHLO", "250-mx\n250 STARTTLS"), ("QUIT", "221 bye")];
    for (script, policy) in [(&plain, StartTls::Offered), (&offering, StartTls::Never)] {
        let report = Play::new(script).starttls(policy).run();
        assert_eq!(report.said, ["EHLO relay.example", "QUIT"]);
        assert!(report.ready && report.fault() == &Fault::None);
    }
    // Stripped by somebody in between, say: no word about mail then.
    let report = Play::new(&plain).starttls(StartTls::Required).run();
    assert!(tls_fault(true, &report).contains("does not offer STARTTLS"));
    assert!(!report.ready && report.said == ["EHLO relay.example", "QUIT"]);
    // A server that knows no EHLO has no STARTTLS either.
    let old = [("connect", "220 mx"), ("EHLO", "502 what"), ("HELO", "250 mx"), ("QUIT", "221 b")];
    let report = Play::new(&old).starttls(StartTls::Required).run();
    assert!(tls_fault(true, &report).contains("does not offer STARTTLS") && !report.ready);
}

#[test]
fn a_refusal_ends_only_what_requires_tls() {
    for refusal in ["454 4.7.0 no entropy", "501 no", "502 no"] {
        let quit = [("QUIT", "221 bye")];
        let report = Play::new(&script(refusal, &quit)).starttls(StartTls::Offered).run();
        assert!(report.ready, "goes on in the clear after {refusal}");
        assert_eq!(report.said, ["EHLO relay.example", "STARTTLS", "QUIT"]);
        let report = Play::new(&script(refusal, &quit)).starttls(StartTls::Required).run();
        assert!(tls_fault(true, &report).contains(refusal), "{report:?}");
        assert!(!report.ready);
    }
}

#[test]
fn a_handshake_that_fails() {
    for policy in [StartTls::Offered, StartTls::Required] {
        let required = policy == StartTls::Required;
        for (answer, then) in [
            ("220 go", &[("(tls)", "fail: bad certificate")][..]),
            ("<cut><eof>", &[]),
            // Silence.
            ("<cut>", &[]),
        ] {
            let report = Play::new(&script(answer, then)).starttls(policy).run();
            let why = tls_fault(required, &report);
            assert!(!report.ready && !why.is_empty());
            assert_eq!(report.said[..2], ["EHLO relay.example", "STARTTLS"], "nothing after it");
        }
    }
}

#[test]
fn octets_behind_the_220_are_never_believed() {
    for policy in [StartTls::Offered, StartTls::Required] {
        for injected in ["220 go\n250 mx", "220 go\n250-mx<cut>", "220 go\nx<cut>"] {
            let play = Play::new(&script(injected, &[])).starttls(policy);
            let report = play.run_with(Feed::Whole);
            assert!(matches!(report.fault(), Fault::Protocol { .. }), "{report:?}");
            assert_eq!(report.odd.len(), 1);
            // One that comes later meets the handshake, and breaks it.
            let report = play.run_with(Feed::Octets);
            assert!(matches!(report.fault(), Fault::Tls { .. }), "{report:?}");
            assert!(!report.ready);
        }
    }
}

#[test]
fn senseless_answers_to_starttls() {
    for answer in ["354 go", "garbage", "220"] {
        let report = Play::new(&script(answer, &[("(tls)", "")])).starttls(StartTls::Offered).run();
        match answer {
            // A reply without text is one.
            "220" => assert!(matches!(report.fault(), Fault::Timeout(Stage::Helo))),
            _ => assert!(matches!(report.fault(), Fault::Protocol { .. }), "{answer}"),
        }
        assert!(!report.ready);
    }
}

#[test]
fn a_server_that_speaks_tls_at_once_is_known() {
    for greeting in ["\u{15}\u{3}\u{1}\0\u{2}\u{2}(", "\u{16}\u{3}\u{3}\0"] {
        let report = Play::new(&[("connect", greeting)]).starttls(StartTls::Offered).run();
        assert!(tls_fault(true, &report).contains("implicit"), "{report:?}");
    }
}

#[test]
fn the_gate_stands_before_starttls_too() {
    fn rule(stage: Stage, facts: &Facts<'_>) -> Verdict {
        assert!(!facts.tls || stage != Stage::StartTls);
        match stage {
            Stage::StartTls => Verdict::Refuse(Reply::bare(454, "not now")),
            _ => Verdict::Accept,
        }
    }
    let ehlo = "250-mx\n250 STARTTLS";
    let all = [("connect", "220 mx"), ("EHLO", ehlo), ("QUIT", "221 bye")];
    let report = Play::new(&all).starttls(StartTls::Offered).rule(rule).run();
    assert!(report.ready && report.said == ["EHLO relay.example", "QUIT"]);
    let report = Play::new(&all).starttls(StartTls::Required).rule(rule).run();
    assert!(tls_fault(true, &report).contains("454") && !report.ready);
}

#[test]
fn inside_tls_from_the_start_there_is_no_starttls() {
    let mut session = ClientSession::new(
        ClientConfig { starttls: StartTls::Required, ..config() },
        "192.0.2.25:465".parse().unwrap(),
        true,
    );
    let mut did = vec![];
    let input = b"220 mx\r\n250-mx\r\n250 STARTTLS\r\n";
    let at = input.iter().position(|b| *b == b'\n').unwrap() + 1;
    dialogue::drive(&mut session, &input[..at], Time::ZERO, &mut did);
    dialogue::drive(&mut session, &input[at..], Time::ZERO, &mut did);
    assert!(session.is_idle(), "{did:?}");
}
