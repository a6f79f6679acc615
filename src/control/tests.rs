//! The grammar as people type it.

use std::time::Duration;

use super::*;
use crate::journal::Analysis;
use crate::rules::Expr;

fn ok(line: &str) -> Command {
    Command::parse(line).unwrap_or_else(|e| panic!("{line}: {e}"))
}

fn wrong(line: &str) -> (usize, String) {
    let e = Command::parse(line).expect_err(line);
    (e.column, e.message)
}

fn expr(source: &str) -> Expr {
    Expr::parse(source).unwrap()
}

fn follow(what: Follow, notes: Option<bool>) -> Command {
    Command::Follow { what, notes }
}

#[test]
fn every_form() {
    let minutes = |m: u64| Some(Duration::from_secs(m * 60));
    let i7 = "i7".parse().unwrap();
    let messages = |action, which| Command::Messages { action, which };
    for (line, want) in [
        ("help", Command::Help(None)),
        ("help stats", Command::Help(Some("stats"))),
        ("  status  ", Command::Status),
        ("stats", Command::Stats { reset: false }),
        ("stats reset", Command::Stats { reset: true }),
        ("quit", Command::Quit { now: false }),
        ("quit now", Command::Quit { now: true }),
        ("sessions", Command::Sessions { last: None }),
        ("sessions last=10m", Command::Sessions { last: minutes(10) }),
        ("session i7", Command::Session { id: i7, view: SessionView::Lines }),
        ("session i7 ladder", Command::Session { id: i7, view: SessionView::Ladder }),
        ("session i7 raw", Command::Session { id: i7, view: SessionView::Raw }),
        ("session i7 hex", Command::Session { id: i7, view: SessionView::Hex }),
        ("follow", follow(Follow::All, None)),
        ("follow notes=on", follow(Follow::All, Some(true))),
        ("follow i7", follow(Follow::Session(i7), None)),
        ("follow notes=off q1A", follow(Follow::Message(26), Some(false))),
        ("follow where reply >= 400", follow(Follow::Where(expr("reply >= 400")), None)),
        ("mark", Command::Mark(String::new())),
        ("mark here  it \"is  now\"", Command::Mark("here it is  now".into())),
        ("pause", Command::Pause),
        ("resume", Command::Resume),
        ("queue", Command::Queue { age: false, filter: None }),
        ("queue age", Command::Queue { age: true, filter: None }),
        (
            "queue where rcpt ~ \"a  \\\"b\" && size > 1M",
            Command::Queue { age: false, filter: Some(expr("rcpt ~ \"a  \\\"b\" && size > 1M")) },
        ),
        ("show q1A", Command::Show { message: 26, part: ShowPart::Envelope }),
        ("show 6a8b3f12-00001a mime", Command::Show { message: 26, part: ShowPart::Mime }),
        ("show q1a headers", Command::Show { message: 26, part: ShowPart::Headers }),
        ("show q1a hops", Command::Show { message: 26, part: ShowPart::Hops }),
        ("show q1a attempts", Command::Show { message: 26, part: ShowPart::Attempts }),
        ("show q1a lint", Command::Show { message: 26, part: ShowPart::Lint }),
        ("show q1a raw", Command::Show { message: 26, part: ShowPart::Raw }),
        ("hold q1A", messages(MessageAction::Hold, Which::Message(26))),
        ("release q1A", messages(MessageAction::Release, Which::Message(26))),
        ("retry q1A", messages(MessageAction::Retry, Which::Message(26))),
        ("bounce q1A", messages(MessageAction::Bounce, Which::Message(26))),
        ("delete where tls", messages(MessageAction::Delete, Which::Where(expr("tls")))),
        ("confirm", Command::Confirm),
        ("flush", Command::Flush),
        ("config get", Command::Config(ConfigCommand::Get(None))),
        ("config get a.b", Command::Config(ConfigCommand::Get(Some("a.b".into())))),
        (
            "config set server.relay_from 127.0.0.0/8, ::1",
            Command::Config(ConfigCommand::Set(
                "server.relay_from".into(),
                "127.0.0.0/8, ::1".into(),
            )),
        ),
        ("config set a.b \"\"", Command::Config(ConfigCommand::Set("a.b".into(), "".into()))),
        (
            "config set log.level smtp=trace",
            Command::Config(ConfigCommand::Set("log.level".into(), "smtp=trace".into())),
        ),
        ("config diff", Command::Config(ConfigCommand::Diff)),
        ("config save", Command::Config(ConfigCommand::Save)),
        ("config reload", Command::Config(ConfigCommand::Reload)),
        ("analyse latency", Command::Analyse { what: Analysis::Latency, last: None }),
        ("analyse sizes last=1h", Command::Analyse { what: Analysis::Sizes, last: minutes(60) }),
        ("analyse senders", Command::Analyse { what: Analysis::Senders, last: None }),
        ("analyse recipients", Command::Analyse { what: Analysis::Recipients, last: None }),
        ("analyse clients", Command::Analyse { what: Analysis::Clients, last: None }),
        ("analyse codes", Command::Analyse { what: Analysis::Codes, last: None }),
        ("explain 550 5.7.1", Command::Explain("550 5.7.1".into())),
        ("trace on smtp", Command::Trace { on: true, what: "smtp" }),
        ("trace on tls", Command::Trace { on: true, what: "tls" }),
        ("trace on dns", Command::Trace { on: true, what: "dns" }),
        ("trace off queue", Command::Trace { on: false, what: "queue" }),
        ("log smtp=trace,info", Command::Log("smtp=trace,info".into())),
        ("next list", Command::Next(NextCommand::List)),
        ("next pause relay", Command::Next(NextCommand::Pause("relay".into()))),
        ("next resume relay", Command::Next(NextCommand::Resume("relay".into()))),
    ] {
        assert_eq!(ok(line), want, "{line}");
    }
    let check = |line| match ok(line) {
        Command::Check(mail) => *mail,
        other => panic!("{other:?}"),
    };
    let mail = check("check rcpt=<a@b> client=::1 from=c@d");
    let from = mail.from.unwrap();
    let shown = (mail.client.to_string(), from.as_str(), mail.rcpt.as_str());
    assert_eq!(shown, ("::1".into(), "c@d", "a@b"));
    assert_eq!((mail.helo, mail.size, mail.tls, mail.user), (None, None, false, None));
    for null in ["check client=::1 from= rcpt=a@b", "check client=::1 rcpt=\"a@b\" from=<>"] {
        assert_eq!(check(null).from, None, "{null}");
    }
    let mail = check(
        "check client=::1 rcpt=a@b helo=h size=1K tls=yes user=ann subject=\"a b\" header.X-A=1",
    );
    assert_eq!((mail.helo.as_deref(), mail.size), (Some("h"), Some(1024)));
    assert_eq!((mail.tls, mail.user.as_deref()), (true, Some("ann")));
    let header: Vec<(&str, &str)> =
        mail.header.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(header, [("subject", "a b"), ("X-A", "1")]);
}

