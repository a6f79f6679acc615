//! Where mail goes: routes to next servers, next servers to hosts and addresses.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::core::Core;
use crate::base::{
    Address, Domain, Enhanced, Envelope, Now, Recipient, Reply, Status, domain_to_ascii,
};
use crate::config::{Config, NextServerSettings, SystemNames, Way};
use crate::dns::{Families, Fault, Found, Hosts, MailHosts, ResolvConf, Resolver};
use crate::journal::{Ending, What};
use crate::message::{Edit, rewrite_from};
use crate::queue::routes::Group;
use crate::queue::{Delivery, Outcome, ServerId};
use crate::spool::{Disk, SpoolError};

/// How often it is looked whether the system's files have changed, when a name is wanted.
const SYSTEM_FILES: Duration = Duration::from_secs(5);

/// A header that is longer is sent as it is, also where another From is wanted.
const MAX_REWRITTEN: usize = 1 << 18;

/// A host of a next server and its addresses, in the order in which to try them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Its name.
    pub host: String,
    /// Not empty.
    pub addresses: Vec<SocketAddr>,
}

/// Whether and where a server can be reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// At these hosts, the best first.
    At(Vec<Target>),
    /// It is being asked.
    Asking,
    /// Not now: it is to be left alone for a while.
    Down(Reply),
    /// Never: what is to go there fails.
    Refused(Reply),
}

/// The resolver for a configuration; `system` is what resolv.conf says.
pub fn resolver_for(config: &Config, system: &ResolvConf, hosts: Hosts, seed: u64) -> Resolver {
    Resolver::new(resolv_conf(config, system), families(config), hosts, seed)
}

fn resolv_conf(config: &Config, system: &ResolvConf) -> ResolvConf {
    match &config.dns.servers {
        Some(servers) => ResolvConf { servers: servers.clone(), ..system.clone() },
        None => system.clone(),
    }
}

fn families(config: &Config) -> Families {
    match (config.dns.ipv4, config.dns.ipv6) {
        (true, false) => Families::V4,
        (false, true) => Families::V6,
        _ => Families::Both,
    }
}

impl<D: Disk> Core<D> {
    /// A server outside the configuration, for one visit; none when too many were visited.
    pub(super) fn visit(&mut self, host: &str, port: u16, now: Now) -> Option<ServerId> {
        let settings = NextServerSettings::visited(host, port);
        let id = self.queue.visit(&settings.name, limits_of(&settings), now)?;
        let at = usize::from(id.0);
        if self.servers.len() <= at {
            self.servers.resize(at + 1, settings.clone());
        }
        self.servers[at] = settings;
        Some(id)
    }

    /// The server, or destination, that mail for this recipient takes now.
    pub(super) fn way(
        &mut self,
        from: Option<&Address>,
        recipient: &Recipient,
        now: Now,
    ) -> Option<ServerId> {
        let rcpt = &recipient.address;
        let domain = match rcpt.domain() {
            Some(Domain::Name(domain) | Domain::Literal(domain)) => domain,
            // RFC 5321 section 4.5.1: postmaster without a domain is ours.
            None => &self.config.server.hostname,
        };
        // One domain is one destination, however it is written.
        let domain = &*domain_to_ascii(domain).unwrap_or(domain.into());
        let via = self.via(&recipient.via);
        self.via_choices |= via.len() > 1;
        // Where none of these servers is left, the routes are better than no way.
        let route = if via.is_empty() { self.routes.route(from, rcpt) } else { &via };
        let chosen = self.queue.choose(route, domain, now)?;
        if self.servers[usize::from(chosen.0)].terms.way != Way::Direct {
            return Some(chosen);
        }
        Some(self.queue.destination(chosen, domain, now))
    }

    /// The next servers with these names that there are, each to be tried after the one before.
    pub(super) fn via(&self, names: &[String]) -> Vec<Group> {
        let servers = &self.config.next_servers;
        let place = |name: &String| servers.iter().position(|server| server.name == *name);
        let ids = names.iter().filter_map(place).filter_map(|at| self.server_ids.get(at));
        ids.map(|id| Group::from(*id)).collect()
    }

