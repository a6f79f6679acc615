//! Making the faults: the words of each section, checked as a whole.

use super::Maker;
use crate::rules::{At, FAULT_KEYS, Fault, MAX_FAULTS};

impl Maker<'_> {
    /// All faults, in order; what is wrong with one is complained of at its line.
    pub(super) fn faults(&mut self) -> Vec<(String, Fault)> {
        let rules = self.rules("fault", "stage", "rcpt", MAX_FAULTS);
        rules.into_iter().filter_map(|(section, stage)| self.fault(section, &stage)).collect()
    }

    fn fault(&mut self, section: &str, stage: &str) -> Option<(String, Fault)> {
        let name = section.rsplit('.').next().unwrap_or_default();
        let source = self.settings.source(section, "stage").clone();
        // A choice of the table.
        let at = At::parse(stage).ok()?;
        let filter = self.condition(section).ok()?;
        let values = FAULT_KEYS.map(|key| (key, self.text(section, key)));
        let value = |wanted| {
            values.iter().find(|(key, _)| *key == wanted).and_then(|(_, value)| value.as_deref())
        };
        match Fault::read(at, filter, value) {
            Ok(fault) => Some((name.to_owned(), fault)),
            Err((Some(key), message)) => {
                let source = self.settings.source(section, key).clone();
                self.complain(&source, format!("{key}: {message}"));
                None
            }
            Err((None, message)) => {
                // What is missing may stand in a line that is wrong.
                if !self.wrong.contains(section) {
                    self.complain(&source, format!("[{section}] {message}"));
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::make::rules::tests::make;

    #[test]
    fn faults_in_the_order_of_the_file() {
        let text = "[fault.slow]\nstage = any\nrate = 100\nleg = sink\n[fault.later]\n\
                    stage = rcpt\nreply = \"451 4.3.0 try later\"\nodds = 10%\ncount = 3\n\
                    for = 1h\nseed = 7\nwhere = rcpt ~ \"^b; #\"\n";
        let config = make(text).unwrap();
        let shown: Vec<String> =
            config.faults.iter().map(|(name, fault)| format!("{name}: {fault}")).collect();
        assert_eq!(
            shown,
            [
                "slow: any rate=100 leg=sink",
                "later: rcpt reply=\"451 4.3.0 try later\" odds=10% where rcpt ~ \"^b; #\"",
            ]
        );
        assert_eq!(config.changed("fault.later.count", "5").unwrap().faults[1].1.count, Some(5));
        assert!(config.changed("fault.later.count", "0").is_err());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, words) in [
            ("[fault.x]\nreply = 451 x\n", "[fault.x] has no stage"),
            ("[fault.x]\nstage = rctp\n", "m.ini:4: stage: unknown value 'rctp'; did you mean"),
            ("[fault.x]\nstage = rcpt\n", "m.ini:4: [fault.x] what is to go wrong?"),
            ("[fault.x]\nstage = rcpt\ncut = x\n", "m.ini:5: cut: 'x' is not a number"),
            ("[fault.x]\nstage = rcpt\nreply = 250 ok\n", "m.ini:5: reply: 250 would say"),
            ("[fault.x]\nstage = rcpt\ncut = 0\nwhere = a ==\n", "m.ini:6: where: column "),
            ("[fault.all]\nstage = rcpt\ncut = 0\n", "m.ini:4: 'all' is no name for a fault"),
            ("[fault]\nstage = rcpt\n", "m.ini:3: unknown section [fault]; give it a name"),
        ] {
            let error = make(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
