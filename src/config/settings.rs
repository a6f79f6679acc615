//! The settings that were given, by name, as text and as value, each with its source.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::kind::Value;
use super::nearest;
use super::save::Change;
use super::table::{Keys, Naming, OpenKey, Preset, SECTIONS, Section, Setting, find_section};
use super::typed::RouteKey;
use crate::base::Address;

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Built in, or worked out by the program.
    Default,
    /// The file, in this line from 1; 0 when it was saved there and not read again yet.
    File {
        /// The line.
        line: u32,
    },
    /// The command line or the environment, by this: `--set server.max_hops`, `-l`,
    /// `MAILFLUX_LOG`. No value, since it may be a secret.
    Given(String),
    /// Changed while the server runs.
    Runtime,
}

/// One setting that was given.
#[derive(Clone, Debug)]
struct Entry {
    /// As in the file: `next_server.backup`.
    section: String,
    key: String,
    /// As written, without blanks around it; secrets as `***`.
    text: String,
    value: Value,
    source: Source,
}

/// Everything that was given, checked by name and by kind. Later values replace earlier ones.
#[derive(Clone, Default, Debug)]
pub struct Settings {
    file: Option<PathBuf>,
    /// In the order of first appearance, which is the order of routes.
    entries: Vec<Entry>,
    /// Where an entry is, by whole name.
    index: HashMap<String, usize>,
    /// What stands in the file and was taken out while running: sections and keys.
    removed: Vec<(String, String)>,
}

/// One setting with its present value, for people.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The whole name: `next_server.backup.host`.
    pub name: String,
    /// The value as one would write it, paths resolved, secrets as `***`; empty when there is none.
    pub value: String,
    /// Where it comes from.
    pub source: &'a Source,
    /// Its row of the table.
    pub setting: &'static Setting,
}

/// A name split into what the file has as section and key.
pub(super) struct Name {
    pub section: String,
    pub key: String,
}

impl Settings {
    /// No settings yet; `file` is where those of the file come from.
    pub fn new(file: Option<PathBuf>) -> Settings {
        Settings { file, ..Settings::default() }
    }

    /// The file that was read, if one was.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Sets `SECTION.KEY`. The error says what is wrong with the name or the value.
    pub fn set(&mut self, name: &str, text: &str, source: Source) -> Result<(), String> {
        let name = split_name(name)?;
        self.set_split(name, text, source)
    }

    /// Sets a key of a section.
    pub(super) fn set_split(&mut self, name: Name, text: &str, s: Source) -> Result<(), String> {
        let setting = find(&name.section, &name.key)?;
        let text = text.trim();
        let value = match text {
            "" if setting.may_be_empty => Value::Nothing,
            "" => return Err(format!("'{}' needs a value: {}", name.key, setting.kind)),
            _ => setting.kind.parse(text).map_err(|e| format!("{}: {e}", name.key))?,
        };
        let value = match (value, &s) {
            (Value::Path(path), Source::File { .. } | Source::Default) => {
                Value::Path(self.folder().join(path))
            }
            (value, _) => value,
        };
        let Name { section, key } = name;
        let text = if setting.secret { "***" } else { text };
        self.removed.retain(|(s, k)| (s, k) != (&section, &key));
        let entry = Entry { section, key, text: text.to_owned(), value, source: s };
        let next = self.entries.len();
        match *self.index.entry(whole(&entry.section, &entry.key)).or_insert(next) {
            i if i == next => self.entries.push(entry),
            i => self.entries[i] = entry,
        }
        Ok(())
    }

    /// What was changed while running, as changes of the file.
    pub(super) fn changes(&self) -> Vec<Change> {
        let changed = self.entries.iter().filter(|e| e.source == Source::Runtime);
        let change = |e: &Entry| Change {
            section: e.section.clone(),
            key: e.key.clone(),
            value: Some(match &e.value {
                Value::Secret(s) => String::from_utf8_lossy(s.expose()).into_owned(),
                _ => e.text.clone(),
            }),
        };
        let gone = |(section, key): &(String, String)| Change {
            section: section.clone(),
            key: key.clone(),
            value: None,
        };
        changed.map(change).chain(self.removed.iter().map(gone)).collect()
    }

