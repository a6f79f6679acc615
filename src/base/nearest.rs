//! "Did you mean": the nearest of the names that exist.

/// The candidate that is nearest to what was written, if one is near enough to have been meant.
/// Upper and lower case do not count.
pub fn nearest<S: AsRef<str>>(
    written: &str,
    candidates: impl IntoIterator<Item = S>,
) -> Option<String> {
    // What is longer than any name is nobody's slip, and its distance would cost time.
    if written.len() > 100 {
        return None;
    }
    let written: Vec<char> = written.to_lowercase().chars().collect();
    let allowed = (written.len() / 3).clamp(1, 3);
    let distances = candidates.into_iter().map(|c| {
        let name: Vec<char> = c.as_ref().to_lowercase().chars().collect();
        (distance(&written, &name), c)
    });
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= allowed).then(|| name.as_ref().to_owned())
}

/// Edits between two words: insert, delete, replace, or swap two neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let names = ["host", "port", "tls", "connections"];
        let near = |word| nearest(word, names);
        assert_eq!(near("prot").as_deref(), Some("port"));
        assert_eq!(near("HOST").as_deref(), Some("host"));
        assert_eq!(near("conections").as_deref(), Some("connections"));
        assert_eq!(near("tsl").as_deref(), Some("tls"));
        for stranger in ["", "x", "user", "colour", "portability"] {
            assert_eq!(near(stranger), None, "{stranger}");
        }
        assert_eq!(near(&"port".repeat(1000)), None);
        assert_eq!(nearest("x", [] as [&str; 0]), None);
    }

    #[test]
    fn distances() {
        let d = |a: &str, b: &str| {
            distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
        };
        for (a, b, n) in [("", "", 0), ("", "ab", 2), ("ab", "ba", 1), ("abc", "axc", 1)] {
            assert_eq!((d(a, b), d(b, a)), (n, n), "{a} {b}");
        }
        assert_eq!(d("kitten", "sitting"), 3);
    }
}
