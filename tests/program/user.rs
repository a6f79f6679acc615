//! `server.user`: what a server that is started as root does as root, and what it cannot do after.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use crate::next::{Act, Next, Stage};
use crate::server::{Server, Setup, free_address, run_to_end, tool};

const USER: &str = "nobody";

/// The number of the user of these tests; none, said aloud, where the tests do not run as root.
fn root_and_user() -> Option<u32> {
    let id = |args: &[&str]| {
        let output = Command::new("id").args(args).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        eprintln!("skipped: only root can become another user");
        return None;
    }
    let user = id(&["-u", USER]);
    if user.is_none() {
        eprintln!("skipped: there is no user {USER} here");
    }
    user
}

/// A port that only root may bind.
fn low_address() -> SocketAddr {
    let ports = (600..1000).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let start = std::process::id() as usize % 400;
    let mut ports = ports.cycle().skip(start).take(400);
    ports.find(|at| TcpListener::bind(at).is_ok()).unwrap()
}

/// A server that becomes the user, in a folder where the user may go but not write.
fn setup() -> Setup {
    open_setup(Setup::new(free_address()))
}

fn open_setup(setup: Setup) -> Setup {
    open(setup.dir.path(), 0o755);
    setup.set(&format!("server.user={USER}"))
}

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Real, effective and saved number, and that of the file system, where the system tells.
fn numbers(server: &Server, what: &str) -> Option<Vec<u32>> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    Some(line.split_whitespace().map(|n| n.parse().unwrap()).collect())
}

#[test]
fn root_binds_and_the_user_serves() {
    let Some(user) = root_and_user() else { return };
    let low = low_address();
    let setup = setup().set(&format!("listener.low.listen={low}"));
    let server = setup.start();
    if let Some(ids) = numbers(&server, "Uid:") {
        assert_eq!(ids, [user; 4]);
        assert_eq!(numbers(&server, "Groups:").unwrap().iter().find(|group| **group == 0), None);
        assert!(numbers(&server, "Gid:").unwrap().iter().all(|group| *group != 0));
    }
    let mut client = crate::client::Client::connect(low).unwrap();
    client.command("EHLO client.example.com").expect(250);
    client.mail("a@example.org", &["b@example.org"], "Subject: x\r\n\r\n");
    // The past is written down when somebody asks for it.
    setup.say(&["sessions", "last=10m"]);
    // All that the server made is the user's, and nobody else's business.
    let mut folders = vec![setup.spool()];
    let mut names = vec![];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let found = entry.metadata().unwrap();
            assert_eq!((found.uid(), found.mode() & 0o077), (user, 0), "{:?}", entry.path());
            names.push(entry.file_name().into_string().unwrap());
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    for name in ["queue", "history", "lock", "control.sock"] {
        assert!(names.iter().any(|n| n == name), "{name}: {names:?}");
    }
    assert!(server.log().contains("running as 'nobody'"), "{}", server.log());
    assert!(!server.log().contains("running as root"), "{}", server.log());
}

/// A spool that root has worked in, mail and all, becomes the user's; so it stays.
#[test]
fn roots_spool_becomes_the_users() {
    let Some(user) = root_and_user() else { return };
    let plain = Setup::new(free_address());
    let server = plain.start();
    server.ehlo().mail("a@example.org", &["b@example.org"], "Subject: x\r\n\r\n");
    assert_eq!(server.log().matches("running as root").count(), 1, "{}", server.log());
    server.kill();
    open(plain.dir.path(), 0o755);
    let setup = plain.set(&format!("server.user={USER}"));
    for _ in 0..2 {
        let server = setup.start();
        assert_eq!(setup.json(&["status"])["queue"], 1);
        assert_eq!(fs::metadata(&setup.queue_files()[0]).unwrap().uid(), user);
        server.kill();
    }
}

