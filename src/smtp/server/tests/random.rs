//! Random conversations, as hostile as random can be: nothing panics, nothing grows, nothing is
//! said or kept that depends on how the input came in pieces.

use super::*;
use crate::auth::{Keys, MAX_LINE, Penalty, Stretch};
use crate::base::{Enhanced, Reply};

const SEEDS: u64 = 2000;

/// What a client may say; together they reach every state.
const FRAGMENTS: [&[u8]; 54] = [
    b"EHLO client.example.com\r\n",
    b"HELO x\r\n",
    b"MAIL FROM:<ann@example.org>\r\n",
    b"MAIL FROM:<> SIZE=1500 BODY=8BITMIME\r\n",
    b"MAIL FROM:<a@b> SIZE=3000\r\n",
    b"MAIL FROM:<a@b> X=Y\r\n",
    b"RCPT TO:<bob@example.net>\r\n",
    b"RCPT TO:<carol@example.net> NOTIFY=NEVER\r\n",
    b"RCPT TO:<>\r\n",
    b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.net>\r\n",
    b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n",
    b"DATA\r\n",
    b"Subject: hello\r\n",
    b"Received: from a\r\n",
    b"\r\n",
    b".\r\n",
    b"\r\n.\r\n",
    b"..\r\n",
    b".",
    b"\r",
    b"\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"text",
    b"\0\xff",
    b"BDAT 0\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 5\r\n",
    b"BDAT 5\r\nhello",
    b"BDAT 7 LAST\r\nhello\r\n",
    b"BDAT 1900\r\n",
    b"BDAT 2 LAST\r\na\r",
    b"BDAT 5 FIRST\r\n",
    b"BDAT x\r\n",
    b"BDAT 99999999999999999999\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"HELP\r\n",
    b"VRFY x\r\n",
    b"EXPN x\r\n",
    b"AUTH PLAIN secret\r\n",
    b"AUTH PLAIN AHVzZXIAcGVuY2ls\r\n",
    b"AUTH PLAIN AHVzZXIAUGVuY2ls\r\n",
    b"AUTH LOGIN\r\ndXNlcg==\r\ncGVuY2ls\r\n",
    b"AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9eA==\r\n",
    b"AUTH PLAIN\r\n",
    b"dXNlcg==\r\n",
    b"*\r\n",
    b"QUIT\r\n",
    b"GET / HTTP/1.1\r\n",
    b"\x16\x03\x01",
    b"xyzzy ",
    b"\xc3\xbc\r\n",
    b"DATA \t\r\n",
];

/// Those that content is made of, good and bad.
const CONTENT: std::ops::Range<usize> = 12..25;

/// What can be seen from outside, but for the transcript.
#[derive(PartialEq, Eq, Default, Debug)]
struct Seen {
    said: Vec<u8>,
    kept: Vec<Vec<u8>>,
    heard: Vec<Vec<u8>>,
    closed: Option<&'static str>,
}

/// A session with a gate and a spool that say the same however the input is cut, so long as they
/// are asked the same.
struct Run {
    bench: Bench,
    seen: Seen,
    open: bool,
    whim: fastrand::Rng,
}

impl Run {
    fn new(seed: u64) -> Run {
        let whim = fastrand::Rng::with_seed(!seed);
        let config = ServerConfig { starttls: false, max_errors: 15, ..config() };
        let mut bench = Bench::new(config);
        bench.session.tls = seed % 2 == 0;
        Run { bench, seen: Seen::default(), open: false, whim }
    }

    /// Mostly yes.
    fn whimsy(&mut self) -> Verdict {
        match self.whim.u32(0..40) {
            0 => Verdict::Discard,
            1 => Verdict::Refuse(Reply::fixed(450, Enhanced(4, 2, 0), "Not now")),
            2 => Verdict::Refuse(Reply::fixed(550, Enhanced(5, 7, 1), "Never")),
            3 if self.whim.u32(0..10) == 0 => Verdict::Drop,
            4 if self.whim.u32(0..10) == 0 => {
                Verdict::Refuse(Reply::fixed(421, Enhanced(4, 7, 0), "Go away"))
            }
            _ => Verdict::Accept,
        }
    }

