//! The state of alerts, kept over a restart.

use std::sync::Arc;

use super::super::kept::{Kept, kept, put_all};
use super::super::record::{KeyValue, Record, Shown, State};
use super::super::window::{Bucket, Buckets, Distinct, StepHit};
use super::{Alerts, Episode, Figures, Key, Notice, Single, Watched};
use crate::plan::watch::{About, Form};

kept!(Shown { time_us, id, message });
kept!(StepHit { time_us, order, step });
kept!(Bucket { number, count, of, sum, first_us, last_us, distinct, bins, hits, shown, args, degraded });
kept!(Notice { id, is_told, first_hold, last_hold });
kept!(Single { by, args, shown, notice });
kept!(Figures { notices, sealed, resolved, suppressed, inhibited, late, overflow, keys });

impl Kept for Buckets {
    fn put(&self, out: &mut Vec<u8>) {
        put_all(self.0.iter(), out);
    }

    fn take(input: &mut &[u8]) -> Option<Buckets> {
        let all: Vec<Bucket> = Kept::take(input)?;
        Some(Buckets(all.into()))
    }
}

impl Kept for Distinct {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Distinct::Exact(values) => {
                let mut values: Vec<u64> = values.iter().copied().collect();
                values.sort_unstable();
                (Some(values), None::<Box<[u8]>>).put(out);
            }
            Distinct::Estimated(registers) => {
                (None::<Vec<u64>>, Some(Box::<[u8]>::from(&registers[..]))).put(out);
            }
        }
    }

    fn take(input: &mut &[u8]) -> Option<Distinct> {
        let (values, registers): (Option<Vec<u64>>, Option<Box<[u8]>>) = Kept::take(input)?;
        Some(match (values, registers) {
            (Some(values), _) => Distinct::Exact(values.into_iter().collect()),
            (None, Some(registers)) => Distinct::Estimated(registers.try_into().ok()?),
            (None, None) => return None,
        })
    }
}

impl Kept for KeyValue {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            KeyValue::Absent => 0u8.put(out),
            KeyValue::Text(text) => (1u8, text.clone()).put(out),
            KeyValue::Number(text) => (2u8, text.clone()).put(out),
        }
    }

    fn take(input: &mut &[u8]) -> Option<KeyValue> {
        Some(match u8::take(input)? {
            0 => KeyValue::Absent,
            1 => KeyValue::Text(Kept::take(input)?),
            _ => KeyValue::Number(Kept::take(input)?),
        })
    }
}

/// A record without what all records of its alert say; it is a sealed one.
fn put_record(record: &Record, out: &mut Vec<u8>) {
    let Record { id, key, value, from_us, to_us, matches_us, fired_us, events, .. } = record;
    id.put(out);
    key.put(out);
    value.put(out);
    (*from_us, *to_us).put(out);
    matches_us.put(out);
    fired_us.put(out);
    events.put(out);
    record.seen_lost.put(out);
    (record.degraded, record.warming).put(out);
    record.notice.put(out);
    record.suppressed.put(out);
    record.inhibited.put(out);
    record.summary.put(out);
    record.labels.put(out);
}

fn take_record(about: &Arc<About>, input: &mut &[u8]) -> Option<Record> {
    let (id, key, value) = Kept::take(input)?;
    let (from_us, to_us) = Kept::take(input)?;
    let (matches_us, fired_us, events) = Kept::take(input)?;
    let (seen_lost, (degraded, warming)) = Kept::take(input)?;
    let (notice, suppressed, inhibited) = Kept::take(input)?;
    let (summary, labels) = Kept::take(input)?;
    Some(Record {
        id,
        about: about.clone(),
        state: State::Sealed,
        key,
        value,
        from_us,
        to_us,
        matches_us,
        fired_us,
        events,
        seen_lost,
        degraded,
        notice,
        suppressed,
        inhibited,
        warming,
        summary,
        labels,
    })
}

fn put_key(key: &Key, out: &mut Vec<u8>) {
    let Key { values, buckets, next_us, holds_since, episode, notice, heard, heard_count, args } = key;
    values.put(out);
    buckets.put(out);
    (*next_us, *holds_since).put(out);
    episode.is_some().put(out);
    if let Some(episode) = episode {
        put_record(&episode.sealed, out);
        (episode.is_told, episode.last_hold).put(out);
    }
    notice.put(out);
    (*heard, *heard_count).put(out);
    args.put(out);
}

