//! The inbound leg: one client's connection between its socket and its [`ServerSession`].
//!
//! A turn reads what is there, lets the machine step through it, and acts on what the machine
//! says, until the socket is dry, the machine waits (at the gate or for the commit), the client
//! does not take our replies, or the turn's budget is spent. A machine that waits takes no input:
//! what a pipelining client has sent meanwhile stays in `input` or in the kernel.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;

use super::core::{Core, Role};
use super::filtering::Asked;
use super::hold::{Release, Seen, Watched};
use super::link::{Input, Link, Phase};
use super::net::Net;
use super::shares::{Credit, HANDSHAKE, STEP, Share, TURN};
use super::store::Storing;
use super::tls::Tls;
use crate::base::{Envelope, MessageId, Now, Reply, SessionId, Time};
use crate::journal::{Mark, Side, What};
use crate::rules::filter::Passage;
use crate::smtp::server::{Action, Context, ServerSession, TOO_MANY_LOGINS};
use crate::smtp::{Stage, Verdict};
use crate::spool::Disk;

/// Octets of commands read at once. What waits behind a client that does not read its replies is
/// kept, so it is kept small; content answers nothing before its end, and is read as it comes.
const COMMANDS: usize = 4 * 1024;
/// An octet of a reply is as much work as so many of content: it is made, sent, and written into
/// the transcript.
const REPLY_WEIGHT: usize = 4;

/// What a connection wants after its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// An event or a timer.
    Wait,
    /// Another turn, soon.
    Again,
    /// Another turn, when those who are busy have theirs: its share was spent, not its input.
    Spent,
    /// To be removed.
    Gone,
}

impl After {
    /// What a connection that only waits wants instead.
    fn or(self, other: After) -> After {
        if self == After::Wait { other } else { self }
    }
}

/// A client's connection.
pub struct Inbound<S, F> {
    /// `i7`.
    pub id: SessionId,
    /// The client.
    pub peer: SocketAddr,
    /// Relay or sink.
    pub role: Role,
    /// The socket.
    pub link: Link<S>,
    /// The machine.
    pub session: ServerSession,
    /// Octets that were read and not taken yet: part of a line, or what waits behind the gate.
    pub(super) input: Vec<u8>,
    pub(super) gear: Gear,
    storing: Option<Storing<F>>,
    /// What the filters have counted of the transaction.
    passage: Passage,
    /// Why it ended, for the journal.
    pub why: Cow<'static, str>,
    /// The client has shut down its side.
    pub(super) ended: bool,
    /// Somebody looks at this session; else nothing is kept for that.
    pub(super) watched: Option<Box<Watched>>,
    /// What it may do before it counts as busy.
    pub(super) credit: Credit,
}

/// Whether the machine may be stepped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gear {
    /// It may.
    Steps,
    /// Its message is in the coming commit.
    AwaitsCommit,
    /// Not before a proxy has said whose connection it is.
    Header {
        /// When to give up.
        until: Time,
    },
}

/// What stopped a run of steps.
pub(super) enum Stop {
    /// The machine wants more input.
    Read,
    /// The machine waits for the gate or the commit.
    Waits,
    /// Something is to be computed, in a later tick.
    Busy,
    /// The turn's share is spent.
    Spent,
    /// The client does not take our replies.
    High,
    /// TLS begins.
    Secure,
    /// The session is over.
    Over,
}

impl<S, F> Inbound<S, F> {
    /// A session for a connection that was just accepted.
    pub fn new(id: SessionId, peer: SocketAddr, role: Role, link: Link<S>, cx: &Context) -> Self {
        let tls = !link.transport.is_plain();
        Inbound {
            id,
            peer,
            role,
            link,
            session: ServerSession::new(peer, tls, cx),
            input: Vec::new(),
            gear: Gear::Steps,
            storing: None,
            passage: Passage::default(),
            why: "closed".into(),
            ended: false,
            watched: None,
            credit: Credit::new(cx.now.time),
        }
    }