    /// Whether any mail may have more than one way.
    pub(super) fn have_choices(&self) -> bool {
        self.via_choices || self.routes.have_choices()
    }

    /// Whether there is a way to a recipient, whatever aliases make of it.
    pub(super) fn all_have_ways(&self, from: Option<&Address>, rcpt: &Address) -> bool {
        let routed = |rcpt: &Address| !self.routes.route(from, rcpt).is_empty();
        if self.aliases.is_empty() {
            routed(rcpt)
        } else {
            self.aliases.expand(rcpt).iter().all(routed)
        }
    }

    /// The way of each recipient.
    pub(super) fn routes_of(
        &mut self,
        envelope: &Envelope,
        now: Now,
    ) -> Vec<(u32, ServerId, Status)> {
        let mut routes = Vec::with_capacity(envelope.recipients.len());
        for (i, recipient) in (0..).zip(&envelope.recipients) {
            let way = self.way(envelope.from.as_ref(), recipient, now);
            routes.push((i, way.unwrap_or(ServerId(0)), Status::Pending));
        }
        routes
    }

    /// Where a server can be reached.
    pub(super) fn reach(&mut self, server: ServerId, now: Now) -> Reach {
        self.read_system_files(now);
        let settings = self.server(server);
        let (port, way, host) = (settings.port, settings.terms.way, settings.host.clone());
        let target = |host: String, ips: Vec<IpAddr>| Target {
            host,
            addresses: ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect(),
        };
        if way == Way::Host {
            return match self.resolver.host(&host, now.time) {
                Found::Known(ips) => {
                    Reach::At(self.shunned.sort(server, vec![target(host, ips)], now.time))
                }
                Found::Asking => Reach::Asking,
                Found::NoName => Reach::Down(unroutable(&host, "is not a host that is known")),
                Found::NoData => Reach::Down(unroutable(&host, "has no address")),
                Found::Fault(fault) => Reach::Down(no_answer(&host, &fault)),
            };
        }
        let of_recipient = self.queue.domain_of(server).map(str::to_owned);
        let domain = of_recipient.as_deref().unwrap_or(&host);
        let config = &self.config.server;
        let ours = |name: &str, ips: &[IpAddr]| {
            let listens = |ip: &IpAddr| {
                let named = self.config.listeners.iter().flat_map(|listener| &listener.listen);
                config.listen.iter().chain(named).any(|at| {
                    let any = at.ip().is_unspecified() && ip.is_loopback();
                    at.port() == port && (at.ip() == *ip || any)
                })
            };
            name.eq_ignore_ascii_case(&config.hostname) || ips.iter().any(listens)
        };
        let (fate, words) = match self.resolver.mail_hosts(domain, ours, now.time) {
            MailHosts::Known(hosts) => {
                let hosts = hosts.into_iter().map(|h| target(h.name, h.addresses)).collect();
                return Reach::At(self.shunned.sort(server, hosts, now.time));
            }
            MailHosts::Asking => return Reach::Asking,
            MailHosts::Fault(fault) => return Reach::Down(no_answer(domain, &fault)),
            // RFC 3463 section 3.2, and RFC 7505 section 4.2.
            MailHosts::NoDomain => ((550, Enhanced(5, 1, 2)), "does not exist"),
            MailHosts::NullMx => {
                ((556, Enhanced(5, 1, 10)), "says that it takes no mail (null MX)")
            }
            MailHosts::NoHost => ((550, Enhanced(5, 4, 4)), "has no host that takes mail"),
            MailHosts::Ourselves => {
                ((550, Enhanced(5, 4, 6)), "has this server as its best mail host: a loop")
            }
        };
        match of_recipient.is_some() {
            true => Reach::Refused(Reply::made(
                fate.0,
                Some(fate.1),
                format!("The domain {domain} {words}"),
            )),
            // The administrator named it: that is the server's fault, and no recipient's.
            false => Reach::Down(unroutable(domain, words)),
        }
    }

