//! TLS to next servers: Python's own, with certificates of every kind, and hostile ones.

use crate::certs::{Authority, Identity};
use crate::python::PythonNext;
use crate::server::{Server, Setup};
use crate::wait_for;

/// A next server with TLS as this mode has it; none where there is no Python.
fn start(mode: &str, identity: &Identity) -> Option<PythonNext> {
    PythonNext::start("next_tls.py", &[mode], identity)
}

/// A relay that sends to it under this policy, knowing the authority; and one message.
fn relay(next: &PythonNext, host: &str, policy: &str, authority: &Authority) -> (Setup, Server) {
    let setup = Setup::new(([127, 0, 0, 1], next.port).into())
        .set(&format!("next_server.host={host}"))
        .set(&format!("next_server.tls={policy}"))
        .set(&format!("next_server.ca_file={}", authority.file().display()))
        .set("next_server.connections=1")
        .set("log.level=trace");
    let server = setup.start();
    server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\nbody\r\n");
    (setup, server)
}

/// The server's log says this at last.
fn logged(server: &Server, words: &str) {
    wait_for(words, || server.log().contains(words).then_some(()));
}

/// The message is still there, and nobody was told that it never will be delivered.
fn still_waits(setup: &Setup, next: &PythonNext) {
    assert_eq!(setup.queue_files().len(), 1);
    assert!(next.said("heard MAIL").is_empty() && next.said("mail").is_empty());
}

#[test]
fn right_certificates_under_every_policy() {
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    for (mode, policy, version) in [
        ("starttls", "opportunistic", "TLSv1.3"),
        ("starttls", "required", "TLSv1.3"),
        ("tls12", "required", "TLSv1.2"),
        ("implicit", "implicit", "TLSv1.3"),
    ] {
        let Some(next) = start(mode, &identity) else { return };
        let (setup, server) = relay(&next, "localhost", policy, &authority);
        next.wait("mail", 1);
        assert!(next.said("tls")[0].starts_with(&format!("tls {version}")), "{mode} {policy}");
        wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
        let ehlos = next.said("heard EHLO").len();
        assert_eq!(ehlos, if mode == "implicit" { 1 } else { 2 }, "{mode} {policy}");
        let log = server.log();
        assert!(log.contains("localhost: certificate verified"), "{log}");
        let mail = log.lines().find(|line| line.contains(" o1 ") && line.contains("> MAIL FROM"));
        assert!(mail.is_some_and(|line| line.contains("~> MAIL FROM")), "{log}");
    }
}

/// On a port for implicit TLS nobody greets: that is known long before the time for a greeting is
/// over, and no server is disturbed by it that is only slow.
#[test]
fn a_silent_server_that_waits_for_tls_is_recognised() {
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    let Some(next) = start("implicit", &identity) else { return };
    let Some(slow) = start("silent", &identity) else { return };
    let slow_relay = relay(&slow, "localhost", "required", &authority);
    let probe = || {
        let mut command = crate::server::program();
        let to = format!("127.0.0.1:{}", next.port);
        command.args(["probe", "--json", "-n", &to, "--set", "next_server.tls=none"]);
        crate::server::run_to_end(command.current_dir(slow_relay.0.dir.path()))
    };
    let (setup, server) = relay(&next, "localhost", "required", &authority);
    let out = probe();
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), json["failed"].as_str()), (Some(69), Some("tls")), "{json}");
    assert!(json.to_string().contains("next_server.tls must be implicit"), "{json}");
    logged(&server, "the server speaks TLS at once: next_server.tls must be implicit for it");
    still_waits(&setup, &next);
    logged(&slow_relay.1, "the server does not speak TLS at once");
    assert!(!slow_relay.1.log().contains("must be implicit"), "{}", slow_relay.1.log());
    let told = slow_relay.0.say(&["next", "list"]);
    assert!(told.contains("ready"), "nobody is blamed: {told}");
}

#[test]
fn wrong_certificates_stop_only_what_checks_them() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for (identity, words) in [
        (authority.sign_expired("localhost"), "the server's certificate has expired"),
        (authority.sign("other.example"), "certificate is not for"),
        (authority.self_signed("localhost"), "signed by nobody who is known here"),
        (stranger.sign("localhost"), "signed by nobody who is known here"),
    ] {
        let Some(next) = start("starttls", &identity) else { return };
        let (setup, server) = relay(&next, "localhost", "required", &authority);
        logged(&server, words);
        logged(&server, "next_server.tls");
        still_waits(&setup, &next);
        drop((setup, server));
        // Against who only listens any certificate will do; what is wrong with it is said.
        let (_setup, server) = relay(&next, "localhost", "opportunistic", &authority);
        next.wait("mail", 1);
        logged(&server, words);
        assert!(server.log().contains("certificate not verified"));
        drop(server);
        let (_setup, server) = {
            let setup = Setup::new(([127, 0, 0, 1], next.port).into())
                .set("next_server.tls=required")
                .set("next_server.verify=no");
            let server = setup.start();
            let content = "Subject: y\r\n\r\nbody\r\n";
            server.ehlo().mail("ann@example.org", &["bob@example.net"], content);
            (setup, server)
        };
        next.wait("mail", 2);
        drop(server);
    }
}

