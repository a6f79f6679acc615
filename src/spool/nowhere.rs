//! A disk, or none: a process that takes mail and keeps none, such as the sink alone, has none.
//!
//! Both are one type, so that the program holds the server once and not twice.

use std::io::{self, IoSlice};

use super::disk::{Dir, Disk};
use super::real::{RealDisk, RealFile};

/// Where there is no disk nothing is found, and nothing can be kept.
impl Disk for Option<RealDisk> {
    type File = RealFile;

    fn create(&mut self, dir: Dir, name: &str) -> io::Result<RealFile> {
        there(self)?.create(dir, name)
    }

    fn open(&mut self, dir: Dir, name: &str) -> io::Result<RealFile> {
        there(self)?.open(dir, name)
    }

    fn append(&mut self, file: &mut RealFile, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        there(self)?.append(file, parts)
    }

    fn overwrite(&mut self, file: &mut RealFile, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        there(self)?.overwrite(file, parts)
    }

    fn write_at(&mut self, file: &RealFile, octets: &[u8], at: u64) -> io::Result<()> {
        there(self)?.write_at(file, octets, at)
    }

    fn read_at(&mut self, file: &RealFile, into: &mut [u8], at: u64) -> io::Result<usize> {
        there(self)?.read_at(file, into, at)
    }

    fn size(&mut self, file: &RealFile) -> io::Result<u64> {
        there(self)?.size(file)
    }

    fn write_out(&mut self, file: &mut RealFile, length: u64) -> io::Result<()> {
        there(self)?.write_out(file, length)
    }

    fn sync_data(&mut self, file: &RealFile) -> io::Result<()> {
        there(self)?.sync_data(file)
    }

    fn sync_dir(&mut self, dir: Dir) -> io::Result<()> {
        there(self)?.sync_dir(dir)
    }

    fn rename(&mut self, from: (Dir, &str), to: (Dir, &str)) -> io::Result<()> {
        there(self)?.rename(from, to)
    }

    fn unlink(&mut self, dir: Dir, name: &str) -> io::Result<()> {
        there(self)?.unlink(dir, name)
    }

    fn shrink(&mut self, file: &mut RealFile, length: u64) -> io::Result<()> {
        there(self)?.shrink(file, length)
    }

    fn list(&mut self, dir: Dir) -> io::Result<Vec<String>> {
        self.as_mut().map_or(Ok(Vec::new()), |disk| disk.list(dir))
    }

    fn exists(&mut self, dir: Dir, name: &str) -> io::Result<bool> {
        self.as_mut().map_or(Ok(false), |disk| disk.exists(dir, name))
    }

    fn counter(&mut self) -> io::Result<Option<u64>> {
        self.as_mut().map_or(Ok(None), Disk::counter)
    }

    fn set_counter(&mut self, next: u64) -> io::Result<()> {
        there(self)?.set_counter(next)
    }
}

fn there(disk: &mut Option<RealDisk>) -> io::Result<&mut RealDisk> {
    disk.as_mut().ok_or_else(|| io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Spool;

    #[test]
    fn without_a_disk_there_is_an_empty_spool_that_takes_nothing() {
        let spool: Spool<Option<RealDisk>> = Spool::open(None).unwrap();
        assert!(spool.is_empty());
        let none: &mut Option<RealDisk> = &mut None;
        assert_eq!(none.list(Dir::Queue).unwrap(), Vec::<String>::new());
        assert!(!none.exists(Dir::Queue, "x").unwrap());
        for refused in [none.create(Dir::Queue, "x"), none.open(Dir::Queue, "x")] {
            assert_eq!(refused.err().unwrap().kind(), io::ErrorKind::Unsupported);
        }
        assert!(none.set_counter(1).is_err());
    }
}
