//! The client's side of a recorded session, said again to another server; and which of its replies
//! differ from those that were recorded.
//!
//! ```text
//!   Replying ─reply─▶ Pausing ─its time─▶ Replying ─▶ … ─▶ Over
//!      │ ▲                │ ▲
//!      │ │                │ └──── handshake ends ── Securing ◀─ 220 to STARTTLS
//!      │ └── line sent ── Saying ◀── log_in() ── LoggingIn ◀─ AUTH, its time
//!      └──── 334 ──────────▲ ◀── Working, when there is much to compute
//! ```
//!
//! A machine without I/O: replies and time in, octets out. Commands that were sent in one go are
//! said one after the other, so that each reply has its command. A login is our own, with what the
//! user gives: secrets are not recorded.

mod choose;
mod pieces;
mod script;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::choose::{Chosen, choose};
use self::script::{Exchange, Said, Script};
use super::read::{KeptContent, Recorded};
use crate::auth::client::{Answer, Credentials, Exchange as Login};
use crate::auth::{self, Binding, Mechanism, Secret};
use crate::base::{Printable, Time};

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Octets of one reply.
const MAX_REPLY: usize = 64 << 10;
/// Words about what was not as it was.
const MAX_REMARKS: usize = 100;

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compare {
    /// The codes.
    Code,
    /// Every octet of every line.
    Bytes,
}

/// How TLS comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsWay {
    /// As it came then.
    Recorded,
    /// Not at all.
    None,
    /// After STARTTLS, also where it was not said then.
    StartTls,
    /// With the first octet.
    Implicit,
}

/// How a session is to be played.
#[derive(Clone, Debug)]
pub struct Terms<'a> {
    /// Without the pauses that were recorded.
    pub at_once: bool,
    /// What is compared.
    pub compare: Compare,
    /// How TLS comes in.
    pub tls: TlsWay,
    /// Who logs in where somebody did.
    pub login: Option<Credentials>,
    /// Contents of messages that the export holds.
    pub kept: &'a [KeptContent],
    /// What is sent as content instead of what was.
    pub content: Option<&'a [u8]>,
}

impl Default for Terms<'_> {
    fn default() -> Self {
        let (compare, tls) = (Compare::Code, TlsWay::Recorded);
        Terms { at_once: true, compare, tls, login: None, kept: &[], content: None }
    }
}

/// A reply that was another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Which exchange, from 0 for the greeting.
    pub number: usize,
    /// What had been said.
    pub command: Printable,
    /// The reply then.
    pub recorded: Printable,
    /// The reply now.
    pub now: Printable,
}

/// What the player wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Play {
    /// These octets are to be sent.
    Send(Vec<u8>),
    /// The same, of a login.
    SendSecret(Secret),
    /// TLS is to be put on the connection; then [`Player::secured`].
    StartTls,
    /// [`Player::log_in`] is to be called.
    LogIn,
    /// [`Player::work`] is to be called, when it is this one's turn.
    Work,
    /// It waits: for input, or for its deadline.
    Wait,
    /// It has played all, or cannot go on.
    Over,
}

#[derive(Debug)]
enum State {
    /// TLS is to be put on, or its handshake goes on.
    Securing {
        begun: bool,
        until: Time,
    },
    /// The next exchange is sent then.
    Pausing(Time),
    /// A nonce is wanted.
    LoggingIn(Mechanism),
    /// There is much to compute.
    Working(Box<Login>),
    /// A line of a login is to be sent.
    Saying(Secret, Option<Box<Login>>),
    /// A reply is waited for; it may go on with a login.
    Replying(Time, Option<Box<Login>>),
    Over,
}

/// A recorded client.
#[derive(Debug)]
pub struct Player {
    exchanges: Vec<Exchange>,
    compare: Compare,
    at_once: bool,
    login: Option<Credentials>,
    /// The exchange that is next, or whose reply is waited for.
    at: usize,
    state: State,
    /// Lines of the reply so far.
    reply: Vec<Vec<u8>>,
    /// Octets of a line so far.
    line: Vec<u8>,
    in_tls: bool,
    played: usize,
    differences: Vec<Difference>,
    /// What cannot be as it was.
    remarks: Vec<String>,
    /// Why it ended before its end.
    fault: Option<String>,
}

impl Player {
    /// A client that says what was recorded; or why it cannot.
    pub fn new(recorded: &Recorded, terms: &Terms<'_>, now: Time) -> Result<Player, String> {
        let script = Script::new(recorded, terms)?;
        let until = now.after(PATIENCE);
        let state = match script.implicit {
            true => State::Securing { begun: false, until },
            false => State::Replying(until, None),
        };
        Ok(Player {
            exchanges: script.exchanges,
            compare: terms.compare,
            at_once: terms.at_once,
            login: terms.login.clone(),
            at: 0,
            state,
            reply: Vec::new(),
            line: Vec::new(),
            in_tls: false,
            played: 0,
            differences: Vec::new(),
            remarks: script.remarks,
            fault: None,
        })
    }

