//! What a next server offers in its reply to EHLO (RFC 5321 section 4.1.1.1).

use crate::base::Reply;
use crate::smtp::Hidden;

/// What the server offers; nothing after HELO.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Extensions {
    /// RFC 2920: commands may go out in groups.
    pub pipelining: bool,
    /// RFC 3030: BDAT.
    pub chunking: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 4954: the mechanisms, in upper case with blanks between.
    pub auth: Option<Box<str>>,
    /// RFC 1870: offered, and the largest message in octets; 0 is no limit.
    pub size: Option<u64>,
    /// RFC 9422, `LIMITS RCPTMAX`: RCPT commands in one transaction.
    pub rcpt_max: Option<u32>,
    /// RFC 9422, `LIMITS RCPTDOMAINMAX`: domains among the recipients of one transaction.
    pub rcpt_domain_max: Option<u32>,
    /// RFC 9422, `LIMITS MAILMAX`: transactions on one connection.
    pub mail_max: Option<u32>,
}

impl Extensions {
    /// Reads the lines of a positive reply to EHLO, but for what is hidden. Nothing in them is an
    /// error: what is unknown or malformed was not offered. Their number and length are bounded by
    /// [`ReplyParser`](crate::base::ReplyParser).
    pub fn parse(reply: &Reply, hidden: Hidden) -> Extensions {
        let mut offered = Extensions::default();
        // The first line is the server's name and greeting.
        for line in reply.lines().skip(1) {
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            if hidden.has(&keyword) {
                continue;
            }
            match keyword.as_str() {
                "PIPELINING" => offered.pipelining = true,
                "CHUNKING" => offered.chunking = true,
                "8BITMIME" => offered.eight_bit_mime = true,
                "SMTPUTF8" => offered.smtputf8 = true,
                "DSN" => offered.dsn = true,
                "STARTTLS" => offered.starttls = true,
                "AUTH" => offered.mechanisms(words),
                // A limit that is no number is none: better to be refused than to refuse.
                "SIZE" => offered.size = Some(words.next().and_then(number).unwrap_or(0)),
                "LIMITS" => words.for_each(|limit| offered.limit(limit)),
                // Drafts before RFC 2554 wrote the first mechanism so, and some servers still do.
                other => {
                    if let Some(first) = other.strip_prefix("AUTH=") {
                        offered.mechanisms(std::iter::once(first).chain(words));
                    }
                }
            }
        }
        offered
    }

    /// Several lines add to each other.
    fn mechanisms<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        let mut all = self.auth.take().map_or(String::new(), String::from);
        for word in words.map(str::to_ascii_uppercase).filter(|word| !word.is_empty()) {
            // Servers that write both spellings name everything twice.
            if all.split(' ').all(|known| known != word) {
                all.push_str(if all.is_empty() { "" } else { " " });
                all.push_str(&word);
            }
        }
        self.auth = Some(all.into());
    }

    /// One `NAME=value` of LIMITS; values begin with 1 to 9 (RFC 9422 section 4).
    fn limit(&mut self, limit: &str) {
        let Some((name, value)) = limit.split_once('=') else { return };
        let Some(value) = number(value).filter(|n| *n > 0) else { return };
        let value = Some(u32::try_from(value).unwrap_or(u32::MAX));
        match name.to_ascii_uppercase().as_str() {
            "RCPTMAX" => self.rcpt_max = value,
            "RCPTDOMAINMAX" => self.rcpt_domain_max = value,
            "MAILMAX" => self.mail_max = value,
            _ => {}
        }
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Extensions {
        Extensions::parse(&Reply::bare(250, text), Hidden::default())
    }

    #[test]
    fn both_spellings_of_auth() {
        let auth = |text| parse(text).auth.unwrap();
        assert_eq!(&*auth("x\nAUTH=LOGIN"), "LOGIN");
        assert_eq!(&*auth("x\nAUTH=login plain\nAUTH LOGIN PLAIN XOAUTH2"), "LOGIN PLAIN XOAUTH2");
        assert_eq!((&*auth("x\nAUTH="), parse("x\nAUTHX=LOGIN").auth), ("", None));
    }

    #[test]
    fn all_of_them_in_any_case() {
        let all = parse(
            "mx.example hello\nPIPELINING\nchunking\n8BitMime\nsmtputf8\nDSN\nSTARTTLS\n\
             auth plain\nsize 52428800\nLIMITS RCPTMAX=100 mailmax=7 RcptDomainMax=3\nHELP\n\
             ENHANCEDSTATUSCODES",
        );
        let expected = Extensions {
            pipelining: true,
            chunking: true,
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            starttls: true,
            auth: Some("PLAIN".into()),
            size: Some(52_428_800),
            rcpt_max: Some(100),
            rcpt_domain_max: Some(3),
            mail_max: Some(7),
        };
        assert_eq!(all, expected);
    }

    #[test]
    fn the_first_line_offers_nothing() {
        assert_eq!(parse("PIPELINING"), Extensions::default());
        assert_eq!(parse(""), Extensions::default());
    }

    #[test]
    fn malformed_lines_offer_nothing() {
        let none = Extensions::default();
        for line in [
            "x\nPIPELININGS",
            "x\nX-PIPELINING",
            "x\n\n \n",
            "x\nLIMITS",
            "x\nLIMITS RCPTMAX RCPTMAX= RCPTMAX=0 RCPTMAX=-1 RCPTMAX=x",
            "x\nLIMITS MAILMAX=99999999999999999999",
        ] {
            assert_eq!(parse(line), none, "{line}");
        }
        for line in
            ["x\nSIZE", "x\nSIZE 0", "x\nSIZE big", "x\nSIZE +5", "x\nSIZE 99999999999999999999"]
        {
            assert_eq!(parse(line), Extensions { size: Some(0), ..none.clone() }, "{line}");
        }
        let octets = Reply::bare(250, "").with_text(&b"x\n\xff\xfe DSN\nDSN"[..]);
        assert_eq!(Extensions::parse(&octets, Hidden::default()), Extensions { dsn: true, ..none });
        assert_eq!(parse("x\nLIMITS RCPTMAX=5000000000").rcpt_max, Some(u32::MAX));
    }
}
