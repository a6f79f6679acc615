//! The history on a folder in memory that fails when it is told to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use super::format::{self, BatchHead, HEAD, parse_head};
use super::*;
use crate::base::{Leg, Now, SessionId, Time, Wall};
use crate::journal::{Event, Journal, JournalConfig, What, entries};

/// Files by name, the one that is appended to, and how many octets may still be written.
#[derive(Default)]
struct Files {
    files: BTreeMap<String, Vec<u8>>,
    last: String,
    room: Option<usize>,
}

#[derive(Clone, Default)]
struct Memory(Rc<RefCell<Files>>);

impl Folder for Memory {
    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        let files = &self.0.borrow().files;
        Ok(files.iter().map(|(name, octets)| (name.clone(), octets.len() as u64)).collect())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let mut own = self.0.borrow_mut();
        if own.room == Some(0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        assert!(own.files.insert(name.into(), Vec::new()).is_none(), "{name} is there");
        own.last = name.into();
        Ok(())
    }

    fn resume(&mut self, name: &str) -> io::Result<()> {
        self.0.borrow_mut().last = name.into();
        Ok(())
    }

    fn append(&mut self, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut own = self.0.borrow_mut();
        let octets: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let fits = octets.len().min(own.room.unwrap_or(usize::MAX));
        own.room = own.room.map(|room| room - fits);
        let last = own.last.clone();
        own.files.get_mut(&last).unwrap().extend_from_slice(&octets[..fits]);
        if fits < octets.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn read_at(&mut self, name: &str, into: &mut [u8], at: u64) -> io::Result<usize> {
        let own = self.0.borrow();
        let octets = own.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        let octets = octets.get(at as usize..).unwrap_or_default();
        let n = octets.len().min(into.len());
        into[..n].copy_from_slice(&octets[..n]);
        Ok(n)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.0.borrow_mut().files.remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }
}

/// A run of a server on a folder.
struct Run {
    folder: Memory,
    journal: Journal,
    history: History,
    numbers: Numbers,
    now: Now,
}

const DAY: Bounds = Bounds { age: Duration::from_secs(86400), size: 256 << 20 };

impl Run {
    fn new(folder: &Memory, bounds: Bounds, at: u64) -> Run {
        let now = now(at);
        let journal = Journal::new(JournalConfig::default(), now);
        let (history, numbers) = History::open(Box::new(folder.clone()), bounds);
        Run { folder: folder.clone(), journal, history, numbers, now }
    }

    /// A session that says one thing.
    fn session(&mut self, text: &str) -> SessionId {
        let id = SessionId { leg: Leg::In, number: self.numbers.inbound };
        self.numbers.inbound += 1;
        let peer = "192.0.2.7:4711".parse().unwrap();
        for what in
            [What::Opened { peer, next: None }, What::Remark(text), What::Closed { why: "quit" }]
        {
            let event = Event { now: self.now, session: Some(id), message: None, what };
            self.journal.note(&event);
        }
        self.tick(0);
        id
    }

    fn tick(&mut self, seconds: u64) {
        self.now.time = self.now.time.after(Duration::from_secs(seconds));
        self.now.wall = self.now.wall.after(Duration::from_secs(seconds));
        self.history.tick(&self.journal, self.numbers, self.now);
    }

    fn close(mut self) {
        self.history.close(&self.journal, self.numbers, self.now);
    }

    /// What a scan finds, by the remarks.
    fn read(&mut self, mut scan: Scan) -> Vec<String> {
        let mut found = Vec::new();
        while let Step::Entries(batch) = self.history.step(&mut scan) {
            let remarks = entries(batch).filter(|e| e.subject == crate::journal::Subject::Remark);
            found.extend(remarks.map(|e| String::from_utf8(e.line.text.to_vec()).unwrap()));
        }
        found
    }

    fn all(&mut self) -> Vec<String> {
        let scan = self.history.scan();
        self.read(scan)
    }

    fn words(&mut self) -> String {
        let words = self.history.take_words();
        words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join("|")
    }

