//! Routes: which next servers a recipient's mail goes to.
//!
//! A rule names recipients by their domain (`example.org`, or `.example.org` for its subdomains),
//! or mail by its sender (`from:ann@example.org`), or all others (`*`). Rules are tried in the
//! order in which they are written, and **the first that fits decides**, be it about sender or
//! recipient: whoever wants all of Ann's mail to go one way writes her rule first. Only `*` is last
//! wherever it stands, since all others are others.
//!
//! Domains are compared without regard to case. So is the whole of a sender: its local part belongs
//! to another system (RFC 5321 section 2.4), but no two senders on earth differ in case alone. An
//! address literal and a bare `postmaster` have no domain that a rule could name.
//!
//! A rule may name several next servers. Mail goes to the first of them that takes mail; when that
//! cannot be reached or does not want us, what waits goes to the next one, and back when the first
//! is there again. When none takes mail it waits for the first.

use super::ServerId;
use crate::base::{Address, DomainPattern};

/// Which mail takes a route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Mail to these domains.
    Domain(DomainPattern),
    /// Mail from this sender.
    Sender(Address),
    /// All other mail.
    All,
}

/// Servers that share the mail of a route, each with its weight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group(pub Vec<(ServerId, u32)>);

impl From<ServerId> for Group {
    fn from(server: ServerId) -> Group {
        Group(vec![(server, 1)])
    }
}

/// The table of routes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Routes {
    /// `*` last.
    rules: Vec<(Rule, Vec<Group>)>,
    otherwise: Vec<Group>,
}

impl Routes {
    /// Rules in the order of the configuration, each with its next servers in the order in which
    /// they are to be tried; mail that no rule fits goes `otherwise`.
    pub fn new(mut rules: Vec<(Rule, Vec<Group>)>, otherwise: Vec<Group>) -> Routes {
        rules.sort_by_key(|(rule, _)| *rule == Rule::All);
        Routes { rules, otherwise }
    }

    /// The next servers for mail from `from` (none is `<>`) to `rcpt`, the first to be tried first.
    /// Empty when there is no way.
    pub fn route(&self, from: Option<&Address>, rcpt: &Address) -> &[Group] {
        let fits = |rule: &Rule| match rule {
            Rule::Domain(pattern) => rcpt.domain().is_some_and(|domain| pattern.matches(domain)),
            Rule::Sender(sender) => {
                from.is_some_and(|from| from.as_str().eq_ignore_ascii_case(sender.as_str()))
            }
            Rule::All => true,
        };
        let found = self.rules.iter().find(|(rule, _)| fits(rule));
        found.map_or(&self.otherwise, |(_, servers)| servers)
    }

    /// Whether any mail has more than one way.
    pub fn have_choices(&self) -> bool {
        let servers = |route: &Vec<Group>| route.iter().map(|group| group.0.len()).sum::<usize>();
        self.rules.iter().any(|(_, route)| servers(route) > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    /// The rules in file order; the server of each is its position.
    fn routes(rules: &[&str]) -> Routes {
        let rule = |text: &&str| match text.strip_prefix("from:") {
            _ if *text == "*" => Rule::All,
            Some(sender) => Rule::Sender(address(sender)),
            None => Rule::Domain(text.parse().unwrap()),
        };
        let rules =
            rules.iter().enumerate().map(|(n, r)| (rule(r), vec![ServerId(n as u16).into()]));
        Routes::new(rules.collect(), vec![ServerId(99).into()])
    }

    #[track_caller]
    fn check(rules: &[&str], from: &str, rcpt: &str, expected: u16) {
        let from = (!from.is_empty()).then(|| address(from));
        let routes = routes(rules);
        assert_eq!(routes.route(from.as_ref(), &address(rcpt)), [ServerId(expected).into()]);
    }

    #[test]
    fn domains_and_subdomains() {
        let rules = ["example.org", ".example.org", "*"];
        check(&rules, "", "a@Example.ORG", 0);
        check(&rules, "", "a@sub.EXAMPLE.org", 1);
        check(&rules, "", "a@x.y.example.org", 1);
        check(&rules, "", "a@badexample.org", 2);
        check(&rules, "", "a@example.org.evil", 2);
        check(&rules, "", "postmaster", 2);
        check(&rules, "", "a@[192.0.2.1]", 2);
        check(&["example.org"], "", "a@example.com", 99);
        check(&[], "", "a@example.com", 99);
    }

    #[test]
    fn senders() {
        let rules = ["from:ann@example.org", "*"];
        check(&rules, "ann@example.org", "a@x", 0);
        check(&rules, "Ann@Example.org", "a@x", 0);
        check(&rules, "bann@example.org", "a@x", 1);
        check(&rules, "", "ann@example.org", 1);
    }

    #[test]
    fn the_first_that_fits_decides_and_all_others_are_last() {
        let (ann, bob) = ("ann@example.org", "bob@example.org");
        check(&["x.org", "from:ann@example.org"], ann, "a@x.org", 0);
        check(&["from:ann@example.org", "x.org"], ann, "a@x.org", 0);
        check(&["from:ann@example.org", "x.org"], bob, "a@x.org", 1);
        check(&["*", "x.org"], bob, "a@x.org", 1);
        check(&["*", "x.org"], bob, "a@y.org", 0);
        check(&["a.org", "a.org"], bob, "a@a.org", 0);
    }

    #[test]
    fn all_servers_of_a_rule_in_their_order() {
        let list: Vec<Group> = vec![ServerId(4).into(), ServerId(2).into()];
        let routes = Routes::new(vec![(Rule::All, list.clone())], vec![]);
        assert_eq!(routes.route(None, &address("a@b")), list);
        assert!(routes.have_choices() && !self::routes(&["*"]).have_choices());
        assert!(Routes::new(vec![], vec![]).route(None, &address("a@b")).is_empty());
    }
}
