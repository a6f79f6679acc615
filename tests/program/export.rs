//! `export`: what was recorded becomes a file of the process that asks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::dialogs::play;
use crate::next::Next;
use crate::server::{Server, Setup, run_to_end, tool};
use crate::wait_for;

const MAIL: &str = "Subject: x\r\n\r\n.dot\r\n";

/// A server through which one message went; and a second session that was refused something.
fn after_one_message(next: &Next) -> (Setup, Server) {
    let setup = Setup::new(next.address);
    let server = setup.start();
    server.ehlo().mail("ann@example.org", &["bob@example.net"], MAIL);
    let mut client = server.ehlo();
    client.command("BOGUS").expect(500);
    client.command("QUIT").expect(221);
    wait_for("the delivery", || {
        let sessions = setup.say(&["sessions", "last=1m"]);
        let delivered = setup.say(&["session", "o1"]).contains("delivered");
        (delivered && sessions.contains("i3") && sessions.contains("ended")).then_some(())
    });
    (setup, server)
}

fn read(setup: &Setup, name: &str) -> String {
    fs::read_to_string(setup.dir.path().join(name)).unwrap()
}

#[test]
fn a_session_is_exported_as_text_and_json_with_both_legs() {
    let next = Next::new();
    let (setup, _server) = after_one_message(&next);
    let said = setup.say(&["export", "i2", "text", "out.txt"]);
    let text = read(&setup, "out.txt");
    assert_eq!(said, format!("out.txt: {} octets\n", text.len()));
    for words in [
        "# MailFlux transcript of i2",
        "i2     -> MAIL FROM:<ann@example.org>",
        "i2    === q1 accepted from=<ann@example.org> nrcpts=1",
        "o1    === q1 attempt nrcpts=1",
        "o1     -> RCPT TO:<bob@example.net>",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let mode = fs::metadata(setup.dir.path().join("out.txt")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let (code, _, err) = setup.ctl(&["export", "i2", "text", "out.txt"]);
    assert_eq!(code, 1);
    assert!(err.contains("out.txt exists; choose another name"), "{err}");
    assert_eq!(read(&setup, "out.txt"), text);
    let (code, _, err) = setup.ctl(&["export", "i2", "text", "no/such/folder"]);
    assert!(code == 1 && err.contains("cannot write no/such/folder"), "{err}");

    // A message is exported by its own id after it has left the queue, too.
    setup.say(&["export", "q1", "json", "a file"]);
    let json: Value = serde_json::from_str(&read(&setup, "a file")).unwrap();
    let conversations = json["conversations"].as_array().unwrap();
    let legs: Vec<&str> = conversations.iter().map(|c| c["leg"].as_str().unwrap()).collect();
    assert_eq!(legs, ["in", "out"]);
    assert_eq!(conversations[1]["next"], "default");
    assert_eq!(conversations[1]["peer"], next.address.to_string());
    let out = setup.say(&["--json", "export", "i3", "text", "third"]);
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["octets"], read(&setup, "third").len());
    for (wrong, words) in [
        (["export", "i99", "text", "x"], "session i99 is not known"),
        (["export", "q99", "pcap", "x"], "nothing is known of q99"),
        (["export", "q99", "eml", "x"], "no message q99 is in the queue"),
        (["export", "i2", "eml", "x"], "only a message is exported as eml"),
        (["export", "o1", "dialog", "x"], "a dialog test is made of an inbound session"),
        (["export", "i2", "html", "x"], "column 11: unknown 'html'"),
    ] {
        let (code, _, err) = setup.ctl(&wrong);
        assert!(code == 1 && err.contains(words), "{wrong:?}: {err}");
    }
    assert!(!setup.dir.path().join("x").exists());
}

#[test]
fn a_message_in_the_spool_is_exported_as_it_is_whatever_its_size() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    setup.say(&["next", "pause", "default"]);
    let body = format!("Subject: big\r\n\r\n{}", "0123456789\r\n".repeat(100_000));
    server.ehlo().mail("ann@example.org", &["bob@example.net"], &body);
    setup.say(&["export", "q1", "eml", "big.eml"]);
    let eml = read(&setup, "big.eml");
    assert!(eml.starts_with("Received: ") && eml.ends_with(&body), "{}", eml.len());
    // A capture of it shows its octets.
    setup.say(&["export", "q1", "pcap", "big.pcap"]);
    let capture = fs::read(setup.dir.path().join("big.pcap")).unwrap();
    assert!(capture.len() > eml.len());
}

/// Wireshark's dissector reads the commands, the replies and the content, and finds every sum
/// right.
#[test]
fn wireshark_reads_a_capture() {
    let Some(tshark) = tool("tshark") else { return };
    let next = Next::new();
    let (setup, _server) = after_one_message(&next);
    let said = setup.say(&["export", "i2", "pcap", "out.pcap"]);
    assert!(said.contains("with the server at port 25"), "{said}");
    let read = |args: &[&str]| {
        let mut command = Command::new(&tshark);
        command.args(["-r", "out.pcap", "-o", "tcp.check_checksum:TRUE"]);
        command.args(["-o", "ip.check_checksum:TRUE"]).args(args).current_dir(setup.dir.path());
        String::from_utf8(run_to_end(&mut command).stdout).unwrap()
    };
    let fields = |name: &str| read(&["-Y", name, "-T", "fields", "-e", name]);
    let commands = fields("smtp.req.command");
    let words: Vec<&str> = commands.split_whitespace().collect();
    let one = ["EHLO", "MAIL", "RCPT", "DATA"];
    assert_eq!(words[..4], one, "{commands}");
    assert!(words[4..].windows(2).any(|w| w == ["MAIL", "RCPT"]), "{commands}");
    assert!(fields("smtp.response.code").contains("354"));
    let bad = read(&["-Y", "tcp.analysis.flags || tcp.checksum.status == 0 || _ws.malformed"]);
    assert_eq!(bad, "");
    // The content is seen as a message.
    assert!(fields("imf.subject").contains("content that is not recorded"));
}

/// A recorded session is a dialog that another server has in the same way.
#[test]
fn a_session_becomes_a_dialog_test() {
    let next = Next::new();
    let (setup, server) = after_one_message(&next);
    let mut client = server.ehlo();
    client.command("RCPT TO:<bob@example.net>").expect(503);
    client.mail("ann@example.org", &["bob@example.net", "eve@example.com"], MAIL);
    client.command("MAIL FROM:<>").expect(250);
    client.command("RSET").expect(250);
    client.command("QUIT").expect(221);
    drop(client);
    wait_for("the end of the session", || {
        setup.say(&["session", "i4"]).contains("closed").then_some(())
    });
    for id in ["i2", "i3", "i4"] {
        setup.say(&["export", id, "dialog", &format!("{id}.smtp")]);
        play(&format!("{id}.smtp"), &read(&setup, &format!("{id}.smtp")));
    }
}
