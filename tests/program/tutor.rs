//! A student who does what the tutor says, against the built program: each lesson can be done, and
//! `tutor` can be spoken with.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Stdio};

use mailflux::journal::{Side, Sign};
use mailflux::tutor::Tutor;

use crate::certs::Authority;
use crate::client::Client;
use crate::next::Next;
use crate::pty::Terminal;
use crate::server::{Setup, free_address, program};
use crate::wait_for;

/// What the tutor wants typed: the indented lines of its hint.
fn to_type(tutor: &Tutor) -> Vec<String> {
    let hint = tutor.hint();
    let lines = hint.iter().filter_map(|line| line.strip_prefix("    "));
    lines.map(|line| if line == "(an empty line)" { String::new() } else { line.into() }).collect()
}

fn hear(tutor: &mut Tutor, side: Side, text: &str) -> String {
    tutor.hear(Sign::Said { side, tls: false }, text.as_bytes()).join("\n")
}

/// Reads a reply and lets the tutor hear it.
fn reply(client: &mut Client, tutor: &mut Tutor) -> String {
    let text = client.reply().unwrap().text;
    text.lines().map(|line| hear(tutor, Side::Server, line)).collect()
}

/// Types one step; what the tutor said to its reply.
fn step(client: &mut Client, tutor: &mut Tutor) -> String {
    let lines = to_type(tutor);
    for (i, line) in lines.iter().enumerate() {
        client.send(format!("{line}\r\n")).unwrap();
        let is_chunk = i > 0 && lines[0].starts_with("BDAT");
        let shown = if is_chunk { "[7 octets of content]" } else { line };
        hear(tutor, Side::Client, shown);
    }
    reply(client, tutor)
}

#[test]
fn every_lesson_can_be_done() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let _server = setup.start();
    for number in 1..=Tutor::titles().count() {
        let mut tutor = Tutor::at_lesson(number).unwrap();
        let mut client = Client::silent(setup.address).unwrap();
        tutor.connected();
        reply(&mut client, &mut tutor);
        let over = |said: &str| {
            said.contains(&format!("Lesson {} of", number + 1)) || said.contains("all lessons")
        };
        for steps in 1.. {
            let wanted = tutor.hint();
            let said = step(&mut client, &mut tutor);
            if over(&said) {
                break;
            }
            assert_ne!(tutor.hint(), wanted, "lesson {number} does not go on: {said}");
            assert!(steps < 30);
        }
    }
    // One message from the first lesson, two recipients of the third, one without a dot.
    next.wait(3);
}

fn begin(setup: &Setup, args: &[&str]) -> Child {
    let mut command = program();
    command.args(["ctl", "--socket", "spool/control.sock", "tutor"]).args(args);
    command.current_dir(setup.dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// What comes of lines that are all typed at once.
fn typed(setup: &Setup, args: &[&str], lines: &str) -> String {
    let mut tutor = begin(setup, args);
    tutor.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let mut said = String::new();
    tutor.stdout.as_mut().unwrap().read_to_string(&mut said).unwrap();
    assert!(tutor.wait().unwrap().success(), "{said}");
    said
}

fn in_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let (_, behind) = rest.split_once(word).unwrap_or_else(|| panic!("no '{word}' in {rest}"));
        rest = behind;
    }
}

const MESSAGE: &str = "EHLO student.example\nMAIL FROM:<ann@example.org>\n\
    RCPT TO:<bob@example.net>\nDATA\nSubject: hello\n\nhint\nMy first.\n.\n";

#[test]
fn a_session_is_spoken_line_by_line() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let _server = setup.start();
    // Lines before the greeting wait; the end of the input leaves.
    let said = typed(&setup, &[], &format!("{MESSAGE}explain 250\nSTARTTLS\nQUIT\n"));
    in_order(
        &said,
        &[
            "Lesson 1 of 4",
            "(Enter connects) EHLO student.example",
            "<- 220 mx.example.org",
            "<- 250-mx.example.org",
            "smtp: MAIL FROM:<ann@example.org>",
            "A transaction is open now.",
            "smtp: DATA",
            "<- 354",
            "text: hint",
            "'hint' is in the message now",
            "text: .",
            "This is the 250 that counts.",
            "250 (reply code; also: OK)",
            "Not sent: this server offers no STARTTLS",
            "221, and the connection is closed.",
            "Lesson 2 of 4",
            "You have left the tutor.",
        ],
    );
    // The next server is on this machine: practice arrives there.
    let text = next.wait(1)[0].text();
    assert!(text.contains("\r\nSubject: hello\r\n\r\nhint\r\nMy first.\r\n"), "{text}");
    let said = typed(&setup, &["2"], "\nRCPT TO:<bob@example.net>\nlesson 4\nskip\nquit\nEHLO x\n");
    in_order(
        &said,
        &["Lesson 2 of 4", "** RCPT before ", "503: a good command", "Without the dot"],
    );
    assert!(said.contains("all lessons") && !said.contains("EHLO x"), "{said}");
    assert_eq!(setup.ctl(&["tutor", "9"]).2, "there are lessons 1 to 4\n");
}

