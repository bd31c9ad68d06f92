//! Alerts: what windows come to, when somebody is told, and when it is over.
//!
//! Two ways lead here, and both are exact in their own order: signals of a batch, in number order, which may give a
//! notice at once; and timers, in event time, which seal each sub-bucket when nothing more can come for it. No clock is
//! read: the receive time of the batch, or a tick, is what time it is.

mod absent;
mod kept;
mod single;
mod sliding;
mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::flows::Flows;
use super::record::{KeyValue, Record, Shown, State};
use super::suppress::Suppressed;
use super::window::{Buckets, Reading};
use crate::plan::Plan;
use crate::plan::watch::{Alert, Form};
use crate::signal::{Signal, Signals};

/// Bytes of events that are kept to be shown, over all alerts.
const SHOWN_BYTES: usize = 16 << 20;
/// A key that `absent` has learned is forgotten after this.
const FORGET_US: i64 = 7 * 86_400_000_000;
/// Events that make a key one that is expected.
const LEARNED: u64 = 3;
/// Stands for a key where each event is an episode.
const EACH: u32 = u32::MAX;

/// An episode that is under way.
#[derive(Debug)]
struct Episode {
    /// As it was sealed.
    sealed: Record,
    /// Whether it was told.
    is_told: bool,
    /// The last sub-bucket whose window held.
    last_hold: i64,
}

/// A notice, until the episode that it told of is sealed.
#[derive(Debug)]
struct Notice {
    id: Box<str>,
    is_told: bool,
    first_hold: i64,
    last_hold: i64,
}

/// What is known of one key.
#[derive(Debug, Default)]
struct Key {
    values: Box<[u8]>,
    buckets: Buckets,
    /// When it is looked at next.
    next_us: Option<i64>,
    /// The sub-bucket since which the window holds.
    holds_since: Option<i64>,
    episode: Option<Box<Episode>>,
    notice: Option<Notice>,
    /// Of `absent`: the last sub-bucket with an event, and how many there were.
    heard: i64,
    heard_count: u64,
    /// And what the summary shows of it.
    args: Box<[u8]>,
}

/// An event that is an episode, until it is sealed.
#[derive(Debug)]
struct Single {
    by: Box<[u8]>,
    args: Box<[u8]>,
    shown: Option<Shown>,
    notice: Option<Box<str>>,
}

/// The state of one alert.
#[derive(Debug, Default)]
struct Watched {
    places: foldhash::HashMap<Box<[u8]>, u32>,
    keys: Vec<Option<Key>>,
    free: Vec<u32>,
    /// By time, key and how many of both came before.
    singles: BTreeMap<(i64, Box<[u8]>, u32), Single>,
    /// Of single events: end of the episode and its id; the record if it was told.
    ends: BTreeMap<(i64, Box<str>), Record>,
    sealed: Suppressed,
    noticed: Suppressed,
    /// Windows that begin before it are not whole.
    warm_from_us: Option<i64>,
    /// Until when values may be too low.
    degraded_until_us: i64,
    figures: Figures,
}

/// Counts of one alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub notices: u64,
    pub sealed: u64,
    pub resolved: u64,
    pub suppressed: u64,
    pub inhibited: u64,
    /// Events beyond lateness.
    pub late: u64,
    /// Events of keys beyond the cap.
    pub overflow: u64,
    /// Keys with state.
    pub keys: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at_us: i64,
    rank: u32,
    alert: u32,
    key: u32,
}

/// All alerts of a plan.
#[derive(Debug)]
pub struct Alerts {
    plan: Arc<Plan>,
    states: Vec<Watched>,
    due: BTreeSet<Due>,
    now_us: i64,
    /// Hits in the order of arrival.
    order: u64,
    flows: Flows,
    shown_bytes: usize,
    /// End of the last window that has begun.
    begun_us: i64,
    is_ending: bool,
    records: Vec<Record>,
}

impl Alerts {
    pub fn new(plan: Arc<Plan>) -> Alerts {
        let states = plan.watch.alerts.iter().map(|_| Watched::default()).collect();
        Alerts {
            plan,
            states,
            due: BTreeSet::new(),
            now_us: 0,
            order: 0,
            flows: Flows::default(),
            shown_bytes: 0,
            begun_us: i64::MIN,
            is_ending: false,
            records: Vec::new(),
        }
    }

