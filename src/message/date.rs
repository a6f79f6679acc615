//! Dates of RFC 5322 section 3.3, and the obsolete ones of section 4.3.

use jiff::civil::{self, DateTime, Weekday};
use jiff::tz::Offset;

use super::structured::without_comments;
use crate::base::Wall;

/// A date-time, and what is odd about how it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Date {
    /// To the second.
    pub at: Wall,
    /// Minutes east of UTC; none when the zone says that it is not known (`-0000`, or a name
    /// without meaning).
    pub offset_min: Option<i16>,
    /// Written in the obsolete syntax: a year of two or three digits, a zone by name.
    pub obsolete: bool,
    /// The day of the week is not that of the date.
    pub wrong_weekday: bool,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Zones by name, in hours east (section 4.3).
const ZONES: [(&str, i16); 10] = [
    ("ut", 0),
    ("gmt", 0),
    ("est", -5),
    ("edt", -4),
    ("cst", -6),
    ("cdt", -5),
    ("mst", -7),
    ("mdt", -6),
    ("pst", -8),
    ("pdt", -7),
];

impl Date {
    /// Reads an unfolded value; comments may stand anywhere in it.
    pub fn parse(unfolded: &[u8]) -> Option<Date> {
        let text = without_comments(unfolded).to_ascii_lowercase();
        // Commas and colons as words of their own: blanks may stand around them, or not.
        let text = String::from_utf8(text).ok()?.replace(',', " , ").replace(':', " : ");
        let words: Vec<&str> = text.split_ascii_whitespace().take(20).collect();
        let (weekday, rest) = match &words[..] {
            [day, ",", rest @ ..] => (Some(DAYS.iter().position(|d| d == day)?), rest),
            rest => (None, rest),
        };
        let [day, month, year, hour, ":", minute, rest @ ..] = rest else { return None };
        let (second, rest) = match rest {
            [":", second, rest @ ..] => (number(second, 2, 2)?, rest),
            rest => (0, rest),
        };
        let (zone, mut obsolete) = match rest {
            [zone] => zone_of(zone)?,
            _ => return None,
        };
        let month = MONTHS.iter().position(|m| m == month)? as i8 + 1;
        let (year, short) = year_of(year)?;
        obsolete |= short;
        // A leap second is the last instant of its minute (RFC 5322 section 3.3 allows 60).
        let leap = second == 60;
        let second = if leap { 59 } else { second };
        let date = civil::Date::new(year, month, number(day, 1, 2)? as i8).ok()?;
        let time = civil::Time::new(
            number(hour, 2, 2)? as i8,
            number(minute, 2, 2)? as i8,
            second as i8,
            0,
        );
        let local = DateTime::from_parts(date, time.ok()?);
        let local_s = Offset::UTC.to_timestamp(local).ok()?.as_second();
        let at_s = local_s - i64::from(zone.unwrap_or(0)) * 60 + i64::from(leap);
        let is_day = |day: usize| day == weekday_number(date.weekday());
        Some(Date {
            at: Wall::from_secs(at_s),
            offset_min: zone,
            obsolete,
            wrong_weekday: !weekday.is_none_or(is_day),
        })
    }
}

fn weekday_number(day: Weekday) -> usize {
    day.to_monday_zero_offset() as usize
}

fn number(word: &str, min: usize, max: usize) -> Option<u16> {
    let digits = (min..=max).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
    word.parse().ok().filter(|_| digits)
}

/// The year, and whether it is written with too few digits (section 4.3).
fn year_of(word: &str) -> Option<(i16, bool)> {
    let year = number(word, 2, 4)? as i16;
    match (word.len(), year) {
        (2, 0..=49) => Some((2000 + year, true)),
        (2 | 3, _) => Some((1900 + year, true)),
        // Mail is younger; RFC 5322 allows no year before 1900.
        (_, 1900..) => Some((year, false)),
        _ => None,
    }
}

/// The zone, and whether it is written as a name.
fn zone_of(word: &str) -> Option<(Option<i16>, bool)> {
    if let Some(digits) = word.strip_prefix(['+', '-']) {
        let zone = number(digits, 4, 4)? as i16;
        // The last two digits are minutes of an hour.
        let minutes = (zone % 100 < 60).then_some(zone / 100 * 60 + zone % 100)?;
        let east = if word.starts_with('-') { -minutes } else { minutes };
        return Some(((word != "-0000").then_some(east), false));
    }
    if let Some((_, hours)) = ZONES.iter().find(|(name, _)| *name == word) {
        return Some((Some(hours * 60), true));
    }
    // Military letters were defined the wrong way round, others never: they say nothing.
    word.bytes().all(|b| b.is_ascii_alphabetic()).then_some((None, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(i64, Option<i16>, bool, bool)> {
        let date = Date::parse(text.as_bytes())?;
        Some((date.at.as_secs(), date.offset_min, date.obsolete, date.wrong_weekday))
    }

    #[test]
    fn dates_of_the_standard() {
        // From RFC 5322 appendix A, and around it.
        for (text, want) in [
            ("Fri, 21 Nov 1997 09:55:06 -0600", (880_127_706, Some(-360), false, false)),
            ("Tue, 1 Jul 2003 10:52:37 +0200", (1_057_049_557, Some(120), false, false)),
            ("Thu,\t13\r\n Feb 1969 23:32 -0330", (-27_723_480, Some(-210), false, false)),
            ("1 Jan 1970 00:00:00 +0000 (UTC)", (0, Some(0), false, false)),
            ("Mon, 1 Jan 1970 00:00:00 -0000", (0, None, false, true)),
            ("31 Dec 1998 23:59:60 GMT", (915_148_800, Some(0), true, false)),
        ] {
            assert_eq!(parse(text), Some(want), "{text}");
        }
    }

    #[test]
    fn obsolete_dates() {
        for (text, want) in [
            ("21 Nov 97 09:55:06 GMT", (880_106_106, Some(0), true, false)),
            ("21 Nov 097 09:55:06 EST", (880_124_106, Some(-300), true, false)),
            (
                "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600",
                (880_127_706, Some(-360), false, false),
            ),
            ("1 Jan 00 00:00 z", (946_684_800, None, true, false)),
            ("1 Jan 2000 00:00 CEST", (946_684_800, None, true, false)),
        ] {
            assert_eq!(parse(text), Some(want), "{text}");
        }
    }

    #[test]
    fn no_dates() {
        for text in [
            "",
            "Fri, 21 Nov 1997",
            "Xyz, 21 Nov 1997 09:55:06 -0600",
            "31 Feb 2020 00:00:00 +0000",
            "1 Jan 2020 24:00:00 +0000",
            "1 Jan 2020 00:60:00 +0000",
            "1 Jan 2020 00:00:61 +0000",
            "1 Jan 2020 00:00:00",
            "1 Jan 2020 00:00:00 +00:00",
            "1 Jan 2020 00:00:00 +0060",
            "1 Jan 1899 00:00:00 +0000",
            "1 Jan 20200 00:00:00 +0000",
            "1 Jan 2020 0:0:0 +0000",
            "2020-01-01T00:00:00Z",
            "1 Jan 2020 00:00:00 +0000 +0000",
            "\u{fc} Jan 2020 00:00:00 +0000",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
