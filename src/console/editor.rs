//! The line that is being typed, with the keys of readline.
//!
//! | keys | what |
//! | --- | --- |
//! | Left Right, Ctrl-B F; Home End, Ctrl-A E | move by a character; to the start, the end |
//! | Alt-B F, Ctrl-Left Right | move by a word |
//! | Backspace, Ctrl-H; Delete, Ctrl-D | delete a character before, under the cursor |
//! | Ctrl-K, Ctrl-U | kill to the end, to the start |
//! | Ctrl-W; Alt-Backspace, Alt-D | kill the word before (by blanks); the word before, behind |
//! | Ctrl-Y, Alt-Y | yank what was killed last; instead of it what was killed before |
//! | Ctrl-T | swap the characters around the cursor |
//! | Up Down, Ctrl-P N | lines typed before |
//! | Ctrl-R | search them, incrementally; Ctrl-G ends it |
//!
//! Kills without another key between them are one. Killed text is kept in a small ring.

use std::collections::VecDeque;

use unicode_width::UnicodeWidthChar as _;

use super::history::History;
use super::keys::{Key, Mods, Named};

/// Octets of a line: what the grammar takes.
const MAX_LINE: usize = 8192;
/// Texts in the kill ring.
const MAX_KILLS: usize = 16;

/// What a key did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Typed {
    /// The line or the place in it changed, or nothing could be done.
    Edited,
    /// Enter: this line. The editor is empty again.
    Line(String),
    /// Not a key of the editor.
    Other,
}

/// The line, the cursor, and what was killed.
#[derive(Default, Debug)]
pub struct Editor {
    line: Vec<char>,
    cursor: usize,
    kills: VecDeque<String>,
    /// What the last key was, as far as that matters to the next.
    last: Last,
    /// Which line of the history is shown, and the own line meanwhile.
    recalled: Option<(usize, Vec<char>)>,
    search: Option<Search>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Last {
    #[default]
    Other,
    Kill,
    /// Yanked: where from, and which of the ring.
    Yank(usize, usize),
}

/// Ctrl-R.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Search {
    /// What is looked for.
    pub pattern: String,
    /// The line of the history that has it.
    hit: Option<usize>,
    /// What was typed before.
    saved: (Vec<char>, usize),
}

impl Search {
    /// Whether no line has it.
    pub fn failed(&self) -> bool {
        self.hit.is_none() && !self.pattern.is_empty()
    }
}

impl Editor {
    /// The line.
    pub fn text(&self) -> String {
        self.line.iter().collect()
    }

    /// Its characters.
    pub fn chars(&self) -> &[char] {
        &self.line
    }

