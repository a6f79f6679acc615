//! Where mail goes: names that dnsmasq knows, several next servers, aliases, other senders.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::next::{Act, Next, Stage};
use crate::server::{Server, Setup, free_address};
use crate::wait_for;

/// A DNS server with these lines of configuration; none where there is no dnsmasq.
pub struct Dns {
    child: Child,
    pub address: SocketAddr,
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Dns {
    pub fn start(options: &[&str]) -> Option<Dns> {
        Dns::at(free_address(), options)
    }

    pub fn at(address: SocketAddr, options: &[&str]) -> Option<Dns> {
        let mut command = Command::new("dnsmasq");
        command.args([
            "--keep-in-foreground",
            "--no-resolv",
            "--no-hosts",
            "--conf-file=/dev/null",
        ]);
        command.args(["--bind-interfaces", "--listen-address=127.0.0.1", "--no-daemon"]);
        command.args(["--user=", "--group=", "--pid-file=", "--local-ttl=60"]);
        command.args(["--local=/test/", &format!("--port={}", address.port())]).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            println!("skipped: there is no dnsmasq");
            return None;
        };
        let mut dns = Dns { child, address };
        wait_for("dnsmasq", || {
            assert!(dns.child.try_wait().unwrap().is_none(), "dnsmasq ended");
            std::net::TcpStream::connect(address).ok()
        });
        Some(dns)
    }
}

/// A server that tries again soon and asks this DNS server.
pub fn setup(host: &str, next: SocketAddr, dns: SocketAddr) -> Setup {
    eager(next)
        .set(&format!("next_server.host={host}"))
        .set(&format!("dns.servers={dns}"))
        .set("server.hostname=relay.test")
}

pub fn eager(next: SocketAddr) -> Setup {
    Setup::new(next)
        .set("queue.interval=200ms")
        .set("queue.retry_min=200ms")
        .set("queue.retry_max=500ms")
}

/// One message to these recipients.
pub fn submit(server: &Server, to: &[&str], content: &str) {
    server.ehlo().mail("a@sender.test", to, content);
}

pub const HELLO: &str = "Subject: x\r\n\r\nbody\r\n";

/// Two next servers with one port, on two addresses of loopback.
fn pair() -> (Next, Next) {
    let first = Next::at(free_address(), |_| Act::Usual);
    let second = SocketAddr::from(([127, 0, 0, 2], first.address.port()));
    (first, Next::at(second, |_| Act::Usual))
}

#[test]
fn a_next_server_has_a_name() {
    let Some(dns) = Dns::start(&["--host-record=next.test,127.0.0.1"]) else { return };
    let next = Next::new();
    let setup = setup("next.test", next.address, dns.address);
    let server = setup.start();
    submit(&server, &["b@x.test"], HELLO);
    assert_eq!(next.wait(1)[0].to, ["<b@x.test>"], "{}", server.log());
}

#[test]
fn mail_exchanges_of_a_name() {
    let Some(dns) = Dns::start(&[
        "--mx-host=corp.test,bad.test,5",
        "--mx-host=corp.test,good.test,10",
        "--host-record=bad.test,127.0.0.3",
        "--host-record=good.test,127.0.0.2",
    ]) else {
        return;
    };
    let (first, second) = pair();
    let setup = setup("corp.test", first.address, dns.address).set("next_server.mx=yes");
    let server = setup.start();
    submit(&server, &["b@x.test"], HELLO);
    // Nobody listens at the first host: the second one takes it.
    second.wait(1);
    assert_eq!(first.count(), 0, "{}", server.log());
}

