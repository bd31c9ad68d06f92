//! What waits to be told, one record after the other: what is taken, what is dropped, what is known already.
//!
//! Invariants: the oldest goes first; an id is told once, as a notice or sealed; an end is told only to who was told of
//! the begin. No clock: every call is given the time.

use std::collections::VecDeque;
use std::sync::Arc;

use super::note::{Note, number};
use super::sent::Sent;
use crate::ledger::record::State;
use crate::limits;

/// A record on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub note: Note,
    /// As the ledger wrote it.
    pub json: Arc<str>,
    /// When it came, microseconds since 1970.
    pub since_us: i64,
}

impl Item {
    /// Reads a record's JSON; nothing if it is none.
    pub fn read(json: Arc<str>, since_us: i64) -> Option<Item> {
        Some(Item { note: Note::read(json.as_bytes())?, json, since_us })
    }
}

/// What became of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Told.
    pub sent: u64,
    /// Told again, since they were still firing.
    pub resent: u64,
    /// Not told, since it was known.
    pub skipped: u64,
    /// Dropped as the oldest of too many.
    pub overflow: u64,
    /// Dropped since they could not be told for too long.
    pub old: u64,
    /// Refused for good by the target.
    pub refused: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.sent += other.sent;
        self.resent += other.resent;
        self.skipped += other.skipped;
        self.overflow += other.overflow;
        self.old += other.old;
        self.refused += other.refused;
    }
}

/// The queue of one target.
#[derive(Debug)]
pub struct Queue {
    waiting: VecDeque<Arc<Item>>,
    bytes: usize,
    sent: Sent,
    /// Records in one request.
    batch: usize,
    pub counts: Counts,
}

impl Queue {
    pub fn new(batch: usize) -> Queue {
        let (waiting, sent) = (VecDeque::new(), Sent::new(limits::NOTIFY_IDS));
        Queue { waiting, bytes: 0, sent, batch, counts: Counts::default() }
    }

    /// A queue as it was saved.
    pub fn restored(batch: usize, sent: Sent, waiting: Vec<Item>) -> Queue {
        let waiting: VecDeque<_> = waiting.into_iter().map(Arc::new).collect();
        let bytes = waiting.iter().map(|item| item.json.len()).sum();
        Queue { waiting, bytes, sent, ..Queue::new(batch) }
    }

    /// Takes a record, unless it is known.
    pub fn take(&mut self, item: Item) {
        let note = &item.note;
        let id = note.number();
        let before = note.notice.as_deref().map(number);
        let begin_is_known =
            self.sent.has((id, false)) || before.is_some_and(|notice| self.sent.has((notice, false)));
        let wanted = match note.state {
            State::Notice => !begin_is_known,
            State::Sealed => {
                // Under its own id its end will come.
                self.sent.add((id, false));
                !begin_is_known
            }
            State::Resolved => begin_is_known,
        };
        if !wanted || (note.state != State::Sealed && !self.sent.add((id, note.is_resolved()))) {
            self.counts.skipped += 1;
            return;
        }
        self.bytes += item.json.len();
        self.waiting.push_back(Arc::new(item));
        while self.waiting.len() > limits::NOTIFY_QUEUE || self.bytes > limits::NOTIFY_BYTES {
            self.counts.overflow += u64::from(self.drop_oldest());
        }
    }

    /// The next to be told, oldest first; the same until they are told or refused. Those too old are dropped.
    pub fn next(&mut self, now_us: i64) -> Vec<Arc<Item>> {
        let oldest_us = now_us - limits::NOTIFY_AGE_S as i64 * 1_000_000;
        while self.waiting.front().is_some_and(|item| item.since_us < oldest_us) {
            self.counts.old += u64::from(self.drop_oldest());
        }
        self.waiting.iter().take(self.batch).cloned().collect()
    }

    /// Takes note that the first `records` are told.
    pub fn told(&mut self, records: usize) {
        self.counts.sent += self.remove(records) as u64;
    }

    /// Takes note that the target refuses the first `records` for good.
    pub fn refused(&mut self, records: usize) {
        self.counts.refused += self.remove(records) as u64;
    }

    pub fn waiting(&self) -> impl ExactSizeIterator<Item = &Item> {
        self.waiting.iter().map(|item| &**item)
    }

    pub fn sent(&self) -> &Sent {
        &self.sent
    }

    fn remove(&mut self, records: usize) -> usize {
        let records = records.min(self.waiting.len());
        self.bytes -= self.waiting.drain(..records).map(|item| item.json.len()).sum::<usize>();
        records
    }

