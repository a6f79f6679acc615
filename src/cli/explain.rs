//! `mailflux explain`: the book without a server.

use super::{print, usage};
use crate::base::Failure;
use crate::reactor::explain_word;

const HELP: &str = "\
Usage: mailflux explain [--json] WORD ...

What a command, parameter, extension, reply code, enhanced status code, trace
header, state, fault or term means, with the RFC; a setting or a command of the
console, too. A whole line is taken as well:

    mailflux explain RCPT
    mailflux explain 5.7.1
    mailflux explain '550 5.7.1 relaying denied'
    mailflux explain 'connection refused'
    mailflux explain queue.retry_min
";

/// `mailflux explain WORD ...`. Words may begin with a hyphen (`->`), so nothing but these few is
/// an option, and only in front.
pub(super) fn main(args: &[String]) -> Result<(), Failure> {
    let (json, words) = match args {
        [first, ..] if first == "-h" || first == "--help" => return print(HELP),
        [first, words @ ..] if first == "--json" => (true, words),
        [first, words @ ..] if first == "--" => (false, words),
        words => (false, words),
    };
    if words.is_empty() {
        return Err(usage("what is to be explained? mailflux explain WORD"));
    }
    let report = explain_word(&words.join(" ")).map_err(usage)?;
    if json {
        return print(&format!("{}\n", report.json));
    }
    print(&(report.lines.join("\n") + "\n"))
}
