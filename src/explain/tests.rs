//! The book is whole: its references lead somewhere, and whatever this server can say is in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::base::Printable;

fn keys(asked: &str) -> Vec<&'static str> {
    find(asked).map_or(vec![], |found| found.entries.iter().map(|entry| entry.key).collect())
}

fn lines(asked: &str) -> Vec<String> {
    report(asked).map_or(vec![], |report| report.lines)
}

#[test]
fn every_entry_is_whole() {
    assert!(entries().len() > 350);
    for entry in entries() {
        let key = entry.key;
        assert!(!key.is_empty() && entry.meaning.len() > 5, "{key}: {:?}", entry.meaning);
        assert!(!entry.who.is_empty() && !entry.see.is_empty(), "{key} lacks who or see");
        assert!(entry.meaning.ends_with('.') || entry.meaning.ends_with('?'), "{key}");
        assert!(entry.who.ends_with('.') && entry.gist().len() < 200, "{key}");
        let standard = entry.rfc.starts_with("RFC ") || entry.rfc.starts_with("none");
        assert!(standard, "{key}: {}", entry.rfc);
        assert_eq!(entry.of.is_some(), entry.kind == Kind::Parameter, "{key}");
    }
}

#[test]
fn references_lead_somewhere_and_no_name_is_given_twice() {
    let mut names = BTreeSet::new();
    for entry in entries() {
        for name in entry.names() {
            let fresh = names.insert((entry.kind.name(), name.to_ascii_lowercase()));
            assert!(fresh, "two entries for the {} '{name}'", entry.kind.name());
        }
        for see in &entry.see {
            let found = entries().iter().any(|other| other != entry && other.is(see));
            assert!(found, "{}: see '{see}' leads nowhere", entry.key);
        }
    }
}

#[test]
fn every_answer_fits_a_screen() {
    for name in entries().iter().flat_map(Entry::names) {
        for line in lines(name) {
            assert!(line.chars().count() <= 80, "{name}: {line}");
            assert_eq!(Printable::from_shown(&*line).as_str(), line);
        }
    }
}

/// All files of the source that are no tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// The source's text, tests cut off.
fn code() -> Vec<(PathBuf, String)> {
    let mut paths = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut paths);
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        (path, text[..end].to_owned())
    };
    paths.into_iter().map(text).collect()
}

/// The numbers behind each occurrence of `head`, up to the parenthesis that closes.
fn numbers(text: &str, head: &str) -> Vec<Vec<u16>> {
    let one = |(at, _): (usize, &str)| {
        let inside = text[at + head.len()..].split([')', '"']).next().unwrap_or_default();
        let numbers = inside.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
        numbers.filter_map(|n| n.parse().ok()).collect()
    };
    text.match_indices(head).map(one).collect()
}

#[test]
fn every_code_that_the_server_can_say_is_explained() {
    let (mut replies, mut statuses) = (BTreeSet::new(), BTreeSet::new());
    for (path, text) in code() {
        // Tuples that become codes stand in one file.
        let heads = if path.ends_with("server/replies.rs") {
            &["Enhanced(", "= ("][..]
        } else {
            &["Enhanced("]
        };
        for head in heads {
            for status in numbers(&text, head).into_iter().filter(|n| n.len() == 3) {
                statuses.insert((status[1], status[2]));
            }
        }
        for head in ["say(", "Reply::fixed(", "Reply::bare(", "Reply::made("] {
            for n in numbers(&text, head) {
                match n[..] {
                    [code] | [code, _, _, _] => {
                        replies.insert(code);
                    }
                    _ => {}
                }
                if let [_, _, subject, detail] = n[..] {
                    statuses.insert((subject, detail));
                }
            }
        }
    }
    replies.retain(|code| (200..600).contains(code));
    statuses.retain(|(subject, _)| *subject < 10);
    assert!(replies.len() > 15 && statuses.len() > 15, "{replies:?} {statuses:?}");
    for code in replies {
        assert!(keys(&code.to_string()).contains(&&*code.to_string()), "{code}");
    }
    for (subject, detail) in statuses {
        let key = format!("x.{subject}.{detail}");
        assert!(entries().iter().any(|e| e.kind == Kind::Enhanced && e.key == key), "{key}");
    }
}

