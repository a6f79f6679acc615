//! What goes into a [`ClientSession`](super::ClientSession) and what comes out of it.

use std::fmt;
use std::time::Duration;

use crate::auth::{Mechanism, Secret};
use crate::base::{Address, BodyType, Enhanced, MessageId, Printable, Recipient, Reply, Ret};
use crate::journal::{Ending, Mark};
use crate::smtp::Stage;

/// What all sessions to one next server have in common.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Our name in EHLO: a domain or an address literal.
    pub hostname: String,
    /// What to do about STARTTLS.
    pub starttls: StartTls,
    /// As whom to log in; none: not at all.
    pub login: Option<LoginConfig>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

impl ClientConfig {
    /// In the clear, with the times of RFC 5321.
    pub fn new(hostname: &str) -> ClientConfig {
        ClientConfig {
            hostname: hostname.into(),
            starttls: StartTls::Never,
            login: None,
            timeouts: Timeouts::default(),
        }
    }
}

/// How to log in. The secret is asked for by [`Action::Secret`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginConfig {
    /// Our name there.
    pub user: String,
    /// The server's name, as OAUTHBEARER repeats it.
    pub host: String,
    /// Its port, likewise.
    pub port: u16,
    /// By which mechanism.
    pub choice: Choice,
    /// Without TLS a mechanism may be used that shows the secret.
    pub in_clear: bool,
    /// The secret may have changed since it was fetched: it is asked for once more after a 535.
    pub renewable: bool,
}

/// By which mechanism to log in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// The strongest that both know, with a password.
    Auto,
    /// This one.
    Only(Mechanism),
}

/// What a session that begins in the clear does about STARTTLS (RFC 3207).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartTls {
    /// It stays in the clear.
    Never,
    /// It takes the opportunity where there is one.
    Offered,
    /// No word about mail before it.
    Required,
}

/// How long to wait for each reply, whole (RFC 5321 section 4.5.3.2).
///
/// A limit belongs to a complete reply: a server that drips octets gains nothing by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// For the greeting, once the connection stands.
    pub greeting: Duration,
    /// For the reply to EHLO or HELO.
    pub hello: Duration,
    /// For the reply to STARTTLS, and again for the handshake.
    pub starttls: Duration,
    /// For the reply to MAIL.
    pub mail: Duration,
    /// For each reply to a RCPT.
    pub rcpt: Duration,
    /// For the 354 to DATA.
    pub data: Duration,
    /// While content goes out: without any progress.
    pub block: Duration,
    /// For the reply to the final dot or the last BDAT.
    pub dot: Duration,
    /// For the reply to RSET: no more is at stake than the connection.
    pub rset: Duration,
    /// For the reply to QUIT: it is only a courtesy.
    pub quit: Duration,
    /// For all commands of a transaction up to its content, and once more for its content. When
    /// half of it is spent no more recipients are named; the others have the next transaction.
    pub transaction: Duration,
    /// Octets of content for which a server has a second more. One that takes an octet now and
    /// then makes progress, and would otherwise hold a message for ever.
    pub rate: u64,
}

impl Default for Timeouts {
    /// The minima of RFC 5321; those for STARTTLS, RSET, QUIT and whole transactions, of which it
    /// says nothing, are ours.
    fn default() -> Timeouts {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Timeouts {
            greeting: minutes(5),
            hello: minutes(5),
            starttls: minutes(1),
            mail: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            block: minutes(3),
            dot: minutes(10),
            rset: minutes(1),
            quit: Duration::from_secs(5),
            transaction: minutes(60),
            rate: 500,
        }
    }
}

/// One message for some of its recipients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    /// Which message.
    pub message: MessageId,
    /// The reverse path; none is `<>`.
    pub from: Option<Address>,
    /// BODY, as the message was declared to us.
    pub body: BodyType,
    /// The message needs SMTPUTF8. Non-ASCII addresses need it in any case.
    pub utf8: bool,
    /// RET.
    pub ret: Option<Ret>,
    /// ENVID, an xtext.
    pub envid: Option<String>,
    /// Octets of the content, before any dot-stuffing (RFC 1870 section 3).
    pub size: u64,
    /// To whom: the index in the envelope, by which outcomes name the recipient, and the recipient.
    pub recipients: Vec<(u32, Recipient)>,
}

