//! A command that converses, such as `tutor`: lines of standard input, one for each prompt.
//!
//! While a line is waited for, what the server says is shown all the same. From a terminal lines
//! come as its driver edits them; from a file or a pipe they are shown behind the prompt, so that
//! the output reads like a session.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write};
use std::os::fd::AsFd;

use crate::base::Printable;
use crate::control::Request;
use crate::sys;

/// Octets of a line; what is longer is several.
const MAX_LINE: usize = 8192;

/// What is typed, and who waits for it.
#[derive(Default)]
pub struct Typing {
    /// The command that wants a line, and its prompt.
    wanted: Option<(u64, Printable)>,
    /// The prompt is the last that was shown, on a terminal.
    is_shown: bool,
    input: Option<File>,
    typed: Vec<u8>,
    ended: bool,
}

impl Typing {
    /// A line is wanted.
    pub fn prompted(&mut self, id: u64, prompt: Printable, out: &mut impl Write) -> io::Result<()> {
        if io::stdin().is_terminal() {
            write!(out, "{prompt}")?;
            out.flush()?;
            self.is_shown = true;
        }
        self.wanted = Some((id, prompt));
        Ok(())
    }

    /// Something else is to be shown.
    pub fn make_room(&mut self, out: &mut impl Write) -> io::Result<()> {
        if std::mem::take(&mut self.is_shown) {
            writeln!(out)?;
        }
        Ok(())
    }

    /// Waits until there is a line that is wanted, which it gives, or until the server has
    /// something to say.
    pub fn wait(
        &mut self,
        server: &impl AsFd,
        out: &mut impl Write,
    ) -> io::Result<Option<Request>> {
        let Some((id, prompt)) = self.wanted.clone() else { return Ok(None) };
        if !self.is_shown && io::stdin().is_terminal() {
            write!(out, "{prompt}")?;
            out.flush()?;
            self.is_shown = true;
        }
        loop {
            if let Some(line) = self.line() {
                if !io::stdin().is_terminal() {
                    let shown = Printable::new(line.as_deref().unwrap_or_default());
                    writeln!(out, "{prompt}{shown}")?;
                } else if line.is_none() {
                    // Ctrl-D leaves the cursor behind the prompt.
                    writeln!(out)?;
                }
                (self.wanted, self.is_shown) = (None, false);
                return Ok(Some(Request::Say { id, line }));
            }
            let stdin = io::stdin();
            let ready = sys::wait_for_input([server.as_fd(), stdin.as_fd()])?;
            if ready[0] {
                return Ok(None);
            }
            if ready[1] {
                self.read()?;
            }
        }
    }

    /// The next line that is here, or none for the end: then what is left is the last one.
    fn line(&mut self) -> Option<Option<String>> {
        let end = self.typed.iter().take(MAX_LINE).position(|b| *b == b'\n');
        let (end, next) = match end {
            Some(end) => (end, end + 1),
            None if self.typed.len() >= MAX_LINE => (MAX_LINE, MAX_LINE),
            None if self.ended && self.typed.is_empty() => return Some(None),
            None if self.ended => (self.typed.len(), self.typed.len()),
            None => return None,
        };
        let line = String::from_utf8_lossy(&self.typed[..end]).trim_end_matches('\r').to_owned();
        self.typed.drain(..next);
        Some(Some(line))
    }

    /// Reads without a buffer of the library's, which would keep octets that no poll tells of.
    fn read(&mut self) -> io::Result<()> {
        let input = match &mut self.input {
            Some(input) => input,
            None => {
                let stdin = io::stdin();
                self.input.insert(File::from(stdin.as_fd().try_clone_to_owned()?))
            }
        };
        let mut octets = [0; 4096];
        match input.read(&mut octets) {
            Ok(0) => self.ended = true,
            Ok(n) => self.typed.extend_from_slice(&octets[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_kinds() {
        let mut typing = Typing { typed: b"EHLO x\r\n\nlast".to_vec(), ..Typing::default() };
        assert_eq!(typing.line(), Some(Some("EHLO x".into())));
        assert_eq!(typing.line(), Some(Some(String::new())));
        assert_eq!(typing.line(), None);
        typing.ended = true;
        assert_eq!(typing.line(), Some(Some("last".into())));
        assert_eq!(typing.line(), Some(None));
        typing.typed = vec![b'x'; MAX_LINE + 1];
        assert_eq!(typing.line().flatten().map(|line| line.len()), Some(MAX_LINE));
        assert_eq!(typing.line().flatten().map(|line| line.len()), Some(1));
    }
}
