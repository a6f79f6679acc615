//! The disk as the spool sees it: single operations on files in three folders.
//!
//! The trait is cut where crashes matter: each method is one operation that a power cut can stand
//! before or after, and nothing is durable before [`Disk::sync_data`] (content) and
//! [`Disk::sync_dir`] (names) said so. There is a real disk and a simulated one, which keeps
//! track of what is not durable yet and can forget it.

use std::io::{self, IoSlice};

/// The folders of a spool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Dir {
    /// Committed messages.
    Queue,
    /// Large messages while they stream in.
    Incoming,
    /// What recovery could not read.
    Corrupt,
}

impl Dir {
    /// Its name in the spool.
    pub fn name(self) -> &'static str {
        match self {
            Dir::Queue => "queue",
            Dir::Incoming => "incoming",
            Dir::Corrupt => "corrupt",
        }
    }

    /// A file's name with its folder, as people see it: `queue/6a8b3f12-00001a`.
    pub fn path(self, name: &str) -> String {
        format!("{}/{name}", self.name())
    }
}

/// A disk with the folders of one spool on it, locked for this process. Names have no folder in
/// them. No method follows a symbolic link as the last part of a name.
pub trait Disk {
    /// An open file, for reading and writing; dropped, it is closed.
    type File;

    /// Makes a file that must not exist yet.
    fn create(&mut self, dir: Dir, name: &str) -> io::Result<Self::File>;

    /// Opens a regular file that exists.
    fn open(&mut self, dir: Dir, name: &str) -> io::Result<Self::File>;

    /// Appends all parts to a file that only this handle writes to. After an error any part of
    /// them may be in the file.
    fn append(&mut self, file: &mut Self::File, parts: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// As [`append`](Disk::append), from the beginning of the file on, over what is there.
    fn overwrite(&mut self, file: &mut Self::File, parts: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// Overwrites octets inside the file.
    fn write_at(&mut self, file: &Self::File, octets: &[u8], at: u64) -> io::Result<()>;

    /// Reads what is there, fewer octets than asked only at the end of the file.
    fn read_at(&mut self, file: &Self::File, into: &mut [u8], at: u64) -> io::Result<usize>;

    /// The length of the file.
    fn size(&mut self, file: &Self::File) -> io::Result<u64>;

    /// The file, to which is only appended, has reached this length: the disk may start to write
    /// it out, so that the flush to come is short. Promises nothing; an error is as bad as that
    /// of a flush.
    fn write_out(&mut self, file: &mut Self::File, length: u64) -> io::Result<()>;

    /// Makes content and length durable (fdatasync). After an error the content is as good as
    /// lost and must not be flushed again (I2).
    fn sync_data(&mut self, file: &Self::File) -> io::Result<()>;

    /// Makes the names in a folder durable (fsync of the folder).
    fn sync_dir(&mut self, dir: Dir) -> io::Result<()>;

    /// Moves a file to a name that is not taken.
    fn rename(&mut self, from: (Dir, &str), to: (Dir, &str)) -> io::Result<()>;

    /// Removes a name.
    fn unlink(&mut self, dir: Dir, name: &str) -> io::Result<()>;

    /// Cuts a file that has no name any more, so that its room comes back in pieces.
    fn shrink(&mut self, file: &mut Self::File, length: u64) -> io::Result<()>;

    /// All names in a folder, in any order. An error is an error, never "empty".
    fn list(&mut self, dir: Dir) -> io::Result<Vec<String>>;

    /// Whether a name is taken.
    fn exists(&mut self, dir: Dir, name: &str) -> io::Result<bool>;

    /// What [`Disk::set_counter`] kept; none in a new spool, or when it cannot be read.
    fn counter(&mut self) -> io::Result<Option<u64>>;

    /// Durably keeps a number beside the lock: identities below it are taken. Written whole or
    /// not at all.
    fn set_counter(&mut self, next: u64) -> io::Result<()>;
}
