//! `ctl`: one command to a running server, and its answer.

use std::io::{self, BufRead as _, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use getopts::{Matches, Options, ParsingStyle};
use serde_json::json;

use super::options::{add_config_options, parse, sources};
use super::typing::Typing;
use super::{print, unwritten, usage};
use crate::base::{Failure, Printable, cause, exit};
use crate::config::{Purpose, load};
use crate::control::{Request, Told, line_of_args};
use crate::reactor::Files;

/// The exit code of a command that the server did not do.
const REFUSED: u8 = 1;

/// `mailflux ctl [--socket PATH] [--json] COMMAND [ARG ...]`
pub(super) fn main(args: &[String]) -> Result<(), Failure> {
    let matches = parse(&options(), args)?;
    if matches.opt_present("help") {
        return print(&options().usage(BRIEF));
    }
    if matches.free.is_empty() {
        return Err(usage("a command is missing, for instance: mailflux ctl status"));
    }
    let (path, stream) = connect(&matches)?;
    let json = matches.opt_present("json");
    let request = Request::Run { id: 0, line: line_of_args(&matches.free), json };
    match converse(stream, &request, json) {
        Ok(None) => Ok(()),
        Ok(Some(refusal)) => Err(Failure::new(REFUSED, refusal)),
        // Who has heard enough and closed the output is no failure.
        Err(e) if is_output(&e) && e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) if is_output(&e) => Err(unwritten(&e)),
        Err(e) => {
            let words = format!("the server at {} gave no answer: {}", shown(&path), cause(&e));
            Err(Failure::new(exit::UNAVAILABLE, words))
        }
    }
}

/// Whether it was the output that failed, and not the conversation.
fn is_output(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|e| e.is::<Unwritten>())
}

const BRIEF: &str = "mailflux ctl [--socket PATH] [--json] COMMAND [ARG ...]\n\n\
    One command to a running server; prints its answer. 'mailflux ctl help' lists the commands.";

fn options() -> Options {
    let mut options = connect_options();
    options.optflag("", "json", "the answer as JSON");
    options
}

/// The options of those who ask a running server.
pub(super) fn connect_options() -> Options {
    let mut options = Options::new();
    options.parsing_style(ParsingStyle::StopAtFirstFree);
    add_config_options(&mut options);
    options.optopt("d", "spool", "short for server.spool", "DIR");
    options.optopt(
        "",
        "socket",
        "the server's control socket; else that of its configuration",
        "PATH",
    );
    options.optflag("h", "help", "print this; then exit");
    options
}

/// Connects to the server that is meant.
pub(super) fn connect(matches: &Matches) -> Result<(PathBuf, UnixStream), Failure> {
    let path = match matches.opt_str("socket") {
        Some(path) => PathBuf::from(path),
        None => load(&sources(matches, Purpose::Find))?.server.control.ok_or_else(|| {
            let words = "the server has no control socket: server.control is empty";
            Failure::new(exit::UNAVAILABLE, words)
        })?,
    };
    match UnixStream::connect(&path) {
        Ok(stream) => Ok((path, stream)),
        Err(e) => {
            let (code, hint) = match e.kind() {
                io::ErrorKind::PermissionDenied => {
                    (exit::NO_PERMISSION, "; ask as the user that the server runs as")
                }
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    (exit::UNAVAILABLE, "; is it running? see -c, --socket")
                }
                _ => (exit::UNAVAILABLE, ""),
            };
            let words = format!("no server answers at {}: {}{hint}", shown(&path), cause(&e));
            Err(Failure::new(code, words))
        }
    }
}

pub(super) fn shown(path: &Path) -> Printable {
    Printable::new(path.display().to_string())
}

/// Standard output. Its errors say that they are its own, and not the server's.
struct Output<W>(W);

/// The cause of an error of [`Output`].
#[derive(Debug)]
struct Unwritten(io::Error);

impl<W: Write> Write for Output<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets).map_err(|e| io::Error::new(e.kind(), Unwritten(e)))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(|e| io::Error::new(e.kind(), Unwritten(e)))
    }
}

impl std::fmt::Display for Unwritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&cause(&self.0))
    }
}

impl std::error::Error for Unwritten {}

/// Asks, and prints what comes; says why the server did not do it, if it did not.
fn converse(stream: UnixStream, request: &Request, json: bool) -> io::Result<Option<String>> {
    let ask = |request: &Request| -> io::Result<()> {
        let mut asking = serde_json::to_vec(request)?;
        asking.push(b'\n');
        (&stream).write_all(&asking)
    };
    let mut files = Files::default();
    files.note(request);
    match ask(request) {
        // It has closed already; why, it may have said.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
        asked => asked?,
    }
    let mut out = Output(io::stdout().lock());
    let (mut ended_line, mut answered, mut refusal) = (true, false, None);
    let mut typing = Typing::default();
    let mut told = BufReader::new(&stream);
    loop {
        if !told.buffer().contains(&b'\n') {
            if let Some(said) = typing.wait(&stream, &mut out)? {
                ask(&said)?;
                continue;
            }
        }
        let mut line = Vec::new();
        if told.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let taken = files.take(serde_json::from_slice::<Told>(&line)?);
        taken.requests.iter().try_for_each(ask)?;
        let Some(told) = taken.told else { continue };
        match told {
            Told::Prompt { id, prompt, .. } => typing.prompted(id, prompt, &mut out)?,
            Told::Lines { lines, .. } => {
                typing.make_room(&mut out)?;
                lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
                out.flush()?;
            }
            Told::Json { part, .. } => {
                answered = true;
                ended_line = part.ends_with('\n');
                out.write_all(part.as_bytes())?;
                out.flush()?;
            }
            Told::Fault { column, message, .. } => {
                if json && !answered {
                    writeln!(out, "{}", json!({ "error": message, "column": column }))?;
                }
                let place = column.map_or(String::new(), |column| format!("column {column}: "));
                refusal = Some(format!("{place}{message}"));
            }
            Told::End { .. } => {
                if !ended_line {
                    writeln!(out)?;
                }
                out.flush()?;
                return Ok(refusal);
            }
            Told::Bye { why } => return Err(io::Error::other(why.into_string())),
            Told::Hello(_) | Told::Feed { .. } | Told::Snapshot(_) => {}
            // Done already.
            Told::File { .. } | Told::Want { .. } | Told::Past { .. } => {}
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}