#[test]
fn every_state_has_an_entry() {
    let mut seen = 0;
    for (path, text) in code() {
        let Some(at) = text.find("pub fn state_name") else { continue };
        let body = &text[at..at + text[at..].find("\n    }\n").unwrap()];
        for name in body.split('"').skip(1).step_by(2) {
            let found = entries().iter().any(|e| e.kind == Kind::State && e.is(name));
            assert!(found, "{}: the state '{name}' is not in the book", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 20, "{seen}");
    for name in ["pending", "deferred", "delivered", "failed", "ready", "backing off", "paused"] {
        assert!(entries().iter().any(|e| e.kind == Kind::State && e.is(name)), "{name}");
    }
}

#[test]
fn the_registries_are_complete() {
    // IANA: SMTP enhanced status codes; SMTP service extensions.
    let details = [(0, 0), (1, 10), (2, 4), (3, 5), (4, 7), (5, 6), (6, 10), (7, 30)];
    for (subject, last) in details {
        for detail in 0..=last {
            let key = format!("x.{subject}.{detail}");
            assert!(entries().iter().any(|e| e.key == key), "{key}");
        }
    }
    for keyword in [
        "SEND",
        "SOML",
        "SAML",
        "EXPN",
        "HELP",
        "TURN",
        "8BITMIME",
        "SIZE",
        "VERB",
        "ONEX",
        "CHUNKING",
        "BINARYMIME",
        "CHECKPOINT",
        "DELIVERBY",
        "PIPELINING",
        "DSN",
        "ETRN",
        "ENHANCEDSTATUSCODES",
        "STARTTLS",
        "NO-SOLICITING",
        "MTRK",
        "SUBMITTER",
        "ATRN",
        "AUTH",
        "FUTURERELEASE",
        "CONPERM",
        "CONNEG",
        "SMTPUTF8",
        "MT-PRIORITY",
        "RRVS",
        "REQUIRETLS",
        "BURL",
        "UTF8SMTP",
        "LIMITS",
    ] {
        assert!(entries().iter().any(|e| e.kind == Kind::Extension && e.is(keyword)), "{keyword}");
    }
    for code in [
        211, 214, 220, 221, 235, 250, 251, 252, 334, 354, 421, 432, 450, 451, 452, 454, 455, 500,
        501, 502, 503, 504, 521, 523, 524, 525, 530, 534, 535, 538, 550, 551, 552, 553, 554, 555,
        556,
    ] {
        assert_eq!(keys(&code.to_string()), [code.to_string()]);
    }
}

#[test]
fn words_are_found() {
    for (asked, want) in [
        ("rcpt", &["RCPT", "rcpt", "rcpt"][..]),
        (" RCPT TO ", &["RCPT"]),
        ("'dsn'", &["DSN"]),
        ("4.7.1", &["x.7.1", "4.x.x"]),
        ("X.7.1", &["x.7.1"]),
        ("5.7.99", &["x.7.x", "5.x.x"]),
        ("4.7", &["x.7.x", "4.x.x"]),
        ("299", &["2yz"]),
        ("466", &["4yz"]),
        ("550 5.7.1 relaying denied", &["550", "x.7.1", "5.x.x"]),
        ("550-5.1.1 no such user", &["550", "x.1.1", "5.x.x"]),
        ("451 not now", &["451"]),
        ("250-PIPELINING", &["250", "PIPELINING"]),
        ("BODY=8BITMIME", &["BODY"]),
        ("MAIL FROM:<a@b> SIZE=5 BODY=8BITMIME", &["MAIL", "SIZE", "BODY"]),
        ("AUTH PLAIN AGEAYg==", &["AUTH", "PLAIN"]),
        ("auth", &["AUTH", "AUTH", "AUTH", "auth"]),
        ("->", &["->"]),
        ("<~", &["<~"]),
        (".", &["."]),
        ("<>", &["null reverse path"]),
        ("dial: connection refused (os error 111)", &["connection refused"]),
        ("invalid peer certificate: UnknownIssuer", &["unknown issuer"]),
        ("backing-off", &["backing off"]),
    ] {
        assert_eq!(keys(asked), want, "{asked}");
    }
}

#[test]
fn what_is_special_is_said_first() {
    for (asked, want) in [
        ("5.7.99", "5.7.99 is not registered"),
        ("299", "299 is in no standard"),
        ("550 4.7.1 x", "the two codes contradict each other: 550 and 4.7.1"),
    ] {
        assert!(lines(asked)[0].starts_with(want), "{asked}: {:?}", lines(asked)[0]);
    }
}

#[test]
fn strangers_get_suggestions() {
    for (asked, want) in [
        ("rcptt", "did you mean 'RCPT'?"),
        ("STARTLTS", "did you mean 'STARTTLS'?"),
        ("certificate", "'certificate expired'"),
        ("zzzzzzzz", "is not in the book; try a command"),
        ("", "what is to be explained?"),
    ] {
        let error = report(asked).unwrap_err();
        assert!(error.contains(want), "{asked}: {error}");
    }
}

#[test]
fn anything_may_be_asked() {
    for asked in [
        "\x1b[2J",
        "ü".repeat(1000).as_str(),
        "5.",
        "5.7.",
        ".7.1",
        "999",
        "2\u{202e}0",
        "x.x.x",
        "250-",
        "250 9.9.9",
        "5.7.1.2",
        "5.77777.1",
        "\0",
    ] {
        if let Err(error) = report(asked) {
            assert_eq!(Printable::from_shown(&*error).as_str(), error);
        }
    }
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..2000 {
        let asked: String = (0..random.usize(..12)).map(|_| random.char(' '..'~')).collect();
        let _ = report(&asked);
    }
}

#[test]
fn an_answer_for_people_and_for_programs() {
    let report = report("NOTIFY").unwrap();
    assert_eq!(
        report.lines,
        [
            "NOTIFY (parameter of RCPT)",
            "  When the sender wants to hear: NEVER, or any of SUCCESS, FAILURE and DELAY,",
            "  joined by commas. Without it a failure is reported, and a delay perhaps.",
            "  who   a client whose server offered DSN.",
            "  do    NEVER stands alone.",
            "  where RFC 3461 section 4.1",
            "  see   DSN, ORCPT, NEVER, SUCCESS, FAILURE, DELAY",
        ]
    );
    assert_eq!(report.json["entries"][0]["kind"], "parameter");
    assert_eq!(report.json["entries"][0]["see"][0], "DSN");
}
