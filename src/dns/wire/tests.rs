//! The format against an independent implementation, and against anybody who sends anything.

use proptest::prelude::*;
use simple_dns::rdata::{A, AAAA, CNAME, MX, RData, SOA, TXT};
use simple_dns::{CLASS, Name as Witness, Packet, PacketFlag, QCLASS, QTYPE, RCODE, TYPE};
use simple_dns::{Question as WitnessQuestion, ResourceRecord};

use super::*;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn question(text: &str, kind: Kind) -> Question {
    Question { name: name(text), kind }
}

fn witness(text: &str) -> Witness<'_> {
    Witness::new(text).unwrap()
}

fn record<'a>(owner: &'a str, ttl: u32, data: RData<'a>) -> ResourceRecord<'a> {
    ResourceRecord::new(witness(owner), CLASS::IN, ttl, data)
}

fn reply<'a>(id: u16, asked: &'a str, kind: TYPE) -> Packet<'a> {
    let mut packet = Packet::new_reply(id);
    packet.set_flags(PacketFlag::RECURSION_AVAILABLE);
    let qclass = QCLASS::CLASS(CLASS::IN);
    packet.questions.push(WitnessQuestion::new(witness(asked), kind.into(), qclass, false));
    packet
}

#[test]
fn a_witness_reads_our_questions() {
    for (kind, theirs) in [(Kind::A, TYPE::A), (Kind::Aaaa, TYPE::AAAA), (Kind::Mx, TYPE::MX)] {
        let message = query(0xbeef, &question("Mail.example.ORG", kind));
        let packet = Packet::parse(&message).unwrap();
        assert_eq!((packet.id(), packet.questions.len()), (0xbeef, 1));
        assert!(packet.has_flags(PacketFlag::RECURSION_DESIRED));
        assert!(!packet.has_flags(PacketFlag::RESPONSE));
        let asked = &packet.questions[0];
        assert_eq!(asked.qname.to_string(), "mail.example.org");
        assert_eq!(asked.qtype, QTYPE::TYPE(theirs));
    }
}

#[test]
fn we_read_a_witness_s_answers() {
    let mut packet = reply(7, "example.org", TYPE::MX);
    let mx = |preference, host| RData::MX(MX { preference, exchange: witness(host) });
    packet.answers = vec![
        record("example.org", 300, mx(10, "Mail.example.org")),
        record("example.org", 200, mx(0, ".")),
        record("example.org", 200, mx(20, "un\\.usable.example.org")),
        record("alias.example.org", 60, RData::CNAME(CNAME(witness("mail.example.org")))),
        record("mail.example.org", u32::MAX, RData::A(A { address: 0xc0000207 })),
        record("mail.example.org", 60, RData::AAAA(AAAA { address: 1 })),
        record("mail.example.org", 60, RData::TXT(TXT::new().with_string("x").unwrap())),
    ];
    packet.name_servers = vec![record(
        "example.org",
        900,
        RData::SOA(SOA {
            mname: witness("ns.example.org"),
            rname: witness("x\\.y.example.org"),
            serial: 1,
            refresh: 2,
            retry: 3,
            expire: 4,
            minimum: 600,
        }),
    )];
    let (owner, mail) = (name("example.org"), name("mail.example.org"));
    let of = |owner: &Name, ttl, data| Record { owner: owner.clone(), ttl, data };
    let expected = vec![
        of(&owner, 300, Data::Mx(10, mail.clone())),
        of(&owner, 200, Data::Mx(0, Name::root())),
        of(&name("alias.example.org"), 60, Data::Cname(mail.clone())),
        of(&mail, 0, Data::A([192, 0, 2, 7].into())),
        of(&mail, 60, Data::Aaaa(1u128.into())),
    ];
    for message in [packet.build_bytes_vec(), packet.build_bytes_vec_compressed()] {
        let read = response(&message.unwrap()).unwrap();
        assert_eq!((read.id, read.rcode, read.truncated), (7, 0, false));
        assert_eq!(read.question, Some(question("example.org", Kind::Mx)));
        assert_eq!(read.answers, expected);
        assert_eq!(read.negative_ttl, Some(600));
    }
}

#[test]
fn errors_and_cuts() {
    let mut packet = reply(1, "x.example", TYPE::A);
    *packet.rcode_mut() = RCODE::ServerFailure;
    assert_eq!(response(&packet.build_bytes_vec().unwrap()).unwrap().rcode, 2);
    packet.set_flags(PacketFlag::TRUNCATION);
    packet.answers.push(record("x.example", 1, RData::A(A { address: 1 })));
    let mut message = packet.build_bytes_vec().unwrap();
    message.truncate(message.len() - 3);
    let read = response(&message).unwrap();
    assert!(read.truncated && read.answers.is_empty(), "a cut record is no matter");
    packet.remove_flags(PacketFlag::TRUNCATION);
    let message = packet.build_bytes_vec().unwrap();
    assert_eq!(response(&message[..message.len() - 3]), Err(Malformed));
    assert_eq!(response(&query(1, &question("x", Kind::A))), Err(Malformed), "a question");
}

