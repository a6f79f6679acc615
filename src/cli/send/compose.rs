//! From what a program asked for to an envelope and a complete message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::addresses::addresses;
use super::message::Message;
use super::options::Request;
use crate::base::{Address, BodyType, Failure, MessageId, Printable, Recipient, Wall, exit};
use crate::smtp::client::Transaction;

/// Who and where we are, and when.
#[derive(Clone, Debug)]
pub(super) struct Circumstances {
    /// What names without a domain get.
    pub hostname: String,
    /// The login name of the sender.
    pub user: String,
    pub now: Wall,
    /// What makes Message-IDs differ.
    pub random: u64,
}

/// A message ready for submission: the transaction and its content.
pub(super) fn compose(
    request: &Request,
    mut message: Message,
    here: &Circumstances,
) -> Result<(Transaction, Vec<u8>), Failure> {
    let from = sender(request, here)?;
    let recipients = recipients(request, &message, here)?;
    // Nobody is to see who else got it, whether we looked at these fields or not.
    message.remove("Bcc");
    message.remove("Resent-Bcc");
    complete(request, &mut message, from.as_ref(), here);
    let content = message.octets();
    let addresses_are_ascii =
        from.iter().chain(recipients.iter().map(|r| &r.address)).all(Address::is_ascii);
    let transaction = Transaction {
        message: MessageId { counter: 0, arrived: 0 },
        from,
        body: if content.is_ascii() { BodyType::SevenBit } else { BodyType::EightBitMime },
        utf8: !addresses_are_ascii || !message.header_is_ascii(),
        ret: request.ret,
        envid: request.envid.clone(),
        size: content.len() as u64,
        recipients: (0..).zip(recipients).collect(),
    };
    Ok((transaction, content))
}

/// An address; a name alone is one on this host.
fn address(text: &str, here: &Circumstances, exit: u8) -> Result<Address, Failure> {
    let is_name = !text.is_empty() && !text.contains(['@', '<', '>', ' ']);
    let whole = if is_name { format!("{text}@{}", here.hostname) } else { text.to_owned() };
    Address::parse(&whole).map_err(|e| {
        Failure::new(exit, format!("'{}' is not an address: {e}", Printable::bounded(text, 320)))
    })
}

/// The reverse path: none when it was asked to be empty.
fn sender(request: &Request, here: &Circumstances) -> Result<Option<Address>, Failure> {
    let Some(text) = &request.sender else {
        // A login name may be anything; what is no local part is put in quotes.
        let plain = format!("{}@{}", here.user, here.hostname);
        let quoted = format!("\"{}\"@{}", here.user.replace(['"', '\\'], "_"), here.hostname);
        let parsed = Address::parse(&plain).or_else(|_| Address::parse(&quoted));
        return parsed.map(Some).map_err(|_| {
            let user = Printable::bounded(&here.user, 80);
            super::usage(format!("the user name '{user}' makes no address; give a sender with -f"))
        });
    };
    let text = text.trim();
    match text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).unwrap_or(text) {
        "" => Ok(None),
        text => address(text, here, exit::USAGE).map(Some),
    }
}

/// Those of the command line, then with `-t` those of the header; each once.
fn recipients(
    request: &Request,
    message: &Message,
    here: &Circumstances,
) -> Result<Vec<Recipient>, Failure> {
    let mut all = vec![];
    for text in &request.recipients {
        let text = text.trim();
        let bare = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).unwrap_or(text);
        all.push(address(bare, here, exit::USAGE)?);
    }
    if request.from_header {
        for text in in_header(message)? {
            all.push(address(&text, here, exit::DATA)?);
        }
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|address| {
        let domain = address.as_str()[address.local_part().len()..].to_ascii_lowercase();
        seen.insert((address.local_part().to_owned(), domain))
    });
    if all.is_empty() {
        let hint =
            if request.from_header { "the header names none" } else { "name them, or use -t" };
        return Err(super::usage(format!("no recipients; {hint}")));
    }
    let recipient = |address| Recipient { notify: request.notify, ..Recipient::new(address) };
    Ok(all.into_iter().map(recipient).collect())
}

/// The addresses of To, Cc and Bcc; of a message that is sent on (RFC 5322 section 3.6.6), of the
/// Resent fields instead.
fn in_header(message: &Message) -> Result<Vec<String>, Failure> {
    const RESENT: [&str; 3] = ["Resent-To", "Resent-Cc", "Resent-Bcc"];
    let resent = RESENT.iter().any(|name| message.has(name));
    let names = if resent { RESENT } else { ["To", "Cc", "Bcc"] };
    let mut found = vec![];
    for name in names {
        for value in message.values(name) {
            let wrong = |why: &str| {
                let value = Printable::bounded(value.trim_ascii(), 200);
                Failure::new(exit::DATA, format!("{name}: {value}: {}", Printable::new(why)))
            };
            let list = std::str::from_utf8(&value).map_err(|_| wrong("not UTF-8"))?;
            found.extend(addresses(list).map_err(|e| wrong(&e))?);
        }
    }
    Ok(found)
}

/// Adds the fields that a message must have (RFC 5322 section 3.6) and Message-ID.
fn complete(
    request: &Request,
    message: &mut Message,
    from: Option<&Address>,
    here: &Circumstances,
) {
    if !message.has("Message-ID") {
        let id = format!("<{:x}.{:016x}@{}>", here.now.as_secs(), here.random, here.hostname);
        message.add("Message-ID", &id);
    }
    if !message.has("From") {
        let postmaster = format!("MAILER-DAEMON@{}", here.hostname);
        let address = from.map_or(postmaster.as_str(), Address::as_str);
        match request.full_name.as_deref().map(phrase).filter(|name| !name.is_empty()) {
            Some(name) => message.add("From", &format!("{name} <{address}>")),
            None => message.add("From", address),
        }
    }
    if !message.has("Date") {
        message.add("Date", &here.now.rfc5322());
    }
}

/// A display name as a header may have it: words, a quoted string, or encoded words (RFC 2047).
fn phrase(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let name = name.trim();
    if !name.is_ascii() {
        // 42 octets are 56 in base64; with the frame that is below the 75 of an encoded word.
        let mut words = vec![String::new()];
        for c in name.chars() {
            if words.last().is_some_and(|word| word.len() + c.len_utf8() > 42) {
                words.push(String::new());
            }
            words.last_mut().expect("never empty").push(c);
        }
        let encoded = words.iter().map(|word| format!("=?UTF-8?B?{}?=", STANDARD.encode(word)));
        return encoded.collect::<Vec<_>>().join(" ");
    }
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b" !#$%&'*+-/=?^_`{|}~".contains(&b)) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
