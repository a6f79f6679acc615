//! Content on its way to a next server: read from the spool in slices, dot-stuffed where it goes by
//! DATA, and written as fast as the next server takes it.

use std::io;

use super::core::Core;
use super::inbound::After;
use super::link::Input;
use super::net::Net;
use super::outbound::{EARLY, Outbound};
use super::shares::Share;
use super::source::Source;
use crate::base::{Now, cause};
use crate::journal::{Side, What};
use crate::smtp::client::Mode;
use crate::smtp::data::DotEncoder;
use crate::spool::Disk;

/// Octets of content read from the spool at once.
const SLICE: usize = 1 << 16;

/// Why content does not flow.
pub(super) enum Broken {
    /// The next server is gone.
    Socket(io::Error),
    /// The spool cannot be read.
    Spool(io::Error),
}

/// How far content on its way out has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Octets of it are still in the spool.
    UnderWay,
    /// All of it is written or queued; in dot mode its end is not.
    Written,
}

/// Content on its way out.
pub(super) struct Sending {
    stage: Content,
    offset: u64,
    size: u64,
    /// None for BDAT, whose octets go as they are.
    encoder: Option<DotEncoder>,
}

impl Sending {
    pub(super) fn is_under_way(&self) -> bool {
        self.stage == Content::UnderWay
    }
}

impl<S> Outbound<S> {
    /// The server takes content now.
    pub(super) fn send_content(&mut self, mode: Mode) {
        let size = Source::of(self.carrying.as_ref(), &self.purpose).map_or(0, |s| s.size);
        let encoder = match mode {
            Mode::Dot => Some(DotEncoder::default()),
            Mode::Bdat { .. } => None,
        };
        self.sending = Some(Sending { stage: Content::UnderWay, offset: 0, size, encoder });
    }

    /// Streams content until all is written (`None`), the next server does not take more, or the
    /// turn's budget is spent.
    pub(super) fn transmit<N: Net<Stream = S>, D: Disk>(
        &mut self,
        net: &mut N,
        core: &mut Core<D>,
        now: Now,
        scratch: &mut [u8],
        share: &mut Share,
    ) -> Result<Option<After>, Broken> {
        let source = Source::of(self.carrying.as_ref(), &self.purpose);
        let (Some(sending), Some(source)) = (&mut self.sending, source) else { return Ok(None) };
        loop {
            while sending.offset < sending.size && !self.link.output.is_high() {
                let want = usize::try_from(sending.size - sending.offset).unwrap_or(usize::MAX);
                let part = &mut scratch[..want.min(SLICE)];
                let n = source.read(core, sending.offset, part).map_err(Broken::Spool)?;
                sending.offset += n as u64;
                let tail = self.link.output.tail();
                match &mut sending.encoder {
                    Some(encoder) => encoder.encode(&part[..n], tail),
                    None => tail.extend_from_slice(&part[..n]),
                }
                share.spend(n);
            }
            if sending.offset == sending.size && !self.link.output.is_high() {
                // What is in our queue counts as sent. It goes out with what follows: a small
                // message and its dot are one write.
                let (side, octets) = (Side::Client, sending.size);
                core.note(now, Some(self.id), Some(source.id), What::Content { side, octets });
                sending.stage = Content::Written;
                if sending.encoder.is_none() {
                    self.link.content_ends();
                }
                self.session.transmitted(now.time);
                return Ok(None);
            }
            let before = self.link.output.len();
            let flushed = self.link.flush(net).map_err(Broken::Socket)?;
            if self.link.output.len() < before {
                self.session.progress(now.time);
            }
            if !flushed {
                return Ok(Some(self.hear_early(net, core, now, scratch)));
            }
            if share.is_spent() {
                return Ok(Some(After::Spent));
            }
        }
    }

    /// A next server that does not take content may be saying why, or be gone.
    fn hear_early<N: Net<Stream = S>, D: Disk>(
        &mut self,
        net: &mut N,
        core: &mut Core<D>,
        now: Now,
        scratch: &mut [u8],
    ) -> After {
        while self.link.is_readable() && self.input.len() < EARLY {
            match self.link.read(net, scratch) {
                Ok(Input::Octets(n)) => self.input.extend_from_slice(&scratch[..n]),
                Ok(Input::Dry) => {}
                Ok(Input::End) => {
                    self.lost(core, now, "the next server closed the connection");
                    return After::Again;
                }
                Err(e) => {
                    self.lost(core, now, &cause(&e));
                    return After::Again;
                }
            }
        }
        self.advance(core, now);
        After::Wait
    }

    /// The end of content that goes by DATA.
    pub(super) fn end_content(&mut self) {
        if let Some(Sending { encoder: Some(encoder), .. }) = self.sending.take() {
            encoder.finish(self.link.output.tail());
            self.link.content_ends();
        }
    }
}
