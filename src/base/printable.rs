//! The only text that a terminal, a log or an answer accepts.
//!
//! What came from outside may contain anything: escape sequences that repaint a terminal, a CR
//! that hides what stood before it, letters that run backwards. [`Printable`] is made from octets
//! at each exit and shows all of that as visible escapes.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

/// Text that is safe to show: no control characters, no invisible or reordering ones, bounded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Printable(String);

/// Characters that cannot be seen or that reorder what is seen. Grouped as Unicode groups them:
/// soft hyphen, Arabic letter mark, Hangul fillers, zero-width and bidi controls, line and
/// paragraph separators, word joiners and invisible operators, variation selectors, BOM,
/// interlinear annotation, tags, private use.
const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}

/// Appends a character, or its escape if it is not safe to show. Backslashes are the caller's.
fn push_visible(text: &mut String, c: char) {
    match c {
        ' '..='~' => text.push(c),
        c if c.is_ascii() => {
            let _ = write!(text, "\\x{:02x}", c as u32);
        }
        c if c.is_control() || is_hidden(c) => {
            let _ = write!(text, "\\u{{{:x}}}", c as u32);
        }
        c => text.push(c),
    }
}

impl Printable {
    /// Octets that one `Printable` shows at most; what is beyond is said to be cut.
    pub const MAX: usize = 4096;

    /// Makes octets visible. Cuts after [`Printable::MAX`] input octets.
    pub fn new(octets: impl AsRef<[u8]>) -> Printable {
        Printable::bounded(octets, Printable::MAX)
    }

    /// Makes octets visible, at most `max` of them; a cut is shown as `…`.
    pub fn bounded(octets: impl AsRef<[u8]>, max: usize) -> Printable {
        let octets = octets.as_ref();
        let mut shown = &octets[..octets.len().min(max)];
        if shown.len() < octets.len() {
            // Do not cut a character in two: its first half would show as invalid octets.
            let back = shown.iter().rev().take(3).position(|b| *b >= 0xc0).map_or(0, |n| n + 1);
            let tail = &shown[shown.len() - back..];
            let cut_short = std::str::from_utf8(tail).is_err_and(|e| e.error_len().is_none());
            if back > 0 && cut_short {
                shown = &shown[..shown.len() - back];
            }
        }
        let mut text = String::with_capacity(shown.len());
        for chunk in shown.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => text.push_str("\\\\"),
                    c => push_visible(&mut text, c),
                }
            }
            for b in chunk.invalid() {
                let _ = write!(text, "\\x{b:02x}");
            }
        }
        if octets.len() > shown.len() {
            text.push('…');
        }
        Printable(text)
    }

    /// Takes text that was printable once and has travelled since (over the control socket, say):
    /// its backslashes stay as they are, but nothing unsafe passes.
    pub fn from_shown(text: impl Into<String>) -> Printable {
        let text = text.into();
        if text.chars().all(Printable::is_safe) {
            return Printable(text);
        }
        let mut safe = String::with_capacity(text.len());
        text.chars().for_each(|c| push_visible(&mut safe, c));
        Printable(safe)
    }

    /// Whether a character may be shown as it is.
    pub fn is_safe(c: char) -> bool {
        !c.is_control() && !is_hidden(c)
    }

    /// The safe text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The safe text, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Serialize for Printable {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Printable {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Printable, D::Error> {
        String::deserialize(from).map(Printable::from_shown)
    }
}

impl fmt::Display for Printable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Printable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_alone_is_visible_or_escaped() {
        for b in 0..=255u8 {
            let text = Printable::new([b]).into_string();
            match b {
                b'\\' => assert_eq!(text, "\\\\"),
                b' '..=b'~' => assert_eq!(text.as_bytes(), [b]),
                _ => assert_eq!(text, format!("\\x{b:02x}")),
            }
        }
    }

    #[test]
    fn every_character_is_printed_or_escaped() {
        for c in '\0'..=char::MAX {
            let text = Printable::new(c.to_string()).into_string();
            let shown = text.chars().next().unwrap();
            assert!(!shown.is_control() && !is_hidden(shown), "{:x}", c as u32);
        }
        assert_eq!(Printable::new("a\u{202e}b").as_str(), "a\\u{202e}b");
        assert_eq!(Printable::new("\u{9b}").as_str(), "\\u{9b}");
        assert_eq!(Printable::new("grün 日本").as_str(), "grün 日本");
    }

    #[test]
    fn what_was_printable_stays_as_it_is_and_nothing_unsafe_travels() {
        let shown = Printable::new("a\\\x1b grün \u{202e}");
        let json = serde_json::to_string(&shown).unwrap();
        assert_eq!(serde_json::from_str::<Printable>(&json).unwrap(), shown);
        let forged: Printable = serde_json::from_str(r#""\u001b[2J\u202e\\x""#).unwrap();
        assert_eq!(forged.as_str(), "\\x1b[2J\\u{202e}\\x");
    }

    #[test]
    fn bounded_and_never_cut_inside_a_character() {
        assert_eq!(Printable::bounded("abcdef", 3).as_str(), "abc…");
        assert_eq!(Printable::bounded("aü", 2).as_str(), "a…");
        assert_eq!(Printable::bounded("aü", 3).as_str(), "aü");
        assert_eq!(Printable::bounded(b"a\xff\xff", 2).as_str(), "a\\xff…");
    }
}
