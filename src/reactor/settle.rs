//! What became of mail: outcomes into the spool, the queue and the journal.

use std::net::SocketAddr;

use super::core::Core;
use super::outbound::Carrying;
use crate::base::{Enhanced, MessageId, Now, Reply, SessionId, Status};
use crate::journal::{Ending, Level, What, render};
use crate::queue::{ServerId, ServerState};
use crate::smtp::client::Fault;
use crate::spool::Disk;

impl<D: Disk> Core<D> {
    /// The attempt for one recipient ended. A delivery is recorded at once, so that a crash
    /// repeats as little as can be.
    pub(super) fn outcome(
        &mut self,
        (session, at): (SessionId, (&str, SocketAddr)),
        carrying: &Carrying,
        recipient: u32,
        (ending, reply): (Ending, &Reply),
        now: Now,
    ) {
        let (id, server) = (carrying.delivery.id, carrying.delivery.server);
        let address = self.spool.head(id).ok().and_then(|head| {
            head.envelope.recipients.get(recipient as usize).map(|r| r.address.clone())
        });
        if let Some(address) = address {
            let next = self.server(server).name.clone();
            let (recipient, next, at) = (&address, &*next, Some(at));
            let what = What::Outcome { recipient, ending, reply, next, at };
            self.note(now, Some(session), Some(id), what);
        }
        // Of whom the sender is to be told, that is recorded when the notice is durable.
        let is_told = carrying.relayed.iter().any(|(told, _)| *told == recipient);
        if ending == Ending::Delivered && !is_told {
            self.mark(id, recipient, Status::Delivered, now);
        }
    }

    /// How a recipient of a copy fared: told in its session, and nowhere else.
    pub(super) fn copied(
        &mut self,
        session: SessionId,
        id: MessageId,
        recipient: u32,
        (ending, reply): (Ending, &Reply),
        now: Now,
    ) {
        let head = self.spool.head(id).ok();
        let address = head.as_ref().and_then(|h| h.envelope.recipients.get(recipient as usize));
        let address = address.map_or("?".to_owned(), |r| r.address.as_str().to_owned());
        let words = String::from_utf8_lossy(&render::reply_line(reply)).into_owned();
        let text = format!("copy of {} for <{address}>: {} {words}", id.short(), ending.name());
        self.note(now, Some(session), None, What::Remark(&text));
    }

    /// Records how a recipient stands. When that fails the disk is failing, and forwarding waits.
    pub(super) fn mark(&mut self, id: MessageId, recipient: u32, status: Status, now: Now) {
        match self.spool.mark(id, recipient, status, now.time) {
            Ok(true) => self.note(now, None, Some(id), What::Retired),
            Ok(false) => {}
            Err(e) => self.say(now, Level::Error, &format!("cannot record an outcome: {e}")),
        }
    }

    /// A transaction is over. `fault` is why its connection ended, when it ended with it.
    pub(super) fn settle(&mut self, carrying: Carrying, fault: Option<&Fault>, now: Now) {
        let Carrying { delivery, outcomes, relayed, .. } = carrying;
        if !relayed.is_empty() {
            self.report_relayed(&delivery, relayed, now);
        }
        let (id, server) = (delivery.id, delivery.server);
        match fault.filter(|f| f.in_transaction()) {
            Some(fault) => {
                let why = fault.reply().unwrap_or_else(no_words);
                if self.queue.lost(delivery, &outcomes, &why, now) {
                    self.choose_anew();
                    self.tell_of_failure(server, &why, now);
                }
            }
            None => self.queue.finished(delivery, &outcomes, now),
        }
        if self.have_choices() && !self.queue.takes_mail(server, now) {
            // Mail that was on its way when its server failed.
            self.reroute_one(id, now);
        }
    }

    /// A next server greeted us and took our EHLO.
    pub(super) fn server_alive(&mut self, server: ServerId, now: Now) {
        let was_away =
            matches!(self.queue.server(server, now).state, ServerState::BackingOff { .. });
        self.shunned.begin_anew(server);
        self.queue.alive(server, now);
        if was_away {
            self.choose_anew();
        }
    }

    /// A next server cannot be reached, or does not want us.
    pub(super) fn server_failed(&mut self, server: ServerId, why: &Reply, now: Now) {
        self.server_failed_at(server, None, why, now);
    }

    /// The same, when it is known which of its hosts said so.
    fn server_failed_at(&mut self, server: ServerId, host: Option<&str>, why: &Reply, now: Now) {
        if self.queue.takes_mail(server, now) {
            self.choose_anew();
        }
        self.shunned.begin_anew(server);
        self.queue.failed_at(server, host, why, now);
        self.tell_of_failure(server, why, now);
    }

    fn tell_of_failure(&mut self, server: ServerId, why: &Reply, now: Now) {
        let name = self.queue.server(server, now).name.to_owned();
        let state = String::from_utf8_lossy(&why.on_one_line()).into_owned();
        let what = What::NextServer { name: &name, state: &state, level: Level::Warn };
        self.note(now, None, None, what);
    }

    /// A connection to a next server is over: whose fault was it?
    pub(super) fn connection_over(
        &mut self,
        (server, host, peer): (ServerId, Option<String>, SocketAddr),
        fault: &Fault,
        ready: bool,
        now: Now,
    ) {
        let blames_server = match fault {
            Fault::None => false,
            Fault::Bdat(_) => {
                self.unchunked.add(peer, now.time);
                let name = self.queue.server(server, now).name;
                let text = format!("{name}: {fault}; {peer} is sent no more chunks for a day");
                self.say(now, Level::Warn, &text);
                false
            }
            Fault::Server(_) | Fault::Unavailable { in_transaction: false, .. } => true,
            Fault::Lost { idle: true, .. } => false,
            // Where TLS was only an opportunity the next connection does without.
            Fault::Tls { required, .. } => *required,
            // Before EHLO was answered nothing else can be at fault.
            _ => !ready,
        };
        if blames_server {
            let why = fault.reply().unwrap_or_else(no_words);
            if ready || !self.try_another(server, peer, (fault, &why), now) {
                self.server_failed_at(server, host.as_deref(), &why, now);
            }
        }
    }
}

fn no_words() -> Reply {
    Reply::fixed(451, Enhanced(4, 4, 2), "Connection lost")
}
