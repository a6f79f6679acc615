//! Conversations as a packet capture that Wireshark's SMTP dissector reads.
//!
//! What was recorded are lines, not packets, so the packets are made: a TCP connection for each
//! conversation, with handshake, segments, acknowledgments and end, right checksums and the
//! recorded times. Format: classic libpcap, little-endian, microseconds, raw IP (LINKTYPE_RAW).
//!
//! The dialogue inside TLS is there in clear, and the server's port is always 25. Our own address
//! was not recorded; one of those kept for documentation stands for it (RFC 5737, RFC 3849).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::content::{Body, chunk_of, dotted, size_of};
use crate::base::{Leg, Wall};
use crate::journal::{Conversation, Kept, Side, Sign, Subject, Verb};

/// Octets of one segment.
const SEGMENT: usize = 1400;
const LINKTYPE_RAW: u32 = 101;
const FIN: u8 = 1;
const SYN: u8 = 2;
const PUSH: u8 = 8;
const ACK: u8 = 16;

/// The capture, and what is to be said about it.
pub fn pcap(all: &[Conversation], body: Body<'_>) -> (Vec<u8>, Vec<String>) {
    let mut packets: Vec<(Wall, Vec<u8>)> = Vec::new();
    let mut remarks =
        vec!["packets are made from the recorded lines, with the server at port 25".to_owned()];
    let (mut in_clear, mut made, mut cut) = (false, false, false);
    for conversation in all {
        let mut flow = Flow::new(conversation);
        let whole = flow.play(conversation, body, &mut made);
        cut |= !whole;
        in_clear |= conversation.tls.is_some();
        packets.append(&mut flow.packets);
    }
    if in_clear {
        remarks.push("what was said inside TLS is there in clear".to_owned());
    }
    if made {
        remarks.push(
            "content is not kept in a transcript: lines of the same size stand for it".to_owned(),
        );
    }
    if cut {
        remarks.push("content beyond 16 MiB is left out, and what follows it".to_owned());
    }
    packets.sort_by_key(|(at, _)| *at);
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4u32, 4 << 16 | 2, 0, 0, 0x4_0000, LINKTYPE_RAW] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for (at, packet) in packets {
        let seconds = at.as_micros().div_euclid(1_000_000) as u32;
        let micros = at.as_micros().rem_euclid(1_000_000) as u32;
        let length = packet.len() as u32;
        for word in [seconds, micros, length, length] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&packet);
    }
    (out, remarks)
}

/// One end of a connection.
struct End {
    at: SocketAddr,
    /// The next sequence number.
    sequence: u32,
}

/// A connection and its packets.
struct Flow {
    client: End,
    server: End,
    packets: Vec<(Wall, Vec<u8>)>,
    /// Identification of the next IPv4 packet.
    number: u16,
    /// The client's last command.
    command: Verb,
}

impl Flow {
    fn new(conversation: &Conversation) -> Flow {
        let unknown = SocketAddr::from(([192, 0, 2, 1], 0));
        let peer = conversation.peer.unwrap_or(unknown);
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let own = match peer.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 25)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x25)),
        };
        // A port for each session tells their connections apart.
        let port = 32_768 + (conversation.id.number % 28_000) as u16;
        let (client, server) = match conversation.id.leg {
            Leg::In if peer.port() > 0 => (peer, SocketAddr::new(own, 25)),
            Leg::In => (SocketAddr::new(peer.ip(), port), SocketAddr::new(own, 25)),
            Leg::Out => (SocketAddr::new(own, port), SocketAddr::new(peer.ip(), 25)),
        };
        let end = |at, sequence| End { at, sequence };
        let (client, server) = (end(client, 1000), end(server, 5000));
        Flow { client, server, packets: Vec::new(), number: 1, command: Verb::Connect }
    }

    /// Plays a conversation; false when it was too long for all of it.
    fn play(&mut self, conversation: &Conversation, body: Body<'_>, made: &mut bool) -> bool {
        let (Some(first), Some(last)) = (conversation.lines.first(), conversation.lines.last())
        else {
            return true;
        };
        // What a client sent stands at the end: we have put our own lines in front of it.
        let own = |known| body_of(known, conversation);
        let body = Body { known: body.known.map(own) };
        self.packet(first.at, Side::Client, SYN, &[]);
        self.packet(first.at, Side::Server, SYN | ACK, &[]);
        self.packet(first.at, Side::Client, ACK, &[]);
        let mut whole = true;
        for line in &conversation.lines {
            if !self.line(line, body, made) {
                whole = false;
                break;
            }
        }
        self.packet(last.at, Side::Client, FIN | ACK, &[]);
        self.packet(last.at, Side::Server, FIN | ACK, &[]);
        self.packet(last.at, Side::Client, ACK, &[]);
        whole
    }

    /// What a line sends; false when that is too much.
    fn line(&mut self, line: &Kept, body: Body<'_>, made: &mut bool) -> bool {
        let Sign::Said { side, .. } = line.sign else {
            return line.subject != Subject::Content || self.content(line, body, made);
        };
        let mut octets = line.text.clone();
        octets.extend_from_slice(b"\r\n");
        self.say(line.at, side, &octets);
        if side == Side::Client {
            self.command = Verb::of_line(&line.text);
        }
        // The chunk follows its command at once.
        let chunk = chunk_of(&line.text).filter(|_| side == Side::Client);
        let Some(size) = chunk else { return true };
        let Some(content) = body.of_size(size) else { return false };
        *made |= body.known.is_none_or(|known| known.len() as u64 != size);
        self.say(line.at, Side::Client, &content);
        true
    }

    /// Content after DATA: its size is told when it has passed. That of chunks went with them.
    fn content(&mut self, line: &Kept, body: Body<'_>, made: &mut bool) -> bool {
        if self.command != Verb::Data {
            return true;
        }
        let Some(size) = size_of(&line.text) else { return true };
        let content = match body.known {
            Some(known) => known.into(),
            None => {
                *made = true;
                match body.of_size(size) {
                    Some(made) => made,
                    None => return false,
                }
            }
        };
        self.say(line.at, Side::Client, &dotted(&content));
        true
    }
}

