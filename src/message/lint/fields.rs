//! Checks of the header: which fields there are, how often, and what they say.

use super::{Lint, Severity, Tally, quote};
use crate::base::{Address, Domain};
use crate::message::charset;
use crate::message::date::Date;
use crate::message::header::{Header, HeaderEnd, HeaderField};
use crate::message::structured::{Mailbox, Piece, angle, mailboxes, pieces};
use crate::message::words;

use Severity::{Error, Note, Warning};

/// Fields that come at most once (RFC 5322 section 3.6, RFC 2045 section 3).
const ONCE: [&str; 14] = [
    "Date",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Subject",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];
/// The date may be so far ahead of the arrival, and so far behind.
const AHEAD_S: i64 = 3600;
const BEHIND_S: i64 = 7 * 86_400;

impl Lint<'_> {
    pub(super) fn fields(&mut self, header: &Header<'_>) {
        self.shape(header);
        for name in ONCE {
            let lines: Vec<usize> = header.all(name).map(|field| field.line).collect();
            if let [_, second, ..] = lines[..] {
                let what = format!("{name} stands here for the second time; it may come once");
                let rule = "RFC 5322 section 3.6";
                self.find(Error, second, what, rule);
            }
        }
        self.date(header);
        self.originators(header);
        self.destinations(header);
        self.message_id(header);
        self.encoded_words(header);
    }

    fn shape(&mut self, header: &Header<'_>) {
        let (line, cut) = (header.end_line, self.facts.cut);
        if header.mbox {
            let what = "a line of a mailbox file, 'From …', is no field and does not belong here";
            self.find(Error, 1, what, "RFC 5322 section 2.2");
        }
        match header.end {
            HeaderEnd::NoField => {
                let what = "not a field, and no blank line before it: taken for the body's first";
                self.find(Error, line, what, "RFC 5322 section 2.1");
            }
            HeaderEnd::Missing if !cut && !header.fields.is_empty() => {
                let what = "no blank line after the header, and no body";
                self.find(Note, line, what, "RFC 5322 section 2.1");
            }
            _ => {}
        }
        let (mut spaced, mut blank, mut wrong) = <(Tally, Tally, Tally)>::default();
        for field in &header.fields {
            if field.spaced {
                spaced.add(field.line);
            }
            let mut folds = field.value.split(|b| *b == b'\n').skip(1);
            if folds.any(|fold| fold.trim_ascii().is_empty()) {
                blank.add(field.line);
            }
            if !field.name.iter().all(u8::is_ascii_graphic) {
                wrong.add(field.line);
            }
        }
        let what = "blanks between a field's name and its colon";
        self.tallied(Warning, spaced, what, "RFC 5322 section 4.5");
        let what = "a fold of blanks only: some programs take it for the end of the header";
        self.tallied(Warning, blank, what, "RFC 5322 section 3.2.2");
        let what = "a field's name with octets beyond ASCII";
        self.tallied(Error, wrong, what, "RFC 5322 section 2.2");
    }

    fn date(&mut self, header: &Header<'_>) {
        let Some(field) = header.first("Date") else {
            return self.missing(header, "Date", Error, "RFC 5322 section 3.6");
        };
        let value = field.unfolded();
        let Some(date) = Date::parse(&value) else {
            let what = format!("Date is no date: {}", quote(&value));
            return self.find(Error, field.line, what, "RFC 5322 section 3.3");
        };
        if date.obsolete {
            let what = format!("Date in the obsolete syntax: {}", quote(&value));
            self.find(Warning, field.line, what, "RFC 5322 section 4.3");
        }
        if date.wrong_weekday {
            let what = format!("the day of the week is not that of the date: {}", quote(&value));
            self.find(Error, field.line, what, "RFC 5322 section 3.3");
        }
        let Some(arrived) = self.facts.arrived else { return };
        let ahead_s = date.at.as_secs() - arrived.as_secs();
        if ahead_s > AHEAD_S {
            let what = format!("Date is {} h after the arrival here", ahead_s / 3600);
            self.find(Warning, field.line, what, "RFC 5322 section 3.6.1");
        } else if ahead_s < -BEHIND_S {
            let what = format!("Date is {} days before the arrival here", -ahead_s / 86_400);
            self.find(Note, field.line, what, "RFC 5322 section 3.6.1");
        }
    }

    fn missing(&mut self, header: &Header<'_>, name: &str, weight: Severity, rfc: &'static str) {
        // A header that was cut may have had it.
        if !(self.facts.cut && header.end == HeaderEnd::Missing) {
            self.find(weight, None, format!("no {name} field"), rfc);
        }
    }

    fn originators(&mut self, header: &Header<'_>) {
        let Some(field) = header.first("From") else {
            return self.missing(header, "From", Error, "RFC 5322 section 3.6");
        };
        let authors = mailboxes(&field.unfolded());
        self.are_addresses(field, &authors);
        let sender = header.first("Sender");
        match (&authors[..], sender) {
            ([], _) => {
                let what = "From names nobody";
                self.find(Error, field.line, what, "RFC 5322 section 3.6.2");
            }
            ([_, _, ..], None) => {
                let what = "From names several authors, and no Sender says which of them sent it";
                self.find(Error, field.line, what, "RFC 5322 section 3.6.2");
            }
            _ => {}
        }
        if let Some(sender) = sender {
            let senders = mailboxes(&sender.unfolded());
            self.are_addresses(sender, &senders);
            if senders.len() != 1 {
                let what = "Sender names one mailbox";
                self.find(Error, sender.line, what, "RFC 5322 section 3.6.2");
            }
        }
        self.alignment(field, &authors);
    }

    /// From against the envelope: what SPF has checked says something about From only when the two
    /// are of one domain (RFC 7489 section 3.1).
    fn alignment(&mut self, field: &HeaderField<'_>, authors: &[Mailbox]) {
        let Some(envelope) = self.facts.envelope else { return };
        let Some(sender) = &envelope.from else { return };
        let domain = |address: &Address| match address.domain() {
            Some(Domain::Name(name)) => name.to_ascii_lowercase(),
            _ => String::new(),
        };
        let ours = domain(sender);
        // One the other's subdomain is alignment in the relaxed way, as near as can be said
        // without a list of public suffixes.
        let aligned = |author: &Mailbox| {
            author.as_ref().is_ok_and(|author| {
                let theirs = domain(author);
                theirs == ours
                    || theirs.ends_with(&format!(".{ours}"))
                    || ours.ends_with(&format!(".{theirs}"))
            })
        };
        if !authors.is_empty() && !authors.iter().any(aligned) {
            let what = format!(
                "From is of another domain than the envelope's sender {}: only a DKIM signature \
                 can align it for DMARC",
                quote(sender.as_str().as_bytes())
            );
            self.find(Note, field.line, what, "RFC 7489 section 3.1");
        }
    }

    fn are_addresses(&mut self, field: &HeaderField<'_>, found: &[Mailbox]) {
        for octets in found.iter().filter_map(|mailbox| mailbox.as_ref().err()) {
            let name = String::from_utf8_lossy(field.name).into_owned();
            let what = format!("{name} has something that is no address: {}", quote(octets));
            self.find(Error, field.line, what, "RFC 5322 section 3.4");
        }
    }

    fn destinations(&mut self, header: &Header<'_>) {
        let names = ["To", "Cc", "Bcc"];
        let mut named: Vec<Mailbox> = Vec::new();
        for name in names {
            if let Some(field) = header.first(name) {
                let found = mailboxes(&field.unfolded());
                self.are_addresses(field, &found);
                named.extend(found);
            }
        }
        if !names.iter().any(|name| header.first(name).is_some()) && !self.facts.cut {
            let what = "neither To nor Cc nor Bcc: allowed, but filters do not like it";
            self.find(Note, None, what, "RFC 5322 section 3.6.3");
        }
        if let Some(bcc) = header.first("Bcc").filter(|bcc| !bcc.unfolded().is_empty()) {
            let what = "Bcc names recipients to all who read this";
            self.find(Warning, bcc.line, what, "RFC 5322 section 3.6.3");
        }
        if let Some(path) = header.first("Return-Path") {
            let what = "Return-Path is for the last server to write, at final delivery";
            self.find(Warning, path.line, what, "RFC 5321 section 4.4");
        }
        let Some(envelope) = self.facts.envelope else { return };
        let is_named = |to: &Address| named.iter().flatten().any(|a| same_mailbox(a, to));
        if !named.is_empty() && !envelope.recipients.iter().any(|to| is_named(&to.address)) {
            let what =
                "no recipient of the envelope is named in To or Cc: Bcc, a list or a forward";
            self.find(Note, None, what, "RFC 5321 section 7.2");
        }
    }

    fn message_id(&mut self, header: &Header<'_>) {
        let Some(field) = header.first("Message-ID") else {
            return self.missing(header, "Message-ID", Warning, "RFC 5322 section 3.6.4");
        };
        let value = field.unfolded();
        if !is_message_id(&value) {
            let what = format!("Message-ID is not <left@right>: {}", quote(&value));
            self.find(Error, field.line, what, "RFC 5322 section 3.6.4");
        }
    }

    fn encoded_words(&mut self, header: &Header<'_>) {
        let [mut broken, mut long, mut strange, mut quoted] = [Tally::default(); 4];
        for field in &header.fields {
            let value = field.unfolded();
            for word in words::find(&value) {
                let known = charset::is_known(word.charset);
                let fits = word.octets.as_deref().map(|o| charset::decode(word.charset, o));
                match (fits, known) {
                    (None, _) | (Some(None), true) => broken.add(field.line),
                    (_, false) => strange.add(field.line),
                    _ => {}
                }
                if word.end - word.start > words::MAX_WORD {
                    long.add(field.line);
                }
            }
            let hides = |piece: Piece<'_>| match piece {
                Piece::Quoted(text) => words::find(text).next().is_some(),
                _ => false,
            };
            if is_structured(field) && pieces(&value).any(hides) {
                quoted.add(field.line);
            }
        }
        let what = "an encoded word that cannot be decoded (encodings are B and Q)";
        self.tallied(Error, broken, what, "RFC 2047 sections 2 and 4");
        let what = "an encoded word longer than 75 characters";
        self.tallied(Warning, long, what, "RFC 2047 section 2");
        let what = "an encoded word in a quoted string, where it stands for itself";
        self.tallied(Warning, quoted, what, "RFC 2047 section 5");
        let what = "an encoded word in a character set that is not known here";
        self.tallied(Note, strange, what, "RFC 2047 section 3");
    }
}

/// Fields in which quotes mean something.
fn is_structured(field: &HeaderField<'_>) -> bool {
    ["From", "Sender", "Reply-To", "To", "Cc", "Bcc"].iter().any(|name| field.is(name))
}

/// Domains are compared without regard to case, local parts as they are (RFC 5321 section 2.4).
fn same_mailbox(a: &Address, b: &Address) -> bool {
    let domain = |address: &Address| match address.domain() {
        Some(Domain::Name(text) | Domain::Literal(text)) => text.to_ascii_lowercase(),
        None => String::new(),
    };
    a.local_part() == b.local_part() && domain(a) == domain(b)
}

/// `<left@right>`, once, without blanks inside.
fn is_message_id(value: &[u8]) -> bool {
    let Some(inside) = angle(value) else { return false };
    let mut sides = inside.splitn(2, |b| *b == b'@');
    let full = |side: Option<&[u8]>| side.is_some_and(|s| !s.is_empty());
    let clean = |b: &u8| !matches!(b, 0..=b' ' | b'<' | b'>' | 0x7f);
    full(sides.next()) && full(sides.next()) && inside.iter().all(clean)
}
