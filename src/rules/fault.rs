//! Faults: what goes wrong on purpose, where, how often, and for how long.
//!
//! At a question of the gate the rules are looked at in their order; the first that is for this
//! moment and whose dice say so strikes, and no other. Each rule has dice of its own, thrown once
//! for each moment that it is for: so with the same seed and the same mail the same is struck. A
//! rule ends by itself when it has struck as often as it may, or when its time is up.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use super::expr::Expr;
use super::moment::{At, Moment, Place, may_say};
use super::named::Named;
use crate::base::{
    Printable, Reply, Time, nearest, parse_duration, parse_size, show_duration, show_size,
};
use crate::smtp::{Hidden, Stage};

/// Faults at once.
pub const MAX_FAULTS: usize = 100;
/// The longest delay: what waits costs memory.
const MAX_DELAY: Duration = Duration::from_secs(3600);
/// Odds are counted in such parts.
const PARTS: u32 = 10_000;

/// What goes wrong.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Effect {
    /// This reply instead of the real one.
    pub reply: Option<Reply>,
    /// So long before the answer, or the command.
    pub delay: Option<Duration>,
    /// From now on so many octets in a second, in each direction.
    pub rate: Option<u32>,
    /// The connection is closed after so many octets more.
    pub cut: Option<u64>,
    /// These keywords of EHLO are not there.
    pub no: Hidden,
}

/// A rule as it is written.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault {
    /// At which stage.
    pub at: At,
    /// On which leg; none: on both of the relay.
    pub leg: Option<Place>,
    /// Only where this holds.
    pub filter: Option<Expr>,
    /// What goes wrong.
    pub effect: Effect,
    /// How often, of all moments that it is for: in ten-thousandths.
    pub odds: u32,
    /// It strikes so often.
    pub count: Option<u64>,
    /// It is there for so long.
    pub lasts: Option<Duration>,
    /// What its dice begin with; else something that nobody knows before.
    pub seed: Option<u64>,
}

/// The keys of a rule beside its stage and `where`.
pub const FAULT_KEYS: [&str; 10] =
    ["reply", "delay", "rate", "cut", "no", "odds", "count", "for", "seed", "leg"];

/// What the value of one of [`FAULT_KEYS`] is, for people who write it.
pub fn fault_value(key: &str) -> Option<&'static str> {
    Some(match key {
        "reply" => "this instead of the right reply: \"451 4.3.0 try later\"",
        "delay" => "wait so long first, up to 1h: 5s",
        "rate" => "octets in a second from there on, both ways: 10, 5K",
        "cut" => "close the connection after so many octets more: 0, 10K",
        "no" => "what EHLO does not offer, or ehlo itself: starttls",
        "odds" => "in how many of the cases: 10%, 0.5%",
        "count" => "how often at most: 5",
        "for" => "how long the rule lives: 10m",
        "seed" => "the same number makes the same choices: 7",
        "leg" => "in, out or sink; else both legs of the relay",
        _ => return None,
    })
}

impl Fault {
    /// Makes a rule of the values of [`FAULT_KEYS`], as they are written. The error has the key
    /// that is wrong; none when something is missing.
    pub fn read<'a>(
        at: At,
        filter: Option<Expr>,
        value: impl Fn(&'static str) -> Option<&'a str>,
    ) -> Result<Fault, (Option<&'static str>, String)> {
        let get = |key: &'static str| value(key).map(unquoted);
        let fault = Fault {
            at,
            leg: read(get, "leg", "in, out or sink", Place::parse)?,
            filter,
            effect: Effect {
                reply: read(
                    get,
                    "reply",
                    "a reply such as 451 4.3.0 try later",
                    Reply::parse_text,
                )?,
                delay: read(get, "delay", "a duration up to 1h", |text| {
                    parse_duration(text).filter(|wait| *wait <= MAX_DELAY)
                })?,
                rate: read(get, "rate", "octets in a second such as 10 or 5K", |text| {
                    let rate = parse_size(text).and_then(|rate| u32::try_from(rate).ok());
                    rate.filter(|rate| *rate > 0)
                })?,
                cut: read(get, "cut", "a number of octets such as 0 or 10K", parse_size)?,
                no: hidden(get("no"))?,
            },
            odds: read(get, "odds", "a share such as 10% or 0.5%", odds)?.unwrap_or(PARTS),
            count: read(get, "count", "a number from 1", |text| {
                text.parse().ok().filter(|count| *count > 0)
            })?,
            lasts: read(get, "for", "a duration such as 10m", |text| {
                parse_duration(text).filter(|lasts| !lasts.is_zero())
            })?,
            seed: read(get, "seed", "a number", |text| text.parse().ok())?,
        };
        fault.check()?;
        Ok(fault)
    }

