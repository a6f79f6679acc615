//! Probes: a next server is tried step by step, up to where content would begin.
//!
//! A probe is a session like any other, with the same dialling, TLS and AUTH, that carries no
//! message: at the gate before DATA or BDAT it turns back. So what it finds is what mail would
//! find. Its report is read off the transcript.

use super::Reactor;
use super::net::Net;
use super::outbound::Outbound;
use super::slots::Slot;
use super::ways::Reach;
use crate::base::{Address, BodyType, Enhanced, MessageId, Now, Recipient, Reply, SessionId, Time};
use crate::config::Way;
use crate::queue::ServerId;
use crate::smtp::client::{Fault, Transaction};
use crate::smtp::{Stage, Verdict};
use crate::spool::Disk;

/// What a session with a next server is for.
#[derive(Debug)]
pub enum Purpose {
    /// Mail.
    Mail,
    /// A probe; the transaction until it is begun.
    Probe(Option<Box<Transaction>>),
    /// A copy of a message for somebody who asked, outside the queue.
    Copy(Box<Copying>),
    /// To find out whether TLS is spoken at once: see [`scout`](super::scout).
    Scout,
}

/// A copy on its way.
#[derive(Debug)]
pub struct Copying {
    /// The transaction until it is begun.
    order: Option<Transaction>,
    /// The message in the spool.
    pub id: MessageId,
    /// Octets of it.
    pub size: u64,
    /// Somebody has an outcome.
    judged: bool,
    /// Recipients that had no turn, as positions in the envelope.
    left: Vec<u32>,
    /// The connection ended for what the next one does without: BDAT, or TLS where that was only
    /// an opportunity.
    in_vain: bool,
}

impl Copying {
    /// A recipient has an outcome.
    pub(super) fn judge(&mut self) {
        self.judged = true;
    }

    /// A recipient had no turn.
    pub(super) fn leave(&mut self, recipient: u32) {
        self.left.push(recipient);
    }

    /// Why the connection ended.
    pub(super) fn end(&mut self, fault: &Fault) {
        self.in_vain = matches!(fault, Fault::Bdat(_) | Fault::Tls { required: false, .. });
    }
}

/// A probe, or a copy, that is over.
#[derive(Clone, Debug)]
pub struct Probed {
    /// Its session.
    pub id: SessionId,
    /// Why that ended.
    pub why: String,
    /// Recipients of a copy that had no turn, as positions in the envelope, in order.
    pub left: Vec<u32>,
    /// They have one in the next session.
    pub again: bool,
}

/// Probes whose end is remembered until somebody asks.
const REMEMBERED: usize = 64;

impl Purpose {
    /// The answer at the gate.
    pub fn verdict(&self, stage: Stage) -> Verdict {
        match (self, stage) {
            (Purpose::Probe(_), Stage::Data | Stage::Bdat | Stage::Dot) => {
                let words = "Nothing is sent by a probe";
                Verdict::Refuse(Reply::fixed(450, Enhanced(4, 0, 0), words))
            }
            _ => Verdict::Accept,
        }
    }

    /// It carries nothing, and nobody is judged by it.
    pub fn is_scout(&self) -> bool {
        matches!(self, Purpose::Scout)
    }

    /// It is a probe or a copy, and said all that it had to say.
    pub fn is_spent(&self) -> bool {
        match self {
            Purpose::Mail | Purpose::Scout => false,
            Purpose::Probe(order) => order.is_none(),
            Purpose::Copy(copying) => copying.order.is_none(),
        }
    }

    /// Somebody waits for its end.
    pub fn is_awaited(&self) -> bool {
        matches!(self, Purpose::Probe(_) | Purpose::Copy(_))
    }

    /// Who had no turn, and whether the next session has one for them.
    fn rest(&self) -> (Vec<u32>, bool) {
        let Purpose::Copy(copying) = self else { return (Vec::new(), false) };
        let mut left: Vec<u32> = match &copying.order {
            Some(order) => order.recipients.iter().map(|(at, _)| *at).collect(),
            None => copying.left.clone(),
        };
        left.sort_unstable();
        (left, copying.in_vain || copying.judged)
    }

    /// The transaction, once.
    fn take_order(&mut self) -> Option<Transaction> {
        match self {
            Purpose::Mail | Purpose::Scout => None,
            Purpose::Probe(order) => order.take().map(|order| *order),
            Purpose::Copy(copying) => copying.order.take(),
        }
    }
}

impl<S> Outbound<S> {
    /// Makes a session that was just dialled a probe.
    pub fn make_probe(&mut self, order: Transaction) {
        self.purpose = Purpose::Probe(Some(Box::new(order)));
    }

