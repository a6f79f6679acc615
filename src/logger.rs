//! The logger: env_logger behind one static, so that level and form can change while running.
//!
//! Standard error may be a terminal on which somebody pressed Ctrl-S, or a pipe that nobody reads.
//! A write to it would stop the one thread, so records go out only as far as there is room; the
//! rest waits in a bounded buffer, and what does not fit there is counted and told.
//!
//! Records of one turn of the loop go out together at its end: two system calls for each would be
//! a tenth of all that a message costs. Errors go out at once, with all before them.

use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::{Mutex, PoisonError, RwLock};

use crate::config::LogSettings;
use crate::{journal, sys};

/// Octets of records that may wait for room.
const MAX_WAITING: usize = 256 << 10;
/// With so many octets waiting records go out without waiting for the end of the turn.
const BATCH: usize = 16 << 10;
/// Octets of one write to a terminal that has room.
const TERMINAL: usize = 512;
/// Octets of one write to anything else: a pipe that has room has so much (poll(2), pipe(7)).
const PIPE: usize = libc::PIPE_BUF;

/// What the log crate calls; the logger in it can be swapped.
struct Slot(RwLock<Option<env_logger::Logger>>);

static SLOT: Slot = Slot(RwLock::new(None));
static OUTLET: Mutex<Outlet<Stderr>> = Mutex::new(Outlet::new(Stderr));

impl log::Log for Slot {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        let logger = self.0.read().unwrap_or_else(PoisonError::into_inner);
        logger.as_ref().is_some_and(|logger| logger.enabled(metadata))
    }

    fn log(&self, record: &log::Record<'_>) {
        let logger = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(logger) = logger.as_ref() {
            logger.log(record);
        }
        if record.level() == log::Level::Error {
            flush();
        }
    }

    fn flush(&self) {
        flush();
    }
}

/// Logs from now on as these settings say; may be called again. The level was checked with the
/// settings.
pub fn set(settings: &LogSettings) {
    let format = settings.format;
    let logger = env_logger::Builder::new()
        .parse_filters(&settings.level)
        .target(env_logger::Target::Pipe(Box::new(Handle)))
        .format(move |out, record| journal::write_record(format, record, out))
        .build();
    log::set_max_level(logger.filter());
    with_outlet(|outlet| outlet.chunk = if io::stderr().is_terminal() { TERMINAL } else { PIPE });
    *SLOT.0.write().unwrap_or_else(PoisonError::into_inner) = Some(logger);
    // An error only says that it is set already.
    let _ = log::set_logger(&SLOT);
}

/// Writes what waits, as far as there is room. The loop calls it before it sleeps.
pub fn flush() {
    with_outlet(Outlet::drain);
}

/// Keeps records off standard error while that is a terminal on which a console paints: what they
/// say is shown there anyway. A file or a pipe gets them as ever.
pub fn spare_terminal(spare: bool) {
    with_outlet(|outlet| {
        outlet.drain();
        outlet.muted = spare && io::stderr().is_terminal();
    });
}

fn with_outlet(act: impl FnOnce(&mut Outlet<Stderr>)) {
    act(&mut OUTLET.lock().unwrap_or_else(PoisonError::into_inner));
}

/// What env_logger writes to: each call is one record.
struct Handle;

impl Write for Handle {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        with_outlet(|outlet| outlet.push(record));
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where octets leave without waiting.
trait Outward {
    /// Takes some of the octets; [`io::ErrorKind::WouldBlock`] when there is no room now.
    fn take(&mut self, octets: &[u8]) -> io::Result<usize>;
}

struct Stderr;

impl Outward for Stderr {
    fn take(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        if !sys::has_room(stderr.as_fd()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        stderr.write(octets)
    }
}

/// Records on their way out.
struct Outlet<D> {
    to: D,
    waiting: Vec<u8>,
    /// Octets of one write.
    chunk: usize,
    /// Records that found no place since the last that did.
    lost: u64,
    /// Records go nowhere.
    muted: bool,
}

impl<D: Outward> Outlet<D> {
    const fn new(to: D) -> Outlet<D> {
        Outlet { to, waiting: Vec::new(), chunk: TERMINAL, lost: 0, muted: false }
    }

    fn push(&mut self, record: &[u8]) {
        if self.muted {
            return;
        }
        if self.waiting.len() + record.len() > BATCH {
            self.drain();
        }
        if self.waiting.len() + record.len() > MAX_WAITING {
            self.lost += 1;
            return;
        }
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            let words = format!("({lost} log records lost: nobody read standard error)\n");
            self.waiting.extend_from_slice(words.as_bytes());
        }
        self.waiting.extend_from_slice(record);
    }

    fn drain(&mut self) {
        let mut done = 0;
        while done < self.waiting.len() {
            let end = self.waiting.len().min(done + self.chunk);
            match self.to.take(&self.waiting[done..end]) {
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // Closed, or gone: nobody will ever read it.
                Err(_) => done = self.waiting.len(),
            }
        }
        self.waiting.drain(..done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many octets, then none; in all it has room for so much.
    #[derive(Default)]
    struct Pipe {
        room: usize,
        read: Vec<u8>,
        broken: bool,
    }

    impl Outward for Pipe {
        fn take(&mut self, octets: &[u8]) -> io::Result<usize> {
            if self.broken {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let n = octets.len().min(self.room);
            if n == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room -= n;
            self.read.extend_from_slice(&octets[..n]);
            Ok(n)
        }
    }

    #[test]
    fn records_wait_for_room_and_keep_their_order() {
        let mut outlet = Outlet::new(Pipe { room: 5, ..Pipe::default() });
        outlet.push(b"one\n");
        outlet.push(b"two\n");
        assert!(outlet.to.read.is_empty());
        outlet.drain();
        assert_eq!(outlet.to.read, b"one\nt");
        outlet.to.room = 2000;
        let long = vec![b'x'; 1500];
        outlet.push(&long);
        outlet.drain();
        assert_eq!(outlet.to.read.len(), 8 + 1500);
        assert!(outlet.waiting.is_empty());
    }

    #[test]
    fn a_long_turn_does_not_keep_its_records() {
        let mut outlet = Outlet::new(Pipe { room: usize::MAX, ..Pipe::default() });
        for _ in 0..100 {
            outlet.push(&[b'x'; 1024]);
            assert!(outlet.waiting.len() <= BATCH);
        }
    }

    #[test]
    fn what_waits_is_bounded_and_losses_are_told() {
        let mut outlet = Outlet::new(Pipe::default());
        let record = [b'x'; 1024];
        for _ in 0..MAX_WAITING / 1024 + 3 {
            outlet.push(&record);
        }
        assert_eq!((outlet.waiting.len(), outlet.lost), (MAX_WAITING, 3));
        outlet.to.room = usize::MAX;
        outlet.push(b"end\n");
        outlet.drain();
        let told = b"x(3 log records lost: nobody read standard error)\nend\n";
        assert!(outlet.to.read.ends_with(told));
        assert_eq!(outlet.lost, 0);
    }

    #[test]
    fn a_closed_outlet_costs_nothing() {
        let mut outlet = Outlet::new(Pipe { broken: true, ..Pipe::default() });
        outlet.push(b"one\n");
        outlet.drain();
        assert!(outlet.waiting.is_empty());
    }
}
