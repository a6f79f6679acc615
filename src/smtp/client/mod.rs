//! The client's side of SMTP: one connection to a next server, as a machine without I/O.
//!
//! # Theory
//!
//! The machine answers one question for each recipient: *who has this message now?* The server has
//! it from the moment that it sent a complete positive reply to the end of the content (RFC 5321
//! section 4.2.5); until then we have it. All else follows from taking this literally:
//!
//! - Only the last octet of that one reply delivers. What is cut, early, unasked for, or makes no
//!   sense never does: the parser gives out whole replies only, and a reply that began before the
//!   end of the content was sent cannot be an answer to it.
//! - Replies are counted against commands. *Nothing goes out while unread input lies before us for
//!   which we did not ask*: an additional reply ends the connection before it can be taken for the
//!   answer to a later command.
//! - Content goes out only when a recipient was accepted. If all recipients of a pipelined group
//!   were refused and DATA still gets 354, RFC 2920 section 3.1 would have us send a lone dot. We
//!   close instead: a connection costs little, an empty message to somebody we believe refused
//!   would be seen.
//! - If the server answers in the middle of the content, it may no longer read content: what we go
//!   on to send could be read as commands. So nothing more is sent. A refusal counts (the message
//!   was not complete, it cannot have been delivered), anything else defers; then we close.
//! - A loss after the end of the content and before the answer leaves the question open. Such a
//!   recipient is deferred and *uncertain*: at least once, not at most once.
//! - Who offers CHUNKING and then does not know BDAT has said nothing about the message: it goes
//!   again, by DATA. Such words are 500 to 504 and 555; any other refusal counts.
//! - A reply says something about the recipient, the message, or the server; which, decides who
//!   waits. 530, 534, 535, 538 and refusals of EHLO speak of us and the server: no message bounces
//!   because of a wrong password.
//!
//! As RFC 5321 section 4.3.2 asks, the first digit of a code decides; only DATA must have 354
//! exactly, since what follows is content.
//!
//! # Transitions
//!
//! ```text
//! state      on                                   does                               then
//! ─────────  ───────────────────────────────────  ─────────────────────────────────  ──────────
//! Connect    gate: yes                            -                                  Greeting
//! Greeting   2xx                                  -                                  Hello
//!            4xx 5xx                              QUIT, Close(Server)                Closed
//! Hello      gate: yes                            Send EHLO (or HELO)                HelloSent
//! HelloSent  2xx, TLS wanted and offered          -                                  StartTls
//!            2xx, TLS required, not offered       QUIT, Close(Tls)                   Closed
//!            2xx, no user for this server         Ready                              Idle
//!            2xx, a mechanism is found            -                                  Auth
//!            2xx, none is                         QUIT, Close(Login)                 Closed
//!            5xx to EHLO                          -                                  Hello (HELO)
//!            4xx; 5xx to HELO                     QUIT, Close(Server)                Closed
//! StartTls   gate: yes, Send STARTTLS, 2xx        StartTls                           Handshake
//!            4xx 5xx, TLS not required            Ready                              Idle
//!            4xx 5xx, TLS required                QUIT, Close(Tls)                   Closed
//!            EOF, time-out                        Close(Tls)                         Closed
//! Handshake  tls_started()                        forgets what was offered           Hello (EHLO)
//!            tls_failed()                         Close(Tls)                         Closed
//!            any octet of input                   Close(Protocol)                    Closed
//! Auth       gate: yes                            Secret                             Secret
//! Secret     secret(), there is one               SendSecret: AUTH                   AuthSent
//!            secret(), there is none              QUIT, Close(Login)                 Closed
//! AuthSent   334, as it should be                 SendSecret: the answer             AuthSent
//!            334, first to be computed            Work until work() has it           AuthSent
//!            334, it should not                   Send *, QUIT, Close(Login)         Closed
//!            2xx, and the server is proven        Ready                              Idle
//!            535, and the secret may be newer     Secret, once                       Secret
//!            4xx 5xx, 2xx too early               QUIT, Close(Login)                 Closed
//! Idle       begin(), server can take it          -                                  Mail
//!            begin(), it cannot (SIZE, 8BITMIME)  all Failed                         Done
//!            quit()                               -                                  Quit
//!            EOF, 421, any reply                  Close(Lost, idle)                  Closed
//! Mail       gate: yes                            batch grows; full: Send            Mail
//!            MAIL 4xx 5xx                         the rest is heard; all share it    Done
//!            RCPT 2xx                             accepted                           Mail
//!            RCPT 4xx 5xx                         its Outcome                        Mail
//!            RCPT 452 552, others accepted        it and the following Untried       Mail
//!            all answered, none accepted          -                                  Reset
//!            DATA 354, some accepted              Transmit(Dot)                      Content
//!            DATA 354, none accepted              Close(None)                        Closed
//!            DATA 4xx 5xx                         accepted share it                  Reset
//!            all answered, CHUNKING               Send BDAT, Transmit(Bdat)          Content
//! Content    transmitted(), Dot                   gate: yes: Dot                     Final
//!            transmitted(), Bdat                  -                                  Final
//!            4xx 5xx early                        accepted share it, Close(None)     Closed
//!            500-504 555, Bdat                    Untried, Close(Bdat)               Closed
//!            EOF                                  Untried, Close(Lost)               Closed
//! Final      2xx                                  accepted Delivered                 Done
//!            4xx 5xx                              accepted share it                  Done/Reset
//!            500-504 555, Bdat                    Untried, Close(Bdat)               Closed
//!            EOF, time-out                        accepted Deferred, uncertain       Closed
//! Reset      gate: yes, RSET 2xx                  -                                  Done
//! Done       MAILMAX not reached                  Done                               Idle
//!            MAILMAX reached, or quit() before    Done                               Quit
//! Quit       gate: yes                            Send QUIT, wait shortly for 221    Closed
//! any        530 534 535 538                      undecided Untried, Close(Server)   Closed
//!            421                                  undecided Untried, at Final        Closed
//!                                                 Deferred; Close(Unavailable)
//!            senseless or additional reply        undecided Deferred 4.5.0,          Closed
//!                                                 Close(Protocol)
//!            EOF                                  undecided Untried, Close(Lost)     Closed
//!            time-out                             undecided Untried, Close(Timeout)  Closed
//!            EOF, 421 or unasked reply before     undecided Untried,                 Closed
//!            the first reply on a reused session  Close(Lost, idle)
//! ```
//!
//! Before each command the machine waits at the gate. A refusal there acts as if the server had
//! said it, without the command being sent.
//!
//! STARTTLS comes before AUTH, and AUTH between the last `HelloSent` and `Idle`.
//!
//! # How to drive it
//!
//! Call `step()` with all unread input (at least [`ReplyParser::MAX_LINE`] octets and one more must
//! fit into the buffer), drop what it took, do what it says, and call it again, until it says
//! `Read`, `Ask` or `Close`; do so again after every other call. All input that was read goes to
//! `step()` before `eof()`.

