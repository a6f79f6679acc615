//! What keys and commands do.
//!
//! Keys of the view come first, then those of the editor. What the view does stays here; all other
//! commands go to the server.

use std::time::Duration;

use super::answers::Part;
use super::complete::complete;
use super::editor::Typed;
use super::keys::{Key, Mods, Named};
use super::{Console, Find, Place, Wish, view};
use crate::base::{Now, Printable, Wall};
use crate::control::{Command, Follow, Request};

/// How soon a second Ctrl-Z must come.
const SUSPEND_WAIT: Duration = Duration::from_secs(5);
/// Candidates of a completion that are shown.
const MAX_CANDIDATES: usize = 40;

impl Console {
    /// A key was pressed.
    pub(super) fn key(&mut self, key: &Key, now: Now) {
        if self.find_key(key) || self.view_key(key) || self.control_key(key, now) {
            return;
        }
        match self.editor.key(key, &mut self.history) {
            Typed::Line(line) => self.line(&line, now.wall),
            Typed::Edited | Typed::Other => {}
        }
    }

    /// Keys that move the view.
    fn view_key(&mut self, key: &Key) -> bool {
        let page = || view::entries_in_view(self).saturating_sub(1).max(1);
        let in_view = || view::entries_in_view(self);
        let answers = || view::answers_in_view(self);
        let empty = self.editor.is_empty();
        let Key::Named(named, mods) = *key else { return false };
        match (named, mods) {
            (Named::PageUp, Mods::Alt | Mods::Ctrl) => {
                let by = answers();
                self.answers.scroll_up(by);
            }
            (Named::PageDown, Mods::Alt | Mods::Ctrl) => {
                let by = answers();
                self.answers.scroll_down(by);
            }
            (Named::PageUp, _) => {
                let (by, keep) = (page(), in_view());
                self.messages.scroll_up(by, keep);
            }
            (Named::PageDown, _) => {
                let by = page();
                self.messages.scroll_down(by);
            }
            (Named::Up, Mods::Shift) => {
                let keep = in_view();
                self.messages.scroll_up(1, keep);
            }
            (Named::Down, Mods::Shift) => self.messages.scroll_down(1),
            (Named::Home, mods) if empty || mods == Mods::Ctrl => {
                let keep = in_view();
                self.messages.scroll_up(usize::MAX, keep);
            }
            (Named::End, mods) if empty || mods == Mods::Ctrl => {
                self.messages.scroll_down(usize::MAX / 2);
            }
            _ => return false,
        }
        true
    }

    /// Keys that are commands.
    fn control_key(&mut self, key: &Key, now: Now) -> bool {
        let empty = self.editor.is_empty();
        match key {
            Key::Ctrl('s') => self.messages.pause(),
            Key::Ctrl('q') => self.messages.resume(),
            Key::Ctrl('l') => self.wishes.push(Wish::Redraw),
            Key::Alt('w') => {
                self.fold = !self.fold;
                let how = if self.fold { "folded" } else { "cut" };
                self.hint = Some(format!("long lines are {how}"));
            }
            Key::Alt('g') => self.with_held("go", now),
            Key::Alt('s') => self.with_held("step", now),
            Key::Ctrl('c' | 'd') if empty && self.talk.is_some() => self.say(None),
            Key::Ctrl('c') if self.editor.search().is_none() => self.interrupt(),
            Key::Named(Named::Esc, _) if empty => self.answers.close(),
            Key::Ctrl('d') if empty => self.end(now),
            Key::Ctrl('z') => self.suspend(now),
            Key::Named(Named::Tab, _) if self.talk.is_none() => self.tab(),
            Key::Char('/') if empty && self.talk.is_none() => {
                self.find = Some(Find { pattern: String::new(), typing: true, at: None });
            }
            Key::Named(Named::Enter, _) if empty && self.talk.is_some() => self.say(Some("")),
            Key::Named(Named::Enter, _) if empty => {
                self.messages.push_mark(now.wall, Printable::default());
            }
            _ => return false,
        }
        true
    }

    /// A command for the session that is held longest.
    fn with_held(&mut self, verb: &str, now: Now) {
        match self.held().map(|(session, _)| format!("{verb} {}", session.id)) {
            Some(line) => self.line(&line, now.wall),
            None => self.hint = Some("no session is held".into()),
        }
    }

    fn interrupt(&mut self) {
        if self.editor.is_empty() {
            self.answers.close();
        }
        self.editor.clear();
    }

    /// Ctrl-D.
    fn end(&mut self, now: Now) {
        match self.place {
            Place::Attached => self.wishes.push(Wish::Leave),
            Place::Server => {
                let line = if self.quitting { "quit now" } else { "quit" };
                self.quitting = true;
                self.line(line, now.wall);
            }
        }
    }

    /// Ctrl-Z. A server that stands still takes no mail, so that needs two.
    fn suspend(&mut self, now: Now) {
        let sure = self.suspend_until.take().is_some_and(|until| now.time <= until);
        if sure || self.place == Place::Attached {
            self.wishes.push(Wish::Suspend);
        } else {
            self.suspend_until = Some(now.time.after(SUSPEND_WAIT));
            self.hint = Some("Ctrl-Z once more stops the whole server until it is resumed".into());
        }
    }

    fn tab(&mut self) {
        let chars = self.editor.chars();
        let before: String = chars[..self.editor.cursor()].iter().collect();
        let completion = complete(&before, &self.names);
        if let Some(text) = completion.text() {
            self.editor.replace(completion.from, &text);
        }
        self.hint = match &completion.candidates[..] {
            [] => Some("nothing to complete".into()),
            [_] => None,
            some => {
                let shown = &some[..some.len().min(MAX_CANDIDATES)];
                let more = if shown.len() < some.len() { "  …" } else { "" };
                Some(shown.join("  ") + more)
            }
        };
    }

