//! A link: one connection's socket with its readiness and its unwritten output; both legs have one.
//!
//! ```text
//!   Open ──close()──▶ Closing ──all written──▶ Lingering ──EOF, error or 2 s──▶ gone
//!    │ ▲
//!    ▼ │ secure()
//!   Handshake ──error, or its time is up──▶ gone
//! ```
//!
//! Closing a socket while unread input lies in it makes the kernel send RST, and an RST can
//! overtake and destroy our last reply. So a link that closes first writes all, then says that it
//! has nothing more to write, and then reads until the peer has understood.

use std::io;
use std::time::Duration;

use super::net::{Net, Ready, Token};
use super::output::Output;
use super::tls::Tls;
use super::transport::Transport;
use super::trouble::Trouble;
use crate::base::Time;

/// How long a lingering link waits for the peer's end.
pub const LINGER: Duration = Duration::from_secs(2);
/// How long a TLS handshake may take.
pub const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long a closing link waits for its last octets to be taken.
pub const LAST_WORDS: Duration = Duration::from_secs(10);

/// A short read says that the socket is dry: so it is with the edges of epoll and kqueue. Where mio
/// has only poll(2), it waits for the WouldBlock.
const SHORT_IS_DRY: bool = !cfg!(portable_twins);
/// Octets that a closing link drains at once.
const DRAIN: usize = 64 * 1024;

/// Where a link is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// In use.
    Open,
    /// TLS is being agreed on; no machine is stepped.
    Handshake {
        /// When to give up.
        until: Time,
    },
    /// Its last octets are on their way out.
    Closing {
        /// When to give up.
        until: Time,
    },
    /// Written and shut down; waits for the peer's end.
    Lingering {
        /// When to give up.
        until: Time,
    },
}

/// What reading brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// So many octets.
    Octets(usize),
    /// Nothing yet.
    Dry,
    /// The peer has ended its side.
    End,
}

/// A socket, its readiness, its output.
#[derive(Debug)]
pub struct Link<S> {
    /// The way to the wire.
    pub transport: Transport<S>,
    /// What waits to be written.
    pub output: Output,
    /// Where it is in its life.
    pub phase: Phase,
    /// Its name in events and timers.
    pub token: Token,
    /// The earliest entry among the timers.
    pub armed: Time,
    /// Stands in a queue for a turn.
    pub queued: bool,
    readable: bool,
    writable: bool,
    read_closed: bool,
    hung_up: bool,
    /// While it closed, the peer's end came.
    ended: bool,
    /// What a fault does to it, if anything.
    pub(super) trouble: Option<Box<Trouble>>,
}

impl<S> Link<S> {
    /// A link on a connection that stands (or is being made: `writable` false).
    pub fn new(stream: S, token: Token, writable: bool) -> Link<S> {
        Link {
            transport: Transport::Plain(stream),
            output: Output::default(),
            phase: Phase::Open,
            token,
            armed: Time::NEVER,
            queued: false,
            readable: false,
            writable,
            read_closed: false,
            hung_up: false,
            ended: false,
            trouble: None,
        }
    }

    /// Takes the bits of an event. Events only ever set bits; system calls clear them.
    pub fn mark(&mut self, ready: &Ready) {
        self.readable |= ready.readable;
        self.writable |= ready.writable;
        self.read_closed |= ready.read_closed;
        self.hung_up |= ready.hung_up;
    }

    /// Reading may bring something.
    pub fn is_readable(&self) -> bool {
        self.readable && self.trouble.as_ref().is_none_or(|trouble| trouble.lets_in())
    }

    /// What a fault does to it.
    pub(super) fn trouble(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }

    pub(super) fn set_writable(&mut self, writable: bool) {
        self.writable = writable;
    }

    /// The peer has ended its side; octets may lie before that.
    pub fn is_read_closed(&self) -> bool {
        self.read_closed
    }

    /// The peer hears nothing any more.
    pub fn has_hung_up(&self) -> bool {
        self.hung_up
    }

    /// Writing may take something.
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// A connect has not ended yet after all: wait for the next edge.
    pub fn not_writable(&mut self) {
        self.writable = false;
    }

