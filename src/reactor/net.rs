//! What the reactor needs of a network: [`Net`], so small that a simulation can be one too.
//!
//! All calls are non-blocking but [`Net::poll`]. Readiness is edge-triggered: an edge that was
//! told once is not told again until the call in question has said `WouldBlock` (or, for reading,
//! has returned less than was asked for: epoll(7), question 9).

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use crate::base::Now;

/// Names a slot of the reactor in events. Carries the generation of the slot, so that an event
/// for a connection that is gone never reaches the one that took its place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Token(pub usize);

impl Token {
    const INDEX_BITS: u32 = 24;

    /// Packs a slot and its generation.
    pub fn new(index: usize, generation: usize) -> Token {
        debug_assert!(index < 1 << Self::INDEX_BITS);
        Token((generation << Self::INDEX_BITS | index) & (Self::NAME - 1))
    }

    /// The slot.
    pub fn index(self) -> usize {
        self.0 & ((1 << Self::INDEX_BITS) - 1)
    }

    /// Set in the tokens of the resolver's sockets, which are in no slot.
    const NAME: usize = 1 << (usize::BITS - 2);

    /// Names the socket of a try of the resolver.
    pub fn for_name(id: u64) -> Token {
        Token(id as usize & (Self::NAME - 1) | Self::NAME)
    }

    /// The try, when it is one of those.
    pub fn name_try(self) -> Option<u64> {
        (self.0 & Self::NAME != 0).then_some((self.0 & (Self::NAME - 1)) as u64)
    }

    /// The generation, cut to the bits that fit.
    pub fn generation(self) -> usize {
        self.0 >> Self::INDEX_BITS
    }
}

/// One event of readiness: bits to be set, never cleared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ready {
    /// For which slot.
    pub token: Token,
    /// Reading may bring something.
    pub readable: bool,
    /// Writing may take something; a connect may have ended.
    pub writable: bool,
    /// The peer has shut down its side: read until 0, a short read says nothing.
    pub read_closed: bool,
    /// The peer has shut down both sides, or is gone: it hears nothing any more.
    pub hung_up: bool,
}

/// A signal that the operating system sent to the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// TERM or INT.
    Terminate,
    /// HUP.
    HangUp,
    /// WINCH: the terminal has another size.
    Resized,
    /// TSTP: stop, please.
    Stop,
    /// CONT: after a stop.
    Continued,
}

/// Everything that ended a [`Net::poll`].
#[derive(Default, Debug)]
pub struct Wake {
    /// Edges of readiness.
    pub ready: Vec<Ready>,
    /// Signals.
    pub signals: Vec<Signal>,
}

/// A network and its clock.
pub trait Net {
    /// A listening socket; closed when dropped.
    type Listener;
    /// A connection; closed when dropped.
    type Stream;
    /// A socket for datagrams with one peer; closed when dropped.
    type Datagram;
    /// A command that runs beside the loop.
    type Child;

    /// Both clocks.
    fn now(&self) -> Now;

    /// Waits for edges and signals, at most `timeout`; appends them to `wake`. An interrupted
    /// wait is an empty batch.
    fn poll(&mut self, wake: &mut Wake, timeout: Option<Duration>) -> io::Result<()>;

    /// Binds and listens; also says at which address (port 0 is replaced).
    fn listen(&mut self, at: SocketAddr, token: Token) -> io::Result<(Self::Listener, SocketAddr)>;

    /// Takes one connection from the backlog. It is not registered yet.
    fn accept(&mut self, listener: &mut Self::Listener) -> io::Result<(Self::Stream, SocketAddr)>;

    /// Listens on a Unix socket that is made at this path.
    fn listen_local(&mut self, path: &Path, token: Token) -> io::Result<Self::Listener>;

    /// Takes one connection from the backlog of a Unix socket; says as which user its peer runs.
    fn accept_local(&mut self, listener: &mut Self::Listener) -> io::Result<(Self::Stream, u32)>;

    /// Two connections that are each other's peer, without a network between them. They are not
    /// registered yet.
    fn pair(&mut self) -> io::Result<(Self::Stream, Self::Stream)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Runs a shell command beside the loop. What it prints comes through the stream, with edges;
    /// its standard input is empty.
    fn spawn(&mut self, command: &str, token: Token) -> io::Result<(Self::Stream, Self::Child)>;

    /// How a command has ended, if it has; never waits.
    fn ended(&mut self, child: &mut Self::Child) -> io::Result<Option<ExitStatus>>;

    /// Ends a command, and what it has started, if it has not ended by itself.
    fn kill(&mut self, child: &mut Self::Child);

    /// Asks for the edges of an accepted connection.
    fn register(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()>;

    /// Begins to connect, with edges: a writable one says that [`Net::established`] is to be asked.
    fn connect(&mut self, to: SocketAddr, token: Token) -> io::Result<Self::Stream>;

    /// Whether the connect has ended well: `false` when it has not ended yet.
    fn established(&mut self, stream: &mut Self::Stream) -> io::Result<bool>;

    /// Reads; 0 is the end.
    fn read(&mut self, stream: &mut Self::Stream, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes.
    fn write(&mut self, stream: &mut Self::Stream, buf: &[u8]) -> io::Result<usize>;

    /// Opens a socket for datagrams to and from this peer only, at a port that the system chooses.
    fn datagram(&mut self, to: SocketAddr, token: Token) -> io::Result<Self::Datagram>;

    /// Sends a datagram.
    fn send(&mut self, socket: &mut Self::Datagram, octets: &[u8]) -> io::Result<()>;

    /// Receives one; what does not fit is lost.
    fn receive(&mut self, socket: &mut Self::Datagram, buf: &mut [u8]) -> io::Result<usize>;

    /// Says that nothing more will be written.
    fn shutdown_write(&mut self, stream: &mut Self::Stream) -> io::Result<()>;

    /// Whether more descriptors can be had now; false after one was refused, until some were
    /// given back.
    fn spare_descriptor(&mut self) -> SpareDescriptor;
}

/// The answer of [`Net::spare_descriptor`]: a reserved descriptor was given up so that one
/// connection can be accepted and told 421 while the process has no descriptors left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpareDescriptor {
    /// The reserve was released: accept one connection, refuse it, and ask again.
    Released,
    /// There is no reserve: wait.
    None,
}
