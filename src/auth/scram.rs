//! SCRAM-SHA-256 (RFC 5802, RFC 7677): its keys, and its messages read and written.
//!
//! ```text
//! SaltedPassword = PBKDF2(password, salt, i)      StoredKey = SHA256(ClientKey)
//! ClientKey = HMAC(SaltedPassword, "Client Key")  ServerKey = HMAC(SaltedPassword, "Server Key")
//! AuthMessage = client-first-bare , server-first , client-final-without-proof
//! proof = ClientKey XOR HMAC(StoredKey, AuthMessage)
//! signature = HMAC(ServerKey, AuthMessage)
//! ```
//!
//! The server keeps StoredKey and ServerKey: enough to check a proof and to prove itself, not
//! enough to make a proof.

use std::fmt;

use ring::{digest, hmac};

use super::{BINDING_NAME, Binding, decode, encode, same};

/// Rounds that are taken for too few to protect a password (RFC 7677 section 4).
pub const MIN_ITERATIONS: u32 = 4096;

/// What a server keeps of a user.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Of the password.
    pub salt: Vec<u8>,
    /// Rounds of its stretch.
    pub iterations: u32,
    /// Checks the client.
    pub stored: [u8; 32],
    /// Proves the server.
    pub server: [u8; 32],
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} rounds)", self.iterations)
    }
}

impl Keys {
    /// The keys of a stretched password.
    pub fn of(salted: &[u8; 32], salt: Vec<u8>, iterations: u32) -> Keys {
        let stored = sha256(&client_key(salted));
        Keys { salt, iterations, stored, server: server_key(salted) }
    }

    /// Whether a stretched password is that of the keys.
    pub fn fit(&self, salted: &[u8; 32]) -> bool {
        same(&sha256(&client_key(salted)), &self.stored)
    }

    /// Whether a proof for this exchange was made with the password of the keys.
    pub fn prove(&self, auth_message: &str, proof: &[u8; 32]) -> bool {
        let client_key = xor(&hmac(&self.stored, auth_message), proof);
        same(&sha256(&client_key), &self.stored)
    }

    /// What shows the client that the server knows the keys.
    pub fn signature(&self, auth_message: &str) -> [u8; 32] {
        hmac(&self.server, auth_message)
    }
}

/// The client's proof of its password.
pub fn proof(salted: &[u8; 32], auth_message: &str) -> [u8; 32] {
    let client_key = client_key(salted);
    xor(&client_key, &hmac(&sha256(&client_key), auth_message))
}

/// The signature that the server must answer with.
pub fn expected_signature(salted: &[u8; 32], auth_message: &str) -> [u8; 32] {
    hmac(&server_key(salted), auth_message)
}

fn client_key(salted: &[u8; 32]) -> [u8; 32] {
    hmac(salted, "Client Key")
}

fn server_key(salted: &[u8; 32]) -> [u8; 32] {
    hmac(salted, "Server Key")
}

fn hmac(key: &[u8], data: &str) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data.as_bytes());
    tag.as_ref().try_into().expect("SHA-256 has 32 octets")
}

fn sha256(data: &[u8]) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, data);
    hash.as_ref().try_into().expect("SHA-256 has 32 octets")
}

fn xor(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|i| a[i] ^ b[i])
}

/// What a client says about channel binding (RFC 5802 section 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindingFlag {
    /// `n`: it knows none.
    Unknown,
    /// `y`: it knows one, and thinks that the server does not. If the server does, somebody between
    /// them took the name of the mechanism out.
    Unoffered,
    /// `p=tls-exporter`: it uses this one.
    Used,
}

impl BindingFlag {
    /// The start of the first message, and of what is repeated in the last one.
    pub fn header(self, authorize_as: &str) -> String {
        let flag = match self {
            BindingFlag::Unknown => "n",
            BindingFlag::Unoffered => "y",
            BindingFlag::Used => return format!("p={BINDING_NAME},{authorize_as},"),
        };
        format!("{flag},{authorize_as},")
    }
}

/// The first message of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientFirst<'a> {
    /// About channel binding.
    pub flag: BindingFlag,
    /// The octets before `bare`, which its last message repeats.
    pub header: &'a str,
    /// On whose behalf it wants to act, if it says so.
    pub authorize_as: Option<String>,
    /// What goes into the proof.
    pub bare: &'a str,
    /// The user.
    pub user: String,
    /// Its nonce.
    pub nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    /// Reads one; none when it is malformed, or asks for an extension or a binding that we lack.
    pub fn parse(message: &'a str) -> Option<ClientFirst<'a>> {
        let (flag, rest) = message.split_once(',')?;
        let flag = match flag.strip_prefix("p=") {
            None if flag == "n" => BindingFlag::Unknown,
            None if flag == "y" => BindingFlag::Unoffered,
            Some(BINDING_NAME) => BindingFlag::Used,
            _ => return None,
        };
        let (authorize_as, bare) = rest.split_once(',')?;
        let authorize_as = match authorize_as.strip_prefix("a=") {
            Some(name) => Some(unescape(name)?),
            None if authorize_as.is_empty() => None,
            None => return None,
        };
        // An `m=` before the name is an extension that must be understood (section 5.1).
        let mut fields = bare.split(',');
        let user = unescape(fields.next()?.strip_prefix("n=")?)?;
        let nonce = fields.next()?.strip_prefix("r=").filter(|n| is_nonce(n))?;
        let header = &message[..message.len() - bare.len()];
        Some(ClientFirst { flag, header, authorize_as, bare, user, nonce })
    }
}

