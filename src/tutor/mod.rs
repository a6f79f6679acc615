//! The tutor: walks a student through real sessions, line by line.
//!
//! The student speaks SMTP by hand, from the console or with telnet; the tutor hears what the
//! transcript of that session holds, and after each line says what happened, why, and what to try
//! next. It is a machine without I/O: lines in, words for the student out. Whoever drives it
//! decides which session is the student's.
//!
//! | heard | said |
//! | --- | --- |
//! | a line that breaks a rule | which rule |
//! | the reply that the step wants | what it means; the next step |
//! | another reply | what it means; the same step again |
//! | the session ends | connect again, where the lesson is not over |
//!
//! What the student types where the tutor sits is for the tutor when it is one of a few words in
//! small letters, and else a line of SMTP, to be sent as it is; between 354 and the dot all of it
//! is. The tutor never sends anything itself. A student who goes ways of their own gets notes all
//! the same.

mod lesson;
mod offers;
mod typed;

#[cfg(test)]
mod tests;

use crate::base::{Leg, Printable};
use crate::explain::{Comment, Commentator};
use crate::journal::{Side, Sign, tells_tls};
use lesson::{Step, lessons};
use offers::Offers;

pub use typed::Typed;

/// Columns of what the tutor says.
const COLUMNS: usize = 76;

/// Follows one student.
#[derive(Debug)]
pub struct Tutor {
    lesson: usize,
    step: usize,
    commentator: Commentator,
    heard: Heard,
    offers: Offers,
}

/// Whose turn it is in the student's session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Heard {
    /// The server is to speak, or to end what it says.
    Waiting,
    /// The last line of a reply: the student's turn.
    Answer,
    /// 354: lines of the message come, up to the dot.
    GoAhead,
    /// 220 to STARTTLS: both sides shake hands.
    Handshake,
}

impl Default for Tutor {
    fn default() -> Tutor {
        let commentator = Commentator::new(Leg::In);
        Tutor { lesson: 0, step: 0, commentator, heard: Heard::Waiting, offers: Offers::default() }
    }
}

