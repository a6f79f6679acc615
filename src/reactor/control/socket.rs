//! An asker at the control socket: one line of JSON for each message.

use std::io;
use std::time::Duration;

use super::{Asker, Job};
use crate::base::{Now, Printable, Time};
use crate::control::{MAX_REQUEST, Request, Told};
use crate::reactor::Reactor;
use crate::reactor::inbound::After;
use crate::reactor::link::{Input, Link, Phase};
use crate::reactor::net::{Net, Token};
use crate::reactor::slots::{Door, Slot};
use crate::spool::Disk;
use crate::sys;

/// An asker that asks nothing, or does not read what it is told, is let go after so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Askers at once. When there are so many, one that asks nothing makes room for the next.
const MAX_ASKERS: usize = 64;

/// A connection of somebody who asks.
pub struct Asking<S> {
    /// The socket.
    pub link: Link<S>,
    asker: Asker,
    input: Vec<u8>,
    /// The peer has ended its side: it wants its answers and no more.
    ended: bool,
    /// When it last asked something, or took something that it was told.
    alive: Time,
}

impl<S> Asking<S> {
    fn new(link: Link<S>, now: Now) -> Asking<S> {
        let alive = now.time;
        Asking { link, asker: Asker::default(), input: Vec::new(), ended: false, alive }
    }

    /// When it wants its next turn, whatever happens.
    pub fn deadline(&self) -> Time {
        if self.link.phase != Phase::Open {
            return self.link.deadline();
        }
        let patience = self.alive.after(PATIENCE);
        match &self.asker.watching {
            Some(watching) if self.link.output.is_empty() => watching.next_snapshot,
            // One that follows may have nothing to be told for long.
            None if self.asker.is_busy() && self.link.output.is_empty() => Time::NEVER,
            _ => patience,
        }
    }

    /// Reads requests while there is room for them.
    fn hear<N: Net<Stream = S>>(&mut self, net: &mut N, scratch: &mut [u8], now: Now) -> bool {
        while self.link.is_readable() && self.asker.has_room() && !self.ended {
            match self.link.read(net, scratch) {
                Ok(Input::Octets(n)) => {
                    self.alive = now.time;
                    self.input.extend_from_slice(&scratch[..n]);
                }
                Ok(Input::Dry) => {}
                Ok(Input::End) => self.ended = true,
                Err(_) => return false,
            }
            if !self.take_lines() {
                return false;
            }
        }
        true
    }

