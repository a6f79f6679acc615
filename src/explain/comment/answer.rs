//! What the server answers.

use super::{Asked, Comment, Commentator, Phase, Transaction, check_octets};
use crate::base::{Enhanced, Printable};
use crate::explain::book::{Kind, entry};
use crate::explain::lookup;
use crate::journal::{Side, Verb};

/// Octets of a reply line with its CRLF (RFC 5321 section 4.5.3.1.5).
const MAX_REPLY: usize = 512;
/// Keywords of EHLO that are remembered.
const MAX_OFFERS: usize = 64;

/// A line of a reply, cut.
struct Line<'a> {
    code: u16,
    /// A further line follows.
    goes_on: bool,
    text: &'a [u8],
    enhanced: Option<Enhanced>,
}

impl<'a> Line<'a> {
    fn read(text: &'a [u8]) -> Option<Line<'a>> {
        let digits = text.get(..3).filter(|d| d.iter().all(u8::is_ascii_digit))?;
        let code = digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'));
        let goes_on = match text.get(3) {
            Some(b'-') => true,
            Some(b' ') | None => false,
            Some(_) => return None,
        };
        let text = text.get(4..).unwrap_or_default();
        let enhanced = Enhanced::parse_prefix(text).map(|(enhanced, _)| enhanced);
        Some(Line { code, goes_on, text, enhanced })
    }
}

impl Commentator {
    pub(super) fn server(&mut self, text: &[u8]) -> Comment {
        let mut comment = Comment::default();
        check_octets(&mut comment, text, "reply");
        if text.len() + 2 > MAX_REPLY {
            let what = format!("a reply line of {} octets; 512 are allowed", text.len() + 2);
            comment.breaks(what, "RFC 5321 section 4.5.3.1.5");
        }
        let Some(line) = Line::read(text) else {
            comment.note =
                "not a reply: it begins with three digits and a blank or a hyphen".into();
            comment.breaks("not a reply", "RFC 5321 section 4.2");
            return comment;
        };
        let begins = self.unfinished.is_none();
        if self.unfinished.is_some_and(|code| code != line.code) {
            comment.breaks("the lines of a reply have one code", "RFC 5321 section 4.2.1");
        }
        self.unfinished = line.goes_on.then_some(line.code);
        let asked = self.waiting.front().cloned();
        self.note_reply(&mut comment, &line, asked.as_ref(), begins);
        self.check_reply(&mut comment, &line, asked.as_ref());
        let hello = asked.as_ref().is_some_and(|a| matches!(a.verb, Verb::Ehlo));
        if hello && line.code == 250 {
            self.note_offer(&mut comment, &line, begins);
        }
        if !line.goes_on {
            comment.answered = asked.as_ref().map(|asked| (asked.word.clone(), line.code));
            self.waiting.pop_front();
            self.learn(&line, asked.as_ref());
        }
        comment
    }

    fn note_reply(
        &self,
        comment: &mut Comment,
        line: &Line<'_>,
        asked: Option<&Asked>,
        begins: bool,
    ) {
        let server = self.name_of(Side::Server);
        comment.note = match asked {
            _ if !begins => format!("{server} goes on"),
            Some(asked) => self.meaning(line, asked),
            None => format!("{server} says by itself: {}", gist(line.code)),
        };
        if let Some(status) = line.enhanced.filter(|_| begins && line.code >= 400) {
            let (key, wider) =
                (format!("x.{}.{}", status.1, status.2), format!("x.{}.x", status.1));
            let about = entry(Kind::Enhanced, &key).or_else(|| entry(Kind::Enhanced, &wider));
            if let Some(about) = about {
                comment.note += &format!(": {}", about.gist());
            }
        }
        let asked_line =
            format!("{} ", line.code) + &line.enhanced.map_or(String::new(), |e| e.to_string());
        if let Ok(found) = lookup::find(&asked_line) {
            comment.entries = found.entries;
        }
    }

    /// A reply in its place.
    fn meaning(&self, line: &Line<'_>, asked: &Asked) -> String {
        let server = self.name_of(Side::Server);
        let name = match asked.verb {
            Verb::Connect => "the connection",
            Verb::Dot => "the message",
            _ => asked.word.as_str(),
        };
        match (asked.verb, line.code) {
            (Verb::Connect, 220) => format!("{server} is ready"),
            (Verb::Ehlo, 250) => format!("{server} names itself; what it offers follows"),
            (Verb::Helo, 250) => format!("{server} names itself"),
            (Verb::Mail, 250) => "the sender is taken".into(),
            (Verb::Rcpt, 250) => "this recipient is taken".into(),
            (Verb::Data, 354) => format!("{server} waits for the content, up to a single dot"),
            (Verb::Dot, 250) => format!("the message is taken: {server} answers for it now"),
            (Verb::Bdat, 250) if asked.last => {
                format!("the message is taken: {server} answers for it now")
            }
            (Verb::Bdat, 250) => "this piece is taken".into(),
            (Verb::Rset, 250) => "the transaction is forgotten".into(),
            (Verb::Quit, 221) => format!("{server} closes the connection"),
            (Verb::StartTls, 220) => "now both sides shake hands; then all begins anew".into(),
            (Verb::Auth, 235) => "name and proof are right".into(),
            (Verb::Auth, 334) => format!("{server} asks for the next answer, in base64"),
            (_, 421) => format!("{server} closes the connection; it may be tried again later"),
            (_, 200..400) => format!("done: {}", gist(line.code)),
            (_, 400..500) => format!("not now, for {name}: try again later"),
            _ => format!("no, for {name}: the same will not work later"),
        }
    }

