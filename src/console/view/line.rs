//! A line of the message region: time, delay, session, direction, text, each in the style of its
//! meaning; and how a line flows over rows.

use std::time::Duration;

use super::super::grid::{Grid, width};
use super::super::messages::Entry;
use super::super::style::Style;
use super::Look;
use crate::base::{Leg, Printable, SessionId, Wall};
use crate::explain::wrap_to;
use crate::journal::{FeedItem, Level, Mark, Side, Sign, render};

/// Fewer columns than this show neither delays nor milliseconds.
pub const NARROW: usize = 64;
/// A delay that deserves a look.
const SLOW: Duration = Duration::from_secs(1);
/// From so many columns on a note stands beside its line.
const BESIDE: usize = 110;
/// Columns left of a note below its line: under its session.
const NOTE_INDENT: usize = 22;
/// Rows that a note has below its line.
const NOTE_ROWS: usize = 2;
/// Columns that a folded line must have for its text beside the indentation.
const MIN_TEXT: usize = 20;

/// Characters with their styles, and by how much the rows after the first are indented.
#[derive(Default, Debug)]
pub struct Line {
    chars: Vec<(char, Style)>,
    indent: usize,
    /// The note on it, where there is no room beside it: each a row of its own.
    below: Vec<Vec<(char, Style)>>,
}

impl Line {
    /// Appends text. What the terminal cannot show is written as an escape.
    pub fn push(&mut self, look: Look, style: Style, text: &str) {
        self.chars.extend(styled(look, style, text));
    }

    /// Adds a note: on a wide screen beside the line, else below it.
    pub fn annotate(&mut self, look: Look, columns: usize, note: &str) {
        let style = if note.starts_with("** ") { Style::Alarm } else { Style::Faint };
        let taken: usize = self.chars.iter().map(|(c, _)| width(*c)).sum();
        let wide = columns >= BESIDE;
        let indent = match columns {
            _ if wide => columns * 11 / 20,
            NARROW.. => NOTE_INDENT,
            _ => 9,
        };
        let mut rows = Vec::new();
        let room = columns.saturating_sub(indent);
        wrap_to(room, &mut rows, "", note);
        let more = rows.len() > NOTE_ROWS;
        rows.truncate(NOTE_ROWS);
        let last = rows.len().saturating_sub(1);
        for (i, row) in rows.iter_mut().enumerate() {
            // A word that is longer than the room is cut, too.
            if more && i == last || row.chars().map(width).sum::<usize>() > room {
                cut_note(row, room, look);
            }
        }
        if wide {
            let at = indent.max(taken + 2);
            let first: usize = rows.first().map_or(0, |row| row.chars().map(width).sum());
            if at == indent || rows.len() == 1 && at + first <= columns {
                self.chars.extend(vec![(' ', Style::Plain); at - taken]);
                self.push(look, style, &rows.remove(0));
            }
        }
        let blanks = vec![(' ', Style::Plain); indent];
        let below = rows.iter().map(|row| {
            let mut chars = blanks.clone();
            chars.extend(styled(look, style, row));
            chars
        });
        self.below = below.collect();
    }

    /// What is written so far stands left of what follows, on all rows.
    pub fn indent_here(&mut self) {
        self.indent = self.chars.iter().map(|(c, _)| width(*c)).sum();
    }

    /// The text, for searching.
    pub fn text(&self) -> String {
        self.chars.iter().map(|(c, _)| c).collect()
    }

    /// Shows where a pattern stands.
    pub fn highlight(&mut self, pattern: &str) {
        let text: Vec<char> = self.chars.iter().map(|(c, _)| *c).collect();
        let wanted: Vec<char> = pattern.chars().collect();
        let minds_case = pattern.chars().any(char::is_uppercase);
        let same = |a: &char, b: &char| a == b || !minds_case && a.to_lowercase().eq([*b]);
        let mut at = 0;
        while !wanted.is_empty() && at + wanted.len() <= text.len() {
            if text[at..].iter().zip(&wanted).all(|(a, b)| same(a, b)) {
                let found = &mut self.chars[at..at + wanted.len()];
                found.iter_mut().for_each(|(_, style)| *style = Style::Found);
                at += wanted.len();
            } else {
                at += 1;
            }
        }
    }

    /// Calls `put` with row, column and character for every character; says how many rows it took.
    fn flow(&self, columns: usize, mut put: impl FnMut(usize, usize, char, Style)) -> usize {
        let indent = if self.indent + MIN_TEXT > columns { 0 } else { self.indent };
        let (mut row, mut column) = (0, 0);
        for (c, style) in &self.chars {
            let wide = width(*c);
            if column + wide > columns && wide <= columns {
                (row, column) = (row + 1, indent);
            }
            put(row, column, *c, *style);
            column += wide;
        }
        row + 1
    }

    /// How many rows it takes.
    pub fn rows(&self, columns: usize, fold: bool) -> usize {
        self.own_rows(columns, fold) + self.below.len()
    }

    fn own_rows(&self, columns: usize, fold: bool) -> usize {
        if fold && columns > 0 { self.flow(columns, |_, _, _, _| {}) } else { 1 }
    }

