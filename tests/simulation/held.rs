//! Held sessions in a simulated world, where minutes pass in no time.

use std::time::Duration;

use serde_json::json;

use crate::net::{Conn, SimNet, beginning};
use crate::{HERE, World, start};

/// Lets the world go on until this is heard on a connection; says how long that took.
fn hear(world: &mut World, conn: Conn, words: &str) -> Duration {
    let (began, mut heard) = (world.now().time, String::new());
    for _ in 0..20_000 {
        world.tick().unwrap();
        heard.push_str(&String::from_utf8(world.net_mut().receive(conn)).unwrap());
        if heard.contains(words) {
            return world.now().time.since(began);
        }
    }
    panic!("never heard: {words}; but {heard}");
}

fn open(world: &mut World) -> Conn {
    world.net_mut().open(HERE.parse().unwrap()).unwrap()
}

fn held(world: &mut World) -> u64 {
    world.obey("status").unwrap()["held_sessions"].as_u64().unwrap()
}

/// Lets the world go on until so many sessions are held.
fn hold(world: &mut World, count: u64) {
    for _ in 0..20_000 {
        if held(world) == count {
            return;
        }
        world.tick().unwrap();
    }
    panic!("{} are held, not {count}", held(world));
}

#[test]
fn a_held_session_goes_on_before_its_client_gives_up_and_disturbs_nobody() {
    let root = tempfile::tempdir().unwrap();
    for (stage, before, command, answer, most) in [
        ("rcpt", "EHLO x\r\nMAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n", "250 2.1.5", 270),
        ("data", "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", "DATA\r\n", "354", 108),
    ] {
        let mut world = start(root.path(), SimNet::new(1, beginning()));
        world.obey(&format!("break add at {stage} leg=in")).unwrap();
        let conn = open(&mut world);
        world.net_mut().send(conn, before.as_bytes());
        world.net_mut().send(conn, command.as_bytes());
        hold(&mut world, 1);
        // Somebody else is served meanwhile, more than once.
        for _ in 0..3 {
            let other = open(&mut world);
            world.net_mut().send(other, b"EHLO y\r\nMAIL FROM:<e@f>\r\nQUIT\r\n");
            hear(&mut world, other, "221 ");
        }
        // The time-out of the server itself rests: it is longer, and shorter in other cases.
        world.net_mut().stride = Duration::from_millis(500);
        let took = hear(&mut world, conn, answer).as_secs();
        assert!((most - 10..=most + 2).contains(&took), "{stage}: {took} s");
        assert_eq!(held(&mut world), 0);
    }
}

#[test]
fn no_more_are_held_than_may_be_and_those_that_leave_make_room() {
    let root = tempfile::tempdir().unwrap();
    let mut world = start(root.path(), SimNet::new(1, beginning()));
    world.obey("break add at helo").unwrap();
    let conns: Vec<Conn> = (0..100)
        .map(|_| {
            let conn = open(&mut world);
            world.net_mut().send(conn, b"EHLO x\r\n");
            conn
        })
        .collect();
    hold(&mut world, 100);
    let late = open(&mut world);
    world.net_mut().send(late, b"EHLO x\r\nQUIT\r\n");
    hear(&mut world, late, "221 ");
    assert_eq!(held(&mut world), 100);
    world.net_mut().end(conns[0]);
    world.net_mut().reset(conns[1]);
    hold(&mut world, 98);
    for n in 0..100 {
        assert_eq!(world.obey("break add at quit").is_ok(), n < 99, "{n}");
    }
    assert_eq!(world.obey("go all").unwrap()["released"].as_array().unwrap().len(), 98);
    hear(&mut world, conns[2], "250-ENHANCEDSTATUSCODES");
    assert_eq!(world.obey("break list").unwrap()["held"], json!([]));
}
