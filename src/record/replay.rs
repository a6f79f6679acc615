//! The client's side of a recorded session, said again to another server; and which of its replies
//! differ from those that were recorded.
//!
//! ```text
//!   Greeting ─reply─▶ Waiting (for its time) ─▶ Replying ─reply─▶ … ─▶ Over
//! ```
//!
//! A machine without I/O: replies and time in, octets out. Commands that were sent in one go are
//! said one after the other, so that each reply has its command.

use std::time::Duration;

use super::content::{Body, chunk_of, dotted, size_of};
use super::read::Recorded;
use crate::base::{Printable, Time};
use crate::journal::{Side, Verb};

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest pause that is kept.
const MAX_PAUSE: Duration = Duration::from_secs(600);
/// Octets of one reply.
const MAX_REPLY: usize = 64 << 10;

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compare {
    /// The codes.
    Code,
    /// Every octet of every line.
    Bytes,
}

/// One thing that the client said, and what it was told.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Exchange {
    /// What is shown of it.
    title: String,
    /// What is sent; nothing for the greeting.
    octets: Vec<u8>,
    /// The lines of the reply.
    recorded: Vec<Vec<u8>>,
    /// Before it is sent.
    pause: Duration,
    verb: Verb,
    /// It is content: only sent when the reply before invited it.
    content: bool,
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
    /// It waits: for input, or for its deadline.
    Wait,
    /// It has played all, or cannot go on.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The next exchange is sent then.
    Pausing(Time),
    /// Its reply is waited for.
    Replying(Time),
    Over,
}

/// A recorded client.
#[derive(Clone, Debug)]
pub struct Player {
    exchanges: Vec<Exchange>,
    compare: Compare,
    at_once: bool,
    /// The exchange that is next, or whose reply is waited for.
    at: usize,
    state: State,
    /// Lines of the reply so far.
    reply: Vec<Vec<u8>>,
    /// Octets of a line so far.
    line: Vec<u8>,
    /// The last reply invited content.
    invited: bool,
    played: usize,
    differences: Vec<Difference>,
    /// What cannot be as it was.
    remarks: Vec<String>,
    /// Why it ended before its end.
    fault: Option<String>,
}

impl Player {
    /// A client that says what was recorded; or why it cannot.
    pub fn new(
        recorded: &Recorded,
        body: Body<'_>,
        at_once: bool,
        compare: Compare,
        now: Time,
    ) -> Result<Player, String> {
        let mut script = Script::default();
        for line in &recorded.lines {
            script.add(line.side(), &line.text, line.delay, line.cut, body)?;
        }
        if script.exchanges.len() < 2 {
            return Err(format!("{} has nothing that the client said", recorded.id));
        }
        Ok(Player {
            exchanges: script.exchanges,
            compare,
            at_once,
            at: 0,
            state: State::Replying(now.after(PATIENCE)),
            reply: Vec::new(),
            line: Vec::new(),
            invited: false,
            played: 0,
            differences: Vec::new(),
            remarks: script.remarks,
            fault: None,
        })
    }

    /// When it wants to be stepped, whatever happens.
    pub fn deadline(&self) -> Time {
        match self.state {
            State::Pausing(until) | State::Replying(until) => until,
            State::Over => Time::NEVER,
        }
    }

