//! Listeners with rules of their own, and life behind a balancer: the PROXY protocol, and HAProxy
//! before several servers of which one is killed under load.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::certs::Authority;
use crate::client::Client;
use crate::next::Next;
use crate::server::{Setup, free_address, run_to_end, tool};
use crate::{pause, wait_for};

const FROM: &str = "ann@example.org";
const TO: &str = "bob@example.net";

/// A server with a listener for proxies at this address.
fn behind(next: &Next, address: SocketAddr, from: &str) -> Setup {
    Setup::new(next.address)
        .set(&format!("listener.behind.listen={address}"))
        .set("listener.behind.proxy=yes")
        .set(&format!("listener.behind.proxy_from={from}"))
        .set("server.relay_from=192.0.2.0/24, 2001:db8::/32, 127.0.0.0/8")
}

/// A client after these octets, when the server greets it.
fn greeted(address: SocketAddr, header: &[u8]) -> Client {
    let mut client = Client::silent(address).unwrap();
    client.send(header).unwrap();
    client.reply().unwrap().expect(220);
    client.command("EHLO client.example.com").expect(250);
    client
}

fn version_2(kind: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = (rest.len() as u16).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[kind, family][..], &length, rest].concat()
}

#[test]
fn the_header_says_whose_connection_it_is() {
    let (next, address) = (Next::new(), free_address());
    let setup = behind(&next, address, "127.0.0.1");
    let _server = setup.start();
    let v4 = version_2(0x21, 0x11, &[192, 0, 2, 8, 127, 0, 0, 1, 0xdc, 4, 0, 25]);
    let mut v6 = [0; 36];
    v6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    v6[15] = 9;
    for (header, client) in [
        (&b"PROXY TCP4 192.0.2.7 127.0.0.1 56324 25\r\n"[..], "[192.0.2.7]"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 25\r\n", "[IPv6:2001:db8::7]"),
        (b"PROXY UNKNOWN\r\n", "[127.0.0.1]"),
        (&v4, "[192.0.2.8]"),
        (&version_2(0x21, 0x21, &v6), "[IPv6:2001:db8::9]"),
        (&version_2(0x20, 0, &[]), "[127.0.0.1]"),
    ] {
        greeted(address, header).mail(FROM, &[TO], "Subject: x\r\n\r\nx\r\n");
        wait_for(client, || {
            next.mails().iter().any(|mail| mail.text().contains(client)).then_some(())
        });
    }
    // The relay rule is about the client, not about its proxy.
    let mut stranger = greeted(address, b"PROXY TCP4 203.0.113.7 127.0.0.1 1 25\r\n");
    stranger.command("MAIL FROM:<ann@example.org>").expect(250);
    assert_eq!(stranger.command("RCPT TO:<bob@example.net>").code / 100, 5);
    // In pieces, and with words of the client behind it in the same one.
    let mut client = Client::silent(address).unwrap();
    for octet in b"PROXY TCP4 192.0.2.7 127.0.0.1 56324 25\r" {
        client.send([*octet]).unwrap();
    }
    client.send(b"\nEHLO client.example.com\r\nNOOP\r\n").unwrap();
    for code in [220, 250, 250] {
        client.reply().unwrap().expect(code);
    }
}

#[test]
fn without_a_header_nobody_is_served() {
    let (next, address, other) = (Next::new(), free_address(), free_address());
    let setup = behind(&next, address, "127.0.0.1")
        .set(&format!("listener.strangers.listen={other}"))
        .set("listener.strangers.proxy=yes")
        .set("listener.strangers.proxy_from=192.0.2.1");
    let server = setup.start();
    for garbage in ["EHLO client.example.com\r\n", "PROXY TCP4 1.2.3.4\r\n", "\r\n\r\n\0\r\nQUIT\r"]
    {
        let mut client = Client::silent(address).unwrap();
        client.send(garbage).unwrap();
        assert_eq!(client.read_to_end(), b"", "{garbage:?}");
    }
    let mut client = Client::silent(other).unwrap();
    let words = String::from_utf8(client.read_to_end()).unwrap();
    assert!(words.starts_with("421 4.7.0 Only proxies"), "{words}");
    // The others have not noticed.
    server.ehlo().mail(FROM, &[TO], "Subject: x\r\n\r\nx\r\n");
    next.wait(1);
}

#[test]
fn listeners_have_their_own_tls_and_auth() {
    let (Some(python), authority) = (tool("python3"), Authority::new()) else { return };
    let identity = authority.sign("localhost");
    let (next, implicit, plain) = (Next::new(), free_address(), free_address());
    let setup = Setup::new(next.address)
        .set(&format!("tls.certificate={}", identity.certificate.display()))
        .set(&format!("tls.key={}", identity.key.display()))
        .set(&format!("listener.tls.listen={implicit}"))
        .set("listener.tls.tls=implicit")
        .set(&format!("listener.plain.listen={plain}"))
        .set("listener.plain.tls=none");
    let _server = setup.start();
    let script = r#"
import smtplib, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
with smtplib.SMTP_SSL("localhost", int(sys.argv[1]), context=context) as s:
    s.ehlo()
    assert not s.has_extn("starttls")
    s.sendmail("ann@example.org", ["bob@example.net"], b"Subject: implicit\r\n\r\nx\r\n")
"#;
    let port = implicit.port().to_string();
    let output = run_to_end(Command::new(python).args(["-c", script, &port]).arg(authority.file()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(next.wait(1)[0].text().contains("with ESMTPS"));
    let offered = |address| {
        let mut client = Client::connect(address).unwrap();
        client.command("EHLO client.example.com").expect(250).text.contains("STARTTLS")
    };
    assert!(offered(setup.address) && !offered(plain));
    // Who speaks in the clear there hears no word of SMTP.
    let mut clear = Client::silent(implicit).unwrap();
    clear.send("EHLO client.example.com\r\n").unwrap();
    assert!(!clear.read_to_end().starts_with(b"220"));
}

/// The header first, in the clear; then TLS; and the client is whom the header names.
#[test]
fn tls_begins_behind_the_header() {
    let (Some(python), authority) = (tool("python3"), Authority::new()) else { return };
    let identity = authority.sign("localhost");
    let (next, address) = (Next::new(), free_address());
    let setup = behind(&next, address, "127.0.0.1")
        .set(&format!("tls.certificate={}", identity.certificate.display()))
        .set(&format!("tls.key={}", identity.key.display()))
        .set("listener.behind.tls=implicit");
    let _server = setup.start();
    let script = r#"
import smtplib, socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
class Behind(smtplib.SMTP):
    def _get_socket(self, host, port, timeout):
        stream = socket.create_connection((host, port), timeout)
        stream.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 56324 25\r\n")
        return context.wrap_socket(stream, server_hostname=host)
with Behind("localhost", int(sys.argv[1])) as s:
    s.sendmail("ann@example.org", ["bob@example.net"], b"Subject: x\r\n\r\nx\r\n")
# TLS without a header is no header.
stream = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
try:
    context.wrap_socket(stream, server_hostname="localhost")
    raise SystemExit("TLS without a header")
except OSError:
    pass
"#;
    let port = address.port().to_string();
    let output = run_to_end(Command::new(python).args(["-c", script, &port]).arg(authority.file()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = next.wait(1)[0].text();
    assert!(text.contains("[192.0.2.7]") && text.contains("with ESMTPS"), "{text}");
}

/// What begins like a header and does not go on is closed after its ten seconds, without a word.
#[test]
fn a_header_that_does_not_come_is_not_waited_for() {
    let (next, address) = (Next::new(), free_address());
    let setup = behind(&next, address, "127.0.0.1").set("log.level=trace");
    let server = setup.start();
    let mut clients: Vec<Client> = (0..2).map(|_| Client::silent(address).unwrap()).collect();
    clients[1].send("PROXY TCP4 192.0.2.7 ").unwrap();
    assert!(clients.iter_mut().all(|client| client.read_to_end().is_empty()), "{}", server.log());
    wait_for("the reason", || {
        server.log().contains("the proxy sent no PROXY header in time").then_some(())
    });
}

/// Two processes on one port, each with its own spool.
#[cfg(target_os = "linux")]
#[test]
fn processes_share_a_port() {
    let (next, shared) = (Next::new(), free_address());
    let setup = |other: bool| {
        let listen = format!("listener.shared.listen={shared}");
        let setup = Setup::new(next.address).set(&listen);
        if other { setup.set("server.reuse_port=yes") } else { setup }
    };
    let (one, two) = (setup(true), setup(true));
    let (_one, _two) = (one.start(), two.start());
    let mut client = Client::connect(shared).unwrap();
    client.command("EHLO client.example.com").expect(250);
    client.mail(FROM, &[TO], "Subject: x\r\n\r\nx\r\n");
    next.wait(1);
    // Who does not want to share does not get the port.
    let output = run_to_end(&mut setup(false).command());
    assert_eq!(output.status.code(), Some(73));
}

/// HAProxy before these servers, until it is dropped.
struct Balancer {
    child: Child,
    address: SocketAddr,
}

impl Balancer {
    fn start(servers: &[SocketAddr], dir: &std::path::Path) -> Option<Balancer> {
        let program = tool("haproxy")?;
        let address = free_address();
        let mut text = format!(
            "defaults\n mode tcp\n timeout connect 2s\n timeout client 60s\n timeout server 60s\n \
             retries 3\n option redispatch\nlisten mail\n bind {address}\n balance roundrobin\n"
        );
        for (n, server) in servers.iter().enumerate() {
            let version = if n == 0 { "send-proxy" } else { "send-proxy-v2" };
            text += &format!(" server s{n} {server} {version} check inter 100ms\n");
        }
        let file = dir.join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        wait_for("a greeting through the balancer", || Client::connect(address).ok());
        Some(Balancer { child, address })
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// SMTP stores and forwards: what one server has said 250 to is in its spool when it is killed, and
/// goes out when it runs again; all else the client sends again, through the balancer to another.
#[test]
fn behind_haproxy_one_server_is_killed_and_nothing_is_lost() {
    if tool("haproxy").is_none() {
        return;
    }
    let next = Next::new();
    let ports = [free_address(), free_address()];
    let setups = ports.map(|port| behind(&next, port, "127.0.0.1"));
    let mut servers = Vec::from([setups[0].start(), setups[1].start()]);
    let Some(balancer) = Balancer::start(&ports, setups[0].dir.path()) else { return };
    let (acknowledged, over) = (Mutex::new(BTreeSet::new()), AtomicBool::new(false));
    let count = || acknowledged.lock().unwrap().len();
    thread::scope(|scope| {
        for number in 0..6 {
            let (acknowledged, over) = (&acknowledged, &over);
            scope.spawn(move || {
                for i in (0..).take_while(|_| !over.load(Ordering::SeqCst)) {
                    let name = format!("m{number}-{i}");
                    let content = format!("Subject: {name}\r\n\r\n{name}\r\n");
                    let sent = Client::connect(balancer.address).and_then(|mut client| {
                        client.try_command("EHLO client.example.com")?;
                        client.deliver(FROM, &[TO], content.as_bytes())
                    });
                    match sent {
                        Ok(reply) if reply.code == 250 => {
                            acknowledged.lock().unwrap().insert(name);
                        }
                        _ => pause(),
                    }
                }
            });
        }
        wait_for("mail through both", || (count() > 100).then_some(()));
        servers.pop().unwrap().kill();
        let before = count();
        wait_for("mail through the other", || (count() > before + 100).then_some(()));
        over.store(true, Ordering::SeqCst);
    });
    servers.push(setups[1].start());
    let arrived = || -> BTreeSet<String> {
        let subject =
            |text: String| text.split("Subject: ").nth(1)?.split("\r\n").next().map(str::to_owned);
        next.mails().iter().filter_map(|mail| subject(mail.text())).collect()
    };
    let promised = acknowledged.lock().unwrap().clone();
    wait_for("all that was acknowledged", || promised.is_subset(&arrived()).then_some(()));
    assert!(next.mails().iter().all(|mail| mail.text().contains("([127.0.0.1])")));
}
