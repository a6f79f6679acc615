//! The real network: mio for readiness, socket2 for the options that mio does not set, signal-hook
//! for signals as events. The only file that imports them.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use signal_hook_mio::v1_0::Signals;
use socket2::{Domain, Protocol, Type};

use super::clock::Clock;
use super::desk::Desk;
use super::net::{Net, Ready, Signal, SpareDescriptor, Token, Wake};
use super::socket::{Listening, Socket};
use crate::base::Now;
use crate::sys::{self, Handed};

const SIGNALS: mio::Token = mio::Token(usize::MAX);
/// The terminal of the console.
pub const TERMINAL: Token = Token(usize::MAX - 1);
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
/// Events taken from the kernel at once; more wait for the next tick.
const EVENTS: usize = 1024;
/// Connections that the kernel keeps for us until we accept them.
const BACKLOG: i32 = 4096;
/// How often a child that was killed is looked after.
const REAP: Duration = Duration::from_millis(20);

/// The operating system's network.
pub struct MioNet {
    poll: Poll,
    events: Events,
    signals: Signals,
    clock: Clock,
    /// Held so that it can be given up when the process runs out of descriptors.
    reserve: Option<socket2::Socket>,
    /// Other processes may listen on the same addresses.
    reuse_port: bool,
    /// Children that were killed and have not been reaped yet.
    dying: Vec<Child>,
}

impl MioNet {
    /// Opens the event queue and takes over TERM, INT and HUP.
    pub fn new() -> io::Result<MioNet> {
        let poll = Poll::new()?;
        let mut signals = Signals::new([libc::SIGTERM, libc::SIGINT, libc::SIGHUP])?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        Ok(MioNet {
            poll,
            events: Events::with_capacity(EVENTS),
            signals,
            clock: Clock::new(),
            reserve: reserve(),
            reuse_port: false,
            dying: Vec::new(),
        })
    }
}

impl MioNet {
    /// Takes over the signals of a terminal, too: before curses starts, which leaves those alone
    /// that somebody has taken.
    pub fn take_terminal_signals(&mut self) -> io::Result<()> {
        let signals = [libc::SIGWINCH, libc::SIGTSTP, libc::SIGCONT];
        signals.into_iter().try_for_each(|signal| self.signals.add_signal(signal))
    }

    /// Asks for the edges of a console's terminal.
    pub fn watch_terminal(&mut self, desk: &mut Desk) -> io::Result<()> {
        let fd = desk.tty().as_raw_fd();
        let registered = if cfg!(portable_twins) {
            Err(io::ErrorKind::InvalidInput.into())
        } else {
            self.poll.registry().register(&mut SourceFd(&fd), mio::Token(TERMINAL.0), BOTH)
        };
        match registered {
            // macOS: kqueue refuses some terminals.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => desk.look_now_and_then(),
            other => other?,
        }
        Ok(())
    }

    /// Other processes may listen on the addresses of the listeners to come.
    pub fn set_reuse_port(&mut self, reuse_port: bool) {
        self.reuse_port = reuse_port;
    }
}

/// Where a socket that was handed over listens; or why it cannot be one of ours.
pub fn address_of(handed: &Handed) -> Result<SocketAddr, String> {
    let socket = socket2::SockRef::from(handed);
    let address = socket.local_addr().ok().and_then(|address| address.as_socket());
    let is_stream = socket.r#type().is_ok_and(|kind| kind == Type::STREAM);
    match address {
        Some(at) if is_stream && socket.is_listener().unwrap_or(true) => Ok(at),
        _ => Err("it is no TCP socket that listens".into()),
    }
}

impl MioNet {
    /// Listens on a socket that was handed over.
    pub fn adopt(&mut self, handed: Handed, token: Token) -> io::Result<Listening> {
        let socket = socket2::Socket::from(OwnedFd::from(handed));
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        let mut listener = TcpListener::from_std(socket.into());
        self.poll.registry().register(&mut listener, mio::Token(token.0), Interest::READABLE)?;
        Ok(Listening::Tcp(listener))
    }
}

impl Net for MioNet {
    type Listener = Listening;
    type Stream = Socket;
    type Datagram = UdpSocket;
    type Child = Option<Child>;

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn poll(&mut self, wake: &mut Wake, timeout: Option<Duration>) -> io::Result<()> {
        self.dying.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let timeout = match (self.dying.is_empty(), timeout) {
            (true, timeout) => timeout,
            (false, timeout) => Some(timeout.unwrap_or(REAP).min(REAP)),
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            if event.token() == SIGNALS {
                wake.signals.extend(self.signals.pending().map(|signal| match signal {
                    libc::SIGHUP => Signal::HangUp,
                    libc::SIGWINCH => Signal::Resized,
                    libc::SIGTSTP => Signal::Stop,
                    libc::SIGCONT => Signal::Continued,
                    _ => Signal::Terminate,
                }));
                continue;
            }
            // An error is found by the next call on the socket: let both sides try.
            let failed = event.is_error();
            wake.ready.push(Ready {
                token: Token(event.token().0),
                readable: event.is_readable() || event.is_read_closed() || failed,
                writable: event.is_writable() || event.is_write_closed() || failed,
                read_closed: event.is_read_closed() || failed,
                hung_up: event.is_read_closed() && event.is_write_closed() || failed,
            });
        }
        Ok(())
    }

