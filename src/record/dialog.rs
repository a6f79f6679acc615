//! A recorded inbound session as a dialog test, in the language of `tests/dialogs/*.smtp`.
//!
//! Of our replies the code and the enhanced code are kept, whose meaning stays when words change.
//! Content is made up; what the gate refused is refused there in the test, too. A login cannot be
//! kept, since its secrets are not recorded.

use super::content::{chunk_of, size_of};
use crate::base::Printable;
use crate::journal::{Conversation, Kept, Side, Sign, Subject, Verb};

/// The dialog; or why there is none.
pub fn dialog(conversation: &Conversation) -> Result<Vec<u8>, String> {
    let id = conversation.id;
    if !conversation.complete {
        return Err(format!("the beginning of {id} is not kept"));
    }
    let mut script = Script::default();
    for (i, line) in conversation.lines.iter().enumerate() {
        match line.sign {
            Sign::Said { side: Side::Client, .. } => script.command(line)?,
            Sign::Said { side: Side::Server, .. } => script.reply(&conversation.lines, i),
            Sign::Event => script.event(line),
        }
    }
    let mut out = format!("# Session {id} as it was recorded; content is made up.\n");
    if script.starttls {
        out.push_str("set starttls on\n");
    }
    out.push_str(&script.out);
    Ok(out.into_bytes())
}

/// A message of the session, so far.
#[derive(Clone, Default)]
struct Mail {
    from: String,
    to: Vec<String>,
    content: String,
}

#[derive(Default)]
struct Script {
    out: String,
    starttls: bool,
    /// The last command, and what it says.
    verb: Option<Verb>,
    command: String,
    mail: Mail,
    /// Octets of content that went on after DATA.
    size: u64,
    accepted: bool,
    closed: bool,
}

impl Script {
    fn command(&mut self, line: &Kept) -> Result<(), String> {
        if line.cut {
            return Err("a line was too long to be kept whole".into());
        }
        let verb = Verb::of_line(&line.text);
        if verb == Verb::Auth {
            return Err("a login cannot be kept: its secrets are not recorded".into());
        }
        self.verb = Some(verb);
        self.command = String::from_utf8_lossy(&line.text).into_owned();
        self.out.push_str(&format!("C: {}\n", escaped(&line.text)));
        if let Some(size) = chunk_of(&line.text) {
            let chunk = format!("\\{{x*{size}}}");
            if size > 0 {
                self.out.push_str(&format!("c: {chunk}\n"));
                self.mail.content.push_str(&format!("b: {chunk}\n"));
            }
        }
        Ok(())
    }

    fn event(&mut self, line: &Kept) {
        match line.subject {
            Subject::Content if self.verb == Some(Verb::Data) => {
                self.size = size_of(&line.text).unwrap_or(0);
            }
            Subject::Accepted => self.accepted = true,
            Subject::Closed if self.closed => self.out.push_str("X:\n"),
            _ => {}
        }
    }

    fn reply(&mut self, lines: &[Kept], at: usize) {
        let text = &lines[at].text;
        let continues = text.get(3) == Some(&b'-');
        let code = String::from_utf8_lossy(text.get(..3).unwrap_or_default()).into_owned();
        // Of a reply of several lines the last one stands for all.
        if continues {
            return;
        }
        let several = at > 0
            && matches!(lines[at - 1].sign, Sign::Said { side: Side::Server, .. })
            && lines[at - 1].text.get(3) == Some(&b'-');
        let after_content = matches!(self.verb, Some(Verb::Data)) && self.size > 0;
        if after_content {
            self.content();
        }
        let head = head_of(text);
        if let Some(stage) = self.refused_at(&code, &head, after_content) {
            // The gate speaks before the reply is heard, and before the command in the script.
            let verdict = format!("V: {stage} {}\n", String::from_utf8_lossy(text));
            let place = self.out.rfind("C: ").filter(|_| stage != "connect" && !after_content);
            self.out.insert_str(place.unwrap_or(self.out.len()), &verdict);
        }
        self.out.push_str(&match several {
            true => format!("S* {code}\n"),
            false => format!("S: {head}\n"),
        });
        self.settle(&code, after_content);
    }

