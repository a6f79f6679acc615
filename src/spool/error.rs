//! What can go wrong with the spool: the disk's faults, and messages that cannot be read.

use std::path::PathBuf;
use std::{fmt, io};

use crate::base::{Enhanced, MessageId, Reply};

/// A fault of the disk: what was tried, on which file, and what the system said. It is cloned for
/// every message of a commit, which is why it is not an `io::Error`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What was tried: `write`, `flush`, `rename`.
    pub action: &'static str,
    /// The file or folder.
    pub name: String,
    /// What kind of error it is.
    pub kind: io::ErrorKind,
    /// The system's number, when it is the system that said no.
    pub errno: Option<i32>,
    /// The system's words, or ours.
    pub text: String,
}

impl Fault {
    /// A fault from what the system said.
    pub fn new(action: &'static str, name: impl Into<String>, cause: &io::Error) -> Fault {
        let (kind, errno) = (cause.kind(), cause.raw_os_error());
        Fault { action, name: name.into(), kind, errno, text: cause.to_string() }
    }

    /// Whether it is want of room or of descriptors: it passes when something is freed.
    pub fn is_shortage(&self) -> bool {
        let room = [libc::ENOSPC, libc::EDQUOT, libc::EFBIG];
        self.errno.is_some_and(|errno| room.contains(&errno)) || self.is_crowding()
    }

    /// Whether it is want of descriptors: it says nothing about the disk.
    pub fn is_crowding(&self) -> bool {
        self.errno == Some(libc::EMFILE) || self.errno == Some(libc::ENFILE)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.action, self.name, self.text)
    }
}

/// Why the spool did not do what was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SpoolError {
    /// Another process has the spool (exit 73).
    Locked {
        /// The spool.
        path: PathBuf,
        /// The other process, when the lock file says so.
        pid: Option<u32>,
    },
    /// The spool cannot be trusted: another owner, a link, not a folder, somebody else's files.
    Unsafe {
        /// What is wrong, with what, and what to do.
        what: String,
    },
    /// The disk failed.
    Disk(Fault),
    /// The disk failed not long ago and has not been found well since: refused without trying.
    Unwell(Fault),
    /// The message's record is damaged; it is on its way to `corrupt/`. Forget the message.
    Corrupt {
        /// Which message.
        id: MessageId,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No such message, or no such recipient of it.
    Unknown,
    /// The content is longer than a record can say (ten digits), or the envelope (eight).
    TooLarge,
}

impl SpoolError {
    /// What a client is told: 452 4.3.1 when room or descriptors are short, 552 5.3.4 when no
    /// spool could take the message, 451 4.3.0 for everything else (RFC 3463 section 3.4).
    pub fn reply(&self) -> Reply {
        match self {
            SpoolError::Disk(fault) | SpoolError::Unwell(fault) if fault.is_shortage() => {
                let text = "Insufficient system storage, try again later";
                Reply::fixed(452, Enhanced(4, 3, 1), text)
            }
            SpoolError::TooLarge => Reply::fixed(552, Enhanced(5, 3, 4), "Message too large"),
            _ => Reply::fixed(451, Enhanced(4, 3, 0), "Local error in storage, try again later"),
        }
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpoolError::Locked { path, pid } => {
                write!(f, "{}: another mailflux has this spool", path.display())?;
                pid.map_or(Ok(()), |pid| write!(f, " (process {pid})"))
            }
            SpoolError::Unsafe { what } => f.write_str(what),
            SpoolError::Disk(fault) => fault.fmt(f),
            SpoolError::Unwell(fault) => write!(f, "the spool is unwell: it {fault}"),
            SpoolError::Corrupt { id, why } => {
                write!(f, "message {id} is damaged ({why}) and goes to corrupt/")
            }
            SpoolError::Unknown => f.write_str("no such message"),
            SpoolError::TooLarge => f.write_str("the message is too large for the spool"),
        }
    }
}

impl std::error::Error for SpoolError {}

impl From<Fault> for SpoolError {
    fn from(fault: Fault) -> SpoolError {
        SpoolError::Disk(fault)
    }
}

/// A word of the spool for the log, with its loudness.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// How loud.
    pub weight: Weight,
    /// What, where and what was done about it.
    pub text: String,
}

/// How loud a [`Word`] is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Weight {
    /// Everyday.
    Info,
    /// Somebody should look.
    Warn,
    /// Somebody must look.
    Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortage_is_452_and_all_else_451() {
        let reply = |errno| {
            let fault = Fault::new("write", "queue/x", &io::Error::from_raw_os_error(errno));
            (SpoolError::from(fault.clone()).reply(), SpoolError::Unwell(fault).reply())
        };
        for errno in [libc::ENOSPC, libc::EDQUOT, libc::EMFILE, libc::ENFILE] {
            let (now, later) = reply(errno);
            assert_eq!((now.code, now.enhanced), (452, Some(Enhanced(4, 3, 1))));
            assert_eq!(later.code, 452);
        }
        for errno in [libc::EIO, libc::EROFS, libc::EACCES] {
            let (now, _) = reply(errno);
            assert_eq!((now.code, now.enhanced), (451, Some(Enhanced(4, 3, 0))));
        }
    }
}
