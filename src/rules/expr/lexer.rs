//! Words, strings and operators of the language, with the columns at which they stand.

use std::fmt;

/// Why a text is not an expression, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExprError {
    /// The place in characters, from 1.
    pub column: usize,
    /// What is wrong there, and what to write instead.
    pub message: String,
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)
    }
}

/// How two things are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// `==`
    Equal,
    /// `!=`
    Differ,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `~`: a regular expression fits some part.
    Match,
    /// `in`: one of a list.
    In,
}

impl Op {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Op::Equal => "==",
            Op::Differ => "!=",
            Op::Less => "<",
            Op::AtMost => "<=",
            Op::Greater => ">",
            Op::AtLeast => ">=",
            Op::Match => "~",
            Op::In => "in",
        }
    }
}

/// What the text is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Token<'a> {
    /// A name, a number with or without unit, an address: whatever needs no quotes.
    Word(&'a str),
    /// What stood in quotes.
    Text(String),
    /// A comparison.
    Op(Op),
    /// `&&`
    And,
    /// `||`
    Or,
    /// `!`
    Not,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// There is no more.
    End,
}

impl Token<'_> {
    /// For messages: what stands there.
    pub fn describe(&self) -> String {
        let quoted = match self {
            Token::Word(word) => *word,
            Token::Text(text) => return format!("the string \"{text}\""),
            Token::Op(op) => op.as_str(),
            Token::And => "&&",
            Token::Or => "||",
            Token::Not => "!",
            Token::Open => "(",
            Token::Close => ")",
            Token::Comma => ",",
            Token::End => return "the end".into(),
        };
        format!("'{quoted}'")
    }
}

/// Cuts a text into tokens, each with its offset in octets. The last one is [`Token::End`].
pub fn tokens(text: &str) -> Result<Vec<(usize, Token<'_>)>, (usize, String)> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let blanks = rest.len() - rest.trim_start().len();
        at += blanks;
        let Some(next) = rest[blanks..].bytes().next() else { break };
        let (token, length) = match next {
            b'"' => string(&text[at..]).map_err(|message| (at, message))?,
            _ => symbol(&text[at..]).map_err(|message| (at, message))?,
        };
        out.push((at, token));
        at += length;
    }
    out.push((text.len(), Token::End));
    Ok(out)
}

/// A string in double quotes at the start. Only `\"` is an escape, so that a regular expression
/// keeps its backslashes.
fn string(text: &str) -> Result<(Token<'_>, usize), String> {
    let mut content = String::new();
    let mut rest = &text[1..];
    loop {
        let Some(end) = rest.find('"') else { return Err("this string has no end".into()) };
        match rest[..end].strip_suffix('\\') {
            Some(before) => {
                content.push_str(before);
                content.push('"');
            }
            None => {
                content.push_str(&rest[..end]);
                rest = &rest[end + 1..];
                return Ok((Token::Text(content), text.len() - rest.len()));
            }
        }
        rest = &rest[end + 1..];
    }
}

/// An operator or a word at the start.
fn symbol(text: &str) -> Result<(Token<'_>, usize), String> {
    for (sign, token) in [
        ("==", Token::Op(Op::Equal)),
        ("!=", Token::Op(Op::Differ)),
        ("<=", Token::Op(Op::AtMost)),
        (">=", Token::Op(Op::AtLeast)),
        ("&&", Token::And),
        ("||", Token::Or),
        ("<", Token::Op(Op::Less)),
        (">", Token::Op(Op::Greater)),
        ("~", Token::Op(Op::Match)),
        ("!", Token::Not),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
    ] {
        if text.starts_with(sign) {
            return Ok((token, sign.len()));
        }
    }
    // Taken for a word it would be compared with its quotes, and never be equal to anything.
    if text.starts_with('\'') {
        return Err("a string stands in double quotes".into());
    }
    for (sign, instead) in [("=", "=="), ("&", "&&"), ("|", "||")] {
        if text.starts_with(sign) {
            return Err(format!("'{sign}' alone means nothing here; write '{instead}'"));
        }
    }
    let ends = |c: char| c.is_whitespace() || "()\",!=<>~&|".contains(c);
    let word = &text[..text.find(ends).unwrap_or(text.len())];
    let token = if word == "in" { Token::Op(Op::In) } else { Token::Word(word) };
    Ok((token, word.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        tokens(text)
            .unwrap()
            .iter()
            .map(|(at, token)| format!("{at}{}", token.describe()))
            .collect()
    }

    #[test]
    fn tokens_and_their_places() {
        assert_eq!(cut(""), ["0the end"]);
        assert_eq!(
            cut("rcpt ~\"a\" &&!(x<=1s)"),
            [
                "0'rcpt'",
                "5'~'",
                "6the string \"a\"",
                "10'&&'",
                "12'!'",
                "13'('",
                "14'x'",
                "15'<='",
                "17'1s'",
                "19')'",
                "20the end"
            ]
        );
        assert_eq!(
            cut("client in 2001:db8::/32,1.2.3.4 || grün!=ä"),
            [
                "0'client'",
                "7'in'",
                "10'2001:db8::/32'",
                "23','",
                "24'1.2.3.4'",
                "32'||'",
                "35'grün'",
                "40'!='",
                "42'ä'",
                "44the end"
            ]
        );
    }

    #[test]
    fn only_the_quote_is_escaped() {
        let text = |source: &str| match &tokens(source).unwrap()[0].1 {
            Token::Text(text) => text.clone(),
            other => other.describe(),
        };
        assert_eq!(text(r#""@example\.net$""#), r"@example\.net$");
        assert_eq!(text(r#""say \"hi\" \\n""#), r#"say "hi" \\n"#);
        assert_eq!(text("\"\""), "");
    }

    #[test]
    fn mistakes_have_a_place() {
        let wrong = |text| tokens(text).unwrap_err();
        assert_eq!(wrong("x \"abc").0, 2);
        assert_eq!(wrong("\"abc\\\"").0, 0);
        assert_eq!(wrong("a = b"), (2, "'=' alone means nothing here; write '=='".into()));
        assert!(wrong("a & b").1.contains("&&") && wrong("a | b").1.contains("||"));
    }
}
