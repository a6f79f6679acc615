//! `report`: pages about a message and about all mail, as files of the process that asks.

use std::fs;

use crate::next::{Act, Next, Stage};
use crate::server::Setup;
use crate::wait_for;

/// A page that anybody may open: nothing runs, nothing is loaded.
fn is_harmless(page: &str) {
    let lower = page.to_ascii_lowercase();
    for bad in ["<script", "http://", "https://", "src=", "href=", "onload", "@import", "url("] {
        assert!(!lower.contains(bad), "{bad}");
    }
}

#[test]
fn a_message_and_the_last_hour_become_pages() {
    let next = Next::scripted(|moment| match moment.stage {
        Stage::Rcpt => Act::Say("451 4.7.1 <script>alert(1)</script> later\r\n".into()),
        _ => Act::Usual,
    });
    let setup = Setup::new(next.address).set("queue.retry_min=1h");
    let server = setup.start();
    let content = "Subject: <img src=x onerror=alert(1)>\r\n\r\nbody\r\n";
    server.ehlo().mail("ann@example.org", &["bob@example.net"], content);
    wait_for("the deferral", || setup.say(&["queue"]).contains("451 4.7.1").then_some(()));
    let read = |name: &str| fs::read_to_string(setup.dir.path().join(name)).unwrap();

    assert!(setup.say(&["report", "q1.html", "q1"]).starts_with("q1.html: "));
    let page = read("q1.html");
    for words in [
        "<h1>Message q1</h1>",
        "<h2>Envelope</h2>",
        "bob@example.net",
        "client ──▶ RCPT TO:&lt;bob@example.net&gt;",
        "── 451 4.7.1",
        "&lt;script&gt;",
        "<svg",
        "</html>",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let quoted = page.replace("img src=x onerror", "");
    is_harmless(&quoted);

    setup.say(&["report", "hour.html", "last=1h"]);
    let page = read("hour.html");
    for words in
        ["Mail of the last 1h", "Next servers", "Latency by stage", "ann@example.org", "Use of TLS"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    is_harmless(&page);

    setup.say(&["report", "all.txt"]);
    let text = read("all.txt");
    assert!(
        text.starts_with("Mail as far as it is recorded\n====")
            && text.contains("\nSenders\n-------")
    );
    for (args, words) in [
        (&["report", "all.txt"][..], "all.txt exists"),
        (&["report", "none.txt", "q99"], "q99"),
        (&["report"], "column 7: the file to write is missing"),
        (&["report", "x.txt", "last=soon"], "column 19"),
    ] {
        let (code, _, said) = setup.ctl(args);
        assert!(code == 1 && said.contains(words), "{args:?}: {said}");
    }
    assert!(!setup.dir.path().join("none.txt").exists());
}
