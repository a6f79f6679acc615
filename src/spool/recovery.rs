//! Recovery: what is in the queue is found again, in slices, while new messages already come.
//!
//! | state | what happens | then |
//! | --- | --- | --- |
//! | `Scanning` | files are read, copies first; messages are indexed, united by id | `Settling` |
//! | `Settling` | what is relied on is flushed; bounces fail recipients; old files go | `Handing` |
//! | `Handing` | file by file, oldest first, messages are handed out | `Done` |
//!
//! Nothing is handed out before all is known: a bounce further on may say that a recipient has
//! failed, and a copy that a message was delivered. So what is handed out is final.
//!
//! What a killed process left may be readable and yet not durable. Recovery must not build on
//! that: before the original of a copy goes, or a recipient is failed because its bounce exists,
//! the copy and the bounce are flushed.

use std::collections::BTreeSet;
use std::mem;

use super::disk::{Dir, Disk};
use super::error::{Fault, Weight};
use super::format::{Broken, Head, Line, MAX_LINE};
use super::index::{Entry, QueueFile};
use super::name::FileName;
use super::read::opened;
use super::scan::{Found, Record, Scan};
use super::store::Spool;
use crate::base::{MessageId, Status, Time};

/// What a slice of recovery brought.
#[derive(Default, Debug)]
pub struct Recovered {
    /// Messages that were found, final: forward what is not done of them.
    pub heads: Vec<Head>,
    /// Words for the log, about what could not be read.
    pub complaints: Vec<String>,
    /// All is handed out.
    pub complete: bool,
}

/// How far it is.
#[derive(Default, Debug)]
pub(super) enum Recovery<F> {
    Scanning {
        /// The last one is next.
        todo: Vec<FileName>,
        current: Option<Reading<F>>,
        known: Known,
    },
    Settling {
        known: Known,
        /// A flush failed: write again what it dropped.
        again: bool,
    },
    Handing {
        /// The last one is next.
        todo: Vec<(u32, FileName)>,
        current: Option<Reading<F>>,
    },
    #[default]
    Done,
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Reading<F> {
    number: u32,
    name: FileName,
    file: F,
    scan: Scan,
}

/// What the scan learned beside the messages.
#[derive(Default, Debug)]
pub(super) struct Known {
    /// Of which message by counter, for which recipients, in which file.
    bounces: Vec<(u64, Vec<u32>, u32)>,
    /// Files on which others' removal relies.
    copies: BTreeSet<u32>,
    /// Outcomes that only the record that was not kept knew.
    late: Vec<(MessageId, u32, Status)>,
}

impl<F> Recovery<F> {
    pub fn new(mut names: Vec<FileName>) -> Recovery<F> {
        if names.is_empty() {
            return Recovery::Done;
        }
        names.sort_unstable_by_key(|name| (name.generation(), *name));
        Recovery::Scanning { todo: names, current: None, known: Known::default() }
    }
}

impl<D: Disk> Spool<D> {
    /// Whether messages of before are still to be handed out.
    pub fn is_recovering(&self) -> bool {
        !matches!(self.recovery, Recovery::Done)
    }

    /// Goes on with recovery, over about so many records; what is handed out is final. Call it
    /// again until it is complete.
    pub fn recover(&mut self, budget: usize, now: Time) -> Recovered {
        self.now = now;
        let mut heads = Vec::new();
        match mem::take(&mut self.recovery) {
            Recovery::Done => {}
            Recovery::Scanning { mut todo, mut current, mut known } => {
                let done = self.scan(&mut todo, &mut current, &mut known, budget);
                self.recovery = if done {
                    Recovery::Settling { known, again: false }
                } else {
                    Recovery::Scanning { todo, current, known }
                };
            }
            // A sick disk is left alone until it is found well.
            Recovery::Settling { known, again } if self.trouble.is_some() => {
                self.recovery = Recovery::Settling { known, again };
            }
            Recovery::Settling { known, again } => match self.settle_found(&known, again) {
                Ok(()) => {
                    let todo = self.tidy_found();
                    self.recovery = Recovery::Handing { todo, current: None };
                }
                Err(fault) => {
                    self.fail(&fault);
                    self.recovery = Recovery::Settling { known, again: true };
                }
            },
            Recovery::Handing { mut todo, mut current } => {
                if !self.hand_out(&mut todo, &mut current, &mut heads, budget) {
                    self.recovery = Recovery::Handing { todo, current };
                }
            }
        }
        let complaints = self.take_words().into_iter().map(|word| word.text).collect();
        Recovered { heads, complaints, complete: !self.is_recovering() }
    }

