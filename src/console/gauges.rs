//! Figures over time: snapshots come a few times a second, rates and sparklines are made of them.

use std::collections::VecDeque;

use crate::control::Snapshot;

/// Seconds that are kept.
const MAX_SAMPLES: usize = 120;

/// One second.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Sample {
    /// Messages accepted, per second.
    pub messages: f64,
    /// The 95th percentile of the reply to the content, in milliseconds.
    pub p95_ms: f64,
    /// Replies 4xx per second.
    pub later: f64,
    /// Replies 5xx per second.
    pub never: f64,
}

/// The last snapshot, and the seconds before it.
#[derive(Default, Debug)]
pub struct Gauges {
    last: Snapshot,
    /// From where the second that is going on is counted: the time and three counters.
    from: Option<(i64, [u64; 3])>,
    samples: VecDeque<Sample>,
}

impl Gauges {
    /// A snapshot came.
    pub fn push(&mut self, snapshot: Snapshot) {
        let counters = [snapshot.accepted, snapshot.replies_4xx, snapshot.replies_5xx];
        let (at, before) = *self.from.get_or_insert((snapshot.at_ms, counters));
        let elapsed = snapshot.at_ms.saturating_sub(at);
        // A clock that was set back, too, begins a new second.
        if !(0..1000).contains(&elapsed) {
            // Counters that went down were reset.
            let rate = |i: usize| {
                counters[i].saturating_sub(before[i]) as f64 * 1000.0 / elapsed.max(1000) as f64
            };
            if self.samples.len() == MAX_SAMPLES {
                self.samples.pop_front();
            }
            self.samples.push_back(Sample {
                messages: rate(0),
                p95_ms: snapshot.p95_ms,
                later: rate(1),
                never: rate(2),
            });
            self.from = Some((snapshot.at_ms, counters));
        }
        self.last = snapshot;
    }

    /// The last snapshot.
    pub fn last(&self) -> &Snapshot {
        &self.last
    }

    /// The last second.
    pub fn sample(&self) -> Sample {
        self.samples.back().copied().unwrap_or_default()
    }

    /// The last seconds as a line of bars, the newest on the right.
    pub fn sparkline(&self, width: usize, ascii: bool, value: fn(&Sample) -> f64) -> String {
        let bars = if ascii { "_.:-=+*#" } else { "▁▂▃▄▅▆▇█" };
        let bars: Vec<char> = bars.chars().collect();
        let skip = self.samples.len().saturating_sub(width);
        let values = || self.samples.iter().skip(skip).map(value);
        let most = values().fold(0.0, f64::max);
        let bar = |value: f64| {
            let level = if most > 0.0 { value / most * (bars.len() - 1) as f64 } else { 0.0 };
            // What is not nothing shows.
            let level = if value > 0.0 { level.ceil() } else { 0.0 };
            bars[(level as usize).min(bars.len() - 1)]
        };
        let missing = width.saturating_sub(self.samples.len());
        std::iter::repeat_n(bars[0], missing).chain(values().map(bar)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(steps: &[(i64, u64)]) -> Gauges {
        let mut gauges = Gauges::default();
        for (at_ms, accepted) in steps {
            let at_ms = *at_ms;
            gauges.push(Snapshot { at_ms, accepted: *accepted, ..Snapshot::default() });
        }
        gauges
    }

    #[test]
    fn rates_are_of_whole_seconds() {
        let gauges = after(&[(1000, 100), (1400, 150), (2000, 200), (2500, 900)]);
        assert_eq!(gauges.sample().messages, 100.0);
        assert_eq!(gauges.samples.len(), 1);
        let reset = after(&[(1000, 100), (3000, 0), (4000, 10)]);
        assert_eq!(reset.sample().messages, 10.0);
        let clock_set_back = after(&[(9000, 0), (1000, 10), (2000, 30)]);
        assert_eq!(clock_set_back.sample().messages, 20.0);
        let far_jump = after(&[(i64::MIN, 0), (i64::MAX, u64::MAX)]);
        assert!(far_jump.sample().messages.is_finite());
    }

    #[test]
    fn sparklines() {
        let steps: Vec<(i64, u64)> = (0..=8).map(|n| (n * 1000, (0..=n as u64).sum())).collect();
        let gauges = after(&steps);
        assert_eq!(gauges.sparkline(9, false, |s| s.messages), "▁▂▃▄▅▆▇██");
        assert_eq!(gauges.sparkline(4, true, |s| s.messages), "+*##");
        assert_eq!(gauges.sparkline(3, false, |s| s.later), "▁▁▁");
        assert_eq!(Gauges::default().sparkline(3, true, |s| s.messages), "___");
        let mut long = after(&[(0, 0)]);
        for n in 1..500 {
            long.push(Snapshot { at_ms: n * 1000, ..Snapshot::default() });
        }
        assert_eq!(long.samples.len(), MAX_SAMPLES);
    }
}
