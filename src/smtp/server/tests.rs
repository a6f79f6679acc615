//! The session in the small: what dialogs cannot say. Then random ones, which must not depend on
//! how their input is cut.

use super::*;
use crate::auth::{Keys, Stretch};
use crate::base::{MessageId, Protocol, Wall};

mod random;

fn config() -> ServerConfig {
    ServerConfig {
        hostname: "mx.example.net".into(),
        max_message_size: 2000,
        max_recipients: 3,
        max_errors: 20,
        max_hops: 5,
        timeout: Duration::from_secs(300),
        starttls: true,
        auth: AuthPolicy::Optional,
    }
}

/// A session with everything that came out of it.
struct Bench {
    config: ServerConfig,
    now: Now,
    session: ServerSession,
    input: Vec<u8>,
    actions: Vec<Action>,
    heard: Vec<Vec<u8>>,
    body: Vec<u8>,
}

impl Bench {
    fn new(config: ServerConfig) -> Bench {
        let now = Now { time: Time::from_micros(7), wall: Wall::from_secs(1_787_510_546) };
        let client = "[::ffff:192.0.2.7]:40000".parse().unwrap();
        let session = ServerSession::new(client, false, &Context { config: &config, now });
        let (input, actions, heard, body) = Default::default();
        Bench { config, now, session, input, actions, heard, body }
    }

    /// A session after EHLO.
    fn introduced() -> Bench {
        let mut bench = Bench::new(config());
        bench.hear(b"EHLO client.example.com\r\n");
        bench.actions.clear();
        bench.heard.clear();
        bench
    }

    fn step(&mut self) -> Action {
        let cx = Context { config: &self.config, now: self.now };
        let (used, action) = self.session.step(&self.input, &cx);
        match &action {
            Action::Heard(range) => self.heard.push(self.input[range.clone()].to_vec()),
            Action::HeardSecret(text) => self.heard.push(text.clone()),
            Action::Body(range) => self.body.extend_from_slice(&self.input[range.clone()]),
            _ => {}
        }
        self.input.drain(..used);
        self.actions.push(action.clone());
        action
    }

    /// Steps until it waits for something.
    fn run(&mut self) -> Action {
        loop {
            let action = self.step();
            if matches!(
                action,
                Action::Read
                    | Action::Ask(_)
                    | Action::Commit
                    | Action::Keys(_)
                    | Action::Work
                    | Action::StartTls
                    | Action::Close(_)
            ) {
                return action;
            }
        }
    }

    fn verdict(&mut self, verdict: Verdict) {
        let cx = Context { config: &self.config, now: self.now };
        self.session.verdict(verdict, &cx);
    }

    /// The one password is `pencil`.
    fn log_in(&mut self) {
        let cx = Context { config: &self.config, now: self.now };
        let salted = Stretch::new(b"pencil", b"salt", 2).advance(2).unwrap();
        match self.actions.last() {
            Some(Action::Work) => self.session.work(2, &cx),
            _ => self.session.keys(Keys::of(&salted, b"salt".to_vec(), 2), "nonce", &cx),
        }
    }

    fn commit(&mut self) {
        let cx = Context { config: &self.config, now: self.now };
        self.session.committed(Ok(MessageId { arrived: 1, counter: 2 }), &cx);
    }

    /// Gives input, lets everything through, stops where there is no more.
    fn hear(&mut self, octets: &[u8]) -> Action {
        self.input.extend_from_slice(octets);
        loop {
            match self.run() {
                Action::Ask(_) => self.verdict(Verdict::Accept),
                Action::Commit => self.commit(),
                Action::Keys(_) | Action::Work => self.log_in(),
                end => return end,
            }
        }
    }

    /// Gives input up to this question.
    fn until(&mut self, octets: &[u8], stage: Stage) {
        self.input.extend_from_slice(octets);
        loop {
            match self.run() {
                Action::Ask(asked) if asked == stage => return,
                Action::Ask(_) => self.verdict(Verdict::Accept),
                end => panic!("{end:?} before {stage:?}"),
            }
        }
    }

    fn codes(&self) -> Vec<u16> {
        let code = |a: &Action| match a {
            Action::Reply(reply) => Some(reply.code),
            _ => None,
        };
        self.actions.iter().filter_map(code).collect()
    }

