//! AUTH: which mechanism is taken, what goes over the wire, and whose fault what is.

use super::*;
use crate::auth::encode;

fn login(choice: Choice) -> LoginConfig {
    LoginConfig {
        user: "user".into(),
        host: "mx".into(),
        port: 25,
        choice,
        in_clear: true,
        renewable: false,
    }
}

fn auto() -> LoginConfig {
    login(Choice::Auto)
}

/// The fault, as it is shown where the next server is listed.
fn words(report: &Report) -> String {
    match report.fault() {
        Fault::Login(reply) => shown(reply),
        other => panic!("{other:?}"),
    }
}

const PLAIN: &str = "AUTH PLAIN AHVzZXIAcGVuY2ls";
const AFTER: [(&str, &str); 5] = [
    ("MAIL FROM:<s@x> AUTH=<>", "250 ok"),
    ("RCPT", "250 ok"),
    ("DATA", "354 go"),
    (".", "250 ok"),
    ("QUIT", "221 bye"),
];

#[test]
fn mail_goes_out_after_the_login() {
    let mut script = vec![(PLAIN, "235 2.7.0 welcome")];
    script.extend(AFTER);
    let play = Play::after_ehlo("AUTH LOGIN PLAIN", &script).login(auto()).order(order(&["a@y"]));
    let report = play.run();
    assert_eq!(
        report.said[..3],
        ["EHLO relay.example", "AUTH PLAIN ***", "MAIL FROM:<s@x> AUTH=<>"]
    );
    assert_eq!(report.told(), ["10 delivered 250 ok", "done"]);
    assert!(report.ready && report.fault() == &Fault::None);
}

#[test]
fn login_is_two_challenges() {
    for (first, second) in
        [("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"), ("334 Username:", "334 "), ("334", "334 x y")]
    {
        let script = [
            ("AUTH LOGIN", first),
            ("dXNlcg==", second),
            ("cGVuY2ls", "235 ok"),
            ("QUIT", "221 b"),
        ];
        let report = Play::after_ehlo("AUTH LOGIN", &script).login(auto()).run();
        assert_eq!(report.said[1..], ["AUTH LOGIN", "***", "***", "QUIT"]);
        assert!(report.ready);
    }
}

