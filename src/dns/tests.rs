//! The machine and the lookups, against servers that are slow, dead, wrong or hostile.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use simple_dns::rdata::{A, AAAA, CNAME, MX, RData, SOA};
use simple_dns::{CLASS, Name as Witness, Packet, PacketFlag, RCODE, ResourceRecord, TYPE};

use super::resolver::{MAX_OPEN, STRANGERS};
use super::*;
use crate::base::Time;

fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1000)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn conf(servers: &[&str]) -> ResolvConf {
    let lines: String = servers.iter().map(|s| format!("nameserver {s}\n")).collect();
    ResolvConf::parse(&(lines + "search corp.example\noptions timeout:1 attempts:2\n"))
}

fn resolver(families: Families) -> Resolver {
    let hosts = Hosts::parse("192.0.2.99 known known.example\n2001:db8::99 known\n");
    Resolver::new(conf(&["192.0.2.1", "192.0.2.2"]), families, hosts, 7)
}

/// A try that the resolver began.
struct Asked {
    id: Try,
    to: SocketAddr,
    transport: Transport,
    message: Vec<u8>,
}

impl Asked {
    fn question(&self) -> (String, TYPE) {
        let packet = Packet::parse(&self.message).unwrap();
        let asked = &packet.questions[0];
        match asked.qtype {
            simple_dns::QTYPE::TYPE(kind) => (asked.qname.to_string(), kind),
            other => panic!("{other:?}"),
        }
    }
}

/// What was begun and not forgotten again.
fn asked(resolver: &mut Resolver) -> Vec<Asked> {
    let mut all: Vec<Asked> = Vec::new();
    while let Some(action) = resolver.action() {
        match action {
            Action::Ask { id, to, transport, octets } => {
                let message = match transport {
                    Transport::Udp => octets,
                    Transport::Tcp => octets[2..].to_vec(),
                };
                all.push(Asked { id, to, transport, message });
            }
            Action::Forget(gone) => all.retain(|a| a.id != gone),
        }
    }
    all
}

/// The zone that the well-behaved server knows.
const ZONE: &[(&str, &str, &str)] = &[
    ("both.example", "A", "192.0.2.10"),
    ("both.example", "A", "192.0.2.11"),
    ("both.example", "AAAA", "2001:db8::10"),
    ("four.example", "A", "192.0.2.20"),
    ("printer.corp.example", "A", "192.0.2.30"),
    ("alias.example", "CNAME", "both.example"),
    ("mail.example", "MX", "20 four.example"),
    ("mail.example", "MX", "10 both.example"),
    ("equal.example", "MX", "10 both.example"),
    ("equal.example", "MX", "10 four.example"),
    ("null.example", "MX", "0 ."),
    ("nowhere.example", "MX", "10 gone.example"),
    ("ours.example", "MX", "10 relay.test"),
    ("ours.example", "MX", "20 four.example"),
    ("second.example", "MX", "10 four.example"),
    ("second.example", "MX", "20 relay.test"),
    ("relay.test", "A", "192.0.2.77"),
    ("none.example", "TXT", ""),
    ("circle.example", "CNAME", "circle2.example"),
    ("circle2.example", "CNAME", "circle.example"),
];

