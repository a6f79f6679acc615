//! Socket activation: listening sockets that systemd opened for us (sd_listen_fds(3)).
//!
//! Each is one of the listeners of the configuration: that of `[listener.NAME]` when its name is
//! NAME (`FileDescriptorName=`), else the one with its address. What was handed over is not bound
//! again. A socket that is nobody's is an error: mail would wait in its backlog for ever.

use std::net::SocketAddr;

use super::Reactor;
use super::core::Role;
use super::mio_net::{MioNet, address_of};
use super::run::listen_failure;
use super::slots::{Listener, Slot};
use crate::base::{Failure, Printable, cause, exit};
use crate::config::Config;
use crate::spool::Disk;
use crate::sys::Handed;

/// A listener that is to be, and the socket that it was handed, if any.
pub(super) struct Wanted {
    at: SocketAddr,
    role: Role,
    handed: Option<Handed>,
}

impl Wanted {
    /// What it is for.
    pub(super) fn role(&self) -> Role {
        self.role
    }
}

/// Gives each socket to its listener.
pub(super) fn assign(
    config: &Config,
    listeners: Vec<(SocketAddr, Role)>,
    handed: Vec<Handed>,
) -> Result<Vec<Wanted>, Failure> {
    let wanted = |(at, role)| Wanted { at, role, handed: None };
    let mut all: Vec<Wanted> = listeners.into_iter().map(wanted).collect();
    let mut named: Vec<Wanted> = Vec::new();
    for socket in handed {
        let at = address_of(&socket).map_err(|words| unusable(&socket, &words))?;
        let by_name = config.listeners.iter().position(|l| l.name == socket.name());
        if let Some(n) = by_name.and_then(|n| u16::try_from(n).ok()) {
            named.push(Wanted { at, role: Role::Named(n), handed: Some(socket) });
            continue;
        }
        match all.iter_mut().find(|wanted| wanted.at == at && wanted.handed.is_none()) {
            Some(wanted) => wanted.handed = Some(socket),
            None => {
                let words = format!(
                    "it listens on {at}, which is nobody's address: add it to server.listen or a \
                     [listener.NAME], or call it NAME with FileDescriptorName="
                );
                return Err(unusable(&socket, &words));
            }
        }
    }
    // The unit says where, for a listener that has sockets by its name.
    all.retain(|wanted| wanted.handed.is_some() || named.iter().all(|n| n.role != wanted.role));
    all.extend(named);
    Ok(all)
}

fn unusable(socket: &Handed, words: &str) -> Failure {
    let name = Printable::bounded(socket.name(), 80);
    let words = format!("cannot use socket {} ('{name}') of LISTEN_FDS: {words}", socket.number());
    Failure::new(exit::CONFIG, words)
}

impl<D: Disk> Reactor<MioNet, D> {
    /// Opens a listener, or takes over its socket; says where it listens.
    pub(super) fn listen_as(&mut self, wanted: Wanted) -> Result<SocketAddr, Failure> {
        let Wanted { at, role, handed } = wanted;
        let Some(handed) = handed else {
            return self.listen(at, role).map_err(|e| listen_failure(at, &e));
        };
        let number = handed.number();
        let socket = self.net.adopt(handed, self.slots.next_token()).map_err(|e| {
            let words = format!("cannot use socket {number} of LISTEN_FDS: {}", cause(&e));
            Failure::new(exit::SYSTEM, words)
        })?;
        self.slots.insert(Slot::Listener(Box::new(Listener { socket, at, role, queued: false })));
        Ok(at)
    }
}
