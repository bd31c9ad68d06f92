//! What a window holds: sub-buckets of one key, and the value of those that a window covers.

use std::collections::VecDeque;

use foldhash::HashSet;

use super::record::Shown;
use crate::limits;
use crate::plan::rules::convert::Number;
use crate::plan::watch::{Alert, Form};
use crate::signal::bin_middle;

/// Values of one key that are told apart exactly.
pub const DISTINCT_EXACT: usize = 1_024;
/// Hits that a step of one key keeps.
pub const HITS: usize = 64;
/// Event times that `exact` keeps besides those that it needs to see its bound.
const EXACT_SPARE: usize = 4_096;

/// Which values were seen: exactly, or by HyperLogLog with 4,096 registers (1.6 %).
#[derive(Clone, Debug)]
pub enum Distinct {
    Exact(HashSet<u64>),
    Estimated(Box<[u8; REGISTERS]>),
}

const REGISTERS: usize = 4_096;

impl Default for Distinct {
    fn default() -> Distinct {
        Distinct::Exact(HashSet::default())
    }
}

impl Distinct {
    /// Returns whether it was new, as far as that is known.
    pub fn insert(&mut self, hash: u64) {
        match self {
            Distinct::Exact(values) => {
                values.insert(hash);
                if values.len() > DISTINCT_EXACT {
                    let mut registers = Box::new([0; REGISTERS]);
                    values.iter().for_each(|value| note(&mut registers, *value));
                    *self = Distinct::Estimated(registers);
                }
            }
            Distinct::Estimated(registers) => note(registers, hash),
        }
    }

    fn add(&mut self, other: &Distinct) {
        match (&mut *self, other) {
            (_, Distinct::Exact(values)) => values.iter().for_each(|value| self.insert(*value)),
            (Distinct::Estimated(own), Distinct::Estimated(other)) => {
                own.iter_mut().zip(other.iter()).for_each(|(own, other)| *own = (*own).max(*other));
            }
            (Distinct::Exact(values), Distinct::Estimated(other)) => {
                let mut registers = other.clone();
                values.iter().for_each(|value| note(&mut registers, *value));
                *self = Distinct::Estimated(registers);
            }
        }
    }

    fn count(&self) -> u64 {
        match self {
            Distinct::Exact(values) => values.len() as u64,
            Distinct::Estimated(registers) => estimate(registers),
        }
    }

    fn is_exact(&self) -> bool {
        matches!(self, Distinct::Exact(_))
    }
}

fn note(registers: &mut [u8; REGISTERS], hash: u64) {
    let register = &mut registers[(hash % REGISTERS as u64) as usize];
    let rank = ((hash / REGISTERS as u64) | (1 << 52)).trailing_zeros() as u8 + 1;
    *register = (*register).max(rank);
}

fn estimate(registers: &[u8; REGISTERS]) -> u64 {
    let m = REGISTERS as f64;
    let sum: f64 = registers.iter().map(|rank| (-f64::from(*rank)).exp2()).sum();
    let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
    let empty = registers.iter().filter(|rank| **rank == 0).count();
    let small = raw <= 2.5 * m && empty > 0;
    (if small { m * (m / empty as f64).ln() } else { raw }).round() as u64
}

/// A match of a step: where in event time, and where in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepHit {
    pub time_us: i64,
    pub order: u64,
    pub step: u8,
}

/// What one sub-bucket of a key holds.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    pub number: i64,
    pub count: u64,
    pub of: u64,
    pub sum: Number,
    pub first_us: i64,
    pub last_us: i64,
    pub distinct: Option<Box<Distinct>>,
    /// Bins of a histogram, sorted, with their counts.
    pub bins: Vec<(u64, u64)>,
    /// Sorted.
    pub hits: Vec<StepHit>,
    /// The last ones, sorted.
    pub shown: Vec<Shown>,
    /// What the summary shows, of the last event.
    pub args: Box<[u8]>,
    pub degraded: bool,
}

