//! Getting to know each other: greeting, EHLO or HELO, STARTTLS (RFC 3207), EHLO again.
//!
//! ```text
//!   Greeting ─▶ Hello ─▶ HelloSent ─▶ secured(): Idle, or first Auth
//!                 ▲          └─ TLS wanted ─▶ StartTls ─▶ StartTlsSent ─▶ Handshake
//!                 └───────────────────── all is forgotten ────────────────────┘
//! ```
//!
//! What was offered in the clear came from anybody: after the handshake it is forgotten and asked
//! for again (section 4.2). Octets that lie behind the 220 to STARTTLS were put there in the clear,
//! to be read as if they had come inside TLS: they end the connection.

use super::transaction::clip;
use super::types::{Fault, StartTls};
use super::{Action, ClientSession, Extensions, Hello, State};
use crate::base::{Printable, Reply, Time};
use crate::journal::Mark;

impl ClientSession {
    pub(super) fn greeted(&mut self, reply: &Reply) -> Mark {
        match reply.class() {
            2 => self.state = State::Hello(Hello::Ehlo),
            4 | 5 => self.state = State::Quit(Fault::Server(clip(reply))),
            _ => {
                self.state = State::Greeting;
                return Mark::Unexpected;
            }
        }
        Mark::Plain
    }

    pub(super) fn hello_answered(&mut self, hello: Hello, reply: &Reply) -> Mark {
        match reply.class() {
            2 => {
                if hello == Hello::Ehlo {
                    self.extensions = Extensions::parse(reply, self.hidden);
                }
                self.state = self.introduced();
            }
            4 | 5 => self.state = self.hello_refused(hello, reply),
            _ => {
                self.state = State::HelloSent(hello);
                return Mark::Unexpected;
            }
        }
        Mark::Plain
    }

    /// RFC 5321 section 3.2: a server that does not know EHLO is greeted with HELO.
    pub(super) fn hello_refused(&mut self, hello: Hello, reply: &Reply) -> State {
        if hello == Hello::Ehlo && reply.is_permanent() {
            State::Hello(Hello::Helo)
        } else {
            State::Quit(Fault::Server(clip(reply)))
        }
    }

    /// The server knows us, and we know what it offers.
    fn introduced(&mut self) -> State {
        match self.config.starttls {
            _ if self.tls => self.secured(),
            StartTls::Never => self.secured(),
            _ if self.extensions.starttls => State::StartTls,
            StartTls::Offered => self.secured(),
            StartTls::Required => {
                let why = "the server does not offer STARTTLS, and TLS is required";
                State::Quit(Fault::Tls { why: why.into(), required: true })
            }
        }
    }

    /// Inside TLS, or in the clear where that is allowed: the work begins.
    fn secured(&mut self) -> State {
        self.left = self.extensions.mail_max.unwrap_or(u32::MAX);
        if let Some(login) = self.login() {
            return login;
        }
        self.after = Some(Action::Ready);
        State::Idle
    }

    pub(super) fn starttls_answered(&mut self, reply: &Reply) -> Mark {
        match reply.class() {
            2 => {
                self.after = Some(Action::StartTls);
                self.state = State::Handshake;
            }
            4 | 5 => self.state = self.starttls_refused(reply),
            _ => {
                self.state = State::StartTlsSent;
                return Mark::Unexpected;
            }
        }
        Mark::Plain
    }

    /// RFC 3207 section 4: the client decides whether to go on in the clear.
    pub(super) fn starttls_refused(&mut self, reply: &Reply) -> State {
        if self.config.starttls == StartTls::Offered {
            return self.secured();
        }
        let words = Printable::bounded(reply.on_one_line(), 200);
        let why = format!("the server refuses STARTTLS, and TLS is required: {words}");
        State::Quit(Fault::Tls { why, required: true })
    }

    /// TLS stands: as if the connection had just been greeted (RFC 3207 section 4.2).
    pub fn tls_started(&mut self, now: Time) {
        debug_assert!(matches!(self.state, State::Handshake), "TLS that nobody asked for");
        self.tls = true;
        self.extensions = Extensions::default();
        self.parser = Default::default();
        self.after = None;
        self.state = State::Hello(Hello::Ehlo);
        self.arm(now);
    }

    /// There is no TLS, for this reason in a few words. Where it was only an opportunity a new
    /// connection may do without it; on this one nothing can be said any more.
    pub fn tls_failed(&mut self, why: &str) {
        let required = self.tls || self.config.starttls == StartTls::Required;
        self.lose(Fault::Tls { why: why.into(), required });
    }

    /// The server wants TLS before any greeting. Called when the caller found that out.
    pub fn tls_at_once(&mut self) {
        let why = "the server speaks TLS at once: next_server.tls must be implicit for it";
        self.lose(Fault::Tls { why: why.into(), required: true });
    }

    /// Octets in the clear where TLS is to begin.
    pub(super) fn injected(&mut self) {
        let why = "octets in the clear behind the answer to STARTTLS, from it or from somebody in \
                   between; only tls = implicit leaves no room for that";
        self.protocol(why.into());
    }
}
