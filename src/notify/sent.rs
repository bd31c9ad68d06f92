//! Ids of which somebody was told, the last so many.
//!
//! Invariant: an id is remembered until `max` others came after it, or until it is taken back.

use std::collections::{HashSet, VecDeque};

/// An id by its number, and whether its end is meant.
pub type Key = (u128, bool);

/// The ids.
#[derive(Debug)]
pub struct Sent {
    max: usize,
    known: HashSet<Key>,
    /// In the order in which they came; those taken back may still stand here.
    order: VecDeque<Key>,
}

impl Sent {
    pub fn new(max: usize) -> Sent {
        Sent { max, known: HashSet::new(), order: VecDeque::new() }
    }

    pub fn has(&self, key: Key) -> bool {
        self.known.contains(&key)
    }

    /// Remembers an id; returns whether it is new.
    pub fn add(&mut self, key: Key) -> bool {
        if !self.known.insert(key) {
            return false;
        }
        self.order.push_back(key);
        while self.order.len() > self.max {
            let oldest = self.order.pop_front().expect("longer than the maximum");
            self.known.remove(&oldest);
        }
        true
    }

    /// Forgets an id: nobody was told after all.
    pub fn take_back(&mut self, key: Key) {
        if self.known.remove(&key) {
            self.order.retain(|other| *other != key);
        }
    }

    /// The ids, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Key> + '_ {
        self.order.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_remembered() {
        let mut sent = Sent::new(2);
        assert!(sent.add((1, false)) && sent.add((1, true)) && !sent.add((1, false)));
        sent.take_back((1, false));
        assert!(!sent.has((1, false)) && sent.has((1, true)));
        assert!(sent.add((2, false)) && sent.add((3, false)));
        assert_eq!(sent.iter().collect::<Vec<_>>(), [(2, false), (3, false)]);
        assert!(!sent.has((1, true)) && sent.has((3, false)));
    }
}
