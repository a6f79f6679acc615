//! Faults on their way into sessions: what a rule says is done to the machine and to the link.
//!
//! ```text
//!   strike ─▶ hide, pace, cut ─▶ delay? ─▶ reply, or what the rules say
//! ```
//!
//! Whatever is done is said (`!!!`), also of the built-in sink, whose sessions are else told of
//! nowhere beside a relay.

use super::core::Core;
use super::hold::{Delayed, Watched};
use super::inbound::Inbound;
use super::link::Link;
use super::net::Net;
use super::outbound::Outbound;
use super::trouble::From;
use crate::base::{Enhanced, Now, Printable, Reply, SessionId, Time, show_duration, show_size};
use crate::journal::{Level, What};
use crate::rules::{Effect, Place, Struck};
use crate::smtp::server::Context;
use crate::smtp::{Hidden, Stage, Verdict};
use crate::spool::Disk;

/// What a server says that does not know a command.
const UNKNOWN: Reply = Reply::fixed(502, Enhanced(5, 5, 1), "Command not implemented");

impl<D: Disk> Core<D> {
    fn fault_is_over(&mut self, name: &str, hits: u64, now: Now) {
        let s = if hits == 1 { "" } else { "s" };
        self.say(now, Level::Warn, &format!("fault {name} is over: it struck {hits} time{s}"));
    }

    /// Takes away the rules whose time is up.
    pub(super) fn expire_faults(&mut self, now: Now) {
        if self.debug.faults.next_expiry() > now.time {
            return;
        }
        for (name, hits) in self.debug.faults.expire(now.time) {
            self.fault_is_over(&name, hits, now);
        }
    }

    /// The faults of the configuration, at the start and after a change of it.
    pub(super) fn configure_faults(&mut self, now: Now) {
        for problem in self.debug.faults.reconfigure(&self.config.faults, now.time) {
            self.say(now, Level::Warn, &format!("a fault of the configuration: {problem}"));
        }
        let rules = self.debug.faults.iter().filter(|(_, rule)| rule.configured);
        let words: Vec<String> = rules
            .map(|(name, rule)| format!("fault {name} is on by the configuration: {}", rule.fault))
            .collect();
        for words in words {
            self.say(now, Level::Warn, &words);
        }
    }

    /// Says what goes wrong.
    fn tell_fault(&mut self, now: Now, id: SessionId, place: Place, at: Stage, told: &Told<'_>) {
        if place == Place::Sink && !self.tells_of_sink {
            let words = format!("built-in sink at {}: {}", at.name(), told.words);
            self.note(now, None, None, What::Injected(&words));
        } else {
            self.note(now, Some(id), None, What::Injected(&told.words));
        }
        if let Some(hits) = told.struck.spent {
            self.fault_is_over(&told.struck.name, hits, now);
        }
    }
}

/// A fault that struck, and what is said of it.
struct Told<'a> {
    struck: &'a Struck,
    words: String,
}

/// What is done, in words.
fn words_of(struck: &Struck, place: Place, about: &Printable) -> String {
    let Effect { reply, delay, rate, cut, no } = &struck.effect;
    let mut all = Vec::new();
    if let Some(delay) = delay {
        all.push(format!("waits {}", show_duration(*delay)));
    }
    if let Some(reply) = reply {
        let reply = Printable::bounded(reply.on_one_line(), 400);
        all.push(match place {
            Place::Out => format!("{reply}, as if the next server had said it to {about}"),
            _ => format!("{reply} instead of the answer to {about}"),
        });
    }
    if let Some(rate) = rate {
        all.push(format!("{} octets a second from now on", show_size((*rate).into())));
    }
    if let Some(cut) = cut {
        all.push(match place {
            Place::Out => format!("cut {} octets behind {about}", show_size(*cut)),
            _ => format!("cut after {} octets more", show_size(*cut)),
        });
    }
    if !no.is_empty() {
        all.push(format!("without {no}"));
    }
    format!("{}: {}", struck.name, all.join("; "))
}

/// Makes the trouble of a fault on a link.
fn trouble<S>(link: &mut Link<S>, struck: &Struck, from: From, now: Time) {
    if let Some(rate) = struck.effect.rate {
        link.trouble().pace(rate, now);
    }
    if let Some(cut) = struck.effect.cut {
        link.trouble().cut(&struck.name, cut, from);
    }
}

/// What is left to be said once the delay of a fault is over, or at once.
fn postponed(watched: &mut Watched, struck: &Struck, stage: Stage, now: Now) -> bool {
    let Some(delay) = struck.effect.delay else { return false };
    let reply = struck.effect.reply.clone();
    watched.delayed = Some(Delayed { stage, until: now.time.after(delay), reply });
    true
}

impl<S, F> Inbound<S, F> {
    /// Past the breakpoints: what goes wrong, and the verdict. True when it has to wait.
    pub(super) fn pass<D: Disk<File = F>>(
        &mut self,
        core: &mut Core<D>,
        now: Now,
        stage: Stage,
    ) -> bool {
        let seen = self.take_seen();
        let question = self.question(stage, &seen);
        let struck = core.debug.faults.strike(&question.moment(), now.time);
        let (place, about) = (question.place, core.about(&question));
        if let Some(watched) = &mut self.watched {
            watched.seen = seen;
        }
        let Some(mut struck) = struck else {
            self.answer(core, now, stage, None);
            return false;
        };
        if struck.effect.no.has("ehlo") && self.session.says_ehlo() {
            struck.effect.reply.get_or_insert(UNKNOWN);
        }
        let words = words_of(&struck, place, &about);
        core.tell_fault(now, self.id, place, stage, &Told { struck: &struck, words });
        trouble(&mut self.link, &struck, From::Now, now.time);
        let watched = self.watch();
        watched.hidden = watched.hidden.with(struck.effect.no);
        if postponed(watched, &struck, stage, now) {
            return true;
        }
        self.answer(core, now, stage, struck.effect.reply);
        false
    }

