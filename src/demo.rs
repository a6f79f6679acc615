//! Sample mail for `--demo`: what a small office sends in a day, made up from a seed.
//!
//! All names are those that RFC 2606 sets aside, so a sample that escapes reaches nobody.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::{Address, Wall};

/// One message to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sample {
    /// The reverse path; none is `<>`.
    pub from: Option<Address>,
    /// To whom; never empty, no one twice.
    pub recipients: Vec<Address>,
    /// Header and body, each line with CRLF. ASCII but for some messages in UTF-8.
    pub content: Vec<u8>,
}

impl Sample {
    /// Whether the body needs 8BITMIME.
    pub fn is_8bit(&self) -> bool {
        !self.content.is_ascii()
    }
}

/// Makes samples; the same seed makes the same ones.
#[derive(Debug)]
pub struct Samples {
    random: fastrand::Rng,
    number: u64,
}

const PEOPLE: &[(&str, &str)] = &[
    ("Ann Archer", "ann@example.com"),
    ("Bob Brook", "bob@example.org"),
    ("Carol Carver", "carol@example.net"),
    ("Dave Dale", "dave@sales.example.com"),
    ("Eve Easton", "eve@example.org"),
    ("Frank Field", "frank+lists@example.net"),
    ("Grace Grove", "grace.grove@lab.example.org"),
    ("Heidi Hill", "heidi@example.com"),
    ("The build", "ci@build.example.net"),
    ("Night shift", "\"night shift\"@example.com"),
];

const SUBJECTS: &[&str] = &[
    "Minutes of this morning",
    "Lunch?",
    "Re: the offer for the new office",
    "Build 4711 is green again",
    "Your invoice",
    "Fwd: holiday plans",
    "Backup finished without errors",
    "A question about the report",
    "Welcome to the team",
    "Reminder: dentist on Thursday",
];

const SENTENCES: &[&str] = &[
    "Thank you for the quick answer.",
    "I have put the figures into the table below.",
    "Could you have a look before noon?",
    "The train was late, as ever.",
    "Nobody has touched that machine since spring.",
    "Let us talk about it on the phone.",
    "The second draft is much better than the first.",
    "Please do not print this.",
    "See you on Monday.",
    "It works on my machine.",
];

impl Samples {
    /// Samples of this seed.
    pub fn new(seed: u64) -> Samples {
        Samples { random: fastrand::Rng::with_seed(seed), number: 0 }
    }

