//! `queue`, and what is done to messages: hold, release, retry, bounce, delete.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::jobs::{Doing, Job, unix_or_null};
use super::sessions::whole_seconds;
use super::{Answer, Asker, Confirm, Refusal};
use crate::base::{
    Address, Client, Enhanced, MessageId, Now, Printable, Recipient, Reply, Status, Time, Wall,
    show_duration, show_size,
};
use crate::control::{MessageAction, Which};
use crate::journal::{Report, render};
use crate::queue::{RecipientState, ServerState};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::rules::{Expr, Fields, MAX_HEADER, Rcpts};
use crate::spool::{Disk, SpoolError};

/// How long `confirm` may come after what is to be confirmed.
const CONFIRM: Duration = Duration::from_secs(60);
/// The ages that `queue age` tells apart, in minutes.
pub(super) const AGES: [u64; 8] = [5, 15, 30, 60, 240, 720, 1440, 2880];

/// A message in the queue, as answers show it.
pub(super) struct Queued {
    id: MessageId,
    size: u64,
    sender: Option<Address>,
    received: Wall,
    next_attempt: Option<Time>,
    held: bool,
    recipients: Vec<QueuedRecipient>,
}

struct QueuedRecipient {
    address: Address,
    state: &'static str,
    /// None when it is delivered: that is not kept.
    attempts: Option<u32>,
    last_reply: Option<Reply>,
    /// The next server's name, and whether it takes mail.
    next: Option<(String, bool)>,
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// A message as it stands; none when it is gone, or the expression does not hold for it.
    pub(super) fn queued(&mut self, counter: u64, filter: Option<&Expr>) -> Option<Queued> {
        let now = self.now;
        let id = self.core.queue.id_of(counter)?;
        let mut header = Vec::new();
        if filter.is_some_and(Expr::needs_header) {
            header = self.start_of(id, MAX_HEADER);
        }
        let core = &mut self.core;
        let head = core.spool.head(id).ok()?.into_owned();
        let view = core.queue.message(counter, now)?;
        let mut all = Vec::with_capacity(head.envelope.recipients.len());
        for (i, (recipient, status)) in
            head.envelope.recipients.iter().zip(&head.statuses).enumerate()
        {
            let open = view.recipients.iter().find(|r| r.recipient as usize == i);
            let next = open.map(|r| {
                let server = core.queue.server(r.server, now);
                let takes = !matches!(server.state, ServerState::Paused | ServerState::Gone);
                (server.name.to_owned(), takes)
            });
            all.push(QueuedRecipient {
                address: recipient.address.clone(),
                state: match open.map(|r| r.state) {
                    Some(RecipientState::Pending) => "pending",
                    Some(RecipientState::Deferred) => "deferred",
                    Some(RecipientState::Failed) => "failed",
                    None if *status == Status::Failed => "failed",
                    None => "delivered",
                },
                attempts: open.map(|r| r.attempts),
                last_reply: open.and_then(|r| r.last_reply.cloned()),
                next,
            });
        }
        let queued = Queued {
            id,
            size: head.body,
            sender: head.envelope.from.clone(),
            received: head.arrived,
            next_attempt: view.next_attempt(),
            held: view.held(),
            recipients: all,
        };
        let holds = filter.is_none_or(|expr| {
            queued.holds(expr, &head.envelope.client, &head.envelope.recipients, &header)
        });
        holds.then_some(queued)
    }

