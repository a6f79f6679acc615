//! The table of verbs: name, form, one line of help, and how the words after it are read. Help,
//! completion and the parser come from it. A verb stands here when it does something.

use super::command::{
    About, Command, ConfigCommand, Follow, Form, MessageAction, NextCommand, Recorded, SessionView,
    ShowPart, Which,
};
use super::debug;
use super::filters::{FILTERS, check, filter};
use super::parse::{Args, CommandError, one_of};
use super::replay;
use crate::base::{Address, Domain, nearest};
use crate::journal::Analysis;

/// A verb.
#[derive(Debug)]
pub struct Verb {
    /// As it is written in full.
    pub name: &'static str,
    /// The form of the command.
    pub usage: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// Words that may follow, for completion.
    pub objects: &'static [&'static str],
    /// Reads what follows.
    pub(super) parse: fn(&mut Args<'_>) -> Result<Command, CommandError>,
}

const SESSION_VIEWS: &[&str] = &["ladder", "raw", "hex"];
const SHOW_PARTS: &[&str] = &["envelope", "headers", "mime", "hops", "attempts", "lint", "raw"];
const FORMS: &[&str] = &["text", "json", "eml", "pcap", "dialog"];
const CONFIGS: &[&str] = &["get", "set", "diff", "save", "reload"];
const ANALYSES: &[&str] = &[
    "latency",
    "senders",
    "recipients",
    "clients",
    "codes",
    "sizes",
    "retries",
    "busiest",
    "tls",
    "pairs",
];
const NEXTS: &[&str] = &["list", "probe", "pause", "resume"];
const ON_OFF: &[&str] = &["on", "off"];
/// What can be traced.
pub const TRACES: &[&str] = &["smtp", "tls", "dns", "queue"];

