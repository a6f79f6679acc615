//! One tick of the loop, the same in production and in simulation:
//!
//! ```text
//! poll ─▶ mark ─▶ turns ─▶ commit ─▶ flush ─▶ queue ─▶ draw ─▶ sleep
//!  │       │        │         │         │        │        └ the console, if one is here
//!  │       │        │         │         │        └ due mail to next servers
//!  │   readiness    │   one durable     └ only now the 250s go out
//!  │   bits only    │   group commit
//!  └ mio events     └ each runnable connection: read ▸ machine.step ▸ act, until dry
//! ```

use std::io;
use std::time::Duration;

use super::hold::Release;
use super::inbound::After;
use super::mio_net::TERMINAL;
use super::net::{Net, Ready, Signal, SpareDescriptor, Token};
use super::shares::{Lane, Share};
use super::slots::Slot;
use super::{Reactor, accept::ACCEPT_PAUSE};
use crate::base::{Now, Time};
use crate::journal::Level;
use crate::logger;
use crate::spool::Disk;

/// How long open transactions may take to finish after the first TERM.
const DRAIN: Duration = Duration::from_secs(10);

/// A commit waits for more messages so many times as long as a flush takes: of a busy loop's time
/// the disk gets a fifth.
const SHARE: u32 = 4;
/// But no longer than this, however slow the disk is.
const GATHER: Duration = Duration::from_millis(5);

/// When the commit of a tick takes place.
#[derive(Default, Debug)]
pub struct Gathering {
    /// How long the last commit took.
    flush: Duration,
    /// While messages wait: no later than then.
    until: Option<Time>,
}

impl Gathering {
    /// Whether the commit may wait for another tick. While sockets bring news more messages may
    /// be about to finish, and a flush costs the same for one as for fifty; so it waits, within
    /// the bounds above. When nothing is new there is nothing to wait for: a client alone never
    /// does.
    fn goes_on(&mut self, news: bool, now: Time) -> bool {
        let until = *self.until.get_or_insert(now.after((self.flush * SHARE).min(GATHER)));
        news && now < until
    }

    fn over(&mut self, took: Duration) {
        *self = Gathering { flush: took, until: None };
    }
}