/// A server's answer from the zone.
fn answer(query: &[u8]) -> Vec<u8> {
    let query = Packet::parse(query).unwrap();
    let mut reply = query.clone().into_reply();
    let asked = query.questions[0].qname.to_string();
    let kind = query.questions[0].qtype;
    let mut owner = asked.clone();
    for _ in 0..3 {
        for (name, what, value) in ZONE.iter().filter(|(n, _, _)| *n == owner) {
            let data = match *what {
                "A" if kind == TYPE::A.into() => {
                    let address = value.parse::<std::net::Ipv4Addr>().unwrap().to_bits();
                    RData::A(A { address })
                }
                "AAAA" if kind == TYPE::AAAA.into() => {
                    let address = value.parse::<std::net::Ipv6Addr>().unwrap().to_bits();
                    RData::AAAA(AAAA { address })
                }
                "MX" if kind == TYPE::MX.into() => {
                    let (preference, host) = value.split_once(' ').unwrap();
                    let exchange = Witness::new(host).unwrap();
                    RData::MX(MX { preference: preference.parse().unwrap(), exchange })
                }
                "CNAME" => RData::CNAME(CNAME(Witness::new(value).unwrap())),
                _ => continue,
            };
            let owner = Witness::new(name).unwrap();
            reply.answers.push(ResourceRecord::new(owner, CLASS::IN, 60, data));
        }
        let alias = ZONE.iter().find(|(n, what, _)| *n == owner && *what == "CNAME");
        let Some((_, _, target)) = alias else { break };
        owner = (*target).to_owned();
    }
    if !ZONE.iter().any(|(name, _, _)| *name == asked) {
        *reply.rcode_mut() = RCODE::NameError;
    }
    if reply.answers.is_empty() {
        let name = || Witness::new("example").unwrap();
        let soa = SOA {
            mname: name(),
            rname: name(),
            serial: 1,
            refresh: 1,
            retry: 1,
            expire: 1,
            minimum: 30,
        };
        reply.name_servers.push(ResourceRecord::new(name(), CLASS::IN, 300, RData::SOA(soa)));
    }
    reply.build_bytes_vec_compressed().unwrap()
}

/// Looks until there is an end, with a server that answers all.
fn settle<T>(resolver: &mut Resolver, mut look: impl FnMut(&mut Resolver, Time) -> Option<T>) -> T {
    for _ in 0..10 {
        if let Some(found) = look(resolver, at(0)) {
            return found;
        }
        for asked in asked(resolver) {
            resolver.heard(asked.id, &answer(&asked.message), at(0));
        }
    }
    panic!("no end");
}

fn host(resolver: &mut Resolver, name: &str) -> Found<Vec<IpAddr>> {
    settle(resolver, |r, now| Some(r.host(name, now)).filter(|f| *f != Found::Asking))
}

fn mail(resolver: &mut Resolver, domain: &str) -> MailHosts {
    let ours = |name: &str, _: &[IpAddr]| name == "relay.test";
    settle(resolver, |r, now| {
        Some(r.mail_hosts(domain, ours, now)).filter(|f| *f != MailHosts::Asking)
    })
}

fn ips(list: &[&str]) -> Found<Vec<IpAddr>> {
    Found::Known(list.iter().map(|a| ip(a)).collect())
}

#[test]
fn hosts_by_name() {
    let mut r = resolver(Families::Both);
    for (name, expected) in [
        ("192.0.2.7", ips(&["192.0.2.7"])),
        ("[::1]", ips(&["::1"])),
        ("localhost", ips(&["127.0.0.1", "::1"])),
        ("known.example.", ips(&["192.0.2.99"])),
        ("both.example", ips(&["2001:db8::10", "192.0.2.10", "192.0.2.11"])),
        ("Alias.Example", ips(&["2001:db8::10", "192.0.2.10", "192.0.2.11"])),
        ("four.example", ips(&["192.0.2.20"])),
        ("printer", ips(&["192.0.2.30"])),
        ("printer.", Found::NoName),
        ("gone.example", Found::NoName),
        ("none.example", Found::NoData),
        ("no name", Found::NoName),
        ("circle.example", Found::Fault(Fault::Circle)),
    ] {
        assert_eq!(host(&mut r, name), expected, "{name}");
    }
    assert_eq!(asked(&mut r).len(), 0, "everything is known now");
    assert_eq!(
        host(&mut resolver(Families::V4), "both.example"),
        ips(&["192.0.2.10", "192.0.2.11"])
    );
    assert_eq!(host(&mut resolver(Families::V6), "both.example"), ips(&["2001:db8::10"]));
    assert_eq!(host(&mut resolver(Families::V6), "known"), ips(&["2001:db8::99"]));
    assert_eq!(host(&mut resolver(Families::V6), "known.example"), Found::NoData);
}

