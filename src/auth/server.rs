//! The server's side of an exchange.
//!
//! ```text
//! state       on                              says                          then
//! ──────────  ──────────────────────────────  ────────────────────────────  ───────────
//! First       PLAIN: one message              Lookup                        Keys
//!             SCRAM: first message            Lookup                        Keys
//! LoginName   a name                          Challenge "Password:"         LoginPassword
//! LoginPassword  a password                   Lookup                        Keys
//! Keys        keys(), of a password           Work                          Stretch
//!             keys(), SCRAM                   Challenge server-first        Proof
//! Stretch     work()                          Work, at last Done or Failed  Over
//! Proof       the proof fits                  Challenge server-final        Proven
//!             it does not                     Failed                        Over
//! Proven      an empty message                Done                          Over
//! any         a message that makes no sense   Malformed                     Over
//! ```
//!
//! Keys are asked for by name, and there are always some: those of a user that does not exist fit
//! no password, and up to the end nothing tells them from others.

use super::scram::{BindingFlag, ClientFinal, ClientFirst, Keys, ServerFirst, binding_input};
use super::{Binding, Mechanism, Secret, Stretch, encode, prepare};

/// Octets of a user's name.
pub const MAX_NAME: usize = 255;

/// What the exchange wants next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send this, and give the client's answer to [`Exchange::respond`].
    Challenge(Vec<u8>),
    /// Find the keys of this user, for [`Exchange::keys`].
    Lookup(String),
    /// Call [`Exchange::work`] when it is this session's turn.
    Work,
    /// The client is this user.
    Done(String),
    /// The client is not who it says.
    Failed,
    /// The client's message makes no sense.
    Malformed,
}

/// One exchange with one client.
#[derive(Debug)]
pub struct Exchange {
    state: State,
}

#[derive(Debug)]
enum State {
    First { mechanism: Mechanism, binding: Option<Binding> },
    LoginName,
    LoginPassword { user: String },
    Keys { user: String, claim: Claim },
    Stretch { user: String, keys: Keys, stretch: Box<Stretch> },
    Proof(Box<Proof>),
    Proven { user: String },
    Over,
}

/// What waits for keys.
#[derive(Debug)]
enum Claim {
    Password(Secret),
    Scram { header: String, bare: String, nonce: String, binding: Option<Binding> },
}

/// A SCRAM exchange that waits for its proof.
#[derive(Debug)]
struct Proof {
    user: String,
    keys: Keys,
    /// `client-first-bare,server-first`.
    so_far: String,
    nonce: String,
    binding_input: Vec<u8>,
}

impl Exchange {
    /// The mechanisms of this side, the strongest first.
    pub const MECHANISMS: [Mechanism; 4] =
        [Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];

    /// An exchange with this mechanism. The binding is that of the TLS connection, if there is one.
    pub fn new(mechanism: Mechanism, binding: Option<Binding>) -> Exchange {
        Exchange { state: State::First { mechanism, binding } }
    }

    /// Begins, with the client's initial response if it gave one.
    pub fn begin(&mut self, initial: Option<&[u8]>) -> Step {
        if let State::First { mechanism: Mechanism::Login, .. } = self.state {
            self.state = State::LoginName;
            return match initial {
                Some(name) => self.respond(name),
                None => Step::Challenge(b"Username:".to_vec()),
            };
        }
        match initial {
            Some(message) => self.respond(message),
            None => Step::Challenge(Vec::new()),
        }
    }

    /// The client's message.
    pub fn respond(&mut self, message: &[u8]) -> Step {
        let step = match std::mem::replace(&mut self.state, State::Over) {
            State::First { mechanism: Mechanism::Plain, .. } => self.plain(message),
            State::First { mechanism, binding } => self.scram_first(mechanism, binding, message),
            State::LoginName => Some(match name(message) {
                Some(user) => {
                    self.state = State::LoginPassword { user };
                    Step::Challenge(b"Password:".to_vec())
                }
                None => Step::Failed,
            }),
            State::LoginPassword { user } => Some(self.claim(user, password(message))),
            State::Proof(proof) => self.scram_final(*proof, message),
            State::Proven { user } if message.is_empty() => Some(Step::Done(user)),
            _ => None,
        };
        step.unwrap_or(Step::Malformed)
    }

