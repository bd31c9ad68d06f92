//! Samples of metrics, added up by series: each shard fills its own, the ledger adds them up.
//!
//! What counts adds up in any order; of a gauge the value of the highest number is the last.

use core::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::batch::Number as BatchNumber;
use crate::limits;
use crate::plan::metric::{BINS, Kind, Metrics, bin};
use crate::plan::rules::SlotId;
use crate::plan::rules::convert::Number;
use crate::signal::Word;

/// Samples of one metric and key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cell {
    pub count: u64,
    /// Of a gauge the last value, otherwise the sum.
    pub value: Number,
    /// Where the last sample came.
    pub at: At,
}

/// Number and receive time of a batch, microseconds since 1970; both grow together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub number: BatchNumber,
    pub received_us: i64,
}

/// A key of a set, with a cell for each of its metrics.
#[derive(Clone, Debug)]
pub struct Row {
    pub set: u32,
    /// As `signal::values` reads it; empty though the set has keys: those for which there was no room.
    pub key: Word,
    /// Places of the first cell and the first histogram's bins.
    pub cells: u32,
    pub bins: u32,
}

/// Samples of metrics of one plan.
#[derive(Debug, Default)]
pub struct Samples {
    pub of: Arc<Metrics>,
    pub rows: Vec<Row>,
    pub cells: Vec<Cell>,
    pub bins: Vec<[u32; BINS]>,
    pub texts: Vec<u8>,
    /// Place of a row and one more, by hash; zero is none.
    places: Vec<u32>,
    hasher: RandomState,
    /// The row that was last added to, by set.
    last: Vec<u32>,
}

impl Samples {
    /// Samples of these metrics, none so far, with room for as many as there were in `before`.
    pub fn new(of: &Arc<Metrics>, before: Room) -> Samples {
        Samples {
            of: of.clone(),
            rows: Vec::with_capacity(before.rows),
            cells: Vec::with_capacity(before.cells),
            bins: Vec::with_capacity(before.bins),
            texts: Vec::with_capacity(before.texts),
            places: vec![0; ((before.rows + 1) * 2).next_power_of_two().max(64)],
            hasher: RandomState::default(),
            last: vec![u32::MAX; of.sets.len()],
        }
    }

    /// How much there is.
    pub fn room(&self) -> Room {
        Room {
            rows: self.rows.len(),
            cells: self.cells.len(),
            bins: self.bins.len(),
            texts: self.texts.len(),
        }
    }

    /// Adds an event's samples to the series of a key: `value` reads a slot.
    #[inline]
    pub fn add(&mut self, set: u32, key: &[u8], at: At, value: impl Fn(SlotId) -> Option<Number>) {
        let place = self.place(set, key);
        let row = &self.rows[place];
        let metrics = &self.of.sets[set as usize].metrics;
        let cells = &mut self.cells[row.cells as usize..][..metrics.len()];
        let mut bins = row.bins as usize;
        for (cell, metric) in cells.iter_mut().zip(metrics) {
            let own = bins;
            bins += usize::from(metric.kind == Kind::Histogram);
            let value = match metric.value {
                None => Number::of(1),
                Some(slot) => match value(slot) {
                    Some(value) => value,
                    None => continue,
                },
            };
            match metric.kind {
                Kind::Gauge => cell.value = value,
                // A counter never goes down.
                Kind::Counter if value < Number::default() => continue,
                Kind::Counter => cell.value = cell.value.plus(value),
                Kind::Histogram => {
                    cell.value = cell.value.plus(value);
                    self.bins[own][bin(value, metric.in_seconds)] += 1;
                }
            }
            cell.count += 1;
            cell.at = at;
        }
    }

    /// The row of a key.
    #[inline]
    fn place(&mut self, set: u32, key: &[u8]) -> usize {
        let last = self.last[set as usize] as usize;
        match self.rows.get(last) {
            Some(row) if row.key.of(&self.texts) == key => last,
            _ => self.look_up(set, key),
        }
    }

    #[inline(never)]
    fn look_up(&mut self, set: u32, key: &[u8]) -> usize {
        let full = self.rows.len() >= limits::SAMPLE_ROWS && !key.is_empty();
        let mut at = self.hash(set, key);
        let mask = self.places.len() - 1;
        let place = loop {
            let Some(place) = (self.places[at & mask] as usize).checked_sub(1) else {
                if full {
                    return self.place(set, &[]);
                }
                break self.put(set, key, at & mask);
            };
            let row = &self.rows[place];
            if row.set == set && row.key.of(&self.texts) == key {
                break place;
            }
            at += 1;
        };
        self.last[set as usize] = place as u32;
        place
    }

