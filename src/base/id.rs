//! Identities: of messages, for ever; of sessions, for the life of the process.

use std::fmt;
use std::str::FromStr;

/// The identity of a message in the spool, never used again.
///
/// Written `6a8b3f12-00001a`: the second of arrival and a counter, both hexadecimal. The counter
/// alone is unique, also when the clock jumps back; people type it as `q1A`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageId {
    /// Unique for the life of the spool.
    pub counter: u64,
    /// Unix seconds of arrival, cut to 32 bits: a label, not a key.
    pub arrived: u32,
}

impl MessageId {
    /// The short form for people: `q1A`.
    pub fn short(self) -> String {
        format!("q{:X}", self.counter)
    }

    /// The counter in the short form, `q1A` or `1a`; upper and lower case are the same.
    pub fn parse_short(text: &str) -> Option<u64> {
        let digits = text.strip_prefix(['q', 'Q']).unwrap_or(text);
        if digits.is_empty() || digits.starts_with('+') {
            return None;
        }
        u64::from_str_radix(digits, 16).ok()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:06x}", self.arrived, self.counter)
    }
}

impl FromStr for MessageId {
    type Err = ();

    /// Takes exactly what `Display` writes.
    fn from_str(text: &str) -> Result<MessageId, ()> {
        let (arrived, counter) = text.split_once('-').ok_or(())?;
        let hex = |s: &str| s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if arrived.len() != 8 || counter.len() < 6 || !hex(arrived) || !hex(counter) {
            return Err(());
        }
        let id = MessageId {
            arrived: u32::from_str_radix(arrived, 16).map_err(|_| ())?,
            counter: u64::from_str_radix(counter, 16).map_err(|_| ())?,
        };
        // One id has one name: no second spelling with more leading zeros.
        if id.to_string() == text { Ok(id) } else { Err(()) }
    }
}

/// The two kinds of sessions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Leg {
    /// A client that brings mail.
    In,
    /// A next server that takes it.
    Out,
}

/// The identity of a session, written `i7` or `o3`; numbers count up and are not used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId {
    /// Which kind.
    pub leg: Leg,
    /// Which one, from 1.
    pub number: u64,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.leg == Leg::In { 'i' } else { 'o' }, self.number)
    }
}

impl FromStr for SessionId {
    type Err = ();

    fn from_str(text: &str) -> Result<SessionId, ()> {
        let (leg, digits) = match text.as_bytes().first() {
            Some(b'i') => (Leg::In, &text[1..]),
            Some(b'o') => (Leg::Out, &text[1..]),
            _ => return Err(()),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(());
        }
        Ok(SessionId { leg, number: digits.parse().map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_write() {
        let id = MessageId { arrived: 0x6a8b_3f12, counter: 0x1a };
        assert_eq!(id.to_string(), "6a8b3f12-00001a");
        assert_eq!("6a8b3f12-00001a".parse(), Ok(id));
        assert_eq!(id.short(), "q1A");
        assert_eq!(MessageId::parse_short("q1A"), Some(0x1a));
        for wrong in
            ["6a8b3f12-1a", "6a8b3f12-000001a", "6A8b3f12-00001a", "-", "", "6a8b3f12-+0001a"]
        {
            assert_eq!(wrong.parse::<MessageId>(), Err(()), "{wrong}");
        }
        assert_eq!("i7".parse(), Ok(SessionId { leg: Leg::In, number: 7 }));
        for wrong in ["i", "x7", "i-7", "i+7", "", "o7 "] {
            assert_eq!(wrong.parse::<SessionId>(), Err(()), "{wrong}");
        }
    }
}
