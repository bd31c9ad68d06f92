//! What becomes of an episode that begins or ends: suppressed, held back, written.

use super::super::key;
use super::super::record::{Record, State};
use super::{Alerts, Episode};
use crate::plan::rules::convert::Number;
use crate::plan::watch::Alert;

impl Alerts {
    /// A sealed record without its events.
    #[allow(clippy::too_many_arguments, reason = "the parts of a record that differ")]
    pub(super) fn record(
        &self,
        alert: &Alert,
        id: Box<str>,
        values: &[u8],
        args: &[u8],
        value: Number,
        from_us: i64,
        to_us: i64,
    ) -> Record {
        let drain = alert.has_drain.then(|| key::first(values));
        let known = drain.and_then(|drain| self.plan.drains.get(core::str::from_utf8(drain).ok()?));
        Record {
            id,
            about: alert.about.clone(),
            state: State::Sealed,
            key: key::named(alert, values),
            value,
            from_us,
            to_us,
            matches_us: None,
            fired_us: to_us + self.lateness_us(),
            events: Vec::new(),
            seen_lost: self.flows.between(drain, from_us, to_us),
            degraded: false,
            notice: None,
            suppressed: 0,
            inhibited: None,
            warming: false,
            summary: key::summary(alert, &self.plan, values, args, value),
            labels: known.map_or(Vec::new(), |drain| drain.labels.clone()),
        }
    }

    /// Writes a sealed record, unless it is suppressed; returns it and whether it was written.
    pub(super) fn tell(
        &mut self,
        alert: &Alert,
        index: u32,
        mut record: Record,
        values: &[u8],
        by: Option<&[u8]>,
    ) -> (Record, bool) {
        let keys_max = self.plan.ledger.keys_max;
        record.inhibited = self.inhibitor(alert, values);
        let state = &mut self.states[index as usize];
        if let (Some(suppress), Some(by)) = (&alert.suppress, by) {
            match state.sealed.tells(suppress, by, record.to_us, keys_max) {
                Some(suppressed) => record.suppressed = suppressed,
                None => {
                    state.figures.suppressed += 1;
                    return (record, false);
                }
            }
        }
        state.figures.sealed += 1;
        state.figures.inhibited += u64::from(record.inhibited.is_some());
        self.records.push(record.clone());
        (record, true)
    }

    /// The id of an episode that holds this one back.
    pub(super) fn inhibitor(&self, alert: &Alert, values: &[u8]) -> Option<Box<str>> {
        for inhibitor in &alert.inhibitors {
            let state = &self.states[inhibitor.alert as usize];
            let mine: Vec<u8> = inhibitor.equal.iter().map(|(_, mine)| *mine).collect();
            let theirs: Vec<u8> = inhibitor.equal.iter().map(|(theirs, _)| *theirs).collect();
            let wanted = key::pick(values, &mine);
            let open =
                state.keys.iter().flatten().filter_map(|key| Some((&key.values, key.episode.as_ref()?)));
            let open = open.map(|(values, episode)| (key::pick(values, &theirs), &episode.sealed.id));
            let ends = state.ends.values();
            let ends = ends.map(|record| (key::pick(&key::encoded(&record.key), &theirs), &record.id));
            if let Some((_, id)) = open.chain(ends).find(|(values, _)| *values == wanted) {
                return Some(id.clone());
            }
        }
        None
    }

    /// Writes that an episode has ended.
    pub(super) fn resolve(&mut self, index: u32, episode: Box<Episode>, end_us: i64) {
        if !episode.is_told {
            return;
        }
        self.states[index as usize].figures.resolved += 1;
        let fired_us = end_us + self.lateness_us();
        self.records.push(Record { state: State::Resolved, fired_us, ..episode.sealed });
    }
}
