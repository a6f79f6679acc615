//! What people do to the queue: hold, release, retry, flush, delete, bounce, pause, reroute.
//!
//! Messages are named by their counters. What a session carries is not taken from it: holding and
//! removing take effect when it comes back.

use super::replies::Words;
use super::server::State;
use super::store::{Node, Part, Parts, Place, Then};
use super::{Queue, ServerId};
use crate::base::{MessageId, Now, Reply, Status};

impl Queue {
    /// Holds all recipients of a message that are not done: they are not tried, and do not expire.
    /// Gives those that are held now, to be marked in the spool; one that a session carries may
    /// still be delivered.
    pub fn hold(&mut self, counter: u64) -> Vec<u32> {
        self.counted(counter, |queue| {
            let mut held = Vec::new();
            for slot in queue.slot_list(counter) {
                match &mut queue.store[slot].place {
                    Place::Ready { .. } => queue.make_unready(slot),
                    Place::Carried { then, .. } => *then = Then::Hold,
                    place @ Place::Waiting { .. } => *place = Place::Held,
                    Place::Held => {}
                    Place::Failed { .. } => continue,
                }
                held.extend(queue.store[slot].parts.all().iter().map(|p| p.recipient));
            }
            held
        })
    }

    /// Ends holding: what was held is due now. Gives the recipients concerned, and what they are
    /// to be marked with in the spool.
    pub fn release(&mut self, counter: u64) -> Vec<(u32, Status)> {
        self.counted(counter, |queue| {
            let mut released = Vec::new();
            for slot in queue.slot_list(counter) {
                match &mut queue.store[slot].place {
                    Place::Carried { then: then @ Then::Hold, .. } => *then = Then::Schedule,
                    Place::Held => queue.make_ready(slot),
                    _ => continue,
                }
                let status = |p: &Part| if p.delayed { Status::Delayed } else { Status::Pending };
                let parts = queue.store[slot].parts.all();
                released.extend(parts.iter().map(|p| (p.recipient, status(p))));
            }
            released
        })
    }

    /// Makes a message due now, unless it is held. False when there is no such message.
    pub fn retry(&mut self, counter: u64) -> bool {
        for slot in self.slot_list(counter) {
            if matches!(self.store[slot].place, Place::Waiting { .. }) {
                self.make_ready(slot);
            }
        }
        self.index.get(counter).is_some()
    }

    /// Makes all messages due now that are not held, and probes all servers that back off or were
    /// paused by hand.
    pub fn flush(&mut self, now: Now) {
        let all: Vec<u64> = self.index.from(0).map(|(counter, _)| counter).collect();
        for counter in all {
            self.retry(counter);
        }
        for server in 0..self.servers.len() {
            self.probe_one(ServerId(server as u16), now);
        }
    }

    /// Takes a message out of the queue; false when there is none. What a session carries of it is
    /// forgotten when it comes back.
    pub fn remove(&mut self, counter: u64) -> bool {
        let slots = self.slot_list(counter);
        self.counted(counter, |queue| {
            for slot in &slots {
                match &mut queue.store[*slot].place {
                    Place::Carried { then, .. } => {
                        *then = Then::Forget;
                        continue;
                    }
                    Place::Ready { .. } => queue.make_unready(*slot),
                    _ => {}
                }
                if let Some(node) = queue.detach(*slot) {
                    queue.release_replies(node.parts.all());
                }
            }
            queue.index.remove(counter);
            queue.more.remove(&counter);
        });
        !slots.is_empty()
    }

    /// Gives up what is left of a message, except what a session carries: its recipients fail with
    /// these words, and the next sweep, which is due at once, gives them out. Gives how many.
    pub fn fail(&mut self, counter: u64, why: &Reply) -> usize {
        let failed = self.counted(counter, |queue| {
            let mut failed = 0;
            for slot in queue.slot_list(counter) {
                match queue.store[slot].place {
                    Place::Ready { .. } => queue.make_unready(slot),
                    Place::Waiting { .. } | Place::Held => {}
                    Place::Carried { .. } | Place::Failed { .. } => continue,
                }
                queue.make_failed(slot, false);
                queue.tell_all(slot, &Words::new(why, None));
                failed += queue.store[slot].parts.all().len();
            }
            failed
        });
        if failed > 0 {
            self.fresh.push_back(counter);
        }
        failed
    }

