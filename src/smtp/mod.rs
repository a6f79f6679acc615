//! SMTP as machines without I/O: octets and time in, actions out.

mod gate;

pub use gate::{Facts, Stage, Verdict};
