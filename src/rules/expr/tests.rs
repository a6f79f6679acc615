//! The language as people write it.

use std::time::Duration;

use super::*;
use crate::base::{Address, MessageId, Recipient};

fn recipients() -> Vec<Recipient> {
    ["bob@example.net", "carol@example.org"]
        .map(|a| Recipient::new(Address::parse(a).unwrap()))
        .into()
}

/// A fairly complete set of facts.
fn known(recipients: &[Recipient]) -> Fields<'_> {
    Fields {
        client: "192.0.2.7".parse().ok(),
        helo: Some("mail.example.com"),
        from: Some("Ann@Example.com"),
        rcpt: Rcpts::All(recipients),
        size: Some(2048),
        header: b"Subject: Win \"money\" now\r\nX-Spam: yes\r\nX-Spam: 17\r\n\r\nX-Spam: body",
        verb: Some("RCPT"),
        reply: Some(450),
        delay: Some(Duration::from_millis(1500)),
        tls: Some(true),
        user: None,
        session: "i7".parse().ok(),
        id: Some(MessageId { counter: 26, arrived: 0 }),
        next: Some("relay"),
    }
}

fn holds(source: &str) -> bool {
    let recipients = recipients();
    Expr::parse(source).unwrap_or_else(|e| panic!("{source}: {e}")).holds(&known(&recipients))
}

#[test]
fn what_holds() {
    for source in [
        r#"rcpt ~ "@example\.net$" && reply >= 400 && delay > 1s"#,
        "client == 192.0.2.7",
        "client == ::ffff:192.0.2.7",
        "client in 192.0.2.0/24",
        "client in (10.0.0.0/8, 192.0.2.0/24, ::1)",
        "client in \"10.0.0.0/8, 192.0.2.0/24\"",
        "client != 192.0.2.8",
        "helo == mail.example.com",
        "from == ann@example.com",
        "from ~ \"^Ann@\"",
        "from ~ \"(?i)^ann@\"",
        "rcpt == bob@example.net",
        "rcpt == carol@example.org",
        "rcpt != bob@example.net",
        "rcpt in (x@y, CAROL@example.org)",
        "size == 2K && size >= 2048 && size < 1m && size in (1, 2k)",
        "subject ~ \"\\\"money\\\"\"",
        "header.x-spam == 17 && header.X-Spam == yes",
        "verb == rcpt && verb in (MAIL,RCPT)",
        "reply in (450, 451) && reply != 250",
        "delay > 1s && delay <= 1500ms && delay < 1m",
        "tls && tls == yes && tls != off",
        "session == i7 && session ~ \"^i\"",
        "id == q1a",
        "next == relay",
        "400 <= reply && 500 > reply && \"ann@example.com\" == from && 1s < delay",
        "from != helo && rcpt != from && next != verb",
    ] {
        assert!(holds(source), "{source}");
        assert!(!holds(&format!("!({source})")), "{source}");
    }
}

#[test]
fn what_does_not_hold() {
    for source in [
        "client == 192.0.2.8",
        "client in 10.0.0.0/8",
        "from ~ \"^ann@\"",
        "from == \"\"",
        "rcpt == bob@example.org",
        "header.x-spam == body",
        "header.subject == x",
        "size > 2K",
        "tls == false",
        "!tls",
        "delay >= 2s",
        "id == q1",
        "helo == from",
    ] {
        assert!(!holds(source), "{source}");
    }
}

#[test]
fn the_unknown_passes_no_comparison() {
    let nothing = Fields::default();
    for test in [
        "client == ::1",
        "client != ::1",
        "client in ::/0",
        "helo == x",
        "helo != x",
        "from == \"\"",
        "rcpt ~ \"\"",
        "rcpt != x",
        "size >= 0",
        "size != 1",
        "size in (0)",
        "subject ~ \"\"",
        "header.x != y",
        "verb != x",
        "reply < 999",
        "delay >= 0",
        "tls",
        "tls == false",
        "user != ann",
        "user in (ann)",
        "session != i1",
        "id != q1",
        "next != x",
        "user == next",
        "size == size",
    ] {
        let ask = |source: &str| Expr::parse(source).unwrap().holds(&nothing);
        assert!(!ask(test), "{test}");
        assert!(ask(&format!("!({test})")), "!({test})");
    }
    assert!(!holds("user != ann") && holds("!(user == ann)"));
}

#[test]
fn precedence() {
    // T and F by the facts above.
    let (t, f) = ("tls", "reply == 1");
    for (source, want) in [
        (format!("{t} || {f} && {f}"), true),
        (format!("({t} || {f}) && {f}"), false),
        (format!("{f} && {t} || {t}"), true),
        (format!("{f} && ({t} || {t})"), false),
        (format!("!{t} || {t}"), true),
        (format!("!({t} || {t})"), false),
        (format!("!!{t}"), true),
        (format!("!{f} && !{f}"), true),
        (format!("!{f} && {f}"), false),
        (format!("(({t}))&&!(({f}))"), true),
    ] {
        assert_eq!(holds(&source), want, "{source}");
    }
}

