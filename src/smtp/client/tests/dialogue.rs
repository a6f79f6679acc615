//! Good servers: what is said in which order.

use super::*;
use crate::base::{Notify, Ret};

#[test]
fn one_message_step_by_step() {
    let report = Play::after_ehlo(
        "",
        &[
            ("MAIL FROM:<s@x>", "250 2.1.0 Ok"),
            ("RCPT TO:<a@x>", "250 2.1.5 Ok"),
            ("RCPT TO:<b@x>", "251 2.1.5 will forward"),
            ("DATA", "354 go"),
            (".", "250 2.0.0 queued as 1"),
            ("QUIT", "221 bye"),
        ],
    )
    .order(order(&["a@x", "b@x"]))
    .run();
    assert_eq!(
        report.said,
        ["EHLO relay.example", "MAIL FROM:<s@x>", "RCPT TO:<a@x>", "RCPT TO:<b@x>", "DATA", "QUIT"]
    );
    assert_eq!(
        report.told(),
        ["10 delivered 250 2.0.0 queued as 1", "11 delivered 250 2.0.0 queued as 1", "done"]
    );
    assert!(report.ready && report.odd.is_empty());
    assert_eq!(report.fault(), &Fault::None);
}

#[test]
fn pipelined_in_one_group() {
    let report = Play::after_ehlo(
        "PIPELINING",
        &[
            ("MAIL", "250 ok"),
            ("RCPT TO:<a@x>", "250 ok"),
            ("RCPT TO:<b@x>", "550 5.1.1 no"),
            ("DATA", "354-go\n354 on"),
            (".", "250 ok"),
            ("QUIT", "221 bye"),
        ],
    )
    .order(order(&["a@x", "b@x"]))
    .run();
    let group = "MAIL FROM:<s@x> + RCPT TO:<a@x> + RCPT TO:<b@x> + DATA";
    assert_eq!(report.said, ["EHLO relay.example", group, "QUIT"]);
    assert_eq!(report.told(), ["11 failed 550 5.1.1 no", "10 delivered 250 ok", "done"]);
}

#[test]
fn many_messages_need_no_rset_between() {
    let one = [("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go"), (".", "250 ok")];
    let script = [one, one, one].concat();
    let play = Play::after_ehlo("", &script);
    let report = play.order(order(&["a@x"])).order(order(&["b@x"])).order(order(&["c@x"])).run();
    assert_eq!(report.told, vec![vec!["10 delivered 250 ok", "done"]; 3]);
    assert_eq!(report.said.len(), 1 + 3 * 3 + 1);
    assert!(!report.said.contains(&"RSET".to_string()));
    // The server never answered QUIT: that is nobody's fault.
    assert_eq!(report.fault(), &Fault::None);
}

#[test]
fn chunking_waits_for_the_recipients() {
    for (extensions, said) in [
        ("CHUNKING", vec!["MAIL FROM:<s@x>", "RCPT TO:<a@x>", "RCPT TO:<b@x>"]),
        ("PIPELINING\nCHUNKING", vec!["MAIL FROM:<s@x> + RCPT TO:<a@x> + RCPT TO:<b@x>"]),
    ] {
        let report = Play::after_ehlo(
            extensions,
            &[
                ("MAIL", "250 ok"),
                ("RCPT", "450 4.2.1 later"),
                ("RCPT", "250 ok"),
                ("BDAT 1000 LAST", ""),
                (".", "250 2.0.0 1000 octets received"),
                ("QUIT", "221 bye<eof>"),
            ],
        )
        .order(order(&["a@x", "b@x"]))
        .run();
        assert_eq!(report.said[1..report.said.len() - 2], said);
        assert_eq!(report.said[report.said.len() - 2..], ["BDAT 1000 LAST", "QUIT"]);
        assert_eq!(
            report.told(),
            ["10 deferred 450 4.2.1 later", "11 delivered 250 2.0.0 1000 octets received", "done"]
        );
    }
}

#[test]
fn a_bdat_refused_is_followed_by_rset() {
    let report = Play::after_ehlo(
        "PIPELINING\nCHUNKING",
        &[
            ("MAIL", "250 ok"),
            ("RCPT", "250 ok"),
            ("BDAT", ""),
            (".", "554 5.6.0 no"),
            ("RSET", "250 ok"),
            ("QUIT", "221 bye"),
        ],
    )
    .order(order(&["a@x"]))
    .run();
    assert_eq!(report.told(), ["10 failed 554 5.6.0 no", "done"]);
}

