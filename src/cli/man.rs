//! docs/mailflux.8, the manual page: made of what `--help` prints and of the table of settings.

use std::fmt::Write as _;

use super::help::{ABOUT, EXAMPLES, EXIT_CODES, FILES, SIGNALS, USES};
use super::options::server_options;
use crate::config::table::{Keys, Naming, Preset, SECTIONS, Section, Setting};

const HEAD: &str = concat!(
    ".\\\" Made of src/cli/help.rs, src/cli/options.rs and src/config/table.rs: change\n",
    ".\\\" those, then\n",
    ".\\\" MAILFLUX_BLESS=1 cargo test --lib cli::man\n",
    ".TH MAILFLUX 8 \"\" \"MailFlux ",
    env!("CARGO_PKG_VERSION"),
    "\" \"System Administration\"\n.ad l\n.nh\n"
);

const DESCRIPTION: &str = "\
MailFlux accepts mail by SMTP, makes it durable before it says 250, and forwards it to a next \
server. On a terminal it is a console, where SMTP is seen as it happens and commands are given; \
`mailflux ctl` gives the same commands to a server that runs elsewhere on the machine.";

const SETTINGS: &str = "\
A setting stands in the file under its section, `[server]` and then `listen = 127.0.0.1:2525`, or \
is given as `--set server.listen=127.0.0.1:2525`. Comments begin with ; or # and have a line of \
their own. Durations are written 500ms, 15s, 5m, 1h30m, 5d; sizes 512K, 50M, 1G. \
`mailflux --check-config` prints every setting, its value and where it came from.";

const PLACES: &[(&str, &str)] = &[
    ("/etc/mailflux/mailflux.ini", "the configuration of a system"),
    ("SPOOL/queue", "mail that waits, a file for each message, in plain text"),
    ("SPOOL/corrupt", "what could not be read as mail; nothing there is ever thrown away"),
    ("SPOOL/history", "past dialogue, as long as insight.history says"),
    ("SPOOL/control.sock", "where `ctl` and `attach` come in; see server.control"),
];

/// The page, in the macros of man(7).
pub fn man_page() -> String {
    let mut page = HEAD.to_owned();
    let _ = write!(page, ".SH NAME\nmailflux \\- {}\n.SH SYNOPSIS\n.nf\n", text(ABOUT));
    for (how, _) in USES {
        let _ = writeln!(page, "{}", text(how));
    }
    let _ = write!(page, ".fi\n.SH DESCRIPTION\n{}\n.SH COMMANDS\n", text(DESCRIPTION));
    for (how, what) in USES {
        item(&mut page, how, what);
    }
    page.push_str(".SH OPTIONS\n");
    for (names, what) in options() {
        item(&mut page, &names, &what);
    }
    let _ = write!(page, ".PP\n{}\n.SH SETTINGS\n{}\n", flat(FILES), text(SETTINGS));
    SECTIONS.iter().for_each(|section| add_section(&mut page, section));
    let _ = write!(page, ".SH SIGNALS\n{}\n", flat(SIGNALS));
    let _ = write!(page, ".SH EXIT STATUS\n{}\n.SH FILES\n", flat(EXIT_CODES));
    for (path, what) in PLACES {
        item(&mut page, path, what);
    }
    let _ = write!(page, ".SH EXAMPLES\n.nf\n{}.fi\n", lines(EXAMPLES));
    page.push_str(".SH SEE ALSO\n.BR sendmail (8),\n.BR systemd.socket (5)\n");
    page
}

fn add_section(page: &mut String, section: &Section) {
    let name = match section.naming {
        Naming::Plain => format!("[{}]", section.name),
        Naming::Named => format!("[{}.NAME]", section.name),
        Naming::PlainAndNamed => format!("[{0}] and [{0}.NAME]", section.name),
    };
    let _ = write!(page, ".SS {}\n{}\n", text(&name), text(section.help));
    for setting in section.settings() {
        let name = match section.keys {
            Keys::Fixed(_) if section.naming == Naming::Named => {
                format!("{}.NAME.{}", section.name, setting.key)
            }
            Keys::Fixed(_) => format!("{}.{}", section.name, setting.key),
            Keys::Open(..) => setting.key.to_owned(),
        };
        item(page, &name, &about(setting));
    }
}

fn about(setting: &Setting) -> String {
    let preset = match setting.preset {
        Preset::Unset => "none".to_owned(),
        Preset::Is(value) => format!("`{value}`"),
        Preset::Derived(words) => words.to_owned(),
    };
    let live = if setting.live { " Can change while the server runs." } else { "" };
    let secret = if setting.secret { " Never shown." } else { "" };
    format!("{}. Value: {}. Default: {preset}.{live}{secret}", setting.help, setting.kind)
}

/// Each option with its names, as the parser itself describes them.
fn options() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let _ = server_options().usage_with_format(|items| {
        all.extend(items.map(|item| {
            let item = item.trim();
            let (names, what) =
                item.split_once("  ").or(item.split_once('\n')).unwrap_or((item, ""));
            let what: Vec<&str> = what.split_whitespace().collect();
            (names.trim().to_owned(), what.join(" "))
        }));
        String::new()
    });
    all
}

fn item(page: &mut String, name: &str, what: &str) {
    let _ = write!(page, ".TP\n\\fB{}\\fR\n{}\n", text(name), text(what));
}

/// Lines that stay as they are.
fn lines(all: &str) -> String {
    all.lines().map(|line| format!("{}\n", text(line.trim_start()))).collect()
}

/// Lines that are filled again.
fn flat(all: &str) -> String {
    text(&all.lines().collect::<Vec<_>>().join(" "))
}

/// Text in which roff sees nothing but text; what stands in backquotes is bold.
fn text(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len());
    // At the start of a line these two would begin a request.
    if plain.starts_with(['.', '\'']) {
        out.push_str("\\&");
    }
    let mut bold = false;
    for c in plain.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => {
                bold = !bold;
                out.push_str(if bold { "\\fB" } else { "\\fR" });
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page in the repository is this one; MAILFLUX_BLESS=1 writes it anew.
    #[test]
    fn the_page_is_that_of_the_program() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mailflux.8");
        let page = man_page();
        if std::env::var_os("MAILFLUX_BLESS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(found, page, "MAILFLUX_BLESS=1 cargo test --lib cli::man");
    }

    #[test]
    fn options_have_names_and_words() {
        let all = options();
        let set = ("-s, --set SECTION.KEY=VALUE", "set one setting (repeatable)");
        assert!(all.iter().any(|(names, what)| (names.as_str(), what.as_str()) == set), "{all:?}");
        assert!(all.iter().all(|(names, what)| names.starts_with('-') && !what.is_empty()));
    }

    #[test]
    fn text_is_no_request() {
        assert_eq!(text(".so /etc/passwd"), "\\&.so /etc/passwd");
        assert_eq!(text("a\\n -x `b` 'c'"), "a\\en \\-x \\fBb\\fR \\(aqc\\(aq");
        // The only requests are the page's own.
        let known =
            [".TH ", ".ad l", ".nh", ".SH ", ".SS ", ".TP", ".PP", ".nf", ".fi", ".BR ", ".\\\""];
        for line in man_page().lines().filter(|line| line.starts_with(['.', '\''])) {
            assert!(known.iter().any(|request| line.starts_with(request)), "{line}");
        }
    }
}
