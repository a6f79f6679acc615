//! The names of files in `queue/`.

use std::fmt;
use std::str::FromStr;

use crate::base::MessageId;

/// The name of a file in `queue/`: the id of its first message, and what kind of file it is. A
/// file that is used again keeps its name.
///
/// | name | kind |
/// | --- | --- |
/// | `6a8b3f12-00001a` | a batch: the messages of one commit |
/// | `6a8b3f12-00001a.lone` | one message alone: large, or with content that looks like a record |
/// | `6a8b3f12-00001a.1` | a copy: the messages that were left of old batches; numbers go up |
/// | `6a8b3f12-00001a.b1` | later ones, in a [spare](super::spares) file made when this one came |
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileName {
    /// The first message.
    pub id: MessageId,
    /// 0 a batch, 1 and up a copy, from [`PREPARED`] on prepared, the highest number alone.
    kind: u32,
}

const LONE: u32 = u32::MAX;
const PREPARED: u32 = 1 << 31;

impl FileName {
    /// The batch that begins with this message.
    pub fn batch(id: MessageId) -> FileName {
        FileName { id, kind: 0 }
    }

    /// The file of this message alone.
    pub fn lone(id: MessageId) -> FileName {
        FileName { id, kind: LONE }
    }

    /// A copy that begins with this message, made of copies up to this generation.
    pub fn copy(id: MessageId, generation: u32) -> FileName {
        FileName { id, kind: (generation + 1).min(PREPARED - 1) }
    }

    /// The nth file, from 1 on, that is prepared for messages to come after this one.
    pub fn prepared(id: MessageId, nth: u16) -> FileName {
        FileName { id, kind: PREPARED + u32::from(nth) }
    }

    /// Whether it was prepared: then it may have been left empty.
    pub fn is_prepared(self) -> bool {
        self.kind >= PREPARED && !self.is_lone()
    }

    /// Whether it holds one message alone, so that nothing in it but its beginning is a record.
    pub fn is_lone(self) -> bool {
        self.kind == LONE
    }

    /// How often its messages have been copied.
    pub fn generation(self) -> u32 {
        if self.kind >= PREPARED { 0 } else { self.kind }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            0 => write!(f, "{}", self.id),
            LONE => write!(f, "{}.lone", self.id),
            n if n >= PREPARED => write!(f, "{}.b{}", self.id, n - PREPARED),
            n => write!(f, "{}.{n}", self.id),
        }
    }
}

impl FromStr for FileName {
    type Err = ();

    /// Takes exactly what `Display` writes.
    fn from_str(text: &str) -> Result<FileName, ()> {
        let (id, kind) = match text.split_once('.') {
            None => (text, 0),
            Some((id, "lone")) => (id, LONE),
            Some((id, number)) => match number.strip_prefix('b') {
                Some(nth) => (id, PREPARED + u32::from(nth.parse::<u16>().map_err(|_| ())?)),
                None => (id, number.parse().map_err(|_| ())?),
            },
        };
        let name = FileName { id: id.parse()?, kind };
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for good in [
            "6a8b3f12-00001a",
            "6a8b3f12-00001a.lone",
            "6a8b3f12-00001a.7",
            "6a8b3f12-00001a.b1",
            "6a8b3f12-00001a.b65535",
        ] {
            assert_eq!(good.parse::<FileName>().unwrap().to_string(), good);
        }
        for bad in ["", ".", "x", "6a8b3f12-00001a.", "6a8b3f12-00001a.0", "6a8b3f12-00001a.07"] {
            assert_eq!(bad.parse::<FileName>(), Err(()), "{bad}");
        }
        for far in ["4294967295", "2147483649", "b65536", "b01", "b", "b-1", "B1"] {
            assert_eq!(format!("6a8b3f12-00001a.{far}").parse::<FileName>(), Err(()), "{far}");
        }
        let id = "6a8b3f12-00001a".parse().unwrap();
        assert_eq!(FileName::copy(id, u32::MAX - 1).to_string(), "6a8b3f12-00001a.2147483647");
        assert!(FileName::prepared(id, 1).is_prepared() && !FileName::prepared(id, 1).is_lone());
        assert_eq!(FileName::prepared(id, 3).generation(), 0);
    }
}