    /// Takes a whole section out while the server runs. False when nothing stands in it.
    pub(super) fn remove_section(&mut self, section: &str) -> bool {
        let before = self.entries.len();
        let (gone, stay) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|entry: &Entry| entry.section == section);
        self.entries = stay;
        let gone: Vec<Entry> = gone;
        let in_file = |entry: &Entry| matches!(entry.source, Source::File { .. });
        let names = gone.into_iter().filter(in_file).map(|entry| (entry.section, entry.key));
        self.removed.extend(names);
        let places = self.entries.iter().enumerate();
        self.index = places.map(|(i, e)| (whole(&e.section, &e.key), i)).collect();
        self.entries.len() < before
    }

    /// The sections of the file that were taken out while running.
    pub fn removed(&self) -> Vec<&str> {
        let mut sections: Vec<&str> = self.removed.iter().map(|(s, _)| s.as_str()).collect();
        sections.dedup();
        sections
    }

    /// The same settings after a save: what was changed while running stands in the file now. The
    /// lines are counted anew at the next reload; until then a saved one is in none.
    pub(super) fn saved(&self) -> Settings {
        let mut saved = Settings { removed: Vec::new(), ..self.clone() };
        for entry in &mut saved.entries {
            if entry.source == Source::Runtime {
                entry.source = Source::File { line: 0 };
            }
        }
        saved
    }

    /// Relative paths of the file and of the defaults start here.
    fn folder(&self) -> PathBuf {
        self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned()
    }

    fn entry(&self, section: &str, key: &str) -> Option<&Entry> {
        self.index.get(&whole(section, key)).map(|i| &self.entries[*i])
    }

    /// The value of a declared setting: the given one or the default, resolved.
    ///
    /// # Panics
    /// When the table has no such setting: that is our own fault.
    pub(super) fn value(&self, section: &str, key: &str) -> Value {
        if let Some(entry) = self.entry(section, key) {
            return entry.value.clone();
        }
        let setting = find(section, key).expect("a setting of the table");
        match setting.preset {
            Preset::Is(text) => match setting.kind.parse(text).expect("a default of its kind") {
                Value::Path(path) => Value::Path(self.folder().join(path)),
                value => value,
            },
            Preset::Unset | Preset::Derived(_) => Value::Nothing,
        }
    }

    /// Where the value of a setting comes from.
    pub(super) fn source(&self, section: &str, key: &str) -> &Source {
        self.entry(section, key).map_or(&Source::Default, |e| &e.source)
    }

    /// The sections of a family that appear, such as `next_server.backup`, in order.
    pub(super) fn named_sections(&self, family: &str) -> Vec<&str> {
        let mut seen = HashSet::new();
        let sections = self.entries.iter().map(|e| e.section.as_str());
        let named = sections.filter(|s| s.strip_prefix(family).is_some_and(|r| r.starts_with('.')));
        named.filter(|s| seen.insert(*s)).collect()
    }

    /// Key, value and source of all that stands in an open section, in order.
    pub(super) fn open_entries(&self, section: &str) -> Vec<(&str, &Value, &Source)> {
        let inside = self.entries.iter().filter(|e| e.section == section);
        inside.map(|e| (e.key.as_str(), &e.value, &e.source)).collect()
    }

    /// Every setting with its present value, in the order of the table. `derived` gives the values
    /// that were worked out when the configuration was made, by whole name.
    pub(super) fn rows(&self, derived: &[(&str, String)]) -> Vec<Row<'_>> {
        let mut rows = vec![];
        for section in SECTIONS {
            match section.keys {
                Keys::Fixed(settings) => {
                    let named = self.named_sections(section.name);
                    let plain = (section.naming != Naming::Named).then_some(section.name);
                    for full in plain.into_iter().chain(named) {
                        rows.extend(settings.iter().map(|s| self.row(full, s.key, s, derived)));
                    }
                }
                Keys::Open(_, setting) => {
                    let keys = self.open_entries(section.name).into_iter().map(|e| e.0);
                    rows.extend(keys.map(|key| self.row(section.name, key, setting, derived)));
                }
            }
        }
        rows
    }

    fn row(
        &self,
        section: &str,
        key: &str,
        setting: &'static Setting,
        derived: &[(&str, String)],
    ) -> Row<'_> {
        let name = whole(section, key);
        let value = match (self.entry(section, key), setting.preset) {
            (Some(_), _) if setting.secret => "***".into(),
            (Some(Entry { value: Value::Path(path), .. }), _) => path.display().to_string(),
            (Some(entry), _) => entry.text.clone(),
            (None, Preset::Is(text)) => match self.value(section, key) {
                Value::Path(path) => path.display().to_string(),
                _ => text.to_owned(),
            },
            (None, _) => {
                derived.iter().find(|d| d.0 == name).map(|d| d.1.clone()).unwrap_or_default()
            }
        };
        Row { name, value, source: self.source(section, key), setting }
    }
}

/// The whole name of a setting.
fn whole(section: &str, key: &str) -> String {
    format!("{section}.{key}")
}

impl fmt::Display for Source {
    /// For people; the file is named by who knows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File { line: 0 } => f.write_str("saved in the file"),
            Source::File { line } => write!(f, "line {line}"),
            Source::Given(what) => f.write_str(what),
            Source::Runtime => f.write_str("changed while running"),
        }
    }
}

/// The setting with this whole name.
pub(super) fn find_setting(name: &str) -> Result<&'static Setting, String> {
    let Name { section, key } = split_name(name)?;
    find(&section, &key)
}

