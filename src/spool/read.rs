//! Reading messages back. What was found at start is compared with its checksum before a word of
//! it goes anywhere; what was committed by this process is known to be right.

use std::borrow::Cow;

use super::cache::{Cached, Handles};
use super::disk::{Dir, Disk};
use super::error::{Fault, SpoolError, Weight};
use super::format::{Head, Line, MAX_LINE, crc_of_head, parse_head, status_positions};
use super::index::{Entry, Files};
use super::store::Spool;
use crate::base::MessageId;

/// So much is read at once to compare a checksum.
const PIECE: usize = 256 * 1024;

/// A file of the queue, open.
pub(super) fn opened<'a, D: Disk>(
    disk: &mut D,
    files: &Files,
    handles: &'a mut Handles<D::File>,
    number: u32,
) -> Result<&'a D::File, Fault> {
    let name = || files.get(number).map(|file| file.name.to_string()).unwrap_or_default();
    if handles.get(number).is_none() {
        let name = name();
        let file = match disk.open(Dir::Queue, &name) {
            Err(e) if Fault::new("open", "", &e).is_crowding() => {
                handles.clear();
                disk.open(Dir::Queue, &name)
            }
            other => other,
        };
        let file = file.map_err(|e| Fault::new("open", Dir::Queue.path(&name), &e))?;
        handles.insert(number, file);
    }
    handles.get(number).ok_or_else(|| {
        Fault::new("open", Dir::Queue.path(&name()), &std::io::ErrorKind::NotFound.into())
    })
}

impl<D: Disk> Spool<D> {
    /// A message without its octets. With [`SpoolError::Corrupt`] or [`SpoolError::Unknown`] the
    /// message is gone: forget it.
    pub fn head(&mut self, id: MessageId) -> Result<Cow<'_, Head>, SpoolError> {
        let entry = self.verified(id)?;
        if self.messages.get(id.counter).is_none() {
            let octets = self.head_octets(id.counter, &entry)?;
            let line = Line { id, head: entry.head, body: entry.body, crc: 0 };
            let mut head = match parse_head(&octets, &line) {
                Ok(head) => head,
                Err(why) => return Err(self.condemn(id, why.0)),
            };
            for (of, recipient, status) in &self.leftovers.marks {
                if *of == id {
                    head.statuses[*recipient as usize] = *status;
                }
            }
            self.messages.insert(Cached { head, record: Vec::new() });
        }
        let message = self.messages.get(id.counter).ok_or(SpoolError::Unknown)?;
        Ok(Cow::Borrowed(&message.head))
    }

    /// Compares a message with its checksum, once in the life of a process. All that reads does
    /// it first; call it to have it done at a time of your choice.
    pub fn check(&mut self, id: MessageId) -> Result<(), SpoolError> {
        self.verified(id).map(drop)
    }

    /// Content from `offset` on into `into`; how many octets, fewer than asked only at the end.
    pub fn read(
        &mut self,
        id: MessageId,
        offset: u64,
        into: &mut [u8],
    ) -> Result<usize, SpoolError> {
        let entry = self.verified(id)?;
        let left = entry.body.saturating_sub(offset);
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
        let into = &mut into[..n];
        if let Some(content) = self.content(id) {
            into.copy_from_slice(&content[offset.min(entry.body) as usize..][..n]);
            return Ok(n);
        }
        let at = entry.body_at(id.counter) + offset;
        Ok(self.read_file(&entry, into, at)?)
    }

    /// The whole content, when it is at hand: that of small messages that came lately.
    pub fn content(&self, id: MessageId) -> Option<&[u8]> {
        let entry = self.entry(id).ok()?;
        let from = entry.body_at(id.counter) - u64::from(entry.at);
        let record = &self.messages.get(id.counter)?.record;
        record.get(from as usize..)?.get(..entry.body as usize)
    }

    /// Where a message is.
    pub(super) fn entry(&self, id: MessageId) -> Result<Entry, SpoolError> {
        let entry = self.index.get(id.counter).filter(|entry| entry.arrived == id.arrived);
        entry.copied().ok_or(SpoolError::Unknown)
    }

    /// The octets of an envelope.
    pub(super) fn head_octets(&mut self, counter: u64, entry: &Entry) -> Result<Vec<u8>, Fault> {
        let mut head = vec![0; entry.head as usize];
        let n = self.read_file(entry, &mut head, entry.head_at(counter))?;
        head.truncate(n);
        Ok(head)
    }

    /// Where in an envelope the statuses stand.
    pub(super) fn status_places(
        &mut self,
        counter: u64,
        entry: &Entry,
    ) -> Result<Vec<usize>, Fault> {
        let from = (entry.head_at(counter) - u64::from(entry.at)) as usize;
        if let Some(message) = self.messages.get(counter) {
            let upto = from + entry.head as usize;
            if let Some(head) = message.record.get(from..upto) {
                return Ok(status_positions(head).collect());
            }
        }
        Ok(status_positions(&self.head_octets(counter, entry)?).collect())
    }

    fn read_file(&mut self, entry: &Entry, into: &mut [u8], at: u64) -> Result<usize, Fault> {
        let file = opened(&mut self.disk, &self.files, &mut self.handles, entry.file)?;
        self.disk.read_at(file, into, at).map_err(|e| {
            let name = self.files[entry.file].name.to_string();
            Fault::new("read", Dir::Queue.path(&name), &e)
        })
    }

    /// The message, its checksum known to be right.
    fn verified(&mut self, id: MessageId) -> Result<Entry, SpoolError> {
        let entry = self.entry(id)?;
        if entry.is_verified() {
            return Ok(entry);
        }
        if !self.checksum_is_right(id.counter, &entry)? {
            return Err(self.condemn(id, "checksum"));
        }
        if let Some(entry) = self.index.get_mut(id.counter) {
            entry.set_verified();
        }
        Ok(entry)
    }

    /// Reads the whole record.
    pub(super) fn checksum_is_right(&mut self, counter: u64, entry: &Entry) -> Result<bool, Fault> {
        let mut line = [0; MAX_LINE];
        let n = self.read_file(entry, &mut line, u64::from(entry.at))?;
        let Ok(line) = Line::parse(&line[..n]) else { return Ok(false) };
        if line.id.counter != counter || (line.head, line.body) != (entry.head, entry.body) {
            return Ok(false);
        }
        let mut crc = crc_of_head(&self.head_octets(counter, entry)?);
        let mut piece = vec![0; PIECE.min(entry.body as usize)];
        let (mut at, mut left) = (entry.body_at(counter), entry.body);
        while left > 0 {
            let want = piece.len().min(left as usize);
            let n = self.read_file(entry, &mut piece[..want], at)?;
            if n == 0 {
                return Ok(false);
            }
            crc = crc32c::crc32c_append(crc, &piece[..n]);
            (at, left) = (at + n as u64, left - n as u64);
        }
        Ok(crc == line.crc)
    }

    /// A record is damaged: the message is gone, and its file goes to `corrupt/` when the other
    /// messages in it have left.
    pub(super) fn condemn(&mut self, id: MessageId, why: &'static str) -> SpoolError {
        let error = SpoolError::Corrupt { id, why };
        if let Some(file) = self.index.get(id.counter).map(|entry| entry.file) {
            self.files[file].damaged = true;
            let name = self.files[file].name;
            self.say(Weight::Error, format!("{error}; it is in queue/{name}"));
            self.forget(id.counter);
        }
        error
    }
}
