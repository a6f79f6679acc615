//! The dialogs of `tests/dialogs/*.smtp` with the session machine: whole, octet by octet, and in
//! random pieces. However its input is cut, it must say and keep the same.

use std::collections::VecDeque;
use std::time::Duration;

use mailflux::auth::{self, Failures, Keys, Stretch, Users};
use mailflux::base::{Envelope, MessageId, Now, Reply, Time, Wall};
use mailflux::smtp::server::{Action, AuthPolicy, Context, ServerConfig, ServerSession};
use mailflux::smtp::{Stage, Verdict};

#[path = "dialogs/script.rs"]
mod script;

use script::{Dialog, Message, Server, Step};

const SEEDS: u64 = 20;
/// The server's part of the nonce in RFC 7677 section 3.
const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

/// How input is cut.
enum Cut {
    Whole,
    Octets,
    Random(fastrand::Rng),
}

/// A session in the hand, with a gate that does what the script says.
struct Machine {
    config: ServerConfig,
    now: Now,
    session: ServerSession,
    cut: Cut,
    input: Vec<u8>,
    output: Vec<u8>,
    /// What the script wants said, by stage; at the end of a dialog all of it was.
    verdicts: VecDeque<(String, String)>,
    /// The message that is coming.
    incoming: Option<(Envelope, Vec<u8>)>,
    kept: VecDeque<Message>,
    counter: u64,
    failures: Failures,
    closed: bool,
}

impl Machine {
    fn new(dialog: &Dialog, cut: Cut) -> Machine {
        let config = config(dialog);
        let now = Now { time: Time::ZERO, wall: Wall::from_secs(1_787_510_546) };
        let client = "192.0.2.7:40000".parse().unwrap();
        let tls = dialog.settings.iter().any(|(name, _)| name == "tls");
        let mut session = ServerSession::new(client, tls, &Context { config: &config, now });
        if dialog.settings.iter().any(|(_, value)| value == "exporter") {
            session.bind([7; 32]);
        }
        Machine {
            config,
            now,
            session,
            cut,
            input: Vec::new(),
            output: Vec::new(),
            verdicts: VecDeque::new(),
            incoming: None,
            kept: VecDeque::new(),
            counter: 0x1a,
            failures: Failures::default(),
            closed: false,
        }
    }

    /// Steps the machine until it wants more.
    fn run(&mut self) {
        while !self.closed {
            let cx = Context { config: &self.config, now: self.now };
            let (used, action) = self.session.step(&self.input, &cx);
            let taken: Vec<u8> = self.input.drain(..used).collect();
            if !self.act(&taken, action) {
                break;
            }
        }
        if self.closed {
            self.input.clear();
        }
    }

    /// Does what the machine wants; whether to step on.
    fn act(&mut self, taken: &[u8], action: Action) -> bool {
        match action {
            Action::Read => return false,
            Action::Ask(stage) => self.answer(stage),
            Action::Reply(reply) => self.send(&reply),
            Action::Heard(range) => assert!(range.end <= taken.len()),
            Action::HeardSecret(text) => assert!(text.ends_with(b"***")),
            Action::Challenge(reply) => self.send(&reply),
            Action::LoggedIn(_) => assert!(self.session.user().is_some()),
            Action::Keys(_) | Action::Work | Action::LoginFailed(_) => self.log_in(action),
            Action::Begin(envelope) => {
                assert!(!envelope.recipients.is_empty());
                assert!(self.incoming.replace((*envelope, Vec::new())).is_none());
                self.fail_to_store();
            }
            Action::Body(range) => {
                let (_, content) = self.incoming.as_mut().expect("Body after Begin");
                assert!(!range.is_empty());
                content.extend_from_slice(&taken[range]);
                self.fail_to_store();
            }
            Action::Abort => assert!(self.incoming.take().is_some(), "Abort after Begin"),
            Action::Commit => self.commit(),
            Action::Refused(reply) => assert!(reply.class() > 3 && self.incoming.is_none()),
            Action::StartTls => {
                self.input.clear();
                let cx = Context { config: &self.config, now: self.now };
                self.session.tls_started(&cx);
                // Octets read in the clear must not be taken up again.
                return false;
            }
            Action::Close(_) => {
                assert!(self.incoming.is_none(), "closed without Abort");
                self.closed = true;
            }
        }
        true
    }

