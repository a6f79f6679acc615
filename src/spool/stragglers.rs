//! Stragglers: files that are kept for a few messages of many.
//!
//! What is left in files that are over a minute old and over three quarters done, or damaged, is
//! copied into one new file under the same ids; when the copy is durable the old files go.
//! Recovery that finds both unites them by id.

use std::io::IoSlice;
use std::time::Duration;

use super::disk::{Dir, Disk};
use super::error::{Fault, Weight};
use super::format::{Line, crc_of_head};
use super::index::QueueFile;
use super::name::FileName;
use super::scan::{Found, Scan};
use super::store::Spool;
use crate::base::Time;

/// Younger files may still empty by themselves.
const OLD: Duration = Duration::from_secs(61);
/// So many files are taken at once, and so many octets copied: the loop waits meanwhile.
const MOST_FILES: usize = 64;
const MOST_OCTETS: usize = 4 << 20;

/// A record to copy.
struct Survivor {
    counter: u64,
    octets: Vec<u8>,
    from: u32,
}

impl<D: Disk> Spool<D> {
    /// A file is kept for a few messages: it waits for its rewrite.
    pub(super) fn await_rewrite(&mut self, number: u32) {
        self.forget_rewrite(number);
        let file = &mut self.files[number];
        let ripe = if file.damaged { Time::ZERO } else { file.born.after(OLD) };
        file.ripe = Some(ripe);
        self.stragglers.insert((ripe, number));
    }

    /// A file goes by itself, or cannot be rewritten.
    pub(super) fn forget_rewrite(&mut self, number: u32) {
        if let Some(ripe) = self.files[number].ripe.take() {
            self.stragglers.remove(&(ripe, number));
        }
    }

    fn may_rewrite(&self) -> bool {
        !self.is_recovering() && self.trouble.is_none() && self.failure().is_none()
    }

    /// When the next rewrite is due.
    pub(super) fn next_straggler(&self) -> Option<Time> {
        let next = self.stragglers.first().map(|(ripe, _)| *ripe)?;
        self.may_rewrite().then_some(next)
    }

    /// Rewrites some of the files that are kept for a few messages; [`Spool::try_again`] calls it.
    pub(super) fn rewrite_stragglers(&mut self) {
        if !self.may_rewrite() {
            return;
        }
        let ripe = self.stragglers.iter().take_while(|(ripe, _)| *ripe <= self.now);
        let ripe: Vec<u32> = ripe.map(|(_, number)| *number).take(MOST_FILES).collect();
        let (mut survivors, mut sources, mut octets) = (Vec::new(), Vec::new(), 0);
        for number in ripe {
            if octets >= MOST_OCTETS {
                break;
            }
            match self.survivors(number) {
                Ok(found) => {
                    octets += found.iter().map(|survivor| survivor.octets.len()).sum::<usize>();
                    survivors.extend(found);
                    sources.push(number);
                }
                Err(fault) => {
                    // Not worth a second try: it goes when its messages are done.
                    self.forget_rewrite(number);
                    self.say(Weight::Warn, fault.to_string());
                }
            }
        }
        // Damaged records were dropped on the way, and with the last one their file.
        sources.retain(|number| self.files.get(*number).is_some_and(|file| file.ripe.is_some()));
        if survivors.is_empty() {
            return;
        }
        match self.write_copy(&survivors, &sources) {
            Ok(()) => sources.into_iter().for_each(|number| self.retire_source(number)),
            Err(fault) => return self.fail(&fault),
        }
        // Else the old files could come back after a crash when their messages have long left,
        // and bounced messages among them would bounce again.
        if let Err(fault) = self.sync_queue() {
            self.fail(&fault);
        }
    }

    /// The records of a file that are still needed, whole and right.
    fn survivors(&mut self, number: u32) -> Result<Vec<Survivor>, Fault> {
        let name = self.files[number].name;
        let path = Dir::Queue.path(&name.to_string());
        let fault = |e| Fault::new("read", path.as_str(), &e);
        let file = self.disk.open(Dir::Queue, &name.to_string()).map_err(fault)?;
        let size = self.disk.size(&file).map_err(fault)?;
        let mut scan = Scan::new(size, name.is_lone(), &mut self.window);
        let mut found = Vec::new();
        loop {
            match scan.next(&mut self.disk, &file, &mut self.window).map_err(fault)? {
                Found::End => return Ok(found),
                Found::Bad { .. } => {}
                Found::Record(record) => {
                    let counter = record.line.id.counter;
                    let here = self.index.get(counter);
                    if here.is_none_or(|entry| (entry.file, entry.at) != (number, record.at)) {
                        continue;
                    }
                    let mut octets = vec![0; record.line.record_len() as usize];
                    let at = u64::from(record.at);
                    let n = self.disk.read_at(&file, &mut octets, at).map_err(fault)?;
                    if n < octets.len() || !is_right(&octets, &record.line) {
                        self.condemn(record.line.id, "checksum");
                        continue;
                    }
                    found.push(Survivor { counter, octets, from: number });
                }
            }
        }
    }

    /// Commits the copy and lets the index point to it.
    fn write_copy(&mut self, survivors: &[Survivor], sources: &[u32]) -> Result<(), Fault> {
        let generation = sources.iter().map(|number| self.files[*number].name.generation()).max();
        let Some(id) = self.find(survivors[0].counter) else { return Ok(()) };
        let name = FileName::copy(id, generation.unwrap_or(0));
        let mut parts: Vec<IoSlice<'_>> =
            survivors.iter().map(|survivor| IoSlice::new(&survivor.octets)).collect();
        let file = self.write_file(name, &mut parts)?;
        if let Err(fault) = self.sync_queue() {
            drop(file);
            self.discard(Dir::Queue, name.to_string());
            return Err(fault);
        }
        let total = survivors.len() as u32;
        let bounces = sources.iter().any(|number| self.files[*number].bounces);
        let copy = QueueFile {
            name,
            total,
            live: total,
            bounces,
            damaged: false,
            unread: false,
            length: None,
            born: self.now,
            ripe: None,
        };
        let number = self.files.insert(copy);
        self.handles.insert(number, file);
        let mut at = 0;
        for survivor in survivors {
            if let Some(entry) = self.index.get_mut(survivor.counter) {
                entry.set_verified();
                (entry.file, entry.at) = (number, at);
            }
            self.files[survivor.from].live -= 1;
            // Two bounds, on files and on what each may bring, keep it within 32 bits.
            at += survivor.octets.len() as u32;
        }
        Ok(())
    }

    fn retire_source(&mut self, number: u32) {
        if self.files[number].live == 0 {
            self.retire(number);
        }
    }
}

fn is_right(octets: &[u8], line: &Line) -> bool {
    let from = Line::len(line.id) as usize;
    let body = from + line.head as usize;
    let crc =
        crc32c::crc32c_append(crc_of_head(&octets[from..body]), &octets[body..octets.len() - 1]);
    crc == line.crc
}
