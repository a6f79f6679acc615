//! Recorded clients that speak again.

use super::*;
use crate::base::Wall;
use crate::journal::Conversation;
use crate::record::tests::{session, usual};
use crate::record::{json, read, text};

/// Plays a recording against replies; gives what was sent, and the player at its end.
fn replay(recorded: &Conversation, replies: &[&str], compare: Compare) -> (String, Player) {
    replay_with(recorded, replies, &Terms { compare, ..Terms::default() })
}

/// The same, in this way; `<TLS>` stands for what is not said.
fn replay_with(recorded: &Conversation, replies: &[&str], terms: &Terms<'_>) -> (String, Player) {
    let exported = text("i7", std::slice::from_ref(recorded), Wall::from_secs(1_787_510_600));
    let export = read(&exported).unwrap();
    let (recorded, _) = choose(&export.sessions, Chosen::Usual).unwrap();
    let mut player = Player::new(recorded, terms, Time::ZERO).unwrap();
    let (mut sent, mut replies) = (String::new(), replies.iter());
    loop {
        match player.step(Time::ZERO) {
            Play::Send(octets) => sent.push_str(&String::from_utf8_lossy(&octets)),
            Play::SendSecret(octets) => sent.push_str(&String::from_utf8_lossy(octets.expose())),
            Play::StartTls => {
                sent.push_str("<TLS>");
                player.secured(Time::ZERO);
            }
            Play::LogIn => player.log_in("nonce", None),
            Play::Work => player.work(1000),
            Play::Over => return (sent, player),
            Play::Wait => match replies.next() {
                Some(reply) => player.hear(format!("{reply}\r\n").as_bytes(), Time::ZERO),
                None => player.lost("gone"),
            },
        }
    }
}

const AGAIN: [&str; 9] = [
    "220 other.example.org",
    "250 other",
    "250 2.1.0 Ok",
    "250 2.1.5 Ok",
    "550 5.7.1 Relaying denied",
    "354 Go on",
    "250 2.0.0 Ok: queued as q2B",
    "500 5.5.1 What?",
    "221 2.0.0 Bye",
];

#[test]
fn a_replay_says_the_same_and_compares_codes_or_octets() {
    let (sent, player) = replay(&usual(), &AGAIN, Compare::Code);
    assert!(sent.starts_with("EHLO client\r\nMAIL FROM:<ann@example.org> SIZE=30\r\nRCPT"));
    assert!(sent.contains("DATA\r\nSubject: ") && sent.contains("\r\n.\r\n"), "{sent}");
    assert_eq!((player.played(), player.fault()), ((9, 9), None));
    assert_eq!(player.differences(), []);
    let (_, player) = replay(&usual(), &AGAIN, Compare::Bytes);
    let differ: Vec<usize> = player.differences().iter().map(|d| d.number).collect();
    assert_eq!(differ, [0, 1, 6]);
    assert_eq!(player.differences()[2].now.as_str(), "250 2.0.0 Ok: queued as q2B");
}

#[test]
fn a_replay_sends_no_content_that_is_not_wanted_and_knows_its_end() {
    let mut refused = AGAIN.to_vec();
    refused[5] = "451 4.3.0 later";
    refused.remove(6);
    let (sent, player) = replay(&usual(), &refused, Compare::Code);
    assert!(!sent.contains("Subject:"), "{sent}");
    assert_eq!(player.differences().len(), 1);
    assert!(player.remarks().iter().any(|remark| remark.contains("not wanted")));

    let (_, player) = replay(&usual(), &AGAIN[..3], Compare::Code);
    assert_eq!((player.played(), player.fault()), ((3, 9), Some("gone")));
    let (_, player) = replay(&usual(), &["220 hi", &"250-x\r\n".repeat(2000)], Compare::Code);
    assert_eq!(player.fault(), Some("a reply without end"));

    let all = read(&text("i7", &[usual()], Wall::default())).unwrap().sessions;
    let paced = Terms { at_once: false, ..Terms::default() };
    let slow = Player::new(&all[0], &paced, Time::ZERO);
    let mut slow = slow.unwrap();
    assert_eq!(slow.step(slow.deadline()), Play::Over);
    assert_eq!(slow.fault(), Some("no reply came in two minutes"));
}

