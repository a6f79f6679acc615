//! Tests of loading: precedence, where files are found, all errors in one run.

use super::*;
use std::fs;

fn given(name: &str, value: &str) -> Override {
    Override {
        shown: format!("--set {name}={value}"),
        given_by: format!("--set {name}"),
        name: name.into(),
        value: value.into(),
    }
}

fn sources(file: &Path, overrides: &[Override]) -> Sources {
    Sources { file: Some(file.into()), overrides: overrides.to_vec(), ..Sources::default() }
}

/// A file with this content in a folder of its own.
fn written(octets: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.ini");
    fs::write(&path, octets).unwrap();
    (dir, path)
}

#[test]
fn the_command_line_is_over_the_file_and_the_file_over_defaults() {
    let (dir, path) =
        written("[server]\nmax_hops = 5\nmax_errors = 6\nspool = s\n[next_server]\nhost = h");
    let overrides = [given("server.max_errors", "7"), given("next_server.b.host", "x")];
    let config = load(&sources(&path, &overrides)).unwrap();
    let server = &config.server;
    assert_eq!((server.max_hops, server.max_errors, server.max_recipients), (5, 7, 1000));
    assert_eq!(server.spool, dir.path().join("s"));
    assert_eq!(config.next_servers[1].name, "b");
    let config = load(&sources(&path, &[given("server.spool", "s")])).unwrap();
    assert_eq!(config.server.spool, PathBuf::from("s"));
    let rows = config.rows();
    let row = rows.iter().find(|r| r.name == "server.spool").unwrap();
    assert_eq!(row.source.to_string(), "--set server.spool");
}

#[test]
fn all_errors_come_in_one_run_in_the_order_of_lines() {
    let (_dir, path) =
        written("[next_server]\ntls = requird\nhost = h\nprot = 1\n[log]\nlevel = inof");
    let overrides = [given("server.prot", "1"), given("server.listen", "x"), given("sink", "1")];
    let failure = load(&sources(&path, &overrides)).unwrap_err();
    assert_eq!(failure.exit, exit::CONFIG);
    let file = path.display();
    let lines: Vec<&str> = failure.message.lines().collect();
    let starts = [
        format!("{file}:2: tls: unknown value"),
        format!("{file}:4: unknown key 'prot' in [next_server]; did you mean 'port'?"),
        format!("{file}:6: level: unknown level 'inof'"),
        "--set server.prot=1: unknown setting 'server.prot'".into(),
        "--set server.listen=x: listen: 'x' is not an ADDRESS:PORT".into(),
        "--set sink=1: unknown setting 'sink'".into(),
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(&starts) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }
}

#[test]
fn names_on_the_command_line() {
    let message = |name: &str| {
        let overrides = [given("next_server.host", "h"), given(name, "1")];
        let sources = Sources { overrides: overrides.to_vec(), ..Sources::default() };
        load(&sources).map_err(|f| f.message).expect_err(name)
    };
    assert!(message("servr.max_hops").ends_with("did you mean 'server.max_hops'?"));
    assert!(message("server.max_hop").ends_with("did you mean 'server.max_hops'?"));
    assert!(message("next_server.b.prot").ends_with("did you mean 'port'?"));
    assert!(message("server.a.max_hops").contains("unknown setting"));
    assert!(message("routes.a..b").contains("is not a route"));
    for wrong in ["", ".", "server.", ".x", "next_server..host", "next_server.default.host"] {
        message(wrong);
    }
    let given = [given("routes.from:a@x.org", "default"), given("next_server.host", "h")];
    let config = load(&Sources { overrides: given.to_vec(), ..Sources::default() }).unwrap();
    assert_eq!(config.routes.len(), 1);
}

#[test]
fn the_first_file_that_exists_is_taken() {
    let (dir, path) = written("[next_server]\nhost = h");
    let search = vec![dir.path().join("none/m.ini"), path.join("x"), path.clone()];
    let config = load(&Sources { search, ..Sources::default() }).unwrap();
    assert_eq!(config.settings.file(), Some(path.as_path()));
    let overrides = vec![given("next_server.host", "h")];
    let config = load(&Sources { overrides, ..Sources::default() }).unwrap();
    assert_eq!(config.settings.file(), None);
    assert_eq!(config.server.spool, PathBuf::from("spool"));
}

#[test]
fn files_that_cannot_be_read() {
    let (dir, path) = written(b"[server]\nhostname = a\xff\n");
    let failure = |path: &Path| load(&sources(path, &[])).unwrap_err();
    let f = failure(&path);
    assert_eq!(f.exit, exit::CONFIG);
    assert!(f.message.ends_with("m.ini:2: not UTF-8; save the file in that encoding"));
    let f = failure(&dir.path().join("none"));
    assert_eq!(f.exit, exit::CONFIG);
    assert!(f.message.ends_with("none: no such file; give its name with -c"), "{f}");
    let f = failure(dir.path());
    assert_eq!(f.exit, exit::CONFIG);
    assert!(f.message.contains(": is a directory; "), "{f}");
    let (_dir, path) = written(vec![b'\n'; MAX_FILE as usize + 1]);
    assert!(failure(&path).message.contains("more than 1 MiB"));
}

#[test]
fn system_names_become_domains() {
    for (name, domain) in [
        ("box", "box"),
        ("mail.example.com", "mail.example.com"),
        ("my_box", "my-box"),
        ("-a-.b.", "a.b"),
        ("", "localhost"),
        ("___", "localhost"),
        ("grün", "gr-n"),
    ] {
        assert_eq!(domain_of(name), domain);
    }
    assert_eq!(domain_of(&"x".repeat(300)), "localhost");
}

#[test]
fn who_only_looks_for_the_server_needs_no_next_one() {
    let (_dir, path) = written("[server]\nlisten = 127.0.0.1:26\n[next_server]\ntls = required");
    let find = Sources { purpose: Purpose::Find, ..sources(&path, &[]) };
    assert_eq!(load(&find).unwrap().server.listen.len(), 1);
    let wrong = Sources { overrides: vec![given("server.listen", "x")], ..find };
    assert_eq!(load(&wrong).unwrap_err().exit, exit::CONFIG);
}
