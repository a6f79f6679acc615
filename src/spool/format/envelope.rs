//! The lines of an envelope, written and read.
//!
//! | line | words |
//! | --- | --- |
//! | `Arrived:` | Unix seconds, the same for people |
//! | `Client:` | address or `-`, EHLO name or `-`, protocol, `user=` |
//! | `From:` | `<path>`, `BODY=8BITMIME`, `SMTPUTF8`, `RET=`, `ENVID=` |
//! | `Bounce-Of:` | counter of the message, its recipients by number |
//! | `Room:` | dots: place that was left for what rules may add, and was not needed |
//! | `To:` (one or more) | status, `<path>`, `NOTIFY=`, `ORCPT=`, `VIA=` |
//!
//! Words are separated by one blank and stand in this order; what was not said is not written.
//! Words that came from outside are written as they are, except that blanks, controls and `%`
//! become `%20`: so nothing that a client says can end a word or a line.

use std::fmt::Write as _;
use std::str::Split;

use super::{Broken, Head, Line};
use crate::base::{
    Address, BodyType, Client, Envelope, Notify, Protocol, Recipient, Ret, Status, Wall,
};

fn must_escape(b: u8) -> bool {
    b <= b' ' || b == 0x7f || b == b'%'
}

/// A word that cannot end a word or a line.
fn escape(word: &str, out: &mut String) {
    for c in word.chars() {
        if c.is_ascii() && must_escape(c as u8) {
            let _ = write!(out, "%{:02X}", c as u32);
        } else {
            out.push(c);
        }
    }
}

/// What [`escape`] made the word of; none when it did not make it.
fn unescape(word: &str) -> Option<String> {
    let mut parts = word.split('%');
    let mut plain = String::with_capacity(word.len());
    plain.push_str(parts.next()?);
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        let octet = u8::from_str_radix(code, 16).ok()?;
        if !octet.is_ascii() {
            return None;
        }
        plain.push(octet as char);
        plain.push_str(rest);
    }
    let mut again = String::with_capacity(word.len());
    escape(&plain, &mut again);
    (again == word).then_some(plain)
}

/// Octets of a `Room:` line beside its dots.
pub const ROOM_LINE: usize = "Room: \n".len();

/// Appends an envelope with its blank line, all recipients pending; and with a line of so many
/// dots, if any are wanted.
pub fn write(arrived: Wall, envelope: &Envelope, room: usize, out: &mut Vec<u8>) {
    let mut text = String::with_capacity(256);
    let arrived = Wall::from_secs(arrived.as_secs());
    let _ = writeln!(text, "Arrived: {} {arrived}", arrived.as_secs());
    write_client(&envelope.client, &mut text);
    write_from(envelope, &mut text);
    if let Some((counter, recipients)) = &envelope.bounce_of {
        let _ = write!(text, "Bounce-Of: {counter:06x} ");
        for (i, recipient) in recipients.iter().enumerate() {
            let _ = write!(text, "{}{recipient}", if i > 0 { "," } else { "" });
        }
        text.push('\n');
    }
    if room > 0 {
        let _ = writeln!(text, "Room: {}", ".".repeat(room));
    }
    for recipient in &envelope.recipients {
        write_to(recipient, &mut text);
    }
    text.push('\n');
    out.extend_from_slice(text.as_bytes());
}

fn write_client(client: &Client, text: &mut String) {
    text.push_str("Client: ");
    match client.ip {
        Some(ip) => drop(write!(text, "{ip} ")),
        None => text.push_str("- "),
    }
    match client.helo.as_deref() {
        // A name is never empty, and never a hyphen alone (RFC 5321 section 4.1.1.1).
        None | Some("" | "-") => text.push('-'),
        Some(helo) => escape(helo, text),
    }
    let _ = write!(text, " {}", client.protocol.name());
    if let Some(user) = &client.user {
        text.push_str(" user=");
        escape(user, text);
    }
    text.push('\n');
}

