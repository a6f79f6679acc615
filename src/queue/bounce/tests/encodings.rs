//! Folding and encoding, there and back.

use super::super::text::{Form, field, is_lines, quoted_printable, utf8_addr, xtext_decoded};

#[test]
fn fields_fold_and_unfold_to_the_same() {
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..3000 {
        let length = rng.usize(1..200);
        let text: String = (0..length).map(|_| [' ', 'a', 'b', 'ü'][rng.usize(0..4)]).collect();
        let text = text.trim_end();
        let mut out = Vec::new();
        field(&mut out, "Name", text);
        let parsed = String::from_utf8(out).unwrap();
        let unfolded = parsed.replace("\r\n ", " ");
        assert_eq!(
            unfolded.strip_suffix("\r\n").unwrap().trim_end(),
            format!("Name: {text}").trim_end()
        );
        for line in parsed.split_terminator("\r\n") {
            assert!(!line.trim().is_empty() && !line.contains(['\r', '\n']));
        }
    }
    for (name, length) in [("N", 5000), ("Name", 996), ("Name", 993), ("Name", 992)] {
        let mut out = Vec::new();
        field(&mut out, name, &"x".repeat(length));
        assert!(is_lines(&out, Form::Ascii));
        let unfolded = String::from_utf8(out).unwrap().replace("\r\n ", "");
        assert_eq!(unfolded.matches('x').count(), length);
    }
}

#[test]
fn encodings() {
    assert_eq!(xtext_decoded("a+2Bb+20c+"), b"a+b c+");
    assert_eq!(xtext_decoded("+4"), b"+4");
    assert_eq!(xtext_decoded("+ü+41"), "+üA".as_bytes());
    assert_eq!(
        utf8_addr("a+=\\ ü日😀\u{202e}@x", Form::Ascii),
        "a\\x{2B}\\x{3D}\\x{5C}\\x{20}\\x{FC}\\x{65E5}\\x{1F600}\\x{202E}@x"
    );
    assert_eq!(utf8_addr("a+ü\u{202e}", Form::Utf8), "a\\x{2B}ü\\x{202E}");
    assert_eq!(quoted_printable(b"a=b \r\n\t\r\nc \xff\r"), b"a=3Db=20\r\n=09\r\nc =FF=0D");
    let mut rng = fastrand::Rng::with_seed(6);
    for _ in 0..2000 {
        let length = rng.usize(0..300);
        let odd = [b' ', b'\t', b'=', 0, 0xff, b'\r', b'\n', b'.'];
        let octets: Vec<u8> =
            (0..length).map(|_| if rng.bool() { b'x' } else { odd[rng.usize(0..8)] }).collect();
        let encoded = quoted_printable(&octets);
        assert_eq!(decoded(&encoded), octets);
        for line in encoded.split(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            assert!(line.len() <= 76 && !line.ends_with(b" ") && !line.ends_with(b"\t"));
        }
    }
}

/// Quoted-printable undone.
fn decoded(encoded: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < encoded.len() {
        if encoded[at..].starts_with(b"=\r\n") {
            at += 3;
        } else if encoded[at] == b'=' {
            let hex = std::str::from_utf8(&encoded[at + 1..at + 3]).unwrap();
            out.push(u8::from_str_radix(hex, 16).unwrap());
            at += 3;
        } else {
            out.push(encoded[at]);
            at += 1;
        }
    }
    out
}
