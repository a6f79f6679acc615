//! Running the server.

use std::io::{self, IsTerminal as _};

use getopts::Matches;

use super::options::{parse, server_options, sources};
use super::{check, demo, help, history, print, unknown_command, usage};
use crate::base::Failure;
use crate::config::{Config, Purpose, Sources, load};
use crate::logger;
use crate::reactor::{self, Seat};

/// `mailflux [OPTIONS]`.
pub(super) fn main(args: &[String]) -> Result<(), Failure> {
    let matches = parse(&server_options(), args)?;
    if matches.opt_present("help") {
        return print(&help::page());
    }
    if matches.opt_present("version") {
        return print(&format!("mailflux {}\n", env!("CARGO_PKG_VERSION")));
    }
    contradictions(&matches)?;
    let sources = sources(&matches, Purpose::Serve);
    if matches.opt_present("check-config") {
        let config = load(&sources)?;
        reactor::Certs::load(&config)?;
        reactor::server_user(&config)?;
        return print(&check::page(&config));
    }
    if matches.opt_present("demo") {
        // Only what the command line says.
        return demo::run(Sources { search: vec![], ..sources }, has_console(&matches));
    }
    serve(load(&sources)?, has_console(&matches))
}

/// Whether a console is wanted.
fn has_console(matches: &Matches) -> bool {
    let terminals = io::stdin().is_terminal() && io::stdout().is_terminal();
    matches.opt_present("console") || (terminals && !matches.opt_present("headless"))
}

/// Runs the server, with a console or without.
pub(super) fn serve(config: Config, console: bool) -> Result<(), Failure> {
    logger::set(&config.log);
    let mut seat = console.then(|| Seat { earlier: history::read(), typed: vec![] });
    let result = reactor::run(config, seat.as_mut());
    history::add(&seat.unwrap_or_default().typed);
    logger::flush();
    result
}

/// What each option allows and all together do not.
fn contradictions(matches: &Matches) -> Result<(), Failure> {
    if let Some(word) = matches.free.first() {
        if super::COMMANDS.contains(&word.as_str()) {
            return Err(usage(format!("the command comes first: mailflux {word} [OPTIONS]")));
        }
        return Err(unknown_command(word));
    }
    if matches.opt_present("console") && matches.opt_present("headless") {
        return Err(usage("leave out --console or --headless"));
    }
    if matches.opt_present("demo") {
        if matches.opt_present("spool") {
            return Err(usage("--demo has a scratch spool of its own; leave out -d"));
        }
        if matches.opt_present("config") {
            return Err(usage("--demo reads no configuration file; leave out -c"));
        }
    }
    Ok(())
}