    /// The first octets of a message's content.
    pub(super) fn start_of(&mut self, id: MessageId, most: usize) -> Vec<u8> {
        let size = self.core.spool.size(id).unwrap_or(0);
        let mut content = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(most)];
        let mut at = 0;
        while at < content.len() {
            match self.core.spool.read(id, at as u64, &mut content[at..]) {
                Ok(n) if n > 0 => at += n,
                _ => break,
            }
        }
        content.truncate(at);
        content
    }

    /// `hold|release|retry|bounce|delete QID|where E`
    pub(super) fn begin_messages(
        &mut self,
        action: MessageAction,
        which: Which,
    ) -> Result<Answer, Refusal> {
        match which {
            Which::Where(filter) => Ok(Answer::Job(Job::choosing(action, filter))),
            Which::Message(counter) => {
                if self.core.queue.id_of(counter).is_none() {
                    return Err(unknown_message(counter));
                }
                let mut doing = Doing { action, messages: vec![counter], at: 0, done: 0 };
                self.do_slice(&mut doing, 1)?;
                Ok(done_report(&doing).into())
            }
        }
    }

    /// What is to be done with those that were chosen: one at once, more after `confirm`.
    pub(super) fn chosen(
        &mut self,
        action: MessageAction,
        messages: Vec<u64>,
        asker: &mut Asker,
    ) -> Result<Answer, Refusal> {
        if messages.len() < 2 {
            let mut doing = Doing { action, messages, at: 0, done: 0 };
            self.do_slice(&mut doing, 1)?;
            return Ok(done_report(&doing).into());
        }
        let count = messages.len();
        let until = self.now.time.after(CONFIRM);
        let confirm = Confirm { action, messages, until };
        asker.confirm = Some(confirm.clone());
        self.confirm = Some(confirm);
        let name = action.name();
        let line = format!("{count} messages; to {name} them say 'confirm' within a minute");
        let json = json!({ "action": name, "count": count, "confirm": true });
        Ok(Report { json, lines: vec![line] }.into())
    }

    /// `confirm`: of an asker its own; one that is new takes what the last one left, since each
    /// `ctl` is an asker of its own.
    pub(super) fn confirm(&mut self, asker: &mut Asker) -> Result<Answer, Refusal> {
        let shared = self.confirm.take();
        let waiting = asker.confirm.take().or(shared);
        match waiting.filter(|confirm| confirm.until > self.now.time) {
            Some(Confirm { action, messages, .. }) => {
                Ok(Answer::Job(Job::Doing(Doing { action, messages, at: 0, done: 0 })))
            }
            None => Err(Refusal::new("nothing waits to be confirmed")),
        }
    }

    /// Does it to so many messages; true when all are done. A fault of the disk ends it.
    pub(super) fn do_slice(&mut self, doing: &mut Doing, most: usize) -> Result<bool, Refusal> {
        let end = doing.messages.len().min(doing.at + most);
        while doing.at < end {
            let counter = doing.messages[doing.at];
            doing.at += 1;
            // One that went meanwhile is no fault.
            if let Some(id) = self.core.queue.id_of(counter) {
                self.do_one(doing.action, id)
                    .map_err(|e| Refusal::new(format!("{}: {e}", id.short())))?;
                doing.done += 1;
            }
        }
        Ok(doing.at == doing.messages.len())
    }

    fn do_one(&mut self, action: MessageAction, id: MessageId) -> Result<(), SpoolError> {
        let (now, core) = (self.now, &mut self.core);
        match action {
            MessageAction::Hold => {
                let held = core.queue.hold(id.counter);
                let marks: Vec<(u32, Status)> =
                    held.into_iter().map(|recipient| (recipient, Status::Held)).collect();
                core.spool.mark_all(id, &marks, now.time)?;
            }
            MessageAction::Release => {
                let released = core.queue.release(id.counter);
                core.spool.mark_all(id, &released, now.time)?;
            }
            MessageAction::Retry => {
                core.queue.retry(id.counter);
                core.queue.probe_servers_of(id.counter, now);
            }
            MessageAction::Bounce => {
                let why = "Given up by the administrator";
                core.queue.fail(id.counter, &Reply::fixed(554, Enhanced(5, 7, 0), why));
            }
            MessageAction::Delete => {
                core.spool.remove(id, now.time)?;
                core.queue.remove(id.counter);
            }
        }
        let text = format!("{} {}", id.short(), action.past());
        core.say(now, crate::journal::Level::Info, &text);
        Ok(())
    }
}

pub(super) fn unknown_message(counter: u64) -> Refusal {
    let id = format!("q{counter:X}");
    Refusal::new(format!(
        "no message {id} is in the queue; 'queue' lists all, and 'show {id} attempts' tells what \
         is remembered"
    ))
}

/// What was done to messages.
pub(super) fn done_report(doing: &Doing) -> Report {
    let (action, past) = (doing.action.name(), doing.action.past());
    let ids: Vec<String> =
        doing.messages.iter().take(100).map(|counter| format!("q{counter:X}")).collect();
    let line = match (doing.done, ids.first()) {
        (1, Some(id)) if doing.messages.len() == 1 => format!("{id} {past}"),
        (n, _) => format!("{n} messages {past}"),
    };
    Report {
        json: json!({ "action": action, "count": doing.done, "messages": ids }),
        lines: vec![line],
    }
}

/// A row of `queue`: columns as wide as most of what stands in them.
pub(super) fn listed(columns: &[&str; 7]) -> String {
    let [id, age, size, state, tries, next, way] = columns;
    format!("{id:<7} {age:>7} {size:>7} {state:<9} {tries:>5} {next:>7}  {way}")
}

impl Queued {
    fn holds(&self, expr: &Expr, client: &Client, recipients: &[Recipient], header: &[u8]) -> bool {
        let last = self.recipients.iter().rev().find_map(|r| r.last_reply.as_ref());
        let next = self.recipients.iter().find_map(|r| r.next.as_ref());
        expr.holds(&Fields {
            client: client.ip,
            helo: client.helo.as_deref(),
            from: Some(self.sender.as_ref().map_or("", |from| from.as_str())),
            rcpt: Rcpts::All(recipients),
            size: Some(self.size),
            header,
            reply: last.map(|reply| reply.code),
            user: client.user.as_deref(),
            id: Some(self.id),
            next: next.map(|(name, _)| name.as_str()),
            ..Fields::default()
        })
    }

