//! Timers for connections, made for deadlines that move with every line.
//!
//! A deadline that moves later costs nothing: the old entry stays in the heap, and when it comes
//! up the connection is asked when it really wants to wake. So the heap holds about one entry for
//! each connection, however busy it is. Those of connections that are gone are swept out when they
//! have become the most: thousands may come and go within the five minutes that one may be silent.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::net::Token;
use crate::base::Time;

/// Entries beyond two for each connection that are not worth a sweep.
const SPARE: usize = 64;

/// A heap of times at which connections want to be asked.
#[derive(Default, Debug)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Time, usize)>>,
}

impl Timers {
    /// Asks to be woken. `armed` is the connection's own memory of its earliest entry; nothing is
    /// added when that is early enough.
    pub fn arm(&mut self, token: Token, deadline: Time, armed: &mut Time) {
        if deadline < *armed {
            *armed = deadline;
            self.heap.push(Reverse((deadline, token.0)));
        }
    }

    /// The next connection whose entry is due. The caller resets its `armed` to
    /// [`Time::NEVER`], looks at its real deadline, and arms it again.
    pub fn pop_due(&mut self, now: Time) -> Option<Token> {
        let Reverse((due, token)) = *self.heap.peek()?;
        if due > now {
            return None;
        }
        self.heap.pop();
        Some(Token(token))
    }

    /// Keeps only the entries that `counts` says are their connection's earliest, when so many
    /// connections cannot have made all of them.
    pub fn sweep(&mut self, connections: usize, mut counts: impl FnMut(Token, Time) -> bool) {
        if self.heap.len() > 2 * connections + SPARE {
            self.heap.retain(|Reverse((due, token))| counts(Token(*token), *due));
        }
    }

    /// When the next entry is due.
    pub fn next(&self) -> Time {
        self.heap.peek().map_or(Time::NEVER, |Reverse((due, _))| *due)
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_moves_later_adds_nothing() {
        let (mut timers, mut armed) = (Timers::default(), Time::NEVER);
        for micros in 10..1000 {
            timers.arm(Token(1), Time::from_micros(micros), &mut armed);
        }
        assert_eq!(timers.len(), 1);
        assert_eq!(timers.next(), Time::from_micros(10));
        timers.arm(Token(1), Time::from_micros(5), &mut armed);
        assert_eq!(timers.next(), Time::from_micros(5));
        assert_eq!(timers.pop_due(Time::from_micros(4)), None);
        assert_eq!(timers.pop_due(Time::from_micros(5)), Some(Token(1)));
    }

    #[test]
    fn those_of_the_gone_are_swept_out_when_they_are_the_most() {
        let mut timers = Timers::default();
        let arm = |timers: &mut Timers, token: usize| {
            timers.arm(Token(token), Time::from_micros(token as u64), &mut Time::NEVER.clone());
        };
        (0..SPARE + 20).for_each(|token| arm(&mut timers, token));
        timers.sweep(10, |_, _| unreachable!("not worth it"));
        arm(&mut timers, 1000);
        timers.sweep(10, |token, due| due == Time::from_micros(1000) && token == Token(1000));
        assert_eq!((timers.len(), timers.next()), (1, Time::from_micros(1000)));
    }
}
