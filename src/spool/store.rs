//! The spool: what is in it, how messages get in together, and how they leave one by one.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::Duration;

use slab::Slab;

use super::disk::{Dir, Disk};
use super::error::SpoolError;
use super::format::{self, Head};
use super::incoming::Incoming;
use super::recovery::Recovery;
use crate::base::{Envelope, MessageId, Now, Status, Time};

/// Octets of just committed messages that are kept in memory, for deliveries at once.
const CACHE: usize = 32 << 20;
/// Files kept open for marks and reads.
const HANDLES: usize = 64;
/// Identities reserved at once.
const RESERVE: u64 = 4096;
/// Between two trials of a disk that has failed.
const TRIAL: Duration = Duration::from_secs(15);

/// Where a message is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub file: u32,
    /// Where its record starts.
    pub at: u64,
    pub head: u32,
    pub arrived: u32,
    pub body: u64,
    /// Recipients that are not done.
    pub left: u32,
    /// Its checksum was looked at in this process, or made by it.
    pub checked: bool,
}

/// A file with messages.
#[derive(Debug)]
pub(super) struct Batch<F> {
    pub name: String,
    /// Messages that are not done.
    pub live: u32,
    pub handle: Option<F>,
}

/// A message in memory.
#[derive(Debug)]
struct Cached {
    head: Head,
    record: Vec<u8>,
}

/// The messages that this server answers for.
pub struct Spool<D: Disk> {
    pub(super) disk: D,
    pub(super) index: HashMap<u64, Entry>,
    pub(super) files: Slab<Batch<D::File>>,
    pub(super) recovery: Option<Recovery>,
    open: VecDeque<u32>,
    cache: HashMap<u64, Cached>,
    cache_order: VecDeque<u64>,
    cached: usize,
    finished: Vec<Incoming<D::File>>,
    next: u64,
    reserved: u64,
    /// What a mark or an unlink failed with, until a trial goes well.
    failing: Option<io::Error>,
    trial: Time,
}

/// The same error once more: one failure concerns every message of a commit.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

impl<D: Disk> Spool<D> {
    /// Opens the spool of a locked disk. Its messages come out of [`Spool::recover`].
    pub fn open(mut disk: D) -> Result<Spool<D>, SpoolError> {
        let next =
            disk.counter().map_err(|e| SpoolError::io("cannot read the lock file", e))?.max(1);
        let recovery = Recovery::begin(&mut disk)?;
        Ok(Spool {
            disk,
            index: HashMap::new(),
            files: Slab::new(),
            recovery: Some(recovery),
            open: VecDeque::new(),
            cache: HashMap::new(),
            cache_order: VecDeque::new(),
            cached: 0,
            finished: Vec::new(),
            next,
            reserved: next,
            failing: None,
            trial: Time::ZERO,
        })
    }

    /// Messages that are not done.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// No message at all.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Why outcomes cannot be recorded now; none when they can. A commit that failed is not kept in
    /// mind: the next one has a fresh file and is its own trial.
    pub fn failure(&self) -> Option<&io::Error> {
        self.failing.as_ref()
    }

    /// Whether something waits for the next commit.
    pub fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    /// An identity above all that were ever seen: recovery tells of those in the spool.
    pub(super) fn seen(&mut self, counter: u64) {
        self.next = self.next.max(counter.saturating_add(1));
    }

    /// Begins a message.
    pub fn begin(
        &mut self,
        envelope: &Envelope,
        now: Now,
    ) -> Result<Incoming<D::File>, SpoolError> {
        if self.next >= self.reserved {
            let reserve = self.next + RESERVE;
            let kept = self.disk.set_counter(reserve);
            kept.map_err(|e| SpoolError::io("cannot reserve identities", e))?;
            self.reserved = reserve;
        }
        let id = MessageId { counter: self.next, arrived: now.wall.as_secs() as u32 };
        self.next += 1;
        Ok(Incoming::new(id, now.wall, envelope))
    }

    /// Takes content.
    pub fn append(
        &mut self,
        incoming: &mut Incoming<D::File>,
        octets: &[u8],
    ) -> Result<(), SpoolError> {
        let result = incoming.append(&mut self.disk, octets);
        result.map_err(|e| SpoolError::io("cannot write to incoming/", e))
    }

    /// Gives a message up.
    pub fn abort(&mut self, incoming: Incoming<D::File>) {
        if incoming.stream.is_some() {
            // What cannot be removed now, the next start removes.
            let _ = self.disk.unlink(Dir::Incoming, &incoming.name());
        }
    }

    /// Puts a complete message into the coming commit.
    pub fn finish(&mut self, incoming: Incoming<D::File>) {
        self.finished.push(incoming);
    }

