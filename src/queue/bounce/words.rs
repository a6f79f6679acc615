//! The part for people: what happened and what they can do, in plain words.

use std::time::Duration;

use super::status::{mta_name, own, words_of};
use super::text::{Form, paragraph, safe};
use super::{Fate, Original, Told};
use crate::base::{Origin, Wall};

/// The subject of a notification and its first sentences.
pub(super) fn subject(told: &[Told]) -> &'static str {
    if told.iter().any(|t| t.fate.is_final_failure()) {
        "Undelivered mail returned to sender"
    } else if told.iter().any(|t| matches!(t.fate, Fate::Delayed { .. })) {
        "Delayed mail (still being tried)"
    } else {
        "Mail relayed without further notice"
    }
}

/// The text, with CRLF.
pub(super) fn write(
    original: &Original<'_>,
    told: &[Told],
    hostname: &str,
    now: Wall,
    returned_whole: bool,
) -> String {
    let mut text = String::new();
    paragraph(&mut text, "", &format!("This is the mail server {hostname}."));
    let group = |fates: &[Told], out: &mut String| {
        if let Some(first) = fates.first() {
            out.push_str("\r\n");
            paragraph(out, "", &explanation(first.fate, original, now));
            fates.iter().for_each(|told| one(out, original, told));
        }
    };
    for is_of_group in [
        |fate: Fate| fate == Fate::Failed,
        |fate: Fate| fate == Fate::Expired,
        |fate: Fate| matches!(fate, Fate::Delayed { .. }),
        |fate: Fate| fate == Fate::Relayed,
    ] {
        let fates: Vec<Told> = told.iter().filter(|t| is_of_group(t.fate)).cloned().collect();
        group(&fates, &mut text);
    }
    text.push_str("\r\n");
    let what = if returned_whole { "Your message" } else { "The header of your message" };
    let arrived = original.arrived.rfc5322();
    let end = format!(
        "{what} is attached, and a report for programs. The message arrived here on {arrived} and \
         has the number {}.",
        original.id
    );
    paragraph(&mut text, "", &end);
    text
}

fn explanation(fate: Fate, original: &Original<'_>, now: Wall) -> String {
    let age = in_words(now.since(original.arrived));
    match fate {
        Fate::Failed => "Your message could not be delivered to these recipients. They were \
             refused for good, and nothing more is tried; send it again when the reason is gone."
            .into(),
        Fate::Expired => format!(
            "Your message could not be delivered to these recipients. It was tried for {age} and \
             is given up now. Sending it again later may succeed."
        ),
        Fate::Delayed { until } => format!(
            "Your message has not reached these recipients yet, {age} after it arrived here. You \
             need not do anything: it is tried again until {}.",
            until.rfc5322()
        ),
        Fate::Relayed => "Your message was taken by the next server for these recipients. You \
             asked to be told of its delivery, but that server does not send such notices: this is \
             the last that you hear of it from here."
            .into(),
    }
}

fn one(out: &mut String, original: &Original<'_>, told: &Told) {
    let Some(recipient) = original.envelope.recipients.get(told.recipient as usize) else { return };
    let address = safe(recipient.address.as_str().as_bytes(), 400, Form::Utf8);
    out.push_str("\r\n");
    paragraph(out, "  ", &format!("<{address}>"));
    let Some(reply) = &told.reply else { return };
    let (said, words) = match (reply.origin, told.remote.as_deref().and_then(mta_name)) {
        (Origin::Ours, _) => ("The reason:".into(), own(reply, Form::Utf8)),
        (Origin::Peer, Some(remote)) => {
            (format!("The answer of {remote}:"), words_of(reply, Form::Utf8))
        }
        (Origin::Peer, None) => ("The answer:".into(), words_of(reply, Form::Utf8)),
    };
    paragraph(out, "    ", &said);
    paragraph(out, "    ", &words);
}

/// A time as people say it, in its largest unit.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        for (seconds, words) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (14_400, "4 hours"),
            (432_000, "5 days"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
