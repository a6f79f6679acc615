//! Running the server.

use getopts::Matches;

use super::options::{parse, server_options, sources};
use super::{check, demo, help, print, unknown_command, usage};
use crate::base::Failure;
use crate::config::{Purpose, Sources, load};
use crate::{logger, reactor};

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
        return print(&check::page(&load(&sources)?));
    }
    if matches.opt_present("demo") {
        // Only what the command line says.
        return demo::run(Sources { search: vec![], ..sources });
    }
    let config = load(&sources)?;
    logger::set(&config.log);
    let result = reactor::run(config);
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
    if matches.opt_present("console") {
        let hint = if matches.opt_present("headless") {
            "leave out --console or --headless"
        } else {
            "this version has no console yet; leave out --console"
        };
        return Err(usage(hint));
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
