//! `mailflux send`, which is also `sendmail` when linked by that name: submits the message on
//! standard input to the server of the configuration that is found.

mod addresses;
mod compose;
mod deliver;
mod message;
mod options;

use std::io::{self, Read as _};

use super::options::sources;
use super::{print, usage};
use crate::base::{Failure, cause, exit};
use crate::config::{Purpose, load};
use crate::reactor::wall_clock;
use crate::sys;
use compose::Circumstances;
pub(super) use deliver::deliver;
use message::Message;

/// `mailflux send [OPTIONS] [RECIPIENT ...]`.
pub(super) fn main(args: &[String]) -> Result<(), Failure> {
    let Some((request, matches)) = options::read(args)? else {
        return print(&options::page());
    };
    if request.recipients.is_empty() && !request.from_header {
        return Err(usage("no recipients; name them, or use -t"));
    }
    let config = load(&sources(&matches, Purpose::Find))?;
    let mut text = vec![];
    io::stdin().lock().read_to_end(&mut text).map_err(|e| {
        let message = format!("cannot read the message from standard input: {}", cause(&e));
        Failure::new(exit::SYSTEM, message)
    })?;
    let here = Circumstances {
        hostname: config.server.hostname.clone(),
        user: user(),
        now: wall_clock(),
        random: fastrand::u64(..),
    };
    let message = Message::read(&text, !request.ignore_dots);
    let (transaction, content) = compose::compose(&request, message, &here)?;
    deliver(&config, transaction, &content)
}

/// The login name: as the environment has it, else as the system has it.
fn user() -> String {
    let variable = |name| std::env::var(name).ok().filter(|user: &String| !user.is_empty());
    let known = variable("LOGNAME").or_else(|| variable("USER")).or_else(sys::user_name);
    known.unwrap_or_else(|| format!("uid{}", sys::effective_user()))
}
