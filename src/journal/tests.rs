//! The journal as its users see it: events in, what each subscriber made of them out.

use super::*;
use crate::base::{Address, Enhanced, MessageId, Reply, Wall};

fn now(ms: u64) -> Now {
    let wall = Wall::from_micros(1_787_510_546_000_000 + ms as i64 * 1000);
    Now { time: Time::from_micros(ms * 1000), wall }
}

fn journal() -> Journal {
    Journal::new(JournalConfig::default(), now(0))
}

/// Notes a line for session `id`: `C: …`, `S: …`.
fn line(journal: &mut Journal, ms: u64, id: &str, text: &str) {
    let (side, text) = text.split_at(3);
    let side = if side == "C: " { Side::Client } else { Side::Server };
    let what = What::Line { side, tls: false, text: text.as_bytes(), mark: Mark::Plain };
    note(journal, ms, id, what);
}

fn note(journal: &mut Journal, ms: u64, id: &str, what: What<'_>) {
    let message = Some(MessageId { arrived: 1_787_510_546, counter: 26 });
    let message = message.filter(|_| !matches!(what, What::Line { .. } | What::Opened { .. }));
    journal.note(&Event { now: now(ms), session: id.parse().ok(), message, what });
}

fn open(journal: &mut Journal, id: &str) {
    let peer = "192.0.2.7:4711".parse().unwrap();
    note(journal, 0, id, What::Opened { peer, next: None });
}

/// A message comes in by i1 and goes out by o1.
fn conversation(journal: &mut Journal) {
    let from = Address::parse("a@b").unwrap();
    let to = Address::parse("c@d").unwrap();
    open(journal, "i1");
    line(journal, 1, "i1", "S: 220 mx ESMTP");
    line(journal, 10, "i1", "C: EHLO x");
    line(journal, 12, "i1", "S: 250-mx");
    line(journal, 12, "i1", "S: 250 HELP");
    line(journal, 20, "i1", "C: MAIL FROM:<a@b>");
    line(journal, 23, "i1", "S: 250 2.1.0 Ok");
    line(journal, 30, "i1", "C: RCPT TO:<x@y>");
    line(journal, 34, "i1", "S: 550 5.7.1 relaying denied");
    line(journal, 40, "i1", "C: RCPT TO:<c@d>");
    line(journal, 44, "i1", "S: 250 2.1.5 Ok");
    line(journal, 50, "i1", "C: DATA");
    line(journal, 55, "i1", "S: 354 go on");
    note(journal, 90, "i1", What::Content { side: Side::Client, octets: 1000 });
    note(journal, 96, "i1", What::Accepted { from: Some(&from), recipients: 1, size: 1000 });
    line(journal, 96, "i1", "S: 250 2.0.0 Ok: queued");
    line(journal, 100, "i1", "C: QUIT");
    line(journal, 107, "i1", "S: 221 2.0.0 Bye");
    note(journal, 107, "i1", What::Closed { why: "quit" });
    let next = Some("relay");
    note(journal, 110, "o1", What::Opened { peer: "192.0.2.9:25".parse().unwrap(), next });
    note(journal, 120, "o1", What::Content { side: Side::Client, octets: 900 });
    let reply = Reply::fixed(250, Enhanced(2, 0, 0), "Ok");
    let ending = Ending::Delivered;
    note(
        journal,
        146,
        "o1",
        What::Outcome { recipient: &to, ending, reply: &reply, next: "relay", at: None },
    );
}

#[test]
fn counters_follow_the_conversation() {
    let mut journal = journal();
    conversation(&mut journal);
    let stats = journal.stats(now(200));
    for (counter, want) in [
        (Counter::Connections, 1),
        (Counter::NextConnections, 1),
        (Counter::Accepted, 1),
        (Counter::Recipients, 1),
        (Counter::Rejected, 1),
        (Counter::Delivered, 1),
        (Counter::Deferred, 0),
        (Counter::Bounced, 0),
        (Counter::BytesIn, 1000),
        (Counter::BytesOut, 900),
        (Counter::Replies5xx, 1),
    ] {
        assert_eq!(stats.counter(counter, Window::Minute), want, "{}", counter.name());
    }
    let codes: Vec<_> = stats.codes(Leg::In).collect();
    assert_eq!(codes, [(220, 1), (221, 1), (250, 4), (354, 1), (550, 1)]);
    journal.reset_stats(now(300));
    assert_eq!(journal.stats(now(300)).counter(Counter::Accepted, Window::Start), 0);
    assert_eq!(journal.rankings(now(300)).most(Table::Clients, None, 9), []);
}

#[test]
fn latencies_follow_the_conversation() {
    let mut journal = journal();
    conversation(&mut journal);
    journal.tick(now(200), Duration::from_millis(2), Some(Duration::from_millis(3)));
    let max = |p: Percentiles| p.max / 1000;
    let shown: Vec<_> =
        journal.stats(now(200)).latencies(Window::Start).map(|(n, p)| (n, max(p))).collect();
    let want = [
        ("banner", 1),
        ("ehlo", 2),
        ("mail", 3),
        ("rcpt", 4),
        ("data", 5),
        ("commit", 6),
        ("other", 7),
        ("queue", 50),
        ("tick", 2),
        ("sync", 3),
    ];
    assert_eq!(shown, want);
    let size = journal.stats(now(200)).percentiles(Measure::Size, Window::Hour);
    assert_eq!((size.count, size.max), (1, 1000));
}

