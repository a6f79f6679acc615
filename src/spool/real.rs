//! The real disk: a folder, its three subfolders, and the lock that makes it ours. The only file
//! of the spool that knows the file system.
//!
//! Folders are 0700 and ours, files 0600; links are never followed. Folders that are flushed in
//! every commit stay open.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::disk::{Dir, Disk};
use super::error::{Fault, SpoolError};
use super::ids;
use crate::sys;

/// A stream starts to be written out each time it has grown by so many octets.
const WRITE_OUT: u64 = 1 << 20;

/// A locked spool in a folder of the file system.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    lock: File,
    /// By number of the folder, open once one was flushed.
    dirs: [Option<File>; 3],
}

/// A file of a [`RealDisk`].
#[derive(Debug)]
pub struct RealFile {
    file: File,
    /// How much of it was given to the system to write out.
    written_out: u64,
}

impl RealFile {
    fn new(file: File) -> RealFile {
        RealFile { file, written_out: 0 }
    }
}

impl RealDisk {
    /// Makes the spool's folders where they are missing, makes sure that they are ours alone, and
    /// locks them. The lock goes with the process, however it ends.
    pub fn open(root: &Path) -> Result<RealDisk, SpoolError> {
        prepare_dir(root, root.join("queue").exists())?;
        let path = root.join("lock");
        let fault = |action| {
            move |e: io::Error| Fault::new(action, root.join("lock").display().to_string(), &e)
        };
        let lock = options().create(true).truncate(false).open(&path).map_err(fault("open"))?;
        if !lock.metadata().map_err(fault("look at"))?.is_file() {
            return Err(SpoolError::Unsafe { what: format!("{} is not a file", path.display()) });
        }
        let (pid, next) = read_lock(&lock).map_err(fault("read"))?;
        if !sys::try_lock(&lock).map_err(fault("lock"))? {
            return Err(SpoolError::Locked { path: root.to_owned(), pid });
        }
        for dir in [Dir::Queue, Dir::Incoming, Dir::Corrupt] {
            prepare_dir(&root.join(dir.name()), true)?;
        }
        // A folder that a power cut takes away takes its messages along.
        for path in [Some(root), root.parent()].into_iter().flatten() {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            let synced = File::open(path).and_then(|dir| dir.sync_all());
            synced.map_err(|e| Fault::new("flush", path.display().to_string(), &e))?;
        }
        let disk = RealDisk { root: root.to_owned(), lock, dirs: [const { None }; 3] };
        // The owner, for people; the counter stays what it was.
        let text = ids::lock_text(Some(std::process::id()), next);
        disk.lock.write_all_at(text.as_bytes(), 0).map_err(fault("write"))?;
        Ok(disk)
    }

    fn path(&self, dir: Dir, name: &str) -> PathBuf {
        let mut path = self.root.join(dir.name());
        path.push(name);
        path
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    // O_NONBLOCK: what somebody put in place of a file, a fifo say, must not stall the loop.
    options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK);
    options
}

/// The folder is there, is a folder, is ours, and nobody else can look in. `known`: what is in it
/// is a spool's.
fn prepare_dir(path: &Path, known: bool) -> Result<(), SpoolError> {
    let fault = |action| move |e: io::Error| Fault::new(action, path.display().to_string(), &e);
    let refuse = |why: &str| {
        let what = format!("{} {why}", path.display());
        Err(SpoolError::Unsafe { what })
    };
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(fault("create")(e).into()),
        _ => {}
    }
    let found = fs::symlink_metadata(path).map_err(fault("look at"))?;
    if found.file_type().is_symlink() {
        return refuse("is a symbolic link; name the folder itself");
    }
    if !found.is_dir() {
        return refuse("is not a folder");
    }
    if found.uid() != sys::effective_user() {
        return refuse(&format!("belongs to another user ({})", found.uid()));
    }
    if found.mode() & 0o077 == 0 {
        return Ok(());
    }
    // Somebody may have named a folder of the system by mistake: /tmp, /var/spool, a home.
    if !known && fs::read_dir(path).map_err(fault("list"))?.next().is_some() {
        return refuse("is open to others and holds other files; name a folder of its own");
    }
    let private = fs::Permissions::from_mode(0o700);
    Ok(fs::set_permissions(path, private).map_err(fault("make private"))?)
}

fn read_lock(lock: &File) -> io::Result<(Option<u32>, Option<u64>)> {
    let mut octets = [0; 256];
    let n = lock.read_at(&mut octets, 0)?;
    Ok(ids::parse_lock(&octets[..n]))
}

impl Disk for RealDisk {
    type File = RealFile;

    fn create(&mut self, dir: Dir, name: &str) -> io::Result<RealFile> {
        options().create_new(true).open(self.path(dir, name)).map(RealFile::new)
    }

    fn open(&mut self, dir: Dir, name: &str) -> io::Result<RealFile> {
        let file = options().open(self.path(dir, name))?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        Ok(RealFile::new(file))
    }

    fn append(&mut self, file: &mut RealFile, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        // Empty parts would make a complete write look like none at the end.
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            // std caps the number of parts at what the system takes.
            match file.file.write_vectored(parts) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => IoSlice::advance_slices(&mut parts, n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn overwrite(&mut self, file: &mut RealFile, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        file.file.rewind()?;
        self.append(file, parts)
    }

    fn write_at(&mut self, file: &RealFile, octets: &[u8], at: u64) -> io::Result<()> {
        file.file.write_all_at(octets, at)
    }

    fn read_at(&mut self, file: &RealFile, into: &mut [u8], at: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            match file.file.read_at(&mut into[done..], at + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn size(&mut self, file: &RealFile) -> io::Result<u64> {
        file.file.metadata().map(|found| found.len())
    }

    fn write_out(&mut self, file: &mut RealFile, length: u64) -> io::Result<()> {
        if length < file.written_out + WRITE_OUT {
            return Ok(());
        }
        let from = std::mem::replace(&mut file.written_out, length);
        sys::write_out(&file.file, from, length - from)
    }

    fn sync_data(&mut self, file: &RealFile) -> io::Result<()> {
        // On macOS this is F_FULLFSYNC.
        file.file.sync_data()
    }

    fn sync_dir(&mut self, dir: Dir) -> io::Result<()> {
        if self.dirs[dir as usize].is_none() {
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW);
            self.dirs[dir as usize] = Some(options.open(self.root.join(dir.name()))?);
        }
        self.dirs[dir as usize].as_ref().map_or(Ok(()), File::sync_all)
    }

    fn rename(&mut self, from: (Dir, &str), to: (Dir, &str)) -> io::Result<()> {
        fs::rename(self.path(from.0, from.1), self.path(to.0, to.1))
    }

    fn unlink(&mut self, dir: Dir, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(dir, name))
    }

    fn shrink(&mut self, file: &mut RealFile, length: u64) -> io::Result<()> {
        file.file.set_len(length)
    }

    fn list(&mut self, dir: Dir) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(dir.name()))? {
            // A name that is not UTF-8 is not ours; shown lossily it matches nothing of ours.
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn exists(&mut self, dir: Dir, name: &str) -> io::Result<bool> {
        match fs::symlink_metadata(self.path(dir, name)) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn counter(&mut self) -> io::Result<Option<u64>> {
        read_lock(&self.lock).map(|(_, next)| next)
    }

    fn set_counter(&mut self, next: u64) -> io::Result<()> {
        let text = ids::lock_text(Some(std::process::id()), Some(next));
        self.lock.write_all_at(text.as_bytes(), 0)?;
        self.lock.sync_data()
    }
}
