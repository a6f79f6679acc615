//! AUTH (RFC 4954): who the client is.
//!
//! The machine of the mechanism knows what to say; here is when it may, how its messages travel,
//! and what becomes of the session. Keys of users, and how patient one is with failures, are asked
//! of the reactor: [`Action::Keys`] and [`Action::LoginFailed`].
//!
//! AUTH is offered inside TLS only. No message of an exchange enters the transcript, in either
//! direction; nor do lines that a client, wrongly, sends ahead behind an AUTH that is refused.

use super::reading::line_end;
use super::{
    Action, AuthPolicy, Context, Introduction, Login, Out, Progress, Question, ServerSession,
    State, replies,
};
use crate::auth::server::{Exchange, Step};
use crate::auth::{self, Binding, Keys, Mechanism, Penalty, Secret};
use crate::base::Reply;

/// Lines behind a refused AUTH that may be the rest of an exchange: a name and a password.
const LINES_AHEAD: u8 = 2;

impl ServerSession {
    /// The TLS connection can be told from all others by this (RFC 9266): SCRAM may be bound to it.
    pub fn bind(&mut self, binding: Binding) {
        self.binding = Some(binding);
    }

    /// As whom the client has authenticated.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The keys that [`Action::Keys`] asked for, and a fresh nonce.
    pub fn keys(&mut self, keys: Keys, nonce: &str, cx: &Context<'_>) {
        if let Some(mut login) = self.take_login() {
            let step = login.exchange.keys(keys, nonce);
            self.follow(login, step, cx);
        }
    }

    /// Goes on with what [`Action::Work`] announced, for so many rounds.
    pub fn work(&mut self, rounds: u32, cx: &Context<'_>) {
        if let Some(mut login) = self.take_login() {
            let step = login.exchange.work(rounds);
            self.follow(login, step, cx);
        }
    }

    /// What the failure costs that [`Action::LoginFailed`] told of.
    pub fn penalty(&mut self, penalty: Penalty, cx: &Context<'_>) {
        debug_assert!(matches!(self.state, State::Failed), "a penalty for nothing");
        match penalty {
            Penalty::None => self.refuse_login(cx),
            Penalty::Wait(time) => {
                self.state = State::Penance;
                self.deadline = cx.now.time.after(time);
            }
            Penalty::Close => self.farewell(replies::TOO_MANY_LOGINS, "too many failed logins"),
        }
    }

    /// The end of a failed exchange.
    pub(super) fn refuse_login(&mut self, cx: &Context<'_>) {
        self.await_command(cx);
        self.outbox.push_back(Out::Reply(replies::LOGIN_FAILED));
    }

