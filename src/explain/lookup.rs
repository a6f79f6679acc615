//! From what somebody typed to entries: a name, a code, a whole reply or command line, an error
//! message with a known fault in it.

use super::book::{Entry, Kind, entries, entry};
use crate::base::{Enhanced, Printable, nearest};

/// Octets of what is asked that are looked at.
const MAX_ASKED: usize = 500;
/// Entries of one answer.
const MAX_FOUND: usize = 8;
/// Names shorter than this are not looked for inside a sentence.
const MIN_PHRASE: usize = 5;

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// In the order in which they were named.
    pub entries: Vec<&'static Entry>,
    /// A word in front: what is special about what was asked.
    pub note: Option<String>,
}

/// Looks a word up. When it is unknown, a sentence that names the nearest ones.
pub fn find(asked: &str) -> Result<Found, String> {
    let cut = (0..=MAX_ASKED.min(asked.len())).rev().find(|at| asked.is_char_boundary(*at));
    let word = asked[..cut.unwrap_or(0)].trim();
    if word.is_empty() {
        return Err("what is to be explained? a command, a code, an extension, a state".into());
    }
    let plain = |entries: Vec<&'static Entry>| Found { entries, note: None };
    let found = Some(named(word))
        .filter(|found| !found.is_empty())
        .map(plain)
        .or_else(|| enhanced(word))
        .or_else(|| reply(word))
        .or_else(|| parameter(word).map(plain))
        .or_else(|| command(word).map(plain))
        .or_else(|| phrase(word).map(plain));
    let mut found = found.ok_or_else(|| unknown(word))?;
    found.entries.truncate(MAX_FOUND);
    Ok(found)
}

/// All entries with this name, of whatever kind.
fn named(word: &str) -> Vec<&'static Entry> {
    // `SIZE=`, `rcpt:` and a word in quotes are what is inside.
    let bare = word.trim_matches(|c| matches!(c, '"' | '\'' | '`'));
    let bare = if bare.len() > 1 { bare.trim_end_matches(['=', ':']) } else { bare };
    entries().iter().filter(|entry| entry.is(bare) || entry.is(word)).collect()
}

/// `5.7.1`, `x.7.1`, `4.7`, also with a detail that nobody registered.
fn enhanced(word: &str) -> Option<Found> {
    let mut parts = word.split('.');
    let class = parts.next().filter(|class| matches!(*class, "2" | "4" | "5" | "x" | "X"))?;
    let number = |part: &str| {
        let fits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<u16>().ok().filter(|_| fits)
    };
    let subject = number(parts.next()?)?;
    let detail = match parts.next() {
        None | Some("x" | "X") => None,
        Some(detail) => Some(number(detail)?),
    };
    if parts.next().is_some() {
        return None;
    }
    let of = |key: String| entry(Kind::Enhanced, &key);
    let exact = detail.and_then(|detail| of(format!("x.{subject}.{detail}")));
    let note = (detail.is_some() && exact.is_none())
        .then(|| format!("{word} is not registered; its class and its subject say this:"));
    let subject = of(format!("x.{subject}.x"));
    let class = of(format!("{class}.x.x"));
    let found: Vec<_> = [exact.or(subject), class].into_iter().flatten().collect();
    (!found.is_empty()).then_some(Found { entries: found, note })
}

/// `299`, `550 5.7.1 relaying denied`, `250-SIZE 1000`.
fn reply(line: &str) -> Option<Found> {
    let (digits, rest) = line.split_at_checked(3)?;
    let code: u16 = digits.parse().ok().filter(|code| (200..600).contains(code))?;
    let rest = match rest.strip_prefix([' ', '-']) {
        Some(rest) => rest.trim(),
        None if rest.is_empty() => rest,
        None => return None,
    };
    let mut found = Found { entries: Vec::new(), note: None };
    match entry(Kind::Reply, digits) {
        Some(entry) => found.entries.push(entry),
        None => {
            let note = format!("{code} is in no standard; its digits say this:");
            found.note = Some(note);
            let keys = [format!("{}yz", code / 100), format!("x{}z", code / 10 % 10)];
            found.entries.extend(keys.iter().filter_map(|key| entry(Kind::Reply, key)));
        }
    }
    if let Some((status, length)) = Enhanced::parse_prefix(rest.as_bytes()) {
        if let Some(more) = enhanced(&rest[..length]) {
            found.entries.extend(more.entries);
            found.note = found.note.or(more.note);
        }
        if u16::from(status.0) != code / 100 {
            let note = format!("the two codes contradict each other: {code} and {status}");
            found.note = Some(note);
        }
    } else if let Some(extension) = rest.split(' ').next().filter(|_| code == 250) {
        found.entries.extend(entry(Kind::Extension, extension));
    }
    Some(found)
}

/// `MAIL FROM:<a@b> SIZE=5 RET=HDRS`: the verb and its parameters.
fn command(line: &str) -> Option<Vec<&'static Entry>> {
    let mut words = line.split_ascii_whitespace();
    let verb = entry(Kind::Verb, words.next()?)?;
    let mut found = vec![verb];
    for word in words {
        let name = word.split('=').next().unwrap_or_default();
        let kind = if verb.key == "AUTH" { Kind::Mechanism } else { Kind::Parameter };
        if let Some(entry) = entry(kind, name).filter(|entry| !found.contains(entry)) {
            found.push(entry);
        }
    }
    Some(found)
}

/// `BODY=8BITMIME`: a parameter with its value.
fn parameter(word: &str) -> Option<Vec<&'static Entry>> {
    let (name, _) = word.split_once('=')?;
    entry(Kind::Parameter, name).map(|entry| vec![entry])
}

/// A sentence in which the name of a fault or a term occurs: the longest that does.
pub(super) fn phrase(text: &str) -> Option<Vec<&'static Entry>> {
    let text = text.to_ascii_lowercase();
    let occurs =
        |name: &&str| name.len() >= MIN_PHRASE && text.contains(&name.to_ascii_lowercase());
    let kinds = [Kind::Fault, Kind::Term];
    let longest = |entry: &'static Entry| {
        entry.names().filter(occurs).map(str::len).max().map(|length| (length, entry))
    };
    let found = entries().iter().filter(|entry| kinds.contains(&entry.kind)).filter_map(longest);
    found.max_by_key(|(length, _)| *length).map(|(_, entry)| vec![entry])
}

fn unknown(word: &str) -> String {
    let shown = Printable::bounded(word, 80);
    let lower = word.to_ascii_lowercase();
    let names = || entries().iter().flat_map(Entry::names);
    let begins = |name: &&str| {
        let name = name.to_ascii_lowercase();
        lower.len() >= 3 && (name.starts_with(&lower) || name.split(' ').any(|w| w == lower))
    };
    let mut near: Vec<String> = nearest(word, names()).into_iter().collect();
    for name in names().filter(begins) {
        if near.len() < 5 && !near.iter().any(|known| known == name) {
            near.push(name.into());
        }
    }
    match &near[..] {
        [] => format!("'{shown}' is not in the book; try a command, a code or a state"),
        near => format!("'{shown}' is not in the book; did you mean '{}'?", near.join("' or '")),
    }
}
