//! A session of the transcript, explained: each line with its note, or one line in full.

use serde_json::{Value, json};

use super::Commentator;
use super::report::wrap;
use crate::base::{Leg, Printable, Report};
use crate::journal::Line;

/// Lines of a session that are annotated in one answer.
const MAX_LINES: usize = 2000;
/// Octets of a line that are shown.
const MAX_TEXT: usize = 200;

fn commentator(leg: Leg, complete: bool) -> Commentator {
    if complete { Commentator::new(leg) } else { Commentator::in_the_middle(leg) }
}

/// `explain i7`: all lines, each with its number and its note. A session is complete when its
/// beginning is among the lines.
pub fn explain_session(leg: Leg, complete: bool, lines: &[Line<'_>]) -> Report {
    let mut commentator = commentator(leg, complete);
    let (mut shown, mut rows): (Vec<String>, Vec<Value>) = <(Vec<_>, Vec<_>)>::default();
    for (i, line) in lines.iter().enumerate().take(MAX_LINES) {
        let comment = commentator.hear(line.sign, line.text);
        let text = Printable::bounded(line.text, MAX_TEXT);
        let sign = line.sign.as_str();
        shown.push(format!("{:>4} {sign:>3} {text}", i + 1));
        wrap(&mut shown, "           ", &comment.note);
        for breach in &comment.breaches {
            let what = format!("{} ({})", breach.what, breach.rfc);
            wrap(&mut shown, "        ** ", &what);
        }
        let breaches = comment.breaches.iter().map(|b| json!({ "what": b.what, "rfc": b.rfc }));
        rows.push(json!({
            "line": i + 1, "sign": sign, "text": text, "note": comment.note,
            "breaches": breaches.collect::<Vec<Value>>(),
        }));
    }
    if lines.len() > MAX_LINES {
        shown.push(format!("(and {} lines more)", lines.len() - MAX_LINES));
    }
    Report { json: json!({ "complete": complete, "lines": rows }), lines: shown }
}

/// `explain i7:11`: one line, counted from 1, with all that the book says of it. None when there is
/// no such line.
pub fn explain_line(leg: Leg, complete: bool, lines: &[Line<'_>], number: usize) -> Option<Report> {
    let (line, before) = lines.get(..number)?.split_last()?;
    let mut commentator = commentator(leg, complete);
    for earlier in before {
        commentator.hear(earlier.sign, earlier.text);
    }
    let comment = commentator.hear(line.sign, line.text);
    Some(comment.report(line.sign, line.text))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::Wall;
    use crate::journal::{Mark, Side, Sign};

    fn lines<'a>(script: &[&'a str]) -> Vec<Line<'a>> {
        let line = |text: &&'a str| {
            let (side, text) = text.split_at(2);
            let side = if side == "C:" { Side::Client } else { Side::Server };
            Line {
                at: Wall::from_secs(0),
                delay: Duration::ZERO,
                sign: Sign::Said { side, tls: false },
                mark: Mark::Plain,
                text: text.as_bytes(),
                cut: false,
            }
        };
        script.iter().map(line).collect()
    }

    #[test]
    fn a_session_with_notes() {
        let lines = lines(&["S:220 x", "C:DATA"]);
        let report = explain_session(Leg::In, true, &lines);
        let want = [
            "   1  <- 220 x",
            "           MailFlux is ready",
            "   2  -> DATA",
            "           the client asks to send the message",
            "        ** DATA before EHLO or HELO (RFC 5321 section 4.1.4)",
        ];
        assert_eq!(report.lines, want);
        assert_eq!(report.json["lines"][1]["breaches"][0]["what"], "DATA before EHLO or HELO");
        // Who did not hear the beginning blames nobody.
        let report = explain_session(Leg::In, false, &lines);
        assert_eq!(report.json["lines"][1]["breaches"], json!([]));
    }

    #[test]
    fn one_line_in_its_place() {
        let lines = lines(&["S:220 x", "C:EHLO x", "S:250-x", "S:250 DSN"]);
        let report = explain_line(Leg::In, true, &lines, 4).unwrap();
        assert_eq!(report.lines[0], "<- 250 DSN");
        assert!(report.lines[1].starts_with("  offers DSN: Delivery status notifications"));
        for none in [0, 5, usize::MAX] {
            assert_eq!(explain_line(Leg::In, true, &lines, none), None);
        }
    }
}