fn write_from(envelope: &Envelope, text: &mut String) {
    let _ = write!(text, "From: <{}>", envelope.from.as_ref().map_or("", Address::as_str));
    if envelope.body == BodyType::EightBitMime {
        text.push_str(" BODY=8BITMIME");
    }
    if envelope.utf8 {
        text.push_str(" SMTPUTF8");
    }
    match envelope.ret {
        None => {}
        Some(Ret::Full) => text.push_str(" RET=FULL"),
        Some(Ret::Headers) => text.push_str(" RET=HDRS"),
    }
    if let Some(envid) = &envelope.envid {
        text.push_str(" ENVID=");
        escape(envid, text);
    }
    text.push('\n');
}

fn write_to(recipient: &Recipient, text: &mut String) {
    let _ = write!(text, "To: - <{}>", recipient.address);
    match recipient.notify.value() {
        None => {}
        // To be told of nothing is to be told never; the empty list has no spelling.
        Some(value) if value.is_empty() => text.push_str(" NOTIFY=NEVER"),
        Some(value) => drop(write!(text, " NOTIFY={value}")),
    }
    if let Some(orcpt) = &recipient.orcpt {
        text.push_str(" ORCPT=");
        escape(orcpt, text);
    }
    for (i, name) in recipient.via.iter().enumerate() {
        text.push_str(if i == 0 { " VIA=" } else { "," });
        escape(name, text);
    }
    text.push('\n');
}

/// Reads an envelope: all of it, up to and with its blank line.
pub fn parse_head(octets: &[u8], line: &Line) -> Result<Head, Broken> {
    let (id, body) = (line.id, line.body);
    let text = std::str::from_utf8(octets).map_err(|_| Broken("envelope is not UTF-8"))?;
    let text = text.strip_suffix("\n\n").ok_or(Broken("envelope without blank line"))?;
    let mut lines = text.split('\n').peekable();
    let mut field = |name| lines.next().and_then(|line| line.strip_prefix(name));
    let arrived = field("Arrived: ").and_then(read_arrived).ok_or(Broken("Arrived:"))?;
    if arrived.as_secs() as u32 != id.arrived {
        return Err(Broken("Arrived: is not the time in the id"));
    }
    let client = field("Client: ").and_then(read_client).ok_or(Broken("Client:"))?;
    let from = field("From: ").ok_or(Broken("From:"))?;
    let mut envelope = read_from(from, client).ok_or(Broken("From:"))?;
    let bounce = lines.next_if(|line| line.starts_with("Bounce-Of: "));
    if let Some(bounce) = bounce {
        envelope.bounce_of = Some(read_bounce(bounce).ok_or(Broken("Bounce-Of:"))?);
    }
    if let Some(room) = lines.next_if(|line| line.starts_with("Room: ")) {
        if room.len() < ROOM_LINE || !room["Room: ".len()..].bytes().all(|b| b == b'.') {
            return Err(Broken("Room:"));
        }
    }
    let mut statuses = Vec::with_capacity(1);
    for line in lines {
        let (status, recipient) = read_to(line).ok_or(Broken("To:"))?;
        statuses.push(status);
        envelope.recipients.push(recipient);
    }
    match statuses.len() {
        0 => Err(Broken("no recipient")),
        n if u32::try_from(n).is_err() => Err(Broken("too many recipients")),
        _ => Ok(Head { id, arrived, envelope, statuses, body }),
    }
}

fn read_arrived(line: &str) -> Option<Wall> {
    let (seconds, people) = line.split_once(' ')?;
    let arrived = Wall::from_secs(canonical(seconds)?);
    // Saturated, it would be another time.
    let same = arrived.as_secs().to_string() == seconds && arrived.iso8601() == people;
    same.then_some(arrived)
}

/// A number or an address in its one spelling.
fn canonical<T: std::str::FromStr + ToString>(word: &str) -> Option<T> {
    word.parse().ok().filter(|value: &T| value.to_string() == word)
}

fn read_client(line: &str) -> Option<Client> {
    let mut words = line.split(' ');
    let ip = match words.next()? {
        "-" => None,
        word => Some(canonical(word)?),
    };
    let helo = match words.next()? {
        "-" => None,
        "" => return None,
        word => Some(unescape(word)?),
    };
    let protocol = Protocol::from_name(words.next()?)?;
    let user = match words.next() {
        None => None,
        Some(word) => Some(unescape(word.strip_prefix("user=")?)?),
    };
    words.next().is_none().then_some(Client { ip, helo, protocol, user })
}

