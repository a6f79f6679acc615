//! The format of a record: plain text that `less` shows, then the message's exact octets.
//!
//! ```text
//! MAILFLUX1 6a8b3f12-00001a head=00000189 body=0000000189 crc=9848ba9d
//! Arrived: 1787510546 2026-08-23T18:42:26Z
//! Client: 192.0.2.7 mail.example.com ESMTPS user=ann
//! From: <alice@example.com> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x
//! Bounce-Of: 00001a 0,2
//! To: + <bob@example.net>
//! To: - <carol@example.org> NOTIFY=FAILURE ORCPT=rfc822;carol@example.org
//!
//! Received: …
//! ```
//!
//! `head` counts the octets before the content, `body` those of the content; one LF follows it.
//! The CRC32C runs over the head from its second word to its end, without the CRC and with each
//! status read as `-`, and then over the content. Absent parts of Client are `-`.

use super::error::SpoolError;
use crate::base::{
    Address, BodyType, Client, Domain, Envelope, MessageId, Notify, Protocol, Recipient, Ret,
    Status, Wall,
};

/// The first octets of a record.
pub const MAGIC: &[u8] = b"MAILFLUX1 ";
/// Octets of the line with the lengths, from the end of the id, LF included.
const LENGTHS: usize = " head=00000000 body=0000000000 crc=00000000\n".len();
/// Octets from the start of ` crc=` to the end of that line.
const CRC_PART: usize = " crc=00000000\n".len();
/// A head is never longer: a thousand recipients with everything that can be said of them.
pub const MAX_HEAD: usize = 99_999_999;

/// A head, made or read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// Which message.
    pub id: MessageId,
    /// When it came.
    pub arrived: Wall,
    /// Everything but the octets.
    pub envelope: Envelope,
    /// One for each recipient.
    pub statuses: Vec<Status>,
    /// Where each status stands, from the start of the record.
    pub positions: Vec<u32>,
    /// Octets of the head.
    pub octets: u32,
    /// Octets of the content.
    pub body: u64,
    /// The checksum over both.
    pub crc: u32,
}

/// Writes a head whose `body` and `crc` are not known yet; [`seal`] puts them in.
pub fn write_head(id: MessageId, arrived: Wall, envelope: &Envelope, out: &mut Vec<u8>) -> Head {
    let start = out.len();
    out.extend_from_slice(
        format!("MAILFLUX1 {id} head=00000000 body=0000000000 crc=00000000\n").as_bytes(),
    );
    let text = format!("Arrived: {} {}\n", arrived.as_secs(), arrived.iso8601());
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(client_line(&envelope.client).as_bytes());
    out.extend_from_slice(from_line(envelope).as_bytes());
    if let Some((counter, indexes)) = &envelope.bounce_of {
        let list: Vec<String> = indexes.iter().map(u32::to_string).collect();
        let line = format!("Bounce-Of: {counter:06x} {}\n", list.join(","));
        out.extend_from_slice(line.as_bytes());
    }
    let mut positions = Vec::with_capacity(envelope.recipients.len());
    for recipient in &envelope.recipients {
        out.extend_from_slice(b"To: ");
        positions.push((out.len() - start) as u32);
        out.extend_from_slice(b"- <");
        out.extend_from_slice(recipient.address.as_str().as_bytes());
        out.push(b'>');
        if let Some(value) = recipient.notify.value() {
            out.extend_from_slice(b" NOTIFY=");
            out.extend_from_slice(value.as_bytes());
        }
        if let Some(orcpt) = &recipient.orcpt {
            out.extend_from_slice(b" ORCPT=");
            out.extend_from_slice(orcpt.as_bytes());
        }
        out.push(b'\n');
    }
    out.push(b'\n');
    let octets = (out.len() - start) as u32;
    let statuses = vec![Status::Pending; positions.len()];
    Head { id, arrived, envelope: envelope.clone(), statuses, positions, octets, body: 0, crc: 0 }
}

/// Puts lengths and checksum into a head written by [`write_head`]; `body_crc` is that of the
/// content alone.
pub fn seal(record: &mut [u8], head: &mut Head, body: u64, body_crc: u32) {
    let lengths = LENGTHS_AT + id_octets(head.id);
    let text = format!(" head={:08} body={body:010}", head.octets);
    record[lengths..lengths + text.len()].copy_from_slice(text.as_bytes());
    head.body = body;
    let head_crc = head_crc(&record[..head.octets as usize], lengths, &head.positions);
    head.crc = crc32c::crc32c_combine(head_crc, body_crc, usize::try_from(body).unwrap_or(0));
    let crc = format!(" crc={:08x}", head.crc);
    record[lengths + text.len()..lengths + text.len() + crc.len()].copy_from_slice(crc.as_bytes());
}

