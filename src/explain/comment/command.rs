//! What the client says.

use super::{Asked, Comment, Commentator, MAX_WAITING, Phase, Transaction, check_octets};
use crate::base::{Domain, Printable};
use crate::explain::book::{Kind, entry};
use crate::journal::{Side, Verb};

/// Octets of a command line with its CRLF (RFC 5321 section 4.5.3.1.4).
const MAX_COMMAND: usize = 512;
/// The same of what AUTH says (RFC 4954 section 4).
const MAX_AUTH: usize = 12_288;

/// Parameters of MAIL and RCPT, and the extension that each needs.
const NEEDS: [(&str, &str); 20] = [
    ("SIZE", "SIZE"),
    ("BODY", "8BITMIME"),
    ("SMTPUTF8", "SMTPUTF8"),
    ("RET", "DSN"),
    ("ENVID", "DSN"),
    ("NOTIFY", "DSN"),
    ("ORCPT", "DSN"),
    ("AUTH", "AUTH"),
    ("BY", "DELIVERBY"),
    ("HOLDFOR", "FUTURERELEASE"),
    ("HOLDUNTIL", "FUTURERELEASE"),
    ("MT-PRIORITY", "MT-PRIORITY"),
    ("RRVS", "RRVS"),
    ("REQUIRETLS", "REQUIRETLS"),
    ("MTRK", "MTRK"),
    ("SOLICIT", "NO-SOLICITING"),
    ("SUBMITTER", "SUBMITTER"),
    ("CONPERM", "CONPERM"),
    ("CONNEG", "CONNEG"),
    ("TRANSID", "CHECKPOINT"),
];

/// Commands after which the client must wait, also where it may pipeline (RFC 2920 section 3.1).
fn ends_group(asked: &Asked) -> bool {
    let verbs = [Verb::Ehlo, Verb::Data, Verb::Quit, Verb::StartTls, Verb::Auth];
    let words = ["VRFY", "EXPN", "TURN", "NOOP", "HELO"];
    verbs.contains(&asked.verb) || words.contains(&asked.word.as_str())
}

/// The line of a transcript that stands for content.
pub(super) fn content_passed(text: &[u8]) -> Option<Comment> {
    let octets = content(text)?;
    let note = format!("content: {octets} octets of the message");
    let mut comment = Comment { note, ..Comment::default() };
    comment.read(Kind::Term, "dot-stuffing");
    Some(comment)
}

impl Commentator {
    pub(super) fn client(&mut self, text: &[u8]) -> Comment {
        let mut comment = Comment::default();
        if let Some(comment) = content_passed(text) {
            return comment;
        }
        if self.challenged {
            self.challenged = false;
            self.wait(Asked { verb: Verb::Auth, word: "AUTH".into(), last: false });
            comment.note = "the answer to the challenge; what it says is a secret".into();
            comment.read(Kind::Verb, "AUTH");
            return comment;
        }
        if self.transaction == Transaction::Content {
            return self.content_line(text);
        }
        check_octets(&mut comment, text, "command");
        let line = String::from_utf8_lossy(text);
        let asked = asked(&line, text);
        self.note_command(&mut comment, &line, &asked);
        self.check_length(&mut comment, text, &asked);
        self.check_order(&mut comment, &asked);
        self.check_arguments(&mut comment, &line, &asked);
        self.wait(asked);
        comment
    }

    /// Content line by line, as somebody types it: its reply is already waited for.
    fn content_line(&self, text: &[u8]) -> Comment {
        let mut comment = Comment::default();
        if text == b"." {
            comment.note = "the end of the message: now the server decides".into();
            comment.read(Kind::Verb, ".");
            return comment;
        }
        comment.note = "a line of the message, not a command".into();
        comment.read(Kind::Verb, "DATA");
        check_octets(&mut comment, text, "line of content");
        if text.len() > 998 {
            let what = format!("a line of {} octets; 998 are allowed", text.len());
            comment.breaks(what, "RFC 5321 section 4.5.3.1.6");
        }
        if text.starts_with(b".") {
            comment.note = "a line of the message; its first dot is taken away".into();
            comment.read(Kind::Term, "dot-stuffing");
        }
        comment
    }

