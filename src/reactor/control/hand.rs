//! Files on their way to and from the process that asks, a piece a turn: an asker that does not
//! take what it is told gets no more, so that a message of any size costs one piece of memory.

use std::collections::VecDeque;

use serde_json::json;

use super::{Answer, Asker, Job, Refusal};
use crate::auth::Secret;
use crate::base::{MessageId, Printable, Report};
use crate::control::{Command, MAX_PIECE, Request, Told};
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

/// Files that the asker is to give, one after the other, and what is done with them then.
pub struct Wanting {
    /// Their names and bounds; the first is asked for, or comes.
    wanted: VecDeque<(String, u64)>,
    command: Command,
    given: Vec<Secret>,
    octets: Vec<u8>,
    stage: Stage,
}

enum Stage {
    New,
    Asked,
    Complete,
    Failed(Printable),
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

    /// Has the asker read these files of at most so many octets; then [`Reactor::with_files`] goes
    /// on with the command.
    pub(super) fn want(wanted: Vec<(String, u64)>, command: Command) -> Job {
        let (wanted, given, octets) = (wanted.into(), Vec::new(), Vec::new());
        Job::Want(Wanting { wanted, command, given, octets, stage: Stage::New })
    }
}

impl Wanting {
    /// It was asked for, and is not here yet.
    pub(super) fn waits(&self) -> bool {
        matches!(self.stage, Stage::Asked)
    }

    /// Takes what the asker gives.
    pub(super) fn take(&mut self, given: Request) {
        if !self.waits() {
            return;
        }
        match given {
            Request::Give { octets, last, .. } => {
                self.octets.extend_from_slice(&octets);
                let Some((name, most)) = self.wanted.front() else { return };
                if self.octets.len() as u64 > *most {
                    let why = format!("{} is longer than it may be", Printable::new(name));
                    self.stage = Stage::Failed(Printable::from_shown(why));
                } else if last {
                    self.stage = Stage::Complete;
                }
            }
            Request::CannotGive { why, .. } => self.stage = Stage::Failed(why),
            _ => {}
        }
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

    /// Asks for each file once; goes on with the command when all are here.
    pub(super) fn await_file(
        &mut self,
        wanting: &mut Wanting,
        id: u64,
        asker: &mut Asker,
    ) -> Result<Option<Answer>, Refusal> {
        match std::mem::replace(&mut wanting.stage, Stage::Asked) {
            Stage::New => {}
            Stage::Asked => return Ok(None),
            Stage::Failed(why) => return Err(Refusal::new(why.into_string())),
            Stage::Complete => {
                wanting.given.push(Secret::new(std::mem::take(&mut wanting.octets)));
                wanting.wanted.pop_front();
            }
        }
        match wanting.wanted.front() {
            Some((name, most)) => {
                asker.told.push_back(Told::Want { id, name: name.clone(), most: *most });
                Ok(None)
            }
            None => self.with_files(&wanting.command, &wanting.given).map(Some),
        }
    }
}
