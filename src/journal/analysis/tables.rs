//! The answers of `analyse`: as JSON for programs, as tables with bars for people.
//!
//! Times are in milliseconds, sizes in octets.

use std::cmp::Reverse;

use serde_json::{Map, Value, json};

use super::{Analyst, MAX_ATTEMPTS, MAX_SERVERS};
use crate::base::{Leg, Printable, Report, Wall};
use crate::journal::histogram::Percentiles;
use crate::journal::stats::STAGES;
use crate::journal::top::Top;

/// Rows of a table.
const ROWS: usize = 20;
/// Columns of a bar.
const BAR: usize = 24;
/// Columns of names before bars; a longer one moves its bar.
const NAMES: usize = 48;

/// What is asked of an [`Analyst`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Analysis {
    /// Waits by stage, and by next server and stage.
    Latency,
    /// Who sends.
    Senders,
    /// Who is written to, and how that ended.
    Recipients,
    /// Who connects.
    Clients,
    /// Replies.
    Codes,
    /// Sizes of messages.
    Sizes,
    /// After how many attempts messages were done, and why they were deferred.
    Retries,
    /// The busiest minutes.
    Busiest,
    /// How many sessions were inside TLS, and of which kind.
    Tls,
    /// Who writes to whom.
    Pairs,
}

impl Analyst {
    /// The answer.
    pub fn report(&self, question: Analysis) -> Report {
        let mut report = match question {
            Analysis::Latency => self.latency(),
            Analysis::Senders => ranking(&self.senders, &["octets", "recipients"]),
            Analysis::Recipients => ranking(&self.recipients, &["delivered", "deferred", "failed"]),
            Analysis::Clients => clients(&self.clients),
            Analysis::Pairs => ranking(&self.pairs, &[]),
            Analysis::Codes => self.reply_codes(),
            Analysis::Sizes => self.message_sizes(),
            Analysis::Retries => self.retries(),
            Analysis::Busiest => self.busiest(),
            Analysis::Tls => self.tls_use(),
        };
        report.json["window"] = json!("last");
        report.json["from"] = json!(self.from.as_secs());
        if self.entries == 0 {
            report.lines = vec!["nothing is recorded of that time".to_owned()];
        }
        report
    }

    fn latency(&self) -> Report {
        let mut lines = vec![head("milliseconds", &["count", "p50", "p95", "p99", "max"])];
        let all = self.stages.iter().flatten().chain(self.by_server.values());
        let longest = all.map(|histogram| histogram.percentiles(None).p95).max().unwrap_or(0);
        let mut row = |name: &str, p: Percentiles| {
            let ms = [p.p50, p.p95, p.p99, p.max].map(|us| format!("{:.3}", us as f64 / 1000.0));
            let mut line = format!("{name:<16} {:>9}", p.count);
            ms.iter().for_each(|ms| line.push_str(&format!(" {ms:>11}")));
            lines.push(format!("{line}  {}", bar(p.p95, longest)).trim_end().to_owned());
            percentiles(p)
        };
        let mut stages = Map::new();
        for (leg, histograms) in self.stages.iter().enumerate() {
            for (names, histogram) in STAGES.iter().zip(histograms) {
                let name = if leg == 0 { names.0 } else { names.1 };
                let p = histogram.percentiles(None);
                if p.count > 0 {
                    stages.insert(name.to_owned(), row(name, p));
                }
            }
        }
        let mut next = Map::new();
        for server in 0..=MAX_SERVERS {
            let name = self.servers.get(server).map_or("other", String::as_str);
            let mut own = Map::new();
            for (stage, (names, _)) in STAGES.iter().enumerate() {
                if let Some(histogram) = self.by_server.get(&(server, stage)) {
                    let title = format!("{} {names}", Printable::bounded(name, 30));
                    let p = histogram.percentiles(None);
                    own.insert((*names).to_owned(), row(&title, p));
                }
            }
            if !own.is_empty() {
                next.insert(Printable::new(name).into_string(), Value::Object(own));
            }
        }
        lines.push("bars show p95".to_owned());
        Report { json: json!({ "stages": stages, "next": next }), lines }
    }

