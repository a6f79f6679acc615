//! What consoles, `ctl` and the server say to each other.
//!
//! On the control socket each message is one line of JSON; a console in the server's own process is
//! handed the same values. The asker speaks first:
//!
//! ```text
//!   asker                                   server
//!     │ ── Run { id, line, json } ────────▶   │
//!     │ ◀── Lines { id, … } (none or more) ── │   or Json { id, part }, whose parts are one value
//!     │ ◀── Fault { id, … }, if it failed ─── │
//!     │ ◀── End { id, ok } ────────────────── │
//!     │                                       │   before End, from a command that converses:
//!     │ ◀── Prompt { id, … } ──────────────── │   it wants a line
//!     │ ── Say { id, line } ──────────────▶   │
//!     │                                       │
//!     │ ── Watch { backlog } ─────────────▶   │   a console, once
//!     │ ◀── Hello, Feed …, Snapshot … ─────── │   until it closes
//! ```
//!
//! Commands of one asker are answered one after the other, in their order. Only what has passed
//! [`Printable`] travels to the asker, and arrives through [`Printable`] again.
//!
//! Files belong to the process that asks: it writes and reads them, with its rights, relative to
//! its folder, and only those that its own command named.
//!
//! ```text
//!     │ ── Run { id, "export i7 text F" } ▶   │
//!     │ ◀── File { id, "F", octets } ──────── │   a piece, one or more
//!     │ ◀── Lines …, End { id, ok } ───────── │
//!     │                                       │
//!     │ ── Run { id, "replay F to H:P" } ─▶   │
//!     │ ◀── Want { id, "F", most } ────────── │
//!     │ ── Give { id, octets, last } ─────▶   │   a piece, one or more; or CannotGive
//!     │ ◀── Lines …, End { id, ok } ───────── │
//! ```

use serde::{Deserialize, Serialize};

use crate::base::Printable;
use crate::journal::FeedItem;

/// Octets of one message to the server: a command line and what JSON adds to it.
pub const MAX_REQUEST: usize = 64 << 10;
/// Octets of a piece of a file on its way to the server: in base64 less than [`MAX_REQUEST`].
pub const MAX_GIVEN: usize = 32 << 10;
/// Octets of a piece of a file on its way to the asker.
pub const MAX_PIECE: usize = 64 << 10;

/// What is asked of the server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Do a command.
    Run {
        /// The asker's number for it, which all of the answer carries.
        #[serde(default)]
        id: u64,
        /// The command line.
        line: String,
        /// The answer is to be one JSON value instead of lines.
        #[serde(default)]
        json: bool,
    },
    /// The answer to a [`Told::Prompt`].
    Say {
        /// Of which request.
        #[serde(default)]
        id: u64,
        /// The line, without its end; none when no more will come.
        #[serde(default)]
        line: Option<String>,
    },
    /// Send the feed from now on, and a snapshot a few times a second.
    Watch {
        /// So many of the items before, as far as they are kept.
        #[serde(default)]
        backlog: usize,
    },
    /// A piece of the file that [`Told::Want`] asked for.
    Give {
        /// For which command.
        id: u64,
        /// At most [`MAX_GIVEN`].
        #[serde(with = "base64")]
        octets: Vec<u8>,
        /// Nothing follows.
        last: bool,
    },
    /// The file that [`Told::Want`] asked for cannot be had.
    CannotGive {
        /// For which command.
        id: u64,
        /// Why.
        why: Printable,
    },
}

/// What the server says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
pub enum Told {
    /// The first word to a console.
    Hello(Hello),
    /// Lines of an answer.
    Lines {
        /// To which request.
        id: u64,
        /// For people.
        lines: Vec<Printable>,
    },
    /// A part of the JSON value that is the answer.
    Json {
        /// To which request.
        id: u64,
        /// As it is to be printed.
        part: String,
    },
    /// A line is wanted, which the asker says with [`Request::Say`].
    Prompt {
        /// By which request.
        id: u64,
        /// What to show before it, with its blank.
        prompt: Printable,
        /// The session that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
    },
    /// It cannot be done. [`Told::End`] comes next.
    Fault {
        /// Which request.
        id: u64,
        /// The place in the command line, in characters from 1, when it is there that it is wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        column: Option<usize>,
        /// What is wrong, and what to write instead.
        message: Printable,
    },
    /// A piece of a file that the asker is to write; the pieces of one command make one file.
    File {
        /// To which request.
        id: u64,
        /// As the command named it.
        name: String,
        /// At most [`MAX_PIECE`].
        #[serde(with = "base64")]
        octets: Vec<u8>,
    },
    /// The asker is to send a file: [`Request::Give`], or [`Request::CannotGive`].
    Want {
        /// For which request.
        id: u64,
        /// As the command named it.
        name: String,
        /// So many octets are taken at most.
        most: u64,
    },
    /// The answer is complete.
    End {
        /// To which request.
        id: u64,
        /// Whether it was done; else a [`Told::Fault`] said why not.
        ok: bool,
    },
    /// What happened.
    Feed {
        /// The oldest first.
        items: Vec<FeedItem>,
        /// How many between the last item told before and the last one of these were dropped.
        dropped: u64,
    },
    /// What was said before about what a console follows: `follow i7`, `follow q1A`.
    Past {
        /// To which request.
        id: u64,
        /// The number of the first item of the feed that is not among them.
        seq: u64,
        /// The oldest first.
        items: Vec<FeedItem>,
    },
    /// How things stand.
    Snapshot(Box<Snapshot>),
    /// The server ends, or the asker was too slow: nothing more will come.
    Bye {
        /// Why.
        why: Printable,
    },
}

