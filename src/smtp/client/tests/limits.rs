//! What a server cannot take: by size, by kind, by number.

use super::*;
use crate::base::Enhanced;

#[test]
fn too_large_for_the_server_fails_at_once() {
    let told = |extensions: &str| {
        Play::after_ehlo(extensions, &[("QUIT", "221 bye")]).order(order(&["a@x", "b@x"])).run()
    };
    let report = told("SIZE 999");
    let why = "failed 552 5.3.4 the next server takes 999 octets, the message has 1000";
    assert_eq!(report.told(), [&format!("10 {why}"), &format!("11 {why}"), "done"]);
    assert_eq!(report.said, ["EHLO relay.example", "QUIT"]);
    for fits in ["SIZE 1000", "SIZE 0", "SIZE", "SIZE x"] {
        let script = [("MAIL FROM:<s@x> SIZE=1000", "450 later"), ("QUIT", "221 bye")];
        let report = Play::after_ehlo(fits, &script).order(order(&["a@x"])).run();
        assert_eq!(report.told(), ["10 deferred 450 later", "done"]);
    }
}

#[test]
fn nothing_is_converted() {
    let mut eight = order(&["a@x"]);
    eight.body = BodyType::EightBitMime;
    let mut utf8 = order(&["a@x"]);
    utf8.utf8 = true;
    let mut sender = order(&["a@x"]);
    sender.from = Some(Address::parse("ü@x").unwrap());
    for (order, offered, code, enhanced) in [
        (eight, "SMTPUTF8", "554", Enhanced(5, 6, 3)),
        (utf8.clone(), "8BITMIME", "550", Enhanced(5, 6, 7)),
        (sender, "8BITMIME", "550", Enhanced(5, 6, 7)),
        (self::order(&["ü@x"]), "8BITMIME", "550", Enhanced(5, 6, 7)),
    ] {
        let report = Play::after_ehlo(offered, &[("QUIT", "221 bye")]).order(order).run();
        assert!(
            report.told()[0].starts_with(&format!("10 failed {code} {enhanced} ")),
            "{report:?}"
        );
        assert_eq!((report.said.len(), report.fault()), (2, &Fault::None));
    }
    // After HELO nothing is offered.
    let script =
        [("connect", "220 mx"), ("EHLO", "502 no"), ("HELO", "250 mx"), ("QUIT", "221 bye")];
    let report = Play::new(&script).order(utf8).run();
    assert!(report.told()[0].starts_with("10 failed 550 5.6.7"));
}

#[test]
fn a_message_that_does_not_fit_leaves_the_session_to_others() {
    let mut large = order(&["a@x"]);
    large.size = 5000;
    let script =
        [("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go"), (".", "250 ok"), ("QUIT", "")];
    let report = Play::after_ehlo("SIZE 2000", &script).order(large).order(order(&["b@x"])).run();
    assert!(report.told[0][0].starts_with("10 failed 552"));
    assert_eq!(report.told[1], ["10 delivered 250 ok", "done"]);
}

#[test]
fn nobody_to_send_to_is_done_at_once() {
    let report = Play::after_ehlo("", &[("QUIT", "221 bye")]).order(order(&[])).run();
    assert_eq!((report.told(), report.said.len()), (vec!["done"], 2));
}

#[test]
fn too_many_recipients_are_tried_again_and_not_deferred() {
    for reply in ["452 too many", "452 4.5.3 too many", "552 too many", "552 5.5.3 too many"] {
        let script = [
            ("MAIL", "250 ok"),
            ("RCPT", "550 no"),
            ("RCPT", "250 ok"),
            ("RCPT", reply),
            ("DATA", "354 go"),
            (".", "250 ok"),
            ("QUIT", "221 bye"),
        ];
        let to = ["a@x", "b@x", "c@x", "d@x"];
        let report = Play::after_ehlo("", &script).order(order(&to)).run();
        let told = ["10 failed 550 no", "12 untried", "11 delivered 250 ok", "13 untried", "done"];
        assert_eq!(report.told(), told, "{reply}");
        // Pipelined, the following are on their way already, and each has a reply of its own.
        let script = [
            ("MAIL", "250 ok"),
            ("RCPT", "250 ok"),
            ("RCPT", reply),
            ("RCPT", "550 no"),
            ("RCPT", "250 ok"),
            ("DATA", "354 go"),
            (".", "250 ok"),
            ("QUIT", "221 bye"),
        ];
        let report = Play::after_ehlo("PIPELINING", &script).order(order(&to)).run();
        let told = [
            "11 untried",
            "12 failed 550 no",
            "10 delivered 250 ok",
            "13 delivered 250 ok",
            "done",
        ];
        assert_eq!(report.told(), told, "{reply}");
    }
}

#[test]
fn a_limit_needs_an_accepted_recipient() {
    for (reply, word) in [("452 4.5.3 too many", "deferred"), ("552 too many", "failed")] {
        let script = [
            ("MAIL", "250 ok"),
            ("RCPT", reply),
            ("RCPT", "250 ok"),
            ("DATA", "354 go"),
            (".", "250 ok"),
            ("QUIT", "221 bye"),
        ];
        let report = Play::after_ehlo("", &script).order(order(&["a@x", "b@x"])).run();
        assert_eq!(report.told(), [&format!("10 {word} {reply}"), "11 delivered 250 ok", "done"]);
    }
}