    /// The cursor, in characters.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Whether nothing is typed and no search is on.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty() && self.search.is_none()
    }

    /// The search of the history that is on.
    pub fn search(&self) -> Option<&Search> {
        self.search.as_ref()
    }

    /// Empties the line.
    pub fn clear(&mut self) {
        *self = Editor { kills: std::mem::take(&mut self.kills), ..Editor::default() };
    }

    /// Replaces the characters from `from` to the cursor.
    pub fn replace(&mut self, from: usize, text: &str) {
        self.line.drain(from.min(self.cursor)..self.cursor);
        self.cursor = from.min(self.cursor);
        self.insert(text);
    }

    /// Takes a key.
    pub fn key(&mut self, key: &Key, history: &mut History) -> Typed {
        if self.search.is_some() {
            if let Some(typed) = self.search_key(key, history) {
                return typed;
            }
        }
        let last = std::mem::take(&mut self.last);
        match key {
            Key::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            Key::Paste(text) => self.insert(text),
            Key::Named(Named::Enter, _) => return self.enter(history),
            Key::Ctrl('r') => self.begin_search(),
            Key::Ctrl('t') => self.swap(),
            Key::Ctrl('y') => self.yank(0),
            Key::Alt('y') => {
                if let Last::Yank(from, which) = last {
                    self.line.drain(from..self.cursor);
                    self.cursor = from;
                    self.yank(which + 1);
                }
            }
            Key::Ctrl('p') | Key::Named(Named::Up, Mods::None) => self.recall(history, -1),
            Key::Ctrl('n') | Key::Named(Named::Down, Mods::None) => self.recall(history, 1),
            key => {
                let Some(end) = self.movement(key) else {
                    return self.delete(key, last);
                };
                self.cursor = end;
            }
        }
        Typed::Edited
    }

    /// Where a key moves the cursor.
    fn movement(&self, key: &Key) -> Option<usize> {
        Some(match key {
            Key::Ctrl('a') | Key::Named(Named::Home, Mods::None) => 0,
            Key::Ctrl('e') | Key::Named(Named::End, Mods::None) => self.line.len(),
            Key::Ctrl('b') | Key::Named(Named::Left, Mods::None) => self.before(self.cursor),
            Key::Ctrl('f') | Key::Named(Named::Right, Mods::None) => self.behind(self.cursor),
            Key::Alt('b') | Key::Named(Named::Left, _) => self.word_before(|c| c.is_alphanumeric()),
            Key::Alt('f') | Key::Named(Named::Right, _) => self.word_behind(),
            _ => return None,
        })
    }

    /// The keys that take something away.
    fn delete(&mut self, key: &Key, last: Last) -> Typed {
        let (cursor, end) = (self.cursor, self.line.len());
        let not_blank = |c: char| !c.is_whitespace();
        match key {
            Key::Named(Named::Backspace, Mods::Alt) => {
                self.kill(self.word_before(|c| c.is_alphanumeric()), cursor, last);
            }
            Key::Named(Named::Backspace, _) => self.remove(self.before(cursor), cursor),
            Key::Named(Named::Delete, _) => self.remove(cursor, self.behind(cursor)),
            Key::Ctrl('d') if end > 0 => self.remove(cursor, self.behind(cursor)),
            Key::Ctrl('k') => self.kill(cursor, end, last),
            Key::Ctrl('u') => self.kill(0, cursor, last),
            Key::Ctrl('w') => self.kill(self.word_before(not_blank), cursor, last),
            Key::Alt('d') => self.kill(cursor, self.word_behind(), last),
            _ => {
                self.last = last;
                return Typed::Other;
            }
        }
        Typed::Edited
    }

    /// Inserts text at the cursor: what cannot be seen becomes a blank, and a line has an end.
    fn insert(&mut self, text: &str) {
        let mut room = MAX_LINE.saturating_sub(self.line.iter().map(|c| c.len_utf8()).sum());
        for c in text.trim_end_matches(['\r', '\n']).chars() {
            let c = if c.is_control() { ' ' } else { c };
            if room < c.len_utf8() {
                break;
            }
            room -= c.len_utf8();
            self.line.insert(self.cursor, c);
            self.cursor += 1;
        }
    }

    /// The place before, behind: a character and the marks on it are one.
    fn before(&self, mut at: usize) -> usize {
        while at > 0 {
            at -= 1;
            if self.line[at].width() != Some(0) {
                break;
            }
        }
        at
    }

    fn behind(&self, at: usize) -> usize {
        let marks = self.line.iter().skip(at + 1).take_while(|c| c.width() == Some(0)).count();
        (at + 1 + marks).min(self.line.len())
    }

    fn word_before(&self, is_word: impl Fn(char) -> bool) -> usize {
        let mut at = self.cursor;
        while at > 0 && !is_word(self.line[at - 1]) {
            at -= 1;
        }
        while at > 0 && is_word(self.line[at - 1]) {
            at -= 1;
        }
        at
    }

    fn word_behind(&self) -> usize {
        let rest = &self.line[self.cursor..];
        let blanks = rest.iter().take_while(|c| !c.is_alphanumeric()).count();
        let word = rest[blanks..].iter().take_while(|c| c.is_alphanumeric()).count();
        self.cursor + blanks + word
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.line.drain(from..to);
        self.cursor = from;
    }

    fn kill(&mut self, from: usize, to: usize, last: Last) {
        self.last = Last::Kill;
        let forward = from == self.cursor;
        let text: String = self.line[from..to].iter().collect();
        self.remove(from, to);
        match self.kills.front_mut() {
            Some(kill) if last == Last::Kill && forward => kill.push_str(&text),
            Some(kill) if last == Last::Kill => kill.insert_str(0, &text),
            _ if text.is_empty() => {}
            _ => self.kills.push_front(text),
        }
        self.kills.truncate(MAX_KILLS);
        if let Some(kill) = self.kills.front_mut() {
            let whole = kill.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_LINE);
            let end = if kill.len() > MAX_LINE { whole.last().unwrap_or(0) } else { kill.len() };
            kill.truncate(end);
        }
    }

    fn yank(&mut self, which: usize) {
        if self.kills.is_empty() {
            return;
        }
        let which = which % self.kills.len();
        let (from, text) = (self.cursor, self.kills[which].clone());
        self.insert(&text);
        self.last = Last::Yank(from, which);
    }

    fn swap(&mut self) {
        if self.line.len() < 2 || self.cursor == 0 {
            return;
        }
        let second = self.cursor.min(self.line.len() - 1);
        self.line.swap(second - 1, second);
        self.cursor = second + 1;
    }

    fn enter(&mut self, history: &mut History) -> Typed {
        let line = self.text();
        self.clear();
        history.push(&line);
        Typed::Line(line)
    }

    /// Shows the line before or behind in the history; behind the last is the own one.
    fn recall(&mut self, history: &History, step: isize) {
        let at = self.recalled.as_ref().map_or(history.len(), |(at, _)| *at);
        let Some(at) = at.checked_add_signed(step).filter(|at| *at <= history.len()) else {
            return;
        };
        let own = match self.recalled.take() {
            Some((_, own)) => own,
            None => std::mem::take(&mut self.line),
        };
        match history.get(at) {
            Some(line) => {
                self.line = line.chars().collect();
                self.recalled = Some((at, own));
            }
            None => self.line = own,
        }
        self.cursor = self.line.len();
    }

    fn begin_search(&mut self) {
        let saved = (self.line.clone(), self.cursor);
        self.search = Some(Search { pattern: String::new(), hit: None, saved });
    }

    /// A key while the history is searched; none when it ends the search and has a meaning of its
    /// own.
    fn search_key(&mut self, key: &Key, history: &History) -> Option<Typed> {
        let mut search = self.search.take()?;
        let end = match key {
            Key::Char(c) => {
                search.pattern.push(*c);
                search.hit.map_or(history.len(), |at| at + 1)
            }
            Key::Named(Named::Backspace, _) => {
                search.pattern.pop();
                history.len()
            }
            Key::Ctrl('r') => search.hit.unwrap_or(history.len()),
            Key::Ctrl('g' | 'c') => {
                (self.line, self.cursor) = search.saved;
                return Some(Typed::Edited);
            }
            Key::Named(Named::Esc, _) => return Some(Typed::Edited),
            _ => return None,
        };
        let found = history.find(&search.pattern, end).filter(|_| !search.pattern.is_empty());
        // Ctrl-R at the oldest one stays there.
        let stays = *key == Key::Ctrl('r') && found.is_none();
        if !stays {
            search.hit = found;
        }
        if let Some(line) = search.hit.and_then(|at| history.get(at)) {
            self.line = line.chars().collect();
            let at = line.find(&search.pattern).unwrap_or(0);
            self.cursor = line[..at].chars().count();
        }
        self.search = Some(search);
        Some(Typed::Edited)
    }
}

#[cfg(test)]
mod tests;
