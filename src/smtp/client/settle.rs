//! How a transaction ends, for each of its recipients, and how a connection does.

use super::transaction::{Cursor, Standing, Tx, clip};
use super::{Action, ClientSession, Fault, Gate, State, Then};
use crate::base::{Reply, Time};
use crate::journal::Ending;
use crate::smtp::Stage;

/// The same end for several recipients.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Word {
    ending: Ending,
    reply: Reply,
    uncertain: bool,
}

impl Word {
    fn of(reply: &Reply) -> Word {
        let ending = match reply.class() {
            2 => Ending::Delivered,
            5 => Ending::Failed,
            _ => Ending::Deferred,
        };
        Word { ending, reply: clip(reply), uncertain: false }
    }
}

/// What the recipients are told whose outcome is not out yet; without a word they are untried.
/// They are told one at a time, so that a thousand outcomes need no room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Settlement {
    accepted: Option<Word>,
    others: Option<Word>,
    /// Recipients before this position are settled.
    position: usize,
}

impl Settlement {
    /// All share this reply.
    pub(super) fn all(reply: &Reply) -> Settlement {
        let word = Some(Word::of(reply));
        Settlement { accepted: word.clone(), others: word, position: 0 }
    }

    /// Those that the server accepted share this reply.
    pub(super) fn accepted(reply: &Reply) -> Settlement {
        Settlement { accepted: Some(Word::of(reply)), others: None, position: 0 }
    }

    /// Those that the server accepted may have the message or not.
    fn uncertain(reply: &Reply) -> Settlement {
        let word = Word { ending: Ending::Deferred, uncertain: true, ..Word::of(reply) };
        Settlement { accepted: Some(word), others: None, position: 0 }
    }

    /// Nobody was tried.
    pub(super) fn untried() -> Settlement {
        Settlement { accepted: None, others: None, position: 0 }
    }
}

/// A transaction whose commands are all answered and whose content nobody is to get.
pub(super) fn without_content(tx: Tx) -> State {
    let then = if tx.standing == Standing::Open { Then::Reset } else { Then::Idle };
    ended(tx, then)
}

/// A transaction that ends before its content, each recipient by what was heard so far.
pub(super) fn ended(tx: Tx, then: Then) -> State {
    let settlement = match (&tx.standing, &tx.cursor) {
        (Standing::Refused(reply), _) => Settlement::all(reply),
        (_, Cursor::Refused(reply)) => Settlement::accepted(reply),
        _ => Settlement::untried(),
    };
    State::Settle(tx, settlement, then)
}

impl ClientSession {
    /// Tells the next recipient; none when all are told and the state has changed.
    pub(super) fn settle(&mut self, mut tx: Tx, mut s: Settlement, then: Then) -> Option<Action> {
        let Some(i) = tx.untold(s.position) else {
            self.state = if then == Then::Reset { State::Reset } else { State::Done(then) };
            return None;
        };
        let recipient = tx.order.recipients[i].0;
        let word = if tx.is_accepted(i) { &s.accepted } else { &s.others };
        let action = match word {
            None => Action::Untried(recipient),
            Some(Word { ending, reply, uncertain }) => Action::Outcome {
                recipient,
                ending: *ending,
                reply: reply.clone(),
                uncertain: *uncertain,
                relayed_without_dsn: *ending == Ending::Delivered
                    && !self.extensions.dsn
                    && tx.wants_success(i),
            },
        };
        tx.told(i);
        s.position = i + 1;
        self.state = State::Settle(tx, s, then);
        Some(action)
    }

    /// The connection ended, for this reason in a few words. What was read before must have gone
    /// through `step()`; an unfinished reply counts for nothing.
    pub fn eof(&mut self, why: &str) {
        // Some servers offer what they cannot do, and break off when they are asked for it.
        if let State::StartTlsSent | State::Handshake = self.state {
            return self.tls_failed(&format!("{why}, where TLS was to begin"));
        }
        let fault = self.loss(why);
        self.lose(fault);
    }

    /// The deadline has passed.
    pub fn timeout(&mut self, now: Time) {
        if now < self.deadline() {
            return;
        }
        let stage = self.awaits().map_or(Stage::Other, |(stage, _)| stage);
        if stage == Stage::StartTls {
            return self.tls_failed("the server is silent where TLS is to begin");
        }
        self.lose(Fault::Timeout(stage));
    }

    /// The caller cannot go on with this transaction (its content cannot be read, say): undecided
    /// recipients get this reply, and the connection is closed, since content cannot be taken back
    /// in another way. Without a transaction it does nothing.
    pub fn abort(&mut self, reply: &Reply) {
        if self.tx().is_none() {
            return;
        }
        self.end(Fault::None, Settlement::all(reply), reply);
    }

