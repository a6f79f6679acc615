//! The one narration of what happens.
//!
//! Log, statistics, transcripts, consoles and tests all subscribe to the same [`Event`]s. An event
//! borrows the octets that it speaks of, so that narrating costs nothing when nobody listens; each
//! exit makes them [`Printable`](crate::base::Printable). Secrets never get here: the protocol
//! machines have already replaced them.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::base::{Address, MessageId, Now, Reply, SessionId};

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// When.
    pub now: Now,
    /// In which session, if in one.
    pub session: Option<SessionId>,
    /// To which message, if to one.
    pub message: Option<MessageId>,
    /// What.
    pub what: What<'a>,
}

/// Who speaks, on either leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// `->`
    Client,
    /// `<-`
    Server,
}

/// Whether a line is as it should be.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// Nothing to say.
    #[default]
    Plain,
    /// `**`: breaks the protocol.
    Unexpected,
    /// `!!!`: made by a fault rule or by hand.
    Injected,
    /// `|||`: the session is held.
    Held,
}

/// How an attempt for one recipient ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Taken by the next server.
    Delivered,
    /// To be tried again.
    Deferred,
    /// Never to be tried again.
    Failed,
}

/// How loud a word about the server itself is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everyday.
    Info,
    /// Somebody should look.
    Warn,
    /// Somebody must look.
    Error,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What<'a> {
    /// A client connected, or a connection to a next server stands.
    Opened {
        /// The other end.
        peer: SocketAddr,
        /// Outbound: the next server's name.
        next: Option<&'a str>,
    },
    /// A line went over the wire, without its CRLF.
    Line {
        /// Who said it.
        side: Side,
        /// Inside TLS (`~>`, `<~`).
        tls: bool,
        /// As it is, secrets replaced.
        text: &'a [u8],
        /// As it should be?
        mark: Mark,
    },
    /// Message content passed; its octets are not narrated.
    Content {
        /// Who sent it.
        side: Side,
        /// Octets of the message.
        octets: u64,
    },
    /// A word about a session, for `===` lines: time-outs, faults.
    Remark(&'a str),
    /// A session is held at the gate, or is no longer (`|||`).
    Held(&'a str),
    /// A fault rule or a person has changed how things go (`!!!`).
    Injected(&'a str),
    /// The session is over.
    Closed {
        /// Why, in a few words.
        why: &'a str,
    },
    /// A message is durable in the spool.
    Accepted {
        /// Its sender; none is `<>`.
        from: Option<&'a Address>,
        /// How many recipients.
        recipients: usize,
        /// Octets.
        size: u64,
    },
    /// A message was refused after its content (the reply says why).
    Refused {
        /// What the client was told.
        reply: &'a Reply,
    },
    /// A session with a next server begins to carry a message there.
    Attempt {
        /// For how many recipients.
        recipients: usize,
        /// Octets.
        size: u64,
    },
    /// An attempt for one recipient ended.
    Outcome {
        /// Which.
        recipient: &'a Address,
        /// How.
        ending: Ending,
        /// The next server's words, or ours.
        reply: &'a Reply,
        /// The next server.
        next: &'a str,
        /// The host there and its address, when one was spoken to.
        at: Option<(&'a str, SocketAddr)>,
    },
    /// A bounce or a notice about this message was queued.
    Bounced {
        /// The bounce.
        bounce: MessageId,
        /// For how many recipients.
        recipients: usize,
    },
    /// All recipients are done: the message left the spool.
    Retired,
    /// A next server changed its state.
    NextServer {
        /// Which.
        name: &'a str,
        /// To what, and why.
        state: &'a str,
        /// Whether that is bad news.
        level: Level,
    },
    /// A word about the server itself: listeners, spool, configuration.
    Server {
        /// How loud.
        level: Level,
        /// What, where and what to do.
        text: &'a str,
    },
}
