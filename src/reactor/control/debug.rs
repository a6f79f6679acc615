//! `break`, `step`, `go`, `reply`, `drop`, `delay`: sessions are held and let go. `fault`: things
//! go wrong on purpose.

use serde_json::{Value, json};

use super::Refusal;
use super::server::done;
use crate::base::{Printable, SessionId, Time, show_duration};
use crate::control::{BreakCommand, FaultCommand};
use crate::journal::{Level, Report};
use crate::reactor::Reactor;
use crate::reactor::hold::{Held, Release};
use crate::reactor::net::{Net, Token};
use crate::reactor::slots::Slot;
use crate::rules::{Active, Breakpoint, Place};
use crate::spool::Disk;

impl<N: Net, D: Disk> Reactor<N, D> {
    /// `fault add|list|delete`
    pub(super) fn faults(&mut self, command: FaultCommand) -> Result<Report, Refusal> {
        let now = self.now;
        match command {
            FaultCommand::Add { name, fault } => {
                let words = fault.to_string();
                let added = self.core.debug.faults.add(name.as_deref(), *fault, false, now.time);
                let name = added.map_err(Refusal::new)?;
                let text = format!("fault {name} is on: {words}");
                self.core.say(now, Level::Warn, &text);
                Ok(Report { json: json!({ "name": name, "done": text }), lines: vec![text] })
            }
            FaultCommand::List => Ok(self.list_faults()),
            FaultCommand::Delete(name) => {
                let gone = self.core.debug.faults.remove(&name).map_err(Refusal::new)?;
                let text = match gone.len() {
                    0 => "there is no fault".to_owned(),
                    _ => format!("{} deleted", gone.join(", ")),
                };
                if !gone.is_empty() {
                    self.core.say(now, Level::Info, &format!("fault {text}"));
                }
                Ok(Report { json: json!({ "deleted": gone }), lines: vec![text] })
            }
        }
    }

    fn list_faults(&self) -> Report {
        let mut lines = Vec::new();
        let mut rows: Vec<Value> = Vec::new();
        for (name, rule) in self.core.debug.faults.iter() {
            lines.push(self.fault_line(name, rule));
            rows.push(self.fault_json(name, rule));
        }
        if lines.is_empty() {
            lines.push(
                "no faults; 'fault add rcpt reply=\"451 try later\" count=2' adds one".into(),
            );
        }
        Report { json: json!({ "faults": rows }), lines }
    }

    fn fault_line(&self, name: &str, rule: &Active) -> String {
        let mut left = Vec::new();
        left.extend(rule.left().map(|left| format!("{left} more")));
        if rule.until < Time::NEVER {
            let wait = super::sessions::whole_seconds(rule.until.since(self.now.time));
            left.push(format!("for {}", show_duration(wait)));
        }
        let left = if left.is_empty() { "until deleted".to_owned() } else { left.join(", ") };
        let seed =
            if rule.fault.has_dice() { format!("  seed={}", rule.seed) } else { String::new() };
        format!("{name:<8} struck {:>5}, {left}{seed}  {}", rule.hits, rule.fault)
    }

    fn fault_json(&self, name: &str, rule: &Active) -> Value {
        let (fault, effect) = (&rule.fault, &rule.fault.effect);
        let reply = effect.reply.as_ref().map(|reply| Printable::new(reply.on_one_line()));
        let until = (rule.until < Time::NEVER).then_some(rule.until);
        let no = (!effect.no.is_empty()).then(|| effect.no.to_string());
        json!({
            "name": name, "stage": fault.at.name(), "leg": fault.leg.map(Place::name),
            "reply": reply, "delay_s": effect.delay.map(|delay| delay.as_secs_f64()),
            "rate": effect.rate, "cut": effect.cut, "no": no,
            "odds_percent": fault.odds_percent(), "seed": rule.seed, "hits": rule.hits,
            "left": rule.left(), "until": super::jobs::unix_or_null(until, self.now),
            "where": fault.filter.as_ref().map(|filter| Printable::new(filter.source())),
            "configured": rule.configured,
        })
    }