    /// Paints it with its first row at `top`, which may lie above the region: only rows of the
    /// region are painted.
    pub fn paint(&self, grid: &mut Grid, look: Look, top: isize, rows: (usize, usize), fold: bool) {
        let columns = grid.columns();
        let mut cut = false;
        self.flow(columns, |row, column, c, style| {
            if row > 0 && !fold {
                cut = true;
                return;
            }
            let Some(row) = top.checked_add_unsigned(row).and_then(|r| usize::try_from(r).ok())
            else {
                return;
            };
            if (rows.0..rows.1).contains(&row) {
                grid.put(row, column, columns, style, c.encode_utf8(&mut [0; 4]));
            }
        });
        if let (true, Ok(row), true) = (cut, usize::try_from(top), columns > 0) {
            let sign = if look.utf8 { "…" } else { ">" };
            grid.put(row, columns - 1, columns, Style::Faint, sign);
        }
        let below = top.saturating_add_unsigned(self.own_rows(columns, fold));
        for (row, chars) in (below..).zip(&self.below) {
            let Ok(row) = usize::try_from(row) else { continue };
            let mut column = 0;
            for (c, style) in chars.iter().filter(|_| (rows.0..rows.1).contains(&row)) {
                column = grid.put(row, column, columns, *style, c.encode_utf8(&mut [0; 4]));
            }
        }
    }
}

/// Ends a note that has more to say than there is room for.
fn cut_note(row: &mut String, room: usize, look: Look) {
    let more = if look.utf8 { " …" } else { " ..." };
    let fits = |row: &str| row.chars().map(width).sum::<usize>() + more.chars().count() <= room;
    while !fits(row) {
        match row.rfind(' ') {
            Some(at) => row.truncate(at),
            None if row.pop().is_some() => {}
            None => break,
        }
    }
    row.push_str(more);
}

/// Text as it can be shown: what the terminal cannot show is written as an escape.
fn styled(look: Look, style: Style, text: &str) -> Vec<(char, Style)> {
    let mut chars = Vec::with_capacity(text.len());
    for c in text.chars() {
        if Printable::is_safe(c) && (look.utf8 || c.is_ascii()) {
            chars.push((c, style));
        } else {
            chars.extend(c.escape_unicode().map(|c| (c, style)));
        }
    }
    chars
}

/// How wide the ids of sessions are.
pub fn id_width(entry: &Entry) -> usize {
    match entry {
        Entry::Item(item) => item.session.map_or(1, |id| id.to_string().len()),
        _ => 1,
    }
}

/// The line of an entry. `ids` is the width of the ids of the sessions around it.
pub fn line_of(entry: &Entry, columns: usize, ids: usize, look: Look) -> Line {
    let mut line = Line::default();
    match entry {
        Entry::Item(item) => push_item(&mut line, item, columns, ids, look),
        Entry::Mark(at, text) => {
            let (dash, clock) = (if look.utf8 { "─" } else { "-" }, at.clock());
            let text = match text.as_str() {
                "" => String::new(),
                text => format!(" {text}"),
            };
            let head = format!("{} {clock}{text} ", dash.repeat(4));
            line.push(look, Style::Mark, &head);
            let rest = columns.saturating_sub(head.chars().map(width).sum());
            line.push(look, Style::Mark, &dash.repeat(rest));
        }
        Entry::Gap(lines) => {
            let s = if *lines == 1 { "" } else { "s" };
            let dots = if look.utf8 { "┄┄┄┄" } else { "...." };
            let text = format!("{dots} {lines} line{s} not shown here: too much at once");
            line.push(look, Style::Mark, &text);
        }
    }
    line
}

fn push_item(line: &mut Line, item: &FeedItem, columns: usize, ids: usize, look: Look) {
    let clock = Wall::from_micros(item.at_ms.saturating_mul(1000)).clock();
    let delay = Duration::from_micros(item.delay_us);
    if columns < NARROW {
        line.push(look, Style::Faint, &format!("{} ", &clock[..8]));
    } else {
        line.push(look, Style::Faint, &format!("{clock} "));
        let style = if delay >= SLOW { Style::Slow } else { Style::Faint };
        line.push(look, style, &format!("{:>8} ", render::Delay(delay).to_string()));
    }
    let id = item.session.map_or("-".into(), |id: SessionId| id.to_string());
    let leg = item.session.map(|id| id.leg);
    let leg = match leg {
        Some(Leg::In) => Style::Inbound,
        Some(Leg::Out) => Style::Outbound,
        None => Style::Faint,
    };
    line.push(look, leg, &format!("{id:<ids$} "));
    let style = style_of(item);
    line.push(look, style, &format!("{:>3} ", item.sign.as_str()));
    line.indent_here();
    line.push(look, mark_style(item.mark, style), item.mark.prefix());
    if let Some(message) = item.message {
        line.push(look, style, &format!("{} ", message.short()));
    }
    line.push(look, style, item.text.as_str());
}

fn mark_style(mark: Mark, style: Style) -> Style {
    match mark {
        Mark::Plain => style,
        Mark::Unexpected => Style::Alarm,
        Mark::Injected | Mark::Held => Style::Injected,
    }
}

fn style_of(item: &FeedItem) -> Style {
    match (item.level, item.sign) {
        (Level::Error, _) => Style::Alarm,
        (Level::Warn, _) => Style::Warning,
        (Level::Info, Sign::Event) => Style::Event,
        (Level::Info, Sign::Said { side: Side::Client, .. }) => Style::Command,
        (Level::Info, Sign::Said { side: Side::Server, .. }) => match item.code {
            Some(200..400) => Style::Good,
            Some(400..500) => Style::Later,
            Some(500..600) => Style::Bad,
            _ => Style::Plain,
        },
    }
}