    /// Takes the whole lines of the input; false when one is no request.
    fn take_lines(&mut self) -> bool {
        while let Some(end) = self.input.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            match serde_json::from_slice::<Request>(&line) {
                Ok(request) if self.asker.waiting.len() < 4 * super::MAX_WAITING => {
                    self.asker.ask(request);
                }
                _ => return self.dismiss("not a request"),
            }
        }
        if self.input.len() > MAX_REQUEST {
            return self.dismiss("a request without end");
        }
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        true
    }

    /// The last word.
    fn dismiss(&mut self, why: &str) -> bool {
        self.asker.told.push_back(Told::Bye { why: Printable::new(why) });
        self.encode();
        false
    }

    /// What is to be told becomes octets.
    fn encode(&mut self) {
        for told in self.asker.told.drain(..) {
            // Only strings as keys, only finite numbers: this cannot fail, and if it did the
            // message would be missing, not wrong.
            if serde_json::to_writer(self.link.output.tail(), &told).is_ok() {
                self.link.output.tail().push(b'\n');
            }
        }
    }

    fn flush<N: Net<Stream = S>>(&mut self, net: &mut N, now: Now) -> io::Result<bool> {
        let before = self.link.output.len();
        let done = self.link.flush(net)?;
        if self.link.output.len() < before {
            self.alive = now.time;
        }
        Ok(done)
    }

    /// It asks nothing.
    fn is_silent(&self) -> bool {
        !self.asker.is_watching() && !self.asker.is_busy()
    }

    /// It asked nothing, or took nothing, for too long.
    fn is_stale(&self, now: Now) -> bool {
        (self.is_silent() || !self.link.output.is_empty()) && now.time >= self.alive.after(PATIENCE)
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Opens the control socket.
    pub fn listen_control(&mut self, path: &std::path::Path) -> io::Result<()> {
        let socket = self.net.listen_local(path, self.slots.next_token())?;
        self.slots.insert(Slot::Door(Box::new(Door { socket, queued: false })));
        Ok(())
    }

    /// Takes those who want to ask.
    pub fn accept_askers(&mut self, token: Token) {
        loop {
            let Some(Slot::Door(door)) = self.slots.get_mut(token) else { return };
            match self.net.accept_local(&mut door.socket) {
                Ok((stream, user)) => self.admit_asker(stream, user),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                    return self.accept_later();
                }
                Err(_) => {}
            }
        }
    }

    /// Only this user, and root, may ask. The mode of the socket says so too, but some systems do
    /// not look at it.
    fn admit_asker(&mut self, mut stream: N::Stream, user: u32) {
        let allowed = user == sys::effective_user() || user == 0;
        let token = self.slots.next_token();
        if !allowed || !self.has_room_for_asker() || self.net.register(&mut stream, token).is_err()
        {
            return;
        }
        let asking = Asking::new(Link::new(stream, token, true), self.now);
        self.slots.insert(Slot::Asking(Box::new(asking)));
        self.askers.push(token);
        self.make_runnable(token);
    }

    /// Whether one more may ask; the oldest that asks nothing goes for it.
    fn has_room_for_asker(&mut self) -> bool {
        if self.askers.len() < MAX_ASKERS {
            return true;
        }
        for i in 0..self.askers.len() {
            let Some(Slot::Asking(asking)) = self.slots.get_mut(self.askers[i]) else { continue };
            if asking.is_silent() {
                asking.dismiss("others want to ask");
                asking.link.close(self.now.time);
                let token = self.askers.remove(i);
                self.make_runnable(token);
                return true;
            }
        }
        false
    }

    /// The share of an asker's connection in a tick.
    pub fn turn_asking(&mut self, token: Token) -> After {
        let Some(Slot::Asking(asking)) = self.slots.get_mut(token) else { return After::Wait };
        if asking.link.phase == Phase::Open
            && !asking.hear(&mut self.net, &mut self.scratch, self.now)
        {
            asking.link.close(self.now.time);
        }
        let more = self.serve_asking(token);
        let now = self.now;
        let Some(Slot::Asking(asking)) = self.slots.get_mut(token) else { return After::Wait };
        if asking.is_stale(now) || asking.flush(&mut self.net, now).is_err() {
            return After::Gone;
        }
        if asking.ended && asking.link.has_hung_up() && asking.asker.only_listens() {
            return After::Gone;
        }
        let finished = asking.ended && !asking.asker.is_busy() && !asking.asker.is_watching();
        let left = asking.asker.is_watching() || asking.asker.is_talking();
        if finished || (asking.ended && left) {
            asking.link.close(now.time);
        }
        if asking.link.phase != Phase::Open {
            let gone = asking.link.wind_down(&mut self.net, now.time, &mut self.scratch);
            return if gone { After::Gone } else { After::Wait };
        }
        if more { After::Again } else { After::Wait }
    }

    /// Works for an asker while it takes what it is told. The asker is taken out of its slot
    /// meanwhile, since its commands reach everything else.
    fn serve_asking(&mut self, token: Token) -> bool {
        let Some(Slot::Asking(asking)) = self.slots.get_mut(token) else { return false };
        if asking.link.output.is_high() || asking.link.phase != Phase::Open {
            return false;
        }
        let mut asker = std::mem::take(&mut asking.asker);
        let mut more = self.serve(&mut asker);
        self.tell_news(&mut asker);
        if let Some(Slot::Asking(asking)) = self.slots.get_mut(token) {
            asking.asker = asker;
            asking.encode();
            // What was read and found no room before.
            more |= asking.asker.has_room() && asking.link.is_readable() && !asking.ended;
            more &= !asking.link.output.is_high();
        }
        more
    }

    /// An asker is gone.
    pub fn release_asking(&mut self, token: Token, asking: Asking<N::Stream>) {
        self.askers.retain(|asker| *asker != token);
        self.release_asker(asking.asker);
    }

    /// Lets go of what an asker holds outside itself.
    pub fn release_asker(&mut self, mut asker: Asker) {
        self.give_notes(&mut asker, false);
        let follows = asker.job.as_ref().is_some_and(|working| working.job.listens());
        match asker.job.take().map(|working| working.job) {
            Some(Job::Tutor(mut tutoring)) => self.leave_tutor(&mut tutoring),
            Some(Job::Visit(visiting)) => {
                if let Some(token) = visiting.token() {
                    self.stop_playing(token);
                }
            }
            _ => {}
        }
        for listens in [follows, asker.watching.is_some()] {
            if listens {
                self.core.journal.feed().unsubscribe();
            }
        }
    }

    /// Those who watch, or follow, get a turn when there is news for them; not at once under load,
    /// but a few times a second.
    pub fn tell_watchers(&mut self) {
        let newest = self.core.journal.next_seq();
        let now = self.now.time;
        for i in 0..self.askers.len() {
            let Some(Slot::Asking(asking)) = self.slots.get_mut(self.askers[i]) else { continue };
            let news = asking.asker.news_due(newest);
            if let Some(due) = news.into_iter().chain(asking.asker.job_due(now)).min() {
                self.timers.arm(asking.link.token, due, &mut asking.link.armed);
            }
        }
    }
}
