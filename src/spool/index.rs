//! The index: where each message is and which of its recipients are done. Envelopes are not kept
//! in memory: they are read back from the file.
//!
//! An entry has 32 octets and its key 8; with the slack of the table that is about 60 a message.

use std::collections::HashMap;
use std::ops::{Index as At, IndexMut};

use slab::Slab;

use super::format::Line;
use super::name::FileName;
use crate::base::{MessageId, Time};

/// Where one message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Octets of content.
    pub body: u64,
    /// The file, by its place in the table of files.
    pub file: u32,
    /// Where in the file its record begins.
    pub at: u32,
    /// Octets of the envelope.
    pub head: u32,
    /// The rest of its id.
    pub arrived: u32,
    /// With up to 32 recipients one bit for each that is done, else how many are done.
    done: u32,
    /// Recipients; the highest bit says that the checksum is known to be right.
    recipients: u32,
}

const VERIFIED: u32 = 1 << 31;

impl Entry {
    /// An entry of which no recipient is done.
    pub fn new(line: &Line, file: u32, at: u32, recipients: u32, verified: bool) -> Entry {
        Entry {
            body: line.body,
            file,
            at,
            head: line.head,
            arrived: line.id.arrived,
            done: 0,
            recipients: recipients & !VERIFIED | if verified { VERIFIED } else { 0 },
        }
    }

    /// How many recipients there are.
    pub fn recipients(&self) -> u32 {
        self.recipients & !VERIFIED
    }

    /// Whether the checksum is known to be right.
    pub fn is_verified(&self) -> bool {
        self.recipients & VERIFIED != 0
    }

    /// The checksum is right.
    pub fn set_verified(&mut self) {
        self.recipients |= VERIFIED;
    }

    /// Where in the file the envelope begins.
    pub fn head_at(&self, counter: u64) -> u64 {
        u64::from(self.at) + Line::len(MessageId { counter, arrived: self.arrived })
    }

    /// Where in the file the content begins.
    pub fn body_at(&self, counter: u64) -> u64 {
        self.head_at(counter) + u64::from(self.head)
    }

    /// Nothing is left to do for it.
    pub fn is_done(&self) -> bool {
        let n = self.recipients();
        if n <= 32 { self.done.count_ones() == n } else { self.done == n }
    }
}

/// All messages, by counter.
#[derive(Default, Debug)]
pub struct Index {
    entries: HashMap<u64, Entry>,
    /// Who is done, for messages with more than 32 recipients.
    wide: HashMap<u64, Vec<u64>>,
}

impl Index {
    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// A message.
    pub fn get(&self, counter: u64) -> Option<&Entry> {
        self.entries.get(&counter)
    }

    /// A message, to change where it is.
    pub fn get_mut(&mut self, counter: u64) -> Option<&mut Entry> {
        self.entries.get_mut(&counter)
    }

    /// A new message.
    pub fn insert(&mut self, counter: u64, entry: Entry) {
        if entry.recipients() > 32 {
            let words = entry.recipients().div_ceil(64) as usize;
            self.wide.insert(counter, vec![0; words]);
        }
        self.entries.insert(counter, entry);
    }

    /// Forgets a message.
    pub fn remove(&mut self, counter: u64) -> Option<Entry> {
        self.wide.remove(&counter);
        self.entries.remove(&counter)
    }

    /// All messages, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().map(|(counter, entry)| (*counter, entry))
    }

    /// Whether nothing is left to do for a recipient.
    pub fn is_done(&self, counter: u64, recipient: u32) -> bool {
        let Some(entry) = self.entries.get(&counter) else { return false };
        match self.wide.get(&counter) {
            None => recipient < 32 && entry.done & 1 << recipient != 0,
            Some(words) => {
                let word = words.get(recipient as usize / 64).copied().unwrap_or(0);
                word & 1 << (recipient % 64) != 0
            }
        }
    }

    /// A recipient is done.
    pub fn set_done(&mut self, counter: u64, recipient: u32) {
        if self.is_done(counter, recipient) {
            return;
        }
        let Some(entry) = self.entries.get_mut(&counter) else { return };
        if recipient >= entry.recipients() {
            return;
        }
        match self.wide.get_mut(&counter) {
            None => entry.done |= 1 << recipient,
            Some(words) => {
                words[recipient as usize / 64] |= 1 << (recipient % 64);
                entry.done += 1;
            }
        }
    }
}

/// A file in `queue/`.
#[derive(Clone, Debug)]
pub struct QueueFile {
    /// Its name.
    pub name: FileName,
    /// Records in it.
    pub total: u32,
    /// Records of which something is left to do.
    pub live: u32,
    /// A bounce is in it: before it goes, what it speaks of must be durably failed.
    pub bounces: bool,
    /// Something in it could not be read: it goes to `corrupt/`.
    pub damaged: bool,
    /// The disk failed while it was read: what it holds is not known, and it stays for the next
    /// start.
    pub unread: bool,
    /// Its length, when it is a batch of this process and so may be used again.
    pub length: Option<u32>,
    /// When it was committed or found.
    pub born: Time,
    /// When its rewrite is due, once it waits for that.
    pub ripe: Option<Time>,
}

impl QueueFile {
    /// Three quarters are done, but not all.
    pub fn is_straggling(&self) -> bool {
        let stays = self.unread;
        self.live > 0
            && !stays
            && (self.damaged || u64::from(self.live) * 4 < u64::from(self.total))
    }
}

/// All files in `queue/` that we know, by number.
#[derive(Default, Debug)]
pub struct Files {
    files: Slab<QueueFile>,
}

impl Files {
    /// A new file; its number.
    pub fn insert(&mut self, file: QueueFile) -> u32 {
        // As many as inodes: 32 bits of them are far beyond any spool.
        self.files.insert(file) as u32
    }

    /// Forgets a file.
    pub fn remove(&mut self, number: u32) -> QueueFile {
        self.files.remove(number as usize)
    }

    /// A file, if that number is in use.
    pub fn get(&self, number: u32) -> Option<&QueueFile> {
        self.files.get(number as usize)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &QueueFile)> {
        self.files.iter().map(|(number, file)| (number as u32, file))
    }
}

impl At<u32> for Files {
    type Output = QueueFile;

    fn index(&self, number: u32) -> &QueueFile {
        &self.files[number as usize]
    }
}

impl IndexMut<u32> for Files {
    fn index_mut(&mut self, number: u32) -> &mut QueueFile {
        &mut self.files[number as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(recipients: u32) -> Entry {
        let id = MessageId { counter: 1, arrived: 2 };
        Entry::new(&Line { id, head: 3, body: 4, crc: 5 }, 6, 7, recipients, false)
    }

    #[test]
    fn entries_are_small() {
        assert_eq!(size_of::<Entry>(), 32);
    }

    #[test]
    fn done_is_counted_once_for_any_number_of_recipients() {
        for n in [1, 2, 31, 32, 33, 64, 65, 1000] {
            let mut index = Index::default();
            index.insert(1, entry(n));
            for recipient in (0..n).rev() {
                assert!(!index.get(1).unwrap().is_done(), "{n}");
                assert!(!index.is_done(1, recipient));
                index.set_done(1, recipient);
                index.set_done(1, recipient);
                index.set_done(1, n);
                assert!(index.is_done(1, recipient));
            }
            assert!(index.get(1).unwrap().is_done(), "{n}");
            index.get_mut(1).unwrap().set_verified();
            assert_eq!(index.get(1).unwrap().recipients(), n);
            index.remove(1);
            assert!(index.wide.is_empty());
        }
    }
}
