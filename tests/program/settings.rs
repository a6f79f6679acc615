//! Every setting of the table, changed in a running server: what is declared live takes another
//! value and shows it, what is not says honestly that it waits for a new start.

use std::process::Command;

use mailflux::config::Kind;
use mailflux::config::table::{Keys, SECTIONS, Setting};

use crate::certs::Authority;
use crate::next::Next;
use crate::server::{Setup, free_address};
use crate::wait_for;
use crate::ways::{Dns, HELLO, submit};

/// All that stands in the table, by full names as they are in the setup below.
fn all() -> Vec<(String, &'static Setting)> {
    let mut all = Vec::new();
    for section in SECTIONS {
        let names: &[&str] = match section.name {
            "listener" => &["listener.l"],
            "next_server" => &["next_server", "next_server.b"],
            "filter" => &["filter.f"],
            "fault" => &["fault.x"],
            plain => &[plain],
        };
        for (name, setting) in
            names.iter().flat_map(|n| section.settings().iter().map(move |s| (n, s)))
        {
            let key = match &section.keys {
                Keys::Fixed(_) => setting.key,
                Keys::Open(..) if section.name == "routes" => "example.org",
                Keys::Open(..) => "root",
            };
            // A filter has the keys of its action.
            let name = match (*name, key) {
                ("filter.f", "to") => "filter.redirect",
                ("filter.f", "via") => "filter.route",
                ("filter.f", "header") => "filter.tag",
                ("fault.x", "no") => "fault.hello",
                ("filter.f", "rate" | "per") => "filter.limit",
                (name, _) => name,
            };
            all.push((format!("{name}.{key}"), setting));
        }
    }
    all
}

/// A value that the setting does not have in the setup below.
fn another(name: &str, setting: &Setting, world: &World) -> String {
    let by_name = match name {
        "server.listen" => Some(format!("{}, {}", world.setup.address, free_address())),
        "listener.l.listen" => Some(free_address().to_string()),
        "listener.l.proxy_from" => Some("192.0.2.0/24".into()),
        "tls.certificate" | "tls.key" => {
            let identity = &world.other;
            let path = if name.ends_with("key") { &identity.key } else { &identity.certificate };
            Some(path.display().to_string())
        }
        name if name.ends_with(".ca_file") => Some(world.authority.file().display().to_string()),
        name if name.ends_with(".password_file") => Some(world.secret.clone()),
        name if name.ends_with(".password_command") => Some("echo another".into()),
        "filter.f.reply" => Some("450 4.7.1 later".into()),
        "filter.f.where" | "fault.x.where" => Some("rcpt ~ \"never\"".into()),
        "filter.f.action" => Some("discard".into()),
        "fault.x.reply" => Some("450 4.2.1 busy".into()),
        "fault.x.delay" | "fault.x.for" => Some("1h".into()),
        "fault.x.rate" => Some("1K".into()),
        "fault.x.cut" => Some("5".into()),
        "fault.hello.no" => Some("size".into()),
        "fault.x.odds" => Some("50%".into()),
        "fault.x.count" | "fault.x.seed" => Some("7".into()),
        "filter.redirect.to" => Some("other@example.org".into()),
        "filter.route.via" => Some("b".into()),
        "filter.tag.header" => Some("X-Other: yes".into()),
        "filter.limit.rate" => Some("77/m".into()),
        "filter.limit.per" => Some("sender".into()),
        "filter.f.stage" => Some("body".into()),
        _ => None,
    };
    by_name.unwrap_or_else(|| match setting.kind {
        Kind::Domain | Kind::Domains => "other.test".into(),
        Kind::Host => "127.0.0.9".into(),
        Kind::Listen => free_address().to_string(),
        Kind::Path => "elsewhere".into(),
        Kind::Networks => "192.0.2.0/24".into(),
        Kind::Size { .. } => "7M".into(),
        Kind::Count { .. } => "77".into(),
        Kind::Duration { .. } => "77s".into(),
        Kind::Keep => "7d, 7M".into(),
        Kind::Switch => "yes".into(),
        Kind::Choice(words) => (*words.last().unwrap()).to_owned(),
        Kind::LogFilter => "debug".into(),
        Kind::Names => "b".into(),
        Kind::Resolvers => "192.0.2.53".into(),
        Kind::Rate => "77/m".into(),
        Kind::Mailbox | Kind::Mailboxes => "other@example.org".into(),
        Kind::Text | Kind::Secret => "another".into(),
    })
}

