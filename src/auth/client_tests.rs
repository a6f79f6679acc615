//! Tests of the client's side: the vectors of the RFCs, and servers that lie.

use proptest::prelude::*;

use super::*;

fn who(user: &str, secret: &str) -> Credentials {
    let (user, secret) = (user.into(), Secret::new(secret));
    Credentials { user, secret, host: "server.example.com".into(), port: 143 }
}

fn say(text: &str) -> Answer {
    Answer::Say(Secret::new(text))
}

fn exchange(mechanism: Mechanism, user: &str, secret: &str) -> Exchange {
    Exchange::new(mechanism, &who(user, secret), NONCE, None)
}

const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

fn finish(exchange: &mut Exchange) -> Answer {
    loop {
        match exchange.work(1000) {
            Answer::Work => {}
            answer => return answer,
        }
    }
}

/// RFC 7677 section 3.
#[test]
fn the_vector_of_rfc_7677() {
    let mut exchange = exchange(Mechanism::ScramSha256, "user", "pencil");
    let initial = exchange.initial().unwrap();
    assert_eq!(initial.expose(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    assert_eq!(exchange.challenge(SERVER_FIRST.as_bytes()), Answer::Work);
    let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    assert_eq!(finish(&mut exchange), say(last));
    assert!(!exchange.is_complete());
    let proven = exchange.challenge(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert_eq!(proven, say(""));
    assert!(exchange.is_complete());
}

#[test]
fn a_server_that_does_not_prove_itself_is_not_believed() {
    for wrong in [
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G8=",
        "v=",
        "v=QQ==",
        "",
        "e=invalid-proof",
        "x",
    ] {
        let mut exchange = exchange(Mechanism::ScramSha256, "user", "pencil");
        exchange.initial();
        exchange.challenge(SERVER_FIRST.as_bytes());
        finish(&mut exchange);
        assert!(matches!(exchange.challenge(wrong.as_bytes()), Answer::Wrong(_)), "{wrong}");
        assert!(!exchange.is_complete());
    }
}

#[test]
fn what_a_server_may_not_demand() {
    for (first, word) in [
        (SERVER_FIRST.replace("4096", "4095"), "less"),
        (SERVER_FIRST.replace("4096", "600001"), "more"),
        (SERVER_FIRST.replace("4096", "4294967295"), "more"),
        (SERVER_FIRST.replace("4096", "99999999999"), "malformed"),
        (SERVER_FIRST.replace("rOpr", "rOpq"), "nonce"),
        (SERVER_FIRST.replace("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", ""), "nonce"),
        ("m=x,".to_owned() + SERVER_FIRST, "malformed"),
        ("\u{fe}".into(), "malformed"),
    ] {
        let mut exchange = exchange(Mechanism::ScramSha256, "user", "pencil");
        exchange.initial();
        match exchange.challenge(first.as_bytes()) {
            Answer::Wrong(why) => assert!(why.contains(word), "{why}"),
            other => panic!("{first}: {other:?}"),
        }
    }
}

#[test]
fn the_flag_tells_what_is_known_of_channel_binding() {
    let initial = |mechanism, binding| {
        let mut exchange = Exchange::new(mechanism, &who("a,b", "x"), "N", binding);
        String::from_utf8(exchange.initial().unwrap().expose().to_vec()).unwrap()
    };
    assert_eq!(initial(Mechanism::ScramSha256, None), "n,,n=a=2Cb,r=N");
    assert_eq!(initial(Mechanism::ScramSha256, Some([1; 32])), "y,,n=a=2Cb,r=N");
    let plus = initial(Mechanism::ScramSha256Plus, Some([1; 32]));
    assert_eq!(plus, "p=tls-exporter,,n=a=2Cb,r=N");
}

#[test]
fn passwords_in_the_clear() {
    let mut plain = exchange(Mechanism::Plain, "tim", "tanstaaftanstaaf");
    assert!(!plain.is_complete());
    // RFC 4616 section 4.
    assert_eq!(plain.initial().unwrap().expose(), b"\0tim\0tanstaaftanstaaf");
    assert!(plain.is_complete());
    assert!(matches!(plain.challenge(b""), Answer::Wrong(_)));
    let mut login = exchange(Mechanism::Login, "tim", "secret");
    assert_eq!(login.initial(), None);
    assert_eq!(login.challenge(b"Username:"), say("tim"));
    assert!(!login.is_complete());
    assert_eq!(login.challenge(b"whatever"), say("secret"));
    assert!(login.is_complete());
    assert!(matches!(login.challenge(b"more?"), Answer::Wrong(_)));
}

/// RFC 7628 section 4.1 and 4.3; Google's documentation of XOAUTH2.
#[test]
fn tokens() {
    let mut bearer = exchange(Mechanism::OauthBearer, "user@example.com", "vF9dft4qmT");
    let message = b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\
                    auth=Bearer vF9dft4qmT\x01\x01";
    assert_eq!(bearer.initial().unwrap().expose(), message);
    assert!(bearer.is_complete());
    assert_eq!(bearer.challenge(br#"{"status":"invalid_token"}"#), say("\u{1}"));
    assert!(!bearer.is_complete());
    assert_eq!(bearer.words(), Some(&br#"{"status":"invalid_token"}"#[..]));
    assert!(matches!(bearer.challenge(b""), Answer::Wrong(_)));
    let mut google = exchange(Mechanism::Xoauth2, "someuser@example.com", "ya29.vF9");
    let message = b"user=someuser@example.com\x01auth=Bearer ya29.vF9\x01\x01";
    assert_eq!(google.initial().unwrap().expose(), message);
    assert_eq!(google.challenge(&[b'x'; 5000]), say(""));
    assert_eq!(google.words().unwrap().len(), MAX_WORDS);
}

proptest! {
    /// Whatever a server says, nothing panics, and nobody is believed.
    #[test]
    fn no_server_makes_it_panic(
        mechanism in 0usize..6,
        words in proptest::collection::vec(server_words(), 0..5),
    ) {
        let mechanism = Mechanism::ALL[mechanism];
        let mut exchange = exchange(mechanism, "user", "pencil");
        exchange.initial();
        for word in words {
            if exchange.challenge(&word) == Answer::Work {
                finish(&mut exchange);
            }
        }
        if !mechanism.shows_secret() {
            prop_assert!(!exchange.is_complete());
        }
    }
}

fn server_words() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(SERVER_FIRST.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
        "r=rOprNGfwEbeRWgbNEkqO[a-z,=]{0,5},s=[A-Za-z0-9=]{0,8},i=[0-9-]{0,6}"
            .prop_map(String::into_bytes),
        "v=[A-Za-z0-9/+=]{0,44}".prop_map(String::into_bytes),
    ]
}
