//! The resolver's sockets: one for each try, beside the slab of connections, since they live for
//! one question only. The machine decides; this file moves octets.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use super::Reactor;
use super::net::{Net, Ready, Token};
use crate::base::Now;
use crate::dns::{Action, Resolver, Transport, Try};
use crate::spool::Disk;

/// Datagrams, or portions of a stream, taken from one socket in one tick.
const BUDGET: usize = 32;
/// More than any answer over UDP has without EDNS (RFC 1035 section 4.2.1), to see when one is
/// longer than it may be.
const MAX_DATAGRAM: usize = 4096;

/// The socket of a try.
enum Socket<N: Net> {
    Udp(N::Datagram),
    Tcp {
        stream: N::Stream,
        /// What is still to be sent, once the connection stands.
        unsent: Vec<u8>,
        stands: bool,
    },
}

/// All of them.
pub struct Names<N: Net> {
    sockets: BTreeMap<Try, Socket<N>>,
    /// Those with news.
    ready: Vec<Try>,
    /// Something was heard: whoever waits for a name should look again.
    news: bool,
}

impl<N: Net> Default for Names<N> {
    fn default() -> Self {
        Names { sockets: BTreeMap::new(), ready: Vec::new(), news: false }
    }
}

impl<N: Net> Names<N> {
    /// There is something to be done without waiting for an event.
    pub fn has_work(&self) -> bool {
        self.news || !self.ready.is_empty()
    }

    /// Takes an event that is for one of these sockets.
    pub fn mark(&mut self, event: &Ready) {
        if let Some(id) = event.token.name_try() {
            self.ready.push(Try(id));
        }
    }

    /// Reads what came, and looks at the clock.
    pub fn listen(&mut self, net: &mut N, resolver: &mut Resolver, now: Now, buf: &mut [u8]) {
        self.news = false;
        for id in std::mem::take(&mut self.ready) {
            let Some(socket) = self.sockets.get_mut(&id) else { continue };
            for turn in 0.. {
                if turn == BUDGET {
                    self.ready.push(id);
                    break;
                }
                match socket.receive(net, buf) {
                    Ok(n) => resolver.heard(id, &buf[..n], now.time),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => {
                        resolver.broken(id, &crate::base::cause(&e), now.time);
                        break;
                    }
                }
            }
        }
        if resolver.deadline() <= now.time {
            resolver.timeout(now.time);
        }
    }

    /// Does what the machine wants done.
    pub fn ask(&mut self, net: &mut N, resolver: &mut Resolver, now: Now) {
        while let Some(action) = resolver.action() {
            match action {
                Action::Forget(id) => drop(self.sockets.remove(&id)),
                Action::Ask { id, to, transport, octets } => {
                    match Socket::open(net, id, to, transport, octets) {
                        Ok(socket) => drop(self.sockets.insert(id, socket)),
                        Err(e) => {
                            resolver.broken(id, &crate::base::cause(&e), now.time);
                            self.news = true;
                        }
                    }
                }
            }
        }
    }
}

impl<N: Net> Socket<N> {
    fn open(
        net: &mut N,
        id: Try,
        to: SocketAddr,
        transport: Transport,
        octets: Vec<u8>,
    ) -> io::Result<Socket<N>> {
        let token = Token::for_name(id.0);
        match transport {
            Transport::Udp => {
                let mut socket = net.datagram(to, token)?;
                match net.send(&mut socket, &octets) {
                    // A full buffer loses the question, as any router may: it is asked again.
                    Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
                    _ => Ok(Socket::Udp(socket)),
                }
            }
            Transport::Tcp => {
                let stream = net.connect(to, token)?;
                Ok(Socket::Tcp { stream, unsent: octets, stands: false })
            }
        }
    }

    fn receive(&mut self, net: &mut N, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Udp(socket) => net.receive(socket, &mut buf[..MAX_DATAGRAM]),
            Socket::Tcp { stream, unsent, stands } => {
                if !*stands && !net.established(stream)? {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                *stands = true;
                while !unsent.is_empty() {
                    let n = net.write(stream, unsent)?;
                    unsent.drain(..n);
                }
                match net.read(stream, buf)? {
                    0 => Err(io::ErrorKind::UnexpectedEof.into()),
                    n => Ok(n),
                }
            }
        }
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Hears what the DNS servers say.
    pub(super) fn hear_names(&mut self) {
        self.names.listen(&mut self.net, &mut self.core.resolver, self.now, &mut self.scratch);
    }

    /// Asks them what somebody wants to know.
    pub(super) fn ask_names(&mut self) {
        self.names.ask(&mut self.net, &mut self.core.resolver, self.now);
        for words in self.core.resolver.take_words() {
            self.core.journal.trace(self.now, None, "dns", &words);
        }
    }
}
