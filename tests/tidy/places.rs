//! Everything in its place: who may import whom, and who alone may touch what.

use crate::File;
use crate::code::{code_of, is_word, line_of, words};

/// What each part of the library may import from its siblings. The order is the layers' order.
/// A new part must be entered here: where it stands is a decision.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("sys", &[]),
    // Below the protocol that carries it, and below the configuration, whose secrets are its own.
    ("auth", &["base", "sys"]),
    ("journal", &["base"]),
    // Keeps what the journal narrates, and knows nothing of mail.
    ("history", &["base", "sys", "journal"]),
    ("smtp", &["base", "auth", "journal"]),
    ("dns", &["base"]),
    ("rules", &["base", "smtp"]),
    // Looks at octets that the spool keeps and the console shows; knows neither.
    ("message", &["base"]),
    // Speaks of what the journal narrates, in its notation, and of nothing else.
    ("explain", &["base", "journal"]),
    // Shows what any part has answered, so it must know none of them.
    ("page", &["base"]),
    // Speaks of what the journal has kept; who writes the files is others' business. Who is
    // replayed may log in again.
    ("record", &["base", "auth", "journal"]),
    ("tutor", &["base", "journal", "explain"]),
    ("sink", &["base"]),
    ("spool", &["base", "sys"]),
    ("queue", &["base", "journal"]),
    // Reads the conditions of filters, so that a wrong one is told with its line.
    ("config", &["base", "auth", "sys", "rules"]),
    ("logger", &["base", "sys", "journal", "config"]),
    ("demo", &["base"]),
    ("control", &["base", "journal", "rules"]),
    (
        "console",
        &["base", "sys", "journal", "rules", "message", "explain", "tutor", "page", "control"],
    ),
    (
        "reactor",
        &[
            "base", "sys", "auth", "journal", "smtp", "dns", "rules", "spool", "queue", "config",
            "control", "console", "sink", "logger", "demo", "message", "explain", "tutor", "page",
            "record", "history",
        ],
    ),
    (
        "cli",
        &[
            "base", "sys", "auth", "journal", "smtp", "dns", "rules", "spool", "queue", "config",
            "control", "console", "reactor", "logger", "demo", "message", "explain", "tutor",
            "page",
        ],
    ),
];

/// Who may open files: the spool's disk, the history's folder, the configuration, the sink's
/// Maildir, the command line, the start of the loop, which reads the system's own files once, what
/// reads certificates, and the files that commands name.
const DISK: &[&str] = &[
    "src/spool/real.rs",
    "src/spool/owner.rs",
    "src/history/folder.rs",
    "src/config",
    "src/sink",
    "src/cli",
    "src/reactor/run.rs",
    "src/reactor/certs.rs",
    "src/reactor/files.rs",
];

/// Crates, paths and words that belong to one place: what, where, why.
const MONOPOLIES: &[(&str, &[&str], &str)] = &[
    ("mio::", &["src/reactor/"], "one loop"),
    ("signal_hook_mio::", &["src/reactor/"], "one loop"),
    ("socket2::", &["src/reactor/"], "one loop"),
    ("pancurses::", &["src/console/screen.rs"], "one file paints"),
    ("printw", &[], "takes a format: RUSTSEC-2019-0005"),
    ("mvprintw", &[], "takes a format: RUSTSEC-2019-0005"),
    ("instr", &[], "writes past its buffer: RUSTSEC-2019-0006"),
    ("mvinstr", &[], "writes past its buffer: RUSTSEC-2019-0006"),
    ("ini::", &["src/config"], "one reader of settings"),
    ("getopts::", &["src/cli"], "one reader of options"),
    ("ring::", &["src/auth/"], "one place for keys and randomness"),
    ("rustls::", &["src/reactor/tls.rs", "src/reactor/certs.rs"], "one transport"),
    ("fs::", DISK, "the disk has few doors"),
    ("File::open", DISK, "the disk has few doors"),
    ("File::create", DISK, "the disk has few doors"),
    ("OpenOptions", DISK, "the disk has few doors"),
    ("Instant", &["src/reactor/clock.rs"], "one clock (I8)"),
    ("SystemTime", &["src/reactor/clock.rs"], "one clock (I8)"),
    ("thread::", &[], "one thread"),
    ("println!", &["src/cli", "src/main.rs"], "one narration (I5): say it as an Event"),
    ("eprintln!", &["src/cli", "src/main.rs"], "one narration (I5): say it as an Event"),
    ("print!", &["src/cli", "src/main.rs"], "one narration (I5): say it as an Event"),
    ("unsafe", &["src/sys.rs", "src/sys/"], "unsafe code lives in one part"),
];

/// Parts that are data and functions only.
const PURE: &[&str] = &[
    "base", "auth", "journal", "smtp", "dns", "rules", "queue", "message", "explain", "tutor",
    "page", "record", "control", "demo", "console",
];