impl Bucket {
    pub fn insert_bin(&mut self, bin: u64) {
        match self.bins.binary_search_by_key(&bin, |(bin, _)| *bin) {
            Ok(at) => self.bins[at].1 += 1,
            Err(at) => self.bins.insert(at, (bin, 1)),
        }
    }

    /// Takes a hit; of a step's too many the oldest goes.
    pub fn insert_hit(&mut self, hit: StepHit, max: usize) {
        let at = self.hits.partition_point(|known| *known < hit);
        self.hits.insert(at, hit);
        if self.hits.iter().filter(|known| known.step == hit.step).count() > max {
            let oldest = self.hits.iter().position(|known| known.step == hit.step);
            self.hits.remove(oldest.expect("it was just put there"));
            self.degraded = true;
        }
    }

    /// The time before which no event is shown any more: there are enough later ones.
    pub fn shows_from_us(&self) -> i64 {
        let is_full = self.shown.len() >= limits::SHOWN_EVENTS;
        self.shown.first().filter(|_| is_full).map_or(i64::MIN, |oldest| oldest.time_us)
    }

    /// Takes an event to show; returns the bytes that it holds now more than before.
    pub fn show(&mut self, shown: Shown) -> isize {
        let bytes = |shown: &Shown| shown_bytes(shown) as isize;
        let at = self.shown.partition_point(|known| *known < shown);
        let mut more = bytes(&shown);
        self.shown.insert(at, shown);
        if self.shown.len() > limits::SHOWN_EVENTS {
            more -= bytes(&self.shown.remove(0));
        }
        more
    }
}

/// Bytes that a shown event holds.
pub fn shown_bytes(shown: &Shown) -> usize {
    shown.id.len() + shown.message.len() + size_of::<Shown>()
}

/// The hits that one step may keep.
pub fn hits_max(alert: &Alert) -> usize {
    match (&alert.form, alert.bound) {
        (Form::Count { exact: true }, Some(bound)) => {
            bound.to.whole().map_or(HITS, |whole| whole as usize) + EXACT_SPARE
        }
        _ => HITS,
    }
}

/// What a window comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub value: Number,
    pub holds: bool,
    pub degraded: bool,
}

/// The sub-buckets of a key, in order; those without events are not there.
#[derive(Clone, Debug, Default)]
pub struct Buckets(pub VecDeque<Bucket>);

impl Buckets {
    /// The sub-bucket with this number, made if it is not there.
    pub fn get(&mut self, number: i64) -> &mut Bucket {
        if self.0.back().is_none_or(|last| last.number < number) {
            self.0.push_back(Bucket { number, first_us: i64::MAX, last_us: i64::MIN, ..Bucket::default() });
            return self.0.back_mut().expect("it was just put there");
        }
        let at = self.0.partition_point(|bucket| bucket.number < number);
        if self.0[at].number != number {
            let new = Bucket { number, first_us: i64::MAX, last_us: i64::MIN, ..Bucket::default() };
            self.0.insert(at, new);
        }
        &mut self.0[at]
    }

    /// Those of the window that ends with `bucket`.
    pub fn window(&self, alert: &Alert, bucket: i64) -> impl Iterator<Item = &Bucket> + Clone {
        let from = self.0.partition_point(|one| one.number <= bucket - alert.window.len);
        let to = self.0.partition_point(|one| one.number <= bucket);
        self.0.range(from..to)
    }

    /// Takes out those before `number`.
    pub fn forget_before(&mut self, number: i64) -> impl Iterator<Item = Bucket> {
        let len = self.0.partition_point(|bucket| bucket.number < number);
        self.0.drain(..len)
    }

