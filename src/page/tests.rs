//! Pages of real answers' forms, and of hostile ones.

use serde_json::json;

use super::*;

fn page(sections: Vec<(&str, Vec<&str>, serde_json::Value)>) -> Page {
    let section = |(title, lines, json): (&str, Vec<&str>, serde_json::Value)| Section {
        title: title.into(),
        report: Report { json, lines: lines.into_iter().map(String::from).collect() },
    };
    Page {
        title: "The last hour".into(),
        server: "mail.example.org".into(),
        made: Wall::from_secs(1_795_459_346),
        sections: sections.into_iter().map(section).collect(),
    }
}

#[test]
fn a_page_as_text() {
    let page = page(vec![("Replies", vec!["250: 3", "550: 1"], json!({}))]);
    let head = format!("MailFlux {} on mail.example.org, ", env!("CARGO_PKG_VERSION"));
    let want = format!(
        "The last hour\n=============\n{head}2026-11-23T18:42:26Z\n\n\
         Replies\n-------\n250: 3\n550: 1\n"
    );
    assert_eq!(page.text(), want);
    assert_eq!(page.for_file("x.txt"), page.text());
    assert_eq!(page.for_file("X.HTML"), page.html());
}

#[test]
fn known_forms_have_charts() {
    let codes = json!({ "reply_codes": { "250": 30, "450": 2, "550": 1 } });
    let latency = json!({ "stages": { "data": { "p50": 1.5, "p95": 3.0, "p99": 20.0 } } });
    let rows = json!({ "rows": [{ "name": "192.0.2.7", "count": 12 }] });
    let hops = json!({ "hops": [{ "by": "mx.example.org (x)", "delay_s": -3 }, { "by": "a" }] });
    let findings = json!({ "findings": [{ "severity": "error" }, { "severity": "note" }] });
    for (json, want) in [
        (codes, vec![">250</text>", "class=\"good\"", "class=\"odd\"", "class=\"bad\""]),
        (latency, vec![">data p50</text>", "1.500 ms", ">data p99</text>"]),
        (rows, vec![">192.0.2.7</text>", ">12</text>"]),
        (hops, vec![">mx.example.org</text>", "-3 s", "class=\"bad\""]),
        (findings, vec![">error</text>", ">warning</text>"]),
        (
            json!({ "next": { "mx": { "rcpt": { "p50": 1.0, "p95": 2.0 } } } }),
            vec![">mx rcpt</text>", "2.000 ms"],
        ),
        (
            json!({ "rows": [{ "at": 86_400 + 3_660, "sessions": 9, "accepted": 7 }] }),
            vec![">01:01 UTC</text>", ">7</text>"],
        ),
        (
            json!({ "count": 2, "p50": 10, "p95": 20, "p99": 30, "max": 40, "octets": 50 }),
            vec![">p50</text>", "10 octets", ">max</text>"],
        ),
        (
            json!({ "done_after": [{ "attempt": 2, "recipients": 3 }], "deferred": [] }),
            vec![">attempt 2</text>", ">3</text>"],
        ),
        (
            json!({ "in": { "sessions": 5, "tls": 2,
                "kinds": [{ "name": "TLS13", "count": 2 }] } }),
            vec![">in TLS</text>", ">in clear</text>", ">TLS13</text>", ">3</text>"],
        ),
    ] {
        let html = page(vec![("x", vec![], json.clone())]).html();
        assert_eq!(html.matches("<svg").count(), 1, "{json}");
        for piece in want {
            assert!(html.contains(piece), "{piece} is not in {html}");
        }
    }
    for json in [json!(null), json!({ "rows": [] }), json!({ "stages": 5 }), json!([1])] {
        assert!(!page(vec![("x", vec![], json)]).html().contains("<svg"));
    }
}

