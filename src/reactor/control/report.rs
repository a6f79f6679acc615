//! `report`: a message, or the last hour, as a page to keep or to hand to others.
//!
//! A page is made of what other commands answer, so it says nothing that they would not; it is
//! written by the process that asks.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::messages::unknown_message;
use super::past::LEAD;
use super::{Answer, Job, Refusal};
use crate::base::{Enhanced, Leg, Report, Wall, show_duration};
use crate::control::{NextCommand, ShowPart};
use crate::explain;
use crate::journal::{Analysis, Analyst, Conversation, Side, Sign, ladder};
use crate::page::{Page, Section};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::reactor::past::{Past, Since};
use crate::spool::Disk;

/// Replies that a page explains.
const MAX_EXPLAINED: usize = 20;

/// What a page about all mail tells.
const QUESTIONS: [(&str, Analysis); 10] = [
    ("Latency", Analysis::Latency),
    ("Replies in their own words", Analysis::Codes),
    ("Retries", Analysis::Retries),
    ("The busiest minutes", Analysis::Busiest),
    ("Use of TLS", Analysis::Tls),
    ("Senders", Analysis::Senders),
    ("Recipients", Analysis::Recipients),
    ("Who writes to whom", Analysis::Pairs),
    ("Clients", Analysis::Clients),
    ("Sizes", Analysis::Sizes),
];

/// A page about all mail, while the past is read for it.
pub struct Reporting {
    file: String,
    last: Option<Duration>,
    past: Past,
    analyst: Box<Analyst>,
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// `report FILE [last=T]`: how things stand and how they went, the latter of what is
    /// recorded.
    pub(super) fn report_time(&mut self, file: String, last: Option<Duration>) -> Answer {
        let from = last.map_or(Wall::default(), |last| self.now.wall.before(last));
        let past = self.look_back(Since::At(from.before(LEAD)));
        let analyst = Box::new(Analyst::new(from));
        Answer::Job(Job::Report(Box::new(Reporting { file, last, past, analyst })))
    }

    /// Does a slice; the page when that was the last.
    pub(super) fn report_slice(&mut self, r: &mut Reporting) -> Result<Option<Answer>, Refusal> {
        let Reporting { past, analyst, .. } = r;
        if self.core.look(past, |entry| analyst.hear(&entry)) {
            return Ok(None);
        }
        let mut sections = vec![
            section("How things stand", self.status()),
            section("Counters and replies since the start", self.stats(false)),
            section("Next servers", self.next_command(NextCommand::List)?),
        ];
        for (title, question) in QUESTIONS {
            sections.push(section(title, r.analyst.report(question)));
        }
        let title = match r.last {
            Some(last) => format!("Mail of the last {}", show_duration(last)),
            None => "Mail as far as it is recorded".to_owned(),
        };
        Ok(Some(self.hand_page(std::mem::take(&mut r.file), title, sections)))
    }

    /// `report FILE QID`: all that is known of a message. `parts` is what was said about it.
    pub(super) fn report_message(
        &mut self,
        file: String,
        counter: u64,
        parts: &[Conversation],
    ) -> Result<Answer, Refusal> {
        let queued = self.core.queue.id_of(counter).is_some();
        if !queued && parts.is_empty() {
            return Err(unknown_message(counter));
        }
        let mut sections = Vec::new();
        if queued {
            sections.push(section("Envelope", self.show(counter, ShowPart::Envelope)?));
        }
        if let Some((first, rest)) = parts.split_first() {
            let lines = ladder(first, rest);
            sections.push(section("What was said, on both sides", text(lines)));
        }
        sections.push(section("Attempts", self.show_attempts(counter, parts)?));
        if queued {
            for (title, part) in [
                ("Hops", ShowPart::Hops),
                ("What is odd about it", ShowPart::Lint),
                ("Header", ShowPart::Headers),
                ("Parts", ShowPart::Mime),
            ] {
                sections.push(section(title, self.show(counter, part)?));
            }
        }
        let replies = replies(parts);
        if !replies.is_empty() {
            sections.push(section("What the replies mean", explained(&replies)));
        }
        Ok(self.hand_page(file, format!("Message q{counter:X}"), sections))
    }

    fn hand_page(&self, file: String, title: String, sections: Vec<Section>) -> Answer {
        let server = self.core.config.server.hostname.clone();
        let page = Page { title, server, made: self.now.wall, sections };
        let octets = page.for_file(&file).into_bytes();
        Answer::Job(Job::hand(file, octets))
    }
}

fn section(title: &str, report: Report) -> Section {
    Section { title: title.to_owned(), report }
}

fn text(lines: Vec<String>) -> Report {
    Report { json: json!(null), lines }
}

/// The codes of what next servers, and we, said about it: `250`, `451 4.7.1`.
fn replies(parts: &[Conversation]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for part in parts {
        for line in part.lines.iter().map(|line| line.line()) {
            let is_reply = matches!(line.sign, Sign::Said { side: Side::Server, .. });
            let Some(code) = line.text.get(..3).filter(|_| is_reply) else { continue };
            let Ok(code) = std::str::from_utf8(code) else { continue };
            if !code.bytes().all(|b| b.is_ascii_digit()) {
                continue;
            }
            // What was answered to us is explained with its particulars, good or bad; of our own
            // replies only refusals.
            if part.id.leg == Leg::In && code < "400" {
                continue;
            }
            let status = line.text.get(4..).and_then(Enhanced::parse_prefix);
            let status = status.map_or(String::new(), |(status, _)| format!(" {status}"));
            found.insert(format!("{code}{status}"));
        }
    }
    // Refusals first: they are what is looked up.
    found.into_iter().rev().take(MAX_EXPLAINED).collect()
}

fn explained(replies: &[String]) -> Report {
    let mut lines = Vec::new();
    for reply in replies {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(format!("── {reply}"));
        if let Ok(report) = explain::report(reply) {
            lines.extend(report.lines);
        }
    }
    text(lines)
}
