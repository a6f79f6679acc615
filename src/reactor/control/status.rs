//! `status`, `stats`, `analyse`, `help`: what is known, told.

use std::time::Duration;

use serde_json::{Value, json};

use super::watch::ms;
use crate::base::{count_of, show_duration};
use crate::control::{VERBS, find};
use crate::journal::{Counter, Measure, Report, Window};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::spool::Disk;

impl<N: Net, D: Disk> Reactor<N, D> {
    /// `status`
    pub(super) fn status(&mut self) -> Report {
        let (now, counts) = (self.now, self.core.queue.counts());
        let (inbound, outbound) = self.sessions_now();
        let console = self.has_console();
        let stats = self.core.journal.stats(now);
        let count = |counter| stats.counter(counter, Window::Start);
        let longest = |measure| ms(stats.percentiles(measure, Window::Start).max);
        let json = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "uptime_s": now.time.as_micros() / 1_000_000,
            "console": console,
            "inbound": inbound,
            "outbound": outbound,
            "held_sessions": self.core.debug.held,
            "breakpoints": self.core.debug.breakpoints.len(),
            "faults": self.core.debug.faults.len(),
            "queue": counts.messages,
            "deferred": counts.deferred,
            "held": counts.held,
            "accepted": count(Counter::Accepted),
            "delivered": count(Counter::Delivered),
            "bounced": count(Counter::Bounced),
            "rejected": count(Counter::Rejected),
            "bytes_in": count(Counter::BytesIn),
            "bytes_out": count(Counter::BytesOut),
            "last_tick_ms": stats.last_tick().as_secs_f64() * 1000.0,
            "max_tick_ms": longest(Measure::Tick),
            "max_sync_ms": longest(Measure::Sync),
        });
        let uptime = show_duration(Duration::from_secs(now.time.as_micros() / 1_000_000));
        let figure = |name: &str| json[name].to_string();
        let mut lines = vec![
            format!("mailflux {}  pid {}  up {uptime}", env!("CARGO_PKG_VERSION"), figure("pid")),
            format!("sessions   {} inbound, {} outbound", figure("inbound"), figure("outbound")),
            format!(
                "queue      {}, {} deferred, {} held",
                count_of(counts.messages, "message"),
                figure("deferred"),
                figure("held")
            ),
            format!(
                "counted    {} accepted, {} delivered, {} bounced, {} rejected",
                figure("accepted"),
                figure("delivered"),
                figure("bounced"),
                figure("rejected")
            ),
            format!("octets     {} in, {} out", figure("bytes_in"), figure("bytes_out")),
            format!(
                "loop       last tick {:.3} ms, longest {:.3} ms, longest fsync {:.3} ms",
                json["last_tick_ms"].as_f64().unwrap_or(0.0),
                json["max_tick_ms"].as_f64().unwrap_or(0.0),
                json["max_sync_ms"].as_f64().unwrap_or(0.0)
            ),
        ];
        lines.extend(self.debug_line());
        Report { json, lines }
    }

    /// That somebody debugs: never on by accident.
    fn debug_line(&self) -> Option<String> {
        let debug = &self.core.debug;
        let counts = [
            (debug.faults.len(), "FAULTS"),
            (debug.breakpoints.len(), "breakpoints"),
            (debug.held, "HELD sessions"),
        ];
        let there = counts.into_iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = there.map(|(count, name)| format!("{count} {name}")).collect();
        (!words.is_empty()).then(|| format!("debugging  {}", words.join(", ")))
    }

    /// `stats [reset]`
    pub(super) fn stats(&mut self, reset: bool) -> Report {
        if reset {
            self.core.journal.reset_stats(self.now);
            return super::server::done("counting from zero on");
        }
        self.core.journal.report(self.now)
    }
}

/// The verbs by what they are about: so `help` fits on a small screen.
const SUBJECTS: [(&str, &[&str]); 8] = [
    ("server", &["help", "status", "stats", "config", "log", "trace", "quit"]),
    ("sessions", &["sessions", "session", "follow", "mark", "pause", "resume"]),
    (
        "queue",
        &["queue", "show", "hold", "release", "retry", "bounce", "delete", "flush", "confirm"],
    ),
    ("next servers", &["next", "resend"]),
    ("rules", &["filter", "check"]),
    ("debugger", &["break", "step", "go", "reply", "drop", "delay", "fault"]),
    ("recordings", &["analyse", "report", "export", "replay"]),
    ("learning", &["explain", "annotate", "tutor"]),
];

/// `help [VERB]`
pub(super) fn help(verb: Option<&str>) -> Report {
    let shown = VERBS.iter().filter(|v| verb.is_none_or(|name| v.name == name));
    let rows: Vec<Value> =
        shown.map(|v| json!({ "verb": v.name, "usage": v.usage, "help": v.help })).collect();
    let lines = match verb.and_then(find) {
        Some(verb) => vec![verb.usage.to_owned(), format!("    {}", verb.help)],
        None => {
            let line =
                |(subject, verbs): &(&str, &[&str])| format!("{subject:<13}{}", verbs.join("  "));
            let mut lines: Vec<String> = SUBJECTS.iter().map(line).collect();
            lines.push("'help VERB' says what one does, and its form. Tab completes, and".into());
            lines.push("verbs may be shortened. 'explain WORD' knows all words of SMTP.".into());
            lines
        }
    };
    Report { json: json!({ "verbs": rows }), lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_has_each_verb_once_and_fits_on_a_small_screen() {
        let mut told: Vec<&str> =
            SUBJECTS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        let mut verbs: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
        told.sort_unstable();
        verbs.sort_unstable();
        assert_eq!(told, verbs);
        let lines = help(None).lines;
        assert!(lines.len() < 16 && lines.iter().all(|line| line.len() < 80), "{lines:#?}");
        assert!(help(Some("queue")).lines.len() == 2);
    }
}