    fn reply_codes(&self) -> Report {
        let legs = [(Leg::In, "replies to clients"), (Leg::Out, "replies of next servers")];
        let (mut lines, mut codes, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for (i, (_, title)) in legs.iter().enumerate() {
            let most = self.codes[i].values().copied().max().unwrap_or(0);
            lines.push((*title).to_owned());
            for (code, count) in &self.codes[i] {
                lines.push(format!("{code:>5} {count:>9}  {}", bar(*count, most)));
            }
            let ranked = ranking(&self.replies[i], &[]);
            if ranked.lines.len() > 1 {
                lines.extend(ranked.lines);
            }
            lines.push(String::new());
            rows.push(ranked.json["rows"].clone());
            let all = self.codes[i].iter().map(|(code, n)| (code.to_string(), json!(n)));
            codes.push(Value::Object(all.collect()));
        }
        lines.pop();
        let json = json!({
            "rows": rows[0], "next": rows[1],
            "reply_codes": codes[0], "next_reply_codes": codes[1],
        });
        Report { json, lines }
    }

    fn message_sizes(&self) -> Report {
        let Percentiles { count, p50, p95, p99, max } = self.sizes.percentiles(None);
        let json = json!({
            "count": count, "p50": p50, "p95": p95, "p99": p99, "max": max, "octets": self.octets,
        });
        let figures = [count, p50, p95, p99, max, self.octets].map(|n| format!(" {n:>11}"));
        let mut line = "messages        ".to_owned();
        line.extend(figures);
        let names = ["count", "p50", "p95", "p99", "max", "all"].map(|n| format!(" {n:>11}"));
        let mut title = "octets          ".to_owned();
        title.extend(names);
        Report { json, lines: vec![title, line] }
    }

    fn retries(&self) -> Report {
        let most = self.done_after.iter().copied().max().unwrap_or(0);
        let mut lines = vec![head("done at attempt", &["recipients"])];
        let mut rows = Vec::new();
        for (i, count) in self.done_after.iter().enumerate().filter(|(_, count)| **count > 0) {
            let or_more = if i + 1 == MAX_ATTEMPTS { " or later" } else { "" };
            let name = format!("{}{or_more}", i + 1);
            lines.push(format!("{name:<16} {count:>9}  {}", bar(*count, most)));
            rows.push(json!({ "attempt": i + 1, "recipients": count }));
        }
        let waiting = self.attempts.len();
        let words =
            if waiting == 1 { "message was tried and is" } else { "messages were tried and are" };
        lines.push(format!("{waiting} {words} not known to be done"));
        let deferred = ranking(&self.deferred, &[]);
        if deferred.lines.len() > 1 {
            lines.push("deferred, by next server and reply".to_owned());
            lines.extend(deferred.lines.iter().cloned());
        }
        let json = json!({
            "done_after": rows, "waiting": waiting, "deferred": deferred.json["rows"],
        });
        Report { json, lines }
    }

    fn busiest(&self) -> Report {
        let weight = |m: &super::Minute| m.accepted + m.attempts + m.sessions;
        let mut all: Vec<_> = self.minutes.iter().collect();
        all.sort_by_key(|(at, minute)| (Reverse(weight(minute)), **at));
        all.truncate(ROWS);
        let most = all.first().map_or(0, |(_, minute)| weight(minute));
        let names = ["sessions", "accepted", "attempts", "octets"];
        let mut lines = vec![head("minute (UTC)", &names)];
        let mut rows = Vec::new();
        for (at, minute) in all {
            let wall = Wall::from_secs(at * 60);
            let name = format!("{} {}", wall.date(), &wall.clock()[..5]);
            lines.push(format!(
                "{name:<16} {:>9} {:>11} {:>11} {:>11}  {}",
                minute.sessions,
                minute.accepted,
                minute.attempts,
                minute.octets,
                bar(weight(minute), most)
            ));
            rows.push(json!({
                "at": at * 60, "sessions": minute.sessions, "accepted": minute.accepted,
                "attempts": minute.attempts, "octets": minute.octets,
            }));
        }
        Report { json: json!({ "rows": rows }), lines }
    }

    fn tls_use(&self) -> Report {
        let (mut lines, mut legs) = (Vec::new(), Map::new());
        for (name, tls) in ["in", "out"].iter().zip(&self.tls) {
            let share = tls.secured.saturating_mul(100).checked_div(tls.sessions).unwrap_or(0);
            let bar = bar(tls.secured, tls.sessions);
            let (part, all) = (tls.secured, tls.sessions);
            let line = format!("{name:<4} {part} of {all} sessions inside TLS ({share} %)  {bar}");
            lines.push(line.trim_end().to_owned());
            let kinds = ranking(&tls.kinds, &[]);
            lines.extend(kinds.lines.into_iter().skip(1));
            legs.insert(
                (*name).to_owned(),
                json!({
                    "sessions": tls.sessions, "tls": tls.secured, "kinds": kinds.json["rows"],
                }),
            );
        }
        Report { json: Value::Object(legs), lines }
    }
}

/// Columns of a text.
fn wide(text: &str) -> usize {
    text.chars().count()
}

/// A bar for a part of the most.
fn bar(part: u64, most: u64) -> String {
    let columns = (u128::from(part) * BAR as u128).checked_div(u128::from(most)).unwrap_or(0);
    let columns = usize::try_from(columns).unwrap_or(BAR).min(BAR);
    "█".repeat(columns.max(usize::from(part > 0)))
}

fn head(name: &str, figures: &[&str]) -> String {
    let mut line = format!("{name:<16}");
    for (i, figure) in figures.iter().enumerate() {
        line.push_str(&if i == 0 { format!(" {figure:>9}") } else { format!(" {figure:>11}") });
    }
    line
}

fn percentiles(p: Percentiles) -> Value {
    let [p50, p95, p99, max] = [p.p50, p.p95, p.p99, p.max].map(|us| us as f64 / 1000.0);
    json!({ "count": p.count, "p50": p50, "p95": p95, "p99": p99, "max": max })
}

/// Clients; their count is of all that they did.
fn clients(top: &Top) -> Report {
    counted(top, "events", &["sessions", "messages", "octets", "rejected"])
}

/// The most frequent of a table, with a bar for the count.
fn ranking(top: &Top, titles: &[&str]) -> Report {
    counted(top, "count", titles)
}

fn counted(top: &Top, counted: &str, titles: &[&str]) -> Report {
    let most = top.most(ROWS);
    let highest = most.first().map_or(0, |entry| entry.count);
    let mut line = format!("{counted:>9}");
    titles.iter().for_each(|title| line.push_str(&format!(" {title:>11}")));
    let mut lines = vec![line];
    let mut rows = Vec::new();
    // Bars stand below each other, but for the few names that are longer.
    let widths = most.iter().map(|entry| wide(Printable::new(entry.key()).as_str()));
    let width = widths.filter(|width| *width <= NAMES).max().unwrap_or(0);
    for entry in most {
        let name = Printable::new(entry.key());
        let gap = " ".repeat(width.saturating_sub(wide(name.as_str())));
        // What a rare one inherited may be all of its count.
        let about = if entry.error > 0 { "<=" } else { "" };
        let mut line = format!("{:>9}", format!("{about}{}", entry.count));
        let mut row = json!({ "name": name, "count": entry.count, "error": entry.error });
        for (title, sum) in titles.iter().zip(entry.extra) {
            line.push_str(&format!(" {sum:>11}"));
            row[*title] = json!(sum);
        }
        let bar = bar(entry.count, highest);
        lines.push(format!("{line}  {name}{gap}  {bar}"));
        rows.push(row);
    }
    Report { json: json!({ "rows": rows }), lines }
}
