//! What the server says. Fixed texts wherever possible: they cost nothing.
//!
//! Enhanced status codes by RFC 3463 and the registry of RFC 5248.

use std::fmt::Write as _;

use super::Context;
use crate::auth::Mechanism;
use crate::base::{AddressError, Enhanced, MessageId, Reply};

const fn say(code: u16, detail: (u8, u16, u16), text: &'static str) -> Reply {
    Reply::fixed(code, Enhanced(detail.0, detail.1, detail.2), text)
}

pub const SENDER_OK: Reply = say(250, (2, 1, 0), "Sender ok");
pub const RECIPIENT_OK: Reply = say(250, (2, 1, 5), "Recipient ok");
pub const OK: Reply = say(250, (2, 0, 0), "Ok");
pub const CHUNK_OK: Reply = say(250, (2, 0, 0), "Chunk received");
pub const BYE: Reply = say(221, (2, 0, 0), "Bye");
pub const READY_FOR_TLS: Reply = say(220, (2, 0, 0), "Ready to start TLS");
pub const SEND_CONTENT: Reply = Reply::bare(354, "End with a line of a single dot");
pub const CANNOT_VERIFY: Reply =
    say(252, (2, 1, 5), "Cannot verify, but will take mail and try to deliver it");
pub const HELP: Reply = say(
    214,
    (2, 0, 0),
    "MailFlux, a forwarding server: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\n\
     A session: EHLO name, MAIL FROM:<address>, RCPT TO:<address>, DATA, QUIT",
);

pub const TIMEOUT: Reply = say(421, (4, 4, 2), "Timeout, closing");
pub const SHUTTING_DOWN: Reply = say(421, (4, 3, 2), "Server is going down, try again later");
pub const TOO_MANY_ERRORS: Reply = say(421, (4, 7, 0), "Too many errors, closing");
pub const NOT_HTTP: Reply = say(421, (4, 5, 1), "This is SMTP, not HTTP");
pub const NOT_TLS: Reply = say(421, (4, 5, 1), "This is SMTP, not a TLS hello");

pub const UNKNOWN_COMMAND: Reply = say(500, (5, 5, 2), "Command not recognized");
pub const LINE_TOO_LONG: Reply = say(500, (5, 5, 2), "Line too long");
pub const BARE_LINE_END: Reply =
    say(500, (5, 5, 2), "Bare CR or LF in a command; lines end in CRLF");
pub const CONTROL_CHARACTER: Reply = say(500, (5, 5, 2), "Control character in a command");
pub const NOT_UTF8: Reply = say(500, (5, 5, 2), "Invalid UTF-8 in a command");
pub const NOT_IMPLEMENTED: Reply = say(502, (5, 5, 1), "Command not implemented");

pub const NAME_WANTED: Reply = say(501, (5, 5, 4), "Say your name after EHLO or HELO");
pub const NO_ARGUMENT_WANTED: Reply = say(501, (5, 5, 4), "This command takes no argument");
pub const ARGUMENT_WANTED: Reply = say(501, (5, 5, 4), "This command needs an argument");
pub const MAIL_SYNTAX: Reply = say(501, (5, 5, 4), "Syntax: MAIL FROM:<address> [parameters]");
pub const RCPT_SYNTAX: Reply = say(501, (5, 5, 4), "Syntax: RCPT TO:<address> [parameters]");
pub const BDAT_SYNTAX: Reply = say(501, (5, 5, 4), "Syntax: BDAT octets [LAST]");
pub const BDAT_BEYOND: Reply = say(501, (5, 5, 4), "Chunk size beyond any limit, closing");
pub const PARAMETER_SYNTAX: Reply = say(501, (5, 5, 4), "Parameter or its value is malformed");
pub const PARAMETER_TWICE: Reply = say(501, (5, 5, 4), "Parameter given twice");
pub const PARAMETER_UNKNOWN: Reply =
    say(555, (5, 5, 4), "Parameter not recognized or not implemented");

pub const HELO_FIRST: Reply = say(503, (5, 5, 1), "Say EHLO first");
pub const NO_SERVICE: Reply = say(503, (5, 5, 1), "No service for you here; say QUIT");
pub const NESTED_MAIL: Reply = say(503, (5, 5, 1), "MAIL was already given");
pub const MAIL_FIRST: Reply = say(503, (5, 5, 1), "Say MAIL first");
pub const RCPT_FIRST: Reply = say(503, (5, 5, 1), "Say RCPT first");
pub const NO_VALID_RECIPIENTS: Reply = say(554, (5, 5, 1), "No valid recipients");
pub const CHUNKS_GO_ON: Reply = say(503, (5, 5, 1), "The message goes on by BDAT, or RSET");
pub const TLS_ALREADY: Reply = say(503, (5, 5, 1), "TLS is already there");

