//! The commands: whether each may come now, and what the gate is asked about it.

use super::command::{self, Chunk, Command};
use super::{AuthPolicy, Context, Draft, Introduction, Progress, Question, ServerSession, State};
use super::{mail, replies};
use crate::base::{Client, Domain, Envelope, MAX_DOMAIN, Protocol, Reply};

impl ServerSession {
    /// Takes a command line, without its CRLF; says whether it was a command at all.
    pub(super) fn handle(&mut self, line: &[u8], cx: &Context<'_>) -> bool {
        match command::parse(line) {
            Ok(command) => self.take(command, cx),
            Err(reply) => {
                let is_command = reply.code == 501;
                self.object(reply, cx);
                return is_command;
            }
        }
        true
    }

    fn take(&mut self, command: Command<'_>, cx: &Context<'_>) {
        self.lines_ahead = 0;
        // A chunk is swallowed even then; QUIT always works.
        let always = matches!(command, Command::Quit | Command::Bdat(_));
        if matches!(self.introduction, Introduction::Unserved) && !always {
            return self.say(replies::NO_SERVICE, cx);
        }
        let question = match command {
            Command::Ehlo(name) => Ok(Question::Helo(Introduction::Ehlo(cut(name)))),
            Command::Helo(name) => Ok(Question::Helo(Introduction::Helo(cut(name)))),
            Command::Mail(arguments) => self.mail(arguments, cx),
            Command::Rcpt(arguments) => self.rcpt(arguments, cx),
            Command::Data => self.data(),
            Command::Bdat(chunk) => return self.bdat(chunk, cx),
            Command::Rset => Ok(Question::Rset),
            Command::Noop => Ok(Question::Other(replies::OK)),
            Command::Help => Ok(Question::Other(replies::HELP)),
            Command::Vrfy => Ok(Question::Other(replies::CANNOT_VERIFY)),
            Command::Expn => Ok(Question::Other(replies::NOT_IMPLEMENTED)),
            Command::Quit => Ok(Question::Quit),
            Command::StartTls => self.starttls(cx),
            Command::Auth(arguments) => {
                let question = self.auth(arguments, cx);
                if question.is_err() {
                    self.expect_lines_ahead();
                }
                question
            }
        };
        match question {
            Ok(question) => self.ask(question),
            Err(reply) => self.say(reply, cx),
        }
    }

    /// Whether extensions may be used: after EHLO. An error when the client said nothing yet.
    fn extended(&self) -> Result<bool, Reply> {
        match self.introduction {
            Introduction::Silent => Err(replies::HELO_FIRST),
            Introduction::Unserved => Err(replies::NO_SERVICE),
            Introduction::Helo(_) => Ok(false),
            Introduction::Ehlo(_) => Ok(true),
        }
    }

    fn mail(&self, arguments: &str, cx: &Context<'_>) -> Result<Question, Reply> {
        let extended = self.extended()?;
        match self.progress {
            Progress::None | Progress::Spoiled(_) => {}
            Progress::Mail(_) => return Err(replies::NESTED_MAIL),
            Progress::Content(_) => return Err(replies::CHUNKS_GO_ON),
        }
        if cx.config.auth == AuthPolicy::Required && self.user.is_none() {
            return Err(replies::auth_required(self.tls));
        }
        let sender = mail::sender(arguments, extended)?;
        // RFC 4954 section 5: the parameter comes with the extension. What it says is not believed.
        if sender.auth && !self.offers_auth(cx) {
            return Err(replies::PARAMETER_UNKNOWN);
        }
        if exceeds(sender.size, cx) {
            return Err(replies::TOO_BIG);
        }
        let envelope = Envelope {
            client: self.client(sender.utf8),
            from: sender.address,
            body: sender.body,
            utf8: sender.utf8,
            ret: sender.ret,
            envid: sender.envid,
            recipients: Vec::new(),
            bounce_of: None,
        };
        Ok(Question::Mail(Box::new(Draft { envelope, declared: sender.size, refused: 0 })))
    }

    /// The client as the envelope and the trace header name it: its name only when it is one, and
    /// in ASCII (RFC 6531 section 3.7.1 wants A-labels in EHLO).
    fn client(&self, utf8: bool) -> Client {
        let helo = self.introduction.name().filter(|n| n.is_ascii() && Domain::is_valid(n));
        let protocol = match self.introduction {
            Introduction::Ehlo(_) => {
                Protocol::Esmtp { tls: self.tls, auth: self.user.is_some(), utf8 }
            }
            _ => Protocol::Smtp,
        };
        Client {
            ip: Some(self.client),
            helo: helo.map(String::from),
            protocol,
            user: self.user().map(String::from),
        }
    }

