//! `mailflux passwd`, and what becomes of the file that its lines make.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mailflux::auth::{Stretch, Users};

use super::program::{Place, feed};

fn passwd(place: &Place, user: &str, input: &str) -> (i32, String, String) {
    let ended = feed(place.mailflux(&["passwd", user]), input.as_bytes());
    (ended.code, ended.stdout, ended.stderr)
}

#[test]
fn the_first_line_of_the_input_is_the_password() {
    let place = Place::new();
    let (code, line, words) = passwd(&place, "ann", "pencil with blanks \r\nmore\n");
    assert_eq!((code, words.as_str()), (0, ""));
    assert!(line.starts_with("ann:SCRAM-SHA-256$") && line.ends_with("=\n"), "{line}");
    assert!(!line.contains("pencil"));
    let keys = Users::parse(&line).unwrap().keys("ann");
    let mut stretch = Stretch::new(b"pencil with blanks ", &keys.salt, keys.iterations);
    assert!(keys.fit(&stretch.advance(keys.iterations).unwrap()));
    // Another salt each time.
    assert_ne!(passwd(&place, "ann", "pencil with blanks \n").1, line);
}

#[test]
fn what_cannot_be_is_refused() {
    let place = Place::new();
    for (user, input, code, words) in [
        ("ann", "", 65, "the password is empty"),
        ("ann", "\nx\n", 65, "the password is empty"),
        ("ann", "a\x07b\n", 65, "control characters"),
        ("ann", &"x".repeat(1025), 65, "longer than 1024"),
        ("", "x\n", 64, "a user needs a name"),
        ("a:b", "x\n", 64, "'a:b' cannot be a user"),
        ("a\x1bb", "x\n", 64, "'a\\x1bb' cannot be a user"),
    ] {
        let (got, line, said) = passwd(&place, user, input);
        assert_eq!((got, line.as_str()), (code, ""), "{user:?}: {said}");
        assert!(said.contains(words), "{said}");
    }
    let ended = place.run(&["passwd"]);
    assert_eq!((ended.code, ended.stderr.trim()), (64, "which user? mailflux passwd USER"));
}

fn check(place: &Place) -> (i32, String) {
    let set = ["-n", "127.0.0.1:1", "-s", "auth.users=users", "--check-config"];
    let ended = place.run(&set);
    (ended.code, ended.stdout + &ended.stderr)
}

#[test]
fn the_users_file_is_checked_when_the_configuration_is() {
    let place = Place::new();
    assert!(matches!(check(&place), (78, words) if words.contains("cannot read the users file")));
    let (_, line, _) = passwd(&place, "ann", "x\n");
    place.write("users", format!("# mine\n{line}"));
    assert!(matches!(check(&place), (0, words) if words.contains("auth.users")));
    place.write("users", format!("{line}bob:secret\n{line}"));
    let (code, words) = check(&place);
    assert_eq!(code, 78);
    let lines: Vec<&str> = words.lines().collect();
    assert!(lines[0].starts_with("users:2: 'bob' has no SCRAM-SHA-256 keys"), "{words}");
    assert_eq!(lines[1], "users:3: the user 'ann' stands here twice");
    assert!(!words.contains("secret"));
    place.write("users", line);
    let path = place.path("users");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).unwrap();
    assert!(matches!(check(&place), (78, words) if words.contains("others can write")));
}
