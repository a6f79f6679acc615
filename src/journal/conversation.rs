//! What is known of a session, or of its part that is about one message, in a form of its own: to
//! be shown, exported, compared, when the ring has long forgotten it.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Entry, Journal, Line, Mark, Sign, Subject};
use crate::base::{SessionId, Wall};

/// An entry that is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// When it passed.
    pub at: Wall,
    /// Since the line before it in its session.
    pub delay: Duration,
    /// Who said it.
    pub sign: Sign,
    /// As it should be?
    pub mark: Mark,
    /// What kind of event it is.
    pub subject: Subject,
    /// Octets as they came.
    pub text: Vec<u8>,
    /// There was more.
    pub cut: bool,
}

impl Kept {
    /// Keeps an entry.
    pub fn new(entry: &Entry<'_>) -> Kept {
        let Line { at, delay, sign, mark, text, cut } = entry.line;
        Kept { at, delay, sign, mark, subject: entry.subject, text: text.to_vec(), cut }
    }

    /// As a line of a transcript.
    pub fn line(&self) -> Line<'_> {
        let Kept { at, delay, sign, mark, .. } = *self;
        Line { at, delay, sign, mark, text: &self.text, cut: self.cut }
    }

    /// With its session.
    pub fn entry(&self, session: SessionId) -> Entry<'_> {
        Entry { session: Some(session), subject: self.subject, line: self.line() }
    }
}

/// A session, or a part of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conversation {
    /// Of which session.
    pub id: SessionId,
    /// The other end; none when the beginning is not known.
    pub peer: Option<SocketAddr>,
    /// Outbound: the next server's name.
    pub next: Option<String>,
    /// What was agreed on, when it is inside TLS: `TLS 1.3, …`.
    pub tls: Option<Vec<u8>>,
    /// All of it is here, from the first line on.
    pub complete: bool,
    /// The oldest first.
    pub lines: Vec<Kept>,
}

impl Conversation {
    /// A session with nothing said in it.
    pub fn new(id: SessionId) -> Conversation {
        let (peer, next, tls) = (None, None, None);
        Conversation { id, peer, next, tls, complete: false, lines: Vec::new() }
    }

    /// Adds a line, and learns from it.
    pub fn push(&mut self, line: Kept) {
        match line.subject {
            Subject::Opened => {
                (self.next, self.peer) = opened(&line.text);
                self.complete = self.lines.is_empty();
            }
            Subject::Remark if tells_tls(&line.text) => self.tls = Some(line.text.clone()),
            _ => {}
        }
        self.lines.push(line);
    }

    /// Its lines as those of a transcript.
    pub fn transcript(&self) -> Vec<Line<'_>> {
        self.lines.iter().map(Kept::line).collect()
    }

    /// Its lines as entries.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.lines.iter().map(|line| line.entry(self.id))
    }

    /// The messages that it is about, each once, in their order: `q1A`.
    pub fn messages(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for id in self.entries().filter_map(|entry| entry.message()) {
            if found.last().is_none_or(|last| last != id) && !found.iter().any(|old| old == id) {
                found.push(id.to_owned());
            }
        }
        found
    }

    /// Its parts about a message, one for each time that it was carried (or brought): from the end
    /// of the message before up to the last word about this one. The first part of a session
    /// begins with the session; an attempt that was cut off ends with the session.
    pub fn parts_about(&self, message: &str) -> Vec<Conversation> {
        let all: Vec<Entry<'_>> = self.entries().collect();
        let named = |i: &usize| all[*i].message().is_some();
        let mut parts = Vec::new();
        let mut start = 0;
        while let Some(first) = (start..all.len()).find(named) {
            let id = all[first].message();
            let mut end = first + 1;
            let mut settled = all[first].subject != Subject::Attempt;
            while let Some(next) = (end..all.len()).find(named) {
                if all[next].message() != id || all[next].subject == Subject::Attempt {
                    break;
                }
                settled |= all[next].subject == Subject::Outcome;
                end = next + 1;
            }
            if !settled {
                end = (end..all.len()).find(named).unwrap_or(all.len());
            }
            if all[end - 1].subject == Subject::Accepted {
                end += replies(&all[end..]);
            }
            if id == Some(message) {
                parts.push(self.part(start, end));
            }
            start = end;
        }
        parts
    }

    fn part(&self, start: usize, end: usize) -> Conversation {
        Conversation {
            id: self.id,
            peer: self.peer,
            next: self.next.clone(),
            tls: self.tls.clone(),
            complete: self.complete || start > 0,
            lines: self.lines[start..end].to_vec(),
        }
    }
}

/// How many lines at the front are the server's.
fn replies(entries: &[Entry<'_>]) -> usize {
    let said = |entry: &&Entry<'_>| {
        matches!(entry.line.sign, Sign::Said { side: super::Side::Server, .. })
    };
    let ends = |entry: &Entry<'_>| entry.line.text.get(3) != Some(&b'-');
    let lines = entries.iter().take_while(said).count();
    entries[..lines].iter().position(ends).map_or(lines, |last| last + 1)
}

/// The next server's name and the other end, of the words about a connection.
pub(super) fn opened(text: &[u8]) -> (Option<String>, Option<SocketAddr>) {
    let text = String::from_utf8_lossy(text);
    if let Some(peer) = text.strip_prefix("connected from ") {
        return (None, peer.parse().ok());
    }
    let named = text.strip_prefix("connected to ").and_then(|rest| rest.strip_suffix(')'));
    match named.and_then(|named| named.rsplit_once(" (")) {
        Some((next, peer)) => (Some(next.to_owned()), peer.parse().ok()),
        None => (None, None),
    }
}

