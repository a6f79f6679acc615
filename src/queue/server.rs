//! One next server: whether it takes mail, how many connections it is trusted with, and the line
//! of what is due. The transition table is in the module's documentation.

use super::backoff::wait;
use super::destinations::Destination;
use super::rate::Bucket;
use super::replies::Words;
use super::store::Line;
use super::{QueueConfig, ServerLimits};
use crate::base::Time;

/// So many different messages lost in a row are the server's fault, not theirs.
pub(super) const LOSSES: usize = 3;

#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) limits: ServerLimits,
    pub(super) state: State,
    /// When the state was entered.
    pub(super) since: Time,
    /// Why it last failed; forgotten at the next successful EHLO.
    pub(super) fault: Option<Words>,
    /// Failures since the last transaction that came to its end.
    strikes: u32,
    /// Different messages lost in a row, by counter; fewer than [`LOSSES`].
    lost: Vec<u64>,
    /// What is due.
    pub(super) line: Line,
    /// Deliveries that sessions have.
    pub(super) carried: usize,
    /// Deliveries in any place.
    pub(super) deliveries: usize,
    /// Connections that are open or being opened.
    pub(super) sessions: usize,
    /// When the next message may go.
    pub(super) bucket: Bucket,
    /// Where it delivers to, when it is a destination of direct delivery.
    pub(super) destination: Option<Destination>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Takes mail on up to so many connections.
    Open { window: usize },
    /// Cannot be reached, or does not want us: one probe from then on.
    BackingOff { until: Time },
    /// Stopped by hand.
    Paused,
    /// Not in the configuration any more.
    Gone,
}

impl Server {
    pub(super) fn new(name: &str, limits: ServerLimits, now: Time) -> Server {
        Server {
            name: name.into(),
            limits,
            state: State::Open { window: 1 },
            since: now,
            fault: None,
            strikes: 0,
            lost: Vec::new(),
            line: Line::default(),
            carried: 0,
            deliveries: 0,
            sessions: 0,
            bucket: Bucket::default(),
            destination: None,
        }
    }

    /// Enters a state.
    pub(super) fn enter(&mut self, state: State, now: Time) {
        self.state = state;
        self.since = now;
    }

    /// Starts afresh: nothing is held against it.
    pub(super) fn reopen(&mut self, now: Time) {
        self.strikes = 0;
        self.lost.clear();
        self.enter(State::Open { window: 1 }, now);
    }

    /// Whether sessions may be given work.
    pub(super) fn gives(&self) -> bool {
        matches!(self.state, State::Open { .. } | State::BackingOff { .. })
    }

    /// Connections that may be open now.
    fn allowed(&self, now: Time) -> usize {
        let most = match self.state {
            State::Open { window } => window,
            // Beside the sessions at work, if any, one probe.
            State::BackingOff { until } if until <= now => self.carried + 1,
            State::BackingOff { .. } | State::Paused | State::Gone => 0,
        };
        most.min(self.limits.connections.max(1))
    }

    /// How many connections to open beside those that are.
    pub(super) fn wanted(&self, open: usize, now: Time) -> usize {
        // What parks here goes to destinations, and what comes too early would only wait there.
        if self.limits.direct || self.bucket.opens(self.limits.rate) > now {
            return 0;
        }
        let useful = self.carried + self.line.len();
        self.allowed(now).min(useful).saturating_sub(open)
    }

    /// A successful EHLO.
    pub(super) fn alive(&mut self, now: Time) {
        let most = self.limits.connections.max(1);
        match &mut self.state {
            State::Open { window } => *window = window.saturating_mul(2).min(most),
            State::BackingOff { .. } => {
                let window = (self.carried + 1).max(2).min(most);
                self.enter(State::Open { window }, now);
            }
            State::Paused | State::Gone => {}
        }
        self.fault = None;
    }

    /// It cannot be reached, or it said so itself.
    pub(super) fn failed(
        &mut self,
        why: Words,
        config: &QueueConfig,
        rng: &mut fastrand::Rng,
        now: Time,
    ) {
        self.fault = Some(why);
        match self.state {
            State::BackingOff { until } if now < until => {}
            State::Open { .. } | State::BackingOff { .. } => {
                let until = now.after(wait(config, self.strikes, rng));
                self.strikes = self.strikes.saturating_add(1);
                self.lost.clear();
                self.enter(State::BackingOff { until }, now);
            }
            State::Paused | State::Gone => {}
        }
    }

    /// A transaction was cut; true when that is one too many.
    pub(super) fn lost(&mut self, counter: u64) -> bool {
        if !self.lost.contains(&counter) {
            self.lost.push(counter);
        }
        self.lost.len() >= LOSSES
    }

    /// A transaction came to its end, whatever that was.
    pub(super) fn worked(&mut self) {
        self.strikes = 0;
        self.lost.clear();
    }
}
