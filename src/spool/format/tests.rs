//! The format: it reads back what it writes, has one spelling, and survives any octets.

use super::*;
use crate::base::{Address, BodyType, Client, Notify, Protocol, Recipient, Ret};

const ID: MessageId = MessageId { arrived: 0x6a8b_3f12, counter: 0x1a };
const ARRIVED: Wall = Wall::from_secs(1_787_510_546);

fn plain() -> Envelope {
    let to = |text| Recipient::new(Address::parse(text).unwrap());
    let mut carol = to("carol@example.org");
    carol.notify = Notify::When { success: false, failure: true, delay: false };
    Envelope {
        client: Client {
            ip: Some("192.0.2.7".parse().unwrap()),
            helo: Some("mail.example.com".into()),
            protocol: Protocol::Esmtp { tls: true, auth: false, utf8: false },
            user: None,
        },
        from: Some(Address::parse("alice@example.com").unwrap()),
        body: BodyType::EightBitMime,
        utf8: false,
        ret: None,
        envid: None,
        recipients: vec![to("bob@example.net"), carol],
        bounce_of: None,
    }
}

/// Everything that an envelope can hold, as nasty as the types allow.
fn full() -> Envelope {
    let to = |text: &str, orcpt: Option<&str>| Recipient {
        address: Address::parse(text).unwrap(),
        notify: Notify::When { success: true, failure: true, delay: true },
        orcpt: orcpt.map(str::to_owned),
        via: Box::default(),
    };
    Envelope {
        client: Client {
            ip: Some("2001:db8::1".parse().unwrap()),
            helo: Some("[IPv6:2001:db8::1]".into()),
            protocol: Protocol::Esmtp { tls: true, auth: true, utf8: true },
            user: Some("ann smith\r\nTo: + <x@y>\n%41 ü\u{85}".into()),
        },
        from: Some(Address::parse("\"a > b\\\" \"@grün.example").unwrap()),
        body: BodyType::EightBitMime,
        utf8: true,
        ret: Some(Ret::Headers),
        envid: Some("QQ+2B%\n\nMAILFLUX1 ".into()),
        recipients: vec![
            to("\"\nTo: - <\"@x".replace('\n', " ").as_str(), Some("rfc822;a+20b@c")),
            to("postmaster", Some("")),
            to("ü@[192.0.2.1]", Some("utf-8;\\x{fc}@x y")),
            Recipient {
                address: Address::parse("a%b@c").unwrap(),
                notify: Notify::Never,
                orcpt: None,
                via: ["first".into(), "second".into()].into(),
            },
        ],
        bounce_of: Some((0x00ab_cdef_0123, vec![0, 3, 4_294_967_295])),
    }
}

fn record(envelope: &Envelope, body: &[u8]) -> Vec<u8> {
    let mut record = encode(ID, ARRIVED, envelope, 0).unwrap();
    let len = Line::len(ID) as usize;
    let crc = crc32c::crc32c_append(crc_of_head(&record[len..]), body);
    let line = Line { body: body.len() as u64, crc, ..Line::parse(&record).unwrap() };
    record[..len].copy_from_slice(line.text().as_bytes());
    record.extend_from_slice(body);
    record.push(b'\n');
    record
}

fn read(record: &[u8]) -> Result<(Line, Head), Broken> {
    let line = Line::parse(record)?;
    let from = Line::len(line.id) as usize;
    let head = record.get(from..from + line.head as usize).ok_or(Broken("short"))?;
    Ok((line, parse_head(head, &line)?))
}

#[test]
fn a_record_looks_as_the_design_says() {
    let text = String::from_utf8(record(&plain(), b"Received: x\r\n")).unwrap();
    let crc = &text[60..68];
    let expected = format!(
        "MAILFLUX1 6a8b3f12-00001a head=00000189 body=0000000013 crc={crc}\n\
         Arrived: 1787510546 2026-08-23T18:42:26Z\n\
         Client: 192.0.2.7 mail.example.com ESMTPS\n\
         From: <alice@example.com> BODY=8BITMIME\n\
         To: - <bob@example.net>\n\
         To: - <carol@example.org> NOTIFY=FAILURE\n\
         \n\
         Received: x\r\n\n"
    );
    assert_eq!(text, expected);
    assert_eq!(Line::parse(text.as_bytes()).unwrap().record_len(), text.len() as u64);
}

