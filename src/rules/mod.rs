//! Rules that hang on the gate: pure decisions over what is known there.
//!
//! [`Relay`] says who may send where. [`Aliases`] are other names for
//! mailboxes. [`Filters`](filter::Filters) do with mail what the
//! administrator wants. [`Expr`] is the language of `where`: one parser and
//! one evaluator for filters, breakpoints, faults, `follow` and `queue`.

mod aliases;
pub mod expr;
pub mod filter;
mod relay;

pub use aliases::Aliases;
pub use expr::{Expr, ExprError, FIELD_NAMES, Field, Fields, MAX_HEADER, Rcpts};
pub use relay::{Relay, Ruling};
