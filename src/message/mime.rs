//! The tree of a message's parts (RFC 2045 to 2049), walked from the outside in.
//!
//! An outer boundary wins over an inner one (RFC 2046 section 5.1.2): a multipart is first cut into
//! its parts, then each of them is looked at. So an inner part whose end is missing cannot swallow
//! its neighbours, and that it is missing shows by itself.

use super::Severity;
use super::header::{self, Header, HeaderEnd};
use super::lines::Region;
use super::params::{self, Parameter, Value};

/// Levels of nesting that are followed.
pub(super) const MAX_DEPTH: usize = 16;
/// Parts that are listed.
pub(super) const MAX_PARTS: usize = 500;
/// Faults that are kept.
const MAX_FAULTS: usize = 200;
/// Octets of a boundary at most (RFC 2046 section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// A part of a message; the first is the message itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part<'a> {
    /// Where it hangs: empty for the message, then `1`, `2`, `2.1`.
    pub path: String,
    /// How many parts it is inside of.
    pub depth: usize,
    /// Its first line in the message.
    pub line: usize,
    /// Type and subtype in lower case: `text/plain`, which is also the default.
    pub media: Vec<u8>,
    /// Of Content-Type.
    pub parameters: Vec<Parameter>,
    /// Content-Transfer-Encoding in lower case; `7bit` is the default.
    pub encoding: Vec<u8>,
    /// `inline`, `attachment`; none when nothing was said.
    pub disposition: Option<Vec<u8>>,
    /// From Content-Disposition, else from Content-Type's `name`.
    pub filename: Option<Vec<u8>>,
    /// Its content as it stands, without its header.
    pub body: &'a [u8],
    /// The number of the first line of the content.
    pub(super) body_line: usize,
    pub(super) boundary: Option<Vec<u8>>,
    pub(super) broken_parameters: bool,
    pub(super) encoded_word: bool,
}

impl Part<'_> {
    /// A parameter of Content-Type.
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        let found = self.parameters.iter().find(|p| p.name == name.as_bytes());
        found.map(|p| &p.value[..])
    }

    /// Whether it consists of further parts.
    pub fn is_multipart(&self) -> bool {
        self.media.starts_with(b"multipart/")
    }

    /// A message inside the message, which may be looked into.
    fn is_message(&self) -> bool {
        let plain = matches!(&self.encoding[..], b"7bit" | b"8bit" | b"binary");
        plain && matches!(&self.media[..], b"message/rfc822" | b"message/global")
    }
}

/// Something wrong in the structure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    pub severity: Severity,
    pub line: usize,
    /// The part's path.
    pub part: String,
    pub what: &'static str,
    pub rfc: &'static str,
}

/// The parts of a message, each before those inside it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Mime<'a> {
    /// At most five hundred.
    pub parts: Vec<Part<'a>>,
    /// There are more parts, or deeper ones, than are listed.
    pub more: bool,
    pub(super) faults: Vec<Fault>,
}

/// The parts of a message. When it is `cut`, what its end would have brought is not missed.
pub fn mime_tree(content: &[u8], cut: bool) -> Mime<'_> {
    let mut walk = Walk { mime: Mime::default(), cut_at: cut.then_some(content.len()), content };
    let place = Place { path: String::new(), depth: 0, default: b"text/plain" };
    walk.part(Region::new(content), place);
    walk.mime
}

struct Walk<'a> {
    mime: Mime<'a>,
    content: &'a [u8],
    cut_at: Option<usize>,
}

struct Place {
    path: String,
    depth: usize,
    /// The type when the part does not say one.
    default: &'static [u8],
}

impl Place {
    fn inside(&self, number: usize, default: &'static [u8]) -> Place {
        let path = match &self.path[..] {
            "" => number.to_string(),
            path => format!("{path}.{number}"),
        };
        Place { path, depth: self.depth + 1, default }
    }
}

impl<'a> Walk<'a> {
    fn part(&mut self, region: Region<'a>, place: Place) {
        if self.mime.parts.len() >= MAX_PARTS || place.depth > MAX_DEPTH {
            self.mime.more = true;
            return;
        }
        let header = header::read(region);
        let part = part_of(&header, region.line, &place);
        let inside_of_other = place.depth > 0;
        if inside_of_other && header.end == HeaderEnd::NoField {
            let what = "a line in its header is no field: taken for the first of its content";
            self.fault(Severity::Error, header.end_line, &part, what, "RFC 2046 section 5.1");
        }
        let (body, boundary) = (header.body, part.boundary.clone());
        let (multipart, message) = (part.is_multipart(), part.is_message());
        let digest = part.media == b"multipart/digest";
        self.mime.parts.push(part.clone());
        if multipart {
            let default: &[u8] = if digest { b"message/rfc822" } else { b"text/plain" };
            match boundary {
                Some(boundary) => self.parts(body, &boundary, &place, default, &part),
                None => self.fault(
                    Severity::Error,
                    part.line,
                    &part,
                    "multipart without a boundary: its parts cannot be found",
                    "RFC 2046 section 5.1.1",
                ),
            }
        } else if message {
            self.part(body, place.inside(1, b"text/plain"));
        }
    }