    /// Begins the transaction of a probe or a copy, once: false when the session is for mail, or
    /// it has begun.
    pub(super) fn begin_probe(&mut self, now: Now) -> bool {
        let Some(order) = self.purpose.take_order() else { return false };
        self.session.begin(order, now.time);
        true
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Begins a probe of a next server, beside all limits: somebody waits for it. Gives its
    /// session and where that goes, none while its name is being looked up; or why not even a
    /// connection could be tried.
    pub(super) fn probe(
        &mut self,
        server: ServerId,
        from: Option<&Address>,
        rcpt: &Address,
    ) -> Result<Option<(SessionId, String)>, String> {
        if self.core.server(server).terms.way == Way::Direct {
            return Err("direct delivery (host = mx) has no server of its own: probe one of a \
                        domain's with mailflux probe -n HOST"
                .into());
        }
        let places = match self.core.reach(server, self.now) {
            Reach::Asking => return Ok(None),
            Reach::At(hosts) => {
                let addresses = hosts.iter().flat_map(|host| &host.addresses);
                addresses.map(ToString::to_string).collect::<Vec<_>>().join(", ")
            }
            Reach::Down(reply) | Reach::Refused(reply) => return Err(words(&reply)),
        };
        if !self.dial(server) {
            let fault = self.core.queue.server(server, self.now).fault;
            return Err(fault.map_or("no connection".into(), words));
        }
        let token = self.next.open[usize::from(server.0)].last().copied();
        let slot = token.and_then(|token| self.slots.get_mut(token));
        let Some(Slot::Outbound(c)) = slot else { return Err("no connection".into()) };
        c.make_probe(order(from.cloned(), rcpt.clone()));
        Ok(Some((c.id, places)))
    }

    /// Sends a copy of a message to a server, beside all limits and without a word to the queue:
    /// for all recipients, or those at these positions (in order). Gives its session, or why there
    /// is none.
    pub(super) fn copy_to(
        &mut self,
        server: ServerId,
        id: MessageId,
        only: Option<&[u32]>,
    ) -> Result<SessionId, String> {
        let head = self.core.spool.head(id).map_err(|e| e.to_string())?.into_owned();
        let (size, envelope) = (head.body, head.envelope);
        let order = Transaction {
            message: id,
            from: envelope.from,
            body: envelope.body,
            utf8: envelope.utf8,
            ret: envelope.ret,
            envid: envelope.envid,
            size,
            recipients: (0..)
                .zip(envelope.recipients)
                .filter(|(at, _)| only.is_none_or(|only| only.binary_search(at).is_ok()))
                .collect(),
        };
        if !self.dial(server) {
            let fault = self.core.queue.server(server, self.now).fault;
            return Err(fault.map_or("no connection".into(), words));
        }
        let token = self.next.open[usize::from(server.0)].last().copied();
        let slot = token.and_then(|token| self.slots.get_mut(token));
        let Some(Slot::Outbound(c)) = slot else { return Err("no connection".into()) };
        let (order, left) = (Some(order), Vec::new());
        let copying = Copying { order, id, size, judged: false, left, in_vain: false };
        c.purpose = Purpose::Copy(Box::new(copying));
        Ok(c.id)
    }

    /// A probe's session is gone: those who wait for it are told.
    pub(super) fn probe_over(&mut self, id: SessionId, why: &str, purpose: &Purpose) {
        if self.probed.len() >= REMEMBERED {
            self.probed.remove(0);
        }
        let (left, again) = purpose.rest();
        self.probed.push(Probed { id, why: why.to_owned(), left, again });
        for i in 0..self.askers.len() {
            self.make_runnable(self.askers[i]);
        }
    }

    /// The end of a probe, if it has come.
    pub(super) fn take_probed(&mut self, id: SessionId) -> Option<Probed> {
        let at = self.probed.iter().position(|probed| probed.id == id)?;
        Some(self.probed.remove(at))
    }
}

fn words(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.on_one_line()).into_owned()
}

/// A transaction without content.
fn order(from: Option<Address>, rcpt: Address) -> Transaction {
    Transaction {
        message: MessageId { counter: 0, arrived: 0 },
        from,
        body: BodyType::SevenBit,
        utf8: false,
        ret: None,
        envid: None,
        size: 0,
        recipients: vec![(0, Recipient::new(rcpt))],
    }
}

/// How long a probe may take in all; the time-outs of RFC 5321 would let somebody wait for half an
/// hour.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// When a probe that began now is given up.
pub fn until(now: Now) -> Time {
    now.time.after(PATIENCE)
}
