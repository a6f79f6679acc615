//! A session that a student speaks by hand, in the server's own process: one end of a pair of
//! sockets is a client's connection like any other, the other end is here.
//!
//! What the server says is only taken off the wire: the tutor reads it in the transcript, as it
//! does where the student comes with telnet. Only the answer to STARTTLS is read here, since after
//! 220 this end must shake hands, which nobody can do by hand.
//!
//! Mail that is accepted in such a session is practice. It goes out only to a next server on this
//! machine, such as the built-in sink; else it is held, and deleted when the student leaves.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::Reactor;
use super::core::{Core, Role};
use super::inbound::After;
use super::link::{Input, Link, Phase};
use super::net::{Net, Token};
use super::slots::Slot;
use super::tls::{ClientTls, Tls};
use crate::base::{Leg, MessageId, Now, SessionId, Status, Time};
use crate::journal::Level;
use crate::queue::ServerId;
use crate::spool::Disk;

/// Octets that the server has not taken yet; a student who types more waits.
const MAX_UNSENT: usize = 64 << 10;

/// Octets of the answer to STARTTLS.
const MAX_REPLY: usize = 4 << 10;

/// The student's end.
pub struct Student<S> {
    /// The connection.
    pub link: Link<S>,
    /// STARTTLS was said.
    asked: Option<Asked>,
}

/// TLS was asked for.
struct Asked {
    /// What it is begun with.
    client: ClientTls,
    /// The answer so far.
    reply: Vec<u8>,
}

/// Whose sessions are practice, and the messages that were held in them.
#[derive(Default)]
pub struct Practice {
    sessions: Vec<SessionId>,
    held: Vec<(SessionId, MessageId)>,
}

impl<S> Student<S> {
    fn turn<N: Net<Stream = S>>(&mut self, net: &mut N, now: Now, scratch: &mut [u8]) -> After {
        if let Phase::Handshake { .. } = self.link.phase {
            match self.link.handshake(net, now.time) {
                Ok(true) => return After::Again,
                Ok(false) => return After::Wait,
                Err(_) => return After::Gone,
            }
        }
        if self.link.phase != Phase::Open {
            let gone = self.link.wind_down(net, now.time, scratch);
            return if gone { After::Gone } else { After::Wait };
        }
        while self.link.is_readable() {
            match self.link.read(net, scratch) {
                Ok(Input::Octets(n)) => {
                    if let Some(client) = self.agreed(&scratch[..n]) {
                        // The handshake begins with our word.
                        return match self.link.secure(now.time, |s| begin_tls(s, &client)) {
                            Ok(()) => After::Again,
                            Err(_) => After::Gone,
                        };
                    }
                }
                Ok(Input::Dry) => {}
                Ok(Input::End) | Err(_) => return After::Gone,
            }
        }
        match self.link.flush(net) {
            Ok(_) => After::Wait,
            Err(_) => After::Gone,
        }
    }

    /// The server spoke. Where that is its 220 to STARTTLS: what TLS is begun with.
    fn agreed(&mut self, octets: &[u8]) -> Option<ClientTls> {
        let asked = self.asked.as_mut()?;
        asked.reply.extend_from_slice(octets);
        let lines = asked.reply.split_inclusive(|b| *b == b'\n');
        let last = lines.filter(|line| line.ends_with(b"\n")).find(|l| l.get(3) != Some(&b'-'));
        let agrees = last.map(|line| line.starts_with(b"220"));
        if agrees.is_none() && asked.reply.len() <= MAX_REPLY {
            return None;
        }
        self.asked.take().filter(|_| agrees == Some(true)).map(|asked| asked.client)
    }

    /// TLS was asked for, and it is not there yet, nor refused.
    fn is_securing(&self) -> bool {
        self.asked.is_some() || matches!(self.link.phase, Phase::Handshake { .. })
    }

    /// When it wants its next turn, whatever happens.
    pub fn deadline(&self) -> Time {
        self.link.deadline()
    }
}

/// The server is this process: there is no name to check.
fn begin_tls<S>(stream: S, client: &ClientTls) -> io::Result<Tls<S>> {
    Tls::client(stream, client, "localhost", SocketAddr::from(([127, 0, 0, 1], 0)))
}

impl<D: Disk> Core<D> {
    /// A message was accepted: in a student's session it is held, unless it stays on this machine.
    pub(super) fn hold_practice(
        &mut self,
        session: SessionId,
        id: MessageId,
        routes: &[(u32, ServerId, Status)],
        now: Now,
    ) {
        if !self.practice.sessions.contains(&session)
            || routes.iter().all(|(_, server, _)| is_here(&self.server(*server).host))
        {
            return;
        }
        let held = self.queue.hold(id.counter);
        let marks: Vec<_> = held.into_iter().map(|recipient| (recipient, Status::Held)).collect();
        if let Err(e) = self.spool.mark_all(id, &marks, now.time) {
            self.say(now, Level::Error, &format!("cannot record that {} is held: {e}", id.short()));
        }
        self.practice.held.push((session, id));
    }

