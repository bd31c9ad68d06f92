//! Windows that slide: counts, sums, values told apart, shares, steps.

use super::super::key;
use super::super::record::{Record, Shown, State};
use super::super::window::{StepHit, hits_max, shown_bytes};
use super::{Alerts, Episode, Notice, SHOWN_BYTES, shown_of};
use crate::plan::rules::convert::Number;
use crate::plan::watch::{Alert, Form};
use crate::signal::{Hit, Signal, Signals};

impl Alerts {
    /// Adds a signal to its window, and gives notice if it now holds.
    pub(super) fn fold(
        &mut self,
        alert: &Alert,
        signal: &Signal,
        signals: &Signals,
        values: &[(u32, u64)],
        hits: &[Hit],
    ) {
        let Some(place) = self.key(signal.alert as usize, signal.key.of(&signals.texts)) else {
            return self.overflow(alert, signal);
        };
        let index = signal.alert as usize;
        let mut room = self.shown_bytes < SHOWN_BYTES;
        let key = self.states[index].keys[place as usize].as_mut().expect("the key is there");
        let bucket = key.buckets.get(signal.bucket);
        let args = signal.args.of(&signals.texts);
        if (signal.last_us, args) >= (bucket.last_us, &bucket.args) && *bucket.args != *args {
            bucket.args = args.into();
        }
        bucket.count += signal.count;
        bucket.of += signal.of;
        bucket.sum = bucket.sum.plus(signal.sum);
        bucket.first_us = bucket.first_us.min(signal.first_us);
        bucket.last_us = bucket.last_us.max(signal.last_us);
        if matches!(alert.form, Form::Distinct(_)) {
            let distinct = bucket.distinct.get_or_insert_default();
            values.iter().for_each(|(_, hash)| distinct.insert(*hash));
        } else {
            values.iter().for_each(|(_, bin)| bucket.insert_bin(*bin));
        }
        if !hits.is_empty() {
            let max = hits_max(alert);
            for hit in hits {
                self.order += 1;
                bucket.insert_hit(StepHit { time_us: hit.time_us, order: self.order, step: hit.step }, max);
            }
        }
        for shown in shown_of(signal, signals, bucket.shows_from_us()) {
            if room {
                self.shown_bytes = self.shown_bytes.saturating_add_signed(bucket.show(shown));
                room = self.shown_bytes < SHOWN_BYTES;
            }
        }
        let to_us = alert.window.ends(signal.bucket);
        self.begun_us = self.begun_us.max(to_us);
        self.schedule(alert, signal.alert, place, to_us + self.lateness_us());
        if alert.gives_notice() {
            self.notice(alert, signal, place);
        }
    }

    /// Gives notice of the first sub-bucket that the signal made true, unless that is known.
    pub(super) fn notice(&mut self, alert: &Alert, signal: &Signal, place: u32) {
        let key = self.states[signal.alert as usize].keys[place as usize].as_ref().expect("the key is there");
        let newest = key.buckets.0.back().map_or(signal.bucket, |bucket| bucket.number);
        let last = newest.min(signal.bucket + alert.window.len - 1);
        let held = (signal.bucket..=last).map(|bucket| (bucket, key.buckets.read(alert, bucket)));
        let Some((bucket, reading)) = { held }.find(|(_, reading)| reading.holds) else { return };
        let reaches = |from: i64, last_hold: i64| {
            let starts = bucket * alert.window.width_us;
            bucket + 1 >= from && starts < ends_us(alert, last_hold)
        };
        let told = key.episode.as_ref().is_some_and(|episode| {
            let from = alert.window.bucket(episode.sealed.to_us - 1);
            reaches(from, episode.last_hold)
        });
        let known = key.notice.as_ref().is_some_and(|notice| reaches(notice.first_hold, notice.last_hold));
        let key = self.states[signal.alert as usize].keys[place as usize].as_mut().expect("the key is there");
        if told || known {
            if let Some(notice) = key.notice.as_mut().filter(|_| known) {
                notice.first_hold = notice.first_hold.min(bucket);
                notice.last_hold = notice.last_hold.max(bucket);
            }
            return;
        }
        let values = key.values.clone();
        let id = key::id(&alert.about.alert, &values, bucket * alert.window.width_us, 0);
        key.notice = Some(Notice { id: id.clone(), is_told: false, first_hold: bucket, last_hold: bucket });
        let state = &mut self.states[signal.alert as usize];
        if let Some(suppress) = &alert.suppress {
            let by = key::pick(&values, &suppress.by);
            let keys_max = self.plan.ledger.keys_max;
            if state.noticed.tells(suppress, &by, signal.received_us, keys_max).is_none() {
                return;
            }
        }
        let key = state.keys[place as usize].as_mut().expect("the key is there");
        if let Some(notice) = &mut key.notice {
            notice.is_told = true;
        }
        state.figures.notices += 1;
        let record = self.of_window(alert, signal.alert, place, bucket, reading.value, reading.degraded);
        self.records.push(Record { id, state: State::Notice, fired_us: signal.received_us, ..record });
    }

