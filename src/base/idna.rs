//! Domain names beyond ASCII as DNS has them: U-labels to A-labels (RFC 5890, RFC 3492).
//!
//! What is done is the part that needs no tables: lower case, then Punycode. What is not done is
//! what does: normalisation (NFC; keyboards and programs give it already), the rules about which
//! characters and neighbours a label may have (RFC 5892, RFC 5893). A label that breaks them is
//! not registered by anybody, so DNS says that it does not exist.

use std::borrow::Cow;
use std::fmt::Write;

use super::Printable;

/// Octets of a label at most (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// The name with each label beyond ASCII as an A-label; labels in ASCII stay as they are. None
/// when a label cannot be one: too long, or with characters that nobody can see.
pub fn domain_to_ascii(name: &str) -> Option<Cow<'_, str>> {
    if name.is_ascii() {
        return Some(name.into());
    }
    let mut out = String::with_capacity(name.len() + 16);
    for (i, label) in name.split('.').enumerate() {
        if i > 0 {
            out.push('.');
        }
        if label.is_ascii() {
            out.push_str(label);
            continue;
        }
        // One character at a time: RFC 5895 section 2.1 wants no look at the neighbours.
        let lower: String = label.chars().take(MAX_LABEL).flat_map(char::to_lowercase).collect();
        let is_fit = |c: char| Printable::is_safe(c) && !c.is_whitespace();
        if label.chars().count() > MAX_LABEL || !lower.chars().all(is_fit) {
            return None;
        }
        let encoded = punycode(&lower)?;
        write!(out, "xn--{encoded}").ok()?;
        if encoded.len() + 4 > MAX_LABEL {
            return None;
        }
    }
    Some(out.into())
}

/// RFC 3492 section 6.3, with the parameters of section 5. None where numbers would overflow.
fn punycode(text: &str) -> Option<String> {
    const FIRST: u32 = 0x80;
    let mut out: String = text.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(out.len()).ok()?;
    let total = u32::try_from(text.chars().count()).ok()?;
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias, mut done) = (FIRST, 0u32, 72, basic);
    while done < total {
        let next = text.chars().map(u32::from).filter(|c| *c >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(done + 1)?)?;
        n = next;
        for c in text.chars().map(u32::from) {
            if c < n {
                delta = delta.checked_add(1)?;
            }
            if c == n {
                push_number(&mut out, delta, bias);
                bias = adapt(delta, done + 1, done == basic);
                delta = 0;
                done += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n += 1;
    }
    Some(out)
}

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;

/// A number of variable length, the least digit first.
fn push_number(out: &mut String, number: u32, bias: u32) {
    let digit = |d: u32| char::from(if d < 26 { b'a' + d as u8 } else { b'0' + (d - 26) as u8 });
    let (mut rest, mut k) = (number, BASE);
    loop {
        let t = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if rest < t {
            out.push(digit(rest));
            return;
        }
        out.push(digit(t + (rest - t) % (BASE - t)));
        rest = (rest - t) / (BASE - t);
        k += BASE;
    }
}

/// RFC 3492 section 6.1.
fn adapt(delta: u32, points: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_3492() {
        for (text, encoded) in [
            ("ليهمابتكلموشعربي؟", "egbpdaj6bu4bxfgehfvwxn"),
            ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
            ("他們爲什麽不說中文", "ihqwctvzc91f659drss3x8bo0yb"),
            ("Pročprostěnemluvíčesky", "Proprostnemluvesky-uyb24dma41a"),
            ("למההםפשוטלאמדבריםעברית", "4dbcagdahymbxekheh6e0a7fei0b"),
            ("なぜみんな日本語を話してくれないのか", "n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa"),
            ("3年B組金八先生", "3B-ww4c5e180e575a65lsy2b"),
            ("安室奈美恵-with-SUPER-MONKEYS", "-with-SUPER-MONKEYS-pc58ag80a8qai00g7n9n"),
            ("Hello-Another-Way-それぞれの場所", "Hello-Another-Way--fc4qua05auwb3674vfr0b"),
            ("ひとつ屋根の下2", "2-u9tlzr9756bt3uc0v"),
            ("MajiでKoiする5秒前", "MajiKoi5-783gue6qz075azm5e"),
            ("パフィーdeルンバ", "de-jg4avhby1noc0d"),
            ("そのスピードで", "d9juau41awczczp"),
            ("-> $1.00 <-", "-> $1.00 <--"),
        ] {
            assert_eq!(punycode(text).as_deref(), Some(encoded));
        }
    }

    #[test]
    fn names_of_several_labels() {
        let ascii = |name: &str| domain_to_ascii(name).map(Cow::into_owned);
        assert_eq!(ascii("Example.ORG").as_deref(), Some("Example.ORG"));
        assert_eq!(ascii("mail.GRÜN.Example").as_deref(), Some("mail.xn--grn-ioa.Example"));
        assert_eq!(ascii("straße.de").as_deref(), Some("xn--strae-oqa.de"), "as RFC 5891 has it");
        assert_eq!(ascii("ΣΊΣΥΦΟΣ.gr"), ascii("σίσυφοσ.gr"));
        assert_eq!(ascii("b\u{fc}cher."), Some("xn--bcher-kva.".into()));
        // No U-label: not in NFC (RFC 5890 section 2.3.2.1). It is another name, and nobody's.
        assert_eq!(ascii("bu\u{308}cher.de").as_deref(), Some("xn--bucher-xyd.de"));
    }

    #[test]
    fn what_cannot_be_a_label() {
        for wrong in ["a\u{200b}é", "é\u{202e}", "é é", "é\u{a0}", "é\u{85}"] {
            assert_eq!(domain_to_ascii(wrong), None, "{wrong:?}");
        }
        assert_eq!(domain_to_ascii(&"é".repeat(200)), None);
        assert_eq!(domain_to_ascii(&"\u{10ffff}".repeat(63)), None);
        assert_eq!(domain_to_ascii(&format!("{}é", "a".repeat(60))), None);
        assert_eq!(punycode(&format!("{}\u{10ffff}", "é".repeat(100_000))), None, "no overflow");
    }
}
