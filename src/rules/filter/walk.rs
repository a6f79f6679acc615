//! Walking the list: what happens to a recipient, as far as is known, and to a whole message.

use std::collections::HashSet;

use super::limit::Owner;
use super::list::Entry;
use super::{Action, Filter, Filters, Level};
use crate::base::{Address, Recipient, Reply, Time};
use crate::rules::expr::{Expr, Field, Fields, Rcpts};

/// What of the mail that is asked about can be seen.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// How far the transaction is.
    pub level: Level,
    /// What is known; of [`Fields::rcpt`] at most one.
    pub fields: Fields<'a>,
}

/// What is remembered of one transaction: a client may name recipients for ever that are refused
/// behind a limit. What is beyond is counted each time it is asked about (I9).
const MAX_COUNTED: usize = 10_000;

/// What a transaction has behind it.
#[derive(Default, Debug)]
pub struct Passage {
    /// The limits that have counted it, by serial, and for which recipient.
    counted: HashSet<(u64, Option<Address>)>,
}

impl Passage {
    /// Another transaction begins.
    pub fn begin(&mut self) {
        self.counted.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.counted.len()
    }
}

/// Whether a filter fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fit {
    /// It does.
    Yes,
    /// It does not, and never will.
    No,
    /// Not known yet.
    Unknown,
}

/// How a walk ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// No filter decides.
    Passed,
    /// This one could decide, or not: more must be known.
    Open,
    /// This one decides.
    By(usize),
}

/// What becomes of a recipient, and by which filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Nothing; by an `accept`, or since no filter fits.
    Plain(Option<usize>),
    /// By a `hold`.
    Hold(usize),
    /// By a `discard`.
    Discard(usize),
    /// By a `redirect`.
    Redirect(usize),
    /// By a `route`.
    Route(usize),
}

/// What is to be done with a message that is not refused.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Plan {
    /// What becomes of each recipient.
    pub fates: Vec<Fate>,
    /// The tags, in the order of the list.
    pub tags: Vec<usize>,
}

impl Plan {
    /// Nobody gets it.
    pub fn keeps_nothing(&self) -> bool {
        self.fates.iter().all(|fate| matches!(fate, Fate::Discard(_)))
    }

    /// The filter that has decided for each recipient.
    pub fn deciding(&self) -> impl Iterator<Item = Option<usize>> {
        self.fates.iter().map(|fate| match fate {
            Fate::Plain(at) => *at,
            Fate::Hold(at) | Fate::Discard(at) | Fate::Redirect(at) | Fate::Route(at) => Some(*at),
        })
    }
}

/// What is said of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// It is refused.
    Refuse(usize, Reply),
    /// More must be known.
    Open,
    /// It may come.
    Keep(Plan),
}

/// Answers for limits: the walk asks, whoever walks knows.
pub(super) trait Counter {
    /// Whether the limit has room for this.
    fn has_room(&mut self, entry: usize, list: &mut [Entry], sight: &Sight<'_>) -> bool;
}

/// Counts what passes a limit, once.
struct Counting<'p> {
    passage: &'p mut Passage,
    now: Time,
}

impl Counter for Counting<'_> {
    fn has_room(&mut self, at: usize, list: &mut [Entry], sight: &Sight<'_>) -> bool {
        let entry = &mut list[at];
        let Action::Limit(rate, per, _) = &entry.filter.action else { return true };
        let Some(owner) = Owner::of(*per, &sight.fields) else { return true };
        let rcpt = match sight.fields.rcpt {
            Rcpts::One(rcpt) if entry.filter.asks(|f| *f == Field::Rcpt) => Some(rcpt.clone()),
            _ => None,
        };
        let key = (entry.serial, rcpt);
        if self.passage.counted.contains(&key) {
            return true;
        }
        let has_room = entry.buckets.take(owner, *rate, self.now);
        if has_room && self.passage.counted.len() < MAX_COUNTED {
            self.passage.counted.insert(key);
        }
        has_room
    }
}

impl Sight<'_> {
    /// Whether a filter fits, by what is known.
    pub fn fit(&self, filter: &Filter) -> Fit {
        self.fit_if(filter, |field| self.level.knows(field))
    }

    /// The same by what `known` says is known.
    pub fn fit_if(&self, filter: &Filter, known: impl Fn(&Field) -> bool) -> Fit {
        let holds = filter.condition.as_ref().map_or(Some(true), |c| c.decide(&self.fields, known));
        self.judged(filter, holds)
    }

    /// Whether it fits when so much is known of its condition.
    fn judged(&self, filter: &Filter, holds: Option<bool>) -> Fit {
        match holds {
            Some(false) => Fit::No,
            Some(true) if filter.from <= self.level => Fit::Yes,
            _ => Fit::Unknown,
        }
    }
}

/// What can be said of a filter for all recipients of a message at once.
enum Common {
    /// This.
    Fit(Fit),
    /// It depends on the recipient: this is left of the condition.
    Rest(Expr),
}

impl Common {
    fn of(filter: &Filter, sight: &Sight<'_>) -> Common {
        if !filter.asks(|field| *field == Field::Rcpt) {
            return Common::Fit(sight.fit(filter));
        }
        let Some(condition) = &filter.condition else { return Common::Fit(sight.fit(filter)) };
        let known = |field: &Field| *field != Field::Rcpt && sight.level.knows(field);
        match condition.narrow(&sight.fields, known) {
            Ok(holds) => Common::Fit(sight.judged(filter, Some(holds))),
            Err(rest) => Common::Rest(rest),
        }
    }

