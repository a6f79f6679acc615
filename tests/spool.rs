//! The spool on a real file system: what it makes there, what it refuses, what it finds again.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use mailflux::base::{
    Address, Client, Envelope, MessageId, Now, Protocol, Recipient, Status, Time, Wall,
};
use mailflux::spool::{Head, RealDisk, Spool, SpoolError};

fn now(seconds: u64) -> Now {
    Now {
        time: Time::from_micros(seconds * 1_000_000),
        wall: Wall::from_secs(1_787_510_546 + seconds as i64),
    }
}

fn envelope(recipients: usize) -> Envelope {
    let to = |n| Recipient::new(Address::parse(&format!("r{n}@example.net")).unwrap());
    Envelope::plain(
        Client {
            ip: Some("192.0.2.7".parse().unwrap()),
            helo: Some("mail.example.com".into()),
            protocol: Protocol::Smtp,
            user: None,
        },
        Some(Address::parse("alice@example.com").unwrap()),
        (0..recipients).map(to).collect(),
    )
}

fn open(root: &Path) -> Spool<RealDisk> {
    Spool::open(RealDisk::open(root).unwrap()).unwrap()
}

/// The messages found, and the complaints.
fn recover(spool: &mut Spool<RealDisk>) -> (Vec<Head>, Vec<String>) {
    let (mut found, mut complaints) = (Vec::new(), Vec::new());
    loop {
        let slice = spool.recover(10, now(0).time);
        found.extend(slice.heads);
        complaints.extend(slice.complaints);
        if slice.complete {
            return (found, complaints);
        }
    }
}

fn send(spool: &mut Spool<RealDisk>, recipients: usize, pieces: &[&[u8]]) -> MessageId {
    let mut incoming = spool.begin(&envelope(recipients), now(1)).unwrap();
    pieces.iter().for_each(|piece| spool.append(&mut incoming, piece).unwrap());
    spool.finish(incoming);
    let committed = spool.commit();
    assert_eq!(committed.len(), 1);
    committed[0].1.as_ref().unwrap();
    committed[0].0
}

fn content(spool: &mut Spool<RealDisk>, id: MessageId) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = vec![0; 70_000];
    loop {
        let n = spool.read(id, all.len() as u64, &mut piece).unwrap();
        if n == 0 {
            return all;
        }
        all.extend_from_slice(&piece[..n]);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn folders_and_files_are_for_us_alone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("spool");
    let mut spool = open(&root);
    send(&mut spool, 1, &[b"small"]);
    send(&mut spool, 1, &[&[b'x'; 300 * 1024]]);
    for folder in ["", "queue", "incoming", "corrupt"] {
        assert_eq!(mode(&root.join(folder)), 0o700, "{folder}");
    }
    let files = names(&root.join("queue"));
    assert_eq!(files.len(), 2);
    for file in files {
        assert_eq!(mode(&root.join("queue").join(file)), 0o600);
    }
    assert_eq!(mode(&root.join("lock")), 0o600);
    let lock = fs::read_to_string(root.join("lock")).unwrap();
    assert_eq!(lock.lines().next().unwrap().trim(), std::process::id().to_string());
}

#[test]
fn a_spool_that_others_can_read_is_closed_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("spool");
    drop(open(&root));
    fs::set_permissions(root.join("queue"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    open(&root);
    assert_eq!((mode(&root), mode(&root.join("queue"))), (0o700, 0o700));
}

#[test]
fn a_folder_of_the_system_is_not_taken_for_a_spool() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("home");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("letter"), "dear").unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(RealDisk::open(&root), Err(SpoolError::Unsafe { .. })));
    assert_eq!((mode(&root), names(&root)), (0o755, vec!["letter".to_owned()]));
}

