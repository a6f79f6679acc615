//! The past: the history's share of a tick, and one way to read what was said, on disk or, when
//! nothing is kept there, in memory.

use std::path::Path;

use super::Reactor;
use super::core::Core;
use super::net::Net;
use crate::base::{Now, SessionId, Time, Wall};
use crate::config::InsightSettings;
use crate::history::{Bounds, History, Numbers, RealFolder, Scan, Step, Weight};
use crate::journal::{Entry, Level, entries};
use crate::spool::Disk;

/// Octets of entries that one slice looks at: well under a millisecond.
const SLICE: usize = 128 << 10;

/// From where on to read.
#[derive(Clone, Copy, Debug)]
pub enum Since<'a> {
    /// All that is kept.
    All,
    /// What happened from then on, and some of what was before.
    At(Wall),
    /// The first of these sessions.
    Sessions(&'a [SessionId]),
}

/// A place in the past.
#[derive(Debug)]
pub enum Past {
    /// In the history.
    Disk(Scan),
    /// In the journal's memory.
    Memory {
        /// Where the next entry is.
        at: u64,
        /// Where reading ends, so that it does end.
        until: u64,
    },
}

/// The bounds that the settings give.
pub fn bounds(settings: InsightSettings) -> Bounds {
    Bounds { age: settings.age, size: settings.size }
}

impl<D: Disk> Core<D> {
    /// Keeps the past in a folder beside the spool. Gives the numbers of the first sessions.
    pub fn keep_past(&mut self, spool: &Path) -> Numbers {
        let folder = RealFolder::new(&spool.join("history"));
        let (history, numbers) = History::open(Box::new(folder), bounds(self.config.insight));
        self.history = history;
        numbers
    }

    /// The history's share of a tick.
    pub(super) fn write_past(&mut self, next: Numbers, now: Now) {
        self.history.tick(&self.journal, next, now);
        for word in self.history.take_words() {
            let level = match word.weight {
                Weight::Info => Level::Info,
                Weight::Warn => Level::Warn,
            };
            self.say(now, level, &word.text);
        }
    }

    /// When the history wants a tick, whatever happens.
    pub(super) fn past_deadline(&self, now: Now) -> Time {
        self.history.deadline(now)
    }

    /// Hands some entries to `take`; false when those were the last.
    pub(super) fn look(&mut self, past: &mut Past, mut take: impl FnMut(Entry<'_>)) -> bool {
        let mut octets = 0;
        while octets < SLICE {
            match past {
                Past::Disk(scan) => match self.history.step(scan) {
                    Step::Over => return false,
                    Step::Entries(batch) => {
                        octets += batch.len().max(1);
                        entries(batch).for_each(&mut take);
                    }
                },
                Past::Memory { at, until } if *at < *until => {
                    let stretch = self.journal.since(*at, SLICE);
                    for piece in stretch.pieces {
                        octets += piece.len();
                        entries(piece).for_each(&mut take);
                    }
                    *at = stretch.end;
                }
                Past::Memory { .. } => return false,
            }
        }
        true
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// The numbers of the next sessions.
    pub(super) fn numbers(&self) -> Numbers {
        Numbers { inbound: self.sessions_in + 1, outbound: self.sessions_out + 1 }
    }

    /// Sessions begin with these numbers.
    pub(super) fn begin_numbers(&mut self, next: Numbers) {
        self.sessions_in = next.inbound.saturating_sub(1);
        self.sessions_out = next.outbound.saturating_sub(1);
    }

    /// Begins to read the past up to this moment.
    pub(super) fn look_back(&mut self, since: Since<'_>) -> Past {
        let (numbers, now) = (self.numbers(), self.now);
        let core = &mut self.core;
        core.history.catch_up(&core.journal, numbers, now);
        if !core.history.is_on() {
            return Past::Memory { at: 0, until: core.journal.written() };
        }
        Past::Disk(match since {
            Since::All => core.history.scan(),
            Since::At(at) => core.history.scan_since(at),
            Since::Sessions(ids) => core.history.scan_for(ids),
        })
    }
}
