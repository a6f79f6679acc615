//! Recordings as files, and back.

use std::time::Duration;

use super::content::{dotted, size_of};
use super::*;
use crate::base::Wall;
use crate::journal::{Kept, Mark, Sign, Subject};

/// A session of these lines: `->`, `<-` and so on, or the name of a subject.
pub(super) fn session(id: &str, script: &[(&str, &[u8])]) -> Conversation {
    let mut conversation = Conversation::new(id.parse().unwrap());
    for (i, (kind, text)) in (0..).zip(script) {
        let subject = match *kind {
            "opened" => Subject::Opened,
            "content" => Subject::Content,
            "accepted" => Subject::Accepted,
            "closed" => Subject::Closed,
            "remark" => Subject::Remark,
            _ => Subject::Line,
        };
        conversation.push(Kept {
            at: Wall::from_micros(1_787_510_546_000_000 + i * 1500),
            delay: Duration::from_micros(1500),
            sign: Sign::try_from(*kind).unwrap_or(Sign::Event),
            mark: Mark::Plain,
            subject,
            text: text.to_vec(),
            cut: false,
        });
    }
    conversation
}

/// A message, and a recipient that the gate refuses.
pub(super) fn usual() -> Conversation {
    session(
        "i7",
        &[
            ("opened", b"connected from 192.0.2.7:4711"),
            ("<-", b"220 mx.example.org"),
            ("->", b"EHLO client"),
            ("<-", b"250-mx.example.org"),
            ("<-", b"250 SIZE"),
            ("->", b"MAIL FROM:<ann@example.org> SIZE=30"),
            ("<-", b"250 2.1.0 Ok"),
            ("->", b"RCPT TO:<bob@example.net>"),
            ("<-", b"250 2.1.5 Ok"),
            ("->", b"RCPT TO:<eve@example.com>"),
            ("<-", b"550 5.7.1 Relaying denied"),
            ("->", b"DATA"),
            ("<-", b"354 Go on"),
            ("content", b"[120 octets of content]"),
            ("accepted", b"q1A accepted from=<ann@example.org> nrcpts=1 size=120"),
            ("<-", b"250 2.0.0 Ok: queued as q1A"),
            ("->", b"no\\op \xff\xe2\x80\xae"),
            ("<-", b"500 5.5.1 What?"),
            ("->", b"QUIT"),
            ("<-", b"221 2.0.0 Bye"),
            ("closed", b"closed: quit"),
        ],
    )
}

#[test]
fn text_and_json_read_back() {
    let all = [usual(), session("o3", &[("remark", b"x"), ("~>", b"EHLO mx"), ("<~", b"250 hi")])];
    let now = Wall::from_secs(1_787_510_600);
    for octets in [text("i7", &all, now), json("i7", &all, &[], now)] {
        let back = read(&octets).unwrap().sessions;
        assert_eq!(back.len(), 2);
        for (read, wrote) in back.iter().zip(&all) {
            assert_eq!(read.id, wrote.id);
            let texts = wrote.lines.iter().map(|line| (line.sign, &line.text));
            assert!(read.lines.iter().map(|line| (line.sign, &line.text)).eq(texts));
            assert!(read.lines.iter().all(|line| line.delay.as_millis() == 1));
        }
    }
}

#[test]
fn what_is_no_export_is_refused_with_its_place() {
    for (wrong, words) in [
        (&b"\xff"[..], "UTF-8"),
        (b"", "no session"),
        (b"{", "not the JSON"),
        (b"{\"mailflux\":2,\"conversations\":[]}", "version 2"),
        (b"# x\nhello\n", "line 2 is not of a transcript"),
        (b"18:42:26.123 +0.004 i7 -> a\\q\n", "line 1"),
        (b"18:42:26.123 +0.004 x7 -> a\n", "line 1"),
        (b"18:42:26.123 +9h99999999999m i7 -> a\n", "line 1"),
    ] {
        let why = read(wrong).unwrap_err();
        assert!(why.contains(words), "{why}");
    }
    let (delays, text) = (["+0.004", "+2m05s", "+2h05m"], "18:42:26.123 X i7 -> a");
    let read_delay =
        |delay| read(text.replace('X', delay).as_bytes()).unwrap().sessions[0].lines[0].delay;
    assert_eq!(delays.map(read_delay).map(|delay| delay.as_millis()), [4, 125_000, 7_500_000]);
}

