//! How files look and what they may say: length, width, endings, unfinished work, dead references.

use crate::File;
use crate::code::{code_of, is_word, words};

const MAX_LINES: usize = 600;
const MAX_COLUMNS: usize = 100;

pub fn length(file: &File) -> Vec<String> {
    let lines = file.text.lines().count();
    if !file.is_rust() || lines <= MAX_LINES {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines: does a reader find two subjects in it?", file.path)]
}

#[test]
fn long_files_are_caught() {
    let of = |lines| length(&File::sample("src/x.rs", &"\n".repeat(lines))).len();
    assert_eq!((of(MAX_LINES), of(MAX_LINES + 1)), (0, 1));
}

/// Rust and scripts: columns, too. A dialog's lines are a wire's and may be anything.
pub fn blanks_and_columns(file: &File) -> Vec<String> {
    let hand_written = [".rs", ".sh", ".md", ".toml", ".ini", ".yml"];
    let script = file.path.starts_with("scripts/") || file.path.starts_with(".ci/");
    if !script && !hand_written.iter().any(|end| file.path.ends_with(end)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut at = 0;
    for line in file.text.split('\n') {
        let columns = line.chars().count();
        if line.contains('\t') {
            found.push(file.finding(at, "a tab"));
        }
        if line.ends_with([' ', '\r']) {
            found.push(file.finding(at, "blanks at the end of the line"));
        }
        if (script || file.is_rust()) && columns > MAX_COLUMNS {
            found.push(file.finding(at, format!("{columns} columns")));
        }
        at += line.len() + 1;
    }
    if !file.text.ends_with('\n') || file.text.ends_with("\n\n") {
        found.push(file.finding(file.text.len(), "a file ends with one line end"));
    }
    found
}

#[test]
fn blanks_and_wide_lines_are_caught() {
    let bad = |path, text: &str| blanks_and_columns(&File::sample(path, text)).len();
    for text in ["\tx\n", "x \n", "x\r\n", "x", "x\n\n"] {
        assert_eq!(bad("src/x.rs", text), 1, "{text:?}");
        assert_eq!(bad("README.md", text), 1, "{text:?}");
    }
    let (fits, wide) = ("ü".repeat(MAX_COLUMNS) + "\n", "x".repeat(MAX_COLUMNS + 1) + "\n");
    assert_eq!((bad("src/x.rs", &fits), bad("src/x.rs", &wide)), (0, 1));
    assert_eq!((bad("scripts/x", &wide), bad("README.md", &wide)), (1, 0));
}

pub fn unfinished(file: &File) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    let code = code_of(&file.text);
    let mut found = Vec::new();
    for what in ["todo!", "unimplemented!", "dbg!", "#[ignore", "#[allow(dead_code"] {
        for (at, _) in code.match_indices(what) {
            found.push(file.finding(at, format!("`{what}`: finish it, or take it out")));
        }
    }
    for what in [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X")] {
        for at in words(&file.text, what) {
            found.push(file.finding(at, format!("`{what}`: what is left belongs in an issue")));
        }
    }
    found
}

#[test]
fn unfinished_work_is_caught() {
    let bad = |text: &str| unfinished(&File::sample("src/x.rs", text)).len();
    for text in ["todo!()", "unimplemented!()", "dbg!(x)", "#[ignore]", "#[ignore = \"slow\"]"] {
        assert_eq!(bad(text), 1, "{text}");
    }
    assert_eq!(bad(concat!("// FIX", "ME: later\n")), 1);
    assert_eq!(bad("// a todo! in words, and \"dbg!\"\nlet x = \"todo!\";\n"), 0);
}

pub fn opening(file: &File) -> Vec<String> {
    let fine = !(file.in_src() || file.path.starts_with("tests/") && file.is_rust())
        || file.text.starts_with("//! ");
    if fine { Vec::new() } else { vec![file.finding(0, "a file opens with `//!` and its subject")] }
}

#[test]
fn files_without_an_opening_are_caught() {
    assert_eq!(opening(&File::sample("src/x.rs", "use std::fmt;\n")).len(), 1);
    assert_eq!(opening(&File::sample("src/x.rs", "//! The x.\n")).len(), 0);
}

/// `if let … && …` needs Rust 1.88; the promise is 1.85.
pub fn let_chains(file: &File) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    let code = code_of(&file.text);
    let found = words(&code, "let").filter(|at| {
        let before = code[..*at].trim_end();
        let conditional =
            [" if", "\nif", "(if", "{if", "while"].iter().any(|w| before.ends_with(w))
                || before == "if";
        before.ends_with("&&") || (conditional && has_chain(&code[at + 3..]))
    });
    found.map(|at| file.finding(at, "a let chain: needs Rust 1.88")).collect()
}