#[test]
fn links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("spool");
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    drop(open(&root));
    // A file in the queue that points away is not read, and not removed.
    let secret = elsewhere.join("secret");
    fs::write(&secret, "MAILFLUX1 ").unwrap();
    symlink(&secret, root.join("queue/6a8b3f12-00001a")).unwrap();
    let mut spool = open(&root);
    let (found, complaints) = recover(&mut spool);
    assert_eq!(found, vec![]);
    assert!(complaints.iter().any(|text| text.contains("6a8b3f12-00001a")), "{complaints:?}");
    assert!(secret.exists() && root.join("queue/6a8b3f12-00001a").is_symlink());
    drop(spool);
    // Neither a folder nor the lock.
    fs::remove_file(root.join("lock")).unwrap();
    symlink(&secret, root.join("lock")).unwrap();
    assert!(RealDisk::open(&root).is_err());
    fs::remove_file(root.join("lock")).unwrap();
    fs::remove_dir(root.join("incoming")).unwrap();
    symlink(&elsewhere, root.join("incoming")).unwrap();
    assert!(RealDisk::open(&root).is_err());
    assert_eq!(names(&elsewhere), ["secret"], "incoming/ was emptied through a link");
}

#[test]
fn one_process_owns_a_spool() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    match RealDisk::open(dir.path()) {
        Err(SpoolError::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("two owners"),
    }
    drop(spool);
    open(dir.path());
}

#[test]
fn small_and_large_messages_are_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..5_000_000u32).map(|i| (i % 251) as u8).collect();
    let medium = vec![b'm'; 300 * 1024];
    let mut spool = open(dir.path());
    let ids = [
        send(&mut spool, 3, &[b"Received: x\r\n", b"\r\n.\r\n\0\xff"]),
        send(&mut spool, 1, &large.chunks(9000).collect::<Vec<_>>()),
        send(&mut spool, 40, &[&medium]),
        send(&mut spool, 1, &[b""]),
    ];
    assert_eq!(spool.buffered(), 0);
    spool.mark(ids[0], 1, Status::Delivered, now(1).time).unwrap();
    spool.mark(ids[2], 39, Status::Held, now(1).time).unwrap();
    let check = |spool: &mut Spool<RealDisk>| {
        assert_eq!(content(spool, ids[0]), b"Received: x\r\n\r\n.\r\n\0\xff");
        assert!(content(spool, ids[1]) == large);
        assert!(content(spool, ids[2]) == medium);
        assert_eq!(content(spool, ids[3]), b"");
        let head = spool.head(ids[0]).unwrap();
        assert_eq!(head.envelope, envelope(3));
        assert_eq!(head.statuses, [Status::Pending, Status::Delivered, Status::Pending]);
    };
    check(&mut spool);
    // The process ends without a word.
    drop(spool);
    let mut spool = open(dir.path());
    let (found, complaints) = recover(&mut spool);
    assert_eq!(complaints, [""; 0]);
    assert_eq!(found.iter().map(|found| found.id).collect::<Vec<_>>(), ids, "oldest first");
    assert_eq!(found[2].statuses[39], Status::Held);
    assert_eq!(found[1].body, 5_000_000);
    check(&mut spool);
    for found in found {
        let all: Vec<_> = (0..found.statuses.len() as u32)
            .map(|recipient| (recipient, Status::Delivered))
            .collect();
        assert_eq!(spool.mark_all(found.id, &all, now(1).time), Ok(true));
    }
    assert!(spool.is_empty() && names(&dir.path().join("queue")).is_empty());
    let later = send(&mut spool, 1, &[b"x"]);
    assert!(later.counter > ids[3].counter);
}

#[test]
fn what_is_in_the_queue_reads_well() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    let id = send(&mut spool, 2, &[b"Subject: hello\r\n\r\nworld\r\n"]);
    spool.mark(id, 0, Status::Delivered, now(1).time).unwrap();
    let text = fs::read_to_string(dir.path().join("queue").join(id.to_string())).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(first.starts_with(&format!("MAILFLUX1 {id} head=")), "{first}");
    assert_eq!(
        rest,
        "Arrived: 1787510547 2026-08-23T18:42:27Z\n\
         Client: 192.0.2.7 mail.example.com SMTP\n\
         From: <alice@example.com>\n\
         To: + <r0@example.net>\n\
         To: - <r1@example.net>\n\
         \n\
         Subject: hello\r\n\r\nworld\r\n\n"
    );
}

