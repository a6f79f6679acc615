//! `tutor`: a student's session beside the server's others, line by line.
//!
//! ```text
//!            connect            reply, 354, or 1 s
//!   Apart ───────────▶ Here ─┬───────────────────▶ prompt ─▶ the student types
//!     ▲ ▲                    └◀── the line goes out ─────────────┘
//!     │ └── closed ── Here
//!     └──── closed ── Elsewhere ◀── a session begins ── Awaiting ◀── watch
//! ```
//!
//! What was said is read in the transcript, for a session that is spoken here as for one with
//! telnet. A line is asked for ([`Told::Prompt`]) when the server has said all that it has to say,
//! so a script that is fed into the tutor waits as a client must.

use std::time::Duration;

use serde_json::json;

use super::watch::Reader;
use super::{Answer, Asker, Job, Refusal};
use crate::base::{Leg, MessageId, Printable, SessionId, Time, cause};
use crate::control::{Command, Told};
use crate::journal::{Side, Sign};
use crate::reactor::Reactor;
use crate::reactor::net::{Net, Token};
use crate::spool::Disk;
use crate::tutor::{Tutor, Typed};

/// After so long without a reply the student may type all the same: the server may be waiting for
/// octets of BDAT.
const PATIENCE: Duration = Duration::from_secs(1);
/// Octets of a line as they are shown again.
const SHOWN: usize = 512;

/// A student and their tutor.
pub struct Tutoring {
    tutor: Tutor,
    way: Way,
    turn: Turn,
    /// Which events are known; only their number counts.
    pub(super) reader: Reader,
    /// What is to be told next.
    words: Vec<String>,
    /// Sessions that were spoken here, whose mail is held.
    practised: Vec<(SessionId, Token)>,
    /// The message that was spoken of last.
    told_of: Option<MessageId>,
    /// The asker sees the lines elsewhere: it is a console.
    has_view: bool,
}

/// How the student's session comes about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// There is none.
    Apart,
    /// The next session that begins is the student's: one with a greater number.
    Awaiting { after: u64 },
    /// It is spoken here.
    Here { id: SessionId, token: Token, heard: u64 },
    /// It is spoken with another program.
    Elsewhere { id: SessionId, heard: u64 },
}

/// Whose turn it is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Turn {
    /// The server's; since when, and what is to be said when it has greeted.
    Server { since: Time, then: Option<String> },
    /// The student was asked for a line.
    Student,
    /// The student has typed; none is the end of what they type.
    Typed(Option<String>),
}

impl Tutoring {
    /// The student typed a line, or ended their input.
    pub(super) fn hear_student(&mut self, line: Option<String>) {
        self.turn = Turn::Typed(line);
    }

    /// Whether there is nothing to do by itself.
    pub(super) fn waits(&self) -> bool {
        !matches!(self.turn, Turn::Typed(_))
    }

    /// When to look again, whatever happens.
    pub(super) fn due(&self) -> Time {
        match &self.turn {
            Turn::Server { since, .. } => since.after(PATIENCE),
            _ => Time::NEVER,
        }
    }

