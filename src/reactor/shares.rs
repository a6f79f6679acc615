//! Who has a turn when, and how much may be done in it: ticks are short, whoever comes.
//!
//! ```text
//!  an event, a timer ─┬─ has credit ──▶ fresh ─▶ a turn, paid from its credit ─┬─ dry ──▶ waits
//!                     │                                                       │
//!                     └─ has none ────▶ busy ─▶ a turn of the ring's ─────────┼─ dry ──▶ waits
//!                                        ▲                                    │
//!                                        └──────────── share spent ───────────┘
//! ```
//!
//! Work is counted, not timed, so that a simulated world runs the same twice: in octets of
//! content, which are cheap, and in steps of the machine, each worth [`STEP`] of these. A client
//! who talks as people and mail servers do never spends its credit, and is served in the tick in
//! which its octets come. Whoever does more, a flood or a large message, goes on in the ring of
//! the busy, of which a tick serves one after the other until *they together* have done [`BUSY`]:
//! so a thousand floods delay the fresh no more than one. Of the fresh a tick serves so many as do
//! [`FRESH`] together; the rest keep their places, and nobody waits longer than it takes to serve
//! once all who stand before.

use std::collections::VecDeque;
use std::time::Duration;

use super::net::Token;
use crate::base::Time;

/// What a step of a machine is worth: reading a command takes about four, and each as long as so
/// many octets of content.
pub const STEP: usize = 1024;
/// What a step of a TLS handshake is worth: signatures and the agreement on keys.
pub const HANDSHAKE: usize = 128 * 1024;
/// What one turn may do, and what a connection may have saved for one.
pub const TURN: usize = 256 * 1024;
/// What all fresh turns of a tick may do; the one that reaches this is the last.
const FRESH: usize = 4 << 20;
/// The same for those who are busy.
const BUSY: usize = 512 * 1024;
/// What a connection earns in a microsecond: 2 MB of content in a second, or 500 commands. What
/// it used up is there again after an eighth of a second.
const EARNED: usize = 2;

/// What one turn may still do. Work is counted when it is done, so the last piece may be larger
/// than what was left.
#[derive(Debug)]
pub struct Share {
    left: usize,
    spent: usize,
}

impl Share {
    /// A share of so much work.
    pub fn of(work: usize) -> Share {
        Share { left: work, spent: 0 }
    }

    /// The most that one turn may do.
    pub fn whole() -> Share {
        Share::of(TURN)
    }

    /// So much was done.
    pub fn spend(&mut self, work: usize) {
        self.left = self.left.saturating_sub(work);
        self.spent = self.spent.saturating_add(work);
    }

    /// Nothing is left of it.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// What was done.
    pub fn spent(&self) -> usize {
        self.spent
    }
}

/// What a client may do before it counts as busy: it refills with time, up to one turn.
#[derive(Clone, Copy, Debug)]
pub struct Credit {
    left: u32,
    /// Up to when it is counted what was earned.
    at: Time,
}

impl Credit {
    /// A full one.
    pub fn new(now: Time) -> Credit {
        Credit { left: TURN as u32, at: now }
    }

    /// What there is.
    pub fn left(&mut self, now: Time) -> usize {
        let micros = now.since(self.at).min(Duration::from_secs(1)).as_micros() as usize;
        self.left = (self.left as usize + EARNED * micros).min(TURN) as u32;
        self.at = now;
        self.left as usize
    }

    /// Where news puts its owner.
    pub fn lane(&mut self, now: Time) -> Lane {
        if self.left(now) == 0 { Lane::Busy } else { Lane::Fresh }
    }

    /// Work was done.
    pub fn pay(&mut self, work: usize) {
        self.left = (self.left as usize).saturating_sub(work) as u32;
    }
}

/// In which queue a connection stands, or stood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// News came for it.
    Fresh,
    /// It had its share, and wants more.
    Busy,
}

/// A queue, and what is left of it for this tick.
#[derive(Default, Debug)]
struct Queue {
    tokens: VecDeque<Token>,
    /// Those who stood there when the tick began and had no turn yet.
    round: usize,
    /// Work that they may still do together.
    work: usize,
}

impl Queue {
    fn begin(&mut self, work: usize) {
        (self.round, self.work) = (self.tokens.len(), work);
    }

    fn next(&mut self) -> Option<Token> {
        if self.round == 0 || self.work == 0 {
            return None;
        }
        self.round -= 1;
        self.tokens.pop_front()
    }
}

/// The connections that have something to do without waiting for an event, in their order.
#[derive(Default, Debug)]
pub struct Turns {
    fresh: Queue,
    busy: Queue,
}

impl Turns {
    /// Nobody wants a turn.
    pub fn is_empty(&self) -> bool {
        self.fresh.tokens.is_empty() && self.busy.tokens.is_empty()
    }

    /// Puts one at the end of its queue.
    pub fn push(&mut self, lane: Lane, token: Token) {
        self.queue(lane).tokens.push_back(token);
    }

