//! What sections of rules have in common: `[filter.NAME]` and `[fault.NAME]`.

use super::super::settings::Source;
use super::Maker;
use crate::rules::Expr;

impl<'a> Maker<'a> {
    /// The sections of a family in order, each with the value of the key that it must have. What
    /// is wrong with the others is complained of, their condition included, so that one run tells
    /// all.
    pub(super) fn rules(
        &mut self,
        family: &str,
        key: &'static str,
        sample: &str,
        most: usize,
    ) -> Vec<(&'a str, String)> {
        let settings = self.settings;
        let sections = settings.named_sections(family);
        if let Some(beyond) = sections.get(most) {
            let source = settings.source(beyond, key).clone();
            self.complain(&source, format!("more than {most} {family}s"));
        }
        sections
            .into_iter()
            .filter_map(|section| {
                if section.rsplit('.').next() == Some("all") {
                    let source = settings.source(section, key).clone();
                    let what =
                        format!("'all' is no name for a {family}: '{family} delete all' takes all");
                    self.complain(&source, what);
                    return None;
                }
                if let Some(value) = self.text(section, key) {
                    return Some((section, value));
                }
                if !self.wrong.contains(section) {
                    let what =
                        format!("[{section}] has no {key}; give it one, such as {key} = {sample}");
                    self.complain(&Source::Default, what);
                }
                let _ = self.condition(section);
                None
            })
            .collect()
    }

    /// The `where` of a rule, if it has one; an error when it has one that is wrong.
    pub(super) fn condition(&mut self, section: &str) -> Result<Option<Expr>, ()> {
        let Some(text) = self.text(section, "where") else { return Ok(None) };
        Expr::parse(&text).map(Some).map_err(|e| {
            let source = self.settings.source(section, "where").clone();
            self.complain(&source, format!("where: column {}: {}", e.column, e.message));
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::config::{Config, Sources, load};

    /// The configuration of a file that begins with a next server, or all errors.
    pub fn make(text: &str) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.ini");
        std::fs::write(&path, format!("[next_server]\nhost = a\n{text}")).unwrap();
        load(&Sources { file: Some(path), ..Sources::default() })
            .map_err(|e| e.message.replace(&format!("{}/", dir.path().display()), ""))
    }

    #[test]
    fn a_condition_is_looked_at_beside_another_fault() {
        for (rule, column) in [("filter.a]\naction = rejcet", 6), ("fault.a]\nstage = rctp", 6)] {
            let errors = make(&format!("[{rule}\nwhere = from = \"x\"\n")).unwrap_err();
            assert!(errors.contains("did you mean"), "{errors}");
            assert!(errors.contains(&format!("m.ini:5: where: column {column}: ")), "{errors}");
        }
        let errors = make("[fault.a]\nwhere = &&\n").unwrap_err();
        assert!(errors.contains("has no stage") && errors.contains("m.ini:4: where:"), "{errors}");
    }
}
