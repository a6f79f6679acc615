//! From a configuration to a running server, and every way in which that can fail.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::activation::{self, Wanted};
use super::certs::Certs;
use super::control::Asker;
use super::core::{Core, Role};
use super::demote::Demotion;
use super::mio_net::MioNet;
use super::net::Net;
use super::ways::resolver_for;
use super::{Life, Reactor, Seat};
use crate::base::{Failure, Printable, cause, exit};
use crate::config::{Config, SystemNames};
use crate::control::{Request, Told};
use crate::dns::{Hosts, ResolvConf};
use crate::journal::Level;
use crate::sink::Sink;
use crate::spool::{Disk, RealDisk, Spool, SpoolError};
use crate::sys::{self, Handed};

/// Runs the server until it is told to end.
///
/// With a seat, the terminal is made a console.
pub fn run(config: Config, seat: Option<&mut Seat>) -> Result<(), Failure> {
    let handed = Handed::take().map_err(|e| {
        let words = format!("cannot take over the sockets of LISTEN_FDS: {}", cause(&e));
        Failure::new(exit::SYSTEM, words)
    })?;
    sys::raise_file_limit();
    // Whatever is made from now on is nobody else's business.
    sys::set_umask(PRIVATE);
    keep_secrets(&config);
    // A configuration that is wrong leaves no spool behind.
    let certs = Certs::load(&config)?;
    let demotion = Demotion::plan(&config)?;
    if let Some(demotion) = &demotion {
        demotion.begin(&config.server.spool)?;
    }
    let disk = RealDisk::open(&config.server.spool).map_err(|e| spool_failure(&e))?;
    let spool = Spool::open(Some(disk)).map_err(|e| spool_failure(&e))?;
    let (relays, sinks) = (config.server.listen.clone(), sink_addresses(&config));
    let control = config.server.control.clone();
    let listeners = all_listeners(&config, &relays, &sinks);
    let listeners = activation::assign(&config, listeners, handed)?;
    serve(config, certs, spool, listeners, (control.as_deref(), seat, demotion))
}

/// The umask: files and folders are for their owner alone.
const PRIVATE: libc::mode_t = 0o077;

/// Runs nothing but the built-in sink: no spool, no next server.
pub fn run_sink(config: Config) -> Result<(), Failure> {
    sys::raise_file_limit();
    sys::set_umask(PRIVATE);
    let spool = Spool::open(None).map_err(|e| spool_failure(&e))?;
    let sinks = sink_addresses(&config);
    let listeners = activation::assign(&config, all_listeners(&config, &[], &sinks), vec![])?;
    serve(config, Certs::default(), spool, listeners, (None, None, None))
}

/// Does one command in a server that neither listens nor keeps mail. Gives its answer as it is to
/// be printed, and why it was not done, if it was not.
pub fn run_command(
    config: Config,
    line: &str,
    json: bool,
) -> Result<(String, Option<Printable>), Failure> {
    let certs = Certs::load(&config)?;
    let spool = Spool::open(None).map_err(|e| spool_failure(&e))?;
    let mut reactor = build(config, spool)?;
    let now = reactor.now();
    reactor.core.set_certs(certs, now);
    let mut asker = Asker::default();
    asker.ask(Request::Run { id: 0, line: line.to_owned(), json });
    let (mut answer, mut refusal) = (String::new(), None);
    loop {
        while reactor.serve(&mut asker) {}
        for told in asker.told.drain(..) {
            match told {
                Told::Lines { lines, .. } => {
                    answer.extend(lines.iter().map(|line| format!("{line}\n")));
                }
                Told::Json { part, .. } => answer.push_str(&part),
                Told::Fault { message, .. } => refusal = Some(message),
                Told::End { .. } => return Ok((answer, refusal)),
                _ => {}
            }
        }
        reactor.tick().map_err(|e| loop_failure(&e))?;
    }
}

/// A process that knows passwords leaves no image of its memory.
pub(super) fn keep_secrets(config: &Config) {
    if config.next_servers.iter().any(|server| server.login.is_some()) {
        sys::forbid_core();
    }
}

fn sink_addresses(config: &Config) -> Vec<SocketAddr> {
    config.sink.as_ref().map(|sink| sink.listen.clone()).unwrap_or_default()
}

