//! Metrics of packs, compiled: which events give samples, of which series.
//!
//! Metrics that take the same events by the same keys form a set: a shard makes the key once for all of them.

use super::concerns::Concerns;
use super::rules::SlotId;
use super::rules::convert::Number;
use super::watch::Part;

/// Upper bounds of a histogram's bins, thousandths: 0.005 s to 30 s. Above them is one more bin.
pub const BOUNDS: [i64; 12] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];
/// Bins of a histogram.
pub const BINS: usize = BOUNDS.len() + 1;

/// What the samples of a series come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The last value, by number.
    Gauge,
    /// The sum, or how many there were.
    Counter,
    /// The sum, and how many there were in each bin.
    Histogram,
}

/// The value of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    Text(Box<str>),
    /// The value at this place of the set's keys.
    Key(u8),
}

/// A metric. Several may have one name; their labels then tell them apart.
#[derive(Clone, Debug)]
pub struct Metric {
    pub name: Box<str>,
    pub help: Box<str>,
    pub kind: Kind,
    /// Sorted by name.
    pub labels: Vec<(Box<str>, Label)>,
    /// Whether its values are milliseconds and shown as seconds.
    pub in_seconds: bool,
    /// How long a series lasts from its last sample, in receive time.
    pub expire_us: i64,
    /// Series at most.
    pub series_max: usize,
    /// Equal while its series mean the same.
    pub shape: u64,
}

/// Metrics that take the same events by the same keys.
#[derive(Debug)]
pub struct Set {
    pub keys: Vec<Part>,
    pub metrics: Vec<Taken>,
    /// How many of them are histograms.
    pub histograms: usize,
}

/// What a shard has to know of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Its place in `Metrics::list`.
    pub metric: u32,
    pub kind: Kind,
    /// Absent: every event counts one.
    pub value: Option<SlotId>,
    /// Whether its values are milliseconds and shown as seconds.
    pub in_seconds: bool,
}

/// All metrics of a plan, and which events give them samples.
#[derive(Debug, Default)]
pub struct Metrics {
    pub list: Vec<Metric>,
    pub sets: Vec<Set>,
    /// Which sets an event gives samples.
    pub concerns: Concerns,
}

/// The bin of a value, of seconds or of milliseconds shown as such.
#[inline(always)]
pub fn bin(value: Number, in_seconds: bool) -> usize {
    // Billionths that make a thousandth of what is shown.
    let unit = if in_seconds { 1_000_000_000 } else { 1_000_000 };
    let billionths = value.billionths();
    let billionths = i64::try_from(billionths).unwrap_or(if billionths < 0 { i64::MIN } else { i64::MAX });
    BOUNDS.iter().position(|bound| billionths <= bound * unit).unwrap_or(BOUNDS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_part_of_its_bin() {
        let of_ms = |ms: u64| bin(Number::of(ms), true);
        assert_eq!([0, 5, 6, 10, 11].map(of_ms), [0, 0, 1, 1, 2]);
        assert_eq!([30_000, 30_001, u64::MAX].map(of_ms), [11, 12, 12]);
        assert_eq!(bin(Number::of_billionths(-1), true), 0);
        let of_billionths = |value| bin(Number::of_billionths(value), false);
        assert_eq!([5_000_000, 5_000_001, 30_000_000_000].map(of_billionths), [0, 1, 11]);
        assert!(BOUNDS.is_sorted());
    }
}
