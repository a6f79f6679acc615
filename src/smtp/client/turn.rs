//! What the machine does by itself, when no input comes first.

use super::settle::without_content;
use super::transaction::{Next, Step, Tx};
use super::{Action, ClientSession, Content, Fault, Gate, Mode, Onset, State, Then};
use crate::base::Time;

impl ClientSession {
    /// Whether input comes before anything that the machine would do by itself: a reply is due, or
    /// octets lie there for which nothing asked, and then nothing goes out before they are
    /// understood.
    pub(super) fn must_listen(&self, input: &[u8]) -> bool {
        let unasked = self.parser.is_partial() || !input.is_empty();
        match &self.state {
            State::Greeting | State::HelloSent(_) | State::StartTlsSent | State::Handshake => true,
            State::Idle | State::Final(..) => true,
            State::Secret { .. } | State::AuthSent(_) | State::AuthCancelled(_) => true,
            State::Auth(_) | State::NeedSecret { .. } | State::AuthSay(..) => unasked,
            State::AuthWork(_) | State::AuthCancel(_) => unasked,
            State::ResetSent | State::QuitSent | State::Closed => true,
            State::Content(_, Content::Flow(..)) => true,
            State::Mail(tx) => (tx.batch.is_empty() && !tx.awaited.is_empty()) || unasked,
            State::Hello(_) | State::StartTls | State::Content(..) | State::Reset => unasked,
            State::Connect | State::Settle(..) | State::Done(_) => false,
            State::Quit(_) | State::Closing(_) => false,
        }
    }

    /// What the machine does by itself; none when there is nothing to do but listen.
    pub(super) fn act(&mut self, now: Time) -> Option<Action> {
        if let Gate::Passed(step) = std::mem::replace(&mut self.gate, Gate::Open) {
            if let Some(action) = self.go(step, now) {
                return Some(action);
            }
        }
        loop {
            let action = match std::mem::replace(&mut self.state, State::Closed) {
                State::Connect => self.ask(State::Connect, Step::Connect),
                State::Hello(hello) => self.ask(State::Hello(hello), Step::Hello),
                State::StartTls => self.ask(State::StartTls, Step::StartTls),
                State::Auth(mechanism) => self.ask(State::Auth(mechanism), Step::Auth),
                State::NeedSecret { mechanism, fresh } => {
                    self.state = State::Secret { mechanism, fresh };
                    self.arm(now);
                    Some(Action::Secret { fresh })
                }
                State::AuthSay(login, words) => {
                    self.state = State::AuthSent(login);
                    self.arm(now);
                    Some(Action::SendSecret { octets: words.octets, shown: words.shown })
                }
                State::AuthWork(login) => {
                    self.state = State::AuthWork(login);
                    Some(Action::Work)
                }
                // RFC 4954 section 4.
                State::AuthCancel(fault) => {
                    self.state = State::AuthCancelled(fault);
                    self.arm(now);
                    Some(Action::Send(b"*\r\n".to_vec()))
                }
                State::Mail(tx) => self.advance(tx, now),
                State::Content(tx, at) => self.stream(tx, at, now),
                State::Settle(tx, settlement, then) => self.settle(tx, settlement, then),
                State::Reset => self.ask(State::Reset, Step::Rset),
                State::Done(then) => self.done(then, now),
                State::Quit(fault) => self.ask(State::Quit(fault), Step::Quit),
                State::Closing(fault) => Some(Action::Close(fault)),
                listening => {
                    self.state = listening;
                    return None;
                }
            };
            if action.is_some() {
                return action;
            }
        }
    }

    /// Makes, sends or ends the commands of a transaction. None: the state has changed, or there
    /// is nothing to do.
    fn advance(&mut self, mut tx: Tx, now: Time) -> Option<Action> {
        match tx.next(&self.extensions, now) {
            Next::Ask(step) => self.ask(State::Mail(tx), step),
            Next::Send => {
                let batch = std::mem::take(&mut tx.batch);
                self.state = State::Mail(tx);
                self.arm(now);
                Some(Action::Send(batch))
            }
            // must_listen() sends everything that awaits a reply to listen(); it is never here.
            Next::Hear => {
                self.state = State::Mail(tx);
                Some(Action::Read)
            }
            Next::End => {
                self.state = without_content(tx);
                None
            }
        }
    }

    /// Hands the content over, and its end.
    fn stream(&mut self, mut tx: Tx, at: Content, now: Time) -> Option<Action> {
        match at {
            Content::Start(_) if !tx.batch.is_empty() => {
                let batch = std::mem::take(&mut tx.batch);
                self.state = State::Content(tx, at);
                Some(Action::Send(batch))
            }
            Content::Start(mode) => {
                tx.content_begins(&self.config.timeouts, now);
                self.state = State::Content(tx, Content::Flow(mode, Onset::InTime));
                self.arm(now);
                Some(Action::Transmit(mode))
            }
            Content::End => self.ask(State::Content(tx, at), Step::Dot),
            Content::Dot => {
                tx.content_ends(&self.config.timeouts);
                self.state = State::Final(tx, Mode::Dot, Onset::InTime);
                self.arm(now);
                Some(Action::Dot)
            }
            Content::Flow(..) => {
                self.state = State::Content(tx, at);
                Some(Action::Read)
            }
        }
    }

    /// Says that the transaction is over and goes where it leads.
    fn done(&mut self, then: Then, now: Time) -> Option<Action> {
        self.state = match then {
            Then::Close(fault) => State::Closing(fault),
            Then::Quit(fault) => State::Quit(fault),
            Then::Idle | Then::Reset if self.left == 0 => State::Quit(Fault::None),
            Then::Idle | Then::Reset => State::Idle,
        };
        self.arm(now);
        Some(Action::Done)
    }
}
