//! The server side of SMTP: what a client says goes in as octets, what to do comes out as
//! [`Action`]s (RFC 5321, with the extensions that EHLO lists).
//!
//! Three things are kept apart, each an enum that carries its data: the [`Introduction`], what the
//! client has said of itself; the [`Progress`] of a mail transaction; and the [`State`], what the
//! session does right now.
//!
//! | state     | on                          | does                               | next |
//! | --------- | --------------------------- | ---------------------------------- | ---- |
//! | Start     | the first step              | asks the gate (connect)            | Gate |
//! | Command   | a line that is refused      | replies                            | Command |
//! | Command   | a line that may be          | asks the gate                      | Gate |
//! | Command   | BDAT out of place           |                                    | Waste |
//! | Command   | 4096 octets without CRLF (AUTH: 12288) |                         | LongLine |
//! | Command   | HTTP or a TLS hello         | replies 421                        | Closed |
//! | LongLine  | CRLF                        | replies 500                        | Command |
//! | Gate      | accept, at DATA             | begins content, replies 354        | Content |
//! | Gate      | accept, at BDAT             | begins content if not yet begun    | Content |
//! | Gate      | refuse, at BDAT             |                                    | Waste |
//! | Gate      | accept or refuse, at body   |                                    | Content |
//! | Gate      | accept, at the dot          |                                    | Commit |
//! | Gate      | accept, at STARTTLS         | replies 220                        | Handshake |
//! | Gate      | accept, at AUTH             | as the mechanism wants, below      | |
//! | Gate      | any other verdict           | replies                            | Command |
//! | Gate      | drop; refuse with 421       | (replies)                          | Closed |
//! | Content   | a part of the content       | hands it on                        | Content |
//! | Content   | the end of the header       | asks the gate (body)               | Gate |
//! | Content   | the end, all well           | asks the gate (dot)                | Gate |
//! | Content   | the end, refused meanwhile  | replies 4xx or 5xx                 | Command |
//! | Content   | the end of a chunk          | replies                            | Command |
//! | Waste     | the end of a refused chunk  | replies                            | Command |
//! | Commit    | `committed`                 | replies 250, or what went wrong    | Command |
//! | Handshake | `tls_started`               | forgets the introduction           | Command |
//! | Response  | a message of the mechanism  | as the mechanism wants, below      | |
//! | Response  | `*`, no base64, no sense    | replies 501                        | Command |
//! | Response  | 12288 octets without CRLF   |                                    | LongLine |
//! | Keys      | `keys`                      | as the mechanism wants, below      | |
//! | Work      | `work`                      | as the mechanism wants, below      | |
//! | Failed    | `penalty`: none             | replies 535                        | Command |
//! | Failed    | `penalty`: wait             |                                    | Penance |
//! | Failed    | `penalty`: close            | replies 421                        | Closed |
//! | Penance   | the wait is over            | replies 535                        | Command |
//! | any       | too many errors, time, end  | replies 421                        | Closed |
//!
//! What a mechanism wants: a challenge (replies 334, then Response), the keys of a user (asks for
//! them, then Keys), time to work (then Work), to say that the client is who it says (replies 235,
//! then Command) or is not (tells, then Failed), or that this makes no sense (replies 501).
//!
//! Commands, by the progress of the transaction (EHLO or HELO must come before the first four):
//!
//! | command | none | envelope | chunks | spoiled |
//! | ------- | ---- | -------- | ------ | ------- |
//! | MAIL    | opens it | 503  | 503    | opens it |
//! | RCPT    | 503  | adds     | 503    | 503 |
//! | DATA    | 503  | content  | 503    | 503 |
//! | BDAT    | chunk, then 503 | content | goes on | chunk, then its reply again |
//! | AUTH    | exchange | 503 | 503    | exchange |
//! | EHLO, HELO, RSET | none | none | none | none |
//! | NOOP, HELP, VRFY, EXPN, QUIT | as is | as is | as is | as is |
//!
//! *Spoiled* is a BDAT sequence in which a chunk was refused: what the client has in its pipeline
//! up to LAST gets the same reply, so that it cannot be taken for anything else (RFC 3030).
//!
//! Content that will be refused is read to its true end all the same, and kept nowhere.

mod auth;
mod command;
mod commands;
mod content;
mod gate;
mod mail;
mod reading;
mod replies;
mod scan;
mod session;
#[cfg(test)]
mod tests;
mod xtext;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

pub use replies::TOO_MANY_LOGINS;

use super::{Stage, Verdict};
use crate::auth::server::Exchange;
use crate::auth::{Binding, Mechanism, Secret};
use crate::base::{Envelope, Now, Recipient, Reply, Time};
use content::{Content, Source};

/// What a server session needs to know of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerConfig {
    /// The name in greeting, EHLO and Received.
    pub hostname: String,
    /// Octets of a message's content; 0: no limit.
    pub max_message_size: u64,
    /// Recipients of one message.
    pub max_recipients: u32,
    /// Replies 500 to 504 and 555 in one session; with the last of them it ends.
    pub max_errors: u32,
    /// Received fields in a header; with more of them the message goes in circles.
    pub max_hops: u32,
    /// For one command line, and between two arrivals of content.
    pub timeout: Duration,
    /// Whether STARTTLS is offered.
    pub starttls: bool,
    /// Whether AUTH is offered, inside TLS.
    pub auth: AuthPolicy,
}

/// Whether clients may or must say who they are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum AuthPolicy {
    /// They cannot.
    #[default]
    None,
    /// They may.
    Optional,
    /// Without it there is no mail (RFC 4954 section 6: 530).
    Required,
}

