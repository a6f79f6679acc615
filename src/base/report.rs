//! An answer in both forms.

use serde_json::Value;

/// What a command answers: JSON for programs, lines for people.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// For programs.
    pub json: Value,
    /// For people: safe to show, without ends of line.
    pub lines: Vec<String>,
}
