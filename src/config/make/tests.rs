//! Tests of the whole: defaults, and settings that do not fit together.

use super::super::login::{LoginSettings, SecretSource};
use super::*;
use crate::auth::{Mechanism, Secret};
use crate::base::Address;

/// The configuration of a file's text, or all errors as lines.
fn make(text: &str) -> Result<Config, Vec<String>> {
    let mut settings = Settings::new(Some("dir/m.ini".into()));
    let (mut errors, wrong) = super::super::file::read(text, &mut settings);
    let config = Config::make(settings, "box.example", &wrong, &mut errors);
    if errors.is_empty() {
        return Ok(config);
    }
    Err(errors.iter().map(|e| e.line(Some("m.ini".as_ref())).into_string()).collect())
}

fn error(text: &str) -> String {
    let errors = make(text).expect_err(text);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.into_iter().next().unwrap()
}

#[test]
fn defaults_are_those_of_the_table() {
    let config = make("[next_server]\nhost = mail.example.com").unwrap();
    let server = &config.server;
    assert_eq!(server.hostname, "box.example");
    assert_eq!(server.listen, ["127.0.0.1:2525".parse().unwrap()]);
    assert_eq!(server.spool, PathBuf::from("dir/spool"));
    assert_eq!(server.control, Some("dir/spool/control.sock".into()));
    assert_eq!(server.relay_from, ["127.0.0.0/8", "::1"].map(|n| n.parse().unwrap()));
    assert!(server.relay_to.is_empty());
    assert_eq!((server.max_message_size, server.max_recipients), (50 << 20, 1000));
    assert_eq!((server.max_connections, server.max_connections_per_client), (10_000, 1000));
    assert_eq!((server.max_errors, server.max_hops), (20, 100));
    assert_eq!(server.timeout, Duration::from_secs(300));
    let next = &config.next_servers[0];
    assert_eq!((next.name.as_str(), next.host.as_str()), ("default", "mail.example.com"));
    assert_eq!((next.port, next.connections, next.is_sink), (25, 8, false));
    let day = Duration::from_secs(86_400);
    let queue = QueueSettings {
        interval: Duration::from_secs(15),
        retry_min: Duration::from_secs(15),
        retry_max: day / 24,
        expire: 5 * day,
        delay_notice: Some(day / 6),
    };
    assert_eq!(config.queue, queue);
    assert_eq!(config.sink, None);
    assert_eq!(config.insight, InsightSettings { age: day, size: 256 << 20 });
    assert_eq!(config.log, LogSettings { level: "info".into(), format: LogFormat::Text });
}

