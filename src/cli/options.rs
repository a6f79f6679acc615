//! Options, and the settings that they stand for.

use std::path::PathBuf;

use getopts::{Fail, Matches, Options};

use super::usage;
use crate::base::{Failure, Printable, nearest};
use crate::config::{Kind, Override, Purpose, Sources};

/// The options that say which configuration is meant; all commands that read one have them.
pub(super) fn add_config_options(options: &mut Options) {
    options.optopt(
        "c",
        "config",
        "configuration file; see below for where it is looked for",
        "FILE",
    );
    options.optmulti("s", "set", "set one setting (repeatable)", "SECTION.KEY=VALUE");
    options.optmulti("l", "listen", "short for server.listen (repeatable)", "ADDRESS:PORT");
}

/// The option that names a next server.
pub(super) fn add_next_server_option(options: &mut Options) {
    options.optopt(
        "n",
        "next-server",
        "short for next_server.host and next_server.port",
        "HOST[:PORT]",
    );
}

/// The options of the server.
pub(super) fn server_options() -> Options {
    let mut options = Options::new();
    options.parsing_style(getopts::ParsingStyle::StopAtFirstFree);
    add_config_options(&mut options);
    add_next_server_option(&mut options);
    options.optopt("d", "spool", "short for server.spool", "DIR");
    options.optflag("", "headless", "run without a console");
    options.optflag("", "console", "run with a console, even if output or input is no terminal");
    options.optflag("", "demo", "try it out: built-in sink and client, in a scratch spool");
    options.optflag("", "check-config", "print every setting and where it came from; then exit");
    options.optflag("h", "help", "print this; then exit");
    options.optflag("V", "version", "print the version; then exit");
    options
}

/// Reads a command line. What it cannot mean is a usage error, with the nearest option there is.
pub(super) fn parse(options: &Options, args: &[String]) -> Result<Matches, Failure> {
    options.parse(args).map_err(|fail| usage(words(options, &fail)))
}

fn words(options: &Options, fail: &Fail) -> String {
    let dashed = |name: &str| {
        let name = Printable::bounded(name, 80);
        if name.as_str().chars().count() == 1 { format!("-{name}") } else { format!("--{name}") }
    };
    match fail {
        Fail::UnrecognizedOption(name) => {
            let near = nearest(name, long_names(options)).filter(|_| name.chars().count() > 1);
            let hint = near.map(|near| format!("did you mean --{near}?"));
            let hint = hint.unwrap_or_else(|| "--help prints all options".into());
            format!("unknown option {}; {hint}", dashed(name))
        }
        Fail::ArgumentMissing(name) => format!("option {} needs a value", dashed(name)),
        Fail::OptionDuplicated(name) => format!("option {} is given twice", dashed(name)),
        Fail::UnexpectedArgument(name) => format!("option {} takes no value", dashed(name)),
        Fail::OptionMissing(name) => format!("option {} is missing", dashed(name)),
    }
}

/// The long names of options, from their own help: the parser does not tell them otherwise.
fn long_names(options: &Options) -> Vec<String> {
    let usage = options.usage("");
    let names = usage.split_whitespace().filter_map(|word| word.strip_prefix("--"));
    names.map(str::to_owned).collect()
}

/// Where the configuration comes from, by these options and the environment.
pub(super) fn sources(matches: &Matches, purpose: Purpose) -> Sources {
    Sources {
        file: matches.opt_str("c").map(PathBuf::from),
        search: search(),
        overrides: overrides(matches),
        purpose,
    }
}

/// Where mailflux.ini is looked for.
fn search() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    // The XDG base directory specification has this default, and ignores relative paths.
    let home = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    let mut paths = vec![PathBuf::from("mailflux.ini")];
    paths.extend(home.map(|home| home.join("mailflux/mailflux.ini")));
    paths.push("/etc/mailflux/mailflux.ini".into());
    paths
}

/// The settings on the command line, in its order, then those of the environment.
fn overrides(matches: &Matches) -> Vec<Override> {
    let mut all: Vec<(usize, Override)> = vec![];
    let mut addresses: Vec<String> = vec![];
    for (at, value) in matches.opt_strs_pos("l") {
        all.push((at, listen(&mut addresses, &value)));
    }
    for (at, text) in matches.opt_strs_pos("s") {
        all.push((at, set(&text)));
    }
    for (option, read) in [("n", next_server as fn(&str) -> Vec<Override>), ("d", spool)] {
        // Commands that have no such option know nothing of it.
        if matches.opt_defined(option) {
            for (at, value) in matches.opt_strs_pos(option) {
                all.extend(read(&value).into_iter().map(|o| (at, o)));
            }
        }
    }
    all.sort_by_key(|(at, _)| *at);
    let level = std::env::var("MAILFLUX_LOG").ok().filter(|level| !level.is_empty());
    let level = level.map(|level| given("MAILFLUX_LOG", "", "log.level", &level));
    all.into_iter().map(|(_, o)| o).chain(level).collect()
}