    /// Goes on with another plan: alerts that mean the same keep their state, others begin as warming. What is not
    /// watched any longer ends.
    pub fn adopt(&mut self, plan: Arc<Plan>) {
        let before = core::mem::replace(&mut self.plan, plan);
        let mut old: Vec<Option<Watched>> = self.states.drain(..).map(Some).collect();
        let same = |alert: &Alert| {
            let mut known = before.watch.alerts.iter();
            known.position(|other| other.about.alert == alert.about.alert && other.shape == alert.shape)
        };
        let now_us = self.now_us;
        let fresh = || Watched { warm_from_us: (now_us > 0).then_some(now_us), ..Watched::default() };
        let alerts = &self.plan.watch.alerts;
        self.states = alerts
            .iter()
            .map(|alert| same(alert).and_then(|at| old[at].take()).unwrap_or_else(fresh))
            .collect();
        for state in old.into_iter().flatten() {
            let open = state.keys.into_iter().flatten().filter_map(|key| key.episode);
            let open = open.filter(|episode| episode.is_told).map(|episode| episode.sealed);
            for record in open.chain(state.ends.into_values()) {
                self.records.push(Record { state: State::Resolved, fired_us: now_us, ..record });
            }
        }
        self.schedule_all();
        if now_us > 0 {
            self.expect();
        }
    }

    /// Notes anew when each key is looked at.
    fn schedule_all(&mut self) {
        self.due.clear();
        for (index, (state, alert)) in self.states.iter().zip(&self.plan.watch.alerts).enumerate() {
            let due = |at_us, key| Due { at_us, rank: alert.rank, alert: index as u32, key };
            for (place, key) in state.keys.iter().enumerate() {
                self.due.extend(key.iter().filter_map(|key| Some(due(key.next_us?, place as u32))));
            }
            let lateness = self.plan.ledger.lateness_us;
            self.due.extend(state.singles.keys().map(|(time, ..)| due(time + lateness, EACH)));
            self.due.extend(state.ends.keys().map(|(end, _)| due(end + lateness, EACH)));
        }
    }

    /// Says that windows which begin before now are not whole: a start without what was known before.
    pub fn warm(&mut self, now_us: i64) {
        self.states.iter_mut().for_each(|state| state.warm_from_us = Some(now_us));
    }

    /// What was decided since the last time, in order.
    pub fn take_records(&mut self) -> Vec<Record> {
        core::mem::take(&mut self.records)
    }

    /// What the windows come to that these signals, which were applied, belong to: the place in the watch, the key, what it
    /// comes to, and from when to when.
    pub fn readings(
        &self,
        signals: &Signals,
    ) -> Vec<(usize, Vec<(Box<str>, KeyValue)>, Reading, (i64, i64))> {
        let mut out = Vec::new();
        for signal in &signals.list {
            let (index, values) = (signal.alert as usize, signal.key.of(&signals.texts));
            let (alert, state) = (&self.plan.watch.alerts[index], &self.states[index]);
            let key = state.places.get(values).and_then(|place| state.keys[*place as usize].as_ref());
            let Some(key) = key.filter(|_| !matches!(alert.form, Form::Each | Form::Absent(_))) else {
                continue;
            };
            let window = (alert.window.starts(signal.bucket), alert.window.ends(signal.bucket));
            let reading = key.buckets.read(alert, signal.bucket);
            out.push((index, super::key::named(alert, values), reading, window));
        }
        out
    }

    /// Whether no alert is watched.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Figures by alert.
    pub fn figures(&self) -> impl Iterator<Item = (&Alert, Figures)> {
        let with_keys = |state: &Watched| Figures {
            keys: (state.places.len() + state.singles.len()) as u64,
            ..state.figures
        };
        self.plan.watch.alerts.iter().zip(self.states.iter().map(with_keys))
    }

    /// By alert: whether values of windows that are yet to be sealed may be too low.
    pub fn degraded(&self) -> impl Iterator<Item = bool> {
        let from_us = self.now_us.saturating_sub(self.lateness_us()).max(0);
        self.states.iter().map(move |state| state.degraded_until_us > from_us)
    }

    /// Takes what a batch told; first all that is due up to its receive time.
    pub fn apply(&mut self, signals: Option<&Signals>, received_us: i64) {
        self.advance(received_us);
        let Some(signals) = signals else { return };
        let plan = self.plan.clone();
        let longest = plan.watch.alerts.iter().map(|alert| alert.window.over_us).max().unwrap_or(0);
        let keep_us = self.now_us - 2 * plan.ledger.lateness_us - 2 * longest;
        for flow in &signals.flows {
            self.flows.add(flow.drain.of(&signals.texts), flow, keep_us);
        }
        for (alert, n) in &signals.late {
            self.states[*alert as usize].figures.late += n;
        }
        let (mut values, mut hits) = (signals.values.as_slice(), signals.hits.as_slice());
        let mut sorted = (Vec::new(), Vec::new());
        if !values.is_sorted_by_key(|(signal, _)| *signal) {
            sorted.0 = values.to_vec();
            sorted.0.sort_by_key(|(signal, _)| *signal);
            values = &sorted.0;
        }
        if !hits.is_sorted_by_key(|hit| hit.signal) {
            sorted.1 = hits.to_vec();
            sorted.1.sort_by_key(|hit| hit.signal);
            hits = &sorted.1;
        }
        for (place, signal) in signals.list.iter().enumerate() {
            let own_values = values.iter().take_while(|(of, _)| *of as usize == place).count();
            let own_hits = hits.iter().take_while(|hit| hit.signal as usize == place).count();
            let (now, later) = values.split_at(own_values);
            let (now_hits, later_hits) = hits.split_at(own_hits);
            (values, hits) = (later, later_hits);
            let alert = &plan.watch.alerts[signal.alert as usize];
            match &alert.form {
                Form::Each => self.single(alert, signal, signals),
                Form::Absent(_) => self.hear(alert, signal, signals),
                _ => self.fold(alert, signal, signals, now, now_hits),
            }
        }
    }

