//! The slab of everything that has a socket, with generations, so that a stale event or timer
//! finds nobody instead of somebody else.

use std::net::SocketAddr;

use slab::Slab;

use super::control::Asking;
use super::core::Role;
use super::inbound::Inbound;
use super::net::{Net, Token};
use super::outbound::Outbound;
use super::playing::Playing;
use super::secrets::Errand;
use super::student::Student;
use crate::base::Time;

/// A listening socket.
pub struct Listener<L> {
    /// The socket.
    pub socket: L,
    /// The address that was asked for.
    pub at: SocketAddr,
    /// What its connections are for.
    pub role: Role,
    /// Stands in a queue for a turn.
    pub queued: bool,
}

/// The control socket.
pub struct Door<L> {
    /// The socket.
    pub socket: L,
    /// Stands in a queue for a turn.
    pub queued: bool,
}

/// One of the things that own a socket. All are boxed: the slab stays small, and an entry
/// moves without its contents.
pub enum Slot<N: Net, F> {
    /// Waits for clients.
    Listener(Box<Listener<N::Listener>>),
    /// A client.
    Inbound(Box<Inbound<N::Stream, F>>),
    /// A next server.
    Outbound(Box<Outbound<N::Stream>>),
    /// Waits for those who ask.
    Door(Box<Door<N::Listener>>),
    /// Somebody who asks.
    Asking(Box<Asking<N::Stream>>),
    /// A student's end of a session.
    Student(Box<Student<N::Stream>>),
    /// A command that fetches a secret.
    Errand(Box<Errand<N>>),
    /// A recorded client that speaks again.
    Playing(Box<Playing<N::Stream>>),
}

/// All slots.
pub struct Slots<N: Net, F> {
    slab: Slab<(usize, Slot<N, F>)>,
    generation: usize,
}

impl<N: Net, F> Default for Slots<N, F> {
    fn default() -> Self {
        Slots { slab: Slab::new(), generation: 0 }
    }
}

impl<N: Net, F> Slots<N, F> {
    /// The token that the next [`Slots::insert`] will use: sockets are registered before they are
    /// put away.
    pub fn next_token(&self) -> Token {
        Token::new(self.slab.vacant_key(), self.generation + 1)
    }

    /// Puts a slot away.
    pub fn insert(&mut self, slot: Slot<N, F>) -> Token {
        let token = self.next_token();
        self.generation += 1;
        self.slab.insert((token.generation(), slot));
        token
    }

    /// The slot of this token, if it is still that one.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut Slot<N, F>> {
        match self.slab.get_mut(token.index()) {
            Some((generation, slot)) if *generation == token.generation() => Some(slot),
            _ => None,
        }
    }

    /// Takes a slot out.
    pub fn remove(&mut self, token: Token) -> Option<Slot<N, F>> {
        self.get_mut(token)?;
        Some(self.slab.remove(token.index()).1)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Every slot.
    pub fn iter(&self) -> impl Iterator<Item = &Slot<N, F>> {
        self.slab.iter().map(|(_, (_, slot))| slot)
    }

    /// The tokens of all slots, collected, so that slots may be changed while one walks them.
    pub fn tokens(&self) -> Vec<Token> {
        self.slab.iter().map(|(i, (generation, _))| Token::new(i, *generation)).collect()
    }

    /// Whether the slot stands in a queue for a turn.
    pub fn queued(&mut self, token: Token) -> Option<&mut bool> {
        Some(match self.get_mut(token)? {
            Slot::Listener(l) => &mut l.queued,
            Slot::Door(d) => &mut d.queued,
            Slot::Asking(c) => &mut c.link.queued,
            Slot::Errand(c) => &mut c.link.queued,
            Slot::Student(c) => &mut c.link.queued,
            Slot::Playing(c) => &mut c.link.queued,
            Slot::Inbound(c) => &mut c.link.queued,
            Slot::Outbound(c) => &mut c.link.queued,
        })
    }

    /// A connection's memory of its earliest timer.
    pub fn armed(&mut self, token: Token) -> Option<&mut Time> {
        match self.get_mut(token)? {
            Slot::Listener(_) | Slot::Door(_) => None,
            Slot::Asking(c) => Some(&mut c.link.armed),
            Slot::Errand(c) => Some(&mut c.link.armed),
            Slot::Student(c) => Some(&mut c.link.armed),
            Slot::Playing(c) => Some(&mut c.link.armed),
            Slot::Inbound(c) => Some(&mut c.link.armed),
            Slot::Outbound(c) => Some(&mut c.link.armed),
        }
    }
}
