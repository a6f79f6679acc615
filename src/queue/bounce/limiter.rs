//! A cap on the notifications to one sender in a minute.
//!
//! A forged sender of much mail to nowhere would be flooded with what others did in its name. What
//! is beyond the cap is postponed, not dropped: the queue keeps the recipients as failed and gives
//! them out again a minute later.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::base::{Address, Time};

/// The cap that is meant for everyday use.
pub const BOUNCES_PER_MINUTE: u32 = 100;

const MINUTE: Duration = Duration::from_secs(60);

/// Counters, so many whoever the senders are. Senders that share one are capped together, which
/// costs them a minute's delay and nothing more.
const COUNTERS: usize = 4096;

/// Counts notifications by sender, in memory that does not grow.
#[derive(Debug)]
pub struct BounceLimiter {
    per_minute: u32,
    seed: u64,
    /// When the minute began, and how many there were in it.
    counters: Vec<(Time, u32)>,
}

impl BounceLimiter {
    /// So many in a minute that begins with the first. The seed keeps strangers from choosing with
    /// whom they share a counter.
    pub fn new(per_minute: u32, seed: u64) -> BounceLimiter {
        BounceLimiter { per_minute, seed, counters: vec![(Time::ZERO, 0); COUNTERS] }
    }

    /// Whether one more may go to this sender now; if so it is counted.
    pub fn allow(&mut self, sender: &Address, now: Time) -> bool {
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        sender.as_str().to_ascii_lowercase().hash(&mut hasher);
        let (since, count) = &mut self.counters[hasher.finish() as usize % COUNTERS];
        if now.since(*since) >= MINUTE {
            (*since, *count) = (now, 0);
        }
        if *count == 0 {
            *since = now;
        }
        let allowed = *count < self.per_minute;
        *count += u32::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn so_many_a_minute_for_each_sender() {
        let mut limiter = BounceLimiter::new(3, 1);
        let ann = Address::parse("ann@example.org").unwrap();
        let bob = Address::parse("bob@example.org").unwrap();
        let shouting = Address::parse("ANN@EXAMPLE.ORG").unwrap();
        let allowed = |l: &mut BounceLimiter, who, now| l.allow(who, at(now));
        assert!((0..3).all(|n| allowed(&mut limiter, &ann, 50 + n)));
        assert!(!allowed(&mut limiter, &ann, 53) && !allowed(&mut limiter, &shouting, 53));
        assert!(allowed(&mut limiter, &bob, 53));
        // The minute begins with the first, not with the clock's.
        assert!(!allowed(&mut limiter, &ann, 109));
        assert!((0..3).all(|_| allowed(&mut limiter, &ann, 110)));
        assert!(!allowed(&mut limiter, &ann, 110));
    }

    #[test]
    fn a_flood_of_senders_needs_no_memory() {
        let mut limiter = BounceLimiter::new(1, 1);
        let allowed = (0..100_000)
            .filter(|n| limiter.allow(&Address::parse(&format!("a{n}@x")).unwrap(), at(1)))
            .count();
        assert_eq!((limiter.counters.len(), limiter.counters.capacity()), (COUNTERS, COUNTERS));
        assert!(allowed <= COUNTERS && allowed > COUNTERS * 9 / 10);
    }
}
