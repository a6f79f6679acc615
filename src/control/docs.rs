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

const LANGUAGE: &str = r#"
## The language of `where`

    mailflux ctl queue where 'rcpt ~ "@example\.net$" && reply >= 400'
    mailflux ctl follow where 'client in 192.0.2.0/24 && delay > 1s'

Fields: `client`, `helo`, `from`, `rcpt`, `size`, `subject`, `header.NAME`, `verb`, `reply`,
`delay`, `tls`, `user`, `session`, `id`, `next`. Operators: `==`, `!=`, `<`, `<=`, `>`, `>=`, `~` (a
regular expression fits), `in` (a list, or networks), `&&`, `||`, `!`, parentheses. After `where` all
that remains of the line is one expression. Sizes (`50M`) and durations (`1s`) have units, texts
stand in double quotes; `==` and `in` do not mind the case of letters, `~` does unless it begins
with `(?i)`. A comparison with what is not known is false.

## For programs

With `--json` each answer is one JSON value; `follow` writes one a line, for ever. An answer that is
refused is `{"error": TEXT, "column": N}`. Times are Unix seconds or null.

| command | fields |
| --- | --- |
| `status` | `version pid uptime_s console inbound outbound held_sessions queue deferred held accepted delivered bounced rejected bytes_in bytes_out last_tick_ms max_tick_ms max_sync_ms` |
| `queue` | `messages`: `id size sender received next_attempt held recipients`, each recipient with `address state attempts last_reply next`; `state` is pending, deferred, delivered or failed; `attempts` of one that is done is null |
| `sessions` | `sessions`: `id leg peer state held age_s tls user from rcpts bytes last` |
| `stats` | counters by name, `reply_codes`, `next_reply_codes`, `stages` with `count p50 p95 p99 max` in milliseconds; the same for `minute`, `hour` and `day` |
| `next list` | `next_servers`: `name host port state since until connections due carried waiting last_reply` |
| `config get` | `settings`: `name value source`; of one setting these three |

The socket itself speaks lines of JSON; `src/control/wire.rs` describes them. It belongs to the
server's user (mode 0600), and the server asks the system who is at the other end.
"#;

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
