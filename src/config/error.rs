//! What is wrong with the configuration, and where.

use std::path::Path;

use crate::base::Printable;

/// Where a wrong setting stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// In this line of the file, from 1.
    Line(u32),
    /// In the environment or on the command line, written so: `--set server.prot=1`.
    Given(String),
    /// Nowhere: something is missing.
    Nowhere,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// What, and what to do.
    pub message: String,
}

impl ConfigError {
    /// An error at a place.
    pub fn new(place: Place, message: impl Into<String>) -> ConfigError {
        ConfigError { place, message: message.into() }
    }

    /// One line for people: `mailflux.ini:12: unknown key 'prot' in [next_server]; …`. Whatever
    /// the file or the command line contained is made visible.
    pub fn line(&self, file: Option<&Path>) -> Printable {
        let file = file.map(|f| f.display().to_string()).unwrap_or_default();
        Printable::new(match &self.place {
            Place::Line(line) => format!("{file}:{line}: {}", self.message),
            Place::Given(what) => format!("{what}: {}", self.message),
            Place::Nowhere if file.is_empty() => self.message.clone(),
            Place::Nowhere => format!("{file}: {}", self.message),
        })
    }
}
