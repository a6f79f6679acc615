//! Faults, from outside: what goes wrong on purpose goes wrong as it should, is marked, ends by
//! itself, and loses no mail.

use std::process::Stdio;

use serde_json::json;

use crate::client::Client;
use crate::next::Next;
use crate::pty::Terminal;
use crate::server::{Setup, free_address, program};
use crate::wait_for;

/// A server whose next server is its own built-in sink, which keeps mail in `received`.
fn with_sink() -> (Setup, std::path::PathBuf) {
    let sink = free_address();
    let setup = Setup::new(sink)
        .set(&format!("sink.listen={sink}"))
        .set("sink.store=received")
        .set("queue.interval=20ms")
        .set("queue.retry_min=50ms")
        .set("queue.retry_max=100ms");
    let received = setup.dir.path().join("received/new");
    (setup, received)
}

fn count(folder: &std::path::Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| entries.count())
}

#[test]
fn a_fault_is_marked_counted_and_over_and_the_mail_gets_through() {
    let next = Next::new();
    let setup = Setup::new(next.address)
        .set("queue.interval=20ms")
        .set("queue.retry_min=50ms")
        .set("queue.retry_max=100ms");
    let server = setup.start();
    let told = setup.say(&[
        "fault",
        "add",
        "rcpt",
        "reply=451 4.3.0 try later",
        "count=2",
        "leg=out",
        "where",
        r#"rcpt ~ "^bob@""#,
    ]);
    let words = "rcpt reply=\"451 4.3.0 try later\" leg=out where rcpt ~ \"^bob@\"";
    assert_eq!(told, format!("fault x1 is on: {words}\n"));
    assert_eq!(setup.json(&["status"])["faults"], 1);
    assert!(setup.say(&["status"]).contains("debugging  1 FAULTS"));
    let list = setup.json(&["fault", "list"]);
    let rule = &list["faults"][0];
    for (key, value) in [
        ("name", json!("x1")),
        ("stage", json!("rcpt")),
        ("leg", json!("out")),
        ("reply", json!("451 4.3.0 try later")),
        ("hits", json!(0)),
        ("left", json!(2)),
        ("until", json!(null)),
        ("configured", json!(false)),
    ] {
        assert_eq!(rule[key], value, "{key}: {rule}");
    }
    server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\n");
    next.wait(1);
    wait_for("its end", || (setup.json(&["status"])["faults"] == 0).then_some(()));
    wait_for("a word of it", || {
        server.log().contains("fault x1 is over: it struck 2 times").then_some(())
    });
    assert_eq!(next.count(), 1);
    let log = server.log();
    let words = "!!! x1: 451 4.3.0 try later, as if the next server had said it to RCPT TO:<bob@";
    assert_eq!(log.matches(words).count(), 2, "{log}");
    let deferred = log.lines().filter(|line| {
        line.contains(" deferred to=<bob@example.net> 451 4.3.0 try later (next=default host=")
    });
    assert_eq!(deferred.count(), 2, "{log}");
    // And towards a client.
    setup.say(&["fault", "add", "mail", "reply=421 4.3.2 gone", "leg=in", "name=away"]);
    let mut client = server.ehlo();
    client.command("MAIL FROM:<ann@example.org>").says("421 4.3.2 gone\r\n");
    assert_eq!(client.read_to_end(), b"");
    let list = setup.say(&["fault", "list"]);
    assert!(list.contains("away     struck     1, until deleted"), "{list}");
    assert_eq!(setup.say(&["fault", "delete", "away"]), "away deleted\n");
    assert_eq!(setup.say(&["fault", "delete", "all"]), "there is no fault\n");
    for (args, words) in [
        (&["fault", "add", "rctp", "cut=0"][..], "column 11: unknown stage 'rctp'"),
        (&["fault", "add", "rcpt"], "column 15: what is to go wrong?"),
        (&["fault", "add", "rcpt", "reply=250 yes"], "which is not; write 4xx or 5xx"),
        (&["fault", "add", "rcpt", "odd=3%"], "did you mean 'odds='?"),
        (&["fault", "add", "rcpt", "cut=0", "where", "reply >= 400"], "column 28: 'reply' is not"),
        (&["fault", "add", "rcpt", "no=starttls"], "column 19: 'starttls' is offered in"),
        (&["fault", "delete", "x9"], "no fault is named 'x9'; there is none"),
    ] {
        let (code, _, err) = setup.ctl(args);
        assert!(code == 1 && err.contains(words), "{args:?}: {err}");
    }
}

