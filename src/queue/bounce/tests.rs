//! Notifications: who is told, and that whatever a sender or a next server says, the octets are a
//! report that any server takes.

mod encodings;
mod hostile;

use super::text::{Form, is_lines};
use super::*;
use crate::base::{Address, Enhanced};

const NOW: Wall = Wall::from_secs(1_787_600_000);
const ARRIVED: Wall = Wall::from_secs(1_787_510_546);
const ID: MessageId = MessageId { counter: 0x1a, arrived: 0x6a8b_3f12 };
const OWN_ID: MessageId = MessageId { counter: 0x1b, arrived: 0x6a8c_9c80 };
const CONTENT: &[u8] = b"Received: by x\r\nSubject: hi\r\n there\r\n\r\nbody\r\n.\r\n";

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn envelope(from: &str, rcpts: &[&str]) -> Envelope {
    Envelope::plain(
        Client {
            ip: Some("192.0.2.7".parse().unwrap()),
            helo: Some("client.example".into()),
            protocol: Protocol::Smtp,
            user: None,
        },
        (!from.is_empty()).then(|| address(from)),
        rcpts.iter().map(|r| Recipient::new(address(r))).collect(),
    )
}

fn refused(text: impl Into<Vec<u8>>) -> Reply {
    Reply::fixed(550, Enhanced(5, 1, 1), "").by_peer().with_text(text.into())
}

fn told(recipient: u32, fate: Fate) -> Told {
    let reply = match fate {
        Fate::Failed => refused("no such user"),
        Fate::Expired => Reply::fixed(451, Enhanced(4, 4, 1), "connection refused").by_peer(),
        Fate::Delayed { .. } => Reply::fixed(450, Enhanced(4, 2, 1), "busy").by_peer(),
        Fate::Relayed => Reply::fixed(250, Enhanced(2, 1, 5), "ok").by_peer(),
    };
    Told { recipient, fate, reply: Some(reply), remote: Some("mx.example.net".into()) }
}

fn compose(plan: &Plan, envelope: &Envelope, content: &[u8]) -> Vec<u8> {
    let original = Original { id: ID, arrived: ARRIVED, envelope, content };
    plan.compose(&original, "mail.example.com", OWN_ID, NOW)
}

/// The notification of one failure with these words.
fn bounce_with(reply: Reply) -> Parsed {
    let envelope = envelope("ann@example.org", &["bob@example.net"]);
    let one = Told { reply: Some(reply), ..told(0, Fate::Failed) };
    let plan = plan_bounce(ID, &envelope, 100, &[one]).unwrap();
    Parsed::of(&compose(&plan, &envelope, CONTENT))
}

type Fields = Vec<(String, String)>;

/// A notification taken apart by the letter, which fails on anything that is not as it should be.
struct Parsed {
    octets: Vec<u8>,
    header: Fields,
    /// Header and content of each.
    parts: Vec<(Fields, Vec<u8>)>,
}

fn split_once<'a>(octets: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let n = memchr::memmem::find(octets, at)?;
    Some((&octets[..n], &octets[n + at.len()..]))
}

fn fields(octets: &[u8]) -> Fields {
    let mut all: Fields = vec![];
    for line in String::from_utf8(octets.to_vec()).unwrap().split_terminator("\r\n") {
        assert!(!line.trim().is_empty(), "a blank line in a header");
        if line.starts_with(' ') {
            all.last_mut().unwrap().1.push_str(line);
        } else {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no field: {line}"));
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{name}");
            all.push((name.into(), value.into()));
        }
    }
    all
}

fn get<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let mut found = fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let first = found.next();
    assert_eq!(found.next(), None, "two fields {name}");
    first
}

