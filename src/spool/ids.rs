//! Counters that are never used again (I12): not after a crash, not when the spool was empty, not
//! when the clock jumps back.
//!
//! The lock file says from which counter on none was ever given out. It is moved on in blocks,
//! durably, before the first counter of the block is used; a clean end writes it exactly. The
//! text is shorter than a sector and overwritten in one piece.
//!
//! ```text
//! 4711
//! next-id 0000000000001001
//! ```

/// So many counters are reserved at once.
pub const BLOCK: u64 = 4096;

/// When the lock file was lost: a distance to the names that are there, since files have more
/// messages in them than the one that names them.
pub const GAP: u64 = 1 << 20;

/// What may be given out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ids {
    /// The next counter.
    pub next: u64,
    /// The first that must not be given out before the lock file says more.
    pub reserved: u64,
}

impl Ids {
    /// Fewer than half a block are left.
    pub fn is_low(&self) -> bool {
        self.next.saturating_add(BLOCK / 2) > self.reserved
    }
}

/// The lock file's text, always of one length: the owner, the next counter when one is known.
pub fn lock_text(pid: Option<u32>, next: Option<u64>) -> String {
    let pid = pid.map_or("-".to_owned(), |pid| pid.to_string());
    let next = next.map_or("-".to_owned(), |next| format!("{next:016x}"));
    format!("{pid:<10}\nnext-id {next:<16}\n")
}

/// Reads the lock file: the owner, the next counter.
pub fn parse_lock(octets: &[u8]) -> (Option<u32>, Option<u64>) {
    let text = std::str::from_utf8(octets).unwrap_or("");
    let mut lines = text.split('\n');
    let pid = lines.next().and_then(|line| line.trim_end().parse().ok());
    let next = lines.next().and_then(|line| line.strip_prefix("next-id "));
    let next = next.filter(|digits| digits.len() == 16 && lines.next() == Some(""));
    (pid, next.and_then(|digits| u64::from_str_radix(digits, 16).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_reads_back() {
        let text = lock_text(Some(4711), Some(0x1001));
        assert_eq!(text, "4711      \nnext-id 0000000000001001\n");
        for (pid, next) in [(Some(u32::MAX), Some(u64::MAX)), (None, Some(7)), (Some(1), None)] {
            let written = lock_text(pid, next);
            assert_eq!(parse_lock(written.as_bytes()), (pid, next));
            assert_eq!(written.len(), text.len());
        }
        assert_eq!(parse_lock(b"4711\n"), (Some(4711), None));
        for wrong in [&b""[..], b"\xff\n", b"x\nnext-id 1\n", b"\nnext-id 00000000000010010\n"] {
            assert_eq!(parse_lock(wrong), (None, None));
        }
        assert_eq!(parse_lock(&[0; 36]), (None, None));
    }
}