    pub(super) fn age(&self, now: Now) -> Duration {
        now.wall.since(self.received)
    }

    /// Where its open recipients go, each name once.
    pub(super) fn next_servers(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.recipients.iter().filter_map(|r| r.next.as_ref()).map(|n| n.0.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(super) fn json(&self, now: Now) -> Value {
        let reply = |reply: &Reply| Printable::new(render::reply_line(reply));
        let recipients: Vec<Value> = self
            .recipients
            .iter()
            .map(|r| {
                json!({
                    "address": Printable::new(r.address.as_str()),
                    "state": r.state,
                    "attempts": r.attempts,
                    "last_reply": r.last_reply.as_ref().map(reply),
                    "next": r.next.as_ref().map(|(name, _)| name),
                })
            })
            .collect();
        json!({
            "id": self.id.short(),
            "size": self.size,
            "sender": Printable::new(self.sender.as_ref().map_or("", |from| from.as_str())),
            "received": self.received.as_micros().div_euclid(1_000_000),
            "next_attempt": unix_or_null(self.next_attempt, now),
            "held": self.held,
            "recipients": recipients,
        })
    }

    /// One line, and one more for what the last attempt brought.
    pub(super) fn lines(&self, now: Now) -> Vec<String> {
        let open: Vec<&QueuedRecipient> =
            self.recipients.iter().filter(|r| r.next.is_some()).collect();
        let shown = open.first().copied().or(self.recipients.first());
        let state = match shown {
            _ if self.held => "held",
            Some(recipient) => recipient.state,
            None => "-",
        };
        let tries = open.iter().filter_map(|r| r.attempts).max().unwrap_or(0).to_string();
        let next = match self.next_attempt {
            Some(at) if at > now.time => show_duration(whole_seconds(at.since(now.time))),
            Some(_) => "now".into(),
            None => "-".into(),
        };
        let from = self.sender.as_ref().map_or("", |from| from.as_str());
        let to = shown.map_or(String::new(), |r| format!("<{}>", r.address.as_str()));
        let more = match open.len() {
            0 | 1 => String::new(),
            n => format!(" +{}", n - 1),
        };
        let age = show_duration(whole_seconds(self.age(now)));
        let way = Printable::new(format!("<{from}> → {to}{more}"));
        let (id, size) = (self.id.short(), short_size(self.size));
        let mut lines = vec![listed(&[&id, &age, &size, state, &tries, &next, way.as_str()])];
        if let Some(reply) = open.iter().find_map(|r| r.last_reply.as_ref()) {
            lines.push(format!("{:8}{}", "", Printable::bounded(render::reply_line(reply), 200)));
        }
        lines
    }
}

/// Octets in four or five characters: `812`, `1.2K`, `25M`.
pub(super) fn short_size(octets: u64) -> String {
    let units = ["", "K", "M", "G", "T"];
    let (mut value, mut unit) = (octets as f64, 0);
    while value >= 1000.0 && unit + 1 < units.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    if unit > 0 && value < 10.0 {
        return format!("{value:.1}{}", units[unit]);
    }
    if unit == 0 { show_size(octets) } else { format!("{value:.0}{}", units[unit]) }
}

/// Which column of `queue age` an age belongs to.
pub(super) fn age_place(age: Duration) -> usize {
    let minutes = age.as_secs() / 60;
    AGES.iter().position(|limit| minutes < *limit).unwrap_or(AGES.len())
}

/// `queue age`
pub(super) fn ages_report(table: &BTreeMap<String, [u64; AGES.len() + 1]>) -> Report {
    const NAMES: [&str; AGES.len() + 1] =
        ["<5m", "<15m", "<30m", "<1h", "<4h", "<12h", "<1d", "<2d", "older"];
    let cells = |cells: &[String]| cells.iter().map(|c| format!(" {c:>6}")).collect::<String>();
    let names = NAMES.map(str::to_owned);
    let mut lines = vec![format!("{:<16} {:>6}{}", "NEXT SERVER", "ALL", cells(&names))];
    let mut rows = Vec::new();
    for (next, counts) in table {
        let all: u64 = counts.iter().sum();
        let shown = counts.map(|n| if n == 0 { "-".to_owned() } else { n.to_string() });
        lines.push(format!("{:<16} {all:>6}{}", Printable::new(next).as_str(), cells(&shown)));
        let ages: serde_json::Map<String, Value> =
            NAMES.iter().zip(counts).map(|(name, n)| ((*name).to_owned(), json!(n))).collect();
        rows.push(json!({ "next": next, "all": all, "ages": ages }));
    }
    if table.is_empty() {
        lines = vec!["no messages".to_owned()];
    }
    Report { json: json!({ "rows": rows }), lines }
}
