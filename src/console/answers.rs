//! The interaction region: commands that were given and what was answered. It is as high as the
//! last answer, as far as there is room, and can be scrolled and closed.

use std::collections::VecDeque;

use crate::base::Printable;

/// Lines that are kept.
const MAX_LINES: usize = 5000;

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// A command as it was given.
    Command,
    /// An answer.
    Answer,
    /// Why something was not done.
    Refusal,
    /// A word of the console itself.
    Note,
}

/// The lines.
#[derive(Default, Debug)]
pub struct Answers {
    lines: VecDeque<(Part, Printable)>,
    /// Where the last command begins.
    start: usize,
    /// The first line in view.
    top: usize,
    open: bool,
}

impl Answers {
    /// A command was given: the region shows what comes now.
    pub fn command(&mut self, line: &str) {
        (self.start, self.top, self.open) = (self.lines.len(), self.lines.len(), true);
        self.push(Part::Command, Printable::new(line));
    }

    /// A line of the answer.
    pub fn push(&mut self, part: Part, line: Printable) {
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
            self.start = self.start.saturating_sub(1);
            self.top = self.top.saturating_sub(1);
        }
        self.lines.push_back((part, line));
    }

    /// The last command was refused: what was answered is the reason.
    pub fn refused(&mut self) {
        for (part, _) in self.lines.range_mut(self.start..) {
            if *part == Part::Answer {
                *part = Part::Refusal;
            }
        }
    }

    /// Says something without a command.
    pub fn note(&mut self, text: &str) {
        (self.start, self.top, self.open) = (self.lines.len(), self.lines.len(), true);
        self.push(Part::Note, Printable::from_shown(text));
    }

    /// Closes the region; what it had can be scrolled back to.
    pub fn close(&mut self) {
        self.open = false;
        (self.start, self.top) = (self.lines.len(), self.lines.len());
    }

    /// Moves on so far that the last line is in view, in so many rows.
    pub fn show_end(&mut self, rows: usize) {
        self.top = self.top.max(self.lines.len().saturating_sub(rows));
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The lines of the last answer: so high the region wants to be.
    pub fn last(&self) -> impl Iterator<Item = &(Part, Printable)> {
        self.lines.range(self.start..)
    }

    /// The lines from the first in view on.
    pub fn view(&self) -> impl Iterator<Item = &(Part, Printable)> {
        self.lines.range(self.top..)
    }

    /// Moves up by so many lines.
    pub fn scroll_up(&mut self, by: usize) {
        if !self.lines.is_empty() {
            self.open = true;
            self.top = self.top.saturating_sub(by);
            self.start = self.start.min(self.lines.len() - 1);
        }
    }

    /// Moves down by so many lines.
    pub fn scroll_down(&mut self, by: usize) {
        self.top = (self.top + by).min(self.lines.len().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(answers: &Answers) -> String {
        answers.view().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn the_last_answer_is_shown_and_the_others_are_above() {
        let mut answers = Answers::default();
        for command in ["one", "two"] {
            answers.command(command);
            answers.push(Part::Answer, Printable::new("a"));
            answers.push(Part::Answer, Printable::new("b"));
        }
        assert_eq!((shown(&answers).as_str(), answers.last().count()), ("two,a,b", 3));
        answers.scroll_up(2);
        assert_eq!(shown(&answers), "a,b,two,a,b");
        answers.scroll_up(99);
        answers.scroll_down(4);
        assert_eq!(shown(&answers), "a,b");
        answers.scroll_down(99);
        assert_eq!(shown(&answers), "b");
        answers.close();
        assert!(!answers.is_open());
        answers.scroll_up(1);
        assert_eq!((shown(&answers).as_str(), answers.is_open()), ("b", true));
        answers.refused();
        assert_eq!(answers.last().next().unwrap().0, Part::Refusal);
    }

    #[test]
    fn it_is_bounded() {
        let mut answers = Answers::default();
        answers.scroll_up(1);
        answers.scroll_down(1);
        answers.command("x");
        for i in 0..2 * MAX_LINES {
            answers.push(Part::Answer, Printable::new(i.to_string()));
        }
        assert_eq!(answers.lines.len(), MAX_LINES);
        assert_eq!(answers.view().count(), MAX_LINES);
    }
}
