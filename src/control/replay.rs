//! The form of `replay`.

use super::command::{Command, Pace, Replay, ReplaySession, ReplayTls};
use super::parse::{Args, CommandError, one_of};
use super::verbs::host_and_port;

const PACES: &[&str] = &["recorded", "at-once"];
const COMPARISONS: &[&str] = &["code", "bytes"];
const TLS_WAYS: &[&str] = &["recorded", "none", "starttls", "implicit"];

/// Reads what follows `replay`.
pub(super) fn parse(args: &mut Args<'_>) -> Result<Command, CommandError> {
    let file = args.need("the file with the export")?.text.clone();
    args.need_choice(&["to"])?;
    let word = args.need("HOST:PORT")?;
    let via = host_and_port(&word.text).ok_or_else(|| {
        CommandError::new(word.column, format!("'{}' is not HOST:PORT", word.text))
    })?;
    let [session, content, user, password, tls, pace, compare] =
        args.pairs(["session", "content", "user", "password", "tls", "pace", "compare"])?;
    let session = session.map(|session| {
        session.read("the id of a session, such as i7, nor its number in the file", which_session)
    });
    let session = session.transpose()?.unwrap_or(ReplaySession::Usual);
    let one_of_them = |choices: &'static [&'static str]| {
        move |text: &str| one_of(text, choices.iter().copied()).ok()
    };
    let pace = pace.map(|p| p.read("recorded or at-once", one_of_them(PACES))).transpose()?;
    let compare = compare.map(|c| c.read("code or bytes", one_of_them(COMPARISONS))).transpose()?;
    let pace = if pace == Some("recorded") { Pace::Recorded } else { Pace::AtOnce };
    let tls = tls.map(|t| t.read("recorded, none, starttls or implicit", one_of_them(TLS_WAYS)));
    let tls = match tls.transpose()? {
        Some("none") => ReplayTls::None,
        Some("starttls") => ReplayTls::StartTls,
        Some("implicit") => ReplayTls::Implicit,
        _ => ReplayTls::Recorded,
    };
    let login = match (user, password) {
        (Some(user), Some(password)) => {
            Some((user.value().to_owned(), password.value().to_owned()))
        }
        (None, None) => None,
        (Some(_), None) => return Err(args.wanted("password=FILE, whose first line it is,")),
        (None, Some(_)) => return Err(args.wanted("user=NAME")),
    };
    let content = content.map(|content| content.value().to_owned());
    let bytes = compare == Some("bytes");
    Ok(Command::Replay(Box::new(Replay { file, via, session, pace, bytes, tls, content, login })))
}

/// `i7`, or `2` for the second one of the file.
fn which_session(text: &str) -> Option<ReplaySession> {
    let named = text.parse().ok().map(ReplaySession::Named);
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    named.or_else(|| {
        let number = text.parse().ok().filter(|number| digits && *number > 0);
        number.map(ReplaySession::Numbered)
    })
}
