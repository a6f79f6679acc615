//! Lookups: hosts by name, and the hosts that take a domain's mail.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::cache::{Answer, Exchange};
use super::name::Name;
use super::resolver::{Families, Found, Resolver};
use super::wire::Kind;
use crate::base::Time;

/// How long addresses of one family wait for those of the other (RFC 8305 section 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// Hosts of one domain that are tried for a message (RFC 5321 section 5.1 asks for two at least).
const MAX_HOSTS: usize = 10;

/// A host and where it is, the addresses in the order in which to try them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    /// Its name, or its address as people write it.
    pub name: String,
    /// Not empty.
    pub addresses: Vec<IpAddr>,
}

/// What came of looking for the hosts that take a domain's mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MailHosts {
    /// Them, the best first, hosts of equal preference in random order.
    Known(Vec<Host>),
    /// It is being asked: look again when something was heard.
    Asking,
    /// The domain does not exist.
    NoDomain,
    /// It says that it takes no mail (RFC 7505).
    NullMx,
    /// It exists, and no host of it can be had.
    NoHost,
    /// Its best host is ourselves (RFC 5321 section 5.1): the mail would come back.
    Ourselves,
    /// Nobody could say, for now.
    Fault(super::Fault),
}

impl Resolver {
    /// The addresses of a host as people name it: an address is itself, `localhost` is both
    /// loopbacks, the hosts file knows some, and DNS the others, in the domains of the search list
    /// when the name is short (resolv.conf(5), `ndots`).
    pub fn host(&mut self, host: &str, now: Time) -> Found<Vec<IpAddr>> {
        if let Some(address) = literal(host) {
            return Found::Known(vec![address]);
        }
        let Some(name) = Name::parse(host) else { return Found::NoName };
        if let Some(known) = self.local(&name) {
            return known;
        }
        let mut names = vec![name.clone()];
        if !host.ends_with('.') {
            let below = self.conf.search.iter().filter_map(|domain| name.below(domain));
            names.extend(below);
            if name.dots() < self.conf.ndots {
                names.rotate_left(1);
            }
        }
        let mut best = Found::NoName;
        for name in &names {
            match self.addresses(name, now) {
                Found::NoName => {}
                Found::NoData => best = Found::NoData,
                decided => return decided,
            }
        }
        best
    }

    /// What this machine knows by itself.
    fn local(&self, name: &Name) -> Option<Found<Vec<IpAddr>>> {
        let known: Vec<IpAddr> = if name.is_localhost() {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        } else {
            self.hosts.addresses(name.as_str())
        };
        if known.is_empty() {
            return None;
        }
        let wanted: Vec<IpAddr> = known.into_iter().filter(|ip| self.wants(*ip)).collect();
        Some(if wanted.is_empty() { Found::NoData } else { Found::Known(wanted) })
    }

    fn wants(&self, ip: IpAddr) -> bool {
        match self.families {
            Families::Both => true,
            Families::V4 => ip.is_ipv4(),
            Families::V6 => ip.is_ipv6(),
        }
    }

    /// The addresses of exactly this name, in turns of IPv6 and IPv4 (RFC 8305 section 4).
    fn addresses(&mut self, name: &Name, now: Time) -> Found<Vec<IpAddr>> {
        let (v6, v4) = match self.families {
            Families::Both => (self.look(name, Kind::Aaaa, now), self.look(name, Kind::A, now)),
            Families::V4 => (Found::NoData, self.look(name, Kind::A, now)),
            Families::V6 => (self.look(name, Kind::Aaaa, now), Found::NoData),
        };
        let list = |found: &Found<Answer>| match found {
            Found::Known(Answer::Addresses(list)) => list.clone(),
            _ => Vec::new(),
        };
        let (six, four) = (list(&v6), list(&v4));
        if !(six.is_empty() && four.is_empty()) {
            // RFC 8305 section 3: who has some waits a little for the others, and no longer.
            for (found, kind) in [(&v6, Kind::Aaaa), (&v4, Kind::A)] {
                let since = self.asked_since(name, kind).unwrap_or(now);
                let until = since.after(RESOLUTION_DELAY);
                if *found == Found::Asking && until > now {
                    self.look_again = self.look_again.min(until);
                    return Found::Asking;
                }
            }
            return Found::Known(interleave(six, four));
        }
        match (v6, v4) {
            (Found::Asking, _) | (_, Found::Asking) => Found::Asking,
            (Found::Fault(fault), _) | (_, Found::Fault(fault)) => Found::Fault(fault),
            (Found::NoName, _) | (_, Found::NoName) => Found::NoName,
            _ => Found::NoData,
        }
    }

