//! The built program over real sockets of loopback: with the programs that people send mail with,
//! with hostile next servers, at its limits, and killed under load.
//!
//! Every test starts a server of its own, in a folder of its own, on ports of its own.

mod activation;
mod balancer;
mod certs;
mod client;
mod console;
mod control;
mod cost;
mod crash;
mod debug;
mod dialogs;
mod explain;
mod export;
mod faults;
mod filters;
mod forward;
mod history;
mod hostile;
mod limits;
mod logins;
mod loss;
mod names;
mod next;
mod next_auth;
mod next_tls;
mod probe;
mod pty;
mod python;
mod questions;
mod real;
mod relays;
mod report;
mod server;
mod settings;
mod start;
mod tls;
mod torture;
mod tour;
mod tutor;
mod user;
mod vanish;
mod ways;

use std::time::{Duration, Instant};

/// Whatever is awaited happens at once on any machine; this bounds the wait when it does not.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until there is an answer; panics with `what` when there is none in time.
fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        pause();
    }
}

/// A breath between two looks at the world.
#[expect(clippy::disallowed_methods, reason = "this thread has nothing else to do")]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}
