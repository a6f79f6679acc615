//! Forwarding, seen from both ends: next servers that are late, down, old, slow or lying, and
//! clients that leave in the middle.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::client::Client;
use crate::next::{Act, Mail, Next, Stage};
use crate::server::{Setup, free_address};
use crate::wait_for;

/// A server that tries again soon.
fn eager(next: std::net::SocketAddr) -> Setup {
    Setup::new(next).set("queue.interval=1s").set("queue.retry_min=1s").set("queue.retry_max=1s")
}

fn say(text: &str) -> Act {
    Act::Say(format!("{text}\r\n"))
}

/// One message to `to` through `setup`.
fn submit(setup: &Setup, to: &[&str]) {
    let mut client = Client::connect(setup.address).unwrap();
    client.command("EHLO client.example.com").expect(250);
    client.mail("a@example.org", to, "Subject: x\r\n\r\nbody\r\n");
}

#[test]
fn each_recipient_has_its_own_outcome() {
    let tries = AtomicUsize::new(0);
    let next = Next::scripted(move |moment| match moment.stage {
        Stage::Rcpt if moment.line.contains("<never@") => say("550 5.1.1 No such user"),
        Stage::Rcpt if moment.line.contains("<later@") => {
            match tries.fetch_add(1, Ordering::SeqCst) {
                0 => say("451 4.7.1 Greylisted"),
                _ => Act::Usual,
            }
        }
        _ => Act::Usual,
    });
    let setup = eager(next.address);
    let _server = setup.start();
    submit(&setup, &["now@x.example", "later@x.example", "never@x.example"]);
    let mails = next.wait(3);
    let sent_to = |who: &str| mails.iter().filter(|m| m.to[0].contains(who)).collect::<Vec<_>>();
    for who in ["<now@", "<later@"] {
        let [mail] = sent_to(who)[..] else { panic!("not once to {who}: {mails:?}") };
        assert_eq!(mail.to.len(), 1);
    }
    // The sender is told of the one that failed, in the next server's words, and only of that.
    let [bounce] = sent_to("<a@example.org>")[..] else { panic!("no bounce: {mails:?}") };
    assert!(bounce.from.starts_with("<>"), "{}", bounce.from);
    let text = bounce.text();
    for part in ["multipart/report", "never@x.example", "5.1.1", "No such user"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains("later@x.example"), "{text}");
    // Later mail goes out, and nobody asks again for the one that failed for good.
    submit(&setup, &["now@x.example"]);
    next.wait(4);
    let asked = |who: &str| next.lines().iter().filter(|line| line.contains(who)).count();
    assert_eq!((asked("<never@"), asked("<later@")), (1, 2));
}

#[test]
fn next_server_that_comes_later() {
    let address = free_address();
    let setup = eager(address);
    let server = setup.start();
    for _ in 0..3 {
        submit(&setup, &["b@example.net"]);
    }
    let next = Next::at(address, |_| Act::Usual);
    next.wait(3);
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
    assert_eq!(next.count(), 3, "{}", server.log());
}

#[test]
fn old_next_server_is_greeted_with_helo() {
    let next = Next::scripted(|moment| match moment.stage {
        Stage::Helo if moment.line.starts_with("EHLO") => say("502 What is EHLO?"),
        _ => Act::Usual,
    });
    let setup = eager(next.address);
    let _server = setup.start();
    let mut client = Client::connect(setup.address).unwrap();
    client.command("EHLO client.example.com").expect(250);
    client.command("MAIL FROM:<a@example.org> SIZE=30 RET=HDRS ENVID=x").expect(250);
    client.command("RCPT TO:<b@example.net> NOTIFY=FAILURE").expect(250);
    client.command("DATA").expect(354);
    client.send("Subject: x\r\n\r\n.\r\n").unwrap();
    client.reply().unwrap().expect(250);
    let mail = &next.wait(1)[0];
    // What was not offered is not sent.
    assert_eq!((&*mail.from, &*mail.to[0]), ("<a@example.org>", "<b@example.net>"));
    assert!(next.lines().contains(&"HELO mx.example.org".to_owned()), "{:?}", next.lines());
}