    /// The hosts that take the mail of a domain (RFC 5321 section 5.1): its mail exchanges by
    /// preference; itself, when it has none. `is_ours` knows ourselves by name and address.
    pub fn mail_hosts(
        &mut self,
        domain: &str,
        is_ours: impl Fn(&str, &[IpAddr]) -> bool,
        now: Time,
    ) -> MailHosts {
        if let Some(address) = literal(domain) {
            return match is_ours(domain, &[address]) {
                true => MailHosts::Ourselves,
                false => MailHosts::Known(vec![Host {
                    name: domain.to_owned(),
                    addresses: vec![address],
                }]),
            };
        }
        let Some(name) = Name::parse(domain) else { return MailHosts::NoDomain };
        if name.is_localhost() {
            return self.implicit(&name, is_ours, now);
        }
        match self.look(&name, Kind::Mx, now) {
            Found::Known(Answer::Exchanges(exchanges)) => self.explicit(exchanges, is_ours, now),
            Found::Known(_) | Found::NoData => self.implicit(&name, is_ours, now),
            // DNS does not know it, and this machine does.
            Found::NoName if self.local(&name).is_some() => self.implicit(&name, is_ours, now),
            Found::Asking => MailHosts::Asking,
            Found::NoName => MailHosts::NoDomain,
            Found::Fault(fault) => MailHosts::Fault(fault),
        }
    }

    /// A domain without MX is its own exchange.
    fn implicit(
        &mut self,
        name: &Name,
        is_ours: impl Fn(&str, &[IpAddr]) -> bool,
        now: Time,
    ) -> MailHosts {
        let found = self.local(name).unwrap_or_else(|| self.addresses(name, now));
        match found {
            Found::Known(addresses) if is_ours(name.as_str(), &addresses) => MailHosts::Ourselves,
            Found::Known(addresses) => {
                MailHosts::Known(vec![Host { name: name.to_string(), addresses }])
            }
            Found::Asking => MailHosts::Asking,
            Found::NoData => MailHosts::NoHost,
            Found::NoName => MailHosts::NoDomain,
            Found::Fault(fault) => MailHosts::Fault(fault),
        }
    }

    fn explicit(
        &mut self,
        mut exchanges: Vec<Exchange>,
        is_ours: impl Fn(&str, &[IpAddr]) -> bool,
        now: Time,
    ) -> MailHosts {
        // RFC 7505 section 3: a null MX stands alone. Beside others it is no host to try.
        if exchanges.iter().all(|e| e.host.is_root()) {
            return MailHosts::NullMx;
        }
        exchanges.retain(|e| !e.host.is_root());
        // RFC 5321 section 5.1: hosts of equal preference are tried in random order.
        self.rng.shuffle(&mut exchanges);
        exchanges.sort_by_key(|e| e.preference);
        exchanges.truncate(MAX_HOSTS);
        // All are asked before the first is looked at: their answers come side by side.
        let mut found: VecDeque<(Exchange, Found<Vec<IpAddr>>)> = VecDeque::new();
        for exchange in exchanges {
            let name = &exchange.host;
            let addresses = self.local(name).unwrap_or_else(|| self.addresses(name, now));
            found.push_back((exchange, addresses));
        }
        // RFC 5321 section 5.1: ourselves, and whoever is not better, would send it back.
        let ours = |(exchange, found): &(Exchange, Found<Vec<IpAddr>>)| {
            let addresses: &[IpAddr] = if let Found::Known(a) = found { a } else { &[] };
            is_ours(exchange.host.as_str(), addresses).then_some(exchange.preference)
        };
        let our_preference = found.iter().filter_map(ours).min();
        found.retain(|(exchange, _)| our_preference.is_none_or(|p| exchange.preference < p));
        if found.is_empty() {
            return MailHosts::Ourselves;
        }
        let (mut hosts, mut fault) = (Vec::new(), None);
        for (exchange, found) in found {
            match found {
                Found::Known(addresses) => {
                    hosts.push(Host { name: exchange.host.to_string(), addresses });
                }
                // What is there is better than what is yet to come.
                Found::Asking if hosts.is_empty() => return MailHosts::Asking,
                Found::Asking => break,
                Found::Fault(why) => fault = Some(why),
                Found::NoData | Found::NoName => {}
            }
        }
        match (hosts.is_empty(), fault) {
            (false, _) => MailHosts::Known(hosts),
            (true, Some(fault)) => MailHosts::Fault(fault),
            // RFC 5321 section 5.1: none of them usable is an error, and not "no MX".
            (true, None) => MailHosts::NoHost,
        }
    }
}

/// An address as people write it, or as a literal in a mail address (RFC 5321 section 4.1.3).
fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let tagged = bare.get(..5).filter(|tag| tag.eq_ignore_ascii_case("ipv6:"));
    bare[tagged.map_or(0, str::len)..].parse().ok()
}

/// IPv6 and IPv4 in turns, IPv6 first.
fn interleave(six: Vec<IpAddr>, four: Vec<IpAddr>) -> Vec<IpAddr> {
    let most = six.len().max(four.len());
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    (0..most).flat_map(|_| [six.next(), four.next()]).flatten().collect()
}