/// How the content travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// After DATA: dot-stuffed. The end is not written before [`Action::Dot`].
    Dot,
    /// After `BDAT size LAST` (RFC 3030): exactly so many octets, as they are.
    Bdat {
        /// Octets of content.
        size: u64,
    },
}

/// What the caller does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Come back with more input, at the deadline, or, when the session is idle, with a message.
    Read,
    /// Ask the gate: [`facts`](super::ClientSession::facts) tells, `verdict()` answers.
    Ask(Stage),
    /// Write these octets: whole command lines, several when they are pipelined. They are their
    /// own narration: each line in them is one of the transcript; no secret is ever among them.
    Send(Vec<u8>),
    /// Write these octets, and wipe them: a line of AUTH. The transcript has `shown` instead.
    SendSecret {
        /// The line, with its CRLF.
        octets: Secret,
        /// What may be seen of it.
        shown: Vec<u8>,
    },
    /// Our password or token is wanted: answer by [`secret`](super::ClientSession::secret).
    Secret {
        /// The one that was given before is refused: fetch it anew.
        fresh: bool,
    },
    /// Call [`work`](super::ClientSession::work) when it is this session's turn to compute.
    Work,
    /// A complete reply came (narration only; a challenge of AUTH as `334 ***`).
    /// [`Mark::Unexpected`]: nothing asked for it, or it makes no sense here.
    Heard(Reply, Mark),
    /// The start of a line that is no reply (narration only).
    Garbage(Vec<u8>),
    /// The server waits for our hello: drop all that was read before, flush, begin TLS, and answer
    /// by [`tls_started`](super::ClientSession::tls_started) or
    /// [`tls_failed`](super::ClientSession::tls_failed).
    StartTls,
    /// The greeting and EHLO went well: the server lives and the session is idle. Given once.
    Ready,
    /// Write the content in this mode, going on to feed `step()` meanwhile; call `progress()` when
    /// octets were taken and `transmitted()` when the last is written or queued.
    Transmit(Mode),
    /// Only in [`Mode::Dot`]: write the end of the content, which is CRLF where it is missing, and
    /// the dot.
    Dot,
    /// So ended the attempt for one recipient.
    Outcome {
        /// Its index in the envelope.
        recipient: u32,
        /// How.
        ending: Ending,
        /// The server's words (cut to [`MAX_REPLY_TEXT`] octets of text), or ours.
        reply: Reply,
        /// The server may have taken the message: all of it was sent and no complete answer came.
        uncertain: bool,
        /// Delivered, success was to be notified (RFC 3461), and this server will not do it: the
        /// caller tells the sender `Action: relayed` (section 5.2.2).
        relayed_without_dsn: bool,
    },
    /// This recipient was not tried, for a reason that is not its own: try it again soon.
    Untried(u32),
    /// The transaction is over: each of its recipients had one `Outcome` or one `Untried`. The
    /// session is idle, or ends by itself: `is_idle()` tells.
    Done,
    /// The connection is over: flush, close. The fault says whose doing it is. What is left of
    /// unfinished content is dropped, not flushed: the server may have left content behind and
    /// read it as commands.
    Close(Fault),
}

/// Octets of reply text that an [`Action::Outcome`] keeps: a thousand recipients times a hostile
/// server's 64 KiB of words would be too much to hold.
pub const MAX_REPLY_TEXT: usize = 2048;