#[test]
fn replies_to_clients_are_marked_and_delays_wait() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    setup.say(&["fault", "add", "rcpt", "reply=452 4.5.3 full", "delay=80ms", "leg=in", "count=1"]);
    let mut client = server.ehlo();
    client.command("MAIL FROM:<ann@example.org>").expect(250);
    client.command("RCPT TO:<bob@example.net>").says("452 4.5.3 full\r\n");
    client.command("RCPT TO:<bob@example.net>").expect(250);
    let rows = setup.json(&["sessions"])["sessions"].as_array().unwrap().clone();
    let id = rows.last().unwrap()["id"].as_str().unwrap().to_owned();
    let lines = setup.say(&["session", &id]);
    let event = "=== !!! x1: waits 80ms; 452 4.5.3 full instead of the answer to RCPT TO:<bob@";
    assert!(lines.contains(event) && lines.contains("<- !!! 452 4.5.3 full"), "{lines}");
    assert!(setup.say(&["session", &id, "ladder"]).contains("!!! client ◀── 452 4.5.3 full"));
}

/// The next server took the message, and nobody heard it say so: it comes twice, never not at all.
#[test]
fn a_cut_after_the_dot_makes_a_duplicate_and_loses_nothing() {
    for leg in ["leg=sink", "leg=out"] {
        let (setup, received) = with_sink();
        let server = setup.start();
        setup.say(&["fault", "add", "dot", "cut=0", "count=1", leg]);
        server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\nbody\r\n");
        wait_for("both", || (count(&received) == 2).then_some(()));
        wait_for("an empty queue", || (setup.json(&["status"])["queue"] == 0).then_some(()));
        assert_eq!((count(&received), &setup.json(&["status"])["delivered"]), (2, &json!(1)));
        assert!(server.log().contains("!!! "), "{}", server.log());
    }
}

#[test]
fn content_is_cut_in_the_middle_on_either_leg() {
    let (setup, received) = with_sink();
    let server = setup.start();
    let body = format!("Subject: x\r\n\r\n{}", "line of the body\r\n".repeat(5000));
    setup.say(&["fault", "add", "bdat", "cut=10K", "count=1", "leg=out"]);
    setup.say(&["fault", "add", "data", "cut=10K", "count=1", "leg=in", "name=client"]);
    let mut client = server.ehlo();
    assert!(client.deliver("ann@example.org", &["bob@example.net"], body.as_bytes()).is_err());
    server.ehlo().mail("ann@example.org", &["bob@example.net"], &body);
    wait_for("the message", || (count(&received) == 1).then_some(()));
    wait_for("an empty queue", || (setup.json(&["status"])["queue"] == 0).then_some(()));
    assert_eq!((count(&received), &setup.json(&["status"])["accepted"]), (1, &json!(1)));
    assert!(server.log().contains("cut 10K octets behind BDAT"), "{}", server.log());
}

#[test]
fn octets_drip_in_both_directions() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    setup.say(&["fault", "add", "connect", "rate=400", "leg=in"]);
    let began = std::time::Instant::now();
    let mut client = server.ehlo();
    client.mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\nbody\r\n");
    // Greeting and the answer to EHLO alone are some 200 octets.
    assert!(began.elapsed().as_millis() > 300);
    next.wait(1);
}

#[test]
fn extensions_are_hidden_from_clients_and_from_ourselves() {
    let next = Next::new();
    let setup = Setup::new(next.address).set("queue.retry_min=1h");
    let server = setup.start();
    setup.say(&["fault", "add", "helo", "no=pipelining,size", "leg=in"]);
    let mut client = server.connect();
    let reply = client.command("EHLO x").expect(250).text;
    assert!(reply.contains("8BITMIME") && reply.starts_with("250-mx.example.org\r\n"), "{reply}");
    assert!(!reply.contains("PIPELINING") && !reply.contains("SIZE"), "{reply}");
    setup.say(&["fault", "delete", "all"]);
    setup.say(&["fault", "add", "helo", "no=ehlo"]);
    let mut client = server.connect();
    client.command("EHLO x").says("502 5.5.1 ");
    client.command("HELO x").expect(250);
    client.mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\n");
    let mail = &next.wait(1)[0];
    // Without EHLO there are no parameters.
    assert_eq!(mail.from, "<ann@example.org>");
    assert!(next.lines().contains(&"HELO mx.example.org".to_owned()), "{:?}", next.lines());
    setup.say(&["fault", "delete", "all"]);
    setup.say(&["fault", "add", "helo", "no=size", "leg=out"]);
    wait_for("the idle connection to be given back", || {
        (setup.json(&["status"])["outbound"] == 0).then_some(())
    });
    client.mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\n");
    assert_eq!(next.wait(2)[1].from, "<ann@example.org>");
}