    /// What the window that ends with `bucket` comes to.
    pub fn read(&self, alert: &Alert, bucket: i64) -> Reading {
        let window = self.window(alert, bucket);
        let count: u64 = window.clone().map(|bucket| bucket.count).sum();
        let sum = || window.clone().fold(Number::default(), |sum, bucket| sum.plus(bucket.sum));
        let mut degraded = window.clone().any(|bucket| bucket.degraded);
        let mut enough = count >= alert.min_count.max(1);
        let value = match &alert.form {
            Form::Count { exact: true } => Number::of(self.exact(alert, bucket)),
            Form::Each | Form::Count { .. } | Form::Absent(_) => Number::of(count),
            Form::Sum(_) => sum(),
            Form::Avg(_) if count > 0 => {
                Number::of_billionths(sum().billionths().div_euclid(i128::from(count)))
            }
            Form::Ratio if count > 0 => {
                let of: u64 = window.clone().map(|bucket| bucket.of).sum();
                Number::of_billionths(Number::of(of).billionths() / i128::from(count))
            }
            Form::Avg(_) | Form::Ratio => Number::default(),
            Form::Percentile(_, p) => percentile(window.clone(), count, *p),
            Form::Distinct(_) => {
                let sets = || window.clone().filter_map(|bucket| bucket.distinct.as_deref());
                // The sum of all is a bound that needs no union.
                let most: u64 = sets().map(Distinct::count).sum();
                if alert.bound.is_some_and(|bound| bound.is_from_below() && !bound.holds(Number::of(most))) {
                    Number::of(most)
                } else {
                    let mut all = Distinct::default();
                    sets().for_each(|set| all.add(set));
                    degraded |= !all.is_exact();
                    Number::of(all.count())
                }
            }
            Form::AllOf(steps) => {
                let has = |step: &u8| window.clone().any(|one| one.hits.iter().any(|hit| hit.step == *step));
                let found = (0..*steps).filter(has).count() as u64;
                enough = found == u64::from(*steps);
                Number::of(found)
            }
            Form::Sequence(steps) => {
                let end = alert.window.ends(bucket);
                let found = chain(window.clone(), steps, end, alert.window.over_us);
                enough = found == steps.iter().filter(|negated| !**negated).count();
                Number::of(found as u64)
            }
        };
        Reading { value, holds: enough && alert.bound.is_none_or(|bound| bound.holds(value)), degraded }
    }

    /// The most events within `over` that end with one in `bucket`.
    fn exact(&self, alert: &Alert, bucket: i64) -> u64 {
        let times: Vec<i64> =
            self.window(alert, bucket).flat_map(|one| one.hits.iter().map(|hit| hit.time_us)).collect();
        let own = self.window(alert, bucket).filter(|one| one.number == bucket);
        let first_own = times.len() - own.map(|one| one.hits.len()).sum::<usize>();
        let mut oldest = 0;
        let mut most = 0;
        for (place, time) in times.iter().enumerate().skip(first_own) {
            while times[oldest] <= time - alert.window.over_us {
                oldest += 1;
            }
            most = most.max(place + 1 - oldest);
        }
        most as u64
    }
}

/// The nearest-rank percentile of the windows' values, within 2 %.
fn percentile<'b>(window: impl Iterator<Item = &'b Bucket>, count: u64, p: Number) -> Number {
    let mut bins = std::collections::BTreeMap::new();
    for (bin, n) in window.flat_map(|bucket| bucket.bins.iter()) {
        *bins.entry(*bin).or_insert(0u64) += n;
    }
    let hundred = Number::of(100).billionths();
    let rank = (i128::from(count) * p.billionths() + hundred - 1) / hundred;
    let mut seen = 0;
    for (bin, n) in bins {
        seen += i128::from(n);
        if seen >= rank {
            return bin_middle(bin);
        }
    }
    Number::default()
}

