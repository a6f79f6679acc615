//! From tokens to a checked tree: one function for each rule of the grammar, types as it goes.

use std::net::IpAddr;

use regex_lite::{Regex, RegexBuilder};

use super::MAX_DEPTH;
use super::eval::{Node, Test};
use super::fields::{FIELD_NAMES, Field, Type};
use super::lexer::{Op, Token, tokens};
use crate::base::{IpNet, nearest, parse_duration, parse_size};

/// What a compiled regular expression may take, in octets: some hundred states.
const MAX_REGEX: usize = 32 << 10;

/// An offset in octets and what is wrong there.
type Wrong = (usize, String);

/// Reads a whole expression.
pub fn parse(source: &str) -> Result<Node, Wrong> {
    let tokens = tokens(source)?;
    let mut parser = Parser { tokens: &tokens, next: 0, depth: 0 };
    let root = parser.expr()?;
    match parser.peek() {
        (_, Token::End) => Ok(root),
        (at, Token::Close) => Err((at, "this ')' closes nothing".into())),
        (at, other) => {
            Err((at, format!("{} comes without '&&' or '||' before it", other.describe())))
        }
    }
}

struct Parser<'a> {
    /// Ends with [`Token::End`], which is never taken.
    tokens: &'a [(usize, Token<'a>)],
    next: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> (usize, &'a Token<'a>) {
        let (at, token) = &self.tokens[self.next];
        (*at, token)
    }

    fn take(&mut self) -> (usize, &'a Token<'a>) {
        let taken = self.peek();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        taken
    }

    fn take_if(&mut self, wanted: &Token<'_>) -> bool {
        let found = self.peek().1 == wanted;
        if found {
            self.take();
        }
        found
    }

    fn expr(&mut self) -> Result<Node, Wrong> {
        let mut parts = vec![self.and()?];
        while self.take_if(&Token::Or) {
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Node::Any(parts) })
    }

    fn and(&mut self) -> Result<Node, Wrong> {
        let mut parts = vec![self.not()?];
        while self.take_if(&Token::And) {
            parts.push(self.not()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Node::All(parts) })
    }

    fn not(&mut self) -> Result<Node, Wrong> {
        let (at, token) = self.peek();
        if !matches!(token, Token::Not | Token::Open) {
            return self.test().map(Node::Test);
        }
        self.take();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err((at, format!("nested more than {MAX_DEPTH} deep")));
        }
        let node = if *token == Token::Not {
            Node::Not(Box::new(self.not()?))
        } else {
            let node = self.expr()?;
            self.close(at)?;
            node
        };
        self.depth -= 1;
        Ok(node)
    }

    fn close(&mut self, opened: usize) -> Result<(), Wrong> {
        match self.peek() {
            (_, Token::Close) => {
                self.take();
                Ok(())
            }
            (_, Token::End) => Err((opened, "this '(' is never closed".into())),
            (at, other) => Err((at, format!("expected ')', not {}", other.describe()))),
        }
    }

    fn test(&mut self) -> Result<Test, Wrong> {
        let (at, left) = self.take();
        let (op_at, op) = match (left, self.peek()) {
            (Token::Word(_) | Token::Text(_), (op_at, Token::Op(op))) => (op_at, *op),
            (Token::Word(word), _) => return flag(at, word),
            (other, _) => {
                return Err((at, format!("expected a field, not {}", other.describe())));
            }
        };
        self.take();
        if let Some((text, flipped)) = value_first(left).zip(flipped(op)) {
            return self.value_first(at, text, flipped);
        }
        let field = field(at, left)?;
        if op == Op::In {
            return self.list(&field);
        }
        let (at, right) = self.take();
        let Some(text) = text_of(right) else {
            let what = right.describe();
            return Err((at, format!("expected what to compare with, not {what}")));
        };
        let other = match right {
            // `verb == rcpt` speaks of the command, not of a field.
            Token::Word(word) if field != Field::Verb => Field::parse(word),
            _ => None,
        };
        match other {
            Some(other) if op != Op::Match => fields(op_at, at, field, op, other),
            _ => compared(op_at, at, field, op, text),
        }
    }

    /// `400 <= reply`: the same as `reply >= 400`.
    fn value_first(&mut self, at: usize, text: &str, flipped: Op) -> Result<Test, Wrong> {
        let (field_at, token) = self.take();
        compared(at, at, field(field_at, token)?, flipped, text)
    }

    /// What stands after `in`.
    fn list(&mut self, field: &Field) -> Result<Test, Wrong> {
        let mut items = Vec::new();
        let (opened, first) = self.peek();
        if *first == Token::Open {
            self.take();
            loop {
                items.push(self.item()?);
                if !self.take_if(&Token::Comma) {
                    break;
                }
            }
            self.close(opened)?;
        } else {
            items.push(self.item()?);
        }
        let items = items.iter().map(|(at, text)| (*at, *text));
        Ok(match field.kind() {
            Type::Ip => Test::IpIn(networks(items)?),
            Type::Text => Test::TextIn(field.clone(), items.map(|(_, text)| text.into()).collect()),
            Type::Flag => return Err((opened, "'tls' is true or false: write tls or !tls".into())),
            kind => {
                let numbers = items.map(|(at, text)| number(at, kind, text));
                Test::NumberIn(field.clone(), numbers.collect::<Result<_, _>>()?)
            }
        })
    }

    fn item(&mut self) -> Result<(usize, &'a str), Wrong> {
        let (at, token) = self.take();
        let text = text_of(token);
        text.map(|text| (at, text))
            .ok_or_else(|| (at, format!("expected an item of the list, not {}", token.describe())))
    }
}

