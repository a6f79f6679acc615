//! Whole conversations, and the codecs of content against oracles that are too simple to be wrong.

use std::time::Duration;

use mailflux::auth::{Keys, Penalty, Secret, Stretch};
use mailflux::base::{Address, BodyType, Enhanced, MessageId, Now, Recipient, Reply, Time, Wall};
use mailflux::smtp::client::{self, ClientConfig, ClientSession, StartTls, Transaction};
use mailflux::smtp::data::{DotDecoder, DotEncoder, Piece};
use mailflux::smtp::server::{self, AuthPolicy, Context, ServerConfig, ServerSession};
use mailflux::smtp::{Stage, Verdict};

use super::pieces;

/// More steps than any machine may need for this much input.
fn patience(octets: &[u8]) -> usize {
    1000 + octets.len() * 40
}

fn now() -> Now {
    Now { time: Time::from_micros(7), wall: Wall::from_secs(1_787_510_546) }
}

/// What a client can see, and what the spool gets.
#[derive(PartialEq, Debug, Default)]
struct Seen {
    replies: Vec<u8>,
    kept: Vec<Vec<u8>>,
    closed: bool,
}

/// A verdict that follows from the stage and the number of the question alone.
fn whim(stage: Stage, count: u32, mood: u8) -> Verdict {
    let code = |code, class, words| Reply::fixed(code, Enhanced(class, 7, 1), words);
    match (stage as u32 + count * 7 + u32::from(mood)) % 23 {
        3 => Verdict::Refuse(code(450, 4, "Not now")),
        9 => Verdict::Refuse(code(550, 5, "Never")),
        13 => Verdict::Discard,
        17 if mood > 200 => Verdict::Refuse(code(421, 4, "Go away")),
        19 if mood > 200 => Verdict::Drop,
        _ => Verdict::Accept,
    }
}

fn serve(mood: u8, tls: bool, pieces: &[&[u8]], most: usize) -> Seen {
    let config = ServerConfig {
        hostname: "mx.example.net".into(),
        max_message_size: 3000,
        max_recipients: 3,
        max_errors: 15,
        max_hops: 5,
        timeout: Duration::from_secs(300),
        starttls: mood & 1 == 1,
        auth: if mood & 2 == 2 { AuthPolicy::Optional } else { AuthPolicy::None },
    };
    let cx = Context { config: &config, now: now() };
    let mut session = ServerSession::new("192.0.2.7:40000".parse().unwrap(), tls, &cx);
    let (mut seen, mut input, mut body) = (Seen::default(), Vec::new(), None::<Vec<u8>>);
    let (mut asked, mut steps) = (0, 0);
    for piece in std::iter::once(&&b""[..]).chain(pieces) {
        input.extend_from_slice(piece);
        loop {
            steps += 1;
            assert!(steps < most, "no end");
            let (used, action) = session.step(&input, &cx);
            assert!(used <= input.len());
            let mut over = false;
            match action {
                server::Action::Read => over = true,
                server::Action::Ask(stage) => {
                    asked += 1;
                    session.facts();
                    session.verdict(whim(stage, asked, mood), &cx);
                }
                server::Action::Reply(reply) | server::Action::Challenge(reply) => {
                    let from = seen.replies.len();
                    reply.write_to(&mut seen.replies);
                    checked(&seen.replies[from..]);
                }
                server::Action::Heard(range) => {
                    assert!(range.end <= used);
                }
                server::Action::Body(range) => {
                    assert!(range.end <= used);
                    body.as_mut().expect("content that was not begun").extend(&input[range]);
                }
                server::Action::Begin(envelope) => {
                    assert!(!envelope.recipients.is_empty());
                    body = Some(Vec::new());
                }
                server::Action::Abort => body = None,
                server::Action::Commit => {
                    seen.kept.push(body.take().expect("a commit of nothing"));
                    let id = MessageId { arrived: 1, counter: seen.kept.len() as u64 };
                    session.committed(Ok(id), &cx);
                }
                server::Action::Keys(_) => {
                    let salted = Stretch::new(b"pencil", b"salt", 2).advance(2).unwrap();
                    session.keys(Keys::of(&salted, b"salt".to_vec(), 2), "nonce", &cx);
                }
                server::Action::Work => session.work(2, &cx),
                server::Action::LoginFailed(_) => session.penalty(Penalty::None, &cx),
                server::Action::StartTls => {
                    // What came behind it is dropped by the caller, whatever it is: how the
                    // octets were cut matters there, so the comparison ends.
                    seen.closed = true;
                    return seen;
                }
                server::Action::Close(_) => {
                    seen.closed = true;
                    return seen;
                }
                server::Action::HeardSecret(_)
                | server::Action::LoggedIn(_)
                | server::Action::Refused(_) => {}
            }
            input.drain(..used);
            if over {
                break;
            }
        }
    }
    session.timeout(&cx);
    seen
}

