//! The deliveries in memory: one record each, in chunks that never move.
//!
//! A growing vector would copy everything at once now and then, and hold up to twice what it needs;
//! chunks do neither. A slot is a record's number; it is used again when the record is gone.

use std::ops::{Index, IndexMut};

use super::ServerId;
use super::replies::ReplyId;
use crate::base::{MessageId, Time};

/// No slot: the end of a list.
pub(super) const NIL: u32 = u32::MAX;

const CHUNK: usize = 1024;

/// A delivery. Every octet counts here: 100,000 of them wait in a bad hour.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) counter: u64,
    /// [`MessageId::arrived`].
    pub(super) label: u32,
    /// When the message arrived, in seconds after (mostly: before) the start of the server.
    pub(super) birth: i32,
    pub(super) parts: Parts,
    pub(super) place: Place,
    pub(super) server: ServerId,
    /// How often its recipients have been tried and deferred; stays at the top.
    pub(super) attempts: u16,
}

impl Node {
    pub(super) fn id(&self) -> MessageId {
        MessageId { counter: self.counter, arrived: self.label }
    }

    /// Held, or to be held when it comes back.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.place, Place::Held | Place::Carried { then: Then::Hold, .. })
    }
}

/// Where a delivery is. The table is in the module's documentation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// In its server's line; neighbours by slot.
    Ready { prev: u32, next: u32, fruitless: u8 },
    /// Deferred until then.
    Waiting { due: Packed },
    /// A session has it.
    Carried { then: Then, fruitless: u8 },
    /// Until it is released.
    Held,
    /// Failed or expired, and to be reported (again) from then on.
    Failed { expired: bool, due: Packed },
}

/// What becomes of a carried delivery's recipients that come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Then {
    /// They are scheduled.
    Schedule,
    /// They are held.
    Hold,
    /// Nobody wants to know: the message was removed meanwhile.
    Forget,
}

/// A [`Time`] that may stand on any multiple of four octets, so that [`Place`] has no gaps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed([u32; 2]);

impl From<Time> for Packed {
    fn from(time: Time) -> Packed {
        let micros = time.as_micros();
        Packed([(micros >> 32) as u32, micros as u32])
    }
}

impl From<Packed> for Time {
    fn from(Packed([high, low]): Packed) -> Time {
        Time::from_micros(u64::from(high) << 32 | u64::from(low))
    }
}

/// One recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Part {
    /// Its index in the envelope.
    pub(super) recipient: u32,
    /// What it was told last.
    pub(super) reply: Option<ReplyId>,
    /// Its sender was told of the delay.
    pub(super) delayed: bool,
}

/// The recipients of a delivery. Most messages have one.
#[derive(Debug)]
pub(super) enum Parts {
    One(Part),
    Many(Box<[Part]>),
}

impl Parts {
    pub(super) fn new(parts: Vec<Part>) -> Parts {
        match parts[..] {
            [part] => Parts::One(part),
            _ => Parts::Many(parts.into_boxed_slice()),
        }
    }

    pub(super) fn all(&self) -> &[Part] {
        match self {
            Parts::One(part) => std::slice::from_ref(part),
            Parts::Many(parts) => parts,
        }
    }

    pub(super) fn all_mut(&mut self) -> &mut [Part] {
        match self {
            Parts::One(part) => std::slice::from_mut(part),
            Parts::Many(parts) => parts,
        }
    }
}

/// All deliveries, by slot.
#[derive(Default, Debug)]
pub(super) struct Store {
    chunks: Vec<Box<[Option<Node>]>>,
    free: Vec<u32>,
    len: usize,
}

impl Store {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, node: Node) -> u32 {
        if self.free.is_empty() {
            let first = self.chunks.len() * CHUNK;
            self.chunks.push((0..CHUNK).map(|_| None).collect());
            self.free.extend((first..first + CHUNK).rev().map(|slot| slot as u32));
        }
        let slot = self.free.pop().unwrap_or(NIL);
        self.chunks[slot as usize / CHUNK][slot as usize % CHUNK] = Some(node);
        self.len += 1;
        slot
    }

    /// Takes a record out. When none is left the memory of all but one chunk is given back.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Node> {
        let node = self.chunks.get_mut(slot as usize / CHUNK)?[slot as usize % CHUNK].take()?;
        self.len -= 1;
        self.free.push(slot);
        if self.len == 0 && self.chunks.len() > 1 {
            self.chunks.truncate(1);
            self.free = (0..CHUNK as u32).rev().collect();
        }
        Some(node)
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Node> {
        self.chunks.get(slot as usize / CHUNK)?[slot as usize % CHUNK].as_ref()
    }
}

// Slots come from lists that are kept in step with the records; a slot without a record is our
// own fault, so these may panic.
impl Index<u32> for Store {
    type Output = Node;

