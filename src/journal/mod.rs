//! The journal: what happens is said once, as an [`Event`], and everybody who listens is told.
//!
//! ```text
//!                      ┌▶ transcript   every line, one copy each, the oldest go first
//!   reactor ─ note() ──┼▶ stats        counters, histograms, rankings
//!             Event    ├▶ feed         owned items, only while a console listens
//!                      └▶ log          records, only of the levels that are on
//! ```
//!
//! [`Journal::note`] runs hundreds of thousands of times a second, so what nobody asked for costs
//! nothing: no text is made and nothing allocated unless a record or an item is really wanted.
//! All that is kept is bounded: per live session a fixed part, removed with [`What::Closed`]; of
//! the ended ones the last few thousand; rings for the rest.

mod analysis;
mod conversation;
mod dialogue;
mod entry;
mod event;
mod feed;
mod histogram;
mod ladder;
mod logging;
mod rankings;
pub mod render;
mod report;
mod rungs;
mod session;
mod stats;
mod summary;
mod top;
mod transcript;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

pub use analysis::{Analysis, Analyst};
pub use conversation::{Conversation, Kept, attempts, tells_tls};
pub use dialogue::{Answer, Verb};
pub use entry::{Entry, Line, MAX_LINE, Sign, Subject, entries};
pub use event::{Ending, Event, Level, Mark, Side, What};
pub use feed::{About, Feed, FeedItem, FeedLimits, Kind, sign_of};
pub use histogram::Percentiles;
pub use ladder::ladder;
pub use logging::{TARGETS, write_record};
pub use rankings::{Ranked, Rankings, Table};
pub use rungs::{Rung, rungs};
pub use session::{SessionRecord, Sessions};
pub use stats::{Counter, Measure, Stats, Window};
pub use summary::{EndedSession, Summaries};
pub use transcript::Stretch;

pub use crate::base::Report;
use crate::base::{Leg, LogFormat, Now, SessionId, Time};
use session::Arrivals;
use transcript::{Chain, Transcript};

/// The bounds of a journal.
#[derive(Clone, Copy, Debug)]
pub struct JournalConfig {
    /// Octets of the transcript's ring; 0 keeps none.
    pub transcript: usize,
    /// Ended sessions that can still be asked for.
    pub ended: usize,
    /// The feed's bounds.
    pub feed: FeedLimits,
    /// How log records are written.
    pub log_format: LogFormat,
}

impl Default for JournalConfig {
    fn default() -> JournalConfig {
        JournalConfig {
            transcript: 32 << 20,
            ended: 4096,
            feed: FeedLimits::default(),
            log_format: LogFormat::Text,
        }
    }
}

/// All subscribers of the narration.
#[derive(Debug)]
pub struct Journal {
    log_format: LogFormat,
    feed: Feed,
    stats: Stats,
    rankings: Rankings,
    transcript: Transcript,
    sessions: Sessions,
    /// What happened in no session.
    elsewhere: Chain,
    arrivals: Arrivals,
}

/// What is known of an event beside itself, once its session has been looked up.
#[derive(Clone, Copy, Default)]
struct Context {
    /// Since the line before in the session.
    delay: Duration,
    /// A line: what it is, or what it answers.
    verb: Option<Verb>,
    /// A line of a reply: its code.
    code: Option<u16>,
    /// The last line of a reply.
    answer: Option<Answer>,
}

impl Journal {
    /// A journal in which nothing is written yet.
    pub fn new(config: JournalConfig, now: Now) -> Journal {
        Journal {
            log_format: config.log_format,
            feed: Feed::new(config.feed),
            stats: Stats::new(now.time),
            rankings: Rankings::default(),
            transcript: Transcript::new(config.transcript),
            sessions: Sessions::new(config.ended),
            elsewhere: Chain::default(),
            arrivals: Arrivals::default(),
        }
    }

    /// Something happened: everybody who listens is told.
    pub fn note(&mut self, event: &Event<'_>) {
        let seq = self.feed.number();
        self.stats.roll(event.now.time);
        let context = self.keep(event);
        self.count(event, &context);
        let level = logging::level(&event.what);
        let target = logging::target(event);
        let logged = log::log_enabled!(target: target, level);
        let fed = self.feed.admits(event.now.time);
        if logged || fed {
            let mut item = FeedItem::new(seq, context.delay, (context.verb, context.code), event);
            if logged {
                let line = logging::line(self.log_format, level, target, &item);
                log::log!(target: target, level, "{line}");
            }
            if fed {
                item.about = event.session.and_then(|id| self.sessions.about(id)).map(Box::new);
                self.feed.push(item);
            }
        }
        if let What::Closed { why } = event.what {
            self.sessions.close(event.session, why, event.now);
        }
    }

    /// A word for the log alone, where somebody traces this target: what happens below the
    /// dialogue.
    pub fn trace(
        &mut self,
        now: Now,
        session: Option<SessionId>,
        target: &'static str,
        text: &str,
    ) {
        if log::log_enabled!(target: target, log::Level::Trace) {
            let event = Event { now, session, message: None, what: What::Remark(text) };
            let item = FeedItem::new(self.feed.number(), Duration::ZERO, (None, None), &event);
            let line = logging::line(self.log_format, log::Level::Trace, target, &item);
            log::log!(target: target, log::Level::Trace, "{line}");
        }
    }

