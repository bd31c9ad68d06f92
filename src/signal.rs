//! What a shard tells the ledger of a batch: what matched, added up where that is enough.
//!
//! There is one signal for each alert, key, sub-bucket and receive time; what it holds adds up in any order. Texts lie
//! together in one buffer.

use std::sync::Arc;

use crate::batch::Origin;
use crate::plan::rules::convert::Number;

/// A piece of a buffer of texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word {
    pub at: u32,
    pub len: u32,
}

impl Word {
    /// The piece of `texts` that it is.
    pub fn of(self, texts: &[u8]) -> &[u8] {
        &texts[self.at as usize..(self.at + self.len) as usize]
    }

    /// Appends a text and returns where it lies.
    pub fn push(text: &[u8], texts: &mut Vec<u8>) -> Word {
        let at = texts.len() as u32;
        texts.extend_from_slice(text);
        Word { at, len: text.len() as u32 }
    }
}

/// Events that matched one alert, of one key and sub-bucket. Times are microseconds since 1970.
#[derive(Clone, Debug)]
pub struct Signal {
    /// Index in the plan's watch.
    pub alert: u32,
    /// The key, as `values` reads it.
    pub key: Word,
    /// Where each event is an episode: what it is suppressed by, as `values` reads it.
    pub by: Word,
    /// The sub-bucket; where each event is an episode, its time.
    pub bucket: i64,
    /// When its events came.
    pub received_us: i64,
    pub first_us: i64,
    pub last_us: i64,
    pub count: u64,
    /// Of them, those that a ratio counts.
    pub of: u64,
    pub sum: Number,
    /// What the summary shows, of the event that is last by time and then by these bytes.
    pub args: Word,
    /// Places in `Signals::shown` of its last events.
    pub shown: [u32; crate::limits::SHOWN_EVENTS],
    pub shown_len: u8,
}

/// An event that an alert may show.
#[derive(Clone, Copy, Debug)]
pub struct ShownAt {
    pub time_us: i64,
    pub id: Word,
    pub message: Word,
}

/// A match of a step, or of an alert that goes by event times.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// Place of its signal.
    pub signal: u32,
    pub step: u8,
    pub time_us: i64,
}

/// Events of a drain in ten seconds of event time.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub drain: Word,
    pub bucket: i64,
    pub seen: u64,
    pub lost: u64,
}

impl Flow {
    pub const WIDTH_US: i64 = 10_000_000;
}

/// A row of a report.
#[derive(Clone, Copy, Debug)]
pub struct RowAt {
    pub report: u32,
    pub time_us: i64,
    pub drain: Word,
    /// As `rows::cells` reads them.
    pub cells: Word,
    /// Place of the message that a join may put together with others before it gives a row.
    pub piece: Option<u32>,
}

/// A message that a join may put together with others.
#[derive(Clone, Debug)]
pub struct PieceAt {
    pub join: u32,
    pub key: Word,
    pub starts: bool,
    pub ends: bool,
    pub time_us: i64,
    pub received_us: i64,
    /// Without its final line end.
    pub frame: Word,
    pub message: Word,
    pub id: Word,
    pub origin: Arc<Origin>,
}

/// All signals of a batch.
#[derive(Debug, Default)]
pub struct Signals {
    pub list: Vec<Signal>,
    pub texts: Vec<u8>,
    /// Place of the signal, and the hash of a value or the number of a bin.
    pub values: Vec<(u32, u64)>,
    /// In the order of the batch.
    pub hits: Vec<Hit>,
    pub shown: Vec<ShownAt>,
    pub flows: Vec<Flow>,
    /// Events by alert that came too late for its windows.
    pub late: Vec<(u32, u64)>,
    /// In the order of the batch.
    pub rows: Vec<RowAt>,
    pub pieces: Vec<PieceAt>,
}

impl Signals {
    pub fn clear(&mut self) {
        self.list.clear();
        self.texts.clear();
        self.values.clear();
        self.hits.clear();
        self.shown.clear();
        self.flows.clear();
        self.late.clear();
        self.rows.clear();
        self.pieces.clear();
    }

