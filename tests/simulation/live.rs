//! Settings that change while the server runs: what the table calls live is felt by the next
//! message, on the wire, without a new start.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Packet, ResourceRecord, TYPE};

use crate::net::{Conn, Habit, SimNet, beginning};
use crate::{HERE, World, start_with};

/// Next servers at all addresses, and DNS servers; everything that they hear, in order: `ADDRESS
/// LINE`, `ADDRESS +` for a connection, `dns ADDRESS TYPE NAME` for a question.
#[derive(Default)]
struct Peers {
    conns: Vec<(Conn, Vec<u8>, bool)>,
    heard: Vec<String>,
    /// They say nothing to MAIL.
    stalled: bool,
}

impl Peers {
    fn act(&mut self, net: &mut SimNet) {
        self.look_up(net);
        for conn in std::mem::take(&mut net.dialled) {
            self.heard.push(format!("{} +", net.place(conn).unwrap()));
            net.send(conn, b"220 next.test ESMTP\r\n");
            self.conns.push((conn, vec![], false));
        }
        for (conn, octets, content) in &mut self.conns {
            octets.extend(net.receive(*conn));
            while let Some(end) = octets.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = octets.drain(..end + 2).collect();
                let line = String::from_utf8(line).unwrap().trim_end().to_owned();
                let reply = match line.split(' ').next().unwrap() {
                    "." if *content => "250 2.0.0 Ok\r\n",
                    _ if *content => "",
                    "EHLO" => "250-next.test\r\n250 AUTH PLAIN LOGIN\r\n",
                    "AUTH" if line == "AUTH LOGIN" => "334 VXNlcm5hbWU6\r\n",
                    "Ym9i" => "334 UGFzc3dvcmQ6\r\n",
                    "AUTH" | "Zm91cnRo" => "235 2.7.0 Welcome\r\n",
                    "DATA" => "354 Go on\r\n",
                    _ => "250 2.0.0 Ok\r\n",
                };
                *content = reply.starts_with("354") || *content && line != ".";
                // A connection of before may still take its leave.
                if line != "QUIT" {
                    self.heard.push(format!("{} {line}", net.place(*conn).unwrap()));
                }
                if !(self.stalled && line.starts_with("MAIL")) {
                    net.send(*conn, reply.as_bytes());
                }
            }
        }
    }

    fn look_up(&mut self, net: &mut SimNet) {
        for (socket, server, question) in std::mem::take(&mut net.asked) {
            let query = Packet::parse(&question).unwrap();
            let mut reply = query.clone().into_reply();
            let (name, kind) = (query.questions[0].qname.clone(), query.questions[0].qtype);
            let data = [
                ("A", TYPE::A, RData::A(A { address: 0xc000_0263 })),
                ("AAAA", TYPE::AAAA, RData::AAAA(AAAA { address: 0x2001_0db8 << 96 })),
            ];
            let found = data.into_iter().find(|(_, known, _)| kind == (*known).into());
            let word = found.as_ref().map_or("MX", |(word, ..)| word);
            self.heard.push(format!("dns {server} {word} {name}"));
            if let Some((.., data)) = found {
                reply.answers.push(ResourceRecord::new(name, CLASS::IN, 30, data));
            }
            net.answer(socket, reply.build_bytes_vec_compressed().unwrap(), Duration::ZERO);
        }
    }
}

struct Live {
    world: World,
    peers: Peers,
    _root: tempfile::TempDir,
}

impl Live {
    fn new() -> Live {
        let root = tempfile::tempdir().unwrap();
        let mut net = SimNet::new(1, beginning());
        (net.generous, net.stride) = (true, Duration::from_millis(50));
        let world = start_with(
            root.path(),
            net,
            &[
                ("next_server.host", "192.0.2.1"),
                ("next_server.tls", "none"),
                ("next_server.connections", "1"),
                ("next_server.b.host", "192.0.2.2"),
                ("next_server.b.tls", "none"),
                ("queue.retry_min", "1s"),
                ("queue.retry_max", "1s"),
            ],
        );
        Live { world, peers: Peers::default(), _root: root }
    }

