//! Filters from outside: each action end to end, over restarts, from the file and while running.

use std::fs;

use serde_json::Value;

use crate::client::Client;
use crate::next::Next;
use crate::server::{Server, Setup};
use crate::wait_for;

const MAIL: &str = "From: a@x.test\r\nSubject: hello\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\nhi\r\n";

impl Setup {
    fn answer(&self, args: &[&str]) -> Value {
        let out = self.say(&[&["--json"], args].concat());
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
    }

    /// `filter add` with these words.
    fn filter(&self, words: &[&str]) -> String {
        let answer = self.answer(&[&["filter", "add"], words].concat());
        answer["name"].as_str().unwrap().to_owned()
    }

    fn hits(&self, name: &str) -> u64 {
        let list = self.answer(&["filter", "list"]);
        let all = list["filters"].as_array().unwrap();
        let found = all.iter().find(|filter| filter["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {list}"))["hits"].as_u64().unwrap()
    }
}

fn server(next: &Next) -> (Setup, Server) {
    let setup =
        Setup::new(next.address).set("server.relay_to=x.test, .x.test").set("queue.interval=20ms");
    let server = setup.start();
    (setup, server)
}

/// The reply to the last command of a transaction.
#[track_caller]
fn refused(server: &Server, from: &str, to: &str, content: &str, code: u16, words: &str) {
    let reply = server.ehlo().deliver(from, &[to], content.as_bytes()).unwrap();
    let reply = reply.expect(code);
    assert!(reply.text.contains(words), "{}", reply.text);
}

