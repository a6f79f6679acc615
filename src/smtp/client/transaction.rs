//! One transaction: which command comes next, whose reply is awaited, and what each recipient's
//! fate is so far.
//!
//! Commands are made into a *batch*. Without PIPELINING a batch is one command. With it, a batch
//! is MAIL, the RCPTs and DATA (RFC 2920 section 3.1 wants DATA last in its group), or a slice of
//! that: past [`SLICE`] octets it is sent, and answered whole, before the next one is made. So
//! neither side ever has more to send than the other's buffers take, however many recipients.
//! BDAT never stands in a batch with RCPT: its content follows at once, and if the recipients were
//! refused nobody may be left to guess whether those octets are content or commands.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::extensions::Extensions;
use super::types::{MAX_REPLY_TEXT, Timeouts, Transaction};
use crate::base::{BodyType, Domain, Enhanced, Notify, Reply, Ret, Time};
use crate::smtp::Stage;

/// Octets from which on a batch of commands is sent; it exceeds this by one command at most.
pub(super) const SLICE: usize = 16 * 1024;

/// What is asked at the gate, and therefore what is done after a yes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Use the connection.
    Connect,
    /// EHLO or HELO.
    Hello,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// The RCPT of this recipient (a position, not the index in the envelope).
    Rcpt(usize),
    /// DATA.
    Data,
    /// `BDAT n LAST`, as a chunk.
    Bdat,
    /// `BDAT n LAST`, as the end of the message: it is both, so both questions stand before it.
    Last,
    /// The final dot.
    Dot,
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
}

impl Step {
    pub(super) fn stage(self) -> Stage {
        match self {
            Step::Connect => Stage::Connect,
            Step::Hello => Stage::Helo,
            Step::StartTls => Stage::StartTls,
            Step::Auth => Stage::Auth,
            Step::Mail => Stage::Mail,
            Step::Rcpt(_) => Stage::Rcpt,
            Step::Data => Stage::Data,
            Step::Bdat => Stage::Bdat,
            Step::Last | Step::Dot => Stage::Dot,
            Step::Rset => Stage::Rset,
            Step::Quit => Stage::Quit,
        }
    }
}

/// A command whose reply is awaited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Command {
    Mail,
    Rcpt(usize),
    Data,
}

/// Which command is to be made next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Cursor {
    Mail,
    Rcpt(usize),
    /// DATA or BDAT, if there is anybody to send to.
    Data,
    /// The gate let BDAT through as a chunk; now as the end.
    Last,
    /// DATA is made.
    Sent,
    /// DATA or BDAT was refused, by the gate or the server: all accepted recipients share this.
    Refused(Reply),
}

/// What the server thinks of MAIL. Its reply is the first of the transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// No reply at all has come.
    Unheard,
    /// MAIL was answered and not refused: a transaction is open at the server.
    Open,
    /// MAIL was refused: this is everybody's fate.
    Refused(Reply),
}

/// What the machine is to do for this transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Ask(Step),
    Send,
    Hear,
    /// Nobody is to get the content. All is said and answered; or nothing is said yet but what
    /// lies in the batch, and the server need never know.
    End,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Open,
    Accepted,
    Told,
}

#[derive(Debug)]
pub(super) struct Tx {
    pub(super) order: Transaction,
    pub(super) standing: Standing,
    pub(super) cursor: Cursor,
    pub(super) batch: Vec<u8>,
    /// Commands without a reply yet, those in the batch included.
    pub(super) awaited: VecDeque<Command>,
    /// Recipients that the server took.
    pub(super) accepted: usize,
    fates: Vec<Fate>,
    /// RCPT commands made, for RCPTMAX.
    made: u32,
    /// Their domains, for RCPTDOMAINMAX; kept only where that is offered.
    domains: BTreeSet<String>,
    /// From when on no more recipients are named.
    enough: Time,
    /// When the server's time for what is under way is up, however lively it is.
    pub(super) until: Time,
}

impl Tx {
    pub(super) fn new(order: Transaction, limits: &Timeouts, now: Time) -> Tx {
        Tx {
            fates: vec![Fate::Open; order.recipients.len()],
            standing: Standing::Unheard,
            cursor: Cursor::Mail,
            batch: Vec::new(),
            awaited: VecDeque::new(),
            accepted: 0,
            made: 0,
            domains: BTreeSet::new(),
            enough: now.after(limits.transaction / 2),
            until: now.after(limits.transaction),
            order,
        }
    }

    /// Content begins: it has a time of its own, by its size.
    pub(super) fn content_begins(&mut self, limits: &Timeouts, now: Time) {
        let wait = Duration::from_secs(self.order.size / limits.rate.max(1));
        self.until = now.after(limits.transaction).after(wait);
    }

    /// For so long the server was not the one to wait for.
    pub(super) fn excuse(&mut self, wait: Duration) {
        (self.enough, self.until) = (self.enough.after(wait), self.until.after(wait));
    }

    /// Content is out, or in our queue: from now on its answer is waited for.
    pub(super) fn content_ends(&mut self, limits: &Timeouts) {
        self.until = self.until.after(limits.dot);
    }

