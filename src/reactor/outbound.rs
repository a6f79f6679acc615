//! The outbound leg: one connection to a next server between its socket and its [`ClientSession`].
//!
//! ```text
//!   Dialing ──established──▶ Talking ──fault or quit──▶ (the link winds down)
//!      └─refused: the next address─┘
//! ```
//!
//! The machine knows the protocol; this file moves octets and tells the queue how each recipient
//! fared. Content is streamed in `sending`.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use super::core::Core;
use super::dialing::{Dialed, Dialing};
use super::hold::{Release, Watched};
use super::inbound::After;
use super::link::{Input, Link, Phase};
use super::net::Net;
use super::output::Output;
use super::probe::Purpose;
use super::sending::{Broken, Sending};
use super::shares::{STEP, Share};
use super::transport::Transport;
use crate::base::{Enhanced, Now, Reply, SessionId, Time, cause};
use crate::journal::{Mark, Side, What};
use crate::message::Edit;
use crate::queue::{Delivery, Outcome, ServerId};
use crate::smtp::client::{Action, ClientSession, Fault, Transaction};
use crate::spool::Disk;

/// How long a connection waits for more mail before it is given back.
const IDLE: Duration = Duration::from_secs(5);
/// Octets of replies that are kept while content does not flow.
pub(super) const EARLY: usize = 1 << 18;

/// Where the connection is in its life.
enum Stage<S> {
    /// Connects are under way.
    Dialing(Dialing<S>),
    /// The machine speaks.
    Talking,
}

/// What is being delivered, and what became of it so far.
pub struct Carrying {
    /// Which message, which recipients.
    pub delivery: Delivery,
    /// Octets of the content.
    pub size: u64,
    /// Another header, when the next server wants one.
    pub edit: Option<Edit>,
    /// One for each recipient that was tried.
    pub outcomes: Vec<Outcome>,
    /// Those that were taken by a server without DSN, whose sender asked to be told of success.
    pub relayed: Vec<(u32, Reply)>,
}

/// A connection to a next server.
pub struct Outbound<S> {
    /// `o3`.
    pub id: SessionId,
    /// To which next server.
    pub server: ServerId,
    /// At which address.
    pub peer: SocketAddr,
    /// The name of the host there, by which its certificate is checked.
    pub(super) host: String,
    /// The socket.
    pub link: Link<S>,
    /// The machine.
    pub session: ClientSession,
    /// What it carries.
    pub carrying: Option<Carrying>,
    /// What it is for.
    pub purpose: Purpose,
    /// Why it ended, for the journal.
    pub why: Cow<'static, str>,
    /// The greeting and EHLO went well: the server lives.
    pub ready: bool,
    idle_since: Time,
    /// Since when the connection stands, until a scout was asked for.
    pub(super) alone_since: Option<Time>,
    /// The epoch of the settings that it was made by.
    epoch: u64,
    /// Messages it has been given.
    messages: u64,
    stage: Stage<S>,
    pub(super) sending: Option<Sending>,
    /// Something is to be computed, in a later tick.
    busy: bool,
    pub(super) input: Vec<u8>,
    /// Somebody looks at this session; else nothing is kept for that.
    pub(super) watched: Option<Box<Watched>>,
}

impl<S> Outbound<S> {
    /// A connection whose first connect was just begun.
    pub fn new(
        id: SessionId,
        server: ServerId,
        link: Link<S>,
        session: ClientSession,
        dialing: Dialing<S>,
        now: Now,
    ) -> Outbound<S> {
        Outbound {
            id,
            server,
            peer: dialing.peer(),
            host: String::new(),
            link,
            session,
            carrying: None,
            purpose: Purpose::Mail,
            why: "closed".into(),
            ready: false,
            idle_since: now.time,
            alone_since: None,
            epoch: 0,
            messages: 0,
            stage: Stage::Dialing(dialing),
            sending: None,
            busy: false,
            input: Vec::new(),
            watched: None,
        }
    }

