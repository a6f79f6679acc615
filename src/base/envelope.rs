//! The envelope: who sends, to whom, and what was asked for them (RFC 5321 section 2.3.1,
//! RFC 3461). It travels with the message from MAIL to the next server's last reply.

use std::net::IpAddr;

use super::Address;

/// With which protocol a message came, as the `with` clause of Received names it (RFC 3848).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// HELO.
    Smtp,
    /// EHLO, by four facts: RFC 6531 section 4.3 adds the UTF8 forms.
    Esmtp {
        /// Inside TLS.
        tls: bool,
        /// After AUTH.
        auth: bool,
        /// MAIL had SMTPUTF8.
        utf8: bool,
    },
    /// Made here: bounces and notices.
    Local,
}

impl Protocol {
    /// The registered name, such as `ESMTPSA` or `UTF8SMTPS`.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Smtp => "SMTP",
            Protocol::Local => "local",
            Protocol::Esmtp { utf8: false, tls: false, auth: false } => "ESMTP",
            Protocol::Esmtp { utf8: false, tls: false, auth: true } => "ESMTPA",
            Protocol::Esmtp { utf8: false, tls: true, auth: false } => "ESMTPS",
            Protocol::Esmtp { utf8: false, tls: true, auth: true } => "ESMTPSA",
            Protocol::Esmtp { utf8: true, tls: false, auth: false } => "UTF8SMTP",
            Protocol::Esmtp { utf8: true, tls: false, auth: true } => "UTF8SMTPA",
            Protocol::Esmtp { utf8: true, tls: true, auth: false } => "UTF8SMTPS",
            Protocol::Esmtp { utf8: true, tls: true, auth: true } => "UTF8SMTPSA",
        }
    }

    /// The protocol with this registered name.
    pub fn from_name(name: &str) -> Option<Protocol> {
        let flags = [false, true];
        let esmtp = flags.into_iter().flat_map(|tls| {
            flags.into_iter().flat_map(move |auth| {
                flags.into_iter().map(move |utf8| Protocol::Esmtp { tls, auth, utf8 })
            })
        });
        esmtp.chain([Protocol::Smtp, Protocol::Local]).find(|p| p.name() == name)
    }
}

/// Who brought the message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    /// Its address; none for mail that was made here.
    pub ip: Option<IpAddr>,
    /// The name it gave in EHLO or HELO, kept only when it fits the grammar of RFC 5321 4.1.1.1.
    pub helo: Option<String>,
    /// How it came.
    pub protocol: Protocol,
    /// As whom it authenticated.
    pub user: Option<String>,
}

/// The BODY parameter of MAIL (RFC 6152).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum BodyType {
    /// 7BIT or nothing said.
    #[default]
    SevenBit,
    /// 8BITMIME.
    EightBitMime,
}

/// The RET parameter of MAIL (RFC 3461 section 4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ret {
    /// Bounces carry the whole message.
    Full,
    /// Bounces carry the header only.
    Headers,
}

/// The NOTIFY parameter of RCPT (RFC 3461 section 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Notify {
    /// Nothing was said: failure, and delay where the server likes to.
    #[default]
    Unspecified,
    /// Tell the sender nothing.
    Never,
    /// Tell the sender exactly this.
    When {
        /// The message was delivered, or relayed to a server without DSN.
        success: bool,
        /// It failed.
        failure: bool,
        /// It is late.
        delay: bool,
    },
}

impl Notify {
    /// Whether a failure is to be reported.
    pub fn failure(self) -> bool {
        matches!(self, Notify::Unspecified | Notify::When { failure: true, .. })
    }

    /// Whether a delay is to be reported.
    pub fn delay(self) -> bool {
        matches!(self, Notify::Unspecified | Notify::When { delay: true, .. })
    }

    /// Whether a success is to be reported.
    pub fn success(self) -> bool {
        matches!(self, Notify::When { success: true, .. })
    }

    /// As the parameter's value is written: `NEVER`, `SUCCESS,DELAY`; none when unspecified.
    pub fn value(self) -> Option<String> {
        match self {
            Notify::Unspecified => None,
            Notify::Never => Some("NEVER".into()),
            Notify::When { success, failure, delay } => {
                let words = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
                let said: Vec<&str> = words.iter().filter(|w| w.0).map(|w| w.1).collect();
                Some(said.join(","))
            }
        }
    }

