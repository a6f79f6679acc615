//! From the figures of an answer to charts: which forms of JSON are known.
//!
//! | form | chart |
//! | --- | --- |
//! | `stages: {name: {p50 p95 p99}}` | latency by stage |
//! | `reply_codes: {code: count}`, `next_reply_codes` | replies by code, coloured by class |
//! | `next: {name: {stage: {p50 p99}}}` | latency by next server |
//! | `rows: [{name count}]`, `deferred` | a ranking |
//! | `rows: [{at sessions accepted}]` | the busiest minutes |
//! | `count p50 p95 p99 max octets` | sizes of messages |
//! | `done_after: [{attempt recipients}]` | after how many attempts |
//! | `in: {sessions tls kinds}`, `out` | the share of TLS |
//! | `hops: [{by delay_s}]` | delay at each hop |
//! | `findings: [{severity}]` | findings by weight |

use serde_json::{Map, Value};

/// Bars of a chart.
const MAX_BARS: usize = 40;

/// The colour of a bar, by meaning. The words beside it say the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tone {
    Plain,
    Faint,
    Good,
    Odd,
    Bad,
}

impl Tone {
    /// The class in the page's style.
    pub const fn class(self) -> &'static str {
        match self {
            Tone::Plain => "plain",
            Tone::Faint => "faint",
            Tone::Good => "good",
            Tone::Odd => "odd",
            Tone::Bad => "bad",
        }
    }
}

/// A bar.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Bar {
    pub label: String,
    pub value: f64,
    /// The value in words, with its unit.
    pub shown: String,
    pub tone: Tone,
}

/// How long a bar is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scale {
    /// By its value.
    Linear,
    /// By the logarithm of its value: times reach from microseconds to minutes.
    Log,
}

/// A chart of bars.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Chart {
    pub title: &'static str,
    pub scale: Scale,
    pub bars: Vec<Bar>,
}

/// The charts of an answer, in the order of the table above.
pub(super) fn charts(json: &Value) -> Vec<Chart> {
    let all = [
        latency(json),
        codes(json, "reply_codes", "Replies to clients"),
        codes(json, "next_reply_codes", "Replies of next servers"),
        next_latency(json),
        ranking(json, "rows", "The most frequent"),
        ranking(json, "deferred", "Deferred, by next server and reply"),
        minutes(json),
        sizes(json),
        attempts(json),
        tls(json, "in", "Sessions with clients: TLS or not, and which"),
        tls(json, "out", "Sessions with next servers: TLS or not, and which"),
        hops(json),
        findings(json),
    ];
    all.into_iter().flatten().filter(|chart| !chart.bars.is_empty()).collect()
}

fn chart(title: &'static str, scale: Scale, bars: impl Iterator<Item = Bar>) -> Option<Chart> {
    Some(Chart { title, scale, bars: bars.take(MAX_BARS).collect() })
}

/// Stages as a session goes through them, the inbound ones first; then those that are none of SMTP.
const STAGES: [&str; 9] =
    ["banner", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "commit", "other"];

/// Stages in the order of a session: an object of JSON has none.
fn in_order(stages: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut stages: Vec<_> = stages.iter().collect();
    stages.sort_by_key(|(name, _)| {
        let place = |name: &str| STAGES.iter().position(|stage| *stage == name);
        match (place(name), name.strip_prefix("next_").and_then(place)) {
            (Some(place), _) => (0, place),
            (None, Some(place)) => (1, place),
            (None, None) => (2, 0),
        }
    });
    stages
}

fn latency(json: &Value) -> Option<Chart> {
    let stages = in_order(json.get("stages")?.as_object()?);
    let bars = stages.into_iter().flat_map(|(stage, figures)| {
        let bar = |name: &str, tone| {
            let ms = figures.get(name)?.as_f64().filter(|ms| *ms > 0.0)?;
            let (label, shown) = (format!("{stage} {name}"), format!("{ms:.3} ms"));
            Some(Bar { label, value: ms, shown, tone })
        };
        [bar("p50", Tone::Plain), bar("p99", Tone::Faint)].into_iter().flatten()
    });
    chart(
        "Latency by stage: half are faster, all but one in a hundred are faster",
        Scale::Log,
        bars,
    )
}

fn codes(json: &Value, field: &str, title: &'static str) -> Option<Chart> {
    let codes = json.get(field)?.as_object()?;
    let bars = codes.iter().filter_map(|(code, count)| {
        let count = count.as_u64()?;
        let tone = match code.as_bytes().first() {
            Some(b'2' | b'3') => Tone::Good,
            Some(b'4') => Tone::Odd,
            _ => Tone::Bad,
        };
        Some(Bar { label: code.clone(), value: count as f64, shown: count.to_string(), tone })
    });
    chart(title, Scale::Log, bars)
}

