//! `--demo`: the server with a sink behind it, a client before it, and a spool that goes away.
//!
//! The configuration file is not read, so that sample mail reaches no real server. The client is a
//! process of its own, since the server has one thread and it is not the client's.

use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;
use std::{env, fs};

use super::{run, send};
use crate::base::{BodyType, Failure, MessageId, Printable, Recipient, cause, exit};
use crate::config::{Override, Purpose, Sources, load};
use crate::demo::{Sample, Samples};
use crate::reactor::wall_clock;
use crate::smtp::client::Transaction;
use crate::sys;

/// The name of the client among the commands.
pub(super) const CLIENT: &str = "demo-client";
/// Between two messages.
const PACE: Duration = Duration::from_millis(700);
/// So many attempts without a server are the end.
const ATTEMPTS: u32 = 5;

/// Runs the demonstration until the server is told to end. The spool is a scratch one and the sink
/// the only next server, whatever else is set: sample mail must not get to anybody.
pub(super) fn run(mut sources: Sources, console: bool) -> Result<(), Failure> {
    let scratch = Scratch::create()?;
    let folder = scratch.0.display();
    // Where it is reached is the only one of these that may be said: it leads to nobody.
    let control = set("server.control", &format!("{folder}/spool/control.sock"));
    sources.overrides.insert(0, control);
    for (name, value) in [
        ("server.spool", format!("{folder}/spool")),
        ("sink.listen", "127.0.0.1:0".to_owned()),
        ("sink.store", String::new()),
        ("next_server.host", String::new()),
    ] {
        sources.overrides.push(set(name, &value));
    }
    let mut config = load(&sources)?;
    config.routes.clear();
    // The scratch folder is ours.
    config.server.user = None;
    config.next_servers.retain(|server| server.is_sink);
    let at = config.server.listen.first().map(ToString::to_string).unwrap_or_default();
    let client = env::current_exe().and_then(|me| Command::new(me).args([CLIENT, &at]).spawn());
    let client = client.map_err(|e| {
        let message = format!("cannot start the demonstration's client: {}", cause(&e));
        Failure::new(exit::SYSTEM, message)
    })?;
    let _client = EndWithUs(client);
    run::serve(config, console)
}

/// A setting of the demonstration's own.
fn set(name: &str, value: &str) -> Override {
    let (shown, given_by) = ("--demo".to_owned(), "--demo".to_owned());
    Override { shown, given_by, name: name.to_owned(), value: value.to_owned() }
}

/// The client: sends samples until the server is gone.
pub(super) fn client(args: &[String]) -> Result<(), Failure> {
    let listen = set("server.listen", args.first().map_or("", String::as_str));
    let sources = Sources { overrides: vec![listen], purpose: Purpose::Find, ..Sources::default() };
    let config = load(&sources)?;
    let mut samples = Samples::new(wall_clock().as_micros().unsigned_abs());
    let mut failures = 0;
    while failures < ATTEMPTS {
        sys::pause(PACE);
        let sample = samples.sample(wall_clock());
        match send::deliver(&config, transaction(&sample), &sample.content) {
            Ok(()) => failures = 0,
            Err(_) => failures += 1,
        }
    }
    Ok(())
}

fn transaction(sample: &Sample) -> Transaction {
    let recipients = sample.recipients.iter().cloned().map(Recipient::new);
    Transaction {
        message: MessageId { counter: 0, arrived: 0 },
        from: sample.from.clone(),
        body: if sample.is_8bit() { BodyType::EightBitMime } else { BodyType::SevenBit },
        utf8: false,
        ret: None,
        envid: None,
        size: sample.content.len() as u64,
        recipients: (0..).zip(recipients).collect(),
    }
}

/// A folder for the time of the program.
struct Scratch(PathBuf);

impl Scratch {
    fn create() -> Result<Scratch, Failure> {
        let parent = env::temp_dir();
        loop {
            let path = parent.join(format!("mailflux-demo-{:08x}", fastrand::u32(..)));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Scratch(path)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => {
                    let path = Printable::new(path.display().to_string());
                    let message = format!("cannot create {path}: {}; see TMPDIR", cause(&e));
                    return Err(Failure::new(exit::CANNOT_CREATE, message));
                }
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A child that is ended with its parent.
struct EndWithUs(Child);

impl Drop for EndWithUs {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
