//! Reading mailflux.ini, one physical line at a time.
//!
//! The ini crate by itself lowercases names, cuts values at `;` and `#`, lets the last duplicate
//! win and loses line numbers. So each line goes to a fresh reader that is told otherwise, and
//! sections, duplicates and line numbers are kept here.

use std::collections::{HashMap, HashSet};

use ini::configparser::ini::{Ini, IniDefault};

use super::error::{ConfigError, Place};
use super::settings::{Name, Settings, Source, find, find_named};
use super::table::Keys;

/// What one line is.
#[derive(PartialEq, Eq, Debug)]
enum Line {
    /// A comment or nothing.
    Blank,
    /// `[NAME]`.
    Section(String),
    /// `KEY = VALUE`.
    Entry(String, String),
}

/// Reads one line.
fn read_line(line: &str) -> Result<Line, String> {
    let mut defaults = IniDefault::default();
    defaults.default_section = String::new();
    defaults.case_sensitive = true;
    defaults.multiline = false;
    defaults.delimiters = vec!['='];
    defaults.enable_inline_comments = false;
    let trimmed = line.trim();
    if trimmed.starts_with('[') && !trimmed.ends_with(']') {
        return Err("a section is a line of its own: [NAME]".into());
    }
    // The words of the reader's own errors have a line number that is always 1.
    let read = Ini::new_from_defaults(defaults).read(line.to_owned());
    let read = read.map_err(|_| "write KEY = VALUE, [SECTION] or ; COMMENT".to_owned())?;
    let Some((section, entries)) = read.into_iter().next() else { return Ok(Line::Blank) };
    match entries.into_iter().next() {
        None => Ok(Line::Section(section)),
        Some((key, Some(value))) => Ok(Line::Entry(key, value)),
        Some((key, None)) => Err(format!("'{key}' has no value; write {key} = VALUE")),
    }
}

/// What is known while a file is read.
struct Reader<'a> {
    settings: &'a mut Settings,
    errors: &'a mut Vec<ConfigError>,
    /// The section of the present line; none before the first, or in one that does not exist.
    section: Option<String>,
    /// Whether keys may come now; those of an unknown section are skipped without a word.
    started: bool,
    /// Where each key stands.
    seen: HashMap<(String, String), u32>,
}

/// Puts the settings of a file's text into `settings`; collects all errors. Also says in which
/// sections something was wrong, so that nobody complains about what follows from it.
pub(super) fn read(text: &str, settings: &mut Settings) -> (Vec<ConfigError>, HashSet<String>) {
    let (mut errors, mut wrong) = (vec![], HashSet::new());
    let mut reader = Reader {
        settings,
        errors: &mut errors,
        section: None,
        started: false,
        seen: HashMap::new(),
    };
    // Editors on Windows put a byte order mark before the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in (1..).zip(text.split('\n')) {
        if let Err(message) = reader.line(number, line) {
            wrong.extend(reader.section.clone());
            reader.errors.push(ConfigError::new(Place::Line(number), message));
        }
    }
    (errors, wrong)
}

impl Reader<'_> {
    fn line(&mut self, number: u32, line: &str) -> Result<(), String> {
        if line.trim_start().starts_with('[') {
            self.started = true;
            self.section = None;
        }
        match read_line(line)? {
            Line::Blank => Ok(()),
            Line::Section(name) => {
                find_named(&name)?;
                self.section = Some(name);
                Ok(())
            }
            Line::Entry(..) if !self.started => {
                Err("a key before the first [SECTION]; put the section above it".into())
            }
            Line::Entry(key, value) => match self.section.clone() {
                Some(section) => self.entry(number, section, key, value),
                None => Ok(()),
            },
        }
    }

    fn entry(&mut self, n: u32, section: String, key: String, value: String) -> Result<(), String> {
        let (key, value) = match find_named(&section)?.keys {
            Keys::Open(..) => split_open(key, value),
            Keys::Fixed(_) => (key, value),
        };
        find(&section, &key)?;
        if let Some(first) = self.seen.insert((section.clone(), key.clone()), n) {
            let message = format!("'{key}' in [{section}] stands already in line {first}");
            return Err(message);
        }
        self.settings.set_split(Name { section, key }, &value, Source::File { line: n })
    }
}

