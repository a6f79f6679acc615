//! The part for programs: `message/delivery-status` (RFC 3464), or its UTF-8 sibling (RFC 6533).

use std::net::IpAddr;

use super::text::{Form, field, safe, utf8_addr, utf8_addr_again, xtext_decoded};
use super::{Fate, Original, Told};
use crate::base::{Domain, Enhanced, Origin, Recipient, Reply, Wall, literal_of};

/// Octets of a next server's words that are passed on.
pub(super) const MAX_WORDS: usize = 1000;

/// Appends the fields about the message, an empty line, and those about each recipient.
pub(super) fn write(
    out: &mut Vec<u8>,
    original: &Original<'_>,
    told: &[Told],
    hostname: &str,
    now: Wall,
    form: Form,
) {
    let envelope = original.envelope;
    // RFC 3461 section 6.3 (b): as it was before it was encoded.
    if let Some(envid) = &envelope.envid {
        field(out, "Original-Envelope-Id", &safe(&xtext_decoded(envid), MAX_WORDS, form));
    }
    field(out, "Reporting-MTA", &format!("dns; {hostname}"));
    if let Some(ip) = envelope.client.ip {
        let literal = literal_of(ip);
        let helo = envelope.client.helo.as_deref().filter(|helo| Domain::is_valid(helo));
        let from = helo.map_or(literal.clone(), |helo| format!("{helo} ({literal})"));
        field(out, "Received-From-MTA", &format!("dns; {}", safe(from.as_bytes(), 400, form)));
    }
    field(out, "Arrival-Date", &original.arrived.rfc5322());
    for told in told {
        if let Some(recipient) = envelope.recipients.get(told.recipient as usize) {
            out.extend_from_slice(b"\r\n");
            about(out, recipient, told, now, form);
        }
    }
}

fn about(out: &mut Vec<u8>, recipient: &Recipient, told: &Told, now: Wall, form: Form) {
    if let Some(orcpt) = &recipient.orcpt {
        field(out, "Original-Recipient", &original_recipient(orcpt, form));
    }
    field(out, "Final-Recipient", &typed(recipient.address.as_str(), form));
    let action = match told.fate {
        Fate::Failed | Fate::Expired => "failed",
        Fate::Delayed { .. } => "delayed",
        Fate::Relayed => "relayed",
    };
    field(out, "Action", action);
    field(out, "Status", &status(told).to_string());
    match &told.reply {
        Some(reply) if reply.origin == Origin::Peer => {
            if let Some(remote) = told.remote.as_deref().and_then(mta_name) {
                field(out, "Remote-MTA", &format!("dns; {}", safe(remote.as_bytes(), 400, form)));
            }
            field(out, "Diagnostic-Code", &format!("smtp; {}", words_of(reply, form)));
        }
        // No other server reported this: RFC 3464 section 2.3.5 wants no Remote-MTA then, and
        // section 2.3.6 a type that does not claim that SMTP's words follow.
        Some(reply) => field(out, "Diagnostic-Code", &format!("X-MailFlux; {}", own(reply, form))),
        None => {}
    }
    match told.fate {
        Fate::Failed | Fate::Relayed => field(out, "Last-Attempt-Date", &now.rfc5322()),
        Fate::Delayed { until } => field(out, "Will-Retry-Until", &until.rfc5322()),
        Fate::Expired => {}
    }
}

/// An address with its type (RFC 3464 section 2.3.2, RFC 6533 section 3). One in ASCII has nothing
/// but printable characters, by the grammar that it passed.
fn typed(address: &str, form: Form) -> String {
    if address.is_ascii() {
        format!("rfc822; {address}")
    } else {
        format!("utf-8; {}", utf8_addr(address, form))
    }
}

/// ORCPT without its encoding: its type says how that is undone.
fn original_recipient(orcpt: &str, form: Form) -> String {
    let (kind, address) = orcpt.split_once(';').unwrap_or(("rfc822", orcpt));
    let address = if kind.eq_ignore_ascii_case("utf-8") {
        utf8_addr_again(address, form)
    } else {
        safe(&xtext_decoded(address), MAX_WORDS, form)
    };
    format!("{}; {address}", safe(kind.as_bytes(), 100, Form::Ascii))
}

/// The status (RFC 3463) that agrees with the action (RFC 3464 section 2.3.4).
fn status(told: &Told) -> Enhanced {
    let of_class = |class: u8| {
        let said = told.reply.as_ref().and_then(|reply| reply.enhanced);
        said.filter(|status| status.0 == class).unwrap_or(Enhanced(class, 0, 0))
    };
    match told.fate {
        Fate::Failed => of_class(5),
        // RFC 3463 section 2: class 4 in a failure says that sending again may well succeed.
        Fate::Expired => Enhanced(4, 4, 7),
        Fate::Delayed { .. } => of_class(4),
        Fate::Relayed => of_class(2),
    }
}

/// A reply's code and text on one line.
pub(super) fn words_of(reply: &Reply, form: Form) -> String {
    let blank = |b: &u8| if *b == b'\n' { b' ' } else { *b };
    let one_line = reply.with_text(reply.text.iter().map(blank).collect::<Vec<u8>>());
    safe(&one_line.on_one_line(), MAX_WORDS, form)
}

/// Our own words, without the code that they have in lists.
pub(super) fn own(reply: &Reply, form: Form) -> String {
    let one_line: Vec<u8> =
        reply.text.iter().map(|b| if *b == b'\n' { b' ' } else { *b }).collect();
    match one_line.is_empty() {
        true => reply.enhanced_or_general().to_string(),
        false => safe(&one_line, MAX_WORDS, form),
    }
}

/// A host as an MTA's name (RFC 3464 section 2.1.2), when it can be one.
pub(super) fn mta_name(host: &str) -> Option<String> {
    match host.parse::<IpAddr>() {
        Ok(ip) => Some(literal_of(ip)),
        Err(_) => Domain::is_valid(host).then(|| host.to_owned()),
    }
}