    fn check(&self) -> Result<(), (Option<&'static str>, String)> {
        let Effect { reply, no, .. } = &self.effect;
        if let Some(reply) = reply {
            may_say(self.at, self.leg, reply).map_err(|what| (Some("reply"), what))?;
        }
        if !no.is_empty() && !self.at.fits(Stage::Helo) {
            let what = format!("'{no}' is offered in the answer to EHLO: write the stage helo");
            return Err((Some("no"), what));
        }
        if self.effect == Effect::default() {
            let what = "what is to go wrong? give one of reply=, delay=, rate=, cut=, no=";
            return Err((None, what.to_owned()));
        }
        Ok(())
    }
}

/// A value, if there is one, as `how` understands it.
fn read<'a, T>(
    get: impl Fn(&'static str) -> Option<&'a str>,
    key: &'static str,
    what: &str,
    how: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, (Option<&'static str>, String)> {
    let Some(text) = get(key) else { return Ok(None) };
    match how(text) {
        Some(value) => Ok(Some(value)),
        None => Err((Some(key), format!("'{}' is not {what}", Printable::bounded(text, 80)))),
    }
}

/// In a file, too, a reply may stand in quotes.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

fn hidden(text: Option<&str>) -> Result<Hidden, (Option<&'static str>, String)> {
    Hidden::parse(text.unwrap_or("")).or_else(|word| match text {
        None => Ok(Hidden::default()),
        Some(_) => {
            let hint = match nearest(&word, Hidden::NAMES) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("write some of {}", Hidden::NAMES.join(", ")),
            };
            Err((Some("no"), format!("unknown '{}'; {hint}", Printable::bounded(word, 80))))
        }
    })
}

/// `10%`, `0.05%`.
fn odds(text: &str) -> Option<u32> {
    let number = text.strip_suffix('%')?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || part.len() > 2 || !digits(whole) || !digits(part) {
        return None;
    }
    let parts = format!("{part:0<2}").parse::<u32>().ok()?;
    let odds = whole.parse::<u32>().ok()? * (PARTS / 100) + parts;
    (1..=PARTS).contains(&odds).then_some(odds)
}

impl Fault {
    /// It does not strike each time.
    pub fn has_dice(&self) -> bool {
        self.odds < PARTS
    }

    /// How often it strikes, of a hundred times.
    pub fn odds_percent(&self) -> f64 {
        f64::from(self.odds) * 100.0 / f64::from(PARTS)
    }
}

impl fmt::Display for Fault {
    /// As one would write it, without its stage's own words: `rcpt reply="451 later" odds=10%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at)?;
        let Effect { reply, delay, rate, cut, no } = &self.effect;
        if let Some(reply) = reply {
            write!(f, " reply=\"{}\"", Printable::new(reply.on_one_line()))?;
        }
        if let Some(delay) = delay {
            write!(f, " delay={}", show_duration(*delay))?;
        }
        if let Some(rate) = rate {
            write!(f, " rate={}", show_size((*rate).into()))?;
        }
        if let Some(cut) = cut {
            write!(f, " cut={}", show_size(*cut))?;
        }
        if !no.is_empty() {
            write!(f, " no=\"{no}\"")?;
        }
        if self.has_dice() {
            write!(f, " odds={}%", self.odds_percent())?;
        }
        if let Some(leg) = self.leg {
            write!(f, " leg={}", leg.name())?;
        }
        if let Some(filter) = &self.filter {
            write!(f, " where {}", Printable::new(filter.source()))?;
        }
        Ok(())
    }
}