    /// What a reactor does for AUTH: one user, a nonce that is always the same, real penalties.
    fn log_in(&mut self, action: Action) {
        assert!(self.session.is_waiting() && self.session.deadline() == Time::NEVER);
        let cx = Context { config: &self.config, now: self.now };
        match action {
            Action::Keys(user) if user == "user" => self.session.keys(pencil(), NONCE, &cx),
            Action::Keys(_) => self.session.keys(Users::default().keys("x"), NONCE, &cx),
            Action::Work => self.session.work(4096, &cx),
            _ => {
                let client = self.session.facts().client;
                let penalty = self.failures.failed(client, self.now.time);
                self.session.penalty(penalty, &cx);
            }
        }
    }

    fn answer(&mut self, stage: Stage) {
        assert!(self.session.is_waiting() && self.session.deadline() == Time::NEVER);
        let name = format!("{stage:?}").to_lowercase();
        let verdict = match self.planned(&name) {
            None => Verdict::Accept,
            Some(words) if words == "drop" => Verdict::Drop,
            Some(words) if words == "discard" => Verdict::Discard,
            Some(words) => Verdict::Refuse(reply(&words)),
        };
        let cx = Context { config: &self.config, now: self.now };
        // A machine that waits takes nothing.
        assert_eq!(self.session.step(&self.input, &cx), (0, Action::Read));
        let facts = self.session.facts();
        assert_eq!(facts.rcpt.is_some(), stage == Stage::Rcpt);
        if let (Stage::Dot, Some((_, content))) = (stage, &self.incoming) {
            assert_eq!(facts.size, content.len() as u64);
        }
        self.session.verdict(verdict, &cx);
    }

    fn planned(&mut self, what: &str) -> Option<String> {
        let at = self.verdicts.iter().position(|(stage, _)| stage == what)?;
        self.verdicts.remove(at).map(|(_, words)| words)
    }

    fn fail_to_store(&mut self) {
        if let Some(words) = self.planned("spool") {
            self.session.spool_failed(reply(&words));
        }
    }

    fn commit(&mut self) {
        assert!(self.session.is_waiting() && self.session.in_transaction());
        let (envelope, content) = self.incoming.take().expect("Commit after Begin");
        let result = match self.planned("commit") {
            Some(words) => Err(reply(&words)),
            None => {
                let to = envelope.recipients.iter().map(|r| r.address.to_string()).collect();
                let from = envelope.from.map_or(String::new(), |a| a.to_string());
                self.kept.push_back(Message { from, to, content });
                self.counter += 1;
                Ok(MessageId { arrived: 0x6a8b_3f12, counter: self.counter - 1 })
            }
        };
        let cx = Context { config: &self.config, now: self.now };
        self.session.committed(result, &cx);
    }

    /// Sends a reply, when it is one that RFC 5321 and RFC 2034 allow.
    fn send(&mut self, reply: &Reply) {
        let before = self.output.len();
        reply.write_to(&mut self.output);
        assert!(self.output[before..].split(|b| *b == b'\n').all(|line| line.len() < 512));
        match reply.enhanced {
            Some(enhanced) => assert_eq!(u16::from(enhanced.0), reply.class()),
            // Greeting, EHLO and HELO, AUTH, DATA: RFC 2034 section 3.
            None => assert!(matches!(reply.code, 220 | 250 | 334 | 354), "{reply:?}"),
        }
    }
}

impl Server for Machine {
    fn say(&mut self, mut octets: &[u8]) {
        self.run();
        while !octets.is_empty() {
            let n = match &mut self.cut {
                Cut::Whole => octets.len(),
                Cut::Octets => 1,
                Cut::Random(rng) => {
                    let most = 1 << rng.u32(0..9);
                    rng.usize(1..=octets.len().min(most))
                }
            };
            self.input.extend_from_slice(&octets[..n]);
            octets = &octets[n..];
            self.run();
        }
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        self.run();
        let end = self.output.iter().position(|b| *b == b'\n')?;
        let line: Vec<u8> = self.output.drain(..=end).collect();
        Some(line.strip_suffix(b"\r\n").unwrap().to_vec())
    }