/// RFC 7677 section 3.
#[test]
fn scram_proves_both() {
    let first = format!("334 {}", encode(
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    ));
    let proof = encode(
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
          p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    );
    let good = format!("334 {}", encode(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    let forged = format!("334 {}", encode(b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    let hello = format!("AUTH SCRAM-SHA-256 {}", encode(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
    let offer = "AUTH PLAIN SCRAM-SHA-256-PLUS SCRAM-SHA-256";
    let start = [(&hello[..], &first[..]), (&proof[..], &good[..])];
    let script = [&start[..], &[("", "235 ok"), ("QUIT", "221 b")]].concat();
    // Without TLS, too: the password is not shown.
    let login = LoginConfig { in_clear: false, ..auto() };
    let report = Play::after_ehlo(offer, &script).login(login.clone()).run();
    assert!(report.ready, "{report:?}");
    let script = [start[0], (&proof, &forged), ("*", "501 ok"), ("QUIT", "221 b")];
    let report = Play::after_ehlo(offer, &script).login(login.clone()).run();
    assert!(words(&report).contains("does not prove that it knows our password"));
    // A server that leaves its proof out is somebody else.
    let script = [start[0], (&proof, "235 welcome"), ("QUIT", "221 b")];
    let report = Play::after_ehlo(offer, &script).login(login.clone()).run();
    assert!(words(&report).contains("before it has proven itself") && !report.ready);
}

#[test]
fn channel_binding_is_used_where_there_is_one() {
    let offer = "250-mx\n250 AUTH SCRAM-SHA-256 SCRAM-SHA-256-PLUS PLAIN";
    let gs2 = encode(b"p=tls-exporter,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let hello = format!("AUTH SCRAM-SHA-256-PLUS {gs2}");
    let script = [
        ("connect", "220 mx"),
        ("EHLO", "250-mx\n250-AUTH PLAIN\n250 STARTTLS"),
        ("STARTTLS", "220 go"),
        ("(tls)", ""),
        ("EHLO", offer),
        (&hello, "535 5.7.8 no"),
        ("QUIT", "221 b"),
    ];
    let play = Play::new(&script).starttls(StartTls::Required).login(auto()).bound([7; 32]);
    assert!(words(&play.run()).starts_with("535 5.7.8 no (check user and password"));
}

#[test]
fn the_password_is_not_shown_without_tls() {
    let login = |choice| LoginConfig { in_clear: false, ..login(choice) };
    for choice in [Choice::Auto, Choice::Only(Mechanism::Login), Choice::Only(Mechanism::Xoauth2)] {
        let script = [("QUIT", "221 b")];
        let offer = "AUTH PLAIN LOGIN XOAUTH2";
        let report = Play::after_ehlo(offer, &script).login(login(choice)).run();
        assert_eq!(report.said, ["EHLO relay.example", "QUIT"]);
        let words = words(&report);
        assert!(words.contains("offers PLAIN LOGIN XOAUTH2 without TLS"), "{words}");
        assert!(words.contains("auth_in_clear") && !report.ready);
    }
}

#[test]
fn what_is_not_in_common_is_named() {
    for (offer, choice, expected) in [
        ("", Choice::Auto, "the server offers no AUTH without TLS"),
        ("AUTH", Choice::Auto, "the server offers no AUTH without TLS"),
        (
            "AUTH CRAM-MD5 NTLM\nAUTH GSSAPI",
            Choice::Auto,
            "no mechanism of AUTH in common: the server offers CRAM-MD5 NTLM GSSAPI, our setting \
             auth allows SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN",
        ),
        // A token must be asked for: auto means a password.
        ("AUTH XOAUTH2", Choice::Auto, "no mechanism of AUTH in common: the server offers XOAUTH2"),
        ("AUTH PLAIN", Choice::Only(Mechanism::Login), "our setting auth allows LOGIN"),
        ("AUTH SCRAM-SHA-256-PLUS", Choice::Auto, "no mechanism of AUTH in common"),
    ] {
        let report = Play::after_ehlo(offer, &[("QUIT", "221 b")]).login(login(choice)).run();
        assert!(words(&report).contains(expected), "{report:?}");
        assert_eq!(report.said, ["EHLO relay.example", "QUIT"]);
    }
    // Who knows no EHLO knows no AUTH.
    let old = [("connect", "220 mx"), ("EHLO", "502 what"), ("HELO", "250 mx"), ("QUIT", "221 b")];
    assert!(words(&Play::new(&old).login(auto()).run()).contains("offers no AUTH"));
}

#[test]
fn a_refusal_has_the_words_of_the_server_and_a_hint() {
    for (reply, expected) in [
        ("535 5.7.8 go away", "535 5.7.8 go away (check user and password of this next server)"),
        ("535-5.7.8 see\n535 5.7.8 https://x", "535 5.7.8 see https://x (check"),
        ("454 4.7.0 later", "454 4.7.0 later (it may be well later)"),
        ("534 5.7.9 app", "534 5.7.9 app (see auth, user and password of this next server)"),
        ("530 5.7.0 tls", "530 5.7.0 tls (see auth"),
    ] {
        let script = [(PLAIN, reply), ("QUIT", "221 b")];
        let play = Play::after_ehlo("AUTH PLAIN", &script).login(auto()).order(order(&["a@y"]));
        let report = play.run();
        assert!(words(&report).starts_with(expected), "{report:?}");
        assert!(report.told.is_empty() && !report.ready);
    }
}

#[test]
fn a_newer_secret_is_tried_once() {
    let ink = "AUTH PLAIN AHVzZXIAaW5r";
    let login = LoginConfig { renewable: true, ..auto() };
    let script = [(PLAIN, "535 old"), (ink, "235 ok"), ("QUIT", "221 b")];
    assert!(Play::after_ehlo("AUTH PLAIN", &script).login(login.clone()).run().ready);
    let script = [(PLAIN, "535 old"), (ink, "535 wrong"), ("QUIT", "221 b")];
    let report = Play::after_ehlo("AUTH PLAIN", &script).login(login.clone()).run();
    assert!(words(&report).starts_with("535 wrong ("));
    // Other refusals are not about the secret.
    let script = [(PLAIN, "534 no"), ("QUIT", "221 b")];
    let report = Play::after_ehlo("AUTH PLAIN", &script).login(login).run();
    assert!(words(&report).starts_with("534 no ("));
}

/// RFC 7628 section 3.2.3.
#[test]
fn a_refused_token_says_why() {
    let json = encode(br#"{"status":"401"}"#);
    let challenge = format!("334 {json}");
    let token = encode(b"user=user\x01auth=Bearer pencil\x01\x01");
    let hello = format!("AUTH XOAUTH2 {token}");
    let script = [
        (&hello[..], &challenge[..]),
        ("", "535 5.7.8 Username and Password not accepted"),
        ("QUIT", "221 b"),
    ];
    let login = login(Choice::Only(Mechanism::Xoauth2));
    let report = Play::after_ehlo("AUTH XOAUTH2", &script).login(login).run();
    let words = words(&report);
    assert!(words.contains(r#"not accepted {"status":"401"} (check user"#), "{words}");
    assert_eq!(report.said, ["EHLO relay.example", "AUTH XOAUTH2 ***", "***", "QUIT"]);
}

/// RFC 4954 section 4: what is too long for a command waits for the challenge.
#[test]
fn a_long_token_is_not_an_initial_response() {
    let login = LoginConfig { user: "u".repeat(400), ..login(Choice::Only(Mechanism::Xoauth2)) };
    let script = [("AUTH XOAUTH2", "334 "), ("dXNlcj11dXV1", "235 ok"), ("QUIT", "221 b")];
    let report = Play::after_ehlo("AUTH XOAUTH2", &script).login(login.clone()).run();
    assert_eq!(report.said[1..], ["AUTH XOAUTH2", "***", "QUIT"]);
    assert!(report.ready);
    let script = [("AUTH XOAUTH2", "235 already?"), ("QUIT", "221 b")];
    let report = Play::after_ehlo("AUTH XOAUTH2", &script).login(login).run();
    assert!(words(&report).contains("before it has proven itself"));
}

#[test]
fn a_server_that_makes_no_sense_is_left() {
    for (answer, cancelled) in [("334 ***", true), ("334 QQ==", true)] {
        let mut script = vec![(PLAIN, answer)];
        script.extend(if cancelled { vec![("*", "501 ok")] } else { vec![] });
        script.push(("QUIT", "221 b"));
        let report = Play::after_ehlo("AUTH PLAIN", &script).login(auto()).run();
        assert!(words(&report).contains("login cancelled"), "{report:?}");
    }
    let report = Play::after_ehlo("AUTH PLAIN", &[(PLAIN, "354 go")]).login(auto()).run();
    assert!(matches!(report.fault(), Fault::Protocol { in_transaction: false, .. }));
    for (answer, fault) in [("421 bye", "going away"), ("", "silent"), ("<eof>", "lost")] {
        let report = Play::after_ehlo("AUTH PLAIN", &[(PLAIN, answer)]).login(auto()).run();
        assert!(report.fault().to_string().contains(fault), "{report:?}");
        assert!(!report.ready && !report.fault().in_transaction());
    }
}

#[test]
fn the_gate_stands_before_auth() {
    let play = Play::after_ehlo("AUTH PLAIN", &[("QUIT", "221 b")]).login(auto());
    let report = play
        .rule(|stage, _| match stage {
            Stage::Auth => Verdict::Refuse(Reply::bare(454, "not now")),
            _ => Verdict::Accept,
        })
        .run();
    assert_eq!(words(&report), "454 not now");
    assert_eq!(report.said, ["EHLO relay.example", "QUIT"]);
}

#[test]
fn without_a_secret_there_is_no_login() {
    let mut session = ClientSession::new(
        ClientConfig { login: Some(auto()), ..config() },
        PEER.parse().unwrap(),
        false,
    );
    let mut replies = [&b"220 mx\r\n"[..], b"250-mx\r\n250 AUTH PLAIN\r\n"].into_iter();
    let mut input = vec![];
    let fault = loop {
        let (taken, action) = session.step(&input, Time::ZERO);
        input.drain(..taken);
        match action {
            Action::Ask(_) => session.verdict(Verdict::Accept, Time::ZERO),
            Action::Secret { fresh } => {
                assert!(!fresh && session.awaits_secret() && session.deadline() == Time::NEVER);
                session.secret(Err("no such file".into()), "", Time::ZERO);
            }
            Action::Read => input.extend_from_slice(replies.next().unwrap()),
            Action::Send(_) | Action::Heard(..) => {}
            Action::Close(fault) => break fault,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fault.to_string(), "cannot log in: 451 4.7.0 no such file");
}

const PEER: &str = "192.0.2.25:25";
