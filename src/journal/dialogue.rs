//! Which reply answers which command, and how long it took: derived from the lines alone.
//!
//! Replies come in the order of their commands (RFC 5321 section 4.1.1, RFC 2920 section 3.1), so
//! a queue of the commands that wait is all that is needed:
//!
//! | seen | the queue |
//! | --- | --- |
//! | a connection | the greeting is waited for |
//! | a line of the client | its verb is waited for, after what waits already |
//! | a last line of a reply | answers the first that waits |
//! | … which is 354 | the end of the content is waited for, too |
//! | content of the client | the wait for its reply begins now |
//!
//! Equal commands that came at the same moment share an entry, since a client may pipeline a
//! thousand RCPTs; beyond [`RUNS`] entries the last one takes all, so memory is bounded and the
//! order is right again as soon as the queue has drained.

use serde::{Deserialize, Serialize};

use super::Side;
use crate::base::Time;

/// What a reply answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// The connection: its reply is the greeting.
    Connect,
    /// EHLO.
    Ehlo,
    /// HELO.
    Helo,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA; its reply is 354.
    Data,
    /// The end of the content after DATA.
    Dot,
    /// A BDAT command with its chunk.
    Bdat,
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Auth,
    /// All others.
    Other,
}

impl Verb {
    /// All verbs, in the order of a session.
    pub const ALL: [Verb; 13] = [
        Verb::Connect,
        Verb::Ehlo,
        Verb::Helo,
        Verb::Mail,
        Verb::Rcpt,
        Verb::Data,
        Verb::Dot,
        Verb::Bdat,
        Verb::Rset,
        Verb::Quit,
        Verb::StartTls,
        Verb::Auth,
        Verb::Other,
    ];

    /// The verb of a command line.
    pub fn of_line(line: &[u8]) -> Verb {
        let end = line.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(line.len());
        let is = |verb: &str| line[..end].eq_ignore_ascii_case(verb.as_bytes());
        // The common ones first: this runs for every line.
        match end {
            4 => [
                ("RCPT", Verb::Rcpt),
                ("MAIL", Verb::Mail),
                ("DATA", Verb::Data),
                ("EHLO", Verb::Ehlo),
                ("QUIT", Verb::Quit),
                ("BDAT", Verb::Bdat),
                ("RSET", Verb::Rset),
                ("HELO", Verb::Helo),
                ("AUTH", Verb::Auth),
            ]
            .into_iter()
            .find_map(|(name, verb)| is(name).then_some(verb))
            .unwrap_or(Verb::Other),
            8 if is("STARTTLS") => Verb::StartTls,
            _ => Verb::Other,
        }
    }

    /// The name in rules and reports, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Verb::Connect => "connect",
            Verb::Ehlo => "ehlo",
            Verb::Helo => "helo",
            Verb::Mail => "mail",
            Verb::Rcpt => "rcpt",
            Verb::Data => "data",
            Verb::Dot => "dot",
            Verb::Bdat => "bdat",
            Verb::Rset => "rset",
            Verb::Quit => "quit",
            Verb::StartTls => "starttls",
            Verb::Auth => "auth",
            Verb::Other => "other",
        }
    }
}

/// A reply that is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What it answers.
    pub verb: Verb,
    /// Its code.
    pub code: u16,
    /// Since when it was waited for.
    pub asked: Time,
}

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// A command's verb, or that of the command which a reply answers.
    pub verb: Verb,
    /// A line of a reply: its code.
    pub code: Option<u16>,
    /// The last line of a reply.
    pub answer: Option<Answer>,
}

