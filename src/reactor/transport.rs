//! What lies between a connection and its octets.
//!
//! An enum, not a trait object: a reader sees all cases, and a turn costs no indirect call. Nothing
//! else in the reactor looks below this file.
//!
//! The two cases differ in what a read says about the socket. In the clear a short read says that
//! the socket is dry. TLS reads whole records and keeps what the caller did not ask for: octets can
//! be there when the socket has none, and no edge will ever tell of them. So there only WouldBlock
//! means dry, and it is said only when neither socket nor rustls holds anything (I3). It is the
//! same the other way: what TLS has taken is written when the socket took its records, not before.

use std::io;

use super::net::Net;
use super::tls::Tls;

/// A connection's way to the wire.
#[derive(Debug)]
pub enum Transport<S> {
    /// Octets as they are.
    Plain(S),
    /// Inside TLS.
    Tls(Box<Tls<S>>),
    /// TLS could not even begin: the socket is closed.
    Closed,
}

impl<S> Transport<S> {
    /// Octets as they are: a short read has emptied the socket.
    pub fn is_plain(&self) -> bool {
        matches!(self, Transport::Plain(_))
    }

    /// Reads; 0 is the end, and in TLS an end that the other side has said.
    pub fn read<N: Net<Stream = S>>(&mut self, net: &mut N, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(stream) => net.read(stream, buf),
            Transport::Tls(tls) => tls.read(net, buf),
            Transport::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Writes.
    pub fn write<N: Net<Stream = S>>(&mut self, net: &mut N, buf: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(stream) => net.write(stream, buf),
            Transport::Tls(tls) => tls.write(net, buf),
            Transport::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Writes in the clear: the reply that promises TLS.
    pub fn write_clear<N: Net<Stream = S>>(
        &mut self,
        net: &mut N,
        buf: &[u8],
    ) -> io::Result<usize> {
        match self {
            Transport::Tls(tls) => net.write(&mut tls.stream, buf),
            _ => self.write(net, buf),
        }
    }

    /// What was taken by [`Transport::write`] has not all reached the socket.
    pub fn wants_write(&self) -> bool {
        matches!(self, Transport::Tls(tls) if tls.wants_write())
    }

    /// Brings it there; false when the socket takes no more.
    pub fn flush<N: Net<Stream = S>>(&mut self, net: &mut N) -> io::Result<bool> {
        match self {
            Transport::Tls(tls) => tls.flush(net),
            _ => Ok(true),
        }
    }

    /// Says that nothing more will be written; false when there was no room to say it.
    pub fn end<N: Net<Stream = S>>(&mut self, net: &mut N) -> io::Result<bool> {
        match self {
            Transport::Plain(stream) => net.shutdown_write(stream).map(|()| true),
            Transport::Tls(tls) => tls.end(net),
            Transport::Closed => Ok(true),
        }
    }

    /// Whether a connect has ended well; false when it has not ended.
    pub fn established<N: Net<Stream = S>>(&mut self, net: &mut N) -> io::Result<bool> {
        match self {
            Transport::Plain(stream) => net.established(stream),
            _ => Ok(true),
        }
    }

    /// Puts TLS on the socket.
    pub fn secure(&mut self, make: impl FnOnce(S) -> io::Result<Tls<S>>) -> io::Result<()> {
        match std::mem::replace(self, Transport::Closed) {
            Transport::Plain(stream) => *self = Transport::Tls(Box::new(make(stream)?)),
            other => *self = other,
        }
        Ok(())
    }

    /// The TLS on the socket, if there is any.
    pub fn tls(&mut self) -> Option<&mut Tls<S>> {
        match self {
            Transport::Tls(tls) => Some(tls),
            _ => None,
        }
    }
}
