//! The console in the server's own process: an asker as those at the control socket, that sits at
//! a terminal. The draw phase of a tick is here.

use super::Reactor;
use super::control::Asker;
use super::desk::Desk;
use super::files::Files;
use super::mio_net::MioNet;
use super::net::{Net, Ready};
use crate::base::{Now, Time};
use crate::console::Place;
use crate::control::Request;
use crate::journal::Level;
use crate::logger;
use crate::spool::Disk;

/// What the console brings along, and leaves behind.
#[derive(Default, Debug)]
pub struct Seat {
    /// Commands of earlier consoles, one a line.
    pub earlier: String,
    /// Commands of this one that are worth keeping.
    pub typed: Vec<String>,
}

/// The console of the process, if it has one.
#[derive(Default)]
pub struct Local {
    desk: Option<Box<Desk>>,
    asker: Asker,
    files: Files,
    /// The asker has more to do at once.
    busy: bool,
    typed: Vec<String>,
}

impl Local {
    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.desk.is_some()
    }

    /// Events of the terminal.
    pub fn mark(&mut self, ready: &Ready) {
        if let Some(desk) = &mut self.desk {
            desk.mark(ready);
        }
    }

    /// When it wants its next turn, whatever happens.
    pub fn deadline(&self, newest: u64) -> Time {
        let Some(desk) = &self.desk else { return Time::NEVER };
        if self.busy {
            return Time::ZERO;
        }
        let news = self.asker.news_due(newest).unwrap_or(Time::NEVER);
        let job = self.asker.job_due(Time::NEVER).unwrap_or(Time::NEVER);
        desk.deadline().min(news).min(job).min(self.asker.next_snapshot())
    }

    /// What was typed, at the end.
    pub fn typed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.typed)
    }
}

impl<D: Disk> Reactor<MioNet, D> {
    /// Makes the terminal a console, if there is one; else says why not, and goes on without.
    pub fn open_console(&mut self, earlier: &str) {
        let now = self.now;
        let opened = self.net.take_terminal_signals().map_err(|e| e.to_string());
        let opened = opened.and_then(|()| Desk::open(Place::Server, earlier));
        let watched = opened.and_then(|mut desk| {
            self.net.watch_terminal(&mut desk).map_err(|e| e.to_string())?;
            Ok(desk)
        });
        match watched {
            Ok(desk) => {
                logger::spare_terminal(true);
                self.local.desk = Some(Box::new(desk));
            }
            Err(why) => {
                self.core.say(now, Level::Warn, &format!("no console, going on headless: {why}"));
                self.release_local();
            }
        }
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// A console will come: what happens from now on is kept for it.
    pub fn expect_console(&mut self) {
        self.local.asker.ask(Request::Watch { backlog: 0 });
        let mut asker = std::mem::take(&mut self.local.asker);
        self.serve(&mut asker);
        self.local.asker = asker;
    }

    /// Keys in, commands done, what happened told, a frame out. Nothing of it waits.
    pub(super) fn draw(&mut self) {
        let Some(mut desk) = self.local.desk.take() else { return };
        let now = self.now;
        desk.hear(now);
        desk.grant(now.time);
        self.answer_local(&mut desk, now);
        desk.show(now.time);
        self.local.desk = Some(desk);
        if self.local.desk.as_ref().is_some_and(|desk| desk.is_gone()) {
            self.close_console();
            self.core.say(now, Level::Warn, "the terminal is gone: headless from now on");
        }
    }

    fn answer_local(&mut self, desk: &mut Desk, now: Now) {
        let mut asker = std::mem::take(&mut self.local.asker);
        for request in desk.console.take_requests() {
            if asker.has_room() {
                self.local.files.note(&request);
                asker.ask(request);
            }
        }
        self.local.busy = self.serve(&mut asker);
        self.tell_news(&mut asker);
        for told in std::mem::take(&mut asker.told) {
            let taken = self.local.files.take(told);
            self.local.busy |= !taken.requests.is_empty();
            taken.requests.into_iter().for_each(|request| asker.ask(request));
            if let Some(told) = taken.told {
                desk.console.told(told, now.time);
            }
        }
        self.local.asker = asker;
    }

    /// The last words of an ending server, then the terminal is as it was.
    pub(super) fn close_console(&mut self) {
        let Some(mut desk) = self.local.desk.take() else { return };
        let now = self.now;
        self.answer_local(&mut desk, now);
        self.local.typed = desk.console.new_commands();
        drop(desk);
        logger::spare_terminal(false);
        self.release_local();
    }

    fn release_local(&mut self) {
        let asker = std::mem::take(&mut self.local.asker);
        self.release_asker(asker);
    }

    /// The terminal hung up. False when there was no console.
    pub(super) fn hang_up(&mut self) -> bool {
        match &mut self.local.desk {
            Some(desk) => desk.hang_up(),
            None => return false,
        }
        true
    }

    /// Signals that are about the terminal.
    pub(super) fn terminal_signal(&mut self, signal: super::Signal) {
        let now = self.now.time;
        if let Some(desk) = &mut self.local.desk {
            desk.signal(signal, now);
        }
    }
}
