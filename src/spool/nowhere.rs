//! No disk at all: for a process that takes mail and keeps none, such as the sink alone.

use std::io;

use super::disk::{Dir, Disk};

/// A disk that holds nothing and takes nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoDisk;

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Disk for NoDisk {
    type File = ();

    fn create(&mut self, _: Dir, _: &str) -> io::Result<()> {
        refused()
    }

    fn open(&mut self, _: Dir, _: &str) -> io::Result<()> {
        refused()
    }

    fn write(&mut self, (): &mut (), _: u64, _: &[&[u8]]) -> io::Result<()> {
        refused()
    }

    fn read(&mut self, (): &mut (), _: u64, _: &mut [u8]) -> io::Result<usize> {
        refused()
    }

    fn size(&mut self, (): &mut ()) -> io::Result<u64> {
        refused()
    }

    fn sync(&mut self, (): &mut ()) -> io::Result<()> {
        refused()
    }

    fn write_out(&mut self, (): &mut (), _: u64, _: u64) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&mut self, _: Dir) -> io::Result<()> {
        refused()
    }

    fn rename(&mut self, _: (Dir, &str), _: (Dir, &str)) -> io::Result<()> {
        refused()
    }

    fn unlink(&mut self, _: Dir, _: &str) -> io::Result<()> {
        refused()
    }

    fn list(&mut self, _: Dir) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn counter(&mut self) -> io::Result<u64> {
        Ok(0)
    }

    fn set_counter(&mut self, _: u64) -> io::Result<()> {
        refused()
    }
}
