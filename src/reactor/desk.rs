//! A console at a terminal: keys in, frames out, and neither ever waits.
//!
//! The terminal has a descriptor of its own, non-blocking, beside the sockets in the loop. Frames
//! are painted into memory and written as far as the terminal takes them; before the last one has
//! drained there is no next one, so a terminal that nobody reads costs one frame of memory and no
//! time. When it is gone (0, EIO, HUP) so is the console, and the server goes on without.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use super::net::{Ready, Signal};
use crate::base::{Now, Printable, Time, cause};
use crate::console::{Console, Look, Place, Screen, ScreenError, Wish};
use crate::sys::{self, Tty};

/// A terminal that does not say its size.
const USUAL_SIZE: (u16, u16) = (80, 24);
/// Octets of keys that are taken in one turn: nobody types so fast, and a paste can wait a tick.
const KEYS: usize = 4096;
/// How often keys are looked for where the kernel does not tell of them.
const LOOK: Duration = Duration::from_millis(50);
/// How long the end waits for a terminal that takes nothing.
const LAST_WORD: Duration = Duration::from_millis(200);

/// A console and its terminal.
pub struct Desk {
    /// What is shown there.
    pub console: Console,
    tty: Tty,
    screen: Screen,
    /// What the terminal has not taken yet.
    out: Vec<u8>,
    readable: bool,
    writable: bool,
    /// The process is in the background: the terminal is somebody else's now.
    away: bool,
    /// Keys are looked for at this time, since nobody tells of them.
    look: Option<Time>,
    gone: bool,
    /// A HUP said that it is gone; it may be there all the same.
    hung_up: bool,
    leaving: bool,
}

impl Desk {
    /// Takes the terminal that standard input is, or output. `earlier` are the commands of earlier
    /// consoles. The error says what is missing.
    pub fn open(place: Place, earlier: &str) -> Result<Desk, String> {
        let tty = Tty::open(io::stdin().as_fd()).or_else(|_| Tty::open(io::stdout().as_fd()));
        let tty = tty.map_err(|e| format!("no terminal to open: {}", cause(&e)))?;
        let utf8 = sys::set_locale();
        let size = tty.size().unwrap_or(USUAL_SIZE);
        let term = env::var("TERM").unwrap_or_default();
        // https://no-color.org: present and not empty, whatever it says.
        let colors = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let screen = Screen::open(&term, size, colors).map_err(|e| match e {
            ScreenError::Terminal(term) => {
                let term = Printable::bounded(term, 80);
                format!("TERM={term} is no terminal to paint on")
            }
            ScreenError::Scratch(e) => format!("no room to paint in: {e}"),
        })?;
        let console = Console::new(place, Look { utf8 }, size, earlier);
        let mut desk = Desk {
            console,
            tty,
            screen,
            out: Vec::new(),
            readable: true,
            writable: true,
            away: true,
            look: None,
            gone: false,
            hung_up: false,
            leaving: false,
        };
        restore_at_panic();
        desk.enter(Time::ZERO);
        Ok(desk)
    }

