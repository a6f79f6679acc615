//! The command line: from octets to a [`Command`], or to the reply that it earns.
//!
//! RFC 5321 section 4.1.1: a verb in any case, a blank, arguments. Blanks at the end are tolerated
//! (section 4.1.1 again); everything else that is not printable is not.

use super::replies;
use crate::base::Reply;

/// A command line in octets, with its CRLF. RFC 5321 section 4.5.3.1.4 asks for 512 and whatever
/// extensions add; DSN alone adds some 600 (RFC 3461), SMTPUTF8 more.
pub const MAX_LINE: usize = 4096;

/// A command, its arguments not yet read where they have a grammar of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command<'a> {
    Ehlo(&'a str),
    Helo(&'a str),
    /// What stands after `FROM:`.
    Mail(&'a str),
    /// What stands after `TO:`.
    Rcpt(&'a str),
    Data,
    Bdat(Chunk),
    Rset,
    Noop,
    Help,
    Vrfy,
    Expn,
    Quit,
    StartTls,
    /// Mechanism and perhaps an initial response.
    Auth(&'a str),
}

/// The arguments of BDAT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chunk {
    /// As RFC 3030 wants it.
    Good { size: u64, last: bool },
    /// Not as RFC 3030 wants it; the octets come all the same when the size can be read.
    Bad { size: Option<u64> },
    /// A number beyond every limit: where the next command begins cannot be known.
    Beyond,
}

/// Reads a line without its CRLF.
pub fn parse(line: &[u8]) -> Result<Command<'_>, Reply> {
    let text = clean(line)?;
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let argument = rest.trim_start_matches(' ');
    let is = |name: &str| verb.eq_ignore_ascii_case(name);
    let alone = |command| match argument {
        "" => Ok(command),
        _ => Err(replies::NO_ARGUMENT_WANTED),
    };
    let some = |command| match argument {
        "" => Err(replies::ARGUMENT_WANTED),
        _ => Ok(command),
    };
    match verb.len() {
        4 if is("MAIL") => {
            after_colon(argument, "FROM:").map(Command::Mail).ok_or(replies::MAIL_SYNTAX)
        }
        4 if is("RCPT") => {
            after_colon(argument, "TO:").map(Command::Rcpt).ok_or(replies::RCPT_SYNTAX)
        }
        4 if is("DATA") => alone(Command::Data),
        4 if is("BDAT") => Ok(Command::Bdat(chunk(argument))),
        4 if is("EHLO") && !argument.is_empty() => Ok(Command::Ehlo(argument)),
        4 if is("HELO") && !argument.is_empty() => Ok(Command::Helo(argument)),
        4 if is("EHLO") || is("HELO") => Err(replies::NAME_WANTED),
        4 if is("RSET") => alone(Command::Rset),
        4 if is("QUIT") => alone(Command::Quit),
        4 if is("NOOP") => Ok(Command::Noop),
        4 if is("HELP") => Ok(Command::Help),
        4 if is("VRFY") => some(Command::Vrfy),
        4 if is("EXPN") => some(Command::Expn),
        4 if is("AUTH") => some(Command::Auth(argument)),
        8 if is("STARTTLS") => alone(Command::StartTls),
        _ => Err(replies::UNKNOWN_COMMAND),
    }
}

/// The line as text, without blanks at its end; an error when it is no text.
fn clean(line: &[u8]) -> Result<&str, Reply> {
    let end = line.iter().rposition(|b| !matches!(b, b' ' | b'\t')).map_or(0, |last| last + 1);
    let line = &line[..end];
    if let Some(control) = line.iter().find(|b| b.is_ascii_control()) {
        return Err(match control {
            b'\r' | b'\n' => replies::BARE_LINE_END,
            _ => replies::CONTROL_CHARACTER,
        });
    }
    std::str::from_utf8(line).map_err(|_| replies::NOT_UTF8)
}

fn after_colon<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let (word, rest) = argument.split_at_checked(keyword.len())?;
    word.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(' '))
}

fn chunk(argument: &str) -> Chunk {
    let (digits, rest) = argument.split_once(' ').unwrap_or((argument, ""));
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Chunk::Bad { size: None };
    }
    let Ok(size) = digits.parse() else { return Chunk::Beyond };
    match rest.trim_start_matches(' ') {
        "" => Chunk::Good { size, last: false },
        word if word.eq_ignore_ascii_case("LAST") => Chunk::Good { size, last: true },
        _ => Chunk::Bad { size: Some(size) },
    }
}

/// Whether this is the beginning of an AUTH command, which may be longer than others.
pub fn is_auth(line: &[u8]) -> bool {
    line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"AUTH "))
}

/// The line as a transcript may show it, when it holds a secret: AUTH may carry a password already
/// in its line (RFC 4954 section 4), also where AUTH was not offered.
pub fn redacted(line: &[u8]) -> Option<Vec<u8>> {
    let mut words = line.trim_ascii_start().splitn(3, |b| matches!(b, b' ' | b'\t'));
    let verb = words.next()?;
    if !verb.eq_ignore_ascii_case(b"AUTH") {
        return None;
    }
    let (mechanism, _) = (words.next()?, words.next()?);
    Some([verb, b" ", mechanism, b" ***"].concat())
}

