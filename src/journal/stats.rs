//! Counters and latencies: since the start, and for the last minute, hour and day.
//!
//! All is kept as totals that only grow; a window is the difference between now and a copy of the
//! totals made when the window began. Such copies are made when time enters a new period in which
//! something happens (5 s, 1 min, 1 h), so an idle server makes none and a busy one pays for a
//! copy every five seconds.

use std::collections::VecDeque;
use std::time::Duration;

use super::histogram::{Histogram, Percentiles};
use super::{Ending, Verb};
use crate::base::{Leg, Time};

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counter {
    /// Connections of clients.
    Connections,
    /// Connections to next servers.
    NextConnections,
    /// Messages taken into the spool from clients.
    Accepted,
    /// Recipients of those messages.
    Recipients,
    /// Refusals of clients, their messages and recipients: a greeting other than 220, and 4xx or
    /// 5xx to MAIL, RCPT, DATA and content. A DATA that fails since all before it failed is not
    /// counted again.
    Rejected,
    /// Recipients that a next server took.
    Delivered,
    /// Attempts for a recipient that ended with a deferral.
    Deferred,
    /// Recipients that failed for good.
    Bounced,
    /// Bounces and delay notices put into the queue.
    Notices,
    /// Octets of message content from clients.
    BytesIn,
    /// Octets of message content to next servers.
    BytesOut,
    /// Replies 4xx given to clients.
    Replies4xx,
    /// Replies 5xx given to clients.
    Replies5xx,
}

impl Counter {
    /// All counters.
    pub const ALL: [Counter; 13] = [
        Counter::Connections,
        Counter::NextConnections,
        Counter::Accepted,
        Counter::Recipients,
        Counter::Rejected,
        Counter::Delivered,
        Counter::Deferred,
        Counter::Bounced,
        Counter::Notices,
        Counter::BytesIn,
        Counter::BytesOut,
        Counter::Replies4xx,
        Counter::Replies5xx,
    ];

    /// The name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Counter::Connections => "connections",
            Counter::NextConnections => "next_connections",
            Counter::Accepted => "accepted",
            Counter::Recipients => "recipients",
            Counter::Rejected => "rejected",
            Counter::Delivered => "delivered",
            Counter::Deferred => "deferred",
            Counter::Bounced => "bounced",
            Counter::Notices => "notices",
            Counter::BytesIn => "bytes_in",
            Counter::BytesOut => "bytes_out",
            Counter::Replies4xx => "replies_4xx",
            Counter::Replies5xx => "replies_5xx",
        }
    }
}

/// Of what there is a histogram. All in microseconds, but for the size of messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    /// How long a command waited for its reply. The greeting counts from the connection, the reply
    /// to content from its end.
    Reply(Leg, Verb),
    /// From acceptance to delivery, for each recipient.
    Queue,
    /// A turn of the loop, without fsync.
    Tick,
    /// The fsyncs of one turn.
    Sync,
    /// Octets of accepted messages.
    Size,
}

/// Stages of a session that have a histogram, on each leg; the first name is that of the inbound
/// one.
pub(super) const STAGES: [(&str, &str); 9] = [
    ("banner", "next_banner"),
    ("ehlo", "next_ehlo"),
    ("mail", "next_mail"),
    ("rcpt", "next_rcpt"),
    ("data", "next_data"),
    ("commit", "next_commit"),
    ("starttls", "next_starttls"),
    ("auth", "next_auth"),
    ("other", "next_other"),
];

/// The stage, by number, in which something is answered.
pub(super) const fn stage_of(verb: Verb) -> usize {
    match verb {
        Verb::Connect => 0,
        Verb::Ehlo | Verb::Helo => 1,
        Verb::Mail => 2,
        Verb::Rcpt => 3,
        Verb::Data => 4,
        Verb::Dot | Verb::Bdat => 5,
        Verb::StartTls => 6,
        Verb::Auth => 7,
        Verb::Rset | Verb::Quit | Verb::Other => 8,
    }
}

const LEG: usize = STAGES.len();
const MEASURES: usize = 2 * LEG + 4;

impl Measure {
    const fn index(self) -> usize {
        match self {
            Measure::Reply(leg, verb) => {
                let stage = stage_of(verb);
                match leg {
                    Leg::In => stage,
                    Leg::Out => LEG + stage,
                }
            }
            Measure::Queue => 2 * LEG,
            Measure::Tick => 2 * LEG + 1,
            Measure::Sync => 2 * LEG + 2,
            Measure::Size => 2 * LEG + 3,
        }
    }
}

/// Sums since the start.
#[derive(Clone, Debug)]
struct Totals {
    counters: [u64; Counter::ALL.len()],
    measures: Box<[Histogram]>,
}

impl Totals {
    fn new() -> Totals {
        Totals {
            counters: [0; Counter::ALL.len()],
            measures: vec![Histogram::default(); MEASURES].into(),
        }
    }
}

