//! The spool on a disk that forgets: a power cut before each operation of a life, with everything
//! that it may leave behind; each operation failing; and both again while recovery goes on.
//!
//! A *life* is a seeded series of what the server does with its spool: messages come together,
//! small, large, and with content that looks like a record; recipients are marked; bounces come
//! before the failures that they speak of; files are rewritten; the process ends and starts. The
//! [`Ledger`] knows what was promised. After each crash the next process must find it so:
//!
//! - a message whose commit said yes is there, unchanged, until all of it is done;
//! - a recipient that was delivered may be pending again, and a done message may come back (I10),
//!   but one that failed does not once its bounce has left (I15);
//! - what was removed by somebody's word stays away; nothing is there that never came;
//! - no identity is given out twice (I12).

#[path = "crashes/ledger.rs"]
mod ledger;
#[path = "crashes/life.rs"]
mod life;

use std::collections::BTreeSet;

use ledger::Ledger;
use life::Life;
use mailflux::spool::{Failure, SimDisk};

/// Lives of a few messages; every power cut of each is tried.
const SHORT_LIVES: u64 = 16;
/// Longer ones, with some of the power cuts of each.
const LONG_LIVES: u64 = 40;
/// All possibilities of a power cut are tried up to so many, else so many by lot.
const POSSIBILITIES: usize = 200;

/// So many times as many lives: `MAILFLUX_LIVES=20 cargo test --release --test crashes`.
fn lives(usual: u64) -> u64 {
    let times = std::env::var("MAILFLUX_LIVES").ok().and_then(|times| times.parse().ok());
    usual * times.unwrap_or(1_u64)
}

/// Goes through all series of choices, or as many as it may.
struct Choices {
    taken: Vec<(usize, usize)>,
    at: usize,
    left: usize,
}

impl Choices {
    fn new() -> Choices {
        Choices { taken: Vec::new(), at: 0, left: POSSIBILITIES }
    }

    fn choose(&mut self, options: usize) -> usize {
        if self.at == self.taken.len() {
            self.taken.push((0, options));
        }
        let (taken, _) = self.taken[self.at];
        self.at += 1;
        taken
    }

    /// The next series; false when there is none, or enough were had.
    fn advance(&mut self) -> bool {
        self.at = 0;
        self.left -= 1;
        while let Some((taken, options)) = self.taken.pop() {
            if taken + 1 < options {
                self.taken.push((taken + 1, options));
                return self.left > 0;
            }
        }
        false
    }
}

/// How many operations an undisturbed life has.
fn operations(seed: u64, steps: u32) -> u64 {
    let mut life = Life::begin(SimDisk::new(), Ledger::default(), seed);
    life.go_on(steps);
    let (disk, _) = life.end();
    disk.operations()
}

/// A life up to the operation at which the power goes.
fn cut(seed: u64, steps: u32, at: u64) -> (SimDisk, Ledger) {
    let mut disk = SimDisk::new();
    disk.cut_at = Some(at);
    let mut life = Life::begin(disk, Ledger::default(), seed);
    life.go_on(steps);
    life.end()
}

/// Starts on what a crash left, checks it, and works on until the spool is empty.
fn aftermath(disk: SimDisk, ledger: Ledger, words: &str) {
    aftermath_on(true, disk, ledger, words);
}

fn aftermath_on(honest: bool, disk: SimDisk, ledger: Ledger, words: &str) {
    let mut life = Life::begin(disk, ledger, 99);
    life.check(words);
    life.go_on(3);
    life.finish(honest, words);
}

#[test]
fn everything_that_a_power_cut_may_leave() {
    let mut tried = 0_u64;
    for seed in 0..lives(SHORT_LIVES) {
        for at in 1..=operations(seed, 5) {
            let (disk, ledger) = cut(seed, 5, at);
            let words = format!("life {seed}, cut at {at}");
            aftermath(disk.clone().kill(), ledger.clone(), &format!("{words}, killed"));
            let mut choices = Choices::new();
            loop {
                let left = disk.clone().power_cut_by(&mut |options| choices.choose(options));
                let words = format!("{words}, {:?}", choices.taken);
                aftermath(left, ledger.clone(), &words);
                tried += 1;
                if !choices.advance() {
                    break;
                }
            }
        }
    }
    println!("{tried} disks");
    assert!(tried > 5_000, "only {tried}");
}

