//! A next server that is silent: does it wait for TLS?
//!
//! On a port for implicit TLS, 465 as a rule, nobody greets before our hello. Who set the wrong
//! policy would learn that when the time for a greeting is over, which are five minutes (RFC 5321
//! section 4.5.3.2.1). To say hello on the connection that waits would be no way: a server that is
//! only slow refuses whoever speaks first. So after [`SILENCE`] a *scout* asks, on a connection of
//! its own: it begins TLS at once, and looks at the first octets of the answer, no more. Is that
//! TLS, those who wait learn it and give up; is it anything else, they wait on.

use std::net::SocketAddr;
use std::time::Duration;

use super::Reactor;
use super::core::Core;
use super::dialing::Dialing;
use super::inbound::After;
use super::link::Phase;
use super::net::Net;
use super::outbound::Outbound;
use super::probe::Purpose;
use super::slots::Slot;
use super::ways::Target;
use crate::base::{Leg, Now, SessionId, Time};
use crate::journal::What;
use crate::queue::ServerId;
use crate::spool::Disk;

/// A greeting that is not there by then makes us wonder. Servers that let strangers wait (greet
/// pauses) mostly do so for less.
pub const SILENCE: Duration = Duration::from_secs(10);

/// Where a scout is to look, or what one has found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spot {
    server: ServerId,
    peer: SocketAddr,
    host: String,
}

/// Scouts that are wanted, and places of which they know that TLS is spoken at once.
#[derive(Default, Debug)]
pub struct Scouting {
    wanted: Vec<Spot>,
    found: Vec<Spot>,
}

impl<S> Outbound<S> {
    fn spot(&self) -> Spot {
        Spot { server: self.server, peer: self.peer, host: self.host.clone() }
    }

    /// Not a word came, and nobody was sent yet.
    fn is_in_the_dark(&self) -> bool {
        !self.purpose.is_scout() && self.session.awaits_greeting() && self.input.is_empty()
    }

    /// When a scout is to be sent.
    pub(super) fn scout_at(&self) -> Time {
        match self.alone_since {
            Some(since) if self.is_in_the_dark() => since.after(SILENCE),
            _ => Time::NEVER,
        }
    }

    /// Asks for a scout, once.
    pub(super) fn wonder<D: Disk>(&mut self, core: &mut Core<D>, now: Now) {
        if self.scout_at() <= now.time {
            self.alone_since = None;
            core.scouting.wanted.push(self.spot());
        }
    }

    /// A scout's turn, once its connection stands.
    pub(super) fn scout<N: Net<Stream = S>, D: Disk>(
        &mut self,
        net: &mut N,
        core: &mut Core<D>,
        now: Now,
    ) -> After {
        self.why = "the server does not speak TLS at once".into();
        let Phase::Handshake { .. } = self.link.phase else { return After::Gone };
        let result = self.link.handshake(net, now.time);
        if self.link.transport.tls().is_some_and(|tls| tls.is_answered()) {
            self.why = "the server speaks TLS at once".into();
            core.scouting.found.push(self.spot());
        } else if let Ok(false) = result {
            return After::Wait;
        }
        After::Gone
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Sends the scouts that are wanted, and tells those who wait what others have found.
    pub(super) fn scout(&mut self) {
        for spot in std::mem::take(&mut self.core.scouting.found) {
            for token in self.next.of(spot.server).clone() {
                let Some(Slot::Outbound(c)) = self.slots.get_mut(token) else { continue };
                if c.is_in_the_dark() && c.peer == spot.peer {
                    c.session.tls_at_once();
                    self.turn(token);
                }
            }
        }
        for spot in std::mem::take(&mut self.core.scouting.wanted) {
            self.send_scout(spot);
        }
    }

    fn send_scout(&mut self, spot: Spot) {
        let server = spot.server;
        for token in self.next.of(server).clone() {
            let slot = self.slots.get_mut(token);
            if matches!(slot, Some(Slot::Outbound(c)) if c.purpose.is_scout()) {
                return;
            }
        }
        let token = self.slots.next_token();
        let hosts = vec![Target { host: spot.host, addresses: vec![spot.peer] }];
        // Without one nothing is lost but time.
        let Ok((mut link, dialing)) = Dialing::begin(&mut self.net, hosts, token, self.now.time)
        else {
            return;
        };
        self.sessions_out += 1;
        self.core.queue.session_began(server);
        let id = SessionId { leg: Leg::Out, number: self.sessions_out };
        let session = self.core.client_session(server, spot.peer, self.now);
        self.timers.arm(token, dialing.deadline(), &mut link.armed);
        let mut c = Outbound::new(id, server, link, session, dialing, self.now);
        c.purpose = Purpose::Scout;
        self.slots.insert(Slot::Outbound(Box::new(c)));
        self.next.of(server).push(token);
        let remark = What::Remark("no greeting yet: asking whether this port speaks TLS at once");
        self.core.note(self.now, Some(id), None, remark);
    }
}
