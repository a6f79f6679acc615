//! Held sessions: what happens between a machine's question at the gate and its answer.
//!
//! ```text
//!   Ask ─▶ breakpoint? ─▶ fault? ─▶ rules ─▶ verdict
//!             │ yes         ▲
//!             ▼             │ go, step, its time is up, the server ends
//!            Held ──────────┘
//!             └─ reply, drop ─▶ verdict of somebody's own
//! ```
//!
//! To hold a session is not to answer its machine yet. It takes no input then and sends nothing
//! (I4), its own time-outs rest, and all others go on. What is held is a state with a timer: the
//! other side waits for us, and is not kept waiting for longer than RFC 5321 lets it expect. That
//! it has gone meanwhile shows by the end of its stream, which is looked for without taking input.

use std::time::Duration;

use super::core::{Core, Role};
use super::inbound::{After, Inbound};
use super::link::{Input, Link};
use super::net::Net;
use super::outbound::Outbound;
use crate::base::{Now, Printable, Recipient, Reply, SessionId, Time, cause, show_duration};
use crate::journal::What;
use crate::rules::{
    At, Breakpoints, Faults, MAX_HEADER, Moment, Place, Rcpts, longest_hold, may_say, patience,
};
use crate::smtp::server::Context;
use crate::smtp::{Facts, Hidden, Stage, Verdict};
use crate::spool::Disk;

/// Sessions that are held at once; others go on.
pub const MAX_HELD: usize = 100;
/// Octets that are looked at behind a held session, once its peer has ended its side.
const BEHIND: usize = 16 * 1024;

/// What the core knows of held sessions.
pub struct Debug {
    /// Where sessions are held.
    pub breakpoints: Breakpoints,
    /// How many are.
    pub held: usize,
    /// What goes wrong on purpose.
    pub faults: Faults,
}

impl Debug {
    /// Nobody debugs yet.
    pub fn new(seed: u64) -> Debug {
        Debug { breakpoints: Breakpoints::none(), held: 0, faults: Faults::new(seed) }
    }

    /// Nothing is to be asked: the way of all mail while nobody debugs.
    pub fn is_quiet(&self) -> bool {
        self.breakpoints.is_empty() && self.faults.is_empty()
    }
}

/// A session that is held.
#[derive(Clone, Debug)]
pub struct Held {
    /// At which stage.
    pub stage: Stage,
    /// By which breakpoint; `step`.
    pub by: Box<str>,
    /// Since when.
    pub since: Time,
    /// When it is let go by itself.
    pub until: Time,
    /// How long the other side waits.
    pub patience: Duration,
    /// How long it may be held.
    pub longest: Duration,
    /// What is about to be said, or answered.
    pub about: Printable,
}

impl Held {
    /// Until when it may be held at all.
    pub fn last_until(&self) -> Time {
        self.since.after(self.longest)
    }
}

/// What is known of a connection beyond its protocol, while somebody looks at it.
#[derive(Default, Debug)]
pub struct Watched {
    /// It is held.
    pub held: Option<Held>,
    /// It is to be held at its next stage.
    pub steps: bool,
    /// This is said in the place of the real answer, and is to be marked.
    pub injected: Option<Reply>,
    /// A fault lets it wait.
    pub delayed: Option<Delayed>,
    /// What a fault hides of the answers to EHLO.
    pub hidden: Hidden,
    /// The reply that comes next is one of those.
    pub strips: bool,
    /// What rules may ask of the message that comes.
    pub seen: Seen,
}

/// What is kept of a message that comes, while somebody debugs.
#[derive(Default, Debug)]
pub struct Seen {
    recipients: Vec<Recipient>,
    /// Its beginning: the header, and perhaps more.
    header: Vec<u8>,
}

impl Seen {
    /// Content begins.
    pub(super) fn begin(recipients: &[Recipient]) -> Seen {
        Seen { recipients: recipients.to_vec(), header: Vec::new() }
    }

