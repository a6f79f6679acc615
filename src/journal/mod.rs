//! The journal: what happens is said once, as an [`Event`], and everybody who listens is told.

mod event;

pub use event::{Ending, Event, Level, Mark, Side, What};
