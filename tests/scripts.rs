//! scripts/run, scripts/test and scripts/install, with a cargo, a package manager and a program
//! that only say how they were called; and what docs say of tests.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A folder that stands for a machine: its PATH, its builds, its home, a working folder.
struct Machine(TempDir);

impl Machine {
    fn new() -> Machine {
        let machine = Machine(TempDir::new().unwrap());
        script(&machine.path("bin/cargo"), "exit 0");
        script(&machine.path("bin/rustc"), "echo 'rustc 1.85.0 (x)'");
        script(&machine.path("bin/cc"), "cat >/dev/null; exit 0");
        script(&machine.path("target/release/mailflux"), "pwd\nprintf '%s\\n' \"$@\"");
        fs::create_dir(machine.path("here")).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn call(&self, script: &str, args: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        Command::new(root().join(script))
            .args(args)
            .current_dir(self.path("here"))
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("CARGO_TARGET_DIR", self.path("target"))
            .env_remove("XDG_CONFIG_HOME")
            .output()
            .unwrap()
    }

    /// The arguments that the program got, in which folder it ran.
    fn run(&self, args: &[&str]) -> Vec<String> {
        let output = self.call("scripts/run", args);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines = text.lines().map(String::from);
        let folder = lines.next().unwrap();
        assert_eq!(fs::canonicalize(folder).unwrap(), fs::canonicalize(self.path("here")).unwrap());
        lines.filter(|line| !line.is_empty()).collect()
    }
}

#[test]
fn run_finds_the_configuration_of_the_repository() {
    if Path::new("/etc/mailflux/mailflux.ini").exists() {
        eprintln!("skipped: this machine has a configuration of its own");
        return;
    }
    let machine = Machine::new();
    let ini = fs::canonicalize(root()).unwrap().join("mailflux.ini");
    let ini = ini.to_str().unwrap();
    assert_eq!(machine.run(&[]), ["-c", ini]);
    assert_eq!(machine.run(&["-d", "a b"]), ["-c", ini, "-d", "a b"]);
    assert_eq!(machine.run(&["ctl", "status"]), ["ctl", "-c", ini, "status"]);
    // Told of one, or a subcommand that takes none.
    for args in [
        &["-c", "x.ini"][..],
        &["-cx.ini"],
        &["-d", "s", "--config", "x.ini"],
        &["--config=x.ini"],
        &["sink", "127.0.0.1:1"],
        &["ctl", "-c", "x.ini", "status"],
    ] {
        assert_eq!(machine.run(args), args);
    }
    // One in the working folder, or in the user's settings, comes first.
    fs::create_dir_all(machine.path("home/.config/mailflux")).unwrap();
    for place in ["home/.config/mailflux/mailflux.ini", "here/mailflux.ini"] {
        fs::write(machine.path(place), "").unwrap();
        assert_eq!(machine.run(&["--headless"]), ["--headless"]);
        fs::remove_file(machine.path(place)).unwrap();
    }
}

#[test]
fn run_passes_on_how_the_program_ended() {
    let machine = Machine::new();
    script(&machine.path("target/release/mailflux"), "exit 78");
    assert_eq!(machine.call("scripts/run", &[]).status.code(), Some(78));
    script(&machine.path("bin/cargo"), "exit 101");
    let output = machine.call("scripts/run", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the build failed"), "{output:?}");
}

#[test]
fn old_rust_is_told_so() {
    let machine = Machine::new();
    script(&machine.path("bin/rustc"), "echo 'rustc 1.84.1 (x)'");
    let output = machine.call("scripts/run", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("1.85"), "{output:?}");
}

#[test]
fn test_counts_and_fails_with_its_runner() {
    let machine = Machine::new();
    let summary = "echo '     Summary [   1.2s] 5 tests run: 5 passed, 2 skipped'";
    let cargo = |code: u8| format!("case $1:$2 in nextest:run) {summary}; exit {code} ;; esac");
    script(&machine.path("bin/cargo"), &cargo(0));
    // Every program is there, so that nothing is installed here.
    for tool in ["python3", "curl", "swaks", "msmtp", "smtp-source", "smtp-sink", "strace"] {
        script(&machine.path("bin").join(tool), "exit 0");
    }
    let output = machine.call("scripts/test", &["some"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(said.ends_with("scripts/test: 5 tests passed, 0 failed\n"), "{said}");
    script(&machine.path("bin/cargo"), &cargo(100));
    let output = machine.call(".ci/run", &["some"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cargo nextest"), "{output:?}");
}

/// What is missing is said, then installed; what cannot be installed is skipped, and said, too.
#[test]
fn missing_programs_are_installed() {
    // Where both are one folder, the machine's own programs cannot be hidden.
    if fs::canonicalize("/usr/sbin").ok() == fs::canonicalize("/usr/bin").ok() {
        eprintln!("skipped: /usr/sbin is /usr/bin here");
        return;
    }
    let machine = Machine::new();
    // A machine with nothing but a shell's own tools.
    for tool in ["sh", "dirname", "uname", "id", "grep", "mkdir", "tee", "awk", "cat", "env"] {
        let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
        let found = found.iter().find(|path| path.exists()).unwrap();
        std::os::unix::fs::symlink(found, machine.path("bin").join(tool)).unwrap();
    }
    // A package manager that has swaks only, and sudo for those who are not root.
    let swaks = machine.path("bin/swaks");
    let install = format!("echo '#!/bin/sh' >{0}; /bin/chmod +x {0}", swaks.display());
    let apt = format!("echo \"apt-get $*\"; case $* in *swaks*) {install} ;; *) exit 1 ;; esac");
    script(&machine.path("bin/apt-get"), &apt);
    script(&machine.path("bin/sudo"), "[ \"$1\" != -n ] || shift; exec \"$@\"");
    script(&machine.path("bin/debconf-set-selections"), "cat >/dev/null");
    let output = Command::new("/bin/sh")
        .arg(root().join("scripts/test"))
        .current_dir(machine.path("here"))
        .env("PATH", machine.path("bin"))
        .env("HOME", machine.path("home"))
        .env("CARGO_TARGET_DIR", machine.path("target"))
        .env_remove("MAILFLUX_INSTALL")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("swaks is missing: installing swaks with apt-get"), "{said}");
    assert!(said.contains("install -y --no-remove --no-install-recommends swaks"), "{said}");
    let skipped = said.lines().find(|line| line.contains("SKIPPED: the tests")).expect(&said);
    assert!(skipped.contains("msmtp") && !skipped.contains("swaks"), "{skipped}");
    assert!(output.status.success(), "{said}");
}

/// The installer on a machine, with DESTDIR on it.
fn install(machine: &Machine, system: &str, args: &[&str]) -> Output {
    let path = format!("{}:/usr/bin:/bin", machine.path("bin").display());
    Command::new(root().join("scripts/install"))
        .args(args)
        .current_dir(machine.path("here"))
        .env("PATH", path)
        .env("DESTDIR", machine.path("dest"))
        .env("CARGO_TARGET_DIR", machine.path("target"))
        .env("MAILFLUX_SYSTEM", system)
        .env_remove("MAILFLUX_BINARY")
        .output()
        .unwrap()
}

/// What is below a folder, with permissions.
fn files(folder: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.push((name, meta.permissions().mode() & 0o7777));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn install_puts_all_in_place_and_takes_it_away_again() {
    for (system, prefix, expected) in [
        (
            "Linux",
            None,
            &[
                ("etc/mailflux/mailflux.ini", 0o644),
                ("etc/systemd/system/mailflux.service", 0o644),
                ("etc/systemd/system/mailflux.socket", 0o644),
                ("etc/sysusers.d/mailflux.conf", 0o644),
                ("usr/local/bin/mailflux", 0o755),
                ("usr/local/share/man/man8/mailflux.8", 0o644),
            ][..],
        ),
        (
            "Darwin",
            Some("/opt/mail"),
            &[
                ("Library/LaunchDaemons/org.mailflux.plist", 0o644),
                ("opt/mail/bin/mailflux", 0o755),
                ("opt/mail/etc/mailflux/mailflux.ini", 0o644),
                ("opt/mail/share/man/man8/mailflux.8", 0o644),
            ],
        ),
    ] {
        let machine = Machine::new();
        let prefix = prefix.map(|prefix| ["--prefix", prefix]);
        let prefix: Vec<&str> = prefix.into_iter().flatten().collect();
        let output = install(&machine, system, &prefix);
        assert!(output.status.success(), "{output:?}");
        let names = |all: &[(&str, u32)]| -> Vec<(String, u32)> {
            all.iter().map(|(name, mode)| (name.to_string(), *mode)).collect()
        };
        let dest = machine.path("dest");
        assert_eq!(files(&dest), names(expected));
        let ini = expected.iter().find(|(name, _)| name.ends_with(".ini")).unwrap().0;
        for (name, _) in expected.iter().filter(|(name, _)| !name.ends_with("bin/mailflux")) {
            let text = fs::read_to_string(dest.join(name)).unwrap();
            assert!(!text.contains("@BIN@") && !text.contains("@ETC@"), "{name}: {text}");
            if name.ends_with(".service") || name.ends_with(".plist") {
                assert!(text.contains(&format!("/{ini}")), "{name}: {text}");
            }
        }
        // Once more: what somebody has edited stays.
        fs::write(dest.join(ini), "mine").unwrap();
        assert!(install(&machine, system, &prefix).status.success());
        assert_eq!(fs::read_to_string(dest.join(ini)).unwrap(), "mine");
        let output = install(&machine, system, &[&prefix[..], &["--uninstall"]].concat());
        assert!(output.status.success(), "{output:?}");
        assert_eq!(files(&dest), [(ini.to_owned(), 0o644)]);
    }
}

#[test]
fn install_refuses_what_it_cannot_mean() {
    let machine = Machine::new();
    for args in [&["--prefix"][..], &["--prefix", "here"], &["--prefix", "/a|b"], &["now"]] {
        let output = install(&machine, "Linux", args);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {output:?}");
        assert!(!machine.path("dest").exists());
    }
}

/// The configuration that is installed lacks a next server, and nothing else.
#[test]
fn the_configuration_of_a_system_is_right() {
    let machine = Machine::new();
    assert!(install(&machine, "Linux", &[]).status.success());
    let check = |next: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailflux"));
        command.args(["--check-config", "-c"]);
        command.arg(machine.path("dest/etc/mailflux/mailflux.ini")).args(next);
        command.env_remove("MAILFLUX_LOG").output().unwrap()
    };
    assert_eq!(check(&[]).status.code(), Some(78));
    let output = check(&["-n", "mail.example.org"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("/var/lib/mailflux/spool"), "{text}");
}

/// Runs a program that judges files; it must find nothing to say of ours.
fn judge(command: &mut Command) {
    match command.output() {
        Err(_) => eprintln!("skipped: {:?} is not installed", command.get_program()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!said.contains("mailflux"), "{output:?}");
        }
    }
}

#[test]
fn unit_files_and_manual_are_well_formed() {
    let machine = Machine::new();
    assert!(install(&machine, "Linux", &[]).status.success());
    let units = machine.path("dest/etc/systemd/system");
    // The program is not where it will be.
    let service = units.join("mailflux.service");
    let text = fs::read_to_string(&service).unwrap();
    fs::write(&service, text.replace("/usr/local/bin/mailflux", "/bin/sh")).unwrap();
    judge(
        Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .args([service, units.join("mailflux.socket")]),
    );
    judge(
        Command::new("groff")
            .args(["-man", "-ww", "-z", "-Tutf8"])
            .arg(root().join("docs/mailflux.8")),
    );
    let plist = root().join("scripts/org.mailflux.plist");
    judge(
        Command::new("python3")
            .args(["-c", "import plistlib, sys; plistlib.load(open(sys.argv[1], 'rb'))"])
            .arg(plist),
    );
}

/// docs/security.md and docs/macos.md name tests; each is there.
#[test]
fn tests_that_documents_name_exist() {
    let mut code = String::new();
    for folder in ["src", "tests"] {
        for (name, _) in files(&root().join(folder)) {
            if name.ends_with(".rs") {
                code += &fs::read_to_string(root().join(folder).join(name)).unwrap();
            }
        }
    }
    for document in ["security.md", "macos.md"] {
        let text = fs::read_to_string(root().join("docs").join(document)).unwrap();
        let quoted = text.split('`').skip(1).step_by(2);
        let tests: Vec<&str> = quoted
            .filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
            .filter(|word| word.matches('_').count() >= 3)
            .collect();
        assert!(!tests.is_empty(), "{document}");
        for test in tests {
            assert!(code.contains(&format!("fn {test}(")), "{document} names {test}");
        }
        let dialogs = text.split('`').skip(1).step_by(2).filter(|word| word.ends_with(".smtp"));
        for dialog in dialogs {
            assert!(root().join("tests/dialogs").join(dialog).exists(), "{document}: {dialog}");
        }
    }
}
