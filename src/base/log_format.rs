//! The form of log lines, which the configuration chooses and the journal writes.

/// How log lines are written: `log.format`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}
