//! The console: see it, ask it, steer it.
//!
//! ```text
//!   octets of the terminal ─▶ keys ─▶ ┌─────────┐ ─▶ requests to the server
//!   what the server tells ──────────▶ │ Console │ ─▶ wishes to the owner: suspend, leave
//!                                     └────┬────┘
//!                                view: a screen of cells
//!                                          │
//!                                 screen: curses, to octets for the terminal
//! ```
//!
//! All but `screen` is data and functions: no terminal, no clock, no socket. So the console is the
//! same in the server's own process and in `mailflux attach`, and tests read its screens as text.

mod act;
mod answers;
mod complete;
mod editor;
mod filter;
mod gauges;
mod grid;
mod history;
mod keys;
mod messages;
mod screen;
mod style;
mod view;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::base::{Printable, Time};
use crate::control::{HeldLine, Hello, Request, SessionLine, Told};
use answers::{Answers, Part};
use complete::Names;
use editor::Editor;
use filter::Filter;
use gauges::Gauges;
use history::History;

use messages::Messages;

pub use grid::{Glyph, Grid};
pub use history::merge as merge_history;
pub use keys::{Decoder, Key};
pub use screen::{Screen, ScreenError};
pub use style::{Color, Paint, Style};
pub use view::{Frame, Look};

/// How long after an Esc something may follow that belongs to it.
const ESC_WAIT: Duration = Duration::from_millis(50);
/// Between two frames: of what happens, at most ten in a second.
const FRAME: Duration = Duration::from_millis(100);
/// Between two frames while somebody types, who wants to see it at once.
const TYPING_FRAME: Duration = Duration::from_millis(25);
/// Items from before the console came that it asks for.
const BACKLOG: usize = 1000;

/// Whose console it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The server's own: its end is the server's end.
    Server,
    /// A process of its own, which can leave.
    Attached,
}

/// What the console wants of its owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Stop the process, as Ctrl-Z does elsewhere.
    Suspend,
    /// End the console; the server goes on.
    Leave,
    /// Paint the whole screen again.
    Redraw,
}

/// A search in the view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Find {
    /// What is looked for.
    pattern: String,
    /// It is still being typed.
    typing: bool,
    /// The entry that was found.
    at: Option<u64>,
}

/// A conversation with a command, such as `tutor`.
#[derive(Debug)]
struct Talk {
    /// The request.
    id: u64,
    /// What stands before what is typed.
    prompt: Printable,
    /// A line is wanted; else it is to come later.
    wanted: bool,
    /// The session that the view is narrowed to.
    session: Option<String>,
    /// What narrowed it before.
    before: Filter,
}

/// The state of a console.
#[derive(Debug)]
pub struct Console {
    place: Place,
    look: Look,
    size: (usize, usize),
    decoder: Decoder,
    /// When a lone Esc is to be taken for one.
    esc_at: Option<Time>,
    editor: Editor,
    history: History,
    messages: Messages,
    answers: Answers,
    gauges: Gauges,
    names: Names,
    find: Option<Find>,
    /// Long lines take several rows; else they are cut.
    fold: bool,
    /// Lines are shown with their notes.
    notes: bool,
    /// What is shown in place of the hint until the next key.
    hint: Option<String>,
    requests: Vec<Request>,
    wishes: Vec<Wish>,
    last_request: u64,
    /// A command that converses with whoever types.
    talk: Option<Talk>,
    /// Until when a second Ctrl-Z suspends.
    suspend_until: Option<Time>,
    /// `quit` was said.
    quitting: bool,
    bye: Option<Printable>,
    /// When the next frame may be painted, if there is something new.
    frame_at: Option<Time>,
    last_frame: Option<Time>,
}

impl Console {
    /// A console with the history of earlier ones; it begins with a request to watch.
    pub fn new(place: Place, look: Look, size: (u16, u16), history: &str) -> Console {
        Console {
            place,
            look,
            size: (size.0.into(), size.1.into()),
            decoder: Decoder::default(),
            esc_at: None,
            editor: Editor::default(),
            history: History::read(history),
            messages: Messages::default(),
            answers: Answers::default(),
            gauges: Gauges::default(),
            names: Names::default(),
            find: None,
            fold: false,
            notes: false,
            hint: None,
            requests: vec![Request::Watch { backlog: BACKLOG }],
            wishes: Vec::new(),
            last_request: 0,
            talk: None,
            suspend_until: None,
            quitting: false,
            bye: None,
            frame_at: Some(Time::ZERO),
            last_frame: None,
        }
    }

    /// The session that is held longest, as far as it is known.
    fn held(&self) -> Option<(&SessionLine, &HeldLine)> {
        let sessions = self.gauges.last().sessions.iter();
        sessions.filter_map(|session| Some((session, session.held.as_ref()?))).next()
    }

    /// The terminal's size, in columns and rows.
    pub fn resize(&mut self, columns: u16, rows: u16, now: Time) {
        self.size = (columns.into(), rows.into());
        self.changed(now, FRAME);
    }

