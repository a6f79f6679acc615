//! A message that comes: in memory while it is small, in a file of its own when it is large.

use std::io::{self, IoSlice};

use memchr::memmem;

use super::disk::{Dir, Disk};
use super::error::{Fault, SpoolError};
use super::format::{self, Head, Line, MAGIC_AFTER_LF, MAX_BODY, crc_of_head};
use super::front::Room;
use super::name::FileName;
use super::store::Spool;
use crate::base::{Envelope, MessageId, Now, Status, Wall};

/// A message with more octets than this streams to a file of its own.
const SMALL: u64 = 256 * 1024;
/// A stream is written in pieces of at least so many octets.
const PIECE: usize = 128 * 1024;
/// When unfinished messages take more memory than this, even small ones stream.
const PRESSURE: usize = 64 << 20;

/// A message whose content still comes. Give it back: to [`Spool::finish`] or [`Spool::abort`].
#[derive(Debug)]
#[must_use = "give it to finish() or abort()"]
pub struct Incoming<F> {
    pub(super) head: Head,
    /// The record, or what is not yet written of it.
    pub(super) record: Vec<u8>,
    /// How many octets of it the spool has counted as buffered.
    counted: usize,
    pub(super) line: Line,
    /// The file, when it streams.
    pub(super) stream: Option<Stream<F>>,
    /// Its front may still change; then the checksum is that of the content behind it.
    pub(super) room: Option<Room>,
    /// What is to be written over the front of the file when the message is complete.
    pub(super) patch: Vec<u8>,
    pub(super) failed: Option<SpoolError>,
}

/// A file in `incoming/`.
#[derive(Debug)]
pub(super) struct Stream<F> {
    pub file: F,
    pub name: FileName,
    pub written: u64,
}

impl<F> Incoming<F> {
    /// The message's identity. It is used up, whatever becomes of the message.
    pub fn id(&self) -> MessageId {
        self.head.id
    }

    /// Octets of content so far.
    pub fn size(&self) -> u64 {
        self.line.body
    }

    /// Who sends it to whom.
    pub fn envelope(&self) -> &Envelope {
        &self.head.envelope
    }
}

impl<D: Disk> Spool<D> {
    /// A message begins; the envelope is known.
    ///
    /// # Panics
    ///
    /// When there is no recipient.
    pub fn begin(
        &mut self,
        envelope: &Envelope,
        now: Now,
    ) -> Result<Incoming<D::File>, SpoolError> {
        assert!(!envelope.recipients.is_empty(), "a message without recipients");
        self.now = now.time;
        if self.ids.next >= self.ids.reserved {
            self.reserve().inspect_err(|fault| self.fail(fault))?;
        }
        let id = MessageId { counter: self.ids.next, arrived: now.wall.as_secs() as u32 };
        self.ids.next += 1;
        let arrived = Wall::from_secs(now.wall.as_secs());
        let record = format::encode(id, arrived, envelope, 0).ok_or(SpoolError::TooLarge)?;
        let octets = &record[Line::len(id) as usize..];
        let line = Line { id, head: octets.len() as u32, body: 0, crc: crc_of_head(octets) };
        let statuses = vec![Status::Pending; envelope.recipients.len()];
        let head = Head { id, arrived, envelope: envelope.clone(), statuses, body: 0 };
        let (counted, stream, room, failed) = (0, None, None, None);
        let patch = Vec::new();
        let mut incoming = Incoming { head, record, counted, line, stream, room, patch, failed };
        self.count(&mut incoming);
        Ok(incoming)
    }

    /// Content comes. After an error nothing is left of the message on the disk, and all that
    /// follows fails alike.
    pub fn append(
        &mut self,
        incoming: &mut Incoming<D::File>,
        octets: &[u8],
    ) -> Result<(), SpoolError> {
        if let Some(error) = &incoming.failed {
            return Err(error.clone());
        }
        let result = self.try_append(incoming, octets);
        if let Err(error) = &result {
            self.spoil(incoming, error.clone());
            match error {
                // Room is made by removing what was written: others may still fit.
                SpoolError::Disk(fault) if !fault.is_shortage() => self.fail(fault),
                _ => {}
            }
        }
        result
    }