/// In an open section the key ends at the last `=`, since an address may contain one.
fn split_open(key: String, value: String) -> (String, String) {
    match value.rsplit_once('=') {
        None => (key, value),
        Some((more, value)) => (format!("{key}={}", more.trim_end()), value.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for blank in ["", "  ", "\r", "; x", "# x = y", "  ;[x]", "\t"] {
            assert_eq!(read_line(blank), Ok(Line::Blank), "{blank:?}");
        }
        assert_eq!(read_line("[a.B]\r"), Ok(Line::Section("a.B".into())));
        assert_eq!(read_line(" [ a ] "), Ok(Line::Section("a".into())));
        assert_eq!(read_line("[]"), Ok(Line::Section("".into())));
        assert_eq!(read_line("[default]"), Ok(Line::Section("default".into())));
        let entry = |k: &str, v: &str| Ok(Line::Entry(k.into(), v.into()));
        assert_eq!(read_line("Key = a;b#c \r"), entry("Key", "a;b#c"));
        assert_eq!(read_line("  k=a=b"), entry("k", "a=b"));
        assert_eq!(read_line("k:x ="), entry("k:x", ""));
        assert_eq!(read_line("k = [x]"), entry("k", "[x]"));
        for wrong in ["[x", "[x] ; y", "= v", "word", "[a]x"] {
            assert!(read_line(wrong).is_err(), "{wrong}");
        }
    }

    fn errors(text: &str) -> Vec<String> {
        let (errors, _) = read(text, &mut Settings::new(None));
        errors.iter().map(|e| e.line(Some("m.ini".as_ref())).into_string()).collect()
    }

    #[test]
    fn all_errors_of_a_file_are_told_with_their_lines() {
        let text = "\u{feff}x = 1\n[server]\nhostname = a b\nprot = 1\n\n[sever]\nx = y\n\
                    [server]\nlisten = 127.0.0.1:1\nlisten = 127.0.0.1:2\n[next_server.a b]\n\
                    host = x\n[log\nx = y\n[routes]\na..b = x";
        assert_eq!(
            errors(text),
            [
                "m.ini:1: a key before the first [SECTION]; put the section above it",
                "m.ini:3: hostname: 'a b' is not a domain such as mail.example.com",
                "m.ini:4: unknown key 'prot' in [server]",
                "m.ini:6: unknown section [sever]; did you mean [server]?",
                "m.ini:10: 'listen' in [server] stands already in line 9",
                "m.ini:11: 'a b' is not a name; use letters, digits, - and _",
                "m.ini:13: a section is a line of its own: [NAME]",
                "m.ini:16: 'a..b' is not a route; write a domain, .domain, from:ADDRESS or *",
            ]
        );
        assert_eq!(
            errors("[next_server]\nprot = 1\nmax_hops = 1\ncolour = red"),
            [
                "m.ini:2: unknown key 'prot' in [next_server]; did you mean 'port'?",
                "m.ini:3: unknown key 'max_hops' in [next_server]; did you mean 'max_hops' in \
                 [server]?",
                "m.ini:4: unknown key 'colour' in [next_server]",
            ]
        );
    }

    #[test]
    fn what_came_from_the_file_is_shown_without_effect_on_the_terminal() {
        assert_eq!(
            errors("[\x1b[2J]"),
            ["m.ini:1: unknown section [\\x1b[2J]; there are [server], \
            [listener], [tls], [next_server], [routes], [aliases], [filter], [fault], [dns], \
            [queue], [auth], [sink], [insight], [log]"]
        );
    }

    #[test]
    fn routes_may_have_equals_signs() {
        let mut settings = Settings::new(None);
        let (errors, _) = read("[routes]\nfrom:a=b@x.org = one, two\n* = one", &mut settings);
        assert!(errors.is_empty(), "{errors:?}");
        let keys: Vec<&str> = settings.open_entries("routes").iter().map(|e| e.0).collect();
        assert_eq!(keys, ["from:a=b@x.org", "*"]);
    }
}