impl Parsed {
    fn of(octets: &[u8]) -> Parsed {
        assert!(is_lines(octets, Form::Utf8) && octets.ends_with(b"\r\n"), "not text in lines");
        let (header, body) = split_once(octets, b"\r\n\r\n").unwrap();
        let header = fields(header);
        let kind = get(&header, "Content-Type").unwrap();
        let boundary = kind
            .strip_prefix("multipart/report; report-type=delivery-status; boundary=\"")
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap();
        assert!(boundary.len() <= 70);
        let delimiter = format!("--{boundary}");
        let occurrences = memchr::memmem::find_iter(octets, &delimiter).count();
        assert_eq!(occurrences, 4, "the boundary stands where it must and nowhere else");
        let (_, rest) = split_once(body, format!("{delimiter}\r\n").as_bytes()).unwrap();
        let (rest, end) = split_once(rest, format!("\r\n{delimiter}--\r\n").as_bytes()).unwrap();
        assert!(end.is_empty());
        let mut parts = Vec::new();
        let mut rest = Some(rest);
        while let Some(now) = rest {
            let (part, after) = match split_once(now, format!("\r\n{delimiter}\r\n").as_bytes()) {
                Some((part, after)) => (part, Some(after)),
                None => (now, None),
            };
            let (header, content) = split_once(part, b"\r\n\r\n").unwrap();
            parts.push((fields(header), content.to_vec()));
            rest = after;
        }
        assert_eq!(parts.len(), 3);
        for (header, content) in &parts {
            let form = match get(header, "Content-Transfer-Encoding").unwrap() {
                "7bit" | "quoted-printable" => Form::Ascii,
                "8bit" => Form::Utf8,
                other => panic!("{other}"),
            };
            assert!(is_lines(content, form));
        }
        Parsed { octets: octets.to_vec(), header, parts }
    }

    fn kind(&self, part: usize) -> &str {
        get(&self.parts[part].0, "Content-Type").unwrap()
    }

    fn words(&self) -> String {
        String::from_utf8(self.parts[0].1.clone()).unwrap()
    }

    /// The fields about the message, then those about each recipient.
    fn status(&self) -> Vec<Fields> {
        let text = std::str::from_utf8(&self.parts[1].1).unwrap();
        text.split("\r\n\r\n").map(|block| fields(block.as_bytes())).collect()
    }
}

#[test]
fn a_bounce_in_full() {
    let envelope = envelope("ann@example.org", &["bob@example.net"]);
    let plan = plan_bounce(ID, &envelope, 100, &[told(0, Fate::Failed)]).unwrap();
    let octets = compose(&plan, &envelope, CONTENT);
    let expected = "\
From: Mail Delivery System <MAILER-DAEMON@mail.example.com>
To: <ann@example.org>
Subject: Undelivered mail returned to sender
Date: Mon, 24 Aug 2026 19:33:20 +0000
Message-ID: <6a8c9c80-00001b@mail.example.com>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
 boundary=\"=_6a8c9c80-00001b_0=\"

This is a report about your mail, in MIME format.

--=_6a8c9c80-00001b_0=
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 7bit

This is the mail server mail.example.com.

Your message could not be delivered to these recipients. They were
refused for good, and nothing more is tried; send it again when the
reason is gone.

  <bob@example.net>
    The answer of mx.example.net:
    550 5.1.1 no such user

Your message is attached, and a report for programs. The message arrived
here on Sun, 23 Aug 2026 18:42:26 +0000 and has the number
6a8b3f12-00001a.

--=_6a8c9c80-00001b_0=
Content-Type: message/delivery-status
Content-Transfer-Encoding: 7bit

Reporting-MTA: dns; mail.example.com
Received-From-MTA: dns; client.example ([192.0.2.7])
Arrival-Date: Sun, 23 Aug 2026 18:42:26 +0000

Final-Recipient: rfc822; bob@example.net
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.net
Diagnostic-Code: smtp; 550 5.1.1 no such user
Last-Attempt-Date: Mon, 24 Aug 2026 19:33:20 +0000

--=_6a8c9c80-00001b_0=
Content-Type: message/rfc822
Content-Transfer-Encoding: 7bit

Received: by x
Subject: hi
 there

body
.

--=_6a8c9c80-00001b_0=--
";
    assert_eq!(String::from_utf8(octets).unwrap(), expected.replace('\n', "\r\n"));
}