/// The form of a reply on the wire (RFC 5321 section 4.2 and 4.5.3.1.5).
fn checked(reply: &[u8]) {
    let text = std::str::from_utf8(reply).expect("a reply in UTF-8");
    let lines: Vec<&str> = text.strip_suffix("\r\n").expect("a line end").split("\r\n").collect();
    for (i, line) in lines.iter().enumerate() {
        assert!(line.len() <= 510, "too long: {line}");
        let code: u16 = line[..3].parse().expect("a code");
        assert!((200..600).contains(&code), "{line}");
        let mark = if i + 1 == lines.len() { ' ' } else { '-' };
        assert!(line.len() == 3 || line[3..].starts_with(mark), "{text}");
        assert!(line.bytes().all(|b| b == b'\t' || !b.is_ascii_control()), "{line:?}");
    }
}

/// A client that says anything. However its octets are cut, the same is answered and kept.
pub fn server_session(data: &[u8]) {
    let [mood, octets @ ..] = data else { return };
    let tls = mood & 4 == 4;
    let whole = serve(*mood, tls, &[octets], patience(octets));
    let cut = serve(*mood, tls, &pieces(octets, u64::from(*mood) + 1), patience(octets));
    assert_eq!(whole, cut);
}

fn order(number: u64, mood: u8) -> Transaction {
    let to = |i: u32| (i, Recipient::new(Address::parse(&format!("r{i}@example.net")).unwrap()));
    Transaction {
        message: MessageId { counter: number, arrived: 0 },
        from: Some(Address::parse("s@example.com").unwrap()),
        body: if mood & 1 == 1 { BodyType::EightBitMime } else { BodyType::SevenBit },
        utf8: mood & 8 == 8,
        ret: None,
        envid: None,
        size: 1000,
        recipients: (0..u32::from(mood % 4) + 1).map(to).collect(),
    }
}

