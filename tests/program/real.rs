//! Mail sent with the programs that people use, through the built server, to a next server that
//! records. A program that is missing makes its test say `skipped`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::next::{Mail, Next};
use crate::server::{Setup, free_address, program, tool};
use crate::wait_for;

const FROM: &str = "ann@example.org";
const TO: [&str; 2] = ["bob@example.net", "eve@example.com"];

/// Dots at line starts, 8-bit text, an empty line, a long line: all that programs get wrong.
fn content() -> String {
    let long = "x".repeat(900);
    format!(
        "From: <{FROM}>\r\nTo: bob@example.net\r\nSubject: gr\u{fc}n\r\n\r\n.\r\n..\r\n.dot\r\n\
        \r\n{long}\r\nlast line\r\n"
    )
}

/// Runs a client program with this on its standard input; it must succeed.
fn run(command: &mut Command, input: &[u8]) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

#[track_caller]
fn same(mail: &Mail, content: &str) {
    assert_eq!(String::from_utf8_lossy(mail.without_trace()), content);
}

#[test]
fn curl() {
    let Some(curl) = tool("curl") else { return };
    let next = Next::new();
    let setup = Setup::new(next.address);
    let _server = setup.start();
    let mut command = Command::new(curl);
    command.args(["-sS", "--url", &format!("smtp://{}/client.example.com", setup.address)]);
    command.args(["--mail-from", FROM, "--mail-rcpt", TO[0], "--mail-rcpt", TO[1], "-T", "-"]);
    run(&mut command, content().as_bytes());
    let mails = next.wait(1);
    same(&mails[0], &content());
    assert!(mails[0].from.starts_with("<ann@example.org>"), "{}", mails[0].from);
    assert_eq!(mails[0].to, ["<bob@example.net>", "<eve@example.com>"]);
    let text = mails[0].text();
    let trace = text.split("From:").next().unwrap();
    assert!(trace.contains("from client.example.com ([127.0.0.1])"), "{trace}");
    assert!(trace.contains("by mx.example.org"), "{trace}");
    assert!(trace.contains("with ESMTP"), "{trace}");
    // Two recipients: neither may learn of the other.
    assert!(!trace.contains("bob@") && !trace.contains("eve@"), "{trace}");
}

#[test]
fn swaks() {
    let Some(swaks) = tool("swaks") else { return };
    let next = Next::new();
    let setup = Setup::new(next.address);
    let _server = setup.start();
    for pipeline in [false, true] {
        let mut command = Command::new(&swaks);
        command.args(["--server", "127.0.0.1", "--port", &setup.address.port().to_string()]);
        command.args(["--from", FROM, "--to", &TO.join(","), "--helo", "client.example.com"]);
        command.args(["--data", "-"]).args(pipeline.then_some("--pipeline"));
        let said = run(&mut command, b"Subject: swaks\n\n.dot\nbody\n");
        assert!(said.contains("queued as"), "{said}");
    }
    for mail in next.wait(2) {
        assert!(mail.text().contains("Subject: swaks\r\n\r\n.dot\r\nbody\r\n"), "{}", mail.text());
        assert_eq!(mail.to.len(), 2);
    }
}

#[test]
fn python_smtplib() {
    let Some(python) = tool("python3") else { return };
    let next = Next::new();
    let setup = Setup::new(next.address);
    let _server = setup.start();
    let script = r#"
import smtplib, sys
from email.message import EmailMessage
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), local_hostname="client.example.com") as s:
    # An address that breaks the grammar is refused alone.
    both = ["bob@example.net", "bob@@example"]
    refused = s.sendmail("ann@example.org", both, "Subject: 1\n\n.x\n")
    assert list(refused) == ["bob@@example"] and 500 <= refused["bob@@example"][0] < 560, refused
    m = EmailMessage()
    m["From"], m["To"], m["Subject"] = "ann@example.org", "gr\u00fcn@example.net", "\u65e5\u672c"
    m.set_content("body\n")
    s.send_message(m)
    assert s.verify("bob")[0] == 252 and s.docmd("EXPN x")[0] == 502 and s.noop()[0] == 250
    assert s.help()
    body = b"y" * 700 + b"\r\n" * 3000
    s.sendmail("ann@example.org", ["bob@example.net"], b"Subject: 3\r\n\r\n" + body)
print(refused)
"#;
    let mut command = Command::new(python);
    run(command.args(["-c", script, &setup.address.port().to_string()]), b"");
    let mails = next.wait(3);
    let with = |what: &str| mails.iter().find(|m| m.text().contains(what)).unwrap();
    assert_eq!(with("Subject: 1\r\n\r\n.x\r\n").to, ["<bob@example.net>"]);
    let utf8 = with("UTF8SMTP");
    assert!(utf8.from.contains("SMTPUTF8"), "{}", utf8.from);
    assert_eq!(utf8.to, ["<gr\u{fc}n@example.net>"]);
    assert!(with("Subject: 3").content.len() > 6000);
}