/// The top-level modules that a file's code names, with positions.
fn imports(file: &File, code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in words(code, "crate") {
        let rest = &code[at + "crate".len()..];
        let Some(rest) = rest.strip_prefix("::") else { continue };
        names(rest).into_iter().for_each(|name| found.push((at, name)));
    }
    // `super` chains that reach the root of the crate say the same in other words.
    let depth = file.path.matches('/').count() - usize::from(file.path.ends_with("/mod.rs"));
    let mut next = 0;
    for at in words(code, "super") {
        if at < next {
            continue;
        }
        let (mut rest, mut count) = (&code[at..], 0);
        while let Some(after) = rest.strip_prefix("super::") {
            (rest, count) = (after, count + 1);
        }
        next = code.len() - rest.len();
        if count >= depth {
            let known = |name: &String| LAYERS.iter().any(|(part, _)| part == name);
            names(rest).into_iter().filter(known).for_each(|name| found.push((at, name)));
        }
    }
    found
}

/// The names after a `::`: one, or those of a `{group}`.
fn names(rest: &str) -> Vec<String> {
    let first = |text: &str| -> String { text.chars().take_while(|c| is_word(*c as u8)).collect() };
    let Some(group) = rest.strip_prefix('{') else { return vec![first(rest)] };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (i, b) in group.bytes().enumerate() {
        match b {
            b'{' => depth += 1,
            b'}' | b',' if depth == 0 => {
                found.push(first(group[start..i].trim_start()));
                start = i + 1;
                if b == b'}' {
                    break;
                }
            }
            b'}' => depth -= 1,
            _ => {}
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

pub fn layers(file: &File) -> Vec<String> {
    let (true, Some(part)) = (file.in_src(), file.part()) else { return Vec::new() };
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == part) else {
        return vec![file.finding(0, format!("where does `{part}` stand? enter it in LAYERS"))];
    };
    let code = code_of(&file.text);
    let mut found = imports(file, &code);
    found.retain(|(_, name)| {
        name != part && !allowed.contains(&name.as_str()) && LAYERS.iter().any(|(l, _)| l == name)
    });
    found
        .into_iter()
        .map(|(at, name)| file.finding(at, format!("`{part}` must not import `{name}`")))
        .collect()
}

#[test]
fn layers_are_caught() {
    let bad = |path, text| layers(&File::sample(path, text));
    assert_eq!(
        bad("src/base/x.rs", "//! x\nuse crate::smtp::Gate;\n"),
        ["src/base/x.rs:2: `base` must not import `smtp`"]
    );
    assert_eq!(bad("src/queue/x.rs", "use crate::{base::{A, B}, spool::C, reactor};\n").len(), 2);
    assert_eq!(bad("src/smtp/server.rs", "fn f(s: super::super::spool::S) {}\n").len(), 1);
    assert_eq!(bad("src/smtp/mod.rs", "use super::spool::S;\n").len(), 1);
    assert_eq!(bad("src/unheard_of.rs", "").len(), 1);
    for (path, good) in [
        ("src/smtp/server.rs", "use crate::{base::Reply, journal};\nuse super::gate;\n"),
        ("src/base/x.rs", "// crate::smtp\nconst S: &str = \"crate::smtp\";\n"),
        ("src/main.rs", "use crate::reactor;\n"),
    ] {
        assert_eq!(bad(path, good), [""; 0]);
    }
}

/// Positions where `what` stands for itself: a crate's path not as the tail of another path, a
/// word or macro as a whole.
fn uses(code: &str, what: &str) -> Vec<usize> {
    let word = what.trim_end_matches("::");
    let is_path = what.ends_with("::");
    let stands = |at: &usize| {
        let (before, after) = (&code[..*at], &code[at + word.len()..]);
        let tail = before.ends_with("::");
        // `std::fs`, `std::thread`: of the standard library the path's tail counts.
        let of_std = before.ends_with("std::");
        let imported = before.trim_end().ends_with("use") || of_std;
        let path = after.starts_with("::") || imported;
        // The type of an open file may pass through anywhere.
        let path = path && !(word == "fs" && after.starts_with("::File;"));
        if is_path { path && (!tail || of_std) } else { true }
    };
    if is_path || word.chars().all(|c| c.is_alphanumeric()) {
        words(code, word).filter(stands).collect()
    } else {
        let starts = |at: &usize| *at == 0 || !is_word(code.as_bytes()[at - 1]);
        code.match_indices(word).map(|(at, _)| at).filter(starts).collect()
    }
}

/// Where a file's tests begin; at the start in a file of tests, else perhaps never.
fn tests_start(file: &File, code: &str) -> usize {
    let is_tests = file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
    if is_tests { 0 } else { code.find("#[cfg(test)]\nmod ").unwrap_or(code.len()) }
}

pub fn monopolies(file: &File) -> Vec<String> {
    if !file.in_src() {
        return Vec::new();
    }
    let code = code_of(&file.text);
    // Tests in src may use the disk and print; the loop, the clock and threads they may not.
    let tests = tests_start(file, &code);
    let mut found = Vec::new();
    for (what, places, why) in MONOPOLIES {
        if places.iter().any(|place| file.path.starts_with(place)) {
            continue;
        }
        let lenient = places == &DISK || what.ends_with("print!") || what.ends_with("println!");
        for at in uses(&code, what) {
            if !(lenient && at >= tests) {
                found.push(file.finding(at, format!("`{what}` does not belong here: {why}")));
            }
        }
    }
    found
}

#[test]
fn monopolies_are_caught() {
    let bad = |path, text| monopolies(&File::sample(path, text)).len();
    for text in [
        "use mio::Token;",
        "use mio;",
        "fn f(t: mio::Token) {}",
        "use std::fs;",
        "use std::fs::{self, File};",
        "fs::read(p);",
        "let t = std::time::Instant::now();",
        "SystemTime::now()",
        "use std::time::{Duration, Instant};",
        "let f = File::open(p);",
        "OpenOptions::new()",
        "std::thread::spawn(f);",
        "println!(\"x\");",
        "unsafe { f() }",
        "use ini::Ini;",
        "use getopts::Options;",
        "use rustls::ClientConfig;",
        "pancurses::initscr();",
        "use socket2::Socket;",
    ] {
        assert_eq!(bad("src/smtp/x.rs", text), 1, "{text}");
    }
    for call in ["w.printw(t);", "w.mvprintw(0, 0, t);", "ncurses::instr(t);"] {
        assert_eq!(bad("src/console/screen.rs", call), 1, "{call}");
    }
    for (path, text) in [
        ("src/reactor/mod.rs", "use mio::Token;"),
        ("src/console/screen.rs", "use pancurses::Window;"),
        ("src/smtp/x.rs", "// mio::Token and Instant::now\n#![forbid(unsafe_code)]"),
        ("src/smtp/x.rs", "use crate::config::ini::Line;"),
        ("src/spool/real.rs", "use std::fs;"),
        ("src/smtp/x.rs", "use std::fs::File;\nfn elapsed(f: &File) {}"),
        ("src/spool/x.rs", "#[cfg(test)]\nmod tests {\n use std::fs;\n}"),
        ("src/reactor/clock.rs", "Instant::now()"),
        ("tests/real.rs", "std::thread::spawn(f)"),
    ] {
        assert_eq!(bad(path, text), 0, "{path}: {text}");
    }
}

pub fn purity(file: &File) -> Vec<String> {
    if !file.in_src() || !file.part().is_some_and(|part| PURE.contains(&part)) {
        return Vec::new();
    }
    let code = code_of(&file.text);
    let banned = ["Arc", "Rc", "RefCell", "Mutex", "Cell", "dyn"];
    let tests = tests_start(file, &code);
    let found = banned.iter().flat_map(|word| words(&code, word).map(move |at| (at, word)));
    let found = found.filter(|(at, _)| *at < tests);
    found.map(|(at, word)| file.finding(at, format!("`{word}` in a pure part"))).collect()
}

#[test]
fn impurity_is_caught() {
    for text in ["use std::sync::Arc;", "a: Rc<RefCell<u8>>", "f: Box<dyn Fn()>"] {
        assert!(!purity(&File::sample("src/smtp/x.rs", text)).is_empty(), "{text}");
        assert_eq!(purity(&File::sample("src/reactor/x.rs", text)), [""; 0]);
    }
    assert_eq!(purity(&File::sample("src/smtp/x/tests.rs", "use std::rc::Rc;")), [""; 0]);
    assert_eq!(purity(&File::sample("src/smtp/x.rs", "// dyn\nfn dynamic() {}")), [""; 0]);
}

/// Each `unsafe` has a comment above it that opens with SAFETY.
pub fn safety(file: &File) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    let code = code_of(&file.text);
    let lines: Vec<&str> = file.text.lines().collect();
    let lacks = |at: &usize| {
        let line = line_of(&code, *at) - 1;
        let above = lines[..line].iter().rev();
        !above
            .take_while(|l| l.trim_start().starts_with("//"))
            .any(|l| l.trim_start().starts_with("// SAFETY:"))
    };
    let found = words(&code, "unsafe").filter(lacks);
    found.map(|at| file.finding(at, "unsafe without a SAFETY comment right above")).collect()
}

#[test]
fn unsafe_without_safety_is_caught() {
    let bad = |text| safety(&File::sample("src/sys.rs", text)).len();
    assert_eq!(bad("unsafe { a() }\n"), 1);
    assert_eq!(bad("// SAFETY: a\n\nunsafe { a() }\n"), 1);
    assert_eq!(bad("// SAFETY: a\n// and more\nlet x = unsafe { a() };\n"), 0);
}
