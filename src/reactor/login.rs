//! What AUTH needs of the world: keys of users, randomness, patience, and time to compute.
//!
//! A password is checked by thousands of rounds of HMAC. All logins share so many of them in one
//! tick, whoever came first has them first, and the loop goes on between: a flood of logins slows
//! logins, and nothing else.

use std::net::IpAddr;

use super::accept::client_key;
use super::core::Core;
use super::inbound::{Inbound, Stop, line};
use crate::auth::{self, Failures, Penalty};
use crate::base::{Now, Time};
use crate::journal::{Side, What};
use crate::smtp::server::{Action, Context};
use crate::spool::Disk;

/// Rounds of one tick, for all logins of both legs: about a millisecond.
const ROUNDS: u32 = 4096;
/// Rounds that one session does at once.
const SLICE: u32 = 1024;

/// What all logins share.
#[derive(Default)]
pub struct Logins {
    failures: Failures,
    rounds: u32,
}

impl Logins {
    /// A tick begins.
    pub fn refill(&mut self) {
        self.rounds = ROUNDS;
    }

    /// Takes rounds for one session; none when those of this tick are used up.
    pub fn take_rounds(&mut self) -> Option<u32> {
        let slice = self.rounds.min(SLICE);
        self.rounds -= slice;
        (slice > 0).then_some(slice)
    }

    /// Whether this client has failed too often to try again now.
    pub fn is_barred(&self, client: IpAddr, now: Time) -> bool {
        self.failures.is_barred(client_key(client), now)
    }

    fn failed(&mut self, client: IpAddr, now: Time) -> Penalty {
        self.failures.failed(client_key(client), now)
    }
}

impl<S, F> Inbound<S, F> {
    /// Does what the machine wants while a client logs in.
    pub(super) fn log_in<D: Disk<File = F>>(
        &mut self,
        core: &mut Core<D>,
        now: Now,
        action: Action,
    ) -> Option<Stop> {
        match action {
            Action::Challenge(reply) => {
                reply.write_to(self.link.output.tail());
                self.narrate(core, now, line(Side::Server, self.session.is_tls(), b"334 ***"));
            }
            Action::Keys(user) => {
                let keys = core.config.auth.users.keys(&user);
                let nonce = auth::nonce(auth::random());
                let cx = Context { config: core.session_config(self.role), now };
                self.session.keys(keys, &nonce, &cx);
            }
            Action::Work => match core.logins.take_rounds() {
                Some(rounds) => {
                    let cx = Context { config: core.session_config(self.role), now };
                    self.session.work(rounds, &cx);
                }
                None => return Some(Stop::Busy),
            },
            Action::LoggedIn(mechanism) => {
                let user = self.session.user().unwrap_or_default();
                let remark = format!("logged in as {user} ({})", mechanism.name());
                self.narrate(core, now, What::Remark(&remark));
            }
            Action::LoginFailed(mechanism) => {
                let penalty = core.logins.failed(self.peer.ip(), now.time);
                let slow = if penalty == Penalty::None { "" } else { "; too many of them" };
                // Not as whom: people type their password where the name should be.
                let remark = format!("login failed ({}){slow}", mechanism.name());
                self.narrate(core, now, What::Remark(&remark));
                let cx = Context { config: core.session_config(self.role), now };
                self.session.penalty(penalty, &cx);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_has_so_many_rounds_and_no_more() {
        let mut logins = Logins::default();
        assert_eq!(logins.take_rounds(), None);
        logins.refill();
        let all: u32 = std::iter::from_fn(|| logins.take_rounds()).sum();
        assert_eq!(all, ROUNDS);
        assert_eq!(logins.take_rounds(), None);
    }
}
