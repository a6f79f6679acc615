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
//! The tutor never sends anything. A student who goes ways of their own gets notes all the same.

mod lesson;

#[cfg(test)]
mod tests;

use crate::base::{Leg, Printable};
use crate::explain::{Comment, Commentator};
use crate::journal::{Side, Sign};
use lesson::{Step, lessons};

/// Columns of what the tutor says.
const COLUMNS: usize = 76;

/// Follows one student.
#[derive(Debug)]
pub struct Tutor {
    lesson: usize,
    step: usize,
    commentator: Commentator,
}

impl Default for Tutor {
    fn default() -> Tutor {
        Tutor { lesson: 0, step: 0, commentator: Commentator::new(Leg::In) }
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

    /// The first words: how a student gets to this address of the server.
    pub fn welcome(&self, address: &str) -> Vec<String> {
        let address = Printable::bounded(address, 80);
        let mut words = Words::default();
        words.say(&format!(
            "The tutor follows a session that you speak by hand. Open another terminal and say \
             `telnet {address}`, or `nc -C {address}`; lines end with CR and LF."
        ));
        self.announce(&mut words);
        words.lines
    }

    /// All lessons are done.
    pub fn is_done(&self) -> bool {
        self.lesson >= lessons().len()
    }

    /// The student's session begins: what comes before its greeting is forgotten.
    pub fn connected(&mut self) -> Vec<String> {
        self.commentator = Commentator::new(Leg::In);
        Vec::new()
    }

    /// A line of the student's session passed.
    pub fn hear(&mut self, sign: Sign, text: &[u8]) -> Vec<String> {
        let comment = self.commentator.hear(sign, text);
        let mut words = Words::default();
        for breach in &comment.breaches {
            words.mark("**", &format!("{} ({})", breach.what, breach.rfc));
        }
        if matches!(sign, Sign::Said { side: Side::Server, .. }) {
            self.answered(&comment, &mut words);
        }
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
            announce_step(step, words);
        }
    }

    fn advance(&mut self, words: &mut Words) {
        self.step += 1;
        match self.current() {
            Some(step) => announce_step(step, words),
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
