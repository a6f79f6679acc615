//! The spool itself: what it holds in memory, how it begins and ends, and how it is.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use super::cache::{Handles, Messages};
use super::disk::{Dir, Disk};
use super::error::{Fault, SpoolError, Weight, Word};
use super::ids::{BLOCK, GAP, Ids};
use super::incoming::Incoming;
use super::index::{Files, Index};
use super::name::FileName;
use super::recovery::Recovery;
use super::scan::Window;
use super::shed::Shedding;
use super::spares::Spares;
use crate::base::{MessageId, Status, Time};

/// Messages that just came are kept at hand up to so many octets.
const MESSAGES: usize = 32 << 20;
/// So many files of the queue are kept open.
const HANDLES: usize = 64;
/// After a failure the disk is tried again after so long.
const PROBE: Duration = Duration::from_secs(15);

/// The spool on a disk.
///
/// Its life: [`open`](Spool::open), [`recover`](Spool::recover) until it says that it is done,
/// then [`begin`](Spool::begin) ▸ [`append`](Spool::append) ▸ [`finish`](Spool::finish) for each
/// message and one [`commit`](Spool::commit) a tick; [`mark`](Spool::mark) for what becomes of
/// recipients; [`try_again`](Spool::try_again) when it is [due](Spool::next_trial);
/// [`close`](Spool::close). Messages may come while recovery goes on.
pub struct Spool<D: Disk> {
    pub(super) disk: D,
    pub(super) ids: Ids,
    pub(super) index: Index,
    pub(super) files: Files,
    pub(super) messages: Messages,
    pub(super) handles: Handles<D::File>,
    /// Octets in memory of messages that are not committed.
    pub(super) buffered: usize,
    pub(super) finished: Vec<Incoming<D::File>>,
    pub(super) spares: Spares<D::File>,
    /// When the first name was removed since the last flush of the folder.
    pub(super) removed: Option<Time>,
    pub(super) unsettled: Unsettled,
    pub(super) leftovers: Leftovers,
    /// Files worth a rewrite, by the time from when on.
    pub(super) stragglers: BTreeSet<(Time, u32)>,
    pub(super) recovery: Recovery<D::File>,
    pub(super) window: Window,
    /// Large files that are gone but for their room.
    pub(super) shedding: Shedding<D::File>,
    pub(super) trouble: Option<Trouble>,
    /// The time that was told last.
    pub(super) now: Time,
    pub(super) words: Vec<Word>,
}

/// Failures of recipients that are recorded, but not durably so. Before a bounce leaves the
/// spool, what it speaks of must be durable; else a crash would bring the failed recipient back
/// without its bounce, and a second bounce would be made.
#[derive(Default, Debug)]
pub(super) struct Unsettled {
    /// Where in which file `!` was written since its last flush.
    pub marks: BTreeMap<u32, BTreeSet<u64>>,
    /// A file with failures in it was removed since the last flush of the folder.
    pub names: bool,
    /// A flush failed: the marks must be written again before the next one.
    pub again: bool,
}

/// What could not be done and is tried again: while there is something here, forwarding pauses,
/// or a restart would repeat all of it.
#[derive(Default, Debug)]
pub(super) struct Leftovers {
    /// Statuses that could not be written.
    pub marks: Vec<(MessageId, u32, Status)>,
    /// Files all done that could not be removed.
    pub files: BTreeSet<u32>,
    /// Files that belong to no commit and could not be removed.
    pub names: Vec<(Dir, String)>,
    /// Why; none when nothing is left over.
    pub fault: Option<Fault>,
    /// When to try again.
    pub due: Time,
}

/// The disk failed.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub fault: Fault,
    /// When to try a fresh file.
    pub due: Time,
}

