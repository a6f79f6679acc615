//! `--check-config`: every setting, its value, and where it came from.

use crate::base::Printable;
use crate::config::{Config, Row, Source};

/// Values longer than this do not push the column of sources further right.
const MAX_WIDTH: usize = 40;

/// The whole answer: one line a setting, `name = value`, then a comment with the source.
pub(super) fn page(config: &Config) -> String {
    let file = config.settings.file().map(|f| f.display().to_string());
    let head = match &file {
        Some(file) => format!("# configuration file: {}\n", Printable::new(file)),
        None => "# no configuration file\n".to_owned(),
    };
    let rows = config.rows();
    let shown: Vec<(String, String, Printable)> =
        rows.iter().map(|row| shown(row, file.as_deref())).collect();
    let name_width = shown.iter().map(|s| width(&s.0)).max().unwrap_or(0);
    let value_width = shown.iter().map(|s| width(&s.1)).filter(|w| *w <= MAX_WIDTH).max();
    let value_width = value_width.unwrap_or(0);
    let lines = shown.iter().map(|(name, value, source)| {
        format!("{name:name_width$} = {value:value_width$}  # {source}\n")
    });
    std::iter::once(head).chain(lines).collect()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn shown(row: &Row<'_>, file: Option<&str>) -> (String, String, Printable) {
    let source = match row.source {
        Source::File { line } => format!("{}:{line}", file.unwrap_or_default()),
        other => other.to_string(),
    };
    let (name, value) = (Printable::new(&row.name), Printable::new(&row.value));
    (name.into_string(), value.into_string(), Printable::new(source))
}
