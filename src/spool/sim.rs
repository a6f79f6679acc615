//! The simulated disk: it knows what is durable and what is not, and can forget the difference.
//!
//! The model is meaner than any file system that we know, within what POSIX allows:
//!
//! - Content is a row of sectors of 512 octets. A sector is written whole or not; of the sectors
//!   written since the last `sync_data` any subset survives a power cut, each in any of the
//!   versions it had meanwhile. The length is one more such thing: any length that the file had.
//! - A name made or removed since the last `sync_dir` of its folder may or may not survive,
//!   each by itself, whatever the order. A rename is one change, but even after the flush of the
//!   new folder the old name may still be there.
//! - A flush that fails loses what it should have made durable: the content can still be read,
//!   later flushes say OK, and after a power cut it is gone. That is what Linux does.
//!
//! Operations are counted. From operation [`SimDisk::cut_at`] on everything fails, as if the
//! power were gone; [`SimDisk::power_cut`] or [`SimDisk::kill`] then give the disk that the next
//! process finds. Single operations can be made to fail by [`SimDisk::fail_at`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};

use super::disk::{Dir, Disk};

const SECTOR: usize = 512;

/// How an operation is made to fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// It fails with this number and changes nothing, except that half of an append is written
    /// and that a flush loses what it should have kept.
    Error(i32),
    /// An append fails with this number before its first octet.
    Nothing(i32),
}

/// The content of one file.
#[derive(Clone, Default, Debug)]
struct Content {
    /// As it is read.
    live: Vec<u8>,
    /// As it is on the platter.
    durable: Vec<u8>,
    /// What each sector was since the last flush, oldest first.
    versions: BTreeMap<usize, Vec<Vec<u8>>>,
    /// What the length was since the last flush.
    lengths: Vec<usize>,
}

impl Content {
    fn write(&mut self, octets: &[u8], at: usize) {
        if octets.is_empty() {
            return;
        }
        let end = at + octets.len();
        if end > self.live.len() {
            self.live.resize(end, 0);
            self.lengths.push(end);
        }
        self.live[at..end].copy_from_slice(octets);
        for sector in at / SECTOR..end.div_ceil(SECTOR) {
            let from = sector * SECTOR;
            let version = self.live[from..self.live.len().min(from + SECTOR)].to_vec();
            self.versions.entry(sector).or_default().push(version);
        }
    }

    fn forget_changes(&mut self) {
        self.versions.clear();
        self.lengths.clear();
    }

    fn sync(&mut self) {
        let length = self.lengths.last().copied().unwrap_or(self.durable.len());
        for (sector, versions) in std::mem::take(&mut self.versions) {
            if let Some(version) = versions.last() {
                put_sector(&mut self.durable, sector, version);
            }
        }
        self.durable.resize(length.max(self.durable.len()), 0);
        self.forget_changes();
    }

    /// What a power cut leaves.
    fn cut(&mut self, rng: &mut fastrand::Rng, survive: f64) {
        let mut length = self.durable.len();
        if rng.f64() < survive {
            length = rng.choice(&self.lengths).copied().unwrap_or(length);
        }
        for (sector, versions) in std::mem::take(&mut self.versions) {
            if rng.f64() < survive {
                // Mostly the last one: that is the interesting case.
                let last = versions.len() - 1;
                let which = if rng.u8(..4) == 0 { rng.usize(..=last) } else { last };
                put_sector(&mut self.durable, sector, &versions[which]);
            }
        }
        self.durable.resize(length, 0);
        self.live = self.durable.clone();
        self.forget_changes();
    }

    /// What a power cut leaves, by somebody's choice.
    fn cut_by(&mut self, choose: &mut dyn FnMut(usize) -> usize) {
        let mut length = self.durable.len();
        if !self.lengths.is_empty() {
            let which = choose(1 + self.lengths.len());
            length = which.checked_sub(1).map_or(length, |n| self.lengths[n]);
        }
        for (sector, versions) in std::mem::take(&mut self.versions) {
            // What lies behind the end cannot be told apart.
            let which = if sector * SECTOR < length { choose(1 + versions.len()) } else { 0 };
            if let Some(n) = which.checked_sub(1) {
                put_sector(&mut self.durable, sector, &versions[n]);
            }
        }
        self.durable.resize(length, 0);
        self.live = self.durable.clone();
        self.forget_changes();
    }
}

