//! Conversations as JSON, with fields that stay.
//!
//! `{"mailflux": 1, "of", "exported", "conversations": [{"session", "leg", "peer", "next", "tls",
//! "complete", "lines": [{"at_us", "delay_us", "sign", "mark", "kind", "text", "cut"}]}],
//! "contents": [{"message", "base64"}]}`; times are Unix microseconds, `text` is escaped as
//! everything that is shown (`\x1b`, `\\`), a content is there while the message is in the spool.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::read::KeptContent;
use crate::base::{Leg, Printable, Wall};
use crate::journal::{Conversation, Kept};

/// One value with all conversations.
pub fn json(of: &str, all: &[Conversation], contents: &[KeptContent], now: Wall) -> Vec<u8> {
    let conversations: Vec<Value> = all.iter().map(conversation).collect();
    let content = |kept: &KeptContent| {
        let octets = STANDARD.encode(&kept.octets);
        json!({ "message": kept.message, "base64": octets })
    };
    let contents: Vec<Value> = contents.iter().map(content).collect();
    let value = json!({
        "mailflux": 1, "of": of, "exported": now.as_secs(), "conversations": conversations,
        "contents": contents,
    });
    let mut out = value.to_string().into_bytes();
    out.push(b'\n');
    out
}

fn conversation(conversation: &Conversation) -> Value {
    json!({
        "session": conversation.id.to_string(),
        "leg": if conversation.id.leg == Leg::In { "in" } else { "out" },
        "peer": conversation.peer.map(|peer| peer.to_string()),
        "next": conversation.next.as_ref().map(Printable::new),
        "tls": conversation.tls.as_ref().map(Printable::new),
        "complete": conversation.complete,
        "lines": conversation.lines.iter().map(line).collect::<Vec<Value>>(),
    })
}

fn line(line: &Kept) -> Value {
    json!({
        "at_us": line.at.as_micros(),
        "delay_us": u64::try_from(line.delay.as_micros()).unwrap_or(u64::MAX),
        "sign": line.sign, "mark": line.mark, "kind": line.subject.name(),
        "text": Printable::new(&line.text), "cut": line.cut,
    })
}
