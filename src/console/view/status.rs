//! The status line. What does not fit is left out, the least important first.

use super::super::Console;
use super::super::grid::{Grid, columns};
use super::super::style::Style;

/// A piece of the line: in full, short, and how much it matters (0 most).
struct Piece {
    full: String,
    short: String,
    style: Style,
    rank: u8,
}

fn piece(rank: u8, full: String, short: String) -> Piece {
    Piece { full, short, style: Style::Status, rank }
}

fn alarm(rank: u8, text: String) -> Piece {
    Piece { full: text.clone(), short: text, style: Style::StatusAlarm, rank }
}

/// Paints the line into a row.
pub fn paint(grid: &mut Grid, row: usize, console: &Console) {
    grid.fill(row, Style::Status);
    let room = grid.columns().saturating_sub(1);
    let mut pieces = state(console);
    pieces.extend(figures(console));
    let (short, shown) = fit(pieces, room);
    let mut at = 1;
    for piece in &shown {
        let text = if short { &piece.short } else { &piece.full };
        at = grid.put(row, at, room + 1, piece.style, text);
        at = grid.put(row, at, room + 1, Style::Status, "  ");
    }
}

/// The pieces that fit, and whether in their short form.
fn fit(mut pieces: Vec<Piece>, room: usize) -> (bool, Vec<Piece>) {
    let length = |pieces: &[Piece], short: bool| -> usize {
        let texts = pieces.iter().map(|p| if short { &p.short } else { &p.full });
        (texts.map(|text| columns(text) + 2).sum::<usize>()).saturating_sub(2)
    };
    if length(&pieces, false) <= room {
        return (false, pieces);
    }
    while length(&pieces, true) > room && pieces.len() > 1 {
        let least = pieces.iter().map(|piece| piece.rank).max().unwrap_or(0);
        if let Some(at) = pieces.iter().rposition(|piece| piece.rank == least) {
            pieces.remove(at);
        }
    }
    (true, pieces)
}

/// What the view does, and what nobody should overlook.
fn state(console: &Console) -> Vec<Piece> {
    let messages = &console.messages;
    let mut pieces = Vec::new();
    let word = match (messages.follows(), messages.is_paused()) {
        (true, _) => piece(0, "FOLLOW".into(), "FOLLOW".into()),
        (false, true) => alarm(0, "PAUSED".into()),
        (false, false) => alarm(0, "SCROLL".into()),
    };
    pieces.push(word);
    if !messages.follows() {
        pieces.push(alarm(1, format!("{} new", messages.news())));
    }
    if let Some(name) = messages.filter().name() {
        let short: String = name.chars().take(20).collect();
        pieces.push(Piece {
            full: format!("only {name}"),
            short: format!("only {short}"),
            style: Style::StatusAlarm,
            rank: 2,
        });
    }
    let now = console.gauges.last();
    if now.draining {
        pieces.push(alarm(0, "ENDING".into()));
    }
    for (count, name) in [(now.held_sessions, "HELD"), (now.faults, "FAULTS")] {
        if count > 0 {
            pieces.push(alarm(1, format!("{name} {count}")));
        }
    }
    pieces
}

fn figures(console: &Console) -> Vec<Piece> {
    let (now, sample) = (console.gauges.last(), console.gauges.sample());
    let number = |rank, name: &str, short: &str, count: u64| {
        piece(rank, format!("{name} {count}"), format!("{short} {count}"))
    };
    let p95 = milliseconds(now.p95_ms);
    let tick = milliseconds(now.max_tick_ms);
    let dropped = console.messages.dropped();
    let rate = format!("{:.0}", sample.messages);
    vec![
        number(3, "in", "in", now.inbound),
        number(4, "out", "out", now.outbound),
        number(3, "queue", "queue", now.queue),
        number(4, "deferred", "deferred", now.deferred),
        piece(5, format!("{rate} msg/s"), format!("{rate}/s")),
        piece(7, format!("p95 {p95}"), format!("p95 {p95}")),
        piece(6, format!("longest tick {tick}"), format!("tick {tick}")),
        number(if dropped > 0 { 2 } else { 8 }, "dropped", "drop", dropped),
    ]
}

/// A time in as few characters as its size deserves.
pub fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.1}ms"),
        ms if ms < 10_000.0 => format!("{ms:.0}ms"),
        ms => format!("{:.0}s", ms / 1000.0),
    }
}
