//! Networks and domain patterns: the two ways in which settings and rules name many at once.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::{Domain, domain_to_ascii};

/// An IP network, such as `192.0.2.0/24` or `2001:db8::/32`; an address alone is a network of one.
///
/// An IPv4 address that comes dressed as IPv6 (`::ffff:192.0.2.7`, as a socket bound to `[::]`
/// reports its IPv4 clients) is the IPv4 address, in the network and in what is compared with it.
/// So `0.0.0.0/0` is all of IPv4, `::/0` all of IPv6, and neither contains the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpNet {
    /// Canonical, its bits beyond the prefix zero.
    base: IpAddr,
    /// Bits that count: up to 32 or 128.
    prefix: u8,
}

/// Why a text is not a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IpNetError {
    /// What stands before the slash is not an IP address.
    Address,
    /// What stands after the slash is not a number from 0 to 32 or 128.
    Prefix,
}

impl fmt::Display for IpNetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IpNetError::Address => "not an IP address or network such as 192.0.2.0/24",
            IpNetError::Prefix => "the prefix of a network is 0 to 32, for IPv6 0 to 128",
        })
    }
}

/// The address as 128 bits with what it is compared by at the top, and how many bits there are.
fn bits(ip: IpAddr) -> (u128, u8) {
    match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    }
}

/// The mask with `prefix` ones at the top.
fn mask(prefix: u8) -> u128 {
    if prefix == 0 { 0 } else { u128::MAX << (128 - u32::from(prefix)) }
}

impl IpNet {
    /// The network of `ip` and `prefix` bits. Bits of the address beyond the prefix do not count:
    /// `192.0.2.7/24` is `192.0.2.0/24`.
    pub fn new(ip: IpAddr, prefix: u8) -> Result<IpNet, IpNetError> {
        let (_, width) = bits(ip);
        if prefix > width {
            return Err(IpNetError::Prefix);
        }
        // A network inside ::ffff:0:0/96 is an IPv4 network; a wider one is an IPv6 network that
        // merely has those addresses within.
        let canonical = ip.to_canonical();
        let (ip, prefix) = match prefix.checked_sub(width - bits(canonical).1) {
            Some(prefix) => (canonical, prefix),
            None => (ip, prefix),
        };
        let masked = bits(ip).0 & mask(prefix);
        let base = match ip {
            IpAddr::V4(_) => IpAddr::V4(((masked >> 96) as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(masked.into()),
        };
        Ok(IpNet { base, prefix })
    }

    /// Whether the address lies in the network.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ((base, width), (ip, ip_width)) = (bits(self.base), bits(ip.to_canonical()));
        width == ip_width && (base ^ ip) & mask(self.prefix) == 0
    }
}

impl From<IpAddr> for IpNet {
    /// The network of this address alone.
    fn from(ip: IpAddr) -> IpNet {
        let base = ip.to_canonical();
        IpNet { base, prefix: bits(base).1 }
    }
}

impl FromStr for IpNet {
    type Err = IpNetError;

    fn from_str(text: &str) -> Result<IpNet, IpNetError> {
        let (ip, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((ip, prefix)) => (ip, Some(prefix)),
        };
        let ip: IpAddr = ip.parse().map_err(|_| IpNetError::Address)?;
        let Some(prefix) = prefix else { return Ok(IpNet::from(ip)) };
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return Err(IpNetError::Prefix);
        }
        IpNet::new(ip, prefix.parse().map_err(|_| IpNetError::Prefix)?)
    }
}

impl fmt::Display for IpNet {
    /// `192.0.2.0/24`; a network of one address as the address alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == bits(self.base).1 {
            write!(f, "{}", self.base)
        } else {
            write!(f, "{}/{}", self.base, self.prefix)
        }
    }
}

impl fmt::Debug for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A domain, `example.org`, or all its subdomains and not itself, `.example.org`.
///
/// Upper and lower case are the same (RFC 5321 section 2.4), and so are a name beyond ASCII and its
/// A-labels (RFC 5890 section 2.3.2.1). An address literal fits no pattern.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DomainPattern {
    /// As it was written, in lower case, without the leading dot.
    shown: Box<str>,
    /// The same in ASCII.
    name: Box<str>,
    subdomains: bool,
}

impl DomainPattern {
    /// Whether a domain name fits.
    pub fn matches_name(&self, name: &str) -> bool {
        let name = domain_to_ascii(name).unwrap_or(name.into());
        let (name, own) = (name.as_bytes(), self.name.as_bytes());
        let Some(start) = name.len().checked_sub(own.len()) else { return false };
        if !name[start..].eq_ignore_ascii_case(own) {
            return false;
        }
        match name[..start] {
            [] => !self.subdomains,
            [.., b'.'] => self.subdomains && start > 1,
            _ => false,
        }
    }