    /// When it wants to be stepped, whatever happens.
    pub fn deadline(&self) -> Time {
        match self.state {
            State::Pausing(until) | State::Replying(until, _) | State::Securing { until, .. } => {
                until
            }
            State::LoggingIn(_) | State::Working(_) | State::Saying(..) => Time::ZERO,
            State::Over => Time::NEVER,
        }
    }

    /// Octets came.
    pub fn hear(&mut self, octets: &[u8], now: Time) {
        for octet in octets {
            if let State::Securing { .. } = self.state {
                // RFC 3207 section 4.2: what was said in clear does not count any more.
                self.remark("octets came behind the reply to STARTTLS; they do not count");
                return;
            }
            if self.line.len() > MAX_REPLY || self.reply.len() > 1000 {
                return self.end("a reply without end");
            }
            if *octet != b'\n' {
                self.line.push(*octet);
                continue;
            }
            let mut line = std::mem::take(&mut self.line);
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            let last = line.get(3) != Some(&b'-');
            self.reply.push(line);
            if last {
                self.replied(now);
            }
        }
    }

    /// The server is gone, or TLS cannot be had.
    pub fn lost(&mut self, why: &str) {
        if !matches!(self.state, State::Over) {
            self.end(why);
        }
    }

    /// TLS stands.
    pub fn secured(&mut self, now: Time) {
        if !matches!(self.state, State::Securing { .. }) {
            return;
        }
        self.in_tls = true;
        match self.at {
            0 => self.state = State::Replying(now.after(PATIENCE), None),
            _ => self.pause(now),
        }
    }

    /// A nonce, and what tells this TLS connection from others, for [`Play::LogIn`].
    pub fn log_in(&mut self, nonce: &str, binding: Option<Binding>) {
        let State::LoggingIn(mechanism) = self.state else { return };
        let Some(who) = &self.login else { return self.end("nobody is to log in") };
        let name = mechanism.name();
        if mechanism == Mechanism::ScramSha256Plus && binding.is_none() {
            return self.end("SCRAM-SHA-256-PLUS needs TLS");
        }
        // A client that could bind, and says that the server does not offer it, would be told
        // that somebody stands between them (RFC 5802 section 6).
        let binding = binding.filter(|_| mechanism == Mechanism::ScramSha256Plus);
        let mut login = Login::new(mechanism, who, nonce, binding);
        let words = match login.initial() {
            Some(message) => line(&format!("AUTH {name} "), &message),
            None => Secret::new(format!("AUTH {name}\r\n")),
        };
        self.state = State::Saying(words, Some(Box::new(login)));
    }

