//! The people of the simulation: clients that send mail and note what they were told, and next
//! servers that take it, or not, and note what they took.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use crate::net::{Conn, SimNet};

/// What is known of one message.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Fate {
    pub recipients: BTreeSet<String>,
    /// 250 after the dot.
    pub acknowledged: bool,
    /// 4xx or 5xx after the dot.
    pub refused: bool,
    /// A next server took it, for whom and how often.
    pub delivered: BTreeMap<String, u32>,
    /// A next server refused it for good.
    pub failed: BTreeSet<String>,
    /// The bounces, by their Message-ID, in which each recipient was named as failed.
    pub bounced: BTreeMap<String, BTreeSet<String>>,
    /// Notices of a delay, which come when the calendar says that it is late.
    pub delayed: u64,
    /// A next server refused a bounce for good.
    pub bounce_refused: bool,
}

/// All that was promised and kept.
#[derive(Default)]
pub struct Ledger {
    pub fates: BTreeMap<u64, Fate>,
    /// Messages that came in a chunk, and chunks that were not understood.
    pub chunks: u64,
    pub lost_chunks: u64,
}

/// What a next server thinks of BDAT (RFC 3030).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chunks {
    /// It does not offer it.
    None,
    /// It takes it.
    Taken,
    /// It offers it, reads the chunk, and does not take it.
    Refused,
    /// It offers it, and reads the chunk as commands.
    Unknown,
}

impl Chunks {
    /// One kind for each world.
    pub fn of(seed: u64) -> Chunks {
        [Chunks::None, Chunks::Taken, Chunks::Refused, Chunks::Unknown][(seed / 3 % 4) as usize]
    }
}

/// A client: one connection, a few messages.
pub struct Client {
    pub conn: Conn,
    script: Vec<(String, Step)>,
    /// Whose reply is awaited.
    at: usize,
    /// What is sent next.
    sent: usize,
    out: Vec<u8>,
    heard: Vec<u8>,
    pipelining: bool,
    gone: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Command,
    Content(u64),
    /// After the greeting, before any command.
    Greeting,
}

impl Client {
    pub fn new(conn: Conn, numbers: &[u64], ledger: &mut Ledger, rng: &mut Rng) -> Client {
        let mut script =
            vec![(String::new(), Step::Greeting), ("EHLO c.test\r\n".into(), Step::Command)];
        for n in numbers {
            let fate = ledger.fates.entry(*n).or_default();
            script.push((format!("MAIL FROM:<s{n}@x.test>\r\n"), Step::Command));
            for r in 0..rng.u64(1..4) {
                fate.recipients.insert(format!("r{r}-{n}@y.test"));
                script.push((format!("RCPT TO:<r{r}-{n}@y.test>\r\n"), Step::Command));
            }
            script.push(("DATA\r\n".into(), Step::Command));
            let mut content = format!("Subject: number {n}\r\n\r\n");
            for line in 0..rng.u32(..60) {
                let dots = if rng.u32(..5) == 0 { ".." } else { "" };
                content += &format!("{dots}line {line} {}\r\n", "x".repeat(rng.usize(..200)));
            }
            script.push((content + ".\r\n", Step::Content(*n)));
        }
        script.push(("QUIT\r\n".into(), Step::Command));
        Client {
            conn,
            script,
            at: 0,
            sent: 1,
            out: vec![],
            heard: vec![],
            pipelining: rng.bool(),
            gone: false,
        }
    }

    /// Acts once; true when it is done for.
    pub fn act(&mut self, net: &mut SimNet, ledger: &mut Ledger, faults: bool) -> bool {
        if self.gone || net.is_over(self.conn) {
            return true;
        }
        if faults && net.rng.u32(..400) == 0 {
            net.reset(self.conn);
            self.gone = true;
            return true;
        }
        let most = net.rng.usize(1..700).min(self.out.len());
        let sent = net.send(self.conn, &self.out[..most]);
        self.out.drain(..sent);
        self.heard.extend(net.receive(self.conn));
        while let Some(end) = self.heard.windows(2).position(|w| w == b"\r\n") {
            let line: Vec<u8> = self.heard.drain(..end + 2).collect();
            if line.get(3) == Some(&b'-') {
                continue;
            }
            self.hear(&line, ledger);
        }
        if self.at >= self.script.len() {
            net.end(self.conn);
            self.gone = true;
        }
        self.gone
    }

    fn hear(&mut self, line: &[u8], ledger: &mut Ledger) {
        let (good, begins) = (line[0] == b'2', line[0] == b'3');
        let step = self.script[self.at].1;
        if let Step::Content(n) = step {
            let fate = ledger.fates.entry(n).or_default();
            (fate.acknowledged, fate.refused) = (good, !good);
        }
        if !good && !begins && !matches!(step, Step::Content(_)) {
            // Whatever was refused, this client has had enough.
            self.at = self.script.len();
            return;
        }
        self.at += 1;
        self.say();
    }

