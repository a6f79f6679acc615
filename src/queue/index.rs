//! From the counter of a message to the slot of its (first) delivery, in order of age.
//!
//! Counters are handed out one after the other, so messages that wait together are neighbours:
//! eight of them share one entry of the tree, which costs 8 octets a message then (and 64 for a
//! message that is alone among its neighbours), where a tree or table by itself takes 25.

use std::collections::BTreeMap;

const BLOCK: u64 = 8;
const NONE: u32 = u32::MAX;

#[derive(Default, Debug)]
pub(super) struct Index {
    blocks: BTreeMap<u64, [u32; BLOCK as usize]>,
    len: usize,
}

fn place(counter: u64) -> (u64, usize) {
    (counter / BLOCK, (counter % BLOCK) as usize)
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, counter: u64) -> Option<u32> {
        let (block, at) = place(counter);
        self.blocks.get(&block).map(|slots| slots[at]).filter(|slot| *slot != NONE)
    }

    /// Sets the slot of a message; gives the one it had.
    pub(super) fn set(&mut self, counter: u64, slot: u32) -> Option<u32> {
        let (block, at) = place(counter);
        let slots = self.blocks.entry(block).or_insert([NONE; BLOCK as usize]);
        let old = std::mem::replace(&mut slots[at], slot);
        self.len += usize::from(old == NONE);
        (old != NONE).then_some(old)
    }

    pub(super) fn remove(&mut self, counter: u64) {
        let (block, at) = place(counter);
        let Some(slots) = self.blocks.get_mut(&block) else { return };
        self.len -= usize::from(slots[at] != NONE);
        slots[at] = NONE;
        if *slots == [NONE; BLOCK as usize] {
            self.blocks.remove(&block);
        }
    }

    /// Messages from this counter on, in order: counter and slot.
    pub(super) fn from(&self, counter: u64) -> impl Iterator<Item = (u64, u32)> + '_ {
        let (first, _) = place(counter);
        let all = self.blocks.range(first..).flat_map(|(block, slots)| {
            slots.iter().enumerate().map(move |(at, slot)| (block * BLOCK + at as u64, *slot))
        });
        all.filter(move |(n, slot)| *n >= counter && *slot != NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_as_an_ordered_map() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (mut index, mut model) = (Index::default(), BTreeMap::new());
        for _ in 0..5000 {
            let counter = if rng.bool() { rng.u64(0..100) } else { u64::MAX - rng.u64(0..100) };
            if rng.bool() {
                let slot = rng.u32(0..1000);
                assert_eq!(index.set(counter, slot), model.insert(counter, slot));
            } else {
                index.remove(counter);
                model.remove(&counter);
            }
            let probe = rng.u64(0..100);
            assert_eq!(index.get(probe), model.get(&probe).copied());
            assert_eq!(index.len(), model.len());
            assert!(index.from(probe).eq(model.range(probe..).map(|(k, v)| (*k, *v))));
        }
        for counter in model.keys() {
            index.remove(*counter);
        }
        assert!(index.blocks.is_empty());
    }
}
