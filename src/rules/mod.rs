//! Rules that hang on the gate.

use crate::base::{DomainPattern, Enhanced, IpNet, Reply};
use crate::smtp::{Facts, Stage, Verdict};

/// Who may send where.
#[derive(Clone, Debug)]
pub struct Relay {
    from: Vec<IpNet>,
    to: Vec<DomainPattern>,
}

impl Relay {
    /// The rule of `server.relay_from` and `server.relay_to`.
    pub fn new(from: &[IpNet], to: &[DomainPattern]) -> Relay {
        Relay { from: from.to_vec(), to: to.to_vec() }
    }

    /// Decides at RCPT; lets everything else pass.
    pub fn decide(&self, stage: Stage, facts: &Facts<'_>) -> Verdict {
        let Some(rcpt) = facts.rcpt.filter(|_| stage == Stage::Rcpt) else {
            return Verdict::Accept;
        };
        let may = match rcpt.domain() {
            None => true,
            Some(domain) => self.to.iter().any(|p| p.matches(domain)),
        };
        if may || self.from.iter().any(|net| net.contains(facts.client)) {
            return Verdict::Accept;
        }
        Verdict::Refuse(Reply::fixed(550, Enhanced(5, 7, 1), "Relaying denied"))
    }
}
