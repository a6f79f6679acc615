//! Behind a balancer: the header of the PROXY protocol that says whose a connection is.
//!
//! Until it is whole nobody is served, and nothing but it is read: what follows belongs to the
//! client, perhaps to its TLS. It must come in time, and only from the proxies of the listener.

use std::time::Duration;

use super::Reactor;
use super::accept::MANY_CONNECTIONS;
use super::core::{Core, Role};
use super::inbound::{After, Gear, Inbound};
use super::link::Input;
use super::net::{Net, Token};
use super::slots::Slot;
use super::tls::Tls;
use crate::base::{IpNet, Now};
use crate::config::ListenerTls;
use crate::smtp::proxy::{Header, parse};
use crate::smtp::server::{Context, ServerSession};
use crate::spool::Disk;

/// How long a proxy may take to say whose connection it is.
const HEADER: Duration = Duration::from_secs(10);

impl<D: Disk> Core<D> {
    /// The proxies of a listener; none when it takes clients itself.
    pub(super) fn proxies(&self, role: Role) -> Option<&[IpNet]> {
        match role {
            Role::Named(n) => self.config.listeners.get(usize::from(n))?.proxies.as_deref(),
            Role::Relay | Role::Sink => None,
        }
    }

    /// TLS begins with the first octet.
    pub(super) fn is_implicit(&self, role: Role) -> bool {
        match role {
            Role::Named(n) => {
                let listener = self.config.listeners.get(usize::from(n));
                listener.is_some_and(|l| l.tls == ListenerTls::Implicit)
            }
            Role::Relay | Role::Sink => false,
        }
    }
}

impl<S, F> Inbound<S, F> {
    /// A proxy is to say first whose connection this is.
    pub(super) fn await_header(&mut self, now: Now) {
        self.gear = Gear::Header { until: now.time.after(HEADER) };
    }

    /// It is known whose connection this is.
    pub(super) fn has_arrived(&self) -> bool {
        !matches!(self.gear, Gear::Header { .. })
    }

    /// It is this client's: the session begins.
    pub(super) fn arrive<D: Disk>(
        &mut self,
        core: &mut Core<D>,
        peer: std::net::SocketAddr,
        now: Now,
    ) {
        let tls = core.is_implicit(self.role);
        let cx = Context { config: core.session_config(self.role), now };
        self.session = ServerSession::new(peer, tls, &cx);
        (self.peer, self.gear, self.input) = (peer, Gear::Steps, Vec::new());
        let made = match core.certificate() {
            _ if !tls => return,
            Some(config) => self.link.secure(now.time, |stream| Tls::server(stream, &config)),
            None => Err(std::io::ErrorKind::Unsupported.into()),
        };
        if let Err(e) = made {
            self.why = format!("no TLS: {e}").into();
            self.link.abandon(now.time);
        }
    }

    /// Reads as much of the header as there is.
    fn header<N: Net<Stream = S>>(&mut self, net: &mut N, scratch: &mut [u8]) -> Header {
        loop {
            let Header::More(n) = parse(&self.input) else { return parse(&self.input) };
            if !self.link.is_readable() {
                return Header::More(n);
            }
            match self.link.read(net, &mut scratch[..n]) {
                Ok(Input::Octets(n)) => self.input.extend_from_slice(&scratch[..n]),
                Ok(Input::Dry) => {}
                Ok(Input::End) | Err(_) => return Header::Garbage,
            }
        }
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// A connection whose client is not known yet; none when it is known now.
    pub(super) fn hear_header(&mut self, token: Token) -> Option<After> {
        let Some(Slot::Inbound(c)) = self.slots.get_mut(token) else { return None };
        let Gear::Header { until } = c.gear else { return None };
        let peer = match c.header(&mut self.net, &mut self.scratch) {
            Header::More(_) if self.now.time < until => return Some(After::Wait),
            Header::More(_) => {
                c.why = "the proxy sent no PROXY header in time".into();
                return Some(After::Gone);
            }
            Header::Garbage => {
                c.why = "the proxy sent no PROXY header".into();
                return Some(After::Gone);
            }
            Header::Local => c.peer,
            Header::Client(client) => client,
        };
        if self.is_crowd(peer) {
            let Some(Slot::Inbound(c)) = self.slots.get_mut(token) else { return None };
            c.peer = peer;
            c.why = "too many connections of this client".into();
            if !self.core.is_implicit(c.role) {
                let _ = c.link.transport.write(&mut self.net, MANY_CONNECTIONS.as_bytes());
            }
            return Some(After::Gone);
        }
        self.arrived(token, peer);
        None
    }
}
