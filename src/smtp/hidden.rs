//! Keywords of EHLO that are to be hidden from the other side, or from ourselves: a fault, for
//! tests of who then speaks with whom.

use std::fmt;

/// A set of keywords. `EHLO` itself stands for: the command is not known.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Hidden(u16);

impl Hidden {
    /// All that can be hidden, in lower case.
    pub const NAMES: [&str; 11] = [
        "ehlo",
        "starttls",
        "auth",
        "pipelining",
        "chunking",
        "size",
        "8bitmime",
        "smtputf8",
        "dsn",
        "enhancedstatuscodes",
        "limits",
    ];

    /// CHUNKING (RFC 3030) alone.
    pub const CHUNKING: Hidden = Hidden(1 << 4);

    /// Reads `starttls, pipelining`. The error is the word that is none.
    pub fn parse(text: &str) -> Result<Hidden, String> {
        let mut hidden = Hidden::default();
        for word in text.split(',').map(str::trim) {
            match Hidden::bit(word) {
                0 => return Err(word.to_owned()),
                bit => hidden.0 |= bit,
            }
        }
        Ok(hidden)
    }

    fn bit(word: &str) -> u16 {
        let at = Hidden::NAMES.iter().position(|name| name.eq_ignore_ascii_case(word));
        at.map_or(0, |at| 1 << at)
    }

    /// Whether this keyword is hidden, in any case of its letters.
    pub fn has(self, keyword: &str) -> bool {
        self.0 & Hidden::bit(keyword) != 0
    }

    /// Whether anything is hidden.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What one of them or both hide.
    #[must_use]
    pub fn with(self, other: Hidden) -> Hidden {
        Hidden(self.0 | other.0)
    }

    /// The lines of a reply to EHLO without those of hidden keywords; the first line is a name.
    pub fn strip(self, text: &str) -> String {
        let keyword = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let lines = text.split('\n').enumerate();
        let kept = lines.filter(|(i, line)| *i == 0 || !self.has(&keyword(line)));
        kept.map(|(_, line)| line).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Hidden::NAMES.into_iter().filter(|name| self.has(name)).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_neither_shown_nor_seen() {
        let hidden = Hidden::parse("STARTTLS, size").unwrap();
        assert_eq!(hidden.to_string(), "starttls, size");
        assert!(hidden.has("StartTLS") && !hidden.has("DSN") && !hidden.has(""));
        assert_eq!(
            hidden.strip("size\nPIPELINING\nSIZE 5\nSTARTTLS\nDSN"),
            "size\nPIPELINING\nDSN"
        );
        assert_eq!(Hidden::parse("starttls,dns"), Err("dns".into()));
        assert_eq!(Hidden::parse(""), Err(String::new()));
        assert_eq!(Hidden::parse("chunking"), Ok(Hidden::CHUNKING));
        assert!(Hidden::default().is_empty() && !hidden.is_empty());
    }
}