#[test]
fn errors_point_at_the_place_and_say_what_to_write() {
    for (source, column, hint) in [
        ("", 1, "expected a field"),
        ("rpct == x", 1, "did you mean 'rcpt'"),
        ("tls && sieze > 1", 8, "did you mean 'size'"),
        ("colour == red", 1, "fields are client"),
        ("recipient == x", 1, "'rcpt'"),
        ("header == x", 1, "header.NAME"),
        ("header. == x", 1, "names no header field"),
        ("tls and tls", 5, "without '&&'"),
        ("and tls", 1, "did you mean '&&'"),
        ("rcpt", 1, "write for example rcpt =="),
        ("size", 1, "size > 1M"),
        ("client && tls", 1, "client in"),
        ("rcpt ==", 8, "not the end"),
        ("rcpt == &&", 9, "not '&&'"),
        ("rcpt = x", 6, "write '=='"),
        ("rcpt < x", 6, "use == != ~ or in"),
        ("tls > 1", 5, "use == or !="),
        ("tls == 5", 8, "neither true nor false"),
        ("tls in (yes)", 8, "write tls or !tls"),
        ("client == 192.0.2.0/24", 8, "client in 192.0.2.0/24"),
        ("client == joe", 11, "not an IP address"),
        ("client ~ \"^1\"", 8, "use == != or in"),
        ("client in (::1, 1.2.3)", 17, "'1.2.3'"),
        ("client in ()", 12, "not ')'"),
        ("client in (::1", 11, "never closed"),
        ("client in (::1 ::2)", 16, "expected ')'"),
        ("delay > 1", 9, "with its unit"),
        ("delay > 1x", 9, "with its unit"),
        ("size > 1s", 8, "a size such as"),
        ("reply > 4xx", 9, "not a number"),
        ("reply ~ \"4..\"", 7, "for text"),
        ("reply == size", 10, "cannot be compared"),
        ("rcpt == header.to", 9, "many values"),
        ("client == client", 11, "says nothing"),
        ("rcpt ~ \"(\"", 8, "regular expression"),
        ("rcpt ~ \"abc", 8, "no end"),
        ("rcpt == 'bob@x'", 9, "double quotes"),
        ("(tls", 1, "never closed"),
        ("tls)", 4, "closes nothing"),
        ("ä == x", 1, "unknown field"),
        ("from == ä && x", 14, "unknown field 'x'"),
        ("tls tls", 5, "without '&&'"),
        ("5 in reply", 1, "unknown field"),
        ("\"x\"", 1, "expected a field"),
        ("5 == 5", 6, "unknown field"),
    ] {
        let error = Expr::parse(source).expect_err(source);
        assert_eq!(error.column, column, "{source}: {error}");
        assert!(error.message.contains(hint), "{source}: {error}");
    }
}

#[test]
fn nesting_and_length_are_bounded() {
    let nested = |n: usize| format!("{}tls{}", "(".repeat(n), ")".repeat(n));
    assert!(Expr::parse(&nested(MAX_DEPTH)).is_ok());
    assert!(Expr::parse(&nested(MAX_DEPTH + 1)).unwrap_err().message.contains("deep"));
    assert!(Expr::parse(&format!("{}tls", "!".repeat(MAX_DEPTH + 1))).is_err());
    assert!(Expr::parse(&"(".repeat(MAX_EXPR)).is_err());
    // Side by side is not nested.
    assert!(holds(&vec!["(tls)"; 400].join("&&")));
    assert!(Expr::parse(&" ".repeat(MAX_EXPR + 1)).unwrap_err().message.contains("longer"));
    assert!(Expr::parse("rcpt ~ \"((a{50}){50}){50}\"").is_err());
}

#[test]
fn long_texts_are_matched_at_their_start() {
    let long = format!("{}\u{20ac}x", "a".repeat(MAX_TEXT - 1));
    let fields = Fields { helo: Some(&long), ..Fields::default() };
    let ask = |source: &str| Expr::parse(source).unwrap().holds(&fields);
    assert!(ask("helo ~ \"a$\"") && !ask("helo ~ \"x\""));
    let header = [&b"x: ".repeat(MAX_HEADER)[..], b"\r\nSubject: late\r\n\r\n"].concat();
    let fields = Fields { header: &header, ..Fields::default() };
    assert!(!Expr::parse("subject ~ \"late\"").unwrap().holds(&fields));
    for (before, want) in [(15, true), (16, false)] {
        let header = format!("{}x: last\r\n", "x: y\r\n".repeat(before));
        let fields = Fields { header: header.as_bytes(), ..Fields::default() };
        assert_eq!(Expr::parse("header.x == last").unwrap().holds(&fields), want);
    }
}

#[test]
fn the_source_is_kept_and_compared() {
    let expr = Expr::parse("  tls  ").unwrap();
    assert_eq!(expr.source(), "tls");
    assert!(expr == Expr::parse("tls").unwrap() && expr != Expr::parse("!tls").unwrap());
}

/// Whatever is written, reading it neither panics nor takes long, and an error has a place in it.
#[test]
fn garbage_is_refused_in_peace() {
    let pieces = [
        "tls",
        "rcpt",
        "header.x",
        "==",
        "!=",
        "~",
        "in",
        "(",
        ")",
        "!",
        "&&",
        "||",
        ",",
        "\"",
        "\\",
        " ",
        "1s",
        "5",
        "ä",
        "\u{202e}",
        "=",
        "&",
        "192.0.2.0/24",
        "\"a(\"",
        "<",
        ">=",
        "\0",
        "[",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let recipients = recipients();
    let fields = known(&recipients);
    let mut good = 0;
    for _ in 0..20_000 {
        let count = random.usize(0..12);
        let source: String = (0..count).map(|_| pieces[random.usize(..pieces.len())]).collect();
        match Expr::parse(&source) {
            Ok(expr) => {
                expr.holds(&fields);
                good += 1;
            }
            Err(e) => assert!((1..=source.chars().count() + 1).contains(&e.column), "{source}"),
        }
    }
    assert!(good > 20, "the pieces should make sense at times: {good}");
}
