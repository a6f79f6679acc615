//! `resend` and `replay`: a server that is named by address, spoken to once, outside all routes.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::jobs::Job;
use super::messages::unknown_message;
use super::{Answer, Asker, Refusal};
use crate::auth::Secret;
use crate::auth::client::Credentials;
use crate::base::{Printable, Report, SessionId, Time, count_of};
use crate::config::first_line;
use crate::control::{Command, Pace, Replay, ReplaySession, ReplayTls};
use crate::journal::render;
use crate::queue::ServerId;
use crate::reactor::Reactor;
use crate::reactor::net::{Net, Token};
use crate::reactor::probe::{Probed, until};
use crate::reactor::ways::Reach;
use crate::record::{self, Chosen, Compare, Player, Terms, TlsWay};
use crate::spool::Disk;

/// Octets of an export that is replayed: it may hold contents.
const MAX_FILE: u64 = 16 << 20;
/// Octets of content that is given.
const MAX_CONTENT: u64 = 16 << 20;
/// Octets of a file with a password.
const MAX_PASSWORD: u64 = 64 << 10;

/// Sessions of one copy at most. A second one has no BDAT and no TLS that the first one found
/// broken; more have recipients that did not fit into the transaction before.
const SESSIONS: usize = 100;

/// A visit that somebody waits for.
pub struct Visiting {
    server: ServerId,
    errand: Errand,
    stage: Stage,
    /// Sessions of a copy that are over, for recipients that the next one has.
    before: Vec<SessionId>,
    /// When its name is given up.
    until: Time,
}

enum Errand {
    /// A copy of this message, for the recipients at these positions, else for all.
    Resend(u64, Option<Vec<u32>>),
    /// This recorded client, until it is sent.
    Replay(Option<Box<Player>>),
}

#[derive(Clone, Copy)]
enum Stage {
    /// Nothing was done for it yet, or its name is being looked up.
    New,
    /// Its session goes on, or has ended.
    Session(SessionId),
    /// The recorded client speaks, or has ended.
    Playing(Token),
}

impl Visiting {
    /// There is a session to wait for.
    pub(super) fn waits(&self) -> bool {
        !matches!(self.stage, Stage::New)
    }

    /// The replay that goes on for it.
    pub(in crate::reactor) fn token(&self) -> Option<Token> {
        match self.stage {
            Stage::Playing(token) => Some(token),
            Stage::New | Stage::Session(_) => None,
        }
    }
}

impl<N: Net, D: Disk> Reactor<N, D> {
    /// `resend QID via=HOST:PORT`
    pub(super) fn resend(&mut self, counter: u64, via: (String, u16)) -> Result<Answer, Refusal> {
        let id = self.core.queue.id_of(counter).ok_or_else(|| unknown_message(counter))?;
        self.core.spool.check(id).map_err(|e| Refusal::new(e.to_string()))?;
        self.visit(via, Errand::Resend(counter, None))
    }

    /// `replay FILE to HOST:PORT`: the asker is to give the files first.
    pub(super) fn begin_replay(replay: Box<Replay>) -> Answer {
        let mut wanted = vec![(replay.file.clone(), MAX_FILE)];
        wanted.extend(replay.content.clone().map(|file| (file, MAX_CONTENT)));
        wanted.extend(replay.login.clone().map(|(_, file)| (file, MAX_PASSWORD)));
        Answer::Job(Job::want(wanted, Command::Replay(replay)))
    }

    /// The files are here, in the order in which they were asked for.
    pub(super) fn replay(&mut self, order: &Replay, files: &[Secret]) -> Result<Answer, Refusal> {
        let mut files = files.iter();
        let mut next = || files.next().ok_or_else(|| Refusal::new("a file is missing"));
        let export = record::read(next()?.expose()).map_err(Refusal::new)?;
        let chosen = match order.session {
            ReplaySession::Usual => Chosen::Usual,
            ReplaySession::Named(id) => Chosen::Named(id),
            ReplaySession::Numbered(number) => Chosen::Numbered(number),
        };
        let chosen = record::choose(&export.sessions, chosen).map_err(Refusal::new)?;
        let (recorded, others) = chosen;
        let content = match order.content {
            Some(_) => Some(with_line_ends(next()?.expose())),
            None => None,
        };
        let login = match &order.login {
            Some((user, file)) => Some(Credentials {
                user: user.clone(),
                secret: first_line(next()?.clone()).ok_or_else(|| {
                    Refusal::new(format!("{} has no password in it", Printable::new(file)))
                })?,
                host: order.via.0.clone(),
                port: order.via.1,
            }),
            None => None,
        };
        let terms = Terms {
            at_once: order.pace == Pace::AtOnce,
            compare: if order.bytes { Compare::Bytes } else { Compare::Code },
            tls: match order.tls {
                ReplayTls::Recorded => TlsWay::Recorded,
                ReplayTls::None => TlsWay::None,
                ReplayTls::StartTls => TlsWay::StartTls,
                ReplayTls::Implicit => TlsWay::Implicit,
            },
            login,
            kept: &export.contents,
            content: content.as_deref(),
        };
        let player = Player::new(recorded, &terms, self.now.time);
        let mut player = player.map_err(Refusal::new)?;
        if let Some(others) = others {
            player.remark(&others);
        }
        self.visit(order.via.clone(), Errand::Replay(Some(Box::new(player))))
    }

    fn visit(&mut self, via: (String, u16), errand: Errand) -> Result<Answer, Refusal> {
        let (host, port) = via;
        let server = self.core.visit(&host, port, self.now).ok_or_else(|| {
            Refusal::new("too many other servers were visited; try again in an hour")
        })?;
        let until = until(self.now);
        let visiting = Visiting { server, errand, stage: Stage::New, before: Vec::new(), until };
        Ok(Answer::Job(Job::Visit(Box::new(visiting))))
    }