const LENGTHS_AT: usize = MAGIC.len();

fn id_octets(id: MessageId) -> usize {
    id.to_string().len()
}

/// The checksum of a head: all of it but the magic, the CRC itself, and what may change.
fn head_crc(head: &[u8], lengths: usize, positions: &[u32]) -> u32 {
    let mut crc = crc32c::crc32c(&head[LENGTHS_AT..lengths + LENGTHS - CRC_PART]);
    let mut at = lengths + LENGTHS;
    for position in positions {
        let position = *position as usize;
        crc = crc32c::crc32c_append(crc, &head[at..position]);
        crc = crc32c::crc32c_append(crc, b"-");
        at = position + 1;
    }
    crc32c::crc32c_append(crc, &head[at..])
}

fn client_line(client: &Client) -> String {
    let ip = client.ip.map_or("-".to_owned(), |ip| ip.to_string());
    let helo = client.helo.as_deref().unwrap_or("-");
    let user = match &client.user {
        // The name may hold anything: hexadecimal where it is not plain.
        Some(user) if user.bytes().all(|b| b.is_ascii_graphic()) => format!(" user={user}"),
        Some(user) => {
            let hex: String = user.bytes().map(|b| format!("{b:02x}")).collect();
            format!(" user-hex={hex}")
        }
        None => String::new(),
    };
    format!("Client: {ip} {helo} {}{user}\n", client.protocol.name())
}

fn from_line(envelope: &Envelope) -> String {
    let mut line = format!("From: <{}>", envelope.from.as_ref().map_or("", |a| a.as_str()));
    if envelope.body == BodyType::EightBitMime {
        line.push_str(" BODY=8BITMIME");
    }
    if envelope.utf8 {
        line.push_str(" SMTPUTF8");
    }
    match envelope.ret {
        Some(Ret::Full) => line.push_str(" RET=FULL"),
        Some(Ret::Headers) => line.push_str(" RET=HDRS"),
        None => {}
    }
    if let Some(envid) = &envelope.envid {
        line.push_str(" ENVID=");
        line.push_str(envid);
    }
    line.push('\n');
    line
}

/// What the first line of a record says: its id, and the octets of its head and body.
pub fn read_lengths(record: &[u8]) -> Option<(MessageId, u32, u64, u32)> {
    let line_end = memchr::memchr(b'\n', &record[..record.len().min(128)])?;
    let line = std::str::from_utf8(&record[..line_end]).ok()?;
    let mut words = line.split(' ');
    if words.next()? != "MAILFLUX1" {
        return None;
    }
    let id: MessageId = words.next()?.parse().ok()?;
    let digits = |word: Option<&str>, name: &str, width: usize| -> Option<u64> {
        let value = word?.strip_prefix(name)?;
        let good = value.len() == width && value.bytes().all(|b| b.is_ascii_digit());
        good.then(|| value.parse().ok()).flatten()
    };
    let head = digits(words.next(), "head=", 8)?;
    let body = digits(words.next(), "body=", 10)?;
    let crc = words.next()?.strip_prefix("crc=").filter(|c| c.len() == 8)?;
    let crc = u32::from_str_radix(crc, 16).ok()?;
    if words.next().is_some() || head as usize <= line_end {
        return None;
    }
    Some((id, u32::try_from(head).ok()?, body, crc))
}

/// Reads a whole head, trusting nothing.
pub fn read_head(record: &[u8]) -> Result<Head, SpoolError> {
    parse_head(record)
        .ok_or_else(|| SpoolError::Corrupt { what: "the head of a record".to_owned() })
}