/// A packet of a capture: seconds, from the client, flags, sequence, acknowledgment, payload.
struct Packet {
    from_client: bool,
    flags: u8,
    sequence: u32,
    acknowledged: u32,
    payload: Vec<u8>,
}

/// Takes a capture apart and checks every sum in it.
fn packets(capture: &[u8], client_port: u16) -> Vec<Packet> {
    let word = |at: usize| u32::from_le_bytes(capture[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((word(0), word(20)), (0xa1b2_c3d4, 101));
    let (mut at, mut found) = (24, Vec::new());
    while at < capture.len() {
        let length = word(at + 8);
        let packet = &capture[at + 16..at + 16 + length];
        at += 16 + length;
        let v4 = packet[0] >> 4 == 4;
        let (ip, addresses) = if v4 { (20, 12..20) } else { (40, 8..40) };
        let folded = |octets: &[u8]| {
            let mut sum: u32 = octets
                .chunks(2)
                .map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)))
                .sum();
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            sum
        };
        assert!(!v4 || folded(&packet[..20]) == 0xffff, "the sum of an IP header");
        let tcp = &packet[ip..];
        let mut pseudo = packet[addresses].to_vec();
        pseudo.extend_from_slice(&(tcp.len() as u32).to_be_bytes());
        pseudo.extend_from_slice(&[0, 0, 0, 6]);
        pseudo.extend_from_slice(tcp);
        assert_eq!(folded(&pseudo), 0xffff, "the sum of a segment");
        let number = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
        found.push(Packet {
            from_client: u16::from_be_bytes([tcp[0], tcp[1]]) == client_port,
            flags: tcp[13],
            sequence: number(4),
            acknowledged: number(8),
            payload: tcp[20..].to_vec(),
        });
    }
    found
}

#[test]
fn a_capture_is_a_right_connection() {
    let mut v6 = usual();
    v6.peer = "[2001:db8::7]:4711".parse().ok();
    for (session, known) in [(usual(), None), (v6, Some(&b"a\r\n.b"[..]))] {
        let (capture, remarks) = pcap(std::slice::from_ref(&session), Body { known });
        assert_eq!(remarks.iter().any(|r| r.contains("stand for it")), known.is_none());
        let packets = packets(&capture, 4711);
        // What each side says next: each takes up where it ended, and has heard all of the other.
        let mut next = [1000u32, 5000];
        let mut said = [Vec::new(), Vec::new()];
        for packet in &packets {
            let side = usize::from(!packet.from_client);
            assert_eq!(packet.sequence, next[side]);
            let heard = if packet.flags & 16 == 0 { 0 } else { next[1 - side] };
            assert_eq!(packet.acknowledged, heard);
            next[side] += packet.payload.len() as u32 + u32::from(packet.flags & 3 != 0);
            said[side].extend_from_slice(&packet.payload);
        }
        let flags: Vec<u8> = packets.iter().map(|packet| packet.flags & 19).collect();
        assert_eq!(flags[..3], [2, 18, 16]);
        assert_eq!(flags[flags.len() - 3..], [17, 17, 16]);
        let client = String::from_utf8_lossy(&said[0]).into_owned();
        assert!(client.starts_with("EHLO client\r\n") && client.ends_with("QUIT\r\n"));
        match known {
            Some(_) => assert!(client.contains("DATA\r\na\r\n..b\r\n.\r\n"), "{client}"),
            None => {
                let (_, content) = client.split_once("DATA\r\n").unwrap();
                assert_eq!(content.find("\r\n.\r\n"), Some(118), "{content}");
            }
        }
    }
}

#[test]
fn chunks_in_a_capture_have_their_size_and_too_much_ends_it() {
    let chunks = |size: &str| {
        let bdat = format!("BDAT {size} LAST").into_bytes();
        session(
            "o3",
            &[("<-", b"220"), ("->", &bdat), ("content", b"q1 [9 octets"), ("<-", b"250")],
        )
    };
    let (capture, _) = pcap(&[chunks("2000")], Body::default());
    let port = 32_768 + 3;
    let octets = |client: bool, capture: &[u8]| -> usize {
        let packets = packets(capture, port);
        packets.iter().filter(|p| p.from_client == client).map(|p| p.payload.len()).sum()
    };
    assert_eq!(octets(true, &capture), "BDAT 2000 LAST\r\n".len() + 2000);
    let (capture, remarks) = pcap(&[chunks("99999999999")], Body::default());
    assert!(octets(false, &capture) == 5 && remarks.iter().any(|r| r.contains("left out")));
}