    fn names(&self) -> Vec<String> {
        self.folder.0.borrow().files.keys().cloned().collect()
    }
}

fn now(seconds: u64) -> Now {
    let micros = 1_787_510_546_000_000 + seconds as i64 * 1_000_000;
    Now { time: Time::from_micros(seconds * 1_000_000), wall: Wall::from_micros(micros) }
}

#[test]
fn heads_and_batches_read_back_and_nothing_else_does() {
    let next = Numbers { inbound: 8, outbound: 4 };
    let head = format::head(now(0).wall, next);
    assert_eq!(parse_head(&head), Some((now(0).wall, next)));
    assert!(head.starts_with(b"MAILFLUX-HISTORY1 created=") && head.ends_with(b"4\n"));
    for at in 0..HEAD {
        let mut wrong = head;
        wrong[at] = b'x';
        assert_eq!(parse_head(&wrong), None, "{at}");
    }
    let batch = BatchHead { length: 5, last: true, at: now(1).wall, next };
    let mut octets = batch.write([b"he", b"llo"]).to_vec();
    octets.extend_from_slice(b"hello");
    octets.extend_from_slice(&(batch.whole() as u32).to_le_bytes());
    assert_eq!(BatchHead::parse(&octets), Some(batch));
    assert!(batch.fits(&octets));
    for at in 0..octets.len() {
        let mut wrong = octets.clone();
        wrong[at] ^= 1;
        let good = BatchHead::parse(&wrong).is_some_and(|batch| batch.fits(&wrong));
        assert!(!good && !batch.fits(&octets[..at]), "{at}");
    }
    assert_eq!(format::number_of(&format::name(7)), Some(7));
    for wrong in ["segment-7", "segment-", "lock", "segment-00000000x7"] {
        assert_eq!(format::number_of(wrong), None);
    }
}

#[test]
fn what_is_said_is_on_disk_a_second_later_and_numbers_go_on_in_the_next_run() {
    let folder = Memory::default();
    let mut run = Run::new(&folder, DAY, 0);
    assert_eq!(run.history.deadline(run.now), Time::NEVER);
    run.session("one");
    run.tick(0);
    assert!(run.names().is_empty());
    assert_eq!(run.history.deadline(run.now), run.now.time.after(Duration::from_secs(1)));
    run.tick(1);
    assert_eq!(run.names(), ["segment-0000000001"]);
    run.session("two");
    run.close();

    // In order: the numbers go on, and so does the segment.
    let mut run = Run::new(&folder, DAY, 10);
    assert_eq!(run.numbers, Numbers { inbound: 3, outbound: 1 });
    let third = run.session("three");
    run.tick(2);
    assert_eq!(run.names().len(), 1);
    assert_eq!(run.all(), ["one", "two", "three"]);
    assert_eq!(third.to_string(), "i3");
    drop(run);

    // Not in order: what was begun in the last second is not known.
    let mut run = Run::new(&folder, DAY, 20);
    assert_eq!(run.numbers.inbound, 1004);
    assert_eq!(run.all(), ["one", "two", "three"]);
    assert_eq!(run.words(), "");
}

#[test]
fn a_torn_or_damaged_batch_ends_its_segment_and_no_other() {
    let folder = Memory::default();
    for text in ["one", "two"] {
        let mut run = Run::new(&folder, DAY, 0);
        run.session(text);
        run.close();
    }
    let whole = folder.0.borrow().files["segment-0000000001"].clone();
    for (cut, torn) in (HEAD..whole.len()).map(|at| (at, whole[..at].to_vec())) {
        folder.0.borrow_mut().files = BTreeMap::from([("segment-0000000001".to_owned(), torn)]);
        let mut run = Run::new(&folder, DAY, 10);
        run.session("after");
        run.tick(1);
        let found = run.all();
        assert!(found == ["after"] || found == ["one", "after"], "{cut}: {found:?}");
        assert!(run.numbers.inbound > 2);
    }
    let mut damaged = whole.clone();
    damaged[0] = b'x';
    folder.0.borrow_mut().files = BTreeMap::from([
        ("segment-0000000001".to_owned(), damaged),
        ("segment-0000000002".to_owned(), whole[..HEAD - 1].to_vec()),
        ("something".to_owned(), vec![]),
    ]);
    let mut run = Run::new(&folder, DAY, 10);
    assert_eq!(run.words(), "history: 2 segments are damaged and are skipped");
    run.session("after");
    run.tick(1);
    assert_eq!(run.all().last().map(String::as_str), Some("after"));
    // Of what age the damaged ones are nobody knows: they have gone. What is not ours stays.
    assert_eq!(run.names(), ["segment-0000000001", "something"]);
}

#[test]
fn size_is_bounded_by_whole_segments() {
    let folder = Memory::default();
    let bounds = Bounds { size: 4 << 20, ..DAY };
    let mut run = Run::new(&folder, bounds, 0);
    let long = "x".repeat(4000);
    for _ in 0..3000 {
        run.session(&long);
        run.tick(0);
    }
    let size: usize = folder.0.borrow().files.values().map(Vec::len).sum();
    assert!((3 << 20..=4 << 20).contains(&size), "{size}");
    assert_eq!(run.history.kept().0, size as u64);
    // Sessions are found from their own segment on.
    let last = SessionId { leg: Leg::In, number: run.numbers.inbound - 1 };
    run.tick(1);
    let scan = run.history.scan_for(&[last]);
    let found = run.read(scan).len();
    assert!((1..150).contains(&found), "{found}");
}

#[test]
fn age_is_bounded_and_an_idle_server_forgets_too() {
    let folder = Memory::default();
    let mut run = Run::new(&folder, DAY, 0);
    for hour in 0..40 {
        run.session(&format!("hour {hour}"));
        run.tick(1);
        run.tick(3599);
    }
    let found = run.all();
    assert!(found.len() <= 27 && found.len() >= 24, "{found:?}");
    let scan = run.history.scan_since(run.now.wall.after(Duration::ZERO));
    assert!(run.read(scan).len() <= 2);
    // Nothing happens any more: at its deadline the last segment goes.
    for _ in 0..40 {
        let wait = run.history.deadline(run.now).since(run.now.time).as_secs();
        if run.names().is_empty() {
            break;
        }
        assert!(wait < 3 * 86400, "{wait}");
        run.tick(wait + 1);
    }
    assert!(run.names().is_empty());
    assert_eq!(run.history.deadline(run.now), Time::NEVER);
}

#[test]
fn a_full_disk_is_told_of_once_and_tried_again() {
    let folder = Memory::default();
    let mut run = Run::new(&folder, DAY, 0);
    run.session("one");
    run.tick(1);
    folder.0.borrow_mut().room = Some(100);
    for second in 0..50 {
        run.session(&format!("lost {second}"));
        run.tick(1);
    }
    let words = run.words();
    assert!(words.starts_with("history: cannot be written: ") && !words.contains('|'), "{words}");
    assert!(!run.history.is_on());
    run.tick(100);
    assert_eq!(run.words(), "");
    folder.0.borrow_mut().room = None;
    run.session("kept");
    run.tick(61);
    run.tick(61);
    assert_eq!(run.words(), "history: kept again");
    let found = run.all();
    assert!(found.contains(&"one".into()) && found.contains(&"kept".into()), "{found:?}");
    assert!(!found.contains(&"lost 0".into()));
}

#[test]
fn nothing_is_kept_when_it_is_off_and_what_was_goes() {
    let folder = Memory::default();
    let off = Bounds { age: Duration::ZERO, size: 0 };
    let mut run = Run::new(&folder, DAY, 0);
    run.session("one");
    run.tick(1);
    assert_eq!(run.names().len(), 1);
    run.history.set_bounds(off, &run.journal, run.now);
    run.session("two");
    run.tick(5);
    assert!(run.names().is_empty() && !run.history.is_on());
    run.history.set_bounds(DAY, &run.journal, run.now);
    run.session("three");
    run.tick(1);
    assert_eq!(run.all(), ["three"]);
    drop(run);
    let run = Run::new(&folder, off, 10);
    assert!(run.names().is_empty());
    assert_eq!(History::nowhere().deadline(now(0)), Time::NEVER);
}
