//! What the spool asks of a disk: single operations, so that a simulation can fail or stop at each.
//!
//! Nothing here is durable until it is said to be: the data of a file after [`Disk::sync`], its
//! name after [`Disk::sync_dir`]. All positions are absolute; a file has no cursor.

use std::io;

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
}

/// A disk with the folders of one spool on it, locked for this process.
pub trait Disk {
    /// An open file.
    type File;

    /// Makes a new file for reading and writing; fails when the name exists.
    fn create(&mut self, dir: Dir, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing; never follows a link.
    fn open(&mut self, dir: Dir, name: &str) -> io::Result<Self::File>;

    /// Writes all of these, one after the other, from this position on.
    fn write(&mut self, file: &mut Self::File, at: u64, parts: &[&[u8]]) -> io::Result<()>;

    /// Reads until the buffer is full or the file ends; says how much.
    fn read(&mut self, file: &mut Self::File, at: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// The length of a file.
    fn size(&mut self, file: &mut Self::File) -> io::Result<u64>;

    /// Makes a file's data durable. After an error the data is lost for good: asking again would
    /// be answered with a lie (invariant I2).
    fn sync(&mut self, file: &mut Self::File) -> io::Result<()>;

    /// Lets the disk begin to write what will be synced later. A hint; promises nothing.
    fn write_out(&mut self, file: &mut Self::File, from: u64, octets: u64) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_dir(&mut self, dir: Dir) -> io::Result<()>;

    /// Gives a file another folder and name.
    fn rename(&mut self, from: (Dir, &str), to: (Dir, &str)) -> io::Result<()>;

    /// Removes a name.
    fn unlink(&mut self, dir: Dir, name: &str) -> io::Result<()>;

    /// All names in a folder, sorted. An error is an error, never "empty".
    fn list(&mut self, dir: Dir) -> io::Result<Vec<String>>;

    /// The counter kept by [`Disk::set_counter`]; 0 in a new spool.
    fn counter(&mut self) -> io::Result<u64>;

    /// Durably keeps a number: identities below it are taken.
    fn set_counter(&mut self, next: u64) -> io::Result<()>;
}
