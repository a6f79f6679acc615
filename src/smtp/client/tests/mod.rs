//! A scripted server and a caller for the machine, without a network.

mod auth;
mod chunks;
mod dialogue;
mod endings;
mod gate;
mod hostile;
mod invariants;
mod limits;
mod slow;
mod starttls;

use std::collections::VecDeque;

use super::*;
use crate::auth::Secret;
use crate::base::{Address, BodyType, Printable, Recipient};
use crate::journal::{Ending, Mark};
use crate::smtp::{Facts, Verdict};

/// How the server's octets reach the machine.
#[derive(Clone, Copy, Debug)]
pub enum Feed {
    Whole,
    Octets,
    Random(u64),
}

impl Feed {
    fn take(self, rng: &mut fastrand::Rng, available: usize) -> usize {
        match self {
            Feed::Whole => available,
            Feed::Octets => 1,
            Feed::Random(_) => rng.usize(1..=available.min(40)),
        }
    }
}

/// What happened, in words.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// Command lines as they were sent; pipelined ones joined by ` + `.
    pub said: Vec<String>,
    /// Each transaction's outcomes, in the order in which they came.
    pub told: Vec<Vec<String>>,
    /// Narration of replies that came unexpectedly, and of garbage.
    pub odd: Vec<String>,
    pub ready: bool,
    pub fault: Option<Fault>,
}

impl Report {
    pub fn fault(&self) -> &Fault {
        self.fault.as_ref().expect("closed")
    }

    pub fn told(&self) -> Vec<&str> {
        assert_eq!(self.told.len(), 1, "{self:?}");
        self.told[0].iter().map(String::as_str).collect()
    }
}

