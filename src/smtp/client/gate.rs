//! The client at the gate: what it asks, and what it does with the verdict.

use super::replies::{is_about_command, without_chunks};
use super::settle::Settlement;
use super::transaction::{Cursor, Step, Tx, clip};
use super::{Action, ClientSession, Content, Fault, Gate, Hello, Mode, State, Then};
use crate::base::{Reply, Time};
use crate::smtp::{Facts, Verdict};

impl ClientSession {
    /// What is known, for the question that is out.
    pub fn facts(&self) -> Facts<'_> {
        let order = self.tx().map(|tx| &tx.order);
        let rcpt = match self.gate {
            Gate::Asked(Step::Rcpt(i)) => order.map(|o| &o.recipients[i].1.address),
            _ => None,
        };
        Facts {
            client: self.server.ip(),
            helo: Some(&self.config.hostname),
            from: order.map(|o| o.from.as_ref()),
            rcpt,
            recipients: self.tx().map_or(0, |tx| tx.accepted),
            size: order.map_or(0, |o| o.size),
            tls: self.tls,
            user: self.user(),
        }
    }

    /// Answers the question that is out; without one it does nothing.
    ///
    /// - `Accept`: the command goes out.
    /// - `Refuse`: as if the server had answered the command with this reply; it is not sent. Only
    ///   4xx and 5xx refuse: any other reply here counts as `Accept`, since a success that no
    ///   server gave would lose mail.
    /// - `Discard` belongs to the other leg and counts as `Accept`, for the same reason.
    /// - `Drop`: as if the connection had broken.
    pub fn verdict(&mut self, verdict: Verdict, now: Time) {
        let Gate::Asked(step) = self.gate else { return };
        self.gate = Gate::Open;
        self.excuse(now);
        match verdict {
            Verdict::Drop => self.lose(self.loss("dropped at the gate")),
            Verdict::Refuse(reply) if matches!(reply.class(), 4 | 5) => self.refused(step, &reply),
            _ => self.gate = Gate::Passed(step),
        }
        self.arm(now);
    }

    /// Puts a question.
    pub(super) fn ask(&mut self, state: State, step: Step) -> Option<Action> {
        self.state = state;
        self.gate = Gate::Asked(step);
        Some(Action::Ask(step.stage()))
    }

    /// Does what the gate let through. None: nothing to say yet.
    pub(super) fn go(&mut self, step: Step, now: Time) -> Option<Action> {
        let mut line = None;
        self.state = match (std::mem::replace(&mut self.state, State::Closed), step) {
            (State::Connect, _) => State::Greeting,
            (State::Hello(hello), _) => {
                let verb = if hello == Hello::Ehlo { "EHLO" } else { "HELO" };
                line = Some(format!("{verb} {}\r\n", self.config.hostname));
                State::HelloSent(hello)
            }
            (State::Auth(mechanism), _) => State::NeedSecret { mechanism, fresh: false },
            (State::StartTls, _) => {
                line = Some("STARTTLS\r\n".into());
                State::StartTlsSent
            }
            (State::Mail(tx), step) => self.made(tx, step),
            (State::Content(tx, Content::End), _) => State::Content(tx, Content::Dot),
            (State::Reset, _) => {
                line = Some("RSET\r\n".into());
                State::ResetSent
            }
            (State::Quit(fault), _) => {
                line = Some("QUIT\r\n".into());
                // A server that has just been told that we leave because of it gets no more of our
                // time; the fault is news for the queue.
                if fault == Fault::None { State::QuitSent } else { State::Closing(fault) }
            }
            (other, _) => other,
        };
        self.arm(now);
        line.map(|l| Action::Send(l.into_bytes()))
    }

    /// Makes one command of a transaction.
    fn made(&mut self, mut tx: Tx, step: Step) -> State {
        match step {
            Step::Mail => tx.make_mail(&self.extensions, self.logged_in),
            Step::Rcpt(i) => tx.make_rcpt(i, &self.extensions),
            Step::Data => tx.make_data(),
            Step::Bdat => tx.cursor = Cursor::Last,
            _ => {
                tx.make_bdat();
                let mode = Mode::Bdat { size: tx.order.size };
                return State::Content(tx, Content::Start(mode));
            }
        }
        State::Mail(tx)
    }

    /// Takes a refusal at the gate for the server's.
    fn refused(&mut self, step: Step, reply: &Reply) {
        if reply.code == 421 {
            return self.unavailable(reply);
        }
        if super::is_about_us(reply) {
            return self.unwanted(reply);
        }
        self.state = match (std::mem::replace(&mut self.state, State::Closed), step) {
            (State::Connect, _) => State::Closing(Fault::Server(clip(reply))),
            (State::Hello(hello), _) => self.hello_refused(hello, reply),
            (State::StartTls, _) => self.starttls_refused(reply),
            (State::Auth(_), _) => State::Quit(Fault::Login(clip(reply))),
            (State::Mail(tx), Step::Mail) => State::Settle(tx, Settlement::all(reply), Then::Idle),
            (State::Mail(mut tx), Step::Rcpt(i)) => {
                tx.cursor = Cursor::Rcpt(i + 1);
                self.after = self.rcpt_refused(&mut tx, i, reply);
                State::Mail(tx)
            }
            (State::Mail(tx), Step::Bdat) if is_about_command(reply) => without_chunks(tx, reply),
            (State::Mail(mut tx), _) => {
                tx.cursor = Cursor::Refused(clip(reply));
                State::Mail(tx)
            }
            // The content is out, only its end is missing: the one way to take it back is to close.
            (State::Content(tx, _), _) => {
                State::Settle(tx, Settlement::accepted(reply), Then::Close(Fault::None))
            }
            (State::Reset, _) => State::Done(Then::Close(Fault::None)),
            (State::Quit(fault), _) => State::Closing(fault),
            (other, _) => other,
        };
    }
}
