//! `export`: a session, or what is known of a message, as a file of the asker's.

use super::find::{Found, Then, unknown_session};
use super::messages::unknown_message;
use super::{Answer, Job, Refusal};
use crate::base::{Leg, MessageId};
use crate::control::{Form, Recorded};
use crate::journal::{Conversation, Kept, Subject};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::record::{self, Body, KeptContent};
use crate::spool::Disk;

/// Octets of a message that an export holds as they were: it is made in memory.
const MAX_CONTENT: u64 = 4 << 20;

impl<N: Net, D: Disk> Reactor<N, D> {
    /// `export ID FORM FILE`
    pub(super) fn export(
        &mut self,
        what: Recorded,
        form: Form,
        file: String,
    ) -> Result<Answer, Refusal> {
        match (form, what) {
            (Form::Eml, Recorded::Message(counter)) => self.export_content(counter, file),
            (Form::Eml, Recorded::Session(_)) => {
                Err(Refusal::new("only a message is exported as eml: export q1A eml FILE"))
            }
            // The whole session that brought the message is a dialog test, not a part of it.
            _ => self.find(what, Then::Export(what, form, file)),
        }
    }

    /// The message's octets, as they are in the spool.
    fn export_content(&mut self, counter: u64, file: String) -> Result<Answer, Refusal> {
        let id = self.core.queue.id_of(counter).ok_or_else(|| unknown_message(counter))?;
        self.core.spool.check(id).map_err(|e| Refusal::new(e.to_string()))?;
        let size = self.core.spool.size(id).unwrap_or(0);
        Ok(Answer::Job(Job::hand_content(file, id, size)))
    }

    /// Writes what was found.
    pub(super) fn write_export(
        &mut self,
        what: Recorded,
        form: Form,
        file: String,
        found: Found,
    ) -> Result<Answer, Refusal> {
        let (of, message) = match what {
            Recorded::Session(id) => (id.to_string(), None),
            Recorded::Message(counter) => (format!("q{counter:X}"), Some(counter)),
        };
        if found.own.is_none() && found.parts.is_empty() {
            return Err(match what {
                Recorded::Session(id) => unknown_session(id),
                Recorded::Message(_) => {
                    Refusal::new(format!("nothing is known of {of}, or not any more"))
                }
            });
        }
        let now = self.now.wall;
        Ok(Answer::Job(match form {
            Form::Text => Job::hand(file, record::text(&of, &found.all(), now)),
            Form::Json => {
                let all = found.all();
                let contents = self.contents_of(&all);
                Job::hand(file, record::json(&of, &all, &contents, now))
            }
            Form::Dialog => Job::hand(file, dialog_of(&found)?),
            Form::Pcap => {
                let content = self.content_of(message);
                let body = Body { known: content.as_deref() };
                let (octets, remarks) = record::pcap(&found.all(), body);
                Job::hand_with(file, octets, remarks)
            }
            // Handed over without looking for anything.
            Form::Eml => return Err(Refusal::new("only a message is exported as eml")),
        }))
    }

    /// The contents of the messages that these sessions brought, as far as they are in the spool
    /// and there is room for them.
    fn contents_of(&mut self, all: &[Conversation]) -> Vec<KeptContent> {
        let lines = all.iter().flat_map(|conversation| &conversation.lines);
        let accepted = lines.filter(|line| line.subject == Subject::Accepted);
        let id = |line: &Kept| {
            let text = std::str::from_utf8(&line.text).ok()?;
            MessageId::parse_short(text.split_once(' ')?.0)
        };
        let mut counters: Vec<u64> = accepted.filter_map(id).collect();
        counters.sort_unstable();
        counters.dedup();
        let mut room = MAX_CONTENT;
        let mut contents = Vec::new();
        for counter in counters {
            let octets = self.content_of(Some(counter)).filter(|all| all.len() as u64 <= room);
            let Some(octets) = octets else { continue };
            room -= octets.len() as u64;
            contents.push(KeptContent { message: format!("q{counter:X}"), octets });
        }
        contents
    }

    /// The content of a message that is in the spool, if it is short enough to be held in memory.
    fn content_of(&mut self, message: Option<u64>) -> Option<Vec<u8>> {
        let id = self.core.queue.id_of(message?)?;
        let size = self.core.spool.size(id).filter(|size| *size <= MAX_CONTENT)?;
        let content = self.start_of(id, MAX_CONTENT as usize);
        (content.len() as u64 == size).then_some(content)
    }
}

/// The inbound session as a dialog test.
fn dialog_of(found: &Found) -> Result<Vec<u8>, Refusal> {
    let inbound = |session: &&Conversation| session.id.leg == Leg::In;
    let session =
        found.own.iter().chain(&found.parts).find(inbound).ok_or_else(|| {
            Refusal::new("a dialog test is made of an inbound session, such as i7")
        })?;
    record::dialog(session).map_err(Refusal::new)
}