#[test]
fn the_envelope_of_a_bounce() {
    let envelope = envelope("ann@example.org", &["a@x", "b@x", "c@x"]);
    let all = [told(2, Fate::Failed), told(1, Fate::Relayed), told(0, Fate::Expired)];
    let plan = plan_bounce(ID, &envelope, 100, &all).unwrap();
    let ann = Recipient { notify: Notify::Never, ..Recipient::new(address("ann@example.org")) };
    let client = Client { ip: None, helo: None, protocol: Protocol::Local, user: None };
    let expected = Envelope {
        client,
        from: None,
        body: BodyType::SevenBit,
        utf8: false,
        ret: None,
        envid: None,
        recipients: vec![ann],
        bounce_of: Some((0x1a, vec![2, 0])),
    };
    assert_eq!((plan.envelope, plan.told.len()), (expected, 2));
}

#[test]
fn who_is_never_told() {
    let all = [told(0, Fate::Failed)];
    let plan = |envelope: &Envelope| plan_bounce(ID, envelope, 100, &all);
    assert_eq!(plan(&envelope("", &["bob@x"])), None);
    let bounce = Envelope { bounce_of: Some((1, vec![0])), ..envelope("ann@x", &["bob@x"]) };
    assert_eq!(plan(&bounce), None);
    assert_eq!(plan_bounce(ID, &envelope("ann@x", &["bob@x"]), 100, &[]), None);
    assert_eq!(plan_bounce(ID, &envelope("ann@x", &["bob@x"]), 9, &[told(5, Fate::Failed)]), None);
}

/// Every NOTIFY × RET × fate × kind of addresses: who is told, in which types, and that the octets
/// are fit for what they are declared as.
#[test]
fn every_combination() {
    let flags = [false, true];
    let mut notifies = vec![Notify::Unspecified, Notify::Never];
    for n in 1..8u8 {
        let (success, failure, delay) = (n & 1 > 0, n & 2 > 0, n & 4 > 0);
        notifies.push(Notify::When { success, failure, delay });
    }
    let fates =
        [Fate::Failed, Fate::Expired, Fate::Delayed { until: Wall::from_secs(0) }, Fate::Relayed];
    let rets = [None, Some(Ret::Full), Some(Ret::Headers)];
    let mut count = 0;
    for (notify, ret, fate) in notifies
        .iter()
        .flat_map(|n| rets.iter().map(move |r| (*n, *r)))
        .flat_map(|(n, r)| fates.iter().map(move |f| (n, r, *f)))
    {
        for (utf8_sender, utf8_rcpt, utf8_header) in flags
            .into_iter()
            .flat_map(|a| flags.into_iter().map(move |b| (a, b)))
            .flat_map(|(a, b)| flags.into_iter().map(move |c| (a, b, c)))
        {
            let from = if utf8_sender { "änn@example.org" } else { "ann@example.org" };
            let rcpt = if utf8_rcpt { "bøb@example.net" } else { "bob@example.net" };
            let mut envelope = envelope(from, &[rcpt, "other@x"]);
            envelope.utf8 = utf8_sender || utf8_rcpt || utf8_header;
            envelope.ret = ret;
            envelope.recipients[0].notify = notify;
            let content = if utf8_header { "Subject: grün\r\n\r\nx\r\n" } else { "A: b\r\n\r\nx" };
            let plan = plan_bounce(ID, &envelope, content.len() as u64, &[told(0, fate)]);
            let (is_told, action, status) = match fate {
                Fate::Failed => (notify.failure(), "failed", "5.1.1"),
                Fate::Expired => (notify.failure(), "failed", "4.4.7"),
                Fate::Delayed { .. } => (notify.delay(), "delayed", "4.2.1"),
                Fate::Relayed => (notify.success(), "relayed", "2.1.5"),
            };
            assert_eq!(plan.is_some(), is_told, "{notify:?} {fate:?}");
            let Some(plan) = plan else { continue };
            count += 1;
            let parsed = Parsed::of(&compose(&plan, &envelope, content.as_bytes()));
            assert_eq!(
                parsed.octets.is_ascii(),
                !utf8_sender,
                "8 bits only when nothing else goes"
            );
            assert_eq!(plan.envelope.utf8, utf8_sender);
            let failed = fate.is_final_failure();
            let done = !matches!(fate, Fate::Delayed { .. });
            let bounce_of = done.then(|| (ID.counter, vec![0]));
            assert_eq!(plan.envelope.bounce_of, bounce_of);

            let report = match utf8_sender {
                true => "message/global-delivery-status",
                false => "message/delivery-status",
            };
            assert_eq!(parsed.kind(1), report);
            let whole = failed && ret != Some(Ret::Headers) && (utf8_sender || !utf8_header);
            let returned = match (whole, utf8_sender, utf8_header) {
                (true, false, _) => "message/rfc822",
                (true, true, _) => "message/global",
                (false, _, true) => "message/global-headers",
                (false, _, false) => "text/rfc822-headers",
            };
            assert_eq!(parsed.kind(2), returned, "{ret:?} {fate:?} {utf8_sender} {utf8_header}");

            let status_fields = parsed.status();
            assert_eq!(status_fields.len(), 2);
            let about = &status_fields[1];
            let address = match (utf8_rcpt, utf8_sender) {
                (false, _) => "rfc822; bob@example.net",
                (true, false) => "utf-8; b\\x{F8}b@example.net",
                (true, true) => "utf-8; bøb@example.net",
            };
            assert_eq!(get(about, "Final-Recipient"), Some(address));
            assert_eq!(get(about, "Action"), Some(action));
            assert_eq!(get(about, "Status"), Some(status));
            let retried = matches!(fate, Fate::Delayed { .. });
            assert_eq!(get(about, "Will-Retry-Until").is_some(), retried);
        }
    }
    assert_eq!(count, 3 * 8 * (5 + 5 + 5 + 4));
}

