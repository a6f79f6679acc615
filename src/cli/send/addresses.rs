//! Address lists as header fields have them (RFC 5322 section 3.4), for `send -t`.
//!
//! Only the addresses count here: display names, comments and groups are read in order to be left
//! out. What RFC 5322 section 4 calls obsolete is understood: source routes, blanks and comments
//! around dots and `@`, empty list items.

/// What a field is made of, comments and blanks left out.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Token<'a> {
    /// An atom, a quoted string with its quotes, or a domain literal with its brackets.
    Word(&'a str),
    /// One of `.@<>,;:`.
    Special(u8),
}

/// The addresses in an unfolded address list, as written, without angle brackets. The error says
/// what about the list is wrong.
pub(super) fn addresses(list: &str) -> Result<Vec<String>, String> {
    let mut found = vec![];
    // Display names and addresses look alike until `<`, `:` or the end of the item.
    let mut item: Vec<&Token<'_>> = vec![];
    let tokens = tokens(list)?;
    let mut rest = tokens.iter();
    while let Some(token) = rest.next() {
        match token {
            Token::Special(b',' | b';') => found.extend(address(&std::mem::take(&mut item))?),
            // What stood before was the name of a group; its members follow.
            Token::Special(b':') => item.clear(),
            Token::Special(b'<') => {
                item.clear();
                found.push(in_brackets(&mut rest)?);
                match rest.next() {
                    None | Some(Token::Special(b',' | b';')) => {}
                    Some(_) => return Err("something stands between '>' and ','".into()),
                }
            }
            Token::Special(b'>') => return Err("a '>' without '<'".into()),
            token => item.push(token),
        }
    }
    found.extend(address(&item)?);
    Ok(found)
}

/// The address in angle brackets, of which the first is already taken.
fn in_brackets<'a, 'b: 'a>(
    rest: &mut impl Iterator<Item = &'a Token<'b>>,
) -> Result<String, String> {
    let mut item = vec![];
    for token in rest {
        match token {
            Token::Special(b'>') => {
                return address(&item)?.ok_or_else(|| "nothing stands between '<' and '>'".into());
            }
            // A source route ends here.
            Token::Special(b':') => item.clear(),
            Token::Special(b',') if matches!(item.first(), Some(Token::Special(b'@'))) => {}
            Token::Special(b'<' | b',' | b';') => return Err("a '<' without '>'".into()),
            token => item.push(token),
        }
    }
    Err("a '<' without '>'".into())
}

/// Puts the tokens of one address together; none when there are none.
fn address(item: &[&Token<'_>]) -> Result<Option<String>, String> {
    let mut text = String::new();
    let mut after_word = false;
    for token in item {
        let word = match token {
            Token::Word(word) => *word,
            Token::Special(b'@') => "@",
            Token::Special(_) => ".",
        };
        let is_word = matches!(token, Token::Word(_));
        if is_word && after_word {
            return Err(format!(
                "'{text} {word}' is not an address; are there ',' or '<' missing?"
            ));
        }
        after_word = is_word;
        text.push_str(word);
    }
    Ok((!text.is_empty()).then_some(text))
}

/// Cuts a list into tokens.
fn tokens(list: &str) -> Result<Vec<Token<'_>>, String> {
    let (bytes, mut at, mut found) = (list.as_bytes(), 0, vec![]);
    while let Some(b) = bytes.get(at) {
        at = match b {
            b' ' | b'\t' | b'\r' | b'\n' => at + 1,
            b'(' => comment(bytes, at)?,
            b'.' | b'@' | b'<' | b'>' | b',' | b';' | b':' => {
                found.push(Token::Special(*b));
                at + 1
            }
            b'"' | b'[' => {
                let close = if *b == b'"' { b'"' } else { b']' };
                let end = enclosed(bytes, at, close)?;
                found.push(Token::Word(&list[at..end]));
                end
            }
            b if is_atom(*b) => {
                let length = bytes[at..].iter().take_while(|b| is_atom(**b)).count();
                found.push(Token::Word(&list[at..at + length]));
                at + length
            }
            b if b.is_ascii_graphic() => return Err(format!("an unexpected '{}'", *b as char)),
            _ => return Err("a control character".into()),
        };
    }
    Ok(found)
}

