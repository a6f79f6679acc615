//! What is on disk.
//!
//! A segment is a file `segment-0000000007`; numbers count up. It begins with a line for people
//! (and for `file` and `head`), always 96 octets long:
//!
//! ```text
//! MAILFLUX-HISTORY1 created=00001787510546123456 in=00000000000000000008 out=00000000000000000004
//! ```
//!
//! with the moment at which it was begun, in Unix microseconds, and the numbers that the next
//! sessions will have: so it is known from the heads alone where to look for `i7`. Batches follow,
//! each of entries as the journal has them in memory (`journal/entry.rs`):
//!
//! ```text
//! 'MFB1'                          4    little-endian, as all numbers
//! length of the entries           4
//! CRC32C of what follows          4    up to and without the last word
//! flags                           4    1: the last of a run that ended in order
//! written at, Unix µs             8
//! next inbound, outbound number   8 8
//! entries                         …
//! length of the whole batch       4    so that the last one is found from the end
//! ```
//!
//! A batch that is torn or damaged ends its segment for a reader: what stands before it is whole.

use crate::base::Wall;

use super::store::Numbers;

/// Octets of the first line of a segment.
pub const HEAD: usize = 96;
/// Octets of a batch before its entries.
pub const BATCH_HEAD: usize = 40;
/// Octets of a batch behind its entries.
pub const BATCH_TAIL: usize = 4;
/// Octets of the entries in one batch, at most.
pub const MAX_ENTRIES: usize = 1 << 20;

const MAGIC: &[u8; 4] = b"MFB1";
const LAST: u32 = 1;

/// The first line of a segment.
pub fn head(created: Wall, next: Numbers) -> [u8; HEAD] {
    let micros = created.as_micros().max(0);
    let line = format!(
        "MAILFLUX-HISTORY1 created={micros:020} in={:020} out={:020}",
        next.inbound, next.outbound
    );
    let mut octets = [b' '; HEAD];
    octets[..line.len()].copy_from_slice(line.as_bytes());
    octets[HEAD - 1] = b'\n';
    octets
}

/// Reads the first line of a segment; none when it is another version's, or none at all.
pub fn parse_head(octets: &[u8]) -> Option<(Wall, Numbers)> {
    let line = std::str::from_utf8(octets.get(..HEAD)?).ok()?;
    let mut words = line.strip_suffix('\n')?.trim_end().split(' ');
    if words.next() != Some("MAILFLUX-HISTORY1") {
        return None;
    }
    let mut value = |key: &str| {
        let digits = words.next()?.strip_prefix(key)?.strip_prefix('=')?;
        (digits.len() == 20).then(|| digits.parse::<u64>().ok()).flatten()
    };
    let created = i64::try_from(value("created")?).ok()?;
    let next = Numbers { inbound: value("in")?, outbound: value("out")? };
    Some((Wall::from_micros(created), next))
}

/// The name of a segment.
pub fn name(number: u64) -> String {
    format!("segment-{number:010}")
}

/// The number of a segment by its name.
pub fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?;
    let number = digits.parse().ok()?;
    (self::name(number) == name).then_some(number)
}

/// What stands in front of the entries of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHead {
    /// Octets of the entries.
    pub length: u32,
    /// Nothing follows in this run.
    pub last: bool,
    /// When it was written.
    pub at: Wall,
    /// The numbers of the next sessions.
    pub next: Numbers,
}

impl BatchHead {
    /// Its octets, in front of these entries.
    pub fn write(&self, pieces: [&[u8]; 2]) -> [u8; BATCH_HEAD] {
        let mut octets = [0; BATCH_HEAD];
        octets[..4].copy_from_slice(MAGIC);
        octets[4..8].copy_from_slice(&self.length.to_le_bytes());
        octets[12..16].copy_from_slice(&(if self.last { LAST } else { 0 }).to_le_bytes());
        octets[16..24].copy_from_slice(&self.at.as_micros().to_le_bytes());
        octets[24..32].copy_from_slice(&self.next.inbound.to_le_bytes());
        octets[32..40].copy_from_slice(&self.next.outbound.to_le_bytes());
        let sum = sum(&octets[12..], pieces);
        octets[8..12].copy_from_slice(&sum.to_le_bytes());
        octets
    }

    /// Reads it; none when it is none. Whether the entries are whole [`BatchHead::fits`] says.
    pub fn parse(octets: &[u8]) -> Option<BatchHead> {
        let octets = octets.get(..BATCH_HEAD)?;
        let word = |at: usize| {
            u32::from_le_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
        };
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let length = word(4);
        if &octets[..4] != MAGIC || length as usize > MAX_ENTRIES {
            return None;
        }
        let next = Numbers { inbound: long(24), outbound: long(32) };
        let at = Wall::from_micros(long(16) as i64);
        Some(BatchHead { length, last: word(12) & LAST != 0, at, next })
    }

    /// Whether these octets are a whole batch, as it was written.
    pub fn fits(&self, batch: &[u8]) -> bool {
        let whole = self.whole();
        let Some(batch) = batch.get(..whole) else { return false };
        let end = whole - BATCH_TAIL;
        let sum = sum(&batch[12..BATCH_HEAD], [&batch[BATCH_HEAD..end], &[]]);
        batch[8..12] == sum.to_le_bytes() && batch[end..] == (whole as u32).to_le_bytes()
    }

    /// Octets of the whole batch.
    pub fn whole(&self) -> usize {
        BATCH_HEAD + self.length as usize + BATCH_TAIL
    }
}

fn sum(rest: &[u8], pieces: [&[u8]; 2]) -> u32 {
    let sum = crc32c::crc32c(rest);
    pieces.iter().fold(sum, |sum, piece| crc32c::crc32c_append(sum, piece))
}
