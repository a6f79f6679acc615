//! What a header lacks that every message must have.

/// Of Date and Message-ID those that a header does not have (RFC 5322 section 3.6; RFC 6409 section
/// 8 lets a server of submission add them).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Missing {
    /// There is no Date.
    pub date: bool,
    /// There is no Message-ID.
    pub message_id: bool,
}

/// Looks at a whole header, up to its blank line or its end.
pub fn missing_fields(header: &[u8]) -> Missing {
    let mut missing = Missing { date: true, message_id: true };
    for line in header.split_inclusive(|b| *b == b'\n') {
        if line == b"\r\n" || line == b"\n" {
            break;
        }
        missing.date &= !is_field(line, b"date");
        missing.message_id &= !is_field(line, b"message-id");
    }
    missing
}

/// Whether a field with this name begins here; blanks before the colon are obsolete (section 4.5).
fn is_field(line: &[u8], name: &[u8]) -> bool {
    line.split_at_checked(name.len()).is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case(name) && rest.trim_ascii_start().first() == Some(&b':')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_missing() {
        for (header, date, message_id) in [
            ("", true, true),
            ("\r\nDate: in the body\r\nMessage-ID: x\r\n", true, true),
            ("DATE : x\r\nmessage-id\t: y\r\n\r\n", false, false),
            ("Subject: a\r\n Date: b\r\nX-Date: c\r\nDated: d\r\n\r\n", true, true),
            ("Resent-Date: a\r\nResent-Message-ID: b\r\n\r\n", true, true),
            ("Date:\r\n\r\n", false, true),
            ("Message-ID: <a@b>", true, false),
            ("date", true, true),
        ] {
            let found = missing_fields(header.as_bytes());
            assert_eq!((found.date, found.message_id), (date, message_id), "{header:?}");
        }
    }
}