/// How far back a figure looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    /// Since the start, or since `stats reset`.
    Start,
    /// The last 60 to 65 seconds.
    Minute,
    /// The last 60 to 61 minutes.
    Hour,
    /// The last 24 to 25 hours.
    Day,
}

/// Totals as they were at the end of past periods in which something happened.
#[derive(Clone, Debug)]
struct Past {
    period_us: u64,
    /// Periods in the window.
    periods: u64,
    current: u64,
    /// Oldest first; each period and the totals at its end.
    snapshots: VecDeque<(u64, Totals)>,
}

impl Past {
    fn new(period: Duration, periods: u64, now: Time) -> Past {
        let period_us = period.as_micros() as u64;
        let current = now.as_micros() / period_us;
        Past { period_us, periods, current, snapshots: VecDeque::new() }
    }

    /// Time goes on; `totals` is what was counted before now.
    fn roll(&mut self, now: Time, totals: &Totals) {
        let period = now.as_micros() / self.period_us;
        if period <= self.current {
            return;
        }
        self.snapshots.push_back((self.current, totals.clone()));
        self.current = period;
        // One from before the window stays: it is what the window's difference is taken to.
        let start = period.saturating_sub(self.periods);
        while self.snapshots.get(1).is_some_and(|(period, _)| *period < start) {
            self.snapshots.pop_front();
        }
    }

    /// The totals when the window began; none when it reaches back to the start.
    fn base(&self) -> Option<&Totals> {
        let start = self.current.saturating_sub(self.periods);
        self.snapshots.iter().rev().find(|(period, _)| *period < start).map(|(_, totals)| totals)
    }
}

/// The counters and histograms of the server.
#[derive(Debug)]
pub struct Stats {
    started: Time,
    totals: Totals,
    past: [Past; 3],
    /// When the next period of the finest kind begins: most calls only compare with this.
    next_roll: Time,
    /// How often each code was said, by leg.
    codes: [Box<[u64; CODES]>; 2],
    last_tick: Duration,
}

const CODES: usize = 600;

impl Stats {
    /// Nothing counted yet.
    pub fn new(now: Time) -> Stats {
        Stats {
            started: now,
            totals: Totals::new(),
            past: [
                Past::new(Duration::from_secs(5), 12, now),
                Past::new(Duration::from_secs(60), 60, now),
                Past::new(Duration::from_secs(3600), 24, now),
            ],
            next_roll: now,
            codes: [Box::new([0; CODES]), Box::new([0; CODES])],
            last_tick: Duration::ZERO,
        }
    }

    /// Time goes on. Called before anything is counted or read.
    pub fn roll(&mut self, now: Time) {
        if now < self.next_roll {
            return;
        }
        for past in &mut self.past {
            past.roll(now, &self.totals);
        }
        // All periods end where one of the finest ends.
        let finest = &self.past[0];
        self.next_roll = Time::from_micros((finest.current + 1).saturating_mul(finest.period_us));
    }

    /// Counts.
    pub fn count(&mut self, counter: Counter, more: u64) {
        self.totals.counters[counter as usize] += more;
    }

    /// Adds a value in the unit of the measure (microseconds or octets).
    pub fn measure(&mut self, measure: Measure, value: u64) {
        self.totals.measures[measure.index()].add(value);
    }

