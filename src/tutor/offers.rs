//! What EHLO was answered with, in the clear and then inside TLS.

use crate::base::Printable;
use crate::journal::{Side, Sign};

/// Lines of a reply that are looked at.
const MAX_LINES: usize = 50;
/// Characters of an offer as it is told.
const SHOWN: usize = 120;

/// The offers of one session.
#[derive(Default, Debug)]
pub(super) struct Offers {
    /// The lines of the reply so far, without code.
    reply: Vec<String>,
    /// What was offered in the clear, if EHLO was said there.
    in_clear: Option<Vec<String>>,
}

impl Offers {
    /// The server said a line; with the command that it answers, and the code, when it is the last.
    /// Tells what is different where EHLO was said in the clear and is answered inside TLS.
    pub(super) fn hear(
        &mut self,
        sign: Sign,
        text: &[u8],
        answered: Option<&(String, u16)>,
    ) -> Option<String> {
        let Sign::Said { side: Side::Server, tls } = sign else { return None };
        if self.reply.len() < MAX_LINES {
            let words = text.get(4..).unwrap_or_default();
            self.reply.push(Printable::bounded(words, SHOWN).into_string());
        }
        let (word, code) = answered?;
        // The first line is the server's name.
        let offers: Vec<String> = std::mem::take(&mut self.reply).into_iter().skip(1).collect();
        if !word.eq_ignore_ascii_case("EHLO") || *code != 250 {
            return None;
        }
        if !tls {
            self.in_clear = Some(offers);
            return None;
        }
        let before = self.in_clear.take()?;
        let without = |all: &[String], known: &[String]| {
            let new: Vec<&str> =
                all.iter().filter(|one| !known.contains(one)).map(String::as_str).collect();
            if new.is_empty() { "nothing".to_owned() } else { new.join(", ") }
        };
        Some(format!(
            "What is different from the EHLO in the clear: gone is {}; new is {}.",
            without(&before, &offers),
            without(&offers, &before)
        ))
    }
}
