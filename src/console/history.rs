//! What was typed before: bounded, kept between runs by whoever owns the file.

use std::collections::VecDeque;

/// Lines that are kept.
const MAX_LINES: usize = 1000;

/// The lines typed, the oldest first.
#[derive(Default, Debug)]
pub struct History {
    lines: VecDeque<String>,
    /// How many of the last ones are new since the file was read.
    new: usize,
}

impl History {
    /// From the text of a file, one command a line.
    pub fn read(text: &str) -> History {
        let mut history = History::default();
        text.lines().for_each(|line| history.push(line));
        history.new = 0;
        history
    }

    /// A line was typed. Nothing is kept of an empty one or the same again, nor of one that begins
    /// with a blank, as shells have it.
    pub fn push(&mut self, line: &str) {
        let unwanted = line.trim().is_empty() || line.starts_with(' ');
        if unwanted || self.lines.back().is_some_and(|last| last == line) {
            return;
        }
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
        self.new = (self.new + 1).min(self.lines.len());
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// The line with this number, 0 the oldest.
    pub fn get(&self, at: usize) -> Option<&str> {
        self.lines.get(at).map(String::as_str)
    }

    /// The number of the last line before `end` that contains `part`.
    pub fn find(&self, part: &str, end: usize) -> Option<usize> {
        let end = end.min(self.lines.len());
        (0..end).rev().find(|at| self.lines[*at].contains(part))
    }

    /// What is new since the file was read and may be written there: no secrets.
    pub fn new_lines(&self) -> Vec<String> {
        let new = self.lines.range(self.lines.len() - self.new..);
        new.filter(|line| !has_secret(line)).cloned().collect()
    }
}

/// The text of the file with more lines. Another console may have written meanwhile, so it is read
/// again before that.
pub fn merge(file: &str, new: &[String]) -> String {
    let all: Vec<&str> = file.lines().chain(new.iter().map(String::as_str)).collect();
    let kept = &all[all.len().saturating_sub(MAX_LINES)..];
    kept.iter().flat_map(|line| [line, "\n"]).collect()
}

/// A command that sets a password.
fn has_secret(line: &str) -> bool {
    line.to_ascii_lowercase().contains("password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_once_and_bounded() {
        let mut history = History::read("one\n\ntwo\ntwo\n");
        assert_eq!((history.len(), history.new_lines().len()), (2, 0));
        for line in ["two", " secret", "", "three"] {
            history.push(line);
        }
        assert_eq!((history.len(), history.get(2)), (3, Some("three")));
        for i in 0..2 * MAX_LINES {
            history.push(&format!("line {i}"));
        }
        assert_eq!(history.len(), MAX_LINES);
        assert_eq!(merge("", &history.new_lines()).lines().count(), MAX_LINES);
    }

    #[test]
    fn consoles_share_a_file_and_secrets_stay_out() {
        let mut history = History::read("one\n");
        history.push("status");
        history.push("config set next_server.password hunter2");
        assert_eq!(merge("one\nother\n", &history.new_lines()), "one\nother\nstatus\n");
        assert_eq!(history.get(2), Some("config set next_server.password hunter2"));
    }

    #[test]
    fn search_goes_back() {
        let history = History::read("queue\nstatus\nqueue age\n");
        assert_eq!(history.find("queue", 3), Some(2));
        assert_eq!(history.find("queue", 2), Some(0));
        assert_eq!(history.find("queue", 0), None);
    }
}