fn put_sector(content: &mut Vec<u8>, sector: usize, version: &[u8]) {
    let from = sector * SECTOR;
    if content.len() < from + version.len() {
        content.resize(from + version.len(), 0);
    }
    content[from..from + version.len()].copy_from_slice(version);
}

/// A name: its folder and itself.
type Name = (Dir, String);

/// A change of names that is not durable yet.
#[derive(Clone, Debug)]
enum Change {
    Add(Name, usize),
    Remove(Name),
    Rename(Name, Name),
}

impl Change {
    fn touches(&self, dir: Dir) -> bool {
        match self {
            Change::Add(name, _) | Change::Remove(name) => name.0 == dir,
            Change::Rename(_, to) => to.0 == dir,
        }
    }
}

/// A spool on a disk that exists only here.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    contents: Vec<Content>,
    live: BTreeMap<Name, usize>,
    durable: BTreeMap<Name, usize>,
    changes: Vec<Change>,
    counter: Option<u64>,
    operations: u64,
    failures: BTreeMap<u64, Failure>,
    log: Vec<String>,
    /// From this operation on the power is gone.
    pub cut_at: Option<u64>,
    /// Octets that fit in all files together; an append beyond fails with ENOSPC.
    pub capacity: Option<usize>,
    /// A control for tests: `sync_data` says OK and does nothing.
    pub ignore_sync_data: bool,
    /// A control for tests: `sync_dir` says OK and does nothing.
    pub ignore_sync_dir: bool,
    /// These operations fail with this number whenever they are tried: `("sync_data", EIO)`.
    pub broken: Option<(&'static str, i32)>,
}

/// A file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimFile(usize);

fn gone() -> io::Error {
    io::Error::other("the power is gone")
}

