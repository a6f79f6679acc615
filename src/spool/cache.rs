//! What is kept at hand, within bounds: messages that just came, so that they are
//! delivered without reading, and open files.

use std::collections::{HashMap, VecDeque};

use super::format::Head;
use crate::base::{Envelope, Recipient, Status};

/// A message at hand: what is known of it, and its record as it is in the file; no record when
/// only the head was read.
#[derive(Debug)]
pub struct Cached {
    /// Envelope and statuses.
    pub head: Head,
    /// The record, or nothing. Its statuses are those of the commit.
    pub record: Vec<u8>,
}

impl Cached {
    /// About how much memory it takes.
    fn octets(&self) -> usize {
        let Envelope { client, from, envid, recipients, .. } = &self.head.envelope;
        let strings = [&client.helo, &client.user, envid].into_iter().flatten().map(String::len);
        let from = from.as_ref().map_or(0, |from| from.as_str().len());
        let orcpt = |recipient: &Recipient| recipient.orcpt.as_ref().map_or(0, String::len);
        let recipients = recipients.iter().map(|recipient| {
            recipient.address.as_str().len() + orcpt(recipient) + size_of::<Recipient>() + 16
        });
        let fixed = size_of::<Cached>() + 64;
        self.record.capacity() + strings.sum::<usize>() + from + recipients.sum::<usize>() + fixed
    }
}

/// Messages at hand, by counter; the oldest go first.
#[derive(Debug)]
pub struct Messages {
    messages: HashMap<u64, Cached>,
    order: VecDeque<u64>,
    octets: usize,
    limit: usize,
}

impl Messages {
    /// An empty cache for so many octets.
    pub fn new(limit: usize) -> Messages {
        Messages { messages: HashMap::new(), order: VecDeque::new(), octets: 0, limit }
    }

    /// Keeps a message, at the cost of older ones.
    pub fn insert(&mut self, mut message: Cached) {
        let record = &mut message.record;
        if record.capacity() > record.len() + record.len() / 4 {
            record.shrink_to_fit();
        }
        let counter = message.head.id.counter;
        self.drop(counter);
        self.octets += message.octets();
        self.messages.insert(counter, message);
        self.order.push_back(counter);
        // The newest stays, however large: it is about to be used.
        while self.octets > self.limit && self.messages.len() > 1 {
            let Some(oldest) = self.order.pop_front() else { break };
            self.drop(oldest);
        }
        // Those that went out of order leave their number behind.
        if self.order.len() > 2 * self.messages.len() + 64 {
            self.order.retain(|counter| self.messages.contains_key(counter));
        }
    }

    fn drop(&mut self, counter: u64) {
        if let Some(message) = self.messages.remove(&counter) {
            self.octets -= message.octets();
        }
    }

    /// A message, if it is here.
    pub fn get(&self, counter: u64) -> Option<&Cached> {
        self.messages.get(&counter)
    }

    /// Overwrites the status of a recipient, if the message is here.
    pub fn set_status(&mut self, counter: u64, recipient: u32, status: Status) {
        let Some(message) = self.messages.get_mut(&counter) else { return };
        if let Some(known) = message.head.statuses.get_mut(recipient as usize) {
            *known = status;
        }
    }

    /// The message is done.
    pub fn remove(&mut self, counter: u64) {
        self.drop(counter);
        if self.messages.is_empty() {
            self.order.clear();
        }
    }
}

/// Open files by number; the one not used for longest is closed first.
#[derive(Debug)]
pub struct Handles<F> {
    open: HashMap<u32, (F, u64)>,
    clock: u64,
    limit: usize,
}

impl<F> Handles<F> {
    /// Room for so many open files.
    pub fn new(limit: usize) -> Handles<F> {
        Handles { open: HashMap::new(), clock: 0, limit }
    }

    /// Keeps a file open.
    pub fn insert(&mut self, number: u32, file: F) {
        if self.open.len() >= self.limit {
            let oldest = self.open.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(number, _)| *number) {
                self.open.remove(&oldest);
            }
        }
        self.clock += 1;
        self.open.insert(number, (file, self.clock));
    }

    /// A file, if it is open.
    pub fn get(&mut self, number: u32) -> Option<&F> {
        let (file, used) = self.open.get_mut(&number)?;
        self.clock += 1;
        *used = self.clock;
        Some(file)
    }

    /// Takes a file out; dropped, it is closed.
    pub fn remove(&mut self, number: u32) -> Option<F> {
        self.open.remove(&number).map(|(file, _)| file)
    }

    /// Closes all: descriptors are short.
    pub fn clear(&mut self) {
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Address, Client, MessageId, Protocol, Wall};

    fn message(counter: u64, octets: usize) -> Cached {
        let client = Client { ip: None, helo: None, protocol: Protocol::Local, user: None };
        let envelope =
            Envelope::plain(client, None, vec![Recipient::new(Address::parse("a@b").unwrap())]);
        let id = MessageId { counter, arrived: 0 };
        let statuses = vec![Status::Pending];
        let head = Head { id, arrived: Wall::default(), envelope, statuses, body: 0 };
        Cached { head, record: vec![0; octets] }
    }

    #[test]
    fn the_oldest_messages_go_first_and_the_bound_holds() {
        let limit = 10 * message(0, 1000).octets();
        let mut messages = Messages::new(limit);
        for counter in 0..100 {
            messages.insert(message(counter, 1000));
            assert!(messages.octets <= limit);
            assert!(messages.order.len() <= 2 * messages.messages.len() + 65);
        }
        assert!(messages.get(89).is_none() && messages.get(90).is_some());
        for counter in 0..10_000 {
            messages.insert(message(counter, 10));
            messages.remove(counter);
        }
        assert!(messages.order.len() < 100);
        messages.insert(message(1, 2 * limit));
        assert!(messages.get(1).is_some() && messages.messages.len() == 1);
        messages.insert(message(2, 10));
        assert!(messages.get(1).is_none() && messages.octets <= limit);
    }

    #[test]
    fn files_not_used_are_closed() {
        let mut handles = Handles::new(2);
        handles.insert(1, 'a');
        handles.insert(2, 'b');
        assert_eq!(handles.get(1), Some(&'a'));
        handles.insert(3, 'c');
        assert_eq!(handles.get(1), Some(&'a'));
        assert_eq!(handles.get(2), None);
    }
}
