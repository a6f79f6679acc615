//! What must be known of content while it passes: where its header ends, how many hops it has
//! made, and whether a CR or LF stands alone.
//!
//! A header line, by what of it has been read:
//!
//! | place  | octet                       | next   |
//! | ------ | --------------------------- | ------ |
//! | Name n | the next letter of the name | Name n + 1 |
//! | Name 8, Blank | blank or tab         | Blank  |
//! | Name 8, Blank | colon: a hop         | Rest   |
//! | Name 0 | CRLF: the header has ended  | Body   |
//! | any    | CRLF                        | Name 0 |
//! | any    | anything else               | Rest   |

use memchr::memchr2;

/// The field that each hop puts on top (RFC 5321 section 4.4).
const NAME: &[u8] = b"received";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// So many letters of the name stand at the start of the line, and nothing else.
    Name(usize),
    /// Blanks between name and colon (RFC 5322 section 4.5 still reads them).
    Blank,
    Rest,
    Body,
}

/// Looks at all octets of a message once, in whatever pieces they come.
#[derive(Debug)]
pub struct Scanner {
    place: Place,
    /// The last octet was a CR that waits for its LF.
    cr: bool,
    bare: bool,
    hops: u32,
}

impl Default for Scanner {
    fn default() -> Scanner {
        Scanner { place: Place::Name(0), cr: false, bare: false, hops: 0 }
    }
}

impl Scanner {
    /// A CR without LF or an LF without CR has come.
    pub fn has_bare(&self) -> bool {
        self.bare
    }

    /// Received fields in the header so far.
    pub fn hops(&self) -> u32 {
        self.hops
    }

    /// The empty line has come.
    pub fn header_has_ended(&self) -> bool {
        self.place == Place::Body
    }

    /// The message has ended: no LF will come any more.
    pub fn finish(&mut self) {
        self.bare |= std::mem::take(&mut self.cr);
    }

    /// Looks at the next octets; takes all, or up to the end of the header.
    pub fn scan(&mut self, octets: &[u8]) -> usize {
        if self.place != Place::Body {
            return self.scan_header(octets);
        }
        self.scan_line_ends(octets);
        octets.len()
    }

    fn scan_header(&mut self, octets: &[u8]) -> usize {
        let mut i = 0;
        while i < octets.len() {
            if self.place == Place::Rest && !self.cr {
                i += memchr2(b'\r', b'\n', &octets[i..]).unwrap_or(octets.len() - i);
                if i == octets.len() {
                    break;
                }
            }
            self.header_octet(octets[i]);
            i += 1;
            if self.place == Place::Body {
                break;
            }
        }
        i
    }

    fn header_octet(&mut self, octet: u8) {
        let cr = std::mem::replace(&mut self.cr, octet == b'\r');
        match octet {
            b'\n' if cr => {
                let empty = self.place == Place::Name(0);
                self.place = if empty { Place::Body } else { Place::Name(0) };
                return;
            }
            b'\n' => self.bare = true,
            _ => self.bare |= cr,
        }
        self.place = match (self.place, octet) {
            // The start of a line end; after a CR that stands alone the line is not empty.
            (place, b'\r') if !cr => place,
            (Place::Name(n), _) if n < NAME.len() && octet.eq_ignore_ascii_case(&NAME[n]) => {
                Place::Name(n + 1)
            }
            (Place::Name(8) | Place::Blank, b' ' | b'\t') => Place::Blank,
            (Place::Name(8) | Place::Blank, b':') => {
                self.hops = self.hops.saturating_add(1);
                Place::Rest
            }
            _ => Place::Rest,
        };
    }

    /// Only bare CR and LF matter here, and they matter once.
    fn scan_line_ends(&mut self, octets: &[u8]) {
        if self.bare || octets.is_empty() {
            return;
        }
        let mut rest = octets;
        if std::mem::take(&mut self.cr) {
            match rest.strip_prefix(b"\n") {
                Some(after) => rest = after,
                None => self.bare = true,
            }
        }
        while let Some(at) = memchr2(b'\r', b'\n', rest) {
            match rest[at..] {
                [b'\r', b'\n', ..] => rest = &rest[at + 2..],
                [b'\r'] => {
                    self.cr = true;
                    return;
                }
                _ => {
                    self.bare = true;
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans in pieces of this size; says where the header ended.
    fn run(message: &[u8], size: usize) -> (Option<usize>, u32, bool) {
        let mut scanner = Scanner::default();
        let (mut at, mut end) = (0, None);
        while at < message.len() {
            let piece = &message[at..message.len().min(at + size)];
            let taken = scanner.scan(piece);
            at += taken;
            if scanner.header_has_ended() && end.is_none() {
                end = Some(at);
            }
            assert!(taken == piece.len() || end == Some(at));
        }
        scanner.finish();
        (end, scanner.hops(), scanner.has_bare())
    }

    /// The same by splitting at CRLF.
    fn oracle(message: &[u8]) -> (Option<usize>, u32, bool) {
        let text = String::from_utf8(message.to_vec()).unwrap();
        let lines: Vec<&str> = text.split("\r\n").collect();
        let bare = lines.iter().any(|l| l.contains(['\r', '\n']));
        let empty = lines[..lines.len() - 1].iter().position(|l| l.is_empty());
        let header = &lines[..empty.unwrap_or(lines.len())];
        let is_hop = |l: &&&str| {
            let name = l.split_once(':').map_or("", |(name, _)| name);
            name.trim_end_matches([' ', '\t']).eq_ignore_ascii_case("received")
        };
        let end = empty.map(|n| lines[..=n].iter().map(|l| l.len() + 2).sum());
        (end, header.iter().filter(is_hop).count() as u32, bare)
    }

    #[test]
    fn every_string_of_line_ends_like_the_oracle() {
        let alphabet: [&[u8]; 5] = [b"\r", b"\n", b"x", b"Received:", b"received \t: x"];
        for length in 0..=6 {
            for number in 0..alphabet.len().pow(length) {
                let mut n = number;
                let mut message = Vec::new();
                for _ in 0..length {
                    message.extend_from_slice(alphabet[n % alphabet.len()]);
                    n /= alphabet.len();
                }
                let want = oracle(&message);
                for size in [1, 2, usize::MAX / 2] {
                    let got = run(&message, size);
                    // In a message with a bare CR or LF nothing else matters.
                    let same = if want.2 { got.2 } else { got == want };
                    assert!(same, "{:?}: {got:?} {want:?}", message.escape_ascii().to_string());
                }
            }
        }
    }

    #[test]
    fn only_fields_of_the_header_are_hops() {
        let message = b"Received: a\r\n (Received: b\r\nrECEIVED\t: c\r\nReceivedX: d\r\n\
            X-Received: e\r\nReceive: f\r\n Received: g\r\n\r\nReceived: h\r\n";
        assert_eq!(run(message, usize::MAX / 2), oracle(message));
        assert_eq!(run(message, 1).1, 2);
    }
}
