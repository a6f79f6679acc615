//! Prepared files: empty files in `queue/` whose names are durable before a message needs them,
//! so that a commit flushes a file and not its folder as well.
//!
//! | state | when | then |
//! | --- | --- | --- |
//! | none, idle | at first, after a second without a commit, after a failure | a second commit within a second: some are made |
//! | some | commits take them, the oldest first | none are left: twice as many are made, up to a bound |
//!
//! They are made after the clients of a commit have their replies, so that nobody waits for them.
//! Whatever ends the process before they are used leaves empty files, which recovery removes.

use std::collections::VecDeque;
use std::time::Duration;

use super::disk::{Dir, Disk};
use super::error::Fault;
use super::name::FileName;
use super::store::Spool;
use crate::base::{MessageId, Time};

/// Commits that are farther apart have no use for them.
const IDLE: Duration = Duration::from_secs(1);
/// So many are made at first, and at most: the loop waits meanwhile.
const FEWEST: u16 = 4;
const MOST: u16 = 16;

/// The files, and when they were needed.
#[derive(Debug)]
pub(super) struct Prepared<F> {
    files: VecDeque<(FileName, F)>,
    /// The first message of the last batch, until files have been named after it.
    after: Option<MessageId>,
    /// When the last batch was written, and that this was soon after the one before.
    last: Option<Time>,
    busy: bool,
    /// How many to make the next time.
    many: u16,
}

impl<F> Default for Prepared<F> {
    fn default() -> Prepared<F> {
        Prepared { files: VecDeque::new(), after: None, last: None, busy: false, many: FEWEST }
    }
}

impl<F> Prepared<F> {
    /// A batch that begins with this message is to be written: a file for it, if there is one.
    pub fn next(&mut self, first: MessageId, now: Time) -> Option<(FileName, F)> {
        self.busy = self.last.is_some_and(|last| now < last.after(IDLE));
        self.last = Some(now);
        self.after = Some(first);
        self.files.pop_front()
    }

    /// When they are to be removed because nobody needed one for a while.
    pub fn due(&self) -> Option<Time> {
        let last = self.last.filter(|_| !self.files.is_empty())?;
        Some(last.after(IDLE))
    }
}

impl<D: Disk> Spool<D> {
    /// Makes files for coming commits, when commits follow each other closely and none is left.
    /// Call it when the replies of a commit are on their way. It waits for the disk as a commit
    /// does; true when it did.
    pub fn prepare(&mut self) -> bool {
        let healthy = self.trouble.is_none() && self.failure().is_none();
        if !self.prepared.busy || !self.prepared.files.is_empty() || !healthy {
            return false;
        }
        let Some(after) = self.prepared.after.take() else { return false };
        let mut made = VecDeque::new();
        let mut well = true;
        for nth in 1..=self.prepared.many {
            let name = FileName::prepared(after, nth);
            match self.disk.create(Dir::Queue, &name.to_string()) {
                Ok(file) => made.push_back((name, file)),
                // Whatever it is: who needs a file will meet it, and say so.
                Err(_) => {
                    well = false;
                    break;
                }
            }
        }
        self.prepared.files = made;
        if !well {
            self.release_prepared();
            return true;
        }
        match self.disk.sync_dir(Dir::Queue) {
            Ok(()) => {
                // It also made durable what was removed before.
                self.unsettled.names = false;
                self.prepared.many = (self.prepared.many * 2).min(MOST);
            }
            Err(e) => self.fail(&Fault::new("flush", "queue", &e)),
        }
        true
    }

    /// Removes them. When that fails the next start does it: they are empty.
    pub(super) fn release_prepared(&mut self) {
        for (name, file) in std::mem::take(&mut self.prepared).files {
            drop(file);
            let _ = self.disk.unlink(Dir::Queue, &name.to_string());
        }
    }

    /// Removes them when nobody needed one for a while.
    pub(super) fn rest_prepared(&mut self) {
        if self.prepared.due().is_some_and(|due| due <= self.now) {
            self.release_prepared();
        }
    }
}

#[cfg(test)]
mod tests;
