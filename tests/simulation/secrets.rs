//! Commands that are asked for a password, and do not give it, in a world where their thirty
//! seconds pass in no time.

use std::time::Duration;

use crate::net::{Conn, Habit, SimNet, beginning};
use crate::{HERE, World, names, start_with};

/// A next server that wants a login, and what it heard.
#[derive(Default)]
struct Guard {
    conns: Vec<(Conn, Vec<u8>)>,
    said: Vec<String>,
}

impl Guard {
    fn act(&mut self, net: &mut SimNet) {
        names::answer(net, 0);
        for conn in std::mem::take(&mut net.dialled) {
            net.send(conn, b"220 next.test ESMTP\r\n");
            self.conns.push((conn, vec![]));
        }
        for (conn, heard) in &mut self.conns {
            heard.extend(net.receive(*conn));
            while let Some(end) = heard.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = heard.drain(..end + 2).collect();
                let line = String::from_utf8(line).unwrap();
                let reply = match line.trim_end() {
                    l if l.starts_with("EHLO") => "250-next.test\r\n250 AUTH PLAIN\r\n",
                    l if l.starts_with("AUTH") => "235 2.7.0 welcome\r\n",
                    _ => "250 2.0.0 Ok\r\n",
                };
                self.said.push(line);
                net.send(*conn, reply.as_bytes());
            }
        }
    }

    fn said(&self, verb: &str) -> usize {
        self.said.iter().filter(|line| line.starts_with(verb)).count()
    }
}

/// A server with a message for a next server that wants a password, which this command knows.
fn world(root: &std::path::Path, habit: Habit) -> World {
    let mut net = SimNet::new(1, beginning());
    (net.generous, net.habit) = (true, habit);
    net.stride = Duration::from_millis(100);
    let settings = [
        ("next_server.tls", "none"),
        ("next_server.user", "ann"),
        ("next_server.password_command", "pass"),
        ("next_server.auth_in_clear", "yes"),
    ];
    let mut world = start_with(root, net, &settings);
    let conn = world.net_mut().open(HERE.parse().unwrap()).unwrap();
    let script = "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nBDAT 2 LAST\r\n\r\n";
    world.net_mut().send(conn, script.as_bytes());
    world.net_mut().send(conn, b"QUIT\r\n");
    world
}

#[test]
fn a_command_that_prints_in_time_is_believed() {
    let root = tempfile::tempdir().unwrap();
    let (mut world, mut guard) = (world(root.path(), Habit::Prints("secret\n")), Guard::default());
    while guard.said("MAIL") == 0 {
        guard.act(world.net_mut());
        world.tick().unwrap();
    }
    // PLAIN: nothing, the user, the password (RFC 4616).
    assert_eq!(
        guard.said.iter().find(|l| l.starts_with("AUTH")).unwrap(),
        "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n"
    );
    assert_eq!((world.net_mut().spawned, world.net_mut().killed), (1, 0));
}

/// A command that says nothing, or does not end, is killed after thirty seconds; its next server
/// pauses with the reason, the mail waits, others are served meanwhile, and it is asked again.
#[test]
fn a_command_that_hangs_is_killed_after_thirty_seconds() {
    for habit in [Habit::Hangs, Habit::Stays("secret\n")] {
        let root = tempfile::tempdir().unwrap();
        let (mut world, mut guard) = (world(root.path(), habit), Guard::default());
        while world.net_mut().spawned == 0 {
            guard.act(world.net_mut());
            world.tick().unwrap();
        }
        let asked = world.now().time;
        let mut greeted = false;
        let other = world.net_mut().open(HERE.parse().unwrap()).unwrap();
        let why = "password_command gives no password: it takes longer than 30 s";
        while !world.obey("next list").unwrap().to_string().contains(why) {
            guard.act(world.net_mut());
            world.tick().unwrap();
            greeted |= !world.net_mut().receive(other).is_empty();
        }
        let took = world.now().time.since(asked);
        assert!((29_900..31_000).contains(&took.as_millis()), "{habit:?}: {took:?}");
        assert!(greeted, "a client waited for the command");
        assert_eq!(world.net_mut().killed, 1);
        assert_eq!(world.obey("status").unwrap()["queue"], 1);
        assert_eq!((guard.said("AUTH"), guard.said("MAIL")), (0, 0));

        // The next try asks anew.
        world.net_mut().habit = Habit::Prints("secret\n");
        while guard.said("MAIL") == 0 {
            guard.act(world.net_mut());
            world.tick().unwrap();
        }
        assert_eq!(world.net_mut().spawned, 2);
    }
}
