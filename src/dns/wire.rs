//! The wire format of DNS messages (RFC 1035 section 4), as much of it as mail needs.
//!
//! Written here and not taken from a crate, because the answer comes from strangers: nothing is
//! allocated by a count that a header claims, sections that nobody looks at are not read (an
//! oddity among the additional records spoils no answer), and a cut answer is recognised before
//! its records are. `simple-dns` is the independent witness in the tests.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::name::Name;

/// Records that are taken of one answer; more make it an attack.
const MAX_RECORDS: usize = 512;
/// Labels that fit into a name.
const MAX_LABELS: usize = 127;
/// Octets of a header.
const HEADER: usize = 12;

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_SOA: u16 = 6;
const TYPE_MX: u16 = 15;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses (RFC 3596).
    Aaaa,
    /// Mail exchanges.
    Mx,
}

impl Kind {
    fn code(self) -> u16 {
        match self {
            Kind::A => TYPE_A,
            Kind::Aaaa => TYPE_AAAA,
            Kind::Mx => TYPE_MX,
        }
    }

    /// As people write it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Mx => "MX",
        }
    }
}

/// A question: one name, one kind, class IN.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Question {
    /// Of which name.
    pub name: Name,
    /// What.
    pub kind: Kind,
}

/// The message that asks a recursive resolver.
pub fn query(id: u16, question: &Question) -> Vec<u8> {
    /// Recursion desired.
    const RD: u16 = 0x0100;
    let mut out = Vec::with_capacity(HEADER + 6 + question.name.as_str().len());
    for word in [id, RD, 1, 0, 0, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for label in question.name.labels() {
        // At most 63: names are checked when they are made.
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out.extend_from_slice(&question.kind.code().to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
    out
}

/// What a record says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A mail exchange; the root as its name is a null MX.
    Mx(u16, Name),
    /// The owner is another name for this one.
    Cname(Name),
}

/// A record of the answer section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Whose it is.
    pub owner: Name,
    /// For how many seconds it holds.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// An answer, read but not believed yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The id of the query that it claims to answer.
    pub id: u16,
    /// The question that it claims to answer; none when it is not one that we ever ask.
    pub question: Option<Question>,
    /// It is cut: to be asked again over TCP.
    pub truncated: bool,
    /// 0: no error; 2: SERVFAIL; 3: NXDOMAIN (RFC 1035 section 4.1.1).
    pub rcode: u8,
    /// Records of the kinds that mail needs whose names are names.
    pub answers: Vec<Record>,
    /// For how many seconds "no" holds (RFC 2308 section 5).
    pub negative_ttl: Option<u32>,
}

/// The message is no answer, or breaks the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// Reads an answer.
pub fn response(message: &[u8]) -> Result<Response, Malformed> {
    let mut reader = Reader { message, at: 0 };
    let id = reader.u16()?;
    let flags = reader.u16()?;
    // A response (QR) to a standard query (OPCODE 0).
    if flags & 0xf800 != 0x8000 {
        return Err(Malformed);
    }
    let [questions, answers, authority, _] =
        [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
    let mut response = Response {
        id,
        question: None,
        truncated: flags & 0x0200 != 0,
        rcode: (flags & 0x000f) as u8,
        answers: Vec::new(),
        negative_ttl: None,
    };
    // An error need not repeat the question; an answer must.
    if questions > 1 {
        return Err(Malformed);
    }
    if questions == 1 {
        response.question = reader.question()?;
    }
    // RFC 2181 section 9: what a cut answer holds is not looked at.
    if response.truncated {
        return Ok(response);
    }
    if usize::from(answers) + usize::from(authority) > MAX_RECORDS {
        return Err(Malformed);
    }
    for _ in 0..answers {
        response.answers.extend(reader.record()?.answer);
    }
    for _ in 0..authority {
        let soa = reader.record()?.negative_ttl;
        response.negative_ttl = response.negative_ttl.or(soa);
    }
    Ok(response)
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

/// What a record is good for, if anything.
struct Useful {
    answer: Option<Record>,
    negative_ttl: Option<u32>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(n).ok_or(Malformed)?;
        let taken = self.message.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        let octets = self.take(2)?;
        Ok(u16::from_be_bytes([octets[0], octets[1]]))
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }

    /// A name, perhaps compressed (RFC 1035 section 4.1.4); none when it is well-formed but not a
    /// name that we deal with. Each pointer must lead further back than where its name began, so
    /// no chain of them is a loop; and their number is bounded, so none is long.
    fn name(&mut self) -> Result<Option<Name>, Malformed> {
        let mut labels: Vec<&[u8]> = Vec::new();
        let (mut octets, mut start, mut after) = (1, self.at, None);
        for _ in 0..2 * MAX_LABELS {
            match self.take(1)?[0] {
                0 => {
                    self.at = after.unwrap_or(self.at);
                    return Ok(Name::from_labels(labels));
                }
                n @ 1..=63 => {
                    octets += 1 + usize::from(n);
                    if octets > 255 {
                        return Err(Malformed);
                    }
                    labels.push(self.take(usize::from(n))?);
                }
                n if n >= 0xc0 => {
                    let target = usize::from(n & 0x3f) << 8 | usize::from(self.take(1)?[0]);
                    if target >= start {
                        return Err(Malformed);
                    }
                    after = after.or(Some(self.at));
                    (start, self.at) = (target, target);
                }
                // 0x40 and 0x80 are no kinds of label that live (RFC 6891 section 5).
                _ => return Err(Malformed),
            }
        }
        Err(Malformed)
    }

    fn question(&mut self) -> Result<Option<Question>, Malformed> {
        let name = self.name()?;
        let (kind, class) = (self.u16()?, self.u16()?);
        let kind = [Kind::A, Kind::Aaaa, Kind::Mx].into_iter().find(|k| k.code() == kind);
        let (Some(name), Some(kind), CLASS_IN) = (name, kind, class) else { return Ok(None) };
        Ok(Some(Question { name, kind }))
    }

    fn record(&mut self) -> Result<Useful, Malformed> {
        let owner = self.name()?;
        let (kind, class) = (self.u16()?, self.u16()?);
        // RFC 2181 section 8: a value with the top bit set is zero.
        let ttl = Some(self.u32()?).filter(|ttl| *ttl <= i32::MAX as u32).unwrap_or(0);
        let length = usize::from(self.u16()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.message.len());
        let end = end.ok_or(Malformed)?;
        let mut useful = Useful { answer: None, negative_ttl: None };
        if class == CLASS_IN {
            // Names in data may point anywhere before them, but not run out of their record.
            let mut inside = Reader { message: &self.message[..end], at: self.at };
            let data = inside.data(kind, ttl, &mut useful.negative_ttl)?;
            if (data.is_some() || useful.negative_ttl.is_some()) && inside.at != end {
                return Err(Malformed);
            }
            useful.answer = owner.zip(data).map(|(owner, data)| Record { owner, ttl, data });
        }
        self.at = end;
        Ok(useful)
    }

    fn data(
        &mut self,
        kind: u16,
        ttl: u32,
        negative: &mut Option<u32>,
    ) -> Result<Option<Data>, Malformed> {
        Ok(match kind {
            TYPE_A => Some(Data::A(self.u32()?.into())),
            TYPE_AAAA => {
                let octets: [u8; 16] = self.take(16)?.try_into().map_err(|_| Malformed)?;
                Some(Data::Aaaa(octets.into()))
            }
            TYPE_MX => {
                let preference = self.u16()?;
                self.name()?.map(|exchange| Data::Mx(preference, exchange))
            }
            TYPE_CNAME => self.name()?.map(Data::Cname),
            TYPE_SOA => {
                let _ = (self.name()?, self.name()?);
                self.take(16)?;
                *negative = Some(self.u32()?.min(ttl));
                None
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;
