//! Rows that wait for their turn, second by second of event time: so that they can be shared with a writer at once, and only
//! seconds that change meanwhile are copied.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ROW_BYTES;
use crate::ledger::kept::Kept;

/// When a row comes: time, drain, how many came before.
pub(super) type Order = (i64, Box<[u8]>, u64);
type Second = BTreeMap<Order, Box<[u8]>>;

const SECOND_US: i64 = 1_000_000;

/// Rows of one report, the earliest first.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    seconds: BTreeMap<i64, Arc<Second>>,
}

impl Waiting {
    pub fn is_empty(&self) -> bool {
        self.seconds.is_empty()
    }

    /// Time of the earliest row, microseconds since 1970.
    pub fn first_us(&self) -> Option<i64> {
        let (_, second) = self.seconds.first_key_value()?;
        second.first_key_value().map(|((time_us, ..), _)| *time_us)
    }

    pub(super) fn insert(&mut self, order: Order, row: Box<[u8]>) {
        let second = self.seconds.entry(order.0.div_euclid(SECOND_US)).or_default();
        Arc::make_mut(second).insert(order, row);
    }

    /// Takes the earliest row, if there is one.
    pub(super) fn pop_first(&mut self) -> Option<(Order, Box<[u8]>)> {
        let mut first = self.seconds.first_entry()?;
        let second = Arc::make_mut(first.get_mut());
        let row = second.pop_first();
        if second.is_empty() {
            first.remove();
        }
        row
    }

    /// Memory of all rows.
    pub fn bytes(&self) -> usize {
        self.seconds.values().flat_map(|second| second.iter()).map(|(order, row)| bytes(order, row)).sum()
    }
}

/// Memory of a row that waits.
pub(super) fn bytes(order: &Order, row: &[u8]) -> usize {
    row.len() + order.1.len() + ROW_BYTES
}

impl Kept for Waiting {
    fn put(&self, out: &mut Vec<u8>) {
        let rows: usize = self.seconds.values().map(|second| second.len()).sum();
        (rows as u32).put(out);
        for (order, row) in self.seconds.values().flat_map(|second| second.iter()) {
            (order.0, order.2).put(out);
            order.1.put(out);
            row.put(out);
        }
    }

    fn take(input: &mut &[u8]) -> Option<Waiting> {
        let mut waiting = Waiting::default();
        for _ in 0..u32::take(input)? {
            let ((time_us, place), drain, row): ((i64, u64), Box<[u8]>, _) = Kept::take(input)?;
            waiting.insert((time_us, drain, place), row);
        }
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_order_and_what_is_shared_stays_as_it_was() {
        let mut waiting = Waiting::default();
        let order = |time_us: i64, place: u64| (time_us, Box::from(&b"d"[..]), place);
        for (place, time_us) in [2_500_000, -1, 0, 2_400_000, 999_999].into_iter().enumerate() {
            waiting.insert(order(time_us, place as u64), Box::from(&[place as u8][..]));
        }
        let shared = waiting.clone();
        let all = |mut waiting: Waiting| -> Vec<u8> {
            core::iter::from_fn(|| waiting.pop_first()).map(|(_, row)| row[0]).collect()
        };
        assert_eq!((waiting.first_us(), waiting.bytes()), (Some(-1), 5 * (ROW_BYTES + 2)));
        assert_eq!(waiting.pop_first().unwrap().0, order(-1, 1));
        waiting.insert(order(2_450_000, 9), Box::from(&[9][..]));
        assert_eq!(all(shared), [1, 2, 4, 3, 0]);
        assert_eq!(all(waiting.clone()), [2, 4, 3, 9, 0]);
        let mut kept = Vec::new();
        waiting.put(&mut kept);
        assert_eq!(all(Waiting::take(&mut &kept[..]).unwrap()), [2, 4, 3, 9, 0]);
    }
}
