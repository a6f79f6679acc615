//! Encoded words: text beyond ASCII in a header, `=?utf-8?Q?gr=C3=BCn?=` (RFC 2047).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::charset;

/// Octets of an encoded word at most (section 2).
pub(super) const MAX_WORD: usize = 75;

/// Takes base64 with or without its padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// An encoded word in a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Word<'a> {
    /// From `=?`.
    pub start: usize,
    /// Behind `?=`.
    pub end: usize,
    pub charset: &'a str,
    /// What is encoded; none when the encoding is none of B and Q, or its text breaks it.
    pub octets: Option<Vec<u8>>,
}

/// The encoded words of an unfolded text, in order. What only begins like one is none.
pub(super) fn find(text: &[u8]) -> impl Iterator<Item = Word<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            at += memchr::memmem::find(&text[at..], b"=?")?;
            if let Some(word) = word_at(text, at) {
                at = word.end;
                return Some(word);
            }
            at += 2;
        }
    })
}

/// `=?charset?encoding?text?=` at this place. Each piece ends at the next question mark, so that
/// no octet is looked at more than a few times.
fn word_at(text: &[u8], start: usize) -> Option<Word<'_>> {
    let rest = &text[start + 2..];
    let (charset, rest) = piece(rest)?;
    let (encoding, rest) = piece(rest)?;
    let (encoded, rest) = piece(rest)?;
    let is_token = |b: &u8| b.is_ascii_graphic() && *b != b'=';
    if charset.is_empty() || !charset.iter().all(is_token) || !rest.starts_with(b"=") {
        return None;
    }
    let end = text.len() - rest.len() + 1;
    let octets = match encoding {
        b"B" | b"b" => LENIENT.decode(encoded).ok(),
        b"Q" | b"q" => q_decoded(encoded),
        _ => None,
    };
    Some(Word { start, end, charset: std::str::from_utf8(charset).ok()?, octets })
}

fn piece(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'?', text)?;
    Some((&text[..end], &text[end + 1..]))
}

/// The Q encoding (section 4.2): quoted-printable in which `_` is a blank.
fn q_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(octet) = text.get(at) {
        match octet {
            b'_' => out.push(b' '),
            b'=' => {
                out.push(hex(text.get(at + 1..at + 3)?)?);
                at += 2;
            }
            octet => out.push(*octet),
        }
        at += 1;
    }
    Some(out)
}

/// The octet that two hexadecimal digits name.
pub(super) fn hex(digits: &[u8]) -> Option<u8> {
    let value = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    match digits {
        [high, low] => Some(value(*high)? << 4 | value(*low)?),
        _ => None,
    }
}

/// The text with its encoded words decoded to UTF-8; blanks between two of them go (section 6.2).
/// Neighbours of one character set are decoded together: many programs cut a letter in two.
pub(super) fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut done = 0;
    let mut words = find(text).peekable();
    while let Some(first) = words.next() {
        let between = &text[done..first.start];
        out.extend_from_slice(between);
        let (mut octets, mut end) = (first.octets.unwrap_or_default(), first.end);
        let joins = |word: &Word<'_>, end: usize| {
            word.charset.eq_ignore_ascii_case(first.charset) && is_blank(&text[end..word.start])
        };
        while let Some(next) = words.next_if(|next| joins(next, end)) {
            octets.extend(next.octets.unwrap_or_default());
            end = next.end;
        }
        done = end;
        match charset::decode(first.charset, &octets) {
            Some(decoded) if !octets.is_empty() => {
                out.extend_from_slice(decoded.as_bytes());
                // Blanks before a neighbour of another character set go, too.
                let next = words.peek().filter(|next| is_blank(&text[end..next.start]));
                done = next.map_or(end, |next| next.start);
            }
            _ => out.extend_from_slice(&text[first.start..end]),
        }
    }
    out.extend_from_slice(&text[done..]);
    out
}

fn is_blank(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| matches!(b, b' ' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> String {
        String::from_utf8(decode(text.as_bytes())).unwrap()
    }

    /// The examples of RFC 2047 section 8, and more.
    #[test]
    fn words_are_decoded() {
        for (text, want) in [
            ("=?US-ASCII?Q?Keith_Moore?= <m@x>", "Keith Moore <m@x>"),
            ("=?ISO-8859-1?Q?Andr=E9?= Pirard <P@v>", "André Pirard <P@v>"),
            ("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=", "If you can read this yo"),
            ("(=?ISO-8859-1?Q?a?=)", "(a)"),
            ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a?=    =?utf-8?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
            ("=?UTF-8*en?q?=E2=82?= =?utf-8*en?Q?=AC?=", "€"),
            ("=?utf-8?B?4oKs?=", "€"),
            ("=?windows-1252?Q?=80?= x", "€ x"),
        ] {
            assert_eq!(decoded(text), want, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_stays() {
        for text in [
            "=?koi8-r?Q?=C1?=",
            "=?koi8-r?Q?=C1?= =?x?Q?a?=",
            "=?utf-8?Q?=C1?=",
            "=?utf-8?Q?=?=",
            "=?utf-8?X?a?=",
            "=?utf-8?Q?a",
            "=?utf-8?Q?a?",
            "=??Q?a?=",
            "=?=?=?=?",
            "=?",
            "plain ?= text",
        ] {
            assert_eq!(decoded(text), text);
        }
        assert_eq!(decode(b"\xff =?utf-8?Q?a?="), b"\xff a");
    }
}
