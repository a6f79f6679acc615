//! Thousands of random servers, good, bad and mad, against what must always hold.

use super::*;
use crate::auth::Secret;
use crate::base::{Notify, Recipient};

/// Prints the seed of a run that does not survive: set `MAILFLUX_SEED` to it to run it alone.
struct Seed {
    seed: u64,
    survived: bool,
}

impl Drop for Seed {
    fn drop(&mut self) {
        if !self.survived {
            eprintln!("MAILFLUX_SEED={}", self.seed);
        }
    }
}

/// What the observer knows of the transaction under way.
#[derive(Default)]
struct Watched {
    recipients: Vec<u32>,
    told: Vec<u32>,
    /// Octets of the server that had arrived when the end of the content was sent.
    end_sent_at: Option<usize>,
    /// A RCPT was answered by 2xx, or so it must have looked.
    positive: usize,
    transmitting: bool,
    done: bool,
}

struct World {
    rng: fastrand::Rng,
    session: ClientSession,
    now: Time,
    /// What the server is like: how often, of a hundred answers, it misbehaves.
    malice: u32,
    wire: VecDeque<u8>,
    inbox: Vec<u8>,
    arrived: usize,
    consumed: usize,
    /// Where the reply that is being heard begins, among all octets that arrived.
    reply_begins_at: usize,
    last_reply: Option<Reply>,
    gone: bool,
    flowing: Option<Mode>,
    watched: Option<Watched>,
    quits: usize,
    delivered: usize,
    ended: usize,
    tls: StartTls,
    in_clear: bool,
    secure: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = fastrand::Rng::with_seed(seed);
        let malice = *rng.choice(&[0, 2, 10, 40]).unwrap();
        let all = [StartTls::Never, StartTls::Offered, StartTls::Required];
        let login = LoginConfig {
            user: "user".into(),
            host: "mx".into(),
            port: 25,
            choice: Choice::Auto,
            in_clear: rng.bool(),
            renewable: rng.bool(),
        };
        let login = (rng.u32(0..4) == 0).then_some(login);
        let config = ClientConfig { starttls: *rng.choice(&all).unwrap(), login, ..config() };
        World {
            tls: config.starttls,
            in_clear: config.login.as_ref().is_some_and(|login| login.in_clear),
            secure: false,
            session: ClientSession::new(config, "192.0.2.25:25".parse().unwrap(), false),
            rng,
            malice,
            now: Time::ZERO,
            wire: VecDeque::new(),
            inbox: vec![],
            arrived: 0,
            consumed: 0,
            reply_begins_at: 0,
            last_reply: None,
            gone: false,
            flowing: None,
            watched: None,
            quits: 0,
            delivered: 0,
            ended: 0,
        }
    }

    fn run(&mut self) {
        self.answer("connect");
        for _ in 0..20_000 {
            self.drain();
            if self.session.is_closed() {
                assert!(self.watched.as_ref().is_none_or(|w| w.done), "closed before Done");
                return;
            }
            self.now = self.now.after(Duration::from_millis(10));
            self.happen();
        }
        panic!("no end: {:?}", self.session);
    }

    /// Something happens outside.
    fn happen(&mut self) {
        let flows = self.flowing.is_some();
        match self.rng.u32(0..10) {
            0 if self.session.is_idle() && self.rng.u8(..) < 30 => self.session.quit(self.now),
            1 if self.rng.u32(0..400) == 0 => self.session.quit(self.now),
            2 if self.rng.u32(0..200) == 0 => self.session.abort(&Reply::bare(451, "spool")),
            0..=3 if self.session.is_idle() => self.begin(),
            4 if flows => self.session.progress(self.now),
            0..=5 if flows && self.rng.bool() => {
                let mode = self.flowing.take();
                self.session.transmitted(self.now);
                if mode != Some(Mode::Dot) && self.session.state_name() == "final" {
                    self.end_sent();
                }
            }
            _ if !self.wire.is_empty() => {
                let n = self.rng.usize(1..=self.wire.len());
                let n = if self.rng.bool() { n } else { n.min(3) };
                self.inbox.extend(self.wire.drain(..n));
                self.arrived += n;
            }
            _ if self.gone => self.session.eof("gone"),
            // Nothing more will come by itself.
            _ if self.session.is_idle() || flows => {}
            _ => {
                self.now = self.session.deadline();
                self.session.timeout(self.now);
            }
        }
    }

    fn begin(&mut self) {
        let count = self.rng.u32(0..6);
        let names = ["a@x", "b@x", "c@x", "d@x", "e@x", "f@x"];
        let mut order = order(&names[..count as usize]);
        let success = Notify::When { success: true, failure: true, delay: false };
        order.recipients.iter_mut().for_each(|r: &mut (u32, Recipient)| {
            r.1.notify = if self.rng.bool() { success } else { Notify::Unspecified };
        });
        order.utf8 = self.rng.u8(..) < 20;
        order.size = self.rng.u64(0..3000);
        let recipients = order.recipients.iter().map(|r| r.0).collect();
        self.watched = Some(Watched { recipients, ..Watched::default() });
        self.session.begin(order, self.now);
    }

    /// The machine acts, and every action is checked against what is known.
    fn drain(&mut self) {
        for _ in 0..1000 {
            let (n, action) = self.session.step(&self.inbox, self.now);
            assert!(n <= self.inbox.len());
            self.inbox.drain(..n);
            self.consumed += n;
            let over = matches!(action, Action::Read | Action::Close(_));
            self.check(action);
            if over {
                let waits = self.session.deadline() != Time::NEVER;
                assert!(waits || self.session.is_idle() || self.session.is_closed());
                return;
            }
        }
        panic!("never dry: {:?}", self.session);
    }

    fn check(&mut self, action: Action) {
        match action {
            Action::Read | Action::Ready | Action::Garbage(_) => {}
            Action::Ask(_) => {
                let reply = |code| Verdict::Refuse(Reply::bare(code, "gate"));
                let verdict = match self.rng.u32(0..200) {
                    0 => Verdict::Drop,
                    1 => Verdict::Discard,
                    2 => reply(*self.rng.choice(&[250, 354, 421, 450, 452, 530, 550]).unwrap()),
                    _ => Verdict::Accept,
                };
                self.session.verdict(verdict, self.now);
            }
            Action::StartTls if self.rng.u32(0..100) < self.malice || !self.wire.is_empty() => {
                self.session.tls_failed("no");
            }
            Action::StartTls => {
                assert!(self.inbox.is_empty(), "octets in the clear before TLS");
                self.secure = true;
                self.session.tls_started(self.now);
            }
            Action::Send(octets) => self.sent(&octets),
            Action::SendSecret { octets, shown } => {
                assert!(shown.ends_with(b"***") || shown == b"AUTH LOGIN");
                self.sent(octets.expose());
            }
            Action::Secret { .. } if self.rng.u32(0..100) < self.malice => {
                self.session.secret(Err("none".into()), "", self.now);
            }
            Action::Secret { .. } => {
                self.session.secret(Ok(Secret::new("pencil")), "nonce", self.now);
            }
            Action::Work => self.session.work(5000, self.now),
            Action::Heard(reply, mark) => self.heard(reply, mark),
            Action::Transmit(mode) => self.transmit(mode),
            Action::Dot => {
                assert!(self.inbox.is_empty(), "a dot while a reply lies unread");
                self.end_sent();
            }
            Action::Outcome { recipient, ending, reply, uncertain, .. } => {
                self.outcome(recipient, ending, &reply, uncertain);
            }
            Action::Untried(recipient) => self.tell(recipient),
            Action::Done => {
                let watched = self.watched.as_mut().unwrap();
                assert!(!watched.done);
                watched.done = true;
                watched.told.sort_unstable();
                assert_eq!(watched.told, watched.recipients);
                self.flowing = None;
                self.ended += 1;
            }
            Action::Close(_) => assert!(self.session.is_closed()),
        }
    }

    fn sent(&mut self, octets: &[u8]) {
        assert_eq!(self.quits, 0, "words after QUIT");
        let text = String::from_utf8(octets.to_vec()).unwrap();
        self.quits += usize::from(text.starts_with("QUIT"));
        if self.quits == 0 {
            assert!(self.inbox.is_empty(), "a command while a reply lies unread");
        }
        assert!(self.flowing.is_none(), "a command inside content");
        for line in text.strip_suffix("\r\n").unwrap().split("\r\n") {
            let wanted = self.secure || self.tls != StartTls::Required;
            assert!(wanted || !line.starts_with("MAIL"), "mail in the clear");
            let shows = ["AUTH PLAIN ", "cGVuY2ls"].iter().any(|start| line.starts_with(start));
            assert!(self.secure || self.in_clear || !shows, "a password in the clear");
            self.answer(line);
        }
    }

    fn heard(&mut self, reply: Reply, mark: Mark) {
        if let Some(watched) = &mut self.watched {
            watched.positive += usize::from(reply.is_positive() && mark == Mark::Plain);
            // The reply to the content ends here or never.
            if watched.end_sent_at.is_some_and(|at| self.reply_begins_at < at) {
                assert!(!reply.is_positive() || mark == Mark::Unexpected, "an early success");
            }
        }
        self.last_reply = Some(reply);
        self.reply_begins_at = self.consumed;
    }

    fn transmit(&mut self, mode: Mode) {
        let watched = self.watched.as_mut().unwrap();
        assert!(!watched.transmitting && !watched.done);
        watched.transmitting = true;
        // MAIL, and at least one recipient.
        assert!(watched.positive >= 2, "content for nobody");
        if mode == Mode::Dot {
            assert_eq!(self.last_reply.as_ref().unwrap().code, 354);
        }
        self.flowing = Some(mode);
        if self.rng.u32(0..100) < self.malice {
            self.answer("content");
        }
    }

    fn end_sent(&mut self) {
        let watched = self.watched.as_mut().unwrap();
        assert!(watched.transmitting && watched.end_sent_at.is_none());
        watched.end_sent_at = Some(self.arrived);
        self.answer(".");
    }

    fn outcome(&mut self, recipient: u32, ending: Ending, reply: &Reply, uncertain: bool) {
        let watched = self.watched.as_ref().unwrap();
        if ending == Ending::Delivered {
            // The last thing heard is the answer to the end of the content, and all of it came
            // after that end was sent.
            assert!(reply.is_positive() && !uncertain);
            assert!(watched.end_sent_at.is_some());
            assert_eq!(Some(reply), self.last_reply.as_ref());
            self.delivered += 1;
        } else {
            assert!(matches!(reply.class(), 4 | 5));
            assert_eq!(ending == Ending::Failed, reply.is_permanent());
        }
        assert!(!uncertain || (watched.end_sent_at.is_some() && ending == Ending::Deferred));
        self.tell(recipient);
    }

    fn tell(&mut self, recipient: u32) {
        let watched = self.watched.as_mut().unwrap();
        assert!(!watched.done && !watched.told.contains(&recipient), "told twice");
        watched.told.push(recipient);
    }

    /// The server answers a line, well or badly.
    fn answer(&mut self, line: &str) {
        if self.gone {
            return;
        }
        let answer = if self.rng.u32(0..100) < self.malice { self.bad() } else { self.good(line) };
        self.wire.extend(answer.bytes());
        self.gone = self.rng.u32(0..300) < self.malice;
    }

    fn good(&mut self, line: &str) -> String {
        let text = match line.split(' ').next().unwrap() {
            "connect" => "220 mx",
            "EHLO" => return self.ehlo(),
            "DATA" => *self.rng.choice(&["354 go", "354 go", "354 go", "451 no"]).unwrap(),
            "BDAT" | "content" => return String::new(),
            "RCPT" => {
                let all = ["250 ok", "250 ok", "251 ok", "450 no", "550 no", "452 full"];
                *self.rng.choice(&all).unwrap()
            }
            "." => *self.rng.choice(&["250 ok", "250-o\r\n250 k", "450 no", "554 no"]).unwrap(),
            "QUIT" => "221 bye",
            "AUTH" | "dXNlcg==" | "cGVuY2ls" | "" => {
                let first = "334 cj1ub25jZXgscz1RUT09LGk9NDA5Ng==";
                let all = ["235 ok", "235 ok", "334 VXNlcm5hbWU6", first, "535 no", "454 later"];
                *self.rng.choice(&all).unwrap()
            }
            _ => *self.rng.choice(&["250 ok", "250 ok", "250 ok", "550 no"]).unwrap(),
        };
        format!("{text}\r\n")
    }

    fn ehlo(&mut self) -> String {
        let all = [
            "PIPELINING",
            "CHUNKING",
            "SIZE 2000",
            "SMTPUTF8",
            "DSN",
            "LIMITS RCPTMAX=2",
            "STARTTLS",
            "AUTH PLAIN LOGIN",
            "AUTH SCRAM-SHA-256 LOGIN",
        ];
        let mut reply = String::from("250-mx\r\n");
        for extension in all {
            if self.rng.bool() {
                reply += &format!("250-{extension}\r\n");
            }
        }
        reply + "250 LIMITS MAILMAX=3\r\n"
    }

    fn bad(&mut self) -> String {
        let all = [
            "",
            "2",
            "250-never ends\r\n",
            "250 ok",
            "garbage\r\n",
            "250-a\r\n550 b\r\n",
            "250 ok\r\n250 ok\r\n",
            "354 go\r\n",
            "354 go\r\n354 go\r\n",
            "250 ok\r\n354 go\r\n",
            "354 go\r\n250 ok\r\n",
            "221 bye\r\n",
            "421 bye\r\n",
            "530 auth\r\n",
            "334 \r\n",
            "235 ok\r\n",
            "550 no\r\n550 no\r\n",
            "\0\r\n",
            "\r\n",
        ];
        self.rng.choice(&all).unwrap().to_string()
    }
}

#[test]
fn whatever_the_server_does() {
    let one: Option<u64> = std::env::var("MAILFLUX_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = one.map_or(0..20_000, |seed| seed..seed + 1);
    let (mut delivered, mut ended) = (0, 0);
    for seed in seeds {
        let mut guard = Seed { seed, survived: false };
        let mut world = World::new(seed);
        world.run();
        guard.survived = true;
        delivered += world.delivered;
        ended += world.ended;
    }
    // The worlds are not so mad that nothing is ever tried.
    assert!(one.is_some() || (delivered > 5000 && ended > 20_000), "{delivered} {ended}");
}
