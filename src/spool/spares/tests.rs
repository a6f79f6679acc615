//! Spare files: when there are some, what a commit does with them, and what a crash leaves.

use crate::base::{
    Address, Client, Envelope, MessageId, Now, Protocol, Recipient, Status, Time, Wall,
};
use crate::spool::{Dir, Failure, Head, SimDisk, Spool};

fn envelope() -> Envelope {
    let address = |text: &str| Address::parse(text).unwrap();
    Envelope::plain(
        Client { ip: None, helo: None, protocol: Protocol::Smtp, user: None },
        Some(address("ann@example.org")),
        vec![Recipient::new(address("bob@example.net"))],
    )
}

fn at(millis: u64) -> Now {
    let wall = Wall::from_secs(1_787_510_546);
    Now { time: Time::from_micros(1_000_000 + millis * 1000), wall }
}

/// One message in a commit of its own, and what the reactor does after it; whether it is kept.
fn commit(spool: &mut Spool<SimDisk>, millis: u64) -> bool {
    commit_octets(spool, millis, b"Subject: x\r\n\r\n")
}

fn commit_octets(spool: &mut Spool<SimDisk>, millis: u64, octets: &[u8]) -> bool {
    let mut incoming = spool.begin(&envelope(), at(millis)).unwrap();
    spool.append(&mut incoming, octets).unwrap();
    spool.finish(incoming);
    let kept = spool.commit().iter().all(|(_, result)| result.is_ok());
    spool.prepare();
    kept
}

fn open(disk: SimDisk) -> (Spool<SimDisk>, Vec<Head>) {
    let mut spool = Spool::open(disk).unwrap();
    spool.expect_load();
    let mut heads = Vec::new();
    while spool.is_recovering() {
        heads.extend(spool.recover(10, at(0).time).heads);
    }
    (spool, heads)
}

fn fresh() -> Spool<SimDisk> {
    open(SimDisk::new()).0
}

fn names(spool: &Spool<SimDisk>) -> Vec<String> {
    spool.disk().names(Dir::Queue).into_iter().map(str::to_owned).collect()
}

/// Operations of the disk since then.
fn since(spool: &Spool<SimDisk>, from: usize) -> Vec<&str> {
    let log = &spool.disk().log()[from..];
    log.iter().filter_map(|line| line.split(' ').next()).collect()
}

#[test]
fn commits_that_are_far_apart_have_no_use_for_them() {
    let mut spool = fresh();
    for n in 0..5 {
        assert!(commit(&mut spool, n * 1000));
    }
    assert_eq!(names(&spool).len(), 5);
    assert!(names(&spool).iter().all(|name| !name.contains(".b")));
    assert_eq!(spool.next_trial(), Time::NEVER);
}

#[test]
fn commits_that_follow_closely_flush_no_folder() {
    let mut spool = fresh();
    commit(&mut spool, 0);
    commit(&mut spool, 900);
    assert_eq!(names(&spool).iter().filter(|name| name.contains(".b")).count(), 4);
    for n in 0..4 {
        let from = spool.disk().log().len();
        assert!(commit(&mut spool, 1000 + n));
        let expected: &[&str] = match n {
            // None is left: more are made, when the replies are out.
            3 => &[&["append", "sync_data"][..], &["create"; 8], &["sync_dir"]].concat(),
            _ => &["append", "sync_data"],
        };
        assert_eq!(since(&spool, from), expected, "{n}");
    }
}

#[test]
fn what_is_in_a_prepared_file_survives_a_power_cut() {
    let mut spool = fresh();
    for n in 0..5 {
        assert!(commit(&mut spool, n));
        let (_, found) = open(spool.disk().clone().power_cut_by(&mut |_| 0));
        assert_eq!(found.len() as u64, n + 1);
    }
}

#[test]
fn none_stays_that_nobody_needs() {
    let mut spool = fresh();
    assert!((0..3).all(|n| commit(&mut spool, n)));
    let due = spool.next_trial();
    assert_eq!(due, at(1002).time);
    assert!(!spool.try_again(at(1001).time));
    assert_eq!(names(&spool).len(), 6);
    assert!(!spool.try_again(due), "it was well all the time");
    assert_eq!(names(&spool).len(), 3);
    // As at first: one commit alone asks for none.
    commit(&mut spool, 5000);
    assert_eq!(names(&spool).len(), 4);

    commit(&mut spool, 5001);
    assert_eq!(names(&spool).len(), 9);
    spool.close();
    assert_eq!(names(&spool).len(), 5);
}

#[test]
fn the_next_start_removes_those_of_a_killed_process() {
    let mut spool = fresh();
    assert!((0..3).all(|n| commit(&mut spool, n)));
    assert_eq!(names(&spool).len(), 6);
    let (mut spool, found) = open(spool.into_disk().kill());
    assert_eq!(found.len(), 3);
    assert_eq!(names(&spool).len(), 3);
    assert!(spool.take_words().is_empty(), "nothing to tell");
    assert_eq!(spool.disk().names(Dir::Corrupt).len(), 0);
}

