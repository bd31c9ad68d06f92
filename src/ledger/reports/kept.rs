//! The state of reports, kept over a restart.

use std::collections::HashMap;
use std::sync::Arc;

use super::join::{Joins, Row};
use super::{Corrections, Figures, Pending, Reports, State, Waiting, Window};
use crate::ledger::kept::{Kept, kept};
use crate::plan::report::Report;

kept!(Pending { time_us, cells, is_open });
kept!(Window { to_us, sums, pending });
kept!(Corrections { to_us, count, open_until_us });
kept!(Figures { rows, late, unordered });

/// Where the reports and joins of a snapshot are in the plan; those that changed are nowhere.
pub(super) struct Places {
    reports: Vec<Option<u32>>,
    joins: HashMap<u32, u32>,
}

impl Places {
    pub fn report(&self, before: u32) -> Option<u32> {
        self.reports.get(before as usize).copied().flatten()
    }

    pub fn join(&self, before: u32) -> Option<u32> {
        self.joins.get(&before).copied()
    }
}

fn put_state(state: &State, out: &mut Vec<u8>) {
    state.open.put(out);
    state.corrections.put(out);
    (state.sealed_us, state.begun_us).put(out);
    state.figures.put(out);
}

fn take_state(report: &Arc<Report>, input: &mut &[u8]) -> Option<State> {
    let mut state = State::new(report.clone(), i64::MIN);
    state.open = Kept::take(input)?;
    state.corrections = Kept::take(input)?;
    (state.sealed_us, state.begun_us) = Kept::take(input)?;
    state.figures = Kept::take(input)?;
    Some(state)
}

impl Reports {
    /// Rows that wait, by report: to be put behind what `put_kept` appends.
    pub fn waiting(&self) -> Vec<Waiting> {
        self.states.iter().map(|state| state.waiting.clone()).collect()
    }

    /// Appends all that has to outlive a restart, but for the rows that wait.
    pub fn put_kept(&self, out: &mut Vec<u8>) {
        debug_assert!(self.told.is_empty(), "what was told is not kept");
        (self.now_us, self.order).put(out);
        (self.states.len() as u32).put(out);
        for state in &self.states {
            state.report.id.put(out);
            (state.report.shape, state.report.join).put(out);
            let length_at = out.len();
            0u32.put(out);
            put_state(state, out);
            let len = (out.len() - length_at - 4) as u32;
            out[length_at..length_at + 4].copy_from_slice(&len.to_le_bytes());
        }
        self.joins.put(&self.plan, out);
    }

    /// Goes on from what `put_kept` wrote, and the rows behind it; returns the reports that begin anew, since it had nothing of them, or not in
    /// their shape. `None` if it cannot be read: then nothing has changed.
    pub fn take_kept(&mut self, input: &mut &[u8]) -> Option<Vec<Box<str>>> {
        let plan = self.plan.clone();
        let list = &plan.watch.reports.list;
        let (now_us, order) = Kept::take(input)?;
        let mut states: Vec<Option<State>> = list.iter().map(|_| None).collect();
        let mut places = Places { reports: Vec::new(), joins: HashMap::new() };
        for _ in 0..u32::take(input)? {
            let (id, (shape, join)): (Box<str>, (u64, Option<u32>)) = Kept::take(input)?;
            let len = u32::take(input)? as usize;
            let (mut body, rest) = input.split_at_checked(len)?;
            *input = rest;
            let at = list.iter().position(|report| report.id == id && report.shape == shape);
            places.reports.push(at.map(|at| at as u32));
            if let Some(at) = at {
                states[at] = Some(take_state(&list[at], &mut body)?);
                // The shape of a report says what its join means.
                places.joins.extend(join.zip(list[at].join));
            }
        }
        let mut joins = Joins::new(&plan);
        joins.take_kept(&plan, &places, input)?;
        let waiting: Vec<Waiting> = Kept::take(input)?;
        for (before, rows) in waiting.into_iter().enumerate() {
            if let Some(state) = places.report(before as u32).and_then(|at| states[at as usize].as_mut()) {
                state.waiting = rows;
            }
        }
        let anew = list.iter().zip(&states).filter(|(_, state)| state.is_none());
        let anew = anew.map(|(report, _)| report.id.clone()).collect();
        let new = |(state, report): (Option<State>, &Arc<Report>)| {
            state.unwrap_or_else(|| State::new(report.clone(), i64::MIN))
        };
        self.states = states.into_iter().zip(list).map(new).collect();
        self.waiting_bytes = self.states.iter().map(|state| state.waiting.bytes()).sum();
        (self.now_us, self.order, self.joins) = (now_us, order, joins);
        // Messages whose join is no more stand alone.
        self.put_joined(i64::MIN);
        Some(anew)
    }
}

/// Appends rows, which name their report by its place.
pub(super) fn put_rows(rows: &[Row], out: &mut Vec<u8>) {
    (rows.len() as u32).put(out);
    for Row { report, time_us, drain, cells } in rows {
        (*report, *time_us).put(out);
        drain.put(out);
        cells.put(out);
    }
}

/// Reads rows; those of reports that changed are left out.
pub(super) fn take_rows(places: &Places, input: &mut &[u8]) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    for _ in 0..u32::take(input)? {
        let ((report, time_us), drain, cells) = Kept::take(input)?;
        rows.extend(places.report(report).map(|report| Row { report, time_us, drain, cells }));
    }
    Some(rows)
}