#[test]
fn straight_to_the_recipients_hosts() {
    let Some(dns) = Dns::start(&[
        "--mx-host=one.test,mail.one.test,5",
        "--host-record=mail.one.test,127.0.0.1",
        "--host-record=two.test,127.0.0.2",
        "--mx-host=null.test,.,0",
        "--mx-host=loop.test,relay.test,5",
        "--host-record=relay.test,127.0.0.1",
        "--txt-record=none.test,x",
    ]) else {
        return;
    };
    let (first, second) = pair();
    let setup = setup("mx", first.address, dns.address).set("routes.*=default");
    let setup = setup.set("next_server.bounces.host=127.0.0.1");
    let bounces = Next::new();
    let setup = setup
        .set(&format!("next_server.bounces.port={}", bounces.address.port()))
        .set("routes.sender.test=bounces");
    let server = setup.start();
    let to =
        ["b@one.test", "c@two.test", "d@gone.test", "e@null.test", "f@loop.test", "g@none.test"];
    submit(&server, &to, HELLO);
    assert_eq!(first.wait(1)[0].to, ["<b@one.test>"], "{}", server.log());
    assert_eq!(second.wait(1)[0].to, ["<c@two.test>"], "no MX: its own address");
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
    let told: String = bounces.mails().iter().map(|mail| mail.text()).collect();
    let parts: Vec<&str> = told.split("Final-Recipient: ").skip(1).collect();
    for (who, status) in [
        ("d@gone.test", "5.1.2"),
        ("e@null.test", "5.1.10"),
        ("f@loop.test", "5.4.6"),
        ("g@none.test", "5.4.4"),
    ] {
        let of = parts.iter().find(|part| part.starts_with(&format!("rfc822; {who}")));
        let of = of.unwrap_or_else(|| panic!("{who} is not told of: {told}\n{}", server.log()));
        assert!(of.contains(&format!("Status: {status}")), "{who}: {of}");
    }
    assert!(!told.contains("Final-Recipient: rfc822; b@one.test"));
}

#[test]
fn a_dns_server_that_is_down_bounces_nothing() {
    let address = free_address();
    let next = Next::new();
    let setup = setup("mx", next.address, address);
    let server = setup.start();
    submit(&server, &["b@one.test"], HELLO);
    wait_for("word of the fault", || server.log().contains("DNS server").then_some(()));
    assert_eq!(setup.queue_files().len(), 1, "{}", server.log());
    // It comes up, and the mail goes.
    let Some(_dns) = Dns::at(address, &["--host-record=one.test,127.0.0.1"]) else { return };
    next.wait(1);
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
}

#[test]
fn an_unknown_next_server_is_its_own_fault() {
    let Some(dns) = Dns::start(&[]) else { return };
    let next = Next::new();
    let setup = setup("gone.test", next.address, dns.address);
    let server = setup.start();
    submit(&server, &["b@x.test"], HELLO);
    wait_for("word of the fault", || {
        server.log().contains("gone.test is not a host").then_some(())
    });
    assert_eq!(setup.queue_files().len(), 1, "nothing bounces: {}", server.log());
}

#[test]
fn a_server_that_fails_is_left_and_taken_back() {
    let address = free_address();
    let second = Next::new();
    let setup = eager(address)
        .set("next_server.b.host=127.0.0.1")
        .set(&format!("next_server.b.port={}", second.address.port()))
        .set("routes.*=default, b");
    let server = setup.start();
    for _ in 0..5 {
        submit(&server, &["b@x.test"], HELLO);
    }
    second.wait(5);
    // It is back: it is probed with mail, and then has all of it again.
    let first = Next::at(address, |_| Act::Usual);
    wait_for("mail for the first", || {
        submit(&server, &["b@x.test"], HELLO);
        (first.count() > 0).then_some(())
    });
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
    let before = (first.count(), second.count());
    for _ in 0..5 {
        submit(&server, &["b@x.test"], HELLO);
    }
    first.wait(before.0 + 5);
    assert_eq!(second.count(), before.1, "{}", server.log());
}

