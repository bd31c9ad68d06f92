//! What dashlets show: sums by minute for hours and by day of the zone for months.
//!
//! Sums are exact as long as a bucket has fewer keys than `keys_max`; beyond that its smallest go into `other`, and what is
//! shown of it is degraded. Adding in any order gives the same, as long as it is exact.

mod kept;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::tz::TimeZone;

pub use self::kept::Frozen;
use super::record::KeyValue;
use crate::limits;
use crate::parse::time::offset_us;
use crate::plan::Plan;
use crate::plan::dashlet::{Aggregate, Dashlet, Dashlets};
use crate::plan::rules::convert::Number;
use crate::signal::{bin_middle, values};
use crate::sums::{Sum, Sums};

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 86_400_000_000;
const DAY_S: u64 = 86_400;

/// All dashlets of the plan in force.
#[derive(Debug)]
pub struct Tables {
    of: Arc<Dashlets>,
    zone: TimeZone,
    keys_max: usize,
    lateness_us: i64,
    /// Receive time up to which outcomes were applied.
    reached_us: i64,
    states: Vec<State>,
    /// From and to of the times that a crash has left holes in, the oldest first.
    gaps: Vec<(i64, i64)>,
}

/// The sums of one dashlet. Buckets are shared with what is being written to disk, and copied when they change meanwhile.
#[derive(Debug)]
struct State {
    /// By minute since 1970.
    minutes: BTreeMap<i64, Arc<Bucket>>,
    /// By day of the zone since 1970.
    days: BTreeMap<i64, Arc<Bucket>>,
    /// Every key once.
    keys: HashSet<Arc<[u8]>>,
    /// Sums in all minutes.
    held: usize,
    /// Before this minute, nothing is told apart.
    from_minute: i64,
    /// When it began to count, microseconds since 1970; `i64::MIN` if it has counted all there is.
    since_us: i64,
    /// Events that are older than anything that is kept.
    late: u64,
}

#[derive(Clone, Debug, Default)]
struct Bucket {
    rows: foldhash::HashMap<Arc<[u8]>, Cell>,
    other: Cell,
    degraded: bool,
}

#[derive(Clone, Debug, Default)]
struct Cell {
    count: u64,
    sum: Number,
    max: Number,
    bins: Option<BTreeMap<u64, u64>>,
}

/// What is asked of a dashlet; what is absent has a default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query {
    /// Microseconds since 1970.
    pub from_us: Option<i64>,
    pub to_us: Option<i64>,
    pub step_s: Option<u64>,
    pub limit: Option<usize>,
}

/// Rows that a query gives when it does not say.
const LIMIT: usize = 100;

/// What a dashlet shows. Times are microseconds since 1970.
#[derive(Debug)]
pub struct Table<'t> {
    pub dashlet: &'t Dashlet,
    pub from_us: i64,
    pub to_us: i64,
    pub step_s: u64,
    /// From here on all that came was counted; `None`: from the first event there is.
    pub complete_from_us: Option<i64>,
    /// Up to here all that counts has come.
    pub complete_to_us: i64,
    pub degraded: bool,
    /// By value, the largest first, then by key.
    pub rows: Vec<Row>,
    /// The value of all that no row shows.
    pub other: Number,
}

#[derive(Debug, PartialEq)]
pub struct Row {
    pub key: Vec<KeyValue>,
    pub value: Number,
    /// Start and value of each step that has one.
    pub points: Vec<(i64, Number)>,
}

impl State {
    fn since(since_us: i64) -> State {
        let (minutes, days, keys) = (BTreeMap::new(), BTreeMap::new(), HashSet::new());
        State { minutes, days, keys, held: 0, from_minute: i64::MIN, since_us, late: 0 }
    }
}

/// Holes that are remembered, of all crashes.
const GAPS: usize = 64;

impl Tables {
    /// The dashlets of a plan, before the first event.
    pub fn new(plan: &Plan) -> Tables {
        Tables {
            of: plan.watch.dashlets.clone(),
            zone: plan.zone.clone(),
            keys_max: plan.ledger.keys_max,
            lateness_us: plan.ledger.lateness_us,
            reached_us: i64::MIN,
            states: plan.watch.dashlets.list.iter().map(|_| State::since(i64::MIN)).collect(),
            gaps: Vec::new(),
        }
    }

    /// Begins at `now_us` without what was known before.
    pub fn warm(&mut self, now_us: i64) {
        self.states.iter_mut().for_each(|state| state.since_us = now_us);
    }

