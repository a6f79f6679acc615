//! What becomes of recipients: one octet each, overwritten in place, not flushed (I10). And the
//! end of files: removed when nothing in them is left to do.
//!
//! Two things are stronger than a crash repeating a delivery. A bounce leaves the spool only
//! after the failures that it speaks of are durable ([`Spool::sync_marks`]); and what could not be
//! written or removed is remembered and tried again, while forwarding pauses.

use super::disk::{Dir, Disk};
use super::error::{Fault, SpoolError, Weight};
use super::index::Entry;
use super::read::opened;
use super::store::Spool;
use crate::base::{MessageId, Status, Time};

impl<D: Disk> Spool<D> {
    /// Records what became of a recipient; says whether the message is done and gone. A recipient
    /// that is done stays so. When recording fails the spool remembers, tries again by itself and
    /// gives the [`failure`](Spool::failure).
    pub fn mark(
        &mut self,
        id: MessageId,
        recipient: u32,
        status: Status,
        now: Time,
    ) -> Result<bool, SpoolError> {
        self.mark_all(id, &[(recipient, status)], now)
    }

    /// Records what became of several recipients of a message: all outcomes of one transaction
    /// belong in one call, since a file of which all is done then is removed without a write.
    pub fn mark_all(
        &mut self,
        id: MessageId,
        marks: &[(u32, Status)],
        now: Time,
    ) -> Result<bool, SpoolError> {
        self.now = now;
        let counter = id.counter;
        let entry = self.entry(id)?;
        if marks.iter().any(|(recipient, _)| *recipient >= entry.recipients()) {
            return Err(SpoolError::Unknown);
        }
        let mut fresh: Vec<(u32, Status)> = Vec::with_capacity(marks.len());
        for (recipient, status) in marks {
            if !self.index.is_done(counter, *recipient) {
                fresh.push((*recipient, *status));
            }
            if status.done() {
                self.index.set_done(counter, *recipient);
            }
        }
        let done = self.index.get(counter).is_some_and(Entry::is_done);
        let file = &self.files[entry.file];
        // One that stays must say what became of its messages.
        let last = done && file.live == 1 && !file.unread;
        let keep = last && self.may_keep(entry.file, &fresh);
        if !last || keep {
            if let Err(fault) = self.write_statuses(id, &fresh) {
                // The message stays until its end is recorded.
                let left = fresh.iter().map(|(recipient, status)| (id, *recipient, *status));
                self.leftovers.marks.extend(left);
                self.leave(&fault);
                return Err(fault.into());
            }
        }
        if keep {
            self.forget_message(counter);
            self.keep(entry.file);
        } else if done {
            self.forget(counter);
        }
        if last && fresh.iter().any(|(_, status)| *status == Status::Failed) {
            // Not a mark but the removal says it: that has to be durable in time.
            self.unsettled.names = true;
        }
        Ok(done)
    }

    /// Overwrites statuses in the file and at hand. Failures count as unsettled.
    pub(super) fn write_statuses(
        &mut self,
        id: MessageId,
        marks: &[(u32, Status)],
    ) -> Result<(), Fault> {
        let Some(entry) = self.index.get(id.counter).copied() else { return Ok(()) };
        if marks.is_empty() {
            return Ok(());
        }
        for (recipient, status) in marks {
            self.messages.set_status(id.counter, *recipient, *status);
        }
        let places = self.status_places(id.counter, &entry)?;
        let head_at = entry.head_at(id.counter);
        let name = self.files[entry.file].name;
        let file = opened(&mut self.disk, &self.files, &mut self.handles, entry.file)?;
        let mut failed = Vec::new();
        for (recipient, status) in marks {
            let Some(place) = places.get(*recipient as usize) else { continue };
            let at = head_at + *place as u64;
            let done = self.disk.write_at(file, &[status.octet()], at);
            done.map_err(|e| Fault::new("write", Dir::Queue.path(&name.to_string()), &e))?;
            if *status == Status::Failed {
                failed.push(at);
            }
        }
        if !failed.is_empty() {
            self.unsettled.marks.entry(entry.file).or_default().extend(failed);
        }
        Ok(())
    }

    fn forget_message(&mut self, counter: u64) -> Option<Entry> {
        self.messages.remove(counter);
        self.index.remove(counter)
    }

    /// A message leaves the index; with the last one its file goes.
    pub(super) fn forget(&mut self, counter: u64) {
        let Some(entry) = self.forget_message(counter) else { return };
        let file = &mut self.files[entry.file];
        file.live -= 1;
        if file.live == 0 {
            self.retire(entry.file);
        } else if file.is_straggling() && !file.name.is_lone() {
            self.await_rewrite(entry.file);
        }
    }

    /// Removes a file of which nothing is left to do; a damaged one goes to `corrupt/`. Not
    /// flushed: the next commit does that, and a crash before it repeats.
    pub(super) fn retire(&mut self, number: u32) {
        self.forget_rewrite(number);
        match self.try_retire(number) {
            Ok(()) => {
                self.handles.remove(number);
                if self.unsettled.marks.remove(&number).is_some() {
                    self.unsettled.names = true;
                }
                self.leftovers.files.remove(&number);
                self.files.remove(number);
            }
            Err(fault) => {
                self.leftovers.files.insert(number);
                self.leave(&fault);
            }
        }
    }

