//! Taking clients in, and saying no to those that are too many.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::Reactor;
use super::core::Role;
use super::inbound::Inbound;
use super::link::Link;
use super::net::{Net, Token};
use super::slots::{Listener, Slot};
use crate::base::{Leg, SessionId};
use crate::journal::What;
use crate::smtp::server::Context;
use crate::spool::Disk;

/// How long accepting and connecting rest after the process ran out of descriptors. There is no
/// edge that says that one was given back.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a client hears that has too many of them.
pub(super) const MANY_CONNECTIONS: &str = "421 4.7.0 Too many connections from your address\r\n";
/// Connections taken from one listener in one tick; then the others have theirs.
const ACCEPTS: usize = 256;

/// Whom the limit for each client counts: an address, or the /64 network of an IPv6 address, since
/// that is what one IPv6 client has.
pub fn client_key(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => {
            let s = ip.segments();
            Ipv6Addr::new(s[0], s[1], s[2], s[3], 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Opens a listener; says where it listens.
    pub fn listen(&mut self, at: SocketAddr, role: Role) -> io::Result<SocketAddr> {
        let (socket, local) = self.net.listen(at, self.slots.next_token())?;
        self.slots.insert(Slot::Listener(Box::new(Listener { socket, at, role, queued: false })));
        Ok(local)
    }

    /// Closes all listeners.
    pub fn close_listeners(&mut self) {
        for token in self.slots.tokens() {
            if let Some(Slot::Listener(_)) = self.slots.get_mut(token) {
                self.slots.remove(token);
            }
        }
    }

    /// Takes what waits in a listener's backlog.
    pub fn accept(&mut self, token: Token) {
        for _ in 0..ACCEPTS {
            let Some(Slot::Listener(listener)) = self.slots.get_mut(token) else { return };
            let role = listener.role;
            match self.net.accept(&mut listener.socket) {
                Ok((stream, peer)) => self.admit(stream, peer, role),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                    return self.out_of_descriptors(token);
                }
                Err(e) if matches!(e.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM)) => {
                    self.accept_again = Some(self.now.time.after(ACCEPT_PAUSE));
                    return;
                }
                // ECONNABORTED and its like concern one client that has gone already.
                Err(_) => {}
            }
        }
        self.make_runnable(token);
    }

    /// Begins a session with a client, unless there are too many.
    pub(super) fn admit(&mut self, mut stream: N::Stream, peer: SocketAddr, role: Role) {
        let proxied = match self.core.proxies(role) {
            Some(proxies) if !proxies.iter().any(|net| net.contains(peer.ip().to_canonical())) => {
                return self.refuse(stream, role, "421 4.7.0 Only proxies may connect here\r\n");
            }
            proxies => proxies.is_some(),
        };
        if self.inbound >= self.core.config.server.max_connections {
            let words = "421 4.3.2 Too many connections, try again later\r\n";
            return self.refuse(stream, role, words);
        }
        if !proxied && self.is_crowd(peer) {
            return self.refuse(stream, role, MANY_CONNECTIONS);
        }
        let token = self.slots.next_token();
        if self.net.register(&mut stream, token).is_err() {
            return;
        }
        self.sessions_in += 1;
        let id = SessionId { leg: Leg::In, number: self.sessions_in };
        let cx = Context { config: self.core.session_config(role), now: self.now };
        let link = Link::new(stream, token, true);
        let mut session = Inbound::new(id, peer, role, link, &cx);
        if proxied {
            session.await_header(self.now);
        }
        self.slots.insert(Slot::Inbound(Box::new(session)));
        self.inbound += 1;
        self.untold += usize::from(!self.core.tells_of(role));
        if !proxied {
            self.arrived(token, peer);
        }
        // The greeting goes out now, without waiting for an event.
        self.make_runnable(token);
    }

    /// It is known whose connection this is: the client counts, and the session begins.
    pub(super) fn arrived(&mut self, token: Token, peer: SocketAddr) {
        *self.clients.entry(client_key(peer.ip())).or_insert(0) += 1;
        let Some(Slot::Inbound(c)) = self.slots.get_mut(token) else { return };
        let (id, role) = (c.id, c.role);
        if self.core.tells_of(role) {
            self.core.note(self.now, Some(id), None, What::Opened { peer, next: None });
        }
        c.arrive(&mut self.core, peer, self.now);
    }

    /// Whether this client has as many connections as it may have.
    pub(super) fn is_crowd(&self, peer: SocketAddr) -> bool {
        let open = self.clients.get(&client_key(peer.ip())).copied().unwrap_or(0);
        open >= self.core.config.server.max_connections_per_client
    }

    /// Says one line to a connection that gets no session, and lets it go. Nothing was read from
    /// it, so the line arrives unless the client was already talking. A client that speaks TLS at
    /// once would read no line but nonsense: it is closed without words, since a handshake is more
    /// than one that is too many can have.
    pub fn refuse(&mut self, mut stream: N::Stream, role: Role, line: &str) {
        if self.core.is_implicit(role) {
            return;
        }
        let _ = self.net.write(&mut stream, line.as_bytes());
        let _ = self.net.shutdown_write(&mut stream);
    }

    fn forget_client(&mut self, peer: SocketAddr) {
        let key = client_key(peer.ip());
        if let Some(n) = self.clients.get_mut(&key) {
            *n -= 1;
            if *n == 0 {
                self.clients.remove(&key);
            }
        }
    }

    /// Forgets a connection.
    pub fn remove(&mut self, token: Token) {
        match self.slots.remove(token) {
            Some(Slot::Inbound(mut c)) => {
                c.release(&mut self.core);
                self.inbound -= 1;
                self.untold -= usize::from(!self.core.tells_of(c.role));
                if c.has_arrived() {
                    self.forget_client(c.peer);
                } else if self.core.tells_of(c.role) {
                    let opened = What::Opened { peer: c.peer, next: None };
                    self.core.note(self.now, Some(c.id), None, opened);
                }
                if self.core.tells_of(c.role) {
                    self.core.note(self.now, Some(c.id), None, What::Closed { why: &c.why });
                }
            }
            Some(Slot::Outbound(mut c)) => {
                c.release(&mut self.core, self.now);
                self.outbound_gone(c.server, token);
                self.core.note(self.now, Some(c.id), None, What::Closed { why: &c.why });
                if c.purpose.is_awaited() {
                    self.probe_over(c.id, &c.why, &c.purpose);
                }
            }
            Some(Slot::Asking(asking)) => self.release_asking(token, *asking),
            Some(Slot::Errand(mut c)) => c.end(&mut self.net),
            Some(Slot::Playing(c)) => self.play_over(token, *c),
            Some(Slot::Listener(_) | Slot::Door(_) | Slot::Student(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_counted_by_address_and_by_network() {
        let key = |s: &str| client_key(s.parse().unwrap());
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    }
}
