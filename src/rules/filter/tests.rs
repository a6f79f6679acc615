//! The walk against a model that knows everything, limits, and words that are no filters.

use std::net::IpAddr;
use std::time::Duration;

use super::limit::{Buckets, Owner};
use super::walk::{End, walk};
use super::*;
use crate::base::{Recipient, Time};
use crate::rules::expr::{Fields, Rcpts};

fn filter(action: &str, condition: &str) -> Filter {
    let draft = Draft {
        action,
        condition: Some(condition).filter(|c| !c.is_empty()),
        to: (action == "redirect").then_some("else@example.org"),
        via: (action == "route").then_some("other"),
        header: (action == "tag").then_some("X-Note: yes"),
        rate: (action == "limit").then_some("1/h"),
        ..Draft::default()
    };
    draft.make("f").unwrap_or_else(|e| panic!("{action} where {condition}: {}", e.message))
}

fn filters(list: impl IntoIterator<Item = Filter>) -> Filters {
    let mut filters = Filters::default();
    filters.replace(list.into_iter().map(|filter| (filter, Origin::Added)));
    filters
}

/// One transaction, in a world where everything has two values.
struct Mail {
    client: IpAddr,
    helo: &'static str,
    from: &'static str,
    tls: bool,
    header: &'static [u8],
    size: u64,
    recipients: Vec<Recipient>,
}

const CONDITIONS: [&str; 10] = [
    "",
    "client == 192.0.2.1",
    "helo == \"a\"",
    "from == \"a@x\"",
    "rcpt == \"a@x\"",
    "subject == \"a\"",
    "size > 10",
    "tls",
    "rcpt == \"a@x\" && subject == \"a\"",
    "!(client == 192.0.2.1) || size > 10",
];

impl Mail {
    fn random(random: &mut fastrand::Rng) -> Mail {
        let count = random.usize(1..=3);
        let recipient = |n: usize| ["a@x", "b@x"][n].parse_recipient();
        Mail {
            client: ["192.0.2.1", "192.0.2.2"][random.usize(..2)].parse().unwrap(),
            helo: ["a", "b"][random.usize(..2)],
            from: ["a@x", "b@x"][random.usize(..2)],
            tls: random.bool(),
            header: [b"Subject: a\r\n\r\n", b"Subject: b\r\n\r\n"][random.usize(..2)],
            size: [5, 15][random.usize(..2)],
            recipients: (0..count).map(|_| recipient(random.usize(..2))).collect(),
        }
    }

    fn sight(&self, level: Level) -> Sight<'_> {
        let fields = Fields {
            client: Some(self.client),
            helo: (level >= Level::Helo).then_some(self.helo),
            from: (level >= Level::Mail).then_some(self.from),
            // Before MAIL it may still change: what is there must not be looked at.
            tls: Some(if level >= Level::Mail { self.tls } else { !self.tls }),
            size: Some(if level >= Level::Dot { self.size } else { 20 - self.size }),
            header: if level >= Level::Body { self.header } else { b"" },
            ..Fields::default()
        };
        Sight { level, fields }
    }

    fn of(&self, level: Level, rcpt: &Recipient) -> (Sight<'_>, Address) {
        (self.sight(level), rcpt.address.clone())
    }
}

trait ParseRecipient {
    fn parse_recipient(&self) -> Recipient;
}

impl ParseRecipient for &str {
    fn parse_recipient(&self) -> Recipient {
        Recipient::new(Address::parse(self).unwrap())
    }
}

/// The oracle: the first filter that fits when all is known, as the module's table says it. No
/// levels, no certainty, no walk.
fn at_the_end(list: &[Filter], mail: &Mail, rcpt: &Recipient) -> (Option<usize>, Vec<usize>) {
    let fields = mail.sight(Level::Dot).fields;
    let fields = Fields { rcpt: Rcpts::One(&rcpt.address), ..fields };
    let fits = |f: &Filter| f.condition.as_ref().is_none_or(|c| c.holds(&fields));
    let mut tags = Vec::new();
    for (at, filter) in list.iter().enumerate().filter(|(_, filter)| fits(filter)) {
        match filter.action {
            Action::Tag(_) => tags.push(at),
            _ => return (Some(at), tags),
        }
    }
    (None, tags)
}

fn refuses(list: &[Filter], at: Option<usize>) -> bool {
    at.is_some_and(|at| matches!(list[at].action, Action::Reject(_)))
}