#[test]
fn what_streamed_and_never_ended_is_gone_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    let mut incoming = spool.begin(&envelope(1), now(1)).unwrap();
    spool.append(&mut incoming, &vec![0; 1 << 20]).unwrap();
    assert_eq!(names(&dir.path().join("incoming")).len(), 1);
    drop((spool, incoming));
    let mut spool = open(dir.path());
    assert!(names(&dir.path().join("incoming")).is_empty());
    let mut incoming = spool.begin(&envelope(1), now(1)).unwrap();
    spool.append(&mut incoming, &vec![0; 1 << 20]).unwrap();
    spool.abort(incoming);
    assert!(names(&dir.path().join("incoming")).is_empty());
    assert_eq!(spool.buffered(), 0);
}

#[test]
fn other_names_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    fs::write(dir.path().join("queue/README"), "mine").unwrap();
    fs::create_dir(dir.path().join("queue/6a8b3f12-00001b")).unwrap();
    let mut spool = open(dir.path());
    let (found, complaints) = recover(&mut spool);
    assert_eq!((found, complaints.len()), (vec![], 2));
    assert_eq!(names(&dir.path().join("queue")), ["6a8b3f12-00001b", "README"]);
}

#[test]
fn a_hundred_thousand_messages_are_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    for _ in 0..100 {
        for _ in 0..1000 {
            let mut incoming = spool.begin(&envelope(1), now(1)).unwrap();
            spool.append(&mut incoming, b"Subject: x\r\n\r\nx\r\n").unwrap();
            spool.finish(incoming);
        }
        assert!(spool.commit().iter().all(|(_, result)| result.is_ok()));
    }
    drop(spool);
    let mut spool = open(dir.path());
    let mut found = 0;
    while spool.is_recovering() {
        let slice = spool.recover(500, now(0).time).heads.len();
        assert!(slice <= 500, "a slice is bounded");
        found += slice;
    }
    assert_eq!((found, spool.len()), (100_000, 100_000));
}

#[test]
fn identities_are_never_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..4 {
        let mut spool = open(dir.path());
        recover(&mut spool);
        let id = send(&mut spool, 1, &[b"x"]);
        assert!(id.counter > last);
        if round == 2 {
            assert_eq!(id.counter, last + 1, "a clean end leaves no gap");
        }
        last = id.counter;
        assert_eq!(spool.mark(id, 0, Status::Delivered, now(1).time), Ok(true));
        if round == 1 {
            spool.close();
        }
        if round == 2 {
            // Without the lock file only names tell what was used.
            send(&mut spool, 1, &[b"x"]);
            fs::remove_file(dir.path().join("lock")).unwrap();
        }
    }
}