    /// Cuts the content of a multipart at its boundary.
    fn parts(
        &mut self,
        body: Region<'a>,
        boundary: &[u8],
        place: &Place,
        default: &'static [u8],
        part: &Part<'a>,
    ) {
        let mut number = 0;
        // Where the part under way starts, and its line; none in preamble and epilogue.
        let mut open: Option<(usize, usize)> = None;
        let mut closed = false;
        // The line end before a delimiter belongs to it (section 5.1.1).
        let mut before = 0;
        for line in body.lines() {
            let warn = |what| (Severity::Warning, line.number, what, "RFC 2046 section 5.1.1");
            let found = delimiter(line.text, boundary);
            let odd = match found {
                Some(Delimiter::Like) => Some(warn(LIKE_BOUNDARY)),
                Some(_) if closed => Some(warn(BEHIND_CLOSE)),
                _ => None,
            };
            if let Some((severity, line, what, rfc)) = odd {
                self.fault(severity, line, part, what, rfc);
            } else if let Some(delimiter) = found {
                if let Some((start, first)) = open.take() {
                    number += 1;
                    let region = body.between(start, before.max(start), first);
                    self.part(region, place.inside(number, default));
                }
                match delimiter {
                    Delimiter::Next => open = Some((line.next, line.number + 1)),
                    _ => closed = true,
                }
            }
            before = line.start + line.text.len();
            if self.mime.parts.len() >= MAX_PARTS {
                self.mime.more = true;
                return;
            }
        }
        let opened = open.is_some() || number > 0;
        if let Some((start, first)) = open {
            let region = body.between(start, body.octets.len(), first);
            self.part(region, place.inside(number + 1, default));
        }
        if !closed && !self.reaches_cut(body) {
            let what = if opened {
                "the closing boundary is missing: the end may have been lost on the way"
            } else {
                "its boundary does not occur in it: it has no parts"
            };
            let severity = if opened { Severity::Warning } else { Severity::Error };
            self.fault(severity, part.line, part, what, "RFC 2046 section 5.1.1");
        }
    }

    /// Whether a region ends where the message was cut.
    fn reaches_cut(&self, region: Region<'_>) -> bool {
        let end = region.octets.as_ptr_range().end as usize;
        let content = self.content.as_ptr() as usize;
        self.cut_at.is_some_and(|cut| content + cut == end)
    }

    fn fault(
        &mut self,
        severity: Severity,
        line: usize,
        part: &Part<'a>,
        what: &'static str,
        rfc: &'static str,
    ) {
        if self.mime.faults.len() < MAX_FAULTS {
            let part = part.path.clone();
            self.mime.faults.push(Fault { severity, line, part, what, rfc });
        }
    }
}

const LIKE_BOUNDARY: &str =
    "a line begins like the boundary and goes on: some readers take it for one";
const BEHIND_CLOSE: &str = "a boundary behind the closing one: readers do not agree what it means";

enum Delimiter {
    /// `--boundary`
    Next,
    /// `--boundary--`
    Close,
    /// More stands behind the boundary.
    Like,
}

/// Blanks may stand behind a delimiter (transport-padding, section 5.1.1).
fn delimiter(line: &[u8], boundary: &[u8]) -> Option<Delimiter> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    Some(match rest.trim_ascii_end() {
        b"" => Delimiter::Next,
        b"--" => Delimiter::Close,
        _ => Delimiter::Like,
    })
}

/// What a part's header says of it.
fn part_of<'a>(header: &Header<'a>, line: usize, place: &Place) -> Part<'a> {
    let read = |name| header.first(name).map(|field| params::parse(&field.unfolded()));
    let kind = read("Content-Type").filter(|kind| kind.main.contains(&b'/'));
    let disposition = read("Content-Disposition").unwrap_or_default();
    let kind = kind.unwrap_or_else(|| Value { main: place.default.to_vec(), ..Value::default() });
    let encoding = read("Content-Transfer-Encoding").map_or(b"7bit".to_vec(), |v| v.main);
    let filename = disposition.get("filename").or(kind.get("name")).map(<[u8]>::to_vec);
    let boundary = kind.get("boundary").filter(|b| !b.is_empty()).map(<[u8]>::to_vec);
    Part {
        path: place.path.clone(),
        depth: place.depth,
        line,
        encoding,
        filename,
        boundary,
        body: header.body.octets,
        body_line: header.body.line,
        broken_parameters: kind.broken || disposition.broken,
        encoded_word: kind.encoded_word || disposition.encoded_word,
        disposition: Some(disposition.main).filter(|main| !main.is_empty()),
        media: kind.main,
        parameters: kind.parameters,
    }
}