#[test]
fn every_setting_arrives() {
    let text = "[server]\nhostname = a.b\nlisten = [::1]:0\nspool = /s\ncontrol =\nrelay_from =\n\
        relay_to = example.org\nmax_message_size = 0\nmax_recipients = 1\nmax_connections = 2\n\
        max_connections_per_client = 3\n\
         max_errors = 4\nmax_hops = 5\nadd_missing_fields = yes\nreuse_port = yes\nuser = mail\n\
         timeout = 6s\n\
         [listener.x]\nlisten = [::1]:1\ntls = implicit\nauth = required\nproxy = yes\n\
         proxy_from = 192.0.2.0/24\n\
        [next_server]\nhost = ::1\nport = 7\ntls = none\nverify = yes\n\
        ca_file = ca.pem\nconnections = 8\n\
        user = u\npassword = p ; x\npassword_file =\npassword_command =\nauth = plain\n\
        auth_in_clear = yes\n\
        messages_per_connection = 9\nmx = yes\nrate = 10/s\nrewrite_sender = s@x\n\
        rewrite_from = f@x\n[dns]\nservers = ::1\nipv6 = no\n\
        [queue]\ninterval = 9s\nretry_min = 10s\nretry_max = 11s\nexpire = 12s\ndelay_notice = 0\n\
        [auth]\nusers = u\n\
        [tls]\ncertificate = c.pem\nkey = k.pem\n\
        [sink]\nlisten = 127.0.0.1:0\nstore = mail\n\
        [insight]\nhistory = 2h, 8M\n[log]\nlevel = warn\nformat = json";
    let config = make(text).unwrap();
    let server = ServerSettings {
        hostname: "a.b".into(),
        listen: vec!["[::1]:0".parse().unwrap()],
        spool: "/s".into(),
        control: None,
        relay_from: vec![],
        relay_to: vec!["example.org".parse().unwrap()],
        max_message_size: 0,
        max_recipients: 1,
        max_connections: 2,
        max_connections_per_client: 3,
        max_errors: 4,
        max_hops: 5,
        add_missing_fields: true,
        reuse_port: true,
        user: Some("mail".into()),
        timeout: Duration::from_secs(6),
    };
    assert_eq!(config.server, server);
    let listener = ListenerSettings {
        name: "x".into(),
        listen: vec!["[::1]:1".parse().unwrap()],
        tls: ListenerTls::Implicit,
        auth: ListenerAuth::Required,
        proxies: Some(vec!["192.0.2.0/24".parse().unwrap()]),
    };
    assert_eq!(config.listeners, [listener]);
    let next = NextServerSettings {
        name: "default".into(),
        host: "::1".into(),
        port: 7,
        tls: TlsPolicy::None,
        verify: true,
        ca_file: Some("dir/ca.pem".into()),
        connections: 8,
        terms: Terms {
            messages: Some(9),
            way: Way::Exchanges,
            rate: Some("10/s".parse().unwrap()),
            rewrite_sender: Some(Address::parse("s@x").unwrap()),
            rewrite_from: Some(Address::parse("f@x").unwrap()),
        },
        login: Some(LoginSettings {
            user: "u".into(),
            secret: SecretSource::Given(Secret::new("p ; x")),
            mechanism: Some(Mechanism::Plain),
            in_clear: true,
        }),
        is_sink: false,
    };
    assert_eq!(config.next_servers, [next]);
    let s = Duration::from_secs;
    let queue = QueueSettings {
        interval: s(9),
        retry_min: s(10),
        retry_max: s(11),
        expire: s(12),
        delay_notice: None,
    };
    assert_eq!(config.queue, queue);
    assert_eq!(config.auth.file, Some("dir/u".into()));
    let sink = SinkSettings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        store: Some("dir/mail".into()),
    };
    assert_eq!(config.sink, Some(sink));
    let insight = InsightSettings { age: Duration::from_secs(7200), size: 8 << 20 };
    assert_eq!(config.insight, insight);
    assert_eq!(config.log, LogSettings { level: "warn".into(), format: LogFormat::Json });
    // Every row of the table is in the text above, so none is forgotten here when one is added.
    let given = config.rows().iter().filter(|r| *r.source != Source::Default).count();
    assert_eq!(given, config.rows().len());
}

#[test]
fn rows_show_values_and_sources() {
    let config =
        make("[server]\nspool = x\n[next_server]\nhost = h\n[routes]\n* = default").unwrap();
    let rows = config.rows();
    let row = |name: &str| {
        let row = rows.iter().find(|r| r.name == name).unwrap();
        (row.value.as_str(), row.source.clone())
    };
    assert_eq!(row("server.spool"), ("dir/x", Source::File { line: 2 }));
    assert_eq!(row("server.control"), ("dir/x/control.sock", Source::Default));
    assert_eq!(row("server.hostname"), ("box.example", Source::Default));
    assert_eq!(row("queue.interval"), ("15s", Source::Default));
    assert_eq!(row("server.relay_to"), ("", Source::Default));
    assert_eq!(row("routes.*"), ("default", Source::File { line: 6 }));
}

#[test]
fn without_a_next_server_there_is_no_configuration() {
    let missing = "m.ini: no next server: set next_server.host (-n HOST:PORT)";
    assert!(error("").starts_with(missing));
    assert!(error("[next_server]\nport = 26\nhost =").starts_with(missing));
    // A slip elsewhere in the section may be the host: one error is enough.
    assert!(error("[next_server]\nhots = a").ends_with("did you mean 'host'?"));
    let nowhere = error("[next_server.a]\nhost = h");
    assert!(nowhere.contains("no mail would go to any next server"), "{nowhere}");
    assert!(error("[next_server]\nhost = h\n[next_server.a]\nport = 26").contains("has no host"));
}

#[test]
fn the_sink_is_the_next_server_when_there_is_no_other() {
    let config = make("[sink]\nlisten = 0.0.0.0:2526").unwrap();
    let next = &config.next_servers[0];
    assert_eq!((next.host.as_str(), next.port, next.is_sink), ("127.0.0.1", 2526, true));
    let config = make("[sink]\nlisten = [::]:0\n[next_server]\nhost = h").unwrap();
    assert_eq!((config.next_servers.len(), config.next_servers[0].is_sink), (1, false));
}

#[test]
fn what_tls_a_next_server_gets_and_whether_its_certificate_is_checked() {
    use TlsPolicy::{Implicit, None, Opportunistic, Required};
    for (text, policy, verify) in [
        ("", Opportunistic, false),
        ("port = 587", Required, true),
        ("port = 465", Implicit, true),
        ("port = 465\ntls = required", Required, true),
        ("port = 587\ntls = none", None, false),
        ("tls = implicit\nverify = no", Implicit, false),
        ("tls = opportunistic\nverify = yes", Opportunistic, true),
    ] {
        let config = make(&format!("[next_server]\nhost = h\n{text}")).unwrap();
        let server = &config.next_servers[0];
        assert_eq!((server.tls, server.verify), (policy, verify), "{text}");
    }
    assert!(error("[next_server]\nhost = h\nverify = perhaps").contains("neither yes nor no"));
}

