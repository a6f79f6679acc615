//! The group commit: all messages that finished in a tick become durable together.
//!
//! 1. Each large message: the rest of it, its first line, flush; then its name in `queue/`.
//! 2. All small ones: one file, one write, flush. A [spare](super::spares) file has a durable name
//!    already: its messages are true now (I1).
//! 3. One flush of the folder, if there are new names. Only now those are true.
//! 4. The index.
//!
//! Whatever fails on the way is removed, not repeated (I2), and its messages are refused.

use std::io::IoSlice;

use super::cache::Cached;
use super::disk::{Dir, Disk};
use super::error::{Fault, SpoolError};
use super::format::Head;
use super::incoming::{Incoming, Stream};
use super::index::{Entry, QueueFile};
use super::name::FileName;
use super::spares::Spare;
use super::store::Spool;
use crate::base::MessageId;

/// A batch is not longer than this, so that places in it have 32 bits.
const MAX_BATCH: usize = 256 << 20;

/// A file whose content is durable.
struct Written<F> {
    name: FileName,
    /// Its name is durable, too.
    named: bool,
    file: F,
    /// Its length, when it is a batch.
    length: Option<u32>,
    /// Its messages, by their place in the commit.
    members: Vec<usize>,
}

impl<D: Disk> Spool<D> {
    /// Makes all finished messages durable and says of each, in the order of finishing, whether
    /// it is. Without any it does nothing.
    pub fn commit(&mut self) -> Vec<(MessageId, Result<(), SpoolError>)> {
        let mut all = std::mem::take(&mut self.finished);
        if all.is_empty() {
            return Vec::new();
        }
        let mut written = self.seal_streams(&mut all);
        self.write_batches(&mut all, &mut written);
        let mut places = vec![None; all.len()];
        if written.iter().any(|file| !file.named) {
            match self.sync_queue() {
                Ok(()) => self.trouble = None,
                Err(fault) => {
                    let (named, rest) = written.into_iter().partition(|file| file.named);
                    written = named;
                    self.give_up(&mut all, rest, &fault);
                }
            }
        }
        written.into_iter().for_each(|file| self.place(&all, file, &mut places));
        if self.ids.is_low() && self.trouble.is_none() {
            if let Err(fault) = self.reserve() {
                self.fail(&fault);
            }
        }
        let members = all.into_iter().zip(places);
        members.map(|(incoming, place)| self.enter(incoming, place)).collect()
    }

    /// A message is in the spool, if it has a place there.
    fn enter(
        &mut self,
        mut incoming: Incoming<D::File>,
        place: Option<(u32, u32)>,
    ) -> (MessageId, Result<(), SpoolError>) {
        self.uncount(&mut incoming);
        let Incoming { head, record, line, failed, .. } = incoming;
        let id = head.id;
        if let Some((file, at)) = place {
            let recipients = head.statuses.len() as u32;
            self.index.insert(id.counter, Entry::new(&line, file, at, recipients, true));
            let head = Head { body: line.body, ..head };
            self.messages.insert(Cached { head, record });
        }
        (id, failed.map_or(Ok(()), Err))
    }

    /// Large messages: content flushed, then renamed.
    fn seal_streams(&mut self, all: &mut [Incoming<D::File>]) -> Vec<Written<D::File>> {
        let mut written = Vec::new();
        for (member, incoming) in all.iter_mut().enumerate() {
            let sealed = self.seal(incoming);
            if let Err(fault) = sealed {
                self.fail(&fault);
                self.spoil(incoming, fault.into());
            } else if let Some(Stream { file, name, .. }) = incoming.stream.take() {
                written.push(Written {
                    name,
                    named: false,
                    file,
                    length: None,
                    members: vec![member],
                });
            }
        }
        written
    }

    fn seal(&mut self, incoming: &mut Incoming<D::File>) -> Result<(), Fault> {
        self.write_piece(incoming)?;
        let line = incoming.line.text();
        let Some(stream) = &incoming.stream else { return Ok(()) };
        let name = stream.name.to_string();
        let fault = |action| {
            let path = Dir::Incoming.path(&name);
            move |e| Fault::new(action, path, &e)
        };
        let mut front = line.into_bytes();
        front.append(&mut incoming.patch);
        self.disk.write_at(&stream.file, &front, 0).map_err(fault("write"))?;
        self.disk.sync_data(&stream.file).map_err(fault("flush"))?;
        let renamed = self.disk.rename((Dir::Incoming, &name), (Dir::Queue, &name));
        renamed.map_err(fault("rename"))
    }

