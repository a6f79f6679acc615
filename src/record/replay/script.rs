//! Recorded lines become exchanges: what the client says, and what it was told then.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::content::{chunk_of, dotted};
use super::super::read::{Recorded, RecordedLine};
use super::pieces::{Piece, pieces};
use super::{Terms, TlsWay};
use crate::auth::Mechanism;
use crate::journal::{Side, Sign, Verb};

/// The longest pause that is kept.
const MAX_PAUSE: Duration = Duration::from_secs(600);
/// The client's name where none was recorded: one that nobody can have (RFC 2606 section 2).
const GREETS_AS: &str = "replay.invalid";

/// One thing that the client says, and what it was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Exchange {
    /// What is shown of it.
    pub(super) title: String,
    pub(super) what: Said,
    /// The lines of the reply.
    pub(super) recorded: Vec<Vec<u8>>,
    /// Before it is sent.
    pub(super) pause: Duration,
}

/// What the client says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Said {
    /// Nothing: it has connected.
    Nothing,
    /// These octets.
    Command(Vec<u8>),
    /// DATA, and whether its content was wanted then.
    Data { wanted: bool },
    /// These octets, where the reply before invited them.
    Content(Vec<u8>),
    /// STARTTLS, and after it TLS.
    StartTls,
    /// AUTH, with the secret that the user gave; it was said inside TLS then.
    Login { mechanism: Mechanism, in_tls: bool },
}

/// What will be said, in order.
pub(super) struct Script {
    pub(super) exchanges: Vec<Exchange>,
    /// TLS comes with the first octet.
    pub(super) implicit: bool,
    /// What cannot be as it was.
    pub(super) remarks: Vec<String>,
}

impl Script {
    pub(super) fn new(recorded: &Recorded, terms: &Terms<'_>) -> Result<Script, String> {
        let pieces = pieces(recorded, terms.kept, terms.content)?;
        let inside = |line: &RecordedLine| match line.sign {
            Sign::Said { tls, .. } => Some(tls),
            Sign::Event => None,
        };
        // A part of a session with a next server begins behind its greeting.
        let is_part = recorded.lines.iter().find_map(RecordedLine::side) == Some(Side::Client);
        let was_inside = recorded.lines.iter().find_map(inside) == Some(true);
        let was_implicit = was_inside && !is_part;
        let implicit = match terms.tls {
            TlsWay::Recorded => was_implicit,
            TlsWay::None | TlsWay::StartTls => false,
            TlsWay::Implicit => true,
        };
        let mut writer = Writer {
            exchanges: vec![Exchange {
                title: "(connected)".into(),
                what: Said::Nothing,
                recorded: Vec::new(),
                pause: Duration::ZERO,
            }],
            open: 0,
            skipping: None,
            remarks: Vec::new(),
            pieces: pieces.into(),
            terms,
        };
        if is_part {
            writer.greet();
        }
        for line in &recorded.lines {
            match line.sign {
                Sign::Said { side: Side::Client, .. } if line.cut => {
                    return Err("a command is not kept in full".into());
                }
                Sign::Said { side: Side::Client, tls } => {
                    writer.command(&line.text, line.delay, tls);
                }
                Sign::Said { side: Side::Server, .. } => writer.reply(&line.text),
                Sign::Event => writer.event(&line.text),
            }
        }
        if writer.exchanges.len() < if is_part { 3 } else { 2 } {
            return Err(format!("{} has nothing that the client said", recorded.id));
        }
        if was_implicit && !implicit {
            writer.remark("TLS came with the first octet then");
        }
        let in_between = is_part && was_inside && terms.tls == TlsWay::Recorded;
        if in_between || terms.tls == TlsWay::StartTls {
            writer.put_in_starttls();
        }
        Ok(Script { exchanges: writer.exchanges, implicit, remarks: writer.remarks })
    }
}

/// Makes exchanges of recorded lines.
struct Writer<'a> {
    exchanges: Vec<Exchange>,
    /// The first exchange whose reply is not complete.
    open: usize,
    /// A login or TLS is being left out, or said by us: its lines are none of the script's.
    skipping: Option<Skipping>,
    remarks: Vec<String>,
    pieces: VecDeque<Piece<'a>>,
    terms: &'a Terms<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Skipping {
    /// The reply, too.
    StartTls,
    /// All challenges and answers, and the reply, too.
    Login,
    /// All challenges and answers; the reply is compared.
    Answers,
}