    /// A tick's turns begin.
    pub fn begin(&mut self) {
        self.fresh.begin(FRESH);
        self.busy.begin(BUSY);
    }

    /// Whose turn is next; none when the tick's turns are over. Who is pushed meanwhile has its
    /// turn in a later tick.
    pub fn next(&mut self) -> Option<(Lane, Token)> {
        let fresh = self.fresh.next().map(|token| (Lane::Fresh, token));
        fresh.or_else(|| self.busy.next().map(|token| (Lane::Busy, token)))
    }

    /// A turn did so much. Even one that did nothing took a look.
    pub fn charge(&mut self, lane: Lane, work: usize) {
        let queue = self.queue(lane);
        queue.work = queue.work.saturating_sub(work.max(STEP));
    }

    fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Fresh => &mut self.fresh,
            Lane::Busy => &mut self.busy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    /// Runs a tick in which each turn does so much; says who had one.
    fn tick(turns: &mut Turns, mut work: impl FnMut(Lane, usize) -> usize) -> Vec<usize> {
        let mut served = vec![];
        turns.begin();
        while let Some((lane, token)) = turns.next() {
            served.push(token.0);
            let work = work(lane, token.0);
            turns.charge(lane, work);
            if lane == Lane::Busy {
                turns.push(Lane::Busy, token);
            }
        }
        served
    }

    #[test]
    fn whoever_is_fresh_is_served_in_this_tick_and_first() {
        let mut turns = Turns::default();
        (0..1000).for_each(|flood| turns.push(Lane::Busy, Token(flood)));
        for _ in 0..10 {
            turns.push(Lane::Fresh, Token(5000));
            let served = tick(&mut turns, |_, _| TURN);
            assert_eq!(served[0], 5000);
            assert_eq!(served.len(), 1 + BUSY / TURN);
        }
    }

    #[test]
    fn all_who_are_busy_get_on_one_after_the_other() {
        let mut turns = Turns::default();
        (0..1000).for_each(|flood| turns.push(Lane::Busy, Token(flood)));
        let mut had = vec![0; 1000];
        for _ in 0..10 * 1000 / (BUSY / TURN) {
            // Never so many fresh ones that nothing is left for the busy.
            (0..100).for_each(|fresh| turns.push(Lane::Fresh, Token(5000 + fresh)));
            for token in tick(&mut turns, |_, _| TURN) {
                if let Some(had) = had.get_mut(token) {
                    *had += 1;
                }
            }
            let (most, least) = (had.iter().max().unwrap(), had.iter().min().unwrap());
            assert!(most - least <= 1, "{most} turns and {least}");
        }
        assert_eq!(had, vec![10; 1000]);
    }

    #[test]
    fn a_crowd_of_fresh_ones_is_served_in_order_and_in_short_ticks() {
        let mut turns = Turns::default();
        (0..10_000).for_each(|fresh| turns.push(Lane::Fresh, Token(fresh)));
        let (mut served, mut ticks) = (vec![], 0);
        while !turns.is_empty() {
            let now = tick(&mut turns, |_, _| 20 * STEP);
            assert!(now.len() <= FRESH.div_ceil(20 * STEP));
            served.extend(now);
            ticks += 1;
        }
        assert_eq!(served, (0..10_000).collect::<Vec<_>>());
        assert_eq!(ticks, 10_000usize.div_ceil(FRESH.div_ceil(20 * STEP)));
    }

    #[test]
    fn who_comes_back_in_a_tick_has_its_turn_in_the_next() {
        let mut turns = Turns::default();
        turns.push(Lane::Fresh, Token(1));
        turns.begin();
        while let Some((lane, token)) = turns.next() {
            turns.charge(lane, 0);
            turns.push(Lane::Fresh, token);
            turns.push(Lane::Busy, token);
        }
        assert!(turns.fresh.tokens.len() == 1 && turns.busy.tokens.len() == 1);
    }

    #[test]
    fn a_credit_is_spent_refills_with_time_and_is_never_more_than_a_turn() {
        let mut credit = Credit::new(at(0));
        assert_eq!(credit.left(at(60_000)), TURN);
        credit.pay(TURN / 2);
        assert_eq!(credit.left(at(60_000)), TURN / 2);
        assert_eq!(credit.left(at(60_010)), TURN / 2 + 20_000);
        credit.pay(9 * TURN);
        assert!(credit.left(at(60_010)) == 0 && credit.lane(at(60_010)) == Lane::Busy);
        // Looking often does not lose what was earned.
        for micros in 0..10_000 {
            credit.left(Time::from_micros(60_010_000 + micros));
        }
        assert!(credit.left(at(60_020)) == 20_000 && credit.lane(at(60_020)) == Lane::Fresh);
    }

    #[test]
    fn a_share_is_spent_by_the_piece_that_reaches_its_end() {
        let mut share = Share::of(10);
        share.spend(9);
        assert!(!share.is_spent());
        share.spend(100);
        assert!(share.is_spent() && share.spent() == 109);
    }
}
