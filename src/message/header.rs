//! The header: fields, their names and values (RFC 5322 section 2.2).

use super::lines::{End, Region};
use super::words;

/// Fields that are looked at; what more there is, is skipped.
pub(super) const MAX_FIELDS: usize = 2000;

/// A field of a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeaderField<'a> {
    /// Its first line in the message, from 1.
    pub line: usize,
    /// What stands before the colon, blanks cut off.
    pub name: &'a [u8],
    /// What stands behind the colon, as it is: folds are kept, the last line end is not.
    pub value: &'a [u8],
    /// Blanks stand between name and colon, which only the obsolete syntax allows (section 4.5).
    pub spaced: bool,
}

impl HeaderField<'_> {
    /// Names are compared without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line: line ends before blanks go (section 2.2.3), and blanks around it.
    pub fn unfolded(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.value.len());
        for line in Region::new(self.value).lines() {
            out.extend_from_slice(line.text);
        }
        out.trim_ascii().to_vec()
    }

    /// The unfolded value with its encoded words decoded to UTF-8. What cannot be decoded stays.
    pub fn decoded(&self) -> Vec<u8> {
        words::decode(&self.unfolded())
    }
}

/// What follows the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HeaderEnd {
    /// The blank line.
    Blank,
    /// Nothing: the octets end.
    Missing,
    /// A line that is no field: readers take it for the first of the body.
    NoField,
}

/// A header and what follows it.
#[derive(Clone, Debug)]
pub(super) struct Header<'a> {
    pub fields: Vec<HeaderField<'a>>,
    pub end: HeaderEnd,
    /// The number of the line that ended it.
    pub end_line: usize,
    /// A line of a mailbox file, `From ann Mon …`, stands before the first field.
    pub mbox: bool,
    pub body: Region<'a>,
}

/// Reads the header at the start of a region.
pub(super) fn read(region: Region<'_>) -> Header<'_> {
    let mut header = Header {
        fields: Vec::new(),
        end: HeaderEnd::Missing,
        end_line: region.line,
        mbox: false,
        body: region.between(region.octets.len(), region.octets.len(), region.line),
    };
    // The field that may still go on: where it starts and ends, and its line.
    let mut open: Option<(usize, usize, usize)> = None;
    for line in region.lines() {
        header.end_line = line.number;
        let text_end = line.start + line.text.len();
        if let (Some(field), Some(b' ' | b'\t')) = (&mut open, line.text.first()) {
            field.1 = text_end;
            continue;
        }
        if let Some(field) = open.take() {
            header.push(region, field);
        }
        if line.text.is_empty() && line.end != End::Open {
            header.end = HeaderEnd::Blank;
            header.body = region.between(line.next, region.octets.len(), line.number + 1);
            return header;
        }
        if colon(line.text).is_some() {
            open = Some((line.start, text_end, line.number));
        } else if line.start == 0 && is_mbox_line(line.text) {
            header.mbox = true;
        } else {
            header.end = HeaderEnd::NoField;
            header.body = region.between(line.start, region.octets.len(), line.number);
            return header;
        }
    }
    if let Some(field) = open {
        header.push(region, field);
    }
    header.body.line = header.end_line + 1;
    header
}

impl<'a> Header<'a> {
    fn push(&mut self, region: Region<'a>, (start, end, line): (usize, usize, usize)) {
        let text = &region.octets[start..end];
        if self.fields.len() < MAX_FIELDS {
            let colon = colon(text).unwrap_or(text.len());
            let name = text[..colon].trim_ascii_end();
            let value = text.get(colon + 1..).unwrap_or_default();
            let spaced = name.len() < colon;
            self.fields.push(HeaderField { line, name, value, spaced });
        }
    }

    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s HeaderField<'a>> {
        self.fields.iter().filter(move |field| field.is(name))
    }

    pub fn first(&self, name: &str) -> Option<&HeaderField<'a>> {
        self.fields.iter().find(|field| field.is(name))
    }
}

/// Where the colon of a field is: behind a name of at least one octet without blanks or control
/// characters inside. Beyond ASCII is wrong in a name, but nothing else than a name either.
fn colon(line: &[u8]) -> Option<usize> {
    let name = line.iter().take_while(|b| !matches!(b, 0..=b' ' | b':' | 0x7f)).count();
    let blanks = line[name..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    (name > 0 && line.get(name + blanks) == Some(&b':')).then_some(name + blanks)
}

fn is_mbox_line(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line.starts_with(b">From ")
}

/// The fields of a message's header, at most two thousand.
pub fn headers(content: &[u8]) -> Vec<HeaderField<'_>> {
    read(Region::new(content)).fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(content: &[u8]) -> Vec<(usize, &[u8], Vec<u8>)> {
        headers(content).iter().map(|f| (f.line, f.name, f.unfolded())).collect()
    }

    #[test]
    fn fields_and_folds() {
        let content = b"A: x\r\n y\r\n\tz \r\nb :1\nC:\r\n\r\nD: body\r\n";
        let want: [(usize, &[u8], Vec<u8>); 3] =
            [(1, b"A", b"x y\tz".to_vec()), (4, b"b", b"1".to_vec()), (5, b"C", b"".to_vec())];
        assert_eq!(names(content), want);
        let header = read(Region::new(content));
        assert_eq!((header.end, header.end_line), (HeaderEnd::Blank, 6));
        assert_eq!(header.body, Region { octets: b"D: body\r\n", line: 7 });
        assert!(header.fields[1].spaced && !header.fields[0].spaced);
    }

    #[test]
    fn what_ends_a_header() {
        for (content, end, line, body) in [
            (&b"A: x\r\nhello there\r\n"[..], HeaderEnd::NoField, 2, &b"hello there\r\n"[..]),
            (b"A: x\r\n", HeaderEnd::Missing, 1, b""),
            (b"A: x", HeaderEnd::Missing, 1, b""),
            (b"", HeaderEnd::Missing, 1, b""),
            (b"\r\nx", HeaderEnd::Blank, 1, b"x"),
            (b" x: y\r\n", HeaderEnd::NoField, 1, b" x: y\r\n"),
            (b": y\r\n", HeaderEnd::NoField, 1, b": y\r\n"),
            (b"From a b: c\r\nA: b\r\n\r\n", HeaderEnd::Blank, 3, b""),
        ] {
            let header = read(Region::new(content));
            assert_eq!((header.end, header.end_line, header.body.octets), (end, line, body));
        }
        assert!(read(Region::new(b"From a@b Mon\nA: b\n")).mbox);
    }

    #[test]
    fn fields_are_bounded() {
        assert_eq!(headers(&b"A: b\r\n".repeat(MAX_FIELDS + 5)).len(), MAX_FIELDS);
    }
}