fn text_of<'a>(token: &'a Token<'a>) -> Option<&'a str> {
    match token {
        Token::Word(word) => Some(word),
        Token::Text(text) => Some(text),
        _ => None,
    }
}

/// A value may stand first if it cannot be a mistyped field: a string, or what begins with a digit.
fn value_first<'a>(token: &'a Token<'a>) -> Option<&'a str> {
    match token {
        Token::Text(text) => Some(text),
        Token::Word(word) if word.starts_with(|c: char| c.is_ascii_digit()) => Some(word),
        _ => None,
    }
}

/// The operator with its sides changed; none if it has no such form.
fn flipped(op: Op) -> Option<Op> {
    Some(match op {
        Op::Equal | Op::Differ => op,
        Op::Less => Op::Greater,
        Op::AtMost => Op::AtLeast,
        Op::Greater => Op::Less,
        Op::AtLeast => Op::AtMost,
        Op::Match | Op::In => return None,
    })
}

fn field(at: usize, token: &Token<'_>) -> Result<Field, Wrong> {
    let Token::Word(word) = token else {
        return Err((at, format!("expected a field, not {}", token.describe())));
    };
    Field::parse(word).ok_or_else(|| (at, unknown(word)))
}

fn unknown(word: &str) -> String {
    let instead = match word {
        "and" | "AND" => Some("&&".into()),
        "or" | "OR" => Some("||".into()),
        "not" | "NOT" => Some("!".into()),
        "to" | "recipient" => Some("rcpt".into()),
        "sender" => Some("from".into()),
        "ip" => Some("client".into()),
        "header" => Some("header.NAME".into()),
        _ if word.starts_with("header.") => return format!("'{word}' names no header field"),
        _ => nearest(word, FIELD_NAMES),
    };
    match instead {
        Some(name) => format!("unknown field '{word}'; did you mean '{name}'?"),
        None => format!("unknown field '{word}'; fields are {}", FIELD_NAMES.join(" ")),
    }
}

/// A word without an operator: only `tls` means something alone.
fn flag(at: usize, word: &str) -> Result<Test, Wrong> {
    match Field::parse(word) {
        Some(Field::Tls) => Ok(Test::Flag(true)),
        Some(field) => {
            let example = match field.kind() {
                Type::Ip => "client in 192.0.2.0/24".into(),
                Type::Size => "size > 1M".into(),
                Type::Duration => "delay > 1s".into(),
                Type::Number => "reply >= 400".into(),
                _ => format!("{word} == \"...\""),
            };
            Err((at, format!("'{word}' alone is not a question; write for example {example}")))
        }
        None => Err((at, unknown(word))),
    }
}