/// Whether the server goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// As ever.
    Running,
    /// Open transactions have until then.
    Draining {
        /// The end.
        until: Time,
    },
    /// The loop ends.
    Over,
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Runs until the server is told to end.
    pub fn run(&mut self) -> io::Result<()> {
        while self.life != Life::Over {
            self.tick()?;
        }
        self.finish();
        Ok(())
    }

    /// One turn of the loop. Sleeps only when nothing is runnable.
    pub fn tick(&mut self) -> io::Result<()> {
        let timeout = self.sleep();
        // What the last turn logged, in one write.
        logger::flush();
        self.net.poll(&mut self.wake, timeout)?;
        self.now = self.net.now();
        let began = self.now.time;
        self.signals();
        self.core.logins.refill();
        self.core.recover(self.now);
        self.core.try_disk(self.now);
        self.core.expire_faults(self.now);
        let news = self.mark();
        self.due();
        self.hear_names();
        self.turns();
        let synced = self.commit(news);
        self.turns_of_committed();
        // A connection that ended makes room for another in the same tick.
        self.bury();
        self.dispatch();
        let synced = synced + self.prepare(!synced.is_zero());
        self.ask_names();
        self.run_commands();
        self.tell_watchers();
        self.bury();
        self.draw();
        self.drain();
        let numbers = self.numbers();
        self.core.write_past(numbers, self.now);
        let took = self.net.now().time.since(began).saturating_sub(synced);
        let sync = (!synced.is_zero()).then_some(synced);
        self.core.journal.tick(self.now, took, sync);
        Ok(())
    }

    /// How long poll may sleep; nothing for ever, so that a lost wake-up is no hang.
    fn sleep(&self) -> Option<Duration> {
        if !self.turns.is_empty()
            || self.core.has_work()
            || self.names.has_work()
            || self.next.freed
        {
            return Some(Duration::ZERO);
        }
        let now = self.net.now().time;
        let end = match self.life {
            Life::Draining { until } => until,
            _ => Time::NEVER,
        };
        let accept = self.accept_again.unwrap_or(Time::NEVER);
        let console = self.local.deadline(self.core.journal.next_seq());
        let next = self.timers.next().min(self.core.next_wake(self.net.now())).min(end).min(accept);
        let next = next.min(console);
        Some(next.since(now).min(Duration::from_secs(60)))
    }

    fn signals(&mut self) {
        for signal in std::mem::take(&mut self.wake.signals) {
            match (signal, self.life) {
                (Signal::Terminate, Life::Running) => self.begin_shutdown(),
                (Signal::Terminate, _) => self.life = Life::Over,
                (Signal::HangUp, _) if self.hang_up() => {}
                (Signal::HangUp, _) => self.reload_or_say(),
                (signal, _) => self.terminal_signal(signal),
            }
        }
    }

    /// Stops taking connections and asks every session to end at its next safe point.
    pub fn begin_shutdown(&mut self) {
        self.core.say(self.now, Level::Info, "ending: open transactions have 10 s to finish");
        self.life = Life::Draining { until: self.now.time.after(DRAIN) };
        self.core.set_draining();
        self.close_listeners();
        for token in self.slots.tokens() {
            match self.slots.get_mut(token) {
                Some(Slot::Inbound(c)) => c.shutdown(&mut self.core, self.now),
                Some(Slot::Outbound(c)) if c.is_idle() => c.quit(&mut self.core, self.now),
                Some(Slot::Outbound(c)) => {
                    drop(c.let_go(&mut self.core, &Release::Ending, self.now))
                }
                _ => {}
            }
            self.make_runnable(token);
        }
    }

    /// Ends the drain once no session has a transaction open, or its time is up.
    fn drain(&mut self) {
        let Life::Draining { until } = self.life else { return };
        let busy = self.slots.iter().any(|slot| match slot {
            Slot::Listener(_) | Slot::Door(_) | Slot::Asking(_) => false,
            Slot::Errand(_) | Slot::Student(_) | Slot::Playing(_) => false,
            Slot::Inbound(c) => !c.is_over(),
            Slot::Outbound(c) => c.carrying.is_some(),
        });
        let late = self.now.time >= until;
        if late {
            for token in self.slots.tokens() {
                if let Some(Slot::Inbound(c)) = self.slots.get_mut(token) {
                    c.expel(&mut self.net, &mut self.core, self.now);
                }
            }
        }
        if late || (!busy && !self.core.has_work()) {
            self.life = Life::Over;
        }
    }

    /// Events set bits and make connections runnable; they decide nothing. False when there were
    /// none.
    fn mark(&mut self) -> bool {
        let ready = std::mem::take(&mut self.wake.ready);
        for event in &ready {
            self.mark_one(event);
        }
        let news = !ready.is_empty();
        self.wake.ready = ready;
        self.wake.ready.clear();
        news
    }

    fn mark_one(&mut self, event: &Ready) {
        if event.token == TERMINAL {
            return self.local.mark(event);
        }
        if event.token.name_try().is_some() {
            return self.names.mark(event);
        }
        match self.slots.get_mut(event.token) {
            Some(Slot::Listener(_) | Slot::Door(_)) => {}
            Some(Slot::Asking(c)) => c.link.mark(event),
            Some(Slot::Errand(c)) => c.link.mark(event),
            Some(Slot::Student(c)) => c.link.mark(event),
            Some(Slot::Inbound(c)) => c.link.mark(event),
            Some(Slot::Outbound(c)) => c.link.mark(event),
            Some(Slot::Playing(c)) => c.link.mark(event),
            // Of a connection that is gone.
            None => return,
        }
        self.make_runnable(event.token);
    }

    /// Connections whose timer is due get a turn; whether their deadline really is due is theirs
    /// to know.
    fn due(&mut self) {
        if self.accept_again.is_some_and(|t| t <= self.now.time) {
            self.accept_again = None;
            for token in self.slots.tokens() {
                if let Some(Slot::Listener(_) | Slot::Door(_)) = self.slots.get_mut(token) {
                    self.make_runnable(token);
                }
            }
        }
        while let Some(token) = self.timers.pop_due(self.now.time) {
            match self.slots.get_mut(token) {
                Some(Slot::Inbound(c)) => {
                    c.link.armed = Time::NEVER;
                    c.timeout(&mut self.core, self.now);
                }
                Some(Slot::Outbound(c)) => {
                    c.link.armed = Time::NEVER;
                    c.timeout(&mut self.core, self.now);
                }
                Some(Slot::Asking(c)) => c.link.armed = Time::NEVER,
                Some(Slot::Errand(c)) => c.link.armed = Time::NEVER,
                Some(Slot::Student(c)) => c.link.armed = Time::NEVER,
                Some(Slot::Playing(c)) => c.link.armed = Time::NEVER,
                Some(Slot::Listener(_) | Slot::Door(_)) | None => continue,
            }
            self.make_runnable(token);
        }
    }

    /// Queues a connection for one of the coming turns, once.
    pub fn make_runnable(&mut self, token: Token) {
        let lane = match self.slots.get_mut(token) {
            Some(Slot::Inbound(c)) => c.credit.lane(self.now.time),
            _ => Lane::Fresh,
        };
        self.line_up(lane, token);
    }

    fn line_up(&mut self, lane: Lane, token: Token) {
        if self.slots.queued(token).is_some_and(|queued| !std::mem::replace(queued, true)) {
            self.turns.push(lane, token);
        }
    }

    /// The turns of this tick: `shares` has the order, and how many there are.
    fn turns(&mut self) {
        self.turns.begin();
        while let Some((lane, token)) = self.turns.next() {
            if let Some(queued) = self.slots.queued(token) {
                *queued = false;
            }
            let share = match self.slots.get_mut(token) {
                Some(Slot::Inbound(c)) if lane == Lane::Fresh => c.share(self.now.time),
                _ => Share::whole(),
            };
            let work = self.take_turn(token, share);
            self.turns.charge(lane, work);
        }
    }

    /// A turn without waiting for one.
    pub fn turn(&mut self, token: Token) {
        let share = match self.slots.get_mut(token) {
            Some(Slot::Inbound(c)) => c.share(self.now.time),
            _ => Share::whole(),
        };
        self.take_turn(token, share);
    }

    /// One connection's share; says how much of it was work.
    fn take_turn(&mut self, token: Token, mut share: Share) -> usize {
        self.act_for(token, &mut share);
        if let Some(Slot::Inbound(c)) = self.slots.get_mut(token) {
            c.credit.pay(share.spent());
        }
        share.spent()
    }

    fn act_for(&mut self, token: Token, share: &mut Share) {
        let heard = self.hear_header(token);
        let (net, core, now) = (&mut self.net, &mut self.core, self.now);
        let (after, deadline) = match self.slots.get_mut(token) {
            Some(Slot::Listener(_)) => return self.accept(token),
            Some(Slot::Door(_)) => return self.accept_askers(token),
            Some(Slot::Asking(_)) => {
                let after = self.turn_asking(token);
                let Some(Slot::Asking(c)) = self.slots.get_mut(token) else { return };
                (after, c.deadline())
            }
            Some(Slot::Errand(_)) => {
                let after = self.turn_errand(token);
                let Some(Slot::Errand(c)) = self.slots.get_mut(token) else { return };
                (after, c.deadline(now))
            }
            Some(Slot::Student(_)) => {
                let after = self.turn_student(token);
                let Some(Slot::Student(c)) = self.slots.get_mut(token) else { return };
                (after, c.deadline())
            }
            Some(Slot::Playing(_)) => {
                let after = self.turn_playing(token);
                let Some(Slot::Playing(c)) = self.slots.get_mut(token) else { return };
                (after, c.deadline())
            }
            Some(Slot::Inbound(c)) => {
                let scratch = &mut self.scratch;
                let after = heard.unwrap_or_else(|| c.turn(net, core, now, scratch, share));
                (after, c.deadline())
            }
            Some(Slot::Outbound(c)) => {
                (c.turn(net, core, now, &mut self.scratch, share), c.deadline())
            }
            None => return,
        };
        match after {
            After::Gone => return self.dead.push(token),
            After::Wait => {}
            After::Again => self.make_runnable(token),
            After::Spent => self.line_up(Lane::Busy, token),
        }
        if let Some(armed) = self.slots.armed(token) {
            self.timers.arm(token, deadline, armed);
        }
    }

    /// The durable group commit, of this tick's messages and of those that were left for it; says
    /// how long the disk took.
    fn commit(&mut self, news: bool) -> Duration {
        if !self.core.has_commit() || self.gathering.goes_on(news, self.now.time) {
            return Duration::ZERO;
        }
        let before = self.net.now().time;
        let resumed = self.core.commit(self.now);
        self.now = self.net.now();
        for (token, result) in resumed {
            if let Some(Slot::Inbound(c)) = self.slots.get_mut(token) {
                c.committed(&self.core, result, self.now);
                self.committed.push(token);
            }
        }
        let took = self.now.time.since(before);
        self.gathering.over(took);
        took
    }

    /// Files for coming commits, now that those of this one have their replies; says how long the
    /// disk took.
    fn prepare(&mut self, committed: bool) -> Duration {
        if !committed || !self.core.spool.prepare() {
            return Duration::ZERO;
        }
        let before = self.now.time;
        self.now = self.net.now();
        self.now.time.since(before)
    }

    fn turns_of_committed(&mut self) {
        let mut committed = std::mem::take(&mut self.committed);
        for token in committed.drain(..) {
            self.turn(token);
        }
        self.committed = committed;
    }

    /// Removal happens here and nowhere else, so that no token goes stale within a tick.
    fn bury(&mut self) {
        for token in std::mem::take(&mut self.dead) {
            self.remove(token);
        }
        let slots = &mut self.slots;
        self.timers.sweep(slots.len(), |token, due| slots.armed(token).is_some_and(|a| *a == due));
    }

    /// No descriptor is left for an accept: refuse one client with the reserve, then pause.
    pub fn out_of_descriptors(&mut self, token: Token) {
        if self.net.spare_descriptor() == SpareDescriptor::Released {
            if let Some(Slot::Listener(listener)) = self.slots.get_mut(token) {
                let role = listener.role;
                if let Ok((stream, _)) = self.net.accept(&mut listener.socket) {
                    self.refuse(
                        stream,
                        role,
                        "421 4.3.2 No room for more connections, try again later\r\n",
                    );
                }
            }
            self.net.spare_descriptor();
        }
        self.accept_later();
    }

    /// Lets accepting rest.
    pub fn accept_later(&mut self) {
        self.accept_again = Some(self.now.time.after(ACCEPT_PAUSE));
    }

    /// The time of this tick.
    pub fn now(&self) -> Now {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_waits_while_there_is_news_and_not_for_long() {
        let at = |millis: u64| Time::from_micros(millis * 1000);
        let mut gathering = Gathering::default();
        // Nothing is known of the disk yet.
        assert!(!gathering.goes_on(true, at(1)));
        gathering.over(Duration::from_millis(2));
        // A client alone never waits.
        assert!(!gathering.goes_on(false, at(10)));
        gathering.over(Duration::from_millis(1));
        assert!(gathering.goes_on(true, at(20)));
        assert!(gathering.goes_on(true, at(23)));
        assert!(!gathering.goes_on(false, at(23)));
        assert!(!gathering.goes_on(true, at(24)));
        gathering.over(Duration::from_secs(9));
        assert!(gathering.goes_on(true, at(30)));
        assert!(!gathering.goes_on(true, at(30).after(GATHER)));
    }
}
