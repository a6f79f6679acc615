//! The book: its entries, read from their text.
//!
//! ```text
//!   # RCPT                       the key; the file says of which kind it is
//!   aka: RCPT TO                 more keys, between commas
//!   of: MAIL                     parameters: of what
//!   Names one recipient. …       the meaning, in lines of any length
//!   who: the client, …           who says it when
//!   do: 550 means …              what to do
//!   rfc: RFC 5321 section …      where it stands
//!   see: MAIL, DATA              keys of other entries
//! ```
//!
//! What follows a label may go on in further lines. Entries have a blank line between them.

use std::sync::LazyLock;

/// What an entry is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A command.
    Verb,
    /// A parameter of a command, or a value of one.
    Parameter,
    /// A mechanism of AUTH.
    Mechanism,
    /// A keyword in the answer to EHLO.
    Extension,
    /// A reply code, or a class of them.
    Reply,
    /// An enhanced status code, or a class of them.
    Enhanced,
    /// A header field that servers write.
    Trace,
    /// A sign of a transcript.
    Notation,
    /// A state of a session, a recipient or a next server.
    State,
    /// A fault of connection, TLS or DNS.
    Fault,
    /// A word of filters, breakpoints, faults and expressions, or of an event.
    Rule,
    /// A word of the trade.
    Term,
}

impl Kind {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Verb => "command",
            Kind::Parameter => "parameter",
            Kind::Mechanism => "mechanism of AUTH",
            Kind::Extension => "extension",
            Kind::Reply => "reply code",
            Kind::Enhanced => "enhanced status code",
            Kind::Trace => "trace of a message",
            Kind::Notation => "sign of a transcript",
            Kind::State => "state",
            Kind::Fault => "fault",
            Kind::Rule => "word of rules and events",
            Kind::Term => "term",
        }
    }
}

/// An entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What it is about.
    pub kind: Kind,
    /// Its name.
    pub key: &'static str,
    /// Other names.
    pub aka: Vec<&'static str>,
    /// A parameter: of what.
    pub of: Option<&'static str>,
    /// What it means.
    pub meaning: String,
    /// Who says it when.
    pub who: String,
    /// What to do; empty when there is nothing.
    pub advice: String,
    /// Where the standard says so; `none` when none does.
    pub rfc: String,
    /// Keys of related entries.
    pub see: Vec<&'static str>,
}

impl Entry {
    /// All its names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.key).chain(self.aka.iter().copied())
    }

    /// Whether this is one of its names, without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.names().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// The first sentence of its meaning, without the full stop.
    pub fn gist(&self) -> &str {
        let text = self.meaning.as_str();
        let end = text.find(". ").or_else(|| text.strip_suffix('.').map(str::len));
        &text[..end.unwrap_or(text.len())]
    }
}

const FILES: [(Kind, &str); 12] = [
    (Kind::Verb, include_str!("book/verbs.txt")),
    (Kind::Parameter, include_str!("book/parameters.txt")),
    (Kind::Mechanism, include_str!("book/mechanisms.txt")),
    (Kind::Extension, include_str!("book/extensions.txt")),
    (Kind::Reply, include_str!("book/replies.txt")),
    (Kind::Enhanced, include_str!("book/enhanced.txt")),
    (Kind::Trace, include_str!("book/trace.txt")),
    (Kind::Notation, include_str!("book/notation.txt")),
    (Kind::State, include_str!("book/states.txt")),
    (Kind::Fault, include_str!("book/faults.txt")),
    (Kind::Rule, include_str!("book/rules.txt")),
    (Kind::Term, include_str!("book/terms.txt")),
];

static BOOK: LazyLock<Vec<Entry>> =
    LazyLock::new(|| FILES.iter().flat_map(|(kind, text)| read(*kind, text)).collect());

/// All entries.
pub fn entries() -> &'static [Entry] {
    &BOOK
}

/// The entry of a kind with this name.
pub(super) fn entry(kind: Kind, name: &str) -> Option<&'static Entry> {
    entries().iter().find(|entry| entry.kind == kind && entry.is(name))
}

fn read(kind: Kind, text: &'static str) -> impl Iterator<Item = Entry> {
    text.split("\n\n").map(move |block| one(kind, block))
}

fn one(kind: Kind, block: &'static str) -> Entry {
    const LABELS: [&str; 6] = ["aka", "of", "who", "do", "rfc", "see"];
    let mut lines = block.lines();
    let key = lines.next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
    // One place for each label, and the last for the meaning.
    let mut parts: [Vec<&'static str>; 7] = Default::default();
    let mut part = LABELS.len();
    for line in lines {
        let label = line.split_once(": ").and_then(|(label, rest)| {
            LABELS.iter().position(|known| *known == label).map(|n| (n, rest))
        });
        // The meaning begins with the first line that has no label.
        let heads = matches!(part, 0 | 1) && !line.starts_with("  ");
        let (number, text) = match label {
            Some((number, text)) => (number, text),
            None if heads => (LABELS.len(), line),
            None => (part, line),
        };
        part = number;
        parts[part].push(text.trim());
    }
    let text = |n: usize| parts[n].join(" ");
    // A list is cut at its commas line by line: no name goes over the end of one.
    let list = |n: usize| -> Vec<&'static str> {
        let names = parts[n].iter().flat_map(|line| line.split(','));
        names.map(str::trim).filter(|name| !name.is_empty()).collect()
    };
    Entry {
        kind,
        key,
        aka: list(0),
        of: parts[1].first().copied(),
        meaning: text(6),
        who: text(2),
        advice: text(3),
        rfc: text(4),
        see: list(5),
    }
}
