//! Files on their way to the process that asks, a piece a turn: an asker that does not
//! take what it is told gets no more, so that a message of any size costs one piece of memory.

use serde_json::json;

use super::{Asker, Job, Refusal};
use crate::base::{MessageId, Printable, Report};
use crate::control::{MAX_PIECE, Told};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::spool::Disk;

/// A file that is handed to the asker.
pub struct Handing {
    name: String,
    source: Source,
    at: u64,
    /// What is to be known of it.
    remarks: Vec<String>,
}

/// Where its octets are.
enum Source {
    Memory(Vec<u8>),
    /// The content of a message, and its size.
    Spool(MessageId, u64),
}

impl Job {
    /// The asker writes these octets into a file, and is told how many they were.
    pub(super) fn hand(name: impl Into<String>, octets: Vec<u8>) -> Job {
        Job::hand_with(name, octets, Vec::new())
    }

    /// The same, with lines that say what is to be known of the file.
    pub(super) fn hand_with(name: impl Into<String>, octets: Vec<u8>, remarks: Vec<String>) -> Job {
        let source = Source::Memory(octets);
        Job::Hand(Handing { name: name.into(), source, at: 0, remarks })
    }

    /// The same with the content of a message.
    pub(super) fn hand_content(name: impl Into<String>, id: MessageId, size: u64) -> Job {
        let source = Source::Spool(id, size);
        Job::Hand(Handing { name: name.into(), source, at: 0, remarks: Vec::new() })
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Hands the next piece over; true when it was the last.
    pub(super) fn hand_piece(
        &mut self,
        handing: &mut Handing,
        (id, json): (u64, bool),
        asker: &mut Asker,
    ) -> Result<bool, Refusal> {
        let (size, octets) = match &handing.source {
            Source::Memory(all) => {
                let at = usize::try_from(handing.at).unwrap_or(usize::MAX).min(all.len());
                let end = all.len().min(at + MAX_PIECE);
                (all.len() as u64, all[at..end].to_vec())
            }
            Source::Spool(message, size) => {
                let left = usize::try_from(size - handing.at).unwrap_or(usize::MAX);
                let mut piece = vec![0; left.min(MAX_PIECE)];
                if !piece.is_empty() {
                    let read = self.core.read_content(*message, handing.at, &mut piece);
                    let n = read.map_err(|e| Refusal::new(format!("{}: {e}", message.short())))?;
                    piece.truncate(n);
                }
                (*size, piece)
            }
        };
        handing.at += octets.len() as u64;
        let name = handing.name.clone();
        asker.told.push_back(Told::File { id, name, octets });
        if handing.at < size {
            return Ok(false);
        }
        let name = Printable::new(&handing.name);
        let mut lines = vec![format!("{name}: {size} octets")];
        let said = json!({ "file": name, "octets": size, "remarks": handing.remarks });
        lines.append(&mut handing.remarks);
        asker.tell_report(id, json, Report { json: said, lines });
        Ok(true)
    }
}
