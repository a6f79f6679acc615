//! `attach`: the console on a server that runs elsewhere on this machine.

use super::options::parse;
use super::{ctl, history, print, usage};
use crate::base::{Failure, exit};
use crate::reactor::{Parting, attach};

/// `mailflux attach [--socket PATH]`
pub(super) fn main(args: &[String]) -> Result<(), Failure> {
    let options = ctl::connect_options();
    let matches = parse(&options, args)?;
    if matches.opt_present("help") {
        return print(&options.usage(BRIEF));
    }
    if let Some(word) = matches.free.first() {
        return Err(usage(format!("attach takes no '{word}'; one command is for: mailflux ctl")));
    }
    let (path, server) = ctl::connect(&matches)?;
    let (parting, commands) = attach(server, &history::read())?;
    history::add(&commands);
    match parting {
        Parting::Left => Ok(()),
        Parting::Bye(why) => print(&format!("{why}\n")),
        Parting::Lost => {
            let path = ctl::shown(&path);
            Err(Failure::new(exit::UNAVAILABLE, format!("the server at {path} is gone")))
        }
    }
}

const BRIEF: &str = "mailflux attach [--socket PATH]\n\n\
    The console, on a server that runs elsewhere on this machine. Ctrl-D leaves it; the server \
    goes on.";
