//! How fast a next server may be given messages: a small burst, then evenly, and never more than
//! the rate says in any stretch of time that it names.
//!
//! Two things decide together. A bucket into which one token drips at a time, with room for a tenth
//! of the rate, lets a server that was idle have a few messages at once, as people send them. A log
//! of when the last ones went keeps the promise: `60/m` is at most 60 in *any* minute, though the
//! bucket alone would let a burst come on top of it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Rate, Time};

/// A burst is a tenth of the rate, but no more than this...
const MAX_BURST: u32 = 100;
/// ...or what comes in so long: a loop that wakes now and then is to keep a high rate.
const SAVED: Duration = Duration::from_millis(100);
/// Entries of the log. Of a higher rate each stands for several messages, counted as if all had
/// gone with the last of them: at most so many a part of the rate is lost by that.
const ENTRIES: u32 = 64;

/// The bucket and the log of one server.
#[derive(Clone, Default, Debug)]
pub(super) struct Bucket {
    /// When the bucket is full again.
    full: Time,
    log: VecDeque<Entry>,
    /// For which rate the log is.
    rate: Option<Rate>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// When the last of them went.
    last: Time,
    messages: u32,
}

/// Messages that one entry stands for.
fn grain(rate: Rate) -> u32 {
    rate.count().div_ceil(ENTRIES)
}

/// Messages that may go at once.
fn burst(rate: Rate) -> u32 {
    let saved = SAVED.as_nanos() / rate.spacing().as_nanos().max(1);
    (rate.count() / 10).clamp(1, MAX_BURST).max(u32::try_from(saved).unwrap_or(u32::MAX))
}

impl Bucket {
    /// When the next message may go.
    pub(super) fn opens(&self, rate: Option<Rate>) -> Time {
        let Some(rate) = rate else { return Time::ZERO };
        if self.rate != Some(rate) {
            // What another rate made of the past says nothing.
            return Time::ZERO;
        }
        let saved = rate.spacing() * (burst(rate) - 1);
        let dripped = self.full.as_micros().saturating_sub(saved.as_micros() as u64);
        Time::from_micros(dripped).max(self.window_opens(rate))
    }

    /// When there were fewer than so many in the time before.
    fn window_opens(&self, rate: Rate) -> Time {
        let logged: u32 = self.log.iter().map(|entry| entry.messages).sum();
        if logged < rate.count() {
            return Time::ZERO;
        }
        self.log.front().map_or(Time::ZERO, |oldest| oldest.last.after(rate.unit()))
    }

    /// A message goes.
    pub(super) fn spend(&mut self, rate: Option<Rate>, now: Time) {
        let Some(rate) = rate else { return };
        if self.rate != Some(rate) {
            *self = Bucket { rate: Some(rate), ..Bucket::default() };
        }
        self.full = self.full.max(now).after(rate.spacing());
        while self.log.front().is_some_and(|oldest| oldest.last.after(rate.unit()) <= now) {
            self.log.pop_front();
        }
        match self.log.back_mut() {
            Some(entry) if entry.messages < grain(rate) => {
                (entry.last, entry.messages) = (now, entry.messages + 1);
            }
            _ => self.log.push_back(Entry { last: now, messages: 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When messages go in this time, in ms, when it is tried each millisecond but in a pause.
    fn sent(rate: &str, ms: u64, pause: std::ops::Range<u64>) -> Vec<u64> {
        let rate = Some(rate.parse::<Rate>().unwrap());
        let (mut bucket, mut sent) = (Bucket::default(), Vec::new());
        for ms in (0..ms).filter(|ms| !pause.contains(ms)) {
            let now = Time::from_micros(1_000_000 + ms * 1000);
            while bucket.opens(rate) <= now {
                bucket.spend(rate, now);
                sent.push(ms);
            }
        }
        sent
    }

    /// The most in any stretch of `unit` ms.
    fn most(sent: &[u64], unit: u64) -> usize {
        let within =
            |from: &u64| sent.iter().filter(|at| (*from..from + unit).contains(at)).count();
        sent.iter().map(within).max().unwrap_or(0)
    }

    #[test]
    fn a_small_burst_and_then_evenly() {
        let gone = sent("60/m", 20_000, 0..0);
        assert_eq!(gone[..8], [0, 0, 0, 0, 0, 0, 1000, 2000]);
        assert_eq!(sent("1/h", 60_000, 0..0).len(), 1);
        assert_eq!(sent("2/s", 2000, 0..0), [0, 500, 1000, 1500]);
    }

    #[test]
    fn never_more_than_the_rate_in_any_stretch() {
        let minutes = sent("60/m", 300_000, 100_000..150_000);
        assert_eq!(most(&minutes, 60_000), 60);
        assert!(minutes.len() >= 4 * 60, "{}", minutes.len());
        for (rate, unit, long) in [("7/m", 60_000, 200_000), ("130/s", 1000, 5000)] {
            assert!(
                most(&sent(rate, long, 0..0), unit)
                    <= rate.split('/').next().unwrap().parse().unwrap()
            );
        }
        let fast = sent("5000/s", 1000, 0..0).len();
        assert!((4900..=5000).contains(&fast), "{fast}");
        assert!(sent("5000/s", 3000, 0..0).len() >= 14_500);
    }

    #[test]
    fn no_rate_no_wait_and_a_new_rate_begins_anew() {
        let mut bucket = Bucket::default();
        let now = Time::from_micros(5_000_000);
        bucket.spend(None, now);
        assert_eq!(bucket.opens(None), Time::ZERO);
        let (slow, fast) = ("1/h".parse().ok(), "60/m".parse().ok());
        bucket.spend(slow, now);
        assert!(bucket.opens(slow) > now.after(Duration::from_secs(3500)));
        assert!(bucket.opens(fast) <= now);
        bucket.spend(fast, now);
        assert_eq!(bucket.log.len(), 1);
    }
}