    fn try_retire(&mut self, number: u32) -> Result<(), Fault> {
        if self.files[number].bounces {
            self.settle()?;
        }
        let file = &self.files[number];
        let name = file.name.to_string();
        if file.unread {
            return Ok(());
        }
        if file.damaged {
            return self.quarantine(&name);
        }
        let removed = self.unlink_queued(&name);
        removed.map_err(|e| Fault::new("remove", Dir::Queue.path(&name), &e))
    }

    /// Moves a file to `corrupt/`, where nothing is overwritten.
    pub(super) fn quarantine(&mut self, name: &str) -> Result<(), Fault> {
        let fault = |e| Fault::new("move", Dir::Queue.path(name), &e);
        let mut to = name.to_owned();
        let mut n = 0;
        while self.disk.exists(Dir::Corrupt, &to).map_err(fault)? {
            n += 1;
            to = format!("{name}~{n}");
        }
        self.disk.rename((Dir::Queue, name), (Dir::Corrupt, &to)).map_err(fault)?;
        self.say(Weight::Error, format!("queue/{name} was damaged: it is corrupt/{to} now"));
        // A failure here changes nothing: the file is found damaged again.
        let _ = self.disk.sync_dir(Dir::Corrupt);
        Ok(())
    }

    /// Makes failures durable that were recorded. The spool does it by itself before a bounce
    /// leaves; call it to have it sooner.
    pub fn sync_marks(&mut self) -> Result<(), SpoolError> {
        self.settle().map_err(SpoolError::from)
    }

    pub(super) fn settle(&mut self) -> Result<(), Fault> {
        while let Some(number) = self.unsettled.marks.keys().next().copied() {
            if let Err(fault) = self.settle_file(number) {
                self.unsettled.again = true;
                return Err(fault);
            }
            self.unsettled.marks.remove(&number);
        }
        self.unsettled.again = false;
        if self.unsettled.names {
            self.sync_queue()?;
        }
        Ok(())
    }

    fn settle_file(&mut self, number: u32) -> Result<(), Fault> {
        let path = Dir::Queue.path(&self.files[number].name.to_string());
        let file = opened(&mut self.disk, &self.files, &mut self.handles, number)?;
        if self.unsettled.again {
            // What a failed flush dropped is not flushed by a second one (I2): write it again.
            let places = self.unsettled.marks.get(&number).into_iter().flatten();
            for at in places {
                let octet = [Status::Failed.octet()];
                let done = self.disk.write_at(file, &octet, *at);
                done.map_err(|e| Fault::new("write", path.as_str(), &e))?;
            }
        }
        self.sync_file(number)
    }

    fn sync_file(&mut self, number: u32) -> Result<(), Fault> {
        let file = opened(&mut self.disk, &self.files, &mut self.handles, number)?;
        self.disk.sync_data(file).map_err(|e| {
            let name = self.files[number].name.to_string();
            Fault::new("flush", Dir::Queue.path(&name), &e)
        })
    }

    /// Removes a message whatever its state, durably: somebody said so.
    pub fn remove(&mut self, id: MessageId, now: Time) -> Result<(), SpoolError> {
        let entry = self.entry(id)?;
        // What could not be recorded before is no mark yet: a crash would bring it back.
        let left = self.leftovers.marks.iter().filter(|(of, ..)| *of == id);
        let left: Vec<(u32, Status)> = left.map(|(_, to, status)| (*to, *status)).collect();
        if !left.is_empty() {
            self.write_statuses(id, &left)?;
            // Whatever they say, they have to be durable.
            self.unsettled.marks.entry(entry.file).or_default();
            self.leftovers.marks.retain(|(of, ..)| *of != id);
        }
        let marks: Vec<(u32, Status)> =
            (0..entry.recipients()).map(|recipient| (recipient, Status::Failed)).collect();
        self.mark_all(id, &marks, now)?;
        // Its file, when it is still there, was marked; one that is gone must stay so.
        self.unsettled.names = true;
        self.settle()?;
        if self.leftovers.files.contains(&entry.file) {
            let name = self.files[entry.file].name.to_string();
            let refused = std::io::Error::other("tried again later");
            return Err(Fault::new("remove", Dir::Queue.path(&name), &refused).into());
        }
        Ok(())
    }

    /// Removes a file that no message needs; remembers it when that fails.
    pub(super) fn discard(&mut self, dir: Dir, name: String) {
        let removed = match dir {
            Dir::Queue => self.unlink_queued(&name),
            _ => self.disk.unlink(dir, &name),
        };
        if let Err(e) = removed {
            let fault = Fault::new("remove", dir.path(&name), &e);
            self.leftovers.names.push((dir, name));
            self.leave(&fault);
        }
    }

    /// Tries again what could not be recorded or removed.
    pub(super) fn retry_leftovers(&mut self) {
        let left = std::mem::take(&mut self.leftovers);
        for (id, recipient, status) in left.marks {
            if let Err(fault) = self.write_statuses(id, &[(recipient, status)]) {
                self.leftovers.marks.push((id, recipient, status));
                self.leave(&fault);
            }
        }
        if self.leftovers.marks.is_empty() {
            let done = self.index.iter().filter(|(_, entry)| entry.is_done());
            let done: Vec<u64> = done.map(|(counter, _)| counter).collect();
            done.into_iter().for_each(|counter| self.forget(counter));
        }
        left.files.into_iter().for_each(|number| self.retire(number));
        for (dir, name) in left.names {
            if !matches!(self.disk.exists(dir, &name), Ok(false)) {
                self.discard(dir, name);
            }
        }
    }
}