    /// Goes on with a visit; true when it is over, and told.
    pub(super) fn await_visit(
        &mut self,
        visiting: &mut Visiting,
        (id, json): (u64, bool),
        asker: &mut Asker,
    ) -> Result<bool, Refusal> {
        match visiting.stage {
            Stage::New => {
                if self.now.time >= visiting.until {
                    return Err(Refusal::new("its name was not found in 2 minutes"));
                }
                self.set_out(visiting)?;
                Ok(false)
            }
            Stage::Session(session) => {
                let Some(probed) = self.take_probed(session) else { return Ok(false) };
                visiting.before.push(session);
                let more = probed.again && visiting.before.len() < SESSIONS;
                if let (Errand::Resend(_, only), false, true) =
                    (&mut visiting.errand, probed.left.is_empty(), more)
                {
                    *only = Some(probed.left);
                    (visiting.stage, visiting.until) = (Stage::New, until(self.now));
                    return Ok(false);
                }
                let (report, good) = self.copy_report(&visiting.before, &probed);
                asker.tell_report(id, json, report);
                match good {
                    true => Ok(true),
                    false => Err(Refusal::new("not all recipients were taken")),
                }
            }
            Stage::Playing(token) => {
                let Some(player) = self.take_played(token) else { return Ok(false) };
                asker.tell_report(id, json, replay_report(&player));
                match (player.fault(), player.differences().len()) {
                    (Some(why), _) => Err(Refusal::new(Printable::new(why).into_string())),
                    (None, 0) => Ok(true),
                    (None, 1) => Err(Refusal::new("1 reply differs")),
                    (None, n) => Err(Refusal::new(format!("{n} replies differ"))),
                }
            }
        }
    }

    /// Begins the connection once the name is known.
    fn set_out(&mut self, visiting: &mut Visiting) -> Result<(), Refusal> {
        let words = |reply| Refusal::new(Printable::new(render::reply_line(&reply)).into_string());
        let hosts = match self.core.reach(visiting.server, self.now) {
            Reach::Asking => return Ok(()),
            Reach::At(hosts) => hosts,
            Reach::Down(reply) | Reach::Refused(reply) => return Err(words(reply)),
        };
        visiting.stage = match &mut visiting.errand {
            Errand::Resend(counter, only) => {
                let id = self.core.queue.id_of(*counter);
                let id = id.ok_or_else(|| unknown_message(*counter))?;
                let copied = self.copy_to(visiting.server, id, only.as_deref());
                Stage::Session(copied.map_err(Refusal::new)?)
            }
            Errand::Replay(player) => {
                let player = player.take().ok_or_else(|| Refusal::new("played already"))?;
                let host = self.core.server(visiting.server).host.clone();
                Stage::Playing(self.play(hosts, host, *player).map_err(Refusal::new)?)
            }
        };
        Ok(())
    }

    /// What became of a copy: its dialogue, in one session or several, and how each recipient
    /// fared.
    fn copy_report(&self, sessions: &[SessionId], last: &Probed) -> (Report, bool) {
        let mut lines = Vec::new();
        let mut outcomes: Vec<Value> = Vec::new();
        let mut good = last.left.is_empty();
        for session in sessions {
            let conversation = self.core.journal.conversation(*session);
            for line in conversation.iter().flat_map(|conversation| &conversation.lines) {
                let text = Printable::new(&line.text);
                let own = Some(*session);
                if let Some(outcome) = text.as_str().strip_prefix("copy of ") {
                    good &= outcome.contains(": delivered ");
                    outcomes.push(json!(outcome));
                }
                lines.push(render::line(line.at, line.delay, own, line.sign, line.mark, &text));
            }
        }
        let why = Printable::new(&last.why);
        good &= !outcomes.is_empty();
        match (outcomes.is_empty(), last.left.len()) {
            (true, _) => lines.push(format!("nothing was sent: {why}")),
            (false, 0) => {}
            (false, n) => lines.push(format!("{} had no turn: {why}", count_of(n, "recipient"))),
        }
        lines.push("the message in the queue is as it was".to_owned());
        let json = json!({
            "session": last.id.to_string(), "ok": good, "outcomes": outcomes,
            "untried": last.left.len(), "why": why,
        });
        (Report { json, lines }, good)
    }
}

/// Content as it goes over the wire. A file of this machine that ends all its lines with LF alone
/// gets CRLF; in any other each octet may be what is to be tried.
fn with_line_ends(content: &[u8]) -> Cow<'_, [u8]> {
    match content.contains(&b'\r') {
        true => Cow::Borrowed(content),
        false => Cow::Owned(content.split(|b| *b == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..])),
    }
}

/// Which replies differ, and what could not be played as it was.
fn replay_report(player: &Player) -> Report {
    let (played, all) = player.played();
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    for difference in player.differences() {
        lines.push(format!("{:>4}  {}", difference.number, difference.command));
        lines.push(format!("      recorded  {}", difference.recorded));
        lines.push(format!("      now       {}", difference.now));
        rows.push(json!({
            "exchange": difference.number, "command": difference.command,
            "recorded": difference.recorded, "now": difference.now,
        }));
    }
    lines.extend(player.remarks().iter().map(|remark| format!("note: {remark}")));
    let differ = rows.len();
    lines.push(format!("{played} of {all} replies were heard again; {differ} differ"));
    let json = json!({
        "played": played, "recorded": all, "differences": rows, "remarks": player.remarks(),
        "fault": player.fault().map(Printable::new),
    });
    Report { json, lines }
}
