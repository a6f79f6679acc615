//! Which of the sessions of an export is played.
//!
//! An export of a session holds one. That of a message holds each in which it was spoken of: the
//! client's, and for each attempt the part of a session with a next server.

use super::super::read::Recorded;
use crate::base::{Leg, SessionId};

/// Sessions of a file that are named when there are more than one.
const MAX_NAMED: usize = 12;

/// How one of several is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chosen {
    /// The first inbound one, else the first.
    Usual,
    /// The first part of this one.
    Named(SessionId),
    /// Counted from 1, in the order of the file.
    Numbered(usize),
}

/// The one that is chosen, and words about the others; or why there is none such.
pub fn choose(all: &[Recorded], chosen: Chosen) -> Result<(&Recorded, Option<String>), String> {
    let found = match chosen {
        Chosen::Usual => all.iter().position(|one| one.id.leg == Leg::In).or(Some(0)),
        Chosen::Named(id) => all.iter().position(|one| one.id == id),
        Chosen::Numbered(number) => number.checked_sub(1),
    };
    let found = found.and_then(|at| Some((at, all.get(at)?)));
    let (at, recorded) = found.ok_or_else(|| {
        let what = match chosen {
            Chosen::Usual => "no session".to_owned(),
            Chosen::Named(id) => format!("no session {id}"),
            Chosen::Numbered(number) => format!("no session number {number}"),
        };
        format!("there is {what} in it; {}", contents(all))
    })?;
    let others = (all.len() > 1 && chosen == Chosen::Usual).then(|| {
        format!("{}; number {} is played, session= chooses another", contents(all), at + 1)
    });
    Ok((recorded, others))
}

/// What the file holds: `it holds 3: 1 i7, 2 o3, 3 o3`.
fn contents(all: &[Recorded]) -> String {
    let named = (1..).zip(all).take(MAX_NAMED);
    let names: Vec<String> = named.map(|(number, one)| format!("{number} {}", one.id)).collect();
    let more = if all.len() > MAX_NAMED { ", …" } else { "" };
    let sessions = if all.len() == 1 { "session" } else { "sessions" };
    format!("it holds {} {sessions}: {}{more}", all.len(), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(ids: &[&str]) -> Vec<Recorded> {
        ids.iter().map(|id| Recorded { id: id.parse().unwrap(), lines: Vec::new() }).collect()
    }

    #[test]
    fn the_first_inbound_one_or_the_one_that_is_named_or_counted() {
        let all = file(&["o3", "i7", "o3", "o4"]);
        let at = |chosen| {
            let (recorded, others) = choose(&all, chosen).unwrap();
            (all.iter().position(|one| std::ptr::eq(one, recorded)).unwrap(), others)
        };
        let words = "it holds 4 sessions: 1 o3, 2 i7, 3 o3, 4 o4; number 2 is played, session= \
                     chooses another";
        assert_eq!(at(Chosen::Usual), (1, Some(words.into())));
        assert_eq!(at(Chosen::Named("o3".parse().unwrap())), (0, None));
        assert_eq!(at(Chosen::Numbered(3)), (2, None));
        let alone = file(&["o3"]);
        assert_eq!(choose(&alone, Chosen::Usual), Ok((&alone[0], None)));
        for (chosen, why) in [
            (Chosen::Named("i9".parse().unwrap()), "there is no session i9 in it"),
            (Chosen::Numbered(0), "there is no session number 0 in it"),
            (Chosen::Numbered(2), "it holds 1 session: 1 o3"),
        ] {
            let error = choose(&alone, chosen).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(choose(&[], Chosen::Usual).is_err());
        let many = file(&["i1"; 40]);
        assert!(choose(&many, Chosen::Numbered(41)).unwrap_err().ends_with("12 i1, …"));
    }
}
