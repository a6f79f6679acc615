//! Jobs: what goes over all messages, a slice a tick; and what is followed until its asker goes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::find::Finding;
use super::hand::{Handing, Wanting};
use super::messages::{AGES, age_place, listed};
use super::past::{Analysing, Recalling};
use super::probe::Probing;
use super::report::Reporting;
use super::tutor::Tutoring;
use super::visit::Visiting;
use super::watch::Reader;
use super::{Answer, Asker, Refusal};
use crate::base::{Printable, Time};
use crate::control::{Follow, MessageAction, Told, item_holds};
use crate::explain::wrap;
use crate::journal::{Conversation, FeedItem, Journal, Kept, render};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::rules::Expr;
use crate::spool::Disk;

/// Messages looked at in one slice: their envelopes may have to be read from the disk.
const SLICE: usize = 128;

/// Lines of one session's past that a console is told.
const MAX_PAST: usize = 2000;

/// Before a note under a followed line: its text stands under the line's text, as far as 80
/// columns allow.
const NOTE_INDENT: &str = "                      ";

/// What is being worked on.
pub enum Job {
    /// `queue [where E]`
    Listing(Listing),
    /// `queue age [where E]`
    Ages(Ages),
    /// `hold where E` and its kin: which messages?
    Choosing(Choosing),
    /// The same, done to those that were chosen.
    Doing(Doing),
    /// `next probe NAME`
    Probe(Probing),
    /// `follow`, for an asker without a view.
    Follow(Following),
    /// `session`, `show QID attempts` and others that look for what was said.
    Find(Box<Finding>),
    /// `sessions last=T`
    Sessions(Box<Recalling>),
    /// `analyse WHAT last=T`
    Analyse(Box<Analysing>),
    /// `report FILE [last=T]`
    Report(Box<Reporting>),
    /// A file for the asker.
    Hand(Handing),
    /// `tutor`
    Tutor(Box<Tutoring>),
    /// A file of the asker's.
    Want(Wanting),
    /// `resend` and `replay`
    Visit(Box<Visiting>),
}

/// A walk over all messages.
#[derive(Default)]
pub struct Walk {
    from: u64,
    filter: Option<Expr>,
}

pub struct Listing {
    walk: Walk,
    told: usize,
}

pub struct Ages {
    walk: Walk,
    /// By next server, how many messages of each age.
    table: BTreeMap<String, [u64; AGES.len() + 1]>,
}

pub struct Choosing {
    walk: Walk,
    action: MessageAction,
    chosen: Vec<u64>,
}

pub struct Doing {
    pub action: MessageAction,
    pub messages: Vec<u64>,
    pub at: usize,
    pub done: usize,
}

pub struct Following {
    pub(super) reader: Reader,
    what: Follow,
    /// What was said about it before, to be told first.
    before: Vec<Conversation>,
}

impl Job {
    pub(super) fn listing(filter: Option<Expr>) -> Job {
        Job::Listing(Listing { walk: Walk { from: 0, filter }, told: 0 })
    }

    pub(super) fn ages(filter: Option<Expr>) -> Job {
        Job::Ages(Ages { walk: Walk { from: 0, filter }, table: BTreeMap::new() })
    }

    pub(super) fn choosing(action: MessageAction, filter: Expr) -> Job {
        let walk = Walk { from: 0, filter: Some(filter) };
        Job::Choosing(Choosing { walk, action, chosen: Vec::new() })
    }

    pub(super) fn follow(what: Follow, journal: &mut Journal) -> Job {
        Job::follow_after(Vec::new(), what, journal)
    }

    /// The same, after what was said before.
    pub(super) fn follow_after(
        before: Vec<Conversation>,
        what: Follow,
        journal: &mut Journal,
    ) -> Job {
        let reader = Reader::new(journal.feed().subscribe());
        Job::Follow(Following { reader, what, before })
    }

    /// It waits for what happens, and has nothing to do by itself.
    pub(super) fn waits(&self) -> bool {
        match self {
            Job::Follow(following) => following.before.is_empty(),
            Job::Probe(probing) => probing.waits(),
            Job::Tutor(tutoring) => tutoring.waits(),
            Job::Want(wanting) => wanting.waits(),
            Job::Visit(visiting) => visiting.waits(),
            _ => false,
        }
    }

