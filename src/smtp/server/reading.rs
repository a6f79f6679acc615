//! Reading command lines: where one ends, how long it may get, and who does not speak SMTP at all.
//!
//! A line ends by CRLF only (RFC 5321 section 2.3.8). An unfinished one stays in the reactor's
//! buffer, so the machine keeps nothing but how far it has searched; one that grows past
//! [`MAX_LINE`] is swallowed as it comes.

use memchr::memmem;

use super::command::{self, MAX_LINE, Stranger};
use super::{Action, Context, Introduction, ServerSession, State, replies};
use crate::auth;
use crate::base::Reply;

/// Octets of a stranger's first words that a transcript shows.
const MAX_SHOWN: usize = 80;

impl ServerSession {
    /// Looks for a command line in `rest`, which begins at `used` in the input of this step.
    pub(super) fn read_command(
        &mut self,
        rest: &[u8],
        searched: usize,
        used: usize,
        cx: &Context<'_>,
    ) -> (usize, Option<Action>) {
        if let Some(stranger) = command::stranger(rest) {
            return (rest.len(), Some(self.send_away(stranger, rest, used)));
        }
        let (longest, too_long) = match command::is_auth(rest) {
            true => (auth::MAX_LINE, replies::RESPONSE_TOO_LONG),
            false => (MAX_LINE, replies::LINE_TOO_LONG),
        };
        let window = &rest[..rest.len().min(longest)];
        if let Some(end) = line_end(window, searched) {
            self.await_command(cx);
            let is_command = self.handle(&rest[..end], cx);
            return (end + 2, Some(self.heard(&rest[..end], used, is_command)));
        }
        if window.len() == longest {
            self.state = State::LongLine { cr: window.ends_with(b"\r"), reply: too_long };
            return (longest, Some(self.heard(window, used, false)));
        }
        self.state = State::Command { searched: window.len() };
        (0, Some(Action::Read))
    }

    /// Swallows up to the end of the line.
    pub(super) fn swallow_line(
        &mut self,
        rest: &[u8],
        cr: bool,
        cx: &Context<'_>,
    ) -> (usize, Option<Action>) {
        let end = match rest {
            [b'\n', ..] if cr => Some(1),
            _ => memmem::find(rest, b"\r\n").map(|at| at + 2),
        };
        if let Some(end) = end {
            let reply = match std::mem::replace(&mut self.state, State::Command { searched: 0 }) {
                State::LongLine { reply, .. } => reply,
                _ => replies::LINE_TOO_LONG,
            };
            self.await_command(cx);
            self.object(reply, cx);
            return (end, None);
        }
        if let (Some(last), State::LongLine { cr, .. }) = (rest.last(), &mut self.state) {
            *cr = *last == b'\r';
        }
        (rest.len(), Some(Action::Read))
    }

    /// A line that is no command earned this.
    pub(super) fn object(&mut self, reply: Reply, cx: &Context<'_>) {
        // RFC 5321 section 3.1: after a 554 greeting there is one answer to everything.
        let unserved = matches!(self.introduction, Introduction::Unserved);
        self.say(if unserved { replies::NO_SERVICE } else { reply }, cx);
    }

    /// A line for the transcript.
    fn heard(&mut self, line: &[u8], used: usize, is_command: bool) -> Action {
        match command::redacted(line) {
            Some(text) => Action::HeardSecret(text),
            None if !is_command && self.is_sent_ahead() => Action::HeardSecret(b"***".to_vec()),
            None => Action::Heard(used..used + line.len()),
        }
    }

    /// Ends a session with one who speaks another protocol. A browser that was made to send mail
    /// must not get as far as the lines that look like commands.
    fn send_away(&mut self, stranger: Stranger, rest: &[u8], used: usize) -> Action {
        self.abort_content();
        match stranger {
            Stranger::Http => self.farewell(replies::NOT_HTTP, "client speaks HTTP"),
            Stranger::Tls => self.farewell(replies::NOT_TLS, "client speaks TLS"),
        }
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        Action::Heard(used..used + end.min(MAX_SHOWN))
    }
}

/// Where the line's CRLF is, when the octets before `searched` are known to hold no end.
pub(super) fn line_end(window: &[u8], searched: usize) -> Option<usize> {
    let ends = memchr::memchr_iter(b'\n', &window[searched..]).map(|at| at + searched);
    // A bare LF is a part of the line.
    ends.filter(|at| *at > 0 && window[at - 1] == b'\r').map(|at| at - 1).next()
}