    /// Opens a file to read all of it. None with a word when that fails; an error when
    /// descriptors are short and it is worth another try.
    fn start_reading(&mut self, name: FileName) -> Result<Option<(D::File, Scan)>, ()> {
        let text = name.to_string();
        let opened = self.disk.open(Dir::Queue, &text);
        let opened = opened.and_then(|file| self.disk.size(&file).map(|size| (file, size)));
        match opened.map_err(|e| Fault::new("read", Dir::Queue.path(&text), &e)) {
            Ok((file, size)) => {
                let scan = Scan::new(size, name.is_lone(), &mut self.window);
                Ok(Some((file, scan)))
            }
            Err(fault) if fault.is_crowding() => {
                self.handles.clear();
                Err(())
            }
            Err(fault) => {
                self.say(Weight::Error, format!("{fault}; left as it is until the next start"));
                Ok(None)
            }
        }
    }

    /// Reads some of what is to do; whether all is done.
    fn scan(
        &mut self,
        todo: &mut Vec<FileName>,
        current: &mut Option<Reading<D::File>>,
        known: &mut Known,
        budget: usize,
    ) -> bool {
        for _ in 0..budget.max(1) {
            let Some(reading) = current else {
                let Some(name) = todo.pop() else { return true };
                match self.start_reading(name) {
                    Ok(Some((file, scan))) => {
                        let number = self.files.insert(QueueFile {
                            name,
                            total: 0,
                            live: 0,
                            bounces: false,
                            damaged: false,
                            unread: false,
                            length: None,
                            // What was here before us is old.
                            born: Time::ZERO,
                            ripe: None,
                        });
                        if name.generation() > 0 {
                            known.copies.insert(number);
                        }
                        *current = Some(Reading { number, name, file, scan });
                    }
                    Ok(None) => {}
                    Err(()) => {
                        todo.push(name);
                        return false;
                    }
                }
                continue;
            };
            let number = reading.number;
            let found = reading.scan.next(&mut self.disk, &reading.file, &mut self.window);
            let path = Dir::Queue.path(&reading.name.to_string());
            match found {
                Ok(Found::Record(record)) => self.found(number, *record, known),
                Ok(Found::Bad { at, len, why }) => self.found_bad(number, at, len, why),
                Ok(Found::End) => *current = None,
                Err(e) => {
                    let fault = Fault::new("read", path, &e);
                    self.say(Weight::Error, format!("{fault}; the rest of it is not known"));
                    self.files[number].unread = true;
                    *current = None;
                }
            }
        }
        false
    }

    fn found_bad(&mut self, number: u32, at: u64, len: u64, why: Broken) {
        let file = &mut self.files[number];
        file.damaged = true;
        let text = format!("queue/{}: {len} octets at {at} are no message: {}", file.name, why.0);
        self.say(Weight::Error, text);
    }

    /// A record enters the index.
    fn found(&mut self, number: u32, record: Record, known: &mut Known) {
        let Record { at, line, head, verified } = record;
        let id = line.id;
        self.ids.next = self.ids.next.max(id.counter.saturating_add(1));
        let recipients = head.statuses.len() as u32;
        let entry = Entry::new(&line, number, at, recipients, verified);
        let bounce = head.envelope.bounce_of;
        // Before others rely on it, the whole of it must be right.
        let relied_on = bounce.is_some() || known.copies.contains(&number);
        if relied_on && !verified {
            match self.checksum_is_right(id.counter, &entry) {
                Ok(true) => {}
                Ok(false) => {
                    let at = u64::from(at);
                    return self.found_bad(number, at, line.record_len(), Broken("checksum"));
                }
                Err(fault) => {
                    self.files[number].unread = true;
                    return self.say(Weight::Error, fault.to_string());
                }
            }
        }
        self.files[number].total += 1;
        if let Some((of, recipients)) = bounce {
            self.files[number].bounces = true;
            known.bounces.push((of, recipients, number));
        }
        if self.index.get(id.counter).is_some() && !self.unite(number, &line, known) {
            return;
        }
        let first = self.index.get(id.counter).copied();
        let Some(first) = first else {
            let mut entry = entry;
            if relied_on {
                entry.set_verified();
            }
            self.index.insert(id.counter, entry);
            self.files[number].live += 1;
            return self.learn(id, &head.statuses);
        };
        // The record that was there stays; what only this one knows is written to it.
        known.copies.insert(first.file);
        for (recipient, status) in head.statuses.iter().enumerate() {
            let recipient = recipient as u32;
            if status.done() && !self.index.is_done(id.counter, recipient) {
                known.late.push((id, recipient, *status));
                self.index.set_done(id.counter, recipient);
            }
        }
    }

