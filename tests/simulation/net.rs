//! A network that exists only in memory, with a clock that moves only when it is waited for, and
//! with every unkindness that a real one is allowed: edges come late and once, reads and writes
//! are short, `WouldBlock` comes at any time, connects are refused, connections are reset.
//! The calendar's clock may be set back and forth meanwhile.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use fastrand::Rng;
use mailflux::base::{Now, Time, Wall};
use mailflux::reactor::{Net, Ready, SpareDescriptor, Token, Wake};

/// Octets that one direction of a connection holds.
const PIPE: usize = 3000;
/// Turns of the loop without sleep that nobody needs, whatever is to be done.
const SLEEPLESS: u32 = 1000;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// Names a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Conn(pub usize);

/// One connection as the reactor and the peer see it.
#[derive(Default)]
struct Wire {
    token: Option<Token>,
    /// Where the reactor connected to.
    place: Option<SocketAddr>,
    inward: VecDeque<u8>,
    outward: VecDeque<u8>,
    /// The peer has ended its side.
    peer_ended: bool,
    /// The reactor has ended its side, or dropped the connection.
    ended: bool,
    dropped: bool,
    reset: bool,
    /// Edges that the reactor is owed.
    read_edge: bool,
    write_edge: bool,
}

/// Datagrams with the time at which each arrives.
type Arriving = VecDeque<(Time, Vec<u8>)>;

/// The network.
pub struct SimNet {
    pub rng: Rng,
    now: Now,
    wires: HashMap<usize, Wire>,
    next: usize,
    listeners: HashMap<SocketAddr, (Token, VecDeque<usize>, bool)>,
    /// Connections that the reactor made, for the peers to take up.
    pub dialled: Vec<Conn>,
    /// Datagrams on their way in, by socket: when each arrives, and what it is.
    datagrams: HashMap<usize, (Token, Arriving)>,
    /// Datagrams that the reactor sent, for a DNS server to take up: socket, to whom, what.
    pub asked: Vec<(usize, SocketAddr, Vec<u8>)>,
    /// Connects in a hundred that are refused.
    pub refuse: u32,
    /// Connects so far.
    pub connects: u64,
    /// For so many connects there is no descriptor.
    pub crowded: u32,
    /// What commands do, how many have run, and how many were killed.
    pub habit: Habit,
    pub spawned: u32,
    pub killed: u32,
    /// How far the clock may move in one wait.
    pub stride: Duration,
    /// Connections hold and give as much as anybody wants, no call is in vain, and no edge is late.
    pub generous: bool,
    /// The calendar's clock is set, back or forth, now and then.
    pub jumps: bool,
    /// How far it goes wrong now, in seconds.
    pub skew: i64,
    /// Turns of the loop in a row that did not wait, though nothing was ready.
    awake: u32,
    drops: std::rc::Rc<std::cell::RefCell<Vec<usize>>>,
}

