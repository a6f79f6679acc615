//! `server.user`: a server that is started as root does not stay root.
//!
//! Root is needed to bind low ports, and to read files that are nobody else's: configuration, key,
//! passwords, users. All of that comes first. What belongs to the server, spool, history, control
//! socket and the sink's mail, it makes and opens as the user already, so that nothing there is
//! ever root's. In between it binds as root. After that there is no way back.

use std::io;
use std::path::{Path, PathBuf};

use super::core::Core;
use super::run::spool_failure;
use crate::auth::Secret;
use crate::base::{Failure, Printable, cause, exit};
use crate::config::{Config, SecretSource, read_secret};
use crate::journal::Level;
use crate::spool::{self, Disk};
use crate::sys::{self, User};

/// On the way from root to a user.
#[derive(Debug)]
pub(super) struct Demotion {
    user: User,
    name: String,
    /// What password files said while they could be read.
    passwords: Vec<(PathBuf, Secret)>,
}

/// The user that the configuration names, who must exist; none when it names none.
pub fn server_user(config: &Config) -> Result<Option<User>, Failure> {
    let Some(name) = &config.server.user else { return Ok(None) };
    let shown = Printable::bounded(name, 80);
    let wrong = |words: &str| Failure::new(exit::CONFIG, format!("server.user: {words}"));
    match User::find(name) {
        Ok(Some(user)) if user.id() == 0 => Err(wrong(&format!(
            "'{shown}' is root; name a user with fewer rights, or leave server.user out"
        ))),
        Ok(Some(user)) => Ok(Some(user)),
        Ok(None) => Err(wrong(&format!(
            "there is no user '{shown}' on this machine; make one (useradd --system), or name \
             another"
        ))),
        Err(e) => Err(Failure::new(
            exit::SYSTEM,
            format!("cannot look up the user '{shown}' of server.user: {}", cause(&e)),
        )),
    }
}

impl Demotion {
    /// What is to be done; none when the process is that user already, or may stay who it is.
    pub(super) fn plan(config: &Config) -> Result<Option<Demotion>, Failure> {
        let Some(user) = server_user(config)? else { return Ok(None) };
        if user.id() == sys::effective_user() {
            return Ok(None);
        }
        let name = Printable::bounded(config.server.user.as_deref().unwrap_or_default(), 80);
        if sys::effective_user() != 0 {
            let words = format!(
                "cannot become '{name}' (server.user): only root can; start as root or as that \
                 user, or leave server.user out"
            );
            return Err(Failure::new(exit::NO_PERMISSION, words));
        }
        let passwords = read_passwords(config);
        Ok(Some(Demotion { user, name: name.into_string(), passwords }))
    }

    /// Gives the spool to the user. Then the process acts as the user.
    pub(super) fn begin(&self, spool: &Path) -> Result<(), Failure> {
        spool::hand_over(spool, self.user.id(), self.user.group())
            .map_err(|e| spool_failure(&e))?;
        self.user.act().map_err(|e| self.failure(&e))
    }

    /// Acts as root for a while, to bind.
    pub(super) fn pause(&self) -> Result<(), Failure> {
        self.user.return_to_root().map_err(|e| self.failure(&e))
    }

    /// All is bound. The process is the user for good.
    pub(super) fn end(&self) -> Result<(), Failure> {
        self.user.become_for_good().map_err(|e| self.failure(&e))
    }

    fn failure(&self, error: &io::Error) -> Failure {
        let words = format!("cannot become '{}' (server.user): {}", self.name, cause(error));
        Failure::new(exit::SYSTEM, words)
    }
}

/// The password files, read while that is possible.
fn read_passwords(config: &Config) -> Vec<(PathBuf, Secret)> {
    let logins = config.next_servers.iter().filter_map(|server| server.login.as_ref());
    let files = logins.filter_map(|login| match &login.secret {
        SecretSource::File(path) => Some(path.clone()),
        _ => None,
    });
    // What is wrong with one is told when it is wanted.
    files.filter_map(|path| read_secret(&path).ok().map(|secret| (path, secret))).collect()
}

/// Files of the configuration that are there, and that the process may not read (any more).
fn unreadable(config: &Config) -> Vec<&Path> {
    let ca_files = config.next_servers.iter().filter_map(|server| server.ca_file.as_deref());
    let logins = config.next_servers.iter().filter_map(|server| server.login.as_ref());
    let passwords = logins.filter_map(|login| match &login.secret {
        SecretSource::File(path) => Some(path.as_path()),
        _ => None,
    });
    let tls = config.tls.iter().flat_map(|tls| [tls.certificate.as_path(), tls.key.as_path()]);
    let rest = [config.settings.file(), config.auth.file.as_deref()].into_iter().flatten();
    let mut all: Vec<&Path> = rest.chain(tls).chain(ca_files).chain(passwords).collect();
    all.retain(|path| sys::is_forbidden(path));
    all.dedup();
    all
}

impl<D: Disk> Core<D> {
    /// Says as whom the server goes on, and what that means for `config reload`.
    pub(super) fn tell_user(&mut self, became: Option<Demotion>, now: crate::base::Now) {
        let Some(became) = became else {
            if sys::effective_user() == 0 {
                let words = "running as root: whoever gets in is root, too; name a user in \
                             server.user, who takes over after binding";
                self.say(now, Level::Warn, words);
            }
            return;
        };
        self.secrets.keep(became.passwords);
        self.say(now, Level::Info, &format!("running as '{}' from now on", became.name));
        if let Some(files) = self.files_out_of_reach() {
            let words = format!(
                "'{}' may not read {files}: what was read at the start is kept, and `config \
                 reload` will fail",
                became.name
            );
            self.say(now, Level::Warn, &words);
        }
    }

    /// Names the files of the configuration that the process may not read.
    fn files_out_of_reach(&self) -> Option<String> {
        let files: Vec<String> = unreadable(&self.config)
            .into_iter()
            .map(|path| Printable::new(path.display().to_string()).into_string())
            .collect();
        (!files.is_empty()).then(|| files.join(", "))
    }

    /// What to add to words about a reload that failed, if the reason may be `server.user`.
    pub(super) fn reload_hint(&self) -> String {
        match (&self.config.server.user, self.files_out_of_reach()) {
            (Some(user), Some(files)) => {
                let user = Printable::bounded(user, 80);
                format!(
                    "; the server runs as '{user}' (server.user), who may not read {files}: let \
                     '{user}' read that, or start the server anew"
                )
            }
            _ => String::new(),
        }
    }
}
