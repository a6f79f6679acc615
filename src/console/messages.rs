//! The message region: what happened, in a bounded ring, and the part of it that is looked at.
//!
//! ```text
//!   base                     bottom                last
//!    │  oldest … newest       │ the view ends here  │ newest of all
//!    ▼                        ▼                     ▼
//!    ░░░░░░░░▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒│░░░░░░░░░ N new ░░░░░░│
//! ```
//!
//! While the view follows, `bottom` is the last one. Scrolled up or paused it stands still, and so
//! does the ring: it grows to twice its size, then new items are counted and not kept, for the
//! reader's place is worth more than what he does not see. A gap says how many there were.
//!
//! What is followed, a session or a message, may have a past that is in no ring any more: it stands
//! before the entries of the ring, with numbers that are less than all of theirs.

use std::collections::VecDeque;

use super::filter::Filter;
use crate::base::{Printable, Wall};
use crate::journal::FeedItem;

/// Entries that are kept while the view follows.
pub const CAPACITY: usize = 12_000;
/// Characters kept of one item's text; `session ID raw` shows all.
const MAX_TEXT: usize = 2048;
/// Lines of the past that are kept, the last ones.
const MAX_PAST: usize = 5000;
/// The number of the first entry of all.
const FIRST: u64 = 1 << 20;

/// A line of the view.
#[derive(Clone, PartialEq, Debug)]
pub enum Entry {
    /// Something happened.
    Item(Box<FeedItem>),
    /// A line drawn by hand.
    Mark(Wall, Printable),
    /// So many lines were not kept.
    Gap(u64),
}

/// The ring, and what is looked at.
#[derive(Debug)]
pub struct Messages {
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    base: u64,
    /// The numbers of the entries that the filter lets through.
    shown: VecDeque<u64>,
    filter: Filter,
    /// What was said before about what is followed; numbered from 0.
    past: Vec<Entry>,
    /// Items with lesser numbers are in the past already.
    since: u64,
    /// The number of the last entry in view; none while the view follows.
    bottom: Option<u64>,
    /// Stands still until resumed, whatever is scrolled.
    paused: bool,
    /// Entries of the filter that came since the view stands still.
    news: u64,
    /// Lines that were dropped since the start, here or before they came here.
    dropped: u64,
    /// Of these, those that no gap tells of yet.
    untold: u64,
}

impl Default for Messages {
    fn default() -> Messages {
        Messages {
            entries: VecDeque::new(),
            base: FIRST,
            shown: VecDeque::new(),
            filter: Filter::All,
            past: Vec::new(),
            since: 0,
            bottom: None,
            paused: false,
            news: 0,
            dropped: 0,
            untold: 0,
        }
    }
}

impl Messages {
    /// Something happened.
    pub fn push_item(&mut self, mut item: FeedItem) {
        if item.text.as_str().len() > MAX_TEXT {
            let cut: String = item.text.as_str().chars().take(MAX_TEXT).chain(['…']).collect();
            item.text = Printable::from_shown(cut);
        }
        self.push(Entry::Item(Box::new(item)));
    }

    /// So many lines were dropped on their way.
    pub fn push_dropped(&mut self, lines: u64) {
        self.dropped += lines;
        self.untold += lines;
    }

    /// Draws a line into the view.
    pub fn push_mark(&mut self, at: Wall, text: Printable) {
        self.push(Entry::Mark(at, text));
    }

    fn push(&mut self, entry: Entry) {
        let room = if self.bottom.is_some() { 2 * CAPACITY } else { CAPACITY };
        if self.bottom.is_some() && self.entries.len() >= room {
            self.news += u64::from(self.lets(&entry));
            return self.push_dropped(1);
        }
        if self.untold > 0 {
            let gap = Entry::Gap(std::mem::take(&mut self.untold));
            self.keep(gap);
        }
        self.keep(entry);
        while self.entries.len() > room {
            self.entries.pop_front();
            self.base += 1;
        }
        while self.shown.front().is_some_and(|first| *first < self.base) {
            self.shown.pop_front();
        }
    }

    fn keep(&mut self, entry: Entry) {
        if self.lets(&entry) {
            self.shown.push_back(self.base + self.entries.len() as u64);
            self.news += u64::from(self.bottom.is_some());
        }
        self.entries.push_back(entry);
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        let filter = std::mem::replace(&mut self.filter, Filter::All);
        *self = Messages { filter, dropped: self.dropped, ..Messages::default() };
    }

    /// Shows only what a filter lets through.
    pub fn set_filter(&mut self, filter: Filter) {
        self.filter = filter;
        (self.past, self.since) = (Vec::new(), 0);
        self.choose();
    }

