//! The feed: what happens, in a form that can be sent, for any console near or remote, and for the
//! log in JSON.
//!
//! A bounded ring of [`FeedItem`]s. They are made only while somebody wants them, and only so many
//! in a tenth of a second: under full load a console would otherwise cost more than the mail. What
//! is not recorded still takes a number, so a reader that sees a gap in [`FeedItem::seq`] knows how
//! much it missed.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Answer, Ending, Event, Kept, Level, Mark, Sign, Verb, What, render};
use crate::base::{MessageId, Now, Printable, SessionId, Time, Wall};

/// One thing that happened, owned and safe to show.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FeedItem {
    /// Counts every event since the start, recorded or not.
    pub seq: u64,
    /// Unix time in milliseconds.
    pub at_ms: i64,
    /// Microseconds since the line before it in the session.
    pub delay_us: u64,
    /// In which session.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text")]
    pub session: Option<SessionId>,
    /// To which message.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text")]
    pub message: Option<MessageId>,
    /// How loud: lines of the dialogue are [`Level::Info`], too.
    pub level: Level,
    /// Who says it.
    pub sign: Sign,
    /// As it should be?
    #[serde(default, skip_serializing_if = "is_plain")]
    pub mark: Mark,
    /// A line: what it is, or what it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<Verb>,
    /// A line of a reply: its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// What it is, with particulars for programs.
    #[serde(flatten)]
    pub kind: Kind,
    /// In words, for people.
    pub text: Printable,
    /// What else is known of its session, for the expressions of `follow`. Not in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Box<About>>,
    /// A short note on a line, in its place in the session: for those who have asked for notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Printable>,
}

/// What is known of a session at the moment of an item.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct About {
    /// Inbound: the client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Outbound: the next server's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Printable>,
    /// The EHLO or HELO argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo: Option<Printable>,
    /// The sender of the transaction; empty for `<>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Printable>,
    /// The last recipient that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rcpt: Option<Printable>,
    /// As whom the client authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Printable>,
    /// Inside TLS.
    #[serde(default)]
    pub tls: bool,
}

/// What kind of item it is; in JSON under `what`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Kind {
    /// A line of the dialogue.
    Line,
    /// Content passed.
    Content {
        /// Octets of it.
        octets: u64,
    },
    /// A connection stands.
    Opened {
        /// The other end, `192.0.2.7:4711`.
        peer: String,
    },
    /// A word about a session.
    Remark,
    /// A session is held, or is no longer.
    Held,
    /// Made by a fault rule or by hand.
    Injected,
    /// The session is over.
    Closed,
    /// A message is in the spool.
    Accepted {
        /// Its sender; empty for `<>`.
        from: Printable,
        /// How many recipients.
        nrcpts: u64,
        /// Octets.
        size: u64,
    },
    /// A message was refused.
    Refused,
    /// A client was refused something (log only: in the feed its lines say so).
    Rejected {
        /// Its address.
        client: String,
        /// What it had said; empty if that is not kept.
        command: Printable,
    },
    /// A session with a next server begins to carry a message there.
    Attempt {
        /// For how many recipients.
        nrcpts: u64,
        /// Octets.
        size: u64,
    },
    /// An attempt for a recipient ended.
    Outcome {
        /// Which.
        to: Printable,
        /// How.
        ending: Ending,
        /// The next server.
        next: Printable,
    },
    /// A bounce or a notice was queued.
    Bounced {
        /// Its id, in full.
        bounce: String,
    },
    /// All recipients are done.
    Retired,
    /// A next server changed its state.
    NextServer {
        /// Which.
        next: Printable,
    },
    /// A word about the server.
    Server,
}

fn is_plain(mark: &Mark) -> bool {
    *mark == Mark::Plain
}

