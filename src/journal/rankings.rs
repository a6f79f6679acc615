//! Who and what comes most often: clients, senders, recipients and replies, since the start and
//! over the last minutes and hours.
//!
//! Each five minutes have tables of their own; after an hour they are poured into those of their
//! hour, which are kept for a day. A question for the last so long merges what it covers.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::top::{Extra, Top};
use crate::base::{Printable, Time};

/// What is ranked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Table {
    /// Clients by address; the count is that of their sessions, messages and refusals together.
    /// Sums: sessions, messages, their octets, refusals.
    Clients,
    /// Senders of accepted messages. Sums: octets, recipients.
    Senders,
    /// Recipients, by attempts. Sums: delivered, deferred, failed.
    Recipients,
    /// Replies 4xx and 5xx to clients, with their texts.
    Replies,
    /// Replies 4xx and 5xx of next servers, with their texts.
    NextReplies,
}

const TABLES: usize = 5;
type Tables = [Top; TABLES];

/// One line of a ranking.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ranked {
    /// Address, or reply.
    pub name: Printable,
    /// How often, at most.
    pub count: u64,
    /// By how much that may be too high.
    pub error: u64,
    /// What [`Table`] says of sums.
    pub sums: Extra,
}

/// Periods of five minutes in an hour, and hours in a day.
const PERIODS: usize = 12;
const HOURS: usize = 24;
const PERIOD: Duration = Duration::from_secs(300);

/// All tables.
#[derive(Debug, Default)]
pub struct Rankings {
    start: Tables,
    /// The tables of the period that runs, and when it ends.
    current: Tables,
    ends: Time,
    /// Past periods and, before them, past hours; oldest first.
    periods: VecDeque<Past>,
    hours: VecDeque<Past>,
}

/// The tables of one period or of several.
#[derive(Debug)]
struct Past {
    /// When the first of its periods ended, and the last.
    ends: (Time, Time),
    tables: Tables,
}

impl Rankings {
    /// Counts a key.
    pub fn add(&mut self, table: Table, key: &[u8], sums: Extra) {
        self.start[table as usize].add(key, 1, sums);
        self.current[table as usize].add(key, 1, sums);
    }

    /// Counts a client.
    pub fn add_client(&mut self, ip: IpAddr, sums: Extra) {
        match ip {
            IpAddr::V4(ip) => self.add(Table::Clients, &ip.octets(), sums),
            IpAddr::V6(ip) => self.add(Table::Clients, &ip.octets(), sums),
        }
    }

    /// Time goes on.
    pub fn roll(&mut self, now: Time) {
        if now < self.ends {
            return;
        }
        let period = PERIOD.as_micros() as u64;
        let next = Time::from_micros((now.as_micros() / period + 1).saturating_mul(period));
        let ended = std::mem::replace(&mut self.ends, next);
        let tables = std::mem::take(&mut self.current);
        self.periods.push_back(Past { ends: (ended, ended), tables });
        if self.periods.len() > PERIODS {
            self.pour_into_hour();
        }
    }

    /// The oldest period becomes part of the last hour, or begins one.
    fn pour_into_hour(&mut self) {
        let Some(oldest) = self.periods.pop_front() else { return };
        let hour = PERIOD * PERIODS as u32;
        let belongs = |to: &&mut Past| oldest.ends.1.since(to.ends.0) < hour;
        match self.hours.back_mut().filter(belongs) {
            Some(hour) => {
                hour.ends.1 = oldest.ends.1;
                let pairs = hour.tables.iter_mut().zip(&oldest.tables);
                pairs.for_each(|(hour, more)| hour.merge(more));
            }
            None => self.hours.push_back(oldest),
        }
        if self.hours.len() > HOURS {
            self.hours.pop_front();
        }
    }

    /// The most frequent of a table: of the last so long (rounded up to whole periods), or since
    /// the start.
    pub fn most(&self, table: Table, last: Option<(Duration, Time)>, limit: usize) -> Vec<Ranked> {
        let i = table as usize;
        let ranked = |top: &Top| {
            let most = top.most(limit).into_iter();
            most.map(|entry| Ranked {
                name: name_of(table, entry.key()),
                count: entry.count,
                error: entry.error,
                sums: entry.extra,
            })
            .collect()
        };
        let Some((last, now)) = last else { return ranked(&self.start[i]) };
        let mut merged = self.current[i].clone();
        let past = self.hours.iter().chain(&self.periods);
        for past in past.filter(|past| now.since(past.ends.1) < last) {
            merged.merge(&past.tables[i]);
        }
        ranked(&merged)
    }
}

fn name_of(table: Table, key: &[u8]) -> Printable {
    if table != Table::Clients {
        return Printable::new(key);
    }
    let v4 = <[u8; 4]>::try_from(key).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(key).map(IpAddr::from);
    v4.or(v6).map_or_else(|_| Printable::new(key), |ip| Printable::new(ip.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Time {
        Time::from_micros(secs * 1_000_000)
    }

    #[test]
    fn clients_are_named_by_address() {
        let mut r = Rankings::default();
        for ip in ["192.0.2.7", "2001:db8::1", "192.0.2.7"] {
            r.add_client(ip.parse().unwrap(), [1, 1, 100, 0]);
        }
        let most = r.most(Table::Clients, None, 9);
        let shown: Vec<_> = most.iter().map(|m| (m.name.as_str(), m.count, m.sums[2])).collect();
        assert_eq!(shown, [("192.0.2.7", 2, 200), ("2001:db8::1", 1, 100)]);
        assert_eq!(r.most(Table::Senders, None, 9), []);
    }

    #[test]
    fn the_past_is_asked_by_periods_and_hours_and_is_bounded() {
        let mut r = Rankings::default();
        for second in (0..200_000).step_by(10) {
            r.roll(at(second));
            r.add(Table::Senders, b"a@b", [0; 4]);
        }
        let now = at(200_000);
        let count = |last: Option<u64>| {
            let last = last.map(|secs| (Duration::from_secs(secs), now));
            r.most(Table::Senders, last, 1)[0].count * 10
        };
        assert_eq!(count(None), 200_000);
        assert!((600..=900).contains(&count(Some(600))), "{}", count(Some(600)));
        assert!((3600..=4200).contains(&count(Some(3600))), "{}", count(Some(3600)));
        assert!((36_000..=40_000).contains(&count(Some(36_000))), "{}", count(Some(36_000)));
        assert!(r.periods.len() <= PERIODS && r.hours.len() <= HOURS);
    }
}
