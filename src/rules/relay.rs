//! The relay rule: never an open relay.
//!
//! A recipient is taken when the first of these holds:
//!
//! | holds | why |
//! | --- | --- |
//! | the client authenticated | submission, RFC 6409 |
//! | the client is in `server.relay_from` | one of ours |
//! | the recipient is `postmaster`, bare or at our hostname | RFC 5321 section 4.5.1: from anyone |
//! | its domain fits `server.relay_to`, and its local part carries no route | mail for us |
//!
//! What stands after the last unquoted `@` is the domain, and it alone is compared: a source route
//! (`@ours:joe@theirs`) was dropped by the parser, as RFC 5321 appendix C says, so `theirs` counts.
//! An address literal fits no domain pattern.
//!
//! A *local part* may hide a route for the next server to follow: `joe%theirs@ours`,
//! `theirs!joe@ours`, `"joe@theirs"@ours`. For a server of our own these are just names (RFC 5321
//! section 2.3.11), but the next server behind us trusts us as a relay, and if it still knows the
//! percent hack a stranger would send anywhere through the two. So from strangers such names are
//! refused even for our domains; our own clients may use them.

use std::net::IpAddr;

use crate::base::{Address, Domain, DomainPattern, Enhanced, IpNet, Reply};
use crate::smtp::{Facts, Stage, Verdict};

/// Who may send where.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Relay {
    hostname: String,
    from: Vec<IpNet>,
    to: Vec<DomainPattern>,
}