fn error<T>(errno: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(errno))
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// What the operations since the last start were, in words.
    pub fn log(&self) -> &[String] {
        &self.log
    }

    /// Lets one operation, by its number, fail.
    pub fn fail_at(&mut self, operation: u64, failure: Failure) {
        self.failures.insert(operation, failure);
    }

    /// The disk after a power cut. The seed decides what was not durable and survives: nothing,
    /// all, or a part of it.
    pub fn power_cut(mut self, seed: u64) -> SimDisk {
        let mut rng = fastrand::Rng::with_seed(seed);
        let survive = [0.0, 1.0, 0.5, 0.1, 0.9][seed as usize % 5];
        for change in std::mem::take(&mut self.changes) {
            if rng.f64() < survive {
                apply(&mut self.durable, &change);
            }
        }
        self.live = self.durable.clone();
        for content in &mut self.contents {
            content.cut(&mut rng, survive);
        }
        self.kill()
    }

    /// The disk after a power cut in which each thing that was not durable is decided by `choose`:
    /// it is given the number of possibilities and says which, 0 for the one that loses. Called
    /// with all answers there are, it shows everything that a power cut may leave.
    pub fn power_cut_by(mut self, choose: &mut dyn FnMut(usize) -> usize) -> SimDisk {
        for change in std::mem::take(&mut self.changes) {
            if choose(2) > 0 {
                apply(&mut self.durable, &change);
            }
        }
        self.live = self.durable.clone();
        for content in &mut self.contents {
            content.cut_by(choose);
        }
        self.kill()
    }

    /// The disk after the end of the process: all is there, but no more durable than before.
    pub fn kill(mut self) -> SimDisk {
        self.operations = 0;
        self.failures.clear();
        self.log.clear();
        self.cut_at = None;
        self.broken = None;
        self
    }

    /// What can be read under a name.
    pub fn content(&self, dir: Dir, name: &str) -> Option<&[u8]> {
        let id = self.live.get(&(dir, name.to_owned()))?;
        Some(&self.contents[*id].live)
    }

    /// The names in a folder, in order.
    pub fn names(&self, dir: Dir) -> Vec<&str> {
        self.live.keys().filter(|name| name.0 == dir).map(|name| name.1.as_str()).collect()
    }

    /// Puts a file there, durable at once: how tests make spools that no process would leave.
    pub fn put(&mut self, dir: Dir, name: &str, octets: &[u8]) {
        let content =
            Content { live: octets.to_vec(), durable: octets.to_vec(), ..Content::default() };
        self.contents.push(content);
        let id = self.contents.len() - 1;
        self.live.insert((dir, name.to_owned()), id);
        self.durable.insert((dir, name.to_owned()), id);
    }

    /// Counts an operation; says how it is to fail.
    fn operation(&mut self, what: &'static str, on: &str) -> io::Result<Option<Failure>> {
        self.operations += 1;
        if self.cut_at.is_some_and(|at| self.operations >= at) {
            return Err(gone());
        }
        self.log.push(format!("{what} {on}"));
        match self.broken {
            Some((broken, errno)) if broken == what => Ok(Some(Failure::Error(errno))),
            _ => Ok(self.failures.remove(&self.operations)),
        }
    }

    /// An operation that changes nothing when it fails.
    fn simple(&mut self, what: &'static str, on: &str) -> io::Result<()> {
        match self.operation(what, on)? {
            None => Ok(()),
            Some(Failure::Error(errno) | Failure::Nothing(errno)) => error(errno),
        }
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.live, &change);
        self.changes.push(change);
    }

    fn room(&self, octets: usize) -> usize {
        let Some(capacity) = self.capacity else { return octets };
        let used: BTreeSet<usize> = self.live.values().copied().collect();
        let used: usize = used.iter().map(|id| self.contents[*id].live.len()).sum();
        octets.min(capacity.saturating_sub(used))
    }

    fn write(
        &mut self,
        what: &'static str,
        file: &SimFile,
        parts: &[IoSlice<'_>],
        at: usize,
    ) -> io::Result<()> {
        let octets: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let failure = self.operation(what, &format!("#{} {}", file.0, octets.len()))?;
        let inside = octets.len().min(self.contents[file.0].live.len() - at);
        let (fits, errno) = match failure {
            None => (inside + self.room(octets.len() - inside), libc::ENOSPC),
            Some(Failure::Error(errno)) => (octets.len() / 2, errno),
            Some(Failure::Nothing(errno)) => (0, errno),
        };
        self.contents[file.0].write(&octets[..fits], at);
        if failure.is_some() || fits < octets.len() { error(errno) } else { Ok(()) }
    }

    fn find(&self, dir: Dir, name: &str) -> io::Result<usize> {
        let found = self.live.get(&(dir, name.to_owned()));
        found.copied().ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }
}

