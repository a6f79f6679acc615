//! The resolver: a machine that asks recursive DNS servers, and remembers.
//!
//! # Theory
//!
//! A lookup is **a pure function over what is known**. It either comes to an end, or names the
//! questions that it lacks: then those are being asked from now on, and the caller looks again
//! when something was heard. So nobody waits in a list, nothing is handed back, and a caller that
//! loses interest has nothing to cancel. Whatever comes of a question is kept for a second at
//! least, faults too, so that whoever looks again finds it.
//!
//! A question that is being asked is one *try* after the other; each has a socket of its own (so
//! the system chooses another port each time, RFC 5452 section 9.2) and a random id:
//!
//! | a try ends with | next |
//! | --- | --- |
//! | an answer: id and question match | it is known; the try's socket is closed |
//! | an answer that was cut (TC) over UDP | the same server over TCP (RFC 7766) |
//! | an answer that does not match | nothing: it is passed over, the true one may be on its way |
//! | [`STRANGERS`] of those over UDP | the same server over TCP, where nobody can guess |
//! | SERVFAIL, REFUSED and their like, garbage, a dead socket | the next server |
//! | silence for `timeout` | the next server |
//! | … when each server had its `attempts` | the last fault is known, for a second |
//!
//! There is no EDNS: what does not fit into 512 octets comes over TCP, and fragments, which can
//! be forged (RFC 8900 section 3.7), never come.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::cache::{Answer, Cache, SHORTEST};
use super::fault::Fault;
use super::hosts::Hosts;
use super::interpret::{MAX_ALIASES, Meaning, interpret};
use super::name::Name;
use super::resolv::ResolvConf;
use super::wire::{self, Kind, Question};
use crate::base::Time;

/// Questions that are open at once; what is beyond is asked when one of them is done.
pub const MAX_OPEN: usize = 256;
/// Wrong answers to one try until it goes over TCP.
pub const STRANGERS: u32 = 16;

/// Names a try, and its socket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Try(pub u64);

/// How a try's octets go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// One datagram there, one back.
    Udp,
    /// A stream; messages with their length in front (RFC 1035 section 4.2.2).
    Tcp,
}

/// What the resolver wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Open a socket for this try, connected to the server, and send.
    Ask {
        /// The try.
        id: Try,
        /// The server.
        to: SocketAddr,
        /// How.
        transport: Transport,
        /// What to send.
        octets: Vec<u8>,
    },
    /// Close the try's socket.
    Forget(Try),
}

/// Which addresses are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Families {
    /// IPv6 and IPv4.
    #[default]
    Both,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// What came of a lookup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found<T> {
    /// This.
    Known(T),
    /// It is being asked: look again when something was heard.
    Asking,
    /// The name exists, and has nothing of the kind.
    NoData,
    /// The name does not exist.
    NoName,
    /// Nobody could say, for now.
    Fault(Fault),
}

/// A question that is being asked: one try of it.
#[derive(Debug)]
struct Open {
    question: Question,
    /// Since when it is asked.
    since: Time,
    /// The message's id.
    id: u16,
    to: SocketAddr,
    transport: Transport,
    /// When the server is given up.
    until: Time,
    /// Tries before this one.
    tried: u32,
    /// The server with which it began.
    first: usize,
    strangers: u32,
    /// What came over TCP so far.
    stream: Vec<u8>,
}

/// The machine. See the head of the file.
#[derive(Debug)]
pub struct Resolver {
    pub(super) conf: ResolvConf,
    pub(super) families: Families,
    pub(super) hosts: Hosts,
    cache: Cache,
    open: BTreeMap<Try, Open>,
    by_question: HashMap<Question, Try>,
    actions: VecDeque<Action>,
    tries: u64,
    rotation: usize,
    pub(super) rng: fastrand::Rng,
    /// When somebody wants to look again though nothing was heard.
    pub(super) look_again: Time,
    /// What was asked and heard, in words, until somebody takes them.
    words: Vec<String>,
}

impl Resolver {
    /// A resolver that knows nothing yet. The seed must be one that strangers cannot guess: ids
    /// come from it.
    pub fn new(conf: ResolvConf, families: Families, hosts: Hosts, seed: u64) -> Resolver {
        Resolver {
            conf,
            families,
            hosts,
            cache: Cache::default(),
            open: BTreeMap::new(),
            by_question: HashMap::new(),
            actions: VecDeque::new(),
            tries: 0,
            rotation: 0,
            rng: fastrand::Rng::with_seed(seed),
            look_again: Time::NEVER,
            words: Vec::new(),
        }
    }

