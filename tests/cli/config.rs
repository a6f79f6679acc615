//! What the program says of its configuration, and of a wrong command line.

use super::program::{Ended, Place, feed};

/// The line of a setting in the answer of --check-config: value and source.
fn setting(ended: &Ended, name: &str) -> (String, String) {
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let line = ended.stdout.lines().find(|l| l.split(' ').next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{}", ended.stdout));
    let (_, rest) = line.split_once('=').unwrap();
    let (value, source) = rest.split_once('#').unwrap();
    (value.trim().to_owned(), source.trim().to_owned())
}

fn pair(value: &str, source: &str) -> (String, String) {
    (value.to_owned(), source.to_owned())
}

#[test]
fn the_file_of_the_repository_works_as_it_stands() {
    let place = Place::new();
    place.write("mailflux.ini", include_str!("../../mailflux.ini"));
    let ended = place.run(&["--check-config"]);
    assert_eq!(setting(&ended, "server.listen").0, "127.0.0.1:2525");
    assert_eq!(setting(&ended, "next_server.host").0, "127.0.0.1");
    assert_eq!(setting(&ended, "next_server.port").0, "2526");
    assert_eq!(setting(&ended, "sink.listen").0, "127.0.0.1:2526");
    assert_eq!(setting(&ended, "sink.store").0, "received");
}

#[test]
fn every_value_comes_with_its_source() {
    let place = Place::new();
    place.write(
        "etc/my.ini",
        "[server]\nmax_hops = 7\nspool = mail\nmax_errors = 8\n[next_server]\nhost = a.example\n\
         [routes]\n.example.org = default\n",
    );
    let args = ["-c", "etc/my.ini", "--set", "server.max_errors=9", "-n", "[::1]:26"];
    let mut command = place.mailflux(&[&args[..], &["--check-config"]].concat());
    command.env("MAILFLUX_LOG", "warn");
    let ended = feed(command, b"");
    let check = |name: &str, value: &str, source: &str| {
        assert_eq!(setting(&ended, name), pair(value, source), "{name}");
    };
    check("server.max_hops", "7", "etc/my.ini:2");
    check("server.spool", "etc/mail", "etc/my.ini:3");
    check("server.control", "etc/mail/control.sock", "default");
    check("server.max_errors", "9", "--set server.max_errors");
    check("server.max_recipients", "1000", "default");
    check("next_server.host", "[::1]", "-n");
    check("next_server.port", "26", "-n");
    check("routes..example.org", "default", "etc/my.ini:8");
    check("log.level", "warn", "MAILFLUX_LOG");
    assert!(ended.stdout.starts_with("# configuration file: etc/my.ini\n"));
}

#[test]
fn relative_paths_of_the_command_line_start_at_the_working_folder() {
    let place = Place::new();
    place.write("etc/my.ini", "[next_server]\nhost = a.example\n[server]\nspool = mail\n");
    let ended = place.run(&["-c", "etc/my.ini", "-d", "here", "--check-config"]);
    assert_eq!(setting(&ended, "server.spool"), pair("here", "-d"));
}

#[test]
fn files_are_looked_for_in_order() {
    let place = Place::new();
    let file = |host: &str| format!("[next_server]\nhost = {host}\n");
    place.write("home/.config/mailflux/mailflux.ini", file("home"));
    let host = |ended: &Ended| setting(ended, "next_server.host").0;
    assert_eq!(host(&place.run(&["--check-config"])), "home");
    place.write("xdg/mailflux/mailflux.ini", file("xdg"));
    let mut command = place.mailflux(&["--check-config"]);
    command.env("XDG_CONFIG_HOME", place.dir.path().join("xdg"));
    assert_eq!(host(&feed(command, b"")), "xdg");
    place.write("mailflux.ini", file("here"));
    assert_eq!(host(&place.run(&["--check-config"])), "here");
}

#[test]
fn all_errors_of_a_file_are_told_in_one_run() {
    let place = Place::new();
    place.write(
        "mailflux.ini",
        "[next_server]\nhost = a.example\nprot = 25\n\n[sever]\n[queue]\ninterval = 15\n\
         interval = 1s\n",
    );
    for args in [&["--check-config"][..], &[]] {
        let ended = place.run(args);
        assert_eq!((ended.code, ended.stdout.as_str()), (78, ""));
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(
            lines,
            [
                "mailflux.ini:3: unknown key 'prot' in [next_server]; did you mean 'port'?",
                "mailflux.ini:5: unknown section [sever]; did you mean [server]?",
                "mailflux.ini:7: interval: '15' is not a duration, 10ms to 1d; write it like \
                 15s, 5m or 1h",
                "mailflux.ini:8: 'interval' in [queue] stands already in line 7",
            ]
        );
    }
}

#[test]
fn wrong_settings_on_the_command_line_are_78() {
    let place = Place::new();
    for (args, start) in [
        (&["-s", "server.max_hop=1"][..], "--set server.max_hop=1: unknown setting"),
        (&["-s", "server.max_hops=x"], "--set server.max_hops=x: max_hops: 'x' is not a number"),
        (&["--set", "server.max_hops"], "--set server.max_hops: 'max_hops' needs a value"),
        (&["-l", "2525"], "-l 2525: listen: '2525' needs an address; write 127.0.0.1:2525"),
        (&["-n", "a b"], "-n a b: host: 'a b' is not a host name"),
        (&["-n", "a:0"], "-n a:0: port: '0' is not a number, 1 to 65535"),
        (&["-d", ""], "-d: 'spool' needs a value"),
    ] {
        let ended = place.run(&[&["-n", "a.example"][..], args].concat());
        // -n twice is something else.
        let ended = if args[0] == "-n" { place.run(args) } else { ended };
        assert_eq!(ended.code, 78, "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.starts_with(start), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn without_a_next_server_the_program_says_what_to_do() {
    let ended = Place::new().run(&[]);
    assert_eq!(ended.code, 78);
    assert!(ended.stderr.starts_with("no next server: set next_server.host"), "{}", ended.stderr);
}

/// Whatever is wrong with certificate and key is told before the server takes a client.
#[test]
fn certificates_that_are_of_no_use() {
    let place = Place::new();
    let write = |name: &str, text: &str| std::fs::write(place.path(name), text).unwrap();
    let (one, other) = (certificate(), certificate());
    write("cert.pem", &one.0);
    write("key.pem", &one.1);
    write("other.pem", &other.1);
    write("empty.pem", "");
    write("broken.pem", &one.0[..one.0.len() / 2]);
    write("locked.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END");
    for (certificate, key, words) in [
        ("cert.pem", "key.pem", ""),
        ("cert.pem", "other.pem", "tls.key: other.pem is not the key to the certificate cert.pem"),
        ("none.pem", "key.pem", "tls.certificate: cannot read none.pem: no such file"),
        ("cert.pem", "none.pem", "tls.key: cannot read none.pem: no such file"),
        ("empty.pem", "key.pem", "tls.certificate: empty.pem has no certificate in it; PEM is"),
        ("cert.pem", "empty.pem", "tls.key: empty.pem has no private key in it; PEM is wanted"),
        ("cert.pem", "cert.pem", "tls.key: cert.pem has no private key in it; PEM is wanted"),
        ("broken.pem", "key.pem", "tls.certificate: broken.pem is damaged"),
        ("cert.pem", "locked.pem", "tls.key: locked.pem is locked by a password"),
        (".", "key.pem", "tls.certificate: . is no file of PEM"),
    ] {
        let settings = [format!("tls.certificate={certificate}"), format!("tls.key={key}")];
        let args = ["-n", "127.0.0.1:1", "--check-config", "-s", &settings[0], "-s", &settings[1]];
        let ended = place.run(&args);
        assert_eq!(ended.code, if words.is_empty() { 0 } else { 78 }, "{}", ended.stderr);
        assert!(ended.stderr.starts_with(words), "{words}: {}", ended.stderr);
    }
    let ended = place.run(&["-n", "127.0.0.1:1", "-s", "next_server.ca_file=empty.pem"]);
    assert_eq!(ended.code, 78);
    assert!(ended.stderr.starts_with("next_server.ca_file: empty.pem has no certificate"));
}

/// A certificate and the key to it, in PEM.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["mx.example.org".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn files_that_cannot_be_read() {
    let place = Place::new();
    let ended = place.run(&["-c", "none.ini"]);
    let words = "cannot read none.ini: no such file; give its name with -c\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (78, words));
    place.write("bad.ini", b"[server]\nhostname = \xff\n");
    let ended = place.run(&["-c", "bad.ini"]);
    let words = "bad.ini:2: not UTF-8; save the file in that encoding\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (78, words));
    place.write("folder/x", "");
    let ended = place.run(&["-c", "folder"]);
    assert_eq!(ended.code, 78);
    assert!(ended.stderr.starts_with("cannot read folder: is a directory; "), "{}", ended.stderr);
}

#[test]
fn help_and_version() {
    let place = Place::new();
    for help in ["-h", "--help"] {
        let ended = place.run(&[help]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        for word in [
            "-c, --config FILE",
            "-s, --set SECTION.KEY=VALUE",
            "-l, --listen",
            "--demo",
            "-n, --next-server HOST[:PORT]",
            "-d, --spool DIR",
            "--headless",
            "--check-config",
            "mailflux sink",
            "mailflux send",
            "Exit codes:",
            "MAILFLUX_LOG",
        ] {
            assert!(ended.stdout.contains(word), "{word}");
        }
        assert!(ended.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ended.stdout);
    }
    for version in ["-V", "--version"] {
        let ended = place.run(&[version]);
        let words = format!("mailflux {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!((ended.code, ended.stdout), (0, words));
    }
    for command in ["send", "sink"] {
        let ended = place.run(&[command, "--help"]);
        assert_eq!(ended.code, 0);
        assert!(ended.stdout.starts_with(&format!("Usage: mailflux {command}")));
    }
}

#[test]
fn a_wrong_command_line_is_64() {
    let place = Place::new();
    for (args, words) in [
        (&["--lisen", "x"][..], "unknown option --lisen; did you mean --listen?"),
        (&["-x"], "unknown option -x; --help prints all options"),
        (&["-c"], "option -c needs a value"),
        (&["sned"], "unknown command 'sned'; did you mean 'send'?"),
        (&["dance"], "unknown command 'dance'; commands are: "),
        (&["--headless", "sink"], "the command comes first: mailflux sink [OPTIONS]"),
        (&["--headless", "--console"], "leave out --console or --headless"),
        (&["--demo", "-d", "x"], "--demo has a scratch spool of its own; leave out -d"),
        (&["--demo", "-c", "x"], "--demo reads no configuration file; leave out -c"),
        (&["sink"], "which address? mailflux sink ADDRESS:PORT [--store DIR]"),
        (&["sink", "2526"], "'2526' needs an address; write 127.0.0.1:2526"),
        (&["sink", "127.0.0.1:0", "x"], "which address?"),
        (&["\x1b[2J"], "unknown command '\\x1b[2J'"),
    ] {
        let ended = place.run(args);
        assert_eq!((ended.code, ended.stdout.as_str()), (64, ""), "{args:?}");
        assert!(ended.stderr.starts_with(words), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn an_argument_that_is_not_utf8_is_64() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new();
    let mut command = place.mailflux(&[]);
    command.arg(OsStr::from_bytes(b"-d\xff"));
    let ended = feed(command, b"");
    let words = "the argument -d\\xff is not UTF-8\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (64, words));
}
