//! How to log in to a next server, and where its password comes from.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::kind::Value;
use super::load::shown;
use super::make::Maker;
use super::settings::Source;
use super::typed::NextServerSettings;
use crate::auth::{Mechanism, Secret};
use crate::base::{Failure, cause, exit};

/// Octets of a file that holds a password or a token.
const MAX_SECRET: u64 = 64 << 10;
/// The group may read it, nobody else, and only its owner may write.
const OTHERS: u32 = 0o027;

/// How to log in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginSettings {
    /// Our name there.
    pub user: String,
    /// Where the password or token comes from.
    pub secret: SecretSource,
    /// By which mechanism; none: the strongest that both know.
    pub mechanism: Option<Mechanism>,
    /// What shows the secret may be sent without TLS.
    pub in_clear: bool,
}

/// Where a secret comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretSource {
    /// The configuration.
    Given(Secret),
    /// The first line of this file.
    File(PathBuf),
    /// The first line that this command prints.
    Command(String),
}

impl Maker<'_> {
    /// None where there is no user.
    pub(super) fn login(&mut self, section: &str) -> Option<LoginSettings> {
        let mut sources: Vec<(&str, SecretSource)> = vec![];
        if let Value::Secret(secret) = self.value(section, "password") {
            sources.push(("password", SecretSource::Given(secret)));
        }
        if let Some(path) = self.path(section, "password_file") {
            sources.push(("password_file", SecretSource::File(path)));
        }
        if let Some(command) = self.text(section, "password_command") {
            sources.push(("password_command", SecretSource::Command(command)));
        }
        if let [(first, _), (second, _), ..] = sources[..] {
            let source = self.source_of(section, second);
            self.complain(&source, format!("{second} beside {first}: give one of them"));
        }
        let user = self.text(section, "user");
        let (user, secret) = match (user, sources.into_iter().next()) {
            (Some(user), Some((_, secret))) => (user, secret),
            (None, None) => return None,
            (Some(_), None) => {
                let keys = ["user", "password", "password_file", "password_command"];
                // While running, settings come one at a time: one secret was taken away, so that
                // another can be given.
                if keys.iter().any(|key| self.source_of(section, key) == Source::Runtime) {
                    return None;
                }
                let source = self.source_of(section, "user");
                let what = "user needs a password, password_file or password_command beside it";
                self.complain(&source, what);
                return None;
            }
            (None, Some((key, _))) => {
                let source = self.source_of(section, key);
                // While running, settings come one at a time: the user is yet to come.
                if source != Source::Runtime {
                    self.complain(&source, format!("{key} needs a user beside it"));
                }
                return None;
            }
        };
        let word = self.text(section, "auth").unwrap_or_default();
        Some(LoginSettings {
            user,
            secret,
            mechanism: Mechanism::parse(&word),
            in_clear: self.text(section, "auth_in_clear").as_deref() == Some("yes"),
        })
    }

    fn source_of(&self, section: &str, key: &str) -> Source {
        self.settings.source(section, key).clone()
    }
}

/// Looks at the files of all secrets: a wrong one is told at the start, not when mail waits.
pub(super) fn check(servers: &[NextServerSettings]) -> Result<(), Failure> {
    let mut errors = vec![];
    for server in servers {
        if let Some(LoginSettings { secret: SecretSource::File(path), .. }) = &server.login {
            errors.extend(read_secret(path).err());
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::new(exit::CONFIG, errors.join("\n"))) }
}

/// The first line of a file that holds a secret; the error says what is wrong with the file.
pub fn read_secret(path: &Path) -> Result<Secret, String> {
    let name = shown(path);
    let failed = |e: io::Error| {
        format!("{name}: cannot read the password: {}; see password_file", cause(&e))
    };
    let file = File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(format!("{name}: not a file; see password_file"));
    }
    if meta.mode() & OTHERS != 0 {
        return Err(format!("{name}: others can read or write the password; chmod 600 {name}"));
    }
    // As large as it can get: what grows leaves copies behind.
    let mut octets = Vec::with_capacity(meta.len().min(MAX_SECRET) as usize + 1);
    file.take(MAX_SECRET).read_to_end(&mut octets).map_err(failed)?;
    first_line(Secret::new(octets)).ok_or_else(|| format!("{name}: its first line is empty"))
}

/// The first line of what a file or a command gave, without its end; none when it is empty.
pub fn first_line(octets: Secret) -> Option<Secret> {
    let line = octets.expose().split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    (!line.is_empty()).then(|| Secret::new(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_read_when_nobody_else_can() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let read = |text: &[u8], mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read_secret(&path)
        };
        for mode in [0o600, 0o400, 0o640] {
            assert_eq!(read(b"pencil\r\nmore\n", mode).unwrap().expose(), b"pencil");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        for mode in [0o604, 0o620, 0o602, 0o601] {
            let error = read(b"pencil", mode).unwrap_err();
            assert!(error.contains("others can") && !error.contains("pencil"), "{error}");
        }
        assert!(read(b"\npencil", 0o600).unwrap_err().contains("empty"));
        assert!(read_secret(dir.path()).unwrap_err().contains("not a file"));
        let nowhere = read_secret(&dir.path().join("x")).unwrap_err();
        assert!(nowhere.contains("no such file"), "{nowhere}");
    }
}
