//! The views together: what lint finds in messages that are wrong in one way, that no octets make
//! any view panic or show what is not safe, and that the answers stay bounded.

use super::*;
use crate::base::{Address, Client, Envelope, Protocol, Recipient, Wall};

const GOOD: &str = "Received: from a.example by mx.example.org with ESMTP id 1;\r\n\
    \tMon, 23 Nov 2026 18:42:30 +0000\r\n\
    Date: Mon, 23 Nov 2026 18:42:26 +0000\r\n\
    From: Ann <ann@example.org>\r\n\
    To: bob@example.net\r\n\
    Message-ID: <1@example.org>\r\n\
    Subject: hello\r\n\
    \r\n\
    hello\r\n";

fn envelope() -> Envelope {
    Envelope::plain(
        Client { ip: None, helo: None, protocol: Protocol::Smtp, user: None },
        Address::parse("ann@example.org").ok(),
        vec![Recipient::new(Address::parse("bob@example.net").unwrap())],
    )
}

/// What lint says of a message, in short: weight, line and the first words.
fn found(content: &str) -> Vec<String> {
    let envelope = envelope();
    let arrived = Date::parse(b"Mon, 23 Nov 2026 18:42:32 +0000").map(|date| date.at);
    let facts = Facts { cut: false, envelope: Some(&envelope), arrived };
    let short = |f: Finding| {
        let line = f.line.map_or("-".into(), |line| line.to_string());
        format!("{} {line} {}", f.severity.name(), f.what)
    };
    lint(content.as_bytes(), facts).into_iter().map(short).collect()
}

/// The good message with one piece replaced, and what lint must say of it.
fn assert_finds(table: &[(&str, &str, &[&str])]) {
    for (from, to, want) in table {
        assert!(GOOD.contains(from), "{from:?}");
        let found = found(&GOOD.replacen(from, to, 1));
        let fits = found.len() == want.len()
            && found.iter().zip(*want).all(|(found, want)| found.starts_with(want));
        assert!(fits, "{from:?} -> {to:?}: {found:#?}");
    }
}

#[test]
fn nothing_is_wrong_with_a_good_message() {
    assert_eq!(found(GOOD), [""; 0]);
}

#[test]
fn fields_that_are_missing_or_too_many() {
    assert_finds(&[
        ("Date: Mon, 23 Nov 2026 18:42:26 +0000\r\n", "", &["error - no Date"]),
        ("From: Ann <ann@example.org>\r\n", "", &["error - no From"]),
        ("Message-ID: <1@example.org>\r\n", "", &["warning - no Message-ID"]),
        ("To: bob@example.net\r\n", "", &["note - neither To"]),
        ("Subject:", "To: bob@example.net\r\nsubject:", &["error 7 To stands here"]),
        ("Subject:", "Bcc: eve@x\r\nSubject:", &["warning 7 Bcc names"]),
        ("Subject:", "Return-Path: <>\r\nSubject:", &["warning 7 Return-Path"]),
        (
            "Subject:",
            "Received: by y; 23 Nov 2026 18:42:27 +0000\r\nSubject:",
            &["note 7 Received"],
        ),
    ]);
}

#[test]
fn fields_that_say_something_wrong() {
    assert_finds(&[
        ("Date: Mon", "Date: Tue", &["error 3 the day of the week"]),
        ("Date: Mon, 23 Nov 2026", "Date: 2026-11-23", &["error 3 Date is no date"]),
        ("26 +0000\r\nFrom", "26 GMT\r\nFrom", &["warning 3 Date in the obsolete"]),
        ("Date: Mon, 23", "Date: Tue, 24", &["warning 3 Date is 23 h", "note 1 the first server"]),
        ("Date: Mon, 23", "Date: Mon, 9", &["note 3 Date is 14 days"]),
        ("<1@example.org>", "<1>", &["error 6 Message-ID is not"]),
        ("<1@example.org>", "1@example.org", &["error 6 Message-ID is not"]),
        ("Ann <ann@example.org>", "ann", &["error 4 From has", "note 4 From is of another"]),
        ("Ann <ann@example.org>", "", &["error 4 From names nobody"]),
        ("<ann@example.org>", "<a@example.org>, b@example.org", &["error 4 From names several"]),
        ("<ann@example.org>", "<ann@bad.example>", &["note 4 From is of another"]),
        ("<ann@example.org>", "<ann@sub.Example.org>", &[]),
        ("To: bob@example.net", "To: eve@x", &["note - no recipient"]),
        (
            "To: bob@example.net",
            "Sender: a@b, c@d\r\nTo: bob@example.net",
            &["error 5 Sender names"],
        ),
        ("by mx.example.org with ESMTP id 1;", "by x", &["warning 1 Received without a date"]),
    ]);
}

