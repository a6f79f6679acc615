//! The gate's answers: each question is put with all that is needed to go on, and here it goes on.

use super::content::{Content, Source};
use super::{
    Context, Introduction, Out, Progress, Question, ServerSession, State, Verdict, replies,
};
use crate::base::Reply;
use crate::smtp::data::DotDecoder;

impl ServerSession {
    /// The answer to [`Action::Ask`](super::Action::Ask).
    pub fn verdict(&mut self, verdict: Verdict, cx: &Context<'_>) {
        let question = match std::mem::replace(&mut self.state, State::Command { searched: 0 }) {
            State::Gate(question) => question,
            state => {
                debug_assert!(false, "a verdict that nobody asked for");
                self.state = state;
                return;
            }
        };
        self.renew(cx);
        if self.ending && !self.in_transaction() && !matches!(question, Question::Quit) {
            return self.farewell(replies::SHUTTING_DOWN, "server ends");
        }
        match verdict {
            Verdict::Accept => self.accept(question, false, cx),
            Verdict::Discard => self.accept(question, true, cx),
            Verdict::Refuse(reply) if reply.code == 421 => {
                self.abort_content();
                self.farewell(reply, "refused with 421");
            }
            Verdict::Refuse(reply) => self.refuse(question, reply, cx),
            Verdict::Drop => {
                self.abort_content();
                self.close("dropped");
            }
        }
    }

    /// Goes on as the protocol says. To discard makes sense where a message is judged; elsewhere
    /// it is the same.
    fn accept(&mut self, question: Question, discard: bool, cx: &Context<'_>) {
        let reply = match question {
            Question::Connect => replies::greeting(cx),
            Question::Helo(introduction) => {
                // RFC 5321 section 4.1.4: as if RSET had been said.
                self.abort_content();
                self.introduction = introduction;
                match self.introduction {
                    Introduction::Ehlo(_) => replies::ehlo(self.tls, self.mechanisms(cx), cx),
                    _ => replies::helo(cx),
                }
            }
            Question::Mail(draft) => {
                self.progress = Progress::Mail(draft);
                replies::SENDER_OK
            }
            Question::Rcpt(recipient) => {
                if let Progress::Mail(draft) = &mut self.progress {
                    draft.envelope.recipients.push(*recipient);
                }
                replies::RECIPIENT_OK
            }
            Question::Data => {
                self.begin();
                self.state = State::Content(Source::Dots(DotDecoder::default()));
                replies::SEND_CONTENT
            }
            Question::Bdat { size, last } => {
                self.begin();
                self.state = State::Content(Source::Chunk { left: size, last });
                return;
            }
            Question::Body(source) => return self.judged(source, discard, cx),
            Question::Dot if discard => {
                self.abort_content();
                replies::OK
            }
            Question::Dot => {
                self.outbox.push_back(Out::Commit);
                self.state = State::Commit;
                return;
            }
            Question::Rset => {
                self.abort_content();
                replies::OK
            }
            Question::Quit => {
                self.abort_content();
                return self.farewell(replies::BYE, "quit");
            }
            Question::StartTls => {
                self.progress = Progress::None;
                self.outbox.push_back(Out::Reply(replies::READY_FOR_TLS));
                self.outbox.push_back(Out::StartTls);
                self.state = State::Handshake;
                return;
            }
            Question::Auth { mechanism, initial } => {
                return self.begin_login(mechanism, initial.as_ref(), cx);
            }
            Question::Other(reply) => return self.say(reply, cx),
        };
        self.outbox.push_back(Out::Reply(reply));
    }

    /// Says this instead of success; all else stays as it was.
    fn refuse(&mut self, question: Question, reply: Reply, cx: &Context<'_>) {
        match question {
            // Another greeting, 220 too, is only another greeting.
            Question::Connect if reply.class() > 3 => self.introduction = Introduction::Unserved,
            Question::Rcpt(_) => {
                if let Progress::Mail(draft) = &mut self.progress {
                    draft.refused += 1;
                }
            }
            Question::Bdat { size, last } => return self.waste(size, last, reply),
            Question::Auth { .. } => self.expect_lines_ahead(),
            Question::Body(source) => {
                if let Progress::Content(content) = &mut self.progress {
                    content.refuse(reply);
                    self.outbox.push_back(Out::Abort);
                }
                return self.go_on(source, cx);
            }
            Question::Dot => {
                self.abort_content();
                return self.refuse_message(reply);
            }
            _ => {}
        }
        self.outbox.push_back(Out::Reply(reply));
    }

    /// Content begins, where it has not begun with an earlier chunk.
    fn begin(&mut self) {
        self.progress = match std::mem::replace(&mut self.progress, Progress::None) {
            Progress::Mail(draft) => {
                let content = Content::new(&draft.envelope);
                self.outbox.push_back(Out::Begin(Box::new(draft.envelope)));
                Progress::Content(Box::new(content))
            }
            other => other,
        };
    }

    /// The header was let through.
    fn judged(&mut self, source: Option<Source>, discard: bool, cx: &Context<'_>) {
        if discard {
            if let Progress::Content(content) = &mut self.progress {
                content.discard();
                self.outbox.push_back(Out::Abort);
            }
        }
        self.go_on(source, cx);
    }

    /// Reads the rest of the content, if there is a rest.
    fn go_on(&mut self, source: Option<Source>, cx: &Context<'_>) {
        match source {
            Some(source) => self.state = State::Content(source),
            None => self.conclude(cx),
        }
    }
}
