//! Why nobody could say: the environment's faults. None of them says anything about the name, so
//! none of them ever makes a message bounce.

use std::fmt;
use std::net::SocketAddr;

/// Why a question has no answer for now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// No answer in time; the last server that was asked.
    TimedOut(SocketAddr),
    /// A server says that it cannot: SERVFAIL, REFUSED and their like, by number.
    Refused(SocketAddr, u8),
    /// A server cannot be reached, and why.
    Unreachable(SocketAddr, String),
    /// An answer that is none.
    Malformed(SocketAddr),
    /// Names that lead to each other in a circle, or on and on.
    Circle,
    /// There is nobody to ask.
    NoServer,
}

/// The registered name of an RCODE that a resolver may answer with.
fn rcode_name(rcode: u8) -> String {
    match rcode {
        1 => "FORMERR".into(),
        2 => "SERVFAIL".into(),
        4 => "NOTIMP".into(),
        5 => "REFUSED".into(),
        other => format!("error {other}"),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::TimedOut(server) => write!(f, "no answer from the DNS server {server}"),
            Fault::Refused(server, rcode) => {
                write!(f, "the DNS server {server} says {}", rcode_name(*rcode))
            }
            Fault::Unreachable(server, why) => {
                write!(f, "cannot reach the DNS server {server}: {why}")
            }
            Fault::Malformed(server) => {
                write!(f, "the DNS server {server} sends what is no answer")
            }
            Fault::Circle => f.write_str("its aliases (CNAME) lead in a circle"),
            Fault::NoServer => f.write_str("no DNS server is configured"),
        }
    }
}
