//! `mailflux probe`: a next server of the configuration, tried step by step by this process.

use getopts::{Options, ParsingStyle};

use super::options::{add_config_options, add_next_server_option, parse, sources};
use super::{print, usage};
use crate::base::{Failure, exit};
use crate::config::{Purpose, load};
use crate::{logger, reactor};

const HELP: &str = "\
Usage: mailflux probe [NAME]

Tries a next server of the configuration step by step: DNS, TCP, TLS, EHLO, AUTH,
MAIL, RCPT. Nothing is sent. NAME is that of its section, [next_server.NAME]; without
it the server of [next_server] is tried. Exit code 69 when a step fails.
";

/// `mailflux probe [NAME]`
pub(super) fn main(args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new();
    options.parsing_style(ParsingStyle::FloatingFrees);
    add_config_options(&mut options);
    add_next_server_option(&mut options);
    options.optopt("", "from", "the sender; else <>", "ADDRESS");
    options.optopt("", "to", "the recipient; else the postmaster", "ADDRESS");
    options.optflag("", "json", "the answer as JSON");
    options.optflag("h", "help", "print this; then exit");
    let matches = parse(&options, args)?;
    if matches.opt_present("help") {
        return print(&options.usage(HELP.trim_end()));
    }
    let name = match matches.free.as_slice() {
        [] => "default",
        [name] => name,
        _ => return Err(usage("which next server? mailflux probe [NAME]")),
    };
    let config = load(&sources(&matches, Purpose::Serve))?;
    logger::set(&crate::config::LogSettings { level: "error".into(), ..config.log.clone() });
    let pairs = [("from", matches.opt_str("from")), ("rcpt", matches.opt_str("to"))];
    let pairs = pairs.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value?)));
    let words: Vec<String> =
        ["next", "probe", name].into_iter().map(str::to_owned).chain(pairs).collect();
    let line = crate::control::line_of_args(&words);
    let json = matches.opt_present("json");
    let (answer, refusal) = reactor::run_command(config, &line, json)?;
    match refusal {
        // Without an answer the question was wrong.
        Some(why) if answer.is_empty() => return Err(usage(why.as_str())),
        _ => print(&format!("{answer}{}", if json { "\n" } else { "" }))?,
    }
    match refusal {
        None => Ok(()),
        Some(why) => Err(Failure::new(exit::UNAVAILABLE, why.into_string())),
    }
}