    /// Bytes of memory that they hold.
    pub fn held_bytes(&self) -> usize {
        let Signals { list, texts, values, hits, shown, flows, late, rows, pieces } = self;
        let lists = list.capacity() * size_of::<Signal>() + shown.capacity() * size_of::<ShownAt>();
        let pairs = (values.capacity() + late.capacity()) * size_of::<(u32, u64)>();
        let rest = hits.capacity() * size_of::<Hit>() + flows.capacity() * size_of::<Flow>();
        let of_reports = rows.capacity() * size_of::<RowAt>() + pieces.capacity() * size_of::<PieceAt>();
        texts.capacity() + lists + pairs + rest + of_reports
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
            && self.flows.is_empty()
            && self.late.is_empty()
            && self.rows.is_empty()
            && self.pieces.is_empty()
    }
}

/// Bytes of one value in a key; longer ones are cut and told apart by their hash.
pub const VALUE_BYTES: usize = 256;

const ABSENT: u8 = 0;
const TEXT: u8 = 1;
const NUMBER: u8 = 2;

/// Appends a value, as [`values`] reads it.
pub fn push_value(value: Option<&[u8]>, number: bool, out: &mut Vec<u8>) {
    let Some(value) = value else { return out.extend_from_slice(&[ABSENT, 0, 0]) };
    let [low, high] = (value.len().min(VALUE_BYTES) as u16).to_le_bytes();
    out.reserve(3 + VALUE_BYTES);
    out.extend_from_slice(&[if number { NUMBER } else { TEXT }, low, high]);
    if value.len() <= VALUE_BYTES {
        return out.extend_from_slice(value);
    }
    let hash = format!("...{:016x}", hash_of(value)).into_bytes();
    out.extend_from_slice(&value[..VALUE_BYTES - hash.len()]);
    out.extend_from_slice(&hash);
}

/// The values in `encoded`: text or nothing, and whether it is a number.
pub fn values(mut encoded: &[u8]) -> impl Iterator<Item = (Option<&[u8]>, bool)> {
    core::iter::from_fn(move || {
        let (&[tag, low, high], rest) = encoded.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u16::from_le_bytes([low, high]) as usize)?;
        encoded = rest;
        Some(((tag != ABSENT).then_some(value), tag == NUMBER))
    })
}

/// The hash by which values are told apart; the same in every process.
pub fn hash_of(value: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(value)
}

/// Steps of a power of two in a histogram, as bits: a bin is at most 1/32 wide, its middle at most 1/64 off.
const BIN_BITS: u32 = 5;

/// The bin of a histogram that a value falls in; negative ones are in the first.
pub fn bin_of(value: Number) -> u64 {
    let value = value.billionths().max(0) as u128;
    let exponent = u128::BITS - value.leading_zeros();
    match exponent.checked_sub(BIN_BITS + 1) {
        None => value as u64,
        Some(shift) => (u64::from(shift + 1) << BIN_BITS) + ((value >> shift) as u64 & ((1 << BIN_BITS) - 1)),
    }
}

/// The middle of a bin.
pub fn bin_middle(bin: u64) -> Number {
    let (high, low) = (bin >> BIN_BITS, (bin & ((1 << BIN_BITS) - 1)) as i128);
    Number::of_billionths(match high.checked_sub(1) {
        None => low,
        Some(shift) => (((1 << BIN_BITS) + low) << shift) + (1 << shift) / 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_holds_its_values_within_two_percent() {
        let mut before = 0;
        for n in (0..64).chain((6..90).map(|power| (1.4f64.powi(power) * 9.0) as u128)) {
            let value = Number::of_billionths(n as i128);
            let bin = bin_of(value);
            assert!(bin >= before, "{n}");
            before = bin;
            let off = (bin_middle(bin).billionths() - n as i128).abs() as f64;
            assert!(off <= n as f64 * 0.02, "{n} {off}");
        }
        assert_eq!(bin_of(Number::of_billionths(-5)), 0);
    }

    #[test]
    fn values_are_read_as_they_were_written() {
        let mut out = Vec::new();
        push_value(Some(b"d.1"), false, &mut out);
        push_value(None, false, &mut out);
        push_value(Some(b"404"), true, &mut out);
        push_value(Some(&[b'x'; 1000]), false, &mut out);
        let read: Vec<_> = values(&out).collect();
        assert_eq!(read[..3], [(Some(&b"d.1"[..]), false), (None, false), (Some(&b"404"[..]), true)]);
        assert_eq!(read[3].0.map(<[u8]>::len), Some(VALUE_BYTES));
        let mut other = Vec::new();
        push_value(Some(&[[b'x'; 999].as_slice(), b"y"].concat()), false, &mut other);
        assert_ne!(values(&other).next(), Some(read[3]));
    }
}