    /// The mechanisms on offer, the strongest first.
    pub(super) fn mechanisms(&self, cx: &Context<'_>) -> &'static [Mechanism] {
        match (self.offers_auth(cx), self.binding) {
            (false, _) => &[],
            (true, Some(_)) => &Exchange::MECHANISMS,
            (true, None) => &Exchange::MECHANISMS[1..],
        }
    }

    pub(super) fn offers_auth(&self, cx: &Context<'_>) -> bool {
        self.tls && cx.config.auth != AuthPolicy::None
    }

    /// AUTH: what is asked, or why it may not be.
    pub(super) fn auth(&self, arguments: &str, cx: &Context<'_>) -> Result<Question, Reply> {
        if cx.config.auth == AuthPolicy::None {
            return Err(replies::NOT_IMPLEMENTED);
        }
        // An extension is for those who said EHLO (section 4).
        if !matches!(self.introduction, Introduction::Ehlo(_)) {
            return Err(replies::HELO_FIRST);
        }
        if !self.tls {
            return Err(replies::AUTH_NEEDS_TLS);
        }
        if self.user.is_some() {
            return Err(replies::AUTH_ALREADY);
        }
        if !matches!(self.progress, Progress::None | Progress::Spoiled(_)) {
            return Err(replies::AUTH_IN_TRANSACTION);
        }
        let (name, initial) = arguments.split_once(' ').unwrap_or((arguments, ""));
        let initial = initial.trim_start_matches(' ');
        // RFC 4422 section 3.1.
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if name.len() > 20 || !name.bytes().all(is_name) || initial.contains(' ') {
            return Err(replies::AUTH_SYNTAX);
        }
        let known = self.mechanisms(cx).iter().find(|m| m.name().eq_ignore_ascii_case(name));
        let mechanism = *known.ok_or(replies::MECHANISM_UNKNOWN)?;
        let initial = match initial {
            "" => None,
            // A message without octets (section 4).
            "=" => Some(Secret::default()),
            text => Some(message(text.as_bytes())?),
        };
        Ok(Question::Auth { mechanism, initial })
    }

    /// The gate let AUTH through.
    pub(super) fn begin_login(
        &mut self,
        mechanism: Mechanism,
        initial: Option<&Secret>,
        cx: &Context<'_>,
    ) {
        let exchange = Exchange::new(mechanism, self.binding);
        let mut login = Box::new(Login { mechanism, exchange });
        let step = login.exchange.begin(initial.map(Secret::expose));
        self.follow(login, step, cx);
    }

    /// Looks for a message of the exchange in `rest`, which begins at `used` in the input.
    pub(super) fn read_response(
        &mut self,
        rest: &[u8],
        searched: usize,
        used: usize,
        cx: &Context<'_>,
    ) -> (usize, Option<Action>) {
        let window = &rest[..rest.len().min(auth::MAX_LINE)];
        if let Some(end) = line_end(window, searched) {
            self.renew(cx);
            return (end + 2, Some(self.respond(&rest[..end], used, cx)));
        }
        if window.len() == auth::MAX_LINE {
            let (cr, reply) = (window.ends_with(b"\r"), replies::RESPONSE_TOO_LONG);
            self.state = State::LongLine { cr, reply };
            return (window.len(), Some(Action::HeardSecret(b"***".to_vec())));
        }
        if let State::Response { searched, .. } = &mut self.state {
            *searched = window.len();
        }
        (0, Some(Action::Read))
    }

    fn respond(&mut self, line: &[u8], used: usize, cx: &Context<'_>) -> Action {
        let Some(mut login) = self.take_login() else { return Action::Read };
        if line == b"*" {
            self.say(replies::AUTH_CANCELLED, cx);
            return Action::Heard(used..used + line.len());
        }
        match message(line) {
            Ok(message) => {
                let step = login.exchange.respond(message.expose());
                self.follow(login, step, cx);
            }
            Err(reply) => self.say(reply, cx),
        }
        Action::HeardSecret(b"***".to_vec())
    }

    /// Does what the exchange wants.
    fn follow(&mut self, login: Box<Login>, step: Step, cx: &Context<'_>) {
        match step {
            Step::Challenge(text) => {
                let reply = Reply::made(334, None, auth::encode(&text));
                self.outbox.push_back(Out::Challenge(reply));
                self.state = State::Response { login, searched: 0 };
                self.renew(cx);
            }
            Step::Lookup(user) => {
                self.outbox.push_back(Out::Keys(user));
                self.state = State::Keys(login);
            }
            Step::Work => self.state = State::Work(login),
            Step::Done(user) => {
                self.user = Some(user.into());
                self.await_command(cx);
                self.outbox.push_back(Out::LoggedIn(login.mechanism));
                self.outbox.push_back(Out::Reply(replies::LOGGED_IN));
            }
            Step::Failed => {
                self.outbox.push_back(Out::LoginFailed(login.mechanism));
                self.state = State::Failed;
            }
            Step::Malformed => {
                self.await_command(cx);
                self.say(replies::RESPONSE_MALFORMED, cx);
            }
        }
    }

    /// The exchange under way; the session waits for a command in its place.
    fn take_login(&mut self) -> Option<Box<Login>> {
        match std::mem::replace(&mut self.state, State::Command { searched: 0 }) {
            State::Response { login, .. } | State::Keys(login) | State::Work(login) => Some(login),
            state => {
                debug_assert!(false, "no exchange is under way");
                self.state = state;
                None
            }
        }
    }

    /// Whether a line that is no command may be the rest of an exchange that was refused before the
    /// client knew; such a line is not shown.
    pub(super) fn is_sent_ahead(&mut self) -> bool {
        let hidden = self.lines_ahead > 0;
        self.lines_ahead = self.lines_ahead.saturating_sub(1);
        hidden
    }

    /// An AUTH was refused; what comes next may be secret.
    pub(super) fn expect_lines_ahead(&mut self) {
        self.lines_ahead = LINES_AHEAD;
    }
}

/// A message of the exchange, decoded.
fn message(line: &[u8]) -> Result<Secret, Reply> {
    auth::decode(line).map(Secret::new).ok_or(replies::NOT_BASE64)
}
