//! Filters: what the administrator wants done with mail, beside relaying it.
//!
//! A [`Filter`] is a name, an [`Action`] and a condition in the language of `where`. They stand in
//! a list, and **each recipient of a message walks the list from the top**:
//!
//! | the filter that fits | does | and the walk |
//! | --- | --- | --- |
//! | `accept` | nothing: the mail goes its way | ends |
//! | `reject` | refuses with its reply | ends |
//! | `hold` | the message stands held in the queue | ends |
//! | `discard` | the client hears 250, the mail goes nowhere | ends |
//! | `redirect` | another address takes the recipient's place | ends |
//! | `route` | these next servers take it, whatever the routes say | ends |
//! | `tag` | adds a field in front of the header | goes on |
//! | `limit` | within its rate nothing, beyond it refuses | goes on, or ends |
//!
//! A recipient who comes to the end goes its way. The relay rule has already been asked: no filter
//! makes an open relay.
//!
//! # When
//!
//! A condition asks for things that become known one after the other, and stay as they are for the
//! rest of a transaction. The [`Level`]s:
//!
//! | level | known from then on |
//! | --- | --- |
//! | connect | `client` |
//! | helo | `helo` |
//! | mail | `from`, `tls`, `user` (before MAIL, STARTTLS and AUTH may still come) |
//! | rcpt | `rcpt` |
//! | body | `subject`, `header.NAME` |
//! | dot | `size` |
//!
//! The list means what it says when all is known, at the dot. But a client that will be refused is
//! to hear so early, and a recipient that is refused alone must be refused at RCPT. So the list is
//! walked at every level, with three answers: fits, does not fit, not known yet (a condition like
//! `client == 192.0.2.1 && subject ~ "x"` is known not to fit as soon as one half is). A refusal is
//! certain when no filter before it that is not known yet could do anything but refuse, too; then
//! it is given at once. All that is not a refusal happens at the dot. A model in the tests holds
//! the walk against that: what is decided early is never contradicted later.
//!
//! After its content a message can only be refused as a whole: it is, when the walk of any of its
//! recipients ends in a refusal. `stage=` makes a filter wait for a level that comes later than
//! what it asks for.
//!
//! A limit counts messages, once each, from MAIL on; one whose condition asks for the recipient
//! counts recipients.

mod draft;
mod limit;
mod list;
#[cfg(test)]
mod tests;
mod walk;

use super::expr::{Expr, Field};
use crate::base::{Address, Rate, Reply};
use crate::smtp::Stage;

pub use draft::{ACTIONS, Draft, FilterError, KEYS, Part};
pub use list::{Filters, Origin};
pub use walk::{Fate, Fit, Judgement, Passage, Plan, Sight};

/// Filters of one list.
pub const MAX_FILTERS: usize = 1000;

/// One filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// Its name, a word.
    pub name: String,
    /// What it does.
    pub action: Action,
    /// When; always, if there is none.
    pub condition: Option<Expr>,
    /// Not before this level.
    pub from: Level,
}

/// What a filter does with what fits it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing, and no later filter does.
    Accept,
    /// Refuses with this, a 4xx or 5xx.
    Reject(Reply),
    /// Keeps it in the queue until it is released.
    Hold,
    /// Takes it and keeps it nowhere.
    Discard,
    /// Adds this field in front of the header, without its CRLF.
    Tag(Box<str>),
    /// Sends it to this address instead.
    Redirect(Address),
    /// Sends it by these next servers, the first that takes mail; not empty.
    Route(Box<[String]>),
    /// Refuses with this what is beyond a rate.
    Limit(Rate, Per, Reply),
}

/// Whose mail a limit counts together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Per {
    /// That of an address, of a /64 of IPv6.
    Client,
    /// That of a sender in MAIL; all bounces are of one.
    Sender,
    /// That of a user; mail without a login is not counted.
    User,
}

/// How much is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// The client's address.
    Connect,
    /// What it calls itself.
    Helo,
    /// The sender, and all that may not change any more while the transaction lasts.
    Mail,
    /// A recipient.
    Rcpt,
    /// The header.
    Body,
    /// All of the message.
    Dot,
}

impl Level {
    /// All, in order.
    pub const ALL: [Level; 6] =
        [Level::Connect, Level::Helo, Level::Mail, Level::Rcpt, Level::Body, Level::Dot];

    /// As it is written in `stage=`.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Connect => "connect",
            Level::Helo => "helo",
            Level::Mail => "mail",
            Level::Rcpt => "rcpt",
            Level::Body => "body",
            Level::Dot => "dot",
        }
    }

    /// The level at a stage of the gate; none where filters are not asked.
    pub const fn at(stage: Stage) -> Option<Level> {
        match stage {
            Stage::Connect => Some(Level::Connect),
            Stage::Helo => Some(Level::Helo),
            Stage::Mail => Some(Level::Mail),
            Stage::Rcpt => Some(Level::Rcpt),
            Stage::Body => Some(Level::Body),
            Stage::Dot => Some(Level::Dot),
            _ => None,
        }
    }

    /// From which level on a field is known; none for those that no filter can ask for.
    pub const fn of(field: &Field) -> Option<Level> {
        match field {
            Field::Client => Some(Level::Connect),
            Field::Helo => Some(Level::Helo),
            Field::From | Field::Tls | Field::User => Some(Level::Mail),
            Field::Rcpt => Some(Level::Rcpt),
            Field::Subject | Field::Header(_) => Some(Level::Body),
            Field::Size => Some(Level::Dot),
            Field::Verb
            | Field::Reply
            | Field::Delay
            | Field::Session
            | Field::Id
            | Field::Next => None,
        }
    }

    /// Whether a field is known.
    pub fn knows(self, field: &Field) -> bool {
        Level::of(field).is_some_and(|level| level <= self)
    }
}

impl Filter {
    /// Whether its condition asks for a field that passes this.
    pub fn asks(&self, pass: impl Fn(&Field) -> bool) -> bool {
        self.condition.as_ref().is_some_and(|expr| expr.asks(pass))
    }

    /// Its condition as it was written; empty when it has none.
    pub fn source(&self) -> &str {
        self.condition.as_ref().map_or("", Expr::source)
    }
}

impl Action {
    /// Its word.
    pub const fn name(&self) -> &'static str {
        match self {
            Action::Accept => "accept",
            Action::Reject(_) => "reject",
            Action::Hold => "hold",
            Action::Discard => "discard",
            Action::Tag(_) => "tag",
            Action::Redirect(_) => "redirect",
            Action::Route(_) => "route",
            Action::Limit(..) => "limit",
        }
    }

    /// What it says to the client, if it refuses.
    pub const fn reply(&self) -> Option<&Reply> {
        match self {
            Action::Reject(reply) | Action::Limit(_, _, reply) => Some(reply),
            _ => None,
        }
    }

    /// What it has beside a reply, as it is written: `to=ann@example.org`.
    pub fn terms(&self) -> String {
        match self {
            Action::Tag(field) => format!("header={field}"),
            Action::Redirect(to) => format!("to={to}"),
            Action::Route(via) => format!("via={}", via.join(",")),
            Action::Limit(rate, per, _) => format!("rate={rate} per={}", per.name()),
            _ => String::new(),
        }
    }
}

impl Per {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Per::Client => "client",
            Per::Sender => "sender",
            Per::User => "user",
        }
    }
}
