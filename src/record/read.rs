//! An exported text or JSON, read back. It may have been edited by hand, or by somebody else: all
//! of it is checked, and what cannot be read is named by its line.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::base::{Printable, SessionId};
use crate::journal::{Mark, Side, Sign};

/// Lines of one session that are read.
const MAX_LINES: usize = 100_000;

/// A session that was read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// As it was named.
    pub id: SessionId,
    /// What was said, and what happened, in order.
    pub lines: Vec<RecordedLine>,
}

/// A line of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordedLine {
    /// Since the line before.
    pub delay: Duration,
    /// Who said it.
    pub sign: Sign,
    /// Octets as they came.
    pub text: Vec<u8>,
    /// There was more.
    pub cut: bool,
}

impl RecordedLine {
    /// Said by whom, if it was said.
    pub fn side(&self) -> Option<Side> {
        match self.sign {
            Sign::Said { side, .. } => Some(side),
            Sign::Event => None,
        }
    }
}

/// The content of a message, as an export as JSON holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptContent {
    /// Of which message, such as `q1A`.
    pub message: String,
    /// Its octets in the spool: what the client sent, behind what the server put in front.
    pub octets: Vec<u8>,
}

/// All that an export says.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Export {
    /// In the order of the file.
    pub sessions: Vec<Recorded>,
    /// As far as they were in the spool then.
    pub contents: Vec<KeptContent>,
}

/// Reads an export.
pub fn read(octets: &[u8]) -> Result<Export, String> {
    let text = std::str::from_utf8(octets)
        .map_err(|_| "neither text nor JSON of an export: it is not UTF-8".to_owned())?;
    let export = match text.trim_start().starts_with('{') {
        true => from_json(text)?,
        false => Export { sessions: from_text(text)?, contents: Vec::new() },
    };
    if export.sessions.is_empty() {
        return Err("there is no session in it".into());
    }
    Ok(export)
}

#[derive(Deserialize)]
struct Document {
    mailflux: u32,
    conversations: Vec<JsonConversation>,
    #[serde(default)]
    contents: Vec<JsonContent>,
}

#[derive(Deserialize)]
struct JsonContent {
    message: String,
    base64: String,
}

#[derive(Deserialize)]
struct JsonConversation {
    session: String,
    lines: Vec<JsonLine>,
}

#[derive(Deserialize)]
struct JsonLine {
    #[serde(default)]
    delay_us: u64,
    sign: Sign,
    text: String,
    #[serde(default)]
    cut: bool,
}

fn from_json(text: &str) -> Result<Export, String> {
    let document: Document =
        serde_json::from_str(text).map_err(|e| format!("not the JSON of an export: {e}"))?;
    if document.mailflux != 1 {
        return Err(format!("an export of version {}, which is unknown", document.mailflux));
    }
    let mut all = Vec::new();
    for conversation in document.conversations {
        let id = conversation.session.parse().map_err(|()| "a session without an id".to_owned())?;
        let mut lines = Vec::new();
        for (i, line) in conversation.lines.into_iter().enumerate() {
            let text = unescape(&line.text)
                .ok_or_else(|| format!("{id}, line {}: a wrong escape", i + 1))?;
            let delay = Duration::from_micros(line.delay_us);
            push(&mut lines, RecordedLine { delay, sign: line.sign, text, cut: line.cut })?;
        }
        all.push(Recorded { id, lines });
    }
    let mut contents = Vec::new();
    for JsonContent { message, base64 } in document.contents {
        let octets = STANDARD.decode(base64.as_bytes());
        let octets = octets.map_err(|_| {
            format!("the content of {} is not base64", Printable::bounded(&message, 40))
        })?;
        contents.push(KeptContent { message, octets });
    }
    Ok(Export { sessions: all, contents })
}

fn from_text(text: &str) -> Result<Vec<Recorded>, String> {
    let mut all: Vec<Recorded> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        // A heading begins a session anew: the parts of a message may be of the same one.
        if let Some(heading) = line.strip_prefix("# ") {
            let id = heading.split_once(": ").and_then(|(id, _)| id.parse().ok());
            all.extend(id.map(|id| Recorded { id, lines: Vec::new() }));
            continue;
        }
        let read = line_of(line).ok_or_else(|| {
            format!("line {number} is not of a transcript (time, delay, session, sign, text)")
        })?;
        let (id, line) = read;
        if all.last().is_none_or(|last| last.id != id) {
            all.push(Recorded { id, lines: Vec::new() });
        }
        if let Some(last) = all.last_mut() {
            push(&mut last.lines, line)?;
        }
    }
    all.retain(|recorded| !recorded.lines.is_empty());
    Ok(all)
}

fn push(lines: &mut Vec<RecordedLine>, line: RecordedLine) -> Result<(), String> {
    if lines.len() >= MAX_LINES {
        return Err(format!("more than {MAX_LINES} lines in a session"));
    }
    lines.push(line);
    Ok(())
}

/// `18:42:26.123   +0.004 i7     -> EHLO mail.example.com`
fn line_of(line: &str) -> Option<(SessionId, RecordedLine)> {
    let (_clock, rest) = line.trim_start().split_once(' ')?;
    let (delay, rest) = rest.trim_start().split_once(' ')?;
    let (id, rest) = rest.trim_start().split_once(' ')?;
    let rest = rest.trim_start();
    let (sign, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let sign = Sign::try_from(sign).ok()?;
    let marks = [Mark::Unexpected, Mark::Injected, Mark::Held].map(Mark::prefix);
    let text = marks.iter().find_map(|mark| text.strip_prefix(mark)).unwrap_or(text);
    let cut = text.ends_with('…');
    let text = unescape(text.strip_suffix('…').unwrap_or(text))?;
    Some((id.parse().ok()?, RecordedLine { delay: delay_of(delay)?, sign, text, cut }))
}

/// `+0.004`, `+2m05s`, `+2h05m`.
fn delay_of(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+')?;
    if let Some((h, m)) = text.strip_suffix('m').and_then(|text| text.split_once('h')) {
        let (h, m): (u32, u32) = (h.parse().ok()?, m.parse().ok()?);
        return Some(Duration::from_secs(u64::from(h) * 3600 + u64::from(m) * 60));
    }
    if let Some((m, s)) = text.strip_suffix('s').and_then(|text| text.split_once('m')) {
        let (m, s): (u32, u32) = (m.parse().ok()?, s.parse().ok()?);
        return Some(Duration::from_secs(u64::from(m) * 60 + u64::from(s)));
    }
    let (s, ms) = text.split_once('.')?;
    let (s, ms): (u32, u32) = (s.parse().ok()?, ms.parse().ok()?);
    Some(Duration::from_secs(s.into()) + Duration::from_millis(ms.into()))
}

/// Octets again of what was made printable.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        let (kind, after) = after.split_at_checked(1)?;
        rest = match kind {
            "\\" => {
                out.push(b'\\');
                after
            }
            "x" => {
                let (hex, after) = after.split_at_checked(2)?;
                out.push(u8::from_str_radix(hex, 16).ok()?);
                after
            }
            "u" => {
                let (hex, after) = after.strip_prefix('{')?.split_once('}')?;
                let c = char::from_u32(u32::from_str_radix(hex, 16).ok()?)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                after
            }
            _ => return None,
        };
    }
    out.extend_from_slice(rest.as_bytes());
    Some(out)
}