    /// Small messages: together in as few files as the bound allows, and that is one.
    fn write_batches(
        &mut self,
        all: &mut [Incoming<D::File>],
        written: &mut Vec<Written<D::File>>,
    ) {
        let (mut members, mut octets) = (Vec::new(), 0);
        for member in 0..all.len() {
            let incoming = &mut all[member];
            if incoming.failed.is_some() || incoming.record.is_empty() {
                continue;
            }
            let line = incoming.line.text();
            incoming.record[..line.len()].copy_from_slice(line.as_bytes());
            let len = incoming.record.len();
            if octets + len > MAX_BATCH {
                self.write_batch(all, std::mem::take(&mut members), written);
                octets = 0;
            }
            members.push(member);
            octets += len;
        }
        if !members.is_empty() {
            self.write_batch(all, members, written);
        }
    }

    fn write_batch(
        &mut self,
        all: &mut [Incoming<D::File>],
        members: Vec<usize>,
        written: &mut Vec<Written<D::File>>,
    ) {
        let first = all[members[0]].id();
        let parts = members.iter().map(|member| IoSlice::new(&all[*member].record));
        let mut parts: Vec<IoSlice<'_>> = parts.collect();
        let octets: usize = parts.iter().map(|part| part.len()).sum();
        let spare = self.spares.take(first, octets, self.now);
        let named = spare.is_some();
        let (name, length, result) = match spare {
            Some(Spare { name, file, length }) => {
                pad(&mut parts, (length as usize).saturating_sub(octets));
                let used = length > 0;
                let length = octets.max(length as usize);
                (name, length, self.fill(name, file, used, &mut parts))
            }
            None => {
                let name = FileName::batch(first);
                (name, octets, self.write_file(name, &mut parts))
            }
        };
        match result {
            Ok(file) => {
                let length = u32::try_from(length).ok();
                written.push(Written { name, named, file, length, members });
            }
            Err(fault) => {
                self.fail(&fault);
                for member in members {
                    self.spoil(&mut all[member], fault.clone().into());
                }
            }
        }
    }

    /// A new file in `queue/` with flushed content; its name is not flushed. After a failure it
    /// is removed.
    pub(super) fn write_file(
        &mut self,
        name: FileName,
        parts: &mut [IoSlice<'_>],
    ) -> Result<D::File, Fault> {
        let text = name.to_string();
        let created = match self.disk.create(Dir::Queue, &text) {
            Err(e) if Fault::new("make", "", &e).is_crowding() => {
                self.handles.clear();
                self.disk.create(Dir::Queue, &text)
            }
            other => other,
        };
        let file = created.map_err(|e| Fault::new("make", Dir::Queue.path(&text), &e))?;
        self.fill(name, file, false, parts)
    }

    /// Writes a file in `queue/` from its beginning and flushes it. After a failure it is removed.
    fn fill(
        &mut self,
        name: FileName,
        mut file: D::File,
        used: bool,
        parts: &mut [IoSlice<'_>],
    ) -> Result<D::File, Fault> {
        let text = name.to_string();
        let fault = |action| move |e| Fault::new(action, Dir::Queue.path(&name.to_string()), &e);
        let written = match used {
            true => self.disk.overwrite(&mut file, parts),
            false => self.disk.append(&mut file, parts),
        };
        let mut done = written.map_err(fault("write"));
        if done.is_ok() {
            done = self.disk.sync_data(&file).map_err(fault("flush"));
        }
        if let Err(fault) = done {
            drop(file);
            self.discard(Dir::Queue, text);
            return Err(fault);
        }
        Ok(file)
    }

    /// The names may not be durable: nothing of this commit is true.
    fn give_up(
        &mut self,
        all: &mut [Incoming<D::File>],
        written: Vec<Written<D::File>>,
        fault: &Fault,
    ) {
        self.fail(fault);
        for Written { name, file, members, .. } in written {
            drop(file);
            self.discard(Dir::Queue, name.to_string());
            for member in members {
                self.spoil(&mut all[member], fault.clone().into());
            }
        }
    }

    /// A durable file enters the table; its messages get their places.
    fn place(
        &mut self,
        all: &[Incoming<D::File>],
        written: Written<D::File>,
        places: &mut [Option<(u32, u32)>],
    ) {
        let Written { name, file, length, members, .. } = written;
        let bounces = members.iter().any(|member| all[*member].envelope().bounce_of.is_some());
        let total = members.len() as u32;
        let number = self.files.insert(QueueFile {
            name,
            total,
            live: total,
            bounces,
            damaged: false,
            unread: false,
            length,
            born: self.now,
            ripe: None,
        });
        self.handles.insert(number, file);
        let mut at = 0;
        for member in members {
            // The bound on batches keeps it within 32 bits.
            places[member] = Some((number, at as u32));
            at += all[member].line.record_len();
        }
    }
}

/// Line ends, so many, behind the parts: what was in the file before is gone then, and recovery
/// passes over them.
fn pad(parts: &mut Vec<IoSlice<'_>>, mut octets: usize) {
    static ENDS: [u8; 64 * 1024] = [b'\n'; 64 * 1024];
    while octets > 0 {
        let n = octets.min(ENDS.len());
        parts.push(IoSlice::new(&ENDS[..n]));
        octets -= n;
    }
}
