//! The lessons, read from their text.
//!
//! ```text
//!   # A first message            a lesson
//!   Say who you are …            what the step is about
//!   try: EHLO student.example    what to type; lines of content between slashes
//!   wants: EHLO 250              the reply that ends it: command and code
//!   then: One extension …        what happened, and why
//! ```
//!
//! A blank line ends a step.

use std::sync::LazyLock;

/// A lesson.
#[derive(Debug)]
pub(super) struct Lesson {
    pub title: &'static str,
    pub steps: Vec<Step>,
}

/// One thing to do.
#[derive(Default, Debug)]
pub(super) struct Step {
    pub about: String,
    /// What to type; empty when it is to connect.
    pub try_this: String,
    /// The command whose reply is waited for, and the code.
    pub wants: (&'static str, u16),
    pub then: String,
}

const TEXT: &str = include_str!("lessons.txt");

static LESSONS: LazyLock<Vec<Lesson>> = LazyLock::new(read);

pub(super) fn lessons() -> &'static [Lesson] {
    &LESSONS
}

fn read() -> Vec<Lesson> {
    let mut lessons: Vec<Lesson> = Vec::new();
    for block in TEXT.split("\n\n") {
        let (title, rest) = match block.strip_prefix("# ") {
            Some(rest) => {
                let (title, rest) = rest.split_once('\n').unwrap_or((rest, ""));
                (Some(title), rest)
            }
            None => (None, block),
        };
        if let Some(title) = title {
            lessons.push(Lesson { title, steps: Vec::new() });
        }
        if let Some(lesson) = lessons.last_mut() {
            lesson.steps.push(step(rest));
        }
    }
    lessons
}

fn step(block: &'static str) -> Step {
    let mut step = Step::default();
    let mut then = false;
    for line in block.lines() {
        if let Some(text) = line.strip_prefix("try: ") {
            step.try_this = text.into();
        } else if let Some(text) = line.strip_prefix("wants: ") {
            let (word, code) = text.split_once(' ').unwrap_or((text, ""));
            step.wants = (word, code.parse().unwrap_or(0));
        } else {
            let text = line.strip_prefix("then: ").unwrap_or(line);
            then |= text.len() < line.len();
            let part = if then { &mut step.then } else { &mut step.about };
            if !part.is_empty() {
                part.push(' ');
            }
            part.push_str(text);
        }
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_whole() {
        assert_eq!(lessons().len(), 4);
        for lesson in lessons() {
            assert_eq!(lesson.steps[0].wants, ("connect", 220), "{}", lesson.title);
            for (i, step) in lesson.steps.iter().enumerate() {
                let (word, code) = step.wants;
                assert!(!word.is_empty() && (200..600).contains(&code), "{step:?}");
                assert!(!step.then.is_empty(), "{step:?}");
                assert_eq!(step.try_this.is_empty(), i == 0, "{step:?}");
            }
        }
    }
}