    /// Writes the event into its session's record and transcript.
    fn keep(&mut self, event: &Event<'_>) -> Context {
        let Some(id) = event.session else {
            write(&mut self.transcript, &mut self.elsewhere, Duration::ZERO, event);
            return Context::default();
        };
        if let What::Opened { .. } = event.what {
            self.sessions.open(id, event.now);
        }
        let Some(live) = self.sessions.live_mut(id) else {
            if let Some(ended) = self.sessions.ended_mut(id) {
                ended.lines += 1;
                write(&mut self.transcript, &mut ended.chain, Duration::ZERO, event);
            }
            return Context::default();
        };
        let mut context = Context { delay: live.elapsed(event.now.time), ..Context::default() };
        if let What::Line { side, text, .. } = event.what {
            let heard = live.dialogue.line(side, text, event.now.time);
            context.verb = Some(heard.verb);
            (context.code, context.answer) = (heard.code, heard.answer);
        }
        live.learn(&event.what, event.now.time);
        if self.feed.is_wanted() {
            live.learn_about(&event.what, &context);
        }
        if context.answer.is_some_and(|a| a.verb == Verb::Mail && a.code / 100 == 2) {
            live.record.transactions += 1;
        }
        live.record.lines += 1;
        write(&mut self.transcript, &mut live.record.chain, context.delay, event);
        context
    }

    /// Adds the event to counters, histograms and rankings.
    fn count(&mut self, event: &Event<'_>, context: &Context) {
        match event.what {
            What::Line { text, .. } => {
                if let (Some(id), Some(answer)) = (event.session, context.answer) {
                    self.count_answer(event.now, id, answer, text);
                }
            }
            What::Content { octets, .. } => match event.session.map(|id| id.leg) {
                Some(Leg::In) => self.stats.count(Counter::BytesIn, octets),
                Some(Leg::Out) => self.stats.count(Counter::BytesOut, octets),
                None => {}
            },
            What::Opened { peer, .. } => match event.session.map(|id| id.leg) {
                Some(Leg::Out) => self.stats.count(Counter::NextConnections, 1),
                _ => {
                    self.stats.count(Counter::Connections, 1);
                    self.rank(event.now.time).add_client(peer.ip(), [1, 0, 0, 0]);
                }
            },
            What::Accepted { from, recipients, size } => {
                let from = from.map_or("", |from| from.as_str());
                self.count_accepted(event, from, recipients as u64, size);
            }
            What::Outcome { recipient, ending, .. } => {
                self.stats.outcome(ending);
                let mut sums = [0; 4];
                sums[ending as usize] = 1;
                let key = recipient.as_str().as_bytes();
                self.rank(event.now.time).add(Table::Recipients, key, sums);
                if let (Ending::Delivered, Some(id)) = (ending, event.message) {
                    let waited = self.arrivals.age(id, event.now);
                    self.stats.time(Measure::Queue, waited);
                }
            }
            What::Refused { .. } => self.count_rejection(event.session, event.now),
            What::Bounced { .. } => self.stats.count(Counter::Notices, 1),
            _ => {}
        }
    }

    /// The rankings, brought up to date.
    fn rank(&mut self, now: Time) -> &mut Rankings {
        self.rankings.roll(now);
        &mut self.rankings
    }

    fn count_accepted(&mut self, event: &Event<'_>, from: &str, recipients: u64, size: u64) {
        self.stats.count(Counter::Accepted, 1);
        self.stats.count(Counter::Recipients, recipients);
        self.stats.measure(Measure::Size, size);
        if let Some(id) = event.message {
            self.arrivals.insert(id, event.now.time);
        }
        let client = self.client_of(event.session);
        let rankings = self.rank(event.now.time);
        rankings.add(Table::Senders, from.as_bytes(), [size, recipients, 0, 0]);
        if let Some(ip) = client {
            rankings.add_client(ip, [0, 1, size, 0]);
        }
    }

    /// The last line of a reply: code, latency, and whether it refuses something.
    fn count_answer(&mut self, now: Now, id: SessionId, answer: Answer, text: &[u8]) {
        self.stats.reply(id.leg, answer.code);
        let waited = now.time.since(answer.asked);
        self.stats.time(Measure::Reply(id.leg, answer.verb), waited);
        if answer.code < 400 {
            return;
        }
        let table = if id.leg == Leg::In { Table::Replies } else { Table::NextReplies };
        self.rank(now.time).add(table, text, [0; 4]);
        // After content it is Refused that counts; a DATA out of order refuses nothing new.
        let refused = match answer.verb {
            Verb::Connect | Verb::Mail | Verb::Rcpt | Verb::Auth => true,
            Verb::Data => answer.code != 503 && !text[3..].starts_with(b" 5.5.1"),
            _ => false,
        };
        if refused && id.leg == Leg::In {
            self.count_rejection(Some(id), now);
            self.log_rejection(now, id, answer, text);
        }
    }

