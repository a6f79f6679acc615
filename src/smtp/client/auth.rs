//! AUTH as a client (RFC 4954): after the last EHLO, before any word about mail.
//!
//! ```text
//!   secured() ─▶ Auth ─gate─▶ NeedSecret ─▶ Secret ─▶ AuthSay ─▶ AuthSent ─2xx─▶ Ready, Idle
//!                                 ▲                     ▲  ▲       │ │ │
//!                                 │                     │  └─ 334 ─┘ │ └─ 334, to be computed ─▶
//!                                 │                     └──────────────────────────── AuthWork ─┘
//!                                 └── 535, and there may be a newer token: once ─────┘
//! ```
//!
//! The strongest mechanism that both know is taken. What would show the password is not sent in the
//! clear unless the configuration says so. The secret is asked for when it is needed, and wiped
//! when its line is made. Every refusal pauses the server, with its own words and a hint; no
//! message is to blame for it.

use super::transaction::clip;
use super::types::{Choice, LoginConfig};
use super::{Action, ClientSession, Fault, State};
use crate::auth::client::{Answer, Credentials, Exchange};
use crate::auth::{self, Binding, Mechanism, Secret};
use crate::base::{Enhanced, Printable, Reply, Time};
use crate::journal::Mark;

/// Octets of an AUTH command with CRLF; what is longer goes without its initial response
/// (RFC 4954 section 4).
const MAX_COMMAND: usize = 512;

/// An exchange under way.
#[derive(Debug)]
pub(super) struct Login {
    mechanism: Mechanism,
    exchange: Exchange,
    /// A first message too long for the command: it waits for the server to ask.
    held: Option<Secret>,
    /// The secret has been fetched anew.
    fresh: bool,
}

/// A line with a secret in it, and what the transcript has of it.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) octets: Secret,
    pub(super) shown: Vec<u8>,
}

impl Words {
    fn new(command: &str, message: &Secret) -> Words {
        let encoded = Secret::new(auth::encode(message.expose()));
        // An empty initial response is written `=`; an empty message is an empty line.
        let message =
            if message.is_empty() && !command.is_empty() { b"=" } else { encoded.expose() };
        let octets = Secret::new([command.as_bytes(), message, b"\r\n"].concat());
        Words { octets, shown: [command.as_bytes(), b"***"].concat() }
    }
}

impl ClientSession {
    /// The TLS connection can be told from all others by this (RFC 9266).
    pub fn bind(&mut self, binding: Binding) {
        self.binding = Some(binding);
    }

    /// As whom we are logged in.
    pub fn user(&self) -> Option<&str> {
        let login = self.config.login.as_ref().filter(|_| self.logged_in);
        login.map(|login| login.user.as_str())
    }

    /// Waits for [`ClientSession::secret`].
    pub fn awaits_secret(&self) -> bool {
        matches!(self.state, State::Secret { .. })
    }

    /// The secret that [`Action::Secret`] asked for, or why there is none; and a fresh nonce.
    pub fn secret(&mut self, secret: Result<Secret, String>, nonce: &str, now: Time) {
        let State::Secret { mechanism, fresh } = self.state else { return };
        let Some(config) = &self.config.login else { return };
        self.state = match secret {
            Ok(secret) => {
                let LoginConfig { user, host, port, .. } = config;
                let (user, host, port) = (user.clone(), host.clone(), *port);
                let who = Credentials { user, secret, host, port };
                let exchange = Exchange::new(mechanism, &who, nonce, self.binding);
                begin(Login { mechanism, exchange, held: None, fresh })
            }
            Err(why) => State::Quit(ours(why)),
        };
        self.arm(now);
    }

