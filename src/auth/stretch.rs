//! PBKDF2 in slices (RFC 8018 section 5.2, as `Hi` in RFC 5802 section 2.2).
//!
//! A stretch is slow so that guessing is slow. On one thread it must not make others wait: it is
//! advanced by so many rounds at a time, and the loop goes round between.

use std::fmt;

use ring::hmac;

use crate::sys;

/// A password on its way to a key of 32 octets.
#[derive(Clone)]
pub struct Stretch {
    password: hmac::Key,
    last: [u8; 32],
    sum: [u8; 32],
    left: u32,
}

impl Stretch {
    /// Begins; the first of the rounds is done here, so there is always one.
    pub fn new(password: &[u8], salt: &[u8], iterations: u32) -> Stretch {
        let password = hmac::Key::new(hmac::HMAC_SHA256, password);
        let mut first = hmac::Context::with_key(&password);
        first.update(salt);
        // The first block of output is the only one that SHA-256 needs.
        first.update(&1u32.to_be_bytes());
        let first = octets(&first.sign());
        Stretch { password, last: first, sum: first, left: iterations.saturating_sub(1) }
    }

    /// Does up to so many rounds; the key, when they were the last.
    pub fn advance(&mut self, rounds: u32) -> Option<[u8; 32]> {
        for _ in 0..rounds.min(self.left) {
            self.last = octets(&hmac::sign(&self.password, &self.last));
            for (sum, last) in self.sum.iter_mut().zip(self.last) {
                *sum ^= last;
            }
        }
        self.left -= rounds.min(self.left);
        (self.left == 0).then_some(self.sum)
    }
}

fn octets(tag: &hmac::Tag) -> [u8; 32] {
    tag.as_ref().try_into().expect("SHA-256 has 32 octets")
}

impl Drop for Stretch {
    fn drop(&mut self) {
        sys::wipe(&mut self.last);
        sys::wipe(&mut self.sum);
    }
}

impl fmt::Debug for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stretch({} rounds left)", self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::pbkdf2;
    use std::num::NonZeroU32;

    /// In whatever slices, it is what ring makes of it at once.
    #[test]
    fn slices_make_the_same_key() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..64 {
            let mut random = |most| -> Vec<u8> { (0..rng.usize(0..most)).map(|_| 7).collect() };
            let (mut password, mut salt) = (random(200), random(64));
            rng.fill(&mut password);
            rng.fill(&mut salt);
            let iterations = rng.u32(1..300);
            let mut expected = [0; 32];
            let count = NonZeroU32::new(iterations).unwrap();
            let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
            pbkdf2::derive(algorithm, count, &salt, &password, &mut expected);
            let mut stretch = Stretch::new(&password, &salt, iterations);
            let key = loop {
                if let Some(key) = stretch.advance(rng.u32(0..50)) {
                    break key;
                }
            };
            assert_eq!(key, expected);
        }
    }
}
