//! The control socket and `ctl`, from outside: every command, wrong ones, and those who ask badly.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::next::{Act, Next, Stage};
use crate::server::{Setup, free_address, program, run_to_end};
use crate::{pause, wait_for};

impl Setup {
    /// `mailflux ctl ARGS` to this setup's server: exit code, standard output, standard error.
    pub fn ctl(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = program();
        // Not by the configuration: some tests make it wrong.
        command.args(["ctl", "--socket", "spool/control.sock"]).args(args);
        command.current_dir(self.dir.path());
        let out = run_to_end(&mut command);
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        (out.status.code().unwrap(), text(&out.stdout), text(&out.stderr))
    }

    /// The same for a command that must be done.
    pub fn say(&self, args: &[&str]) -> String {
        let (code, out, err) = self.ctl(args);
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}: {out}");
        out
    }

    /// The same with its answer as JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let out = self.say(&[&["--json"], args].concat());
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
    }

    fn socket(&self) -> UnixStream {
        let stream = UnixStream::connect(self.spool().join("control.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }
}

/// A next server that takes nobody's mail for now.
fn busy() -> Next {
    Next::scripted(|moment| match moment.stage {
        Stage::Rcpt if !moment.line.contains("good") => Act::Say("451 4.2.1 busy\r\n".into()),
        _ => Act::Usual,
    })
}

/// A server with one message of two recipients, of which one is delivered and one deferred.
fn deferred(next: &Next) -> (Setup, crate::server::Server) {
    let setup = Setup::new(next.address).set("queue.retry_min=1h").set("queue.interval=20ms");
    let server = setup.start();
    let to = ["good@example.net", "bad@example.net"];
    server.ehlo().mail("ann@example.org", &to, "Subject: x\r\n\r\nbody\r\n");
    wait_for("the deferral", || (setup.json(&["status"])["deferred"] == 1).then_some(()));
    (setup, server)
}

#[test]
fn status_and_queue_have_the_fields_that_programs_rely_on() {
    let next = busy();
    let (setup, server) = deferred(&next);
    let status = setup.json(&["status"]);
    for name in "version pid uptime_s console inbound outbound held_sessions queue deferred held \
        accepted delivered bounced rejected bytes_in bytes_out last_tick_ms max_tick_ms max_sync_ms"
        .split_whitespace()
    {
        assert!(!status[name].is_null(), "{name}: {status}");
    }
    assert_eq!(status["pid"], server.pid());
    assert_eq!((&status["accepted"], &status["delivered"]), (&json!(1), &json!(1)));
    assert_eq!((&status["queue"], &status["console"]), (&json!(1), &json!(false)));

    let queue = setup.json(&["queue"]);
    let message = &queue["messages"][0];
    assert_eq!(message["id"], "q1");
    assert_eq!(message["sender"], "ann@example.org");
    assert_eq!(message["held"], false);
    assert!(message["size"].as_u64().unwrap() > 20);
    let received = message["received"].as_i64().unwrap();
    let wait = message["next_attempt"].as_i64().unwrap() - received;
    // Between half of the wait and one and a half of it.
    assert!((1700..5500).contains(&wait), "{message}");
    let [good, bad] = [&message["recipients"][0], &message["recipients"][1]];
    assert_eq!(
        (&good["address"], &good["state"]),
        (&json!("good@example.net"), &json!("delivered"))
    );
    assert_eq!((&bad["state"], &bad["attempts"]), (&json!("deferred"), &json!(1)));
    assert_eq!((&bad["last_reply"], &bad["next"]), (&json!("451 4.2.1 busy"), &json!("default")));

    let list = setup.say(&["queue"]);
    assert!(list.contains("q1 ") && list.contains("451 4.2.1 busy"), "{list}");
    assert_eq!(setup.json(&["queue", "where", "size > 1M"])["messages"], json!([]));
    for expr in [
        r#"rcpt ~ "^bad@""#,
        "reply >= 400 && next == default",
        r#"subject == "x""#,
        "id == q1",
        "client in 127.0.0.0/8",
    ] {
        let found = setup.json(&["queue", "where", expr]);
        assert_eq!(found["messages"][0]["id"], "q1", "{expr}");
    }
    let ages = setup.json(&["queue", "age"]);
    assert_eq!(
        (&ages["rows"][0]["next"], &ages["rows"][0]["ages"]["<5m"]),
        (&json!("default"), &json!(1))
    );
}

#[test]
fn messages_are_shown_from_all_sides() {
    let next = busy();
    let (setup, _server) = deferred(&next);
    for (part, words) in [
        ("envelope", "<bad@example.net>  deferred, tried once, by default"),
        ("headers", "Subject"),
        ("mime", "text/plain"),
        ("hops", "by   mx.example.org"),
        ("attempts", "<- 451 4.2.1 busy"),
        ("lint", "Date"),
        ("raw", "Subject: x"),
    ] {
        let out = setup.say(&["show", "q1", part]);
        assert!(out.contains(words), "{part}: {out}");
        assert!(setup.json(&["show", "q1", part]).is_object(), "{part}");
    }
    // The way of the message in both sessions.
    let ladder = setup.say(&["session", "i2", "ladder"]);
    let rung = |words: &str| ladder.find(words).unwrap_or_else(|| panic!("{words}: {ladder}"));
    let first = rung("client ──▶ MAIL FROM:<ann@example.org>");
    assert!(first < rung("q1 accepted"), "{ladder}");
    assert!(rung("──▶ next  RCPT TO:<bad@example.net>") > first, "{ladder}");
    assert!(setup.say(&["session", "i2"]).contains("-> MAIL FROM:<ann@example.org>"));
    assert!(
        setup.say(&["session", "i2", "raw"]).lines().any(|l| l == "MAIL FROM:<ann@example.org>")
    );
    assert!(setup.say(&["session", "i2", "hex"]).contains("4d 41 49 4c"));
    let (code, _, err) = setup.ctl(&["show", "q7"]);
    let why = "no message q7 is in the queue; 'queue' lists all, and 'show q7 attempts' tells";
    assert!(code == 1 && err.starts_with(why), "{err}");
}

#[test]
fn messages_are_held_released_retried_bounced_and_deleted() {
    let next = busy();
    let (setup, server) = deferred(&next);
    let tries = || setup.json(&["queue"])["messages"][0]["recipients"][1]["attempts"].as_u64();
    setup.say(&["hold", "q1"]);
    assert_eq!(setup.json(&["queue"])["messages"][0]["held"], true);
    assert_eq!(setup.json(&["status"])["held"], 1);
    // A held message stays where it is, also over a kill.
    server.kill();
    let _server = setup.start();
    wait_for("recovery", || (setup.json(&["status"])["held"] == 1).then_some(()));
    setup.say(&["retry", "q1"]);
    setup.say(&["flush"]);
    assert_eq!(setup.json(&["queue"])["messages"][0]["held"], true);
    setup.say(&["release", "q1"]);
    wait_for("an attempt", || (tries() == Some(1)).then_some(()));
    setup.say(&["retry", "q1"]);
    wait_for("another attempt", || (tries() == Some(2)).then_some(()));
    setup.say(&["flush"]);
    wait_for("a third attempt", || (tries() == Some(3)).then_some(()));
    // The bounce goes to ann, by the next server, which refuses it too.
    setup.say(&["bounce", "q1"]);
    wait_for("the bounce", || {
        let queue = setup.json(&["queue"]);
        let messages = queue["messages"].as_array().unwrap().clone();
        (messages.len() == 1 && messages[0]["sender"] == "").then_some(())
    });
    let id = setup.json(&["queue"])["messages"][0]["id"].as_str().unwrap().to_owned();
    assert!(setup.say(&["show", &id, "raw"]).contains("Given up by the administrator"));
    setup.say(&["delete", &id]);
    assert_eq!(setup.say(&["queue"]), "no messages\n");
    assert!(setup.queue_files().is_empty());
}

#[test]
fn more_than_one_message_is_confirmed() {
    let setup = Setup::new(free_address());
    let server = setup.start();
    let mut client = server.ehlo();
    for n in 0..5 {
        client.mail(&format!("s{n}@example.org"), &["bob@example.net"], "Subject: x\r\n\r\n");
    }
    let (code, _, err) = setup.ctl(&["confirm"]);
    assert_eq!((code, err.as_str()), (1, "nothing waits to be confirmed\n"));
    let told = setup.say(&["delete", "where", r#"from ~ "^s[123]@""#]);
    assert!(told.starts_with("3 messages"), "{told}");
    assert_eq!(setup.json(&["status"])["queue"], 5);
    assert_eq!(setup.say(&["confirm"]), "3 messages deleted\n");
    assert_eq!(setup.json(&["status"])["queue"], 2);
    // One is not asked about, none is no fault.
    assert_eq!(setup.say(&["delete", "where", r#"from == "s0@example.org""#]), "q1 deleted\n");
    assert_eq!(
        setup.say(&["delete", "where", r#"from == "nobody@example.org""#]),
        "0 messages deleted\n"
    );
    assert_eq!(setup.ctl(&["confirm"]).0, 1);
}

#[test]
fn settings_change_while_the_server_runs() {
    let next = Next::new();
    let setup = Setup::new(free_address());
    let server = setup.start();
    let mut client = server.ehlo();
    client.mail("ann@example.org", &["bob@example.net"], "Subject: first\r\n\r\n");
    // Mail that waits takes its route anew.
    let port = next.address.port().to_string();
    setup.say(&["config", "set", "next_server.port", &port]);
    assert_eq!(setup.json(&["config", "get", "next_server.port"])["value"], port);
    setup.say(&["flush"]);
    next.wait(1);
    // The listener moves without losing sessions.
    let other = free_address();
    setup.say(&["config", "set", "server.listen", &other.to_string()]);
    client.mail("ann@example.org", &["bob@example.net"], "Subject: second\r\n\r\n");
    assert!(std::net::TcpStream::connect(setup.address).is_err());
    let mut moved = crate::client::Client::connect(other).unwrap();
    moved.command("EHLO client.example.com").expect(250);
    // Limits count at once, in sessions that are open, too.
    setup.say(&["config", "set", "server.max_message_size", "1000"]);
    moved.command("MAIL FROM:<a@example.org> SIZE=2000").expect(552);
    // What is wrong changes nothing.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("{other}, {}", taken.local_addr().unwrap());
    for (name, value, words) in [
        ("server.listen", taken.as_str(), "another program has it"),
        ("queue.interval", "soon", "interval"),
        ("queue.intervall", "1s", "did you mean 'queue.interval'?"),
        ("server.spool", "x", "cannot change while the server runs"),
        ("server.max_recipients", "0", "max_recipients"),
        ("next_server.host", "", "no next server"),
        ("log.level", "smtp=loud", "log"),
    ] {
        let (code, out, err) = setup.ctl(&["config", "set", name, value]);
        assert_eq!(code, 1, "{name}: {out}");
        assert!(err.contains(words), "{name}: {err}");
    }
    assert_eq!(setup.json(&["config", "get", "server.listen"])["value"], other.to_string());
    assert!(crate::client::Client::connect(other).is_ok());
    // The changes go into the file, which keeps what it had.
    let diff = setup.json(&["config", "diff"]);
    assert_eq!(diff["settings"].as_array().unwrap().len(), 3, "{diff}");
    setup.say(&["config", "save"]);
    let file = std::fs::read_to_string(setup.dir.path().join("mailflux.ini")).unwrap();
    assert!(file.starts_with("[server]\nhostname = mx.example.org\n"), "{file}");
    assert!(file.contains("max_message_size = 1000\n"), "{file}");
    assert_eq!(setup.json(&["config", "diff"])["settings"], json!([]));
}

#[test]
fn the_file_is_read_again_by_command_and_by_signal() {
    let setup = Setup::new(free_address());
    let server = setup.start();
    let file = setup.dir.path().join("mailflux.ini");
    setup.say(&["config", "set", "server.max_hops", "50"]);
    std::fs::write(&file, "[server]\nhostname = other.example.org\nspool = elsewhere\n").unwrap();
    let told = setup.json(&["config", "reload"]);
    assert_eq!(told["forgotten"], json!(["server.max_hops"]));
    assert_eq!(setup.json(&["config", "get", "server.max_hops"])["value"], "100");
    std::fs::write(&file, "[server]\nmax_hops = 7\n").unwrap();
    server.signal("HUP");
    wait_for("the new setting", || {
        (setup.json(&["config", "get", "server.max_hops"])["value"] == "7").then_some(())
    });
    // A file that is wrong changes nothing, and the server goes on.
    std::fs::write(&file, "[server]\nmax_hop = 8\n").unwrap();
    let (code, _, err) = setup.ctl(&["config", "reload"]);
    assert!(code == 1 && err.contains("did you mean 'max_hops'?"), "{err}");
    server.signal("HUP");
    wait_for("a word in the log", || server.log().contains("not read again").then_some(()));
    assert_eq!(setup.json(&["config", "get", "server.max_hops"])["value"], "7");
    server.ehlo();
}

#[test]
fn next_servers_are_listed_paused_and_resumed() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    setup.say(&["next", "pause", "default"]);
    server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\n");
    let list = setup.json(&["next", "list"]);
    let row = &list["next_servers"][0];
    assert_eq!(
        (&row["name"], &row["state"], &row["due"]),
        (&json!("default"), &json!("paused"), &json!(1))
    );
    assert_eq!(next.count(), 0);
    setup.say(&["next", "resume", "default"]);
    next.wait(1);
    let (code, _, err) = setup.ctl(&["next", "pause", "defualt"]);
    assert_eq!(
        (code, err.as_str()),
        (1, "no next server is named 'defualt'; did you mean 'default'?\n")
    );
}

#[test]
fn sessions_statistics_and_checks_are_told() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    let mut client = server.ehlo();
    client.command("MAIL FROM:<ann@example.org>").expect(250);
    client.command("RCPT TO:<bob@example.net>").expect(250);
    let sessions = setup.json(&["sessions"]);
    let row = &sessions["sessions"][0];
    for (name, value) in [
        ("leg", json!("in")),
        ("state", json!("rcpt")),
        ("held", json!(false)),
        ("tls", json!(false)),
        ("user", Value::Null),
        ("from", json!("ann@example.org")),
        ("rcpts", json!(1)),
        ("bytes", json!(0)),
    ] {
        assert_eq!(row[name], value, "{name}: {row}");
    }
    assert!(row["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(row["age_s"].is_u64() && row["id"].as_str().unwrap().starts_with('i'));
    client.command("RCPT TO:<nobody>").expect(501);
    let stats = setup.json(&["stats"]);
    assert_eq!(stats["reply_codes"]["501"], 1);
    assert!(stats["stages"]["rcpt"]["p95"].is_f64(), "{stats}");
    for what in ["latency", "senders", "recipients", "clients", "codes", "sizes"] {
        assert!(!setup.say(&["analyse", what, "last=1h"]).is_empty(), "{what}");
        assert!(setup.json(&["analyse", what]).is_object(), "{what}");
    }
    setup.say(&["stats", "reset"]);
    assert_eq!(setup.json(&["stats"])["accepted"], 0);
    let check =
        setup.json(&["check", "client=192.0.2.1", "from=a@example.org", "rcpt=b@example.net"]);
    assert_eq!(
        (&check["accepted"], &check["reply"]),
        (&json!(false), &json!("550 5.7.1 Relaying denied"))
    );
    let check = setup.json(&["check", "client=127.0.0.1", "rcpt=b@example.net"]);
    assert_eq!((&check["accepted"], &check["route"]), (&json!(true), &json!(["default"])));
    assert!(
        setup.say(&["help"]).contains("queue") && setup.say(&["help", "queue"]).contains("where")
    );
}

#[test]
fn what_happens_can_be_followed() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    let mut stream = setup.socket();
    stream.write_all(b"{\"ask\":\"run\",\"line\":\"follow where verb == rcpt\"}\n").unwrap();
    // It listens once an event of its own connection could be told; others may come before.
    let mut lines = BufReader::new(stream).lines();
    let found = loop {
        let mut client = server.ehlo();
        client.command("MAIL FROM:<ann@example.org>").expect(250);
        client.command("RCPT TO:<bob@example.net>").expect(250);
        drop(client);
        let told: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if let Some(line) = told["lines"][0].as_str() {
            break line.to_owned();
        }
    };
    assert!(found.contains("RCPT TO:<bob@example.net>"), "{found}");
}

const FOLLOW: &[u8] = b"{\"ask\":\"run\",\"line\":\"follow i999\"}\n";

/// Who follows and goes away leaves nothing behind, also when there was nothing to tell.
#[test]
fn those_who_followed_and_went_make_room() {
    let setup = Setup::new(free_address());
    let server = setup.start();
    for _ in 0..200 {
        let mut stream = setup.socket();
        stream.write_all(FOLLOW).unwrap();
    }
    wait_for("an answer", || (setup.ctl(&["status"]).0 == 0).then_some(()));
    if cfg!(target_os = "linux") {
        let open = || {
            let folder = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
            let targets = folder.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
            targets.filter(|to| to.to_string_lossy().starts_with("socket:")).count()
        };
        wait_for("the end of all askers", || (open() < 10).then_some(()));
    }
}

/// Who follows and says that it will ask no more (`echo follow … | nc -U`) is told on, and costs
/// nothing while there is nothing to tell.
#[test]
fn who_follows_and_asks_no_more_costs_nothing() {
    let setup = Setup::new(free_address());
    let server = setup.start();
    let mut stream = setup.socket();
    stream.write_all(b"{\"ask\":\"run\",\"line\":\"follow where verb == helo\"}\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut told = BufReader::new(stream).lines();
    // It is heard at last: from then on all is told that fits.
    let mut client = server.connect();
    let heard = std::thread::spawn(move || told.next().unwrap().unwrap());
    wait_for("a line", || {
        client.command("HELO client.example.com").expect(250);
        heard.is_finished().then_some(())
    });
    assert!(heard.join().unwrap().contains("HELO client.example.com"));

    // Hundreds of answers later it has used hardly any time by itself. (A loop that never sleeps
    // takes all that it gets, which on a busy machine may be little.)
    if cfg!(target_os = "linux") {
        let used = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
            let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
            fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>()
        };
        let before = used();
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_secs(2) {
            pause();
        }
        let ticks = used() - before;
        assert!(ticks < 50, "{ticks} hundredths of a second in two");
    }
}

#[test]
fn a_console_is_told_what_happens_and_how_things_stand() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    let mut stream = setup.socket();
    stream.write_all(b"{\"ask\":\"watch\",\"backlog\":10}\n").unwrap();
    let mut told = BufReader::new(stream)
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let hello = told.next().unwrap();
    assert_eq!((&hello["told"], &hello["pid"]), (&json!("hello"), &json!(server.pid())));
    assert!(hello["settings"].as_array().unwrap().contains(&json!("queue.interval")));
    server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\n");
    let mut seen = String::new();
    let mut accepted = json!(0);
    while !(seen.contains("250 2.0.0") && accepted == 1) {
        let told = told.next().unwrap();
        match told["told"].as_str().unwrap() {
            "feed" => seen.push_str(&told.to_string()),
            "snapshot" => accepted = told["accepted"].clone(),
            other => panic!("{other}"),
        }
    }
    assert!(
        seen.contains("MAIL FROM:<ann@example.org>") && seen.contains("\"dropped\":0"),
        "{seen}"
    );
}

#[test]
fn who_asks_badly_is_let_go_and_costs_nothing() {
    let setup = Setup::new(free_address());
    let server = setup.start();
    for wrong in [&b"status\n"[..], b"\n", b"{\"ask\":\"run\"}\n", b"\xff\xfe\n", b"{}\n"] {
        let mut stream = setup.socket();
        stream.write_all(wrong).unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        assert!(told.contains("not a request"), "{told}");
    }
    // A request without end.
    let mut stream = setup.socket();
    let _ = stream.write_all(&vec![b'x'; 1 << 20]);
    let mut told = Vec::new();
    let _ = stream.read_to_end(&mut told);
    // One that asks for much and reads nothing: the others are served.
    let mut client = server.ehlo();
    for _ in 0..200 {
        client.mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\n");
    }
    let mut deaf = setup.socket();
    deaf.set_nonblocking(true).unwrap();
    let asking = b"{\"ask\":\"run\",\"line\":\"queue\",\"json\":true}\n".repeat(1000);
    let _ = deaf.write(&asking);
    assert_eq!(setup.json(&["status"])["queue"], 200);
    // Too many at once that ask nothing: they make room for one that does.
    let _crowd: Vec<UnixStream> = (0..100).map(|_| setup.socket()).collect();
    assert_eq!(setup.json(&["queue"])["messages"].as_array().unwrap().len(), 200);
}

#[test]
fn the_socket_is_private_and_a_stale_one_is_replaced() {
    let setup = Setup::new(free_address());
    let server = setup.start();
    let path = setup.spool().join("control.sock");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    server.kill();
    assert!(path.exists());
    let (code, _, err) = setup.ctl(&["status"]);
    assert!(code == 69 && err.contains("is it running?"), "{err}");
    let mut server = setup.start();
    assert_eq!(setup.json(&["status"])["pid"], server.pid());
    // Another server with the same socket is told so, and takes nothing away.
    let second = Setup::new(free_address()).set(&format!("server.control={}", path.display()));
    let out = run_to_end(&mut second.command());
    assert_eq!(out.status.code(), Some(73));
    assert!(String::from_utf8_lossy(&out.stderr).contains("another server answers there"));
    assert_eq!(setup.json(&["status"])["pid"], server.pid());
    setup.say(&["quit"]);
    assert!(server.wait().success());
    assert!(!path.exists());
}

#[test]
fn commands_that_are_wrong_say_where() {
    let setup = Setup::new(free_address());
    let _server = setup.start();
    for (args, words) in [
        (&["statsu"][..], "column 1: unknown command 'statsu'; did you mean 'status'?"),
        (&["queue", "where", "siz > 1"], "column 13: unknown field 'siz'; did you mean 'size'?"),
        (&["session", "x7"], "column 9: 'x7' is not the id of a session"),
        (&["session", "i999"], "session i999 is not known"),
        (&["pause"], "only a console has a view"),
    ] {
        let (code, out, err) = setup.ctl(args);
        assert_eq!((code, out.as_str()), (1, ""), "{args:?}");
        assert!(err.starts_with(words), "{args:?}: {err}");
        let (code, out, _) = setup.ctl(&[&["--json"], args].concat());
        let told: Value = serde_json::from_str(&out).unwrap();
        assert!(code == 1 && told["error"].is_string(), "{told}");
    }
    let code = |args: &[&str]| setup.ctl(args).0;
    assert_eq!(code(&[]), 64);
    assert_eq!(code(&["--jsno", "status"]), 64);
    let nowhere = ["ctl", "--socket", "/nowhere/control.sock", "status"];
    let out = run_to_end(program().args(nowhere).current_dir(setup.dir.path()));
    assert_eq!(out.status.code(), Some(69));
    // Without --socket it is that of the configuration.
    let out =
        run_to_end(program().args(["ctl", "-d", "spool", "status"]).current_dir(setup.dir.path()));
    assert_eq!(out.status.code(), Some(0));
    // An answer that cannot be written is not the server's fault.
    if cfg!(target_os = "linux") {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut asking = program();
        asking.args(["ctl", "-d", "spool", "status"]).current_dir(setup.dir.path());
        let out = asking.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let out = out.wait_with_output().unwrap();
        let words = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(71), "{words}");
        assert!(words.starts_with("cannot write to standard output: no space left"), "{words}");
    }
}