/// Why a connection ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Nobody's: we had nothing more to say, or closing was the only safe way to go on after a
    /// transaction whose outcomes are all known.
    None,
    /// The server does not want us or our mail now: 4xx or 5xx at the greeting or EHLO and HELO,
    /// or 530, 534, 535, 538 at any time. The server is to be paused; no message is to blame.
    Server(Reply),
    /// We cannot log in: the server's words with a hint, or ours. As for [`Fault::Server`].
    Login(Reply),
    /// 421: the server is going away.
    Unavailable {
        /// Its words.
        reply: Reply,
        /// In the middle of a transaction.
        in_transaction: bool,
    },
    /// The connection broke.
    Lost {
        /// Inside a transaction, which left recipients untried or uncertain: this message may be
        /// the reason.
        in_transaction: bool,
        /// Nothing was under way, or a reused connection turned out to be dead before it gave even
        /// one reply: neither message nor server is to blame; try again at once.
        idle: bool,
        /// In a few words.
        why: String,
    },
    /// The server broke the protocol.
    Protocol {
        /// How.
        why: String,
        /// Inside a transaction.
        in_transaction: bool,
    },
    /// TLS cannot be had. Nothing was said about any message.
    Tls {
        /// Why, for who can change a setting.
        why: String,
        /// It was required. Else a new connection may do without it, at once.
        required: bool,
    },
    /// The server offers CHUNKING and does not know what to do with BDAT: its words. The content
    /// was judged by nobody, so its recipients are untried; a new connection may send it by DATA,
    /// at once.
    Bdat(Reply),
    /// The server was silent for too long at this stage ([`Stage::Body`]: content was not taken).
    Timeout(Stage),
}

impl Fault {
    /// Whether a transaction was cut short, so that the message may be the reason.
    pub fn in_transaction(&self) -> bool {
        match self {
            Fault::None | Fault::Server(_) | Fault::Login(_) => false,
            Fault::Tls { .. } | Fault::Bdat(_) => false,
            Fault::Unavailable { in_transaction, .. }
            | Fault::Lost { in_transaction, .. }
            | Fault::Protocol { in_transaction, .. } => *in_transaction,
            Fault::Timeout(stage) => matches!(
                stage,
                Stage::Mail | Stage::Rcpt | Stage::Data | Stage::Body | Stage::Dot | Stage::Bdat
            ),
        }
    }

    /// The fault as a reply, for lists of what was said last: the server's words, or ours.
    pub fn reply(&self) -> Option<Reply> {
        match self {
            Fault::None => None,
            Fault::Login(reply) | Fault::Bdat(reply) => Some(reply.clone()),
            Fault::Server(reply) | Fault::Unavailable { reply, .. } => Some(reply.clone()),
            Fault::Lost { .. } | Fault::Timeout(_) => {
                Some(Reply::made(451, Some(Enhanced(4, 4, 2)), self.to_string()))
            }
            // RFC 3463 section 3.8: a cryptographic failure.
            Fault::Tls { why, .. } => Some(Reply::made(451, Some(Enhanced(4, 7, 5)), why.clone())),
            Fault::Protocol { .. } => {
                Some(Reply::made(451, Some(Enhanced(4, 5, 0)), self.to_string()))
            }
        }
    }
}

impl fmt::Display for Fault {
    /// Our words alone; a server's are octets, for [`Fault::reply`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::None => f.write_str("closed"),
            Fault::Server(reply) => write!(f, "the server refuses us with {}", reply.code),
            Fault::Login(reply) => {
                write!(f, "cannot log in: {}", Printable::bounded(reply.on_one_line(), 400))
            }
            Fault::Unavailable { .. } => f.write_str("the server is going away (421)"),
            Fault::Lost { idle: true, why, .. } => write!(f, "idle connection lost: {why}"),
            Fault::Lost { why, .. } => write!(f, "connection lost: {why}"),
            Fault::Protocol { why, .. } => write!(f, "the server broke the protocol: {why}"),
            Fault::Tls { why, .. } => f.write_str(why),
            Fault::Bdat(reply) => {
                let words = Printable::bounded(reply.on_one_line(), 400);
                write!(f, "the server offers CHUNKING, yet does not take BDAT: {words}")
            }
            Fault::Timeout(stage) => {
                write!(f, "the server was silent for too long {}", silent_at(*stage))
            }
        }
    }
}

fn silent_at(stage: Stage) -> &'static str {
    match stage {
        Stage::Connect => "before its greeting",
        Stage::Helo => "after EHLO",
        Stage::StartTls => "after STARTTLS",
        Stage::Auth => "in the exchange of AUTH",
        Stage::Mail => "after MAIL",
        Stage::Rcpt => "after RCPT",
        Stage::Data => "after DATA",
        Stage::Body => "while content was sent",
        Stage::Dot | Stage::Bdat => "after the end of the message",
        _ => "after a command",
    }
}