/// All verbs, in the order of the help.
pub static VERBS: &[Verb] = &[
    Verb {
        name: "help",
        usage: "help [VERB]",
        help: "what can be said, or the form of one command",
        objects: &[],
        parse: help,
    },
    Verb {
        name: "status",
        usage: "status",
        help: "version, connections, queue, counters, the longest tick",
        objects: &[],
        parse: |_| Ok(Command::Status),
    },
    Verb {
        name: "stats",
        usage: "stats [reset]",
        help: "counters and latencies of the last minute, hour and day; or count from zero on",
        objects: &["reset"],
        parse: |args| Ok(Command::Stats { reset: args.choice(&["reset"])?.is_some() }),
    },
    Verb {
        name: "sessions",
        usage: "sessions [last=10m]",
        help: "the live sessions, or also those that ended not long ago",
        objects: &["last="],
        parse: |args| Ok(Command::Sessions { last: args.last()? }),
    },
    Verb {
        name: "session",
        usage: "session ID [ladder|raw|hex]",
        help: "the dialogue of a session",
        objects: SESSION_VIEWS,
        parse: session,
    },
    Verb {
        name: "follow",
        usage: "follow [notes=on|off] [ID|where EXPR]",
        help: "show only a session, a message or what an expression holds for; alone: all",
        objects: &["where", "notes="],
        parse: follow,
    },
    Verb {
        name: "mark",
        usage: "mark [TEXT]",
        help: "draw a line into the view",
        objects: &[],
        parse: |args| Ok(Command::Mark(args.rest())),
    },
    Verb {
        name: "pause",
        usage: "pause",
        help: "freeze the view; the server goes on",
        objects: &[],
        parse: |_| Ok(Command::Pause),
    },
    Verb {
        name: "resume",
        usage: "resume",
        help: "let the view go on",
        objects: &[],
        parse: |_| Ok(Command::Resume),
    },
    Verb {
        name: "annotate",
        usage: "annotate on|off",
        help: "a short note beside each live line, with ** before what breaks a rule",
        objects: ON_OFF,
        parse: |args| Ok(Command::Annotate(args.need_choice(ON_OFF)? == "on")),
    },
    Verb {
        name: "tutor",
        usage: "tutor [LESSON]",
        help: "learn SMTP by speaking it: lessons in which every line is explained",
        objects: &[],
        parse: tutor,
    },
    Verb {
        name: "queue",
        usage: "queue [age] [where EXPR]",
        help: "the messages in the queue, or the table by age and next server",
        objects: &["age", "where"],
        parse: |args| {
            let age = args.choice(&["age"])?.is_some();
            Ok(Command::Queue { age, filter: args.filter()? })
        },
    },
    Verb {
        name: "show",
        usage: "show QID [envelope|headers|mime|hops|attempts|lint|raw]",
        help: "a message in the queue",
        objects: SHOW_PARTS,
        parse: show,
    },
    Verb {
        name: "hold",
        usage: "hold QID|where EXPR",
        help: "try messages no more until they are released",
        objects: &["where"],
        parse: |args| messages(args, MessageAction::Hold),
    },
    Verb {
        name: "release",
        usage: "release QID|where EXPR",
        help: "undo a hold",
        objects: &["where"],
        parse: |args| messages(args, MessageAction::Release),
    },
    Verb {
        name: "retry",
        usage: "retry QID|where EXPR",
        help: "make messages due now",
        objects: &["where"],
        parse: |args| messages(args, MessageAction::Retry),
    },
    Verb {
        name: "bounce",
        usage: "bounce QID|where EXPR",
        help: "give messages up and tell their senders",
        objects: &["where"],
        parse: |args| messages(args, MessageAction::Bounce),
    },
    Verb {
        name: "delete",
        usage: "delete QID|where EXPR",
        help: "remove messages, telling nobody",
        objects: &["where"],
        parse: |args| messages(args, MessageAction::Delete),
    },
    Verb {
        name: "export",
        usage: "export ID text|json|eml|pcap|dialog FILE",
        help: "write a session, or what is known of a message, into a new file",
        objects: FORMS,
        parse: export,
    },
    Verb {
        name: "resend",
        usage: "resend QID via=HOST:PORT",
        help: "send a copy of a message to another server, once; the message stays as it is",
        objects: &["via="],
        parse: |args| {
            let message = args.message()?;
            let [via] = args.pairs(["via"])?;
            let via = via.ok_or_else(|| args.wanted("via=HOST:PORT"))?;
            Ok(Command::Resend { message, via: via.read("HOST:PORT", host_and_port)? })
        },
    },
    Verb {
        name: "replay",
        usage: "replay FILE to HOST:PORT [session=ID|N] [content=FILE.eml] \
                [user=NAME password=FILE] [tls=recorded|none|starttls|implicit] \
                [pace=at-once|recorded] [compare=code|bytes]",
        help: "say again what a recorded client said, and show the replies that differ",
        objects: &["to", "session=", "content=", "user=", "password=", "tls=", "pace=", "compare="],
        parse: replay::parse,
    },
    Verb {
        name: "report",
        usage: "report FILE [QID|last=1h]",
        help: "write a page about a message, or about all mail, into a new file; .html has charts",
        objects: &["last="],
        parse: report,
    },
    Verb {
        name: "confirm",
        usage: "confirm",
        help: "do what the command before asked to have confirmed",
        objects: &[],
        parse: |_| Ok(Command::Confirm),
    },
    Verb {
        name: "flush",
        usage: "flush",
        help: "make all messages due now and try paused servers",
        objects: &[],
        parse: |_| Ok(Command::Flush),
    },
    Verb {
        name: "fault",
        usage: "fault add STAGE [reply=\"CODE TEXT\"] [delay=T] [rate=N] [cut=N] [no=WORDS] \
                [odds=N%] [count=N] [for=T] [seed=N] [leg=in|out|sink] [name=NAME] [where EXPR] \
                | list | delete NAME|all",
        help: "let something go wrong on purpose, for tests: see docs/testing.md",
        objects: debug::ADD_LIST_DELETE,
        parse: debug::faults,
    },
    Verb {
        name: "break",
        usage: "break add at STAGE [leg=in|out] [name=NAME] [where EXPR] | list | delete NAME|all",
        help: "hold sessions at a stage, before the reply or the command goes out",
        objects: debug::ADD_LIST_DELETE,
        parse: debug::breakpoints,
    },
    Verb {
        name: "step",
        usage: "step ID",
        help: "let a held session go as far as its next stage; or hold one that runs there",
        objects: &[],
        parse: |args| Ok(Command::Step(args.session()?)),
    },
    Verb {
        name: "go",
        usage: "go ID|all",
        help: "let a held session go",
        objects: &["all"],
        parse: debug::go,
    },
    Verb {
        name: "reply",
        usage: "reply ID CODE TEXT",
        help: "give a held session this reply: to the client, or as if the next server had said it",
        objects: &[],
        parse: debug::reply,
    },
    Verb {
        name: "drop",
        usage: "drop ID",
        help: "close the connection of a held session without a word",
        objects: &[],
        parse: |args| Ok(Command::Drop(args.session()?)),
    },
    Verb {
        name: "delay",
        usage: "delay ID DURATION",
        help: "let a held session go by itself after so long",
        objects: &[],
        parse: debug::delay,
    },
    Verb {
        name: "config",
        usage: "config get|set|diff|save|reload [SECTION.KEY [VALUE]]",
        help: "look at settings, change them while running, keep the changes",
        objects: CONFIGS,
        parse: config,
    },
    Verb {
        name: "analyse",
        usage: "analyse latency|senders|recipients|clients|codes|sizes|retries|busiest|tls|pairs \
                [last=1h]",
        help: "where time goes, and who and what comes most often",
        objects: ANALYSES,
        parse: analyse,
    },
    Verb {
        name: "explain",
        usage: "explain WORD|ID[:LINE]",
        help: "what a command, code, extension, state or fault means; or the lines of a session",
        objects: &[],
        parse: |args| match args.rest() {
            word if word.is_empty() => Err(args.wanted("a word to explain")),
            word => Ok(Command::Explain(word)),
        },
    },
    Verb {
        name: "trace",
        usage: "trace on|off smtp|tls|dns|queue",
        help: "write every line of it into the log, or no more",
        objects: ON_OFF,
        parse: |args| {
            let on = args.need_choice(ON_OFF)? == "on";
            Ok(Command::Trace { on, what: args.need_choice(TRACES)? })
        },
    },
    Verb {
        name: "log",
        usage: "log LEVEL",
        help: "how much is logged: error, warn, info, debug, trace, or several target=level",
        objects: &["error", "warn", "info", "debug", "trace", "off"],
        parse: |args| Ok(Command::Log(args.need("a level")?.text.clone())),
    },
    Verb {
        name: "next",
        usage: "next list|probe|pause|resume [NAME] [from=ADDRESS] [rcpt=ADDRESS]",
        help: "the next servers; try one step by step; send nothing to one, or again",
        objects: NEXTS,
        parse: next,
    },
    Verb {
        name: "filter",
        usage: "filter add ACTION [\"CODE TEXT\"] [key=value ...] [where EXPR] | list | \
                delete NAME|all",
        help: "rules for mail: refuse, hold, discard, tag, redirect, route or limit what fits",
        objects: FILTERS,
        parse: filter,
    },
    Verb {
        name: "check",
        usage: "check client=IP [from=ADDRESS] rcpt=ADDRESS [helo= size= subject= header.NAME= \
                tls= user=]",
        help: "what would be done with such mail, and which rule decides",
        objects: &[
            "client=", "from=", "rcpt=", "helo=", "size=", "subject=", "header.", "tls=", "user=",
        ],
        parse: check,
    },
    Verb {
        name: "quit",
        usage: "quit [now]",
        help: "end the server, after open transactions or at once",
        objects: &["now"],
        parse: |args| Ok(Command::Quit { now: args.choice(&["now"])?.is_some() }),
    },
];