#[test]
fn what_is_returned_by_size() {
    let mut envelope = envelope("ann@example.org", &["bob@example.net"]);
    let mut whole = |ret, size| {
        envelope.ret = ret;
        plan_bounce(ID, &envelope, size, &[told(0, Fate::Failed)]).unwrap().whole
    };
    assert!(whole(None, MAX_DEFAULT) && !whole(None, MAX_DEFAULT + 1));
    assert!(whole(Some(Ret::Full), MAX_FULL) && !whole(Some(Ret::Full), MAX_FULL + 1));
    assert!(!whole(Some(Ret::Headers), 1));
}

/// Such a notification would be refused for the same reason, and nobody told.
#[test]
fn what_was_too_big_is_not_returned_whole() {
    let whole = |ret, reply: Reply| {
        let envelope = Envelope { ret, ..envelope("ann@example.org", &["bob@example.net", "x@y"]) };
        let too_big = Told { reply: Some(reply), ..told(1, Fate::Failed) };
        plan_bounce(ID, &envelope, 100, &[told(0, Fate::Failed), too_big]).unwrap().whole
    };
    let peer = |code, enhanced| Reply::made(code, enhanced, "no").by_peer();
    for ret in [None, Some(Ret::Full)] {
        assert!(!whole(ret, Reply::fixed(552, Enhanced(5, 3, 4), "too big")));
        assert!(!whole(ret, peer(554, Some(Enhanced(5, 2, 3)))));
        assert!(!whole(ret, peer(552, None)));
        assert!(whole(ret, peer(552, Some(Enhanced(5, 2, 2)))), "a full mailbox is another's");
        assert!(whole(ret, peer(554, None)));
    }
}

#[test]
fn the_next_servers_own_words_come_through() {
    let parsed = bounce_with(refused("first line\nsecond line \\ grün\nthird"));
    let status = parsed.status();
    assert_eq!(
        get(&status[1], "Diagnostic-Code"),
        Some("smtp; 550 5.1.1 first line second line \\\\ gr\\x{FC}n third")
    );
    // People read it as it was said.
    assert_eq!(get(&parsed.parts[0].0, "Content-Transfer-Encoding"), Some("quoted-printable"));
    assert!(parsed.words().contains("second line \\\\ gr=C3=BCn third"));
    let long = (0..40).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ");
    let parsed = bounce_with(refused(long.as_str()));
    let wanted = format!("smtp; 550 5.1.1 {long}");
    assert_eq!(get(&parsed.status()[1], "Diagnostic-Code"), Some(&wanted[..]));
    let text = String::from_utf8(parsed.octets).unwrap();
    assert!(text.split("\r\n").all(|line| line.len() <= 78));
}

