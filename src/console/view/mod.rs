//! The view: a pure function from the console's state to a screen of cells.
//!
//! ```text
//!   120x40 and more             80x24                       40x10
//!  ┌─────────────────────┐     ┌───────────────────┐       ┌──────────────┐
//!  │ sparklines          │     │                   │       │ messages     │
//!  │ live sessions       │     │ messages          │       │              │
//!  ├─────────────────────┤     │                   │       ├──────────────┤
//!  │ messages            │     ├───────────────────┤       │ status       │
//!  ├─────────────────────┤     │ status            │       │ answer       │
//!  │ status              │     │ answer, as high   │       │ > prompt     │
//!  │ answer              │     │ as it needs       │       └──────────────┘
//!  │ > prompt            │     │ > prompt          │
//!  │ hint                │     │ hint              │
//!  └─────────────────────┘     └───────────────────┘
//! ```

mod line;
mod status;
mod strip;

use std::time::Duration;

use super::answers::Part;
use super::complete::hint;
use super::grid::{Grid, columns, width};
use super::messages::Entry;
use super::style::Style;
use super::{Console, Find};
use crate::base::show_duration;
use line::{Line, id_width, line_of};

/// What the terminal can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Characters beyond ASCII.
    pub utf8: bool,
}

/// A screen to be shown, and where the cursor is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The cells.
    pub grid: Grid,
    /// Row and column.
    pub cursor: (usize, usize),
}

/// From so many rows on there is one for hints; else they stand behind what is typed.
const HINT_ROWS: usize = 16;
/// The least size that has a strip on top.
const STRIP: (usize, usize) = (120, 40);
/// Before what is typed.
const PROMPT: &str = "> ";

/// Where each region begins; it ends where the next one begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Layout {
    messages: usize,
    status: usize,
    answers: usize,
    prompt: usize,
    /// The row for hints, if there is one.
    hint: Option<usize>,
}

fn layout(console: &Console) -> Layout {
    let (columns, rows) = console.size;
    let hint = usize::from(rows >= HINT_ROWS);
    let prompt = rows.saturating_sub(1 + hint);
    let messages = if columns >= STRIP.0 && rows >= STRIP.1 { rows / 4 } else { 0 };
    let room = prompt.saturating_sub(messages);
    // At least half of what is there stays with the messages.
    let most = room.saturating_sub(1) / 2;
    let answers = prompt - answer_rows(console, most);
    let status = answers.saturating_sub(1);
    Layout { messages, status, answers, prompt, hint: (hint > 0).then_some(prompt + 1) }
}

/// How many rows the interaction region has.
fn answer_rows(console: &Console, most: usize) -> usize {
    if !console.answers.is_open() {
        return 0;
    }
    let mut rows = 0;
    for (part, text) in console.answers.last() {
        rows += answer_line(console, *part, text.as_str()).rows(console.size.0, true);
        if rows >= most {
            return most;
        }
    }
    rows
}

/// Entries that are in view now.
pub fn entries_in_view(console: &Console) -> usize {
    let layout = layout(console);
    let mut room = layout.status - layout.messages.min(layout.status);
    let mut count = 0;
    for (_, entry) in console.messages.view() {
        let rows = noted(console, entry, 5).rows(console.size.0, console.fold);
        if rows > room {
            break;
        }
        (room, count) = (room - rows, count + 1);
    }
    count.max(1)
}

/// Rows of the interaction region.
pub fn answers_in_view(console: &Console) -> usize {
    let layout = layout(console);
    (layout.prompt - layout.answers).max(1)
}

/// The line of an entry as it is searched.
pub fn text_of(console: &Console, entry: &Entry) -> String {
    noted(console, entry, 5).text()
}

/// The line of an entry, with its note where notes are shown. `ids` is the width of the ids.
fn noted(console: &Console, entry: &Entry, ids: usize) -> Line {
    let mut line = line_of(entry, console.size.0, ids, console.look);
    match entry {
        Entry::Item(item) if console.notes => {
            if let Some(note) = &item.note {
                line.annotate(console.look, console.size.0, note.as_str());
            }
        }
        _ => {}
    }
    line
}

/// The screen.
pub fn draw(console: &Console) -> Frame {
    let (columns, rows) = console.size;
    let mut grid = Grid::new(columns, rows, !console.look.utf8);
    let layout = layout(console);
    if layout.messages > 0 {
        strip::paint(&mut grid, layout.messages, console);
    }
    messages(&mut grid, layout, console);
    status::paint(&mut grid, layout.status, console);
    answers(&mut grid, layout, console);
    let cursor = prompt(&mut grid, layout, console);
    Frame { grid, cursor }
}

/// The messages, from the last one in view upwards.
fn messages(grid: &mut Grid, layout: Layout, console: &Console) {
    let (columns, look) = (console.size.0, console.look);
    let height = layout.status.saturating_sub(layout.messages);
    let ids = console.messages.view().take(height).map(|(_, entry)| id_width(entry));
    let ids = ids.max().unwrap_or(0).max(5);
    let mut bottom = layout.status as isize;
    for (_, entry) in console.messages.view() {
        if bottom <= layout.messages as isize {
            break;
        }
        let mut line = noted(console, entry, ids);
        if let Some(find) = &console.find {
            line.highlight(&find.pattern);
        }
        bottom -= line.rows(columns, console.fold) as isize;
        line.paint(grid, look, bottom, (layout.messages, layout.status), console.fold);
    }
}

