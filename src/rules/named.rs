//! A list of rules that have names: given ones, or a letter and a number.

use crate::base::{Printable, nearest};

/// Characters of a name.
const MAX_NAME: usize = 64;

/// Rules in the order in which they were added; bounded.
#[derive(Clone, Debug)]
pub struct Named<T> {
    /// What one of them is called, for people.
    what: &'static str,
    /// Before the number of one without a name of its own.
    letter: char,
    /// How many there may be.
    most: usize,
    /// The last number that was given.
    last: u64,
    all: Vec<(Box<str>, T)>,
}

impl<T> Named<T> {
    /// An empty list.
    pub const fn new(what: &'static str, letter: char, most: usize) -> Named<T> {
        Named { what, letter, most, last: 0, all: Vec::new() }
    }

    /// Adds one; says its name. The error says what is wrong with the name, or that there are too
    /// many.
    pub fn insert(&mut self, name: Option<&str>, rule: T) -> Result<String, String> {
        if self.all.len() >= self.most {
            let (most, what) = (self.most, self.what);
            return Err(format!("there are {most} {what}s already; delete some first"));
        }
        let name = match name {
            Some(name) => self.checked(name)?,
            None => self.next_name(),
        };
        self.all.push((name.as_str().into(), rule));
        Ok(name)
    }

    fn checked(&self, name: &str) -> Result<String, String> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let shown = Printable::bounded(name, 80);
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(word) || name == "all" {
            return Err(format!("'{shown}' is not a name; use letters, digits, - and _"));
        }
        match self.get(name) {
            Some(_) => Err(format!("there is a {} named '{shown}' already", self.what)),
            None => Ok(name.to_owned()),
        }
    }

    /// A number is never given twice, so that a name in a transcript stays unambiguous.
    fn next_name(&mut self) -> String {
        loop {
            self.last += 1;
            let name = format!("{}{}", self.letter, self.last);
            if self.get(&name).is_none() {
                return name;
            }
        }
    }

    /// Removes one, or with `all` every one; says which.
    pub fn remove(&mut self, name: &str) -> Result<Vec<String>, String> {
        if name == "all" {
            return Ok(self.all.drain(..).map(|(name, _)| name.into()).collect());
        }
        match self.all.iter().position(|(known, _)| **known == *name) {
            Some(at) => Ok(vec![self.all.remove(at).0.into()]),
            None => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> String {
        let names = || self.all.iter().map(|(name, _)| &**name);
        let hint = match (nearest(name, names()), self.all.is_empty()) {
            (Some(near), _) => format!("did you mean '{near}'?"),
            (None, true) => "there is none".to_owned(),
            (None, false) => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
        };
        format!("no {} is named '{}'; {hint}", self.what, Printable::bounded(name, 80))
    }

    /// Keeps those for which this holds.
    pub fn retain(&mut self, keep: impl Fn(&str, &T) -> bool) {
        self.all.retain(|(name, rule)| keep(name, rule));
    }

    /// The one with this name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.all.iter().find(|(known, _)| **known == *name).map(|(_, rule)| rule)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.all.iter().map(|(name, rule)| (&**name, rule))
    }

    /// All of them, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut T)> {
        self.all.iter_mut().map(|(name, rule)| (&**name, rule))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_once_and_numbers_never_again() {
        let mut list = Named::new("breakpoint", 'b', 4);
        assert_eq!(list.insert(None, 1).unwrap(), "b1");
        assert_eq!(list.insert(Some("b2"), 2).unwrap(), "b2");
        assert_eq!(list.insert(None, 3).unwrap(), "b3");
        assert_eq!(list.remove("b3").unwrap(), ["b3"]);
        assert_eq!(list.insert(None, 4).unwrap(), "b4");
        for (name, words) in [
            ("b2", "already"),
            ("", "is not a name"),
            ("all", "is not a name"),
            ("a b", "is not a name"),
            ("ü", "is not a name"),
        ] {
            assert!(list.insert(Some(name), 9).unwrap_err().contains(words), "{name}");
        }
        list.insert(Some("last"), 5).unwrap();
        assert!(list.insert(None, 6).unwrap_err().starts_with("there are 4 breakpoints already"));
        assert!(list.remove("b22").unwrap_err().contains("did you mean 'b2'?"));
        assert_eq!(list.remove("all").unwrap(), ["b1", "b2", "b4", "last"]);
        assert_eq!(list.remove("all").unwrap(), [""; 0]);
        assert!(list.remove("b1").unwrap_err().contains("there is none"));
    }
}
