//! Notes on live lines, while somebody has asked for them (`annotate on`).
//!
//! Each session has one commentator, whoever listens, that hears every line: also those that the
//! feed leaves out under load, or the next note would be about another session than the reader's.
//! When notes are turned on in the middle of a session, its commentator first hears what the
//! transcript has of it.

use std::collections::HashMap;

use crate::base::{Printable, SessionId};
use crate::explain::Commentator;
use crate::journal::{Event, Journal, Sign, What, render, sign_of};

/// Sessions that have notes at once; the lines of more have none.
const MAX_SESSIONS: usize = 4096;
/// Lines of a transcript that a commentator is made to hear; after more it begins in the middle.
const MAX_EARLIER: usize = 2000;

/// The commentators.
#[derive(Default)]
pub struct Notes {
    /// Those who have asked for notes.
    readers: u32,
    sessions: HashMap<SessionId, Commentator>,
}

impl Notes {
    /// One more wants notes.
    pub fn subscribe(&mut self) {
        self.readers += 1;
    }

    /// One less. Without any, nothing is remembered.
    pub fn unsubscribe(&mut self) {
        self.readers = self.readers.saturating_sub(1);
        if self.readers == 0 {
            self.sessions = HashMap::new();
        }
    }

    /// What is to be said of an event; to be called before it is in the journal.
    pub fn hear(&mut self, event: &Event<'_>, journal: &Journal) -> Option<Printable> {
        if self.readers == 0 {
            return None;
        }
        let id = event.session?;
        match event.what {
            What::Closed { .. } => {
                self.sessions.remove(&id);
                None
            }
            What::Line { text, .. } => self.annotation(id, sign_of(&event.what).0, text, journal),
            What::Content { .. } => {
                self.annotation(id, Sign::Event, &render::octets(&event.what), journal)
            }
            // What happens beside the dialogue says what it is in its own words.
            _ => None,
        }
    }

    fn annotation(
        &mut self,
        id: SessionId,
        sign: Sign,
        text: &[u8],
        journal: &Journal,
    ) -> Option<Printable> {
        if !self.sessions.contains_key(&id) {
            if self.sessions.len() >= MAX_SESSIONS {
                return None;
            }
            self.sessions.insert(id, commentator(id, journal));
        }
        let comment = self.sessions.get_mut(&id)?.hear(sign, text);
        Some(Printable::from_shown(comment.annotation()))
    }
}

/// For a session that may have begun long ago.
fn commentator(id: SessionId, journal: &Journal) -> Commentator {
    match journal.transcript(id) {
        Some((lines, false)) if lines.len() <= MAX_EARLIER => {
            let mut commentator = Commentator::new(id.leg);
            for line in &lines {
                commentator.hear(line.sign, line.text);
            }
            commentator
        }
        _ => Commentator::in_the_middle(id.leg),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Now;
    use crate::journal::{JournalConfig, Mark, Side};

    struct Scene {
        notes: Notes,
        journal: Journal,
    }

    impl Scene {
        fn new() -> Scene {
            let journal = Journal::new(JournalConfig::default(), Now::default());
            Scene { notes: Notes::default(), journal }
        }

        fn hear(&mut self, session: &str, what: What<'_>) -> Option<String> {
            let session = session.parse().ok();
            let event = Event { now: Now::default(), session, message: None, what };
            let note = self.notes.hear(&event, &self.journal);
            self.journal.note(&event);
            note.map(Printable::into_string)
        }

        fn line(&mut self, session: &str, line: &str) -> Option<String> {
            let (side, text) = line.split_at(2);
            let side = if side == "C:" { Side::Client } else { Side::Server };
            let text = text.as_bytes();
            self.hear(session, What::Line { side, tls: false, text, mark: Mark::Plain })
        }
    }

    #[test]
    fn nobody_asked_and_nothing_is_said() {
        let mut scene = Scene::new();
        let peer = "192.0.2.7:4711".parse().unwrap();
        scene.hear("i1", What::Opened { peer, next: None });
        assert_eq!(scene.line("i1", "S:220 mx"), None);
        assert!(scene.notes.sessions.is_empty());
    }

    #[test]
    fn notes_come_in_the_middle_and_go_with_the_session() {
        let mut scene = Scene::new();
        let peer = "192.0.2.7:4711".parse().unwrap();
        scene.hear("i1", What::Opened { peer, next: None });
        scene.line("i1", "S:220 mx");
        scene.notes.subscribe();
        // What was said before is known: without EHLO there is no transaction.
        let note = scene.line("i1", "C:RCPT TO:<a@example.org>").unwrap();
        assert!(note.starts_with("** RCPT before "), "{note}");
        // A session of which nothing is known blames nobody.
        assert!(!scene.line("i2", "C:RCPT TO:<a@example.org>").unwrap().starts_with("**"));
        let content = What::Content { side: Side::Client, octets: 5 };
        let note = scene.hear("i1", content).unwrap();
        assert_eq!(note, "content: 5 octets of the message");
        assert_eq!(scene.hear("i1", What::Remark("held")), None);
        scene.hear("i1", What::Closed { why: "quit" });
        assert_eq!(scene.notes.sessions.len(), 1);
        scene.notes.unsubscribe();
        assert!(scene.notes.sessions.is_empty() && scene.line("i2", "C:QUIT").is_none());
    }

    #[test]
    fn more_sessions_than_that_have_none() {
        let mut scene = Scene::new();
        scene.notes.subscribe();
        for number in 1..=MAX_SESSIONS {
            assert!(scene.line(&format!("i{number}"), "C:NOOP").is_some());
        }
        assert_eq!(scene.line("i9999", "C:NOOP"), None);
        assert_eq!(scene.notes.sessions.len(), MAX_SESSIONS);
        assert!(scene.line("i1", "C:NOOP").is_some());
    }
}