    /// Goes on with another plan: a dashlet that means the same keeps its sums, days only in the same zone.
    pub fn adopt(&mut self, plan: &Plan) {
        let mut next = Tables { reached_us: self.reached_us, ..Tables::new(plan) };
        core::mem::swap(&mut next.gaps, &mut self.gaps);
        for (dashlet, state) in next.of.list.iter().zip(&mut next.states) {
            state.since_us = self.reached_us;
            if let Some(at) = self.place(dashlet) {
                *state = core::mem::replace(&mut self.states[at], State::since(i64::MIN));
                if self.zone != next.zone {
                    state.days.clear();
                }
            }
        }
        *self = next;
    }

    /// All that came up to this time has been applied, but for what shards have yet to hand over.
    pub fn advance(&mut self, received_us: i64) {
        self.reached_us = self.reached_us.max(received_us);
    }

    /// Adds what shards counted; sums of an earlier plan count where its dashlets still mean the same.
    pub fn add(&mut self, all: &[Sums]) {
        for sums in all {
            let same = Arc::ptr_eq(&sums.of, &self.of);
            let places: Vec<Option<usize>> = match same {
                true => (0..self.states.len()).map(Some).collect(),
                false => sums.of.list.iter().map(|dashlet| self.place(dashlet)).collect(),
            };
            let mut bins: Vec<&[(u32, u64)]> = vec![&[]; sums.list.len()];
            let mut sorted = sums.bins.clone();
            sorted.sort_unstable();
            for group in sorted.chunk_by(|a, b| a.0 == b.0) {
                bins[group[0].0 as usize] = group;
            }
            for (sum, bins) in sums.list.iter().zip(bins) {
                if let Some(place) = places[sum.dashlet as usize] {
                    self.add_one(place, sum, sum.key.of(&sums.texts), bins);
                }
            }
            for &(dashlet, minute, n) in &sums.missed {
                let Some(place) = places[dashlet as usize] else { continue };
                let (first, day) = (self.first_minute(), self.day(minute * MINUTE_US));
                let of_minute = minute >= first.max(self.states[place].from_minute);
                let is_late = day < self.first_day();
                let state = &mut self.states[place];
                if is_late {
                    state.late += n;
                    continue;
                }
                let minute = of_minute.then(|| state.minutes.entry(minute).or_default());
                for bucket in minute.into_iter().chain([state.days.entry(day).or_default()]) {
                    let bucket = Arc::make_mut(bucket);
                    bucket.other.count += n;
                    bucket.degraded = true;
                }
            }
        }
        for place in 0..self.states.len() {
            self.forget(place);
        }
    }

    fn place(&self, dashlet: &Dashlet) -> Option<usize> {
        self.of.list.iter().position(|known| known.id == dashlet.id && known.shape == dashlet.shape)
    }

    fn first_minute(&self) -> i64 {
        self.reached_us.div_euclid(MINUTE_US).saturating_sub(limits::DASHLET_MINUTES)
    }

    fn first_day(&self) -> i64 {
        self.day(self.reached_us).saturating_sub(limits::DASHLET_DAYS)
    }

    fn add_one(&mut self, place: usize, sum: &Sum, key: &[u8], bins: &[(u32, u64)]) {
        let day = self.day(sum.minute * MINUTE_US);
        let first = self.first_minute();
        let keys_max = self.keys_max;
        let is_daily = self.of.list[place].step_s == DAY_S;
        let is_late = day < self.first_day();
        let state = &mut self.states[place];
        if is_late {
            state.late += sum.count;
            return;
        }
        let key = match state.keys.get(key) {
            Some(known) => known.clone(),
            None => {
                let key: Arc<[u8]> = key.into();
                state.keys.insert(key.clone());
                key
            }
        };
        if !is_daily && sum.minute >= first.max(state.from_minute) {
            let bucket = Arc::make_mut(state.minutes.entry(sum.minute).or_default());
            let before = bucket.rows.len();
            bucket.rows.entry(key.clone()).or_default().add(sum, bins);
            bucket.fit(keys_max);
            state.held = state.held + bucket.rows.len() - before.min(bucket.rows.len());
        }
        let bucket = Arc::make_mut(state.days.entry(day).or_default());
        bucket.rows.entry(key).or_default().add(sum, bins);
        bucket.fit(keys_max);
    }

    /// Lets go of what is older than is kept.
    fn forget(&mut self, place: usize) {
        let first = self.first_minute();
        let first_day = self.first_day();
        let state = &mut self.states[place];
        let (minutes, days) = (state.minutes.len(), state.days.len());
        state.minutes = state.minutes.split_off(&first);
        state.days = state.days.split_off(&first_day);
        if minutes != state.minutes.len() {
            state.held = state.minutes.values().map(|bucket| bucket.rows.len()).sum();
        }
        while state.held > limits::DASHLET_SUMS && state.minutes.len() > 1 {
            let (minute, bucket) = state.minutes.pop_first().expect("there are several");
            state.held = state.held.saturating_sub(bucket.rows.len());
            state.from_minute = minute + 1;
        }
        if (minutes, days) != (state.minutes.len(), state.days.len()) {
            state.keys.retain(|key| Arc::strong_count(key) > 1);
        }
    }