fn apply(names: &mut BTreeMap<Name, usize>, change: &Change) {
    match change {
        Change::Add(name, id) => drop(names.insert(name.clone(), *id)),
        Change::Remove(name) => drop(names.remove(name)),
        Change::Rename(from, to) => {
            if let Some(id) = names.remove(from) {
                names.insert(to.clone(), id);
            }
        }
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn create(&mut self, dir: Dir, name: &str) -> io::Result<SimFile> {
        self.simple("create", &dir.path(name))?;
        if self.find(dir, name).is_ok() {
            return error(libc::EEXIST);
        }
        self.contents.push(Content::default());
        let id = self.contents.len() - 1;
        self.change(Change::Add((dir, name.to_owned()), id));
        Ok(SimFile(id))
    }

    fn open(&mut self, dir: Dir, name: &str) -> io::Result<SimFile> {
        self.simple("open", &dir.path(name))?;
        self.find(dir, name).map(SimFile)
    }

    fn append(&mut self, file: &mut SimFile, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let at = self.contents[file.0].live.len();
        self.write("append", file, parts, at)
    }

    fn overwrite(&mut self, file: &mut SimFile, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.write("overwrite", file, parts, 0)
    }

    fn write_at(&mut self, file: &SimFile, octets: &[u8], at: u64) -> io::Result<()> {
        self.simple("write_at", &format!("#{} {}@{at}", file.0, octets.len()))?;
        self.contents[file.0].write(octets, at as usize);
        Ok(())
    }

    fn read_at(&mut self, file: &SimFile, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.simple("read_at", &format!("#{} {}@{at}", file.0, into.len()))?;
        let live = &self.contents[file.0].live;
        let from = live.len().min(at as usize);
        let n = into.len().min(live.len() - from);
        into[..n].copy_from_slice(&live[from..from + n]);
        Ok(n)
    }

    fn size(&mut self, file: &SimFile) -> io::Result<u64> {
        self.simple("size", &format!("#{}", file.0))?;
        Ok(self.contents[file.0].live.len() as u64)
    }

    fn write_out(&mut self, _file: &mut SimFile, _length: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync_data(&mut self, file: &SimFile) -> io::Result<()> {
        let failure = self.operation("sync_data", &format!("#{}", file.0))?;
        let content = &mut self.contents[file.0];
        match failure {
            Some(Failure::Error(errno) | Failure::Nothing(errno)) => {
                // The next flush has nothing to do and says OK. The length is metadata and may
                // become durable all the same.
                content.versions.clear();
                return error(errno);
            }
            None if self.ignore_sync_data => {}
            None => content.sync(),
        }
        Ok(())
    }

    fn sync_dir(&mut self, dir: Dir) -> io::Result<()> {
        let failure = self.operation("sync_dir", &dir.path(""))?;
        if failure.is_none() && self.ignore_sync_dir {
            return Ok(());
        }
        let (mut durable, mut later) = (Vec::new(), Vec::new());
        for change in std::mem::take(&mut self.changes) {
            if change.touches(dir) { &mut durable } else { &mut later }.push(change);
        }
        self.changes = later;
        if let Some(Failure::Error(errno) | Failure::Nothing(errno)) = failure {
            return error(errno);
        }
        for change in durable {
            match change {
                Change::Rename(from, to) if from.0 != dir => {
                    // The file has its new name; the old one goes when it goes.
                    let id = self.live.get(&to).or(self.durable.get(&from)).copied();
                    if let Some(id) = id {
                        self.durable.insert(to, id);
                    }
                    self.changes.push(Change::Remove(from));
                }
                change => apply(&mut self.durable, &change),
            }
        }
        Ok(())
    }

    fn rename(&mut self, from: (Dir, &str), to: (Dir, &str)) -> io::Result<()> {
        self.simple("rename", &format!("{} {}", from.0.path(from.1), to.0.path(to.1)))?;
        self.find(from.0, from.1)?;
        self.change(Change::Rename((from.0, from.1.to_owned()), (to.0, to.1.to_owned())));
        Ok(())
    }

    fn unlink(&mut self, dir: Dir, name: &str) -> io::Result<()> {
        self.simple("unlink", &dir.path(name))?;
        self.find(dir, name)?;
        self.change(Change::Remove((dir, name.to_owned())));
        Ok(())
    }

    fn shrink(&mut self, file: &mut SimFile, length: u64) -> io::Result<()> {
        self.simple("shrink", &format!("#{} {length}", file.0))?;
        assert!(!self.live.values().any(|id| *id == file.0), "a file with a name is cut");
        self.contents[file.0].live.truncate(length as usize);
        Ok(())
    }

    fn list(&mut self, dir: Dir) -> io::Result<Vec<String>> {
        self.simple("list", &dir.path(""))?;
        Ok(self.names(dir).into_iter().map(str::to_owned).collect())
    }

    fn exists(&mut self, dir: Dir, name: &str) -> io::Result<bool> {
        self.simple("exists", &dir.path(name))?;
        Ok(self.find(dir, name).is_ok())
    }

    fn counter(&mut self) -> io::Result<Option<u64>> {
        self.simple("counter", "")?;
        Ok(self.counter)
    }

    fn set_counter(&mut self, next: u64) -> io::Result<()> {
        // One sector, flushed: only its failure is undecided, and then it is worth nothing.
        self.simple("set_counter", "")?;
        self.counter = Some(next);
        Ok(())
    }
}
