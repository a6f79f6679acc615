//! The dialogs of `tests/dialogs/*.smtp` once over real TCP against the built program. What became
//! of the messages is looked at where the machine is in the hand (`tests/dialogs.rs`) and by the
//! tests with real programs; here it is the conversation that must be the same.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::next::Next;
use crate::server::Setup;

#[path = "../dialogs/script.rs"]
mod script;

use script::{Dialog, Message, Server, Step};

/// A connection to the program.
struct Wire {
    stream: TcpStream,
    heard: Vec<u8>,
    ended: bool,
}

impl Wire {
    /// Reads once; false when nothing came.
    fn read(&mut self, patience: Duration) -> bool {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(n) => self.heard.extend_from_slice(&buffer[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return false;
            }
            Err(_) => self.ended = true,
        }
        !self.ended
    }
}

impl Server for Wire {
    fn say(&mut self, octets: &[u8]) {
        // A server that has closed may not hear all: what it said before is what counts.
        let _ = self.stream.write_all(octets);
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.heard.windows(2).position(|w| w == b"\r\n") {
                let mut line: Vec<u8> = self.heard.drain(..end + 2).collect();
                line.truncate(end);
                return Some(line);
            }
            if !self.read(Duration::from_secs(20)) {
                return None;
            }
        }
    }

    fn unheard(&mut self) -> Vec<u8> {
        self.read(Duration::from_millis(1));
        std::mem::take(&mut self.heard)
    }

    fn is_closed(&mut self) -> bool {
        while !self.ended && self.read(Duration::from_secs(20)) {}
        self.ended
    }

    fn message(&mut self) -> Option<Message> {
        None
    }

    fn direct(&mut self, step: &Step) {
        unreachable!("{step:?} needs the machine in the hand");
    }
}

/// Plays a dialog that a session was exported as against a server of its own. What only a machine
/// in the hand can be told, and what was kept, is left out.
pub fn play(name: &str, text: &str) {
    let mut dialog = Dialog::parse(name, text);
    assert!(dialog.steps.len() > 3, "{text}");
    dialog.steps.retain(|(_, step)| !matches!(step, Step::Message(_) | Step::Verdict(..)));
    let next = Next::new();
    let setup = Setup::new(next.address);
    let _server = setup.start();
    let stream = TcpStream::connect(setup.address).unwrap();
    let mut wire = Wire { stream, heard: Vec::new(), ended: false };
    dialog.play(&mut wire, "over TCP");
}

#[test]
fn over_tcp() {
    let next = Next::new();
    let mut played = 0;
    for mut dialog in script::all().into_iter().filter(|d: &Dialog| !d.needs_machine()) {
        dialog.steps.retain(|(_, step)| !matches!(step, Step::Message(_)));
        let mut setup = Setup::new(next.address).set("server.hostname=mx.example.net");
        for (name, value) in &dialog.settings {
            setup = setup.set(&format!("server.{name}={value}"));
        }
        let _server = setup.start();
        let stream = TcpStream::connect(setup.address).unwrap();
        let mut wire = Wire { stream, heard: Vec::new(), ended: false };
        dialog.play(&mut wire, "over TCP");
        played += 1;
    }
    assert!(played >= 40, "{played} dialogs");
}
