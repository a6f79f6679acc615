//! The console of the built program on a terminal, read back by vt100: what is shown, what keys do,
//! and that nothing hurts: hostile text, a terminal that stops, goes, or is none.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::next::{Act, Next, Stage};
use crate::pty::{Running, Terminal};
use crate::server::{Setup, free_address, program, run_to_end};
use crate::{client::Client, wait_for};

/// A server with a console on a terminal of this size.
struct Scene {
    setup: Setup,
    terminal: Terminal,
    server: Running,
    _next: Next,
}

impl Scene {
    fn new(columns: u16, rows: u16) -> Scene {
        let mut scene = Scene::at(Terminal::new(columns, rows), &[("TERM", "xterm")]);
        scene.terminal.shows("FOLLOW");
        scene
    }

    fn at(terminal: Terminal, environment: &[(&str, &str)]) -> Scene {
        Scene::begin(terminal, environment, |program| program)
    }

    /// As another command starts it.
    fn begin(
        terminal: Terminal,
        environment: &[(&str, &str)],
        by: impl FnOnce(Command) -> Command,
    ) -> Scene {
        let next = Next::new();
        let setup = Setup::new(next.address);
        let mut command = setup.command_with("--console");
        command.envs(environment.iter().copied()).env("XDG_STATE_HOME", setup.dir.path());
        let server = terminal.start(&mut by(command));
        wait_for("the server", || Client::connect(setup.address).ok());
        Scene { setup, terminal, server, _next: next }
    }

    fn client(&self) -> Client {
        let mut client = Client::connect(self.setup.address).unwrap();
        client.command("EHLO client.example.com").expect(250);
        client
    }

    fn mail(&self) {
        self.client().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\nbody\r\n");
    }

    fn status(&self) -> Value {
        let mut command = program();
        command.args(["ctl", "--socket", "spool/control.sock", "--json", "status"]);
        let out = run_to_end(command.current_dir(self.setup.dir.path()));
        serde_json::from_slice(&out.stdout).unwrap()
    }
}

#[test]
fn a_console_shows_mail_and_answers() {
    let mut scene = Scene::new(80, 24);
    assert!(!scene.terminal.is_cooked());
    assert_eq!(scene.status()["console"], true);
    scene.mail();
    let screen = scene.terminal.shows("RCPT TO:<bob@example.net>");
    assert!(screen.contains("FOLLOW"), "{screen}");
    scene.terminal.shows("delivered to=<bob@example.net>");
    scene.terminal.send("stat\t");
    scene.terminal.shows("status  stats");
    scene.terminal.send("us\r");
    let screen = scene.terminal.shows("longest fsync");
    assert!(screen.contains("> status"), "{screen}");
    scene.terminal.send("queue where sise > 1M\r");
    scene.terminal.shows("did you mean 'size'?");
    // Bold, and a colour that is not the default: replies of success are green.
    let screen = scene.terminal.screen.screen();
    let coloured = (0..20).any(|row| {
        let cell = screen.cell(row, 33);
        cell.is_some_and(|cell| cell.fgcolor() != vt100::Color::Default)
    });
    assert!(coloured);
    scene.terminal.send("quit\r");
    assert_eq!(scene.server.ends(&mut scene.terminal).code(), Some(0));
    scene.terminal.text();
    assert!(scene.terminal.is_cooked() && !scene.terminal.screen.screen().alternate_screen());
    assert!(!scene.terminal.screen.screen().bracketed_paste());
    let history = std::fs::read_to_string(scene.setup.dir.path().join("mailflux/history")).unwrap();
    assert_eq!(history, "status\nqueue where sise > 1M\nquit\n");
}

#[test]
fn keys_as_terminals_send_them() {
    let mut scene = Scene::new(80, 24);
    // A character in two pieces, a lone Esc, a paste with a line end: none of it runs anything.
    scene.terminal.send(b"gr\xc3");
    scene.terminal.send(b"\xbcn");
    scene.terminal.shows("> grün");
    scene.terminal.send("\x15\x1b[200~quit\rstatus\x1b[201~");
    scene.terminal.shows("> quit status");
    scene.terminal.send("\x1b[H\x1b[3~\x1bOF!");
    scene.terminal.shows("> uit status!");
    scene.terminal.send("\x03\x13");
    scene.terminal.shows("PAUSED");
    scene.mail();
    scene.terminal.shows(" new");
    scene.terminal.send("\x11");
    scene.terminal.shows("FOLLOW");
    scene.terminal.send("\x1b");
    scene.terminal.send("\x04");
    assert_eq!(scene.server.ends(&mut scene.terminal).code(), Some(0));
}

