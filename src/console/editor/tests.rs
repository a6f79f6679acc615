//! The editor by scripts of keys, as they come from a terminal.

use super::super::keys::Decoder;
use super::*;

/// What octets of a terminal make of a history; `|` in the answer is the cursor.
fn typed(history: &str, octets: &str) -> String {
    let (mut editor, mut history) = (Editor::default(), History::read(history));
    let mut shown = String::new();
    let (mut decoder, mut keys) = (Decoder::default(), Vec::new());
    decoder.feed(octets.as_bytes(), &mut keys);
    decoder.flush(&mut keys);
    for key in keys {
        match editor.key(&key, &mut history) {
            Typed::Line(line) => shown.push_str(&format!("[{line}]")),
            Typed::Other => shown.push('?'),
            Typed::Edited => {}
        }
    }
    let (before, behind) = editor.chars().split_at(editor.cursor());
    let (before, behind): (String, String) = (before.iter().collect(), behind.iter().collect());
    format!("{shown}{before}|{behind}")
}

#[test]
fn moving_and_deleting() {
    for (octets, want) in [
        ("abc", "abc|"),
        ("abc\x01x", "x|abc"),
        ("abc\x1b[Hx\x1b[Fy", "xabcy|"),
        ("abc\x02\x02x\x06y\x05z", "axbycz|"),
        ("abc\x1b[D\x1b[D\x1b[C\x7f", "a|c"),
        ("abc\x01\x04", "|bc"),
        ("abc\x01\x1b[3~\x1b[3~", "|c"),
        ("\x04", "?|"),
        ("\x7f\x0b\x15\x17\x19\x14\x02\x06\x1by", "|"),
        ("grün日本\x02\x7f", "grün|本"),
        ("e\u{301}x\x02\x02y", "y|e\u{301}x"),
        ("e\u{301}\x7f", "|"),
        ("\x1bb\x1bf\x1bd", "|"),
        ("one two-three\x1bb\x1bb\x1bb\x1bf", "one| two-three"),
        ("one two-three\x1b[1;5D", "one two-|three"),
    ] {
        assert_eq!(typed("", octets), want, "{octets:?}");
    }
}

#[test]
fn killing_and_yanking() {
    for (octets, want) in [
        ("one two\x17\x19\x19", "one twotwo|"),
        ("one two-three\x17\x17\x19", "one two-three|"),
        ("one two-three\x1b\x7f", "one two-|"),
        ("one two\x01\x1bd\x05\x19", " twoone|"),
        ("one two\x1bb\x0b\x01\x19", "two|one "),
        ("one two\x1bb\x15\x05 \x19", "two one |"),
        ("a\x15-b\x15-\x15\x19\x1by\x1by", "a|"),
        ("a\x15b\x15 \x19\x1by\x1by", " b|"),
        ("ab\x1by", "ab|"),
        ("abc\x14", "acb|"),
        ("abc\x01\x06\x14", "ba|c"),
        ("a\x14", "a|"),
    ] {
        assert_eq!(typed("", octets), want, "{octets:?}");
    }
}

#[test]
fn the_history_goes_back_and_forth() {
    let history = "one\ntwo\nthree\n";
    for (octets, want) in [
        ("own\x10", "three|"),
        ("own\x1b[A\x1b[A\x1b[A\x1b[A", "one|"),
        ("own\x10\x10\x0e", "three|"),
        ("own\x10\x10\x0e\x0e\x0e", "own|"),
        ("\x10x\r\x10", "[threex]threex|"),
        ("a\rb\r\x10\x10", "[a][b]a|"),
    ] {
        assert_eq!(typed(history, octets), want, "{octets:?}");
    }
}

#[test]
fn incremental_search() {
    let history = "queue\nshow q1A\nqueue age\nstatus\n";
    for (octets, want) in [
        ("\x12que", "|queue age"),
        ("\x12que\x12", "|queue"),
        ("\x12que\x12\x12\x12", "|queue"),
        ("\x12que\x7f\x7f\x7f\x7fsh", "|show q1A"),
        ("\x12q1", "show |q1A"),
        ("own\x12que\x07", "own|"),
        ("own\x12que\x03", "own|"),
        ("\x12age\r", "[queue age]|"),
        ("\x12age\x05 x", "queue age x|"),
        ("own\x12nothing\x1b", "own|"),
        ("own\x12\x12", "own|"),
    ] {
        assert_eq!(typed(history, octets), want, "{octets:?}");
    }
}

#[test]
fn a_paste_is_text_and_a_line_is_bounded() {
    assert_eq!(typed("", "a\x1b[200~delete q1\rquit\t\r\n\x1b[201~"), "adelete q1 quit |");
    let long = "ü".repeat(MAX_LINE);
    assert_eq!(typed("", &long).chars().count(), MAX_LINE / 2 + 1);
    // Killing and yanking over and over does not grow without end.
    let mut editor = Editor::default();
    let mut history = History::default();
    for _ in 0..20 {
        editor.insert(&long);
        editor.key(&Key::Ctrl('u'), &mut history);
    }
    assert!(editor.kills.iter().all(|kill| kill.len() <= MAX_LINE));
}
