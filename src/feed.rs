//! The feed: what one sink was given, what is safe, what was lost and why, and what its thread does next.
//!
//! Figures are entered when the mark passes a number, from that number's own share and from the sink's own refusals;
//! none is a difference of two others. The feed decides on backing off and on detaching; it neither waits nor locks.

use std::collections::{BTreeMap, VecDeque};

use crate::batch::Number;
use crate::limits;
use crate::outcome::Share;

/// What happens to a sink that cannot keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// All wait for it.
    Block,
    /// It misses what does not fit, counted.
    Drop,
}

/// Whether slots are given, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stock {
    Free,
    /// All are in flight.
    Dry,
    /// Encoded bytes in flight are over their cap.
    ParcelsFull,
}

/// Why a frame did not reach a sink.
pub mod reason {
    pub const NO_MATCH: &str = "no_match";
    /// A `drop` sink was full or out of order.
    pub const WHEN_FULL: &str = "when_full";
    /// Time was up at the end.
    pub const SHUTDOWN: &str = "shutdown";
    /// A reload took the sink away.
    pub const REMOVED: &str = "removed";
}

/// A sink's side of the books, up to its mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkBooks {
    pub mark: Number,
    pub admitted: u64,
    pub delivered: u64,
    pub filtered: u64,
    pub quarantined: u64,
    pub dropped: BTreeMap<&'static str, u64>,
    /// Rows offered once more after an outage.
    pub resent: u64,
}

impl SinkBooks {
    /// Whether every admitted frame has an entry.
    pub fn balance(&self) -> bool {
        let dropped: u64 = self.dropped.values().sum();
        self.admitted == self.delivered + self.filtered + self.quarantined + dropped
    }

    fn drop_rows(&mut self, reason: &'static str, rows: u64) {
        if rows > 0 {
            *self.dropped.entry(reason).or_default() += rows;
        }
    }

    /// Enters what needs no sink.
    fn enter(&mut self, share: &Share) {
        self.admitted += share.admitted;
        self.filtered += share.filtered;
        self.quarantined += share.quarantined;
        self.drop_rows(reason::NO_MATCH, share.no_match);
    }
}

/// Taken and not yet safe.
#[derive(Debug)]
struct Pending {
    number: Number,
    share: Share,
    /// Rows refused for good, by reason.
    refused: Vec<(&'static str, u64)>,
}

/// The feed of one sink.
#[derive(Debug)]
pub struct Feed {
    pub when_full: WhenFull,
    pub books: SinkBooks,
    pending: VecDeque<Pending>,
    /// Failures in a row.
    failures: u32,
    /// Since when it has held over half the slots, microseconds.
    over_half_us: Option<i64>,
}

impl Feed {
    /// A sink that is attached behind `mark`.
    pub fn new(when_full: WhenFull, mark: Number) -> Feed {
        Feed {
            when_full,
            books: SinkBooks { mark, ..SinkBooks::default() },
            pending: VecDeque::new(),
            failures: 0,
            over_half_us: None,
        }
    }

    /// Notes that `number` goes to the sink, for the first time or again.
    pub fn take(&mut self, number: Number, share: Share) {
        if self.pending.back().is_none_or(|last| last.number < number) {
            self.pending.push_back(Pending { number, share, refused: Vec::new() });
        }
    }

