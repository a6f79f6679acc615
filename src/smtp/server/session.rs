//! The session as the reactor sees it, and the steps that every part of the machine takes.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::content::Source;
use super::{
    Action, Context, Introduction, Out, Progress, Question, ServerSession, State, replies,
};
use crate::base::{Address, MessageId, Recipient, Reply, Time};
use crate::smtp::{Facts, Stage};

impl ServerSession {
    /// A session with this client, before its first word.
    pub fn new(client: SocketAddr, tls: bool, cx: &Context<'_>) -> ServerSession {
        ServerSession {
            // A client of a listener for both families is still an IPv4 client.
            client: client.ip().to_canonical(),
            tls,
            binding: None,
            user: None,
            introduction: Introduction::Silent,
            progress: Progress::None,
            state: State::Start,
            outbox: VecDeque::new(),
            errors: 0,
            lines_ahead: 0,
            ending: false,
            seen: 0,
            octets: 0,
            deadline: cx.now.time.after(cx.config.timeout),
        }
    }

    /// What to do next, and how many octets of the input are consumed. To be called until it says
    /// Read, Ask, Commit, StartTls or Close; what was not consumed comes first in the next input.
    pub fn step(&mut self, input: &[u8], cx: &Context<'_>) -> (usize, Action) {
        self.note_arrival(input.len(), cx);
        let (used, action) = self.advance(input, cx);
        self.seen = input.len() - used;
        (used, action)
    }

    /// Octets that arrive renew the deadline: in content always, of a command line only the first
    /// one, so that a line cannot be dripped for ever.
    fn note_arrival(&mut self, len: usize, cx: &Context<'_>) {
        let renews = match self.state {
            State::Content(_) | State::Waste { .. } => true,
            State::Command { .. } | State::Response { .. } => self.seen == 0,
            _ => false,
        };
        if renews && len > self.seen {
            self.renew(cx);
        }
    }

    fn advance(&mut self, input: &[u8], cx: &Context<'_>) -> (usize, Action) {
        let mut used = 0;
        loop {
            if let Some(out) = self.outbox.pop_front() {
                return (used, out.into());
            }
            let rest = &input[used..];
            if rest.is_empty() && self.outbox.capacity() > 0 {
                // A session that only waits owns nothing that it does not need.
                self.outbox = VecDeque::new();
            }
            let (n, action) = match self.state {
                State::Start => {
                    self.ask(Question::Connect);
                    continue;
                }
                State::Gate(_) | State::Commit | State::Keys(_) => (0, Some(Action::Read)),
                State::Failed | State::Penance => (0, Some(Action::Read)),
                State::Work(_) => (0, Some(Action::Work)),
                // What comes before the handshake is not to be believed, what comes after the
                // end is not to be heard.
                State::Handshake => (rest.len(), Some(Action::Read)),
                State::Closed(why) => (rest.len(), Some(Action::Close(why))),
                State::Command { .. } | State::Response { .. }
                    if self.ending && !self.in_transaction() =>
                {
                    self.farewell(replies::SHUTTING_DOWN, "server ends");
                    continue;
                }
                State::Command { searched } => self.read_command(rest, searched, used, cx),
                State::Response { searched, .. } => self.read_response(rest, searched, used, cx),
                State::LongLine { cr, .. } => self.swallow_line(rest, cr, cx),
                State::Content(source) => self.read_content(source, rest, used, cx),
                State::Waste { left, .. } => self.swallow_chunk(rest, left, cx),
            };
            used += n;
            if let Some(action) = action {
                return (used, action);
            }
        }
    }

    /// What became of the message after [`Action::Commit`]: its identity when it is durable, else
    /// what the client is to be told.
    pub fn committed(&mut self, result: Result<MessageId, Reply>, cx: &Context<'_>) {
        debug_assert!(matches!(self.state, State::Commit), "committed without a commit");
        if !matches!(self.state, State::Commit) {
            return;
        }
        self.progress = Progress::None;
        self.await_command(cx);
        match result {
            Ok(id) => self.outbox.push_back(Out::Reply(replies::queued(id))),
            Err(reply) => self.refuse_message(reply),
        }
    }

    /// When [`ServerSession::timeout`] is due; never while the client waits for us.
    pub fn deadline(&self) -> Time {
        match self.state {
            State::Gate(_) | State::Commit | State::Closed(_) => Time::NEVER,
            State::Keys(_) | State::Work(_) | State::Failed => Time::NEVER,
            _ => self.deadline,
        }
    }

    /// The deadline has passed. The next step says so and closes.
    pub fn timeout(&mut self, cx: &Context<'_>) {
        match self.state {
            State::Gate(_) | State::Commit | State::Closed(_) => {}
            State::Keys(_) | State::Work(_) | State::Failed => {}
            State::Penance => self.refuse_login(cx),
            // In the middle of a handshake no reply can be read.
            State::Handshake => self.close("timeout"),
            _ => {
                self.abort_content();
                self.farewell(replies::TIMEOUT, "timeout");
            }
        }
    }

