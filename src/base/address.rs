//! Mail addresses by the grammar of RFC 5321 section 4.1.2, with the UTF-8 of RFC 6531.
//!
//! An [`Address`] keeps its octets as they came: what is inside quotes, and upper and lower case
//! in the local part, belong to the receiving system alone (RFC 5321 section 2.4).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets in a local part (RFC 5321 section 4.5.3.1.1).
pub const MAX_LOCAL_PART: usize = 64;
/// Octets in a domain (section 4.5.3.1.2).
pub const MAX_DOMAIN: usize = 255;
/// Octets in a path, with its angle brackets (section 4.5.3.1.3).
pub const MAX_PATH: usize = 256;

/// A valid address: `local@domain`, `local@[literal]`, or a bare `postmaster`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    text: Box<str>,
    /// Where the `@` is; the length of the text for a bare postmaster.
    at: usize,
}

/// What stands after the `@`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Domain<'a> {
    /// A name; compare it without regard to case.
    Name(&'a str),
    /// An address literal with its brackets.
    Literal(&'a str),
}

/// Why a text is not an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressError {
    /// Breaks the grammar.
    Syntax,
    /// The local part has more than 64 octets.
    LongLocalPart,
    /// The domain has more than 255 octets, or a label of it more than 63.
    LongDomain,
    /// The whole path has more than 256 octets.
    LongPath,
    /// No `@` and domain after the local part, and it is not postmaster.
    NoDomain,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::Syntax => "not an address by RFC 5321 section 4.1.2",
            AddressError::LongLocalPart => "local part longer than 64 octets",
            AddressError::LongDomain => "domain longer than 255 octets or a label longer than 63",
            AddressError::LongPath => "path longer than 256 octets",
            AddressError::NoDomain => "an address needs a domain",
        })
    }
}

fn is_atext(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b >= 0x80 || b"!#$%&'*+-/=?^_`{|}~".contains(&b)
}

fn is_let_dig(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b >= 0x80
}

impl Address {
    /// Reads a whole text as an address.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        match Address::parse_prefix(text)? {
            (address, n) if n == text.len() => Ok(address),
            _ => Err(AddressError::Syntax),
        }
    }

    /// Reads an address at the start of `text`; says how many octets it took. The caller looks at
    /// what follows (`>` in a path).
    pub fn parse_prefix(text: &str) -> Result<(Address, usize), AddressError> {
        let bytes = text.as_bytes();
        let at = match bytes.first() {
            Some(b'"') => quoted_string(bytes)?,
            _ => dot_string(bytes)?,
        };
        if bytes.get(at) != Some(&b'@') {
            // RFC 5321 section 4.1.1.3: postmaster alone needs no domain, in any case.
            return if text[..at].eq_ignore_ascii_case("postmaster") {
                Ok((Address { text: text[..at].into(), at }, at))
            } else if at > MAX_LOCAL_PART {
                Err(AddressError::LongLocalPart)
            } else {
                Err(AddressError::NoDomain)
            };
        }
        let rest = &text[at + 1..];
        let domain = match rest.as_bytes().first() {
            Some(b'[') => literal(rest)?,
            _ => domain_name(rest.as_bytes())?,
        };
        if at > MAX_LOCAL_PART {
            return Err(AddressError::LongLocalPart);
        }
        let end = at + 1 + domain;
        if end + 2 > MAX_PATH {
            return Err(if domain > MAX_DOMAIN {
                AddressError::LongDomain
            } else {
                AddressError::LongPath
            });
        }
        Ok((Address { text: text[..end].into(), at }, end))
    }

    /// As it came, without angle brackets.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the `@`, quotes included.
    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// What stands after the `@`; none for a bare postmaster.
    pub fn domain(&self) -> Option<Domain<'_>> {
        let domain = self.text.get(self.at + 1..)?;
        Some(if domain.starts_with('[') { Domain::Literal(domain) } else { Domain::Name(domain) })
    }

    /// Whether the address can travel without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

impl Domain<'_> {
    /// Whether `text` is a domain or an address literal and nothing more: the grammar of the EHLO
    /// argument (RFC 5321 section 4.1.1.1).
    pub fn is_valid(text: &str) -> bool {
        let taken =
            if text.starts_with('[') { literal(text) } else { domain_name(text.as_bytes()) };
        taken == Ok(text.len()) && text.len() <= MAX_DOMAIN
    }
}

/// The length of a dot-string at the start.
fn dot_string(bytes: &[u8]) -> Result<usize, AddressError> {
    let mut end = 0;
    loop {
        let atom = bytes[end..].iter().take_while(|b| is_atext(**b)).count();
        if atom == 0 {
            return Err(AddressError::Syntax);
        }
        end += atom;
        if bytes.get(end) != Some(&b'.') {
            return Ok(end);
        }
        end += 1;
    }
}

/// The length of a quoted string at the start, quotes included.
fn quoted_string(bytes: &[u8]) -> Result<usize, AddressError> {
    let mut i = 1;
    loop {
        i += match bytes.get(i) {
            Some(b'"') => return Ok(i + 1),
            // quoted-pairSMTP: a backslash and any printable ASCII.
            Some(b'\\') if bytes.get(i + 1).is_some_and(|b| (b' '..=b'~').contains(b)) => 2,
            Some(b'\\') => return Err(AddressError::Syntax),
            Some(b) if (b' '..=b'~').contains(b) || *b >= 0x80 => 1,
            _ => return Err(AddressError::Syntax),
        }
    }
}

