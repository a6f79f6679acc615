//! Clients that log in: the programs that people send mail with, each in its ways.

use std::process::{Command, Output, Stdio};

use crate::certs::Authority;
use crate::client::Client;
use crate::next::Next;
use crate::server::{Server, Setup, free_address, program, run_to_end, tool};
use crate::wait_for;

const FROM: &str = "ann@example.org";
const TO: &str = "bob@example.net";
const USER: &str = "ann";
const PASSWORD: &str = "hunter2 & co";

/// A server whose clients must log in: by STARTTLS on its first port, or inside TLS on another.
struct World {
    next: Next,
    authority: Authority,
    setup: Setup,
    server: Server,
    submission: u16,
    implicit: u16,
}

fn world() -> World {
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    let (next, submission, implicit) = (Next::new(), free_address(), free_address());
    let setup = Setup::new(next.address);
    let users = setup.dir.path().join("users");
    let mut passwd = program()
        .args(["passwd", USER])
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(&users).unwrap())
        .spawn()
        .unwrap();
    let input = format!("{PASSWORD}\n");
    std::io::Write::write_all(&mut passwd.stdin.take().unwrap(), input.as_bytes()).unwrap();
    assert!(passwd.wait().unwrap().success());
    let setup = setup
        .set(&format!("tls.certificate={}", identity.certificate.display()))
        .set(&format!("tls.key={}", identity.key.display()))
        .set(&format!("auth.users={}", users.display()))
        .set("server.relay_from=192.0.2.0/24")
        .set(&format!("listener.submission.listen={submission}"))
        .set("listener.submission.auth=required")
        .set(&format!("listener.implicit.listen={implicit}"))
        .set("listener.implicit.tls=implicit")
        .set("listener.implicit.auth=required")
        .set("log.level=trace");
    let server = setup.start();
    let (submission, implicit) = (submission.port(), implicit.port());
    World { next, authority, setup, server, submission, implicit }
}