/// With a certificate STARTTLS is really said: both sides shake hands, and EHLO is answered anew.
#[test]
fn a_student_goes_on_inside_tls() {
    let next = Next::new();
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    let setup = Setup::new(next.address)
        .set(&format!("tls.certificate={}", identity.certificate.display()))
        .set(&format!("tls.key={}", identity.key.display()));
    let _server = setup.start();
    let lines = format!("EHLO student.example\nSTARTTLS\n{MESSAGE}STARTTLS\nQUIT\n");
    let said = typed(&setup, &[], &lines);
    in_order(
        &said,
        &[
            "<- 250 STARTTLS",
            "smtp: STARTTLS",
            "<- 220 2.0.0",
            "Both sides have shaken hands: TLS 1.3",
            "smtp: EHLO student.example",
            "<~ 250-mx.example.org",
            "gone is STARTTLS; new is",
            "smtp: MAIL FROM:<ann@example.org>",
            "<~ 250 2.1.0",
            "This is the 250 that counts.",
            "smtp: STARTTLS",
            "** STARTTLS inside TLS",
            "<~ 503 5.5.1",
            "221, and the connection is closed.",
        ],
    );
    assert!(next.wait(1)[0].text().contains("with ESMTPS\r\n"), "{}", next.wait(1)[0].text());
    let used = setup.say(&["analyse", "tls", "last=1h"]);
    assert!(used.starts_with("in   1 of ") && used.contains("TLS 1.3, TLS13_"), "{used}");
    assert!(setup.say(&["show", "q1", "attempts"]).contains(", TLS 1.3, "));
    // A server that takes the offer back says so, and all goes on in the clear.
    setup.say(&["fault", "add", "starttls", "reply=454 4.7.0 not now", "leg=in"]);
    let said = typed(&setup, &[], "EHLO student.example\nSTARTTLS\nNOOP\nQUIT\n");
    in_order(&said, &["smtp: STARTTLS", "454 4.7.0 not now", "smtp: NOOP", "<- 250 "]);
}

/// BDAT has no reply until all of its octets have come.
#[test]
fn the_server_may_wait_for_more() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let _server = setup.start();
    let lines = "EHLO x\nMAIL FROM:<ann@example.org>\nRCPT TO:<bob@example.net>\n\
        BDAT 7 LAST\nhello\nVRFY bob\nQUIT\nquit\n";
    let said = typed(&setup, &["4"], lines);
    in_order(&said, &["Seven octets, no dot", "252: it does not say", "done all lessons"]);
    // The prompt is that of a session that is over.
    assert!(said.contains("(Enter connects) quit"), "{said}");
    next.wait(1);
}

#[test]
fn practice_reaches_nobody() {
    // Nobody listens, and it is not this machine.
    let setup = Setup::new("192.0.2.1:25".parse().unwrap());
    let _server = setup.start();
    let mut tutor = begin(&setup, &[]);
    let mut stdin = tutor.stdin.take().unwrap();
    stdin.write_all(MESSAGE.as_bytes()).unwrap();
    let queue = || setup.say(&["queue"]);
    wait_for("the message", || queue().contains("1 message").then_some(()));
    assert!(queue().contains("held"), "{}", queue());
    stdin.write_all(b"show q1 raw\nquit\n").unwrap();
    let mut said = String::new();
    tutor.stdout.as_mut().unwrap().read_to_string(&mut said).unwrap();
    assert!(tutor.wait().unwrap().success());
    in_order(&said, &["No mail leaves the lesson: q1 is held", "My first."]);
    wait_for("the end of the practice", || queue().contains("no messages").then_some(()));

    // A student who is torn away leaves nothing either.
    let mut tutor = begin(&setup, &[]);
    tutor.stdin.as_mut().unwrap().write_all(MESSAGE.as_bytes()).unwrap();
    wait_for("the message", || queue().contains("1 message").then_some(()));
    tutor.kill().unwrap();
    tutor.wait().unwrap();
    wait_for("the end of the practice", || queue().contains("no messages").then_some(()));
    wait_for("the end of the session", || {
        setup.say(&["sessions"]).contains("no sessions").then_some(())
    });
}

#[test]
fn a_session_with_telnet_is_watched() {
    let setup = Setup::new(free_address());
    let _server = setup.start();
    let mut tutor = begin(&setup, &[]);
    let mut stdin = tutor.stdin.take().unwrap();
    let mut said = BufReader::new(tutor.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut until = |words: &str| {
        let found = said.find(|line| line.contains(words));
        found.unwrap_or_else(|| panic!("no '{words}'"))
    };
    stdin.write_all(b"watch\n").unwrap();
    until("telnet 127.0.0.1 ");
    until("is taken for");
    let mut client = Client::connect(setup.address).unwrap();
    until("Your session is i");
    client.command("RCPT TO:<bob@example.net>").expect(503);
    until("-> RCPT TO:<bob@example.net>");
    until("** RCPT before ");
    drop(client);
    until("Connect again");
    stdin.write_all(b"watch i999\nquit\n").unwrap();
    until("No inbound session i999 goes on.");
    until("You have left");
    assert!(tutor.wait().unwrap().success());
}

#[test]
fn the_console_has_a_tutor() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let _server = setup.start();
    let mut terminal = Terminal::new(80, 24);
    let mut command = program();
    command.args(["attach", "--socket", "spool/control.sock"]).current_dir(setup.dir.path());
    command.env("TERM", "xterm");
    let mut console = terminal.start(command.env("XDG_STATE_HOME", setup.dir.path()));
    terminal.shows("Ctrl-D leaves it running");
    terminal.send("tutor\r");
    terminal.shows("(Enter connects)");
    terminal.send("\r");
    terminal.shows("smtp: ");
    terminal.send("RCPT TO:<x@example.net>\r");
    terminal.shows("** RCPT before ");
    terminal.shows("<- 503 5.5.1");
    // Leaving it leaves the console where it was.
    terminal.send("\x04");
    terminal.shows("You have left the tutor.");
    terminal.send("\x04");
    assert_eq!(console.ends(&mut terminal).code(), Some(0));
}
