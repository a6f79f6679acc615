//! `--check-config`: every setting, its value, and where it came from.

use std::fmt::Write as _;

use crate::base::Printable;
use crate::config::{Config, Source};

/// One line a setting.
pub fn listing(config: &Config) -> String {
    let mut text = String::new();
    for row in config.rows() {
        let value = Printable::new(&row.value);
        let source = match row.source {
            Source::Default => "default".to_owned(),
            Source::File { line } => {
                let file = config.settings.file().map(|f| f.display().to_string());
                format!("{}:{line}", Printable::new(file.unwrap_or_default()))
            }
            Source::Given(by) => Printable::new(by).into_string(),
            Source::Runtime => "changed while running".to_owned(),
        };
        let _ = writeln!(text, "{} = {value}    # {source}", row.name);
    }
    text
}