/// Identities travel as the text that people see.
mod as_text {
    use std::borrow::Cow;
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<T: Display, S: Serializer>(id: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => to.collect_str(id),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr,
        D: Deserializer<'de>,
    {
        let text = Option::<Cow<'de, str>>::deserialize(from)?;
        let parse = |text: Cow<'_, str>| text.parse().map_err(|_| D::Error::custom("not an id"));
        text.map(parse).transpose()
    }
}

impl FeedItem {
    /// The owned form of an event. `answer` is what its line is or answers, and the code.
    pub fn new(
        seq: u64,
        delay: Duration,
        answer: (Option<Verb>, Option<u16>),
        event: &Event<'_>,
    ) -> FeedItem {
        let (sign, mark) = sign_of(&event.what);
        FeedItem {
            seq,
            at_ms: event.now.wall.as_micros().div_euclid(1000),
            delay_us: u64::try_from(delay.as_micros()).unwrap_or(u64::MAX),
            session: event.session,
            message: event.message,
            level: level_of(&event.what),
            sign,
            mark,
            verb: answer.0,
            code: answer.1,
            kind: Kind::new(&event.what),
            text: render::text(&event.what),
            about: None,
            note: None,
        }
    }

    /// What the log says of a refusal: `head` is number, time and session.
    pub fn rejected(
        head: (u64, Now, SessionId),
        answer: Answer,
        client: &str,
        command: &[u8],
        reply: &[u8],
    ) -> FeedItem {
        let mut text = format!("rejected client={client} ").into_bytes();
        for part in [command, if command.is_empty() { b"" } else { b": " }, reply] {
            text.extend_from_slice(part);
        }
        FeedItem {
            seq: head.0,
            at_ms: head.1.wall.as_micros().div_euclid(1000),
            delay_us: 0,
            session: Some(head.2),
            message: None,
            level: Level::Info,
            sign: Sign::Event,
            mark: Mark::Plain,
            verb: Some(answer.verb),
            code: Some(answer.code),
            kind: Kind::Rejected { client: client.into(), command: Printable::new(command) },
            text: Printable::new(text),
            about: None,
            note: None,
        }
    }

    /// A line that was said before, for who looks back.
    pub fn of_kept(session: SessionId, line: &Kept) -> FeedItem {
        FeedItem {
            seq: 0,
            at_ms: line.at.as_micros().div_euclid(1000),
            delay_us: u64::try_from(line.delay.as_micros()).unwrap_or(u64::MAX),
            session: Some(session),
            message: None,
            level: Level::Info,
            sign: line.sign,
            mark: line.mark,
            verb: None,
            code: None,
            kind: match line.sign {
                Sign::Said { .. } => Kind::Line,
                Sign::Event => Kind::Remark,
            },
            text: Printable::new(&line.text),
            about: None,
            note: None,
        }
    }

    /// As a line of a transcript; a message's id stands before the text.
    pub fn line(&self) -> String {
        let at = Wall::from_micros(self.at_ms.saturating_mul(1000));
        let delay = Duration::from_micros(self.delay_us);
        let named = self.message.map(|id| format!("{} {}", id.short(), self.text));
        let named = named.map(Printable::from_shown);
        let text = named.as_ref().unwrap_or(&self.text);
        render::line(at, delay, self.session, self.sign, self.mark, text)
    }

