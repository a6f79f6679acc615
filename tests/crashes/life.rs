//! What a server does with its spool, by lot.

use std::time::Duration;

use mailflux::base::{
    Address, Client, Envelope, MessageId, Now, Protocol, Recipient, Status, Time, Wall,
};
use mailflux::spool::{Disk, Head, Incoming, SimDisk, SimFile, Spool};

use super::ledger::{Fate, Ledger, Word};

/// A process with its spool; none when the disk did not even let it start.
pub struct Life {
    spool: Result<Spool<SimDisk>, SimDisk>,
    ledger: Ledger,
    rng: fastrand::Rng,
    now: Now,
    found: Vec<Head>,
    refused: usize,
}

fn envelope(recipients: usize, bounce_of: Option<(u64, Vec<u32>)>) -> Envelope {
    let address = |text: &str| Address::parse(text).expect("an address");
    let to = |n| Recipient::new(address(&format!("r{n}@example.net")));
    let client = Client { ip: None, helo: None, protocol: Protocol::Smtp, user: None };
    let from = bounce_of.is_none().then(|| address("ann@example.org"));
    let plain = Envelope::plain(client, from, (0..recipients).map(to).collect());
    Envelope { bounce_of, ..plain }
}

impl Life {
    /// A process starts: opens the spool and recovers it.
    pub fn begin(disk: SimDisk, ledger: Ledger, seed: u64) -> Life {
        let now = Now { time: Time::from_micros(1_000_000), wall: Wall::from_secs(1_787_510_546) };
        let mut life = Life {
            spool: Err(disk),
            ledger,
            rng: fastrand::Rng::with_seed(seed),
            now,
            found: Vec::new(),
            refused: 0,
        };
        life.start();
        life
    }

    fn start(&mut self) {
        let Err(disk) = std::mem::replace(&mut self.spool, Err(SimDisk::new())) else {
            panic!("a second start")
        };
        let before = disk.clone();
        self.spool = Spool::open(disk).map_err(|_| before);
        if let Ok(spool) = &mut self.spool {
            spool.expect_load();
        }
        self.found.clear();
        self.recover();
    }

    fn recover(&mut self) {
        let Ok(spool) = &mut self.spool else { return };
        for _ in 0..200 {
            let slice = spool.recover(3, self.now.time);
            self.found.extend(slice.heads);
            if slice.complete {
                self.ledger.found(&self.found);
                return;
            }
            // A sick disk is tried again later.
            self.now.time = self.now.time.after(Duration::from_secs(16));
            spool.try_again(self.now.time);
        }
    }

    /// The disk and what was promised.
    pub fn end(self) -> (SimDisk, Ledger) {
        let disk = match self.spool {
            Ok(spool) => spool.into_disk(),
            Err(disk) => disk,
        };
        (disk, self.ledger)
    }

    /// Messages that were refused.
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// What was found is what was promised.
    pub fn check(&mut self, words: &str) {
        let Ok(spool) = &mut self.spool else { panic!("{words}: the spool cannot be opened") };
        assert!(!spool.is_recovering(), "{words}: recovery has no end");
        let mut found = Vec::new();
        for head in std::mem::take(&mut self.found) {
            // Damaged: it was never promised, or the ledger will miss it.
            if let Ok(octets) = content(spool, head.id) {
                found.push((head, octets));
            }
        }
        self.ledger.check(&found, words);
    }

    /// Works until nothing is left. Nothing comes back after that, when the disk is an honest one:
    /// a flush that failed may have lost the removals that it should have kept (I10).
    pub fn finish(mut self, honest: bool, words: &str) {
        self.deliver_all(words);
        let Ok(spool) = &mut self.spool else { panic!("{words}: no spool") };
        assert!(spool.failure().is_none(), "{words}: {:?}", spool.failure());
        assert!(spool.is_empty(), "{words}: {} messages are left", spool.len());
        spool.close();
        let (disk, mut ledger) = self.end();
        ledger.flush_failed = !honest;
        let mut again = Life::begin(disk.power_cut(0), ledger, 3);
        if honest {
            assert!(again.found.is_empty(), "{words}: came back: {:?}", again.found);
        }
        again.check(words);
    }

