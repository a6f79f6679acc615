//! The configuration as the rest of the program sees it: complete, typed, consistent.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::load::Sources;
use super::login::LoginSettings;
use super::settings::{Row, Settings};
use crate::auth::Users;
use crate::base::{Address, DomainPattern, IpNet, LogFormat, Rate};
use crate::rules::Fault;
use crate::rules::filter::{Filter, Origin};

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`.
    pub server: ServerSettings,
    /// Each `[listener.NAME]`.
    pub listeners: Vec<ListenerSettings>,
    /// `[tls]`; none when there is no certificate.
    pub tls: Option<TlsSettings>,
    /// `[next_server]` as `default` (if it has a host), then each `[next_server.NAME]`. Not empty.
    pub next_servers: Vec<NextServerSettings>,
    /// `[routes]`, in the order in which they are tried; `*` is always last. Mail that takes none
    /// goes to the server named `default`, if there is one.
    pub routes: Vec<Route>,
    /// `[aliases]`, in the order of the file.
    pub aliases: Vec<(String, Vec<Address>)>,
    /// Each `[filter.NAME]`, in the order of the file; then those that were added while running.
    pub filters: Vec<(Filter, Origin)>,
    /// Each `[fault.NAME]`, in the order of the file.
    pub faults: Vec<(String, Fault)>,
    /// `[dns]`.
    pub dns: DnsSettings,
    /// `[queue]`.
    pub queue: QueueSettings,
    /// `[auth]`.
    pub auth: AuthSettings,
    /// `[sink]`; none when it is off.
    pub sink: Option<SinkSettings>,
    /// `[insight]`.
    pub insight: InsightSettings,
    /// `[log]`.
    pub log: LogSettings,
    /// What all that was made of, with sources.
    pub settings: Settings,
    /// Where it was read, to read it again.
    pub sources: Sources,
}

/// This server.
#[derive(Clone, PartialEq, Debug)]
pub struct ServerSettings {
    /// The name in banner, EHLO and Received.
    pub hostname: String,
    /// Where to accept mail; not empty. A port of 0 asks the system for one.
    pub listen: Vec<SocketAddr>,
    /// The folder of the spool.
    pub spool: PathBuf,
    /// The control socket; none when there is to be none.
    pub control: Option<PathBuf>,
    /// Clients that may send to any domain.
    pub relay_from: Vec<IpNet>,
    /// Recipient domains that anyone may send to.
    pub relay_to: Vec<DomainPattern>,
    /// Octets of one message; 0 is no limit.
    pub max_message_size: u64,
    /// Recipients of one message.
    pub max_recipients: u32,
    /// Inbound connections at once.
    pub max_connections: usize,
    /// Inbound connections of one address (IPv6: of one /64) at once.
    pub max_connections_per_client: usize,
    /// Error replies of one session.
    pub max_errors: u32,
    /// Received fields of one message.
    pub max_hops: u32,
    /// Date and Message-ID are added for our own clients.
    pub add_missing_fields: bool,
    /// Other processes may listen on the same addresses.
    pub reuse_port: bool,
    /// The user to become once all is bound.
    pub user: Option<String>,
    /// How long a client may be silent.
    pub timeout: Duration,
}

/// One next server.
#[derive(Clone, PartialEq, Debug)]
pub struct NextServerSettings {
    /// `default` or the NAME of its section.
    pub name: String,
    /// An IP address without brackets, or a name.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What TLS is asked for.
    pub tls: TlsPolicy,
    /// Whether a certificate that is wrong ends the connection.
    pub verify: bool,
    /// Certificate authorities to check by; none: the system's.
    pub ca_file: Option<PathBuf>,
    /// Connections at once; of direct delivery, to each domain.
    pub connections: usize,
    /// What else it asks for.
    pub terms: Terms,
    /// How to log in; none: not at all.
    pub login: Option<LoginSettings>,
    /// It is the built-in sink because nothing else was named: where the sink listens on port 0,
    /// the port is the one that the system gave it.
    pub is_sink: bool,
}

impl NextServerSettings {
    /// A server that is named by its address alone: TLS where it is offered, no login.
    pub fn visited(host: &str, port: u16) -> NextServerSettings {
        let terms = Terms {
            messages: None,
            way: Way::Host,
            rate: None,
            rewrite_sender: None,
            rewrite_from: None,
        };
        let tls = if port == 465 { TlsPolicy::Implicit } else { TlsPolicy::Opportunistic };
        NextServerSettings {
            name: format!("{host}:{port}"),
            host: host.to_owned(),
            port,
            tls,
            verify: false,
            ca_file: None,
            connections: 1,
            terms,
            login: None,
            is_sink: false,
        }
    }

    /// Its section in the file: `next_server` or `next_server.NAME`.
    pub fn section(&self) -> String {
        match self.name.as_str() {
            "default" => "next_server".into(),
            name => format!("next_server.{name}"),
        }
    }
}

/// On what terms a next server takes mail.
#[derive(Clone, PartialEq, Debug)]
pub struct Terms {
    /// Messages that one connection carries; none: no limit.
    pub messages: Option<u64>,
    /// How mail finds its host.
    pub way: Way,
    /// Messages at most.
    pub rate: Option<Rate>,
    /// The sender of all mail but bounces.
    pub rewrite_sender: Option<Address>,
    /// The address in From of all mail.
    pub rewrite_from: Option<Address>,
}

/// How mail finds the host that takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// To the host that is named.
    Host,
    /// To the mail exchanges of the name.
    Exchanges,
    /// To the hosts of each recipient domain (`host = mx`).
    Direct,
}

/// What TLS a next server is spoken to with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsPolicy {
    /// In the clear.
    None,
    /// By STARTTLS where offered; in the clear where it is not, or does not work.
    Opportunistic,
    /// By STARTTLS, or not at all.
    Required,
    /// From the first octet.
    Implicit,
}

/// A listener with rules of its own.
#[derive(Clone, PartialEq, Debug)]
pub struct ListenerSettings {
    /// The NAME of its section.
    pub name: String,
    /// Where it listens; not empty.
    pub listen: Vec<SocketAddr>,
    /// How TLS begins on it.
    pub tls: ListenerTls,
    /// Whether its clients may or must say who they are.
    pub auth: ListenerAuth,
    /// The proxies that are to say whose their connections are; none: it takes clients itself.
    pub proxies: Option<Vec<IpNet>>,
}

/// How TLS begins on a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListenerTls {
    /// By STARTTLS, when there is a certificate.
    Auto,
    /// Never.
    None,
    /// By STARTTLS; there is a certificate.
    StartTls,
    /// With the first octet; there is a certificate.
    Implicit,
}

/// Whether the clients of a listener may or must say who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListenerAuth {
    /// They may, when there are users.
    Auto,
    /// They cannot.
    None,
    /// They may; there are users.
    Optional,
    /// They must; there are users.
    Required,
}

/// Our own certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsSettings {
    /// The file with the certificate and its chain.
    pub certificate: PathBuf,
    /// The file with the key.
    pub key: PathBuf,
}

/// A line of `[routes]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Route {
    /// Which mail takes it.
    pub key: RouteKey,
    /// Groups of next servers, tried in this order; those of a group share the mail by weight.
    /// Each is named in [`Config::next_servers`].
    pub next: Vec<Vec<(String, u32)>>,
}