    /// Notes that the sink refused a row of `number` for good.
    pub fn refuse(&mut self, number: Number, reason: &'static str) {
        let Ok(at) = self.pending.binary_search_by_key(&number, |pending| pending.number) else { return };
        let refused = &mut self.pending[at].refused;
        match refused.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, rows)) => *rows += 1,
            None => refused.push((reason, 1)),
        }
    }

    /// Notes that all up to `mark` is safe.
    pub fn mark(&mut self, mark: Number) {
        while let Some(first) = self.pending.front()
            && first.number <= mark
        {
            let done = self.pending.pop_front().expect("just seen");
            self.books.enter(&done.share);
            let refused: u64 = done.refused.iter().map(|(_, rows)| rows).sum();
            self.books.delivered += done.share.passed - refused;
            for (reason, rows) in done.refused {
                self.books.drop_rows(reason, rows);
            }
        }
        if mark > self.books.mark {
            self.books.mark = mark;
            self.failures = 0;
        }
    }

    /// Whether the sink holds something that is not safe.
    pub fn is_unsafe(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Notes that `rows` are offered once more. A sink remembers what it has refused, and does not say so twice.
    pub fn resend(&mut self, rows: u64) {
        self.books.resent += rows;
    }

    /// How long to wait after a failure, milliseconds: 100 doubled each time, 5 s at most.
    pub fn back_off_ms(&mut self) -> u64 {
        self.failures = (self.failures + 1).min(7);
        (50u64 << self.failures).min(5000)
    }

    /// Whether a `drop` sink that holds `held` of `slots` has done so for too long and is to be detached: sooner if no
    /// slot is given, since then every listener waits. If that is for the size of parcels, an eighth is too much.
    pub fn is_to_detach(&mut self, held: u64, slots: u64, stock: Stock, now_us: i64) -> bool {
        let share = if stock == Stock::ParcelsFull { 8 } else { 2 };
        if self.when_full == WhenFull::Block || held * share <= slots {
            self.over_half_us = None;
            return false;
        }
        let since = *self.over_half_us.get_or_insert(now_us);
        let after_ms = if stock == Stock::Free { limits::DETACH_AFTER_MS } else { limits::DETACH_DRY_MS };
        now_us - since >= after_ms * 1000
    }

    /// Enters what a detached sink missed up to `mark`, what was pending included.
    pub fn miss(&mut self, missed: &Share, mark: Number, reason: &'static str) {
        self.over_half_us = None;
        self.pending.clear();
        self.books.enter(missed);
        self.books.drop_rows(reason, missed.passed);
        self.books.mark = self.books.mark.max(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(passed: u64, no_match: u64) -> Share {
        Share { admitted: passed + no_match, passed, no_match, ..Share::default() }
    }

    #[test]
    fn books_close_at_the_mark_with_refusals_in_their_place() {
        let mut feed = Feed::new(WhenFull::Block, 0);
        feed.take(1, share(10, 2));
        feed.take(2, share(5, 0));
        feed.take(1, share(10, 2));
        feed.refuse(1, "too_large");
        feed.refuse(1, "too_large");
        assert!(feed.is_unsafe());
        feed.mark(1);
        assert_eq!((feed.books.admitted, feed.books.delivered), (12, 8));
        assert_eq!(feed.books.dropped, BTreeMap::from([("no_match", 2), ("too_large", 2)]));
        feed.mark(2);
        assert!(feed.books.balance() && !feed.is_unsafe());
    }

    #[test]
    fn a_drop_sink_is_detached_after_two_seconds_over_half_or_sooner_if_all_wait_for_it() {
        let mut feed = Feed::new(WhenFull::Drop, 0);
        assert!(!feed.is_to_detach(9, 16, Stock::Free, 0));
        assert!(!feed.is_to_detach(9, 16, Stock::Free, 1_999_999));
        assert!(feed.is_to_detach(9, 16, Stock::Free, 2_000_000));
        assert!(!feed.is_to_detach(8, 16, Stock::Free, 2_000_001));
        assert!(!feed.is_to_detach(9, 16, Stock::Dry, 2_000_002));
        assert!(!feed.is_to_detach(9, 16, Stock::Free, 2_200_002));
        assert!(feed.is_to_detach(9, 16, Stock::Dry, 2_200_002));
        assert!(!feed.is_to_detach(2, 16, Stock::ParcelsFull, 4_000_000));
        assert!(!feed.is_to_detach(3, 16, Stock::ParcelsFull, 5_000_000));
        assert!(feed.is_to_detach(3, 16, Stock::ParcelsFull, 5_200_000));
        feed.take(1, share(3, 1));
        feed.miss(&share(7, 1), 5, reason::WHEN_FULL);
        assert_eq!(feed.books.dropped, BTreeMap::from([("no_match", 1), ("when_full", 7)]));
        assert!(feed.books.balance() && feed.books.mark == 5);
        assert!(!Feed::new(WhenFull::Block, 0).is_to_detach(16, 16, Stock::Dry, i64::MAX));
    }

    #[test]
    fn backing_off_grows_to_five_seconds_and_starts_anew_after_success() {
        let mut feed = Feed::new(WhenFull::Block, 0);
        let waits: Vec<u64> = (0..9).map(|_| feed.back_off_ms()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        feed.mark(1);
        assert_eq!(feed.back_off_ms(), 100);
    }
}
