//! Next servers for trials: each records what it takes, and does at every point of a conversation
//! what its script says, however hostile.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::{pause, wait_for};

/// A message that was taken.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The MAIL command's argument: path and parameters.
    pub from: String,
    /// The arguments of the RCPT commands that were accepted.
    pub to: Vec<String>,
    /// The content, dots removed.
    pub content: Vec<u8>,
    /// It was taken, and the connection cut in the place of the reply.
    pub unanswered: bool,
}

impl Mail {
    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// What follows the trace header that the server under test put in front.
    pub fn without_trace(&self) -> &[u8] {
        assert!(self.content.starts_with(b"Received: "), "no trace: {}", self.text());
        let mut at = 0;
        loop {
            let line = self.content[at..].iter().position(|b| *b == b'\n').unwrap() + 1;
            at += line;
            if !matches!(self.content.get(at), Some(b' ' | b'\t')) {
                return &self.content[at..];
            }
        }
    }
}

/// Where a conversation stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Connect,
    Helo,
    Mail,
    Rcpt,
    Data,
    /// The content has come.
    Dot,
    Quit,
    Other,
}

/// What a script may look at.
pub struct Moment<'a> {
    pub stage: Stage,
    /// The command line; empty at `Connect` and `Dot`.
    pub line: &'a str,
    /// Connections count from 1.
    pub connection: usize,
    /// Transactions that reached their dot before, on all connections.
    pub transactions: usize,
}

/// What a script may do.
pub enum Act {
    /// The usual.
    Usual,
    /// Says this instead, line ends included; at `Dot` 2xx takes the message, others do not.
    Say(String),
    /// Says this octet by octet, with pauses.
    Drip(String),
    /// Says this, then closes.
    SayAndClose(String),
    /// Takes the message, then closes without a reply.
    TakeAndClose,
    /// Closes without a reply.
    Close,
    /// Resets the connection.
    Reset,
}

type Script = dyn Fn(&Moment) -> Act + Send + Sync;

#[derive(Default)]
struct Record {
    mails: Mutex<Vec<Mail>>,
    lines: Mutex<Vec<String>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    transactions: AtomicUsize,
    over: AtomicBool,
}

pub struct Next {
    pub address: SocketAddr,
    record: Arc<Record>,
}

impl Next {
    /// One that accepts everything.
    pub fn new() -> Next {
        Next::scripted(|_| Act::Usual)
    }

    /// One that follows a script.
    pub fn scripted(script: impl Fn(&Moment) -> Act + Send + Sync + 'static) -> Next {
        Next::at("127.0.0.1:0".parse().unwrap(), script)
    }

    /// The same at an address that is known beforehand.
    pub fn at(
        address: SocketAddr,
        script: impl Fn(&Moment) -> Act + Send + Sync + 'static,
    ) -> Next {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let record = Arc::new(Record::default());
        let (theirs, script) = (Arc::clone(&record), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if theirs.over.load(Ordering::SeqCst) {
                    return;
                }
                let (record, script) = (Arc::clone(&theirs), Arc::clone(&script));
                let Ok(stream) = stream else { continue };
                thread::spawn(move || serve(stream, &record, &*script));
            }
        });
        Next { address, record }
    }

    /// All messages taken so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.record.mails.lock().unwrap().clone()
    }

    /// The messages taken since this was asked last; they are forgotten here.
    pub fn collect(&self) -> Vec<Mail> {
        std::mem::take(&mut self.record.mails.lock().unwrap())
    }

    /// Waits until everything that a dead client has sent is taken or given up.
    pub fn settle(&self) {
        // Whoever connects last is served last: nobody waits to be accepted behind this one.
        let mut last = TcpStream::connect(self.address).unwrap();
        let _ = last.read(&mut [0]);
        drop(last);
        wait_for("the end of all connections", || {
            (self.record.open.load(Ordering::SeqCst) == 0).then_some(())
        });
    }

    /// How many messages were taken so far.
    pub fn count(&self) -> usize {
        self.record.mails.lock().unwrap().len()
    }

    /// Waits until so many messages have been taken.
    #[track_caller]
    pub fn wait(&self, count: usize) -> Vec<Mail> {
        wait_for("messages at the next server", || (self.count() >= count).then_some(()));
        self.mails()
    }

    /// All command lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.record.lines.lock().unwrap().clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.record.connections.load(Ordering::SeqCst)
    }

    /// The most connections that were open at once.
    pub fn most_open(&self) -> usize {
        self.record.most_open.load(Ordering::SeqCst)
    }
}

