//! The options of sendmail.

use getopts::{Matches, Options};

use super::super::options::{add_config_options, parse};
use super::usage;
use crate::base::{Failure, Notify, Printable, Ret};

/// What a program asked for.
#[derive(Clone, Default, Debug)]
pub(super) struct Request {
    /// `-f`: empty for `<>`.
    pub sender: Option<String>,
    /// `-F`.
    pub full_name: Option<String>,
    /// `-t`.
    pub from_header: bool,
    /// `-i`, `-oi`: a line with a single dot is a line like any other.
    pub ignore_dots: bool,
    /// `-N`.
    pub notify: Notify,
    /// `-R`.
    pub ret: Option<Ret>,
    /// `-V`, as the xtext of ENVID.
    pub envid: Option<String>,
    /// Who stands on the command line.
    pub recipients: Vec<String>,
}

const HELP: &str = "\
Usage: mailflux send [-f SENDER] [-t] [-i] [RECIPIENT ...]
       sendmail ... (when linked by that name)

Submits the message on standard input to the server of the configuration. Adds
Date, Message-ID and From where they are missing; takes Bcc out. Names without
a domain get server.hostname. With -t recipients on the command line are added
to those of the header. Exit codes: 0 all recipients were taken, 65 the message
or a recipient was refused for good, 69 no server answers or it does not want
us, 75 a recipient was refused for now; those that were taken stay taken.";

fn options() -> Options {
    let mut options = Options::new();
    options
        .optmulti("f", "", "sender; <> for none", "SENDER")
        .optmulti("r", "", "the same", "SENDER")
        .optmulti("F", "", "full name of the sender, for From", "NAME")
        .optflagmulti("t", "", "recipients from To, Cc and Bcc")
        .optflagmulti("i", "", "a line with a single dot is no end (also -oi)")
        .optmulti("N", "", "when to notify: never, or some of success,failure,delay", "WHEN")
        .optmulti("R", "", "what a bounce carries: full or hdrs", "WHAT")
        .optmulti("V", "", "envelope identifier for notifications", "ENVID")
        .optmulti("b", "", "only m: send a message", "MODE")
        .optmulti("o", "", "ignored, but for -oi", "OPTION");
    // What sendmail has and a program may use, and what has no meaning here.
    for (letter, value) in [("B", "TYPE"), ("O", "OPTION"), ("L", "TAG"), ("p", "PROTOCOL")] {
        options.optmulti(letter, "", "ignored", value);
    }
    for letter in ["m", "n", "v", "G", "U"] {
        options.optflagmulti(letter, "", "ignored");
    }
    add_config_options(&mut options);
    options.optflag("h", "help", "print this; then exit");
    options
}

/// Reads the command line; none when it asked for `page()`.
pub(super) fn read(args: &[String]) -> Result<Option<(Request, Matches)>, Failure> {
    let matches = parse(&options(), args)?;
    if matches.opt_present("help") {
        return Ok(None);
    }
    let last = |name: &str| matches.opt_strs(name).pop();
    if let Some(mode) = matches.opt_strs("b").iter().find(|mode| *mode != "m") {
        let mode = Printable::bounded(mode, 20);
        return Err(usage(format!("-b{mode} is not supported; this command only sends (-bm)")));
    }
    // -f and -r are one option: the last of them counts.
    let senders = matches.opt_strs_pos("f").into_iter().chain(matches.opt_strs_pos("r"));
    let request = Request {
        sender: senders.max_by_key(|(at, _)| *at).map(|(_, sender)| sender),
        full_name: last("F"),
        from_header: matches.opt_present("t"),
        ignore_dots: matches.opt_present("i") || matches.opt_strs("o").iter().any(|o| o == "i"),
        notify: last("N").map_or(Ok(Notify::Unspecified), |when| notify(&when))?,
        ret: last("R").map(|what| ret(&what)).transpose()?,
        envid: last("V").map(|id| xtext(&id)).transpose()?,
        recipients: matches.free.clone(),
    };
    Ok(Some((request, matches)))
}