#[test]
fn colours_are_not_for_everybody() {
    let environment = [("TERM", "xterm-256color"), ("NO_COLOR", "1")];
    for environment in [&environment[..], &[("TERM", "vt220")]] {
        let mut scene = Scene::at(Terminal::new(80, 24), environment);
        scene.mail();
        scene.terminal.shows("delivered to=");
        let screen = scene.terminal.screen.screen();
        for (row, column) in (0..24).flat_map(|row| (0..80).map(move |column| (row, column))) {
            let cell = screen.cell(row, column).unwrap();
            assert_eq!(cell.fgcolor(), vt100::Color::Default, "{environment:?}");
            assert_eq!(cell.bgcolor(), vt100::Color::Default, "{environment:?}");
        }
    }
}

#[test]
fn a_locale_without_utf8_gets_ascii() {
    let environment = [("TERM", "xterm"), ("LC_ALL", "C")];
    let mut scene = Scene::at(Terminal::new(120, 40), &environment);
    scene.terminal.shows("FOLLOW");
    scene.client().send("EHLO gr\u{fc}n\r\n").unwrap();
    scene.terminal.send("\r");
    scene.terminal.shows("---- ");
    scene.terminal.text();
    assert!(scene.terminal.octets.is_ascii());
}

/// Octets that would do harm, in every field that a client or a next server has.
#[test]
fn hostile_octets_stay_where_they_belong() {
    let mut scene = Scene::new(120, 40);
    let all: Vec<u8> = (0..=255).filter(|b| !b"\r\n".contains(b)).collect();
    let tricks: [&[u8]; 7] = [
        &all,
        b"\x1b[2J\x1b[H\x1b]0;owned\x07\x1bc",
        b"<evil>\rRCPT TO:<good@example.org>",
        "\u{202e}\u{200b}\u{9b}2J".as_bytes(),
        b"\xff\xfe\xc3(\xe2\x82",
        b"%s%n%s%n%d",
        &[b'x'; 900],
    ];
    for trick in tricks {
        let mut client = Client::connect(scene.setup.address).unwrap();
        for start in ["EHLO ", "MAIL FROM:<", "RCPT TO:<", "HELP ", "NOOP ", ""] {
            let line = [start.as_bytes(), trick, b"\r\n"].concat();
            if client.send(line).is_err() || client.reply().is_err() {
                break;
            }
        }
    }
    scene.mail();
    scene.terminal.shows("delivered to=");
    scene.terminal.send("sessions last=1h\r");
    scene.terminal.shows("> sessions last=1h");
    scene.terminal.text();
    // All that arrived is what curses itself says: no title, no reset, no bell, no C1.
    let octets = &scene.terminal.octets;
    for never in [&b"\x1b]"[..], b"\x1bc", b"\x07", b"\xc2\x9b", b"\0", b"\xe2\x80\xae", b"\xff"] {
        assert!(!octets.windows(never.len()).any(|w| w == never), "{never:?}");
    }
    let status = (0..40).find(|row| {
        scene.terminal.screen.screen().rows(0, 120).nth(*row).unwrap().contains("FOLLOW")
    });
    assert!(status.is_some());
}

#[test]
fn a_stop_gives_the_terminal_back_and_takes_it_again() {
    let mut scene = Scene::begin(Terminal::new(80, 24), &[("TERM", "xterm")], |program| {
        // A shell with job control, which has the terminal when the server has stopped.
        let mut shell = Command::new("sh");
        shell.args(["-c", "set -m; \"$@\"; read again; fg >/dev/null", "sh"]);
        shell.arg(program.get_program()).args(program.get_args());
        shell.current_dir(program.get_current_dir().unwrap());
        shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell
    });
    scene.terminal.shows("FOLLOW");
    scene.terminal.send("\x1a");
    scene.terminal.shows("Ctrl-Z once more");
    scene.terminal.send("\x1a");
    wait_for("the stop", || scene.terminal.is_cooked().then_some(()));
    wait_for("the stop", || (!scene.terminal.shown().alternate_screen()).then_some(()));
    scene.terminal.send("\r");
    scene.terminal.shows("FOLLOW");
    assert!(!scene.terminal.is_cooked());
    scene.mail();
    scene.terminal.shows("delivered to=");
    scene.terminal.send("quit\r");
    wait_for("the end", || scene.server.0.try_wait().unwrap());
}