#[test]
fn the_shape_of_a_header() {
    assert_finds(&[
        ("Subject: ", "Subject : ", &["warning 7 blanks between"]),
        ("Subject: hello", "Subject: hello\r\n \t", &["warning 7 a fold of blanks"]),
        ("Received", "From ann Mon Nov 23\r\nReceived", &["error 1 a line of a mailbox"]),
        ("\r\n\r\nhello", "\r\nhello", &["error 8 not a field"]),
        ("\r\n\r\nhello\r\n", "\r\n", &["note 7 no blank line"]),
        ("Subject: ", "Subj\u{fc}: ", &["error 7 octets beyond", "error 7 a field's name"]),
    ]);
    assert_eq!(found("").first().map(String::as_str), Some("error - the message is empty"));
}

#[test]
fn encoded_words() {
    let long = format!("=?utf-8?Q?{}?=", "a".repeat(70));
    assert_finds(&[
        ("Subject: hello", "Subject: =?utf-8?Q?=E2=82=AC?=", &[]),
        ("Subject: hello", "Subject: =?utf-8?Q?=E2?=", &["error 7 an encoded word that"]),
        ("Subject: hello", "Subject: =?utf-8?X?a?=", &["error 7 an encoded word that"]),
        ("Subject: hello", "Subject: =?koi8-r?Q?a?=", &["note 7 an encoded word in a char"]),
        ("Ann", "\"=?utf-8?Q?a?=\"", &["warning 4 an encoded word in a quoted"]),
        ("hello", &long, &["warning 7 an encoded word longer", "note 7 longer than 78"]),
    ]);
}

#[test]
fn lines_and_octets() {
    let (long, wide) = ("x".repeat(999), "x".repeat(79));
    assert_finds(&[
        ("\r\n\r\nhello\r\n", "\r\n\r\nhello\n", &["error 9 bare LF"]),
        ("\r\n\r\nhello", "\r\n\r\nhel\rlo", &["error 9 bare CR"]),
        ("\r\n\r\nhello", "\r\n\r\nhel\0lo", &["error 9 NUL"]),
        ("\r\n\r\nhello", &format!("\r\n\r\n{long}"), &["error 9 longer than 998"]),
        ("\r\n\r\nhello", &format!("\r\n\r\n{wide}"), &["note 9 longer than 78"]),
        ("\r\n\r\nhello\r\n", "\r\n\r\nhello", &["warning 9 the last line"]),
        ("Subject: h", "Subject: \u{fc}", &["error 7 octets beyond ASCII in the header"]),
        ("Subject: h", "Subject: \x07", &["warning 7 control"]),
        (
            "\r\n\r\nh",
            "\r\n\r\n\u{fc}",
            &["error 9 octets beyond ASCII in what", "warning 9 octets beyond ASCII, but"],
        ),
    ]);
}

#[test]
fn parts() {
    let mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\nSubject:";
    let with = |fields: &str| format!("MIME-Version: 1.0\r\n{fields}\r\nSubject:");
    let multi = with("Content-Type: multipart/mixed; boundary=\"a<b\"");
    let qp = with("Content-Transfer-Encoding: quoted-printable");
    let body =
        |fields: &str, body: &str| format!("MIME-Version: 1.0\r\n{fields}\r\n\r\n{body}\r\n");
    let same = body(
        "Content-Type: multipart/mixed; boundary=b",
        "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b--",
    );
    assert_finds(&[
        ("Subject:", mime, &[]),
        ("Subject:", "Content-Type: text/plain\r\nSubject:", &["error 7 Content fields, but"]),
        ("Subject:", "MIME-Version: 2\r\nSubject:", &["warning 7 MIME-Version is not"]),
        ("Subject:", &multi, &["error 1 its boundary does", "error 1 a boundary that"]),
        ("Subject:", &qp, &[]),
        ("Subject:", &with("Content-Transfer-Encoding: x"), &["error 1 unknown Content"]),
        ("Subject:", &with("Content-Transfer-Encoding: binary"), &["warning 1 binary"]),
        ("Subject:", &with("Content-Type: text/plain; x"), &["warning 1 a parameter"]),
        ("Subject:", &with("Content-Type: text/plain; charset=x"), &["note 1 character set 'x'"]),
        (
            "Subject:",
            &with("Content-Disposition: inline; filename=a/b"),
            &["warning 1 a file name"],
        ),
        (
            "Subject: hello\r\n\r\nhello\r\n",
            &body("Content-Transfer-Encoding: base64", &format!("a!b\r\n{}", "A".repeat(77))),
            &["error 10 not base64", "warning 11 an encoded line"],
        ),
        (
            "Subject: hello\r\n\r\nhello\r\n",
            &body("Content-Transfer-Encoding: quoted-printable", "a=\r\n=3D\r\n=3"),
            &["error 12 not quoted-printable"],
        ),
        (
            "Subject: hello\r\n\r\nhello\r\n",
            &same,
            &["error 11 part 1: its boundary", "error 11 part 1: the same boundary"],
        ),
    ]);
}

