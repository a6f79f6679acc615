//! Spare files: what makes a commit short. Their names are durable before a message needs them,
//! so that a commit that takes one flushes the file alone and not its folder as well.
//!
//! | kind | comes from | why |
//! | --- | --- | --- |
//! | used | a batch of which all is done, while commits follow closely | its room is durable, too |
//! | fresh | [`Spool::prepare`], after commits that found none | its name is durable |
//!
//! A server that gets a message now and then, or a few at once, has none; after a second without a
//! commit all are removed. Whatever ends the process before that leaves empty files and files of
//! which all is done; recovery removes both.
//!
//! ## Why a used file is safe
//!
//! It is taken only when the outcome of every message in it is written, and none of them is a
//! failure, which has to be durable in time (I15). The commit writes its batch over the
//! beginning and line ends over what is left of the old octets; then it flushes. Before
//! that flush nobody was told anything: a crash leaves the new records, torn or whole, which were
//! never promised, and old ones, of which all is done. A power cut that takes an old mark along
//! repeats a delivery (I10), as it does where a removal was not durable. After the flush the file
//! holds the new batch and line ends.

use std::collections::VecDeque;
use std::time::Duration;

use super::disk::{Dir, Disk};
use super::error::Fault;
use super::ids::GAP;
use super::name::FileName;
use super::store::Spool;
use crate::base::{MessageId, Status, Time};

/// Commits that are farther apart have no use for spare files, nor have a few that are not.
const IDLE: Duration = Duration::from_secs(1);
const ENOUGH: u32 = 8;
/// So many fresh ones are made at first, and at most: the loop waits meanwhile.
const FEWEST: u16 = 4;
const MOST: u16 = 16;
/// So many used ones are kept. The oldest is used first, so that few marks are not durable.
const MOST_USED: usize = 8;
/// Longer files are not kept: what a batch does not need of one is written, too.
const LONGEST: u32 = 256 * 1024;

/// A file for a batch.
pub(super) struct Spare<F> {
    pub name: FileName,
    pub file: F,
    /// Its length; 0 when it is fresh.
    pub length: u32,
}

/// The spare files, and when they were needed.
pub(super) struct Spares<F> {
    used: VecDeque<Spare<F>>,
    fresh: VecDeque<Spare<F>>,
    /// The first message of the last batch, until files have been named after it.
    after: Option<MessageId>,
    /// When the last batch was written, and how many followed each other closely until then.
    last: Option<Time>,
    streak: u32,
    /// So many are worth spare files.
    enough: u32,
    /// How many to make the next time.
    many: u16,
}

impl<F> Default for Spares<F> {
    fn default() -> Spares<F> {
        let (used, fresh) = (VecDeque::new(), VecDeque::new());
        let (streak, enough) = (0, ENOUGH);
        Spares { used, fresh, after: None, last: None, streak, enough, many: FEWEST }
    }
}

impl<F> Spares<F> {
    /// Commits follow each other closely, and have done so for a while.
    fn is_busy(&self) -> bool {
        self.streak >= self.enough
    }

    /// A batch of so many octets that begins with this message is to be written: a file for it,
    /// if there is one.
    pub fn take(&mut self, first: MessageId, octets: usize, now: Time) -> Option<Spare<F>> {
        let close = self.last.is_some_and(|last| now < last.after(IDLE));
        self.streak = if close { self.streak.saturating_add(1) } else { 0 };
        self.last = Some(now);
        self.after = Some(first);
        let fits = |spare: &Spare<F>| {
            let length = spare.length as usize;
            length >= octets && length <= octets.saturating_mul(4).saturating_add(16 * 1024)
        };
        let small = |spare: &Spare<F>| (spare.length as usize) < octets;
        let found = self.used.iter().position(fits).or_else(|| self.used.iter().position(small));
        match found {
            Some(at) => self.used.remove(at),
            None => self.fresh.pop_front(),
        }
    }

    /// When they are to be removed because nobody needed one for a while.
    pub fn due(&self) -> Option<Time> {
        let some = !self.fresh.is_empty() || !self.used.is_empty();
        let last = self.last.filter(|_| some)?;
        Some(last.after(IDLE))
    }

    #[cfg(test)]
    fn count(&self) -> (usize, usize) {
        (self.used.len(), self.fresh.len())
    }
}

impl<D: Disk> Spool<D> {
    /// From now on two commits that follow each other closely are enough for spare files. For
    /// simulations, whose lives are short.
    pub fn expect_load(&mut self) {
        self.spares.enough = 1;
    }