    /// What comes next. The rules about batches are all here.
    pub(super) fn next(&mut self, offered: &Extensions, now: Time) -> Next {
        let ready = !self.batch.is_empty();
        if ready && (!offered.pipelining || self.batch.len() >= SLICE) {
            return Next::Send;
        }
        if !ready && !self.awaited.is_empty() {
            return Next::Hear;
        }
        if let Standing::Refused(_) = self.standing {
            return Next::End;
        }
        if let Cursor::Rcpt(from) = self.cursor {
            let full = offered.rcpt_max.is_some_and(|max| self.made >= max);
            let next = (from..self.fates.len()).find(|i| self.has_room(*i, offered));
            self.cursor = match next.filter(|_| !full && now < self.enough) {
                Some(i) => Cursor::Rcpt(i),
                None => Cursor::Data,
            };
        }
        match self.cursor {
            Cursor::Mail => Next::Ask(Step::Mail),
            Cursor::Rcpt(i) => Next::Ask(Step::Rcpt(i)),
            Cursor::Data if self.is_hopeless() => Next::End,
            Cursor::Data if offered.chunking && ready => Next::Send,
            Cursor::Data if offered.chunking => Next::Ask(Step::Bdat),
            Cursor::Data => Next::Ask(Step::Data),
            Cursor::Last => Next::Ask(Step::Last),
            Cursor::Sent | Cursor::Refused(_) if ready => Next::Send,
            Cursor::Sent | Cursor::Refused(_) => Next::End,
        }
    }

    /// Whether RCPTDOMAINMAX leaves room for this recipient's domain (RFC 9422 section 5.3). Those
    /// that are passed over have the next transaction.
    fn has_room(&self, i: usize, offered: &Extensions) -> bool {
        let Some(max) = offered.rcpt_domain_max else { return true };
        self.domains.len() < max as usize || self.domains.contains(&self.domain(i))
    }

    fn domain(&self, i: usize) -> String {
        match self.order.recipients[i].1.address.domain() {
            Some(Domain::Name(domain) | Domain::Literal(domain)) => domain.to_ascii_lowercase(),
            // A bare postmaster's is the server's own.
            None => String::new(),
        }
    }

    /// No recipient was accepted and none can be any more.
    fn is_hopeless(&self) -> bool {
        self.accepted == 0 && !self.awaited.iter().any(|c| matches!(c, Command::Rcpt(_)))
    }

    /// At which stage the machine is, while it awaits a reply or makes the next command.
    pub(super) fn stage(&self) -> Stage {
        match (self.awaited.front(), &self.cursor) {
            (Some(Command::Mail), _) | (None, Cursor::Mail) => Stage::Mail,
            (Some(Command::Rcpt(_)), _) | (None, Cursor::Rcpt(_)) => Stage::Rcpt,
            (Some(Command::Data), _) | (None, _) => Stage::Data,
        }
    }

    /// Nothing of it has come back from the server yet.
    pub(super) fn is_unheard(&self) -> bool {
        self.standing == Standing::Unheard
    }

    /// Makes `MAIL`, with the parameters that the server offers.
    pub(super) fn make_mail(&mut self, offered: &Extensions, logged_in: bool) {
        let order = &self.order;
        let line = &mut self.batch;
        line.extend_from_slice(b"MAIL FROM:<");
        line.extend_from_slice(order.from.as_ref().map_or("", |a| a.as_str()).as_bytes());
        line.push(b'>');
        if offered.size.is_some() {
            line.extend_from_slice(format!(" SIZE={}", order.size).as_bytes());
        }
        // What is needed is offered: unfit() has seen to that.
        if order.body == BodyType::EightBitMime {
            line.extend_from_slice(b" BODY=8BITMIME");
        }
        if needs_utf8(order) {
            line.extend_from_slice(b" SMTPUTF8");
        }
        if offered.dsn {
            match order.ret {
                Some(Ret::Full) => line.extend_from_slice(b" RET=FULL"),
                Some(Ret::Headers) => line.extend_from_slice(b" RET=HDRS"),
                None => {}
            }
            push_parameter(line, " ENVID=", order.envid.as_deref(), order);
        }
        // RFC 4954 section 5: we vouch for nobody, and must say so where we are logged in.
        if logged_in {
            line.extend_from_slice(b" AUTH=<>");
        }
        line.extend_from_slice(b"\r\n");
        self.awaited.push_back(Command::Mail);
        self.cursor = Cursor::Rcpt(0);
    }

    /// Makes `RCPT` for the recipient at this position.
    pub(super) fn make_rcpt(&mut self, i: usize, offered: &Extensions) {
        let recipient = &self.order.recipients[i].1;
        let line = &mut self.batch;
        line.extend_from_slice(b"RCPT TO:<");
        line.extend_from_slice(recipient.address.as_str().as_bytes());
        line.push(b'>');
        if offered.dsn {
            push_parameter(line, " NOTIFY=", recipient.notify.value().as_deref(), &self.order);
            push_parameter(line, " ORCPT=", recipient.orcpt.as_deref(), &self.order);
        }
        line.extend_from_slice(b"\r\n");
        self.awaited.push_back(Command::Rcpt(i));
        self.made = self.made.saturating_add(1);
        if offered.rcpt_domain_max.is_some() {
            self.domains.insert(self.domain(i));
        }
        self.cursor = Cursor::Rcpt(i + 1);
    }

