//! The table: every setting there is, declared once.
//!
//! A new setting is a new row here and a field where [`Config`](super::Config) is made; a new
//! family (`[listener.NAME]`, `[aliases]`) is a new [`Section`].

use std::time::Duration;

use super::kind::Kind;
use crate::rules::{At, filter};

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the section; in an open section, what the names there stand for.
    pub key: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Its value when nobody gives one.
    pub preset: Preset,
    /// Whether an empty value is allowed, and means none.
    pub may_be_empty: bool,
    /// Whether it can change while the server runs; the others need a new start.
    pub live: bool,
    /// Whether it is never shown.
    pub secret: bool,
    /// One line for people.
    pub help: &'static str,
}

/// The built-in default of a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preset {
    /// No value.
    Unset,
    /// This, as one would write it.
    Is(&'static str),
    /// Worked out when the program starts; the words say from what.
    Derived(&'static str),
}

/// What a section may be called in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Naming {
    /// `[server]` only.
    Plain,
    /// `[next_server]` and `[next_server.NAME]`.
    PlainAndNamed,
    /// `[listener.NAME]` only.
    Named,
}

/// What may stand in a section.
#[derive(Debug)]
pub enum Keys {
    /// These settings.
    Fixed(&'static [Setting]),
    /// Any number of settings of one kind, whose names are data: `example.org = NAME`.
    Open(OpenKey, &'static Setting),
}

/// What the names in an open section are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenKey {
    /// Which mail takes a route: `example.org`, `.example.org`, `from:ann@example.org`, `*`.
    Route,
    /// Another name for a mailbox: `root`, or a whole address.
    Alias,
}

/// A section of the file.
#[derive(Debug)]
pub struct Section {
    /// Its name, or the part before `.NAME`.
    pub name: &'static str,
    /// Which names it goes by.
    pub naming: Naming,
    /// What stands in it.
    pub keys: Keys,
    /// One line for people.
    pub help: &'static str,
}

impl Section {
    /// The settings declared for it.
    pub fn settings(&self) -> &'static [Setting] {
        match self.keys {
            Keys::Fixed(settings) => settings,
            Keys::Open(_, setting) => std::slice::from_ref(setting),
        }
    }
}

/// A setting that needs a new start, must have a value when given, and is no secret.
const fn row(key: &'static str, kind: Kind, preset: Preset, help: &'static str) -> Setting {
    Setting { key, kind, preset, may_be_empty: false, live: false, secret: false, help }
}

impl Setting {
    /// It is never shown.
    const fn secret(self) -> Setting {
        Setting { secret: true, ..self }
    }

    /// It can change while the server runs.
    const fn live(self) -> Setting {
        Setting { live: true, ..self }
    }

    /// An empty value is allowed, and means none.
    const fn or_none(self) -> Setting {
        Setting { may_be_empty: true, ..self }
    }
}

const fn count(min: u64, max: u64) -> Kind {
    Kind::Count { min, max }
}

const fn time(min_ms: u64, max_ms: u64) -> Kind {
    Kind::Duration { min: Duration::from_millis(min_ms), max: Duration::from_millis(max_ms) }
}

const DAY_MS: u64 = 86_400_000;

use Preset::{Derived, Is, Unset};

#[rustfmt::skip]
const SERVER: &[Setting] = &[
    row("hostname", Kind::Domain, Derived("the system's name"),
        "name in banner, EHLO and Received").live(),
    row("listen", Kind::Listen, Is("127.0.0.1:2525"),
        "addresses to accept mail on").live(),
    row("spool", Kind::Path, Is("spool"),
        "folder of the message spool"),
    row("control", Kind::Path, Derived("control.sock in the spool"),
        "Unix socket of `ctl` and `attach`; empty: none").or_none(),
    row("relay_from", Kind::Networks, Is("127.0.0.0/8, ::1"),
        "clients that may send to any domain").or_none().live(),
    row("relay_to", Kind::Domains, Unset,
        "recipient domains that anyone may send to").or_none().live(),
    row("max_message_size", Kind::Size { min: 0, max: 64 << 30 }, Is("50M"),
        "octets of one message, 0: no limit; beyond: 552 5.3.4").live(),
    row("max_recipients", count(1, 100_000), Is("1000"),
        "recipients of one message; beyond: 452 4.5.3").live(),
    row("max_connections", count(1, 1_000_000), Is("10000"),
        "inbound connections at once; beyond: 421 and close").live(),
    row("max_connections_per_client", count(1, 1_000_000), Is("1000"),
        "the same for one address (for one /64 of IPv6)").live(),
    row("max_errors", count(1, 1_000_000), Is("20"),
        "replies 500 to 504 and 555 of one session until 421 and close").live(),
    row("max_hops", count(1, 10_000), Is("100"),
        "Received fields beyond which a message loops: 554 5.4.6").live(),
    row("add_missing_fields", Kind::Switch, Is("no"),
        "Date and Message-ID are added for users and clients of relay_from whose mail lacks them")
        .live(),
    row("reuse_port", Kind::Switch, Is("no"),
        "several processes, each with its own spool, may listen on the same addresses (Linux)"),
    row("user", Kind::Text, Unset,
        "user to become after binding, when started as root").or_none(),
    row("timeout", time(100, DAY_MS), Is("5m"),
        "a client silent for so long, or so long over one command line, gets 421").live(),
];

