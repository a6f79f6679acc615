//! Reading a file of the queue record by record, whatever is in it.
//!
//! Only envelopes are read; a record that happens to lie whole in the window is also checked
//! against its checksum. Where no record begins, the scan goes on at the next line that looks
//! like one. That is safe, since a batch never has such a line inside a message: a message that
//! contains one was put into a file of its own, where no second record is looked for.

use std::io;

use memchr::memmem;

use super::disk::Disk;
use super::format::{Broken, Head, Line, MAGIC_AFTER_LF, MAX_LINE, crc_of_head, parse_head};

/// So much is read at once.
const WINDOW: usize = 64 * 1024;

/// A part of a file in memory. One is enough for all scans.
#[derive(Default, Debug)]
pub struct Window {
    octets: Vec<u8>,
    at: u64,
}

impl Window {
    /// The octets from `at` on, at least `need` of them, fewer only when the file of this size
    /// ends.
    fn get<D: Disk>(
        &mut self,
        disk: &mut D,
        file: &D::File,
        at: u64,
        need: usize,
        size: u64,
    ) -> io::Result<&[u8]> {
        let left = usize::try_from(size - at).unwrap_or(usize::MAX);
        let need = need.min(left);
        let end = self.at + self.octets.len() as u64;
        if at < self.at || at + need as u64 > end {
            self.octets.clear();
            self.octets.resize(need.max(WINDOW).min(left), 0);
            self.at = at;
            let n = disk.read_at(file, &mut self.octets, at).inspect_err(|_| {
                self.octets.clear();
            })?;
            self.octets.truncate(n);
        }
        Ok(&self.octets[(at - self.at) as usize..])
    }
}

/// How far a file has been read.
#[derive(Clone, Copy, Debug)]
pub struct Scan {
    at: u64,
    size: u64,
    lone: bool,
}

/// What the scan found next.
#[derive(Debug)]
pub enum Found {
    /// A record.
    Record(Box<Record>),
    /// Octets that are no record.
    Bad {
        /// Where they begin.
        at: u64,
        /// How many there are.
        len: u64,
        /// What is wrong with them.
        why: Broken,
    },
    /// Nothing more.
    End,
}

/// A record that has an envelope and all its octets.
#[derive(Debug)]
pub struct Record {
    /// Where it begins.
    pub at: u32,
    /// Its first line.
    pub line: Line,
    /// Its envelope.
    pub head: Head,
    /// The checksum was compared and is right.
    pub verified: bool,
}

impl Scan {
    /// From the beginning of a file of this size.
    pub fn new(size: u64, lone: bool, window: &mut Window) -> Scan {
        window.octets.clear();
        Scan { at: 0, size, lone }
    }

    /// Reads on.
    pub fn next<D: Disk>(
        &mut self,
        disk: &mut D,
        file: &D::File,
        window: &mut Window,
    ) -> io::Result<Found> {
        if !self.lone {
            self.pass_padding(disk, file, window)?;
        }
        if self.at >= self.size {
            return Ok(Found::End);
        }
        match self.record(disk, file, window)? {
            Ok(record) => {
                self.at += record.line.record_len();
                Ok(Found::Record(Box::new(record)))
            }
            Err(why) => {
                let at = self.at;
                self.at = if self.lone { self.size } else { self.resync(disk, file, window)? };
                Ok(Found::Bad { at, len: self.at - at, why })
            }
        }
    }

    /// Line ends between records: the file was used before, for a longer batch.
    fn pass_padding<D: Disk>(
        &mut self,
        disk: &mut D,
        file: &D::File,
        window: &mut Window,
    ) -> io::Result<()> {
        while self.at < self.size {
            let octets = window.get(disk, file, self.at, 1, self.size)?;
            let n = octets.iter().take_while(|octet| **octet == b'\n').count();
            self.at += n as u64;
            if n < octets.len() || n == 0 {
                break;
            }
        }
        Ok(())
    }

    fn record<D: Disk>(
        &self,
        disk: &mut D,
        file: &D::File,
        window: &mut Window,
    ) -> io::Result<Result<Record, Broken>> {
        let start = window.get(disk, file, self.at, MAX_LINE, self.size)?;
        let line = match Line::parse(start) {
            Ok(line) => line,
            Err(why) => return Ok(Err(why)),
        };
        let len = line.record_len();
        let Ok(at) = u32::try_from(self.at) else {
            return Ok(Err(Broken("too far in the file")));
        };
        if len > self.size - self.at {
            return Ok(Err(Broken("cut short")));
        }
        if self.lone && len != self.size {
            return Ok(Err(Broken("not alone in its file")));
        }
        let from = Line::len(line.id) as usize;
        let upto = from + line.head as usize;
        let wanted = upto.max(WINDOW.min(len as usize));
        let octets = window.get(disk, file, self.at, wanted, self.size)?;
        let Some(envelope) = octets.get(from..upto) else {
            return Ok(Err(Broken("cut short")));
        };
        let head = match parse_head(envelope, &line) {
            Ok(head) => head,
            Err(why) => return Ok(Err(why)),
        };
        let (whole, last) = match octets.get(upto..len as usize) {
            Some([body @ .., last]) => {
                (Some(crc32c::crc32c_append(crc_of_head(envelope), body)), *last)
            }
            _ => {
                let mut last = [0];
                disk.read_at(file, &mut last, self.at + len - 1)?;
                (None, last[0])
            }
        };
        Ok(if last != b'\n' {
            Err(Broken("no LF after the content"))
        } else if whole.is_some_and(|crc| crc != line.crc) {
            Err(Broken("checksum"))
        } else {
            Ok(Record { at, line, head, verified: whole.is_some() })
        })
    }

    /// The next place where a record may begin, or the end of the file.
    fn resync<D: Disk>(
        &self,
        disk: &mut D,
        file: &D::File,
        window: &mut Window,
    ) -> io::Result<u64> {
        let mut at = self.at;
        while at < self.size {
            let octets = window.get(disk, file, at, MAGIC_AFTER_LF.len(), self.size)?;
            if let Some(found) = memmem::find(octets, MAGIC_AFTER_LF) {
                return Ok(at + found as u64 + 1);
            }
            // The last octets may be the beginning of what is looked for.
            let step = octets.len().saturating_sub(MAGIC_AFTER_LF.len() - 1).max(1);
            at += step as u64;
        }
        Ok(self.size)
    }
}