fn given(option: &str, text: &str, name: &str, value: &str) -> Override {
    let shown = if text.is_empty() { option.to_owned() } else { format!("{option} {text}") };
    Override { shown, given_by: option.into(), name: name.into(), value: value.into() }
}

/// `--set SECTION.KEY=VALUE`. The key ends at the first `=`, in routes at the last, since an
/// address may contain one.
pub(super) fn set(text: &str) -> Override {
    let split =
        if text.starts_with("routes.") { text.rsplit_once('=') } else { text.split_once('=') };
    // Without a value the name is wrong, too: so the error comes up where all others do.
    let (name, value) = split.unwrap_or((text, ""));
    let name = name.trim();
    Override { given_by: format!("--set {name}"), ..given("--set", text, name, value) }
}

/// Each `-l` adds to those before it; one that is wrong is told by itself.
fn listen(before: &mut Vec<String>, value: &str) -> Override {
    if Kind::Listen.parse(value).is_err() {
        return given("-l", value, "server.listen", value);
    }
    before.push(value.to_owned());
    given("-l", value, "server.listen", &before.join(", "))
}

/// `HOST`, `HOST:PORT`, `[2001:db8::1]:PORT`. Without a port that of the file stays.
fn next_server(text: &str) -> Vec<Override> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port)),
        _ => (text, None),
    };
    // An empty host would mean "none"; here it is a slip, and the whole text is no host.
    let host = if host.is_empty() { text } else { host };
    let port = port.map(|port| given("-n", text, "next_server.port", port));
    std::iter::once(given("-n", text, "next_server.host", host)).chain(port).collect()
}

fn spool(text: &str) -> Vec<Override> {
    vec![given("-d", text, "server.spool", text)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides_of(args: &[&str]) -> Vec<(String, String)> {
        let args: Vec<String> = args.iter().map(|a| a.to_string()).collect();
        let matches = parse(&server_options(), &args).unwrap();
        let mut all = overrides(&matches);
        all.retain(|o| o.given_by != "MAILFLUX_LOG");
        all.into_iter().map(|o| (o.name, o.value)).collect()
    }

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
    }

    #[test]
    fn short_options_are_settings() {
        let (host, port) = ("next_server.host", "next_server.port");
        for (text, settings) in [
            ("h", &[(host, "h")][..]),
            ("h:26", &[(host, "h"), (port, "26")]),
            ("192.0.2.1:26", &[(host, "192.0.2.1"), (port, "26")]),
            ("::1", &[(host, "::1")]),
            ("[::1]", &[(host, "[::1]")]),
            ("[::1]:26", &[(host, "[::1]"), (port, "26")]),
            (":26", &[(host, ":26"), (port, "26")]),
            ("h:", &[(host, "h"), (port, "")]),
        ] {
            assert_eq!(overrides_of(&["-n", text]), pairs(settings), "{text}");
        }
        assert_eq!(overrides_of(&["-d", "x"]), pairs(&[("server.spool", "x")]));
    }

    #[test]
    fn the_order_of_the_command_line_counts() {
        let set = "server.listen=127.0.0.1:1";
        let listen = "server.listen";
        let all = overrides_of(&["-l", "127.0.0.1:2", "--set", set, "-l", "127.0.0.1:3"]);
        let expected = [
            (listen, "127.0.0.1:2"),
            (listen, "127.0.0.1:1"),
            (listen, "127.0.0.1:2, 127.0.0.1:3"),
        ];
        assert_eq!(all, pairs(&expected));
        // What is wrong is told once, and does not spoil the others.
        let all = overrides_of(&["-l", "x", "-l", "127.0.0.1:3"]);
        assert_eq!(all, pairs(&[(listen, "x"), (listen, "127.0.0.1:3")]));
    }

    #[test]
    fn settings_are_split_at_the_equals_sign() {
        for (text, name, value) in [
            ("a.b=c", "a.b", "c"),
            ("a.b = c=d", "a.b", " c=d"),
            ("a.b", "a.b", ""),
            ("routes.from:a=b@x.org=n", "routes.from:a=b@x.org", "n"),
        ] {
            assert_eq!(overrides_of(&["-s", text]), pairs(&[(name, value)]));
        }
        // What is shown as the source of a value must not show the value: it may be a secret.
        assert_eq!(set("a.b=c").given_by, "--set a.b");
    }

    #[test]
    fn wrong_options_are_usage_errors() {
        for (args, message) in [
            (&["--lisen", "x"][..], "unknown option --lisen; did you mean --listen?"),
            (&["-x"], "unknown option -x; --help prints all options"),
            (&["-c"], "option -c needs a value"),
            (&["-c", "a", "--config=b"], "option --config is given twice"),
            (&["--demo=x"], "option --demo takes no value"),
            (&["--a\x1b[2J"], "unknown option --a\\x1b[2J; --help prints all options"),
        ] {
            let args: Vec<String> = args.iter().map(|a| a.to_string()).collect();
            let failure = parse(&server_options(), &args).unwrap_err();
            assert_eq!((failure.exit, failure.message.as_str()), (64, message));
        }
    }
}
