//! The last words of next servers, shared by all who got the same, and bounded.
//!
//! A hostile next server that finds a new text for each recipient fills the table and no more: from
//! then on only codes are kept, of which there are few.

use std::num::NonZeroU16;

use crate::base::{Enhanced, Origin, Reply};

/// Octets of a text that are kept.
const MAX_TEXT: usize = 512;
/// Different replies that are kept with their texts: at worst 2 MiB.
const MAX_TEXTS: usize = 4096;

/// A reply in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ReplyId(NonZeroU16);

impl ReplyId {
    fn at(self) -> usize {
        usize::from(self.0.get()) - 1
    }
}

/// What was said last, and by which host, where that is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Words {
    pub(super) reply: Reply,
    pub(super) host: Option<String>,
}

impl Words {
    /// As they are kept.
    pub(super) fn new(reply: &Reply, host: Option<&str>) -> Words {
        Words { reply: shortened(reply), host: host.map(str::to_owned) }
    }

    fn key(&self) -> Key<'_> {
        key(&self.reply, self.host.as_deref())
    }
}

#[derive(Debug)]
struct Entry {
    words: Words,
    /// How many recipients have it; 0 is a free place.
    users: u32,
}

#[derive(Default, Debug)]
pub(super) struct Replies {
    entries: Vec<Entry>,
    /// Places in use, sorted by what stands there.
    order: Vec<u16>,
    free: Vec<u16>,
}

/// A reply as it is kept.
fn shortened(reply: &Reply) -> Reply {
    reply.with_text(reply.text[..reply.text.len().min(MAX_TEXT)].to_vec())
}

/// What makes replies different.
type Key<'a> = (u16, Option<Enhanced>, &'a [u8], Origin, Option<&'a str>);

fn key<'a>(reply: &'a Reply, host: Option<&'a str>) -> Key<'a> {
    (reply.code, reply.enhanced, &reply.text, reply.origin, host)
}

impl Replies {
    /// The number of different replies in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn get(&self, id: ReplyId) -> &Words {
        &self.entries[id.at()].words
    }

    /// Keeps a reply, and which host gave it, for one more user.
    pub(super) fn keep(&mut self, reply: &Reply, host: Option<&str>) -> ReplyId {
        let text = &reply.text[..reply.text.len().min(MAX_TEXT)];
        match self.find((reply.code, reply.enhanced, text, reply.origin, host)) {
            Ok(at) => self.share(at),
            Err(at) if self.order.len() < MAX_TEXTS => self.add(at, Words::new(reply, host)),
            // Full: the code and its speaker say the most important, and there are 400 codes.
            Err(_) => {
                let code = reply.code.clamp(200, 599);
                let bare = Reply { origin: reply.origin, ..Reply::bare(code, "") };
                match self.find(key(&bare, None)) {
                    Ok(at) => self.share(at),
                    Err(at) => self.add(at, Words { reply: bare, host: None }),
                }
            }
        }
    }

    /// One user more has the same reply.
    pub(super) fn again(&mut self, id: ReplyId) -> ReplyId {
        self.entries[id.at()].users += 1;
        id
    }

    /// One user less has this reply.
    pub(super) fn release(&mut self, id: ReplyId) {
        let entry = &mut self.entries[id.at()];
        entry.users -= 1;
        if entry.users == 0 {
            if let Ok(at) = self.find(self.entries[id.at()].words.key()) {
                self.order.remove(at);
            }
            self.entries[id.at()].words = Words { reply: Reply::bare(0, ""), host: None };
            self.free.push(id.at() as u16);
        }
    }

    /// Where in the order it stands, or would.
    fn find(&self, wanted: Key<'_>) -> Result<usize, usize> {
        self.order.binary_search_by(|p| self.entries[usize::from(*p)].words.key().cmp(&wanted))
    }

    fn share(&mut self, at: usize) -> ReplyId {
        self.again(id_of(self.order[at]))
    }

    fn add(&mut self, at: usize, words: Words) -> ReplyId {
        let entry = Entry { words, users: 1 };
        let place = match self.free.pop() {
            Some(place) => {
                self.entries[usize::from(place)] = entry;
                place
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u16
            }
        };
        self.order.insert(at, place);
        id_of(place)
    }
}

fn id_of(place: u16) -> ReplyId {
    ReplyId(NonZeroU16::MIN.saturating_add(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16, text: &str) -> Reply {
        Reply::made(code, Some(Enhanced(4, 2, 1)), text.to_string())
    }

    #[test]
    fn equal_replies_are_one_and_go_with_their_last_user() {
        let mut replies = Replies::default();
        let a = replies.keep(&reply(450, "busy"), None);
        let b = replies.keep(&reply(451, "busy"), None);
        let again = replies.keep(&reply(450, "busy"), None);
        assert!(a == again && a != b && replies.len() == 2);
        let third = replies.again(a);
        for id in [a, again] {
            replies.release(id);
        }
        assert_eq!(replies.get(third).reply, reply(450, "busy"));
        replies.release(third);
        assert_eq!(replies.len(), 1);
        let c = replies.keep(&reply(450, "other"), None);
        assert_eq!(replies.get(b).reply, reply(451, "busy"));
        assert_eq!(replies.get(c).reply, reply(450, "other"));
        assert_eq!(replies.entries.len(), 2, "places are used again");
    }

    #[test]
    fn the_same_words_of_two_speakers_are_two_replies() {
        let mut replies = Replies::default();
        let ours = replies.keep(&reply(450, "busy"), None);
        let theirs = replies.keep(&reply(450, "busy").by_peer(), None);
        assert!(ours != theirs && replies.get(theirs).reply.origin == Origin::Peer);
    }

    #[test]
    fn the_same_words_of_two_hosts_are_two_entries() {
        let mut replies = Replies::default();
        let [a, b, none] =
            [Some("mx1"), Some("mx2"), None].map(|host| replies.keep(&reply(450, "busy"), host));
        assert!(a != b && b != none && a == replies.keep(&reply(450, "busy"), Some("mx1")));
        assert_eq!(replies.get(b).host.as_deref(), Some("mx2"));
        [a, a, b, none].into_iter().for_each(|id| replies.release(id));
        assert_eq!(replies.len(), 0);
    }

    #[test]
    fn a_new_text_each_time_fills_a_bounded_table() {
        let mut replies = Replies::default();
        let text = |n: usize| format!("{n} {}", "x".repeat(8192));
        let ids: Vec<ReplyId> = (0..100_000)
            .map(|n| replies.keep(&reply(400 + (n % 100) as u16, &text(n)), None))
            .collect();
        assert!(replies.entries.len() <= MAX_TEXTS + 400);
        assert!(replies.entries.iter().all(|e| e.words.reply.text.len() <= MAX_TEXT));
        let kept = &replies.get(ids[99_999]).reply;
        assert_eq!((kept.code, kept.text.len()), (499, 0));
        let theirs = replies.keep(&reply(499, "another").by_peer(), None);
        assert_eq!(replies.get(theirs).reply.origin, Origin::Peer);
        replies.release(theirs);
        for id in ids {
            replies.release(id);
        }
        assert_eq!((replies.len(), replies.free.len()), (0, replies.entries.len()));
    }
}
