//! Durations and sizes as people write them: `15s`, `1h30m`, `500ms`; `512K`, `50M`, `1G`.

use std::time::Duration;

/// Units of time, the largest first.
const TIMES: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Units of size, the largest first.
const SIZES: [(char, u64); 3] = [('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

/// Reads `15s`, `5m`, `1h30m`, `5d`, `500ms`; a bare `0` needs no unit. None when it is none or
/// does not fit 64 bits of milliseconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut total_ms, mut rest) = (0u64, text);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let (_, unit_ms) = TIMES.iter().find(|(name, _)| *name == unit)?;
        let ms = number.parse::<u64>().ok()?.checked_mul(*unit_ms)?;
        total_ms = total_ms.checked_add(ms)?;
        rest = tail;
    }
    (!text.is_empty()).then(|| Duration::from_millis(total_ms))
}

/// Writes a duration as [`parse_duration`] reads it, to the millisecond: `1h30m`.
pub fn show_duration(duration: Duration) -> String {
    let mut ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, unit_ms) in TIMES {
        if ms >= unit_ms {
            text.push_str(&format!("{}{unit}", ms / unit_ms));
            ms %= unit_ms;
        }
    }
    text
}

/// So many of a thing: `1 message`, `2 messages`.
pub fn count_of(count: impl TryInto<u64>, thing: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{s}")
}

/// Reads `1000`, `512K`, `50M`, `1G` (powers of 1024, upper or lower case). None when it is none
/// or does not fit 64 bits.
pub fn parse_size(text: &str) -> Option<u64> {
    let unit = text.chars().last()?.to_ascii_uppercase();
    let (number, factor) = match SIZES.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => (&text[..text.len() - 1], *factor),
        None => (text, 1),
    };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Writes a size as [`parse_size`] reads it, exactly: `50M`, `1000`.
pub fn show_size(octets: u64) -> String {
    match SIZES.iter().find(|(_, factor)| octets > 0 && octets % factor == 0) {
        Some((unit, factor)) => format!("{}{unit}", octets / factor),
        None => octets.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("0s", 0),
            ("15s", 15_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("5d", 432_000_000),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("1m500ms", 60_500),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)), "{text}");
            assert_eq!(show_duration(Duration::from_millis(ms)), text);
        }
        for wrong in ["", "15", "s", "-1s", "1.5h", "1 h", "5x", "1S", "99999999999999999999d", "é"]
        {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
        assert_eq!(parse_duration("300000000000d"), None);
    }

    #[test]
    fn sizes() {
        for (text, octets) in
            [("0", 0), ("1000", 1000), ("512K", 524_288), ("50M", 52_428_800), ("1G", 1 << 30)]
        {
            assert_eq!(parse_size(text), Some(octets), "{text}");
            assert_eq!(show_size(octets), text);
        }
        assert_eq!(parse_size("50m"), parse_size("50M"));
        for wrong in ["", "K", "-1", "+1", "1.5M", "1 M", "5T", "50MB", "99999999999999G", "5é"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