#[rustfmt::skip]
const NEXT_SERVER: &[Setting] = &[
    row("host", Kind::Host, Unset,
        "a name or an IP address; mx: straight to the mail hosts of each recipient domain")
        .or_none().live(),
    row("port", count(1, 65_535), Is("25"),
        "its port").live(),
    row("tls", Kind::Choice(&["auto", "none", "opportunistic", "required", "implicit"]), Is("auto"),
        "auto: implicit on port 465, required on 587, else opportunistic").live(),
    row("verify", Kind::Switch, Derived("on for required and implicit"),
        "whether a certificate that is wrong ends the connection").live(),
    row("ca_file", Kind::Path, Derived("the system's roots"),
        "certificate authorities (PEM) to check by instead of the system's").or_none().live(),
    row("connections", count(1, 1000), Is("8"),
        "open at once, reused for many messages; with host = mx so many for each domain").live(),
    row("messages_per_connection", count(0, 1_000_000), Is("0"),
        "messages after which a connection is closed and another one opened; 0: no limit").live(),
    row("mx", Kind::Choice(&["no", "yes"]), Is("no"),
        "mail goes to the mail exchanges (MX) of host, not to host itself").live(),
    row("rate", Kind::Rate, Unset,
        "messages at most: 60/m is 60 in any minute, up to 6 of them at once").or_none().live(),
    row("rewrite_sender", Kind::Mailbox, Unset,
        "sender (MAIL FROM) of all mail but bounces, for servers that take no other")
        .or_none().live(),
    row("rewrite_from", Kind::Mailbox, Unset,
        "address in From of all mail; what was there becomes Reply-To, unless there is one")
        .or_none().live(),
    row("user", Kind::Text, Unset,
        "name to log in with; empty: no login").or_none().live(),
    row("password", Kind::Secret, Unset,
        "its password or token; better in one of the next two").or_none().live().secret(),
    row("password_file", Kind::Path, Unset,
        "file whose first line is the password; refused when others can read it").or_none().live(),
    row("password_command", Kind::Text, Unset,
        "shell command whose first line of output is the password or token").or_none().live(),
    row("auth", Kind::Choice(&["auto", "scram-sha-256-plus", "scram-sha-256", "oauthbearer",
        "xoauth2", "plain", "login"]), Is("auto"),
        "how to log in; auto: the strongest that both know; tokens only when named").live(),
    row("auth_in_clear", Kind::Choice(&["no", "yes"]), Is("no"),
        "yes: the password may be sent without TLS, for everybody on the way to read").live(),
];

#[rustfmt::skip]
const LISTENER: &[Setting] = &[
    row("listen", Kind::Listen, Unset,
        "its addresses"),
    row("tls", Kind::Choice(&["auto", "none", "starttls", "implicit"]), Is("auto"),
        "auto: STARTTLS when there is a certificate; implicit: from the first octet"),
    row("auth", Kind::Choice(&["auto", "none", "optional", "required"]), Is("auto"),
        "auto: optional when there are users; required: no mail without"),
    row("proxy", Kind::Switch, Is("no"),
        "connections begin with a header of the PROXY protocol, version 1 or 2"),
    row("proxy_from", Kind::Networks, Unset,
        "the proxies: from nobody else are connections taken then").or_none(),
];

#[rustfmt::skip]
const FAULT: &[Setting] = &[
    row("stage", Kind::Choice(&At::NAMES), Unset,
        "where it goes wrong").live(),
    row("where", Kind::Text, Unset,
        "only where this holds, in the language of docs/commands.md; empty: always")
        .or_none().live(),
    row("reply", Kind::Text, Unset,
        "this reply instead of the real one: `451 4.3.0 try later`").or_none().live(),
    row("delay", Kind::Text, Unset,
        "so long before the answer or the command").or_none().live(),
    row("rate", Kind::Text, Unset,
        "from then on so many octets in a second, in each direction").or_none().live(),
    row("cut", Kind::Text, Unset,
        "the connection is closed after so many octets more").or_none().live(),
    row("no", Kind::Text, Unset,
        "keywords of EHLO that are not there: `starttls, pipelining`; ehlo: nor EHLO itself")
        .or_none().live(),
    row("odds", Kind::Text, Is("100%"),
        "how often, of all times that it could").or_none().live(),
    row("count", Kind::Text, Unset,
        "it strikes so often, then it is gone").or_none().live(),
    row("for", Kind::Text, Unset,
        "it is gone after so long").or_none().live(),
    row("seed", Kind::Text, Derived("by chance"),
        "what its dice begin with: the same seed and the same mail, the same faults")
        .or_none().live(),
    row("leg", Kind::Choice(&["in", "out", "sink"]), Derived("both legs of the relay"),
        "on which leg; sink: the built-in next server").or_none().live(),
];