    /// Makes a row that `places[at]` is to name.
    fn put(&mut self, set: u32, key: &[u8], at: usize) -> usize {
        let of = &self.of.sets[set as usize];
        let (cells, bins) = (self.cells.len(), self.bins.len());
        self.cells.resize(cells + of.metrics.len(), Cell::default());
        self.bins.resize(bins + of.histograms, [0; BINS]);
        let key = Word::push(key, &mut self.texts);
        self.rows.push(Row { set, key, cells: cells as u32, bins: bins as u32 });
        self.places[at] = self.rows.len() as u32;
        if (self.rows.len() + 1) * 2 > self.places.len() {
            self.grow();
        }
        self.rows.len() - 1
    }

    fn grow(&mut self) {
        let len = self.places.len() * 2;
        self.places.clear();
        self.places.resize(len, 0);
        for place in 0..self.rows.len() {
            let row = &self.rows[place];
            let mut at = self.hash(row.set, row.key.of(&self.texts));
            while self.places[at & (len - 1)] != 0 {
                at += 1;
            }
            self.places[at & (len - 1)] = place as u32 + 1;
        }
    }

    fn hash(&self, set: u32, key: &[u8]) -> usize {
        (self.hasher.hash_one(key) ^ u64::from(set).wrapping_mul(0x9e37_79b9_7f4a_7c15)) as usize >> 16
    }
}

/// How many rows, cells and bins there are, and how many bytes of texts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    rows: usize,
    cells: usize,
    bins: usize,
    texts: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::metric::{Set, Taken};

    /// A set with one metric of each kind, and one with a histogram.
    fn samples() -> Samples {
        let set = |kinds: &[Kind]| {
            let taken = |kind: &Kind| Taken {
                metric: 0,
                kind: *kind,
                value: Some(*kind as SlotId),
                in_seconds: true,
            };
            Set { keys: Vec::new(), metrics: kinds.iter().map(taken).collect(), histograms: 1 }
        };
        let sets = vec![set(&[Kind::Gauge, Kind::Histogram, Kind::Counter]), set(&[Kind::Histogram])];
        Samples::new(&Arc::new(Metrics { sets, ..Metrics::default() }), Room::default())
    }

    #[test]
    fn a_key_of_a_set_has_one_row() {
        let mut samples = samples();
        for n in 0..3_000u64 {
            let key = (n % 700).to_le_bytes();
            samples
                .add((n % 2) as u32, &key, At { number: n, received_us: n as i64 }, |_| Some(Number::of(n)));
        }
        // 700 keys are even or odd: each belongs to one set.
        assert_eq!(samples.rows.len(), 700);
        let row = |key: u64| {
            let mut rows = samples.rows.iter();
            rows.find(|row| row.key.of(&samples.texts) == key.to_le_bytes()).unwrap()
        };
        let cells = &samples.cells[row(8).cells as usize..][..3];
        assert_eq!(cells[0].value, Number::of(2_808));
        assert_eq!(cells[1].value, Number::of(8 + 708 + 1_408 + 2_108 + 2_808));
        assert_eq!((cells[1].count, cells[1].value), (5, cells[2].value));
        assert_eq!(cells[2].at, At { number: 2_808, received_us: 2_808 });
        assert_eq!(samples.bins[row(8).bins as usize][..10], [0, 1, 0, 0, 0, 0, 0, 1, 2, 1]);
        assert_eq!(samples.bins[row(9).bins as usize].iter().sum::<u32>(), 5);
        assert_eq!(samples.cells.len(), 350 * 4);
    }

    #[test]
    fn a_counter_does_not_go_down_and_what_is_absent_is_no_sample() {
        let mut samples = samples();
        let at = At { number: 1, received_us: 1 };
        samples
            .add(0, b"k", at, |slot| (slot != Kind::Histogram as SlotId).then(|| Number::of_billionths(-1)));
        let counts: Vec<u64> = samples.cells.iter().map(|cell| cell.count).collect();
        assert_eq!(counts, [1, 0, 0]);
    }

    #[test]
    fn what_has_no_room_goes_into_one_row() {
        let mut samples = samples();
        for n in 0..limits::SAMPLE_ROWS as u64 + 9 {
            samples.add(1, &n.to_le_bytes(), At::default(), |_| Some(Number::of(1)));
        }
        // Known keys stay known.
        samples.add(1, &3u64.to_le_bytes(), At::default(), |_| Some(Number::of(1)));
        assert_eq!(samples.rows.len(), limits::SAMPLE_ROWS + 1);
        assert_eq!(samples.cells.last().unwrap().count, 9);
        assert_eq!((samples.cells[3].count, samples.rows.last().unwrap().key.len), (2, 0));
    }
}
