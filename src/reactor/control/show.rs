//! `show`: one message of the queue, from its envelope to its octets.

use serde_json::{Value, json};

use super::Refusal;
use super::messages::unknown_message;
use crate::base::{MessageId, Printable, Report};
use crate::control::ShowPart;
use crate::journal::{carried, render};
use crate::message::{self, Facts};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::spool::Disk;

/// Octets of content that are looked at: about 2 ms of work.
const MAX_CONTENT: usize = 1 << 20;
/// Octets of content that are shown as they are.
const MAX_RAW: usize = 64 << 10;

impl<N: Net, D: Disk> Reactor<N, D> {
    /// `show QID PART`
    pub(super) fn show(&mut self, counter: u64, part: ShowPart) -> Result<Report, Refusal> {
        let id = self.core.queue.id_of(counter).ok_or_else(|| unknown_message(counter))?;
        let most = match part {
            ShowPart::Envelope => return self.show_envelope(id),
            ShowPart::Attempts => return Ok(self.show_attempts(id)),
            ShowPart::Raw => MAX_RAW,
            _ => MAX_CONTENT,
        };
        let content = self.start_of(id, most);
        let cut = self.core.spool.size(id).is_some_and(|size| size > content.len() as u64);
        Ok(match part {
            ShowPart::Headers => message::headers_report(&content, cut),
            ShowPart::Mime => message::mime_report(&content, cut),
            ShowPart::Hops => message::hops_report(&content, cut),
            ShowPart::Lint => {
                let head = self.core.spool.head(id).map_err(|e| Refusal::new(e.to_string()))?;
                let envelope = Some(&head.envelope);
                message::lint_report(&content, Facts { cut, envelope, arrived: Some(head.arrived) })
            }
            _ => message::raw_report(&content, cut),
        })
    }

    /// Who brought it, and how each recipient stands.
    fn show_envelope(&mut self, id: MessageId) -> Result<Report, Refusal> {
        let queued = self.queued(id.counter, None).ok_or_else(|| unknown_message(id.counter))?;
        let head = self.core.spool.head(id).map_err(|e| Refusal::new(e.to_string()))?;
        let Report { mut json, mut lines } =
            message::envelope_report(&head.envelope, head.arrived, head.body);
        lines.insert(0, format!("message   {}  {id}", id.short()));
        let state = queued.json(self.now);
        lines.extend(state["recipients"].as_array().into_iter().flatten().flat_map(state_lines));
        if state["held"] == true {
            lines.push("held until 'release'".to_owned());
        }
        // What the queue knows of it, and what only the envelope has.
        if let (Value::Object(all), Value::Object(state)) = (&mut json, state) {
            let envelope = all.remove("recipients");
            all.extend(state);
            all.insert("envelope_recipients".into(), envelope.unwrap_or_default());
            all.insert("full_id".into(), json!(id.to_string()));
        }
        Ok(Report { json, lines })
    }

    /// Every attempt that is still remembered, in the next servers' own words.
    fn show_attempts(&mut self, id: MessageId) -> Report {
        let lines = carried(&self.core.journal, &id.short());
        let mut shown = Vec::with_capacity(lines.len());
        let mut rows = Vec::with_capacity(lines.len());
        for line in &lines {
            let text = Printable::new(line.text);
            rows.push(json!({
                "at_ms": line.at.as_micros().div_euclid(1000), "sign": line.sign,
                "mark": line.mark, "text": text,
            }));
            shown.push(render::line(line.at, line.delay, None, line.sign, line.mark, &text));
        }
        let state = self.queued(id.counter, None).map(|queued| queued.json(self.now));
        let recipients = state.map_or(Value::Null, |state| state["recipients"].clone());
        if shown.is_empty() {
            shown.push("no attempt is remembered".to_owned());
        }
        shown.extend(recipients.as_array().into_iter().flatten().flat_map(state_lines));
        Report { json: json!({ "lines": rows, "recipients": recipients }), lines: shown }
    }
}

/// How a recipient stands, from its answer for programs.
fn state_lines(recipient: &Value) -> Vec<String> {
    let text = |key: &str| recipient[key].as_str().unwrap_or("");
    let mut line = format!("<{}>  {}", text("address"), text("state"));
    if let Some(attempts) = recipient["attempts"].as_u64().filter(|n| *n > 0) {
        let times = if attempts == 1 { "once" } else { "times" };
        line.push_str(&match attempts {
            1 => format!(", tried {times}"),
            n => format!(", tried {n} {times}"),
        });
    }
    if !text("next").is_empty() {
        line.push_str(&format!(", by {}", text("next")));
    }
    let mut lines = vec![line];
    if !text("last_reply").is_empty() {
        lines.push(format!("    {}", text("last_reply")));
    }
    lines
}