#[test]
fn recipients_of_one_message_go_different_ways_and_shares_are_shared() {
    let (a, b, c) = (Next::new(), Next::new(), Next::new());
    let port = |next: &Next| next.address.port();
    let setup = eager(a.address)
        .set("next_server.b.host=127.0.0.1")
        .set(&format!("next_server.b.port={}", port(&b)))
        .set("next_server.c.host=127.0.0.1")
        .set(&format!("next_server.c.port={}", port(&c)))
        .set("routes.one.test=b")
        .set("routes.*=default*1 / c*1");
    let server = setup.start();
    submit(&server, &["x@one.test", "y@two.test"], HELLO);
    assert_eq!(b.wait(1)[0].to, ["<x@one.test>"]);
    for _ in 0..30 {
        submit(&server, &["y@two.test"], HELLO);
    }
    wait_for("the rest", || (a.count() + c.count() == 31).then_some(()));
    assert!(a.count() > 3 && c.count() > 3, "{} and {}", a.count(), c.count());
    assert_eq!(b.count(), 1);
}

#[test]
fn a_rate_spreads_messages() {
    let next = Next::new();
    let setup = eager(next.address).set("next_server.rate=4/s");
    let server = setup.start();
    let start = Instant::now();
    for _ in 0..6 {
        submit(&server, &["b@x.test"], HELLO);
    }
    next.wait(6);
    assert!(start.elapsed() >= Duration::from_millis(1200), "{:?}", start.elapsed());
}

#[test]
fn a_connection_carries_so_many_messages() {
    let most = std::sync::Arc::new(AtomicUsize::new(0));
    let next = Next::scripted({
        let most = std::sync::Arc::clone(&most);
        move |moment| {
            if moment.stage == Stage::Connect {
                most.fetch_max(moment.connection, Ordering::SeqCst);
            }
            Act::Usual
        }
    });
    let setup = eager(next.address)
        .set("next_server.messages_per_connection=2")
        .set("next_server.connections=1")
        .set("queue.interval=1h");
    let server = setup.start();
    for _ in 0..6 {
        submit(&server, &["b@x.test"], HELLO);
    }
    next.wait(6);
    assert!(most.load(Ordering::SeqCst) >= 3, "{}", server.log());
}

#[test]
fn aliases_and_other_senders() {
    let next = Next::new();
    let setup = eager(next.address)
        .set("aliases.root=me@x.test, you@x.test")
        .set("next_server.rewrite_sender=out@relay.test")
        .set("next_server.rewrite_from=from@relay.test");
    let server = setup.start();
    let content = "From: Ann <a@sender.test>\r\nSubject: x\r\n\r\n.From: body\r\n";
    submit(&server, &["root@mx.example.org", "you@x.test"], &content.replace("\r\n.", "\r\n.."));
    let mail = &next.wait(1)[0];
    assert_eq!(mail.to, ["<me@x.test>", "<you@x.test>"]);
    assert!(mail.from.starts_with("<out@relay.test>"), "{}", mail.from);
    let expected = "Subject: x\r\nFrom: <from@relay.test>\r\nReply-To: Ann <a@sender.test>\r\n\
                    \r\n.From: body\r\n";
    assert_eq!(String::from_utf8_lossy(mail.without_trace()), expected);
}

/// The whole of it is checked before anything starts.
#[test]
fn wrong_settings_are_told() {
    let setup = Setup::new(free_address()).set("routes.*=default / nobody");
    let output = crate::server::run_to_end(&mut setup.command());
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("no next server is named 'nobody'"), "{said}");
    let _ = Client::connect(setup.address).is_err();
}

#[test]
fn a_probe_waits_until_its_name_is_known() {
    let Some(dns) = Dns::start(&["--address=/smart.test/127.0.0.1"]) else { return };
    let next = Next::new();
    let probe = |host: &str| {
        let dir = tempfile::tempdir().unwrap();
        let to = format!("{host}:{}", next.address.port());
        let names = format!("dns.servers={}", dns.address);
        let mut command = crate::server::program();
        command.args(["probe", "--json", "-n", &to, "--set", &names, "--set", "dns.ipv6=no"]);
        let out = crate::server::run_to_end(command.current_dir(dir.path()));
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        (out.status.code(), json)
    };
    let (code, json) = probe("smart.test");
    assert_eq!((code, json["ok"].as_bool()), (Some(0), Some(true)), "{json}");
    assert_eq!(json["steps"][0]["step"], "dns", "{json}");
    assert!(json["steps"][0]["text"].as_str().unwrap().contains("127.0.0.1"), "{json}");
    let (code, json) = probe("nowhere.test");
    assert_eq!((code, json["failed"].as_str()), (Some(69), Some("dns")), "{json}");
}

