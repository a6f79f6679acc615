//! Looking at a message: what its octets say, part by part, and what is wrong with them.
//!
//! A mail server carries a message and does not read it (invariant I11); people who ask where
//! their mail was, or why it looks broken, do. Here are the views that they ask for:
//!
//! | view | what | by |
//! | --- | --- | --- |
//! | [`headers`] | the fields of the header, encoded words decoded | RFC 5322, RFC 2047 |
//! | [`mime_tree`] | the parts, nested, with names and sizes | RFC 2045, 2046, 2183, 2231 |
//! | [`hops`] | the way it took: Received fields with delays | RFC 5321 section 4.4 |
//! | [`lint`] | what breaks a rule, where, and which rule | all of these |
//!
//! Everything here is a function of octets, and any octets will do: what is no message at all has
//! no fields, one part and many findings. The work is bounded whatever comes (I9): each octet is
//! looked at a few times for each level of nesting, and levels, parts, fields, parameters and
//! findings have a maximum. The views borrow octets as they are; what leaves as a [`Report`] has
//! passed [`Printable`].
//!
//! A message may have been cut to its first octets before it comes here. What is missing then is
//! not held against it.

mod charset;
mod date;
mod header;
mod hops;
mod lines;
mod lint;
mod mime;
mod missing;
mod params;
mod report;
mod rewrite;
mod structured;
mod words;

#[cfg(test)]
mod tests;

pub use date::Date;
pub use header::{HeaderField, headers};
pub use hops::{Hop, hops};
pub use lint::{Facts, Finding, Severity, lint};
pub use mime::{Mime, Part, mime_tree};
pub use missing::{Missing, missing_fields};
pub use params::Parameter;
pub use report::{
    envelope_report, headers_report, hops_report, lint_report, mime_report, raw_report,
};
pub use rewrite::{Edit, rewrite_from};

use crate::base::{Printable, Report};
