//! Submission: the same machine that speaks to next servers, over a blocking socket.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::base::{Address, Failure, Printable, Reply, Time, cause, exit};
use crate::config::Config;
use crate::journal::Ending;
use crate::reactor::Clock;
use crate::smtp::Verdict;
use crate::smtp::client::{Action, ClientConfig, ClientSession, Fault, Mode, Transaction};
use crate::smtp::data::DotEncoder;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(30);
/// How long to wait for what a server said before it closed, and how much that may be.
const LAST_WORDS: Duration = Duration::from_secs(5);
const MAX_WORDS: u64 = 64 << 10;
/// Octets of content encoded at once.
const CHUNK: usize = 64 << 10;

/// Submits a message to the server of the configuration.
pub(in super::super) fn deliver(
    config: &Config,
    transaction: Transaction,
    content: &[u8],
) -> Result<(), Failure> {
    let names: Vec<Address> = transaction.recipients.iter().map(|r| r.1.address.clone()).collect();
    let (stream, address) = connect(&config.server.listen)?;
    let settings = ClientConfig::new(&config.server.hostname);
    let mut talk = Talk {
        stream,
        session: ClientSession::new(settings, address, false),
        clock: Clock::new(),
        input: vec![],
        outcomes: vec![None; names.len()],
        untried: vec![],
        known: None,
        broken: None,
    };
    let fault = talk.run(&transaction, content);
    verdict(&names, &talk.outcomes, &fault, address)
}

/// A connection to the first of the server's addresses that answers.
fn connect(listen: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Failure> {
    let mut last = None;
    for address in listen {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let address = SocketAddr::new(ip, address.port());
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                // What is written is written whole: waiting for more to put into a segment (RFC
                // 896) would only make the server wait.
                let _ = stream.set_nodelay(true);
                return Ok((stream, address));
            }
            Err(e) => last = Some((address, e)),
        }
    }
    let why = last.map(|(address, e)| format!("{address}: {}", cause(&e)));
    let message = format!("no server answers on {}; is mailflux running?", why.unwrap_or_default());
    Err(Failure::new(exit::UNAVAILABLE, message))
}

/// One conversation.
struct Talk {
    stream: TcpStream,
    session: ClientSession,
    clock: Clock,
    input: Vec<u8>,
    /// By recipient.
    outcomes: Vec<Option<(Ending, Reply)>>,
    /// Recipients that are still to be tried.
    untried: Vec<u32>,
    /// How many outcomes there were when the last transaction began.
    known: Option<usize>,
    /// Why nothing can be written or read any more.
    broken: Option<String>,
}

impl Talk {
    fn now(&self) -> Time {
        self.clock.now().time
    }

    /// Speaks until the connection is over; says why it is.
    fn run(&mut self, order: &Transaction, content: &[u8]) -> Fault {
        let mut encoder = DotEncoder::default();
        self.untried = order.recipients.iter().map(|r| r.0).collect();
        loop {
            let now = self.now();
            let (taken, action) = self.session.step(&self.input, now);
            self.input.drain(..taken);
            let done = match action {
                Action::Close(fault) => return fault,
                Action::Ask(_) => {
                    self.session.verdict(Verdict::Accept, now);
                    Ok(())
                }
                Action::Read if self.session.is_idle() => {
                    self.next(order);
                    Ok(())
                }
                Action::Read if self.broken.is_some() => {
                    self.session.eof(&self.broken.take().unwrap_or_default());
                    Ok(())
                }
                Action::Read => self.read(),
                Action::Send(octets) => self.write(&octets),
                Action::Transmit(mode) => self.transmit(mode, content, &mut encoder),
                Action::Dot => {
                    let mut end = vec![];
                    std::mem::take(&mut encoder).finish(&mut end);
                    self.write(&end)
                }
                Action::Outcome { recipient, ending, reply, .. } => {
                    self.outcomes[recipient as usize] = Some((ending, reply));
                    Ok(())
                }
                Action::Untried(recipient) => {
                    self.untried.push(recipient);
                    Ok(())
                }
                // Never wanted: the server is on this machine.
                Action::StartTls => {
                    self.session.tls_failed("no TLS here");
                    Ok(())
                }
                // Nor this.
                Action::Secret { .. } => {
                    self.session.secret(Err("no AUTH here".into()), "", now);
                    Ok(())
                }
                Action::SendSecret { .. } | Action::Work => Ok(()),
                Action::Ready | Action::Done | Action::Heard(..) | Action::Garbage(_) => Ok(()),
            };
            if let Err(e) = done {
                self.lost(&e);
            }
        }
    }

