//! `config`: look at settings, change them while the server runs, keep the changes.
//!
//! A change is made into a whole new configuration first. Only when all of that fits together and
//! every new address can be listened on does anything change; else all stays as it was.

use serde_json::{Value, json};

use super::Refusal;
use super::server::done;
use crate::base::Printable;
use crate::config::{self, Config, Row, Source};
use crate::control::ConfigCommand;
use crate::journal::{Level, Report};
use crate::reactor::certs::Certs;
use crate::reactor::core::Role;
use crate::reactor::net::Net;
use crate::reactor::slots::Slot;
use crate::reactor::{Reactor, run};
use crate::spool::Disk;

/// Columns of values before their sources, in a list.
const MAX_VALUE: usize = 24;

impl<N: Net, D: Disk> Reactor<N, D> {
    /// `config …`
    pub(super) fn configure(&mut self, command: ConfigCommand) -> Result<Report, Refusal> {
        match command {
            ConfigCommand::Get(None) => Ok(rows(self.core.config.rows())),
            ConfigCommand::Get(Some(name)) => self.get(&name),
            ConfigCommand::Set(name, value) => self.set_setting(&name, &value),
            ConfigCommand::Diff => {
                let changed = |row: &Row<'_>| *row.source == Source::Runtime;
                let mut report =
                    rows(self.core.config.rows().into_iter().filter(changed).collect());
                let removed = self.core.config.settings.removed();
                if let (false, Some(map)) = (removed.is_empty(), report.json.as_object_mut()) {
                    map.insert("deleted".into(), json!(removed));
                    if report.lines == ["nothing"] {
                        report.lines.clear();
                    }
                    report.lines.extend(removed.iter().map(|s| format!("[{s}] deleted")));
                }
                Ok(report)
            }
            ConfigCommand::Save => self.save(),
            ConfigCommand::Reload => self.reload(),
        }
    }