    /// About how much memory it takes.
    fn weight(&self) -> usize {
        let note = self.note.as_ref().map_or(0, |note| note.as_str().len());
        size_of::<FeedItem>() + self.text.as_str().len() * 2 + note
    }
}

/// Who says it, and whether it is as it should be.
pub fn sign_of(what: &What<'_>) -> (Sign, Mark) {
    match *what {
        What::Line { side, tls, mark, .. } => (Sign::Said { side, tls }, mark),
        What::Held(_) => (Sign::Event, Mark::Held),
        What::Injected(_) => (Sign::Event, Mark::Injected),
        _ => (Sign::Event, Mark::Plain),
    }
}

/// How loud an event is.
pub fn level_of(what: &What<'_>) -> Level {
    match *what {
        What::NextServer { level, .. } | What::Server { level, .. } => level,
        _ => Level::Info,
    }
}

impl Kind {
    fn new(what: &What<'_>) -> Kind {
        match *what {
            What::Line { .. } => Kind::Line,
            What::Content { octets, .. } => Kind::Content { octets },
            What::Opened { peer, .. } => Kind::Opened { peer: peer.to_string() },
            What::Remark(_) => Kind::Remark,
            What::Held(_) => Kind::Held,
            What::Injected(_) => Kind::Injected,
            What::Closed { .. } => Kind::Closed,
            What::Accepted { from, recipients, size } => Kind::Accepted {
                from: Printable::new(from.map_or("", |from| from.as_str())),
                nrcpts: recipients as u64,
                size,
            },
            What::Refused { .. } => Kind::Refused,
            What::Attempt { recipients, size } => Kind::Attempt { nrcpts: recipients as u64, size },
            What::Outcome { recipient, ending, next, .. } => Kind::Outcome {
                to: Printable::new(recipient.as_str()),
                ending,
                next: Printable::new(next),
            },
            What::Bounced { bounce, .. } => Kind::Bounced { bounce: bounce.to_string() },
            What::Retired => Kind::Retired,
            What::NextServer { name, .. } => Kind::NextServer { next: Printable::new(name) },
            What::Server { .. } => Kind::Server,
        }
    }
}

/// The bounds of a feed.
#[derive(Clone, Copy, Debug)]
pub struct FeedLimits {
    /// Items kept.
    pub items: usize,
    /// Octets kept, about.
    pub octets: usize,
    /// Items recorded in a tenth of a second.
    pub burst: u32,
}

impl Default for FeedLimits {
    fn default() -> FeedLimits {
        FeedLimits { items: 20_000, octets: 16 << 20, burst: 2000 }
    }
}

/// The ring of items.
#[derive(Debug)]
pub struct Feed {
    limits: FeedLimits,
    items: VecDeque<FeedItem>,
    octets: usize,
    /// Consoles that listen.
    consumers: u32,
    next_seq: u64,
    /// When the next tenth of a second begins, and what may be recorded until then.
    refill: Time,
    budget: u32,
}

const TENTH: Duration = Duration::from_millis(100);

impl Feed {
    /// An empty feed that nobody wants yet.
    pub fn new(limits: FeedLimits) -> Feed {
        Feed {
            limits,
            items: VecDeque::new(),
            octets: 0,
            consumers: 0,
            next_seq: 1,
            refill: Time::ZERO,
            budget: 0,
        }
    }

    /// One more console listens; says from where on it reads.
    pub fn subscribe(&mut self) -> u64 {
        self.consumers += 1;
        self.next_seq
    }

    /// The number from which on there are `backlog` items before `seq`, as far as they are kept.
    pub fn back(&self, seq: u64, backlog: usize) -> u64 {
        let end = self.items.partition_point(|item| item.seq < seq);
        self.items.get(end.saturating_sub(backlog)).map_or(seq, |item| item.seq.min(seq))
    }

    /// One console less. When the last one leaves the ring is given back.
    pub fn unsubscribe(&mut self) {
        self.consumers = self.consumers.saturating_sub(1);
        if self.consumers == 0 {
            (self.items, self.octets) = (VecDeque::new(), 0);
        }
    }

    /// Somebody listens.
    pub fn is_wanted(&self) -> bool {
        self.consumers > 0
    }

    /// The number of the next item.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Takes the number for an event.
    pub fn number(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq - 1
    }

    /// Whether an event is to be recorded: somebody listens, and not too much happened just now.
    pub fn admits(&mut self, now: Time) -> bool {
        if self.consumers == 0 {
            return false;
        }
        if now >= self.refill {
            (self.refill, self.budget) = (now.after(TENTH), self.limits.burst);
        }
        let admits = self.budget > 0;
        self.budget = self.budget.saturating_sub(1);
        admits
    }

    /// Records an item; the oldest ones make room.
    pub fn push(&mut self, item: FeedItem) {
        self.octets += item.weight();
        self.items.push_back(item);
        while self.items.len() > self.limits.items || self.octets > self.limits.octets {
            let Some(gone) = self.items.pop_front() else { break };
            self.octets -= gone.weight();
        }
    }

    /// Adds a note to the last event, if that was recorded.
    pub fn annotate(&mut self, note: Printable) {
        let last = self.next_seq - 1;
        let Some(item) = self.items.back_mut().filter(|item| item.seq == last) else { return };
        self.octets += note.as_str().len();
        item.note = Some(note);
    }

    /// The items from number `seq` on that are still there, the oldest first. What is missing
    /// between their numbers (and before the first) was dropped.
    pub fn since(&self, seq: u64) -> impl Iterator<Item = &FeedItem> {
        let start = self.items.partition_point(|item| item.seq < seq);
        self.items.range(start..)
    }
}
