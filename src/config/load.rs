//! Loading: find the file, read it, put the command line over it, make the [`Config`].

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Place};
use super::file;
use super::login;
use super::settings::{Settings, Source, find_setting};
use super::typed::Config;
use super::users;
use crate::base::{Domain, Failure, Printable, cause, exit};
use crate::sys;

/// Octets of a configuration file; beyond it is something else.
const MAX_FILE: u64 = 1 << 20;

/// Where settings come from.
#[derive(Clone, Default, Debug)]
pub struct Sources {
    /// The file that was asked for; it must exist.
    pub file: Option<PathBuf>,
    /// Else the first of these that exists, if any.
    pub search: Vec<PathBuf>,
    /// What is put over it, in this order.
    pub overrides: Vec<Override>,
    /// What the configuration is for.
    pub purpose: Purpose,
}

/// What a configuration is for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Purpose {
    /// To run the server: everything must fit together, and mail must have somewhere to go.
    #[default]
    Serve,
    /// To find the server that runs: each setting must be right, and no more is asked.
    Find,
}

/// One setting from outside the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override {
    /// What the user wrote, for errors: `--set server.max_hops=5`, `-l 127.0.0.1:25`.
    pub shown: String,
    /// By what it was given, without the value: `--set server.max_hops`, `-l`, `MAILFLUX_LOG`.
    pub given_by: String,
    /// `server.max_hops`.
    pub name: String,
    /// `5`.
    pub value: String,
}

/// Makes the configuration of all sources. A failure has all errors, one line each: those of the
/// file in the order of its lines, then those of the command line.
pub fn load(sources: &Sources) -> Result<Config, Failure> {
    let found = match &sources.file {
        Some(path) => Some((path.clone(), read_file(path)?.ok_or_else(|| missing(path))?)),
        None => first_of(&sources.search)?,
    };
    let mut settings = Settings::new(found.as_ref().map(|f| f.0.clone()));
    let (mut errors, mut wrong) = match &found {
        Some((_, text)) => file::read(text, &mut settings),
        None => (vec![], HashSet::new()),
    };
    for o in &sources.overrides {
        if let Err(message) = settings.set(&o.name, &o.value, Source::Given(o.given_by.clone())) {
            wrong.extend(o.name.rsplit_once('.').map(|(section, _)| section.to_owned()));
            // What was given may be a secret.
            let secret = find_setting(&o.name).is_ok_and(|setting| setting.secret);
            let shown = if secret { &o.given_by } else { &o.shown };
            errors.push(ConfigError::new(Place::Given(shown.clone()), message));
        }
    }
    let single = errors.len();
    let mut config = Config::make(settings, &system_name(), &wrong, &mut errors);
    if sources.purpose == Purpose::Find {
        errors.truncate(single);
    }
    if errors.is_empty() {
        if sources.purpose == Purpose::Serve {
            login::check(&config.next_servers)?;
            users::read(&mut config.auth)?;
        }
        return Ok(Config { sources: sources.clone(), ..config });
    }
    // By line of the file; the command line keeps its order, and what is missing comes last.
    errors.sort_by_key(|e| match e.place {
        Place::Line(line) => (0, line),
        Place::Given(_) => (1, 0),
        Place::Nowhere => (2, 0),
    });
    let file = found.as_ref().map(|f| f.0.as_path());
    let lines: Vec<String> = errors.iter().map(|e| e.line(file).into_string()).collect();
    Err(Failure::new(exit::CONFIG, lines.join("\n")))
}

/// The first file of the list that exists, and its text.
fn first_of(paths: &[PathBuf]) -> Result<Option<(PathBuf, String)>, Failure> {
    for path in paths {
        if let Some(text) = read_file(path)? {
            return Ok(Some((path.clone(), text)));
        }
    }
    Ok(None)
}

fn missing(path: &Path) -> Failure {
    let path = shown(path);
    Failure::new(exit::CONFIG, format!("cannot read {path}: no such file; give its name with -c"))
}

pub(super) fn shown(path: &Path) -> Printable {
    Printable::new(path.display().to_string())
}

/// The text of a file; none when there is no such file.
fn read_file(path: &Path) -> Result<Option<String>, Failure> {
    let mut octets = vec![];
    let read = File::open(path).and_then(|f| f.take(MAX_FILE + 1).read_to_end(&mut octets));
    if let Err(e) = read {
        let (exit, hint) = match e.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => return Ok(None),
            ErrorKind::PermissionDenied => (exit::NO_PERMISSION, "; let this user read it"),
            ErrorKind::IsADirectory => (exit::CONFIG, "; give the file in it with -c"),
            _ => (exit::SYSTEM, ""),
        };
        let message = format!("cannot read {}: {}{hint}", shown(path), cause(&e));
        return Err(Failure::new(exit, message));
    }
    let wrong = |what: &str| Err(Failure::new(exit::CONFIG, format!("{}{what}", shown(path))));
    if octets.len() as u64 > MAX_FILE {
        return wrong(" is no configuration file: it has more than 1 MiB");
    }
    match String::from_utf8(octets) {
        Ok(text) => Ok(Some(text)),
        Err(e) => {
            let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
            let line = before.iter().filter(|b| **b == b'\n').count() + 1;
            wrong(&format!(":{line}: not UTF-8; save the file in that encoding"))
        }
    }
}

/// The system's name as a domain: what breaks the grammar becomes `-`.
pub(super) fn system_name() -> String {
    domain_of(&sys::hostname().unwrap_or_default())
}

fn domain_of(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let clean: String = name.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let labels = clean.split('.').map(|label| label.trim_matches('-'));
    let labels: Vec<&str> = labels.filter(|l| !l.is_empty()).collect();
    let name = labels.join(".");
    if Domain::is_valid(&name) { name } else { "localhost".into() }
}

#[cfg(test)]
mod tests;
