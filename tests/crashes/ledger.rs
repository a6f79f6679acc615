//! What was promised about each message, and whether what a process finds keeps it.

use std::collections::BTreeMap;

use mailflux::base::{Envelope, MessageId, Status};
use mailflux::spool::Head;

/// What is known of a recipient from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Nothing was recorded.
    Open,
    /// It was delivered: recorded, not flushed.
    Delivered,
    /// A bounce speaks for it, with this counter.
    Bounced(u64),
}

/// What the outside was told of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// Nothing yet: its commit was under way.
    None,
    /// Yes: 250.
    Yes,
    /// No: 451. It may come back all the same, as a repetition.
    No,
    /// Somebody had it removed, and was told that it is gone.
    Removed,
    /// Its removal was under way.
    Going,
}

/// One message.
#[derive(Clone, Debug)]
pub struct Entry {
    pub envelope: Envelope,
    pub content: Vec<u8>,
    pub word: Word,
    pub fates: Vec<Fate>,
    /// It was done, and the spool said that it is gone.
    pub gone: bool,
}

impl Entry {
    /// It was acknowledged, whatever somebody did with it after that.
    fn was_promised(&self) -> bool {
        matches!(self.word, Word::Yes | Word::Removed | Word::Going)
    }
}

/// All messages that ever came, by counter.
#[derive(Clone, Default, Debug)]
pub struct Ledger {
    pub entries: BTreeMap<u64, Entry>,
    /// A flush failed and the power was cut: the removal of a message may be lost that was told to
    /// its sender as failed, and so it is told again.
    pub flush_failed: bool,
}

impl Ledger {
    pub fn came(&mut self, id: MessageId, envelope: &Envelope, content: &[u8]) {
        let entry = Entry {
            envelope: envelope.clone(),
            content: content.to_vec(),
            word: Word::None,
            fates: vec![Fate::Open; envelope.recipients.len()],
            gone: false,
        };
        let before = self.entries.insert(id.counter, entry);
        assert!(before.is_none(), "{id} was given out twice");
    }

    /// A bounce that recovery found is relied on from then on, whatever its commit said.
    pub fn found(&mut self, heads: &[Head]) {
        for head in heads.iter().filter(|head| head.envelope.bounce_of.is_some()) {
            if let Some(entry) = self.entries.get_mut(&head.id.counter) {
                entry.word = Word::Yes;
            }
        }
    }

    pub fn get(&mut self, counter: u64) -> &mut Entry {
        self.entries.get_mut(&counter).expect("a message that came")
    }

    /// Whether this is what a process may find, with the content of each.
    pub fn check(&self, found: &[(Head, Vec<u8>)], words: &str) {
        let mut seen = BTreeMap::new();
        for (head, content) in found {
            let counter = head.id.counter;
            let Some(entry) = self.entries.get(&counter) else {
                panic!("{words}: {} never came", head.id)
            };
            assert!(seen.insert(counter, head).is_none(), "{words}: {} twice", head.id);
            assert_eq!(head.envelope, entry.envelope, "{words}: envelope of {}", head.id);
            assert!(*content == entry.content, "{words}: content of {} was changed", head.id);
            assert_ne!(entry.word, Word::Removed, "{words}: {} came back", head.id);
            // Half removed: what is marked is not told to anybody, as was asked for.
            let known =
                entry.fates.iter().zip(&head.statuses).filter(|_| entry.word != Word::Going);
            for (fate, status) in known {
                let words = format!("{words}: {} {entry:?} {:?}", head.id, head.statuses);
                self.check_recipient(*fate, *status, &words);
            }
        }
        for (counter, entry) in &self.entries {
            let promised = entry.word == Word::Yes && !entry.gone;
            // A recipient whose bounce was not promised is open, unless the bounce is there.
            let open = entry.fates.iter().any(|fate| match fate {
                Fate::Open => true,
                Fate::Delivered => false,
                Fate::Bounced(by) => !self.entries[by].was_promised() && !seen.contains_key(by),
            });
            if promised && open {
                assert!(seen.contains_key(counter), "{words}: {counter} is lost");
            }
        }
    }

    fn check_recipient(&self, fate: Fate, status: Status, words: &str) {
        match fate {
            Fate::Open => assert!(!status.done(), "{words}: {status:?} of an open recipient"),
            // It may be forgotten, and is done once more (I10).
            Fate::Delivered => assert_ne!(status, Status::Failed, "{words}: never bounced"),
            Fate::Bounced(by) => {
                assert_ne!(status, Status::Delivered, "{words}: it failed");
                let bounce = &self.entries[&by];
                // With its bounce promised there must not be a second one.
                if bounce.word == Word::Yes && !self.flush_failed {
                    assert!(status.done(), "{words}: would bounce again");
                }
            }
        }
    }
}