/// Two fields.
fn fields(op_at: usize, at: usize, left: Field, op: Op, right: Field) -> Result<Test, Wrong> {
    if left.kind() != right.kind() {
        let (left, right) = (left.kind().name(), right.kind().name());
        return Err((at, format!("{left} cannot be compared with {right}")));
    }
    match left.kind() {
        Type::Text => {
            let equal = equality(op_at, &left, op)?;
            // Each value of one is compared with each of the other: only one may have several.
            let several = |f: &Field| matches!(f, Field::Rcpt | Field::Subject | Field::Header(_));
            match (several(&left), several(&right)) {
                (true, true) => {
                    let message = "two fields of many values cannot be compared";
                    Err((at, message.into()))
                }
                (false, true) => Ok(Test::Texts(right, equal, left)),
                _ => Ok(Test::Texts(left, equal, right)),
            }
        }
        Type::Number | Type::Size | Type::Duration => Ok(Test::Numbers(left, op, right)),
        Type::Ip | Type::Flag => Err((at, "a field compared with itself says nothing".into())),
    }
}

/// A field and a value. `op_at` is where to complain about the operator, `at` about the value.
fn compared(op_at: usize, at: usize, field: Field, op: Op, text: &str) -> Result<Test, Wrong> {
    match field.kind() {
        Type::Text if op == Op::Match => Ok(Test::Match(field, regex(at, text)?)),
        Type::Text => {
            let equal = equality(op_at, &field, op)?;
            Ok(Test::Text(field, equal, text.into()))
        }
        Type::Ip => {
            let equal = equality(op_at, &field, op)?;
            let ip = text.parse::<IpAddr>().map_err(|_| match text.parse::<IpNet>() {
                Ok(net) => (op_at, format!("for a network write: client in {net}")),
                Err(_) => (at, format!("'{text}' is not an IP address")),
            })?;
            Ok(Test::Ip(equal, ip.to_canonical()))
        }
        Type::Flag => {
            let equal = equality(op_at, &field, op)?;
            let value = match text {
                "true" | "yes" | "on" => true,
                "false" | "no" | "off" => false,
                _ => return Err((at, format!("'{text}' is neither true nor false"))),
            };
            Ok(Test::Flag(value == equal))
        }
        Type::Number | Type::Size | Type::Duration if op == Op::Match => {
            Err((op_at, format!("'~' is for text, this is {}", field.kind().name())))
        }
        kind => Ok(Test::Number(field, op, number(at, kind, text)?)),
    }
}

/// Whether the operator asks for equality or for its opposite; others have no place here.
fn equality(op_at: usize, field: &Field, op: Op) -> Result<bool, Wrong> {
    match op {
        Op::Equal => Ok(true),
        Op::Differ => Ok(false),
        _ => {
            let instead = match field.kind() {
                Type::Ip => "== != or in",
                Type::Flag => "== or !=",
                _ => "== != ~ or in",
            };
            let (sign, kind) = (op.as_str(), field.kind().name());
            Err((op_at, format!("'{sign}' is not for {kind}; use {instead}")))
        }
    }
}

/// A number in the unit of its type: octets, microseconds.
fn number(at: usize, kind: Type, text: &str) -> Result<u64, Wrong> {
    let plain = || text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let value = match kind {
        Type::Size => parse_size(text),
        Type::Duration => {
            parse_duration(text).and_then(|delay| u64::try_from(delay.as_micros()).ok())
        }
        _ => plain(),
    };
    value.ok_or_else(|| {
        let example = match kind {
            Type::Size => "a size such as 1000, 512K or 50M",
            Type::Duration => "a duration with its unit, such as 500ms, 1s or 5m",
            _ => "a number",
        };
        (at, format!("'{text}' is not {example}"))
    })
}

/// Networks, one an item or several in one string with commas between them.
fn networks<'a>(items: impl Iterator<Item = (usize, &'a str)>) -> Result<Vec<IpNet>, Wrong> {
    let mut nets = Vec::new();
    for (at, item) in items {
        for text in item.split(',').map(str::trim) {
            nets.push(text.parse().map_err(|e| (at, format!("'{text}': {e}")))?);
        }
    }
    Ok(nets)
}

fn regex(at: usize, pattern: &str) -> Result<Regex, Wrong> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_REGEX)
        .nest_limit(50)
        .build()
        .map_err(|e| (at, format!("not a regular expression: {e}")))
}
