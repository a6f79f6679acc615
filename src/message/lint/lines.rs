//! Checks of the octets themselves: line ends, lengths, NUL, octets beyond ASCII.

use super::{Lint, Severity, Tally};
use crate::base::BodyType;
use crate::message::header::{Header, HeaderEnd};
use crate::message::lines::{End, Region};

/// Octets of a line without its CRLF (RFC 5322 section 2.1.1).
const MUST_LINE: usize = 998;
const SHOULD_LINE: usize = 78;

#[derive(Default)]
struct Tallies {
    bare_lf: Tally,
    bare_cr: Tally,
    nul: Tally,
    control: Tally,
    too_long: Tally,
    wide: Tally,
    eight_bit: Tally,
    header_eight_bit: Tally,
    header_not_utf8: Tally,
}

impl Lint<'_> {
    pub(super) fn lines(&mut self, content: &[u8], header: &Header<'_>) {
        if content.is_empty() && !self.facts.cut {
            self.find(Severity::Error, None, "the message is empty", "RFC 5322 section 3.5");
            return;
        }
        let mut tallies = Tallies::default();
        let mut open = None;
        for line in Region::new(content).lines() {
            // All that comes before the body, the line that ends the header included.
            let in_header = line.number < header.body.line || header.end == HeaderEnd::Missing;
            tallies.look(line.text, line.number, in_header);
            match line.end {
                End::Lf => tallies.bare_lf.add(line.number),
                End::Open => open = Some(line.number),
                End::Crlf => {}
            }
        }
        self.ends(&tallies, open);
        self.lengths_and_octets(&tallies);
    }

    fn ends(&mut self, tallies: &Tallies, open: Option<usize>) {
        let rule = "RFC 5322 section 2.3, RFC 5321 section 2.3.8";
        let what = "bare LF: lines end with CRLF (bare ones are what SMTP smuggling is made of)";
        self.tallied(Severity::Error, tallies.bare_lf, what, rule);
        let what = "bare CR: CR and LF stand only together";
        self.tallied(Severity::Error, tallies.bare_cr, what, rule);
        if let Some(line) = open.filter(|_| !self.facts.cut) {
            let what = "the last line has no end";
            self.find(Severity::Warning, line, what, "RFC 5321 section 4.1.1.4");
        }
    }

    fn lengths_and_octets(&mut self, tallies: &Tallies) {
        use Severity::{Error, Note, Warning};
        let rule = "RFC 5322 section 2.1.1";
        self.tallied(Error, tallies.too_long, "longer than 998 octets", rule);
        self.tallied(Note, tallies.wide, "longer than 78 characters", rule);
        self.tallied(Error, tallies.nul, "NUL", "RFC 5322 section 3.5, RFC 2045 section 2.7");
        let what = "control characters in the header";
        self.tallied(Warning, tallies.control, what, "RFC 5322 section 4.1");
        let envelope = self.facts.envelope;
        // Without an envelope nothing is known of what was negotiated.
        let utf8 = envelope.is_none_or(|envelope| envelope.utf8);
        let severity = if utf8 { Note } else { Error };
        let what = if utf8 {
            "octets beyond ASCII in the header: only a message sent with SMTPUTF8 may have them"
        } else {
            "octets beyond ASCII in the header, without SMTPUTF8: they need encoded words"
        };
        let rule = "RFC 5322 section 2.2, RFC 6532 section 3";
        self.tallied(severity, tallies.header_eight_bit, what, rule);
        let what = "octets in the header that are not UTF-8";
        self.tallied(Error, tallies.header_not_utf8, what, "RFC 6532 section 3.1");
        if envelope.is_some_and(|e| e.body == BodyType::SevenBit && !e.utf8) {
            let what = "octets beyond ASCII, but MAIL did not say BODY=8BITMIME";
            self.tallied(Warning, tallies.eight_bit, what, "RFC 6152 section 3");
        }
    }
}

impl Tallies {
    fn look(&mut self, text: &[u8], number: usize, in_header: bool) {
        let mut seen = [false; 4];
        for octet in text {
            match octet {
                b' '..=b'~' | b'\t' => {}
                0x80.. => seen[0] = true,
                b'\r' => seen[1] = true,
                0 => seen[2] = true,
                _ => seen[3] = true,
            }
        }
        let [eight_bit, cr, nul, control] = seen;
        let rows = [
            (cr, &mut self.bare_cr),
            (nul, &mut self.nul),
            (control && in_header, &mut self.control),
            (text.len() > MUST_LINE, &mut self.too_long),
            (eight_bit && !in_header, &mut self.eight_bit),
            (eight_bit && in_header, &mut self.header_eight_bit),
        ];
        for (_, tally) in rows.into_iter().filter(|(shows, _)| *shows) {
            tally.add(number);
        }
        let not_utf8 = eight_bit && std::str::from_utf8(text).is_err();
        if not_utf8 && in_header {
            self.header_not_utf8.add(number);
        }
        // The limit of 78 is one of characters, that of 998 one of octets (RFC 6532 section 3.4).
        let wide = text.len() > SHOULD_LINE && text.len() <= MUST_LINE;
        if wide && String::from_utf8_lossy(text).chars().count() > SHOULD_LINE {
            self.wide.add(number);
        }
    }
}
