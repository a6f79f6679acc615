//! The gate of the inbound leg: the relay rule, then the filters, then whether there is a way.
//!
//! What a filter does to a message that is not refused is done at the dot, when all is known: the
//! record gets another front (see `spool/front.rs`) before the commit makes it durable. So what was
//! decided is on the disk with the message, and holds after a restart.

use std::collections::{BTreeMap, HashSet};

use super::core::{Core, Role};
use super::store::{Spooling, Storing, goes_on};
use crate::base::{
    Address, Enhanced, Envelope, MessageId, Now, Recipient, Reply, SessionId, Status,
};
use crate::journal::What;
use crate::message::missing_fields;
use crate::rules::filter::{Action, Fate, Judgement, Level, Passage, Plan, Sight};
use crate::rules::{Fields, MAX_HEADER, Rcpts};
use crate::smtp::{Facts, Stage, Verdict};
use crate::spool::Disk;

/// The most room that is left in the envelope of a large message.
const MAX_ROOM: usize = 16 << 20;
/// Addresses that a word about a message names.
const MAX_NAMED: usize = 3;

/// Who asks at the gate, beside the facts.
pub struct Asked<'a, F> {
    /// The session.
    pub session: SessionId,
    /// What its listener is for.
    pub role: Role,
    /// The clocks.
    pub now: Now,
    /// What the filters have counted of its transaction.
    pub passage: &'a mut Passage,
    /// The message, once its content comes.
    pub storing: Option<&'a mut Storing<F>>,
}

/// What is kept of a message for the rules while it comes.
#[derive(Debug)]
pub struct Sifting {
    /// As the client gave it, before aliases.
    envelope: Envelope,
    /// Our trace field.
    trace: Vec<u8>,
    /// What came of the header, as much of it as rules look at.
    header: Vec<u8>,
    header_is: Extent,
    /// An empty line stands behind our fields: there is no header.
    parted: bool,
}

/// How much of a header is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Extent {
    /// More may come.
    Coming,
    /// All of it.
    Whole,
    /// Not all, and no more is kept.
    Cut,
}

impl Sifting {
    /// For a message whose content begins.
    pub fn new(envelope: Envelope, trace: Vec<u8>) -> Sifting {
        let header = Vec::new();
        Sifting { envelope, trace, header, header_is: Extent::Coming, parted: false }
    }

    /// Content comes.
    pub fn look_at(&mut self, octets: &[u8]) {
        if self.header_is == Extent::Coming && self.header.is_empty() && goes_on(octets) {
            self.header_is = Extent::Whole;
            self.parted = true;
        }
        if self.header_is == Extent::Coming {
            let room = MAX_HEADER - self.header.len();
            self.header.extend_from_slice(&octets[..octets.len().min(room)]);
            if octets.len() > room {
                self.header_is = Extent::Cut;
            }
        }
    }
}

impl<D: Disk> Core<D> {
    /// The verdict of the gate on the inbound leg.
    pub fn decide(
        &mut self,
        stage: Stage,
        facts: &Facts<'_>,
        asked: Asked<'_, D::File>,
    ) -> Verdict {
        if asked.role == Role::Sink {
            return Verdict::Accept;
        }
        match self.relay.decide(stage, facts) {
            Verdict::Accept => {}
            verdict => return verdict,
        }
        let Some(level) = Level::at(stage) else { return Verdict::Accept };
        if level >= Level::Body {
            return self.judge(level, facts, asked);
        }
        if level == Level::Mail {
            asked.passage.begin();
        }
        match self.refusal(level, facts, asked) {
            None if stage == Stage::Rcpt => self.has_way(facts),
            None => Verdict::Accept,
            Some(reply) => Verdict::Refuse(reply),
        }
    }

    /// What a filter says before the content.
    fn refusal(
        &mut self,
        level: Level,
        facts: &Facts<'_>,
        asked: Asked<'_, D::File>,
    ) -> Option<Reply> {
        if self.filters.is_empty() {
            return None;
        }
        let sight = sight_of(level, facts, b"");
        let (at, mut reply) = self.filters.refusal(&sight, asked.passage, asked.now.time)?;
        if level <= Level::Helo {
            // RFC 2034 section 4: not in the greeting, nor in replies to EHLO and HELO.
            reply.enhanced = None;
        }
        let whom = facts.rcpt.map(|rcpt| format!(" <{rcpt}>")).unwrap_or_default();
        self.filter_did(at, &asked, None, &format!("refused{whom} at {}", level.name()));
        Some(reply)
    }

