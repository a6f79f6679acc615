//! The ring and the view on it.

use super::super::samples::{event, said};
use super::*;
use crate::control::Command;

fn filled(count: u64) -> Messages {
    let mut messages = Messages::default();
    for i in 0..count {
        messages.push_item(event(i, if i % 2 == 0 { "i1" } else { "o2" }, &format!("n{i}")));
    }
    messages
}

fn text(entry: &Entry) -> String {
    match entry {
        Entry::Item(item) => item.text.to_string(),
        Entry::Mark(_, text) => format!("mark {text}"),
        Entry::Gap(n) => format!("gap {n}"),
    }
}

/// The last entries in view, the last one first.
fn view(messages: &Messages, count: usize) -> String {
    let texts: Vec<String> = messages.view().take(count).map(|(_, entry)| text(entry)).collect();
    texts.join(" ")
}

fn filter(line: &str) -> Filter {
    match Command::parse(line) {
        Ok(Command::Follow { what, .. }) => what.into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn at_least_ten_thousand_lines_and_no_more_than_that() {
    let messages = filled(3 * CAPACITY as u64);
    const { assert!(CAPACITY >= 10_000) };
    assert_eq!((messages.entries.len(), messages.all().count()), (CAPACITY, CAPACITY));
    assert_eq!(view(&messages, 1), format!("n{}", 3 * CAPACITY - 1));
    let mut messages = Messages::default();
    messages.push_item(event(1, "i1", &"x".repeat(4000)));
    assert_eq!(view(&messages, 1).chars().count(), MAX_TEXT + 1);
}

#[test]
fn the_past_of_what_is_followed_stands_before_the_live_lines() {
    let mut messages = filled(6);
    messages.set_filter(filter("follow i1"));
    let past = vec![event(0, "i1", "p0"), event(0, "o9", "p1"), event(0, "i1", "p2")];
    messages.set_past(past, 4);
    assert_eq!(view(&messages, 9), "n4 p2 p1 p0");
    messages.push_item(event(6, "i1", "n6"));
    messages.push_item(event(7, "o2", "n7"));
    assert_eq!(view(&messages, 3), "n6 n4 p2");
    messages.scroll_up(3, 1);
    assert_eq!((view(&messages, 9).as_str(), messages.news()), ("p1 p0", 3));
    messages.scroll_up(99, 1);
    assert_eq!(view(&messages, 9), "p0");
    messages.scroll_down(2);
    assert_eq!(view(&messages, 2), "p2 p1");
    messages.scroll_down(9);
    assert!(messages.follows());
    let number = messages.all().next().map(|(number, _)| number).unwrap();
    messages.go_to(number, 1);
    assert_eq!(view(&messages, 9), "p1 p0");
    messages.resume();
    // The ring forgets its own oldest, never the past.
    for i in 8..2 * CAPACITY as u64 {
        messages.push_item(event(i, "i1", "x"));
    }
    assert_eq!(messages.all().count(), CAPACITY + 3);
    messages.set_filter(filter("follow"));
    assert_eq!(messages.all().count(), CAPACITY);
}

#[test]
fn scrolling_leaves_the_end_and_comes_back() {
    let mut messages = filled(10);
    messages.scroll_up(4, 3);
    assert_eq!((view(&messages, 2).as_str(), messages.follows()), ("n5 n4", false));
    assert_eq!(messages.news(), 4);
    messages.push_item(event(10, "i1", "n10"));
    assert_eq!((view(&messages, 1).as_str(), messages.news()), ("n5", 5));
    messages.scroll_up(100, 3);
    assert_eq!(view(&messages, 9), "n2 n1 n0");
    messages.scroll_down(7);
    assert_eq!((view(&messages, 1).as_str(), messages.news()), ("n9", 1));
    messages.scroll_down(1);
    assert!(messages.follows());
    messages.scroll_down(1);
    assert_eq!((view(&messages, 1).as_str(), messages.news()), ("n10", 0));
    let mut empty = Messages::default();
    empty.scroll_up(5, 2);
    empty.scroll_down(5);
    empty.go_to(7, 1);
    assert_eq!(empty.view().count(), 0);
}

#[test]
fn a_paused_view_stands_still_until_resumed() {
    let mut messages = filled(4);
    messages.pause();
    messages.push_item(event(4, "i1", "n4"));
    assert_eq!((view(&messages, 1).as_str(), messages.news()), ("n3", 1));
    messages.scroll_up(2, 1);
    messages.scroll_down(9);
    assert_eq!((view(&messages, 1).as_str(), messages.follows()), ("n4", false));
    messages.push_item(event(5, "i1", "n5"));
    assert_eq!(messages.news(), 1);
    messages.resume();
    assert_eq!((view(&messages, 1).as_str(), messages.news()), ("n5", 0));
    // Paused before anything came: nothing is shown but the first one.
    let mut early = Messages::default();
    early.pause();
    early.push_item(event(0, "i1", "n0"));
    early.push_item(event(1, "i1", "n1"));
    assert_eq!(view(&early, 5), "n0");
}

#[test]
fn the_place_of_the_reader_is_kept_and_the_gap_is_told() {
    let mut messages = filled(100);
    messages.pause();
    let place = view(&messages, 50);
    for i in 0..5 * CAPACITY as u64 {
        messages.push_item(event(i, "i1", "more"));
    }
    assert_eq!(view(&messages, 50), place);
    assert_eq!(messages.entries.len(), 2 * CAPACITY);
    assert_eq!(messages.news(), 5 * CAPACITY as u64);
    let dropped = 3 * CAPACITY as u64 + 100;
    assert_eq!(messages.dropped(), dropped);
    messages.resume();
    assert_eq!(messages.entries.len(), CAPACITY);
    messages.push_item(event(0, "i1", "after"));
    assert_eq!(view(&messages, 2), format!("after gap {dropped}"));
    messages.push_dropped(3);
    messages.push_dropped(4);
    messages.push_item(event(0, "i1", "then"));
    assert_eq!(view(&messages, 2), "then gap 7");
    assert_eq!(messages.dropped(), dropped + 7);
}

#[test]
fn filters_narrow_and_marks_stay() {
    let mut messages = filled(6);
    messages.push_mark(Wall::from_secs(0), Printable::new("here"));
    messages.set_filter(filter("follow o2"));
    assert_eq!(view(&messages, 9), "mark here n5 n3 n1");
    messages.push_item(event(6, "i1", "n6"));
    messages.push_item(event(7, "o2", "n7"));
    assert_eq!(view(&messages, 2), "n7 mark here");
    messages.scroll_up(2, 1);
    messages.set_filter(filter("follow"));
    assert_eq!(view(&messages, 2), "n5 n4");
    assert_eq!(messages.news(), 3);
    messages.clear();
    assert_eq!(messages.view().count(), 0);
}

#[test]
fn expressions_see_what_is_known_of_the_session() {
    let mut messages = Messages::default();
    messages.push_item(said(1, "i1", "C: RCPT TO:<bob@example.net>"));
    messages.push_item(said(2, "i1", "S: 550 5.7.1 no"));
    messages.push_item(said(3, "i1", "S: 250 ok"));
    for (line, want) in [
        ("follow where reply >= 400", "550 5.7.1 no"),
        ("follow where client in 192.0.2.0/24 && reply < 300", "250 ok"),
        ("follow where rcpt ~ \"@example\\.net$\" && delay > 2ms", "250 ok"),
        ("follow where from == ann@example.org && session == i2", ""),
    ] {
        messages.set_filter(filter(line));
        assert_eq!(view(&messages, 9), want, "{line}");
    }
}

#[test]
fn a_search_result_is_in_view() {
    let mut messages = filled(10);
    messages.go_to(FIRST + 3, 2);
    assert_eq!((view(&messages, 3).as_str(), messages.news()), ("n5 n4 n3", 4));
    messages.go_to(FIRST + 9, 5);
    assert_eq!((view(&messages, 1).as_str(), messages.news()), ("n9", 0));
}
