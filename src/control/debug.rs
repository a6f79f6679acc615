//! How the commands of the debugger are read: breakpoints, and what is done with a held session.

use super::command::Command;
use super::parse::{Args, CommandError};
use crate::base::{Reply, parse_duration};
use crate::rules::{At, Breakpoint, Expr, FAULT_KEYS, Fault, Field, Place};

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

/// `fault add|list|delete`
#[derive(Clone, PartialEq, Debug)]
pub enum FaultCommand {
    /// Something is to go wrong.
    Add {
        /// What it is to be called; else it gets a name of its own.
        name: Option<String>,
        /// What, where, how often.
        fault: Box<Fault>,
    },
    /// All of them, their hits and what is left.
    List,
    /// The one with this name, or `all`.
    Delete(String),
}

/// What can be done with rules that have names.
pub const ADD_LIST_DELETE: &[&str] = &["add", "list", "delete"];

/// The legs of the relay.
const RELAY_LEGS: &str = "in or out; what the sink is asked and says is held by leg=out";

pub(super) fn breakpoints(args: &mut Args<'_>) -> Result<Command, CommandError> {
    Ok(Command::Break(match args.need_choice(ADD_LIST_DELETE)? {
        "add" => {
            args.skip("at");
            let at = args.stage()?;
            let [name, leg] = args.pairs(["name", "leg"])?;
            let relay = |word: &str| Place::parse(word).filter(|leg| *leg != Place::Sink);
            BreakCommand::Add {
                name: name.map(|name| name.value().to_owned()),
                breakpoint: Breakpoint {
                    at,
                    leg: leg.map(|leg| leg.read(RELAY_LEGS, relay)).transpose()?,
                    filter: args.moment_filter()?,
                    hits: 0,
                },
            }
        }
        "list" => BreakCommand::List,
        _ => BreakCommand::Delete(args.need("the name of a breakpoint, or all,")?.text.clone()),
    }))
}

pub(super) fn faults(args: &mut Args<'_>) -> Result<Command, CommandError> {
    Ok(Command::Fault(match args.need_choice(ADD_LIST_DELETE)? {
        "add" => fault(args)?,
        "list" => FaultCommand::List,
        _ => FaultCommand::Delete(args.need("the name of a fault, or all,")?.text.clone()),
    }))
}

fn fault(args: &mut Args<'_>) -> Result<FaultCommand, CommandError> {
    args.skip("at");
    let at = args.stage()?;
    let missing = args.wanted("").column;
    let [name, reply, delay, rate, cut, no, odds, count, lasts, seed, leg] = args.pairs([
        "name", "reply", "delay", "rate", "cut", "no", "odds", "count", "for", "seed", "leg",
    ])?;
    let pairs = [reply, delay, rate, cut, no, odds, count, lasts, seed, leg];
    let pair = |key| FAULT_KEYS.iter().position(|known| *known == key).and_then(|i| pairs[i]);
    let filter = args.moment_filter()?;
    let fault = Fault::read(at, filter, |key| pair(key).map(|pair| pair.value()));
    let fault = fault.map_err(|(key, message)| {
        let column = key.and_then(pair).map_or(missing, |pair| pair.column());
        CommandError::new(column, message)
    })?;
    Ok(FaultCommand::Add { name: name.map(|name| name.value().to_owned()), fault: fault.into() })
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

    /// The expression after `where`, about a moment at which there is no answer yet.
    fn moment_filter(&mut self) -> Result<Option<Expr>, CommandError> {
        let Some((before, source)) = self.condition() else { return Ok(None) };
        let wrong = |column, message| CommandError::new(before + column, message);
        let expr = Expr::parse(source).map_err(|e| wrong(e.column, e.message))?;
        let later = |field: &Field| matches!(field, Field::Reply | Field::Delay);
        match Expr::place_of(source, later).filter(|_| expr.asks(later)) {
            None => Ok(Some(expr)),
            Some((column, name)) => {
                let message = format!("'{name}' is not known before the answer is given");
                Err(wrong(column, message))
            }
        }
    }
}
