//! `mailflux sink`: a next server for trials.

use getopts::Options;

use super::options::parse;
use super::{print, usage};
use crate::base::{Failure, Printable};
use crate::config::{Kind, Override, Sources, load};
use crate::{logger, reactor};

const HELP: &str = "\
Usage: mailflux sink ADDRESS:PORT [--store DIR]

A next server for trials. It accepts everything, and reads no mailflux.ini.
";

/// `mailflux sink ADDRESS:PORT [--store DIR]`.
pub(super) fn main(args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new();
    options.optopt("", "store", "keep the mail in this Maildir; else it is discarded", "DIR");
    options.optflag("h", "help", "print this; then exit");
    let matches = parse(&options, args)?;
    if matches.opt_present("help") {
        return print(&options.usage(HELP.trim_end()));
    }
    let [address] = matches.free.as_slice() else {
        return Err(usage("which address? mailflux sink ADDRESS:PORT [--store DIR]"));
    };
    if let Err(e) = Kind::Listen.parse(address) {
        return Err(usage(Printable::new(e).into_string()));
    }
    let set = |name: &str, value: &str| Override {
        shown: name.into(),
        given_by: name.into(),
        name: name.into(),
        value: value.into(),
    };
    let mut overrides = vec![set("sink.listen", address)];
    overrides.extend(matches.opt_str("store").map(|dir| set("sink.store", &dir)));
    if let Ok(level) = std::env::var("MAILFLUX_LOG") {
        if !level.is_empty() {
            overrides.push(Override { shown: "MAILFLUX_LOG".into(), ..set("log.level", &level) });
        }
    }
    let config = load(&Sources { overrides, ..Sources::default() })?;
    logger::set(&config.log);
    let result = reactor::run_sink(config);
    logger::flush();
    result
}