    /// The server is to end: a session without open transaction says 421 at the next step, any
    /// other goes on until its transaction is over.
    pub fn shutdown(&mut self, _cx: &Context<'_>) {
        self.ending = true;
    }

    /// The server ends now, whatever is under way. The next step says so and closes.
    pub fn end(&mut self) {
        match self.state {
            State::Closed(_) => {}
            // Nothing of a handshake can be answered, and a commit is not known to fail.
            State::Handshake | State::Commit => self.close("server ends"),
            _ => {
                self.abort_content();
                self.farewell(replies::SHUTTING_DOWN, "server ends");
            }
        }
    }

    /// TLS stands: as if the client had just connected (RFC 3207 section 4.2).
    pub fn tls_started(&mut self, cx: &Context<'_>) {
        debug_assert!(matches!(self.state, State::Handshake), "TLS that nobody asked for");
        self.tls = true;
        self.user = None;
        self.introduction = Introduction::Silent;
        self.seen = 0;
        self.await_command(cx);
    }

    /// Content could not be stored, when [`Action::Begin`] or [`Action::Body`] wanted it. The rest
    /// is swallowed, then the client is told this; [`Action::Abort`] comes first.
    pub fn spool_failed(&mut self, reply: Reply) {
        let Progress::Content(content) = &mut self.progress else { return };
        if !content.is_kept() {
            return;
        }
        content.refuse(reply.clone());
        // Where 354 was not said yet, the client need not send the message at all.
        let promised = |out: &Out| matches!(out, Out::Reply(r) if r.code == 354);
        if self.outbox.iter().any(promised) {
            self.outbox.clear();
            self.progress = Progress::None;
            self.state = State::Command { searched: 0 };
            self.outbox.push_back(Out::Reply(reply));
        }
        self.outbox.push_front(Out::Abort);
    }
}

/// What lists and the gate want to know.
impl ServerSession {
    /// What is known at the gate; makes sense after [`Action::Ask`].
    pub fn facts(&self) -> Facts<'_> {
        let (from, recipients, size) = match &self.progress {
            Progress::Mail(d) => {
                (Some(d.envelope.from.as_ref()), d.envelope.recipients.len(), d.declared)
            }
            Progress::Content(c) => (Some(c.from.as_ref()), c.recipients, c.size),
            Progress::None | Progress::Spoiled(_) => (None, 0, 0),
        };
        let mut facts = Facts {
            client: self.client,
            helo: self.introduction.name(),
            from,
            rcpt: None,
            recipients,
            size,
            tls: self.tls,
            user: self.user(),
        };
        match &self.state {
            State::Gate(Question::Helo(new)) => facts.helo = new.name(),
            State::Gate(Question::Mail(draft)) => {
                facts.from = Some(draft.envelope.from.as_ref());
                facts.size = draft.declared;
            }
            State::Gate(Question::Rcpt(recipient)) => facts.rcpt = Some(&recipient.address),
            // What will have come with this chunk; before the first one that is nothing, whatever
            // SIZE said.
            State::Gate(Question::Bdat { size, .. }) => {
                let before = matches!(self.progress, Progress::Content(_));
                facts.size = size.saturating_add(if before { facts.size } else { 0 });
            }
            _ => {}
        }
        facts
    }

    /// Between the acceptance of MAIL and the reply that ends the transaction.
    pub fn in_transaction(&self) -> bool {
        matches!(self.progress, Progress::Mail(_) | Progress::Content(_))
    }

    /// Waits for [`ServerSession::tls_started`].
    pub fn awaits_tls(&self) -> bool {
        matches!(self.state, State::Handshake)
    }

    /// At the gate with EHLO, not with HELO.
    pub fn says_ehlo(&self) -> bool {
        matches!(self.state, State::Gate(Question::Helo(Introduction::Ehlo(_))))
    }

    /// Inside TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Waits for [`ServerSession::verdict`], [`ServerSession::committed`] or another answer of the
    /// reactor, or for time to pass, and takes no input.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Gate(_) | State::Commit | State::Keys(_))
            || matches!(self.state, State::Work(_) | State::Failed | State::Penance)
    }

    /// What comes next is content, kept or not: more of it than of commands can be read at once.
    pub fn is_in_content(&self) -> bool {
        matches!(self.state, State::Content(_) | State::Waste { .. })
    }

    /// Where the session is, in a word, for lists.
    pub fn state_name(&self) -> &'static str {
        match (&self.state, &self.progress, &self.introduction) {
            (State::Closed(_), ..) => "closed",
            (State::Handshake, ..) => "tls",
            (State::Commit, ..) => "commit",
            (State::Gate(Question::Connect) | State::Start, ..) => "connect",
            (State::Gate(Question::Auth { .. }), ..) => "auth",
            (State::Response { .. } | State::Keys(_) | State::Work(_), ..) => "auth",
            (State::Failed | State::Penance, ..) => "auth",
            (State::Content(Source::Dots(_)), ..) => "data",
            (State::Content(_) | State::Waste { .. }, ..) => "bdat",
            // At the gate in the middle of content, or between two chunks.
            (_, Progress::Content(_), _) => "content",
            (_, Progress::Mail(d), _) if d.envelope.recipients.is_empty() => "mail",
            (_, Progress::Mail(_), _) => "rcpt",
            (.., Introduction::Silent | Introduction::Unserved) => "helo",
            _ => "idle",
        }
    }

    /// The reverse path of the open transaction; `Some(None)` is `<>`.
    pub fn from(&self) -> Option<Option<&Address>> {
        self.facts().from
    }

    /// Recipients of the open transaction.
    pub fn recipients(&self) -> usize {
        self.facts().recipients
    }

    /// The last recipient that was accepted, until content begins.
    pub fn last_recipient(&self) -> Option<&Address> {
        match &self.progress {
            Progress::Mail(draft) => draft.envelope.recipients.last().map(|r| &r.address),
            _ => None,
        }
    }

    /// The recipients that were accepted, until content begins.
    pub fn named_recipients(&self) -> &[Recipient] {
        match &self.progress {
            Progress::Mail(draft) => &draft.envelope.recipients,
            _ => &[],
        }
    }

    /// Octets of content in the whole session so far.
    pub fn bytes(&self) -> u64 {
        self.octets
    }

    /// The EHLO or HELO argument as it came, cut to 256 octets.
    pub fn helo(&self) -> Option<&str> {
        self.introduction.name()
    }
}