    /// Puts before the items from this number of the feed on what was said before them.
    pub fn set_past(&mut self, mut items: Vec<FeedItem>, since: u64) {
        items.drain(..items.len().saturating_sub(MAX_PAST));
        self.past = items.into_iter().map(|item| Entry::Item(Box::new(item))).collect();
        self.since = since;
        self.choose();
    }

    /// Looks through the ring for what is to be shown.
    fn choose(&mut self) {
        let numbered = (self.base..).zip(&self.entries);
        let shown = numbered.filter(|(_, entry)| self.lets(entry)).map(|(n, _)| n);
        self.shown = shown.collect();
        if let Some(bottom) = self.bottom {
            self.news = (self.total() - self.shown_until(bottom)) as u64;
        }
    }

    fn lets(&self, entry: &Entry) -> bool {
        let is_past = matches!(entry, Entry::Item(item) if item.seq < self.since);
        !is_past && self.filter.lets(entry)
    }

    /// How many are shown, the past and the ring.
    fn total(&self) -> usize {
        self.past.len() + self.shown.len()
    }

    /// The number of one of them, by its place.
    fn number_at(&self, place: usize) -> Option<u64> {
        match place.checked_sub(self.past.len()) {
            None => Some(place as u64),
            Some(place) => self.shown.get(place).copied(),
        }
    }

    fn shown_at(&self, place: usize) -> Option<(u64, &Entry)> {
        let number = self.number_at(place)?;
        let entry = match number.checked_sub(self.base) {
            None => self.past.get(number as usize),
            Some(place) => self.entries.get(place as usize),
        };
        entry.map(|entry| (number, entry))
    }

    /// What narrows the view.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// How many of the shown ones have numbers up to this one.
    fn shown_until(&self, number: u64) -> usize {
        match number < FIRST {
            true => self.past.len().min(number as usize + 1),
            false => self.past.len() + self.shown.partition_point(|n| *n <= number),
        }
    }

    /// The entries in view from the last one up.
    pub fn view(&self) -> impl Iterator<Item = (u64, &Entry)> {
        let total = self.total();
        let end = self.bottom.map_or(total, |bottom| self.shown_until(bottom).max(1));
        (0..end.min(total)).rev().filter_map(|place| self.shown_at(place))
    }

    /// All shown entries with their numbers, the oldest first.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = (u64, &Entry)> {
        (0..self.total()).filter_map(|place| self.shown_at(place))
    }

    /// Whether the view goes along with what happens.
    pub fn follows(&self) -> bool {
        self.bottom.is_none()
    }

    /// Whether it stands still on purpose.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// How much came since the view stands still.
    pub fn news(&self) -> u64 {
        self.news
    }

    /// Lines dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Stands still here.
    pub fn pause(&mut self) {
        self.paused = true;
        self.stop();
    }

    /// Goes along again.
    pub fn resume(&mut self) {
        self.paused = false;
        self.bottom = None;
        self.news = 0;
        let surplus = self.entries.len().saturating_sub(CAPACITY);
        self.entries.drain(..surplus);
        self.base += surplus as u64;
        let base = self.base;
        self.shown.drain(..self.shown.partition_point(|n| *n < base));
    }

    fn stop(&mut self) {
        if self.bottom.is_none() {
            self.bottom = Some((self.base + self.entries.len() as u64).saturating_sub(1));
            self.news = 0;
        }
    }

    /// Moves the view up by so many entries; `keep` of them stay in view at the top.
    pub fn scroll_up(&mut self, by: usize, keep: usize) {
        if self.total() == 0 {
            return;
        }
        self.stop();
        let end = self.bottom.map_or(0, |bottom| self.shown_until(bottom));
        self.end_view_at(end.saturating_sub(by).max(keep.min(end)));
    }

    /// Lets the view end with the entry that is so many from the start, but show at least one.
    fn end_view_at(&mut self, end: usize) {
        let end = end.clamp(1, self.total().max(1));
        self.bottom = self.number_at(end - 1).or(self.bottom);
        self.news = (self.total() - end.min(self.total())) as u64;
    }

    /// Moves the view down; at the last one it goes along again, unless it is paused.
    pub fn scroll_down(&mut self, by: usize) {
        let Some(bottom) = self.bottom else { return };
        let to = self.shown_until(bottom) + by;
        if to < self.total() || self.paused {
            self.end_view_at(to);
        } else {
            self.resume();
        }
    }

    /// Puts this entry at the end of the view, with so many below it as there are up to `below`.
    pub fn go_to(&mut self, number: u64, below: usize) {
        self.stop();
        self.end_view_at(self.shown_until(number) + below);
    }
}

#[cfg(test)]
mod tests;
