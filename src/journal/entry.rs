//! One entry of a transcript as octets, the same in memory and on disk.
//!
//! ```text
//! length of the text   2    little-endian, as all numbers
//! sign and marks       1
//! subject              1    what kind of event it is
//! distance             4    in memory: how far back the entry before it in its session lies
//! calendar time, µs    8
//! delay                4    since the line before; the highest bit says that it is in ms
//! session              8    number times two, and one more when it is outbound; 0 for none
//! text                 …    at most [`MAX_LINE`]
//! ```

use std::time::Duration;

use super::{Mark, Side, What};
use crate::base::{Leg, SessionId, Wall};

/// Octets before the text.
pub(super) const HEADER: usize = 28;
/// Octets kept of one line.
pub const MAX_LINE: usize = 4096;

const SERVER: u8 = 1;
const TLS: u8 = 2;
const EVENT: u8 = 4;
const UNEXPECTED: u8 = 8;
const INJECTED: u8 = 16;
const CUT: u8 = 32;
const HELD: u8 = 64;

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

/// What kind of event an entry tells of: [`What`] without its particulars, which are in the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// A line of the dialogue.
    Line,
    /// Content passed.
    Content,
    /// A connection stands.
    Opened,
    /// A word about a session.
    Remark,
    /// The session is over.
    Closed,
    /// A message is in the spool.
    Accepted,
    /// A message was refused.
    Refused,
    /// A message is being carried to a next server.
    Attempt,
    /// An attempt for a recipient ended.
    Outcome,
    /// A bounce or a notice was queued.
    Bounced,
    /// All recipients are done.
    Retired,
    /// A next server changed its state.
    NextServer,
    /// A word about the server.
    Server,
    /// A session is held, or is no longer.
    Held,
    /// Made by a fault rule or by hand.
    Injected,
}

impl Subject {
    const ALL: [Subject; 15] = [
        Subject::Line,
        Subject::Content,
        Subject::Opened,
        Subject::Remark,
        Subject::Closed,
        Subject::Accepted,
        Subject::Refused,
        Subject::Attempt,
        Subject::Outcome,
        Subject::Bounced,
        Subject::Retired,
        Subject::NextServer,
        Subject::Server,
        Subject::Held,
        Subject::Injected,
    ];

    /// In exports, in a word.
    pub const fn name(self) -> &'static str {
        match self {
            Subject::Line => "line",
            Subject::Content => "content",
            Subject::Opened => "opened",
            Subject::Remark => "remark",
            Subject::Closed => "closed",
            Subject::Accepted => "accepted",
            Subject::Refused => "refused",
            Subject::Attempt => "attempt",
            Subject::Outcome => "outcome",
            Subject::Bounced => "bounced",
            Subject::Retired => "retired",
            Subject::NextServer => "next_server",
            Subject::Server => "server",
            Subject::Held => "held",
            Subject::Injected => "injected",
        }
    }

    /// Of an event.
    pub fn of(what: &What<'_>) -> Subject {
        match what {
            What::Line { .. } => Subject::Line,
            What::Content { .. } => Subject::Content,
            What::Opened { .. } => Subject::Opened,
            What::Remark(_) => Subject::Remark,
            What::Closed { .. } => Subject::Closed,
            What::Accepted { .. } => Subject::Accepted,
            What::Refused { .. } => Subject::Refused,
            What::Attempt { .. } => Subject::Attempt,
            What::Outcome { .. } => Subject::Outcome,
            What::Bounced { .. } => Subject::Bounced,
            What::Retired => Subject::Retired,
            What::NextServer { .. } => Subject::NextServer,
            What::Server { .. } => Subject::Server,
            What::Held(_) => Subject::Held,
            What::Injected(_) => Subject::Injected,
        }
    }

    /// Whether the text begins with the short id of a message.
    fn has_message(self) -> bool {
        !matches!(
            self,
            Subject::Line
                | Subject::Opened
                | Subject::Remark
                | Subject::Closed
                | Subject::NextServer
                | Subject::Server
                | Subject::Held
                | Subject::Injected
        )
    }
}

/// A line, and whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// Of which session, if of one.
    pub session: Option<SessionId>,
    /// What kind of event it is.
    pub subject: Subject,
    /// The line.
    pub line: Line<'a>,
}

