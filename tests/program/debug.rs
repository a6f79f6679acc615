//! Breakpoints, from outside: sessions are held on both legs, looked at, and let go in every way;
//! all others go on meanwhile.

use serde_json::{Value, json};

use crate::next::Next;
use crate::pty::Terminal;
use crate::server::Setup;
use crate::{client::Client, wait_for};

impl Setup {
    /// Waits until a session of this leg is held at this stage; says its row.
    #[track_caller]
    fn held(&self, leg: &str, stage: &str) -> Value {
        wait_for(&format!("a session held at {stage}"), || {
            let all = self.json(&["sessions"])["sessions"].as_array().unwrap().clone();
            all.into_iter().find(|row| {
                row["held"] == true && row["leg"] == leg && row["hold"]["stage"] == stage
            })
        })
    }
}

fn id(row: &Value) -> &str {
    row["id"].as_str().unwrap()
}

/// A client that has said EHLO and MAIL.
fn begun(server: &crate::server::Server) -> Client {
    let mut client = server.ehlo();
    client.command("MAIL FROM:<ann@example.org>").expect(250);
    client
}

#[test]
fn a_client_is_held_and_let_go_while_all_others_go_on() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    let told = setup.say(&["break", "add", "at", "rcpt", "leg=in", "where", r#"rcpt ~ "^bob@""#]);
    assert_eq!(told, "b1: sessions are held at rcpt leg=in where rcpt ~ \"^bob@\"\n");
    let mut client = begun(&server);
    client.command("RCPT TO:<carl@example.net>").expect(250);
    client.send("RCPT TO:<bob@example.net>\r\nDATA\r\n").unwrap();
    let row = setup.held("in", "rcpt");
    let hold = &row["hold"];
    assert_eq!((&hold["by"], &hold["peer_waits_s"]), (&json!("b1"), &json!(300)));
    assert_eq!(hold["about"], "RCPT TO:<bob@example.net>");
    assert!((200..=270).contains(&hold["left_s"].as_u64().unwrap()), "{row}");
    let status = setup.json(&["status"]);
    assert_eq!((&status["held_sessions"], &status["breakpoints"]), (&json!(1), &json!(1)));
    assert!(setup.say(&["status"]).contains("debugging  1 breakpoints, 1 HELD sessions"));
    assert!(setup.say(&["sessions"]).contains("||| held"));
    // Everybody else goes on.
    server.ehlo().mail("x@example.org", &["y@example.net"], "Subject: x\r\n\r\n");
    next.wait(1);
    let list = setup.say(&["break", "list"]);
    assert!(
        list.contains("b1       held     1  at rcpt leg=in where") && list.contains("||| i"),
        "{list}"
    );
    assert_eq!(setup.say(&["go", id(&row)]), format!("{} goes on\n", id(&row)));
    client.reply().unwrap().expect(250);
    client.reply().unwrap().expect(354);
    client.send("Subject: held\r\n\r\n.\r\n").unwrap();
    client.reply().unwrap().expect(250);
    assert_eq!(next.wait(2)[1].to.len(), 2);
    assert_eq!(setup.json(&["status"])["held_sessions"], 0);
    let lines = setup.say(&["session", id(&row)]);
    for words in ["=== ||| held at rcpt by b1, before the answer to RCPT TO:<bob", "||| goes on"] {
        assert!(lines.contains(words), "{words}: {lines}");
    }
    assert!(setup.say(&["session", id(&row), "ladder"]).contains("||| "));
    assert!(server.log().contains("||| held at rcpt by b1"), "{}", server.log());
    // What is not held cannot be let go; what is not live cannot be anything.
    for (args, words) in [
        (&["go", id(&row)][..], "is not held"),
        (&["drop", id(&row)], "is not held"),
        (&["delay", id(&row), "1s"], "is not held"),
        (&["reply", id(&row), "451", "later"], "is not held"),
        (&["go", "i999"], "session i999 is not live"),
        (&["break", "delete", "b2"], "did you mean 'b1'?"),
        (&["break", "add", "at", "rctp"], "column 14: unknown stage 'rctp'; did you mean 'rcpt'?"),
        (
            &["break", "add", "at", "rcpt", "leg=sink"],
            "column 23: 'sink' is not in or out; what the sink",
        ),
        (&["break", "add", "at", "rcpt", "where", "rctp == x"], "column 25: "),
        (&["reply", id(&row), "999", "what"], "this is not a reply such as"),
    ] {
        let (code, _, err) = setup.ctl(args);
        assert!(code == 1 && err.contains(words), "{args:?}: {err}");
    }
    assert_eq!(setup.say(&["break", "delete", "all"]), "b1 deleted\n");
    assert_eq!(setup.say(&["break", "delete", "all"]), "there is no breakpoint\n");
    assert_eq!(setup.say(&["go", "all"]), "no session is held\n");
}

#[test]
fn a_held_client_gets_another_reply_or_none() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    setup.say(&["break", "add", "at", "rcpt", "leg=in", "name=here"]);
    let mut client = begun(&server);
    client.send("RCPT TO:<bob@example.net>\r\n").unwrap();
    let row = setup.held("in", "rcpt");
    let (code, _, err) = setup.ctl(&["reply", id(&row), "250", "2.1.5", "Yes"]);
    assert!(code == 1 && err.contains("write 4xx or 5xx"), "{err}");
    setup.say(&["reply", id(&row), "451", "4.3.0", "try later"]);
    client.reply().unwrap().says("451 4.3.0 try later\r\n");
    let lines = setup.say(&["session", id(&row)]);
    assert!(lines.contains("=== !!! gets a reply by hand"), "{lines}");
    assert!(lines.contains("<- !!! 451 4.3.0 try later"), "{lines}");
    // Again the same session, and closed this time.
    client.send("RCPT TO:<bob@example.net>\r\n").unwrap();
    setup.held("in", "rcpt");
    setup.say(&["drop", id(&row)]);
    assert_eq!(client.read_to_end(), b"");
    assert!(setup.say(&["session", id(&row)]).contains("!!! dropped by hand"));
    wait_for("nothing held", || (setup.json(&["status"])["held_sessions"] == 0).then_some(()));
}

