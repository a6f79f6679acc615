//! Keys from the octets of a terminal.
//!
//! curses could do this, but its `getch` waits a second after a lone Esc, so the decoder is our
//! own. It knows what xterm, linux, screen, tmux and vt220 send. Octets may be split anywhere: what
//! is not yet a whole key waits for more. Only a lone Esc cannot be told from the beginning of a
//! sequence; the owner of the clock calls [`Decoder::flush`] when nothing has followed for a while.

/// What was pressed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// A character.
    Char(char),
    /// Ctrl and a letter in lower case (or one of `@ \ ] ^ _`).
    Ctrl(char),
    /// Alt and a character.
    Alt(char),
    /// A key with a name.
    Named(Named, Mods),
    /// Bracketed paste: all of it, and nothing in it is a command of a key.
    Paste(String),
}

/// Keys with names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Named {
    Enter,
    Tab,
    Backspace,
    Esc,
    Up,
    Down,
    Right,
    Left,
    Home,
    End,
    Insert,
    Delete,
    PageUp,
    PageDown,
    F(u8),
}

/// What was held down with a named key; of several the one that matters most.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[allow(missing_docs)]
pub enum Mods {
    #[default]
    None,
    Shift,
    Alt,
    Ctrl,
}

/// Octets of a sequence: what is longer is none.
const MAX_SEQUENCE: usize = 32;
/// Octets of a paste: what is beyond is cut, since a prompt has one line.
const MAX_PASTE: usize = 16 << 10;
const PASTE_END: &[u8] = b"\x1b[201~";
const ESC: u8 = 0x1b;

/// The state between two reads.
#[derive(Default, Debug)]
pub struct Decoder {
    pending: Vec<u8>,
    paste: Option<Vec<u8>>,
}

/// What stands at the start of the octets.
enum Parsed {
    /// So many octets are a key, or nothing worth telling.
    Key(usize, Option<Key>),
    /// A paste begins behind so many octets.
    Paste(usize),
    /// More is needed to know.
    More,
}

impl Decoder {
    /// Takes octets; appends the keys that are complete.
    pub fn feed(&mut self, octets: &[u8], keys: &mut Vec<Key>) {
        // Octet by octet, so that it cannot matter how they were split.
        for octet in octets {
            self.pending.push(*octet);
            self.decode(keys);
        }
    }

    /// Whether an Esc waits for what may follow: then [`Decoder::flush`] is to be called soon.
    pub fn is_waiting(&self) -> bool {
        self.paste.is_none() && self.pending.first() == Some(&ESC)
    }