    /// Makes files for coming commits, when commits follow each other closely and no file is left.
    /// Call it when the replies of a commit are on their way. It waits for the disk as a commit
    /// does; true when it did.
    pub fn prepare(&mut self) -> bool {
        let healthy = self.trouble.is_none() && self.failure().is_none();
        let Spares { used, fresh, .. } = &self.spares;
        if !self.spares.is_busy() || !used.is_empty() || !fresh.is_empty() || !healthy {
            return false;
        }
        let Some(after) = self.spares.after.take() else { return false };
        for nth in 1..=self.spares.many {
            let name = FileName::prepared(after, nth);
            match self.disk.create(Dir::Queue, &name.to_string()) {
                Ok(file) => self.spares.fresh.push_back(Spare { name, file, length: 0 }),
                Err(_) => {
                    // Whatever it is: who needs a file will meet it, and say so.
                    self.release_spares();
                    return true;
                }
            }
        }
        match self.sync_queue() {
            Ok(()) => self.spares.many = (self.spares.many * 2).min(MOST),
            Err(fault) => self.fail(&fault),
        }
        true
    }

    /// Whether a file of which all will be done by these marks is worth keeping.
    pub(super) fn may_keep(&self, number: u32, marks: &[(u32, Status)]) -> bool {
        let file = &self.files[number];
        let far = self.ids.next.saturating_sub(file.name.id.counter);
        self.spares.is_busy()
            && file.length.is_some_and(|length| length <= LONGEST)
            && !file.damaged
            && !file.bounces
            // Its name must tell about how old the messages in it are, or an identity could be
            // used twice after the loss of the lock file (I12).
            && far < GAP / 2
            && !self.unsettled.marks.contains_key(&number)
            && marks.iter().all(|(_, status)| *status != Status::Failed)
    }

    /// All messages of a file are done, and all their outcomes written: it is kept.
    pub(super) fn keep(&mut self, number: u32) {
        self.forget_rewrite(number);
        let file = self.files.remove(number);
        let name = file.name;
        let (Some(open), Some(length)) = (self.handles.remove(number), file.length) else {
            return self.discard(Dir::Queue, name.to_string());
        };
        self.spares.used.push_back(Spare { name, file: open, length });
        if self.spares.used.len() > MOST_USED {
            if let Some(oldest) = self.spares.used.pop_front() {
                drop(oldest.file);
                self.discard(Dir::Queue, oldest.name.to_string());
            }
        }
    }

    /// Removes the spare files.
    pub(super) fn release_spares(&mut self) {
        let spares = std::mem::take(&mut self.spares);
        self.spares.enough = spares.enough;
        for Spare { name, file, .. } in spares.used {
            drop(file);
            self.discard(Dir::Queue, name.to_string());
        }
        for Spare { name, file, .. } in spares.fresh {
            drop(file);
            // When that fails the next start does it: it is empty.
            let _ = self.disk.unlink(Dir::Queue, &name.to_string());
        }
    }

    /// Removes spare files that nobody needed for a while, and makes durable what was removed.
    pub(super) fn rest(&mut self) {
        if self.spares.due().is_some_and(|due| due <= self.now) {
            self.release_spares();
        }
        if self.rest_due().is_some_and(|due| due <= self.now) {
            if let Err(fault) = self.sync_queue() {
                // What was removed may come back; flushing again would prove nothing (I2).
                self.removed = None;
                self.fail(&fault);
            }
        }
    }

    fn rest_due(&self) -> Option<Time> {
        Some(self.removed?.after(IDLE))
    }

    /// When [`rest`](Spool::rest) has something to do.
    pub(super) fn next_rest(&self) -> Option<Time> {
        [self.spares.due(), self.rest_due()].into_iter().flatten().min()
    }

    /// Makes the names in `queue/` durable, those that are gone, too.
    pub(super) fn sync_queue(&mut self) -> Result<(), Fault> {
        let flushed = self.disk.sync_dir(Dir::Queue);
        flushed.map_err(|e| Fault::new("flush", "queue", &e))?;
        self.unsettled.names = false;
        self.removed = None;
        Ok(())
    }

    /// Removes a name in `queue/`; a flush of the folder is due in a while.
    pub(super) fn unlink_queued(&mut self, name: &str) -> std::io::Result<()> {
        self.disk.unlink(Dir::Queue, name)?;
        self.removed.get_or_insert(self.now);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
