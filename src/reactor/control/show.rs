//! `show`: one message of the queue, from its envelope to its octets.

use serde_json::{Value, json};

use super::Refusal;
use super::messages::unknown_message;
use crate::base::{MessageId, Printable, Status, show_size};
use crate::control::ShowPart;
use crate::journal::{Report, carried, render};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::spool::Disk;

/// Octets of content that are looked at.
const MAX_CONTENT: usize = 1 << 20;
/// Octets of content that are shown as they are.
const MAX_RAW: usize = 64 << 10;

impl<N: Net, D: Disk> Reactor<N, D> {
    /// `show QID PART`
    pub(super) fn show(&mut self, counter: u64, part: ShowPart) -> Result<Report, Refusal> {
        let id = self.core.queue.id_of(counter).ok_or_else(|| unknown_message(counter))?;
        match part {
            ShowPart::Envelope => self.show_envelope(id),
            ShowPart::Attempts => Ok(self.show_attempts(id)),
            ShowPart::Raw => Ok(self.show_raw(id)),
            ShowPart::Headers | ShowPart::Mime | ShowPart::Hops => {
                let content = self.start_of(id, MAX_CONTENT);
                let cut = self.core.spool.size(id).is_some_and(|size| size > content.len() as u64);
                Ok(look_at(part, &content, cut))
            }
        }
    }

    fn show_envelope(&mut self, id: MessageId) -> Result<Report, Refusal> {
        let queued = self.queued(id.counter, None).ok_or_else(|| unknown_message(id.counter))?;
        let head = self.core.spool.head(id).map_err(|e| Refusal::new(e.to_string()))?.into_owned();
        let envelope = &head.envelope;
        let path = |address: Option<&str>| Printable::new(format!("<{}>", address.unwrap_or("")));
        let client = &envelope.client;
        let ip = client.ip.map_or("this server".to_owned(), |ip| ip.to_string());
        let helo = client.helo.as_deref().map(Printable::new);
        let user = client.user.as_deref().map(Printable::new);
        let mut lines = vec![
            format!("{}  {}  {} octets", id.short(), id, show_size(head.body)),
            format!("arrived  {}", head.arrived.iso8601()),
            format!(
                "client   {ip}{}{}",
                helo.as_ref().map(|h| format!(" ({h})")).unwrap_or_default(),
                user.as_ref().map(|u| format!(" as {u}")).unwrap_or_default()
            ),
            format!("from     {}", path(envelope.from.as_ref().map(|a| a.as_str()))),
        ];
        let mut json = queued.json(self.now);
        for (recipient, told) in envelope.recipients.iter().zip(json["recipients"].as_array().into_iter().flatten()) {
            let text = |key: &str| told[key].as_str().unwrap_or("").to_owned();
            let mut line = format!(
                "to       {}  {}",
                path(Some(recipient.address.as_str())),
                text("state")
            );
            if let Some(tries) = told["attempts"].as_u64().filter(|n| *n > 0) {
                line.push_str(&format!(", tried {tries} times"));
            }
            if !text("next").is_empty() {
                line.push_str(&format!(", by {}", text("next")));
            }
            lines.push(line);
            if !text("last_reply").is_empty() {
                lines.push(format!("         {}", text("last_reply")));
            }
        }
        if head.statuses.contains(&Status::Held) {
            lines.push("held until 'release'".to_owned());
        }
        json["client"] = json!(client.ip.map(|ip| ip.to_string()));
        json["helo"] = json!(helo);
        json["user"] = json!(user);
        json["full_id"] = json!(id.to_string());
        Ok(Report { json, lines })
    }

    /// Every attempt that is still remembered, in the next servers' own words.
    fn show_attempts(&mut self, id: MessageId) -> Report {
        let lines = carried(&self.core.journal, &id.short());
        let text: Vec<String> = lines
            .iter()
            .map(|line| {
                let text = Printable::new(line.text);
                render::line(line.at, line.delay, None, line.sign, line.mark, &text)
            })
            .collect();
        let rows: Vec<Value> = lines
            .iter()
            .map(|line| {
                json!({
                    "at_ms": line.at.as_micros().div_euclid(1000), "sign": line.sign,
                    "mark": line.mark, "text": Printable::new(line.text),
                })
            })
            .collect();
        let mut shown = text;
        if shown.is_empty() {
            shown = vec!["no attempt is remembered".to_owned()];
        }
        let last = self.queued(id.counter, None).map(|queued| queued.json(self.now));
        let recipients = last.map_or(Value::Null, |last| last["recipients"].clone());
        Report { json: json!({ "lines": rows, "recipients": recipients }), lines: shown }
    }

    fn show_raw(&mut self, id: MessageId) -> Report {
        let content = self.start_of(id, MAX_RAW);
        let size = self.core.spool.size(id).unwrap_or(0);
        let mut lines: Vec<String> = content
            .split_inclusive(|b| *b == b'\n')
            .map(|line| {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                Printable::new(line.strip_suffix(b"\r").unwrap_or(line)).into_string()
            })
            .collect();
        if size > content.len() as u64 {
            lines.push(format!("… ({} octets of {size})", content.len()));
        }
        let json = json!({ "size": size, "cut": size > content.len() as u64, "lines": lines });
        Report { json, lines }
    }
}