#[test]
fn helo_when_ehlo_is_not_known() {
    for refusal in ["500 what", "501 no", "502 no", "504 no", "550 no", "554 no"] {
        let report = Play::new(&[
            ("connect", "220 old"),
            ("EHLO", refusal),
            ("HELO relay.example", "250-old\n250 PIPELINING"),
            ("MAIL FROM:<s@x>", "250 ok"),
            ("RCPT", "250 ok"),
            ("DATA", "354 go"),
            (".", "250 ok"),
            ("QUIT", "221 bye"),
        ])
        .order(order(&["a@x"]))
        .run();
        assert_eq!(report.told(), ["10 delivered 250 ok", "done"]);
        // What a reply to HELO lists is not offered.
        assert!(report.said.contains(&"MAIL FROM:<s@x>".to_string()));
    }
}

fn said_with(extensions: &str, order: Transaction) -> String {
    let script =
        [("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go"), (".", "250 ok"), ("QUIT", "")];
    let report = Play::after_ehlo(extensions, &script).order(order).run();
    report.said[1..3].join(" + ")
}

#[test]
fn parameters_only_where_offered() {
    let mut full = order(&["a@x"]);
    full.envid = Some("QQ314159".into());
    full.ret = Some(Ret::Headers);
    full.recipients[0].1.notify = Notify::When { success: true, failure: true, delay: false };
    full.recipients[0].1.orcpt = Some("rfc822;A@x".into());
    assert_eq!(said_with("", full.clone()), "MAIL FROM:<s@x> + RCPT TO:<a@x>");
    assert_eq!(said_with("SIZE", full.clone()), "MAIL FROM:<s@x> SIZE=1000 + RCPT TO:<a@x>");
    assert_eq!(
        said_with("DSN", full.clone()),
        "MAIL FROM:<s@x> RET=HDRS ENVID=QQ314159 + \
         RCPT TO:<a@x> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;A@x"
    );
    full.body = BodyType::EightBitMime;
    full.ret = Some(Ret::Full);
    full.recipients[0].1.notify = Notify::Never;
    full.utf8 = true;
    assert_eq!(
        said_with("8BITMIME\nSMTPUTF8\nDSN\nSIZE 1000", full.clone()),
        "MAIL FROM:<s@x> SIZE=1000 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=QQ314159 + \
         RCPT TO:<a@x> NOTIFY=NEVER ORCPT=rfc822;A@x"
    );
    let mut bounce = order(&["ü@x"]);
    bounce.from = None;
    assert_eq!(said_with("SMTPUTF8\nDSN", bounce), "MAIL FROM:<> SMTPUTF8 + RCPT TO:<ü@x>");
}

#[test]
fn no_parameter_can_smuggle_a_command() {
    let mut evil = order(&["a@x"]);
    for value in ["a\r\nRCPT TO:<evil@x>", "a b", "a\0", "a\x7f", ""] {
        evil.envid = Some(value.into());
        evil.recipients[0].1.orcpt = Some(value.into());
        evil.recipients[0].1.notify = Notify::When { success: false, failure: false, delay: false };
        assert_eq!(said_with("DSN", evil.clone()), "MAIL FROM:<s@x> + RCPT TO:<a@x>");
    }
    // RFC 6533 section 3: UTF-8 in ORCPT belongs to SMTPUTF8 transactions.
    evil.recipients[0].1.orcpt = Some("utf-8;ü@x".into());
    assert_eq!(said_with("DSN", evil.clone()), "MAIL FROM:<s@x> + RCPT TO:<a@x>");
    evil.utf8 = true;
    assert!(said_with("DSN\nSMTPUTF8", evil).ends_with("ORCPT=utf-8;ü@x"));
}

#[test]
fn success_is_relayed_only_where_the_server_lacks_dsn() {
    let mut asked = order(&["a@x", "b@x", "c@x"]);
    asked.recipients[0].1.notify = Notify::When { success: true, failure: true, delay: false };
    asked.recipients[1].1.notify = Notify::When { success: true, failure: true, delay: false };
    let script = [
        ("MAIL", "250 ok"),
        ("RCPT", "250 ok"),
        ("RCPT", "550 no"),
        ("RCPT", "250 ok"),
        ("DATA", "354 go"),
        (".", "250 ok"),
        ("QUIT", "221 bye"),
    ];
    let told = |extensions| Play::after_ehlo(extensions, &script).order(asked.clone()).run().told;
    let with = ["11 failed 550 no", "10 delivered 250 ok", "12 delivered 250 ok", "done"];
    assert_eq!(told("DSN"), [with]);
    let without =
        ["11 failed 550 no", "10 delivered 250 ok (relayed)", "12 delivered 250 ok", "done"];
    assert_eq!(told(""), [without]);
}

#[test]
fn the_first_digit_decides() {
    let report = Play::new(&[
        ("connect", "250 odd but friendly"),
        ("EHLO", "200 fine"),
        ("MAIL", "299 ok"),
        ("RCPT", "252 perhaps"),
        ("DATA", "354 go"),
        (".", "200 ok"),
        ("QUIT", "221 bye"),
    ])
    .order(order(&["a@x"]))
    .run();
    assert_eq!(report.told(), ["10 delivered 200 ok", "done"]);
}

