//! What `--help` prints.

use super::options::server_options;

/// The help of the program.
pub(super) fn page() -> String {
    let uses: String =
        USES.iter().map(|(how, what)| format!("    {how}\n        {what}\n")).collect();
    let options = server_options().usage_with_format(|items| items.collect::<Vec<_>>().join("\n"));
    format!(
        "MailFlux, {ABOUT}\n\nUsage:\n{uses}\nOptions:\n{options}\n\n{FILES}\n\
         Examples:\n{EXAMPLES}\n\
         Signals: {SIGNALS}\nExit codes: {EXIT_CODES}"
    )
}

/// What the program is.
pub(super) const ABOUT: &str = "a forwarding SMTP server on one thread and one event loop";

/// Each way to call the program, and what it is for.
pub(super) const USES: &[(&str, &str)] = &[
    ("mailflux [OPTIONS]", "run the server"),
    (
        "mailflux send [-f SENDER] [-t] [-i] [RECIPIENT ...]",
        "submit the message on standard input, with the options of sendmail",
    ),
    (
        "mailflux ctl [--socket PATH] [--json] COMMAND [ARG ...]",
        "one command to a running server ('mailflux ctl help' lists them)",
    ),
    (
        "mailflux attach [--socket PATH]",
        "the console, on a server that runs elsewhere on this machine",
    ),
    ("mailflux probe [NAME]", "try a next server step by step, without mail"),
    ("mailflux sink ADDRESS:PORT [--store DIR]", "a next server for trials: it accepts everything"),
    ("mailflux explain WORD", "what a command, reply code, extension, state or fault means"),
    ("mailflux passwd USER", "print a line for the users file"),
];

/// Where settings come from.
pub(super) const FILES: &str = "\
Without -c the configuration is the first of ./mailflux.ini,
$XDG_CONFIG_HOME/mailflux/mailflux.ini and /etc/mailflux/mailflux.ini. What the
command line sets goes before what the file sets. docs/settings.md lists all
settings. MAILFLUX_LOG=FILTER goes before log.level.
";

/// Command lines, each on a line of its own.
pub(super) const EXAMPLES: &str = "\
\x20   mailflux -n mail.example.com                forward to this server, port 25
    mailflux -l 0.0.0.0:25 -n [2001:db8::1]:26 -d /var/spool/mailflux
    mailflux --check-config | grep listen
    echo hello | mailflux send you@example.org
";

/// What signals do.
pub(super) const SIGNALS: &str = "\
TERM and INT end after open transactions had up to 10 s to finish, a
second one ends at once; HUP reads the configuration again, or with a console
means that the terminal is gone: headless from then on.
";

/// How the program ends.
pub(super) const EXIT_CODES: &str = "\
0 fine, 64 usage, 65 bad or refused message, 69 server not
reachable, 71 system error, 73 cannot create, 75 try again later,
77 no permission, 78 configuration.
";