    /// Reads once.
    pub fn read<N: Net<Stream = S>>(&mut self, net: &mut N, buf: &mut [u8]) -> io::Result<Input> {
        let buf = match &mut self.trouble {
            None => buf,
            Some(trouble) => {
                let most = trouble.allowed(false)?.min(buf.len());
                if most == 0 {
                    return Ok(Input::Dry);
                }
                &mut buf[..most]
            }
        };
        match self.transport.read(net, buf) {
            Ok(0) => Ok(Input::End),
            Ok(n) => {
                if let Some(trouble) = &mut self.trouble {
                    trouble.passed(false, n);
                }
                // epoll(7), question 9: a short read has emptied the socket, and whatever comes
                // later makes a new edge. It saves the read that would say WouldBlock. The end
                // of the stream may be behind these octets without an edge of its own, though.
                if SHORT_IS_DRY && n < buf.len() && !self.read_closed && self.transport.is_plain() {
                    self.readable = false;
                }
                Ok(Input::Octets(n))
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(Input::Dry)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Input::Dry),
            Err(e) => Err(e),
        }
    }

    /// Writes what it can; true when nothing is left.
    pub fn flush<N: Net<Stream = S>>(&mut self, net: &mut N) -> io::Result<bool> {
        if self.is_flushed() {
            return Ok(true);
        }
        if !self.writable {
            return Ok(false);
        }
        if self.trouble.is_some() {
            return self.flush_troubled(net);
        }
        let transport = &mut self.transport;
        let done =
            self.output.flush(|octets| transport.write(net, octets))? && transport.flush(net)?;
        self.writable = done;
        Ok(done)
    }

    /// All that was queued has reached the socket.
    pub fn is_flushed(&self) -> bool {
        self.output.is_empty() && !self.transport.wants_write()
    }

    /// Puts TLS on the connection. What is in the output goes before it, in the clear.
    pub fn secure(
        &mut self,
        now: Time,
        make: impl FnOnce(S) -> io::Result<Tls<S>>,
    ) -> io::Result<()> {
        self.phase = Phase::Handshake { until: now.after(HANDSHAKE) };
        self.transport.secure(make)
    }

    /// Goes on with the handshake; true when it is over and the link is open again. A handshake
    /// ends with a record that was just read, so the link is then readable: what came behind that
    /// record has no edge of its own.
    pub fn handshake<N: Net<Stream = S>>(&mut self, net: &mut N, now: Time) -> io::Result<bool> {
        let Phase::Handshake { until } = self.phase else { return Ok(true) };
        if now >= until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"));
        }
        loop {
            if !self.is_flushed() {
                if !self.writable {
                    return Ok(false);
                }
                let transport = &mut self.transport;
                self.writable = self.output.flush(|octets| transport.write_clear(net, octets))?
                    && transport.flush(net)?;
                continue;
            }
            let Some(tls) = self.transport.tls() else {
                return Err(io::ErrorKind::NotConnected.into());
            };
            if !tls.is_handshaking() {
                self.phase = Phase::Open;
                return Ok(true);
            }
            if !self.readable {
                return Ok(false);
            }
            match tls.pull(net) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Begins to close; what is in the output still goes out.
    pub fn close(&mut self, now: Time) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing { until: now.after(LAST_WORDS) };
        }
    }

    /// Nothing can be said any more.
    pub fn abandon(&mut self, now: Time) {
        self.phase = Phase::Closing { until: now };
    }

    /// Drives a link that is no longer open; true when it may be dropped.
    pub fn wind_down<N: Net<Stream = S>>(
        &mut self,
        net: &mut N,
        now: Time,
        scratch: &mut [u8],
    ) -> bool {
        if let Phase::Closing { until } = self.phase {
            match self.flush(net) {
                Err(_) => return true,
                Ok(false) if now >= until => return true,
                Ok(false) => {}
                Ok(true) => match self.transport.end(net) {
                    Err(_) => return true,
                    Ok(true) => self.phase = Phase::Lingering { until: now.after(LINGER) },
                    Ok(false) if now >= until => return true,
                    Ok(false) => self.writable = false,
                },
            }
        }
        // What a peer goes on sending is drained, or it might never come to read; in bounded
        // portions, and not for ever.
        let portion = scratch.len().min(DRAIN);
        for _ in 0..4 {
            if !self.readable {
                break;
            }
            match self.read(net, &mut scratch[..portion]) {
                Ok(Input::Octets(_) | Input::Dry) => {}
                // It has ended its side, and may still read ours.
                Ok(Input::End) => (self.ended, self.readable) = (true, false),
                Err(_) => return true,
            }
        }
        matches!(self.phase, Phase::Lingering { until } if self.ended || now >= until)
    }

    /// When the link itself wants to be asked, while it closes.
    pub fn deadline(&self) -> Time {
        match self.phase {
            Phase::Open => Time::NEVER,
            Phase::Handshake { until } | Phase::Closing { until } | Phase::Lingering { until } => {
                until.min(self.trouble_due())
            }
        }
    }
}
