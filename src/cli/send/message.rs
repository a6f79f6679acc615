//! A message as programs hand it to sendmail: lines of any kind, a header that may lack fields.
//! Octets in, octets out.

use memchr::memchr;

/// A message: header fields and body, all lines with CRLF.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Message {
    /// Each whole, with its folded lines; `Name: value CRLF`.
    fields: Vec<Vec<u8>>,
    body: Vec<u8>,
}

/// The next line without its end, and what follows it. LF ends a line, and CRs before it belong to
/// the end.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let (mut line, rest) = match memchr(b'\n', text) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[][..]),
    };
    while let [start @ .., b'\r'] = line {
        line = start;
    }
    (line, rest)
}

/// The octets of a field's name, when the line begins a field (RFC 5322 section 3.6.8).
fn field_name(line: &[u8]) -> Option<&[u8]> {
    let colon = memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(name)
}

impl Message {
    /// Reads what a program wrote. With `dots` a line that is a single dot ends the message, as
    /// sendmail has it without `-i`.
    ///
    /// A bare CR must not travel (RFC 5321 section 2.3.8). In the body it becomes a line end; in
    /// the header a blank, so that no field is made of what was none.
    pub(super) fn read(text: &[u8], dots: bool) -> Message {
        let mut message = Message { fields: vec![], body: vec![] };
        let mut rest = message.read_header(text);
        while !rest.is_empty() {
            let (line, next) = split_line(rest);
            if dots && line == b"." {
                break;
            }
            for (i, part) in line.split(|b| *b == b'\r').enumerate() {
                if i > 0 {
                    message.body.extend_from_slice(b"\r\n");
                }
                message.body.extend_from_slice(part);
            }
            message.body.extend_from_slice(b"\r\n");
            rest = next;
        }
        message
    }

    /// Takes the header and the empty line after it; gives what follows. A line that is neither
    /// field nor fold begins the body without an empty line.
    fn read_header<'a>(&mut self, text: &'a [u8]) -> &'a [u8] {
        let (first, next) = split_line(text);
        // The separator of mbox files comes from programs that were made for local delivery.
        let mut rest = if first.starts_with(b"From ") { next } else { text };
        while !rest.is_empty() {
            let (line, next) = split_line(rest);
            let folded = matches!(line.first(), Some(b' ' | b'\t'));
            match self.fields.last_mut() {
                _ if line.is_empty() => return next,
                Some(field) if folded => add_line(field, line),
                _ if field_name(line).is_some() => {
                    let mut field = vec![];
                    add_line(&mut field, line);
                    self.fields.push(field);
                }
                _ => return rest,
            }
            rest = next;
        }
        rest
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Vec<u8>> {
        self.fields.iter().filter(move |field| is_named(field, name))
    }

    /// Whether the header has such a field.
    pub(super) fn has(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// The values of all such fields, unfolded (RFC 5322 section 2.2.3), without the last CRLF.
    pub(super) fn values(&self, name: &str) -> Vec<Vec<u8>> {
        let value = |field: &Vec<u8>| {
            let start = memchr(b':', field).map_or(0, |colon| colon + 1);
            field[start..].iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect()
        };
        self.named(name).map(value).collect()
    }

    /// Takes all such fields out.
    pub(super) fn remove(&mut self, name: &str) {
        self.fields.retain(|field| !is_named(field, name));
    }

    /// Puts a field before the others. Its value has no line ends.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.fields.insert(0, format!("{name}: {value}\r\n").into_bytes());
    }

    /// Whether a field has octets beyond ASCII (RFC 6532).
    pub(super) fn header_is_ascii(&self) -> bool {
        self.fields.iter().all(|field| field.is_ascii())
    }

    /// The whole message.
    pub(super) fn octets(&self) -> Vec<u8> {
        let mut octets = self.fields.concat();
        octets.extend_from_slice(b"\r\n");
        octets.extend_from_slice(&self.body);
        octets
    }
}

fn is_named(field: &[u8], name: &str) -> bool {
    field_name(field).is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()))
}

