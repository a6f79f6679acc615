//! `next`, `flush`, `trace`, `check`, `quit`: the server itself and its next servers.

use serde_json::{Value, json};

use super::Refusal;
use crate::base::{Now, Printable, Time, nearest, show_duration};
use crate::control::NextCommand;
use crate::journal::{Report, render};
use crate::queue::{ServerId, ServerState, ServerView};
use crate::reactor::Reactor;
use crate::reactor::net::Net;
use crate::reactor::tick::Life;
use crate::spool::Disk;

/// An answer that says only that something was done.
pub(super) fn done(what: impl Into<String>) -> Report {
    let what = what.into();
    Report { json: json!({ "done": what }), lines: vec![what] }
}

/// A time of the loop as Unix seconds.
pub(super) fn unix(time: Time, now: Now) -> i64 {
    now.wall.after(time.since(now.time)).as_micros().div_euclid(1_000_000)
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// `next list|pause|resume NAME`
    pub(super) fn next_command(&mut self, command: NextCommand) -> Result<Report, Refusal> {
        let now = self.now;
        match command {
            NextCommand::List => Ok(self.next_list()),
            // A job: see `probe`.
            NextCommand::Probe { .. } => Err(Refusal::new("a probe is not answered at once")),
            NextCommand::Pause(name) => {
                let id = self.server_named(&name)?;
                self.core.queue.pause_server(id, now);
                self.core.choose_anew();
                let told = format!("{name}: paused; 'next resume {name}' lets mail go there again");
                Ok(done(told))
            }
            NextCommand::Resume(name) => {
                let id = self.server_named(&name)?;
                self.core.queue.resume_server(id, now);
                self.core.choose_anew();
                Ok(done(format!("{name}: takes mail again")))
            }
        }
    }

    pub(super) fn server_named(&self, name: &str) -> Result<ServerId, Refusal> {
        let mut all = self.core.queue.servers(self.now);
        if let Some(server) = all.find(|server| server.name == name) {
            return Ok(server.id);
        }
        let names: Vec<&str> = self.core.queue.servers(self.now).map(|s| s.name).collect();
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("there are {}", names.join(", ")),
        };
        let name = Printable::bounded(name, 80);
        Err(Refusal::new(format!("no next server is named '{name}'; {hint}")))
    }

    fn next_list(&self) -> Report {
        let mut rows: Vec<Value> = Vec::new();
        let mut lines = vec![format!(
            "{:<16} {:<10} {:>5} {:>5} {:>7}  WHERE",
            "NAME", "STATE", "OPEN", "DUE", "WAITING"
        )];
        for view in self.core.queue.servers(self.now) {
            let open = self.next.open.get(usize::from(view.id.0)).map_or(0, Vec::len);
            let settings = self.core.server(view.id);
            let place = format!("{}:{}", Printable::new(&settings.host), settings.port);
            let (state, until) = state_of(&view);
            lines.push(format!(
                "{:<16} {state:<10} {open:>5} {:>5} {:>7}  {place}",
                Printable::bounded(view.name, 60).as_str(),
                view.due,
                view.waiting
            ));
            let fault = view.fault.map(|reply| Printable::new(render::reply_line(reply)));
            if let Some(fault) = &fault {
                lines.push(format!("                 {fault}"));
            }
            if let Some(until) = until {
                let wait = super::sessions::whole_seconds(until.since(self.now.time));
                lines.push(format!("                 tried again in {}", show_duration(wait)));
            }
            rows.push(json!({
                "name": view.name, "host": settings.host, "port": settings.port, "state": state,
                "since": self.now.wall.as_micros().div_euclid(1_000_000)
                    - self.now.time.since(view.since).as_secs() as i64,
                "until": until.map(|until| unix(until, self.now)),
                "connections": open, "due": view.due, "carried": view.carried,
                "waiting": view.waiting, "last_reply": fault,
            }));
        }
        Report { json: json!({ "next_servers": rows }), lines }
    }

    /// `flush`
    pub(super) fn flush_queue(&mut self) -> Report {
        self.core.queue.flush(self.now);
        let messages = self.core.queue.counts().messages;
        done(match messages {
            0 => "no messages".to_owned(),
            1 => "the message in the queue is due now, unless it is held".to_owned(),
            _ => format!("all {messages} messages are due now, but for those that are held"),
        })
    }

    /// `trace on|off WHAT`
    pub(super) fn trace(&mut self, on: bool, what: &'static str) -> Result<Report, Refusal> {
        self.traces.retain(|traced| *traced != what);
        if on {
            self.traces.push(what);
        }
        self.set_logger();
        let state = if on { "written to the log" } else { "no longer written to the log" };
        Ok(done(format!("{what}: each line is {state}")))
    }

    /// The logger as the settings and `trace` want it.
    pub(super) fn set_logger(&self) {
        let mut log = self.core.config.log.clone();
        for traced in &self.traces {
            for target in targets(traced) {
                log.level.push_str(&format!(",{target}=trace"));
            }
        }
        crate::logger::set(&log);
    }

    /// `quit [now]`
    pub(super) fn quit(&mut self, at_once: bool) -> Report {
        if at_once {
            self.life = Life::Over;
            return done("ending at once");
        }
        if self.life == Life::Running {
            self.begin_shutdown();
        }
        let (inbound, outbound) = self.sessions_now();
        done(format!(
            "ending: {inbound} inbound and {outbound} outbound sessions have 10 s to finish"
        ))
    }

    /// Whether a console runs in this process.
    pub(super) fn has_console(&self) -> bool {
        self.local.is_there()
    }
}

/// The log's targets that tell of what is traced.
fn targets(traced: &str) -> &'static [&'static str] {
    match traced {
        "smtp" => &["smtp", "next_server"],
        "tls" => &["tls"],
        "dns" => &["dns"],
        _ => &["queue"],
    }
}

pub(super) fn state_of(view: &ServerView<'_>) -> (&'static str, Option<Time>) {
    match view.state {
        ServerState::Ready { .. } => ("ready", None),
        ServerState::BackingOff { until } => ("backing off", Some(until)),
        ServerState::Probing => ("probing", None),
        ServerState::Paused => ("paused", None),
        ServerState::Gone => ("gone", None),
    }
}