    /// A loss, as it looks from here.
    pub(super) fn loss(&self, why: &str) -> Fault {
        let in_transaction = self.is_at_stake();
        // A new connection that breaks before it did any work says something about the server.
        let idle = !in_transaction && self.transactions > 0;
        Fault::Lost { in_transaction, idle, why: why.into() }
    }

    /// Whether a transaction is under way that the end of the connection would harm. Not so when a
    /// reused connection has not answered anything of it, nor when its outcomes are all known.
    fn is_at_stake(&self) -> bool {
        match &self.state {
            State::Mail(tx) => match tx.standing {
                Standing::Unheard => self.transactions == 0,
                Standing::Open => !tx.is_decided(),
                Standing::Refused(_) => false,
            },
            State::Content(..) | State::Final(..) => true,
            _ => false,
        }
    }

    /// Whether the session died before this transaction met it.
    fn is_stale(&self) -> bool {
        let between = match &self.state {
            State::Idle | State::Reset | State::ResetSent | State::Done(_) => true,
            State::Mail(tx) => tx.is_unheard(),
            _ => false,
        };
        between && self.transactions > 0
    }

    /// The connection is of no more use.
    pub(super) fn lose(&mut self, fault: Fault) {
        let reply = fault.reply().unwrap_or(Reply::bare(451, "closed"));
        self.end(fault, Settlement::untried(), &reply);
    }

    /// 421. To an idle session it only says good-bye.
    pub(super) fn unavailable(&mut self, reply: &Reply) {
        if self.is_stale() {
            return self.lose(self.loss("the server said 421"));
        }
        let fault = Fault::Unavailable { reply: clip(reply), in_transaction: self.is_at_stake() };
        let settlement = match self.state {
            State::Content(..) | State::Final(..) => Settlement::accepted(reply),
            _ => Settlement::untried(),
        };
        self.end_certainly(fault, settlement);
    }

    /// 530 and its kin: the server does not want us, and no message is to blame.
    pub(super) fn unwanted(&mut self, reply: &Reply) {
        let fault = Fault::Server(clip(reply));
        self.gate = Gate::Open;
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            // In step with the server QUIT is polite; with replies to come or content under way it
            // would not be understood.
            State::Greeting | State::HelloSent(_) | State::StartTlsSent => State::Quit(fault),
            State::Mail(tx) if tx.batch.is_empty() && tx.awaited.len() <= 1 => {
                State::Settle(tx, Settlement::untried(), Then::Quit(fault))
            }
            other => {
                self.state = other;
                return self.end_certainly(fault, Settlement::untried());
            }
        };
    }

    /// The server broke the protocol: nothing it says is believed any more.
    pub(super) fn protocol(&mut self, why: String) {
        if self.is_stale() {
            return self.lose(self.loss(&why));
        }
        let fault = Fault::Protocol { why, in_transaction: self.is_at_stake() };
        let reply = fault.reply().unwrap_or(Reply::bare(451, "closed"));
        self.end(fault, Settlement::all(&reply), &reply);
    }

    /// Ends the connection. If the end of the content is out, `reply` says why it is uncertain
    /// whether the server has the message; else undecided recipients are settled as given.
    fn end(&mut self, fault: Fault, settlement: Settlement, reply: &Reply) {
        let settlement = match self.state {
            State::Final(..) => Settlement::uncertain(reply),
            _ => settlement,
        };
        self.end_certainly(fault, settlement);
    }

    /// Ends the connection; undecided recipients are settled as given, unless their fate is known.
    fn end_certainly(&mut self, fault: Fault, settlement: Settlement) {
        self.gate = Gate::Open;
        self.deadline = Time::NEVER;
        let then = Then::Close(fault);
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Mail(tx) if matches!(tx.standing, Standing::Refused(_)) => ended(tx, then),
            State::Mail(tx) if matches!(tx.cursor, Cursor::Refused(_)) => ended(tx, then),
            State::Mail(tx) | State::Content(tx, _) | State::Final(tx, ..) => {
                State::Settle(tx, settlement, then)
            }
            State::Settle(tx, s, Then::Idle | Then::Reset) => State::Settle(tx, s, then),
            State::Reset | State::ResetSent | State::Done(Then::Idle | Then::Reset) => {
                State::Done(then)
            }
            // These end by themselves, and know better why.
            State::Settle(tx, s, leaving) => State::Settle(tx, s, closing(leaving)),
            State::Done(leaving) => State::Done(closing(leaving)),
            State::Quit(fault) | State::Closing(fault) => State::Closing(fault),
            State::QuitSent => State::Closing(Fault::None),
            State::Closed => State::Closed,
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
            | State::AuthCancelled(_)
            | State::Idle => match then {
                Then::Close(fault) => State::Closing(fault),
                _ => State::Closed,
            },
        };
    }
}

/// The same end without QUIT.
fn closing(then: Then) -> Then {
    match then {
        Then::Quit(fault) => Then::Close(fault),
        other => other,
    }
}
