//! The language of `*.smtp`: a scripted conversation between a client and this server.
//!
//! | line | meaning |
//! | ---- | ------- |
//! | `# text` | a comment |
//! | `set NAME VALUE` | a setting of `[server]`, before the first word; also those below |
//! | `set starttls on`, `set tls on` | TLS is offered, is there |
//! | `set tls exporter` | and a login can be bound to it |
//! | `set auth optional`, `set auth required` | `user` with `pencil` may, must log in |
//! | `C: text` | the client says this line; CRLF is added |
//! | `c: text` | the client says these octets; nothing is added |
//! | `S: text` | the server's next line begins so |
//! | `S* CODE` | the rest of a reply with this code, at least one line |
//! | `M: FROM -> TO, TO` | the next message that is kept; `<>` is the empty sender |
//! | `B: text`, `b: text` | its content, with and without CRLF |
//! | `X:` | the server closes; it has nothing more to say |
//! | `V: STAGE VERDICT` | the gate's next answer at this stage: `drop`, `discard`, or a reply |
//! | `V: commit REPLY` | the next commit fails; `V: spool REPLY`: the next storing of content |
//! | `T: SECONDS` | time passes, and nothing happens meanwhile |
//! | `D:` | the server is told to end |
//!
//! Escapes: `\r \n \t \\ \xHH`, and `\{text*COUNT}` for a text so many times. Client lines that
//! follow each other go out together: that is pipelining. Before the client speaks, and at the end,
//! the server must have said nothing that the script does not know, and kept no such message.
//! A dialog without `V: T: D:` can be had with any server that takes mail from this client.

/// One step of a dialog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    Say(Vec<u8>),
    Hear(Vec<u8>),
    HearRest(String),
    Message(Message),
    Closed,
    /// Stage, or `commit` or `spool`, and the words of the verdict.
    Verdict(String, String),
    Wait(u64),
    Shutdown,
}

/// A message that the server took.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Empty for `<>`.
    pub from: String,
    pub to: Vec<String>,
    pub content: Vec<u8>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let content = self.content[..self.content.len().min(400)].escape_ascii();
        write!(f, "<{}> -> {:?}, {} octets: {content}", self.from, self.to, self.content.len())
    }
}

/// A dialog as written.
#[derive(Clone, Debug)]
pub struct Dialog {
    pub name: String,
    pub settings: Vec<(String, String)>,
    /// With the line number of each.
    pub steps: Vec<(usize, Step)>,
}

/// The server in a dialog, whatever it is.
pub trait Server {
    /// The client says this.
    fn say(&mut self, octets: &[u8]);
    /// The next line of the server, without CRLF; none when it closed or has nothing to say.
    fn line(&mut self) -> Option<Vec<u8>>;
    /// What it said beyond what `line` gave.
    fn unheard(&mut self) -> Vec<u8>;
    /// Whether it closed.
    fn is_closed(&mut self) -> bool;
    /// The next message it kept, in order.
    fn message(&mut self) -> Option<Message>;
    /// Does what only a machine in the hand can do: verdicts, time, the end of the server.
    fn direct(&mut self, step: &Step);
}