impl Tutor {
    /// The titles of the lessons.
    pub fn titles() -> impl Iterator<Item = &'static str> {
        lessons().iter().map(|lesson| lesson.title)
    }

    /// At the beginning of a lesson, from 1; none when there is no such lesson.
    pub fn at_lesson(number: usize) -> Option<Tutor> {
        let lesson = number.checked_sub(1).filter(|lesson| *lesson < lessons().len())?;
        Some(Tutor { lesson, ..Tutor::default() })
    }

    /// The first words.
    pub fn welcome(&self) -> Vec<String> {
        let mut words = Words::default();
        words.say(
            "You speak with the server by hand, and are told what happened and why. What you \
             type goes to it as it is; words in small letters are for the tutor: hint, skip, \
             lesson N, quit (help has all).",
        );
        self.announce(&mut words);
        words.lines
    }

    /// What to do with a session that is spoken elsewhere: at this address of the server.
    pub fn watch(&self, address: &str) -> Vec<String> {
        let address = Printable::bounded(address, 80);
        let mut words = Words::default();
        words.say(&format!(
            "Open another terminal and say `telnet {address}`, or `nc -C {address}`; lines end \
             with CR and LF. The next session that begins is taken for yours."
        ));
        words.lines
    }

    /// `help`: the words that are for the tutor.
    pub fn help(&self) -> Vec<String> {
        let mut words = Words::default();
        for (word, what) in typed::WORDS {
            words.wrapped(&format!("{word:<16}"), what);
        }
        words.say("Anything else goes to the server; so does QUIT in capital letters.");
        for (number, title) in (1..).zip(Tutor::titles()) {
            words.wrapped(&format!("lesson {number:<9}"), title);
        }
        words.lines
    }

    /// `lesson N`: at its beginning, in the session that goes on.
    pub fn go_to(&mut self, number: usize) -> Vec<String> {
        let mut words = Words::default();
        match number.checked_sub(1).filter(|lesson| *lesson < lessons().len()) {
            Some(lesson) => {
                (self.lesson, self.step) = (lesson, 0);
                self.announce(&mut words);
            }
            None => words.say(&format!("There are lessons 1 to {}.", lessons().len())),
        }
        words.lines
    }

    /// The server has said all that it has to say for now.
    pub fn is_answered(&self) -> bool {
        matches!(self.heard, Heard::Answer | Heard::GoAhead)
    }

    /// A line was sent to the server: it is to answer now, unless the line is one of a message.
    pub fn sent(&mut self, line: &str) {
        if !(self.takes_content() && line != ".") {
            self.heard = Heard::Waiting;
        }
    }

    /// What is typed now is a line of the message.
    pub fn takes_content(&self) -> bool {
        self.heard == Heard::GoAhead
    }

    /// All lessons are done.
    pub fn is_done(&self) -> bool {
        self.lesson >= lessons().len()
    }

    /// The student's session begins: what comes before its greeting is forgotten.
    pub fn connected(&mut self) -> Vec<String> {
        self.commentator = Commentator::new(Leg::In);
        self.heard = Heard::Waiting;
        self.offers = Offers::default();
        Vec::new()
    }

    /// A line of the student's session passed.
    pub fn hear(&mut self, sign: Sign, text: &[u8]) -> Vec<String> {
        let comment = self.commentator.hear(sign, text);
        let mut words = Words::default();
        for breach in &comment.breaches {
            words.mark("**", &format!("{} ({})", breach.what, breach.rfc));
        }
        match (sign, &comment.answered) {
            (Sign::Said { side: Side::Server, .. }, Some((word, code))) => {
                self.heard = match *code {
                    354 => Heard::GoAhead,
                    220 if word.eq_ignore_ascii_case("STARTTLS") => Heard::Handshake,
                    // The end of the session comes next: nothing is to be typed into this one.
                    221 | 421 => Heard::Waiting,
                    _ => Heard::Answer,
                };
                self.answered(&comment, &mut words);
                if let Some(difference) = self.offers.hear(sign, text, comment.answered.as_ref()) {
                    words.say(&difference);
                }
            }
            (Sign::Said { side: Side::Server, .. }, None) => {
                self.offers.hear(sign, text, None);
            }
            // Something came that is no line: content, and with it the end of it.
            (Sign::Said { .. }, _) => self.heard = Heard::Waiting,
            (Sign::Event, _) if self.heard == Heard::Handshake && tells_tls(text) => {
                self.heard = Heard::Answer;
                secured(text, &mut words);
            }
            (Sign::Event, _) => {}
        }
        words.lines
    }

    /// STARTTLS was typed where there is no TLS to be had.
    pub fn no_tls(&self) -> Vec<String> {
        let mut words = Words::default();
        words.say(
            "Not sent: this server offers no STARTTLS now. It does with a certificate \
             (tls.certificate, tls.key); then both sides shake hands here, which nobody can do by \
             hand. `explain STARTTLS` says what it is for; `openssl s_client -starttls smtp` \
             speaks it with any server.",
        );
        words.lines
    }

    /// The student's session is over.
    pub fn closed(&mut self) -> Vec<String> {
        let mut words = Words::default();
        if self.is_done() {
            return words.lines;
        }
        let begun = self.step > 0;
        if begun {
            // A new session knows nothing of the old one: neither does the lesson.
            self.step = 0;
            words.say("The session is over before the lesson was. Connect again to take it anew.");
            self.announce(&mut words);
        }
        words.lines
    }

    /// What to do now, once more.
    pub fn hint(&self) -> Vec<String> {
        let mut words = Words::default();
        match self.current() {
            Some(step) => announce_step(step, &mut words),
            None => words.say("All lessons are done."),
        }
        words.lines
    }

    /// Goes on with the next lesson.
    pub fn skip(&mut self) -> Vec<String> {
        let mut words = Words::default();
        self.next_lesson(&mut words);
        words.lines
    }

    fn current(&self) -> Option<&'static Step> {
        lessons().get(self.lesson)?.steps.get(self.step)
    }

    fn answered(&mut self, comment: &Comment, words: &mut Words) {
        let Some((word, code)) = &comment.answered else { return };
        let Some(step) = self.current() else {
            words.say(&comment.note);
            return;
        };
        let (wanted, wanted_code) = step.wants;
        if word.eq_ignore_ascii_case(wanted) && *code == wanted_code {
            words.say(&step.then);
            self.advance(words);
            return;
        }
        // A reply on the way to what the step wants: 354 before the dot, say.
        words.say(&format!("{}.", comment.note));
        if *code >= 400 {
            words.blank();
            announce_step(step, words);
        }
    }

    fn advance(&mut self, words: &mut Words) {
        self.step += 1;
        match self.current() {
            Some(step) => {
                words.blank();
                announce_step(step, words);
            }
            None => self.next_lesson(words),
        }
    }

    fn next_lesson(&mut self, words: &mut Words) {
        (self.lesson, self.step) = ((self.lesson + 1).min(lessons().len()), 0);
        if self.is_done() {
            words.say("You have done all lessons.");
        }
        self.announce(words);
    }

    /// The title of the lesson and its first step.
    fn announce(&self, words: &mut Words) {
        let Some(lesson) = lessons().get(self.lesson) else { return };
        let (number, of) = (self.lesson + 1, lessons().len());
        words.blank();
        words.say(&format!("Lesson {number} of {of}: {}", lesson.title));
        if let Some(step) = self.current() {
            announce_step(step, words);
        }
    }
}

/// TLS is there.
fn secured(kind: &[u8], words: &mut Words) {
    words.say(&format!(
        "Both sides have shaken hands: {}. From now on nobody on the way can read or change what \
         is said (~> and <~). The server has forgotten all that was said in the clear: say EHLO \
         again, and look at what it offers now.",
        Printable::bounded(kind, 80)
    ));
}

fn announce_step(step: &Step, words: &mut Words) {
    words.say(&step.about);
    for line in step.try_this.split(" / ").filter(|line| !line.is_empty()) {
        words.mark("   ", line);
    }
}

/// Lines for the student.
#[derive(Default)]
struct Words {
    lines: Vec<String>,
}

impl Words {
    fn blank(&mut self) {
        self.lines.push(String::new());
    }

    fn say(&mut self, text: &str) {
        self.wrapped("", text);
    }

    fn mark(&mut self, mark: &str, text: &str) {
        self.wrapped(&format!("{mark} "), text);
    }

    fn wrapped(&mut self, head: &str, text: &str) {
        let mut line = head.to_owned();
        let mut is_empty = true;
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > COLUMNS {
                self.lines.push(std::mem::replace(&mut line, " ".repeat(head.len())));
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        if !is_empty {
            self.lines.push(line);
        }
    }
}