/// Who the server is, and the names that a console completes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Of the program.
    pub version: String,
    /// In banner and EHLO.
    pub hostname: Printable,
    /// The process.
    pub pid: u32,
    /// Whole names of all settings, as `config set` takes them.
    pub settings: Vec<Printable>,
    /// Names of the next servers.
    pub next_servers: Vec<Printable>,
}

/// How things stand at one moment. Counters count since the start (or `stats reset`); a console
/// makes rates of them.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Unix time in milliseconds.
    pub at_ms: i64,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Inbound sessions.
    pub inbound: u64,
    /// Outbound sessions.
    pub outbound: u64,
    /// Sessions held at a breakpoint.
    pub held_sessions: u64,
    /// Messages in the queue.
    pub queue: u64,
    /// Of these, with a recipient that was deferred.
    pub deferred: u64,
    /// Of these, with a recipient that is held.
    pub held: u64,
    /// Messages accepted.
    pub accepted: u64,
    /// Recipients delivered.
    pub delivered: u64,
    /// Recipients that failed.
    pub bounced: u64,
    /// Refusals.
    pub rejected: u64,
    /// Replies 4xx to clients.
    pub replies_4xx: u64,
    /// Replies 5xx to clients.
    pub replies_5xx: u64,
    /// 95 of 100 replies to the end of content came within so many milliseconds, in the last
    /// minute.
    pub p95_ms: f64,
    /// The last tick, in milliseconds.
    pub last_tick_ms: f64,
    /// The longest tick.
    pub max_tick_ms: f64,
    /// The longest time in fsync of one tick.
    pub max_sync_ms: f64,
    /// Whether the server is ending.
    pub draining: bool,
    /// Fault rules that are in force: never on by accident.
    pub faults: u64,
    /// Some of the live sessions: those that did something last come first.
    pub sessions: Vec<SessionLine>,
}

/// A live session.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SessionLine {
    /// `i7`, `o3`.
    pub id: String,
    /// `in` or `out`.
    pub leg: Printable,
    /// The other end, `192.0.2.7:4711`.
    pub peer: String,
    /// Where the session is, in a word.
    pub state: Printable,
    /// Held at a breakpoint.
    pub held: Option<HeldLine>,
    /// Seconds since it began.
    pub age_s: u64,
    /// Inside TLS.
    pub tls: bool,
    /// As whom the client authenticated.
    pub user: Option<Printable>,
    /// The sender of its transaction; `<>` for the null one; none outside a transaction.
    pub from: Option<Printable>,
    /// The last recipient of its transaction.
    pub to: Option<Printable>,
    /// Recipients of its transaction.
    pub rcpts: u64,
    /// Octets of content in the session.
    pub bytes: u64,
    /// The last command of the client.
    pub last: Printable,
}

/// Octets travel in base64.
mod base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(octets: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(octets))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        STANDARD.decode(text.as_bytes()).map_err(|_| D::Error::custom("not base64"))
    }
}

/// How a session is held.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HeldLine {
    /// At which stage.
    pub stage: Printable,
    /// By which breakpoint, or `step`.
    pub by: Printable,
    /// What is about to be answered or said.
    pub about: Printable,
    /// Seconds until it is let go by itself.
    pub left_s: u64,
    /// Seconds that the other side waits in all.
    pub peer_waits_s: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_files_travel_whole() {
        let octets: Vec<u8> = (0..=255).cycle().take(MAX_GIVEN).collect();
        let give = Request::Give { id: 1, octets: octets.clone(), last: true };
        let text = serde_json::to_string(&give).unwrap();
        assert!(text.len() < MAX_REQUEST);
        assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), give);
        let file = Told::File { id: 1, name: "a b".into(), octets };
        let text = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<Told>(&text).unwrap(), file);
        let wrong = r#"{"ask":"give","id":1,"octets":"?","last":true}"#;
        assert!(serde_json::from_str::<Request>(wrong).is_err());
    }

    #[test]
    fn requests_are_one_line_of_json() {
        let run = Request::Run { id: 3, line: "queue where size > 1M".into(), json: true };
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(text, r#"{"ask":"run","id":3,"line":"queue where size > 1M","json":true}"#);
        assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), run);
        let short: Request = serde_json::from_str(r#"{"ask":"run","line":"status"}"#).unwrap();
        assert_eq!(short, Request::Run { id: 0, line: "status".into(), json: false });
        let watch: Request = serde_json::from_str(r#"{"ask":"watch"}"#).unwrap();
        assert_eq!(watch, Request::Watch { backlog: 0 });
        for wrong in ["", "{}", r#"{"ask":"rm"}"#, r#"{"ask":"watch","more":1}"#, "\"status\""] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_told_arrives_printable() {
        let evil = r#"{"told":"lines","id":1,"lines":["a\u001b[2J"]}"#;
        let told: Told = serde_json::from_str(evil).unwrap();
        let Told::Lines { lines, .. } = told else { panic!("{told:?}") };
        assert_eq!(lines[0].as_str(), "a\\x1b[2J");
        let end = Told::End { id: 1, ok: false };
        let text = serde_json::to_string(&end).unwrap();
        assert_eq!(text, r#"{"told":"end","id":1,"ok":false}"#);
    }
}