/// What is decided early is what would be decided at the end; and what is decided at the end is
/// what the oracle says.
#[test]
fn nothing_decided_early_is_contradicted_later() {
    let actions = ["accept", "reject", "hold", "discard", "tag", "redirect", "route"];
    let mut random = fastrand::Rng::with_seed(11);
    let (mut early, mut ends) = (0, [0; 4]);
    for _ in 0..60_000 {
        let count = random.usize(0..5);
        let mut one = || {
            let condition = CONDITIONS[random.usize(..CONDITIONS.len())];
            let mut filter = filter(actions[random.usize(..actions.len())], condition);
            if random.u8(..8) == 0 {
                filter.from = filter.from.max(Level::ALL[random.usize(..6)]);
            }
            filter
        };
        let list: Vec<Filter> = (0..count).map(|_| one()).collect();
        let mail = Mail::random(&mut random);
        let mut machine = filters(list.iter().cloned());
        let (mut passage, now) = (Passage::default(), Time::ZERO);
        let oracle: Vec<_> = mail.recipients.iter().map(|r| at_the_end(&list, &mail, r)).collect();
        let all_refused = oracle.iter().all(|(at, _)| refuses(&list, *at));
        let levels = [Level::Connect, Level::Helo, Level::Mail];
        let mut ask = |sight: &Sight<'_>| machine.refusal(sight, &mut passage, now).is_some();
        if levels.iter().any(|level| ask(&mail.sight(*level))) {
            assert!(all_refused, "{list:?}");
            early += 1;
            continue;
        }
        let mut kept = Vec::new();
        for (recipient, (at, tags)) in mail.recipients.iter().zip(&oracle) {
            let (mut sight, address) = mail.of(Level::Rcpt, recipient);
            sight.fields.rcpt = Rcpts::One(&address);
            match ask(&sight) {
                true => assert!(refuses(&list, *at), "{list:?} {recipient:?}"),
                false => kept.push((recipient.clone(), *at, tags)),
            }
        }
        if kept.is_empty() {
            early += 1;
            continue;
        }
        let recipients: Vec<Recipient> = kept.iter().map(|k| k.0.clone()).collect();
        let any_refused = kept.iter().any(|(_, at, _)| refuses(&list, *at));
        let mut judge = |level| machine.judge(&mail.sight(level), &recipients, &mut passage, now);
        if let Judgement::Refuse(..) = judge(Level::Body) {
            assert!(any_refused, "{list:?}");
            continue;
        }
        let expected = kept.iter().map(|(_, at, _)| match at.map(|at| (at, &list[at].action)) {
            None => Fate::Plain(None),
            Some((at, Action::Hold)) => Fate::Hold(at),
            Some((at, Action::Discard)) => Fate::Discard(at),
            Some((at, Action::Redirect(_))) => Fate::Redirect(at),
            Some((at, Action::Route(_))) => Fate::Route(at),
            Some((at, _)) => Fate::Plain(Some(at)),
        });
        match judge(Level::Dot) {
            Judgement::Open => panic!("all is known: {list:?}"),
            Judgement::Refuse(..) => assert!(any_refused, "{list:?}"),
            Judgement::Keep(plan) => {
                assert!(!any_refused, "{list:?}");
                assert!(plan.fates.iter().copied().eq(expected), "{list:?} {plan:?}");
                let gone =
                    |at: &Option<usize>| at.is_some_and(|at| list[at].action == Action::Discard);
                let tagged = kept.iter().filter(|(_, at, _)| !gone(at));
                let mut tags: Vec<usize> = tagged.flat_map(|(.., tags)| (*tags).clone()).collect();
                tags.sort_unstable();
                tags.dedup();
                assert_eq!(plan.tags, tags, "{list:?}");
                ends[usize::from(plan.tags.is_empty())] += 1;
            }
        }
    }
    assert!(early > 2000 && ends[0] > 1000 && ends[1] > 1000, "{early} {ends:?}");
}

