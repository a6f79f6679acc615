//! Root's spool becomes another user's: for a server that starts as root and does not stay root.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;

use super::error::{Fault, SpoolError};
use super::real::RealDisk;

/// Folders inside folders; a spool has one level of them.
const MAX_DEPTH: u32 = 4;
/// Others, or the group, may write.
const OTHERS_WRITE: u32 = 0o022;
/// Only owners rename and remove what is in the folder.
const STICKY: u32 = 0o1000;

/// Root gives a spool to a user: a new one, or one that was root's so far. One that is somebody
/// else's stays as it is.
///
/// Root must not be led astray here by those who may write beside the spool: where others than
/// root can rename what is on the way there, nothing is done, and the user has to make the spool.
/// What is in a spool of root nobody else can reach. It changes hands after all that is in it, so
/// that what a crash cuts short begins anew.
pub fn hand_over(root: &Path, user: u32, group: u32) -> Result<(), SpoolError> {
    let fault = |action| move |e: io::Error| Fault::new(action, root.display().to_string(), &e);
    match fs::symlink_metadata(root) {
        Ok(found) if found.uid() != 0 => return Ok(()),
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(fault("look at")(e).into()),
        _ => {}
    }
    if !is_safe(root).map_err(fault("look at the folder of"))? {
        return Ok(());
    }
    // This makes, checks and locks it. Nobody works in it while its files change hands.
    let _disk = RealDisk::open(root)?;
    give(root, 0, &|path| lchown(path, Some(user), Some(group)))
}

/// Whether nobody but root can put something else in the place of the spool.
fn is_safe(root: &Path) -> io::Result<bool> {
    let folder = root.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")))?;
    for above in folder.ancestors() {
        if !belongs_to_root(&fs::symlink_metadata(above)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn belongs_to_root(found: &Metadata) -> bool {
    found.uid() == 0 && (found.mode() & OTHERS_WRITE == 0 || found.mode() & STICKY != 0)
}

fn give(
    path: &Path,
    depth: u32,
    chown: &dyn Fn(&Path) -> io::Result<()>,
) -> Result<(), SpoolError> {
    let fault = |action| move |e: io::Error| Fault::new(action, path.display().to_string(), &e);
    let found = fs::symlink_metadata(path).map_err(fault("look at"))?;
    if found.is_dir() {
        if depth == MAX_DEPTH {
            let what = format!("{} is too deep for a spool", path.display());
            return Err(SpoolError::Unsafe { what });
        }
        for entry in fs::read_dir(path).map_err(fault("list"))? {
            give(&entry.map_err(fault("list"))?.path(), depth + 1, chown)?;
        }
    } else if found.nlink() > 1 {
        // It may be a file of the system under a second name.
        let what = format!("{} has other names elsewhere; remove it", path.display());
        return Err(SpoolError::Unsafe { what });
    }
    Ok(chown(path).map_err(fault("give away"))?)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// What would change hands, in this order.
    fn given(root: &Path) -> Result<Vec<String>, String> {
        let all = RefCell::new(Vec::new());
        let note = |path: &Path| {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            all.borrow_mut().push(name);
            Ok(())
        };
        give(root, 0, &note).map_err(|e| e.to_string())?;
        Ok(all.into_inner())
    }

    #[test]
    fn a_spool_changes_hands_from_the_inside() {
        let dir = tempfile::tempdir().unwrap();
        drop(RealDisk::open(&dir.path().join("s")).unwrap());
        fs::write(dir.path().join("s/queue/1"), "").unwrap();
        let all = given(&dir.path().join("s")).unwrap();
        let at = |name| all.iter().position(|n| n == name).unwrap();
        assert!(at("queue/1") < at("queue") && at("queue") < at(""), "{all:?}");
        assert_eq!(all.len(), 6, "{all:?}");
    }

    #[test]
    fn what_has_another_name_is_not_given_away() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("passwd"), "").unwrap();
        fs::create_dir(dir.path().join("s")).unwrap();
        fs::hard_link(dir.path().join("passwd"), dir.path().join("s/1")).unwrap();
        assert!(given(&dir.path().join("s")).unwrap_err().contains("other names elsewhere"));
        // A link is given away, not what it leads to.
        fs::remove_file(dir.path().join("s/1")).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("s/1")).unwrap();
        assert_eq!(given(&dir.path().join("s")).unwrap(), ["1", ""]);
    }

    #[test]
    fn the_way_to_a_spool_must_be_roots() {
        let dir = tempfile::tempdir().unwrap();
        let safe = || is_safe(&dir.path().join("s")).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(!safe());
        if fs::metadata(dir.path()).unwrap().uid() != 0 {
            eprintln!("skipped in part: not root");
            return;
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(safe());
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(safe());
        lchown(dir.path(), Some(65_534), None).unwrap();
        assert!(!safe());
    }
}
