//! What the ways of a message cost, in instructions of our own: figures that do not depend on the
//! speed of the machine, so that nobody makes them worse unnoticed. Counted by valgrind's
//! callgrind; where that is missing the tests say `skipped`.
//!
//! Each bound is what a message of 4 KiB, accepted and delivered, cost when it was written, in a
//! build for tests, and about half as much again: compilers differ, and a feature may cost
//! something.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::certs::Authority;
use crate::next::{Act, Next};
use crate::server::{Server, Setup, free_address, tool};

const FROM: &str = "ann@example.org";
const TO: [&str; 1] = ["bob@example.net"];

/// All instructions of a server from its start to its end, with some work between.
fn instructions(valgrind: &Path, setup: &Setup, work: impl FnOnce(&Server)) -> u64 {
    let counts = setup.dir.path().join("counts");
    let mut command = Command::new(valgrind);
    let ours = setup.command();
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", counts.display()));
    command.arg(ours.get_program()).args(ours.get_args()).current_dir(setup.dir.path());
    let mut server = setup.start_as(command);
    work(&server);
    server.signal("TERM");
    assert!(server.wait().success());
    let text = fs::read_to_string(counts).unwrap();
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total.unwrap().trim().parse().unwrap()
}

/// What each message costs: what more messages cost more. `all` are the instructions of a server
/// with so many.
fn each(all: impl Fn(usize) -> u64) -> u64 {
    let (few, many) = (10, 60);
    let start = all(few);
    (all(many) - start) / (many - few) as u64
}

/// What each message costs that is accepted in this way, and delivered.
fn each_sent(valgrind: &Path, setting: &str, send: impl Fn(&Server, usize)) -> u64 {
    each(|messages| {
        let next = Next::new();
        let setup = Setup::new(next.address).set(setting);
        instructions(valgrind, &setup, |server| {
            send(server, messages);
            next.wait(messages);
        })
    })
}

#[track_caller]
fn at_most(most: u64, each: u64) {
    println!("{each} instructions for each message");
    assert!(each < most, "{each} instructions for each message, {most} were allowed");
}

/// As the settings are without a configuration.
const USUAL: &str = "insight.history=1d, 256M";

/// Whole lines, and with the header 4 KiB, or so many times that.
fn content(times: usize) -> String {
    format!("Subject: x\r\n\r\n{}", format!("{}\r\n", "x".repeat(76)).repeat(52 * times))
}

/// One session for all.
fn kept(server: &Server, messages: usize) {
    let mut client = server.ehlo();
    for _ in 0..messages {
        client.mail(FROM, &TO, &content(1));
    }
}

#[test]
fn a_message_on_a_kept_connection() {
    let Some(valgrind) = tool("valgrind") else { return };
    at_most(400_000, each_sent(&valgrind, USUAL, kept));
}

#[test]
fn a_message_on_a_connection_of_its_own() {
    let Some(valgrind) = tool("valgrind") else { return };
    let each = each_sent(&valgrind, USUAL, |server, messages| {
        for _ in 0..messages {
            let mut client = server.ehlo();
            client.mail(FROM, &TO, &content(1));
            client.command("QUIT").expect(221);
            assert!(client.read_to_end().is_empty());
        }
    });
    at_most(520_000, each);
}

/// Half a MiB: it streams to its own file, and from there.
#[test]
fn a_large_message() {
    let Some(valgrind) = tool("valgrind") else { return };
    let each = each_sent(&valgrind, USUAL, |server, messages| {
        let mut client = server.ehlo();
        for _ in 0..messages {
            client.mail(FROM, &TO, &content(128));
        }
    });
    at_most(6_000_000, each);
}

#[test]
fn a_message_in_chunks() {
    let Some(valgrind) = tool("valgrind") else { return };
    let each = each_sent(&valgrind, USUAL, |server, messages| {
        let (mut client, content) = (server.ehlo(), content(1));
        for _ in 0..messages {
            client.command(&format!("MAIL FROM:<{FROM}>")).expect(250);
            client.command(&format!("RCPT TO:<{}>", TO[0])).expect(250);
            client.send(format!("BDAT {} LAST\r\n{content}", content.len())).unwrap();
            client.reply().unwrap().expect(250);
        }
    });
    at_most(400_000, each);
}

/// How long octets take to encrypt depends on what the processor has for it.
#[test]
fn a_message_inside_tls() {
    let Some(valgrind) = tool("valgrind") else { return };
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    let each = each(|messages| {
        let next = Next::new();
        let setup = Setup::new(next.address)
            .set(&format!("tls.certificate={}", identity.certificate.display()))
            .set(&format!("tls.key={}", identity.key.display()));
        instructions(&valgrind, &setup, |_| {
            let mut client = Secure::connect(&setup, &authority);
            client.command("EHLO client.example.com");
            for _ in 0..messages {
                client.command(&format!("MAIL FROM:<{FROM}>"));
                client.command(&format!("RCPT TO:<{}>", TO[0]));
                client.command("DATA");
                client.command(&format!("{}.", content(1)));
            }
            next.wait(messages);
        })
    });
    at_most(600_000, each);
}

/// Messages that wait already when the server starts: found in the spool, and delivered.
#[test]
fn a_message_that_waited() {
    let Some(valgrind) = tool("valgrind") else { return };
    let each = each(|messages| {
        // Nobody listens there yet.
        let address = free_address();
        let setup = Setup::new(address);
        let mut server = setup.start();
        kept(&server, messages);
        server.signal("TERM");
        assert!(server.wait().success());
        let next = Next::at(address, |_| Act::Usual);
        instructions(&valgrind, &setup, |_| {
            next.wait(messages);
        })
    });
    at_most(330_000, each);
}

/// What is written of it is seldom and in large pieces; what the system does with that is not
/// counted here.
#[test]
fn the_history_costs_less_than_five_percent() {
    let Some(valgrind) = tool("valgrind") else { return };
    let without = each_sent(&valgrind, "insight.history=0", kept);
    let with = each_sent(&valgrind, USUAL, kept);
    assert!(with < without + without / 20, "{with} instructions with it, {without} without");
}

/// A client that has said STARTTLS.
struct Secure(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Secure {
    fn connect(setup: &Setup, authority: &Authority) -> Secure {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.file()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut plain = BufReader::new(TcpStream::connect(setup.address).unwrap());
        for (command, end) in [("", "220 "), ("EHLO client\r\n", "250 "), ("STARTTLS\r\n", "220 ")]
        {
            plain.get_mut().write_all(command.as_bytes()).unwrap();
            good_reply(&mut plain, end);
        }
        Secure(BufReader::new(StreamOwned::new(tls, plain.into_inner())))
    }

    fn command(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        good_reply(&mut self.0, if line == "DATA" { "354 " } else { "250 " });
    }
}

/// Reads a reply to its last line, which must begin so.
fn good_reply(from: &mut impl BufRead, last: &str) {
    let mut line = String::new();
    while line.is_empty() || line.as_bytes().get(3) == Some(&b'-') {
        line.clear();
        assert!(from.read_line(&mut line).unwrap() > 0);
    }
    assert!(line.starts_with(last), "{line}");
}
