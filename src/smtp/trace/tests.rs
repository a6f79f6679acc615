//! The trace header, octet by octet.

use super::*;
use crate::base::{Address, Client, Recipient};

const HOST: &str = "mx.example.net";

fn envelope(helo: Option<&str>, ip: Option<&str>, recipients: &[&str]) -> Envelope {
    let address = |a: &&str| Recipient::new(Address::parse(a).unwrap());
    Envelope::plain(
        Client {
            ip: ip.map(|ip| ip.parse().unwrap()),
            helo: helo.map(String::from),
            protocol: Protocol::Esmtp { tls: false, auth: false, utf8: false },
            user: Some("never-shown".into()),
        },
        None,
        recipients.iter().map(address).collect(),
    )
}

fn written(envelope: &Envelope) -> String {
    let id = MessageId { arrived: 0x6a8b_3f12, counter: 0x1a };
    let field = received(envelope, HOST, id, Wall::from_secs(1_787_510_546));
    String::from_utf8(field).unwrap()
}

#[test]
fn one_recipient_is_named() {
    let envelope = envelope(Some("mail.example.com"), Some("192.0.2.7"), &["bob@example.org"]);
    assert_eq!(
        written(&envelope),
        "Received: from mail.example.com ([192.0.2.7]) by mx.example.net with ESMTP\r\n\
         \tid 6a8b3f12-00001a for <bob@example.org>;\r\n\
         \tSun, 23 Aug 2026 18:42:26 +0000\r\n"
    );
}

#[test]
fn several_recipients_are_not() {
    let envelope = envelope(Some("h"), Some("2001:db8::1"), &["bob@example.org", "secret@x"]);
    assert_eq!(
        written(&envelope),
        "Received: from h ([IPv6:2001:db8::1]) by mx.example.net with ESMTP\r\n\
         \tid 6a8b3f12-00001a; Sun, 23 Aug 2026 18:42:26 +0000\r\n"
    );
}

#[test]
fn without_a_name_the_address_stands_alone() {
    let envelope = envelope(None, Some("192.0.2.7"), &["a@b"]);
    assert!(written(&envelope).starts_with("Received: from [192.0.2.7] by mx.example.net with "));
}

#[test]
fn mail_made_here_came_from_nobody() {
    let mut envelope = envelope(None, None, &["a@b"]);
    envelope.client.protocol = Protocol::Local;
    assert_eq!(
        written(&envelope),
        "Received: by mx.example.net id 6a8b3f12-00001a for <a@b>;\r\n\
         \tSun, 23 Aug 2026 18:42:26 +0000\r\n"
    );
}

#[test]
fn lines_are_short_where_words_allow() {
    for n in 1..60 {
        let (helo, to) = ("h".repeat(n), format!("{}@x", "r".repeat(n)));
        let text = written(&envelope(Some(&helo), Some("192.0.2.7"), &[&to]));
        let unfolded = text.replace("\r\n\t", " ");
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert!(lines.iter().all(|l| l.len() <= MAX_COLUMNS && !l.trim().is_empty()), "{text}");
        assert!(unfolded.contains(&format!("from {helo} ([192.0.2.7]) by {HOST} with ESMTP id ")));
        assert!(unfolded.contains(&format!("for <{to}>; Sun, 23 Aug")));
    }
}