/// The verb that is written or shortened.
pub(super) fn resolve(column: usize, written: &str) -> Result<&'static Verb, CommandError> {
    let names = || VERBS.iter().map(|verb| verb.name);
    let name = one_of(written, names()).map_err(|several| {
        let message = match (several.is_empty(), nearest(written, names())) {
            (false, _) => format!("'{written}' may be {}", several.join(" or ")),
            (true, Some(near)) => format!("unknown command '{written}'; did you mean '{near}'?"),
            (true, None) => format!("unknown command '{written}'; 'help' lists all"),
        };
        CommandError::new(column, message)
    })?;
    find(name).ok_or_else(|| CommandError::new(column, "unknown command"))
}

/// The verb with this name, in full.
pub fn find(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.name == name)
}

fn help(args: &mut Args<'_>) -> Result<Command, CommandError> {
    if args.is_empty() {
        return Ok(Command::Help(None));
    }
    let (column, written) = args.verb()?;
    Ok(Command::Help(Some(resolve(column, written)?.name)))
}

fn session(args: &mut Args<'_>) -> Result<Command, CommandError> {
    let id = args.session()?;
    let view = match args.choice(SESSION_VIEWS)? {
        Some("ladder") => SessionView::Ladder,
        Some("raw") => SessionView::Raw,
        Some("hex") => SessionView::Hex,
        _ => SessionView::Lines,
    };
    Ok(Command::Session { id, view })
}

fn follow(args: &mut Args<'_>) -> Result<Command, CommandError> {
    let notes = follow_notes(args)?;
    if let Some(filter) = args.filter()? {
        return Ok(Command::Follow { what: Follow::Where(filter), notes });
    }
    if args.is_empty() {
        return Ok(Command::Follow { what: Follow::All, notes });
    }
    let what = match args.recorded()? {
        Recorded::Session(id) => Follow::Session(id),
        Recorded::Message(counter) => Follow::Message(counter),
    };
    Ok(Command::Follow { what, notes })
}

fn follow_notes(args: &mut Args<'_>) -> Result<Option<bool>, CommandError> {
    let [notes] = args.pairs(["notes"])?;
    let read = |text: &str| match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    };
    notes.map(|notes| notes.read("on or off", read)).transpose()
}

