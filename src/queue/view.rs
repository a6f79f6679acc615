//! What can be seen of the queue, for `queue`, `status` and `next list`.

use super::replies::Words;
use super::server::State;
use super::store::{Node, Part, Place};
use super::{Queue, ServerId};
use crate::base::{MessageId, Now, Reply, Time};

/// How many messages there are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// In the queue at all.
    pub messages: usize,
    /// With a recipient that was deferred and is not done.
    pub deferred: usize,
    /// With a recipient that is held.
    pub held: usize,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageView<'a> {
    /// Which.
    pub id: MessageId,
    /// Those of its recipients that are not done, by index.
    pub recipients: Vec<RecipientView<'a>>,
}

/// A recipient that is not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecipientView<'a> {
    /// Its index in the envelope.
    pub recipient: u32,
    /// Where it goes.
    pub server: ServerId,
    /// How far it is.
    pub state: RecipientState,
    /// It is not to be tried until it is released.
    pub held: bool,
    /// A session has it.
    pub carried: bool,
    /// How often it was tried and deferred.
    pub attempts: u32,
    /// The last that was heard of it; while it waits for its server, what ails that.
    pub last_reply: Option<&'a Reply>,
    /// When it may be tried next. None while a session has it, and when nobody knows: it is held,
    /// failed, or its server is paused.
    pub next: Option<Time>,
}

/// How far a recipient is. What was delivered is not in the queue any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecipientState {
    /// It was not refused yet.
    Pending,
    /// It was refused for the time being.
    Deferred,
    /// It was refused or given up, and its sender is yet to be told.
    Failed,
}

/// A next server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerView<'a> {
    /// Its id.
    pub id: ServerId,
    /// Its name.
    pub name: &'a str,
    /// How it is.
    pub state: ServerState,
    /// Since when.
    pub since: Time,
    /// Deliveries that are due.
    pub due: usize,
    /// Deliveries that sessions have.
    pub carried: usize,
    /// Deliveries that wait for their time, are held, or failed and are to be reported.
    pub waiting: usize,
    /// What ails it, or did until it comes back.
    pub fault: Option<&'a Reply>,
}

/// How a next server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerState {
    /// It takes mail, on up to `window` connections.
    Ready {
        /// How many.
        window: usize,
    },
    /// It is left alone until then.
    BackingOff {
        /// Until when.
        until: Time,
    },
    /// One connection is to find out whether it is back.
    Probing,
    /// Paused by hand.
    Paused,
    /// Not in the configuration any more, but there is mail for it.
    Gone,
}

impl MessageView<'_> {
    /// Whether any recipient is held.
    pub fn held(&self) -> bool {
        self.recipients.iter().any(|r| r.held)
    }

    /// When the first of its recipients may be tried.
    pub fn next_attempt(&self) -> Option<Time> {
        self.recipients.iter().filter_map(|r| r.next).min()
    }
}

impl Queue {
    /// Whether mail may go to this server now: it is open, or due for a probe.
    pub fn takes_mail(&self, server: ServerId, now: Now) -> bool {
        match self.servers[usize::from(server.0)].state {
            State::Open { .. } => true,
            State::BackingOff { until } => until <= now.time,
            State::Paused | State::Gone => false,
        }
    }

    /// How many messages there are, without counting them.
    pub fn counts(&self) -> Counts {
        Counts { messages: self.index.len(), ..self.counts }
    }

    /// The messages from this counter on, oldest first.
    pub fn messages(&self, from: u64, now: Now) -> impl Iterator<Item = MessageView<'_>> {
        self.index.from(from).filter_map(move |(counter, _)| self.message(counter, now))
    }

    /// One message.
    pub fn message(&self, counter: u64, now: Now) -> Option<MessageView<'_>> {
        let id = self.id_of(counter)?;
        let mut recipients: Vec<RecipientView<'_>> = Vec::new();
        for slot in self.slots(counter) {
            let node = &self.store[slot];
            recipients.extend(node.parts.all().iter().map(|part| self.view(node, part, now)));
        }
        recipients.sort_by_key(|r| r.recipient);
        Some(MessageView { id, recipients })
    }

    /// The next servers of the configuration, destinations of direct delivery that have mail or a
    /// fault, and those that are gone but have mail.
    pub fn servers(&self, now: Now) -> impl Iterator<Item = ServerView<'_>> {
        let all = (0..self.servers.len()).map(move |at| self.server(ServerId(at as u16), now));
        all.filter(|s| {
            let is_quiet = match s.state {
                ServerState::Gone => true,
                ServerState::Ready { .. } => self.domain_of(s.id).is_some(),
                _ => false,
            };
            !is_quiet || s.due + s.carried + s.waiting > 0
        })
    }

    /// One next server.
    pub fn server(&self, id: ServerId, now: Now) -> ServerView<'_> {
        let server = &self.servers[usize::from(id.0)];
        let (due, carried) = (server.line.len(), server.carried);
        ServerView {
            id,
            name: &server.name,
            state: match server.state {
                State::Open { window } => {
                    ServerState::Ready { window: window.min(server.limits.connections.max(1)) }
                }
                State::BackingOff { until } if until <= now.time => ServerState::Probing,
                State::BackingOff { until } => ServerState::BackingOff { until },
                State::Paused => ServerState::Paused,
                State::Gone => ServerState::Gone,
            },
            since: server.since,
            due,
            carried,
            waiting: server.deliveries - due - carried,
            fault: server.fault.as_ref().map(|words| &words.reply),
        }
    }

    fn view(&self, node: &Node, part: &Part, now: Now) -> RecipientView<'_> {
        let free = match self.servers[usize::from(node.server.0)].state {
            State::Open { .. } => Some(now.time),
            State::BackingOff { until } => Some(until.max(now.time)),
            State::Paused | State::Gone => None,
        };
        RecipientView {
            recipient: part.recipient,
            server: node.server,
            state: match node.place {
                Place::Failed { .. } => RecipientState::Failed,
                _ if node.attempts > 0 => RecipientState::Deferred,
                _ => RecipientState::Pending,
            },
            held: node.is_held(),
            carried: matches!(node.place, Place::Carried { .. }),
            attempts: u32::from(node.attempts),
            last_reply: self.last_words(node, part).map(|words| &words.reply),
            next: match node.place {
                Place::Ready { .. } => free,
                Place::Waiting { due } => free.map(|free| free.max(due.into())),
                Place::Carried { .. } | Place::Held | Place::Failed { .. } => None,
            },
        }
    }

    /// The last that was heard of a recipient, or of the server that it waits for.
    pub(super) fn last_words(&self, node: &Node, part: &Part) -> Option<&Words> {
        let own = part.reply.map(|reply| self.replies.get(reply));
        let fault = self.servers[usize::from(node.server.0)].fault.as_ref();
        match node.place {
            Place::Ready { .. } => fault.or(own),
            _ => own,
        }
    }
}
