//! Silence: keys that should be heard of and are not.

use super::super::key;
use super::{Alerts, Due, FORGET_US, LEARNED};
use crate::plan::rules::convert::Number;
use crate::plan::watch::{Alert, Expect, Form};
use crate::signal::{Signal, Signals};

impl Alerts {
    /// Notes that a key was heard of.
    pub(super) fn hear(&mut self, alert: &Alert, signal: &Signal, signals: &Signals) {
        let Some(place) = self.key(signal.alert as usize, signal.key.of(&signals.texts)) else {
            return self.overflow(alert, signal);
        };
        let key = self.states[signal.alert as usize].keys[place as usize].as_mut().expect("the key is there");
        key.heard = if key.heard_count == 0 { signal.bucket } else { key.heard.max(signal.bucket) };
        key.heard_count += signal.count;
        if key.heard == signal.bucket {
            key.args = signal.args.of(&signals.texts).into();
        }
        let look = match &key.episode {
            None => alert.window.ends(key.heard + alert.window.len),
            Some(_) => alert.window.ends(key.heard).saturating_add(alert.keep_us),
        };
        self.look_at(alert, signal.alert, place, look);
    }

    /// Looks at a key when the watermark is at `look_us`, and not before.
    pub(super) fn look_at(&mut self, alert: &Alert, index: u32, place: u32, look_us: i64) {
        let key = self.states[index as usize].keys[place as usize].as_mut().expect("the key is there");
        if let Some(next) = key.next_us.take() {
            self.due.remove(&Due { at_us: next, rank: alert.rank, alert: index, key: place });
        }
        let at_us = look_us.saturating_add(self.lateness_us());
        self.schedule(alert, index, place, at_us);
    }

    /// Looks whether a key has been silent for a whole window, or is heard of again.
    pub(super) fn look_for(&mut self, alert: &Alert, index: u32, place: u32, at_us: i64) {
        let (lateness_us, now_us) = (self.lateness_us(), at_us);
        let window = &alert.window;
        let state = &mut self.states[index as usize];
        let Some(key) = state.keys[place as usize].as_mut().filter(|key| key.next_us == Some(at_us)) else {
            return;
        };
        key.next_us = None;
        let is_learned = matches!(alert.form, Form::Absent(Expect::Learned));
        let forget_us = window.ends(key.heard).saturating_add(FORGET_US);
        if let Some(episode) = key.episode.take() {
            if key.heard > episode.last_hold || (is_learned && at_us - lateness_us >= forget_us) {
                let heard = key.heard;
                let is_back = heard > episode.last_hold;
                let end_us = if is_back { window.ends(heard) + alert.keep_us } else { forget_us };
                self.resolve(index, episode, end_us);
                match is_back {
                    true => self.look_at(alert, index, place, window.ends(heard + window.len)),
                    false => self.forget(index, place),
                }
            } else {
                key.episode = Some(episode);
                self.look_at(alert, index, place, forget_us);
            }
            return;
        }
        if is_learned && at_us - lateness_us >= forget_us {
            return self.forget(index, place);
        }
        let bucket = window.bucket(at_us - lateness_us) - 1;
        let from_us = window.starts(bucket);
        if is_learned && key.heard_count < LEARNED {
            return self.look_at(alert, index, place, forget_us);
        }
        let drain = alert.has_drain.then(|| key::first(&key.values));
        let warms = state.warm_from_us.is_some_and(|warm| from_us < warm);
        let (_, lost) = self.flows.between(drain, from_us, now_us);
        if self.is_ending || warms || lost > 0 {
            return self.look_at(alert, index, place, window.ends(bucket + 1));
        }
        self.begin(alert, index, place, bucket, Number::default(), false);
        if is_learned {
            self.look_at(alert, index, place, forget_us);
        }
    }

    /// Makes keys of what alerts on silence expect, from now on.
    pub(super) fn expect(&mut self) {
        let plan = self.plan.clone();
        for (index, alert) in plan.watch.alerts.iter().enumerate() {
            let Form::Absent(Expect::List(names)) = &alert.form else { continue };
            for values in names.iter().flat_map(|name| key::expected(alert, &plan, name)) {
                let is_known = self.states[index].places.contains_key(&values[..]);
                let Some(place) = self.key(index, &values).filter(|_| !is_known) else { continue };
                let heard = alert.window.bucket(self.now_us);
                let key = self.states[index].keys[place as usize].as_mut().expect("the key is there");
                key.heard = heard;
                key.heard_count = LEARNED;
                self.look_at(alert, index as u32, place, alert.window.ends(heard + alert.window.len));
            }
        }
    }
}
