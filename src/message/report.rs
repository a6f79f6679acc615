//! The views as answers: JSON for programs, lines for people. All octets of the message pass
//! [`Printable`] on their way into either.

use serde_json::{Value, json};

use super::hops::Hop;
use super::lines::{End, Region};
use super::lint::{Facts, Finding, Severity};
use super::mime::Part;
use super::{HeaderField, Printable, Report, headers, hops, lint, mime_tree};
use crate::base::{BodyType, Envelope, Ret, Wall, count_of, show_duration};

/// Octets shown of a value.
const MAX_VALUE: usize = 2000;
/// Lines of a message that are shown.
const MAX_LINES: usize = 5000;
/// Octets of a raw line that are shown.
const MAX_RAW_LINE: usize = 1000;

fn show(octets: &[u8]) -> String {
    Printable::bounded(octets, MAX_VALUE).into_string()
}

fn show_maybe(octets: &Option<Vec<u8>>) -> Option<String> {
    octets.as_deref().map(show)
}

/// The last line of a view of a message that was cut.
fn say_cut(lines: &mut Vec<String>, cut: bool, octets: usize) {
    if cut {
        lines.push(format!("(only the first {octets} octets of the message were looked at)"));
    }
}

/// `show QID envelope`.
pub fn envelope_report(envelope: &Envelope, arrived: Wall, size: u64) -> Report {
    let client = &envelope.client;
    let from = envelope.from.as_ref().map_or("", |from| from.as_str());
    let body = match envelope.body {
        BodyType::SevenBit => "7BIT",
        BodyType::EightBitMime => "8BITMIME",
    };
    let ret = envelope.ret.map(|ret| match ret {
        Ret::Full => "FULL",
        Ret::Headers => "HDRS",
    });
    let text = |text: &str| Printable::new(text).into_string();
    let ip = client.ip.map(|ip| ip.to_string());
    let (helo, user) = (client.helo.as_deref().map(text), client.user.as_deref().map(text));
    let envid = envelope.envid.as_deref().map(text);
    let recipients = envelope.recipients.iter().map(|to| {
        let (notify, orcpt) = (to.notify.value(), to.orcpt.as_deref().map(text));
        json!({ "address": text(to.address.as_str()), "notify": notify, "orcpt": orcpt })
    });
    let json = json!({
        "sender": text(from), "arrived": arrived.as_secs(), "size": size,
        "client": ip, "helo": helo, "protocol": client.protocol.name(), "user": user,
        "body": body, "smtputf8": envelope.utf8, "ret": ret, "envid": envid,
        "recipients": recipients.collect::<Vec<Value>>(),
    });
    let mut lines = vec![format!("from      <{}>", text(from))];
    for to in &envelope.recipients {
        let mut line = format!("to        <{}>", text(to.address.as_str()));
        let parameters = [("NOTIFY", to.notify.value()), ("ORCPT", to.orcpt.clone())];
        for (name, value) in parameters {
            line += &value.map_or(String::new(), |value| format!(" {name}={}", text(&value)));
        }
        lines.push(line);
    }
    let came = [ip, helo.map(|helo| format!("({helo})"))];
    let came: Vec<String> = came.into_iter().flatten().collect();
    let user = user.map_or(String::new(), |user| format!(" as {user}"));
    lines.push(format!("arrived   {arrived}, {size} octets"));
    let came = if came.is_empty() { "made here".into() } else { came.join(" ") };
    lines.push(format!("client    {came} with {}{user}", client.protocol.name()));
    let utf8 = if envelope.utf8 { " SMTPUTF8" } else { "" };
    let dsn = [ret.map(|ret| format!(" RET={ret}")), envid.map(|envid| format!(" ENVID={envid}"))];
    let dsn: String = dsn.into_iter().flatten().collect();
    lines.push(format!("asked for BODY={body}{utf8}{dsn}"));
    Report { json, lines }
}

/// Before the lines of a field that continue it.
const FOLD: &str = "        ";
/// Lines of one field that are shown.
const MAX_FOLDS: usize = 40;

