//! Next servers that lie, over the wire: whatever one says at whatever stage, mail is neither lost
//! nor delivered twice, nobody else waits for it, and what it said is safe to look at.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::next::{Act, Next, Stage};
use crate::server::Setup;
use crate::{pause, wait_for};

const CONTENT: &str = "Subject: x\r\n\r\nbody\r\n";
const STAGES: [Stage; 6] =
    [Stage::Connect, Stage::Helo, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Dot];

fn eager(next: std::net::SocketAddr) -> Setup {
    Setup::new(next)
        .set("queue.interval=100ms")
        .set("queue.retry_min=100ms")
        .set("queue.retry_max=100ms")
}

/// What is said instead of a reply, at each stage in turn; then the server comes to its senses. In
/// the end the one message has arrived once.
fn comes_through(what: &str, lie: &(dyn Fn() -> String + Sync)) {
    std::thread::scope(|scope| {
        for stage in STAGES {
            let text = Mutex::new(Some(lie()));
            scope.spawn(move || {
                let next = Next::scripted(move |moment| match moment.stage {
                    at if at == stage => {
                        text.lock().unwrap().take().map_or(Act::Usual, Act::SayAndClose)
                    }
                    _ => Act::Usual,
                });
                let setup = eager(next.address);
                let server = setup.start();
                server.ehlo().mail("a@example.org", &["b@example.net"], CONTENT);
                next.wait(1);
                wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
                assert_eq!(next.count(), 1, "{what} at {stage:?}: {}", server.log());
                let log = server.log();
                let hidden = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
                assert!(!log.contains(hidden), "{what} at {stage:?}: {log:?}");
            });
        }
    });
}

#[test]
fn lines_without_end() {
    comes_through("a line without end", &|| "2".repeat(1 << 20));
    comes_through("a reply without end", &|| "250-still not done\r\n".repeat(50_000));
}

#[test]
fn what_is_no_reply() {
    for lie in [
        "450 n\0o\0\x1b[2J\r\n.",
        "999 what\r\n",
        "099 what\r\n",
        "199 what\r\n",
        "\r\n",
        // One reply with two codes.
        "250-yes\r\n550 no\r\n",
        "354-go\r\n250 taken\r\n",
    ] {
        comes_through(lie, &|| lie.to_owned());
    }
}

/// The first connection is over because of what was said in it, and the second brings the mail.
fn comes_through_at_the_second(next: &Next, what: &str) {
    let setup = eager(next.address);
    let server = setup.start();
    server.ehlo().mail("a@example.org", &["b@example.net"], CONTENT);
    next.wait(1);
    wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
    assert_eq!((next.count(), next.connections()), (1, 2), "{what}: {}", server.log());
}

/// Who says that the message was taken before it was sent has not taken it.
#[test]
fn a_success_before_the_end_of_the_content() {
    for early in ["354 Go on\r\n250 2.0.0 Taken\r\n", "250 2.0.0 Taken\r\n"] {
        let once = AtomicUsize::new(0);
        let next = Next::scripted(move |moment| match moment.stage {
            Stage::Data if once.fetch_add(1, Ordering::SeqCst) == 0 => Act::Say(early.into()),
            _ => Act::Usual,
        });
        comes_through_at_the_second(&next, early);
    }
}

/// A reply for which nothing asked ends the connection, before it could be taken for the answer to
/// the next command.
#[test]
fn replies_before_commands() {
    for stage in [Stage::Connect, Stage::Helo, Stage::Mail] {
        let once = AtomicUsize::new(0);
        let next = Next::scripted(move |moment| {
            let usual = match moment.stage {
                Stage::Connect => "220 next.example.net\r\n",
                // Without PIPELINING each command waits for its own reply.
                Stage::Helo => "250-next.example.net\r\n250 SIZE 0\r\n",
                _ => "250 2.0.0 Ok\r\n",
            };
            match moment.stage {
                at if at == stage && once.fetch_add(1, Ordering::SeqCst) == 0 => {
                    Act::Say(format!("{usual}250 2.0.0 Yes\r\n354 Go on\r\n250 2.0.0 Taken\r\n"))
                }
                Stage::Helo => Act::Say(usual.into()),
                _ => Act::Usual,
            }
        });
        comes_through_at_the_second(&next, &format!("{stage:?}"));
    }
}

