//! What is written, and what goes again.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Duration;

use super::folder::Folder;
use super::format::{self, BATCH_HEAD, BATCH_TAIL, BatchHead, HEAD, MAX_ENTRIES};
use crate::base::{Now, Printable, Time, Wall, cause};
use crate::journal::Journal;

/// Octets that wait are written at once when they are so many.
const ENOUGH: u64 = 64 << 10;
/// And else after so long.
const SOON: Duration = Duration::from_secs(1);
/// After a fault of the disk it is left alone for so long.
const PAUSE: Duration = Duration::from_secs(60);
/// Files at most, whatever their size and age.
const MAX_SEGMENTS: usize = 512;
/// Of the age and of the size that may be kept each segment is one part of so many.
const PARTS: u32 = 16;
/// After a run that did not end in order the numbers go on so much later: what it began and could
/// not write down any more.
const LEAP: u64 = 1000;

/// How much is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// How long; zero keeps nothing.
    pub age: Duration,
    /// How many octets; zero keeps nothing.
    pub size: u64,
}

impl Bounds {
    fn is_off(&self) -> bool {
        self.age.is_zero() || self.size == 0
    }

    /// Octets of one segment.
    fn segment(&self) -> u64 {
        (self.size / u64::from(PARTS)).clamp(64 << 10, 16 << 20)
    }
}

/// The numbers that the next sessions will have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Numbers {
    /// Of the next inbound one.
    pub inbound: u64,
    /// Of the next outbound one.
    pub outbound: u64,
}

impl Default for Numbers {
    fn default() -> Numbers {
        Numbers { inbound: 1, outbound: 1 }
    }
}

/// How loud a word of the history is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// All is well again.
    Info,
    /// Somebody should look.
    Warn,
}

/// A word about the history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// How loud.
    pub weight: Weight,
    /// What, and why.
    pub text: String,
}

/// A file of the history.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub number: u64,
    /// When it was begun.
    pub created: Wall,
    /// The numbers of sessions that were not begun yet then.
    pub next: Numbers,
    pub size: u64,
}

/// Whether anything is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// By the settings nothing is kept, or there is no place for it.
    Off,
    /// The last segment is open, or the next one will be made when there is something.
    On,
    /// The disk failed; it is tried again then.
    Failed(Time),
}

/// The history of this spool.
pub struct History {
    pub(super) folder: Option<Box<dyn Folder>>,
    bounds: Bounds,
    /// The oldest first.
    pub(super) segments: VecDeque<Segment>,
    /// The last of them is being written to.
    open: bool,
    state: State,
    /// How far the journal's transcript is written.
    position: u64,
    /// Something waits since then.
    waiting: Option<Time>,
    words: Vec<Word>,
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "History({:?}, {} segments)", self.state, self.segments.len())
    }
}

impl History {
    /// A history that keeps nothing: there is no place for it.
    pub fn nowhere() -> History {
        History {
            folder: None,
            bounds: Bounds { age: Duration::ZERO, size: 0 },
            segments: VecDeque::new(),
            open: false,
            state: State::Off,
            position: 0,
            waiting: None,
            words: Vec::new(),
        }
    }

    /// Looks what there is in a folder: only the heads are read, so that a start is quick. Gives
    /// the numbers that the sessions of this run begin with, too.
    pub fn open(folder: Box<dyn Folder>, bounds: Bounds) -> (History, Numbers) {
        let mut history = History { folder: Some(folder), bounds, ..History::nowhere() };
        history.state = if bounds.is_off() { State::Off } else { State::On };
        let numbers = history.look().unwrap_or_else(|e| {
            history.warn(format!("history: cannot be read: {}", cause(&e)));
            Numbers::default()
        });
        if bounds.is_off() {
            history.forget_all();
        }
        (history, numbers)
    }

    fn look(&mut self) -> io::Result<Numbers> {
        let Some(folder) = &mut self.folder else { return Ok(Numbers::default()) };
        let mut found: Vec<(u64, u64)> = folder
            .list()?
            .into_iter()
            .filter_map(|(name, size)| Some((format::number_of(&name)?, size)))
            .collect();
        found.sort_unstable();
        let mut damaged = 0;
        for (number, size) in found {
            let mut octets = [0; HEAD];
            let n = folder.read_at(&format::name(number), &mut octets, 0).unwrap_or(0);
            match format::parse_head(&octets[..n]) {
                Some((created, next)) => {
                    self.segments.push_back(Segment { number, created, next, size });
                }
                None => {
                    // Its number stays taken; it goes as the others do.
                    damaged += 1;
                    let last = self.segments.back();
                    let (created, next) =
                        last.map_or((Wall::default(), Numbers::default()), |l| (l.created, l.next));
                    self.segments.push_back(Segment { number, created, next, size });
                }
            }
        }
        if damaged > 0 {
            self.warn(format!("history: {damaged} segments are damaged and are skipped"));
        }
        Ok(self.resume())
    }

