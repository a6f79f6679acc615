//! Which server of a route takes a message now: failover and shares.
//!
//! A route is a list of groups, tried in order; the servers of one group share its mail by weight.
//! The first group with a server that takes mail decides. A server takes mail while it is Open.
//! One that backs off is left; once its wait is over and nothing is under way to it, the next
//! message goes to it, as the probe: if it lives, it is taken back by that, and if not, that one
//! message comes back to be chosen for again. When no server of a route takes mail, the mail waits
//! for the one that may be probed first.
//!
//! A server that delivers directly is as its destination for the recipient's domain is: when no
//! host of that domain can be reached, the domain's mail goes on to the next server of its route,
//! and all other mail as before.

use super::routes::Group;
use super::server::{Server, State};
use super::{Queue, ServerId};
use crate::base::{Now, Time};

impl Queue {
    /// The server of a route for one more message to this recipient domain; none when the route
    /// names no server. For one that delivers directly, ask [`Queue::destination`] then.
    pub fn choose(&mut self, route: &[Group], domain: &str, now: Now) -> Option<ServerId> {
        // Nearly all configurations have one server.
        if let [group] = route {
            if let [(only, _)] = group.0[..] {
                return Some(only);
            }
        }
        let states: Vec<(ServerId, bool, Time)> = route
            .iter()
            .flat_map(|group| &group.0)
            .map(|(id, _)| {
                let server = &self.servers[usize::from(self.at_domain(*id, domain).0)];
                (*id, takes(server, now.time), probe_time(server))
            })
            .collect();
        let rng = &mut self.rng;
        let takes = |id: &ServerId| states.iter().any(|(one, takes, _)| one == id && *takes);
        for group in route {
            let usable = || group.0.iter().filter(|(id, _)| takes(id));
            let total: u32 = usable().map(|(_, weight)| *weight).sum();
            if total == 0 {
                continue;
            }
            let mut lot = rng.u32(0..total);
            for (id, weight) in usable() {
                match lot.checked_sub(*weight) {
                    Some(rest) => lot = rest,
                    None => return Some(*id),
                }
            }
        }
        states.iter().min_by_key(|(_, _, probe)| *probe).map(|(id, _, _)| *id)
    }
}

/// When a server that takes no mail may be probed.
fn probe_time(server: &Server) -> Time {
    match server.state {
        State::Open { .. } => Time::ZERO,
        State::BackingOff { until } => until,
        State::Paused | State::Gone => Time::NEVER,
    }
}

fn takes(server: &Server, now: Time) -> bool {
    match server.state {
        State::Open { .. } => true,
        State::BackingOff { until } => until <= now && server.line.len() + server.carried == 0,
        State::Paused | State::Gone => false,
    }
}