#[test]
fn a_refusal_at_each_stage_names_its_filter() {
    let next = Next::new();
    let (setup, server) = server(&next);
    setup.filter(&["reject", "550 5.7.1 no bob", "name=bob", "where", "rcpt == \"bob@x.test\""]);
    setup.filter(&["reject", "450 later", "where", "from ~ \"@bad$\""]);
    setup.filter(&["reject", "name=subject", "where", "subject ~ \"(?i)casino\" && !(size > 1M)"]);
    setup.filter(&["reject", "554 5.3.4 too much", "name=big", "where", "size > 100K"]);
    setup.filter(&["reject", "550 hello", "where", "helo == \"liar\""]);

    // Only the one recipient is refused.
    let mut client = server.ehlo();
    client.command("MAIL FROM:<ann@x.test>").expect(250);
    client.command("RCPT TO:<bob@x.test>").expect(550).says("550 5.7.1 no bob");
    client.command("RCPT TO:<carl@x.test>").expect(250);
    client.command("DATA").expect(354);
    client.send(format!("{MAIL}.\r\n")).unwrap();
    client.reply().unwrap().expect(250);
    assert_eq!(next.wait(1)[0].to, ["<carl@x.test>"]);

    refused(&server, "eve@bad", "carl@x.test", MAIL, 450, "4.7.1 later");
    let casino = MAIL.replace("hello", "Casino");
    refused(&server, "ann@x.test", "carl@x.test", &casino, 550, "5.7.1 Refused by a rule");
    let big = format!("{MAIL}{}", "x\r\n".repeat(50_000));
    refused(&server, "ann@x.test", "carl@x.test", &big, 554, "5.3.4 too much");
    let mut liar = server.connect();
    // No enhanced code in replies to EHLO.
    liar.command("EHLO liar").expect(550).says("550 hello");
    liar.command("EHLO honest").expect(250);
    for name in ["bob", "f1", "subject", "big", "f2"] {
        assert_eq!(setup.hits(name), 1, "{name}");
    }
    let log = server.log();
    for line in ["filter bob: refused <bob@x.test> at rcpt", "filter big: refused at dot"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    assert_eq!(setup.answer(&["status"])["rejected"], 4, "bob, eve, casino, big");
    assert_eq!(next.count(), 1);
}

#[test]
fn a_421_ends_the_session_and_a_stranger_hears_it_at_once() {
    let next = Next::new();
    let (setup, server) = server(&next);
    setup.filter(&["reject", "421 4.7.0 go away", "where", "client in 127.0.0.0/8"]);
    let mut client = Client::silent(setup.address).unwrap();
    client.reply().unwrap().expect(421).says("421 go away");
    assert_eq!(client.read_to_end(), b"");
    setup.say(&["filter", "delete", "all"]);
    server.ehlo().mail("ann@x.test", &["bob@x.test"], MAIL);
    next.wait(1);
}

#[test]
fn what_is_held_stands_over_a_restart_until_it_is_released() {
    let next = Next::new();
    let (setup, mut server) = server(&next);
    setup.filter(&["hold", "where", "rcpt == \"bob@x.test\" && subject ~ \"hello\""]);
    server.ehlo().mail("ann@x.test", &["bob@x.test", "carl@x.test"], MAIL);
    // Each recipient for itself.
    assert_eq!(next.wait(1)[0].to, ["<carl@x.test>"]);
    let held = |setup: &Setup| {
        let queue = setup.answer(&["queue"]);
        let message = &queue["messages"][0];
        (message["held"] == true).then(|| message["id"].as_str().unwrap().to_owned())
    };
    let id = wait_for("the hold", || held(&setup));
    assert!(server.log().contains("filter f1: held: <bob@x.test>"), "{}", server.log());
    server.signal("TERM");
    server.wait();
    let _server = setup.start();
    assert_eq!(wait_for("the hold", || held(&setup)), id);
    assert_eq!(next.count(), 1);
    setup.say(&["release", &id]);
    assert_eq!(next.wait(2)[1].to, ["<bob@x.test>"]);
}

#[test]
fn discarded_mail_is_answered_and_kept_nowhere() {
    let next = Next::new();
    let (setup, server) = server(&next);
    setup.filter(&["discard", "name=sink", "where", "rcpt == \"hole@x.test\""]);
    server.ehlo().mail("ann@x.test", &["hole@x.test"], MAIL);
    server.ehlo().mail("ann@x.test", &["hole@x.test", "carl@x.test"], MAIL);
    assert_eq!(next.wait(1)[0].to, ["<carl@x.test>"]);
    wait_for("an empty queue", || (setup.answer(&["status"])["queue"] == 0).then_some(()));
    assert_eq!((setup.answer(&["status"])["accepted"].clone(), setup.hits("sink")), (1.into(), 2));
    let log = server.log();
    assert!(log.contains("filter sink: discarded: <hole@x.test>"), "{log}");
    assert!(log.lines().any(|line| line.ends_with("filter sink: discarded")), "{log}");
}

#[test]
fn a_tag_stands_in_front_and_nothing_else_changes() {
    let next = Next::new();
    let (setup, server) = server(&next);
    setup.filter(&["tag", "header=X-Size: large", "where", "size > 300K"]);
    setup.filter(&["tag", "header=X-From: ann", "where", "from == \"ANN@x.test\""]);
    let large = format!("{MAIL}{}", "0123456789\r\n".repeat(60_000));
    for mail in [MAIL, &large] {
        server.ehlo().mail("ann@x.test", &["bob@x.test"], mail);
        let count = next.count().max(1);
        let mails = next.wait(if mail == MAIL { 1 } else { count.max(2) });
        let got = mails.last().unwrap().without_trace();
        let tags = if mail == MAIL { "" } else { "X-Size: large\r\n" };
        let want = format!("{tags}X-From: ann\r\n{mail}");
        let start = String::from_utf8_lossy(&got[..got.len().min(300)]);
        assert!(got == want.as_bytes(), "{start}");
    }
    server.ehlo().mail("bob@x.test", &["bob@x.test"], MAIL);
    assert_eq!(next.wait(3)[2].without_trace(), MAIL.as_bytes());
}

/// What begins with a blank would be read as more of our last field.
#[test]
fn nobody_writes_into_our_fields() {
    let next = Next::new();
    let (setup, server) = server(&next);
    let small = "\tid 1; Mon, 1 Jan 2001 00:00:00 +0000\r\nSubject: hi\r\n\r\nhi\r\n";
    let large = format!(" {}", "0123456789\r\n".repeat(60_000));
    for (n, mail) in [small, &large].into_iter().enumerate() {
        server.ehlo().mail("ann@x.test", &["bob@x.test"], mail);
        assert!(next.wait(n + 1)[n].without_trace() == format!("\r\n{mail}").as_bytes());
    }
    setup.filter(&["tag", "header=X-From: ann", "where", "from == \"ann@x.test\""]);
    setup.filter(&["reject", "where", "subject == \"hi\""]);
    for (n, mail) in [small, &large].into_iter().enumerate() {
        server.ehlo().mail("ann@x.test", &["bob@x.test"], mail);
        let want = format!("X-From: ann\r\n\r\n{mail}");
        assert!(next.wait(n + 3)[n + 2].without_trace() == want.as_bytes());
    }
}

#[test]
fn another_recipient_takes_the_place_and_the_first_is_remembered() {
    let next = Next::new();
    let (setup, server) = server(&next);
    setup.filter(&["redirect", "to=carl@y.test", "where", "rcpt ~ \"^bob[+]\" && size < 1M"]);
    server.ehlo().mail("ann@x.test", &["bob+a@x.test", "dora@x.test"], MAIL);
    let mails = next.wait(1);
    assert_eq!(mails[0].to.len(), 2);
    assert!(mails[0].to[0].starts_with("<carl@y.test>"), "{:?}", mails[0].to);
    assert!(server.log().contains("filter f1: redirected to <carl@y.test>: <bob+a@x.test>"));
    // A filter does not open the relay: a stranger may not send to y.test, whatever it becomes.
    let setup = Setup::new(next.address)
        .set("server.relay_from=192.0.2.0/24")
        .set("server.relay_to=x.test");
    let server = setup.start();
    setup.filter(&["accept"]);
    let mut client = server.ehlo();
    client.command("MAIL FROM:<ann@x.test>").expect(250);
    client.command("RCPT TO:<bob@y.test>").expect(550).says("550 5.7.1 Relaying denied");
    client.command("RCPT TO:<bob@x.test>").expect(250);
}

#[test]
fn a_route_by_a_filter_holds_after_a_restart() {
    let (next, other) = (Next::new(), Next::new());
    let at = other.address;
    let setup = Setup::new(next.address)
        .set("next_server.other.host=127.0.0.1")
        .set(&format!("next_server.other.port={}", at.port()))
        .set("queue.interval=20ms");
    let mut server = setup.start();
    setup.filter(&["route", "via=other,default", "where", "header.X-Bulk == \"yes\""]);
    setup.say(&["next", "pause", "other"]);
    setup.say(&["next", "pause", "default"]);
    let large = format!("X-Bulk: yes\r\n{MAIL}{}", "0123456789\r\n".repeat(60_000));
    server.ehlo().mail("ann@x.test", &["bob@x.test"], &large);
    server.ehlo().mail("ann@x.test", &["carl@x.test"], &format!("X-Bulk: yes\r\n{MAIL}"));
    server.ehlo().mail("ann@x.test", &["dora@x.test"], MAIL);
    let log = server.log();
    assert!(log.contains("filter f1: routed via other, default"), "{log}");
    server.signal("TERM");
    server.wait();
    // The filter is gone with the process, what it has decided is not.
    let _server = setup.start();
    assert_eq!(next.wait(1)[0].to, ["<dora@x.test>"]);
    let mut to: Vec<String> = other.wait(2).into_iter().flat_map(|mail| mail.to).collect();
    to.sort();
    assert_eq!(to, ["<bob@x.test>", "<carl@x.test>"]);
    assert_eq!(next.count(), 1);
}

#[test]
fn a_route_that_names_nobody_is_refused_with_its_column() {
    let next = Next::new();
    let (setup, _server) = server(&next);
    let (code, _, err) = setup.ctl(&["filter", "add", "route", "via=defualt"]);
    assert_eq!(code, 1);
    assert!(err.contains("column 22") && err.contains("did you mean 'default'"), "{err}");
    assert!(setup.say(&["filter", "list"]).contains("no filters"));
}

#[test]
fn beyond_a_rate_mail_waits() {
    let next = Next::new();
    let (setup, server) = server(&next);
    setup.filter(&["limit", "name=two", "rate=2/h", "per=sender", "where", "!(rcpt ~ \"^boss@\")"]);
    let mut client = server.ehlo();
    for to in ["bob@x.test", "carl@x.test"] {
        client.mail("ann@x.test", &[to], MAIL);
    }
    client.command("MAIL FROM:<ann@x.test>").expect(250);
    client.command("RCPT TO:<bob@x.test>").expect(450).says("450 4.7.1 Too much mail");
    client.command("RCPT TO:<boss@x.test>").expect(250);
    client.command("RSET").expect(250);
    client.mail("dora@x.test", &["bob@x.test"], MAIL);
    assert_eq!(setup.hits("two"), 1);
    assert_eq!(next.wait(3).len(), 3);
}

#[test]
fn chunks_are_judged_as_content_is() {
    let next = Next::new();
    let (setup, server) = server(&next);
    setup.filter(&["reject", "554 5.6.0 not that", "where", "subject == \"no\""]);
    setup.filter(&["tag", "header=X-A: b", "where", "subject == \"yes\""]);
    for (subject, code) in [("no", 554), ("yes", 250)] {
        let mut client = server.ehlo();
        client.command("MAIL FROM:<ann@x.test>").expect(250);
        client.command("RCPT TO:<bob@x.test>").expect(250);
        client.send("BDAT 11\r\nSubject: \r\n").unwrap();
        client.reply().unwrap().expect(250);
        let rest = format!(" {subject}\r\n\r\nhi\r\n");
        client.send(format!("BDAT {} LAST\r\n{rest}", rest.len())).unwrap();
        client.reply().unwrap().expect(code);
    }
    assert_eq!(next.wait(1)[0].without_trace(), b"X-A: b\r\nSubject: \r\n yes\r\n\r\nhi\r\n");
}

#[test]
fn filters_of_the_file_and_those_added_to_them() {
    let next = Next::new();
    let setup = Setup::new(next.address).set("queue.interval=20ms");
    let file = setup.dir.path().join("mailflux.ini");
    let text = "[server]\nhostname = mx.example.org\n\
                [filter.first]\naction = reject\nreply = \"550 5.7.1 first\"\n\
                where = from == \"a@b.test\"\n";
    fs::write(&file, text).unwrap();
    let server = setup.start();
    assert_eq!(setup.filter(&["reject", "550 second", "where", "from ~ \"@b.test$\""]), "f1");
    let list = setup.answer(&["filter", "list"]);
    let names: Vec<&str> =
        list["filters"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["first", "f1"]);
    let first = &list["filters"][0];
    assert_eq!((&first["action"], &first["reply"]), (&"reject".into(), &"550 5.7.1 first".into()));
    assert!(first["source"].as_str().unwrap().ends_with("mailflux.ini:4"), "{first}");
    assert_eq!((&first["where"], &first["hits"]), (&"from == \"a@b.test\"".into(), &0.into()));
    refused(&server, "a@b.test", "c@d.test", MAIL, 550, "first");
    refused(&server, "b@b.test", "c@d.test", MAIL, 550, "second");

    // A broken file is refused, with line and column, and all stays.
    fs::write(&file, format!("{text}[filter.bad]\naction = hold\nwhere = from ==\n")).unwrap();
    let (code, _, err) = setup.ctl(&["config", "reload"]);
    assert!(code == 1 && err.contains("mailflux.ini:9: where: column 8"), "{err}");
    refused(&server, "b@b.test", "c@d.test", MAIL, 550, "second");

    // What was added is forgotten by a reload, and named; what was deleted comes back.
    fs::write(&file, text).unwrap();
    setup.say(&["filter", "delete", "first"]);
    refused(&server, "a@b.test", "c@d.test", MAIL, 550, "second");
    let diff = setup.say(&["config", "diff"]);
    assert!(diff.contains("filter.f1.action") && diff.contains("[filter.first] deleted"), "{diff}");
    let answer = setup.answer(&["config", "reload"]);
    assert_eq!(answer["forgotten"], serde_json::json!(["filter.f1", "filter.first"]), "{answer}");
    refused(&server, "a@b.test", "c@d.test", MAIL, 550, "first");
    server.ehlo().mail("b@b.test", &["c@d.test"], MAIL);

    // A save keeps what was added, and takes out what was deleted.
    setup.filter(&["hold", "name=kept", "where", "tls && header.X-A ~ \"a=b; c\""]);
    setup.say(&["filter", "delete", "first"]);
    setup.say(&["config", "save"]);
    setup.say(&["config", "reload"]);
    let list = setup.answer(&["filter", "list"]);
    assert_eq!(list["filters"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["filters"][0]["where"], "tls && header.X-A ~ \"a=b; c\"");
    assert!(!fs::read_to_string(&file).unwrap().contains("550 5.7.1 first"));

    let (code, _, err) = setup.ctl(&["filter", "delete", "kep"]);
    assert!(code == 1 && err.contains("did you mean 'kept'"), "{err}");
    setup.say(&["filter", "delete", "all"]);
    assert_eq!(setup.answer(&["filter", "delete", "all"])["deleted"], serde_json::json!([]));
}

#[test]
fn check_shows_the_walk_and_what_decides() {
    let next = Next::new();
    let (setup, _server) = server(&next);
    setup.filter(&["accept", "name=friends", "where", "from ~ \"@friends.test$\""]);
    setup.filter(&["hold", "name=news", "where", "subject ~ \"News\""]);
    setup.filter(&["reject", "550 5.7.1 no", "name=bob", "where", "rcpt ~ \"^bob@\""]);
    let check = |more: &[&str]| {
        let fixed = ["check", "client=127.0.0.1"];
        setup.answer(&[&fixed[..], more].concat())
    };
    let answer = check(&["from=a@friends.test", "rcpt=bob@x.test"]);
    assert_eq!((&answer["accepted"], &answer["certain"]), (&true.into(), &true.into()));
    assert_eq!(answer["decided_by"], "filter friends");
    let answer = check(&["from=a@b.test", "rcpt=bob@x.test"]);
    assert_eq!((&answer["accepted"], &answer["certain"]), (&false.into(), &false.into()));
    assert_eq!(answer["decided_by"], "filter bob");
    let fits: Vec<Value> =
        answer["filters"].as_array().unwrap().iter().map(|f| f["fits"].clone()).collect();
    assert_eq!(fits, [false.into(), Value::Null, true.into()]);
    let answer = check(&["from=a@b.test", "rcpt=carl@x.test", "subject=News"]);
    assert_eq!((&answer["action"], &answer["certain"]), (&"hold".into(), &true.into()));
    let told = setup.say(&["check", "client=127.0.0.1", "from=a@b.test", "rcpt=bob@x.test"]);
    for line in [
        "refused: 550 5.7.1 no (by filter bob), unless filter news fits",
        "relay rule: the client is in 127.0.0.0/8",
        "filter friends, accept where from ~ \"@friends.test$\": no",
        "filter news, hold where subject ~ \"News\": not known",
        "filter bob, reject 550 5.7.1 no where rcpt ~ \"^bob@\": yes, and decides",
        "route: default",
    ] {
        assert!(told.lines().any(|l| l.starts_with(line)), "{line}: {told}");
    }
    let answer = setup.answer(&["check", "client=192.0.2.1", "rcpt=a@elsewhere.test"]);
    assert_eq!((&answer["accepted"], &answer["decided_by"]), (&false.into(), &"relay rule".into()));
}

#[test]
fn date_and_message_id_are_added_for_our_own_clients_only() {
    let next = Next::new();
    let setup = Setup::new(next.address).set("server.add_missing_fields=yes");
    let server = setup.start();
    server.ehlo().mail("ann@x.test", &["bob@x.test"], "Subject: a\r\n\r\nDate: in the body\r\n");
    let mail = next.wait(1)[0].clone();
    let text = String::from_utf8(mail.without_trace().to_vec()).unwrap();
    let (added, rest) = text.split_at(text.find("Subject").unwrap());
    assert_eq!(rest, "Subject: a\r\n\r\nDate: in the body\r\n");
    let lines: Vec<&str> = added.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("Date: "), "{added}");
    let id = lines[1].strip_prefix("Message-ID: <");
    let id = id.and_then(|id| id.strip_suffix("@mx.example.org>"));
    assert!(id.is_some_and(|id| id.bytes().all(|b| b.is_ascii_hexdigit() || b".-".contains(&b))));
    // Who has both gets nothing, and neither does who cannot be judged.
    server.ehlo().mail("ann@x.test", &["bob@x.test"], MAIL);
    assert_eq!(next.wait(2)[1].without_trace(), MAIL.as_bytes());
    let endless = format!("{}\r\n\r\nhi\r\n", "X-A: b\r\n".repeat(9000).trim_end());
    server.ehlo().mail("ann@x.test", &["bob@x.test"], &endless);
    assert_eq!(next.wait(3)[2].without_trace(), endless.as_bytes());
    setup.say(&["config", "set", "server.add_missing_fields", "no"]);
    server.ehlo().mail("ann@x.test", &["bob@x.test"], "Subject: a\r\n\r\n");
    assert_eq!(next.wait(4)[3].without_trace(), b"Subject: a\r\n\r\n");
    // Nor is a stranger's mail touched.
    let setup = Setup::new(next.address)
        .set("server.add_missing_fields=yes")
        .set("server.relay_from=192.0.2.0/24")
        .set("server.relay_to=x.test");
    let server = setup.start();
    server.ehlo().mail("ann@x.test", &["bob@x.test"], "Subject: a\r\n\r\n");
    assert_eq!(next.wait(5)[4].without_trace(), b"Subject: a\r\n\r\n");
}

#[test]
fn hostile_headers_cost_little_and_open_nothing() {
    let next = Next::new();
    let (setup, server) = server(&next);
    setup.filter(&["hold", "where", "subject ~ \"(a+)+$\" && rcpt == \"nobody@x.test\""]);
    setup.filter(&["reject", "where", "header.X-Late == \"1\""]);
    let evil = format!("Subject: {}!\r\n", "a".repeat(900)).repeat(60);
    let huge = format!("{evil}{}X-Late: 1\r\n\r\nhi\r\n", "X-Pad: 1\r\n".repeat(9000));
    let many: Vec<String> = (0..200).map(|n| format!("r{n}@x.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    // What stands behind the first 64 KiB of the header is not looked at.
    server.ehlo().mail("ann@x.test", &many, &huge);
    assert_eq!(next.wait(1)[0].without_trace(), huge.as_bytes());
    let (code, _, err) = setup.ctl(&["filter", "add", "tag", "header=X-A: b\r\nBcc: c"]);
    assert!(code == 1 && err.contains("printable ASCII"), "{err}");
}

/// The examples of docs/filters.md: every command is done, every section is a configuration.
#[test]
fn the_examples_of_the_page_work() {
    let page = include_str!("../../docs/filters.md");
    let next = Next::new();
    let setup = Setup::new(next.address);
    let blocks = page.split("\n\n").filter(|block| block.starts_with("    ["));
    let sections: String = blocks.map(|block| block.replace("    ", "") + "\n").collect();
    let file = setup.dir.path().join("mailflux.ini");
    fs::write(&file, format!("[server]\nhostname = mx.example.org\n{sections}")).unwrap();
    let _server = setup.start();
    let list = setup.answer(&["filter", "list"]);
    assert_eq!(list["filters"].as_array().unwrap().len(), 3, "{list}");
    let mut done = 0;
    for line in page.lines().filter_map(|line| line.strip_prefix("    mailflux ctl ")) {
        let ctl = "\"$PROGRAM\" ctl --socket spool/control.sock";
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("{ctl} {line}")]).current_dir(setup.dir.path());
        shell.env("PROGRAM", env!("CARGO_BIN_EXE_mailflux"));
        let out = crate::server::run_to_end(&mut shell);
        assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
        done += 1;
    }
    assert!(done > 12, "{done}");
}

/// A filter that comes while content streams decides about it, if there was one before.
#[test]
fn a_filter_holds_for_the_stages_to_come() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    let mut client = server.ehlo();
    let mut first = None;
    for (turn, code) in [250, 554, 554].into_iter().enumerate() {
        client.command("MAIL FROM:<ann@example.org>").expect(250);
        client.command("RCPT TO:<bob@example.net>").expect(250);
        client.command("DATA").expect(354);
        match (turn, &first) {
            (0, _) => {
                let rule = ["reject", "554 5.7.1 no", "where", "subject == \"hello\""];
                first = Some(setup.filter(&rule));
            }
            (2, Some(first)) => {
                // It judges alone, though it was not there when the message began.
                setup.filter(&["reject", "554 5.7.1 too large", "where", "size > 10"]);
                setup.say(&["filter", "delete", first]);
            }
            _ => {}
        }
        client.send(MAIL).unwrap();
        client.command(".").expect(code);
    }
    assert_eq!(next.wait(1).len(), 1);
}

/// An action and what it needs belong together: the refusal to change one alone says how both are.
#[test]
fn what_belongs_together_is_changed_in_one_go() {
    let setup = Setup::new(crate::server::free_address());
    let _server = setup.start();
    setup.say(&["filter", "add", "reject", "550 5.7.1 no", "name=r"]);
    let why = setup.ctl(&["config", "set", "filter.r.action", "tag"]).2;
    assert!(why.contains("tag needs header"), "{why}");
    assert!(why.contains("'filter delete r', then 'filter add ACTION ... name=r'"), "{why}");
    let why = setup.ctl(&["config", "set", "fault.x.reply", "451 4.3.0 x"]).2;
    assert!(why.contains("'fault delete x', then 'fault add STAGE ... name=x'"), "{why}");
    let why = setup.ctl(&["config", "set", "queue.interval", "never"]).2;
    assert!(!why.contains("one go"), "{why}");
}
