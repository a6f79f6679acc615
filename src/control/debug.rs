//! How the commands of the debugger are read: breakpoints, and what is done with a held session.

use super::command::Command;
use super::parse::{Args, CommandError};
use crate::base::{Reply, parse_duration};
use crate::rules::{At, Breakpoint, Place};

/// `break add|list|delete`
#[derive(Clone, PartialEq, Debug)]
pub enum BreakCommand {
    /// Hold sessions there.
    Add {
        /// What it is to be called; else it gets a name of its own.
        name: Option<String>,
        /// Where.
        breakpoint: Breakpoint,
    },
    /// All of them, and what they hold.
    List,
    /// The one with this name, or `all`.
    Delete(String),
}

/// What can be done with rules that have names.
pub const ADD_LIST_DELETE: &[&str] = &["add", "list", "delete"];

/// The legs of the relay.
const RELAY_LEGS: &str = "in or out";

pub(super) fn breakpoints(args: &mut Args<'_>) -> Result<Command, CommandError> {
    Ok(Command::Break(match args.need_choice(ADD_LIST_DELETE)? {
        "add" => {
            args.skip("at");
            let at = args.stage()?;
            let [name, leg] = args.pairs(["name", "leg"])?;
            let relay = |word: &str| Place::parse(word).filter(|leg| *leg != Place::Sink);
            BreakCommand::Add {
                name: name.map(|name| name.text().to_owned()),
                breakpoint: Breakpoint {
                    at,
                    leg: leg.map(|leg| leg.read(RELAY_LEGS, relay)).transpose()?,
                    filter: args.filter()?,
                    hits: 0,
                },
            }
        }
        "list" => BreakCommand::List,
        _ => BreakCommand::Delete(args.need("the name of a breakpoint, or all,")?.text.clone()),
    }))
}

/// `go ID|all`
pub(super) fn go(args: &mut Args<'_>) -> Result<Command, CommandError> {
    if args.skip("all") {
        return Ok(Command::Go(None));
    }
    Ok(Command::Go(Some(args.session()?)))
}

/// `reply ID CODE TEXT`
pub(super) fn reply(args: &mut Args<'_>) -> Result<Command, CommandError> {
    let session = args.session()?;
    let missing = args.wanted("the reply, such as 451 4.3.0 try later,");
    match args.rest() {
        text if text.is_empty() => Err(missing),
        text => match Reply::parse_text(&text) {
            Some(reply) => Ok(Command::Reply(session, reply)),
            None => {
                let what = "this is not a reply such as 451 4.3.0 try later";
                Err(CommandError::new(missing.column, what))
            }
        },
    }
}

/// `delay ID T`
pub(super) fn delay(args: &mut Args<'_>) -> Result<Command, CommandError> {
    let session = args.session()?;
    let word = args.need("a duration such as 30s")?;
    match parse_duration(&word.text) {
        Some(wait) => Ok(Command::Delay(session, wait)),
        None => {
            let message = format!("'{}' is not a duration such as 30s or 2m", word.text);
            Err(CommandError::new(word.column, message))
        }
    }
}

impl Args<'_> {
    /// The stage at which a rule is asked.
    pub(super) fn stage(&mut self) -> Result<At, CommandError> {
        let word = self.need("a stage such as rcpt")?;
        At::parse(&word.text).map_err(|message| CommandError::new(word.column, message))
    }
}
