//! The history: past dialogue on disk, beside the spool, bounded by age and by size.
//!
//! ```text
//!   journal's ring ──since()──▶ batch ──append──▶ history/segment-0000000007
//!                               once a tick          the oldest segments go as a whole
//!                               or less
//! ```
//!
//! Nothing here is flushed, and nobody waits for it: what a crash takes is a second of narration.
//! A fault of the disk switches the history off for a while and never touches mail. Secrets were
//! replaced before the journal heard of them (I6).
//!
//! `format` is what is on disk, `store` what is written and removed, `scan` how it is read,
//! `folder` the door to the file system.

mod folder;
mod format;
mod scan;
mod store;

#[cfg(test)]
mod tests;

pub use folder::{Folder, RealFolder};
pub use scan::{Scan, Step};
pub use store::{Bounds, History, Numbers, Weight, Word};
