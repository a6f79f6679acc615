//! Delivery status notifications: what a sender is told about its mail, and in which octets.
//!
//! # Who is told
//!
//! [`plan_bounce`] decides. Nobody is told about mail from `<>`, so a bounce never begets a bounce
//! (RFC 3461 section 6.1, RFC 5321 section 4.5.5). NOTIFY is honoured for each recipient: failures
//! and delays are told unless the sender said otherwise, successes only when it asked and the next
//! server will not do it (RFC 3461 section 5.2.2).
//!
//! # What is said
//!
//! A `multipart/report` (RFC 6522) in three parts: plain words for people; the same for programs
//! (RFC 3464); and the header of the message, or all of it. The whole is returned only with a
//! failure (RFC 3461 section 6.2): when RET=FULL asks for it, up to [`MAX_FULL`]; when nothing was
//! said, up to [`MAX_DEFAULT`]. Never where it was refused for its size: on the same way a
//! notification that has all of it in it would be refused as well, and nobody would be told.
//!
//! # In which octets
//!
//! A bounce that cannot be delivered is lost, so it is 7-bit and needs nothing from the servers on
//! its way: no 8BITMIME, no SMTPUTF8. `message/rfc822` may not be encoded (RFC 2046 section 5.2.1),
//! so a message that is not plain 7-bit text in lines of at most 998 octets is returned as its
//! header, which may be. Addresses beyond ASCII are written as RFC 6533 section 3 writes them in
//! 7 bits: `utf-8; gr\x{FC}n@example.org`.
//!
//! One case is different: a sender whose own address is beyond ASCII can be reached with SMTPUTF8
//! only. There everything is plain UTF-8, in the `message/global` types of RFC 6533.
//!
//! The words of a next server are somebody else's: in fields and text they appear only as
//! [`Printable`](crate::base::Printable), bounded and folded. They can neither end a line nor look
//! like a boundary.

mod compose;
mod limiter;
mod status;
mod text;
mod words;

#[cfg(test)]
mod tests;

pub use compose::Original;
pub use limiter::{BOUNCES_PER_MINUTE, BounceLimiter};

use crate::base::{
    BodyType, Client, Envelope, MessageId, Notify, Protocol, Recipient, Reply, Ret, Wall,
};

/// Octets of a message that is returned whole because RET=FULL asks for it.
pub const MAX_FULL: u64 = 1024 * 1024;
/// Octets of a message that is returned whole when nobody said anything about it.
pub const MAX_DEFAULT: u64 = 64 * 1024;
/// Octets of a header that are returned; what is beyond is cut between two lines.
pub const MAX_HEADER: usize = 64 * 1024;

/// What happened to one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// Its index in the envelope.
    pub recipient: u32,
    /// What.
    pub fate: Fate,
    /// The last words of the next server, or ours; their origin tells.
    pub reply: Option<Reply>,
    /// The next server's host: a name or an IP address. Not named where the words are ours.
    pub remote: Option<String>,
}

/// What can happen to a recipient that its sender is told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It was refused for good.
    Failed,
    /// It was given up after too long.
    Expired,
    /// It is late, and tried on.
    Delayed {
        /// When it is going to be given up.
        until: Wall,
    },
    /// A server took it that sends no notifications.
    Relayed,
}

impl Fate {
    /// Nothing is tried any more.
    pub fn is_final_failure(self) -> bool {
        matches!(self, Fate::Failed | Fate::Expired)
    }

    /// Whatever it is, it is the end: the recipient is done.
    fn is_final(self) -> bool {
        !matches!(self, Fate::Delayed { .. })
    }

    fn is_told(self, notify: Notify) -> bool {
        match self {
            Fate::Failed | Fate::Expired => notify.failure(),
            Fate::Delayed { .. } => notify.delay(),
            Fate::Relayed => notify.success(),
        }
    }
}

impl Told {
    /// The message was too big: for a server (RFC 3463: X.3.4), for a mailbox (X.2.3), or for one
    /// that says it by the code alone (RFC 1870 section 6.2).
    fn is_about_size(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| match reply.enhanced {
            Some(status) => matches!((status.1, status.2), (3, 4) | (2, 3)),
            None => reply.code == 552,
        })
    }
}

/// A notification that is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Its envelope: from `<>` to the sender of the message, never itself notified of. It says for
    /// which recipients it is the last word, so that a crash makes no second one.
    pub envelope: Envelope,
    /// What it tells.
    pub told: Vec<Told>,
    /// Whether [`Original::content`] is to be the whole message; else its first [`MAX_HEADER`]
    /// octets do.
    pub whole: bool,
}

/// Decides whether the sender of a message is to be told of these outcomes, and of which. None when
/// nobody is to be told anything: then the recipients are done as they are.
pub fn plan_bounce(id: MessageId, envelope: &Envelope, size: u64, told: &[Told]) -> Option<Plan> {
    let sender = envelope.from.as_ref().filter(|_| envelope.bounce_of.is_none())?;
    let is_told = |t: &&Told| {
        let recipient = envelope.recipients.get(t.recipient as usize);
        recipient.is_some_and(|r| t.fate.is_told(r.notify))
    };
    let told: Vec<Told> = told.iter().filter(is_told).cloned().collect();
    if told.is_empty() {
        return None;
    }
    let done: Vec<u32> = told.iter().filter(|t| t.fate.is_final()).map(|t| t.recipient).collect();
    let whole = match envelope.ret {
        Some(Ret::Headers) => false,
        Some(Ret::Full) => size <= MAX_FULL,
        None => size <= MAX_DEFAULT,
    };
    let utf8 = !sender.is_ascii();
    let client = Client { ip: None, helo: None, protocol: Protocol::Local, user: None };
    // RFC 3461 section 6.1 (b): whoever gets a notification is not notified of it.
    let to = Recipient { notify: Notify::Never, ..Recipient::new(sender.clone()) };
    let envelope = Envelope {
        body: if utf8 { BodyType::EightBitMime } else { BodyType::SevenBit },
        utf8,
        bounce_of: (!done.is_empty()).then_some((id.counter, done)),
        ..Envelope::plain(client, None, vec![to])
    };
    let whole = whole && told.iter().any(|t| t.fate.is_final_failure());
    let whole = whole && !told.iter().any(Told::is_about_size);
    Some(Plan { envelope, told, whole })
}
