//! What recorded dialogue says as a whole: latency by stage and next server, replies, retries, who
//! writes to whom, sizes, busy minutes, use of TLS. Fed with entries in the order of time, as the
//! history has them; the answers are in `tables`.
//!
//! All is bounded: what comes in unbounded kinds (addresses, texts of replies) is ranked in tables
//! of the most frequent, what comes in many (sessions, messages) is followed up to a number.

mod tables;

pub use tables::Analysis;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};

use super::conversation::{opened, tells_tls};
use super::dialogue::{Answer, Dialogue, Verb};
use super::histogram::Histogram;
use super::stats::{STAGES, stage_of};
use super::summary::octets_of;
use super::top::Top;
use super::{Entry, Side, Sign, Subject};
use crate::base::{Leg, SessionId, Time, Wall};

/// Sessions and messages that are followed at once.
const MAX_FOLLOWED: usize = 100_000;
/// RCPTs of a session whose replies are waited for; beyond them nobody counts pairs.
const MAX_ASKED: usize = 1000;
/// Next servers that are told apart; what goes to others counts as `other`.
const MAX_SERVERS: usize = 32;
/// Minutes that are told apart: a month.
const MAX_MINUTES: usize = 31 * 1440;
/// Attempts of a message that are told apart.
const MAX_ATTEMPTS: usize = 10;

/// A session, as far as it matters.
struct Track {
    dialogue: Dialogue,
    /// Inbound: the client's address.
    client: Vec<u8>,
    /// Outbound: which next server.
    server: usize,
    tls: bool,
    /// The sender of the transaction, `<>` for nobody.
    from: Vec<u8>,
    /// Who writes to whom: as said in RCPT, until it is answered.
    asked: VecDeque<Vec<u8>>,
}

/// What happened in a minute.
#[derive(Clone, Copy, Default, Debug)]
struct Minute {
    sessions: u64,
    accepted: u64,
    attempts: u64,
    octets: u64,
}

/// The figures of one leg's TLS.
#[derive(Clone, Default)]
struct TlsUse {
    sessions: u64,
    secured: u64,
    kinds: Top,
}

/// Counts what the past says.
pub struct Analyst {
    from: Wall,
    until: Wall,
    entries: u64,
    sessions: HashMap<SessionId, Track>,
    /// By leg and stage: what was waited for a reply.
    stages: [[Histogram; STAGES.len()]; 2],
    /// By next server and stage.
    by_server: HashMap<(usize, usize), Histogram>,
    servers: Vec<String>,
    /// Replies by leg.
    replies: [Top; 2],
    codes: [BTreeMap<u16, u64>; 2],
    clients: Top,
    senders: Top,
    recipients: Top,
    pairs: Top,
    sizes: Histogram,
    octets: u64,
    minutes: BTreeMap<i64, Minute>,
    tls: [TlsUse; 2],
    /// Attempts so far of messages that are not done.
    attempts: HashMap<Vec<u8>, usize>,
    /// Messages done at the first attempt, the second, …
    done_after: [u64; MAX_ATTEMPTS],
    /// Attempts that were deferred: by next server and reply.
    deferred: Top,
}

fn leg_index(leg: Leg) -> usize {
    usize::from(leg == Leg::Out)
}

impl Analyst {
    /// Counts what happens from then on.
    pub fn new(from: Wall) -> Analyst {
        Analyst {
            from,
            until: from,
            entries: 0,
            sessions: HashMap::new(),
            stages: [const { [const { Histogram::EMPTY }; STAGES.len()] }; 2],
            by_server: HashMap::new(),
            servers: Vec::new(),
            replies: [Top::default(), Top::default()],
            codes: [BTreeMap::new(), BTreeMap::new()],
            clients: Top::default(),
            senders: Top::default(),
            recipients: Top::default(),
            pairs: Top::default(),
            sizes: Histogram::default(),
            octets: 0,
            minutes: BTreeMap::new(),
            tls: [TlsUse::default(), TlsUse::default()],
            attempts: HashMap::new(),
            done_after: [0; MAX_ATTEMPTS],
            deferred: Top::default(),
        }
    }

