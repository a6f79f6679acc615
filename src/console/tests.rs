//! The console as a whole: screens against golden ones, hostile text in every field, any keys.
//!
//! The golden screens stand in `golden/`; `MAILFLUX_BLESS=1` writes them anew, to be looked at.

use super::samples::{AT_MS, event, said};
use super::*;
use crate::base::{MessageId, Now, Wall};
use crate::control::{HeldLine, SessionLine, Snapshot};
use crate::journal::{FeedItem, Kind, Level, Mark};

const UTF8: Look = Look { utf8: true };

fn now(ms: u64) -> Now {
    let wall = Wall::from_micros((AT_MS + ms as i64) * 1000);
    Now { time: Time::from_micros(ms * 1000), wall }
}

fn hello() -> Told {
    Told::Hello(Hello {
        version: "0.1.0".into(),
        hostname: Printable::new("mx.example.org"),
        pid: 4711,
        settings: vec![Printable::new("queue.interval")],
        next_servers: vec![Printable::new("mx1")],
    })
}

/// What a relay says about one message with two recipients, one of them refused.
fn dialogue() -> Vec<FeedItem> {
    let mut items: Vec<FeedItem> = [
        ("i7", "=== connected from 192.0.2.7:50412"),
        ("i7", "S: 220 mx.example.org ESMTP MailFlux"),
        ("i7", "C: EHLO client.example.org"),
        ("i7", "S: 250-mx.example.org greets client.example.org"),
        ("i7", "S: 250 SIZE 52428800"),
        ("i7", "C: MAIL FROM:<ann@example.org> SIZE=1834"),
        ("i7", "S: 250 2.1.0 Sender ok"),
        ("i7", "C: RCPT TO:<bob@example.net>"),
        ("i7", "S: 250 2.1.5 Recipient ok"),
        ("i7", "C: RCPT TO:<carol@elsewhere.example>"),
        (
            "i7",
            "S: 550 5.7.1 Relaying is not allowed: neither this client nor the recipient's \
                domain is one that this server relays for (server.relay_from, server.relay_to)",
        ),
        ("i7", "C: DATA"),
        ("i7", "S: 354 Go ahead"),
        ("i7", "=== [1834 octets of content]"),
        ("i7", "S: 250 2.0.0 q1A queued"),
        ("o3", "=== connected to mx1 (198.51.100.4:25)"),
        ("o3", "S: 220 mx1.example.net"),
        ("o3", "C: EHLO mx.example.org"),
        ("o3", "S: 250 SMTPUTF8"),
        ("o3", "C: MAIL FROM:<ann@example.org>"),
        ("o3", "S: 451 4.7.1 Greylisted, grün 日本 e\u{301}"),
        ("o3", "S: 599 what"),
        ("i7", "C: QUIT"),
    ]
    .into_iter()
    .zip(1..)
    .map(|((session, text), seq)| match text.strip_prefix("=== ") {
        Some(text) => event(seq, session, text),
        None => said(seq, session, text),
    })
    .collect();
    items[18].delay_us = 2_345_000;
    items[21].mark = Mark::Unexpected;
    let message = Some(MessageId { arrived: 1, counter: 26 });
    let mut accepted = event(24, "i7", "accepted from=<ann@example.org> nrcpts=1 size=1834");
    accepted.message = message;
    let mut warning = event(25, "-", "mx1: backing off for 15 s");
    warning.level = Level::Warn;
    let mut cut = event(26, "-", "cannot write to the spool: No space left on device");
    cut.level = Level::Error;
    items.extend([accepted, warning, cut]);
    items
}

fn session(id: &str, held: bool) -> SessionLine {
    SessionLine {
        id: id.into(),
        leg: Printable::new(if id.starts_with('i') { "in" } else { "out" }),
        peer: "192.0.2.7:50412".into(),
        state: Printable::new("rcpt"),
        held: held.then(|| HeldLine {
            stage: Printable::new("rcpt"),
            by: Printable::new("b1"),
            about: Printable::new("RCPT TO:<a-very-long-name-indeed@subdomain.example.net>"),
            left_s: 252,
            peer_waits_s: 300,
        }),
        age_s: 125,
        tls: !held,
        user: None,
        from: Some(Printable::new("ann@example.org")),
        to: Some(Printable::new("a-very-long-name-indeed@subdomain.example.net")),
        rcpts: 3,
        bytes: 12_345,
        last: Printable::new("RCPT TO:<a-very-long-name-indeed@subdomain.example.net>"),
    }
}