fn is_atom(b: u8) -> bool {
    b >= 0x80 || (b.is_ascii_graphic() && !b"()<>[]:;@\\,.\"".contains(&b))
}

/// Where the quoted string or literal ends that begins at `at`.
fn enclosed(bytes: &[u8], at: usize, close: u8) -> Result<usize, String> {
    let mut i = at + 1;
    loop {
        i += match bytes.get(i) {
            Some(b) if *b == close => return Ok(i + 1),
            Some(b'\\') => 2,
            Some(_) => 1,
            None => return Err(format!("a '{}' without end", bytes[at] as char)),
        };
    }
}

/// Where the comment ends that begins at `at`; comments nest.
fn comment(bytes: &[u8], at: usize) -> Result<usize, String> {
    let (mut i, mut depth) = (at, 0u32);
    loop {
        i += match bytes.get(i) {
            Some(b'(') => {
                depth += 1;
                1
            }
            Some(b')') if depth == 1 => return Ok(i + 1),
            Some(b')') => {
                depth -= 1;
                1
            }
            Some(b'\\') => 2,
            Some(_) => 1,
            None => return Err("a '(' without ')'".into()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_wherever_they_stand() {
        for (list, found) in [
            ("", &[][..]),
            ("a@b", &["a@b"]),
            ("root", &["root"]),
            ("a@b, c@d,, e@f ,", &["a@b", "c@d", "e@f"]),
            ("Ann Archer <ann@x.org>", &["ann@x.org"]),
            ("\"Archer, Ann\" <ann@x.org>, bob@y", &["ann@x.org", "bob@y"]),
            ("\"<x@y>\" <a@b>", &["a@b"]),
            ("\"a \\\" <\" <a@b>", &["a@b"]),
            ("John Q. Public <j@x>", &["j@x"]),
            ("a@b (Ann, (of <x@y>) \\) there), c@d", &["a@b", "c@d"]),
            ("(x)a(y)@(z)b(,)", &["a@b"]),
            ("a . b @ x . org", &["a.b@x.org"]),
            ("\"a b\"@x", &["\"a b\"@x"]),
            ("\"a,b\"@x, \"\\\"\"@y", &["\"a,b\"@x", "\"\\\"\"@y"]),
            ("a@[IPv6:::1]", &["a@[IPv6:::1]"]),
            ("<@r1,@r2:a@b>", &["a@b"]),
            ("friends: a@b, C <c@d>;, e@f", &["a@b", "c@d", "e@f"]),
            ("undisclosed-recipients:;", &[]),
            ("friends: a@b", &["a@b"]),
            ("ünder@grün.example, 日本 <日本@例え.jp>", &["ünder@grün.example", "日本@例え.jp"]),
            ("a@b,\r\n\tc@d", &["a@b", "c@d"]),
        ] {
            assert_eq!(
                addresses(list),
                Ok(found.iter().map(|a| a.to_string()).collect()),
                "{list}"
            );
        }
    }

    #[test]
    fn what_is_no_list_is_refused_as_a_whole() {
        for list in [
            "Ann Archer",
            "a@b c@d",
            "a@b <c@d",
            "a@b>",
            "<a@b> c@d",
            "<>",
            "Ann <>",
            "\"a@b",
            "(a@b",
            "a@[b",
            "<a@b <c@d>>",
            "<a@b, c@d>",
            "a\\b@c",
            "a@b)",
            "a\0@b",
            "\\",
            "\"\\",
            "(\\",
        ] {
            assert!(addresses(list).is_err(), "{list}: {:?}", addresses(list));
        }
    }

    #[test]
    fn no_list_takes_long_or_breaks_the_stack() {
        for part in ["(", "\"", "<", "a@b,", "[", ":", "\\", "(()", "a b "] {
            let _ = addresses(&part.repeat(100_000));
        }
    }
}