#[test]
fn status_codes_agree_with_the_action() {
    let until = Wall::from_secs(0);
    let envelope = Envelope {
        recipients: vec![Recipient {
            notify: Notify::When { success: true, failure: true, delay: true },
            ..Recipient::new(address("bob@x"))
        }],
        ..envelope("ann@x", &["bob@x"])
    };
    let of = |fate, reply: Option<Reply>| {
        let one = Told { recipient: 0, fate, reply, remote: None };
        let plan = plan_bounce(ID, &envelope, 1, &[one]).unwrap();
        let parsed = Parsed::of(&compose(&plan, &envelope, CONTENT));
        let status = parsed.status();
        get(&status[1], "Status").unwrap().to_string()
    };
    let plain = |code| Some(Reply::bare(code, "x"));
    let enhanced = |code, class| Some(Reply::fixed(code, Enhanced(class, 7, 1), "x"));
    assert_eq!(of(Fate::Failed, None), "5.0.0");
    assert_eq!(of(Fate::Failed, plain(550)), "5.0.0");
    assert_eq!(of(Fate::Failed, enhanced(550, 5)), "5.7.1");
    assert_eq!(of(Fate::Failed, enhanced(450, 4)), "5.0.0");
    assert_eq!(of(Fate::Delayed { until }, None), "4.0.0");
    assert_eq!(of(Fate::Delayed { until }, enhanced(450, 4)), "4.7.1");
    assert_eq!(of(Fate::Expired, enhanced(450, 4)), "4.4.7");
    assert_eq!(of(Fate::Relayed, plain(250)), "2.0.0");
    assert_eq!(of(Fate::Relayed, enhanced(250, 2)), "2.7.1");
}

#[test]
fn dsn_parameters_are_given_back_decoded() {
    let mut envelope = envelope("ann@example.org", &["bob@example.net", "c@x", "d@x", "e@x"]);
    envelope.envid = Some("QQ+2Bx+20y".into());
    let orcpts =
        ["rfc822;Bob+2Bz@Example.NET", "utf-8;gr\\x{FC}n@x", "utf-8;grün\u{85}@x", "x400;a"];
    for (recipient, orcpt) in envelope.recipients.iter_mut().zip(orcpts) {
        recipient.orcpt = Some(orcpt.into());
    }
    let all: Vec<Told> = (0..4).map(|n| told(n, Fate::Failed)).collect();
    let mut plan = plan_bounce(ID, &envelope, 100, &all).unwrap();
    let parsed = Parsed::of(&compose(&plan, &envelope, CONTENT));
    let status = parsed.status();
    assert_eq!(get(&status[0], "Original-Envelope-Id"), Some("QQ+x y"));
    let given: Vec<_> = status[1..].iter().map(|f| get(f, "Original-Recipient").unwrap()).collect();
    assert_eq!(
        given,
        [
            "rfc822; Bob+z@Example.NET",
            "utf-8; gr\\x{FC}n@x",
            "utf-8; gr\\x{FC}n\\x{85}@x",
            "x400; a"
        ]
    );
    plan.envelope.utf8 = true;
    let status = Parsed::of(&compose(&plan, &envelope, CONTENT)).status();
    assert_eq!(get(&status[3], "Original-Recipient"), Some("utf-8; grün\\x{85}@x"));
    // Whatever got past the checks at the door cannot get out of its field.
    envelope.envid = Some("a+0D+0AInjected:+20yes+".into());
    envelope.recipients[0].orcpt = Some("r\nfc;a+0D+0AInjected:+20yes+4".into());
    plan.envelope.utf8 = false;
    let status = Parsed::of(&compose(&plan, &envelope, CONTENT)).status();
    assert_eq!(get(&status[0], "Original-Envelope-Id"), Some("a\\x0d\\x0aInjected: yes+"));
    assert_eq!(get(&status[1], "Original-Recipient"), Some("r\\x0afc; a\\x0d\\x0aInjected: yes+4"));
}