impl<D: Disk> Spool<D> {
    /// Takes the spool on a locked disk: reads the names of what is there and empties `incoming/`.
    /// Recovery begins; nothing is known of the messages yet.
    pub fn open(mut disk: D) -> Result<Spool<D>, SpoolError> {
        let next = disk.counter().map_err(|e| Fault::new("read", "the lock file", &e))?;
        let mut spool = Spool {
            disk,
            ids: Ids { next: 1, reserved: 0 },
            index: Index::default(),
            files: Files::default(),
            messages: Messages::new(MESSAGES),
            handles: Handles::new(HANDLES),
            buffered: 0,
            finished: Vec::new(),
            spares: Spares::default(),
            removed: None,
            unsettled: Unsettled::default(),
            leftovers: Leftovers::default(),
            stragglers: BTreeSet::new(),
            recovery: Recovery::default(),
            window: Window::default(),
            shedding: Shedding::default(),
            trouble: None,
            now: Time::ZERO,
            words: Vec::new(),
        };
        let names = spool.names_in_queue()?;
        spool.ids.next = match next {
            Some(next) => next.max(1),
            None => spool.guess_next(&names)?,
        };
        spool.empty_incoming()?;
        spool.recovery = Recovery::new(names);
        Ok(spool)
    }

    /// The files in `queue/`. What has no name of ours is left alone.
    fn names_in_queue(&mut self) -> Result<Vec<FileName>, Fault> {
        let found = self.disk.list(Dir::Queue);
        let found = found.map_err(|e| Fault::new("list", "queue", &e))?;
        let mut names = Vec::with_capacity(found.len());
        for name in found {
            match name.parse() {
                Ok(name) => names.push(name),
                Err(()) => {
                    let path = Dir::Queue.path(&name);
                    self.say(Weight::Warn, format!("{path} is not a message; left alone"));
                }
            }
        }
        Ok(names)
    }

    /// The next counter when the lock file does not say it: a new spool, or one whose lock file
    /// somebody removed.
    fn guess_next(&mut self, names: &[FileName]) -> Result<u64, Fault> {
        let corrupt = self.disk.list(Dir::Corrupt);
        let corrupt = corrupt.map_err(|e| Fault::new("list", "corrupt", &e))?;
        let corrupt = corrupt.iter().filter_map(|name| {
            let name = name.split_once('~').map_or(name.as_str(), |(name, _)| name);
            name.parse::<FileName>().ok()
        });
        let last = names.iter().copied().chain(corrupt).map(|name| name.id.counter).max();
        Ok(last.map_or(1, |last| last.saturating_add(GAP)))
    }

    /// Whoever streamed there was never answered 250.
    fn empty_incoming(&mut self) -> Result<(), Fault> {
        let found = self.disk.list(Dir::Incoming);
        for name in found.map_err(|e| Fault::new("list", "incoming", &e))? {
            if let Err(e) = self.disk.unlink(Dir::Incoming, &name) {
                let fault = Fault::new("remove", Dir::Incoming.path(&name), &e);
                self.say(Weight::Warn, fault.to_string());
            }
        }
        Ok(())
    }

    /// Reserves a block of counters, durably.
    pub(super) fn reserve(&mut self) -> Result<(), Fault> {
        let reserved = self.ids.next.saturating_add(BLOCK);
        let kept = self.disk.set_counter(reserved);
        kept.map_err(|e| Fault::new("write", "the lock file", &e))?;
        self.ids.reserved = reserved;
        Ok(())
    }

    /// Ends in order: what was recorded and removed becomes durable, counters that were not used
    /// are given back. What is not committed is forgotten.
    pub fn close(&mut self) {
        self.release_spares();
        // A failure means that the next start repeats or skips something, no more.
        let _ = self.settle();
        let _ = self.sync_queue();
        if self.ids.reserved > 0 && self.disk.set_counter(self.ids.next).is_ok() {
            self.ids.reserved = self.ids.next;
        }
    }