    /// Runs all that is due up to `now_us`, in order.
    pub fn advance(&mut self, now_us: i64) {
        let first = self.now_us == 0;
        self.now_us = self.now_us.max(now_us);
        if first && self.now_us > 0 {
            self.expect();
        }
        let plan = self.plan.clone();
        let mut keys = Vec::new();
        while let Some(due) = self.due.first().copied().filter(|due| due.at_us <= self.now_us) {
            keys.clear();
            while let Some(next) = self.due.first().copied()
                && (next.at_us, next.alert) == (due.at_us, due.alert)
            {
                self.due.pop_first();
                keys.push(next.key);
            }
            let alert = &plan.watch.alerts[due.alert as usize];
            let state = &self.states[due.alert as usize];
            let values = |key: &u32| state.keys.get(*key as usize)?.as_ref().map(|key| &key.values);
            keys.sort_by(|a, b| values(a).cmp(&values(b)));
            for key in &keys {
                match &alert.form {
                    Form::Each => self.seal_singles(alert, due.alert, due.at_us),
                    Form::Absent(_) => self.look_for(alert, due.alert, *key, due.at_us),
                    _ => self.seal(alert, due.alert, *key, due.at_us),
                }
            }
        }
    }

    /// Lets the clock run until the last window that has begun is sealed, no further; nothing is missed for being silent
    /// meanwhile.
    pub fn end(&mut self) {
        self.is_ending = true;
        if self.begun_us > i64::MIN {
            self.advance(self.begun_us + self.lateness_us());
        }
    }

    fn lateness_us(&self) -> i64 {
        self.plan.ledger.lateness_us
    }

    /// The place of a key, made if there is room for one more.
    fn key(&mut self, index: usize, values: &[u8]) -> Option<u32> {
        let keys_max = self.plan.ledger.keys_max;
        let state = &mut self.states[index];
        if let Some(place) = state.places.get(values) {
            return Some(*place);
        }
        if state.places.len() >= keys_max {
            return None;
        }
        let new = Some(Key { values: values.into(), ..Key::default() });
        let place = match state.free.pop() {
            Some(place) => {
                state.keys[place as usize] = new;
                place
            }
            None => {
                state.keys.push(new);
                state.keys.len() as u32 - 1
            }
        };
        state.places.insert(values.into(), place);
        Some(place)
    }

    /// Looks at a key at `at_us`, unless it is looked at before.
    fn schedule(&mut self, alert: &Alert, index: u32, place: u32, at_us: i64) {
        let state = &mut self.states[index as usize];
        let key = state.keys[place as usize].as_mut().expect("the key is there");
        if key.next_us.is_some_and(|next| next <= at_us) {
            return;
        }
        let due = |at_us| Due { at_us, rank: alert.rank, alert: index, key: place };
        if let Some(next) = key.next_us.replace(at_us) {
            self.due.remove(&due(next));
        }
        self.due.insert(due(at_us));
    }

    /// Counts events of keys beyond the cap.
    fn overflow(&mut self, alert: &Alert, signal: &Signal) {
        let state = &mut self.states[signal.alert as usize];
        state.figures.overflow += signal.count;
        let until = signal.last_us.saturating_add(alert.window.over_us + alert.window.width_us);
        state.degraded_until_us = state.degraded_until_us.max(until);
    }

    fn forget(&mut self, index: u32, place: u32) {
        let state = &mut self.states[index as usize];
        if let Some(key) = state.keys[place as usize].take() {
            state.places.remove(&key.values);
            state.free.push(place);
        }
    }
}

/// The events that a signal shows, from a time on, oldest first.
fn shown_of<'s>(signal: &'s Signal, signals: &'s Signals, from_us: i64) -> impl Iterator<Item = Shown> + 's {
    // Which is quicker where nothing is to be replaced.
    let text = |bytes: &[u8]| match core::str::from_utf8(bytes) {
        Ok(text) => Box::from(text),
        Err(_) => String::from_utf8_lossy(bytes).into_owned().into_boxed_str(),
    };
    let shown = signal.shown[..signal.shown_len as usize].iter().map(|at| &signals.shown[*at as usize]);
    shown.filter(move |at| at.time_us >= from_us).map(move |at| {
        let (id, message) = (at.id.of(&signals.texts), at.message.of(&signals.texts));
        Shown { time_us: at.time_us, id: text(id), message: text(message) }
    })
}
