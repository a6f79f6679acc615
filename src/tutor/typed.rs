//! What a student types where the tutor sits.

use super::Tutor;

/// What a line is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Typed {
    /// For the server, as it is.
    Line,
    /// For the tutor, who says this.
    Words(Vec<String>),
    /// Begin a session here.
    Connect,
    /// Follow a session that is spoken elsewhere: this one, or the next that begins.
    Watch(String),
    /// A command to the server beside the session, such as `explain 503`.
    Command,
    /// Enough.
    Leave,
}

/// The words for the tutor.
pub(super) const WORDS: [(&str, &str); 8] = [
    ("hint", "what to do now, once more"),
    ("skip", "go on with the next lesson"),
    ("lesson N", "go to another lesson"),
    ("connect", "begin a session here; Enter does it, too"),
    ("watch [ID]", "follow a session that you speak elsewhere, with telnet or nc"),
    ("explain WORD", "also show, session, sessions and status: commands beside the session"),
    ("help", "these words"),
    ("quit", "leave; so do Ctrl-D and Ctrl-C"),
];

/// Commands that only look, and are answered at once.
const COMMANDS: [&str; 5] = ["explain", "show", "session", "sessions", "status"];

impl Tutor {
    /// Whether a line is one that the tutor would take outside of a message.
    pub fn is_word(line: &str) -> bool {
        let word = line.trim();
        WORDS.iter().any(|(known, _)| *known == word)
    }

    /// Reads a line. `connected`: a session goes on here, so an empty line is for the server.
    pub fn typed(&mut self, line: &str, connected: bool) -> Typed {
        if connected && self.takes_content() {
            return Typed::Line;
        }
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let rest = rest.trim();
        match (word, rest) {
            ("hint", "") => Typed::Words(self.hint()),
            ("skip", "") => Typed::Words(self.skip()),
            ("help", "") => Typed::Words(self.help()),
            ("lesson", number) => Typed::Words(self.go_to(number.parse().unwrap_or(0))),
            ("connect", "") => Typed::Connect,
            ("watch", id) => Typed::Watch(id.to_owned()),
            ("quit", "") => Typed::Leave,
            ("", "") if !connected => Typed::Connect,
            (word, _) if COMMANDS.contains(&word) => Typed::Command,
            _ => Typed::Line,
        }
    }
}
