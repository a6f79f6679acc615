//! Domain names as the resolver keeps them: lower case, without the last dot, bounded.

use std::fmt;

use crate::base::domain_to_ascii;

/// Octets of a name on the wire at most, lengths of labels and the root included (RFC 1035
/// section 2.3.4).
const MAX_WIRE: usize = 255;
/// Octets of a label at most.
const MAX_LABEL: usize = 63;

/// A domain name whose labels are letters, digits, hyphens and underscores: what mail needs, and
/// nothing that could be mistaken for something else when it is shown. The root is the empty name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// Reads a name as people write it, also one beyond ASCII; a last dot makes no difference. None
    /// when it is no name.
    pub fn parse(text: &str) -> Option<Name> {
        let text = domain_to_ascii(text)?;
        let text = text.strip_suffix('.').unwrap_or(&text);
        Name::from_labels(text.split('.').map(str::as_bytes))
    }

    /// The root, which a null MX names (RFC 7505 section 3).
    pub fn root() -> Name {
        Name("".into())
    }

    /// Joins labels; none when one is empty, too long or has other octets, or when the whole is
    /// too long.
    pub(super) fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Option<Name> {
        let mut text = String::new();
        for label in labels {
            let known = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_';
            if label.is_empty() || label.len() > MAX_LABEL || !label.iter().all(known) {
                return None;
            }
            if !text.is_empty() {
                text.push('.');
            }
            text.extend(label.iter().map(|b| char::from(b.to_ascii_lowercase())));
            // A length in front of each label, and the root behind all.
            if text.len() + 2 > MAX_WIRE {
                return None;
            }
        }
        Some(Name(text.into()))
    }

    /// This name below another, as search lists want it.
    pub fn below(&self, parent: &Name) -> Option<Name> {
        Name::from_labels(self.labels().chain(parent.labels()).map(str::as_bytes))
    }

    /// The name without a last dot; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Its labels, the most special first.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.split('.').filter(|label| !label.is_empty())
    }

    /// Dots inside.
    pub fn dots(&self) -> usize {
        self.labels().count().saturating_sub(1)
    }

    /// `localhost` and everything below it, of which nobody is ever asked (RFC 6761 section 6.3).
    pub fn is_localhost(&self) -> bool {
        self.labels().last() == Some("localhost")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "." } else { &self.0 })
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_shown() {
        let show = |text: &str| Name::parse(text).map(|n| n.to_string());
        assert_eq!(show("Mail.Example.ORG.").as_deref(), Some("mail.example.org"));
        assert_eq!(show("_dmarc.x-1").as_deref(), Some("_dmarc.x-1"));
        assert_eq!(show("Grün.example").as_deref(), Some("xn--grn-ioa.example"));
        for wrong in
            ["", ".", "a..b", ".a", "a b", "a\\.b", "gr\u{200b}ün.example", "a/b", "a\u{0}b"]
        {
            assert_eq!(show(wrong), None, "{wrong:?}");
        }
        assert!(Name::parse(&"a".repeat(63)).is_some() && Name::parse(&"a".repeat(64)).is_none());
        let long = |n: usize| Name::parse(&vec!["a"; n].join("."));
        assert!(long(127).is_some() && long(128).is_none());
    }

    #[test]
    fn names_below_others() {
        let name = |text| Name::parse(text).unwrap();
        assert_eq!(name("a.b").below(&name("c")).unwrap(), name("a.b.c"));
        assert_eq!(name("a").below(&Name::root()).unwrap(), name("a"));
        assert_eq!((name("a.b.c").dots(), name("a").dots(), Name::root().dots()), (2, 0, 0));
        assert!(name("x.localhost").is_localhost() && !name("localhost.x").is_localhost());
        let long = name(&vec!["a"; 100].join("."));
        assert!(long.below(&long).is_none());
    }
}