/// A next server that says anything: each recipient of a transaction has one outcome, or is said
/// to be untried; nothing is delivered without a reply of class 2.
pub fn client_session(data: &[u8]) {
    let [mood, octets @ ..] = data else { return };
    let login = (mood & 2 == 2).then(|| client::LoginConfig {
        user: "user".into(),
        host: "mx.example.net".into(),
        port: 587,
        choice: client::Choice::Auto,
        in_clear: true,
        renewable: mood & 64 == 64,
    });
    let starttls = if mood & 4 == 4 { StartTls::Offered } else { StartTls::Never };
    let config = ClientConfig { starttls, login, ..ClientConfig::new("relay.example") };
    let mut session = ClientSession::new(config, "192.0.2.25:25".parse().unwrap(), false);
    let mut time = Time::from_micros(1_000_000);
    let (mut input, mut steps, mut orders) = (Vec::new(), 0, 0);
    let (mut open, mut heard) = (Vec::<u32>::new(), 0);
    let cut = pieces(octets, u64::from(*mood) + 3);
    let mut cut = cut.into_iter();
    while !session.is_closed() {
        steps += 1;
        assert!(steps < patience(octets), "no end");
        let (used, action) = session.step(&input, time);
        input.drain(..used);
        match action {
            client::Action::Read => {
                time = time.after(Duration::from_micros(10));
                if session.is_idle() && orders < 3 {
                    orders += 1;
                    let order = order(orders, *mood);
                    open = order.recipients.iter().map(|(i, _)| *i).collect();
                    heard = 0;
                    session.begin(order, time);
                } else if let Some(piece) = cut.next() {
                    input.extend_from_slice(piece);
                } else if session.is_idle() {
                    session.quit(time);
                } else if mood & 16 == 16 {
                    session.eof("end of stream");
                } else {
                    time = session.deadline();
                    assert_ne!(time, Time::NEVER, "waits for ever");
                    session.timeout(time);
                }
            }
            client::Action::Ask(_) => {
                session.facts();
                session.verdict(Verdict::Accept, time);
            }
            client::Action::Heard(reply, _) => {
                heard += u32::from(reply.class() == 2);
            }
            client::Action::Secret { .. } => {
                session.secret(Ok(Secret::new("pencil")), "nonce", time);
            }
            client::Action::Work => session.work(1500, time),
            client::Action::StartTls => {
                if input.is_empty() && mood & 32 == 32 {
                    session.tls_started(time);
                } else {
                    session.tls_failed("no");
                }
            }
            client::Action::Transmit(_) => {
                session.progress(time);
                session.transmitted(time);
            }
            client::Action::Outcome { recipient, ending, reply, .. } => {
                let at = open.iter().position(|r| *r == recipient);
                open.swap_remove(at.expect("an outcome for nobody"));
                if ending == mailflux::journal::Ending::Delivered {
                    assert!(reply.class() == 2 && heard > 0, "delivered by {reply:?}");
                }
            }
            client::Action::Untried(recipient) => {
                let at = open.iter().position(|r| *r == recipient);
                open.swap_remove(at.expect("untried for nobody"));
            }
            client::Action::Done => assert!(open.is_empty(), "no outcome for {open:?}"),
            client::Action::Close(_) => break,
            client::Action::Send(octets) => {
                assert!(octets.ends_with(b"\r\n"));
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "no outcome for {open:?}");
}

/// The decoder, said as simply as possible: lines by CRLF, one leading dot off, up to `.`.
fn undotted(octets: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut out, mut at) = (Vec::new(), 0);
    loop {
        let end = octets[at..].windows(2).position(|w| w == b"\r\n")? + at + 2;
        let line = &octets[at..end];
        at = end;
        if line == b".\r\n" {
            return Some((out, at));
        }
        out.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
}

fn decode(pieces: &[&[u8]]) -> Option<(Vec<u8>, usize)> {
    let (mut decoder, mut input, mut out, mut taken) =
        (DotDecoder::default(), Vec::new(), Vec::new(), 0);
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let (used, what) = decoder.step(&input);
            if let Piece::Content(range) = &what {
                out.extend_from_slice(&input[range.clone()]);
            }
            input.drain(..used);
            taken += used;
            match what {
                Piece::End => return Some((out, taken)),
                Piece::More => break,
                Piece::Content(_) => {}
            }
        }
    }
    None
}

/// Both directions of the dot codec, in any pieces.
pub fn dot_codec(data: &[u8]) {
    let [seed, octets @ ..] = data else { return };
    let oracle = undotted(octets);
    assert_eq!(decode(&[octets]), oracle);
    let cut = pieces(octets, u64::from(*seed) + 1);
    assert_eq!(decode(&cut), oracle);
    let (mut encoder, mut wire) = (DotEncoder::default(), Vec::new());
    cut.iter().for_each(|piece| encoder.encode(piece, &mut wire));
    encoder.finish(&mut wire);
    let mut whole = octets.to_vec();
    if !whole.is_empty() && !whole.ends_with(b"\r\n") {
        whole.extend_from_slice(b"\r\n");
    }
    assert_eq!(undotted(&wire), Some((whole, wire.len())));
}

/// Content in chunks of any size comes out as it went in.
pub fn bdat_codec(data: &[u8]) {
    let [seed, octets @ ..] = data else { return };
    let mut wire = b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n".to_vec();
    let chunks = pieces(octets, u64::from(*seed) + 1);
    for chunk in &chunks {
        wire.extend_from_slice(format!("BDAT {}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
    }
    wire.extend_from_slice(b"BDAT 0 LAST\r\n");
    // With mood 0 the gate says yes to these few questions, or refuses whatever the pieces.
    let seen = serve(0, false, &pieces(&wire, 99), patience(&wire));
    let bare = octets.iter().enumerate().any(|(i, b)| match b {
        b'\n' => i == 0 || octets[i - 1] != b'\r',
        b'\r' => octets.get(i + 1) != Some(&b'\n'),
        _ => false,
    });
    for kept in &seen.kept {
        assert!(!bare);
        assert_eq!(kept, octets);
    }
}