#[test]
fn what_was_asked_and_heard_is_told_once() {
    let mut r = resolver(Families::V4);
    assert_eq!(host(&mut r, "alias.example"), ips(&["192.0.2.10", "192.0.2.11"]));
    let expected = [
        "alias.example A: asking 192.0.2.1:53 over UDP",
        "alias.example A: 192.0.2.1:53 says: 192.0.2.10, 192.0.2.11, for 60s",
    ];
    assert_eq!(r.take_words(), expected);
    assert_eq!(host(&mut r, "gone.example"), Found::NoName);
    assert!(r.take_words().iter().any(|line| line.contains("says: no such name")));
    assert_eq!(r.take_words(), Vec::<String>::new());
}

#[test]
fn who_takes_the_mail_of_a_domain() {
    let mut r = resolver(Families::V4);
    let names = |found| match found {
        MailHosts::Known(hosts) => hosts.into_iter().map(|h| h.name).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(names(mail(&mut r, "mail.example")), ["both.example", "four.example"]);
    assert_eq!(names(mail(&mut r, "four.example")), ["four.example"], "no MX: itself");
    assert_eq!(names(mail(&mut r, "[192.0.2.5]")), ["[192.0.2.5]"]);
    assert_eq!(names(mail(&mut r, "known.example")), ["known.example"], "the hosts file");
    assert_eq!(names(mail(&mut r, "second.example")), ["four.example"], "better than ourselves");
    for (domain, expected) in [
        ("null.example", MailHosts::NullMx),
        ("nowhere.example", MailHosts::NoHost),
        ("none.example", MailHosts::NoHost),
        ("gone.example", MailHosts::NoDomain),
        ("ours.example", MailHosts::Ourselves),
        ("relay.test", MailHosts::Ourselves),
    ] {
        assert_eq!(mail(&mut r, domain), expected, "{domain}");
    }
    let firsts: Vec<String> =
        (0..40).map(|_| names(mail(&mut r, "equal.example")).remove(0)).collect();
    assert!(firsts.contains(&"both.example".into()) && firsts.contains(&"four.example".into()));
}

#[test]
fn a_server_that_is_silent_is_left_for_the_next_and_no_answer_is_no_no() {
    let mut r = resolver(Families::V4);
    let mut servers = Vec::new();
    for ms in [0, 1000, 2000, 3000] {
        assert_eq!(r.host("four.example.", at(ms)), Found::Asking);
        let tries = asked(&mut r);
        servers.extend(tries.iter().map(|a| a.to.ip().to_string()));
        assert_eq!((tries.len(), r.deadline()), (1, at(ms + 1000)));
        r.timeout(at(ms + 1000));
    }
    assert_eq!(servers, ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"]);
    let last: SocketAddr = "192.0.2.2:53".parse().unwrap();
    assert_eq!(r.host("four.example.", at(4000)), Found::Fault(Fault::TimedOut(last)));
    // A second later it is asked again.
    assert_eq!(r.host("four.example.", at(5001)), Found::Asking);
    assert_eq!(asked(&mut r).len(), 1);
}

#[test]
fn servfail_and_dead_sockets_go_on_to_the_next_server() {
    let mut r = resolver(Families::V4);
    assert_eq!(r.mail_hosts("mail.example", |_, _| false, at(0)), MailHosts::Asking);
    let first = asked(&mut r).remove(0);
    let mut fail = Packet::parse(&first.message).unwrap().into_reply();
    *fail.rcode_mut() = RCODE::ServerFailure;
    fail.questions.clear();
    r.heard(first.id, &fail.build_bytes_vec().unwrap(), at(1));
    let second = asked(&mut r).remove(0);
    assert_eq!((second.to.ip(), second.question()), (ip("192.0.2.2"), first.question()));
    r.broken(second.id, "connection refused", at(2));
    for expected in ["192.0.2.1", "192.0.2.2"] {
        let next = asked(&mut r).remove(0);
        assert_eq!(next.to.ip(), ip(expected));
        let mut refused = Packet::parse(&next.message).unwrap().into_reply();
        *refused.rcode_mut() = RCODE::Refused;
        r.heard(next.id, &refused.build_bytes_vec().unwrap(), at(3));
    }
    let fault = Fault::Refused("192.0.2.2:53".parse().unwrap(), 5);
    assert_eq!(fault.to_string(), "the DNS server 192.0.2.2:53 says REFUSED");
    assert_eq!(r.mail_hosts("mail.example", |_, _| false, at(4)), MailHosts::Fault(fault));
}

#[test]
fn a_cut_answer_is_asked_for_over_tcp() {
    let mut r = resolver(Families::V4);
    r.host("four.example.", at(0));
    let udp = asked(&mut r).remove(0);
    let mut cut = Packet::parse(&udp.message).unwrap().into_reply();
    cut.set_flags(PacketFlag::TRUNCATION);
    r.heard(udp.id, &cut.build_bytes_vec().unwrap(), at(1));
    let tcp = asked(&mut r).remove(0);
    assert_eq!((tcp.transport, tcp.to, tcp.question()), (Transport::Tcp, udp.to, udp.question()));
    let message = answer(&tcp.message);
    let mut stream = (message.len() as u16).to_be_bytes().to_vec();
    stream.extend_from_slice(&message);
    for octet in stream {
        assert_eq!(r.host("four.example.", at(2)), Found::Asking);
        r.heard(tcp.id, &[octet], at(2));
    }
    assert_eq!(r.host("four.example.", at(2)), ips(&["192.0.2.20"]));
    assert_eq!(r.deadline(), Time::NEVER, "nothing is open any more");
}

#[test]
fn strangers_are_not_believed() {
    let mut r = resolver(Families::V4);
    r.host("four.example.", at(0));
    let udp = asked(&mut r).remove(0);
    let true_one = answer(&udp.message);
    let mut wrong_id = true_one.clone();
    wrong_id[0] ^= 1;
    let mut wrong_name = true_one.clone();
    wrong_name[13] ^= 1;
    let mut no_question = Packet::parse(&true_one).unwrap();
    no_question.questions.clear();
    let no_question = no_question.build_bytes_vec().unwrap();
    for message in [&wrong_id[..], &wrong_name, &no_question, b"", b"nonsense", &udp.message] {
        r.heard(udp.id, message, at(1));
        assert_eq!(r.host("four.example.", at(1)), Found::Asking);
    }
    assert!(asked(&mut r).is_empty(), "the true answer may still come");
    r.heard(udp.id, &true_one, at(2));
    assert_eq!(r.host("four.example.", at(2)), ips(&["192.0.2.20"]));
    // A storm of them sends the question over TCP.
    r.host("both.example.", at(3));
    let udp = asked(&mut r).remove(0);
    (0..STRANGERS).for_each(|_| r.heard(udp.id, &wrong_id, at(3)));
    let tcp = asked(&mut r).remove(0);
    assert_eq!((tcp.transport, tcp.to), (Transport::Tcp, udp.to));
    r.heard(tcp.id, b"\x00\x02no", at(4));
    assert_eq!(asked(&mut r).remove(0).to.ip(), ip("192.0.2.2"));
}

#[test]
fn one_family_does_not_wait_long_for_the_other() {
    let mut r = resolver(Families::Both);
    assert_eq!(r.host("both.example.", at(0)), Found::Asking);
    for asked in asked(&mut r) {
        if asked.question().1 == TYPE::A {
            r.heard(asked.id, &answer(&asked.message), at(10));
        }
    }
    assert_eq!(r.host("both.example.", at(10)), Found::Asking);
    assert_eq!(r.deadline(), at(50));
    r.timeout(at(50));
    assert_eq!(r.host("both.example.", at(50)), ips(&["192.0.2.10", "192.0.2.11"]));
    assert_eq!(r.deadline(), at(1000), "the other question is still open");
}

#[test]
fn answers_hold_as_long_as_they_say() {
    let mut r = resolver(Families::V4);
    assert_eq!(host(&mut r, "four.example."), ips(&["192.0.2.20"]));
    assert_eq!(host(&mut r, "gone.example."), Found::NoName);
    assert_eq!(r.host("four.example.", at(59_999)), ips(&["192.0.2.20"]));
    assert_eq!(r.host("gone.example.", at(29_999)), Found::NoName);
    assert_eq!(r.host("gone.example.", at(30_000)), Found::Asking);
    assert_eq!(r.host("four.example.", at(60_000)), Found::Asking);
}

#[test]
fn open_questions_have_a_bound() {
    let mut r = resolver(Families::V4);
    for n in 0..MAX_OPEN + 50 {
        assert_eq!(r.host(&format!("n{n}.example."), at(0)), Found::Asking);
    }
    let first = asked(&mut r);
    assert_eq!(first.len(), MAX_OPEN);
    first.iter().for_each(|a| r.heard(a.id, &answer(&a.message), at(1)));
    assert_eq!(r.host(&format!("n{MAX_OPEN}.example."), at(1)), Found::Asking);
    assert_eq!(asked(&mut r).len(), 1, "its turn has come");
}

#[test]
fn ids_and_servers_vary() {
    let mut r = resolver(Families::V4);
    let mut rotating = conf(&["192.0.2.1", "192.0.2.2"]);
    rotating.rotate = true;
    r.configure(rotating, Families::V4);
    (0..40).for_each(|n| drop(r.host(&format!("n{n}.example."), at(0))));
    let tries = asked(&mut r);
    let ids: std::collections::BTreeSet<u16> =
        tries.iter().map(|a| u16::from_be_bytes([a.message[0], a.message[1]])).collect();
    assert!(ids.len() > 35);
    assert_eq!(tries.iter().filter(|a| a.to.ip() == ip("192.0.2.2")).count(), 20);
}

#[test]
fn another_configuration_forgets_the_old_servers() {
    let mut r = resolver(Families::V4);
    assert_eq!(host(&mut r, "four.example."), ips(&["192.0.2.20"]));
    r.host("both.example.", at(0));
    assert_eq!(asked(&mut r).len(), 1);
    r.configure(conf(&["192.0.2.3"]), Families::V4);
    assert_eq!((asked(&mut r).len(), r.deadline()), (0, Time::NEVER));
    assert_eq!(r.host("four.example.", at(0)), Found::Asking);
    assert_eq!(asked(&mut r).remove(0).to.ip(), ip("192.0.2.3"));
}

proptest! {
    /// Whatever comes, in whatever order: no panic, and the clock brings every question to an end.
    #[test]
    fn every_question_ends(
        events in proptest::collection::vec((0u8..5, any::<u8>(), any::<u8>()), 0..200),
    ) {
        let mut r = resolver(Families::Both);
        let mut open: Vec<Asked> = Vec::new();
        let mut ms = 0;
        for (what, a, b) in events {
            ms += u64::from(b);
            let names = ["both.example", "mail.example", "circle.example", "gone.example"];
            let name = names[usize::from(a) % names.len()];
            r.mail_hosts(name, |_, _| false, at(ms));
            open.append(&mut asked(&mut r));
            if open.is_empty() {
                continue;
            }
            let one = &open[usize::from(b) % open.len()];
            let mut message = answer(&one.message);
            match what {
                0 => {}
                1 => { let n = message.len(); message[usize::from(a) % n] ^= b; }
                2 => message.truncate(usize::from(a)),
                3 => { r.broken(one.id, "gone", at(ms)); continue; }
                _ => { r.timeout(at(ms)); continue; }
            }
            r.heard(one.id, &message, at(ms));
        }
        for _ in 0..40 {
            ms += 1000;
            r.timeout(at(ms));
        }
        while r.action().is_some() {}
        prop_assert_eq!(r.deadline(), Time::NEVER);
        let _ = Duration::from_millis(ms);
    }
}