#[test]
fn a_session_becomes_a_dialog() {
    let made = String::from_utf8(dialog(&usual()).unwrap()).unwrap();
    let want = r"# Session i7 as it was recorded; content is made up.
S: 220
C: EHLO client
S* 250
C: MAIL FROM:<ann@example.org> SIZE=30
S: 250 2.1.0
C: RCPT TO:<bob@example.net>
S: 250 2.1.5
V: rcpt 550 5.7.1 Relaying denied
C: RCPT TO:<eve@example.com>
S: 550 5.7.1
C: DATA
S: 354
# 120 octets of content with its trace header
C: Subject: recorded
C:
C: .
S: 250 2.0.0
M: ann@example.org -> bob@example.net
B: Subject: recorded
B:
C: no\\op \xff\xe2\x80\xae
S: 500 5.5.1
C: QUIT
S: 221 2.0.0
X:
";
    assert_eq!(made, want);
}

#[test]
fn a_dialog_shows_no_octets_that_a_terminal_obeys() {
    let hostile = session(
        "i8",
        &[
            ("opened", b""),
            ("<-", b"220 mx"),
            ("->", "MAIL FROM:<\u{9b}\u{200b}\u{fc}@x> SMTPUTF8".as_bytes()),
            ("<-", b"250 2.1.0 Ok"),
            ("->", b"RCPT TO:<\"a\\\"\"@x>"),
            ("<-", b"250 2.1.5 Ok"),
            ("->", b"BDAT 0 LAST"),
            ("accepted", b"q1B accepted"),
            ("<-", b"250 2.0.0 Ok"),
        ],
    );
    let made = String::from_utf8(dialog(&hostile).unwrap()).unwrap();
    assert!(made.contains("C: MAIL FROM:<\\xc2\\x9b\\xe2\\x80\\x8b\u{fc}@x> SMTPUTF8\n"), "{made}");
    let names = "M: \\xc2\\x9b\\xe2\\x80\\x8b\u{fc}@x -> \"a\\\\\"\"@x\n";
    assert!(made.contains(names), "{made}");
}

#[test]
fn a_dialog_of_chunks_and_of_what_cannot_be_kept() {
    let chunks = session(
        "i8",
        &[
            ("opened", b"connected from 192.0.2.7:4711"),
            ("<-", b"220 mx"),
            ("->", b"MAIL FROM:<>"),
            ("<-", b"250 2.1.0 Ok"),
            ("->", b"RCPT TO:<bob@example.net>"),
            ("<-", b"250 2.1.5 Ok"),
            ("->", b"BDAT 5"),
            ("<-", b"250 2.0.0 Ok"),
            ("->", b"BDAT 0 LAST"),
            ("accepted", b"q1B accepted"),
            ("<-", b"250 2.0.0 Ok"),
        ],
    );
    let made = String::from_utf8(dialog(&chunks).unwrap()).unwrap();
    let end = r"C: BDAT 5
c: \{x*5}
S: 250 2.0.0
C: BDAT 0 LAST
S: 250 2.0.0
M: <> -> bob@example.net
b: \{x*5}
";
    assert!(made.ends_with(end), "{made}");
    let login = session("i9", &[("opened", b""), ("<-", b"220"), ("->", b"AUTH PLAIN ***")]);
    assert!(dialog(&login).unwrap_err().contains("login"));
    assert!(dialog(&session("i9", &[("<-", b"220")])).unwrap_err().contains("beginning"));
}

#[test]
fn content_is_made_to_measure() {
    for size in 0..300 {
        let content = Body::default().of_size(size).unwrap().into_owned();
        assert_eq!(content.len() as u64, size);
        assert!(size < 2 || content.ends_with(b"\r\n"));
        let bare = content.windows(2).filter(|w| w[0] == b'\r' && w[1] != b'\n').count();
        assert_eq!(bare, 0, "{}", content.escape_ascii());
    }
    assert!(Body::default().of_size(1 << 40).is_none());
    assert_eq!(dotted(b""), b".\r\n");
    assert_eq!(dotted(b".a\r\nb"), b"..a\r\nb\r\n.\r\n");
    assert_eq!(size_of(b"q1A [123 octets of content]"), Some(123));
    assert_eq!(size_of(b"[99999999999999999999 octets"), None);
}
