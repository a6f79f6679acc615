//! Making the settings of ways: what next servers ask for, shares of routes, aliases, DNS.

use super::super::kind::Value;
use super::super::typed::{DnsSettings, Terms, Way};
use super::Maker;
use crate::base::Address;

impl Maker<'_> {
    /// What a next server asks for.
    pub(super) fn terms(&self, section: &str) -> Terms {
        let messages = self.number(section, "messages_per_connection");
        let mx = self.text(section, "mx").is_some_and(|mx| mx == "yes");
        let direct = self.text(section, "host").is_some_and(|h| h.eq_ignore_ascii_case("mx"));
        Terms {
            messages: (messages > 0).then_some(messages),
            way: match (direct, mx) {
                (true, _) => Way::Direct,
                (_, true) => Way::Exchanges,
                _ => Way::Host,
            },
            rate: match self.value(section, "rate") {
                Value::Rate(rate) => Some(rate),
                _ => None,
            },
            rewrite_sender: self.mailbox(section, "rewrite_sender"),
            rewrite_from: self.mailbox(section, "rewrite_from"),
        }
    }

    fn mailbox(&self, section: &str, key: &str) -> Option<Address> {
        match self.value(section, key) {
            Value::Mailboxes(mut all) => all.pop(),
            _ => None,
        }
    }

    pub(super) fn aliases(&self) -> Vec<(String, Vec<Address>)> {
        let entries = self.settings.open_entries("aliases").into_iter();
        let all = entries.filter_map(|(name, value, _)| match value {
            Value::Mailboxes(targets) => Some((name.to_owned(), targets.clone())),
            _ => None,
        });
        all.collect()
    }

    pub(super) fn dns(&self) -> DnsSettings {
        let servers = self.addresses("dns", "servers");
        let word = self.text("dns", "ipv6").unwrap_or_default();
        DnsSettings {
            servers: (!servers.is_empty()).then_some(servers),
            ipv4: word != "only",
            ipv6: word != "no",
        }
    }
}

/// An item of a route: `a`, or servers that share its mail, `a*3 / b`.
pub(super) fn group(text: &str) -> Result<Vec<(String, u32)>, String> {
    let share = |part: &str| {
        let (name, weight) = part.split_once('*').map_or((part, "1"), |(n, w)| (n, w));
        let (name, weight) = (name.trim(), weight.trim());
        let weight = weight.parse().ok().filter(|weight| (1..=1000).contains(weight));
        let weight = weight.filter(|_| !name.is_empty());
        weight.map(|weight| (name.to_owned(), weight)).ok_or_else(|| {
            format!("'{text}' is no next server; write NAME, or NAME*3 / NAME for shares")
        })
    };
    text.split('/').map(share).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Override, Sources, Way, load};

    fn make(settings: &[(&str, &str)]) -> Result<Config, String> {
        let set = |(name, value): &(&str, &str)| Override {
            shown: (*name).into(),
            given_by: "test".into(),
            name: (*name).into(),
            value: (*value).into(),
        };
        let overrides = settings.iter().map(set).collect();
        load(&Sources { overrides, ..Sources::default() }).map_err(|e| e.message)
    }

    #[test]
    fn terms_of_next_servers() {
        let config = make(&[
            ("next_server.host", "mx"),
            ("next_server.a.host", "a.example"),
            ("next_server.a.mx", "yes"),
            ("next_server.a.rate", "60/m"),
            ("next_server.a.messages_per_connection", "7"),
            ("next_server.a.rewrite_sender", "out@example.org"),
            ("next_server.a.rewrite_from", "from@example.org"),
        ])
        .unwrap();
        let [direct, a] = &config.next_servers[..] else { panic!("two") };
        assert_eq!((direct.terms.way, a.terms.way), (Way::Direct, Way::Exchanges));
        assert_eq!((direct.terms.messages, a.terms.messages), (None, Some(7)));
        assert_eq!(a.terms.rate.unwrap().to_string(), "60/m");
        let shown = |address: &Option<crate::base::Address>| address.as_ref().unwrap().to_string();
        assert_eq!(shown(&a.terms.rewrite_sender), "out@example.org");
        assert_eq!(shown(&a.terms.rewrite_from), "from@example.org");
        for (key, value) in [
            ("rate", "60"),
            ("rate", "0/m"),
            ("rewrite_from", "ann"),
            ("rewrite_sender", "postmaster"),
            ("mx", "perhaps"),
        ] {
            assert!(make(&[(&format!("next_server.{key}"), value)]).is_err(), "{key} = {value}");
        }
    }

    #[test]
    fn shares_of_a_route() {
        let with = |route: &str| {
            make(&[
                ("next_server.a.host", "a"),
                ("next_server.b.host", "b"),
                ("next_server.c.host", "c"),
                ("routes.*", route),
            ])
        };
        let share = |name: &str, weight| (name.to_owned(), weight);
        let config = with("a*3 / b, c").unwrap();
        let expected = [vec![share("a", 3), share("b", 1)], vec![share("c", 1)]];
        assert_eq!(config.routes[0].next, expected);
        for wrong in ["a*0", "a*", "a*x", "/", "a/", "*2", "a/d", "a*1001"] {
            assert!(with(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn aliases_and_dns() {
        let config = make(&[
            ("next_server.host", "a"),
            ("aliases.root", "me@example.org, you@example.org"),
            ("aliases.ann@x.org", "bob@y.org"),
            ("dns.servers", "192.0.2.53, 127.0.0.1:5353, ::1, [2001:db8::1]:54"),
            ("dns.ipv6", "only"),
        ])
        .unwrap();
        let names: Vec<&str> = config.aliases.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, config.aliases[0].1.len()), (vec!["root", "ann@x.org"], 2));
        let servers: Vec<String> =
            config.dns.servers.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.53:53", "127.0.0.1:5353", "[::1]:53", "[2001:db8::1]:54"]);
        assert_eq!((config.dns.ipv4, config.dns.ipv6), (false, true));
        for (key, value) in [
            ("aliases.ro ot", "me@example.org"),
            ("aliases.root", "me"),
            ("dns.servers", "dns.example"),
            ("dns.servers", "192.0.2.53:x"),
        ] {
            assert!(make(&[("next_server.host", "a"), (key, value)]).is_err(), "{key} = {value}");
        }
    }
}