    /// Sends recipients of a message to other servers. What is due stays due and what waits waits
    /// on; what a session carries, and what has failed, stays as it is.
    pub fn reroute(&mut self, counter: u64, routes: &[(u32, ServerId)]) {
        let mut routes = routes.to_vec();
        routes.sort_unstable();
        self.counted(counter, |queue| {
            for slot in queue.slot_list(counter) {
                queue.reroute_one(slot, &routes);
            }
        });
    }

    /// The same for one delivery; routes are sorted by recipient.
    fn reroute_one(&mut self, slot: u32, routes: &[(u32, ServerId)]) {
        let node = &self.store[slot];
        let server_of = |part: &Part| {
            let found = routes.binary_search_by_key(&part.recipient, |route| route.0);
            found.map_or(node.server, |at| routes[at].1)
        };
        let place = node.place;
        let stays = matches!(place, Place::Carried { .. } | Place::Failed { .. });
        if stays || node.parts.all().iter().all(|part| server_of(part) == node.server) {
            return;
        }
        let mut parts: Vec<(ServerId, Part)> =
            node.parts.all().iter().map(|part| (server_of(part), *part)).collect();
        parts.sort_by_key(|(server, _)| *server);
        if matches!(place, Place::Ready { .. }) {
            self.make_unready(slot);
        }
        let Some(node) = self.detach(slot) else { return };
        for group in parts.chunk_by(|a, b| a.0 == b.0) {
            let slot = self.attach(Node {
                parts: Parts::new(group.iter().map(|(_, part)| *part).collect()),
                server: group[0].0,
                place: Place::Held,
                ..node
            });
            match place {
                Place::Ready { .. } => self.make_ready(slot),
                _ => self.store[slot].place = place,
            }
        }
    }

    /// Stops giving mail to a server, until [`Queue::resume_server`], [`Queue::probe_server`] or
    /// [`Queue::flush`]. One that delivers directly is meant with all its destinations, those too
    /// that are yet to come; so it is in the other three.
    pub fn pause_server(&mut self, server: ServerId, now: Now) {
        for id in self.with_destinations(server) {
            let server = &mut self.servers[usize::from(id.0)];
            if server.state != State::Gone {
                server.enter(State::Paused, now.time);
            }
        }
    }

    /// Gives mail to a server again, as if nothing had ever been wrong with it.
    pub fn resume_server(&mut self, server: ServerId, now: Now) {
        for id in self.with_destinations(server) {
            let server = &mut self.servers[usize::from(id.0)];
            if server.state != State::Gone {
                server.reopen(now.time);
            }
        }
    }

    /// Lets a server that backs off or is paused be probed now, if there is mail for it.
    pub fn probe_server(&mut self, server: ServerId, now: Now) {
        for id in self.with_destinations(server) {
            self.probe_one(id, now);
        }
    }

    fn probe_one(&mut self, server: ServerId, now: Now) {
        let server = &mut self.servers[usize::from(server.0)];
        // Nothing is ever connected for the line of a direct server: it is open, or it is not.
        if server.limits.direct && server.state == State::Paused {
            server.reopen(now.time);
        } else if matches!(server.state, State::BackingOff { .. } | State::Paused) {
            server.enter(State::BackingOff { until: now.time }, now.time);
        }
    }

    /// Lets the servers of a message that back off be probed now.
    pub fn probe_servers_of(&mut self, counter: u64, now: Now) {
        for slot in self.slot_list(counter) {
            let server = self.store[slot].server;
            if matches!(self.servers[usize::from(server.0)].state, State::BackingOff { .. }) {
                self.probe_server(server, now);
            }
        }
    }

    /// The counters of all messages from this one on, oldest first.
    pub fn counters(&self, from: u64) -> impl Iterator<Item = u64> + '_ {
        self.index.from(from).map(|(counter, _)| counter)
    }

    /// The identity of the message with this counter, when it is here.
    pub fn id_of(&self, counter: u64) -> Option<MessageId> {
        self.index.get(counter).map(|slot| self.store[slot].id())
    }
}
