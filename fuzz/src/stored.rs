//! A spool whose file was changed by anything: what was not touched is found again.

use mailflux::base::{
    Address, BodyType, Client, Envelope, MessageId, Now, Protocol, Recipient, Status, Time, Wall,
};
use mailflux::spool::{Dir, Head, SimDisk, Spool};

fn now() -> Now {
    Now { time: Time::from_micros(7), wall: Wall::from_secs(1_787_510_546) }
}

fn envelope(recipients: usize) -> Envelope {
    let address = |n| Address::parse(&format!("r{n}@example.net")).expect("an address");
    let to = |n| Recipient::new(address(n));
    Envelope {
        client: Client {
            ip: Some("192.0.2.7".parse().expect("an address")),
            helo: Some("client.example.com".into()),
            protocol: Protocol::Smtp,
            user: None,
        },
        from: Some(Address::parse("ann@example.org").expect("an address")),
        body: BodyType::EightBitMime,
        utf8: false,
        ret: None,
        envid: None,
        recipients: (0..recipients).map(to).collect(),
        bounce_of: None,
    }
}

const CONTENT: [&[u8]; 3] =
    [b"Subject: one\r\n\r\nfirst\r\n", b"second\r\n", b"Subject: 3\r\n\r\n"];

/// A spool with one batch of three messages and one message alone.
fn filled() -> (SimDisk, Vec<MessageId>) {
    let mut spool = Spool::open(SimDisk::new()).expect("an empty spool");
    while !spool.recover(10, now().time).complete {}
    let mut ids = Vec::new();
    let mut take = |spool: &mut Spool<SimDisk>, contents: &[&[u8]]| {
        for (i, content) in contents.iter().enumerate() {
            let mut incoming = spool.begin(&envelope(i + 1), now()).expect("a message");
            spool.append(&mut incoming, content).expect("content");
            spool.finish(incoming);
        }
        for (id, result) in spool.commit() {
            result.expect("a commit");
            ids.push(id);
        }
    };
    take(&mut spool, &CONTENT);
    take(&mut spool, &[&[b'x'; 400_000]]);
    spool.close();
    (spool.into_disk(), ids)
}

fn found(disk: SimDisk) -> (Spool<SimDisk>, Vec<Head>) {
    let mut spool = Spool::open(disk).expect("a spool");
    let (mut heads, mut slices) = (Vec::new(), 0);
    loop {
        let slice = spool.recover(10, now().time);
        heads.extend(slice.heads);
        slices += 1;
        assert!(slices < 10_000, "no end");
        if slice.complete {
            return (spool, heads);
        }
    }
}

/// The first octet says what is done to the spool: the batch is replaced by the octets, cut,
/// followed by them, or changed in places that they name; or another file holds them.
pub fn recovery(data: &[u8]) {
    let [how, octets @ ..] = data else { return };
    let (disk, ids) = filled();
    let names: Vec<String> = disk.names(Dir::Queue).into_iter().map(str::to_owned).collect();
    let batch = names.iter().find(|name| !name.contains('.')).expect("a batch").clone();
    let mut file = disk.content(Dir::Queue, &batch).expect("the batch").to_vec();
    let mut disk = disk;
    // Which messages must be there whatever was done.
    let mut intact = vec![ids[3]];
    match how % 5 {
        0 => disk.put(Dir::Queue, &batch, octets),
        1 => {
            let keep = octets.first_chunk::<2>().map_or(0, |n| u16::from_le_bytes(*n).into());
            file.truncate(keep);
            disk.put(Dir::Queue, &batch, &file);
        }
        2 => {
            file.extend_from_slice(octets);
            disk.put(Dir::Queue, &batch, &file);
            intact.extend_from_slice(&ids[..2]);
        }
        3 => {
            for change in octets.chunks_exact(3) {
                let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % file.len();
                file[at] = change[2];
            }
            disk.put(Dir::Queue, &batch, &file);
        }
        _ => {
            let other = ["6a8b3f12-000fff", "6a8b3f12-000fff.lone", "6a8b3f12-000fff.1", "x", "é"];
            let at = octets.first().map_or(0, |b| usize::from(*b) % other.len());
            disk.put(Dir::Queue, other[at], octets.get(1..).unwrap_or_default());
            intact = ids.clone();
        }
    }
    let (mut spool, heads) = found(disk);
    for id in &intact {
        assert!(heads.iter().any(|head| head.id == *id), "{id:?} is lost");
    }
    // What was found can be worked with: read, marked, removed, and is gone then.
    let (mut piece, time) = (vec![0; 65_536], Time::from_micros(8));
    for head in &heads {
        let mut at = 0;
        while let Ok(n @ 1..) = spool.read(head.id, at, &mut piece) {
            at += n as u64;
            assert!(at <= head.body, "longer than it says");
        }
        for recipient in 0..head.envelope.recipients.len() {
            let _ = spool.mark(head.id, recipient as u32, Status::Delivered, time);
        }
        let _ = spool.remove(head.id, time);
    }
    spool.close();
    let (_, again) = found(spool.into_disk());
    for id in &intact {
        assert!(!again.iter().any(|head| head.id == *id), "{id:?} came back");
    }
}
