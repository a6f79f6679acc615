//! The content of a recorded session, in the pieces in which it was sent: one after DATA, one
//! with each BDAT (RFC 3030 section 2).
//!
//! Transcripts tell how long it was. Its octets come from where they can be had:
//!
//! | content | comes from |
//! | --- | --- |
//! | that the user gives | it goes whole, whatever was sent then |
//! | of a message that the export holds | the end of it: in front of it stands what we added |
//! | of any other | lines of the same size, that say what they are |

use std::borrow::Cow;

use super::super::content::{MAX_MADE, chunk_of, made, size_of};
use super::super::read::{KeptContent, Recorded};
use crate::journal::{Side, Verb};

/// What is sent in place of a piece.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Piece<'a> {
    pub(super) octets: Cow<'a, [u8]>,
    /// It is the last one of its message.
    pub(super) last: bool,
    /// It stands for what is not known.
    pub(super) made_up: bool,
}

/// A piece as it was sent.
struct Sent {
    size: u64,
    last: bool,
}

/// All pieces of a session, in order.
pub(super) fn pieces<'a>(
    recorded: &Recorded,
    kept: &'a [KeptContent],
    given: Option<&'a [u8]>,
) -> Result<Vec<Piece<'a>>, String> {
    let mut all = Vec::new();
    let mut message: Vec<Sent> = Vec::new();
    let mut verb = Verb::Connect;
    for (at, line) in recorded.lines.iter().enumerate() {
        let sent = match line.side() {
            Some(Side::Client) => {
                verb = Verb::of_line(&line.text);
                if verb == Verb::Mail {
                    // Chunks before it were given up.
                    finish(&mut all, &mut message, None, given)?;
                }
                chunk_of(&line.text).map(|size| Sent { size, last: is_last(&line.text) })
            }
            None if verb == Verb::Data && line.text.ends_with(b"content]") => {
                size_of(&line.text).map(|size| Sent { size, last: true })
            }
            _ => None,
        };
        let Some(sent) = sent else { continue };
        let last = sent.last;
        message.push(sent);
        if last {
            let known = accepted(recorded, at).and_then(|id| {
                kept.iter().find(|kept| kept.message == id).map(|kept| &kept.octets[..])
            });
            finish(&mut all, &mut message, known, given)?;
        }
    }
    finish(&mut all, &mut message, None, given)?;
    Ok(all)
}

/// `BDAT 120 LAST`
fn is_last(command: &[u8]) -> bool {
    command.trim_ascii_end().to_ascii_uppercase().ends_with(b" LAST")
}

/// The message that the content at this line became, such as `q1A`: told before the reply to it.
fn accepted(recorded: &Recorded, at: usize) -> Option<&str> {
    let after = recorded.lines.get(at + 1..)?;
    let events = after.iter().take_while(|line| line.side() != Some(Side::Server));
    events.filter(|line| line.side().is_none()).find_map(|line| {
        let text = std::str::from_utf8(&line.text).ok()?;
        let (id, rest) = text.split_once(' ')?;
        rest.starts_with("accepted").then_some(id)
    })
}

/// A message is over: its pieces are cut from what there is.
fn finish<'a>(
    all: &mut Vec<Piece<'a>>,
    message: &mut Vec<Sent>,
    known: Option<&'a [u8]>,
    given: Option<&'a [u8]>,
) -> Result<(), String> {
    let total = message.iter().fold(0, |sum: u64, sent| sum.saturating_add(sent.size));
    let length = usize::try_from(total).unwrap_or(usize::MAX);
    let known = known.filter(|known| known.len() >= length).map(|all| &all[all.len() - length..]);
    let mut rest = given.or(known);
    for sent in message.drain(..) {
        let (octets, made_up) = match &mut rest {
            Some(rest) => {
                let size = usize::try_from(sent.size).unwrap_or(usize::MAX).min(rest.len());
                let size = if sent.last { rest.len() } else { size };
                let (piece, behind) = rest.split_at(size);
                *rest = behind;
                (Cow::Borrowed(piece), false)
            }
            None if sent.size > MAX_MADE => {
                return Err(format!("content of {} octets is too much to be made up", sent.size));
            }
            None => (Cow::Owned(made(usize::try_from(sent.size).unwrap_or(0))), true),
        };
        all.push(Piece { octets, last: sent.last, made_up });
    }
    Ok(())
}