fn snapshot(second: u64) -> Told {
    Told::Snapshot(Box::new(Snapshot {
        at_ms: AT_MS + second as i64 * 1000,
        inbound: 12,
        outbound: 8,
        queue: 57,
        deferred: 4,
        accepted: second * second * 10,
        replies_4xx: second,
        p95_ms: 3.1,
        max_tick_ms: 12.3,
        sessions: ["i7", "o3", "i8"].map(|id| session(id, id == "i8")).to_vec(),
        ..Snapshot::default()
    }))
}

fn scene(size: (u16, u16), look: Look) -> Console {
    let mut console = Console::new(Place::Attached, look, size, "queue\nstatus\n");
    console.told(hello(), Time::ZERO);
    for second in 0..30 {
        console.told(snapshot(second), Time::ZERO);
    }
    console.told(Told::Feed { items: dialogue(), dropped: 0 }, Time::ZERO);
    console
}

fn press(console: &mut Console, octets: &str) {
    console.keys(octets.as_bytes(), now(60_000));
    console.wake(now(61_000));
}

fn letter(style: Style) -> char {
    let at = Style::ALL.iter().position(|s| *s == style).unwrap();
    b" abcdefghijklmnopqrs"[at] as char
}

/// The screen as text, then its styles, a letter for each cell.
fn picture(console: &Console) -> String {
    let frame = view::draw(console);
    let mut out = String::new();
    for row in 0..frame.grid.rows() {
        out += &format!("|{}\n", frame.grid.text(row));
    }
    out += &format!("cursor {} {}\n", frame.cursor.0, frame.cursor.1);
    for row in 0..frame.grid.rows() {
        let styles: String = frame.grid.row(row).iter().map(|cell| letter(cell.style)).collect();
        out += &format!("|{}\n", styles.trim_end());
    }
    out
}