#[test]
fn a_domain_that_cannot_be_reached_goes_on_to_the_next_server_of_its_route() {
    let Some(dns) = Dns::start(&[
        "--host-record=up.test,127.0.0.1",
        "--host-record=down.test,127.0.0.3",
        "--host-record=xn--grn-ioa.test,127.0.0.1",
    ]) else {
        return;
    };
    let (direct, relay) = (Next::new(), Next::new());
    let setup = setup("mx", direct.address, dns.address)
        .set("next_server.relay.host=127.0.0.1")
        .set(&format!("next_server.relay.port={}", relay.address.port()))
        .set("routes.*=default, relay");
    let server = setup.start();
    submit(&server, &["b@down.test"], HELLO);
    assert_eq!(relay.wait(1)[0].to, ["<b@down.test>"], "{}", server.log());
    submit(&server, &["b@up.test", "c@XN--GRN-ioa.test"], HELLO);
    direct.wait(2);
    assert_eq!(relay.count(), 1, "{}", server.log());
    // A domain beyond ASCII has the same destination, and is paused with it.
    setup.say(&["next", "pause", "default"]);
    let mut client = server.ehlo();
    assert_eq!(client.command("MAIL FROM:<a@sender.test> SMTPUTF8").code, 250);
    assert_eq!(client.command("RCPT TO:<d@Grün.test>").code, 250);
    assert_eq!(client.command("DATA").code, 354);
    assert_eq!(client.command("Subject: x\r\n\r\nbody\r\n.").code, 250);
    assert_eq!(relay.wait(2)[1].to, ["<d@Grün.test>"], "{}", server.log());
    assert_eq!(direct.count(), 2, "{}", server.log());
}

/// One host of a domain answers and does not want us: the next one has its turn at once.
#[test]
fn a_host_that_refuses_us_is_no_better_than_one_that_is_down() {
    let Some(dns) = Dns::start(&[
        "--mx-host=one.test,bad.test,5",
        "--mx-host=one.test,good.test,10",
        "--host-record=bad.test,127.0.0.1",
        "--host-record=good.test,127.0.0.2",
    ]) else {
        return;
    };
    for greeting in ["554 5.7.1 not you", "421 4.3.2 not now", "what do you want?"] {
        let first = Next::at(free_address(), move |moment| match moment.stage {
            Stage::Connect => Act::Say(format!("{greeting}\r\n")),
            _ => Act::Usual,
        });
        let second = SocketAddr::from(([127, 0, 0, 2], first.address.port()));
        let second = Next::at(second, |_| Act::Usual);
        let setup = setup("mx", first.address, dns.address)
            .set("queue.retry_min=1h")
            .set("queue.retry_max=1h");
        let server = setup.start();
        submit(&server, &["b@one.test"], HELLO);
        second.wait(1);
        assert_eq!(first.connections(), 1, "{}", server.log());
        // The bad one is remembered.
        submit(&server, &["b@one.test"], HELLO);
        second.wait(2);
        assert_eq!(first.connections(), 1, "{}", server.log());
        // When nobody else is there the server is left alone.
        let told = setup.say(&["next", "list"]);
        assert!(!told.contains("backing"), "{told}");
    }
}

/// What a sender is told when no server ever said a word.
#[test]
fn nobody_is_quoted_who_said_nothing() {
    let bounces = Next::new();
    let setup = eager(free_address())
        .set("queue.expire=1s")
        .set("next_server.bounces.host=127.0.0.1")
        .set(&format!("next_server.bounces.port={}", bounces.address.port()))
        .set("routes.sender.test=bounces");
    let server = setup.start();
    submit(&server, &["b@x.test"], HELLO);
    let told = bounces.wait(1)[0].text();
    assert!(told.contains("Diagnostic-Code: X-MailFlux; cannot connect to 127.0.0.1:"), "{told}");
    assert!(!told.contains("Remote-MTA") && told.contains("The reason:"), "{told}");
}

