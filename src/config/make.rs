//! Making the [`Config`]: settings that are right each by itself become a whole that fits together.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::error::{ConfigError, Place};
use super::kind::Value;
use super::load::Sources;
use super::nearest;
use super::settings::{Settings, Source};
use super::typed::{
    AuthSettings, Config, InsightSettings, ListenerAuth, ListenerSettings, ListenerTls,
    LogSettings, NextServerSettings, QueueSettings, Route, RouteKey, ServerSettings, SinkSettings,
    Terms, TlsPolicy, TlsSettings, Way,
};
use crate::auth::Users;
use crate::base::LogFormat;

mod faults;
mod filters;
mod rules;
mod ways;

impl Config {
    /// Makes the configuration of the settings; adds what does not fit together to `errors`.
    /// `wrong` are the sections in which errors were found before: what they lack is no news.
    pub(super) fn make(
        settings: Settings,
        system_name: &str,
        wrong: &HashSet<String>,
        errors: &mut Vec<ConfigError>,
    ) -> Config {
        let complete = errors.is_empty();
        let mut maker = Maker { settings: &settings, wrong, complete, errors };
        let server = maker.server(system_name);
        let sink = maker.sink();
        let next_servers = maker.next_servers(sink.as_ref());
        let routes = maker.routes(&next_servers);
        let auth = maker.auth();
        let tls = maker.tls();
        let listeners = maker.listeners(tls.is_some());
        let aliases = maker.aliases();
        let filters = maker.filters(&next_servers);
        let faults = maker.faults();
        let dns = maker.dns();
        let queue = maker.queue();
        let insight = maker.insight();
        let log = maker.log();
        if next_servers.is_empty() {
            maker.complain(&Source::Default, NO_NEXT_SERVER);
        } else if routes.is_empty() && next_servers.iter().all(|s| s.name != "default") {
            maker.complain(&Source::Default, NO_DEFAULT);
        }
        let sources = Sources::default();
        Config {
            server,
            listeners,
            tls,
            next_servers,
            routes,
            aliases,
            filters,
            faults,
            dns,
            queue,
            auth,
            sink,
            insight,
            log,
            settings,
            sources,
        }
    }
}

const NO_NEXT_SERVER: &str = "no next server: set next_server.host (-n HOST:PORT) to where mail \
    goes, or sink.listen to try things out";
const NO_DEFAULT: &str = "no mail would go to any next server: set next_server.host, or name them \
    in [routes]";

/// Makes the parts; knows where each value came from.
pub(super) struct Maker<'a> {
    pub(super) settings: &'a Settings,
    wrong: &'a HashSet<String>,
    /// Nothing was wrong before. Else what is missing may stand in a line that is wrong, and one
    /// error is enough.
    complete: bool,
    errors: &'a mut Vec<ConfigError>,
}