mod auth;
mod extensions;
mod gate;
mod hello;
mod replies;
mod settle;
mod transaction;
mod turn;
mod types;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use crate::auth::{Binding, Mechanism};
use crate::base::{MessageId, Reply, ReplyParser, Time};
use crate::smtp::{Hidden, Stage};

pub use extensions::Extensions;
pub use types::{
    Action, Choice, ClientConfig, Fault, LoginConfig, MAX_REPLY_TEXT, Mode, StartTls, Timeouts,
    Transaction,
};

use self::auth::{Login, Words};
use settle::Settlement;
use transaction::{Step, Tx};

/// With which word we greet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hello {
    Ehlo,
    Helo,
}

/// Where the content is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    /// To be given to the caller, after the batch (which holds BDAT, if anything).
    Start(Mode),
    /// The caller writes it. A reply, or part of one, that comes now is early.
    Flow(Mode, Onset),
    /// All of it is written but the dot, which the gate is to let through.
    End,
    /// The gate let the dot through.
    Dot,
}

/// When the last reply began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Onset {
    /// Not before the end of the content was sent.
    InTime,
    /// Before: it cannot be an answer to the whole message.
    Early,
}

/// What follows when all outcomes are out.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Then {
    /// The session goes on.
    Idle,
    /// The session goes on; the server still has a transaction open.
    Reset,
    /// Say QUIT and close.
    Quit(Fault),
    /// Close.
    Close(Fault),
}