/// Whom a certificate is believed from, and whether it matters, change while mail waits for it.
#[test]
fn ca_file_and_verify_change_under_a_running_server() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let Some(next) = start("starttls", &authority.sign("localhost")) else { return };
    let (setup, server) = relay(&next, "localhost", "required", &stranger);
    let file = |authority: &Authority| authority.file().display().to_string();
    let set = |key: &str, value: &str| {
        setup.say(&["config", "set", &format!("next_server.{key}"), value]);
    };
    let submit = || server.ehlo().mail("ann@example.org", &["b@x.test"], "Subject: x\r\n\r\nx\r\n");
    logged(&server, "signed by nobody who is known here");
    still_waits(&setup, &next);
    // It is tried at once with each of them.
    set("ca_file", &file(&authority));
    next.wait("mail", 1);
    set("ca_file", &file(&stranger));
    submit();
    let told = || setup.say(&["next", "list"]).contains("signed by nobody").then_some(());
    wait_for("a fault again", told);
    assert_eq!(next.said("mail").len(), 1);
    set("verify", "no");
    next.wait("mail", 2);
}

#[test]
fn starttls_that_fails_falls_back_only_where_that_is_allowed() {
    // One address: with two of them the other has its turn at once, which is counted here.
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    for (mode, words) in [
        ("strip", "does not offer STARTTLS"),
        ("refuse", "454 4.7.0 TLS is not available"),
        ("cut", "closed the connection"),
        ("garbage", "what came is no TLS"),
    ] {
        let Some(next) = start(mode, &identity) else { return };
        let (setup, server) = relay(&next, "127.0.0.1", "required", &authority);
        logged(&server, words);
        logged(&server, &format!("127.0.0.1:{}: ", next.port));
        still_waits(&setup, &next);
        drop((setup, server));
        let before = next.said("connection").len();
        let (setup, server) = relay(&next, "127.0.0.1", "opportunistic", &authority);
        next.wait("mail", 1);
        assert!(next.said("tls").is_empty());
        // A handshake that failed costs one connection, and is remembered.
        let broken = matches!(mode, "cut" | "garbage");
        assert_eq!(next.said("connection").len() - before, if broken { 2 } else { 1 }, "{mode}");
        wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
        server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: z\r\n\r\nz\r\n");
        next.wait("mail", 2);
        assert_eq!(next.said("connection").len() - before, if broken { 2 } else { 1 }, "{mode}");
    }
}

#[test]
fn what_is_injected_behind_the_220_is_never_believed() {
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    for policy in ["opportunistic", "required"] {
        let Some(next) = start("inject", &identity) else { return };
        let (setup, server) = relay(&next, "127.0.0.1", policy, &authority);
        // Where the octets come in two pieces the second one breaks the handshake.
        wait_for("the injection to be noticed", || {
            let log = server.log();
            let found = ["octets in the clear behind", "what came is no TLS", "SMTP in the clear"];
            found.iter().any(|words| log.contains(words)).then_some(())
        });
        assert_eq!(next.said("heard EHLO").len(), next.said("heard STARTTLS").len());
        still_waits(&setup, &next);
    }
}

