//! What hostile senders, messages and next servers cannot do to a notification.

use super::super::text::MAX_LINE;
use super::*;

#[test]
fn what_cannot_travel_is_returned_as_its_header() {
    let mut envelope = envelope("ann@example.org", &["bob@example.net"]);
    envelope.ret = Some(Ret::Full);
    let plan = plan_bounce(ID, &envelope, 100, &[told(0, Fate::Failed)]).unwrap();
    assert!(plan.whole);
    let long = "x".repeat(MAX_LINE + 1);
    for body in ["8 bits: ü\r\n", "NUL \0\r\n", "bare \r cr\r\n", "bare \n lf\r\n", &long] {
        let content = format!("Subject: s\r\n\r\n{body}");
        let parsed = Parsed::of(&compose(&plan, &envelope, content.as_bytes()));
        assert_eq!(parsed.kind(2), "text/rfc822-headers");
        assert_eq!(parsed.parts[2].1, b"Subject: s\r\n");
        assert!(parsed.words().contains("The header of your message is attached"));
    }
    for (header, encoded) in [
        (&b"Subject: gr\xfcn\r\n"[..], &b"Subject: gr=FCn\r\n"[..]),
        ("Subject: grün\r\n".as_bytes(), b"Subject: gr=C3=BCn\r\n"),
        (b"Subject: a\0=b\r\n", b"Subject: a=00=3Db\r\n"),
    ] {
        let content = [header, b"\r\nbody"].concat();
        let parsed = Parsed::of(&compose(&plan, &envelope, &content));
        assert_eq!(parsed.kind(2), "text/rfc822-headers");
        assert_eq!(parsed.parts[2].1, encoded);
    }
}

#[test]
fn a_header_ends_where_it_ends() {
    let mut envelope = envelope("ann@example.org", &["bob@example.net"]);
    envelope.ret = Some(Ret::Headers);
    let plan = plan_bounce(ID, &envelope, 100, &[told(0, Fate::Failed)]).unwrap();
    let long = "L: ".to_string() + &"x".repeat(500) + "\r\n";
    let cases = [
        (
            "A: b\r\n\tc\r\nD : e\r\n\r\nsecret: x\r\n".to_string(),
            "A: b\r\n\tc\r\nD : e\r\n".to_string(),
        ),
        ("A: b\r\nsecret body\r\nB: c\r\n".into(), "A: b\r\n".into()),
        ("A: b\r\nunfinished: line".into(), "A: b\r\n".into()),
        ("\r\nsecret: body\r\n".into(), String::new()),
        (" secret\r\nA: b\r\n".into(), String::new()),
        ("\tsecret\r\nA: b\r\n".into(), String::new()),
        (String::new(), String::new()),
        (long.repeat(200), long.repeat(MAX_HEADER / long.len())),
    ];
    for (content, expected) in cases {
        let parsed = Parsed::of(&compose(&plan, &envelope, content.as_bytes()));
        assert_eq!(String::from_utf8_lossy(&parsed.parts[2].1), expected);
    }
}

#[test]
fn a_boundary_cannot_be_guessed_into_the_message() {
    let envelope = envelope("ann@example.org", &["bob@example.net"]);
    let plan = plan_bounce(ID, &envelope, 100, &[told(0, Fate::Failed)]).unwrap();
    let stem = format!("--=_{OWN_ID}_");
    let mut content = String::from("A: b\r\n\r\n");
    for n in (0..2000).chain([u64::MAX]) {
        content += &format!("{stem}{n}=\r\n{stem}{n}=--\r\n{stem}0{n}0\r\n");
    }
    content += &stem;
    let parsed = Parsed::of(&compose(&plan, &envelope, content.as_bytes()));
    assert_eq!(parsed.parts[2].1, content.as_bytes());
}

#[test]
fn hostile_words_stay_words() {
    let delimiter = format!("--=_{OWN_ID}_0=");
    let hostile: Vec<Vec<u8>> = vec![
        b"x\nInjected: yes".to_vec(),
        b"x\r\nInjected: yes\r\n\r\nbody".to_vec(),
        b"x\rInjected: yes".to_vec(),
        "x\u{85}Injected: yes\u{2028}Injected: yes\u{b}x\u{c}x".into(),
        b"\0\0\x1b[2J\x07".to_vec(),
        (128..=255u8).collect(),
        vec![b'a'; 8192],
        vec![0xff; 8192],
        vec![b' '; 8192],
        "ü".repeat(4096).into(),
        [b"\n".repeat(300), b"end".to_vec()].concat(),
        format!("\r\n{delimiter}--\r\n").into(),
        format!("\n{delimiter}\nContent-Type: text/html\n\n<b>").into(),
        format!("{} {delimiter}", "y".repeat(60)).into(),
        Vec::new(),
    ];
    for text in hostile {
        for enhanced in [None, Some(Enhanced(5, 1, 1))] {
            let parsed = bounce_with(Reply {
                enhanced,
                ..Reply::bare(550, "").by_peer().with_text(text.clone())
            });
            assert!(parsed.octets.is_ascii());
            assert!(parsed.octets.len() < 12_000, "{}", parsed.octets.len());
            assert_eq!(get(&parsed.header, "Injected"), None);
            let status = parsed.status();
            assert_eq!(status.len(), 2);
            let names: Vec<&str> = status[1].iter().map(|(name, _)| name.as_str()).collect();
            let expected = [
                "Final-Recipient",
                "Action",
                "Status",
                "Remote-MTA",
                "Diagnostic-Code",
                "Last-Attempt-Date",
            ];
            assert_eq!(names, expected);
            let diagnostic = get(&status[1], "Diagnostic-Code").unwrap();
            assert!(diagnostic.starts_with("smtp; 550"), "{diagnostic}");
            assert!(!diagnostic.bytes().any(|b| b.is_ascii_control()), "{diagnostic}");
        }
    }
}

#[test]
fn odd_addresses_fit_their_fields() {
    let long = format!("{}@{}.example", "l".repeat(64), "d".repeat(63));
    for odd in ["\"a  b\"@x", "\"a\\\"\\\\ \"@x", "postmaster", "a@[IPv6:::1]", &long] {
        let envelope = envelope(odd, &[odd]);
        let plan = plan_bounce(ID, &envelope, 100, &[told(0, Fate::Failed)]).unwrap();
        let parsed = Parsed::of(&compose(&plan, &envelope, CONTENT));
        assert_eq!(get(&parsed.header, "To"), Some(&format!("<{odd}>")[..]));
        let wanted = format!("rfc822; {odd}");
        assert_eq!(get(&parsed.status()[1], "Final-Recipient"), Some(&wanted[..]));
    }
}

#[test]
fn a_thousand_recipients_in_one_report() {
    let names: Vec<String> = (0..1000).map(|n| format!("r{n}@example.net")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let envelope = envelope("ann@example.org", &names);
    let words = refused("w".repeat(8192));
    let all: Vec<Told> =
        (0..1000).map(|n| Told { reply: Some(words.clone()), ..told(n, Fate::Failed) }).collect();
    let plan = plan_bounce(ID, &envelope, 100, &all).unwrap();
    let parsed = Parsed::of(&compose(&plan, &envelope, CONTENT));
    assert_eq!(parsed.status().len(), 1001);
    assert!(parsed.octets.len() < 3_000_000);
}