impl<'a> Entry<'a> {
    /// Writes it to the front of `to`; the text is cut to what may be kept. `to` has room for
    /// [`HEADER`] octets and the text. Gives the octets used.
    pub(super) fn write(&self, distance: u32, to: &mut [u8]) -> usize {
        let text = &self.line.text[..self.line.text.len().min(MAX_LINE)];
        let cut = self.line.cut || text.len() < self.line.text.len();
        let record = &mut to[..HEADER + text.len()];
        record[0..2].copy_from_slice(&(text.len() as u16).to_le_bytes());
        record[2] = flags_of(&self.line) | if cut { CUT } else { 0 };
        record[3] = self.subject as u8;
        record[4..8].copy_from_slice(&distance.to_le_bytes());
        record[8..16].copy_from_slice(&self.line.at.as_micros().to_le_bytes());
        record[16..20].copy_from_slice(&pack_delay(self.line.delay).to_le_bytes());
        record[20..28].copy_from_slice(&pack_session(self.session).to_le_bytes());
        record[HEADER..].copy_from_slice(text);
        record.len()
    }

    /// Reads the entry at the front of `octets`: itself, the distance to the one before, and how
    /// long it is. None when there is no whole entry.
    pub(super) fn read_at(octets: &'a [u8]) -> Option<(Entry<'a>, u32, usize)> {
        let (head, rest) = octets.split_first_chunk::<HEADER>()?;
        let word = |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
        let long = |i: usize| u64::from(word(i)) | u64::from(word(i + 4)) << 32;
        let text = rest.get(..usize::from(u16::from_le_bytes([head[0], head[1]])))?;
        let flags = head[2];
        let side = if flags & SERVER != 0 { Side::Server } else { Side::Client };
        let line = Line {
            at: Wall::from_micros(long(8) as i64),
            delay: unpack_delay(word(16)),
            sign: if flags & EVENT != 0 {
                Sign::Event
            } else {
                Sign::Said { side, tls: flags & TLS != 0 }
            },
            mark: match flags & (UNEXPECTED | INJECTED | HELD) {
                UNEXPECTED => Mark::Unexpected,
                INJECTED => Mark::Injected,
                HELD => Mark::Held,
                _ => Mark::Plain,
            },
            text,
            cut: flags & CUT != 0,
        };
        let subject = *Subject::ALL.get(usize::from(head[3]))?;
        let entry = Entry { session: unpack_session(long(20)), subject, line };
        Some((entry, word(4), HEADER + text.len()))
    }

    /// The message it is about, as people write it: `q1A`.
    pub fn message(&self) -> Option<&'a str> {
        if !self.subject.has_message() {
            return None;
        }
        let end = self.line.text.iter().position(|b| *b == b' ').unwrap_or(self.line.text.len());
        let id = std::str::from_utf8(&self.line.text[..end]).ok()?;
        let digits = id.strip_prefix('q')?;
        (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
    }
}

/// The entries that stand one after the other in `octets`, up to the first that is none.
pub fn entries(octets: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let (entry, _, length) = Entry::read_at(rest)?;
        rest = &rest[length..];
        Some(entry)
    })
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
        Mark::Held => HELD,
    };
    sign | mark
}

fn pack_session(id: Option<SessionId>) -> u64 {
    id.map_or(0, |id| id.number << 1 | u64::from(id.leg == Leg::Out))
}

fn unpack_session(packed: u64) -> Option<SessionId> {
    let leg = if packed & 1 == 0 { Leg::In } else { Leg::Out };
    (packed > 0).then_some(SessionId { leg, number: packed >> 1 })
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

    #[test]
    fn entries_read_back_and_half_of_one_is_none() {
        let text = b"q1A accepted";
        let line = Line {
            at: Wall::from_micros(-5),
            delay: Duration::from_micros(7),
            sign: Sign::Event,
            mark: Mark::Injected,
            text,
            cut: true,
        };
        let mut wrote = Vec::new();
        for subject in Subject::ALL {
            let leg = if wrote.len() % 2 == 0 { Leg::In } else { Leg::Out };
            let session = Some(SessionId { leg, number: 7 }).filter(|_| wrote.len() > 2);
            let entry = Entry { session, subject, line };
            let mut own = [0; 64];
            let length = entry.write(9, &mut own);
            assert_eq!(Entry::read_at(&own[..length]), Some((entry, 9, length)));
            for short in 0..length {
                assert_eq!(Entry::read_at(&own[..short]), None);
            }
            assert_eq!(entry.message(), subject.has_message().then_some("q1A"));
            wrote.push(entry);
        }
        let mut wrong = [0; 64];
        wrote[0].write(0, &mut wrong);
        wrong[3] = 99;
        assert_eq!(entries(&wrong).count(), 0);
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
