//! The file of what was typed at consoles: one for all of a user's, readable by nobody else. A
//! console works without it, so nothing here fails.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use crate::console::merge_history;

/// Octets that are read of it.
const MAX_FILE: u64 = 1 << 20;

/// Where it is: the XDG base directory specification's place for what is worth keeping but not
/// worth copying.
fn path() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
    Some(state?.join("mailflux/history"))
}

/// What it says; nothing when there is none.
pub(super) fn read() -> String {
    let mut text = Vec::new();
    let file = path().and_then(|path| fs::File::open(path).ok());
    let read = file.map(|file| file.take(MAX_FILE).read_to_end(&mut text));
    if read.is_some_and(|read| read.is_ok()) {
        String::from_utf8_lossy(&text).into_owned()
    } else {
        String::new()
    }
}

/// Adds commands.
pub(super) fn add(commands: &[String]) {
    if let (Some(path), false) = (path(), commands.is_empty()) {
        // A home that is read-only, say: then there is no history.
        let _ = write(&path, &merge_history(&read(), commands));
    }
}

/// Another file takes the place of the old one: a half-written one never stands there.
fn write(path: &std::path::Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&new, path)
}
