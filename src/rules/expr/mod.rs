//! The language of `where`: what filters, breakpoints, faults, `follow` and `queue` ask.
//!
//! ```text
//! rcpt ~ "@example\.net$" && reply >= 400 && delay > 1s
//!
//! expr        = and *( "||" and )
//! and         = not *( "&&" not )
//! not         = "!" not / "(" expr ")" / test
//! test        = operand [ op operand ] / field "in" list
//! op          = "==" / "!=" / "<" / "<=" / ">" / ">=" / "~"
//! list        = item / "(" item *( "," item ) ")"
//! operand     = field / word / string
//! ```
//!
//! `!` binds closest, then comparisons, `&&`, `||`. A word is anything without blanks and
//! operators, and is read as what its field needs: `10m` is ten minutes beside `delay` and ten
//! mebibytes beside `size`. Strings stand in double quotes, in which only `\"` is an escape; a text
//! that is also the name of a field needs them, except beside `verb`.
//!
//! What the fields mean:
//!
//! - `==`, `!=` and `in` compare text without regard to the case of ASCII; `~` is a regular
//!   expression that fits some part of the text, and minds the case unless it begins with `(?i)`.
//! - A field with several values (`rcpt` of a message, `header.NAME`) passes a comparison when one
//!   of the values does.
//! - A comparison with a field that is not known at the moment is false, `!=` included; so
//!   `!(user == "ann")` is true where nobody authenticated, `user != "ann"` is not.
//!
//! An expression is checked as a whole when it is read: names, types, regular expressions. To ask
//! it cannot fail, and is bounded: texts are matched in their first [`MAX_TEXT`] octets, headers
//! looked at in their first [`MAX_HEADER`] and 16 fields of a name, and regex-lite takes time in
//! proportion to text and expression.

mod eval;
mod fields;
mod lexer;
mod parser;

#[cfg(test)]
mod tests;

pub use eval::{MAX_HEADER, MAX_TEXT};
pub use fields::{FIELD_NAMES, Field, Fields, Rcpts, Type};
pub use lexer::{ExprError, Op};

use eval::Node;
use lexer::Token;

/// Octets of an expression.
pub const MAX_EXPR: usize = 4096;
/// How deep parentheses and `!` may be nested.
pub const MAX_DEPTH: usize = 64;

/// An expression that has been checked.
#[derive(Clone, Debug)]
pub struct Expr {
    source: Box<str>,
    root: Node,
}

impl Expr {
    /// Reads an expression. The error has the column, in characters from 1.
    pub fn parse(source: &str) -> Result<Expr, ExprError> {
        let column = |(at, message): (usize, String)| {
            let before = source.get(..at).unwrap_or(source);
            ExprError { column: before.chars().count() + 1, message }
        };
        if source.len() > MAX_EXPR {
            return Err(column((0, format!("longer than {MAX_EXPR} octets"))));
        }
        let root = parser::parse(source).map_err(column)?;
        Ok(Expr { source: source.trim().into(), root })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it asks for something in the header of the message.
    pub fn needs_header(&self) -> bool {
        self.asks(|field| matches!(field, Field::Subject | Field::Header(_)))
    }

    /// Whether it asks for a field that passes this.
    pub fn asks(&self, pass: impl Fn(&Field) -> bool) -> bool {
        self.root.any(&|test| test.asks(&pass))
    }

    /// The first field in `source` that passes this, where `source` is what was parsed: its column,
    /// in characters from 1, and its name.
    pub fn place_of(source: &str, pass: impl Fn(&Field) -> bool) -> Option<(usize, &str)> {
        let tokens = lexer::tokens(source).ok()?;
        let found = tokens.into_iter().find_map(|(at, token)| match token {
            Token::Word(word) if Field::parse(word).is_some_and(|f| pass(&f)) => Some((at, word)),
            _ => None,
        })?;
        Some((source[..found.0].chars().count() + 1, found.1))
    }

    /// Whether it holds for these values when only some fields are known; none while it depends on
    /// those that are not.
    pub fn decide(&self, fields: &Fields<'_>, known: impl Fn(&Field) -> bool) -> Option<bool> {
        let header = &fields.header[..fields.header.len().min(MAX_HEADER)];
        self.root.decide(&Fields { header, ..*fields }, &known)
    }

    /// What is left to ask when only some fields are known: the answer, or an expression that asks
    /// for the others only. So what is the same for many need not be asked for each.
    pub fn narrow(
        &self,
        fields: &Fields<'_>,
        known: impl Fn(&Field) -> bool,
    ) -> Result<bool, Expr> {
        let header = &fields.header[..fields.header.len().min(MAX_HEADER)];
        let narrow = self.root.narrow(&Fields { header, ..*fields }, &known);
        narrow.map_err(|root| Expr { source: self.source.clone(), root })
    }

    /// Whether it holds for these values.
    pub fn holds(&self, fields: &Fields<'_>) -> bool {
        let header = &fields.header[..fields.header.len().min(MAX_HEADER)];
        self.root.holds(&Fields { header, ..*fields })
    }
}

impl PartialEq for Expr {
    /// What reads the same is the same.
    fn eq(&self, other: &Expr) -> bool {
        self.source == other.source
    }
}

impl Eq for Expr {}