    /// Whether the domain of an address fits.
    pub fn matches(&self, domain: Domain<'_>) -> bool {
        match domain {
            Domain::Name(name) => self.matches_name(name),
            Domain::Literal(_) => false,
        }
    }
}

impl FromStr for DomainPattern {
    type Err = ();

    /// Takes a domain name (not a literal), perhaps after a dot.
    fn from_str(text: &str) -> Result<DomainPattern, ()> {
        let name = text.strip_prefix('.').unwrap_or(text);
        if name.starts_with('[') || !Domain::is_valid(name) {
            return Err(());
        }
        Ok(DomainPattern {
            shown: name.to_lowercase().into(),
            name: domain_to_ascii(name).ok_or(())?.to_ascii_lowercase().into(),
            subdomains: name.len() < text.len(),
        })
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.subdomains { "." } else { "" }, self.shown)
    }
}

impl fmt::Debug for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(net: &str, ip: &str) -> bool {
        net.parse::<IpNet>().unwrap().contains(ip.parse().unwrap())
    }

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        for (net, inside, outside) in [
            ("127.0.0.0/8", "127.255.255.255", "128.0.0.0"),
            ("127.0.0.0/8", "127.0.0.0", "126.255.255.255"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.7/31", "192.0.2.6", "192.0.2.8"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "0.0.0.0"),
            ("::1", "::1", "::2"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"),
        ] {
            assert!(holds(net, inside), "{net} {inside}");
            assert!(!holds(net, outside), "{net} {outside}");
        }
    }

    #[test]
    fn ipv4_dressed_as_ipv6_is_ipv4() {
        assert!(holds("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(!holds("::/0", "::ffff:127.0.0.1"));
        assert!(holds("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(!holds("::ffff:10.0.0.0/104", "11.1.2.3"));
        assert!(!holds("::ffff:0:0/95", "10.1.2.3"));
        // ::127.0.0.1 is an IPv6 address of its own (RFC 4291 section 2.5.5.1, deprecated).
        assert!(!holds("127.0.0.0/8", "::127.0.0.1"));
    }

    #[test]
    fn networks_are_written_and_read() {
        for (text, shown) in [
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("2001:DB8::1/32", "2001:db8::/32"),
            ("::1", "::1"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ] {
            assert_eq!(text.parse::<IpNet>().unwrap().to_string(), shown);
        }
        for wrong in ["", "x", "1.2.3", "1.2.3.4.5", "/8", "[::1]", "::1%lo", " ::1"] {
            assert_eq!(wrong.parse::<IpNet>(), Err(IpNetError::Address), "{wrong}");
        }
        for wrong in ["1.2.3.4/33", "::1/129", "1.2.3.4/", "1.2.3.4/+8", "1.2.3.4/8/8", "::1/999"] {
            assert_eq!(wrong.parse::<IpNet>(), Err(IpNetError::Prefix), "{wrong}");
        }
    }

    #[test]
    fn domain_patterns() {
        let fits = |pattern: &str, name: &str| {
            pattern.parse::<DomainPattern>().unwrap().matches(Domain::Name(name))
        };
        assert!(fits("example.org", "Example.ORG"));
        assert!(!fits("example.org", "a.example.org"));
        assert!(!fits("example.org", "badexample.org"));
        assert!(!fits("example.org", "example.org.evil"));
        assert!(fits(".Example.org", "a.example.org"));
        assert!(fits(".example.org", "a.b.EXAMPLE.org"));
        assert!(!fits(".example.org", "example.org"));
        assert!(!fits(".example.org", ".example.org"));
        assert!(!fits(".example.org", "badexample.org"));
        assert!(!fits("grün.example", "xün.example"));
        assert!(fits("Grün.example", "GRÜN.example"));
        assert!(fits("grün.example", "XN--grn-ioa.example"));
        assert!(fits(".xn--grn-ioa.example", "a.grün.example"));
        assert_eq!("Grün.example".parse::<DomainPattern>().unwrap().to_string(), "grün.example");
        let pattern: DomainPattern = "1.2.3.4".parse().unwrap();
        assert!(!pattern.matches(Domain::Literal("[1.2.3.4]")));
        for wrong in ["", ".", "..a", "a b", "[1.2.3.4]", ".[1.2.3.4]", "a.", "*", "a@b"] {
            assert_eq!(wrong.parse::<DomainPattern>(), Err(()), "{wrong}");
        }
        assert_eq!(".Example.ORG".parse::<DomainPattern>().unwrap().to_string(), ".example.org");
    }
}
