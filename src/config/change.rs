//! Changes while the server runs: one setting, the file read again, changes kept in the file.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::load::{load, system_name};
use super::save::{Change, save_lines};
use super::settings::{Settings, Source, find_setting};
use super::typed::Config;
use crate::base::{Failure, cause};

/// What [`Config::save`] did.
#[derive(Debug)]
pub struct Saved {
    /// The file.
    pub file: PathBuf,
    /// How many settings were written.
    pub count: usize,
    /// The settings, with the file as the source of what was saved.
    pub settings: Settings,
}

impl Config {
    /// The configuration with one setting changed; the error says what is wrong with it.
    pub fn changed(&self, name: &str, value: &str) -> Result<Config, String> {
        let setting = find_setting(name)?;
        if !setting.live {
            return Err(format!("{name} cannot change while the server runs: set it in the file"));
        }
        self.edited(|settings| settings.set(name, value, Source::Runtime))
    }

    /// The configuration with one filter more, made of these keys and values.
    pub fn with_filter(&self, name: &str, words: &[(&str, &str)]) -> Result<Config, String> {
        self.edited(|settings| {
            words.iter().try_for_each(|(key, value)| {
                settings.set(&format!("filter.{name}.{key}"), value, Source::Runtime)
            })
        })
    }

    /// The configuration without these filters.
    pub fn without_filters(&self, names: &[String]) -> Result<Config, String> {
        self.edited(|settings| {
            for name in names {
                settings.remove_section(&format!("filter.{name}"));
            }
            Ok(())
        })
    }

    fn edited(
        &self,
        edit: impl FnOnce(&mut Settings) -> Result<(), String>,
    ) -> Result<Config, String> {
        let mut settings = self.settings.clone();
        edit(&mut settings)?;
        let mut errors = vec![];
        let hostname = system_name();
        let config = Config::make(settings, &hostname, &HashSet::new(), &mut errors);
        match errors.first() {
            // Its file is read again at a reload.
            None => Ok(Config { sources: self.sources.clone(), auth: self.auth.clone(), ..config }),
            Some(_) => {
                let words: Vec<String> = errors.into_iter().map(|e| e.message).collect();
                Err(words.join("; "))
            }
        }
    }

    /// The configuration of the same sources as they are now.
    pub fn reloaded(&self) -> Result<Config, Failure> {
        load(&self.sources)
    }

    /// Takes the values of settings that need a new start from the configuration that runs; gives
    /// the names of those that differ.
    pub fn keep_fixed(&mut self, running: &Config) -> Vec<String> {
        let before = running.rows();
        let differs = |name: &str, value: &str| {
            !before.iter().any(|row| row.name == name && row.value == value)
        };
        let fixed: Vec<String> = self
            .rows()
            .iter()
            .filter(|row| !row.setting.live && differs(&row.name, &row.value))
            .map(|row| row.name.clone())
            .collect();
        self.server.spool.clone_from(&running.server.spool);
        self.server.control.clone_from(&running.server.control);
        self.server.user.clone_from(&running.server.user);
        self.sink.clone_from(&running.sink);
        self.listeners.clone_from(&running.listeners);
        if self.auth.file != running.auth.file {
            self.auth.clone_from(&running.auth);
        }
        for server in &mut self.next_servers {
            if let Some(same) = running.next_servers.iter().find(|s| s.name == server.name) {
                // Where the sink listens on port 0, only the one that runs knows the port.
                if server.is_sink && same.is_sink {
                    server.port = same.port;
                }
            }
        }
        fixed
    }

    /// Writes what was changed while running into the file. Its comments and the order of its
    /// lines stay. The new text is written beside it and takes its place when it is on the disk.
    pub fn save(&self) -> Result<Saved, String> {
        let file = self.settings.file().ok_or(
            "there is no configuration file: start with -c FILE, or keep the settings in the \
             command line",
        )?;
        let changes: Vec<Change> = self.settings.changes();
        let count = changes.len();
        let failed = |what: &str, e: &std::io::Error| {
            format!("cannot {what} {}: {}", file.display(), cause(e))
        };
        if count > 0 {
            let text = fs::read_to_string(file).map_err(|e| failed("read", &e))?;
            replace(file, &save_lines(&text, &changes)).map_err(|e| failed("write", &e))?;
        }
        Ok(Saved { file: file.to_owned(), count, settings: self.settings.saved() })
    }
}