    /// Content comes; nothing is kept of one that began when nobody debugged.
    pub(super) fn look_at(&mut self, octets: &[u8]) {
        if !self.recipients.is_empty() {
            let room = MAX_HEADER - self.header.len();
            self.header.extend_from_slice(&octets[..octets.len().min(room)]);
        }
    }
}

/// A question that a fault lets wait.
#[derive(Debug)]
pub struct Delayed {
    /// At which stage.
    pub stage: Stage,
    /// Until when.
    pub until: Time,
    /// What is said then; else what the rules say.
    pub reply: Option<Reply>,
}

impl Watched {
    /// There is something to keep.
    fn is_used(&self) -> bool {
        self.held.is_some()
            || self.steps
            || self.injected.is_some()
            || self.delayed.is_some()
            || !self.hidden.is_empty()
            || !self.seen.recipients.is_empty()
    }

    /// When what waits goes on by itself.
    fn until(&self) -> Option<Time> {
        let held = self.held.as_ref().map(|held| held.until);
        held.or(self.delayed.as_ref().map(|delayed| delayed.until))
    }
}

/// Why a held session goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Release {
    /// `go`
    Go,
    /// `step`
    Step,
    /// `reply`
    Reply(Reply),
    /// `drop`
    Drop,
    /// Nobody said anything in time.
    Time,
    /// The other side has ended its stream.
    PeerEnded,
    /// The server ends.
    Ending,
}

impl Release {
    /// What a delay of a fault is ended by, too.
    fn goes_on(&self) -> bool {
        !matches!(self, Release::Reply(_) | Release::Drop | Release::Step)
    }

    /// What is said of it.
    fn what(&self) -> What<'static> {
        match self {
            Release::Go => What::Held("goes on"),
            Release::Step => What::Held("goes on to its next stage"),
            Release::Reply(_) => What::Injected("gets a reply by hand"),
            Release::Drop => What::Injected("dropped by hand"),
            Release::Time => What::Held("its time is up: goes on by itself"),
            Release::PeerEnded => What::Held("the other side has ended its stream: goes on"),
            Release::Ending => What::Held("the server ends: goes on"),
        }
    }
}

/// What a connection has to tell for its being held.
pub(super) struct Question<'a> {
    pub id: SessionId,
    pub place: Place,
    pub stage: Stage,
    pub facts: Facts<'a>,
    /// Outbound: the next server's name.
    pub next: Option<&'a str>,
    /// Those of the message.
    pub recipients: &'a [Recipient],
    /// The header of the message, as far as it has come.
    pub header: &'a [u8],
}

impl<'a> Question<'a> {
    /// The moment as rules see it.
    pub(super) fn moment(&self) -> Moment<'a> {
        let mut moment = Moment::new(self.stage, self.place, self.id, &self.facts);
        moment.fields.next = self.next;
        moment.fields.header = self.header;
        if self.facts.rcpt.is_none() && !self.recipients.is_empty() {
            moment.fields.rcpt = Rcpts::All(self.recipients);
        }
        moment
    }
}

impl<D: Disk> Core<D> {
    /// Whether a session is to be held, and how.
    pub(super) fn stop(&mut self, watched: &mut Watched, q: &Question<'_>, now: Now) -> bool {
        let steps = std::mem::take(&mut watched.steps);
        if self.is_draining() {
            return false;
        }
        let by: Box<str> = match self.debug.breakpoints.stop(&q.moment()) {
            Some(name) => name.into(),
            None if steps => "step".into(),
            None => return false,
        };
        if self.debug.held >= MAX_HELD {
            let words = format!("{by}: not held, since {MAX_HELD} sessions are");
            self.note(now, Some(q.id), None, What::Held(&words));
            return false;
        }
        let about = self.about(q);
        let longest = longest_hold(q.stage, q.place);
        let (id, stage) = (q.id, q.stage.name());
        let words = format!(
            "held at {stage} by {by}, {} {about}; for {} at most: go {id}, step {id}, reply {id} \
             CODE TEXT, drop {id}, delay {id} T",
            if q.place == Place::Out { "before" } else { "before the answer to" },
            show_duration(longest),
        );
        self.note(now, Some(id), None, What::Held(&words));
        self.debug.held += 1;
        watched.held = Some(Held {
            stage: q.stage,
            by,
            since: now.time,
            until: now.time.after(longest),
            patience: patience(q.stage, q.place),
            longest,
            about,
        });
        true
    }