    fn unheard(&mut self) -> Vec<u8> {
        self.run();
        std::mem::take(&mut self.output)
    }

    fn is_closed(&mut self) -> bool {
        self.closed
    }

    fn message(&mut self) -> Option<Message> {
        self.kept.pop_front()
    }

    fn direct(&mut self, step: &Step) {
        match step {
            Step::Verdict(stage, words) => self.verdicts.push_back((stage.clone(), words.clone())),
            Step::Wait(seconds) => {
                self.run();
                self.now.time = self.now.time.after(Duration::from_secs(*seconds));
                let cx = Context { config: &self.config, now: self.now };
                if self.session.deadline() <= self.now.time {
                    self.session.timeout(&cx);
                }
            }
            Step::Shutdown => {
                self.run();
                self.session.shutdown(&Context { config: &self.config, now: self.now });
            }
            other => panic!("{other:?} is no direction"),
        }
    }
}

/// The keys of `user`, whose password is `pencil`: RFC 7677 section 3.
fn pencil() -> Keys {
    let salt = auth::decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let salted = Stretch::new(b"pencil", &salt, 4096).advance(4096).unwrap();
    Keys::of(&salted, salt, 4096)
}

fn reply(words: &str) -> Reply {
    Reply::parse_text(words).unwrap_or_else(|| panic!("no reply: {words}"))
}

fn config(dialog: &Dialog) -> ServerConfig {
    let mut config = ServerConfig {
        hostname: "mx.example.net".into(),
        max_message_size: 50 << 20,
        max_recipients: 1000,
        max_errors: 20,
        max_hops: 100,
        timeout: Duration::from_secs(300),
        starttls: false,
        auth: AuthPolicy::None,
    };
    for (name, value) in &dialog.settings {
        let number = || value.parse().unwrap();
        match name.as_str() {
            "max_message_size" => config.max_message_size = value.parse().unwrap(),
            "max_recipients" => config.max_recipients = number(),
            "max_errors" => config.max_errors = number(),
            "max_hops" => config.max_hops = number(),
            "timeout" => config.timeout = Duration::from_secs(value.parse().unwrap()),
            "starttls" => config.starttls = true,
            "auth" if value == "required" => config.auth = AuthPolicy::Required,
            "auth" => config.auth = AuthPolicy::Optional,
            "tls" => {}
            _ => panic!("{}: no setting {name}", dialog.name),
        }
    }
    config
}

fn play(dialog: &Dialog, cut: Cut, how: &str) {
    let mut machine = Machine::new(dialog, cut);
    dialog.play(&mut machine, how);
    assert!(machine.verdicts.is_empty(), "{} ({how}): {:?}", dialog.name, machine.verdicts);
}

#[test]
fn whole() {
    let dialogs = script::all();
    assert!(dialogs.len() >= 40, "{} dialogs", dialogs.len());
    for dialog in &dialogs {
        play(dialog, Cut::Whole, "whole");
    }
}

#[test]
fn octet_by_octet() {
    for dialog in &script::all() {
        play(dialog, Cut::Octets, "octet by octet");
    }
}

#[test]
fn in_random_pieces() {
    for dialog in &script::all() {
        for seed in 0..SEEDS {
            let cut = Cut::Random(fastrand::Rng::with_seed(seed));
            play(dialog, cut, &format!("random pieces, seed {seed}"));
        }
    }
}

#[test]
fn most_dialogs_can_be_had_with_a_real_server() {
    let dialogs = script::all();
    let clear = dialogs.iter().filter(|d| !d.needs_tls());
    let (real, special): (Vec<_>, Vec<_>) = clear.partition(|d| !d.needs_machine());
    assert!(real.len() > special.len(), "{} of {}", real.len(), dialogs.len());
}