/// A login inside TLS.
fn login() -> Conversation {
    session(
        "i8",
        &[
            ("<-", b"220 mx"),
            ("->", b"EHLO me"),
            ("<-", b"250 mx"),
            ("->", b"STARTTLS"),
            ("<-", b"220 go"),
            ("~>", b"EHLO me"),
            ("<~", b"250 mx"),
            ("~>", b"AUTH LOGIN"),
            ("<~", b"334 ***"),
            ("~>", b"***"),
            ("<~", b"334 ***"),
            ("~>", b"***"),
            ("<~", b"235 in"),
            ("~>", b"NOOP"),
            ("<~", b"250 ok"),
        ],
    )
}

fn ann() -> Credentials {
    let (host, port) = ("mx.example.org".to_owned(), 25);
    Credentials { user: "ann".into(), secret: Secret::new("hunter2"), host, port }
}

#[test]
fn a_replay_keeps_its_pace_and_leaves_out_what_is_secret() {
    let all = read(&text("i8", &[login()], Wall::default())).unwrap().sessions;
    let terms = Terms { at_once: false, tls: TlsWay::None, ..Terms::default() };
    let mut player = Player::new(&all[0], &terms, Time::ZERO).unwrap();
    player.hear(b"220 hi\r\n", Time::ZERO);
    assert_eq!(player.step(Time::ZERO), Play::Wait);
    assert_eq!(player.deadline(), Time::from_micros(1000));
    assert_eq!(player.step(player.deadline()), Play::Send(b"EHLO me\r\n".to_vec()));
    assert_eq!(player.remarks().len(), 2, "{:?}", player.remarks());
    assert_eq!(player.played(), (1, 4));
    let silent = session("i9", &[("<-", b"220 mx")]);
    let all = read(&text("i9", &[silent], Wall::default())).unwrap().sessions;
    let none = Player::new(&all[0], &Terms::default(), Time::ZERO);
    assert!(none.unwrap_err().contains("nothing that the client said"));
}

#[test]
fn a_replay_takes_tls_and_logs_in_as_it_did() {
    let terms = Terms { login: Some(ann()), ..Terms::default() };
    let replies = [
        "220 mx",
        "250 mx",
        "220 go\r\n250 injected",
        "250 mx",
        "334 VXNlcm5hbWU6",
        "334 Password:",
        "535 5.7.8 no",
        "250 ok",
    ];
    let (sent, player) = replay_with(&login(), &replies, &terms);
    assert_eq!(
        sent,
        "EHLO me\r\nSTARTTLS\r\n<TLS>EHLO me\r\nAUTH LOGIN\r\nYW5u\r\naHVudGVyMg==\r\nNOOP\r\n"
    );
    assert_eq!((player.played(), player.fault()), ((6, 6), None));
    let [difference] = player.differences() else { panic!("{:?}", player.differences()) };
    assert_eq!(difference.recorded.as_str(), "235 in");
    assert_eq!(difference.now.as_str(), "535 5.7.8 no");
    assert!(player.remarks()[0].contains("do not count"), "{:?}", player.remarks());

    // TLS is refused now: what would show the password is not said in clear.
    let (sent, player) =
        replay_with(&login(), &["220 mx", "250 mx", "454 4.7.0 no", "250 mx"], &terms);
    assert!(sent.ends_with("EHLO me\r\n") && !sent.contains("AUTH"), "{sent}");
    assert!(player.fault().unwrap().contains("would show the password"));
}