    fn check_reply(&self, comment: &mut Comment, line: &Line<'_>, asked: Option<&Asked>) {
        if !(200..600).contains(&line.code) {
            let what = format!("{} is no reply code: the first digit is 2 to 5", line.code);
            comment.breaks(what, "RFC 5321 section 4.3.2");
        }
        let Some(asked) = asked else {
            // A server may close at any time (RFC 5321 section 3.8).
            if line.code != 421 && self.phase != Phase::Unknown {
                comment.breaks("a reply to nothing: no command waits", "RFC 5321 section 4.3.1");
            }
            return;
        };
        let wrong = match (asked.verb, line.code) {
            (Verb::Data, 354) | (Verb::Auth, 334) => false,
            (Verb::Data, code) => (200..400).contains(&code),
            (Verb::Connect, code) => (200..400).contains(&code) && code != 220,
            (_, code) => (300..400).contains(&code),
        };
        if wrong {
            let what = format!("{} is no answer to {}", line.code, name(asked));
            comment.breaks(what, "RFC 5321 section 4.3.2");
        }
        match line.enhanced {
            Some(enhanced) if u16::from(enhanced.0) != line.code / 100 => {
                let what = format!("{} and {enhanced} contradict each other", line.code);
                comment.breaks(what, "RFC 2034 section 4");
            }
            None if self.wants_enhanced(line, asked) => {
                let what = "no enhanced status code, though ENHANCEDSTATUSCODES was offered";
                comment.breaks(what, "RFC 2034 section 4");
            }
            _ => {}
        }
    }

    /// All replies of class 2, 4 and 5 have one, but those to the connection, EHLO and HELO.
    fn wants_enhanced(&self, line: &Line<'_>, asked: &Asked) -> bool {
        let bare = matches!(asked.verb, Verb::Connect | Verb::Ehlo | Verb::Helo);
        let offered = self.offers.iter().any(|offer| offer == "ENHANCEDSTATUSCODES");
        offered && !bare && matches!(line.code / 100, 2 | 4 | 5)
    }

    /// A line of the answer to EHLO: the first has the name, each further one an extension.
    fn note_offer(&mut self, comment: &mut Comment, line: &Line<'_>, begins: bool) {
        if begins {
            self.offers.clear();
            return;
        }
        let keyword = line.text.split(|b| *b == b' ').next().unwrap_or_default();
        let keyword = String::from_utf8_lossy(keyword).to_ascii_uppercase();
        comment.note = match entry(Kind::Extension, &keyword) {
            Some(entry) => format!("offers {}: {}", entry.key, entry.gist()),
            None => {
                let shown = Printable::bounded(&keyword, 60);
                format!("offers {shown}, which is in no registry known here")
            }
        };
        comment.entries.clear();
        comment.read(Kind::Extension, &keyword);
        if self.offers.len() < MAX_OFFERS {
            self.offers.push(keyword);
        }
    }

    /// What a complete reply changes.
    fn learn(&mut self, line: &Line<'_>, asked: Option<&Asked>) {
        let good = (200..300).contains(&line.code);
        if line.code == 421 {
            self.phase = Phase::Over;
        }
        let Some(asked) = asked else { return };
        match asked.verb {
            Verb::Connect if line.code == 220 => self.phase = Phase::Greeted,
            Verb::Ehlo | Verb::Helo if good => {
                self.phase = Phase::Introduced;
                self.transaction = Transaction::None;
                if asked.verb == Verb::Helo {
                    self.offers.clear();
                }
            }
            Verb::Mail if good => self.transaction = Transaction::Open(0),
            Verb::Rcpt if good => {
                if let Transaction::Open(recipients) = &mut self.transaction {
                    *recipients += 1;
                }
            }
            Verb::Data if line.code == 354 => {
                self.transaction = Transaction::Content;
                // The reply to the content is the next, also where no dot is seen.
                let dot = Asked { verb: Verb::Dot, word: ".".into(), last: false };
                self.waiting.push_front(dot);
            }
            Verb::Dot => self.transaction = Transaction::None,
            Verb::Bdat if asked.last => self.transaction = Transaction::None,
            Verb::Rset if good => self.transaction = Transaction::None,
            Verb::StartTls if line.code == 220 => {
                self.start_over(Phase::Greeted);
                self.waiting.clear();
            }
            Verb::Auth => self.challenged = line.code == 334,
            Verb::Quit if good => self.phase = Phase::Over,
            _ => {}
        }
    }
}

fn name(asked: &Asked) -> &str {
    if asked.verb == Verb::Connect { "a connection" } else { &asked.word }
}

/// What a code means, in a few words.
fn gist(code: u16) -> String {
    let digits = code.to_string();
    let class = format!("{}yz", code / 100);
    let found = entry(Kind::Reply, &digits).or_else(|| entry(Kind::Reply, &class));
    found.map_or("a reply".into(), |entry| entry.gist().to_owned())
}