    /// The disk, as if the process had ended here. For simulations.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// The disk.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// The disk, so that tests can break it.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Messages in the spool of which something is left to do. While recovery goes on it also
    /// counts those found so far.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.index.len() == 0
    }

    /// Files in `queue/`.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Octets in memory of messages that are not committed yet.
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    /// The whole id of a message with this counter.
    pub fn find(&self, counter: u64) -> Option<MessageId> {
        let entry = self.index.get(counter)?;
        Some(MessageId { counter, arrived: entry.arrived })
    }

    /// Octets of a message's content.
    pub fn size(&self, id: MessageId) -> Option<u64> {
        self.index.get(id.counter).map(|entry| entry.body)
    }

    /// Every message in the spool, in no order.
    pub fn ids(&self) -> impl Iterator<Item = MessageId> {
        self.index.iter().map(|(counter, entry)| MessageId { counter, arrived: entry.arrived })
    }

    /// Whether messages can be taken, as far as is known: while not, refuse them early with the
    /// error's reply. It is no promise and no ban: a commit is its own trial, and one that goes
    /// well ends the trouble.
    pub fn healthy(&self) -> Result<(), SpoolError> {
        match &self.trouble {
            None => Ok(()),
            Some(trouble) => Err(SpoolError::Unwell(trouble.fault.clone())),
        }
    }

    /// Why outcomes cannot be recorded now; none when they can. Do not forward meanwhile, or a
    /// restart would repeat everything.
    pub fn failure(&self) -> Option<&Fault> {
        self.leftovers.fault.as_ref()
    }

    /// What the log should say, since the last call.
    pub fn take_words(&mut self) -> Vec<Word> {
        std::mem::take(&mut self.words)
    }

    pub(super) fn say(&mut self, weight: Weight, text: impl Into<String>) {
        /// Beyond, a broken disk would fill the memory with complaints.
        const MOST: usize = 1000;
        if self.words.len() < MOST {
            self.words.push(Word { weight, text: text.into() });
        }
    }

    /// The disk failed at something that concerns more than one message.
    pub(super) fn fail(&mut self, fault: &Fault) {
        self.say(Weight::Error, fault.to_string());
        // The next commit shall try all of the disk.
        self.release_spares();
        if fault.is_crowding() {
            // Says nothing about the disk; what we can spare we give back.
            self.handles.clear();
            self.shed_all();
        } else {
            self.trouble = Some(Trouble { fault: fault.clone(), due: self.now.after(PROBE) });
        }
    }

    /// Something could not be recorded or removed; it is among the leftovers.
    pub(super) fn leave(&mut self, fault: &Fault) {
        if self.failure().is_none() {
            self.say(Weight::Error, format!("{fault}; forwarding pauses"));
            self.leftovers.due = self.now.after(PROBE);
        }
        self.leftovers.fault = Some(fault.clone());
    }

    /// When [`try_again`](Spool::try_again) has something to do.
    pub fn next_trial(&self) -> Time {
        let trouble = self.trouble.as_ref().map(|trouble| trouble.due);
        let left = self.failure().map(|_| self.leftovers.due);
        let old = self.next_straggler();
        let rest = self.next_rest();
        [trouble, left, old, rest].into_iter().flatten().min().unwrap_or(Time::NEVER)
    }

    /// Tries a disk that has failed with a fresh file, every 15 s, and with it what could not be
    /// recorded or removed; rewrites stragglers; removes spare files that nobody needs. Does
    /// nothing before it is time. True when the disk was unwell and is well again.
    pub fn try_again(&mut self, now: Time) -> bool {
        self.now = now;
        let was_well = self.trouble.is_none() && self.failure().is_none();
        if self.trouble.as_ref().is_some_and(|trouble| trouble.due <= now) {
            self.trouble = self.try_fresh_file().err().map(|fault| {
                self.say(Weight::Error, format!("the spool is still unwell: {fault}"));
                Trouble { fault, due: now.after(PROBE) }
            });
        }
        if self.failure().is_some() && self.leftovers.due <= now {
            self.retry_leftovers();
        }
        self.rewrite_stragglers();
        self.rest();
        !was_well && self.trouble.is_none() && self.failure().is_none()
    }

    /// A fresh file, since a flush of an old one proves nothing.
    fn try_fresh_file(&mut self) -> Result<(), Fault> {
        const NAME: &str = "probe";
        let fault = |action| move |e: io::Error| Fault::new(action, "incoming/probe", &e);
        if self.disk.exists(Dir::Incoming, NAME).map_err(fault("look at"))? {
            self.disk.unlink(Dir::Incoming, NAME).map_err(fault("remove"))?;
        }
        let mut file = self.disk.create(Dir::Incoming, NAME).map_err(fault("make"))?;
        let octets = [b'\n'; 4096];
        let parts = &mut [io::IoSlice::new(&octets)];
        let mut done = self.disk.append(&mut file, parts).map_err(fault("write"));
        if done.is_ok() {
            done = self.disk.sync_data(&file).map_err(fault("flush"));
        }
        if done.is_ok() {
            done = self.disk.sync_dir(Dir::Incoming).map_err(fault("flush"));
        }
        done.and(self.disk.unlink(Dir::Incoming, NAME).map_err(fault("remove")))
    }
}