/// Which mail takes a route.
#[derive(Clone, PartialEq, Debug)]
pub enum RouteKey {
    /// Mail to these domains.
    Domain(DomainPattern),
    /// Mail from this sender.
    Sender(Address),
    /// All other mail.
    All,
}

/// How names are looked up.
#[derive(Clone, PartialEq, Debug)]
pub struct DnsSettings {
    /// Whom to ask; none: whom the system asks.
    pub servers: Option<Vec<SocketAddr>>,
    /// Next servers are reached over IPv4.
    pub ipv4: bool,
    /// And over IPv6.
    pub ipv6: bool,
}

/// The schedule.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct QueueSettings {
    /// Between two sweeps.
    pub interval: Duration,
    /// The shortest wait of a deferred recipient.
    pub retry_min: Duration,
    /// The longest; not below `retry_min`.
    pub retry_max: Duration,
    /// Give up after.
    pub expire: Duration,
    /// Tell the sender of a delay after; none: never.
    pub delay_notice: Option<Duration>,
}

/// Who may log in.
#[derive(Clone, PartialEq, Debug)]
pub struct AuthSettings {
    /// The file of users.
    pub file: Option<PathBuf>,
    /// What stands in it.
    pub users: Users,
    /// Something about the file that is not as it should be.
    pub warning: Option<String>,
}

/// The built-in next server for trials.
#[derive(Clone, PartialEq, Debug)]
pub struct SinkSettings {
    /// Where it listens; not empty.
    pub listen: Vec<SocketAddr>,
    /// The Maildir in which it keeps mail; none: it discards.
    pub store: Option<PathBuf>,
}

/// What is remembered of past dialogue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InsightSettings {
    /// How long; zero: nothing is.
    pub age: Duration,
    /// How many octets.
    pub size: u64,
}

/// The log.
#[derive(Clone, PartialEq, Debug)]
pub struct LogSettings {
    /// env_logger's filter, checked.
    pub level: String,
    /// Its form.
    pub format: LogFormat,
}

impl RouteKey {
    /// Reads `example.org`, `.example.org`, `from:ann@example.org` or `*`.
    pub fn parse(text: &str) -> Result<RouteKey, String> {
        if text == "*" {
            return Ok(RouteKey::All);
        }
        let key = match text.strip_prefix("from:") {
            Some(address) => Address::parse(address.trim()).ok().map(RouteKey::Sender),
            None => text.parse().ok().map(RouteKey::Domain),
        };
        key.ok_or_else(|| {
            format!("'{text}' is not a route; write a domain, .domain, from:ADDRESS or *")
        })
    }
}

impl Config {
    /// Every setting with its present value and its source, for `--check-config` and `config get`.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let control = self.server.control.as_ref();
        self.settings.rows(&[
            ("server.hostname", self.server.hostname.clone()),
            ("server.control", control.map(|c| c.display().to_string()).unwrap_or_default()),
        ])
    }
}
