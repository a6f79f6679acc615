//! The reply: one typed value that the wire, the log, the counters and the console all render.
//!
//! RFC 5321 section 4.2 gives the shape, RFC 2034 and RFC 3463 the enhanced status code.

use std::borrow::Cow;
use std::fmt;

/// An enhanced status code (RFC 3463): class, subject, detail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Enhanced(pub u8, pub u16, pub u16);

impl Enhanced {
    /// Reads `5.1.1` at the start of `text`, where a blank or the end must follow; also says how
    /// many octets it took.
    pub fn parse_prefix(text: &[u8]) -> Option<(Enhanced, usize)> {
        let end = text.iter().position(|b| *b == b' ').unwrap_or(text.len());
        let word = std::str::from_utf8(&text[..end]).ok()?;
        let mut numbers = word.split('.').map(|n| {
            let digits = (1..=3).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| n.parse::<u16>().ok()).flatten()
        });
        let (class, subject, detail) = (numbers.next()??, numbers.next()??, numbers.next()??);
        if numbers.next().is_some() || !matches!(class, 2 | 4 | 5) {
            return None;
        }
        Some((Enhanced(class as u8, subject, detail), end))
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Whose words a reply is. A sender who reads a report must not take our words, say that a server
/// cannot be reached, for that server's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Origin {
    /// This server's.
    Ours,
    /// A peer's: it was read from a connection.
    Peer,
}

/// A reply of a server: our own, or one that a next server gave.
///
/// The text is octets, since a next server's words may be anything; its lines are separated by
/// LF, which no line of a reply can contain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Three digits, 200 to 559.
    pub code: u16,
    /// The enhanced status code, when there is one.
    pub enhanced: Option<Enhanced>,
    /// The lines without codes, separated by LF; may be empty.
    pub text: Cow<'static, [u8]>,
    /// Who said it.
    pub origin: Origin,
}

impl Reply {
    /// A reply with a fixed text and an enhanced status code. No allocation.
    pub const fn fixed(code: u16, enhanced: Enhanced, text: &'static str) -> Reply {
        Reply {
            code,
            enhanced: Some(enhanced),
            text: Cow::Borrowed(text.as_bytes()),
            origin: Origin::Ours,
        }
    }

    /// A reply with a fixed text and no enhanced status code (greeting, EHLO, 354).
    pub const fn bare(code: u16, text: &'static str) -> Reply {
        Reply { code, enhanced: None, text: Cow::Borrowed(text.as_bytes()), origin: Origin::Ours }
    }

    /// A reply with a text made now. Octets that could break the protocol become blanks; LF
    /// separates lines.
    pub fn made(code: u16, enhanced: Option<Enhanced>, text: impl Into<String>) -> Reply {
        let mut text = text.into().into_bytes();
        for b in &mut text {
            if (*b < b' ' && *b != b'\n') || *b == 0x7f {
                *b = b' ';
            }
        }
        Reply { code, enhanced, text: Cow::Owned(text), origin: Origin::Ours }
    }

    /// Reads `451 4.3.0 try later` (code, optional enhanced code, text), as people write it in
    /// rules. None when the code is not 2xx to 5xx or the enhanced class contradicts it.
    pub fn parse_text(text: &str) -> Option<Reply> {
        let text = text.trim();
        let (code, rest) = text.split_at_checked(3)?;
        if !code.bytes().all(|b| b.is_ascii_digit()) || !(rest.is_empty() || rest.starts_with(' '))
        {
            return None;
        }
        let code: u16 = code.parse().ok()?;
        if !(200..560).contains(&code) {
            return None;
        }
        let rest = rest.trim_start();
        match Enhanced::parse_prefix(rest.as_bytes()) {
            Some((e, n)) if u16::from(e.0) == code / 100 => {
                Some(Reply::made(code, Some(e), rest[n..].trim_start()))
            }
            Some(_) => None,
            None => Some(Reply::made(code, None, rest)),
        }
    }

    /// The same code with other text, by the same speaker.
    pub fn with_text(&self, text: impl Into<Cow<'static, [u8]>>) -> Reply {
        let (code, enhanced, origin) = (self.code, self.enhanced, self.origin);
        Reply { code, enhanced, text: text.into(), origin }
    }

    /// The same words as a peer's.
    pub fn by_peer(self) -> Reply {
        Reply { origin: Origin::Peer, ..self }
    }

    /// The first digit of the code: 2 done, 3 go on, 4 not now, 5 never.
    pub const fn class(&self) -> u16 {
        self.code / 100
    }

    /// 2xx.
    pub const fn is_positive(&self) -> bool {
        self.class() == 2
    }

    /// 4xx.
    pub const fn is_transient(&self) -> bool {
        self.class() == 4
    }

    /// 5xx.
    pub const fn is_permanent(&self) -> bool {
        self.class() == 5
    }

