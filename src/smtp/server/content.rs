//! Content: where it comes from, what may be wrong with it, and how it ends.
//!
//! What is wrong is known by what came up to the end, not by how it was cut into pieces on the
//! way: so the same message gets the same reply over any network. Of several faults a bare CR or
//! LF counts first, then the size, then the hops, then what the gate or the spool said.

use std::ops::Range;

use super::commands::exceeds;
use super::scan::Scanner;
use super::{Action, Context, Out, Progress, Question, ServerSession, State, replies};
use crate::base::{Address, Envelope, Reply};
use crate::smtp::data::{DotDecoder, Piece};

/// Where the octets of the content come from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// DATA.
    Dots(DotDecoder),
    /// BDAT: so many octets are to come; whether it is the last chunk.
    Chunk { left: u64, last: bool },
}

impl Source {
    fn next(&mut self, input: &[u8]) -> (usize, Piece) {
        match self {
            Source::Dots(decoder) => decoder.step(input),
            Source::Chunk { left: 0, .. } => (0, Piece::End),
            Source::Chunk { .. } if input.is_empty() => (0, Piece::More),
            Source::Chunk { left, .. } => {
                let n = at_most(input.len(), *left);
                *left -= n as u64;
                (n, Piece::Content(0..n))
            }
        }
    }
}

/// As many of `len` octets as are left.
fn at_most(len: usize, left: u64) -> usize {
    usize::try_from(left).map_or(len, |left| len.min(left))
}

/// What will become of the content, as far as is known.
#[derive(Debug)]
enum Fate {
    /// It goes to the spool.
    Kept,
    /// The client will hear 250, but it goes nowhere.
    Discarded,
    /// The client will hear this.
    Refused(Reply),
}

/// The content of one message, while it comes.
#[derive(Debug)]
pub struct Content {
    /// Of the envelope, which has gone ahead.
    pub from: Option<Address>,
    /// How many.
    pub recipients: usize,
    /// Octets so far.
    pub size: u64,
    scanner: Scanner,
    fate: Fate,
    /// The gate was asked about the header.
    judged: bool,
}

impl Content {
    pub fn new(envelope: &Envelope) -> Content {
        Content {
            from: envelope.from.clone(),
            recipients: envelope.recipients.len(),
            size: 0,
            scanner: Scanner::default(),
            fate: Fate::Kept,
            judged: false,
        }
    }

    pub fn is_kept(&self) -> bool {
        matches!(self.fate, Fate::Kept)
    }

    /// The client will be told this.
    pub fn refuse(&mut self, reply: Reply) {
        self.fate = Fate::Refused(reply);
    }

    pub fn discard(&mut self) {
        self.fate = Fate::Discarded;
    }

    /// Looks at a part of the content; takes all of it, or up to the end of the header.
    fn take(&mut self, octets: &[u8], cx: &Context<'_>) -> usize {
        let taken = self.scanner.scan(octets);
        self.size += taken as u64;
        self.check(cx);
        taken
    }

    fn check(&mut self, cx: &Context<'_>) {
        let fault = if self.scanner.has_bare() {
            replies::BARE_OCTET
        } else if exceeds(self.size, cx) {
            replies::TOO_BIG
        } else if self.scanner.hops() > cx.config.max_hops {
            replies::TOO_MANY_HOPS
        } else {
            return;
        };
        self.fate = Fate::Refused(fault);
    }

    /// Whether the gate is to be asked about the header now: once, and not about what is refused
    /// already.
    fn wants_judgement(&self) -> bool {
        self.is_kept() && !self.judged
    }
}

impl ServerSession {
    /// Reads content from `rest`, which begins at `used` in the input of this step.
    pub(super) fn read_content(
        &mut self,
        mut source: Source,
        rest: &[u8],
        used: usize,
        cx: &Context<'_>,
    ) -> (usize, Option<Action>) {
        let Progress::Content(content) = &mut self.progress else {
            unreachable!("content is read in a transaction only")
        };
        if content.scanner.header_has_ended() && content.wants_judgement() {
            content.judged = true;
            self.ask(Question::Body(Some(source)));
            return (0, None);
        }
        let kept = content.is_kept();
        let before = source;
        let (mut n, mut piece) = source.next(rest);
        if let Piece::Content(range) = &piece {
            let taken = content.take(&rest[range.clone()], cx);
            if taken < range.len() {
                // The header ends here: the rest is given again after the gate was asked.
                source = before;
                (n, piece) = source.next(&rest[..range.start + taken]);
            }
        }
        self.state = State::Content(source);
        match piece {
            Piece::More => (n, Some(Action::Read)),
            Piece::End => {
                self.source_ended(source, cx);
                (n, None)
            }
            Piece::Content(range) => (n, self.hand_on(range, used, kept)),
        }
    }

    fn hand_on(&mut self, range: Range<usize>, used: usize, kept: bool) -> Option<Action> {
        self.octets += range.len() as u64;
        match &self.progress {
            Progress::Content(content) if content.is_kept() => {
                Some(Action::Body(used + range.start..used + range.end))
            }
            _ => kept.then_some(Action::Abort),
        }
    }

    fn source_ended(&mut self, source: Source, cx: &Context<'_>) {
        let Progress::Content(content) = &mut self.progress else { return };
        if matches!(source, Source::Chunk { last: false, .. }) {
            return self.chunk_ended(cx);
        }
        let kept = content.is_kept();
        content.scanner.finish();
        content.check(cx);
        if kept && !content.is_kept() {
            self.outbox.push_back(Out::Abort);
        }
        if content.wants_judgement() {
            // No empty line: the header is all there is.
            content.judged = true;
            return self.ask(Question::Body(None));
        }
        self.conclude(cx);
    }

    fn chunk_ended(&mut self, cx: &Context<'_>) {
        self.await_command(cx);
        match self.refusal() {
            Some(reply) => {
                self.progress = Progress::Spoiled(reply.clone());
                self.refuse_message(reply);
            }
            None => self.outbox.push_back(Out::Reply(replies::CHUNK_OK)),
        }
    }

    fn refusal(&self) -> Option<Reply> {
        match &self.progress {
            Progress::Content(content) => match &content.fate {
                Fate::Refused(reply) => Some(reply.clone()),
                Fate::Kept | Fate::Discarded => None,
            },
            _ => None,
        }
    }

    /// The content is complete: the last question, or the reply.
    pub(super) fn conclude(&mut self, cx: &Context<'_>) {
        if matches!(&self.progress, Progress::Content(content) if content.is_kept()) {
            return self.ask(Question::Dot);
        }
        let refusal = self.refusal();
        self.progress = Progress::None;
        self.await_command(cx);
        match refusal {
            Some(reply) => self.refuse_message(reply),
            None => self.outbox.push_back(Out::Reply(replies::OK)),
        }
    }

    /// Swallows a refused chunk.
    pub(super) fn swallow_chunk(
        &mut self,
        rest: &[u8],
        left: u64,
        cx: &Context<'_>,
    ) -> (usize, Option<Action>) {
        let n = at_most(rest.len(), left);
        let State::Waste { left, reply } = &mut self.state else { return (0, None) };
        *left -= n as u64;
        if *left > 0 {
            return (n, Some(Action::Read));
        }
        let reply = reply.clone();
        self.await_command(cx);
        self.say(reply, cx);
        (n, None)
    }
}
