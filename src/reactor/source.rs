//! Where content on its way out comes from: the spool, perhaps with another header in front.

use std::io;

use super::core::Core;
use super::outbound::Carrying;
use super::probe::Purpose;
use crate::base::MessageId;
use crate::message::Edit;
use crate::spool::Disk;

/// The content of the transaction that goes on.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The message in the spool.
    pub id: MessageId,
    /// Octets that are sent.
    pub size: u64,
    edit: Option<&'a Edit>,
}

impl<'a> Source<'a> {
    /// Of mail, or of a copy for somebody who asked; a probe has none.
    pub fn of(carrying: Option<&'a Carrying>, purpose: &Purpose) -> Option<Source<'a>> {
        match (carrying, purpose) {
            (Some(carrying), _) => {
                let Carrying { delivery, size, edit, .. } = carrying;
                Some(Source { id: delivery.id, size: *size, edit: edit.as_ref() })
            }
            (None, Purpose::Copy(copying)) => {
                Some(Source { id: copying.id, size: copying.size, edit: None })
            }
            (None, _) => None,
        }
    }

    /// Reads a part of it.
    pub fn read<D: Disk>(
        &self,
        core: &mut Core<D>,
        offset: u64,
        part: &mut [u8],
    ) -> io::Result<usize> {
        let place = match self.edit.map_or(Err(offset), |edit| edit.at(offset)) {
            Ok(octets) => {
                let n = octets.len().min(part.len());
                part[..n].copy_from_slice(&octets[..n]);
                return Ok(n);
            }
            Err(place) => place,
        };
        core.read_content(self.id, place, part)
    }
}
