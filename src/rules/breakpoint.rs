//! Breakpoints: at which moments a session is to be held, and for how long it may be.

use std::time::Duration;

use super::expr::Expr;
use super::moment::{At, Moment, Place};
use super::named::Named;
use crate::smtp::Stage;

/// Breakpoints at once.
pub const MAX_BREAKPOINTS: usize = 100;

/// A breakpoint.
#[derive(Clone, PartialEq, Debug)]
pub struct Breakpoint {
    /// At which stage.
    pub at: At,
    /// On which leg; none: on both.
    pub leg: Option<Place>,
    /// Only where this holds.
    pub filter: Option<Expr>,
    /// Sessions that it held.
    pub hits: u64,
}

impl Breakpoint {
    /// Whether a session is to be held at this moment.
    fn stops(&self, moment: &Moment<'_>) -> bool {
        moment.is_for(self.at, self.leg)
            && self.filter.as_ref().is_none_or(|filter| filter.holds(&moment.fields))
    }
}

/// All of them.
pub type Breakpoints = Named<Breakpoint>;

impl Breakpoints {
    /// None yet.
    pub const fn none() -> Breakpoints {
        Named::new("breakpoint", 'b', MAX_BREAKPOINTS)
    }

    /// The name of the first one that holds a session at this moment; it counts.
    pub fn stop(&mut self, moment: &Moment<'_>) -> Option<&str> {
        let (name, hit) = self.iter_mut().find(|(_, breakpoint)| breakpoint.stops(moment))?;
        hit.hits += 1;
        Some(name)
    }
}

/// How long the other side waits for what is held, before it gives up (RFC 5321 section 4.5.3.2).
///
/// Inbound it is a client that waits for a reply: five minutes, two for the one to DATA, ten for
/// the one to the end of the content; three while it sends content and none of it is taken
/// (4.5.3.2.5).
/// Outbound it is a server that waits for a command: at least five minutes (4.5.3.2.7).
pub const fn patience(stage: Stage, place: Place) -> Duration {
    let minutes = match (place, stage) {
        (Place::Out, _) => 5,
        (_, Stage::Data) => 2,
        (_, Stage::Dot) => 10,
        (_, Stage::Body | Stage::Bdat) => 3,
        _ => 5,
    };
    Duration::from_secs(60 * minutes)
}

/// How long a session is held: a tenth of the patience is left for the way back.
pub const fn longest_hold(stage: Stage, place: Place) -> Duration {
    Duration::from_secs(patience(stage, place).as_secs() * 9 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Address;
    use crate::smtp::Facts;

    fn breakpoint(at: &str, leg: Option<Place>, filter: Option<&str>) -> Breakpoint {
        let filter = filter.map(|source| Expr::parse(source).unwrap());
        Breakpoint { at: At::parse(at).unwrap(), leg, filter, hits: 0 }
    }

    #[test]
    fn the_first_that_fits_holds_and_counts() {
        let rcpt = Address::parse("bob@example.net").unwrap();
        let facts = Facts {
            client: "192.0.2.7".parse().unwrap(),
            helo: Some("mail.example.org"),
            from: Some(None),
            rcpt: Some(&rcpt),
            recipients: 0,
            size: 0,
            tls: false,
            user: None,
        };
        let moment = |stage, place| Moment::new(stage, place, "i7".parse().unwrap(), &facts);
        let mut all = Breakpoints::none();
        all.insert(None, breakpoint("rcpt", None, Some(r#"rcpt ~ "^ann@""#))).unwrap();
        all.insert(None, breakpoint("rcpt", Some(Place::In), Some("session == i7"))).unwrap();
        all.insert(Some("last"), breakpoint("any", None, Some(r#"from == """#))).unwrap();
        assert_eq!(all.stop(&moment(Stage::Rcpt, Place::In)), Some("b2"));
        assert_eq!(all.stop(&moment(Stage::Rcpt, Place::Out)), Some("last"));
        assert_eq!(all.stop(&moment(Stage::Other, Place::In)), Some("last"));
        assert_eq!(all.stop(&moment(Stage::Rcpt, Place::Sink)), None);
        let hits: Vec<u64> = all.iter().map(|(_, b)| b.hits).collect();
        assert_eq!(hits, [0, 1, 2]);
        // Nobody is a client on the way out.
        let mut all = Breakpoints::none();
        all.insert(None, breakpoint("rcpt", None, Some("client in 192.0.2.0/24"))).unwrap();
        assert_eq!(all.stop(&moment(Stage::Rcpt, Place::Out)), None);
        assert_eq!(all.stop(&moment(Stage::Rcpt, Place::In)), Some("b1"));
    }

    #[test]
    fn stages_are_named() {
        for name in At::NAMES {
            assert_eq!(At::parse(name).unwrap().name(), name);
        }
        assert!(At::parse("rctp").unwrap_err().contains("did you mean 'rcpt'?"));
        assert!(At::parse("other").unwrap_err().contains("one of connect, helo"));
        assert!(At::Any.fits(Stage::Other));
    }

    #[test]
    fn a_hold_ends_before_the_patience_of_the_other_side() {
        for stage in Stage::NAMED {
            for place in [Place::In, Place::Out, Place::Sink] {
                let (hold, patience) = (longest_hold(stage, place), patience(stage, place));
                assert!(hold < patience && hold > Duration::from_secs(90), "{stage:?}");
            }
        }
        assert_eq!(longest_hold(Stage::Dot, Place::In), Duration::from_secs(540));
    }
}