    /// What a turn may do that is paid from the client's credit. A command at least: who waited
    /// for us, at the gate or for the commit, is answered at once.
    pub(super) fn share(&mut self, now: Time) -> Share {
        Share::of(self.credit.left(now).max(4 * STEP))
    }

    /// The connection's share of a tick.
    pub fn turn<N: Net<Stream = S>, D: Disk<File = F>>(
        &mut self,
        net: &mut N,
        core: &mut Core<D>,
        now: Now,
        scratch: &mut [u8],
        share: &mut Share,
    ) -> After {
        self.link.refill(now.time);
        loop {
            if let Phase::Handshake { .. } = self.link.phase {
                share.spend(if self.link.is_readable() { HANDSHAKE } else { STEP });
                if let Some(after) = self.handshake(net, core, now) {
                    return after;
                }
            }
            if let Some(after) = self.converse(net, core, now, scratch, share) {
                return after;
            }
            match self.link.phase {
                Phase::Handshake { .. } => self.drop_clear(core, now),
                _ => return self.wind_down(net, now, scratch, share),
            }
        }
    }

    /// Goes on with the TLS handshake; none when it is over.
    fn handshake<N: Net<Stream = S>, D: Disk<File = F>>(
        &mut self,
        net: &mut N,
        core: &mut Core<D>,
        now: Now,
    ) -> Option<After> {
        match self.link.handshake(net, now.time) {
            Ok(false) => return Some(After::Wait),
            Err(e) => {
                core.journal.trace(now, Some(self.id), "tls", &format!("no TLS: {e}"));
                return Some(self.broken(&e));
            }
            Ok(true) => {}
        }
        let facts = self.link.transport.tls().map(|tls| tls.facts()).unwrap_or_default();
        core.journal.trace(now, Some(self.id), "tls", &facts);
        self.narrate(core, now, What::Remark(&facts));
        if let Some(binding) = self.link.transport.tls().and_then(|tls| tls.binding()) {
            self.session.bind(binding);
        }
        if self.session.awaits_tls() {
            let cx = Context { config: core.session_config(self.role), now };
            self.session.tls_started(&cx);
        }
        None
    }

    /// Reads, steps and acts while the link is open; none when it is no longer.
    fn converse<N: Net<Stream = S>, D: Disk<File = F>>(
        &mut self,
        net: &mut N,
        core: &mut Core<D>,
        now: Now,
        scratch: &mut [u8],
        share: &mut Share,
    ) -> Option<After> {
        let mut stop = self.resume(core, now, share);
        while self.link.phase == Phase::Open {
            match stop {
                Stop::Over | Stop::Secure => break,
                Stop::High if self.flush(net).is_some() => stop = self.resume(core, now, share),
                Stop::High => return Some(self.rest(net)),
                Stop::Waits => match self.wait_held(net, core, now, scratch) {
                    Some(after) => return Some(after),
                    None => stop = self.resume(core, now, share),
                },
                Stop::Busy => return Some(self.rest(net).or(After::Again)),
                Stop::Spent => return Some(self.rest(net).or(After::Spent)),
                Stop::Read if self.ended => {
                    // Half-closed: all that was sent has been answered.
                    self.why = "the client closed the connection".into();
                    self.link.close(now.time);
                }
                Stop::Read if !self.link.is_readable() => return Some(self.rest(net)),
                Stop::Read if share.is_spent() => return Some(self.rest(net).or(After::Spent)),
                Stop::Read => match self.link.read(net, self.portion(scratch)) {
                    Ok(Input::Octets(n)) => stop = self.feed(core, now, &scratch[..n], share),
                    Ok(Input::Dry) => {}
                    Ok(Input::End) => self.ended = true,
                    Err(e) => return Some(self.broken(&e)),
                },
            }
        }
        None
    }

