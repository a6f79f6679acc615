//! The users who may log in, and the file that holds them.
//!
//! One line a user, as `mailflux passwd` prints it; lines that begin with `#` are comments:
//!
//! ```text
//! ann:SCRAM-SHA-256$10000:SALT$STOREDKEY:SERVERKEY
//! ```
//!
//! What follows the name is the notation of RFC 5803, in which other servers keep the same keys.

use std::collections::HashMap;

use ring::{digest, hmac};

use super::scram::{Keys, MIN_ITERATIONS};
use super::server::MAX_NAME;
use super::{Stretch, decode, encode, prepare};

/// Rounds that `mailflux passwd` makes.
pub const DEFAULT_ITERATIONS: u32 = 10_000;
/// Rounds that a user may have: each PLAIN login costs so many of the loop's time.
const MAX_ITERATIONS: u32 = 20_000;
/// Octets of a salt.
const SALT: usize = 16;
const MAX_SALT: usize = 64;
const SCHEME: &str = "SCRAM-SHA-256";

/// The users and their keys.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Users {
    all: HashMap<String, Keys>,
    /// How many rounds there are, once for each user: what does not exist is made as they are.
    iterations: Vec<u32>,
    /// Makes up keys for those who do not exist. It is made of all the others, so that it stays the
    /// same from start to start, and nobody outside knows it.
    inventor: [u8; 32],
}

impl Users {
    /// Reads a users file. All errors come with the numbers of their lines.
    pub fn parse(text: &str) -> Result<Users, Vec<(u32, String)>> {
        let (mut all, mut iterations, mut errors) = (HashMap::new(), Vec::new(), Vec::new());
        let mut hash = digest::Context::new(&digest::SHA256);
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end_matches([' ', '\t', '\r']);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match read(line) {
                Ok((name, _)) if all.contains_key(name) => {
                    errors.push((number, format!("the user '{name}' stands here twice")));
                }
                Ok((name, keys)) => {
                    hash.update(&keys.stored);
                    hash.update(&keys.server);
                    iterations.push(keys.iterations);
                    all.insert(name.to_owned(), keys);
                }
                Err(message) => errors.push((number, message)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let inventor = hash.finish().as_ref().try_into().expect("SHA-256 has 32 octets");
        Ok(Users { all, iterations, inventor })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// There is none, so nobody can log in.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The keys of a user. For a name that nobody has they are made up, the same ones each time,
    /// and fit no password: neither the salt nor the time of an attempt tells who exists.
    pub fn keys(&self, name: &str) -> Keys {
        if let Some(keys) = self.all.get(name) {
            return keys.clone();
        }
        let salt = self.invent("salt", name);
        let place = self.invent("iterations", name);
        let place = usize::from(u16::from_be_bytes([place[0], place[1]]));
        Keys {
            salt: salt[..SALT].to_vec(),
            iterations: match self.iterations.len() {
                0 => DEFAULT_ITERATIONS,
                count => self.iterations[place % count],
            },
            stored: self.invent("stored", name),
            server: self.invent("server", name),
        }
    }

    fn invent(&self, what: &str, name: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.inventor);
        let mut context = hmac::Context::with_key(&key);
        context.update(what.as_bytes());
        context.update(&[0]);
        context.update(name.as_bytes());
        context.sign().as_ref().try_into().expect("SHA-256 has 32 octets")
    }

    /// The line of a user in the file. None when the password cannot be one. It takes a while: not
    /// for the loop.
    pub fn line(name: &str, password: &str, salt: [u8; SALT]) -> Option<String> {
        let password = super::Secret::new(prepare(password)?);
        let mut stretch = Stretch::new(password.expose(), &salt, DEFAULT_ITERATIONS);
        let salted = stretch.advance(DEFAULT_ITERATIONS)?;
        let keys = Keys::of(&salted, salt.to_vec(), DEFAULT_ITERATIONS);
        let (salt, stored, server) =
            (encode(&keys.salt), encode(&keys.stored), encode(&keys.server));
        Some(format!("{name}:{SCHEME}${DEFAULT_ITERATIONS}:{salt}${stored}:{server}"))
    }
}

/// Whether a name can be a user's. The error says why not.
pub fn check_name(name: &str) -> Result<(), String> {
    let why = if name.is_empty() {
        "a user needs a name"
    } else if name.len() > MAX_NAME {
        "a user's name has at most 255 octets"
    } else if name.contains(|c: char| c == ':' || c.is_whitespace()) || name.starts_with('#') {
        "a user's name contains no colon or blank, and does not begin with #"
    } else if prepare(name).as_deref() != Some(name) {
        "a user's name contains no control or invisible characters"
    } else {
        return Ok(());
    };
    Err(why.into())
}

/// Reads a line.
fn read(line: &str) -> Result<(&str, Keys), String> {
    let (name, keys) = line.split_once(':').ok_or_else(malformed)?;
    check_name(name)?;
    let mut parts = keys.split('$');
    let scheme = parts.next().unwrap_or_default();
    if scheme != SCHEME {
        return Err(format!("'{name}' has no {SCHEME} keys; make its line by `mailflux passwd`"));
    }
    let (Some(info), Some(value), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(malformed());
    };
    let (iterations, salt) = info.split_once(':').ok_or_else(malformed)?;
    let (stored, server) = value.split_once(':').ok_or_else(malformed)?;
    let iterations: u32 = iterations.parse().map_err(|_| malformed())?;
    if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
        return Err(format!(
            "'{name}' has {iterations} rounds, not {MIN_ITERATIONS} to {MAX_ITERATIONS}; make its \
             line by `mailflux passwd`"
        ));
    }
    let salt = decode(salt.as_bytes()).filter(|s| !s.is_empty() && s.len() <= MAX_SALT);
    let key = |text: &str| decode(text.as_bytes()).and_then(|key| key.try_into().ok());
    match (salt, key(stored), key(server)) {
        (Some(salt), Some(stored), Some(server)) => {
            Ok((name, Keys { salt, iterations, stored, server }))
        }
        _ => Err(malformed()),
    }
}

fn malformed() -> String {
    "not a line as `mailflux passwd` prints it".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str) -> String {
        Users::line(name, "pencil", [7; SALT]).unwrap()
    }

