//! What the resolver knows for the time being.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::fault::Fault;
use super::name::Name;
use super::wire::Question;
use crate::base::Time;

/// Answers that are kept at once.
const MAX_ENTRIES: usize = 4096;
/// An answer holds at least so long, whatever its TTL: those who wait for it need the time to
/// read it, and RFC 9520 section 3.2 wants it of failures.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// An answer is believed at most so long.
pub const LONGEST: Duration = Duration::from_secs(86_400);
/// A "no" is believed at most so long (RFC 2308 section 5 suggests one to three hours).
pub const LONGEST_NO: Duration = Duration::from_secs(3600);

/// A mail exchange.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Exchange {
    /// The lower, the sooner it is tried.
    pub preference: u16,
    /// Its name; the root says that the domain takes no mail (RFC 7505).
    pub host: Name,
}

/// What is known of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Addresses of one family; not empty.
    Addresses(Vec<IpAddr>),
    /// Mail exchanges; not empty.
    Exchanges(Vec<Exchange>),
    /// The name is another name for this one, of which nothing was said yet.
    Alias(Name),
    /// The name exists, and has nothing of the kind.
    NoData,
    /// The name does not exist.
    NoName,
    /// Nobody could say.
    Fault(Fault),
}

impl Answer {
    /// For how long it is believed when its records say so many seconds.
    pub fn lifetime(&self, ttl: u32) -> Duration {
        let longest = match self {
            Answer::NoData | Answer::NoName => LONGEST_NO,
            Answer::Fault(_) => SHORTEST,
            _ => LONGEST,
        };
        Duration::from_secs(ttl.into()).clamp(SHORTEST, longest)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Addresses(all) => {
                let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                f.write_str(&all.join(", "))
            }
            Answer::Exchanges(all) => {
                let all: Vec<String> = all
                    .iter()
                    .map(|mx| format!("{} {}", mx.preference, mx.host.as_str()))
                    .collect();
                f.write_str(&all.join(", "))
            }
            Answer::Alias(name) => write!(f, "another name for {}", name.as_str()),
            Answer::NoData => f.write_str("nothing of this kind"),
            Answer::NoName => f.write_str("no such name"),
            Answer::Fault(fault) => fault.fmt(f),
        }
    }
}

/// Answers by question, each until its time; when there are too many, those go first that would
/// soonest go by themselves.
#[derive(Default, Debug)]
pub struct Cache {
    answers: HashMap<Question, (Answer, Time)>,
    ends: BTreeSet<(Time, Question)>,
}

impl Cache {
    /// What is known now.
    pub fn get(&self, question: &Question, now: Time) -> Option<&Answer> {
        self.answers.get(question).filter(|(_, until)| *until > now).map(|(answer, _)| answer)
    }

    /// Keeps an answer.
    pub fn put(&mut self, question: Question, answer: Answer, lifetime: Duration, now: Time) {
        let until = now.after(lifetime);
        if let Some((_, old)) = self.answers.insert(question.clone(), (answer, until)) {
            self.ends.remove(&(old, question.clone()));
        }
        self.ends.insert((until, question));
        while let Some((end, _)) = self.ends.first() {
            if self.answers.len() <= MAX_ENTRIES && *end > now {
                break;
            }
            if let Some((_, question)) = self.ends.pop_first() {
                self.answers.remove(&question);
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.answers.clear();
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::wire::Kind;

    fn question(n: usize) -> Question {
        Question { name: Name::parse(&format!("n{n}.example")).unwrap(), kind: Kind::A }
    }

    #[test]
    fn answers_end_with_their_time() {
        let mut cache = Cache::default();
        let second = Duration::from_secs(1);
        cache.put(question(1), Answer::NoData, second, Time::ZERO);
        assert_eq!(cache.get(&question(1), Time::ZERO), Some(&Answer::NoData));
        assert_eq!(cache.get(&question(1), Time::ZERO.after(second)), None);
        cache.put(question(1), Answer::NoName, 3 * second, Time::ZERO.after(second));
        assert_eq!(cache.get(&question(1), Time::ZERO.after(2 * second)), Some(&Answer::NoName));
        cache.clear();
        assert_eq!(cache.get(&question(1), Time::ZERO), None);
    }

    #[test]
    fn there_are_never_too_many() {
        let mut cache = Cache::default();
        for n in 0..3 * MAX_ENTRIES {
            let lifetime = Duration::from_secs(if n == 7 { 9999 } else { 10 });
            cache.put(question(n), Answer::NoData, lifetime, Time::from_micros(n as u64));
            assert!(cache.answers.len() <= MAX_ENTRIES && cache.ends.len() <= MAX_ENTRIES);
        }
        let now = Time::from_micros(3 * MAX_ENTRIES as u64);
        assert!(cache.get(&question(7), now).is_some(), "it would hold for long");
        assert!(cache.get(&question(8), now).is_none());
        assert!(cache.get(&question(3 * MAX_ENTRIES - 1), now).is_some());
    }

    #[test]
    fn lifetimes_have_bounds() {
        assert_eq!(Answer::NoData.lifetime(0), SHORTEST);
        assert_eq!(Answer::NoName.lifetime(u32::MAX), LONGEST_NO);
        assert_eq!(Answer::Alias(Name::root()).lifetime(u32::MAX), LONGEST);
        assert_eq!(Answer::Addresses(vec![]).lifetime(300), Duration::from_secs(300));
    }
}
