//! `mailflux passwd`: a line for the users file.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use getopts::Options;

use super::options::parse;
use super::{print, usage};
use crate::auth::{self, Secret, Users};
use crate::base::{Failure, Printable, cause, exit};
use crate::sys;

const HELP: &str = "\
Usage: mailflux passwd USER

Prints a line for the users file (auth.users), with keys made of a password. On
a terminal it asks for it twice, else the first line of its input is taken:

    mailflux passwd ann >> users
";

/// Octets of a password; what is longer was not typed.
const MAX_PASSWORD: u64 = 1024;

/// `mailflux passwd USER`.
pub(super) fn main(args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new();
    options.optflag("h", "help", "print this; then exit");
    let matches = parse(&options, args)?;
    if matches.opt_present("help") {
        return print(&options.usage(HELP.trim_end()));
    }
    let [user] = matches.free.as_slice() else {
        return Err(usage("which user? mailflux passwd USER"));
    };
    auth::check_name(user).map_err(|why| {
        usage(format!("'{}' cannot be a user: {why}", Printable::bounded(user, 80)))
    })?;
    let password = if io::stdin().is_terminal() { ask_twice(user)? } else { read_line()? };
    let password = std::str::from_utf8(password.expose()).map_err(|_| bad("is not UTF-8"))?;
    if password.is_empty() {
        return Err(bad("is empty"));
    }
    let line = Users::line(user, password, auth::random())
        .ok_or_else(|| bad("contains control characters, or nothing that can be seen"))?;
    print(&format!("{line}\n"))
}

fn bad(what: &str) -> Failure {
    Failure::new(exit::DATA, format!("the password {what}; choose another"))
}

/// Asks on a terminal, without showing what is typed.
fn ask_twice(user: &str) -> Result<Secret, Failure> {
    let failed = |e: io::Error| {
        Failure::new(exit::SYSTEM, format!("cannot ask for a password: {}", cause(&e)))
    };
    let hidden = sys::hide_input().map_err(failed)?;
    let ask = |prompt: &str| {
        let _ = write!(io::stderr(), "{prompt}");
        let password = read_line();
        let _ = writeln!(io::stderr());
        password
    };
    let first = ask(&format!("Password of {user}: "))?;
    if first.is_empty() {
        return Ok(first);
    }
    let second = ask("The same again: ")?;
    drop(hidden);
    if first != second {
        return Err(Failure::new(exit::DATA, "the two passwords differ; try again"));
    }
    Ok(first)
}

/// The first line of standard input, without its end.
fn read_line() -> Result<Secret, Failure> {
    // As large as it can get: what grows leaves copies behind.
    let mut line = Vec::with_capacity(MAX_PASSWORD as usize + 2);
    let read = io::stdin().lock().take(MAX_PASSWORD + 2).read_until(b'\n', &mut line);
    read.map_err(|e| {
        Failure::new(exit::SYSTEM, format!("cannot read the password: {}", cause(&e)))
    })?;
    while line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
        line.pop();
    }
    if line.len() as u64 > MAX_PASSWORD {
        return Err(bad("is longer than 1024 octets"));
    }
    Ok(Secret::new(line))
}
