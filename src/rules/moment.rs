//! A moment at the gate, as breakpoints and faults see it, and which moments a rule is for.

use std::fmt;

use super::expr::{Fields, Rcpts};
use crate::base::{Reply, SessionId, nearest};
use crate::smtp::{Facts, Stage};

/// The stages at which a rule is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// `any`
    Any,
    /// One.
    Stage(Stage),
}

impl At {
    /// All words.
    pub const NAMES: [&str; 13] = [
        "connect", "helo", "mail", "rcpt", "data", "body", "dot", "bdat", "rset", "quit",
        "starttls", "auth", "any",
    ];

    /// Reads a word.
    pub fn parse(word: &str) -> Result<At, String> {
        let stage = Stage::NAMED.into_iter().find(|stage| stage.name() == word);
        match (stage, word) {
            (Some(stage), _) => Ok(At::Stage(stage)),
            (None, "any") => Ok(At::Any),
            (None, word) => Err(match nearest(word, At::NAMES) {
                Some(near) => format!("unknown stage '{word}'; did you mean '{near}'?"),
                None => format!("unknown stage '{word}'; write one of {}", At::NAMES.join(", ")),
            }),
        }
    }

    /// Whether it is this one.
    pub fn fits(self, stage: Stage) -> bool {
        self == At::Any || self == At::Stage(stage)
    }

    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            At::Any => "any",
            At::Stage(stage) => stage.name(),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a session is: between a client and the relay, between the relay and a next server, or
/// between a client and the built-in sink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// `in`
    In,
    /// `out`
    Out,
    /// `sink`
    Sink,
}

impl Place {
    /// Reads a word.
    pub fn parse(word: &str) -> Option<Place> {
        match word {
            "in" => Some(Place::In),
            "out" => Some(Place::Out),
            "sink" => Some(Place::Sink),
            _ => None,
        }
    }

    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Place::In => "in",
            Place::Out => "out",
            Place::Sink => "sink",
        }
    }
}

/// A question at the gate.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// At which stage.
    pub stage: Stage,
    /// On which leg.
    pub place: Place,
    /// What is known.
    pub fields: Fields<'a>,
}

impl<'a> Moment<'a> {
    /// The moment of a session.
    pub fn new(stage: Stage, place: Place, session: SessionId, facts: &Facts<'a>) -> Moment<'a> {
        let fields = Fields {
            // On the way out `client` is nobody: the other end is a server.
            client: (place != Place::Out).then_some(facts.client),
            helo: facts.helo,
            from: facts.from.map(|from| from.map_or("", |from| from.as_str())),
            rcpt: facts.rcpt.map_or(Rcpts::None, Rcpts::One),
            size: (facts.size > 0).then_some(facts.size),
            verb: Some(stage.name()),
            tls: Some(facts.tls),
            user: facts.user,
            session: Some(session),
            ..Fields::default()
        };
        Moment { stage, place, fields }
    }

    /// Whether a rule for this stage and this leg is to be asked. A rule that names no leg is for
    /// both of the relay.
    pub fn is_for(&self, at: At, leg: Option<Place>) -> bool {
        at.fits(self.stage)
            && match leg {
                Some(leg) => leg == self.place,
                None => self.place != Place::Sink,
            }
    }
}

/// Whether a reply may stand in the place of the real one. The error says why it may not.
///
/// A refusal is believed everywhere. A success is not: the machine would not do what it says it
/// has done, and on the way out mail would be lost that no server has taken. Another greeting is
/// only another greeting.
pub fn may_say(at: At, leg: Option<Place>, reply: &Reply) -> Result<(), String> {
    let code = reply.code;
    let inbound = matches!(leg, Some(Place::In | Place::Sink));
    match (reply.class(), at) {
        (4 | 5, _) => Ok(()),
        (2, At::Stage(Stage::Connect)) if code == 220 && inbound => Ok(()),
        (2, At::Stage(Stage::Other)) if inbound => Ok(()),
        (2, At::Stage(Stage::Connect)) if code == 220 => {
            Err("another greeting is for clients: add leg=in".to_owned())
        }
        (2, _) if leg == Some(Place::Out) => {
            Err(format!("{code} would lose mail that no server has taken; write 4xx or 5xx"))
        }
        (2, _) => {
            Err(format!("{code} would say that something is done which is not; write 4xx or 5xx"))
        }
        _ => Err(format!("{code} is not a reply that refuses; write 4xx or 5xx")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_and_greetings_are_believed() {
        let say = |at: &str, leg, text: &str| {
            may_say(At::parse(at).unwrap(), leg, &Reply::parse_text(text).unwrap()).is_ok()
        };
        for leg in [None, Some(Place::In), Some(Place::Out), Some(Place::Sink)] {
            for at in At::NAMES {
                assert!(say(at, leg, "451 4.3.0 later") && say(at, leg, "550 no"));
                assert!(!say(at, leg, "354 go on"));
                let greeting = at == "connect" && matches!(leg, Some(Place::In | Place::Sink));
                assert_eq!(say(at, leg, "220 mx.example.org ESMTP"), greeting, "{at} {leg:?}");
                assert!(!say(at, leg, "250 Ok"), "{at} {leg:?}");
            }
        }
        let ok = Reply::parse_text("250 Ok").unwrap();
        assert!(may_say(At::Stage(Stage::Other), Some(Place::In), &ok).is_ok());
    }
}
