//! The vocabulary that every other part speaks: time, replies, addresses, envelopes, identities,
//! and the only kind of text that may leave the process for human eyes.
//!
//! Nothing here does I/O or knows what a socket is.

mod address;
mod envelope;
mod failure;
mod id;
mod idna;
mod log_format;
mod nearest;
mod net;
mod printable;
mod rate;
mod reply;
mod report;
mod time;
mod units;

pub use address::{
    Address, AddressError, Domain, MAX_DOMAIN, MAX_LOCAL_PART, MAX_PATH, literal_of,
};
pub use envelope::{BodyType, Client, Envelope, Notify, Protocol, Recipient, Ret, Status};
pub use failure::{Failure, cause, exit};
pub use id::{Leg, MessageId, SessionId};
pub use idna::domain_to_ascii;
pub use log_format::LogFormat;
pub use nearest::nearest;
pub use net::{DomainPattern, IpNet, IpNetError};
pub use printable::Printable;
pub use rate::Rate;
pub use reply::{Enhanced, Origin, Reply, ReplyParser, ReplySyntax};
pub use report::Report;
pub use time::{Now, Time, Wall};
pub use units::{count_of, parse_duration, parse_size, show_duration, show_size};
