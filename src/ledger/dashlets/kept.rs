//! The sums of dashlets, kept over a restart.
//!
//! What is to be written is frozen in no time: buckets are shared, and one that changes before it is written is copied
//! first. A sum takes 12 bytes where events are counted, 44 where values are added up, and 16 more for each bin of a
//! percentile; a key is there once a dashlet.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{Bucket, Cell, GAPS, State, Tables};
use crate::ledger::kept::Kept;

type Buckets = BTreeMap<i64, Arc<Bucket>>;

/// Sums as they were at one moment.
#[derive(Debug)]
pub struct Frozen {
    reached_us: i64,
    zone: Box<str>,
    gaps: Vec<(i64, i64)>,
    states: Vec<FrozenState>,
}

#[derive(Debug)]
struct FrozenState {
    id: Box<str>,
    shape: u64,
    minutes: Buckets,
    days: Buckets,
    from_minute: i64,
    since_us: i64,
    late: u64,
}

impl Tables {
    /// What there is now, to be written later.
    pub fn frozen(&self) -> Frozen {
        let one = |(dashlet, state): (&crate::plan::dashlet::Dashlet, &State)| FrozenState {
            id: dashlet.id.clone(),
            shape: dashlet.shape,
            minutes: state.minutes.clone(),
            days: state.days.clone(),
            from_minute: state.from_minute,
            since_us: state.since_us,
            late: state.late,
        };
        let states = self.of.list.iter().zip(&self.states).map(one).collect();
        Frozen { reached_us: self.reached_us, zone: name_of(&self.zone), gaps: self.gaps.clone(), states }
    }

    /// Goes on at `now_us` from what `Frozen::put` wrote; returns the dashlets that begin anew, since it had nothing of them,
    /// or not in their shape. `None` if it cannot be read: then nothing has changed. Unless it `is_last`, what came after it
    /// and before now is missing, which shows as degraded.
    pub fn take_kept(&mut self, mut bytes: &[u8], now_us: i64, is_last: bool) -> Option<Vec<Box<str>>> {
        let input = &mut bytes;
        let (reached_us, zone): (i64, Box<str>) = Kept::take(input)?;
        let mut gaps: Vec<(i64, i64)> = Kept::take(input)?;
        let mut states: Vec<Option<State>> = self.of.list.iter().map(|_| None).collect();
        for _ in 0..u32::take(input)? {
            let (id, shape): (Box<str>, u64) = Kept::take(input)?;
            let state = take_state(input)?;
            let same = self.of.list.iter().position(|one| one.id == id && one.shape == shape);
            if let Some(at) = same {
                states[at] = Some(state);
            }
        }
        if !is_last {
            gaps.push((reached_us, now_us.max(reached_us)));
        }
        gaps.drain(..gaps.len().saturating_sub(GAPS));
        let anew = self.of.list.iter().zip(&states).filter(|(_, state)| state.is_none());
        let anew = anew.map(|(dashlet, _)| dashlet.id.clone()).collect();
        self.states = states.into_iter().map(|state| state.unwrap_or_else(|| State::since(now_us))).collect();
        if *zone != *name_of(&self.zone) {
            self.states.iter_mut().for_each(|state| state.days.clear());
        }
        (self.reached_us, self.gaps) = (reached_us, gaps);
        Some(anew)
    }
}

fn name_of(zone: &TimeZone) -> Box<str> {
    format!("{zone:?}").into()
}

impl Frozen {
    /// Appends all of it.
    pub fn put(&self, out: &mut Vec<u8>) {
        (self.reached_us, self.zone.clone()).put(out);
        self.gaps.put(out);
        (self.states.len() as u32).put(out);
        for state in &self.states {
            (state.id.clone(), state.shape).put(out);
            state.put(out);
        }
    }
}

impl FrozenState {
    fn put(&self, out: &mut Vec<u8>) {
        let buckets = || self.minutes.values().chain(self.days.values());
        let mut keys: Vec<&Arc<[u8]>> = Vec::new();
        // Equal keys of one dashlet are one.
        let mut places: HashMap<*const u8, u32, foldhash::fast::FixedState> = HashMap::default();
        for key in buckets().flat_map(|bucket| bucket.rows.keys()) {
            places.entry(key.as_ptr()).or_insert_with(|| {
                keys.push(key);
                keys.len() as u32 - 1
            });
        }
        (keys.len() as u32).put(out);
        for key in keys {
            (key.len() as u32).put(out);
            out.extend_from_slice(key);
        }
        for all in [&self.minutes, &self.days] {
            (all.len() as u32).put(out);
            for (at, bucket) in all {
                (*at, bucket.degraded).put(out);
                put_cell(&bucket.other, out);
                (bucket.rows.len() as u32).put(out);
                for (key, cell) in &bucket.rows {
                    places[&key.as_ptr()].put(out);
                    put_cell(cell, out);
                }
            }
        }
        (self.from_minute, self.since_us, self.late).put(out);
    }
}

fn take_state(input: &mut &[u8]) -> Option<State> {
    let mut keys: Vec<Arc<[u8]>> = Vec::new();
    for _ in 0..u32::take(input)? {
        let key: Box<[u8]> = Kept::take(input)?;
        keys.push(key.into());
    }
    let (minutes, days) = (take_buckets(&keys, input)?, take_buckets(&keys, input)?);
    let held = minutes.values().map(|bucket| bucket.rows.len()).sum();
    let (from_minute, since_us, late) = Kept::take(input)?;
    let keys: HashSet<Arc<[u8]>> = keys.into_iter().collect();
    Some(State { minutes, days, keys, held, from_minute, since_us, late })
}

fn take_buckets(keys: &[Arc<[u8]>], input: &mut &[u8]) -> Option<Buckets> {
    let mut all = Buckets::new();
    for _ in 0..u32::take(input)? {
        let (at, degraded) = Kept::take(input)?;
        let mut bucket = Bucket { other: take_cell(input)?, degraded, ..Bucket::default() };
        for _ in 0..u32::take(input)? {
            let key = keys.get(u32::take(input)? as usize)?;
            bucket.rows.insert(key.clone(), take_cell(input)?);
        }
        all.insert(at, Arc::new(bucket));
    }
    Some(all)
}

/// What a cell holds besides its count.
const NOTHING: u8 = 0;
const SUMS: u8 = 1;
const BINS: u8 = 2;

/// Appends a cell: what it holds and its count in one number, then sum, largest and bins if there are any.
fn put_cell(cell: &Cell, out: &mut Vec<u8>) {
    let Cell { count, sum, max, bins } = cell;
    let holds = match bins {
        Some(_) => BINS,
        None if *sum == Default::default() && *max == Default::default() => NOTHING,
        None => SUMS,
    };
    (*count << 2 | u64::from(holds)).put(out);
    if holds != NOTHING {
        (*sum, *max).put(out);
    }
    if let Some(bins) = bins {
        bins.put(out);
    }
}

fn take_cell(input: &mut &[u8]) -> Option<Cell> {
    let head = u64::take(input)?;
    let mut cell = Cell { count: head >> 2, ..Cell::default() };
    let holds = (head & 3) as u8;
    if holds != NOTHING {
        (cell.sum, cell.max) = Kept::take(input)?;
    }
    if holds == BINS {
        cell.bins = Some(Kept::take(input)?);
    }
    Some(cell)
}