/// Where no shell could let it go on, nothing stops.
#[test]
fn without_a_shell_nothing_stops() {
    let mut scene = Scene::new(80, 24);
    scene.terminal.send("\x1a");
    scene.terminal.shows("Ctrl-Z once more");
    scene.terminal.send("\x1a");
    wait_for("the screen", || (!scene.terminal.text().contains("once more")).then_some(()));
    scene.mail();
    scene.terminal.shows("delivered to=");
    assert!(!scene.terminal.is_cooked());
}

/// Nobody reads the terminal while mail flows: nothing waits for it, and it catches up.
#[test]
fn a_terminal_that_stops_reading_stops_nobody() {
    let mut scene = Scene::new(80, 24);
    scene.terminal.text();
    let mut client = scene.client();
    let start = Instant::now();
    let mut sent = 0;
    // Far more than a pty holds.
    while sent < 500 || start.elapsed() < Duration::from_secs(3) {
        client.mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\nbody\r\n");
        sent += 1;
    }
    let status = scene.status();
    assert!(status["accepted"].as_u64().unwrap() >= sent, "{status}");
    assert_eq!(status["console"], true);
    scene.terminal.send("mark here\r");
    scene.terminal.shows("here");
    scene.terminal.shows("FOLLOW");
}

#[test]
fn a_terminal_that_hangs_up_leaves_a_server_without_console() {
    let mut scene = Scene::new(80, 24);
    scene.terminal.hang_up();
    wait_for("headless", || (scene.status()["console"] == false).then_some(()));
    scene.mail();
    // And it does not spin: what it uses in a while is a small part of that while.
    let before = cpu_ticks(scene.server.0.id());
    for _ in 0..20 {
        crate::pause();
        scene.status();
    }
    assert!(cpu_ticks(scene.server.0.id()) - before < 100);
    scene.server.signal("TERM");
    assert_eq!(scene.server.0.wait().unwrap().code(), Some(0));
}

/// What a process used of the processor, in hundredths of a second; 0 where there is no /proc.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<u64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    fields.get(11).zip(fields.get(12)).map_or(0, |(user, system)| user + system)
}

#[test]
fn hup_is_about_the_terminal_while_there_is_one() {
    let scene = Scene::new(80, 24);
    scene.server.signal("HUP");
    wait_for("headless", || (scene.status()["console"] == false).then_some(()));
    // It may be there all the same.
    assert!(scene.terminal.is_cooked());
    scene.mail();
}

/// Not a test by itself: the next one runs it on a terminal.
#[test]
fn panics_on_a_terminal() {
    if std::env::var_os("MAILFLUX_TEST_PANIC").is_some() {
        let place = mailflux::console::Place::Server;
        let mut desk = mailflux::reactor::Desk::open(place, "").unwrap();
        desk.show(mailflux::base::Time::ZERO);
        panic!("on purpose");
    }
}

#[test]
fn a_panic_brings_the_terminal_back() {
    let mut terminal = Terminal::new(80, 24);
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "console::panics_on_a_terminal", "--nocapture"]);
    command.env("MAILFLUX_TEST_PANIC", "1").env("TERM", "xterm").env("RUST_BACKTRACE", "0");
    let mut running = terminal.start(&mut command);
    assert!(!running.ends(&mut terminal).success());
    let screen = terminal.shows("on purpose");
    assert!(terminal.is_cooked() && !screen.contains("FOLLOW"), "{screen}");
    assert!(terminal.octets.windows(8).any(|octets| octets == b"\x1b[?1049h"));
}

#[test]
fn a_storm_of_sizes() {
    let mut scene = Scene::new(80, 24);
    scene.mail();
    for i in 0..200u16 {
        scene.terminal.resize(1 + i * 37 % 150, 1 + i * 17 % 60);
        scene.server.signal("WINCH");
        scene.terminal.read();
    }
    for (columns, rows) in [(40, 10), (120, 40), (80, 24)] {
        scene.terminal.resize(columns, rows);
        scene.terminal.send("\x0c");
        wait_for("the view for the last size", || {
            let screen = scene.terminal.text();
            let strip = screen.contains("last command");
            (screen.contains("FOLLOW") && strip == (columns == 120)).then_some(())
        });
    }
}

