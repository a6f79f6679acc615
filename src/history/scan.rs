//! Reading: batch after batch, as many as the reader wants at a time.

use super::format::{self, BATCH_HEAD, BatchHead, HEAD};
use super::store::History;
use crate::base::{Leg, SessionId, Wall};

/// A place in the history, and the batch there.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The segment that is being read, by number.
    segment: u64,
    /// How far.
    at: u64,
    /// Where it ends, segment and place: what is written later is not read, so that it does end.
    until: (u64, u64),
    buffer: Vec<u8>,
}

/// What a scan brings.
#[derive(Debug)]
pub enum Step<'a> {
    /// Entries, for `journal::entries`.
    Entries(&'a [u8]),
    /// That was all.
    Over,
}

impl History {
    /// From the beginning of all that is kept.
    pub fn scan(&self) -> Scan {
        self.scan_where(|_| true)
    }

    /// From the segment on in which what happened then is.
    pub fn scan_since(&self, since: Wall) -> Scan {
        self.scan_where(|segment| segment.created > since)
    }

    /// From the segment on in which the first of these sessions began.
    pub fn scan_for(&self, ids: &[SessionId]) -> Scan {
        let first = |leg| ids.iter().filter(|id| id.leg == leg).map(|id| id.number).min();
        let (inbound, outbound) = (first(Leg::In), first(Leg::Out));
        self.scan_where(|segment| {
            inbound.is_none_or(|number| segment.next.inbound > number)
                && outbound.is_none_or(|number| segment.next.outbound > number)
        })
    }

    /// From the last segment on before those of which this holds: it holds for the later ones.
    fn scan_where(&self, later: impl Fn(&super::store::Segment) -> bool) -> Scan {
        let first = self.segments.partition_point(|segment| !later(segment));
        let segment = self.segments.get(first.saturating_sub(1));
        let segment = segment.map_or(0, |segment| segment.number);
        let until = self.segments.back().map_or((0, 0), |last| (last.number, last.size));
        Scan { segment, at: 0, until, buffer: Vec::new() }
    }

    /// The next batch. One that cannot be read ends its segment.
    pub fn step<'s>(&mut self, scan: &'s mut Scan) -> Step<'s> {
        loop {
            let found = self.segments.iter().find(|segment| segment.number >= scan.segment);
            let Some((number, size)) = found.map(|segment| (segment.number, segment.size)) else {
                return Step::Over;
            };
            if number != scan.segment || scan.at == 0 {
                (scan.segment, scan.at) = (number, HEAD as u64);
            }
            if (number, scan.at) >= scan.until {
                return Step::Over;
            }
            if scan.at < size && self.read(scan).is_some() {
                let end = scan.buffer.len() - format::BATCH_TAIL;
                return Step::Entries(&scan.buffer[BATCH_HEAD..end]);
            }
            (scan.segment, scan.at) = (number + 1, 0);
        }
    }

    fn read(&mut self, scan: &mut Scan) -> Option<()> {
        let folder = self.folder.as_mut()?;
        let name = format::name(scan.segment);
        let mut head = [0; BATCH_HEAD];
        let n = folder.read_at(&name, &mut head, scan.at).ok()?;
        let batch = BatchHead::parse(&head[..n])?;
        scan.buffer.resize(batch.whole(), 0);
        let n = folder.read_at(&name, &mut scan.buffer, scan.at).ok()?;
        if n < batch.whole() || !batch.fits(&scan.buffer) {
            return None;
        }
        scan.at += batch.whole() as u64;
        Some(())
    }
}
