//! Making text safe and fit: sanitizing, folding, wrapping, encoding.

use std::fmt::Write as _;

use crate::base::Printable;

/// Columns of a line that people are to read (RFC 5322 section 2.1.1).
const COLUMNS: usize = 78;
/// Octets of a line at most, without CRLF (the same section).
pub(super) const MAX_LINE: usize = 998;

/// The form of a notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// 7 bits, for all.
    Ascii,
    /// UTF-8, for those who can be reached in no other way.
    Utf8,
}

/// Octets from outside as text that is safe in a field or a line: nothing that controls, hides or
/// reorders; in the 7-bit form nothing beyond ASCII. Cut after `max` octets.
pub(super) fn safe(octets: &[u8], max: usize, form: Form) -> String {
    let text = Printable::bounded(octets, max).into_string();
    match form {
        Form::Utf8 => text,
        // The sign of a cut.
        Form::Ascii => escape_beyond_ascii(&text.replace('…', "...")),
    }
}

fn escape_beyond_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() { out.push(c) } else { push_embedded(&mut out, c) }
    }
    out
}

/// EmbeddedUnicodeChar of RFC 6533 section 3.
fn push_embedded(out: &mut String, c: char) {
    let _ = write!(out, "\\x{{{:02X}}}", u32::from(c));
}

/// An address as utf-8-addr-xtext or, in the UTF-8 form, utf-8-addr-unitext (RFC 6533 section 3).
pub(super) fn utf8_addr(address: &str, form: Form) -> String {
    let mut out = String::with_capacity(address.len());
    for c in address.chars() {
        match c {
            '\\' | '+' | '=' | ' ' => push_embedded(&mut out, c),
            c => push_visible(&mut out, c, form),
        }
    }
    out
}

/// The same for what is in one of these forms already: its escapes stay as they are.
pub(super) fn utf8_addr_again(encoded: &str, form: Form) -> String {
    let mut out = String::with_capacity(encoded.len());
    encoded.chars().for_each(|c| push_visible(&mut out, c, form));
    out
}

fn push_visible(out: &mut String, c: char, form: Form) {
    let is_visible = || Printable::new(c.to_string()).as_str().chars().eq([c]);
    if c.is_ascii_graphic() || (form == Form::Utf8 && is_visible()) {
        out.push(c);
    } else {
        push_embedded(out, c);
    }
}

/// What an xtext stands for (RFC 3461 section 4). Values were checked when they came; what is
/// none after all stays as it is.
pub(super) fn xtext_decoded(value: &str) -> Vec<u8> {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(octet) = bytes.get(at) {
        let code = value.get(at + 1..at + 3).filter(|c| c.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        match code.filter(|_| *octet == b'+') {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(*octet);
                at += 1;
            }
        }
    }
    out
}

/// Appends a header field, folded before blanks. The value is safe text.
pub(super) fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut column = name.len() + 1;
    for word in words(value) {
        if column > name.len() + 1 && column + 1 + word.len() > COLUMNS {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        // A word that fits no line is broken: better than a line that no server takes.
        let mut rest = word;
        loop {
            let (piece, after) = rest.split_at(cut(rest, MAX_LINE - 1 - column.min(COLUMNS)));
            out.push(b' ');
            out.extend_from_slice(piece.as_bytes());
            column += 1 + piece.len();
            rest = after;
            if rest.is_empty() {
                break;
            }
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Words between single blanks; more blanks in a row belong to the word after them. Empty text has
/// none, and blanks at the end are nobody's.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim_end_matches(' ');
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let blanks = rest.len() - rest.trim_start_matches(' ').len();
        let end = rest[blanks..].find(' ').map_or(rest.len(), |n| blanks + n);
        let word = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(word)
    })
}

/// Where to cut `text` so that at most `max` octets come before, and no character is cut in two.
fn cut(text: &str, max: usize) -> usize {
    if text.len() <= max {
        return text.len();
    }
    (1..=max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

/// Appends a paragraph in lines of at most 72 columns, each after `indent`.
pub(super) fn paragraph(out: &mut String, indent: &str, text: &str) {
    const WIDTH: usize = 72;
    let mut column = 0;
    for word in text.split(' ').filter(|w| !w.is_empty()) {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            out.push_str("\r\n");
            column = 0;
        }
        if column == 0 {
            out.push_str(indent);
            column = indent.len();
        } else {
            out.push(' ');
            column += 1;
        }
        let mut rest = word;
        while rest.len() > MAX_LINE - COLUMNS {
            let (piece, after) = rest.split_at(cut(rest, MAX_LINE - COLUMNS));
            out.push_str(piece);
            out.push_str("\r\n");
            out.push_str(indent);
            rest = after;
        }
        out.push_str(rest);
        column += width;
    }
    out.push_str("\r\n");
}

/// Whether the octets are text in lines of at most 998 octets that end in CRLF, without NUL: 7-bit
/// data, or 8-bit data, of RFC 2045 sections 2.7 and 2.8.
pub(super) fn is_lines(octets: &[u8], form: Form) -> bool {
    let legal = |line: &[u8]| {
        let body = line.strip_suffix(b"\n").map(|l| l.strip_suffix(b"\r"));
        // The last line may lack its end altogether.
        let body = if line.ends_with(b"\n") { body.flatten() } else { Some(line) };
        body.is_some_and(|l| {
            l.len() <= MAX_LINE
                && memchr::memchr2(0, b'\r', l).is_none()
                && (form == Form::Utf8 || l.is_ascii())
        })
    };
    octets.split_inclusive(|b| *b == b'\n').all(legal)
}

/// Octets in quoted-printable (RFC 2045 section 6.7); their CRLFs are line ends.
pub(super) fn quoted_printable(octets: &[u8]) -> Vec<u8> {
    const WIDTH: usize = 76;
    let mut out = Vec::with_capacity(octets.len() * 5 / 4);
    let mut column = 0;
    let mut at = 0;
    while let Some(octet) = octets.get(at) {
        if octets[at..].starts_with(b"\r\n") {
            out.extend_from_slice(b"\r\n");
            (column, at) = (0, at + 2);
            continue;
        }
        let ends_line = matches!(&octets[at + 1..], [] | [b'\r', b'\n', ..]);
        let plain = match octet {
            b'=' => false,
            b'!'..=b'~' => true,
            b' ' | b'\t' => !ends_line,
            _ => false,
        };
        let width = if plain { 1 } else { 3 };
        if column + width > WIDTH - usize::from(!ends_line) {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if plain {
            out.push(*octet);
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            let (high, low) = (HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]);
            out.extend_from_slice(&[b'=', high, low]);
        }
        column += width;
        at += 1;
    }
    out
}