    #[test]
    fn what_is_printed_is_read() {
        let text = format!("# users\n\n{}\r\n{} \n", line("ann"), line("ann@example.org"));
        let users = Users::parse(&text).unwrap();
        assert_eq!((users.len(), users.is_empty()), (2, false));
        let keys = users.keys("ann");
        assert_eq!((keys.iterations, &keys.salt[..]), (DEFAULT_ITERATIONS, &[7; SALT][..]));
        let salted = |password: &str| {
            let mut stretch = Stretch::new(password.as_bytes(), &keys.salt, keys.iterations);
            stretch.advance(keys.iterations).unwrap()
        };
        assert!(keys.fit(&salted("pencil")) && !keys.fit(&salted("Pencil")));
        assert!(Users::line("ann", "", [7; SALT]).is_none());
        assert!(Users::parse("").unwrap().is_empty());
    }

    #[test]
    fn errors_have_the_numbers_of_their_lines() {
        let good = line("ann");
        let text = format!(
            "ann\n{good}\nbob:{{PLAIN}}x\n{good}\n:x\n{}\n{}\n{}\n",
            good.replace("10000", "4095").replace("ann", "carl"),
            good.replace("10000", "20001").replace("ann", "dora"),
            good.replace('=', "").replace("ann", "emil"),
        );
        let errors = Users::parse(&text).unwrap_err();
        let lines: Vec<u32> = errors.iter().map(|e| e.0).collect();
        assert_eq!(lines, [1, 3, 4, 5, 6, 7, 8]);
        assert!(errors[2].1.contains("'ann' stands here twice"));
        assert!(errors.iter().all(|e| !e.1.contains("PLAIN}x")));
    }

    #[test]
    fn nobody_looks_like_somebody() {
        let users = Users::parse(&line("ann")).unwrap();
        let (a, b) = (users.keys("nobody"), users.keys("no one"));
        assert_eq!(a, users.keys("nobody"));
        assert!(a.salt != b.salt && a.stored != b.stored && a.server != b.server);
        let ann = users.keys("ann");
        assert_eq!((a.salt.len(), a.iterations), (ann.salt.len(), ann.iterations));
        // A server with other users makes up other salts.
        let other = Users::parse(&line("ann").replace("10000", "9999")).unwrap();
        assert_eq!(other.keys("nobody").iterations, 9999);
        let other = Users::line("ann", "other", [8; SALT]).unwrap();
        assert_ne!(Users::parse(&other).unwrap().keys("nobody").salt, a.salt);
    }

    #[test]
    fn names_that_cannot_be() {
        for name in ["ann", "ann@example.org", "grün", "a,b=c", "x#"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "a b", "a:b", "#a", "a\u{a0}", "a\t", "a\u{7}", "a\u{ad}b", "\u{202e}a"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name(&"x".repeat(256)).is_err());
    }

    #[test]
    fn no_file_makes_it_panic() {
        let mut rng = fastrand::Rng::with_seed(7);
        let good = line("ann");
        for _ in 0..20_000 {
            let mut text: Vec<u8> = good.clone().into_bytes();
            for _ in 0..rng.usize(1..6) {
                let at = rng.usize(0..text.len());
                match rng.u8(0..3) {
                    0 => text[at] = *rng.choice(b":$=\n #a\xff").unwrap(),
                    1 => text.truncate(at + 1),
                    _ => text.insert(at, rng.u8(..)),
                }
            }
            let _ = Users::parse(&String::from_utf8_lossy(&text));
        }
    }
}
