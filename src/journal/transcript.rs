//! The dialogue of all sessions, live and recently ended, in one ring of octets.
//!
//! Memory is taken once; each line is copied once, behind a fixed header, and nothing is allocated
//! for it. The lines of a session form a chain from the last to the first, as each header says how
//! far back the one before it lies. When the ring is full the oldest lines of all go first, so a
//! chain may end early; that shows by its position alone.
//!
//! ```text
//!   tail                                              head
//!    │ … ┃ header · text ┃ header · text ┃ … ┃ header · text │
//!             i7 ◀───────────── i7 ◀──────────────── i7
//! ```
//!
//! Positions count octets since the start and never wrap; the place in memory is the position
//! modulo the size. A record is never split at the end of the memory: what is left there is
//! skipped. What a record holds is in `entry`: the history on disk takes them from here as they
//! are.

use super::Side;
use super::entry::{Entry, HEADER, MAX_LINE, Sign};

/// In the place of a length: the rest of the memory is skipped.
const SKIP: u16 = u16::MAX;

/// Where the last line of a session is: the end of its chain. The default is a session without
/// lines.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Chain {
    /// The position of the last record and one more; 0 for none.
    last: u64,
}

/// The ring.
#[derive(Debug)]
pub struct Transcript {
    memory: Vec<u8>,
    /// The oldest record that is still there.
    tail: u64,
    /// Where the next record begins.
    head: u64,
    /// Where the end of the memory was skipped the last time.
    skipped: u64,
}

/// Records in the order in which they were written: in two pieces when they go around the end of
/// the memory.
#[derive(Debug)]
pub struct Stretch<'a> {
    /// Whole records.
    pub pieces: [&'a [u8]; 2],
    /// Where what follows begins.
    pub end: u64,
    /// Records before it were asked for and are gone.
    pub lost: bool,
}

impl Transcript {
    /// A ring of so many octets; less than what one line needs keeps nothing at all.
    pub fn new(octets: usize) -> Transcript {
        // Distances are 32 bits wide.
        let size = if octets < HEADER + MAX_LINE { 0 } else { octets.min(1 << 31) };
        Transcript { memory: vec![0; size], tail: 0, head: 0, skipped: 0 }
    }

    fn place(&self, position: u64) -> usize {
        (position % self.memory.len() as u64) as usize
    }

    /// Adds an entry to a chain.
    pub fn push(&mut self, chain: &mut Chain, entry: &Entry<'_>) {
        if self.memory.is_empty() {
            return;
        }
        let start = self.make_room(HEADER + entry.line.text.len().min(MAX_LINE));
        let distance = chain.last.checked_sub(1).map_or(0, |last| start - last);
        // Farther than 32 bits is farther than the ring: forgotten, as any place before the tail.
        let distance = u32::try_from(distance).unwrap_or(u32::MAX);
        let at = self.place(start);
        self.head = start + entry.write(distance, &mut self.memory[at..]) as u64;
        chain.last = start + 1;
    }

    /// Makes room for a record in one piece: skips the end of the memory if it is too short and
    /// forgets the oldest records that lie in the way. Says where the record begins.
    fn make_room(&mut self, needed: usize) -> u64 {
        let size = self.memory.len();
        let place = self.place(self.head);
        let left = size - place;
        if left < needed {
            self.forget_until(self.head + left as u64);
            self.skipped = self.head;
            if left >= 2 {
                self.memory[place..place + 2].copy_from_slice(&SKIP.to_le_bytes());
            }
            self.head += left as u64;
        }
        self.forget_until(self.head + needed as u64);
        self.head
    }

    /// Moves the tail so that all up to `end` fits into the memory.
    fn forget_until(&mut self, end: u64) {
        let size = self.memory.len() as u64;
        while end - self.tail > size {
            self.tail = self.after(self.tail);
        }
    }

