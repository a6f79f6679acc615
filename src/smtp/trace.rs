//! The trace header `Received` (RFC 5321 section 4.4), which is put before each message.
//!
//! Every word in it is ours or has passed a grammar: a client's EHLO argument that is not a domain
//! is left out, so that nobody writes into a header through it. The recipient is named only when
//! it is the only one; otherwise the header would show the Bcc recipients to each other.

use crate::base::{Envelope, MessageId, Protocol, Wall, literal_of};

/// Columns in a line of the header, without its CRLF (RFC 5322 section 2.1.1).
const MAX_COLUMNS: usize = 78;

/// The header field for a message, folded, with its last CRLF.
pub fn received(envelope: &Envelope, hostname: &str, id: MessageId, wall: Wall) -> Vec<u8> {
    let client = &envelope.client;
    let mut field = Folder::new("Received:");
    match (&client.helo, client.ip) {
        (Some(helo), Some(ip)) => {
            field.word(&format!("from {helo}"));
            field.word(&format!("({})", literal_of(ip)));
        }
        (None, Some(ip)) => field.word(&format!("from {}", literal_of(ip))),
        (_, None) => {}
    }
    field.word(&format!("by {hostname}"));
    // Mail made here came by no protocol, and `with` takes registered ones only.
    if client.protocol != Protocol::Local {
        field.word(&format!("with {}", client.protocol.name()));
    }
    let id = format!("id {id}");
    match &envelope.recipients[..] {
        [only] => {
            field.word(&id);
            field.word(&format!("for <{}>;", only.address));
        }
        _ => field.word(&format!("{id};")),
    }
    field.word(&wall.rfc5322());
    field.finish()
}

/// Joins words by blanks and folds before a word that would pass the last column.
struct Folder {
    text: Vec<u8>,
    column: usize,
}

impl Folder {
    fn new(name: &str) -> Folder {
        Folder { text: name.into(), column: name.len() }
    }

    fn word(&mut self, word: &str) {
        if self.column + 1 + word.len() > MAX_COLUMNS {
            self.text.extend_from_slice(b"\r\n\t");
            // A tab reaches to the eighth column on every screen.
            self.column = 8;
        } else {
            self.text.push(b' ');
            self.column += 1;
        }
        self.text.extend_from_slice(word.as_bytes());
        self.column += word.len();
    }

    fn finish(mut self) -> Vec<u8> {
        self.text.extend_from_slice(b"\r\n");
        self.text
    }
}

#[cfg(test)]
mod tests;