    /// What was asked and heard since the last call, in words, for a trace.
    pub fn take_words(&mut self) -> Vec<String> {
        std::mem::take(&mut self.words)
    }

    fn say(&mut self, question: &Question, words: &str) {
        /// More than a tick has to say; nobody needs the rest.
        const MOST: usize = 256;
        if self.words.len() < MOST {
            let Question { name, kind } = question;
            self.words.push(format!("{} {}: {words}", name.as_str(), kind.word()));
        }
    }

    /// Takes another configuration, and forgets what others said.
    pub fn configure(&mut self, conf: ResolvConf, families: Families) {
        self.families = families;
        if conf == self.conf {
            return;
        }
        self.conf = conf;
        self.cache.clear();
        self.by_question.clear();
        let tries = std::mem::take(&mut self.open).into_keys();
        self.actions.extend(tries.map(Action::Forget));
    }

    /// Takes another hosts file.
    pub fn set_hosts(&mut self, hosts: Hosts) {
        self.hosts = hosts;
    }

    /// What is to be done next.
    pub fn action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Resolver::timeout`] is to be called, whatever happens.
    pub fn deadline(&self) -> Time {
        let tries = self.open.values().map(|open| open.until).min();
        tries.unwrap_or(Time::NEVER).min(self.look_again)
    }

    /// Looks at the clock.
    pub fn timeout(&mut self, now: Time) {
        if self.look_again <= now {
            self.look_again = Time::NEVER;
        }
        let late: Vec<Try> =
            self.open.iter().filter(|(_, open)| open.until <= now).map(|(id, _)| *id).collect();
        for id in late {
            let fault = self.open.get(&id).map(|open| Fault::TimedOut(open.to));
            fault.into_iter().for_each(|fault| self.next_server(id, fault, now));
        }
    }

    /// A try's socket broke, or could not be opened.
    pub fn broken(&mut self, id: Try, why: &str, now: Time) {
        let fault = self.open.get(&id).map(|open| Fault::Unreachable(open.to, why.to_owned()));
        fault.into_iter().for_each(|fault| self.next_server(id, fault, now));
    }

    /// A datagram came, or octets of a stream.
    pub fn heard(&mut self, id: Try, octets: &[u8], now: Time) {
        let Some(open) = self.open.get_mut(&id) else { return };
        if open.transport == Transport::Udp {
            return self.message(id, octets, now);
        }
        open.stream.extend_from_slice(octets);
        let Some((length, rest)) = open.stream.split_first_chunk::<2>() else { return };
        // One question, one answer: what follows it is nobody's.
        let Some(message) = rest.get(..u16::from_be_bytes(*length).into()) else { return };
        let message = message.to_vec();
        self.message(id, &message, now);
    }

    /// What is known of a question; what is not known is asked. Aliases are followed.
    pub(super) fn look(&mut self, name: &Name, kind: Kind, now: Time) -> Found<Answer> {
        let mut question = Question { name: name.clone(), kind };
        for _ in 0..=MAX_ALIASES {
            match self.cache.get(&question, now) {
                Some(Answer::Alias(target)) => question.name = target.clone(),
                Some(Answer::NoData) => return Found::NoData,
                Some(Answer::NoName) => return Found::NoName,
                Some(Answer::Fault(fault)) => return Found::Fault(fault.clone()),
                Some(answer) => return Found::Known(answer.clone()),
                None => {
                    self.ask(question, now);
                    return Found::Asking;
                }
            }
        }
        Found::Fault(Fault::Circle)
    }

    /// Since when a question is being asked.
    pub(super) fn asked_since(&self, name: &Name, kind: Kind) -> Option<Time> {
        let question = Question { name: name.clone(), kind };
        self.by_question.get(&question).and_then(|id| self.open.get(id)).map(|open| open.since)
    }

    fn ask(&mut self, question: Question, now: Time) {
        if self.by_question.contains_key(&question) {
            return;
        }
        if self.conf.servers.is_empty() {
            return self.cache.put(question, Answer::Fault(Fault::NoServer), SHORTEST, now);
        }
        if self.open.len() >= MAX_OPEN {
            return;
        }
        let first = if self.conf.rotate { self.rotation } else { 0 };
        self.rotation = self.rotation.wrapping_add(1);
        self.begin(question, Transport::Udp, (0, first), now, now);
    }

    /// Begins a try.
    fn begin(
        &mut self,
        question: Question,
        transport: Transport,
        (tried, first): (u32, usize),
        since: Time,
        now: Time,
    ) {
        let servers = &self.conf.servers;
        let to = servers[first.wrapping_add(tried as usize) % servers.len()];
        self.tries += 1;
        let (id, message_id) = (Try(self.tries), self.rng.u16(..));
        let message = wire::query(message_id, &question);
        let over = if transport == Transport::Tcp { "TCP" } else { "UDP" };
        self.say(&question, &format!("asking {to} over {over}"));
        let mut octets = Vec::with_capacity(message.len() + 2);
        if transport == Transport::Tcp {
            octets.extend_from_slice(&(message.len() as u16).to_be_bytes());
        }
        octets.extend_from_slice(&message);
        let open = Open {
            question: question.clone(),
            since,
            id: message_id,
            to,
            transport,
            until: now.after(self.conf.timeout),
            tried,
            first,
            strangers: 0,
            stream: Vec::new(),
        };
        self.open.insert(id, open);
        self.by_question.insert(question, id);
        self.actions.push_back(Action::Ask { id, to, transport, octets });
    }

    /// Ends a try.
    fn end(&mut self, id: Try) -> Option<Open> {
        let open = self.open.remove(&id)?;
        self.by_question.remove(&open.question);
        self.actions.push_back(Action::Forget(id));
        Some(open)
    }

    fn next_server(&mut self, id: Try, fault: Fault, now: Time) {
        let Some(open) = self.end(id) else { return };
        self.say(&open.question, &fault.to_string());
        let (tried, servers) = (open.tried + 1, self.conf.servers.len());
        if tried as usize >= servers * self.conf.attempts as usize {
            return self.cache.put(open.question, Answer::Fault(fault), SHORTEST, now);
        }
        self.begin(open.question, Transport::Udp, (tried, open.first), open.since, now);
    }

    fn over_tcp(&mut self, id: Try, now: Time) {
        let Some(open) = self.end(id) else { return };
        self.say(&open.question, "the answer does not fit or is not to be trusted: once more");
        self.begin(open.question, Transport::Tcp, (open.tried, open.first), open.since, now);
    }

    fn message(&mut self, id: Try, octets: &[u8], now: Time) {
        let Some(open) = self.open.get_mut(&id) else { return };
        let response = wire::response(octets);
        // RFC 5452 section 9.1: what does not match the question is not an answer to it, and the
        // true one may still be on its way. An error may come without its question.
        let matches = response.as_ref().is_ok_and(|r| {
            let repeats = r.question.as_ref() == Some(&open.question);
            r.id == open.id && (repeats || (r.question.is_none() && r.rcode != 0 && r.rcode != 3))
        });
        let (udp, to) = (open.transport == Transport::Udp, open.to);
        match response {
            Ok(response) if matches => match interpret(&open.question, &response) {
                Meaning::Answer(answer, ttl) => {
                    let Some(open) = self.end(id) else { return };
                    let lifetime = answer.lifetime(ttl);
                    let words = format!("{to} says: {answer}, for {}s", lifetime.as_secs());
                    self.say(&open.question, &words);
                    self.cache.put(open.question, answer, lifetime, now);
                }
                Meaning::Circle => {
                    let Some(open) = self.end(id) else { return };
                    let lifetime = Duration::from_secs(5);
                    self.say(&open.question, &Fault::Circle.to_string());
                    self.cache.put(open.question, Answer::Fault(Fault::Circle), lifetime, now);
                }
                Meaning::Truncated if udp => self.over_tcp(id, now),
                Meaning::Truncated => self.next_server(id, Fault::Malformed(to), now),
                Meaning::Refused(rcode) => self.next_server(id, Fault::Refused(to, rcode), now),
            },
            _ if udp => {
                open.strangers += 1;
                if open.strangers >= STRANGERS {
                    self.over_tcp(id, now);
                }
            }
            // Over TCP there are no strangers: this server talks nonsense.
            _ => self.next_server(id, Fault::Malformed(to), now),
        }
    }
}
