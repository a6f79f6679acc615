//! Why the program ends, for the shell that started it.

use std::{fmt, io};

/// Exit codes, as sysexits.h has them.
pub mod exit {
    /// The command line is wrong.
    pub const USAGE: u8 = 64;
    /// The message is wrong, or was refused for good.
    pub const DATA: u8 = 65;
    /// A server cannot be reached.
    pub const UNAVAILABLE: u8 = 69;
    /// A system call failed.
    pub const SYSTEM: u8 = 71;
    /// Something cannot be created: the spool, a socket.
    pub const CANNOT_CREATE: u8 = 73;
    /// Not now: try again later.
    pub const TRY_LATER: u8 = 75;
    /// No permission.
    pub const NO_PERMISSION: u8 = 77;
    /// The configuration is wrong.
    pub const CONFIG: u8 = 78;
}

/// An end with an exit code and words for people: what, where and what to do, one line a failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// One of [`exit`].
    pub exit: u8,
    /// Lines without the last LF. Safe to show: what came from outside was made
    /// [`Printable`](super::Printable).
    pub message: String,
}

impl Failure {
    /// A failure with this exit code and these words.
    pub fn new(exit: u8, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into() }
    }
}

/// The system's words for an error inside a sentence: `permission denied`.
pub fn cause(error: &io::Error) -> String {
    let mut words = error.to_string();
    if let Some(code) = error.raw_os_error() {
        let number = format!(" (os error {code})");
        words.truncate(words.strip_suffix(&number).unwrap_or(&words).len());
    }
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    words
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_fit_into_a_sentence() {
        let denied = io::Error::from_raw_os_error(libc::EACCES);
        assert_eq!(cause(&denied), "permission denied");
        assert_eq!(cause(&io::Error::other("Odd")), "odd");
        assert_eq!(cause(&io::Error::other("")), "");
    }
}