    /// `break add|list|delete`
    pub(super) fn breakpoints(&mut self, command: BreakCommand) -> Result<Report, Refusal> {
        let all = &mut self.core.debug.breakpoints;
        match command {
            BreakCommand::Add { name, breakpoint } => {
                let words = words_of(&breakpoint);
                let name = all.insert(name.as_deref(), breakpoint).map_err(Refusal::new)?;
                let text = format!("{name}: sessions are held at {words}");
                Ok(Report { json: json!({ "name": name, "done": text }), lines: vec![text] })
            }
            BreakCommand::List => Ok(self.list_breakpoints()),
            BreakCommand::Delete(name) => {
                let gone = all.remove(&name).map_err(Refusal::new)?;
                let text = match gone.len() {
                    0 => "there is no breakpoint".to_owned(),
                    _ => format!("{} deleted", gone.join(", ")),
                };
                let mut lines = vec![text];
                if self.core.debug.held > 0 {
                    let held = self.core.debug.held;
                    lines.push(format!("{held} held all the same: 'go all' lets them go"));
                }
                Ok(Report { json: json!({ "deleted": gone }), lines })
            }
        }
    }

    fn list_breakpoints(&self) -> Report {
        let mut lines = Vec::new();
        let mut rows: Vec<Value> = Vec::new();
        for (name, breakpoint) in self.core.debug.breakpoints.iter() {
            let hits = breakpoint.hits;
            lines.push(format!("{name:<8} held {hits:>5}  at {}", words_of(breakpoint)));
            rows.push(json!({
                "name": name, "stage": breakpoint.at.name(),
                "leg": breakpoint.leg.map(Place::name), "hits": hits,
                "where": breakpoint.filter.as_ref().map(|filter| Printable::new(filter.source())),
            }));
        }
        if lines.is_empty() {
            lines.push("no breakpoints; 'break add at rcpt' adds one".into());
        }
        let mut held: Vec<(SessionId, &Held)> = self.slots.iter().filter_map(held_of).collect();
        held.sort_by_key(|(_, held)| held.since);
        let json: Vec<Value> = held.iter().map(|(id, held)| self.held_json(*id, held)).collect();
        lines.extend(held.iter().map(|(id, held)| self.held_line(*id, held)));
        Report { json: json!({ "breakpoints": rows, "held": json }), lines }
    }

    fn held_line(&self, id: SessionId, held: &Held) -> String {
        let now = self.now.time;
        let whole = super::sessions::whole_seconds;
        format!(
            "||| {id:<4} held at {} by {} for {}, {} left of the {} that the other side waits: {}",
            held.stage.name(),
            held.by,
            show_duration(whole(now.since(held.since))),
            show_duration(whole(held.until.since(now))),
            show_duration(held.patience),
            held.about,
        )
    }

    fn held_json(&self, id: SessionId, held: &Held) -> Value {
        let now = self.now.time;
        json!({
            "session": id.to_string(), "stage": held.stage.name(), "by": held.by,
            "about": held.about, "held_s": now.since(held.since).as_secs(),
            "left_s": held.until.since(now).as_secs(), "peer_waits_s": held.patience.as_secs(),
        })
    }

    /// The slot of a live session.
    fn token_of(&mut self, id: SessionId) -> Option<Token> {
        self.slots.tokens().into_iter().find(|token| match self.slots.get_mut(*token) {
            Some(Slot::Inbound(c)) => c.id == id,
            Some(Slot::Outbound(c)) => c.id == id,
            _ => false,
        })
    }

    fn live(&mut self, id: SessionId) -> Result<Token, Refusal> {
        let unknown =
            || Refusal::new(format!("session {id} is not live; 'sessions' lists those that are"));
        self.token_of(id).ok_or_else(unknown)
    }

