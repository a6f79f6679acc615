//! `mailflux send`: mail to a real sink, and the words and codes of servers that refuse.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::thread::{JoinHandle, spawn};

use super::program::{Ended, Place, Running, feed};

/// A sink with a Maildir, and where it listens.
fn sink(place: &Place) -> (Running, String) {
    let mut sink = Running::start(place.mailflux(&["sink", "127.0.0.1:0", "--store", "mail"]));
    let address = sink.says("listens on ");
    (sink, address)
}

/// The one message in the Maildir.
fn received(place: &Place) -> String {
    let new = fs::read_dir(place.path("mail/new")).unwrap();
    let files: Vec<_> = new.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    String::from_utf8(fs::read(&files[0]).unwrap()).unwrap()
}

fn send(place: &Place, address: &str, args: &[&str], text: &str) -> Ended {
    let set = format!("server.listen={address}");
    let host = "server.hostname=box.example";
    let options = ["send", "-s", &set, "-s", host];
    feed(place.mailflux(&[&options[..], args].concat()), text.as_bytes())
}

#[test]
fn mail_arrives_complete() {
    let place = Place::new();
    let (_sink, address) = sink(&place);
    let text = "Subject: dots\nTo: Bob <bob@x.org>, \"C, D\" <cd@y.org>\nBcc: eve@z.org\n\n\
                .one\n..\nlast\n.\nnot any more\n";
    let ended = send(&place, &address, &["-t", "dave"], text);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let mail = received(&place);
    for recipient in ["bob@x.org", "cd@y.org", "eve@z.org", "dave@box.example"] {
        assert!(mail.contains(&format!("Envelope-To: {recipient}\r\n")), "{mail}");
    }
    assert!(mail.contains("Return-Path: <tester@box.example>\r\n"), "{mail}");
    let (header, body) = mail.split_once("\r\n\r\n").unwrap();
    assert!(!header.contains("Bcc"), "{header}");
    for field in ["Date: ", "Message-ID: <", "From: tester@box.example"] {
        assert_eq!(header.matches(&format!("\r\n{field}")).count(), 1, "{header}");
    }
    assert_eq!(body, ".one\r\n..\r\nlast\r\n");
}

#[test]
fn linked_as_sendmail_it_is_sendmail() {
    let place = Place::new();
    let (_sink, address) = sink(&place);
    place.write("mailflux.ini", format!("[server]\nlisten = {address}\nhostname = box.example\n"));
    let link = place.path("sendmail");
    symlink(env!("CARGO_BIN_EXE_mailflux"), &link).unwrap();
    // As cron calls it.
    let cron = ["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"];
    let ended = feed(place.command(link, &cron), "Subject: x\n\nü\n.\nmore\n".as_bytes());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let mail = received(&place);
    assert!(mail.contains("\r\nFrom: CronDaemon <tester@box.example>\r\n"), "{mail}");
    assert!(mail.contains("Envelope-To: root@box.example\r\n"), "{mail}");
    assert!(mail.ends_with("\r\n\r\nü\r\n.\r\nmore\r\n"), "{mail}");
}

#[test]
fn without_a_server_it_is_69() {
    let place = Place::new();
    // A port on which nobody listens any more.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ended = send(&place, &address, &["a@x.org"], "hello\n");
    assert_eq!(ended.code, 69);
    let words = format!("no server answers on {address}: connection refused; ");
    assert!(ended.stderr.starts_with(&words), "{}", ended.stderr);
}

#[test]
fn wrong_use_is_64_and_a_wrong_message_65() {
    let place = Place::new();
    let run = |args: &[&str], text: &str| send(&place, "127.0.0.1:1", args, text).code;
    assert_eq!(run(&[], "hello\n"), 64);
    assert_eq!(run(&["-t"], "Subject: x\n\nhello\n"), 64);
    assert_eq!(run(&["a b@x"], "hello\n"), 64);
    assert_eq!(run(&["-bs"], ""), 64);
    assert_eq!(run(&["--nonsense", "a@x"], ""), 64);
    assert_eq!(run(&["-t"], "To: a b\n\nhello\n"), 65);
    assert_eq!(run(&["-c", "none.ini", "a@x"], "hello\n"), 78);
}

/// A server with one conversation: it answers each line that begins so with that, and content with
/// the reply to `.`.
fn script(replies: &'static [(&'static str, &'static str)]) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = move |line: &str| replies.iter().find(|(start, _)| line.starts_with(start));
    let talk = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let (mut heard, mut content) = (String::new(), false);
        stream.write_all(answer("").map_or("220 hi\r\n", |(_, reply)| reply).as_bytes()).unwrap();
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap_or(0) == 0 {
                return heard;
            }
            heard.push_str(&line);
            if content && line != ".\r\n" {
                continue;
            }
            content = line == "DATA\r\n";
            let reply = match answer(&line) {
                Some((start, reply)) if !start.is_empty() => reply,
                _ if content => "354 go\r\n",
                _ => "250 ok\r\n",
            };
            if reply.is_empty() {
                return heard;
            }
            stream.write_all(reply.as_bytes()).unwrap();
        }
    };
    (address, spawn(talk))
}

#[test]
fn refusals_are_told_in_the_servers_words() {
    for (replies, code, words) in [
        (&[("MAIL", "550 5.7.1 not \x1b[2Jyou\r\n")][..], 65, "refused by"),
        (&[("RCPT", "550 5.1.1 no such user\r\n")], 65, "550 5.1.1 no such user"),
        (&[("RCPT", "450 4.2.0 greylisted\r\n")], 75, "450 4.2.0 greylisted"),
        (&[(".\r\n", "554 5.6.0 bad\r\n")], 65, "554 5.6.0 bad"),
        (&[(".\r\n", "452 4.3.1 full\r\n")], 75, "452 4.3.1 full"),
        (&[(".\r\n", "")], 75, "not taken now by"),
        (&[("RCPT", "")], 75, "not taken now by"),
        (&[("", "554 no mail here\r\n")], 69, "554 no mail here"),
        (&[("", "421 4.3.2 later\r\n")], 75, "421 4.3.2 later"),
        (&[("", "what?\r\n")], 75, "not taken now by"),
    ] {
        let place = Place::new();
        let (address, server) = script(replies);
        let ended = send(&place, &address, &["bob@x.org"], "hello\n");
        assert_eq!(ended.code, code, "{replies:?}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("<bob@x.org> was "), "{}", ended.stderr);
        assert!(ended.stderr.contains(words) && !ended.stderr.contains('\x1b'), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        server.join().unwrap();
    }
}

#[test]
fn who_is_refused_does_not_keep_the_others_from_their_mail() {
    let place = Place::new();
    let replies = &[("RCPT TO:<bad", "550 5.1.1 no\r\n"), ("RCPT TO:<slow", "450 4.2.0 later\r\n")];
    let (address, server) = script(replies);
    let ended = send(&place, &address, &["bad@x", "good@x", "slow@x"], "hello\n");
    assert_eq!(ended.code, 65);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("<bad@x> was refused by ") && lines[0].ends_with("550 5.1.1 no"));
    assert!(lines[1].starts_with("<slow@x> was not taken now by "), "{lines:?}");
    assert!(server.join().unwrap().contains("\r\nhello\r\n.\r\n"));
}