    fn try_append(
        &mut self,
        incoming: &mut Incoming<D::File>,
        octets: &[u8],
    ) -> Result<(), SpoolError> {
        let body = incoming.line.body.saturating_add(octets.len() as u64);
        if body > MAX_BODY {
            return Err(SpoolError::TooLarge);
        }
        incoming.line.body = body;
        incoming.line.crc = crc32c::crc32c_append(incoming.line.crc, octets);
        // One more for the LF that ends the record.
        incoming.record.reserve(octets.len() + 1);
        incoming.record.extend_from_slice(octets);
        self.count(incoming);
        let pressure = self.buffered > PRESSURE;
        if incoming.stream.is_none() && (body > SMALL || pressure) {
            self.start_stream(incoming)?;
        }
        if incoming.stream.is_some() && (incoming.record.len() >= PIECE || pressure) {
            self.write_piece(incoming)?;
        }
        Ok(())
    }

    /// The message is not wanted, or its client is gone.
    pub fn abort(&mut self, mut incoming: Incoming<D::File>) {
        self.uncount(&mut incoming);
        self.drop_stream(&mut incoming);
    }

    /// The content is complete: the next commit takes the message.
    pub fn finish(&mut self, mut incoming: Incoming<D::File>) {
        incoming.close_front();
        incoming.record.push(b'\n');
        self.count(&mut incoming);
        // A line that looks like a record would mislead recovery in a batch.
        if incoming.failed.is_none()
            && incoming.stream.is_none()
            && memmem::find(&incoming.record[1..], MAGIC_AFTER_LF).is_some()
        {
            if let Err(fault) = self.start_stream(&mut incoming) {
                self.spoil(&mut incoming, fault.into());
            }
        }
        self.finished.push(incoming);
    }

    /// Whether something waits for the next commit.
    pub fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    pub(super) fn count(&mut self, incoming: &mut Incoming<D::File>) {
        self.buffered = self.buffered - incoming.counted + incoming.record.len();
        incoming.counted = incoming.record.len();
    }

    pub(super) fn uncount(&mut self, incoming: &mut Incoming<D::File>) {
        self.buffered -= incoming.counted;
        incoming.counted = 0;
    }

    pub(super) fn spoil(&mut self, incoming: &mut Incoming<D::File>, error: SpoolError) {
        incoming.record = Vec::new();
        self.count(incoming);
        self.drop_stream(incoming);
        incoming.failed = Some(error);
    }

    fn start_stream(&mut self, incoming: &mut Incoming<D::File>) -> Result<(), Fault> {
        incoming.leave_room();
        let name = FileName::lone(incoming.id());
        let text = name.to_string();
        let file = match self.disk.create(Dir::Incoming, &text) {
            Err(e) if Fault::new("make", "", &e).is_crowding() => {
                self.handles.clear();
                self.shed_all();
                self.disk.create(Dir::Incoming, &text)
            }
            other => other,
        };
        let file = file.map_err(|e| Fault::new("make", Dir::Incoming.path(&text), &e))?;
        incoming.stream = Some(Stream { file, name, written: 0 });
        Ok(())
    }

    /// Writes what is in memory of a message that streams.
    pub(super) fn write_piece(&mut self, incoming: &mut Incoming<D::File>) -> Result<(), Fault> {
        let Some(stream) = &mut incoming.stream else { return Ok(()) };
        let name = stream.name;
        let fault = |e: io::Error| Fault::new("write", Dir::Incoming.path(&name.to_string()), &e);
        let mut parts = [IoSlice::new(&incoming.record)];
        self.disk.append(&mut stream.file, &mut parts).map_err(fault)?;
        stream.written += incoming.record.len() as u64;
        self.disk.write_out(&mut stream.file, stream.written).map_err(fault)?;
        incoming.record.clear();
        self.count(incoming);
        Ok(())
    }

    /// Removes its file in `incoming/`, when it streams.
    fn drop_stream(&mut self, incoming: &mut Incoming<D::File>) {
        if let Some(Stream { file, name, written }) = incoming.stream.take() {
            self.discard(Dir::Incoming, name.to_string());
            self.shed_later(file, written);
        }
    }
}