#[test]
fn clocks_and_circles() {
    let before = |time: &str| format!("Received: by y; Mon, 23 Nov 2026 {time} +0000\r\nDate:");
    assert_finds(&[
        ("Date:", &before("18:42:29"), &[]),
        ("Date:", &before("18:42:50"), &["note 1 Received 20s before"]),
        ("Date:", &before("19:42:50"), &["warning 1 Received 1h20s before"]),
        ("Date:", &before("18:00:00"), &["note 3 the first server had it 42m26s before"]),
        (
            "Received",
            &("Received: by x; Mon, 23 Nov 2026 18:42:30 +0000\r\n".repeat(60) + "Received"),
            &["warning 1 61 Received"],
        ),
    ]);
}

#[test]
fn what_a_cut_took_is_not_missed() {
    for end in 0..GOOD.len() {
        let facts = Facts { cut: true, ..Facts::default() };
        assert_eq!(lint(&GOOD.as_bytes()[..end], facts), [], "{end}");
    }
}

fn all_reports(content: &[u8], cut: bool) -> Vec<Report> {
    let envelope = envelope();
    let facts = Facts { cut, envelope: Some(&envelope), arrived: Some(Wall::from_secs(1)) };
    vec![
        headers_report(content, cut),
        mime_report(content, cut),
        hops_report(content, cut),
        lint_report(content, facts),
        raw_report(content, cut),
    ]
}

/// All strings inside a JSON value.
fn strings<'a>(json: &'a serde_json::Value, into: &mut Vec<&'a str>) {
    match json {
        serde_json::Value::String(text) => into.push(text),
        serde_json::Value::Array(values) => values.iter().for_each(|v| strings(v, into)),
        serde_json::Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            into.push(name);
            strings(value, into);
        }),
        _ => {}
    }
}

fn assert_safe(content: &[u8], cut: bool) {
    for report in all_reports(content, cut) {
        let mut texts: Vec<&str> = report.lines.iter().map(String::as_str).collect();
        strings(&report.json, &mut texts);
        for text in texts {
            assert_eq!(Printable::from_shown(text).as_str(), text, "not safe to show");
        }
        assert!(report.lines.iter().all(|line| line.chars().count() < 20_000));
    }
}

/// Pieces that mean something to these parsers, in random order: every view takes all of them.
#[test]
fn no_octets_make_a_view_panic_or_unsafe() {
    const PIECES: [&[u8]; 44] = [
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b";",
        b"=",
        b"\"",
        b"(",
        b")",
        b"<",
        b">",
        b"\\",
        b"@",
        b",",
        b"--",
        b"b",
        b"--b\r\n",
        b"--b--\r\n",
        b"\0",
        b"\x1b[2J",
        b"\xff",
        b"\xe2\x82",
        "\u{202e}".as_bytes(),
        b"=?",
        b"?=",
        b"?",
        b"=?utf-8?Q?=1B?=",
        b"=?utf-8?B?GxsA?=",
        b"Received: ",
        b"from ",
        b"by ",
        b"for ",
        b"Date: 1 Jan 2020 00:00 +0000\r\n",
        b"From: ",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"filename*0*=utf-8''%1b%",
        b"*",
        b"%",
        b"'",
        b"Content-Disposition: x; ",
    ];
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..3000 {
        let mut content = Vec::new();
        for _ in 0..random.usize(..60) {
            content.extend_from_slice(PIECES[random.usize(..PIECES.len())]);
        }
        if random.bool() {
            content.iter_mut().for_each(|b| {
                if random.u8(..) < 4 {
                    *b = random.u8(..)
                }
            });
        }
        assert_safe(&content, random.bool());
    }
}

