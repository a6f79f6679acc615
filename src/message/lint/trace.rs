//! Checks of the trace: whether the clocks on the way agree, and what stands above it.

use std::time::Duration;

use super::{Lint, Severity, Tally};
use crate::base::show_duration;
use crate::message::date::Date;
use crate::message::header::Header;
use crate::message::hops::of_fields;

use Severity::{Note, Warning};

/// A clock ahead by more than this is worth a warning.
const WARN_S: i64 = 300;
/// Received fields from which on a server may think of a loop (RFC 5321 section 6.3).
const MANY_HOPS: usize = 50;

/// What may stand above or between the Received fields: other servers' notes.
const TRACE: [&str; 4] = ["Received", "Return-Path", "Delivered-To", "Authentication-Results"];

fn duration(seconds: i64) -> String {
    show_duration(Duration::from_secs(seconds.unsigned_abs()))
}

impl Lint<'_> {
    pub(super) fn trace(&mut self, header: &Header<'_>) {
        let hops = of_fields(&header.fields);
        let mut dateless = Tally::default();
        for hop in &hops {
            if hop.date.is_none() {
                dateless.add(hop.line);
            }
            if let Some(delay) = hop.delay_s.filter(|_| hop.skewed()) {
                let severity = if delay < -WARN_S { Warning } else { Note };
                let what = format!(
                    "Received {} before the hop below it: the clocks of the two do not agree",
                    duration(-delay)
                );
                self.find(severity, hop.line, what, "RFC 5321 section 4.4");
            }
        }
        self.tallied(
            Warning,
            dateless,
            "Received without a date that can be read",
            "RFC 5321 section 4.4",
        );
        let many = header.all("Received").count();
        if many >= MANY_HOPS {
            let what = format!("{many} Received fields: does it go in circles?");
            self.find(Warning, hops.first().map(|hop| hop.line), what, "RFC 5321 section 6.3");
        }
        let first = hops.last().and_then(|hop| hop.date.map(|date| (hop.line, date.at)));
        let written = header.first("Date").and_then(|field| Date::parse(&field.unfolded()));
        if let (Some((line, received)), Some(written)) = (first, written) {
            let early_s = written.at.as_secs() - received.as_secs();
            if early_s > WARN_S {
                let what = format!("the first server had it {} before its Date", duration(early_s));
                self.find(Note, line, what, "RFC 5322 section 3.6.1");
            }
        }
        self.order(header);
    }

    /// A server puts its Received on top (RFC 5321 section 4.4). One below the author's fields was
    /// moved there, or written by the author.
    fn order(&mut self, header: &Header<'_>) {
        let is_trace = |name: &[u8]| {
            let of = |known: &&str| name.eq_ignore_ascii_case(known.as_bytes());
            // Servers and filters write fields of their own, and signatures, between the hops.
            let resent = name.len() > 7 && name[..7].eq_ignore_ascii_case(b"resent-");
            let own = name.len() > 2 && name[..2].eq_ignore_ascii_case(b"x-");
            let signed = [&b"dkim-"[..], b"arc-", b"received-"].iter().any(|start| {
                name.len() > start.len() && name[..start.len()].eq_ignore_ascii_case(start)
            });
            TRACE.iter().any(of) || resent || own || signed
        };
        let top = header.fields.iter().take_while(|field| is_trace(field.name)).count();
        let mut below = Tally::default();
        for field in header.fields[top..].iter().filter(|field| field.is("Received")) {
            below.add(field.line);
        }
        let what = "Received below the author's fields: servers put it on top";
        self.tallied(Note, below, what, "RFC 5321 section 4.4");
    }
}