impl Writer<'_> {
    fn remark(&mut self, words: impl Into<String>) {
        let words = words.into();
        if !self.remarks.contains(&words) {
            self.remarks.push(words);
        }
    }

    fn push(&mut self, title: String, what: Said, pause: Duration) {
        let pause = pause.min(MAX_PAUSE);
        self.exchanges.push(Exchange { title, what, recorded: Vec::new(), pause });
    }

    /// What stood before the beginning of a part: a greeting, and ours. None of the replies to it
    /// is known.
    fn greet(&mut self) {
        let octets = format!("EHLO {GREETS_AS}\r\n").into_bytes();
        self.push(format!("EHLO {GREETS_AS}"), Said::Command(octets), Duration::ZERO);
        self.open = self.exchanges.len();
        self.remark("it is a part of a session: EHLO is put in before it");
    }

    fn command(&mut self, text: &[u8], delay: Duration, tls: bool) {
        if matches!(self.skipping, Some(Skipping::Login | Skipping::Answers)) {
            return;
        }
        let title = String::from_utf8_lossy(text).into_owned();
        match Verb::of_line(text) {
            Verb::Auth => self.login(text, title, delay, tls),
            Verb::StartTls => match self.terms.tls {
                TlsWay::Recorded | TlsWay::StartTls => self.push(title, Said::StartTls, delay),
                TlsWay::None => {
                    self.remark("STARTTLS is left out: all is said in clear");
                    self.skipping = Some(Skipping::StartTls);
                }
                TlsWay::Implicit => {
                    self.remark("STARTTLS is left out: TLS comes with the first octet");
                    self.skipping = Some(Skipping::StartTls);
                }
            },
            Verb::Data => self.push(title, Said::Data { wanted: false }, delay),
            Verb::Mail => {
                let octets = self.mail(text);
                self.push(title, Said::Command([&octets, &b"\r\n"[..]].concat()), delay);
            }
            _ if chunk_of(text).is_some() => {
                let Some(piece) = self.piece() else { return };
                let last = if piece.last { " LAST" } else { "" };
                let mut octets = text.to_vec();
                if chunk_of(text) != Some(piece.octets.len() as u64) {
                    octets = format!("BDAT {}{last}", piece.octets.len()).into_bytes();
                }
                octets.extend_from_slice(b"\r\n");
                octets.extend_from_slice(&piece.octets);
                self.push(title, Said::Command(octets), delay);
            }
            _ => self.push(title, Said::Command([text, b"\r\n"].concat()), delay),
        }
    }

    /// The next piece of content.
    fn piece(&mut self) -> Option<Piece<'_>> {
        let piece = self.pieces.pop_front()?;
        if piece.made_up {
            self.remark("content is not recorded: lines of the same size are sent");
        }
        Some(piece)
    }

    /// MAIL says the size of what will come (RFC 1870 section 3).
    fn mail(&mut self, text: &[u8]) -> Vec<u8> {
        let Some(content) = self.terms.content else { return text.to_vec() };
        let words = text.split(|b| *b == b' ').map(|word| match word.split_at_checked(5) {
            Some((key, value))
                if key.eq_ignore_ascii_case(b"SIZE=") && value.iter().all(u8::is_ascii_digit) =>
            {
                format!("SIZE={}", content.len()).into_bytes()
            }
            _ => word.to_vec(),
        });
        let said = words.collect::<Vec<_>>().join(&b' ');
        if said != text {
            self.remark("MAIL says the size of the content that is given");
        }
        said
    }

    fn login(&mut self, text: &[u8], title: String, delay: Duration, tls: bool) {
        self.skipping = Some(Skipping::Login);
        if self.terms.login.is_none() {
            return self.remark(
                "the login is left out: its secrets are not recorded; user= and password= log in",
            );
        }
        let words = std::str::from_utf8(text).unwrap_or_default();
        let name = words.split_ascii_whitespace().nth(1).unwrap_or_default();
        match Mechanism::parse(name) {
            Some(mechanism) => {
                self.push(title, Said::Login { mechanism, in_tls: tls }, delay);
                self.skipping = Some(Skipping::Answers);
            }
            None => self.remark("a login is left out: its mechanism is not known here"),
        }
    }

    /// Content that went on after DATA becomes an exchange of its own: its reply is the next.
    fn event(&mut self, text: &[u8]) {
        let last = self.exchanges.last().map(|last| &last.what);
        if !matches!(last, Some(Said::Data { .. })) || !text.ends_with(b"content]") {
            return;
        }
        let Some(piece) = self.piece() else { return };
        let title = format!("(content, {} octets)", piece.octets.len());
        let what = Said::Content(dotted(&piece.octets));
        if let Some(Exchange { what: Said::Data { wanted }, .. }) = self.exchanges.last_mut() {
            *wanted = true;
        }
        self.push(title, what, Duration::ZERO);
    }

    fn reply(&mut self, text: &[u8]) {
        let last = text.get(3) != Some(&b'-');
        let challenge = text.starts_with(b"334");
        match self.skipping {
            Some(Skipping::Login | Skipping::Answers) if challenge => return,
            Some(Skipping::Answers) => {}
            Some(Skipping::StartTls | Skipping::Login) => {
                if last {
                    self.skipping = None;
                }
                return;
            }
            None => {}
        }
        let Some(exchange) = self.exchanges.get_mut(self.open) else { return };
        exchange.recorded.push(text.to_vec());
        if last {
            self.open += 1;
            self.skipping = None;
        }
    }

    /// Where the client did not ask for TLS then: it does so after its first EHLO, and greets anew
    /// (RFC 3207 section 4.2).
    fn put_in_starttls(&mut self) {
        if self.exchanges.iter().any(|exchange| exchange.what == Said::StartTls) {
            return;
        }
        let is_ehlo = |exchange: &Exchange| match &exchange.what {
            Said::Command(octets) => octets.to_ascii_uppercase().starts_with(b"EHLO"),
            _ => false,
        };
        let Some(at) = self.exchanges.iter().position(is_ehlo) else {
            return self.remark("no EHLO, so no STARTTLS: all is said in clear");
        };
        let again = self.exchanges[at].clone();
        let starttls = Exchange {
            title: "STARTTLS".into(),
            what: Said::StartTls,
            recorded: Vec::new(),
            pause: Duration::ZERO,
        };
        self.exchanges.splice(at + 1..at + 1, [starttls, again]);
        self.remark("STARTTLS is put in, and EHLO is said again after it");
    }
}