    /// The timer of the session or of its closing link.
    pub fn timeout<D: Disk<File = F>>(&mut self, core: &mut Core<D>, now: Now) {
        if self.waits_until().is_some_and(|until| until <= now.time) {
            let _ = self.let_go(core, &Release::Time, now);
            return;
        }
        if self.link.phase == Phase::Open && self.session.deadline() <= now.time {
            let cx = Context { config: core.session_config(self.role), now };
            self.session.timeout(&cx);
            if self.link.output.is_high() {
                // A client that does not read would never come to the reply that says so.
                self.why = "timeout: the client does not read".into();
                self.link.close(now.time);
            }
        }
    }

    /// The commit of this session's message is through, or failed.
    pub fn committed<D: Disk<File = F>>(
        &mut self,
        core: &Core<D>,
        result: Result<MessageId, Reply>,
        now: Now,
    ) {
        let cx = Context { config: core.session_config(self.role), now };
        self.session.committed(result, &cx);
        self.gear = Gear::Steps;
    }

    /// When the connection wants its next turn, whatever happens.
    pub fn deadline(&self) -> Time {
        let own = match self.link.phase {
            Phase::Open => match self.gear {
                Gear::Header { until } => until,
                _ => self.waits_until().unwrap_or(self.session.deadline()),
            },
            _ => self.link.deadline(),
        };
        own.min(self.link.trouble_due())
    }

    /// The server is ending.
    pub fn shutdown<D: Disk<File = F>>(&mut self, core: &mut Core<D>, now: Now) {
        let cx = Context { config: core.session_config(self.role), now };
        self.session.shutdown(&cx);
        // Without a hold there is nothing to let go.
        let _ = self.let_go(core, &Release::Ending, now);
    }

    /// The server ends now: a last word, as far as the socket takes it at once (RFC 5321 section
    /// 3.8).
    pub fn expel<N: Net<Stream = S>, D: Disk<File = F>>(
        &mut self,
        net: &mut N,
        core: &mut Core<D>,
        now: Now,
    ) {
        self.session.end();
        self.resume(core, now, &mut Share::whole());
        // Who does not take it now has had its time.
        let _ = self.flush(net);
    }

    /// Nothing is left to be said.
    pub fn is_over(&self) -> bool {
        self.link.phase != Phase::Open && self.link.is_flushed()
    }

    /// Lets go of what the connection holds outside itself.
    pub fn release<D: Disk<File = F>>(&mut self, core: &mut Core<D>) {
        self.forget_hold(core);
        self.abort(core);
    }