    /// The day of the zone that a time lies in.
    fn day(&self, us: i64) -> i64 {
        us.saturating_add(offset_us(us, &self.zone)).div_euclid(DAY_US)
    }

    /// When a day of the zone begins.
    fn day_starts(&self, day: i64) -> i64 {
        let midnight = day.saturating_mul(DAY_US);
        let near = midnight.saturating_sub(offset_us(midnight, &self.zone));
        midnight.saturating_sub(offset_us(near, &self.zone))
    }

    /// Receive time up to which outcomes were applied, microseconds since 1970.
    pub fn reached_us(&self) -> i64 {
        self.reached_us
    }

    /// Events by dashlet that were older than anything that is kept.
    pub fn late(&self) -> impl Iterator<Item = (&Dashlet, u64)> {
        self.of.list.iter().zip(self.states.iter().map(|state| state.late))
    }

    /// The dashlets that there are.
    pub fn list(&self) -> &[Dashlet] {
        &self.of.list
    }

    /// Where a dashlet is, by its full id, or by the last part of it if only one has that.
    pub fn named(&self, id: &str) -> Option<usize> {
        let full = self.of.list.iter().position(|one| *one.id == *id);
        let bare = |one: &Dashlet| one.id.rsplit('.').next() == Some(id);
        let mut all = self.of.list.iter().enumerate().filter(|(_, one)| bare(one));
        full.or_else(|| all.next().map(|(at, _)| at).filter(|_| all.next().is_none()))
    }

    /// What the dashlet at `place` shows, cut to whole buckets.
    ///
    /// # Errors
    /// Why the range or the step cannot be had, as text for people.
    pub fn table(&self, place: usize, query: Query) -> Result<Table<'_>, String> {
        let dashlet = &self.of.list[place];
        let step_s = query.step_s.unwrap_or(dashlet.step_s);
        if step_s < dashlet.step_s || !step_s.is_multiple_of(dashlet.step_s) {
            return Err(format!("`step` is a multiple of {} seconds", dashlet.step_s));
        }
        let is_daily = step_s.is_multiple_of(DAY_S);
        let step_us = i64::try_from(step_s).ok().and_then(|step| step.checked_mul(1_000_000));
        let step_us = step_us.ok_or("`step` is too long")?;
        if is_daily && step_s != DAY_S {
            return Err(format!("the longest `step` is a day, {DAY_S} seconds"));
        }
        let span = if is_daily { 7 * DAY_US } else { 60 * step_us.max(MINUTE_US) };
        let end = self.reached_us.max(0).saturating_add(1);
        let up = |us: i64| match is_daily {
            true => self.day_starts(self.day(us.saturating_sub(1)) + 1),
            false => (us.saturating_sub(1)).div_euclid(step_us).saturating_add(1).saturating_mul(step_us),
        };
        let down = |us: i64| match is_daily {
            true => self.day_starts(self.day(us)),
            false => us.div_euclid(step_us).saturating_mul(step_us),
        };
        let to_us = query.to_us.map_or_else(|| up(end), down);
        let from_us = down(query.from_us.unwrap_or(to_us.saturating_sub(span)));
        if from_us > to_us || query.from_us.zip(query.to_us).is_some_and(|(from, to)| from > to) {
            return Err("`from` lies behind `to`".into());
        }
        if (to_us - from_us) / step_us > limits::DASHLET_STEPS {
            return Err(format!("at most {} steps", limits::DASHLET_STEPS));
        }
        Ok(self.cut(place, (from_us, to_us), (step_s, step_us), query.limit.unwrap_or(LIMIT)))
    }

    fn cut(
        &self,
        place: usize,
        (from_us, to_us): (i64, i64),
        (step_s, step_us): (u64, i64),
        limit: usize,
    ) -> Table<'_> {
        let dashlet = &self.of.list[place];
        let state = &self.states[place];
        let buckets: Vec<(i64, &Bucket)> = match step_s == DAY_S {
            true => state
                .days
                .iter()
                .map(|(day, bucket)| (self.day_starts(*day), &**bucket))
                .filter(|(start, _)| (from_us..to_us).contains(start))
                .collect(),
            false => state
                .minutes
                .range(from_us.div_euclid(MINUTE_US)..to_us.div_euclid(MINUTE_US))
                .map(|(minute, bucket)| ((minute * MINUTE_US).div_euclid(step_us) * step_us, &**bucket))
                .collect(),
        };
        let mut sums: BTreeMap<&[u8], (Cell, BTreeMap<i64, Cell>)> = BTreeMap::new();
        let mut other = Cell::default();
        // Minutes may have gone early; days are kept.
        let from_minute_us = state.from_minute.saturating_mul(MINUTE_US);
        let evicted = step_s != DAY_S && from_us < from_minute_us;
        let mut degraded = evicted || self.gaps.iter().any(|(from, to)| *from < to_us && *to > from_us);
        let complete_from_us = if evicted { state.since_us.max(from_minute_us) } else { state.since_us };
        for (start, bucket) in buckets {
            degraded |= bucket.degraded;
            other.merge(&bucket.other);
            for (key, cell) in &bucket.rows {
                let (all, steps) = sums.entry(key).or_default();
                all.merge(cell);
                steps.entry(start).or_default().merge(cell);
            }
        }
        let value = |cell: &Cell| cell.value(dashlet.aggregate);
        let mut rows: Vec<(&[u8], (Cell, BTreeMap<i64, Cell>))> = sums.into_iter().collect();
        let order = |key: &[u8]| -> Vec<(Option<Number>, Option<Vec<u8>>)> {
            let one = |(value, number): (Option<&[u8]>, bool)| {
                (value.filter(|_| number).and_then(Number::parse), value.map(<[u8]>::to_vec))
            };
            values(key).map(one).collect()
        };
        rows.sort_by_cached_key(|(key, (all, _))| (core::cmp::Reverse(value(all)), order(key)));
        for (_, (rest, _)) in rows.drain(limit.min(rows.len())..) {
            other.merge(&rest);
        }
        let rows = rows.into_iter().map(|(key, (all, steps))| Row {
            key: values(key).map(named).collect(),
            value: value(&all),
            points: steps.iter().map(|(start, cell)| (*start, value(cell))).collect(),
        });
        let handed_over = self.reached_us.saturating_sub(self.lateness_us.max(limits::TALLY_MS * 2_000));
        Table {
            dashlet,
            from_us,
            to_us,
            step_s,
            complete_from_us: Some(complete_from_us).filter(|us| *us > i64::MIN),
            complete_to_us: handed_over.max(0),
            degraded,
            rows: rows.collect(),
            other: if other.count == 0 { Number::default() } else { value(&other) },
        }
    }
}

