//! Secrets: octets that no log, answer or debugger's print shows, and that are wiped when they are
//! needed no more, so that they are not found later in a core file or in memory used again.

use std::fmt;

use crate::sys;

/// A password, a token, or a key.
#[derive(Clone, Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes octets over. They are not copied; what made them must not have left copies either.
    pub fn new(octets: impl Into<Vec<u8>>) -> Secret {
        Secret(octets.into())
    }

    /// The octets, for who must have them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        sys::wipe(&mut self.0);
    }
}

impl PartialEq for Secret {
    /// Only for settings that may have changed, never for checking a password.
    fn eq(&self, other: &Secret) -> bool {
        self.0 == other.0
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "*** Some(\n    ***,\n)");
        assert_eq!(secret.expose(), b"hunter2");
        assert!(secret == secret.clone() && secret != Secret::default());
    }
}
