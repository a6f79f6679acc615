//! Time as data: constructible integers, so that a simulation can own the clock.
//!
//! [`Time`] is monotonic and orders everything the server waits for. [`Wall`] is the calendar and
//! is used only where people or other machines read it: headers, logs, the expiry of mail.
//! `Instant::now` and `SystemTime::now` are called in the reactor's clock and nowhere else.

use std::fmt;
use std::time::Duration;

/// A point of monotonic time, in microseconds since the server started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Time(u64);

impl Time {
    /// The start of the server.
    pub const ZERO: Time = Time(0);
    /// Later than anything that happens.
    pub const NEVER: Time = Time(u64::MAX);

    /// A time so many microseconds after the start.
    pub const fn from_micros(micros: u64) -> Time {
        Time(micros)
    }

    /// Microseconds since the start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This time and a while more; saturates at [`Time::NEVER`].
    #[must_use]
    pub fn after(self, wait: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero when it is not in the past.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A point of the calendar, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Wall(i64);

impl Wall {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Wall {
        Wall(micros)
    }

    /// From seconds since the epoch.
    pub const fn from_secs(secs: i64) -> Wall {
        Wall(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This time and a while more.
    #[must_use]
    pub fn after(self, wait: Duration) -> Wall {
        Wall(self.0.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)))
    }

    /// This time and a while less.
    #[must_use]
    pub fn before(self, wait: Duration) -> Wall {
        Wall(self.0.saturating_sub(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was; zero when the clock was set back meanwhile.
    pub fn since(self, earlier: Wall) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// The date-time of RFC 5322 section 3.3, in UTC: `Mon, 23 Nov 2026 18:42:26 +0000`.
    pub fn rfc5322(self) -> String {
        jiff::fmt::strtime::format("%a, %d %b %Y %H:%M:%S +0000", self.timestamp())
            .unwrap_or_default()
    }

    /// ISO 8601 in UTC, whole seconds: `2026-11-23T18:42:26Z`.
    pub fn iso8601(self) -> String {
        jiff::fmt::strtime::format("%Y-%m-%dT%H:%M:%SZ", self.timestamp()).unwrap_or_default()
    }

    /// The day in UTC: `2026-11-23`.
    pub fn date(self) -> String {
        jiff::fmt::strtime::format("%Y-%m-%d", self.timestamp()).unwrap_or_default()
    }

    /// The time of day to the millisecond, as transcripts show it: `18:42:26.123`.
    pub fn clock(self) -> String {
        let day_us = self.0.rem_euclid(86_400_000_000);
        let (s, ms) = (day_us / 1_000_000, day_us / 1000 % 1000);
        format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso8601())
    }
}

/// Both clocks, read once per tick and handed to every pure part.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Now {
    /// For waiting.
    pub time: Time,
    /// For people.
    pub wall: Wall,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_the_standards_write_them() {
        let t = Wall::from_micros(1_787_510_546_123_456);
        assert_eq!(t.rfc5322(), "Sun, 23 Aug 2026 18:42:26 +0000");
        assert_eq!(t.iso8601(), "2026-08-23T18:42:26Z");
        assert_eq!((t.date().as_str(), t.clock().as_str()), ("2026-08-23", "18:42:26.123"));
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time::NEVER.after(Duration::from_secs(1)), Time::NEVER);
        assert_eq!(Time::ZERO.since(Time::from_micros(5)), Duration::ZERO);
        assert_eq!(Wall::from_secs(5).since(Wall::from_secs(9)), Duration::ZERO);
    }
}
