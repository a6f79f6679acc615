//! How fast a next server may be given messages: a bucket that one token drips into at a time.

use std::time::Duration;

use crate::base::{Rate, Time};

/// Tokens are saved up for so long and no longer: enough that a loop that wakes now and then keeps
/// a high rate, too little for a burst that a server would mind.
const SAVED: Duration = Duration::from_millis(100);

/// The bucket of one server.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Bucket {
    /// When the next token is there.
    next: Time,
}

impl Bucket {
    /// When the next message may go.
    pub(super) fn opens(&self, rate: Option<Rate>) -> Time {
        match rate {
            None => Time::ZERO,
            Some(rate) => {
                let saved = if rate.spacing() < SAVED { SAVED } else { Duration::ZERO };
                Time::from_micros(self.next.as_micros().saturating_sub(saved.as_micros() as u64))
            }
        }
    }

    /// A message goes.
    pub(super) fn spend(&mut self, rate: Option<Rate>, now: Time) {
        if let Some(rate) = rate {
            self.next = self.next.max(now).after(rate.spacing());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many go in this time, when it is tried each millisecond.
    fn sent(rate: &str, ms: u64) -> u64 {
        let rate = Some(rate.parse::<Rate>().unwrap());
        let (mut bucket, mut sent) = (Bucket::default(), 0);
        for now in (0..ms).map(|ms| Time::from_micros(1_000_000 + ms * 1000)) {
            while bucket.opens(rate) <= now {
                bucket.spend(rate, now);
                sent += 1;
            }
        }
        sent
    }

    #[test]
    fn so_many_and_no_more() {
        assert_eq!(sent("60/m", 10_000), 10);
        assert_eq!(sent("2/s", 5000), 10);
        assert_eq!(sent("1/h", 60_000), 1);
        let fast = sent("5000/s", 1000);
        assert!((5000..=5501).contains(&fast), "{fast}");
    }

    #[test]
    fn no_rate_no_wait() {
        let mut bucket = Bucket::default();
        bucket.spend(None, Time::from_micros(5));
        assert_eq!(bucket.opens(None), Time::ZERO);
    }
}
