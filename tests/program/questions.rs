//! docs/questions.md: each of its commands, asked of a server, has an answer of the kind that
//! stands there.

use std::fs;
use std::process::Command;

use crate::next::{Act, Next, Stage};
use crate::server::{Server, Setup, run_to_end};
use crate::wait_for;

/// Lines of an answer that the page shows.
const SHOWN: usize = 14;
/// Lines of an answer whose words are compared.
const COMPARED: usize = 6;

/// The server that the page tells of.
fn scene(next: &Next) -> (Setup, Server) {
    let setup = Setup::new(next.address).set("queue.retry_min=1h").set("queue.interval=20ms");
    let server = setup.start();
    let content = "From: ann@example.org\r\nSubject: minutes\r\n\r\nSee you on Monday.\r\n";
    for (to, sign) in [("bob", "delivered"), ("busy", "deferred"), ("nobody", "failed")] {
        server.ehlo().mail("ann@example.org", &[&format!("{to}@example.net")], content);
        wait_for(sign, || {
            let stats = setup.say(&["sessions", "last=1h"]);
            let outcome = ["o1", "o2", "o3"].iter().any(|id| {
                let (code, said, _) = setup.ctl(&["session", id]);
                code == 0 && said.contains(&format!("{sign} to=<{to}@example.net>"))
            });
            (outcome && !stats.is_empty()).then_some(())
        });
    }
    let mut client = server.connect();
    client.command("HELLO there").expect(500);
    client.command("RCPT TO:<bob@example.net>").expect(503);
    client.command("QUIT").expect(221);
    client.read_to_end();
    wait_for("the notice", || setup.say(&["status"]).contains("2 delivered").then_some(()));
    (setup, server)
}

/// Runs a line of the page as a shell would.
pub fn run(setup: &Setup, line: &str) -> (Option<i32>, String) {
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_mailflux")).parent().unwrap().to_owned();
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(setup.dir.path()).env("PATH", path_with(&bin));
    let out = run_to_end(command.env_remove("MAILFLUX_LOG"));
    let said = [out.stdout, out.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    let folder = setup.dir.path().display().to_string();
    (out.status.code(), said.replace(&folder, "/srv/mailflux"))
}

fn path_with(bin: &std::path::Path) -> std::ffi::OsString {
    let mut path = bin.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

/// Words of letters alone: figures, times and ports are different each time.
fn words(answer: &str) -> impl Iterator<Item = &str> {
    let lines = answer.lines().take(COMPARED);
    let words = lines.flat_map(|line| line.split(|c: char| !c.is_alphanumeric()));
    words.filter(|word| word.len() > 3 && word.bytes().all(|b| b.is_ascii_alphabetic()))
}

/// Words of the sample that the answer lacks. When the page is written anew, none.
pub fn missing<'s>(sample: &'s str, said: &str) -> Vec<&'s str> {
    if std::env::var_os("MAILFLUX_BLESS").is_some() {
        return Vec::new();
    }
    assert!(!sample.is_empty(), "no sample of {said}");
    words(sample).filter(|word| !said.contains(word)).collect()
}

/// Puts each command of a page with its sample to `ask`, which gives the answer; how many there
/// are. MAILFLUX_BLESS=1 writes the answers into the page.
pub fn walk(file: &str, mut ask: impl FnMut(&str, &str) -> String) -> usize {
    let page = fs::read_to_string(file).unwrap();
    let (mut asked, mut blessed, mut rest) = (0, String::new(), &page[..]);
    while let Some((before, block)) = rest.split_once("```console\n$ ") {
        let (block, after) = block.split_once("```\n").unwrap();
        let (line, sample) = block.split_once('\n').unwrap();
        let said = ask(line, sample);
        asked += 1;
        let line_of = |line: &str| format!("{}\n", line.trim_end());
        let shown: String = said.lines().take(SHOWN).map(line_of).collect();
        let more = if said.lines().count() > SHOWN { "…\n" } else { "" };
        blessed += &format!("{before}```console\n$ {line}\n{shown}{more}```\n");
        rest = after;
    }
    if std::env::var_os("MAILFLUX_BLESS").is_some() {
        fs::write(file, blessed + rest).unwrap();
    }
    asked
}

#[test]
fn questions_have_answers() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/questions.md");
    let next = Next::scripted(|moment| match (moment.stage, &moment.line) {
        (Stage::Rcpt, line) if line.contains("busy") => {
            Act::Say("451 4.7.1 Greylisted, try again later\r\n".into())
        }
        (Stage::Rcpt, line) if line.contains("nobody") => {
            Act::Say("550 5.1.1 No such user here\r\n".into())
        }
        _ => Act::Usual,
    });
    let (setup, _server) = scene(&next);
    let asked = walk(file, |line, sample| {
        let (code, said) = run(&setup, line);
        assert_eq!(code, Some(0), "{line}: {said}");
        assert!(!said.is_empty(), "{line}");
        let missing = missing(sample, &said);
        assert!(missing.is_empty(), "{line}: no {missing:?} in {said}");
        said
    });
    assert!(asked >= 40, "{asked}");
}