#[test]
fn after_a_failure_a_commit_tries_all_of_the_disk() {
    for failure in [Failure::Error(libc::EIO), Failure::Nothing(libc::ENOSPC)] {
        for operation in 1..=2 {
            let mut spool = fresh();
            assert!((0..2).all(|n| commit(&mut spool, n)));
            let at = spool.disk().operations() + operation;
            spool.disk_mut().fail_at(at, failure);
            assert!(!commit(&mut spool, 3));
            assert_eq!(names(&spool).len(), 2, "{failure:?}: {operation}: neither it nor others");
            let from = spool.disk().log().len();
            assert!(commit(&mut spool, 4));
            assert_eq!(since(&spool, from), ["create", "append", "sync_data", "sync_dir"]);
            assert!(spool.healthy().is_ok());
        }
    }
}

#[test]
fn those_whose_names_are_not_durable_are_not_used() {
    let mut spool = fresh();
    commit(&mut spool, 0);
    // create, append, sync_data, sync_dir; then four times create, sync_dir.
    let at = spool.disk().operations() + 9;
    spool.disk_mut().fail_at(at, Failure::Error(libc::EIO));
    assert!(commit(&mut spool, 1));
    assert_eq!(names(&spool).len(), 2);
    assert!(spool.healthy().is_err());

    // One that cannot be made: no trouble for anybody, and none is used.
    let mut spool = fresh();
    commit(&mut spool, 0);
    let at = spool.disk().operations() + 6;
    spool.disk_mut().fail_at(at, Failure::Error(libc::EMFILE));
    assert!(commit(&mut spool, 1));
    assert_eq!(names(&spool).len(), 2);
    assert!(spool.healthy().is_ok());
}

#[test]
fn a_message_in_one_is_kept_when_the_folder_fails() {
    let mut spool = fresh();
    assert!((0..2).all(|n| commit(&mut spool, n)));
    for octets in [&b"small"[..], &vec![b'x'; 300 * 1024]] {
        let mut incoming = spool.begin(&envelope(), at(3)).unwrap();
        spool.append(&mut incoming, octets).unwrap();
        spool.finish(incoming);
    }
    spool.disk_mut().broken = Some(("sync_dir", libc::EIO));
    let kept: Vec<bool> = spool.commit().iter().map(|(_, result)| result.is_ok()).collect();
    assert_eq!(kept, [true, false]);
    assert_eq!(spool.len(), 3);
    assert!(spool.healthy().is_err());
}

/// One message, kept in a commit of its own.
fn keep(spool: &mut Spool<SimDisk>, millis: u64, octets: &[u8]) -> MessageId {
    let mut incoming = spool.begin(&envelope(), at(millis)).unwrap();
    let id = incoming.id();
    spool.append(&mut incoming, octets).unwrap();
    spool.finish(incoming);
    assert!(spool.commit().iter().all(|(_, result)| result.is_ok()));
    id
}

fn deliver(spool: &mut Spool<SimDisk>, id: MessageId) {
    assert!(spool.mark(id, 0, Status::Delivered, at(0).time).unwrap());
}

/// A busy spool with one message, alone in its file.
fn busy(octets: &[u8]) -> (Spool<SimDisk>, MessageId) {
    let mut spool = fresh();
    let first = keep(&mut spool, 0, b"");
    let second = keep(&mut spool, 1, octets);
    deliver(&mut spool, first);
    assert_eq!(spool.spares.count(), (1, 0));
    spool.release_spares();
    // Two more, since what is busy was forgotten with the files.
    keep(&mut spool, 2, b"");
    keep(&mut spool, 2, b"");
    (spool, second)
}

fn read(spool: &mut Spool<SimDisk>, id: MessageId) -> Vec<u8> {
    spool.check(id).unwrap();
    let mut octets = vec![0; 300_000];
    let n = spool.read(id, 0, &mut octets).unwrap();
    octets.truncate(n);
    octets
}

#[test]
fn a_file_of_which_all_is_done_is_used_again() {
    for (old, new) in [(1000, 1000), (3000, 10), (10, 3000), (100_000, 90_000)] {
        let (mut spool, id) = busy(&vec![b'~'; old]);
        let from = spool.disk().log().len();
        deliver(&mut spool, id);
        assert_eq!(since(&spool, from), ["write_at"], "it stays");
        let name = format!("{id}");
        let length = spool.disk().content(Dir::Queue, &name).unwrap().len();

        let from = spool.disk().log().len();
        let id = keep(&mut spool, 4, &vec![b'n'; new]);
        assert_eq!(since(&spool, from), ["overwrite", "sync_data"]);
        assert_eq!(read(&mut spool, id), vec![b'n'; new]);
        let octets = spool.disk().content(Dir::Queue, &name).unwrap();
        assert!(octets.len() >= length);
        assert!(!octets.contains(&b'~'), "{old} {new}: nothing old is left");

        // It is found again, and it alone.
        let (mut spool, found) = open(spool.into_disk().power_cut_by(&mut |_| 0));
        assert!(found.iter().any(|head| head.id == id), "{old} {new}");
        assert_eq!(read(&mut spool, id), vec![b'n'; new]);
        assert!(spool.take_words().is_empty(), "padding is nothing to speak of");
        assert_eq!(spool.disk().names(Dir::Corrupt).len(), 0);
    }
}

