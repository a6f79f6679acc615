//! The spool: where accepted mail lives until it is delivered, and the reason why a 250 can be
//! believed. `docs/spool.md` has the crash points and why each is safe.

mod disk;
mod error;
mod format;
mod incoming;
mod nowhere;
mod real;
mod recovery;
mod store;

pub use disk::{Dir, Disk};
pub use error::SpoolError;
pub use format::Head;
pub use incoming::Incoming;
pub use nowhere::NoDisk;
pub use real::RealDisk;
pub use recovery::Recovered;
pub use store::Spool;
