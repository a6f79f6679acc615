//! Another From, for next servers that take mail from one sender only (`rewrite_from`).
//!
//! This is the one place where octets of a message are changed (I11), and only because a setting
//! asks for it: From becomes the address that the next server wants, and what it was becomes
//! Reply-To, unless there is one already, so that answers still reach the author.

use crate::base::Address;

/// A header to be sent in place of the first octets of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// The new header, without the blank line.
    pub header: Vec<u8>,
    /// How many octets of the message it stands for.
    pub replaces: usize,
}

impl Edit {
    /// Octets of the message as it is sent, when it has so many by itself.
    pub fn size(&self, octets: u64) -> u64 {
        octets.saturating_sub(self.replaces as u64) + self.header.len() as u64
    }

    /// What stands at this place of the message as it is sent: octets of the new header, or else
    /// the place in the message as it is.
    pub fn at(&self, offset: u64) -> Result<&[u8], u64> {
        let length = self.header.len() as u64;
        match usize::try_from(offset).ok().and_then(|at| self.header.get(at..)) {
            Some(octets) if !octets.is_empty() => Ok(octets),
            _ => Err(offset.saturating_sub(length) + self.replaces as u64),
        }
    }
}

/// The header with another From. `start` begins with the message's first octet; none when the
/// header does not end in it.
pub fn rewrite_from(start: &[u8], is_whole: bool, from: &Address) -> Option<Edit> {
    let mut header = Vec::with_capacity(start.len().min(8192) + 256);
    let (mut at, mut old, mut has_reply_to) = (0, None::<&[u8]>, false);
    // Whether continuation lines belong to a From that was taken out, and where it began.
    let mut taken: Option<usize> = None;
    loop {
        let rest = &start[at..];
        let line = match rest.iter().position(|b| *b == b'\n') {
            Some(end) => &rest[..=end],
            None if is_whole => rest,
            None => return None,
        };
        let continues = matches!(line.first(), Some(b' ' | b'\t'));
        if !continues {
            if let Some(value) = taken.take() {
                old = old.or(Some(&start[value..at]));
            }
        }
        if line.is_empty() || line == b"\r\n" || line == b"\n" {
            break;
        }
        if !continues {
            match field(line) {
                Some((name, value)) if name.eq_ignore_ascii_case(b"from") => {
                    taken = Some(at + value);
                }
                Some((name, _)) => has_reply_to |= name.eq_ignore_ascii_case(b"reply-to"),
                // No header line: the body has begun without a blank line.
                None => break,
            }
        }
        if taken.is_none() {
            header.extend_from_slice(line);
        }
        at += line.len();
    }
    let old = old.map(<[u8]>::trim_ascii).filter(|value| !value.is_empty());
    if !header.is_empty() && !header.ends_with(b"\n") {
        header.extend_from_slice(b"\r\n");
    }
    header.extend_from_slice(b"From: <");
    header.extend_from_slice(from.as_str().as_bytes());
    header.extend_from_slice(b">\r\n");
    if let (Some(old), false) = (old, has_reply_to) {
        header.extend_from_slice(b"Reply-To: ");
        header.extend_from_slice(old);
        header.extend_from_slice(b"\r\n");
    }
    Some(Edit { header, replaces: at })
}

/// A field's name, and where its value begins.
fn field(line: &[u8]) -> Option<(&[u8], usize)> {
    let colon = line.iter().position(|b| *b == b':')?;
    let name = line[..colon].trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(|b| !matches!(b, 0..=b' ' | 0x7f));
    is_name.then_some((name, colon + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: &str) {
        let from = Address::parse("relay@example.org").unwrap();
        let edit = rewrite_from(message.as_bytes(), true, &from).unwrap();
        let sent = [&edit.header[..], &message.as_bytes()[edit.replaces..]].concat();
        assert_eq!(edit.size(message.len() as u64), sent.len() as u64);
        // Octet by octet it is the same.
        let octet = |at: u64| match edit.at(at) {
            Ok(octets) => octets[0],
            Err(at) => message.as_bytes()[at as usize],
        };
        assert!((0..sent.len() as u64).map(octet).eq(sent.iter().copied()));
        assert_eq!(String::from_utf8(sent).unwrap(), expected);
    }

    #[test]
    fn the_old_from_becomes_reply_to() {
        check(
            "Received: x\r\nFrom: Ann\r\n <ann@x.org>\r\nSubject: y\r\n\r\nFrom: body\r\n",
            "Received: x\r\nSubject: y\r\nFrom: <relay@example.org>\r\n\
             Reply-To: Ann\r\n <ann@x.org>\r\n\r\nFrom: body\r\n",
        );
        check(
            "fROM : a@x\r\nReply-To: b@x\r\n\r\n",
            "Reply-To: b@x\r\nFrom: <relay@example.org>\r\n\r\n",
        );
        check(
            "From: a@x\r\nFrom: b@x\r\n\r\n",
            "From: <relay@example.org>\r\nReply-To: a@x\r\n\r\n",
        );
    }

    #[test]
    fn messages_that_are_hardly_messages() {
        check("", "From: <relay@example.org>\r\n");
        check("\r\nbody", "From: <relay@example.org>\r\n\r\nbody");
        check("no field\r\nx", "From: <relay@example.org>\r\nno field\r\nx");
        check("Subject: x", "Subject: x\r\nFrom: <relay@example.org>\r\n");
        check("From: a@x", "From: <relay@example.org>\r\nReply-To: a@x\r\n");
        check("From:\r\n\r\n", "From: <relay@example.org>\r\n\r\n");
    }

    #[test]
    fn a_header_that_does_not_end_is_left_alone() {
        let from = Address::parse("relay@example.org").unwrap();
        assert_eq!(rewrite_from(b"Subject: x\r\nTo:", false, &from), None);
        assert_eq!(rewrite_from(b"Subject: x\r\nTo: y\r\n", false, &from), None);
        assert!(rewrite_from(b"Subject: x\r\n\r\n", false, &from).is_some());
    }
}