    fn set(&mut self, settings: &[(&str, &str)]) {
        for (name, value) in settings {
            self.world.obey(&format!("config set {name} {value:?}")).unwrap();
        }
        self.peers.heard.clear();
    }

    fn submit(&mut self) {
        let conn = self.world.net_mut().open(HERE.parse().unwrap()).unwrap();
        let script = "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n\
                      From: <a@b.test>\r\n\r\nx\r\n.\r\nQUIT\r\n";
        self.world.net_mut().send(conn, script.as_bytes());
        self.tick(20);
    }

    fn tick(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.peers.act(self.world.net_mut());
            self.world.tick().unwrap();
        }
    }

    /// Until nothing waits any more.
    fn settle(&mut self) {
        for _ in 0..2000 {
            self.tick(1);
            if self.world.obey("status").unwrap()["queue"] == 0 {
                return;
            }
        }
        panic!(
            "mail still waits: {} {:#?}",
            self.world.obey("next list").unwrap(),
            self.peers.heard
        );
    }

    fn count(&self, words: &str) -> usize {
        self.peers.heard.iter().filter(|heard| heard.contains(words)).count()
    }
}

/// A password that only its owner can read.
fn password_file(dir: &std::path::Path, words: &str) -> String {
    let file = dir.join("password");
    std::fs::write(&file, words).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file.display().to_string()
}

/// After each change one message; what the peers hear of it, and what they do not.
#[test]
fn the_next_message_feels_a_setting_that_changes() {
    let mut live = Live::new();
    live.world.net_mut().habit = Habit::Prints("third\n");
    let folder = tempfile::tempdir().unwrap();
    let file = password_file(folder.path(), "fourth\n");
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let rows: &[Row<'_>] = &[
        (&[], "192.0.2.1:25 MAIL FROM:<a@b.test>", "AUTH"),
        (&[("server.hostname", "other.test")], "EHLO other.test", "EHLO relay.test"),
        (&[("next_server.host", "192.0.2.7")], "192.0.2.7:25 MAIL", "192.0.2.1"),
        (&[("next_server.port", "2500")], "192.0.2.7:2500 MAIL", "192.0.2.7:25 "),
        (
            &[("next_server.rewrite_sender", "out@r.test")],
            "MAIL FROM:<out@r.test>",
            "MAIL FROM:<a@",
        ),
        (&[("next_server.rewrite_sender", "")], "MAIL FROM:<a@b.test>", "out@r.test"),
        (&[("next_server.rewrite_from", "from@r.test")], "From: <from@r.test>", "From: <a@b"),
        (&[("next_server.rewrite_from", "")], "From: <a@b.test>", "from@r.test"),
        // PLAIN: nothing, the user, the password (RFC 4616).
        (
            &[
                ("next_server.password", "secret"),
                ("next_server.user", "ann"),
                ("next_server.auth_in_clear", "yes"),
            ],
            "AUTH PLAIN AGFubgBzZWNyZXQ=",
            "AUTH LOGIN",
        ),
        (&[("next_server.password", "other")], "AUTH PLAIN AGFubgBvdGhlcg==", "AGFubgBzZWNyZXQ="),
        (&[("next_server.user", "bob")], "AUTH PLAIN AGJvYgBvdGhlcg==", "AGFubgBvdGhlcg=="),
        (
            &[("next_server.password", ""), ("next_server.password_command", "pass")],
            "AUTH PLAIN AGJvYgB0aGlyZA==",
            "AGJvYgBvdGhlcg==",
        ),
        (
            &[("next_server.password_command", ""), ("next_server.password_file", &file)],
            "AUTH PLAIN AGJvYgBmb3VydGg=",
            "AGJvYgB0aGlyZA==",
        ),
        (&[("next_server.auth", "login")], "AUTH LOGIN", "AUTH PLAIN"),
        (&[("next_server.user", "")], "MAIL FROM:<a@b.test>", "AUTH"),
        (&[("routes.d.test", "b")], "192.0.2.2:25 RCPT TO:<c@d.test>", "192.0.2.7"),
        (&[("routes.d.test", "default, b")], "192.0.2.7:2500 RCPT TO:<c@d.test>", "192.0.2.2"),
        (&[("aliases.c@d.test", "x@y.test")], "RCPT TO:<x@y.test>", "RCPT TO:<c@d.test>"),
        (&[("aliases.c@d.test", "z@y.test")], "RCPT TO:<z@y.test>", "x@y.test"),
        (
            &[("dns.servers", "192.0.2.99"), ("next_server.host", "n1.test")],
            "dns 192.0.2.99:53 A n1.test",
            "dns 192.0.2.53",
        ),
        (&[("next_server.host", "n2.test")], "[2001:db8::]:2500 MAIL", "192.0.2.99:2500 MAIL"),
        (&[("dns.ipv6", "no"), ("next_server.host", "n3.test")], "192.0.2.99:2500 MAIL", "AAAA"),
        (
            &[("dns.ipv6", "only"), ("next_server.host", "n4.test")],
            "[2001:db8::]:2500 MAIL",
            "53 A ",
        ),
        (&[("next_server.mx", "yes"), ("next_server.host", "n5.test")], "MX n5.test", "53 A "),
    ];
    for (settings, expected, never) in rows {
        live.set(settings);
        live.submit();
        live.settle();
        let heard = &live.peers.heard;
        assert!(live.count(expected) > 0, "{settings:?}: {expected} is not among {heard:#?}");
        assert_eq!(live.count(never), 0, "{settings:?}: {never} is among {heard:#?}");
    }
}