/// What EHLO offers is believed only as far as it can be used.
#[test]
fn lies_in_ehlo() {
    for offer in [
        "SIZE 99999999999999999999999\r\n250-SIZE -1",
        "AUTH\r\n250-AUTH \0\x1b[2J\r\n250-AUTH=",
        "LIMITS RCPTMAX=0 MAILMAX=-5 RCPTDOMAINMAX=x",
        "PIPELINING PIPELINING\r\n250-8bitmime\r\n250-\u{202e}DSN",
        "\r\n250-\r\n250- STARTTLS",
    ] {
        let next = Next::scripted(move |moment| match moment.stage {
            Stage::Helo => Act::Say(format!("250-liar\r\n250-{offer}\r\n250 HELP\r\n")),
            _ => Act::Usual,
        });
        let setup = eager(next.address);
        let server = setup.start();
        server.ehlo().mail("a@example.org", &["b@example.net", "c@example.net"], CONTENT);
        let mails = next.wait(1);
        wait_for("an empty spool", || setup.queue_files().is_empty().then_some(()));
        let given: usize = next.mails().iter().map(|mail| mail.to.len()).sum();
        assert_eq!(given, 2, "{offer:?}: {mails:?} {}", server.log());
    }
}

/// Nobody else waits for a server that drips, and its octets need no memory.
#[test]
fn a_flood_beside_honest_mail() {
    let flood = Next::scripted(|moment| match moment.stage {
        Stage::Mail => Act::Say("250-x\r\n".repeat(200) + &"250-".repeat(100_000)),
        _ => Act::Usual,
    });
    let honest = Next::new();
    let setup = eager(flood.address)
        .set("next_server.b.host=127.0.0.1")
        .set(&format!("next_server.b.port={}", honest.address.port()))
        .set("routes.honest.test=b");
    let server = setup.start();
    server.ehlo().mail("a@example.org", &["b@flood.test"], CONTENT);
    wait_for("the flood", || (flood.connections() > 3).then_some(()));
    for _ in 0..20 {
        server.ehlo().mail("a@example.org", &["b@honest.test"], CONTENT);
        pause();
    }
    honest.wait(20);
    // What our next server has counted, the server under test may still have to hear.
    wait_for("one message in the spool", || (setup.queue_files().len() == 1).then_some(()));
    assert_eq!(flood.count(), 0, "{}", server.log());
}

/// A server that offers CHUNKING and does not know BDAT reads content as commands. Nothing bounces
/// for it: the message goes again by DATA, at once, and so does all that follows.
#[test]
fn who_offers_chunking_and_does_not_know_bdat_is_sent_none() {
    let next = Next::scripted(|moment| match moment.stage {
        Stage::Helo => Act::Say("250-next\r\n250-PIPELINING\r\n250 CHUNKING\r\n".into()),
        _ => Act::Usual,
    });
    // Whoever is tried again later is not tried again within this test.
    let setup = Setup::new(next.address).set("queue.retry_min=1h");
    let server = setup.start();
    for n in 1..=3 {
        let mut client = server.ehlo();
        client.mail("a@sender.test", &["b@x.test"], "Subject: x\r\n\r\nQUIT\r\nRSET\r\n");
        let mails = next.wait(n);
        assert!(mails[n - 1].without_trace().ends_with(b"\r\nQUIT\r\nRSET\r\n"));
    }
    let lines = next.lines();
    let said = |verb: &str| lines.iter().filter(|line| line.starts_with(verb)).count();
    assert_eq!((said("BDAT "), said("DATA")), (1, 3), "{lines:?}");
    let status = setup.json(&["status"]);
    assert_eq!((&status["bounced"], &status["delivered"]), (&0.into(), &3.into()));
    assert!(server.log().contains("offers CHUNKING, yet does not take BDAT: 500"));
}
