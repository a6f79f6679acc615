//! A student who does what the tutor says, against the built program: each lesson can be done.

use mailflux::journal::{Side, Sign};
use mailflux::tutor::Tutor;

use crate::client::Client;
use crate::next::Next;
use crate::server::Setup;

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