    /// Answers the machine: by a fault, or by the rules.
    pub(super) fn answer<D: Disk<File = F>>(
        &mut self,
        core: &mut Core<D>,
        now: Now,
        stage: Stage,
        reply: Option<Reply>,
    ) {
        let hidden = self.watched.as_ref().map_or(Hidden::default(), |watched| watched.hidden);
        let unknown = match stage {
            Stage::StartTls => hidden.has("starttls"),
            Stage::Auth => hidden.has("auth"),
            Stage::Bdat => hidden.has("chunking"),
            _ => false,
        };
        let verdict = match reply.or_else(|| unknown.then_some(UNKNOWN)) {
            Some(reply) => {
                self.watch().injected = Some(reply.clone());
                Verdict::Refuse(reply)
            }
            None => self.decide(core, now, stage),
        };
        if let (Some(watched), Stage::Helo, Verdict::Accept) = (&mut self.watched, stage, &verdict)
        {
            watched.strips = !hidden.is_empty() && self.session.says_ehlo();
        }
        let cx = Context { config: core.session_config(self.role), now };
        self.session.verdict(verdict, &cx);
    }

    /// The answer to EHLO without what is hidden.
    pub(super) fn stripped(&mut self, reply: &Reply) -> Option<Reply> {
        let watched = self.watched.as_mut()?;
        if !std::mem::take(&mut watched.strips) {
            return None;
        }
        let text = watched.hidden.strip(&String::from_utf8_lossy(&reply.text));
        Some(Reply::made(reply.code, reply.enhanced, text))
    }

    /// The delay of a fault is over.
    pub(super) fn end_delay<D: Disk<File = F>>(&mut self, core: &mut Core<D>, now: Now) {
        let delayed = self.watched.as_mut().and_then(|watched| watched.delayed.take());
        if let Some(Delayed { stage, reply, .. }) = delayed {
            self.answer(core, now, stage, reply);
        }
    }
}

impl<S> Outbound<S> {
    /// Past the breakpoints: what goes wrong, and the verdict. True when it has to wait.
    pub(super) fn pass<D: Disk>(&mut self, core: &mut Core<D>, now: Now, stage: Stage) -> bool {
        let way = self.way(core);
        let question = self.question(stage, &way);
        let Some(mut struck) = core.debug.faults.strike(&question.moment(), now.time) else {
            self.answer(stage, now, None);
            return false;
        };
        let about = core.about(&question);
        if struck.effect.no.has("ehlo") && self.session.says_ehlo() {
            struck.effect.reply.get_or_insert(UNKNOWN);
        }
        let words = words_of(&struck, Place::Out, &about);
        core.tell_fault(now, self.id, Place::Out, stage, &Told { struck: &struck, words });
        let from = match stage {
            Stage::Connect => From::Now,
            Stage::Dot => From::Content,
            _ => From::Command,
        };
        trouble(&mut self.link, &struck, from, now.time);
        self.session.hide(struck.effect.no);
        if postponed(self.watch(), &struck, stage, now) {
            return true;
        }
        self.answer(stage, now, struck.effect.reply);
        false
    }

    /// Answers the machine: by a fault, or as the purpose of the session wants.
    pub(super) fn answer(&mut self, stage: Stage, now: Now, reply: Option<Reply>) {
        let verdict = reply.map_or_else(|| self.purpose.verdict(stage), Verdict::Refuse);
        self.session.verdict(verdict, now.time);
    }

    /// The delay of a fault is over.
    pub(super) fn end_delay(&mut self, now: Now) {
        let delayed = self.watched.as_mut().and_then(|watched| watched.delayed.take());
        if let Some(Delayed { stage, reply, .. }) = delayed {
            self.answer(stage, now, reply);
        }
    }
}

impl<S> Link<S> {
    /// Octets pass again as their rate allows.
    pub(super) fn refill(&mut self, now: Time) {
        if let Some(trouble) = &mut self.trouble {
            trouble.refill(now);
        }
    }

    /// When octets that are held back may pass.
    pub(super) fn trouble_due(&self) -> Time {
        self.trouble.as_ref().map_or(Time::NEVER, |trouble| trouble.due())
    }

    /// After a cut: octets that were said, and never sent.
    pub(super) fn unsent_at_cut(&self) -> Option<usize> {
        let cut = self.trouble.as_ref().is_some_and(|trouble| trouble.is_cut());
        (cut && !self.output.is_empty()).then(|| self.output.len())
    }

    /// The content that goes out ends here.
    pub(super) fn content_ends(&mut self) {
        let flushed = self.is_flushed();
        if let Some(trouble) = &mut self.trouble {
            trouble.content_ends(flushed);
        }
    }

    /// Writes what may pass; true when nothing is left.
    pub(super) fn flush_troubled<N: Net<Stream = S>>(
        &mut self,
        net: &mut N,
    ) -> std::io::Result<bool> {
        let Some(trouble) = &mut self.trouble else { return Ok(true) };
        let (transport, mut held_back) = (&mut self.transport, false);
        let written = self.output.flush(|octets| {
            let most = trouble.allowed(true)?.min(octets.len());
            if most == 0 {
                held_back = true;
                return Err(std::io::ErrorKind::WouldBlock.into());
            }
            let n = transport.write(net, &octets[..most])?;
            trouble.passed(true, n);
            Ok(n)
        })?;
        let through = transport.flush(net)?;
        // What is held back says nothing about the socket.
        if written && through {
            trouble.flushed();
        }
        self.set_writable(through && (written || held_back));
        Ok(written && through)
    }
}
