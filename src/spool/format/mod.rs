//! The format: a record of plain text for each message, readable with `less`.
//!
//! ```text
//! MAILFLUX1 6a8b3f12-00001a head=00000189 body=0000000189 crc=9848ba9d
//! Arrived: 1787510546 2026-08-23T18:42:26Z
//! Client: 192.0.2.7 mail.example.com ESMTPS
//! From: <alice@example.com> BODY=8BITMIME
//! To: + <bob@example.net>
//! To: - <carol@example.org> NOTIFY=FAILURE
//!
//! Received: …       (body= octets exactly; one LF after; the next record follows)
//! ```
//!
//! `head=` counts the octets of the envelope: everything after the first line up to and with the
//! blank line. `crc=` is the CRC32C of envelope and content, with every status octet read as `-`,
//! so that overwriting a status leaves it true. All numbers of the first line have a fixed width:
//! the line of a message that streams is patched when its length is known.
//!
//! An envelope has one spelling: what reads differently from what would be written is damaged.
//! Only the length of a `Room:` line says nothing.

mod envelope;
#[cfg(test)]
mod tests;

use memchr::memmem;

use crate::base::{Envelope, MessageId, Status, Wall};
pub use envelope::{ROOM_LINE, parse_head};

/// The octets that every record begins with.
pub const MAGIC: &[u8] = b"MAILFLUX1 ";
/// The same at the start of a line inside a file, where a next record may begin.
pub const MAGIC_AFTER_LF: &[u8] = b"\nMAILFLUX1 ";
/// No first line is longer: a counter has 16 digits at most.
pub const MAX_LINE: usize = 10 + 25 + 1 + 13 + 1 + 15 + 1 + 12 + 1;
/// The longest envelope that eight digits can say.
pub const MAX_HEAD: u64 = 99_999_999;
/// The longest content that ten digits can say.
pub const MAX_BODY: u64 = 9_999_999_999;

/// Why octets are not a record, in a few words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken(pub &'static str);

/// A message without its octets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// Which message.
    pub id: MessageId,
    /// When it came, to the second.
    pub arrived: Wall,
    /// Who sends it to whom.
    pub envelope: Envelope,
    /// What became of each recipient.
    pub statuses: Vec<Status>,
    /// Octets of content.
    pub body: u64,
}

/// The first line of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// Whose record.
    pub id: MessageId,
    /// Octets of the envelope.
    pub head: u32,
    /// Octets of the content.
    pub body: u64,
    /// CRC32C of both.
    pub crc: u32,
}

impl Line {
    /// Octets of the line itself, with its LF; they follow from the id alone.
    pub fn len(id: MessageId) -> u64 {
        let digits = (u64::BITS - id.counter.leading_zeros()).div_ceil(4).max(6);
        u64::from(10 + 8 + 1 + digits + 1 + 13 + 1 + 15 + 1 + 12 + 1)
    }

    /// Octets of the whole record, with its last LF.
    pub fn record_len(&self) -> u64 {
        Line::len(self.id) + u64::from(self.head) + self.body + 1
    }

    /// As it is written, with its LF.
    pub fn text(&self) -> String {
        let Line { id, head, body, crc } = self;
        format!("MAILFLUX1 {id} head={head:08} body={body:010} crc={crc:08x}\n")
    }

    /// Reads the line at the start of `octets`.
    pub fn parse(octets: &[u8]) -> Result<Line, Broken> {
        let octets = &octets[..octets.len().min(MAX_LINE)];
        let line = octets.strip_prefix(MAGIC).ok_or(Broken("no record begins here"))?;
        let end = memchr::memchr(b'\n', line).ok_or(Broken("first line without end"))?;
        let text = std::str::from_utf8(&line[..end]).map_err(|_| Broken("first line"))?;
        let mut words = text.split(' ');
        let id = words.next().and_then(|word| word.parse().ok()).ok_or(Broken("id"))?;
        let mut number =
            |prefix, digits, radix| fixed(words.next()?.strip_prefix(prefix)?, digits, radix);
        let head = number("head=", 8, 10).ok_or(Broken("head="))?;
        let body = number("body=", 10, 10).ok_or(Broken("body="))?;
        let crc = number("crc=", 8, 16).ok_or(Broken("crc="))?;
        match words.next() {
            // The widths above keep both within 32 bits.
            None => Ok(Line { id, head: head as u32, body, crc: crc as u32 }),
            Some(_) => Err(Broken("first line")),
        }
    }
}

/// A number of exactly so many digits, lower case.
fn fixed(text: &str, digits: usize, radix: u32) -> Option<u64> {
    let lower = |b: u8| b.is_ascii_digit() || (radix == 16 && (b'a'..=b'f').contains(&b));
    let right = text.len() == digits && text.bytes().all(lower);
    right.then(|| u64::from_str_radix(text, radix).ok()).flatten()
}

/// The beginning of a record, all recipients pending: a first line without length and checksum
/// of the content, and the envelope, with room of so many dots in it. None when the envelope is too
/// long.
pub fn encode(id: MessageId, arrived: Wall, envelope: &Envelope, room: usize) -> Option<Vec<u8>> {
    let from = Line::len(id) as usize;
    let mut out = Vec::with_capacity(from + 256);
    out.resize(from, 0);
    envelope::write(arrived, envelope, room, &mut out);
    let head = (out.len() - from) as u64;
    if head > MAX_HEAD {
        return None;
    }
    let line = Line { id, head: head as u32, body: 0, crc: 0 };
    out[..from].copy_from_slice(line.text().as_bytes());
    Some(out)
}

/// Where in an envelope the status octets stand, in the order of the recipients. No other line
/// begins with `To: `, and no field can contain an LF.
pub fn status_positions(head: &[u8]) -> impl Iterator<Item = usize> {
    memmem::find_iter(head, b"\nTo: ").map(|at| at + 5).filter(|at| *at < head.len())
}

/// CRC32C of an envelope with its status octets read as `-`: the start of a record's checksum.
pub fn crc_of_head(head: &[u8]) -> u32 {
    let (mut crc, mut from) = (0, 0);
    for at in status_positions(head) {
        crc = crc32c::crc32c_append(crc, &head[from..at]);
        crc = crc32c::crc32c_append(crc, b"-");
        from = at + 1;
    }
    crc32c::crc32c_append(crc, &head[from..])
}