#[test]
fn our_own_words_are_not_put_into_a_server_s_mouth() {
    let ours = Reply::made(451, Some(Enhanced(4, 4, 1)), "cannot connect to 192.0.2.1:25\nat all");
    let about = |reply: Reply| {
        let parsed = bounce_with(reply);
        (parsed.status().remove(1), parsed.words())
    };
    let (status, words) = about(ours.clone());
    assert_eq!(get(&status, "Remote-MTA"), None);
    let diagnostic = "X-MailFlux; cannot connect to 192.0.2.1:25 at all";
    assert_eq!(get(&status, "Diagnostic-Code"), Some(diagnostic));
    assert!(words.contains("The reason:") && !words.contains("The answer"), "{words}");
    let (status, words) = about(ours.by_peer());
    assert_eq!(get(&status, "Remote-MTA"), Some("dns; mx.example.net"));
    let diagnostic = "smtp; 451 4.4.1 cannot connect to 192.0.2.1:25 at all";
    assert_eq!(get(&status, "Diagnostic-Code"), Some(diagnostic));
    assert!(words.contains("The answer of mx.example.net:"), "{words}");
    let (status, _) = about(Reply::bare(550, ""));
    assert_eq!(get(&status, "Diagnostic-Code"), Some("X-MailFlux; 5.0.0"));
}

#[test]
fn names_of_servers() {
    let remote = |name: Option<&str>| {
        let envelope = envelope("ann@example.org", &["bob@example.net"]);
        let one = Told { remote: name.map(str::to_string), ..told(0, Fate::Failed) };
        let plan = plan_bounce(ID, &envelope, 100, &[one]).unwrap();
        let parsed = Parsed::of(&compose(&plan, &envelope, CONTENT));
        let shown = get(&parsed.status()[1], "Remote-MTA").map(str::to_string);
        assert_eq!(parsed.words().contains("The answer of"), shown.is_some());
        shown
    };
    assert_eq!(remote(None), None);
    assert_eq!(remote(Some("mx.example.net")).as_deref(), Some("dns; mx.example.net"));
    assert_eq!(remote(Some("127.0.0.1")).as_deref(), Some("dns; [127.0.0.1]"));
    assert_eq!(remote(Some("::1")).as_deref(), Some("dns; [IPv6:::1]"));
    assert_eq!(remote(Some("x\r\nInjected: y")), None);
}

#[test]
fn groups_of_recipients_are_explained_one_by_one() {
    let mut envelope = envelope("ann@example.org", &["a@x", "b@x", "c@x", "d@x"]);
    envelope.recipients[3].notify = Notify::When { success: true, failure: false, delay: false };
    let until = Wall::from_secs(1_787_942_546);
    let fates = [Fate::Expired, Fate::Failed, Fate::Delayed { until }, Fate::Relayed];
    let all: Vec<Told> = fates.iter().zip(0..).map(|(f, n)| told(n, *f)).collect();
    let plan = plan_bounce(ID, &envelope, 100, &all).unwrap();
    let parsed = Parsed::of(&compose(&plan, &envelope, CONTENT));
    assert_eq!(get(&parsed.header, "Subject"), Some("Undelivered mail returned to sender"));
    let words = parsed.words().replace("\r\n", " ");
    let at = |text: &str| words.find(text).unwrap_or_else(|| panic!("{text} is not in {words}"));
    let order =
        ["refused for good", "<b@x>", "given up now", "<a@x>", "tried again", "<c@x>", "<d@x>"];
    assert!(order.map(at).is_sorted());
    assert!(words.contains("24 hours") && words.contains("28 Aug 2026 18:42:26"), "{words}");
    assert_eq!(parsed.status().len(), 5);
    let subject = |told: Told| {
        let plan = plan_bounce(ID, &envelope, 100, &[told]).unwrap();
        get(&Parsed::of(&compose(&plan, &envelope, CONTENT)).header, "Subject").unwrap().to_string()
    };
    assert_eq!(subject(all[2].clone()), "Delayed mail (still being tried)");
    assert_eq!(subject(all[3].clone()), "Mail relayed without further notice");
}
