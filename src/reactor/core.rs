//! The core: everything that the connections share, and nothing that has a socket.
//!
//! A connection's turn borrows itself, the network and this; so no connection can reach another,
//! and the borrow checker holds the rule.

use std::io;
use std::time::Duration;

use super::configure::{limits_by_name, queue_config, relay_rule, routes_from};
use super::configure::{session_config, sink_config};
use super::hold::Debug;
use super::lately::Lately;
use super::login::Logins;
use super::net::Token;
use super::notes::Notes;
use super::scout::Scouting;
use super::secrets::Secrets;
use super::secure::Secrecy;
use super::shun::Shunned;
use super::store::Pending;
use super::student::Practice;
use crate::base::{Enhanced, MessageId, Now, Recipient, Reply, SessionId, Time, Wall, count_of};
use crate::config::{Config, NextServerSettings, SystemNames};
use crate::dns::{ResolvConf, Resolver};
use crate::history::History;
use crate::journal::{Ending, Event, Journal, JournalConfig, Level, What};
use crate::message::Edit;
use crate::queue::bounce::{BOUNCES_PER_MINUTE, BounceLimiter};
use crate::queue::routes::Routes;
use crate::queue::{Delivery, Outcome, Queue, ServerId};
use crate::rules::filter::Filters;
use crate::rules::{Aliases, Relay};
use crate::sink::{Parcel, Sink};
use crate::smtp::client::Transaction;
use crate::smtp::server::ServerConfig;
use crate::spool::{Disk, Spool, SpoolError, Weight};

/// How long an address that offers CHUNKING and does not know BDAT is sent no chunks.
const WITHOUT_CHUNKS: Duration = Duration::from_secs(24 * 3600);

/// What a listener's connections are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Mail that is kept in the spool and forwarded.
    Relay,
    /// The built-in next server.
    Sink,
    /// Mail as for [`Role::Relay`], by the rules of this `[listener.NAME]`, counted from 0.
    Named(u16),
}

/// Spool, queue, journal, rules, and the mail between them.
pub struct Core<D: Disk> {
    /// The configuration.
    pub config: Config,
    /// Who listens to what happens.
    pub journal: Journal,
    /// Notes on what is said, for those who listen.
    pub(super) notes: Notes,
    /// Sessions of students, whose mail is practice.
    pub(super) practice: Practice,
    /// The messages.
    pub spool: Spool<D>,
    /// When each is due, and where.
    pub queue: Queue,
    pub(super) history: History,
    pub(super) sink: Sink,
    pub(super) pending: Vec<Pending>,
    pub(super) pending_sink: Vec<(Token, Parcel)>,
    pub(super) relay_session: ServerConfig,
    pub(super) sink_session: ServerConfig,
    /// What sessions of each `[listener.NAME]` are told.
    pub(super) named_sessions: Vec<ServerConfig>,
    pub(super) routes: Routes,
    /// The next servers of the configuration, in its order.
    pub(super) server_ids: Vec<ServerId>,
    /// A rule has given mail a choice of next servers.
    pub(super) via_choices: bool,
    pub(super) limiter: BounceLimiter,
    pub(super) logins: Logins,
    /// Breakpoints, and what they hold.
    pub(super) debug: Debug,
    pub(super) secrets: Secrets,
    pub(super) relay: Relay,
    pub(super) filters: Filters,
    /// Numbers for filters that are added without a name; none is used again.
    pub(super) filter_names: u32,
    pub(super) secrecy: Secrecy,
    pub(super) aliases: Aliases,
    pub(super) resolver: Resolver,
    /// The system's files about names; none in a simulation.
    pub(super) system: Option<SystemNames>,
    /// What they said of DNS.
    pub(super) system_conf: ResolvConf,
    pub(super) next_system_look: Time,
    draining: bool,
    /// The settings of each next server, by [`ServerId`]; those of one that is gone stay while its
    /// sessions do.
    pub(super) servers: Vec<NextServerSettings>,
    /// After a change of routes: the message that takes its route anew next.
    pub(super) rerouting: Option<u64>,
    /// Counts changes of the settings of next servers, and of our name: a connection keeps to those
    /// that it began with, and ends when they are not these any more.
    pub(super) epoch: u64,
    pub(super) scouting: Scouting,
    pub(super) shunned: Shunned,
    /// Addresses that offer CHUNKING and do not know BDAT.
    pub(super) unchunked: Lately,
    /// Sessions of the sink are told of: not beside a relay, whose figures they would double.
    pub(super) tells_of_sink: bool,
}