fn golden(name: &str, console: &Console) {
    let path = format!("{}/src/console/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let got = picture(console);
    if std::env::var_os("MAILFLUX_BLESS").is_some() {
        std::fs::write(&path, &got).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(got == want, "{path} has another screen:\n{got}");
}

fn screen(console: &Console) -> String {
    let grid = view::draw(console).grid;
    (0..grid.rows()).map(|row| grid.text(row) + "\n").collect()
}

#[test]
fn golden_screens() {
    for (columns, rows) in [(40, 10), (80, 24), (120, 40)] {
        let mut console = scene((columns, rows), UTF8);
        let size = format!("{columns}x{rows}");
        console.messages.push_mark(Wall::from_secs(0), Printable::new("before the change"));
        golden(&format!("follow-{size}"), &console);
        press(&mut console, "\x1bwqueue\r");
        assert_eq!(console.take_requests().len(), 2);
        let lines = (1..40).map(|i| Printable::new(format!("q{i:X}  <ann@example.org>  pending")));
        let lines = lines.collect();
        console.told(Told::Lines { id: 1, lines }, Time::ZERO);
        console.told(Told::End { id: 1, ok: true }, Time::ZERO);
        press(&mut console, "\x13config set qu");
        golden(&format!("answer-{size}"), &console);
        press(&mut console, "\x03\x03/bob\r");
        golden(&format!("find-{size}"), &console);
    }
    golden("ascii-80x24", &scene((80, 24), Look { utf8: false }));
}

#[test]
fn notes_stand_beside_or_below() {
    for (columns, rows) in [(40, 10), (80, 24), (120, 40)] {
        let mut console = scene((columns, rows), UTF8);
        console.told(Told::Feed { items: annotated(), dropped: 0 }, Time::ZERO);
        press(&mut console, "\x1b");
        let without = screen(&console);
        press(&mut console, "annotate on\r\x1b");
        assert!(matches!(console.take_requests().last(), Some(Request::Run { .. })));
        golden(&format!("annotate-{columns}x{rows}"), &console);
        press(&mut console, "annotate off\r\x1b");
        assert_eq!(screen(&console), without);
    }
}

/// A hint that is longer than its row says so.
#[test]
fn a_long_hint_has_a_sign_where_it_is_cut() {
    for (look, sign) in [(UTF8, '…'), (Look { utf8: false }, '>')] {
        let mut console = scene((80, 24), look);
        press(&mut console, "fault add ");
        let hint = screen(&console).lines().last().unwrap().to_owned();
        assert!(hint.starts_with("fault add STAGE") && hint.ends_with(sign), "{hint}");
        assert_eq!(hint.chars().count(), 80);
    }
}

/// Who begins to talk while the view stands still sees what is answered.
#[test]
fn a_view_that_stands_still_goes_along_with_a_student() {
    let mut console = scene((80, 24), UTF8);
    press(&mut console, "\x13");
    assert!(console.messages.is_paused());
    let prompt = Printable::new("smtp: ");
    console.told(Told::Prompt { id: 1, prompt, session: Some("i7".into()) }, Time::ZERO);
    assert!(!console.messages.is_paused() && console.messages.follows());
}

/// The dialogue with the notes of a commentator, and one command in the wrong place.
fn annotated() -> Vec<FeedItem> {
    use crate::explain::Commentator;
    use crate::journal::Sign;
    let mut items = dialogue();
    items.truncate(15);
    items.insert(7, said(99, "i7", "C: DATA"));
    items.insert(8, said(99, "i7", "S: 503 5.5.1 RCPT first"));
    let mut commentator = Commentator::new(crate::base::Leg::In);
    for item in &mut items {
        if item.sign != Sign::Event {
            let comment = commentator.hear(item.sign, item.text.as_str().as_bytes());
            item.note = Some(Printable::from_shown(comment.annotation()));
        }
    }
    items
}

#[test]
fn keys_of_the_view() {
    let mut console = scene((80, 24), UTF8);
    let last_row = |console: &Console| {
        let grid = view::draw(console).grid;
        let status = (0..grid.rows()).find(|row| grid.row(*row)[0].style == Style::Status);
        grid.text(status.unwrap() - 1)
    };
    let end = last_row(&console);
    press(&mut console, "\x1b[5~");
    assert!(screen(&console).contains("SCROLL"));
    assert_ne!(last_row(&console), end);
    press(&mut console, "\x1b[6~\x1b[6~");
    assert!(screen(&console).contains("FOLLOW"));
    press(&mut console, "\x1b[1;5H");
    assert!(screen(&console).contains("connected from 192.0.2.7:50412"));
    press(&mut console, "\x11");
    assert_eq!(last_row(&console), end);
    press(&mut console, "\x13");
    console.told(Told::Feed { items: vec![event(99, "i9", "late")], dropped: 5 }, Time::ZERO);
    assert_eq!(last_row(&console), end);
    let paused = screen(&console);
    assert!(paused.contains("PAUSED") && paused.contains("2 new"), "{paused}");
    press(&mut console, "resume\r");
    assert!(last_row(&console).contains("late"));
    assert!(screen(&console).contains("5 lines not shown"));
    press(&mut console, "\r");
    assert!(last_row(&console).starts_with("──── 18:43:26.123"), "{}", last_row(&console));
    press(&mut console, "follow o3\r");
    assert!(!screen(&console).contains(" i7 "));
    press(&mut console, "follow where reply >= 500\r");
    assert!(screen(&console).contains("only where reply >= 500"));
    press(&mut console, "follow\rclear\r");
    assert!(!screen(&console).contains(" i7 "));
}

#[test]
fn a_search_goes_up_and_down_and_ends() {
    let mut console = scene((80, 12), UTF8);
    press(&mut console, "/EHLO\r");
    assert!(screen(&console).contains("EHLO mx.example.org"));
    press(&mut console, "n");
    assert!(screen(&console).contains("EHLO client.example.org"));
    press(&mut console, "n");
    assert!(console.hint.as_ref().unwrap().starts_with("no more"));
    press(&mut console, "N");
    assert!(screen(&console).contains("EHLO mx.example.org"));
    // Any other key ends it, and `n` is a letter again.
    press(&mut console, "\x1b");
    press(&mut console, "next");
    assert_eq!((console.find.is_none(), console.editor.text().as_str()), (true, "next"));
}

#[test]
fn commands_go_to_the_server_and_mistakes_do_not() {
    let mut console = scene((80, 24), UTF8);
    console.take_requests();
    press(&mut console, "stats\rqueue where sise > 1M\r");
    let run = Request::Run { id: 1, line: "stats".into(), json: false };
    assert_eq!(console.take_requests(), [run]);
    let screen = screen(&console);
    assert!(screen.contains("> queue where sise > 1M\n              ^\ncolumn 13: "), "{screen}");
    press(&mut console, "status\r");
    console.told(Told::Lines { id: 2, lines: vec![Printable::new("no")] }, Time::ZERO);
    console.told(Told::End { id: 2, ok: false }, Time::ZERO);
    assert_eq!(console.answers.last().last().unwrap().0, Part::Refusal);
}

#[test]
fn leaving_and_suspending() {
    let mut attached = Console::new(Place::Attached, UTF8, (80, 24), "");
    let mut server = Console::new(Place::Server, UTF8, (80, 24), "");
    attached.take_requests();
    server.take_requests();
    press(&mut attached, "x\x04\x15\x04\x1a");
    assert_eq!(attached.take_wishes(), [Wish::Leave, Wish::Suspend]);
    press(&mut server, "\x1a");
    assert_eq!(server.take_wishes(), []);
    assert!(screen(&server).contains("Ctrl-Z once more"));
    press(&mut server, "\x1a\x0c");
    assert_eq!(server.take_wishes(), [Wish::Suspend, Wish::Redraw]);
    press(&mut server, "\x04\x04");
    let lines: Vec<Request> = server.take_requests();
    let run = |id, line: &str| Request::Run { id, line: line.into(), json: false };
    assert_eq!(lines, [run(1, "quit"), run(2, "quit now")]);
    assert_eq!(server.new_commands(), [""; 0], "nothing was typed");
    press(&mut server, "stats\r");
    assert_eq!(server.new_commands(), ["stats"]);
}

#[test]
fn tab_completes_and_shows_what_is_possible() {
    let mut console = scene((80, 24), UTF8);
    press(&mut console, "sess\t");
    assert_eq!(console.editor.text(), "session");
    assert!(screen(&console).contains("sessions  session"));
    press(&mut console, " i\t");
    assert_eq!(console.editor.text(), "session i7 ");
    press(&mut console, "\x15zzz\t");
    assert!(screen(&console).contains("nothing to complete"));
}

#[test]
fn time_brings_frames_and_a_lone_esc() {
    let mut console = scene((80, 24), UTF8);
    assert!(console.frame(now(0).time).is_some());
    assert_eq!((console.frame(now(5000).time), console.deadline(true)), (None, Time::NEVER));
    console.told(snapshot(50), now(10).time);
    assert_eq!(console.deadline(true), now(100).time);
    assert!(console.frame(now(99).time).is_none());
    console.keys(b"x", now(11));
    assert_eq!(console.deadline(true), now(25).time, "who types sees it soon");
    assert!(console.frame(now(25).time).is_some());
    console.keys(b"\x15\x1b", now(200));
    assert!(console.frame(now(200).time).is_some());
    assert_eq!(console.deadline(true), now(250).time);
    console.wake(now(250));
    assert!(!console.answers.is_open());
}

/// Every octet and the well-known tricks, in every field that is shown.
#[test]
fn nothing_hostile_reaches_a_cell() {
    let all: Vec<u8> = (0..=255).collect();
    let tricks: [&[u8]; 10] = [
        &all,
        b"\x1b[2J\x1b]0;owned\x07",
        b"<evil>\rRCPT TO:<good>",
        b"a\0b",
        "\u{202e}moc.elpmaxe\u{202c}\u{200b}\u{feff}".as_bytes(),
        b"\xff\xfe\xc3(\xe2\x82",
        b"%s%n%s%n",
        "\u{9b}2J".as_bytes(),
        &[b'x'; 1 << 20],
        "e\u{301}\u{301}\u{301}\u{301}日本\u{1f468}\u{200d}\u{1f469}".as_bytes(),
    ];
    for octets in tricks {
        let evil = Printable::new(octets);
        let text = String::from_utf8_lossy(octets).into_owned();
        for look in [UTF8, Look { utf8: false }] {
            for size in [(40, 10), (80, 24), (120, 40)] {
                let mut console = scene(size, look);
                console.told(hostile_hello(&evil, &text), Time::ZERO);
                console.told(hostile_snapshot(&evil, &text), Time::ZERO);
                let mut item = said(1, "i7", "C: x");
                item.text = evil.clone();
                item.kind = Kind::Opened { peer: text.clone() };
                console.told(Told::Feed { items: vec![item; 3], dropped: 0 }, Time::ZERO);
                console.told(Told::Lines { id: 0, lines: vec![evil.clone(); 3] }, Time::ZERO);
                console.keys(&octets[..octets.len().min(2000)], now(1));
                console.keys(b"mark ", now(2));
                console.keys(&octets[..octets.len().min(2000)], now(2));
                console.fold ^= true;
                check_cells(&view::draw(&console).grid, look);
            }
        }
    }
}

fn hostile_hello(evil: &Printable, text: &str) -> Told {
    Told::Hello(Hello {
        version: text.into(),
        hostname: evil.clone(),
        pid: 1,
        settings: vec![evil.clone()],
        next_servers: vec![evil.clone()],
    })
}

fn hostile_snapshot(evil: &Printable, text: &str) -> Told {
    let line = SessionLine {
        id: text.into(),
        leg: evil.clone(),
        peer: text.into(),
        state: evil.clone(),
        user: Some(evil.clone()),
        from: Some(evil.clone()),
        to: Some(evil.clone()),
        last: evil.clone(),
        age_s: u64::MAX,
        bytes: u64::MAX,
        rcpts: u64::MAX,
        ..session("i1", false)
    };
    Told::Snapshot(Box::new(Snapshot {
        at_ms: i64::MAX,
        p95_ms: f64::INFINITY,
        max_tick_ms: f64::NAN,
        inbound: u64::MAX,
        queue: u64::MAX,
        sessions: vec![line; 4],
        ..Snapshot::default()
    }))
}

fn check_cells(grid: &Grid, look: Look) {
    for row in 0..grid.rows() {
        for cell in grid.row(row) {
            let mut text = String::new();
            cell.push_to(&mut text);
            assert!(text.chars().all(Printable::is_safe), "{text:?}");
            assert!(look.utf8 || text.is_ascii(), "{text:?}");
        }
    }
}

/// Any size, any keys, any order: never a panic, and the cursor stays on the screen.
#[test]
fn whatever_is_pressed_at_whatever_size() {
    let mut random = fastrand::Rng::with_seed(7);
    let keys: &[&str] = &[
        "\x1b[5~",
        "\x1b[6~",
        "\x1b[H",
        "\x1b[F",
        "\x13",
        "\x11",
        "\x1bw",
        "\r",
        "/",
        "e",
        "n",
        "N",
        "\x1b",
        "\x12",
        "\t",
        "queue where ",
        "follow i7\r",
        "\x0b",
        "\x19",
        "\x1b[A",
        "\x1b[5;3~",
        "\x1b[6;3~",
        "\x1b[1;2A",
        "日",
        "e\u{301}",
        "\x03",
        "status\r",
        "clear\r",
        "\x7f",
        "\x14",
        "\x1b[1;5H",
        "\x1b[1;5F",
        "follow\r",
        "mark x\r",
        "\x07",
        "wrong \"\r",
    ];
    for _ in 0..60 {
        let size = (random.u16(0..130), random.u16(0..45));
        let mut console = scene(size, UTF8);
        for step in 0..60 {
            press(&mut console, keys[random.usize(..keys.len())]);
            if random.u8(..10) == 0 {
                console.resize(random.u16(0..130), random.u16(0..45), Time::ZERO);
                console.told(Told::Feed { items: dialogue(), dropped: step % 3 }, Time::ZERO);
            }
            let frame = view::draw(&console);
            let (rows, columns) = (frame.grid.rows(), frame.grid.columns());
            let (row, column) = frame.cursor;
            assert!(row < rows.max(1) && column < columns.max(1), "{:?}", console.size);
        }
    }
}
