//! Kinds of values: how the text of a setting is read.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::nearest;
use crate::auth::Secret;
use crate::base::{
    Address, Domain, DomainPattern, IpNet, Rate, parse_duration, parse_size, show_duration,
    show_size,
};

/// What values a setting takes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// A name for ourselves: a domain or an address literal (RFC 5321 section 4.1.1.1).
    Domain,
    /// The name or the IP address of another host.
    Host,
    /// `ADDRESS:PORT`, several with commas between them.
    Listen,
    /// A file or a folder.
    Path,
    /// IP networks.
    Networks,
    /// Domain patterns.
    Domains,
    /// Octets, within bounds.
    Size {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A number, within bounds.
    Count {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A duration, within bounds.
    Duration {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// `AGE, SIZE`: how much of something is kept; 0 for nothing.
    Keep,
    /// `yes` or `no`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A filter in env_logger's syntax.
    LogFilter,
    /// Names of next servers.
    Names,
    /// Addresses of DNS servers.
    Resolvers,
    /// So many in so long.
    Rate,
    /// A mail address.
    Mailbox,
    /// Mail addresses.
    Mailboxes,
    /// Any text.
    Text,
    /// Any text, which is never shown.
    Secret,
}

/// The value of a setting.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// None: left empty.
    Nothing,
    /// Of a domain, host, choice or filter.
    Text(String),
    /// Of a path, as written.
    Path(PathBuf),
    /// Of a listener.
    Addresses(Vec<SocketAddr>),
    /// Of networks.
    Networks(Vec<IpNet>),
    /// Of domain patterns.
    Domains(Vec<DomainPattern>),
    /// Of a size or a count.
    Number(u64),
    /// Of a duration.
    Duration(Duration),
    /// Of how much is kept: for how long, and how many octets.
    Keep(Duration, u64),
    /// Of a switch.
    Switch(bool),
    /// Of names.
    Names(Vec<String>),
    /// Of a rate.
    Rate(Rate),
    /// Of mail addresses.
    Mailboxes(Vec<Address>),
    /// Of a secret.
    Secret(Secret),
}

impl fmt::Display for Kind {
    /// What to write, for docs/settings.md and error messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Domain => f.write_str("domain"),
            Kind::Host => f.write_str("host name or IP address"),
            Kind::Listen => f.write_str("ADDRESS:PORT, comma-separated"),
            Kind::Path => f.write_str("path"),
            Kind::Networks => f.write_str("IP networks, comma-separated"),
            Kind::Domains => {
                f.write_str("domains, comma-separated; `.example.org` for its subdomains")
            }
            Kind::Size { min, max } => {
                write!(f, "size, {} to {}", show_size(*min), show_size(*max))
            }
            Kind::Count { min, max } => write!(f, "number, {min} to {max}"),
            Kind::Duration { min, max } => {
                write!(f, "duration, {} to {}", show_duration(*min), show_duration(*max))
            }
            Kind::Keep => f.write_str("AGE, SIZE; or 0"),
            Kind::Switch => f.write_str("yes or no"),
            Kind::Choice(words) => f.write_str(&words.join(", ")),
            Kind::LogFilter => f.write_str("filter, such as `info` or `warn,smtp=debug`"),
            Kind::Text | Kind::Secret => f.write_str("text"),
            Kind::Names => f.write_str("names of next servers, comma-separated"),
            Kind::Resolvers => f.write_str("IP addresses, comma-separated, perhaps with a port"),
            Kind::Rate => f.write_str("number/s, /m, /h or /d"),
            Kind::Mailbox => f.write_str("mail address"),
            Kind::Mailboxes => f.write_str("mail addresses, comma-separated"),
        }
    }
}

