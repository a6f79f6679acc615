//! docs/settings.md, made of the table.

use std::fmt::Write as _;

use super::table::{Keys, Naming, Preset, SECTIONS, Setting};

const INTRODUCTION: &str = "\
# Settings

Every setting of MailFlux. This page is made of the table in `src/config/table.rs`; to change it,
change the table and run `MAILFLUX_BLESS=1 cargo test --lib config::docs`.

A setting stands in the file under its section, `[server]` and then `listen = 127.0.0.1:2525`, and
is given on the command line as `--set server.listen=127.0.0.1:2525`. The order of precedence is
built-in default < file < command line < change at run time; `mailflux --check-config` prints every
setting with its value and where it came from.

Lines that begin with `;` or `#` are comments; there are none behind a value, since a value may
contain any character. Upper and lower case differ. Durations are written `500ms`, `15s`, `5m`,
`1h30m`, `5d`; sizes `512K`, `50M`, `1G` (powers of 1024). Relative paths start at the file's
folder, on the command line at the working folder, and those of built-in defaults at the file's
folder when there is a file. Settings marked *live* can change while the server runs.
";

/// The whole page, in Markdown.
pub fn settings_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in SECTIONS {
        let _ = match section.naming {
            Naming::Plain => write!(page, "\n## `[{}]`\n", section.name),
            Naming::Named => write!(page, "\n## `[{}.NAME]`\n", section.name),
            Naming::PlainAndNamed => write!(page, "\n## `[{0}]`, `[{0}.NAME]`\n", section.name),
        };
        let _ = write!(page, "\n{}\n\n", section.help);
        page.push_str("| setting | value | default | live | meaning |\n");
        page.push_str("| --- | --- | --- | --- | --- |\n");
        for setting in section.settings() {
            let name = match section.keys {
                Keys::Fixed(_) if section.naming == Naming::Named => {
                    format!("`{}.NAME.{}`", section.name, setting.key)
                }
                Keys::Fixed(_) => format!("`{}.{}`", section.name, setting.key),
                Keys::Open(..) => format!("`{}` in `[{}]`", setting.key, section.name),
            };
            page.push_str(&line(&name, setting));
        }
    }
    page
}

fn line(name: &str, setting: &Setting) -> String {
    let preset = match setting.preset {
        Preset::Unset => "none".to_owned(),
        Preset::Is(text) => format!("`{text}`"),
        Preset::Derived(words) => words.to_owned(),
    };
    let live = if setting.live { "live" } else { "" };
    let secret = if setting.secret { " (never shown)" } else { "" };
    format!("| {name} | {} | {preset} | {live} | {}{secret} |\n", setting.kind, setting.help)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page in the repository is what the table says; MAILFLUX_BLESS=1 writes it anew.
    #[test]
    fn the_page_is_that_of_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/settings.md");
        let page = settings_page();
        if std::env::var_os("MAILFLUX_BLESS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(found, page, "MAILFLUX_BLESS=1 cargo test --lib config::docs");
    }

    #[test]
    fn no_cell_breaks_the_tables() {
        for line in settings_page().lines().filter(|l| l.starts_with('|')) {
            assert_eq!(line.matches('|').count(), 6, "{line}");
        }
    }
}