    /// Makes all finished messages durable: one new file for all small ones, one rename for each
    /// large one, then one sync of the folder. One result for each, in the order of finishing.
    pub fn commit(&mut self) -> Vec<(MessageId, Result<(), SpoolError>)> {
        let mut finished = std::mem::take(&mut self.finished);
        let mut failures: Vec<Option<io::Error>> = finished.iter().map(|_| None).collect();
        let small: Vec<usize> =
            (0..finished.len()).filter(|i| finished[*i].stream.is_none()).collect();
        let mut batch = None;
        if let Some(first) = small.first() {
            let name = finished[*first].name();
            match self.write_batch(&name, &mut finished, &small) {
                Ok(file) => batch = Some(file),
                Err(e) => {
                    let _ = self.disk.unlink(Dir::Queue, &name);
                    small.iter().for_each(|i| failures[*i] = Some(again(&e)));
                }
            }
        }
        for (incoming, failure) in finished.iter_mut().zip(&mut failures) {
            if incoming.stream.is_some() {
                *failure = self.settle_large(incoming).err();
            }
        }
        if failures.iter().any(Option::is_none) {
            if let Err(e) = self.disk.sync_dir(Dir::Queue) {
                // Names that may or may not be there: better gone, since the clients are told no.
                for (incoming, failure) in finished.iter().zip(&mut failures) {
                    if failure.replace(again(&e)).is_none() {
                        let _ = self.disk.unlink(Dir::Queue, &incoming.name());
                    }
                }
            }
        }
        self.index_committed(finished, failures, batch)
    }

    fn write_batch(
        &mut self,
        name: &str,
        finished: &mut [Incoming<D::File>],
        small: &[usize],
    ) -> io::Result<D::File> {
        for i in small {
            let Incoming { head, record, body, body_crc, .. } = &mut finished[*i];
            format::seal(record, head, *body, *body_crc);
        }
        let parts: Vec<&[u8]> =
            small.iter().flat_map(|i| [&finished[*i].record[..], b"\n"]).collect();
        let mut file = self.disk.create(Dir::Queue, name)?;
        self.disk.write(&mut file, 0, &parts)?;
        self.disk.sync(&mut file)?;
        Ok(file)
    }

    fn settle_large(&mut self, incoming: &mut Incoming<D::File>) -> io::Result<()> {
        let name = incoming.name();
        incoming.record.push(b'\n');
        let mut settled = incoming.write_out(&mut self.disk);
        if let (Ok(()), Some(stream)) = (&settled, &mut incoming.stream) {
            format::seal(&mut stream.head, &mut incoming.head, incoming.body, incoming.body_crc);
            let disk = &mut self.disk;
            settled = disk
                .write(&mut stream.file, 0, &[&stream.head])
                .and_then(|()| disk.sync(&mut stream.file))
                .and_then(|()| disk.rename((Dir::Incoming, &name), (Dir::Queue, &name)));
        }
        if settled.is_err() {
            let _ = self.disk.unlink(Dir::Incoming, &name);
        }
        settled
    }

    fn index_committed(
        &mut self,
        finished: Vec<Incoming<D::File>>,
        failures: Vec<Option<io::Error>>,
        mut batch: Option<D::File>,
    ) -> Vec<(MessageId, Result<(), SpoolError>)> {
        let (mut results, mut at, mut shared) = (Vec::with_capacity(finished.len()), 0, None);
        for (mut incoming, failure) in finished.into_iter().zip(failures) {
            let id = incoming.id();
            if let Some(error) = failure {
                results.push((id, Err(SpoolError::io("cannot commit", error))));
                continue;
            }
            let octets = u64::from(incoming.head.octets) + incoming.body + 1;
            let stream = incoming.stream.take();
            let (file, start) = match &stream {
                Some(_) => (self.add_file(incoming.name()), 0),
                None => {
                    let file = *shared.get_or_insert_with(|| self.add_file(incoming.name()));
                    let start = at;
                    at += octets;
                    (file, start)
                }
            };
            self.add_entry(&incoming.head, file, start, true);
            match stream {
                Some(stream) => self.keep_open(file, stream.file),
                None => self.keep_cached(incoming),
            }
            results.push((id, Ok(())));
        }
        // A file with one message is rarely opened again; a shared one is marked in.
        if let (Some(file), Some(handle)) = (shared, batch.take()) {
            if self.files[file as usize].live > 1 {
                self.keep_open(file, handle);
            }
        }
        results
    }

    pub(super) fn add_file(&mut self, name: String) -> u32 {
        self.files.insert(Batch { name, live: 0, handle: None }) as u32
    }

