//! Changes of the configuration while mail waits.

use std::time::Duration;

use super::server::{Server, State};
use super::{Queue, QueueConfig, ServerId, ServerLimits};
use crate::base::Now;

/// The number of a server that is gone is given to another after so long: by then the last session
/// with the old one is over.
const REST: Duration = Duration::from_secs(3600);

impl Queue {
    /// Takes a new configuration. A server whose name was known keeps its id, its state and its
    /// mail; one that is not named any more is gone, and each sweep gives out the messages that
    /// wait for it, to be rerouted. Gives the ids of `servers`, in their order. The next sweep is
    /// due at once.
    ///
    /// # Panics
    ///
    /// With more than 65,535 servers.
    pub fn reconfigure(
        &mut self,
        config: QueueConfig,
        servers: &[(String, ServerLimits)],
        now: Now,
    ) -> Vec<ServerId> {
        self.config = config;
        self.next_sweep = now.time;
        for old in &mut self.servers {
            let is_named = servers.iter().any(|(name, _)| *name == old.name);
            if old.destination.is_none() && !is_named && old.state != State::Gone {
                old.enter(State::Gone, now.time);
            }
        }
        let ids = servers.iter().map(|(name, limits)| self.configure(name, *limits, now)).collect();
        self.reconfigure_destinations(now);
        ids
    }

    /// A server that somebody wants to speak to once: to the queue it is as one that is gone, and
    /// takes no mail. The same name gives the same number; none when there are too many.
    pub fn visit(&mut self, name: &str, limits: ServerLimits, now: Now) -> Option<ServerId> {
        let is_known = |s: &Server| s.name == name && s.state == State::Gone;
        if let Some(at) = self.servers.iter().position(is_known) {
            return Some(ServerId(at as u16));
        }
        if self.servers.len() > usize::from(u16::MAX) / 2 {
            return None;
        }
        let id = self.configure(name, limits, now);
        self.servers[usize::from(id.0)].enter(State::Gone, now.time);
        Some(id)
    }

    fn configure(&mut self, name: &str, limits: ServerLimits, now: Now) -> ServerId {
        let at = match self.servers.iter().position(|s| s.name == name) {
            Some(at) => {
                let server = &mut self.servers[at];
                server.limits = limits;
                if server.state == State::Gone {
                    server.reopen(now.time);
                }
                at
            }
            None => {
                let is_free = |s: &Server| {
                    let is_free = s.deliveries == 0 && s.sessions == 0 && s.destination.is_none();
                    s.state == State::Gone && is_free && now.time.since(s.since) >= REST
                };
                let at = self.servers.iter().position(is_free).unwrap_or(self.servers.len());
                let server = Server::new(name, limits, now.time);
                match self.servers.get_mut(at) {
                    Some(free) => *free = server,
                    None => self.servers.push(server),
                }
                at
            }
        };
        assert!(at < usize::from(u16::MAX), "a ServerId has 16 bits");
        ServerId(at as u16)
    }
}