    /// The record of a window, sealed, with nothing yet of suppression.
    pub(super) fn of_window(
        &self,
        alert: &Alert,
        index: u32,
        place: u32,
        bucket: i64,
        value: Number,
        degraded: bool,
    ) -> Record {
        let state = &self.states[index as usize];
        let key = state.keys[place as usize].as_ref().expect("the key is there");
        let window = || key.buckets.window(alert, bucket);
        let first = window().map(|bucket| bucket.first_us).min();
        let last = window().max_by(|a, b| (a.last_us, &a.args).cmp(&(b.last_us, &b.args)));
        let mut events: Vec<Shown> = window().flat_map(|bucket| bucket.shown.iter().cloned()).collect();
        events.sort();
        let surplus = events.len().saturating_sub(crate::limits::SHOWN_EVENTS);
        events.drain(..surplus);
        let args = last.map_or(&key.args, |bucket| &bucket.args);
        let from_us = alert.window.starts(bucket);
        let id = key::id(&alert.about.alert, &key.values, bucket * alert.window.width_us, 0);
        Record {
            matches_us: first.zip(last.map(|bucket| bucket.last_us)),
            events,
            degraded: degraded || from_us < state.degraded_until_us,
            warming: state.warm_from_us.is_some_and(|warm| from_us < warm),
            ..self.record(alert, id, &key.values, args, value, from_us, alert.window.ends(bucket))
        }
    }

    /// Seals the sub-bucket whose window ended `lateness` before `at_us`.
    pub(super) fn seal(&mut self, alert: &Alert, index: u32, place: u32, at_us: i64) {
        let bucket = alert.window.bucket(at_us - self.lateness_us()) - 1;
        let state = &mut self.states[index as usize];
        let Some(key) = state.keys[place as usize].as_mut().filter(|key| key.next_us == Some(at_us)) else {
            return;
        };
        key.next_us = None;
        let reading = key.buckets.read(alert, bucket);
        let from_us = alert.window.starts(bucket);
        let below = alert.bound.is_some_and(|bound| !bound.is_from_below()) || alert.form == Form::Ratio;
        let held_back = below && state.warm_from_us.is_some_and(|warm| from_us < warm);
        let mut holds = reading.holds && !held_back;
        match holds {
            true => {
                let since = *key.holds_since.get_or_insert(bucket);
                holds = (bucket - since) * alert.window.width_us >= alert.hold_us;
            }
            false => key.holds_since = None,
        }
        match (&mut key.episode, holds) {
            (Some(episode), true) => episode.last_hold = bucket,
            (Some(episode), false) => {
                let end_us = ends_us(alert, episode.last_hold);
                if alert.window.ends(bucket) >= end_us {
                    let episode = key.episode.take().expect("it was just seen");
                    self.resolve(index, episode, end_us);
                }
            }
            (None, true) => self.begin(alert, index, place, bucket, reading.value, reading.degraded),
            (None, false) => {}
        }
        self.go_on(alert, index, place, bucket);
    }

    /// An episode begins in `bucket`.
    pub(super) fn begin(
        &mut self,
        alert: &Alert,
        index: u32,
        place: u32,
        bucket: i64,
        value: Number,
        degraded: bool,
    ) {
        let mut record = self.of_window(alert, index, place, bucket, value, degraded);
        let key = self.states[index as usize].keys[place as usize].as_mut().expect("the key is there");
        let notice =
            key.notice.take_if(|notice| notice.first_hold <= bucket + 1 || notice.last_hold <= bucket);
        record.notice = notice.filter(|notice| notice.is_told).map(|notice| notice.id);
        let by = alert.suppress.as_ref().map(|suppress| key::pick(&key.values, &suppress.by));
        let values = key.values.clone();
        let sealed = self.tell(alert, index, record, &values, by.as_deref());
        let key = self.states[index as usize].keys[place as usize].as_mut().expect("the key is there");
        key.episode = Some(Box::new(Episode { sealed: sealed.0, is_told: sealed.1, last_hold: bucket }));
    }

    /// After `bucket` was sealed: forgets what no later window needs, and looks at the key again if there is a reason.
    pub(super) fn go_on(&mut self, alert: &Alert, index: u32, place: u32, bucket: i64) {
        let lateness_us = self.lateness_us();
        let state = &mut self.states[index as usize];
        let key = state.keys[place as usize].as_mut().expect("the key is there");
        for gone in key.buckets.forget_before(bucket - alert.window.len + 2) {
            let bytes: usize = gone.shown.iter().map(shown_bytes).sum();
            self.shown_bytes = self.shown_bytes.saturating_sub(bytes);
        }
        // Of sealed sub-buckets only the last events can still be shown.
        let mut left = crate::limits::SHOWN_EVENTS;
        for bucket in key.buckets.0.iter_mut().rev().filter(|one| one.number <= bucket) {
            let surplus = bucket.shown.len().saturating_sub(left);
            let gone: usize = bucket.shown.drain(..surplus).map(|shown| shown_bytes(&shown)).sum();
            self.shown_bytes = self.shown_bytes.saturating_sub(gone);
            left -= bucket.shown.len();
        }
        if key.notice.as_ref().is_some_and(|notice| notice.last_hold <= bucket && key.episode.is_none()) {
            key.notice = None;
        }
        let in_window = key.buckets.window(alert, bucket + 1).next().is_some();
        let next = match in_window || key.episode.is_some() {
            true => Some(bucket + 1),
            false => {
                // The windows between are empty, and do not hold.
                key.holds_since = None;
                key.buckets.0.front().map(|bucket| bucket.number)
            }
        };
        match next {
            Some(next) => {
                let at_us = alert.window.ends(next) + lateness_us;
                self.schedule(alert, index, place, at_us);
            }
            None => self.forget(index, place),
        }
    }
}

/// When an episode ends whose window held last in `last_hold`.
fn ends_us(alert: &Alert, last_hold: i64) -> i64 {
    alert.window.ends(last_hold + 1).saturating_add(alert.keep_us)
}