#[test]
fn damage_is_kept_apart_and_the_rest_stays() {
    let large = vec![b'l'; 100_000];
    let sizes = [&large[..], &large[..5000], &large[..7]];
    let write = |root: &Path| {
        let mut spool = open(root);
        for content in sizes {
            let mut incoming = spool.begin(&envelope(1), now(1)).unwrap();
            spool.append(&mut incoming, content).unwrap();
            spool.finish(incoming);
        }
        let ids: Vec<MessageId> = spool.commit().iter().map(|(id, _)| *id).collect();
        let name = names(&root.join("queue")).pop().unwrap();
        (ids, root.join("queue").join(&name), name)
    };
    let whole = {
        let dir = tempfile::tempdir().unwrap();
        fs::read(write(dir.path()).1).unwrap()
    };
    // What is damaged, to which length it is cut, which messages are left.
    let damages: [(usize, usize, &[usize]); 7] = [
        (0, whole.len(), &[1, 2]),
        (100, whole.len(), &[1, 2]),
        (50_000, whole.len(), &[1, 2]),
        (103_000, whole.len(), &[0, 2]),
        (103_000, 103_001, &[0]),
        (whole.len() - 1, whole.len(), &[0, 1]),
        (0, 100, &[]),
    ];
    for (octet, cut, left) in damages {
        let dir = tempfile::tempdir().unwrap();
        let (ids, path, name) = write(dir.path());
        let mut damaged = whole.clone();
        damaged[octet] ^= 1;
        damaged.truncate(cut);
        fs::write(&path, &damaged).unwrap();
        let mut spool = open(dir.path());
        let (heads, _) = recover(&mut spool);
        let mut fine = Vec::new();
        for head in heads {
            match spool.head(head.id) {
                Ok(again) => {
                    assert_eq!(*again, head);
                    fine.push(ids.iter().position(|id| *id == head.id).unwrap());
                }
                Err(error) => assert!(matches!(error, SpoolError::Corrupt { .. })),
            }
        }
        assert_eq!(fine, left, "octet {octet} cut {cut}");
        assert!(spool.next_trial() == Time::ZERO || left.is_empty());
        spool.try_again(now(2).time);
        let kept = fs::read(dir.path().join("corrupt").join(&name)).unwrap();
        assert!(kept == damaged, "every octet is kept");
        assert_eq!(names(&dir.path().join("queue")).len(), usize::from(!left.is_empty()));
        for which in left {
            assert!(content(&mut spool, ids[*which]) == sizes[*which]);
        }
        drop(spool);
        let mut spool = open(dir.path());
        let (heads, complaints) = recover(&mut spool);
        assert_eq!((heads.len(), complaints), (left.len(), vec![]));
    }
}

/// What a client sends cannot pass for a record, even when the envelope before it is damaged.
#[test]
fn content_is_never_taken_for_a_record() {
    let dir = tempfile::tempdir().unwrap();
    let forged = {
        let mut spool = open(dir.path());
        send(&mut spool, 1, &[b"forged"]);
        let name = names(&dir.path().join("queue")).pop().unwrap();
        fs::read(dir.path().join("queue").join(name)).unwrap()
    };
    let mut large = vec![b'\n'; 300 * 1024];
    large.extend_from_slice(&forged);
    for bait in [&forged[..], &[b"\n", &forged[..]].concat(), &large] {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = open(dir.path());
        for content in [b"one".as_slice(), bait, b"two"] {
            let mut incoming = spool.begin(&envelope(2), now(1)).unwrap();
            // A record may also be made of pieces.
            for piece in content.chunks(7919) {
                spool.append(&mut incoming, piece).unwrap();
            }
            spool.finish(incoming);
        }
        let ids: Vec<MessageId> = spool.commit().iter().map(|(id, _)| *id).collect();
        assert!(content(&mut spool, ids[1]) == bait);
        drop(spool);
        let mut spool = open(dir.path());
        assert_eq!(recover(&mut spool).0.len(), 3);
        assert!(content(&mut spool, ids[1]) == bait);
        drop(spool);
        // Now nothing tells where the envelope ends.
        for name in names(&dir.path().join("queue")) {
            let path = dir.path().join("queue").join(name);
            let mut octets = fs::read(&path).unwrap();
            octets[..200].fill(0);
            fs::write(path, octets).unwrap();
        }
        let mut spool = open(dir.path());
        let found: Vec<usize> =
            recover(&mut spool).0.iter().map(|head| head.statuses.len()).collect();
        assert_eq!(found, [2], "only the second of the batch");
    }
}

