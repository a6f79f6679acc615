//! The way of a message: its Received fields (RFC 5321 section 4.4), the newest first as they
//! stand.

use super::date::Date;
use super::header::{HeaderField, headers};
use super::structured::{Piece, pieces, split};

/// Hops that are read.
const MAX_HOPS: usize = 200;
/// A clock may be so wrong that nobody needs to know.
pub(super) const SKEW_S: i64 = 5;

/// A Received field, cut into its clauses. What a clause says is as it stands in the message, with
/// its comment; nobody vouches for those below the first server that you know.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Hop {
    /// The field's line in the message.
    pub line: usize,
    /// Who sent it: the name in EHLO, then what the server saw itself.
    pub from: Option<Vec<u8>>,
    /// Who took it.
    pub by: Option<Vec<u8>>,
    /// Over which net, if not TCP.
    pub via: Option<Vec<u8>>,
    /// The protocol: `ESMTPS` (RFC 3848).
    pub with: Option<Vec<u8>>,
    /// The server's name for the message.
    pub id: Option<Vec<u8>>,
    /// The recipient.
    pub recipient: Option<Vec<u8>>,
    /// When.
    pub date: Option<Date>,
    /// Seconds since the hop before it (which stands below it); negative when the clocks do not
    /// agree, none when one of them has no date.
    pub delay_s: Option<i64>,
}

impl Hop {
    /// Whether its clock was behind the one before it by more than clocks usually are.
    pub fn skewed(&self) -> bool {
        self.delay_s.is_some_and(|delay| delay < -SKEW_S)
    }
}

/// The hops of a message, at most two hundred.
pub fn hops(content: &[u8]) -> Vec<Hop> {
    of_fields(&headers(content))
}

pub(super) fn of_fields(fields: &[HeaderField<'_>]) -> Vec<Hop> {
    let received = fields.iter().filter(|field| field.is("Received"));
    let mut hops: Vec<Hop> = received.take(MAX_HOPS).map(hop).collect();
    for newer in 1..hops.len() {
        let at = |hop: &Hop| hop.date.map(|date| date.at.as_secs());
        let (after, before) = (at(&hops[newer - 1]), at(&hops[newer]));
        hops[newer - 1].delay_s = after.zip(before).map(|(after, before)| after - before);
    }
    hops
}

fn hop(field: &HeaderField<'_>) -> Hop {
    let value = field.unfolded();
    let parts = split(&value, b';');
    // The date stands behind the last semicolon.
    let (clauses, date) = match &parts[..] {
        [.., date] if parts.len() > 1 => (&value[..value.len() - date.len() - 1], Some(*date)),
        _ => (&value[..], None),
    };
    let date = date.and_then(Date::parse);
    let mut hop = Hop { line: field.line, date, ..Hop::default() };
    let mut open: Option<Vec<u8>> = None;
    let mut clause = 0;
    for word in words(clauses) {
        match clause_of(&mut hop, &word) {
            // A keyword comes once; a second `for` or `by` is a word like others.
            Some((number, empty)) if empty && number != clause => {
                close(&mut hop, clause, open.take());
                clause = number;
            }
            _ => {
                let text = open.get_or_insert_default();
                if !text.is_empty() {
                    text.push(b' ');
                }
                text.extend_from_slice(&word);
            }
        }
    }
    close(&mut hop, clause, open);
    hop
}

/// Blank-separated words outside of comments and quotes; a comment is one word.
fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut joined = false;
    for piece in pieces(text) {
        match piece {
            Piece::Comment(comment) => {
                words.push(comment.to_vec());
                joined = false;
            }
            Piece::Text(octets) | Piece::Quoted(octets) => {
                let quoted = matches!(piece, Piece::Quoted(_));
                let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r');
                let pieces: Vec<&[u8]> =
                    if quoted { vec![octets] } else { octets.split(blank).collect() };
                for (i, word) in pieces.iter().enumerate() {
                    match words.last_mut().filter(|_| joined && i == 0) {
                        Some(last) => last.extend_from_slice(word),
                        None if !word.is_empty() => words.push(word.to_vec()),
                        None => {}
                    }
                }
                joined = pieces.last().is_some_and(|last| !last.is_empty());
            }
        }
    }
    words
}

