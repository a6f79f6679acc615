//! Destinations: direct delivery goes to many hosts, and each has a fate of its own.
//!
//! A next server that delivers directly (`host = mx`) is only a name for its settings. Its mail
//! stands in lines by recipient domain; each of those **destinations** is a server like any other
//! here, with a window, a line and a wait of its own, so that one dead domain delays nobody else.
//! A destination comes with its first mail. Its number is given to another domain when it has
//! neither mail nor sessions and nothing is held against it.
//!
//! Their number is bounded. Mail for one domain too many *parks* in the line of the direct server
//! itself, which no connection is opened for; each sweep gives it out to be routed again.

use std::collections::HashMap;

use super::server::{Server, State};
use super::{Queue, ServerId};
use crate::base::Now;

/// Destinations that exist at once.
pub const MAX_DESTINATIONS: usize = 2000;

/// Which destination a domain has, for each direct server.
#[derive(Default, Debug)]
pub(super) struct Destinations {
    by_domain: HashMap<(ServerId, Box<str>), ServerId>,
    /// Where the search for one that can be used again goes on.
    hand: usize,
}

/// What makes a server a destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Destination {
    /// The direct server whose settings it has.
    pub(super) of: ServerId,
    /// In lower case.
    pub(super) domain: Box<str>,
}

impl Queue {
    /// The destination for this domain's mail by a direct server; the direct server itself when
    /// there is no room for another.
    pub fn destination(&mut self, of: ServerId, domain: &str, now: Now) -> ServerId {
        let domain: Box<str> = domain.to_ascii_lowercase().into();
        if let Some(known) = self.destinations.by_domain.get(&(of, domain.clone())) {
            return *known;
        }
        let Some(at) = self.room_for_destination(now) else { return of };
        let parent = &self.servers[usize::from(of.0)];
        let mut server = Server::new(&format!("{}/{domain}", parent.name), parent.limits, now.time);
        server.destination = Some(Destination { of, domain: domain.clone() });
        server.limits.direct = false;
        if parent.state == State::Paused {
            server.enter(State::Paused, now.time);
        }
        let id = ServerId(at as u16);
        match self.servers.get_mut(at) {
            Some(free) => {
                if let Some(old) = free.destination.take() {
                    self.destinations.by_domain.remove(&(old.of, old.domain));
                }
                *free = server;
            }
            None => self.servers.push(server),
        }
        self.destinations.by_domain.insert((of, domain), id);
        id
    }

    /// Where another destination can be.
    fn room_for_destination(&mut self, now: Now) -> Option<usize> {
        if self.destinations.by_domain.len() < MAX_DESTINATIONS {
            return (self.servers.len() < usize::from(u16::MAX)).then_some(self.servers.len());
        }
        let count = self.servers.len();
        let from = self.destinations.hand;
        let at = (0..count).map(|n| (from + n) % count).find(|at| {
            let server = &self.servers[*at];
            let is_quiet = match server.state {
                State::Open { .. } | State::Gone => true,
                State::BackingOff { until } => until <= now.time,
                // What is paused with its parent would be so again.
                State::Paused => server
                    .destination
                    .as_ref()
                    .is_some_and(|d| self.servers[usize::from(d.of.0)].state == State::Paused),
            };
            server.destination.is_some()
                && is_quiet
                && server.deliveries == 0
                && server.sessions == 0
        })?;
        self.destinations.hand = at + 1;
        Some(at)
    }

    /// The server whose fate mail for this domain shares when it is given to `server`: its
    /// destination, when there is one already.
    pub(super) fn at_domain(&self, server: ServerId, domain: &str) -> ServerId {
        if !self.servers[usize::from(server.0)].limits.direct {
            return server;
        }
        let key = (server, domain.to_ascii_lowercase().into());
        self.destinations.by_domain.get(&key).copied().unwrap_or(server)
    }

    /// A server, and the destinations that have its settings.
    pub(super) fn with_destinations(&self, server: ServerId) -> Vec<ServerId> {
        let all = (0..self.servers.len()).map(|at| ServerId(at as u16));
        let meant = |id: &ServerId| *id == server || self.settings_of(*id) == server;
        all.filter(meant).collect()
    }

    /// The next server whose settings this one has: itself, unless it is a destination.
    pub fn settings_of(&self, server: ServerId) -> ServerId {
        self.servers[usize::from(server.0)].destination.as_ref().map_or(server, |d| d.of)
    }

    /// The recipient domain that a destination is for.
    pub fn domain_of(&self, server: ServerId) -> Option<&str> {
        self.servers[usize::from(server.0)].destination.as_ref().map(|d| &*d.domain)
    }

    /// How many numbers of servers there are.
    pub fn server_count(&self) -> usize {
        self.servers.len()
    }

    /// A connection to the server was begun.
    pub fn session_began(&mut self, server: ServerId) {
        self.servers[usize::from(server.0)].sessions += 1;
    }

    /// It is gone.
    pub fn session_ended(&mut self, server: ServerId) {
        let sessions = &mut self.servers[usize::from(server.0)].sessions;
        *sessions = sessions.saturating_sub(1);
    }

    /// After a change of the configuration: destinations follow the server that they are of.
    pub(super) fn reconfigure_destinations(&mut self, now: Now) {
        for at in 0..self.servers.len() {
            let Some(of) = self.servers[at].destination.as_ref().map(|d| d.of) else { continue };
            let parent = &self.servers[usize::from(of.0)];
            let (limits, state) = (parent.limits, parent.state);
            let lives = limits.direct && state != State::Gone;
            let server = &mut self.servers[at];
            server.limits = super::ServerLimits { direct: false, ..limits };
            match (lives, server.state) {
                (true, State::Gone) if state == State::Paused => server.enter(state, now.time),
                (true, State::Gone) => server.reopen(now.time),
                (true, _) | (false, State::Gone) => {}
                (false, _) => server.enter(State::Gone, now.time),
            }
        }
    }
}
