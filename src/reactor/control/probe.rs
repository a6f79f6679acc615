//! `next probe`: the rungs of a probe, with their times, and what would mend the one that fails.

use std::time::Duration;

use serde_json::{Value, json};

use super::jobs::Job;
use super::{Asker, Refusal};
use crate::base::{Address, Leg, Printable, Report, SessionId, Time};
use crate::journal::{Journal, Line, Rung, Side, Sign, rungs};
use crate::queue::ServerId;
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::reactor::probe::until;
use crate::spool::Disk;

/// Ended sessions in which an earlier EHLO is looked for.
const LOOK_BACK: usize = 256;

/// A probe that somebody waits for.
pub struct Probing {
    server: ServerId,
    name: String,
    from: Option<Address>,
    rcpt: Address,
    /// When it began.
    begun: Time,
    stage: Stage,
    /// The looking up of its name, if that was to be done.
    dns: Option<Rung>,
    /// What EHLO brought the last time, if that is still known.
    before: Option<Vec<String>>,
    until: Time,
}

/// How far a probe is.
#[derive(Clone, Copy)]
enum Stage {
    /// Nothing was done for it yet.
    New,
    /// Its name is being looked up.
    Naming,
    /// Its session goes on, or has ended.
    Session(SessionId),
}

/// The rungs in their order, each with what an administrator looks at when it fails. The settings
/// are told by the names that they have in the section of that server.
const RUNGS: [(&str, &str); 8] = [
    ("dns", "is next_server.host right, and dns.servers?"),
    ("tcp", "next_server.host and next_server.port; a firewall may stand between"),
    (
        "greeting",
        "its words, where it does not want this client; where it says nothing, next_server.port \
         may be another server's, or wait for TLS (next_server.tls = implicit)",
    ),
    ("tls", "next_server.tls, next_server.verify, next_server.ca_file"),
    ("ehlo", "server.hostname is the name that it is told"),
    (
        "auth",
        "next_server.user, next_server.auth, and the password: next_server.password, \
         password_file or password_command",
    ),
    ("mail", "the sender: it may want AUTH, or another one (next_server.rewrite_sender)"),
    ("rcpt", "the recipient: it may not relay for this client without AUTH (next_server.user)"),
];

impl<N: Net, D: Disk> Reactor<N, D> {
    /// `next probe NAME [from=A] [rcpt=B]`
    pub(super) fn begin_probe(
        &mut self,
        name: &str,
        from: Option<Address>,
        rcpt: Option<Address>,
    ) -> Result<super::Answer, Refusal> {
        let server = self.server_named(name)?;
        let postmaster = || Address::parse("postmaster").map_err(|_| Refusal::new("no recipient"));
        let rcpt = rcpt.map_or_else(postmaster, Ok)?;
        let before = last_ehlo(&self.core.journal, name);
        Ok(super::Answer::Job(Job::Probe(Probing {
            server,
            name: name.to_owned(),
            from,
            rcpt,
            begun: self.now.time,
            stage: Stage::New,
            dns: None,
            before,
            until: until(self.now),
        })))
    }

    /// Whether a probe is over; then its report is told.
    pub(super) fn await_probe(
        &mut self,
        probing: &mut Probing,
        (id, json): (u64, bool),
        asker: &mut Asker,
    ) -> Result<bool, Refusal> {
        let late = self.now.time >= probing.until;
        let ended = match probing.stage {
            Stage::New | Stage::Naming => self.begin_session(probing),
            Stage::Session(id) => self.take_probed(id).map(|probed| probed.why),
        };
        let why = ended.or_else(|| late.then(|| "no answer in 2 minutes".to_owned()));
        let Some(why) = why else { return Ok(false) };
        let lines = match probing.stage {
            Stage::Session(id) => self.core.journal.transcript(id).map(|(lines, _)| lines),
            Stage::New | Stage::Naming => None,
        };
        let mut found: Vec<Rung> = probing.dns.iter().cloned().collect();
        found.extend(rungs(lines.as_deref().unwrap_or_default()));
        let ehlo = lines.as_deref().map(ehlo_lines).unwrap_or_default();
        let section = self.core.server(probing.server).section();
        let mut report = report((&probing.name, &section), found, &why, &ehlo);
        if let Some(before) = &probing.before {
            tell_difference(&mut report, before, &ehlo);
        }
        let failed = report.json["failed"].as_str().map(str::to_owned);
        asker.tell_report(id, json, report);
        match failed {
            None => Ok(true),
            Some(failed) => Err(Refusal::new(format!("{}: {failed} failed", probing.name))),
        }
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// Begins the session of a probe once its name is known; gives why it cannot be begun.
    fn begin_session(&mut self, probing: &mut Probing) -> Option<String> {
        match self.probe(probing.server, probing.from.as_ref(), &probing.rcpt) {
            Ok(None) => {
                probing.stage = Stage::Naming;
                None
            }
            Ok(Some((id, places))) => {
                probing.stage = Stage::Session(id);
                let host = &self.core.server(probing.server).host;
                if host.parse::<std::net::IpAddr>().is_err() {
                    let text = Printable::new(format!("{host} is at {places}"));
                    let took = self.now.time.since(probing.begun);
                    probing.dns = Some(Rung { name: "dns", good: true, took, text });
                }
                None
            }
            Err(why) => Some(why),
        }
    }
}

impl Probing {
    /// There is a session to wait for, or a name.
    pub(super) fn waits(&self) -> bool {
        !matches!(self.stage, Stage::New)
    }