/// Steps that every part of the machine takes.
impl ServerSession {
    pub(super) fn renew(&mut self, cx: &Context<'_>) {
        self.deadline = cx.now.time.after(cx.config.timeout);
    }

    pub(super) fn ask(&mut self, question: Question) {
        self.outbox.push_back(Out::Ask(question.stage()));
        self.state = State::Gate(question);
    }

    pub(super) fn await_command(&mut self, cx: &Context<'_>) {
        self.state = State::Command { searched: 0 };
        self.renew(cx);
    }

    /// Replies, and ends the session when it is one error too many.
    pub(super) fn say(&mut self, reply: Reply, cx: &Context<'_>) {
        if matches!(reply.code, 500..=504 | 555) {
            self.errors += 1;
        }
        self.outbox.push_back(Out::Reply(reply));
        if self.errors >= cx.config.max_errors {
            self.abort_content();
            self.farewell(replies::TOO_MANY_ERRORS, "too many errors");
        }
    }

    /// Refuses a message after its content; the transaction is over.
    pub(super) fn refuse_message(&mut self, reply: Reply) {
        self.outbox.push_back(Out::Refused(reply.clone()));
        self.outbox.push_back(Out::Reply(reply));
    }

    pub(super) fn farewell(&mut self, reply: Reply, why: &'static str) {
        self.outbox.push_back(Out::Reply(reply));
        self.close(why);
    }

    pub(super) fn close(&mut self, why: &'static str) {
        self.outbox.push_back(Out::Close(why));
        self.progress = Progress::None;
        self.state = State::Closed(why);
    }

    /// Ends the transaction; content that was kept is dropped.
    pub(super) fn abort_content(&mut self) {
        if let Progress::Content(content) = &self.progress {
            if content.is_kept() {
                self.outbox.push_back(Out::Abort);
            }
        }
        self.progress = Progress::None;
    }
}

impl Introduction {
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Introduction::Silent | Introduction::Unserved => None,
            Introduction::Helo(name) | Introduction::Ehlo(name) => Some(name),
        }
    }
}

impl Question {
    fn stage(&self) -> Stage {
        match self {
            Question::Connect => Stage::Connect,
            Question::Helo(_) => Stage::Helo,
            Question::Mail(_) => Stage::Mail,
            Question::Rcpt(_) => Stage::Rcpt,
            Question::Data => Stage::Data,
            Question::Body(_) => Stage::Body,
            Question::Dot => Stage::Dot,
            Question::Bdat { .. } => Stage::Bdat,
            Question::Rset => Stage::Rset,
            Question::Quit => Stage::Quit,
            Question::StartTls => Stage::StartTls,
            Question::Auth { .. } => Stage::Auth,
            Question::Other(_) => Stage::Other,
        }
    }
}

impl From<Out> for Action {
    fn from(out: Out) -> Action {
        match out {
            Out::Ask(stage) => Action::Ask(stage),
            Out::Reply(reply) => Action::Reply(reply),
            Out::Challenge(reply) => Action::Challenge(reply),
            Out::Keys(user) => Action::Keys(user),
            Out::LoggedIn(mechanism) => Action::LoggedIn(mechanism),
            Out::LoginFailed(mechanism) => Action::LoginFailed(mechanism),
            Out::Begin(envelope) => Action::Begin(envelope),
            Out::Abort => Action::Abort,
            Out::Commit => Action::Commit,
            Out::Refused(reply) => Action::Refused(reply),
            Out::StartTls => Action::StartTls,
            Out::Close(why) => Action::Close(why),
        }
    }
}