/// What has to be changed first, so that the two fit together.
fn before(name: &str) -> &'static [(&'static str, &'static str)] {
    match name {
        "tls.certificate" => &[("tls.certificate", ""), ("tls.key", "$key")],
        "tls.key" => &[("tls.certificate", "")],
        "next_server.password_file" | "next_server.password_command" => {
            &[("next_server.password", "")]
        }
        "next_server.b.password_file" | "next_server.b.password_command" => {
            &[("next_server.b.password", "")]
        }
        _ => &[],
    }
}

struct World {
    setup: Setup,
    authority: Authority,
    other: crate::certs::Identity,
    secret: String,
}

fn world() -> World {
    let authority = Authority::new();
    let (first, other) = (authority.sign("localhost"), authority.sign("other.test"));
    let next = free_address();
    let mut setup = Setup::new(next);
    let secret = setup.dir.path().join("secret");
    std::fs::write(&secret, "pencil\n").unwrap();
    let private = Command::new("chmod").arg("600").arg(&secret).status().unwrap();
    assert!(private.success());
    for line in [
        format!("tls.certificate={}", first.certificate.display()),
        format!("tls.key={}", first.key.display()),
        format!("listener.l.listen={}", free_address()),
        "listener.l.tls=none".into(),
        "next_server.user=ann".into(),
        "next_server.password=pencil".into(),
        "next_server.b.host=127.0.0.2".into(),
        "next_server.b.user=ann".into(),
        "next_server.b.password=pencil".into(),
        "routes.example.org=default".into(),
        "routes.*=default".into(),
        "aliases.root=ann@example.org".into(),
        "filter.f.action=reject".into(),
        "filter.redirect.action=redirect".into(),
        "filter.redirect.to=ann@example.org".into(),
        "filter.route.action=route".into(),
        "filter.route.via=default".into(),
        "filter.tag.action=tag".into(),
        "filter.tag.header=X-Note: yes".into(),
        "filter.limit.action=limit".into(),
        "filter.limit.rate=60/m".into(),
        "fault.hello.stage=helo".into(),
        "fault.hello.no=dsn".into(),
        "fault.x.stage=rcpt".into(),
        "fault.x.where=rcpt ~ \"nobody\"".into(),
        "fault.x.reply=451 4.2.1 busy".into(),
        "filter.f.where=rcpt ~ \"nobody\"".into(),
    ] {
        setup = setup.set(&line);
    }
    let secret = secret.display().to_string();
    World { setup, authority, other, secret }
}

#[test]
fn every_setting_is_live_or_says_that_it_is_not() {
    let world = world();
    let setup = &world.setup;
    let _server = setup.start();
    let show = |name: &str| setup.say(&["config", "get", name]);
    let mut told = Vec::new();
    for (name, setting) in all() {
        let (old, value) = (show(&name), another(&name, setting, &world));
        for (first, value) in before(&name) {
            let key = world.other.key.display().to_string();
            setup.say(&["config", "set", first, if *value == "$key" { &key } else { value }]);
        }
        let (code, out, err) = setup.ctl(&["config", "set", &name, &value]);
        let new = show(&name);
        if !setting.live {
            if !(out + &err).contains("cannot change while the server runs") {
                told.push(format!("{name}: does not say that it cannot change"));
            }
        } else if code != 0 {
            told.push(format!("{name} = {value}: {err}"));
        } else if setting.secret {
            assert!(!new.contains(&value), "{new}");
        } else if new == old || !new.contains(value.split(',').next().unwrap()) {
            told.push(format!("{name} = {value}: shows {new}"));
        }
        setup.say(&["config", "reload"]);
        assert_eq!(show(&name), old, "reload forgets what was changed");
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// Another DNS server, another host: the next message goes there.
#[test]
fn dns_servers_change_under_a_running_server() {
    let Some(dns) = Dns::start(&["--host-record=next.test,127.0.0.1"]) else { return };
    let next = Next::new();
    let setup = crate::ways::setup("next.test", next.address, free_address());
    let server = setup.start();
    submit(&server, &["b@x.test"], HELLO);
    wait_for("a fault", || setup.say(&["next", "list"]).contains("look up").then_some(()));
    setup.say(&["config", "set", "dns.servers", &dns.address.to_string()]);
    setup.say(&["flush"]);
    next.wait(1);
}