    fn wait(&mut self, asked: Asked) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(asked);
        }
    }

    fn note_command(&self, comment: &mut Comment, line: &str, asked: &Asked) {
        let client = self.name_of(Side::Client);
        let argument = line.split_once(' ').map_or("", |(_, rest)| rest);
        let path = Printable::bounded(path(argument), 120);
        let argument = Printable::bounded(argument.trim(), 120);
        comment.note = match (asked.verb, path.as_str()) {
            (Verb::Ehlo, _) => format!("{client} names itself and asks what the server can do"),
            (Verb::Helo, _) => format!("{client} names itself, in the old way without extensions"),
            (Verb::Mail, "") => "a message from nobody: a report, which nobody may bounce".into(),
            (Verb::Mail, path) => format!("a message begins; its bounces would go to {path}"),
            (Verb::Rcpt, path) => format!("one recipient: {path}"),
            (Verb::Data, _) => format!("{client} asks to send the message"),
            (Verb::Dot, _) => "the end of the message".into(),
            (Verb::Bdat, _) => {
                let which = if asked.last { "the last piece" } else { "a piece" };
                let size = argument.as_str().split(' ').next().unwrap_or_default();
                format!("{which} of the message: {size} octets")
            }
            (Verb::Rset, _) => "the transaction is given up".into(),
            (Verb::Quit, _) => format!("{client} has nothing more to say"),
            (Verb::StartTls, _) => format!("{client} wants to go on inside TLS"),
            (Verb::Auth, _) => format!("{client} says who it is, by the mechanism named"),
            _ => match entry(Kind::Verb, &asked.word) {
                Some(entry) => entry.gist().to_owned(),
                None => "no command that SMTP knows".into(),
            },
        };
        comment.read(Kind::Verb, &asked.word);
        for parameter in parameters(line) {
            comment.read(Kind::Parameter, parameter);
        }
        if asked.verb == Verb::Auth {
            comment.read(Kind::Mechanism, argument.as_str().split(' ').next().unwrap_or_default());
        }
    }

    fn check_length(&self, comment: &mut Comment, text: &[u8], asked: &Asked) {
        let max = match asked.verb {
            // Extensions raise these, each by its own number.
            Verb::Mail | Verb::Rcpt => return,
            Verb::Auth => MAX_AUTH,
            _ => MAX_COMMAND,
        };
        if text.len() + 2 > max {
            let what = format!("a command line of {} octets; {max} are allowed", text.len() + 2);
            comment.breaks(what, "RFC 5321 section 4.5.3.1.4");
        }
        if !text.is_ascii() && !self.offered("SMTPUTF8") {
            comment.breaks("octets beyond ASCII, without SMTPUTF8", "RFC 5321 section 2.4");
        }
    }

    /// Whether this command may be said now.
    fn check_order(&self, comment: &mut Comment, asked: &Asked) {
        let waits = |verb: Verb| self.waiting.iter().any(|a| a.verb == verb);
        match self.waiting.back() {
            Some(_) if waits(Verb::Connect) => {
                comment.breaks("said before the server's greeting", "RFC 5321 section 4.3.1");
            }
            Some(_) if !self.offered("PIPELINING") => {
                let what = "does not wait for the reply, and PIPELINING was not offered";
                comment.breaks(what, "RFC 5321 section 4.3.1");
            }
            Some(before) if ends_group(before) => {
                let what = format!("does not wait for the reply to {}", before.word);
                comment.breaks(what, "RFC 2920 section 3.1");
            }
            _ => {}
        }
        if self.phase == Phase::Unknown {
            return;
        }
        let introduced = self.phase == Phase::Introduced || waits(Verb::Ehlo) || waits(Verb::Helo);
        // What is pipelined may still be refused; it is in order all the same.
        let in_mail = self.transaction != Transaction::None || waits(Verb::Mail);
        let in_rcpt = matches!(self.transaction, Transaction::Open(1..)) || waits(Verb::Rcpt);
        let wrong = match asked.verb {
            // The first step that is missing, as a server says it.
            Verb::Mail | Verb::Rcpt | Verb::Data | Verb::Bdat if !introduced => {
                Some(("before EHLO or HELO", "RFC 5321 section 4.1.4"))
            }
            Verb::Mail if in_mail => Some(("in an open transaction", "RFC 5321 section 4.1.4")),
            Verb::Rcpt if !in_mail => Some(("before MAIL", "RFC 5321 section 4.1.4")),
            Verb::Data | Verb::Bdat if !in_mail => Some(("before MAIL", "RFC 5321 section 4.1.4")),
            Verb::Data if !in_rcpt => {
                Some(("without a recipient that was taken", "RFC 5321 section 3.3"))
            }
            Verb::StartTls if self.tls => Some(("inside TLS", "RFC 3207 section 4.2")),
            Verb::Auth if in_mail => Some(("in a transaction", "RFC 4954 section 4")),
            _ => None,
        };
        if let Some((place, rfc)) = wrong {
            comment.breaks(format!("{} {place}", asked.word), rfc);
        }
        let needs = match asked.verb {
            Verb::StartTls if !self.tls => Some(("STARTTLS", "RFC 3207 section 4")),
            Verb::Auth => Some(("AUTH", "RFC 4954 section 4")),
            Verb::Bdat => Some(("CHUNKING", "RFC 3030 section 2")),
            _ => None,
        };
        if let Some((keyword, rfc)) = needs.filter(|(keyword, _)| !self.offered(keyword)) {
            comment.breaks(format!("{}, but {keyword} was not offered", asked.word), rfc);
        }
    }

    fn check_arguments(&self, comment: &mut Comment, line: &str, asked: &Asked) {
        let argument = line.split_once(' ').map_or("", |(_, rest)| rest);
        match asked.verb {
            Verb::Mail | Verb::Rcpt => self.check_path(comment, line, argument, asked),
            Verb::Ehlo | Verb::Helo if !Domain::is_valid(argument.trim()) => {
                let what = format!("{} without a domain or an address literal", asked.word);
                comment.breaks(what, "RFC 5321 section 4.1.1.1");
            }
            Verb::Data | Verb::Rset | Verb::Quit | Verb::StartTls if !argument.is_empty() => {
                let what = format!("{} takes no argument", asked.word);
                comment.breaks(what, "RFC 5321 section 4.3.2");
            }
            Verb::Other if entry(Kind::Verb, &asked.word).is_none() => {
                comment.breaks("not a command", "RFC 5321 section 4.1.1");
            }
            _ => {}
        }
    }

    fn check_path(&self, comment: &mut Comment, line: &str, argument: &str, asked: &Asked) {
        let start = if asked.verb == Verb::Mail { "FROM:" } else { "TO:" };
        let path = argument
            .get(start.len()..)
            .filter(|_| argument.get(..start.len()).is_some_and(|s| s.eq_ignore_ascii_case(start)));
        match path {
            None => {
                let what = format!("{} is followed by {start}<address>", asked.word);
                comment.breaks(what, "RFC 5321 section 4.1.1");
            }
            Some(path) if path.starts_with(' ') => {
                comment.breaks("a blank before the address", "RFC 5321 section 3.3");
            }
            Some(path) if !path.starts_with('<') => {
                comment.breaks("an address without < and >", "RFC 5321 section 4.1.2");
            }
            Some(_) => {}
        }
        for name in parameters(line) {
            let needs = NEEDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            if let Some((name, keyword)) = needs.filter(|(_, keyword)| !self.offered(keyword)) {
                let what = format!("{name}, but {keyword} was not offered");
                comment.breaks(what, "RFC 5321 section 4.1.1.11");
            }
        }
    }
}

fn asked(line: &str, text: &[u8]) -> Asked {
    let word = line.split([' ', '\t']).next().unwrap_or_default();
    let word = word.chars().take(12).map(|c| c.to_ascii_uppercase()).collect::<String>();
    let word = Printable::new(word).into_string();
    let verb = if text == b"." { Verb::Dot } else { Verb::of_line(text) };
    let last = line.split_ascii_whitespace().nth(2).is_some_and(|w| w.eq_ignore_ascii_case("LAST"));
    Asked { verb, word, last }
}

/// `[5 octets of content]`, as transcripts show content.
fn content(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.strip_prefix('[')?.strip_suffix(" octets of content]")?.parse().ok()
}

/// What stands between the angle brackets.
fn path(argument: &str) -> &str {
    let inside = argument.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>'));
    inside.map_or("", |(path, _)| path)
}

/// The names of the parameters behind the path.
fn parameters(line: &str) -> impl Iterator<Item = &str> {
    let behind = line.rsplit_once('>').map_or("", |(_, rest)| rest);
    let words = behind.split_ascii_whitespace();
    words.map(|word| word.split('=').next().unwrap_or_default())
}
