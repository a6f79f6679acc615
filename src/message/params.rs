//! Parameters of Content-Type and Content-Disposition: `; name=value` (RFC 2045 section 5.1), with
//! the continuations and character sets of RFC 2231.

use super::structured::{split, unquoted, without_comments};
use super::{charset, words};

/// Parameters of one field that are looked at.
const MAX_PARAMETERS: usize = 100;

/// A parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parameter {
    /// In lower case, without the marks of RFC 2231.
    pub name: Vec<u8>,
    /// Unquoted, its pieces joined, decoded to UTF-8 where its character set is known.
    pub value: Vec<u8>,
}

/// A structured value with parameters.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Value {
    /// What stands before the first semicolon, in lower case without blanks: `text/plain`.
    pub main: Vec<u8>,
    pub parameters: Vec<Parameter>,
    /// The value of a parameter is an encoded word (RFC 2047 section 5 forbids that).
    pub encoded_word: bool,
    /// A parameter lacks its `=`, or its name.
    pub broken: bool,
}

impl Value {
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.parameters.iter().find(|p| p.name == name.as_bytes());
        found.map(|p| &p.value[..])
    }
}

/// A piece of a parameter: `name*2*=value`.
struct Segment {
    name: Vec<u8>,
    /// `*2`
    number: Option<u32>,
    /// The value is percent-encoded.
    extended: bool,
    value: Vec<u8>,
}

/// Reads an unfolded value.
pub(super) fn parse(unfolded: &[u8]) -> Value {
    let text = without_comments(unfolded);
    let mut pieces = split(&text, b';').into_iter();
    let main = pieces.next().unwrap_or_default();
    let main = main.iter().filter(|b| !matches!(b, b' ' | b'\t')).map(u8::to_ascii_lowercase);
    let mut value = Value { main: main.collect(), ..Value::default() };
    let mut segments: Vec<Segment> = Vec::new();
    for piece in pieces.map(<[u8]>::trim_ascii).filter(|p| !p.is_empty()).take(MAX_PARAMETERS) {
        match segment(piece) {
            Some(segment) => segments.push(segment),
            None => value.broken = true,
        }
    }
    let encoded = |s: &Segment| !s.extended && words::find(&s.value).next().is_some();
    value.encoded_word = segments.iter().any(encoded);
    value.parameters = joined(segments);
    value
}

fn segment(piece: &[u8]) -> Option<Segment> {
    let equals = memchr::memchr(b'=', piece)?;
    let name = piece[..equals].trim_ascii_end().to_ascii_lowercase();
    let value = unquoted(piece[equals + 1..].trim_ascii_start());
    let (name, extended) = match name.strip_suffix(b"*") {
        Some(name) => (name, true),
        None => (&name[..], false),
    };
    let star = memchr::memrchr(b'*', name);
    let number = star.and_then(|star| {
        let digits = std::str::from_utf8(&name[star + 1..]).ok()?;
        // RFC 2231 section 3: decimal, without leading zeros or signs.
        let plain = digits == "0" || !digits.starts_with(['0', '+']);
        digits.parse().ok().filter(|_| plain)
    });
    let name = match (star, number) {
        (Some(star), Some(_)) => &name[..star],
        _ => name,
    };
    (!name.is_empty()).then(|| Segment { name: name.to_vec(), number, extended, value })
}

/// Joins the segments of each name in the order of their numbers; a name that comes whole twice
/// counts once, the first time.
fn joined(segments: Vec<Segment>) -> Vec<Parameter> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    for segment in &segments {
        if !names.contains(&segment.name) {
            names.push(segment.name.clone());
        }
    }
    let one = |name: Vec<u8>| {
        let of_name = || segments.iter().filter(|s| s.name == name);
        // What RFC 2231 writes wins over the plain form for old readers beside it.
        let whole = of_name().find(|s| s.number.is_none() && s.extended);
        let whole = whole.or_else(|| of_name().find(|s| s.number.is_none()));
        let mut parts: Vec<&Segment> = of_name().filter(|s| s.number.is_some()).collect();
        parts.sort_by_key(|s| s.number);
        parts.dedup_by_key(|s| s.number);
        let value = match (&parts[..], whole) {
            ([], Some(whole)) => value_of(&[whole]),
            (parts, _) => value_of(parts),
        };
        Parameter { name, value }
    };
    names.into_iter().map(one).collect()
}