    /// Hears an entry, in the order of time. What is before the beginning only tells whose
    /// sessions they are.
    pub fn hear(&mut self, entry: &Entry<'_>) {
        let counts = entry.line.at >= self.from;
        if counts {
            self.entries += 1;
            self.until = self.until.max(entry.line.at);
        }
        match entry.subject {
            Subject::Opened => self.opened(entry, counts),
            Subject::Line => self.line(entry, counts),
            Subject::Remark if tells_tls(entry.line.text) => self.secured(entry, counts),
            Subject::Content => {
                let octets = octets_of(entry.line.text);
                if let Some(id) = entry.session {
                    if let Some(track) = self.sessions.get_mut(&id) {
                        let time = time_of(entry);
                        track.dialogue.content(time);
                    }
                    if counts && id.leg == Leg::In {
                        self.minute(entry.line.at, |minute| minute.octets += octets);
                    }
                }
            }
            Subject::Accepted if counts => self.accepted(entry),
            Subject::Attempt => self.attempt(entry, counts),
            Subject::Outcome => self.outcome(entry, counts),
            Subject::Closed => {
                if let Some(id) = entry.session {
                    self.sessions.remove(&id);
                }
            }
            _ => {}
        }
    }

    fn minute(&mut self, at: Wall, count: impl FnOnce(&mut Minute)) {
        let minute = at.as_secs().div_euclid(60);
        if self.minutes.len() < MAX_MINUTES || self.minutes.contains_key(&minute) {
            count(self.minutes.entry(minute).or_default());
        }
    }

    /// The track of a session; one whose beginning was not heard begins in the middle.
    fn track(&mut self, id: SessionId, at: Time) -> Option<&mut Track> {
        if !self.sessions.contains_key(&id) && self.sessions.len() >= MAX_FOLLOWED {
            return None;
        }
        Some(self.sessions.entry(id).or_insert_with(|| Track {
            dialogue: Dialogue::in_the_middle(at),
            client: Vec::new(),
            server: MAX_SERVERS,
            tls: false,
            from: Vec::new(),
            asked: VecDeque::new(),
        }))
    }

    fn opened(&mut self, entry: &Entry<'_>, counts: bool) {
        let Some(id) = entry.session else { return };
        let (next, peer) = opened(entry.line.text);
        let server = next.map_or(MAX_SERVERS, |next| self.server(&next));
        let time = time_of(entry);
        if let Some(track) = self.track(id, time) {
            track.dialogue = Dialogue::new(time);
            track.server = server;
            track.client =
                peer.map_or(Vec::new(), |peer| peer.ip().to_canonical().to_string().into_bytes());
        }
        if counts {
            self.tls[leg_index(id.leg)].sessions += 1;
            if id.leg == Leg::In {
                self.minute(entry.line.at, |minute| minute.sessions += 1);
                self.count_client(id, [1, 0, 0, 0]);
            }
        }
    }

    fn count_client(&mut self, id: SessionId, sums: [u64; 4]) {
        let Some(track) = self.sessions.get(&id) else { return };
        if id.leg == Leg::In && !track.client.is_empty() {
            self.clients.add(&track.client, 1, sums);
        }
    }

    fn server(&mut self, name: &str) -> usize {
        let known = self.servers.iter().position(|server| server == name);
        known.unwrap_or_else(|| {
            if self.servers.len() < MAX_SERVERS {
                self.servers.push(name.to_owned());
                self.servers.len() - 1
            } else {
                MAX_SERVERS
            }
        })
    }

    fn secured(&mut self, entry: &Entry<'_>, counts: bool) {
        let Some(id) = entry.session else { return };
        let time = time_of(entry);
        let Some(track) = self.track(id, time) else { return };
        let first = !std::mem::replace(&mut track.tls, true);
        if counts && first {
            let tls = &mut self.tls[leg_index(id.leg)];
            tls.secured += 1;
            // Version and cipher; the names and certificates behind them are another question.
            let commas = entry.line.text.iter().enumerate().filter(|(_, b)| **b == b',');
            let end = commas.map(|(at, _)| at).nth(1).unwrap_or(entry.line.text.len());
            tls.kinds.add(&entry.line.text[..end], 1, [0; 4]);
        }
    }

    fn line(&mut self, entry: &Entry<'_>, counts: bool) {
        let Sign::Said { side, .. } = entry.line.sign else { return };
        let (Some(id), time, text) = (entry.session, time_of(entry), entry.line.text) else {
            return;
        };
        let Some(track) = self.track(id, time) else { return };
        let server = track.server;
        let heard = track.dialogue.line(side, text, time);
        if side == Side::Client {
            let path = path_of(text);
            match heard.verb {
                Verb::Mail => track.from = if path.is_empty() { b"<>" } else { path }.to_vec(),
                Verb::Rcpt if id.leg == Leg::In && track.asked.len() < MAX_ASKED => {
                    track.asked.push_back([&track.from, " → ".as_bytes(), path].concat());
                }
                _ => {}
            }
            return;
        }
        // Only a recipient that was taken is one: RCPT may be refused, or have no sender at all.
        if let Some(Answer { verb: Verb::Rcpt, code, .. }) = heard.answer {
            let pair = track.asked.pop_front().filter(|_| counts && code < 300);
            pair.iter().for_each(|pair| self.pairs.add(pair, 1, [0; 4]));
        }
        if let (true, Some(answer)) = (counts, heard.answer) {
            self.answer(id, server, answer, text, time);
        }
    }