fn take_key(about: &Arc<About>, input: &mut &[u8]) -> Option<Key> {
    let (values, buckets, (next_us, holds_since)) = Kept::take(input)?;
    let episode = match bool::take(input)? {
        true => {
            let sealed = take_record(about, input)?;
            let (is_told, last_hold) = Kept::take(input)?;
            Some(Box::new(Episode { sealed, is_told, last_hold }))
        }
        false => None,
    };
    let (notice, (heard, heard_count), args) = Kept::take(input)?;
    Some(Key { values, buckets, next_us, holds_since, episode, notice, heard, heard_count, args })
}

fn put_watched(state: &Watched, out: &mut Vec<u8>) {
    let keys: Vec<&Key> = state.keys.iter().flatten().collect();
    (keys.len() as u32).put(out);
    keys.into_iter().for_each(|key| put_key(key, out));
    (state.singles.len() as u32).put(out);
    for ((time_us, key, nth), single) in &state.singles {
        (*time_us, key.clone(), *nth).put(out);
        single.put(out);
    }
    (state.ends.len() as u32).put(out);
    for ((end_us, _), record) in &state.ends {
        end_us.put(out);
        put_record(record, out);
    }
    state.sealed.put(out);
    state.noticed.put(out);
    (state.warm_from_us, state.degraded_until_us).put(out);
    state.figures.put(out);
}

fn take_watched(about: &Arc<About>, input: &mut &[u8]) -> Option<Watched> {
    let mut state = Watched::default();
    for place in 0..u32::take(input)? {
        let key = take_key(about, input)?;
        state.places.insert(key.values.clone(), place);
        state.keys.push(Some(key));
    }
    for _ in 0..u32::take(input)? {
        let place = Kept::take(input)?;
        state.singles.insert(place, Kept::take(input)?);
    }
    for _ in 0..u32::take(input)? {
        let end_us = i64::take(input)?;
        let record = take_record(about, input)?;
        state.ends.insert((end_us, record.id.clone()), record);
    }
    (state.sealed, state.noticed) = Kept::take(input)?;
    ((state.warm_from_us, state.degraded_until_us), state.figures) = Kept::take(input)?;
    Some(state)
}

impl Alerts {
    /// Appends all that has to outlive a restart.
    pub fn put(&self, out: &mut Vec<u8>) {
        (self.now_us, self.order, self.begun_us).put(out);
        self.flows.put(out);
        let alerts = &self.plan.watch.alerts;
        (alerts.len() as u32).put(out);
        for (alert, state) in alerts.iter().zip(&self.states) {
            alert.about.alert.put(out);
            alert.shape.put(out);
            let mut body = Vec::new();
            put_watched(state, &mut body);
            body.into_boxed_slice().put(out);
        }
    }

    /// Goes on from what `put` wrote, at `now_us`; returns the alerts that begin anew, since it had nothing of them, or not
    /// in their shape. `None` if it cannot be read: then nothing has changed. Windows that reach into the time between
    /// count no silence.
    pub fn restore(&mut self, mut bytes: &[u8], now_us: i64) -> Option<Vec<Box<str>>> {
        let input = &mut bytes;
        let (before_us, order, begun_us): (i64, u64, i64) = Kept::take(input)?;
        let flows = Kept::take(input)?;
        let plan = self.plan.clone();
        let mut states: Vec<Option<Watched>> = plan.watch.alerts.iter().map(|_| None).collect();
        for _ in 0..u32::take(input)? {
            let (id, shape, body): (Box<str>, u64, Box<[u8]>) = Kept::take(input)?;
            let mut same = plan.watch.alerts.iter();
            if let Some(at) = same.position(|alert| alert.about.alert == id && alert.shape == shape) {
                states[at] = Some(take_watched(&plan.watch.alerts[at].about, &mut &body[..])?);
            }
        }
        let shown = states.iter().flatten().flat_map(|state| state.keys.iter().flatten());
        let shown = shown.flat_map(|key| &key.buckets.0).flat_map(|bucket| &bucket.shown);
        self.shown_bytes = shown.map(super::super::window::shown_bytes).sum();
        let mut anew = Vec::new();
        self.states = states
            .into_iter()
            .zip(&plan.watch.alerts)
            .map(|(state, alert)| match state {
                Some(state) if !matches!(alert.form, Form::Absent(_)) => state,
                Some(state) => Watched { warm_from_us: Some(now_us), ..state },
                None => {
                    anew.push(alert.about.alert.clone());
                    Watched { warm_from_us: Some(now_us), ..Watched::default() }
                }
            })
            .collect();
        (self.now_us, self.order, self.begun_us, self.flows) = (before_us, order, begun_us, flows);
        self.schedule_all();
        self.expect();
        Some(anew)
    }
}