/// The number of the clause that a keyword opens, and whether it is still empty.
fn clause_of(hop: &mut Hop, word: &[u8]) -> Option<(usize, bool)> {
    const NAMES: [&str; 6] = ["from", "by", "via", "with", "id", "for"];
    let name = NAMES.iter().position(|name| word.eq_ignore_ascii_case(name.as_bytes()))?;
    Some((name + 1, slot(hop, name + 1).is_some_and(|slot| slot.is_none())))
}

fn slot(hop: &mut Hop, clause: usize) -> Option<&mut Option<Vec<u8>>> {
    Some(match clause {
        1 => &mut hop.from,
        2 => &mut hop.by,
        3 => &mut hop.via,
        4 => &mut hop.with,
        5 => &mut hop.id,
        6 => &mut hop.recipient,
        _ => return None,
    })
}

fn close(hop: &mut Hop, clause: usize, text: Option<Vec<u8>>) {
    if let Some(slot) = slot(hop, clause) {
        *slot = text;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(part: &Option<Vec<u8>>) -> String {
        part.as_ref().map_or("-".into(), |p| String::from_utf8_lossy(p).into_owned())
    }

    fn clauses(value: &str) -> (Hop, [String; 6]) {
        let content = format!("Received: {value}\r\n\r\n");
        let hop = hops(content.as_bytes()).remove(0);
        let parts = [&hop.from, &hop.by, &hop.via, &hop.with, &hop.id, &hop.recipient];
        let parts = parts.map(shown);
        (hop, parts)
    }

    #[test]
    fn clauses_of_servers_in_the_wild() {
        let (hop, parts) = clauses(
            "from mail.example.com (mail.example.com [192.0.2.7])\r\n\tby mx.example.net (Postfix) \
             with ESMTPS id 4Fx;by1\r\n\tfor <bob@example.net>; Mon, 23 Nov 2026 18:42:26 +0000",
        );
        let want = [
            "mail.example.com (mail.example.com [192.0.2.7])",
            "mx.example.net (Postfix)",
            "-",
            "ESMTPS",
            "4Fx;by1",
            "<bob@example.net>",
        ];
        assert_eq!(parts, want);
        assert_eq!(hop.date.unwrap().at.as_secs(), 1_795_459_346);
        for (value, want) in [
            ("(qmail 123 invoked from network); 1 Jan 2020 00:00:00 -0000", ["-"; 6]),
            ("from a by b with c for d via e id f", ["a", "b", "e", "c", "f", "d"]),
            ("by b (x; y) with LMTP; nonsense", ["-", "b (x; y)", "-", "LMTP", "-", "-"]),
            ("from \"a b\"@c by b from d", ["\"a b\"@c", "b from d", "-", "-", "-", "-"]),
            ("", ["-"; 6]),
        ] {
            assert_eq!(clauses(value).1, want, "{value}");
        }
    }

    #[test]
    fn delays_and_clocks() {
        let at = |s| format!("Received: by x; 1 Jan 2020 00:00:{s:02} +0000\r\n");
        let content = [at(40), at(50), "Received: by y\r\n".into(), at(8), at(3)].concat();
        let hops = hops(content.as_bytes());
        let delays: Vec<_> = hops.iter().map(|hop| hop.delay_s).collect();
        assert_eq!(delays, [Some(-10), None, None, Some(5), None]);
        assert!(hops[0].skewed() && !hops[3].skewed());
    }

    #[test]
    fn hops_are_bounded() {
        let hops = hops(&b"Received: by x\r\n".repeat(1000));
        assert_eq!(hops.len(), MAX_HOPS);
    }
}