    /// Some steps.
    pub fn go_on(&mut self, steps: u32) {
        for _ in 0..steps {
            if self.is_dark() {
                return;
            }
            self.now.time = self.now.time.after(Duration::from_secs(self.rng.u64(0..40)));
            match self.rng.u8(0..12) {
                0..4 => self.commit(),
                4 => self.burst(),
                5..8 => self.deliver(),
                8 => self.bounce(),
                9 => self.remove(),
                10 => self.rest(),
                _ => self.restart(),
            }
        }
    }

    /// The power is gone, and with it the process.
    fn is_dark(&self) -> bool {
        let disk = match &self.spool {
            Ok(spool) => spool.disk(),
            Err(disk) => disk,
        };
        disk.cut_at.is_some_and(|at| disk.operations() >= at)
    }

    /// Some messages finish in one tick.
    fn commit(&mut self) {
        let count = self.rng.usize(1..4);
        let mut all = Vec::new();
        for _ in 0..count {
            let recipients = self.rng.usize(1..4);
            let content = self.content();
            all.push((envelope(recipients, None), content));
        }
        self.commit_these(all);
    }

    /// Commits that follow each other closely: files are prepared for the later ones, and those
    /// of which all is done are used again.
    fn burst(&mut self) {
        for _ in 0..self.rng.u32(2..5) {
            self.commit();
            if let Ok(spool) = &mut self.spool {
                spool.prepare();
            }
            if self.rng.u8(0..3) > 0 {
                self.deliver_much();
            }
            self.now.time = self.now.time.after(Duration::from_millis(100));
        }
    }

    fn deliver_much(&mut self) {
        for _ in 0..self.rng.u32(1..8) {
            let Some(id) = self.any().filter(|_| self.may_forward()) else { return };
            let open = self.open(id);
            self.record(id, &open, Status::Delivered, Fate::Delivered);
        }
    }

    fn content(&mut self) -> Vec<u8> {
        match self.rng.u8(0..16) {
            0 => b"MAILFLUX1 not a record\nMAILFLUX1 \r\n".to_vec(),
            1 => vec![b'x'; 257 * 1024],
            2 => Vec::new(),
            n => format!("Subject: {}\r\n\r\n", self.rng.u32(..)).repeat(n.into()).into_bytes(),
        }
    }

    /// True for each whose commit said yes.
    fn commit_these(&mut self, all: Vec<(Envelope, Vec<u8>)>) -> Vec<Option<MessageId>> {
        let now = self.now;
        let Ok(spool) = &mut self.spool else { return Vec::new() };
        let mut begun = Vec::new();
        for (envelope, content) in all {
            let begin = spool.begin(&envelope, now);
            let Ok(mut incoming): Result<Incoming<SimFile>, _> = begin else {
                self.refused += 1;
                continue;
            };
            let id = incoming.id();
            self.ledger.came(id, &envelope, &content);
            let halves = content.split_at(content.len() / 2);
            let done = spool.append(&mut incoming, halves.0);
            if done.and_then(|()| spool.append(&mut incoming, halves.1)).is_err() {
                spool.abort(incoming);
                self.ledger.get(id.counter).word = Word::No;
                self.refused += 1;
                continue;
            }
            spool.finish(incoming);
            begun.push(id);
        }
        let mut said = Vec::new();
        for (id, result) in spool.commit() {
            assert!(begun.contains(&id));
            let yes = result.is_ok();
            self.refused += usize::from(!yes);
            self.ledger.get(id.counter).word = if yes { Word::Yes } else { Word::No };
            said.push(yes.then_some(id));
        }
        said
    }

    fn any(&mut self) -> Option<MessageId> {
        let Ok(spool) = &self.spool else { return None };
        let mut ids: Vec<MessageId> = spool.ids().collect();
        ids.sort_unstable();
        self.rng.choice(ids)
    }

    /// Forwarding pauses while outcomes cannot be recorded.
    fn may_forward(&self) -> bool {
        self.spool.as_ref().is_ok_and(|spool| spool.failure().is_none())
    }

    /// Recipients that nothing was recorded of.
    fn open(&mut self, id: MessageId) -> Vec<u32> {
        let Ok(spool) = &mut self.spool else { return Vec::new() };
        let Ok(head) = spool.head(id) else { return Vec::new() };
        let open = head.statuses.iter().enumerate().filter(|(_, status)| !status.done());
        open.map(|(i, _)| i as u32).collect()
    }