/// `show QID headers`.
pub fn headers_report(content: &[u8], cut: bool) -> Report {
    let fields = headers(content);
    let rows = fields.iter().map(|field| {
        json!({
            "line": field.line, "name": show(field.name),
            "raw": show(field.value.trim_ascii_start()), "value": show(&field.decoded()),
        })
    });
    let json = json!({ "cut": cut, "fields": rows.collect::<Vec<Value>>() });
    let mut lines: Vec<String> = Vec::new();
    for field in &fields {
        let mut head = format!("{}: ", show(field.name));
        let mut parts = folded(field);
        let more = parts.len().saturating_sub(MAX_FOLDS);
        parts.truncate(MAX_FOLDS);
        for part in parts {
            lines.push(format!("{head}{}", show(&part)).trim_end().to_owned());
            head = FOLD.to_owned();
        }
        if more > 0 {
            lines.push(format!("{FOLD}… and {more} lines more"));
        }
    }
    if fields.is_empty() {
        lines.push("no header fields".into());
    }
    say_cut(&mut lines, cut, content.len());
    Report { json, lines }
}

/// The lines of a field, without what folds them (RFC 5322 section 2.2.3), tabs as blanks. Encoded
/// words may stand in several lines and mean something together: then it is one.
fn folded(field: &HeaderField<'_>) -> Vec<Vec<u8>> {
    let is_encoded = field.value.windows(2).any(|pair| pair == b"=?");
    let text = if is_encoded { field.decoded() } else { field.value.to_vec() };
    let blanks = |line: &[u8]| {
        let line = line.trim_ascii();
        line.iter().map(|b| if *b == b'\t' { b' ' } else { *b }).collect::<Vec<u8>>()
    };
    let mut parts: Vec<Vec<u8>> = text.split(|b| *b == b'\n').map(blanks).collect();
    // An empty first line is that of a field whose text begins below its name.
    if parts.len() > 1 && parts[0].is_empty() {
        parts.remove(0);
    }
    parts
}

/// `show QID mime`.
pub fn mime_report(content: &[u8], cut: bool) -> Report {
    let mime = mime_tree(content, cut);
    let rows = mime.parts.iter().map(|part| {
        let parameters = part.parameters.iter().map(|p| (show(&p.name), json!(show(&p.value))));
        json!({
            "part": part.path, "depth": part.depth, "line": part.line, "type": show(&part.media),
            "parameters": Value::Object(parameters.collect()), "encoding": show(&part.encoding),
            "disposition": show_maybe(&part.disposition), "filename": show_maybe(&part.filename),
            "octets": part.body.len(),
        })
    });
    let faults = mime.faults.iter().map(|fault| {
        let severity = fault.severity.name();
        let (part, line) = (&fault.part, fault.line);
        json!({
            "severity": severity, "part": part, "line": line, "what": fault.what, "rfc": fault.rfc,
        })
    });
    let json = json!({
        "cut": cut, "more": mime.more, "parts": rows.collect::<Vec<Value>>(),
        "faults": faults.collect::<Vec<Value>>(),
    });
    let mut lines: Vec<String> = mime.parts.iter().map(part_line).collect();
    for fault in &mime.faults {
        let part = if fault.part.is_empty() { "message" } else { &fault.part };
        let (severity, line) = (fault.severity.name(), fault.line);
        lines.push(format!("{severity}: {part}, line {line}: {} ({})", fault.what, fault.rfc));
    }
    if mime.more {
        lines.push("(there are more parts, or deeper ones)".into());
    }
    say_cut(&mut lines, cut, content.len());
    Report { json, lines }
}

fn part_line(part: &Part<'_>) -> String {
    let mut line = "  ".repeat(part.depth);
    if !part.path.is_empty() {
        line += &format!("{} ", part.path);
    }
    line += &show(&part.media);
    if let Some(set) = part.parameter("charset") {
        line += &format!(" charset={}", show(set));
    }
    line += &format!(", {}, {} octets", show(&part.encoding), part.body.len());
    if let Some(disposition) = show_maybe(&part.disposition) {
        line += &format!(", {disposition}");
    }
    if let Some(name) = show_maybe(&part.filename) {
        line += &format!(" \"{name}\"");
    }
    line + &format!(" (line {})", part.line)
}

