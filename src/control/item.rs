//! What happened, as the expressions of `follow` see it.

use std::time::Duration;

use crate::base::{Address, Printable};
use crate::journal::{FeedItem, Kind};
use crate::rules::{Expr, Fields, Rcpts};

/// Whether an expression holds for something that happened: for the item itself (`verb`, `reply`,
/// `delay`, `session`, `id`) and for what is known of its session at that moment.
pub fn item_holds(item: &FeedItem, expr: &Expr) -> bool {
    let about = item.about.as_deref();
    let text = |value: Option<&'_ Printable>| value.map(|v| v.as_str().to_owned());
    let (mut from, mut rcpt) =
        (text(about.and_then(|a| a.from.as_ref())), text(about.and_then(|a| a.rcpt.as_ref())));
    let mut next = text(about.and_then(|a| a.next.as_ref()));
    let mut size = None;
    match &item.kind {
        Kind::Accepted { from: sender, size: octets, .. } => {
            from = text(Some(sender));
            size = Some(*octets);
        }
        Kind::Outcome { to, next: server, .. } => {
            rcpt = text(Some(to));
            next = text(Some(server));
        }
        Kind::NextServer { next: server } => next = text(Some(server)),
        Kind::Content { octets } => size = Some(*octets),
        _ => {}
    }
    let rcpt = rcpt.and_then(|rcpt| Address::parse(&rcpt).ok());
    expr.holds(&Fields {
        client: about.and_then(|a| a.client),
        helo: about.and_then(|a| a.helo.as_ref()).map(Printable::as_str),
        from: from.as_deref(),
        rcpt: rcpt.as_ref().map_or(Rcpts::None, Rcpts::One),
        size,
        verb: item.verb.map(|verb| verb.name()),
        reply: item.code,
        delay: Some(Duration::from_micros(item.delay_us)),
        tls: about.map(|a| a.tls),
        user: about.and_then(|a| a.user.as_ref()).map(Printable::as_str),
        session: item.session,
        id: item.message,
        next: next.as_deref(),
        ..Fields::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Now;
    use crate::journal::{About, Event, Mark, Side, Verb, What};

    fn item() -> FeedItem {
        let what =
            What::Line { side: Side::Server, tls: false, text: b"451 later", mark: Mark::Plain };
        let event = Event { now: Now::default(), session: "i7".parse().ok(), message: None, what };
        let delay = Duration::from_millis(1500);
        let mut item = FeedItem::new(1, delay, (Some(Verb::Rcpt), Some(451)), &event);
        item.about = Some(Box::new(About {
            client: "192.0.2.7".parse().ok(),
            from: Some(Printable::new("ann@example.com")),
            rcpt: Some(Printable::new("bob@example.net")),
            ..About::default()
        }));
        item
    }

    #[test]
    fn items_have_the_fields_of_expressions() {
        for (source, holds) in [
            (r#"rcpt ~ "@example\.net$" && reply >= 400 && delay > 1s"#, true),
            ("verb == rcpt && client in 192.0.2.0/24", true),
            ("session == i7", true),
            ("session == i8", false),
            ("delay > 2s", false),
            ("from == \"bob@example.net\"", false),
            ("tls == true", false),
            ("next == default", false),
        ] {
            let expr = Expr::parse(source).unwrap_or_else(|e| panic!("{source}: {}", e.message));
            assert_eq!(item_holds(&item(), &expr), holds, "{source}");
        }
    }
}