impl Drop for Next {
    fn drop(&mut self) {
        self.record.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// A conversation under way.
struct Session<'a> {
    stream: BufReader<TcpStream>,
    record: &'a Record,
    script: &'a Script,
    connection: usize,
    mail: Option<Mail>,
}

fn serve(stream: TcpStream, record: &Record, script: &Script) {
    let connection = record.connections.fetch_add(1, Ordering::SeqCst) + 1;
    let open = record.open.fetch_add(1, Ordering::SeqCst) + 1;
    record.most_open.fetch_max(open, Ordering::SeqCst);
    stream.set_nodelay(true).unwrap();
    let stream = BufReader::new(stream);
    // How it ends (cut, reset, closed) is the other side's to notice.
    let _ = Session { stream, record, script, connection, mail: None }.run();
    record.open.fetch_sub(1, Ordering::SeqCst);
}

const EHLO: &str = "250-next.example.net\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n\
    250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 DSN\r\n";

impl Session<'_> {
    fn run(&mut self) -> io::Result<()> {
        self.act(Stage::Connect, "", "220 next.example.net ESMTP\r\n")?;
        loop {
            let mut line = Vec::new();
            if self.stream.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            self.record.lines.lock().unwrap().push(line.clone());
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match &*verb {
                "EHLO" => self.act(Stage::Helo, &line, EHLO)?,
                "HELO" => self.act(Stage::Helo, &line, "250 next.example.net\r\n")?,
                "MAIL" => self.mail(&line)?,
                "RCPT" => self.rcpt(&line)?,
                "DATA" => self.data(&line)?,
                "QUIT" => {
                    self.act(Stage::Quit, &line, "221 2.0.0 Bye\r\n")?;
                    return Ok(());
                }
                "RSET" | "NOOP" => self.act(Stage::Other, &line, "250 2.0.0 Ok\r\n")?,
                _ => self.act(Stage::Other, &line, "500 5.5.1 What?\r\n")?,
            }
        }
    }

    fn mail(&mut self, line: &str) -> io::Result<()> {
        self.mail = None;
        let reply = self.ask(Stage::Mail, line, "250 2.1.0 Ok\r\n")?;
        if reply.starts_with('2') {
            let (from, to, content) = (line[10..].into(), Vec::new(), Vec::new());
            self.mail = Some(Mail { from, to, content, unanswered: false });
        }
        Ok(())
    }

    fn rcpt(&mut self, line: &str) -> io::Result<()> {
        let reply = self.ask(Stage::Rcpt, line, "250 2.1.5 Ok\r\n")?;
        if let (Some(mail), true) = (&mut self.mail, reply.starts_with('2')) {
            mail.to.push(line[8..].into());
        }
        Ok(())
    }

    fn data(&mut self, line: &str) -> io::Result<()> {
        if self.mail.as_ref().is_none_or(|mail| mail.to.is_empty()) {
            return self.say("503 5.5.1 No recipients\r\n");
        }
        let reply = self.ask(Stage::Data, line, "354 Go on\r\n")?;
        if !reply.starts_with('3') {
            return Ok(());
        }
        let mut content = Vec::new();
        loop {
            let start = content.len();
            if self.stream.read_until(b'\n', &mut content)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // Only a whole CRLF ends a line.
            let whole = start == 0 || content[..start].ends_with(b"\r\n");
            match &content[start..] {
                b".\r\n" if whole => {
                    content.truncate(start);
                    break;
                }
                [b'.', ..] if whole => drop(content.remove(start)),
                _ => {}
            }
        }
        let mut mail = self.mail.take().unwrap();
        mail.content = content;
        self.dot(mail)
    }

