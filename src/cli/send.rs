//! `mailflux send`, and `sendmail` when linked by that name: submits the message on standard input
//! to the server of the configuration that is found.
//!
//! The same [`ClientSession`] as in the server speaks here, over a blocking socket.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use super::options::search_path;
use super::sendmail::Message;
use crate::base::{Address, BodyType, Failure, MessageId, Printable, Recipient, Time, cause, exit};
use crate::config::{self, Config, Purpose, Sources};
use crate::journal::Ending;
use crate::reactor::wall_clock;
use crate::smtp::Verdict;
use crate::smtp::client::{Action, ClientConfig, ClientSession, Fault, Timeouts, Transaction};
use crate::smtp::data::DotEncoder;

/// How long the server may take for one read or write.
const PATIENCE: Duration = Duration::from_secs(60);

/// The options of sendmail that mean something here.
#[derive(Default, Debug)]
struct Options {
    sender: Option<String>,
    full_name: Option<String>,
    from_header: bool,
    ignore_dots: bool,
    config: Option<PathBuf>,
    recipients: Vec<String>,
}

/// Runs the command.
pub fn run(args: &[String]) -> Result<(), Failure> {
    let mut options = parse(args)?;
    let sources = Sources {
        file: options.config.take(),
        search: search_path(),
        purpose: Purpose::Find,
        ..Sources::default()
    };
    let config = config::load(&sources)?;
    let mut input = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut input);
    read.map_err(|e| Failure::new(exit::SYSTEM, format!("cannot read the message: {e}")))?;
    let mut message = Message::read(&input, options.ignore_dots);
    if options.from_header {
        options.recipients.extend(message.recipients());
        message.remove("Bcc");
    }
    if options.recipients.is_empty() {
        return Err(Failure::new(exit::USAGE, "no recipients; name them, or use -t"));
    }
    let order = transaction(&options, &mut message, &config)?;
    submit(&config, order, &message.octets())
}

fn parse(args: &[String]) -> Result<Options, Failure> {
    let mut options = Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            options.recipients.extend(args.by_ref().cloned());
        } else if !arg.starts_with('-') || arg == "-" {
            options.recipients.push(arg.clone());
        } else {
            option(arg, &mut args, &mut options)?;
        }
    }
    Ok(options)
}

fn option<'a>(
    arg: &str,
    rest: &mut impl Iterator<Item = &'a String>,
    options: &mut Options,
) -> Result<(), Failure> {
    let usage = |what: String| Failure::new(exit::USAGE, what);
    let (letter, attached) = match arg.char_indices().nth(2) {
        Some((at, _)) => (&arg[1..at], &arg[at..]),
        None => (&arg[1..], ""),
    };
    let mut value = || match attached {
        "" => rest.next().cloned().ok_or_else(|| usage(format!("{arg} needs a value"))),
        attached => Ok(attached.to_owned()),
    };
    match letter {
        "f" | "r" => options.sender = Some(value()?),
        "F" => options.full_name = Some(value()?),
        "c" | "C" => options.config = Some(PathBuf::from(value()?)),
        "o" if attached == "i" => options.ignore_dots = true,
        // How to deliver, and how to tell of errors, is the server's business.
        "o" if !attached.is_empty() => {}
        "o" | "B" | "N" | "R" | "V" | "h" | "p" | "L" | "O" => drop(value()?),
        "b" if attached == "m" => {}
        "b" => return Err(usage(format!("{arg} is not supported: only -bm"))),
        // Flags may be joined: `-ti`.
        _ => {
            for flag in arg[1..].chars() {
                match flag {
                    't' => options.from_header = true,
                    'i' => options.ignore_dots = true,
                    'm' | 'v' | 'n' | 'G' | 'U' => {}
                    _ => return Err(usage(format!("unknown option {arg} for send"))),
                }
            }
        }
    }
    Ok(())
}

/// The envelope; and what the header lacks is added.
fn transaction(
    options: &Options,
    message: &mut Message,
    config: &Config,
) -> Result<Transaction, Failure> {
    let host = &config.server.hostname;
    let wrong = |text: &str, e: &dyn std::fmt::Display| {
        Failure::new(exit::DATA, format!("'{}' is not an address: {e}", Printable::new(text)))
    };
    let user = env::var("USER").or_else(|_| env::var("LOGNAME")).unwrap_or_else(|_| "root".into());
    // A name without a domain is one of this machine.
    let complete = |text: &str| match text {
        text if text.contains('@') || text.eq_ignore_ascii_case("postmaster") => text.to_owned(),
        text => format!("{text}@{host}"),
    };
    let sender = options.sender.clone().unwrap_or(user);
    let bare = sender.trim().trim_start_matches('<').trim_end_matches('>').to_owned();
    let from = match bare.as_str() {
        "" => None,
        text => Some(Address::parse(&complete(text)).map_err(|e| wrong(text, &e))?),
    };
    let mut recipients: Vec<(u32, Recipient)> = Vec::new();
    for text in &options.recipients {
        let address = Address::parse(&complete(text.trim())).map_err(|e| wrong(text, &e))?;
        if !recipients.iter().any(|(_, r)| r.address == address) {
            recipients.push((recipients.len() as u32, Recipient::new(address)));
        }
    }
    let now = wall_clock();
    if !message.has("Message-ID") {
        let micros = now.as_micros();
        let id = format!("<{micros:x}.{:x}@{host}>", std::process::id());
        message.add("Message-ID", &id);
    }
    if !message.has("From") {
        let address =
            from.as_ref().map_or_else(|| format!("MAILER-DAEMON@{host}"), Address::to_string);
        let name = options.full_name.as_deref().map(|n| n.replace(['"', '\\', '\r', '\n'], " "));
        message.add("From", &name.map_or(address.clone(), |n| format!("\"{n}\" <{address}>")));
    }
    if !message.has("Date") {
        message.add("Date", &now.rfc5322());
    }
    let octets = message.octets();
    let addresses = recipients.iter().map(|(_, r)| &r.address).chain(&from);
    let utf8 = addresses.into_iter().any(|a| !a.is_ascii())
        || message.fields.iter().any(|f| !f.is_ascii());
    Ok(Transaction {
        message: MessageId { counter: 0, arrived: now.as_secs() as u32 },
        body: if octets.is_ascii() { BodyType::SevenBit } else { BodyType::EightBitMime },
        utf8,
        ret: None,
        envid: None,
        size: octets.len() as u64,
        from,
        recipients,
    })
}

