//! SMTP as machines without I/O: octets and time in, actions out.

pub mod client;
pub mod data;
mod gate;
mod hidden;
pub mod proxy;
pub mod server;
pub mod trace;

pub use gate::{Facts, Stage, Verdict};
pub use hidden::Hidden;
