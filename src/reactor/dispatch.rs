//! Due mail to next servers: which connections to open, which idle ones to wake.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use super::Reactor;
use super::accept::ACCEPT_PAUSE;
use super::link::Link;
use super::net::{Net, Token};
use super::outbound::Outbound;
use super::slots::Slot;
use crate::base::{Enhanced, Leg, Reply, SessionId, cause};
use crate::config::Config;
use crate::queue::ServerId;
use crate::spool::Disk;

/// The connections that are open to each next server, by [`ServerId`].
pub struct NextServers {
    pub(super) open: Vec<Vec<Token>>,
}

impl NextServers {
    /// No connections yet.
    pub fn new(config: &Config) -> NextServers {
        NextServers { open: config.next_servers.iter().map(|_| Vec::new()).collect() }
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// The queue's share of a tick: reports, then work for connections that idle, then new
    /// connections for what is left.
    pub fn dispatch(&mut self) {
        self.core.sweep(self.now);
        self.core.reroute(self.now);
        if !self.core.may_forward() {
            return;
        }
        for index in 0..self.next.open.len() {
            let server = ServerId(index as u16);
            self.wake_idle(server);
            let open = self.next.open[index].len();
            for _ in 0..self.core.queue.connections_wanted(server, open, self.now) {
                if !self.dial(server) {
                    break;
                }
            }
        }
    }

    fn wake_idle(&mut self, server: ServerId) {
        for i in 0..self.next.open[usize::from(server.0)].len() {
            if self.core.queue.server(server, self.now).due == 0 {
                return;
            }
            let token = self.next.open[usize::from(server.0)][i];
            if matches!(self.slots.get_mut(token), Some(Slot::Outbound(c)) if c.is_idle()) {
                self.turn(token);
            }
        }
    }

    /// Opens a connection; false when that is not possible now.
    pub(super) fn dial(&mut self, server: ServerId) -> bool {
        let mut addresses: VecDeque<SocketAddr> = self.core.addresses(server).into();
        let token = self.slots.next_token();
        let mut problem = None;
        while let Some(address) = addresses.pop_front() {
            match self.net.connect(address, token) {
                Ok(stream) => {
                    self.sessions_out += 1;
                    let id = SessionId { leg: Leg::Out, number: self.sessions_out };
                    let session = self.core.client_session(server, address, self.now);
                    let link = Link::new(stream, token, false);
                    let c = Outbound::new(id, server, link, session, address, addresses, self.now);
                    let mut armed = c.link.armed;
                    self.timers.arm(token, c.deadline(), &mut armed);
                    self.slots.insert(Slot::Outbound(Box::new(c)));
                    if let Some(kept) = self.slots.armed(token) {
                        *kept = armed;
                    }
                    self.next.open[usize::from(server.0)].push(token);
                    return true;
                }
                // What we lack is no fault of the next server, which need not pause for it.
                Err(e) if is_shortage(&e) => {
                    self.accept_again.get_or_insert(self.now.time.after(ACCEPT_PAUSE));
                    return false;
                }
                Err(e) => problem = Some((address, e)),
            }
        }
        let why = match problem {
            Some((address, e)) => format!("cannot connect to {address}: {}", cause(&e)),
            None => format!(
                "{} is not known: not an address, nor in /etc/hosts",
                self.core.server(server).host
            ),
        };
        let reply = Reply::made(451, Some(Enhanced(4, 4, 1)), why);
        self.core.server_failed(server, &reply, self.now);
        false
    }

    /// A connection to a next server is gone.
    pub fn outbound_gone(&mut self, server: ServerId, token: Token) {
        self.next.open[usize::from(server.0)].retain(|t| *t != token);
    }
}

/// The process or the system is out of descriptors, ports or memory.
fn is_shortage(error: &io::Error) -> bool {
    let lacks = [libc::EMFILE, libc::ENFILE, libc::EADDRNOTAVAIL, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|errno| lacks.contains(&errno))
}