#[test]
fn rankings_follow_the_conversation() {
    let mut journal = journal();
    conversation(&mut journal);
    let rankings = journal.rankings(now(200));
    let first = |table| {
        let most = rankings.most(table, Some((Duration::from_secs(60), now(200).time)), 9);
        assert_eq!(most.len(), 1);
        (most[0].name.to_string(), most[0].count, most[0].sums)
    };
    assert_eq!(first(Table::Clients), ("192.0.2.7".into(), 3, [1, 1, 1000, 1]));
    assert_eq!(first(Table::Senders), ("a@b".into(), 1, [1000, 1, 0, 0]));
    assert_eq!(first(Table::Recipients), ("c@d".into(), 1, [1, 0, 0, 0]));
    assert_eq!(first(Table::Replies), ("550 5.7.1 relaying denied".into(), 1, [0; 4]));
    assert_eq!(rankings.most(Table::NextReplies, None, 9), []);
}

#[test]
fn the_answer_to_stats_has_the_fields_that_programs_rely_on() {
    let mut journal = journal();
    conversation(&mut journal);
    let report = journal.report(now(90_000));
    let json = &report.json;
    let numbers = ["accepted", "delivered", "rejected", "bytes_in", "since_s"].map(|f| &json[f]);
    assert_eq!(numbers, [1, 1, 1, 1000, 90].map(serde_json::Value::from).each_ref());
    assert_eq!(json["reply_codes"]["250"], 4);
    assert_eq!(json["next_reply_codes"], serde_json::json!({}));
    let rcpt =
        serde_json::json!({ "count": 2, "p50": 3.967, "p95": 3.967, "p99": 3.967, "max": 4.0 });
    assert_eq!(json["stages"]["rcpt"], rcpt);
    assert_eq!((&json["minute"]["accepted"], &json["hour"]["accepted"]), (&0.into(), &1.into()));
    assert_eq!(json["hour"]["stages"]["mail"]["max"], 3.0);
    let has = |line: &str| assert!(report.lines.iter().any(|l| l == line), "{:#?}", report.lines);
    has("counted for 1m30s");
    has("accepted                   1           0           1           1");
    has("mail                       1       2.943       2.943       2.943       3.000");
    has("replies: 220: 1 221: 1 250: 4 354: 1 550: 1");
}

#[test]
fn analyses() {
    let mut journal = journal();
    conversation(&mut journal);
    let hour = Some(Duration::from_secs(3600));
    let clients = journal.report_ranking(Table::Clients, hour, now(200));
    assert_eq!(clients.json["rows"][0]["name"], "192.0.2.7");
    assert_eq!(clients.json["rows"][0]["octets"], 1000);
    assert_eq!(clients.json["rows"][0]["sessions"], 1);
    assert_eq!(
        clients.lines,
        [
            "     events    sessions    messages      octets    rejected",
            "          3           1           1        1000           1 192.0.2.7"
        ]
    );
    let codes = journal.report_ranking(Table::Replies, None, now(200));
    assert_eq!(codes.lines[1], "          1 550 5.7.1 relaying denied");
    let sizes = journal.report_sizes(None, now(200));
    assert_eq!((&sizes.json["max"], &sizes.json["window"]), (&1000.into(), &"start".into()));
    assert_eq!(sizes.lines.len(), 2);
    let latency = journal.report_latency(Some(Duration::from_secs(5)), now(200));
    assert_eq!(latency.json["window"], "minute");
    assert_eq!(latency.json["stages"]["commit"]["max"], 6.0);
    let old = journal.report_latency(Some(Duration::from_secs(5)), now(200_000));
    assert_eq!(old.json["stages"], serde_json::json!({}));
}

#[test]
fn a_reply_to_content_and_a_data_out_of_order_are_no_second_refusal() {
    let mut journal = journal();
    open(&mut journal, "i1");
    for (ms, text) in [
        (1, "S: 220 hi"),
        (2, "C: RCPT TO:<a@b>"),
        (3, "S: 550 5.7.1 no"),
        (4, "C: DATA"),
        (5, "S: 554 5.5.1 no valid recipients"),
        (6, "C: DATA"),
        (7, "S: 503 5.5.1 need RCPT"),
        (8, "C: DATA"),
        (9, "S: 354 go on"),
    ] {
        line(&mut journal, ms, "i1", text);
    }
    let rejected =
        |journal: &mut Journal| journal.stats(now(20)).counter(Counter::Rejected, Window::Start);
    assert_eq!(rejected(&mut journal), 1);
    let reply = Reply::fixed(554, Enhanced(5, 6, 0), "no");
    note(&mut journal, 10, "i1", What::Refused { reply: &reply });
    line(&mut journal, 10, "i1", "S: 554 5.6.0 no");
    assert_eq!(rejected(&mut journal), 2);
    line(&mut journal, 11, "i1", "C: DATA");
    line(&mut journal, 12, "i1", "S: 451 4.7.1 not now");
    assert_eq!(rejected(&mut journal), 3);
}

