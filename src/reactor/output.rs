//! Octets on their way out: a queue that owns memory only while it holds something.

use std::io;

/// What could not be written yet.
#[derive(Default, Debug)]
pub struct Output {
    octets: Vec<u8>,
    written: usize,
}

impl Output {
    /// Beyond so much unwritten output a session's input waits: a peer that never reads costs no
    /// more memory than this and one reply.
    pub const HIGH_WATER: usize = 64 * 1024;

    /// Where new octets go.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.octets
    }

    /// Octets not written yet.
    pub fn len(&self) -> usize {
        self.octets.len() - self.written
    }

    /// All is written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The peer is too slow: make no more.
    pub fn is_high(&self) -> bool {
        self.len() > Self::HIGH_WATER
    }

    /// Writes until all is gone or the writer would block: `Ok(false)` for the latter.
    pub fn flush(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<bool> {
        while self.written < self.octets.len() {
            match write(&self.octets[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.written += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.compact();
                    return Ok(false);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        *self = Output::default();
        Ok(true)
    }

    /// Gives back what was written once it outweighs what was not, so that a slow peer's queue
    /// does not grow at its front.
    fn compact(&mut self) {
        if self.written > self.len() {
            self.octets.drain(..self.written);
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_writes_keep_the_order_and_empty_queues_own_nothing() {
        let mut out = Output::default();
        out.tail().extend_from_slice(b"hello world");
        let mut wire = Vec::new();
        let mut calls = 0;
        let done = out.flush(|b| {
            calls += 1;
            if calls == 3 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            wire.push(b[0]);
            Ok(1)
        });
        assert!(!done.unwrap());
        assert_eq!(out.len(), 9);
        out.tail().push(b'!');
        assert!(
            out.flush(|b| {
                wire.extend_from_slice(b);
                Ok(b.len())
            })
            .unwrap()
        );
        assert_eq!(wire, b"hello world!");
        assert_eq!(out.tail().capacity(), 0);
    }
}