    /// What is about to be said, or answered.
    pub(super) fn about(&self, q: &Question<'_>) -> Printable {
        match q.place {
            Place::Out => about_to_say(q),
            _ => self.about_to_answer(q),
        }
    }

    /// What the client is to be answered.
    fn about_to_answer(&self, q: &Question<'_>) -> Printable {
        match q.stage {
            Stage::Connect => Printable::new("its connection"),
            Stage::Body => Printable::new("the header"),
            Stage::Dot => Printable::new(format!("a message of {} octets", q.facts.size)),
            _ => Printable::bounded(self.journal.last_command(q.id).unwrap_or_default(), 200),
        }
    }

    /// A session is held no longer.
    fn unhold(&mut self, watched: &mut Option<Box<Watched>>) -> Option<Held> {
        let held = watched.as_mut()?.held.take()?;
        self.debug.held -= 1;
        Some(held)
    }
}

/// What a next server is to be told.
fn about_to_say(q: &Question<'_>) -> Printable {
    let path = |address: Option<&str>| format!("<{}>", address.unwrap_or(""));
    let text = match q.stage {
        Stage::Connect => "its greeting is read".to_owned(),
        Stage::Helo => format!("EHLO or HELO {}", q.facts.helo.unwrap_or("")),
        Stage::Mail => {
            let from = q.facts.from.flatten();
            format!("MAIL FROM:{}", path(from.map(|from| from.as_str())))
        }
        Stage::Rcpt => format!("RCPT TO:{}", path(q.facts.rcpt.map(|rcpt| rcpt.as_str()))),
        Stage::Data => "DATA".to_owned(),
        Stage::Bdat => format!("BDAT {}", q.facts.size),
        Stage::Dot => format!("the end of a message of {} octets", q.facts.size),
        stage => stage.name().to_ascii_uppercase(),
    };
    Printable::bounded(text, 200)
}

/// The end of a stream, looked for behind a session that takes no input.
enum Behind {
    /// There is none, as far as one can see.
    Nothing,
    /// The other side has ended; more input lies before that.
    EndedAfterInput,
    /// The other side has ended, and nothing lies before that.
    Gone,
    /// The connection broke.
    Broken(std::io::Error),
}

/// Takes what lies before the end of the stream into `input`, once the kernel has said that there
/// is an end: so much, and no more, that it is known whether somebody still waits for an answer.
fn look_behind<N: Net>(
    link: &mut Link<N::Stream>,
    net: &mut N,
    input: &mut Vec<u8>,
    scratch: &mut [u8],
) -> Behind {
    while link.is_read_closed() && link.is_readable() && input.len() < BEHIND {
        let most = scratch.len().min(BEHIND);
        match link.read(net, &mut scratch[..most]) {
            Ok(Input::Octets(n)) => input.extend_from_slice(&scratch[..n]),
            Ok(Input::Dry) => {}
            Ok(Input::End) if input.is_empty() => return Behind::Gone,
            Ok(Input::End) => return Behind::EndedAfterInput,
            Err(e) => return Behind::Broken(e),
        }
    }
    if input.len() < BEHIND || !link.is_read_closed() {
        Behind::Nothing
    } else {
        Behind::EndedAfterInput
    }
}

/// What a person may say of a held session on either leg.
fn check(held: &Held, place: Place, release: &Release) -> Result<(), String> {
    match release {
        Release::Reply(reply) => may_say(At::Stage(held.stage), Some(place), reply),
        _ => Ok(()),
    }
}

impl<S, F> Inbound<S, F> {
    pub(super) fn place(&self) -> Place {
        if self.role == Role::Sink { Place::Sink } else { Place::In }
    }

    /// It is held.
    pub fn held(&self) -> Option<&Held> {
        self.watched.as_ref()?.held.as_ref()
    }

    /// Until when it is held, or delayed by a fault.
    pub(super) fn waits_until(&self) -> Option<Time> {
        self.watched.as_ref()?.until()
    }

