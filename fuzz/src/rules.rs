//! What users write: expressions, settings, commands; and what messages say.

use std::path::PathBuf;

use mailflux::base::Address;
use mailflux::config::{self, Purpose, Sources};
use mailflux::control::{Command, line_of_args};
use mailflux::message;
use mailflux::rules::{Expr, Fields, Rcpts};

/// An expression that reads is asked without a panic, and reads the same from its own source.
pub fn expression(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let expr = match Expr::parse(text) {
        Ok(expr) => expr,
        Err(error) => {
            assert!(error.column >= 1 && error.column <= text.chars().count() + 1);
            return;
        }
    };
    let again = Expr::parse(expr.source()).expect("its own source");
    let rcpt = Address::parse("bob@example.net").expect("an address");
    let known = Fields {
        client: Some("192.0.2.7".parse().expect("an address")),
        helo: Some("client.example.com"),
        from: Some("ann@example.org"),
        rcpt: Rcpts::One(&rcpt),
        size: Some(4096),
        header: b"Subject: hello\r\n there\r\nX-A: 1\r\n\r\n",
        verb: Some("RCPT"),
        reply: Some(250),
        tls: Some(true),
        user: Some("ann"),
        ..Fields::default()
    };
    for fields in [Fields::default(), known] {
        assert_eq!(expr.holds(&fields), again.holds(&fields));
    }
}

/// A file of settings gives a configuration or errors that name the file.
pub fn configuration(data: &[u8]) {
    let path: PathBuf = std::env::temp_dir().join(format!("mailflux-{}.ini", std::process::id()));
    std::fs::write(&path, data).expect("a file in the scratch folder");
    let sources = Sources { file: Some(path), purpose: Purpose::Serve, ..Sources::default() };
    let _ = config::load(&sources);
}

/// Any line is a command or a fault whose column lies in the line.
pub fn control(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(error) = Command::parse(text) {
        assert!(error.column >= 1 && error.column <= text.chars().count() + 1, "{error:?}");
    }
    let words: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let _ = Command::parse(&line_of_args(&words));
}

/// The views of a message take any octets.
pub fn message(data: &[u8]) {
    for field in message::headers(data) {
        let _ = field;
    }
    message::hops(data);
    for cut in [false, true] {
        message::mime_tree(data, cut);
        message::headers_report(data, cut);
        message::hops_report(data, cut);
    }
    message::lint(data, message::Facts::default());
    let from = Address::parse("relay@example.org").expect("an address");
    for whole in [false, true] {
        let _ = message::rewrite_from(data, whole, &from);
    }
}
