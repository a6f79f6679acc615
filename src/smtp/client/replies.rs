//! What each reply means in each state.

use super::settle::{Settlement, ended};
use super::transaction::{Command, Cursor, Standing, Tx, clip, is_limit};
use super::{Action, ClientSession, Content, Fault, Mode, Onset, State, Then, is_about_us};
use crate::base::{Reply, ReplySyntax, Time};
use crate::journal::{Ending, Mark};

/// Octets of a line that is no reply which its narration shows.
const MAX_GARBAGE: usize = 512;

impl ClientSession {
    /// Takes lines from the input up to the end of one reply.
    pub(super) fn listen(&mut self, input: &[u8], now: Time) -> (usize, Action) {
        if let State::Closed = self.state {
            return (input.len(), Action::Read);
        }
        if let State::Handshake = self.state {
            if input.is_empty() {
                return (0, Action::Read);
            }
            self.injected();
            self.arm(now);
            return (input.len(), Action::Garbage(shown(input)));
        }
        let mut taken = 0;
        loop {
            match self.parser.step(&input[taken..]) {
                Ok(Some((n, None))) => taken += n,
                Ok(Some((n, Some(reply)))) => {
                    let mark = self.heard(&reply, now);
                    // Secret, or as good as secret.
                    let shown = match reply.code {
                        334 => Reply::bare(334, "***"),
                        _ => reply,
                    };
                    return (taken + n, Action::Heard(shown, mark));
                }
                Ok(None) => {
                    self.note_onset(&input[taken..]);
                    return (taken, Action::Read);
                }
                Err(error) => {
                    let line = shown(&input[taken..]);
                    self.broken(error, &line);
                    self.arm(now);
                    return (input.len(), Action::Garbage(line));
                }
            }
        }
    }

    /// Remembers that a reply has begun while content is still on its way.
    fn note_onset(&mut self, rest: &[u8]) {
        let begun = self.parser.is_partial() || !rest.is_empty();
        if let State::Content(_, Content::Flow(_, onset)) = &mut self.state {
            if begun {
                *onset = Onset::Early;
            }
        }
    }

    /// A line that is no reply.
    fn broken(&mut self, error: ReplySyntax, line: &[u8]) {
        self.parser = Default::default();
        // RFC 8446 section 5.1: a record of type alert or handshake, and its version.
        let is_tls = matches!(line, [0x15 | 0x16, 3, ..]);
        if is_tls && matches!(self.state, State::Greeting) && !self.tls {
            return self.tls_at_once();
        }
        self.protocol(error.to_string());
    }

    /// A whole reply. Gives how it is to be shown.
    fn heard(&mut self, reply: &Reply, now: Time) -> Mark {
        let mark = self.understand(reply);
        self.arm(now);
        mark
    }

    fn understand(&mut self, reply: &Reply) -> Mark {
        if let State::QuitSent = self.state {
            self.state = State::Closing(Fault::None);
            return Mark::Plain;
        }
        if reply.code == 421 {
            self.unavailable(reply);
            return Mark::Plain;
        }
        // In an exchange these are answers like others.
        let in_exchange = matches!(self.state, State::AuthSent(_) | State::AuthCancelled(_));
        if is_about_us(reply) && !in_exchange && !self.tells_of_refused_mail() {
            self.unwanted(reply);
            return Mark::Plain;
        }
        let place = self.state_name();
        let mark = match std::mem::replace(&mut self.state, State::Closed) {
            State::Greeting => self.greeted(reply),
            State::HelloSent(hello) => self.hello_answered(hello, reply),
            State::StartTlsSent => self.starttls_answered(reply),
            State::AuthSent(login) => self.auth_answered(login, reply),
            State::AuthCancelled(fault) => {
                self.state = State::Quit(fault);
                Mark::Plain
            }
            State::Mail(tx) => self.command_answered(tx, reply),
            State::Content(tx, at) => self.early(tx, at, reply),
            State::Final(tx, mode, onset) => self.message_answered(tx, mode, onset, reply),
            State::ResetSent if reply.is_positive() => {
                self.state = State::Done(Then::Idle);
                Mark::Plain
            }
            State::ResetSent => {
                self.state = State::Done(Then::Close(Fault::None));
                Mark::Plain
            }
            unasked => {
                self.state = unasked;
                Mark::Unexpected
            }
        };
        if mark == Mark::Unexpected {
            self.protocol(format!("{} is no answer here ({place})", reply.code));
        }
        mark
    }

    /// MAIL was refused, and this is only an echo of that.
    fn tells_of_refused_mail(&self) -> bool {
        matches!(&self.state, State::Mail(tx)
            if matches!(tx.standing, Standing::Refused(_)) && !tx.awaited.is_empty())
    }

