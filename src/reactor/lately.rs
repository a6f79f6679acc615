//! What was learnt about single addresses of next servers, and counts for a while.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::Time;

/// Addresses of which one thing is remembered.
const REMEMBERED: usize = 1024;

/// Addresses of which something is known, each until its time is over.
#[derive(Debug)]
pub struct Lately {
    until: HashMap<SocketAddr, Time>,
    lasts: Duration,
}

impl Lately {
    /// Nothing is known yet; what will be counts for so long.
    pub fn new(lasts: Duration) -> Lately {
        Lately { until: HashMap::new(), lasts }
    }

    /// It is so now. Among too many, what was to be forgotten next is forgotten.
    pub fn add(&mut self, at: SocketAddr, now: Time) {
        if self.until.len() >= REMEMBERED && !self.until.contains_key(&at) {
            self.until.retain(|_, until| now < *until);
            let oldest = self.until.iter().min_by_key(|(at, until)| (**until, **at));
            if let (true, Some((at, _))) = (self.until.len() >= REMEMBERED, oldest) {
                let at = *at;
                self.until.remove(&at);
            }
        }
        self.until.insert(at, now.after(self.lasts));
    }

    /// It is not so.
    pub fn forget(&mut self, at: SocketAddr) {
        self.until.remove(&at);
    }

    /// Whether it was so lately.
    pub fn has(&self, at: SocketAddr, now: Time) -> bool {
        self.until.get(&at).is_some_and(|until| now < *until)
    }

    /// Nothing is known of any address.
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_for_a_while_and_is_bounded() {
        let mut lately = Lately::new(Duration::from_secs(10));
        let at = |port: usize| SocketAddr::from(([192, 0, 2, 3], u16::try_from(port).unwrap()));
        let time = |n: usize| Time::from_micros(1_000_000 + n as u64);
        assert!(lately.is_empty() && !lately.has(at(1), time(0)));
        lately.add(at(1), time(0));
        assert!(lately.has(at(1), time(0)) && !lately.has(at(2), time(0)));
        assert!(!lately.has(at(1), time(0).after(Duration::from_secs(10))));
        lately.forget(at(1));
        assert!(!lately.has(at(1), time(0)));
        // The newest is always there, at the cost of the oldest.
        for n in 0..5000 {
            lately.add(at(n), time(n));
            assert!(lately.has(at(n), time(n)) && lately.until.len() <= REMEMBERED);
        }
        assert!(lately.has(at(4999 - REMEMBERED + 1), time(5000)));
        assert!(!lately.has(at(4999 - REMEMBERED), time(5000)));
    }
}
