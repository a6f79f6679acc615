//! The options of the server itself.

use std::env;
use std::path::PathBuf;

use getopts::Options;

use crate::base::{Failure, exit};
use crate::config::{Override, Sources};

/// What the command line asks for.
#[derive(Debug)]
pub struct Invocation {
    /// `-h`
    pub help: bool,
    /// `-V`
    pub version: bool,
    /// `--check-config`
    pub check: bool,
    /// `--demo`
    pub demo: bool,
    config: Option<PathBuf>,
    overrides: Vec<Override>,
}

fn options() -> Options {
    let mut options = Options::new();
    options
        .optopt("c", "config", "configuration file", "FILE")
        .optmulti("s", "set", "override one setting (repeatable)", "SECTION.KEY=VALUE")
        .optmulti("l", "listen", "accept mail there (repeatable)", "ADDRESS:PORT")
        .optopt("n", "next-server", "where mail goes", "HOST[:PORT]")
        .optopt("d", "spool", "folder of the message spool", "DIR")
        .optflag("", "headless", "run without a console (this version has none yet)")
        .optflag("", "demo", "send sample mail through the server to a built-in sink")
        .optflag("", "check-config", "print every setting and where it came from")
        .optflag("h", "help", "print this help")
        .optflag("V", "version", "print the version");
    options
}

/// The help text.
pub fn usage() -> String {
    let brief = [
        "mailflux - a forwarding SMTP server on one thread and one event loop",
        "",
        "Usage:",
        "    mailflux [OPTIONS]                          run the server",
        "    mailflux send [-f SENDER] [-t] [-i] [RECIPIENT ...]",
        "                                                submit the message on standard input",
        "    mailflux sink ADDRESS:PORT [--store DIR]    a next server for trials",
    ];
    let brief = &brief.join("\n");
    let mut text = options().usage(brief);
    text.push_str(
        "\nWithout -c the first of these is read: ./mailflux.ini,\n\
         $XDG_CONFIG_HOME/mailflux/mailflux.ini, /etc/mailflux/mailflux.ini.\n",
    );
    text
}

impl Invocation {
    /// Reads the options.
    pub fn parse(args: &[String]) -> Result<Invocation, Failure> {
        let usage = |what: String| Failure::new(exit::USAGE, format!("{what}; see --help"));
        let parsed = options().parse(args).map_err(|e| usage(e.to_string()))?;
        if let Some(extra) = parsed.free.first() {
            return Err(usage(format!("unexpected argument '{extra}'")));
        }
        let mut overrides = Vec::new();
        let mut set = |option: &str, name: &str, value: String| {
            overrides.push(Override {
                shown: format!("{option} {value}"),
                given_by: option.to_owned(),
                name: name.to_owned(),
                value,
            });
        };
        for text in parsed.opt_strs("set") {
            let Some((name, value)) = text.split_once('=') else {
                let what = format!("--set {text}: write it as SECTION.KEY=VALUE");
                return Err(Failure::new(exit::CONFIG, what));
            };
            set("--set", name.trim(), value.trim().to_owned());
        }
        let listen = parsed.opt_strs("listen");
        if !listen.is_empty() {
            set("-l", "server.listen", listen.join(", "));
        }
        if let Some(next) = parsed.opt_str("next-server") {
            let (host, port) = host_and_port(&next);
            set("-n", "next_server.host", host);
            if let Some(port) = port {
                set("-n", "next_server.port", port);
            }
        }
        if let Some(dir) = parsed.opt_str("spool") {
            set("-d", "server.spool", dir);
        }
        if let Ok(level) = env::var("MAILFLUX_LOG") {
            set("MAILFLUX_LOG", "log.level", level);
        }
        Ok(Invocation {
            help: parsed.opt_present("help"),
            version: parsed.opt_present("version"),
            check: parsed.opt_present("check-config"),
            demo: parsed.opt_present("demo"),
            config: parsed.opt_str("config").map(PathBuf::from),
            overrides,
        })
    }

    /// Puts one more setting over the others.
    pub fn set(&mut self, given_by: &str, name: &str, value: String) {
        let shown = format!("{given_by} {value}");
        let (given_by, name) = (given_by.to_owned(), name.to_owned());
        self.overrides.push(Override { shown, given_by, name, value });
    }

    /// The settings of the command line alone: no file is read.
    pub fn without_file(&self) -> Sources {
        Sources { overrides: self.overrides.clone(), ..Sources::default() }
    }

    /// Where the settings come from.
    pub fn sources(&self) -> Sources {
        Sources {
            file: self.config.clone(),
            search: search_path(),
            overrides: self.overrides.clone(),
            ..Sources::default()
        }
    }
}

/// The places of the configuration file, the first that exists is taken.
pub fn search_path() -> Vec<PathBuf> {
    let home = env::var_os("HOME").map(|h| PathBuf::from(h).join(".config"));
    let xdg = env::var_os("XDG_CONFIG_HOME").filter(|d| !d.is_empty()).map(PathBuf::from);
    let mut paths = vec![PathBuf::from("mailflux.ini")];
    paths.extend(xdg.or(home).map(|dir| dir.join("mailflux/mailflux.ini")));
    paths.push(PathBuf::from("/etc/mailflux/mailflux.ini"));
    paths
}

/// `host:25`, `[::1]:25`, or a host alone (an IPv6 address has more than one colon).
fn host_and_port(text: &str) -> (String, Option<String>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host.to_owned(), Some(port.to_owned()))
        }
        _ => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        let split = |t: &str| {
            let (host, port) = host_and_port(t);
            (host, port.unwrap_or_default())
        };
        assert_eq!(split("relay"), ("relay".into(), "".into()));
        assert_eq!(split("relay:26"), ("relay".into(), "26".into()));
        assert_eq!(split("[::1]:26"), ("[::1]".into(), "26".into()));
        assert_eq!(split("::1"), ("::1".into(), "".into()));
    }

    #[test]
    fn wrong_use_is_64_and_a_wrong_setting_78() {
        let parse = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
            Invocation::parse(&args).map_err(|f| f.exit)
        };
        assert_eq!(parse(&["--nonsense"]).err(), Some(64));
        assert_eq!(parse(&["-c"]).err(), Some(64));
        assert_eq!(parse(&["--headless", "x"]).err(), Some(64));
        assert_eq!(parse(&["--set", "server.port"]).err(), Some(78));
        assert!(parse(&["-l", "127.0.0.1:1", "-l", "127.0.0.1:2"]).is_ok());
    }
}