    /// What is asked, for those who look at it.
    pub(super) fn question<'a>(&'a self, stage: Stage, seen: &'a Seen) -> Question<'a> {
        let (facts, header) = (self.session.facts(), &seen.header);
        let named = self.session.named_recipients();
        let recipients = if named.is_empty() { &seen.recipients } else { named };
        let place = self.place();
        Question { id: self.id, place, stage, facts, next: None, recipients, header }
    }

    /// What was seen of the message; the caller gives it back.
    pub(super) fn take_seen(&mut self) -> Seen {
        self.watched.as_mut().map(|watched| std::mem::take(&mut watched.seen)).unwrap_or_default()
    }

    /// The machine asks: it is answered, or has to wait (true).
    pub(super) fn waits_at_gate<D: Disk<File = F>>(
        &mut self,
        core: &mut Core<D>,
        now: Now,
        stage: Stage,
    ) -> bool {
        if core.debug.is_quiet() && self.watched.is_none() {
            self.answer(core, now, stage, None);
            return false;
        }
        let mut watched = self.watched.take().unwrap_or_default();
        let seen = std::mem::take(&mut watched.seen);
        let stopped = core.stop(&mut watched, &self.question(stage, &seen), now);
        watched.seen = seen;
        self.watched = watched.is_used().then_some(watched);
        stopped || self.pass(core, now, stage)
    }

    /// Lets a held session go on, or says why it cannot. The caller gives it a turn.
    pub(super) fn let_go<D: Disk<File = F>>(
        &mut self,
        core: &mut Core<D>,
        release: &Release,
        now: Now,
    ) -> Result<(), String> {
        match self.held() {
            Some(held) => check(held, self.place(), release)?,
            None if self.waits_until().is_some() && release.goes_on() => {
                self.end_delay(core, now);
                return Ok(());
            }
            None => return Err(format!("{} is not held", self.id)),
        }
        let Some(held) = core.unhold(&mut self.watched) else { return Ok(()) };
        self.narrate(core, now, release.what());
        match release {
            Release::Reply(reply) => self.answer(core, now, held.stage, Some(reply.clone())),
            Release::Drop => {
                let cx = Context { config: core.session_config(self.role), now };
                self.session.verdict(Verdict::Drop, &cx);
            }
            _ => {
                self.pass(core, now, held.stage);
                // After that: what is to be done now is past its breakpoint.
                if *release == Release::Step {
                    self.watch().steps = true;
                }
            }
        }
        Ok(())
    }

    /// What is kept of a session that somebody looks at.
    pub(super) fn watch(&mut self) -> &mut Watched {
        self.watched.get_or_insert_default()
    }

    /// Lets go of a session that ends.
    pub(super) fn forget_hold<D: Disk<File = F>>(&mut self, core: &mut Core<D>) {
        core.unhold(&mut self.watched);
    }

    /// A held session looks whether its client is still there; none when it goes on.
    pub(super) fn wait_held<N: Net<Stream = S>, D: Disk<File = F>>(
        &mut self,
        net: &mut N,
        core: &mut Core<D>,
        now: Now,
        scratch: &mut [u8],
    ) -> Option<After> {
        if self.waits_until().is_none() {
            return Some(self.rest(net));
        }
        match look_behind(&mut self.link, net, &mut self.input, scratch) {
            Behind::Nothing => Some(self.rest(net)),
            Behind::Gone => {
                self.why = "the client closed the connection while it was held".into();
                Some(After::Gone)
            }
            Behind::EndedAfterInput => {
                self.ended = true;
                let _ = self.let_go(core, &Release::PeerEnded, now);
                None
            }
            Behind::Broken(e) => Some(self.broken(&e)),
        }
    }
}

impl<S> Outbound<S> {
    /// It is held.
    pub fn held(&self) -> Option<&Held> {
        self.watched.as_ref()?.held.as_ref()
    }

    /// What is kept of a session that somebody looks at.
    pub(super) fn watch(&mut self) -> &mut Watched {
        self.watched.get_or_insert_default()
    }