fn tutor(args: &mut Args<'_>) -> Result<Command, CommandError> {
    if args.is_empty() {
        return Ok(Command::Tutor { lesson: 1 });
    }
    let word = args.need("the number of a lesson")?;
    let lesson = word.text.parse().map_err(|_| {
        CommandError::new(word.column, format!("'{}' is not the number of a lesson", word.text))
    })?;
    Ok(Command::Tutor { lesson })
}

fn show(args: &mut Args<'_>) -> Result<Command, CommandError> {
    let message = args.message()?;
    let part = match args.choice(SHOW_PARTS)? {
        Some("headers") => ShowPart::Headers,
        Some("mime") => ShowPart::Mime,
        Some("hops") => ShowPart::Hops,
        Some("attempts") => ShowPart::Attempts,
        Some("lint") => ShowPart::Lint,
        Some("raw") => ShowPart::Raw,
        _ => ShowPart::Envelope,
    };
    Ok(Command::Show { message, part })
}

fn report(args: &mut Args<'_>) -> Result<Command, CommandError> {
    let file = args.need("the file to write")?.text.clone();
    let last = args.last()?;
    let about = match last {
        None if !args.is_empty() => About::Message(args.message()?),
        last => About::Time(last),
    };
    Ok(Command::Report { file, about })
}

fn export(args: &mut Args<'_>) -> Result<Command, CommandError> {
    let what = args.recorded()?;
    let form = match args.need_choice(FORMS)? {
        "text" => Form::Text,
        "json" => Form::Json,
        "eml" => Form::Eml,
        "pcap" => Form::Pcap,
        _ => Form::Dialog,
    };
    let file = args.need("the file to write")?.text.clone();
    Ok(Command::Export { what, form, file })
}

/// `mail.example.com:25`, `192.0.2.1:25`, `[2001:db8::1]:25`.
pub(super) fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let valid = match bare {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<std::net::Ipv4Addr>().is_ok() || Domain::is_valid(host),
    };
    let port = port.parse().ok().filter(|port| *port > 0 && valid)?;
    Some((bare.unwrap_or(host).to_owned(), port))
}

fn messages(args: &mut Args<'_>, action: MessageAction) -> Result<Command, CommandError> {
    let which = match args.filter()? {
        Some(filter) => Which::Where(filter),
        None => Which::Message(args.message()?),
    };
    Ok(Command::Messages { action, which })
}

fn config(args: &mut Args<'_>) -> Result<Command, CommandError> {
    let setting = "the name of a setting, such as queue.interval,";
    let command = match args.need_choice(CONFIGS)? {
        "get" => ConfigCommand::Get(Some(args.rest()).filter(|name| !name.is_empty())),
        "set" => {
            let name = args.need(setting)?.text.clone();
            if args.is_empty() {
                return Err(args.wanted("the value (\"\" for none)"));
            }
            ConfigCommand::Set(name, args.rest())
        }
        "diff" => ConfigCommand::Diff,
        "save" => ConfigCommand::Save,
        _ => ConfigCommand::Reload,
    };
    Ok(Command::Config(command))
}

fn analyse(args: &mut Args<'_>) -> Result<Command, CommandError> {
    let what = match args.need_choice(ANALYSES)? {
        "latency" => Analysis::Latency,
        "senders" => Analysis::Senders,
        "recipients" => Analysis::Recipients,
        "clients" => Analysis::Clients,
        "codes" => Analysis::Codes,
        "sizes" => Analysis::Sizes,
        "retries" => Analysis::Retries,
        "busiest" => Analysis::Busiest,
        "tls" => Analysis::Tls,
        _ => Analysis::Pairs,
    };
    Ok(Command::Analyse { what, last: args.last()? })
}

fn next(args: &mut Args<'_>) -> Result<Command, CommandError> {
    let name = "the name of a next server";
    Ok(Command::Next(match args.need_choice(NEXTS)? {
        "list" => NextCommand::List,
        "probe" => {
            let name = args.need(name)?.text.clone();
            let [from, rcpt] = args.pairs(["from", "rcpt"])?;
            NextCommand::Probe {
                name,
                from: from.map_or(Ok(None), |from| from.read("an address", sender))?,
                rcpt: rcpt.map(|rcpt| rcpt.read("an address", address)).transpose()?,
            }
        }
        "pause" => NextCommand::Pause(args.need(name)?.text.clone()),
        _ => NextCommand::Resume(args.need(name)?.text.clone()),
    }))
}

pub(super) fn address(text: &str) -> Option<Address> {
    let path = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
    Address::parse(path.unwrap_or(text)).ok()
}

/// None for the null sender.
pub(super) fn sender(text: &str) -> Option<Option<Address>> {
    match text {
        "" | "<>" => Some(None),
        text => address(text).map(Some),
    }
}