/// Whether what follows `if let` joins further conditions before its block opens.
fn has_chain(rest: &str) -> bool {
    let bytes = rest.as_bytes();
    let (mut depth, mut in_pattern) = (0, true);
    for (i, b) in bytes.iter().enumerate() {
        match b {
            b'{' if depth == 0 && !in_pattern => return false,
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b'=' if depth == 0 && in_pattern && i > 0 && bytes[i - 1] != b'.' => in_pattern = false,
            b'&' if depth == 0 && !in_pattern && bytes.get(i + 1) == Some(&b'&') => return true,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    false
}

#[test]
fn let_chains_are_caught() {
    let bad = |text: &str| let_chains(&File::sample("src/x.rs", text)).len();
    for text in [
        "if a && let Some(b) = c {}",
        " if let Some(b) = c && d {}",
        " if let S { a, .. } = c\n    && d {}",
        " while let 'a'..='z' = c && d {}",
    ] {
        assert_eq!(bad(text), 1, "{text}");
    }
    for text in [
        " if let Some(b) = c(|x| x && y) { a && b }",
        " if let S { a } = c { d && e }",
        " if a && b { let c = d && e; }",
        " let a = b && c;",
    ] {
        assert_eq!(bad(text), 0, "{text}");
    }
}

/// Somebody's own folders have no place in a repository.
pub fn machine_paths(file: &File) -> Vec<String> {
    let folders = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
    ];
    let mut found = Vec::new();
    for folder in folders {
        for (at, _) in file.text.match_indices(folder) {
            let before = file.text[..at].chars().next_back();
            if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.' || c == '~') {
                found.push(file.finding(at, format!("`{folder}…`: a path of one machine")));
            }
        }
    }
    found
}

#[test]
fn machine_paths_are_caught() {
    let bad = |text: &str| machine_paths(&File::sample("docs/x.md", text)).len();
    assert_eq!(bad(concat!("see /ho", "me/ann/mailflux")), 1);
    assert_eq!(bad(concat!("(/wo", "rk/x)")), 1);
    assert_eq!(bad("https://example.org/home/page and frame/work/x"), 0);
}

/// References by line number rot.
pub fn line_numbers(file: &File) -> Vec<String> {
    if !file.path.ends_with(".md") && !file.in_src() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for mark in [".rs:", "#L", ".rs line ", ".rs, line "] {
        for (at, _) in file.text.match_indices(mark) {
            let after = file.text.as_bytes().get(at + mark.len());
            if after.is_some_and(u8::is_ascii_digit) {
                found.push(file.finding(at, "a line number: name the function instead"));
            }
        }
    }
    found
}

#[test]
fn line_numbers_are_caught() {
    let bad = |text: &str| line_numbers(&File::sample("docs/x.md", text)).len();
    for text in ["see src/main.rs:12", "src/main.rs#L12", "in main.rs, line 3"] {
        assert_eq!(bad(text), 1, "{text}");
    }
    assert_eq!(bad("see `tick` in src/reactor/mod.rs: the loop; mailflux.ini:12: unknown"), 0);
}

/// Links from a document to files of the house: positions and paths.
pub fn links(file: &File) -> Vec<(usize, &str)> {
    if !file.path.ends_with(".md") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (at, _) in file.text.match_indices("](") {
        let rest = &file.text[at + 2..];
        let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
        if !target.is_empty() && !target.contains(':') {
            found.push((at, target));
        }
    }
    found
}

/// Links that lead nowhere; `exists` knows the paths of the house.
pub fn dead_links(file: &File, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let missing = |(_, target): &(usize, &str)| {
        let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in target.split('/') {
            match part {
                "." | "" => {}
                ".." => drop(parts.pop()),
                _ => parts.push(part),
            }
        }
        !exists(&parts.join("/"))
    };
    let found = links(file).into_iter().filter(missing);
    found.map(|(at, target)| file.finding(at, format!("{target} does not exist"))).collect()
}

#[test]
fn dead_links_are_caught() {
    let exists = |path: &str| ["README.md", "docs/x.md", "docs"].contains(&path);
    let bad = |path, text: &str| dead_links(&File::sample(path, text), exists).len();
    assert_eq!(bad("docs/y.md", "[a](x.md) [b](../README.md#two) [c](#d) [e](https://f)"), 0);
    assert_eq!(bad("docs/y.md", "[a](README.md) and [b](../docs/z.md)"), 2);
    assert_eq!(bad("src/x.rs", "a[b](c)"), 0);
}

/// The invariants that code cites (`I3`) are those that ARCHITECTURE.md states.
pub fn invariants(file: &File, architecture: &str) -> Vec<String> {
    if !file.in_src() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (at, _) in file.text.match_indices('I') {
        let digits: String =
            file.text[at + 1..].chars().take_while(|c| c.is_ascii_digit()).collect();
        let before = file.text[..at].bytes().next_back();
        let after = file.text[at + 1 + digits.len()..].bytes().next();
        let alone = !before.is_some_and(is_word) && !after.is_some_and(is_word);
        if alone && !digits.is_empty() && !architecture.contains(&format!("**I{digits}**")) {
            found.push(file.finding(at, format!("I{digits} is not in ARCHITECTURE.md")));
        }
    }
    found
}

#[test]
fn unknown_invariants_are_caught() {
    let bad = |text: &str| invariants(&File::sample("src/x.rs", text), "**I3** said").len();
    assert_eq!((bad("// by I3\n"), bad("// by I31\n"), bad("// I4.\n")), (0, 1, 1));
    assert_eq!(bad("let AI4 = I4x;\n"), 0);
}