#[test]
fn every_octet_in_every_field_is_safe() {
    for octet in 0..=255u8 {
        for name in ["Subject", "From", "Received", "Content-Type", "Content-Disposition", "Date"] {
            let mut content = format!("{name}: a/b; filename=x; from y").into_bytes();
            content.push(octet);
            content.extend_from_slice(b"z\r\n\r\n");
            assert_safe(&content, false);
        }
    }
}

/// What would take quadratic time or endless space in a careless parser.
#[test]
fn answers_to_monsters_are_bounded() {
    for piece in [
        &b"("[..],
        b"\"",
        b"=?a?q?",
        b"=?",
        b"<",
        b"\r\n ",
        b"a:\r\n",
        b"From: a@b,\r\n",
        b";x*1=",
        b"--b",
        b"\n",
        b"Received: by x; \r\n",
    ] {
        for start in [&b"From: "[..], b"Content-Type: multipart/x; boundary=b; a=", b""] {
            let content = [start, &piece.repeat(200_000 / piece.len())].concat();
            for report in all_reports(&content, false) {
                let octets: usize = report.lines.iter().map(String::len).sum();
                assert!(octets < 4 << 20 && report.lines.len() <= MAX_SHOWN, "{piece:?}");
            }
        }
    }
}

const MAX_SHOWN: usize = 6000;

#[test]
fn views_for_people() {
    let content = "Received: from a.example (a.example [192.0.2.7]) by mx.example.org\r\n \
        with ESMTPS id 1 for <b@c>; Mon, 23 Nov 2026 18:42:30 +0000\r\n\
        Received: by a.example; Mon, 23 Nov 2026 18:42:26 +0000\r\n\
        Subject: =?utf-8?Q?gr=C3=BCn?=\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\
        \r\n\
        --b\r\n\
        Content-Type: application/pdf; name=a.pdf\r\n\
        Content-Disposition: attachment\r\n\
        \r\n\
        x\r\n\
        --b--\r\n";
    let [headers, mime, hops, lint, raw] =
        <[Report; 5]>::try_from(all_reports(content.as_bytes(), false)).unwrap();
    // As it is folded, but with blanks for what a terminal must not be told.
    let folded = headers.lines.iter().position(|line| line.starts_with("        ")).unwrap();
    assert!(headers.lines[folded - 1].starts_with("Received: "), "{:#?}", headers.lines);
    assert!(headers.lines.iter().all(|line| !line.contains("\\x09")));
    assert!(headers.lines.iter().any(|line| line == "Subject: grün"));
    assert_eq!(headers.json["fields"][2]["raw"], "=?utf-8?Q?gr=C3=BCn?=");
    assert_eq!(
        mime.lines,
        [
            "multipart/mixed, 7bit, 93 octets (line 1)",
            "  1 application/pdf, 7bit, 1 octets, attachment \"a.pdf\" (line 9)",
        ]
    );
    assert_eq!(
        hops.lines,
        [
            "  1 2026-11-23T18:42:30Z      +4s",
            "      from a.example (a.example [192.0.2.7])",
            "      by   mx.example.org",
            "      with ESMTPS",
            "      id   1",
            "      for  <b@c>",
            "  2 2026-11-23T18:42:26Z",
            "      by   a.example",
            "2 hops in 4s",
        ]
    );
    assert_eq!(lint.lines.last().unwrap(), "2 errors, 1 warning, 1 note");
    assert_eq!(lint.lines[0], "error   no Date field (RFC 5322 section 3.6)");
    assert_eq!(raw.lines[12], "--b--");
    let cut = headers_report(content.as_bytes(), true);
    assert!(cut.lines.last().unwrap().starts_with("(only the first"));
}

#[test]
fn the_view_of_an_envelope() {
    let mut envelope = envelope();
    envelope.client.ip = "192.0.2.7".parse().ok();
    envelope.client.helo = Some("mail.example.org".into());
    envelope.envid = Some("x1".into());
    let report = envelope_report(&envelope, Wall::from_secs(1_795_459_346), 5);
    assert_eq!(
        report.lines,
        [
            "from      <ann@example.org>",
            "to        <bob@example.net>",
            "arrived   2026-11-23T18:42:26Z, 5 octets",
            "client    192.0.2.7 (mail.example.org) with SMTP",
            "asked for BODY=7BIT ENVID=x1",
        ]
    );
    assert_eq!(report.json["recipients"][0]["address"], "bob@example.net");
}
