//! The clock: the only place where the machine's time is read.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::base::{Now, Time, Wall};

/// Monotonic and calendar time of the machine.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts at zero now.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Both times.
    pub fn now(&self) -> Now {
        let micros = self.start.elapsed().as_micros();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros());
        Now {
            time: Time::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)),
            wall: Wall::from_micros(i64::try_from(wall).unwrap_or(i64::MAX)),
        }
    }
}

/// The calendar time, for the commands that run without a loop.
pub fn wall_clock() -> Wall {
    Clock::new().now().wall
}
