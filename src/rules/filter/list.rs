//! The list of filters, with what each has done.

use std::fmt;

use super::limit::{Buckets, Owner};
use super::{Action, Filter, MAX_FILTERS};
use crate::base::Time;
use crate::rules::expr::Fields;

/// Where a filter was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// In the file, in this line; 0 when it was saved there and not read again yet.
    File(u32),
    /// On the command line.
    Given,
    /// Added while the server runs.
    Added,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(0) => f.write_str("saved in the file"),
            Origin::File(line) => write!(f, "line {line}"),
            Origin::Given => f.write_str("command line"),
            Origin::Added => f.write_str("added while running"),
        }
    }
}

/// A filter in its list.
#[derive(Debug)]
pub(super) struct Entry {
    pub filter: Filter,
    pub origin: Origin,
    pub hits: u64,
    pub buckets: Buckets,
    /// No two filters ever have the same.
    pub serial: u64,
}

/// All filters, in their order.
#[derive(Default, Debug)]
pub struct Filters {
    pub(super) list: Vec<Entry>,
    serials: u64,
}

impl Filters {
    /// Takes these from now on. One that was there before, and is the same, keeps its hits and
    /// what it knows of rates. What is beyond [`MAX_FILTERS`] is left out.
    pub fn replace(&mut self, filters: impl IntoIterator<Item = (Filter, Origin)>) {
        let mut before = std::mem::take(&mut self.list);
        for (filter, origin) in filters.into_iter().take(MAX_FILTERS) {
            let entry = match before.iter().position(|entry| entry.filter == filter) {
                Some(at) => Entry { origin, ..before.swap_remove(at) },
                None => {
                    self.serials += 1;
                    let (buckets, serial) = (Buckets::default(), self.serials);
                    Entry { filter, origin, hits: 0, buckets, serial }
                }
            };
            self.list.push(entry);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Each with its origin and how often it has decided, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Filter, Origin, u64)> {
        self.list.iter().map(|entry| (&entry.filter, entry.origin, entry.hits))
    }

    /// The filter at this place.
    pub fn get(&self, at: usize) -> Option<&Filter> {
        self.list.get(at).map(|entry| &entry.filter)
    }

    /// The filter at this place has decided something.
    pub fn hit(&mut self, at: usize) {
        if let Some(entry) = self.list.get_mut(at) {
            entry.hits += 1;
        }
    }

    /// Whether the filter at this place is a limit that such mail is beyond now.
    pub fn is_spent(&self, at: usize, fields: &Fields<'_>, now: Time) -> bool {
        let Some(entry) = self.list.get(at) else { return false };
        let Action::Limit(rate, per, _) = &entry.filter.action else { return false };
        let owner = Owner::of(*per, fields);
        owner.is_some_and(|owner| !entry.buckets.has(&owner, *rate, now))
    }
}
