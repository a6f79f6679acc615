//! The two kinds of sockets that the loop knows, as one type each: TCP for mail, Unix sockets for
//! those who ask and steer.

use std::io::{self, Read, Write};

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};

/// A socket that waits for connections.
#[derive(Debug)]
pub enum Listening {
    /// For mail.
    Tcp(TcpListener),
    /// For `ctl` and `attach`.
    Local(UnixListener),
}

/// A connection.
#[derive(Debug)]
pub enum Socket {
    /// With a client or a next server.
    Tcp(TcpStream),
    /// With `ctl` or `attach`.
    Local(UnixStream),
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(buf),
            Socket::Local(stream) => stream.read(buf),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(buf),
            Socket::Local(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, wants: Interest) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.register(registry, token, wants),
            Socket::Local(stream) => stream.register(registry, token, wants),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, wants: Interest) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.reregister(registry, token, wants),
            Socket::Local(stream) => stream.reregister(registry, token, wants),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.deregister(registry),
            Socket::Local(stream) => stream.deregister(registry),
        }
    }
}
