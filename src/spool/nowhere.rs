//! No disk at all: for a process that takes mail and keeps none, such as the sink alone.

use std::io::{self, IoSlice};

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

    fn append(&mut self, (): &mut (), _: &mut [IoSlice<'_>]) -> io::Result<()> {
        refused()
    }

    fn overwrite(&mut self, (): &mut (), _: &mut [IoSlice<'_>]) -> io::Result<()> {
        refused()
    }

    fn write_at(&mut self, (): &(), _: &[u8], _: u64) -> io::Result<()> {
        refused()
    }

    fn read_at(&mut self, (): &(), _: &mut [u8], _: u64) -> io::Result<usize> {
        refused()
    }

    fn size(&mut self, (): &()) -> io::Result<u64> {
        refused()
    }

    fn write_out(&mut self, (): &mut (), _: u64) -> io::Result<()> {
        refused()
    }

    fn sync_data(&mut self, (): &()) -> io::Result<()> {
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

    fn shrink(&mut self, (): &mut (), _: u64) -> io::Result<()> {
        refused()
    }

    fn list(&mut self, _: Dir) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn exists(&mut self, _: Dir, _: &str) -> io::Result<bool> {
        Ok(false)
    }

    fn counter(&mut self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn set_counter(&mut self, _: u64) -> io::Result<()> {
        refused()
    }
}
