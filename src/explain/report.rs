//! Entries as an answer: wrapped for people, as fields for programs.

use serde_json::{Value, json};

use super::book::Entry;
use super::lookup::find;
use crate::base::{Printable, Report};

/// Columns of a line for people.
const COLUMNS: usize = 78;

/// `explain WORD`; an error is a sentence that names the nearest words.
pub fn report(word: &str) -> Result<Report, String> {
    let found = find(word)?;
    let mut lines: Vec<String> = found.note.iter().cloned().collect();
    lines.extend(entry_lines(&found.entries));
    let json = json!({
        "word": Printable::bounded(word, 200), "note": found.note,
        "entries": found.entries.iter().map(|entry| entry_json(entry)).collect::<Vec<Value>>(),
    });
    Ok(Report { json, lines })
}

/// Entries with a blank line between them.
pub(super) fn entry_lines(entries: &[&Entry]) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in entries {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let of = entry.of.map_or(String::new(), |of| format!(" of {of}"));
        let aka = match &entry.aka[..] {
            [] => String::new(),
            aka => format!("; also: {}", aka.join(", ")),
        };
        wrap(&mut lines, "", &format!("{} ({}{of}{aka})", entry.key, entry.kind.name()));
        wrap(&mut lines, "  ", &entry.meaning);
        let rfc = if entry.rfc == "none" { "" } else { &entry.rfc };
        let see = entry.see.join(", ");
        for (label, text) in
            [("who", &entry.who[..]), ("do", &entry.advice), ("where", rfc), ("see", &see)]
        {
            if !text.is_empty() {
                wrap(&mut lines, &format!("  {label:<6}"), text);
            }
        }
    }
    lines
}

pub(super) fn entry_json(entry: &Entry) -> Value {
    json!({
        "key": entry.key, "kind": entry.kind.name(), "aka": entry.aka, "of": entry.of,
        "meaning": entry.meaning, "who": entry.who, "do": entry.advice, "rfc": entry.rfc,
        "see": entry.see,
    })
}

/// Appends a text in lines of at most 78 columns. The first begins with `head`, the others with as
/// many blanks. A word that fits no line has one for itself.
pub fn wrap(lines: &mut Vec<String>, head: &str, text: &str) {
    wrap_to(COLUMNS, lines, head, text);
}

/// The same for another width.
pub fn wrap_to(most: usize, lines: &mut Vec<String>, head: &str, text: &str) {
    let indent = " ".repeat(head.len());
    let mut line = head.to_owned();
    let mut is_empty = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let columns = line.chars().count() + 1 + word.chars().count();
        if !is_empty && columns > most {
            lines.push(std::mem::replace(&mut line, indent.clone()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line.trim_end().to_owned());
}
