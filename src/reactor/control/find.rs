//! Finding what was said in a session or about a message, and what is done with it then.

use super::explain::in_session;
use super::sessions::session_report;
use super::{Answer, Refusal};
use crate::base::{Leg, SessionId};
use crate::control::{Form, Recorded, SessionView};
use crate::journal::{Conversation, attempts};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::spool::Disk;

/// Messages of one session whose ways are followed.
const MAX_MESSAGES: usize = 100;

/// What is done with what was found.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// `session ID VIEW`
    Session(SessionId, SessionView),
    /// `explain ID[:LINE]`
    Explain(SessionId, Option<usize>),
    /// `show QID attempts`
    Attempts(u64),
    /// `export ID FORM FILE`
    Export(Recorded, Form, String),
}

impl Then {
    /// Whether it is about what became of a session's messages, too.
    fn follows_messages(&self) -> bool {
        matches!(
            self,
            Then::Session(_, SessionView::Ladder)
                | Then::Export(_, Form::Text | Form::Json | Form::Pcap, _)
        )
    }
}

/// What was found.
#[derive(Default, Debug)]
pub(super) struct Found {
    /// The session that was looked for.
    pub own: Option<Conversation>,
    /// What other sessions said about its messages, or all about the message that was looked for.
    pub parts: Vec<Conversation>,
}

impl Found {
    /// All of it, in the order of time.
    pub fn all(self) -> Vec<Conversation> {
        self.own.into_iter().chain(self.parts).collect()
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Looks for what was recorded, and goes on with it.
    pub(super) fn find(&mut self, what: Recorded, then: Then) -> Result<Answer, Refusal> {
        let found = match what {
            Recorded::Message(counter) => {
                let messages = [format!("q{counter:X}")];
                let sessions = self.core.journal.conversations_about(&messages);
                Found { own: None, parts: attempts(&sessions, &messages) }
            }
            Recorded::Session(id) => {
                let own = self.core.journal.conversation(id);
                let mut parts = Vec::new();
                if let Some(own) = own.as_ref().filter(|own| own.id.leg == Leg::In) {
                    if then.follows_messages() {
                        parts = self.carried(own);
                    }
                }
                Found { own, parts }
            }
        };
        self.found(then, found)
    }

    /// What sessions with next servers said about the messages of an inbound one.
    fn carried(&self, own: &Conversation) -> Vec<Conversation> {
        let mut messages = own.messages();
        messages.truncate(MAX_MESSAGES);
        let mut sessions = self.core.journal.conversations_about(&messages);
        sessions.retain(|session| session.id.leg == Leg::Out);
        attempts(&sessions, &messages)
    }

    /// Goes on with what was found.
    pub(super) fn found(&mut self, then: Then, found: Found) -> Result<Answer, Refusal> {
        Ok(match then {
            Then::Session(id, view) => {
                let own = found.own.as_ref().ok_or_else(|| unknown_session(id))?;
                session_report(own, &found.parts, view).into()
            }
            Then::Explain(id, line) => in_session(id, line, found.own.as_ref())?.into(),
            Then::Attempts(counter) => self.show_attempts(counter, &found.parts)?.into(),
            Then::Export(what, form, file) => self.write_export(what, form, file, found)?,
        })
    }
}

pub(super) fn unknown_session(id: SessionId) -> Refusal {
    Refusal::new(format!("session {id} is not known, or not any more"))
}
