//! The encoded values of DSN, ENVID and ORCPT (RFC 3461 section 4, RFC 6533 section 3), and of AUTH
//! at MAIL.
//!
//! They are checked here and kept as they came, since the next server wants them so. What they
//! decode to goes into delivery status notifications one day: control characters in it are refused,
//! or a sender could write header lines there.

use crate::base::Address;

/// Octets of an ORCPT value (RFC 3461 section 4.2).
const MAX_ORCPT: usize = 500;
/// Octets of an ENVID before it was encoded (RFC 3461 section 4.4).
const MAX_ENVID: usize = 100;

/// An ENVID as it came, when it is one.
pub fn envid(value: &str) -> Option<String> {
    let decoded = xtext(value)?;
    (decoded.len() <= MAX_ENVID).then(|| value.to_owned())
}

/// An ORCPT as it came, `type;address`, when it is one. Non-ASCII needs SMTPUTF8.
pub fn orcpt(value: &str, utf8: bool) -> Option<String> {
    let (kind, address) = value.split_once(';')?;
    let is_atom = !kind.is_empty()
        && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/?^_`{|}~".contains(&b));
    let valid = if kind.eq_ignore_ascii_case("utf-8") {
        utf8_address(address, utf8)
    } else {
        xtext(address).is_some()
    };
    (is_atom && valid && value.len() <= MAX_ORCPT).then(|| value.to_owned())
}

/// The value of AUTH (RFC 4954 section 5), when it is one: `<>` or an address.
pub fn auth(value: &str) -> Option<()> {
    if value == "<>" {
        return Some(());
    }
    let address = String::from_utf8(xtext(value)?).ok()?;
    Address::parse(&address).ok().map(|_| ())
}

/// What an xtext stands for: printable ASCII, `+XX` for what may not stand for itself. None when
/// it is no xtext or stands for anything not printable.
fn xtext(value: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        let octet = match octet {
            b'+' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            b'!'..=b'~' if octet != b'=' => octet,
            _ => return None,
        };
        if !(b' '..=b'~').contains(&octet) {
            return None;
        }
        decoded.push(octet);
    }
    Some(decoded)
}

/// A hexadecimal digit; RFC 3461 section 4 knows upper case only.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Whether this is an address of type utf-8: printable octets, `\x{HEX}` for any character, and
/// the characters themselves where SMTPUTF8 allows them.
fn utf8_address(value: &str, utf8: bool) -> bool {
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '\\' => embedded(rest),
            '+' | '=' => None,
            '!'..='~' => Some(1),
            _ => (utf8 && !c.is_ascii() && !c.is_control()).then(|| c.len_utf8()),
        };
        let Some(taken) = taken else { return false };
        rest = &rest[taken..];
    }
    !value.is_empty()
}

/// The length of an EmbeddedUnicodeChar, `\x{HEX}`, at the start. Its digits are those of RFC 5234,
/// in either case, unlike those of an xtext.
fn embedded(text: &str) -> Option<usize> {
    let digits = text.strip_prefix("\\x{")?.split_once('}')?.0;
    if !(2..=6).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    (!c.is_control()).then_some(digits.len() + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envids() {
        for good in ["QQ314159", "a+20b", "+2B", "!~", &"x".repeat(100), &"+41".repeat(100)] {
            assert_eq!(envid(good).as_deref(), Some(good));
        }
        for bad in ["a+2", "a+", "+2b", "+0D+0A", "+7F", "+80", "a b", "ü", "a=b", &"x".repeat(101)]
        {
            assert_eq!(envid(bad), None, "{bad}");
        }
    }

    #[test]
    fn original_recipients() {
        for good in [
            "rfc822;Carol@Ivory.EDU",
            "RFC822;a+2Bb@c",
            "x-foo;",
            "utf-8;gr\\x{FC}n@x",
            "utf-8;\\x{fc}",
        ] {
            assert_eq!(orcpt(good, false).as_deref(), Some(good));
        }
        let full = format!("rfc822;{}", "a".repeat(493));
        assert!(orcpt(&full, false).is_some());
        for bad in [
            "",
            "carol@x",
            ";carol@x",
            "rf c;x",
            "rfc822;a+0Ab",
            "rfc822;a=b",
            "rfc822;ü@x",
            "utf-8;",
            "utf-8;a+b",
            "utf-8;a\\b",
            "utf-8;\\x{}",
            "utf-8;\\x{0A}",
            "utf-8;\\x{D800}",
            "utf-8;\\x{110000}",
            "utf-8;\\x{FC",
            &(full + "a"),
        ] {
            assert_eq!(orcpt(bad, false), None, "{bad}");
        }
        assert_eq!(orcpt("utf-8;grün@x", false), None);
        assert!(orcpt("utf-8;grün@x", true).is_some());
        assert_eq!(orcpt("utf-8;a\u{85}@x", true), None);
        assert_eq!(orcpt("rfc822;ü@x", true), None);
    }
}
