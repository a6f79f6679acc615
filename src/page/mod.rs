//! A report to keep or to hand to others: text, or one page of HTML that needs nothing else.
//!
//! A page is a title and sections, each with an answer that some command gave ([`Report`]): its
//! lines are shown as they are, and where its JSON has figures in a form that is known here there
//! is a chart beside them. So a new kind of answer can be put on a page without a word here, and
//! gets its chart when [`charts`] learns its form.
//!
//! What comes out can be opened by anybody: no script, nothing loaded from elsewhere (a policy in
//! the page forbids both), every text escaped, everything bounded (I9).

mod charts;
mod svg;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use crate::base::{Printable, Report, Wall};
use charts::charts;

/// Lines of a section that are shown.
const MAX_LINES: usize = 5000;
/// Octets of one line.
const MAX_LINE: usize = 2000;
/// Sections of a page.
const MAX_SECTIONS: usize = 50;

/// A part of a page.
#[derive(Clone, PartialEq, Debug)]
pub struct Section {
    /// Above it.
    pub title: String,
    /// What a command answered.
    pub report: Report,
}

/// A page.
#[derive(Clone, PartialEq, Debug)]
pub struct Page {
    /// What it is about.
    pub title: String,
    /// Who made it: the server's name.
    pub server: String,
    /// When.
    pub made: Wall,
    /// In this order.
    pub sections: Vec<Section>,
}

/// Text that is safe to show, and no longer than a line may be.
fn safe(text: &str) -> Printable {
    let end = (0..=MAX_LINE.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    // Answers have passed `Printable` once: their backslashes stay as they are.
    Printable::from_shown(&text[..end.unwrap_or(0)])
}

impl Page {
    fn sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().take(MAX_SECTIONS)
    }

    fn subtitle(&self) -> String {
        let server = safe(&self.server);
        format!("MailFlux {} on {server}, {}", env!("CARGO_PKG_VERSION"), self.made)
    }

    /// As text, with LF.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let title = safe(&self.title);
        let _ = writeln!(out, "{title}\n{}", "=".repeat(title.as_str().chars().count()));
        let _ = writeln!(out, "{}", self.subtitle());
        for section in self.sections() {
            let title = safe(&section.title);
            let _ = writeln!(out, "\n{title}\n{}", "-".repeat(title.as_str().chars().count()));
            for line in section.report.lines.iter().take(MAX_LINES) {
                let _ = writeln!(out, "{}", safe(line));
            }
        }
        out
    }

    /// As a page of HTML, for FILE.html.
    pub fn html(&self) -> String {
        let title = escaped(safe(&self.title).as_str());
        let mut out = format!("{HEAD}<title>{title}</title>\n{STYLE}</head>\n<body>\n");
        let _ = writeln!(out, "<h1>{title}</h1>\n<p>{}</p>", escaped(&self.subtitle()));
        for section in self.sections() {
            let _ = writeln!(out, "<section>\n<h2>{}</h2>", escaped(safe(&section.title).as_str()));
            for chart in charts(&section.report.json) {
                out.push_str(&svg::draw(&chart));
            }
            out.push_str("<pre>");
            for line in section.report.lines.iter().take(MAX_LINES) {
                let _ = writeln!(out, "{}", escaped(safe(line).as_str()));
            }
            out.push_str("</pre>\n</section>\n");
        }
        out.push_str("</body>\n</html>\n");
        out
    }

    /// In the form that a file's name asks for: HTML for `.html` and `.htm`, else text.
    pub fn for_file(&self, name: &str) -> String {
        let name = name.to_ascii_lowercase();
        if name.ends_with(".html") || name.ends_with(".htm") { self.html() } else { self.text() }
    }
}

/// Nothing is loaded and nothing runs, whatever a text should smuggle in.
const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
    style-src 'unsafe-inline'\">\n\
    <meta name=\"viewport\" content=\"width=device-width\">\n\
    <meta name=\"referrer\" content=\"no-referrer\">\n";

const STYLE: &str = "<style>\n\
    :root { color-scheme: light dark; }\n\
    body { font: 15px/1.5 system-ui, sans-serif; max-width: 76em; margin: 2em auto; \
    padding: 0 1em; }\n\
    pre { font-size: 13px; overflow-x: auto; padding: 1em; border: 1px solid #8884; \
    border-radius: 4px; }\n\
    @media print { pre { white-space: pre-wrap; overflow-wrap: anywhere; } }\n\
    svg { display: block; max-width: 100%; height: auto; }\n\
    svg text { font: 12px system-ui, sans-serif; fill: currentColor; }\n\
    .good { fill: #3a8f3a; } .odd { fill: #c98a00; } .bad { fill: #c0392b; }\n\
    .plain { fill: #3b78b5; } .faint { fill: #3b78b5; opacity: .45; }\n\
    </style>\n";

/// Text inside of HTML, also inside of an attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
