//! The few character sets that mail is written in, decoded to UTF-8. Others stay as they are.

/// What the octets say in this character set; none when the set is not known here or the octets
/// are not of it.
pub(super) fn decode(charset: &str, octets: &[u8]) -> Option<String> {
    // RFC 2231 section 5: a language may follow the name.
    let name = charset.split('*').next().unwrap_or_default();
    let single = |of: fn(u8) -> char| Some(octets.iter().map(|b| of(*b)).collect());
    match name.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" => std::str::from_utf8(octets).ok().map(str::to_owned),
        "us-ascii" | "ascii" => {
            octets.is_ascii().then(|| String::from_utf8_lossy(octets).into_owned())
        }
        "iso-8859-1" | "latin1" => single(char::from),
        "iso-8859-15" | "latin9" => single(latin9),
        "windows-1252" | "cp1252" => single(windows_1252),
        _ => None,
    }
}

/// Whether [`decode`] knows this character set.
pub(super) fn is_known(charset: &str) -> bool {
    decode(charset, b"").is_some()
}

/// ISO 8859-15: Latin-1 with eight places changed, the euro sign's among them.
fn latin9(octet: u8) -> char {
    match octet {
        0xa4 => '€',
        0xa6 => 'Š',
        0xa8 => 'š',
        0xb4 => 'Ž',
        0xb8 => 'ž',
        0xbc => 'Œ',
        0xbd => 'œ',
        0xbe => 'Ÿ',
        octet => char::from(octet),
    }
}

/// Windows-1252: Latin-1 with letters where that has control characters. Five places are empty.
fn windows_1252(octet: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    match octet {
        0x80..=0x9f => HIGH[usize::from(octet - 0x80)],
        octet => char::from(octet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sets() {
        for (name, octets, text) in [
            ("UTF-8", &b"gr\xc3\xbcn"[..], "grün"),
            ("us-ascii*en", b"a", "a"),
            ("ISO-8859-1", b"\xe9\xa4", "é¤"),
            ("iso-8859-15", b"\xe9\xa4", "é€"),
            ("Windows-1252", b"\x80\x93x\x94\xff", "€“x”ÿ"),
        ] {
            assert_eq!(decode(name, octets).as_deref(), Some(text), "{name}");
        }
        for (name, octets) in [("utf-8", b"\xff"), ("us-ascii", b"\xff"), ("koi8-r", b"a")] {
            assert_eq!(decode(name, octets), None, "{name}");
        }
        assert!(is_known("latin1") && !is_known("utf-7") && !is_known(""));
    }
}
