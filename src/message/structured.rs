//! The lexical layer of structured fields: comments, quoted strings, addresses (RFC 5322 section
//! 3.2). Lenient: what is never closed is closed by the end.

use crate::base::Address;

/// What stands between two places of a structured value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece<'a> {
    /// Octets for themselves; separators, too.
    Text(&'a [u8]),
    /// With its quotes.
    Quoted(&'a [u8]),
    /// With its parentheses; comments nest (section 3.2.2).
    Comment(&'a [u8]),
}

/// Cuts an unfolded value into pieces.
pub(super) fn pieces(text: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (length, make): (usize, fn(&[u8]) -> Piece<'_>) = match rest.first()? {
            b'"' => (quoted(rest), |t| Piece::Quoted(t)),
            b'(' => (comment(rest), |t| Piece::Comment(t)),
            _ => {
                let text = memchr::memchr3(b'"', b'(', b'\\', rest).unwrap_or(rest.len());
                // Outside of quotes a backslash is obsolete; it still hides what follows it.
                (if text == 0 { rest.len().min(2) } else { text }, |t| Piece::Text(t))
            }
        };
        let (piece, after) = rest.split_at(length);
        rest = after;
        Some(make(piece))
    })
}

fn quoted(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(octet) = text.get(at) {
        at += 1;
        match octet {
            b'"' => return at,
            b'\\' => at += 1,
            _ => {}
        }
    }
    text.len()
}

fn comment(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0usize);
    while let Some(octet) = text.get(at) {
        at += 1;
        match octet {
            b'(' => depth += 1,
            b')' if depth == 1 => return at,
            b')' => depth -= 1,
            b'\\' => at += 1,
            _ => {}
        }
    }
    text.len()
}

/// The value with a blank in place of each comment.
pub(super) fn without_comments(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) | Piece::Quoted(text) => out.extend_from_slice(text),
            Piece::Comment(_) => out.push(b' '),
        }
    }
    out
}

/// The content of a quoted string, its pairs resolved; other text as it is.
pub(super) fn unquoted(text: &[u8]) -> Vec<u8> {
    let Some(inside) = text.strip_prefix(b"\"") else { return text.to_vec() };
    let mut out = Vec::with_capacity(inside.len());
    let mut octets = inside.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => break,
            b'\\' => out.extend(octets.next()),
            octet => out.push(*octet),
        }
    }
    out
}

/// Splits at a separator that stands outside of quotes, comments and angle brackets.
pub(super) fn split(whole: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut found, mut start, mut at, mut angle) = (Vec::new(), 0, 0, false);
    for piece in pieces(whole) {
        let length = match piece {
            Piece::Text(text) if text.starts_with(b"\\") => text.len(),
            Piece::Text(text) => {
                for (i, octet) in text.iter().enumerate() {
                    match octet {
                        b'<' => angle = true,
                        b'>' => angle = false,
                        octet if *octet == separator && !angle => {
                            found.push(&whole[start..at + i]);
                            start = at + i + 1;
                        }
                        _ => {}
                    }
                }
                text.len()
            }
            Piece::Quoted(text) | Piece::Comment(text) => text.len(),
        };
        at += length;
    }
    found.push(&whole[start..]);
    found
}

/// A mailbox of an address field: its address if it is one by RFC 5321, else its octets.
pub(super) type Mailbox = Result<Address, Vec<u8>>;

/// The mailboxes of an address field (RFC 5322 section 3.4), those in groups, too. Names and
/// comments are left out.
pub(super) fn mailboxes(unfolded: &[u8]) -> Vec<Mailbox> {
    let text = without_comments(unfolded);
    let mut found = Vec::new();
    for listed in split(&text, b',').into_iter().flat_map(|listed| split(listed, b';')) {
        // `group: a@b, c@d;`: the group's name goes.
        let member = split(listed, b':').pop().unwrap_or_default();
        let member = member.trim_ascii();
        let address = match angle(member) {
            Some(inside) => inside,
            None => member,
        };
        // An obsolete route, `<@a,@b:c@d>`, stands before a colon (section 4.4).
        let address = match address {
            [b'@', ..] => address.rsplit(|b| *b == b':').next().unwrap_or_default(),
            address => address,
        };
        if !address.is_empty() {
            found.push(parse(address));
        }
    }
    found
}

fn parse(address: &[u8]) -> Mailbox {
    let text = std::str::from_utf8(address).map_err(|_| address.to_vec())?;
    Address::parse(text).map_err(|_| address.to_vec())
}

/// What stands between the angle brackets outside of quotes.
pub(super) fn angle(text: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    for piece in pieces(text) {
        let (Piece::Text(octets) | Piece::Quoted(octets) | Piece::Comment(octets)) = piece;
        let open = octets.iter().position(|b| *b == b'<');
        if let (Piece::Text(_), Some(open)) = (piece, open) {
            let inside = &text[at + open + 1..];
            let end = inside.iter().rposition(|b| *b == b'>').unwrap_or(inside.len());
            return Some(inside[..end].trim_ascii());
        }
        at += octets.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_nest_and_quotes_hide() {
        for (text, want) in [
            ("a (b (c\\) ) d) e", "a   e"),
            ("\"(a\\\")\" (x)b", "\"(a\\\")\"  b"),
            ("a (never closed", "a  "),
            ("\"never closed", "\"never closed"),
            ("a\\(b)", "a\\(b)"),
            ("\\", "\\"),
        ] {
            assert_eq!(String::from_utf8(without_comments(text.as_bytes())).unwrap(), want);
        }
        assert_eq!(unquoted(b"\"a\\\"b\" c"), b"a\"b");
        assert_eq!(unquoted(b"a"), b"a");
    }

    #[test]
    fn lists_are_split_outside_of_quotes() {
        let text = b"a;\"b;c\";(d;e)f;<g;h>";
        let want: [&[u8]; 4] = [b"a", b"\"b;c\"", b"(d;e)f", b"<g;h>"];
        assert_eq!(split(text, b';'), want);
    }

    #[test]
    fn mailboxes_of_a_field() {
        let found = |text: &str| -> Vec<String> {
            let shown = mailboxes(text.as_bytes()).into_iter().map(|mailbox| match mailbox {
                Ok(address) => address.to_string(),
                Err(octets) => format!("?{}", String::from_utf8_lossy(&octets)),
            });
            shown.collect()
        };
        for (text, want) in [
            ("Ann <ann@example.org>", &["ann@example.org"][..]),
            ("ann@example.org (Ann), bob@x", &["ann@example.org", "bob@x"]),
            ("\"Doe, Ann <x@y>\" <ann@a>", &["ann@a"]),
            ("us: ann@a, Bob <bob@b>; , c@d", &["ann@a", "bob@b", "c@d"]),
            ("undisclosed-recipients:;", &[]),
            ("<@a,@b:c@d>", &["c@d"]),
            ("nonsense", &["?nonsense"]),
            ("", &[]),
        ] {
            assert_eq!(found(text), want, "{text}");
        }
    }
}
