//! Checks of the parts: MIME's own fields, and whether each content is what they say.

use super::{Lint, Severity, Tally, quote};
use crate::message::charset;
use crate::message::header::Header;
use crate::message::lines::Region;
use crate::message::mime::{Mime, Part, is_good_boundary};
use crate::message::structured::without_comments;
use crate::message::words::hex;

use Severity::{Error, Note, Warning};

/// Octets of an encoded line (RFC 2045 sections 6.7 and 6.8).
const MAX_ENCODED_LINE: usize = 76;

impl Lint<'_> {
    pub(super) fn body(&mut self, header: &Header<'_>, mime: &Mime<'_>) {
        self.version(header);
        for fault in &mime.faults {
            let what = format!("{}{}", of_part(&fault.part), fault.what);
            self.find(fault.severity, fault.line, what, fault.rfc);
        }
        if mime.more {
            let what = "more parts, or deeper ones, than are looked at";
            self.find(Warning, None, what, "RFC 2046 section 5.1");
        }
        for part in &mime.parts {
            self.part(part);
            if part.is_multipart() {
                self.multipart(part, mime);
            } else {
                self.content(part);
            }
        }
    }

    fn version(&mut self, header: &Header<'_>) {
        let content = |name: &[u8]| name.len() > 8 && name[..8].eq_ignore_ascii_case(b"content-");
        let first = header.fields.iter().find(|field| content(field.name));
        match (header.first("MIME-Version"), first) {
            (None, Some(field)) => {
                let what = "Content fields, but no MIME-Version: they may not be believed";
                self.find(Error, field.line, what, "RFC 2045 section 4");
            }
            (Some(field), _) => {
                let value = without_comments(&field.unfolded());
                if !value.iter().filter(|b| !b.is_ascii_whitespace()).eq(b"1.0") {
                    let what = format!("MIME-Version is not 1.0: {}", quote(&value));
                    self.find(Warning, field.line, what, "RFC 2045 section 4");
                }
            }
            (None, None) => {}
        }
    }

    /// What a part's fields say.
    fn part(&mut self, part: &Part<'_>) {
        let of = of_part(&part.path);
        let known = ["7bit", "8bit", "binary", "quoted-printable", "base64"];
        let encoding = &part.encoding;
        if !known.iter().any(|known| known.as_bytes() == encoding) {
            let what = format!("{of}unknown Content-Transfer-Encoding {}", quote(encoding));
            self.find(Error, part.line, what, "RFC 2045 section 6.1");
        } else if encoding == b"binary" {
            let what = format!("{of}binary content, which SMTP takes only with BINARYMIME");
            self.find(Warning, part.line, what, "RFC 3030 section 3");
        }
        let composite = part.is_multipart() || part.media == b"message/rfc822";
        if composite && matches!(&encoding[..], b"quoted-printable" | b"base64") {
            let what = format!("{of}a multipart or message must not be encoded as a whole");
            self.find(Error, part.line, what, "RFC 2045 section 6.4");
        }
        if part.broken_parameters {
            let what = format!("{of}a parameter is not name=value");
            self.find(Warning, part.line, what, "RFC 2045 section 5.1");
        }
        if part.encoded_word {
            let what = format!("{of}an encoded word as a parameter, instead of name*=");
            self.find(Warning, part.line, what, "RFC 2047 section 5, RFC 2231 section 4");
        }
        let path = |b: &u8| matches!(b, b'/' | b'\\');
        if let Some(name) = part.filename.as_ref().filter(|name| name.iter().any(path)) {
            let what = format!("{of}a file name with a path: {}", quote(name));
            self.find(Warning, part.line, what, "RFC 2183 section 2.3");
        }
        if let Some(set) = part.parameter("charset") {
            let known = std::str::from_utf8(set).is_ok_and(charset::is_known);
            if part.media.starts_with(b"text/") && !known {
                let what = format!("{of}character set {} is not known here", quote(set));
                self.find(Note, part.line, what, "RFC 2046 section 4.1.2");
            }
        }
    }

    fn multipart(&mut self, part: &Part<'_>, mime: &Mime<'_>) {
        let Some(boundary) = &part.boundary else { return };
        let of = of_part(&part.path);
        if !is_good_boundary(boundary) {
            let what = format!("{of}a boundary that breaks its grammar: {}", quote(boundary));
            self.find(Error, part.line, what, "RFC 2046 section 5.1.1");
        }
        let encloses = |outer: &&Part<'_>| {
            outer.depth < part.depth
                && (outer.path.is_empty() || part.path.starts_with(&format!("{}.", outer.path)))
        };
        let mut outer = mime.parts.iter().filter(encloses);
        if outer.any(|outer| outer.boundary.as_ref() == Some(boundary)) {
            let what = format!("{of}the same boundary as that of a part around it");
            self.find(Error, part.line, what, "RFC 2046 section 5.1.2");
        }
    }

    /// Whether a content is of its encoding, and its text of its character set.
    fn content(&mut self, part: &Part<'_>) {
        let of = of_part(&part.path);
        let region = Region { octets: part.body, line: part.body_line };
        let [mut wrong, mut long, mut eight_bit] = [Tally::default(); 3];
        for line in region.lines() {
            let is_wrong = match &part.encoding[..] {
                b"base64" => !is_base64(line.text),
                b"quoted-printable" => !is_quoted_printable(line.text),
                b"7bit" => !line.text.is_ascii(),
                _ => return,
            };
            if is_wrong {
                if part.encoding == b"7bit" {
                    eight_bit.add(line.number)
                } else {
                    wrong.add(line.number)
                }
            }
            if part.encoding != b"7bit" && line.text.len() > MAX_ENCODED_LINE {
                long.add(line.number);
            }
        }
        let what = format!("{of}octets beyond ASCII in what is 7bit by its header");
        self.tallied(Error, eight_bit, &what, "RFC 2045 sections 2.7 and 6.2");
        let what = format!("{of}not {}", String::from_utf8_lossy(&part.encoding));
        self.tallied(Error, wrong, &what, "RFC 2045 sections 6.7 and 6.8");
        let what = format!("{of}an encoded line longer than 76 octets");
        self.tallied(Warning, long, &what, "RFC 2045 sections 6.7 and 6.8");
    }
}

/// `part 2.1: `, nothing for the message itself.
fn of_part(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("part {path}: ") }
}

fn is_base64(line: &[u8]) -> bool {
    let good = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b' ' | b'\t');
    line.iter().all(good)
}

/// Printable ASCII, and `=` before two hexadecimal digits or the end of the line.
fn is_quoted_printable(line: &[u8]) -> bool {
    let end = line.trim_ascii_end();
    let escapes = |at: usize| {
        let rest = &end[at + 1..];
        rest.is_empty() || rest.get(..2).and_then(hex).is_some()
    };
    line.is_ascii() && memchr::memchr_iter(b'=', end).all(escapes)
}
