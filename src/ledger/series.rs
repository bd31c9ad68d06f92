//! Series of packs' metrics: bounded, and gone when nothing gives them samples any more.
//!
//! Counters and histograms add up in any order. A gauge shows the value of the highest number, whichever shard had it. A
//! metric that has its most series counts further ones under labels that say `other`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::plan::Plan;
use crate::plan::metric::{BINS, Kind, Label, Metric, Metrics};
use crate::plan::rules::convert::Number;
use crate::samples::{At, Cell, Samples};
use crate::signal::values;

/// How often what has expired is looked for, at most; nobody is shown it meanwhile.
const LOOK_US: i64 = 1_000_000;
/// The value of every label of what is not told apart.
const OTHER: &str = "other";

/// The series of all metrics of the plan in force.
#[derive(Debug)]
pub struct AllSeries {
    of: Arc<Metrics>,
    /// Receive time up to which outcomes were applied, microseconds since 1970.
    reached_us: i64,
    /// When to look for what has expired.
    look_us: i64,
    states: Vec<State>,
}

/// The series of one metric.
#[derive(Debug, Default)]
struct State {
    /// By key, as `signal::values` reads it.
    series: foldhash::HashMap<Box<[u8]>, Series>,
    /// Of keys that are not told apart.
    other: Option<Series>,
    /// Samples that it was given.
    capped: u64,
}

#[derive(Clone, Debug)]
struct Series {
    /// Values of the labels, in their order.
    labels: Arc<[Box<str>]>,
    /// Its last sample.
    at: At,
    value: Number,
    count: u64,
    bins: Option<Box<[u64; BINS]>>,
}

/// Metrics of one name, as they are shown.
#[derive(Debug, PartialEq)]
pub struct Family {
    pub name: Box<str>,
    pub help: Box<str>,
    pub kind: Kind,
    /// Names of its labels.
    pub labels: Vec<Box<str>>,
    /// Not in order, and several may have the same labels; see [`Family::merged`].
    pub samples: Vec<Shown>,
}

/// A series, as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub labels: Arc<[Box<str>]>,
    /// Of a counter or a gauge the value, of a histogram the sum.
    pub value: f64,
    pub count: u64,
    /// Of a histogram, by bin.
    pub bins: Option<Box<[u64; BINS]>>,
    at: At,
}

impl AllSeries {
    /// The metrics of a plan, before the first sample.
    pub fn new(plan: &Plan) -> AllSeries {
        let of = plan.watch.metrics.clone();
        let states = of.list.iter().map(|_| State::default()).collect();
        AllSeries { of, reached_us: i64::MIN, look_us: i64::MIN, states }
    }

    /// Goes on with another plan: a metric that means the same keeps its series.
    pub fn adopt(&mut self, plan: &Plan) {
        let mut next = AllSeries { reached_us: self.reached_us, ..AllSeries::new(plan) };
        for (metric, state) in next.of.list.iter().zip(&mut next.states) {
            if let Some(at) = self.place(metric) {
                *state = core::mem::take(&mut self.states[at]);
            }
        }
        *self = next;
    }

    /// The clock says `now_us`: what has expired by then is let go.
    pub fn advance(&mut self, now_us: i64) {
        self.reached_us = self.reached_us.max(now_us);
        if self.reached_us < self.look_us {
            return;
        }
        self.look_us = self.reached_us.saturating_add(LOOK_US);
        for (metric, state) in self.of.list.iter().zip(&mut self.states) {
            let lasts = |series: &Series| series.lasts(metric, self.reached_us);
            state.series.retain(|_, series| lasts(series));
            state.other = state.other.take().filter(lasts);
        }
    }

    /// Adds what shards took; samples of an earlier plan count where its metrics still mean the same.
    pub fn add(&mut self, all: &[Samples]) {
        for samples in all {
            let same = Arc::ptr_eq(&samples.of, &self.of);
            let places: Vec<Option<usize>> = match same {
                true => (0..self.states.len()).map(Some).collect(),
                false => samples.of.list.iter().map(|metric| self.place(metric)).collect(),
            };
            for row in &samples.rows {
                let set = &samples.of.sets[row.set as usize];
                let key = row.key.of(&samples.texts);
                let is_other = key.is_empty() && !set.keys.is_empty();
                let mut bins = samples.bins[row.bins as usize..].iter();
                for (cell, taken) in samples.cells[row.cells as usize..].iter().zip(&set.metrics) {
                    let bins = if taken.kind == Kind::Histogram { bins.next() } else { None };
                    if let (Some(place), 1..) = (places[taken.metric as usize], cell.count) {
                        let key = (!is_other).then_some(key);
                        self.states[place].add(&self.of.list[place], key, cell, bins);
                    }
                }
            }
        }
    }

