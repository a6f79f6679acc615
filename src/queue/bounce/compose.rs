//! The notification as octets: three parts between boundaries.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::text::{Form, field, is_lines, quoted_printable};
use super::{MAX_HEADER, Plan, status, words};
use crate::base::{Address, Envelope, MessageId, Wall};

/// The message that a notification is about.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    /// Its identity.
    pub id: MessageId,
    /// When it arrived.
    pub arrived: Wall,
    /// Its envelope.
    pub envelope: &'a Envelope,
    /// Its octets: all of them when [`Plan::whole`], else at least its header or [`MAX_HEADER`].
    pub content: &'a [u8],
}

/// The part that gives back the message.
struct Returned<'a> {
    media_type: &'static str,
    encoding: &'static str,
    octets: Cow<'a, [u8]>,
    whole: bool,
}

impl Plan {
    /// The octets of the notification, with CRLF line ends. `id` is its own identity, `now` its
    /// date, `hostname` our name.
    pub fn compose(
        &self,
        original: &Original<'_>,
        hostname: &str,
        id: MessageId,
        now: Wall,
    ) -> Vec<u8> {
        let form = if self.envelope.utf8 { Form::Utf8 } else { Form::Ascii };
        let returned = returned(original, self.whole, form);
        let words = words::write(original, &self.told, hostname, now, returned.whole);
        let mut report = Vec::new();
        status::write(&mut report, original, &self.told, hostname, now, form);
        let boundary = boundary(id, &[words.as_bytes(), &report, &returned.octets]);

        let mut out = Vec::with_capacity(2048 + words.len() + report.len() + returned.octets.len());
        self.write_header(&mut out, hostname, id, now, &boundary);
        let (encoding, words) = match form {
            _ if words.is_ascii() => ("7bit", words.into_bytes()),
            Form::Utf8 => ("8bit", words.into_bytes()),
            Form::Ascii => ("quoted-printable", quoted_printable(words.as_bytes())),
        };
        let mut part = |media_type: &str, encoding: &str, octets: &[u8]| {
            out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            field(&mut out, "Content-Type", media_type);
            field(&mut out, "Content-Transfer-Encoding", encoding);
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(octets);
            // The CRLF before a boundary belongs to the boundary (RFC 2046 section 5.1.1).
            out.extend_from_slice(b"\r\n");
        };
        part("text/plain; charset=utf-8", encoding, &words);
        match form {
            Form::Ascii => part("message/delivery-status", "7bit", &report),
            Form::Utf8 => part("message/global-delivery-status", "8bit", &report),
        }
        part(returned.media_type, returned.encoding, &returned.octets);
        out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        out
    }

    fn write_header(
        &self,
        out: &mut Vec<u8>,
        hostname: &str,
        id: MessageId,
        now: Wall,
        boundary: &str,
    ) {
        let from = format!("Mail Delivery System <MAILER-DAEMON@{hostname}>");
        field(out, "From", &from);
        let to: Vec<&Address> = self.envelope.recipients.iter().map(|r| &r.address).collect();
        to.into_iter().for_each(|to| field(out, "To", &format!("<{to}>")));
        field(out, "Subject", words::subject(&self.told));
        field(out, "Date", &now.rfc5322());
        field(out, "Message-ID", &format!("<{id}@{hostname}>"));
        // RFC 3834 section 5: whoever answers mail by program lets this one be.
        field(out, "Auto-Submitted", "auto-replied");
        field(out, "MIME-Version", "1.0");
        let report =
            format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\"");
        field(out, "Content-Type", &report);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(b"This is a report about your mail, in MIME format.\r\n\r\n");
    }
}

/// What of the message is given back, and how it can travel.
fn returned<'a>(original: &Original<'a>, whole: bool, form: Form) -> Returned<'a> {
    let is_text = |octets: &[u8]| form == Form::Ascii || std::str::from_utf8(octets).is_ok();
    if whole && is_lines(original.content, form) && is_text(original.content) {
        let (media_type, encoding) = match form {
            Form::Ascii => ("message/rfc822", "7bit"),
            Form::Utf8 => ("message/global", "8bit"),
        };
        let octets = original.content.into();
        return Returned { media_type, encoding, octets, whole: true };
    }
    let header = header_of(original.content);
    // RFC 6533 section 6.3: the header of internationalized mail has a type of its own, which may
    // be encoded; RFC 6522 section 4 allows that for others.
    let is_global = !header.is_ascii() && std::str::from_utf8(header).is_ok();
    let is_global = is_global && (original.envelope.utf8 || form == Form::Utf8);
    let media_type = if is_global { "message/global-headers" } else { "text/rfc822-headers" };
    let (encoding, octets) = if is_lines(header, Form::Ascii) {
        ("7bit", header.into())
    } else if form == Form::Utf8 && is_global && is_lines(header, form) {
        ("8bit", header.into())
    } else {
        ("quoted-printable", quoted_printable(header).into())
    };
    Returned { media_type, encoding, octets, whole: false }
}

/// The header at the start of a message, without the empty line: up to the first line that belongs
/// to no field, so that a message without an empty line does not give away its body.
fn header_of(content: &[u8]) -> &[u8] {
    let content = &content[..content.len().min(MAX_HEADER)];
    let mut end = 0;
    for line in content.split_inclusive(|b| *b == b'\n') {
        let is_name = |b: &u8| b.is_ascii_graphic() && *b != b':';
        let name = line.iter().take_while(|b| is_name(b)).count();
        let is_field = name > 0 && line[name..].trim_ascii_start().starts_with(b":");
        let goes_on = end > 0 && (line.starts_with(b" ") || line.starts_with(b"\t"));
        if !line.ends_with(b"\n") || !(is_field || goes_on) {
            break;
        }
        end += line.len();
    }
    &content[..end]
}

/// A boundary that stands in none of the parts. The candidates are numbered, so those that do occur
/// are found in one pass, and no text contains all of them.
fn boundary(id: MessageId, parts: &[&[u8]]) -> String {
    let stem = format!("=_{id}_");
    let mut taken = BTreeSet::new();
    for part in parts {
        for at in memchr::memmem::find_iter(part, &stem) {
            let digits = part[at + stem.len()..].iter().take_while(|b| b.is_ascii_digit()).take(19);
            let number = digits.fold(0, |n, digit| n * 10 + u64::from(digit - b'0'));
            taken.insert(number);
        }
    }
    let free = (0..).find(|n| !taken.contains(n)).unwrap_or(u64::MAX);
    format!("{stem}{free}=")
}
