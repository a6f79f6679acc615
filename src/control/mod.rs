//! Control: the one grammar of commands, for console, `ctl` and control socket.
//!
//! `verb [object] [id] [key=value ...] [where EXPR]`. A line becomes a typed [`Command`], or an
//! error that points at the column and names what was perhaps meant. What a command does is the
//! reactor's business; here is only what can be said.

mod command;
mod debug;
mod docs;
mod filters;
mod item;
mod parse;
mod replay;
mod verbs;
mod wire;
mod words;

#[cfg(test)]
mod tests;

pub use command::{
    About, Command, ConfigCommand, FilterCommand, Follow, Form, Imagined, MessageAction, NewFilter,
    NextCommand, Pace, Recorded, Replay, ReplaySession, ReplayTls, SessionView, ShowPart, Which,
};
pub use debug::{ADD_LIST_DELETE, BreakCommand, FaultCommand};
pub use docs::commands_page;
pub use item::item_holds;
pub use parse::CommandError;
pub use verbs::{TRACES, VERBS, Verb, find};
pub use wire::{
    HeldLine, Hello, MAX_GIVEN, MAX_PIECE, MAX_REQUEST, Request, SessionLine, Snapshot, Told,
};
pub use words::{has_word, line_of_args};