/// TLS is required, and whoever sits between hides the offer: nothing is sent in the clear.
#[test]
fn without_starttls_nothing_is_said_where_tls_is_required() {
    let next = Next::new();
    let setup = Setup::new(next.address).set("next_server.tls=required");
    let server = setup.start();
    setup.say(&["fault", "add", "helo", "no=starttls", "leg=out"]);
    server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\n");
    let fault = wait_for("the fault of the next server", || {
        let list = setup.json(&["next", "list"]);
        list["next_servers"][0]["last_reply"].as_str().map(str::to_owned)
    });
    assert!(fault.contains("does not offer STARTTLS, and TLS is required"), "{fault}");
    assert_eq!(next.count(), 0);
}

#[test]
fn a_fault_ends_when_its_time_is_up_and_the_console_says_that_it_is_on() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let mut terminal = Terminal::new(80, 24);
    let mut command = setup.command_with("--console");
    command.env("TERM", "xterm").env("XDG_STATE_HOME", setup.dir.path());
    let _server = terminal.start(&mut command);
    terminal.shows("FOLLOW");
    terminal.send("fault add any delay=1ms for=1s\r");
    terminal.shows("FAULTS 1");
    terminal.shows("fault x1 is over: it struck");
    wait_for("its marker to go", || (!terminal.text().contains("FAULTS 1")).then_some(()));
}

#[test]
fn a_sink_misbehaves_by_its_file_and_by_its_command_line() {
    let (sink, dir) = (free_address(), tempfile::TempDir::new().unwrap());
    let file = "[fault.later]\nstage = rcpt\nreply = 451 4.3.0 try later\ncount = 2\n";
    std::fs::write(dir.path().join("faults.ini"), file).unwrap();
    let mut command = program();
    command.current_dir(dir.path()).args(["sink", &sink.to_string(), "-c", "faults.ini"]);
    command.args(["-s", "fault.bye.stage=quit", "-s", "fault.bye.reply=421 4.0.0 so long"]);
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let mut child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let mut client = wait_for("the sink", || Client::connect(sink).ok());
    client.command("EHLO x").expect(250);
    client.command("MAIL FROM:<ann@example.org>").expect(250);
    for code in [451, 451, 250] {
        client.command("RCPT TO:<bob@example.net>").expect(code);
    }
    client.command("QUIT").says("421 4.0.0 so long\r\n");
    child.kill().unwrap();
    child.wait().unwrap();
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(
        log.contains("fault bye is on by the configuration: quit reply=\"421 4.0.0 so long\""),
        "{log}"
    );
    assert!(log.contains("!!! later: 451 4.3.0 try later instead of the answer to RCPT"), "{log}");
    assert!(log.contains("fault later is over: it struck 2 times"), "{log}");
}

#[test]
fn a_relay_with_faults_says_so_and_a_reload_takes_them_away() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let file = setup.dir.path().join("mailflux.ini");
    let plain = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{plain}[fault.no]\nstage = mail\nreply = 550 no\nleg = in\n"))
        .unwrap();
    let server = setup.start();
    assert!(server.log().contains(
        "WARN  server fault no is on by the configuration: mail reply=\"550 no\" leg=in"
    ));
    let mut client = server.ehlo();
    client.command("MAIL FROM:<ann@example.org>").says("550 no\r\n");
    setup.say(&["fault", "add", "rset", "reply=500 no"]);
    std::fs::write(&file, plain).unwrap();
    setup.say(&["config", "reload"]);
    client.command("MAIL FROM:<ann@example.org>").expect(250);
    // What was added by hand stays.
    client.command("RSET").says("500 no\r\n");
    assert_eq!(setup.json(&["fault", "list"])["faults"][0]["name"], "x1");
}