#[test]
fn parameters_are_passed_on_where_offered() {
    let next = Next::new();
    let setup = eager(next.address);
    let _server = setup.start();
    let mut client = Client::connect(setup.address).unwrap();
    client.command("EHLO client.example.com").expect(250);
    client.command("MAIL FROM:<> BODY=8BITMIME RET=HDRS ENVID=e+2D1").expect(250);
    let rcpt = "RCPT TO:<b@example.net> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b@example.net";
    client.command(rcpt).expect(250);
    client.command("DATA").expect(354);
    client.send(b"Subject: x\r\n\r\n\xfc\r\n.\r\n").unwrap();
    client.reply().unwrap().expect(250);
    let mail = &next.wait(1)[0];
    assert!(mail.from.starts_with("<> "), "{}", mail.from);
    for part in [" SIZE=", " BODY=8BITMIME", " RET=HDRS", " ENVID=e+2D1"] {
        assert!(mail.from.contains(part), "{part} is not in {}", mail.from);
    }
    assert_eq!(mail.to, [&rcpt[8..]]);
    assert!(mail.content.ends_with(b"\r\n\r\n\xfc\r\n"));
}

#[test]
fn what_is_declared_and_not_needed_needs_no_extension() {
    let next = Next::scripted(|moment| match moment.stage {
        Stage::Helo => say("250 next.example"),
        _ => Act::Usual,
    });
    let setup = eager(next.address);
    let _server = setup.start();
    let mut client = Client::connect(setup.address).unwrap();
    client.command("EHLO client.example.com").expect(250);
    for (to, body) in [("plain@x.example", "plain"), ("eight@x.example", "\u{fc}")] {
        client.command("MAIL FROM:<a@example.org> BODY=8BITMIME SMTPUTF8").expect(250);
        client.command(&format!("RCPT TO:<{to}>")).expect(250);
        client.command("DATA").expect(354);
        client.send(format!("Subject: x\r\n\r\n{body}\r\n.\r\n")).unwrap();
        client.reply().unwrap().expect(250);
    }
    let mails = next.wait(2);
    let sent_to = |who: &str| mails.iter().find(|m| m.to[0].contains(who));
    let plain = sent_to("plain@").expect("ASCII goes to a server that offers nothing");
    assert_eq!(plain.from, "<a@example.org>");
    let bounce = sent_to("a@example.org").expect("what is not ASCII comes back");
    assert!(bounce.text().contains("eight@x.example"), "{}", bounce.text());
}

/// None of these is a success: the message arrives when the next server has come to its senses,
/// and then once.
#[test]
fn senseless_replies_are_no_success() {
    let replies = [
        Act::SayAndClose("250".into()),
        Act::SayAndClose("250 2.0.0 Ok".into()),
        Act::SayAndClose("250-2.0.0 Ok\r\n".into()),
        Act::SayAndClose("250-2.0.0 Ok\r\n550 5.0.0 No\r\n".into()),
        Act::SayAndClose("2500 Ok\r\n".into()),
        Act::SayAndClose("Ok\r\n".into()),
        Act::SayAndClose("\r\n250 2.0.0 Ok\r\n".into()),
        Act::SayAndClose(format!("250-{}\r\n", "x".repeat(100_000))),
        Act::SayAndClose("354 Go on\r\n".into()),
        Act::Reset,
        Act::Close,
    ];
    std::thread::scope(|scope| {
        for reply in replies {
            scope.spawn(|| arrives_once_after(reply));
        }
    });
}

/// A message whose final dot is once answered like this arrives later, once, on another connection.
fn arrives_once_after(reply: Act) {
    let reply = std::sync::Mutex::new(Some(reply));
    let next = Next::scripted(move |moment| match moment.stage {
        Stage::Dot => reply.lock().unwrap().take().unwrap_or(Act::Usual),
        _ => Act::Usual,
    });
    let setup = eager(next.address);
    let server = setup.start();
    submit(&setup, &["b@example.net"]);
    next.wait(1);
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
    assert_eq!((next.count(), next.connections() > 1), (1, true), "{}", server.log());
}

