//! The arguments of MAIL and RCPT: a path and parameters (RFC 5321 section 4.1.2), with those of
//! SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), DSN (RFC 3461, RFC 6533) and AUTH
//! (RFC 4954 section 5).

use super::replies;
use super::xtext::{auth, envid, orcpt};
use crate::base::{Address, AddressError, BodyType, Domain, Notify, Recipient, Reply, Ret};

/// What MAIL says.
#[derive(PartialEq, Eq, Default, Debug)]
pub struct Sender {
    /// None is `<>`.
    pub address: Option<Address>,
    /// SIZE; 0 when not said.
    pub size: u64,
    pub body: BodyType,
    pub utf8: bool,
    pub ret: Option<Ret>,
    pub envid: Option<String>,
    /// AUTH was said.
    pub auth: bool,
}

/// Reads what stands after `MAIL FROM:`; parameters are for those who said EHLO.
pub fn sender(arguments: &str, extended: bool) -> Result<Sender, Reply> {
    let (address, rest) = path(arguments).map_err(|wrong| wrong.reply(true))?;
    // A bare postmaster is a recipient, never a sender (RFC 5321 section 4.1.1.3).
    if address.as_ref().is_some_and(|a| a.domain().is_none()) {
        return Err(replies::bad_address(true, AddressError::NoDomain));
    }
    let mut sender = Sender { address, ..Sender::default() };
    for parameter in Parameters::new(rest, extended, &OF_MAIL) {
        match parameter? {
            (Key::Size, Some(value)) => sender.size = size(value)?,
            (Key::Body, Some(value)) => sender.body = body(value)?,
            (Key::Ret, Some(value)) => sender.ret = Some(ret(value)?),
            (Key::Envid, Some(value)) => {
                sender.envid = Some(envid(value).ok_or(replies::PARAMETER_SYNTAX)?);
            }
            (Key::Auth, Some(value)) => {
                auth(value).ok_or(replies::PARAMETER_SYNTAX)?;
                sender.auth = true;
            }
            (Key::Utf8, None) => sender.utf8 = true,
            _ => return Err(replies::PARAMETER_SYNTAX),
        }
    }
    // RFC 6531 section 3.5 gives MAIL and RCPT different codes.
    if !sender.utf8 && sender.address.as_ref().is_some_and(|a| !a.is_ascii()) {
        return Err(replies::UTF8_SENDER);
    }
    Ok(sender)
}

/// Reads what stands after `RCPT TO:`; `utf8` is whether MAIL said SMTPUTF8.
pub fn recipient(arguments: &str, extended: bool, utf8: bool) -> Result<Recipient, Reply> {
    let (address, rest) = path(arguments).map_err(|wrong| wrong.reply(false))?;
    // `<>` is a sender only.
    let address = address.ok_or(replies::bad_address(false, AddressError::Syntax))?;
    let mut recipient = Recipient::new(address);
    for parameter in Parameters::new(rest, extended, &OF_RCPT) {
        match parameter? {
            (Key::Notify, Some(value)) => {
                recipient.notify = Notify::parse(value).ok_or(replies::PARAMETER_SYNTAX)?;
            }
            (Key::Orcpt, Some(value)) => {
                recipient.orcpt = Some(orcpt(value, utf8).ok_or(replies::PARAMETER_SYNTAX)?);
            }
            _ => return Err(replies::PARAMETER_SYNTAX),
        }
    }
    if !utf8 && !recipient.address.is_ascii() {
        return Err(replies::UTF8_RECIPIENT);
    }
    Ok(recipient)
}

/// What is wrong before the parameters.
#[derive(Debug)]
enum Wrong {
    Address(AddressError),
    /// What follows the path is neither the end nor a blank.
    After,
}

impl Wrong {
    fn reply(self, sender: bool) -> Reply {
        match self {
            Wrong::Address(error) => replies::bad_address(sender, error),
            Wrong::After if sender => replies::MAIL_SYNTAX,
            Wrong::After => replies::RCPT_SYNTAX,
        }
    }
}

