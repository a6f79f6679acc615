//! Small parsers of what comes from the network or the terminal.

use std::time::Duration;

use mailflux::base::{Address, Printable, ReplyParser, Time};
use mailflux::console::{Decoder, Key};
use mailflux::dns::{Action, Families, Found, Hosts, MailHosts, ResolvConf, Resolver, Transport};
use mailflux::smtp::proxy::{self, Header};

use super::pieces;

/// What is an address reads back as itself, and never holds what would end the line it stands in.
pub fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(address) = Address::parse(text) {
        let shown = address.as_str();
        assert_eq!(Address::parse(shown).as_ref(), Ok(&address));
        assert!(shown.bytes().all(|b| !b.is_ascii_control()), "{shown:?}");
        address.domain();
    }
    if let Ok((address, length)) = Address::parse_prefix(text) {
        assert!(text.is_char_boundary(length));
        assert!(Address::parse(address.as_str()).is_ok());
    }
}

/// A reply is read, written and read again, and is the same.
pub fn reply(data: &[u8]) {
    let (mut parser, mut rest) = (ReplyParser::default(), data);
    while let Ok(Some((taken, reply))) = parser.step(rest) {
        assert!(taken > 0);
        rest = &rest[taken..];
        let Some(reply) = reply else { continue };
        assert!((200..600).contains(&reply.code));
        let mut wire = Vec::new();
        reply.write_to(&mut wire);
        reply.on_one_line();
        let mut again = ReplyParser::default();
        let mut left = &wire[..];
        let mut read = None;
        while read.is_none() {
            let (taken, reply) = again.step(left).expect("our own form").expect("a line");
            left = &left[taken..];
            read = reply;
        }
        let read = read.expect("a reply");
        assert!(left.is_empty(), "more than one reply: {wire:?}");
        assert_eq!((read.code, read.enhanced), (reply.code, reply.enhanced));
    }
}

/// A header is never read past its end, and comes out the same in any pieces.
pub fn proxy_header(data: &[u8]) {
    let mut have = 0;
    loop {
        match proxy::parse(&data[..have]) {
            Header::More(n) => {
                assert!(n > 0 && n <= 4096);
                if have + n > data.len() {
                    return;
                }
                have += n;
            }
            Header::Client(_) | Header::Local | Header::Garbage => return,
        }
    }
}

/// Answers of a name server that says anything, to all kinds of questions. The identity and the
/// question of an answer are made right, else nothing else would ever be looked at.
pub fn dns_answer(data: &[u8]) {
    let [mood, answer @ ..] = data else { return };
    let conf = ResolvConf::parse("nameserver 192.0.2.1\noptions timeout:1 attempts:1\n");
    let mut resolver = Resolver::new(conf, Families::Both, Hosts::parse(""), 7);
    let mut now = Time::from_micros(1_000_000);
    let mail = mood & 1 == 1;
    for _ in 0..64 {
        if mail {
            let found = resolver.mail_hosts("mail.example", |_, _| false, now);
            if !matches!(found, MailHosts::Asking) {
                break;
            }
        } else if !matches!(resolver.host("host.example", now), Found::Asking) {
            break;
        }
        let mut asked = false;
        while let Some(action) = resolver.action() {
            let Action::Ask { id, transport, octets, .. } = action else { continue };
            asked = true;
            let skip = if transport == Transport::Tcp { 2 } else { 0 };
            let mut message = octets[skip..].to_vec();
            if mood & 2 == 0 && message.len() > 12 && answer.len() > 10 {
                message[2..12].copy_from_slice(&answer[..10]);
                message[2] |= 0x80;
                message[4..6].copy_from_slice(&[0, 1]);
                message.extend_from_slice(&answer[10..]);
            } else {
                message = answer.to_vec();
            }
            if transport == Transport::Tcp {
                let mut framed = (message.len() as u16).to_be_bytes().to_vec();
                framed.extend_from_slice(&message);
                pieces(&framed, u64::from(*mood)).iter().for_each(|p| resolver.heard(id, p, now));
            } else {
                resolver.heard(id, &message, now);
            }
        }
        if !asked {
            now = now.after(Duration::from_secs(2));
            resolver.timeout(now);
        }
    }
}

/// Keys come out the same however their octets were read, and nothing is a control character.
pub fn keys(data: &[u8]) {
    let [seed, octets @ ..] = data else { return };
    let read = |pieces: &[&[u8]]| {
        let (mut decoder, mut keys) = (Decoder::default(), Vec::new());
        pieces.iter().for_each(|piece| decoder.feed(piece, &mut keys));
        decoder.flush(&mut keys);
        keys
    };
    let whole = read(&[octets]);
    assert_eq!(read(&pieces(octets, u64::from(*seed))), whole);
    for key in whole {
        if let Key::Char(c) = key {
            assert!(!c.is_control(), "{c:?}");
        }
    }
}

/// Nothing that a terminal would obey gets through, and the length is bounded.
pub fn printable(data: &[u8]) {
    for shown in [Printable::new(data), Printable::bounded(data, 40)] {
        for c in shown.as_str().chars() {
            let hidden = matches!(c,
                '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{061c}' | '\u{2028}' | '\u{2029}');
            assert!(!c.is_control() && !hidden, "{c:?}");
        }
        // Shown once more, only backslashes grow.
        let again = Printable::from_shown(shown.as_str());
        assert_eq!(again.as_str(), shown.as_str());
    }
    // No octet shows as more than `\\xff`; the cut as one more.
    assert!(Printable::bounded(data, 40).as_str().chars().count() <= 4 * 40 + 1);
}