    fn fit(&self, filter: &Filter, sight: &Sight<'_>) -> Fit {
        match self {
            Common::Fit(fit) => *fit,
            Common::Rest(rest) => {
                sight.judged(filter, rest.decide(&sight.fields, |field| sight.level.knows(field)))
            }
        }
    }
}

/// Walks the list; `fit` says whether the filter at a place fits. `tags` takes those that do; they
/// are all only when the end is not open.
pub(super) fn walk(
    list: &mut [Entry],
    sight: &Sight<'_>,
    fit: impl Fn(usize, &Filter) -> Fit,
    counter: &mut impl Counter,
    tags: &mut Vec<usize>,
) -> End {
    // A refusal that may still come changes no other refusal but its words.
    let mut open = false;
    for at in 0..list.len() {
        let action = &list[at].filter.action;
        match (action, fit(at, &list[at].filter)) {
            (_, Fit::No) => {}
            (Action::Tag(_), Fit::Unknown) => {}
            (Action::Tag(_), Fit::Yes) => tags.push(at),
            (Action::Reject(_) | Action::Limit(..), Fit::Unknown) => open = true,
            (Action::Reject(_), Fit::Yes) => return End::By(at),
            (Action::Limit(..), Fit::Yes) => {
                if !counter.has_room(at, list, sight) {
                    return End::By(at);
                }
            }
            (_, Fit::Unknown) => return End::Open,
            (_, Fit::Yes) if open => return End::Open,
            (_, Fit::Yes) => return End::By(at),
        }
    }
    if open { End::Open } else { End::Passed }
}

impl Filters {
    /// What is said before the content, of the session or of a recipient: the filter that refuses
    /// and its reply, if one certainly does.
    pub fn refusal(
        &mut self,
        sight: &Sight<'_>,
        passage: &mut Passage,
        now: Time,
    ) -> Option<(usize, Reply)> {
        let mut counter = Counting { passage, now };
        match walk(&mut self.list, sight, |_, f| sight.fit(f), &mut counter, &mut Vec::new()) {
            End::By(at) => self.list[at].filter.action.reply().map(|reply| (at, reply.clone())),
            _ => None,
        }
    }

    /// What is certain of a recipient's fate, unless it is a refusal. To be asked after
    /// [`Filters::refusal`] has refused nothing: limits are taken to have room.
    pub fn fate(&mut self, sight: &Sight<'_>) -> Option<Fate> {
        struct Room;
        impl Counter for Room {
            fn has_room(&mut self, _: usize, _: &mut [Entry], _: &Sight<'_>) -> bool {
                true
            }
        }
        match walk(&mut self.list, sight, |_, f| sight.fit(f), &mut Room, &mut Vec::new()) {
            End::Open => None,
            End::Passed => Some(Fate::Plain(None)),
            End::By(at) => fate_by(at, &self.list[at].filter.action),
        }
    }

    /// What is said of a message, each of whose recipients walks for itself. At [`Level::Dot`] it
    /// is never open.
    pub fn judge(
        &mut self,
        sight: &Sight<'_>,
        recipients: &[Recipient],
        passage: &mut Passage,
        now: Time,
    ) -> Judgement {
        let mut counter = Counting { passage, now };
        let (mut plan, mut open) = (Plan::default(), false);
        // A thousand recipients must not mean to look a thousand times at the header.
        let common: Vec<Common> = self.list.iter().map(|e| Common::of(&e.filter, sight)).collect();
        plan.fates.reserve(recipients.len());
        for recipient in recipients {
            let fields = Fields { rcpt: Rcpts::One(&recipient.address), ..sight.fields };
            let sight = Sight { fields, ..*sight };
            let mut tags = Vec::new();
            let fit = |at: usize, filter: &Filter| common[at].fit(filter, &sight);
            match walk(&mut self.list, &sight, fit, &mut counter, &mut tags) {
                End::Open => open = true,
                End::Passed => plan.fates.push(Fate::Plain(None)),
                End::By(at) => match fate_by(at, &self.list[at].filter.action) {
                    Some(fate) => plan.fates.push(fate),
                    None => {
                        let reply = self.list[at].filter.action.reply();
                        return reply.map_or(Judgement::Open, |r| Judgement::Refuse(at, r.clone()));
                    }
                },
            }
            // Nobody gets what a discarded recipient would have been tagged with.
            if !matches!(plan.fates.last(), Some(Fate::Discard(_))) {
                plan.tags.extend(tags);
            }
        }
        plan.tags.sort_unstable();
        plan.tags.dedup();
        if open { Judgement::Open } else { Judgement::Keep(plan) }
    }
}

/// What becomes of a recipient for whom this action decides; none when it refuses.
fn fate_by(at: usize, action: &Action) -> Option<Fate> {
    match action {
        Action::Accept => Some(Fate::Plain(Some(at))),
        Action::Hold => Some(Fate::Hold(at)),
        Action::Discard => Some(Fate::Discard(at)),
        Action::Redirect(_) => Some(Fate::Redirect(at)),
        Action::Route(_) => Some(Fate::Route(at)),
        Action::Reject(_) | Action::Limit(..) => None,
        // A tag decides nothing; the walk goes on.
        Action::Tag(_) => Some(Fate::Plain(None)),
    }
}
