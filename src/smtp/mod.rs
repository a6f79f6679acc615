//! SMTP as machines without I/O: octets and time in, actions out.

pub mod client;
mod gate;

pub use gate::{Facts, Stage, Verdict};