/// What root read at the start is kept; what cannot be read again is said, then and at a reload.
#[test]
fn a_reload_says_what_the_user_may_not_read() {
    let Some(_) = root_and_user() else { return };
    let setup = setup().set("auth.users=users");
    let users = setup.dir.path().join("users");
    fs::write(&users, "").unwrap();
    open(&users, 0o600);
    let server = setup.start();
    assert!(server.log().contains("'nobody' may not read"), "{}", server.log());
    let (code, _, told) = setup.ctl(&["config", "reload"]);
    assert_eq!(code, 1, "{told}");
    for words in ["permission denied", "the server runs as 'nobody' (server.user)", "users"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    server.ehlo().command("NOOP").expect(250);
    open(&users, 0o644);
    let told = setup.say(&["config", "reload"]);
    assert!(told.contains("read again"), "{told}");
}

#[test]
fn low_ports_are_out_of_reach_after() {
    let Some(_) = root_and_user() else { return };
    let low = low_address();
    let setup = setup();
    let server = setup.start();
    let listen = format!("{},{low}", setup.address);
    let (code, said, told) = setup.ctl(&["config", "set", "server.listen", &listen]);
    if code == 0 {
        eprintln!("skipped: everybody may bind {low} here: {said}");
        return;
    }
    for words in ["permission denied", "runs as 'nobody'", "start the server anew"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    server.ehlo().command("NOOP").expect(250);
}

#[test]
fn users_that_cannot_be_are_refused() {
    let fails = |user: &str, exit: i32, words: &str| {
        let setup = Setup::new(free_address()).set(&format!("server.user={user}"));
        for last in [None, Some("--check-config")] {
            let output = run_to_end(setup.command().args(last));
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!((output.status.code(), told.lines().count()), (Some(exit), 1), "{told}");
            assert!(told.contains(words), "{told}");
        }
        assert!(!setup.spool().exists());
    };
    fails("no-such-user-here", 78, "there is no user 'no-such-user-here'");
    fails("root", 78, "'root' is root");
}

/// Who is not root becomes nobody else; that user itself has nothing to become.
#[test]
fn only_root_becomes_another_user() {
    let Some(user) = root_and_user() else { return };
    let Some(setpriv) = tool("setpriv") else { return };
    let run = |setting: &str| {
        let setup = Setup::new(free_address()).set(setting);
        chown(setup.dir.path(), Some(user), None).unwrap();
        let server = setup.command();
        // Its folder may be out of the user's reach.
        let program = setup.dir.path().join("mailflux");
        fs::copy(server.get_program(), &program).unwrap();
        let mut command = Command::new(&setpriv);
        command.args([&format!("--reuid={user}"), "--clear-groups"]);
        command.arg(program).args(server.get_args()).current_dir(setup.dir.path());
        (setup, command)
    };
    let (_setup, mut command) = run("server.user=daemon");
    let output = run_to_end(&mut command);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(77), "{told}");
    assert!(told.contains("cannot become 'daemon' (server.user): only root can"), "{told}");
    let (setup, command) = run(&format!("server.user={USER}"));
    let server = setup.start_as(command);
    server.ehlo().command("NOOP").expect(250);
}

/// The password that only root could read serves as long as the server runs.
#[test]
fn a_password_of_root_is_kept() {
    let Some(_) = root_and_user() else { return };
    let next = Next::scripted(|moment| match moment.stage {
        Stage::Helo => Act::Say("250-next.example\r\n250 AUTH PLAIN\r\n".into()),
        Stage::Other if moment.line.starts_with("AUTH") => Act::Say("235 in\r\n".into()),
        _ => Act::Usual,
    });
    let setup = open_setup(Setup::new(next.address))
        .set("next_server.tls=none")
        .set("next_server.user=ann")
        .set("next_server.auth=plain")
        .set("next_server.auth_in_clear=yes")
        .set("next_server.password_file=password");
    let password = setup.dir.path().join("password");
    fs::write(&password, "hunter2\n").unwrap();
    open(&password, 0o600);
    let server = setup.start();
    assert!(server.log().contains("'nobody' may not read"), "{}", server.log());
    server.ehlo().mail("a@example.org", &["b@example.org"], "Subject: x\r\n\r\n");
    next.wait(1);
    let login = "AUTH PLAIN AGFubgBodW50ZXIy";
    assert!(next.lines().iter().any(|line| line == login), "{:?}", next.lines());
}
