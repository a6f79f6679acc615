//! Rules that hang on the gate: pure decisions over what is known there.
//!
//! [`Relay`] says who may send where. [`Aliases`] are other names for
//! mailboxes. [`Filters`](filter::Filters) do with mail what the
//! administrator wants. [`Expr`] is the language of `where`: one parser and
//! one evaluator for filters, breakpoints, faults, `follow` and `queue`.
//! [`Breakpoints`] say which sessions are held for somebody to look at,
//! [`Faults`] what goes wrong on purpose.

mod aliases;
mod breakpoint;
pub mod expr;
mod fault;
pub mod filter;
mod moment;
mod named;
mod relay;

pub use aliases::Aliases;
pub use breakpoint::{Breakpoint, Breakpoints, MAX_BREAKPOINTS, longest_hold, patience};
pub use expr::{Expr, ExprError, FIELD_NAMES, Field, Fields, MAX_HEADER, Rcpts};
pub use fault::{Active, Effect, FAULT_KEYS, Fault, Faults, MAX_FAULTS, Struck, fault_value};
pub use moment::{At, Moment, Place, may_say};
pub use named::Named;
pub use relay::{Relay, Ruling};
