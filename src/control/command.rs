//! What can be asked of a running server.

use std::net::IpAddr;
use std::time::Duration;

use super::debug::{BreakCommand, FaultCommand};
use super::parse::{Args, CommandError};
use super::{verbs, words};
use crate::base::{Address, Reply, SessionId};
use crate::journal::Analysis;
use crate::rules::Expr;

/// A command, checked as far as its words alone allow.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// `help [VERB]`; the verb in full.
    Help(Option<&'static str>),
    /// `status`
    Status,
    /// `stats [reset]`
    Stats {
        /// Count from zero on.
        reset: bool,
    },
    /// `quit [now]`
    Quit {
        /// Without waiting for open transactions.
        now: bool,
    },
    /// `sessions [last=10m]`
    Sessions {
        /// Also those that ended so long ago.
        last: Option<Duration>,
    },
    /// `session ID [ladder|raw|hex]`
    Session {
        /// Which.
        id: SessionId,
        /// How to show it.
        view: SessionView,
    },
    /// `follow [notes=on|off] [ID|where E]`; without anything: all again.
    Follow {
        /// What is shown.
        what: Follow,
        /// With a note on each line; else as `annotate` says.
        notes: Option<bool>,
    },
    /// `mark [TEXT]`
    Mark(String),
    /// `pause`
    Pause,
    /// `resume`
    Resume,
    /// `annotate on|off`
    Annotate(bool),
    /// `report FILE [QID|last=T]`
    Report {
        /// To be written by the process that asks.
        file: String,
        /// What it is about.
        about: About,
    },
    /// `tutor [LESSON]`
    Tutor {
        /// From 1.
        lesson: usize,
    },
    /// `queue [age] [where E]`
    Queue {
        /// The table by age and next server instead of the messages.
        age: bool,
        /// Only those.
        filter: Option<Expr>,
    },
    /// `show QID [PART]`
    Show {
        /// Which message, by its counter.
        message: u64,
        /// What of it.
        part: ShowPart,
    },
    /// `hold|release|retry|bounce|delete QID|where E`
    Messages {
        /// What to do.
        action: MessageAction,
        /// With which.
        which: Which,
    },
    /// `confirm`: do what the command before said that it would.
    Confirm,
    /// `export ID FORM FILE`
    Export {
        /// Of what.
        what: Recorded,
        /// As what.
        form: Form,
        /// Where, in the process that asks.
        file: String,
    },
    /// `resend QID via=HOST:PORT`
    Resend {
        /// Which message, by its counter.
        message: u64,
        /// Where to.
        via: (String, u16),
    },
    /// `replay FILE to HOST:PORT [key=value …]`
    Replay(Box<Replay>),
    /// `flush`
    Flush,
    /// `fault …`
    Fault(FaultCommand),
    /// `break …`
    Break(BreakCommand),
    /// `step ID`: let it go, and hold it at its next stage.
    Step(SessionId),
    /// `go ID|all`: let one or all that are held go.
    Go(Option<SessionId>),
    /// `reply ID CODE TEXT`: this instead of the real answer.
    Reply(SessionId, Reply),
    /// `drop ID`: close its connection.
    Drop(SessionId),
    /// `delay ID T`: let it go after so long.
    Delay(SessionId, Duration),
    /// `config …`
    Config(ConfigCommand),
    /// `analyse WHAT [last=1h]`
    Analyse {
        /// What.
        what: Analysis,
        /// Of the last so long; else since the start.
        last: Option<Duration>,
    },
    /// `explain WORD`
    Explain(String),
    /// `trace on|off smtp|queue`
    Trace {
        /// On or off.
        on: bool,
        /// One of [`verbs::TRACES`].
        what: &'static str,
    },
    /// `log LEVEL`, in env_logger's filter syntax, not yet checked.
    Log(String),
    /// `next …`
    Next(NextCommand),
    /// `filter …`
    Filter(FilterCommand),
    /// `check client=IP from=A rcpt=B …`
    Check(Box<Imagined>),
}

/// Mail that nobody has sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imagined {
    /// Who would connect.
    pub client: IpAddr,
    /// The sender; none is `<>`.
    pub from: Option<Address>,
    /// The recipient.
    pub rcpt: Address,
    /// The EHLO argument, if it is known.
    pub helo: Option<String>,
    /// Octets of the message, if they are known.
    pub size: Option<u64>,
    /// Whether it would come inside TLS.
    pub tls: bool,
    /// As whom the client would log in.
    pub user: Option<String>,
    /// The fields of the header that are known: names and values.
    pub header: Vec<(String, String)>,
}

/// `filter add|list|delete`
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FilterCommand {
    /// One more, behind the others.
    Add(NewFilter),
    /// All.
    List,
    /// The one with this name, or all.
    Delete(Option<String>),
}

/// A filter to be added. Its words make sense together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewFilter {
    /// Its name, if one was given.
    pub name: Option<String>,
    /// Keys and values as in a section of the file.
    pub words: Vec<(&'static str, String)>,
    /// Where the next servers stand, of which only the server knows whether they exist.
    pub via_column: usize,
}