/// The help of the command.
pub(super) fn page() -> String {
    options().usage(HELP)
}

fn notify(when: &str) -> Result<Notify, Failure> {
    Notify::parse(when)
        .ok_or_else(|| usage("-N takes never, or some of success,failure,delay with commas"))
}

fn ret(what: &str) -> Result<Ret, Failure> {
    match what.to_ascii_lowercase().as_str() {
        "full" => Ok(Ret::Full),
        "hdrs" => Ok(Ret::Headers),
        _ => Err(usage("-R takes full or hdrs")),
    }
}

/// Octets as RFC 3461 section 4 writes them in parameters; ENVID has at most 100 (section 4.4).
fn xtext(text: &str) -> Result<String, Failure> {
    let mut out = String::new();
    for b in text.bytes() {
        match b {
            b'!'..=b'~' if b != b'+' && b != b'=' => out.push(char::from(b)),
            _ => out.push_str(&format!("+{b:02X}")),
        }
    }
    // What ENVID stands for must be printable ASCII.
    let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    if printable && !text.is_empty() && out.len() <= 100 {
        Ok(out)
    } else {
        Err(usage("-V takes printable ASCII, not too long (RFC 3461 section 4.4)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(args: &[&str]) -> Result<Request, Failure> {
        let args: Vec<String> = args.iter().map(|a| a.to_string()).collect();
        Ok(read(&args)?.expect("no --help").0)
    }

    #[test]
    fn the_command_lines_of_programs() {
        // cron
        let r = request(&["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"]).unwrap();
        assert_eq!(r.full_name.as_deref(), Some("CronDaemon"));
        assert!(r.ignore_dots && !r.from_header);
        assert_eq!(r.recipients, ["root"]);
        // PHP, git, mutt, at
        let r = request(&["-t", "-i", "-f", "a@b"]).unwrap();
        assert!(r.from_header && r.ignore_dots && r.recipients.is_empty());
        assert_eq!(r.sender.as_deref(), Some("a@b"));
        let r = request(&["-oem", "-oi", "-odb", "-fann", "--", "bob", "-x@y"]).unwrap();
        assert_eq!((r.sender.as_deref(), r.ignore_dots), (Some("ann"), true));
        assert_eq!(r.recipients, ["bob", "-x@y"]);
        let r = request(&["-bm", "-ti", "-om", "-v", "-m", "-f", "", "ann"]).unwrap();
        assert_eq!(r.sender.as_deref(), Some(""));
        assert!(r.from_header && r.ignore_dots);
        let r = request(&["-f", "one", "-r", "two", "x"]).unwrap();
        assert_eq!(r.sender.as_deref(), Some("two"));
        let r = request(&["-r", "two", "x", "-f", "one"]).unwrap();
        assert_eq!(r.sender.as_deref(), Some("one"));
    }

    #[test]
    fn delivery_status_notifications() {
        let r = request(&["-N", "success,delay", "-R", "hdrs", "-V", "a b+c", "x"]).unwrap();
        assert_eq!(r.notify.value().as_deref(), Some("SUCCESS,DELAY"));
        assert_eq!(r.ret, Some(Ret::Headers));
        assert_eq!(r.envid.as_deref(), Some("a+20b+2Bc"));
        let long = "x".repeat(101);
        for wrong in [["-N", "often"], ["-R", "half"], ["-V", ""], ["-V", "ü"], ["-V", &long]] {
            assert_eq!(request(&wrong).unwrap_err().exit, 64, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_not_sending_is_refused() {
        for wrong in ["-bs", "-bp", "-bd", "-q", "-x", "--nonsense"] {
            assert_eq!(request(&[wrong]).unwrap_err().exit, 64, "{wrong}");
        }
        let words = request(&["-bp"]).unwrap_err().message;
        assert_eq!(words, "-bp is not supported; this command only sends (-bm)");
    }
}
