//! What a message costs, in instructions of our own: a figure that does not depend on the speed of
//! the machine, so that nobody makes it worse unnoticed. Counted by valgrind's callgrind; where
//! that is missing the test says `skipped`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::next::Next;
use crate::server::{Setup, tool};

/// Instructions for one message of 4 KiB, accepted and delivered, in a build for tests. What it is
/// now and half as much again: compilers differ, and a feature may cost something.
const MOST: u64 = 380_000;

/// All instructions of a server that takes so many messages in one session and forwards them.
fn instructions(valgrind: &Path, messages: usize, setting: &str) -> u64 {
    let next = Next::new();
    let setup = Setup::new(next.address).set(setting);
    let counts = setup.dir.path().join("counts");
    let mut command = Command::new(valgrind);
    let ours = setup.command();
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", counts.display()));
    command.arg(ours.get_program()).args(ours.get_args()).current_dir(setup.dir.path());
    let mut server = setup.start_as(command);
    let mut client = server.ehlo();
    let content = format!("Subject: x\r\n\r\n{}", format!("{}\r\n", "x".repeat(76)).repeat(52));
    for _ in 0..messages {
        client.mail("ann@example.org", &["bob@example.net"], &content);
    }
    next.wait(messages);
    server.signal("TERM");
    assert!(server.wait().success());
    let text = fs::read_to_string(counts).unwrap();
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total.unwrap().trim().parse().unwrap()
}

#[test]
fn a_message_costs_no_more_instructions_than_it_did() {
    let Some(valgrind) = tool("valgrind") else { return };
    let each = each(&valgrind, KEPT);
    assert!(each < MOST, "{each} instructions for each message, {MOST} were allowed");
}

const KEPT: &str = "insight.history=1d, 256M";

fn each(valgrind: &Path, setting: &str) -> u64 {
    let (few, many) = (10, 60);
    let start = instructions(valgrind, few, setting);
    (instructions(valgrind, many, setting) - start) / (many - few) as u64
}

/// What is written of it is seldom and in large pieces; what the system does with that is not
/// counted here.
#[test]
fn the_history_costs_less_than_five_percent() {
    let Some(valgrind) = tool("valgrind") else { return };
    let without = each(&valgrind, "insight.history=0");
    let with = each(&valgrind, KEPT);
    assert!(with < without + without / 20, "{with} instructions with it, {without} without");
}
