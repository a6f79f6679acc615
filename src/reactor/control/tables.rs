//! What `explain` knows beside the book: the commands of the console and the settings, each from
//! the table that the parser and the file's reader use.

use serde_json::json;

use crate::base::Report;
use crate::config::table::{Keys, Naming, Preset, SECTIONS, Section, Setting};
use crate::control::{Verb, find};
use crate::explain::{self, wrap};

/// `explain WORD`, without a server: what the book says, and what the tables say of just this word.
/// An error is a sentence that names the nearest words.
pub fn explain_word(asked: &str) -> Result<Report, String> {
    let word = asked.trim();
    let own = own(word);
    // A setting's name may hold a word of the book; only what is named so is meant then.
    let named = explain::find(word)
        .is_ok_and(|found| found.entries.iter().any(|entry| entry.is(word)) || own.is_empty());
    if own.is_empty() || named {
        let mut report = explain::report(word)?;
        own.iter().for_each(|own| own.add_to(&mut report));
        return Ok(report);
    }
    let json = json!({ "word": word, "note": null, "entries": [] });
    let mut report = Report { json, lines: Vec::new() };
    own.iter().for_each(|own| own.add_to(&mut report));
    Ok(report)
}

/// An entry made of a row of a table.
struct Own {
    key: String,
    kind: &'static str,
    meaning: &'static str,
    /// Labels and what stands behind them.
    facts: Vec<(&'static str, String)>,
}

impl Own {
    fn add_to(&self, report: &mut Report) {
        if !report.lines.is_empty() {
            report.lines.push(String::new());
        }
        let Own { key, kind, meaning, facts } = self;
        let facts = facts.iter().filter(|(_, text)| !text.is_empty());
        let lines = &mut report.lines;
        wrap(lines, "", &format!("{key} ({kind})"));
        wrap(lines, "  ", meaning);
        let mut entry = json!({ "key": key, "kind": kind, "meaning": meaning });
        for (label, text) in facts {
            wrap(lines, &format!("  {label:<8}"), text);
            entry[*label] = json!(text);
        }
        if let Some(entries) = report.json["entries"].as_array_mut() {
            entries.push(entry);
        }
    }
}

/// What the tables have under this name, in full.
fn own(word: &str) -> Vec<Own> {
    let sections = SECTIONS.iter().filter(|section| names(section).contains(&word.to_owned()));
    let sections = sections.map(of_section);
    let settings = SECTIONS.iter().flat_map(|section| {
        let settings = section.settings().iter();
        settings.filter(|setting| is_named(section, setting, word)).map(|s| of_setting(section, s))
    });
    find(word).map(of_verb).into_iter().chain(sections).chain(settings).collect()
}

fn of_verb(verb: &Verb) -> Own {
    let facts = vec![("form", verb.usage.to_owned())];
    Own { key: verb.name.into(), kind: "command of the console", meaning: verb.help, facts }
}

/// `[queue]`, `[filter.NAME]`.
fn names(section: &Section) -> Vec<String> {
    let plain = format!("[{}]", section.name);
    let named = format!("[{}.NAME]", section.name);
    match section.naming {
        Naming::Plain => vec![plain],
        Naming::Named => vec![named],
        Naming::PlainAndNamed => vec![plain, named],
    }
}

fn of_section(section: &Section) -> Own {
    let keys: Vec<&str> = section.settings().iter().map(|setting| setting.key).collect();
    let facts = vec![("settings", keys.join(", "))];
    let key = names(section).join(", ");
    Own { key, kind: "section of the file", meaning: section.help, facts }
}

/// `queue.retry_min`, `retry_min`; `filter.NAME.where` and `filter.spam.where` of `[filter.NAME]`.
fn is_named(section: &Section, setting: &Setting, word: &str) -> bool {
    if matches!(section.keys, Keys::Open(..)) {
        return false;
    }
    let Some((family, key)) = word.rsplit_once('.') else { return word == setting.key };
    let family = match (section.naming, family.split_once('.')) {
        (Naming::Plain | Naming::PlainAndNamed, None) => family,
        (Naming::Named | Naming::PlainAndNamed, Some((family, _))) => family,
        _ => return false,
    };
    key == setting.key && family == section.name
}

fn of_setting(section: &Section, setting: &Setting) -> Own {
    let name = if section.naming == Naming::Named { ".NAME" } else { "" };
    let key = format!("{}{name}.{}", section.name, setting.key);
    let preset = match setting.preset {
        Preset::Unset => "none",
        Preset::Is(value) => value,
        Preset::Derived(from) => from,
    };
    let live = match (setting.live, setting.secret) {
        (_, true) => "never shown".to_owned(),
        (true, _) => format!("while the server runs: config set {key} VALUE"),
        (false, _) => "with a new start of the server".to_owned(),
    };
    let facts =
        vec![("value", setting.kind.to_string()), ("default", preset.into()), ("changed", live)];
    Own { key, kind: "setting", meaning: setting.help, facts }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::control::VERBS;
    use crate::journal::Verb as Said;
    use crate::rules::{At, FAULT_KEYS, FIELD_NAMES, filter};

    fn kinds(word: &str) -> Vec<String> {
        let report = explain_word(word).unwrap_or_else(|why| panic!("{why}"));
        let entries = report.json["entries"].as_array().unwrap();
        let kind = |entry: &Value| entry["kind"].as_str().unwrap().to_owned();
        entries.iter().map(kind).collect()
    }

    fn is(word: &str, kind: &str) {
        assert!(kinds(word).iter().any(|found| found == kind), "'{word}' is no {kind}");
    }

    /// Whatever word a table of the program has, the book or the table explains.
    #[test]
    fn every_word_of_every_table_is_explained() {
        VERBS.iter().for_each(|verb| is(verb.name, "command of the console"));
        for section in SECTIONS {
            names(section).iter().for_each(|name| is(name, "section of the file"));
            if matches!(section.keys, Keys::Open(..)) {
                continue;
            }
            for setting in section.settings() {
                is(&of_setting(section, setting).key, "setting");
                is(setting.key, "setting");
            }
        }
        let rules = "word of rules and events";
        let words = filter::ACTIONS.iter().chain(&FIELD_NAMES);
        let keys = filter::KEYS.iter().chain(&FAULT_KEYS);
        words.chain(keys).filter(|word| **word != "header").for_each(|word| is(word, rules));
        At::NAMES.iter().for_each(|stage| assert!(!kinds(stage).is_empty(), "{stage}"));
        let said = Said::ALL.iter().filter(|verb| !matches!(verb, Said::Connect | Said::Other));
        said.for_each(|verb| is(verb.name(), "command"));
        for sign in ["->", "<-", "~>", "<~", "===", "**", "|||", "!!!"] {
            is(sign, "sign of a transcript");
        }
        for event in ["connected", "accepted", "attempt", "delivered", "deferred", "failed"] {
            assert!(!kinds(event).is_empty(), "{event}");
        }
    }

    #[test]
    fn a_setting_has_range_default_and_way_to_change_it() {
        let lines = explain_word("queue.retry_min").unwrap().lines;
        assert_eq!(
            lines,
            [
                "queue.retry_min (setting)",
                "  first wait before a deferred recipient is tried again; it doubles, with",
                "  jitter",
                "  value   duration, 10ms to 30d",
                "  default 15s",
                "  changed while the server runs: config set queue.retry_min VALUE",
            ]
        );
        assert_eq!(
            explain_word("next_server.backup.port").unwrap().lines[0],
            "next_server.port (setting)"
        );
        assert!(!kinds("queue.backup.retry_min").contains(&"setting".to_owned()));
    }

    #[test]
    fn a_word_of_the_book_and_of_the_console_has_both() {
        let kinds = kinds("drop");
        assert_eq!(kinds, ["command of the console"]);
        let lines = explain_word("delay").unwrap().lines;
        assert!(lines.contains(&"DELAY (parameter of NOTIFY)".to_owned()), "{lines:?}");
        assert!(lines.contains(&"delay (command of the console)".to_owned()), "{lines:?}");
        assert!(explain_word("zzzzzz").unwrap_err().contains("not in the book"));
    }
}
