//! What lies between a connection and its octets.
//!
//! An enum, not a trait object: a reader sees all cases, and a turn costs no indirect call. TLS
//! takes its place here as the second case; nothing else in the reactor looks below this file.

use std::io;

use super::net::Net;

/// A connection's way to the wire.
#[derive(Debug)]
pub enum Transport<S> {
    /// Octets as they are.
    Plain(S),
}

impl<S> Transport<S> {
    /// Reads; 0 is the end.
    pub fn read<N: Net<Stream = S>>(&mut self, net: &mut N, buf: &mut [u8]) -> io::Result<usize> {
        let Transport::Plain(stream) = self;
        net.read(stream, buf)
    }

    /// Writes.
    pub fn write<N: Net<Stream = S>>(&mut self, net: &mut N, buf: &[u8]) -> io::Result<usize> {
        let Transport::Plain(stream) = self;
        net.write(stream, buf)
    }

    /// Says that nothing more will be written.
    pub fn shutdown_write<N: Net<Stream = S>>(&mut self, net: &mut N) -> io::Result<()> {
        let Transport::Plain(stream) = self;
        net.shutdown_write(stream)
    }

    /// The socket itself.
    pub fn socket(&mut self) -> &mut S {
        let Transport::Plain(stream) = self;
        stream
    }
}