/// A condition of one comparison is decided at the very level at which it is known.
#[test]
fn a_refusal_comes_as_early_as_it_is_certain() {
    let fits_at = |list: Vec<Filter>| {
        let recipient = "a@x".parse_recipient();
        let mail = Mail {
            client: "192.0.2.1".parse().unwrap(),
            helo: "a",
            from: "a@x",
            tls: true,
            header: b"Subject: a\r\n\r\n",
            size: 15,
            recipients: vec![recipient.clone()],
        };
        let mut machine = filters(list);
        Level::ALL.into_iter().find(|level| {
            let (mut sight, address) = mail.of(*level, &recipient);
            if *level >= Level::Rcpt {
                sight.fields.rcpt = Rcpts::One(&address);
            }
            machine.refusal(&sight, &mut Passage::default(), Time::ZERO).is_some()
        })
    };
    for (condition, level) in [
        ("", Level::Connect),
        ("client == 192.0.2.1", Level::Connect),
        ("helo == \"a\"", Level::Helo),
        ("from == \"a@x\"", Level::Mail),
        ("tls", Level::Mail),
        ("!(user == \"ann\")", Level::Mail),
        ("rcpt == \"a@x\"", Level::Rcpt),
        ("header.subject == \"a\"", Level::Body),
        ("size > 10", Level::Dot),
        ("client == 192.0.2.1 || size > 10", Level::Connect),
    ] {
        assert_eq!(fits_at(vec![filter("reject", condition)]), Some(level), "{condition}");
    }
    // What stands before decides whether it is certain.
    let reject = || filter("reject", "client == 192.0.2.1");
    for (before, level) in [
        (filter("accept", "rcpt == \"b@x\""), Some(Level::Rcpt)),
        (filter("accept", "rcpt == \"a@x\""), None),
        (filter("accept", "client == 192.0.2.9 && rcpt == \"a@x\""), Some(Level::Connect)),
        (filter("reject", "subject == \"z\""), Some(Level::Connect)),
        (filter("tag", "subject == \"a\""), Some(Level::Connect)),
        (filter("hold", "size > 99"), Some(Level::Dot)),
    ] {
        assert_eq!(fits_at(vec![before.clone(), reject()]), level, "{before:?}");
    }
    let waits = Filter { from: Level::Rcpt, ..reject() };
    assert_eq!(fits_at(vec![waits]), Some(Level::Rcpt));
}

#[test]
fn a_recipient_list_costs_one_look_at_the_header() {
    let list = [filter("hold", "subject ~ \"(a+)+$\" && rcpt == \"b@x\"")];
    let mut machine = filters(list);
    let many: Vec<Recipient> = (0..1000).map(|_| "a@x".parse_recipient()).collect();
    let header = [b"Subject: ".as_slice(), &b"a".repeat(2000), b"!\r\n".as_slice()].concat();
    let header = header.repeat(16);
    let sight = Sight {
        level: Level::Dot,
        fields: Fields { header: &header, size: Some(1), ..Fields::default() },
    };
    let Judgement::Keep(plan) = machine.judge(&sight, &many, &mut Passage::default(), Time::ZERO)
    else {
        panic!("not kept")
    };
    assert!(plan.fates.iter().all(|fate| *fate == Fate::Plain(None)));
}

fn seconds(n: u64) -> Time {
    Time::from_micros(1_000_000 * (n + 1000))
}

#[test]
fn a_limit_counts_each_message_once() {
    let mut machine = filters([filter("limit", "")]);
    let mail = Mail::random(&mut fastrand::Rng::with_seed(1));
    let mut passage = Passage::default();
    let mut ask = |level, passage: &mut Passage, at| {
        machine.refusal(&mail.sight(level), passage, seconds(at)).is_some()
    };
    // Not before MAIL, and then not again at RCPT.
    for level in [Level::Connect, Level::Helo, Level::Mail, Level::Rcpt, Level::Rcpt] {
        assert!(!ask(level, &mut passage, 0), "{level:?}");
    }
    passage.begin();
    assert!(ask(Level::Mail, &mut passage, 1));
    assert!(ask(Level::Mail, &mut passage, 3598));
    assert!(!ask(Level::Mail, &mut passage, 3601));
}

#[test]
fn a_limit_on_recipients_counts_recipients() {
    let mut machine = filters([filter("limit", "rcpt == \"a@x\"")]);
    let mail = Mail::random(&mut fastrand::Rng::with_seed(1));
    let mut passage = Passage::default();
    let (a, b) = (Address::parse("a@x").unwrap(), Address::parse("b@x").unwrap());
    let mut ask = |rcpt| {
        let mut sight = mail.sight(Level::Rcpt);
        sight.fields.rcpt = Rcpts::One(rcpt);
        machine.refusal(&sight, &mut passage, seconds(0)).is_some()
    };
    assert!(!ask(&b) && !ask(&a) && !ask(&b));
    passage.begin();
    let mut sight = mail.sight(Level::Rcpt);
    sight.fields.rcpt = Rcpts::One(&a);
    assert!(machine.refusal(&sight, &mut passage, seconds(1)).is_some());
}