impl World {
    /// So many messages have come, each from somebody who logged in inside TLS; and the password is
    /// nowhere.
    #[track_caller]
    fn came(&self, count: usize, what: &str) {
        let mails = self.next.wait(count);
        assert_eq!(mails.len(), count, "{what}");
        let text = mails[count - 1].text();
        assert!(text.contains("with ESMTPSA"), "{what}: {text}");
        let mut told = self.server.log();
        told += &self.setup.say(&["sessions", "last=10m"]);
        told += &self.setup.say(&["config", "get"]);
        // As it is, and as base64 at each place in a line.
        for disguise in [PASSWORD, "aHVudGVyMiAmIGNv", "h1bnRlcjIgJiBjb", "odW50ZXIyICYgY2"] {
            assert!(!told.contains(disguise), "{what}: {disguise} is in {told}");
        }
    }
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn good(command: &mut Command) -> String {
    let output = run_to_end(command);
    assert!(output.status.success(), "{command:?}: {}", says(&output));
    says(&output)
}

#[test]
fn python_logs_in_over_both_kinds_of_tls() {
    let Some(python) = tool("python3") else { return };
    let world = world();
    let script = r#"
import smtplib, ssl, sys
starttls, implicit, ca, user, password = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
def session(tls):
    if tls:
        return smtplib.SMTP_SSL("localhost", int(implicit), context=context)
    s = smtplib.SMTP("localhost", int(starttls))
    s.ehlo()
    assert not s.has_extn("auth"), "AUTH in the clear"
    s.starttls(context=context)
    return s
for tls in False, True:
    with session(tls) as s:
        s.ehlo()
        offered = s.esmtp_features["auth"].split()
        assert {"PLAIN", "LOGIN", "SCRAM-SHA-256"} <= set(offered), offered
        assert not any("CRAM-MD5" in name for name in offered), offered
        code, words = s.mail("ann@example.org")
        assert code == 530, (code, words)
        for wrong in "wrong", "":
            try:
                s.user, s.password = user, wrong
                s.auth("PLAIN", s.auth_plain)
                raise SystemExit("a wrong password is taken")
            except smtplib.SMTPAuthenticationError as e:
                assert e.smtp_code == 535, e
        s.user, s.password = user, password
        s.auth("LOGIN" if tls else "PLAIN", s.auth_login if tls else s.auth_plain)
        s.sendmail("ann@example.org", ["bob@example.net"], b"Subject: x\r\n\r\nx\r\n")
        assert s.docmd("AUTH", "PLAIN =")[0] == 503, "logged in twice"
"#;
    let ports = [world.submission, world.implicit].map(|port| port.to_string());
    let mut command = Command::new(python);
    command.args(["-c", script]).args(ports).arg(world.authority.file());
    good(command.args([USER, PASSWORD]));
    world.came(2, "smtplib");
}

#[test]
fn curl_msmtp_and_swaks_log_in() {
    let world = world();
    let file = world.setup.dir.path().join("message");
    std::fs::write(&file, "Subject: x\r\n\r\nbody\r\n").unwrap();
    let mut count = 0;
    if let Some(curl) = tool("curl") {
        for (scheme, port, mechanism) in [
            ("smtp", world.submission, "PLAIN"),
            ("smtps", world.implicit, "LOGIN"),
            ("smtps", world.implicit, "*"),
        ] {
            let mut command = Command::new(&curl);
            command.args(["-sS", "--ssl-reqd", "--cacert"]).arg(world.authority.file());
            command.args(["--url", &format!("{scheme}://localhost:{port}/client.example.com")]);
            command.args(["--user", &format!("{USER}:{PASSWORD}")]);
            command.args(["--login-options", &format!("AUTH={mechanism}")]);
            good(command.args(["--mail-from", FROM, "--mail-rcpt", TO, "-T"]).arg(&file));
            count += 1;
            world.came(count, &format!("curl, {scheme} with {mechanism}"));
        }
    }
    if let Some(msmtp) = tool("msmtp") {
        let able = good(Command::new(&msmtp).arg("--version"));
        for (mechanism, starttls) in [("plain", "on"), ("login", "off"), ("scram-sha-256", "on")] {
            if !able.contains(&format!(" {mechanism} ")) && mechanism != "plain" {
                println!("skipped: msmtp cannot do {mechanism} here");
                continue;
            }
            let port = if starttls == "on" { world.submission } else { world.implicit };
            let mut command = Command::new(&msmtp);
            command.args(["--host=localhost", &format!("--port={port}"), "--tls=on"]);
            command.args([&format!("--tls-starttls={starttls}"), &format!("--auth={mechanism}")]);
            command.arg(format!("--tls-trust-file={}", world.authority.file().display()));
            command.args([&format!("--user={USER}"), &format!("--passwordeval=echo '{PASSWORD}'")]);
            command.args([&format!("--from={FROM}"), TO]);
            good(command.stdin(std::fs::File::open(&file).unwrap()));
            count += 1;
            world.came(count, &format!("msmtp with {mechanism}"));
        }
    }
    let Some(swaks) = tool("swaks") else { return };
    let run = |mechanism: &str, password: &str, tls: &[&str], port: u16| {
        let mut command = Command::new(&swaks);
        command.args(["--server", "localhost", "--port", &port.to_string()]).args(tls);
        command.args(["--from", FROM, "--to", TO, "--auth", mechanism, "--auth-user", USER]);
        run_to_end(command.args(["--auth-password", password]))
    };
    if says(&run("PLAIN", PASSWORD, &["--tls"], world.submission)).contains("requires Net::SSLeay")
    {
        println!("skipped: swaks has no TLS here");
        return;
    }
    count += 1;
    world.came(count, "swaks with PLAIN");
    let login = run("LOGIN", PASSWORD, &["--tlsc"], world.implicit);
    assert!(login.status.success(), "{}", says(&login));
    count += 1;
    world.came(count, "swaks with LOGIN");
    for (mechanism, password, words) in
        [("CRAM-MD5", PASSWORD, "requested type not available"), ("PLAIN", "wrong", "535 ")]
    {
        let output = run(mechanism, password, &["--tls"], world.submission);
        assert!(!output.status.success(), "{}", says(&output));
        assert!(says(&output).to_lowercase().contains(&words.to_lowercase()), "{}", says(&output));
    }
}

#[test]
fn without_a_login_a_listener_that_requires_one_takes_nothing() {
    let world = world();
    for port in [world.submission, world.setup.address.port()] {
        let mut client = Client::connect(([127, 0, 0, 1], port).into()).unwrap();
        let offered = client.command("EHLO client.example.com").expect(250).text;
        assert!(offered.contains("STARTTLS") && !offered.contains("AUTH"), "{offered}");
        // Not in the clear, whoever asks.
        assert_eq!(client.command("AUTH PLAIN AGFubgBodW50ZXIyICYgY28=").code / 100, 5);
        let mail = client.command(&format!("MAIL FROM:<{FROM}>"));
        let rcpt = client.command(&format!("RCPT TO:<{TO}>"));
        assert!(mail.code / 100 == 5 || rcpt.code / 100 == 5, "{mail:?} {rcpt:?}");
    }
    assert_eq!(world.next.count(), 0);
}

/// Users come and go with a `config reload`; one that is wrong changes nothing.
#[test]
fn the_users_file_is_read_again() {
    let Some(python) = tool("python3") else { return };
    let world = world();
    let users = world.setup.dir.path().join("users");
    let line = std::fs::read_to_string(&users).unwrap();
    let script = r#"
import base64, smtplib, ssl, sys
port, authority, user, password = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
with smtplib.SMTP_SSL("localhost", int(port), context=context) as s:
    s.ehlo()
    words = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
    print(s.docmd("AUTH", "PLAIN " + words)[0])
"#;
    let login = |user: &str| {
        let mut command = Command::new(&python);
        command.args(["-c", script, &world.implicit.to_string()]).arg(world.authority.file());
        good(command.args([user, PASSWORD])).trim().to_owned()
    };
    assert_eq!((login(USER), login("new")), ("235".into(), "535".into()));
    std::fs::write(&users, "no user at all\n").unwrap();
    let (code, _, err) = world.setup.ctl(&["config", "reload"]);
    assert!(code == 1 && err.contains("users:1: "), "{err}");
    assert_eq!(login(USER), "235");
    std::fs::write(&users, line.replacen(USER, "new", 1)).unwrap();
    world.setup.say(&["config", "reload"]);
    assert_eq!((login("new"), login(USER)), ("235".into(), "535".into()));
}

/// Recorded sessions that logged in log in again, with a password from the user's file.
#[test]
fn a_recorded_session_logs_in_again() {
    let world = world();
    let folder = world.setup.dir.path();
    let mail = "Subject: given\n\nby hand\n";
    for (name, text) in [("password", &format!("{PASSWORD}\nmore\n")[..]), ("mail.eml", mail)] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let to = format!("localhost:{}", world.submission);
    let mechanisms = ["PLAIN ***", "LOGIN", "SCRAM-SHA-256 ***", "SCRAM-SHA-256-PLUS ***"];
    for (i, mechanism) in mechanisms.into_iter().enumerate() {
        let lines = [
            "<- 220 mx",
            "-> EHLO client.example.com",
            "<- 250 mx",
            "-> STARTTLS",
            "<- 220 2.0.0 go",
            "~> EHLO client.example.com",
            "<~ 250 mx",
            &format!("~> AUTH {mechanism}"),
            "<~ 334 ***",
            "~> ***",
            "<~ 235 2.7.0 in",
            "~> MAIL FROM:<ann@example.org> SIZE=999",
            "<~ 250 ok",
            "~> RCPT TO:<bob@example.net>",
            "<~ 250 ok",
            "~> DATA",
            "<~ 354 go",
            "=== [999 octets of content]",
            "<~ 250 ok",
            "~> QUIT",
            "<~ 221 bye",
        ];
        let lines = lines.map(|line| format!("12:00:00.000   +0.000 i7     {line}\n"));
        let file = format!("{i}.txt");
        std::fs::write(folder.join(&file), lines.concat()).unwrap();
        let order = ["replay", &file, "to", &to, "content=mail.eml", "user=ann"];
        let said = world.setup.say(&[&order[..], &["password=password"]].concat());
        assert!(
            said.contains("10 of 10 replies were heard again; 0 differ"),
            "{mechanism}: {said}"
        );
        world.came(i + 1, mechanism);
    }
    let text = world.next.wait(1)[0].text();
    assert!(text.ends_with("Subject: given\r\n\r\nby hand\r\n"), "{text}");

    let order = ["replay", "0.txt", "to", &to];
    let (code, out, _) = world.setup.ctl(&order);
    assert!(code == 1 && out.contains("note: the login is left out"), "{out}");
    assert!(out.contains("now       530 5.7.0"), "{out}");
    std::fs::write(folder.join("password"), "wrong\n").unwrap();
    let with_login = [&order[..], &["user=ann", "password=password"]].concat();
    let out = world.setup.ctl(&with_login).1;
    assert!(out.contains("AUTH PLAIN ***") && out.contains("now       535 5.7.8"), "{out}");
    let out = world.setup.ctl(&[&with_login[..], &["tls=none"]].concat());
    assert!(out.2.contains("would show the password"), "{out:?}");
    let to = format!("localhost:{}", world.implicit);
    let out = world.setup.ctl(&["replay", "0.txt", "to", &to, "tls=implicit"]).1;
    assert!(out.contains("TLS comes with the first octet"), "{out}");
    std::fs::write(folder.join("password"), "\n").unwrap();
    let why = world.setup.ctl(&with_login).2;
    assert!(why.contains("password has no password in it"), "{why}");
    let why = world.setup.ctl(&[&order[..], &["user=ann"]].concat()).2;
    assert!(why.contains("password=FILE, whose first line it is, is missing"), "{why}");
}

/// Two servers of ours take the strongest there is, bound to the TLS that both see.
#[test]
fn a_server_of_ours_logs_in_at_another_bound_to_the_channel() {
    let world = world();
    for (count, (tls, port)) in
        [("implicit", world.implicit), ("required", world.submission)].into_iter().enumerate()
    {
        let setup = Setup::new(([127, 0, 0, 1], port).into())
            .set("next_server.host=localhost")
            .set(&format!("next_server.tls={tls}"))
            .set(&format!("next_server.ca_file={}", world.authority.file().display()))
            .set(&format!("next_server.user={USER}"))
            .set(&format!("next_server.password={PASSWORD}"));
        let server = setup.start();
        server.ehlo().mail(FROM, &[TO], "Subject: x\r\n\r\nx\r\n");
        world.came(count + 1, tls);
        let told = setup.say(&["session", "o1"]);
        assert!(told.contains("AUTH SCRAM-SHA-256-PLUS ***"), "{told}");
    }
    let setup = Setup::new(([127, 0, 0, 1], world.implicit).into())
        .set("next_server.host=localhost")
        .set("next_server.tls=implicit")
        .set(&format!("next_server.ca_file={}", world.authority.file().display()))
        .set(&format!("next_server.user={USER}"))
        .set("next_server.password=wrong")
        .set("queue.retry_min=1h")
        .set("queue.retry_max=1h");
    let server = setup.start();
    server.ehlo().mail(FROM, &[TO], "Subject: x\r\n\r\nx\r\n");
    wait_for("a 535", || setup.say(&["next", "list"]).contains("535").then_some(()));
    assert_eq!(setup.queue_files().len(), 1, "{}", server.log());
}

/// What stands between a login and somebody in the middle (RFC 5802 section 6, RFC 9266): a
/// binding to another channel, and the pretence that none was offered, are refused with the right
/// password; TLS 1.2, where we bind to nothing, does not offer it.
#[test]
fn bindings_that_are_wrong_and_downgrades_are_refused() {
    let Some(python) = tool("python3") else { return };
    let world = world();
    let script = r#"
import base64, hashlib, hmac, os, smtplib, ssl, sys
port, ca, user, password = sys.argv[1:]
b64 = lambda b: base64.b64encode(b if isinstance(b, bytes) else b.encode()).decode()
def session(version):
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = context.maximum_version = version
    s = smtplib.SMTP_SSL("localhost", int(port), context=context)
    s.ehlo()
    return s
def scram(s, name, gs2, data, password):
    nonce = b64(os.urandom(12))
    bare = f"n={user},r={nonce}"
    code, words = s.docmd("AUTH", f"{name} {b64(gs2 + bare)}")
    if code != 334:
        return code
    first = base64.b64decode(words).decode()
    said = dict(f.split("=", 1) for f in first.split(","))
    assert said["r"].startswith(nonce) and int(said["i"]) >= 4096, said
    without = f"c={b64(gs2.encode() + data)},r={said['r']}"
    salt, rounds = base64.b64decode(said["s"]), int(said["i"])
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    mac = lambda key, text: hmac.digest(key, text, "sha256")
    client = mac(salted, b"Client Key")
    message = f"{bare},{first},{without}".encode()
    proof = bytes(a ^ b for a, b in zip(client, mac(hashlib.sha256(client).digest(), message)))
    code, words = s.docmd(b64(f"{without},p={b64(proof)}"))
    if code == 334:
        server = base64.b64decode(words).decode()
        assert server == "v=" + b64(mac(mac(salted, b"Server Key"), message)), server
        code = s.docmd("")[0]
    return code
plus, simple = "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"
for version, name, gs2, data, word, good in [
    (ssl.TLSVersion.TLSv1_3, simple, "n,,", b"", password, True),
    (ssl.TLSVersion.TLSv1_3, simple, "n,,", b"", "wrong", False),
    (ssl.TLSVersion.TLSv1_3, simple, "y,,", b"", password, False),
    (ssl.TLSVersion.TLSv1_3, plus, "p=tls-exporter,,", bytes(32), password, False),
    (ssl.TLSVersion.TLSv1_3, plus, "p=tls-exporter,,", b"", password, False),
    (ssl.TLSVersion.TLSv1_3, plus, "p=tls-unique,,", bytes(12), password, False),
    (ssl.TLSVersion.TLSv1_3, plus, "n,,", b"", password, False),
    (ssl.TLSVersion.TLSv1_3, simple, "p=tls-exporter,,", bytes(32), password, False),
    (ssl.TLSVersion.TLSv1_2, simple, "y,,", b"", password, True),
    (ssl.TLSVersion.TLSv1_2, simple, "n,,", b"", password, True),
    (ssl.TLSVersion.TLSv1_2, plus, "p=tls-exporter,,", bytes(32), password, False),
]:
    with session(version) as s:
        offered = s.esmtp_features["auth"].split()
        assert (plus in offered) == (version == ssl.TLSVersion.TLSv1_3), (version, offered)
        code = scram(s, name, gs2, data, word)
        assert (code == 235) == good and 200 <= code < 600, (version, name, gs2, word, code)
        # One that went well forgets failures, which would slow down those that follow.
        if not good:
            s.rset()
"#;
    let mut command = Command::new(python);
    command.args(["-c", script, &world.implicit.to_string()]).arg(world.authority.file());
    good(command.args([USER, PASSWORD]));
}