/// The code at the start of a line of a reply.
fn code_of(line: &[u8]) -> Option<u16> {
    let digits = line.get(..3).filter(|d| d.iter().all(u8::is_ascii_digit))?;
    Some(digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0')))
}

/// Entries of the queue.
const RUNS: usize = 6;

/// Commands of one kind that came at one moment.
#[derive(Clone, Copy, Debug)]
struct Run {
    verb: Verb,
    count: u32,
    asked: Time,
}

/// The commands of one session that wait for their replies.
#[derive(Clone, Copy, Debug)]
pub struct Dialogue {
    runs: [Run; RUNS],
    len: u8,
}

impl Dialogue {
    /// A session that just began.
    pub fn new(now: Time) -> Dialogue {
        Dialogue { runs: [Run { verb: Verb::Connect, count: 1, asked: now }; RUNS], len: 1 }
    }

    /// A session whose beginning was not heard: what comes next is a command, or a word about
    /// something unknown.
    pub fn in_the_middle(now: Time) -> Dialogue {
        Dialogue { len: 0, ..Dialogue::new(now) }
    }

    fn ask(&mut self, verb: Verb, now: Time) {
        let len = usize::from(self.len);
        if let Some(last) = self.runs[..len].last_mut() {
            if len == RUNS || (last.verb == verb && last.asked == now) {
                last.count = last.count.saturating_add(1);
                return;
            }
        }
        self.runs[len] = Run { verb, count: 1, asked: now };
        self.len += 1;
    }

    /// What the next reply answers.
    pub fn waiting(&self) -> Option<Verb> {
        self.runs[..usize::from(self.len)].first().map(|run| run.verb)
    }

    /// A line passed.
    pub fn line(&mut self, side: Side, line: &[u8], now: Time) -> Heard {
        if side == Side::Client {
            let verb = Verb::of_line(line);
            self.ask(verb, now);
            return Heard { verb, code: None, answer: None };
        }
        let verb = self.waiting().unwrap_or(Verb::Other);
        let code = code_of(line);
        let Some(last) = code.filter(|_| line.get(3) != Some(&b'-')) else {
            return Heard { verb, code, answer: None };
        };
        let asked = self.answer(now);
        if last == 354 && verb == Verb::Data {
            self.content_expected(now);
        }
        Heard { verb, code, answer: Some(Answer { verb, code: last, asked }) }
    }

    /// Takes one command off the queue; says since when it waited. A reply that nothing waits for
    /// (421 at a time-out) was waited for since now.
    fn answer(&mut self, now: Time) -> Time {
        let len = usize::from(self.len);
        let Some(first) = self.runs[..len].first_mut() else { return now };
        let asked = first.asked;
        first.count -= 1;
        if first.count == 0 {
            self.runs.copy_within(1..len, 0);
            self.len -= 1;
        }
        asked
    }

    /// After 354 the next reply is that to the content, whatever was pipelined behind DATA: RFC
    /// 2920 section 3.1 makes DATA the last command of a group, so nothing should wait here.
    fn content_expected(&mut self, now: Time) {
        let len = usize::from(self.len).min(RUNS - 1);
        self.runs.copy_within(..len, 1);
        self.runs[0] = Run { verb: Verb::Dot, count: 1, asked: now };
        self.len = len as u8 + 1;
    }

    /// Content of the client passed: the wait for the reply to it begins now.
    pub fn content(&mut self, now: Time) {
        let len = usize::from(self.len);
        if let Some(run) =
            self.runs[..len].iter_mut().find(|r| matches!(r.verb, Verb::Dot | Verb::Bdat))
        {
            run.asked = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `C:` and `S:` lines with one tick a line; the answers as `verb code waited`.
    fn run(script: &[&str]) -> Vec<String> {
        let (mut dialogue, mut out) = (Dialogue::new(Time::ZERO), vec![]);
        for (i, line) in script.iter().enumerate() {
            let now = Time::from_micros(i as u64 + 1);
            let (side, text) = line.split_at(2);
            let side = match side {
                "C:" => Side::Client,
                "S:" => Side::Server,
                _ => {
                    dialogue.content(now);
                    continue;
                }
            };
            if let Some(a) = dialogue.line(side, text.as_bytes(), now).answer {
                let waited = now.since(a.asked).as_micros();
                out.push(format!("{} {} {waited}", a.verb.name(), a.code));
            }
        }
        out
    }

    #[test]
    fn a_session() {
        let got = run(&[
            "S:220 hi",
            "C:EHLO x",
            "S:250-x",
            "S:250 HELP",
            "C:mail FROM:<>",
            "S:250 ok",
            "C:RCPT TO:<a@b>",
            "S:550 5.7.1 no",
            "C:RCPT TO:<a@b>",
            "S:250",
            "C:DATA",
            "S:354 go",
            "..",
            "S:250 queued",
            "C:STARTTLS",
            "S:502 no",
            "C:foo",
            "S:500 what",
            "C:QUIT",
            "S:221 bye",
        ]);
        let want = "connect 220 1,ehlo 250 2,mail 250 1,rcpt 550 1,rcpt 250 1,data 354 1,\
                    dot 250 1,starttls 502 1,other 500 1,quit 221 1";
        assert_eq!(got.join(","), want);
    }

    #[test]
    fn pipelined_commands_are_answered_in_order() {
        let got = run(&[
            "S:220 hi",
            "C:MAIL FROM:<>",
            "C:RCPT TO:<a@b>",
            "C:RCPT TO:<b@b>",
            "C:BDAT 5 LAST",
            "..",
            "S:250 ok",
            "S:250 ok",
            "S:451 later",
            "S:250 ok",
            "S:421 bye",
        ]);
        let want = "connect 220 1,mail 250 5,rcpt 250 5,rcpt 451 5,bdat 250 4,other 421 0";
        assert_eq!(got.join(","), want);
    }

    #[test]
    fn a_flood_of_commands_is_bounded_and_comes_right_again() {
        let mut d = Dialogue::new(Time::ZERO);
        d.line(Side::Server, b"220 hi", Time::ZERO);
        for i in 0..5000 {
            let line: &[u8] = if i % 2 == 0 { b"NOOP" } else { b"RSET" };
            d.line(Side::Client, line, Time::from_micros(i));
        }
        for _ in 0..5000 {
            assert!(d.waiting().is_some());
            d.line(Side::Server, b"250 ok", Time::from_micros(9999));
        }
        assert_eq!(d.waiting(), None);
        d.line(Side::Client, b"MAIL FROM:<>", Time::from_micros(9999));
        assert_eq!(d.waiting(), Some(Verb::Mail));
    }

    #[test]
    fn lines_that_are_no_replies_answer_nothing() {
        let mut d = Dialogue::new(Time::ZERO);
        for line in [&b"220-hi"[..], b"hello", b"", b"22", b"2x0 a"] {
            let heard = d.line(Side::Server, line, Time::ZERO);
            assert_eq!((heard.verb, heard.answer), (Verb::Connect, None));
        }
        assert!(d.line(Side::Server, b"220", Time::ZERO).answer.is_some());
    }

    #[test]
    fn verbs_in_any_case_and_their_names() {
        assert_eq!(Verb::of_line(b"rCpT TO:<>"), Verb::Rcpt);
        assert_eq!(Verb::of_line(b"StartTLS"), Verb::StartTls);
        for not in [&b""[..], b"DATAX", b"DAT", b"MAILFROM:<>", b"GET / HTTP/1.1", b"\xff"] {
            assert_eq!(Verb::of_line(not), Verb::Other);
        }
        for verb in Verb::ALL {
            let line = verb.name();
            let made_up = matches!(verb, Verb::Connect | Verb::Dot | Verb::Other);
            assert_eq!(Verb::of_line(line.as_bytes()) == verb, !made_up || verb == Verb::Other);
        }
    }
}
