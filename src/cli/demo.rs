//! `--demo`: the server with a sink behind it, a client before it, and a spool that goes away.
//!
//! The configuration file is not read, so that sample mail reaches no real server. The client is a
//! process of its own, since the server has one thread and it is not the client's.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;
use std::{env, fs};

use super::options::Invocation;
use super::send;
use crate::base::{BodyType, Failure, MessageId, Recipient, exit};
use crate::config::{self, Override, Purpose, Sources};
use crate::demo::{Sample, Samples};
use crate::logger;
use crate::reactor::{self, wall_clock};
use crate::smtp::client::Transaction;
use crate::sys;

/// The name of the client among the commands.
pub const CLIENT: &str = "demo-client";
/// Between two messages.
const PACE: Duration = Duration::from_millis(700);
/// So many attempts without a server are the end.
const ATTEMPTS: u32 = 5;

/// Runs the demonstration until the server is told to end.
pub fn run(mut invocation: Invocation) -> Result<(), Failure> {
    let scratch = Scratch::new()?;
    invocation.set("--demo", "server.spool", scratch.path.join("spool").display().to_string());
    invocation.set("--demo", "sink.listen", "127.0.0.1:0".to_owned());
    let config = config::load(&invocation.without_file())?;
    logger::set(&config.log);
    let at = config.server.listen.first().map(ToString::to_string).unwrap_or_default();
    let client = env::current_exe().and_then(|me| Command::new(me).args([CLIENT, &at]).spawn());
    let client = client
        .map_err(|e| Failure::new(exit::SYSTEM, format!("cannot start the demo's client: {e}")))?;
    let _client = EndWithUs(client);
    reactor::run(config)
}

/// The client: sends samples until the server is gone.
pub fn client(args: &[String]) -> Result<(), Failure> {
    let listen = Override {
        shown: "--demo".to_owned(),
        given_by: "--demo".to_owned(),
        name: "server.listen".to_owned(),
        value: args.first().cloned().unwrap_or_default(),
    };
    let sources = Sources { overrides: vec![listen], purpose: Purpose::Find, ..Sources::default() };
    let config = config::load(&sources)?;
    let mut samples = Samples::new(wall_clock().as_micros().unsigned_abs());
    let mut failures = 0;
    while failures < ATTEMPTS {
        sys::pause(PACE);
        let sample = samples.sample(wall_clock());
        match send::submit(&config, transaction(&sample), &sample.content) {
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

/// A folder that goes away with its owner.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> Result<Scratch, Failure> {
        let path = env::temp_dir().join(format!("mailflux-demo-{}", std::process::id()));
        fs::create_dir(&path).map_err(|e| {
            let message = format!("cannot create {}: {e}; see TMPDIR", path.display());
            Failure::new(exit::CANNOT_CREATE, message)
        })?;
        Ok(Scratch { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
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
