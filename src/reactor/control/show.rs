//! `show`: one message of the queue, from its envelope to its octets.

use std::time::Duration;

use serde_json::{Value, json};

use super::Refusal;
use super::messages::unknown_message;
use super::sessions::leg_name;
use crate::base::{Leg, MessageId, Printable, Report, Wall};
use crate::control::ShowPart;
use crate::journal::render::{self, Delay};
use crate::journal::{Conversation, Kept, Side, Sign, Subject};
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

    /// Every attempt that is known, in the next servers' own words, and how the recipients stand
    /// if the message is still here.
    pub(super) fn show_attempts(
        &mut self,
        counter: u64,
        parts: &[Conversation],
    ) -> Result<Report, Refusal> {
        let state = self.queued(counter, None).map(|queued| queued.json(self.now));
        if state.is_none() && parts.is_empty() {
            let words = format!("nothing is known of q{counter:X}, or not any more");
            return Err(Refusal::new(words));
        }
        let recipients = state.map_or(Value::Null, |state| state["recipients"].clone());
        let (mut lines, mut rows, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            let attempt = Attempt::of(part);
            lines.push(attempt.heading());
            for line in part.transcript() {
                let text = Printable::new(line.text);
                all.push(json!({
                    "at_ms": line.at.as_micros().div_euclid(1000), "sign": line.sign,
                    "mark": line.mark, "text": text,
                }));
                let id = Some(part.id);
                lines.push(render::line(line.at, line.delay, id, line.sign, line.mark, &text));
            }
            lines.push(String::new());
            rows.push(attempt.json());
        }
        if !parts.iter().any(|part| part.id.leg == Leg::Out) {
            lines.push("no attempt is remembered".to_owned());
        }
        lines.extend(recipients.as_array().into_iter().flatten().flat_map(state_lines));
        let json = json!({ "attempts": rows, "lines": all, "recipients": recipients });
        Ok(Report { json, lines })
    }
}

/// What is to be known of an attempt at a glance, or of the session that brought the message.
struct Attempt<'a> {
    part: &'a Conversation,
    began: Wall,
    took: Duration,
    /// The last words of the next server to this message, or why the session ended.
    words: Option<Printable>,
}

impl Attempt<'_> {
    fn of(part: &Conversation) -> Attempt<'_> {
        let (first, last) = (part.lines.first(), part.lines.last());
        let began = first.map_or(Wall::default(), |line| line.at);
        let took = last.map_or(Duration::ZERO, |line| line.at.since(began));
        let said = |line: &&Kept| {
            let server = matches!(line.sign, Sign::Said { side: Side::Server, .. });
            server || line.subject == Subject::Closed
        };
        let words = part.lines.iter().rev().find(said).map(|line| Printable::new(&line.text));
        Attempt { part, began, took, words }
    }

    fn heading(&self) -> String {
        let peer = self.part.peer.map_or("?".to_owned(), |peer| peer.to_string());
        let tls = match &self.part.tls {
            Some(facts) => Printable::new(facts).into_string(),
            None => "no TLS".to_owned(),
        };
        let whom = match &self.part.next {
            Some(next) => format!("to {} at {peer}", Printable::new(next)),
            None => format!("from {peer}"),
        };
        let took = Delay(self.took).to_string();
        format!("{} {}  {whom}, {tls}, took {}", self.began, self.part.id, &took[1..])
    }

    fn json(&self) -> Value {
        let outcome = |line: &Kept| match line.subject {
            Subject::Outcome | Subject::Accepted => Some(Printable::new(&line.text)),
            _ => None,
        };
        json!({
            "session": self.part.id.to_string(),
            "leg": leg_name(self.part.id.leg),
            "at_ms": self.began.as_micros().div_euclid(1000),
            "took_ms": self.took.as_secs_f64() * 1000.0,
            "next": self.part.next.as_ref().map(Printable::new),
            "peer": self.part.peer.map(|peer| peer.to_string()),
            "tls": self.part.tls.as_ref().map(Printable::new),
            "words": self.words,
            "outcomes": self.part.lines.iter().filter_map(outcome).collect::<Vec<_>>(),
        })
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