impl Dialog {
    /// Reads a dialog; panics with the line where it cannot be read.
    pub fn parse(name: &str, text: &str) -> Dialog {
        let mut dialog = Dialog { name: name.into(), settings: vec![], steps: vec![] };
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let known = dialog.read(number, line);
            assert!(known.is_some(), "{name}:{number}: what is {line:?}?");
        }
        dialog
    }

    fn read(&mut self, number: usize, line: &str) -> Option<()> {
        if let Some(setting) = line.strip_prefix("set ") {
            let (name, value) = setting.split_once(' ')?;
            self.settings.push((name.into(), value.into()));
            return Some(());
        }
        let (kind, text) = line.split_at_checked(2)?;
        let text = text.strip_prefix(' ').unwrap_or(text);
        let step = match kind {
            "C:" | "c:" => {
                let said = octets(text, kind == "C:")?;
                if let Some((_, Step::Say(before))) = self.steps.last_mut() {
                    before.extend_from_slice(&said);
                    return Some(());
                }
                Step::Say(said)
            }
            "B:" | "b:" => {
                let Some((_, Step::Message(message))) = self.steps.last_mut() else { return None };
                message.content.extend_from_slice(&octets(text, kind == "B:")?);
                return Some(());
            }
            "S:" => Step::Hear(octets(text, false)?),
            "S*" => Step::HearRest(text.into()),
            "M:" => {
                let text = String::from_utf8(octets(text, false)?).ok()?;
                let (from, to) = text.split_once(" -> ")?;
                let from = if from == "<>" { "" } else { from }.to_owned();
                let to = to.split(", ").map(String::from).collect();
                Step::Message(Message { from, to, content: Vec::new() })
            }
            "X:" => Step::Closed,
            "V:" => {
                let (stage, words) = text.split_once(' ')?;
                Step::Verdict(stage.into(), words.into())
            }
            "T:" => Step::Wait(text.parse().ok()?),
            "D:" => Step::Shutdown,
            _ => return None,
        };
        self.steps.push((number, step));
        Some(())
    }

    /// Whether only a machine in the hand can take part.
    pub fn needs_machine(&self) -> bool {
        let special = |s: &Step| matches!(s, Step::Verdict(..) | Step::Wait(_) | Step::Shutdown);
        self.needs_tls() || self.steps.iter().any(|(_, step)| special(step))
    }

    /// Whether TLS is offered or there, or AUTH, which needs it.
    pub fn needs_tls(&self) -> bool {
        self.settings.iter().any(|(name, _)| name.ends_with("tls") || name == "auth")
    }

    /// Plays the client against a server; panics where the dialog goes another way.
    pub fn play(&self, server: &mut impl Server, how: &str) {
        for (number, step) in &self.steps {
            let at = || format!("{}:{number} ({how})", self.name);
            match step {
                Step::Say(octets) => {
                    assert_silent(server, &at());
                    server.say(octets);
                }
                Step::Hear(want) => hear(server, want, &at()),
                Step::HearRest(code) => loop {
                    let line = server.line().unwrap_or_else(|| panic!("{}: nothing", at()));
                    assert!(line.starts_with(code.as_bytes()), "{}: {}", at(), line.escape_ascii());
                    if line.get(3) != Some(&b'-') {
                        break;
                    }
                },
                Step::Message(want) => {
                    assert_eq!(server.message().as_ref(), Some(want), "{}", at())
                }
                Step::Closed => {
                    assert_silent(server, &at());
                    assert!(server.is_closed(), "{}: still open", at());
                }
                Step::Verdict(..) | Step::Wait(_) | Step::Shutdown => server.direct(step),
            }
        }
        assert_silent(server, &format!("{} at the end ({how})", self.name));
        assert_eq!(server.message(), None, "{} at the end ({how})", self.name);
    }
}

fn hear(server: &mut impl Server, want: &[u8], at: &str) {
    let line = server.line();
    let line = line.unwrap_or_else(|| panic!("{at}: nothing; wanted {}", want.escape_ascii()));
    // A whole code or a whole word, not the beginning of another one.
    let rest = line.strip_prefix(want);
    let good = rest.is_some_and(|r| matches!(r, [] | [b' ' | b'-', ..]) || want.ends_with(b" "));
    assert!(good, "{at}: {}; wanted {}", line.escape_ascii(), want.escape_ascii());
}

fn assert_silent(server: &mut impl Server, at: &str) {
    let unheard = server.unheard();
    assert!(unheard.is_empty(), "{at}: unheard: {}", unheard.escape_ascii());
}

/// A text with its escapes resolved.
fn octets(text: &str, line: bool) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        let (escape, after) = after.split_at_checked(1)?;
        rest = after;
        match escape {
            "r" => out.push(b'\r'),
            "n" => out.push(b'\n'),
            "t" => out.push(b'\t'),
            "\\" => out.push(b'\\'),
            "x" => {
                let (hex, after) = after.split_at_checked(2)?;
                out.push(u8::from_str_radix(hex, 16).ok()?);
                rest = after;
            }
            "{" => {
                let (inside, after) = after.split_once('}')?;
                let (text, count) = inside.rsplit_once('*')?;
                out.extend_from_slice(&octets(text, false)?.repeat(count.parse().ok()?));
                rest = after;
            }
            _ => return None,
        }
    }
    out.extend_from_slice(rest.as_bytes());
    if line {
        out.extend_from_slice(b"\r\n");
    }
    Some(out)
}

/// All dialogs of this folder, by name.
pub fn all() -> Vec<Dialog> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogs");
    let mut found: Vec<Dialog> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "smtp"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            Dialog::parse(&name, &std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

#[test]
fn escapes() {
    let read = |text: &str| octets(text, false);
    assert_eq!(read(r"a\r\n\x00\xff\\").unwrap(), b"a\r\n\0\xff\\");
    assert_eq!(read(r"<\{ab\n*3}>").unwrap(), b"<ab\nab\nab\n>");
    for wrong in [r"\", r"\q", r"\x1", r"\xgg", r"\{a", r"\{a*}", r"\{a}"] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
    let steps = Dialog::parse("x", "C: a\nC: b\nS: 250\nM: <> -> x@y\nB: c\n").steps;
    assert_eq!(steps[0].1, Step::Say(b"a\r\nb\r\n".to_vec()));
    assert!(matches!(&steps[2].1, Step::Message(m) if m.content == b"c\r\n" && m.from.is_empty()));
}