    /// Lets a held session go on in one way or another.
    pub(super) fn release(&mut self, id: SessionId, release: &Release) -> Result<Report, Refusal> {
        let token = self.live(id)?;
        let (core, now) = (&mut self.core, self.now);
        let told = match self.slots.get_mut(token) {
            Some(Slot::Inbound(c)) => c.let_go(core, release, now),
            Some(Slot::Outbound(c)) => c.let_go(core, release, now),
            _ => Ok(()),
        };
        told.map_err(Refusal::new)?;
        self.make_runnable(token);
        Ok(done(match release {
            Release::Step => format!("{id} goes on to its next stage"),
            Release::Reply(_) => format!("{id} gets this reply"),
            Release::Drop => format!("{id} is dropped"),
            _ => format!("{id} goes on"),
        }))
    }

    /// `go all`
    pub(super) fn release_all(&mut self) -> Report {
        let held: Vec<SessionId> =
            self.slots.iter().filter_map(held_of).map(|(id, _)| id).collect();
        for id in &held {
            // It was held a moment ago.
            let _ = self.release(*id, &Release::Go);
        }
        let ids: Vec<String> = held.iter().map(SessionId::to_string).collect();
        let text = match ids.len() {
            0 => "no session is held".to_owned(),
            1 => format!("{} goes on", ids[0]),
            _ => format!("{} go on", ids.join(", ")),
        };
        Report { json: json!({ "released": ids }), lines: vec![text] }
    }

    /// `step ID`: a session that is not held yet will be, at its next stage.
    pub(super) fn step_session(&mut self, id: SessionId) -> Result<Report, Refusal> {
        let token = self.live(id)?;
        let watched = match self.slots.get_mut(token) {
            Some(Slot::Inbound(c)) if c.held().is_none() => c.watch(),
            Some(Slot::Outbound(c)) if c.held().is_none() => c.watch(),
            _ => return self.release(id, &Release::Step),
        };
        watched.steps = true;
        Ok(done(format!("{id} is held at its next stage")))
    }

    /// `delay ID T`
    pub(super) fn delay_session(
        &mut self,
        id: SessionId,
        wait: std::time::Duration,
    ) -> Result<Report, Refusal> {
        let token = self.live(id)?;
        let now = self.now;
        let held = match self.slots.get_mut(token) {
            Some(Slot::Inbound(c)) => c.watched.as_mut().and_then(|w| w.held.as_mut()),
            Some(Slot::Outbound(c)) => c.watched.as_mut().and_then(|w| w.held.as_mut()),
            _ => None,
        };
        let held = held.ok_or_else(|| Refusal::new(format!("{id} is not held")))?;
        let left = held.last_until().since(now.time);
        if wait > left {
            let left = show_duration(super::sessions::whole_seconds(left));
            let words = "that is longer than the other side can be kept waiting";
            return Err(Refusal::new(format!("{words}: {left} are left")));
        }
        held.until = now.time.after(wait);
        let words = format!("goes on in {}", show_duration(wait));
        self.core.note(now, Some(id), None, crate::journal::What::Held(&words));
        // Its turn sets the timer.
        self.make_runnable(token);
        Ok(done(format!("{id} {words}")))
    }
}

/// A slot's session, if it is held.
pub(super) fn held_of<N: Net, F>(slot: &Slot<N, F>) -> Option<(SessionId, &Held)> {
    match slot {
        Slot::Inbound(c) => Some((c.id, c.held()?)),
        Slot::Outbound(c) => Some((c.id, c.held()?)),
        _ => None,
    }
}

/// A breakpoint as one would write it.
fn words_of(breakpoint: &Breakpoint) -> String {
    let leg = breakpoint.leg.map_or(String::new(), |leg| format!(" leg={}", leg.name()));
    let filter = breakpoint.filter.as_ref();
    let filter = filter.map_or(String::new(), |f| format!(" where {}", Printable::new(f.source())));
    format!("{}{leg}{filter}", breakpoint.at)
}