    fn learn(&mut self, id: MessageId, statuses: &[Status]) {
        for (recipient, status) in statuses.iter().enumerate() {
            if status.done() {
                self.index.set_done(id.counter, recipient as u32);
            }
        }
    }

    /// A second record with this counter. When the first is damaged it leaves the index and this
    /// one takes its place. False when this one is not wanted: it is another message.
    fn unite(&mut self, number: u32, line: &Line, known: &mut Known) -> bool {
        let counter = line.id.counter;
        let Some(first) = self.index.get(counter).copied() else { return true };
        let right = first.is_verified() || self.checksum_is_right(counter, &first).unwrap_or(false);
        if !right {
            let name = self.files[first.file].name;
            self.say(Weight::Error, format!("queue/{name}: {} is damaged", line.id));
            self.files[first.file].damaged = true;
            self.files[first.file].live -= 1;
            self.index.remove(counter);
            known.late.retain(|(id, ..)| id.counter != counter);
            return true;
        }
        if let Some(entry) = self.index.get_mut(counter) {
            entry.set_verified();
        }
        let same = self.line_of(&first).is_ok_and(|first| first == *line);
        if !same {
            // Ids are never used twice; somebody has put a file here.
            let (name, other) = (self.files[number].name, self.files[first.file].name);
            let text = format!("{} in queue/{name} is not the one in queue/{other}", line.id);
            self.say(Weight::Error, text);
            self.files[number].damaged = true;
        }
        same
    }

    fn line_of(&mut self, entry: &Entry) -> Result<Line, Fault> {
        let file = opened(&mut self.disk, &self.files, &mut self.handles, entry.file)?;
        let mut line = [0; MAX_LINE];
        let fault = |e: std::io::Error| Fault::new("read", "queue", &e);
        let n = self.disk.read_at(file, &mut line, u64::from(entry.at)).map_err(fault)?;
        Line::parse(&line[..n]).map_err(|why| fault(std::io::Error::other(why.0)))
    }

    /// Makes durable what is relied on, then fails the recipients that bounces name.
    fn settle_found(&mut self, known: &Known, again: bool) -> Result<(), Fault> {
        let mut relied_on = known.copies.clone();
        let open = |spool: &Self, counter: u64| spool.index.get(counter).is_some();
        let bounces = known.bounces.iter().filter(|(of, ..)| open(self, *of));
        relied_on.extend(bounces.map(|(_, _, file)| *file));
        for number in relied_on {
            if again {
                self.write_again(number)?;
            }
            let path = Dir::Queue.path(&self.files[number].name.to_string());
            let file = opened(&mut self.disk, &self.files, &mut self.handles, number)?;
            self.disk.sync_data(file).map_err(|e| Fault::new("flush", path, &e))?;
        }
        self.sync_queue()?;
        for (id, recipient, status) in &known.late {
            self.record(*id, &[(*recipient, *status)]);
        }
        for (of, recipients, _) in &known.bounces {
            let Some(entry) = self.index.get(*of) else { continue };
            let id = MessageId { counter: *of, arrived: entry.arrived };
            let n = entry.recipients();
            // Also those that are marked: the mark may not be durable.
            let failed = recipients.iter().filter(|recipient| **recipient < n);
            let failed: Vec<(u32, Status)> = failed.map(|r| (*r, Status::Failed)).collect();
            self.record(id, &failed);
            failed.iter().for_each(|(recipient, _)| self.index.set_done(*of, *recipient));
        }
        Ok(())
    }

    /// Records outcomes of messages that may be done as a whole.
    fn record(&mut self, id: MessageId, marks: &[(u32, Status)]) {
        if let Err(fault) = self.write_statuses(id, marks) {
            let left = marks.iter().map(|(recipient, status)| (id, *recipient, *status));
            self.leftovers.marks.extend(left);
            self.leave(&fault);
        }
    }