    /// When it is looked at, whatever happens.
    pub(super) fn until(&self) -> Time {
        self.until
    }
}

/// The report: a line for each rung that was reached, and a hint at the one that failed. `why` is
/// how the session ended, `ehlo` what the server offers.
fn report(
    (name, section): (&str, &str),
    mut found: Vec<Rung>,
    why: &str,
    ehlo: &[String],
) -> Report {
    let complete = found.iter().any(|rung| rung.name == "rcpt" && rung.good);
    let mut failed = found.iter().find(|rung| !rung.good).map(|rung| rung.name);
    let ended_at = (!complete && failed.is_none()).then(|| {
        // It ended before the next rung said anything.
        let good = found.iter().filter(|rung| rung.good);
        next_rung(good.filter_map(|rung| place(rung.name)).max(), why)
    });
    // What had begun well did not end well.
    found.retain(|rung| Some(rung.name) != ended_at);
    let mut lines = vec![format!("probe of {}", Printable::bounded(name, 80))];
    let mut rows: Vec<Value> = Vec::new();
    for rung in &found {
        let sign = if rung.good { "ok  " } else { "FAIL" };
        let took = rung.took.as_secs_f64() * 1000.0;
        lines.push(format!("{sign} {:<9} {took:>9.1} ms  {}", rung.name, rung.text));
        rows.push(json!({
            "step": rung.name, "ok": rung.good, "ms": took, "text": rung.text,
        }));
    }
    let why = Printable::new(why);
    if let Some(rung) = ended_at {
        lines.push(format!("FAIL {rung:<9} {:>9}     {why}", ""));
        rows.push(json!({ "step": rung, "ok": false, "ms": null, "text": why }));
        failed = Some(rung);
    }
    if !ehlo.is_empty() {
        lines.push(format!("it offers: {}", ehlo.join(", ")));
    }
    let hint = failed.and_then(|failed| RUNGS.iter().find(|(name, _)| *name == failed));
    let hint = hint.map(|(_, hint)| hint.replace("next_server.", &format!("{section}.")));
    match &hint {
        Some(hint) => {
            // The server's own words stand above; ours may say more, and name the setting.
            if ended_at.is_none() && why.as_str() != "closed" {
                lines.push(format!("so: {why}"));
            }
            lines.push(format!("look at: {hint}"));
        }
        None => lines.push("mail would be taken; none was sent".to_owned()),
    }
    let json = json!({
        "name": name, "ok": complete && failed.is_none(), "steps": rows, "failed": failed,
        "hint": hint, "why": why, "ehlo": ehlo,
    });
    Report { json, lines }
}

fn place(name: &str) -> Option<usize> {
    RUNGS.iter().position(|(rung, _)| *rung == name)
}

/// The rung at which a session ended that said no more. TLS and AUTH are not always climbed: that
/// they were at fault, the words tell.
fn next_rung(reached: Option<usize>, why: &str) -> &'static str {
    let Some(reached) = reached else {
        return if why.contains("cannot connect") { "tcp" } else { "dns" };
    };
    let lower = why.to_ascii_lowercase();
    for (name, words) in [("tls", ["tls", "certificate"]), ("auth", ["auth", "password"])] {
        let behind = place(name).is_some_and(|at| at + 1 >= reached);
        if behind && words.iter().any(|word| lower.contains(word)) {
            return name;
        }
    }
    let next = RUNGS[(reached + 1)..].iter().find(|(name, _)| !matches!(*name, "tls" | "auth"));
    next.map_or("rcpt", |(name, _)| name)
}

/// The lines of the last EHLO reply.
fn ehlo_lines(lines: &[Line<'_>]) -> Vec<String> {
    let is_ehlo = |line: &Line<'_>| line.text.to_ascii_uppercase().starts_with(b"EHLO ");
    let Some(at) = lines.iter().rposition(is_ehlo) else { return Vec::new() };
    let said = lines[at + 1..].iter().take_while(|line| {
        matches!(line.sign, Sign::Said { side: Side::Server, .. }) && line.text.starts_with(b"250")
    });
    // The first line is the server's name.
    let offered = said.skip(1).filter_map(|line| line.text.get(4..));
    offered.map(|text| Printable::new(text).into_string()).collect()
}

/// What EHLO brought in the last session with a next server.
fn last_ehlo(journal: &Journal, name: &str) -> Option<Vec<String>> {
    let ended = journal.sessions().ended().take(LOOK_BACK);
    let mut with = ended
        .filter(|(id, record)| id.leg == Leg::Out && record.next.as_deref() == Some(name))
        .filter_map(|(id, _)| journal.transcript(id))
        .map(|(lines, _)| ehlo_lines(&lines));
    with.find(|lines| !lines.is_empty())
}

fn tell_difference(report: &mut Report, before: &[String], now: &[String]) {
    let new: Vec<&String> = now.iter().filter(|line| !before.contains(line)).collect();
    let gone: Vec<&String> = before.iter().filter(|line| !now.contains(line)).collect();
    report.json["ehlo_new"] = json!(new);
    report.json["ehlo_gone"] = json!(gone);
    if now.is_empty() {
        return;
    }
    for (what, lines) in [("offers anew", &new), ("no longer offers", &gone)] {
        if !lines.is_empty() {
            let list: Vec<&str> = lines.iter().map(|line| line.as_str()).collect();
            report.lines.push(format!("since the last session it {what}: {}", list.join(", ")));
        }
    }
}

/// How long probes are waited for between two looks.
pub(super) const LOOK: Duration = Duration::from_millis(100);