    /// Reads the parameter's value, in any case; none when it breaks RFC 3461 section 4.1.
    pub fn parse(value: &str) -> Option<Notify> {
        if value.eq_ignore_ascii_case("NEVER") {
            return Some(Notify::Never);
        }
        let (mut success, mut failure, mut delay) = (false, false, false);
        for word in value.split(',') {
            let flag = match word.to_ascii_uppercase().as_str() {
                "SUCCESS" => &mut success,
                "FAILURE" => &mut failure,
                "DELAY" => &mut delay,
                _ => return None,
            };
            *flag = true;
        }
        Some(Notify::When { success, failure, delay })
    }
}

/// One recipient, as RCPT named it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recipient {
    /// The forward path, without any source route.
    pub address: Address,
    /// NOTIFY.
    pub notify: Notify,
    /// ORCPT as it came: `rfc822;` and an xtext (RFC 3461 section 4.2), checked but not decoded.
    pub orcpt: Option<String>,
    /// The names of the next servers that are to take it, in the order to try, whatever the routes
    /// say; empty: the routes decide.
    pub via: Box<[String]>,
}

impl Recipient {
    /// A recipient without DSN parameters.
    pub fn new(address: Address) -> Recipient {
        Recipient { address, notify: Notify::Unspecified, orcpt: None, via: Box::default() }
    }
}

/// What is recorded in the spool of each recipient: one octet, overwritten in place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// `-`: to be delivered.
    Pending,
    /// `d`: to be delivered, and its sender was told of the delay.
    Delayed,
    /// `h`: to be delivered, but held by an administrator or a rule.
    Held,
    /// `+`: the next server took it.
    Delivered,
    /// `!`: failed, and its bounce (if one was due) is in the spool.
    Failed,
}

impl Status {
    /// Its octet in the spool.
    pub const fn octet(self) -> u8 {
        match self {
            Status::Pending => b'-',
            Status::Delayed => b'd',
            Status::Held => b'h',
            Status::Delivered => b'+',
            Status::Failed => b'!',
        }
    }

    /// The status with this octet.
    pub const fn from_octet(octet: u8) -> Option<Status> {
        match octet {
            b'-' => Some(Status::Pending),
            b'd' => Some(Status::Delayed),
            b'h' => Some(Status::Held),
            b'+' => Some(Status::Delivered),
            b'!' => Some(Status::Failed),
            _ => None,
        }
    }

    /// Nothing remains to be done for this recipient.
    pub const fn done(self) -> bool {
        matches!(self, Status::Delivered | Status::Failed)
    }
}

/// Everything that is known of a message beside its octets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// Who brought it.
    pub client: Client,
    /// The reverse path; none is `<>`.
    pub from: Option<Address>,
    /// BODY.
    pub body: BodyType,
    /// SMTPUTF8.
    pub utf8: bool,
    /// RET.
    pub ret: Option<Ret>,
    /// ENVID as it came, an xtext.
    pub envid: Option<String>,
    /// To whom; never empty.
    pub recipients: Vec<Recipient>,
    /// For a bounce, or word of mail that was relayed: of which message (by counter), and for which
    /// of its recipients it is the last word. Recovery marks those as failed, which is to say done,
    /// so that a crash between the bounce and the mark does not make a second bounce.
    pub bounce_of: Option<(u64, Vec<u32>)>,
}

impl Envelope {
    /// One with which no extension is asked for: 7-bit octets, no ENVID, no RET, no bounce.
    pub fn plain(client: Client, from: Option<Address>, recipients: Vec<Recipient>) -> Envelope {
        let (body, utf8, ret, envid) = (BodyType::SevenBit, false, None, None);
        Envelope { client, from, body, utf8, ret, envid, recipients, bounce_of: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify_reads_back_what_it_writes() {
        for value in ["NEVER", "SUCCESS", "SUCCESS,FAILURE", "SUCCESS,FAILURE,DELAY", "DELAY"] {
            assert_eq!(Notify::parse(value).unwrap().value().unwrap(), value);
        }
        for wrong in ["", "NEVER,DELAY", "SUCCESS,", "x", "DELAY,NEVER"] {
            assert_eq!(Notify::parse(wrong), None, "{wrong}");
        }
        assert!(Notify::Unspecified.failure() && !Notify::Unspecified.success());
    }

    #[test]
    fn protocols_have_distinct_names() {
        for name in ["SMTP", "ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA", "UTF8SMTP", "UTF8SMTPSA"] {
            assert_eq!(Protocol::from_name(name).unwrap().name(), name);
        }
        assert_eq!(Protocol::from_name("HTTP"), None);
    }

    #[test]
    fn status_octets_are_a_bijection() {
        for octet in 0..=255 {
            if let Some(status) = Status::from_octet(octet) {
                assert_eq!(status.octet(), octet);
            }
        }
    }
}
