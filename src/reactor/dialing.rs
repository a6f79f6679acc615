//! From a list of hosts to a connection: Happy Eyeballs (RFC 8305).
//!
//! The addresses of a host are tried in turn, IPv6 first. When one has not answered after 250 ms
//! the next is tried beside it, and whichever stands first wins; so a family that leads nowhere
//! costs a quarter of a second and not a time-out. A less preferred host is tried only when all
//! addresses of those before it have failed.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::link::Link;
use super::net::{Net, Ready, Token};
use super::ways::Target;
use crate::base::Time;

/// How long one address may take to answer a connect.
const DIAL: Duration = Duration::from_secs(30);
/// How long one address is alone in the race (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// What a turn of dialing came to.
pub enum Dialed {
    /// Nothing yet.
    Wait,
    /// The link stands, with this address.
    Stands(SocketAddr),
    /// No address is left; the last one, and what was wrong with it.
    Failed(SocketAddr, io::Error),
}

/// One or two connects under way, and the addresses that come after them. The socket of the first
/// is in the link already; the other one's events come to the same token, and mean only that both
/// should be looked at.
pub struct Dialing<S> {
    first: SocketAddr,
    /// The name of the host that is tried.
    host: String,
    rival: Option<(S, SocketAddr)>,
    /// When the first is given up.
    until: Time,
    /// When a rival may begin.
    rival_at: Time,
    /// Addresses of the same host.
    rest: VecDeque<SocketAddr>,
    /// The hosts after it.
    hosts: VecDeque<Target>,
    /// Those that took no connection, and why.
    failed: Vec<(SocketAddr, io::Error)>,
}

impl<S> Dialing<S> {
    /// Begins with the first address that a connect can be begun with.
    pub fn begin<N: Net<Stream = S>>(
        net: &mut N,
        hosts: Vec<Target>,
        token: Token,
        now: Time,
    ) -> Result<(Link<S>, Dialing<S>), (SocketAddr, io::Error)> {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut dialing = Dialing {
            first: nowhere,
            host: String::new(),
            rival: None,
            until: now,
            rival_at: now,
            rest: VecDeque::new(),
            hosts: hosts.into(),
            failed: Vec::new(),
        };
        let none = (nowhere, io::ErrorKind::NotFound.into());
        let stream = dialing.next(net, token, true, now, none)?;
        Ok((Link::new(stream, token, false), dialing))
    }

    /// The address that is tried first now.
    pub fn peer(&self) -> SocketAddr {
        self.first
    }

    /// The name of the host that is tried now.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Those that took no connection since this was asked last, and why.
    pub fn take_failed(&mut self) -> Vec<(SocketAddr, io::Error)> {
        std::mem::take(&mut self.failed)
    }

    /// When to look again, whatever happens.
    pub fn deadline(&self) -> Time {
        match self.rival.is_none() && !self.rest.is_empty() {
            true => self.until.min(self.rival_at),
            false => self.until,
        }
    }

    /// Looks at the race.
    pub fn turn<N: Net<Stream = S>>(
        &mut self,
        net: &mut N,
        link: &mut Link<S>,
        now: Time,
    ) -> Dialed {
        if link.is_writable() {
            if let Some((mut stream, peer)) = self.rival.take() {
                match net.established(&mut stream) {
                    Ok(true) => {
                        replace(link, stream);
                        return Dialed::Stands(peer);
                    }
                    Ok(false) => self.rival = Some((stream, peer)),
                    Err(e) => self.failed.push((peer, e)),
                }
            }
        }
        let problem = if now >= self.until {
            io::ErrorKind::TimedOut.into()
        } else if link.is_writable() {
            match link.transport.established(net) {
                Ok(true) => return Dialed::Stands(self.first),
                Ok(false) => {
                    link.not_writable();
                    return self.race(net, link.token, now);
                }
                Err(e) => e,
            }
        } else {
            return self.race(net, link.token, now);
        };
        self.failed.push((self.first, again(&problem)));
        if let Some((stream, peer)) = self.rival.take() {
            self.first = peer;
            self.until = now.after(DIAL);
            replace(link, stream);
            return self.race(net, link.token, now);
        }
        match self.next(net, link.token, true, now, (self.first, problem)) {
            Ok(stream) => {
                replace(link, stream);
                Dialed::Wait
            }
            Err((peer, problem)) => Dialed::Failed(peer, problem),
        }
    }

    /// Lets the next address of the host join in when it is time for that.
    fn race<N: Net<Stream = S>>(&mut self, net: &mut N, token: Token, now: Time) -> Dialed {
        if self.rival.is_none() && now >= self.rival_at {
            let first = self.first;
            let unused = (first, io::ErrorKind::NotFound.into());
            if let Ok(stream) = self.next(net, token, false, now, unused) {
                self.rival = Some((stream, std::mem::replace(&mut self.first, first)));
            }
        }
        Dialed::Wait
    }

    /// Begins to connect to the next address, of the next host too if that may be. It is the first
    /// then. `problem` is what was wrong before, for when none is left.
    fn next<N: Net<Stream = S>>(
        &mut self,
        net: &mut N,
        token: Token,
        other_hosts: bool,
        now: Time,
        mut problem: (SocketAddr, io::Error),
    ) -> Result<S, (SocketAddr, io::Error)> {
        loop {
            if self.rest.is_empty() && other_hosts {
                if let Some(host) = self.hosts.pop_front() {
                    (self.host, self.rest) = (host.host, host.addresses.into());
                }
            }
            let Some(address) = self.rest.pop_front() else { return Err(problem) };
            match net.connect(address, token) {
                Ok(stream) => {
                    self.first = address;
                    self.rival_at = now.after(HEAD_START);
                    if other_hosts {
                        self.until = now.after(DIAL);
                    }
                    return Ok(stream);
                }
                Err(e) => {
                    self.failed.push((address, again(&e)));
                    problem = (address, e);
                }
            }
        }
    }
}

/// The same error once more.
fn again(e: &io::Error) -> io::Error {
    e.raw_os_error().map_or_else(|| e.kind().into(), io::Error::from_raw_os_error)
}

/// Puts another socket into a link that is not in use yet.
fn replace<S>(link: &mut Link<S>, stream: S) {
    let (armed, queued) = (link.armed, link.queued);
    *link = Link::new(stream, link.token, true);
    (link.armed, link.queued) = (armed, queued);
    // Its events may have come already, to the same token: look at everything once.
    let (readable, writable, read_closed, hung_up) = (true, true, false, false);
    link.mark(&Ready { token: link.token, readable, writable, read_closed, hung_up });
}