    /// Adds a duration.
    pub fn time(&mut self, measure: Measure, took: Duration) {
        self.measure(measure, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// A turn of the loop ended: how long it took without the fsyncs, and how long these took.
    pub fn tick(&mut self, took: Duration, sync: Option<Duration>) {
        self.last_tick = took;
        self.time(Measure::Tick, took);
        if let Some(sync) = sync {
            self.time(Measure::Sync, sync);
        }
    }

    /// A reply was said on a leg.
    pub fn reply(&mut self, leg: Leg, code: u16) {
        if let Some(count) = self.codes[leg as usize].get_mut(usize::from(code)) {
            *count += 1;
        }
        match (leg, code / 100) {
            (Leg::In, 4) => self.count(Counter::Replies4xx, 1),
            (Leg::In, 5) => self.count(Counter::Replies5xx, 1),
            _ => {}
        }
    }

    /// An attempt ended.
    pub fn outcome(&mut self, ending: Ending) {
        let counter = match ending {
            Ending::Delivered => Counter::Delivered,
            Ending::Deferred => Counter::Deferred,
            Ending::Failed => Counter::Bounced,
        };
        self.count(counter, 1);
    }

    /// Forgets everything.
    pub fn reset(&mut self, now: Time) {
        *self = Stats::new(now);
    }

    fn base(&self, window: Window) -> Option<&Totals> {
        match window {
            Window::Start => None,
            Window::Minute => self.past[0].base(),
            Window::Hour => self.past[1].base(),
            Window::Day => self.past[2].base(),
        }
    }

    /// A counter, in a window.
    pub fn counter(&self, counter: Counter, window: Window) -> u64 {
        let i = counter as usize;
        self.totals.counters[i] - self.base(window).map_or(0, |base| base.counters[i])
    }

    /// The percentiles of a measure, in a window.
    pub fn percentiles(&self, measure: Measure, window: Window) -> Percentiles {
        self.percentiles_at(measure.index(), window)
    }

    fn percentiles_at(&self, i: usize, window: Window) -> Percentiles {
        self.totals.measures[i].percentiles(self.base(window).map(|base| &base.measures[i]))
    }

    /// All measures of time that have a value in the window: name and percentiles, in the order of
    /// a message's way.
    pub fn latencies(&self, window: Window) -> impl Iterator<Item = (&'static str, Percentiles)> {
        let legs = STAGES.iter().map(|s| s.0).chain(STAGES.iter().map(|s| s.1));
        let names = legs.chain(["queue", "tick", "sync"]).enumerate();
        names
            .map(move |(i, name)| (name, self.percentiles_at(i, window)))
            .filter(|(_, percentiles)| percentiles.count > 0)
    }

    /// The codes said on a leg and how often, since the start.
    pub fn codes(&self, leg: Leg) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.codes[leg as usize].iter().enumerate();
        counts.filter(|(_, count)| **count > 0).map(|(code, count)| (code as u16, *count))
    }

    /// The last turn of the loop.
    pub fn last_tick(&self) -> Duration {
        self.last_tick
    }

    /// Since when is counted.
    pub fn started(&self) -> Time {
        self.started
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Time {
        Time::from_micros(secs * 1_000_000)
    }

    fn accepted(stats: &Stats) -> [u64; 4] {
        [Window::Start, Window::Minute, Window::Hour, Window::Day]
            .map(|window| stats.counter(Counter::Accepted, window))
    }

    #[test]
    fn windows_forget_and_totals_do_not() {
        let mut stats = Stats::new(at(100));
        stats.count(Counter::Accepted, 1);
        for (now, want) in [
            (101, [1, 1, 1, 1]),
            (159, [1, 1, 1, 1]),
            (170, [1, 0, 1, 1]),
            (3600, [1, 0, 1, 1]),
            (3800, [1, 0, 0, 1]),
            (86_300, [1, 0, 0, 1]),
            (90_100, [1, 0, 0, 0]),
        ] {
            stats.roll(at(now));
            assert_eq!(accepted(&stats), want, "at {now}");
        }
    }

    #[test]
    fn a_busy_server_keeps_a_bounded_past() {
        let mut stats = Stats::new(at(0));
        for second in 0..100_000 {
            stats.roll(at(second));
            stats.count(Counter::Accepted, 1);
        }
        let [start, minute, hour, day] = accepted(&stats);
        assert_eq!(start, 100_000);
        assert!((60..=65).contains(&minute), "{minute}");
        assert!((3600..=3660).contains(&hour), "{hour}");
        assert!((86_400..=90_000).contains(&day), "{day}");
        for past in &stats.past {
            assert!(past.snapshots.len() as u64 <= past.periods + 2);
        }
    }

    #[test]
    fn measures_have_places_and_names_of_their_own() {
        let mut stats = Stats::new(at(0));
        for leg in [Leg::In, Leg::Out] {
            for verb in Verb::ALL {
                stats.measure(Measure::Reply(leg, verb), 9);
            }
        }
        stats.tick(Duration::from_micros(5), Some(Duration::from_micros(6)));
        stats.measure(Measure::Queue, 7);
        stats.measure(Measure::Size, 1 << 20);
        let named: Vec<_> = stats.latencies(Window::Start).collect();
        assert_eq!(named.len(), MEASURES - 1, "the size is no time");
        let of = |name: &str| named.iter().find(|n| n.0 == name).unwrap().1;
        assert_eq!((of("tick").max, of("sync").max, of("queue").max), (5, 6, 7));
        assert_eq!((of("next_commit").count, of("banner").count), (2, 1));
        assert_eq!(stats.percentiles(Measure::Size, Window::Start).max, 1 << 20);
        assert_eq!(stats.percentiles(Measure::Queue, Window::Minute).count, 1);
        assert_eq!(stats.last_tick(), Duration::from_micros(5));
    }

    #[test]
    fn counters_have_places_of_their_own_and_reset() {
        let mut stats = Stats::new(at(0));
        for (i, counter) in Counter::ALL.into_iter().enumerate() {
            stats.count(counter, i as u64 + 1);
        }
        for (i, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(stats.counter(counter, Window::Start), i as u64 + 1);
        }
        stats.reply(Leg::In, 451);
        stats.reply(Leg::Out, 250);
        stats.reply(Leg::Out, 999);
        assert_eq!(stats.codes(Leg::In).collect::<Vec<_>>(), [(451, 1)]);
        assert_eq!(stats.codes(Leg::Out).collect::<Vec<_>>(), [(250, 1)]);
        stats.reset(at(9));
        assert_eq!(accepted(&stats), [0; 4]);
        assert_eq!((stats.codes(Leg::In).count(), stats.started()), (0, at(9)));
    }
}
