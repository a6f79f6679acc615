//! The spool on a real disk: what is committed comes back, whatever happened to the process.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mailflux::base::{
    Address, BodyType, Client, Envelope, MessageId, Notify, Now, Protocol, Recipient, Ret, Status,
    Time, Wall,
};
use mailflux::spool::{Head, RealDisk, Spool, SpoolError};

fn now() -> Now {
    Now { time: Time::from_micros(5), wall: Wall::from_secs(1_787_510_546) }
}

fn envelope(recipients: &[&str]) -> Envelope {
    Envelope {
        client: Client {
            ip: Some("192.0.2.7".parse().unwrap()),
            helo: Some("mail.example.com".into()),
            protocol: Protocol::Esmtp { tls: false, auth: false, utf8: false },
            user: None,
        },
        from: Some(Address::parse("\"a > b\"@example.com").unwrap()),
        body: BodyType::EightBitMime,
        utf8: true,
        ret: Some(Ret::Headers),
        envid: Some("x+20y".into()),
        recipients: recipients
            .iter()
            .map(|r| Recipient {
                address: Address::parse(r).unwrap(),
                notify: Notify::parse("SUCCESS,DELAY").unwrap(),
                orcpt: Some("rfc822;x@y".into()),
            })
            .collect(),
        bounce_of: None,
    }
}

fn open(root: &Path) -> Spool<RealDisk> {
    Spool::open(RealDisk::open(root).unwrap()).unwrap()
}

fn recovered(spool: &mut Spool<RealDisk>) -> (Vec<Head>, Vec<String>) {
    let (mut heads, mut complaints) = (vec![], vec![]);
    loop {
        let mut part = spool.recover(1, now().time);
        heads.append(&mut part.heads);
        complaints.append(&mut part.complaints);
        if part.complete {
            return (heads, complaints);
        }
    }
}

fn put(spool: &mut Spool<RealDisk>, messages: &[(&[&str], Vec<u8>)]) -> Vec<MessageId> {
    for (recipients, content) in messages {
        let mut incoming = spool.begin(&envelope(recipients), now()).unwrap();
        for part in content.chunks(70_000) {
            spool.append(&mut incoming, part).unwrap();
        }
        spool.finish(incoming);
    }
    let results = spool.commit();
    results.into_iter().map(|(id, r)| r.map(|()| id).unwrap()).collect()
}

fn content(spool: &mut Spool<RealDisk>, id: MessageId) -> Vec<u8> {
    let (mut all, mut buf) = (vec![], vec![0; 100_000]);
    loop {
        match spool.read(id, all.len() as u64, &mut buf).unwrap() {
            0 => return all,
            n => all.extend_from_slice(&buf[..n]),
        }
    }
}

fn files(root: &Path, dir: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root.join(dir))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_committed_comes_back_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("spool");
    let mut spool = open(&root);
    recovered(&mut spool);
    let large: Vec<u8> = (0..3_000_001u32).map(|i| (i % 251) as u8).collect();
    let contents = [b"one\r\n\0\xff".to_vec(), large, vec![], b"MAILFLUX1 \nMAILFLUX1 ".to_vec()];
    let messages: Vec<(&[&str], Vec<u8>)> =
        contents.iter().map(|c| (&["x@y.example", "\"q t\"@z"][..], c.clone())).collect();
    let ids = put(&mut spool, &messages);
    assert_eq!(files(&root, "queue").len(), 2, "one batch and one large message");
    assert_eq!(files(&root, "incoming").len(), 0);
    for (id, c) in ids.iter().zip(&contents) {
        assert!(content(&mut spool, *id) == *c);
    }
    assert!(!spool.mark(ids[0], 1, Status::Delivered, now().time).unwrap());
    assert!(!spool.mark(ids[1], 0, Status::Delayed, now().time).unwrap());
    assert!(!spool.mark(ids[2], 0, Status::Failed, now().time).unwrap());
    assert!(spool.mark(ids[2], 1, Status::Delivered, now().time).unwrap());
    drop(spool);

    let mut spool = open(&root);
    let (mut heads, complaints) = recovered(&mut spool);
    assert!(complaints.is_empty(), "{complaints:?}");
    heads.sort_by_key(|h| h.id);
    assert_eq!(heads.iter().map(|h| h.id).collect::<Vec<_>>(), [ids[0], ids[1], ids[3]]);
    assert_eq!(heads[0].statuses, [Status::Pending, Status::Delivered]);
    assert_eq!(heads[1].statuses, [Status::Delayed, Status::Pending]);
    assert_eq!(heads[0].envelope, envelope(&["x@y.example", "\"q t\"@z"]));
    for i in [0, 1, 3] {
        spool.check(ids[i], now().time).unwrap();
        assert!(content(&mut spool, ids[i]) == contents[i]);
        for recipient in 0..2 {
            let marked = spool.mark(ids[i], recipient, Status::Delivered, now().time);
            assert!(marked.is_ok() || spool.find(ids[i].counter).is_none());
        }
    }
    assert_eq!(files(&root, "queue").len(), 0);
    let next = put(&mut spool, &[(&["x@y"], vec![])]);
    assert!(next[0].counter > ids[3].counter);
}