/// A reply's header with so many answers, its question, and what follows.
fn raw(answers: u16, rest: &[u8]) -> Vec<u8> {
    let mut message = query(1, &question("x.example", Kind::A));
    message[2] |= 0x80;
    message[6..8].copy_from_slice(&answers.to_be_bytes());
    message.extend_from_slice(rest);
    message
}

#[test]
fn compression_does_not_run_in_circles() {
    let here = raw(0, b"").len() as u16;
    let to = |at: u16| (0xc000 | at).to_be_bytes();
    let fixed = [0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4];
    let owned_by = |owner: &[u8]| raw(1, &[owner, &fixed[..]].concat());
    assert_eq!(response(&owned_by(&to(12))).unwrap().answers[0].owner, name("x.example"));
    assert_eq!(response(&owned_by(&to(here))), Err(Malformed), "to itself");
    assert_eq!(response(&owned_by(&to(here + 2))), Err(Malformed), "forward");
    assert_eq!(response(&owned_by(&[&[1, b'a'][..], &to(here)].concat())), Err(Malformed));
    assert_eq!(response(&owned_by(&[0x41, b'a', 0])), Err(Malformed), "no such label");
    // A long chain, each pointer to the one before: an hour's work when nobody counts.
    let mut chain: Vec<u8> = to(12).to_vec();
    (0..400).for_each(|n| chain.extend_from_slice(&to(here + 2 * n)));
    let text = [&[0, 16, 0, 1, 0, 0, 0, 0][..], &(chain.len() as u16).to_be_bytes()].concat();
    assert!(text.len() == 10 && response(&owned_by(&chain)).is_err());
    // A label of 63 and a pointer to it, often enough, is longer than a name may be.
    let mut long = vec![63; 64];
    long.extend_from_slice(&to(here));
    assert_eq!(response(&owned_by(&long)), Err(Malformed));
}

#[test]
fn counts_that_lie() {
    assert_eq!(response(&raw(1, b"")), Err(Malformed));
    assert_eq!(response(&raw(u16::MAX, b"")), Err(Malformed));
    let record = [0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4];
    assert_eq!(response(&raw(513, &record.repeat(513))), Err(Malformed), "too many");
    assert_eq!(response(&raw(512, &record.repeat(512))).unwrap().answers.len(), 512);
    // Data that is shorter or longer than its kind.
    for length in [3, 5] {
        let mut wrong = record.to_vec();
        wrong[10] = length;
        wrong.push(0);
        assert_eq!(response(&raw(1, &wrong)), Err(Malformed));
    }
}

proptest! {
    #[test]
    fn anything_may_come(message in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = response(&message);
    }

    #[test]
    fn an_answer_with_damage_is_read_or_refused(
        at in 0usize..120, to in any::<u8>(), cut in 0usize..120,
    ) {
        let mut packet = reply(1, "example.org", TYPE::MX);
        let mx = MX { preference: 1, exchange: witness("a.example.org") };
        packet.answers = vec![record("example.org", 9, RData::MX(mx)); 4];
        let mut message = packet.build_bytes_vec_compressed().unwrap();
        let length = message.len();
        message[at % length] = to;
        message.truncate(length - cut % length);
        if let Ok(read) = response(&message) {
            prop_assert!(read.answers.len() <= 4);
        }
    }

    /// What both can read they read alike.
    #[test]
    fn a_witness_agrees(at in 12usize..120, to in any::<u8>()) {
        let mut packet = reply(1, "example.org", TYPE::A);
        packet.answers = vec![record("example.org", 9, RData::A(A { address: 77 })); 3];
        let mut message = packet.build_bytes_vec_compressed().unwrap();
        let length = message.len();
        message[12 + at % (length - 12)] = to;
        if let (Ok(ours), Ok(theirs)) = (response(&message), Packet::parse(&message)) {
            let theirs = theirs.answers.iter().filter_map(|r| match &r.rdata {
                RData::A(a) if r.class == CLASS::IN && !r.cache_flush => {
                    let owner = Name::from_labels(r.name.as_bytes())?;
                    let ttl = if r.ttl > i32::MAX as u32 { 0 } else { r.ttl };
                    Some(Record { owner, ttl, data: Data::A(a.address.into()) })
                }
                _ => None,
            });
            let ours = ours.answers.into_iter().filter(|r| matches!(r.data, Data::A(_)));
            prop_assert_eq!(ours.collect::<Vec<_>>(), theirs.collect::<Vec<_>>());
        }
    }
}