pub const LOGGED_IN: Reply = say(235, (2, 7, 0), "Welcome");
pub const LOGIN_FAILED: Reply = say(535, (5, 7, 8), "Authentication failed");
/// A client that has failed to log in too often.
pub const TOO_MANY_LOGINS: Reply = say(421, (4, 7, 0), "Too many failed logins, try again later");
pub const AUTH_NEEDS_TLS: Reply = say(538, (5, 7, 11), "AUTH needs TLS here: say STARTTLS first");
pub const AUTH_ALREADY: Reply = say(503, (5, 5, 1), "You are authenticated already");
pub const AUTH_IN_TRANSACTION: Reply = say(503, (5, 5, 1), "No AUTH in a mail transaction");
pub const AUTH_SYNTAX: Reply = say(501, (5, 5, 4), "Syntax: AUTH mechanism [initial-response]");
pub const AUTH_CANCELLED: Reply = say(501, (5, 7, 0), "Authentication cancelled");
pub const MECHANISM_UNKNOWN: Reply = say(504, (5, 5, 4), "Mechanism not offered");
pub const NOT_BASE64: Reply = say(501, (5, 5, 2), "Not base64");
pub const RESPONSE_MALFORMED: Reply = say(501, (5, 5, 2), "This makes no sense to the mechanism");
pub const RESPONSE_TOO_LONG: Reply = say(500, (5, 5, 6), "Authentication line too long");

/// Nobody sends mail here without AUTH (RFC 4954 section 6).
pub fn auth_required(tls: bool) -> Reply {
    let text = if tls { "Authentication required" } else { "Say STARTTLS, then AUTH, first" };
    say(530, (5, 7, 0), text)
}

pub const UTF8_SENDER: Reply = say(550, (5, 6, 7), "A non-ASCII sender needs SMTPUTF8");
pub const UTF8_RECIPIENT: Reply = say(553, (5, 6, 7), "A non-ASCII recipient needs SMTPUTF8");
pub const TOO_MANY_RECIPIENTS: Reply = say(452, (4, 5, 3), "Too many recipients");
pub const TOO_BIG: Reply = say(552, (5, 3, 4), "Message is larger than the limit");
pub const BARE_OCTET: Reply =
    say(550, (5, 6, 0), "Bare CR or LF in the message; lines end in CRLF");
pub const TOO_MANY_HOPS: Reply = say(554, (5, 4, 6), "Too many hops: this message goes in circles");

/// An address that breaks the rules, as sender (5.1.7) or as recipient (5.1.3).
pub fn bad_address(sender: bool, error: AddressError) -> Reply {
    let detail = if sender { (5, 1, 7) } else { (5, 1, 3) };
    let text = match error {
        AddressError::Syntax => "Not an address in angle brackets",
        AddressError::LongLocalPart => "Local part longer than 64 octets",
        AddressError::LongDomain => "Domain longer than 255 octets or a label longer than 63",
        AddressError::LongPath => "Address longer than 254 octets",
        AddressError::NoDomain => "Address without domain",
    };
    say(501, detail, text)
}

/// The greeting.
pub fn greeting(cx: &Context<'_>) -> Reply {
    Reply::made(220, None, format!("{} ESMTP MailFlux", cx.config.hostname))
}

/// What HELO is told.
pub fn helo(cx: &Context<'_>) -> Reply {
    Reply::made(250, None, cx.config.hostname.as_str())
}

/// What EHLO is told: the name, then an extension a line.
pub fn ehlo(tls: bool, mechanisms: &[Mechanism], cx: &Context<'_>) -> Reply {
    let config = cx.config;
    let mut text = format!("{}\nPIPELINING\nSIZE {}", config.hostname, config.max_message_size);
    text.push_str("\n8BITMIME\nSMTPUTF8\nCHUNKING\nENHANCEDSTATUSCODES\nDSN\nHELP");
    // RFC 9422 section 4: RCPTMAX has one to six digits and is not 0.
    if (1..=999_999).contains(&config.max_recipients) {
        let _ = write!(text, "\nLIMITS RCPTMAX={}", config.max_recipients);
    }
    if config.starttls && !tls {
        text.push_str("\nSTARTTLS");
    }
    if !mechanisms.is_empty() {
        text.push_str("\nAUTH");
        for mechanism in mechanisms {
            let _ = write!(text, " {}", mechanism.name());
        }
    }
    Reply::made(250, None, text)
}

/// The message is ours now.
pub fn queued(id: MessageId) -> Reply {
    Reply::made(250, Some(Enhanced(2, 0, 0)), format!("Ok: queued as {id}"))
}
