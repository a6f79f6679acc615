//! Passwords and tokens for next servers: from the configuration, from a file, from a command.
//!
//! A command runs beside the loop, and its output is a stream like others. All connections to its
//! server that want the secret wait for the same run; what it printed is kept until a server
//! refuses it, or the command is changed.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use super::Reactor;
use super::core::Core;
use super::inbound::After;
use super::link::{Input, Link};
use super::net::{Net, Token};
use super::outbound::Outbound;
use super::slots::Slot;
use crate::auth::{self, Secret};
use crate::base::{Now, Time, cause};
use crate::config::{NextServerSettings, SecretSource, first_line, read_secret};
use crate::journal::{Level, Mark, Side, What};
use crate::queue::ServerId;
use crate::smtp::client::{Choice, LoginConfig};
use crate::spool::Disk;
use crate::sys;

/// How long a command may take; then it is killed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a command that has closed its output is asked whether it has ended.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// Octets of a password or token.
const MAX_SECRET: usize = 64 << 10;

/// How sessions with this server log in.
pub(super) fn login_config(server: &NextServerSettings) -> Option<LoginConfig> {
    let login = server.login.as_ref()?;
    Some(LoginConfig {
        user: login.user.clone(),
        host: server.host.clone(),
        port: server.port,
        choice: login.mechanism.map_or(Choice::Auto, Choice::Only),
        in_clear: login.in_clear,
        renewable: !matches!(login.secret, SecretSource::Given(_)),
    })
}

/// How a command ended that did not end well. What it says on standard error is not kept: nobody
/// knows what is in it.
fn failed(status: ExitStatus) -> String {
    match status.code() {
        Some(126) => "the shell may not run it (exit status 126)".into(),
        Some(127) => "the shell does not find it (exit status 127)".into(),
        Some(code) => format!("it fails with exit status {code}"),
        None => format!("it was ended by a {status}"),
    }
}

/// What commands have printed, and which are to be run.
#[derive(Default)]
pub struct Secrets {
    /// By server: the command, and its secret.
    known: Vec<(ServerId, String, Secret)>,
    /// Of files that could be read before the process became another user.
    kept: Vec<(PathBuf, Secret)>,
    wanted: Vec<(ServerId, String)>,
}

impl Secrets {
    /// Keeps what password files said, for when they cannot be read any more.
    pub(super) fn keep(&mut self, files: Vec<(PathBuf, Secret)>) {
        self.kept = files;
    }

    /// The password in a file; in one that is out of reach by now, what it said at the start.
    fn of_file(&self, path: &Path) -> Result<Secret, String> {
        match self.kept.iter().find(|(kept, _)| kept == path) {
            Some((_, secret)) if sys::is_forbidden(path) => Ok(secret.clone()),
            _ => read_secret(path),
        }
    }

    fn known(&self, server: ServerId, command: &str) -> Option<Secret> {
        let entry = self.known.iter().find(|k| (k.0, k.1.as_str()) == (server, command))?;
        Some(entry.2.clone())
    }

    fn forget(&mut self, server: ServerId) {
        self.known.retain(|known| known.0 != server);
    }

    fn want(&mut self, server: ServerId, command: &str) {
        if self.wanted.iter().all(|wanted| wanted.0 != server) {
            self.wanted.push((server, command.to_owned()));
        }
    }
}

impl<D: Disk> Core<D> {
    /// The secret of this server; none when a command has to run first.
    fn secret(&mut self, server: ServerId, fresh: bool) -> Option<Result<Secret, String>> {
        let source = self.server(server).login.as_ref().map(|login| login.secret.clone());
        match source {
            None => Some(Err("no login is configured any more".into())),
            Some(SecretSource::Given(secret)) => Some(Ok(secret)),
            // A small file on this machine; it is read anew, since tokens change.
            Some(SecretSource::File(path)) => Some(self.secrets.of_file(&path)),
            Some(SecretSource::Command(command)) => {
                if fresh {
                    self.secrets.forget(server);
                }
                let known = self.secrets.known(server, &command);
                if known.is_none() {
                    self.secrets.want(server, &command);
                }
                known.map(Ok)
            }
        }
    }
}

impl<S> Outbound<S> {
    /// The machine wants the secret.
    pub(super) fn fetch<D: Disk>(&mut self, core: &mut Core<D>, now: Now, fresh: bool) {
        if let Some(secret) = core.secret(self.server, fresh) {
            self.give(secret, now);
        }
    }

    fn give(&mut self, secret: Result<Secret, String>, now: Now) {
        self.session.secret(secret, &auth::nonce(auth::random()), now.time);
    }

    /// Queues a line of AUTH; the transcript has what may be seen of it.
    pub(super) fn send_secret<D: Disk>(
        &mut self,
        core: &mut Core<D>,
        now: Now,
        octets: &Secret,
        shown: &[u8],
    ) {
        self.link.output.tail().extend_from_slice(octets.expose());
        let tls = self.session.is_tls();
        let what = What::Line { side: Side::Client, tls, text: shown, mark: Mark::Plain };
        core.note(now, Some(self.id), None, what);
    }
}