/// The middle of a long label is left out with a sign, and the place for labels is as wide as they
/// are: none begins left of the picture.
#[test]
fn long_labels_are_cut_in_the_middle() {
    let pair = format!("{}@a.example → {}@b.example", "x".repeat(40), "y".repeat(40));
    let label = |name: &str| {
        let html = page(vec![("x", vec![], json!({ "rows": [{ "name": name, "count": 1 }] }))]);
        let html = html.html();
        let (before, rest) = html.split_once(" text-anchor=\"end\">").unwrap();
        let x = before.rsplit_once("<text x=\"").unwrap().1.split_once('"').unwrap().0;
        (x.parse::<usize>().unwrap(), rest.split_once('<').unwrap().0.to_owned())
    };
    let (x, long) = label(&pair);
    assert_eq!(long.chars().count(), 50);
    assert!(
        long.starts_with("xxx") && long.contains('…') && long.ends_with("y@b.example"),
        "{long}"
    );
    assert_eq!(x, 50 * 8);
    assert_eq!(label("short"), (96, "short".to_owned()));
}

#[test]
fn stages_stand_in_the_order_of_a_session_and_minutes_in_that_of_time() {
    let stage = json!({ "p50": 1.0, "p95": 1.0 });
    let names = ["tick", "next_rcpt", "commit", "mail", "banner", "next_mail"];
    let stages: serde_json::Map<_, _> =
        names.into_iter().map(|name| (name.to_owned(), stage.clone())).collect();
    let html = page(vec![("x", vec![], json!({ "stages": stages }))]).html();
    let places = ["banner", "mail", "commit", "next_mail", "next_rcpt", "tick"]
        .map(|name| html.find(&format!(">{name} p50<")).unwrap());
    assert!(places.is_sorted(), "{places:?}");
    assert!(html.contains("(logarithmic)"));
    let rows = [600, 0, 300].map(|at| json!({ "at": at, "sessions": 1, "accepted": 1 }));
    let html = page(vec![("x", vec![], json!({ "rows": rows }))]).html();
    let places = ["00:00 UTC", "00:05 UTC", "00:10 UTC"].map(|at| html.find(at).unwrap());
    assert!(places.is_sorted(), "{places:?}");
}

/// Every tag of a page is one of ours, whatever the texts say.
#[test]
fn nothing_smuggled_in_becomes_markup() {
    let evil = "</pre><script>alert(1)</script><img src=x onerror=\"y\">'&\x1b[2J\u{202e}";
    let json = json!({
        "rows": [{ "name": evil, "count": 1 }], "reply_codes": { evil: 1 },
        "hops": [{ "by": evil, "delay_s": 1 }], "stages": { evil: { "p50": 1.0 } },
    });
    let mut page = page(vec![(evil, vec![evil], json)]);
    (page.title, page.server) = (evil.into(), evil.into());
    let html = page.html();
    for tag in html.split('<').skip(1) {
        let name: String = tag.chars().take_while(|c| !matches!(c, ' ' | '>')).collect();
        let ours = [
            "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "pre",
            "section", "svg", "text", "rect",
        ];
        assert!(ours.contains(&name.trim_start_matches('/')), "<{tag}");
    }
    assert!(!html.contains('\x1b') && !html.contains('\u{202e}'));
    assert!(!html.contains("http:") && !html.contains("https:"));
}

#[test]
fn pages_are_bounded() {
    let line = "x".repeat(10_000);
    let lines = vec![line.as_str(); MAX_LINES + 10];
    let rows: Vec<_> = (0..1000).map(|i| json!({ "name": line, "count": i })).collect();
    let html = page(vec![("x", lines, json!({ "rows": rows }))]).html();
    assert!(html.len() < (MAX_LINES + 100) * (MAX_LINE + 10));
    assert_eq!(html.matches("<rect").count(), 40);
}

#[test]
fn figures_that_are_no_figures_draw_nothing_odd() {
    for value in [0.0, -1.0, f64::MAX, f64::MIN_POSITIVE] {
        let json = json!({ "stages": { "a": { "p50": value, "p99": 1.0 } } });
        let html = page(vec![("x", vec![], json)]).html();
        assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
    }
}
