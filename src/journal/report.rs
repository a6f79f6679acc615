//! What `stats` and `analyse` answer: as JSON for programs and as lines for people.
//!
//! Times are in milliseconds, with three decimals; sizes in octets.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::stats::{Counter, Measure, Stats, Window};
use super::{Journal, Percentiles, Ranked, Table};
use crate::base::{Leg, Now, Report, show_duration};

/// Lines of a ranking.
const ROWS: usize = 20;
const WINDOWS: [(&str, Window); 4] = [
    ("start", Window::Start),
    ("minute", Window::Minute),
    ("hour", Window::Hour),
    ("day", Window::Day),
];

impl Journal {
    /// `stats`: counters since the start (by name, at the top), `reply_codes` to clients and
    /// `next_reply_codes` of next servers, `stages` with percentiles; and for `minute`, `hour` and
    /// `day` the counters and `stages` of these windows.
    pub fn report(&mut self, now: Now) -> Report {
        let stats = self.stats(now);
        let since = now.time.since(stats.started());
        let mut json = figures(stats, Window::Start);
        json.insert("since_s".into(), json!(since.as_secs()));
        json.insert("reply_codes".into(), codes(stats, Leg::In));
        json.insert("next_reply_codes".into(), codes(stats, Leg::Out));
        for (name, window) in &WINDOWS[1..] {
            json.insert((*name).into(), figures(stats, *window).into());
        }
        let seconds = Duration::from_secs(since.as_secs());
        let mut lines = vec![format!("counted for {}", show_duration(seconds))];
        lines.extend(counter_lines(stats));
        lines.push(String::new());
        lines.extend(latency_lines(stats, Window::Start));
        lines.push(String::new());
        lines.extend([("replies", Leg::In), ("next servers' replies", Leg::Out)].map(
            |(title, leg)| {
                let codes = stats.codes(leg).map(|(code, count)| format!(" {code}: {count}"));
                format!("{title}:{}", codes.collect::<String>())
            },
        ));
        Report { json: json.into(), lines }
    }

    /// `analyse latency`, of the smallest window that holds the last so long.
    pub fn report_latency(&mut self, last: Option<Duration>, now: Now) -> Report {
        let (name, window) = window_of(last);
        let stats = self.stats(now);
        let json = json!({ "window": name, "stages": stages(stats, window) });
        Report { json, lines: latency_lines(stats, window) }
    }

    /// `analyse sizes`: octets of accepted messages.
    pub fn report_sizes(&mut self, last: Option<Duration>, now: Now) -> Report {
        let (name, window) = window_of(last);
        let p = self.stats(now).percentiles(Measure::Size, window);
        let Percentiles { count, p50, p95, p99, max } = p;
        let json = json!({
            "window": name, "count": count, "p50": p50, "p95": p95, "p99": p99, "max": max,
        });
        let lines = vec![
            row("octets", &["count", "p50", "p95", "p99", "max"].map(String::from)),
            row("messages", &[count, p50, p95, p99, max].map(|n| n.to_string())),
        ];
        Report { json, lines }
    }

    /// `analyse clients` and its kin: the first twenty of a table.
    pub fn report_ranking(&mut self, table: Table, last: Option<Duration>, now: Now) -> Report {
        let window = last.map(|last| (last, now.time));
        let ranked = self.rankings(now).most(table, window, ROWS);
        let titles = titles(table);
        let rows: Vec<Value> = ranked.iter().map(|ranked| ranked_json(ranked, titles)).collect();
        // A client's count is of all that it did.
        let counted = if table == Table::Clients { "events" } else { "count" };
        let head: Vec<String> = [counted].iter().chain(titles).map(|t| t.to_string()).collect();
        let mut lines = vec![ranked_row(&head, "")];
        lines.extend(ranked.iter().map(|ranked| {
            // What a rare one inherited may be all of its count.
            let about = if ranked.error > 0 { "<=" } else { "" };
            let count = format!("{about}{}", ranked.count);
            let sums = ranked.sums.iter().take(titles.len()).map(u64::to_string);
            ranked_row(&[count].into_iter().chain(sums).collect::<Vec<_>>(), ranked.name.as_str())
        }));
        Report { json: json!({ "rows": rows }), lines }
    }
}

/// The names of a table's sums.
fn titles(table: Table) -> &'static [&'static str] {
    match table {
        Table::Clients => &["sessions", "messages", "octets", "rejected"],
        Table::Senders => &["octets", "recipients"],
        Table::Recipients => &["delivered", "deferred", "failed"],
        Table::Replies | Table::NextReplies => &[],
    }
}

fn window_of(last: Option<Duration>) -> (&'static str, Window) {
    match last.map(|last| last.as_secs()) {
        None => WINDOWS[0],
        Some(..=60) => WINDOWS[1],
        Some(..=3600) => WINDOWS[2],
        Some(_) => WINDOWS[3],
    }
}

/// Counters by name, and `stages`.
fn figures(stats: &Stats, window: Window) -> Map<String, Value> {
    let counters = Counter::ALL
        .into_iter()
        .map(|counter| (counter.name().to_owned(), json!(stats.counter(counter, window))));
    counters.chain([("stages".to_owned(), stages(stats, window))]).collect()
}

fn stages(stats: &Stats, window: Window) -> Value {
    let stages = stats.latencies(window).map(|(name, p)| (name.to_owned(), percentiles(p)));
    Value::Object(stages.collect())
}

fn percentiles(p: Percentiles) -> Value {
    let [p50, p95, p99, max] = [p.p50, p.p95, p.p99, p.max].map(|us| us as f64 / 1000.0);
    json!({ "count": p.count, "p50": p50, "p95": p95, "p99": p99, "max": max })
}

fn codes(stats: &Stats, leg: Leg) -> Value {
    let codes = stats.codes(leg).map(|(code, count)| (code.to_string(), json!(count)));
    Value::Object(codes.collect())
}

fn ranked_json(ranked: &Ranked, titles: &[&str]) -> Value {
    let Ranked { name, count, error, sums } = ranked;
    let mut row = json!({ "name": name, "count": count, "error": error });
    for (title, sum) in titles.iter().zip(sums) {
        row[*title] = json!(sum);
    }
    row
}

/// A name and figures in columns.
fn row(name: &str, figures: &[String]) -> String {
    let figures = figures.iter().map(|figure| format!(" {figure:>11}"));
    format!("{name:<16}{}", figures.collect::<String>())
}

/// Figures in columns, and a name that may be long.
fn ranked_row(figures: &[String], name: &str) -> String {
    let figures = figures.iter().map(|figure| format!("{figure:>11} "));
    format!("{}{name}", figures.collect::<String>()).trim_end().to_owned()
}

fn counter_lines(stats: &Stats) -> Vec<String> {
    let mut lines = vec![row("", &WINDOWS.map(|(name, _)| name.to_owned()))];
    lines.extend(Counter::ALL.into_iter().map(|counter| {
        let figures = WINDOWS.map(|(_, window)| stats.counter(counter, window).to_string());
        row(counter.name(), &figures)
    }));
    lines
}

fn latency_lines(stats: &Stats, window: Window) -> Vec<String> {
    let mut lines =
        vec![row("milliseconds", &["count", "p50", "p95", "p99", "max"].map(String::from))];
    lines.extend(stats.latencies(window).map(|(name, p)| {
        let ms = [p.p50, p.p95, p.p99, p.max].map(|us| format!("{:.3}", us as f64 / 1000.0));
        let figures: Vec<String> = [p.count.to_string()].into_iter().chain(ms).collect();
        row(name, &figures)
    }));
    lines
}
