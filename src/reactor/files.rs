//! Files that commands write and read, in the process that asks: `ctl`, `attach`, or the server's
//! own console.
//!
//! What the server tells passes through [`Files::take`]. A server that somebody else has got into
//! must not write or read what it likes with the asker's rights: only a file that the asker's own
//! command named is touched, a new one only, and nobody else may read it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::base::{Printable, cause};
use crate::control::{MAX_GIVEN, Request, Told, has_word};

/// The files of those commands that are not answered yet.
#[derive(Default, Debug)]
pub struct Files {
    /// Number and line of the commands that were asked.
    asked: Vec<(u64, String)>,
    /// The file that is being written.
    writing: Option<Writing>,
    /// The command whose file could not be written: its answer is another now.
    failed: Option<u64>,
}

/// A file on its way. Half a file is none: dropped before its end it goes.
#[derive(Debug)]
struct Writing {
    id: u64,
    name: String,
    file: File,
    complete: bool,
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.complete {
            let _ = fs::remove_file(&self.name);
        }
    }
}

/// What is left to do about something that was told.
#[derive(Default, Debug)]
pub struct Taken {
    /// For the person who asked.
    pub told: Option<Told>,
    /// For the server, in this order.
    pub requests: Vec<Request>,
}

impl Files {
    /// A request is on its way to the server.
    pub fn note(&mut self, request: &Request) {
        if let Request::Run { id, line, .. } = request {
            self.asked.push((*id, line.clone()));
        }
    }

    /// Takes what the server tells: does what is about files, hands on all else.
    pub fn take(&mut self, told: Told) -> Taken {
        match told {
            Told::File { id, .. } if self.failed == Some(id) => Taken::default(),
            Told::File { id, name, octets } => match self.write(id, &name, &octets) {
                Ok(()) => Taken::default(),
                Err(why) => {
                    self.writing = None;
                    self.failed = Some(id);
                    let message = Printable::from_shown(why);
                    Taken::told(Told::Fault { id, column: None, message })
                }
            },
            Told::Want { id, name, most } => {
                let requests = self.read(id, &name, most).unwrap_or_else(|why| {
                    vec![Request::CannotGive { id, why: Printable::from_shown(why) }]
                });
                Taken { told: None, requests }
            }
            Told::Fault { id, .. } => {
                self.writing = None;
                self.unless_failed(id, told)
            }
            Told::Lines { id, .. } | Told::Json { id, .. } => self.unless_failed(id, told),
            Told::End { id, ok } => {
                if let Some(mut writing) = self.writing.take_if(|writing| writing.id == id) {
                    writing.complete = ok;
                }
                self.asked.retain(|(asked, _)| *asked != id);
                let ok = ok && self.failed.take_if(|failed| *failed == id).is_none();
                Taken::told(Told::End { id, ok })
            }
            told => Taken::told(told),
        }
    }

    fn unless_failed(&self, id: u64, told: Told) -> Taken {
        if self.failed == Some(id) { Taken::default() } else { Taken::told(told) }
    }

    fn is_named(&self, id: u64, name: &str) -> bool {
        self.asked.iter().any(|(asked, line)| *asked == id && has_word(line, name))
    }

    fn write(&mut self, id: u64, name: &str, octets: &[u8]) -> Result<(), String> {
        let shown = Printable::new(name);
        if !self.is_named(id, name) {
            return Err(format!("the server wants to write {shown}, which nobody asked for"));
        }
        if self.writing.as_ref().is_none_or(|writing| writing.id != id) {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(name);
            let file = file.map_err(|e| match e.kind() {
                io::ErrorKind::AlreadyExists => {
                    format!("{shown} exists; choose another name, or remove it first")
                }
                _ => format!("cannot write {shown}: {}", cause(&e)),
            })?;
            self.writing = Some(Writing { id, name: name.to_owned(), file, complete: false });
        }
        let Some(writing) = &mut self.writing else { return Ok(()) };
        writing.file.write_all(octets).map_err(|e| format!("cannot write {shown}: {}", cause(&e)))
    }

