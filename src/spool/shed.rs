//! The end of large files: removing a name is quick, giving back the room is not (measured: 11 ms
//! for 50 MiB, and a client that sends too much can make it happen as often as it likes). So the
//! name goes at once, and the room a slice a tick, from the end of the open file.
//!
//! Only for files that were never committed: until a folder is flushed, a crash may bring a
//! removed name back, and a committed message must not come back cut.

use std::collections::VecDeque;

use super::disk::Disk;
use super::store::Spool;

/// Octets given back in one tick: about half a millisecond.
const SLICE: u64 = 2 << 20;
/// So many files wait at most; of more the system gives back the room at once.
const MOST: usize = 64;

/// Files without a name, and how long each still is.
#[derive(Debug)]
pub(super) struct Shedding<F> {
    files: VecDeque<(F, u64)>,
}

impl<F> Default for Shedding<F> {
    fn default() -> Shedding<F> {
        Shedding { files: VecDeque::new() }
    }
}

impl<D: Disk> Spool<D> {
    /// A file that has lost its name, or is about to.
    pub(super) fn shed_later(&mut self, file: D::File, length: u64) {
        if length > SLICE && self.shedding.files.len() < MOST {
            self.shedding.files.push_back((file, length));
        }
    }

    /// Whether room is still to be given back.
    pub fn is_shedding(&self) -> bool {
        !self.shedding.files.is_empty()
    }

    /// Gives back a slice of it.
    pub fn shed(&mut self) {
        let Some((file, length)) = self.shedding.files.front_mut() else { return };
        *length = length.saturating_sub(SLICE);
        // Who cannot shrink it closes it, which gives back all.
        if self.disk.shrink(file, *length).is_err() || *length <= SLICE {
            self.shedding.files.pop_front();
        }
    }

    /// Descriptors are short: those are given back first.
    pub(super) fn shed_all(&mut self) {
        self.shedding.files.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Address, Client, Envelope, Now, Protocol, Recipient};
    use crate::spool::{Dir, Failure, SimDisk};

    fn given_up(length: usize, fail: bool) -> Spool<SimDisk> {
        let mut spool = Spool::open(SimDisk::new()).unwrap();
        let client = Client { ip: None, helo: None, protocol: Protocol::Local, user: None };
        let envelope =
            Envelope::plain(client, None, vec![Recipient::new(Address::parse("a@b").unwrap())]);
        let mut incoming = spool.begin(&envelope, Now::default()).unwrap();
        spool.append(&mut incoming, &vec![b'x'; length]).unwrap();
        assert_eq!(spool.disk().names(Dir::Incoming).len(), 1);
        spool.abort(incoming);
        assert!(spool.disk().names(Dir::Incoming).is_empty());
        if fail {
            let next = spool.disk().operations() + 1;
            spool.disk_mut().fail_at(next, Failure::Error(libc::EIO));
        }
        spool
    }

    fn shed(spool: &mut Spool<SimDisk>) -> usize {
        let mut ticks = 0;
        while spool.is_shedding() {
            spool.shed();
            ticks += 1;
        }
        ticks
    }

    #[test]
    fn a_large_file_goes_in_slices_and_a_small_one_at_once() {
        let mut spool = given_up(9 << 20, false);
        assert_eq!(shed(&mut spool), 4);
        let cuts = spool.disk().log().iter().filter(|line| line.starts_with("shrink")).count();
        assert_eq!(cuts, 4);
        assert_eq!(shed(&mut given_up(1 << 20, false)), 0);
    }

    #[test]
    fn one_that_cannot_be_cut_is_closed() {
        assert_eq!(shed(&mut given_up(9 << 20, true)), 1);
    }

    #[test]
    fn no_more_wait_than_that() {
        let mut spool = given_up(9 << 20, false);
        for _ in 0..2 * MOST {
            let file = spool.disk.create(Dir::Incoming, "x").unwrap();
            spool.disk.unlink(Dir::Incoming, "x").unwrap();
            spool.shed_later(file, 9 << 20);
        }
        assert_eq!(spool.shedding.files.len(), MOST);
        spool.shed_all();
        assert!(!spool.is_shedding());
    }
}
