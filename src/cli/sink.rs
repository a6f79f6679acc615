//! `mailflux sink`: a next server for trials.

use getopts::Options;

use super::options::{parse, set};
use super::{print, usage};
use crate::base::{Failure, Printable};
use crate::config::{Kind, Override, Sources, load};
use crate::{logger, reactor};

const HELP: &str = "\
Usage: mailflux sink ADDRESS:PORT [--store DIR] [-c FILE] [-s SECTION.KEY=VALUE]

A next server for trials. It accepts everything, and reads no mailflux.ini but the one
that -c names. With [fault.NAME] in that, or with -s fault.NAME.KEY=VALUE, it misbehaves
on purpose: see docs/testing.md.
";

/// `mailflux sink ADDRESS:PORT [--store DIR]`.
pub(super) fn main(args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new();
    options.optopt("", "store", "keep the mail in this Maildir; else it is discarded", "DIR");
    options.optopt("c", "config", "take settings, such as [fault.NAME], from this file", "FILE");
    options.optmulti("s", "set", "set one setting (repeatable)", "SECTION.KEY=VALUE");
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
    let given = |name: &str, value: &str| Override {
        shown: name.into(),
        given_by: name.into(),
        name: name.into(),
        value: value.into(),
    };
    let mut overrides: Vec<Override> = matches.opt_strs("s").iter().map(|text| set(text)).collect();
    overrides.push(given("sink.listen", address));
    overrides.extend(matches.opt_str("store").map(|dir| given("sink.store", &dir)));
    if let Ok(level) = std::env::var("MAILFLUX_LOG") {
        if !level.is_empty() {
            overrides.push(Override { shown: "MAILFLUX_LOG".into(), ..given("log.level", &level) });
        }
    }
    let file = matches.opt_str("c").map(Into::into);
    let config = load(&Sources { file, overrides, ..Sources::default() })?;
    logger::set(&config.log);
    let result = reactor::run_sink(config);
    logger::flush();
    result
}