/// What the rule says of a recipient, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ruling<'a> {
    /// Taken: the client authenticated.
    User,
    /// Taken: the client is in this network.
    Network(&'a IpNet),
    /// Taken: everyone may write to the postmaster.
    Postmaster,
    /// Taken: the domain is one of ours.
    Domain(&'a DomainPattern),
    /// Refused: neither client nor domain is ours.
    Denied,
    /// Refused: the domain is ours, but the local part names a route beyond it.
    Routed(&'a DomainPattern),
}

impl Relay {
    /// The rule of `server.relay_from` and `server.relay_to`, on the server of this name.
    pub fn new(hostname: &str, from: &[IpNet], to: &[DomainPattern]) -> Relay {
        Relay { hostname: hostname.into(), from: from.to_vec(), to: to.to_vec() }
    }

    /// Decides at RCPT; lets everything else pass.
    pub fn decide(&self, stage: Stage, facts: &Facts<'_>) -> Verdict {
        let Some(rcpt) = facts.rcpt.filter(|_| stage == Stage::Rcpt) else {
            return Verdict::Accept;
        };
        let ruling = self.rule(facts.client, facts.user.is_some(), rcpt);
        ruling.refusal().map_or(Verdict::Accept, Verdict::Refuse)
    }

    /// Whether a client is one of ours by its address.
    pub fn is_ours(&self, client: IpAddr) -> bool {
        self.from.iter().any(|net| net.contains(client))
    }

    /// Whether a client may send to a recipient, and why.
    pub fn rule(&self, client: IpAddr, authenticated: bool, rcpt: &Address) -> Ruling<'_> {
        if authenticated {
            return Ruling::User;
        }
        if let Some(net) = self.from.iter().find(|net| net.contains(client)) {
            return Ruling::Network(net);
        }
        let Some(domain) = rcpt.domain() else { return Ruling::Postmaster };
        let own = matches!(domain, Domain::Name(name) if name.eq_ignore_ascii_case(&self.hostname));
        if own && rcpt.local_part().eq_ignore_ascii_case("postmaster") {
            return Ruling::Postmaster;
        }
        match self.to.iter().find(|pattern| pattern.matches(domain)) {
            Some(pattern) if rcpt.local_part().contains(['%', '!', '@']) => Ruling::Routed(pattern),
            Some(pattern) => Ruling::Domain(pattern),
            None => Ruling::Denied,
        }
    }
}

impl Ruling<'_> {
    /// What to tell the client; none when the recipient is taken.
    pub fn refusal(&self) -> Option<Reply> {
        match self {
            Ruling::Denied => Some(Reply::fixed(550, Enhanced(5, 7, 1), "Relaying denied")),
            Ruling::Routed(_) => Some(Reply::fixed(
                550,
                Enhanced(5, 7, 1),
                "Relaying denied: the local part names a route",
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay() -> Relay {
        let from = ["127.0.0.0/8", "::1"].map(|net| net.parse().unwrap());
        let to = ["ours.example", ".ours.example"].map(|domain| domain.parse().unwrap());
        Relay::new("here.example", &from, &to)
    }

    const STRANGER: &str = "192.0.2.7";

    fn taken(client: &str, rcpt: &str) -> bool {
        let rcpt = Address::parse(rcpt).unwrap();
        let facts = Facts {
            client: client.parse().unwrap(),
            helo: None,
            from: None,
            rcpt: Some(&rcpt),
            recipients: 0,
            size: 0,
            tls: false,
            user: None,
        };
        assert_eq!(relay().decide(Stage::Mail, &facts), Verdict::Accept);
        relay().decide(Stage::Rcpt, &facts) == Verdict::Accept
    }

    #[test]
    fn strangers_reach_only_our_domains() {
        for rcpt in
            ["joe@ours.example", "joe@OURS.Example", "joe@a.b.ours.example", "\"a b\"@ours.example"]
        {
            assert!(taken(STRANGER, rcpt), "{rcpt}");
        }
        for rcpt in [
            "joe@theirs.example",
            "joe@ours.example.theirs.example",
            "joe@notours.example",
            "joe@[192.0.2.1]",
            "joe@[127.0.0.1]",
            "joe@[IPv6:::1]",
            "postmaster@theirs.example",
        ] {
            assert!(!taken(STRANGER, rcpt), "{rcpt}");
        }
    }

    #[test]
    fn a_route_in_the_local_part_opens_nothing() {
        for rcpt in [
            "joe%theirs.example@ours.example",
            "theirs.example!joe@ours.example",
            "\"joe@theirs.example\"@ours.example",
            "\"joe%theirs.example\"@ours.example",
            "\"joe\\@theirs.example\"@ours.example",
            "joe%ours.example@theirs.example",
            "\"joe@ours.example\"@theirs.example",
        ] {
            assert!(!taken(STRANGER, rcpt), "{rcpt}");
            assert!(taken("127.0.0.1", rcpt), "ours may: {rcpt}");
        }
    }

    #[test]
    fn our_clients_reach_everyone() {
        for client in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(taken(client, "joe@theirs.example"), "{client}");
        }
        for client in ["128.0.0.1", "::2", "::ffff:192.0.2.7", "::127.0.0.1"] {
            assert!(!taken(client, "joe@theirs.example"), "{client}");
        }
        let rcpt = Address::parse("joe@theirs.example").unwrap();
        let relay = relay();
        assert_eq!(relay.rule(STRANGER.parse().unwrap(), true, &rcpt), Ruling::User);
        assert_eq!(
            relay.rule("::1".parse().unwrap(), false, &rcpt),
            Ruling::Network(&relay.from[1])
        );
    }

    #[test]
    fn everyone_reaches_the_postmaster_and_an_empty_rule_nobody_else() {
        for rcpt in ["postmaster", "PostMaster", "Postmaster@Here.example"] {
            assert!(taken(STRANGER, rcpt), "{rcpt}");
        }
        for rcpt in ["root@here.example", "postmaster@not.here.example", "postmaster@x.example"] {
            assert!(!taken(STRANGER, rcpt), "{rcpt}");
        }
        let rcpt = Address::parse("joe@ours.example").unwrap();
        let nobody = Relay::default();
        let denied = nobody.rule("127.0.0.1".parse().unwrap(), false, &rcpt);
        let reply = denied.refusal().unwrap();
        assert_eq!(
            (denied, reply.code, reply.enhanced),
            (Ruling::Denied, 550, Some(Enhanced(5, 7, 1)))
        );
    }
}