    /// Until when it is held, or delayed by a fault.
    pub(super) fn waits_until(&self) -> Option<Time> {
        self.watched.as_ref()?.until()
    }

    /// What is asked, for those who look at it.
    pub(super) fn question<'a>(
        &'a self,
        stage: Stage,
        (next, recipients): &'a (String, Vec<Recipient>),
    ) -> Question<'a> {
        let (facts, next, place) = (self.session.facts(), Some(next.as_str()), Place::Out);
        Question { id: self.id, place, stage, facts, next, recipients, header: &[] }
    }

    /// The next server's name, and the recipients of what is carried there.
    pub(super) fn way<D: Disk>(&self, core: &Core<D>) -> (String, Vec<Recipient>) {
        let order = self.session.transaction();
        let all = order.into_iter().flat_map(|order| &order.recipients);
        let recipients = all.map(|(_, recipient)| recipient.clone()).collect();
        (core.server(self.server).name.clone(), recipients)
    }

    /// The machine asks: it is answered, unless it has to wait.
    pub(super) fn meet_gate<D: Disk>(&mut self, core: &mut Core<D>, now: Now, stage: Stage) {
        if core.debug.is_quiet() && self.watched.is_none() {
            return self.answer(stage, now, None);
        }
        let mut watched = self.watched.take().unwrap_or_default();
        let way = self.way(core);
        let stopped = core.stop(&mut watched, &self.question(stage, &way), now);
        self.watched = watched.is_used().then_some(watched);
        if !stopped {
            self.pass(core, now, stage);
        }
    }

    /// Lets a held session go on, or says why it cannot. The caller gives it a turn.
    pub(super) fn let_go<D: Disk>(
        &mut self,
        core: &mut Core<D>,
        release: &Release,
        now: Now,
    ) -> Result<(), String> {
        match self.held() {
            Some(held) => check(held, Place::Out, release)?,
            None if self.waits_until().is_some() && release.goes_on() => {
                self.end_delay(now);
                return Ok(());
            }
            None => return Err(format!("{} is not held", self.id)),
        }
        let Some(held) = core.unhold(&mut self.watched) else { return Ok(()) };
        core.note(now, Some(self.id), None, release.what());
        match release {
            Release::Reply(reply) => {
                self.tell_injected(core, now, reply, &held.about);
                self.answer(held.stage, now, Some(reply.clone()));
            }
            Release::Drop => self.session.verdict(Verdict::Drop, now.time),
            _ => {
                self.pass(core, now, held.stage);
                if *release == Release::Step {
                    self.watch().steps = true;
                }
            }
        }
        Ok(())
    }

    /// A reply that no server gave is no line of the dialogue; it is told as what it is.
    pub(super) fn tell_injected<D: Disk>(
        &self,
        core: &mut Core<D>,
        now: Now,
        reply: &Reply,
        about: &Printable,
    ) {
        let reply = Printable::bounded(reply.on_one_line(), 400);
        let words = format!("by hand: {reply}, as if the next server had said it to {about}");
        core.note(now, Some(self.id), None, What::Injected(&words));
    }

    /// Lets go of a session that ends.
    pub(super) fn forget_hold<D: Disk>(&mut self, core: &mut Core<D>) {
        core.unhold(&mut self.watched);
        self.watched = None;
    }

    /// A machine that waits at the gate takes no input; it looks only whether the next server is
    /// still there. None when it goes on.
    pub(super) fn wait_held<N: Net<Stream = S>, D: Disk>(
        &mut self,
        net: &mut N,
        core: &mut Core<D>,
        now: Now,
        scratch: &mut [u8],
    ) -> Option<After> {
        match look_behind(&mut self.link, net, &mut self.input, scratch) {
            Behind::Nothing => return Some(After::Wait),
            // Its last words are heard before anything is said.
            Behind::EndedAfterInput => drop(self.let_go(core, &Release::PeerEnded, now)),
            Behind::Gone => self.lost(core, now, "the next server closed it while it was held"),
            Behind::Broken(e) => self.lost(core, now, &cause(&e)),
        }
        None
    }
}
