//! Rust source with everything that is not code blanked out, so that rules can look for words
//! without being fooled by comments and strings. Lines stay where they are.

/// The text with comments, strings and character literals turned into blanks.
pub fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let end = match bytes[i] {
            b'/' if bytes[i..].starts_with(b"//") => find(bytes, i, b"\n").unwrap_or(bytes.len()),
            b'/' if bytes[i..].starts_with(b"/*") => block_comment(bytes, i),
            b'"' => string(bytes, i),
            b'r' | b'b' | b'c' if !inside_word(bytes, i) => prefixed(bytes, i),
            b'\'' => character(bytes, i),
            _ => i,
        };
        if end == i {
            out.push(bytes[i]);
            i += 1;
        }
        while i < end.min(bytes.len()) {
            out.push(if bytes[i] == b'\n' { b'\n' } else { b' ' });
            i += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    bytes[from..].windows(what.len()).position(|w| w == what).map(|n| from + n)
}

fn inside_word(bytes: &[u8], i: usize) -> bool {
    i > 0 && is_word(bytes[i - 1])
}

/// Whether this octet belongs to an identifier.
pub fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}

fn block_comment(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i < bytes.len() {
        if bytes[i..].starts_with(b"/*") {
            (depth, i) = (depth + 1, i + 2);
        } else if bytes[i..].starts_with(b"*/") {
            (depth, i) = (depth - 1, i + 2);
            if depth == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    bytes.len()
}

/// The end of a string that opens at `start` with its quote.
fn string(bytes: &[u8], start: usize) -> usize {
    let mut i = start + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

/// The end of `r"…"`, `r#"…"#`, `b"…"`, `b'…'`, `br"…"`, `c"…"`; `start` itself when none.
fn prefixed(bytes: &[u8], start: usize) -> usize {
    let letters = bytes[start..].iter().take_while(|b| b"rbc".contains(b)).count();
    let hashes = bytes[start + letters..].iter().take_while(|b| **b == b'#').count();
    let open = start + letters + hashes;
    let raw = bytes[start..start + letters].contains(&b'r');
    match bytes.get(open) {
        Some(b'"') if raw => {
            let close = ["\"", &"#".repeat(hashes)].concat();
            find(bytes, open + 1, close.as_bytes()).map_or(bytes.len(), |n| n + close.len())
        }
        Some(b'"') if hashes == 0 => string(bytes, open),
        Some(b'\'') if hashes == 0 && letters == 1 => character(bytes, open),
        _ => start,
    }
}

/// The end of a character literal; `start` itself for a lifetime.
fn character(bytes: &[u8], start: usize) -> usize {
    let rest = String::from_utf8_lossy(&bytes[start + 1..bytes.len().min(start + 13)]).into_owned();
    let mut chars = rest.chars();
    match chars.next() {
        Some('\\') => rest[2..].find('\'').map_or(start, |n| start + 1 + 2 + n + 1),
        Some(c) if chars.next() == Some('\'') => start + 1 + c.len_utf8() + 1,
        _ => start,
    }
}

/// Where `word` stands as a whole word: octet positions.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let end = at + word.len();
        (*at == 0 || !is_word(bytes[at - 1])) && bytes.get(end).is_none_or(|b| !is_word(*b))
    })
}

/// Which line an octet position is on, from 1.
pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1
}

#[test]
fn comments_and_strings_are_not_code() {
    for (text, code) in [
        ("a // mio\nb", "a       \nb"),
        ("a /* x /* y */ z */ b", "a                   b"),
        ("f(\"m\\\"io\") g", "f(       ) g"),
        ("r#\"a\"b\"# c", "         c"),
        ("br\"a\\\" c", "       c"),
        ("b'\\'' c", "      c"),
        ("'a' 'b 'ü' '\\u{7f}' x", "    'b               x"),
        ("&'static str", "&'static str"),
        ("crab\"x\"", "crab   "),
        ("\"two\nlines\" x", "    \n       x"),
    ] {
        assert_eq!(code_of(text), code, "{text}");
    }
}