    fn place(&self, metric: &Metric) -> Option<usize> {
        self.of.list.iter().position(|known| known.name == metric.name && known.shape == metric.shape)
    }

    /// Everything that is shown now, by name.
    pub fn families(&self) -> Vec<Family> {
        let mut families: BTreeMap<&str, Family> = BTreeMap::new();
        for (metric, state) in self.of.list.iter().zip(&self.states) {
            let family = families.entry(&metric.name).or_insert_with(|| Family {
                name: metric.name.clone(),
                help: metric.help.clone(),
                kind: metric.kind,
                labels: metric.labels.iter().map(|(name, _)| name.clone()).collect(),
                samples: Vec::new(),
            });
            let all = state.series.values().chain(&state.other);
            let all = all.filter(|series| series.lasts(metric, self.reached_us));
            family.samples.extend(all.map(|series| series.shown(metric)));
        }
        families.into_values().collect()
    }

    /// Samples by name of metric that were not told apart.
    pub fn capped(&self) -> Vec<(Box<str>, u64)> {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (metric, state) in self.of.list.iter().zip(&self.states) {
            *sums.entry(&metric.name).or_default() += state.capped;
        }
        sums.into_iter().map(|(name, n)| (name.into(), n)).collect()
    }
}

impl State {
    /// Adds the samples of a cell; without a key they are not told apart.
    fn add(&mut self, metric: &Metric, key: Option<&[u8]>, cell: &Cell, bins: Option<&[u32; BINS]>) {
        if let Some(known) = key.and_then(|key| self.series.get_mut(key)) {
            return known.add(metric, cell, bins);
        }
        match key.filter(|_| self.series.len() < metric.series_max) {
            Some(key) => {
                let new = Series::new(metric, Some(key));
                self.series.entry(key.into()).or_insert(new).add(metric, cell, bins);
            }
            None => {
                self.capped += cell.count;
                self.other.get_or_insert_with(|| Series::new(metric, None)).add(metric, cell, bins);
            }
        }
    }
}

impl Series {
    fn new(metric: &Metric, key: Option<&[u8]>) -> Series {
        let keys: Vec<Box<str>> = values(key.unwrap_or_default())
            .map(|(value, _)| String::from_utf8_lossy(value.unwrap_or_default()).into())
            .collect();
        let text = |label: &Label| match label {
            Label::Text(text) => text.clone(),
            Label::Key(at) => keys.get(*at as usize).cloned().unwrap_or_else(|| OTHER.into()),
        };
        Series {
            labels: metric.labels.iter().map(|(_, label)| text(label)).collect(),
            at: At::default(),
            value: Number::default(),
            count: 0,
            bins: None,
        }
    }

    fn add(&mut self, metric: &Metric, cell: &Cell, bins: Option<&[u32; BINS]>) {
        match metric.kind {
            Kind::Gauge if cell.at >= self.at => self.value = cell.value,
            Kind::Gauge => {}
            Kind::Counter | Kind::Histogram => self.value = self.value.plus(cell.value),
        }
        self.at = self.at.max(cell.at);
        self.count += cell.count;
        if let Some(bins) = bins {
            let own = self.bins.get_or_insert_default();
            own.iter_mut().zip(bins).for_each(|(own, n)| *own += u64::from(*n));
        }
    }

    fn lasts(&self, metric: &Metric, now_us: i64) -> bool {
        now_us.saturating_sub(self.at.received_us) <= metric.expire_us
    }

    fn shown(&self, metric: &Metric) -> Shown {
        // Of billionths; a whole number of them is divided once, so that 0.201 is the nearest to it.
        let units = if metric.in_seconds { 1e12 } else { 1e9 };
        let value = self.value.billionths() as f64 / units;
        let (count, bins) = (self.count, self.bins.clone());
        Shown { labels: self.labels.clone(), value, count, bins, at: self.at }
    }
}

impl Family {
    /// Puts the series in order, with those of equal labels together: two values may only differ in bytes that are no text,
    /// and metrics of two packs may have one name.
    pub fn merged(mut self) -> Family {
        self.samples.sort_by(|a, b| (&a.labels, a.at).cmp(&(&b.labels, b.at)));
        let kind = self.kind;
        self.samples.dedup_by(|next, kept| {
            if next.labels != kept.labels {
                return false;
            }
            kept.value = if kind == Kind::Gauge { next.value } else { kept.value + next.value };
            kept.count += next.count;
            if let Some(bins) = &next.bins {
                let own = kept.bins.get_or_insert_default();
                own.iter_mut().zip(&**bins).for_each(|(own, n)| *own += n);
            }
            true
        });
        self
    }
}
