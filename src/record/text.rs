//! A transcript in the notation that logs and consoles show, too.

use super::title;
use crate::base::{Printable, Wall};
use crate::journal::{Conversation, render};

/// The conversations one after the other, each under a heading with its day.
pub fn text(of: &str, all: &[Conversation], now: Wall) -> Vec<u8> {
    let mut out = format!("# MailFlux transcript of {of}, exported {now}\n");
    out.push_str("# Secrets are not recorded. Times are UTC; content is told by its size.\n");
    for conversation in all {
        let began = conversation.lines.first().map(|line| line.at);
        let day = began.map_or(String::new(), |at| format!(", {}", at.date()));
        let title = Printable::new(title(conversation));
        out.push_str(&format!("\n# {title}{day}\n"));
        if !conversation.complete {
            out.push_str("# Its beginning is not kept.\n");
        }
        for line in conversation.transcript() {
            let shown = Printable::new(line.text);
            let id = Some(conversation.id);
            out.push_str(&render::line(line.at, line.delay, id, line.sign, line.mark, &shown));
            out.push('\n');
        }
    }
    out.into_bytes()
}
