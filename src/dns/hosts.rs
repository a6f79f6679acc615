//! The hosts file (hosts(5)): an address, then its names, one address a line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The names that the machine itself knows.
#[derive(Clone, Default, Debug)]
pub struct Hosts {
    entries: Vec<(String, IpAddr)>,
}

impl Hosts {
    /// Lines read at most: a hosts file used as a block list must not cost memory without bound.
    const MAX_ENTRIES: usize = 100_000;

    /// Reads the file's text; lines that make no sense are passed over, as everybody does.
    pub fn parse(text: &str) -> Hosts {
        let mut entries = Vec::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or("").split_ascii_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
            entries.extend(words.map(|name| (canonical(name), address)));
            if entries.len() >= Self::MAX_ENTRIES {
                break;
            }
        }
        Hosts { entries }
    }

    /// The addresses of a name, in the file's order, each once.
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let name = canonical(name);
        let mut found: Vec<IpAddr> = Vec::new();
        for (_, address) in self.entries.iter().filter(|(n, _)| *n == name) {
            if !found.contains(address) {
                found.push(*address);
            }
        }
        found
    }
}

fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The addresses of a host: an address is itself, `localhost` is both loopbacks (RFC 6761 section
/// 6.3: never asked of anybody), anything else is looked up. Empty when it is not known.
pub fn lookup(host: &str, hosts: &Hosts) -> Vec<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return vec![address];
    }
    let name = canonical(host);
    if name == "localhost" || name.ends_with(".localhost") {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    hosts.addresses(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_hosts_file() {
        let hosts = Hosts::parse(
            "# comment\n192.0.2.1 Relay.example relay # x\n::1 relay\nnonsense relay\n\
             192.0.2.1 relay\n192.0.2.9\n",
        );
        let ip = |s: &str| s.parse::<IpAddr>().unwrap();
        assert_eq!(lookup("RELAY", &hosts), [ip("192.0.2.1"), ip("::1")]);
        assert_eq!(lookup("relay.example.", &hosts), [ip("192.0.2.1")]);
        assert_eq!(lookup("unknown", &hosts), [] as [IpAddr; 0]);
        assert_eq!(lookup("LOCALHOST", &hosts), [ip("127.0.0.1"), ip("::1")]);
        assert_eq!(lookup("[::1]", &hosts), [ip("::1")]);
        assert_eq!(lookup("192.0.2.7", &hosts), [ip("192.0.2.7")]);
    }
}