/// The path at the start of a line, without brackets, and the words after it.
fn path(line: &str) -> Option<(Option<Address>, Words<'_>)> {
    let rest = line.strip_prefix('<')?;
    let (address, end) = match rest.strip_prefix('>') {
        Some(_) => (None, 0),
        None => Address::parse_prefix(rest).ok().map(|(address, n)| (Some(address), n))?,
    };
    let rest = rest[end..].strip_prefix('>')?;
    Some((address, Words::new(rest)?))
}

/// Words that may be there, in their order.
struct Words<'a> {
    words: Split<'a, char>,
    next: Option<&'a str>,
}

impl<'a> Words<'a> {
    /// From what follows a path: nothing, or a blank before each word.
    fn new(rest: &'a str) -> Option<Words<'a>> {
        let mut words = rest.split(' ');
        if words.next() != Some("") {
            return None;
        }
        let next = words.next();
        Some(Words { words, next })
    }

    /// What follows `name` in the next word, if the next word begins so.
    fn take(&mut self, name: &str) -> Option<&'a str> {
        let value = self.next?.strip_prefix(name)?;
        self.next = self.words.next();
        Some(value)
    }

    /// A free word after `name`: outer none when it is damaged.
    fn free(&mut self, name: &str) -> Option<Option<String>> {
        self.take(name).map_or(Some(None), |word| unescape(word).map(Some))
    }

    fn end(&self) -> Option<()> {
        self.next.is_none().then_some(())
    }
}

fn read_from(line: &str, client: Client) -> Option<Envelope> {
    let (from, mut words) = path(line)?;
    let body = match words.take("BODY=") {
        None => BodyType::SevenBit,
        Some("8BITMIME") => BodyType::EightBitMime,
        Some(_) => return None,
    };
    let utf8 = match words.take("SMTPUTF8") {
        None => false,
        Some("") => true,
        Some(_) => return None,
    };
    let ret = match words.take("RET=") {
        None => None,
        Some("FULL") => Some(Ret::Full),
        Some("HDRS") => Some(Ret::Headers),
        Some(_) => return None,
    };
    let envid = words.free("ENVID=")?;
    words.end()?;
    let recipients = Vec::with_capacity(1);
    Some(Envelope { client, from, body, utf8, ret, envid, recipients, bounce_of: None })
}

fn read_bounce(line: &str) -> Option<(u64, Vec<u32>)> {
    let (counter, recipients) = line.strip_prefix("Bounce-Of: ")?.split_once(' ')?;
    let number = u64::from_str_radix(counter, 16).ok()?;
    if format!("{number:06x}") != counter {
        return None;
    }
    if recipients.is_empty() {
        return Some((number, Vec::new()));
    }
    let recipients: Option<Vec<u32>> = recipients.split(',').map(canonical).collect();
    Some((number, recipients?))
}

fn read_to(line: &str) -> Option<(Status, Recipient)> {
    let line = line.strip_prefix("To: ")?;
    let status = Status::from_octet(*line.as_bytes().first()?)?;
    let (address, mut words) = path(line[1..].strip_prefix(' ')?)?;
    let notify = match words.take("NOTIFY=") {
        None => Notify::Unspecified,
        Some(value) => Notify::parse(value).filter(|n| n.value().as_deref() == Some(value))?,
    };
    let orcpt = words.free("ORCPT=")?;
    let via = words.free("VIA=")?.map_or(Some(Box::default()), |names| read_via(&names))?;
    words.end()?;
    Some((status, Recipient { address: address?, notify, orcpt, via }))
}

/// Names with commas between them, none of them empty.
fn read_via(names: &str) -> Option<Box<[String]>> {
    let names: Box<[String]> = names.split(',').map(str::to_owned).collect();
    names.iter().all(|name| !name.is_empty()).then_some(names)
}
