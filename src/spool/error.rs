//! What can go wrong with a spool.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::base::{Enhanced, Reply};

/// An error of the environment, with what was being done to what.
#[derive(Debug)]
pub enum SpoolError {
    /// A file operation failed.
    Io {
        /// What was tried, on what.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// Another process has the spool.
    Locked {
        /// The spool.
        path: PathBuf,
        /// The other process, when the lock file says so.
        pid: Option<u32>,
    },
    /// The spool cannot be trusted: wrong owner, a link, not a folder.
    Unsafe {
        /// What is wrong, and with what.
        what: String,
    },
    /// A record does not say what was written; it is in `corrupt/` now.
    Corrupt {
        /// Which one.
        what: String,
    },
    /// An earlier failure has not been overcome yet.
    Unhealthy,
    /// No such message.
    Unknown,
}

impl SpoolError {
    /// An error of a file operation.
    pub fn io(what: impl Into<String>, error: io::Error) -> SpoolError {
        SpoolError::Io { what: what.into(), error }
    }

    /// What a client is told: 452 4.3.1 when there is no room, 451 4.3.0 when the disk fails.
    pub fn reply(&self) -> Reply {
        let no_room = match self {
            SpoolError::Io { error, .. } => matches!(
                error.raw_os_error(),
                Some(libc::ENOSPC | libc::EDQUOT | libc::EMFILE | libc::ENFILE | libc::EFBIG)
            ),
            _ => false,
        };
        if no_room {
            Reply::fixed(452, Enhanced(4, 3, 1), "Insufficient system storage, try again later")
        } else {
            Reply::fixed(451, Enhanced(4, 3, 0), "Local error in storage, try again later")
        }
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpoolError::Io { what, error } => write!(f, "{what}: {error}"),
            SpoolError::Locked { path, pid } => {
                write!(f, "{}: another mailflux has this spool", path.display())?;
                match pid {
                    Some(pid) => write!(f, " (process {pid})"),
                    None => Ok(()),
                }
            }
            SpoolError::Unsafe { what } => f.write_str(what),
            SpoolError::Corrupt { what } => write!(f, "{what} is damaged; kept in corrupt/"),
            SpoolError::Unhealthy => f.write_str("the spool has failed and is not yet well again"),
            SpoolError::Unknown => f.write_str("no such message"),
        }
    }
}

impl std::error::Error for SpoolError {}
