//! `sessions last=T` and `analyse`: what is read out of the past, a slice a tick.

use std::time::Duration;

use serde_json::json;

use super::{Answer, Job};
use crate::base::{Report, Wall};
use crate::journal::{Analysis, Analyst, Summaries, Table};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::reactor::past::{Past, Since};
use crate::spool::Disk;

/// Sessions and messages that were begun so long before the time in question are known, too.
pub(super) const LEAD: Duration = Duration::from_secs(600);

/// `sessions last=T` under way.
pub struct Recalling {
    past: Past,
    from: Wall,
    summaries: Summaries,
}

/// `analyse` under way.
pub struct Analysing {
    past: Past,
    analyst: Box<Analyst>,
    what: Analysis,
}

impl<N: Net, D: Disk> Reactor<N, D> {
    pub(super) fn recall_since(&mut self, from: Wall) -> Job {
        let past = self.look_back(Since::At(from.before(LEAD)));
        Job::Sessions(Box::new(Recalling { past, from, summaries: Summaries::default() }))
    }

    /// Does a slice; the report when that was the last.
    pub(super) fn recall(&mut self, recalling: &mut Recalling) -> Option<Report> {
        let Recalling { past, from, summaries } = recalling;
        if self.core.look(past, |entry| summaries.hear(&entry, *from)) {
            return None;
        }
        let ended = std::mem::take(summaries).ended();
        Some(self.sessions_report(&ended))
    }

    /// `analyse WHAT [last=T]`: of the last so long what is recorded, else what was counted since
    /// the start, where that is counted.
    pub(super) fn analyse(&mut self, what: Analysis, last: Option<Duration>) -> Answer {
        // In memory there may be less than the last so long; counters know it all.
        let recorded = last.filter(|_| self.core.history.is_on());
        if recorded.is_none() {
            if let Some(report) = self.counted(what, last) {
                return report.into();
            }
        }
        let from = last.map_or(Wall::default(), |last| self.now.wall.before(last));
        let past = self.look_back(Since::At(from.before(LEAD)));
        let analyst = Box::new(Analyst::new(from));
        Answer::Job(Job::Analyse(Box::new(Analysing { past, analyst, what })))
    }

    /// Does a slice; the report when that was the last.
    pub(super) fn analyse_slice(&mut self, analysing: &mut Analysing) -> Option<Report> {
        let Analysing { past, analyst, what } = analysing;
        if self.core.look(past, |entry| analyst.hear(&entry)) {
            return None;
        }
        Some(analyst.report(*what))
    }

    /// What the counters say, where they say something.
    fn counted(&mut self, what: Analysis, last: Option<Duration>) -> Option<Report> {
        let (journal, now) = (&mut self.core.journal, self.now);
        Some(match what {
            Analysis::Latency => journal.report_latency(last, now),
            Analysis::Sizes => journal.report_sizes(last, now),
            Analysis::Senders => journal.report_ranking(Table::Senders, last, now),
            Analysis::Recipients => journal.report_ranking(Table::Recipients, last, now),
            Analysis::Clients => journal.report_ranking(Table::Clients, last, now),
            Analysis::Codes => {
                let own = journal.report_ranking(Table::Replies, last, now);
                let next = journal.report_ranking(Table::NextReplies, last, now);
                let mut lines = vec!["replies to clients".to_owned()];
                lines.extend(own.lines);
                lines.extend([String::new(), "replies of next servers".to_owned()]);
                lines.extend(next.lines);
                let json = json!({ "rows": own.json["rows"], "next": next.json["rows"] });
                Report { json, lines }
            }
            Analysis::Retries | Analysis::Busiest | Analysis::Tls | Analysis::Pairs => {
                return None;
            }
        })
    }
}