    /// Goes on with what [`Play::Work`] announced, for so many rounds.
    pub fn work(&mut self, rounds: u32) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Working(mut login) => {
                let answer = login.work(rounds);
                self.follow(login, answer);
            }
            other => self.state = other,
        }
    }

    /// What to do now.
    pub fn step(&mut self, now: Time) -> Play {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Over => Play::Over,
            State::Replying(until, _) if now >= until => {
                self.end("no reply came in two minutes");
                Play::Over
            }
            State::Securing { until, .. } if now >= until => {
                self.end("TLS took too long");
                Play::Over
            }
            State::Securing { begun: false, until } => {
                self.state = State::Securing { begun: true, until };
                Play::StartTls
            }
            State::Pausing(until) if now >= until => self.say(now),
            State::Saying(words, login) => {
                self.state = State::Replying(now.after(PATIENCE), login);
                Play::SendSecret(words)
            }
            State::LoggingIn(mechanism) => {
                self.state = State::LoggingIn(mechanism);
                Play::LogIn
            }
            State::Working(login) => {
                self.state = State::Working(login);
                Play::Work
            }
            state => {
                self.state = state;
                Play::Wait
            }
        }
    }

    /// Says what is next.
    fn say(&mut self, now: Time) -> Play {
        self.state = State::Replying(now.after(PATIENCE), None);
        match &self.exchanges[self.at].what {
            Said::Nothing => Play::Wait,
            Said::Command(octets) | Said::Content(octets) => Play::Send(octets.clone()),
            Said::Data { .. } => Play::Send(b"DATA\r\n".to_vec()),
            Said::StartTls => Play::Send(b"STARTTLS\r\n".to_vec()),
            Said::Login { mechanism, in_tls } => {
                if *in_tls && !self.in_tls && mechanism.shows_secret() {
                    self.end("the login was inside TLS; in clear it would show the password");
                    return Play::Over;
                }
                self.state = State::LoggingIn(*mechanism);
                Play::LogIn
            }
        }
    }

    fn end(&mut self, why: &str) {
        self.fault = Some(why.to_owned());
        self.state = State::Over;
    }

    /// Something that who asked for the replay should know.
    pub fn remark(&mut self, words: &str) {
        if self.remarks.len() < MAX_REMARKS && self.remarks.iter().all(|known| known != words) {
            self.remarks.push(words.to_owned());
        }
    }

    /// A reply is complete: it is compared, and the next exchange is due.
    fn replied(&mut self, now: Time) {
        let reply = std::mem::take(&mut self.reply);
        let State::Replying(_, login) = &mut self.state else {
            // A word that nobody asked for: 421, say.
            return self.remark(&format!("unasked: {}", shown(&reply)));
        };
        let login = login.take();
        let code = reply.last().and_then(|line| line.get(..3)).unwrap_or_default().to_vec();
        if let (Some(login), b"334") = (login, &code[..]) {
            return self.challenged(login, &reply);
        }
        self.compare_with(&reply);
        let invited = code == b"354";
        let exchange = &self.exchanges[self.at];
        let securing = exchange.what == Said::StartTls && code == b"220";
        let surprised = exchange.what == (Said::Data { wanted: false }) && invited;
        self.at += 1;
        // Content goes only where it is wanted; who wants it unexpectedly is given none.
        let content_next =
            matches!(self.exchanges.get(self.at), Some(Exchange { what: Said::Content(_), .. }));
        if content_next && !invited {
            self.remark("content was not wanted, and is left out");
            self.at += 1;
        } else if surprised {
            return self.end("content is wanted now, which was refused then");
        }
        if securing {
            self.state = State::Securing { begun: false, until: now.after(PATIENCE) };
        } else {
            self.pause(now);
        }
    }

    /// The next exchange waits for its time.
    fn pause(&mut self, now: Time) {
        self.state = match self.exchanges.get(self.at) {
            Some(next) => {
                let pause = if self.at_once { Duration::ZERO } else { next.pause };
                State::Pausing(now.after(pause))
            }
            None => State::Over,
        };
    }

    /// A 334.
    fn challenged(&mut self, mut login: Box<Login>, reply: &[Vec<u8>]) {
        let text = reply.last().and_then(|line| line.get(4..)).unwrap_or_default().trim_ascii();
        let is_login =
            matches!(self.exchanges[self.at].what, Said::Login { mechanism: Mechanism::Login, .. });
        let answer = match auth::decode(text) {
            Some(challenge) => login.challenge(&challenge),
            // What LOGIN asks with, nobody reads; some servers do not encode it.
            None if is_login => login.challenge(text),
            None => Answer::Wrong("its challenge is not base64"),
        };
        self.follow(login, answer);
    }

    /// Does what the login wants.
    fn follow(&mut self, login: Box<Login>, answer: Answer) {
        self.state = match answer {
            Answer::Say(message) => State::Saying(line("", &message), Some(login)),
            Answer::Work => State::Working(login),
            Answer::Wrong(why) => {
                self.remark(&format!("the login is cancelled: {why}"));
                State::Saying(Secret::new(&b"*\r\n"[..]), None)
            }
        };
    }

    fn compare_with(&mut self, reply: &[Vec<u8>]) {
        let exchange = &self.exchanges[self.at];
        self.played += 1;
        if !exchange.recorded.is_empty() && self.differs(&exchange.recorded, reply) {
            self.differences.push(Difference {
                number: self.at,
                command: Printable::bounded(&exchange.title, 200),
                recorded: shown(&exchange.recorded),
                now: shown(reply),
            });
        }
    }

    fn differs(&self, recorded: &[Vec<u8>], now: &[Vec<u8>]) -> bool {
        let code = |reply: &[Vec<u8>]| {
            reply.last().and_then(|line| line.get(..3)).unwrap_or_default().to_vec()
        };
        match self.compare {
            Compare::Code => code(recorded) != code(now),
            Compare::Bytes => recorded != now,
        }
    }

    /// The replies that differ.
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// What was not played as it was.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Replies that were heard, of all that were recorded.
    pub fn played(&self) -> (usize, usize) {
        (self.played, self.exchanges.len())
    }

    /// Why it ended before its end, if it did.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}

/// A line of a login, in base64; an empty first message is written `=` (RFC 4954 section 4).
fn line(command: &str, message: &Secret) -> Secret {
    let encoded = Secret::new(auth::encode(message.expose()));
    let first = message.is_empty() && !command.is_empty();
    let message = if first { b"=" } else { encoded.expose() };
    Secret::new([command.as_bytes(), message, b"\r\n"].concat())
}

fn shown(reply: &[Vec<u8>]) -> Printable {
    Printable::bounded(reply.join(&b" / "[..]), 500)
}