impl<D: Disk> Core<D> {
    /// A core for this configuration and an opened spool.
    pub fn new(
        config: Config,
        spool: Spool<D>,
        sink: Sink,
        resolver: Resolver,
        seed: u64,
        now: Now,
    ) -> Core<D> {
        let relay_session = session_config(&config);
        let servers = limits_by_name(&config);
        let ids: Vec<ServerId> = (0..).map(ServerId).take(servers.len()).collect();
        let mut filters = Filters::default();
        filters.replace(config.filters.iter().cloned());
        Core {
            journal: Journal::new(
                JournalConfig { log_format: config.log.format, ..JournalConfig::default() },
                now,
            ),
            notes: Notes::default(),
            practice: Practice::default(),
            queue: Queue::new(queue_config(&config), &servers, seed),
            routes: routes_from(&config, &ids),
            server_ids: ids,
            via_choices: false,
            rerouting: None,
            servers: config.next_servers.clone(),
            limiter: BounceLimiter::new(BOUNCES_PER_MINUTE, seed),
            filters,
            filter_names: 0,
            relay: relay_rule(&config),
            sink_session: sink_config(&relay_session),
            relay_session,
            named_sessions: Vec::new(),
            spool,
            history: History::nowhere(),
            sink,
            pending: Vec::new(),
            pending_sink: Vec::new(),
            logins: Logins::default(),
            debug: Debug::new(seed),
            secrecy: Secrecy::default(),
            aliases: Aliases::new(config.aliases.clone(), &config.server.hostname),
            resolver,
            system: None,
            system_conf: ResolvConf::default(),
            next_system_look: Time::ZERO,
            secrets: Secrets::default(),
            draining: false,
            epoch: 0,
            scouting: Scouting::default(),
            shunned: Shunned::default(),
            unchunked: Lately::new(WITHOUT_CHUNKS),
            tells_of_sink: false,
            config,
        }
    }

    /// The settings of a session.
    pub fn session_config(&self, role: Role) -> &ServerConfig {
        match role {
            Role::Relay => &self.relay_session,
            Role::Named(n) => {
                self.named_sessions.get(usize::from(n)).unwrap_or(&self.relay_session)
            }
            Role::Sink => &self.sink_session,
        }
    }

    /// Says what happened.
    pub fn note(
        &mut self,
        now: Now,
        session: Option<SessionId>,
        message: Option<MessageId>,
        what: What<'_>,
    ) {
        let event = Event { now, session, message, what };
        let note = self.notes.hear(&event, &self.journal);
        self.journal.note(&event);
        if let Some(note) = note {
            self.journal.feed().annotate(note);
        }
    }

    /// Whether what happens in such a session is said.
    pub fn tells_of(&self, role: Role) -> bool {
        role != Role::Sink || self.tells_of_sink
    }

    /// Says something about the server itself.
    pub fn say(&mut self, now: Now, level: Level, text: &str) {
        self.note(now, None, None, What::Server { level, text });
    }

    /// No new work is begun: the server is ending.
    pub fn set_draining(&mut self) {
        self.draining = true;
    }

    /// The server is ending.
    pub(super) fn is_draining(&self) -> bool {
        self.draining
    }

    /// Something is to be done without waiting for an event.
    pub fn has_work(&self) -> bool {
        self.has_commit()
            || self.spool.is_recovering()
            || self.spool.is_shedding()
            || self.rerouting.is_some()
    }

    /// When something is to be done whatever happens.
    pub fn next_wake(&self, now: Now) -> Time {
        let probe = self.queue.next_probe(now);
        let names = self.resolver.deadline();
        let past = self.past_deadline(now);
        let faults = self.debug.faults.next_expiry();
        let next = self.queue.next_sweep().min(probe).min(self.spool.next_trial()).min(names);
        next.min(faults).min(past)
    }

    /// A next server's settings.
    pub fn server(&self, server: ServerId) -> &NextServerSettings {
        &self.servers[usize::from(self.queue.settings_of(server).0)]
    }

    /// Whether mail may go out: not before it is known what the spool holds, nor while outcomes
    /// cannot be recorded (a restart would repeat everything), nor while the server ends.
    pub fn may_forward(&self) -> bool {
        !self.draining && !self.spool.is_recovering() && self.spool.failure().is_none()
    }

    /// The next transaction for a session with this server.
    pub fn next_transaction(
        &mut self,
        server: ServerId,
        now: Now,
    ) -> Option<(Delivery, Transaction, Option<Edit>)> {
        while self.may_forward() {
            let delivery = self.queue.take_at_rate(server, now)?;
            match self.transaction(&delivery) {
                Ok(Some((transaction, edit))) => return Some((delivery, transaction, edit)),
                // Nothing is left to be done: a bounce that recovery found did it.
                Ok(None) => {
                    let reply = Reply::fixed(250, Enhanced(2, 0, 0), "Done before");
                    let done = outcomes_of(&delivery, Ending::Delivered, &reply);
                    self.queue.finished(delivery, &done, now);
                }
                Err(e) => self.unreadable(delivery, &e, now),
            }
        }
        None
    }