    fn index(&self, slot: u32) -> &Node {
        self.get(slot).expect("a slot in a list has a record")
    }
}

impl IndexMut<u32> for Store {
    fn index_mut(&mut self, slot: u32) -> &mut Node {
        let node = self.chunks[slot as usize / CHUNK][slot as usize % CHUNK].as_mut();
        node.expect("a slot in a list has a record")
    }
}

/// A line of deliveries, first come first served, with removal anywhere in one step. The links are
/// in [`Place::Ready`] of the records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    head: u32,
    tail: u32,
    len: usize,
}

impl Default for Line {
    fn default() -> Line {
        Line { head: NIL, tail: NIL, len: 0 }
    }
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn head(&self) -> Option<u32> {
        (self.head != NIL).then_some(self.head)
    }

    pub(super) fn push_back(&mut self, store: &mut Store, slot: u32, fruitless: u8) {
        store[slot].place = Place::Ready { prev: self.tail, next: NIL, fruitless };
        link(store, self.tail, None, Some(slot));
        self.tail = slot;
        if self.head == NIL {
            self.head = slot;
        }
        self.len += 1;
    }

    pub(super) fn push_front(&mut self, store: &mut Store, slot: u32, fruitless: u8) {
        store[slot].place = Place::Ready { prev: NIL, next: self.head, fruitless };
        link(store, self.head, Some(slot), None);
        self.head = slot;
        if self.tail == NIL {
            self.tail = slot;
        }
        self.len += 1;
    }

    /// Takes a record out of the line. It must be Ready, and gets another place from the caller.
    pub(super) fn remove(&mut self, store: &mut Store, slot: u32) {
        let Place::Ready { prev, next, .. } = store[slot].place else { return };
        link(store, prev, None, Some(next));
        link(store, next, Some(prev), None);
        if self.head == slot {
            self.head = next;
        }
        if self.tail == slot {
            self.tail = prev;
        }
        self.len -= 1;
    }
}

/// Changes the links of a record in a line.
fn link(store: &mut Store, slot: u32, new_prev: Option<u32>, new_next: Option<u32>) {
    if slot == NIL {
        return;
    }
    if let Place::Ready { prev, next, .. } = &mut store[slot].place {
        *prev = new_prev.unwrap_or(*prev);
        *next = new_next.unwrap_or(*next);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn node(counter: u64) -> Node {
        let part = Part { recipient: 0, reply: None, delayed: false };
        Node {
            counter,
            label: 0,
            birth: 0,
            parts: Parts::One(part),
            place: Place::Held,
            server: ServerId(0),
            attempts: 0,
        }
    }

    #[test]
    fn a_delivery_is_48_octets() {
        assert_eq!(size_of::<Option<Node>>(), 48);
    }

    #[test]
    fn packed_times_are_exact() {
        for micros in [0, 1, u64::from(u32::MAX), 1 << 32, u64::MAX - 1, u64::MAX] {
            let time = Time::from_micros(micros);
            assert_eq!(Time::from(Packed::from(time)), time);
        }
    }

    #[test]
    fn slots_are_used_again_and_an_empty_store_is_empty() {
        let mut store = Store::default();
        let slots: Vec<u32> = (0..3000).map(|n| store.insert(node(n))).collect();
        assert!(store.remove(slots[5]).is_some_and(|n| n.counter == 5));
        assert!(store.remove(slots[5]).is_none() && store.get(slots[5]).is_none());
        assert_eq!(store.insert(node(9)), slots[5]);
        assert_eq!((store.len(), store.chunks.len()), (3000, 3));
        for slot in slots {
            store.remove(slot);
        }
        assert_eq!((store.len(), store.chunks.len(), store.free.len()), (0, 1, CHUNK));
        assert_eq!(store.insert(node(7)), 0);
        assert!(store.get(7).is_none() && store.remove(7).is_none());
    }

    #[test]
    fn a_line_behaves_as_a_deque() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut store, mut line, mut model) = (Store::default(), Line::default(), VecDeque::new());
        for n in 0..5000 {
            match rng.u8(0..3) {
                0 => {
                    let slot = store.insert(node(n));
                    line.push_back(&mut store, slot, 0);
                    model.push_back(slot);
                }
                1 => {
                    let slot = store.insert(node(n));
                    line.push_front(&mut store, slot, 0);
                    model.push_front(slot);
                }
                _ if model.is_empty() => {}
                _ => {
                    let at = if rng.bool() { 0 } else { rng.usize(0..model.len()) };
                    let slot = model.remove(at).unwrap();
                    line.remove(&mut store, slot);
                    store.remove(slot);
                }
            }
            assert_eq!((line.head(), line.len()), (model.front().copied(), model.len()));
        }
        while let Some(slot) = line.head() {
            assert_eq!(model.pop_front(), Some(slot));
            line.remove(&mut store, slot);
        }
        assert!(model.is_empty() && line.len() == 0);
    }
}