#[test]
fn slow_and_long_replies_are_read() {
    let next = Next::scripted(|moment| match moment.stage {
        Stage::Connect => Act::Drip("220-next\r\n220 slow\r\n".into()),
        Stage::Mail => Act::Drip("250-2.1.0 one\r\n250 2.1.0 two\r\n".into()),
        Stage::Dot => Act::Say("250-x\r\n".repeat(50) + "250 " + &"y".repeat(2000) + "\r\n"),
        _ => Act::Usual,
    });
    let setup = eager(next.address);
    let _server = setup.start();
    submit(&setup, &["b@example.net"]);
    submit(&setup, &["c@example.net"]);
    next.wait(2);
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
    assert_eq!(next.count(), 2);
}

/// One next server that never answers does not stop the service.
/// Such words reach senders, in bounces: without the numbers of this system.
#[test]
fn a_connection_that_breaks_is_told_in_words() {
    let next = Next::scripted(|moment| match moment.stage {
        Stage::Rcpt => Act::Reset,
        _ => Act::Usual,
    });
    let setup = eager(next.address);
    let _server = setup.start();
    submit(&setup, &["b@example.net"]);
    let told = || setup.json(&["queue"])["messages"][0]["recipients"][0]["last_reply"].clone();
    let told = wait_for("the fault", || told().as_str().map(str::to_owned));
    assert_eq!(told, "451 4.4.2 connection lost: connection reset by peer");
}

#[test]
fn silent_next_server_stops_nobody() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = eager(silent.local_addr().unwrap());
    let server = setup.start();
    for _ in 0..20 {
        submit(&setup, &["b@example.net"]);
    }
    server.ehlo().command("NOOP").expect(250);
}

/// All addresses of a name are tried: the next server listens on one of the two of localhost.
#[test]
fn localhost_by_name() {
    let next = Next::new();
    let port = next.address.port();
    let setup = eager(next.address).set("next_server.host=localhost");
    let setup = setup.set(&format!("next_server.port={port}"));
    let _server = setup.start();
    submit(&setup, &["b@example.net"]);
    next.wait(1);
}

/// An idle connection that the next server closed is no fault: the next message takes a new one.
#[test]
fn closed_idle_connection() {
    let closing = std::sync::Arc::new(AtomicBool::new(true));
    let theirs = std::sync::Arc::clone(&closing);
    let next = Next::scripted(move |moment| match moment.stage {
        // Takes one message for each connection, and breaks off when a second is begun.
        Stage::Mail if moment.transactions > 0 && theirs.swap(false, Ordering::SeqCst) => {
            Act::Close
        }
        _ => Act::Usual,
    });
    let setup = eager(next.address);
    let _server = setup.start();
    submit(&setup, &["b@example.net"]);
    next.wait(1);
    submit(&setup, &["c@example.net"]);
    let mails: Vec<Mail> = next.wait(2);
    assert!(mails[1].to[0].contains("<c@"));
}

/// A route with two next servers: mail goes to the first that takes mail, what waits goes along,
/// and new mail comes back when the first is there again.
#[test]
fn next_servers_of_a_route_are_tried_in_order() {
    let (first, last) = (free_address(), Next::new());
    let named = |name: &str, address: std::net::SocketAddr| {
        let (host, port) = (address.ip(), address.port());
        [format!("next_server.{name}.host={host}"), format!("next_server.{name}.port={port}")]
    };
    let mut setup = eager(free_address()).set("routes.*=one, two");
    for setting in named("one", first).into_iter().chain(named("two", last.address)) {
        setup = setup.set(&setting);
    }
    let _server = setup.start();
    for n in 0..3 {
        submit(&setup, &[&format!("r{n}@x.example")]);
    }
    last.wait(3);
    let first = Next::at(first, |moment| match moment.stage {
        // It greets, and has a way of its own to say that it does not want us.
        Stage::Mail if moment.connection == 3 => say("530 5.7.0 Go away"),
        _ => Act::Usual,
    });
    let sent = std::cell::Cell::new(0);
    wait_for("mail to the first server", || {
        submit(&setup, &["back@x.example"]);
        sent.set(sent.get() + 1);
        (first.count() > 0).then_some(())
    });
    wait_for("all mail", || (first.count() + last.count() == 3 + sent.get()).then_some(()));
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
}

