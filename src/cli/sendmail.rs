//! A message as programs hand it to `sendmail`: lines of any kind, a header that may lack things,
//! recipients that may stand in it. Pure: text in, text out.

/// A message split into its header fields and its body, with CRLF everywhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Each field with its folded lines, CRLF at the end of each.
    pub fields: Vec<Vec<u8>>,
    /// What follows the empty line.
    pub body: Vec<u8>,
}

impl Message {
    /// Reads what came in. Unless `dots` are to be ignored, a line with a single dot is the end.
    pub fn read(input: &[u8], ignore_dots: bool) -> Message {
        let mut lines = Vec::new();
        let mut rest = input;
        while !rest.is_empty() {
            // LF, CRLF and a lone CR all end a line here: what goes out has CRLF alone.
            let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            let line = &rest[..end];
            rest = &rest[end..];
            rest = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
            if line == b"." && !ignore_dots {
                break;
            }
            lines.push(line);
        }
        let (mut fields, mut at): (Vec<Vec<u8>>, usize) = (Vec::new(), 0);
        while let Some(line) = lines.get(at) {
            let folded = line.starts_with(b" ") || line.starts_with(b"\t");
            match fields.last_mut() {
                Some(field) if folded => add_line(field, line),
                _ if is_field(line) => {
                    let mut field = Vec::new();
                    add_line(&mut field, line);
                    fields.push(field);
                }
                _ => break,
            }
            at += 1;
        }
        // The empty line belongs to neither; a message without it starts with its body.
        if lines.get(at).is_some_and(|l| l.is_empty()) {
            at += 1;
        }
        let mut body = Vec::with_capacity(input.len());
        lines[at.min(lines.len())..].iter().for_each(|line| add_line(&mut body, line));
        Message { fields, body }
    }

    /// Whether there is a field of this name.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|f| name_is(f, name))
    }

    /// Puts a field before the others.
    pub fn add(&mut self, name: &str, value: &str) {
        self.fields.insert(0, format!("{name}: {value}\r\n").into_bytes());
    }

    /// Takes fields of this name away.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|f| !name_is(f, name));
    }

    /// The addresses in To, Cc and Bcc.
    pub fn recipients(&self) -> Vec<String> {
        let named = |f: &&Vec<u8>| ["To", "Cc", "Bcc"].iter().any(|n| name_is(f, n));
        let fields = self.fields.iter().filter(named);
        fields.flat_map(|f| addresses(&String::from_utf8_lossy(value_of(f)))).collect()
    }

    /// The octets to be sent.
    pub fn octets(&self) -> Vec<u8> {
        let mut all = self.fields.concat();
        all.extend_from_slice(b"\r\n");
        all.extend_from_slice(&self.body);
        all
    }
}

fn add_line(to: &mut Vec<u8>, line: &[u8]) {
    to.extend_from_slice(line);
    to.extend_from_slice(b"\r\n");
}

/// RFC 5322 section 2.2: a name of printable characters but the colon, then a colon.
fn is_field(line: &[u8]) -> bool {
    let name = line.split(|b| *b == b':').next().unwrap_or_default();
    name.len() < line.len() && !name.is_empty() && name.iter().all(|b| (b'!'..=b'~').contains(b))
}

fn name_is(field: &[u8], name: &str) -> bool {
    field.len() > name.len()
        && field[..name.len()].eq_ignore_ascii_case(name.as_bytes())
        && field[name.len()] == b':'
}

fn value_of(field: &[u8]) -> &[u8] {
    field.iter().position(|b| *b == b':').map_or(&[], |at| &field[at + 1..])
}

/// The addresses of an address list (RFC 5322 section 3.4): names, comments and groups are passed
/// over, an address in angle brackets counts before one without.
pub fn addresses(list: &str) -> Vec<String> {
    let (mut found, mut plain, mut angle) = (Vec::new(), String::new(), None::<String>);
    let mut chars = list.chars();
    let mut comments = 0;
    let mut finish = |plain: &mut String, angle: &mut Option<String>| {
        let bare = std::mem::take(plain);
        let address = angle.take().unwrap_or_else(|| bare.trim().to_owned());
        if !address.is_empty() {
            found.push(address);
        }
    };
    while let Some(c) = chars.next() {
        let target = &mut plain;
        match c {
            '(' => comments += 1,
            ')' if comments > 0 => comments -= 1,
            '\\' if comments > 0 => {
                chars.next();
            }
            _ if comments > 0 => {}
            '"' => {
                target.push('"');
                while let Some(c) = chars.next() {
                    target.push(c);
                    match c {
                        '\\' => target.extend(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '<' => {
                let inside: String = chars.by_ref().take_while(|c| *c != '>').collect();
                // A source route is dropped (RFC 5322 section 4.4).
                let address = inside.rsplit_once(':').filter(|(r, _)| r.starts_with('@'));
                let address = address.map_or(inside.as_str(), |(_, a)| a);
                angle = Some(address.split_whitespace().collect());
            }
            // A group's name goes, its members stay.
            ':' => plain.clear(),
            ',' | ';' => finish(&mut plain, &mut angle),
            c if c.is_whitespace() => target.push(' '),
            c => target.push(c),
        }
    }
    finish(&mut plain, &mut angle);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_lists() {
        for (list, expect) in [
            ("a@b, c@d", "a@b|c@d"),
            ("Ann Lee <ann@x.org>, \"Bob, Jr.\" <bob@y.org>", "ann@x.org|bob@y.org"),
            ("(a, comment) a@b (c \\) d), <e@f>", "a@b|e@f"),
            ("Friends: a@b, Carl <c@d>;, e@f", "a@b|c@d|e@f"),
            ("undisclosed-recipients:;", ""),
            ("\"odd, one\"@x.org", "\"odd, one\"@x.org"),
            ("<@a,@b:c@d>", "c@d"),
            ("a@b,\r\n\tc@d", "a@b|c@d"),
            ("", ""),
        ] {
            assert_eq!(addresses(list).join("|"), expect, "{list}");
        }
    }

    #[test]
    fn lines_dots_and_headers() {
        let m = Message::read(b"To: a@b\nBcc: c@d,\n e@f\nSubject: x\r\n\nhi\n.\nmore\n", false);
        assert_eq!(m.recipients(), ["a@b", "c@d", "e@f"]);
        assert_eq!(m.body, b"hi\r\n");
        let mut m = Message::read(b"To: a@b\n\nhi\n.\nmore", true);
        assert_eq!(m.body, b"hi\r\n.\r\nmore\r\n");
        m.add("Date", "x");
        m.remove("to");
        assert_eq!(m.octets(), b"Date: x\r\n\r\nhi\r\n.\r\nmore\r\n");
        let m = Message::read(b"no header at all\nTo: a@b\n", false);
        assert!(m.fields.is_empty());
        assert_eq!(m.octets(), b"\r\nno header at all\r\nTo: a@b\r\n");
        assert_eq!(Message::read(b"\r\rx\r", false).body, b"\r\nx\r\n");
    }
}