    /// Goes on with what [`Action::Work`] announced, for so many rounds.
    pub fn work(&mut self, rounds: u32, now: Time) {
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::AuthWork(mut login) => {
                let answer = login.exchange.work(rounds);
                follow(login, answer)
            }
            other => other,
        };
        self.arm(now);
    }

    /// What comes first where we are to log in; none where we are not.
    pub(super) fn login(&self) -> Option<State> {
        let config = self.config.login.as_ref()?;
        Some(match self.choose(config) {
            Ok(mechanism) => State::Auth(mechanism),
            Err(why) => State::Quit(ours(why)),
        })
    }

    /// The strongest mechanism that both know and that shows nothing to listeners.
    fn choose(&self, config: &LoginConfig) -> Result<Mechanism, String> {
        let offered = self.extensions.auth.as_deref().unwrap_or_default();
        let ours: Vec<Mechanism> = match config.choice {
            Choice::Auto => Mechanism::ALL.into_iter().filter(|m| !m.takes_token()).collect(),
            Choice::Only(mechanism) => vec![mechanism],
        };
        let names: Vec<&str> = ours.iter().map(|m| m.name()).collect();
        let clear = if self.tls { "" } else { " without TLS" };
        if offered.is_empty() {
            return Err(format!("the server offers no AUTH{clear}; see tls, or leave out user"));
        }
        let is_offered = |m: &Mechanism| offered.split(' ').any(|o| o == m.name());
        let may_bind = |m: &Mechanism| *m != Mechanism::ScramSha256Plus || self.binding.is_some();
        let mut common = ours.iter().filter(|m| is_offered(m) && may_bind(m)).peekable();
        if common.peek().is_none() {
            let (offered, ours) = (Printable::bounded(offered, 200), names.join(" "));
            return Err(format!(
                "no mechanism of AUTH in common: the server offers {offered}, our setting auth \
                 allows {ours}"
            ));
        }
        let safe = |m: &&Mechanism| self.tls || config.in_clear || !m.shows_secret();
        common.find(safe).copied().ok_or_else(|| {
            let offered = Printable::bounded(offered, 200);
            format!(
                "the server offers {offered} without TLS, which would show the password to \
                 listeners; set tls = required, or auth_in_clear = yes"
            )
        })
    }

    /// A reply in the exchange.
    pub(super) fn auth_answered(&mut self, login: Box<Login>, reply: &Reply) -> Mark {
        self.state = match reply.class() {
            3 if reply.code == 334 => challenged(login, reply),
            2 if login.exchange.is_complete() && login.held.is_none() => {
                self.logged_in = true;
                self.after = Some(Action::Ready);
                State::Idle
            }
            2 => State::Quit(ours("the server says success before it has proven itself".into())),
            4 | 5 => self.refused_login(&login, reply),
            _ => {
                self.state = State::AuthSent(login);
                return Mark::Unexpected;
            }
        };
        Mark::Plain
    }

    fn refused_login(&self, login: &Login, reply: &Reply) -> State {
        let renewable = self.config.login.as_ref().is_some_and(|config| config.renewable);
        if reply.code == 535 && renewable && !login.fresh {
            return State::NeedSecret { mechanism: login.mechanism, fresh: true };
        }
        State::Quit(Fault::Login(hinted(reply, login)))
    }
}

/// The first line: AUTH, with the first message where that may stand there.
fn begin(mut login: Login) -> State {
    let name = login.mechanism.name();
    let words = match login.exchange.initial() {
        Some(message) => {
            let words = Words::new(&format!("AUTH {name} "), &message);
            if words.octets.expose().len() <= MAX_COMMAND {
                Some(words)
            } else {
                login.held = Some(message);
                None
            }
        }
        None => None,
    };
    let words = words.unwrap_or_else(|| {
        let shown = format!("AUTH {name}").into_bytes();
        Words { octets: Secret::new(format!("AUTH {name}\r\n")), shown }
    });
    State::AuthSay(Box::new(login), words)
}

/// A 334.
fn challenged(mut login: Box<Login>, reply: &Reply) -> State {
    if let Some(message) = login.held.take() {
        return State::AuthSay(login, Words::new("", &message));
    }
    let text = reply.lines().next().unwrap_or_default().trim_ascii();
    let answer = match auth::decode(text) {
        Some(challenge) => login.exchange.challenge(&challenge),
        // What LOGIN asks with, nobody reads; some servers do not encode it.
        None if login.mechanism == Mechanism::Login => login.exchange.challenge(text),
        None => Answer::Wrong("its challenge is not base64"),
    };
    follow(login, answer)
}

/// Does what the exchange wants.
fn follow(login: Box<Login>, answer: Answer) -> State {
    match answer {
        Answer::Say(message) => State::AuthSay(login, Words::new("", &message)),
        Answer::Work => State::AuthWork(login),
        Answer::Wrong(why) => State::AuthCancel(ours(format!("login cancelled: {why}"))),
    }
}

/// A fault of which the server has not said anything.
fn ours(why: String) -> Fault {
    Fault::Login(Reply::made(451, Some(Enhanced(4, 7, 0)), why))
}

/// The server's words, and what to do about them.
fn hinted(reply: &Reply, login: &Login) -> Reply {
    let hint = match (reply.code, login.mechanism.takes_token()) {
        (400..=499, _) => "it may be well later",
        (535, false) => "check user and password of this next server",
        (535, true) => "check user of this next server, and whether its token is valid",
        _ => "see auth, user and password of this next server",
    };
    let mut text = reply.lines().collect::<Vec<_>>().join(&b' ');
    if let Some(words) = login.exchange.words() {
        text.push(b' ');
        text.extend(words.iter().map(|b| if b.is_ascii_control() { b' ' } else { *b }));
    }
    text.extend_from_slice(format!(" ({hint})").as_bytes());
    clip(&reply.with_text(text))
}
