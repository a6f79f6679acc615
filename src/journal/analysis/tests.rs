//! An hour's worth of entries, small enough to be counted by hand.

use std::time::Duration;

use super::*;
use crate::journal::{Line, Mark};

const START: i64 = 1_787_510_546;

/// Entries as `seconds.milliseconds session kind text`.
fn analyst(script: &[(u64, &str, &str, &str)], from: i64) -> Analyst {
    let mut analyst = Analyst::new(Wall::from_secs(START + from));
    for (ms, id, kind, text) in script {
        let subject = match *kind {
            "opened" => Subject::Opened,
            "remark" => Subject::Remark,
            "content" => Subject::Content,
            "accepted" => Subject::Accepted,
            "attempt" => Subject::Attempt,
            "outcome" => Subject::Outcome,
            "closed" => Subject::Closed,
            _ => Subject::Line,
        };
        let line = Line {
            at: Wall::from_micros(START * 1_000_000 + *ms as i64 * 1000),
            delay: Duration::ZERO,
            sign: Sign::try_from(*kind).unwrap_or(Sign::Event),
            mark: Mark::Plain,
            text: text.as_bytes(),
            cut: false,
        };
        analyst.hear(&Entry { session: id.parse().ok(), subject, line });
    }
    analyst
}

const HOUR: &[(u64, &str, &str, &str)] = &[
    (0, "i7", "opened", "connected from 192.0.2.7:4711"),
    (1, "i7", "<-", "220 hi"),
    (2, "i7", "remark", "TLS 1.3, AES, asked for mx.example.org"),
    (3, "i7", "~>", "MAIL FROM:<ann@example.org>"),
    (5, "i7", "<~", "250 ok"),
    (6, "i7", "~>", "RCPT TO:<bob@example.net>"),
    (10, "i7", "<~", "250 ok"),
    (11, "i7", "~>", "RCPT TO:<eve@example.com>"),
    (12, "i7", "<~", "550 5.7.1 no relaying"),
    (13, "i7", "content", "[1000 octets of content]"),
    (14, "i7", "accepted", "q1 accepted from=<ann@example.org> nrcpts=1 size=1000"),
    (15, "i7", "closed", "closed: quit"),
    (16, "o1", "opened", "connected to smart (192.0.2.25:25)"),
    (17, "o1", "attempt", "q1 attempt nrcpts=1 size=1000"),
    (18, "o1", "<-", "220 hi"),
    (19, "o1", "->", "MAIL FROM:<ann@example.org>"),
    (29, "o1", "<-", "451 4.3.0 later"),
    (
        30,
        "o1",
        "outcome",
        "q1 deferred to=<bob@example.net> 451 4.3.0 later (next=smart host=a[192.0.2.25]:25)",
    ),
    (60_030, "o1", "attempt", "q1 attempt nrcpts=1 size=1000"),
    (60_040, "o1", "outcome", "q1 delivered to=<bob@example.net> 250 ok (next=smart)"),
];

#[test]
fn latency_by_stage_and_next_server() {
    let json = analyst(HOUR, 0).report(Analysis::Latency).json;
    assert_eq!(
        (&json["stages"]["mail"]["count"], &json["stages"]["mail"]["max"]),
        (&1.into(), &2.0.into())
    );
    assert_eq!(json["stages"]["rcpt"]["count"], 2);
    assert_eq!(json["next"]["smart"]["mail"]["max"], 10.0);
    assert_eq!(json["stages"]["next_mail"]["max"], 10.0);
    assert!(json["stages"]["data"].is_null());
}

