//! The folder of the history, as the store sees it; and the real one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::sys;

/// Files of one folder: one that is written to its end, all of which can be read.
pub trait Folder {
    /// All names and the octets of each, in any order.
    fn list(&mut self) -> io::Result<Vec<(String, u64)>>;

    /// Makes a file that must not exist yet; what is appended goes there.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Goes on with a file that exists.
    fn resume(&mut self, name: &str) -> io::Result<()>;

    /// Appends all parts to the file that was made last. After an error any part of them may be
    /// there.
    fn append(&mut self, parts: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// Reads what is there, fewer octets than asked only at the end of the file.
    fn read_at(&mut self, name: &str, into: &mut [u8], at: u64) -> io::Result<usize>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// A folder of the file system: 0700, its files 0600. It is made when there is something to write.
#[derive(Debug)]
pub struct RealFolder {
    root: PathBuf,
    /// What is appended goes there.
    last: Option<File>,
    /// The file that was read last.
    read: Option<(String, File)>,
}

impl RealFolder {
    /// A folder that perhaps does not exist yet.
    pub fn new(root: &Path) -> RealFolder {
        RealFolder { root: root.to_owned(), last: None, read: None }
    }

    /// The folder is there, and ours.
    fn make(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.root) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let found = fs::symlink_metadata(&self.root)?;
        if !found.is_dir() || found.uid() != sys::effective_user() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not a folder of ours"));
        }
        Ok(())
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // O_NONBLOCK: a fifo in the place of a file must not stall the loop.
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK);
    options
}

impl Folder for RealFolder {
    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        let entries = match fs::read_dir(&self.root) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let about = entry.metadata()?;
            if about.is_file() {
                found.push((entry.file_name().to_string_lossy().into_owned(), about.len()));
            }
        }
        Ok(found)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.last = None;
        self.make()?;
        self.last = Some(options().append(true).create_new(true).open(self.root.join(name))?);
        Ok(())
    }

    fn resume(&mut self, name: &str) -> io::Result<()> {
        self.make()?;
        let file = options().append(true).open(self.root.join(name))?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        self.last = Some(file);
        Ok(())
    }

    fn append(&mut self, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let Some(file) = &mut self.last else { return Err(io::ErrorKind::NotFound.into()) };
        // Empty parts would make a complete write look like none at the end.
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            match file.write_vectored(parts) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => IoSlice::advance_slices(&mut parts, n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn read_at(&mut self, name: &str, into: &mut [u8], at: u64) -> io::Result<usize> {
        if self.read.as_ref().is_none_or(|(open, _)| open != name) {
            let file = options().read(true).open(self.root.join(name))?;
            self.read = Some((name.to_owned(), file));
        }
        let Some((_, file)) = &self.read else { return Ok(0) };
        let mut done = 0;
        while done < into.len() {
            match file.read_at(&mut into[done..], at + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        if self.read.as_ref().is_some_and(|(open, _)| open == name) {
            self.read = None;
        }
        fs::remove_file(self.root.join(name))
    }
}
