//! What breaks a rule in a message: each finding with its place, its weight and its rule.
//!
//! Errors break what a standard says must be; other programs may refuse or misread such a message.
//! Warnings break what it says should be, or what programs disagree about. Notes are good to know.

mod body;
mod fields;
mod lines;
mod trace;

use super::header::{self, HeaderEnd};
use super::lines::Region;
use super::mime::mime_tree;
use crate::base::{Envelope, Printable, Wall};

/// Findings that are kept.
const MAX_FINDINGS: usize = 200;
/// Octets shown of what a finding quotes.
const MAX_QUOTE: usize = 80;

/// How much a finding weighs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Breaks what must be.
    Error,
    /// Breaks what should be, or is read in different ways.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// One thing that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Its weight.
    pub severity: Severity,
    /// The first line where it shows, from 1; none when it is something missing.
    pub line: Option<usize>,
    /// On how many lines or fields it shows.
    pub count: usize,
    /// What is wrong; safe to show.
    pub what: String,
    /// Whose rule it is.
    pub rfc: &'static str,
}

/// What is known beside the octets.
#[derive(Clone, Copy, Default, Debug)]
pub struct Facts<'a> {
    /// The message was cut before it came here: what its end would have shown is not missed.
    pub cut: bool,
    /// Its envelope.
    pub envelope: Option<&'a Envelope>,
    /// When it arrived here.
    pub arrived: Option<Wall>,
}

/// Finds what is wrong, the heaviest first; at most two hundred findings.
pub fn lint(content: &[u8], facts: Facts<'_>) -> Vec<Finding> {
    let mut lint = Lint { findings: Vec::new(), facts };
    let content = if facts.cut { whole_lines(content) } else { content };
    let mut header = header::read(Region::new(content));
    if facts.cut && header.end == HeaderEnd::Missing {
        // The last field may go on in a fold that is not here.
        header.fields.pop();
    }
    let mime = mime_tree(content, facts.cut);
    lint.lines(content, &header);
    lint.fields(&header);
    lint.trace(&header);
    lint.body(&header, &mime);
    // Stable: within a weight the order of the checks stays.
    lint.findings.sort_by_key(|finding| finding.severity);
    lint.findings
}

/// The content up to its last line end: half a line looks wrong where a whole one would not.
fn whole_lines(content: &[u8]) -> &[u8] {
    &content[..memchr::memrchr(b'\n', content).map_or(0, |end| end + 1)]
}

struct Lint<'a> {
    findings: Vec<Finding>,
    facts: Facts<'a>,
}

/// A thing that may show on many lines: the first of them, and how many.
#[derive(Clone, Copy, Default)]
struct Tally {
    first: Option<usize>,
    count: usize,
}

impl Tally {
    fn add(&mut self, line: usize) {
        self.first.get_or_insert(line);
        self.count += 1;
    }
}

impl Lint<'_> {
    fn find(
        &mut self,
        severity: Severity,
        line: impl Into<Option<usize>>,
        what: impl Into<String>,
        rfc: &'static str,
    ) {
        let line = line.into();
        self.push(Finding { severity, line, count: 1, what: what.into(), rfc });
    }

    fn tallied(&mut self, severity: Severity, tally: Tally, what: &str, rfc: &'static str) {
        if tally.count > 0 {
            let (line, count, what) = (tally.first, tally.count, what.into());
            self.push(Finding { severity, line, count, what, rfc });
        }
    }

    fn push(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }
}

/// Octets as a finding quotes them.
fn quote(octets: &[u8]) -> String {
    format!("'{}'", Printable::bounded(octets, MAX_QUOTE))
}