impl Maker<'_> {
    pub(super) fn complain(&mut self, source: &Source, message: impl Into<String>) {
        let place = match source {
            Source::Default if !self.complete => return,
            Source::Default => Place::Nowhere,
            Source::File { line } => Place::Line(*line),
            Source::Given(what) => Place::Given(what.clone()),
            Source::Runtime => Place::Given("config set".into()),
        };
        self.errors.push(ConfigError::new(place, message));
    }

    pub(super) fn value(&self, section: &str, key: &str) -> Value {
        self.settings.value(section, key)
    }

    fn number(&self, section: &str, key: &str) -> u64 {
        match self.value(section, key) {
            Value::Number(n) => n,
            other => unreachable!("{section}.{key} is no number but {other:?}"),
        }
    }

    /// The ranges of the table keep these small.
    fn small<N: TryFrom<u64>>(&self, section: &str, key: &str) -> N {
        let n = self.number(section, key);
        N::try_from(n).unwrap_or_else(|_| unreachable!("the range of {section}.{key}"))
    }

    fn duration(&self, section: &str, key: &str) -> Duration {
        match self.value(section, key) {
            Value::Duration(d) => d,
            other => unreachable!("{section}.{key} is no duration but {other:?}"),
        }
    }

    /// None when there is no value.
    pub(super) fn text(&self, section: &str, key: &str) -> Option<String> {
        match self.value(section, key) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn path(&self, section: &str, key: &str) -> Option<PathBuf> {
        match self.value(section, key) {
            Value::Path(path) => Some(path),
            _ => None,
        }
    }

    fn switch(&self, section: &str, key: &str) -> bool {
        matches!(self.value(section, key), Value::Switch(true))
    }

    fn addresses(&self, section: &str, key: &str) -> Vec<SocketAddr> {
        match self.value(section, key) {
            Value::Addresses(all) => all,
            _ => vec![],
        }
    }

    fn server(&mut self, system_name: &str) -> ServerSettings {
        const S: &str = "server";
        let spool = self.path(S, "spool").unwrap_or_default();
        let control = match self.settings.source(S, "control") {
            Source::Default => Some(spool.join("control.sock")),
            _ => self.path(S, "control"),
        };
        ServerSettings {
            hostname: self.text(S, "hostname").unwrap_or_else(|| system_name.to_owned()),
            listen: self.addresses(S, "listen"),
            spool,
            control,
            relay_from: match self.value(S, "relay_from") {
                Value::Networks(all) => all,
                _ => vec![],
            },
            relay_to: match self.value(S, "relay_to") {
                Value::Domains(all) => all,
                _ => vec![],
            },
            max_message_size: self.number(S, "max_message_size"),
            max_recipients: self.small(S, "max_recipients"),
            max_connections: self.small(S, "max_connections"),
            max_connections_per_client: self.small(S, "max_connections_per_client"),
            max_errors: self.small(S, "max_errors"),
            max_hops: self.small(S, "max_hops"),
            add_missing_fields: self.switch(S, "add_missing_fields"),
            reuse_port: self.switch(S, "reuse_port"),
            user: self.text(S, "user"),
            timeout: self.duration(S, "timeout"),
        }
    }

    fn next_servers(&mut self, sink: Option<&SinkSettings>) -> Vec<NextServerSettings> {
        let mut all: Vec<NextServerSettings> = vec![];
        all.extend(self.next_server("next_server", "default"));
        if let (Some(sink), true) = (sink, all.is_empty()) {
            all.extend(sink.listen.first().map(|address| NextServerSettings {
                name: "default".into(),
                host: reachable(address.ip()).to_string(),
                port: address.port(),
                tls: TlsPolicy::None,
                verify: false,
                ca_file: None,
                connections: self.small("next_server", "connections"),
                terms: Terms { way: Way::Host, ..self.terms("next_server") },
                login: None,
                is_sink: true,
            }));
        }
        for section in self.settings.named_sections("next_server") {
            let name = section.rsplit('.').next().unwrap_or_default();
            match self.next_server(section, name) {
                Some(server) => all.push(server),
                None => {
                    self.complain(&Source::Default, format!("[{section}] has no host; give one"));
                }
            }
        }
        all
    }

    /// None when it has no host.
    fn next_server(&mut self, section: &str, name: &str) -> Option<NextServerSettings> {
        let host = self.text(section, "host")?;
        let port = self.small(section, "port");
        let tls = self.tls_policy(section, port);
        Some(NextServerSettings {
            name: name.to_owned(),
            host,
            port,
            tls,
            verify: match self.value(section, "verify") {
                Value::Switch(verify) => verify,
                _ => matches!(tls, TlsPolicy::Required | TlsPolicy::Implicit),
            },
            ca_file: self.path(section, "ca_file"),
            connections: self.small(section, "connections"),
            terms: self.terms(section),
            login: self.login(section),
            is_sink: false,
        })
    }

    /// By the word, or by the port.
    fn tls_policy(&self, section: &str, port: u16) -> TlsPolicy {
        match (self.text(section, "tls").as_deref(), port) {
            (Some("none"), _) => TlsPolicy::None,
            (Some("implicit"), _) | (Some("auto"), 465) => TlsPolicy::Implicit,
            (Some("required"), _) | (Some("auto"), 587) => TlsPolicy::Required,
            _ => TlsPolicy::Opportunistic,
        }
    }

    fn listeners(&mut self, certificate: bool) -> Vec<ListenerSettings> {
        let sections = self.settings.named_sections("listener");
        sections.into_iter().map(|section| self.listener(section, certificate)).collect()
    }

    /// What a listener lacks is an error, and never a weaker listener.
    fn listener(&mut self, section: &str, certificate: bool) -> ListenerSettings {
        let name = section.rsplit('.').next().unwrap_or_default().to_owned();
        let listen = self.addresses(section, "listen");
        if listen.is_empty() && !self.wrong.contains(section) {
            self.complain(&Source::Default, format!("[{section}] has no address; give it listen"));
        }
        let tls = match self.text(section, "tls").as_deref() {
            Some("none") => ListenerTls::None,
            Some("starttls") => ListenerTls::StartTls,
            Some("implicit") => ListenerTls::Implicit,
            _ => ListenerTls::Auto,
        };
        if matches!(tls, ListenerTls::StartTls | ListenerTls::Implicit) && !certificate {
            let what =
                format!("{section}.tls needs a certificate: set tls.certificate and tls.key");
            self.complain(&self.settings.source(section, "tls").clone(), what);
        }
        let auth = match self.text(section, "auth").as_deref() {
            Some("none") => ListenerAuth::None,
            Some("optional") => ListenerAuth::Optional,
            Some("required") => ListenerAuth::Required,
            _ => ListenerAuth::Auto,
        };
        let users = self.path("auth", "users").is_some();
        if matches!(auth, ListenerAuth::Optional | ListenerAuth::Required) && !users {
            let what = format!("{section}.auth needs users: set auth.users to their file");
            self.complain(&self.settings.source(section, "auth").clone(), what);
        }
        let proxies = match self.value(section, "proxy_from") {
            Value::Networks(all) => all,
            _ => vec![],
        };
        let proxied = self.switch(section, "proxy");
        if proxied && proxies.is_empty() {
            let what = format!(
                "{section}.proxy needs {section}.proxy_from beside it: without it any client could \
                 claim any address"
            );
            self.complain(&self.settings.source(section, "proxy").clone(), what);
        }
        ListenerSettings { name, listen, tls, auth, proxies: proxied.then_some(proxies) }
    }

    /// Both files or none: one without the other is of no use.
    fn tls(&mut self) -> Option<TlsSettings> {
        match (self.path("tls", "certificate"), self.path("tls", "key")) {
            (Some(certificate), Some(key)) => return Some(TlsSettings { certificate, key }),
            (None, None) => {}
            (there, _) => {
                let (given, other) =
                    if there.is_some() { ("certificate", "key") } else { ("key", "certificate") };
                // While running, settings come one at a time: the other is yet to come.
                if *self.settings.source("tls", other) == Source::Runtime {
                    return None;
                }
                let source = self.settings.source("tls", given).clone();
                let what = format!("tls.{given} needs tls.{other} beside it");
                self.complain(&source, what);
            }
        }
        None
    }

    fn routes(&mut self, servers: &[NextServerSettings]) -> Vec<Route> {
        let mut routes = vec![];
        for (key, value, source) in self.settings.open_entries("routes") {
            let (Ok(key), Value::Names(next)) = (RouteKey::parse(key), value) else { continue };
            let mut groups = vec![];
            for item in next {
                match ways::group(item) {
                    Ok(group) => groups.push(group),
                    Err(message) => self.complain(source, message),
                }
            }
            for (name, _) in groups.iter().flatten() {
                if servers.iter().any(|s| s.name == *name) {
                    continue;
                }
                let known = nearest(name, servers.iter().map(|s| &s.name));
                let hint = known.map(|k| format!("; did you mean '{k}'?"));
                let hint = hint.unwrap_or_else(|| match name.as_str() {
                    "default" => "; give [next_server] a host".into(),
                    _ => format!("; declare it in [next_server.{name}]"),
                });
                let section = format!("next_server.{name}");
                if !self.wrong.contains(&section) {
                    self.complain(source, format!("no next server is named '{name}'{hint}"));
                }
            }
            routes.push(Route { key, next: groups });
        }
        // All others are others wherever the line stands.
        routes.sort_by_key(|r| r.key == RouteKey::All);
        routes
    }

    fn queue(&mut self) -> QueueSettings {
        const Q: &str = "queue";
        let delay_notice = self.duration(Q, "delay_notice");
        let queue = QueueSettings {
            interval: self.duration(Q, "interval"),
            retry_min: self.duration(Q, "retry_min"),
            retry_max: self.duration(Q, "retry_max"),
            expire: self.duration(Q, "expire"),
            delay_notice: (delay_notice > Duration::ZERO).then_some(delay_notice),
        };
        if queue.retry_min > queue.retry_max {
            let key = match self.settings.source(Q, "retry_max") {
                Source::Default => "retry_min",
                _ => "retry_max",
            };
            let source = self.settings.source(Q, key).clone();
            self.complain(&source, "queue.retry_min is longer than queue.retry_max");
        }
        queue
    }

    /// The file itself is read when all else is well.
    fn auth(&self) -> AuthSettings {
        AuthSettings { file: self.path("auth", "users"), users: Users::default(), warning: None }
    }

    fn sink(&self) -> Option<SinkSettings> {
        let listen = self.addresses("sink", "listen");
        let store = self.path("sink", "store");
        (!listen.is_empty()).then_some(SinkSettings { listen, store })
    }

    fn insight(&self) -> InsightSettings {
        match self.value("insight", "history") {
            Value::Keep(age, size) => InsightSettings { age, size },
            other => unreachable!("insight.history is no bounds but {other:?}"),
        }
    }

    fn log(&self) -> LogSettings {
        let format = match self.text("log", "format").as_deref() {
            Some("json") => LogFormat::Json,
            _ => LogFormat::Text,
        };
        LogSettings { level: self.text("log", "level").unwrap_or_default(), format }
    }
}

/// An address at which something that listens on `ip` can be reached from this machine.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests;