    fn dot(&mut self, mut mail: Mail) -> io::Result<()> {
        let moment = self.moment(Stage::Dot, "");
        let act = (self.script)(&moment);
        self.record.transactions.fetch_add(1, Ordering::SeqCst);
        let takes = match &act {
            Act::Usual | Act::TakeAndClose => true,
            Act::Say(text) | Act::Drip(text) => text.starts_with('2'),
            Act::SayAndClose(_) | Act::Close | Act::Reset => false,
        };
        mail.unanswered = matches!(act, Act::TakeAndClose);
        if takes {
            // Counted before the reply: whoever has read the reply finds it counted.
            self.record.mails.lock().unwrap().push(mail);
        }
        self.perform(act, "250 2.0.0 Taken\r\n").map(drop)
    }

    fn moment<'m>(&self, stage: Stage, line: &'m str) -> Moment<'m> {
        let transactions = self.record.transactions.load(Ordering::SeqCst);
        Moment { stage, line, connection: self.connection, transactions }
    }

    fn act(&mut self, stage: Stage, line: &str, usual: &str) -> io::Result<()> {
        self.ask(stage, line, usual).map(drop)
    }

    /// Does what the script says; gives what was said.
    fn ask(&mut self, stage: Stage, line: &str, usual: &str) -> io::Result<String> {
        let act = (self.script)(&self.moment(stage, line));
        self.perform(act, usual)
    }

    fn perform(&mut self, act: Act, usual: &str) -> io::Result<String> {
        let over = Err(io::ErrorKind::ConnectionAborted.into());
        match act {
            Act::Usual => self.say(usual).map(|()| usual.into()),
            Act::Say(text) => self.say(&text).map(|()| text),
            Act::Drip(text) => {
                for octet in text.as_bytes() {
                    self.stream.get_mut().write_all(&[*octet])?;
                    pause();
                }
                Ok(text)
            }
            Act::SayAndClose(text) => {
                self.say(&text)?;
                self.drain();
                over
            }
            Act::TakeAndClose | Act::Close => {
                self.drain();
                over
            }
            Act::Reset => {
                socket2::SockRef::from(self.stream.get_ref())
                    .set_linger(Some(std::time::Duration::ZERO))?;
                over
            }
        }
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(text.as_bytes())
    }

    /// Takes what is on its way, so that closing does not become a reset.
    fn drain(&mut self) {
        let _ = self.stream.get_ref().shutdown(std::net::Shutdown::Write);
        let _ = self.stream.get_ref().set_read_timeout(Some(crate::PATIENCE));
        let _ = io::copy(&mut self.stream.by_ref(), &mut io::sink());
    }
}

/// The harness itself: what a client says is what the record has.
#[test]
fn next_server_records() {
    let next = Next::scripted(|moment| match moment.stage {
        Stage::Rcpt if moment.line.contains("bad") => Act::Say("550 5.1.1 No\r\n".into()),
        Stage::Dot if moment.transactions == 1 => Act::SayAndClose("250 cut".into()),
        _ => Act::Usual,
    });
    let mut client = crate::client::Client::connect(next.address).unwrap();
    client.command("EHLO x").expect(250);
    client.command("MAIL FROM:<a@x> SIZE=5").expect(250);
    client.command("RCPT TO:<bad@x>").expect(550);
    client.command("RCPT TO:<b@x>").expect(250);
    client.command("DATA").expect(354);
    client.send("Received: x\r\n\ty\r\nA: b\r\n\r\n..dot\r\n..\n\n.\r\nc\r\n.\r\n").unwrap();
    client.reply().unwrap().expect(250);
    let mail = &next.mails()[0];
    assert_eq!((&*mail.from, &*mail.to), ("<a@x> SIZE=5", &["<b@x>".to_owned()][..]));
    assert_eq!(mail.without_trace(), b"A: b\r\n\r\n.dot\r\n.\n\n.\r\nc\r\n");
    assert!(client.deliver("a@x", &["b@x"], b"x\r\n").is_err());
    assert_eq!((next.count(), next.connections(), next.most_open()), (1, 1, 1));
}