    fn read(&self, id: u64, name: &str, most: u64) -> Result<Vec<Request>, String> {
        let shown = Printable::new(name);
        if !self.is_named(id, name) {
            return Err(format!("{shown} is not what the command names"));
        }
        let fail = |e: io::Error| format!("cannot read {shown}: {}", cause(&e));
        // A pipe would be waited for, and a device has no end.
        if !fs::metadata(Path::new(name)).map_err(fail)?.is_file() {
            return Err(format!("cannot read {shown}: it is not a plain file"));
        }
        let mut octets = Vec::new();
        let file = File::open(name).map_err(fail)?;
        file.take(most.saturating_add(1)).read_to_end(&mut octets).map_err(fail)?;
        if octets.len() as u64 > most {
            return Err(format!("{shown} is longer than {most} octets"));
        }
        let mut pieces: Vec<&[u8]> = octets.chunks(MAX_GIVEN).collect();
        let end = pieces.pop().unwrap_or_default();
        let give = |octets: &[u8], last| Request::Give { id, octets: octets.to_vec(), last };
        let mut requests: Vec<Request> = pieces.iter().map(|piece| give(piece, false)).collect();
        requests.push(give(end, true));
        Ok(requests)
    }
}

impl Taken {
    fn told(told: Told) -> Taken {
        Taken { told: Some(told), requests: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A folder, and the files of a process that asked one command which names `file` there.
    fn asked(file: &str) -> (tempfile::TempDir, String, Files) {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join(file).display().to_string();
        let mut files = Files::default();
        let line = format!("export i7 text \"{name}\"");
        files.note(&Request::Run { id: 3, line, json: false });
        (dir, name, files)
    }

    fn piece(name: &str, octets: &[u8]) -> Told {
        Told::File { id: 3, name: name.into(), octets: octets.to_vec() }
    }

    const END: Told = Told::End { id: 3, ok: true };

    #[test]
    fn a_file_is_written_for_its_owner_alone() {
        let (_dir, name, mut files) = asked("a b");
        for octets in [&b"one "[..], b"", b"two"] {
            assert!(files.take(piece(&name, octets)).told.is_none());
        }
        assert_eq!(files.take(END).told, Some(END));
        assert_eq!(fs::read(&name).unwrap(), b"one two");
        assert_eq!(fs::metadata(&name).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_exists_stays_and_the_answer_says_so() {
        let (_dir, name, mut files) = asked("there");
        fs::write(&name, "mine").unwrap();
        let Some(Told::Fault { message, .. }) = files.take(piece(&name, b"x")).told else {
            panic!("no fault")
        };
        assert!(message.as_str().contains("exists; choose another"), "{message}");
        assert!(files.take(piece(&name, b"y")).told.is_none());
        let lines = Told::Lines { id: 3, lines: vec![Printable::new("written")] };
        assert!(files.take(lines).told.is_none());
        assert_eq!(files.take(END).told, Some(Told::End { id: 3, ok: false }));
        assert_eq!(fs::read(&name).unwrap(), b"mine");
    }

    #[test]
    fn half_a_file_is_none() {
        let (_dir, name, mut files) = asked("half");
        files.take(piece(&name, b"x"));
        let message = Printable::new("the disk failed");
        let fault = Told::Fault { id: 3, column: None, message };
        assert_eq!(files.take(fault.clone()).told, Some(fault));
        assert!(!Path::new(&name).exists());
        files.take(piece(&name, b"x"));
        drop(files);
        assert!(!Path::new(&name).exists());
    }

    #[test]
    fn only_what_the_command_names_is_touched() {
        let (dir, name, mut files) = asked("named");
        let other = dir.path().join("other").display().to_string();
        fs::write(&name, vec![b'x'; MAX_GIVEN + 1]).unwrap();
        assert!(matches!(files.take(piece(&other, b"x")).told, Some(Told::Fault { .. })));
        assert!(!Path::new(&other).exists());
        let mut want =
            |name: &str, most| files.take(Told::Want { id: 3, name: name.into(), most }).requests;
        for (wrong, most) in [(other.as_str(), 9), ("/dev/zero", 9), (&name, 9)] {
            assert!(matches!(&want(wrong, most)[..], [Request::CannotGive { .. }]), "{wrong}");
        }
        let given = want(&name, 1 << 20);
        assert!(matches!(&given[0], Request::Give { last: false, octets, .. }
            if octets.len() == MAX_GIVEN));
        assert!(matches!(&given[1], Request::Give { last: true, octets, .. } if octets == b"x"));
        fs::write(&name, "").unwrap();
        assert!(matches!(&want(&name, 0)[..], [Request::Give { last: true, octets, .. }]
            if octets.is_empty()));
    }
}
