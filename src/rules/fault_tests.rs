//! Faults: how they are written, when they strike, and that they end.

use super::*;
use crate::smtp::Facts;

fn fault(at: &str, text: &'static str) -> Result<Fault, (Option<&'static str>, String)> {
    let pairs: Vec<(&str, &str)> = text
        .split("; ")
        .filter(|part| !part.is_empty())
        .map(|p| p.split_once('=').unwrap())
        .collect();
    let get = |key: &'static str| pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
    Fault::read(At::parse(at).unwrap(), None, get)
}

fn facts() -> Facts<'static> {
    Facts {
        client: "192.0.2.7".parse().unwrap(),
        helo: None,
        from: None,
        rcpt: None,
        recipients: 0,
        size: 0,
        tls: false,
        user: None,
    }
}

fn strikes(faults: &mut Faults, stage: Stage, place: Place, secs: u64) -> Option<Struck> {
    let moment = Moment::new(stage, place, "i7".parse().unwrap(), &facts());
    faults.strike(&moment, Time::ZERO.after(Duration::from_secs(secs)))
}

#[test]
fn rules_read_and_are_shown_as_they_are_written() {
    for (at, text, shown) in [
        (
            "rcpt",
            "reply=451 4.3.0 try later; odds=10%",
            "rcpt reply=\"451 4.3.0 try later\" odds=10%",
        ),
        ("rcpt", "reply=\"451 later\"; leg=out", "rcpt reply=\"451 later\" leg=out"),
        ("dot", "cut=0; delay=1m30s; rate=5K", "dot delay=1m30s rate=5K cut=0"),
        ("helo", "no=STARTTLS,size; odds=0.5%", "helo no=\"starttls, size\" odds=0.5%"),
        ("any", "no=ehlo; odds=100%", "any no=\"ehlo\""),
        ("connect", "reply=220 other; leg=sink", "connect reply=\"220 other\" leg=sink"),
    ] {
        assert_eq!(fault(at, text).unwrap().to_string(), shown, "{text}");
    }
    for (at, text, key, words) in [
        ("rcpt", "", None, "what is to go wrong?"),
        ("rcpt", "odds=10%", None, "what is to go wrong?"),
        ("rcpt", "reply=451", Some("reply"), ""),
        ("rcpt", "reply=250 yes", Some("reply"), "which is not; write 4xx or 5xx"),
        ("rcpt", "reply=later", Some("reply"), "'later' is not a reply such as"),
        ("rcpt", "no=starttls", Some("no"), "write the stage helo"),
        ("helo", "no=startls", Some("no"), "did you mean 'starttls'?"),
        ("helo", "no=", Some("no"), "write some of ehlo"),
        ("rcpt", "delay=2h", Some("delay"), "up to 1h"),
        ("rcpt", "rate=0", Some("rate"), "octets in a second"),
        ("rcpt", "cut=-1", Some("cut"), "a number of octets"),
        ("rcpt", "cut=1; odds=0%", Some("odds"), "a share such as"),
        ("rcpt", "cut=1; odds=101%", Some("odds"), "a share"),
        ("rcpt", "cut=1; odds=5", Some("odds"), "a share"),
        ("rcpt", "cut=1; odds=0.001%", Some("odds"), "a share"),
        ("rcpt", "cut=1; count=0", Some("count"), "a number from 1"),
        ("rcpt", "cut=1; for=0", Some("for"), "a duration"),
        ("rcpt", "cut=1; leg=both", Some("leg"), "in, out or sink"),
        ("rcpt", "cut=1; seed=x", Some("seed"), "a number"),
    ] {
        match fault(at, text) {
            Err((wrong, what)) => assert!(wrong == key && what.contains(words), "{text}: {what}"),
            // A code alone is a reply without words.
            Ok(fault) => assert_eq!(fault.to_string(), "rcpt reply=\"451\"", "{text}"),
        }
    }
}