    /// Messages of a session that are held for practice.
    pub(super) fn held_in(&self, session: SessionId) -> impl Iterator<Item = MessageId> {
        let held = self.practice.held.iter();
        held.filter(move |(of, _)| *of == session).map(|(_, id)| *id)
    }

    /// The student has left: what was held in the session is deleted.
    pub(super) fn end_practice(&mut self, session: SessionId, now: Now) {
        let held: Vec<MessageId> = self.held_in(session).collect();
        for id in held {
            // Who released it meanwhile, or deleted it, has decided about it.
            let is_held = self.queue.message(id.counter, now).is_some_and(|m| m.held());
            if is_held && self.spool.remove(id, now.time).is_ok() {
                self.queue.remove(id.counter);
            }
        }
        self.practice.held.retain(|(of, _)| *of != session);
        self.practice.sessions.retain(|of| *of != session);
    }
}

/// A next server on this machine.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Begins a session for a student; none when the server takes no more connections now.
    pub(super) fn begin_practice(&mut self) -> io::Result<Option<(SessionId, Token)>> {
        let (theirs, mut ours) = self.net.pair()?;
        let before = self.sessions_in;
        // The client's end first: when it is not admitted there is nothing to clear away.
        self.admit(theirs, SocketAddr::from(([127, 0, 0, 1], 0)), Role::Relay);
        if self.sessions_in == before {
            return Ok(None);
        }
        let id = SessionId { leg: Leg::In, number: self.sessions_in };
        let token = self.slots.next_token();
        self.net.register(&mut ours, token)?;
        let student = Student { link: Link::new(ours, token, true), asked: None };
        self.slots.insert(Slot::Student(Box::new(student)));
        self.core.practice.sessions.push(id);
        Ok(Some((id, token)))
    }

    /// Sends a line as it was typed, with CRLF; false when the connection is gone, or full.
    pub(super) fn speak(&mut self, token: Token, line: &str) -> bool {
        let Some(Slot::Student(student)) = self.slots.get_mut(token) else { return false };
        if student.link.output.len() > MAX_UNSENT || student.link.phase != Phase::Open {
            return false;
        }
        let out = student.link.output.tail();
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
        self.make_runnable(token);
        true
    }

    /// Sends STARTTLS as it was typed, and shakes hands when the server agrees. False when that
    /// cannot be: the server has no certificate, so it does not offer it.
    pub(super) fn speak_starttls(&mut self, token: Token, line: &str) -> bool {
        let client = self.core.certificate().and(self.core.stranger().cloned());
        let Some(client) = client else { return false };
        if !self.speak(token, line) {
            return false;
        }
        if let Some(Slot::Student(student)) = self.slots.get_mut(token) {
            // Inside TLS the server will say that it is there already.
            let plain = student.link.transport.is_plain();
            student.asked = plain.then(|| Asked { client, reply: Vec::new() });
        }
        true
    }

    /// The student's connection is between STARTTLS and TLS: nothing can be said.
    pub(super) fn is_securing(&mut self, token: Token) -> bool {
        matches!(self.slots.get_mut(token), Some(Slot::Student(s)) if s.is_securing())
    }

    /// Ends a student's session from their side, and forgets what was held in it.
    pub(super) fn leave_practice(&mut self, id: SessionId, token: Token) {
        if let Some(Slot::Student(student)) = self.slots.get_mut(token) {
            student.link.close(self.now.time);
            self.make_runnable(token);
        }
        self.core.end_practice(id, self.now);
    }

    /// The share of a student's connection in a tick.
    pub(super) fn turn_student(&mut self, token: Token) -> After {
        let now = self.now;
        let Some(Slot::Student(student)) = self.slots.get_mut(token) else { return After::Wait };
        let was_securing = student.is_securing();
        let after = student.turn(&mut self.net, now, &mut self.scratch);
        if was_securing && !student.is_securing() {
            // Whoever waits for TLS may type again.
            for i in 0..self.askers.len() {
                self.make_runnable(self.askers[i]);
            }
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_on_this_machine() {
        for here in ["127.0.0.1", "127.9.9.9", "::1", "localhost"] {
            assert!(is_here(here), "{here}");
        }
        for away in ["192.0.2.1", "mx.example.org", "localhost.example.org", ""] {
            assert!(!is_here(away), "{away}");
        }
    }
}
