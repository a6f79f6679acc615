//! Tests of the kinds: what each takes, and what it says of the rest.

use super::*;

fn good(kind: Kind, text: &str, value: Value) {
    assert_eq!(kind.parse(text), Ok(value), "{text}");
}

fn bad(kind: Kind, text: &str, words: &str) {
    let error = kind.parse(text).expect_err(text);
    assert!(error.contains(words), "{text}: {error}");
}

fn listen(all: &[&str]) -> Value {
    Value::Addresses(all.iter().map(|a| a.parse().unwrap()).collect())
}

#[test]
fn listeners() {
    good(Kind::Listen, "127.0.0.1:25", listen(&["127.0.0.1:25"]));
    good(Kind::Listen, "0.0.0.0:25 ,[::1]:0", listen(&["0.0.0.0:25", "[::1]:0"]));
    good(Kind::Listen, "localhost:25", listen(&["127.0.0.1:25", "[::1]:25"]));
    good(Kind::Listen, "127.0.0.1:0, 127.0.0.1:0", listen(&["127.0.0.1:0", "127.0.0.1:0"]));
    for (text, words) in [
        ("127.0.0.1", "needs a port; write 127.0.0.1:2525"),
        ("::1", "needs a port; write [::1]:2525"),
        ("::1:25", "needs a port; write [::1:25]:2525"),
        ("2525", "needs an address; write 127.0.0.1:2525"),
        (":25", "write 0.0.0.0:25 (IPv4) or [::]:25 (IPv6)"),
        ("*:25", "write 0.0.0.0:25 (IPv4) or [::]:25 (IPv6)"),
        ("mail.example.com:25", "is not an ADDRESS:PORT"),
        ("127.0.0.1:65536", "is not an ADDRESS:PORT"),
        ("localhost:x", "is not an ADDRESS:PORT"),
        ("127.0.0.1:25,", "an item of the list is empty"),
        ("127.0.0.1:25, localhost:25", "127.0.0.1:25 is given twice"),
        ("none", "at least one address"),
        ("127.0.0.1:25 ; mine", "comments stand on lines of their own"),
    ] {
        bad(Kind::Listen, text, words);
    }
}

#[test]
fn hosts() {
    for (text, host) in [
        ("mail.example.com", "mail.example.com"),
        ("mail.example.com.", "mail.example.com"),
        ("localhost", "localhost"),
        ("mail_sink", "mail_sink"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[::1]", "::1"),
    ] {
        good(Kind::Host, text, Value::Text(host.into()));
    }
    for (text, words) in [
        ("mail.example.com:2525", "the port is a setting of its own"),
        ("a b", "is not a host name"),
        ("1.2.3", "is not a host name"),
        ("1.2.3.4.5", "is not a host name"),
        ("[mail]", "is not a host name"),
        ("a@b", "is not a host name"),
        ("a\u{0}b", "control character"),
        ("a\nb", "control character"),
    ] {
        bad(Kind::Host, text, words);
    }
}

#[test]
fn numbers_keep_to_their_bounds() {
    let count = Kind::Count { min: 2, max: 10 };
    good(count, "2", Value::Number(2));
    good(count, "10", Value::Number(10));
    for text in ["1", "11", "-2", "+2", "2.0", "0x2", "x", "99999999999999999999999"] {
        bad(count, text, "is not a number, 2 to 10");
    }
    let size = Kind::Size { min: 1024, max: 1 << 20 };
    good(size, "1M", Value::Number(1 << 20));
    bad(size, "1023", "is not a size, 1K to 1M; write it like 512K or 50M");
    bad(size, "2G", "is not a size");
    let time = Kind::Duration { min: Duration::from_secs(1), max: Duration::from_secs(3600) };
    good(time, "1m30s", Value::Duration(Duration::from_secs(90)));
    bad(time, "15", "is not a duration, 1s to 1h; write it like 15s, 5m or 1h");
    bad(time, "2h", "is not a duration");
}

#[test]
fn lists() {
    let nets = ["10.0.0.0/8", "::1"].map(|n| n.parse().unwrap());
    good(Kind::Networks, "10.0.0.0/8,::1", Value::Networks(nets.to_vec()));
    good(Kind::Networks, "none", Value::Networks(vec![]));
    bad(Kind::Networks, "10.0.0.0/8, x", "'x': not an IP address or network");
    bad(Kind::Networks, "10.0.0.0/40", "prefix");
    let domains = ["example.org", ".example.org"].map(|d| d.parse().unwrap());
    good(Kind::Domains, "Example.org, .example.org", Value::Domains(domains.to_vec()));
    bad(Kind::Domains, "*", "'*' is not a domain");
    good(Kind::Names, "a, b", Value::Names(vec!["a".into(), "b".into()]));
}

#[test]
fn choices_and_filters() {
    let tls = Kind::Choice(&["auto", "none"]);
    good(tls, "none", Value::Text("none".into()));
    bad(tls, "nome", "did you mean 'none'?");
    bad(tls, "quick", "write one of auto, none");
    for text in ["info", "OFF", "warn,smtp=debug", "next_server=trace", "info/x"] {
        good(Kind::LogFilter, text, Value::Text(text.into()));
    }
    bad(Kind::LogFilter, "inof", "did you mean 'info'?");
    bad(Kind::LogFilter, "mailflux=loud", "loud");
    bad(Kind::LogFilter, "a/b/c", "too many");
    bad(Kind::Domain, "a_b", "is not a domain");
    good(Kind::Domain, "[192.0.2.1]", Value::Text("[192.0.2.1]".into()));
}

#[test]
fn how_much_is_kept() {
    good(Kind::Keep, "1d, 256M", Value::Keep(Duration::from_secs(86400), 256 << 20));
    good(Kind::Keep, "30m,1M", Value::Keep(Duration::from_secs(1800), 1 << 20));
    good(Kind::Keep, "0", Value::Keep(Duration::ZERO, 0));
    for text in ["1d", "256M", "256M, 1d", "0, 0", "1d, 5K", "9000d, 1M", "1d, 256M, 1"] {
        bad(Kind::Keep, text, "write it like 1d, 256M");
    }
}
