//! The system's own files about names, /etc/hosts and /etc/resolv.conf, read again when they have
//! changed: a laptop moves to another network without anybody starting its mail server anew.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

/// Octets read of each: a hosts file may be somebody's block list.
const MAX_OCTETS: u64 = 16 << 20;

/// The two files.
#[derive(Debug)]
pub struct SystemNames {
    hosts: Watched,
    resolv: Watched,
}

/// A file and what it looked like when it was read last.
#[derive(Debug)]
struct Watched {
    path: String,
    stamp: Option<(u64, u64, i64, i64)>,
}

impl SystemNames {
    /// The files where they always are, not read yet.
    pub fn new() -> SystemNames {
        SystemNames::at("/etc/hosts", "/etc/resolv.conf")
    }

    fn at(hosts: &str, resolv: &str) -> SystemNames {
        // Which no file ever looks like: the first look reads.
        let never = Some((u64::MAX, u64::MAX, i64::MIN, i64::MIN));
        let watched = |path: &str| Watched { path: path.to_owned(), stamp: never };
        SystemNames { hosts: watched(hosts), resolv: watched(resolv) }
    }

    /// The text of the hosts file, when it is new; empty when there is none.
    pub fn hosts(&mut self) -> Option<String> {
        self.hosts.text_if_new()
    }

    /// The text of resolv.conf, when it is new.
    pub fn resolv(&mut self) -> Option<String> {
        self.resolv.text_if_new()
    }
}

impl Default for SystemNames {
    fn default() -> Self {
        SystemNames::new()
    }
}

impl Watched {
    fn text_if_new(&mut self) -> Option<String> {
        let of = |m: fs::Metadata| (m.ino(), m.size(), m.mtime(), m.mtime_nsec());
        let stamp = fs::metadata(&self.path).ok().map(of);
        if stamp == self.stamp {
            return None;
        }
        self.stamp = stamp;
        let mut octets = Vec::new();
        if let Ok(file) = File::open(&self.path) {
            let _ = file.take(MAX_OCTETS).read_to_end(&mut octets);
        }
        Some(String::from_utf8_lossy(&octets).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_when_they_are_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut names = SystemNames::at(&path("hosts"), &path("resolv.conf"));
        assert_eq!((names.hosts().as_deref(), names.hosts()), (Some(""), None), "there is none");
        fs::write(path("hosts"), "192.0.2.1 a\n").unwrap();
        assert_eq!(names.hosts().as_deref(), Some("192.0.2.1 a\n"));
        assert_eq!(names.hosts(), None);
        fs::write(path("hosts"), "192.0.2.1 a b\n").unwrap();
        assert_eq!(names.hosts().as_deref(), Some("192.0.2.1 a b\n"));
        fs::remove_file(path("hosts")).unwrap();
        assert_eq!(names.hosts().as_deref(), Some(""));
        assert_eq!(names.resolv().as_deref(), Some(""));
    }
}