    fn transaction(
        &mut self,
        delivery: &Delivery,
    ) -> Result<Option<(Transaction, Option<Edit>)>, SpoolError> {
        self.spool.check(delivery.id)?;
        let edit = self.edit_for(delivery)?;
        let sender = self.server(delivery.server).terms.rewrite_sender.clone();
        let head = self.spool.head(delivery.id)?;
        let open = |i: &u32| head.statuses.get(*i as usize).is_some_and(|s| !s.done());
        let recipients: Vec<(u32, Recipient)> = delivery
            .recipients
            .iter()
            .copied()
            .filter(open)
            .map(|i| (i, head.envelope.recipients[i as usize].clone()))
            .collect();
        if recipients.is_empty() {
            return Ok(None);
        }
        let envelope = &head.envelope;
        let transaction = Transaction {
            message: delivery.id,
            // A bounce has no sender, and keeps none: it must never be answered.
            from: envelope.from.clone().map(|from| sender.unwrap_or(from)),
            body: envelope.body,
            utf8: envelope.utf8,
            ret: envelope.ret,
            envid: envelope.envid.clone(),
            size: edit.as_ref().map_or(head.body, |edit| edit.size(head.body)),
            recipients,
        };
        Ok(Some((transaction, edit)))
    }

    /// A message that cannot be read: gone when it is damaged (it is in `corrupt/` then), tried
    /// again when the disk is at fault.
    fn unreadable(&mut self, delivery: Delivery, error: &SpoolError, now: Now) {
        let text = format!("{}: {error}", delivery.id.short());
        self.say(now, Level::Error, &text);
        match error {
            SpoolError::Corrupt { .. } | SpoolError::Unknown => {
                self.queue.remove(delivery.id.counter);
                self.queue.finished(delivery, &[], now);
            }
            _ => {
                let reply = Reply::made(451, Some(Enhanced(4, 3, 0)), error.to_string());
                // Our disk is at fault, not the next server.
                let deferred = outcomes_of(&delivery, Ending::Deferred, &reply);
                self.queue.finished(delivery, &deferred, now);
            }
        }
    }

    /// Reads content of a message.
    pub fn read_content(&mut self, id: MessageId, from: u64, buf: &mut [u8]) -> io::Result<usize> {
        match self.spool.read(id, from, buf) {
            Ok(0) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the spool file is cut short"))
            }
            Ok(n) => Ok(n),
            Err(e) => Err(io::Error::other(e.to_string())),
        }
    }

    /// Takes in what recovery finds, a slice a tick.
    pub fn recover(&mut self, now: Now) {
        /// About 2 ms of reading.
        const FILES: usize = 64;
        if !self.spool.is_recovering() {
            return;
        }
        let found = self.spool.recover(FILES, now.time);
        for complaint in &found.complaints {
            self.say(now, Level::Error, complaint);
        }
        for head in found.heads {
            let mut routes = self.routes_of(&head.envelope, now);
            for (route, status) in routes.iter_mut().zip(&head.statuses) {
                route.2 = *status;
            }
            self.queue.insert(head.id, head.arrived, &routes, now);
        }
        if found.complete {
            let messages = self.spool.len();
            if messages > 0 {
                self.say(
                    now,
                    Level::Info,
                    &format!("the spool holds {}", count_of(messages, "message")),
                );
            }
        }
    }

    /// Tries a disk that has failed, when it is time, and says what the spool has to say.
    pub fn try_disk(&mut self, now: Now) {
        self.spool.shed();
        if self.spool.next_trial() <= now.time && self.spool.try_again(now.time) {
            self.say(now, Level::Info, "the spool is well again");
        }
        for word in self.spool.take_words() {
            let level = match word.weight {
                Weight::Info => Level::Info,
                Weight::Warn => Level::Warn,
                Weight::Error => Level::Error,
            };
            self.say(now, level, &word.text);
        }
    }

    /// A message came into the spool, or did not.
    pub(super) fn accepted(&mut self, session: Option<SessionId>, id: MessageId, now: Now) {
        let Ok(head) = self.spool.head(id) else { return };
        let (from, recipients) = (head.envelope.from.clone(), head.envelope.recipients.len());
        let size = head.body;
        let what = What::Accepted { from: from.as_ref(), recipients, size };
        self.note(now, session, Some(id), what);
    }

    /// The calendar time at which a message came, as far as its name tells.
    pub fn arrived(id: MessageId) -> Wall {
        Wall::from_secs(i64::from(id.arrived))
    }

    /// How long a message has been here.
    pub fn age(id: MessageId, now: Now) -> Duration {
        now.wall.since(Self::arrived(id))
    }
}

/// The same outcome for every recipient of a delivery.
fn outcomes_of(delivery: &Delivery, ending: Ending, reply: &Reply) -> Vec<Outcome> {
    let one = |recipient: &u32| Outcome { recipient: *recipient, ending, reply: reply.clone() };
    delivery.recipients.iter().map(one).collect()
}