    /// A reply in the command part of a transaction.
    fn command_answered(&mut self, mut tx: Tx, reply: &Reply) -> Mark {
        // Commands in the batch have not been sent: nothing can be an answer to them.
        let command = if tx.batch.is_empty() { tx.awaited.pop_front() } else { None };
        let mark = match command {
            Some(Command::Mail) => self.mail_answered(&mut tx, reply),
            Some(Command::Rcpt(i)) => self.rcpt_answered(&mut tx, i, reply),
            Some(Command::Data) => return self.data_answered(tx, reply),
            None => Mark::Unexpected,
        };
        self.state = State::Mail(tx);
        mark
    }

    fn mail_answered(&mut self, tx: &mut Tx, reply: &Reply) -> Mark {
        self.transactions = self.transactions.saturating_add(1);
        self.left = self.left.saturating_sub(1);
        tx.standing = match reply.class() {
            4 | 5 => Standing::Refused(clip(reply)),
            _ => Standing::Open,
        };
        if reply.class() == 3 { Mark::Unexpected } else { Mark::Plain }
    }

    fn rcpt_answered(&mut self, tx: &mut Tx, i: usize, reply: &Reply) -> Mark {
        if let Standing::Refused(_) = tx.standing {
            return Mark::Plain;
        }
        match reply.class() {
            2 => tx.accept(i),
            4 | 5 => self.after = self.rcpt_refused(tx, i, reply),
            _ => return Mark::Unexpected,
        }
        Mark::Plain
    }

    /// One recipient's own outcome, or the end of what fits into this transaction.
    pub(super) fn rcpt_refused(&mut self, tx: &mut Tx, i: usize, reply: &Reply) -> Option<Action> {
        tx.told(i);
        let recipient = tx.order.recipients[i].0;
        if tx.accepted > 0 && is_limit(reply) {
            tx.stop_recipients();
            return Some(Action::Untried(recipient));
        }
        Some(Action::Outcome {
            recipient,
            ending: if reply.is_permanent() { Ending::Failed } else { Ending::Deferred },
            reply: clip(reply),
            uncertain: false,
            relayed_without_dsn: false,
        })
    }

    fn data_answered(&mut self, mut tx: Tx, reply: &Reply) -> Mark {
        match reply.code {
            354 if tx.accepted > 0 => {
                self.state = State::Content(tx, Content::Start(Mode::Dot));
            }
            // Nobody is to get anything: see the theory in mod.rs.
            354 => {
                self.state = ended(tx, Then::Close(Fault::None));
            }
            400..=599 => {
                tx.cursor = Cursor::Refused(clip(reply));
                self.state = State::Mail(tx);
            }
            _ => {
                self.state = State::Mail(tx);
                return Mark::Unexpected;
            }
        }
        Mark::Plain
    }

    /// A reply while content is on its way. Nothing more is sent: the server may have left the
    /// content behind, and would read the rest of it as commands.
    fn early(&mut self, tx: Tx, at: Content, reply: &Reply) -> Mark {
        if !matches!(reply.class(), 4 | 5) {
            self.state = State::Content(tx, at);
            return Mark::Unexpected;
        }
        if matches!(at, Content::Flow(Mode::Bdat { .. }, _)) && is_about_command(reply) {
            self.state = without_chunks(tx, reply);
            return Mark::Plain;
        }
        self.state = State::Settle(tx, Settlement::accepted(reply), Then::Close(Fault::None));
        Mark::Plain
    }

    /// The reply to the end of the content: the only one that delivers.
    fn message_answered(&mut self, tx: Tx, mode: Mode, onset: Onset, reply: &Reply) -> Mark {
        if matches!(mode, Mode::Bdat { .. }) && is_about_command(reply) {
            self.state = without_chunks(tx, reply);
            return Mark::Plain;
        }
        let then = match (reply.class(), mode) {
            (2, _) if onset == Onset::InTime => Then::Idle,
            (4 | 5, Mode::Dot) => Then::Idle,
            // RFC 3030 section 2: after a refused BDAT the transaction's state is not certain.
            (4 | 5, Mode::Bdat { .. }) => Then::Reset,
            _ => {
                self.state = State::Final(tx, mode, onset);
                return Mark::Unexpected;
            }
        };
        let then = if onset == Onset::Early { Then::Close(Fault::None) } else { then };
        self.state = State::Settle(tx, Settlement::accepted(reply), then);
        Mark::Plain
    }
}

/// 500 to 504 and 555 speak of the command, or its parameters, and of no content (RFC 5321
/// section 4.2.1).
pub(super) fn is_about_command(reply: &Reply) -> bool {
    matches!(reply.code, 500..=504 | 555)
}

/// BDAT was offered and is not known. Whether the octets behind it were read as content or as
/// commands nobody can tell, so the connection is over.
pub(super) fn without_chunks(tx: Tx, reply: &Reply) -> State {
    State::Settle(tx, Settlement::untried(), Then::Close(Fault::Bdat(clip(reply))))
}

/// The beginning of what is no reply, as its narration shows it.
fn shown(rest: &[u8]) -> Vec<u8> {
    let line = rest.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line[..line.len().min(MAX_GARBAGE)].to_vec()
}