    /// Keys while the view is searched. Any other key ends that, and does what it always does.
    fn find_key(&mut self, key: &Key) -> bool {
        let Some(find) = &mut self.find else { return false };
        if !find.typing {
            match key {
                Key::Char('n') => self.find_next(true),
                Key::Char('N') => self.find_next(false),
                Key::Named(Named::Esc, _) | Key::Ctrl('c') => self.find = None,
                Key::Char('/') => *find = Find { pattern: String::new(), typing: true, at: None },
                Key::Char(_) | Key::Paste(_) | Key::Named(Named::Enter | Named::Tab, _) => {
                    self.find = None;
                    return false;
                }
                _ => return false,
            }
            return true;
        }
        match key {
            Key::Char(c) => find.pattern.push(*c),
            Key::Paste(text) => find.pattern.extend(text.chars().filter(|c| !c.is_control())),
            Key::Named(Named::Backspace, _) if find.pattern.pop().is_some() => {}
            Key::Ctrl('u') => find.pattern.clear(),
            Key::Named(Named::Enter, _) if !find.pattern.is_empty() => {
                find.typing = false;
                self.find_next(true);
            }
            Key::Named(Named::Esc | Named::Enter | Named::Backspace, _) | Key::Ctrl('c' | 'g') => {
                self.find = None;
            }
            key => return !matches!(key, Key::Named(Named::PageUp | Named::PageDown, _)),
        }
        true
    }

    /// Goes to the next older (or newer) line that has the pattern; the first time to the last
    /// one in view or above.
    fn find_next(&mut self, older: bool) {
        let Some(find) = self.find.take() else { return };
        let minds_case = find.pattern.chars().any(char::is_uppercase);
        let has = |(_, entry): &(u64, &_)| {
            let text = view::text_of(self, entry);
            let text = if minds_case { text } else { text.to_lowercase() };
            text.contains(&find.pattern)
        };
        let last = self.messages.view().next().map(|(number, _)| number);
        let found = match (older, find.at) {
            (true, None) => self.messages.all().rev().filter(|(n, _)| Some(*n) <= last).find(has),
            (true, Some(at)) => self.messages.all().rev().filter(|(n, _)| *n < at).find(has),
            (false, at) => self.messages.all().filter(|(n, _)| Some(*n) > at).find(has),
        };
        let found = found.map(|(number, _)| number);
        match found {
            Some(number) => {
                let below = view::entries_in_view(self) / 2;
                self.messages.go_to(number, below);
            }
            None => self.hint = Some(format!("no more: {}", find.pattern)),
        }
        self.find = Some(Find { at: found.or(find.at), ..find });
    }

    /// A line was entered.
    fn line(&mut self, line: &str, at: Wall) {
        if self.talk.is_some() {
            return self.say(Some(line));
        }
        let line = line.trim();
        match (line, Command::parse(line)) {
            ("", _) => self.messages.push_mark(at, Printable::default()),
            ("clear", _) => self.messages.clear(),
            (_, Ok(Command::Mark(text))) => self.messages.push_mark(at, Printable::new(text)),
            (_, Ok(Command::Pause)) => self.messages.pause(),
            (_, Ok(Command::Resume)) => self.messages.resume(),
            (_, Ok(Command::Follow { what, notes })) => {
                self.notes = notes.unwrap_or(self.notes);
                let has_past = matches!(what, Follow::Session(_) | Follow::Message(_));
                self.messages.set_filter(what.into());
                if let (Some(on), false) = (notes, has_past) {
                    self.ask(if on { "annotate on" } else { "annotate off" });
                } else if has_past {
                    self.ask(line);
                }
            }
            (_, Err(error)) => {
                self.answers.command(line);
                self.fault(Some(error.column), &error.message);
            }
            (_, Ok(command)) => {
                if let Command::Annotate(on) = command {
                    self.notes = on;
                }
                self.quitting |= matches!(command, Command::Quit { .. });
                self.ask(line);
            }
        }
    }

    /// Asks the server.
    fn ask(&mut self, line: &str) {
        self.answers.command(line);
        self.last_request += 1;
        let (id, line) = (self.last_request, line.to_owned());
        self.requests.push(Request::Run { id, line, json: false });
    }

    /// Says a line to the command that converses; none when there will be no more.
    fn say(&mut self, line: Option<&str>) {
        let Some(talk) = &mut self.talk else { return };
        if let Some(line) = line {
            if !talk.wanted {
                return self.hint = Some("wait: the server has not answered yet".into());
            }
            self.answers.command(&format!("{}{line}", talk.prompt));
        }
        talk.wanted = false;
        let (id, line) = (talk.id, line.map(str::to_owned));
        self.requests.push(Request::Say { id, line });
    }

    /// Says what is wrong with the last command, and points at the place.
    pub(super) fn fault(&mut self, column: Option<usize>, message: &str) {
        let Some(column) = column else {
            return self.answers.push(Part::Refusal, Printable::from_shown(message));
        };
        let line = self.answers.last().next().map_or("", |(_, line)| line.as_str());
        let before: String = line.chars().take(column.saturating_sub(1)).collect();
        let place = super::grid::columns(&before) + 2;
        if place < self.size.0 {
            let caret = format!("{:place$}^", "");
            self.answers.push(Part::Refusal, Printable::from_shown(caret));
        }
        let words = format!("column {column}: {message}");
        self.answers.push(Part::Refusal, Printable::from_shown(words));
    }
}
