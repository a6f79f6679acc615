//! Finding what was said in a session or about a message, and what is done with it then.
//!
//! ```text
//!   a session:  memory ──not all of it──▶ Own ──▶ its messages ──▶ Sessions ──▶ Parts
//!   a message:                                                      Sessions ──▶ Parts
//! ```
//!
//! Each stage reads through the past once, a slice a tick: which sessions speak of the messages,
//! then what these sessions said.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::explain::in_session;
use super::sessions::session_report;
use super::{Answer, Job, Refusal};
use crate::base::{Leg, SessionId};
use crate::control::{Follow, Form, Recorded, SessionView};
use crate::journal::{Conversation, Entry, Kept, Subject, attempts};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::reactor::past::{Past, Since};
use crate::spool::Disk;

/// Messages of one session whose ways are followed.
const MAX_MESSAGES: usize = 100;
/// Sessions that may have spoken of them.
const MAX_SESSIONS: usize = 1000;
/// Octets of what they said; what is beyond is not shown.
const MAX_OCTETS: usize = 32 << 20;
/// Slices that are looked at behind the end of a session: its last word may come after it.
const BEHIND: u32 = 2;

/// What is done with what was found.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// `session ID VIEW`
    Session(SessionId, SessionView),
    /// `explain ID[:LINE]`
    Explain(SessionId, Option<usize>),
    /// `show QID attempts`
    Attempts(u64),
    /// `follow ID|QID`
    Follow(Follow),
    /// `export ID FORM FILE`
    Export(Recorded, Form, String),
    /// `report FILE QID`
    Report(String, u64),
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

    /// Whether parts of sessions will not do.
    fn wants_whole_sessions(&self) -> bool {
        matches!(self, Then::Export(_, Form::Dialog, _))
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

/// A search under way.
pub struct Finding {
    then: Then,
    found: Found,
    stage: Stage,
}

enum Stage {
    /// Reads a session.
    Own {
        past: Past,
        read: Conversation,
        octets: usize,
        /// Slices since it was closed.
        closed: Option<u32>,
    },
    /// Looks which sessions speak of the messages.
    Sessions { past: Past, messages: Vec<String>, ids: BTreeSet<SessionId> },
    /// Reads those.
    Parts {
        past: Past,
        messages: Vec<String>,
        sessions: BTreeMap<SessionId, Conversation>,
        octets: usize,
    },
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Looks for what was recorded, and goes on with it.
    pub(super) fn find(&mut self, what: Recorded, then: Then) -> Result<Answer, Refusal> {
        let mut found = Found::default();
        let stage = match what {
            Recorded::Message(counter) => {
                let since = match self.core.queue.id_of(counter) {
                    // Its session may have begun long before.
                    Some(id) => Since::At(crate::base::Wall::from_secs(id.arrived.into())),
                    None => Since::All,
                };
                self.look_for(vec![format!("q{counter:X}")], since)
            }
            Recorded::Session(id) => {
                let known = self.core.journal.conversation(id);
                match known.filter(|known| known.complete || !self.core.history.is_on()) {
                    Some(own) => {
                        let next = self.look_for_messages_of(&own, &then);
                        found.own = Some(own);
                        match next {
                            Some(stage) => stage,
                            None => return self.found(then, found),
                        }
                    }
                    None => Stage::Own {
                        past: self.look_back(Since::Sessions(&[id])),
                        read: Conversation::new(id),
                        octets: 0,
                        closed: None,
                    },
                }
            }
        };
        Ok(Answer::Job(Job::Find(Box::new(Finding { then, found, stage }))))
    }

    fn look_for(&mut self, messages: Vec<String>, since: Since<'_>) -> Stage {
        Stage::Sessions { past: self.look_back(since), messages, ids: BTreeSet::new() }
    }

    /// What became of the messages of a session, if that matters.
    fn look_for_messages_of(&mut self, own: &Conversation, then: &Then) -> Option<Stage> {
        if own.id.leg == Leg::Out || !then.follows_messages() {
            return None;
        }
        let mut messages = own.messages();
        messages.truncate(MAX_MESSAGES);
        let began = own.lines.first().filter(|_| !messages.is_empty())?.at;
        Some(self.look_for(messages, Since::At(began)))
    }

    /// Does a slice; the answer when all is found.
    pub(super) fn find_slice(&mut self, finding: &mut Finding) -> Result<Option<Answer>, Refusal> {
        let next = match &mut finding.stage {
            Stage::Own { past, read, octets, closed } => {
                let id = read.id;
                let more = self.core.look(past, |entry| {
                    if entry.session == Some(id) {
                        keep(read, &entry, octets);
                        if entry.subject == Subject::Closed {
                            *closed = Some(0);
                        }
                    }
                });
                let behind = closed.as_mut().is_some_and(|slices| {
                    *slices += 1;
                    *slices > BEHIND
                });
                if more && !behind {
                    return Ok(None);
                }
                let own = std::mem::replace(read, Conversation::new(id));
                // What the memory has of one that is not on disk.
                let own = match own.lines.is_empty() {
                    true => self.core.journal.conversation(id),
                    false => Some(own),
                };
                let next =
                    own.as_ref().and_then(|own| self.look_for_messages_of(own, &finding.then));
                finding.found.own = own;
                next
            }
            Stage::Sessions { past, messages, ids } => {
                let wanted: HashSet<&str> = messages.iter().map(String::as_str).collect();
                // Beside a session that was found, it is the others that are wanted.
                let leg = finding.found.own.as_ref().map(|_| Leg::Out);
                let more = self.core.look(past, |entry| {
                    let Some(id) = entry.session else { return };
                    if leg.is_none_or(|leg| leg == id.leg)
                        && entry.message().is_some_and(|message| wanted.contains(message))
                        && ids.len() < MAX_SESSIONS
                    {
                        ids.insert(id);
                    }
                });
                if more {
                    return Ok(None);
                }
                let all: Vec<SessionId> = ids.iter().copied().collect();
                let messages = std::mem::take(messages);
                (!all.is_empty()).then(|| Stage::Parts {
                    past: self.look_back(Since::Sessions(&all)),
                    messages,
                    sessions: all.iter().map(|id| (*id, Conversation::new(*id))).collect(),
                    octets: 0,
                })
            }
            Stage::Parts { past, messages, sessions, octets } => {
                let more = self.core.look(past, |entry| {
                    let session = entry.session.and_then(|id| sessions.get_mut(&id));
                    if let Some(session) = session {
                        keep(session, &entry, octets);
                    }
                });
                if more {
                    return Ok(None);
                }
                let all: Vec<Conversation> = std::mem::take(sessions).into_values().collect();
                finding.found.parts = match finding.then.wants_whole_sessions() {
                    true => all,
                    false => attempts(&all, messages),
                };
                None
            }
        };
        match next {
            Some(stage) => {
                finding.stage = stage;
                Ok(None)
            }
            None => {
                let found = std::mem::take(&mut finding.found);
                self.found(finding.then.clone(), found).map(Some)
            }
        }
    }

    /// Goes on with what was found.
    pub(super) fn found(&mut self, then: Then, found: Found) -> Result<Answer, Refusal> {
        Ok(match then {
            Then::Session(id, view) => {
                let own = found.own.as_ref().ok_or_else(|| unknown_session(id))?;
                session_report(own, &found.parts, view).into()
            }
            Then::Explain(id, line) => in_session(id, line, found.own.as_ref())?.into(),
            Then::Follow(what) => {
                Answer::Job(Job::follow_after(found.all(), what, &mut self.core.journal))
            }
            Then::Attempts(counter) => self.show_attempts(counter, &found.parts)?.into(),
            Then::Report(file, counter) => self.report_message(file, counter, &found.parts)?,
            Then::Export(what, form, file) => self.write_export(what, form, file, found)?,
        })
    }
}

/// Keeps an entry while there is room.
fn keep(to: &mut Conversation, entry: &Entry<'_>, octets: &mut usize) {
    *octets += size_of::<Kept>() + entry.line.text.len();
    if *octets <= MAX_OCTETS {
        to.push(Kept::new(entry));
    } else {
        to.complete = false;
    }
}

pub(super) fn unknown_session(id: SessionId) -> Refusal {
    Refusal::new(format!("session {id} is not known, or not any more"))
}
