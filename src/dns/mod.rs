//! Names to addresses, and domains to the hosts that take their mail. Pure: packets and time in,
//! actions out.
//!
//! Read in this order: `name`, `wire` (the message format), `interpret` (what an answer means),
//! `cache`, `resolver` (the machine that asks), `lookup` (what others ask of it). `hosts` and
//! `resolv` read the system's two files.

mod cache;
mod fault;
mod hosts;
mod interpret;
mod lookup;
mod name;
mod resolv;
mod resolver;
mod wire;

#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use hosts::Hosts;
pub use lookup::{Host, MailHosts};
pub use name::Name;
pub use resolv::ResolvConf;
pub use resolver::{Action, Families, Found, Resolver, Transport, Try};
pub use wire::Kind;
