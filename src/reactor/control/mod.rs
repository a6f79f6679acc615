//! Those who ask and steer: `ctl`, `attach`, and a console in the server's own process.
//!
//! ```text
//!            Run                     sliced work
//!   Resting ─────▶ Working ◀──────────────┐
//!      ▲              │ one slice a tick ─┘
//!      └──── End ─────┘            beside it: Watching, from Watch until the asker is gone
//! ```
//!
//! An [`Asker`] is what all of them share: what it has asked, what is being worked on, what it is
//! to be told. Most commands are answered at once; what goes over all messages is a [`Job`] that
//! does a slice a tick, so that a queue of 100,000 messages does not stall the mail. What an asker
//! does not read is bounded: its job waits, and what it watches is dropped and counted (I9).
//!
//! `socket` is an asker at the control socket, `watch` what consoles are shown; the other files are
//! the commands.

mod debug;
mod explain;
mod export;
mod filters;
mod find;
mod hand;
mod jobs;
mod messages;
mod past;
mod probe;
mod report;
mod server;
mod sessions;
mod settings;
mod show;
mod socket;
mod status;
mod tables;
mod tutor;
mod visit;
mod watch;

use std::collections::VecDeque;

use self::find::Then;
pub use self::jobs::Job;
pub use self::socket::Asking;
pub use self::tables::explain_word;
pub use self::watch::Watching;
use super::Reactor;
use super::hold::Release;
use super::net::Net;
use crate::auth::Secret;
use crate::base::{Printable, Time};
use crate::control::{
    About, Command, CommandError, Follow, MessageAction, NextCommand, Recorded, Request, ShowPart,
    Told,
};
use crate::journal::Report;
use crate::spool::Disk;

/// Requests of one asker that wait while one is worked on; then its socket is not read.
const MAX_WAITING: usize = 16;
/// Lines that are told at once.
const LINES: usize = 64;

/// Somebody who asks.
#[derive(Default)]
pub struct Asker {
    waiting: VecDeque<Request>,
    job: Option<Working>,
    watching: Option<Watching>,
    /// What `confirm` would do, and until when.
    confirm: Option<Confirm>,
    /// What it is told of lines has notes.
    annotates: bool,
    /// What it is to be told, the oldest first.
    pub told: VecDeque<Told>,
}

/// A command that is being worked on.
struct Working {
    id: u64,
    json: bool,
    job: Job,
}

/// What waits to be confirmed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Confirm {
    pub action: MessageAction,
    pub messages: Vec<u64>,
    pub until: Time,
}

/// What came of a command.
pub(super) enum Answer {
    /// All of it.
    Done(Report),
    /// It is being worked on.
    Job(Job),
}

/// Why a command is not done.
pub(super) struct Refusal {
    column: Option<usize>,
    message: String,
}

impl Refusal {
    pub(super) fn new(message: impl Into<String>) -> Refusal {
        Refusal { column: None, message: message.into() }
    }
}

impl Refusal {
    /// With a place in the command.
    pub(super) fn at(column: usize, message: impl Into<String>) -> Refusal {
        Refusal { column: Some(column), message: message.into() }
    }
}

impl From<CommandError> for Refusal {
    fn from(e: CommandError) -> Refusal {
        Refusal { column: Some(e.column), message: e.message }
    }
}

impl From<Report> for Answer {
    fn from(report: Report) -> Answer {
        Answer::Done(report)
    }
}

impl Asker {
    /// Asks; to be called only while [`Asker::has_room`].
    pub fn ask(&mut self, request: Request) {
        let (Request::Give { id, .. } | Request::CannotGive { id, .. }) = request else {
            return self.waiting.push_back(request);
        };
        // A file that nobody waits for (any more) is none of our business.
        if let Some(Working { id: asked, job: Job::Want(wanting), .. }) = &mut self.job {
            if *asked == id {
                wanting.take(request);
            }
        }
    }