#[derive(Debug)]
enum State {
    Connect,
    Greeting,
    Hello(Hello),
    HelloSent(Hello),
    StartTls,
    StartTlsSent,
    /// Between the 220 to STARTTLS and the first octet inside TLS.
    Handshake,
    Auth(Mechanism),
    /// The secret is to be asked for; `fresh` as in [`Action::Secret`].
    NeedSecret {
        mechanism: Mechanism,
        fresh: bool,
    },
    Secret {
        mechanism: Mechanism,
        fresh: bool,
    },
    AuthSay(Box<Login>, Words),
    AuthSent(Box<Login>),
    AuthWork(Box<Login>),
    /// The exchange is to be cancelled, for this reason.
    AuthCancel(Fault),
    AuthCancelled(Fault),
    Idle,
    Mail(Tx),
    Content(Tx, Content),
    Final(Tx, Mode, Onset),
    Settle(Tx, Settlement, Then),
    Reset,
    ResetSent,
    Done(Then),
    Quit(Fault),
    QuitSent,
    Closing(Fault),
    Closed,
}

/// Whether the machine waits for a verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Gate {
    Open,
    /// A question is out; input, time-outs and everything else wait.
    Asked(Step),
    /// The answer was yes: do it.
    Passed(Step),
}

/// One connection to a next server. See the [module](self) for its theory and transition table.
#[derive(Debug)]
pub struct ClientSession {
    config: ClientConfig,
    server: SocketAddr,
    tls: bool,
    binding: Option<Binding>,
    logged_in: bool,
    state: State,
    gate: Gate,
    parser: ReplyParser,
    extensions: Extensions,
    /// What it is not to see of them.
    hidden: Hidden,
    /// What a reply brought, to be given right after its narration.
    after: Option<Action>,
    /// Transactions of which the server has answered something.
    transactions: u32,
    /// MAIL commands that this connection may still carry.
    left: u32,
    deadline: Time,
    /// When the last question was put, if one is out.
    asked: Time,
}

impl ClientSession {
    /// A session on a connection that stands. The first `step()` asks the gate about
    /// [`Stage::Connect`].
    pub fn new(config: ClientConfig, server: SocketAddr, tls: bool) -> ClientSession {
        ClientSession {
            config,
            server,
            tls,
            binding: None,
            logged_in: false,
            state: State::Connect,
            gate: Gate::Open,
            parser: ReplyParser::default(),
            extensions: Extensions::default(),
            hidden: Hidden::default(),
            after: None,
            transactions: 0,
            left: u32::MAX,
            deadline: Time::NEVER,
            asked: Time::ZERO,
        }
    }

    /// Goes one step: takes octets from the start of `input`, says how many, and what to do. Not to
    /// be called between an `Ask` and its verdict (it takes nothing then).
    pub fn step(&mut self, input: &[u8], now: Time) -> (usize, Action) {
        if let Gate::Asked(_) = self.gate {
            return (0, Action::Read);
        }
        match self.after.take() {
            // Falls through to where such input is dealt with.
            Some(Action::StartTls) if !input.is_empty() => {}
            Some(action) => return (0, action),
            None => {}
        }
        if self.must_listen(input) {
            return self.listen(input, now);
        }
        match self.act(now) {
            Some(action) => {
                self.asked = now;
                (0, action)
            }
            None => self.listen(input, now),
        }
    }