impl Kind {
    /// Reads a value that is not empty. The error says what to write instead.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        if *self == Kind::Secret && text.contains(|c: char| c.is_control()) {
            return Err("the value contains a control character".into());
        }
        if text.contains(|c: char| c.is_control()) {
            return Err(format!("'{text}' contains a control character"));
        }
        match self {
            Kind::Domain if Domain::is_valid(text) => Ok(Value::Text(text.into())),
            Kind::Domain => Err(format!("'{text}' is not a domain such as mail.example.com")),
            Kind::Host => host(text).map(Value::Text),
            Kind::Listen => addresses(text).map(Value::Addresses),
            Kind::Path => Ok(Value::Path(text.into())),
            Kind::Text => Ok(Value::Text(text.into())),
            Kind::Secret => Ok(Value::Secret(Secret::new(text))),
            Kind::Networks => list(text, network).map(Value::Networks),
            Kind::Domains => list(text, domain_pattern).map(Value::Domains),
            Kind::Size { min, max } => parse_size(text)
                .filter(|n| (*min..=*max).contains(n))
                .map(Value::Number)
                .ok_or_else(|| format!("'{text}' is not a {self}; write it like 512K or 50M")),
            Kind::Count { min, max } => count(text)
                .filter(|n| (*min..=*max).contains(n))
                .map(Value::Number)
                .ok_or_else(|| format!("'{text}' is not a {self}")),
            Kind::Duration { min, max } => parse_duration(text)
                .filter(|d| (*min..=*max).contains(d))
                .map(Value::Duration)
                .ok_or_else(|| format!("'{text}' is not a {self}; write it like 15s, 5m or 1h")),
            Kind::Keep => keep(text).ok_or_else(|| {
                format!("'{text}' is not an age and a size; write it like 1d, 256M, or 0 for none")
            }),
            Kind::Switch => switch(text),
            Kind::Choice(words) => choice(text, words),
            Kind::LogFilter => log_filter(text),
            Kind::Names => list(text, |name| Ok(name.to_owned())).map(Value::Names),
            Kind::Resolvers => list(text, resolver).map(Value::Addresses),
            Kind::Rate => text
                .parse()
                .map(Value::Rate)
                .map_err(|()| format!("'{text}' is not a rate; write it like 60/m or 5/s")),
            Kind::Mailbox => mailbox(text).map(|address| Value::Mailboxes(vec![address])),
            Kind::Mailboxes => list(text, mailbox).map(Value::Mailboxes),
        }
        .map_err(|e| if text.contains([';', '#']) { with_comment_hint(e) } else { e })
    }
}

/// The file has no comments behind values, since passwords may contain any character.
fn with_comment_hint(error: String) -> String {
    format!("{error} (comments stand on lines of their own)")
}

/// An age of up to a year and a size of a megabyte to a terabyte, or 0.
fn keep(text: &str) -> Option<Value> {
    const YEAR: Duration = Duration::from_secs(366 * 86400);
    if text == "0" {
        return Some(Value::Keep(Duration::ZERO, 0));
    }
    let (age, size) = text.split_once(',')?;
    let age = parse_duration(age.trim()).filter(|age| !age.is_zero() && *age <= YEAR)?;
    let size = parse_size(size.trim()).filter(|size| (1 << 20..=1 << 40).contains(size))?;
    Some(Value::Keep(age, size))
}

/// Digits and nothing else.
fn count(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The items of a comma-separated list; `none` alone is the empty list.
fn list<T>(text: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    if text == "none" {
        return Ok(vec![]);
    }
    text.split(',')
        .map(str::trim)
        .map(
            |part| {
                if part.is_empty() {
                    Err("an item of the list is empty".into())
                } else {
                    item(part)
                }
            },
        )
        .collect()
}

fn network(text: &str) -> Result<IpNet, String> {
    text.parse().map_err(|e| format!("'{text}': {e}"))
}

/// An address with a domain: a bare `postmaster` is nobody's in particular.
fn mailbox(text: &str) -> Result<Address, String> {
    let parsed = Address::parse(text).ok().filter(|address| address.domain().is_some());
    parsed.ok_or_else(|| format!("'{text}' is not a mail address such as ann@example.org"))
}

/// A DNS server; its port is 53 when none is given.
fn resolver(text: &str) -> Result<SocketAddr, String> {
    let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let bare = inside.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    bare.or_else(|_| text.parse()).map_err(|_| {
        format!("'{text}' is not an IP address such as 192.0.2.53, 192.0.2.53:5353 or [::1]:53")
    })
}

fn domain_pattern(text: &str) -> Result<DomainPattern, String> {
    text.parse().map_err(|()| format!("'{text}' is not a domain such as example.org"))
}

fn switch(text: &str) -> Result<Value, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => Ok(Value::Switch(true)),
        "no" | "off" | "false" => Ok(Value::Switch(false)),
        _ => Err(format!("'{text}' is neither yes nor no")),
    }
}