/// How `session` shows a session.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum SessionView {
    /// Its lines.
    #[default]
    Lines,
    /// Both legs side by side, with delays.
    Ladder,
    /// The octets of its lines alone.
    Raw,
    /// The octets of its lines in hexadecimal.
    Hex,
}

/// What is recorded and can be exported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recorded {
    /// A session.
    Session(SessionId),
    /// A message, by its counter.
    Message(u64),
}

/// A recorded client that is to speak again. Its files are those of the process that asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    /// An export.
    pub file: String,
    /// Where to.
    pub via: (String, u16),
    /// Which session of the export.
    pub session: ReplaySession,
    /// How fast.
    pub pace: Pace,
    /// Replies that differ in any octet, not in their codes alone, are told.
    pub bytes: bool,
    /// How TLS comes in.
    pub tls: ReplayTls,
    /// What is sent as content instead of what was.
    pub content: Option<String>,
    /// Who logs in, and the file with the password.
    pub login: Option<(String, String)>,
}

/// Which session of an export is replayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplaySession {
    /// The first inbound one, else the first.
    Usual,
    /// The first part of this one.
    Named(SessionId),
    /// Counted from 1, in the order of the file.
    Numbered(usize),
}

/// How TLS comes into a replay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplayTls {
    /// As it came then.
    Recorded,
    /// Not at all.
    None,
    /// After STARTTLS, also where it was not said then.
    StartTls,
    /// With the first octet.
    Implicit,
}

/// How fast `replay` speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// With the pauses that were recorded.
    Recorded,
    /// Each command as soon as it can be said.
    AtOnce,
}

/// What a report is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// A message, by its counter.
    Message(u64),
    /// The last so long; else since the start.
    Time(Option<Duration>),
}

/// How `export` writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A transcript.
    Text,
    /// The same for programs.
    Json,
    /// The message's octets.
    Eml,
    /// Packets.
    Pcap,
    /// A dialog test.
    Dialog,
}

/// What `follow` narrows the view to.
#[derive(Clone, PartialEq, Debug)]
pub enum Follow {
    /// Nothing: all is shown.
    All,
    /// A session.
    Session(SessionId),
    /// A message, by its counter.
    Message(u64),
    /// What an expression holds for.
    Where(Expr),
}

/// A part of a message.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ShowPart {
    /// Sender, recipients, their states.
    #[default]
    Envelope,
    /// The header.
    Headers,
    /// The tree of its parts.
    Mime,
    /// Its Received fields with the delays between them.
    Hops,
    /// Each attempt with the remote reply.
    Attempts,
    /// What is wrong with it.
    Lint,
    /// All of it, made printable.
    Raw,
}

/// What can be done with a queued message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageAction {
    /// Try it no more until it is released.
    Hold,
    /// Undo a hold.
    Release,
    /// Make it due now.
    Retry,
    /// Give it up and tell its sender.
    Bounce,
    /// Remove it, telling nobody.
    Delete,
}

impl MessageAction {
    /// The verb.
    pub const fn name(self) -> &'static str {
        match self {
            MessageAction::Hold => "hold",
            MessageAction::Release => "release",
            MessageAction::Retry => "retry",
            MessageAction::Bounce => "bounce",
            MessageAction::Delete => "delete",
        }
    }

    /// What was done, for people.
    pub const fn past(self) -> &'static str {
        match self {
            MessageAction::Hold => "held",
            MessageAction::Release => "released",
            MessageAction::Retry => "due now",
            MessageAction::Bounce => "bounced by hand",
            MessageAction::Delete => "deleted",
        }
    }
}

/// Which messages an action is for.
#[derive(Clone, PartialEq, Debug)]
pub enum Which {
    /// The one with this counter.
    Message(u64),
    /// Those that an expression holds for.
    Where(Expr),
}

/// `config get|set|diff|save|reload`
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigCommand {
    /// One setting by its full name, or all.
    Get(Option<String>),
    /// A setting and its new value.
    Set(String, String),
    /// What differs from the file.
    Diff,
    /// Write what differs into the file.
    Save,
    /// Read the file again, forgetting changes made while running.
    Reload,
}

/// `next list|pause|resume`
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NextCommand {
    /// All next servers and their states.
    List,
    /// Try it step by step, without mail.
    Probe {
        /// Which.
        name: String,
        /// The sender; none is `<>`.
        from: Option<Address>,
        /// The recipient; else the postmaster.
        rcpt: Option<Address>,
    },
    /// Send nothing there, until resumed.
    Pause(String),
    /// Send there again.
    Resume(String),
}

impl Command {
    /// Reads a line.
    pub fn parse(line: &str) -> Result<Command, CommandError> {
        let words = words::split(line)?;
        let mut args = Args::new(line, &words);
        let (column, name) = args.verb()?;
        let verb = verbs::resolve(column, name)?;
        let command = (verb.parse)(&mut args)?;
        args.end(verb)?;
        Ok(command)
    }
}
