//! Paths and parameters of MAIL and RCPT.

use super::*;
use crate::base::Enhanced;

fn from(arguments: &str) -> Sender {
    sender(arguments, true).unwrap_or_else(|reply| panic!("{arguments}: {reply:?}"))
}

fn to(arguments: &str) -> Recipient {
    recipient(arguments, true, false).unwrap_or_else(|reply| panic!("{arguments}: {reply:?}"))
}

fn code<T>(result: Result<T, Reply>) -> (u16, Option<Enhanced>) {
    let reply = result.err().expect("to be refused");
    (reply.code, reply.enhanced)
}

const BAD_SENDER: (u16, Option<Enhanced>) = (501, Some(Enhanced(5, 1, 7)));
const BAD_RECIPIENT: (u16, Option<Enhanced>) = (501, Some(Enhanced(5, 1, 3)));
const BAD_ARGUMENT: (u16, Option<Enhanced>) = (501, Some(Enhanced(5, 5, 4)));
const UNKNOWN: (u16, Option<Enhanced>) = (555, Some(Enhanced(5, 5, 4)));

#[test]
fn paths() {
    assert_eq!(from("<>").address, None);
    assert_eq!(from("<ann@example.org>").address.unwrap().as_str(), "ann@example.org");
    assert_eq!(from("<\"a> b\"@x>").address.unwrap().local_part(), "\"a> b\"");
    assert_eq!(from("<@a,@b.example:ann@x>").address.unwrap().as_str(), "ann@x");
    assert_eq!(to("<@[192.0.2.1]:bob@[IPv6:::1]>").address.as_str(), "bob@[IPv6:::1]");
    assert_eq!(to("<PostMaster>").address.as_str(), "PostMaster");
}

#[test]
fn what_is_no_path() {
    let long = format!("<{}@x>", "a".repeat(65));
    for wrong in [
        "",
        "<",
        ">",
        "<a@b",
        "a@b",
        "a@b>",
        "<a@b c>",
        "<a b@c>",
        "<@a ann@x>",
        "<@a,b:ann@x>",
        "<@:ann@x>",
        "<@a:>",
        "<ann>",
        "< ann@x>",
        "<ann@x >",
        "<<ann@x>>",
        "<ann@>",
        &long,
    ] {
        assert_eq!(code(sender(wrong, true)), BAD_SENDER, "{wrong}");
        assert_eq!(code(recipient(wrong, true, true)), BAD_RECIPIENT, "{wrong}");
    }
    assert_eq!(code(recipient("<>", true, true)), BAD_RECIPIENT);
    assert_eq!(code(sender("<postmaster>", true)), BAD_SENDER);
    for wrong in ["<a@b>x", "<a@b>SIZE=5", "<>RET=FULL", "<a@b>>"] {
        assert_eq!(code(sender(wrong, true)), BAD_ARGUMENT, "{wrong}");
    }
}

#[test]
fn parameters_of_mail() {
    let all = from("<>  size=00123 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=a+2Bb");
    assert_eq!((all.size, all.body, all.utf8), (123, BodyType::EightBitMime, true));
    assert_eq!((all.ret, all.envid.as_deref()), (Some(Ret::Headers), Some("a+2Bb")));
    assert_eq!(from("<> BODY=7BIT RET=FULL").ret, Some(Ret::Full));
    assert_eq!(from("<> SIZE=99999999999999999999").size, u64::MAX);
    for wrong in [
        "SIZE",
        "SIZE=",
        "SIZE=x",
        "SIZE=-1",
        "SIZE=+1",
        "SIZE=000000000000000000001",
        "BODY",
        "BODY=BINARYMIME",
        "SMTPUTF8=1",
        "SMTPUTF8=",
        "RET=BOTH",
        "RET",
        "ENVID=",
        "ENVID=+0A",
        "ENVID",
        "=5",
        "-X=5",
        "X_Y=5",
        "SIZE=5=5",
        "SIZE=5 SIZE=5",
        "RET=FULL ret=HDRS",
        "SMTPUTF8 smtputf8",
        "ü",
        "X=",
    ] {
        assert_eq!(code(sender(&format!("<> {wrong}"), true)), BAD_ARGUMENT, "{wrong}");
    }
    for unknown in ["X", "X-Y=5", "NOTIFY=NEVER", "MT-PRIORITY=3", "SIZED=5"] {
        assert_eq!(code(sender(&format!("<> {unknown}"), true)), UNKNOWN, "{unknown}");
    }
}

#[test]
fn parameters_of_rcpt() {
    let both = to("<a@b> NOTIFY=success,Failure ORCPT=rfc822;c@d");
    assert_eq!(both.notify, Notify::When { success: true, failure: true, delay: false });
    assert_eq!(both.orcpt.as_deref(), Some("rfc822;c@d"));
    assert_eq!(to("<a@b> notify=NEVER").notify, Notify::Never);
    for wrong in [
        "NOTIFY",
        "NOTIFY=",
        "NOTIFY=NEVER,DELAY",
        "NOTIFY=x",
        "ORCPT",
        "ORCPT=c@d",
        "ORCPT=rfc822;+0D",
        "NOTIFY=DELAY NOTIFY=DELAY",
    ] {
        assert_eq!(
            code(recipient(&format!("<a@b> {wrong}"), true, false)),
            BAD_ARGUMENT,
            "{wrong}"
        );
    }
    for unknown in ["X", "SIZE=5", "SMTPUTF8", "BODY=7BIT"] {
        assert_eq!(code(recipient(&format!("<a@b> {unknown}"), true, true)), UNKNOWN, "{unknown}");
    }
}

#[test]
fn after_helo_nothing_was_offered() {
    assert!(sender("<a@b>", false).is_ok());
    assert_eq!(code(sender("<a@b> SIZE=5", false)), UNKNOWN);
    assert_eq!(code(recipient("<a@b> NOTIFY=NEVER", false, false)), UNKNOWN);
}

#[test]
fn utf8_only_where_it_was_asked_for() {
    assert!(from("<ü@grün.example> SMTPUTF8").utf8);
    assert!(recipient("<ü@grün.example>", true, true).is_ok());
    assert_eq!(code(sender("<ü@x>", true)), (550, Some(Enhanced(5, 6, 7))));
    assert_eq!(code(recipient("<a@ü>", true, false)), (553, Some(Enhanced(5, 6, 7))));
    assert_eq!(code(recipient("<a@b> ORCPT=utf-8;ü@x", true, false)), BAD_ARGUMENT);
    assert!(recipient("<a@b> ORCPT=utf-8;ü@x", true, true).is_ok());
}
