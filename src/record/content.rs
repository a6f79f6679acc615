//! What stands for a message's content, which transcripts tell only the size of.

use std::borrow::Cow;

/// Octets of content that are made up at most, in one file.
pub const MAX_MADE: u64 = 16 << 20;

/// The content of the message that a recording is about.
#[derive(Clone, Copy, Default, Debug)]
pub struct Body<'a> {
    /// As it is in the spool; none when it is not kept (any more).
    pub known: Option<&'a [u8]>,
}

impl Body<'_> {
    /// Content of this size: the known one, if that has the size, else lines that say what they
    /// are. None when so much is not made up.
    pub fn of_size(&self, size: u64) -> Option<Cow<'_, [u8]>> {
        match self.known {
            Some(known) if known.len() as u64 == size => Some(Cow::Borrowed(known)),
            _ if size > MAX_MADE => None,
            _ => Some(Cow::Owned(made(usize::try_from(size).unwrap_or(0)))),
        }
    }
}

/// So many octets that are a message as far as there is room for one: a header, an empty line, and
/// lines of text.
pub(super) fn made(size: usize) -> Vec<u8> {
    const HEAD: &[u8] = b"Subject: content that is not recorded\r\n\r\n";
    const LINE: &[u8] = b"This line stands for content of a recorded session.\r\n";
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(HEAD);
    while out.len() < size {
        out.extend_from_slice(LINE);
    }
    out.truncate(size);
    // What is cut ends with an end of line all the same.
    if size >= 2 {
        out[size - 2..].copy_from_slice(b"\r\n");
        if size >= 3 && out[size - 3] == b'\r' {
            out[size - 3] = b'.';
        }
    }
    out
}

/// Content as it goes over the wire after DATA, with the line that ends it (RFC 5321 section
/// 4.5.2).
pub fn dotted(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 8);
    let mut at_start = true;
    for octet in content {
        if at_start && *octet == b'.' {
            out.push(b'.');
        }
        out.push(*octet);
        at_start = *octet == b'\n';
    }
    if !at_start {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

/// The octets that a BDAT command announces (RFC 3030 section 2); none when it is no such command.
pub fn chunk_of(command: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(command).ok()?;
    let mut words = text.split_ascii_whitespace();
    words.next().filter(|verb| verb.eq_ignore_ascii_case("BDAT"))?;
    words.next()?.parse().ok()
}

/// The octets of an event such as `q1A [123 octets of content]`.
pub fn size_of(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, rest) = text.split_once('[')?;
    rest.split_once(' ')?.0.parse().ok()
}
