//! Tests of composing: senders, recipients, and the fields that are added.

use super::*;
use crate::base::Notify;

fn here() -> Circumstances {
    Circumstances {
        hostname: "box.example".into(),
        user: "ann".into(),
        now: Wall::from_secs(1_787_510_546),
        random: 0x1a,
    }
}

fn request(recipients: &[&str]) -> Request {
    Request { recipients: recipients.iter().map(|r| r.to_string()).collect(), ..Request::default() }
}

/// Sender, recipients and content.
fn composed(request: &Request, text: &str) -> Result<(Transaction, String), Failure> {
    let message = Message::read(text.as_bytes(), true);
    let (transaction, content) = compose(request, message, &here())?;
    Ok((transaction, String::from_utf8(content).unwrap()))
}

fn to(transaction: &Transaction) -> Vec<&str> {
    transaction.recipients.iter().map(|(_, r)| r.address.as_str()).collect()
}

#[test]
fn what_is_missing_is_added_and_nothing_else_changes() {
    let (transaction, content) = composed(&request(&["bob@x.org"]), "hello\n").unwrap();
    assert_eq!(
        content,
        "Date: Sun, 23 Aug 2026 18:42:26 +0000\r\nFrom: ann@box.example\r\n\
         Message-ID: <6a8b3f12.000000000000001a@box.example>\r\n\r\nhello\r\n"
    );
    assert_eq!(transaction.from.as_ref().unwrap().as_str(), "ann@box.example");
    assert_eq!(transaction.size, content.len() as u64);
    assert_eq!((transaction.body, transaction.utf8), (BodyType::SevenBit, false));
    let whole = "date: x\nFROM: y\nMessage-Id: z\nTo: w\n\nhello\n";
    let (_, content) = composed(&request(&["bob@x.org"]), whole).unwrap();
    assert_eq!(content, whole.replace('\n', "\r\n"));
}

#[test]
fn senders() {
    let from = |sender: Option<&str>, user: &str| {
        let request = Request { sender: sender.map(str::to_owned), ..request(&["b@x.org"]) };
        let here = Circumstances { user: user.into(), ..here() };
        let (transaction, content) = compose(&request, Message::read(b"", true), &here)?;
        let content = String::from_utf8(content).unwrap();
        let line = content.lines().find(|l| l.starts_with("From: ")).unwrap().to_owned();
        Ok::<_, Failure>((transaction.from.map(|a| a.to_string()).unwrap_or_default(), line))
    };
    let pair = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
    assert_eq!(from(None, "ann"), pair("ann@box.example", "From: ann@box.example"));
    assert_eq!(from(None, "a b"), pair("\"a b\"@box.example", "From: \"a b\"@box.example"));
    assert_eq!(from(Some("cat"), "ann"), pair("cat@box.example", "From: cat@box.example"));
    assert_eq!(from(Some("<c@d>"), "ann"), pair("c@d", "From: c@d"));
    for empty in ["", "<>"] {
        assert_eq!(from(Some(empty), "ann"), pair("", "From: MAILER-DAEMON@box.example"));
    }
    assert_eq!(from(Some("a@b c"), "ann").unwrap_err().exit, exit::USAGE);
    assert_eq!(from(None, "a\nb").unwrap_err().exit, exit::USAGE);
}

#[test]
fn full_names_are_written_so_that_they_read_back() {
    for (name, from) in [
        ("Ann Archer", "Ann Archer <ann@box.example>"),
        ("Archer, \"A.\"", "\"Archer, \\\"A.\\\"\" <ann@box.example>"),
        ("Ann\r\nBcc: x", "\"Ann  Bcc: x\" <ann@box.example>"),
        ("Jürg", "=?UTF-8?B?SsO8cmc=?= <ann@box.example>"),
        (" ", "ann@box.example"),
    ] {
        let request = Request { full_name: Some(name.into()), ..request(&["b@x.org"]) };
        let (_, content) = composed(&request, "").unwrap();
        assert!(content.contains(&format!("\r\nFrom: {from}\r\n")), "{content}");
    }
    assert!(phrase(&"ü".repeat(200)).split(' ').all(|word| word.len() <= 75));
}

#[test]
fn recipients_come_from_where_they_should() {
    let text =
        "To: Bob <bob@x.org>, root\nCc: carol@y.org\nBcc: dave@z.org,\n eve@z.org\n\nhello\n";
    let header = Request { from_header: true, ..request(&["frank@x.org", "bob@X.ORG"]) };
    let (transaction, content) = composed(&header, text).unwrap();
    let all =
        ["frank@x.org", "bob@X.ORG", "root@box.example", "carol@y.org", "dave@z.org", "eve@z.org"];
    assert_eq!(to(&transaction), all);
    assert!(!content.contains("Bcc") && !content.contains("eve"), "{content}");
    // Without -t the header is not asked, and keeps its secrets all the same.
    let (transaction, content) = composed(&request(&["frank", "<gus@x>"]), text).unwrap();
    assert_eq!(to(&transaction), ["frank@box.example", "gus@x"]);
    assert!(!content.contains("Bcc"));
}

#[test]
fn a_message_that_is_sent_on_goes_to_whom_it_is_sent_on() {
    let text = "Resent-To: new@x.org\nResent-Bcc: quiet@x.org\nTo: old@x.org\n\n";
    let header = Request { from_header: true, ..Request::default() };
    let (transaction, content) = composed(&header, text).unwrap();
    assert_eq!(to(&transaction), ["new@x.org", "quiet@x.org"]);
    assert!(!content.contains("quiet"));
}

#[test]
fn what_has_no_recipients_is_not_sent() {
    let header = Request { from_header: true, ..Request::default() };
    assert_eq!(composed(&Request::default(), "To: a@b\n\n").unwrap_err().exit, exit::USAGE);
    let none = composed(&header, "To: undisclosed-recipients:;\n\n").unwrap_err();
    assert_eq!((none.exit, none.message.as_str()), (64, "no recipients; the header names none"));
    assert_eq!(composed(&request(&["a@b@c"]), "").unwrap_err().exit, exit::USAGE);
    let wrong = composed(&header, "To: a@b, c d\x1b[2J\n\n").unwrap_err();
    assert_eq!(wrong.exit, exit::DATA);
    assert!(wrong.message.starts_with("To: a@b, c d\\x1b[2J: "), "{wrong}");
    assert_eq!(composed(&header, "To: a@b..c\n\n").unwrap_err().exit, exit::DATA);
}

#[test]
fn what_the_transaction_must_declare() {
    let declared = |to: &str, text: &str| {
        let (transaction, _) = composed(&request(&[to]), text).unwrap();
        (transaction.body, transaction.utf8)
    };
    use BodyType::{EightBitMime, SevenBit};
    assert_eq!(declared("b@x", "A: b\n\nc\n"), (SevenBit, false));
    assert_eq!(declared("b@x", "A: b\n\nü\n"), (EightBitMime, false));
    assert_eq!(declared("b@x", "A: ü\n\nc\n"), (EightBitMime, true));
    assert_eq!(declared("ü@x", "A: b\n\nc\n"), (SevenBit, true));
    let notify = Notify::parse("DELAY").unwrap();
    let dsn = Request { notify, envid: Some("x".into()), ..request(&["b@x"]) };
    let (transaction, _) = composed(&dsn, "").unwrap();
    assert_eq!(transaction.recipients[0].1.notify, notify);
    assert_eq!(transaction.envid.as_deref(), Some("x"));
}
