//! What the words of SMTP mean: the book behind `explain`, and notes on the lines of a session.
//!
//! ```text
//!   book/*.txt ──▶ book ──▶ lookup ──▶ report     explain 550, explain "550 5.7.1 no", explain MX
//!                    └────▶ comment ─────────     explain i7:11, annotate on, tutor
//! ```
//!
//! The book is text in `book/`, in our own words, one entry for each verb, parameter, mechanism,
//! extension, reply code, enhanced status code, trace header, sign of a transcript, state, fault,
//! word of rules and term: what it means, who says it when, what to do, where the standard says so,
//! and what to read next. A test holds that whatever this server can say is in it.
//!
//! A [`Commentator`] follows one session, line by line, and says of each line what it is in its
//! place and what about it breaks a rule.

mod book;
mod comment;
mod lookup;
mod report;
mod session;

#[cfg(test)]
mod tests;

pub use book::{Entry, Kind, entries};
pub use comment::{Breach, Comment, Commentator};
pub use lookup::{Found, find};
pub use report::{report, wrap, wrap_to};
pub use session::{explain_line, explain_session};