    /// Octets came.
    pub fn hear(&mut self, octets: &[u8], now: Time) {
        for octet in octets {
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

    /// The server is gone.
    pub fn lost(&mut self, why: &str) {
        if self.state != State::Over {
            self.end(why);
        }
    }

    /// What to do now.
    pub fn step(&mut self, now: Time) -> Play {
        match self.state {
            State::Over => Play::Over,
            State::Replying(until) if now >= until => {
                self.end("no reply came in two minutes");
                Play::Over
            }
            State::Pausing(until) if now >= until => {
                self.state = State::Replying(now.after(PATIENCE));
                Play::Send(self.exchanges[self.at].octets.clone())
            }
            State::Replying(_) | State::Pausing(_) => Play::Wait,
        }
    }

    fn end(&mut self, why: &str) {
        self.fault = Some(why.to_owned());
        self.state = State::Over;
    }

    /// A reply is complete: it is compared, and the next exchange is due.
    fn replied(&mut self, now: Time) {
        let reply = std::mem::take(&mut self.reply);
        if !matches!(self.state, State::Replying(_)) {
            // A word that nobody asked for: 421, say.
            self.remarks.push(format!("unasked: {}", shown(&reply)));
            return;
        }
        let exchange = &self.exchanges[self.at];
        self.played += 1;
        if !exchange.recorded.is_empty() && self.differs(&exchange.recorded, &reply) {
            self.differences.push(Difference {
                number: self.at,
                command: Printable::bounded(&exchange.title, 200),
                recorded: shown(&exchange.recorded),
                now: shown(&reply),
            });
        }
        let code = reply.last().and_then(|line| line.get(..3)).unwrap_or_default();
        self.invited = code == b"354";
        let expected_content = exchange.verb == Verb::Data && !exchange.content;
        self.at += 1;
        // Content goes only where it is wanted; who wants it unexpectedly is given none.
        let next_is_content = self.exchanges.get(self.at).is_some_and(|next| next.content);
        if next_is_content && !self.invited {
            self.remarks.push("content was not wanted, and is left out".to_owned());
            self.at += 1;
        } else if !next_is_content && self.invited && expected_content {
            return self.end("content is wanted now, which was refused then");
        }
        match self.exchanges.get(self.at) {
            Some(next) => {
                let pause = if self.at_once { Duration::ZERO } else { next.pause };
                self.state = State::Pausing(now.after(pause));
            }
            None => self.state = State::Over,
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

fn shown(reply: &[Vec<u8>]) -> Printable {
    Printable::bounded(reply.join(&b" / "[..]), 500)
}

/// Makes exchanges of recorded lines.
struct Script {
    exchanges: Vec<Exchange>,
    /// The first exchange whose reply is not complete.
    open: usize,
    /// A login or TLS is being left out: its lines are none of ours.
    skipping: Option<Verb>,
    remarks: Vec<String>,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            exchanges: vec![Exchange {
                title: "(connected)".into(),
                octets: Vec::new(),
                recorded: Vec::new(),
                pause: Duration::ZERO,
                verb: Verb::Connect,
                content: false,
            }],
            open: 0,
            skipping: None,
            remarks: Vec::new(),
        }
    }
}

impl Script {
    fn add(
        &mut self,
        side: Option<Side>,
        text: &[u8],
        delay: Duration,
        cut: bool,
        body: Body<'_>,
    ) -> Result<(), String> {
        match side {
            Some(Side::Client) if cut => Err("a command is not kept in full".into()),
            Some(Side::Client) => self.command(text, delay, body),
            Some(Side::Server) => {
                self.reply(text);
                Ok(())
            }
            None => self.event(text, body),
        }
    }

    fn push(&mut self, title: String, octets: Vec<u8>, pause: Duration, verb: Verb, content: bool) {
        let pause = pause.min(MAX_PAUSE);
        self.exchanges.push(Exchange { title, octets, recorded: Vec::new(), pause, verb, content });
    }

    fn command(&mut self, text: &[u8], delay: Duration, body: Body<'_>) -> Result<(), String> {
        if self.skipping == Some(Verb::Auth) {
            return Ok(());
        }
        let verb = Verb::of_line(text);
        if matches!(verb, Verb::Auth | Verb::StartTls) {
            self.remarks.push(match verb {
                Verb::Auth => "the login is left out: its secrets are not recorded".to_owned(),
                _ => "STARTTLS is left out: all is said in clear".to_owned(),
            });
            self.skipping = Some(verb);
            return Ok(());
        }
        let mut octets = text.to_vec();
        octets.extend_from_slice(b"\r\n");
        if let Some(size) = chunk_of(text) {
            let chunk = body.of_size(size).ok_or("a chunk is too large to be made up")?;
            octets.extend_from_slice(&chunk);
            self.says_made_up();
        }
        self.push(String::from_utf8_lossy(text).into_owned(), octets, delay, verb, false);
        Ok(())
    }

    fn says_made_up(&mut self) {
        let words = "content is not recorded: lines of the same size are sent";
        if self.remarks.iter().all(|remark| remark != words) {
            self.remarks.push(words.to_owned());
        }
    }

    /// Content that went on after DATA becomes an exchange of its own: its reply is the next.
    fn event(&mut self, text: &[u8], body: Body<'_>) -> Result<(), String> {
        let after_data = self.exchanges.last().is_some_and(|last| last.verb == Verb::Data);
        let Some(size) = size_of(text).filter(|_| after_data && text.ends_with(b"content]")) else {
            return Ok(());
        };
        let content = body.of_size(size).ok_or("the content is too large to be made up")?;
        self.says_made_up();
        let title = format!("(content, {size} octets)");
        self.push(title, dotted(&content), Duration::ZERO, Verb::Dot, true);
        Ok(())
    }

    fn reply(&mut self, text: &[u8]) {
        let last = text.get(3) != Some(&b'-');
        if let Some(skipped) = self.skipping {
            // 334 goes on with a login.
            if last && !(skipped == Verb::Auth && text.starts_with(b"334")) {
                self.skipping = None;
            }
            return;
        }
        let Some(exchange) = self.exchanges.get_mut(self.open) else { return };
        exchange.recorded.push(text.to_vec());
        self.open += usize::from(last);
    }
}
