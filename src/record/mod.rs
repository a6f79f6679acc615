//! Recorded dialogue as a file: text, JSON, pcap, a dialog test; and read back for `replay`.
//!
//! Data in, octets out: where conversations come from and who writes the file is others' business.
//! Secrets were replaced before they were recorded, so no form can show them.

mod content;
mod dialog;
mod json;
mod pcap;
mod read;
mod replay;
mod text;

#[cfg(test)]
mod tests;

pub use content::Body;
pub use dialog::dialog;
pub use json::json;
pub use pcap::pcap;
pub use read::{Export, KeptContent, Recorded, RecordedLine, read};
pub use replay::{Chosen, Compare, Difference, Play, Player, Terms, TlsWay, choose};
pub use text::text;

use crate::base::Leg;
use crate::journal::Conversation;

/// What a conversation is, in a line: `i7 in: client 192.0.2.7:4711`.
fn title(conversation: &Conversation) -> String {
    let peer = conversation.peer.map_or("?".to_owned(), |peer| peer.to_string());
    let whom = match (&conversation.next, conversation.id.leg) {
        (Some(next), _) => format!("next server {next} at {peer}"),
        (None, Leg::Out) => format!("next server at {peer}"),
        (None, Leg::In) => format!("client {peer}"),
    };
    format!("{}: {whom}", conversation.id)
}
