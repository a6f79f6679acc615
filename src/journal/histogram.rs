//! Log-linear histograms: fixed memory, one addition a value, percentiles within six percent.
//!
//! Values are integers (microseconds, or octets). Up to 8 each value has a bucket of its own;
//! above, each power of two is divided into eight buckets of equal width, so that a bucket is
//! never wider than an eighth of its values. What is beyond 2^40 (12 days, 1 TiB) counts there.

/// Bits that tell values within a power of two apart.
const SUB_BITS: u32 = 3;
const SUBS: usize = 1 << SUB_BITS;
/// Values from `1 << MAX_BITS` share the last bucket.
const MAX_BITS: u32 = 40;
const BUCKETS: usize = (MAX_BITS - SUB_BITS + 1) as usize * SUBS;

/// Counts of values by size.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// Counts wrap: only differences between two moments are ever looked at for a window.
    buckets: [u32; BUCKETS],
    max: u64,
}

/// The summary of a [`Histogram`], in its unit.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Percentiles {
    /// How many values.
    pub count: u64,
    /// Half of the values are at most this.
    pub p50: u64,
    /// 95 of 100.
    pub p95: u64,
    /// 99 of 100.
    pub p99: u64,
    /// All of them.
    pub max: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram::EMPTY
    }
}

fn bucket_of(value: u64) -> usize {
    if value < SUBS as u64 {
        return value as usize;
    }
    let power = value.ilog2();
    if power >= MAX_BITS {
        return BUCKETS - 1;
    }
    let sub = (value >> (power - SUB_BITS)) as usize & (SUBS - 1);
    (power - SUB_BITS + 1) as usize * SUBS + sub
}

/// The smallest and the largest value of a bucket.
fn range_of(bucket: usize) -> (u64, u64) {
    let Some(shift) = (bucket / SUBS).checked_sub(1) else {
        return (bucket as u64, bucket as u64);
    };
    let low = ((SUBS + bucket % SUBS) as u64) << shift;
    (low, low + (1 << shift) - 1)
}

impl Histogram {
    /// Nothing is counted yet.
    pub const EMPTY: Histogram = Histogram { buckets: [0; BUCKETS], max: 0 };

    /// Counts one value.
    pub fn add(&mut self, value: u64) {
        let bucket = &mut self.buckets[bucket_of(value)];
        *bucket = bucket.wrapping_add(1);
        self.max = self.max.max(value);
    }

    /// The summary of what was added since `earlier` was copied from this histogram; without one,
    /// of everything.
    pub fn percentiles(&self, earlier: Option<&Histogram>) -> Percentiles {
        let count_of = |i: usize| {
            self.buckets[i].wrapping_sub(earlier.map_or(0, |earlier| earlier.buckets[i]))
        };
        let count: u64 = (0..BUCKETS).map(|i| u64::from(count_of(i))).sum();
        let mut out = Percentiles { count, ..Percentiles::default() };
        let ranks = [50, 95, 99].map(|percent| (count * percent).div_ceil(100).max(1));
        let (mut below, mut top) = (0, 0);
        for i in (0..BUCKETS).filter(|i| count_of(*i) > 0) {
            let upto = below + u64::from(count_of(i));
            let (low, high) = range_of(i);
            let middle = (low + (high - low) / 2).min(self.max);
            for (rank, value) in ranks.iter().zip([&mut out.p50, &mut out.p95, &mut out.p99]) {
                if (below + 1..=upto).contains(rank) {
                    *value = middle;
                }
            }
            (below, top) = (upto, high);
        }
        // The exact maximum is known since the start; in a window it is that of its last bucket.
        let exact = earlier.is_none() || bucket_of(self.max) == bucket_of(top);
        out.max = if count == 0 {
            0
        } else if exact {
            self.max
        } else {
            top
        };
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_tile_the_numbers() {
        let mut next = 0;
        for bucket in 0..BUCKETS {
            let (low, high) = range_of(bucket);
            assert_eq!(low, next);
            assert!(bucket_of(low) == bucket && bucket_of(high) == bucket);
            assert!((high - low) * 8 <= low, "a bucket is at most an eighth wide");
            next = high + 1;
        }
        assert_eq!(next, 1 << MAX_BITS);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_within_a_sixteenth() {
        let mut h = Histogram::default();
        for v in 1..=10_000 {
            h.add(v);
        }
        let p = h.percentiles(None);
        for (got, want) in [(p.p50, 5000), (p.p95, 9500), (p.p99, 9900)] {
            assert!(u64::abs_diff(got, want) * 16 <= want, "{got} for {want}");
        }
        assert_eq!((p.count, p.max), (10_000, 10_000));
    }

    #[test]
    fn few_values_and_none() {
        let mut h = Histogram::default();
        assert_eq!(h.percentiles(None), Percentiles::default());
        h.add(7);
        assert_eq!(h.percentiles(None), Percentiles { count: 1, p50: 7, p95: 7, p99: 7, max: 7 });
        h.add(u64::MAX);
        let p = h.percentiles(None);
        assert_eq!((p.p50, p.max), (7, u64::MAX));
    }

    #[test]
    fn a_window_sees_only_what_came_after() {
        let mut h = Histogram::default();
        h.add(1_000_000);
        let earlier = h.clone();
        assert_eq!(h.percentiles(Some(&earlier)), Percentiles::default());
        h.add(5);
        let p = h.percentiles(Some(&earlier));
        assert_eq!((p.count, p.p99, p.max), (1, 5, 5));
        h.add(2_000_000);
        assert_eq!(h.percentiles(Some(&earlier)).max, 2_000_000);
    }
}
