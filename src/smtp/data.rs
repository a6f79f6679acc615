//! The dot codec: transparency of message content (RFC 5321 section 4.5.2).
//!
//! Content travels as lines; a line that begins with a dot gets a second one, and a line of
//! nothing but a dot ends it. A line ends by CRLF and by nothing else: here a bare CR or LF is an
//! octet like any other, so two servers can never disagree about where a message ends (SMTP
//! smuggling). Whether such an octet is welcome is the [`Scanner`](super::server)'s question.
//!
//! The decoder, by where it stands (`.` CR LF are the octets, x is any other):
//!
//! | place  | .          | CR                       | LF         | x          |
//! | ------ | ---------- | ------------------------ | ---------- | ---------- |
//! | Start  | drop: Dot  | keep: Cr                 | keep: Within | keep: Within |
//! | Dot    | keep: Within | with LF the end; else keep: Cr | keep: Within | keep: Within |
//! | Cr     | keep: Within | keep: Cr               | keep: Start | keep: Within |
//! | Within | keep: Within | keep: Cr               | keep: Within | keep: Within |
//!
//! Only `CRLF.` is searched for, so that content passes in runs as long as the input.

use std::ops::Range;

use memchr::memmem;

const CRLF_DOT: &[u8] = b"\r\n.";

/// Where in a line an octet stands.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Place {
    /// At the start of a line; content begins here.
    #[default]
    Start,
    /// After the dot at the start of a line.
    Dot,
    /// After a CR that may begin a line end.
    Cr,
    /// Anywhere else.
    Within,
}

impl Place {
    /// Where one stands after this run of content.
    fn after(self, run: &[u8]) -> Place {
        match run {
            [] => self,
            [.., b'\r', b'\n'] => Place::Start,
            [b'\n'] if self == Place::Cr => Place::Start,
            [.., b'\r'] => Place::Cr,
            _ => Place::Within,
        }
    }

    /// The length of the run up to the next dot that begins a line, or all of it.
    fn run(self, octets: &[u8]) -> usize {
        if self == Place::Cr && octets.starts_with(b"\n.") {
            return 1;
        }
        memmem::find(octets, CRLF_DOT).map_or(octets.len(), |at| at + 2)
    }
}

/// What a step of the decoder found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// This part of the input is content.
    Content(Range<usize>),
    /// Nothing before more input comes; at most one octet is left unconsumed.
    More,
    /// The content has ended; what follows is the next command.
    End,
}

/// Takes the dots out. One for each message.
#[derive(Clone, Copy, Default, Debug)]
pub struct DotDecoder {
    place: Place,
}

impl DotDecoder {
    /// Looks at the input: how many octets are consumed, and what they are. What is not consumed
    /// has to be given again, with more behind it.
    pub fn step(&mut self, input: &[u8]) -> (usize, Piece) {
        let mut start = 0;
        if self.place == Place::Start && input.first() == Some(&b'.') {
            self.place = Place::Dot;
            start = 1;
        }
        let rest = &input[start..];
        if self.place == Place::Dot {
            match rest {
                [b'\r', b'\n', ..] => {
                    self.place = Place::Start;
                    return (start + 2, Piece::End);
                }
                // Whether this CR is content is not known yet, and content can only be named
                // while it is in the input: it stays there.
                [b'\r'] => return (start, Piece::More),
                _ => {}
            }
        }
        if rest.is_empty() {
            return (start, Piece::More);
        }
        let run = self.place.run(rest);
        self.place = self.place.after(&rest[..run]);
        (start + run, Piece::Content(start..start + run))
    }
}

/// Puts the dots in. One for each message.
#[derive(Clone, Copy, Default, Debug)]
pub struct DotEncoder {
    place: Place,
}

impl DotEncoder {
    /// Appends the next part of the content, encoded, to `out`.
    pub fn encode(&mut self, mut chunk: &[u8], out: &mut Vec<u8>) {
        // With room for what ends it.
        out.reserve(chunk.len() + b"\r\n.\r\n".len());
        while !chunk.is_empty() {
            if self.place == Place::Start && chunk[0] == b'.' {
                out.push(b'.');
                // The dot itself is the first octet of a run like any other.
                self.place = Place::Within;
            }
            let run = self.place.run(chunk);
            out.extend_from_slice(&chunk[..run]);
            self.place = self.place.after(&chunk[..run]);
            chunk = &chunk[run..];
        }
    }

    /// Appends what ends the content: the CRLF if the last line lacks it, a dot, CRLF.
    pub fn finish(self, out: &mut Vec<u8>) {
        if self.place != Place::Start {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests;
