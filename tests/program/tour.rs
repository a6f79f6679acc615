//! docs/tour: each chapter's commands, one after the other, against a server of its own, as a
//! student has it: with the built-in sink behind it, in a folder with a mailflux.ini; and each
//! chapter's exercise with the demonstration, against one.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::questions::{missing, run, walk};
use crate::server::{Setup, free_address, program};
use crate::{PATIENCE, wait_for};

/// What tells an exercise with the demonstration from the rest of a chapter.
const TO_DEMO: &str = "--socket demo.sock ";

/// The demonstration; it ends as with Ctrl-C, so that it takes its folder and its client with it.
struct Demo(Child);

impl Demo {
    /// Starts it as the tour's README does, under the name that the pages have, and waits until
    /// mail has passed.
    fn start(setup: &Setup) -> Demo {
        let mut command = program();
        command.args(["--demo", "--headless", "-s", "server.control=demo.sock"]);
        command.args(["-s", "server.hostname=mx.example.org", "-l", &free_address().to_string()]);
        command.current_dir(setup.dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let demo = Demo(command.spawn().unwrap());
        wait_for("the demonstration's mail", || {
            let (code, said) = run(setup, "mailflux ctl --socket demo.sock status");
            (code == Some(0) && !said.contains(" 0 delivered")).then_some(())
        });
        demo
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
        let _ = self.0.wait();
    }
}

/// The chapters, in order.
fn chapters() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tour");
    let mut all: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    all.retain(|path| !path.ends_with("README.md"));
    all.sort();
    all
}

/// Names of inbound sessions, by so many later: `i1` of the page is `i2` here, since `Setup` has
/// connected first, to see that the server is up.
fn shift(text: &str, by: i64) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('i') {
        let (before, behind) = (&rest[..at], &rest[at + 1..]);
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        let inside = before.chars().last().is_some_and(char::is_alphanumeric);
        out += before;
        match behind[..digits].parse::<i64>() {
            Ok(number) if !inside => out += &format!("i{}", number + by),
            _ => out += &rest[at..at + 1 + digits],
        }
        rest = &behind[digits..];
    }
    out + rest
}

/// Whether a command changes nothing, so that it may be asked until the answer is as on the page:
/// what a student sees a second later.
fn is_question(line: &str) -> bool {
    let questions = [
        "status",
        "sessions",
        "session ",
        "queue",
        "show ",
        "analyse ",
        "break list",
        "report ",
        "next list",
        "explain i",
        "stats",
    ];
    let asked = line.strip_prefix("mailflux ctl ").unwrap_or_default();
    let asked = asked.strip_prefix(TO_DEMO).unwrap_or(asked);
    questions.iter().any(|question| asked.starts_with(question))
}

#[test]
fn every_command_of_the_tour_works() {
    let all = chapters();
    assert_eq!(all.len(), 8);
    for chapter in all {
        let sink = free_address();
        let setup = Setup::new(sink).set(&format!("sink.listen={sink}"));
        let setup = setup.set("sink.store=received").set("queue.retry_min=1h");
        let settings = format!(
            "[server]\nhostname = mx.example.org\nlisten = {}\n\
             [next_server]\nhost = {}\nport = {}\n[sink]\nlisten = {sink}\n",
            setup.address,
            sink.ip(),
            sink.port()
        );
        fs::write(setup.dir.path().join("mailflux.ini"), settings).unwrap();
        let _server = setup.start();
        let _demo = Demo::start(&setup);
        let mut exercises = 0;
        let asked = walk(chapter.to_str().unwrap(), |line, sample| {
            let began = Instant::now();
            loop {
                // A page is not overwritten, so each question has its own.
                let _ = fs::remove_file(setup.dir.path().join("q1.txt"));
                let by = if line.contains(TO_DEMO) { 0 } else { 1 };
                let (code, said) = run(&setup, &shift(line, by));
                let missing = missing(sample, &said);
                if code == Some(0) && missing.is_empty() {
                    exercises += usize::from(line.contains(TO_DEMO));
                    let said =
                        shift(&said, -by).replace(&setup.address.to_string(), "127.0.0.1:2525");
                    let said = said.replace(&sink.to_string(), "127.0.0.1:2526");
                    // Nor is there a session before the first.
                    return said
                        .lines()
                        .filter(|l| !l.starts_with("i0 "))
                        .collect::<Vec<_>>()
                        .join("\n");
                }
                let again = is_question(line) && began.elapsed() < PATIENCE;
                let name = chapter.display();
                assert!(again, "{name}: {line}: {code:?}, no {missing:?} in {said}");
            }
        });
        assert!(asked > exercises && exercises > 0, "{}", chapter.display());
    }
}

#[test]
fn sessions_are_renamed_and_nothing_else() {
    assert_eq!(shift("i1 in i12:5, mail i bi3 i", 1), "i2 in i13:5, mail i bi3 i");
}