#[test]
fn a_full_mailbox_is_no_limit() {
    for (reply, word) in [
        ("452 4.2.2 mailbox full", "deferred"),
        ("552 5.2.2 mailbox full", "failed"),
        ("552 5.3.4 too big for you", "failed"),
        ("450 4.5.3 x", "deferred"),
    ] {
        let script = [
            ("MAIL", "250 ok"),
            ("RCPT", "250 ok"),
            ("RCPT", reply),
            ("RCPT", "250 ok"),
            ("DATA", "354 go"),
            (".", "250 ok"),
            ("QUIT", "221 bye"),
        ];
        let report = Play::after_ehlo("", &script).order(order(&["a@x", "b@x", "c@x"])).run();
        let told =
            [&format!("11 {word} {reply}"), "10 delivered 250 ok", "12 delivered 250 ok", "done"];
        assert_eq!(report.told(), told);
    }
}

#[test]
fn a_limit_in_one_slice_stops_the_next() {
    let label = "x".repeat(60);
    let to: Vec<String> = (0..200).map(|n| format!("{n}@{label}.{label}.{label}.org")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let play = Play::after_ehlo("PIPELINING", &[]);
    let whole = play.order(order(&to)).run_with(Feed::Whole);
    let first_slice = whole.said[1].matches("RCPT").count();
    assert!(first_slice < 200);
    let mut script = vec![("MAIL", "250 ok"), ("RCPT", "250 ok")];
    script.extend(vec![("RCPT", "452 4.5.3 too many"); first_slice - 1]);
    script.extend([("DATA", "354 go"), (".", "250 ok"), ("QUIT", "")]);
    let report = Play::after_ehlo("PIPELINING", &script).order(order(&to)).run();
    assert_eq!(report.told().iter().filter(|t| t.ends_with("untried")).count(), 199);
    assert!(report.told().contains(&"10 delivered 250 ok"));
    assert_eq!(report.said[2], "DATA");
}

#[test]
fn rcptmax_and_mailmax() {
    for extensions in ["LIMITS RCPTMAX=2 MAILMAX=2", "PIPELINING\nLIMITS MAILMAX=2 RCPTMAX=2"] {
        let one = [
            ("MAIL", "250 ok"),
            ("RCPT", "550 no"),
            ("RCPT", "250 ok"),
            ("DATA", "354 go"),
            (".", "250 ok"),
        ];
        let script = [&one[..], &one[..], &[("QUIT", "221 bye")]].concat();
        let three = order(&["a@x", "b@x", "c@x"]);
        let play = Play::after_ehlo(extensions, &script).order(three.clone()).order(three.clone());
        let report = play.order(three).run();
        // The third message is not begun: the session quits by itself.
        assert_eq!(
            report.told,
            vec![vec!["10 failed 550 no", "11 delivered 250 ok", "12 untried", "done"]; 2]
        );
        assert_eq!((report.said.last().unwrap().as_str(), report.fault()), ("QUIT", &Fault::None));
    }
}

#[test]
fn a_refused_transaction_beyond_rcptmax() {
    let to = ["a@x", "b@x", "c@x"];
    // All that were tried are refused: the others have not had their turn.
    let script = [("MAIL", "250 ok"), ("RCPT", "450 no"), ("RSET", "250 ok"), ("QUIT", "221 bye")];
    let report = Play::after_ehlo("LIMITS RCPTMAX=1", &script).order(order(&to)).run();
    assert_eq!(report.told(), ["10 deferred 450 no", "11 untried", "12 untried", "done"]);
    // The sender is refused: that is everybody's.
    let script = [("MAIL", "550 no"), ("QUIT", "221 bye")];
    let report = Play::after_ehlo("LIMITS RCPTMAX=1", &script).order(order(&to)).run();
    assert_eq!(report.told().iter().filter(|t| t.ends_with("failed 550 no")).count(), 3);
    // The message is refused: only for those it was offered for.
    let script =
        [("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go"), (".", "554 no"), ("QUIT", "")];
    let report = Play::after_ehlo("LIMITS RCPTMAX=1", &script).order(order(&to)).run();
    assert_eq!(report.told(), ["10 failed 554 no", "11 untried", "12 untried", "done"]);
}

#[test]
fn limits_rcptdomainmax() {
    let script = [
        ("MAIL", "250 ok"),
        ("RCPT TO:<a@x>", "250 ok"),
        ("RCPT TO:<b@y>", "250 ok"),
        ("RCPT TO:<c@X>", "250 ok"),
        ("DATA", "354 go"),
        (".", "250 ok"),
        ("MAIL", "250 ok"),
        ("RCPT TO:<d@z>", "250 ok"),
        ("RCPT TO:<postmaster>", "250 ok"),
        ("DATA", "354 go"),
        (".", "250 ok"),
        ("QUIT", "221 bye"),
    ];
    let (first, second) = (order(&["a@x", "b@y", "d@z", "c@X"]), order(&["d@z", "postmaster"]));
    for pipelining in ["", "PIPELINING\n"] {
        let offered = format!("{pipelining}LIMITS RCPTDOMAINMAX=2");
        let play = Play::after_ehlo(&offered, &script).order(first.clone()).order(second.clone());
        let report = play.run();
        let delivered = |n: u32| format!("{n} delivered 250 ok");
        let told = [&delivered(10), &delivered(11), "12 untried", &delivered(13), "done"];
        assert_eq!(report.told[0], told);
        assert_eq!(report.told[1], [&delivered(10), &delivered(11), "done"]);
    }
}