/// Says that no setting has this name, and which was perhaps meant.
pub fn unknown_setting(name: &str) -> String {
    find_setting(name).err().unwrap_or_else(|| format!("'{name}' has no value"))
}

/// The setting of a key in a section; the error has the nearest one that exists.
pub(super) fn find(section: &str, key: &str) -> Result<&'static Setting, String> {
    match find_named(section)?.keys {
        Keys::Open(OpenKey::Route, setting) => {
            RouteKey::parse(key)?;
            Ok(setting)
        }
        Keys::Open(OpenKey::Alias, setting) => check_alias(key).map(|()| setting),
        Keys::Fixed(settings) => settings
            .iter()
            .find(|s| s.key == key)
            .ok_or_else(|| unknown_key(section, key, settings)),
    }
}

/// An alias is named by a mailbox of this server, without a domain, or by a whole address.
fn check_alias(key: &str) -> Result<(), String> {
    let whole = if key.contains('@') { key.to_owned() } else { format!("{key}@x") };
    match Address::parse(&whole) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("'{key}' is not a mailbox; write a name such as root, or ann@x.org")),
    }
}

/// The section with this name in the file; the error has the nearest one that exists.
pub(super) fn find_named(full: &str) -> Result<&'static Section, String> {
    let (section, name) = find_section(full).ok_or_else(|| unknown_section(full))?;
    match name {
        Some(name) => check_name(section, name).map(|()| section),
        None => Ok(section),
    }
}

/// Names of family members are words, so that they can stand in lists and commands.
fn check_name(section: &Section, name: &str) -> Result<(), String> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(word) {
        return Err(format!("'{name}' is not a name; use letters, digits, - and _"));
    }
    if name == "default" {
        let plain = section.name;
        return Err(match section.naming {
            Naming::Named => format!("'default' is no name for a [{plain}.NAME]; take another"),
            _ => format!("the name 'default' is that of [{plain}]; write [{plain}]"),
        });
    }
    Ok(())
}

/// Says that a section does not exist, and which was perhaps meant.
fn unknown_section(section: &str) -> String {
    let family = section.split('.').next().unwrap_or_default();
    let hint = match nearest(family, SECTIONS.iter().map(|s| s.name)) {
        Some(name) if name != family => format!("; did you mean [{name}]?"),
        Some(name) if matches!(name.as_str(), "listener" | "filter" | "fault") => {
            format!("; give it a name: [{name}.NAME]")
        }
        Some(name) => format!("; there is only [{name}]"),
        None => {
            let names: Vec<String> = SECTIONS.iter().map(|s| format!("[{}]", s.name)).collect();
            format!("; there are {}", names.join(", "))
        }
    };
    format!("unknown section [{section}]{hint}")
}

/// Says that a key does not exist, and which was perhaps meant: the nearest of its section, or
/// the same key of another one.
fn unknown_key(section: &str, key: &str, settings: &[Setting]) -> String {
    let elsewhere = || {
        let fixed = SECTIONS.iter().filter(|s| matches!(s.keys, Keys::Fixed(_)));
        let mut having = fixed.filter(|s| s.settings().iter().any(|row| row.key == key));
        having.next().map(|s| format!("'{key}' in [{}]", s.name))
    };
    let near = nearest(key, settings.iter().map(|s| s.key)).map(|near| format!("'{near}'"));
    let hint = near.or_else(elsewhere).map(|h| format!("; did you mean {h}?")).unwrap_or_default();
    format!("unknown key '{key}' in [{section}]{hint}")
}

/// Splits `SECTION.KEY`, where the section may be a named one (`next_server.backup.host`) and the
/// key of an open section may contain dots (`routes.example.org`).
fn split_name(full: &str) -> Result<Name, String> {
    let unknown = || {
        let all = SECTIONS.iter().flat_map(|section| {
            let fixed = matches!(section.keys, Keys::Fixed(_));
            let settings = section.settings().iter().filter(move |_| fixed);
            settings.map(move |s| format!("{}.{}", section.name, s.key))
        });
        let hint = nearest(full, all).map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
        format!("unknown setting '{full}'{hint}")
    };
    let (family, rest) = full.split_once('.').ok_or_else(unknown)?;
    let section = SECTIONS.iter().find(|s| s.name == family).ok_or_else(unknown)?;
    let (section, key) = match (&section.keys, section.naming, rest.rsplit_once('.')) {
        (Keys::Open(..), _, _) | (Keys::Fixed(_), _, None) => (family.to_owned(), rest),
        (_, Naming::PlainAndNamed | Naming::Named, Some((name, key))) => {
            (format!("{family}.{name}"), key)
        }
        (_, Naming::Plain, Some(_)) => return Err(unknown()),
    };
    if let (Some((Section { keys: Keys::Fixed(all), .. }, _)), true) =
        (find_section(&section), section == family)
    {
        if !all.iter().any(|s| s.key == key) {
            return Err(unknown());
        }
    }
    Ok(Name { section, key: key.to_owned() })
}
