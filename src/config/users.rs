//! The users file: read when the server starts, and refused when it is not safe.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::load::shown;
use super::typed::AuthSettings;
use crate::auth::Users;
use crate::base::{Failure, Printable, cause, exit};

/// Octets of the file; some hundred thousand users.
const MAX_FILE: u64 = 32 << 20;
/// Others, or the group, may write.
const OTHERS_WRITE: u32 = 0o022;
const OTHERS_READ: u32 = 0o004;

/// Reads the users, if there is a file of them. A failure has all errors, one line each.
pub(super) fn read(auth: &mut AuthSettings) -> Result<(), Failure> {
    let Some(path) = &auth.file else { return Ok(()) };
    let (text, mode) = contents(path).map_err(|e| unreadable(path, &e))?;
    if mode & OTHERS_WRITE != 0 {
        let path = shown(path);
        return Err(Failure::new(
            exit::CONFIG,
            format!("{path}: others can write the users file; chmod 640 {path}"),
        ));
    }
    auth.users = Users::parse(&text).map_err(|errors| {
        let line = |(number, what): (u32, String)| {
            Printable::new(format!("{}:{number}: {what}", path.display())).into_string()
        };
        Failure::new(exit::CONFIG, errors.into_iter().map(line).collect::<Vec<_>>().join("\n"))
    })?;
    if mode & OTHERS_READ != 0 {
        auth.warning = Some(format!(
            "everybody on this machine can read {0} and try to guess its passwords; chmod 640 {0}",
            shown(path)
        ));
    }
    Ok(())
}

/// The text of the file, and its mode.
fn contents(path: &Path) -> io::Result<(String, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.mode();
    let mut octets = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it has more than 32 MiB"));
    }
    let text = String::from_utf8(octets).map_err(|_| io::Error::other("it is not UTF-8"))?;
    Ok((text, mode))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let what = format!("{}: cannot read the users file: {}", shown(path), cause(error));
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "; make it by `mailflux passwd USER`, or unset auth.users",
        io::ErrorKind::PermissionDenied => "; let this user read it",
        _ => "; see auth.users",
    };
    Failure::new(exit::CONFIG, what + hint)
}