    /// Where the next line goes, for the eye.
    fn prompt(&self) -> &'static str {
        match self.way {
            Way::Apart => "(Enter connects) ",
            Way::Awaiting { .. } | Way::Elsewhere { .. } => "(watching) ",
            Way::Here { .. } if self.tutor.takes_content() => "text: ",
            Way::Here { .. } => "smtp: ",
        }
    }

    fn session(&self) -> Option<SessionId> {
        match self.way {
            Way::Here { id, .. } | Way::Elsewhere { id, .. } => Some(id),
            Way::Apart | Way::Awaiting { .. } => None,
        }
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// `tutor [LESSON]`
    pub(super) fn begin_tutor(&mut self, lesson: usize, asker: &Asker) -> Result<Answer, Refusal> {
        let tutor = Tutor::at_lesson(lesson).ok_or_else(|| {
            Refusal::new(format!("there are lessons 1 to {}", Tutor::titles().count()))
        })?;
        Ok(Answer::Job(Job::Tutor(Box::new(Tutoring {
            words: tutor.welcome(),
            tutor,
            way: Way::Apart,
            turn: Turn::Server { since: self.now.time, then: None },
            reader: Reader::new(self.core.journal.next_seq()),
            practised: Vec::new(),
            told_of: None,
            has_view: asker.is_watching(),
        }))))
    }

    /// Goes on with a student; true when they leave.
    pub(super) fn tutor(
        &mut self,
        t: &mut Tutoring,
        id: u64,
        json: bool,
        asker: &mut Asker,
    ) -> bool {
        self.hear_session(t);
        let mut leaves = false;
        if let Turn::Typed(line) = &mut t.turn {
            let line = line.take();
            t.turn = Turn::Server { since: self.now.time, then: None };
            leaves = match line {
                Some(line) => self.typed(t, line, asker),
                None => true,
            };
            self.hear_session(t);
        }
        t.reader.pass(self.core.journal.next_seq(), self.now);
        if leaves {
            self.leave_tutor(t);
            t.words.push("You have left the tutor.".into());
        }
        tell_words(t, id, json, asker);
        if !leaves {
            self.ask_for_line(t, id, json, asker);
        }
        leaves
    }

    /// Asks for a line when it is the student's turn.
    fn ask_for_line(&mut self, t: &mut Tutoring, id: u64, json: bool, asker: &mut Asker) {
        if !matches!(t.turn, Turn::Server { .. }) {
            return;
        }
        let here = match t.way {
            Way::Here { token, .. } => Some(token),
            _ => None,
        };
        let securing = here.is_some_and(|token| self.is_securing(token));
        let answered = here.is_none() || t.tutor.is_answered() && !securing;
        let Turn::Server { since, then } = &mut t.turn else { return };
        if !answered && self.now.time < since.after(PATIENCE) {
            return;
        }
        if let (Some(token), Some(line)) = (here, then.take()) {
            *since = self.now.time;
            self.say_line(t, token, &line);
            return tell_words(t, id, json, asker);
        }
        t.turn = Turn::Student;
        let prompt = Printable::from_shown(t.prompt());
        asker.told.push_back(Told::Prompt {
            id,
            prompt,
            session: t.session().map(|s| s.to_string()),
        });
    }

    /// The student typed a line; true when they leave.
    fn typed(&mut self, t: &mut Tutoring, line: String, asker: &mut Asker) -> bool {
        let connected = matches!(t.way, Way::Here { .. });
        match t.tutor.typed(&line, connected) {
            Typed::Leave => return true,
            Typed::Words(words) => t.words.extend(words),
            Typed::Connect if connected => t.words.push("You are connected already.".into()),
            Typed::Connect => self.connect_student(t, None),
            Typed::Watch(which) => self.watch_student(t, which.trim()),
            Typed::Command => self.beside(t, &line, asker),
            Typed::Line => match t.way {
                Way::Here { token, .. } => self.say_line(t, token, &line),
                Way::Apart => self.connect_student(t, Some(line)),
                Way::Awaiting { .. } | Way::Elsewhere { .. } => {
                    let words = "The session that is watched is spoken in the other terminal; \
                                 'connect' begins one here.";
                    t.words.push(words.into());
                }
            },
        }
        false
    }

    /// A command that is no part of the session.
    fn beside(&mut self, t: &mut Tutoring, line: &str, asker: &mut Asker) {
        let answer = match Command::parse(line.trim()) {
            Ok(command) => self.command(command, asker),
            Err(e) => Err(e.into()),
        };
        match answer {
            Ok(Answer::Done(report)) => t.words.extend(report.lines),
            Ok(Answer::Job(_)) => {}
            Err(refusal) => t.words.push(refusal.message),
        }
    }

    fn connect_student(&mut self, t: &mut Tutoring, then: Option<String>) {
        match self.begin_practice() {
            Ok(Some((id, token))) => {
                t.practised.push((id, token));
                t.way = Way::Here { id, token, heard: 0 };
                t.turn = Turn::Server { since: self.now.time, then };
                t.words.extend(t.tutor.connected());
            }
            Ok(None) => t.words.push("The server takes no more connections now.".into()),
            Err(e) => {
                t.words.push(format!("No connection can be made: {}", cause(&e)));
            }
        }
    }

    fn watch_student(&mut self, t: &mut Tutoring, which: &str) {
        if matches!(t.way, Way::Here { .. }) {
            return t.words.push("Say QUIT first: your session here goes on.".into());
        }
        if let Ok(id) = which.parse::<SessionId>() {
            match self.core.journal.sessions().get(id) {
                Some(record) if record.closed.is_none() && id.leg == Leg::In => {
                    t.way = Way::Elsewhere { id, heard: 0 };
                    t.words.extend(t.tutor.connected());
                }
                _ => t.words.push(format!("No inbound session {id} goes on.")),
            }
            return;
        }
        t.way = Way::Awaiting { after: self.sessions_in };
        let at = self.core.config.server.listen.first().map(|at| match at.ip() {
            ip if ip.is_unspecified() => format!("localhost {}", at.port()),
            ip => format!("{ip} {}", at.port()),
        });
        t.words.extend(t.tutor.watch(&at.unwrap_or_default()));
    }

    /// Sends a line; what cannot be typed is explained instead.
    fn say_line(&mut self, t: &mut Tutoring, token: Token, line: &str) {
        let verb = line.trim().to_ascii_uppercase();
        if self.is_securing(token) {
            return t.words.push("Not sent: STARTTLS was said, and TLS is not there yet.".into());
        }
        if verb == "STARTTLS" && !t.tutor.takes_content() {
            if !t.tutor.is_answered() || !self.speak_starttls(token, line) {
                return t.words.extend(t.tutor.no_tls());
            }
            t.tutor.sent(line);
            t.turn = Turn::Server { since: self.now.time, then: None };
            return;
        }
        if t.tutor.takes_content() && Tutor::is_word(line) {
            let line = line.trim();
            let words = format!("('{line}' is in the message now: only a line with a dot ends it)");
            t.words.push(words);
        }
        if !self.speak(token, line) {
            return t.words.push("The connection takes nothing more.".into());
        }
        t.tutor.sent(line);
        t.turn = Turn::Server { since: self.now.time, then: None };
    }

    /// What was said in the student's session since the last time.
    fn hear_session(&mut self, t: &mut Tutoring) {
        if let Way::Awaiting { after } = t.way {
            let ids = self.core.journal.sessions().live_ids(Leg::In);
            let Some(id) = ids.filter(|id| id.number > after).min_by_key(|id| id.number) else {
                return;
            };
            t.way = Way::Elsewhere { id, heard: 0 };
            let who = self.core.journal.sessions().get(id).and_then(|record| record.peer);
            let who = who.map_or(String::new(), |who| format!(" from {who}"));
            t.words.push(format!("Your session is {id}{who}. If not: watch"));
            t.words.extend(t.tutor.connected());
        }
        let (Way::Here { id, heard, .. } | Way::Elsewhere { id, heard }) = &mut t.way else {
            return;
        };
        let id = *id;
        let journal = &self.core.journal;
        let Some(record) = journal.sessions().get(id) else { return t.way = Way::Apart };
        let (all, closed) = (record.lines, record.closed.is_some());
        let lines = journal.transcript(id).map(|(lines, _)| lines).unwrap_or_default();
        let new = usize::try_from(all.saturating_sub(*heard)).unwrap_or(usize::MAX);
        *heard = all;
        let is_here = matches!(t.way, Way::Here { .. });
        let shows = |sign: Sign| match sign {
            Sign::Said { side: Side::Client, .. } => !t.has_view && !is_here,
            Sign::Said { .. } => !t.has_view,
            Sign::Event => false,
        };
        let mut accepted = false;
        for line in &lines[lines.len().saturating_sub(new)..] {
            if shows(line.sign) {
                let text = Printable::bounded(line.text, SHOWN);
                t.words.push(format!("  {} {}{text}", line.sign.as_str(), line.mark.prefix()));
            }
            accepted |= line.sign == Sign::Event;
            t.words.extend(t.tutor.hear(line.sign, line.text));
        }
        if accepted {
            self.tell_of_mail(t, id);
        }
        if closed {
            t.words.extend(t.tutor.closed());
            // Who came with telnet comes with telnet again.
            t.way = match t.way {
                Way::Elsewhere { .. } => Way::Awaiting { after: self.sessions_in },
                _ => Way::Apart,
            };
        }
    }

    /// Says once of each message that it is held.
    fn tell_of_mail(&mut self, t: &mut Tutoring, session: SessionId) {
        let Some(id) = self.core.held_in(session).last() else { return };
        if t.told_of.replace(id) == Some(id) {
            return;
        }
        let id = id.short();
        t.words.push(format!("(No mail leaves the lesson: {id} is held, and deleted when you"));
        t.words.push(format!("leave. Look at it: show {id} raw)"));
    }

    /// The student is gone.
    pub(super) fn leave_tutor(&mut self, t: &mut Tutoring) {
        for (id, token) in std::mem::take(&mut t.practised) {
            self.leave_practice(id, token);
        }
        t.way = Way::Apart;
    }
}

/// Tells what there is to be told.
fn tell_words(t: &mut Tutoring, id: u64, json: bool, asker: &mut Asker) {
    if t.words.is_empty() {
        return;
    }
    let words = std::mem::take(&mut t.words);
    let lines: Vec<Printable> = words.into_iter().map(Printable::from_shown).collect();
    asker.told.push_back(match json {
        true => Told::Json { id, part: format!("{}\n", json!({ "lines": lines })) },
        false => Told::Lines { id, lines },
    });
}