    /// Mail that has no way out is refused while its client is still there to hear it. Where a
    /// filter will give it another way, that one counts.
    fn has_way(&mut self, facts: &Facts<'_>) -> Verdict {
        let Some(rcpt) = facts.rcpt else { return Verdict::Accept };
        let from = facts.from.flatten();
        let fate = match self.filters.is_empty() {
            true => None,
            false => self.filters.fate(&sight_of(Level::Rcpt, facts, b"")),
        };
        if self.fate_has_way(fate, from, rcpt) {
            return Verdict::Accept;
        }
        Verdict::Refuse(no_route())
    }

    pub(super) fn fate_has_way(
        &self,
        fate: Option<Fate>,
        from: Option<&Address>,
        rcpt: &Address,
    ) -> bool {
        let action = |at| self.filters.get(at).map(|filter| &filter.action);
        match fate {
            Some(Fate::Discard(_)) => true,
            Some(Fate::Redirect(at)) => match action(at) {
                Some(Action::Redirect(to)) => self.all_have_ways(from, to),
                _ => false,
            },
            Some(Fate::Route(at)) => match action(at) {
                Some(Action::Route(names)) if !self.via(names).is_empty() => true,
                _ => self.all_have_ways(from, rcpt),
            },
            _ => self.all_have_ways(from, rcpt),
        }
    }

    /// What the filters say of a message whose header, or all of which, is there.
    fn judge(&mut self, level: Level, facts: &Facts<'_>, mut asked: Asked<'_, D::File>) -> Verdict {
        let Some(Storing::Spool(spooling)) = asked.storing.take() else { return Verdict::Accept };
        // Without it the message began when there were no rules.
        let Some(mut sifting) = spooling.sifting.take() else { return Verdict::Accept };
        if sifting.header_is == Extent::Coming {
            sifting.header_is = Extent::Whole;
        }
        let sight = sight_of(level, facts, &sifting.header);
        let recipients = &sifting.envelope.recipients;
        let verdict = match self.filters.judge(&sight, recipients, asked.passage, asked.now.time) {
            Judgement::Open => Verdict::Accept,
            Judgement::Refuse(at, reply) => {
                self.filter_did(at, &asked, None, &format!("refused at {}", level.name()));
                Verdict::Refuse(reply)
            }
            Judgement::Keep(plan) if plan.keeps_nothing() => {
                self.tell(&plan, spooling, &sifting, &asked);
                Verdict::Discard
            }
            Judgement::Keep(_) if level == Level::Body => Verdict::Accept,
            Judgement::Keep(plan) => match self.edit(&plan, spooling, &sifting, asked.now) {
                Ok(()) => {
                    self.tell(&plan, spooling, &sifting, &asked);
                    Verdict::Accept
                }
                Err(reply) => Verdict::Refuse(reply),
            },
        };
        spooling.sifting = Some(sifting);
        verdict
    }

    /// Does to a message what a plan says.
    fn edit(
        &mut self,
        plan: &Plan,
        spooling: &mut Spooling<D::File>,
        sifting: &Sifting,
        now: Now,
    ) -> Result<(), Reply> {
        let added = self.added_fields(plan, spooling, sifting, now);
        let is_plain = |fate: &Fate| matches!(fate, Fate::Plain(_));
        if added.is_empty() && plan.fates.iter().all(is_plain) {
            return Ok(());
        }
        let (envelope, statuses) = self.edited(plan, &sifting.envelope)?;
        let end: &[u8] = if sifting.parted { b"\r\n" } else { b"" };
        let fields = [sifting.trace.as_slice(), &added, end].concat();
        if !self.spool.refront(&mut spooling.incoming, &envelope, &statuses, &fields) {
            // Room was left for the rules as they were when the content began.
            let words = "The rules have changed meanwhile, try again";
            return Err(Reply::fixed(451, Enhanced(4, 3, 0), words));
        }
        spooling.routes = self.routes_of(&envelope, now);
        for (route, status) in spooling.routes.iter_mut().zip(statuses) {
            route.2 = status;
        }
        Ok(())
    }

