//! docs/commands.md, made of the table of verbs.

use std::fmt::Write as _;

use super::verbs::VERBS;

const INTRODUCTION: &str = r#"# Commands

What can be asked of a running server, in the console and with `mailflux ctl COMMAND`. This page is
made of the table in `src/control/verbs.rs`; to change it, change the table and run
`MAILFLUX_BLESS=1 cargo test --lib control::docs`.

A command is `verb [object] [id] [key=value ...] [where EXPR]`. Verbs and objects may be shortened
while that is unique. What holds blanks stands in double quotes, in which only `\"` is an escape;
for `ctl` an argument of the shell that holds blanks is one word. A wrong command changes nothing,
and says at which column it is wrong; `ctl` ends with exit code 1 then, and with 69 when no server
answers.

`i7` is an inbound session, `o3` an outbound one, `q1A` a message.

"#;

const LANGUAGE: &str = include_str!("language.md");

/// The whole page, in Markdown.
pub fn commands_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("| command | what it does |\n| --- | --- |\n");
    for verb in VERBS {
        let usage = verb.usage.replace('|', "\\|");
        let _ = writeln!(page, "| `{usage}` | {} |", verb.help);
    }
    page.push_str(LANGUAGE);
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{FIELD_NAMES, Field};

    /// The page in the repository is what the table says; MAILFLUX_BLESS=1 writes it anew.
    #[test]
    fn the_page_is_that_of_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
        let page = commands_page();
        if std::env::var_os("MAILFLUX_BLESS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(found, page, "MAILFLUX_BLESS=1 cargo test --lib control::docs");
    }

    #[test]
    fn every_field_is_named() {
        for name in FIELD_NAMES {
            let name =
                name.strip_suffix('.').map_or(name.to_owned(), |name| format!("{name}.NAME"));
            assert!(LANGUAGE.contains(&format!("`{name}`")), "{name}");
            assert!(Field::parse(&name).is_some(), "{name}");
        }
    }
}