    /// One setting, or all of a section.
    fn get(&self, name: &str) -> Result<Report, Refusal> {
        let all = self.core.config.rows();
        if let Some(row) = all.iter().find(|row| row.name == name) {
            let (value, source) = (Printable::new(&row.value), source_of(&self.core.config, row));
            let json = json!({ "name": row.name, "value": value, "source": source });
            return Ok(Report { json, lines: vec![format!("{name} = {value}  # {source}")] });
        }
        let inside: Vec<Row<'_>> = all
            .into_iter()
            .filter(|row| row.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
            .collect();
        if inside.is_empty() {
            return Err(Refusal::new(config::unknown_setting(name)));
        }
        Ok(rows(inside))
    }

    /// `config set NAME VALUE`
    pub(super) fn set_setting(&mut self, name: &str, value: &str) -> Result<Report, Refusal> {
        let new = self.core.config.changed(name, value).map_err(|why| {
            Refusal::new(match in_one_go(name) {
                Some(hint) => format!("{why}; {hint}"),
                None => why,
            })
        })?;
        self.apply(new).map_err(Refusal::new)?;
        let shown = self.core.config.rows().into_iter().find(|row| row.name == name);
        let value = shown.map_or_else(|| Printable::new(value), |row| Printable::new(row.value));
        let text = format!("{name} = {value}");
        self.core.say(self.now, Level::Info, &format!("changed while running: {text}"));
        Ok(Report { json: json!({ "name": name, "value": value }), lines: vec![text] })
    }

    /// `config save`
    fn save(&mut self) -> Result<Report, Refusal> {
        let saved = self.core.config.save().map_err(Refusal::new)?;
        let count = saved.count;
        self.core.config.settings = saved.settings;
        let file = Printable::new(saved.file.display().to_string());
        let text = match count {
            0 => "nothing was changed while running".to_owned(),
            1 => format!("1 setting saved in {file}"),
            n => format!("{n} settings saved in {file}"),
        };
        Ok(Report { json: json!({ "saved": count, "file": file }), lines: vec![text] })
    }

    /// `config reload`: the file as it is now; changes made while running are forgotten, and named.
    fn reload(&mut self) -> Result<Report, Refusal> {
        let old: Vec<(String, String)> =
            self.core.config.rows().into_iter().map(|row| (row.name, row.value)).collect();
        let runtime = self.core.config.rows().into_iter().filter(|r| *r.source == Source::Runtime);
        let mut forgotten: Vec<String> = runtime.map(|row| whole_filter(row.name)).collect();
        forgotten.extend(self.core.config.settings.removed().iter().map(|s| s.to_string()));
        forgotten.dedup();
        let read = self.core.config.reloaded().map_err(|failure| failure.message);
        let kept = read.and_then(|new| self.apply(new));
        let kept = kept.map_err(|words| Refusal::new(words + self.core.reload_hint().as_str()))?;
        let mut changed: Vec<String> = self
            .core
            .config
            .rows()
            .into_iter()
            .filter(|row| !old.iter().any(|(name, value)| *name == row.name && *value == row.value))
            .map(|row| row.name)
            .filter(|name| !kept.contains(name))
            .map(whole_filter)
            .collect();
        changed.dedup();
        let mut lines = vec![match changed.len() {
            0 => "read again; nothing is different".to_owned(),
            _ => format!("read again; different now: {}", changed.join(", ")),
        }];
        if !forgotten.is_empty() {
            lines.push(format!("forgotten, since changed while running: {}", forgotten.join(", ")));
        }
        if !kept.is_empty() {
            lines.push(format!("at the next start only: {}", kept.join(", ")));
        }
        for line in &lines {
            self.core.say(self.now, Level::Info, &format!("configuration {line}"));
        }
        let json = json!({ "changed": changed, "forgotten": forgotten, "restart": kept });
        Ok(Report { json, lines })
    }

    /// HUP: what `config reload` does; what is wrong is said, and all stays as it was.
    pub(in crate::reactor) fn reload_or_say(&mut self) {
        if let Err(refusal) = self.reload() {
            let text = format!("configuration not read again: {}", refusal.message);
            self.core.say(self.now, Level::Error, &text);
        }
    }

    /// Takes a new configuration. Gives the names of settings that differ and need a new start.
    /// An error leaves all as it was.
    pub(super) fn apply(&mut self, mut new: Config) -> Result<Vec<String>, String> {
        let kept = new.keep_fixed(&self.core.config);
        let certs = Certs::load(&new).map_err(|failure| failure.message)?;
        let old = self.listeners();
        let mut opened = Vec::new();
        for at in new.server.listen.iter().filter(|at| !old.iter().any(|(_, o)| o == *at)) {
            match self.listen(*at, Role::Relay) {
                Ok(local) => opened.push((*at, local)),
                Err(e) => {
                    for (at, _) in opened {
                        self.close_listener(at);
                    }
                    let user = self.core.config.server.user.as_deref();
                    return Err(run::listen_words(*at, &e, user));
                }
            }
        }
        for (_, at) in &old {
            if !new.server.listen.contains(at) {
                self.close_listener(*at);
                self.core.say(self.now, Level::Info, &format!("no longer accepting mail on {at}"));
            }
        }
        for (_, local) in opened {
            self.core.say(self.now, Level::Info, &format!("accepting mail on {local}"));
        }
        run::keep_secrets(&new);
        let log = self.core.config.log != new.log;
        self.core.reconfigure(new, self.now);
        self.core.set_certs(certs, self.now);
        if log {
            self.core.journal.set_log_format(self.core.config.log.format);
            self.set_logger();
        }
        Ok(kept)
    }

    /// The listeners for mail: their tokens, and the addresses that were asked for.
    fn listeners(&mut self) -> Vec<(crate::reactor::Token, std::net::SocketAddr)> {
        let mut all = Vec::new();
        for token in self.slots.tokens() {
            if let Some(Slot::Listener(listener)) = self.slots.get_mut(token) {
                if listener.role == Role::Relay {
                    all.push((token, listener.at));
                }
            }
        }
        all
    }

    fn close_listener(&mut self, at: std::net::SocketAddr) {
        for (token, _) in self.listeners().into_iter().filter(|(_, a)| *a == at) {
            self.slots.remove(token);
        }
    }
}

/// How to change what belongs together: an action without what it needs is refused, and so is what
/// the action has no use for, so that one key at a time leads nowhere.
fn in_one_go(name: &str) -> Option<String> {
    let (kind, rest) = name.split_once('.')?;
    let (rule, key) = rest.split_once('.')?;
    let what = match (kind, key) {
        ("filter", "action" | "reply" | "to" | "via" | "header" | "rate" | "per" | "stage") => {
            "ACTION"
        }
        ("fault", _) => "STAGE",
        _ => return None,
    };
    Some(format!(
        "to change more than one key in one go: '{kind} delete {rule}', then '{kind} add {what} \
         ... name={rule}'; or change the file, then 'config reload'"
    ))
}

/// The name of a setting; of a filter's the filter, which is one thing.
fn whole_filter(name: String) -> String {
    match name.strip_prefix("filter.").and_then(|rest| rest.split_once('.')) {
        Some((filter, _)) => format!("filter.{filter}"),
        None => name,
    }
}

fn source_of(config: &Config, row: &Row<'_>) -> Printable {
    let file = config.settings.file().map(|f| f.display().to_string()).unwrap_or_default();
    match row.source {
        Source::File { line } => Printable::new(format!("{file}:{line}")),
        other => Printable::new(other.to_string()),
    }
}

fn rows(rows: Vec<Row<'_>>) -> Report {
    let shown: Vec<(Printable, Printable, Printable)> = rows
        .iter()
        .map(|row| {
            let source = Printable::new(row.source.to_string());
            (Printable::new(&row.name), Printable::new(&row.value), source)
        })
        .collect();
    let width = shown.iter().map(|(name, ..)| name.as_str().chars().count()).max().unwrap_or(0);
    // Sources stand below each other, but for those of the few values that are longer.
    let values = shown.iter().map(|(_, value, _)| value.as_str().chars().count());
    let value_width = values.filter(|width| *width <= MAX_VALUE).max().unwrap_or(0);
    let lines = shown.iter().map(|(name, value, source)| {
        let (name, value) = (name.as_str(), value.as_str());
        format!("{name:width$} = {value:value_width$}  # {source}")
    });
    let lines: Vec<String> = lines.collect();
    let json: Vec<Value> = shown
        .iter()
        .map(|(name, value, source)| json!({ "name": name, "value": value, "source": source }))
        .collect();
    if lines.is_empty() {
        return Report { json: json!({ "settings": json }), ..done("nothing") };
    }
    Report { json: json!({ "settings": json }), lines }
}
