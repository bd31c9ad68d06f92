//! Events each of which is an episode.

use super::super::key;
use super::super::record::{Record, State};
use super::{Alerts, Due, EACH, Single, Watched, shown_of};
use crate::plan::rules::convert::Number;
use crate::plan::watch::Alert;
use crate::signal::{Signal, Signals};

impl Alerts {
    /// Takes events each of which is an episode.
    pub(super) fn single(&mut self, alert: &Alert, signal: &Signal, signals: &Signals) {
        let (keys_max, lateness_us) = (self.plan.ledger.keys_max, self.lateness_us());
        let values = signal.key.of(&signals.texts);
        let by = signal.by.of(&signals.texts);
        let args = signal.args.of(&signals.texts);
        let time_us = signal.bucket;
        let is_late = time_us < self.now_us - lateness_us;
        let mut shown = shown_of(signal, signals, i64::MIN);
        let index = signal.alert as usize;
        for _ in 0..signal.count {
            let shown = shown.next();
            let state = &mut self.states[index];
            let same = state.singles.range((time_us, values.into(), 0)..=(time_us, values.into(), u32::MAX));
            let nth = same.count() as u64;
            let nth = match &shown {
                Some(shown) if is_late => crate::signal::hash_of(shown.id.as_bytes()),
                _ => nth,
            };
            if !is_late && state.singles.len() >= keys_max {
                state.figures.overflow += 1;
                state.degraded_until_us = state.degraded_until_us.max(time_us + 1);
                continue;
            }
            let id = key::id(&alert.about.alert, values, time_us, nth);
            let mut single = Single { by: by.into(), args: args.into(), shown, notice: None };
            let quiet = alert.suppress.as_ref().is_some_and(|suppress| {
                state.noticed.tells(suppress, by, signal.received_us, keys_max).is_none()
            });
            if alert.gives_notice() && !quiet && !is_late {
                state.figures.notices += 1;
                single.notice = Some(id.clone());
                let record = self.of_single(alert, id.clone(), values, time_us, &single);
                let record = Record { state: State::Notice, fired_us: signal.received_us, ..record };
                self.records.push(Record { notice: None, ..record });
            }
            if is_late {
                self.seal_single(alert, signal.alert, values, time_us, id, single, signal.received_us);
                continue;
            }
            self.begun_us = self.begun_us.max(time_us);
            self.states[index].singles.insert((time_us, values.into(), nth as u32), single);
            let at_us = time_us + lateness_us;
            self.due.insert(Due { at_us, rank: alert.rank, alert: signal.alert, key: EACH });
        }
    }

    pub(super) fn of_single(
        &self,
        alert: &Alert,
        id: Box<str>,
        values: &[u8],
        time_us: i64,
        single: &Single,
    ) -> Record {
        let degraded = time_us < self.state_of(alert).degraded_until_us;
        Record {
            matches_us: Some((time_us, time_us)),
            events: single.shown.iter().cloned().collect(),
            notice: single.notice.clone(),
            degraded,
            ..self.record(alert, id, values, &single.args, Number::of(1), time_us, time_us)
        }
    }

    pub(super) fn state_of(&self, alert: &Alert) -> &Watched {
        let mut alerts = self.plan.watch.alerts.iter();
        let at = alerts.position(|known| core::ptr::eq(known, alert)).expect("the alert is the plan's");
        &self.states[at]
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of an event that is an episode")]
    pub(super) fn seal_single(
        &mut self,
        alert: &Alert,
        index: u32,
        values: &[u8],
        time_us: i64,
        id: Box<str>,
        single: Single,
        fired_us: i64,
    ) {
        let record = Record { fired_us, ..self.of_single(alert, id, values, time_us, &single) };
        let by = alert.suppress.as_ref().map(|_| &*single.by);
        let (record, is_told) = self.tell(alert, index, record, values, by);
        if is_told {
            let end_us = time_us.saturating_add(alert.keep_us);
            let at_us = end_us.saturating_add(self.lateness_us());
            self.states[index as usize].ends.insert((end_us, record.id.clone()), record);
            self.due.insert(Due { at_us, rank: alert.rank, alert: index, key: EACH });
        }
    }

    /// Seals the single events, and ends the episodes, that are due at `at_us`.
    pub(super) fn seal_singles(&mut self, alert: &Alert, index: u32, at_us: i64) {
        let until_us = at_us - self.lateness_us();
        let is_due = |time_us: i64| time_us <= until_us;
        loop {
            let state = &mut self.states[index as usize];
            if let Some(first) = state.ends.first_entry()
                && is_due(first.key().0)
            {
                let ((end_us, _), record) = first.remove_entry();
                state.figures.resolved += 1;
                let fired_us = end_us + self.lateness_us();
                self.records.push(Record { state: State::Resolved, fired_us, ..record });
                continue;
            }
            let Some(first) = state.singles.first_entry().filter(|first| is_due(first.key().0)) else {
                return;
            };
            let ((time_us, values, nth), single) = first.remove_entry();
            let id = key::id(&alert.about.alert, &values, time_us, u64::from(nth));
            self.seal_single(alert, index, &values, time_us, id, single, time_us + self.lateness_us());
        }
    }
}