#[test]
fn transcripts_outlive_their_session() {
    let mut journal = journal();
    conversation(&mut journal);
    let id = "i1".parse().unwrap();
    let (lines, forgotten) = journal.transcript(id).unwrap();
    assert!(!forgotten);
    let shown: Vec<String> = lines
        .iter()
        .map(|l| {
            let text = crate::base::Printable::new(l.text);
            render::line(l.at, l.delay, Some(id), l.sign, l.mark, &text)
        })
        .collect();
    assert_eq!(shown.len(), 19);
    for (i, want) in [
        (0, "18:42:26.000   +0.000 i1    === connected from 192.0.2.7:4711"),
        (2, "18:42:26.010   +0.009 i1     -> EHLO x"),
        (4, "18:42:26.012   +0.000 i1     <- 250 HELP"),
        (13, "18:42:26.090   +0.035 i1    === q1A [1000 octets of content]"),
        (14, "18:42:26.096   +0.006 i1    === q1A accepted from=<a@b> nrcpts=1 size=1000"),
        (18, "18:42:26.107   +0.000 i1    === q1A closed: quit"),
    ] {
        assert_eq!(shown[i], want);
    }
    let record = journal.sessions().get(id).unwrap();
    assert_eq!((record.lines, record.transactions, record.octets), (19, 1, 1000));
    assert_eq!(record.closed.as_ref().unwrap().0, now(107).wall);
    assert_eq!(journal.sessions().live(), 1);
    assert!(journal.transcript("i2".parse().unwrap()).is_none());
}

#[test]
fn what_comes_after_the_end_is_written_down_but_revives_nobody() {
    let mut journal = journal();
    conversation(&mut journal);
    note(&mut journal, 120, "i1", What::Accepted { from: None, recipients: 1, size: 1 });
    note(&mut journal, 120, "i9", What::Remark("never opened"));
    assert_eq!(journal.sessions().live(), 1);
    let (lines, _) = journal.transcript("i1".parse().unwrap()).unwrap();
    assert_eq!(lines.last().unwrap().text, b"q1A accepted from=<> nrcpts=1 size=1");
    assert!(journal.transcript("i9".parse().unwrap()).is_none());
}

#[test]
fn the_feed_is_made_only_for_listeners() {
    let mut journal = journal();
    conversation(&mut journal);
    assert_eq!(journal.feed().since(0).count(), 0);
    let start = journal.feed().subscribe();
    assert_eq!(start, 23);
    conversation(&mut journal);
    let items: Vec<FeedItem> = journal.feed().since(start).cloned().collect();
    assert_eq!((items.len(), items[0].seq), (22, start));
    let json = serde_json::to_string(&items).unwrap();
    assert_eq!(serde_json::from_str::<Vec<FeedItem>>(&json).unwrap(), items);
    assert_eq!(journal.feed().since(start + 20).count(), 2);
    let rcpt = &items[8];
    assert_eq!((rcpt.verb, rcpt.code), (Some(Verb::Rcpt), Some(550)));
    assert_eq!(rcpt.line(), "18:42:26.034   +0.004 i1     <- 550 5.7.1 relaying denied");
    assert_eq!(
        items[21].line(),
        "18:42:26.146   +0.026 o1    === q1A delivered to=<c@d> 250 2.0.0 Ok (next=relay)"
    );
    journal.feed().unsubscribe();
    assert_eq!(journal.feed().since(0).count(), 0);
}

#[test]
fn a_flood_is_dropped_from_the_feed_and_counted_by_its_gaps() {
    let feed = FeedLimits { items: 50, octets: 1 << 20, burst: 10 };
    let mut journal = Journal::new(JournalConfig { feed, ..JournalConfig::default() }, now(0));
    open(&mut journal, "i1");
    let start = journal.feed().subscribe();
    for ms in 0..1000 {
        line(&mut journal, ms, "i1", "C: NOOP");
    }
    let seqs: Vec<u64> = journal.feed().since(start).map(|item| item.seq - start).collect();
    let want: Vec<u64> = (5..10).flat_map(|tenth| (0..10).map(move |i| tenth * 100 + i)).collect();
    assert_eq!(seqs, want);
    // No line is missing from the transcript.
    assert_eq!(journal.transcript("i1".parse().unwrap()).unwrap().0.len(), 1001);
}

#[test]
fn the_feed_is_bounded_in_octets() {
    let feed = FeedLimits { items: 1000, octets: 100_000, burst: 1000 };
    let mut journal = Journal::new(JournalConfig { feed, ..JournalConfig::default() }, now(0));
    journal.feed().subscribe();
    let text = format!("C: {}", "x".repeat(3000));
    for ms in 0..100 {
        line(&mut journal, ms, "i1", &text);
    }
    let kept = journal.feed().since(0).count();
    assert!((5..34).contains(&kept), "{kept}");
}