/// What is given to the machine at each call.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The settings, which may change while a session runs.
    pub config: &'a ServerConfig,
    /// The clocks.
    pub now: Now,
}

/// What the reactor has to do.
///
/// Ranges are parts of the input of this very call, and lie in what it consumed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Wait for more input. What was not consumed is given again, with the new octets behind it.
    Read,
    /// Ask the gate about [`ServerSession::facts`], answer by [`ServerSession::verdict`].
    Ask(Stage),
    /// Send this.
    Reply(Reply),
    /// For the transcript: this part of the input was a command line, here without its CRLF (of a
    /// line without end: the beginning).
    Heard(Range<usize>),
    /// For the transcript: the command line, its secret replaced.
    HeardSecret(Vec<u8>),
    /// Send this; it is a part of an AUTH exchange, and the transcript shows `334 ***`.
    Challenge(Reply),
    /// Find the keys of this user (or of nobody): answer by [`ServerSession::keys`].
    Keys(String),
    /// Call [`ServerSession::work`] when it is this session's turn to compute.
    Work,
    /// The client is [`ServerSession::user`], for the narration.
    LoggedIn(Mechanism),
    /// The client is not who it says: answer by [`ServerSession::penalty`].
    LoginFailed(Mechanism),
    /// Content begins: make a place for it, put the trace header there.
    Begin(Box<Envelope>),
    /// This part of the input is content.
    Body(Range<usize>),
    /// The content is given up: drop what came of it.
    Abort,
    /// The content is complete and may be kept: answer by [`ServerSession::committed`].
    Commit,
    /// For the narration: a message was refused after its content. The reply itself comes next.
    Refused(Reply),
    /// The client may begin TLS. Drop all input that was read before, it came in the clear and
    /// from anybody (RFC 3207 section 5); then call [`ServerSession::tls_started`].
    StartTls,
    /// Send what is left, then close. The word says why.
    Close(&'static str),
}

/// What the client has said of itself.
#[derive(Debug)]
enum Introduction {
    /// Nothing yet.
    Silent,
    /// It does not matter: the gate refused the connection (RFC 5321 section 3.1, 554).
    Unserved,
    /// HELO.
    Helo(Box<str>),
    /// EHLO.
    Ehlo(Box<str>),
}

/// An envelope that grows.
#[derive(Debug)]
struct Draft {
    envelope: Envelope,
    /// The SIZE parameter.
    declared: u64,
    /// Recipients that were refused.
    refused: u32,
}

/// How far a mail transaction is.
#[derive(Debug)]
enum Progress {
    /// There is none.
    None,
    /// MAIL was accepted, perhaps recipients.
    Mail(Box<Draft>),
    /// Content is coming, by DATA or in chunks.
    Content(Box<Content>),
    /// A chunk was refused with this; more chunks may be on their way.
    Spoiled(Reply),
}

/// An AUTH exchange.
#[derive(Debug)]
struct Login {
    mechanism: Mechanism,
    exchange: Exchange,
}

/// What the gate is asked, with all that is needed to go on.
#[derive(Debug)]
enum Question {
    Connect,
    Helo(Introduction),
    Mail(Box<Draft>),
    Rcpt(Box<Recipient>),
    Data,
    /// The header is whole; where the rest comes from, if there is a rest.
    Body(Option<Source>),
    Dot,
    Bdat {
        size: u64,
        last: bool,
    },
    Rset,
    Quit,
    StartTls,
    Auth {
        mechanism: Mechanism,
        initial: Option<Secret>,
    },
    /// What will be said.
    Other(Reply),
}

/// What the session does right now.
#[derive(Debug)]
enum State {
    Start,
    /// Waits for a command line; in so many octets of the unconsumed input there is no end of it.
    Command {
        searched: usize,
    },
    /// Swallows a line without end, then says this; whether its last octet was a CR.
    LongLine {
        cr: bool,
        reply: Reply,
    },
    /// Waits for a message of an AUTH exchange; `searched` as for a command.
    Response {
        login: Box<Login>,
        searched: usize,
    },
    /// Waits for the keys of a user.
    Keys(Box<Login>),
    /// Waits for its turn to compute.
    Work(Box<Login>),
    /// A login has failed; waits to hear what that costs.
    Failed,
    /// It costs time: until the deadline.
    Penance,
    Gate(Question),
    Content(Source),
    /// Swallows the rest of a chunk, so many octets, then says this.
    Waste {
        left: u64,
        reply: Reply,
    },
    Commit,
    Handshake,
    Closed(&'static str),
}

/// An action that was decided on and does not speak of the input.
#[derive(Debug)]
enum Out {
    Ask(Stage),
    Reply(Reply),
    Challenge(Reply),
    Keys(String),
    LoggedIn(Mechanism),
    LoginFailed(Mechanism),
    Begin(Box<Envelope>),
    Abort,
    Commit,
    Refused(Reply),
    StartTls,
    Close(&'static str),
}

/// One session with one client.
///
/// An idle one owns no memory beyond itself, the client's name, and a few words of queue (I7).
#[derive(Debug)]
pub struct ServerSession {
    client: IpAddr,
    tls: bool,
    /// What tells the TLS connection from all others.
    binding: Option<Binding>,
    /// As whom the client has authenticated.
    user: Option<Box<str>>,
    introduction: Introduction,
    progress: Progress,
    state: State,
    outbox: VecDeque<Out>,
    /// Replies that count as errors.
    errors: u32,
    /// Lines that may have been sent ahead behind a refused AUTH, and are not to be shown.
    lines_ahead: u8,
    /// The server is to end: no new transaction.
    ending: bool,
    /// Octets of input that the last step saw and left.
    seen: usize,
    /// Content octets in the whole session.
    octets: u64,
    deadline: Time,
}
