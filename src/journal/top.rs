//! The most frequent of unboundedly many, in bounded memory: space-saving counters.
//!
//! Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data
//! streams" (2005): the table holds [`SLOTS`] keys; a new key takes the place of the least
//! frequent one and inherits its count, which is then its possible error. Whatever occurs in more
//! than one of `SLOTS` cases is surely in the table.

use std::hash::{BuildHasher, RandomState};

/// Keys in one table.
pub const SLOTS: usize = 128;
/// Octets kept of one key.
const MAX_KEY: usize = 256;

/// What is added up beside the count; what each means depends on the table.
pub type Extra = [u64; 4];

/// One key and what was counted for it.
#[derive(Clone, Debug)]
pub struct Entry {
    key: Vec<u8>,
    /// How often, at most.
    pub count: u64,
    /// By how much the count may be too high.
    pub error: u64,
    /// Sums since the key last came into the table.
    pub extra: Extra,
}

impl Entry {
    /// The octets of the key, cut after 256.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}

/// A table of the most frequent keys.
#[derive(Clone, Default, Debug)]
pub struct Top {
    /// Hashes apart from the entries: a search is one pass over a kilobyte.
    hashes: Vec<u64>,
    entries: Vec<Entry>,
    /// Keyed by the process, so that no peer can make keys that collide.
    state: RandomState,
}

impl Top {
    /// Counts a key `times`, and adds to its sums.
    pub fn add(&mut self, key: &[u8], times: u64, extra: Extra) {
        let key = &key[..key.len().min(MAX_KEY)];
        let hash = self.state.hash_one(key);
        let found = self.hashes.iter().position(|h| *h == hash);
        let slot = match found.filter(|i| self.entries[*i].key == key) {
            Some(slot) => slot,
            None => self.take_slot(hash, key),
        };
        let entry = &mut self.entries[slot];
        entry.count += times;
        for (sum, more) in entry.extra.iter_mut().zip(extra) {
            *sum += more;
        }
    }

    /// A slot for a new key: a free one, or that of the least frequent.
    fn take_slot(&mut self, hash: u64, key: &[u8]) -> usize {
        if self.entries.len() < SLOTS {
            self.hashes.push(hash);
            self.entries.push(Entry { key: key.to_vec(), count: 0, error: 0, extra: [0; 4] });
            return self.entries.len() - 1;
        }
        let counts = self.entries.iter().map(|e| e.count).enumerate();
        let (slot, least) = counts.min_by_key(|(_, count)| *count).unwrap_or((0, 0));
        let entry = &mut self.entries[slot];
        entry.key.clear();
        entry.key.extend_from_slice(key);
        (entry.error, entry.extra) = (least, [0; 4]);
        self.hashes[slot] = hash;
        slot
    }

    /// Adds what another table counted.
    pub fn merge(&mut self, other: &Top) {
        for entry in &other.entries {
            self.add(&entry.key, entry.count, entry.extra);
            if let Some(own) = self.entries.iter_mut().find(|own| own.key == entry.key) {
                own.error += entry.error;
            }
        }
    }

    /// The most frequent keys, the first of all first.
    pub fn most(&self, limit: usize) -> Vec<&Entry> {
        let mut all: Vec<&Entry> = self.entries.iter().collect();
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        all.truncate(limit);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_while_there_is_room() {
        let mut top = Top::default();
        for i in 0..SLOTS {
            for _ in 0..=i {
                top.add(format!("k{i}").as_bytes(), 1, [2, 0, 0, 0]);
            }
        }
        let most = top.most(2);
        assert_eq!((most[0].key(), most[0].count, most[0].error), (&b"k127"[..], 128, 0));
        assert_eq!((most[1].key(), most[1].extra), (&b"k126"[..], [254, 0, 0, 0]));
    }

    #[test]
    fn the_frequent_survive_a_flood_of_the_rare() {
        let mut top = Top::default();
        for i in 0..100_000 {
            top.add(format!("rare{i}").as_bytes(), 1, [0; 4]);
            if i % 50 == 0 {
                top.add(b"frequent", 1, [0; 4]);
            }
        }
        assert_eq!(top.entries.len(), SLOTS);
        let first = &top.most(1)[0];
        assert_eq!(first.key(), b"frequent");
        assert!(first.count >= 2000 && first.count - first.error <= 2000);
    }

    #[test]
    fn keys_are_cut_and_tables_merge() {
        let (mut a, mut b) = (Top::default(), Top::default());
        a.add(&[b'x'; 1000], 1, [0; 4]);
        assert_eq!(a.most(1)[0].key().len(), 256);
        b.add(b"y", 5, [1, 2, 3, 0]);
        a.merge(&b);
        a.merge(&b);
        let most = a.most(9);
        assert_eq!((most[0].key(), most[0].count, most[0].extra), (&b"y"[..], 10, [2, 4, 6, 0]));
        assert_eq!((most.len(), most[0].error), (2, 0));
    }
}