#[test]
fn power_cuts_in_long_lives() {
    // In life 717 somebody removes a bounce.
    for seed in (100..100 + lives(LONG_LIVES)).chain([717]) {
        let operations = operations(seed, 30);
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..25 {
            let at = rng.u64(1..=operations);
            let lot = rng.u64(..);
            let (disk, ledger) = cut(seed, 30, at);
            let words = format!("life {seed}, cut at {at}, lot {lot}");
            aftermath(disk.power_cut(lot), ledger, &words);
        }
    }
}

/// Recovery is cut as well, at each of its operations, and once more after that.
#[test]
fn power_cuts_while_recovery_goes_on() {
    for seed in 200..200 + lives(15) {
        let operations = operations(seed, 12);
        let mut rng = fastrand::Rng::with_seed(seed);
        let at = rng.u64(operations / 2..=operations);
        let (disk, ledger) = cut(seed, 12, at);
        let left = disk.power_cut(rng.u64(..));
        let mut whole = Life::begin(left.clone(), ledger.clone(), 1);
        whole.check("before");
        let until = whole.end().0.operations();
        for second in 1..=until {
            let mut disk = left.clone();
            disk.cut_at = Some(second);
            let (disk, ledger) = Life::begin(disk, ledger.clone(), 1).end();
            let words = format!("life {seed}, cut at {at}, then at {second} of recovery");
            aftermath(disk.clone().kill(), ledger.clone(), &words);
            aftermath(disk.power_cut(rng.u64(..)), ledger, &words);
        }
    }
}

/// Each operation fails once; what was promised holds, then and after a power cut.
#[test]
fn each_operation_fails() {
    // In life 339 the flush fails that should have kept the removal of a message that bounced.
    for seed in (300..300 + lives(12)).chain([339]) {
        for at in 1..=operations(seed, 8) {
            for failure in [libc::EIO, libc::ENOSPC].map(Failure::Error) {
                let mut disk = SimDisk::new();
                disk.fail_at(at, failure);
                let mut life = Life::begin(disk, Ledger::default(), seed);
                life.go_on(8);
                let words = format!("life {seed}, {failure:?} at {at}");
                let (disk, ledger) = life.end();
                aftermath_on(false, disk.clone().kill(), ledger.clone(), &words);
                aftermath_on(false, disk.power_cut(seed + at), ledger, &words);
            }
        }
    }
}

/// A disk that fills and empties: what does not fit is refused, and the rest is kept.
#[test]
fn a_full_disk() {
    let mut refused = 0;
    for seed in 400..400 + lives(30) {
        let mut disk = SimDisk::new();
        disk.capacity = Some(6000);
        let mut life = Life::begin(disk, Ledger::default(), seed);
        life.go_on(30);
        refused += life.refused();
        let (disk, ledger) = life.end();
        let mut left = disk.power_cut(seed);
        left.capacity = None;
        aftermath(left, ledger, &format!("life {seed} on a full disk"));
    }
    assert!(refused > 30, "it was never full: {refused}");
}

/// The controls: a disk whose flushes do nothing loses what was promised, and this test notices.
/// Without it the others might be blind.
#[test]
fn a_disk_that_lies_is_found_out() {
    for dirs in [false, true] {
        let mut caught = BTreeSet::new();
        for seed in 500..540 {
            let liar = || {
                let mut disk = SimDisk::new();
                disk.ignore_sync_data = !dirs;
                disk.ignore_sync_dir = dirs;
                disk
            };
            let mut life = Life::begin(liar(), Ledger::default(), seed);
            life.go_on(12);
            let (disk, ledger) = life.end();
            let lost = std::panic::catch_unwind(|| {
                aftermath(disk.power_cut(seed), ledger, "a liar");
            });
            if lost.is_err() {
                caught.insert(seed);
            }
        }
        assert!(caught.len() > 10, "blind for names {dirs}: {caught:?}");
    }
}