    /// The keys that [`Step::Lookup`] asked for, and a fresh nonce.
    pub fn keys(&mut self, keys: Keys, server_nonce: &str) -> Step {
        let State::Keys { user, claim } = std::mem::replace(&mut self.state, State::Over) else {
            return Step::Malformed;
        };
        match claim {
            Claim::Password(password) => {
                let stretch = Stretch::new(password.expose(), &keys.salt, keys.iterations);
                self.state = State::Stretch { user, keys, stretch: Box::new(stretch) };
                Step::Work
            }
            Claim::Scram { header, bare, nonce, binding } => {
                let nonce = nonce + server_nonce;
                let server_first = ServerFirst::write(&nonce, &keys);
                let so_far = format!("{bare},{server_first}");
                let binding_input = binding_input(&header, binding.as_ref());
                let proof = Proof { user, keys, so_far, nonce, binding_input };
                self.state = State::Proof(Box::new(proof));
                Step::Challenge(server_first.into_bytes())
            }
        }
    }

    /// Goes on with what [`Step::Work`] announced, for so many rounds.
    pub fn work(&mut self, rounds: u32) -> Step {
        let State::Stretch { stretch, .. } = &mut self.state else { return Step::Malformed };
        let Some(salted) = stretch.advance(rounds) else { return Step::Work };
        match std::mem::replace(&mut self.state, State::Over) {
            State::Stretch { user, keys, .. } if keys.fit(&salted) => Step::Done(user),
            _ => Step::Failed,
        }
    }

    /// RFC 4616 section 2: what cannot be prepared fails like what is wrong.
    fn claim(&mut self, user: String, password: Option<Secret>) -> Step {
        let Some(password) = password else { return Step::Failed };
        let claim = Claim::Password(password);
        self.state = State::Keys { user: user.clone(), claim };
        Step::Lookup(user)
    }

    /// RFC 4616 section 2: `[authzid] NUL authcid NUL passwd`.
    fn plain(&mut self, message: &[u8]) -> Option<Step> {
        let mut parts = message.split(|b| *b == 0);
        let (authorize_as, user, secret) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let (Some(user), secret) = (name(user), password(secret)) else {
            return Some(Step::Failed);
        };
        // Nobody acts for another here.
        if !authorize_as.is_empty() && name(authorize_as).as_ref() != Some(&user) {
            return Some(Step::Failed);
        }
        Some(self.claim(user, secret))
    }

    fn scram_first(
        &mut self,
        mechanism: Mechanism,
        binding: Option<Binding>,
        message: &[u8],
    ) -> Option<Step> {
        let first = ClientFirst::parse(std::str::from_utf8(message).ok()?)?;
        let Some(user) = name(first.user.as_bytes()) else { return Some(Step::Failed) };
        let binding = match (mechanism, first.flag) {
            (Mechanism::ScramSha256Plus, BindingFlag::Used) => Some(binding?),
            (Mechanism::ScramSha256, BindingFlag::Unknown) => None,
            // RFC 5802 section 6: both know channel binding, yet the client did not see that we
            // do. Somebody rewrote our offer.
            (Mechanism::ScramSha256, BindingFlag::Unoffered) if binding.is_some() => {
                return Some(Step::Failed);
            }
            (Mechanism::ScramSha256, BindingFlag::Unoffered) => None,
            _ => return None,
        };
        if first.authorize_as.as_ref().is_some_and(|other| *other != first.user) {
            return Some(Step::Failed);
        }
        let claim = Claim::Scram {
            header: first.header.into(),
            bare: first.bare.into(),
            nonce: first.nonce.into(),
            binding,
        };
        self.state = State::Keys { user: user.clone(), claim };
        Some(Step::Lookup(user))
    }

    fn scram_final(&mut self, proof: Proof, message: &[u8]) -> Option<Step> {
        let last = ClientFinal::parse(std::str::from_utf8(message).ok()?)?;
        if last.nonce != proof.nonce || last.binding != proof.binding_input {
            return Some(Step::Failed);
        }
        let auth_message = format!("{},{}", proof.so_far, last.without_proof);
        if !proof.keys.prove(&auth_message, &last.proof) {
            return Some(Step::Failed);
        }
        self.state = State::Proven { user: proof.user };
        let signature = encode(&proof.keys.signature(&auth_message));
        // RFC 4954 section 4: SMTP has no room for data in its success, so it is a challenge.
        Some(Step::Challenge(format!("v={signature}").into_bytes()))
    }
}

/// A user's name, prepared.
fn name(octets: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(octets).ok()?;
    prepare(name).filter(|name| name.len() <= MAX_NAME)
}

/// A password, prepared. One that cannot be prepared can be nobody's.
fn password(octets: &[u8]) -> Option<Secret> {
    prepare(std::str::from_utf8(octets).ok()?).map(Secret::new)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