fn answer_line(console: &Console, part: Part, text: &str) -> Line {
    let mut line = Line::default();
    let style = match part {
        Part::Command => {
            line.push(console.look, Style::Prompt, PROMPT);
            Style::Prompt
        }
        Part::Answer => Style::Plain,
        Part::Refusal => Style::Bad,
        Part::Note => Style::Event,
    };
    line.push(console.look, style, text);
    if part != Part::Command {
        line.by_words();
    }
    line
}

fn answers(grid: &mut Grid, layout: Layout, console: &Console) {
    let rows = (layout.answers, layout.prompt);
    if rows.0 >= rows.1 {
        return;
    }
    // When there is more, the last row says so and shows nothing else.
    let lengths = console
        .answers
        .view()
        .map(|(part, text)| answer_line(console, *part, text.as_str()).rows(grid.columns(), true));
    let fits = lengths.sum::<usize>() <= rows.1 - rows.0;
    let rows = (rows.0, rows.1 - usize::from(!fits));
    let mut row = rows.0;
    let mut lines = console.answers.view();
    for (part, text) in &mut lines {
        let line = answer_line(console, *part, text.as_str());
        line.paint(grid, console.look, row as isize, rows, true);
        row += line.rows(grid.columns(), true);
        if row >= rows.1 {
            break;
        }
    }
    if !fits {
        let more = lines.count() + usize::from(row > rows.1);
        let text = format!(" {more} more lines: Alt-PgDn, Esc closes ");
        let start = grid.columns().saturating_sub(columns(&text));
        grid.put(rows.1, start, grid.columns(), Style::StatusAlarm, &text);
    }
}

/// The prompt and the hint; says where the cursor is.
fn prompt(grid: &mut Grid, layout: Layout, console: &Console) -> (usize, usize) {
    let row = layout.prompt;
    let columns_of = |chars: &[char]| -> usize { chars.iter().map(|c| width(*c)).sum() };
    let search = console.editor.search();
    let (label, text, cursor) = match (&console.find, search) {
        (Some(Find { typing: true, pattern, .. }), _) => {
            let text: Vec<char> = pattern.chars().collect();
            ("/".to_owned(), text.clone(), text.len())
        }
        (_, Some(search)) => {
            let failed = if search.failed() { "failed: " } else { "" };
            let label = format!("({failed}history: {}) ", search.pattern);
            (label, console.editor.chars().to_vec(), console.editor.cursor())
        }
        _ => {
            let prompt = console.talk.as_ref().map_or(PROMPT, |talk| talk.prompt.as_str());
            (prompt.to_owned(), console.editor.chars().to_vec(), console.editor.cursor())
        }
    };
    let most = grid.columns();
    let start = grid.put(row, 0, most, Style::Prompt, &label);
    let ascii = |c: &char| if console.look.utf8 || c.is_ascii() { *c } else { '?' };
    let text: Vec<char> = text.iter().map(ascii).collect();
    // A long line moves left, so that the cursor stays in view.
    let room = most.saturating_sub(start + 1).max(1);
    let mut skip = 0;
    while columns_of(&text[skip..cursor]) > room {
        skip += 1;
    }
    let shown: String = text[skip..].iter().collect();
    let end = grid.put(row, start, most, Style::Plain, &shown);
    let at = start + columns_of(&text[skip..cursor]);
    let words = hint_words(console);
    let style = if words.starts_with("||| ") { Style::Injected } else { Style::Faint };
    match layout.hint {
        Some(row) => {
            grid.put(row, 0, most, style, &words);
            if columns(&words) > most {
                let sign = if console.look.utf8 { "…" } else { ">" };
                grid.put(row, most.saturating_sub(1), most, style, sign);
            }
        }
        None if cursor == text.len() && end + 2 + columns(&words) <= most => {
            grid.put(row, end + 2, most, style, &words);
        }
        None => {}
    }
    (row, at.min(most.saturating_sub(1)))
}

/// What stands beside the prompt: what Tab found, or what a key would do here.
fn hint_words(console: &Console) -> String {
    if let Some(words) = &console.hint {
        return words.clone();
    }
    match &console.find {
        Some(find) if find.typing => return "text to find; Enter finds the last one".into(),
        Some(find) => {
            let found = if find.at.is_some() { "found" } else { "no more" };
            return format!("{found}: {}   n older  N newer  Esc ends", find.pattern);
        }
        None => {}
    }
    if console.talk.is_some() {
        return "for the tutor: hint  skip  lesson N  explain WORD  help  quit".into();
    }
    let line = console.editor.text();
    if let Some(hint) = hint(&line) {
        return hint;
    }
    if !console.messages.follows() {
        return "Ctrl-Q: go along again".into();
    }
    if let (true, Some((session, held))) = (line.is_empty(), console.held()) {
        let left = show_duration(Duration::from_secs(held.left_s));
        return format!(
            "||| {} held at {}, {left} left: Alt-G go  Alt-S step; or reply, drop, delay",
            session.id, held.stage
        );
    }
    if line.is_empty() {
        return "help  Tab completes  PgUp scrolls  / finds  Ctrl-S freezes  Alt-W folds".into();
    }
    String::new()
}