    pub(super) fn add_entry(&mut self, head: &Head, file: u32, at: u64, checked: bool) {
        let left = head.statuses.iter().filter(|s| !s.done()).count() as u32;
        let entry = Entry {
            file,
            at,
            head: head.octets,
            arrived: head.id.arrived,
            body: head.body,
            left,
            checked,
        };
        self.index.insert(head.id.counter, entry);
        self.files[file as usize].live += 1;
    }

    fn keep_open(&mut self, file: u32, handle: D::File) {
        self.files[file as usize].handle = Some(handle);
        self.open.push_back(file);
        while self.open.len() > HANDLES {
            if let Some(old) = self.open.pop_front() {
                // The slot may have a new owner by now: it opens its file again, no more.
                if let Some(batch) = self.files.get_mut(old as usize) {
                    batch.handle = None;
                }
            }
        }
    }

    pub(super) fn forget_open(&mut self, file: u32) {
        self.open.retain(|f| *f != file);
    }

    fn keep_cached(&mut self, incoming: Incoming<D::File>) {
        let counter = incoming.head.id.counter;
        self.cached += incoming.record.len();
        self.cache.insert(counter, Cached { head: incoming.head, record: incoming.record });
        self.cache_order.push_back(counter);
        while self.cached > CACHE {
            let Some(old) = self.cache_order.pop_front() else { break };
            self.uncache(old);
        }
    }

    fn uncache(&mut self, counter: u64) {
        if let Some(cached) = self.cache.remove(&counter) {
            self.cached -= cached.record.len();
        }
        // Those that left before their turn must not pile up at the front.
        while self.cache_order.front().is_some_and(|c| !self.cache.contains_key(c)) {
            self.cache_order.pop_front();
        }
    }

    /// Where a message is.
    pub(super) fn entry(&self, id: MessageId) -> Result<Entry, SpoolError> {
        self.index.get(&id.counter).copied().ok_or(SpoolError::Unknown)
    }

    /// The full identity of the message with this counter, if it is in the spool.
    pub fn find(&self, counter: u64) -> Option<MessageId> {
        self.index.get(&counter).map(|e| MessageId { counter, arrived: e.arrived })
    }

