//! What is due where: schedule, routes, bounces. Pure: no I/O, no clock, seeded chance.
//!
//! # Theory
//!
//! Mail is queued **by next server**, since it is next servers that come and go. A *delivery* is
//! the recipients of one message that go together to one next server and share a schedule; most
//! messages have one. A delivery is always in exactly one place:
//!
//! | place | event | next place |
//! | --- | --- | --- |
//! | | `insert` | Ready, or Held when its recipients are |
//! | Ready: in its server's line | `take` | Carried |
//! | | `hold` | Held |
//! | | `sweep`, older than `expire`, and its server does not take mail | Failed |
//! | Carried: a session has it | `finished`: recipient delivered | gone |
//! | | `finished`: recipient deferred (4xx) | Waiting, one attempt more |
//! | | `finished`: recipient failed (5xx) | Failed |
//! | | `finished`: recipient not tried | Ready at the front, no attempt counted |
//! | | `lost`: the connection died within the transaction | Waiting, one attempt more |
//! | Waiting until a time | `sweep` at or after that time, `retry`, `flush` | Ready |
//! | | `sweep`, older than `expire` | Failed |
//! | | `hold` | Held |
//! | Held | `release` | Ready |
//! | Failed: to be reported to its sender | `sweep` | is given out as a report, stays Failed |
//! | | `reported` | gone |
//!
//! When recipients of one delivery end differently, the delivery splits; parts are never joined
//! again, so all recipients of one delivery have been tried equally often.
//!
//! A failed recipient stays here until [`Queue::reported`] says that its bounce is durable. So a
//! full disk, or the cap on bounces, postpones a bounce and never loses one: it is given out again,
//! after `retry_min` or a minute. After a crash the recipient is simply tried once more.
//!
//! A next server has a state of its own, so that its mail waits without timers and without counted
//! attempts when it cannot be reached:
//!
//! | state | event | next state |
//! | --- | --- | --- |
//! | Open, window *n*: up to *n* connections | `alive` (a successful EHLO) | Open, window 2*n* |
//! | | `failed`, or three different messages `lost` in a row | BackingOff |
//! | BackingOff until *t* | `failed` before *t* | the same: other connections saw the same outage |
//! | | from *t* on | one connection is wanted: the probe |
//! | | `failed` from *t* on | BackingOff, twice as long |
//! | | `alive` | Open, window 2 |
//! | Paused by hand | `alive`, `failed` | Paused |
//! | | `resume_server`, `probe_server`, `flush` | Open, window 1; or a probe |
//! | Gone from the configuration | named there again | Open, window 1 |
//!
//! A server is Open with window 1 at the start; its setting `connections` bounds all windows. How
//! long it backs off doubles with each failure, and is forgotten when a transaction comes to its
//! end: EHLO alone proves little, a server may greet everybody and take nothing. A connection that
//! is alive goes on taking work while its server backs off, since backing off is about new ones:
//! some servers refuse the third connection and serve the first two well.
//!
//! # Time
//!
//! All waiting is by the monotonic clock. The wall clock is read once for a message, when it is
//! inserted, to know how old it is already; from then on its age grows by the monotonic clock. So
//! a clock that jumps, forth or back, expires nothing and delays nothing. Nothing expires that is
//! just about to be tried: after a long downtime all mail gets its attempt first.
//!
//! # Cost
//!
//! `insert`, `take` and `finished` cost a look into a B-tree; nothing scans but the sweep, which
//! goes over all messages once each `interval`, in slices. A waiting message with one recipient
//! costs about 56 octets and no timer. Texts of replies are shared and bounded.

mod backoff;
pub mod bounce;
mod choose;
mod control;
mod destinations;
mod index;
mod rate;
mod reconfigure;
mod replies;
pub mod routes;
mod schedule;
mod server;
mod store;
mod sweep;
mod view;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::base::Rate;

pub use destinations::MAX_DESTINATIONS;
pub use schedule::{Delivery, Outcome, Queue};
pub use sweep::{REPORT_AGAIN, Report, Reported, Sweep};
pub use view::{Counts, MessageView, RecipientState, RecipientView, ServerState, ServerView};

/// A next server, by its number in the list that [`Queue::new`] or [`Queue::reconfigure`] was
/// given; see there for how numbers survive a change of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServerId(pub u16);

/// The schedule's settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueConfig {
    /// Between two sweeps.
    pub interval: Duration,
    /// The shortest wait before a deferred recipient, or a server that failed, is tried again.
    pub retry_min: Duration,
    /// The longest; taken as `retry_min` when it is below.
    pub retry_max: Duration,
    /// The age at which a message is given up.
    pub expire: Duration,
    /// The age at which its sender is told that a message is late; none: never.
    pub delay_notice: Option<Duration>,
}

/// What one next server may be burdened with.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ServerLimits {
    /// Connections open at once; 0 is taken as 1.
    pub connections: usize,
    /// Messages at most.
    pub rate: Option<Rate>,
    /// It delivers directly: its mail stands in lines by recipient domain, see
    /// [`Queue::destination`].
    pub direct: bool,
}
