//! The client's side of an exchange.
//!
//! ```text
//! state    on                               says                       then
//! ───────  ───────────────────────────────  ─────────────────────────  ────────
//! Start    initial(), all but LOGIN         its first message          as below
//! PLAIN    a challenge                      Wrong
//! LOGIN    first, second challenge          the name, the password     Sent
//! token    a challenge: an error in JSON    AQ== or an empty line      Failing
//! SCRAM    server-first                     Work, at last its proof    Signature
//!          too few or too many rounds, a    Wrong
//!          nonce that is not ours
//! Signature  v= and it fits                 an empty line              Proven
//!            anything else                  Wrong
//! ```
//!
//! A server that says "success" before it has proven that it knows the keys is not the server
//! ([`Exchange::is_complete`]).

use super::scram::{BindingFlag, MIN_ITERATIONS, ServerFirst, binding_input, escape};
use super::scram::{expected_signature, proof};
use super::{Binding, Mechanism, Secret, Stretch, decode, encode, prepare, same};

/// Rounds that a server may demand of us. Each costs about a quarter of a microsecond of
/// everybody's time, in slices.
pub const MAX_ITERATIONS: u32 = 600_000;
/// Octets of a server's words about a refused token that are kept.
const MAX_WORDS: usize = 512;

/// Who we are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password or the token.
    pub secret: Secret,
    /// The server's name, as OAUTHBEARER repeats it.
    pub host: String,
    /// The server's port, likewise.
    pub port: u16,
}

/// What the exchange wants next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Send this.
    Say(Secret),
    /// Call [`Exchange::work`] when it is this session's turn.
    Work,
    /// The server's message is wrong, for this reason: cancel.
    Wrong(&'static str),
}

/// One exchange with one server.
#[derive(Debug)]
pub struct Exchange {
    state: State,
    /// What the server said of a token that it refused.
    words: Option<Vec<u8>>,
}

#[derive(Debug)]
enum State {
    /// Holds the message of PLAIN or of a token until it is sent.
    Message(Mechanism, Secret),
    Token(Mechanism),
    LoginName(Credentials),
    LoginPassword(Secret),
    ScramStart(Box<Scram>),
    ScramFirst(Box<Scram>),
    Stretch(Box<Scram>, Box<Stretch>, String),
    Signature([u8; 32]),
    Complete,
    Over,
}

#[derive(Debug)]
struct Scram {
    password: Secret,
    header: String,
    bare: String,
    nonce: String,
    binding: Option<Binding>,
}

