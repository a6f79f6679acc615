//! The strip on top, where there is room: how things went in the last seconds, and the sessions
//! that did something last.

use super::super::Console;
use super::super::gauges::Sample;
use super::super::grid::{Grid, columns, width};
use super::super::style::Style;
use super::Look;
use super::line::Line;
use super::status::milliseconds;
use crate::control::SessionLine;

/// Columns of a sparkline at most.
const SPARK: usize = 24;

/// Paints the strip into the rows from 0 to `end`.
pub fn paint(grid: &mut Grid, end: usize, console: &Console) {
    let look = console.look;
    sparklines(grid, console);
    let sessions = &console.gauges.last().sessions;
    let head = row([
        "id",
        "leg",
        "peer",
        "state",
        "age",
        "tls",
        "bytes",
        "from \u{2192} rcpt",
        "last command",
    ]);
    text(grid, 1, look, Style::Header, &head);
    for (at, session) in (2..end.saturating_sub(1)).zip(sessions) {
        let style = match (session.held.is_some(), session.leg.as_str()) {
            (true, _) => Style::Injected,
            (_, "in") => Style::Inbound,
            _ => Style::Outbound,
        };
        text(grid, at, look, Style::Plain, &session_row(session));
        grid.restyle(at, 0, 10, style);
    }
    let shown = end.saturating_sub(3).min(sessions.len()) as u64;
    let all = console.gauges.last().inbound + console.gauges.last().outbound;
    let rule = if look.utf8 { "─" } else { "-" };
    let more = match all.saturating_sub(shown) {
        0 => String::new(),
        more => format!(" {more} more "),
    };
    let dashes = grid.columns().saturating_sub(more.len() + 2);
    let line = format!("{}{more}{}", rule.repeat(2), rule.repeat(dashes));
    text(grid, end - 1, look, Style::Faint, &line);
}

fn text(grid: &mut Grid, row: usize, look: Look, style: Style, text: &str) {
    let mut line = Line::default();
    let ascii = |text: &str| text.replace('\u{2192}', "->").replace('…', ">");
    line.push(look, style, &if look.utf8 { text.to_owned() } else { ascii(text) });
    line.paint(grid, look, row as isize, (row, row + 1), false);
}

/// The columns of a row; the last ones take what is left.
fn row(fields: [&str; 9]) -> String {
    let [id, leg, peer, state, age, tls, bytes, way, last] = fields;
    let peer = clip(peer, 21);
    let (state, way) = (clip(state, 10), pad(&clip(way, 40), 40));
    format!("{id:<6} {leg:<3} {peer:<21} {state:<10} {age:>5} {tls:<3} {bytes:>6}  {way} {last}")
}

/// At most so many columns of a text.
fn clip(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut at = 0;
    let fits = |c: &char| {
        at += width(*c);
        at < most
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// At least so many: format's own padding counts characters.
fn pad(text: &str, least: usize) -> String {
    format!("{text}{}", " ".repeat(least.saturating_sub(columns(text))))
}

fn session_row(session: &SessionLine) -> String {
    let from = session.from.as_ref().map(|from| match from.as_str() {
        "" | "<>" => "<>".to_owned(),
        from => from.to_owned(),
    });
    let to = session.to.as_ref().map(|to| to.to_string());
    let more = match session.rcpts {
        0 | 1 => String::new(),
        n => format!(" +{}", n - 1),
    };
    let way = match (from, to) {
        (Some(from), Some(to)) => format!("{from} \u{2192} {to}{more}"),
        (Some(from), None) => format!("{from} \u{2192}"),
        _ => String::new(),
    };
    // How long it is held at most: what it waits for stands in the last column.
    let held = session.held.as_ref().map(|held| format!("||| {}", age(held.left_s)));
    let state = held.as_deref().unwrap_or(session.state.as_str());
    row([
        &session.id,
        session.leg.as_str(),
        &session.peer,
        state,
        &age(session.age_s),
        if session.tls { "yes" } else { "-" },
        &octets(session.bytes),
        &way,
        session.last.as_str(),
    ])
}

/// An age in its two largest units.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..100 => format!("{seconds}s"),
        100..6000 => format!("{}m{:02}", seconds / 60, seconds % 60),
        6000..172_800 => format!("{}h{:02}", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A size in at most five characters.
fn octets(octets: u64) -> String {
    const UNITS: [(u64, char); 4] =
        [(1 << 40, 'T'), (1 << 30, 'G'), (1 << 20, 'M'), (1 << 10, 'K')];
    match UNITS.iter().find(|(size, _)| octets >= *size) {
        None => octets.to_string(),
        Some((size, unit)) => match octets as f64 / *size as f64 {
            n if n < 10.0 => format!("{n:.1}{unit}"),
            n => format!("{n:.0}{unit}"),
        },
    }
}

/// A name, the last value, a style, and what a sample has of it.
type Figure = (&'static str, String, Style, fn(&Sample) -> f64);

fn sparklines(grid: &mut Grid, console: &Console) {
    let (sample, ascii) = (console.gauges.sample(), !console.look.utf8);
    let figures: [Figure; 4] = [
        ("msg/s", format!("{:.0}", sample.messages), Style::Good, |s| s.messages),
        ("p95", milliseconds(sample.p95_ms), Style::Event, |s| s.p95_ms),
        ("4xx/s", format!("{:.0}", sample.later), Style::Later, |s| s.later),
        ("5xx/s", format!("{:.0}", sample.never), Style::Bad, |s| s.never),
    ];
    let share = grid.columns() / figures.len();
    for (i, (name, value, style, of)) in figures.into_iter().enumerate() {
        let (start, end) = (i * share, (i + 1) * share);
        let at = grid.put(0, start, end, Style::Header, &format!("{name} {value:<6} "));
        let width = end.saturating_sub(at + 1).min(SPARK);
        grid.put(0, at, end, style, &console.gauges.sparkline(width, ascii, of));
    }
}