    /// Where to read to.
    fn portion<'a>(&self, scratch: &'a mut [u8]) -> &'a mut [u8] {
        let content = self.session.is_in_content() || self.storing.is_some();
        let most = if content { TURN } else { COMMANDS };
        let most = most.min(scratch.len());
        &mut scratch[..most]
    }

    fn wind_down<N: Net<Stream = S>>(
        &mut self,
        net: &mut N,
        now: Now,
        scratch: &mut [u8],
        share: &mut Share,
    ) -> After {
        if self.link.wind_down(net, now.time, scratch) {
            After::Gone
        } else if self.link.is_readable() {
            share.spend(TURN);
            After::Spent
        } else {
            After::Wait
        }
    }

    /// Runs the machine over fresh octets; no copy when none were left from before.
    fn feed<D: Disk<File = F>>(
        &mut self,
        core: &mut Core<D>,
        now: Now,
        fresh: &[u8],
        share: &mut Share,
    ) -> Stop {
        if !self.input.is_empty() {
            self.input.extend_from_slice(fresh);
            return self.resume(core, now, share);
        }
        let (taken, stop) = self.run(core, now, fresh, share);
        self.input.extend_from_slice(&fresh[taken..]);
        stop
    }

    /// Runs the machine over what was left; an idle session owns no buffer.
    fn resume<D: Disk<File = F>>(
        &mut self,
        core: &mut Core<D>,
        now: Now,
        share: &mut Share,
    ) -> Stop {
        let mut kept = std::mem::take(&mut self.input);
        let (taken, stop) = self.run(core, now, &kept, share);
        if taken < kept.len() {
            kept.drain(..taken);
            self.input = kept;
        }
        stop
    }

    /// Steps until the machine stops; says how much of `input` it took, and why it stopped.
    fn run<D: Disk<File = F>>(
        &mut self,
        core: &mut Core<D>,
        now: Now,
        input: &[u8],
        share: &mut Share,
    ) -> (usize, Stop) {
        let mut at = 0;
        while self.link.phase == Phase::Open {
            if self.gear == Gear::AwaitsCommit {
                return (at, Stop::Waits);
            }
            if self.link.output.is_high() {
                return (at, Stop::High);
            }
            if share.is_spent() {
                return (at, Stop::Spent);
            }
            let before = self.link.output.len();
            let cx = Context { config: core.session_config(self.role), now };
            let (taken, action) = self.session.step(&input[at..], &cx);
            let stop = self.act(core, now, action, &input[at..]);
            at += taken;
            let said = self.link.output.len().saturating_sub(before);
            share.spend(STEP + taken + REPLY_WEIGHT * said);
            if let Some(stop) = stop {
                return (at, stop);
            }
        }
        (at, Stop::Over)
    }

    /// Does what the machine says.
    fn act<D: Disk<File = F>>(
        &mut self,
        core: &mut Core<D>,
        now: Now,
        action: Action,
        input: &[u8],
    ) -> Option<Stop> {
        match action {
            // While a failed login is slowed down.
            Action::Read if self.session.is_waiting() => return Some(Stop::Waits),
            Action::Read => return Some(Stop::Read),
            Action::Ask(Stage::Auth) if core.logins.is_barred(self.peer.ip(), now.time) => {
                let cx = Context { config: core.session_config(self.role), now };
                self.session.verdict(Verdict::Refuse(TOO_MANY_LOGINS), &cx);
            }
            Action::Ask(stage) if self.waits_at_gate(core, now, stage) => return Some(Stop::Waits),
            Action::Ask(_) => {}
            Action::Reply(reply) => self.reply(core, now, &reply),
            Action::Heard(range) => self.heard(core, now, &input[range]),
            Action::HeardSecret(text) => self.heard(core, now, &text),
            Action::Begin(envelope) => self.begin(core, now, &envelope),
            Action::Body(range) => self.store(core, &input[range]),
            Action::Abort => self.abort(core),
            Action::Refused(reply) => self.narrate(core, now, What::Refused { reply: &reply }),
            Action::Commit => {
                self.commit(core, now);
                return Some(Stop::Waits);
            }
            Action::StartTls => {
                self.start_tls(core, now);
                return Some(Stop::Secure);
            }
            Action::Close(why) => {
                self.why = why.into();
                self.link.close(now.time);
                return Some(Stop::Over);
            }
            login => return self.log_in(core, now, login),
        }
        None
    }

    /// What the rules say.
    pub(super) fn decide<D: Disk<File = F>>(
        &mut self,
        core: &mut Core<D>,
        now: Now,
        stage: Stage,
    ) -> Verdict {
        let asked = Asked {
            session: self.id,
            role: self.role,
            now,
            passage: &mut self.passage,
            storing: self.storing.as_mut(),
        };
        core.decide(stage, &self.session.facts(), asked)
    }

    /// The client was told to begin TLS. A certificate that was taken away meanwhile, or a rustls
    /// that does not want to, ends the connection.
    fn start_tls<D: Disk<File = F>>(&mut self, core: &mut Core<D>, now: Now) {
        core.journal.trace(now, Some(self.id), "tls", "handshake begins after STARTTLS");
        let made = match core.certificate() {
            Some(config) => self.link.secure(now.time, |stream| Tls::server(stream, &config)),
            None => Err(io::ErrorKind::Unsupported.into()),
        };
        if let Err(e) = made {
            self.why = format!("no TLS: {e}").into();
            self.link.phase = Phase::Open;
            self.link.close(now.time);
        }
    }

    /// What came behind STARTTLS came in the clear, from anybody (RFC 3207 section 5).
    fn drop_clear<D: Disk<File = F>>(&mut self, core: &mut Core<D>, now: Now) {
        let dropped = std::mem::take(&mut self.input).len();
        if dropped > 0 {
            let remark = format!("{dropped} octets behind STARTTLS were dropped unread");
            self.narrate(core, now, What::Remark(&remark));
        }
    }

    fn reply<D: Disk<File = F>>(&mut self, core: &mut Core<D>, now: Now, reply: &Reply) {
        let mark = self.mark_of(reply);
        let stripped = self.stripped(reply);
        let reply = stripped.as_ref().unwrap_or(reply);
        let start = self.link.output.tail().len();
        reply.write_to(self.link.output.tail());
        // Each line of the reply is a line of the transcript.
        for text in self.link.output.tail()[start..].split(|b| *b == b'\n') {
            if let Some(text) = text.strip_suffix(b"\r") {
                if core.tells_of(self.role) {
                    let tls = self.session.is_tls();
                    let what = What::Line { side: Side::Server, tls, text, mark };
                    core.note(now, Some(self.id), None, what);
                }
            }
        }
    }

    /// Whether this reply is another than the real one.
    fn mark_of(&mut self, reply: &Reply) -> Mark {
        match &mut self.watched {
            Some(watched) if watched.injected.as_ref() == Some(reply) => {
                watched.injected = None;
                Mark::Injected
            }
            _ => Mark::Plain,
        }
    }

    fn heard<D: Disk<File = F>>(&self, core: &mut Core<D>, now: Now, text: &[u8]) {
        self.narrate(core, now, line(Side::Client, self.session.is_tls(), text));
    }

    pub(super) fn narrate<D: Disk<File = F>>(&self, core: &mut Core<D>, now: Now, what: What<'_>) {
        if core.tells_of(self.role) {
            core.note(now, Some(self.id), None, what);
        }
    }

    fn begin<D: Disk<File = F>>(&mut self, core: &mut Core<D>, now: Now, envelope: &Envelope) {
        self.abort(core);
        if !core.debug.is_quiet() {
            self.watch().seen = Seen::begin(&envelope.recipients);
        }
        match core.begin(self.role, envelope, now) {
            Ok(storing) => self.storing = Some(storing),
            Err(reply) => self.session.spool_failed(reply),
        }
    }

    fn store<D: Disk<File = F>>(&mut self, core: &mut Core<D>, octets: &[u8]) {
        if let Some(watched) = &mut self.watched {
            watched.seen.look_at(octets);
        }
        let Some(storing) = &mut self.storing else { return };
        if let Err(reply) = core.append(storing, octets) {
            self.abort(core);
            self.session.spool_failed(reply);
        }
    }

    fn abort<D: Disk<File = F>>(&mut self, core: &mut Core<D>) {
        self.take_seen();
        if let Some(storing) = self.storing.take() {
            core.abort(storing);
        }
    }

    fn commit<D: Disk<File = F>>(&mut self, core: &mut Core<D>, now: Now) {
        self.take_seen();
        // The machine commits only what it has begun, and begins anew only after this.
        if let Some(storing) = self.storing.take() {
            let what = What::Content { side: Side::Client, octets: storing.came() };
            self.narrate(core, now, what);
            core.finish(storing, self.id, self.link.token);
            self.gear = Gear::AwaitsCommit;
        }
    }

    fn flush<N: Net<Stream = S>>(&mut self, net: &mut N) -> Option<()> {
        self.link.flush(net).ok().filter(|done| *done).map(|_| ())
    }

    /// Flushes and waits.
    pub(super) fn rest<N: Net<Stream = S>>(&mut self, net: &mut N) -> After {
        match self.link.flush(net) {
            Ok(_) => After::Wait,
            Err(e) => self.broken(&e),
        }
    }

    pub(super) fn broken(&mut self, error: &std::io::Error) -> After {
        self.why = match self.link.unsent_at_cut() {
            Some(octets) => format!("{error}: {octets} octets of ours were never sent").into(),
            None => error.to_string().into(),
        };
        After::Gone
    }
}

pub(super) fn line(side: Side, tls: bool, text: &[u8]) -> What<'_> {
    What::Line { side, tls, text, mark: Mark::Plain }
}
