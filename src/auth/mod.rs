//! SASL, as SMTP uses it (RFC 4422, RFC 4954): mechanisms as machines without I/O.
//!
//! | mechanism | what crosses the wire | RFC |
//! | --- | --- | --- |
//! | SCRAM-SHA-256-PLUS | a proof, bound to this TLS connection | 5802, 7677, 9266 |
//! | SCRAM-SHA-256 | a proof | 5802, 7677 |
//! | OAUTHBEARER | a token that expires | 7628 |
//! | XOAUTH2 | the same, as Google wrote it before there was an RFC | |
//! | PLAIN | the password | 4616 |
//! | LOGIN | the password, in two messages | never one |
//!
//! Both sides of an exchange are enums that carry their data. What they need from the world is
//! given to them: nonces, the channel binding, and on the server's side the keys of a user.
//! Passwords are stretched by PBKDF2, and that is slow by intention; so [`Stretch`] works in
//! slices, and each machine says when it wants another one: no login stalls the loop.
//!
//! The server knows users by their SCRAM keys only ([`Users`]). Whoever reads its file can check
//! passwords that he guesses, each at the price of a stretch, and pose as the server; he cannot log
//! in. PLAIN and LOGIN are checked against the same keys.

pub mod client;
mod failures;
mod prep;
pub mod scram;
mod secret;
pub mod server;
mod stretch;
mod users;

pub use failures::{Failures, Penalty};
pub use prep::prepare;
pub use scram::Keys;
pub use secret::Secret;
pub use stretch::Stretch;
pub use users::{DEFAULT_ITERATIONS, Users, check_name};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Octets of a message of SASL in base64, with its CRLF (RFC 4954 section 4).
pub const MAX_LINE: usize = 12_288;

/// The octets that tie an exchange to its TLS connection: `tls-exporter` of RFC 9266.
pub type Binding = [u8; 32];

/// The exporter's label and its name as a channel binding (RFC 9266 section 2).
pub const BINDING_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
const BINDING_NAME: &str = "tls-exporter";

/// How a client proves who it is; the strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mechanism {
    /// SCRAM, bound to the TLS connection.
    ScramSha256Plus,
    /// SCRAM.
    ScramSha256,
    /// A token.
    OauthBearer,
    /// A token.
    Xoauth2,
    /// The password.
    Plain,
    /// The password.
    Login,
}

impl Mechanism {
    /// All of them, the strongest first.
    pub const ALL: [Mechanism; 6] = [
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha256,
        Mechanism::OauthBearer,
        Mechanism::Xoauth2,
        Mechanism::Plain,
        Mechanism::Login,
    ];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::OauthBearer => "OAUTHBEARER",
            Mechanism::Xoauth2 => "XOAUTH2",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        }
    }

    /// The mechanism of this name, in any case.
    pub fn parse(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|m| m.name().eq_ignore_ascii_case(name))
    }

    /// Whether the secret itself is sent, so that whoever reads the line has it.
    pub const fn shows_secret(self) -> bool {
        !matches!(self, Mechanism::ScramSha256Plus | Mechanism::ScramSha256)
    }

    /// Whether the secret is a token and no password.
    pub const fn takes_token(self) -> bool {
        matches!(self, Mechanism::OauthBearer | Mechanism::Xoauth2)
    }
}

/// Octets that nobody can guess, from the system.
///
/// # Panics
/// When the system has no randomness to give: nothing can be kept secret then.
pub fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    SystemRandom::new().fill(&mut octets).expect("the system's random numbers");
    octets
}

/// A nonce of SCRAM, made of random octets.
pub fn nonce(octets: [u8; 18]) -> String {
    encode(&octets)
}

/// Base64 as SASL wants it on the wire: with padding.
pub fn encode(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

/// Reads base64; none when it is malformed.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Whether two keys are the same, in a time that does not tell where they differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differ = a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b));
    std::hint::black_box(differ) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_the_strongest_comes_first() {
        for mechanism in Mechanism::ALL {
            assert_eq!(Mechanism::parse(&mechanism.name().to_lowercase()), Some(mechanism));
        }
        assert_eq!(Mechanism::parse("SCRAM-SHA-1"), None);
        assert!(Mechanism::ALL.is_sorted());
        assert!(Mechanism::ScramSha256Plus < Mechanism::Plain);
    }

    #[test]
    fn base64_is_strict() {
        assert_eq!(decode(b"AGEAYg==").unwrap(), b"\0a\0b");
        for wrong in ["AGEAYg=", "AGEAYg", "AGEA Yg==", "AGEA\nYg==", "A", "*", "AGEAYh=="] {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn every_octet_of_a_key_counts() {
        let key = random::<32>();
        assert!(same(&key, &key));
        for at in 0..32 {
            let mut other = key;
            other[at] ^= 1;
            assert!(!same(&key, &other));
        }
        assert_ne!(random::<18>(), random::<18>());
    }
}