    /// Where the record behind the one at a position begins; behind what is skipped, if that is
    /// what is there.
    fn after(&self, position: u64) -> u64 {
        let place = self.place(position);
        let length = self.memory.get(place..place + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        position
            + match length {
                Some(length) if length != SKIP => HEADER as u64 + u64::from(length),
                _ => self.memory.len() as u64 - place as u64,
            }
    }

    /// The entries of a chain, the oldest first, and whether older ones have been forgotten.
    pub fn entries(&self, chain: Chain) -> (Vec<Entry<'_>>, bool) {
        let (mut found, mut next) = (Vec::new(), chain.last.checked_sub(1));
        let mut forgotten = false;
        while let Some(position) = next {
            let Some((entry, distance)) = self.read(position) else {
                forgotten = true;
                break;
            };
            found.push(entry);
            next = if distance == 0 { None } else { position.checked_sub(distance.into()) };
        }
        found.reverse();
        (found, forgotten)
    }

    /// The last line of a chain that the client said, if it is still there.
    pub fn last_command(&self, chain: Chain) -> Option<&[u8]> {
        let mut position = chain.last.checked_sub(1)?;
        // Replies and events stand between; a session that has only those for long had no command.
        for _ in 0..64 {
            let (Entry { line, .. }, distance) = self.read(position)?;
            if matches!(line.sign, Sign::Said { side: Side::Client, .. }) {
                return Some(line.text);
            }
            position = position.checked_sub(distance.into()).filter(|_| distance > 0)?;
        }
        None
    }

    /// The record at a position, and the distance to the one before; none when it is forgotten.
    fn read(&self, position: u64) -> Option<(Entry<'_>, u32)> {
        if position < self.tail || self.memory.is_empty() {
            return None;
        }
        let (entry, distance, _) = Entry::read_at(&self.memory[self.place(position)..])?;
        Some((entry, distance))
    }

    /// Where the next record will begin.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The records from a position on, which was the end of an earlier stretch, or 0: all, or
    /// about `most` octets of them.
    pub fn since(&self, position: u64, most: usize) -> Stretch<'_> {
        let start = position.max(self.tail);
        let (mut end, lost) = (self.head, position < self.tail);
        if start >= end || self.memory.is_empty() {
            return Stretch { pieces: [&[], &[]], end, lost };
        }
        if end - start > most as u64 {
            end = self.after(start);
            while self.after(end) - start <= most as u64 {
                end = self.after(end);
            }
        }
        let size = self.memory.len() as u64;
        let around = (start / size + 1) * size;
        if end <= around {
            let place = self.place(start);
            let piece = &self.memory[place..place + (end - start) as usize];
            return Stretch { pieces: [piece, &[]], end, lost };
        }
        // What was skipped lies right before the end of the memory; a record may also have ended
        // exactly there.
        let stop = if (start..around).contains(&self.skipped) { self.skipped } else { around };
        let place = self.place(start);
        let first = &self.memory[place..place + (stop - start) as usize];
        Stretch { pieces: [first, &self.memory[..(end - around) as usize]], end, lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Wall;
    use crate::journal::Mark;
    use crate::journal::entry::{Line, Subject, entries};
    use std::time::Duration;

    fn said(text: &[u8]) -> Entry<'_> {
        let line = Line {
            at: Wall::from_micros(-5),
            delay: Duration::from_micros(7),
            sign: Sign::Said { side: Side::Client, tls: false },
            mark: Mark::Plain,
            text,
            cut: false,
        };
        Entry { session: "i7".parse().ok(), subject: Subject::Line, line }
    }

    fn signed(sign: Sign, entry: Entry<'_>) -> Entry<'_> {
        Entry { line: Line { sign, ..entry.line }, ..entry }
    }

    #[test]
    fn lines_read_back_as_they_were_written() {
        let mut transcript = Transcript::new(1 << 16);
        let mut chain = Chain::default();
        let mut want = vec![];
        for side in [Side::Client, Side::Server] {
            for tls in [false, true] {
                for mark in [Mark::Plain, Mark::Unexpected, Mark::Injected, Mark::Held] {
                    let entry = signed(Sign::Said { side, tls }, said(b"a\0\xff"));
                    want.push(Entry { line: Line { mark, ..entry.line }, ..entry });
                }
            }
        }
        want.push(signed(Sign::Event, said(b"")));
        for line in &want {
            transcript.push(&mut chain, line);
        }
        assert_eq!(transcript.entries(chain), (want, false));
        assert_eq!(transcript.entries(Chain::default()), (vec![], false));
    }

    #[test]
    fn the_ring_keeps_the_newest_of_many_sessions() {
        // Records of every length meet the end of the memory at every distance.
        for size in 5000..5040 {
            let mut transcript = Transcript::new(size);
            let mut chains = [Chain::default(); 3];
            let mut texts: [Vec<Vec<u8>>; 3] = Default::default();
            for i in 0..2000usize {
                let text = format!("{i}{}", "x".repeat(i * 7 % 90)).into_bytes();
                transcript.push(&mut chains[i % 3], &said(&text));
                texts[i % 3].push(text);
                assert!(transcript.head - transcript.tail <= size as u64);
            }
            for (chain, texts) in chains.iter().zip(&texts) {
                let (lines, forgotten) = transcript.entries(*chain);
                assert!(forgotten && lines.len() > 10);
                let newest = &texts[texts.len() - lines.len()..];
                assert!(lines.iter().map(|l| l.line.text).eq(newest.iter().map(|t| &t[..])));
            }
        }
    }

    #[test]
    fn a_session_whose_lines_are_gone_is_empty() {
        let mut transcript = Transcript::new(5000);
        let (mut old, mut new) = (Chain::default(), Chain::default());
        transcript.push(&mut old, &said(b"old"));
        for _ in 0..1000 {
            transcript.push(&mut new, &said(b"new"));
        }
        assert_eq!(transcript.entries(old), (vec![], true));
        assert_eq!(transcript.last_command(old), None);
    }

    #[test]
    fn long_lines_are_cut_and_a_tiny_ring_keeps_nothing() {
        let mut transcript = Transcript::new(HEADER + MAX_LINE);
        let mut chain = Chain::default();
        transcript.push(&mut chain, &said(&[b'x'; MAX_LINE + 1]));
        transcript.push(&mut chain, &said(&[b'y'; MAX_LINE]));
        let (lines, forgotten) = transcript.entries(chain);
        assert!(
            forgotten && lines.len() == 1 && !lines[0].line.cut && lines[0].line.text[0] == b'y'
        );
        transcript.push(&mut chain, &said(&[b'x'; MAX_LINE + 1]));
        assert!(transcript.entries(chain).0[0].line.cut);

        let mut none = Transcript::new(100);
        let mut chain = Chain::default();
        none.push(&mut chain, &said(b"x"));
        assert_eq!(none.entries(chain), (vec![], false));
    }

    #[test]
    fn the_last_command_is_found_behind_replies() {
        let mut transcript = Transcript::new(1 << 16);
        let mut chain = Chain::default();
        assert_eq!(transcript.last_command(chain), None);
        transcript.push(&mut chain, &signed(Sign::Event, said(b"connected")));
        assert_eq!(transcript.last_command(chain), None);
        transcript.push(&mut chain, &said(b"RCPT TO:<a@b>"));
        let server = Sign::Said { side: Side::Server, tls: false };
        transcript.push(&mut chain, &signed(server, said(b"550 no")));
        assert_eq!(transcript.last_command(chain), Some(&b"RCPT TO:<a@b>"[..]));
    }

    #[test]
    fn stretches_hand_on_every_record_once_whatever_the_end_of_the_memory_does() {
        for size in 5000..5040 {
            let mut transcript = Transcript::new(size);
            let mut chain = Chain::default();
            let (mut from, mut read, mut wrote) = (0, vec![], vec![]);
            for i in 0..2000usize {
                let text = format!("{i}{}", "x".repeat(i * 7 % 90)).into_bytes();
                transcript.push(&mut chain, &said(&text));
                wrote.push(text);
                if i % 13 == 0 {
                    while from < transcript.head {
                        let stretch = transcript.since(from, 128 + i);
                        assert!(!stretch.lost && stretch.end > from);
                        for piece in stretch.pieces {
                            read.extend(entries(piece).map(|entry| entry.line.text.to_vec()));
                        }
                        from = stretch.end;
                    }
                    assert_eq!(read, wrote);
                }
            }
            // All of the memory at once, and more than there is.
            let all = transcript.since(0, usize::MAX);
            let kept: usize = all.pieces.iter().map(|piece| entries(piece).count()).sum();
            assert!(all.lost && kept == transcript.entries(chain).0.len());
            assert!(transcript.since(all.end, 9).pieces.iter().all(|piece| piece.is_empty()));
        }
        assert_eq!(Transcript::new(0).since(0, 9).end, 0);
    }
}