/// The value of segments in order: the first extended one names the character set
/// (`utf-8'en'%e2%82%ac`).
fn value_of(segments: &[&Segment]) -> Vec<u8> {
    let mut charset = None;
    let mut octets = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        let mut value = &segment.value[..];
        if i == 0 && segment.extended {
            let mut pieces = value.splitn(3, |b| *b == b'\'');
            if let (Some(set), Some(_), Some(rest)) = (pieces.next(), pieces.next(), pieces.next())
            {
                charset = std::str::from_utf8(set).ok();
                value = rest;
            }
        }
        if segment.extended { octets.extend(percent_decoded(value)) } else { octets.extend(value) }
    }
    match charset.and_then(|charset| charset::decode(charset, &octets)) {
        Some(decoded) => decoded.into_bytes(),
        // An encoded word does not belong here, but people want to read it.
        None if charset.is_none() => words::decode(&octets),
        None => octets,
    }
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(octet) = text.get(at) {
        let code = text.get(at + 1..at + 3).and_then(words::hex).filter(|_| *octet == b'%');
        out.push(code.unwrap_or(*octet));
        at += if code.is_some() { 3 } else { 1 };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(text: &str, name: &str) -> Option<String> {
        parse(text.as_bytes()).get(name).map(|v| String::from_utf8_lossy(v).into_owned())
    }

    #[test]
    fn values_and_parameters() {
        let value = parse(b"Text / Plain (comment); CharSet=\"us-ascii\"; x ; =y; format = flowed");
        assert_eq!(value.main, b"text/plain");
        assert_eq!(value.get("charset"), Some(&b"us-ascii"[..]));
        assert_eq!(value.get("format"), Some(&b"flowed"[..]));
        assert!(value.broken && !parse(b"a/b; c=d;").broken);
        assert_eq!(get("a/b; name=\"a;\\\"b\"", "name").as_deref(), Some("a;\"b"));
        assert_eq!(get("a/b; x=1; x=2", "x").as_deref(), Some("1"));
    }

    /// The examples of RFC 2231 sections 3 and 4.
    #[test]
    fn continuations_and_character_sets() {
        for (text, want) in [
            ("m/e; url*0=\"ftp://\";\r url*1=\"cs.utk.edu/x\"", "ftp://cs.utk.edu/x"),
            ("m/e; url*1=b; url*0=a", "ab"),
            ("a/x; url*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A", "This is ***fun***"),
            (
                "a/x; url*0*=us-ascii'en'This%20is%20even%20more%20; \
                 url*1*=%2A%2A%2Afun%2A%2A%2A%20; url*2=\"isn't it!\"",
                "This is even more ***fun*** isn't it!",
            ),
            ("a/x; url=plain; url*=utf-8''%e2%82%ac", "€"),
            ("a/x; url*=iso-8859-15''%a4", "€"),
            ("a/x; url*=koi8-r''%41", "A"),
            ("a/x; url*=no-quotes%41", "no-quotesA"),
            ("a/x; url=\"=?utf-8?Q?=E2=82=AC?=\"", "€"),
        ] {
            assert_eq!(get(text, "url").as_deref(), Some(want), "{text}");
        }
        assert!(parse(b"a/x; url=\"=?utf-8?Q?=E2=82=AC?=\"").encoded_word);
    }

    #[test]
    fn nonsense_is_bounded() {
        let many = format!("a/b{}", "; x*1=y".repeat(10_000));
        assert_eq!(parse(many.as_bytes()).parameters.len(), 1);
        for text in ["", ";", "a/b; *=x", "a/b; *0*=x", "a/b; x*99999999999=y", "a/b; x**=%"] {
            let _ = parse(text.as_bytes());
        }
    }
}
