//! Rates as people write them: `60/m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// So many in so long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    count: u32,
    unit: char,
}

impl Rate {
    /// The most that can be asked for.
    const MOST: u32 = 1_000_000;

    /// How many.
    pub fn count(self) -> u32 {
        self.count
    }

    /// In how long.
    pub fn unit(self) -> Duration {
        Duration::from_secs(match self.unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => 86_400,
        })
    }

    /// How far apart they are when they are spread evenly.
    pub fn spacing(self) -> Duration {
        self.unit() / self.count
    }
}

impl FromStr for Rate {
    type Err = ();

    /// A number from 1, a slash, and one of s, m, h and d.
    fn from_str(text: &str) -> Result<Rate, ()> {
        let (count, unit) = text.split_once('/').ok_or(())?;
        let unit = match unit.trim() {
            "s" => 's',
            "m" => 'm',
            "h" => 'h',
            "d" => 'd',
            _ => return Err(()),
        };
        let count = count.trim();
        if !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(());
        }
        let count = count.parse().ok().filter(|n| (1..=Rate::MOST).contains(n)).ok_or(())?;
        Ok(Rate { count, unit })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_spread() {
        let spacing = |text: &str| text.parse::<Rate>().unwrap().spacing();
        assert_eq!(spacing("60/m"), Duration::from_secs(1));
        assert_eq!(spacing("4 / s"), Duration::from_millis(250));
        assert_eq!(spacing("1/d"), Duration::from_secs(86_400));
        assert_eq!("10/h".parse::<Rate>().unwrap().to_string(), "10/h");
        for wrong in ["", "60", "60/", "/m", "0/m", "60/min", "-1/s", "+1/s", "1000001/s", "1/M"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}