#[test]
fn recipients_without_end_cost_no_memory_without_end() {
    let draft = Draft {
        action: "limit",
        rate: Some("1000000/s"),
        condition: Some("rcpt ~ \"@\""),
        ..Draft::default()
    };
    let mut machine = filters([draft.make("f").unwrap()]);
    let mail = Mail::random(&mut fastrand::Rng::with_seed(1));
    let mut passage = Passage::default();
    for n in 0..12_000 {
        let rcpt = Address::parse(&format!("r{n}@x")).unwrap();
        let mut sight = mail.sight(Level::Rcpt);
        sight.fields.rcpt = Rcpts::One(&rcpt);
        assert_eq!(machine.refusal(&sight, &mut passage, seconds(0)), None);
    }
    assert_eq!(passage.len(), 10_000);
    passage.begin();
    assert_eq!(passage.len(), 0);
}

#[test]
fn so_many_and_then_one_after_each_spacing() {
    let rate = "5/s".parse().unwrap();
    let owner = |n: u32| Owner::Name(n.to_string().into());
    let mut buckets = Buckets::default();
    let at = |ms: u64| seconds(0).after(Duration::from_millis(ms));
    assert_eq!((0..9).filter(|_| buckets.take(owner(1), rate, at(0))).count(), 5);
    assert!(!buckets.take(owner(1), rate, at(199)) && buckets.take(owner(1), rate, at(200)));
    assert!(!buckets.take(owner(1), rate, at(201)) && buckets.take(owner(2), rate, at(201)));
    assert_eq!((0..9).filter(|_| buckets.take(owner(1), rate, at(5000))).count(), 5);
    // Who is long full again is forgotten, and a flood of names has a bound.
    assert_eq!(buckets.len(), 1);
    for n in 0..30_000 {
        assert!(buckets.take(owner(n + 10), rate, at(5000)));
    }
    assert!(buckets.len() <= 10_000);
    assert!(!buckets.take(owner(1), rate, at(5001)), "the busiest is not forgotten");
}

#[test]
fn who_is_counted_together() {
    let owner = |ip: &str| {
        let fields = Fields { client: Some(ip.parse().unwrap()), ..Fields::default() };
        Owner::of(Per::Client, &fields).unwrap()
    };
    assert_eq!(owner("2001:db8::1"), owner("2001:db8::2:3"));
    assert!(owner("2001:db8::1") != owner("2001:db8:0:1::1"));
    assert_eq!(owner("::ffff:192.0.2.1"), owner("192.0.2.1"));
    let fields = Fields { from: Some("Ann@X"), ..Fields::default() };
    assert_eq!(Owner::of(Per::Sender, &fields), Some(Owner::Name("ann@x".into())));
    assert_eq!(Owner::of(Per::User, &fields), None);
}

#[test]
fn what_stays_the_same_keeps_its_hits() {
    let mut list = filters([filter("hold", "tls"), filter("discard", "")]);
    list.hit(0);
    list.hit(1);
    list.replace([
        (filter("accept", ""), Origin::File(3)),
        (filter("hold", "tls"), Origin::File(7)),
        (filter("hold", "!tls"), Origin::File(9)),
    ]);
    let shown: Vec<_> = list.iter().map(|(f, origin, hits)| (f.source(), origin, hits)).collect();
    assert_eq!(
        shown,
        [("", Origin::File(3), 0), ("tls", Origin::File(7), 1), ("!tls", Origin::File(9), 0)]
    );
}

#[test]
fn an_open_walk_ends_open() {
    let mut list = filters([filter("reject", "size > 10"), filter("hold", "")]);
    let mail = Mail::random(&mut fastrand::Rng::with_seed(1));
    let sight = mail.sight(Level::Body);
    struct Never;
    impl super::walk::Counter for Never {
        fn has_room(&mut self, _: usize, _: &mut [super::list::Entry], _: &Sight<'_>) -> bool {
            true
        }
    }
    let fit = |_: usize, f: &Filter| sight.fit(f);
    assert_eq!(walk(&mut list.list, &sight, fit, &mut Never, &mut Vec::new()), End::Open);
    assert_eq!(list.fate(&sight), None);
}

