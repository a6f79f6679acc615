//! The gate: before a reply or a command goes out, a protocol machine asks and waits.
//!
//! The relay rule is its first user; filters, faults, breakpoints and rate limits hang on the same
//! hook. A machine that waits at the gate takes no further input and sends nothing; everything
//! else in the server goes on.

use std::net::IpAddr;

use crate::base::{Address, Reply};

/// Where in a conversation the question is asked; both legs use the same names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// Before the greeting; outbound: before the connection is used.
    Connect,
    /// EHLO or HELO.
    Helo,
    /// MAIL.
    Mail,
    /// RCPT: asked for each recipient.
    Rcpt,
    /// DATA, before 354.
    Data,
    /// The header has been read whole.
    Body,
    /// The content has ended, before it is committed.
    Dot,
    /// A BDAT chunk.
    Bdat,
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Auth,
    /// NOOP, VRFY, EXPN, HELP: reached only by `any`.
    Other,
}

impl Stage {
    /// Those with a name of their own, in the order of a conversation.
    pub const NAMED: [Stage; 12] = [
        Stage::Connect,
        Stage::Helo,
        Stage::Mail,
        Stage::Rcpt,
        Stage::Data,
        Stage::Body,
        Stage::Dot,
        Stage::Bdat,
        Stage::Rset,
        Stage::Quit,
        Stage::StartTls,
        Stage::Auth,
    ];

    /// As rules, breakpoints and lists name it.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Connect => "connect",
            Stage::Helo => "helo",
            Stage::Mail => "mail",
            Stage::Rcpt => "rcpt",
            Stage::Data => "data",
            Stage::Body => "body",
            Stage::Dot => "dot",
            Stage::Bdat => "bdat",
            Stage::Rset => "rset",
            Stage::Quit => "quit",
            Stage::StartTls => "starttls",
            Stage::Auth => "auth",
            Stage::Other => "other",
        }
    }
}

/// What is known at the gate. Borrowed from the machine.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The client's address; outbound: the next server's.
    pub client: IpAddr,
    /// The EHLO or HELO argument as it came, if one was given.
    pub helo: Option<&'a str>,
    /// The reverse path: none before MAIL, `Some(None)` for `<>`.
    pub from: Option<Option<&'a Address>>,
    /// At [`Stage::Rcpt`] the recipient in question.
    pub rcpt: Option<&'a Address>,
    /// Recipients accepted so far.
    pub recipients: usize,
    /// Octets: declared at MAIL, counted at the dot.
    pub size: u64,
    /// Inside TLS.
    pub tls: bool,
    /// As whom the client authenticated.
    pub user: Option<&'a str>,
}

/// What the machine does next. Holding and delaying are not here: to hold a session is simply not
/// to answer it yet, which is the reactor's business.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Go on as the protocol says.
    Accept,
    /// Say this instead of success; the session goes on, unless the code is 421.
    Refuse(Reply),
    /// At the dot: say 250 but keep nothing.
    Discard,
    /// Close without a word.
    Drop,
}