    /// What is to go to this destination fails.
    pub(super) fn refuse_all(&mut self, server: ServerId, reply: &Reply, now: Now) {
        while let Some(delivery) = self.queue.take(server) {
            let id = delivery.id;
            let next = self.server(server).name.clone();
            let addresses: Vec<(u32, Option<Address>)> = delivery
                .recipients
                .iter()
                .map(|i| {
                    let head = self.spool.head(id).ok();
                    let all = head.map(|head| head.envelope.recipients.clone());
                    (*i, all.and_then(|all| all.get(*i as usize).map(|r| r.address.clone())))
                })
                .collect();
            let mut outcomes = Vec::with_capacity(addresses.len());
            for (recipient, address) in addresses {
                let ending = Ending::Failed;
                if let Some(address) = address {
                    let (recipient, next, at) = (&address, &*next, None);
                    let what = What::Outcome { recipient, ending, reply, next, at };
                    self.note(now, None, Some(id), what);
                }
                outcomes.push(Outcome { recipient, ending, reply: reply.clone() });
            }
            self.queue.finished(delivery, &outcomes, now);
        }
    }

    /// The other From that a next server wants (`rewrite_from`).
    pub(super) fn edit_for(&mut self, delivery: &Delivery) -> Result<Option<Edit>, SpoolError> {
        let Some(from) = self.server(delivery.server).terms.rewrite_from.clone() else {
            return Ok(None);
        };
        let body = self.spool.head(delivery.id)?.body;
        let most = usize::try_from(body).unwrap_or(usize::MAX).min(MAX_REWRITTEN);
        let mut start = vec![0; most];
        let mut at = 0;
        while at < most {
            match self.spool.read(delivery.id, at as u64, &mut start[at..])? {
                0 => break,
                n => at += n,
            }
        }
        Ok(rewrite_from(&start[..at], at as u64 == body, &from))
    }

    /// The host that is named in reports about mail for this server.
    pub(super) fn remote(&self, server: ServerId) -> String {
        let domain = self.queue.domain_of(server);
        domain.map_or_else(|| self.server(server).host.clone(), str::to_owned)
    }

    /// Reads the system's files about names again when they have changed.
    fn read_system_files(&mut self, now: Now) {
        let Some(system) = &mut self.system else { return };
        if now.time < self.next_system_look {
            return;
        }
        self.next_system_look = now.time.after(SYSTEM_FILES);
        if let Some(text) = system.hosts() {
            self.resolver.set_hosts(Hosts::parse(&text));
        }
        if let Some(text) = system.resolv() {
            self.system_conf = ResolvConf::parse(&text);
            self.configure_names();
        }
    }

    /// Tells the resolver what the configuration, and the system's, say now.
    pub(super) fn configure_names(&mut self) {
        let conf = resolv_conf(&self.config, &self.system_conf);
        self.resolver.configure(conf, families(&self.config));
    }

    /// From now on the system's files are read.
    pub(super) fn watch_system(&mut self, system: SystemNames, now: Now) {
        self.system = Some(system);
        self.read_system_files(now);
    }
}

fn unroutable(host: &str, words: &str) -> Reply {
    Reply::made(451, Some(Enhanced(4, 4, 4)), format!("{host} {words}"))
}

/// RFC 3463 section 3.5: the directory server failed, which says nothing about the name.
fn no_answer(host: &str, fault: &Fault) -> Reply {
    Reply::made(451, Some(Enhanced(4, 4, 3)), format!("cannot look up {host}: {fault}"))
}

/// What the queue is told about a next server.
pub(super) fn limits_of(server: &NextServerSettings) -> crate::queue::ServerLimits {
    crate::queue::ServerLimits {
        connections: server.connections,
        rate: server.terms.rate,
        direct: server.terms.way == Way::Direct,
    }
}