    /// Puts the next command out; a pipelining client also those behind it, up to DATA.
    fn say(&mut self) {
        while let Some((text, step)) = self.script.get(self.sent) {
            let waits = self.script[self.at..self.sent].iter().any(|(t, _)| ends_group(t));
            let alone = self.sent > self.at && (!self.pipelining || *step != Step::Command);
            if waits || alone {
                return;
            }
            self.out.extend_from_slice(text.as_bytes());
            self.sent += 1;
        }
    }
}

/// RFC 2920 section 3.1: nothing may follow these before their reply.
fn ends_group(command: &str) -> bool {
    ["EHLO", "DATA", "QUIT"].iter().any(|c| command.starts_with(c))
        || command.ends_with("\r\n.\r\n")
}

/// A next server's side of one connection.
pub struct Server {
    pub conn: Conn,
    heard: Vec<u8>,
    out: Vec<u8>,
    recipients: Vec<String>,
    content: bool,
    greeted: bool,
    /// The reactor said EHLO.
    pub welcomed: bool,
    gone: bool,
    /// Faults in a thousand, at each stage.
    odds: u32,
    chunks: Chunks,
    /// Octets of the chunk that comes.
    chunk: Option<usize>,
}

impl Server {
    pub fn new(conn: Conn, odds: u32, chunks: Chunks) -> Server {
        let (heard, out, recipients) = (vec![], vec![], vec![]);
        let (content, greeted, welcomed, gone, chunk) = (false, false, false, false, None);
        Server {
            conn,
            heard,
            out,
            recipients,
            content,
            greeted,
            welcomed,
            gone,
            odds,
            chunks,
            chunk,
        }
    }

    /// Acts once; true when it is done for.
    pub fn act(&mut self, net: &mut SimNet, ledger: &mut Ledger) -> bool {
        if !self.greeted {
            self.greeted = true;
            self.out.extend_from_slice(b"220 next.test ESMTP\r\n");
        }
        let most = net.rng.usize(1..300).min(self.out.len());
        let sent = net.send(self.conn, &self.out[..most]);
        self.out.drain(..sent);
        if self.gone && self.out.is_empty() {
            net.end(self.conn);
            return true;
        }
        let fresh = net.receive(self.conn);
        if fresh.is_empty() && net.is_over(self.conn) {
            return true;
        }
        self.heard.extend(fresh);
        while !self.gone && self.step(net, ledger) {}
        self.gone && self.out.is_empty()
    }

    fn step(&mut self, net: &mut SimNet, ledger: &mut Ledger) -> bool {
        if self.content {
            let Some(end) = self.heard.windows(5).position(|w| w == b"\r\n.\r\n") else {
                return false;
            };
            let text: Vec<u8> = self.heard.drain(..end + 5).collect();
            self.content = false;
            self.take(&text, net, ledger);
            return true;
        }
        if let Some(size) = self.chunk {
            if self.heard.len() < size {
                return false;
            }
            self.chunk = None;
            let text: Vec<u8> = self.heard.drain(..size).collect();
            self.take_chunk(&text, net, ledger);
            return true;
        }
        let Some(end) = self.heard.windows(2).position(|w| w == b"\r\n") else { return false };
        let line: Vec<u8> = self.heard.drain(..end + 2).collect();
        let line = String::from_utf8(line).unwrap();
        if self.fault(net) {
            return false;
        }
        self.command(line.trim_end(), net, ledger);
        true
    }

    /// Goes away, with or without a word.
    fn fault(&mut self, net: &mut SimNet) -> bool {
        if net.rng.u32(..1000) >= self.odds {
            return false;
        }
        match net.rng.u32(..4) {
            0 => net.reset(self.conn),
            1 => self.out.extend_from_slice(b"421 4.3.2 going away\r\n"),
            2 => self.out.extend_from_slice(b"250-cut sh"),
            _ => self.out.extend_from_slice(b"%$ garbage\r\n"),
        }
        self.gone = true;
        true
    }

