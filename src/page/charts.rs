//! From the figures of an answer to charts: which forms of JSON are known.
//!
//! | form | chart |
//! | --- | --- |
//! | `stages: {name: {p50 p95 p99}}` | latency by stage |
//! | `reply_codes: {code: count}`, `next_reply_codes` | replies by code, coloured by class |
//! | `rows: [{name count}]` | a ranking |
//! | `hops: [{by delay_s}]` | delay at each hop |
//! | `findings: [{severity}]` | findings by weight |

use serde_json::Value;

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
        ranking(json),
        hops(json),
        findings(json),
    ];
    all.into_iter().flatten().filter(|chart| !chart.bars.is_empty()).collect()
}

fn chart(title: &'static str, scale: Scale, bars: impl Iterator<Item = Bar>) -> Option<Chart> {
    Some(Chart { title, scale, bars: bars.take(MAX_BARS).collect() })
}

fn latency(json: &Value) -> Option<Chart> {
    let stages = json.get("stages")?.as_object()?;
    let bars = stages.iter().flat_map(|(stage, figures)| {
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

fn ranking(json: &Value) -> Option<Chart> {
    let rows = json.get("rows")?.as_array()?;
    let bars = rows.iter().filter_map(|row| {
        let (name, count) = (row.get("name")?.as_str()?, row.get("count")?.as_u64()?);
        let shown = count.to_string();
        Some(Bar { label: name.into(), value: count as f64, shown, tone: Tone::Plain })
    });
    chart("The most frequent", Scale::Linear, bars)
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
