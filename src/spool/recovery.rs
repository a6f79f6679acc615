//! Recovery: what a start finds in the spool, read in slices so that mail is accepted meanwhile.
//!
//! Every legal state on disk, and what becomes of it:
//!
//! | found | because | becomes |
//! | --- | --- | --- |
//! | a file in `incoming/` | a large message was not committed | removed: nobody was told 250 |
//! | a whole record in `queue/` | committed | indexed; its checksum is checked before sending |
//! | a record cut short | a crash during the commit | `corrupt/`: nobody was told 250 |
//! | octets that are no record | a disk that lies | `corrupt/`; records after them are found |
//! | all recipients done | the unlink was not synced | removed |
//! | one id in two files | a crash between a straggler's copy and unlink | united: done wins |
//! | a bounce, recipients not marked | a crash between the bounce and the mark | marked |

use std::io;
use std::vec;

use super::disk::{Dir, Disk};
use super::error::SpoolError;
use super::format::{self, Head, MAGIC, MAX_HEAD};
use super::store::{Entry, Spool};
use crate::base::{MessageId, Status, Time};

/// Octets read at once while heads are looked for.
const WINDOW: usize = 64 * 1024;

/// How far recovery has come.
#[derive(Debug)]
pub(super) struct Recovery {
    names: vec::IntoIter<String>,
    /// Bounces seen, for the marks that a crash prevented.
    bounces: Vec<(u64, Vec<u32>)>,
}

/// What a slice of recovery brought.
#[derive(Default, Debug)]
pub struct Recovered {
    /// Messages with recipients to be served.
    pub heads: Vec<Head>,
    /// Words for the log, about what could not be read.
    pub complaints: Vec<String>,
    /// Nothing is left to be read.
    pub complete: bool,
}

impl Recovery {
    pub(super) fn begin<D: Disk>(disk: &mut D) -> Result<Recovery, SpoolError> {
        let cannot = |dir: Dir| move |e| SpoolError::io(format!("cannot read {}/", dir.name()), e);
        for name in disk.list(Dir::Incoming).map_err(cannot(Dir::Incoming))? {
            let removed = disk.unlink(Dir::Incoming, &name);
            removed.map_err(|e| SpoolError::io(format!("cannot remove incoming/{name}"), e))?;
        }
        let names = disk.list(Dir::Queue).map_err(cannot(Dir::Queue))?;
        Ok(Recovery { names: names.into_iter(), bounces: Vec::new() })
    }
}

impl<D: Disk> Spool<D> {
    /// Whether messages are still being looked for.
    pub fn is_recovering(&self) -> bool {
        self.recovery.is_some()
    }

    /// Reads so many files at most. Nothing may be sent before it is complete: only then is it
    /// known what was bounced already.
    pub fn recover(&mut self, files: usize, now: Time) -> Recovered {
        let mut found = Recovered::default();
        let Some(mut recovery) = self.recovery.take() else {
            found.complete = true;
            return found;
        };
        for _ in 0..files {
            let Some(name) = recovery.names.next() else {
                self.apply_bounces(&recovery.bounces, now);
                found.complete = true;
                return found;
            };
            // A name that is not ours is not ours to touch.
            if name.parse::<MessageId>().is_ok() {
                self.recover_file(&name, &mut recovery, &mut found, now);
            }
        }
        self.recovery = Some(recovery);
        found
    }

    fn recover_file(
        &mut self,
        name: &str,
        recovery: &mut Recovery,
        found: &mut Recovered,
        now: Time,
    ) {
        let file = self.add_file(name.to_owned());
        match self.scan(file) {
            Ok(scan) => {
                for (at, head) in scan.records {
                    recovery.bounces.extend(head.envelope.bounce_of.clone());
                    self.seen(head.id.counter);
                    found.heads.extend(self.unite(head, file, at));
                }
                for (from, to) in scan.damaged {
                    found.complaints.push(self.quarantine(file, name, from, to));
                }
            }
            // The file stays where it is, and so does its mail, for a start that can read it.
            Err(e) => found.complaints.push(format!("cannot read {e}; its mail waits")),
        }
        if self.files[file as usize].live == 0 {
            let readable = self.files[file as usize].handle.is_some();
            self.files.remove(file as usize);
            self.forget_open(file);
            if readable && self.disk.unlink(Dir::Queue, name).is_err() {
                let _ = now;
                found.complaints.push(format!("cannot remove queue/{name}, which is done"));
            }
        }
    }

    /// Indexes a record. An id that is there already is one message in two files: a recipient
    /// that is done in either is done.
    fn unite(&mut self, mut head: Head, file: u32, at: u64) -> Option<Head> {
        if let Some(other) = self.index.get(&head.id.counter).copied() {
            let twin = self.head(head.id).ok()?.into_owned();
            for (i, status) in head.statuses.iter().enumerate() {
                if status.done() && twin.statuses.get(i).is_some_and(|s| !s.done()) {
                    let octet = [status.octet()];
                    let position = other.at + u64::from(twin.positions[i]);
                    let _ = self.with_file(other.file, |d, f| d.write(f, position, &[&octet]));
                    if let Some(entry) = self.index.get_mut(&head.id.counter) {
                        entry.left = entry.left.saturating_sub(1);
                    }
                }
            }
            return None;
        }
        if head.statuses.iter().all(|s| s.done()) {
            return None;
        }
        self.add_entry(&head, file, at, false);
        head.positions = Vec::new();
        Some(head)
    }