/// `show QID hops`.
pub fn hops_report(content: &[u8], cut: bool) -> Report {
    let hops = hops(content);
    let rows = hops.iter().map(|hop| {
        json!({
            "line": hop.line, "from": show_maybe(&hop.from), "by": show_maybe(&hop.by),
            "via": show_maybe(&hop.via), "with": show_maybe(&hop.with), "id": show_maybe(&hop.id),
            "for": show_maybe(&hop.recipient), "time": hop.date.map(|date| date.at.as_secs()),
            "delay_s": hop.delay_s, "skewed": hop.skewed(),
        })
    });
    let json = json!({ "cut": cut, "hops": rows.collect::<Vec<Value>>() });
    let mut lines = Vec::new();
    for (i, hop) in hops.iter().enumerate() {
        lines.extend(hop_lines(i + 1, hop));
    }
    let end = |hop: &Hop| hop.date.map(|date| date.at.as_secs());
    let ends = hops.first().and_then(end).zip(hops.last().and_then(end));
    match ends {
        Some((last, first)) if last >= first && hops.len() > 1 => {
            lines.push(format!("{} hops in {}", hops.len(), seconds(last - first)));
        }
        _ if hops.is_empty() => lines.push("no Received fields".into()),
        _ => {}
    }
    say_cut(&mut lines, cut, content.len());
    Report { json, lines }
}

fn hop_lines(number: usize, hop: &Hop) -> Vec<String> {
    let time = hop.date.map_or("no date".into(), |date| date.at.iso8601());
    let delay = match hop.delay_s {
        Some(delay) if delay < 0 => format!("-{}", seconds(-delay)),
        Some(delay) => format!("+{}", seconds(delay)),
        None => String::new(),
    };
    let skew = if hop.skewed() { "  ** clocks do not agree" } else { "" };
    let head = format!("{number:>3} {time:<20} {delay:>8}{skew}");
    let clauses = [
        ("from", &hop.from),
        ("by", &hop.by),
        ("via", &hop.via),
        ("with", &hop.with),
        ("id", &hop.id),
        ("for", &hop.recipient),
    ];
    let clause = |(name, value): (&str, &Option<Vec<u8>>)| {
        show_maybe(value).map(|value| format!("      {name:<4} {value}"))
    };
    let head = head.trim_end().to_owned();
    [head].into_iter().chain(clauses.into_iter().filter_map(clause)).collect()
}

/// Whole seconds in words, `0s` for none.
fn seconds(seconds: i64) -> String {
    match u64::try_from(seconds) {
        Ok(seconds @ 1..) => show_duration(std::time::Duration::from_secs(seconds)),
        _ => "0s".into(),
    }
}

/// `show QID lint`.
pub fn lint_report(content: &[u8], facts: Facts<'_>) -> Report {
    let findings = lint(content, facts);
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let [errors, warnings, notes] = [Severity::Error, Severity::Warning, Severity::Note].map(count);
    let rows = findings.iter().map(|finding| {
        let Finding { severity, line, count, what, rfc } = finding;
        json!({
            "severity": severity.name(), "line": line, "count": count, "what": what, "rfc": rfc,
        })
    });
    let json = json!({
        "cut": facts.cut, "errors": errors, "warnings": warnings, "notes": notes,
        "findings": rows.collect::<Vec<Value>>(),
    });
    let mut lines: Vec<String> = findings.iter().map(finding_line).collect();
    lines.push(match (errors, warnings, notes) {
        (0, 0, 0) => "nothing wrong was found".into(),
        _ => {
            let [errors, warnings, notes] =
                [(errors, "error"), (warnings, "warning"), (notes, "note")]
                    .map(|(count, name)| count_of(count, name));
            format!("{errors}, {warnings}, {notes}")
        }
    });
    say_cut(&mut lines, facts.cut, content.len());
    Report { json, lines }
}

fn finding_line(finding: &Finding) -> String {
    let place = match (finding.line, finding.count) {
        (Some(line), 1) => format!("line {line}: "),
        (Some(line), count) => format!("line {line} and {} more: ", count - 1),
        (None, _) => String::new(),
    };
    format!("{:<8}{place}{} ({})", finding.severity.name(), finding.what, finding.rfc)
}

/// `show QID raw`.
pub fn raw_report(content: &[u8], cut: bool) -> Report {
    let region = Region::new(content);
    let shown: Vec<String> = region
        .lines()
        .take(MAX_LINES)
        .map(|line| {
            let text = Printable::bounded(line.text, MAX_RAW_LINE).into_string();
            // A line that does not end with CRLF shows that.
            if line.end == End::Lf { text + "\\x0a" } else { text }
        })
        .collect();
    let more = region.lines().nth(MAX_LINES).is_some();
    let json = json!({ "cut": cut || more, "octets": content.len(), "lines": shown });
    let mut lines = shown;
    if more {
        lines.push(format!("(only the first {MAX_LINES} lines are shown)"));
    }
    say_cut(&mut lines, cut, content.len());
    Report { json, lines }
}