#[test]
fn a_count_is_spent_and_a_time_is_up() {
    let mut faults = Faults::new(1);
    faults
        .add(None, fault("rcpt", "reply=451 later; count=2").unwrap(), false, Time::ZERO)
        .unwrap();
    faults.add(None, fault("any", "delay=1s; for=10s").unwrap(), false, Time::ZERO).unwrap();
    let mut at = |secs| strikes(&mut faults, Stage::Rcpt, Place::In, secs);
    let first = at(1).unwrap();
    assert_eq!((&*first.name, first.spent), ("x1", None));
    assert_eq!(first.effect.reply.unwrap().code, 451);
    assert_eq!(at(2).unwrap().spent, Some(2));
    assert_eq!(at(3).unwrap().name, "x2");
    assert_eq!(at(10), None);
    assert_eq!(faults.next_expiry(), Time::ZERO.after(Duration::from_secs(10)));
    assert_eq!(faults.expire(Time::ZERO.after(Duration::from_secs(9))), []);
    assert_eq!(faults.expire(faults.next_expiry()), [("x2".to_owned(), 1)]);
    assert!(faults.is_empty() && faults.next_expiry() == Time::NEVER);
}

#[test]
fn the_same_seed_strikes_the_same() {
    let run = |seed: u64| -> Vec<bool> {
        let mut faults = Faults::new(seed);
        let rule = fault("rcpt", "cut=0; odds=30%; seed=7").unwrap();
        faults.add(None, rule, false, Time::ZERO).unwrap();
        // Other moments do not throw its dice.
        let mut strike = |i: u64| {
            strikes(&mut faults, Stage::Mail, Place::In, i);
            strikes(&mut faults, Stage::Rcpt, Place::In, i).is_some()
        };
        (0..1000).map(&mut strike).collect()
    };
    let struck = run(1);
    assert_eq!(struck, run(2));
    let count = struck.iter().filter(|hit| **hit).count();
    assert!((230..370).contains(&count), "{count}");
}

#[test]
fn legs_are_kept_apart() {
    let mut faults = Faults::new(1);
    let add = |faults: &mut Faults, text| {
        faults.add(None, fault("rcpt", text).unwrap(), false, Time::ZERO).unwrap()
    };
    add(&mut faults, "cut=0; leg=out");
    add(&mut faults, "cut=1; leg=sink");
    let mut name = |place| strikes(&mut faults, Stage::Rcpt, place, 0).map(|s| s.name);
    assert_eq!(name(Place::In), None);
    assert_eq!(name(Place::Out).as_deref(), Some("x1"));
    assert_eq!(name(Place::Sink).as_deref(), Some("x2"));
    // Without a leg: both of the relay, or all of a sink that is alone.
    let mut faults = Faults::new(1);
    add(&mut faults, "cut=0");
    assert!(strikes(&mut faults, Stage::Rcpt, Place::Out, 0).is_some());
    assert!(strikes(&mut faults, Stage::Rcpt, Place::Sink, 0).is_none());
    faults.be_for_sink();
    assert!(strikes(&mut faults, Stage::Rcpt, Place::Sink, 0).is_some());
}

#[test]
fn a_new_configuration_replaces_its_own() {
    let mut faults = Faults::new(1);
    let rule = |text| fault("rcpt", text).unwrap();
    faults.add(Some("hand"), rule("cut=0"), false, Time::ZERO).unwrap();
    let new = [("a".to_owned(), rule("cut=1")), ("b".to_owned(), rule("cut=2"))];
    assert!(faults.reconfigure(&new, Time::ZERO).is_empty());
    let clash = [("b".to_owned(), rule("cut=3")), ("hand".to_owned(), rule("cut=4"))];
    assert_eq!(faults.reconfigure(&clash, Time::ZERO).len(), 1);
    let names: Vec<&str> = faults.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["hand", "b"]);
}
