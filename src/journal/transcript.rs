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
//! skipped. A header holds, little-endian: length of the text (2 octets), kind and marks (1),
//! distance to the record before it (4; 0 for none), calendar time in µs (8), delay since the line
//! before (4).

use std::time::Duration;

use super::{Mark, Side};
use crate::base::Wall;

const HEADER: usize = 19;
/// Octets kept of one line.
pub const MAX_LINE: usize = 4096;
/// In the place of a length: the rest of the memory is skipped.
const SKIP: u16 = u16::MAX;

const SERVER: u8 = 1;
const TLS: u8 = 2;
const EVENT: u8 = 4;
const UNEXPECTED: u8 = 8;
const INJECTED: u8 = 16;
const CUT: u8 = 32;

/// Who or what a line of a transcript shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// `->`, `<-`, and inside TLS `~>`, `<~`.
    Said {
        /// By whom.
        side: Side,
        /// Inside TLS.
        tls: bool,
    },
    /// `===`
    Event,
}

/// A line of a transcript.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// When it passed.
    pub at: Wall,
    /// Since the line before it in its session.
    pub delay: Duration,
    /// Who said it.
    pub sign: Sign,
    /// As it should be?
    pub mark: Mark,
    /// Octets as they came, at most [`MAX_LINE`].
    pub text: &'a [u8],
    /// There was more.
    pub cut: bool,
}

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
}

impl Transcript {
    /// A ring of so many octets; less than what one line needs keeps nothing at all.
    pub fn new(octets: usize) -> Transcript {
        // Distances are 32 bits wide.
        let size = if octets < HEADER + MAX_LINE { 0 } else { octets.min(1 << 31) };
        Transcript { memory: vec![0; size], tail: 0, head: 0 }
    }

    fn place(&self, position: u64) -> usize {
        (position % self.memory.len() as u64) as usize
    }

    /// Adds a line to a chain.
    pub fn push(&mut self, chain: &mut Chain, line: &Line<'_>) {
        if self.memory.is_empty() {
            return;
        }
        let text = &line.text[..line.text.len().min(MAX_LINE)];
        let start = self.make_room(HEADER + text.len());
        let distance = chain.last.checked_sub(1).map_or(0, |last| start - last);
        // Farther than 32 bits is farther than the ring: forgotten, as any place before the tail.
        let distance = u32::try_from(distance).unwrap_or(u32::MAX);
        let flags = flags_of(line) | if text.len() < line.text.len() { CUT } else { 0 };
        let at = self.place(start);
        let record = &mut self.memory[at..at + HEADER + text.len()];
        record[0..2].copy_from_slice(&(text.len() as u16).to_le_bytes());
        record[2] = flags;
        record[3..7].copy_from_slice(&distance.to_le_bytes());
        record[7..15].copy_from_slice(&line.at.as_micros().to_le_bytes());
        record[15..19].copy_from_slice(&pack_delay(line.delay).to_le_bytes());
        record[HEADER..].copy_from_slice(text);
        self.head = start + record.len() as u64;
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
            let place = self.place(self.tail);
            let length =
                self.memory.get(place..place + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
            self.tail += match length {
                Some(length) if length != SKIP => HEADER as u64 + u64::from(length),
                _ => size - place as u64,
            };
        }
    }

    /// The lines of a chain, the oldest first, and whether older ones have been forgotten.
    pub fn lines(&self, chain: Chain) -> (Vec<Line<'_>>, bool) {
        let (mut lines, mut next) = (Vec::new(), chain.last.checked_sub(1));
        let mut forgotten = false;
        while let Some(position) = next {
            if position < self.tail || self.memory.is_empty() {
                forgotten = true;
                break;
            }
            let (line, distance) = self.read(position);
            lines.push(line);
            next = if distance == 0 { None } else { position.checked_sub(distance.into()) };
        }
        lines.reverse();
        (lines, forgotten)
    }

    /// The last line of a chain that the client said, if it is still there.
    pub fn last_command(&self, chain: Chain) -> Option<&[u8]> {
        let mut position = chain.last.checked_sub(1)?;
        // Replies and events stand between; a session that has only those for long had no command.
        for _ in 0..64 {
            if position < self.tail || self.memory.is_empty() {
                return None;
            }
            let (line, distance) = self.read(position);
            if matches!(line.sign, Sign::Said { side: Side::Client, .. }) {
                return Some(line.text);
            }
            position = position.checked_sub(distance.into()).filter(|_| distance > 0)?;
        }
        None
    }

    fn read(&self, position: u64) -> (Line<'_>, u32) {
        let record = &self.memory[self.place(position)..];
        let mut at = [0; 8];
        at.copy_from_slice(&record[7..15]);
        let word =
            |i: usize| u32::from_le_bytes([record[i], record[i + 1], record[i + 2], record[i + 3]]);
        let length = usize::from(u16::from_le_bytes([record[0], record[1]]));
        let flags = record[2];
        let side = if flags & SERVER != 0 { Side::Server } else { Side::Client };
        let line = Line {
            at: Wall::from_micros(i64::from_le_bytes(at)),
            delay: unpack_delay(word(15)),
            sign: if flags & EVENT != 0 {
                Sign::Event
            } else {
                Sign::Said { side, tls: flags & TLS != 0 }
            },
            mark: match (flags & UNEXPECTED != 0, flags & INJECTED != 0) {
                (true, _) => Mark::Unexpected,
                (_, true) => Mark::Injected,
                _ => Mark::Plain,
            },
            text: &record[HEADER..HEADER + length],
            cut: flags & CUT != 0,
        };
        (line, word(3))
    }
}