    /// Where it is, in a word for lists.
    pub fn state_name(&self) -> &'static str {
        match self.stage {
            Stage::Dialing { .. } => "dialing",
            Stage::Talking => self.session.state_name(),
        }
    }

    /// Connected, greeted, and without work.
    pub fn is_idle(&self) -> bool {
        self.link.phase == Phase::Open && self.carrying.is_none() && self.session.is_idle()
    }

    /// The connection's share of a tick.
    pub fn turn<N: Net<Stream = S>, D: Disk>(
        &mut self,
        net: &mut N,
        core: &mut Core<D>,
        now: Now,
        scratch: &mut [u8],
        share: &mut Share,
    ) -> After {
        if self.link.phase == Phase::Open && matches!(self.stage, Stage::Dialing(_)) {
            if let Some(after) = self.dial(net, core, now) {
                return after;
            }
        }
        if self.purpose.is_scout() {
            return self.scout(net, core, now);
        }
        self.link.refill(now.time);
        while matches!(self.link.phase, Phase::Open | Phase::Handshake { .. }) {
            share.spend(STEP);
            if let Phase::Handshake { .. } = self.link.phase {
                if let Some(after) = self.handshake(net, core, now) {
                    return after;
                }
            }
            self.advance(core, now);
            if let Phase::Handshake { .. } = self.link.phase {
                continue;
            }
            if self.link.phase != Phase::Open {
                break;
            }
            if self.sending.as_ref().is_some_and(Sending::is_under_way) {
                match self.transmit(net, core, now, scratch, share) {
                    Ok(None) => continue,
                    Ok(Some(after)) => return after,
                    Err(Broken::Socket(e)) => {
                        self.lost(core, now, &cause(&e));
                        continue;
                    }
                    Err(Broken::Spool(e)) => {
                        let why = format!("cannot read the message: {e}");
                        self.session.abort(&Reply::made(451, Some(Enhanced(4, 3, 0)), why));
                        continue;
                    }
                }
            }
            if let Err(e) = self.link.flush(net) {
                self.lost(core, now, &cause(&e));
                continue;
            }
            if std::mem::take(&mut self.busy) {
                return After::Again;
            }
            if self.waits_until().is_some() {
                match self.wait_held(net, core, now, scratch) {
                    Some(after) => return after,
                    None => continue,
                }
            }
            if !self.link.is_readable() {
                return After::Wait;
            }
            if share.is_spent() {
                return After::Spent;
            }
            match self.link.read(net, scratch) {
                Ok(Input::Octets(n)) => {
                    share.spend(n);
                    self.input.extend_from_slice(&scratch[..n]);
                }
                Ok(Input::Dry) => {}
                Ok(Input::End) => self.lost(core, now, "the next server closed the connection"),
                Err(e) => self.lost(core, now, &cause(&e)),
            }
        }
        if self.link.wind_down(net, now.time, scratch) {
            return After::Gone;
        }
        if self.link.is_readable() { After::Spent } else { After::Wait }
    }

    /// A timer of this connection is due.
    pub fn timeout<D: Disk>(&mut self, core: &mut Core<D>, now: Now) {
        if self.waits_until().is_some_and(|until| until <= now.time) {
            let _ = self.let_go(core, &Release::Time, now);
            return;
        }
        if self.is_idle() && self.deadline() <= now.time {
            return self.quit(core, now);
        }
        if self.link.phase == Phase::Open
            && matches!(self.stage, Stage::Talking)
            && self.session.deadline() <= now.time
        {
            self.session.timeout(now.time);
            self.advance(core, now);
        }
        self.wonder(core, now);
    }

    /// When the connection wants its next turn, whatever happens.
    pub fn deadline(&self) -> Time {
        let own = match (&self.link.phase, &self.stage) {
            (Phase::Open, Stage::Dialing(dialing)) => dialing.deadline(),
            (Phase::Open, Stage::Talking) if self.is_idle() => self.idle_since.after(IDLE),
            (Phase::Open, Stage::Talking) => match self.waits_until() {
                Some(until) => until,
                None => self.session.deadline().min(self.scout_at()),
            },
            _ => self.link.deadline(),
        };
        own.min(self.link.trouble_due())
    }

    /// Ends the connection politely as soon as it carries nothing.
    pub fn quit<D: Disk>(&mut self, core: &mut Core<D>, now: Now) {
        match self.stage {
            Stage::Talking if self.link.phase == Phase::Open => {
                self.session.quit(now.time);
                self.advance(core, now);
            }
            Stage::Dialing(_) => self.link.close(now.time),
            Stage::Talking => {}
        }
    }

    /// Looks at a connect under way; `None` once it stands.
    fn dial<N: Net<Stream = S>, D: Disk>(
        &mut self,
        net: &mut N,
        core: &mut Core<D>,
        now: Now,
    ) -> Option<After> {
        let Stage::Dialing(dialing) = &mut self.stage else { return None };
        let dialed = dialing.turn(net, &mut self.link, now.time);
        for (address, problem) in dialing.take_failed() {
            core.shunned.unreachable(address, &problem, now.time);
        }
        let (peer, problem) = match dialed {
            Dialed::Wait => {
                self.peer = dialing.peer();
                return Some(After::Wait);
            }
            Dialed::Stands(peer) => {
                self.host = dialing.host().to_owned();
                (self.peer, self.stage) = (peer, Stage::Talking);
                let name = core.server(self.server).name.clone();
                let opened = What::Opened { peer, next: Some(&name) };
                core.note(now, Some(self.id), None, opened);
                self.epoch = core.epoch;
                self.session = core.client_session(self.server, peer, now);
                self.alone_since = Some(now.time);
                self.established(core, now);
                return None;
            }
            Dialed::Failed(peer, problem) => (peer, problem),
        };
        self.why = format!("cannot connect to {peer}: {}", cause(&problem)).into();
        let reply = Reply::made(451, Some(Enhanced(4, 4, 1)), self.why.to_string());
        if !self.purpose.is_scout() {
            core.server_failed(self.server, &reply, now);
        }
        Some(After::Gone)
    }

    /// Steps the machine until it wants something that is not there. An idle machine is given
    /// the next delivery, so a connection carries message after message without going back to
    /// the dispatcher.
    pub fn advance<D: Disk>(&mut self, core: &mut Core<D>, now: Now) {
        if matches!(self.stage, Stage::Dialing(_)) {
            return;
        }
        let input = std::mem::take(&mut self.input);
        let mut at = 0;
        while self.link.phase == Phase::Open {
            let (taken, action) = self.session.step(&input[at..], now.time);
            at += taken;
            if !matches!(action, Action::Read) {
                self.act(core, now, action);
                if self.busy {
                    break;
                }
                continue;
            }
            if !self.is_idle() || at < input.len() {
                break;
            }
            if self.begin_probe(now) {
                continue;
            }
            let most = core.server(self.server).terms.messages;
            let is_full = most.is_some_and(|most| self.messages >= most);
            if self.purpose.is_spent() || is_full || self.epoch != core.epoch {
                self.session.quit(now.time);
                continue;
            }
            match core.next_transaction(self.server, now) {
                Some((delivery, mut transaction, edit)) => {
                    if edit.is_none() {
                        core.lower(&mut transaction, self.session.extensions());
                    }
                    let (recipients, size) = (transaction.recipients.len(), transaction.size);
                    let what = What::Attempt { recipients, size };
                    core.note(now, Some(self.id), Some(delivery.id), what);
                    self.carry(delivery, transaction, edit, now);
                }
                None => break,
            }
            self.idle_since = now.time;
        }
        if at < input.len() && self.link.phase == Phase::Open {
            self.input = input[at..].to_vec();
        }
    }

    /// Gives back what the connection holds outside itself.
    pub fn release<D: Disk>(&mut self, core: &mut Core<D>, now: Now) {
        self.forget_hold(core);
        if let Some(carrying) = self.carrying.take() {
            core.settle(carrying, None, now);
        }
    }

    /// The host that it speaks with.
    fn host_name(&self) -> Option<String> {
        (!self.host.is_empty()).then(|| self.host.clone())
    }

    fn carry(
        &mut self,
        mut delivery: Delivery,
        transaction: Transaction,
        edit: Option<Edit>,
        now: Now,
    ) {
        self.messages += 1;
        delivery.host = self.host_name();
        let (size, outcomes, relayed) = (transaction.size, vec![], vec![]);
        self.carrying = Some(Carrying { delivery, size, edit, outcomes, relayed });
        self.session.begin(transaction, now.time);
    }

    /// Does what the machine says.
    fn act<D: Disk>(&mut self, core: &mut Core<D>, now: Now, action: Action) {
        let message = self.carrying.as_ref().map(|c| c.delivery.id);
        let tls = self.session.is_tls();
        match action {
            Action::Read => {}
            Action::Ask(stage) => self.meet_gate(core, now, stage),
            Action::Send(octets) => self.send(core, now, &octets),
            Action::SendSecret { octets, shown } => self.send_secret(core, now, &octets, &shown),
            Action::Secret { fresh } => self.fetch(core, now, fresh),
            Action::Work => match core.logins.take_rounds() {
                Some(rounds) => self.session.work(rounds, now.time),
                None => self.busy = true,
            },
            Action::Heard(reply, mark) => {
                let mut wire = Vec::new();
                reply.write_to(&mut wire);
                for text in lines(&wire) {
                    let what = What::Line { side: Side::Server, tls, text, mark };
                    core.note(now, Some(self.id), message, what);
                }
            }
            Action::Garbage(text) => {
                let mark = Mark::Unexpected;
                let what = What::Line { side: Side::Server, tls, text: &text, mark };
                core.note(now, Some(self.id), message, what);
            }
            Action::Transmit(mode) => self.send_content(mode),
            Action::Dot => self.end_content(),
            Action::Outcome { recipient, ending, reply, relayed_without_dsn, .. } => {
                if let Some(carrying) = &mut self.carrying {
                    if relayed_without_dsn {
                        carrying.relayed.push((recipient, reply.clone()));
                    }
                    let at = (&*self.host, self.peer);
                    core.outcome((self.id, at), carrying, recipient, (ending, &reply), now);
                    carrying.outcomes.push(Outcome { recipient, ending, reply });
                } else if let Purpose::Copy(copying) = &mut self.purpose {
                    copying.judge();
                    core.copied(self.id, copying.id, recipient, (ending, &reply), now);
                }
            }
            // The queue takes a recipient without an outcome for what it is.
            Action::Untried(recipient) => {
                if let Purpose::Copy(copying) = &mut self.purpose {
                    copying.leave(recipient);
                }
            }
            // Whose fault the end of a transaction is, the end of its connection tells.
            Action::Done if !self.session.is_idle() => {}
            Action::Done => {
                self.idle_since = now.time;
                if let Some(carrying) = self.carrying.take() {
                    core.settle(carrying, None, now);
                }
            }
            Action::StartTls => self.start_tls(core, now),
            Action::Ready => {
                self.ready = true;
                self.idle_since = now.time;
                core.shunned.forget(self.peer);
                core.server_alive(self.server, now);
            }
            Action::Close(fault) => self.fault(core, now, &fault),
        }
    }

    /// Queues command lines; each is a line of the transcript.
    fn send<D: Disk>(&mut self, core: &mut Core<D>, now: Now, octets: &[u8]) {
        self.link.output.tail().extend_from_slice(octets);
        let (message, tls) = (self.carrying.as_ref().map(|c| c.delivery.id), self.session.is_tls());
        for text in lines(octets) {
            let what = What::Line { side: Side::Client, tls, text, mark: Mark::Plain };
            core.note(now, Some(self.id), message, what);
        }
    }

    /// The machine says that the connection is over, and whose fault it is.
    fn fault<D: Disk>(&mut self, core: &mut Core<D>, now: Now, fault: &Fault) {
        let fault = &self.explain(core, now, fault);
        self.why = fault.to_string().into();
        if let Purpose::Copy(copying) = &mut self.purpose {
            copying.end(fault);
        }
        if self.sending.take().is_some() {
            // The server may no longer take this for content: the rest must not reach it as
            // commands.
            self.link.output = Output::default();
            if self.link.transport.wants_write() {
                self.link.transport = Transport::Closed;
            }
        }
        if let Some(carrying) = self.carrying.take() {
            core.settle(carrying, Some(fault), now);
        }
        let at = (self.server, self.host_name(), self.peer);
        core.connection_over(at, fault, self.ready, now);
        self.link.close(now.time);
    }

    /// The connection broke. What had come before is still heard.
    pub(super) fn lost<D: Disk>(&mut self, core: &mut Core<D>, now: Now, why: &str) {
        self.sending = None;
        self.forget_hold(core);
        self.advance(core, now);
        if self.link.phase == Phase::Open {
            self.session.eof(why);
            self.advance(core, now);
            self.link.close(now.time);
        }
    }
}

/// The lines of what goes over the wire, without their ends.
fn lines(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = octets.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}