/// Without TLS the password is kept back from the moment on that nobody allows it any more.
#[test]
fn a_password_is_kept_back_as_soon_as_the_setting_says_so() {
    let mut live = Live::new();
    live.set(&[
        ("next_server.password", "secret"),
        ("next_server.user", "ann"),
        ("next_server.auth_in_clear", "yes"),
    ]);
    live.submit();
    live.settle();
    assert_eq!((live.count("AUTH PLAIN"), live.count("MAIL")), (1, 1));
    live.set(&[("next_server.auth_in_clear", "no")]);
    live.submit();
    live.tick(200);
    assert_eq!((live.count("AUTH"), live.count("MAIL")), (0, 0), "{:#?}", live.peers.heard);
    assert!(live.count("EHLO") > 0);
    let list = live.world.obey("next list").unwrap().to_string();
    assert!(list.contains("auth_in_clear = yes"), "{list}");
    live.set(&[("next_server.auth_in_clear", "yes")]);
    live.settle();
    assert_eq!((live.count("AUTH PLAIN"), live.count("MAIL")), (1, 1));
}

#[test]
fn connections_and_their_messages_follow_their_settings() {
    for most in ["1", "3", "2"] {
        let mut live = Live::new();
        live.submit();
        live.settle();
        live.set(&[("next_server.connections", most)]);
        live.peers.stalled = true;
        (0..5).for_each(|_| live.submit());
        let Live { world, peers, .. } = &mut live;
        let open = peers.conns.iter().filter(|(conn, ..)| !world.net_mut().is_over(*conn));
        assert_eq!(open.count().to_string(), most, "{:#?}", peers.heard);
    }
    let mut live = Live::new();
    for (most, connections) in [("1", 4), ("2", 2), ("0", 1)] {
        live.set(&[
            ("next_server.connections", "1"),
            ("next_server.messages_per_connection", most),
        ]);
        // The connection of before is over first.
        live.tick(200);
        live.world.obey("next pause default").unwrap();
        (0..4).for_each(|_| live.submit());
        live.peers.heard.clear();
        live.world.obey("next resume default").unwrap();
        live.settle();
        assert_eq!(live.count(":25 +"), connections, "{most}: {:#?}", live.peers.heard);
    }
}