    /// Makes `DATA`.
    pub(super) fn make_data(&mut self) {
        self.batch.extend_from_slice(b"DATA\r\n");
        self.awaited.push_back(Command::Data);
        self.cursor = Cursor::Sent;
    }

    /// Makes `BDAT n LAST`.
    pub(super) fn make_bdat(&mut self) {
        self.batch.extend_from_slice(format!("BDAT {} LAST\r\n", self.order.size).as_bytes());
        self.cursor = Cursor::Sent;
    }

    /// The server took this recipient.
    pub(super) fn accept(&mut self, i: usize) {
        self.fates[i] = Fate::Accepted;
        self.accepted += 1;
    }

    /// Whether the server took this recipient.
    pub(super) fn is_accepted(&self, i: usize) -> bool {
        self.fates[i] == Fate::Accepted
    }

    /// This recipient's outcome is out.
    pub(super) fn told(&mut self, i: usize) {
        self.fates[i] = Fate::Told;
    }

    /// The first recipient from this position on whose outcome is not out.
    pub(super) fn untold(&self, from: usize) -> Option<usize> {
        (from..self.fates.len()).find(|i| self.fates[*i] != Fate::Told)
    }

    /// Every recipient's fate is known, told or not.
    pub(super) fn is_decided(&self) -> bool {
        let refused = matches!(self.cursor, Cursor::Refused(_)) && self.awaited.is_empty();
        refused || self.untold(0).is_none()
    }

    /// No more recipients in this transaction: the server's limit is reached.
    pub(super) fn stop_recipients(&mut self) {
        if let Cursor::Rcpt(_) = self.cursor {
            self.cursor = Cursor::Data;
        }
    }

    /// The recipient at this position wants to hear of success.
    pub(super) fn wants_success(&self, i: usize) -> bool {
        matches!(self.order.recipients[i].1.notify, Notify::When { success: true, .. })
    }
}

/// Whether the message can only travel with SMTPUTF8.
pub(super) fn needs_utf8(order: &Transaction) -> bool {
    order.utf8
        || order.from.as_ref().is_some_and(|a| !a.is_ascii())
        || order.recipients.iter().any(|(_, r)| !r.address.is_ascii())
}

/// Why this server cannot take this message at all, known before a word is said.
pub(super) fn unfit(order: &Transaction, offered: &Extensions) -> Option<Reply> {
    let limit = offered.size.unwrap_or(0);
    if limit > 0 && order.size > limit {
        let text = format!("the next server takes {limit} octets, the message has {}", order.size);
        return Some(Reply::made(552, Some(Enhanced(5, 3, 4)), text));
    }
    if needs_utf8(order) && !offered.smtputf8 {
        let text = "the next server does not offer SMTPUTF8, which the message needs";
        return Some(Reply::fixed(550, Enhanced(5, 6, 7), text));
    }
    if order.body == BodyType::EightBitMime && !offered.eight_bit_mime {
        let text = "the next server does not offer 8BITMIME, which the message needs";
        return Some(Reply::fixed(554, Enhanced(5, 6, 3), text));
    }
    None
}

/// Whether a refused RCPT, after another was accepted, means that the transaction is full (RFC
/// 5321 section 4.5.3.1.10) and nothing about this recipient. 552 is what RFC 821 had for it. An
/// enhanced code can say otherwise: a mailbox over its quota is 452 4.2.2 or 552 5.2.2.
pub(super) fn is_limit(reply: &Reply) -> bool {
    match (reply.code, reply.enhanced) {
        (452, None) => true,
        (452, Some(Enhanced(_, subject, _))) => !matches!(subject, 1 | 2),
        (552, None) => true,
        (552, Some(Enhanced(_, subject, detail))) => (subject, detail) == (5, 3),
        _ => false,
    }
}

/// The reply with at most [`MAX_REPLY_TEXT`] octets of text.
pub(super) fn clip(reply: &Reply) -> Reply {
    reply.with_text(reply.text[..reply.text.len().min(MAX_REPLY_TEXT)].to_vec())
}

/// Appends a parameter if its value can stand in a command line. The values were checked when they
/// came to us; but a blank or CRLF in one would be a command of somebody else's choice.
fn push_parameter(line: &mut Vec<u8>, name: &str, value: Option<&str>, order: &Transaction) {
    let fits = |v: &&str| {
        !v.is_empty()
            && v.bytes().all(|b| b > b' ' && b != 0x7f)
            && (v.is_ascii() || needs_utf8(order))
    };
    if let Some(value) = value.filter(fits) {
        line.extend_from_slice(name.as_bytes());
        line.extend_from_slice(value.as_bytes());
    }
}
