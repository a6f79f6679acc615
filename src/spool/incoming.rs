//! A message on its way into the spool: in memory while it is small, in a file of its own once it
//! is large, so that memory does not grow with the message.

use std::io;

use super::disk::{Dir, Disk};
use super::format::{self, Head};
use crate::base::{Envelope, MessageId, Wall};

/// Messages of so many octets and more stream to a file of their own.
pub const LARGE: usize = 256 * 1024;
/// Octets collected before they are written to that file.
const CHUNK: usize = 256 * 1024;
/// The kernel is asked to begin writing after each of these.
const WRITE_OUT: u64 = 1 << 20;

/// A message whose content is coming in.
#[derive(Debug)]
pub struct Incoming<F> {
    pub(super) head: Head,
    /// The record so far: head and content; for a large message what is not written yet.
    pub(super) record: Vec<u8>,
    pub(super) body: u64,
    pub(super) body_crc: u32,
    pub(super) stream: Option<Stream<F>>,
}

/// The file of a large message.
#[derive(Debug)]
pub(super) struct Stream<F> {
    pub file: F,
    /// The head as it stands in the file, to be sealed at the end.
    pub head: Vec<u8>,
    pub written: u64,
    hinted: u64,
}

impl<F> Incoming<F> {
    pub(super) fn new(id: MessageId, arrived: Wall, envelope: &Envelope) -> Incoming<F> {
        let mut record = Vec::with_capacity(8 * 1024);
        let head = format::write_head(id, arrived, envelope, &mut record);
        Incoming { head, record, body: 0, body_crc: 0, stream: None }
    }

    /// Its identity, which it keeps.
    pub fn id(&self) -> MessageId {
        self.head.id
    }

    /// Its envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.head.envelope
    }

    /// Octets of content so far.
    pub fn size(&self) -> u64 {
        self.body
    }

    pub(super) fn name(&self) -> String {
        self.head.id.to_string()
    }

    pub(super) fn append<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        octets: &[u8],
    ) -> io::Result<()> {
        self.body += octets.len() as u64;
        self.body_crc = crc32c::crc32c_append(self.body_crc, octets);
        self.record.extend_from_slice(octets);
        if self.stream.is_none() && self.record.len() >= LARGE {
            let file = disk.create(Dir::Incoming, &self.name())?;
            let head = self.record[..self.head.octets as usize].to_vec();
            self.stream = Some(Stream { file, head, written: 0, hinted: 0 });
        }
        match &mut self.stream {
            Some(_) if self.record.len() >= CHUNK => self.write_out(disk),
            _ => Ok(()),
        }
    }

    /// Writes what is collected to the file of a large message.
    pub(super) fn write_out<D: Disk<File = F>>(&mut self, disk: &mut D) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        disk.write(&mut stream.file, stream.written, &[&self.record])?;
        stream.written += self.record.len() as u64;
        self.record.clear();
        if stream.written - stream.hinted >= WRITE_OUT {
            disk.write_out(&mut stream.file, stream.hinted, stream.written - stream.hinted)?;
            stream.hinted = stream.written;
        }
        Ok(())
    }
}