/// Of all these sessions the parts about these messages, in the order of time.
pub fn attempts(all: &[Conversation], messages: &[String]) -> Vec<Conversation> {
    let parts = |message| all.iter().flat_map(move |session| session.parts_about(message));
    let mut parts: Vec<Conversation> = messages.iter().flat_map(|message| parts(message)).collect();
    parts.sort_by_key(|part| (part.lines.first().map(|line| line.at), part.id));
    parts
}

impl Journal {
    /// A session as far as the memory has it; none when that does not know it.
    pub fn conversation(&self, id: SessionId) -> Option<Conversation> {
        let record = self.sessions().get(id)?;
        let (entries, forgotten) = self.entries(id)?;
        let mut conversation = Conversation::new(id);
        entries.iter().for_each(|entry| conversation.push(Kept::new(entry)));
        conversation.peer = record.peer;
        conversation.next = record.next.as_deref().map(str::to_owned);
        conversation.complete = !forgotten && record.peer.is_some();
        Some(conversation)
    }
}

/// Whether a remark tells on what a TLS handshake agreed: `TLS 1.3, TLS13_AES_256_GCM_SHA384, …`.
pub fn tells_tls(remark: &[u8]) -> bool {
    remark.starts_with(b"TLS 1.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Side;

    /// A session of these lines: `>` and `<` said, a letter for other subjects.
    fn session(id: &str, script: &[&str]) -> Conversation {
        let mut conversation = Conversation::new(id.parse().unwrap());
        for (i, line) in script.iter().enumerate() {
            let (kind, text) = line.split_at(1);
            let said = |side| (Sign::Said { side, tls: false }, Subject::Line);
            let (sign, subject) = match kind {
                ">" => said(Side::Client),
                "<" => said(Side::Server),
                "a" => (Sign::Event, Subject::Attempt),
                "o" => (Sign::Event, Subject::Outcome),
                "+" => (Sign::Event, Subject::Accepted),
                "c" => (Sign::Event, Subject::Content),
                "(" => (Sign::Event, Subject::Opened),
                ")" => (Sign::Event, Subject::Closed),
                _ => (Sign::Event, Subject::Remark),
            };
            conversation.push(Kept {
                at: Wall::from_micros(i as i64),
                delay: Duration::ZERO,
                sign,
                mark: Mark::Plain,
                subject,
                text: text.as_bytes().to_vec(),
                cut: false,
            });
        }
        conversation
    }

    fn shown(parts: &[Conversation]) -> Vec<String> {
        let text = |line: &Kept| String::from_utf8(line.text.clone()).unwrap();
        parts.iter().map(|p| p.lines.iter().map(text).collect::<Vec<_>>().join("|")).collect()
    }

    #[test]
    fn an_outbound_session_is_cut_into_attempts() {
        let session = session(
            "o3",
            &[
                "(connected to smart (192.0.2.1:25)",
                "<220 hi",
                "=TLS 1.3, AES, asked for x",
                "aq1 attempt",
                ">MAIL 1",
                "cq1 [5 octets]",
                "<250 ok",
                "oq1 delivered",
                "aq2 attempt",
                ">MAIL 2",
                "<451 no",
                "oq2 deferred",
                "aq2 attempt",
                ">MAIL 3",
                ")closed: lost",
            ],
        );
        assert_eq!(session.messages(), ["q1", "q2"]);
        assert_eq!(session.next.as_deref(), Some("smart"));
        assert_eq!(session.peer, "192.0.2.1:25".parse().ok());
        assert_eq!(session.tls.as_deref(), Some(&b"TLS 1.3, AES, asked for x"[..]));
        let first = shown(&session.parts_about("q1"));
        assert_eq!(first.len(), 1);
        assert!(first[0].starts_with("connected to") && first[0].ends_with("q1 delivered"));
        assert_eq!(
            shown(&session.parts_about("q2")),
            ["q2 attempt|MAIL 2|451 no|q2 deferred", "q2 attempt|MAIL 3|closed: lost"]
        );
        assert!(session.parts_about("q3").is_empty());
    }

    #[test]
    fn an_inbound_session_is_cut_behind_the_reply_that_accepts() {
        let session = session(
            "i7",
            &[
                "(connected from [::1]:4711",
                ">MAIL a",
                "+q1 accepted",
                "<250-2.0.0 Ok:",
                "<250 2.0.0 queued",
                "<250 2.0.0 of a NOOP",
                ">MAIL b",
                "+q2 accepted",
                "<250 queued",
                ">QUIT",
            ],
        );
        assert!(session.complete && session.peer == "[::1]:4711".parse().ok());
        let first = shown(&session.parts_about("q1"));
        assert!(first[0].ends_with("250-2.0.0 Ok:|250 2.0.0 queued"), "{first:?}");
        let second = shown(&session.parts_about("q2"));
        assert_eq!(second, ["250 2.0.0 of a NOOP|MAIL b|q2 accepted|250 queued"]);
        let all = attempts(std::slice::from_ref(&session), &["q2".to_owned()]);
        assert_eq!(shown(&all), second);
    }
}