    /// Drops the oldest, of which nobody was told after all.
    fn drop_oldest(&mut self) -> bool {
        let Some(item) = self.waiting.pop_front() else { return false };
        self.bytes -= item.json.len();
        self.sent.take_back((item.note.number(), item.note.is_resolved()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::tests::note;
    use super::*;

    fn item(id: u128, state: State, notice: Option<u128>) -> Item {
        let (note, json) =
            note(id, state, |record| record.notice = notice.map(|id| format!("{id:032x}").into()));
        Item { note, json: String::from_utf8(json).unwrap().into(), since_us: 0 }
    }

    fn ids(queue: &Queue) -> Vec<(u128, State)> {
        queue.waiting().map(|item| (item.note.number(), item.note.state)).collect()
    }

    #[test]
    fn an_episode_is_told_once_and_its_end_once() {
        use State::{Notice, Resolved, Sealed};
        // What comes, and what of it is told.
        for (come, told) in [
            (vec![(1, Notice, None), (1, Notice, None)], vec![(1, Notice)]),
            (
                vec![(1, Notice, None), (2, Sealed, Some(1)), (2, Resolved, None)],
                vec![(1, Notice), (2, Resolved)],
            ),
            (vec![(2, Sealed, Some(1)), (1, Notice, None)], vec![(2, Sealed), (1, Notice)]),
            (vec![(2, Sealed, None), (2, Sealed, None)], vec![(2, Sealed)]),
            (
                vec![(2, Sealed, None), (2, Resolved, None), (2, Resolved, None)],
                vec![(2, Sealed), (2, Resolved)],
            ),
            (vec![(2, Resolved, None)], vec![]),
            (
                vec![(1, Notice, None), (1, Sealed, Some(1)), (3, Notice, None)],
                vec![(1, Notice), (3, Notice)],
            ),
        ] {
            let mut queue = Queue::new(1);
            for (id, state, notice) in &come {
                queue.take(item(*id, *state, *notice));
            }
            assert_eq!(ids(&queue), told, "{come:?}");
            assert_eq!(queue.counts.skipped as usize, come.len() - told.len());
        }
    }

    #[test]
    fn the_oldest_is_dropped_and_is_then_not_known() {
        let mut queue = Queue::new(1);
        for id in 0..=limits::NOTIFY_QUEUE as u128 {
            queue.take(item(id, State::Notice, None));
        }
        assert_eq!((queue.waiting().len(), queue.counts.overflow), (limits::NOTIFY_QUEUE, 1));
        queue.take(item(9_000, State::Sealed, Some(0)));
        assert_eq!(
            (queue.waiting().len(), queue.counts.overflow, queue.counts.skipped),
            (limits::NOTIFY_QUEUE, 2, 0)
        );
        queue.take(item(9_001, State::Sealed, Some(5)));
        assert_eq!((queue.counts.overflow, queue.counts.skipped), (2, 1));
    }

    #[test]
    fn bytes_are_bounded() {
        let mut queue = Queue::new(1);
        for id in 0..40 {
            let mut item = item(id, State::Notice, None);
            item.json = "x".repeat(1 << 20).into();
            queue.take(item);
        }
        assert_eq!((queue.waiting().len(), queue.counts.overflow), (32, 8));
        queue.told(32);
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn what_is_next_stays_until_it_is_told_or_too_old() {
        let mut queue = Queue::new(2);
        for id in 1..=3 {
            queue.take(item(id, State::Notice, None));
        }
        assert_eq!(queue.next(0).len(), 2);
        assert_eq!(queue.next(0), queue.next(1));
        queue.told(2);
        assert_eq!(queue.next(0)[0].note.number(), 3);
        assert!(queue.next(limits::NOTIFY_AGE_S as i64 * 1_000_000 + 1).is_empty());
        queue.refused(1);
        assert_eq!((queue.counts.sent, queue.counts.old, queue.counts.refused), (2, 1, 0));
    }

    #[test]
    fn a_restored_queue_goes_on() {
        let mut queue = Queue::new(1);
        queue.take(item(1, State::Notice, None));
        queue.take(item(2, State::Notice, None));
        queue.told(1);
        let mut sent = Sent::new(10);
        queue.sent().iter().for_each(|key| assert!(sent.add(key)));
        let mut again = Queue::restored(1, sent, queue.waiting().cloned().collect());
        for id in 1..=3 {
            again.take(item(id, State::Notice, None));
        }
        assert_eq!(ids(&again), [(2, State::Notice), (3, State::Notice)]);
    }
}