/// The loop of this program, with a disk or without one.
type Built = Reactor<MioNet, Option<RealDisk>>;

/// A server that does not listen yet.
fn build(config: Config, spool: Spool<Option<RealDisk>>) -> Result<Built, Failure> {
    let mut net = MioNet::new().map_err(|e| {
        Failure::new(exit::SYSTEM, format!("cannot wait for events: {}", cause(&e)))
    })?;
    net.set_reuse_port(config.server.reuse_port);
    let store = config.sink.as_ref().and_then(|sink| sink.store.clone());
    let sink = Sink::open(store.as_deref()).map_err(|e| store_failure(store.as_deref(), &e))?;
    // From the system's entropy: strangers must not guess the ids of DNS questions.
    let (seed, dns_seed) = (fastrand::u64(..), fastrand::u64(..));
    let resolver = resolver_for(&config, &ResolvConf::default(), Hosts::default(), dns_seed);
    let now = net.now();
    let mut core = Core::new(config, spool, sink, resolver, seed, now);
    core.watch_system(SystemNames::new(), now);
    Ok(Reactor::new(net, core))
}

/// Where to listen, and for what. The sinks come first: a next server may learn its port there.
fn all_listeners(
    config: &Config,
    relays: &[SocketAddr],
    sinks: &[SocketAddr],
) -> Vec<(SocketAddr, Role)> {
    let sinks = sinks.iter().map(|at| (*at, Role::Sink));
    let plain = relays.iter().map(|at| (*at, Role::Relay));
    let named = (0..).zip(&config.listeners).filter(|_| !relays.is_empty());
    let named = named.flat_map(|(n, l)| l.listen.iter().map(move |at| (*at, Role::Named(n))));
    sinks.chain(plain).chain(named).collect()
}

fn serve(
    mut config: Config,
    certs: Certs,
    spool: Spool<Option<RealDisk>>,
    listeners: Vec<Wanted>,
    (control, mut seat, demotion): (Option<&Path>, Option<&mut Seat>, Option<Demotion>),
) -> Result<(), Failure> {
    let alone = listeners.iter().all(|listener| listener.role() == Role::Sink);
    if alone {
        config.next_servers.clear();
    }
    let warning = config.auth.warning.clone();
    // A server listens while it recovers: a large spool must not keep clients waiting.
    let mut reactor = build(config, spool)?;
    let now = reactor.now();
    reactor.core.tells_of_sink = alone;
    if alone {
        reactor.core.debug.faults.be_for_sink();
    }
    reactor.core.configure_faults(now);
    if !alone {
        let spool = reactor.core.config.server.spool.clone();
        let numbers = reactor.core.keep_past(&spool);
        reactor.begin_numbers(numbers);
    }
    if seat.is_some() {
        reactor.expect_console();
    }
    if let Some(warning) = warning {
        reactor.core.say(now, Level::Warn, &warning);
    }
    reactor.core.set_certs(certs, now);
    if let Some(demotion) = &demotion {
        demotion.pause()?;
    }
    for listener in listeners {
        let role = listener.role();
        let local = reactor.listen_as(listener)?;
        reactor.core.listening(role, local, now);
    }
    if let Some(demotion) = &demotion {
        demotion.end()?;
    }
    if !alone {
        reactor.core.tell_user(demotion, now);
    }
    if let Some(path) = control {
        make_way(path)?;
        // Nobody else may connect, not even for the moment between its making and a chmod.
        let before = sys::set_umask(0o177);
        let listening = reactor.listen_control(path);
        sys::set_umask(before);
        listening.map_err(|e| control_failure(path, &e))?;
    }
    if let Some(seat) = &seat {
        reactor.open_console(&seat.earlier);
    }
    let result = reactor.run();
    if let Some(seat) = &mut seat {
        seat.typed = reactor.local.typed();
    }
    if let Some(path) = control {
        // Left behind it would be taken for a stale one: no harm.
        let _ = fs::remove_file(path);
    }
    result.map_err(|e| loop_failure(&e))
}

fn loop_failure(error: &io::Error) -> Failure {
    Failure::new(exit::SYSTEM, format!("the event loop failed: {}", cause(error)))
}