#[test]
fn filters() {
    let add = |line| match ok(line) {
        Command::Filter(FilterCommand::Add(new)) => new,
        other => panic!("{other:?}"),
    };
    for line in [
        "filter add reject \"550 5.7.1 not here\" name=no where rcpt ~ \"@x=$\" && tls",
        "filter add reject 550 5.7.1 not here name=no where rcpt ~ \"@x=$\" && tls",
        "filter add reject name=no reply=\"550 5.7.1 not here\" where  rcpt ~ \"@x=$\" && tls ",
    ] {
        let new = add(line);
        assert_eq!(new.name.as_deref(), Some("no"), "{line}");
        let words = [
            ("action", "reject"),
            ("reply", "550 5.7.1 not here"),
            ("where", "rcpt ~ \"@x=$\" && tls"),
        ];
        assert!(new.words.iter().map(|(k, v)| (*k, v.as_str())).eq(words), "{line}: {new:?}");
    }
    let new = add("filter add tag header=\"X-A: b=c\" stage=dot");
    assert_eq!(new.name, None);
    assert_eq!(new.words[1], ("header", "X-A: b=c".to_owned()));
    assert_eq!(ok("filter list"), Command::Filter(FilterCommand::List));
    assert_eq!(ok("filter delete all"), Command::Filter(FilterCommand::Delete(None)));
    let f1 = FilterCommand::Delete(Some("f1".into()));
    assert_eq!(ok("filter delete f1"), Command::Filter(f1));
    for (line, column, hint) in [
        ("filter", 7, "one of add, list, delete"),
        ("filter add", 11, "what to do"),
        ("filter add rejcet", 12, "did you mean 'reject'"),
        ("filter add reject \"250 ok\"", 19, "not a refusal"),
        ("filter add reject 550 no reply=\"550 no\"", 32, "said twice"),
        ("filter add hold \"550 no\"", 17, "reply means nothing for 'hold'"),
        ("filter add redirect to=ann", 24, "not an address"),
        ("filter add redirect", 12, "redirect needs to"),
        ("filter add hold whre tls", 17, "reply means nothing"),
        ("filter add tag header=X", 23, "not a header field"),
        ("filter add hold colour=red", 17, "unknown 'colour='"),
        ("filter add hold name=all", 22, "not a name"),
        ("filter add hold name=\"a b\"", 22, "not a name"),
        ("filter add hold where tls && verb == rcpt", 30, "a filter cannot ask for 'verb'"),
        ("filter add hold where", 22, "expected a field"),
        ("filter delete", 14, "the name of a filter"),
        ("filter list f1", 13, "too much"),
    ] {
        let (at, message) = wrong(line);
        assert_eq!(at, column, "{line}: {message}");
        assert!(message.contains(hint), "{line}: {message}");
    }
}

#[test]
fn words_may_be_shortened_while_unique() {
    assert_eq!(ok("statu"), Command::Status);
    assert_eq!(ok("ana lat"), ok("analyse latency"));
    assert_eq!(ok("config d"), ok("config diff"));
    assert_eq!(ok("session i7 l"), ok("session i7 ladder"));
    assert!(wrong("h").1.contains("help or hold") && wrong("stat").1.contains("status or stats"));
    assert_eq!(ok("que"), ok("queue"));
}

