//! The part of SASLprep (RFC 4013) that needs no tables of Unicode.
//!
//! Done: spaces of all kinds become the ASCII one, what is commonly mapped to nothing goes, and
//! control, private, reordering and other characters that nobody types are refused. Not done:
//! normalisation (NFKC) and the rules for text from right to left. So a password with letters
//! beyond ASCII is what its UTF-8 octets are. It works as long as all devices write it the same
//! way, and nearly all write composed letters, as NFKC would have them; compatibility characters
//! (such as full-width digits) stay different from their plain forms.

/// Prepares a name or a password. None when it contains what it must not, or nothing is left.
///
/// The result is never longer than the text, and is written to memory once.
pub fn prepare(text: &str) -> Option<String> {
    let mut prepared = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => prepared.push(c),
            c if is_space(c) => prepared.push(' '),
            c if is_nothing(c) => {}
            c if is_prohibited(c) => return None,
            c => prepared.push(c),
        }
    }
    (!prepared.is_empty()).then_some(prepared)
}

/// RFC 3454 table C.1.2.
fn is_space(c: char) -> bool {
    matches!(
        c,
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// RFC 3454 table B.1.
fn is_nothing(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{1806}' | '\u{180b}'..='\u{180d}'
        | '\u{200c}'..='\u{200d}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// RFC 4013 section 2.3: tables C.2 to C.9 of RFC 3454.
fn is_prohibited(c: char) -> bool {
    let plane_end = c as u32 & 0xfffe == 0xfffe;
    plane_end
        || c.is_control()
        || matches!(c, '\u{340}' | '\u{341}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
            | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2061}'..='\u{2063}'
            | '\u{206a}'..='\u{206f}' | '\u{2ff0}'..='\u{2ffb}' | '\u{e000}'..='\u{f8ff}'
            | '\u{fdd0}'..='\u{fdef}' | '\u{fff9}'..='\u{fffd}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0001}' | '\u{e0020}'..='\u{e007f}' | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 4013 section 3 that need no tables.
    #[test]
    fn the_examples_of_the_rfc() {
        let is = |text, result: &str| assert_eq!(prepare(text).as_deref(), Some(result));
        is("I\u{ad}X", "IX");
        is("user", "user");
        is("USER", "USER");
        assert_eq!(prepare("\u{7}"), None);
        // These need tables, and stay as they are.
        is("\u{aa}", "\u{aa}");
        is("\u{2168}", "\u{2168}");
        is("\u{627}1", "\u{627}1");
    }

    #[test]
    fn spaces_are_spaces_and_nothing_is_nothing() {
        assert_eq!(prepare("a\u{a0}b\u{3000}").as_deref(), Some("a b "));
        assert_eq!(prepare("grün").as_deref(), Some("grün"));
        for nothing in ["", "\u{ad}", "\u{feff}\u{fe0f}"] {
            assert_eq!(prepare(nothing), None);
        }
        for wrong in ["a\0", "a\n", "\u{80}", "\u{202e}x", "\u{e000}", "\u{1ffff}", "\u{fffd}"] {
            assert_eq!(prepare(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn nothing_grows() {
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            assert!(prepare(&text).is_none_or(|p| p.len() <= text.len()), "{:x}", c as u32);
        }
    }
}
