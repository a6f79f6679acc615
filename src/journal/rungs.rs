//! The rungs of a session with a next server: how far it came, and how long each step took.

use std::time::Duration;

use super::dialogue::{Dialogue, Verb};
use super::{Line, Side, Sign};
use crate::base::{Printable, Time, Wall};

/// A step of a session.
#[derive(Clone, PartialEq, Debug)]
pub struct Rung {
    /// `tcp`, `greeting`, `tls`, `ehlo`, `auth`, `mail`, `rcpt`; `dns` where a name was looked up.
    pub name: &'static str,
    /// Whether the step was done.
    pub good: bool,
    /// How long it took.
    pub took: Duration,
    /// What was said.
    pub text: Printable,
}

/// Reads the rungs off a transcript.
pub fn rungs(lines: &[Line<'_>]) -> Vec<Rung> {
    let Some(first) = lines.first() else { return Vec::new() };
    let time = |at: Wall| Time::from_micros(at.since(first.at).as_micros() as u64);
    let mut dialogue = Dialogue::new(time(first.at));
    let mut found: Vec<Rung> = Vec::new();
    // A login has steps of its own, whose lines are no commands.
    let mut in_login = false;
    for line in lines {
        let Sign::Said { side, .. } = line.sign else {
            if let Some((name, good)) = event(line.text) {
                add(
                    &mut found,
                    Rung { name, good, took: line.delay, text: Printable::new(line.text) },
                );
            }
            continue;
        };
        let heard = dialogue.line(side, line.text, time(line.at));
        let Some(answer) = heard.answer.filter(|_| side == Side::Server) else { continue };
        let name = match answer.verb {
            Verb::Connect => "greeting",
            Verb::Ehlo | Verb::Helo => "ehlo",
            Verb::StartTls => "tls",
            Verb::Auth => "auth",
            Verb::Other if in_login => "auth",
            Verb::Mail => "mail",
            Verb::Rcpt => "rcpt",
            _ => continue,
        };
        in_login = name == "auth" && answer.code == 334;
        let good = answer.code < 400;
        let took = time(line.at).since(answer.asked);
        add(&mut found, Rung { name, good, took, text: Printable::new(line.text) });
    }
    found
}

/// A later word about a step counts: HELO after EHLO was refused, EHLO again inside TLS.
fn add(found: &mut Vec<Rung>, rung: Rung) {
    match found.iter_mut().find(|known| known.name == rung.name) {
        // The reply to STARTTLS and then the handshake: both took time, the last word counts.
        Some(known) => *known = Rung { took: known.took + rung.took, ..rung },
        None => found.push(rung),
    }
}

/// Which step an event tells of, and whether that was done.
fn event(text: &[u8]) -> Option<(&'static str, bool)> {
    let starts = |words: &str| text.starts_with(words.as_bytes());
    if starts("connected to ") {
        Some(("tcp", true))
    } else if starts("no TLS") {
        Some(("tls", false))
    } else if starts("TLS") {
        Some(("tls", true))
    } else if starts("resolved ") {
        Some(("dns", true))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Mark;

    #[test]
    fn a_login_is_one_rung_with_its_last_word() {
        let said = |side| Sign::Said { side, tls: true };
        let script: [(Sign, &[u8]); 8] = [
            (Sign::Event, b"connected to smart (192.0.2.1:587)"),
            (said(Side::Server), b"220 hello"),
            (said(Side::Client), b"AUTH LOGIN ***"),
            (said(Side::Server), b"334 ***"),
            (said(Side::Client), b"***"),
            (said(Side::Server), b"535 5.7.8 no"),
            (said(Side::Client), b"NOOP"),
            (said(Side::Server), b"250 ok"),
        ];
        let line = |(sign, text): &(Sign, &'static [u8])| Line {
            at: Wall::from_micros(0),
            delay: Duration::ZERO,
            sign: *sign,
            mark: Mark::Plain,
            text,
            cut: false,
        };
        let found = rungs(&script.iter().map(line).collect::<Vec<_>>());
        let names: Vec<(&str, bool)> = found.iter().map(|r| (r.name, r.good)).collect();
        assert_eq!(names, [("tcp", true), ("greeting", true), ("auth", false)]);
        assert_eq!(found[2].text.as_str(), "535 5.7.8 no");
    }

    #[test]
    fn rungs_are_read_off_a_transcript() {
        let said = |side, tls| Sign::Said { side, tls };
        let (client, server) = (Side::Client, Side::Server);
        let script: [(Sign, &[u8]); 14] = [
            (Sign::Event, b"connected to smart (192.0.2.1:587)"),
            (said(server, false), b"220 hello"),
            (said(client, false), b"EHLO me"),
            (said(server, false), b"250-smart"),
            (said(server, false), b"250 STARTTLS"),
            (said(client, false), b"STARTTLS"),
            (said(server, false), b"220 go"),
            (Sign::Event, b"TLS 1.3, AES"),
            (said(client, true), b"EHLO me"),
            (said(server, true), b"250 smart"),
            (said(client, true), b"MAIL FROM:<>"),
            (said(server, true), b"250 ok"),
            (said(client, true), b"RCPT TO:<postmaster>"),
            (said(server, true), b"550 5.7.1 no"),
        ];
        let lines: Vec<Line<'_>> = (0..)
            .zip(&script)
            .map(|(n, (sign, text))| Line {
                at: Wall::from_micros(n * 1000),
                delay: Duration::from_millis(1),
                sign: *sign,
                mark: Mark::Plain,
                text,
                cut: false,
            })
            .collect();
        let found = rungs(&lines);
        let names: Vec<(&str, bool, u128)> =
            found.iter().map(|r| (r.name, r.good, r.took.as_millis())).collect();
        let expected = [
            ("tcp", true, 1),
            ("greeting", true, 1),
            ("ehlo", true, 3),
            ("tls", true, 2),
            ("mail", true, 1),
            ("rcpt", false, 1),
        ];
        assert_eq!(names, expected);
        assert_eq!(found[5].text.as_str(), "550 5.7.1 no");
        assert!(rungs(&[]).is_empty());
    }
}