    /// The content of a message: its size is in a comment, since the trace header counts in it.
    fn content(&mut self) {
        self.out.push_str(&format!("# {} octets of content with its trace header\n", self.size));
        self.out.push_str("C: Subject: recorded\nC:\nC: .\n");
        self.mail.content = "B: Subject: recorded\nB:\n".into();
    }

    /// The stage at which the gate refused, if it was the gate.
    fn refused_at(&self, code: &str, head: &str, after_content: bool) -> Option<&'static str> {
        let refused = code.starts_with('4') || code.starts_with('5');
        // The machine's own: syntax and order (RFC 5321 section 4.3.2), limits and time-outs.
        let own = matches!(code, "500" | "501" | "502" | "503" | "504" | "555" | "421" | "552")
            || head.starts_with("452 4.5.3")
            || head.starts_with("554 5.5.");
        if !refused || own {
            return None;
        }
        match self.verb {
            None => Some("connect"),
            Some(Verb::Ehlo | Verb::Helo) => Some("helo"),
            Some(Verb::Mail) => Some("mail"),
            Some(Verb::Rcpt) => Some("rcpt"),
            Some(Verb::Data) if after_content => Some("dot"),
            Some(Verb::Data) => Some("data"),
            _ => None,
        }
    }

    /// What a reply brings about.
    fn settle(&mut self, code: &str, after_content: bool) {
        let good = code.starts_with('2');
        match self.verb {
            Some(Verb::Mail) if good => {
                let from = path(&self.command);
                self.mail = Mail { from, ..Mail::default() };
            }
            Some(Verb::Rcpt) if good => self.mail.to.push(path(&self.command)),
            Some(Verb::StartTls) if code == "220" => self.starttls = true,
            _ => {}
        }
        if std::mem::take(&mut self.accepted) {
            let Mail { from, to, content } = std::mem::take(&mut self.mail);
            let from = if from.is_empty() { "<>".to_owned() } else { from };
            let names = format!("{from} -> {}", to.join(", "));
            self.out.push_str(&format!("M: {}\n{content}", escaped(names.as_bytes())));
        }
        if after_content {
            (self.size, self.verb) = (0, Some(Verb::Dot));
        }
        self.closed = code == "221" || code == "421";
    }
}

/// Code and enhanced code of a line.
fn head_of(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut words = text.split(' ');
    let code = words.next().unwrap_or("").to_owned();
    let enhanced = words.next().filter(|word| {
        let mut parts = word.split('.');
        let number = |part: Option<&str>| part.is_some_and(|part| part.parse::<u16>().is_ok());
        number(parts.next())
            && number(parts.next())
            && number(parts.next())
            && parts.next().is_none()
    });
    enhanced.map_or(code.clone(), |enhanced| format!("{code} {enhanced}"))
}

/// The address in the angle brackets of a command.
fn path(command: &str) -> String {
    let inside = command.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>'));
    inside.map_or(String::new(), |(path, _)| path.to_owned())
}

fn push_octets(out: &mut String, octets: &[u8]) {
    octets.iter().for_each(|b| out.push_str(&format!("\\x{b:02x}")));
}

/// A line as the script writes it: what a terminal must not get is there as its octets.
fn escaped(text: &[u8]) -> String {
    let mut out = String::new();
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                '\n' => out.push_str("\\n"),
                c if Printable::is_safe(c) => out.push(c),
                c => push_octets(&mut out, c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        push_octets(&mut out, chunk.invalid());
    }
    // A blank at the end would be lost to editors.
    match out.strip_suffix(' ') {
        Some(rest) => format!("{rest}\\x20"),
        None => out,
    }
}