/// The slowest stage of each next server is what people look for: all stages stand there.
fn next_latency(json: &Value) -> Option<Chart> {
    let servers = json.get("next")?.as_object()?;
    let bars = servers.iter().flat_map(|(server, stages)| {
        let stages = stages.as_object().map(in_order).unwrap_or_default();
        stages.into_iter().filter_map(move |(stage, figures)| {
            let ms = figures.get("p95")?.as_f64().filter(|ms| *ms > 0.0)?;
            let (label, shown) = (format!("{server} {stage}"), format!("{ms:.3} ms"));
            Some(Bar { label, value: ms, shown, tone: Tone::Plain })
        })
    });
    chart("Latency by next server and stage: 95 of 100 are faster", Scale::Log, bars)
}

/// A bar for a count.
fn counted(label: impl Into<String>, count: u64, tone: Tone) -> Bar {
    Bar { label: label.into(), value: count as f64, shown: count.to_string(), tone }
}

/// Messages in each of the busiest minutes, by UTC.
fn minutes(json: &Value) -> Option<Chart> {
    let mut rows: Vec<&Value> = json.get("rows")?.as_array()?.iter().collect();
    // The table has them by weight; a picture of time goes from left to right, or down.
    rows.sort_by_key(|row| row.get("at").and_then(Value::as_i64));
    let bars = rows.into_iter().filter_map(|row| {
        let (at, accepted) = (row.get("at")?.as_i64()?, row.get("accepted")?.as_u64()?);
        let minute = at.div_euclid(60).rem_euclid(24 * 60);
        let label = format!("{:02}:{:02} UTC", minute / 60, minute % 60);
        Some(counted(label, accepted, Tone::Plain))
    });
    chart("Messages accepted in the busiest minutes", Scale::Linear, bars)
}

fn sizes(json: &Value) -> Option<Chart> {
    json.get("octets")?;
    let names = [("p50", Tone::Plain), ("p95", Tone::Plain), ("p99", Tone::Plain)];
    let names = names.into_iter().chain([("max", Tone::Faint)]);
    let bars = names.filter_map(|(name, tone)| {
        let octets = json.get(name)?.as_u64().filter(|octets| *octets > 0)?;
        Some(Bar { shown: format!("{octets} octets"), ..counted(name, octets, tone) })
    });
    chart("Sizes of messages", Scale::Log, bars)
}

fn attempts(json: &Value) -> Option<Chart> {
    let rows = json.get("done_after")?.as_array()?;
    let bars = rows.iter().filter_map(|row| {
        let attempt = row.get("attempt")?.as_u64()?;
        let tone = if attempt == 1 { Tone::Good } else { Tone::Odd };
        Some(counted(format!("attempt {attempt}"), row.get("recipients")?.as_u64()?, tone))
    });
    chart("Recipients done after so many attempts", Scale::Log, bars)
}

fn tls(json: &Value, leg: &str, title: &'static str) -> Option<Chart> {
    let leg = json.get(leg)?;
    let (all, secured) = (leg.get("sessions")?.as_u64()?, leg.get("tls")?.as_u64()?);
    let shares = [
        counted("in TLS", secured, Tone::Good),
        counted("in clear", all.saturating_sub(secured), Tone::Odd),
    ];
    let kinds = leg.get("kinds").and_then(Value::as_array).into_iter().flatten();
    let kinds = kinds.filter_map(|kind| {
        Some(counted(kind.get("name")?.as_str()?, kind.get("count")?.as_u64()?, Tone::Faint))
    });
    chart(title, Scale::Linear, shares.into_iter().chain(kinds)).filter(|_| all > 0)
}

fn ranking(json: &Value, field: &str, title: &'static str) -> Option<Chart> {
    let rows = json.get(field)?.as_array()?;
    let bars = rows.iter().filter_map(|row| {
        let (name, count) = (row.get("name")?.as_str()?, row.get("count")?.as_u64()?);
        let shown = count.to_string();
        Some(Bar { label: name.into(), value: count as f64, shown, tone: Tone::Plain })
    });
    chart(title, Scale::Linear, bars)
}

fn hops(json: &Value) -> Option<Chart> {
    let hops = json.get("hops")?.as_array()?;
    let bars = hops.iter().filter_map(|hop| {
        let delay = hop.get("delay_s")?.as_i64()?;
        let by = hop.get("by").and_then(Value::as_str).unwrap_or("?");
        // The comment behind the name tells no more here.
        let label = by.split(' ').next().unwrap_or(by).to_owned();
        let tone = if delay < 0 { Tone::Bad } else { Tone::Plain };
        let (value, shown) = (delay.unsigned_abs() as f64, format!("{delay} s"));
        Some(Bar { label, value, shown, tone })
    });
    chart("Delay at each hop, the newest first", Scale::Linear, bars)
}

fn findings(json: &Value) -> Option<Chart> {
    let findings = json.get("findings")?.as_array()?;
    let tones = [("error", Tone::Bad), ("warning", Tone::Odd), ("note", Tone::Plain)];
    let bars = tones.into_iter().map(|(severity, tone)| {
        let of =
            |finding: &&Value| finding.get("severity").and_then(Value::as_str) == Some(severity);
        let count = findings.iter().filter(of).count();
        Bar { label: severity.into(), value: count as f64, shown: count.to_string(), tone }
    });
    chart("Findings", Scale::Linear, bars).filter(|_| !findings.is_empty())
}
