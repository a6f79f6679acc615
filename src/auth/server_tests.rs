//! Tests of the server's side: the vectors of the RFCs, our own client, and clients that lie.

use proptest::prelude::*;

use super::*;
use crate::auth::client;
use crate::auth::{Users, decode};

/// The keys of `pencil` in RFC 7677 section 3.
fn keys() -> Keys {
    let salt = decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let salted = Stretch::new(b"pencil", &salt, 4096).advance(4096).unwrap();
    Keys::of(&salted, salt, 4096)
}

fn challenge(text: &str) -> Step {
    Step::Challenge(text.into())
}

fn lookup(user: &str) -> Step {
    Step::Lookup(user.into())
}

fn finish(exchange: &mut Exchange) -> Step {
    loop {
        match exchange.work(1000) {
            Step::Work => {}
            step => return step,
        }
    }
}

const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

/// RFC 7677 section 3, up to the client's last message.
fn vector() -> Exchange {
    let mut exchange = Exchange::new(Mechanism::ScramSha256, None);
    assert_eq!(exchange.begin(Some(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")), lookup("user"));
    let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    assert_eq!(exchange.keys(keys(), SERVER_NONCE), challenge(first));
    exchange
}

#[test]
fn the_vector_of_rfc_7677() {
    let mut exchange = vector();
    let last = challenge("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert_eq!(exchange.respond(CLIENT_FINAL.as_bytes()), last);
    assert_eq!(exchange.respond(b""), Step::Done("user".into()));
    assert_eq!(exchange.respond(b""), Step::Malformed);
}

#[test]
fn a_proof_that_is_changed_fails() {
    for (from, to) in [
        ("p=dH", "p=eH"),
        ("c=biws", "c=eSws"),
        ("c=biws", "c=biwsQQ=="),
        ("k0,p", "k1,p"),
        ("k0,p", "k0,x=y,p"),
    ] {
        let last = CLIENT_FINAL.replace(from, to);
        let step = vector().respond(last.as_bytes());
        assert!(matches!(step, Step::Failed | Step::Malformed), "{last}: {step:?}");
    }
    assert_eq!(vector().respond(b"x"), Step::Malformed);
    let mut exchange = vector();
    exchange.respond(CLIENT_FINAL.as_bytes());
    assert_eq!(exchange.respond(b"x"), Step::Malformed);
}

#[test]
fn plain() {
    let start = |message: &[u8]| {
        let mut exchange = Exchange::new(Mechanism::Plain, None);
        let step = exchange.begin(Some(message));
        (exchange, step)
    };
    for message in [&b"\0user\0pencil"[..], b"user\0user\0pencil"] {
        let (mut exchange, step) = start(message);
        assert_eq!(step, lookup("user"));
        assert_eq!(exchange.keys(keys(), ""), Step::Work);
        assert_eq!(exchange.work(4095 - 1), Step::Work);
        assert_eq!(exchange.work(1), Step::Done("user".into()));
    }
    let (mut exchange, _) = start(b"\0user\0Pencil");
    exchange.keys(keys(), "");
    assert_eq!(finish(&mut exchange), Step::Failed);
    for message in [&b"other\0user\0pencil"[..], b"\0user\0", b"\0\0pencil", b"\0us\ner\0pencil"] {
        assert_eq!(start(message).1, Step::Failed, "{message:?}");
    }
    for message in [&b""[..], b"\0", b"user\0pencil", b"\0user\0pen\0cil", b"\0\0\0\0"] {
        assert_eq!(start(message).1, Step::Malformed, "{message:?}");
    }
    let mut exchange = Exchange::new(Mechanism::Plain, None);
    assert_eq!(exchange.begin(None), challenge(""));
    assert_eq!(exchange.respond(b"\0user\0pencil"), lookup("user"));
}

#[test]
fn login() {
    for initial in [false, true] {
        let mut exchange = Exchange::new(Mechanism::Login, None);
        if initial {
            assert_eq!(exchange.begin(Some(b"user")), challenge("Password:"));
        } else {
            assert_eq!(exchange.begin(None), challenge("Username:"));
            assert_eq!(exchange.respond(b"user"), challenge("Password:"));
        }
        assert_eq!(exchange.respond(b"pencil"), lookup("user"));
        exchange.keys(keys(), "");
        assert_eq!(finish(&mut exchange), Step::Done("user".into()));
    }
    let mut exchange = Exchange::new(Mechanism::Login, None);
    assert_eq!(exchange.begin(Some(b"")), Step::Failed);
    assert_eq!(exchange.respond(b"pencil"), Step::Malformed);
}

#[test]
fn nobody_can_be_told_from_somebody() {
    let users = Users::parse(&Users::line("ann", "x", [1; 16]).unwrap()).unwrap();
    let mut exchange = Exchange::new(Mechanism::Plain, None);
    assert_eq!(exchange.begin(Some(b"\0nobody\0x")), lookup("nobody"));
    assert_eq!(exchange.keys(users.keys("nobody"), ""), Step::Work);
    assert_eq!(finish(&mut exchange), Step::Failed);
}

/// Our client with our server, over all that can differ.
#[test]
fn both_sides_understand_each_other() {
    let binding = Some([3; 32]);
    for (mechanism, password, ours, theirs, good) in [
        (Mechanism::ScramSha256, "pencil", None, None, true),
        (Mechanism::ScramSha256, "Pencil", None, None, false),
        (Mechanism::ScramSha256Plus, "pencil", binding, binding, true),
        // Somebody sits between them.
        (Mechanism::ScramSha256Plus, "pencil", binding, Some([4; 32]), false),
        (Mechanism::ScramSha256Plus, "pencil", None, binding, false),
        // Somebody took the stronger name out of our offer.
        (Mechanism::ScramSha256, "pencil", binding, binding, false),
        (Mechanism::ScramSha256, "pencil", None, binding, true),
    ] {
        let who = client::Credentials {
            user: "us=er,".into(),
            secret: Secret::new(password),
            host: String::new(),
            port: 0,
        };
        let mut client = client::Exchange::new(mechanism, &who, "client", theirs);
        let mut server = Exchange::new(mechanism, ours);
        let initial = client.initial().unwrap();
        let mut step = server.begin(Some(initial.expose()));
        let done = loop {
            step = match step {
                Step::Lookup(name) if name == "us=er," => server.keys(keys(), "server"),
                Step::Challenge(text) => match client.challenge(&text) {
                    client::Answer::Say(answer) => server.respond(answer.expose()),
                    client::Answer::Work => match client.work(5000) {
                        client::Answer::Say(answer) => server.respond(answer.expose()),
                        other => panic!("{other:?}"),
                    },
                    client::Answer::Wrong(why) => panic!("{why}"),
                },
                Step::Done(user) => break user == "us=er," && client.is_complete(),
                _ => break false,
            };
        };
        assert_eq!(done, good, "{mechanism:?} {password} {ours:?} {theirs:?}");
    }
}

proptest! {
    /// Whatever a client says, nothing panics, and nobody gets in.
    #[test]
    fn no_client_makes_it_panic(
        mechanism in 0usize..4,
        initial in proptest::option::of(client_words()),
        words in proptest::collection::vec(client_words(), 0..4),
    ) {
        let mut exchange = Exchange::new(Exchange::MECHANISMS[mechanism], Some([9; 32]));
        let mut step = exchange.begin(initial.as_deref());
        let mut words = words.into_iter();
        loop {
            step = match step {
                Step::Challenge(_) => match words.next() {
                    Some(word) => exchange.respond(&word),
                    None => break,
                },
                Step::Lookup(name) => {
                    prop_assert!(!name.is_empty() && name.len() <= MAX_NAME);
                    exchange.keys(keys(), "N")
                }
                Step::Work => exchange.work(u32::MAX),
                Step::Done(user) => {
                    prop_assert!(false, "{user} got in");
                    break;
                }
                Step::Failed | Step::Malformed => break,
            };
        }
    }
}

fn client_words() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        proptest::collection::vec(proptest::sample::select(&b"\0abc"[..]), 0..12),
        "(n|y|p=tls-exporter|p=x),(|a=a),(|m=x,)n=[a-c=,23CD]{0,6},r=[a-z,]{0,4}"
            .prop_map(String::into_bytes),
        "c=(biws|eSws|[A-Za-z=]{0,8}),r=[a-zN]{0,5},p=[A-Za-z0-9/+=]{0,44}"
            .prop_map(String::into_bytes),
    ]
}