    fn answer(&mut self, id: SessionId, server: usize, answer: Answer, text: &[u8], now: Time) {
        let waited = now.since(answer.asked).as_micros() as u64;
        let (leg, stage) = (leg_index(id.leg), stage_of(answer.verb));
        self.stages[leg][stage].add(waited);
        if id.leg == Leg::Out {
            self.by_server.entry((server, stage)).or_default().add(waited);
        }
        *self.codes[leg].entry(answer.code).or_default() += 1;
        if answer.code >= 400 {
            self.replies[leg].add(text, 1, [0; 4]);
            if id.leg == Leg::In {
                self.count_client(id, [0, 0, 0, 1]);
            }
        }
    }

    fn accepted(&mut self, entry: &Entry<'_>) {
        let words = String::from_utf8_lossy(entry.line.text);
        let Some(from) = words.split_once("from=<").and_then(|(_, rest)| rest.split_once('>'))
        else {
            return;
        };
        let number = |key: &str| {
            let value = from.1.split(' ').find_map(|word| word.strip_prefix(key));
            value.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0)
        };
        let (recipients, size) = (number("nrcpts="), number("size="));
        let name = if from.0.is_empty() { "<>" } else { from.0 };
        self.senders.add(name.as_bytes(), 1, [size, recipients, 0, 0]);
        self.sizes.add(size);
        self.octets += size;
        self.minute(entry.line.at, |minute| minute.accepted += 1);
        if let Some(id) = entry.session {
            self.count_client(id, [0, 1, size, 0]);
        }
    }

    fn attempt(&mut self, entry: &Entry<'_>, counts: bool) {
        let Some(message) = entry.message() else { return };
        if counts {
            self.minute(entry.line.at, |minute| minute.attempts += 1);
        }
        if self.attempts.len() < MAX_FOLLOWED || self.attempts.contains_key(message.as_bytes()) {
            *self.attempts.entry(message.as_bytes().to_vec()).or_default() += 1;
        }
    }

    fn outcome(&mut self, entry: &Entry<'_>, counts: bool) {
        let (Some(message), text) = (entry.message(), entry.line.text) else { return };
        let words = String::from_utf8_lossy(text.get(message.len() + 1..).unwrap_or_default());
        let Some((ending, rest)) = words.split_once(" to=<") else { return };
        let Some((to, rest)) = rest.split_once("> ") else { return };
        let place = match ending {
            "delivered" => 0,
            "deferred" => 1,
            _ => 2,
        };
        let after = self.attempts.get(message.as_bytes()).copied().unwrap_or(1).max(1);
        if counts {
            let mut sums = [0; 4];
            sums[place] = 1;
            self.recipients.add(to.as_bytes(), 1, sums);
            if place == 1 {
                self.deferred.add(next_and_reply(rest).as_bytes(), 1, [0; 4]);
            } else {
                self.done_after[after.min(MAX_ATTEMPTS) - 1] += 1;
            }
        }
        if place != 1 {
            self.attempts.remove(message.as_bytes());
        }
    }
}

fn time_of(entry: &Entry<'_>) -> Time {
    Time::from_micros(u64::try_from(entry.line.at.as_micros()).unwrap_or(0))
}

/// A next server and its reply, without the host that spoke for it: of `451 later (next=smart
/// host=a[192.0.2.7]:25)` it is `smart 451 later`.
fn next_and_reply(words: &str) -> Cow<'_, str> {
    // The last such words are ours: a reply may hold the same.
    let Some((reply, next)) = words.rsplit_once(" (next=") else { return Cow::Borrowed(words) };
    let name = next.split([' ', ')']).next().unwrap_or_default();
    Cow::Owned(format!("{name} {reply}"))
}

/// What stands in the angle brackets of a command.
fn path_of(command: &[u8]) -> &[u8] {
    let Some(start) = command.iter().position(|b| *b == b'<') else { return b"" };
    let inside = &command[start + 1..];
    let end = inside.iter().rposition(|b| *b == b'>').unwrap_or(inside.len());
    &inside[..end]
}
