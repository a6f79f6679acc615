//! `follow`: which entries are shown. Expressions are asked of an item and of what is known of its
//! session at that moment.

use std::time::Duration;

use super::messages::Entry;
use crate::base::{Address, SessionId};
use crate::control::Follow;
use crate::journal::{About, FeedItem, Kind};
use crate::rules::{Expr, Fields, Rcpts};

/// What narrows the view.
#[derive(Clone, PartialEq, Debug)]
pub enum Filter {
    /// Nothing.
    All,
    /// A session.
    Session(SessionId),
    /// A message, by its counter.
    Message(u64),
    /// An expression.
    Where(Expr),
}

impl From<Follow> for Filter {
    fn from(follow: Follow) -> Filter {
        match follow {
            Follow::All => Filter::All,
            Follow::Session(id) => Filter::Session(id),
            Follow::Message(counter) => Filter::Message(counter),
            Follow::Where(expr) => Filter::Where(expr),
        }
    }
}

impl Filter {
    /// Whether an entry is shown. Marks and gaps always are.
    pub fn lets(&self, entry: &Entry) -> bool {
        let Entry::Item(item) = entry else { return true };
        match self {
            Filter::All => true,
            Filter::Session(id) => item.session == Some(*id),
            Filter::Message(counter) => item.message.is_some_and(|id| id.counter == *counter),
            Filter::Where(expr) => holds(expr, item),
        }
    }

    /// As the status line names it; nothing when all is shown.
    pub fn name(&self) -> Option<String> {
        match self {
            Filter::All => None,
            Filter::Session(id) => Some(id.to_string()),
            Filter::Message(counter) => Some(format!("q{counter:X}")),
            Filter::Where(expr) => Some(format!("where {}", expr.source())),
        }
    }
}

fn holds(expr: &Expr, item: &FeedItem) -> bool {
    let nothing = About::default();
    let about = item.about.as_deref().unwrap_or(&nothing);
    let mut fields = Fields {
        client: about.client,
        helo: about.helo.as_ref().map(|helo| helo.as_str()),
        from: about.from.as_ref().map(|from| from.as_str()),
        verb: item.verb.map(|verb| verb.name()),
        reply: item.code,
        delay: Some(Duration::from_micros(item.delay_us)),
        tls: item.session.map(|_| about.tls),
        user: about.user.as_ref().map(|user| user.as_str()),
        session: item.session,
        id: item.message,
        next: about.next.as_ref().map(|next| next.as_str()),
        ..Fields::default()
    };
    let mut rcpt = about.rcpt.as_ref();
    match &item.kind {
        Kind::Content { octets } => fields.size = Some(*octets),
        Kind::Accepted { from, size, .. } => {
            (fields.from, fields.size) = (Some(from.as_str()), Some(*size));
        }
        Kind::Outcome { to, next, .. } => {
            (rcpt, fields.next) = (Some(to), Some(next.as_str()));
        }
        Kind::NextServer { next } => fields.next = Some(next.as_str()),
        _ => {}
    }
    let address = rcpt.and_then(|rcpt| Address::parse(rcpt.as_str()).ok());
    fields.rcpt = address.as_ref().map_or(Rcpts::None, Rcpts::One);
    expr.holds(&fields)
}
