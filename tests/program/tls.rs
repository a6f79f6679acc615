//! TLS from clients: with the programs that people use, and with clients that lie.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::certs::{Authority, Identity};
use crate::client::Client;
use crate::next::Next;
use crate::server::{Setup, program, run_to_end, tool};
use crate::wait_for;

const FROM: &str = "ann@example.org";
const TO: &str = "bob@example.net";

/// A server that offers STARTTLS.
fn setup(next: &Next, identity: &Identity) -> Setup {
    Setup::new(next.address)
        .set(&format!("tls.certificate={}", identity.certificate.display()))
        .set(&format!("tls.key={}", identity.key.display()))
        .set("log.level=trace")
}

/// Runs a program that must end well; what it said.
fn run(command: &mut Command) -> String {
    let output = run_to_end(command);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

#[test]
fn programs_that_speak_starttls() {
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    let next = Next::new();
    let setup = setup(&next, &identity);
    let server = setup.start();
    let port = setup.address.port().to_string();
    let file = setup.dir.path().join("message");
    std::fs::write(&file, "Subject: tls\r\n\r\n.dot\r\nbody\r\n").unwrap();
    let mut count = 0;
    if let Some(curl) = tool("curl") {
        let mut command = Command::new(curl);
        command.args(["-sS", "--ssl-reqd", "--cacert"]).arg(authority.file());
        command.args(["--url", &format!("smtp://localhost:{port}/client.example.com")]);
        command.args(["--mail-from", FROM, "--mail-rcpt", TO, "-T"]).arg(&file);
        run(&mut command);
        count += 1;
    }
    if let Some(swaks) = tool("swaks") {
        let mut command = Command::new(swaks);
        command.args(["--server", "127.0.0.1", "--port", &port, "--tls", "--from", FROM]);
        let output = run_to_end(command.args(["--to", TO, "--body", "x"]));
        let said = String::from_utf8_lossy(&output.stdout);
        // Its TLS is a package of its own.
        if String::from_utf8_lossy(&output.stderr).contains("requires Net::SSLeay") {
            eprintln!("skipped: swaks has no TLS here");
        } else {
            assert!(said.contains("TLS started with cipher"), "{said}");
            assert!(said.contains("queued as"), "{said}");
            count += 1;
        }
    }
    if let Some(python) = tool("python3") {
        let script = r#"
import smtplib, ssl, sys
for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    context = ssl.create_default_context(cafile=sys.argv[2])
    context.minimum_version = context.maximum_version = version
    with smtplib.SMTP("localhost", int(sys.argv[1]), local_hostname="client.example.com") as s:
        s.ehlo()
        assert s.has_extn("starttls")
        assert s.starttls(context=context)[0] == 220
        s.ehlo()
        assert not s.has_extn("starttls")
        assert s.docmd("STARTTLS")[0] == 503
        body = b"Subject: large\r\n\r\n" + b"0123456789abcde\r\n" * 60000
        s.sendmail("ann@example.org", ["bob@example.net"], body)
"#;
        let mut command = Command::new(python);
        run(command.args(["-c", script, &port]).arg(authority.file()));
        count += 2;
    }
    if let Some(msmtp) = tool("msmtp") {
        let mut command = Command::new(msmtp);
        command.args(["--host=localhost", &format!("--port={port}"), "--auth=off", "--tls=on"]);
        command.arg(format!("--tls-trust-file={}", authority.file().display()));
        command.args([&format!("--from={FROM}"), TO]);
        let output = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().map(|mut c| {
            c.stdin.take().unwrap().write_all(b"Subject: m\n\nm\n").unwrap();
            c.wait_with_output().unwrap()
        });
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        count += 1;
    }
    for mail in next.wait(count) {
        assert!(mail.text().contains("with ESMTPS"), "{}", mail.text());
    }
    let log = server.log();
    if count > 0 {
        assert!(log.contains("~> MAIL FROM:<ann@example.org>") && log.contains("<~ 250 2.1.0"));
        assert!(log.contains("TLS 1.3, TLS13_"), "{log}");
    }
}

/// openssl's client, which says what it saw.
#[test]
fn openssl_s_client() {
    let Some(openssl) = tool("openssl") else { return };
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    let next = Next::new();
    let setup = setup(&next, &identity);
    let _server = setup.start();
    for version in ["-tls1_2", "-tls1_3"] {
        let mut command = Command::new(&openssl);
        command.args(["s_client", "-connect", &setup.address.to_string(), "-starttls", "smtp"]);
        command.args([version, "-verify_return_error", "-servername", "localhost", "-CAfile"]);
        command.arg(authority.file()).args(["-crlf", "-quiet"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // In one piece: pipelined inside TLS.
        let words = format!(
            "EHLO client.example.com\nMAIL FROM:<{FROM}>\nRCPT TO:<{TO}>\nDATA\nSubject: o\n\n\
             body\n.\nQUIT\n"
        );
        input.write_all(words.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("queued as") && said.contains("221 2.0.0"), "{said}{errors}");
        drop(input);
    }
    next.wait(2);
}

/// What stands in the pipeline behind STARTTLS came in the clear: it is never run, neither before
/// nor after the handshake.
#[test]
fn what_is_pipelined_behind_starttls_never_runs() {
    let Some(python) = tool("python3") else { return };
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    let next = Next::new();
    let setup = setup(&next, &identity);
    let server = setup.start();
    let script = r#"
import socket, ssl, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def line(f):
    return f.readline().decode()
f = s.makefile("rb")
assert line(f).startswith("220")
s.sendall(b"EHLO evil.example\r\n")
while line(f)[3] != " ": pass
s.sendall(b"STARTTLS\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<bob@example.net>\r\n")
assert line(f).startswith("220")
context = ssl.create_default_context(cafile=sys.argv[2])
t = context.wrap_socket(s, server_hostname="localhost")
f = t.makefile("rb")
# The session began anew: nothing is known of EHLO, MAIL or RCPT.
for command, code in ((b"DATA", "503"), (b"RCPT TO:<bob@example.net>", "503"),
                      (b"MAIL FROM:<ann@example.org>", "503"), (b"NOOP", "250"), (b"QUIT", "221")):
    t.sendall(command + b"\r\n")
    answer = line(f)
    assert answer.startswith(code), (command, answer)
"#;
    let mut command = Command::new(python);
    run(command.args(["-c", script, &setup.address.port().to_string()]).arg(authority.file()));
    assert!(server.log().contains("octets behind STARTTLS were dropped unread"));
    assert!(!server.log().contains("evil@example.org"), "{}", server.log());
}

/// A connection that is cut in the middle of the content, without TLS's own end: what came is no
/// message, even where it looks like one.
#[test]
fn content_without_close_notify_is_unfinished() {
    let Some(python) = tool("python3") else { return };
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    let next = Next::new();
    let setup = setup(&next, &identity);
    let server = setup.start();
    let script = r#"
import smtplib, ssl, sys, socket
context = ssl.create_default_context(cafile=sys.argv[2])
s = smtplib.SMTP("localhost", int(sys.argv[1]))
s.starttls(context=context)
s.ehlo(); s.mail("ann@example.org"); s.rcpt("bob@example.net"); s.docmd("DATA")
s.send("Subject: cut\r\n\r\nhalf\r\n")
s.sock.shutdown(socket.SHUT_WR)
assert s.sock.recv(100) == b"", "an answer to half a message"
"#;
    let mut command = Command::new(python);
    run(command.args(["-c", script, &setup.address.port().to_string()]).arg(authority.file()));
    wait_for("the end in the log", || server.log().contains("no close_notify").then_some(()));
    assert!(next.mails().is_empty() && setup.queue_files().is_empty());
}

#[test]
fn a_client_that_does_not_speak_tls_after_all() {
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    let next = Next::new();
    let setup = setup(&next, &identity);
    let server = setup.start();
    let mut client = server.ehlo();
    client.command("STARTTLS").expect(220);
    client.send("MAIL FROM:<ann@example.org>\r\n").unwrap();
    // An alert, then the end: no word of SMTP.
    let rest = client.read_to_end();
    assert!(rest.len() < 20 && !rest.starts_with(b"250"), "{rest:?}");
    let words = "the client speaks in the clear where TLS comes first";
    wait_for(words, || server.log().contains(words).then_some(()));
    // And one that says nothing costs the others nothing.
    let mut silent = server.ehlo();
    silent.command("STARTTLS").expect(220);
    server.ehlo().mail(FROM, &[TO], "Subject: x\r\n\r\nx\r\n");
    next.wait(1);
}

/// Without a certificate there is nothing to offer.
#[test]
fn without_a_certificate_there_is_no_starttls() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    let mut client = server.connect();
    let reply = client.command("EHLO client.example.com").expect(250);
    assert!(!reply.text.contains("STARTTLS"), "{}", reply.text);
    client.command("STARTTLS").expect(502);
    let mut hello = Client::silent(setup.address).unwrap();
    hello.send([0x16, 3, 1, 0, 100, 1, 0, 0, 96, 3, 3]).unwrap();
    let rest = hello.read_to_end();
    assert!(String::from_utf8_lossy(&rest).contains("421 4.5.1"), "{rest:?}");
}

/// What certificate the server shows now, as Python sees it.
fn shown_certificate(python: &std::path::Path, setup: &Setup) -> String {
    let script = r#"
import hashlib, smtplib, ssl, sys
with smtplib.SMTP("localhost", int(sys.argv[1])) as s:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    s.starttls(context=context)
    print(hashlib.sha256(s.sock.getpeercert(True)).hexdigest())
"#;
    let port = setup.address.port().to_string();
    run(Command::new(python).args(["-c", script, &port])).trim().to_owned()
}

/// HUP reads certificate and key again; what is of no use changes nothing.
#[test]
fn a_new_certificate_is_taken_while_running() {
    let Some(python) = tool("python3") else { return };
    let authority = Authority::new();
    let (identity, renewed) = (authority.sign("localhost"), authority.sign("renewed"));
    let next = Next::new();
    let setup = setup(&next, &identity);
    let server = setup.start();
    let before = shown_certificate(&python, &setup);
    let kept = server.ehlo();
    std::fs::copy(&renewed.certificate, &identity.certificate).unwrap();
    server.signal("HUP");
    let words = "is not the key to the certificate";
    wait_for(words, || server.log().contains(words).then_some(()));
    assert_eq!(shown_certificate(&python, &setup), before);
    std::fs::copy(&renewed.key, &identity.key).unwrap();
    server.signal("HUP");
    let words = "configuration read again";
    wait_for(words, || server.log().contains(words).then_some(()));
    assert_ne!(shown_certificate(&python, &setup), before);
    drop(kept);
}

/// Another certificate by command: together with its key, never half of it.
#[test]
fn another_certificate_is_named_while_running() {
    let Some(python) = tool("python3") else { return };
    let authority = Authority::new();
    let (identity, other) = (authority.sign("localhost"), authority.sign("other.test"));
    let next = Next::new();
    let setup = setup(&next, &identity);
    let server = setup.start();
    let before = shown_certificate(&python, &setup);
    let path = |path: &std::path::Path| path.display().to_string();
    let half = ["config", "set", "tls.certificate", &path(&other.certificate)];
    let (code, _, err) = setup.ctl(&half);
    assert!(code == 1 && err.contains("is not the key to the certificate"), "{err}");
    assert_eq!(shown_certificate(&python, &setup), before);
    setup.say(&["config", "set", "tls.certificate", ""]);
    assert!(!server.connect().command("EHLO x").text.contains("STARTTLS"));
    setup.say(&["config", "set", "tls.key", &path(&other.key)]);
    setup.say(&half);
    assert_ne!(shown_certificate(&python, &setup), before);
}

/// `trace on tls` writes into the log what each handshake came to, well or not.
#[test]
fn handshakes_are_traced() {
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    let next = Next::new();
    let setup = setup(&next, &identity).set("log.level=info");
    let server = setup.start();
    let trace = |word: &str| {
        let mut command = program();
        command.args(["ctl", "--socket", "spool/control.sock", "trace", word, "tls"]);
        run(command.current_dir(setup.dir.path()))
    };
    let clear_text = || {
        let mut client = server.ehlo();
        client.command("STARTTLS").expect(220);
        client.send("MAIL FROM:<ann@example.org>\r\n").unwrap();
        client.read_to_end();
    };
    clear_text();
    assert!(!server.log().contains("TRACE"), "{}", server.log());
    trace("on");
    clear_text();
    let begins = "handshake begins after STARTTLS";
    for words in [begins, "no TLS: "] {
        wait_for(words, || server.log().contains(words).then_some(()));
    }
    trace("off");
    clear_text();
    server.connect().command("NOOP").expect(250);
    assert_eq!(server.log().matches(begins).count(), 1, "{}", server.log());
}