/// A path at the start of the text (none is `<>`), and what follows it.
fn path(text: &str) -> Result<(Option<Address>, &str), Wrong> {
    let syntax = Wrong::Address(AddressError::Syntax);
    let Some(inside) = text.strip_prefix('<') else { return Err(syntax) };
    let (address, rest) = match inside.strip_prefix('>') {
        Some(rest) => (None, rest),
        None => {
            let mailbox = without_route(inside).ok_or(syntax)?;
            let (address, n) = Address::parse_prefix(mailbox).map_err(Wrong::Address)?;
            let rest = mailbox[n..].strip_prefix('>');
            (Some(address), rest.ok_or(Wrong::Address(AddressError::Syntax))?)
        }
    };
    if rest.is_empty() || rest.starts_with(' ') { Ok((address, rest)) } else { Err(Wrong::After) }
}

/// Drops a source route, `@a,@b:` (RFC 5321 appendix C: accepted, checked, ignored).
fn without_route(path: &str) -> Option<&str> {
    if !path.starts_with('@') {
        return Some(path);
    }
    let (route, mailbox) = path.split_once(':')?;
    let valid = |hop: &str| hop.strip_prefix('@').is_some_and(Domain::is_valid);
    route.split(',').all(valid).then_some(mailbox)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Key {
    Size,
    Body,
    Utf8,
    Ret,
    Envid,
    Auth,
    Notify,
    Orcpt,
}

const OF_MAIL: [(&str, Key); 6] = [
    ("SIZE", Key::Size),
    ("BODY", Key::Body),
    ("SMTPUTF8", Key::Utf8),
    ("RET", Key::Ret),
    ("ENVID", Key::Envid),
    ("AUTH", Key::Auth),
];
const OF_RCPT: [(&str, Key); 2] = [("NOTIFY", Key::Notify), ("ORCPT", Key::Orcpt)];

/// Reads parameters one by one: each well-formed, offered, and given once.
struct Parameters<'a> {
    rest: &'a str,
    extended: bool,
    known: &'static [(&'static str, Key)],
    /// A bit for each of the known ones.
    seen: u8,
}

impl<'a> Parameters<'a> {
    fn new(rest: &'a str, extended: bool, known: &'static [(&'static str, Key)]) -> Parameters<'a> {
        Parameters { rest, extended, known, seen: 0 }
    }

    fn read(&mut self, word: &'a str) -> Result<(Key, Option<&'a str>), Reply> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !is_name || value.is_some_and(|v| v.is_empty() || v.contains('=')) {
            return Err(replies::PARAMETER_SYNTAX);
        }
        // After HELO nothing was offered.
        let at = self.known.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        let at = at.filter(|_| self.extended).ok_or(replies::PARAMETER_UNKNOWN)?;
        if self.seen & 1 << at != 0 {
            return Err(replies::PARAMETER_TWICE);
        }
        self.seen |= 1 << at;
        Ok((self.known[at].1, value))
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<(Key, Option<&'a str>), Reply>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rest = self.rest.trim_start_matches(' ');
        if self.rest.is_empty() {
            return None;
        }
        let (word, rest) = self.rest.split_once(' ').unwrap_or((self.rest, ""));
        self.rest = rest;
        Some(self.read(word))
    }
}

/// SIZE: up to 20 digits (RFC 1870 section 3), some of which are more than anything can hold.
fn size(value: &str) -> Result<u64, Reply> {
    if value.len() > 20 || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(replies::PARAMETER_SYNTAX);
    }
    Ok(value.parse().unwrap_or(u64::MAX))
}

/// BODY: BINARYMIME is not offered (RFC 3030 section 3 is another extension).
fn body(value: &str) -> Result<BodyType, Reply> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Ok(BodyType::SevenBit),
        "8BITMIME" => Ok(BodyType::EightBitMime),
        _ => Err(replies::PARAMETER_SYNTAX),
    }
}

fn ret(value: &str) -> Result<Ret, Reply> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Ok(Ret::Full),
        "HDRS" => Ok(Ret::Headers),
        _ => Err(replies::PARAMETER_SYNTAX),
    }
}

#[cfg(test)]
mod tests;
