//! Mail that was declared more than it is.
//!
//! Many clients say BODY=8BITMIME or SMTPUTF8 with every message, because they were offered it.
//! What was declared goes on to a next server that offers it too. One that does not may still take
//! the message when its octets need nothing: RFC 6152 section 3 and RFC 6531 section 3.2 forbid
//! only that it gets what it cannot take. So the content is looked at, but only then, and only in
//! messages of at most [`MAX_LOOKED_AT`]: the loop waits for the disk meanwhile.

use super::core::Core;
use crate::base::{BodyType, MessageId};
use crate::smtp::client::{Extensions, Transaction};
use crate::spool::Disk;

/// Octets of a message that is looked at; a larger one is taken at its word.
const MAX_LOOKED_AT: u64 = 8 << 20;
/// Octets read at once.
const SLICE: usize = 1 << 16;

impl<D: Disk> Core<D> {
    /// Takes back what was declared, is not offered and is not needed.
    pub(super) fn lower(&mut self, order: &mut Transaction, offered: &Extensions) {
        let bits = order.body == BodyType::EightBitMime && !offered.eight_bit_mime;
        let utf8 = order.utf8 && !offered.smtputf8;
        if (bits || utf8) && order.size <= MAX_LOOKED_AT && self.is_ascii(order.message) {
            if bits {
                order.body = BodyType::SevenBit;
            }
            if utf8 {
                order.utf8 = false;
            }
        }
    }

    /// Whether all of the content is ASCII. False when it cannot be read: nothing is known then.
    fn is_ascii(&mut self, id: MessageId) -> bool {
        let mut slice = vec![0; SLICE];
        let mut at = 0;
        loop {
            match self.spool.read(id, at, &mut slice) {
                Ok(0) => return true,
                Ok(n) if slice[..n].is_ascii() => at += n as u64,
                _ => return false,
            }
        }
    }
}
