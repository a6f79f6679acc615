//! Who has failed to log in, how often, and what that costs: the fourth failure in ten minutes and
//! each after it is answered slowly, and after the tenth nobody there may try again for a while.
//!
//! Clients are told apart as for other limits, by address or by network. The table is bounded: who
//! floods it with addresses makes it forget the oldest, not grow.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::base::Time;

/// Failures count for so long.
const WINDOW: Duration = Duration::from_secs(600);
/// So many are answered at once.
const PATIENCE: usize = 3;
/// So many, and there is no further attempt.
const LIMIT: usize = 10;
/// How much longer each failure waits than the one before, and the longest wait.
const STEP: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);
/// Clients that are remembered.
const CLIENTS: usize = 10_000;

/// What a failure costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Penalty {
    /// Nothing: people mistype.
    None,
    /// The answer comes after so long.
    Wait(Duration),
    /// It was one too many: the connection ends.
    Close,
}

/// The failures of all clients.
#[derive(Default, Debug)]
pub struct Failures {
    /// When each failed, the oldest first; never more than [`LIMIT`] times.
    clients: HashMap<IpAddr, Vec<Time>>,
}

impl Failures {
    /// A client has failed.
    pub fn failed(&mut self, client: IpAddr, now: Time) -> Penalty {
        self.make_room(client, now);
        let times = self.clients.entry(client).or_default();
        times.retain(|t| counts(*t, now));
        if times.len() < LIMIT {
            times.push(now);
        }
        match times.len() {
            LIMIT => Penalty::Close,
            n if n > PATIENCE => Penalty::Wait((STEP * (n - PATIENCE) as u32).min(LONGEST)),
            _ => Penalty::None,
        }
    }

    /// Whether a client has failed too often to try again now.
    pub fn is_barred(&self, client: IpAddr, now: Time) -> bool {
        let times = self.clients.get(&client);
        times.is_some_and(|times| times.iter().filter(|t| counts(**t, now)).count() >= LIMIT)
    }

    /// Clients that are remembered now.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Forgets those whose failures count no more, then the one who failed longest ago.
    fn make_room(&mut self, client: IpAddr, now: Time) {
        if self.clients.len() < CLIENTS || self.clients.contains_key(&client) {
            return;
        }
        let last = |times: &Vec<Time>| times.last().copied().unwrap_or(Time::ZERO);
        self.clients.retain(|_, times| counts(last(times), now));
        if self.clients.len() >= CLIENTS {
            let oldest = self.clients.iter().min_by_key(|(_, times)| last(times));
            if let Some(oldest) = oldest.map(|(ip, _)| *ip) {
                self.clients.remove(&oldest);
            }
        }
    }
}

fn counts(failure: Time, now: Time) -> bool {
    now.since(failure) < WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn client(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from(n).into()
    }

    #[test]
    fn slow_from_the_fourth_and_over_with_the_tenth() {
        let mut failures = Failures::default();
        let wait = |seconds| Penalty::Wait(Duration::from_secs(seconds));
        let expected = [
            Penalty::None,
            Penalty::None,
            Penalty::None,
            wait(1),
            wait(2),
            wait(3),
            wait(4),
            wait(5),
            wait(5),
            Penalty::Close,
        ];
        for (n, penalty) in (0..).zip(expected) {
            assert!(!failures.is_barred(client(1), at(n)));
            assert_eq!(failures.failed(client(1), at(n)), penalty, "{n}");
        }
        assert!(failures.is_barred(client(1), at(599)));
        assert!(!failures.is_barred(client(2), at(599)));
        assert_eq!(failures.failed(client(1), at(599)), Penalty::Close);
        // The first ones count no more.
        assert!(!failures.is_barred(client(1), at(603)));
        assert_eq!(failures.failed(client(1), at(603)), wait(4));
        assert_eq!(failures.failed(client(1), at(5000)), Penalty::None);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut failures = Failures::default();
        let n = CLIENTS as u32;
        for i in 0..n + 5 {
            failures.failed(client(i), at(u64::from(i) / 100));
        }
        assert_eq!(failures.len(), CLIENTS);
        // The last is remembered, the first is not.
        failures.failed(client(n + 4), at(101));
        failures.failed(client(n + 4), at(101));
        assert_ne!(failures.failed(client(n + 4), at(101)), Penalty::None);
        failures.failed(client(u32::MAX), at(10_000));
        assert_eq!(failures.len(), 1);
    }
}
