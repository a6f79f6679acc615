//! Postfix as the next server: with STARTTLS, with TLS at once, and with logins that Cyrus SASL or
//! Dovecot check.
//!
//! Each runs from a scratch folder, on ports of its own, as root, since Postfix changes to a user
//! of its own. What it takes it forwards to a [`Next`] of ours.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::certs::Authority;
use crate::next::{Mail, Next};
use crate::server::{Server, Setup, free_address, run_to_end, tool};
use crate::{pause, wait_for};

const USER: &str = "ann";
const PASSWORD: &str = "pencil & paper";
const CONTENT: &str = "Subject: x\r\n\r\n..dot\r\nbody\r\n";

/// Who checks logins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sasl {
    None,
    Cyrus,
    Dovecot,
}

struct Postfix {
    next: Next,
    authority: Authority,
    starttls: u16,
    implicit: u16,
    dovecot: Option<Child>,
    dir: TempDir,
}

/// Services of master.cf without the two listeners: name, type, wakeup, process limit, program.
const SERVICES: &str = "\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

impl Postfix {
    /// None where it is not installed, or may not be started.
    fn start(sasl: Sasl) -> Option<Postfix> {
        let postfix = tool("postfix")?;
        if Command::new("id").arg("-u").output().unwrap().stdout != b"0\n" {
            println!("skipped: only root may start Postfix");
            return None;
        }
        let dir = TempDir::new().unwrap();
        // Its processes are nobody's friends, and have to get in.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["etc", "etc/sasl", "spool", "data"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let owner = Command::new("chown").arg("postfix").arg(dir.path().join("data")).output();
        assert!(owner.unwrap().status.success(), "no user postfix");
        let (next, authority) = (Next::new(), Authority::new());
        let (starttls, implicit) = (free_address().port(), free_address().port());
        let dovecot = None;
        let mut relay = Postfix { next, authority, starttls, implicit, dovecot, dir };
        match sasl {
            Sasl::None => {}
            Sasl::Cyrus => relay.cyrus()?,
            Sasl::Dovecot => relay.dovecot()?,
        }
        relay.configure(sasl);
        let mut start = Command::new(postfix);
        let output = run_to_end(start.arg("-c").arg(relay.path("etc")).arg("start"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}{}", relay.log());
        wait_for("Postfix", || std::net::TcpStream::connect(("127.0.0.1", starttls)).ok());
        Some(relay)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log(&self) -> String {
        ["log", "dovecot.log"].map(|log| read(&self.path(log))).concat()
    }

    fn configure(&self, sasl: Sasl) {
        let identity = self.authority.sign("localhost");
        let dir = self.dir.path().display();
        let logins = match sasl {
            Sasl::None => "mynetworks = 127.0.0.0/8\n".to_owned(),
            Sasl::Cyrus => format!(
                "smtpd_sasl_type = cyrus\nsmtpd_sasl_path = smtpd\ncyrus_sasl_config_path = \
                 {dir}/etc/sasl\nsmtpd_sasl_local_domain = relay.test\n"
            ),
            Sasl::Dovecot => {
                format!("smtpd_sasl_type = dovecot\nsmtpd_sasl_path = {dir}/auth\n")
            }
        };
        let logins = match sasl {
            Sasl::None => logins,
            _ => logins + "smtpd_sasl_auth_enable = yes\nmynetworks = 192.0.2.1/32\n",
        };
        let main = format!(
            "compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/data
maillog_file_prefixes = {dir}
maillog_file = {dir}/log
mail_owner = postfix
setgid_group = postdrop
myhostname = relay.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
relayhost = [127.0.0.1]:{next}
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_received_header = yes
smtpd_sasl_authenticated_header = yes
{logins}",
            next = self.next.address.port(),
            certificate = identity.certificate.display(),
            key = identity.key.display(),
        );
        let listeners = format!(
            "127.0.0.1:{} inet n - n - - smtpd\n127.0.0.1:{} inet n - n - - smtpd\n  -o \
             smtpd_tls_wrappermode=yes\n",
            self.starttls, self.implicit
        );
        fs::write(self.path("etc/main.cf"), main).unwrap();
        fs::write(self.path("etc/master.cf"), listeners + SERVICES).unwrap();
    }

    /// A database of users; no daemon is wanted. Debian's Postfix looks for `sasl/smtpd.conf` in
    /// its folder of configuration, others where `cyrus_sasl_config_path` says: both are the same
    /// here.
    fn cyrus(&self) -> Option<()> {
        let database = self.path("sasldb2");
        let mut passwd = Command::new(tool("saslpasswd2")?);
        passwd.arg("-p").arg("-c").arg("-f").arg(&database).args(["-u", "relay.test", USER]);
        let mut passwd = passwd.stdin(Stdio::piped()).spawn().unwrap();
        passwd.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        assert!(passwd.wait().unwrap().success());
        fs::set_permissions(&database, fs::Permissions::from_mode(0o644)).unwrap();
        let conf = format!(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\nmech_list: PLAIN \
             LOGIN SCRAM-SHA-256\n",
            database.display()
        );
        fs::write(self.path("etc/sasl/smtpd.conf"), conf).unwrap();
        Some(())
    }

    /// Dovecot as a server of logins, and of nothing else.
    fn dovecot(&mut self) -> Option<()> {
        let program = tool("dovecot")?;
        let dir = self.dir.path().display();
        let users = format!("{USER}:{{PLAIN}}{PASSWORD}\n");
        fs::write(self.path("users"), users).unwrap();
        let conf = format!(
            "base_dir = {dir}/run
state_dir = {dir}/run
log_path = {dir}/dovecot.log
protocols =
ssl = no
listen = 127.0.0.1
auth_mechanisms = plain login scram-sha-256
passdb {{
  driver = passwd-file
  args = {dir}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}}
service auth {{
  unix_listener {dir}/auth {{
    mode = 0666
  }}
}}
"
        );
        fs::write(self.path("dovecot.conf"), conf).unwrap();
        let mut command = Command::new(program);
        command.arg("-F").arg("-c").arg(self.path("dovecot.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        wait_for("Dovecot", || {
            assert!(child.try_wait().unwrap().is_none(), "{}", self.log());
            std::os::unix::net::UnixStream::connect(self.path("auth")).ok()
        });
        self.dovecot = Some(child);
        Some(())
    }

    /// A MailFlux whose next server this is.
    fn client(&self, tls: &str, port: u16) -> Setup {
        Setup::new(([127, 0, 0, 1], port).into())
            .set("next_server.host=localhost")
            .set(&format!("next_server.tls={tls}"))
            .set(&format!("next_server.ca_file={}", self.authority.file().display()))
            .set("queue.interval=100ms")
            .set("queue.retry_min=100ms")
            .set("queue.retry_max=1s")
            .set("log.level=trace")
    }

    /// The `count`th message, sent through both.
    fn send(&self, server: &Server, count: usize) -> Mail {
        server.ehlo().mail("ann@example.org", &["bob@example.net"], CONTENT);
        let mails = wait_for_mails(&self.next, count, || self.log() + &server.log());
        let mail = mails.into_iter().nth(count - 1).unwrap();
        assert!(mail.text().ends_with("\r\n\r\n.dot\r\nbody\r\n"), "{}", mail.text());
        assert!(mail.text().contains("by relay.test (Postfix)"), "{}", mail.text());
        mail
    }
}

fn wait_for_mails(next: &Next, count: usize, why: impl Fn() -> String) -> Vec<Mail> {
    let began = std::time::Instant::now();
    loop {
        let mails = next.mails();
        if mails.len() >= count {
            return mails;
        }
        assert!(began.elapsed() < crate::PATIENCE, "waited in vain for mail: {}", why());
        pause();
    }
}

fn read(path: &Path) -> String {
    fs::read(path).map_or(String::new(), |text| String::from_utf8_lossy(&text).into_owned())
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let pid = read(&self.path("spool/pid/master.pid"));
        let is_there = |pid: &str| Path::new("/proc").join(pid).exists();
        if let Some(pid) = Some(pid.trim()).filter(|pid| !pid.is_empty() && is_there(pid)) {
            let _ = Command::new("kill").arg(pid).status();
            let began = std::time::Instant::now();
            while is_there(pid) && began.elapsed().as_secs() < 20 {
                pause();
            }
            if is_there(pid) {
                let _ = Command::new("kill").args(["-9", pid]).status();
            }
        }
        if let Some(mut child) = self.dovecot.take() {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }
}

#[test]
fn postfix_with_both_kinds_of_tls() {
    let Some(relay) = Postfix::start(Sasl::None) else { return };
    for (count, (tls, port)) in [
        ("required", relay.starttls),
        ("opportunistic", relay.starttls),
        ("implicit", relay.implicit),
    ]
    .into_iter()
    .enumerate()
    {
        let setup = relay.client(tls, port);
        let server = setup.start();
        let text = relay.send(&server, count + 1).text();
        assert!(text.contains("using TLSv1.3") && text.contains("with ESMTPS "), "{text}");
        let told = setup.say(&["session", "o1"]);
        assert!(told.contains("certificate") || told.contains("TLS 1.3"), "{told}");
    }
    // What does not fit together is told, and nothing is lost.
    for (tls, port, words) in
        [("implicit", relay.starttls, "tls"), ("required", relay.implicit, "tls must be implicit")]
    {
        let setup = relay.client(tls, port);
        let server = setup.start();
        server.ehlo().mail("ann@example.org", &["bob@example.net"], CONTENT);
        wait_for(words, || setup.say(&["next", "list"]).contains(words).then_some(()));
        assert_eq!(setup.queue_files().len(), 1, "{}", server.log());
    }
    assert_eq!(relay.next.count(), 3);
}

/// Every mechanism that both know, then a password that is wrong.
fn logs_in(sasl: Sasl) {
    let Some(relay) = Postfix::start(sasl) else { return };
    let cases = [
        ("auto", "SCRAM-SHA-256", "required", relay.starttls),
        ("plain", "PLAIN", "implicit", relay.implicit),
        ("login", "LOGIN", "required", relay.starttls),
        ("scram-sha-256", "SCRAM-SHA-256", "implicit", relay.implicit),
    ];
    for (count, (auth, taken, tls, port)) in cases.into_iter().enumerate() {
        let setup = relay
            .client(tls, port)
            .set(&format!("next_server.user={USER}"))
            .set(&format!("next_server.password={PASSWORD}"))
            .set(&format!("next_server.auth={auth}"));
        let server = setup.start();
        let text = relay.send(&server, count + 1).text();
        assert!(text.contains("with ESMTPSA") && text.contains("sender: ann"), "{auth}: {text}");
        let told = setup.say(&["session", "o1"]);
        assert!(told.contains(&format!("AUTH {taken}")), "{told}");
        assert!(!server.log().contains(PASSWORD), "the log has the password");
    }
    let setup = relay
        .client("required", relay.starttls)
        .set(&format!("next_server.user={USER}"))
        .set("next_server.password=wrong")
        .set("queue.retry_min=1h")
        .set("queue.retry_max=1h");
    let server = setup.start();
    server.ehlo().mail("ann@example.org", &["bob@example.net"], CONTENT);
    wait_for("the server is left alone", || {
        setup.say(&["next", "list"]).contains("535").then_some(())
    });
    assert_eq!((setup.queue_files().len(), relay.next.count()), (1, 4), "{}", server.log());
}

#[test]
fn postfix_with_cyrus_sasl() {
    logs_in(Sasl::Cyrus);
}

#[test]
fn postfix_with_dovecot() {
    logs_in(Sasl::Dovecot);
}