/// How many of the steps that have to come have come one after the other, with none between them that must not. One
/// that must not come at the end must not have come for `over` behind the last, which must have passed by `end`.
fn chain<'b>(window: impl Iterator<Item = &'b Bucket> + Clone, steps: &[bool], end: i64, over: i64) -> usize {
    let of = |step: usize| {
        let hits = window.clone().flat_map(|bucket| bucket.hits.iter());
        let hits = hits.filter(move |hit| hit.step as usize == step).map(|hit| (hit.time_us, hit.order));
        hits.collect::<Vec<(i64, u64)>>()
    };
    let none_between = |not: &[(i64, u64)], from: (i64, u64), to: (i64, u64)| {
        let at = not.partition_point(|hit| *hit <= from);
        not.get(at).is_none_or(|hit| *hit >= to)
    };
    // Hits that a chain may have reached; before the first step any place has.
    let mut reached: Option<Vec<(i64, u64)>> = None;
    let mut forbidden: Vec<(i64, u64)> = Vec::new();
    let mut found = 0;
    for (step, negated) in steps.iter().enumerate() {
        if *negated {
            forbidden.extend(of(step));
            forbidden.sort_unstable();
            continue;
        }
        let next: Vec<(i64, u64)> = of(step)
            .into_iter()
            .filter(|hit| match &reached {
                None => none_between(&forbidden, (i64::MIN, 0), *hit),
                Some(reached) => {
                    let before = reached.partition_point(|known| known < hit);
                    before > 0 && none_between(&forbidden, reached[before - 1], *hit)
                }
            })
            .collect();
        if next.is_empty() {
            return found;
        }
        forbidden.clear();
        found += 1;
        reached = Some(next);
    }
    if !forbidden.is_empty() || steps.last() == Some(&true) {
        let quiet = |hit: &(i64, u64)| {
            hit.0.saturating_add(over) <= end
                && none_between(&forbidden, *hit, (hit.0.saturating_add(over), u64::MAX))
        };
        if !reached.is_some_and(|reached| reached.iter().any(quiet)) {
            return found - 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_values_are_exact_first_and_within_two_percent_then() {
        for n in [0u64, 1, 1_024, 1_025, 5_000, 100_000] {
            let (mut one, mut other) = (Distinct::default(), Distinct::default());
            for value in 0..n {
                let hash = crate::signal::hash_of(&value.to_le_bytes());
                if value % 3 > 0 {
                    one.insert(hash)
                } else {
                    other.insert(hash)
                }
                one.insert(hash);
            }
            one.add(&other);
            let off = one.count().abs_diff(n) as f64;
            assert!(off <= n as f64 * if one.is_exact() { 0.0 } else { 0.04 }, "{n}: {}", one.count());
            assert_eq!(one.is_exact(), n <= 1_024);
        }
    }

    #[test]
    fn chains_need_their_order_and_nothing_forbidden_between() {
        let found = |steps: &[bool], hits: &[(i64, u8)], end: i64| {
            let mut bucket = Bucket::default();
            for (order, (time_us, step)) in hits.iter().enumerate() {
                bucket.insert_hit(StepHit { time_us: *time_us, order: order as u64, step: *step }, HITS);
            }
            chain([&bucket].into_iter(), steps, end, 10)
        };
        let plain = [false, false, false];
        assert_eq!(found(&plain, &[(1, 0), (2, 1), (3, 2)], 99), 3);
        assert_eq!(found(&plain, &[(3, 0), (2, 1), (1, 2)], 99), 1);
        assert_eq!(found(&plain, &[(1, 0), (1, 1), (1, 2)], 99), 3);
        let without = [false, true, false];
        assert_eq!(found(&without, &[(1, 0), (3, 2)], 99), 2);
        assert_eq!(found(&without, &[(1, 0), (2, 1), (3, 2)], 99), 1);
        assert_eq!(found(&without, &[(1, 0), (2, 1), (3, 0), (4, 2)], 99), 2);
        let quiet = [false, true];
        assert_eq!(found(&quiet, &[(1, 0)], 11), 1);
        assert_eq!(found(&quiet, &[(1, 0)], 10), 0);
        assert_eq!(found(&quiet, &[(1, 0), (5, 1)], 99), 0);
        assert_eq!(found(&[true, false], &[(1, 0), (5, 1)], 99), 0);
        assert_eq!(found(&[true, false], &[(5, 1)], 99), 1);
    }
}