    /// The open terminal, for the loop.
    pub fn tty(&self) -> BorrowedFd<'_> {
        self.tty.file().as_fd()
    }

    /// The kernel does not tell of keys here: they are looked for now and then.
    pub fn look_now_and_then(&mut self) {
        self.look = Some(Time::ZERO);
    }

    /// Makes the terminal a screen, unless somebody else is in front.
    fn enter(&mut self, now: Time) {
        if !self.tty.is_ours() || self.tty.set_raw().is_err() {
            return;
        }
        sys::remember_terminal(Some((&self.tty, self.screen.leave().to_vec())));
        self.out = self.screen.enter();
        self.away = false;
        self.resized(now);
        (self.readable, self.writable) = (true, true);
    }

    /// The terminal may have another size.
    pub fn resized(&mut self, now: Time) {
        let (columns, rows) = self.tty.size().unwrap_or(USUAL_SIZE);
        self.screen.resize(columns, rows);
        self.console.resize(columns, rows, now);
    }

    /// The process goes on after a stop: in front, or in the background.
    pub fn continued(&mut self, now: Time) {
        self.away = true;
        self.enter(now);
    }

    /// Stops the process, as Ctrl-Z does elsewhere; returns when it goes on. What then is to be
    /// done the signal says that comes with it. Where nobody could let it go on it does not stop.
    pub fn suspend(&mut self, now: Time) {
        self.restore(LAST_WORD);
        self.away = true;
        if !sys::stop() {
            self.continued(now);
        }
    }

    /// Leaves the terminal as it was found, waiting so long for it to take that.
    fn restore(&mut self, patience: Duration) {
        if self.away || self.gone || sys::is_terminal_restored() {
            return;
        }
        // What is on its way may be half a sequence, which would swallow what follows.
        self.out.extend_from_slice(self.screen.leave());
        self.flush();
        if !self.out.is_empty() && !self.gone && !patience.is_zero() {
            sys::pause(patience);
            self.writable = true;
            self.flush();
        }
        self.out.clear();
        let _ = self.tty.restore();
        sys::remember_terminal(None);
    }

    /// Events of the terminal.
    pub fn mark(&mut self, ready: &Ready) {
        self.readable |= ready.readable;
        self.writable |= ready.writable;
    }

    /// A signal; it is handed back when it is not about the terminal.
    pub fn signal(&mut self, signal: Signal, now: Time) -> Option<Signal> {
        match signal {
            Signal::Terminate => return Some(signal),
            Signal::HangUp => self.hang_up(),
            Signal::Resized => self.resized(now),
            Signal::Stop => self.suspend(now),
            Signal::Continued => self.continued(now),
        }
        None
    }

    /// The terminal hung up.
    pub fn hang_up(&mut self) {
        self.hung_up = true;
    }

    /// Whether there is no terminal any more.
    pub fn is_gone(&self) -> bool {
        self.gone || self.hung_up
    }

    /// Whether the console wants to end, and nothing else.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// When it wants its next turn, whatever happens.
    pub fn deadline(&self) -> Time {
        if self.away {
            return Time::NEVER;
        }
        if self.readable && self.look.is_none() {
            return Time::ZERO;
        }
        // The next frame waits until the last one has drained, and of that the kernel tells.
        let console = self.console.deadline(self.out.is_empty());
        console.min(self.look.unwrap_or(Time::NEVER))
    }

    /// Reads keys.
    pub fn hear(&mut self, now: Now) {
        if self.look.is_some_and(|at| at <= now.time) {
            self.readable = true;
            self.look = Some(now.time.after(LOOK));
        }
        if self.readable && !self.away {
            // Who reads from the background is stopped.
            self.away = !self.tty.is_ours();
        }
        let mut keys = [0; KEYS];
        if self.readable && !self.away && !self.gone {
            match self.tty.file().read(&mut keys) {
                Ok(0) => self.gone = true,
                Ok(n) => self.console.keys(&keys[..n], now),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.gone = true,
            }
        }
        self.console.wake(now);
    }

    /// Does what the console wishes.
    pub fn grant(&mut self, now: Time) {
        for wish in self.console.take_wishes() {
            match wish {
                Wish::Suspend => self.suspend(now),
                Wish::Leave => self.leaving = true,
                Wish::Redraw => {
                    self.resized(now);
                    self.screen.forget();
                }
            }
        }
    }

    /// Shows what has changed, if the terminal has taken what was shown before.
    pub fn show(&mut self, now: Time) {
        if self.away || self.gone {
            return;
        }
        self.flush();
        if !self.out.is_empty() {
            return;
        }
        if let Some(frame) = self.console.frame(now) {
            match self.screen.paint(&frame) {
                Ok(octets) => self.out = octets,
                Err(_) => self.gone = true,
            }
            self.flush();
        }
    }

    /// Writes as far as the terminal takes it.
    fn flush(&mut self) {
        let mut done = 0;
        while self.writable && !self.gone && done < self.out.len() {
            match self.tty.file().write(&self.out[done..]) {
                Ok(0) => self.gone = true,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.gone = true,
            }
        }
        self.out.drain(..done);
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Mail must not wait for a terminal that is said to be gone.
        self.restore(if self.hung_up { Duration::ZERO } else { LAST_WORD });
        sys::remember_terminal(None);
    }
}

/// A panic brings the terminal back before it says its word.
fn restore_at_panic() {
    let earlier = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        sys::restore_after_panic();
        earlier(info);
    }));
}
