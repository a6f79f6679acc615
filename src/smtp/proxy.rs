//! The PROXY protocol, versions 1 and 2: in the first octets of a connection a balancer says whose
//! connection it is (haproxy.org, `proxy-protocol.txt`).
//!
//! Only a proxy that is trusted may say so, since anybody could claim any address; who is trusted
//! is the caller's to know. What follows the header belongs to the client, perhaps to its TLS, so
//! not one octet more than the header may be read: [`parse`] says how many it still needs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets of the longest header of version 1, with its CRLF.
const MAX_V1: usize = 107;
/// Octets of the shortest one: `PROXY UNKNOWN` and CRLF.
const MIN_V1: usize = 15;
/// Octets of version 2 before the addresses.
const HEAD: usize = 16;
/// Octets that follow them at most; what a proxy adds (TLVs) is passed over.
const MAX_REST: usize = 2048;
/// The first octets of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a header says so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Header {
    /// So many octets can be read without reading past its end.
    More(usize),
    /// It is whole: the connection is this client's.
    Client(SocketAddr),
    /// It is whole: the connection is the proxy's own, to see whether we live.
    Local,
    /// It is no header.
    Garbage,
}

/// Reads what came so far.
pub fn parse(octets: &[u8]) -> Header {
    let start = &octets[..octets.len().min(SIGNATURE.len())];
    if SIGNATURE.starts_with(start) && !start.is_empty() {
        return version_2(octets);
    }
    let word = b"PROXY ";
    if !word.starts_with(&octets[..octets.len().min(word.len())]) {
        return Header::Garbage;
    }
    match octets {
        [line @ .., b'\r', b'\n'] => version_1(line),
        _ if octets.len() >= MAX_V1 || octets.contains(&b'\n') => Header::Garbage,
        // The rest in single octets: nobody knows which is the last.
        _ => Header::More(MIN_V1.saturating_sub(octets.len()).max(1)),
    }
}

/// `PROXY TCP4 192.0.2.7 198.51.100.1 56324 25`, without its CRLF.
fn version_1(line: &[u8]) -> Header {
    let Ok(line) = std::str::from_utf8(line) else { return Header::Garbage };
    let words: Vec<&str> = line.split(' ').collect();
    let client = match words[..] {
        // Whatever follows is to be passed over.
        ["PROXY", "UNKNOWN", ..] => return Header::Local,
        ["PROXY", "TCP4", source, to, port, to_port] => {
            let parsed = (source.parse::<Ipv4Addr>(), to.parse::<Ipv4Addr>(), number(to_port));
            match parsed {
                (Ok(ip), Ok(_), Some(_)) => number(port).map(|p| (IpAddr::V4(ip), p)),
                _ => None,
            }
        }
        ["PROXY", "TCP6", source, to, port, to_port] => {
            let parsed = (source.parse::<Ipv6Addr>(), to.parse::<Ipv6Addr>(), number(to_port));
            match parsed {
                (Ok(ip), Ok(_), Some(_)) => number(port).map(|p| (IpAddr::V6(ip), p)),
                _ => None,
            }
        }
        _ => None,
    };
    client.map_or(Header::Garbage, |client| Header::Client(client.into()))
}

