//! Aliases: other names for mailboxes (RFC 5321 section 3.9.1), written as
//! `root = me@example.org, you@example.org`.
//!
//! A name without `@` stands for that mailbox on this server: `root` of this server's own name,
//! and a bare `postmaster`. A whole address stands for itself wherever it is. Aliases may lead to
//! aliases. An address that leads back to itself is not followed again but delivered to, so a
//! circle is no loop, and `ann = ann@here, copy@there` keeps a copy.

use std::collections::{HashMap, HashSet};

use crate::base::{Address, Domain, Recipient};

/// Addresses that one recipient may become; beyond, the first ones count.
const MAX_TARGETS: usize = 100;
/// Aliases that are followed one after the other.
const MAX_DEPTH: usize = 10;
/// Aliases that are followed in all, for one recipient.
const MAX_STEPS: usize = 1000;

/// The table of aliases.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Aliases {
    hostname: String,
    /// By name or address in lower case.
    table: HashMap<String, Vec<Address>>,
}

impl Aliases {
    /// Names with their targets; `hostname` is what this server's own mailboxes end with.
    pub fn new(
        entries: impl IntoIterator<Item = (String, Vec<Address>)>,
        hostname: &str,
    ) -> Aliases {
        let lower = |(name, targets): (String, Vec<Address>)| (name.to_lowercase(), targets);
        Aliases {
            hostname: hostname.to_lowercase(),
            table: entries.into_iter().map(lower).collect(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn targets(&self, address: &Address) -> Option<&[Address]> {
        let whole = address.as_str().to_lowercase();
        let local = || address.local_part().to_lowercase();
        let own = match address.domain() {
            None => true,
            Some(Domain::Name(name)) => name.eq_ignore_ascii_case(&self.hostname),
            Some(Domain::Literal(_)) => false,
        };
        let found = self.table.get(&whole).or_else(|| self.table.get(&local()).filter(|_| own));
        found.map(Vec::as_slice)
    }

    /// What an address stands for; itself when it is no alias. Never empty.
    pub fn expand(&self, address: &Address) -> Vec<Address> {
        let (mut ends, mut steps) = (Vec::new(), MAX_STEPS);
        self.follow(address, &mut Vec::new(), &mut ends, &mut steps);
        ends.truncate(MAX_TARGETS);
        ends
    }

    /// Follows one address; `path` are those that led to it.
    fn follow(
        &self,
        address: &Address,
        path: &mut Vec<String>,
        ends: &mut Vec<Address>,
        steps: &mut usize,
    ) {
        let name = address.as_str().to_lowercase();
        let is_way = *steps > 0 && path.len() < MAX_DEPTH && !path.contains(&name);
        *steps = steps.saturating_sub(1);
        match self.targets(address).filter(|_| is_way) {
            Some(targets) => {
                path.push(name);
                targets.iter().for_each(|target| self.follow(target, path, ends, steps));
                path.pop();
            }
            None if !ends.contains(address) && ends.len() < MAX_TARGETS => {
                ends.push(address.clone());
            }
            None => {}
        }
    }

    /// The recipients of a message, each address once. What the sender asked for goes along; who
    /// is behind an alias is told for whom it came (RFC 3461 section 5.2.7).
    pub fn apply(&self, recipients: &[Recipient]) -> Vec<Recipient> {
        let mut all: Vec<Recipient> = Vec::with_capacity(recipients.len());
        let mut seen: HashSet<Address> = HashSet::new();
        for recipient in recipients {
            for address in self.expand(&recipient.address) {
                if seen.insert(address.clone()) {
                    all.push(Recipient { address, ..recipient.clone() });
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn aliases(table: &[(&str, &str)]) -> Aliases {
        let entries = table
            .iter()
            .map(|(name, targets)| (name.to_string(), targets.split(", ").map(address).collect()));
        Aliases::new(entries, "Here.example")
    }

    #[track_caller]
    fn check(table: &[(&str, &str)], from: &str, expected: &[&str]) {
        let found = aliases(table).expand(&address(from));
        assert_eq!(found.iter().map(Address::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn names_of_this_server_and_whole_addresses() {
        let table = [("Root", "me@x.org"), ("ann@y.org", "bob@y.org"), ("postmaster", "root")];
        let table = [table[0], table[1], ("postmaster", "root@here.example")];
        check(&table, "root@HERE.example", &["me@x.org"]);
        check(&table, "root@elsewhere.example", &["root@elsewhere.example"]);
        check(&table, "Ann@Y.org", &["bob@y.org"]);
        check(&table, "ann@here.example", &["ann@here.example"]);
        check(&table, "Postmaster", &["me@x.org"]);
        check(&table, "root@[192.0.2.1]", &["root@[192.0.2.1]"]);
    }

    #[test]
    fn lists_and_circles() {
        check(
            &[("all", "a@x, b@x, all@here.example")],
            "all@here.example",
            &["a@x", "b@x", "all@here.example"],
        );
        check(&[("a@x", "b@x"), ("b@x", "a@x")], "a@x", &["a@x"]);
        check(&[("a@x", "a@x")], "a@x", &["a@x"]);
        check(&[("a@x", "c@x, c@x"), ("c@x", "d@x")], "a@x", &["d@x"]);
    }

    #[test]
    fn expansion_is_bounded() {
        let name = |n: usize| format!("n{n}@x");
        let wide: Vec<Address> = (0..1000).map(|n| address(&name(n))).collect();
        let deep = (0..50).map(|n| (name(n), vec![address(&name(n + 1))]));
        let table = deep.chain([("wide@x".to_owned(), wide)]);
        let aliases = Aliases::new(table, "here");
        assert_eq!(aliases.expand(&address("n0@x")).len(), 1);
        assert!(aliases.expand(&address("wide@x")).len() <= MAX_TARGETS);
    }

    #[test]
    fn each_recipient_once() {
        let aliases = aliases(&[("all", "a@x, b@x")]);
        let all: Vec<Recipient> =
            ["all@here.example", "b@x", "c@x"].iter().map(|a| Recipient::new(address(a))).collect();
        let applied = aliases.apply(&all);
        let names: Vec<&str> = applied.iter().map(|r| r.address.as_str()).collect();
        assert_eq!(names, ["a@x", "b@x", "c@x"]);
    }
}