    /// The lines of the text; at least one, perhaps empty.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split(|b| *b == b'\n')
    }

    /// The enhanced status code, or the general one of the class (RFC 3463: x.0.0).
    pub fn enhanced_or_general(&self) -> Enhanced {
        self.enhanced.unwrap_or(Enhanced(self.class() as u8, 0, 0))
    }

    /// Appends the octets for the wire, CRLF after each line.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        // Each line has some 12 octets beside its text; most replies have one.
        out.reserve(self.text.len() + 32);
        let mut lines = self.lines().peekable();
        while let Some(line) = lines.next() {
            self.write_line(line, lines.peek().is_none(), out);
            out.extend_from_slice(b"\r\n");
        }
    }

    fn write_line(&self, line: &[u8], last: bool, out: &mut Vec<u8>) {
        let digits = [self.code / 100, self.code / 10 % 10, self.code % 10].map(|d| b'0' + d as u8);
        out.extend_from_slice(&digits);
        out.push(if last { b' ' } else { b'-' });
        if let Some(Enhanced(class, subject, detail)) = self.enhanced {
            for (number, end) in [(u16::from(class), b'.'), (subject, b'.'), (detail, b' ')] {
                if number >= 100 {
                    out.push(b'0' + (number / 100 % 10) as u8);
                }
                if number >= 10 {
                    out.push(b'0' + (number / 10 % 10) as u8);
                }
                out.push(b'0' + (number % 10) as u8);
                out.push(end);
            }
        }
        out.extend_from_slice(line);
    }

    /// All on one line, as logs and answers show it: lines joined by ` / `. Octets, not text: make
    /// a [`Printable`](super::Printable) of it at the exit.
    pub fn on_one_line(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len() + 16);
        let mut joined = Vec::with_capacity(self.text.len());
        for (i, line) in self.lines().enumerate() {
            if i > 0 {
                joined.extend_from_slice(b" / ");
            }
            joined.extend_from_slice(line);
        }
        self.write_line(&joined, true, &mut out);
        while out.last() == Some(&b' ') {
            out.pop();
        }
        out
    }
}

/// How a reply of a next server broke the grammar of RFC 5321 section 4.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplySyntax {
    /// A line is not three digits, then a blank, hyphen or the end.
    NotAReply,
    /// The lines of one reply have different codes (section 4.2.1 forbids it).
    CodesDiffer,
    /// Longer than [`ReplyParser::MAX_LINE`] without an end.
    LineTooLong,
    /// More than [`ReplyParser::MAX_LINES`] lines or [`ReplyParser::MAX_TEXT`] octets.
    TooMuch,
}

impl fmt::Display for ReplySyntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReplySyntax::NotAReply => "not an SMTP reply",
            ReplySyntax::CodesDiffer => "the lines of one reply have different codes",
            ReplySyntax::LineTooLong => "a reply line without end",
            ReplySyntax::TooMuch => "a reply with too many lines",
        })
    }
}

/// Collects the lines of one reply. Lines go in whole (the caller keeps a partial line); a reply
/// comes out with its last line. A reply that is not complete never counts as any answer.
#[derive(Default, Debug)]
pub struct ReplyParser {
    code: Option<u16>,
    text: Vec<u8>,
    lines: usize,
    enhanced: Option<Enhanced>,
}

impl ReplyParser {
    /// RFC 5321 4.5.3.1.5 says 512 octets; servers exceed it, so many are taken.
    pub const MAX_LINE: usize = 16 * 1024;
    /// Lines in one reply.
    pub const MAX_LINES: usize = 256;
    /// Octets of text in one reply; what is beyond is counted as broken.
    pub const MAX_TEXT: usize = 64 * 1024;

