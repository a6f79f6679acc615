//! A screen as data: cells with a character and a style. The view paints here, and curses or a
//! test reads it.
//!
//! A cell is the last door before the terminal, so it takes no control character and no hidden
//! one, whatever it is handed. Wide characters take two cells, marks sit on the character before
//! them.

use unicode_width::UnicodeWidthChar as _;

use super::style::Style;
use crate::base::Printable;

/// Marks on one character; a hostile text has hundreds.
const MAX_MARKS: usize = 2;

/// One place of the screen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glyph {
    /// What stands there; NUL is the right half of a wide character.
    pub c: char,
    /// Combining marks on it; NUL is none.
    pub marks: [char; MAX_MARKS],
    /// How.
    pub style: Style,
}

impl Glyph {
    const fn new(c: char, style: Style) -> Glyph {
        Glyph { c, marks: ['\0'; MAX_MARKS], style }
    }

    /// Whether it is the right half of the wide character before it.
    pub fn is_half(&self) -> bool {
        self.c == '\0'
    }

    /// Appends what is shown.
    pub fn push_to(&self, text: &mut String) {
        text.extend([self.c].into_iter().chain(self.marks).filter(|c| *c != '\0'));
    }
}

/// How many columns a character takes.
pub fn width(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// How many columns a text takes.
pub fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// A screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grid {
    columns: usize,
    rows: usize,
    /// The terminal can show no more than ASCII.
    ascii: bool,
    cells: Vec<Glyph>,
}

impl Grid {
    /// An empty screen.
    pub fn new(columns: usize, rows: usize, ascii: bool) -> Grid {
        let cells = vec![Glyph::new(' ', Style::Plain); columns * rows];
        Grid { columns, rows, ascii, cells }
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The cells of a row.
    pub fn row(&self, row: usize) -> &[Glyph] {
        &self.cells[row * self.columns..(row + 1) * self.columns]
    }

    /// A row as text, without the blanks at its end.
    pub fn text(&self, row: usize) -> String {
        let mut text = String::new();
        self.row(row).iter().for_each(|cell| cell.push_to(&mut text));
        text.truncate(text.trim_end().len());
        text
    }

    /// Gives a whole row one style, the background of what is written there.
    pub fn fill(&mut self, row: usize, style: Style) {
        if row < self.rows {
            let start = row * self.columns;
            self.cells[start..start + self.columns].fill(Glyph::new(' ', style));
        }
    }

    /// Writes a text from a place to the right, as far as there is room before `end`; says in
    /// which column it ended. What is not safe to show is replaced.
    pub fn put(
        &mut self,
        row: usize,
        column: usize,
        end: usize,
        style: Style,
        text: &str,
    ) -> usize {
        let end = end.min(self.columns);
        let mut at = column;
        if row >= self.rows {
            return at;
        }
        for c in text.chars() {
            let shown = Printable::is_safe(c) && (c.is_ascii() || !self.ascii);
            let c = if shown { c } else { '?' };
            let wide = width(c);
            if wide == 0 {
                self.put_mark(row, at, c);
                continue;
            }
            if at + wide > end {
                break;
            }
            self.set(row, at, Glyph::new(c, style));
            if wide == 2 {
                self.set(row, at + 1, Glyph::new('\0', style));
            }
            at += wide;
        }
        at
    }

    /// Sets a cell. A wide character that loses one half loses the other.
    fn set(&mut self, row: usize, column: usize, cell: Glyph) {
        let at = row * self.columns + column;
        if self.cells[at].is_half() && cell.c != '\0' && column > 0 {
            self.cells[at - 1].c = ' ';
        }
        if column + 1 < self.columns && self.cells[at + 1].is_half() {
            self.cells[at + 1].c = ' ';
        }
        self.cells[at] = cell;
    }

    fn put_mark(&mut self, row: usize, column: usize, mark: char) {
        let Some(last) = column.checked_sub(1).filter(|c| *c < self.columns) else { return };
        let mut at = row * self.columns + last;
        if self.cells[at].is_half() && last > 0 {
            at -= 1;
        }
        if let Some(free) = self.cells[at].marks.iter_mut().find(|m| **m == '\0') {
            *free = mark;
        }
    }

    /// Changes the style of some columns of a row.
    pub fn restyle(&mut self, row: usize, from: usize, to: usize, style: Style) {
        if row < self.rows {
            let start = row * self.columns;
            let (from, to) = (from.min(self.columns), to.min(self.columns));
            self.cells[start + from..start + to.max(from)].iter_mut().for_each(|c| c.style = style);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(columns: usize, text: &str) -> String {
        let mut grid = Grid::new(columns, 1, false);
        grid.put(0, 0, columns, Style::Plain, text);
        grid.text(0)
    }

    #[test]
    fn wide_characters_and_marks() {
        assert_eq!(shown(10, "a日b"), "a日b");
        assert_eq!(shown(2, "a日b"), "a");
        assert_eq!(shown(4, "e\u{301}x"), "e\u{301}x");
        assert_eq!(shown(4, "日\u{301}x"), "日\u{301}x");
        assert_eq!(shown(4, "\u{301}x"), "x");
        assert_eq!(shown(4, &format!("e{}x", "\u{301}".repeat(100))), "e\u{301}\u{301}x");
        let mut grid = Grid::new(4, 1, false);
        grid.put(0, 0, 4, Style::Plain, "日本");
        grid.put(0, 1, 4, Style::Plain, "x");
        assert_eq!(grid.text(0), " x本");
        grid.put(0, 2, 3, Style::Plain, "y");
        assert_eq!(grid.text(0), " xy");
    }

    #[test]
    fn no_cell_takes_what_is_not_safe() {
        for c in ('\0'..='\u{a0}').chain(['\u{202e}', '\u{200b}', '\u{feff}']) {
            let mut grid = Grid::new(3, 1, false);
            grid.put(0, 0, 3, Style::Plain, &format!("a{c}b"));
            let text: String = grid.text(0);
            assert!(text.chars().all(Printable::is_safe), "{c:?} {text:?}");
        }
    }

    #[test]
    fn outside_is_nowhere() {
        let mut grid = Grid::new(3, 1, false);
        assert_eq!(grid.put(1, 0, 3, Style::Plain, "x"), 0);
        assert_eq!(grid.put(0, 7, 9, Style::Plain, "x\u{301}"), 7);
        grid.fill(4, Style::Plain);
        grid.restyle(0, 2, 99, Style::Faint);
        grid.restyle(9, 2, 99, Style::Faint);
        assert_eq!(grid.text(0), "");
        assert_eq!(Grid::new(0, 0, true).rows(), 0);
    }
}