#[rustfmt::skip]
const TLS: &[Setting] = &[
    row("certificate", Kind::Path, Unset,
        "PEM file: our certificate, then its chain; with it STARTTLS is offered").or_none().live(),
    row("key", Kind::Path, Unset,
        "PEM file: the private key to it").or_none().live(),
];

#[rustfmt::skip]
const ROUTE: &Setting = &row("WHICH", Kind::Names, Unset,
    "next servers in the order to try: `a, b`; with shares: `a*3 / b, c`; `default`: [next_server]")
    .live();

#[rustfmt::skip]
const ALIAS: &Setting = &row("NAME", Kind::Mailboxes, Unset,
    "where its mail goes instead, one copy to each").live();

#[rustfmt::skip]
const FILTER: &[Setting] = &[
    row("action", Kind::Choice(&filter::ACTIONS), Unset,
        "what is done with mail that fits").live(),
    row("where", Kind::Text, Unset,
        "which mail fits, in the language of docs/commands.md; empty: all").or_none().live(),
    row("reply", Kind::Text, Derived("550 5.7.1, or 450 4.7.1 for limit"),
        "what reject and limit say: `550 5.7.1 not here`").or_none().live(),
    row("to", Kind::Text, Unset,
        "redirect: the address that takes the recipient's place").or_none().live(),
    row("via", Kind::Text, Unset,
        "route: the next servers in the order to try, comma-separated").or_none().live(),
    row("header", Kind::Text, Unset,
        "tag: the field to add in front of the header: `X-Note: yes`").or_none().live(),
    row("rate", Kind::Text, Unset,
        "limit: messages at most, such as 60/m").or_none().live(),
    row("per", Kind::Text, Derived("client"),
        "limit: whose mail is counted together: client, sender or user").or_none().live(),
    row("stage", Kind::Text, Derived("as soon as it is certain"),
        "not before: connect, helo, mail, rcpt, body or dot").or_none().live(),
];

#[rustfmt::skip]
const DNS: &[Setting] = &[
    row("servers", Kind::Resolvers, Derived("from /etc/resolv.conf"),
        "DNS servers to ask instead of the system's; they must resolve recursively")
        .or_none().live(),
    row("ipv6", Kind::Choice(&["yes", "no", "only"]), Is("yes"),
        "whether next servers are reached over IPv6; only: and not over IPv4").live(),
];

#[rustfmt::skip]
const QUEUE: &[Setting] = &[
    row("interval", time(10, DAY_MS), Is("15s"),
        "how often the spool timer sweeps; a new message is tried at once").live(),
    row("retry_min", time(10, 30 * DAY_MS), Is("15s"),
        "first wait before a deferred recipient is tried again; it doubles, with jitter").live(),
    row("retry_max", time(10, 30 * DAY_MS), Is("1h"),
        "longest wait before a deferred recipient is tried again").live(),
    row("expire", time(100, 365 * DAY_MS), Is("5d"),
        "give up and bounce after so long").live(),
    row("delay_notice", time(0, 365 * DAY_MS), Is("4h"),
        "tell the sender about a delay after so long; 0: never").live(),
];

#[rustfmt::skip]
const AUTH: &[Setting] = &[
    row("users", Kind::Path, Unset,
        "who may log in, by lines from `mailflux passwd`; `config reload` reads it again")
        .or_none(),
];

#[rustfmt::skip]
const SINK: &[Setting] = &[
    row("listen", Kind::Listen, Unset,
        "addresses of the built-in next server; empty: off").or_none(),
    row("store", Kind::Path, Unset,
        "Maildir in which it keeps mail; empty: it discards").or_none(),
];

#[rustfmt::skip]
const INSIGHT: &[Setting] = &[
    row("history", Kind::Keep, Is("1d, 256M"),
        "how long and how much of past dialogue is kept in the spool's folder `history`; 0: none")
        .live(),
];

const LOG: &[Setting] = &[
    row(
        "level",
        Kind::LogFilter,
        Is("info"),
        "what is logged, in env_logger's filter syntax; MAILFLUX_LOG overrides",
    )
    .live(),
    row("format", Kind::Choice(&["text", "json"]), Is("text"), "lines for people or for programs")
        .live(),
];