    fn client_of(&self, id: Option<SessionId>) -> Option<IpAddr> {
        let id = id.filter(|id| id.leg == Leg::In)?;
        self.sessions.get(id)?.peer.map(|peer| peer.ip())
    }

    fn count_rejection(&mut self, id: Option<SessionId>, now: Now) {
        self.stats.count(Counter::Rejected, 1);
        if let Some(ip) = self.client_of(id) {
            self.rank(now.time).add_client(ip, [0, 0, 0, 1]);
        }
    }

    /// A refusal deserves a record of its own: the dialogue that shows it is only traced. But not
    /// each of a flood of them.
    fn log_rejection(&mut self, now: Now, id: SessionId, answer: Answer, reply: &[u8]) {
        const TARGET: &str = "smtp";
        const MOST: u32 = 100;
        let nth = self.sessions.live_mut(id).map_or(1, |live| live.refused());
        if nth > MOST {
            return;
        }
        if !log::log_enabled!(target: TARGET, log::Level::Info) {
            return;
        }
        let Some(record) = self.sessions.get(id) else { return };
        let client = record.peer.map_or(String::new(), |peer| peer.ip().to_string());
        let command = self.transcript.last_command(record.chain).unwrap_or_default();
        let seq = self.feed.next_seq();
        let item = FeedItem::rejected((seq, now, id), answer, &client, command, reply);
        let line = logging::line(self.log_format, log::Level::Info, TARGET, &item);
        log::info!(target: TARGET, "{line}");
        if nth == MOST {
            let words =
                format!("refused {MOST} times: this session's other refusals are not logged");
            let what = What::Remark(&words);
            let event = Event { now, session: Some(id), message: None, what };
            let item = FeedItem::new(seq, Duration::ZERO, (None, None), &event);
            let line = logging::line(self.log_format, log::Level::Info, TARGET, &item);
            log::info!(target: TARGET, "{line}");
        }
    }

    /// A turn of the loop ended: how long it took without the fsyncs, and how long these took, if
    /// there were any.
    pub fn tick(&mut self, now: Now, took: Duration, sync: Option<Duration>) {
        self.stats.roll(now.time);
        self.stats.tick(took, sync);
    }

    /// The feed for consoles.
    pub fn feed(&mut self) -> &mut Feed {
        &mut self.feed
    }

    /// The number of the next event.
    pub fn next_seq(&self) -> u64 {
        self.feed.next_seq()
    }

    /// Counters and latencies, their windows brought up to now.
    pub fn stats(&mut self, now: Now) -> &Stats {
        self.stats.roll(now.time);
        &self.stats
    }

    /// The most frequent clients, senders, recipients and replies.
    pub fn rankings(&mut self, now: Now) -> &Rankings {
        self.rank(now.time)
    }

    /// Counts from zero on.
    pub fn reset_stats(&mut self, now: Now) {
        self.stats.reset(now.time);
        self.rankings = Rankings::default();
    }

    /// What is known of sessions, live and ended.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The transcript of a session, the oldest line first, and whether older ones have already
    /// made room for newer; none when the session is not known (any more).
    pub fn transcript(&self, id: SessionId) -> Option<(Vec<Line<'_>>, bool)> {
        let (entries, forgotten) = self.entries(id)?;
        Some((entries.into_iter().map(|entry| entry.line).collect(), forgotten))
    }

    /// The same, each line with what kind of event it is.
    pub fn entries(&self, id: SessionId) -> Option<(Vec<Entry<'_>>, bool)> {
        self.sessions.get(id).map(|record| self.transcript.entries(record.chain))
    }

    /// What was written into the transcript from this position on: 0, or the end of an earlier
    /// stretch; all of it, or about `most` octets.
    pub fn since(&self, position: u64, most: usize) -> Stretch<'_> {
        self.transcript.since(position, most)
    }

    /// The end of what is written into the transcript.
    pub fn written(&self) -> u64 {
        self.transcript.head()
    }

    /// The last command that was said in a session, if it is still known.
    pub fn last_command(&self, id: SessionId) -> Option<&[u8]> {
        self.transcript.last_command(self.sessions.get(id)?.chain)
    }

    /// How log records are written from now on.
    pub fn set_log_format(&mut self, format: LogFormat) {
        self.log_format = format;
    }
}

/// Adds an event to the transcript of its session. Lines are copied as they are; only the few
/// events between them are put into words here.
fn write(to: &mut Transcript, chain: &mut Chain, delay: Duration, event: &Event<'_>) {
    let made;
    let text = match event.what {
        What::Line { text, .. } => text,
        _ => {
            made = render::about(event.message, &event.what);
            &made
        }
    };
    let (sign, mark) = feed::sign_of(&event.what);
    let line = Line { at: event.now.wall, delay, sign, mark, text, cut: false };
    let subject = Subject::of(&event.what);
    to.push(chain, &Entry { session: event.session, subject, line });
}
