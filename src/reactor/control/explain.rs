//! `explain WORD|ID[:LINE]`: the book, or the lines of a session in their places.

use super::find::Then;
use super::tables::explain_word;
use super::{Answer, Refusal};
use crate::base::SessionId;
use crate::control::Recorded;
use crate::explain;
use crate::journal::{Conversation, Report};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::spool::Disk;

impl<N: Net, D: Disk> Reactor<N, D> {
    pub(super) fn explain(&mut self, asked: &str) -> Result<Answer, Refusal> {
        match place(asked) {
            Some((id, line)) => self.find(Recorded::Session(id), Then::Explain(id, line)),
            None => in_book(asked).map(Answer::from).map_err(|refusal| match message(asked) {
                Some(id) => Refusal::new(format!(
                    "what is explained is a session's dialogue; 'show {id} attempts' names the \
                     sessions in which {id} was spoken of"
                )),
                None => refusal,
            }),
        }
    }
}

fn in_book(asked: &str) -> Result<Report, Refusal> {
    explain_word(asked).map_err(Refusal::new)
}

/// `q1A`.
fn message(asked: &str) -> Option<&str> {
    let digits = asked.trim().strip_prefix('q')?;
    let is_id = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then_some(asked.trim())
}

/// `i7`, `i7:11`.
fn place(asked: &str) -> Option<(SessionId, Option<usize>)> {
    match asked.trim().split_once(':') {
        Some((id, line)) => Some((id.parse().ok()?, Some(line.parse().ok()?))),
        None => Some((asked.trim().parse().ok()?, None)),
    }
}

/// A session that was found, or all that is known of such a name.
pub(super) fn in_session(
    id: SessionId,
    line: Option<usize>,
    found: Option<&Conversation>,
) -> Result<Report, Refusal> {
    let Some(conversation) = found else {
        // `i7` alone stands in the book, too, as what such a name is.
        return match line {
            None => in_book(&id.to_string()),
            Some(_) => Err(super::find::unknown_session(id)),
        };
    };
    let lines = conversation.transcript();
    let Some(number) = line else {
        return Ok(explain::explain_session(id.leg, conversation.complete, &lines));
    };
    explain::explain_line(id.leg, conversation.complete, &lines, number).ok_or_else(|| {
        Refusal::new(format!("session {id} has {} lines, counted from 1", lines.len()))
    })
}