#[test]
fn a_session_goes_stage_by_stage() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    let mut client = server.ehlo();
    let all = setup.json(&["sessions"]);
    // The one that found the server listening is gone, or goes.
    let rows = all["sessions"].as_array().unwrap();
    let i = rows.last().unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(setup.say(&["step", &i]), format!("{i} is held at its next stage\n"));
    for (command, stage) in [
        ("MAIL FROM:<ann@example.org>\r\n", "mail"),
        ("RCPT TO:<bob@example.net>\r\n", "rcpt"),
        ("DATA\r\n", "data"),
    ] {
        client.send(command).unwrap();
        let row = setup.held("in", stage);
        assert_eq!((id(&row), &row["hold"]["by"]), (&*i, &json!("step")));
        setup.say(&["step", &i]);
        client.reply().unwrap();
    }
    client.send("Subject: x\r\n\r\nbody\r\n.\r\n").unwrap();
    setup.held("in", "body");
    setup.say(&["step", &i]);
    let row = setup.held("in", "dot");
    assert_eq!((&row["hold"]["peer_waits_s"], next.count()), (&json!(600), 0));
    setup.say(&["go", &i]);
    client.reply().unwrap().expect(250);
    client.command("NOOP").expect(250);
    next.wait(1);
}

#[test]
fn a_message_is_held_by_its_header_and_its_recipients() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    setup.say(&["break", "add", "at", "body", "leg=in", "where", r#"subject ~ "^look""#]);
    let both = r#"rcpt == "carl@example.net" && header.X-Note == "x""#;
    setup.say(&["break", "add", "at", "dot", "leg=in", "where", both]);
    setup.say(&["break", "add", "at", "dot", "leg=out", "where", r#"rcpt ~ "^carl""#]);
    let mut client = server.ehlo();
    let to = ["bob@example.net", "carl@example.net"];
    client.mail("ann@example.org", &to[..1], "Subject: x\r\nX-Note: x\r\n\r\nlook\r\n");
    next.wait(1);
    let mut client = begun(&server);
    for to in to {
        client.command(&format!("RCPT TO:<{to}>")).expect(250);
    }
    client.command("DATA").expect(354);
    client.send("Subject: look\r\nX-Note: x\r\n\r\nbody\r\n.\r\n").unwrap();
    for (leg, stage, by) in [("in", "body", "b1"), ("in", "dot", "b2"), ("out", "dot", "b3")] {
        let row = setup.held(leg, stage);
        assert_eq!(row["hold"]["by"], by);
        setup.say(&["go", id(&row)]);
    }
    client.reply().unwrap().expect(250);
    next.wait(2);
}

#[test]
fn a_delay_ends_by_itself_and_is_bounded() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    setup.say(&["break", "add", "at", "data", "leg=in"]);
    let mut client = begun(&server);
    client.command("RCPT TO:<bob@example.net>").expect(250);
    client.send("DATA\r\n").unwrap();
    let row = setup.held("in", "data");
    assert_eq!(row["hold"]["peer_waits_s"], 120);
    let (code, _, err) = setup.ctl(&["delay", id(&row), "2m"]);
    assert!(code == 1 && err.contains("longer than the other side can be kept waiting"), "{err}");
    setup.say(&["delay", id(&row), "50ms"]);
    client.reply().unwrap().expect(354);
    let lines = setup.say(&["session", id(&row)]);
    assert!(lines.contains("||| goes on in 50ms"), "{lines}");
    assert!(lines.contains("||| its time is up"), "{lines}");
}

#[test]
fn a_session_with_a_next_server_is_held_before_its_command() {
    let next = Next::new();
    let setup = Setup::new(next.address).set("queue.retry_min=1h");
    let server = setup.start();
    setup.say(&["break", "add", "at", "rcpt", "leg=out", "where", "next == default"]);
    let mut client = server.ehlo();
    client.mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\n");
    let row = setup.held("out", "rcpt");
    assert_eq!(row["hold"]["about"], "RCPT TO:<bob@example.net>");
    assert!(!next.lines().iter().any(|line| line.starts_with("RCPT")));
    // Other mail is taken, and goes by another connection as far as the same breakpoint.
    client.mail("ann@example.org", &["carl@example.net"], "Subject: y\r\n\r\n");
    setup.say(&["reply", id(&row), "450", "4.2.1", "Not now"]);
    let second = wait_for("the other message", || {
        let row = setup.held("out", "rcpt");
        (row["hold"]["about"] == "RCPT TO:<carl@example.net>").then_some(row)
    });
    let queue = setup.json(&["queue"]);
    let recipient = &queue["messages"][0]["recipients"][0];
    assert_eq!(
        (&recipient["state"], &recipient["last_reply"]),
        (&json!("deferred"), &json!("450 4.2.1 Not now"))
    );
    setup.say(&["step", id(&second)]);
    setup.held("out", "data");
    setup.say(&["go", id(&second)]);
    assert_eq!(next.wait(1)[0].to, ["<carl@example.net>"]);
    let lines = setup.say(&["session", id(&row)]);
    let words = "=== !!! by hand: 450 4.2.1 Not now, as if the next server had said it to RCPT TO:";
    assert!(lines.contains(words), "{lines}");
    // Dropped before the end of the content: nothing is lost, nothing is there twice.
    setup.say(&["break", "delete", "all"]);
    setup.say(&["break", "add", "at", "dot", "leg=out"]);
    setup.say(&["retry", "q1"]);
    let row = setup.held("out", "dot");
    setup.say(&["break", "delete", "all"]);
    setup.say(&["drop", id(&row)]);
    wait_for("a deferral", || {
        let queue = setup.json(&["queue"]);
        (queue["messages"][0]["recipients"][0]["attempts"].as_u64() > Some(0)).then_some(())
    });
    setup.say(&["flush"]);
    assert_eq!(next.wait(2)[1].to, ["<bob@example.net>"]);
}

#[test]
fn who_leaves_while_held_is_noticed() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    setup.say(&["break", "add", "at", "mail", "leg=in"]);
    let mut client = server.ehlo();
    client.send("MAIL FROM:<ann@example.org>\r\n").unwrap();
    let row = setup.held("in", "mail");
    drop(client);
    wait_for("its end", || (setup.json(&["status"])["held_sessions"] == 0).then_some(()));
    let lines = setup.say(&["session", id(&row)]);
    assert!(
        lines.contains("closed: the client closed the connection while it was held"),
        "{lines}"
    );
    // One that has said all it has to say, and still listens, is answered.
    let mut client = server.ehlo();
    client.send("MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.net>\r\nQUIT\r\n").unwrap();
    client.half_close();
    for code in [250, 250, 221] {
        client.reply().unwrap().expect(code);
    }
}

#[test]
fn the_end_of_the_server_lets_all_go() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let mut server = setup.start();
    setup.say(&["break", "add", "at", "any"]);
    let mut client = Client::silent(setup.address).unwrap();
    setup.held("in", "connect");
    let mut other = Client::silent(setup.address).unwrap();
    let second = wait_for("two of them", || {
        let list = setup.json(&["break", "list"]);
        let held = list["held"].as_array().unwrap().clone();
        (held.len() == 2).then(|| held[1]["session"].as_str().unwrap().to_owned())
    });
    setup.say(&["go", &second]);
    other.reply().unwrap().expect(220);
    other.send("EHLO x\r\n").unwrap();
    setup.held("in", "helo");
    setup.say(&["quit"]);
    for client in [&mut client, &mut other] {
        client.reply().unwrap().says("421 4.3.2 ");
    }
    assert!(server.wait().success());
}

#[test]
fn a_console_shows_what_is_held_and_keys_let_it_go() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let mut terminal = Terminal::new(100, 30);
    let mut command = setup.command_with("--console");
    command.env("TERM", "xterm").env("XDG_STATE_HOME", setup.dir.path());
    let _server = terminal.start(&mut command);
    terminal.shows("FOLLOW");
    terminal.send("break add at mail\r");
    terminal.shows("b1: sessions are held at mail");
    let mut client = wait_for("the server", || Client::connect(setup.address).ok());
    client.command("EHLO x").expect(250);
    client.send("MAIL FROM:<ann@example.org>\r\n").unwrap();
    terminal.shows("||| held at mail by b1");
    terminal.shows("HELD 1");
    terminal.shows(" held at mail, 4m");
    terminal.send("\x1bs");
    client.reply().unwrap().expect(250);
    client.send("RCPT TO:<bob@example.net>\r\n").unwrap();
    terminal.shows("||| held at rcpt by step");
    terminal.shows(" held at rcpt, 4m");
    terminal.send("\x1bg");
    client.reply().unwrap().expect(250);
    terminal.shows("||| goes on");
}
