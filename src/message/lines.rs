//! Lines of a message, however they end, and regions that know their place in it.

use memchr::memchr;

/// Octets of a message, and the number of their first line in it (from 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Region<'a> {
    pub octets: &'a [u8],
    pub line: usize,
}

/// How a line ends. A CR without LF ends none (RFC 5322 section 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Crlf,
    Lf,
    /// The region ends before the line does.
    Open,
}

/// A line without its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Line<'a> {
    pub text: &'a [u8],
    pub end: End,
    /// In the message, from 1.
    pub number: usize,
    /// Where it starts in the region.
    pub start: usize,
    /// Where the next one starts.
    pub next: usize,
}

impl<'a> Region<'a> {
    pub fn new(content: &'a [u8]) -> Region<'a> {
        Region { octets: content, line: 1 }
    }

    pub fn lines(self) -> Lines<'a> {
        Lines { region: self, at: 0, number: self.line }
    }

    /// The region from one place to another; its first line has this number.
    pub fn between(self, start: usize, end: usize, line: usize) -> Region<'a> {
        let end = end.min(self.octets.len());
        Region { octets: &self.octets[start.min(end)..end], line }
    }
}

/// All lines of a region. Octets after the last LF are a line that is open.
#[derive(Clone)]
pub(super) struct Lines<'a> {
    region: Region<'a>,
    at: usize,
    number: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let start = self.at;
        let rest = &self.region.octets[start..];
        if rest.is_empty() {
            return None;
        }
        let (text, end) = match memchr(b'\n', rest).map(|n| &rest[..n]) {
            Some(text) => match text.strip_suffix(b"\r") {
                Some(before) => (before, End::Crlf),
                None => (text, End::Lf),
            },
            None => (rest, End::Open),
        };
        self.at += match end {
            End::Crlf => text.len() + 2,
            End::Lf => text.len() + 1,
            End::Open => text.len(),
        };
        self.number += 1;
        Some(Line { text, end, number: self.number - 1, start, next: self.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_three_ways() {
        let region = Region { octets: b"a\r\nb\n\r\n\rc", line: 7 };
        let found: Vec<_> = region.lines().map(|l| (l.number, l.text, l.end, l.start)).collect();
        let want: [(usize, &[u8], End, usize); 4] = [
            (7, b"a", End::Crlf, 0),
            (8, b"b", End::Lf, 3),
            (9, b"", End::Crlf, 5),
            (10, b"\rc", End::Open, 7),
        ];
        assert_eq!(found, want);
        assert_eq!(Region::new(b"").lines().count(), 0);
    }
}