/// As much of a message as passed in this session.
fn body_of<'a>(known: &'a [u8], conversation: &Conversation) -> &'a [u8] {
    let said = |line: &&Kept| line.subject == Subject::Content;
    let size = conversation.lines.iter().find(said).and_then(|line| size_of(&line.text));
    let front = match (conversation.id.leg, size.and_then(|size| usize::try_from(size).ok())) {
        (Leg::In, Some(size)) => known.len().saturating_sub(size),
        _ => 0,
    };
    &known[front..]
}

impl Flow {
    /// Octets of one side, in as many segments as they need.
    fn say(&mut self, at: Wall, side: Side, octets: &[u8]) {
        for segment in octets.chunks(SEGMENT) {
            self.packet(at, side, PUSH | ACK, segment);
        }
    }

    /// One packet; the sequence numbers move on (RFC 9293 section 3.4: SYN and FIN take one).
    fn packet(&mut self, at: Wall, side: Side, flags: u8, payload: &[u8]) {
        let (from, to) = match side {
            Side::Client => (&self.client, &self.server),
            Side::Server => (&self.server, &self.client),
        };
        let acknowledged = if flags & ACK == 0 { 0 } else { to.sequence };
        let mut tcp = Vec::with_capacity(20 + payload.len());
        tcp.extend_from_slice(&from.at.port().to_be_bytes());
        tcp.extend_from_slice(&to.at.port().to_be_bytes());
        tcp.extend_from_slice(&from.sequence.to_be_bytes());
        tcp.extend_from_slice(&acknowledged.to_be_bytes());
        // Five words of header, a window of 64 KiB, the checksum to come, nothing urgent.
        tcp.extend_from_slice(&[5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend_from_slice(payload);
        let packet = match (from.at.ip(), to.at.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => in_ipv4(from, to, self.number, tcp),
            (from, to) => in_ipv6(as_v6(from), as_v6(to), tcp),
        };
        let moved = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        let end = if side == Side::Client { &mut self.client } else { &mut self.server };
        end.sequence = end.sequence.wrapping_add(moved);
        self.number = self.number.wrapping_add(1);
        self.packets.push((at, packet));
    }
}

fn as_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

const TCP: u8 = 6;

/// RFC 791 section 3.1: a header without options.
fn in_ipv4(from: Ipv4Addr, to: Ipv4Addr, number: u16, mut tcp: Vec<u8>) -> Vec<u8> {
    let mut pseudo = [from.octets(), to.octets()].concat();
    pseudo.extend_from_slice(&[0, TCP]);
    pseudo.extend_from_slice(&(tcp.len() as u16).to_be_bytes());
    set_checksum(&mut tcp, 16, &pseudo);
    let length = (20 + tcp.len()) as u16;
    // Do not fragment; 64 hops.
    let mut packet = vec![0x45, 0];
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(&number.to_be_bytes());
    packet.extend_from_slice(&[0x40, 0, 64, TCP, 0, 0]);
    packet.extend_from_slice(&from.octets());
    packet.extend_from_slice(&to.octets());
    set_checksum(&mut packet, 10, &[]);
    packet.append(&mut tcp);
    packet
}

/// RFC 8200 section 3.
fn in_ipv6(from: Ipv6Addr, to: Ipv6Addr, mut tcp: Vec<u8>) -> Vec<u8> {
    let mut pseudo = [from.octets(), to.octets()].concat();
    pseudo.extend_from_slice(&(tcp.len() as u32).to_be_bytes());
    pseudo.extend_from_slice(&[0, 0, 0, TCP]);
    set_checksum(&mut tcp, 16, &pseudo);
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend_from_slice(&(tcp.len() as u16).to_be_bytes());
    packet.extend_from_slice(&[TCP, 64]);
    packet.extend_from_slice(&from.octets());
    packet.extend_from_slice(&to.octets());
    packet.append(&mut tcp);
    packet
}

/// Puts the checksum of RFC 1071 at a place, over what stands before it in `pseudo`, too.
fn set_checksum(octets: &mut [u8], at: usize, pseudo: &[u8]) {
    let sum = !(sum(pseudo) + sum(octets)).fold();
    octets[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// A sum of 16-bit words that has not been folded yet.
#[derive(Clone, Copy)]
struct Sum(u64);

impl std::ops::Add for Sum {
    type Output = Sum;

    fn add(self, other: Sum) -> Sum {
        Sum(self.0 + other.0)
    }
}

impl Sum {
    fn fold(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }
}

fn sum(octets: &[u8]) -> Sum {
    let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
    Sum(octets.chunks(2).map(word).sum())
}
