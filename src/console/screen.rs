//! curses: from a screen of cells to the octets that turn the last screen into it.
//!
//! curses never touches the terminal, since its `refresh` blocks for as long as nobody reads. It
//! paints into a file without a name; the owner takes the octets from there and writes them as the
//! terminal takes them. So curses knows neither the size nor the mode of the terminal: both are the
//! owner's.
//!
//! The only file that imports pancurses, and it calls nothing that takes a format
//! (RUSTSEC-2019-0005): all text goes through one `addstr`, glyph by glyph.

use std::io;

use pancurses::{
    A_BOLD, A_DIM, A_REVERSE, COLOR_BLUE, COLOR_CYAN, COLOR_GREEN, COLOR_MAGENTA, COLOR_RED,
    COLOR_YELLOW, ColorPair, Window, chtype,
};

use super::grid::Grid;
use super::style::{Color, Style};
use super::view::Frame;
use crate::sys::ScratchStream;

/// Text that is pasted comes in brackets, so that it can be told from what is typed.
const PASTE_ON: &[u8] = b"\x1b[?2004h";
const PASTE_OFF: &[u8] = b"\x1b[?2004l";

/// Why there is no screen.
#[derive(Debug)]
pub enum ScreenError {
    /// TERM names no terminal on which one can paint.
    Terminal(String),
    /// The file that is painted to.
    Scratch(io::Error),
}

/// curses on one terminal.
pub struct Screen {
    window: Window,
    scratch: ScratchStream,
    colors: bool,
    size: (usize, usize),
    /// What leaves the terminal as it was found.
    leave: Vec<u8>,
}

impl Screen {
    /// A screen for a terminal of this type, in columns and rows. Colours only where they are
    /// wanted and there are some.
    pub fn open(term: &str, size: (u16, u16), colors: bool) -> Result<Screen, ScreenError> {
        // What is dumb has no places, and curses would not say so.
        if term.is_empty() || term == "dumb" || term.contains('\0') {
            return Err(ScreenError::Terminal(term.to_owned()));
        }
        let scratch = ScratchStream::new().map_err(ScreenError::Scratch)?;
        let screen = pancurses::newterm(Some(term), scratch.as_ptr(), scratch.as_ptr());
        if screen.is_null() {
            return Err(ScreenError::Terminal(term.to_owned()));
        }
        pancurses::set_term(screen);
        pancurses::nonl();
        pancurses::resize_term(size.1.max(1).into(), size.0.max(1).into());
        let window = pancurses::newwin(0, 0, 0, 0);
        let colors = colors && pancurses::has_colors();
        if colors {
            set_colors();
        }
        let size = (usize::from(size.0.max(1)), usize::from(size.1.max(1)));
        let mut screen = Screen { window, scratch, colors, size, leave: Vec::new() };
        screen.leave = screen.rehearse_leaving()?;
        Ok(screen)
    }

    /// Enters and leaves once, unseen, to know beforehand what leaving takes: after a panic is no
    /// time to ask curses.
    fn rehearse_leaving(&mut self) -> Result<Vec<u8>, ScreenError> {
        self.window.refresh();
        self.scratch.take().map_err(ScreenError::Scratch)?;
        pancurses::endwin();
        let mut leave = PASTE_OFF.to_vec();
        leave.extend(self.scratch.take().map_err(ScreenError::Scratch)?);
        self.window.clearok(true);
        Ok(leave)
    }

    /// What leaves the terminal as it was found.
    pub fn leave(&self) -> &[u8] {
        &self.leave
    }

    /// The octets that enter the terminal anew and forget what it shows.
    pub fn enter(&mut self) -> Vec<u8> {
        pancurses::endwin();
        // What endwin wrote speaks of a terminal that was not entered.
        let _ = self.scratch.take();
        self.window.clearok(true);
        PASTE_ON.to_vec()
    }

    /// All is to be painted again.
    pub fn forget(&mut self) {
        self.window.clearok(true);
    }

    /// The terminal has another size, in columns and rows.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.max(1), rows.max(1));
        pancurses::resize_term(rows.into(), columns.into());
        self.window.resize(rows.into(), columns.into());
        self.window.clearok(true);
        self.size = (columns.into(), rows.into());
    }

    /// The octets that bring a frame onto the terminal.
    pub fn paint(&mut self, frame: &Frame) -> io::Result<Vec<u8>> {
        self.window.erase();
        let rows = frame.grid.rows().min(self.size.1);
        for row in 0..rows {
            self.paint_row(&frame.grid, row);
        }
        let (row, column) = frame.cursor;
        self.window.mv(row.min(self.size.1 - 1) as i32, column.min(self.size.0 - 1) as i32);
        self.window.refresh();
        self.scratch.take()
    }

    /// Runs of one style are one write. A glyph that is not ASCII stands alone, behind a move:
    /// where curses has another opinion about its width, its neighbours stay in their places.
    fn paint_row(&mut self, grid: &Grid, row: usize) {
        let glyphs = &grid.row(row)[..grid.columns().min(self.size.0)];
        let mut run = String::new();
        let mut at = 0;
        while at < glyphs.len() {
            let (start, style) = (at, glyphs[at].style);
            run.clear();
            glyphs[at].push_to(&mut run);
            at += 1;
            if run.is_ascii() {
                while at < glyphs.len() && glyphs[at].style == style && glyphs[at].c.is_ascii() {
                    glyphs[at].push_to(&mut run);
                    at += 1;
                }
            }
            let blank = style == Style::Plain && run.bytes().all(|b| b == b' ');
            if !blank && !run.is_empty() {
                self.window.mv(row as i32, start as i32);
                self.window.attrset(self.attributes(style));
                // A grid holds nothing but safe glyphs, so no NUL either.
                #[allow(clippy::disallowed_methods)]
                self.window.addstr(&run);
            }
        }
    }

    fn attributes(&self, style: Style) -> chtype {
        let paint = style.paint();
        let mut attributes = 0;
        for (wanted, attribute) in
            [(paint.bold, A_BOLD), (paint.dim, A_DIM), (paint.reverse, A_REVERSE)]
        {
            attributes |= if wanted { attribute } else { 0 };
        }
        match paint.color {
            Some(color) if self.colors => attributes | chtype::from(ColorPair(pair(color))),
            _ => attributes,
        }
    }
}

const COLORS: [(Color, i16); 6] = [
    (Color::Red, COLOR_RED),
    (Color::Green, COLOR_GREEN),
    (Color::Yellow, COLOR_YELLOW),
    (Color::Blue, COLOR_BLUE),
    (Color::Magenta, COLOR_MAGENTA),
    (Color::Cyan, COLOR_CYAN),
];

/// The letters have the colour; the background is the terminal's own.
fn set_colors() {
    pancurses::start_color();
    pancurses::use_default_colors();
    for (color, number) in COLORS {
        pancurses::init_pair(pair(color).into(), number, -1);
    }
}

/// curses' name of a colour.
fn pair(color: Color) -> u8 {
    let at = COLORS.iter().position(|(known, _)| *known == color);
    at.map_or(0, |at| at as u8 + 1)
}