    /// It reads the feed.
    pub(super) fn listens(&self) -> bool {
        matches!(self, Job::Follow(_))
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Does a slice; true when the job is done.
    pub(super) fn work(
        &mut self,
        job: &mut Job,
        (id, json): (u64, bool),
        asker: &mut Asker,
    ) -> Result<bool, Refusal> {
        match job {
            Job::Listing(listing) => Ok(self.list(listing, (id, json), asker)),
            Job::Ages(ages) => {
                let done = self.count_ages(ages);
                if done {
                    asker.tell_report(id, json, super::messages::ages_report(&ages.table));
                }
                Ok(done)
            }
            Job::Choosing(choosing) => {
                if !self.choose(choosing) {
                    return Ok(false);
                }
                let chosen = std::mem::take(&mut choosing.chosen);
                let answer = self.chosen(choosing.action, chosen, asker)?;
                Ok(go_on(answer, job, (id, json), asker))
            }
            Job::Find(finding) => match self.find_slice(finding)? {
                Some(answer) => Ok(go_on(answer, job, (id, json), asker)),
                None => Ok(false),
            },
            Job::Sessions(recalling) => Ok(match self.recall(recalling) {
                Some(report) => go_on(report.into(), job, (id, json), asker),
                None => false,
            }),
            Job::Analyse(analysing) => Ok(match self.analyse_slice(analysing) {
                Some(report) => go_on(report.into(), job, (id, json), asker),
                None => false,
            }),
            Job::Report(reporting) => match self.report_slice(reporting)? {
                Some(answer) => Ok(go_on(answer, job, (id, json), asker)),
                None => Ok(false),
            },
            Job::Hand(handing) => self.hand_piece(handing, (id, json), asker),
            Job::Want(wanting) => match self.await_file(wanting, id, asker)? {
                Some(answer) => Ok(go_on(answer, job, (id, json), asker)),
                None => Ok(false),
            },
            Job::Visit(visiting) => self.await_visit(visiting, (id, json), asker),
            Job::Doing(doing) => {
                let done = self.do_slice(doing, SLICE)?;
                if done {
                    asker.tell_report(id, json, super::messages::done_report(doing));
                }
                Ok(done)
            }
            Job::Tutor(tutoring) => Ok(self.tutor(tutoring, id, json, asker)),
            Job::Probe(probing) => self.await_probe(probing, (id, json), asker),
            // A console has the feed already, and narrows its own view.
            Job::Follow(following) if asker.is_watching() => {
                let items: Vec<FeedItem> = following.before.iter().flat_map(items_of).collect();
                let said = format!("{} lines from before, then live", items.len());
                asker.told.push_back(Told::Past { id, seq: following.reader.seq, items });
                let lines = vec![Printable::new(said)];
                asker.told.push_back(Told::Lines { id, lines });
                Ok(true)
            }
            Job::Follow(following) => {
                tell_before(&std::mem::take(&mut following.before), (id, json), asker);
                if let Some((items, dropped)) =
                    following.reader.read(&mut self.core.journal, asker.annotates, self.now)
                {
                    tell_followed(following, (id, json), asker, &items, dropped);
                }
                Ok(false)
            }
        }
    }

    /// The counters of the next messages of a walk; none when it is over.
    fn step(&self, walk: &mut Walk) -> Option<Vec<u64>> {
        let slice: Vec<u64> = self.core.queue.counters(walk.from).take(SLICE).collect();
        walk.from = slice.last()?.saturating_add(1);
        Some(slice)
    }

    fn list(&mut self, listing: &mut Listing, (id, json): (u64, bool), asker: &mut Asker) -> bool {
        let first = listing.walk.from == 0;
        let slice = self.step(&mut listing.walk);
        if json {
            let mut part = String::from(if first { "{\"messages\":[" } else { "" });
            for counter in slice.iter().flatten() {
                if let Some(message) = self.queued(*counter, listing.walk.filter.as_ref()) {
                    part.push_str(if listing.told > 0 { "," } else { "" });
                    part.push_str(&message.json(self.now).to_string());
                    listing.told += 1;
                }
            }
            part.push_str(if slice.is_none() { "]}" } else { "" });
            asker.told.push_back(Told::Json { id, part });
            return slice.is_none();
        }
        let mut lines = Vec::new();
        for counter in slice.iter().flatten() {
            if let Some(message) = self.queued(*counter, listing.walk.filter.as_ref()) {
                if listing.told == 0 {
                    lines.push(Printable::new(listed(&[
                        "ID",
                        "AGE",
                        "SIZE",
                        "STATE",
                        "TRIES",
                        "NEXT",
                        "FROM → TO",
                    ])));
                }
                lines.extend(message.lines(self.now).into_iter().map(Printable::from_shown));
                listing.told += 1;
            }
        }
        if slice.is_none() {
            lines.push(Printable::new(match listing.told {
                0 => "no messages".to_owned(),
                1 => "1 message".to_owned(),
                n => format!("{n} messages"),
            }));
        }
        if !lines.is_empty() {
            asker.told.push_back(Told::Lines { id, lines });
        }
        slice.is_none()
    }

    fn count_ages(&mut self, ages: &mut Ages) -> bool {
        let slice = self.step(&mut ages.walk);
        for counter in slice.iter().flatten() {
            let Some(message) = self.queued(*counter, ages.walk.filter.as_ref()) else { continue };
            let place = age_place(message.age(self.now));
            for next in message.next_servers() {
                ages.table.entry(next.to_owned()).or_default()[place] += 1;
            }
        }
        slice.is_none()
    }

    fn choose(&mut self, choosing: &mut Choosing) -> bool {
        let slice = self.step(&mut choosing.walk);
        for counter in slice.iter().flatten() {
            if self.queued(*counter, choosing.walk.filter.as_ref()).is_some() {
                choosing.chosen.push(*counter);
            }
        }
        slice.is_none()
    }
}

/// A job has brought an answer: it is told (true), or another job takes its place.
fn go_on(answer: Answer, job: &mut Job, (id, json): (u64, bool), asker: &mut Asker) -> bool {
    match answer {
        Answer::Done(report) => {
            asker.tell_report(id, json, report);
            true
        }
        Answer::Job(next) => {
            *job = next;
            false
        }
    }
}

/// What was said before becomes lines, or JSON values with the fields that items have.
fn tell_before(parts: &[Conversation], (id, json): (u64, bool), asker: &mut Asker) {
    for part in parts {
        if json {
            let value = |line: &Kept| {
                let value = json!({
                    "at_ms": line.at.as_micros().div_euclid(1000),
                    "delay_us": u64::try_from(line.delay.as_micros()).unwrap_or(u64::MAX),
                    "session": part.id.to_string(), "sign": line.sign, "mark": line.mark,
                    "what": line.subject.name(), "text": Printable::new(&line.text),
                });
                value.to_string() + "\n"
            };
            let part = part.lines.iter().map(value).collect();
            asker.told.push_back(Told::Json { id, part });
            continue;
        }
        let shown = |line: &Kept| {
            let (text, session) = (Printable::new(&line.text), Some(part.id));
            Printable::from_shown(render::line(
                line.at, line.delay, session, line.sign, line.mark, &text,
            ))
        };
        let lines = part.lines.iter().map(shown).collect();
        asker.told.push_back(Told::Lines { id, lines });
    }
}

/// The last lines of a conversation, as a console shows them.
fn items_of(part: &Conversation) -> impl Iterator<Item = FeedItem> {
    let lines = &part.lines[part.lines.len().saturating_sub(MAX_PAST)..];
    lines.iter().map(|line| FeedItem::of_kept(part.id, line))
}

/// Items become lines, or JSON values one after the other.
fn tell_followed(
    following: &Following,
    (id, json): (u64, bool),
    asker: &mut Asker,
    items: &[FeedItem],
    dropped: u64,
) {
    let holds = |item: &&FeedItem| match &following.what {
        Follow::All => true,
        Follow::Session(session) => item.session == Some(*session),
        Follow::Message(counter) => item.message.is_some_and(|m| m.counter == *counter),
        Follow::Where(expr) => item_holds(item, expr),
    };
    let shown = items.iter().filter(holds);
    if json {
        let parts = shown.filter_map(|item| serde_json::to_string(item).ok());
        let mut part: String = parts.map(|text| text + "\n").collect();
        if dropped > 0 {
            part.push_str(&format!("{}\n", json!({ "dropped": dropped })));
        }
        if !part.is_empty() {
            asker.told.push_back(Told::Json { id, part });
        }
        return;
    }
    let mut lines: Vec<Printable> = Vec::new();
    for item in shown {
        lines.push(Printable::from_shown(item.line()));
        if let Some(note) = &item.note {
            let mut rows = Vec::new();
            wrap(&mut rows, NOTE_INDENT, note.as_str());
            lines.extend(rows.into_iter().map(Printable::from_shown));
        }
    }
    if dropped > 0 {
        lines.push(Printable::new(format!("({dropped} lines were too many to be shown)")));
    }
    if !lines.is_empty() {
        asker.told.push_back(Told::Lines { id, lines });
    }
}

/// For answers that have no moment: JSON null.
pub(super) fn unix_or_null(time: Option<Time>, now: crate::base::Now) -> Value {
    time.map_or(Value::Null, |time| json!(super::server::unix(time, now)))
}