    /// Nothing has followed: an Esc was an Esc.
    pub fn flush(&mut self, keys: &mut Vec<Key>) {
        if !self.is_waiting() {
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        match pending[..] {
            [ESC] => keys.push(named(Named::Esc)),
            [ESC, ESC] => keys.extend([named(Named::Esc), named(Named::Esc)]),
            [ESC, b @ (b'[' | b'O')] => keys.push(Key::Alt(b as char)),
            // Half a sequence is nothing.
            _ => {}
        }
    }

    fn decode(&mut self, keys: &mut Vec<Key>) {
        while !self.pending.is_empty() {
            if self.paste.is_some() {
                match self.pasted() {
                    Some(text) => keys.push(Key::Paste(text)),
                    None => return,
                }
                continue;
            }
            match parse(&self.pending) {
                Parsed::More => return,
                Parsed::Paste(length) => {
                    self.pending.drain(..length);
                    self.paste = Some(Vec::new());
                }
                Parsed::Key(length, key) => {
                    self.pending.drain(..length);
                    keys.extend(key);
                }
            }
        }
    }

    /// Moves octets into the paste; its text once the end has come.
    fn pasted(&mut self) -> Option<String> {
        let paste = self.paste.as_mut()?;
        let whole = self.pending.starts_with(PASTE_END);
        if !whole && PASTE_END.starts_with(&self.pending) {
            return None;
        }
        if whole {
            self.pending.drain(..PASTE_END.len());
        } else {
            paste.push(self.pending.remove(0));
        }
        // A terminal that never says the end must not swallow all keys for ever.
        if !whole && paste.len() < MAX_PASTE {
            return self.pasted_more();
        }
        let paste = self.paste.take()?;
        Some(String::from_utf8_lossy(&paste).into_owned())
    }

    fn pasted_more(&mut self) -> Option<String> {
        if self.pending.is_empty() { None } else { self.pasted() }
    }
}

fn named(key: Named) -> Key {
    Key::Named(key, Mods::None)
}

fn parse(octets: &[u8]) -> Parsed {
    match octets {
        [ESC] => Parsed::More,
        [ESC, b'[', rest @ ..] => csi(rest),
        [ESC, b'O', rest @ ..] => ss3(rest),
        [ESC, rest @ ..] => with_alt(rest),
        _ => plain(octets),
    }
}

/// Esc before something else: Alt, as terminals say it.
fn with_alt(rest: &[u8]) -> Parsed {
    match parse(rest) {
        Parsed::More => Parsed::More,
        Parsed::Paste(length) => Parsed::Paste(length + 1),
        Parsed::Key(length, key) => {
            let key = key.map(|key| match key {
                Key::Char(c) => Key::Alt(c),
                Key::Named(key, Mods::None | Mods::Shift) => Key::Named(key, Mods::Alt),
                other => other,
            });
            Parsed::Key(length + 1, key)
        }
    }
}

/// A control character, or a character of UTF-8.
fn plain(octets: &[u8]) -> Parsed {
    let first = octets[0];
    let key = match first {
        b'\r' | b'\n' => named(Named::Enter),
        b'\t' => named(Named::Tab),
        0x08 | 0x7f => named(Named::Backspace),
        0x00..=0x1f => Key::Ctrl((first | 0x40).to_ascii_lowercase() as char),
        0x20..=0x7e => Key::Char(first as char),
        _ => return character(octets),
    };
    Parsed::Key(1, Some(key))
}

fn character(octets: &[u8]) -> Parsed {
    let octets = &octets[..octets.len().min(4)];
    let valid = match std::str::from_utf8(octets) {
        Ok(text) => text,
        Err(e) if e.valid_up_to() > 0 => {
            std::str::from_utf8(&octets[..e.valid_up_to()]).unwrap_or_default()
        }
        Err(e) => match e.error_len() {
            None => return Parsed::More,
            Some(length) => return Parsed::Key(length, Some(Key::Char('\u{fffd}'))),
        },
    };
    let Some(c) = valid.chars().next() else { return Parsed::Key(1, None) };
    Parsed::Key(c.len_utf8(), (!c.is_control()).then_some(Key::Char(c)))
}

/// Behind `ESC [` (ECMA-48 section 5.4): parameters, intermediate octets, a final one.
fn csi(rest: &[u8]) -> Parsed {
    // The linux console: ESC [ [ A to E are F1 to F5.
    if let [b'[', more @ ..] = rest {
        return match more {
            [] => Parsed::More,
            [n @ b'A'..=b'E', ..] => Parsed::Key(4, Some(named(Named::F(n - b'A' + 1)))),
            _ => Parsed::Key(3, None),
        };
    }
    let Some(end) = rest.iter().position(|b| !(0x20..=0x3f).contains(b)) else {
        let hopeless = rest.len() > MAX_SEQUENCE;
        return if hopeless { Parsed::Key(rest.len() + 2, None) } else { Parsed::More };
    };
    let (parameters, last) = (&rest[..end], rest[end]);
    if !(0x40..=0x7e).contains(&last) {
        // Broken off: what broke it is looked at by itself.
        return Parsed::Key(end + 2, None);
    }
    if (parameters, last) == (b"200", b'~') {
        return Parsed::Paste(end + 3);
    }
    Parsed::Key(end + 3, sequence(parameters, last))
}

/// The key of a whole sequence, if it is one that we know.
fn sequence(parameters: &[u8], last: u8) -> Option<Key> {
    let text = std::str::from_utf8(parameters).ok()?;
    let mut numbers = text.split(';').map(|number| number.parse::<u8>().unwrap_or(1));
    let (first, mods) = (numbers.next()?, mods(numbers.next().unwrap_or(1)));
    let key = match (last, first) {
        (b'~', 1 | 7) => Named::Home,
        (b'~', 2) => Named::Insert,
        (b'~', 3) => Named::Delete,
        (b'~', 4 | 8) => Named::End,
        (b'~', 5) => Named::PageUp,
        (b'~', 6) => Named::PageDown,
        (b'~', n @ 11..=15) => Named::F(n - 10),
        (b'~', n @ 17..=21) => Named::F(n - 11),
        (b'~', n @ 23..=24) => Named::F(n - 12),
        (b'Z', _) => return Some(Key::Named(Named::Tab, Mods::Shift)),
        (last, _) => letter(last)?,
    };
    Some(Key::Named(key, mods))
}

/// The keys whose sequences end in a letter.
fn letter(last: u8) -> Option<Named> {
    Some(match last {
        b'A' => Named::Up,
        b'B' => Named::Down,
        b'C' => Named::Right,
        b'D' => Named::Left,
        b'F' => Named::End,
        b'H' => Named::Home,
        n @ b'P'..=b'S' => Named::F(n - b'P' + 1),
        _ => return None,
    })
}

/// xterm's number: 1 and a bit each for Shift, Alt, Ctrl.
fn mods(number: u8) -> Mods {
    match number.saturating_sub(1) {
        bits if bits & 4 != 0 => Mods::Ctrl,
        bits if bits & 2 != 0 => Mods::Alt,
        bits if bits & 1 != 0 => Mods::Shift,
        _ => Mods::None,
    }
}

/// Behind `ESC O`: arrows, Home, End and F1 to F4, the keypad.
fn ss3(rest: &[u8]) -> Parsed {
    let key = match rest {
        [] => return Parsed::More,
        // Older terminals put the modifier between.
        [b'2'..=b'8'] => return Parsed::More,
        [n @ b'2'..=b'8', last, ..] => {
            let key = letter(*last).map(|key| Key::Named(key, mods(n - b'0')));
            return Parsed::Key(4, key);
        }
        [b'M', ..] => Some(named(Named::Enter)),
        [n @ b'p'..=b'y', ..] => Some(Key::Char((n - b'p' + b'0') as char)),
        [n @ b'j'..=b'o', ..] => Some(Key::Char((n - b'j' + b'*') as char)),
        [last @ 0x40..=0x7e, ..] => letter(*last).map(named),
        // Broken off.
        _ => return Parsed::Key(2, None),
    };
    Parsed::Key(3, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(octets: &[u8]) -> Vec<Key> {
        let (mut decoder, mut keys) = (Decoder::default(), Vec::new());
        decoder.feed(octets, &mut keys);
        keys
    }

    const KNOWN: &[(&[u8], Key)] = &[
        (b"a", Key::Char('a')),
        (b"\xc3\xbc", Key::Char('ü')),
        (b"\xe6\x97\xa5", Key::Char('日')),
        (b"\xf0\x9f\x93\xac", Key::Char('\u{1f4ec}')),
        (b"\x01", Key::Ctrl('a')),
        (b"\x1a", Key::Ctrl('z')),
        (b"\x00", Key::Ctrl('@')),
        (b"\x1f", Key::Ctrl('_')),
        (b"\r", Key::Named(Named::Enter, Mods::None)),
        (b"\n", Key::Named(Named::Enter, Mods::None)),
        (b"\t", Key::Named(Named::Tab, Mods::None)),
        (b"\x7f", Key::Named(Named::Backspace, Mods::None)),
        (b"\x08", Key::Named(Named::Backspace, Mods::None)),
        (b"\x1bb", Key::Alt('b')),
        (b"\x1b\xc3\xbc", Key::Alt('ü')),
        (b"\x1b\x7f", Key::Named(Named::Backspace, Mods::Alt)),
        (b"\x1b[A", Key::Named(Named::Up, Mods::None)),
        (b"\x1bOA", Key::Named(Named::Up, Mods::None)),
        (b"\x1b\x1b[A", Key::Named(Named::Up, Mods::Alt)),
        (b"\x1bO5D", Key::Named(Named::Left, Mods::Ctrl)),
        (b"\x1b[1;5H", Key::Named(Named::Home, Mods::Ctrl)),
        (b"\x1b[1;2B", Key::Named(Named::Down, Mods::Shift)),
        (b"\x1b[1~", Key::Named(Named::Home, Mods::None)),
        (b"\x1b[4~", Key::Named(Named::End, Mods::None)),
        (b"\x1b[7~", Key::Named(Named::Home, Mods::None)),
        (b"\x1b[5~", Key::Named(Named::PageUp, Mods::None)),
        (b"\x1b[6;3~", Key::Named(Named::PageDown, Mods::Alt)),
        (b"\x1b[3~", Key::Named(Named::Delete, Mods::None)),
        (b"\x1b[2~", Key::Named(Named::Insert, Mods::None)),
        (b"\x1b[Z", Key::Named(Named::Tab, Mods::Shift)),
        (b"\x1b[[A", Key::Named(Named::F(1), Mods::None)),
        (b"\x1bOP", Key::Named(Named::F(1), Mods::None)),
        (b"\x1b[11~", Key::Named(Named::F(1), Mods::None)),
        (b"\x1b[15~", Key::Named(Named::F(5), Mods::None)),
        (b"\x1b[17~", Key::Named(Named::F(6), Mods::None)),
        (b"\x1b[24~", Key::Named(Named::F(12), Mods::None)),
        (b"\x1b[1;5P", Key::Named(Named::F(1), Mods::Ctrl)),
        (b"\x1bOM", Key::Named(Named::Enter, Mods::None)),
        (b"\x1bOp", Key::Char('0')),
        (b"\x1bOk", Key::Char('+')),
    ];

    #[test]
    fn what_terminals_send() {
        for (octets, key) in KNOWN {
            assert_eq!(keys(octets), std::slice::from_ref(key), "{octets:?}");
        }
    }

    #[test]
    fn split_at_every_octet_and_one_after_the_other() {
        for (first, one) in KNOWN {
            for (second, two) in KNOWN {
                let all = [*first, *second].concat();
                let (mut decoder, mut got) = (Decoder::default(), Vec::new());
                for octet in &all {
                    decoder.feed(&[*octet], &mut got);
                }
                assert_eq!(got, [one.clone(), two.clone()], "{all:?}");
                assert!(!decoder.is_waiting());
            }
        }
    }

    #[test]
    fn a_lone_esc_waits_for_the_clock() {
        let (mut decoder, mut got) = (Decoder::default(), Vec::new());
        decoder.feed(b"\x1b", &mut got);
        assert!(decoder.is_waiting() && got.is_empty());
        decoder.flush(&mut got);
        assert_eq!(got, [named(Named::Esc)]);
        got.clear();
        decoder.feed(b"\x1b\x1b", &mut got);
        decoder.flush(&mut got);
        assert_eq!(got, [named(Named::Esc), named(Named::Esc)]);
        got.clear();
        decoder.feed(b"\x1b[", &mut got);
        decoder.flush(&mut got);
        assert_eq!(got, [Key::Alt('[')]);
        got.clear();
        // A character that is not complete has no clock.
        decoder.feed(b"\xc3", &mut got);
        assert!(!decoder.is_waiting());
        decoder.flush(&mut got);
        decoder.feed(b"\xbc", &mut got);
        assert_eq!(got, [Key::Char('ü')]);
    }

    #[test]
    fn a_paste_is_one_key_however_it_is_split() {
        let text = b"\x1b[200~rm -rf\r\n\x1b[A\x1b[201\xffx\x1b[201~y";
        for at in 0..text.len() {
            let (mut decoder, mut got) = (Decoder::default(), Vec::new());
            decoder.feed(&text[..at], &mut got);
            decoder.flush(&mut got.clone());
            decoder.feed(&text[at..], &mut got);
            if at >= 6 || at == 0 {
                let paste = Key::Paste("rm -rf\r\n\x1b[A\x1b[201\u{fffd}x".into());
                assert_eq!(got, [paste, Key::Char('y')], "{at}");
            }
        }
        let mut endless = b"\x1b[200~".to_vec();
        endless.resize(MAX_PASTE + 6, b'x');
        endless.push(b'\r');
        let got = keys(&endless);
        assert_eq!(got.len(), 2);
        assert_eq!(got[1], named(Named::Enter));
    }

    #[test]
    fn what_is_unknown_or_broken_is_nothing() {
        for octets in [&b"\x1b[99~"[..], b"\x1b[?1;2c", b"\x1b[<0;1;1M", b"\x1bOz", b"\x1b[1;5X"] {
            assert_eq!(keys(octets), [], "{octets:?}");
        }
        assert_eq!(keys(b"\x1b[12\x01"), [Key::Ctrl('a')]);
        assert_eq!(
            keys(b"\xff\xc3("),
            [Key::Char('\u{fffd}'), Key::Char('\u{fffd}'), Key::Char('(')]
        );
        assert_eq!(keys(b"\xc2\x9b"), [], "C1");
        let mut long = b"\x1b[".to_vec();
        long.resize(1000, b'1');
        keys(&long);
    }

    #[test]
    fn all_octets_in_all_orders_do_no_harm() {
        let mut seed = 1u32;
        let (mut decoder, mut got) = (Decoder::default(), Vec::new());
        for _ in 0..100_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let octet = (seed >> 24) as u8;
            let octet =
                if octet & 1 == 0 { b"\x1b[O1;~A\xc3"[usize::from(octet) / 2 % 8] } else { octet };
            decoder.feed(&[octet], &mut got);
            assert!(decoder.pending.len() <= MAX_SEQUENCE + 8);
            got.clear();
        }
    }
}
