//! The command line: options by getopts, subcommands, exit codes of sysexits.

mod check;
mod demo;
mod options;
mod send;
mod sendmail;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::base::{Failure, Printable, exit};
use crate::config::{self, Override, Purpose, Sources};
use crate::logger;
use crate::reactor;
use options::{Invocation, usage};

/// Names of subcommands, for the list in errors.
const COMMANDS: &str = "send, sink";

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in failure.message.lines() {
                let _ = writeln!(std::io::stderr(), "{}", Printable::new(line.replace('\\', "/")));
            }
            ExitCode::from(failure.exit)
        }
    }
}

fn dispatch(args: &[String]) -> Result<(), Failure> {
    let name = args.first().map_or("mailflux", String::as_str);
    let called = Path::new(name).file_name().and_then(|n| n.to_str()).unwrap_or("mailflux");
    let rest = args.get(1..).unwrap_or_default();
    if called == "sendmail" {
        return send::run(rest);
    }
    match rest.first().map(String::as_str) {
        Some("send") => send::run(&rest[1..]),
        Some("sink") => sink(&rest[1..]),
        // How the demonstration runs its client; not for people.
        Some(demo::CLIENT) => demo::client(&rest[1..]),
        Some(word) if !word.starts_with('-') => {
            let word = Printable::new(word);
            let message = format!("unknown command '{word}'; there are: {COMMANDS}; see --help");
            Err(Failure::new(exit::USAGE, message))
        }
        _ => serve(rest),
    }
}

/// Runs the server, or one of the options that only tell something.
fn serve(args: &[String]) -> Result<(), Failure> {
    let invocation = Invocation::parse(args)?;
    if invocation.help {
        return print(&usage());
    }
    if invocation.version {
        return print(&format!("mailflux {}\n", env!("CARGO_PKG_VERSION")));
    }
    if invocation.demo {
        return demo::run(invocation);
    }
    let config = config::load(&invocation.sources())?;
    if invocation.check {
        return print(&check::listing(&config));
    }
    logger::set(&config.log);
    reactor::run(config)
}

/// `mailflux sink ADDRESS:PORT [--store DIR]`.
fn sink(args: &[String]) -> Result<(), Failure> {
    const USAGE: &str = "usage: mailflux sink ADDRESS:PORT [--store DIR]";
    let mut options = getopts::Options::new();
    options.optopt("", "store", "", "DIR").optflag("h", "help", "");
    let parsed = options.parse(args);
    let parsed = parsed.map_err(|e| Failure::new(exit::USAGE, format!("{e}; {USAGE}")))?;
    if parsed.opt_present("help") {
        return print(&format!("{USAGE}\n"));
    }
    let [address] = &parsed.free[..] else { return Err(Failure::new(exit::USAGE, USAGE)) };
    let set = |name: &str, value: &str| Override {
        shown: format!("sink {value}"),
        given_by: "sink".to_owned(),
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let mut overrides = vec![set("sink.listen", address)];
    overrides.extend(parsed.opt_str("store").map(|dir| set("sink.store", &dir)));
    let sources = Sources { overrides, purpose: Purpose::Find, ..Sources::default() };
    let config = config::load(&sources)?;
    logger::set(&config.log);
    reactor::run_sink(config)
}

/// Writes to standard output; a reader that has gone away is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(exit::SYSTEM, format!("cannot write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}
