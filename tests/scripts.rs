//! scripts/run and scripts/test, with a cargo, a package manager and a program that only say how
//! they were called.

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
