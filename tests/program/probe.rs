//! `mailflux probe` and `next probe`, against next servers that stand and fall at each rung.

use serde_json::Value;

use crate::next::{Act, Next, Stage};
use crate::server::{Setup, free_address, program, run_to_end};

/// `mailflux probe --json ARGS`: exit code, and the answer.
fn probe(args: &[&str]) -> (i32, Value) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = program();
    let out = run_to_end(command.args(["probe", "--json"]).args(args).current_dir(dir.path()));
    let text = String::from_utf8(out.stdout).unwrap();
    let json = serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&out.stderr)));
    (out.status.code().unwrap(), json)
}

fn failing(at: Stage, reply: &'static str) -> Next {
    Next::scripted(move |moment| match moment.stage {
        stage if stage == at => Act::Say(format!("{reply}\r\n")),
        _ => Act::Usual,
    })
}

#[test]
fn a_good_server_takes_all_steps_and_no_mail() {
    let next = Next::new();
    let (code, json) = probe(&["-n", &next.address.to_string()]);
    assert_eq!((code, &json["ok"]), (0, &Value::Bool(true)), "{json}");
    let steps: Vec<&str> =
        json["steps"].as_array().unwrap().iter().map(|s| s["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["tcp", "greeting", "ehlo", "mail", "rcpt"], "{json}");
    assert!(json["steps"][0]["ms"].is_f64());
    assert_eq!(next.count(), 0);
    let lines = next.lines();
    assert!(!lines.iter().any(|l| l.starts_with("DATA") || l.starts_with("BDAT")), "{lines:?}");
    assert!(lines.iter().any(|l| l == "RCPT TO:<postmaster>"), "{lines:?}");
    // Whom to ask for may be said.
    let to = next.address.to_string();
    let args = ["-n", &to, "--from", "ann@example.org", "--to", "bob@example.net"];
    assert_eq!(probe(&args).0, 0);
    assert!(next.lines().iter().any(|l| l.starts_with("MAIL FROM:<ann@example.org>")));
}

#[test]
fn the_rung_that_fails_is_named_with_the_servers_words() {
    for (at, reply, rung) in [
        (Stage::Connect, "554 5.7.1 not you", "greeting"),
        (Stage::Helo, "550 5.7.1 who are you", "ehlo"),
        (Stage::Mail, "550 5.7.1 bad sender", "mail"),
        (Stage::Rcpt, "550 5.7.1 no relaying", "rcpt"),
        (Stage::Rcpt, "451 4.7.1 later", "rcpt"),
    ] {
        let next = failing(at, reply);
        let (code, json) = probe(&["-n", &next.address.to_string()]);
        assert_eq!((code, json["failed"].as_str()), (69, Some(rung)), "{reply}: {json}");
        assert!(json.to_string().contains(reply), "{json}");
        assert!(json["hint"].is_string(), "{json}");
    }
    let (code, json) = probe(&["-n", &free_address().to_string()]);
    assert_eq!((code, json["failed"].as_str()), (69, Some("tcp")), "{json}");
    // One that closes without a word.
    let next = Next::scripted(|_| Act::Close);
    let (code, json) = probe(&["-n", &next.address.to_string()]);
    assert_eq!((code, json["failed"].as_str()), (69, Some("greeting")), "{json}");
    // TLS that must be and is not.
    let next = Next::new();
    let at = next.address.to_string();
    let (code, json) = probe(&["-n", &at, "--set", "next_server.tls=required"]);
    assert_eq!((code, json["failed"].as_str()), (69, Some("tls")), "{json}");
}

#[test]
fn a_running_server_probes_its_next_servers() {
    let next = Next::new();
    let setup = Setup::new(next.address);
    let server = setup.start();
    server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: x\r\n\r\n");
    next.wait(1);
    let told = setup.say(&["next", "probe", "default"]);
    assert!(told.contains("ok   rcpt") && told.contains("mail would be taken"), "{told}");
    let (code, out, err) = setup.ctl(&["next", "probe", "nobody"]);
    assert!(code == 1 && out.is_empty() && err.contains("no next server is named"), "{err}");
    // Mail goes on.
    server.ehlo().mail("ann@example.org", &["bob@example.net"], "Subject: y\r\n\r\n");
    next.wait(2);
    assert_eq!(next.count(), 2);
}

#[test]
fn a_wrong_question_is_a_usage_error() {
    let code = |args: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        run_to_end(program().arg("probe").args(args).current_dir(dir.path())).status.code()
    };
    assert_eq!(code(&["a", "b"]), Some(64));
    assert_eq!(code(&["--fro", "x"]), Some(64));
    // No next server at all, and none of that name.
    assert_eq!(code(&[]), Some(78));
    assert_eq!(code(&["-n", "127.0.0.1:9", "nobody"]), Some(64));
    assert_eq!(code(&["-n", "127.0.0.1:9", "--json", "--from", "@@"]), Some(64));
}
