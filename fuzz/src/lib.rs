//! What is fuzzed: for each door through which octets come from outside, a function that takes any
//! octets and panics when a promise is broken.
//!
//! `targets/` makes a libFuzzer program of each. `tests/fuzz.rs` runs the same functions over the
//! kept corpora and over changes of them, so that what was once found stays found without a
//! fuzzer.

mod conversation;
mod parsers;
mod rules;
mod stored;

pub use conversation::{bdat_codec, client_session, dot_codec, server_session};
pub use parsers::{address, dns_answer, keys, printable, proxy_header, reply};
pub use rules::{configuration, control, expression, message};
pub use stored::recovery;

/// Takes any octets; panics when a promise is broken.
pub type Target = fn(&[u8]);

/// All of them, by the names of their folders in `corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("server_session", server_session),
    ("client_session", client_session),
    ("dot_codec", dot_codec),
    ("bdat_codec", bdat_codec),
    ("address", address),
    ("reply", reply),
    ("proxy_header", proxy_header),
    ("dns_answer", dns_answer),
    ("keys", keys),
    ("printable", printable),
    ("expression", expression),
    ("configuration", configuration),
    ("control", control),
    ("message", message),
    ("recovery", recovery),
];

/// Cuts octets into pieces whose lengths follow from a seed; none is empty.
fn pieces(octets: &[u8], seed: u64) -> Vec<&[u8]> {
    let (mut rest, mut seed, mut pieces) = (octets, seed | 1, Vec::new());
    while !rest.is_empty() {
        // xorshift: any spread will do, so long as it is the same each time.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let (piece, after) = rest.split_at(rest.len().min(1 + (seed % 9) as usize));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
