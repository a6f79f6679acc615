//! Addresses that were of no use.
//!
//! A host that greets with 421 or 554, breaks TLS or says nothing is no better for its mail than
//! one that cannot be reached: the other addresses and hosts of the same server are to have their
//! turn (RFC 5321 section 5.1). So such an address, and one that did not take a connection, goes to
//! the end of the list for a while. Only when all have been tried in vain the server is left alone.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::core::Core;
use super::lately::Lately;
use super::ways::{Reach, Target};
use crate::base::{Now, Printable, Reply, Time};
use crate::journal::Level;
use crate::queue::ServerId;
use crate::smtp::client::Fault;
use crate::spool::Disk;

/// How long an address stands at the end.
const AT_THE_END: Duration = Duration::from_secs(600);

/// Addresses that are remembered as tried.
const TRIED: usize = 1024;

/// The addresses that are shunned.
#[derive(Debug)]
pub struct Shunned {
    lately: Lately,
    /// Those that were of no use to a server since it was last left alone, or lived: not even as
    /// the last they are tried again before one of that happens.
    tried: VecDeque<(ServerId, SocketAddr)>,
}

impl Default for Shunned {
    fn default() -> Shunned {
        Shunned { lately: Lately::new(AT_THE_END), tried: VecDeque::new() }
    }
}

impl Shunned {
    /// It was of use after all.
    pub(super) fn forget(&mut self, at: SocketAddr) {
        self.lately.forget(at);
    }

    /// All of the server's addresses may have another turn.
    pub(super) fn begin_anew(&mut self, server: ServerId) {
        self.tried.retain(|tried| tried.0 != server);
    }

    /// It took a connection of this server, and was of no use.
    fn useless(&mut self, server: ServerId, at: SocketAddr, now: Time) {
        self.lately.add(at, now);
        if self.tried.len() >= TRIED {
            self.tried.pop_front();
        }
        self.tried.push_back((server, at));
    }

    /// It took no connection. What is wrong on our side, descriptors that are used up, say, is
    /// nothing against it.
    pub(super) fn unreachable(&mut self, at: SocketAddr, problem: &io::Error, now: Time) {
        use io::ErrorKind::{
            AddrNotAvailable, ConnectionAborted, ConnectionRefused, ConnectionReset,
            HostUnreachable, NetworkUnreachable, TimedOut,
        };
        let is_theirs = matches!(
            problem.kind(),
            AddrNotAvailable
                | ConnectionAborted
                | ConnectionRefused
                | ConnectionReset
                | HostUnreachable
                | NetworkUnreachable
                | TimedOut
        );
        if is_theirs {
            self.lately.add(at, now);
        }
    }

    /// The same hosts, those addresses last that are shunned; without those that have had their
    /// turn, where others have not.
    pub(super) fn sort(&self, server: ServerId, hosts: Vec<Target>, now: Time) -> Vec<Target> {
        if self.lately.is_empty() {
            return hosts;
        }
        let is_left = |at: &SocketAddr| !self.tried.contains(&(server, *at));
        let some_are_left = hosts.iter().flat_map(|host| &host.addresses).any(is_left);
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for Target { host, mut addresses } in hosts {
            addresses.retain(|at| !some_are_left || is_left(at));
            let (bad, good): (Vec<_>, Vec<_>) =
                addresses.into_iter().partition(|at| self.lately.has(*at, now));
            for (list, addresses) in [(&mut first, good), (&mut last, bad)] {
                if !addresses.is_empty() {
                    list.push(Target { host: host.clone(), addresses });
                }
            }
        }
        first.append(&mut last);
        first
    }
}

impl<D: Disk> Core<D> {
    /// A connection to this address was of no use before a word was said about mail. True when
    /// another address of the server is to be tried first, at once.
    pub(super) fn try_another(
        &mut self,
        server: ServerId,
        peer: SocketAddr,
        (fault, why): (&Fault, &Reply),
        now: Now,
    ) -> bool {
        // What is said about our login, another host would only say again, and count it.
        let about_us = matches!(why.code, 530 | 534 | 535 | 538);
        if about_us || matches!(fault, Fault::Login(_)) {
            return false;
        }
        self.shunned.useless(server, peer, now.time);
        let Reach::At(hosts) = self.reach(server, now) else { return false };
        let first = hosts.first().and_then(|host| host.addresses.first());
        let fresh = first.is_some_and(|at| !self.shunned.lately.has(*at, now.time));
        if fresh {
            let words = Printable::bounded(why.on_one_line(), 400);
            let name = &self.queue.server(server, now).name;
            let text = format!("{name}: {peer} is of no use, another address is tried: {words}");
            self.say(now, Level::Warn, &text);
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: ServerId = ServerId(3);

    fn target(host: &str, addresses: &[&str]) -> Target {
        let addresses = addresses.iter().map(|at| at.parse().unwrap()).collect();
        Target { host: host.into(), addresses }
    }

    #[test]
    fn what_was_of_no_use_comes_last_for_a_while() {
        let mut shunned = Shunned::default();
        let now = Time::from_micros(1_000_000);
        let hosts =
            vec![target("a", &["[::1]:25", "192.0.2.1:25"]), target("b", &["192.0.2.2:25"])];
        assert_eq!(shunned.sort(S, hosts.clone(), now), hosts);
        let refused = io::ErrorKind::ConnectionRefused.into();
        shunned.unreachable("[::1]:25".parse().unwrap(), &refused, now);
        let ours = io::Error::from_raw_os_error(libc::EMFILE);
        shunned.unreachable("192.0.2.2:25".parse().unwrap(), &ours, now);
        let expected = [
            target("a", &["192.0.2.1:25"]),
            target("b", &["192.0.2.2:25"]),
            target("a", &["[::1]:25"]),
        ];
        assert_eq!(shunned.sort(S, hosts.clone(), now), expected);
        assert_eq!(shunned.sort(S, hosts.clone(), now.after(AT_THE_END)), hosts);
        shunned.forget("[::1]:25".parse().unwrap());
        assert_eq!(shunned.sort(S, hosts.clone(), now), hosts);
    }

    #[test]
    fn nobody_has_two_turns_before_all_have_had_one() {
        let mut shunned = Shunned::default();
        let now = Time::from_micros(1_000_000);
        let hosts = vec![target("a", &["192.0.2.1:25", "[::1]:25"])];
        let (v4, v6) = (hosts[0].addresses[0], hosts[0].addresses[1]);
        shunned.useless(S, v4, now);
        assert_eq!(shunned.sort(S, hosts.clone(), now), [target("a", &["[::1]:25"])]);
        // To another server it is only the last.
        let last = [target("a", &["[::1]:25"]), target("a", &["192.0.2.1:25"])];
        assert_eq!(shunned.sort(ServerId(4), hosts.clone(), now), last);
        shunned.useless(S, v6, now);
        assert_eq!(shunned.sort(S, hosts.clone(), now), hosts);
        shunned.begin_anew(S);
        shunned.forget(v6);
        assert_eq!(shunned.sort(S, hosts.clone(), now), last);
        (0..5000).for_each(|port| shunned.useless(S, ([192, 0, 2, 3], port).into(), now));
        assert!(shunned.tried.len() <= TRIED);
    }
}