    fn feed(&mut self, piece: &[u8]) {
        self.bench.input.extend_from_slice(piece);
        loop {
            let action = self.bench.step();
            match action {
                Action::Read => break,
                Action::Ask(_) => {
                    let verdict = self.whimsy();
                    self.bench.verdict(verdict);
                }
                Action::Reply(reply) => reply.write_to(&mut self.seen.said),
                Action::Begin(envelope) => {
                    assert!(!self.open && !envelope.recipients.is_empty());
                    self.open = true;
                    self.bench.body.clear();
                }
                Action::Body(range) => assert!(self.open && !range.is_empty()),
                Action::Abort => assert!(std::mem::take(&mut self.open)),
                Action::Commit => {
                    assert!(std::mem::take(&mut self.open));
                    self.seen.kept.push(std::mem::take(&mut self.bench.body));
                    self.bench.commit();
                }
                Action::Close(why) => {
                    assert!(!self.open);
                    self.seen.closed = Some(why);
                    self.bench.input.clear();
                    break;
                }
                Action::Heard(_) | Action::HeardSecret(_) | Action::Refused(_) => {}
                Action::StartTls => panic!("not offered"),
                other => self.log_in(other),
            }
        }
        assert!(self.bench.input.len() < MAX_LINE, "input piles up");
        assert!(self.bench.session.outbox.is_empty());
        let pending = self.bench.session.deadline() != Time::NEVER;
        assert_eq!(pending, self.seen.closed.is_none());
        assert!(self.bench.session.in_transaction() || !self.open);
    }

    /// A reactor for AUTH.
    fn log_in(&mut self, action: Action) {
        let cx = Context { config: &self.bench.config, now: self.bench.now };
        let session = &mut self.bench.session;
        match action {
            Action::Challenge(reply) => reply.write_to(&mut self.seen.said),
            Action::Keys(_) => {
                let salted = Stretch::new(b"pencil", b"salt", 2).advance(2).unwrap();
                session.keys(Keys::of(&salted, b"salt".to_vec(), 2), "nonce", &cx);
            }
            Action::Work => session.work(1, &cx),
            Action::LoginFailed(_) => session.penalty(Penalty::None, &cx),
            _ => assert!(matches!(action, Action::LoggedIn(_)) && session.user().is_some()),
        }
    }

    fn finish(mut self) -> Seen {
        self.seen.heard = self.bench.heard;
        if self.seen.closed.is_some_and(|why| why.starts_with("client speaks")) {
            // Of a stranger's words as much is shown as was there.
            self.seen.heard.pop();
        }
        self.seen
    }
}

fn conversation(rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut said = Vec::new();
    if rng.u32(0..8) > 0 {
        said.extend_from_slice(FRAGMENTS[0]);
    }
    for _ in 0..rng.usize(1..60) {
        match rng.u32(0..60) {
            0 => said.extend(std::iter::repeat_with(|| rng.u8(..)).take(50)),
            1 => said.extend(std::iter::repeat_n(b'x', rng.usize(0..5000))),
            2 => said.extend(b"line\r\n".repeat(rng.usize(0..400))),
            3..=12 => {
                // A message that may well be a good one.
                said.extend_from_slice(b"RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
                for _ in 0..rng.usize(0..4) {
                    said.extend_from_slice(FRAGMENTS[rng.usize(CONTENT)]);
                }
                said.extend_from_slice(b"\r\n.\r\n");
            }
            _ => said.extend_from_slice(FRAGMENTS[rng.usize(0..FRAGMENTS.len())]),
        }
    }
    said
}

#[test]
fn no_conversation_depends_on_its_pieces() {
    let (mut kept, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let mut rng = fastrand::Rng::with_seed(seed);
        let said = conversation(&mut rng);
        let mut whole = Run::new(seed);
        whole.feed(&said);
        let whole = whole.finish();
        let mut octets = Run::new(seed);
        said.chunks(1).for_each(|piece| octets.feed(piece));
        assert_eq!(octets.finish(), whole, "seed {seed}, octet by octet");
        let mut pieces = Run::new(seed);
        let mut rest = &said[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rng.usize(1..=rest.len().min(300)));
            pieces.feed(piece);
            rest = after;
        }
        assert_eq!(pieces.finish(), whole, "seed {seed}, in pieces");
        kept += whole.kept.len();
        refused += usize::from(whole.said.windows(9).any(|w| w == b"550 5.6.0"));
        // What is kept can be sent on: no bare CR or LF is in it.
        for message in whole.kept {
            let without = String::from_utf8_lossy(&message).replace("\r\n", "");
            assert!(!without.contains(['\r', '\n']), "seed {seed}");
        }
    }
    // The test is worth something only when it gets that far.
    assert!(kept > 1000 && refused > 500, "{kept} kept, {refused} refused");
}

#[test]
fn garbage_never_panics() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut run = Run::new(seed);
        for _ in 0..50 {
            let octets = b"\r\n. \t<>@:=;+MAILFROMRCPTODAB019\0\x16\x7f\xc3\xbc\"\\[]";
            let length = rng.usize(0..300);
            let piece: Vec<u8> = std::iter::repeat_with(|| octets[rng.usize(0..octets.len())])
                .take(length)
                .collect();
            run.feed(&piece);
        }
    }
}
