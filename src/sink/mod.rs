//! The built-in next server for trials: takes everything, keeps it as a Maildir or nothing at all.
//!
//! It speaks through the same [`ServerSession`](crate::smtp::ServerSession) as the relay; only what
//! happens to a message is different. Each message of a tick is flushed to the disk before any of
//! them is acknowledged, as in the spool, so that a trial measures and loses what a real next
//! server would.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::base::{Envelope, MessageId, Now};

/// Where a sink's messages go.
#[derive(Debug)]
pub struct Sink {
    maildir: Option<PathBuf>,
    process: u32,
    counter: u64,
}

/// A message that a sink is receiving.
#[derive(Debug)]
pub struct Parcel {
    id: MessageId,
    file: Option<(File, PathBuf, String)>,
    buffer: Vec<u8>,
}

/// Octets collected before they are written.
const BUFFER: usize = 128 * 1024;

impl Sink {
    /// A sink that keeps messages in this Maildir (made when missing), or discards them.
    pub fn open(maildir: Option<&Path>) -> io::Result<Sink> {
        if let Some(dir) = maildir {
            for part in ["tmp", "new", "cur"] {
                DirBuilder::new().recursive(true).mode(0o700).create(dir.join(part))?;
            }
        }
        Ok(Sink { maildir: maildir.map(Path::to_owned), process: std::process::id(), counter: 0 })
    }

    /// Begins a message. Its envelope goes on top, as final delivery does it: Return-Path
    /// (RFC 5321 section 4.4), and who it was for.
    pub fn begin(&mut self, envelope: &Envelope, now: Now) -> io::Result<Parcel> {
        self.counter += 1;
        let id = MessageId { counter: self.counter, arrived: now.wall.as_secs() as u32 };
        let mut parcel = Parcel { id, file: None, buffer: Vec::new() };
        if let Some(dir) = &self.maildir {
            let (secs, micros) = (now.wall.as_secs(), now.wall.as_micros().rem_euclid(1_000_000));
            let name = format!("{secs}.M{micros:06}P{}Q{}.mailflux", self.process, self.counter);
            let path = dir.join("tmp").join(&name);
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            parcel.file = Some((file, path, name));
            let from = envelope.from.as_ref().map_or("", |a| a.as_str());
            parcel.buffer.extend_from_slice(format!("Return-Path: <{from}>\r\n").as_bytes());
            for recipient in &envelope.recipients {
                let line = format!("Envelope-To: {}\r\n", recipient.address);
                parcel.buffer.extend_from_slice(line.as_bytes());
            }
        }
        Ok(parcel)
    }

    /// Makes all of these durable; then, and only then, they are in `new/`. One result for each.
    pub fn commit(&mut self, parcels: Vec<Parcel>) -> Vec<io::Result<MessageId>> {
        let Some(dir) = &self.maildir else {
            return parcels.into_iter().map(|p| Ok(p.id)).collect();
        };
        let mut results: Vec<io::Result<MessageId>> =
            parcels.into_iter().map(|p| p.settle(dir)).collect();
        if let Err(e) = File::open(dir.join("new")).and_then(|d| d.sync_all()) {
            for result in &mut results {
                *result = Err(io::Error::new(e.kind(), e.to_string()));
            }
        }
        results
    }
}

impl Parcel {
    /// What the client is told as the name of its message.
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// Takes content.
    pub fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.file.is_some() {
            self.buffer.extend_from_slice(octets);
            if self.buffer.len() >= BUFFER {
                self.write_out()?;
            }
        }
        Ok(())
    }

    /// Gives the message up.
    pub fn abort(self) {
        if let Some((_, path, _)) = self.file {
            // What remains in tmp/ is cleaned by any Maildir reader after 36 hours.
            let _ = fs::remove_file(path);
        }
    }

    fn write_out(&mut self) -> io::Result<()> {
        if let Some((file, ..)) = &mut self.file {
            file.write_all(&self.buffer)?;
        }
        self.buffer.clear();
        Ok(())
    }

    fn settle(mut self, dir: &Path) -> io::Result<MessageId> {
        let written = self.write_out();
        let Some((file, path, name)) = &self.file else { return Ok(self.id) };
        let settled = written
            .and_then(|()| file.sync_data())
            .and_then(|()| fs::rename(path, dir.join("new").join(name)));
        if let Err(e) = settled {
            let _ = fs::remove_file(path);
            return Err(e);
        }
        Ok(self.id)
    }
}