/// Somebody who speaks another protocol, known by the beginning of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stranger {
    Http,
    Tls,
}

const HTTP_METHODS: [&[u8]; 10] = [
    b"GET ",
    b"POST ",
    b"PUT ",
    b"HEAD ",
    b"CONNECT ",
    b"OPTIONS ",
    b"DELETE ",
    b"PATCH ",
    b"TRACE ",
    b"PRI * HTTP/",
];

/// Looks at the beginning of a line, whole or not.
pub fn stranger(line: &[u8]) -> Option<Stranger> {
    // The type of a TLS record that holds a ClientHello; no SMTP command begins so.
    if line.first() == Some(&0x16) {
        return Some(Stranger::Tls);
    }
    HTTP_METHODS.iter().any(|method| line.starts_with(method)).then_some(Stranger::Http)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &[u8]) -> u16 {
        parse(line).unwrap_err().code
    }

    #[test]
    fn verbs_in_any_case_and_blanks_at_the_end() {
        assert_eq!(parse(b"data"), Ok(Command::Data));
        assert_eq!(parse(b"DaTa \t "), Ok(Command::Data));
        assert_eq!(parse(b"ehlo x y "), Ok(Command::Ehlo("x y")));
        assert_eq!(parse(b"NOOP whatever"), Ok(Command::Noop));
        assert_eq!(parse(b"starttls"), Ok(Command::StartTls));
        assert_eq!(parse(b"mail from:  <> X=1"), Ok(Command::Mail("<> X=1")));
        assert_eq!(parse(b"RCPT  TO:<a@b>"), Ok(Command::Rcpt("<a@b>")));
        assert_eq!(parse(b"VRFY x SMTPUTF8"), Ok(Command::Vrfy));
    }

    #[test]
    fn what_is_no_command() {
        for line in ["", " ", "x", "DATAX", " DATA", "D", "FOOBAR x", "BDATA 5", "\u{2603}"] {
            assert_eq!(code(line.as_bytes()), 500, "{line:?}");
        }
        for line in
            ["NOOP \0", "NOOP\tx", "NOOP a\rb", "NOOP a\nb", "NOOP \x7f", "NOOP\r", "NOOP \x16"]
        {
            assert_eq!(code(line.as_bytes()), 500, "{line:?}");
        }
        assert_eq!(parse(b"NOOP \xff"), Err(replies::NOT_UTF8));
    }

    #[test]
    fn wrong_arguments() {
        for line in [
            "DATA x",
            "RSET x",
            "QUIT x",
            "STARTTLS x",
            "EHLO",
            "HELO ",
            "VRFY",
            "EXPN",
            "AUTH",
            "MAIL",
            "MAIL FROM",
            "MAIL FROM <a@b>",
            "MAIL FROM :<a@b>",
            "MAIL TO:<a@b>",
            "MAIL \u{fc}\u{fc}\u{fc}:",
            "RCPT",
            "RCPT FROM:<a@b>",
        ] {
            assert_eq!(code(line.as_bytes()), 501, "{line}");
        }
    }

    #[test]
    fn chunks() {
        let good = |size, last| Ok(Command::Bdat(Chunk::Good { size, last }));
        assert_eq!(parse(b"BDAT 0"), good(0, false));
        assert_eq!(parse(b"bdat 007  last "), good(7, true));
        assert_eq!(parse(b"BDAT 18446744073709551615"), good(u64::MAX, false));
        assert_eq!(parse(b"BDAT 18446744073709551616"), Ok(Command::Bdat(Chunk::Beyond)));
        let bad = |size| Ok(Command::Bdat(Chunk::Bad { size }));
        assert_eq!(parse(b"BDAT 5 LASTX"), bad(Some(5)));
        assert_eq!(parse(b"BDAT 5 LAST LAST"), bad(Some(5)));
        for line in ["BDAT", "BDAT x", "BDAT -1", "BDAT +1", "BDAT LAST", "BDAT 1x", "BDAT 0x5"] {
            assert_eq!(parse(line.as_bytes()), bad(None), "{line}");
        }
    }

    #[test]
    fn secrets_are_replaced() {
        assert_eq!(redacted(b"auth PLAIN AGEAYg=="), Some(b"auth PLAIN ***".to_vec()));
        assert_eq!(redacted(b"AUTH LOGIN a b c"), Some(b"AUTH LOGIN ***".to_vec()));
        assert_eq!(redacted(b" AUTH\tPLAIN AGEAYg=="), Some(b"AUTH PLAIN ***".to_vec()));
        assert_eq!(redacted(b"AUTH  PLAIN AGEAYg=="), Some(b"AUTH  ***".to_vec()));
        assert_eq!(redacted(b"AUTH LOGIN"), None);
        assert_eq!(redacted(b"MAIL FROM:<a@b> X"), None);
    }

    #[test]
    fn strangers_are_known_by_their_first_octets() {
        assert_eq!(stranger(b"GET / HTTP/1.1"), Some(Stranger::Http));
        assert_eq!(stranger(b"POST /x"), Some(Stranger::Http));
        assert_eq!(stranger(b"\x16\x03\x01"), Some(Stranger::Tls));
        for line in ["GET", "", "HELP", "PRI ", "DATA", "get x"] {
            assert_eq!(stranger(line.as_bytes()), None, "{line}");
        }
    }
}
