//! Content on its way in: into the spool's coming commit, or into the sink.

use std::borrow::Cow;

use super::core::{Core, Role};
use super::filtering::Sifting;
use super::net::Token;
use super::report::Record;
use crate::base::{Enhanced, Envelope, MessageId, Now, Reply, SessionId, Status};
use crate::journal::Level;
use crate::queue::ServerId;
use crate::sink::Parcel;
use crate::smtp::trace::received;
use crate::spool::{Disk, Incoming};

/// A message whose content is coming in.
pub enum Storing<F> {
    /// For the spool.
    Spool(Box<Spooling<F>>),
    /// For the sink, and so many octets of it came from the client.
    Sink(Box<Parcel>, u64),
}

impl<F> Storing<F> {
    /// Octets that came from the client so far: without what stands in front of them.
    pub fn came(&self) -> u64 {
        match self {
            Storing::Spool(s) => s.came,
            Storing::Sink(_, came) => *came,
        }
    }
}

/// A message on its way into the spool.
pub struct Spooling<F> {
    pub(super) incoming: Incoming<F>,
    /// Octets that came from the client.
    came: u64,
    /// The next server of each recipient.
    pub(super) routes: Vec<(u32, ServerId, Status)>,
    /// What rules need; none when there are none.
    pub(super) sifting: Option<Sifting>,
}

/// A message that waits for the commit of this tick, in the order of finishing.
pub struct Pending {
    /// Whom to tell.
    pub owner: Owner,
    /// Its recipients for the queue.
    pub routes: Vec<(u32, ServerId, Status)>,
}

/// Who waits for a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A session, for its 250.
    Session(SessionId, Token),
    /// A notification made here, and what it records.
    Report(Record),
}

impl<D: Disk> Core<D> {
    /// Begins to store a message; its trace header goes on top (RFC 5321 section 4.4).
    pub fn begin(
        &mut self,
        role: Role,
        envelope: &Envelope,
        now: Now,
    ) -> Result<Storing<D::File>, Reply> {
        let hostname = self.relay_session.hostname.clone();
        if role == Role::Sink {
            let mut parcel = self.sink.begin(envelope, now).map_err(|e| sink_reply(&e))?;
            let trace = received(envelope, &hostname, parcel.id(), now.wall);
            parcel.append(&trace).map_err(|e| sink_reply(&e))?;
            return Ok(Storing::Sink(Box::new(parcel), 0));
        }
        let kept = self.with_aliases(envelope);
        let routes = self.routes_of(&kept, now);
        let most = self.most_edits(envelope);
        let incoming = match most {
            Some(most) => self.spool.begin_with_room(&kept, most, now),
            None => self.spool.begin(&kept, now),
        };
        let mut incoming = incoming.map_err(|e| e.reply())?;
        let trace = received(envelope, &hostname, incoming.id(), now.wall);
        self.spool.append_front(&mut incoming, &trace).map_err(|e| e.reply())?;
        let sifting = most.map(|_| Sifting::new(envelope.clone(), trace));
        Ok(Storing::Spool(Box::new(Spooling { incoming, came: 0, routes, sifting })))
    }

    /// The envelope with what aliases stand for.
    fn with_aliases<'e>(&self, envelope: &'e Envelope) -> Cow<'e, Envelope> {
        if self.aliases.is_empty() {
            return Cow::Borrowed(envelope);
        }
        let recipients = self.aliases.apply(&envelope.recipients);
        Cow::Owned(Envelope { recipients, ..envelope.clone() })
    }

    /// Takes content.
    pub fn append(&mut self, storing: &mut Storing<D::File>, octets: &[u8]) -> Result<(), Reply> {
        match storing {
            Storing::Spool(s) => {
                if s.came == 0 && goes_on(octets) {
                    self.spool.append_front(&mut s.incoming, b"\r\n").map_err(|e| e.reply())?;
                }
                if let Some(sifting) = &mut s.sifting {
                    sifting.look_at(octets);
                }
                s.came += octets.len() as u64;
                self.spool.append(&mut s.incoming, octets).map_err(|e| e.reply())
            }
            Storing::Sink(parcel, came) => {
                if *came == 0 && goes_on(octets) {
                    parcel.append(b"\r\n").map_err(|e| sink_reply(&e))?;
                }
                *came += octets.len() as u64;
                parcel.append(octets).map_err(|e| sink_reply(&e))
            }
        }
    }

    /// Gives a message up.
    pub fn abort(&mut self, storing: Storing<D::File>) {
        match storing {
            Storing::Spool(s) => self.spool.abort(s.incoming),
            Storing::Sink(parcel, _) => parcel.abort(),
        }
    }

    /// The content is complete: into the commit of this tick.
    pub fn finish(&mut self, storing: Storing<D::File>, session: SessionId, token: Token) {
        match storing {
            Storing::Spool(s) => {
                self.spool.finish(s.incoming);
                self.pending
                    .push(Pending { owner: Owner::Session(session, token), routes: s.routes });
            }
            Storing::Sink(parcel, _) => self.pending_sink.push((token, *parcel)),
        }
    }

    /// Something waits for a commit.
    pub fn has_commit(&self) -> bool {
        !self.pending.is_empty() || !self.pending_sink.is_empty()
    }

    /// The durable group commit of a tick. Only what is durable enters the queue, and only then
    /// are the sessions told (invariant I1).
    pub fn commit(&mut self, now: Now) -> Vec<(Token, Result<MessageId, Reply>)> {
        let mut resumed = Vec::with_capacity(self.pending.len() + self.pending_sink.len());
        let pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            let results = self.spool.commit();
            debug_assert_eq!(results.len(), pending.len());
            if let Some((_, Err(e))) = results.iter().find(|(_, r)| r.is_err()) {
                let text = format!("messages were refused: {e}");
                self.say(now, Level::Error, &text);
            }
            for (Pending { owner, routes }, (id, result)) in pending.into_iter().zip(results) {
                if result.is_ok() {
                    self.queue.insert(id, now.wall, &routes, now);
                }
                let result = result.map(|()| id).map_err(|e| e.reply());
                match owner {
                    Owner::Session(session, token) => {
                        if result.is_ok() {
                            self.hold_practice(session, id, &routes, now);
                            self.accepted(Some(session), id, now);
                        }
                        resumed.push((token, result));
                    }
                    Owner::Report(record) => self.report_committed(id, &record, &result, now),
                }
            }
        }
        let (tokens, parcels): (Vec<Token>, Vec<Parcel>) =
            std::mem::take(&mut self.pending_sink).into_iter().unzip();
        if !parcels.is_empty() {
            let results = self.sink.commit(parcels).into_iter();
            resumed.extend(tokens.into_iter().zip(results.map(|r| r.map_err(|e| sink_reply(&e)))));
        }
        resumed
    }
}

/// Content that begins with a blank has no header, and behind our last field it would be read as
/// more of it (RFC 5322 section 2.2.3): an empty line goes between, so that nobody writes into our
/// fields.
pub(super) fn goes_on(octets: &[u8]) -> bool {
    matches!(octets.first(), Some(b' ' | b'\t'))
}

fn sink_reply(error: &std::io::Error) -> Reply {
    Reply::made(452, Some(Enhanced(4, 3, 1)), format!("The sink cannot keep the message: {error}"))
}