    /// The next one, written now.
    pub fn sample(&mut self, now: Wall) -> Sample {
        self.number += 1;
        let sender = self.pick(PEOPLE);
        let recipients = self.recipients();
        let mut content = self.header(sender, &recipients, now);
        match self.random.u32(..100) {
            0..60 => self.text(&mut content),
            60..75 => self.unicode(&mut content),
            75..85 => self.dots(&mut content),
            85..97 => self.attachment(&mut content, 4 << 10..64 << 10),
            _ => self.attachment(&mut content, 300 << 10..2 << 20),
        }
        // Now and then a notice, from nobody.
        let from = (self.random.u32(..20) > 0).then(|| address(sender.1));
        let recipients = recipients.iter().map(|person| address(person.1)).collect();
        Sample { from, recipients, content: content.into_bytes() }
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.random.usize(..list.len())]
    }

    /// One mostly, sometimes a few, rarely everybody.
    fn recipients(&mut self) -> Vec<(&'static str, &'static str)> {
        let count = match self.random.u32(..20) {
            0..14 => 1,
            14..19 => self.random.usize(2..5),
            _ => PEOPLE.len(),
        };
        let mut people = PEOPLE.to_vec();
        self.random.shuffle(&mut people);
        people.truncate(count);
        people
    }

    fn header(&mut self, from: (&str, &str), to: &[(&str, &str)], now: Wall) -> String {
        let people = to.iter().map(|(name, address)| format!("{name} <{address}>"));
        let to = people.collect::<Vec<_>>().join(",\r\n ");
        let ((name, address), subject) = (from, self.pick(SUBJECTS));
        let id = format!("{}.{}.{:x}", now.as_secs(), self.number, self.random.u32(..));
        format!(
            "Date: {}\r\nFrom: {name} <{address}>\r\nTo: {to}\r\nSubject: {subject}\r\n\
             Message-ID: <{id}@demo.example.com>\r\nMIME-Version: 1.0\r\n",
            now.rfc5322()
        )
    }

    fn paragraph(&mut self, out: &mut String) {
        for _ in 0..self.random.usize(1..6) {
            let sentence = self.pick(SENTENCES);
            let _ = write!(out, "{sentence}\r\n");
        }
        out.push_str("\r\n");
    }

    fn text(&mut self, out: &mut String) {
        out.push_str("Content-Type: text/plain; charset=us-ascii\r\n\r\n");
        for _ in 0..self.random.usize(1..8) {
            self.paragraph(out);
        }
    }

    /// Needs 8BITMIME.
    fn unicode(&mut self, out: &mut String) {
        out.push_str("Content-Type: text/plain; charset=utf-8\r\n");
        out.push_str("Content-Transfer-Encoding: 8bit\r\n\r\n");
        self.paragraph(out);
        out.push_str("Grüße aus Zürich — 日本からもよろしく ✓\r\n");
    }

    /// Lines that a careless mail program would end the message at.
    fn dots(&mut self, out: &mut String) {
        out.push_str("Content-Type: text/plain; charset=us-ascii\r\n\r\n");
        self.paragraph(out);
        out.push_str(".\r\n..\r\n.hidden\r\n");
        self.paragraph(out);
    }

    fn attachment(&mut self, out: &mut String, octets: std::ops::Range<usize>) {
        const EDGE: &str = "=_demo";
        let _ = write!(out, "Content-Type: multipart/mixed; boundary=\"{EDGE}\"\r\n\r\n");
        let _ = write!(out, "--{EDGE}\r\n");
        self.text(out);
        let _ = write!(
            out,
            "--{EDGE}\r\nContent-Type: application/octet-stream; name=\"figures.bin\"\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n"
        );
        let length = self.random.usize(octets);
        let mut line = [0; 57];
        for _ in 0..length.div_ceil(line.len()) {
            self.random.fill(&mut line);
            STANDARD.encode_string(line, out);
            out.push_str("\r\n");
        }
        let _ = write!(out, "--{EDGE}--\r\n");
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("the addresses above are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(seed: u64) -> impl Iterator<Item = Sample> {
        let mut samples = Samples::new(seed);
        (0..).map(move |n| samples.sample(Wall::from_secs(1_787_510_546 + n)))
    }

    #[test]
    fn samples_are_proper_mail() {
        for sample in samples(1).take(500) {
            let text = std::str::from_utf8(&sample.content).unwrap();
            let (header, _) = text.split_once("\r\n\r\n").unwrap();
            for field in ["Date: ", "From: ", "To: ", "Subject: ", "Message-ID: <"] {
                assert_eq!(header.matches(field).count(), 1, "{header}");
            }
            assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains(['\r', '\n']));
            assert!(text.lines().all(|line| line.len() <= 998));
            assert!(!sample.recipients.is_empty());
            let all: std::collections::HashSet<_> = sample.recipients.iter().collect();
            assert_eq!(all.len(), sample.recipients.len());
        }
    }

    #[test]
    fn samples_differ_in_every_way_that_matters() {
        let all: Vec<Sample> = samples(2).take(500).collect();
        assert!(all.iter().any(|s| s.from.is_none()));
        assert!(all.iter().any(|s| s.is_8bit()) && all.iter().any(|s| !s.is_8bit()));
        assert!(all.iter().any(|s| s.recipients.len() > 5));
        assert!(all.iter().any(|s| s.content.len() < 1000));
        assert!(all.iter().any(|s| s.content.len() > 300 << 10));
        assert!(all.iter().any(|s| s.content.windows(5).any(|w| w == b"\r\n.\r\n")));
    }

    #[test]
    fn a_seed_makes_the_same_samples_again() {
        assert!(samples(3).take(20).eq(samples(3).take(20)));
        assert!(!samples(3).take(20).eq(samples(4).take(20)));
    }
}
