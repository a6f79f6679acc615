//! What an answer means: a pure function from a response to what may be kept of it.
//!
//! Only what the question asked for is taken: records of the name itself and of the aliases that
//! lead from it (RFC 2181 section 5.4.1: data of other names is out of bailiwick, and forgotten).

use std::net::IpAddr;

use super::cache::{Answer, Exchange};
use super::name::Name;
use super::wire::{Data, Kind, Question, Record, Response};

/// Aliases that are followed one after the other.
pub const MAX_ALIASES: usize = 8;
/// Addresses, or exchanges, that are kept of one answer.
const MAX_KEPT: usize = 64;

/// NOERROR and NXDOMAIN: the two that speak about the name.
const NO_ERROR: u8 = 0;
const NO_NAME: u8 = 3;

/// What a response comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Meaning {
    /// This, for so many seconds.
    Answer(Answer, u32),
    /// Ask again over TCP.
    Truncated,
    /// This server cannot say.
    Refused(u8),
    /// Aliases in a circle: no server will say more.
    Circle,
}

/// Interprets a response whose id and question were found to match.
pub fn interpret(question: &Question, response: &Response) -> Meaning {
    if response.truncated {
        return Meaning::Truncated;
    }
    if response.rcode != NO_ERROR && response.rcode != NO_NAME {
        return Meaning::Refused(response.rcode);
    }
    let Some((name, alias_ttl)) = follow(&question.name, &response.answers) else {
        return Meaning::Circle;
    };
    let (answer, ttl) = records(name, question.kind, &response.answers);
    if let Some(answer) = answer {
        return Meaning::Answer(answer, ttl.min(alias_ttl));
    }
    // RFC 2308 section 2.1: NXDOMAIN speaks of the last name of the chain. Without an SOA the
    // server gives no time for which that holds.
    let negative = response.negative_ttl.unwrap_or(0).min(alias_ttl);
    if response.rcode == NO_NAME {
        return Meaning::Answer(Answer::NoName, negative);
    }
    if *name != question.name && response.negative_ttl.is_none() {
        return Meaning::Answer(Answer::Alias(name.clone()), alias_ttl);
    }
    Meaning::Answer(Answer::NoData, negative)
}

/// The end of the chain of aliases that begins with `name`, and its shortest TTL.
fn follow<'a>(name: &'a Name, records: &'a [Record]) -> Option<(&'a Name, u32)> {
    let (mut name, mut ttl) = (name, u32::MAX);
    for _ in 0..=MAX_ALIASES {
        let next = records.iter().find_map(|r| match &r.data {
            Data::Cname(target) if r.owner == *name => Some((target, r.ttl)),
            _ => None,
        });
        match next {
            Some((target, own)) => (name, ttl) = (target, ttl.min(own)),
            None => return Some((name, ttl)),
        }
    }
    None
}

fn records(name: &Name, kind: Kind, records: &[Record]) -> (Option<Answer>, u32) {
    let mut ttl = u32::MAX;
    let (mut addresses, mut exchanges) = (Vec::<IpAddr>::new(), Vec::<Exchange>::new());
    for record in records.iter().filter(|r| r.owner == *name) {
        match (&record.data, kind) {
            (Data::A(ip), Kind::A) => addresses.push((*ip).into()),
            (Data::Aaaa(ip), Kind::Aaaa) => addresses.push((*ip).into()),
            (Data::Mx(preference, host), Kind::Mx) => {
                exchanges.push(Exchange { preference: *preference, host: host.clone() });
            }
            _ => continue,
        }
        ttl = ttl.min(record.ttl);
    }
    addresses.truncate(MAX_KEPT);
    exchanges.sort();
    exchanges.dedup();
    exchanges.truncate(MAX_KEPT);
    let answer = match (addresses.is_empty(), exchanges.is_empty()) {
        (false, _) => Some(Answer::Addresses(addresses)),
        (_, false) => Some(Answer::Exchanges(exchanges)),
        _ => None,
    };
    (answer, ttl)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn record(owner: &str, ttl: u32, data: Data) -> Record {
        Record { owner: name(owner), ttl, data }
    }

    fn a(octet: u8) -> Data {
        Data::A([192, 0, 2, octet].into())
    }

    #[track_caller]
    fn check(rcode: u8, soa: Option<u32>, answers: Vec<Record>, expected: Meaning) {
        let question = Question { name: name("x.example"), kind: Kind::A };
        let response =
            Response { id: 0, question: None, truncated: false, rcode, answers, negative_ttl: soa };
        assert_eq!(interpret(&question, &response), expected);
    }

    #[test]
    fn chains_are_followed_and_strangers_are_not_believed() {
        let ip = |octet: u8| IpAddr::from([192, 0, 2, octet]);
        let one = Meaning::Answer(Answer::Addresses(vec![ip(1)]), 60);
        check(0, None, vec![record("x.example", 60, a(1)), record("y.example", 9, a(2))], one);
        let chain = vec![
            record("z.example", 30, a(3)),
            record("x.example", 60, Data::Cname(name("y.example"))),
            record("y.example", 90, Data::Cname(name("z.example"))),
        ];
        check(0, None, chain, Meaning::Answer(Answer::Addresses(vec![ip(3)]), 30));
        let open = vec![record("x.example", 60, Data::Cname(name("y.example")))];
        let alias = Meaning::Answer(Answer::Alias(name("y.example")), 60);
        check(0, None, open.clone(), alias);
        check(0, Some(20), open.clone(), Meaning::Answer(Answer::NoData, 20));
        check(3, Some(90), open, Meaning::Answer(Answer::NoName, 60));
        let circle = vec![
            record("x.example", 60, Data::Cname(name("y.example"))),
            record("y.example", 60, Data::Cname(name("x.example"))),
        ];
        check(0, None, circle, Meaning::Circle);
    }

    #[test]
    fn no_and_do_not_know_are_different() {
        check(3, Some(300), vec![], Meaning::Answer(Answer::NoName, 300));
        check(0, Some(300), vec![], Meaning::Answer(Answer::NoData, 300));
        check(0, None, vec![], Meaning::Answer(Answer::NoData, 0));
        for rcode in [1, 2, 4, 5, 6, 15] {
            check(rcode, None, vec![record("x.example", 60, a(1))], Meaning::Refused(rcode));
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let question = Question { name: name("x.example"), kind: Kind::Mx };
        let mx = |n: u16| Data::Mx(n % 100, name(&format!("m{n}.example")));
        let answers = (0..500).map(|n| record("x.example", 1, mx(n))).collect();
        let response = Response {
            id: 0,
            question: None,
            truncated: false,
            rcode: 0,
            answers,
            negative_ttl: None,
        };
        match interpret(&question, &response) {
            Meaning::Answer(Answer::Exchanges(kept), 1) => {
                assert_eq!((kept.len(), kept[0].preference), (MAX_KEPT, 0));
            }
            other => panic!("{other:?}"),
        }
    }
}
