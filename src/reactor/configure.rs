//! From the settings to what the parts are told, at the start and at each change while running.

use super::core::Core;
use super::past::bounds;
use super::ways::limits_of;
use crate::base::{MessageId, Now};
use crate::config::{Config, RouteKey};
use crate::queue::routes::{Group, Routes, Rule};
use crate::queue::{QueueConfig, ServerId, ServerLimits, ServerState};
use crate::rules::{Aliases, Relay};
use crate::smtp::server::{AuthPolicy, ServerConfig};
use crate::spool::Disk;

impl<D: Disk> Core<D> {
    /// Takes a new configuration. Mail that waits takes its route anew, a slice a tick.
    pub(super) fn reconfigure(&mut self, config: Config, now: Now) {
        self.relay_session = session_config(&config);
        self.sink_session = sink_config(&self.relay_session);
        self.relay = relay_rule(&config);
        let servers = limits_by_name(&config);
        let ids = self.queue.reconfigure(queue_config(&config), &servers, now);
        for (id, settings) in ids.iter().zip(&config.next_servers) {
            let at = usize::from(id.0);
            // Between the ids of next servers there may be those of destinations.
            if self.servers.len() <= at {
                self.servers.resize(at + 1, settings.clone());
            }
            // What it was left alone for may be mended by that.
            let is_left = matches!(
                self.queue.server(*id, now).state,
                ServerState::BackingOff { .. } | ServerState::Probing
            );
            if self.servers[at] != *settings && is_left {
                self.queue.probe_server(*id, now);
            }
            self.servers[at].clone_from(settings);
        }
        self.routes = routes_from(&config, &ids);
        self.server_ids = ids;
        self.filters.replace(config.filters.iter().cloned());
        let before = (&self.config.next_servers, &self.config.server.hostname);
        self.epoch += u64::from(before != (&config.next_servers, &config.server.hostname));
        let before = (&self.config.routes, &self.config.next_servers);
        if before != (&config.routes, &config.next_servers) {
            self.rerouting = Some(0);
        }
        self.aliases = Aliases::new(config.aliases.clone(), &config.server.hostname);
        self.history.set_bounds(bounds(config.insight), &self.journal, now);
        let faults = self.config.faults != config.faults;
        self.config = config;
        self.configure_names();
        if faults {
            self.configure_faults(now);
        }
    }

    /// Gives some messages that wait their route anew, after the routes or the servers on them have
    /// changed.
    pub(super) fn reroute(&mut self, now: Now) {
        /// Their envelopes may have to be read: about 2 ms.
        const SLICE: usize = 128;
        let Some(from) = self.rerouting else { return };
        let slice: Vec<u64> = self.queue.counters(from).take(SLICE).collect();
        self.rerouting = slice.last().and_then(|last| last.checked_add(1));
        for counter in slice {
            if let Some(id) = self.queue.id_of(counter) {
                self.reroute_one(id, now);
            }
        }
    }

    /// A message whose envelope cannot be read stays as it is; its next attempt says why.
    pub(super) fn reroute_one(&mut self, id: MessageId, now: Now) {
        let Ok(head) = self.spool.head(id) else { return };
        let envelope = head.envelope.clone();
        let mut routes: Vec<(u32, ServerId)> = Vec::new();
        for (i, recipient) in (0..).zip(&envelope.recipients) {
            let way = self.way(envelope.from.as_ref(), recipient, now);
            routes.extend(way.map(|way| (i, way)));
        }
        self.queue.reroute(id.counter, &routes);
    }

    /// A server has come or gone: mail that has a choice takes its route anew.
    pub(super) fn choose_anew(&mut self) {
        if self.have_choices() {
            self.rerouting = Some(0);
        }
    }
}

/// Who may send where.
pub(super) fn relay_rule(config: &Config) -> Relay {
    let server = &config.server;
    Relay::new(&server.hostname, &server.relay_from, &server.relay_to)
}

/// What sessions that relay are told.
pub(super) fn session_config(config: &Config) -> ServerConfig {
    let server = &config.server;
    ServerConfig {
        hostname: server.hostname.clone(),
        max_message_size: server.max_message_size,
        max_recipients: server.max_recipients,
        max_errors: server.max_errors,
        max_hops: server.max_hops,
        timeout: server.timeout,
        starttls: false,
        auth: match config.auth.users.is_empty() {
            true => AuthPolicy::None,
            false => AuthPolicy::Optional,
        },
    }
}

/// What sessions of the sink are told. It takes what a relay would refuse: it is for trials.
pub(super) fn sink_config(relay: &ServerConfig) -> ServerConfig {
    ServerConfig { max_message_size: 0, auth: AuthPolicy::None, ..relay.clone() }
}

/// The schedule.
pub(super) fn queue_config(config: &Config) -> QueueConfig {
    QueueConfig {
        interval: config.queue.interval,
        retry_min: config.queue.retry_min,
        retry_max: config.queue.retry_max,
        expire: config.queue.expire,
        delay_notice: config.queue.delay_notice,
    }
}

/// The next servers, as the queue knows them.
pub(super) fn limits_by_name(config: &Config) -> Vec<(String, ServerLimits)> {
    config.next_servers.iter().map(|s| (s.name.clone(), limits_of(s))).collect()
}

/// The table of routes. `ids` are those of the next servers, in their order.
pub(super) fn routes_from(config: &Config, ids: &[ServerId]) -> Routes {
    let named = |name: &String| {
        let at = config.next_servers.iter().position(|s| s.name == *name)?;
        ids.get(at).copied()
    };
    let rules = config.routes.iter().map(|route| {
        let rule = match &route.key {
            RouteKey::Domain(pattern) => Rule::Domain(pattern.clone()),
            RouteKey::Sender(sender) => Rule::Sender(sender.clone()),
            RouteKey::All => Rule::All,
        };
        let share = |(name, weight): &(String, u32)| Some((named(name)?, *weight));
        let group = |group: &Vec<_>| Group(group.iter().filter_map(share).collect());
        (rule, route.next.iter().map(group).collect())
    });
    let otherwise = named(&"default".to_owned()).map(Group::from).into_iter().collect();
    Routes::new(rules.collect(), otherwise)
}