impl Exchange {
    /// An exchange with this mechanism. `nonce` is for SCRAM; the binding is that of the TLS
    /// connection, if there is one.
    pub fn new(
        mechanism: Mechanism,
        who: &Credentials,
        nonce: &str,
        binding: Option<Binding>,
    ) -> Exchange {
        let state = match mechanism {
            Mechanism::Login => State::LoginName(who.clone()),
            Mechanism::Plain => {
                let parts = [&b"\0"[..], who.user.as_bytes(), b"\0", who.secret.expose()];
                State::Message(mechanism, Secret::new(parts.concat()))
            }
            Mechanism::Xoauth2 => {
                let head = format!("user={}\x01auth=Bearer ", who.user);
                let parts = [head.as_bytes(), who.secret.expose(), b"\x01\x01"];
                State::Message(mechanism, Secret::new(parts.concat()))
            }
            Mechanism::OauthBearer => {
                let (user, host, port) = (escape(&who.user), &who.host, who.port);
                let head = format!("n,a={user},\x01host={host}\x01port={port}\x01auth=Bearer ");
                let parts = [head.as_bytes(), who.secret.expose(), b"\x01\x01"];
                State::Message(mechanism, Secret::new(parts.concat()))
            }
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
                let plus = mechanism == Mechanism::ScramSha256Plus;
                State::ScramStart(Box::new(Scram::new(plus, who, nonce, binding)))
            }
        };
        Exchange { state, words: None }
    }

    /// The initial response; none where the server speaks first.
    pub fn initial(&mut self) -> Option<Secret> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Message(Mechanism::Plain, message) => {
                self.state = State::Complete;
                Some(message)
            }
            State::Message(mechanism, message) => {
                self.state = State::Token(mechanism);
                Some(message)
            }
            State::ScramStart(scram) => {
                let message = format!("{}{}", scram.header, scram.bare);
                self.state = State::ScramFirst(scram);
                Some(Secret::new(message))
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// A challenge of the server, decoded.
    pub fn challenge(&mut self, challenge: &[u8]) -> Answer {
        match std::mem::replace(&mut self.state, State::Over) {
            State::LoginName(who) => {
                self.state = State::LoginPassword(who.secret.clone());
                Answer::Say(Secret::new(who.user.clone()))
            }
            State::LoginPassword(password) => {
                self.state = State::Complete;
                Answer::Say(password)
            }
            // RFC 7628 section 3.2.3: the error must be answered before the reply comes.
            State::Token(mechanism) => {
                self.words = Some(challenge[..challenge.len().min(MAX_WORDS)].to_vec());
                let bearer = mechanism == Mechanism::OauthBearer;
                Answer::Say(Secret::new(if bearer { &b"\x01"[..] } else { b"" }))
            }
            State::ScramFirst(scram) => self.scram(scram, challenge),
            State::Signature(expected) => self.signed(&expected, challenge),
            _ => Answer::Wrong("a challenge too many"),
        }
    }

    /// Goes on with what [`Answer::Work`] announced, for so many rounds.
    pub fn work(&mut self, rounds: u32) -> Answer {
        let (scram, stretch, server_first) = match std::mem::replace(&mut self.state, State::Over) {
            State::Stretch(scram, stretch, server_first) => (scram, stretch, server_first),
            other => {
                self.state = other;
                return Answer::Wrong("nothing to work on");
            }
        };
        let mut stretch = stretch;
        let Some(salted) = stretch.advance(rounds) else {
            self.state = State::Stretch(scram, stretch, server_first);
            return Answer::Work;
        };
        let input = encode(&binding_input(&scram.header, scram.binding.as_ref()));
        let without_proof = format!("c={input},r={}", scram.nonce);
        let auth_message = format!("{},{server_first},{without_proof}", scram.bare);
        self.state = State::Signature(expected_signature(&salted, &auth_message));
        let proof = encode(&proof(&salted, &auth_message));
        Answer::Say(Secret::new(format!("{without_proof},p={proof}")))
    }

    /// Whether a success of the server may be believed.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete | State::Token(_))
    }

    /// What the server said of a token that it refused: JSON, as it came.
    pub fn words(&self) -> Option<&[u8]> {
        self.words.as_deref()
    }

    fn scram(&mut self, mut scram: Box<Scram>, challenge: &[u8]) -> Answer {
        let Ok(text) = std::str::from_utf8(challenge) else {
            return Answer::Wrong("its SCRAM message is not UTF-8");
        };
        let Some(first) = ServerFirst::parse(text) else {
            return Answer::Wrong("its SCRAM message is malformed");
        };
        // Ours, and something more (RFC 5802 section 5.1).
        if first.nonce.len() <= scram.nonce.len() || !first.nonce.starts_with(&scram.nonce) {
            return Answer::Wrong("its SCRAM nonce is not made of ours");
        }
        if first.iterations < MIN_ITERATIONS {
            return Answer::Wrong("it wants less than 4096 rounds of SCRAM, which hides nothing");
        }
        if first.iterations > MAX_ITERATIONS {
            return Answer::Wrong("it wants more than 600000 rounds of SCRAM");
        }
        scram.nonce = first.nonce.into();
        let stretch = Stretch::new(scram.password.expose(), &first.salt, first.iterations);
        self.state = State::Stretch(scram, Box::new(stretch), text.into());
        Answer::Work
    }

    fn signed(&mut self, expected: &[u8; 32], challenge: &[u8]) -> Answer {
        let signature = challenge.strip_prefix(b"v=").and_then(decode);
        match signature.and_then(|s| s.try_into().ok()) {
            Some(signature) if same(&signature, expected) => {
                self.state = State::Complete;
                Answer::Say(Secret::default())
            }
            _ => Answer::Wrong("it does not prove that it knows our password"),
        }
    }
}

impl Scram {
    fn new(plus: bool, who: &Credentials, nonce: &str, binding: Option<Binding>) -> Scram {
        let flag = match (plus, binding) {
            (true, _) => BindingFlag::Used,
            (false, Some(_)) => BindingFlag::Unoffered,
            (false, None) => BindingFlag::Unknown,
        };
        // What cannot be prepared goes as it is: the server knows whether it is right.
        let password = std::str::from_utf8(who.secret.expose()).ok().and_then(prepare);
        let password = password.map_or_else(|| who.secret.clone(), Secret::new);
        let user = prepare(&who.user).unwrap_or_else(|| who.user.clone());
        Scram {
            password,
            header: flag.header(""),
            bare: format!("n={},r={nonce}", escape(&user)),
            nonce: nonce.into(),
            binding: binding.filter(|_| plus),
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
