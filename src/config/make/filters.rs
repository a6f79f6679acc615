//! Making the filters: the words of each section, checked as a whole.

use super::super::settings::Source;
use super::super::typed::NextServerSettings;
use super::Maker;
use crate::base::nearest;
use crate::rules::filter::{Action, Draft, Filter, MAX_FILTERS, Origin, Part};

impl Maker<'_> {
    /// All filters, in order; what is wrong with one is complained of at its line.
    pub(super) fn filters(&mut self, servers: &[NextServerSettings]) -> Vec<(Filter, Origin)> {
        let rules = self.rules("filter", "action", "hold", MAX_FILTERS);
        let make = |(section, action): (&str, String)| self.filter(section, &action, servers);
        rules.into_iter().filter_map(make).collect()
    }

    fn filter(
        &mut self,
        section: &str,
        action: &str,
        servers: &[NextServerSettings],
    ) -> Option<(Filter, Origin)> {
        let name = section.rsplit('.').next().unwrap_or_default();
        let source = self.settings.source(section, "action").clone();
        let word = |key| self.text(section, key).map(unquoted);
        let [reply, to, via, header] = ["reply", "to", "via", "header"].map(word);
        let [rate, per, stage] = ["rate", "per", "stage"].map(word);
        let condition = self.text(section, "where");
        let draft = Draft {
            action,
            condition: condition.as_deref(),
            reply: reply.as_deref(),
            to: to.as_deref(),
            via: via.as_deref(),
            header: header.as_deref(),
            rate: rate.as_deref(),
            per: per.as_deref(),
            stage: stage.as_deref(),
        };
        let filter = draft.make(name).map_err(|e| {
            let source = self.settings.source(section, e.part.key()).clone();
            let (key, message) = (e.part.key(), e.message);
            let at = e.column.map(|column| format!("column {column}: ")).unwrap_or_default();
            self.complain(&source, format!("{key}: {at}{message}"));
        });
        let filter = filter.ok()?;
        self.check_via(section, &filter, servers);
        let origin = match source {
            Source::File { line } => Origin::File(line),
            Source::Runtime => Origin::Added,
            Source::Default | Source::Given(_) => Origin::Given,
        };
        Some((filter, origin))
    }

    /// The next servers of a route exist.
    fn check_via(&mut self, section: &str, filter: &Filter, servers: &[NextServerSettings]) {
        let Action::Route(names) = &filter.action else { return };
        for name in names {
            let declared = format!("next_server.{name}");
            if servers.iter().any(|s| s.name == *name) || self.wrong.contains(&declared) {
                continue;
            }
            let hint = match nearest(name, servers.iter().map(|s| &s.name)) {
                Some(near) => format!("; did you mean '{near}'?"),
                None => format!("; declare it in [{declared}]"),
            };
            let source = self.settings.source(section, Part::VIA.key()).clone();
            self.complain(&source, format!("via: no next server is named '{name}'{hint}"));
        }
    }
}

/// In commands these words stand in quotes, and so people write them in the file, too.
fn unquoted(text: String) -> String {
    let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inside.map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use crate::config::make::rules::tests::make;
    use crate::rules::filter::Origin;

    const GOOD: &str = "\
[filter.spam]
action = reject
reply = \"550 5.7.1 no spam\"
where = subject ~ \"(?i)viagra; now # cheap\" && !(user == \"ann\")
[filter.late]
action = limit
rate = 60/m
per = sender
";

    #[test]
    fn filters_in_the_order_of_the_file() {
        let config = make(GOOD).unwrap();
        let names: Vec<_> = config.filters.iter().map(|(f, o)| (f.name.as_str(), *o)).collect();
        assert_eq!(names, [("spam", Origin::File(4)), ("late", Origin::File(8))]);
        let reply = config.filters[0].0.action.reply().unwrap();
        assert_eq!((reply.code, &*reply.text), (550, b"no spam".as_slice()));
        assert!(config.filters[0].0.source().contains("viagra; now # cheap"));
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_line() {
        let text = "\
[filter.a]
action = rejcet
[filter.b]
action = hold
where = tls &&  foo == 1
[filter.c]
action = reject
reply = 250 fine
[filter.d]
where = tls
[filter.e]
action = route
via = defualt
[filter.all]
action = hold
[filter.f]
action = hold
wher = tls
";
        let errors = make(text).unwrap_err();
        let lines: Vec<&str> = errors.lines().collect();
        for (line, hint) in [
            (4, "did you mean 'reject'?"),
            (7, "where: column 9: unknown field 'foo'"),
            (10, "reply: '250 fine' is not a refusal"),
            (15, "via: no next server is named 'defualt'; did you mean 'default'?"),
            (17, "'all' is no name"),
            (20, "did you mean 'where'?"),
        ] {
            let found = lines.iter().find(|l| l.starts_with(&format!("m.ini:{line}: ")));
            assert!(found.is_some_and(|l| l.contains(hint)), "{line} {hint}: {errors}");
        }
        assert!(
            make("[filter.d]\nwhere = tls\n").unwrap_err().contains("[filter.d] has no action")
        );
        assert!(make("[filter]\naction = hold\n").unwrap_err().contains("[filter.NAME]"));
    }

    #[test]
    fn added_and_deleted_while_running() {
        let config = make(GOOD).unwrap();
        let words = [("action", "hold"), ("where", "rcpt ~ \"@x$\"")];
        let config = config.with_filter("f1", &words).unwrap();
        assert_eq!(config.filters[2].1, Origin::Added);
        assert!(config.with_filter("f2", &[("action", "hold"), ("where", "x")]).is_err());
        let config = config.without_filters(&["spam".to_owned(), "f1".to_owned()]).unwrap();
        assert_eq!(config.filters.len(), 1);
        assert_eq!(config.settings.removed(), ["filter.spam"]);
    }
}