    /// Goes on behind the last batch, if that is whole.
    fn resume(&mut self) -> Numbers {
        let (Some(folder), Some(last)) = (&mut self.folder, self.segments.back()) else {
            return Numbers::default();
        };
        let name = format::name(last.number);
        let Some(batch) = last_batch(folder.as_mut(), &name, last.size) else {
            // Torn: another segment begins when there is something to write.
            return last.next.later(LEAP);
        };
        if last.size < self.bounds.segment() && !self.bounds.is_off() {
            self.open = folder.resume(&name).is_ok();
        }
        if batch.last { batch.next } else { batch.next.later(LEAP) }
    }

    /// Whether past dialogue can be looked for here.
    pub fn is_on(&self) -> bool {
        self.state == State::On
    }

    /// What there is to be said.
    pub fn take_words(&mut self) -> Vec<Word> {
        std::mem::take(&mut self.words)
    }

    fn warn(&mut self, text: String) {
        self.words.push(Word { weight: Weight::Warn, text });
    }

    /// Other bounds from now on.
    pub fn set_bounds(&mut self, bounds: Bounds, journal: &Journal, now: Now) {
        self.bounds = bounds;
        match (self.state, bounds.is_off()) {
            (_, true) => {
                self.state = State::Off;
                self.forget_all();
            }
            (State::Off, false) if self.folder.is_some() => {
                self.state = State::On;
                self.position = journal.written();
            }
            _ => {}
        }
        self.prune(now.wall);
    }

    fn forget_all(&mut self) {
        self.open = false;
        while let Some(segment) = self.segments.pop_front() {
            self.remove(segment.number);
        }
    }

    /// When it wants to be called again, whatever happens.
    pub fn deadline(&self, now: Now) -> Time {
        let write = self.waiting.map_or(Time::NEVER, |since| since.after(SOON));
        let write = match self.state {
            State::On => write,
            State::Failed(until) if self.waiting.is_some() => until,
            _ => Time::NEVER,
        };
        let expiry = self.expiry().map_or(Time::NEVER, |at| now.time.after(at.since(now.wall)));
        write.min(expiry)
    }

    /// When the oldest segment is too old.
    fn expiry(&self) -> Option<Wall> {
        let ended = match (self.segments.front()?, self.segments.get(1)) {
            (_, Some(next)) => next.created,
            // The last one is closed when it is old itself.
            (only, None) => only.created.after(self.bounds.age / PARTS),
        };
        Some(ended.after(self.bounds.age).after(Duration::from_secs(1)))
    }

    /// A tick has ended: what waits is written if it is enough or has waited for long; what is too
    /// old goes.
    pub fn tick(&mut self, journal: &Journal, next: Numbers, now: Now) {
        if self.expiry().is_some_and(|at| at <= now.wall) {
            self.prune(now.wall);
        }
        let pending = journal.written() - self.position;
        if pending == 0 || self.state == State::Off {
            return;
        }
        let since = *self.waiting.get_or_insert(now.time);
        match self.state {
            State::Failed(until) if now.time < until => return,
            State::On if pending < ENOUGH && now.time < since.after(SOON) => return,
            _ => {}
        }
        self.write(journal, next, now, false);
    }

    /// Writes what waits, so that a reader finds all.
    pub fn catch_up(&mut self, journal: &Journal, next: Numbers, now: Now) {
        if self.state == State::On && journal.written() > self.position {
            self.write(journal, next, now, false);
        }
    }

    /// The run ends in order.
    pub fn close(&mut self, journal: &Journal, next: Numbers, now: Now) {
        if self.state == State::On {
            self.write(journal, next, now, true);
        }
    }

    fn write(&mut self, journal: &Journal, next: Numbers, now: Now, last: bool) {
        self.waiting = None;
        let was_failed = matches!(self.state, State::Failed(_));
        match self.try_write(journal, next, now.wall, last) {
            Ok(()) => {
                self.state = State::On;
                if was_failed {
                    let text = "history: kept again".to_owned();
                    self.words.push(Word { weight: Weight::Info, text });
                }
            }
            Err(e) => {
                if !was_failed {
                    let why = Printable::new(cause(&e));
                    self.warn(format!(
                        "history: cannot be written: {why}; past dialogue is not kept until it can"
                    ));
                }
                self.state = State::Failed(now.time.after(PAUSE));
                // What is in the last segment may be torn, and what waited is let go: a disk that
                // is full must not fill the memory.
                self.open = false;
                self.position = journal.written();
            }
        }
    }