fn parse_head(record: &[u8]) -> Option<Head> {
    let (id, octets, body, crc) = read_lengths(record)?;
    let head = record.get(..octets as usize)?;
    let text = std::str::from_utf8(head).ok()?.strip_suffix("\n\n")?;
    let mut lines = text.split('\n');
    let mut at = lines.next()?.len() + 1;
    let mut next = |prefix: &str| -> Option<&str> {
        let line = lines.next()?;
        at += line.len() + 1;
        line.strip_prefix(prefix)
    };
    let arrived: i64 = next("Arrived: ")?.split(' ').next()?.parse().ok()?;
    let client = parse_client(next("Client: ")?)?;
    let from = next("From: ")?;
    let mut envelope = Envelope {
        client,
        from: None,
        body: BodyType::SevenBit,
        utf8: false,
        ret: None,
        envid: None,
        recipients: Vec::new(),
        bounce_of: None,
    };
    parse_from(from, &mut envelope)?;
    let (mut statuses, mut positions) = (Vec::new(), Vec::new());
    for line in lines {
        if let Some(value) = line.strip_prefix("Bounce-Of: ") {
            let (counter, list) = value.split_once(' ')?;
            let indexes: Option<Vec<u32>> = list.split(',').map(|n| n.parse().ok()).collect();
            envelope.bounce_of = Some((u64::from_str_radix(counter, 16).ok()?, indexes?));
        } else {
            let value = line.strip_prefix("To: ")?;
            statuses.push(Status::from_octet(*value.as_bytes().first()?)?);
            positions.push(u32::try_from(at + 4).ok()?);
            envelope.recipients.push(parse_recipient(value.get(1..)?.strip_prefix(' ')?)?);
        }
        at += line.len() + 1;
    }
    if envelope.recipients.is_empty() {
        return None;
    }
    let arrived = Wall::from_secs(arrived);
    Some(Head { id, arrived, envelope, statuses, positions, octets, body, crc })
}

/// Whether head and content are what was written. `body_crc` is that of the content alone.
pub fn is_intact(record: &[u8], head: &Head, body_crc: u32) -> bool {
    let lengths = LENGTHS_AT + id_octets(head.id);
    let head_crc = head_crc(&record[..head.octets as usize], lengths, &head.positions);
    crc32c::crc32c_combine(head_crc, body_crc, usize::try_from(head.body).unwrap_or(0)) == head.crc
}

fn parse_client(line: &str) -> Option<Client> {
    let mut words = line.split(' ');
    let ip = match words.next()? {
        "-" => None,
        ip => Some(ip.parse().ok()?),
    };
    let helo = match words.next()? {
        "-" => None,
        helo => Some(helo).filter(|h| Domain::is_valid(h)).map(str::to_owned),
    };
    let protocol = Protocol::from_name(words.next()?)?;
    let user = match words.next() {
        None => None,
        Some(word) => match word.strip_prefix("user=") {
            Some(user) => Some(user.to_owned()),
            None => Some(unhex(word.strip_prefix("user-hex=")?)?),
        },
    };
    if words.next().is_some() {
        return None;
    }
    Some(Client { ip, helo, protocol, user })
}

fn unhex(text: &str) -> Option<String> {
    if !text.is_ascii() || text.len() % 2 != 0 {
        return None;
    }
    let octets: Option<Vec<u8>> =
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect();
    String::from_utf8(octets?).ok()
}

/// An address in angle brackets at the start, and what follows it.
fn bracketed(text: &str) -> Option<(Option<Address>, &str)> {
    let inside = text.strip_prefix('<')?;
    if let Some(rest) = inside.strip_prefix('>') {
        return Some((None, rest));
    }
    let (address, taken) = Address::parse_prefix(inside).ok()?;
    Some((Some(address), inside[taken..].strip_prefix('>')?))
}

fn parse_from(text: &str, envelope: &mut Envelope) -> Option<()> {
    let (from, rest) = bracketed(text)?;
    envelope.from = from;
    for word in rest.split(' ').skip(1) {
        match word.split_once('=') {
            Some(("BODY", "8BITMIME")) => envelope.body = BodyType::EightBitMime,
            Some(("RET", "FULL")) => envelope.ret = Some(Ret::Full),
            Some(("RET", "HDRS")) => envelope.ret = Some(Ret::Headers),
            Some(("ENVID", value)) => envelope.envid = Some(value.to_owned()),
            None if word == "SMTPUTF8" => envelope.utf8 = true,
            _ => return None,
        }
    }
    Some(())
}

fn parse_recipient(text: &str) -> Option<Recipient> {
    let (address, rest) = bracketed(text)?;
    let mut recipient = Recipient::new(address?);
    for word in rest.split(' ').skip(1) {
        match word.split_once('=')? {
            ("NOTIFY", value) => recipient.notify = Notify::parse(value)?,
            ("ORCPT", value) => recipient.orcpt = Some(value.to_owned()),
            _ => return None,
        }
    }
    Some(recipient)
}