#[test]
fn a_bounce_in_the_spool_fails_its_recipients() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    let id = send(&mut spool, 3, &[b"x"]);
    let other = send(&mut spool, 1, &[b"x"]);
    for (of, recipients) in [(id, vec![1, 7]), (other, vec![0])] {
        let bounce = Envelope { bounce_of: Some((of.counter, recipients)), ..envelope(1) };
        let incoming = spool.begin(&bounce, now(1)).unwrap();
        spool.finish(incoming);
    }
    assert!(spool.commit().iter().all(|(_, result)| result.is_ok()));
    drop(spool);
    let mut spool = open(dir.path());
    let (found, complaints) = recover(&mut spool);
    assert_eq!((found.len(), complaints), (3, vec![]));
    assert_eq!(found[0].statuses, [Status::Pending, Status::Failed, Status::Pending]);
    assert_eq!(spool.find(other.counter), None);
    assert_eq!(found[1].envelope.bounce_of, Some((id.counter, vec![1, 7])));
}

/// Rules may change envelope and header fields of ours when the last octet has come, also when
/// the content has long been streaming.
#[test]
fn the_front_of_a_message_changes_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("spool");
    let trace = b"Received: here\r\n";
    let small = b"Subject: a\r\n\r\nx\r\nMAILFLUX1 is no record\r\n".to_vec();
    let large = b"0123456789abcdef\r\n".repeat(40_000);
    let mut spool = open(&root);
    recover(&mut spool);
    let mut want = Vec::new();
    for (body, changes, most) in [
        (&small, true, 400),
        (&small, false, 400),
        (&large, true, 400),
        (&large, false, 400),
        (&large, true, 0),
        (&large, false, 0),
    ] {
        let mut envelope = envelope(2);
        let mut incoming = spool.begin_with_room(&envelope, most, now(1)).unwrap();
        spool.append_front(&mut incoming, trace).unwrap();
        body.chunks(100_000).for_each(|piece| spool.append(&mut incoming, piece).unwrap());
        let (mut statuses, mut fields) = (vec![Status::Pending; 2], trace.to_vec());
        if changes {
            fields.extend_from_slice(b"X-Note: yes\r\n");
            envelope.recipients[0].via = ["first".into(), "second".into()].into();
            envelope.recipients[1] = Recipient {
                orcpt: Some("rfc822;r1@example.net".into()),
                ..Recipient::new(Address::parse("somebody.else@example.org").unwrap())
            };
            statuses[1] = Status::Held;
            let done = spool.refront(&mut incoming, &envelope, &statuses, &fields);
            assert_eq!(done, most > 0, "there is room, or not");
            if !done {
                spool.abort(incoming);
                continue;
            }
        }
        let id = incoming.id();
        spool.finish(incoming);
        spool.commit()[0].1.as_ref().unwrap();
        want.push((id, envelope, statuses, [&fields[..], body].concat()));
    }
    for restart in [false, true] {
        if restart {
            spool.close();
            drop(spool);
            spool = open(&root);
            let (heads, complaints) = recover(&mut spool);
            assert_eq!((heads.len(), complaints), (want.len(), vec![]));
        }
        for (id, envelope, statuses, body) in &want {
            spool.check(*id).unwrap();
            let head = spool.head(*id).unwrap();
            assert_eq!((&head.envelope, &head.statuses), (envelope, statuses));
            assert_eq!(&content(&mut spool, *id), body);
        }
    }
}

/// All the room that was asked for can be used, to the last octet.
#[test]
fn room_is_as_large_as_was_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(&dir.path().join("spool"));
    recover(&mut spool);
    for (added, most) in [(0, 0), (1, 1), (20, 20), (21, 20), (22, 20)] {
        let envelope = envelope(1);
        let mut incoming = spool.begin_with_room(&envelope, most, now(1)).unwrap();
        spool.append(&mut incoming, &vec![b'x'; 300_000]).unwrap();
        let fields = vec![b'f'; added];
        let done = spool.refront(&mut incoming, &envelope, &[Status::Pending], &fields);
        assert_eq!(done, added <= most, "{added} in {most}");
        let id = incoming.id();
        spool.finish(incoming);
        spool.commit()[0].1.as_ref().unwrap();
        spool.check(id).unwrap();
        let body = spool.head(id).unwrap().body;
        assert_eq!(body, 300_000 + if done { added as u64 } else { 0 });
    }
}
