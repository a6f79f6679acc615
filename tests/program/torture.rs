//! What the crash tests do to the server beside killing it: clients that break the rules,
//! smtp-source, a system that fails.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::client::Client;
use crate::pause;
use crate::server::{Server, Setup, tool};

/// What the server has promised.
#[derive(Default)]
pub struct Ledger {
    acknowledged: Mutex<BTreeSet<String>>,
    over: AtomicBool,
}

impl Ledger {
    /// This message was answered 250.
    pub fn acknowledge(&self, name: String) {
        self.acknowledged.lock().unwrap().insert(name);
    }

    /// Everything that was answered 250.
    pub fn snapshot(&self) -> BTreeSet<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    pub fn len(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// The clients are to end.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

/// The content of a message follows from its name, so that a change in it shows.
pub fn content(name: &str) -> String {
    let line = format!(".{name}\r\n");
    // Some are larger than what the spool keeps in memory.
    let lines = if name.ends_with("-large") { 20_000 } else { 20 };
    format!("Subject: {name}\r\n\r\n{}", line.repeat(lines))
}

/// A client that breaks rules in turn. What it sends whole and hears 250 for counts like any other;
/// what it never sends whole, or what is too large, is called so and must never arrive.
pub fn hostile_client(number: usize, address: SocketAddr, ledger: Arc<Ledger>) -> JoinHandle<()> {
    thread::spawn(move || {
        for count in number.. {
            if ledger.is_over() {
                return;
            }
            if misbehave(count % 6, &format!("h{number}-{count}"), address, &ledger).is_err() {
                pause();
            }
        }
    })
}

const COMMANDS: &str = "EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n";

fn misbehave(how: usize, name: &str, address: SocketAddr, ledger: &Ledger) -> io::Result<()> {
    let mut client = Client::silent(address)?;
    client.write_timeout(Duration::from_millis(200));
    let stuffed = content(name).replace("\r\n.", "\r\n..");
    let whole = format!("{COMMANDS}{stuffed}.\r\nQUIT\r\n");
    match how {
        // In pieces that end anywhere.
        0 => {
            for piece in whole.as_bytes().chunks(37) {
                client.send(piece)?;
                thread::yield_now();
            }
            if replies(&mut client)? {
                ledger.acknowledge(name.into());
            }
        }
        // All at once, two messages, content behind DATA without waiting.
        1 => {
            let second = whole.replace(name, &format!("{name}-b")).replace("EHLO x\r\n", "");
            client.send(whole.replace("QUIT\r\n", "") + &second)?;
            for (name, last) in [(name.to_owned(), false), (format!("{name}-b"), true)] {
                let before = if last { 3 } else { 5 };
                for _ in 0..before {
                    client.reply()?;
                }
                if client.reply()?.code == 250 {
                    ledger.acknowledge(name);
                }
            }
        }
        // Reset in the middle of the content.
        2 => {
            let never = whole.replace(name, &format!("{name}-never"));
            client.send(&never[..never.len() - 60])?;
            client.reset();
        }
        // Never reads.
        3 => while client.send("HELP\r\n".repeat(500)).is_ok() {},
        // More than the server takes, or would take in one line.
        4 => {
            let line = format!("{}\r\n", "x".repeat(5000));
            client.send(format!("{line}{COMMANDS}Subject: {name}-never\r\n\r\n"))?;
            for _ in 0..60_000_000 / line.len() {
                client.send(&line)?;
            }
        }
        // Gone in the middle of a command.
        _ => client.send("EHLO x\r\nMAIL FROM:<a@exam")?,
    }
    Ok(())
}

/// Reads replies up to that to the message; whether it was 250.
fn replies(client: &mut Client) -> io::Result<bool> {
    for _ in 0..5 {
        client.reply()?;
    }
    Ok(client.reply()?.code == 250)
}

/// Postfix's load generator, which counts the messages that it has sent, one after the other; it
/// ends at the first that is not acknowledged.
pub struct Source {
    child: Child,
}

impl Source {
    /// Starts one; none where it is not installed.
    pub fn start(address: SocketAddr) -> Option<Source> {
        let mut command = Command::new(tool("smtp-source")?);
        command.args(["-c", "-s", "1", "-m", "100000", "-l", "2000", "-R", "1"]);
        command.args(["-f", "source@example.org", "-t", "b@example.org"]);
        command.arg(address.to_string()).stdout(Stdio::piped()).stderr(Stdio::null());
        Some(Source { child: command.spawn().unwrap() })
    }

    /// How many of its messages were acknowledged, at least: all that it sent but the last.
    pub fn acknowledged(mut self) -> usize {
        let _ = self.child.kill();
        let output = self.child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = text.split(|c: char| !c.is_ascii_digit()).rfind(|n| !n.is_empty());
        last.map_or(0, |n| n.parse::<usize>().unwrap().saturating_sub(1))
    }
}

/// What the system does to the server while it lives.
pub enum Fault {
    None,
    /// Flushes, writes, removals and opens fail with EIO now and then.
    Io,
    /// Hardly any descriptors.
    FewDescriptors,
}

impl Fault {
    /// Starts the server in such a system.
    pub fn start(&self, setup: &Setup) -> Server {
        let ours = setup.command();
        let mut command = match self {
            Fault::None => return setup.start(),
            Fault::Io => {
                let mut command = Command::new(tool("strace").unwrap());
                // -D: what is started, and killed in the end, is the server and not strace.
                command.args(["-D", "-f", "-o", "/dev/null"]);
                let calls =
                    ["fdatasync,fsync", "write,writev,pwrite64,pwritev", "unlink", "openat"];
                command.arg("-e").arg(format!("trace={}", calls.join(",")));
                let mut random = fastrand::Rng::new();
                for (calls, first) in calls.iter().zip([4, 200, 3, 200]) {
                    let (first, step) = (first + random.u32(..9), random.u32(5..40));
                    command.arg("-e").arg(format!("inject={calls}:error=EIO:when={first}+{step}"));
                }
                command
            }
            Fault::FewDescriptors => {
                let mut command = Command::new("sh");
                command.args(["-c", "ulimit -n 32; exec \"$0\" \"$@\""]);
                command
            }
        };
        command.arg(ours.get_program()).args(ours.get_args()).current_dir(setup.dir.path());
        // Where not even the start succeeds the server ends, as it should, and lives once without.
        setup.try_start_on(command, "/dev/null").unwrap_or_else(|_| setup.start())
    }
}

/// A small file system of its own; gone when it is dropped.
pub struct Mount(PathBuf);

impl Mount {
    /// Of three MiB; none, aloud, without the right to mount one.
    pub fn small(at: &Path) -> Option<Mount> {
        std::fs::create_dir(at).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=3m,mode=700", "small"]).arg(at);
        if !command.output().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: no right to mount a small file system");
            return None;
        }
        Some(Mount(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
