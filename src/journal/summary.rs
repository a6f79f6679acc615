//! Sessions that ended, as their entries tell of them: for lists that go farther back than the
//! journal's memory.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::conversation::opened;
use super::dialogue::{Dialogue, Verb};
use super::{Entry, SessionRecord, Sign, Subject};
use crate::base::{SessionId, Time, Wall};

/// Sessions that are remembered at once.
const MAX_SESSIONS: usize = 200_000;

/// A session that ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndedSession {
    /// Which.
    pub id: SessionId,
    /// The other end.
    pub peer: Option<SocketAddr>,
    /// Outbound: the next server's name.
    pub next: Option<String>,
    /// When it began, if that is known.
    pub opened: Option<Wall>,
    /// When it ended.
    pub closed: Wall,
    /// Why.
    pub why: String,
    /// Transactions: MAIL commands that got 2xx.
    pub transactions: u64,
    /// Octets of message content.
    pub octets: u64,
}

impl EndedSession {
    /// Of what the journal remembers; none when it goes on.
    pub fn of(id: SessionId, record: &SessionRecord) -> Option<EndedSession> {
        let (closed, why) = record.closed.as_ref()?;
        Some(EndedSession {
            id,
            peer: record.peer,
            next: record.next.as_deref().map(str::to_owned),
            opened: Some(record.opened),
            closed: *closed,
            why: why.to_string(),
            transactions: record.transactions,
            octets: record.octets,
        })
    }
}

/// A session under way.
struct Track {
    session: EndedSession,
    dialogue: Dialogue,
}

/// Makes ended sessions of entries.
#[derive(Default)]
pub struct Summaries {
    open: HashMap<SessionId, Track>,
    ended: Vec<EndedSession>,
}

impl Summaries {
    /// Hears an entry, in the order of time.
    pub fn hear(&mut self, entry: &Entry<'_>, from: Wall) {
        let Some(id) = entry.session else { return };
        if !self.open.contains_key(&id) && self.open.len() >= MAX_SESSIONS {
            return;
        }
        let time = Time::from_micros(entry.line.at.as_micros().max(0) as u64);
        let begins = entry.subject == Subject::Opened;
        let track = self.open.entry(id).or_insert_with(|| Track {
            session: EndedSession {
                id,
                peer: None,
                next: None,
                opened: None,
                closed: Wall::default(),
                why: String::new(),
                transactions: 0,
                octets: 0,
            },
            dialogue: if begins { Dialogue::new(time) } else { Dialogue::in_the_middle(time) },
        });
        let session = &mut track.session;
        match entry.subject {
            Subject::Opened => {
                (session.next, session.peer) = opened(entry.line.text);
                session.opened = Some(entry.line.at);
            }
            Subject::Line => {
                let Sign::Said { side, .. } = entry.line.sign else { return };
                let answer = track.dialogue.line(side, entry.line.text, time).answer;
                let began = answer.is_some_and(|a| a.verb == Verb::Mail && a.code / 100 == 2);
                session.transactions += u64::from(began);
            }
            Subject::Content => session.octets += octets_of(entry.line.text),
            Subject::Closed => {
                let words = String::from_utf8_lossy(entry.line.text);
                session.why = words.strip_prefix("closed: ").unwrap_or(&words).to_owned();
                session.closed = entry.line.at;
                if let Some(track) = self.open.remove(&id) {
                    if entry.line.at >= from && self.ended.len() < MAX_SESSIONS {
                        self.ended.push(track.session);
                    }
                }
            }
            _ => {}
        }
    }

    /// Those that ended, the last to end first.
    pub fn ended(mut self) -> Vec<EndedSession> {
        self.ended.sort_by_key(|session| std::cmp::Reverse((session.closed, session.id)));
        self.ended
    }
}

/// The number in `q1A [123 octets of content]`.
pub(super) fn octets_of(text: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(text);
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(' '));
    inside.and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::journal::{Line, Mark, Side};

    #[test]
    fn sessions_are_summed_up_from_their_entries() {
        let mut summaries = Summaries::default();
        let said = |side| Sign::Said { side, tls: false };
        let script: [(&str, Sign, Subject, &str); 12] = [
            ("o2", Sign::Event, Subject::Content, "q1 [7 octets of content]"),
            ("i7", Sign::Event, Subject::Opened, "connected from 192.0.2.7:4711"),
            ("i7", said(Side::Server), Subject::Line, "220 hi"),
            ("i7", said(Side::Client), Subject::Line, "MAIL FROM:<>"),
            ("i7", said(Side::Server), Subject::Line, "250 ok"),
            ("i7", said(Side::Client), Subject::Line, "MAIL FROM:<>"),
            ("i7", said(Side::Server), Subject::Line, "503 no"),
            ("i7", Sign::Event, Subject::Content, "[123 octets of content]"),
            ("i7", Sign::Event, Subject::Closed, "closed: quit"),
            ("i7", Sign::Event, Subject::Accepted, "q1 accepted"),
            ("o2", Sign::Event, Subject::Closed, "closed: idle"),
            ("i9", Sign::Event, Subject::Opened, "connected from 192.0.2.7:4712"),
        ];
        for (at, (id, sign, subject, text)) in (1..).zip(script) {
            let line = Line {
                at: Wall::from_micros(at),
                delay: Duration::ZERO,
                sign,
                mark: Mark::Plain,
                text: text.as_bytes(),
                cut: false,
            };
            let entry = Entry { session: id.parse().ok(), subject, line };
            summaries.hear(&entry, Wall::from_micros(5));
        }
        let ended = summaries.ended();
        let shown: Vec<_> = ended
            .iter()
            .map(|s| (s.id.to_string(), s.opened.is_some(), s.transactions, s.octets, &s.why[..]))
            .collect();
        assert_eq!(
            shown,
            [("o2".to_owned(), false, 0, 7, "idle"), ("i7".to_owned(), true, 1, 123, "quit")]
        );
        assert_eq!(ended[1].peer, "192.0.2.7:4711".parse().ok());
    }
}
