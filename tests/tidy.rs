//! The house rules that no compiler knows, held by tests: who may import whom, who alone may touch
//! what, how long and how wide files are, and what a promise of few dependencies means in numbers.
//!
//! Each rule is a function from a file to findings. `the_house_is_tidy` runs all of them over the
//! whole repository; beside it, each rule has a test that shows it catches what it is there for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/places.rs"]
mod places;
#[path = "tidy/text.rs"]
mod text;

use code::line_of;

/// What brings an executor, is unmaintained, or does what this project is about.
const BANNED_CRATES: &[&str] = &[
    "tokio",
    "async-std",
    "hickory-proto",
    "hickory-resolver",
    "mail-auth",
    "rustls-pemfile",
    "resolv-conf",
    "nix",
    "rayon",
    "aws-lc-rs",
];

/// Fewer than so many crates in the tree of normal dependencies: low-dependency is a promise. What
/// is counted is what runs in the server; macros run in the compiler only.
const MAX_CRATES: usize = 45;

/// A file of the repository: its path with `/`, and its text.
struct File {
    path: String,
    text: String,
}

impl File {
    fn sample(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn in_src(&self) -> bool {
        self.path.starts_with("src/") && self.is_rust()
    }

    /// The top-level module this file belongs to: `smtp` for `src/smtp/server.rs`.
    fn part(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("src/")?;
        let part = rest.split_once('/').map_or(rest, |(part, _)| part);
        let part = part.strip_suffix(".rs").unwrap_or(part);
        (!matches!(part, "lib" | "main")).then_some(part)
    }

    fn finding(&self, at: usize, what: impl AsRef<str>) -> String {
        format!("{}:{}: {}", self.path, line_of(&self.text, at), what.as_ref())
    }
}

type Rule = fn(&File) -> Vec<String>;

const RULES: &[Rule] = &[
    places::layers,
    places::monopolies,
    places::purity,
    places::safety,
    text::length,
    text::blanks_and_columns,
    text::unfinished,
    text::opening,
    text::let_chains,
    text::machine_paths,
    text::line_numbers,
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All text files of the house, wherever the folders exist yet.
fn files() -> Vec<File> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            read(&path, &mut found);
        }
    }
    for folder in ["src", "tests", "benches", "fuzz", "examples", "docs", "scripts", ".ci"] {
        walk(&root().join(folder), &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(folder: &Path, found: &mut Vec<File>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            read(&path, found);
        } else if !path.ends_with("target") && !path.ends_with("corpus") {
            walk(&path, found);
        }
    }
}

fn read(path: &Path, found: &mut Vec<File>) {
    let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
    // Not text, or not written by hand.
    if name == "Cargo.lock" || name == ".git" {
        return;
    }
    if let Ok(text) = std::fs::read_to_string(path) {
        found.push(File { path: name, text });
    }
}

#[test]
fn the_house_is_tidy() {
    let files = files();
    assert!(files.iter().any(|f| f.path == "src/lib.rs"), "the walk sees nothing");
    let mut findings: Vec<String> =
        files.iter().flat_map(|file| RULES.iter().flat_map(move |rule| rule(file))).collect();
    let architecture = files.iter().find(|f| f.path == "ARCHITECTURE.md");
    let architecture = architecture.map_or("", |f| &f.text);
    findings.extend(files.iter().flat_map(|f| text::invariants(f, architecture)));
    let exists = |path: &str| root().join(path).exists();
    findings.extend(files.iter().flat_map(|f| text::dead_links(f, exists)));
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// The crates in what `cargo tree --prefix none` prints, without versions and repetitions.
fn crates(tree: &str) -> BTreeSet<&str> {
    tree.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).collect()
}

fn crowd(tree: &BTreeSet<&str>) -> Option<String> {
    // The package itself stands in the tree, too.
    let count = tree.len().saturating_sub(1);
    (count >= MAX_CRATES).then(|| format!("{count} crates; fewer than {MAX_CRATES} is the promise"))
}

/// Banned crates in a lock file, wherever in the tree they stand.
fn banned(lock: &str) -> Vec<&'static str> {
    let has = |name: &str| lock.lines().any(|line| line == format!("name = \"{name}\""));
    BANNED_CRATES.iter().copied().filter(|name| has(name)).collect()
}

#[test]
fn dependencies_are_few() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let tree = Command::new(cargo)
        .args([
            "tree",
            "--edges",
            "normal,no-proc-macro",
            "--prefix",
            "none",
            "--offline",
            "--locked",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let tree = crates(&tree);
    assert!(tree.contains("mio"), "this is not our tree: {tree:?}");
    assert_eq!(crowd(&tree), None);
}

#[test]
fn too_many_dependencies_are_caught() {
    let tree = |n: usize| (0..=n).map(|i| format!("c{i} v1.0.0\n")).collect::<String>();
    assert_eq!(crowd(&crates(&tree(MAX_CRATES - 1))), None);
    assert!(crowd(&crates(&tree(MAX_CRATES))).is_some());
    assert_eq!(crates("a v1 (*)\na v1\nb v2 (proc-macro)\n\n").len(), 2);
}

#[test]
fn no_banned_crate_is_in_the_tree() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    assert_eq!(banned(&lock), [""; 0]);
    assert_eq!(banned("[[package]]\nname = \"tokio\"\nversion = \"1.0.0\"\n"), ["tokio"]);
    assert_eq!(banned("name = \"tokioish\"\ndependencies = [\n \"nix\",\n]\n"), [""; 0]);
}

/// Scripts that people call can be called: they are executable and say with what.
#[cfg(unix)]
#[test]
fn scripts_are_executable() {
    use std::os::unix::fs::PermissionsExt;
    for script in ["scripts/run", "scripts/test", ".ci/run"] {
        let path = root().join(script);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script} is not executable");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("#!/bin/sh\n"), "{script} must be POSIX sh");
    }
}