/// What the table of settings calls live counts for the next message, without a new start.
#[test]
fn ways_change_under_a_running_server() {
    let (first, second) = (Next::new(), Next::new());
    let setup = eager(free_address())
        .set("next_server.b.host=127.0.0.1")
        .set(&format!("next_server.b.port={}", second.address.port()))
        .set("routes.*=default");
    let server = setup.start();
    let set = |name: &str, value: &str| setup.say(&["config", "set", name, value]);
    submit(&server, &["a@x.test"], HELLO);
    wait_for("the fault in words", || {
        setup.say(&["next", "list"]).contains("connection refused").then_some(())
    });
    set("next_server.port", &first.address.port().to_string());
    first.wait(1);
    set("routes.other.test", "b");
    submit(&server, &["b@other.test"], HELLO);
    assert_eq!(second.wait(1)[0].to, ["<b@other.test>"]);
    set("aliases.root", "c@other.test");
    set("next_server.b.rewrite_sender", "out@relay.test");
    submit(&server, &["root@mx.example.org"], HELLO);
    let mail = &second.wait(2)[1];
    assert_eq!(mail.to, ["<c@other.test>"], "{}", server.log());
    assert!(mail.from.starts_with("<out@relay.test>"), "{}", mail.from);
    // The words of a fault that a new setting makes, and its end with the setting.
    set("next_server.b.tls", "required");
    setup.say(&["config", "set", "next_server.b.verify", "no"]);
    wait_for("the old connection's end", || {
        submit(&server, &["b@other.test"], HELLO);
        setup.say(&["next", "list"]).contains("does not offer STARTTLS").then_some(())
    });
    let before = second.count();
    // It is tried at once, not when its wait is over.
    set("queue.retry_max", "1h");
    set("queue.retry_min", "1h");
    set("next_server.b.tls", "none");
    second.wait(before + 1);
    // A rate that is set now counts now.
    set("next_server.rate", "1/h");
    for _ in 0..3 {
        submit(&server, &["a@x.test"], HELLO);
    }
    first.wait(2);
    assert_eq!(setup.queue_files().len(), 2, "{}", server.log());
    set("next_server.rate", "1000/s");
    setup.say(&["flush"]);
    first.wait(4);
    // A secret is shown by no answer and stands in no log.
    let told = set("next_server.password", "open-sesame") + &set("next_server.user", "ann");
    let all = told + &setup.say(&["config", "get"]) + &setup.say(&["config", "diff"]);
    assert!(!(all + &server.log()).contains("open-sesame"));
}

/// A bounce, the log and `show attempts` name the host that spoke, not the domain (RFC 3464
/// section 2.3.5).
#[test]
fn the_host_that_refused_is_named() {
    let options = ["--mx-host=one.test,mx1.one.test,5", "--host-record=mx1.one.test,127.0.0.1"];
    let Some(dns) = Dns::start(&options) else { return };
    let refusing = Next::scripted(|moment| match moment.stage {
        Stage::Rcpt => Act::Say("550 5.1.1 nobody\r\n".into()),
        _ => Act::Usual,
    });
    let bounces = Next::new();
    let setup = setup("mx", refusing.address, dns.address)
        .set("routes.*=default")
        .set("next_server.bounces.host=127.0.0.1")
        .set(&format!("next_server.bounces.port={}", bounces.address.port()))
        .set("routes.sender.test=bounces");
    let server = setup.start();
    submit(&server, &["b@one.test"], HELLO);
    let told = bounces.wait(1)[0].text();
    assert!(told.contains("Remote-MTA: dns; mx1.one.test\r\n"), "{told}");
    assert!(told.contains("The answer of mx1.one.test:"), "{told}");
    let at = format!("host=mx1.one.test[127.0.0.1]:{}", refusing.address.port());
    assert!(server.log().contains(&at), "{}", server.log());
    let attempts = setup.say(&["show", "q1", "attempts"]);
    assert!(attempts.contains(&at), "{attempts}");
}