    fn record(&mut self, id: MessageId, recipients: &[u32], status: Status, fate: Fate) {
        let time = self.now.time;
        let Ok(spool) = &mut self.spool else { return };
        let entry = self.ledger.get(id.counter);
        for recipient in recipients {
            // A bounce has the first word: what came before it was not durable.
            entry.fates[*recipient as usize] = fate;
        }
        let marks: Vec<(u32, Status)> = recipients.iter().map(|r| (*r, status)).collect();
        if let Ok(true) = spool.mark_all(id, &marks, time) {
            self.ledger.get(id.counter).gone = true;
        }
    }

    /// A next server takes a message, for some of its recipients.
    fn deliver(&mut self) {
        if !self.may_forward() {
            return;
        }
        let Some(id) = self.any() else { return };
        let mut open = self.open(id);
        if self.rng.bool() {
            open.truncate(1);
        }
        self.record(id, &open, Status::Delivered, Fate::Delivered);
    }

    /// A recipient fails: first the bounce, then the mark (I15).
    fn bounce(&mut self) {
        if !self.may_forward() {
            return;
        }
        let Some(id) = self.any() else { return };
        let Some(recipient) = self.open(id).first().copied() else { return };
        if self.ledger.get(id.counter).envelope.from.is_none() {
            return self.record(id, &[recipient], Status::Delivered, Fate::Delivered);
        }
        let letter = envelope(1, Some((id.counter, vec![recipient])));
        let said = self.commit_these(vec![(letter, b"Subject: bounce\r\n".to_vec())]);
        let Some(Some(bounce)) = said.first() else {
            // It may be there after a crash, and then it speaks.
            let last = *self.ledger.entries.keys().last().expect("the bounce");
            let spoke = self.ledger.get(last).envelope.bounce_of.is_some();
            if spoke && !said.is_empty() {
                self.ledger.get(id.counter).fates[recipient as usize] = Fate::Bounced(last);
            }
            return;
        };
        self.record(id, &[recipient], Status::Failed, Fate::Bounced(bounce.counter));
    }

    /// Somebody deletes a message.
    fn remove(&mut self) {
        let Some(id) = self.any() else { return };
        let time = self.now.time;
        let Ok(spool) = &mut self.spool else { return };
        self.ledger.get(id.counter).word = Word::Going;
        if spool.remove(id, time).is_ok() {
            self.ledger.get(id.counter).word = Word::Removed;
        }
    }

    /// Time passes: a sick disk is tried, old files are rewritten.
    fn rest(&mut self) {
        self.now.time = self.now.time.after(Duration::from_secs(70));
        let Ok(spool) = &mut self.spool else { return };
        spool.try_again(self.now.time);
    }

    /// The process ends, in order or not, and the next one starts.
    fn restart(&mut self) {
        if self.rng.bool() {
            if let Ok(spool) = &mut self.spool {
                spool.close();
            }
        }
        let over = std::mem::replace(&mut self.spool, Err(SimDisk::new()));
        self.spool = Err(match over {
            Ok(spool) => spool.into_disk(),
            Err(disk) => disk,
        });
        self.start();
    }

    fn deliver_all(&mut self, words: &str) {
        for _ in 0..100 {
            self.rest();
            let Ok(spool) = &self.spool else { panic!("{words}: no spool") };
            let ids: Vec<MessageId> = spool.ids().collect();
            if ids.is_empty() {
                return;
            }
            for id in ids {
                let open = self.open(id);
                self.record(id, &open, Status::Delivered, Fate::Delivered);
            }
        }
    }
}

fn content<D: Disk>(spool: &mut Spool<D>, id: MessageId) -> Result<Vec<u8>, String> {
    spool.check(id).map_err(|e| e.to_string())?;
    let (mut all, mut piece) = (Vec::new(), vec![0; 70_000]);
    loop {
        let n = spool.read(id, all.len() as u64, &mut piece).map_err(|e| e.to_string())?;
        if n == 0 {
            return Ok(all);
        }
        all.extend_from_slice(&piece[..n]);
    }
}