    /// Walks the records of a file by their lengths; where there is no record, looks for the next.
    fn scan(&mut self, file: u32) -> Result<Scan, SpoolError> {
        let size = self.with_file(file, |d, f| d.size(f))?;
        let (mut at, mut scan) = (0, Scan::default());
        while at < size {
            match self.record_at(file, at, size)? {
                Some(head) => {
                    let end = at + u64::from(head.octets) + head.body + 1;
                    scan.records.push((at, head));
                    at = end;
                }
                None => {
                    let next = self.next_record(file, at + 1, size)?;
                    scan.damaged.push((at, next));
                    at = next;
                }
            }
        }
        Ok(scan)
    }

    /// The record at this place, if a whole one is there.
    fn record_at(&mut self, file: u32, at: u64, size: u64) -> Result<Option<Head>, SpoolError> {
        let mut record = vec![0; WINDOW];
        let read = self.with_file(file, |d, f| d.read(f, at, &mut record))?;
        record.truncate(read);
        let Some((_, octets, body, _)) = format::read_lengths(&record) else { return Ok(None) };
        let whole = u64::from(octets).checked_add(body).and_then(|n| n.checked_add(at + 1));
        if octets as usize > MAX_HEAD || whole.is_none_or(|end| end > size) {
            return Ok(None);
        }
        if octets as usize > record.len() {
            record = vec![0; octets as usize];
            self.with_file(file, |d, f| d.read(f, at, &mut record))?;
        }
        Ok(format::read_head(&record).ok())
    }

    /// Where the next record may start: a line with the magic.
    fn next_record(&mut self, file: u32, from: u64, size: u64) -> Result<u64, SpoolError> {
        let mut needle = vec![b'\n'];
        needle.extend_from_slice(MAGIC);
        let (mut at, mut window) = (from.saturating_sub(1), vec![0; WINDOW]);
        while at < size {
            let read = self.with_file(file, |d, f| d.read(f, at, &mut window))?;
            if let Some(hit) = memchr::memmem::find(&window[..read], &needle) {
                return Ok(at + hit as u64 + 1);
            }
            if read < window.len() {
                break;
            }
            // The magic may lie across two windows.
            at += (read - needle.len()) as u64;
        }
        Ok(size)
    }

    /// Copies octets that are no record into `corrupt/`, so that nothing is lost silently.
    fn quarantine(&mut self, file: u32, name: &str, from: u64, to: u64) -> String {
        let target = format!("{name}.{from}");
        match self.copy_damaged(file, &target, from, to) {
            Ok(()) => format!("queue/{name} is damaged at {from}: kept as corrupt/{target}"),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                format!("queue/{name} is damaged at {from}: corrupt/{target} has it")
            }
            Err(e) => format!("queue/{name} is damaged at {from} and cannot be copied: {e}"),
        }
    }

    fn copy_damaged(&mut self, file: u32, target: &str, from: u64, to: u64) -> io::Result<()> {
        let mut copy = self.disk.create(Dir::Corrupt, target)?;
        let (mut at, mut window) = (from, vec![0; WINDOW]);
        while at < to {
            let want = window.len().min(usize::try_from(to - at).unwrap_or(usize::MAX));
            let part = &mut window[..want];
            let read = self.with_file(file, |d, f| d.read(f, at, part));
            let read = read.map_err(|e| io::Error::other(e.to_string()))?;
            if read == 0 {
                break;
            }
            self.disk.write(&mut copy, at - from, &[&window[..read]])?;
            at += read as u64;
        }
        self.disk.sync(&mut copy)?;
        self.disk.sync_dir(Dir::Corrupt)
    }

    /// Marks the recipients for whom a bounce is in the spool.
    fn apply_bounces(&mut self, bounces: &[(u64, Vec<u32>)], now: Time) {
        for (counter, recipients) in bounces {
            let Some(id) = self.find(*counter) else { continue };
            for recipient in recipients {
                let _ = self.mark_durably(id, *recipient, Status::Failed, now);
            }
        }
    }

    /// Looks at a message's checksum before it is sent, once in the life of a process. A message
    /// that is not what was written goes to `corrupt/` and out of the spool.
    pub fn check(&mut self, id: MessageId, now: Time) -> Result<(), SpoolError> {
        let entry = self.entry(id)?;
        if entry.checked {
            return Ok(());
        }
        let intact = self.checksum_is_right(id, entry);
        match intact {
            Ok(true) => {
                if let Some(entry) = self.index.get_mut(&id.counter) {
                    entry.checked = true;
                }
                Ok(())
            }
            Ok(false) | Err(SpoolError::Corrupt { .. }) => {
                let end = entry.at + u64::from(entry.head) + entry.body + 1;
                let name = self.files[entry.file as usize].name.clone();
                let what = self.quarantine(entry.file, &name, entry.at, end);
                self.retire(id, now)?;
                Err(SpoolError::Corrupt { what })
            }
            Err(e) => Err(e),
        }
    }

    fn checksum_is_right(&mut self, id: MessageId, entry: Entry) -> Result<bool, SpoolError> {
        let mut record = vec![0; entry.head as usize];
        self.with_file(entry.file, |d, f| d.read(f, entry.at, &mut record))?;
        let head = format::read_head(&record)?;
        let (mut crc, mut from, mut window) = (0, 0, vec![0; WINDOW]);
        while from < entry.body {
            match self.read(id, from, &mut window)? {
                0 => return Ok(false),
                n => {
                    crc = crc32c::crc32c_append(crc, &window[..n]);
                    from += n as u64;
                }
            }
        }
        Ok(head.id == id && format::is_intact(&record, &head, crc))
    }
}

/// What a walk through a file found.
#[derive(Default)]
struct Scan {
    records: Vec<(u64, Head)>,
    damaged: Vec<(u64, u64)>,
}
