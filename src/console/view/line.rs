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
/// What bars are made of.
const BAR: char = '█';

/// Characters with their styles, and by how much the rows after the first are indented.
#[derive(Default, Debug)]
pub struct Line {
    chars: Vec<(char, Style)>,
    indent: usize,
    /// Rows end between words where they can, not in the middle of one.
    by_words: bool,
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

    /// It is prose, or a table: rows end between words, and those after the first stand a little
    /// right of it, so that they are not taken for lines of their own.
    pub fn by_words(&mut self) {
        let blanks = self.chars.iter().take_while(|(c, _)| *c == ' ').count();
        (self.indent, self.by_words) = (blanks + 2, true);
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
        let mut end = self.row_end(0, columns);
        for (i, (c, style)) in self.chars.iter().enumerate() {
            if i == end {
                (row, column) = (row + 1, indent);
                end = self.row_end(i, columns.saturating_sub(indent));
            }
            put(row, column, *c, *style);
            column += width(*c);
        }
        row + 1
    }

    /// Where the next row begins when one begins here and has so much room.
    fn row_end(&self, from: usize, room: usize) -> usize {
        let mut column = 0;
        let mut chars = self.chars.iter().enumerate().skip(from);
        let over = chars.find_map(|(i, (c, _))| {
            column += width(*c);
            (column > room).then_some(i)
        });
        let Some(over) = over else { return self.chars.len() };
        // A bar that does not fit ends at the edge: what it shows stands beside it as a number.
        if self.by_words && self.chars[over..].iter().all(|(c, _)| *c == BAR) {
            return self.chars.len();
        }
        let is_blank = |i: &usize| self.chars[*i].0 == ' ';
        // A long word is not worth half a row of nothing; the blank at the end falls away.
        let words = from + (over - from) / 2 + 1..=over;
        match words.rev().find(is_blank).filter(|_| self.by_words) {
            Some(blank) => blank + 1,
            None => over.max(from + 1),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Look = Look { utf8: true };

    fn line(text: &str) -> Line {
        let mut line = Line::default();
        line.push(LOOK, Style::Plain, text);
        line
    }

    fn shown(line: &Line, columns: usize) -> Vec<String> {
        let rows = line.rows(columns, true);
        let mut grid = Grid::new(columns, rows, false);
        line.paint(&mut grid, LOOK, 0, (0, rows), true);
        (0..rows).map(|row| grid.text(row)).collect()
    }

    #[test]
    fn rows_end_between_words_or_in_the_middle_of_long_ones() {
        let columns = 30;
        let mut prose = line("  the first words, and then those behind");
        assert_eq!(shown(&prose, columns), ["  the first words, and then th", "ose behind"]);
        prose.by_words();
        assert_eq!(shown(&prose, columns), ["  the first words, and then", "    those behind"]);
        // The blank at the end of a full row falls away.
        let mut full = line("123456789 123456789 1234567890 1");
        full.by_words();
        assert_eq!(shown(&full, columns), ["123456789 123456789 1234567890", "  1"]);
        let mut long = line(&format!("a {}", "x".repeat(60)));
        long.by_words();
        let rows = ["a ".to_owned() + &"x".repeat(28), "  ".to_owned() + &"x".repeat(28)];
        assert_eq!(shown(&long, columns)[..2], rows);
        assert_eq!(shown(&long, columns)[2], "  xxxx");
        for columns in 1..40 {
            let mut odd = line("日本語 日本語日本語 e\u{301} a");
            odd.by_words();
            let said: String = shown(&odd, columns).concat().replace(' ', "");
            assert!(columns == 1 || said.ends_with('a'), "{columns}: {said}");
        }
    }

    #[test]
    fn a_bar_that_does_not_fit_has_no_row_of_its_own() {
        let mut commit = line("commit 12 11.983  ██████████");
        commit.by_words();
        assert_eq!(shown(&commit, 22), ["commit 12 11.983  ████"]);
        assert_eq!(shown(&commit, 40), ["commit 12 11.983  ██████████"]);
    }

    #[test]
    fn a_note_that_is_cut_says_so() {
        for columns in [40, 80, 120] {
            let mut noted = line("x");
            noted.annotate(
                LOOK,
                columns,
                &format!("one recipient: {}@example.net", "a".repeat(99)),
            );
            let rows = shown(&noted, columns);
            assert!(rows.last().is_some_and(|row| row.ends_with(" …")), "{rows:?}");
        }
    }
}