/// Whether a boundary has the form that RFC 2046 section 5.1.1 gives it.
pub(super) fn is_good_boundary(boundary: &[u8]) -> bool {
    let good = |b: &u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(b);
    boundary.len() <= MAX_BOUNDARY && boundary.iter().all(good) && !boundary.ends_with(b" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(content: &str, cut: bool) -> (Vec<String>, Vec<(usize, &'static str)>) {
        let mime = mime_tree(content.as_bytes(), cut);
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let part = |p: &Part<'_>| format!("{} {} {:?}", p.path, text(&p.media), text(p.body));
        let faults = mime.faults.iter().map(|f| (f.line, &f.what[..20])).collect();
        (mime.parts.iter().map(part).collect(), faults)
    }

    fn multipart(kind: &str, boundary: &str, rest: &str) -> String {
        format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n\r\n{rest}")
    }

    #[test]
    fn parts_nest() {
        let inner =
            multipart("alternative", "in", "--in\r\n\r\na\r\n--in  \r\n\r\nb\r\n--in--\r\n");
        let rest = format!(
            "preamble\r\n--out\r\n{inner}\r\n--out\r\nContent-Type: image/png\r\n\r\nx\r\n\r\n\
             --out--\r\nepilogue\r\n"
        );
        let content = multipart("mixed", "out", &rest);
        let (parts, faults) = tree(&content, false);
        assert_eq!(parts[2..4], ["1.1 text/plain \"a\"", "1.2 text/plain \"b\""]);
        assert_eq!(parts[4], "2 image/png \"x\\r\\n\"");
        assert_eq!((parts.len(), faults), (5, vec![]));
    }

    #[test]
    fn messages_inside() {
        let rest = "--b\r\n\r\nSubject: a\r\nContent-Type: text/html\r\n\r\nx\r\n--b--";
        let (parts, faults) = tree(&multipart("digest", "b", rest), false);
        assert_eq!(parts[2], "1.1 text/html \"x\"");
        assert!(parts[1].starts_with("1 message/rfc822") && faults.is_empty());
        let encoded = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nx";
        assert_eq!(tree(encoded, false).0.len(), 1);
    }

    #[test]
    fn names_of_files() {
        let content = b"Content-Type: image/png; name=a.png\r\n\
            Content-Disposition: Attachment; filename*=utf-8''%e2%82%ac.png\r\n\r\n";
        let mime = mime_tree(content, false);
        assert_eq!(mime.parts[0].filename.as_deref(), Some("€.png".as_bytes()));
        assert_eq!(mime.parts[0].disposition.as_deref(), Some(&b"attachment"[..]));
        let mime = mime_tree(b"Content-Type: image/png; name=a.png\r\n\r\n", false);
        assert_eq!(mime.parts[0].filename.as_deref(), Some(&b"a.png"[..]));
    }

    #[test]
    fn what_is_wrong_is_noted() {
        let of = |rest| tree(&multipart("mixed", "b", rest), false).1;
        assert_eq!(of("nothing"), [(1, "its boundary does no")]);
        assert_eq!(of("--b\r\n\r\nx\r\n"), [(1, "the closing boundary")]);
        assert_eq!(of("--b\r\n\r\nx\r\n--b--\r\n--b\r\n"), [(7, "a boundary behind th")]);
        assert_eq!(of("--b\r\n\r\n--bc\r\n--b--"), [(5, "a line begins like t")]);
        assert_eq!(of("--b\r\nno field\r\n--b--"), [(4, "a line in its header")]);
        let none = "Content-Type: multipart/mixed\r\n\r\n";
        assert_eq!(tree(none, false).1, [(1, "multipart without a ")]);
        // What was cut may have had its end.
        assert_eq!(tree(&multipart("mixed", "b", "--b\r\n\r\nx"), true).1, []);
    }

    #[test]
    fn an_outer_boundary_wins() {
        let inner = multipart("mixed", "in", "--in\r\n\r\nx\r\n");
        let rest = format!("--out\r\n{inner}--out\r\n\r\ny\r\n--out--\r\n");
        let (parts, faults) = tree(&multipart("mixed", "out", &rest), true);
        assert_eq!(parts[2..], ["1.1 text/plain \"x\"", "2 text/plain \"y\""]);
        assert_eq!(faults, [(4, "the closing boundary")]);
    }

    #[test]
    fn depth_and_parts_are_bounded() {
        let mut content = String::from("x");
        for i in 0..100 {
            content = multipart("mixed", &format!("b{i}x"), &format!("--b{i}x\r\n{content}\r\n"));
        }
        let mime = mime_tree(content.as_bytes(), false);
        assert!(mime.more && mime.parts.len() == MAX_DEPTH + 1);
        let many = multipart("mixed", "b", &"--b\r\n".repeat(10_000));
        let mime = mime_tree(many.as_bytes(), false);
        assert!(mime.more && mime.parts.len() == MAX_PARTS);
        let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(100);
        assert_eq!(mime_tree(messages.as_bytes(), false).parts.len(), MAX_DEPTH + 1);
    }

    #[test]
    fn boundaries() {
        assert!(is_good_boundary(b"a b=_.'()+,-/:?"));
        for bad in [&b"a "[..], b"a<b", &[b'x'; MAX_BOUNDARY + 1]] {
            assert!(!is_good_boundary(bad));
        }
    }
}