/// Whoever takes TLS away, or breaks it, gets neither a password nor mail; the mail waits, nothing
/// bounces, and log, queue and probe say which setting decides.
#[test]
fn without_tls_neither_password_nor_mail_goes_out() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (good, bad) = (authority.sign("localhost"), stranger.sign("localhost"));
    for (mode, identity, words) in [
        ("strip", &good, "the server does not offer STARTTLS, and TLS is required"),
        ("refuse", &good, "refuses STARTTLS, and TLS is required: 454 4.7.0 TLS is not available"),
        ("unknown", &good, "refuses STARTTLS, and TLS is required: 502 5.5.1 What is that?"),
        ("cut", &good, "closed the connection, where TLS was to begin"),
        ("half", &good, "the other side closed the connection in the TLS handshake"),
        ("garbage", &good, "what came is no TLS"),
        ("inject", &good, ""),
        ("starttls", &bad, "signed by nobody who is known here"),
    ] {
        let Some(next) = start(mode, identity) else { return };
        let setup = |policy: &str| {
            Setup::new(([127, 0, 0, 1], next.port).into())
                .set("next_server.host=localhost")
                .set("dns.ipv6=no")
                .set(&format!("next_server.tls={policy}"))
                .set(&format!("next_server.ca_file={}", authority.file().display()))
                .set("next_server.user=ann")
                .set("next_server.password=secret")
                .set("queue.retry_min=200ms")
                .set("queue.retry_max=500ms")
                .set("queue.interval=100ms")
                .set("log.level=trace")
        };
        let required = setup("required");
        let server = required.start();
        server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\nbody\r\n");
        // It is tried again and again, and each time says no more than before.
        next.wait("heard EHLO", 3);
        let told = wait_for(words, || {
            let queue = required.json(&["queue"]);
            let last = queue["messages"][0]["recipients"][0]["last_reply"].as_str()?.to_owned();
            last.contains(words).then_some(last)
        });
        let list = required.say(&["next", "list"]);
        for (place, text) in [("queue", &told), ("next list", &list), ("log", &server.log())] {
            assert!(text.contains(words), "{mode}: {place} does not say {words}: {text}");
            let named = ["next_server.tls", "tls = implicit"];
            assert!(named.iter().any(|n| text.contains(n)), "{mode}, {place}: {text}");
        }
        let (code, out, err) = required.ctl(&["next", "probe", "default"]);
        assert_eq!((code, err.trim()), (1, "default: tls failed"), "{mode}: {out}");
        assert!(out.contains(words) && out.contains("look at: next_server.tls"), "{mode}: {out}");
        still_waits(&required, &next);
        assert!(next.said("heard AUTH").is_empty(), "{mode}");
        assert_eq!(required.json(&["status"])["bounced"], 0);
        drop(server);
        // Where TLS is only an opportunity mail would go in the clear, yet the password does not.
        if !matches!(mode, "inject" | "starttls") {
            let opportunistic = setup("opportunistic");
            let server = opportunistic.start();
            let content = "Subject: x\r\n\r\nbody\r\n";
            server.ehlo().mail("ann@example.org", &["bob@example.net"], content);
            let words =
                "would show the password to listeners; set tls = required, or auth_in_clear";
            logged(&server, words);
            still_waits(&opportunistic, &next);
            assert!(next.said("heard AUTH").is_empty(), "{mode}: {}", server.log());
        }
    }
}

#[test]
fn the_wrong_kind_of_tls_is_recognised() {
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    let Some(next) = start("starttls", &identity) else { return };
    let (setup, server) = relay(&next, "localhost", "implicit", &authority);
    logged(&server, "the server speaks SMTP in the clear where TLS was to begin at once");
    logged(&server, "tls = implicit is wrong for this port, required (STARTTLS) may be right");
    still_waits(&setup, &next);
}

#[test]
fn a_connection_cut_in_the_middle_delivers_nothing() {
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    let Some(next) = start("abrupt", &identity) else { return };
    let (setup, server) = relay(&next, "localhost", "required", &authority);
    next.wait("heard DATA", 1);
    wait_for("the loss in the log", || server.log().contains("connection lost").then_some(()));
    assert_eq!(setup.queue_files().len(), 1);
}

#[test]
fn sessions_are_resumed() {
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    let Some(next) = start("starttls", &identity) else { return };
    let (_setup, server) = relay(&next, "localhost", "required", &authority);
    next.wait("mail", 1);
    // The connection is given back when it has been idle for a while; then a new one.
    next.wait("closed", 1);
    server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: z\r\n\r\nz\r\n");
    next.wait("mail", 2);
    let tls = next.said("tls");
    assert!(tls[0].ends_with("new") && tls[1].ends_with("resumed"), "{tls:?}");
    logged(&server, ", resumed, ");
}

#[test]
fn a_home_made_certificate_is_right_where_ca_file_names_it() {
    let authority = Authority::new();
    for (name, until, good) in
        [("localhost", 2100, true), ("other.example", 2100, false), ("localhost", 2001, false)]
    {
        let identity = authority.home_made(name, until);
        let Some(next) = start("starttls", &identity) else { return };
        let setup = Setup::new(([127, 0, 0, 1], next.port).into())
            .set("next_server.host=localhost")
            .set("next_server.tls=required")
            .set(&format!("next_server.ca_file={}", identity.certificate.display()));
        let server = setup.start();
        server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\nbody\r\n");
        if good {
            next.wait("mail", 1);
        } else {
            logged(&server, "the server's certificate");
            assert_eq!(next.said("mail").len(), 0, "{name} {until}");
        }
    }
    // Named by nobody it is refused, with a hint.
    let identity = authority.home_made("localhost", 2100);
    let Some(next) = start("starttls", &identity) else { return };
    let (_setup, server) = relay(&next, "localhost", "required", &authority);
    logged(&server, "name it in ca_file");
}
