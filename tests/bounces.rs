//! Notifications as another program reads them: Python's `email` package, which knows nothing of
//! how they were made.

use std::process::Command;

use mailflux::base::{
    Address, Client, Enhanced, Envelope, MessageId, Notify, Protocol, Recipient, Reply, Ret, Wall,
};
use mailflux::queue::bounce::{Fate, Original, Told, plan_bounce};

/// Prints what it finds in the file that it is given; fails on every defect that Python knows of.
const READER: &str = r#"
import email, email.policy, sys
octets = open(sys.argv[1], 'rb').read()
message = email.message_from_bytes(octets, policy=email.policy.default)
for part in message.walk():
    assert not part.defects, part.defects
assert message.get_content_type() == 'multipart/report', message.get_content_type()
assert message.get_param('report-type') == 'delivery-status'
words, report, returned = message.get_payload()
assert words.get_content_type() == 'text/plain'
print('To:', message['To'].addresses[0].addr_spec)
print('Auto-Submitted:', message['Auto-Submitted'])
assert message['Date'].datetime and message['Message-ID'] and message['From'].addresses
text = words.get_content()
assert text.startswith('This is the mail server'), text
print('Words:', ' '.join(text.split()))
print('Report:', report.get_content_type())
if report.get_content_type() == 'message/delivery-status':
    blocks = report.get_payload()
else:
    blocks = [email.message_from_string(block, policy=email.policy.default)
              for block in report.as_bytes().decode().split('\n\n', 1)[1].split('\n\n')]
for block in blocks:
    for name, value in block.items():
        print('|', name + ':', value)
print('Returned:', returned.get_content_type())
if returned.get_content_type() == 'message/rfc822':
    inner = returned.get_payload()[0]
    print('Inner:', inner['Subject'], '/', inner.get_payload().strip())
elif returned.get_content_type() == 'text/rfc822-headers':
    print('Inner:', returned.get_payload(decode=True).decode('latin-1').strip())
"#;

fn envelope(from: &str, rcpts: &[&str]) -> Envelope {
    let ip = "192.0.2.7".parse().ok();
    let client = Client { ip, helo: None, protocol: Protocol::Smtp, user: None };
    let to = rcpts.iter().map(|r| Recipient::new(Address::parse(r).unwrap())).collect();
    let plain = Envelope::plain(client, Address::parse(from).ok(), to);
    Envelope { envid: Some("env+2B1".into()), ..plain }
}

fn failed(recipient: u32, text: &str) -> Told {
    let reply =
        Reply::fixed(550, Enhanced(5, 1, 1), "").by_peer().with_text(text.to_owned().into_bytes());
    Told { recipient, fate: Fate::Failed, reply: Some(reply), remote: Some("192.0.2.25".into()) }
}

/// What Python reads in the notification; none when there is no Python.
fn read(envelope: &Envelope, told: &[Told], content: &[u8]) -> Option<String> {
    let id = MessageId { counter: 0x1a, arrived: 0x6a8b_3f12 };
    let plan = plan_bounce(id, envelope, content.len() as u64, told).unwrap();
    let original = Original { id, arrived: Wall::from_secs(1_787_510_546), envelope, content };
    let own = MessageId { counter: 0x1b, arrived: 0x6a8b_3f20 };
    let octets = plan.compose(&original, "mail.example.com", own, Wall::from_secs(1_787_600_000));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bounce.eml");
    std::fs::write(&file, octets).unwrap();
    let python = Command::new("python3").args(["-X", "utf8", "-c", READER]).arg(&file).output();
    let Ok(output) = python else {
        eprintln!("skipped: no python3");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[track_caller]
fn has(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.lines().any(|l| l == *line), "no line '{line}' in\n{said}");
    }
}

#[test]
fn a_plain_bounce() {
    let mut envelope = envelope("ann@example.org", &["bob@example.net", "\"c  d\"@x"]);
    envelope.recipients[0].orcpt = Some("rfc822;Robert+2Bx@example.net".into());
    let told = [failed(0, "no such user"), failed(1, "go\naway")];
    let content = b"Received: by x\r\nSubject: hi\r\n\r\nbody\r\n";
    let Some(said) = read(&envelope, &told, content) else { return };
    has(
        &said,
        &[
            "To: ann@example.org",
            "Auto-Submitted: auto-replied",
            "Report: message/delivery-status",
            "| Original-Envelope-Id: env+1",
            "| Reporting-MTA: dns; mail.example.com",
            "| Received-From-MTA: dns; [192.0.2.7]",
            "| Original-Recipient: rfc822; Robert+x@example.net",
            "| Final-Recipient: rfc822; bob@example.net",
            "| Final-Recipient: rfc822; \"c  d\"@x",
            "| Action: failed",
            "| Status: 5.1.1",
            "| Remote-MTA: dns; [192.0.2.25]",
            "| Diagnostic-Code: smtp; 550 5.1.1 no such user",
            "| Diagnostic-Code: smtp; 550 5.1.1 go away",
            "Returned: message/rfc822",
            "Inner: hi / body",
        ],
    );
}

