//! Saving: changes go into the file's text line by line, and everything else stays as it was.

/// One setting to be changed in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// As in the file: `next_server.backup`.
    pub section: String,
    /// The key in it.
    pub key: String,
    /// The new value; none takes the line out.
    pub value: Option<String>,
}

/// The text of the file with the changes made: lines of known keys are replaced, new keys come
/// after the last one of their section, new sections at the end. Comments, blanks, order and line
/// ends stay. Values must not contain line ends, which no kind of setting allows.
pub fn save_lines(text: &str, changes: &[Change]) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    for change in changes {
        save_one(&mut lines, change, end);
    }
    lines.concat()
}

fn save_one(lines: &mut Vec<String>, change: &Change, end: &str) {
    let mut section: Option<&str> = None;
    // The last line of the section that says something, and the line of the key.
    let (mut last, mut own) = (None, None);
    for (i, line) in lines.iter().enumerate() {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = Some(name.trim());
        }
        if section == Some(change.section.as_str()) {
            last = Some(i);
            if is_key(line, &change.key) {
                own = Some(i);
            }
        }
    }
    let entry = change.value.as_ref().map(|value| format!("{} = {value}", change.key));
    match (own, entry, last) {
        (Some(i), Some(entry), _) => {
            let line = &lines[i];
            let indent = &line[..line.len() - line.trim_start().len()];
            let tail = &line[line.trim_end().len()..];
            lines[i] = format!("{indent}{entry}{tail}");
        }
        (Some(i), None, _) => {
            lines.remove(i);
        }
        (None, None, _) => {}
        (None, Some(entry), Some(i)) => {
            finish_line(&mut lines[i], end);
            lines.insert(i + 1, format!("{entry}{end}"));
        }
        (None, Some(entry), None) => {
            if let Some(line) = lines.last_mut() {
                finish_line(line, end);
                lines.push(end.to_owned());
            }
            lines.push(format!("[{}]{end}", change.section));
            lines.push(format!("{entry}{end}"));
        }
    }
}

/// Whether a line sets this key. Only keys of routes contain `=`, and never blanks before it.
fn is_key(line: &str, key: &str) -> bool {
    line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
}

fn finish_line(line: &mut String, end: &str) {
    if !line.ends_with('\n') {
        line.push_str(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(section: &str, key: &str, value: Option<&str>) -> Change {
        Change { section: section.into(), key: key.into(), value: value.map(str::to_owned) }
    }

    const FILE: &str = "; mine\n[server]\n  max_hops=5\n# limits\n\n[next_server]\nhost = a\n\
                        ; port = 26\n\n[queue]\n";

    #[test]
    fn a_known_key_is_replaced_in_its_line() {
        let saved = save_lines(FILE, &[change("server", "max_hops", Some("7"))]);
        assert_eq!(saved, FILE.replace("max_hops=5", "max_hops = 7"));
        let windows = FILE.replace('\n', "\r\n");
        let saved = save_lines(&windows, &[change("next_server", "host", Some("b"))]);
        assert_eq!(saved, windows.replace("host = a", "host = b"));
    }

    #[test]
    fn a_new_key_comes_after_the_last_of_its_section() {
        let saved = save_lines(FILE, &[change("next_server", "port", Some("27"))]);
        assert_eq!(saved, FILE.replace("host = a\n", "host = a\nport = 27\n"));
        let saved = save_lines(FILE, &[change("queue", "interval", Some("1s"))]);
        assert_eq!(saved, format!("{FILE}interval = 1s\n"));
        let saved = save_lines("[queue]", &[change("queue", "interval", Some("1s"))]);
        assert_eq!(saved, "[queue]\ninterval = 1s\n");
    }

    #[test]
    fn a_new_section_comes_at_the_end() {
        let changes = [change("log", "level", Some("warn")), change("log", "format", Some("json"))];
        let saved = save_lines(FILE, &changes);
        assert_eq!(saved, format!("{FILE}\n[log]\nlevel = warn\nformat = json\n"));
        assert_eq!(save_lines("", &changes[..1]), "[log]\nlevel = warn\n");
        assert_eq!(save_lines("; x", &changes[..1]), "; x\n\n[log]\nlevel = warn\n");
    }

    #[test]
    fn a_line_is_taken_out_and_nothing_else() {
        let saved = save_lines(FILE, &[change("server", "max_hops", None)]);
        assert_eq!(saved, FILE.replace("  max_hops=5\n", ""));
        assert_eq!(save_lines(FILE, &[change("server", "timeout", None)]), FILE);
    }

    #[test]
    fn only_the_whole_name_in_the_right_section_counts() {
        let text = "[a]\nhostname = x\nhost = y\n[b]\nhost = z\n";
        let saved = save_lines(text, &[change("a", "host", Some("n"))]);
        assert_eq!(saved, "[a]\nhostname = x\nhost = n\n[b]\nhost = z\n");
        let text = "[routes]\nfrom:a=b@x.org = one\n";
        let saved = save_lines(text, &[change("routes", "from:a=b@x.org", Some("two"))]);
        assert_eq!(saved, "[routes]\nfrom:a=b@x.org = two\n");
    }
}