#[test]
fn several_batches_in_a_row_use_few_files() {
    let mut spool = fresh();
    for n in 0..100 {
        let id = keep(&mut spool, n, &vec![b'x'; (n as usize * 37) % 2000]);
        deliver(&mut spool, id);
    }
    // The first one went, since nothing was known of a second.
    assert_eq!(names(&spool).len(), 1);
    assert!(!spool.try_again(at(2000).time));
    assert_eq!(names(&spool).len(), 0);
}

#[test]
fn no_more_are_kept_than_are_good_for_something() {
    let mut spool = fresh();
    let ids: Vec<MessageId> = (0..20).map(|n| keep(&mut spool, n, b"")).collect();
    ids.iter().for_each(|id| deliver(&mut spool, *id));
    assert_eq!(spool.spares.count(), (8, 0));
    // A small one does not write over the room of a large one.
    let (mut spool, id) = busy(&[b'x'; 200_000]);
    deliver(&mut spool, id);
    let from = spool.disk().log().len();
    keep(&mut spool, 3, b"");
    assert_eq!(since(&spool, from), ["create", "append", "sync_data", "sync_dir"]);
    // A large batch is not kept at all.
    let mut spool = fresh();
    keep(&mut spool, 0, b"");
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut incoming = spool.begin(&envelope(), at(1)).unwrap();
        ids.push(incoming.id());
        spool.append(&mut incoming, &[b'x'; 150_000]).unwrap();
        spool.finish(incoming);
    }
    spool.commit();
    ids.iter().for_each(|id| deliver(&mut spool, *id));
    assert_eq!(spool.spares.count(), (0, 0));
}

#[test]
fn failures_are_not_left_to_a_file_that_is_used_again() {
    let (mut spool, id) = busy(b"x");
    assert!(spool.mark(id, 0, Status::Failed, at(3).time).unwrap());
    assert_eq!(spool.spares.count(), (0, 0));
    // Nor what somebody removed.
    let (mut spool, id) = busy(b"x");
    spool.remove(id, at(3).time).unwrap();
    assert_eq!(spool.spares.count(), (0, 0));
    let (_, found) = open(spool.into_disk().power_cut_by(&mut |_| 0));
    assert!(found.iter().all(|head| head.id != id));
    // Nor when a delivery of it could not be recorded before.
    let (mut spool, id) = busy(b"x");
    let next = spool.disk().operations() + 1;
    spool.disk_mut().fail_at(next, Failure::Error(libc::EIO));
    assert!(spool.mark(id, 0, Status::Delivered, at(3).time).is_err());
    spool.remove(id, at(3).time).unwrap();
    let (_, found) = open(spool.into_disk().power_cut_by(&mut |_| 0));
    assert!(found.iter().all(|head| head.id != id));
}

#[test]
fn a_name_stays_near_to_what_is_in_its_file() {
    let (mut spool, id) = busy(b"x");
    spool.ids.next += super::GAP / 2;
    spool.ids.reserved = spool.ids.next;
    deliver(&mut spool, id);
    assert_eq!(spool.spares.count(), (0, 0));
}

#[test]
fn a_flush_that_fails_takes_the_used_file_along() {
    for operation in 1..=2 {
        let (mut spool, id) = busy(b"old");
        deliver(&mut spool, id);
        let next = spool.disk().operations() + operation;
        spool.disk_mut().fail_at(next, Failure::Error(libc::EIO));
        assert!(!commit(&mut spool, 3));
        assert!(!names(&spool).contains(&format!("{id}")));
        assert!(commit(&mut spool, 4));
        assert_eq!(spool.len(), 3);
    }
}

#[test]
fn what_was_removed_is_durable_soon() {
    let mut spool = fresh();
    let id = keep(&mut spool, 0, b"");
    deliver(&mut spool, id);
    assert!(!spool.try_again(spool.next_trial()));
    let (_, found) = open(spool.disk().clone().power_cut_by(&mut |_| 0));
    assert!(found.is_empty());
    assert_eq!(spool.next_trial(), Time::NEVER);
}

#[test]
fn a_folder_that_cannot_be_flushed_is_told() {
    let mut spool = fresh();
    let id = keep(&mut spool, 0, b"");
    deliver(&mut spool, id);
    spool.disk_mut().broken = Some(("sync_dir", libc::EIO));
    spool.try_again(spool.next_trial());
    assert!(spool.healthy().is_err());
    assert!(spool.take_words().iter().any(|word| word.text.contains("flush queue")));
}

#[test]
fn a_few_messages_at_once_ask_for_no_spare_files() {
    let mut spool = Spool::open(SimDisk::new()).unwrap();
    for n in 0..8 {
        assert!(commit(&mut spool, n));
        assert_eq!(spool.spares.count(), (0, 0), "{n}");
    }
    assert!(commit(&mut spool, 8));
    assert_eq!(spool.spares.count(), (0, 4));
}
