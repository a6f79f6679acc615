//! `explain WORD|ID[:LINE]`: the book, or the lines of a session in their places.

use super::Refusal;
use super::status::help;
use crate::base::SessionId;
use crate::control::find;
use crate::explain;
use crate::journal::Report;
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::spool::Disk;

impl<N: Net, D: Disk> Reactor<N, D> {
    pub(super) fn explain(&self, asked: &str) -> Result<Report, Refusal> {
        if let Some((id, line)) = place(asked) {
            // `i7` alone stands in the book, too, as what such a name is.
            let known = self.core.journal.transcript(id);
            match known {
                Some((lines, forgotten)) => return in_session(id, line, &lines, !forgotten),
                None if line.is_some() => {
                    let what = format!("session {id} is not known, or not any more");
                    return Err(Refusal::new(what));
                }
                None => {}
            }
        }
        // For what is not in the book: the help of a command.
        explain::report(asked).or_else(|why| match find(asked.trim()) {
            Some(verb) => Ok(help(Some(verb.name))),
            None => Err(Refusal::new(why)),
        })
    }
}

/// `i7`, `i7:11`.
fn place(asked: &str) -> Option<(SessionId, Option<usize>)> {
    match asked.trim().split_once(':') {
        Some((id, line)) => Some((id.parse().ok()?, Some(line.parse().ok()?))),
        None => Some((asked.trim().parse().ok()?, None)),
    }
}

fn in_session(
    id: SessionId,
    line: Option<usize>,
    lines: &[crate::journal::Line<'_>],
    complete: bool,
) -> Result<Report, Refusal> {
    let Some(number) = line else {
        return Ok(explain::explain_session(id.leg, complete, lines));
    };
    explain::explain_line(id.leg, complete, lines, number).ok_or_else(|| {
        Refusal::new(format!("session {id} has {} lines, counted from 1", lines.len()))
    })
}
