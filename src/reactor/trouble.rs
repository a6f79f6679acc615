//! Trouble that a fault rule makes on a link: octets that drip, and a connection that is cut.
//!
//! A link without trouble has nothing of this but an empty pointer.

use std::io;
use std::time::Duration;

use crate::base::Time;

/// From when on the octets before a cut are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// From now on.
    Now,
    /// From when the command that is about to be said has been written.
    Command,
    /// From when the content that follows has been written.
    Content,
}

/// A cut that is to come.
#[derive(Clone, Debug)]
struct Cut {
    left: u64,
    from: From,
}

/// So many octets in a second, for one direction.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    octets: usize,
    /// Up to when it was filled.
    filled: Time,
}

/// Octets in a second, for both directions.
#[derive(Clone, Debug)]
struct Pace {
    rate: u32,
    /// When the link is looked at again.
    next: Time,
    input: Bucket,
    output: Bucket,
}

/// A link that drips is looked at so often, or for each octet where those are rarer; also when it
/// has nothing to say: a deadline that came and went would leave an entry among the timers each
/// time.
const LOOK: Duration = Duration::from_millis(100);

impl Pace {
    fn refill(&mut self, now: Time) {
        self.input.fill(self.rate, now);
        self.output.fill(self.rate, now);
        if self.next <= now {
            let one = Duration::from_micros(1_000_000 / u64::from(self.rate) + 1);
            self.next = now.after(LOOK.max(one));
        }
    }
}

impl Bucket {
    /// Octets that have come together since the last time; at most those of a tenth of a second,
    /// so that they drip, and at least one.
    fn fill(&mut self, rate: u32, now: Time) {
        let micros = now.since(self.filled).as_micros();
        let octets = micros * u128::from(rate) / 1_000_000;
        if octets == 0 {
            return;
        }
        let most = (rate as usize / 10).max(1);
        // What is less than an octet is not lost.
        let took = octets * 1_000_000 / u128::from(rate);
        let took = Duration::from_micros(u64::try_from(took).unwrap_or(u64::MAX));
        self.filled = self.filled.after(took);
        let octets = usize::try_from(octets).unwrap_or(usize::MAX);
        self.octets = self.octets.saturating_add(octets).min(most);
    }
}

/// What is wrong with a link.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// The rule that cuts.
    by: String,
    cut: Option<Cut>,
    pace: Option<Pace>,
    /// It has been cut: nothing passes any more.
    is_cut: bool,
}

impl Trouble {
    /// The connection will be cut after so many octets more, in either direction.
    pub fn cut(&mut self, by: &str, octets: u64, from: From) {
        self.by = by.to_owned();
        self.cut = Some(Cut { left: octets, from });
    }

    /// From now on it drips.
    pub fn pace(&mut self, rate: u32, now: Time) {
        let bucket = Bucket { octets: 1, filled: now };
        let mut pace = Pace { rate: rate.max(1), next: now, input: bucket, output: bucket };
        pace.refill(now);
        self.pace = Some(pace);
    }

    /// Time has passed.
    pub fn refill(&mut self, now: Time) {
        if let Some(pace) = &mut self.pace {
            pace.refill(now);
        }
    }

    /// When more octets may pass.
    pub fn due(&self) -> Time {
        self.pace.as_ref().map_or(Time::NEVER, |pace| pace.next)
    }

    /// Octets may come in now.
    pub fn lets_in(&self) -> bool {
        self.pace.as_ref().is_none_or(|pace| pace.input.octets > 0)
    }

    /// How many octets may pass now: in, or out. An error when the connection is cut.
    pub fn allowed(&mut self, out: bool) -> io::Result<usize> {
        let pace = self
            .pace
            .as_ref()
            .map_or(usize::MAX, |pace| if out { pace.output.octets } else { pace.input.octets });
        match &self.cut {
            Some(Cut { left: 0, from: From::Now }) => {
                self.is_cut = true;
                let what = format!("the connection was cut by {}", self.by);
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, what))
            }
            Some(Cut { left, from: From::Now }) => {
                Ok(pace.min(usize::try_from(*left).unwrap_or(usize::MAX)))
            }
            _ => Ok(pace),
        }
    }

    /// So many octets have passed.
    pub fn passed(&mut self, out: bool, octets: usize) {
        if let Some(pace) = &mut self.pace {
            let bucket = if out { &mut pace.output } else { &mut pace.input };
            bucket.octets = bucket.octets.saturating_sub(octets);
        }
        if let Some(Cut { left, from: From::Now }) = &mut self.cut {
            *left = left.saturating_sub(octets as u64);
        }
    }

    /// All output has been written; `wrote` when there was some.
    pub fn flushed(&mut self) {
        if let Some(Cut { from: from @ From::Command, .. }) = &mut self.cut {
            *from = From::Now;
        }
    }

    /// The end of the content is in the output: what is counted begins behind it.
    pub fn content_ends(&mut self, flushed: bool) {
        if let Some(Cut { from: from @ From::Content, .. }) = &mut self.cut {
            *from = if flushed { From::Now } else { From::Command };
        }
    }

    /// The connection has been cut.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    #[test]
    fn octets_drip_at_their_rate_however_often_one_looks() {
        for (rate, step) in [(10, 1), (10, 40), (10, 100), (1000, 7), (3, 50)] {
            let mut trouble = Trouble::default();
            trouble.pace(rate, at(0));
            let mut passed = 0;
            for millis in (0..10_000).step_by(step) {
                trouble.refill(at(millis));
                let now = trouble.allowed(true).unwrap();
                trouble.passed(true, now);
                passed += now;
            }
            let want = rate as usize * 10;
            assert!((want * 9 / 10..=want + 1).contains(&passed), "{rate} {step}: {passed}");
        }
    }

    #[test]
    fn who_waits_for_an_octet_is_woken_for_it() {
        for (rate, soonest, latest) in [(2, 499, 502), (1000, 99, 101)] {
            let mut trouble = Trouble::default();
            assert_eq!(trouble.due(), Time::NEVER);
            trouble.pace(rate, at(0));
            assert!(trouble.lets_in());
            trouble.passed(false, 1);
            assert!(!trouble.lets_in());
            let due = trouble.due();
            assert!(due > at(soonest) && due < at(latest));
            trouble.refill(due);
            assert!(trouble.lets_in() && trouble.due() > due);
        }
    }

    #[test]
    fn a_cut_counts_from_its_place() {
        let mut now = Trouble::default();
        now.cut("x1", 5, From::Now);
        assert_eq!(now.allowed(true).unwrap(), 5);
        now.passed(true, 3);
        now.passed(false, 2);
        assert!(!now.is_cut());
        assert!(now.allowed(false).unwrap_err().to_string().contains("cut by x1"));
        assert!(now.is_cut());
        // After the command: what goes out with it is not counted.
        let mut command = Trouble::default();
        command.cut("x1", 0, From::Command);
        assert_eq!(command.allowed(true).unwrap(), usize::MAX);
        command.passed(true, 100);
        command.flushed();
        assert!(command.allowed(false).is_err());
        // After the content: neither is that.
        let mut content = Trouble::default();
        content.cut("x1", 0, From::Content);
        content.flushed();
        assert!(content.allowed(true).is_ok());
        content.content_ends(false);
        assert!(content.allowed(true).is_ok());
        content.flushed();
        assert!(content.allowed(true).is_err());
        let mut content = Trouble::default();
        content.cut("x1", 0, From::Content);
        content.content_ends(true);
        assert!(content.allowed(true).is_err());
    }
}
