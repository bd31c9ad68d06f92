//! The ledger: takes outcomes in number order and keeps what is served.
//!
//! It adds up tallies and the figures that only shards can count, and keeps the windows of alerts. It sees every number
//! exactly once, so its sums close with the books. Caps live here and nowhere before.

pub mod alerts;
pub mod answer;
pub mod dashlets;
mod flows;
pub mod kept;
mod key;
pub mod record;
pub mod reports;
pub mod series;
mod suppress;
pub mod window;

use std::sync::Arc;

use self::alerts::Alerts;
use self::dashlets::{Frozen, Tables};
use self::kept::Kept;
use self::record::Record;
use self::reports::{Reports, Told, Waiting};
use self::series::AllSeries;
use crate::batch::{ListenerId, Number};
use crate::limits;
use crate::outcome::{Apart, Outcome};
use crate::plan::Plan;
use crate::tally::Tally;

#[derive(Debug)]
pub struct Ledger {
    number: Number,
    tally: Tally,
    apart: Vec<Apart>,
    alerts: Alerts,
    reports: Reports,
    tables: Tables,
    series: AllSeries,
}

/// What alerts and reports keep, as it was at one moment.
#[derive(Debug)]
pub struct Snapshot {
    state: Vec<u8>,
    /// By report.
    waiting: Vec<Waiting>,
}

impl Snapshot {
    /// Appends it, as [`Ledger::restore`] reads it.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.state);
        self.waiting.put(out);
    }
}

impl Ledger {
    /// The ledger of a plan, before its first number.
    pub fn new(plan: Arc<Plan>) -> Ledger {
        let (alerts, reports, tables) =
            (Alerts::new(plan.clone()), Reports::new(plan.clone()), Tables::new(&plan));
        let series = AllSeries::new(&plan);
        Ledger { number: 0, tally: Tally::default(), apart: Vec::new(), alerts, reports, tables, series }
    }

    /// Goes on with another plan; every outcome of the one before has been applied.
    pub fn adopt(&mut self, plan: Arc<Plan>) {
        self.reports.adopt(plan.clone());
        self.tables.adopt(&plan);
        self.series.adopt(&plan);
        self.alerts.adopt(plan);
    }

    /// Takes the next outcome.
    pub fn apply(&mut self, outcome: &Outcome) {
        debug_assert!(outcome.number > self.number);
        self.number = outcome.number;
        for (listener, apart) in &outcome.apart {
            let index = listener.0 as usize;
            if self.apart.len() <= index {
                self.apart.resize(index + 1, Apart::default());
            }
            self.apart[index].add(apart);
        }
        if let Some(tally) = &outcome.tally {
            self.merge(tally);
        }
        self.tables.advance(outcome.received_us);
        self.series.advance(outcome.received_us);
        self.alerts.apply(outcome.signals.as_deref(), outcome.received_us);
        self.reports.apply(outcome.signals.as_deref(), outcome.received_us);
    }

    /// The clock says `now_us`, microseconds since 1970, and nothing that came before is missing.
    pub fn tick(&mut self, now_us: i64) {
        self.tables.advance(now_us);
        self.series.advance(now_us);
        self.alerts.advance(now_us);
        self.reports.advance(now_us);
    }

    /// Nothing more comes: the clock runs on until the last window that has begun is sealed.
    pub fn end(&mut self) {
        self.alerts.end();
        self.reports.end();
    }

    /// Whether there is nothing that would have to outlive a restart.
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty() && self.reports.is_empty() && self.tables.list().is_empty()
    }

    /// What alerts and reports have to keep over a restart; all that they said has been taken.
    pub fn snapshot(&self) -> Snapshot {
        let mut alerts = Vec::new();
        self.alerts.put(&mut alerts);
        let mut state = Vec::new();
        alerts.into_boxed_slice().put(&mut state);
        self.reports.put_kept(&mut state);
        Snapshot { state, waiting: self.reports.waiting() }
    }

    /// What dashlets have to keep.
    pub fn frozen(&self) -> Frozen {
        self.tables.frozen()
    }

    /// Goes on from a snapshot, at `now_us`; returns the full ids of alerts and reports that begin anew. `None` if it is no
    /// snapshot.
    pub fn restore(&mut self, mut snapshot: &[u8], now_us: i64) -> Option<Vec<Box<str>>> {
        let alerts: Box<[u8]> = Kept::take(&mut snapshot)?;
        let reports = self.reports.take_kept(&mut snapshot)?;
        let mut anew = self.alerts.restore(&alerts, now_us)?;
        anew.extend(reports);
        Some(anew)
    }

    /// Goes on from what dashlets kept, at `now_us`; returns the full ids of those that begin anew. `None` if it cannot be
    /// read. Unless it `is_last`, a crash has cost what came after it.
    pub fn restore_tables(&mut self, kept: &[u8], now_us: i64, is_last: bool) -> Option<Vec<Box<str>>> {
        self.tables.take_kept(kept, now_us, is_last)
    }

    /// Begins without what alerts and reports knew before: windows that begin before `now_us` are not whole.
    pub fn warm(&mut self, now_us: i64) {
        self.alerts.warm(now_us);
    }

    /// Begins without what dashlets knew before.
    pub fn warm_tables(&mut self, now_us: i64) {
        self.tables.warm(now_us);
    }

    /// What alerts said since the last time, in order.
    pub fn take_records(&mut self) -> Vec<Record> {
        self.alerts.take_records()
    }

    /// Lets the rows of reports go on that wait, before a stop.
    pub fn rest(&mut self) {
        self.reports.rest();
    }

    /// What reports said since the last time, in order.
    pub fn take_told(&mut self) -> Vec<Told> {
        self.reports.take_told()
    }

    pub fn reports(&self) -> &Reports {
        &self.reports
    }

    /// What dashlets show.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The series of packs' metrics.
    pub fn series(&self) -> &AllSeries {
        &self.series
    }

    pub fn alerts(&self) -> &Alerts {
        &self.alerts
    }

    /// Takes a tally that came alone, from a shard that had nothing to do.
    pub fn merge(&mut self, tally: &Tally) {
        self.tally.merge(tally, limits::DRAIN_SERIES);
        self.tables.add(&tally.sums);
        self.series.add(&tally.samples);
    }

    pub fn number(&self) -> Number {
        self.number
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What shards counted of a listener.
    pub fn apart(&self, listener: ListenerId) -> Apart {
        self.apart.get(listener.0 as usize).copied().unwrap_or_default()
    }
}