/// The last message of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientFinal<'a> {
    /// The header of the first message and the channel binding, decoded.
    pub binding: Vec<u8>,
    /// Both nonces.
    pub nonce: &'a str,
    /// What goes into the proof.
    pub without_proof: &'a str,
    /// The proof.
    pub proof: [u8; 32],
}

impl<'a> ClientFinal<'a> {
    /// Reads one.
    pub fn parse(message: &'a str) -> Option<ClientFinal<'a>> {
        let (without_proof, proof) = message.rsplit_once(",p=")?;
        let proof = decode(proof.as_bytes())?.try_into().ok()?;
        let mut fields = without_proof.split(',');
        let binding = decode(fields.next()?.strip_prefix("c=")?.as_bytes())?;
        let nonce = fields.next()?.strip_prefix("r=")?;
        Some(ClientFinal { binding, nonce, without_proof, proof })
    }
}

/// The first message of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerFirst<'a> {
    /// Both nonces.
    pub nonce: &'a str,
    /// Of the password.
    pub salt: Vec<u8>,
    /// Rounds.
    pub iterations: u32,
}

impl<'a> ServerFirst<'a> {
    /// Reads one.
    pub fn parse(message: &'a str) -> Option<ServerFirst<'a>> {
        let mut fields = message.split(',');
        let nonce = fields.next()?.strip_prefix("r=").filter(|n| is_nonce(n))?;
        let salt = decode(fields.next()?.strip_prefix("s=")?.as_bytes())?;
        let iterations = fields.next()?.strip_prefix("i=")?;
        let digits = iterations.bytes().all(|b| b.is_ascii_digit());
        let iterations = iterations.parse().ok().filter(|_| digits)?;
        (!salt.is_empty()).then_some(ServerFirst { nonce, salt, iterations })
    }

    /// Writes one.
    pub fn write(nonce: &str, keys: &Keys) -> String {
        format!("r={nonce},s={},i={}", encode(&keys.salt), keys.iterations)
    }
}

/// What a client repeats in its last message, before it is encoded.
pub fn binding_input(header: &str, binding: Option<&Binding>) -> Vec<u8> {
    let mut input = header.as_bytes().to_vec();
    input.extend_from_slice(binding.map_or(&[][..], |b| &b[..]));
    input
}

/// A name as a field of a message: `,` and `=` would end it (RFC 5802 section 5.1).
pub fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// Reads a name; none when it is malformed.
fn unescape(name: &str) -> Option<String> {
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('=') {
        text.push_str(before);
        text.push(match after.get(..2)? {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        rest = &after[2..];
    }
    text.push_str(rest);
    (!text.is_empty() && !text.contains('\0')).then_some(text)
}

/// Printable ASCII without the comma (RFC 5802 section 7).
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_read_again() {
        for name in ["ann", "a,b=c", "=2C", "grün", "a b"] {
            assert!(!escape(name).contains(','));
            assert_eq!(unescape(&escape(name)).as_deref(), Some(name));
        }
        for wrong in ["", "a=", "=2", "=2c", "=41", "a=ü", "a\0"] {
            assert_eq!(unescape(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn malformed_messages_are_refused() {
        assert!(ClientFirst::parse("n,,n=user,r=abc").is_some());
        assert!(ClientFirst::parse("y,a=x,n=user,r=abc,ext=1").is_some());
        for wrong in [
            "",
            "n",
            "n,,",
            "n,,n=user",
            "n,,n=user,r=",
            "n,,n=,r=abc",
            "n,,r=abc,n=user",
            "n,,m=x,n=user,r=abc",
            "n,x,n=user,r=abc",
            "x,,n=user,r=abc",
            "p=tls-unique,,n=user,r=abc",
            "p=,,n=user,r=abc",
            "n,,n=u=ser,r=abc",
            "n,,n=user,r=a\u{7f}",
            "n,a=,n=user,r=abc",
        ] {
            assert_eq!(ClientFirst::parse(wrong), None, "{wrong}");
        }
        for wrong in ["r=x", "r=x,s=,i=1", "r=x,s=QQ==,i=", "r=x,s=QQ==,i=+1", "r=x,s=QQ==,i=-1"] {
            assert_eq!(ServerFirst::parse(wrong), None, "{wrong}");
        }
        assert_eq!(ServerFirst::parse("r=x,s=QQ==,i=99999999999"), None);
        for wrong in ["", "c=biws,r=x", "c=biws,r=x,p=QQ==", "c=*,r=x,p=", "r=x,c=biws,p=QQ=="] {
            assert_eq!(ClientFinal::parse(wrong), None, "{wrong}");
        }
    }
}