    /// Every message in the spool, in no order.
    pub fn ids(&self) -> impl Iterator<Item = MessageId> + '_ {
        self.index.iter().map(|(c, e)| MessageId { counter: *c, arrived: e.arrived })
    }

    /// Runs something on the open file of a batch.
    pub(super) fn with_file<T>(
        &mut self,
        file: u32,
        work: impl FnOnce(&mut D, &mut D::File) -> io::Result<T>,
    ) -> Result<T, SpoolError> {
        let Some(batch) = self.files.get(file as usize) else { return Err(SpoolError::Unknown) };
        let name = batch.name.clone();
        let cannot = |e| SpoolError::io(format!("queue/{name}"), e);
        if batch.handle.is_none() {
            let handle = self.disk.open(Dir::Queue, &name).map_err(cannot)?;
            self.keep_open(file, handle);
        }
        match &mut self.files[file as usize].handle {
            Some(handle) => work(&mut self.disk, handle).map_err(cannot),
            None => Err(SpoolError::Unknown),
        }
    }

    /// A message's envelope, statuses and lengths.
    pub fn head(&mut self, id: MessageId) -> Result<Cow<'_, Head>, SpoolError> {
        if self.cache.contains_key(&id.counter) {
            return Ok(Cow::Borrowed(&self.cache[&id.counter].head));
        }
        let entry = self.entry(id)?;
        let mut record = vec![0; entry.head as usize];
        let read = self.with_file(entry.file, |d, f| d.read(f, entry.at, &mut record))?;
        record.truncate(read);
        let head = format::read_head(&record)?;
        if head.id != id {
            return Err(SpoolError::Corrupt { what: id.to_string() });
        }
        Ok(Cow::Owned(head))
    }

    /// Reads content from this offset on; says how much, 0 at its end.
    pub fn read(&mut self, id: MessageId, from: u64, buf: &mut [u8]) -> Result<usize, SpoolError> {
        let entry = self.entry(id)?;
        let left = entry.body.saturating_sub(from);
        let want = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let buf = &mut buf[..want];
        if let Some(cached) = self.cache.get(&id.counter) {
            let start = entry.head as usize + from as usize;
            buf.copy_from_slice(&cached.record[start..start + want]);
            return Ok(want);
        }
        let at = entry.at + u64::from(entry.head) + from;
        self.with_file(entry.file, |d, f| d.read(f, at, buf))
    }

    /// Records how a recipient stands: one octet, overwritten in place, not synced; a crash of
    /// the machine may repeat a delivery and never loses one. True when the message is done; it
    /// has left the spool then.
    pub fn mark(
        &mut self,
        id: MessageId,
        recipient: u32,
        to: Status,
        now: Time,
    ) -> Result<bool, SpoolError> {
        self.mark_with(id, recipient, to, false, now)
    }

    /// As [`Spool::mark`], and durable: for a recipient whose bounce is committed, so that no
    /// second bounce is made after a crash.
    pub fn mark_durably(
        &mut self,
        id: MessageId,
        recipient: u32,
        to: Status,
        now: Time,
    ) -> Result<bool, SpoolError> {
        self.mark_with(id, recipient, to, true, now)
    }

    fn mark_with(
        &mut self,
        id: MessageId,
        recipient: u32,
        to: Status,
        durably: bool,
        now: Time,
    ) -> Result<bool, SpoolError> {
        let head = self.head(id)?;
        let at = recipient as usize;
        let (Some(before), Some(position)) = (head.statuses.get(at), head.positions.get(at)) else {
            return Err(SpoolError::Unknown);
        };
        let (before, position) = (*before, u64::from(*position));
        let entry = self.entry(id)?;
        if before.done() || before == to {
            return Ok(false);
        }
        if let Some(cached) = self.cache.get_mut(&id.counter) {
            cached.head.statuses[at] = to;
        }
        let left = if to.done() { entry.left.saturating_sub(1) } else { entry.left };
        if let Some(entry) = self.index.get_mut(&id.counter) {
            entry.left = left;
        }
        let last = left == 0 && self.files[entry.file as usize].live <= 1;
        if durably || !last {
            let octet = [to.octet()];
            let written = self.with_file(entry.file, |disk, file| {
                disk.write(file, entry.at + position, &[&octet])?;
                if durably { disk.sync(file) } else { Ok(()) }
            });
            if let Err(SpoolError::Io { error, what }) = written {
                return Err(self.fail(&what, error, now));
            }
        }
        if left > 0 {
            return Ok(false);
        }
        self.retire(id, now)?;
        Ok(true)
    }

    /// Takes a message out of the spool, whatever its recipients' statuses.
    pub fn remove(&mut self, id: MessageId, now: Time) -> Result<(), SpoolError> {
        let recipients = self.head(id)?.statuses.len() as u32;
        for recipient in 0..recipients {
            if self.mark(id, recipient, Status::Failed, now)? {
                break;
            }
        }
        Ok(())
    }

    /// Forgets a message that is done; the last of its file takes the file along. The removal is
    /// not synced by itself: the next commit's sync of the folder carries it.
    pub(super) fn retire(&mut self, id: MessageId, now: Time) -> Result<(), SpoolError> {
        let Some(entry) = self.index.remove(&id.counter) else { return Ok(()) };
        self.uncache(id.counter);
        let Some(batch) = self.files.get_mut(entry.file as usize) else { return Ok(()) };
        batch.live -= 1;
        if batch.live > 0 {
            return Ok(());
        }
        let batch = self.files.remove(entry.file as usize);
        self.forget_open(entry.file);
        match self.disk.unlink(Dir::Queue, &batch.name) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(self.fail("cannot unlink", e, now)),
        }
    }

    /// Remembers that an outcome could not be recorded: no delivery until a trial goes well.
    pub(super) fn fail(&mut self, what: &str, error: io::Error, now: Time) -> SpoolError {
        if self.failing.is_none() {
            self.trial = now.after(TRIAL);
        }
        self.failing = Some(again(&error));
        SpoolError::io(what, error)
    }

    /// When a failing disk is to be tried again.
    pub fn next_trial(&self) -> Time {
        if self.failing.is_some() { self.trial } else { Time::NEVER }
    }

    /// Tries a failing disk with a fresh file, when it is time; true when it is well again.
    pub fn try_again(&mut self, now: Time) -> bool {
        if now < self.next_trial() || self.failing.is_none() {
            return false;
        }
        const NAME: &str = "trial";
        let disk = &mut self.disk;
        let _ = disk.unlink(Dir::Incoming, NAME);
        let tried = disk.create(Dir::Incoming, NAME).and_then(|mut file| {
            disk.write(&mut file, 0, &[&[b'\n'; 16 * 1024]])?;
            disk.sync(&mut file)?;
            disk.sync_dir(Dir::Incoming)
        });
        let _ = self.disk.unlink(Dir::Incoming, NAME);
        self.trial = now.after(TRIAL);
        match tried {
            Ok(()) => self.failing = None,
            Err(e) => self.failing = Some(e),
        }
        self.failing.is_none()
    }

    /// A clean end: the counter is kept exactly, so that identities have no gaps.
    pub fn close(&mut self) {
        if self.disk.set_counter(self.next).is_ok() {
            self.reserved = self.next;
        }
    }
}
