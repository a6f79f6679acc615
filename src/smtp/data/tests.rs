//! The dot codec against an oracle that knows only how to split at CRLF.

use super::*;

const ALPHABET: &[u8; 4] = b"x.\r\n";
const MAX_LENGTH: usize = 10;

/// Content, and whether and where it ends.
type Decoded = (Vec<u8>, Option<usize>);

fn split(text: &str) -> Vec<&str> {
    text.split("\r\n").collect()
}

fn undotted(line: &str) -> &str {
    line.strip_prefix('.').unwrap_or(line)
}

/// By the words of RFC 5321 section 4.5.2: lines, one after the other.
fn oracle(stream: &[u8]) -> Decoded {
    let text = std::str::from_utf8(stream).unwrap();
    let lines = split(text);
    let (last, whole) = lines.split_last().unwrap();
    let (mut content, mut at) = (String::new(), 0);
    for line in whole {
        at += line.len() + 2;
        if *line == "." {
            return (content.into(), Some(at));
        }
        content += undotted(line);
        content += "\r\n";
    }
    // Of an unfinished line, what may still become the end cannot be content yet.
    content += if *last == ".\r" { "" } else { undotted(last) };
    (content.into(), None)
}

/// Gives the stream in pieces, as a reactor does: what is not consumed comes again.
fn decode(stream: &[u8], size: usize) -> Decoded {
    let mut decoder = DotDecoder::default();
    let (mut content, mut at, mut filled) = (Vec::new(), 0, 0);
    loop {
        let input = &stream[at..filled];
        let (used, piece) = decoder.step(input);
        assert!(used <= input.len());
        match piece {
            Piece::Content(range) => {
                assert!(range.end <= used && !range.is_empty());
                content.extend_from_slice(&input[range]);
            }
            Piece::End => return (content, Some(at + used)),
            Piece::More if filled == stream.len() => return (content, None),
            Piece::More => {
                assert!(input.len() - used <= 1, "more than one octet waits");
                filled = stream.len().min(filled + size);
            }
        }
        at += used;
    }
}

fn encode(content: &[u8], size: usize) -> Vec<u8> {
    let (mut encoder, mut out) = (DotEncoder::default(), Vec::new());
    for piece in content.chunks(size) {
        encoder.encode(piece, &mut out);
    }
    encoder.finish(&mut out);
    out
}

/// Calls for every string over the alphabet up to the length.
fn every_string(mut check: impl FnMut(&[u8])) -> u64 {
    let mut count = 0;
    for length in 0..=MAX_LENGTH as u32 {
        for number in 0..4_usize.pow(length) {
            let mut string = [0; MAX_LENGTH];
            for (i, octet) in string.iter_mut().enumerate() {
                *octet = ALPHABET[number >> (2 * i) & 3];
            }
            check(&string[..length as usize]);
            count += 1;
        }
    }
    count
}

#[test]
fn every_stream_decodes_like_the_oracle() {
    let count = every_string(|stream| {
        let want = oracle(stream);
        assert_eq!(decode(stream, usize::MAX / 2), want, "{}", stream.escape_ascii());
        assert_eq!(decode(stream, 1), want, "octet by octet: {}", stream.escape_ascii());
    });
    assert_eq!(count, 1_398_101);
}

#[test]
fn every_content_survives_the_way() {
    every_string(|content| {
        let wire = encode(content, usize::MAX);
        let mut want = content.to_vec();
        if !(content.is_empty() || content.ends_with(b"\r\n")) {
            want.extend_from_slice(b"\r\n");
        }
        assert_eq!(encode(content, 1), wire, "{}", content.escape_ascii());
        // To the last octet: nothing in the content ends it early.
        assert_eq!(oracle(&wire), (want, Some(wire.len())), "{}", content.escape_ascii());
    });
}

#[test]
fn content_passes_in_long_runs() {
    let mut decoder = DotDecoder::default();
    let text = [b"a line of text\r\n".repeat(10_000), b"..dots\r\n.\r\nQUIT\r\n".to_vec()].concat();
    assert_eq!(decoder.step(&text), (160_000, Piece::Content(0..160_000)));
    assert_eq!(decoder.step(&text[160_000..]), (8, Piece::Content(1..8)));
    assert_eq!(decoder.step(&text[160_008..]), (3, Piece::End));
}
