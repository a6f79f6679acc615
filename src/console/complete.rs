//! Tab, and the hint beside the prompt: what may come next, from the table of verbs, the names
//! that the server told, and the ids that were seen.

use std::collections::VecDeque;

use crate::base::{Printable, SessionId};
use crate::control::{ADD_LIST_DELETE, Hello, VERBS, Verb};
use crate::explain;
use crate::journal::FeedItem;
use crate::rules::expr::FIELD_NAMES;
use crate::rules::filter::{ACTIONS, KEYS};
use crate::rules::{At, FAULT_KEYS, fault_value};

/// Ids that are remembered, of each kind.
const MAX_IDS: usize = 64;

/// What can be completed besides verbs.
#[derive(Default, Debug)]
pub struct Names {
    settings: Vec<String>,
    next_servers: Vec<String>,
    sessions: VecDeque<SessionId>,
    messages: VecDeque<u64>,
}

impl Names {
    /// The server told its names.
    pub fn learn(&mut self, hello: &Hello) {
        let owned = |names: &[Printable]| names.iter().map(|name| name.to_string()).collect();
        self.settings = owned(&hello.settings);
        self.next_servers = owned(&hello.next_servers);
    }

    /// Ids were seen.
    pub fn see(&mut self, item: &FeedItem) {
        if let Some(id) = item.session {
            remember(&mut self.sessions, id);
        }
        if let Some(id) = item.message {
            remember(&mut self.messages, id.counter);
        }
    }
}

/// The last ones, the newest first.
fn remember<T: PartialEq>(ids: &mut VecDeque<T>, id: T) {
    if ids.front() == Some(&id) {
        return;
    }
    ids.retain(|known| *known != id);
    ids.push_front(id);
    ids.truncate(MAX_IDS);
}

/// What Tab can do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Completion {
    /// Where the word begins, in characters.
    pub from: usize,
    /// What it may become.
    pub candidates: Vec<String>,
}

impl Completion {
    /// What to write instead of the word: all of the only candidate, with a blank where another
    /// word may follow, or what all of them have in common.
    pub fn text(&self) -> Option<String> {
        let (first, others) = self.candidates.split_first()?;
        if others.is_empty() {
            let open = first.ends_with(['=', '.']);
            return Some(if open { first.clone() } else { format!("{first} ") });
        }
        let common =
            |text: &str| text.chars().zip(first.chars()).take_while(|(a, b)| a == b).count();
        let length = others.iter().map(|other| common(other)).min().unwrap_or(0);
        Some(first.chars().take(length).collect())
    }
}

/// A line before the cursor, cut for completion.
struct Cut<'a> {
    /// Whole words.
    words: Vec<&'a str>,
    /// The word at the cursor, perhaps empty.
    word: &'a str,
    /// After `where`.
    expression: bool,
}

fn cut(before: &str) -> Cut<'_> {
    let at = before
        .rfind(char::is_whitespace)
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let words: Vec<&str> = before[..at].split_whitespace().collect();
    let expression = words.contains(&"where");
    Cut { words, word: &before[at..], expression }
}

/// The verb that a word is, or is the only beginning of.
fn verb(word: &str) -> Option<&'static Verb> {
    if let Some(verb) = VERBS.iter().find(|verb| verb.name == word) {
        return Some(verb);
    }
    let mut begun = VERBS.iter().filter(|verb| verb.name.starts_with(word));
    begun.next().filter(|_| begun.next().is_none())
}

/// What the word before the cursor may become.
pub fn complete(before: &str, names: &Names) -> Completion {
    let cut = cut(before);
    if cut.expression {
        return field(before);
    }
    let mut candidates: Vec<String> = match cut.words.split_first() {
        None => VERBS.iter().map(|verb| verb.name.to_owned()).collect(),
        Some((first, words)) => match verb(first) {
            Some(verb) if cut.word.contains('=') => values(verb, cut.word),
            Some(verb) => objects(verb, words, names),
            None => vec![],
        },
    };
    if let Some(verb) = cut.words.first().and_then(|first| verb(first)) {
        if verb.name == "explain" && cut.words.len() == 1 {
            candidates.extend(explained(cut.word, names));
        }
    }
    let is_begun = |candidate: &String| {
        let start = candidate.get(..cut.word.len());
        match cut.words.first() {
            // The book is read in any case.
            Some(_) if candidates_mind_no_case(&cut) => {
                start.is_some_and(|start| start.eq_ignore_ascii_case(cut.word))
            }
            _ => start == Some(cut.word),
        }
    };
    candidates.retain(is_begun);
    Completion { from: before.chars().count() - cut.word.chars().count(), candidates }
}

fn candidates_mind_no_case(cut: &Cut<'_>) -> bool {
    cut.words.first().and_then(|first| verb(first)).is_some_and(|verb| verb.name == "explain")
}