#[test]
fn where_there_is_no_terminal_the_server_runs_without() {
    for term in ["", "dumb", "unknown", "no-such-terminal"] {
        let mut scene = Scene::at(Terminal::new(80, 24), &[("TERM", term)]);
        scene.terminal.shows("no console");
        assert!(scene.terminal.is_cooked());
        assert_eq!(scene.status()["console"], false, "{term}");
        scene.server.signal("TERM");
        assert_eq!(scene.server.ends(&mut scene.terminal).code(), Some(0));
    }
    // Input from /dev/null and from a file.
    let setup = Setup::new(free_address());
    let file = setup.dir.path().join("input");
    std::fs::write(&file, "quit\n").unwrap();
    for input in ["/dev/null", file.to_str().unwrap()] {
        let mut command = setup.command_with("--console");
        command.env("TERM", "xterm");
        let server = setup.start_on(command, input);
        assert!(server.log().contains("no console"), "{}", server.log());
    }
}

#[test]
fn attach_is_the_console_elsewhere() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    let attach = |terminal: &Terminal| {
        let mut command = program();
        command.args(["attach", "--socket", "spool/control.sock"]).current_dir(setup.dir.path());
        terminal.start(command.env("TERM", "xterm").env("XDG_STATE_HOME", setup.dir.path()))
    };
    let (mut one, mut two) = (Terminal::new(80, 24), Terminal::new(120, 40));
    let (mut first, mut second) = (attach(&one), attach(&two));
    one.shows("Ctrl-D leaves it running");
    two.shows("last command");
    server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\nbody\r\n");
    one.shows("delivered to=<bob@example.net>");
    two.shows("delivered to=<bob@example.net>");
    // Each has a view of its own.
    one.send("\x13");
    one.shows("PAUSED");
    two.send("follow o1\r");
    two.shows("only o1");
    one.send("\x04");
    assert_eq!(first.ends(&mut one).code(), Some(0));
    assert!(one.is_cooked());
    server.ehlo();
    two.send("quit\r");
    assert_eq!(second.ends(&mut two).code(), Some(0));
    // Nobody answers any more.
    let mut third = attach(&one);
    assert_eq!(third.ends(&mut one).code(), Some(69));
}

/// What was said of a message before this run is in no console's ring.
#[test]
fn what_is_followed_has_a_past() {
    let next = Next::scripted(|moment| match moment.stage {
        Stage::Rcpt => Act::Say("451 4.2.1 not yet\r\n".into()),
        _ => Act::Usual,
    });
    let setup = Setup::new(next.address).set("queue.retry_min=1h");
    let mut server = setup.start();
    server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\nbody\r\n");
    wait_for("the deferral", || {
        setup.say(&["show", "q1", "attempts"]).contains("deferred").then_some(())
    });
    server.signal("TERM");
    server.wait();
    let server = setup.start();

    let mut terminal = Terminal::new(100, 90);
    let mut command = program();
    command.args(["attach", "--socket", "spool/control.sock"]).env("TERM", "xterm");
    command.current_dir(setup.dir.path()).env("XDG_STATE_HOME", setup.dir.path());
    let _attached = terminal.start(&mut command);
    terminal.shows("FOLLOW");
    terminal.send("follow q1\r");
    let screen = terminal.shows("lines from before, then live");
    for words in ["-> MAIL FROM:<ann@example.org>", "<- 451 4.2.1 not yet", "q1 accepted"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    // A start tries what is deferred.
    let times = |screen: &str| screen.matches("deferred to=").count();
    wait_for("the second attempt", || (times(&terminal.shows("q1")) == 2).then_some(()));
    setup.say(&["retry", "q1"]);
    wait_for("the third attempt", || (times(&terminal.shows("q1")) == 3).then_some(()));
    terminal.send("clear\rfollow\rfollow i2\r");
    wait_for("that session alone", || {
        let screen = terminal.shows("<- 250 2.0.0 Ok: queued as");
        (!screen.contains("not yet")).then_some(())
    });
    drop(server);
}