#[test]
fn a_login_of_a_replay_can_be_computed_and_cancelled() {
    let scram = session(
        "i8",
        &[
            ("<~", b"220 mx"),
            ("~>", b"AUTH SCRAM-SHA-256 ***"),
            ("<~", b"334 ***"),
            ("~>", b"***"),
            ("<~", b"235 in"),
            ("~>", b"AUTH CRAM-MD5"),
            ("<~", b"504 no"),
            ("~>", b"QUIT"),
            ("<~", b"221 bye"),
        ],
    );
    let terms = Terms { login: Some(ann()), ..Terms::default() };
    let challenge = format!("334 {}", crate::auth::encode(b"r=nonce1,s=QUJD,i=4096"));
    let replies = ["220 mx", challenge.as_str(), "535 no", "221 bye"];
    let (sent, player) = replay_with(&scram, &replies, &terms);
    assert!(sent.starts_with("<TLS>AUTH SCRAM-SHA-256 "), "TLS with the first octet: {sent}");
    let proof = sent.lines().nth(1).and_then(|line| crate::auth::decode(line.as_bytes())).unwrap();
    assert!(String::from_utf8_lossy(&proof).contains("r=nonce1,p="), "{sent}");
    assert_eq!((player.played(), player.differences().len()), ((3, 3), 1));
    assert!(player.remarks()[0].contains("its mechanism is not known"));

    let (sent, player) = replay_with(&scram, &["220 mx", "334 ?", "501 no", "221 bye"], &terms);
    assert!(sent.ends_with("\r\n*\r\nQUIT\r\n"), "{sent}");
    assert!(player.remarks()[1].contains("cancelled: its challenge is not base64"));
}

#[test]
fn starttls_is_put_into_a_replay() {
    let terms = Terms { tls: TlsWay::StartTls, ..Terms::default() };
    let mut replies = vec!["220 mx", "250 mx", "220 go"];
    replies.extend(&AGAIN[1..]);
    let (sent, player) = replay_with(&usual(), &replies, &terms);
    assert!(sent.starts_with("EHLO client\r\nSTARTTLS\r\n<TLS>EHLO client\r\nMAIL "), "{sent}");
    assert_eq!((player.played(), player.differences().len()), ((11, 11), 0));

    let terms = Terms { tls: TlsWay::Implicit, ..Terms::default() };
    let (sent, _) = replay_with(&login(), &[], &terms);
    assert_eq!(sent, "<TLS>");
}

/// Two messages, the second in chunks.
fn two_messages() -> Conversation {
    session(
        "i7",
        &[
            ("<-", b"220 mx"),
            ("->", b"MAIL FROM:<> SIZE=9"),
            ("<-", b"250 ok"),
            ("->", b"DATA"),
            ("<-", b"354 go"),
            ("content", b"[9 octets of content]"),
            ("accepted", b"q1A accepted from=<> nrcpts=1 size=99"),
            ("<-", b"250 ok"),
            ("->", b"MAIL FROM:<> SIZE=9"),
            ("<-", b"250 ok"),
            ("->", b"BDAT 4"),
            ("<-", b"250 ok"),
            ("->", b"BDAT 5 LAST"),
            ("content", b"[5 octets of content]"),
            ("accepted", b"q1B accepted from=<> nrcpts=1 size=99"),
            ("<-", b"250 ok"),
        ],
    )
}

const TWO: [&str; 7] = ["220", "250", "354", "250", "250", "250", "250"];

#[test]
fn content_that_the_export_holds_is_sent_again() {
    let kept = |message: &str, octets: &[u8]| KeptContent {
        message: message.into(),
        octets: octets.to_vec(),
    };
    let contents = [kept("q1A", b"Received: x\r\na: b\r\n.c\r\n"), kept("q1B", b"123456789")];
    let exported = json("i7", &[two_messages()], &contents, Wall::default());
    let export = read(&exported).unwrap();
    assert_eq!(export.contents, contents);
    let terms = Terms { kept: &export.contents, ..Terms::default() };
    let (sent, player) = replay_with(&two_messages(), &TWO, &terms);
    // Without what the server put in front of it.
    assert!(sent.contains("DATA\r\n: b\r\n..c\r\n.\r\nMAIL"), "{sent}");
    assert!(sent.ends_with("BDAT 4\r\n1234BDAT 5 LAST\r\n56789"), "{sent}");
    assert_eq!((player.remarks().len(), player.played()), (0, (7, 7)));
    let wrong = br#"{"mailflux":1,"conversations":[],"contents":[{"message":"q1","base64":"?"}]}"#;
    assert!(read(wrong).unwrap_err().contains("the content of q1 is not base64"));
}

#[test]
fn content_that_is_given_goes_whole() {
    let terms = Terms { content: Some(b"Subject: x\r\n\r\n.\r\n"), ..Terms::default() };
    let (sent, player) = replay_with(&two_messages(), &TWO, &terms);
    assert!(sent.contains("SIZE=17\r\nDATA\r\nSubject: x\r\n\r\n..\r\n.\r\n"), "{sent}");
    assert!(sent.ends_with("BDAT 4\r\nSubjBDAT 13 LAST\r\nect: x\r\n\r\n.\r\n"), "{sent}");
    assert_eq!(player.remarks(), ["MAIL says the size of the content that is given"]);
}