/// What can be explained: the words of the book, settings, commands. Not before something is
/// written: they are too many.
fn explained(word: &str, names: &Names) -> Vec<String> {
    if word.is_empty() {
        return vec![];
    }
    let book = explain::entries().iter().map(|entry| entry.key);
    let verbs = VERBS.iter().map(|verb| verb.name);
    let known = book.chain(verbs).filter(|name| !name.contains(' ')).map(str::to_owned);
    let mut all: Vec<String> = known.chain(names.settings.iter().cloned()).collect();
    all.sort_by_key(|name| name.to_ascii_lowercase());
    all.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    all
}

/// What may follow a verb and these words, by its form: `ID`, `QID`, `SECTION.KEY`, `VERB`, `NAME`
/// stand for names that are known.
fn objects(verb: &Verb, words: &[&str], names: &Names) -> Vec<String> {
    if let Some(found) = rule_words(verb, words) {
        return found;
    }
    let usage = verb.usage;
    let has = |word: &str| {
        usage.split(|c: char| !c.is_alphanumeric() && c != '.').any(|part| part == word)
    };
    let mut found: Vec<String> = vec![];
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    // Names stand first where the form has them first, and words of its own follow them.
    let names_first = has("QID") || has("ID");
    let objects_now = if names_first { words.len() <= 1 } else { words.is_empty() };
    let names_now = if names_first { words.is_empty() } else { words.len() == 1 };
    if names_now || has("VERB") && words.is_empty() {
        if has("QID") || verb.name == "follow" {
            found.extend(names.messages.iter().map(|counter| format!("q{counter:X}")));
        }
        if has("ID") {
            found.extend(names.sessions.iter().map(SessionId::to_string));
        }
        if has("VERB") {
            found.extend(VERBS.iter().map(|verb| verb.name.to_owned()));
        }
        if has("SECTION.KEY") {
            found.extend(names.settings.iter().cloned());
        }
        if has("NAME") {
            found.extend(names.next_servers.iter().cloned());
        }
    }
    let pairs = verb.objects.iter().any(|object| object.ends_with('='));
    if objects_now || pairs {
        let said = |object: &&str| {
            object.ends_with('=') && words.iter().any(|word| word.starts_with(*object))
        };
        let unsaid: Vec<&str> = verb.objects.iter().copied().filter(|o| !said(o)).collect();
        found.extend(owned(&unsaid));
    } else if words.len() == 1 && verb.name == "trace" {
        found.extend(owned(crate::control::TRACES));
    }
    if words.len() == 1 && !names_first && has("where") {
        found.push("where".to_owned());
    }
    found
}