/// Submits one message, and says whether all its recipients were taken.
pub fn submit(config: &Config, order: Transaction, content: &[u8]) -> Result<(), Failure> {
    let names: Vec<Address> = order.recipients.iter().map(|(_, r)| r.address.clone()).collect();
    let (stream, peer) = connect(config)?;
    let settings =
        ClientConfig { hostname: config.server.hostname.clone(), timeouts: Timeouts::default() };
    let session = ClientSession::new(settings, peer, false);
    let mut submission = Submission {
        stream,
        session,
        content,
        encoder: DotEncoder::default(),
        order: Some(order),
        outcomes: vec![None; names.len()],
        fault: None,
    };
    submission.talk();
    submission.verdict(&names)
}

fn connect(config: &Config) -> Result<(TcpStream, SocketAddr), Failure> {
    let mut last = None;
    for at in &config.server.listen {
        let ip = match at.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let at = SocketAddr::new(ip, at.port());
        let connected = TcpStream::connect_timeout(&at, PATIENCE).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => return Ok((stream, at)),
            Err(e) => last = Some(format!("cannot reach the server on {at}: {}", cause(&e))),
        }
    }
    let what = last.unwrap_or_else(|| "no server to be reached".to_owned());
    Err(Failure::new(exit::TRY_LATER, format!("{what}; is mailflux running?")))
}

/// One conversation.
struct Submission<'a> {
    stream: TcpStream,
    session: ClientSession,
    content: &'a [u8],
    encoder: DotEncoder,
    order: Option<Transaction>,
    outcomes: Vec<Option<(Ending, Vec<u8>)>>,
    fault: Option<Fault>,
}

impl Submission<'_> {
    fn talk(&mut self) {
        let (mut input, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            let (taken, action) = self.session.step(&input, Time::ZERO);
            input.drain(..taken);
            let done = match action {
                Action::Read if self.session.is_idle() => {
                    match self.order.take() {
                        Some(order) => self.session.begin(order, Time::ZERO),
                        None => self.session.quit(Time::ZERO),
                    }
                    Ok(())
                }
                Action::Read => match self.stream.read(&mut buffer) {
                    Ok(0) => Err("the server closed the connection".to_owned()),
                    Ok(n) => {
                        input.extend_from_slice(&buffer[..n]);
                        Ok(())
                    }
                    Err(e) => Err(cause(&e)),
                },
                Action::Close(fault) => {
                    self.fault = Some(fault);
                    return;
                }
                other => self.act(other).map_err(|e| cause(&e)),
            };
            if let Err(why) = done {
                self.session.eof(&why);
            }
        }
    }

    fn act(&mut self, action: Action) -> io::Result<()> {
        match action {
            Action::Ask(_) => self.session.verdict(Verdict::Accept, Time::ZERO),
            Action::Send(octets) => self.stream.write_all(&octets)?,
            Action::Transmit(mode) => {
                let mut encoded = Vec::new();
                match mode {
                    crate::smtp::client::Mode::Dot => {
                        self.encoder.encode(self.content, &mut encoded)
                    }
                    crate::smtp::client::Mode::Bdat { .. } => {
                        encoded.extend_from_slice(self.content)
                    }
                }
                self.stream.write_all(&encoded)?;
                self.session.transmitted(Time::ZERO);
            }
            Action::Dot => {
                let mut end = Vec::new();
                std::mem::take(&mut self.encoder).finish(&mut end);
                self.stream.write_all(&end)?;
            }
            Action::Outcome { recipient, ending, reply, .. } => {
                self.outcomes[recipient as usize] = Some((ending, reply.on_one_line()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Success when all recipients were taken. Else 65 when one was refused for good, 75 when
    /// trying again may help; those that were taken stay taken, and the words say who was not.
    fn verdict(&self, names: &[Address]) -> Result<(), Failure> {
        let (mut lines, mut code) = (Vec::new(), 0);
        for (name, outcome) in names.iter().zip(&self.outcomes) {
            let (exit, words) = match outcome {
                Some((Ending::Delivered, _)) => continue,
                Some((Ending::Failed, words)) => (exit::DATA, words.clone()),
                Some((Ending::Deferred, words)) => (exit::TRY_LATER, words.clone()),
                None => (exit::TRY_LATER, self.fault_words()),
            };
            code = if code == 0 { exit } else { code.min(exit) };
            lines.push(format!("<{}>: {}", Printable::new(name.as_str()), Printable::new(words)));
        }
        if lines.is_empty() { Ok(()) } else { Err(Failure::new(code, lines.join("\n"))) }
    }

    fn fault_words(&self) -> Vec<u8> {
        match self.fault.as_ref().and_then(Fault::reply) {
            Some(reply) => reply.on_one_line(),
            None => b"the server did not take it".to_vec(),
        }
    }
}