#[test]
fn delays_and_relays() {
    let mut envelope = envelope("ann@example.org", &["bob@example.net", "c@x"]);
    envelope.recipients[1].notify = Notify::When { success: true, failure: false, delay: false };
    let until = Wall::from_secs(1_787_942_546);
    let told = [
        Told { fate: Fate::Delayed { until }, reply: None, ..failed(0, "") },
        Told { fate: Fate::Relayed, reply: None, ..failed(1, "") },
    ];
    let Some(said) = read(&envelope, &told, b"Subject: hi\r\n\r\nbody\r\n") else { return };
    has(
        &said,
        &[
            "| Action: delayed",
            "| Status: 4.0.0",
            "| Will-Retry-Until: Fri, 28 Aug 2026 18:42:26 +0000",
            "| Action: relayed",
            "| Status: 2.0.0",
            "Returned: text/rfc822-headers",
            "Inner: Subject: hi",
        ],
    );
}

#[test]
fn eight_bits_in_header_words_and_address() {
    let mut envelope = envelope("ann@example.org", &["grün@example.net"]);
    envelope.utf8 = true;
    let told = [failed(0, "größer als groß")];
    let Some(said) = read(&envelope, &told, b"Subject: gr\xfcn\r\n\r\nbody \xfc\r\n") else {
        return;
    };
    has(
        &said,
        &[
            "| Final-Recipient: utf-8; gr\\x{FC}n@example.net",
            "| Diagnostic-Code: smtp; 550 5.1.1 gr\\x{F6}\\x{DF}er als gro\\x{DF}",
            "Returned: text/rfc822-headers",
            "Inner: Subject: grün",
        ],
    );
    let words = said.lines().find(|l| l.starts_with("Words:")).unwrap();
    assert!(words.contains("<grün@example.net>") && words.contains("größer als groß"), "{words}");
}

#[test]
fn a_sender_beyond_ascii() {
    let mut envelope = envelope("änn@example.org", &["grün@example.net"]);
    envelope.utf8 = true;
    envelope.ret = Some(Ret::Full);
    let content = "Subject: grün\r\n\r\nKörper\r\n".as_bytes();
    let Some(said) = read(&envelope, &[failed(0, "größer")], content) else { return };
    has(
        &said,
        &[
            "To: änn@example.org",
            "Report: message/global-delivery-status",
            "| Final-Recipient: utf-8; grün@example.net",
            "| Diagnostic-Code: smtp; 550 5.1.1 größer",
            "Returned: message/global",
        ],
    );
}

#[test]
fn hostile_words() {
    let envelope = envelope("ann@example.org", &["bob@example.net"]);
    for text in [
        "x\r\nInjected: yes\r\n\r\n--=_6a8b3f20-00001b_0=--\r\n",
        "\0\u{1b}[2J\u{85}Injected: yes\u{2028}\u{202e}",
        &"y".repeat(8192),
        &"ü \\ = ? ; \" ".repeat(500),
    ] {
        let content = b"Subject: hi\r\n\r\n--=_6a8b3f20-00001b_0=--\r\n";
        let Some(said) = read(&envelope, &[failed(0, text)], content) else { return };
        let names: Vec<&str> = said
            .lines()
            .filter_map(|l| l.strip_prefix("| ")?.split_once(':').map(|(name, _)| name))
            .collect();
        assert_eq!(
            names,
            [
                "Original-Envelope-Id",
                "Reporting-MTA",
                "Received-From-MTA",
                "Arrival-Date",
                "Final-Recipient",
                "Action",
                "Status",
                "Remote-MTA",
                "Diagnostic-Code",
                "Last-Attempt-Date"
            ]
        );
        has(&said, &["Inner: hi / --=_6a8b3f20-00001b_0=--"]);
    }
}