/// What a command does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Habit {
    /// It prints this, and ends.
    Prints(&'static str),
    /// It prints this, closes its output, and goes on.
    Stays(&'static str),
    /// It says nothing.
    Hangs,
}

/// What the reactor holds: dropping it closes the connection.
pub struct Stream {
    id: usize,
    drops: std::rc::Rc<std::cell::RefCell<Vec<usize>>>,
}

/// A socket for datagrams.
pub struct Datagram {
    id: usize,
    to: SocketAddr,
    drops: std::rc::Rc<std::cell::RefCell<Vec<usize>>>,
}

impl Drop for Datagram {
    fn drop(&mut self) {
        self.drops.borrow_mut().push(self.id);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.drops.borrow_mut().push(self.id);
    }
}

/// There is something to read.
fn to_read(token: Token) -> Ready {
    Ready { token, readable: true, writable: false, read_closed: false, hung_up: false }
}

fn blocked<T>() -> io::Result<T> {
    Err(io::ErrorKind::WouldBlock.into())
}

impl SimNet {
    pub fn new(seed: u64, now: Now) -> SimNet {
        SimNet {
            rng: Rng::with_seed(seed),
            now,
            wires: HashMap::new(),
            next: 0,
            listeners: HashMap::new(),
            dialled: vec![],
            datagrams: HashMap::new(),
            asked: vec![],
            refuse: 0,
            connects: 0,
            crowded: 0,
            habit: Habit::Prints(""),
            spawned: 0,
            killed: 0,
            stride: Duration::from_millis(20),
            generous: false,
            jumps: false,
            skew: 0,
            awake: 0,
            drops: Default::default(),
        }
    }

    pub fn time(&self) -> Now {
        self.now
    }

    /// A client connects.
    pub fn open(&mut self, to: SocketAddr) -> Option<Conn> {
        let id = self.next;
        let (_, backlog, edge) = self.listeners.get_mut(&to)?;
        backlog.push_back(id);
        *edge = true;
        self.next += 1;
        self.wires.insert(id, Wire::default());
        Some(Conn(id))
    }

    /// The peer sends; says how much the connection took.
    pub fn send(&mut self, conn: Conn, octets: &[u8]) -> usize {
        let Some(wire) = self.wires.get_mut(&conn.0).filter(|w| !w.dropped && !w.reset) else {
            return octets.len();
        };
        let pipe = if self.generous { usize::MAX } else { PIPE };
        let room = pipe.saturating_sub(wire.inward.len()).min(octets.len());
        wire.inward.extend(&octets[..room]);
        wire.read_edge |= room > 0;
        room
    }

    /// Where the reactor connected to.
    pub fn place(&self, conn: Conn) -> Option<SocketAddr> {
        self.wires.get(&conn.0).and_then(|wire| wire.place)
    }

    /// What the peer has sent and nobody has read yet.
    pub fn unread(&self, conn: Conn) -> usize {
        self.wires.get(&conn.0).map_or(0, |wire| wire.inward.len())
    }

    /// What the peer can read now.
    pub fn receive(&mut self, conn: Conn) -> Vec<u8> {
        let most = self.rng.usize(1..2000);
        let Some(wire) = self.wires.get_mut(&conn.0) else { return vec![] };
        let n = wire.outward.len().min(most);
        wire.write_edge |= n > 0;
        wire.outward.drain(..n).collect()
    }

    /// Nothing more will come from the reactor.
    pub fn is_over(&self, conn: Conn) -> bool {
        let over = |w: &Wire| w.reset || ((w.ended || w.dropped) && w.outward.is_empty());
        self.wires.get(&conn.0).is_none_or(over)
    }

    /// The peer ends its side.
    pub fn end(&mut self, conn: Conn) {
        if let Some(wire) = self.wires.get_mut(&conn.0) {
            wire.peer_ended = true;
            wire.read_edge = true;
        }
    }

    /// The peer is gone without a word.
    pub fn reset(&mut self, conn: Conn) {
        if let Some(wire) = self.wires.get_mut(&conn.0) {
            wire.reset = true;
            wire.inward.clear();
            wire.outward.clear();
            (wire.read_edge, wire.write_edge) = (true, true);
        }
    }

    /// A DNS server's answer, which arrives after a while.
    pub fn answer(&mut self, socket: usize, octets: Vec<u8>, after: Duration) {
        let at = self.now.time.after(after);
        if let Some((_, waiting)) = self.datagrams.get_mut(&socket) {
            waiting.push_back((at, octets));
        }
    }

    /// When the next datagram arrives.
    fn next_datagram(&self) -> Duration {
        let all = self.datagrams.values().flat_map(|(_, waiting)| waiting);
        let next = all.map(|(at, _)| *at).filter(|at| *at > self.now.time).min();
        next.map_or(Duration::MAX, |at| at.since(self.now.time))
    }

    /// Somebody sets the calendar's clock, to anything within two days of the truth: far enough
    /// for notices of delay, never far enough for mail to expire. The other clock knows nothing.
    fn set_wall(&mut self) {
        let skew = self.rng.i64(-2 * DAY..=2 * DAY);
        let micros = self.now.wall.as_micros() + (skew - self.skew) * 1_000_000;
        self.now.wall = Wall::from_micros(micros);
        self.skew = skew;
    }

    fn settle_drops(&mut self) {
        for id in self.drops.take() {
            if let Some(wire) = self.wires.get_mut(&id) {
                (wire.dropped, wire.token) = (true, None);
            }
            self.datagrams.remove(&id);
        }
    }
}

impl Net for SimNet {
    type Listener = SocketAddr;
    type Stream = Stream;
    type Datagram = Datagram;
    type Child = Habit;

    fn now(&self) -> Now {
        self.now
    }

    fn poll(&mut self, wake: &mut Wake, timeout: Option<Duration>) -> io::Result<()> {
        self.settle_drops();
        let mut ids: Vec<usize> = self.wires.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(wire) = self.wires.get_mut(&id) else { continue };
            let Some(token) = wire.token else { continue };
            // An edge may be late, and may bring the other direction along for nothing.
            if (wire.read_edge || wire.write_edge) && (self.generous || self.rng.u32(..10) < 7) {
                wake.ready.push(Ready {
                    token,
                    readable: std::mem::take(&mut wire.read_edge) || self.rng.u32(..10) == 0,
                    writable: std::mem::take(&mut wire.write_edge) || self.rng.u32(..10) == 0,
                    read_closed: wire.peer_ended || wire.reset,
                    hung_up: wire.reset,
                });
            }
        }
        for (token, waiting) in self.datagrams.values() {
            if waiting.iter().any(|(at, _)| *at <= self.now.time) {
                wake.ready.push(to_read(*token));
            }
        }
        for (token, _, edge) in self.listeners.values_mut() {
            if std::mem::take(edge) {
                wake.ready.push(to_read(*token));
            }
        }
        let is_awake = wake.ready.is_empty() && timeout == Some(Duration::ZERO);
        self.awake = if is_awake { self.awake + 1 } else { 0 };
        assert!(self.awake < SLEEPLESS, "the loop does not sleep");
        let wait = match wake.ready.is_empty() {
            true => timeout.unwrap_or(self.stride).min(self.stride).min(self.next_datagram()),
            false => Duration::from_micros(self.rng.u64(..500)),
        };
        self.now = Now {
            time: self.now.time.after(wait.max(Duration::from_micros(1))),
            wall: self.now.wall.after(wait),
        };
        if self.jumps && self.rng.u32(..100) == 0 {
            self.set_wall();
        }
        Ok(())
    }

    fn listen(&mut self, at: SocketAddr, token: Token) -> io::Result<(SocketAddr, SocketAddr)> {
        self.listeners.insert(at, (token, VecDeque::new(), false));
        Ok((at, at))
    }

    fn accept(&mut self, listener: &mut SocketAddr) -> io::Result<(Stream, SocketAddr)> {
        let Some((_, backlog, edge)) = self.listeners.get_mut(listener) else { return blocked() };
        let Some(id) = backlog.pop_front() else { return blocked() };
        if !self.generous && self.rng.u32(..20) == 0 {
            // The edge is gone with the error: the reactor has to come back by itself.
            backlog.push_front(id);
            *edge = false;
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        let peer = SocketAddr::from(([127, 0, 0, 1], 1024 + (id % 60_000) as u16));
        Ok((Stream { id, drops: self.drops.clone() }, peer))
    }

    fn listen_local(&mut self, _: &Path, _: Token) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn accept_local(&mut self, _: &mut Self::Listener) -> io::Result<(Stream, u32)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn spawn(&mut self, _: &str, token: Token) -> io::Result<(Stream, Habit)> {
        // What it prints lies there, and its end.
        let (text, peer_ended) = match self.habit {
            Habit::Prints(text) | Habit::Stays(text) => (text, true),
            Habit::Hangs => ("", false),
        };
        let (inward, read_edge) = (text.bytes().collect(), true);
        let wire = Wire { token: Some(token), inward, peer_ended, read_edge, ..Wire::default() };
        let id = self.next;
        self.next += 1;
        self.wires.insert(id, wire);
        self.spawned += 1;
        Ok((Stream { id, drops: self.drops.clone() }, self.habit))
    }

    fn ended(&mut self, child: &mut Habit) -> io::Result<Option<ExitStatus>> {
        // It may take its time to end.
        let ends = matches!(child, Habit::Prints(_)) && self.rng.u32(..3) == 0;
        if ends {
            // There is nothing left to kill.
            *child = Habit::Prints("");
        }
        Ok(ends.then_some(ExitStatus::default()))
    }

    fn kill(&mut self, child: &mut Habit) {
        self.killed += u32::from(!matches!(child, Habit::Prints("")));
    }

    fn register(&mut self, stream: &mut Stream, token: Token) -> io::Result<()> {
        if let Some(wire) = self.wires.get_mut(&stream.id) {
            wire.token = Some(token);
            (wire.read_edge, wire.write_edge) = (true, true);
        }
        Ok(())
    }

    fn connect(&mut self, to: SocketAddr, token: Token) -> io::Result<Stream> {
        if self.crowded > 0 {
            self.crowded -= 1;
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        let id = self.next;
        (self.next, self.connects) = (self.next + 1, self.connects + 1);
        let reset = self.rng.u32(..100) < self.refuse;
        let (token, place) = (Some(token), Some(to));
        let wire = Wire { token, place, write_edge: true, reset, ..Wire::default() };
        self.wires.insert(id, wire);
        if !reset {
            self.dialled.push(Conn(id));
        }
        Ok(Stream { id, drops: self.drops.clone() })
    }

    fn established(&mut self, stream: &mut Stream) -> io::Result<bool> {
        match self.wires.get(&stream.id) {
            Some(wire) if !wire.reset => Ok(true),
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    fn read(&mut self, stream: &mut Stream, buf: &mut [u8]) -> io::Result<usize> {
        let Some(wire) = self.wires.get_mut(&stream.id) else { return Ok(0) };
        if wire.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if wire.inward.is_empty() {
            return if wire.peer_ended { Ok(0) } else { blocked() };
        }
        if !self.generous && self.rng.u32(..10) == 0 {
            wire.read_edge = true;
            return blocked();
        }
        let most = if self.generous { usize::MAX } else { self.rng.usize(1..800) };
        let n = wire.inward.len().min(buf.len()).min(most);
        for (to, from) in buf.iter_mut().zip(wire.inward.drain(..n)) {
            *to = from;
        }
        // More than was taken is there: that is a new edge.
        wire.read_edge |= !wire.inward.is_empty() || wire.peer_ended;
        Ok(n)
    }

    fn write(&mut self, stream: &mut Stream, buf: &[u8]) -> io::Result<usize> {
        let Some(wire) = self.wires.get_mut(&stream.id) else { return Ok(buf.len()) };
        if wire.reset || wire.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let (pipe, most) = match self.generous {
            true => (usize::MAX, usize::MAX),
            false => (PIPE, self.rng.usize(1..1500)),
        };
        let n = pipe.saturating_sub(wire.outward.len()).min(buf.len()).min(most);
        if n == 0 || !self.generous && self.rng.u32(..10) == 0 {
            // With room left the edge comes; with none it comes when the peer has read.
            wire.write_edge |= n > 0;
            return blocked();
        }
        wire.outward.extend(&buf[..n]);
        Ok(n)
    }

    fn datagram(&mut self, to: SocketAddr, token: Token) -> io::Result<Datagram> {
        let id = self.next;
        self.next += 1;
        self.datagrams.insert(id, (token, VecDeque::new()));
        Ok(Datagram { id, to, drops: self.drops.clone() })
    }

    fn send(&mut self, socket: &mut Datagram, octets: &[u8]) -> io::Result<()> {
        self.asked.push((socket.id, socket.to, octets.to_vec()));
        Ok(())
    }

    fn receive(&mut self, socket: &mut Datagram, buf: &mut [u8]) -> io::Result<usize> {
        let now = self.now.time;
        let Some((_, waiting)) = self.datagrams.get_mut(&socket.id) else { return blocked() };
        match waiting.iter().position(|(at, _)| *at <= now) {
            Some(found) => {
                let (_, octets) = waiting.remove(found).unwrap();
                let n = octets.len().min(buf.len());
                buf[..n].copy_from_slice(&octets[..n]);
                Ok(n)
            }
            None => blocked(),
        }
    }

    fn shutdown_write(&mut self, stream: &mut Stream) -> io::Result<()> {
        if let Some(wire) = self.wires.get_mut(&stream.id) {
            wire.ended = true;
        }
        Ok(())
    }

    fn spare_descriptor(&mut self) -> SpareDescriptor {
        SpareDescriptor::None
    }
}

/// The start of time.
pub fn beginning() -> Now {
    Now { time: Time::ZERO, wall: Wall::from_secs(1_787_510_546) }
}
