//! Starts the built program in a scratch folder, on free ports; kills it by its process id.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::client::Client;
use crate::wait_for;

/// The program under test.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailflux"));
    command.env_remove("MAILFLUX_LOG").stdin(Stdio::null());
    command
}

/// Runs a command that must end by itself.
pub fn run_to_end(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the end of a command", || child.try_wait().unwrap());
    child.wait_with_output().unwrap()
}

/// A port of 127.0.0.1 that is free now. Below the range that systems give to outgoing
/// connections, so that none of those takes it while its server is being restarted.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Tests run side by side in processes of their own: start at different places.
        let n = std::process::id().wrapping_mul(211) + NEXT.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::from(([127, 0, 0, 1], 12_000 + (n % 20_000) as u16));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A server that is to be started, perhaps more than once on the same spool.
pub struct Setup {
    pub dir: TempDir,
    pub address: SocketAddr,
    args: Vec<String>,
}

impl Setup {
    /// A server in a new folder that forwards to `next`.
    pub fn new(next: SocketAddr) -> Setup {
        let dir = TempDir::new().unwrap();
        // A configuration of its own, so that none of the machine's is found.
        fs::write(dir.path().join("mailflux.ini"), "[server]\nhostname = mx.example.org\n")
            .unwrap();
        let address = free_address();
        let args = ["--headless", "-d", "spool", "-l", &address.to_string(), "-n"];
        let mut args: Vec<String> = args.map(String::from).to_vec();
        args.push(next.to_string());
        Setup { dir, address, args }
    }

    /// Adds `--set SECTION.KEY=VALUE`.
    pub fn set(mut self, setting: &str) -> Setup {
        self.args.extend(["--set".into(), setting.into()]);
        self
    }

    /// The spool's folder.
    pub fn spool(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    /// The files that hold messages now.
    pub fn queue_files(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.spool().join("queue")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The command line that starts this server.
    pub fn command(&self) -> Command {
        let mut command = program();
        command.args(&self.args).current_dir(self.dir.path());
        command
    }

    /// The same with another word in the place of `--headless`.
    pub fn command_with(&self, instead: &str) -> Command {
        let mut command = program();
        command.arg(instead).args(&self.args[1..]).current_dir(self.dir.path());
        command
    }

    /// Starts it and waits until it greets.
    pub fn start(&self) -> Server {
        self.start_as(self.command())
    }

    /// The same with a command line that only ends in ours.
    pub fn start_as(&self, command: Command) -> Server {
        self.start_on(command, "/dev/null")
    }

    /// The same, with this file as its input.
    pub fn start_on(&self, command: Command, input: &str) -> Server {
        self.try_start_on(command, input).unwrap_or_else(|server| {
            panic!("the server ended instead of starting\n{}", server.log());
        })
    }

    /// The same, and the server may end instead of starting.
    pub fn try_start_on(&self, mut command: Command, input: &str) -> Result<Server, Box<Server>> {
        let input = fs::File::open(input).unwrap();
        let log_path = self.dir.path().join("log");
        let log = fs::OpenOptions::new().create(true).append(true).open(&log_path).unwrap();
        command.stdin(input).stdout(log.try_clone().unwrap()).stderr(log);
        let mut server =
            Server { child: command.spawn().unwrap(), address: self.address, log_path };
        let greets = wait_for("the server's greeting", || {
            if server.child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            greets(self.address).then_some(true)
        });
        if greets { Ok(server) } else { Err(Box::new(server)) }
    }
}

fn greets(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut octets = [0; 3];
    stream.read_exact(&mut octets).is_ok() && octets == *b"220"
}

/// A running server; killed when it is dropped.
pub struct Server {
    child: Child,
    address: SocketAddr,
    log_path: PathBuf,
}

impl Server {
    /// A client that has read the greeting.
    pub fn connect(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    /// A client that has said EHLO.
    pub fn ehlo(&self) -> Client {
        let mut client = self.connect();
        client.command("EHLO client.example.com").expect(250);
        client
    }

    /// What it wrote to stdout and stderr.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log_path).unwrap_or_default()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the end of the server", || self.child.try_wait().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- the server's log:\n{}", self.log());
        }
    }
}

/// The first of these programs that is on this machine; none is said aloud, so that a skipped
/// test is seen to be one.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/usr/libexec/postfix"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|path| is_program(path));
    if found.is_none() {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

fn is_program(path: &Path) -> bool {
    path.is_file()
}