#[test]
fn errors_point_at_the_place_and_name_the_nearest() {
    for (line, column, hint) in [
        ("", 1, "a command is missing"),
        ("   ", 1, "a command is missing"),
        ("where tls", 1, "a command is missing"),
        ("qeue", 1, "did you mean 'queue'"),
        ("  foo", 3, "'help' lists all"),
        ("\"\"", 1, "unknown command"),
        ("se", 1, "'se' may be sessions or session"),
        ("help qeue", 6, "did you mean 'queue'"),
        ("status now", 8, "'now' is too much; the form is: status"),
        ("status where tls", 8, "too much"),
        ("stats rest", 7, "did you mean 'reset'"),
        ("session", 8, "the id of a session"),
        ("session q7", 9, "'q7' is not the id of a session"),
        ("session i7 lader", 12, "did you mean 'ladder'"),
        ("session i7 xyz", 12, "write one of ladder, raw, hex"),
        ("sessions lst=5m", 10, "did you mean 'last='"),
        ("sessions last=5", 15, "'5' is not a duration"),
        ("sessions last=5m last=6m", 18, "said twice"),
        ("follow x7", 8, "not an id"),
        ("follow where", 13, "expected a field"),
        ("follow where rpct == x", 14, "did you mean 'rcpt'"),
        ("mark grün where tls", 11, "too much"),
        ("queue where grün == x", 13, "unknown field"),
        ("show", 5, "the id of a message"),
        ("show i7", 6, "'i7' is not the id of a message"),
        ("show q1A body", 10, "write one of"),
        ("hold", 5, "the id of a message"),
        ("hold q1A where tls", 6, "'q1A' is too much"),
        ("config", 7, "one of get, set, diff"),
        ("config set", 11, "the name of a setting"),
        ("config set a.b", 15, "the value"),
        ("config s", 8, "'s' may be set or save"),
        ("analyse", 8, "one of latency"),
        ("explain", 8, "a word to explain"),
        ("trace on", 9, "one of smtp"),
        ("log", 4, "a level is missing"),
        ("log info debug", 10, "too much"),
        ("next pause", 11, "the name of a next server"),
        ("check client=::1", 17, "rcpt= is missing"),
        ("check rcpt=a@b", 15, "client= is missing"),
        ("check client=x rcpt=a@b", 14, "'x' is not an IP address"),
        ("check client=::1 rcpt=a", 23, "'a' is not an address"),
        ("check sender=a@b", 7, "unknown 'sender='"),
        ("mark \"abc", 6, "never closed"),
    ] {
        let (at, message) = wrong(line);
        assert_eq!(at, column, "{line}: {message}");
        assert!(message.contains(hint), "{line}: {message}");
    }
    assert!(wrong(&"x".repeat(9000)).1.contains("longer"));
}

#[test]
fn arguments_of_a_shell_say_the_same() {
    for (args, line) in [
        (&["mark", "two words"][..], "mark \"two words\""),
        (&["config", "set", "a.b", ""], "config set a.b \"\""),
        (&["mark", "say \"hi\""], "mark \"say \\\"hi\\\"\""),
        (&["queue", "where", "rcpt ~ \"x\" && tls"], "queue where rcpt ~ \"x\" && tls"),
        (&["queue", "where", "rcpt", "~", "\"x\""], "queue where rcpt ~ \"x\""),
        (&["mark", "where we are"], "mark \"where we are\""),
    ] {
        assert_eq!(line_of_args(args), line);
        ok(line);
    }
    assert_eq!(ok("mark \"say \\\"hi\\\"\""), Command::Mark("say \"hi\"".into()));
    assert_eq!(ok("mark \"where\""), Command::Mark("where".into()));
    assert_eq!(ok(r#"mark "a\b" c\"#), Command::Mark(r"a\b c\".into()));
}

#[test]
fn the_table_is_sound() {
    for verb in VERBS {
        assert!(verb.usage.starts_with(verb.name), "{}", verb.name);
        assert!(std::ptr::eq(find(verb.name).unwrap(), verb), "{} stands twice", verb.name);
        assert!(!verb.help.is_empty() && !verb.help.ends_with('.'), "{}", verb.name);
        // Whatever is offered as an object is understood: it is never called unknown.
        for object in verb.objects.iter().filter(|o| !o.ends_with('=') && **o != "where") {
            if let Err(e) = Command::parse(&format!("{} {object}", verb.name)) {
                assert!(!e.message.starts_with("unknown"), "{} {object}: {e}", verb.name);
            }
        }
    }
}

#[test]
fn garbage_is_refused_in_peace() {
    let pieces =
        ["queue", "where", "last=", "last=5m", " ", " ", "\"", "\\", "i7", "ä", "=", "get", "tls"];
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..20_000 {
        let count = random.usize(0..9);
        let line: String = (0..count).map(|_| pieces[random.usize(..pieces.len())]).collect();
        if let Err(e) = Command::parse(&line) {
            assert!((1..=line.chars().count() + 1).contains(&e.column), "{line}: {e}");
        }
    }
}