/// A port: digits, and no zero before others.
fn number(text: &str) -> Option<u16> {
    let plain = text == "0" || !text.starts_with('0');
    (plain && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn version_2(octets: &[u8]) -> Header {
    if octets.len() < HEAD {
        return Header::More(HEAD - octets.len());
    }
    let (kind, family) = (octets[12], octets[13]);
    let rest = usize::from(u16::from_be_bytes([octets[14], octets[15]]));
    if kind >> 4 != 2 || rest > MAX_REST {
        return Header::Garbage;
    }
    let whole = HEAD + rest;
    match octets.len() {
        n if n < whole => return Header::More(whole - n),
        n if n > whole => return Header::Garbage,
        _ => {}
    }
    let rest = &octets[HEAD..];
    let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    match (kind & 0xf, family) {
        (0, _) => Header::Local,
        (1, 0x11) if rest.len() >= 12 => {
            let ip = Ipv4Addr::new(rest[0], rest[1], rest[2], rest[3]);
            Header::Client(SocketAddr::new(ip.into(), port(8)))
        }
        (1, 0x21) if rest.len() >= 36 => {
            let mut ip = [0; 16];
            ip.copy_from_slice(&rest[..16]);
            Header::Client(SocketAddr::new(Ipv6Addr::from(ip).into(), port(32)))
        }
        // A connection of a kind that has no address for us: Unix sockets, or not told.
        (1, 0x00 | 0x31) => Header::Local,
        _ => Header::Garbage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads as a connection would: never more than is asked for; what is left is the client's.
    fn read(octets: &[u8]) -> (Header, usize) {
        let mut at = 0;
        loop {
            match parse(&octets[..at]) {
                Header::More(n) => {
                    assert!(n > 0 && at + n <= octets.len(), "{at} and {n} of {}", octets.len());
                    at += n;
                }
                done => return (done, at),
            }
        }
    }

    fn v2(kind: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[kind, family], &length, rest].concat()
    }

    fn client(text: &str) -> Header {
        Header::Client(text.parse().unwrap())
    }

    #[test]
    fn headers_of_version_1_end_where_they_end() {
        let longest = format!("PROXY UNKNOWN {}", "f".repeat(MAX_V1 - 16));
        for (line, header) in [
            ("PROXY TCP4 192.0.2.7 198.51.100.1 56324 25", client("192.0.2.7:56324")),
            (
                "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535",
                client("255.255.255.255:65535"),
            ),
            ("PROXY TCP6 2001:db8::7 2001:db8::1 1 0", client("[2001:db8::7]:1")),
            ("PROXY UNKNOWN", Header::Local),
            ("PROXY UNKNOWN ffff::1 ffff::2 1 2", Header::Local),
            (&longest, Header::Local),
        ] {
            let whole = format!("{line}\r\nEHLO client.example.com\r\n");
            assert_eq!(read(whole.as_bytes()), (header, line.len() + 2), "{line}");
        }
    }

    #[test]
    fn headers_of_version_2_end_where_they_end() {
        let v4 = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 0, 25];
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        (v6[15], v6[32], v6[33]) = (7, 0, 99);
        let with_more = [&v4[..], &[4, 0, 1, 0]].concat();
        for (octets, header) in [
            (v2(0x21, 0x11, &v4), client("192.0.2.7:56324")),
            (v2(0x21, 0x11, &with_more), client("192.0.2.7:56324")),
            (v2(0x21, 0x21, &v6), client("[2001:db8::7]:99")),
            (v2(0x20, 0, &[]), Header::Local),
            (v2(0x20, 0x11, &v4), Header::Local),
            (v2(0x21, 0, &[]), Header::Local),
            (v2(0x21, 0x31, &[0; 216]), Header::Local),
        ] {
            let whole = [&octets[..], b"\x16\x03\x01"].concat();
            assert_eq!(read(&whole), (header, octets.len()));
        }
    }

    #[test]
    fn what_is_no_header_is_garbage() {
        let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(200));
        for text in [
            "EHLO client.example.com\r\n",
            "PROXY\r\nEHLO client.example.com\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324 25 1\r\n",
            "PROXY TCP4 192.0.2.7  198.51.100.1 56324 25\r\n",
            "PROXY TCP4 192.0.2.007 198.51.100.1 56324 25\r\n",
            "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
            "PROXY TCP6 192.0.2.7 198.51.100.1 56324 25\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 +1 25\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 007 25\r\n",
            "PROXY UDP4 192.0.2.7 198.51.100.1 56324 25\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 1 25\nEHLO x\r\n",
            "proxy UNKNOWN...\r\n",
            "\r\n\r\n\0\r\nQUIT\r....",
            &long,
        ] {
            assert_eq!(read(text.as_bytes()).0, Header::Garbage, "{text:?}");
        }
        for octets in [
            v2(0x11, 0x11, &[0; 12]),
            v2(0x22, 0x11, &[0; 12]),
            v2(0x21, 0x12, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x21, &[0; 35]),
            v2(0x21, 0x11, &[0; MAX_REST + 1]),
        ] {
            assert_eq!(read(&octets).0, Header::Garbage);
        }
    }

    #[test]
    fn no_octets_make_it_panic_or_ask_for_ever() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..50_000 {
            let mut octets = match rng.u8(..3) {
                0 => v2(rng.u8(..), rng.u8(..), &vec![rng.u8(..); rng.usize(..60)]),
                1 => b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n".to_vec(),
                _ => vec![],
            };
            octets.extend((0..rng.usize(..30)).map(|_| rng.u8(..)));
            if !octets.is_empty() {
                let at = rng.usize(..octets.len());
                octets[at] = rng.u8(..);
            }
            let mut at = 0;
            while let Header::More(n) = parse(&octets[..at]) {
                assert!(n > 0 && n <= MAX_REST);
                at += n;
                if at > octets.len() {
                    break;
                }
            }
        }
    }
}
