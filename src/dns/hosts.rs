//! The hosts file (hosts(5)): an address, then its names, one address a line.

use std::collections::HashMap;
use std::net::IpAddr;

/// The names that the machine itself knows.
#[derive(Clone, Default, Debug)]
pub struct Hosts {
    addresses: HashMap<String, Vec<IpAddr>>,
}

impl Hosts {
    /// Names that are kept: a hosts file used as a block list must not cost memory without bound.
    const MAX_NAMES: usize = 100_000;
    /// Addresses of one name that are kept.
    const MAX_ADDRESSES: usize = 64;

    /// Reads the file's text; lines that make no sense are passed over, as everybody does.
    pub fn parse(text: &str) -> Hosts {
        let mut addresses: HashMap<String, Vec<IpAddr>> = HashMap::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or("").split_ascii_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
            for name in words {
                let list = addresses.entry(canonical(name)).or_default();
                if !list.contains(&address) && list.len() < Self::MAX_ADDRESSES {
                    list.push(address);
                }
            }
            if addresses.len() >= Self::MAX_NAMES {
                break;
            }
        }
        Hosts { addresses }
    }

    /// The addresses of a name, in the file's order, each once.
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        self.addresses.get(&canonical(name)).cloned().unwrap_or_default()
    }
}

fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
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
        assert_eq!(hosts.addresses("RELAY"), [ip("192.0.2.1"), ip("::1")]);
        assert_eq!(hosts.addresses("relay.example."), [ip("192.0.2.1")]);
        assert_eq!(hosts.addresses("unknown"), [] as [IpAddr; 0]);
    }
}