    fn try_write(
        &mut self,
        journal: &Journal,
        next: Numbers,
        now: Wall,
        last: bool,
    ) -> io::Result<()> {
        loop {
            let stretch = journal.since(self.position, MAX_ENTRIES);
            let done = stretch.end == journal.written();
            self.roll(next, now)?;
            let length = stretch.pieces.iter().map(|piece| piece.len()).sum::<usize>() as u32;
            let head = BatchHead { length, last: last && done, at: now, next };
            let octets = head.write(stretch.pieces);
            let whole = head.whole() as u32;
            let tail = whole.to_le_bytes();
            debug_assert_eq!(octets.len() + tail.len(), BATCH_HEAD + BATCH_TAIL);
            let [first, second] = stretch.pieces;
            let mut parts = [&octets[..], first, second, &tail].map(IoSlice::new);
            let Some(folder) = &mut self.folder else { return Ok(()) };
            folder.append(&mut parts)?;
            if let Some(segment) = self.segments.back_mut() {
                segment.size += u64::from(whole);
            }
            self.position = stretch.end;
            if done {
                return Ok(());
            }
        }
    }

    /// Begins another segment when the last one is long enough, or old enough.
    fn roll(&mut self, next: Numbers, now: Wall) -> io::Result<()> {
        if let Some(last) = self.segments.back().filter(|_| self.open) {
            let old = now.since(last.created) >= self.bounds.age / PARTS;
            if last.size < self.bounds.segment() && !old {
                return Ok(());
            }
        }
        self.open = false;
        let number = self.segments.back().map_or(1, |last| last.number + 1);
        let Some(folder) = &mut self.folder else { return Ok(()) };
        folder.create(&format::name(number))?;
        self.segments.push_back(Segment { number, created: now, next, size: HEAD as u64 });
        folder.append(&mut [IoSlice::new(&format::head(now, next))])?;
        self.open = true;
        self.prune(now);
        Ok(())
    }

    /// Removes what is too old, and the oldest of what is too much.
    fn prune(&mut self, now: Wall) {
        loop {
            let size: u64 = self.segments.iter().map(|segment| segment.size).sum();
            // Room for what the last segment will grow to.
            let room = self.bounds.size.saturating_sub(self.bounds.segment());
            let old = self.expiry().is_some_and(|at| at <= now);
            let many = self.segments.len() > MAX_SEGMENTS;
            let much = size > room && self.segments.len() > 1;
            if !(old || many || much) {
                return;
            }
            let Some(gone) = self.segments.pop_front() else { return };
            self.open &= !self.segments.is_empty();
            self.remove(gone.number);
        }
    }

    fn remove(&mut self, number: u64) {
        let Some(folder) = &mut self.folder else { return };
        let gone = folder.remove(&format::name(number));
        if let Err(e) = gone {
            if e.kind() != io::ErrorKind::NotFound {
                let text = format!("history: a segment cannot be removed: {}", cause(&e));
                self.warn(text);
            }
        }
    }

    /// Octets on disk, and since when dialogue is kept.
    pub fn kept(&self) -> (u64, Option<Wall>) {
        let size = self.segments.iter().map(|segment| segment.size).sum();
        (size, self.segments.front().map(|segment| segment.created))
    }
}

impl Numbers {
    fn later(self, by: u64) -> Numbers {
        let Numbers { inbound, outbound } = self;
        Numbers { inbound: inbound.saturating_add(by), outbound: outbound.saturating_add(by) }
    }
}

/// The head of the last batch of a segment, if the segment ends with a whole one. One that has no
/// batch yet ends well, too, but says nothing.
fn last_batch(folder: &mut dyn Folder, name: &str, size: u64) -> Option<BatchHead> {
    let mut tail = [0; BATCH_TAIL];
    let at = size.checked_sub((HEAD + BATCH_TAIL) as u64)? + HEAD as u64;
    (folder.read_at(name, &mut tail, at).ok()? == BATCH_TAIL).then_some(())?;
    let whole = u32::from_le_bytes(tail) as usize;
    if whole > BATCH_HEAD + MAX_ENTRIES + BATCH_TAIL {
        return None;
    }
    let mut batch = vec![0; whole];
    let start = size.checked_sub(whole as u64).filter(|start| *start >= HEAD as u64)?;
    (folder.read_at(name, &mut batch, start).ok()? == whole).then_some(())?;
    let head = BatchHead::parse(&batch)?;
    (head.whole() == whole && head.fits(&batch)).then_some(head)
}