    /// The connection is gone; what the server said before it went counts.
    fn lost(&mut self, error: &io::Error) {
        if self.broken.is_none() {
            self.broken = Some(cause(error));
            let _ = self.stream.set_read_timeout(Some(LAST_WORDS));
            let _ = self
                .stream
                .try_clone()
                .and_then(|s| s.take(MAX_WORDS).read_to_end(&mut self.input));
        }
    }

    /// Begins a transaction for whoever is left. When nobody was tried in the last one there is
    /// nothing to hope for.
    fn next(&mut self, order: &Transaction) {
        let untried = std::mem::take(&mut self.untried);
        let known = self.outcomes.iter().flatten().count();
        let progress = self.known.replace(known).is_none_or(|before| known > before);
        let mut recipients = order.recipients.clone();
        recipients.retain(|(i, _)| untried.contains(i));
        let now = self.now();
        if progress && !recipients.is_empty() {
            self.session.begin(Transaction { recipients, ..order.clone() }, now);
        } else {
            self.session.quit(now);
        }
    }

    /// Reads until the session's deadline at most.
    fn read(&mut self) -> io::Result<()> {
        let wait = self.session.deadline().since(self.now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(wait))?;
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.session.eof("closed by the server"),
            Ok(n) => self.input.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                let now = self.now();
                self.session.timeout(now);
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        if let Some(why) = &self.broken {
            return Err(io::Error::other(why.clone()));
        }
        let wait = self.session.deadline().since(self.now()).max(Duration::from_secs(1));
        self.stream.set_write_timeout(Some(wait))?;
        self.stream.write_all(octets)?;
        let now = self.now();
        self.session.progress(now);
        Ok(())
    }

    fn transmit(&mut self, mode: Mode, content: &[u8], encoder: &mut DotEncoder) -> io::Result<()> {
        let mut encoded = vec![];
        for chunk in content.chunks(CHUNK) {
            match mode {
                Mode::Dot => {
                    encoded.clear();
                    encoder.encode(chunk, &mut encoded);
                    self.write(&encoded)?;
                }
                Mode::Bdat { .. } => self.write(chunk)?,
            }
        }
        let now = self.now();
        self.session.transmitted(now);
        Ok(())
    }
}

/// What the outcomes mean for the program that asked: 65 when a recipient was refused for good, 69
/// when the server does not want us, 75 when another time may help. Each recipient that was not
/// taken is told with the server's words.
fn verdict(
    names: &[Address],
    outcomes: &[Option<(Ending, Reply)>],
    fault: &Fault,
    server: SocketAddr,
) -> Result<(), Failure> {
    let (mut code, mut lines) = (None, vec![]);
    for (name, outcome) in names.iter().zip(outcomes) {
        let (exit, what, words) = match (outcome, fault.reply()) {
            (Some((Ending::Delivered, _)), _) => continue,
            (Some((Ending::Failed, reply)), _) => (exit::DATA, "refused", reply.on_one_line()),
            (Some((Ending::Deferred, reply)), _) => {
                (exit::TRY_LATER, "not taken now", reply.on_one_line())
            }
            (None, Some(reply)) if reply.is_permanent() => {
                (exit::UNAVAILABLE, "not taken", reply.on_one_line())
            }
            (None, Some(reply)) => (exit::TRY_LATER, "not taken now", reply.on_one_line()),
            (None, None) => (exit::TRY_LATER, "not taken now", b"not tried".to_vec()),
        };
        code = Some(code.unwrap_or(exit).min(exit));
        let (name, words) = (Printable::new(name.as_str()), Printable::new(words));
        lines.push(format!("<{name}> was {what} by {server}: {words}"));
    }
    match code {
        None => Ok(()),
        Some(exit) => Err(Failure::new(exit, lines.join("\n"))),
    }
}