/// Takes a control socket away that a server which was killed left behind. This one holds the lock
/// of its spool; but the setting may name the socket of another server, which is not taken away.
fn make_way(path: &Path) -> Result<(), Failure> {
    let shown = Printable::new(path.display().to_string());
    let fail = |words: &str| {
        let words = format!("cannot make the control socket {shown}: {words}; see server.control");
        Err(Failure::new(exit::CANNOT_CREATE, words))
    };
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(control_failure(path, &e)),
        Ok(found) if !found.file_type().is_socket() => {
            return fail("there is something else with that name");
        }
        Ok(_) => {}
    }
    if UnixStream::connect(path).is_ok() {
        return fail("another server answers there");
    }
    fs::remove_file(path).map_err(|e| control_failure(path, &e))
}

fn control_failure(path: &Path, error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied => exit::NO_PERMISSION,
        _ => exit::CANNOT_CREATE,
    };
    let path = Printable::new(path.display().to_string());
    let words = format!("cannot make the control socket {path}: {}", cause(error));
    Failure::new(code, format!("{words}; choose another path with server.control, or none"))
}

pub(super) fn spool_failure(error: &SpoolError) -> Failure {
    match error {
        SpoolError::Disk(fault) if fault.kind == io::ErrorKind::PermissionDenied => Failure::new(
            exit::NO_PERMISSION,
            format!("{error}; let this user write there, or choose another with -d"),
        ),
        SpoolError::Locked { .. } => Failure::new(
            exit::CANNOT_CREATE,
            format!("{error}; end that one first, or choose another spool with -d"),
        ),
        _ => Failure::new(exit::CANNOT_CREATE, format!("{error}; choose another spool with -d")),
    }
}

fn store_failure(store: Option<&Path>, error: &io::Error) -> Failure {
    let path = store.map_or(String::new(), |p| p.display().to_string());
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied => exit::NO_PERMISSION,
        _ => exit::CANNOT_CREATE,
    };
    Failure::new(
        code,
        format!("cannot create the Maildir {path}: {}; see sink.store", cause(error)),
    )
}

/// Why an address cannot be listened on, and what to do.
pub(super) fn listen_words(at: SocketAddr, error: &io::Error, user: Option<&str>) -> String {
    match user {
        Some(user) if error.kind() == io::ErrorKind::PermissionDenied => {
            let user = Printable::bounded(user, 80);
            format!(
                "cannot listen on {at}: {}; the server runs as '{user}' (server.user), and only \
                 root binds ports below 1024: set it in the file and start the server anew",
                cause(error)
            )
        }
        _ => listen_failure(at, error).message,
    }
}

pub(super) fn listen_failure(at: SocketAddr, error: &io::Error) -> Failure {
    let (code, hint) = match error.kind() {
        io::ErrorKind::PermissionDenied => (
            exit::NO_PERMISSION,
            "use a port from 1024 up or give the program the right to bind \
             (setcap cap_net_bind_service=+ep)",
        ),
        io::ErrorKind::AddrInUse => {
            (exit::CANNOT_CREATE, "another program has it: end that one, or choose another with -l")
        }
        io::ErrorKind::AddrNotAvailable => {
            (exit::CANNOT_CREATE, "this machine has no such address: see server.listen")
        }
        _ => (exit::CANNOT_CREATE, "see server.listen"),
    };
    Failure::new(code, format!("cannot listen on {at}: {}; {hint}", cause(error)))
}

impl<D: Disk> Core<D> {
    /// A listener stands. A next server that is the sink in this process learns its port here.
    fn listening(&mut self, role: Role, local: SocketAddr, now: crate::base::Now) {
        let what = match role {
            Role::Relay | Role::Named(_) => "accepting mail",
            Role::Sink => "the built-in sink listens",
        };
        self.say(now, Level::Info, &format!("{what} on {local}"));
        if role == Role::Sink {
            let all = self.servers.iter_mut().chain(&mut self.config.next_servers);
            for server in all.filter(|s| s.is_sink && s.port == 0) {
                server.port = local.port();
            }
        }
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// The loop has ended: connections are dropped, the spool is closed in order.
    pub(super) fn finish(&mut self) {
        self.life = Life::Over;
        self.close_console();
        for token in self.slots.tokens() {
            self.remove(token);
        }
        self.core.say(self.now, Level::Info, "ended");
        let numbers = self.numbers();
        self.core.history.close(&self.core.journal, numbers, self.now);
        self.core.spool.close();
    }
}