    fn listen(&mut self, at: SocketAddr, token: Token) -> io::Result<(Listening, SocketAddr)> {
        let socket =
            socket2::Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(self.reuse_port)?;
        if at.is_ipv6() {
            // `0.0.0.0:25` and `[::]:25` may stand side by side in `server.listen`.
            socket.set_only_v6(true)?;
        }
        // Inherited by what is accepted: replies are written whole, so waiting for more to put
        // into a segment (RFC 896) would only make pipelining clients wait.
        socket.set_tcp_nodelay(true)?;
        socket.bind(&at.into())?;
        socket.listen(BACKLOG)?;
        let mut listener = TcpListener::from_std(socket.into());
        self.poll.registry().register(&mut listener, mio::Token(token.0), Interest::READABLE)?;
        let local = listener.local_addr()?;
        Ok((Listening::Tcp(listener), local))
    }

    fn accept(&mut self, listener: &mut Listening) -> io::Result<(Socket, SocketAddr)> {
        match listener {
            Listening::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((Socket::Tcp(stream), peer))
            }
            Listening::Local(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn listen_local(&mut self, path: &Path, token: Token) -> io::Result<Listening> {
        let mut listener = UnixListener::bind(path)?;
        self.poll.registry().register(&mut listener, mio::Token(token.0), Interest::READABLE)?;
        Ok(Listening::Local(listener))
    }

    fn accept_local(&mut self, listener: &mut Listening) -> io::Result<(Socket, u32)> {
        match listener {
            Listening::Local(listener) => {
                let (stream, _) = listener.accept()?;
                let user = sys::peer_user(stream.as_fd())?;
                Ok((Socket::Local(stream), user))
            }
            Listening::Tcp(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn pair(&mut self) -> io::Result<(Socket, Socket)> {
        let (one, other) = UnixStream::pair()?;
        Ok((Socket::Local(one), Socket::Local(other)))
    }

    fn spawn(&mut self, command: &str, token: Token) -> io::Result<(Socket, Option<Child>)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let child = Command::new("/bin/sh")
            .arg("-c")
            .arg(command)
            .stdin(Stdio::null())
            .stdout(OwnedFd::from(theirs))
            .stderr(Stdio::null())
            // So that what it starts can be ended with it.
            .process_group(0)
            .spawn()?;
        let mut stream = Socket::Local(UnixStream::from_std(ours));
        self.register(&mut stream, token)?;
        Ok((stream, Some(child)))
    }

    fn ended(&mut self, child: &mut Option<Child>) -> io::Result<Option<ExitStatus>> {
        let Some(child) = child else { return Err(io::ErrorKind::NotFound.into()) };
        child.try_wait()
    }

    fn kill(&mut self, child: &mut Option<Child>) {
        let Some(mut child) = child.take() else { return };
        if let Ok(None) = child.try_wait() {
            sys::kill_group(child.id());
            // It ends soon, or when the disk lets it: until then its entry in the table of
            // processes is ours to take away.
            self.dying.push(child);
        }
    }

    fn register(&mut self, stream: &mut Socket, token: Token) -> io::Result<()> {
        self.poll.registry().register(stream, mio::Token(token.0), BOTH)
    }

    fn connect(&mut self, to: SocketAddr, token: Token) -> io::Result<Socket> {
        let mut stream = TcpStream::connect(to)?;
        let _ = stream.set_nodelay(true);
        self.poll.registry().register(&mut stream, mio::Token(token.0), BOTH)?;
        Ok(Socket::Tcp(stream))
    }

    fn established(&mut self, stream: &mut Socket) -> io::Result<bool> {
        // Unix sockets are only ever accepted here, so they stand.
        let Socket::Tcp(stream) = stream else { return Ok(true) };
        // The order matters: a failed connect shows in SO_ERROR, and only when there is none does
        // the lack of a peer mean "not yet".
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn read(&mut self, stream: &mut Socket, buf: &mut [u8]) -> io::Result<usize> {
        stream.read(buf)
    }

    fn write(&mut self, stream: &mut Socket, buf: &[u8]) -> io::Result<usize> {
        stream.write(buf)
    }

    fn datagram(&mut self, to: SocketAddr, token: Token) -> io::Result<UdpSocket> {
        let any = match to {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let mut socket = UdpSocket::bind(any)?;
        // Connected, it hears of nobody else, and of a port where nobody listens at once.
        socket.connect(to)?;
        let token = mio::Token(token.0);
        self.poll.registry().register(&mut socket, token, Interest::READABLE)?;
        Ok(socket)
    }

    fn send(&mut self, socket: &mut UdpSocket, octets: &[u8]) -> io::Result<()> {
        socket.send(octets).map(|_| ())
    }

    fn receive(&mut self, socket: &mut UdpSocket, buf: &mut [u8]) -> io::Result<usize> {
        socket.recv(buf)
    }

    fn shutdown_write(&mut self, stream: &mut Socket) -> io::Result<()> {
        match stream {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Local(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    fn spare_descriptor(&mut self) -> SpareDescriptor {
        if self.reserve.take().is_some() {
            return SpareDescriptor::Released;
        }
        self.reserve = reserve();
        SpareDescriptor::None
    }
}

/// A descriptor that does nothing.
fn reserve() -> Option<socket2::Socket> {
    socket2::Socket::new(Domain::IPV4, Type::DGRAM, None).ok()
}
