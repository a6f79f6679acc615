//! The fuzz targets without a fuzzer: over the corpora that were kept, whole, and over seeded
//! changes of them. What a fuzzer once found stays in `fuzz/corpus` and is tried here each time.

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::path::PathBuf;

use targets::TARGETS;

/// Changes of each entry of a corpus.
const CHANGES: u64 = 8;

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
    let mut all: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.display().to_string(), std::fs::read(&path).unwrap())
        })
        .collect();
    all.sort();
    all
}

/// Cuts, doubles, swaps and overwrites, as a fuzzer does.
fn changed(octets: &[u8], other: &[u8], rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut made = octets.to_vec();
    for _ in 0..=rng.usize(0..4) {
        let at = rng.usize(0..=made.len());
        match rng.u8(0..5) {
            0 => made.truncate(at),
            1 => made.insert(at, rng.u8(..)),
            2 if at < made.len() => made[at] = rng.u8(..),
            3 if !other.is_empty() => {
                let from = rng.usize(0..other.len());
                let piece = other[from..(from + 40).min(other.len())].to_vec();
                made.splice(at..at, piece);
            }
            _ => {
                let end = rng.usize(at..=made.len());
                made.drain(at..end);
            }
        }
    }
    made
}

fn replay(name: &str) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "no corpus of {name}");
    for (path, octets) in &corpus {
        println!("{path}");
        target(octets);
    }
    let mut rng = fastrand::Rng::with_seed(1);
    for (path, octets) in &corpus {
        for change in 0..CHANGES {
            let other = &corpus[rng.usize(0..corpus.len())].1;
            let made = changed(octets, other, &mut rng);
            println!("{path}, change {change}: {}", made.escape_ascii());
            target(&made);
        }
    }
}

macro_rules! replayed {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed() {
            let named = [$(stringify!($name)),*];
            assert!(TARGETS.iter().all(|(name, _)| named.contains(name)));
        }
    };
}

replayed! {
    server_session client_session dot_codec bdat_codec address reply proxy_header dns_answer keys
    printable expression configuration control message recovery
}