/// Gives a file a new content, or leaves it as it is.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // A symbolic link stays one: what it points to is replaced.
    let path = fs::canonicalize(path)?;
    let mode = fs::metadata(&path)?.permissions().mode();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let _ = fs::remove_file(&beside);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode & 0o777).open(&beside)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| fs::rename(&beside, &path));
    if renamed.is_err() {
        let _ = fs::remove_file(&beside);
    }
    renamed?;
    let folder = path.parent().map(File::open).transpose()?;
    folder.map_or(Ok(()), |folder| folder.sync_all())
}

#[cfg(test)]
mod tests {
    use super::super::{Override, Sources};
    use super::*;

    fn config(text: &str, overrides: &[(&str, &str)]) -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mailflux.ini");
        fs::write(&path, text).unwrap();
        let given = |(name, value): &(&str, &str)| Override {
            shown: format!("--set {name}={value}"),
            given_by: format!("--set {name}"),
            name: (*name).into(),
            value: (*value).into(),
        };
        let overrides = overrides.iter().map(given).collect();
        let sources = Sources { file: Some(path), overrides, ..Sources::default() };
        let config = load(&sources).unwrap();
        (dir, config)
    }

    const FILE: &str = "; mine\n[next_server]\nhost = 127.0.0.1\nport = 2526\n";

    #[test]
    fn a_change_is_checked_as_a_whole() {
        let (_dir, config) = config(FILE, &[]);
        let new = config.changed("queue.interval", "1s").unwrap();
        assert_eq!(new.queue.interval.as_secs(), 1);
        assert_eq!(config.queue.interval.as_secs(), 15);
        for (name, value, words) in [
            ("queue.interval", "soon", "interval: "),
            ("queue.intervall", "1s", "did you mean 'queue.interval'?"),
            ("server.spool", "x", "cannot change while the server runs"),
            ("server.max_recipients", "0", "max_recipients: "),
            ("next_server.host", "", "no next server"),
            ("routes.example.org", "nobody", "nobody"),
        ] {
            let error = config.changed(name, value).unwrap_err();
            assert!(error.contains(words), "{name}: {error}");
        }
    }

    #[test]
    fn a_save_keeps_comments_and_mode_and_becomes_the_source() {
        let (dir, config) = config(FILE, &[]);
        let path = dir.path().join("mailflux.ini");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let config = config.changed("next_server.port", "2527").unwrap();
        let saved = config.save().unwrap();
        assert_eq!(saved.count, 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), FILE.replace("2526", "2527"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        let config = Config { settings: saved.settings, ..config };
        assert_eq!(config.save().unwrap().count, 0);
        assert!(config.settings.changes().is_empty());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_reload_takes_the_file_and_keeps_the_command_line() {
        let (dir, config) = config(FILE, &[("queue.expire", "2d")]);
        let config = config.changed("queue.interval", "1s").unwrap();
        fs::write(dir.path().join("mailflux.ini"), format!("{FILE}[server]\nmax_hops = 7\n"))
            .unwrap();
        let new = config.reloaded().unwrap();
        assert_eq!(new.server.max_hops, 7);
        assert_eq!(new.queue.interval.as_secs(), 15);
        assert_eq!(new.queue.expire.as_secs(), 2 * 86400);
        fs::write(dir.path().join("mailflux.ini"), "[server]\nmax_hop = 7\n").unwrap();
        assert!(config.reloaded().is_err());
    }

    #[test]
    fn what_needs_a_new_start_is_named_and_stays() {
        let (dir, config) = config(FILE, &[]);
        let users = dir.path().join("users");
        fs::write(&users, "").unwrap();
        fs::set_permissions(&users, fs::Permissions::from_mode(0o600)).unwrap();
        let text = format!(
            "{FILE}[server]\nspool = elsewhere\nmax_hops = 9\n[auth]\nusers = {}\n",
            users.display()
        );
        fs::write(dir.path().join("mailflux.ini"), text).unwrap();
        let mut new = config.reloaded().unwrap();
        assert!(new.auth.file.is_some());
        let kept = new.keep_fixed(&config);
        for name in ["server.spool", "auth.users"] {
            assert!(kept.contains(&name.to_owned()), "{kept:?}");
        }
        assert_eq!(new.server.spool, config.server.spool);
        assert_eq!(new.auth.file, None);
        assert_eq!(new.server.max_hops, 9);
    }
}