fn flags_of(line: &Line<'_>) -> u8 {
    let sign = match line.sign {
        Sign::Event => EVENT,
        Sign::Said { side, tls } => {
            (if side == Side::Server { SERVER } else { 0 }) | if tls { TLS } else { 0 }
        }
    };
    let mark = match line.mark {
        Mark::Plain => 0,
        Mark::Unexpected => UNEXPECTED,
        Mark::Injected => INJECTED,
    };
    sign | mark
}

/// The highest bit says that the delay is in milliseconds: 35 minutes to the microsecond, 24 days
/// to the millisecond.
const IN_MILLIS: u32 = 1 << 31;

fn pack_delay(delay: Duration) -> u32 {
    match u32::try_from(delay.as_micros()) {
        Ok(micros) if micros < IN_MILLIS => micros,
        _ => delay.as_millis().min(u128::from(IN_MILLIS - 1)) as u32 | IN_MILLIS,
    }
}

fn unpack_delay(packed: u32) -> Duration {
    if packed & IN_MILLIS == 0 {
        Duration::from_micros(packed.into())
    } else {
        Duration::from_millis((packed & !IN_MILLIS).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &[u8]) -> Line<'_> {
        Line {
            at: Wall::from_micros(-5),
            delay: Duration::from_micros(7),
            sign: Sign::Said { side: Side::Client, tls: false },
            mark: Mark::Plain,
            text,
            cut: false,
        }
    }

    #[test]
    fn lines_read_back_as_they_were_written() {
        let mut transcript = Transcript::new(1 << 16);
        let mut chain = Chain::default();
        let mut want = vec![];
        for side in [Side::Client, Side::Server] {
            for tls in [false, true] {
                for mark in [Mark::Plain, Mark::Unexpected, Mark::Injected] {
                    want.push(Line { sign: Sign::Said { side, tls }, mark, ..said(b"a\0\xff") });
                }
            }
        }
        want.push(Line { sign: Sign::Event, text: b"", ..said(b"") });
        for line in &want {
            transcript.push(&mut chain, line);
        }
        assert_eq!(transcript.lines(chain), (want, false));
        assert_eq!(transcript.lines(Chain::default()), (vec![], false));
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
                let (lines, forgotten) = transcript.lines(*chain);
                assert!(forgotten && lines.len() > 10);
                let newest = &texts[texts.len() - lines.len()..];
                assert!(lines.iter().map(|l| l.text).eq(newest.iter().map(|t| &t[..])));
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
        assert_eq!(transcript.lines(old), (vec![], true));
        assert_eq!(transcript.last_command(old), None);
    }

    #[test]
    fn long_lines_are_cut_and_a_tiny_ring_keeps_nothing() {
        let mut transcript = Transcript::new(HEADER + MAX_LINE);
        let mut chain = Chain::default();
        transcript.push(&mut chain, &said(&[b'x'; MAX_LINE + 1]));
        transcript.push(&mut chain, &said(&[b'y'; MAX_LINE]));
        let (lines, forgotten) = transcript.lines(chain);
        assert!(forgotten && lines.len() == 1 && !lines[0].cut && lines[0].text[0] == b'y');
        transcript.push(&mut chain, &said(&[b'x'; MAX_LINE + 1]));
        assert!(transcript.lines(chain).0[0].cut);

        let mut none = Transcript::new(100);
        let mut chain = Chain::default();
        none.push(&mut chain, &said(b"x"));
        assert_eq!(none.lines(chain), (vec![], false));
    }

    #[test]
    fn the_last_command_is_found_behind_replies() {
        let mut transcript = Transcript::new(1 << 16);
        let mut chain = Chain::default();
        assert_eq!(transcript.last_command(chain), None);
        transcript.push(&mut chain, &Line { sign: Sign::Event, ..said(b"connected") });
        assert_eq!(transcript.last_command(chain), None);
        transcript.push(&mut chain, &said(b"RCPT TO:<a@b>"));
        let server = Sign::Said { side: Side::Server, tls: false };
        transcript.push(&mut chain, &Line { sign: server, ..said(b"550 no") });
        assert_eq!(transcript.last_command(chain), Some(&b"RCPT TO:<a@b>"[..]));
    }

    #[test]
    fn delays_keep_their_precision() {
        for micros in [0, 1, 2_147_483_647, 2_147_484_000, 86_400_000_000] {
            let delay = Duration::from_micros(micros);
            assert_eq!(unpack_delay(pack_delay(delay)), delay);
        }
        assert_eq!(unpack_delay(pack_delay(Duration::MAX)).as_millis(), (1 << 31) - 1);
    }
}
