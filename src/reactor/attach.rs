//! `attach`: the console in a process of its own, with a small loop between a terminal and the
//! server's control socket. The console is the same as the server's own; only who it asks differs.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::desk::Desk;
use super::files::Files;
use super::mio_net::{MioNet, TERMINAL};
use super::net::{Net as _, Ready, Signal, Token, Wake};
use super::socket::Socket;
use crate::base::{Failure, Now, Printable, cause, exit};
use crate::console::Place;
use crate::control::{Request, Told};

/// Octets read at once, and in one turn.
const CHUNK: usize = 64 << 10;
const CHUNKS: usize = 16;
/// Octets of one message of the server; a portion of the feed is far less.
const MAX_TOLD: usize = 64 << 20;
/// Nothing is waited for any longer.
const NAP: Duration = Duration::from_secs(60);

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Parting {
    /// The person left, or the terminal went away.
    Left,
    /// The server said its last word.
    Bye(Printable),
    /// The server was gone without a word.
    Lost,
}

/// The other end: the server's socket and what is on its way.
struct Line {
    socket: Socket,
    readable: bool,
    writable: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    files: Files,
    /// Nothing more will come.
    ended: bool,
}

/// Runs a console for a server until one of them goes; says how, and what was typed.
pub fn attach(server: UnixStream, earlier: &str) -> Result<(Parting, Vec<String>), Failure> {
    let fail = |what: &str, e: &io::Error| {
        Failure::new(exit::SYSTEM, format!("cannot {what}: {}", cause(e)))
    };
    let mut net = MioNet::new().map_err(|e| fail("wait for events", &e))?;
    // Before curses, which leaves alone what is taken.
    net.take_terminal_signals().map_err(|e| fail("take signals", &e))?;
    let mut desk = Desk::open(Place::Attached, earlier).map_err(|why| {
        Failure::new(exit::SYSTEM, format!("no console: {why}; 'mailflux ctl' needs none"))
    })?;
    let line = Line::new(server, &mut net).map_err(|e| fail("wait for the server", &e))?;
    net.watch_terminal(&mut desk).map_err(|e| fail("wait for the terminal", &e))?;
    let parting = run(&mut net, &mut desk, line).map_err(|e| fail("go on", &e))?;
    Ok((parting, desk.console.new_commands()))
}

fn run(net: &mut MioNet, desk: &mut Desk, mut line: Line) -> io::Result<Parting> {
    let mut wake = Wake::default();
    loop {
        let now = net.now();
        let wait = desk.deadline().since(now.time).min(NAP);
        net.poll(&mut wake, Some(if line.readable { Duration::ZERO } else { wait }))?;
        let now = net.now();
        for ready in wake.ready.drain(..) {
            if ready.token == TERMINAL { desk.mark(&ready) } else { line.mark(&ready) }
        }
        for signal in wake.signals.drain(..) {
            if desk.signal(signal, now.time) == Some(Signal::Terminate) {
                return Ok(Parting::Left);
            }
        }
        desk.hear(now);
        desk.grant(now.time);
        line.exchange(desk, now);
        desk.show(now.time);
        if let Some(parting) = parting(desk, &line) {
            return Ok(parting);
        }
    }
}

fn parting(desk: &Desk, line: &Line) -> Option<Parting> {
    if desk.is_leaving() || desk.is_gone() {
        return Some(Parting::Left);
    }
    let bye = desk.console.bye().map(|why| Parting::Bye(why.clone()));
    let ended = match desk.console.expects_end() {
        true => Parting::Bye(Printable::from_shown("the server has ended")),
        false => Parting::Lost,
    };
    bye.or_else(|| line.ended.then_some(ended))
}

impl Line {
    fn new(server: UnixStream, net: &mut MioNet) -> io::Result<Line> {
        server.set_nonblocking(true)?;
        let mut socket = Socket::Local(mio::net::UnixStream::from_std(server));
        net.register(&mut socket, Token(0))?;
        Ok(Line {
            socket,
            readable: true,
            writable: true,
            input: Vec::new(),
            output: Vec::new(),
            files: Files::default(),
            ended: false,
        })
    }

    fn mark(&mut self, ready: &Ready) {
        self.readable |= ready.readable;
        self.writable |= ready.writable;
    }

    /// Says what the console asks, hears what the server tells.
    fn exchange(&mut self, desk: &mut Desk, now: Now) {
        for request in desk.console.take_requests() {
            self.files.note(&request);
            self.ask(&request);
        }
        // What is heard may be answered at once.
        let result = self.say().and_then(|()| self.hear(desk, now)).and_then(|()| self.say());
        self.ended |= result.is_err();
    }

    fn ask(&mut self, request: &Request) {
        // Strings and numbers: this cannot fail.
        if serde_json::to_writer(&mut self.output, request).is_ok() {
            self.output.push(b'\n');
        }
    }

    fn say(&mut self) -> io::Result<()> {
        while self.writable && !self.output.is_empty() {
            match self.socket.write(&self.output) {
                Ok(n) => drop(self.output.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn hear(&mut self, desk: &mut Desk, now: Now) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        for _ in 0..CHUNKS {
            if !self.readable {
                break;
            }
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.input.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
            self.take_lines(desk, now)?;
        }
        Ok(())
    }

    fn take_lines(&mut self, desk: &mut Desk, now: Now) -> io::Result<()> {
        let mut start = 0;
        while let Some(length) = memchr::memchr(b'\n', &self.input[start..]) {
            let told: Told = serde_json::from_slice(&self.input[start..start + length])?;
            let taken = self.files.take(told);
            taken.requests.iter().for_each(|request| self.ask(request));
            if let Some(told) = taken.told {
                desk.console.told(told, now.time);
            }
            start += length + 1;
        }
        self.input.drain(..start);
        if self.input.len() > MAX_TOLD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }
}