    fn command(&mut self, line: &str, net: &mut SimNet, ledger: &mut Ledger) {
        self.welcomed |= line.starts_with("EHLO");
        let refused = net.rng.u32(..1000) < self.odds;
        let reply = match line.split_once(':').map_or(line, |(v, _)| v) {
            l if l.starts_with("EHLO") && self.chunks == Chunks::None => {
                "250-next.test\r\n250-PIPELINING\r\n250 SIZE 0"
            }
            l if l.starts_with("EHLO") => {
                "250-next.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SIZE 0"
            }
            l if l.starts_with("BDAT") && self.chunks != Chunks::Unknown => {
                assert!(self.chunks != Chunks::None && l.ends_with(" LAST"), "{l}");
                self.chunk = Some(l.split(' ').nth(1).unwrap().parse().unwrap());
                return;
            }
            l if l.starts_with("BDAT") => {
                ledger.lost_chunks += 1;
                "500 5.5.1 what?"
            }
            "MAIL FROM" if refused => "451 4.3.0 not now",
            "MAIL FROM" => {
                self.recipients.clear();
                "250 2.1.0 Ok"
            }
            "RCPT TO" if refused && net.rng.bool() => "450 4.2.1 not now",
            "RCPT TO" => {
                let rcpt = line.split(['<', '>']).nth(1).unwrap().to_owned();
                if refused {
                    note(ledger, &rcpt, |fate| {
                        if rcpt.starts_with('s') {
                            fate.bounce_refused = true;
                        } else {
                            fate.failed.insert(rcpt.clone());
                        }
                    });
                    "550 5.1.1 nobody"
                } else {
                    self.recipients.push(rcpt);
                    "250 2.1.5 Ok"
                }
            }
            "DATA" if self.recipients.is_empty() => "554 5.5.1 nobody",
            "DATA" if refused => "451 4.3.0 not now",
            "DATA" => {
                self.content = true;
                "354 go on"
            }
            "RSET" => {
                self.recipients.clear();
                "250 2.0.0 Ok"
            }
            "QUIT" => {
                self.gone = true;
                "221 2.0.0 Bye"
            }
            _ if self.chunks == Chunks::Unknown => "500 5.5.1 what?",
            other => panic!("a next server heard {other:?}"),
        };
        self.out.extend_from_slice(reply.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    fn take_chunk(&mut self, text: &[u8], net: &mut SimNet, ledger: &mut Ledger) {
        if self.chunks == Chunks::Refused {
            ledger.lost_chunks += 1;
            return self.out.extend_from_slice(b"502 5.5.1 not implemented\r\n");
        }
        ledger.chunks += 1;
        self.take(text, net, ledger);
    }

    fn take(&mut self, text: &[u8], net: &mut SimNet, ledger: &mut Ledger) {
        let text = String::from_utf8(text.to_vec()).unwrap();
        if text.contains("multipart/report") {
            return self.take_bounce(&text, net, ledger);
        }
        assert!(text.starts_with("Received: "), "{text}");
        let number = text.split("Subject: number ").nth(1).unwrap().split("\r\n").next().unwrap();
        let number: u64 = number.parse().unwrap();
        let is_tagged = text.contains("\r\nX-Even: yes\r\nSubject: ");
        assert_eq!(is_tagged, number % 2 == 0, "{text}");
        if net.rng.u32(..1000) < self.odds {
            self.out.extend_from_slice(b"452 4.3.1 full\r\n");
            return;
        }
        for rcpt in std::mem::take(&mut self.recipients) {
            assert!(rcpt.ends_with(&format!("-{number}@y.test")), "{rcpt} got number {number}");
            note(ledger, &rcpt, |fate| *fate.delivered.entry(rcpt.clone()).or_insert(0) += 1);
        }
        // Taken, and perhaps the reply is lost: then it comes again, which is allowed.
        if !self.fault(net) {
            self.out.extend_from_slice(b"250 2.0.0 taken\r\n");
        }
    }
}

impl Server {
    fn take_bounce(&mut self, text: &str, net: &mut SimNet, ledger: &mut Ledger) {
        if net.rng.u32(..1000) < self.odds {
            self.out.extend_from_slice(b"452 4.3.1 full\r\n");
            return;
        }
        let field = |name: &str| text.split(name).nth(1).unwrap().split("\r\n").next().unwrap();
        let id = field("Message-ID: ").to_owned();
        for about in text.split("Final-Recipient: rfc822; ").skip(1) {
            let rcpt = about.split("\r\n").next().unwrap().to_owned();
            if about.split("\r\n\r\n").next().unwrap().contains("Action: delayed") {
                note(ledger, &rcpt, |fate| fate.delayed += 1);
                continue;
            }
            note(ledger, &rcpt, |fate| {
                fate.bounced.entry(rcpt.clone()).or_default().insert(id.clone());
            });
        }
        if !self.fault(net) {
            self.out.extend_from_slice(b"250 2.0.0 taken\r\n");
        }
    }
}

/// Notes something of the message that this recipient belongs to.
fn note(ledger: &mut Ledger, rcpt: &str, change: impl FnOnce(&mut Fate)) {
    let number = rcpt.split('@').next().unwrap().trim_start_matches('s');
    let number = number.rsplit('-').next().unwrap().parse().unwrap();
    change(ledger.fates.get_mut(&number).unwrap());
}