#[test]
fn who_and_what_and_when() {
    let analyst = analyst(HOUR, 0);
    let row = |question| analyst.report(question).json["rows"][0].clone();
    let client = row(Analysis::Clients);
    assert_eq!(
        (&client["name"], &client["messages"], &client["rejected"]),
        (&"192.0.2.7".into(), &1.into(), &1.into())
    );
    assert_eq!((&client["count"], &client["sessions"]), (&3.into(), &1.into()));
    let lines = analyst.report(Analysis::Clients).lines;
    assert!(lines[0].starts_with("   events    sessions    messages"), "{lines:?}");
    assert_eq!(row(Analysis::Senders)["octets"], 1000);
    let recipient = row(Analysis::Recipients);
    assert_eq!((&recipient["delivered"], &recipient["deferred"]), (&1.into(), &1.into()));
    assert_eq!(row(Analysis::Pairs)["name"], "ann@example.org → bob@example.net");
    let codes = analyst.report(Analysis::Codes).json;
    assert_eq!(codes["rows"][0]["name"], "550 5.7.1 no relaying");
    assert_eq!(codes["next_reply_codes"]["451"], 1);
    assert_eq!(analyst.report(Analysis::Sizes).json["octets"], 1000);
    let retries = analyst.report(Analysis::Retries).json;
    assert_eq!(retries["done_after"][0]["attempt"], 2);
    assert_eq!(retries["deferred"][0]["name"], "smart 451 4.3.0 later");
    assert_eq!(retries["waiting"], 0);
    let busiest = analyst.report(Analysis::Busiest);
    assert_eq!(busiest.json["rows"][0]["accepted"], 1);
    assert!(busiest.lines[1].contains("█"), "{:?}", busiest.lines);
    let tls = analyst.report(Analysis::Tls);
    assert_eq!((&tls.json["in"]["tls"], &tls.json["out"]["tls"]), (&1.into(), &0.into()));
    assert_eq!(tls.json["in"]["kinds"][0]["name"], "TLS 1.3, AES");
    assert!(tls.lines[0].contains("1 of 1 sessions inside TLS (100 %)"), "{:?}", tls.lines);
}

#[test]
fn a_pair_is_a_sender_and_a_recipient_that_was_taken() {
    let script = [
        (0, "i1", "opened", "connected from 192.0.2.7:4711"),
        (1, "i1", "<-", "220 hi"),
        (2, "i1", "->", "RCPT TO:<nobody@example.net>"),
        (3, "i1", "<-", "503 5.5.1 Say EHLO first"),
        (4, "i1", "->", "MAIL FROM:<>"),
        (4, "i1", "->", "RCPT TO:<eve@example.com>"),
        (4, "i1", "->", "RCPT TO:<bob@example.net>"),
        (5, "i1", "<-", "250 ok"),
        (5, "i1", "<-", "550 no"),
        (5, "i1", "<-", "250 ok"),
    ];
    let json = analyst(&script, 0).report(Analysis::Pairs).json;
    let names: Vec<_> = json["rows"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["<> → bob@example.net"]);
}

#[test]
fn what_was_before_the_window_does_not_count_but_is_known() {
    let analyst = analyst(HOUR, 60);
    assert_eq!(analyst.report(Analysis::Senders).json["rows"].as_array().unwrap().len(), 0);
    // That it was the second attempt is known all the same.
    assert_eq!(analyst.report(Analysis::Retries).json["done_after"][0]["attempt"], 2);
    let later = super::tests::analyst(HOUR, 3600);
    assert_eq!(later.report(Analysis::Latency).lines, ["nothing is recorded of that time"]);
}

#[test]
fn hostile_entries_are_counted_or_left_alone() {
    let odd = [
        (0, "o1", "outcome", "q1"),
        (0, "o1", "outcome", "q1 delivered to=<x"),
        (0, "i1", "accepted", "q1 accepted from=<"),
        (0, "i1", "accepted", "q1 accepted from=<> nrcpts=99999999999999999999 size=x"),
        (0, "i1", "content", "[x octets"),
        (0, "i1", "->", "MAIL FROM:>x<"),
        (0, "i1", "<-", "250"),
        (0, "", "<-", "250"),
    ];
    let analyst = analyst(&odd, 0);
    for question in [Analysis::Latency, Analysis::Codes, Analysis::Retries, Analysis::Tls] {
        assert!(!analyst.report(question).lines.is_empty());
    }
}