fn named((value, number): (Option<&[u8]>, bool)) -> KeyValue {
    let Some(value) = value else { return KeyValue::Absent };
    let text = String::from_utf8_lossy(value).into_owned().into_boxed_str();
    if number { KeyValue::Number(text) } else { KeyValue::Text(text) }
}

impl Bucket {
    /// Puts the smaller half into `other` if there are too many keys.
    fn fit(&mut self, keys_max: usize) {
        if self.rows.len() <= keys_max {
            return;
        }
        self.degraded = true;
        let mut order: Vec<(u64, Arc<[u8]>)> =
            self.rows.iter().map(|(key, cell)| (cell.count, key.clone())).collect();
        order.sort_unstable();
        for (_, key) in &order[..order.len().div_ceil(2)] {
            if let Some(cell) = self.rows.remove(key) {
                self.other.merge(&cell);
            }
        }
    }
}

impl Cell {
    fn add(&mut self, sum: &Sum, bins: &[(u32, u64)]) {
        self.max = if self.count == 0 { sum.max } else { self.max.max(sum.max) };
        self.count += sum.count;
        self.sum = self.sum.plus(sum.sum);
        if !bins.is_empty() {
            let own = self.bins.get_or_insert_default();
            bins.iter().for_each(|(_, bin)| *own.entry(*bin).or_default() += 1);
        }
    }

    fn merge(&mut self, other: &Cell) {
        if other.count == 0 {
            return;
        }
        self.max = if self.count == 0 { other.max } else { self.max.max(other.max) };
        self.count += other.count;
        self.sum = self.sum.plus(other.sum);
        if let Some(bins) = &other.bins {
            let own = self.bins.get_or_insert_default();
            bins.iter().for_each(|(bin, n)| *own.entry(*bin).or_default() += n);
        }
    }

    fn value(&self, aggregate: Aggregate) -> Number {
        match aggregate {
            Aggregate::Count => Number::of(self.count),
            Aggregate::Sum(_) => self.sum,
            Aggregate::Max(_) => self.max,
            Aggregate::Avg(_) => Number::of_billionths(self.sum.billionths() / i128::from(self.count.max(1))),
            Aggregate::Percentile(_, p) => {
                let hundred = Number::of(100).billionths();
                let rank = (i128::from(self.count) * p.billionths() + hundred - 1) / hundred;
                let mut seen = 0;
                let reaches = |(_, n): &(&u64, &u64)| {
                    seen += i128::from(**n);
                    seen >= rank
                };
                let bins = self.bins.iter().flat_map(|bins| bins.iter());
                { bins }.find(reaches).map_or(Number::default(), |(bin, _)| bin_middle(*bin))
            }
        }
    }
}