/// Who asked for news of success hears once of all recipients that a server without DSN took; of
/// the others, each in its own way.
#[test]
fn mail_relayed_to_a_server_without_dsn() {
    let next = Next::scripted(|moment| match moment.stage {
        Stage::Helo => Act::Say("250-next.example.net\r\n250 PIPELINING\r\n".into()),
        Stage::Rcpt if moment.line.contains("<never@") => say("550 5.1.1 No such user"),
        _ => Act::Usual,
    });
    let setup = eager(next.address);
    let server = setup.start();
    let mut client = server.ehlo();
    client.command("MAIL FROM:<a@example.org> ENVID=e1").expect(250);
    for (who, notify) in [("x", "SUCCESS"), ("y", "SUCCESS,DELAY"), ("z", "FAILURE")] {
        client.command(&format!("RCPT TO:<{who}@x.example> NOTIFY={notify}")).expect(250);
    }
    client.command("RCPT TO:<never@x.example> NOTIFY=SUCCESS,FAILURE").expect(250);
    client.command("DATA").expect(354);
    client.send("Subject: x\r\n\r\n.\r\n").unwrap();
    client.reply().unwrap().expect(250);
    let mails = next.wait(3);
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
    assert_eq!(next.count(), 3, "{mails:?}");
    let notice = |word: &str| {
        let mut with = mails.iter().filter(|m| m.text().contains(&format!("Action: {word}")));
        let text = with.next().unwrap_or_else(|| panic!("no {word}: {mails:?}")).text();
        let lines = text.lines().filter(|line| line.starts_with("Final-Recipient"));
        lines.map(|line| line[17..].to_owned()).collect::<Vec<String>>()
    };
    assert_eq!(notice("relayed"), ["rfc822; x@x.example", "rfc822; y@x.example"]);
    assert_eq!(notice("failed"), ["rfc822; never@x.example"]);
}

/// The client has said all it has to say, and reads on.
#[test]
fn half_closed_client_gets_its_replies() {
    let next = Next::new();
    let setup = eager(next.address);
    let server = setup.start();
    let mut client = server.connect();
    client
        .send("EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
        .unwrap();
    client.send("Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n").unwrap();
    client.half_close();
    let codes: Vec<u16> = (0..6).map(|_| client.reply().unwrap().code).collect();
    assert_eq!(codes, [250, 250, 250, 354, 250, 221]);
    assert_eq!(client.read_to_end(), b"");
    next.wait(1);
}

/// What has no end was never sent.
#[test]
fn client_that_leaves_in_the_middle() {
    let next = Next::new();
    let setup = eager(next.address);
    let server = setup.start();
    let large = "x\r\n".repeat(200_000);
    for content in ["", "Subject: x\r\n\r\nbody\r\n", "Subject: x\r\n\r\nbody\r\n.", &large] {
        let mut client = server.ehlo();
        client.command("MAIL FROM:<a@example.org>").expect(250);
        client.command("RCPT TO:<b@example.org>").expect(250);
        client.command("DATA").expect(354);
        client.send(content).unwrap();
        client.half_close();
        client.read_to_end();
    }
    submit(&setup, &["last@example.net"]);
    assert!(next.wait(1)[0].to[0].contains("<last@"));
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
    let incoming = setup.spool().join("incoming");
    assert_eq!(std::fs::read_dir(incoming).unwrap().count(), 0, "large content was left behind");
    assert_eq!(next.count(), 1);
}

/// Each of these ends a message for some other server. Here it ends nothing: the message is read
/// to its real end, refused, and the session goes on in step.
#[test]
fn smuggling() {
    let next = Next::new();
    let setup = eager(next.address);
    let server = setup.start();
    let mut client = server.ehlo();
    for end in ["\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r", "\r\n\0.\n"]
    {
        client.command("MAIL FROM:<a@example.org>").expect(250);
        client.command("RCPT TO:<b@example.org>").expect(250);
        client.command("DATA").expect(354);
        let inner = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nevil\r\n";
        client.send(format!("Subject: x\r\n\r\nbody{end}{inner}.\r\n")).unwrap();
        client.reply().unwrap().expect(550).says("550 5.6.0");
        client.command("NOOP").expect(250);
    }
    submit(&setup, &["last@example.net"]);
    assert!(next.wait(1)[0].to[0].contains("<last@"));
    assert_eq!(next.count(), 1);
}