    /// Octets came from the terminal.
    pub fn keys(&mut self, octets: &[u8], now: crate::base::Now) {
        let mut keys = Vec::new();
        self.decoder.feed(octets, &mut keys);
        self.esc_at = self.decoder.is_waiting().then(|| now.time.after(ESC_WAIT));
        self.pressed(&keys, now);
    }

    fn pressed(&mut self, keys: &[Key], now: crate::base::Now) {
        for key in keys {
            self.hint = None;
            self.key(key, now);
        }
        if !keys.is_empty() {
            self.changed(now.time, TYPING_FRAME);
        }
    }

    /// The server said something.
    pub fn told(&mut self, told: Told, now: Time) {
        match told {
            Told::Hello(hello) => self.greeted(&hello),
            Told::Lines { lines, .. } => {
                lines.into_iter().for_each(|line| self.answers.push(Part::Answer, line));
            }
            Told::Fault { column, message, .. } => {
                self.fault(column, message.as_str());
            }
            Told::Prompt { id, prompt, session } => self.prompted(id, prompt, session),
            Told::End { id, .. } if self.talk.as_ref().is_some_and(|talk| talk.id == id) => {
                self.end_talk();
            }
            Told::End { id, ok: false } if id == self.last_request => self.answers.refused(),
            // Files are the business of the process around the console.
            Told::End { .. } | Told::Json { .. } | Told::File { .. } | Told::Want { .. } => {}
            Told::Feed { items, dropped } => {
                if dropped > 0 {
                    self.messages.push_dropped(dropped);
                }
                for item in items {
                    self.names.see(&item);
                    self.messages.push_item(item);
                }
            }
            Told::Past { id, seq, items } if id == self.last_request => {
                self.messages.set_past(items, seq);
            }
            // He follows something else by now.
            Told::Past { .. } => {}
            Told::Snapshot(snapshot) => self.gauges.push(*snapshot),
            Told::Bye { why } => self.bye = Some(why),
        }
        self.changed(now, FRAME);
    }

    /// A command wants a line. The view shows the session that it is about and no other.
    fn prompted(&mut self, id: u64, prompt: Printable, session: Option<String>) {
        let (known, before) = match self.talk.take() {
            Some(talk) => (talk.session, talk.before),
            None => (None, self.messages.filter().clone()),
        };
        let shown = session.as_ref().filter(|session| known.as_ref() != Some(*session));
        if let Some(Ok(id)) = shown.map(|session| session.parse()) {
            // What stands still would hide what the other side says.
            self.messages.resume();
            self.messages.set_filter(Filter::Session(id));
        }
        self.talk = Some(Talk { id, prompt, wanted: true, session: session.or(known), before });
        self.answers.show_end(view::answers_in_view(self));
    }

    /// The conversation is over.
    fn end_talk(&mut self) {
        if let Some(talk) = self.talk.take() {
            self.messages.set_filter(talk.before);
        }
    }

    fn greeted(&mut self, hello: &Hello) {
        self.names.learn(hello);
        let (version, host, pid) = (&hello.version, &hello.hostname, hello.pid);
        let leave = match self.place {
            Place::Server => "Ctrl-D ends the server",
            Place::Attached => "Ctrl-D leaves it running",
        };
        self.answers.note(&format!("MailFlux {version} on {host}, process {pid}; {leave}"));
    }

    /// Whether the server has said its last word, and which.
    pub fn bye(&self) -> Option<&Printable> {
        self.bye.as_ref()
    }

    /// Whether it is no wonder when the server is gone: it was told to end.
    pub fn expects_end(&self) -> bool {
        self.quitting || self.gauges.last().draining
    }

    /// What is to be asked of the server.
    pub fn take_requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    /// What the owner is to do.
    pub fn take_wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    /// What was typed here and is worth keeping.
    pub fn new_commands(&self) -> Vec<String> {
        self.history.new_lines()
    }

    fn changed(&mut self, now: Time, after: Duration) {
        let due = self.last_frame.map_or(now, |last| last.after(after));
        self.frame_at = Some(self.frame_at.map_or(due, |at| at.min(due)));
    }

    /// When [`Console::wake`] has something to do, or [`Console::frame`], if that may be called.
    pub fn deadline(&self, frames: bool) -> Time {
        let esc = self.esc_at.unwrap_or(Time::NEVER);
        esc.min(self.frame_at.filter(|_| frames).unwrap_or(Time::NEVER))
    }

    /// Does what time alone brings: an Esc that nothing followed.
    pub fn wake(&mut self, now: crate::base::Now) {
        if self.esc_at.is_some_and(|at| at <= now.time) {
            let mut keys = Vec::new();
            self.decoder.flush(&mut keys);
            self.esc_at = None;
            self.pressed(&keys, now);
        }
    }

    /// The next frame, if something changed and enough time has passed since the last.
    pub fn frame(&mut self, now: Time) -> Option<Frame> {
        if self.frame_at.is_none_or(|at| at > now) {
            return None;
        }
        self.frame_at = None;
        self.last_frame = Some(now);
        Some(view::draw(self))
    }

    /// A frame is wanted whatever was shown before.
    pub fn redraw(&mut self, now: Time) {
        self.changed(now, Duration::ZERO);
    }
}
