//! How much mail each client, sender or user has sent of late.
//!
//! A bucket for each holds as many tokens as the rate has in its unit (60 of `60/m`) and gains one
//! after each spacing (a second). It is kept as the time at which it is full again: no timers, and
//! a bucket that is full need not be kept at all. Buckets are bounded (I9): when there are too
//! many, the one that is nearest to full goes, which forgives the least.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};

use super::Per;
use crate::base::{Rate, Time};
use crate::rules::expr::Fields;

/// Buckets of one limit.
const MAX_BUCKETS: usize = 10_000;

/// Whose bucket it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Owner {
    /// An address; of IPv6 the first of its /64, which is what one subscriber has.
    Client(IpAddr),
    /// A sender or a user, in lower case.
    Name(Box<str>),
}

impl Owner {
    /// Whose mail this is; none when nobody's in the sense of the limit.
    pub fn of(per: Per, fields: &Fields<'_>) -> Option<Owner> {
        let name = |name: &str| Owner::Name(name.to_ascii_lowercase().into());
        match per {
            Per::Client => fields.client.map(|ip| {
                Owner::Client(match ip.to_canonical() {
                    IpAddr::V6(v6) => {
                        Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into()
                    }
                    v4 => v4,
                })
            }),
            Per::Sender => fields.from.map(name),
            Per::User => fields.user.map(name),
        }
    }
}

/// The buckets of one limit that are not full.
#[derive(Default, Debug)]
pub struct Buckets {
    /// When each is full again.
    full: HashMap<Owner, Time>,
    /// The same by time.
    order: BTreeSet<(Time, Owner)>,
}

impl Buckets {
    /// Whether there is a token.
    pub fn has(&self, owner: &Owner, rate: Rate, now: Time) -> bool {
        let full = self.full.get(owner).copied().unwrap_or(Time::ZERO).max(now);
        // With one token out of N the bucket is full after one spacing, with all out after N.
        full.since(now) <= rate.spacing() * (rate.count() - 1)
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, owner: Owner, rate: Rate, now: Time) -> bool {
        if !self.has(&owner, rate, now) {
            return false;
        }
        while self.order.first().is_some_and(|(full, _)| *full <= now) {
            self.drop_first();
        }
        let before = self.full.get(&owner).copied();
        if let Some(before) = before {
            self.order.remove(&(before, owner.clone()));
        } else if self.full.len() >= MAX_BUCKETS {
            self.drop_first();
        }
        let full = before.unwrap_or(now).max(now).after(rate.spacing());
        self.order.insert((full, owner.clone()));
        self.full.insert(owner, full);
        true
    }

    fn drop_first(&mut self) {
        if let Some((_, owner)) = self.order.pop_first() {
            self.full.remove(&owner);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.full.len(), self.order.len());
        self.full.len()
    }
}