#[test]
fn words_that_are_no_filter() {
    let none = Draft::default();
    let reject = |reply| Draft { action: "reject", reply: Some(reply), ..none };
    let tag = |header| Draft { action: "tag", header: Some(header), ..none };
    let when = |condition| Draft { action: "hold", condition: Some(condition), ..none };
    let stage = |stage, condition| Draft {
        action: "reject",
        stage: Some(stage),
        condition: Some(condition),
        ..none
    };
    for (draft, part, hint) in [
        (Draft { action: "rejcet", ..none }, Part::Action, "did you mean 'reject'"),
        (Draft { action: "zzz", ..none }, Part::Action, "write one of accept"),
        (Draft { action: "redirect", ..none }, Part::Action, "redirect needs to"),
        (Draft { action: "route", ..none }, Part::Action, "route needs via"),
        (Draft { action: "tag", ..none }, Part::Action, "tag needs header"),
        (Draft { action: "limit", ..none }, Part::Action, "limit needs rate"),
        (Draft { action: "hold", to: Some("a@x"), ..none }, Part::Key(1), "means nothing"),
        (Draft { action: "hold", reply: Some("550"), ..none }, Part::Key(0), "means nothing"),
        (Draft { action: "redirect", to: Some("ann"), ..none }, Part::Key(1), "not an address"),
        (Draft { action: "route", via: Some("a,,b"), ..none }, Part::Key(2), "not a list"),
        (Draft { action: "limit", rate: Some("60"), ..none }, Part::Key(4), "60/m"),
        (
            Draft { action: "limit", rate: Some("60/m"), per: Some("x"), ..none },
            Part::Key(5),
            "client, sender, user",
        ),
        (reject("250 ok"), Part::Key(0), "not a refusal"),
        (reject("600 no"), Part::Key(0), "not a refusal"),
        (reject("550 4.7.1 no"), Part::Key(0), "not a refusal"),
        (reject("no"), Part::Key(0), "not a refusal"),
        (reject("550 no\r\n250 yes"), Part::Key(0), "one line"),
        (reject("550 nö"), Part::Key(0), "ASCII"),
        (tag("X-Note"), Part::Key(3), "not a header field"),
        (tag("X Note: a"), Part::Key(3), "printable"),
        (tag(": a"), Part::Key(3), "printable"),
        (tag("X-A: b\r\nBcc: c"), Part::Key(3), "printable"),
        (tag("X-A: ä"), Part::Key(3), "printable"),
        (tag("Subject: new"), Part::Key(3), "a message has it once"),
        (tag("Content-Type: x"), Part::Key(3), "a message has it once"),
        (when("rcpt = \"x\""), Part::Where, "'=='"),
        (when("tls && reply >= 400"), Part::Where, "a filter cannot ask for 'reply'"),
        (stage("connect", "from == \"a@x\""), Part::Key(6), "known from mail on"),
        (stage("helo", "tls"), Part::Key(6), "known from mail on"),
        (stage("data", "tls"), Part::Key(6), "no stage of filters"),
        (
            Draft { action: "limit", rate: Some("1/m"), stage: Some("connect"), ..none },
            Part::Key(6),
            "known from mail on",
        ),
    ] {
        let error = draft.make("f").unwrap_err();
        assert_eq!(error.part, part, "{draft:?}: {}", error.message);
        assert!(error.message.contains(hint), "{draft:?}: {}", error.message);
    }
    let long = format!("X-A: {}", "b".repeat(1000));
    assert!(tag(&long).make("f").unwrap_err().message.contains("at most"));
    // Columns count characters of what was written, blanks included.
    for (condition, column) in [("  tls &&", 9), (" tls && reply >= 400", 9), ("ä", 1)] {
        assert_eq!(when(condition).make("f").unwrap_err().column, Some(column), "{condition}");
    }
}

#[test]
fn what_is_not_said_is_filled_in() {
    let reply = |text| {
        let draft = Draft { action: "reject", reply: text, ..Draft::default() };
        let Action::Reject(reply) = draft.make("f").unwrap().action else { panic!() };
        (reply.code, reply.enhanced.unwrap().to_string(), String::from_utf8(reply.text.to_vec()))
    };
    let refused = "Refused by a rule of this server".to_owned();
    assert_eq!(reply(None), (550, "5.7.1".into(), Ok(refused.clone())));
    assert_eq!(reply(Some("450 later")), (450, "4.7.1".into(), Ok("later".into())));
    assert_eq!(reply(Some("554 5.6.0 bad")), (554, "5.6.0".into(), Ok("bad".into())));
    assert_eq!(reply(Some("421")), (421, "4.7.1".into(), Ok(refused)));
    let tag = Draft { action: "tag", header: Some("X-A:b  c "), ..Draft::default() };
    assert_eq!(tag.make("f").unwrap().action, Action::Tag("X-A: b  c".into()));
}