    /// After a failed flush the content is written again: flushing twice would prove nothing.
    fn write_again(&mut self, number: u32) -> Result<(), Fault> {
        let path = Dir::Queue.path(&self.files[number].name.to_string());
        let fault = |e: std::io::Error| Fault::new("rewrite", path.as_str(), &e);
        let file = opened(&mut self.disk, &self.files, &mut self.handles, number)?;
        let (mut piece, mut at) = (vec![0; 256 * 1024], 0);
        loop {
            let n = self.disk.read_at(file, &mut piece, at).map_err(fault)?;
            if n == 0 {
                return Ok(());
            }
            self.disk.write_at(file, &piece[..n], at).map_err(fault)?;
            at += n as u64;
        }
    }

    /// Drops what is done; the files to hand out, newest first.
    fn tidy_found(&mut self) -> Vec<(u32, FileName)> {
        let unwritten: BTreeSet<u64> =
            self.leftovers.marks.iter().map(|(id, ..)| id.counter).collect();
        let done = self.index.iter().filter(|(_, entry)| entry.is_done());
        let done: Vec<u64> = done.map(|(counter, _)| counter).collect();
        for counter in done.into_iter().filter(|counter| !unwritten.contains(counter)) {
            self.forget(counter);
        }
        let numbers: Vec<u32> = self.files.iter().map(|(number, _)| number).collect();
        let mut todo = Vec::new();
        for number in numbers {
            let file = &self.files[number];
            let (name, live, damaged) = (file.name, file.live, file.damaged);
            let (total, straggling) = (file.total, file.is_straggling() && !name.is_lone());
            let unread = self.files[number].unread;
            if total == 0 && !damaged && !unread && !name.is_prepared() {
                self.say(Weight::Info, format!("queue/{name} was empty: removed"));
            }
            if live == 0 && !self.leftovers.files.contains(&number) {
                self.retire(number);
            } else if live > 0 {
                if straggling {
                    self.await_rewrite(number);
                }
                if damaged {
                    let text = format!("queue/{name} is damaged and goes to corrupt/ later");
                    self.say(Weight::Warn, text);
                }
                todo.push((number, name));
            }
        }
        todo.sort_unstable_by_key(|(_, name)| std::cmp::Reverse(name.id.counter));
        todo
    }

    /// Hands out some of what is to do; whether all is done.
    fn hand_out(
        &mut self,
        todo: &mut Vec<(u32, FileName)>,
        current: &mut Option<Reading<D::File>>,
        found: &mut Vec<Head>,
        budget: usize,
    ) -> bool {
        for _ in 0..budget.max(1) {
            let Some(reading) = current else {
                let Some((number, name)) = todo.pop() else { return true };
                // Deleted meanwhile, and the number perhaps given to another file.
                if self.files.get(number).is_none_or(|file| file.name != name) {
                    continue;
                }
                match self.start_reading(name) {
                    Ok(Some((file, scan))) => {
                        *current = Some(Reading { number, name, file, scan });
                    }
                    Ok(None) => {}
                    Err(()) => {
                        todo.push((number, name));
                        return false;
                    }
                }
                continue;
            };
            let number = reading.number;
            match reading.scan.next(&mut self.disk, &reading.file, &mut self.window) {
                Ok(Found::Record(record)) => found.extend(self.recovered(number, *record)),
                Ok(Found::Bad { .. }) => {}
                Ok(Found::End) => *current = None,
                Err(e) => {
                    let path = Dir::Queue.path(&reading.name.to_string());
                    let fault = Fault::new("read", path, &e);
                    let text = format!("{fault}; its messages wait for the next start");
                    self.say(Weight::Error, text);
                    *current = None;
                }
            }
        }
        false
    }

    fn recovered(&self, number: u32, record: Record) -> Option<Head> {
        let Record { at, mut head, .. } = record;
        let entry = self.index.get(head.id.counter)?;
        if (entry.file, entry.at) != (number, at) || entry.is_done() {
            return None;
        }
        for (of, recipient, status) in &self.leftovers.marks {
            if *of == head.id {
                head.statuses[*recipient as usize] = *status;
            }
        }
        Some(head)
    }
}
