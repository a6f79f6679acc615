//! The front of a record: the envelope, and the header fields that we put before the content.
//!
//! Rules may change both when the last octet of the content has come: hold a recipient, give it
//! another address or another way, add a field. A message in memory is put together anew. One that
//! streams has its front on the disk by then, with a `Room:` line of dots in the envelope that is
//! as long as all that may be added; the new front has fewer dots and the same length. So nothing
//! of the content is ever moved or read again, and the checksum of the whole is combined from those
//! of its parts.

use super::disk::Disk;
use super::error::SpoolError;
use super::format::{self, Line, ROOM_LINE, crc_of_head, status_positions};
use super::incoming::Incoming;
use super::store::Spool;
use crate::base::{Envelope, Now, Status};

/// Place for what may be added to a front.
#[derive(Debug)]
pub(super) struct Room {
    /// Octets that may be added.
    most: usize,
    /// Octets of header fields in the front.
    fields: usize,
    /// The front as it stands in the file, if the message streams.
    streamed: Option<Vec<u8>>,
}

impl<D: Disk> Spool<D> {
    /// As [`Spool::begin`], of a message whose front may grow by so many octets until it is
    /// complete. Its own header fields come by [`Spool::append_front`], then the content.
    pub fn begin_with_room(
        &mut self,
        envelope: &Envelope,
        most: usize,
        now: Now,
    ) -> Result<Incoming<D::File>, SpoolError> {
        let mut incoming = self.begin(envelope, now)?;
        incoming.room = Some(Room { most, fields: 0, streamed: None });
        incoming.line.crc = 0;
        Ok(incoming)
    }

    /// A header field of ours, before the content.
    pub fn append_front(
        &mut self,
        incoming: &mut Incoming<D::File>,
        octets: &[u8],
    ) -> Result<(), SpoolError> {
        if let Some(room) = &mut incoming.room {
            room.fields += octets.len();
        }
        let crc = incoming.line.crc;
        self.append(incoming, octets)?;
        if incoming.room.is_some() {
            incoming.line.crc = crc;
        }
        Ok(())
    }

    /// Gives a complete message another front: this envelope, its recipients with these statuses,
    /// and these header fields. False when there is no room for it; then all stays as it was.
    pub fn refront(
        &mut self,
        incoming: &mut Incoming<D::File>,
        envelope: &Envelope,
        statuses: &[Status],
        fields: &[u8],
    ) -> bool {
        debug_assert_eq!(envelope.recipients.len(), statuses.len());
        if incoming.failed.is_some() {
            // It is lost already, and its client will be told why.
            return true;
        }
        let Some(room) = &incoming.room else { return false };
        let (id, arrived) = (incoming.head.id, incoming.head.arrived);
        let Some(plain) = format::encode(id, arrived, envelope, 0) else { return false };
        let mut front = match &room.streamed {
            None => plain,
            Some(old) => {
                let slack = old.len().checked_sub(plain.len() + fields.len());
                match slack.map(|slack| slack.checked_sub(ROOM_LINE)) {
                    Some(None) if slack == Some(0) => plain,
                    Some(Some(dots)) if dots > 0 => {
                        match format::encode(id, arrived, envelope, dots) {
                            Some(front) => front,
                            None => return false,
                        }
                    }
                    _ => return false,
                }
            }
        };
        let line = Line::len(id) as usize;
        let positions: Vec<usize> = status_positions(&front[line..]).collect();
        for (at, status) in positions.into_iter().zip(statuses) {
            front[line + at] = status.octet();
        }
        incoming.head.envelope = envelope.clone();
        incoming.head.statuses = statuses.to_vec();
        incoming.take_front(front, fields);
        self.count(incoming);
        true
    }
}

impl<F> Incoming<F> {
    /// Octets of the front while it is in memory.
    fn front_len(&self, room: &Room) -> usize {
        Line::len(self.head.id) as usize + self.line.head as usize + room.fields
    }

    /// A message is about to stream: dots go into its envelope.
    pub(super) fn leave_room(&mut self) {
        let Some(room) = &self.room else { return };
        let end = self.front_len(room);
        // One dot more, so that a line is left when all room is used.
        let dots = room.most + 1;
        let (id, arrived) = (self.head.id, self.head.arrived);
        let Some(mut front) = format::encode(id, arrived, &self.head.envelope, dots) else {
            // No room: a front that grows will be refused.
            return self.note_streamed(self.record[..end].to_vec());
        };
        let line = Line::len(id) as usize;
        self.line.head = (front.len() - line) as u32;
        front.extend_from_slice(&self.record[end - room.fields..end]);
        self.record.splice(..end, front.iter().copied());
        self.note_streamed(front);
    }

    fn note_streamed(&mut self, front: Vec<u8>) {
        if let Some(room) = &mut self.room {
            room.streamed = Some(front);
        }
    }

    /// Takes a front: a first line and an envelope, and the fields behind it. That ends the time of
    /// changes.
    fn take_front(&mut self, mut front: Vec<u8>, fields: &[u8]) {
        let Some(room) = self.room.take() else { return };
        let (line, end) = (Line::len(self.head.id) as usize, self.front_len(&room));
        let head = front.len() - line;
        let content = self.line.body - room.fields as u64;
        let crc = crc32c::crc32c_append(crc_of_head(&front[line..]), fields);
        self.line.crc = crc32c::crc32c_combine(crc, self.line.crc, content as usize);
        self.line.head = head as u32;
        self.line.body = content + fields.len() as u64;
        front.extend_from_slice(fields);
        match room.streamed {
            None => drop(self.record.splice(..end, front)),
            Some(_) => self.patch = front.split_off(line),
        }
    }

    /// No change any more: the front stays as it is.
    pub(super) fn close_front(&mut self) {
        let Some(room) = &self.room else { return };
        let whole = match &room.streamed {
            Some(front) => front.clone(),
            None if self.failed.is_some() => return,
            None => self.record[..self.front_len(room)].to_vec(),
        };
        let (front, fields) = whole.split_at(whole.len() - room.fields);
        self.take_front(front.to_vec(), fields);
    }
}