    /// Brings a message. Only while [`is_idle`](ClientSession::is_idle).
    ///
    /// # Panics
    ///
    /// When the session is not idle: that would be our own fault.
    pub fn begin(&mut self, order: Transaction, now: Time) {
        assert!(self.is_idle(), "begin() in state {}", self.state_name());
        let unfit = transaction::unfit(&order, &self.extensions);
        let tx = Tx::new(order, &self.config.timeouts, now);
        self.state = match unfit {
            Some(reply) => State::Settle(tx, Settlement::all(&reply), Then::Idle),
            None if tx.order.recipients.is_empty() => State::Done(Then::Idle),
            None => State::Mail(tx),
        };
        self.arm(now);
    }

    /// Octets of the content, or of its end, were taken by the connection: the server lives.
    pub fn progress(&mut self, now: Time) {
        if matches!(self.state, State::Content(..) | State::Final(..)) {
            self.arm(now);
        }
    }

    /// All of the content that [`Action::Transmit`] asked for is written, or queued to be.
    pub fn transmitted(&mut self, now: Time) {
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Content(tx, Content::Flow(Mode::Dot, _)) => State::Content(tx, Content::End),
            State::Content(mut tx, Content::Flow(mode, onset)) => {
                tx.content_ends(&self.config.timeouts);
                State::Final(tx, mode, onset)
            }
            other => other,
        };
        self.arm(now);
    }

    /// Ends the session as soon as it can: idle, with QUIT; in a transaction, after it; before the
    /// session is ready, at once.
    pub fn quit(&mut self, now: Time) {
        self.left = 0;
        match self.state {
            State::Idle => self.state = State::Quit(Fault::None),
            State::Connect
            | State::Greeting
            | State::Hello(_)
            | State::HelloSent(_)
            | State::StartTls
            | State::StartTlsSent
            | State::Handshake
            | State::Auth(_)
            | State::NeedSecret { .. }
            | State::Secret { .. }
            | State::AuthSay(..)
            | State::AuthSent(_)
            | State::AuthWork(_)
            | State::AuthCancel(_)
            | State::AuthCancelled(_) => {
                self.gate = Gate::Open;
                self.state = State::Closing(Fault::None);
            }
            _ => return,
        }
        self.arm(now);
    }

    /// A message may be brought.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && self.after.is_none()
    }

    /// Waits for [`ClientSession::tls_started`] or [`ClientSession::tls_failed`].
    pub fn awaits_tls(&self) -> bool {
        matches!(self.state, State::Handshake)
    }

    /// Not a word of a greeting has come, in the clear.
    pub fn awaits_greeting(&self) -> bool {
        matches!(self.state, State::Greeting) && !self.tls && !self.parser.is_partial()
    }

    /// Inside TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// `Close` was given.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// A question is out at the gate.
    pub fn is_waiting(&self) -> bool {
        matches!(self.gate, Gate::Asked(_))
    }

    /// When [`timeout`](ClientSession::timeout) is due; never at the gate and in idle sessions.
    pub fn deadline(&self) -> Time {
        if self.is_waiting() { Time::NEVER } else { self.deadline }
    }

    /// From now on these keywords of EHLO are not seen: a fault, for tests.
    pub fn hide(&mut self, hidden: Hidden) {
        self.hidden = self.hidden.with(hidden);
    }

    /// At the gate with EHLO, not with HELO.
    pub fn says_ehlo(&self) -> bool {
        matches!(self.state, State::Hello(Hello::Ehlo))
    }

    /// What the server offers; nothing before [`Action::Ready`].
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The message of the transaction, until its [`Action::Done`].
    pub fn message(&self) -> Option<MessageId> {
        self.tx().map(|tx| tx.order.message)
    }

    /// What is being delivered.
    pub fn transaction(&self) -> Option<&Transaction> {
        self.tx().map(|tx| &tx.order)
    }

    /// Where the session is, in one word for lists.
    pub fn state_name(&self) -> &'static str {
        match &self.state {
            State::Connect | State::Greeting => "greeting",
            State::Hello(_) | State::HelloSent(_) => "hello",
            State::StartTls | State::StartTlsSent | State::Handshake => "starttls",
            State::Auth(_) | State::NeedSecret { .. } | State::Secret { .. } => "auth",
            State::AuthSay(..) | State::AuthSent(_) | State::AuthWork(_) => "auth",
            State::AuthCancel(_) | State::AuthCancelled(_) => "auth",
            State::Idle => "idle",
            State::Mail(tx) => match tx.stage() {
                Stage::Mail => "mail",
                Stage::Rcpt => "rcpt",
                _ => "data",
            },
            State::Content(..) => "content",
            State::Final(..) => "final",
            State::Settle(..) | State::Done(_) => "done",
            State::Reset | State::ResetSent => "reset",
            State::Quit(_) | State::QuitSent => "quit",
            State::Closing(_) | State::Closed => "closed",
        }
    }

    fn tx(&self) -> Option<&Tx> {
        match &self.state {
            State::Mail(tx)
            | State::Content(tx, _)
            | State::Final(tx, ..)
            | State::Settle(tx, ..) => Some(tx),
            _ => None,
        }
    }

    /// What the gate took of a transaction's time is not the server's.
    fn excuse(&mut self, now: Time) {
        if let State::Mail(tx) | State::Content(tx, _) = &mut self.state {
            tx.excuse(now.since(self.asked));
        }
    }

    /// Sets the deadline for what is awaited now. Called when something was sent and when a whole
    /// reply came, never for parts of one.
    fn arm(&mut self, now: Time) {
        self.deadline = match self.awaits() {
            // Nor can a whole transaction be dripped for ever.
            Some((_, wait)) => now.after(wait).min(self.tx().map_or(Time::NEVER, |tx| tx.until)),
            None => Time::NEVER,
        };
    }

    /// What is awaited, and for how long.
    fn awaits(&self) -> Option<(Stage, Duration)> {
        let limits = &self.config.timeouts;
        Some(match &self.state {
            State::Greeting => (Stage::Connect, limits.greeting),
            State::Hello(_) | State::HelloSent(_) => (Stage::Helo, limits.hello),
            State::StartTls | State::StartTlsSent | State::Handshake => {
                (Stage::StartTls, limits.starttls)
            }
            State::Auth(_) | State::NeedSecret { .. } => (Stage::Auth, limits.hello),
            State::AuthSay(..) | State::AuthSent(_) => (Stage::Auth, limits.hello),
            State::AuthWork(_) => (Stage::Auth, limits.hello),
            State::AuthCancel(_) | State::AuthCancelled(_) => (Stage::Auth, limits.hello),
            // That is the caller's time.
            State::Secret { .. } => return None,
            State::Mail(tx) => match tx.stage() {
                Stage::Mail => (Stage::Mail, limits.mail),
                Stage::Rcpt => (Stage::Rcpt, limits.rcpt),
                stage => (stage, limits.data),
            },
            State::Content(..) => (Stage::Body, limits.block),
            State::Final(_, Mode::Dot, _) => (Stage::Dot, limits.dot),
            State::Final(_, Mode::Bdat { .. }, _) => (Stage::Bdat, limits.dot),
            State::Reset | State::ResetSent => (Stage::Rset, limits.rset),
            State::Quit(_) | State::QuitSent => (Stage::Quit, limits.quit),
            State::Connect | State::Idle | State::Settle(..) | State::Done(_) => return None,
            State::Closing(_) | State::Closed => return None,
        })
    }
}

/// 530, 534, 535, 538 (RFC 4954 section 6): it is us that the server does not want.
fn is_about_us(reply: &Reply) -> bool {
    matches!(reply.code, 530 | 534 | 535 | 538)
}
