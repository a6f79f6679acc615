//! `mailflux explain`: answers without a server.

use super::program::Place;

fn explain(words: &[&str]) -> (i32, String, String) {
    let args = [&["explain"][..], words].concat();
    let ended = Place::new().run(&args);
    (ended.code, ended.stdout, ended.stderr)
}

#[test]
fn what_is_in_the_book_is_printed() {
    for (words, want) in [
        (&["rcpt"][..], "RCPT (command; also: RCPT TO)\n  Names one recipient."),
        (&["550", "5.7.1", "relaying", "denied"], "550 (reply code)\n"),
        (&["550 5.7.1 relaying denied"], "RFC 3463 section 3.8"),
        (&["->"], "From client to server, in the clear."),
        (&["--json", "250"], "\"kind\":\"reply code\""),
        (&["--help"], "Usage: mailflux explain"),
    ] {
        let (code, out, err) = explain(words);
        assert!(code == 0 && out.contains(want) && err.is_empty(), "{words:?}: {out}{err}");
    }
}

#[test]
fn what_is_not_is_a_usage_error_with_suggestions() {
    for (words, want) in [
        (&["STARTLTS"][..], "did you mean 'STARTTLS'?"),
        (&["\x1b[2J"], "'\\x1b[2J' is not in the book"),
        (&[], "what is to be explained?"),
    ] {
        let (code, out, err) = explain(words);
        assert!(code == 64 && out.is_empty() && err.contains(want), "{words:?}: {out}{err}");
    }
}