type Rule = fn(Stage, &Facts<'_>) -> Verdict;

/// A dialogue: what the server answers to what, and the messages of the client.
///
/// A script is a list of (what the client's line begins with, the answer). `connect` stands for
/// the connection, `(tls)` for the handshake, `content` for the beginning of the content, `.` for
/// its end (also of BDAT). An
/// answer gets a CRLF after each of its lines, unless it ends in `<cut>`; after `<eof>` the server
/// closes; an empty one is silence.
pub struct Play<'a> {
    script: Vec<(&'a str, String)>,
    orders: Vec<Transaction>,
    rule: Rule,
    starttls: StartTls,
    login: Option<LoginConfig>,
    binding: Option<Binding>,
}

impl<'a> Play<'a> {
    pub fn new(script: &[(&'a str, &str)]) -> Play<'a> {
        let script = script.iter().map(|(said, answer)| (*said, answer.to_string())).collect();
        let starttls = StartTls::Never;
        let rule: Rule = |_, _| Verdict::Accept;
        Play { script, orders: vec![], rule, starttls, login: None, binding: None }
    }

    /// After the usual beginning with these extensions.
    pub fn after_ehlo(extensions: &str, script: &[(&'a str, &str)]) -> Play<'a> {
        let lines: Vec<&str> =
            std::iter::once("mx").chain(extensions.split_terminator('\n')).collect();
        let mut reply = String::new();
        for (i, line) in lines.iter().enumerate() {
            let last = i + 1 == lines.len();
            reply += &format!(
                "250{}{line}{}",
                if last { " " } else { "-" },
                if last { "" } else { "\n" }
            );
        }
        let mut play = Play::new(&[("connect", "220 mx ESMTP"), ("EHLO", &reply)]);
        play.script.extend(script.iter().map(|(said, answer)| (*said, answer.to_string())));
        play
    }

    pub fn order(mut self, order: Transaction) -> Play<'a> {
        self.orders.push(order);
        self
    }

    pub fn rule(mut self, rule: Rule) -> Play<'a> {
        self.rule = rule;
        self
    }

    pub fn starttls(self, starttls: StartTls) -> Play<'a> {
        Play { starttls, ..self }
    }

    /// Logs in, with the password `pencil`, or `ink` when it is asked for anew.
    pub fn login(self, login: LoginConfig) -> Play<'a> {
        Play { login: Some(login), ..self }
    }

    /// The TLS connection has an exporter.
    pub fn bound(self, binding: Binding) -> Play<'a> {
        Play { binding: Some(binding), ..self }
    }

    /// Whole, octet by octet and in random pieces; all must come out the same.
    pub fn run(self) -> Report {
        let whole = self.run_with(Feed::Whole);
        for feed in [Feed::Octets].into_iter().chain((0..12).map(Feed::Random)) {
            assert_eq!(self.run_with(feed), whole, "{feed:?}");
        }
        whole
    }

    pub fn run_with(&self, feed: Feed) -> Report {
        let login = self.login.clone();
        let config = ClientConfig { starttls: self.starttls, login, ..config() };
        let mut stage = Theatre {
            session: ClientSession::new(config, "192.0.2.25:25".parse().unwrap(), false),
            script: self.script.iter().cloned().collect(),
            orders: self.orders.iter().cloned().collect(),
            now: Time::from_micros(1_000_000),
            wire: VecDeque::new(),
            inbox: Vec::new(),
            eof: false,
            streaming: None,
            binding: self.binding,
            report: Report::default(),
        };
        stage.server("connect");
        let mut rng = fastrand::Rng::with_seed(match feed {
            Feed::Random(seed) => seed,
            _ => 0,
        });
        for _ in 0..200_000 {
            stage.drain(self.rule);
            if stage.session.is_closed() {
                return stage.report;
            }
            stage.now = stage.now.after(Duration::from_micros(10));
            if !stage.wire.is_empty() {
                let n = feed.take(&mut rng, stage.wire.len());
                stage.inbox.extend(stage.wire.drain(..n));
            } else if let Some(mode) = stage.streaming.take() {
                stage.session.transmitted(stage.now);
                if mode != Mode::Dot {
                    stage.server(".");
                }
            } else if stage.eof {
                stage.session.eof("end of stream");
            } else if stage.session.is_idle() && !stage.orders.is_empty() {
                let order = stage.orders.pop_front().unwrap();
                stage.report.told.push(vec![]);
                stage.session.begin(order, stage.now);
            } else if stage.session.is_idle() {
                stage.session.quit(stage.now);
            } else {
                assert_ne!(stage.session.deadline(), Time::NEVER, "{stage:?}");
                stage.now = stage.session.deadline();
                stage.session.timeout(stage.now);
            }
        }
        panic!("no end: {stage:?}");
    }
}

#[derive(Debug)]
struct Theatre<'a> {
    session: ClientSession,
    script: VecDeque<(&'a str, String)>,
    orders: VecDeque<Transaction>,
    now: Time,
    wire: VecDeque<u8>,
    inbox: Vec<u8>,
    eof: bool,
    streaming: Option<Mode>,
    binding: Option<Binding>,
    report: Report,
}

impl Theatre<'_> {
    /// The machine acts until it wants more.
    fn drain(&mut self, rule: Rule) {
        loop {
            let (n, action) = self.session.step(&self.inbox, self.now);
            self.inbox.drain(..n);
            match action {
                Action::Read => return,
                Action::Ask(stage) => {
                    assert!(self.session.is_waiting());
                    assert_eq!(self.session.deadline(), Time::NEVER);
                    assert_eq!(self.session.step(&self.inbox, self.now), (0, Action::Read));
                    let verdict = rule(stage, &self.session.facts());
                    self.session.verdict(verdict, self.now);
                }
                Action::Send(octets) => {
                    let lines = String::from_utf8(octets).unwrap();
                    let lines: Vec<&str> =
                        lines.strip_suffix("\r\n").unwrap().split("\r\n").collect();
                    self.report.said.push(lines.join(" + "));
                    lines.iter().for_each(|line| self.server(line));
                }
                Action::SendSecret { octets, shown } => {
                    self.report.said.push(String::from_utf8(shown).unwrap());
                    let line = String::from_utf8(octets.expose().to_vec()).unwrap();
                    self.server(line.strip_suffix("\r\n").unwrap());
                }
                Action::Secret { fresh } => {
                    assert!(self.session.awaits_secret());
                    assert_eq!(self.session.step(&[], self.now), (0, Action::Read));
                    let secret = Secret::new(if fresh { "ink" } else { "pencil" });
                    self.session.secret(Ok(secret), "rOprNGfwEbeRWgbNEkqO", self.now);
                }
                Action::Work => self.session.work(1500, self.now),
                Action::Heard(reply, mark) => {
                    assert!(reply.code != 334 || shown(&reply) == "334 ***");
                    if mark == Mark::Unexpected {
                        self.report.odd.push(shown(&reply));
                    }
                }
                Action::Garbage(line) => {
                    self.report.odd.push(format!("garbage {}", Printable::bounded(line, 20)));
                }
                Action::StartTls => self.handshake(),
                Action::Ready => self.report.ready = true,
                Action::Transmit(mode) => {
                    self.streaming = Some(mode);
                    if self.script.front().is_some_and(|(said, _)| *said == "content") {
                        self.server("content");
                    }
                }
                Action::Dot => self.server("."),
                Action::Outcome { recipient, ending, reply, uncertain, relayed_without_dsn } => {
                    let word = match ending {
                        Ending::Delivered => "delivered",
                        Ending::Deferred => "deferred",
                        Ending::Failed => "failed",
                    };
                    let mut text = format!("{recipient} {word} {}", shown(&reply));
                    text += if uncertain { " (uncertain)" } else { "" };
                    text += if relayed_without_dsn { " (relayed)" } else { "" };
                    self.report.told.last_mut().unwrap().push(text);
                }
                Action::Untried(recipient) => {
                    self.report.told.last_mut().unwrap().push(format!("{recipient} untried"));
                }
                Action::Done => self.report.told.last_mut().unwrap().push("done".into()),
                Action::Close(fault) => {
                    assert!(self.session.is_closed());
                    assert_eq!(self.session.step(b"more", self.now), (4, Action::Read));
                    self.report.fault = Some(fault);
                    return;
                }
            }
        }
    }

    /// TLS begins, unless the script has `fail` for `(tls)` or octets are there that are no TLS.
    fn handshake(&mut self) {
        let answer = match self.script.front() {
            Some(("(tls)", answer)) => answer.clone(),
            _ => "".into(),
        };
        if answer.starts_with("fail") || !self.wire.is_empty() {
            return self.session.tls_failed(&answer);
        }
        self.report.said.push("(tls)".into());
        self.server("(tls)");
        if let Some(binding) = self.binding {
            self.session.bind(binding);
        }
        self.session.tls_started(self.now);
    }

    /// The server hears a line and answers by its script.
    fn server(&mut self, line: &str) {
        if line != "." {
            assert!(line.is_ascii() || line.contains("SMTPUTF8") || line.starts_with("RCPT"));
        }
        let Some((said, answer)) = self.script.pop_front() else { return };
        assert!(line.starts_with(said), "expected {said}, got {line}: {:?}", self.report);
        let (answer, eof) = match answer.strip_suffix("<eof>") {
            Some(answer) => (answer, true),
            None => (answer.as_str(), false),
        };
        self.eof |= eof;
        let (answer, end) = match answer.strip_suffix("<cut>") {
            Some(answer) => (answer, ""),
            None => (answer, "\n"),
        };
        if !answer.is_empty() {
            self.wire.extend(format!("{answer}{end}").replace('\n', "\r\n").bytes());
        }
    }
}

fn shown(reply: &Reply) -> String {
    Printable::bounded(reply.on_one_line(), 200).into_string()
}

pub fn config() -> ClientConfig {
    ClientConfig::new("relay.example")
}

pub fn recipient(address: &str) -> Recipient {
    Recipient::new(Address::parse(address).unwrap())
}

/// A message of 1000 octets from `s@x` to these; recipients count from 10.
pub fn order(recipients: &[&str]) -> Transaction {
    Transaction {
        message: MessageId { counter: 1, arrived: 0 },
        from: Some(Address::parse("s@x").unwrap()),
        body: BodyType::SevenBit,
        utf8: false,
        ret: None,
        envid: None,
        size: 1000,
        recipients: (10..).zip(recipients.iter().map(|a| recipient(a))).collect(),
    }
}
