//! The spool: messages on disk, durable before anybody is told so.
//!
//! A message comes in pieces ([`Incoming`]), is made durable in one group commit with all others
//! of its tick, is read back for forwarding, and its recipients are marked one by one until
//! nothing is left to do; then its file goes.
//!
//! ## Every legal state on disk
//!
//! | what is there | how it came about | what recovery does |
//! | --- | --- | --- |
//! | no file | a new or empty spool | nothing |
//! | `lock` that does not tell the counter | somebody removed it | guesses one beyond all names |
//! | any file in `incoming/` | a message streamed | removes it: nobody was told 250 |
//! | a file, complete | committed, or just before | hands its messages out |
//! | an empty file, prepared | a process ended before it was used | removes it |
//! | line ends behind a batch | the file was used before, for a longer one | passes over them |
//! | a file cut or with holes | a crash inside a commit | hands out what is whole; `corrupt/` |
//! | statuses older than the truth | marks are not flushed | may repeat what was done |
//! | a file all done | a crash before it was gone | removes it |
//! | a copy and its original | a crash in a rewrite | unites them by id: done wins |
//! | a bounce, its recipient pending | a crash before the mark | marks it failed |
//! | a damaged record among others | the disk | as with a file with holes |
//! | other names in `queue/` | somebody | leaves them alone, with a word |
//!
//! Why each crash point is safe is told in `docs/spool.md`.

mod cache;
mod commit;
mod disk;
mod error;
mod format;
mod front;
mod ids;
mod incoming;
mod index;
mod marks;
mod name;
mod nowhere;
mod owner;
mod read;
mod real;
mod recovery;
mod scan;
mod shed;
mod sim;
mod spares;
mod store;
mod stragglers;

pub use disk::{Dir, Disk};
pub use error::{Fault, SpoolError, Weight, Word};
pub use format::Head;
pub use incoming::Incoming;
pub use owner::hand_over;
pub use real::{RealDisk, RealFile};
pub use recovery::Recovered;
pub use sim::{Failure, SimDisk, SimFile};
pub use store::Spool;