#[test]
fn every_envelope_reads_back() {
    let mut bare = plain();
    bare.client =
        Client { ip: None, helo: None, protocol: Protocol::Local, user: Some(String::new()) };
    bare.from = None;
    bare.bounce_of = Some((1, vec![]));
    for envelope in [plain(), full(), bare] {
        let (_, parsed) = read(&record(&envelope, b"x")).unwrap();
        assert_eq!(parsed.arrived, ARRIVED);
        assert_eq!(parsed.statuses, vec![Status::Pending; envelope.recipients.len()]);
        assert_eq!(parsed.envelope, envelope);
    }
}

#[test]
fn long_counters_have_long_lines() {
    for counter in [0, 0xff_ffff, 0x100_0000, u64::MAX] {
        let id = MessageId { counter, ..ID };
        let record = encode(id, ARRIVED, &plain(), 0).unwrap();
        let lf = record.iter().position(|b| *b == b'\n').unwrap();
        assert_eq!(Line::len(id), lf as u64 + 1);
        assert!(lf < MAX_LINE);
        assert_eq!(Line::parse(&record).unwrap().id, id);
    }
}

#[test]
fn a_status_is_one_octet_and_the_checksum_does_not_see_it() {
    let mut record = record(&full(), b"x");
    let from = Line::len(ID) as usize;
    let before = crc_of_head(&record[from..record.len() - 2]);
    let all = [Status::Delivered, Status::Failed, Status::Held, Status::Delayed];
    for (i, status) in all.into_iter().enumerate() {
        let at = status_positions(&record[from..]).nth(i).unwrap();
        record[from + at] = status.octet();
    }
    assert_eq!(status_positions(&record[from..]).count(), 4);
    let (_, parsed) = read(&record).unwrap();
    assert_eq!((parsed.statuses, parsed.envelope), (all.to_vec(), full()));
    assert_eq!(crc_of_head(&record[from..record.len() - 2]), before);
}

/// One spelling: whatever still reads after an octet was changed, deleted or doubled is another
/// envelope, or only another status.
#[test]
fn no_two_spellings_of_an_envelope() {
    for envelope in [plain(), full()] {
        let good = record(&envelope, b"");
        let head = &good[Line::len(ID) as usize..good.len() - 1];
        let line = Line::parse(&good).unwrap();
        let right = parse_head(head, &line).unwrap();
        for at in 0..head.len() {
            let mut variants: Vec<Vec<u8>> = Vec::new();
            for octet in [0, b' ', b'%', b'-', b'+', b'0', b'a', b'\n', b'\r', b'>', 0x80, 0xff] {
                let mut bad = head.to_vec();
                bad[at] = octet;
                variants.push(bad);
            }
            variants.push([&head[..at], &head[at + 1..]].concat());
            variants.push([&head[..=at], &head[at..]].concat());
            for variant in variants {
                if variant == head {
                    continue;
                }
                if let Ok(parsed) = parse_head(&variant, &line) {
                    assert_ne!(parsed, right, "{:?}", String::from_utf8_lossy(&variant));
                }
            }
        }
    }
}

/// No octets make a parser panic: random ones, damaged records, every prefix.
#[test]
fn any_octets() {
    let mut rng = fastrand::Rng::with_seed(7);
    let good = record(&full(), b"content\n\nMAILFLUX1 \n");
    for end in 0..good.len() {
        let _ = read(&good[..end]);
    }
    for _ in 0..20_000 {
        let mut bad = good.clone();
        for _ in 0..rng.usize(1..6) {
            let at = rng.usize(..bad.len());
            match rng.u8(..4) {
                0 => bad[at] = rng.u8(..),
                1 => bad.truncate(at + 1),
                2 => bad.insert(at, *rng.choice(b"\n <>%-=:0\xff").unwrap()),
                _ => drop(bad.remove(rng.usize(..bad.len()))),
            }
            if bad.is_empty() {
                break;
            }
        }
        let _ = read(&bad);
        let _ = crc_of_head(&bad);
    }
    for wrong in [
        "MAILFLUX1 6a8b3f12-00001a head=00000189 body=0000000189 crc=9848BA9D\n",
        "MAILFLUX1 6a8b3f12-00001a head=+0000189 body=0000000189 crc=9848ba9d\n",
        "MAILFLUX1 6a8b3f12-00001a head=0000189 body=0000000189 crc=9848ba9d\n",
        "MAILFLUX1 6a8b3f12-00001a head=00000189 body=0000000189 crc=9848ba9d \n",
        "MAILFLUX1  head=00000189 body=0000000189 crc=9848ba9d\n",
        "MAILFLUX2 6a8b3f12-00001a head=00000189 body=0000000189 crc=9848ba9d\n",
        "",
    ] {
        assert!(Line::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