#[test]
fn a_listener_that_lacks_something_is_never_a_weaker_one() {
    let next = "[next_server]\nhost = h\n[listener.a]\nlisten = 127.0.0.1:1\n";
    for (text, words) in [
        ("proxy = yes", "m.ini:5: listener.a.proxy needs listener.a.proxy_from beside it"),
        ("proxy = yes\nproxy_from =", "m.ini:5: listener.a.proxy needs listener.a.proxy_from"),
        ("tls = implicit", "m.ini:5: listener.a.tls needs a certificate"),
        ("tls = starttls", "m.ini:5: listener.a.tls needs a certificate"),
        ("auth = required", "m.ini:5: listener.a.auth needs users"),
        ("auth = optional", "m.ini:5: listener.a.auth needs users"),
    ] {
        let error = error(&format!("{next}{text}"));
        assert!(error.starts_with(words), "{error}");
    }
    assert!(error("[next_server]\nhost = h\n[listener.a]\ntls = none").contains("has no address"));
    assert!(error("[listener]\nlisten = 127.0.0.1:1").contains("give it a name"));
    let config = make(&format!("{next}proxy_from = 127.0.0.1")).unwrap();
    assert_eq!(config.listeners[0].proxies, Option::None);
}

#[test]
fn a_certificate_needs_a_key_and_the_reverse() {
    let next = "[next_server]\nhost = h\n";
    let config = make(&format!("{next}[tls]\ncertificate = c.pem\nkey = k.pem")).unwrap();
    let tls = TlsSettings { certificate: "dir/c.pem".into(), key: "dir/k.pem".into() };
    assert_eq!(config.tls, Some(tls));
    assert_eq!(make(&format!("{next}[tls]\ncertificate =\nkey =")).unwrap().tls, Option::None);
    let one = error(&format!("{next}[tls]\nkey = k.pem"));
    assert_eq!(one, "m.ini:4: tls.key needs tls.certificate beside it");
    let other = error(&format!("{next}[tls]\ncertificate = c.pem"));
    assert_eq!(other, "m.ini:4: tls.certificate needs tls.key beside it");
}

#[test]
fn routes_name_servers_in_order_and_all_others_come_last() {
    let config = make(
        "[next_server.a]\nhost = h1\n[routes]\n* = b, a\nfrom:Ann@Example.org = a\n\
         .example.org = a\n[next_server.b]\nhost = h2\nport = 26",
    )
    .unwrap();
    let names: Vec<&str> = config.next_servers.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let ann = Address::parse("Ann@Example.org").unwrap();
    let keys: Vec<&RouteKey> = config.routes.iter().map(|r| &r.key).collect();
    let below = RouteKey::Domain(".example.org".parse().unwrap());
    assert_eq!(keys, [&RouteKey::Sender(ann), &below, &RouteKey::All]);
    assert_eq!(config.routes[2].next, [[("b".to_owned(), 1)], [("a".to_owned(), 1)]]);
}

#[test]
fn routes_to_nowhere() {
    let head = "[next_server]\nhost = h\n[next_server.backup]\nhost = h\n[routes]\n";
    let unknown = error(&format!("{head}* = bakcup"));
    assert_eq!(unknown, "m.ini:6: no next server is named 'bakcup'; did you mean 'backup'?");
    let unknown = error(&format!("{head}* = backup, other"));
    assert!(unknown.ends_with("'other'; declare it in [next_server.other]"), "{unknown}");
    let unknown = error("[next_server.a]\nhost = h\n[routes]\n* = a, default");
    assert!(unknown.ends_with("'default'; give [next_server] a host"), "{unknown}");
    // The line that is wrong is told, not what follows from it.
    let wrong = error("[next_server]\nhost = h\n[next_server.a]\nhots = h\n[routes]\n* = a");
    assert!(wrong.starts_with("m.ini:4: "), "{wrong}");
}

#[test]
fn waits_that_contradict_each_other() {
    let head = "[next_server]\nhost = h\n[queue]\n";
    let wrong = error(&format!("{head}retry_min = 2h"));
    assert_eq!(wrong, "m.ini:4: queue.retry_min is longer than queue.retry_max");
    assert!(error(&format!("{head}retry_min = 20s\nretry_max = 10s")).starts_with("m.ini:5: "));
}