    /// The envelope with the fates of its recipients, aliases applied; and who is held.
    fn edited(&self, plan: &Plan, given: &Envelope) -> Result<(Envelope, Vec<Status>), Reply> {
        let (mut recipients, mut statuses, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for (recipient, fate) in given.recipients.iter().zip(&plan.fates) {
            let mut recipient = recipient.clone();
            if !self.fate_has_way(Some(*fate), given.from.as_ref(), &recipient.address) {
                return Err(no_route());
            }
            let action = match fate {
                Fate::Discard(_) => continue,
                Fate::Redirect(at) | Fate::Route(at) => self.filters.get(*at).map(|f| &f.action),
                Fate::Plain(_) | Fate::Hold(_) => None,
            };
            match action {
                Some(Action::Redirect(to)) => redirect(&mut recipient, to),
                Some(Action::Route(names)) => recipient.via.clone_from(names),
                _ => {}
            }
            let held = matches!(fate, Fate::Hold(_));
            for address in self.aliases.expand(&recipient.address) {
                if seen.insert(address.clone()) {
                    recipients.push(Recipient { address, ..recipient.clone() });
                    statuses.push(if held { Status::Held } else { Status::Pending });
                }
            }
        }
        Ok((Envelope { recipients, ..given.clone() }, statuses))
    }

    /// The fields that go in front of the header: tags, and what every message must have.
    fn added_fields(
        &self,
        plan: &Plan,
        spooling: &Spooling<D::File>,
        sifting: &Sifting,
        now: Now,
    ) -> Vec<u8> {
        let mut text = String::new();
        for at in &plan.tags {
            if let Some(Action::Tag(field)) = self.filters.get(*at).map(|filter| &filter.action) {
                text.push_str(field);
                text.push_str("\r\n");
            }
        }
        // RFC 6409 section 8. What is longer than we look at is not known to lack anything.
        if sifting.header_is == Extent::Whole && self.completes(&sifting.envelope) {
            let missing = missing_fields(&sifting.header);
            if missing.date {
                text.push_str(&format!("Date: {}\r\n", now.wall.rfc5322()));
            }
            if missing.message_id {
                let (id, host) = (spooling.incoming.id(), &self.relay_session.hostname);
                // Several servers of one name must not make the same.
                let salt = crc32c::crc32c_append(now.wall.as_micros() as u32, &sifting.trace);
                text.push_str(&format!("Message-ID: <{id}.{salt:08x}@{host}>\r\n"));
            }
        }
        text.into_bytes()
    }

    /// Whether Date and Message-ID are added to mail of this client.
    fn completes(&self, envelope: &Envelope) -> bool {
        let client = &envelope.client;
        self.config.server.add_missing_fields
            && (client.user.is_some() || client.ip.is_some_and(|ip| self.relay.is_ours(ip)))
    }

    /// How many octets rules may add to the front of a message; none when no rule looks at it.
    pub(super) fn most_edits(&self, envelope: &Envelope) -> Option<usize> {
        /// Date and Message-ID, without the name of the host.
        const MISSING: usize = 128;
        /// What a line of the envelope has beside address and ORCPT.
        const TO: usize = 64;
        let completes = self.completes(envelope);
        if self.filters.is_empty() && !completes {
            return None;
        }
        let mut most = if completes { MISSING + self.relay_session.hostname.len() } else { 0 };
        // For each recipient the longest of what might be done.
        let (mut redirected, mut routed) = (Vec::new(), 0);
        for (filter, ..) in self.filters.iter() {
            match &filter.action {
                Action::Tag(field) => most += field.len() + 2,
                Action::Redirect(to) => redirected.push(self.aliases.expand(to)),
                Action::Route(names) => {
                    routed = routed.max(names.iter().map(|name| name.len() + 5).sum());
                }
                _ => {}
            }
        }
        for recipient in &envelope.recipients {
            // An octet of either may be written as three, and once more.
            let orcpt = recipient.orcpt.as_ref().map_or(0, String::len);
            let orcpt = 9 * orcpt.max(recipient.address.as_str().len());
            let line = |to: &Address| TO + to.as_str().len() + orcpt;
            let longest = redirected.iter().map(|all| all.iter().map(line).sum()).max();
            let aliases =
                if routed > 0 { self.aliases.expand(&recipient.address).len() } else { 0 };
            most += (routed * aliases).max(longest.unwrap_or(0));
        }
        Some(most.min(MAX_ROOM))
    }

    /// Says what was done to a message, and counts it.
    fn tell(
        &mut self,
        plan: &Plan,
        spooling: &Spooling<D::File>,
        sifting: &Sifting,
        asked: &Asked<'_, D::File>,
    ) {
        let id = Some(spooling.incoming.id());
        for at in &plan.tags {
            self.filter_did(*at, asked, id, "added a field");
        }
        let mut whom: BTreeMap<usize, Vec<&Address>> = BTreeMap::new();
        for (recipient, at) in sifting.envelope.recipients.iter().zip(plan.deciding()) {
            whom.entry(at.unwrap_or(usize::MAX)).or_default().push(&recipient.address);
        }
        let all = plan.fates.len();
        for (at, whom) in whom {
            let Some(action) = self.filters.get(at).map(|filter| &filter.action) else { continue };
            let mut text = match action {
                Action::Accept => "accepted".to_owned(),
                Action::Hold => "held".to_owned(),
                Action::Discard => "discarded".to_owned(),
                Action::Redirect(to) => format!("redirected to <{to}>"),
                Action::Route(names) => format!("routed via {}", names.join(", ")),
                Action::Reject(_) | Action::Limit(..) | Action::Tag(_) => continue,
            };
            if whom.len() < all {
                let named = whom.iter().take(MAX_NAMED).map(|rcpt| format!("<{rcpt}>"));
                text.push_str(&format!(": {}", named.collect::<Vec<_>>().join(", ")));
                if whom.len() > MAX_NAMED {
                    text.push_str(&format!(" and {} more", whom.len() - MAX_NAMED));
                }
            }
            self.filter_did(at, asked, id, &text);
        }
    }

    /// A filter has decided something: the narration names it.
    fn filter_did(
        &mut self,
        at: usize,
        asked: &Asked<'_, D::File>,
        message: Option<MessageId>,
        what: &str,
    ) {
        let Some(name) = self.filters.get(at).map(|filter| filter.name.clone()) else { return };
        self.filters.hit(at);
        let text = format!("filter {name}: {what}");
        self.note(asked.now, Some(asked.session), message, What::Remark(&text));
    }
}

/// Another address takes the place of a recipient. Its sender asked about the first one, and is
/// told about that (RFC 3461 section 5.2.1: what was not given may be made of RCPT).
fn redirect(recipient: &mut Recipient, to: &Address) {
    if recipient.orcpt.is_none() && recipient.address.is_ascii() {
        let mut orcpt = "rfc822;".to_owned();
        for b in recipient.address.as_str().bytes() {
            // xtext, section 4: printable ASCII but for `+` and `=`.
            match b {
                b'+' | b'=' | ..=b' ' | 0x7f.. => orcpt.push_str(&format!("+{b:02X}")),
                b => orcpt.push(char::from(b)),
            }
        }
        recipient.orcpt = Some(orcpt).filter(|orcpt| orcpt.len() <= 500);
    }
    recipient.address = to.clone();
}

pub(super) fn no_route() -> Reply {
    Reply::fixed(550, Enhanced(5, 4, 4), "No route to this recipient")
}

/// What filters see of the facts.
pub(super) fn sight_of<'a>(level: Level, facts: &Facts<'a>, header: &'a [u8]) -> Sight<'a> {
    let fields = Fields {
        client: Some(facts.client),
        helo: facts.helo,
        from: facts.from.map(|from| from.map_or("", Address::as_str)),
        rcpt: facts.rcpt.map_or(Rcpts::None, Rcpts::One),
        size: Some(facts.size),
        header,
        tls: Some(facts.tls),
        user: facts.user,
        ..Fields::default()
    };
    Sight { level, fields }
}
