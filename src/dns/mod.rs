//! Names to addresses.
//!
//! Today a next server is named by an address, as `localhost`, or by a name in the hosts file.

mod hosts;

pub use hosts::{Hosts, lookup};