/// All sections, in the order in which people read them.
pub const SECTIONS: &[Section] = &[
    Section {
        name: "server",
        naming: Naming::Plain,
        keys: Keys::Fixed(SERVER),
        help: "This server: its name, its addresses, who may use it, and its limits.",
    },
    Section {
        name: "listener",
        naming: Naming::Named,
        keys: Keys::Fixed(LISTENER),
        help: "Another listener, beside those of `server.listen`, with rules of its own.",
    },
    Section {
        name: "tls",
        naming: Naming::Plain,
        keys: Keys::Fixed(TLS),
        help: "Our own certificate, for clients. Its files are read again on `config reload`.",
    },
    Section {
        name: "next_server",
        naming: Naming::PlainAndNamed,
        keys: Keys::Fixed(NEXT_SERVER),
        help: "Where mail goes. `[next_server.NAME]` declares more next servers for `[routes]`.",
    },
    Section {
        name: "routes",
        naming: Naming::Plain,
        keys: Keys::Open(OpenKey::Route, ROUTE),
        help: "Which mail takes which next server. WHICH is a recipient domain, `.example.org` \
               (its subdomains), `from:ann@example.org` (a sender) or `*` (all others).",
    },
    Section {
        name: "aliases",
        naming: Naming::Plain,
        keys: Keys::Open(OpenKey::Alias, ALIAS),
        help: "Other names for mailboxes: `root = me@example.org`. NAME is a mailbox of this \
               server (`root@` its hostname), or a whole address. Applied when a message is \
               accepted, after the client was found to be allowed to send to NAME.",
    },
    Section {
        name: "filter",
        naming: Naming::Named,
        keys: Keys::Fixed(FILTER),
        help: "What is done with mail beside relaying it, by rules: see docs/filters.md. Each \
               recipient walks the filters in the order of the file; the first that fits decides.",
    },
    Section {
        name: "fault",
        naming: Naming::Named,
        keys: Keys::Fixed(FAULT),
        help: "What goes wrong on purpose, for tests: see docs/testing.md. A server with faults \
               says so at its start and in its status line.",
    },
    Section {
        name: "dns",
        naming: Naming::Plain,
        keys: Keys::Fixed(DNS),
        help: "How next servers and mail exchanges are looked up; /etc/hosts comes first.",
    },
    Section {
        name: "queue",
        naming: Naming::Plain,
        keys: Keys::Fixed(QUEUE),
        help: "When mail that waits is tried again, and when no more.",
    },
    Section {
        name: "auth",
        naming: Naming::Plain,
        keys: Keys::Fixed(AUTH),
        help: "Who may log in (SMTP AUTH), and then send to any domain.",
    },
    Section {
        name: "sink",
        naming: Naming::Plain,
        keys: Keys::Fixed(SINK),
        help: "A built-in next server for trials: it accepts everything.",
    },
    Section {
        name: "insight",
        naming: Naming::Plain,
        keys: Keys::Fixed(INSIGHT),
        help: "What is remembered of past dialogue, for `session`, `show`, `analyse` and `export`.",
    },
    Section {
        name: "log",
        naming: Naming::Plain,
        keys: Keys::Fixed(LOG),
        help: "What the server says of itself, on standard error.",
    },
];

/// The section with this name in the file, such as `next_server.backup`, and the `NAME` in it.
pub fn find_section(full: &str) -> Option<(&'static Section, Option<&str>)> {
    let (family, name) = match full.split_once('.') {
        None => (full, None),
        Some((family, name)) => (family, Some(name)),
    };
    let section = SECTIONS.iter().find(|s| s.name == family)?;
    let fits = match section.naming {
        Naming::Plain => name.is_none(),
        Naming::PlainAndNamed => true,
        Naming::Named => name.is_some(),
    };
    fits.then_some((section, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_plain_and_distinct() {
        let mut seen = BTreeSet::new();
        for section in SECTIONS {
            for setting in section.settings() {
                let name = format!("{}.{}", section.name, setting.key);
                assert!(seen.insert(name.clone()), "{name} twice");
                assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._".contains(&b)));
                assert!(!setting.help.is_empty() && !setting.help.contains('\n'), "{name}");
            }
        }
    }

    #[test]
    fn every_default_is_a_value_of_its_kind() {
        for setting in SECTIONS.iter().flat_map(|s| s.settings()) {
            if let Is(text) = setting.preset {
                assert!(setting.kind.parse(text).is_ok(), "{}", setting.key);
            }
        }
    }

    #[test]
    fn sections_are_found_by_their_names() {
        assert_eq!(find_section("server").unwrap().0.name, "server");
        let (section, name) = find_section("next_server.backup").unwrap();
        assert_eq!((section.name, name), ("next_server", Some("backup")));
        for wrong in ["", "sever", "server.x", "next_server_x", "routes.x", "Server"] {
            assert!(find_section(wrong).is_none(), "{wrong}");
        }
    }
}