    /// Takes one line from the start of `input`, when a whole one is there: the octets it took,
    /// and the reply when this line completes one. Lines end in CRLF; a lone LF is tolerated as
    /// the end of a *reply* line, since it can smuggle nothing there.
    pub fn step(&mut self, input: &[u8]) -> Result<Option<(usize, Option<Reply>)>, ReplySyntax> {
        let Some(end) = memchr::memchr(b'\n', input) else {
            return if input.len() > Self::MAX_LINE {
                Err(ReplySyntax::LineTooLong)
            } else {
                Ok(None)
            };
        };
        if end > Self::MAX_LINE {
            return Err(ReplySyntax::LineTooLong);
        }
        let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
        Ok(Some((end + 1, self.line(line)?)))
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplySyntax> {
        let digits = line.get(..3).filter(|d| d.iter().all(u8::is_ascii_digit));
        let code = digits.ok_or(ReplySyntax::NotAReply)?;
        let code = code.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'));
        let (last, mut text) = match line.get(3) {
            None => (true, &line[3..]),
            Some(b' ') => (true, &line[4..]),
            Some(b'-') => (false, &line[4..]),
            Some(_) => return Err(ReplySyntax::NotAReply),
        };
        if !(200..600).contains(&code) {
            return Err(ReplySyntax::NotAReply);
        }
        if self.code.is_some_and(|c| c != code) {
            return Err(ReplySyntax::CodesDiffer);
        }
        // RFC 2034: each line carries the enhanced code; a code of another class is just text.
        let same = |e: Enhanced| {
            u16::from(e.0) == code / 100 && (self.lines == 0 || self.enhanced == Some(e))
        };
        if let Some((e, n)) = Enhanced::parse_prefix(text).filter(|(e, _)| same(*e)) {
            self.enhanced = Some(e);
            text = text.get(n + 1..).unwrap_or_default();
        }
        if self.lines > 0 {
            self.text.push(b'\n');
        }
        self.code = Some(code);
        self.lines += 1;
        self.text.extend_from_slice(text);
        if self.lines > Self::MAX_LINES || self.text.len() > Self::MAX_TEXT {
            return Err(ReplySyntax::TooMuch);
        }
        if !last {
            return Ok(None);
        }
        let done = std::mem::take(self);
        let (enhanced, text) = (done.enhanced, Cow::Owned(done.text));
        Ok(Some(Reply { code, enhanced, text, origin: Origin::Peer }))
    }

    /// Lines of an unfinished reply have come.
    pub fn is_partial(&self) -> bool {
        self.lines > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn parse(text: &str) -> Result<Vec<Reply>, ReplySyntax> {
        let (mut parser, mut rest, mut all) = (ReplyParser::default(), text.as_bytes(), vec![]);
        while let Some((n, reply)) = parser.step(rest)? {
            rest = &rest[n..];
            all.extend(reply);
        }
        assert!(rest.is_empty() || !rest.contains(&b'\n'));
        Ok(all)
    }

    #[test]
    fn replies_are_written_as_rfc_5321_says() {
        assert_eq!(wire(&Reply::fixed(250, Enhanced(2, 1, 0), "Ok")), "250 2.1.0 Ok\r\n");
        assert_eq!(wire(&Reply::fixed(550, Enhanced(5, 7, 123), "No")), "550 5.7.123 No\r\n");
        assert_eq!(wire(&Reply::fixed(550, Enhanced(5, 20, 103), "No")), "550 5.20.103 No\r\n");
        let many = Reply::made(250, None, "host\nSIZE 5\nHELP");
        assert_eq!(wire(&many), "250-host\r\n250-SIZE 5\r\n250 HELP\r\n");
        assert_eq!(wire(&Reply::made(550, None, "a\r\nb\0c\x7f")), "550-a \r\n550 b c \r\n");
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "250 2.1.0 Ok\r\n",
            "250-host\r\n250-SIZE 5\r\n250 HELP\r\n",
            "550-5.1.1 a\r\n550 5.1.1 b\r\n",
        ] {
            let replies = parse(text).unwrap();
            assert_eq!(replies.len(), 1);
            assert_eq!(wire(&replies[0]), text);
        }
    }

    #[test]
    fn senseless_replies_are_errors() {
        assert_eq!(parse("hello\r\n"), Err(ReplySyntax::NotAReply));
        assert_eq!(parse("2500 Ok\r\n"), Err(ReplySyntax::NotAReply));
        assert_eq!(parse("250x\r\n"), Err(ReplySyntax::NotAReply));
        assert_eq!(parse("099 Ok\r\n"), Err(ReplySyntax::NotAReply));
        assert_eq!(parse("250-a\r\n550 b\r\n"), Err(ReplySyntax::CodesDiffer));
        assert_eq!(parse(&"250-a\r\n".repeat(300)), Err(ReplySyntax::TooMuch));
        assert_eq!(parse(&"2".repeat(20_000)), Err(ReplySyntax::LineTooLong));
        assert_eq!(parse("250-unfinished\r\n25").unwrap(), vec![]);
    }

    #[test]
    fn bare_codes_and_foreign_enhanced_codes() {
        let r = &parse("250\r\n").unwrap()[0];
        assert_eq!((r.code, r.enhanced, r.text.len()), (250, None, 0));
        let r = &parse("250 5.1.1 odd\r\n").unwrap()[0];
        assert_eq!((r.enhanced, &r.text[..]), (None, &b"5.1.1 odd"[..]));
        let r = &parse("451 4.7.1\r\n").unwrap()[0];
        assert_eq!((r.enhanced, r.text.len()), (Some(Enhanced(4, 7, 1)), 0));
    }

    #[test]
    fn people_write_replies_too() {
        let r = Reply::parse_text("451 4.3.0 try later").unwrap();
        assert_eq!(wire(&r), "451 4.3.0 try later\r\n");
        for wrong in ["", "45", "abc", "150 x", "4510 x", "451 5.3.0 x", "600 x"] {
            assert_eq!(Reply::parse_text(wrong), None, "{wrong}");
        }
    }
}