    fn rcpt(&self, arguments: &str, cx: &Context<'_>) -> Result<Question, Reply> {
        let extended = self.extended()?;
        let draft = match &self.progress {
            Progress::None | Progress::Spoiled(_) => return Err(replies::MAIL_FIRST),
            Progress::Content(_) => return Err(replies::CHUNKS_GO_ON),
            Progress::Mail(draft) => draft,
        };
        let recipient = mail::recipient(arguments, extended, draft.envelope.utf8)?;
        if draft.envelope.recipients.len() >= cx.config.max_recipients as usize {
            return Err(replies::TOO_MANY_RECIPIENTS);
        }
        Ok(Question::Rcpt(Box::new(recipient)))
    }

    fn data(&self) -> Result<Question, Reply> {
        self.extended()?;
        match &self.progress {
            Progress::None | Progress::Spoiled(_) => Err(replies::MAIL_FIRST),
            Progress::Content(_) => Err(replies::CHUNKS_GO_ON),
            Progress::Mail(draft) => draft.complete().map(|()| Question::Data),
        }
    }

    fn starttls(&self, cx: &Context<'_>) -> Result<Question, Reply> {
        if !cx.config.starttls {
            return Err(replies::NOT_IMPLEMENTED);
        }
        if self.tls {
            return Err(replies::TLS_ALREADY);
        }
        self.extended()?;
        match self.progress {
            Progress::Content(_) => Err(replies::CHUNKS_GO_ON),
            _ => Ok(Question::StartTls),
        }
    }

    /// BDAT. Its octets come whatever we think of it, so each refusal swallows them first; and
    /// since a message that lacks a chunk must never be taken for a whole one, each refusal ends
    /// the transaction (RFC 3030 section 2).
    fn bdat(&mut self, chunk: Chunk, cx: &Context<'_>) {
        let (size, last) = match chunk {
            Chunk::Good { size, last } => (size, last),
            Chunk::Bad { size: Some(size) } => {
                return self.waste(size, false, replies::BDAT_SYNTAX);
            }
            // Nobody knows how many octets will come. Most likely none: a human typed it.
            Chunk::Bad { size: None } => {
                self.spoil(false, &replies::BDAT_SYNTAX);
                return self.object(replies::BDAT_SYNTAX, cx);
            }
            Chunk::Beyond => {
                self.abort_content();
                return self.farewell(replies::BDAT_BEYOND, "chunk size beyond any limit");
            }
        };
        match self.chunk_refusal(size, cx) {
            Some(reply) => self.waste(size, last, reply),
            None => self.ask(Question::Bdat { size, last }),
        }
    }

    fn chunk_refusal(&self, size: u64, cx: &Context<'_>) -> Option<Reply> {
        match self.extended() {
            Ok(true) => {}
            Ok(false) => return Some(replies::HELO_FIRST),
            Err(reply) => return Some(reply),
        }
        let before = match &self.progress {
            Progress::None => return Some(replies::MAIL_FIRST),
            Progress::Spoiled(reply) => return Some(reply.clone()),
            Progress::Mail(draft) => match draft.complete() {
                Ok(()) => 0,
                Err(reply) => return Some(reply),
            },
            Progress::Content(content) => content.size,
        };
        exceeds(before.saturating_add(size), cx).then_some(replies::TOO_BIG)
    }

    /// Swallows a chunk, then says this.
    pub(super) fn waste(&mut self, size: u64, last: bool, reply: Reply) {
        self.spoil(last, &reply);
        self.state = State::Waste { left: size, reply };
    }

    /// A chunk was refused: the transaction is over, but more chunks of it may come.
    fn spoil(&mut self, last: bool, reply: &Reply) {
        let open = !matches!(self.progress, Progress::None);
        self.abort_content();
        if open && !last {
            self.progress = Progress::Spoiled(reply.clone());
        }
    }
}

impl Draft {
    /// Whether content may come: RFC 5321 section 4.1.1.4, with the two replies of section 3.3.
    fn complete(&self) -> Result<(), Reply> {
        match (self.envelope.recipients.len(), self.refused) {
            (0, 0) => Err(replies::RCPT_FIRST),
            (0, _) => Err(replies::NO_VALID_RECIPIENTS),
            _ => Ok(()),
        }
    }
}

pub(super) fn exceeds(size: u64, cx: &Context<'_>) -> bool {
    cx.config.max_message_size != 0 && size > cx.config.max_message_size
}

/// A name of any length must not be kept as long as the session lives. One octet more than a
/// domain may have is kept, so that the beginning of a long one is never taken for a domain.
fn cut(name: &str) -> Box<str> {
    let mut end = name.len().min(MAX_DOMAIN + 1);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].into()
}
