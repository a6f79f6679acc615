//! Checked expressions as data, and asking them.

use std::net::IpAddr;

use regex_lite::Regex;

use super::fields::{Field, Fields};
use super::lexer::Op;
use crate::base::IpNet;

/// Octets of a text that a regular expression looks at.
pub const MAX_TEXT: usize = 2048;
/// Octets of a header that are looked at.
pub const MAX_HEADER: usize = 64 << 10;

/// A node of the tree. It is at most as deep as [`super::MAX_DEPTH`] allows.
#[derive(Clone, Debug)]
pub enum Node {
    /// `&&`
    All(Vec<Node>),
    /// `||`
    Any(Vec<Node>),
    /// `!`
    Not(Box<Node>),
    /// A comparison.
    Test(Test),
}

/// A comparison whose types fit. The operators of numbers are ordered ones or (in)equality.
#[derive(Clone, Debug)]
pub enum Test {
    /// `tls` is this.
    Flag(bool),
    /// The text of a field equals (or not) a text.
    Text(Field, bool, Box<str>),
    /// The text of a field is one of these.
    TextIn(Field, Vec<Box<str>>),
    /// The text of a field has a part that fits.
    Match(Field, Regex),
    /// The texts of two fields are equal (or not).
    Texts(Field, bool, Field),
    /// A field and a number, in the unit of [`Fields::number`].
    Number(Field, Op, u64),
    /// A field is one of these numbers.
    NumberIn(Field, Vec<u64>),
    /// Two fields of one unit.
    Numbers(Field, Op, Field),
    /// The client is (or is not) at this address.
    Ip(bool, IpAddr),
    /// The client is in one of these networks.
    IpIn(Vec<IpNet>),
}

impl Node {
    pub fn holds(&self, fields: &Fields<'_>) -> bool {
        match self {
            Node::All(parts) => parts.iter().all(|part| part.holds(fields)),
            Node::Any(parts) => parts.iter().any(|part| part.holds(fields)),
            Node::Not(part) => !part.holds(fields),
            Node::Test(test) => test.holds(fields),
        }
    }
}

impl Node {
    /// Whether it holds when only some fields are known, as Kleene's logic has it: none while the
    /// others could still change the answer.
    pub fn decide(&self, fields: &Fields<'_>, known: &impl Fn(&Field) -> bool) -> Option<bool> {
        let of = |part: &Node| part.decide(fields, known);
        match self {
            Node::All(parts) => settle(parts.iter().map(of), false),
            Node::Any(parts) => settle(parts.iter().map(of), true),
            Node::Not(part) => of(part).map(|holds| !holds),
            Node::Test(test) => (!test.asks(&|field| !known(field))).then(|| test.holds(fields)),
        }
    }

    /// What is left to ask when only some fields are known: the answer, or the part of the tree
    /// that still asks for the others.
    pub fn narrow(
        &self,
        fields: &Fields<'_>,
        known: &impl Fn(&Field) -> bool,
    ) -> Result<bool, Node> {
        let (parts, winner) = match self {
            Node::All(parts) => (parts, false),
            Node::Any(parts) => (parts, true),
            Node::Not(part) => {
                let narrow = part.narrow(fields, known);
                return narrow.map(|holds| !holds).map_err(|rest| Node::Not(rest.into()));
            }
            Node::Test(test) if test.asks(&|field| !known(field)) => return Err(self.clone()),
            Node::Test(test) => return Ok(test.holds(fields)),
        };
        let mut rest = Vec::new();
        for part in parts {
            match part.narrow(fields, known) {
                Ok(holds) if holds == winner => return Ok(winner),
                Ok(_) => {}
                Err(part) => rest.push(part),
            }
        }
        match (rest.is_empty(), winner) {
            (true, _) => Ok(!winner),
            (false, true) => Err(Node::Any(rest)),
            (false, false) => Err(Node::All(rest)),
        }
    }

    /// Whether one of its comparisons passes this.
    pub fn any(&self, pass: &impl Fn(&Test) -> bool) -> bool {
        match self {
            Node::All(parts) | Node::Any(parts) => parts.iter().any(|part| part.any(pass)),
            Node::Not(part) => part.any(pass),
            Node::Test(test) => pass(test),
        }
    }
}

/// What parts make of a whole: `winner` as soon as one of them says so, its opposite when all say
/// that, else it is not known.
fn settle(parts: impl Iterator<Item = Option<bool>>, winner: bool) -> Option<bool> {
    let mut whole = Some(!winner);
    for part in parts {
        match part {
            Some(holds) if holds == winner => return Some(winner),
            Some(_) => {}
            None => whole = None,
        }
    }
    whole
}

impl Test {
    /// Whether one of the fields that it compares passes this.
    pub fn asks(&self, pass: &impl Fn(&Field) -> bool) -> bool {
        match self {
            Test::Flag(_) => pass(&Field::Tls),
            Test::Ip(..) | Test::IpIn(_) => pass(&Field::Client),
            _ => self.fields().any(pass),
        }
    }

    /// The fields that it compares, but for `client` and `tls`.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let (one, two) = match self {
            Test::Text(field, ..) | Test::TextIn(field, _) | Test::Match(field, _) => {
                (Some(field), None)
            }
            Test::Number(field, ..) | Test::NumberIn(field, _) => (Some(field), None),
            Test::Texts(left, _, right) | Test::Numbers(left, _, right) => {
                (Some(left), Some(right))
            }
            Test::Flag(_) | Test::Ip(..) | Test::IpIn(_) => (None, None),
        };
        one.into_iter().chain(two)
    }

    fn holds(&self, fields: &Fields<'_>) -> bool {
        match self {
            Test::Flag(want) => fields.tls == Some(*want),
            Test::Text(field, equal, text) => {
                fields.any_text(field, |value| value.eq_ignore_ascii_case(text) == *equal)
            }
            Test::TextIn(field, texts) => fields
                .any_text(field, |value| texts.iter().any(|text| value.eq_ignore_ascii_case(text))),
            Test::Match(field, regex) => {
                fields.any_text(field, |value| regex.is_match(start_of(value)))
            }
            Test::Texts(left, equal, right) => fields.any_text(left, |left| {
                fields.any_text(right, |right| left.eq_ignore_ascii_case(right) == *equal)
            }),
            Test::Number(field, op, number) => {
                fields.number(field).is_some_and(|value| compare(value, *op, *number))
            }
            Test::NumberIn(field, numbers) => {
                fields.number(field).is_some_and(|value| numbers.contains(&value))
            }
            Test::Numbers(left, op, right) => {
                let pair = fields.number(left).zip(fields.number(right));
                pair.is_some_and(|(left, right)| compare(left, *op, right))
            }
            Test::Ip(equal, ip) => {
                fields.client.is_some_and(|client| (client.to_canonical() == *ip) == *equal)
            }
            Test::IpIn(nets) => {
                fields.client.is_some_and(|client| nets.iter().any(|net| net.contains(client)))
            }
        }
    }
}

fn compare(left: u64, op: Op, right: u64) -> bool {
    match op {
        Op::Equal => left == right,
        Op::Differ => left != right,
        Op::Less => left < right,
        Op::AtMost => left <= right,
        Op::Greater => left > right,
        Op::AtLeast => left >= right,
        // The parser lets neither come to numbers.
        Op::Match | Op::In => false,
    }
}

/// The first [`MAX_TEXT`] octets, or a few less so that no character is cut.
fn start_of(text: &str) -> &str {
    if text.len() <= MAX_TEXT {
        return text;
    }
    let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}
