//! Peers that vanish without a packet: the server in one network namespace, its peers in another,
//! and the line between them is cut in the middle of a message.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::server::{Setup, free_address, program, run_to_end, tool};
use crate::wait_for;

const OURS: &str = "10.77.0.1";
const THEIRS: &str = "10.77.0.2";

/// Two namespaces and a line between them; gone when it is dropped.
struct Line {
    ours: String,
    theirs: String,
}

impl Line {
    /// None where they cannot be made.
    fn new() -> Option<Line> {
        tool("ip")?;
        let id = std::process::id();
        let line = Line { ours: format!("mf{id}a"), theirs: format!("mf{id}b") };
        let Line { ours, theirs } = &line;
        if !Command::new("ip").args(["netns", "add", ours]).output().unwrap().status.success() {
            eprintln!("skipped: no network namespace may be made here");
            return None;
        }
        ip(&format!("netns add {theirs}"));
        ip(&format!("link add {ours} netns {ours} type veth peer name {theirs} netns {theirs}"));
        for (end, address) in [(ours, OURS), (theirs, THEIRS)] {
            ip(&format!("-n {end} address add {address}/24 dev {end}"));
            ip(&format!("-n {end} link set lo up"));
            ip(&format!("-n {end} link set {end} up"));
        }
        // The system gives up after seconds instead of a quarter of an hour.
        let patience = "echo 3 >/proc/sys/net/ipv4/tcp_retries2";
        assert!(line.here(Command::new("sh").args(["-c", patience])).status().unwrap().success());
        Some(line)
    }

    /// This command on our side.
    fn here(&self, command: &Command) -> Command {
        inside(&self.ours, command)
    }

    /// The far end goes down, or comes back.
    fn set(&self, state: &str) {
        ip(&format!("-n {0} link set {0} {state}", self.theirs));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        for end in [&self.ours, &self.theirs] {
            let _ = Command::new("ip").args(["netns", "del", end]).output();
        }
    }
}

fn ip(words: &str) {
    let out = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(out.status.success(), "ip {words}: {}", String::from_utf8_lossy(&out.stderr));
}

fn inside(namespace: &str, command: &Command) -> Command {
    let mut inside = Command::new("ip");
    inside.args(["netns", "exec", namespace]).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        inside.current_dir(folder);
    }
    inside
}

/// Something that runs, and is ended with the test.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Running {
        Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn said(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.0.stdout.take().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn hears(said: &mut BufReader<ChildStdout>, words: &str) {
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), words);
}

/// A peer of vanish.py on the far side.
fn peer(line: &Line, role: &str, address: &str, port: u16) -> Option<Running> {
    let mut python = Command::new(tool("python3")?);
    python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/vanish.py"));
    python.args([role, address, &port.to_string()]);
    Some(Running::start(inside(&line.theirs, &python)))
}

/// A server on our side that listens on the line, started.
fn relay(line: &Line, setup: &Setup) -> Running {
    let mut command = setup.command();
    command.args(["--set", &format!("server.listen={OURS}:{}", setup.address.port())]);
    let server = Running::start(line.here(&command));
    wait_for("an answer", || (setup.ctl(&["status"]).0 == 0).then_some(()));
    server
}

fn next_port() -> (u16, Setup) {
    let port = free_address().port();
    let setup = Setup::new(format!("{THEIRS}:{port}").parse().unwrap())
        .set("server.timeout=1s")
        .set(&format!("server.relay_from={OURS}, {THEIRS}"))
        .set("next_server.connections=1")
        .set("queue.retry_min=1s")
        .set("queue.retry_max=1s")
        .set("queue.interval=100ms");
    (port, setup)
}

/// A message from our side.
fn submit(line: &Line, setup: &Setup, content: &str) {
    let file = setup.dir.path().join("message");
    fs::write(&file, content).unwrap();
    let mut send = program();
    let server = format!("{OURS}:{}", setup.address.port());
    send.args(["send", "-l", &server, "-f", "ann@example.org", "bob@example.net"]);
    let mut send = line.here(&send);
    let out = run_to_end(send.stdin(fs::File::open(&file).unwrap()));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// A client that vanishes in the middle of its message costs nothing for long, and what it had not
/// ended is nobody's mail.
#[test]
fn a_client_that_vanishes_is_given_up() {
    let Some(line) = Line::new() else { return };
    let (_, setup) = next_port();
    let server = relay(&line, &setup);
    let sockets = || {
        let folder = fs::read_dir(format!("/proc/{}/fd", server.0.id())).unwrap();
        let targets = folder.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        targets.filter(|to| to.to_str().is_some_and(|to| to.starts_with("socket:"))).count()
    };
    let sessions = || setup.json(&["sessions"])["sessions"].as_array().unwrap().len();
    let before = sockets();
    let Some(mut client) = peer(&line, "client", OURS, setup.address.port()) else { return };
    hears(&mut client.said(), "middle");
    assert_eq!(sessions(), 1);

    line.set("down");
    wait_for("the end of the session", || (sessions() == 0).then_some(()));
    wait_for("the end of its socket", || (sockets() <= before).then_some(()));
    assert!(setup.queue_files().is_empty());
}

/// A next server that vanishes in the middle of a message, and then cannot be reached: the message
/// waits, and arrives once when the line is back.
#[test]
fn a_next_server_that_vanishes_gets_the_message_later() {
    let Some(line) = Line::new() else { return };
    let (port, setup) = next_port();
    let Some(mut next) = peer(&line, "next", THEIRS, port) else { return };
    let mut said = next.said();
    hears(&mut said, "ready");
    let _server = relay(&line, &setup);
    // More than the buffers of a connection hold.
    let content = format!("Subject: x\r\n\r\n{}", "a line of it\r\n".repeat(1 << 20));
    submit(&line, &setup, &content);
    hears(&mut said, "middle");

    line.set("down");
    let last_reply = || {
        let queue = setup.json(&["queue"]);
        queue["messages"][0]["recipients"][0]["last_reply"].as_str().unwrap_or("").to_owned()
    };
    let first =
        wait_for("the end of the connection", || Some(last_reply()).filter(|s| !s.is_empty()));
    assert!(first.starts_with("451 4.4.2 "), "{first}");
    wait_for("a try in vain", || last_reply().starts_with("451 4.4.1 ").then_some(()));
    assert_eq!(setup.queue_files().len(), 1);

    line.set("up");
    wait_for("an empty queue", || setup.queue_files().is_empty().then_some(()));
    let mut arrived = String::new();
    said.read_line(&mut arrived).unwrap();
    let octets: usize = arrived.trim_end().strip_prefix("mail ").unwrap().parse().unwrap();
    // Its content and our Received field.
    assert!(octets > content.len() && octets < content.len() + 500, "{octets}");
}