/// What an export of a message has of a session with a next server: it begins with MAIL.
#[test]
fn a_part_of_a_session_is_greeted_first() {
    let part = |arrow: &'static str, back: &'static str| {
        let lines: [(&str, &[u8]); 5] = [
            ("attempt", b"q1 attempt nrcpts=1 size=9"),
            (arrow, b"MAIL FROM:<ann@example.org>"),
            (back, b"250 ok"),
            (arrow, b"RCPT TO:<bob@example.net>"),
            (back, b"451 later"),
        ];
        session("o3", &lines)
    };
    let replies = ["220 mx", "250 mx", "250 ok", "250 ok"];
    let (sent, player) = replay_with(&part("->", "<-"), &replies, &Terms::default());
    assert!(sent.starts_with("EHLO replay.invalid\r\nMAIL FROM:"), "{sent}");
    let [difference] = player.differences() else { panic!("{:?}", player.differences()) };
    assert_eq!((difference.number, player.played()), (3, (4, 4)));
    assert!(player.remarks()[0].contains("a part of a session"), "{:?}", player.remarks());

    // Inside TLS it cannot have begun so.
    let replies = ["220 mx", "250 mx", "220 go", "250 mx", "250 ok", "451 no"];
    let (sent, player) = replay_with(&part("~>", "<~"), &replies, &Terms::default());
    assert!(sent.contains("STARTTLS\r\n<TLS>EHLO replay.invalid\r\nMAIL FROM:"), "{sent}");
    assert_eq!((player.differences().len(), player.played()), (0, (6, 6)));
}

/// The secret is the token then. A server that refuses one says why in a challenge, and wants an
/// answer to it before its 535 (RFC 7628 section 3.2.3; Google's XOAUTH2 the same).
#[test]
fn a_replay_logs_in_with_a_token() {
    let recorded = |mechanism: &str| {
        let auth = format!("AUTH {mechanism} ***");
        let lines: [(&str, &[u8]); 5] = [
            ("<~", b"220 mx"),
            ("~>", auth.as_bytes()),
            ("<~", b"235 in"),
            ("~>", b"QUIT"),
            ("<~", b"221 bye"),
        ];
        session("i8", &lines)
    };
    let terms = Terms { login: Some(ann()), ..Terms::default() };
    let xoauth2 = "user=ann\x01auth=Bearer hunter2\x01\x01";
    let bearer = "n,a=ann,\x01host=mx.example.org\x01port=25\x01auth=Bearer hunter2\x01\x01";
    // What answers the challenge that says why: nothing, or one octet.
    for (mechanism, token, end) in [("XOAUTH2", xoauth2, ""), ("OAUTHBEARER", bearer, "AQ==")] {
        let recorded = recorded(mechanism);
        let (sent, player) = replay_with(&recorded, &["220 mx", "235 in", "221 bye"], &terms);
        let encoded = crate::auth::encode(token.as_bytes());
        assert_eq!(sent, format!("<TLS>AUTH {mechanism} {encoded}\r\nQUIT\r\n"));
        assert_eq!((player.differences().len(), player.played()), (0, (3, 3)));

        let why = format!("334 {}", crate::auth::encode(br#"{"status":"401"}"#));
        let replies = ["220 mx", &why, "535 5.7.8 expired", "221 bye"];
        let (sent, player) = replay_with(&recorded, &replies, &terms);
        assert!(sent.ends_with(&format!("\r\n{end}\r\nQUIT\r\n")), "{mechanism}: {sent}");
        let [difference] = player.differences() else { panic!("{:?}", player.differences()) };
        assert_eq!(difference.now.as_str(), "535 5.7.8 expired");
        assert!(!format!("{player:?}").contains("hunter2"), "{player:?}");

        // In clear it would show the token.
        let clear = Terms { tls: TlsWay::None, ..terms.clone() };
        let (sent, player) = replay_with(&recorded, &["220 mx"], &clear);
        assert_eq!(sent, "");
        assert!(player.fault().unwrap().contains("would show the password"), "{player:?}");
    }
}