/// What may stand behind a `key=`, where the form of the verb says so: `[pace=at-once|recorded]`.
fn values(verb: &Verb, word: &str) -> Vec<String> {
    let (key, _) = word.split_once('=').unwrap_or((word, ""));
    let forms = verb.usage.split([' ', '[', ']']).filter_map(|form| form.split_once('='));
    let values = forms.filter(|(known, _)| *known == key).flat_map(|(_, all)| all.split('|'));
    // Capital letters stand for something else.
    let said = values.filter(|value| value.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
    said.map(|value| format!("{key}={value}")).collect()
}

/// What follows `break` and its like: what to do, then a stage or an action, then keys.
fn rule_words(verb: &Verb, words: &[&str]) -> Option<Vec<String>> {
    let keys: &[&str] = match verb.name {
        "break" => &["leg"],
        "fault" => &FAULT_KEYS,
        "filter" => &KEYS,
        _ => return None,
    };
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Some(match words {
        [] => owned(ADD_LIST_DELETE),
        ["add"] if verb.name == "break" => owned(&["at"]),
        ["add"] if verb.name == "filter" => owned(&ACTIONS),
        ["add"] | ["add", "at"] => owned(&At::NAMES),
        ["add", ..] => {
            let keys = keys.iter().chain(&["name"]).map(|key| format!("{key}="));
            let unsaid = keys.filter(|key| !words.iter().any(|word| word.starts_with(&**key)));
            unsaid.chain(["where".to_owned()]).collect()
        }
        ["delete"] => owned(&["all"]),
        _ => vec![],
    })
}

/// The field that is being written in an expression; nothing inside a string.
fn field(before: &str) -> Completion {
    let in_string = before.matches('"').count() % 2 == 1;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let start = before
        .rfind(|c| !is_name(c))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let word = &before[start..];
    let fields = FIELD_NAMES.iter().filter(|name| !in_string && name.starts_with(word));
    Completion {
        from: before[..start].chars().count(),
        candidates: fields.map(|name| (*name).to_owned()).collect(),
    }
}

/// The form of the command that is being typed, and what it does.
pub fn hint(line: &str) -> Option<String> {
    let cut = cut(line);
    if cut.expression {
        return Some(format!("fields: {}", FIELD_NAMES.join(" ")));
    }
    let first = cut.words.first().copied().unwrap_or(cut.word);
    if first.is_empty() {
        return None;
    }
    if let Some(verb) = verb(first) {
        if let (Some((key, _)), "fault") = (cut.word.split_once('='), verb.name) {
            if let Some(value) = fault_value(key) {
                return Some(format!("{key}=  {value}"));
            }
        }
        return Some(format!("{}  ({})", verb.usage, verb.help));
    }
    let begun = VERBS.iter().filter(|verb| verb.name.starts_with(first));
    let names: Vec<&str> = begun.map(|verb| verb.name).collect();
    (!names.is_empty()).then(|| names.join("  "))
}

#[cfg(test)]
mod tests {
    use super::super::samples::event;
    use super::*;
    use crate::base::MessageId;

    fn names() -> Names {
        let mut names = Names::default();
        let printable = |names: &[&str]| names.iter().map(Printable::new).collect();
        names.learn(&Hello {
            version: String::new(),
            hostname: Printable::default(),
            pid: 1,
            settings: printable(&["queue.interval", "queue.expire", "server.listen"]),
            next_servers: printable(&["backup", "mx1", "mx2"]),
        });
        for (session, counter) in [("i7", 26), ("o3", 27), ("i7", 26), ("i8", 26)] {
            let mut item = event(1, session, "x");
            item.message = Some(MessageId { arrived: 1, counter });
            names.see(&item);
        }
        names
    }

    fn tab(line: &str) -> String {
        let completion = complete(line, &names());
        let text = completion.text().unwrap_or_default();
        let kept: String = line.chars().take(completion.from).collect();
        match completion.candidates.len() {
            0 => line.to_owned(),
            1 => kept + &text,
            _ => format!("{kept}{text}| {}", completion.candidates.join(" ")),
        }
    }

    #[test]
    fn everything_the_grammar_has() {
        for (line, want) in [
            ("stat", "stat| status stats"),
            ("fl", "flush "),
            ("help anal", "help analyse "),
            ("xyz", "xyz"),
            ("xyz a", "xyz a"),
            ("session i", "session i| i8 i7"),
            ("session i7 l", "session i7 ladder "),
            ("show q", "show q1| q1A q1B"),
            ("show q1A h", "show q1A h| headers hops"),
            ("hold w", "hold where "),
            ("follow o", "follow o3 "),
            ("follow q1B", "follow q1B "),
            ("config s", "config s| set save"),
            ("config set q", "config set queue.| queue.interval queue.expire"),
            ("config get server.l", "config get server.listen "),
            ("next pause mx", "next pause mx| mx1 mx2"),
            ("next p", "next p| probe pause"),
            ("next pa", "next pause "),
            ("trace on s", "trace on smtp "),
            ("check cl", "check client="),
            ("check client=1.2.3.4 r", "check client=1.2.3.4 rcpt="),
            ("check client=1.2.3.4 cl", "check client=1.2.3.4 cl"),
            ("break a", "break add "),
            ("break add ", "break add at "),
            ("break add at rs", "break add at rset "),
            ("break add at rcpt l", "break add at rcpt leg="),
            ("break add at rcpt leg=in l", "break add at rcpt leg=in l"),
            ("fault add dot c", "fault add dot c| cut= count="),
            ("explain greyl", "explain greylisting "),
            ("explain starttl", "explain STARTTLS "),
            ("explain queue.in", "explain queue.interval "),
            ("explain ", "explain | i8 i7 o3"),
            ("replay f to h:25 se", "replay f to h:25 session="),
            ("replay f to h:25 session=", "replay f to h:25 session="),
            ("replay f to h:25 tls=i", "replay f to h:25 tls=implicit "),
            ("replay f to h:25 pace=", "replay f to h:25 pace=| pace=at-once pace=recorded"),
            ("break add at rcpt leg=o", "break add at rcpt leg=out "),
            ("fault add st", "fault add starttls "),
            ("filter add re", "filter add re| reject redirect"),
            ("filter add route v", "filter add route via="),
            ("filter d", "filter delete "),
            ("break del", "break delete "),
            ("break delete a", "break delete all "),
            ("step i", "step i| i8 i7"),
            ("analyse la", "analyse latency "),
            ("queue where si", "queue where size "),
            ("queue a", "queue age "),
            ("queue where (he", "queue where (he| header. helo"),
            ("queue where !hea", "queue where !header."),
            ("queue where from==\"si", "queue where from==\"si"),
            ("q 日本", "q 日本"),
        ] {
            assert_eq!(tab(line), want, "{line}");
        }
    }

    #[test]
    fn hints_say_the_form() {
        assert_eq!(hint(""), None);
        assert!(hint("config s").unwrap().starts_with("config get|set|diff"));
        assert!(hint("show q1A h").unwrap().starts_with("show QID"));
        assert_eq!(hint("stat").unwrap(), "status  stats");
        assert!(hint("queue where ").unwrap().contains("rcpt"));
        assert_eq!(hint("nonsense"), None);
    }
}