#[test]
fn msmtp() {
    let Some(msmtp) = tool("msmtp") else { return };
    let next = Next::new();
    let setup = Setup::new(next.address);
    let _server = setup.start();
    let mut command = Command::new(msmtp);
    command.args(["--host=127.0.0.1", &format!("--port={}", setup.address.port())]);
    command.args(["--auth=off", "--tls=off", &format!("--from={FROM}"), TO[0], TO[1]]);
    let content = content();
    run(&mut command, content.replace("\r\n", "\n").as_bytes());
    let mails = next.wait(1);
    let (_, body) = content.split_once("\r\n\r\n").unwrap();
    assert!(mails[0].text().ends_with(body));
    assert_eq!(mails[0].to.len(), 2);
}

/// Many sessions at once, new connections and kept ones: each message arrives once, the next
/// server sees no more connections than `next_server.connections`.
#[test]
fn smtp_source() {
    let Some(source) = tool("smtp-source") else { return };
    let next = Next::new();
    let setup = Setup::new(next.address);
    let _server = setup.start();
    for (flags, count) in [(&["-s", "20", "-l", "4096"][..], 300), (&["-d", "-s", "5"][..], 200)] {
        let before = next.count();
        let mut command = Command::new(&source);
        command.args(flags).args(["-m", &count.to_string(), "-f", FROM, "-t", TO[0]]);
        run(command.arg(setup.address.to_string()), b"");
        next.wait(before + count);
    }
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
    let mails = next.mails();
    assert_eq!(mails.len(), 500, "messages arrived twice");
    assert!(next.most_open() <= 8, "{} connections at once", next.most_open());
    assert!(next.connections() < 250, "{} connections: none was kept", next.connections());
}

/// Postfix's sink as the next server.
#[test]
fn smtp_sink() {
    let (Some(sink), Some(source)) = (tool("smtp-sink"), tool("smtp-source")) else { return };
    let address = free_address();
    let setup = Setup::new(address);
    let kept = setup.dir.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let mut command = Command::new(sink);
    if Command::new("id").arg("-u").output().unwrap().stdout == b"0\n" {
        command.args(["-u", "root"]);
    }
    command.args(["-d", &format!("{}/m.", kept.display()), &address.to_string(), "100"]);
    let mut sink = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let server = setup.start();
    let mut command = Command::new(source);
    command.args(["-s", "5", "-m", "50", "-l", "3000", "-f", FROM, "-t", TO[0]]);
    run(command.arg(setup.address.to_string()), b"");
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
    sink.kill().unwrap();
    sink.wait().unwrap();
    let files: Vec<_> = std::fs::read_dir(&kept).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 50, "{}", server.log());
}

/// `mailflux send` to the server, `mailflux sink` behind it: a message's whole way with no program
/// but ours.
#[test]
fn send_and_sink() {
    let address = free_address();
    let setup = Setup::new(address);
    let store = setup.dir.path().join("received");
    let mut sink = program();
    sink.args(["sink", &address.to_string(), "--store"]).arg(&store);
    let mut sink = sink.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let ini = setup.dir.path().join("mailflux.ini");
    let listen = format!("[server]\nhostname = mx.example.org\nlisten = {}\n", setup.address);
    std::fs::write(ini, listen).unwrap();
    let server = setup.start();
    let send = |args: &[&str], input: &str| {
        let mut command = program();
        run(command.arg("send").args(args).current_dir(setup.dir.path()), input.as_bytes());
    };
    send(&["-f", FROM, TO[0]], "Subject: one\n\n.dot\nbody\n");
    // As cron calls it.
    send(
        &["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", FROM],
        "To: bob@example.net\nBcc: eve@example.com\nSubject: two\n\n.\nbody\n",
    );
    let mails = wait_for("two messages in the Maildir", || {
        let mails = maildir(&store);
        (mails.len() >= 2).then_some(mails)
    });
    sink.kill().unwrap();
    sink.wait().unwrap();
    let with = |what: &str| mails.iter().find(|m| m.contains(what)).expect(what);
    let one = with("Subject: one");
    assert!(one.contains("Date: ") && one.contains("Message-ID: "), "{one}");
    assert!(one.replace("\r\n", "\n").ends_with("\n\n.dot\nbody\n"), "{one}");
    // The sink notes the envelope above the trace; Bcc may not show below.
    let two = with("Subject: two").split("Received: ").last().unwrap();
    assert!(!two.contains("eve@"), "Bcc leaks: {two}\n{}", server.log());
    assert!(two.replace("\r\n", "\n").ends_with("\n\n.\nbody\n"), "{two}");
}

/// The messages in a Maildir.
fn maildir(store: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(store.join("new")) else { return Vec::new() };
    entries.map(|e| std::fs::read_to_string(e.unwrap().path()).unwrap()).collect()
}

/// The figures of docs/performance.md can be had by anyone; here only that they come.
#[test]
fn bench() {
    let (Some(python), Some(_)) = (tool("python3"), tool("smtp-source")) else { return };
    if !cfg!(target_os = "linux") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/bench"));
    command.args(["mailflux", "--rounds", "1", "--messages", "50", "--large", "0", "--idle", "3"]);
    command.args(["--mailflux", env!("CARGO_BIN_EXE_mailflux"), "--scratch"]).arg(scratch.path());
    let path = std::env::var("PATH").unwrap_or_default();
    let table = run(command.env("PATH", format!("{path}:/usr/sbin")), b"");
    for figure in ["new | delivered msg/s", "kept | accepted msg/s", "parallel | p99 ms"] {
        assert!(table.contains(&format!("| mailflux | {figure} |")), "{table}");
    }
}