    fn envelope(&self) -> &Envelope {
        let begin = |a: &'_ Action| matches!(a, Action::Begin(_));
        match self.actions.iter().find(|a| begin(a)) {
            Some(Action::Begin(envelope)) => envelope,
            _ => panic!("nothing began"),
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.now.time = self.now.time.after(Duration::from_secs(seconds));
    }
}

const ENVELOPE: &[u8] = b"MAIL FROM:<ann@example.org> SIZE=1234\r\nRCPT TO:<bob@example.net>\r\n";

#[test]
fn every_line_is_narrated_once() {
    let mut bench = Bench::new(config());
    let lines: [&[u8]; 4] = [b"EHLO x", b"NOOP \xff\0", b"DATA\n", b""];
    bench.hear(&[lines.join(&b"\r\n"[..]), b"\r\n".to_vec()].concat());
    assert_eq!(bench.heard, lines);
    bench.heard.clear();
    bench.hear(&[&[b'x'; 9000][..], b"\r\nQUIT\r\n"].concat());
    assert_eq!(bench.heard, [&[b'x'; 4096][..], b"QUIT"]);
}

#[test]
fn strangers_are_narrated_shortly() {
    for (said, shown) in [
        (&b"GET / HTTP/1.1\r\nHost: x\r\n"[..], &b"GET / HTTP/1.1"[..]),
        (b"\x16\x03\x01\r\n", b"\x16\x03\x01"),
        (&[b"PUT ", &[b'x'; 200][..]].concat(), &[b"PUT ", &[b'x'; 76][..]].concat()),
    ] {
        let mut bench = Bench::introduced();
        assert!(matches!(bench.hear(said), Action::Close(_)));
        assert_eq!((&bench.heard[..], bench.codes()), (&[shown.to_vec()][..], vec![421]));
    }
}

#[test]
fn secrets_are_never_narrated() {
    let mut bench = Bench::introduced();
    bench.hear(b"auth plain AGFubgBzZWNyZXQ=\r\nc2VjcmV0\r\nNOOP\r\n");
    bench.hear(&[b"AUTH PLAIN ".as_slice(), &[b'Q'; 13000], b"\r\n"].concat());
    let secret = &b"auth plain ***"[..];
    assert_eq!(bench.heard, [secret, b"***", b"NOOP", b"AUTH PLAIN ***"]);
    assert_eq!(bench.codes(), [538, 500, 250, 500]);
    // Also after HELO, and where AUTH is not offered at all.
    let mut bench = Bench::new(ServerConfig { auth: AuthPolicy::None, ..config() });
    bench.hear(b"HELO x\r\nAUTH LOGIN\r\nc2VjcmV0\r\nc2VjcmV0\r\nxyzzy\r\n");
    let hidden = &b"***"[..];
    assert_eq!(bench.heard, [b"HELO x", &b"AUTH LOGIN"[..], hidden, hidden, b"xyzzy"]);
}

#[test]
fn an_exchange_is_not_narrated_and_who_came_through_it_is_known() {
    let mut bench = Bench::introduced();
    bench.session.tls = true;
    bench.until(b"AUTH LOGIN\r\n", Stage::Auth);
    bench.verdict(Verdict::Accept);
    bench.hear(b"dXNlcg==\r\ncGVuY2ls\r\n");
    assert_eq!(bench.heard, [&b"AUTH LOGIN"[..], b"***", b"***"]);
    assert_eq!((bench.session.user(), bench.session.state_name()), (Some("user"), "idle"));
    bench.hear(b"*\r\n");
    bench.until(ENVELOPE, Stage::Rcpt);
    assert_eq!(bench.session.facts().user, Some("user"));
    bench.verdict(Verdict::Accept);
    bench.hear(b"DATA\r\n");
    let begun = bench.actions.iter().find_map(|action| match action {
        Action::Begin(envelope) => Some(envelope.client.clone()),
        _ => None,
    });
    let client = begun.unwrap();
    assert_eq!((client.protocol.name(), client.user.as_deref()), ("ESMTPSA", Some("user")));
}

#[test]
fn the_gate_knows_the_facts() {
    let mut bench = Bench::new(config());
    bench.until(b"EHLO _odd_ name\r\n", Stage::Helo);
    let facts = bench.session.facts();
    assert_eq!((facts.helo, facts.from, facts.tls), (Some("_odd_ name"), None, false));
    assert_eq!(facts.client.to_string(), "192.0.2.7");
    bench.verdict(Verdict::Accept);
    bench.until(ENVELOPE, Stage::Mail);
    let facts = bench.session.facts();
    assert_eq!(facts.from.unwrap().unwrap().as_str(), "ann@example.org");
    assert_eq!((facts.size, facts.recipients, facts.rcpt), (1234, 0, None));
    bench.verdict(Verdict::Accept);
    bench.until(b"", Stage::Rcpt);
    assert_eq!(bench.session.facts().rcpt.unwrap().as_str(), "bob@example.net");
    assert_eq!(bench.session.facts().recipients, 0);
    bench.verdict(Verdict::Accept);
    bench.until(b"BDAT 7\r\nX: y\r\n\r", Stage::Bdat);
    assert_eq!((bench.session.facts().size, bench.session.recipients()), (7, 1));
    bench.verdict(Verdict::Accept);
    bench.until(b"BDAT 5 LAST\r\n\nabcd", Stage::Body);
    assert_eq!(bench.session.facts().size, 8);
    bench.verdict(Verdict::Accept);
    bench.until(b"", Stage::Dot);
    let facts = bench.session.facts();
    assert_eq!((facts.size, facts.recipients), (12, 1));
    assert_eq!(facts.from.unwrap().unwrap().as_str(), "ann@example.org");
    bench.verdict(Verdict::Accept);
    assert_eq!(bench.run(), Action::Commit);
    bench.commit();
    assert_eq!(bench.run(), Action::Read);
    assert_eq!((bench.session.from(), bench.session.bytes()), (None, 12));
}

#[test]
fn the_envelope_is_complete() {
    let mut bench = Bench::introduced();
    bench.hear(
        b"MAIL FROM:<> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=q+2B\r\n\
          RCPT TO:<@a:bob@x> NOTIFY=DELAY ORCPT=rfc822;o\r\nDATA\r\n",
    );
    let envelope = bench.envelope();
    assert_eq!(envelope.client.ip, Some("192.0.2.7".parse().unwrap()));
    assert_eq!(envelope.client.helo.as_deref(), Some("client.example.com"));
    let protocol = Protocol::Esmtp { tls: false, auth: false, utf8: true };
    assert_eq!(envelope.client.protocol, protocol);
    assert_eq!((&envelope.from, envelope.utf8), (&None, true));
    assert_eq!(envelope.body, crate::base::BodyType::EightBitMime);
    assert_eq!(envelope.ret, Some(crate::base::Ret::Headers));
    assert_eq!(envelope.envid.as_deref(), Some("q+2B"));
    let recipient = &envelope.recipients[0];
    assert_eq!(recipient.address.as_str(), "bob@x");
    assert!(recipient.notify.delay() && !recipient.notify.failure());
    assert_eq!(recipient.orcpt.as_deref(), Some("rfc822;o"));
}

#[test]
fn odd_names_stay_out_of_envelopes() {
    let long = "x.".repeat(2000);
    for odd in ["_odd_", "a b", "[1.2.3]", "gr\u{fc}n.example", "x\u{2028}y", &long] {
        let mut bench = Bench::new(config());
        bench.hear(format!("EHLO {odd}\r\n").as_bytes());
        bench.hear(&[ENVELOPE, b"DATA\r\n"].concat());
        assert_eq!(bench.envelope().client.helo, None, "{odd}");
        let kept = bench.session.helo().unwrap();
        assert!(odd.starts_with(kept) && kept.len() <= 256);
    }
    let mut bench = Bench::new(config());
    bench.hear(b"HELO [IPv6:::1]\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@c>\r\nDATA\r\n");
    assert_eq!(bench.envelope().client.helo.as_deref(), Some("[IPv6:::1]"));
    assert_eq!(bench.envelope().client.protocol, Protocol::Smtp);
}

#[test]
fn plaintext_behind_starttls_is_never_run() {
    let mut bench = Bench::introduced();
    assert_eq!(bench.hear(b"STARTTLS\r\nMAIL FROM:<eve@example.org>\r\n"), Action::StartTls);
    bench.input.clear();
    assert_eq!(bench.session.state_name(), "tls");
    let cx = Context { config: &bench.config, now: bench.now };
    bench.session.tls_started(&cx);
    bench.wait(200);
    bench.hear(b"MAIL ");
    // What was dropped does not count as seen.
    assert_eq!(bench.session.deadline(), bench.now.time.after(Duration::from_secs(300)));
    bench.hear(b"FROM:<ann@example.org>\r\n");
    assert_eq!((bench.codes(), bench.session.helo()), (vec![220, 503], None));
    bench.hear(b"EHLO x\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<b@x>\r\nDATA\r\n");
    let protocol = Protocol::Esmtp { tls: true, auth: false, utf8: false };
    assert_eq!(bench.envelope().client.protocol, protocol);
}

#[test]
fn plaintext_behind_starttls_is_dropped_by_the_machine_too() {
    let mut bench = Bench::introduced();
    assert_eq!(bench.hear(b"STARTTLS\r\nMAIL FROM:<eve@example.org>\r\n"), Action::StartTls);
    // As if the reactor had forgotten to.
    assert_eq!(bench.run(), Action::Read);
    assert!(bench.input.is_empty());
}

#[test]
fn a_handshake_that_takes_too_long_ends_without_a_word() {
    let mut bench = Bench::introduced();
    bench.hear(b"STARTTLS\r\n");
    bench.actions.clear();
    bench.wait(300);
    assert!(bench.session.deadline() <= bench.now.time);
    let cx = Context { config: &bench.config, now: bench.now };
    bench.session.timeout(&cx);
    assert_eq!(bench.run(), Action::Close("timeout"));
    assert!(bench.codes().is_empty());
}

#[test]
fn who_waits_for_us_has_no_deadline() {
    let mut bench = Bench::introduced();
    bench.until(b"NOOP\r\n", Stage::Other);
    bench.wait(1000);
    assert_eq!(bench.session.deadline(), Time::NEVER);
    let cx = Context { config: &bench.config, now: bench.now };
    bench.session.timeout(&cx);
    bench.verdict(Verdict::Accept);
    // The time at the gate was ours, not the client's.
    assert_eq!(bench.session.deadline(), bench.now.time.after(Duration::from_secs(300)));
    bench.hear(b"");
    assert_eq!(bench.codes(), [250]);
}

#[test]
fn spurious_steps_renew_nothing() {
    let mut bench = Bench::introduced();
    bench.hear(b"NO");
    let deadline = bench.session.deadline();
    bench.wait(10);
    bench.hear(b"");
    bench.hear(b"OP");
    assert_eq!(bench.session.deadline(), deadline);
    bench.hear(b"\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@c>\r\nDATA\r\n.");
    let deadline = bench.session.deadline();
    bench.wait(10);
    bench.hear(b"");
    assert_eq!(bench.session.deadline(), deadline);
    bench.hear(b"\r");
    assert!(bench.session.deadline() > deadline);
    let deadline = bench.session.deadline();
    bench.wait(10);
    // The CR waits in the reactor's buffer and is shown again: it is no new octet.
    bench.hear(b"");
    assert_eq!(bench.session.deadline(), deadline);
}

#[test]
fn after_the_end_nothing_is_heard() {
    let mut bench = Bench::introduced();
    assert_eq!(bench.hear(b"QUIT\r\nMAIL FROM:<a@b>\r\n"), Action::Close("quit"));
    assert_eq!(bench.hear(b"NOOP\r\n"), Action::Close("quit"));
    assert_eq!(bench.codes(), [221]);
    assert_eq!(bench.session.deadline(), Time::NEVER);
    assert!(bench.input.is_empty() && !bench.session.in_transaction());
}

#[test]
fn states_have_names() {
    let mut bench = Bench::new(config());
    let mut names = vec![bench.session.state_name()];
    for input in [
        "",
        "EHLO x\r\n",
        "MAIL FROM:<a@b>\r\n",
        "RCPT TO:<b@c>\r\n",
        "BDAT 5\r\na",
        "bcde",
        "RSET\r\n",
        "MAIL FROM:<a@b>\r\nRCPT TO:<b@c>\r\nDATA\r\n",
        "x\r\n.\r\n",
        "QUIT\r\n",
    ] {
        bench.hear(input.as_bytes());
        names.push(bench.session.state_name());
    }
    let want = [
        "connect", "helo", "idle", "mail", "rcpt", "bdat", "content", "idle", "data", "idle",
        "closed",
    ];
    assert_eq!(names, want);
}

#[test]
fn a_server_that_ends_begins_no_transaction() {
    let mut bench = Bench::introduced();
    bench.until(b"MAIL FROM:<a@b>\r\n", Stage::Mail);
    let cx = Context { config: &bench.config, now: bench.now };
    bench.session.shutdown(&cx);
    bench.verdict(Verdict::Accept);
    assert_eq!(bench.hear(b""), Action::Close("server ends"));
    assert_eq!(bench.codes(), [421]);
}

#[test]
fn content_passes_in_long_runs() {
    let mut bench = Bench::introduced();
    bench.config.max_message_size = 0;
    let text = [b"X: y\r\n\r\n".to_vec(), b"a line of text\r\n".repeat(100_000)].concat();
    bench.hear(&[ENVELOPE, b"DATA\r\n", &text, b".\r\n"].concat());
    let pieces = bench.actions.iter().filter(|a| matches!(a, Action::Body(_))).count();
    assert_eq!((pieces, bench.body == text), (2, true));
}

#[test]
fn an_idle_session_is_small() {
    let bench = Bench::introduced();
    let size = size_of::<ServerSession>() + bench.session.outbox.capacity() * size_of::<Out>();
    assert!(size <= 640, "{size} octets");
}
