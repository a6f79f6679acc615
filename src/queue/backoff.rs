//! How long to wait: doubling between two bounds, with jitter.

use std::time::Duration;

use super::QueueConfig;

/// The wait after so many failures in a row before this one: `retry_min` doubled each time, up to
/// `retry_max`, up to 20 % more or less so that what failed together does not come back together.
/// Never below `retry_min` nor above `retry_max`: there the jitter has one side only.
pub(super) fn wait(
    config: &QueueConfig,
    failures_before: u32,
    rng: &mut fastrand::Rng,
) -> Duration {
    let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
    let min = micros(config.retry_min);
    let max = micros(config.retry_max).max(min);
    let factor = 1u64.checked_shl(failures_before).unwrap_or(u64::MAX);
    let middle = min.saturating_mul(factor).min(max);
    let low = (middle - middle / 5).max(min);
    let high = middle.saturating_add(middle / 5).min(max);
    Duration::from_micros(rng.u64(low..=high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(min: Duration, max: Duration) -> QueueConfig {
        let hour = Duration::from_secs(3600);
        QueueConfig {
            interval: hour,
            retry_min: min,
            retry_max: max,
            expire: hour,
            delay_notice: None,
        }
    }

    #[test]
    fn doubles_with_jitter_inside_the_bounds() {
        let (min, max) = (Duration::from_secs(15), Duration::from_secs(3600));
        let config = config(min, max);
        let mut rng = fastrand::Rng::with_seed(1);
        for failures in 0..80 {
            let middle = min.saturating_mul(1 << failures.min(20)).min(max);
            let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
            for _ in 0..500 {
                let wait = wait(&config, failures, &mut rng);
                assert!(wait >= min && wait <= max, "{wait:?}");
                assert!(wait >= middle.mul_f64(0.8) && wait <= middle.mul_f64(1.2), "{wait:?}");
                (least, most) = (least.min(wait), most.max(wait));
            }
            assert!(most - least > middle.mul_f64(0.15), "jitter after {failures} failures");
        }
    }

    #[test]
    fn senseless_bounds_do_no_harm() {
        let mut rng = fastrand::Rng::with_seed(1);
        let second = Duration::from_secs(1);
        for (min, max) in [(Duration::ZERO, second), (second, Duration::ZERO)] {
            let wait = wait(&config(min, max), 3, &mut rng);
            assert!(wait <= second);
        }
        assert_eq!(
            wait(&config(Duration::MAX, Duration::MAX), u32::MAX, &mut rng),
            Duration::from_micros(u64::MAX)
        );
    }
}