#[test]
fn identities_are_never_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..3 {
        let mut spool = open(dir.path());
        recovered(&mut spool);
        let ids = put(&mut spool, &[(&["x@y"], b"x".to_vec())]);
        assert!(ids[0].counter > last);
        last = ids[0].counter;
        spool.mark(ids[0], 0, Status::Delivered, now().time).unwrap();
        if round == 1 {
            spool.close();
        }
    }
}

#[test]
fn damage_is_kept_apart_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    recovered(&mut spool);
    let messages: Vec<(&[&str], Vec<u8>)> =
        (0..3).map(|i| (&["x@y"][..], vec![b'a' + i; 5000])).collect();
    let ids = put(&mut spool, &messages);
    drop(spool);
    let name = files(dir.path(), "queue").pop().unwrap();
    let path = dir.path().join("queue").join(name);
    let whole = fs::read(&path).unwrap();
    let middle = whole.len() / 2;
    let damages = [(0, whole.len(), 2), (middle, whole.len(), 2), (0, whole.len() - 9, 1)];
    for (octet, cut, expect) in damages {
        let mut damaged = whole.clone();
        damaged[octet] ^= 1;
        damaged.truncate(cut);
        fs::write(&path, damaged).unwrap();
        let mut spool = open(dir.path());
        let (heads, _) = recovered(&mut spool);
        let fine = heads.iter().filter(|h| spool.check(h.id, now().time).is_ok()).count();
        assert_eq!(fine, expect, "octet {octet} cut {cut}");
        assert!(!files(dir.path(), "corrupt").is_empty());
        assert!(heads.iter().all(|h| ids.contains(&h.id)));
    }
}

#[test]
fn a_bounce_in_the_spool_marks_its_recipients() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    recovered(&mut spool);
    let ids = put(&mut spool, &[(&["a@y", "b@y"], b"x".to_vec())]);
    let mut bounce = envelope(&["s@y"]);
    bounce.bounce_of = Some((ids[0].counter, vec![1]));
    let incoming = spool.begin(&bounce, now()).unwrap();
    spool.finish(incoming);
    assert!(spool.commit()[0].1.is_ok());
    drop(spool);
    let mut spool = open(dir.path());
    recovered(&mut spool);
    let head = spool.head(ids[0]).unwrap().into_owned();
    assert_eq!(head.statuses, [Status::Pending, Status::Failed]);
}

#[test]
fn the_spool_is_private_and_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("spool");
    let mut spool = open(&root);
    recovered(&mut spool);
    put(&mut spool, &[(&["x@y"], vec![])]);
    let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&root), mode(&root.join("queue"))), (0o700, 0o700));
    let name = files(&root, "queue").pop().unwrap();
    assert_eq!(mode(&root.join("queue").join(name)), 0o600);
    let second = RealDisk::open(&root);
    let pid = std::process::id();
    assert!(matches!(second, Err(SpoolError::Locked { pid: Some(p), .. }) if p == pid));
}