/// The length of a domain name at the start.
fn domain_name(bytes: &[u8]) -> Result<usize, AddressError> {
    let mut end = 0;
    loop {
        let label = bytes[end..].iter().take_while(|b| is_let_dig(**b) || **b == b'-').count();
        if label == 0 || bytes[end] == b'-' || bytes[end + label - 1] == b'-' {
            return Err(AddressError::Syntax);
        }
        if label > 63 {
            return Err(AddressError::LongDomain);
        }
        end += label;
        if bytes.get(end) != Some(&b'.') {
            return if end > MAX_DOMAIN { Err(AddressError::LongDomain) } else { Ok(end) };
        }
        end += 1;
    }
}

/// The length of an address literal at the start, brackets included (RFC 5321 section 4.1.3).
fn literal(text: &str) -> Result<usize, AddressError> {
    let end = text.find(']').ok_or(AddressError::Syntax)?;
    let inside = &text[1..end];
    let valid = match inside.split_once(':') {
        None => inside.parse::<Ipv4Addr>().is_ok(),
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6") => {
            address.parse::<Ipv6Addr>().is_ok()
        }
        // General-address-literal: a registered tag and printable octets; no other tag is
        // registered, but the grammar lets it pass.
        Some((tag, content)) => {
            let tag = tag.as_bytes();
            tag.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
                && tag.last().is_some_and(u8::is_ascii_alphanumeric)
                && !content.is_empty()
                && content.bytes().all(|b| (b'!'..=b'~').contains(&b) && b != b'[' && b != b'\\')
        }
    };
    if valid { Ok(end + 1) } else { Err(AddressError::Syntax) }
}

/// The address literal for an IP address: `[192.0.2.7]`, `[IPv6:2001:db8::1]`.
pub fn literal_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_accepts() {
        for text in [
            "a@b",
            "a.b@example.org",
            "!#$%&'*+-/=?^_`{|}~@x.y",
            "\"a b\"@x",
            "\"a\\\"b>@\"@x",
            "\"\"@x",
            "a@[192.0.2.1]",
            "a@[IPv6:2001:db8::1]",
            "a@[ipv6:::ffff:1.2.3.4]",
            "postmaster",
            "PostMaster",
            "postmaster@x",
            "ü@grün.example",
            "a@1.2",
            "a@x-y.z",
            "a@[tag:content]",
        ] {
            assert_eq!(Address::parse(text).map(|a| a.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn the_grammar_refuses() {
        for text in [
            "",
            "@b",
            "a@",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a b@c",
            "a@b c",
            "a@-b",
            "a@b-",
            "a@b..c",
            "a@.b",
            "a@b.",
            "a@b_c",
            "\"a@b",
            "\"a\n\"@b",
            "\"a\\\u{7f}\"@b",
            "a@[1.2.3]",
            "a@[1.2.3.256]",
            "a@[IPv6:x]",
            "a@[IPv6:1.2.3.4]",
            "a@[",
            "a@[]",
            "a@[x-:y]",
            "a<b@c",
            "a@b>",
            "a@b@c",
            "a,b@c",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        assert_eq!(Address::parse("joe"), Err(AddressError::NoDomain));
    }

    #[test]
    fn lengths() {
        let local = |n: usize| format!("{}@example.org", "a".repeat(n));
        assert!(Address::parse(&local(64)).is_ok());
        assert_eq!(Address::parse(&local(65)), Err(AddressError::LongLocalPart));
        let label = |n: usize| format!("a@{}.org", "b".repeat(n));
        assert!(Address::parse(&label(63)).is_ok());
        assert_eq!(Address::parse(&label(64)), Err(AddressError::LongDomain));
        // 254 octets and two brackets fill a path.
        let domain = |n: usize| {
            let full = ["b".repeat(63), "c".repeat(63), "d".repeat(63), "e".repeat(63)].join(".");
            format!("a@{}", &full[..n - 2])
        };
        assert!(Address::parse(&domain(254)).is_ok());
        assert_eq!(Address::parse(&domain(255)), Err(AddressError::LongPath));
    }

    #[test]
    fn parts() {
        let a = Address::parse("\"x@y\"@Example.ORG").unwrap();
        assert_eq!((a.local_part(), a.domain()), ("\"x@y\"", Some(Domain::Name("Example.ORG"))));
        assert_eq!(Address::parse("postmaster").unwrap().domain(), None);
        let a = Address::parse("a@[192.0.2.1]").unwrap();
        assert_eq!(a.domain(), Some(Domain::Literal("[192.0.2.1]")));
        assert_eq!(literal_of("2001:db8::1".parse().unwrap()), "[IPv6:2001:db8::1]");
    }

    #[test]
    fn ehlo_arguments() {
        for good in ["x", "mail.example.com", "[192.0.2.1]", "[IPv6:::1]"] {
            assert!(Domain::is_valid(good), "{good}");
        }
        for bad in ["", "x y", "x_y", "[1.2.3.4] ", "x\r", "-", "a.b."] {
            assert!(!Domain::is_valid(bad), "{bad}");
        }
    }
}