#[test]
fn a_thousand_recipients_go_in_slices_and_each_is_answered_before_the_next() {
    let addresses: Vec<String> =
        (0..1000).map(|n| format!("recipient-{n:04}@example.org")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut script = vec![("MAIL", "250 ok")];
    script.extend(addresses.iter().map(|_| ("RCPT", "250 ok")));
    script.extend([("DATA", "354 go"), (".", "250 ok"), ("QUIT", "")]);
    let report = Play::after_ehlo("PIPELINING", &script).order(order(&addresses)).run();
    assert_eq!(report.told().iter().filter(|t| t.ends_with("delivered 250 ok")).count(), 1000);
    let groups = &report.said[1..report.said.len() - 1];
    assert!((2..=4).contains(&groups.len()));
    assert!(groups.iter().all(|g| g.len() < transaction::SLICE + 600));
    assert!(groups.last().unwrap().ends_with(" + DATA"));
}

#[test]
fn quit_waits_for_the_transaction_and_ends_an_idle_session() {
    let mut session = ClientSession::new(config(), "192.0.2.25:25".parse().unwrap(), false);
    let now = Time::ZERO;
    assert_eq!(session.step(b"", now), (0, Action::Ask(Stage::Connect)));
    // Before anything is known of the server: at once, also at the gate.
    session.quit(now);
    assert_eq!(session.step(b"", now), (0, Action::Close(Fault::None)));
    let server = ["", "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "", "250 ok\r\n", "221 bye\r\n"];
    let all = ["MAIL FROM:<s@x>", "RCPT TO:<a@x>", "DATA", "transmit", ".", "10", "done"];
    for quit_at in 0..=server.len() {
        let mut session = ready(now);
        session.begin(order(&["a@x"]), now);
        let mut did = vec![];
        for (i, line) in server.into_iter().enumerate() {
            if i == quit_at {
                session.quit(now);
            }
            if i == 4 {
                session.transmitted(now);
            }
            if i < 6 || quit_at <= 6 {
                drive(&mut session, line.as_bytes(), now, &mut did);
            }
        }
        let (begun, end) = did.split_at(all.len());
        assert_eq!(begun, all);
        assert_eq!(end.join(" "), if quit_at <= 6 { "QUIT close" } else { "" }, "{quit_at}");
        assert_eq!(session.is_idle(), quit_at > 6, "{quit_at}");
    }
}

#[test]
fn ready_comes_once_and_before_any_message() {
    let mut session = ClientSession::new(config(), "192.0.2.25:25".parse().unwrap(), false);
    drive(&mut session, b"220 mx\r\n", Time::ZERO, &mut vec![]);
    let ehlo = b"250-mx\r\n250 DSN\r\n";
    assert_eq!(session.step(ehlo, Time::ZERO).0, ehlo.len());
    assert!(!session.is_idle());
    assert_eq!(session.step(b"", Time::ZERO), (0, Action::Ready));
    assert!(session.is_idle() && session.extensions().dsn && session.message().is_none());
    assert_eq!(session.step(b"", Time::ZERO), (0, Action::Read));
    session.begin(order(&["a@x"]), Time::ZERO);
    assert_eq!(session.message(), Some(MessageId { counter: 1, arrived: 0 }));
}

/// A session that is idle after EHLO without extensions.
pub fn ready(now: Time) -> ClientSession {
    let mut session = ClientSession::new(config(), "192.0.2.25:25".parse().unwrap(), false);
    let mut sent = vec![];
    drive(&mut session, b"220 mx\r\n", now, &mut sent);
    drive(&mut session, b"250 mx\r\n", now, &mut sent);
    assert!(session.is_idle());
    session
}

/// Feeds the input and accepts all until the machine wants more; notes what it did.
pub fn drive(session: &mut ClientSession, mut input: &[u8], now: Time, did: &mut Vec<String>) {
    loop {
        let (n, action) = session.step(input, now);
        input = &input[n..];
        did.push(match action {
            Action::Read => return,
            Action::Ask(_) => {
                session.verdict(Verdict::Accept, now);
                continue;
            }
            Action::Send(octets) => String::from_utf8(octets).unwrap().trim_end().into(),
            Action::Heard(..) | Action::Garbage(_) | Action::Ready => continue,
            Action::StartTls => "starttls".into(),
            Action::SendSecret { .. } | Action::Secret { .. } | Action::Work => "auth".into(),
            Action::Transmit(_) => "transmit".into(),
            Action::Dot => ".".into(),
            Action::Outcome { recipient, .. } => recipient.to_string(),
            Action::Untried(recipient) => format!("untried {recipient}"),
            Action::Done => "done".into(),
            Action::Close(_) => {
                did.push("close".into());
                return;
            }
        });
    }
}