    /// Whether more may be asked now.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < MAX_WAITING
    }

    /// Something is asked or worked on.
    pub fn is_busy(&self) -> bool {
        self.job.is_some() || !self.waiting.is_empty()
    }

    /// When it is to be told what happened, if it listens and does not know everything before the
    /// event with number `newest`.
    pub fn news_due(&self, newest: u64) -> Option<Time> {
        let followed = match &self.job {
            Some(Working { job: Job::Follow(follow), .. }) => Some(&follow.reader),
            Some(Working { job: Job::Tutor(tutoring), .. }) => Some(&tutoring.reader),
            _ => None,
        };
        let readers = followed.into_iter().chain(self.watching.as_ref().map(|w| &w.reader));
        readers.filter(|reader| reader.seq < newest).map(|reader| reader.next).min()
    }

    /// When it is to be told how things stand.
    pub fn next_snapshot(&self) -> Time {
        self.watching.as_ref().map_or(Time::NEVER, |watching| watching.next_snapshot)
    }

    /// When its job is to be looked at again, whatever happens.
    pub fn job_due(&self, now: Time) -> Option<Time> {
        match &self.job {
            Some(Working { job: Job::Tutor(tutoring), .. }) => Some(tutoring.due()),
            Some(Working { job: Job::Probe(probing), .. }) => {
                Some(probing.until().min(now.after(probe::LOOK)))
            }
            _ => None,
        }
    }

    /// All that is to be done for it is to tell it what happens. (What it asks behind `follow`
    /// has no turn.)
    pub fn only_listens(&self) -> bool {
        match &self.job {
            Some(working) => working.job.listens(),
            None => self.is_watching() && self.waiting.is_empty(),
        }
    }

    /// It is in conversation: what it is told is answered by what it says.
    pub fn is_talking(&self) -> bool {
        match &self.job {
            Some(Working { job: Job::Tutor(_), .. }) => true,
            Some(Working { job: Job::Want(wanting), .. }) => {
                wanting.waits() && self.waiting.is_empty()
            }
            _ => false,
        }
    }

    /// What it says in a conversation goes before other requests: none can be done meanwhile.
    fn hear_said(&mut self) {
        let Some(Working { id, job: Job::Tutor(tutoring), .. }) = &mut self.job else { return };
        if !tutoring.waits() {
            return;
        }
        let said = |request: &Request| matches!(request, Request::Say { id: to, .. } if to == id);
        let Some(at) = self.waiting.iter().position(said) else { return };
        if let Some(Request::Say { line, .. }) = self.waiting.remove(at) {
            tutoring.hear_student(line);
        }
    }

    fn has_said(&self, id: u64) -> bool {
        let said = |request: &Request| matches!(request, Request::Say { id: to, .. } if *to == id);
        self.is_talking() && self.waiting.iter().any(said)
    }

    /// It watches what happens.
    pub fn is_watching(&self) -> bool {
        self.watching.is_some()
    }

    fn tell_report(&mut self, id: u64, json: bool, report: Report) {
        if json {
            self.told.push_back(Told::Json { id, part: report.json.to_string() });
            return;
        }
        let mut lines = report.lines.into_iter().map(Printable::from_shown).peekable();
        while lines.peek().is_some() {
            let lines = lines.by_ref().take(LINES).collect();
            self.told.push_back(Told::Lines { id, lines });
        }
    }

    fn refuse(&mut self, id: u64, refusal: Refusal) {
        let message = Printable::from_shown(refusal.message);
        self.told.push_back(Told::Fault { id, column: refusal.column, message });
        self.told.push_back(Told::End { id, ok: false });
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Does a slice of what an asker wants; true when there is more to be done at once. To be
    /// called only while the asker takes what it is told.
    pub fn serve(&mut self, asker: &mut Asker) -> bool {
        asker.hear_said();
        if let Some(mut working) = asker.job.take() {
            let Working { id, json, .. } = working;
            match self.work(&mut working.job, (id, json), asker) {
                Ok(true) => asker.told.push_back(Told::End { id, ok: true }),
                Ok(false) => asker.job = Some(working),
                Err(refusal) => asker.refuse(id, refusal),
            }
        } else {
            match asker.waiting.pop_front() {
                Some(Request::Run { id, line, json }) => self.begin_command(asker, id, &line, json),
                Some(Request::Watch { backlog }) => self.watch(asker, backlog),
                // These do not wait: see `ask`.
                Some(Request::Give { .. } | Request::CannotGive { .. }) => {}
                // The conversation ended before it was heard.
                Some(Request::Say { .. }) | None => {}
            }
        }
        match &asker.job {
            Some(working) => !working.job.waits() || asker.has_said(working.id),
            None => !asker.waiting.is_empty(),
        }
    }

    /// Does a command that is answered at once, for simulations; the error says why not.
    pub fn obey(&mut self, line: &str) -> Result<serde_json::Value, String> {
        let command = Command::parse(line).map_err(|e| e.to_string())?;
        match self.command(command, &mut Asker::default()) {
            Ok(Answer::Done(report)) => Ok(report.json),
            Ok(Answer::Job(_)) => Err("not answered at once".into()),
            Err(refusal) => Err(refusal.message),
        }
    }

    fn begin_command(&mut self, asker: &mut Asker, id: u64, line: &str, json: bool) {
        let answer = match Command::parse(line) {
            Ok(command) => self.command(command, asker),
            Err(e) => Err(e.into()),
        };
        match answer {
            Ok(Answer::Done(report)) => {
                asker.tell_report(id, json, report);
                asker.told.push_back(Told::End { id, ok: true });
            }
            Ok(Answer::Job(job)) => asker.job = Some(Working { id, json, job }),
            Err(refusal) => asker.refuse(id, refusal),
        }
    }

    /// The one place where every command is known.
    fn command(&mut self, command: Command, asker: &mut Asker) -> Result<Answer, Refusal> {
        let now = self.now;
        Ok(match command {
            Command::Help(verb) => status::help(verb).into(),
            Command::Status => self.status().into(),
            Command::Stats { reset } => self.stats(reset).into(),
            Command::Analyse { what, last } => self.analyse(what, last),
            Command::Explain(word) => self.explain(&word)?,
            Command::Sessions { last } => self.sessions(last),
            Command::Session { id, view } => {
                self.find(Recorded::Session(id), Then::Session(id, view))?
            }
            Command::Follow { what, notes } => {
                if let Some(notes) = notes {
                    self.give_notes(asker, notes);
                }
                match what {
                    Follow::Message(counter) => {
                        self.find(Recorded::Message(counter), Then::Follow(what))?
                    }
                    Follow::Session(id) => self.find(Recorded::Session(id), Then::Follow(what))?,
                    what => Answer::Job(Job::follow(what, &mut self.core.journal)),
                }
            }
            Command::Mark(text) => {
                let text = Printable::new(text);
                let text = format!("──── {text}").trim_end().to_owned();
                self.core.say(now, crate::journal::Level::Info, &text);
                server::done("marked").into()
            }
            Command::Pause | Command::Resume => {
                return Err(Refusal::new("only a console has a view to pause: 'mailflux attach'"));
            }
            Command::Tutor { lesson } => self.begin_tutor(lesson, asker)?,
            Command::Annotate(on) => self.annotate(on, asker).into(),
            Command::Queue { age: true, filter } => Answer::Job(Job::ages(filter)),
            Command::Queue { age: false, filter } => Answer::Job(Job::listing(filter)),
            Command::Show { message, part: ShowPart::Attempts } => {
                self.find(Recorded::Message(message), Then::Attempts(message))?
            }
            Command::Show { message, part } => self.show(message, part)?.into(),
            Command::Messages { action, which } => self.begin_messages(action, which)?,
            Command::Confirm => self.confirm(asker)?,
            Command::Report { file, about: About::Message(counter) } => {
                self.find(Recorded::Message(counter), Then::Report(file, counter))?
            }
            Command::Report { file, about: About::Time(last) } => self.report_time(file, last),
            Command::Export { what, form, file } => self.export(what, form, file)?,
            Command::Resend { message, via } => self.resend(message, via)?,
            Command::Replay(replay) => Self::begin_replay(replay),
            Command::Flush => self.flush_queue().into(),
            Command::Fault(command) => self.faults(command)?.into(),
            Command::Break(command) => self.breakpoints(command)?.into(),
            Command::Step(id) => self.step_session(id)?.into(),
            Command::Go(Some(id)) => self.release(id, &Release::Go)?.into(),
            Command::Go(None) => self.release_all().into(),
            Command::Reply(id, reply) => self.release(id, &Release::Reply(reply))?.into(),
            Command::Drop(id) => self.release(id, &Release::Drop)?.into(),
            Command::Delay(id, wait) => self.delay_session(id, wait)?.into(),
            Command::Config(command) => self.configure(command)?.into(),
            Command::Trace { on, what } => self.trace(on, what)?.into(),
            Command::Log(level) => self.set_setting("log.level", &level)?.into(),
            Command::Next(NextCommand::Probe { name, from, rcpt }) => {
                self.begin_probe(&name, from, rcpt)?
            }
            Command::Next(command) => self.next_command(command)?.into(),
            Command::Filter(command) => self.filter_command(command)?.into(),
            Command::Check(mail) => self.check(&mail).into(),
            Command::Quit { now } => self.quit(now).into(),
        })
    }

    /// Goes on with a command whose files are here.
    fn with_files(&mut self, command: &Command, files: &[Secret]) -> Result<Answer, Refusal> {
        match command {
            Command::Replay(replay) => self.replay(replay, files),
            _ => Err(Refusal::new("this command takes no file")),
        }
    }
}