/// A rule that is in force.
#[derive(Clone, Debug)]
pub struct Active {
    /// As it was written.
    pub fault: Fault,
    /// How often it struck.
    pub hits: u64,
    /// When it ends by itself.
    pub until: Time,
    /// What its dice began with.
    pub seed: u64,
    /// It stands in the configuration.
    pub configured: bool,
    dice: Rng,
}

impl Active {
    /// How often it may strike yet.
    pub fn left(&self) -> Option<u64> {
        self.fault.count.map(|count| count.saturating_sub(self.hits))
    }
}

/// A fault that struck.
#[derive(Clone, PartialEq, Debug)]
pub struct Struck {
    /// Which.
    pub name: String,
    /// What it does.
    pub effect: Effect,
    /// It was its last time: it is gone, after so many hits.
    pub spent: Option<u64>,
}

/// All rules.
#[derive(Debug)]
pub struct Faults {
    all: Named<Active>,
    /// There is no relay in this process: a rule that names no leg is for the sink.
    sink_only: bool,
    /// Gives seeds to rules that have none.
    seeds: Rng,
}

impl Faults {
    /// None yet.
    pub fn new(seed: u64) -> Faults {
        let all = Named::new("fault", 'x', MAX_FAULTS);
        Faults { all, sink_only: false, seeds: Rng::with_seed(seed) }
    }

    /// From now on rules without a leg are for the sink.
    pub fn be_for_sink(&mut self) {
        self.sink_only = true;
    }

    /// Adds a rule; says its name.
    pub fn add(
        &mut self,
        name: Option<&str>,
        fault: Fault,
        configured: bool,
        now: Time,
    ) -> Result<String, String> {
        // Short enough to be typed again.
        let seed = fault.seed.unwrap_or_else(|| self.seeds.u64(..1_000_000));
        let until = fault.lasts.map_or(Time::NEVER, |lasts| now.after(lasts));
        let dice = Rng::with_seed(seed);
        self.all.insert(name, Active { fault, hits: 0, until, seed, configured, dice })
    }

    /// Removes a rule, or with `all` every one; says which.
    pub fn remove(&mut self, name: &str) -> Result<Vec<String>, String> {
        self.all.remove(name)
    }

    /// Takes those of a new configuration in the place of those of the old one.
    pub fn reconfigure(&mut self, new: &[(String, Fault)], now: Time) -> Vec<String> {
        self.all.retain(|_, rule| !rule.configured);
        let added = new.iter().map(|(name, fault)| self.add(Some(name), fault.clone(), true, now));
        added.filter_map(Result::err).collect()
    }

    /// What goes wrong at this moment.
    pub fn strike(&mut self, moment: &Moment<'_>, now: Time) -> Option<Struck> {
        let sink = self.sink_only.then_some(Place::Sink);
        let (name, rule) = self.all.iter_mut().find_map(|(name, rule)| {
            let fault = &rule.fault;
            let strikes = moment.is_for(fault.at, fault.leg.or(sink))
                && now < rule.until
                && fault.filter.as_ref().is_none_or(|filter| filter.holds(&moment.fields))
                && rule.dice.u32(..PARTS) < fault.odds;
            strikes.then_some((name, rule))
        })?;
        rule.hits += 1;
        let spent = (rule.left() == Some(0)).then_some(rule.hits);
        let struck = Struck { name: name.to_owned(), effect: rule.fault.effect.clone(), spent };
        if spent.is_some() {
            self.all.retain(|name, _| *name != struck.name);
        }
        Some(struck)
    }

    /// Removes those whose time is up; says their names and how often they struck.
    pub fn expire(&mut self, now: Time) -> Vec<(String, u64)> {
        let due = self.all.iter().filter(|(_, rule)| rule.until <= now);
        let gone: Vec<_> = due.map(|(name, rule)| (name.to_owned(), rule.hits)).collect();
        if !gone.is_empty() {
            self.all.retain(|_, rule| rule.until > now);
        }
        gone
    }

    /// When the next one's time is up.
    pub fn next_expiry(&self) -> Time {
        self.all.iter().map(|(_, rule)| rule.until).min().unwrap_or(Time::NEVER)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Active)> {
        self.all.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod tests;
