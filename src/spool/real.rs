//! The real disk: a folder, its three subfolders, and the lock that makes it ours.
//!
//! Every path is the spool's own path and a name that we made; the folders are ours alone (0700),
//! so nobody can put a link in our way. Files are opened without following links all the same.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::disk::{Dir, Disk};
use super::error::SpoolError;
use crate::sys;

/// The lock file's text: fixed width, so that the counter is overwritten in place within one
/// sector, which a disk writes whole or not at all.
const COUNTER_AT: u64 = "pid 0000000000\nnext ".len() as u64;

/// A locked spool folder.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    lock: File,
}

impl RealDisk {
    /// Makes the spool's folders where they are missing, checks that they are ours alone, and
    /// locks them. The lock goes with the process, however it ends.
    pub fn open(root: &Path) -> Result<RealDisk, SpoolError> {
        folder(root)?;
        let path = root.join("lock");
        let mut lock = options(false)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| SpoolError::io(format!("cannot open {}", path.display()), e))?;
        let cannot = |e| SpoolError::io(format!("cannot lock {}", path.display()), e);
        if !sys::try_lock(&lock).map_err(cannot)? {
            return Err(SpoolError::Locked { path: root.to_owned(), pid: read_pid(&mut lock) });
        }
        for dir in [Dir::Queue, Dir::Incoming, Dir::Corrupt] {
            folder(&root.join(dir.name()))?;
        }
        // A folder that a power cut takes away takes its messages along.
        for path in [Some(root), root.parent()].into_iter().flatten() {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            let synced = File::open(path).and_then(|dir| dir.sync_all());
            synced.map_err(|e| SpoolError::io(format!("cannot sync {}", path.display()), e))?;
        }
        let disk = RealDisk { root: root.to_owned(), lock };
        disk.write_pid()
            .map_err(|e| SpoolError::io(format!("cannot write {}", path.display()), e))?;
        Ok(disk)
    }

    fn path(&self, dir: Dir, name: &str) -> PathBuf {
        self.root.join(dir.name()).join(name)
    }

    fn write_pid(&self) -> io::Result<()> {
        let next = read_counter(&self.lock).unwrap_or(0);
        let text = format!("pid {:010}\nnext {next:020}\n", std::process::id());
        self.lock.write_all_at(text.as_bytes(), 0)
    }
}

fn options(new: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(new).mode(0o600);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    options
}

/// Makes a folder with mode 0700, or makes sure that it is one of ours.
fn folder(path: &Path) -> Result<(), SpoolError> {
    let shown = path.display();
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(SpoolError::io(format!("cannot create {shown}"), e)),
    }
    let meta = fs::symlink_metadata(path)
        .map_err(|e| SpoolError::io(format!("cannot look at {shown}"), e))?;
    if !meta.is_dir() {
        return Err(SpoolError::Unsafe { what: format!("{shown} is not a folder") });
    }
    if meta.uid() != sys::effective_user() {
        let what = format!("{shown} belongs to another user ({})", meta.uid());
        return Err(SpoolError::Unsafe { what });
    }
    if meta.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(|e| SpoolError::io(format!("cannot make {shown} private"), e))?;
    }
    Ok(())
}

fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.seek(SeekFrom::Start(0)).ok()?;
    lock.take(64).read_to_string(&mut text).ok()?;
    text.lines().next()?.strip_prefix("pid ")?.parse().ok()
}

fn read_counter(lock: &File) -> Option<u64> {
    let mut digits = [0; 20];
    lock.read_exact_at(&mut digits, COUNTER_AT).ok()?;
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

impl Disk for RealDisk {
    type File = File;

    fn create(&mut self, dir: Dir, name: &str) -> io::Result<File> {
        options(true).open(self.path(dir, name))
    }

    fn open(&mut self, dir: Dir, name: &str) -> io::Result<File> {
        options(false).open(self.path(dir, name))
    }

    fn write(&mut self, file: &mut File, at: u64, parts: &[&[u8]]) -> io::Result<()> {
        if let [one] = parts {
            return file.write_all_at(one, at);
        }
        file.seek(SeekFrom::Start(at))?;
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|p| IoSlice::new(p)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            match file.write_vectored(&rest[..rest.len().min(1024)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => IoSlice::advance_slices(&mut rest, n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn read(&mut self, file: &mut File, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match file.read_at(&mut buf[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }

    fn size(&mut self, file: &mut File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn sync(&mut self, file: &mut File) -> io::Result<()> {
        // On macOS this is F_FULLFSYNC.
        file.sync_data()
    }

    fn write_out(&mut self, file: &mut File, from: u64, octets: u64) -> io::Result<()> {
        sys::write_out(file, from, octets)
    }

    fn sync_dir(&mut self, dir: Dir) -> io::Result<()> {
        File::open(self.root.join(dir.name()))?.sync_all()
    }

    fn rename(&mut self, from: (Dir, &str), to: (Dir, &str)) -> io::Result<()> {
        fs::rename(self.path(from.0, from.1), self.path(to.0, to.1))
    }

    fn unlink(&mut self, dir: Dir, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(dir, name))
    }

    fn list(&mut self, dir: Dir) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(dir.name()))? {
            // A name that is not UTF-8 is not ours; it is left alone.
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn counter(&mut self) -> io::Result<u64> {
        Ok(read_counter(&self.lock).unwrap_or(0))
    }

    fn set_counter(&mut self, next: u64) -> io::Result<()> {
        self.lock.write_all_at(format!("{next:020}\n").as_bytes(), COUNTER_AT)?;
        self.lock.sync_data()
    }
}