fn choice(text: &str, words: &[&str]) -> Result<Value, String> {
    if words.contains(&text) {
        return Ok(Value::Text(text.into()));
    }
    Err(match nearest(text, words) {
        Some(word) => format!("unknown value '{text}'; did you mean '{word}'?"),
        None => format!("unknown value '{text}'; write one of {}", words.join(", ")),
    })
}

/// A host as people write it: `mail.example.com`, `192.0.2.7`, `2001:db8::1`, `[2001:db8::1]`.
/// Underscores are no part of a host name, but names in private networks have them.
fn host(text: &str) -> Result<String, String> {
    let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    if let Ok(ip) = inside.unwrap_or(text).parse::<IpAddr>() {
        return Ok(ip.to_string());
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    // A last label of digits alone is a mistyped IPv4 address (RFC 1123 section 2.1).
    let numeric = name.rsplit('.').next().and_then(count).is_some();
    if Domain::is_valid(&name.replace('_', "x")) && !name.starts_with('[') && !numeric {
        return Ok(name.to_owned());
    }
    match text.rsplit_once(':') {
        Some((_, port)) if count(port).is_some() => {
            Err(format!("'{text}' is not a host; the port is a setting of its own, 'port'"))
        }
        _ => Err(format!("'{text}' is not a host name or an IP address")),
    }
}

/// Addresses to listen on. `localhost` is both loopback addresses.
fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    let mut all = vec![];
    for part in list(text, |part| Ok(part.to_owned()))? {
        for address in address(&part)? {
            // Port 0 asks the system for a free one, each time another.
            if address.port() != 0 && all.contains(&address) {
                return Err(format!("{address} is given twice"));
            }
            all.push(address);
        }
    }
    if all.is_empty() { Err("at least one address is needed".into()) } else { Ok(all) }
}

fn address(text: &str) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let number = count(port).and_then(|n| u16::try_from(n).ok());
    if let (true, Some(port)) = (host.eq_ignore_ascii_case("localhost"), number) {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    }
    Err(if text.parse::<Ipv6Addr>().is_ok() {
        format!("'{text}' needs a port; write [{text}]:2525")
    } else if text.parse::<Ipv4Addr>().is_ok() {
        format!("'{text}' needs a port; write {text}:2525")
    } else if let (true, Some(n)) = (host.is_empty() || host == "*", number) {
        format!("'{text}' needs an address; write 0.0.0.0:{n} (IPv4) or [::]:{n} (IPv6)")
    } else if let Some(n) = count(text) {
        format!("'{text}' needs an address; write 127.0.0.1:{n}")
    } else {
        format!("'{text}' is not an ADDRESS:PORT such as 127.0.0.1:2525 or [::1]:2525")
    })
}

/// A filter in env_logger's syntax. A word alone is a level or a module; one that is nearly a
/// level was meant as one, and would otherwise silence the log.
fn log_filter(text: &str) -> Result<Value, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    env_filter::Builder::new().try_parse(text).map_err(|e| e.to_string())?;
    let directives = text.split('/').next().unwrap_or_default();
    for word in directives.split(',').map(str::trim) {
        let known = word.contains('=') || LEVELS.iter().any(|l| l.eq_ignore_ascii_case(word));
        if known || word.is_empty() {
            continue;
        }
        if let Some(level) = nearest(word, LEVELS) {
            return Err(format!("unknown level '{word}'; did you mean '{level}'?"));
        }
    }
    Ok(Value::Text(text.into()))
}

#[cfg(test)]
mod tests;
