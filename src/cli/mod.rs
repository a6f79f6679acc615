//! The command line: what the program is asked to do, and with which exit code it ends.
//!
//! Everything here runs before the loop begins or in a process that has none, so blocking is
//! allowed; nothing else in the program may call it.

mod attach;
mod check;
mod ctl;
mod demo;
mod explain;
mod help;
mod history;
mod man;
mod options;
mod passwd;
mod probe;
mod run;
mod send;
mod sink;
mod typing;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

pub use self::man::man_page;
use crate::base::{Failure, Printable, cause, exit, nearest};

/// The commands beside running the server.
const COMMANDS: &[&str] = &["attach", "ctl", "explain", "passwd", "probe", "send", "sink"];

/// Does what the command line asks for.
pub fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let result = texts(args).and_then(|args| dispatch(&program, args));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Who has closed standard error does not want to know.
            let _ = writeln!(io::stderr(), "{failure}");
            ExitCode::from(failure.exit)
        }
    }
}

/// The arguments as text.
fn texts(args: impl Iterator<Item = OsString>) -> Result<Vec<String>, Failure> {
    let text = |arg: OsString| {
        arg.into_string().map_err(|arg| {
            usage(format!("the argument {} is not UTF-8", Printable::new(arg.as_encoded_bytes())))
        })
    };
    args.map(text).collect()
}

fn dispatch(program: &OsString, args: Vec<String>) -> Result<(), Failure> {
    // Linked as sendmail, the program is sendmail.
    if Path::new(program).file_name().is_some_and(|name| name == "sendmail") {
        return send::main(&args);
    }
    let command = args.first().filter(|arg| !arg.starts_with('-'));
    match command.map(String::as_str) {
        None => run::main(&args),
        Some("passwd") => passwd::main(&args[1..]),
        Some("probe") => probe::main(&args[1..]),
        Some("send") => send::main(&args[1..]),
        Some("attach") => attach::main(&args[1..]),
        Some("ctl") => ctl::main(&args[1..]),
        Some("explain") => explain::main(&args[1..]),
        Some("sink") => sink::main(&args[1..]),
        // How the demonstration runs its client; not for people.
        Some(demo::CLIENT) => demo::client(&args[1..]),
        Some(word) => Err(unknown_command(word)),
    }
}

fn unknown_command(word: &str) -> Failure {
    let hint = match nearest(word, COMMANDS) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("commands are: {}; without one the server runs", COMMANDS.join(", ")),
    };
    usage(format!("unknown command '{}'; {hint}", Printable::bounded(word, 80)))
}

/// A wrong command line.
fn usage(message: impl Into<String>) -> Failure {
    Failure::new(exit::USAGE, message)
}

/// Writes to standard output. Who has heard enough and closed it is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(unwritten(&e)),
        _ => Ok(()),
    }
}

/// Standard output took no more.
fn unwritten(error: &io::Error) -> Failure {
    let message = format!("cannot write to standard output: {}", cause(error));
    Failure::new(exit::SYSTEM, message)
}