/// A command on its way to a secret.
pub struct Errand<N: Net> {
    /// For which next server.
    pub server: ServerId,
    /// What it prints.
    pub link: Link<N::Stream>,
    command: String,
    child: N::Child,
    output: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It may print, until then.
    Prints(Time),
    /// It has printed all; until then it may end.
    Ends(Time),
}

impl<N: Net> Errand<N> {
    /// When the errand wants its next turn, whatever happens.
    pub fn deadline(&self, now: Now) -> Time {
        match self.stage {
            Stage::Prints(until) => until,
            Stage::Ends(until) => until.min(now.time.after(ASK_AGAIN)),
        }
    }

    /// Its share of a tick; the secret, or why there is none, when it is over.
    fn turn(
        &mut self,
        net: &mut N,
        now: Now,
        scratch: &mut [u8],
    ) -> Option<Result<Secret, String>> {
        if let Stage::Prints(until) = self.stage {
            match self.read(net, scratch) {
                Ok(true) => self.stage = Stage::Ends(until),
                Ok(false) => {}
                Err(e) => return Some(Err(e)),
            }
        }
        let (Stage::Prints(until) | Stage::Ends(until)) = self.stage;
        if now.time >= until {
            return Some(Err("it takes longer than 30 s".into()));
        }
        if let Stage::Prints(_) = self.stage {
            return None;
        }
        match net.ended(&mut self.child) {
            Ok(None) => None,
            Ok(Some(status)) if status.success() => {
                let why = match self.output.is_empty() {
                    true => "it prints nothing",
                    false => "the first line of what it prints is empty",
                };
                let line = first_line(Secret::new(std::mem::take(&mut self.output)));
                Some(line.ok_or_else(|| why.into()))
            }
            Ok(Some(status)) => Some(Err(failed(status))),
            Err(e) => Some(Err(cause(&e))),
        }
    }

    /// Ends the command, if it has not ended by itself.
    pub fn end(&mut self, net: &mut N) {
        net.kill(&mut self.child);
    }

    /// Reads what is there; true at the end.
    fn read(&mut self, net: &mut N, scratch: &mut [u8]) -> Result<bool, String> {
        while self.link.is_readable() {
            match self.link.read(net, scratch) {
                Ok(Input::Octets(n)) => self.output.extend_from_slice(&scratch[..n]),
                Ok(Input::Dry) => {}
                Ok(Input::End) => return Ok(true),
                Err(e) => return Err(cause(&e)),
            }
            scratch.fill(0);
            if self.output.len() > MAX_SECRET {
                return Err("it prints more than 64 KiB".into());
            }
        }
        Ok(false)
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Starts the commands that connections wait for, one for each server.
    pub(super) fn run_commands(&mut self) {
        for (server, command) in std::mem::take(&mut self.core.secrets.wanted) {
            let runs = |slot: &Slot<N, D::File>| match slot {
                Slot::Errand(errand) => errand.server == server,
                _ => false,
            };
            if self.slots.iter().any(runs) {
                continue;
            }
            let token = self.slots.next_token();
            match self.net.spawn(&command, token) {
                Ok((stream, child)) => {
                    let link = Link::new(stream, token, true);
                    let stage = Stage::Prints(self.now.time.after(PATIENCE));
                    let output = Vec::with_capacity(4096);
                    let errand = Errand { server, link, command, child, output, stage };
                    self.slots.insert(Slot::Errand(Box::new(errand)));
                    self.make_runnable(token);
                }
                Err(e) => self.tell(server, &command, Err(cause(&e))),
            }
        }
    }

    /// One errand's share of a tick.
    pub(super) fn turn_errand(&mut self, token: Token) -> After {
        let Some(Slot::Errand(errand)) = self.slots.get_mut(token) else { return After::Gone };
        let Some(result) = errand.turn(&mut self.net, self.now, &mut self.scratch) else {
            return After::Wait;
        };
        let (server, command) = (errand.server, std::mem::take(&mut errand.command));
        self.tell(server, &command, result);
        After::Gone
    }

    /// Gives the secret, or the bad news, to all connections that wait for it.
    fn tell(&mut self, server: ServerId, command: &str, result: Result<Secret, String>) {
        let result = result.map_err(|why| format!("password_command gives no password: {why}"));
        match &result {
            Ok(secret) => {
                self.core.secrets.forget(server);
                let entry = (server, command.to_owned(), secret.clone());
                self.core.secrets.known.push(entry);
            }
            Err(why) => {
                let text = format!("{}: {why}", self.core.server(server).name);
                self.core.say(self.now, Level::Warn, &text);
            }
        }
        for token in self.slots.tokens() {
            if let Some(Slot::Outbound(c)) = self.slots.get_mut(token) {
                if c.server == server && c.session.awaits_secret() {
                    c.give(result.clone(), self.now);
                    self.make_runnable(token);
                }
            }
        }
    }
}
