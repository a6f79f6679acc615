//! Due mail to next servers: which connections to open, which idle ones to wake.

use std::io;

use super::Reactor;
use super::accept::ACCEPT_PAUSE;
use super::dialing::Dialing;
use super::net::{Net, Token};
use super::outbound::Outbound;
use super::slots::Slot;
use super::ways::Reach;
use crate::base::{Enhanced, Leg, Reply, SessionId, cause};
use crate::queue::ServerId;
use crate::spool::Disk;

/// The connections that are open to each next server, by [`ServerId`].
#[derive(Default)]
pub struct NextServers {
    pub(super) open: Vec<Vec<Token>>,
    /// One is gone: another may take its place.
    pub(super) freed: bool,
}

impl NextServers {
    /// Those to this server.
    pub fn of(&mut self, server: ServerId) -> &mut Vec<Token> {
        let at = usize::from(server.0);
        if self.open.len() <= at {
            self.open.resize_with(at + 1, Vec::new);
        }
        &mut self.open[at]
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// The queue's share of a tick: reports, then work for connections that idle, then new
    /// connections for what is left.
    pub fn dispatch(&mut self) {
        self.next.freed = false;
        self.scout();
        self.core.sweep(self.now);
        self.core.reroute(self.now);
        if !self.core.may_forward() {
            return;
        }
        for index in 0..self.core.queue.server_count() {
            let server = ServerId(index as u16);
            self.wake_idle(server);
            let open = self.next.of(server).len();
            for _ in 0..self.core.queue.connections_wanted(server, open, self.now) {
                if !self.dial(server) {
                    break;
                }
            }
        }
    }

    fn wake_idle(&mut self, server: ServerId) {
        for i in 0..self.next.of(server).len() {
            if self.core.queue.server(server, self.now).due == 0 {
                return;
            }
            let token = self.next.of(server)[i];
            if matches!(self.slots.get_mut(token), Some(Slot::Outbound(c)) if c.is_idle()) {
                self.turn(token);
            }
        }
    }

    /// Opens a connection; false when that is not possible now.
    pub(super) fn dial(&mut self, server: ServerId) -> bool {
        let hosts = match self.core.reach(server, self.now) {
            Reach::At(hosts) => hosts,
            Reach::Asking => return false,
            Reach::Down(reply) => {
                self.core.server_failed(server, &reply, self.now);
                return false;
            }
            Reach::Refused(reply) => {
                self.core.refuse_all(server, &reply, self.now);
                return false;
            }
        };
        let token = self.slots.next_token();
        let (mut link, dialing) = match Dialing::begin(&mut self.net, hosts, token, self.now.time) {
            Ok(begun) => begun,
            // What we lack is no fault of the next server, which need not pause for it.
            Err((_, e)) if is_shortage(&e) => {
                self.accept_again.get_or_insert(self.now.time.after(ACCEPT_PAUSE));
                return false;
            }
            Err((address, e)) => {
                let why = format!("cannot connect to {address}: {}", cause(&e));
                let reply = Reply::made(451, Some(Enhanced(4, 4, 1)), why);
                self.core.server_failed(server, &reply, self.now);
                return false;
            }
        };
        self.sessions_out += 1;
        self.core.queue.session_began(server);
        let id = SessionId { leg: Leg::Out, number: self.sessions_out };
        let session = self.core.client_session(server, dialing.peer(), self.now);
        self.timers.arm(token, dialing.deadline(), &mut link.armed);
        let c = Outbound::new(id, server, link, session, dialing, self.now);
        self.slots.insert(Slot::Outbound(Box::new(c)));
        self.next.of(server).push(token);
        true
    }

    /// A connection to a next server is gone.
    pub fn outbound_gone(&mut self, server: ServerId, token: Token) {
        self.next.of(server).retain(|t| *t != token);
        self.core.queue.session_ended(server);
        self.next.freed |= self.core.queue.server(server, self.now).due > 0;
    }
}

/// The process or the system is out of descriptors, ports or memory.
fn is_shortage(error: &io::Error) -> bool {
    let lacks = [libc::EMFILE, libc::ENFILE, libc::EADDRNOTAVAIL, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|errno| lacks.contains(&errno))
}