fn add_line(field: &mut Vec<u8>, line: &[u8]) {
    field.extend(line.iter().map(|b| if *b == b'\r' { b' ' } else { *b }));
    field.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str, dots: bool) -> String {
        String::from_utf8(Message::read(text.as_bytes(), dots).octets()).unwrap()
    }

    #[test]
    fn lines_get_proper_ends() {
        for (text, octets) in [
            ("A: b\n\nc\nd", "A: b\r\n\r\nc\r\nd\r\n"),
            ("A: b\r\n\r\nc\r\n", "A: b\r\n\r\nc\r\n"),
            ("A: b\n\n1%\r2%\r\n", "A: b\r\n\r\n1%\r\n2%\r\n"),
            ("A: b\n\nx\r\r\ny\r", "A: b\r\n\r\nx\r\ny\r\n"),
            ("A: b\n\n\n\n", "A: b\r\n\r\n\r\n\r\n"),
            ("A: b\n", "A: b\r\n\r\n"),
            ("A: b", "A: b\r\n\r\n"),
            ("", "\r\n"),
            ("\n", "\r\n"),
        ] {
            assert_eq!(whole(text, false), octets, "{text:?}");
        }
        // Octets of a body are nobody's business.
        let message = Message::read(b"A: b\n\n\0\xff\n", false);
        assert!(message.octets().ends_with(b"\r\n\r\n\0\xff\r\n"));
    }

    #[test]
    fn a_single_dot_ends_the_message_when_it_should() {
        assert_eq!(whole("A: b\n\nc\n.\nd\n", true), "A: b\r\n\r\nc\r\n");
        assert_eq!(whole("A: b\n\nc\n.\r\nd\n", true), "A: b\r\n\r\nc\r\n");
        assert_eq!(whole("A: b\n\nc\n.\nd\n", false), "A: b\r\n\r\nc\r\n.\r\nd\r\n");
        assert_eq!(whole("A: b\n\n..\n.x\n . \n", true), "A: b\r\n\r\n..\r\n.x\r\n . \r\n");
        // Dots at the end of the header, too.
        assert_eq!(whole("A: b\n.\nd\n", true), "A: b\r\n\r\n");
    }

    #[test]
    fn headers_end_where_no_field_begins() {
        assert_eq!(whole("hello\n", false), "\r\nhello\r\n");
        assert_eq!(whole("A: b\nhello\nC: d\n", false), "A: b\r\n\r\nhello\r\nC: d\r\n");
        assert_eq!(whole("\nA: b\n", false), "\r\nA: b\r\n");
        assert_eq!(whole(" A: b\n", false), "\r\n A: b\r\n");
        assert_eq!(whole("a b: c\n", false), "\r\na b: c\r\n");
        assert_eq!(whole("From ann Mon\nA: b\n\nc", false), "A: b\r\n\r\nc\r\n");
        assert_eq!(whole("A : b\n\t c\n\nd", false), "A : b\r\n\t c\r\n\r\nd\r\n");
    }

    #[test]
    fn no_carriage_return_makes_a_field() {
        let message = Message::read(b"Subject: x\rBcc: eve@x.org\nA: b\n\n", false);
        assert!(!message.has("Bcc"));
        assert_eq!(message.values("subject"), [b" x Bcc: eve@x.org".to_vec()]);
    }

    #[test]
    fn fields_are_found_whatever_their_case() {
        let mut message = Message::read(b"TO: a,\n b\nto : c\nBcc: d\n e\nX: f\n\n", false);
        assert_eq!(message.values("To"), [b" a, b".to_vec(), b" c".to_vec()]);
        message.remove("bcc");
        message.add("Date", "today");
        let octets = String::from_utf8(message.octets()).unwrap();
        assert_eq!(octets, "Date: today\r\nTO: a,\r\n b\r\nto : c\r\nX: f\r\n\r\n");
        assert!(message.header_is_ascii() && !message.has("Bcc"));
        assert!(!Message::read("A: ü\n".as_bytes(), false).header_is_ascii());
    }
}
