//! The system's resolver configuration (resolv.conf(5)): whom to ask, and how.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::name::Name;

/// Servers that are taken; resolv.conf(5) has three, nobody needs more than these.
const MAX_SERVERS: usize = 8;
/// Domains of the search list that are taken.
const MAX_SEARCH: usize = 8;

/// Whom to ask, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResolvConf {
    /// Recursive resolvers, in the order in which they are asked.
    pub servers: Vec<SocketAddr>,
    /// Domains below which a name may stand that is written short.
    pub search: Vec<Name>,
    /// A name with fewer dots is looked for below the search list first.
    pub ndots: usize,
    /// How long one server may take to answer.
    pub timeout: Duration,
    /// How often all servers are asked.
    pub attempts: u32,
    /// Each question begins with another server.
    pub rotate: bool,
}

impl Default for ResolvConf {
    /// What resolv.conf(5) says of a file that says nothing.
    fn default() -> ResolvConf {
        ResolvConf {
            servers: vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53)],
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
        }
    }
}

impl ResolvConf {
    /// Reads the file's text. What is unknown or makes no sense is passed over, as everybody does:
    /// a server must not stop for the sake of an option that is meant for another program.
    pub fn parse(text: &str) -> ResolvConf {
        let mut conf = ResolvConf { servers: Vec::new(), ..ResolvConf::default() };
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or("");
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => conf.servers.extend(words.next().and_then(server)),
                // Of several lines the last one counts.
                Some("search" | "domain") => conf.search = words.filter_map(Name::parse).collect(),
                Some("options") => words.for_each(|option| conf.option(option)),
                _ => {}
            }
        }
        conf.servers.truncate(MAX_SERVERS);
        conf.search.truncate(MAX_SEARCH);
        if conf.servers.is_empty() {
            conf.servers = ResolvConf::default().servers;
        }
        conf
    }

    /// The bounds are those of resolv.conf(5).
    fn option(&mut self, option: &str) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        let number = || value.parse::<u32>().ok();
        match (name, number()) {
            ("ndots", Some(n)) => self.ndots = n.min(15) as usize,
            ("timeout", Some(n)) => self.timeout = Duration::from_secs(u64::from(n.clamp(1, 30))),
            ("attempts", Some(n)) => self.attempts = n.clamp(1, 5),
            ("rotate", _) => self.rotate = true,
            _ => {}
        }
    }
}

/// An address, perhaps with a zone (`fe80::1%eth0`), which only a number can name here.
fn server(text: &str) -> Option<SocketAddr> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(a, z)| (a, Some(z)));
    let mut socket = SocketAddr::new(address.parse::<IpAddr>().ok()?, 53);
    if let Some(zone) = zone {
        match &mut socket {
            SocketAddr::V6(v6) => v6.set_scope_id(zone.parse().ok()?),
            SocketAddr::V4(_) => return None,
        }
    }
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_it_may_say() {
        let conf = ResolvConf::parse(
            "# made by something\n\
             nameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver fe80::1%2\n\
             nameserver nonsense\nnameserver\nnameserver fe80::1%eth0\n\
             domain old.example\nsearch Corp.Example example.org. ; others\n\
             options ndots:2 timeout:3 attempts:9 rotate edns0 trust-ad single-request ndots:x\n\
             sortlist 192.0.2.0/24\nunheard-of word\n",
        );
        let servers: Vec<String> = conf.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%2]:53"]);
        let search: Vec<&str> = conf.search.iter().map(Name::as_str).collect();
        assert_eq!(search, ["corp.example", "example.org"]);
        assert_eq!((conf.ndots, conf.attempts, conf.rotate), (2, 5, true));
        assert_eq!(conf.timeout, Duration::from_secs(3));
    }

    #[test]
    fn nothing_and_too_much() {
        assert_eq!(ResolvConf::parse(""), ResolvConf::default());
        let many = "nameserver 192.0.2.1\n".repeat(100) + "search " + &"a ".repeat(100);
        let conf = ResolvConf::parse(&many);
        assert_eq!((conf.servers.len(), conf.search.len()), (MAX_SERVERS, MAX_SEARCH));
        let odd = ResolvConf::parse("options timeout:0 attempts:0 ndots:99999999999 ndots:99");
        assert_eq!((odd.timeout.as_secs(), odd.attempts, odd.ndots), (1, 1, 15));
    }
}
